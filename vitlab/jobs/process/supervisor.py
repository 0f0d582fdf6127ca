"""The process that runs one job: `python -m vitlab.jobs.process.supervisor JOBDIR`.

It holds the job's lock, writes `started.json`, starts the job's own process, ends it on request,
writes `exit.json`, and then becomes the scheduler for a moment, so the queue advances with nobody
watching. It loads the standard library only and stays below 15 MB.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from vitlab.contract.events import STOPPED, read_events
from vitlab.contract.paths import JobPaths
from vitlab.jobs import processes
from vitlab.jobs.files import (
    ReservedFile,
    archive_run,
    exit_record,
    read_json,
    take_lock,
    write_json,
    write_owner,
)
from vitlab.jobs.process.child import (
    Child,
    End,
    command,
    disk_free,
    explain,
    file_size,
    follow,
    last_error,
    last_words,
    start,
    start_notice,
    unreleased_gpu_memory,
    write_command_result,
)
from vitlab.jobs.process.health import (
    Facts,
    Health,
    History,
    Limits,
    add_events,
    health,
    read_policy,
)
from vitlab.jobs.process.program import environment, keep_outputs
from vitlab.jobs.processes import process

if TYPE_CHECKING:
    from vitlab.jobs.logs.metrics import FileFollower, LogFollower

LIMIT = 1 << 30
"""Bytes a log may have."""
KEPT = 16 << 20
"""Bytes of its end that survive a cut, in `out.1.log`."""


def cut_log(log: Path, limit: int = LIMIT, kept: int = KEPT) -> bool:
    """Cut `log` when it is larger than `limit`; True when it was cut.

    Its writers append, so they continue at the new end; what they write while the end is copied is
    lost. An earlier `out.1.log` is replaced. A link is the log of an adopted run, and not cut.
    """
    if log.is_symlink():
        return False
    kept_in = JobPaths(log.parent).old_log
    try:
        size = log.stat().st_size
        if size <= limit:
            return False
        with log.open("rb") as source, kept_in.open("wb") as target:
            source.seek(size - kept)
            source.readline()
            while block := source.read(1 << 20):
                target.write(block)
    except FileNotFoundError:
        return False
    except OSError:
        kept_in.unlink(missing_ok=True)  # the disk is full: free some space first
    os.truncate(log, 0)
    notice = f"[vitlab] the log had {size} bytes and was cut; its end is in {kept_in.name}\n"
    with contextlib.suppress(OSError), log.open("ab") as file:
        file.write(notice.encode())
    return True


CHECK_INTERVAL = 2.0
"""Seconds between two checks."""
MEMORY_INTERVAL = 60.0
"""Seconds between two samples of its memory."""


class Monitor:
    """Appends to `health.jsonl` whenever the verdict changes."""

    def __init__(
        self,
        job: JobPaths,
        pid: int,
        offset: int,
        limits: Limits,
        follower: FileFollower | LogFollower | None,
    ) -> None:
        """`offset`: where this run's events begin; earlier ones are not judged."""
        self._job = job
        self._pid = pid
        self._follower = follower
        self._offset = offset
        self.history = History()
        self._limits = limits
        self._verdict: Health | None = None
        self._start = self._last_event = self._next = time.monotonic()
        self._memory: tuple[int, ...] = ()
        self._sample = self._start + MEMORY_INTERVAL

    def check(self, alive: bool, last: bool = False) -> Health | None:
        """The verdict, renewed every `CHECK_INTERVAL` seconds and at the end."""
        now = time.monotonic()
        if now < self._next and not last:
            return self._verdict
        self._next = now + CHECK_INTERVAL
        if self._follower is not None:
            # A file being replaced, or a full disk: the next check reads what is new.
            with contextlib.suppress(OSError):
                self._follower.poll()
        events, self._offset = read_events(self._job.events, self._offset)
        if events:
            self._last_event = now
            self.history = add_events(self.history, events)
        if last and not events and self._verdict is None:
            return None
        cut_log(self._job.log)
        running = process(self._pid)
        if running is not None and now >= self._sample:
            self._memory = (*self._memory[-19:], running.resident)
            self._sample = now + MEMORY_INTERVAL
        facts = Facts(
            running=now - self._start,
            silent=now - self._last_event,
            alive=alive,
            stopped=running is not None and running.state == "T",
            memory=self._memory,
        )
        verdict = health(self.history, facts, self._limits)
        before = self._verdict
        if before is None or (before.status, before.what) != (verdict.status, verdict.what):
            write_health(self._job, verdict)
        self._verdict = verdict
        return verdict


def write_health(job: JobPaths, verdict: Health) -> None:
    """Append one verdict to `health.jsonl`."""
    line = json.dumps(
        {
            "v": 1,
            "t": round(time.time(), 3),
            "status": verdict.status,
            "what": verdict.what,
            "evidence": verdict.evidence,
        },
        ensure_ascii=False,
    )
    # A full disk, or a deleted folder, must not end the supervisor.
    with contextlib.suppress(OSError), job.health.open("ab", buffering=0) as file:
        file.write(line.encode() + b"\n")


