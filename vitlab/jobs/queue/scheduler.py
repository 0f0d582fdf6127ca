"""The scheduler, run by any vitlab process for a moment: it decides what starts, and starts it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vitlab.contract.events import DROPPED, NEVER_BEGAN
from vitlab.contract.job import Done, Lost, Queued, Running, Unreadable, state_word
from vitlab.contract.paths import JobPaths, LabPaths, UsageError, check_inside, real
from vitlab.contract.user_key import own_record
from vitlab.jobs import processes, slurm, submissions
from vitlab.jobs.ends import write_exit
from vitlab.jobs.environment import record_environment, this_environment
from vitlab.jobs.experiment.settings import Settings, load_settings
from vitlab.jobs.files import (
    exit_record,
    is_locked,
    open_appending,
    read_json,
    take_lock,
    touch,
    write_json,
    write_owner,
)
from vitlab.jobs.gpus import child_environment
from vitlab.jobs.processes import ADOPTED, AUTOPILOT, PYTHON, boot
from vitlab.jobs.queue.claims import claimed, giving_gpus
from vitlab.jobs.queue.machine import Machine, read_machine, threads
from vitlab.jobs.queue.program import CodeReader
from vitlab.jobs.queue.queue import Start, plan, ran_since, waiting_in_order
from vitlab.jobs.store import Job, all_jobs, read_job, unfinished
from vitlab.jobs.submissions import NOT_HERE, is_submitted, links_out


def edit_queue(job: Job, **changes: object) -> None:
    """Change keys of the job's `queue.json`: hold, order, priority, boot."""
    path = job.paths.queue
    write_json(path, {**read_json(path), **changes})


def hold(job: Job) -> None:
    """Keep a waiting job from starting until it is released."""
    _check_waits(job)
    edit_queue(job, hold=True)


def release(job: Job) -> None:
    """Let a waiting job start: one held, or queued before a restart or on another machine."""
    _check_waits(job)
    edit_queue(job, hold=False, boot=boot())


