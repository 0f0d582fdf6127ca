"""The scheduler any vitlab process becomes for a moment: decide, start, release."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from vitlab.contract.events import NEVER_BEGAN
from vitlab.contract.job import Done, Lost, Queued, Running, state_word
from vitlab.contract.paths import JobPaths, LabPaths, UsageError
from vitlab.jobs import processes, slurm
from vitlab.jobs.experiment.settings import Settings, load_settings
from vitlab.jobs.files import read_json, take_lock, write_json, write_owner
from vitlab.jobs.git import Code, read_code
from vitlab.jobs.gpus import child_environment
from vitlab.jobs.processes import boot
from vitlab.jobs.queue.machine import Machine, read_machine, threads
from vitlab.jobs.queue.queue import ADOPTED, Start, decide, waiting_in_order
from vitlab.jobs.store import Job, all_jobs, read_job, read_state, unfinished


def edit_queue(job: Job, **changes: object) -> None:
    """Change keys of the job's `queue.json`: hold, order, priority, boot."""
    path = job.paths.queue
    write_json(path, {**read_json(path), **changes})


def hold(job: Job) -> None:
    """Put a waiting job aside until it is released."""
    _check_waits(job)
    edit_queue(job, hold=True)


def release(job: Job) -> None:
    """Let a waiting job start: one put aside, or queued before a restart or on another machine."""
    _check_waits(job)
    edit_queue(job, hold=False, boot=boot())


def move(job: Job, jobs: Sequence[Job], places: int) -> None:
    """Move a waiting job up (`places` < 0) or down in the line of `jobs`.

    It takes the priority of those it comes to stand among; a place beyond either end is that end.
    """
    _check_waits(job)
    line = waiting_in_order(jobs)
    others = [other for other in line if other.name != job.name]
    now = next((i for i, other in enumerate(line) if other.name == job.name), 0)
    place = min(max(now + places, 0), len(others))
    before, after = others[:place], others[place:]
    if before and after and before[-1].priority == after[0].priority:
        order = (before[-1].order + after[0].order) / 2
        priority = after[0].priority
    elif before:
        order, priority = before[-1].order + 1.0, before[-1].priority
    elif after:
        order, priority = after[0].order - 1.0, after[0].priority
    else:
        return
    edit_queue(job, order=order, priority=priority)


def _check_waits(job: Job) -> None:
    if not isinstance(job.state, Queued):
        raise UsageError(f"{job.name}: does not wait, it is {state_word(job.state)}")


AUTO_RESUMES = 5
"""How often a job that asks for it goes on by itself after it was lost."""


def advance(lab: LabPaths, local: bool = True) -> list[JobPaths]:
    """Start every waiting job there is room for; the jobs started by this call.

    Without `local` only those that Slurm runs: a batch step's processes end with it.

    Never waits for another scheduler: it leaves word (`again`), and the one who holds the lease
    looks once more after letting go, so no request is lost between the two.
    """
    lab.private.make()
    again = lab.private.again
    started: list[JobPaths] = []
    while True:
        again.touch()
        lease = take_lock(lab.private.lease, patience=0.0)
        if lease is None:
            return started
        try:
            write_owner(lease, {"pid": os.getpid(), "t": time.time()})
            again.unlink(missing_ok=True)
            started += _round(lab, local)
        finally:
            os.close(lease)
        if not again.exists():
            return started


def _round(lab: LabPaths, local: bool) -> list[JobPaths]:
    settings = load_settings(lab)
    jobs = unfinished(lab)
    over = slurm.ended(lab, [job for job in jobs if job.cluster])
    for job, reason, detail in over:
        _end_unstarted(job.paths, detail, reason)
    if _put_right(lab, jobs, settings) or over:
        jobs = unfinished(lab)
    if any(isinstance(job.state, Queued) and job.spec.after for job in jobs):
        jobs = all_jobs(lab)
    slots = read_machine(lab)
    starts = [start for start in decide(jobs, slots) if local or start.job.in_slurm]
    code = read_code(lab.root) if starts else Code()
    here = [start for start in starts if not start.job.in_slurm]
    begun = [s.job.paths for s in here if _start(lab, s, slots, settings, code)]
    there = [start.job for start in starts if start.job.in_slurm]
    sent, refused = slurm.submit_batch(lab, there, code, settings.grace)
    for job, reason, detail in refused:
        _end_unstarted(job.paths, detail, reason)
    return [*begun, *sent]


def _put_right(lab: LabPaths, jobs: Sequence[Job], settings: Settings) -> bool:
    """Do what was asked for, or left, with nobody there to do it; whether a state has changed."""
    changed = False
    for job in jobs:
        match job.state:
            case Queued() if job.held and job.cluster:
                slurm.cancel(job.paths)
                changed = True
            case Lost() if job.in_slurm:
                continue  # Slurm knows what became of it
            case Queued() if job.paths.stop.exists():
                _end_unstarted(job.paths, NEVER_BEGAN)
                changed = True
            case Lost() if end_orphans(job.paths, settings.grace):
                runs = len(list(job.paths.folder.glob("started*.json")))
                if job.spec.extra.get("on_lost") == "resume" and runs <= AUTO_RESUMES:
                    resume(lab, job.paths)
                    changed = True
    return changed