POLL = 2.0
"""Seconds between checks of `stop` and of the job's health, of 0.3 ms each; the child's end, and a
stop requested on this machine, wake us at once."""
GRACE = 20.0
"""Seconds between SIGTERM and SIGKILL, unless the lab's settings say otherwise."""


class Supervisor:
    """One run of one job."""

    def __init__(self, job: JobPaths, lock: int) -> None:
        self.job = job
        self.lock = lock
        self.root = job.folder.parents[2]
        self.orders = read_json(job.lock)
        """From the scheduler: device, devices, environment, grace, commit."""
        me = processes.process(os.getpid())
        self.ticks = me.ticks if me else 0
        self.session = _own_session()
        self.stop_reason = ("", "")
        """Outcome and line, once the job is to be ended; empty before."""
        self.failure: tuple[str, str] | None = None
        """Outcome and line, once its health and policy end this attempt."""
        extra = read_json(job.spec).get("extra")
        self.extra: dict[str, Any] = extra if isinstance(extra, dict) else {}
        self.policy = read_policy(self.extra)
        adopted = self.extra.get("adopt")
        self.adopted = _identity(adopted) if isinstance(adopted, dict) else None
        """Pid and start of an adopted process."""
        self.slurm = str(self.orders.get("slurm", ""))
        """The number of the Slurm job we are the batch step of."""
        self.uses_srun = False
        """Whether its process is `srun`, which starts the job on several nodes."""
        self.gpu_memory = ""
        """GPU memory that was not released after the last attempt, with its holder."""
        self.requeue = False
        """Its time limit in Slurm is near: it is to be queued again."""
        self.began = time.time()

    def run(self) -> None:
        """Run the job to its end; afterwards `exit.json` is there."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGCONT, lambda *_: None)  # it ends the wait: see `processes.wake`
        if self.slurm:
            signal.signal(signal.SIGUSR2, self._on_time)
        resumed = archive_run(self.job)
        self._write_started(command(self.job, resumed, self.orders.get("across", ()))[0])
        self.job.resume.unlink(missing_ok=True)
        if lacking := environment(self.job, {})[1]:
            why = f"submitted with {', '.join(lacking)}, which the process that starts it lacks"
            write_health(self.job, Health("warn", "environment", f"{why}; secrets are not stored"))
        reserve = ReservedFile(self.job.exit)
        self._check_stop()
        end, peak = End(None, None), 0
        restarts = 0
        while not self.stop_reason[0]:
            end, used = self._attempt(resumed)
            peak = max(peak, used)
            reason, detail = self.failure or explain(end)
            failed = self.failure or reason in ("nan", "stalled")
            if not failed or self.policy.action != "restart" or restarts >= self.policy.restarts:
                break
            restarts += 1
            text = f"restart {restarts} of {self.policy.restarts} after {reason}: {detail}"
            write_health(self.job, Health("warn", "restarted", text))
            resumed = True
        if self.adopted and self.stop_reason[0]:  # perhaps before we watched it
            self._end()
        if self.requeue and end.code != 0:
            from vitlab.jobs.slurm import requeue  # only a batch step needs it

            requeue(self.job, self.slurm)
        else:
            self._write_exit(reserve, end, peak)

    def _attempt(self, resumed: bool) -> tuple[End, int]:
        """Run the job's process once: how it ended, and its peak bytes."""
        argv, cwd = command(self.job, resumed, self.orders.get("across", ()))
        self.uses_srun = bool(self.slurm) and Path(argv[0]).name == "srun"
        kills_before = processes.oom_kills()
        events_from, log_from = file_size(self.job.events), file_size(self.job.log)
        self.failure = None
        environment = self.orders.get("environment", {})
        try:
            follower = follow(self.job, self.extra, cwd, log_from, self.adopted is not None)
            child = (
                Child(self.adopted[0]) if self.adopted else start(self.job, argv, cwd, environment)
            )
        except OSError as error:  # no memory for another process
            words = f"cannot start {argv[0]}: {error.strerror}"
            return End(127, None, last_words=words), 0
        monitor = Monitor(self.job, child.pid, events_from, self.policy.limits, follower)
        code, peak = self._watch(monitor, child.pid)
        if why := child.failure():
            return End(127, None, last_words=f"cannot start {argv[0]}: {why}"), 0
        self.gpu_memory = unreleased_gpu_memory(self.orders, self._grace)
        if self.gpu_memory:
            write_health(self.job, Health("warn", "gpu memory", self.gpu_memory))
        if code == 0 and not self.stop_reason[0]:
            for why in keep_outputs(self.job):
                write_health(self.job, Health("warn", "outputs", why))
        if code == 0 or self.adopted:
            write_command_result(self.job, monitor.history, time.time() - self.began)
        end = End(
            code=code if code is not None and code >= 0 else None,
            signal=-code if code is not None and code < 0 else None,
            last_words=last_words(self.job.log, log_from),
            error=last_error(self.job.events, events_from),
            disk_free=disk_free(self.job.folder),
            oom_kills=processes.oom_kills() - kills_before,
        )
        return end, 0 if self.uses_srun else peak  # of `srun` alone; the nodes' is not known here

    def _watch(self, monitor: Monitor, pid: int) -> tuple[int | None, int]:
        """Watch the process to its end: exit code (or minus its signal), and peak bytes."""
        try:
            with processes.Waiter(pid, self.adopted[1] if self.adopted else None) as waiter:
                pause = POLL / 8  # many jobs have ended, or written events, by then
                while True:
                    self._check_stop()
                    if self.stop_reason[0] or self.failure:
                        self._end()
                    if (ended := waiter.wait(pause)) is not None:
                        break
                    pause = POLL
                    self._judge(monitor.check(alive=True))
            monitor.check(alive=True, last=True)
            return ended
        finally:
            # Processes the job left running would keep its device.
            processes.end_all(self._members, min(self._grace, 5.0))

    def _end(self) -> None:
        """TERM, grace, KILL to all processes of the job, on all its nodes."""
        if self.uses_srun:
            from vitlab.jobs.slurm import signal_steps  # only a batch step needs it

            # A TERM to `srun` itself would kill what it started before that has saved its state.
            by_slurm = partial(signal_steps, self.slurm)
            if processes.end_all(self._members, self._grace, by_slurm):
                return
        processes.end_all(self._members, self._grace)

    def _judge(self, verdict: Health | None) -> None:
        if verdict is None or verdict.status != "bad" or self.policy.action == "warn":
            return
        outcome = {"not finite": "nan", "stalled": "stalled"}.get(verdict.what, "failed")
        self.failure = (outcome, f"{verdict.what}: {verdict.evidence}")

    @property
    def _grace(self) -> float:
        return float(self.orders.get("grace", GRACE))

    def _members(self) -> list[processes.Process]:
        if self.adopted:
            return processes.tree(*self.adopted)
        return processes.members(self.session, self.ticks, self.job.folder)

    def _check_stop(self) -> None:
        if self.stop_reason[0]:
            return
        if self.job.stop.exists():
            self.stop_reason = ("killed", STOPPED)
        elif not self.job.folder.exists():
            self.stop_reason = ("killed", "its folder was deleted")

    def _on_signal(self, number: int, _frame: object) -> None:
        self.stop_reason = ("killed", f"its supervisor was ended by {signal.Signals(number).name}")

    def _on_time(self, _number: int, _frame: object) -> None:
        self.requeue, self.stop_reason = True, ("killed", "its time limit was near")

    def _write_started(self, argv: Sequence[str]) -> None:
        owner: dict[str, Any] = {
            **self.orders,
            "v": 1,
            "host": os.uname().nodename,
            "boot": processes.boot(),
            "pid": os.getpid(),
            "ticks": self.ticks,
            "session": self.session,
            "started": round(self.began, 3),
            "device": self.orders.get("device", "cpu"),
        }
        write_owner(self.lock, owner)
        owner.pop("environment", None)
        write_json(self.job.started, {**owner, "argv": list(argv)})

    def _write_exit(self, reserve: ReservedFile, end: End, peak: int) -> None:
        reason, detail = self.stop_reason if self.stop_reason[0] else self.failure or explain(end)
        detail = "; ".join(words for words in (detail, self.gpu_memory) if words)
        started = round(self.began, 3)
        reserve.write(
            exit_record(reason, detail, started, code=end.code, number=end.signal, peak=peak)
        )