def move(job: Job, jobs: Sequence[Job], places: int) -> None:
    """Move a waiting job up (`places` < 0) or down among the waiting of `jobs`.

    It takes the priority of its new neighbours; a place beyond either end is that end.
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
        raise UsageError(f"{job.name}: is not waiting, it is {state_word(job.state)}")
    if job.foreign:
        raise UsageError(f"{job.name}: {NOT_HERE}")


AUTO_RESUMES = 5
"""How often a lost job that asks for it is resumed without a person."""


def advance(lab: LabPaths, local: bool = True) -> list[JobPaths]:
    """Start every waiting job there is room for; the jobs started by this call.

    Without `local` only those that Slurm runs: a batch step's processes end with it.

    Never waits for another scheduler: it makes the file `again`, and the holder of the lease
    schedules once more after releasing it, so no request is lost between the two.
    """
    lab.private.make()
    again = lab.private.again
    started: list[JobPaths] = []
    while True:
        touch(again)
        lease = take_lock(lab.private.lease, patience=0.0)
        if lease is None:
            return started
        try:
            with claimed(lab.private.lease) as ours:
                if not ours:
                    return started
                with contextlib.suppress(OSError):  # for people; a full disk keeps no job waiting
                    write_owner(lease, {"pid": os.getpid(), "t": time.time()})
                again.unlink(missing_ok=True)
                started += _schedule(lab, local)
        finally:
            os.close(lease)
        if not again.exists():
            return started


def _schedule(lab: LabPaths, local: bool) -> list[JobPaths]:
    settings = load_settings(lab)
    jobs = unfinished(lab)
    # One that cannot be read, or says that it runs, may be foreign as well.
    # The batch step of a held one runs nothing: its end is not the job's.
    named = [
        one for one in jobs if one.cluster and not (one.held and isinstance(one.state, Queued))
    ]
    ours = [job for job in named if is_submitted(job.paths)]
    ended = slurm.ended(lab, ours)
    for job, reason, detail in ended:
        _close(job.paths, detail, reason)
    if _handle_requests(lab, jobs, settings) or ended:
        jobs = unfinished(lab)
    if any(isinstance(job.state, Queued) and job.spec.after for job in jobs):
        jobs = all_jobs(lab)
    machine = read_machine(lab)
    starts = _starts(lab, jobs, machine, local)
    code = CodeReader(lab.root)
    with contextlib.ExitStack() as stack:
        if any(start.gpus for start in starts):
            stack.enter_context(giving_gpus())  # another lab may have given them meanwhile
            machine = read_machine(lab)
            starts = _starts(lab, jobs, machine, local)
        here = [start for start in starts if not start.job.in_slurm]
        started = [s.job.paths for s in here if _start(lab, s, machine, settings, code)]
    remote = [start.job for start in starts if start.job.in_slurm]
    sent, refused = slurm.submit_batch(lab, remote, code.record, settings.grace)
    for job, reason, detail in refused:
        _close(job.paths, detail, reason)
    return [*started, *sent]


def _starts(lab: LabPaths, jobs: list[Job], machine: Machine, local: bool) -> list[Start]:
    starts = [start for start in plan(jobs, machine).starts if local or start.job.in_slurm]
    return _within_budget(lab, starts)


def _within_budget(lab: LabPaths, starts: list[Start]) -> list[Start]:
    """Without jobs of an autopilot whose budget may be spent: it is asked first."""
    if not any(AUTOPILOT in start.job.spec.extra for start in starts):
        return starts
    record = autopilot_record(lab)
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    if not processes.is_here(record) or record.get("due", now) > now:
        return starts
    mark = f"{record.get('id')}/"
    return [s for s in starts if not str(s.job.spec.extra.get(AUTOPILOT)).startswith(mark)]


def _handle_requests(lab: LabPaths, jobs: Sequence[Job], settings: Settings) -> bool:
    """Do what people asked of jobs without a supervisor; whether a state has changed."""
    changed = False
    for job in jobs:
        if job.foreign:
            continue
        match job.state:
            case Queued() if job.held and job.in_slurm and job.paths.slurm.exists():
                slurm.cancel(job.paths)
                changed = True
            case Lost() if job.in_slurm:
                continue  # Slurm knows its end
            case Queued() if job.paths.stop.exists():
                _close(job.paths, NEVER_BEGAN)
                changed = True
            case Lost() if end_orphans(job.paths, settings.grace):
                runs = len(list(job.paths.folder.glob("started*.json")))
                wanted = job.spec.extra.get("on_lost") == "resume" and runs <= AUTO_RESUMES
                if wanted and not ran_since(job, all_jobs(lab)):  # else a person's resume says why
                    resume(lab, job.paths)
                    changed = True
    return changed


def _start(
    lab: LabPaths, start: Start, machine: Machine, settings: Settings, code: CodeReader
) -> bool:
    """Start a supervisor and pass it the job's lock; False when the job is not free."""
    job = start.job.paths
    try:
        lock = take_lock(job.lock)
    except FileNotFoundError:
        return False  # its folder was deleted
    if lock is None:
        return False
    try:
        with claimed(job.lock) as ours:
            if not ours or not _still_queued(job):
                return False
            end_orphans(job, settings.grace)
            given = [gpu.device for gpu in start.gpus]
            orders = {
                "v": 1,
                "started": round(time.time(), 3),
                "boot": machine.boot,
                "device": start.device,
                "devices": [device.record for device in given],
                "environment": child_environment(
                    given, threads(settings), bool(machine.gpus or machine.lost)
                ),
                "grace": settings.grace,
                **code.record(start.job).record,
            }
            write_owner(lock, orders)
            started = processes.process(start_supervisor(lab, job, lock))
            if started and is_locked(job.lock) is None:
                write_owner(lock, {**orders, "pid": started.pid, "ticks": started.ticks})
    finally:
        os.close(lock)
    return True


def _still_queued(job: JobPaths) -> bool:
    """Whether it is as it was submitted, and was not started or stopped; with its lock held."""
    if job.stop.exists() or not is_submitted(job, anew=True):
        return False
    if is_locked(job.lock) is None and _is_starting(job):
        return False
    if job.is_resumed():
        return True
    return not job.started.exists() and not job.exit.exists()