def _start(lab: LabPaths, start: Start, slots: Machine, settings: Settings, code: Code) -> bool:
    """Hand the job's lock, already held, to a new supervisor; False when the job is not free."""
    job = start.job.paths
    try:
        lock = take_lock(job.lock)
    except FileNotFoundError:
        return False  # its folder was deleted
    if lock is None:
        return False
    try:
        if not _still_queued(job):
            return False
        end_orphans(job, settings.grace)
        if code.dirty:
            job.code_diff.write_bytes(code.diff)
        given = [gpu.device for gpu in start.gpus]
        write_owner(
            lock,
            {
                "v": 1,
                "started": round(time.time(), 3),
                "boot": slots.boot,
                "device": start.device,
                "devices": [device.record for device in given],
                "environment": child_environment(given, threads(settings)),
                "grace": settings.grace,
                "commit": code.commit,
                "dirty": code.dirty,
            },
        )
        start_supervisor(lab, job, lock)
    finally:
        os.close(lock)
    return True


def _still_queued(job: JobPaths) -> bool:
    """Asked under the lock: nobody else has started, stopped or deleted it since we decided."""
    if not job.spec.exists() or job.stop.exists():
        return False
    if job.resume.exists():
        return True
    return not job.started.exists() and not job.exit.exists()


def start_supervisor(lab: LabPaths, job: JobPaths, lock: int) -> None:
    """Start the job's supervisor, in a session of its own, and hand it the job's lock."""
    log = os.open(lab.private.supervisor_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    environment = {k: v for k, v in os.environ.items() if k != processes.MARKER}
    try:
        process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "vitlab.jobs.process.supervisor",
                str(job.folder),
                str(lock),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=lab.root,
            env=environment,
            start_new_session=True,
            pass_fds=(lock,),
        )
    finally:
        os.close(log)
    # Should this process outlive the supervisor, it must take its exit status.
    threading.Thread(target=process.wait, daemon=True).start()


def stop(job: JobPaths) -> None:
    """Ask a job to end. One that waits, or is lost, ends at once; what it left running too."""
    match read_state(job):
        case Done():
            return
        case Queued() | Lost() as now:
            job.stop.touch()
            detail = NEVER_BEGAN if isinstance(now, Queued) else "lost, then dropped"
            slurm.cancel(job)
            _end_unstarted(job, detail)
        case Running():
            job.stop.touch()
            processes.wake(read_json(job.started))


def _end_unstarted(job: JobPaths, detail: str, reason: str = "killed") -> None:
    """Close a job no supervisor holds; if one just took it, that one sees the request."""
    lock = take_lock(job.lock, patience=0.2)
    if lock is None:
        return
    try:
        if job.resume.exists():
            job.resume.unlink()
            if job.exit.exists():
                return
        if job.exit.exists():
            return
        end_orphans(job, 5.0)
        now = round(time.time(), 3)
        started = read_json(job.started).get("started", now)
        write_json(
            job.exit,
            {
                "v": 1,
                "code": None,
                "signal": None,
                "reason": reason,
                "detail": detail,
                "started": started,
                "ended": now,
                "peak_memory_bytes": 0,
            },
        )
    finally:
        os.close(lock)


def end_orphans(job: JobPaths, grace: float) -> bool:
    """End what a killed supervisor left running; True when nothing of it is left.

    By the marker in their environment alone: the number of the dead session may be another's now.
    """
    started = read_json(job.started)
    if not started or started.get("boot") != processes.boot():
        return True
    since = int(started.get("ticks", 0))
    return processes.end_all(lambda: processes.members(-1, since, job.folder), grace)


def resume(lab: LabPaths, job: JobPaths) -> None:
    """Let a job go on; it starts at the next `advance` that has room for it.

    One that ended or was lost runs again in its own folder, from its last checkpoint. One that was
    put aside, or has waited over a restart of the machine, is released.
    """
    found = read_job(job)
    if found is None:
        raise UsageError(f"{lab.relative(job.folder)}: no job here")
    if ADOPTED in found.spec.extra:
        raise UsageError(f"{job.name}: was started by hand; start it so again, then adopt it")
    match found.state:
        case Running():
            raise UsageError(f"{job.name}: runs already")
        case Queued() if found.held or found.boot != processes.boot():
            release(found)
        case Queued():
            raise UsageError(f"{job.name}: waits already")
        case Done() | Lost():
            job.stop.unlink(missing_ok=True)
            slurm.cancel(job)
            edit_queue(found, boot=processes.boot(), hold=False)
            job.resume.touch()


def main(arguments: Sequence[str]) -> int:
    """`python -m vitlab.jobs.queue.scheduler ROOT [--no-local]`: a supervisor ends as this."""
    try:
        advance(LabPaths(Path(arguments[0])), local="--no-local" not in arguments)
    except (UsageError, OSError) as error:  # a full disk, a lab that is gone
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