def _identity(adopted: Mapping[str, Any]) -> tuple[int, int]:
    return int(adopted.get("pid", 0)), int(adopted.get("ticks", 0))


def _own_session() -> int:
    """The session shared by all of the job's processes; -1 when we cannot have our own."""
    with contextlib.suppress(PermissionError):  # already the leader of a group, or of a session
        os.setsid()
    return os.getpid() if os.getsid(0) == os.getpid() else -1


def main(arguments: Sequence[str]) -> NoReturn:
    """`JOBDIR [LOCK]`: LOCK is the descriptor of the job's lock, taken by our parent process."""
    job = JobPaths(Path(arguments[0]).resolve())
    lock = int(arguments[1]) if len(arguments) > 1 else take_lock(job.lock)
    if lock is None:
        sys.exit(f"{job.name}: is already running")
    os.set_inheritable(lock, False)
    supervisor = Supervisor(job, lock)
    with contextlib.suppress(FileNotFoundError):  # the folder was deleted under the job
        supervisor.run()
        start_notice(job, wait=bool(supervisor.slurm))
    # This releases the lock; the same process then schedules the next jobs.
    scheduler = [sys.executable, "-P", "-m", "vitlab.jobs.queue.scheduler", str(supervisor.root)]
    os.execv(sys.executable, [*scheduler, "--no-local"] if supervisor.slurm else scheduler)


if __name__ == "__main__":
    main(sys.argv[1:])