def _is_starting(job: JobPaths) -> bool:
    """Whether the supervisor its lock names lives: where there are no locks, that alone tells."""
    owner = read_json(job.lock)
    pid, ticks = owner.get("pid"), owner.get("ticks")
    known = processes.is_here(owner) and isinstance(pid, int) and isinstance(ticks, int)
    return known and processes.is_alive(int(pid or 0), int(ticks or 0))


def start_supervisor(lab: LabPaths, job: JobPaths, lock: int) -> int:
    """Start the job's supervisor in a new session, and pass it the job's lock; its pid."""
    try:
        log = open_appending(lab.private.supervisor_log)
    except OSError:  # whatever is in its place: a job does not wait for it
        log = os.open(os.devnull, os.O_WRONLY)
    environment = {k: v for k, v in os.environ.items() if k != processes.MARKER}
    try:
        process = subprocess.Popen(
            [
                *PYTHON,
                "-m",
                processes.SUPERVISOR,
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
    # If this process outlives the supervisor, it must collect its exit status.
    processes.in_thread(process.wait)
    return process.pid


def stop(job: JobPaths) -> None:
    """Ask a job to end. A waiting or lost one ends at once, with what it left running.

    What a person started, and a lost job only watched, is not ended.
    """
    record = read_job(job)
    match record.state if record else Done(0.0, 0.0, "", None):
        case Done():
            return
        case Queued() | Lost() as now:
            if record and record.foreign:
                job.check_is_here()  # behind a link it may wait in another lab
            touch(job.stop)
            detail = NEVER_BEGAN if isinstance(now, Queued) else DROPPED
            if record and not record.foreign:  # its number in Slurm may be another job's
                slurm.cancel(job)
            _close(job, detail)
        case Unreadable(why=why):
            raise UsageError(f"{job.name}: {why}")
        case Running():
            if not is_submitted(job):
                check_inside(job.root, [job.folder])  # behind a link it may be another lab's
            touch(job.stop)
            processes.wake(read_json(job.started))


def left_running(record: Job) -> int | None:
    """The process of a lost job that was started by hand, where it still runs: it is not ended."""
    adopted = record.spec.extra.get(ADOPTED)
    if not isinstance(record.state, Lost) or not isinstance(adopted, dict):
        return None
    pid, ticks = processes.identity(adopted)
    return pid if processes.is_alive(pid, ticks) else None


def _close(job: JobPaths, detail: str, reason: str = "killed") -> None:
    """Write the end of a job without a supervisor; a new supervisor sees the request itself."""
    lock = take_lock(job.lock, patience=0.2)
    if lock is None:
        return
    try:
        if job.is_resumed():
            job.resume.unlink()
            if job.exit.exists():
                return
        if job.exit.exists():
            return
        end_orphans(job, 5.0)
        started = read_json(job.started).get("started", round(time.time(), 3))
        write_exit(job, exit_record(reason, detail, started))
    finally:
        os.close(lock)


def end_orphans(job: JobPaths, grace: float) -> bool:
    """End what a killed supervisor left running; True when nothing of it is left."""
    if not os.path.lexists(job.started):
        return True
    started = read_json(job.started)  # empty for one half written: it may have begun at any time
    if isinstance(started.get("boot"), str) and not processes.is_here(started):
        return True
    if not processes.is_here(started) or not is_submitted(job):
        started = {**started, "child": None}  # a copy's, or a stranger's: not of this folder
    return processes.end_all(lambda: processes.orphans(started, job.folder), grace)


def resume(lab: LabPaths, job: JobPaths, here: bool = False, force: bool = False) -> None:
    """Resume a job; it starts at the next `advance` that has room for it.

    One that ended or was lost runs again in its folder, from its last checkpoint. One that was
    held, or has waited over a restart of the machine, is released. `here`: one that this user has
    not submitted is submitted. `force`: also where another has run in its folder since.
    """
    record = read_job(job)
    if record is None:
        raise UsageError(f"{lab.relative(job.folder)}: no job here")
    if (pid := left_running(record)) is not None:
        how = f"`vitlab adopt --pid {pid}` watches it again, as another job"
        raise UsageError(f"{job.name}: its process {pid} still runs: {how}")
    if ADOPTED in record.spec.extra:
        raise UsageError(f"{job.name}: was started by hand; start it by hand again, then adopt it")
    if isinstance(record.state, Unreadable):
        raise UsageError(f"{job.name}: {record.state.why}")
    if isinstance(record.state, Running):
        raise UsageError(f"{job.name}: is already running")
    if not is_submitted(job):
        if not here:
            how = "`vitlab resume JOB --here` submits it, `vitlab stop JOB` drops it"
            raise UsageError(f"{job.name}: not submitted here: {how}")
        _submit_here(record)
        if isinstance(record.state, Queued):
            return
    match record.state:
        case Queued() if record.held or not processes.is_same_boot(record.boot, processes.boot()):
            release(record)
        case Queued():
            raise UsageError(f"{job.name}: is already waiting")
        case Done() | Lost():
            if not force and (others := ran_since(record, all_jobs(lab))):
                raise UsageError(f"{job.name}: {_mixed(others)}")
            job.stop.unlink(missing_ok=True)
            slurm.cancel(job)
            edit_queue(record, boot=processes.boot(), hold=False)
            touch(job.resume)


def _mixed(others: Sequence[str]) -> str:
    text = f"{', '.join(others[:3])} ran in its folder since, and may have left a checkpoint there"
    return f"{text}: `vitlab resume JOB --force` goes on from what is there"


def _submit_here(record: Job) -> None:
    """Make the job this user's own: it starts with this process's environment, in its folder."""
    job = record.paths
    job.check_is_here()
    if outside := links_out(job.folder):
        text = f"has a link out of its folder, which its run would write to: {outside}"
        raise UsageError(f"{job.name}: {text}")
    lock = take_lock(job.lock, patience=0.2)
    if lock is None:
        raise UsageError(f"{job.name}: is starting")
    try:
        for path in (job.slurm, job.stop):  # the number of another job in Slurm; an old request
            path.unlink(missing_ok=True)
        record_environment(job.environment, this_environment())
        edit_queue(record, boot=processes.boot(), hold=False)
        submissions.record(job.folder)
    finally:
        os.close(lock)


AUTOPILOT_PAUSE = 20.0
"""Seconds after which whoever looks on carries the autopilot on: job ends do it at once."""


def autopilot_record(lab: LabPaths) -> dict[str, Any]:
    """The autopilot's file; empty where there is none, or it is not of this user and this lab.

    A stranger's lab, or a copied one, has none.
    """
    if not os.path.lexists(lab.private.autopilot):
        return {}
    record = own_record(lab.private.autopilot)
    return record if record.get("lab") == str(real(lab.root)) else {}


def wake_autopilot(lab: LabPaths, pause: float = AUTOPILOT_PAUSE) -> None:
    """Start the process that carries an active autopilot on, unless that ran `pause` seconds ago.

    By command line, as it reads documents and results, which the queue does not know.
    """
    if not autopilot_record(lab).get("active"):
        return
    with contextlib.suppress(OSError):
        if time.time() - lab.private.autopilot_lock.stat().st_mtime < pause:
            return
    if is_locked(lab.private.autopilot_lock):
        return
    process = subprocess.Popen(
        _autopilot(lab),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=lab.root,
        env={k: v for k, v in os.environ.items() if k != processes.MARKER},
        start_new_session=True,
    )
    processes.in_thread(process.wait)


def _autopilot(lab: LabPaths) -> list[str]:
    return [*PYTHON, "-m", "vitlab.lab.autopilot.step", str(lab.root)]


def main(arguments: Sequence[str]) -> int:
    """`python -m vitlab.jobs.queue.scheduler ROOT [--no-local]`: a supervisor ends as this.

    And this, where there is an active autopilot, as what carries that on.
    """
    lab, local = LabPaths(Path(arguments[0])), "--no-local" not in arguments
    try:
        advance(lab, local)
        if local and autopilot_record(lab).get("active"):
            os.execv(sys.executable, _autopilot(lab))
    except (UsageError, OSError) as error:  # a full disk, a lab that is gone
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
