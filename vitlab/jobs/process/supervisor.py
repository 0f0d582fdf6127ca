"""The process that runs one job: `python -m vitlab.jobs.process.supervisor JOBDIR`.

It holds the job's lock, writes `started.json`, starts the job's own process, ends it on request,
writes `exit.json`, and then becomes the scheduler for a moment, so the queue advances with nobody
watching. It loads the standard library only and stays below 16 MB.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from vitlab.contract.events import STOPPED
from vitlab.contract.paths import JobPaths, write_atomic
from vitlab.jobs import processes
from vitlab.jobs.files import (
    ReservedFile,
    archive_run,
    exit_record,
    place_of,
    read_json,
    read_own,
    take_lock,
    touch,
    write_json,
    write_owner,
)
from vitlab.jobs.process.budget_due import BudgetDue
from vitlab.jobs.process.child import (
    COMMAND,
    Child,
    command,
    keep_outputs,
    lacking_secrets,
    proof_of_end,
    shares_log,
    start,
    start_notice,
    unreleased_gpu_memory,
    write_command_result,
    write_start,
)
from vitlab.jobs.process.ending import (
    OUTSIDE,
    End,
    KernelKills,
    behind_shell,
    disk_free,
    explain,
    file_size,
    handing_over,
    last_error,
    last_words,
    printable,
    source_of,
)
from vitlab.jobs.process.health import Health, History, Policy, read_policy
from vitlab.jobs.process.metrics_process import MetricsProcess, WandbLook
from vitlab.jobs.process.monitor import Monitor, without_progress, write_health
from vitlab.jobs.processes import PYTHON

POLL = 2.0
"""Seconds between checks of `stop` and of the job's health, of 0.3 ms each; the child's end, and a
stop requested on this machine, wake us at once."""
GRACE = 20.0
"""Seconds between SIGTERM and SIGKILL, unless the lab's settings say otherwise."""
LONGEST_GRACE = 1e6


class _Watch:
    """Measures from a moment, in Unix seconds, by a clock that nobody sets."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._since = processes.uptime() - (time.time() - began)

    @property
    def taken(self) -> float:
        """Seconds since then."""
        return processes.uptime() - self._since

    @property
    def began(self) -> float:
        """That moment by the clock of now, which may have been set since."""
        now = time.time() - self.taken
        return round(self._began if abs(now - self._began) < 1.0 else now, 3)


class Supervisor:
    """One run of one job."""

    def __init__(self, job: JobPaths, lock: int) -> None:
        self.job = job
        self._named = job.folder  # by its processes, wherever it is moved to
        self._folder = os.open(job.folder, os.O_PATH | os.O_DIRECTORY)
        self.lock = lock
        self.root = job.root
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
        adopted = self.extra.get(processes.ADOPTED)
        self.adopted = processes.identity(adopted) if isinstance(adopted, dict) else None
        """Pid and start of an adopted process."""
        if self.adopted:  # nothing we notice ends a run that a person started
            self.policy = replace(self.policy, action="warn")
        self.restarts = 0
        self.is_command = read_json(job.spec).get("recipe") == COMMAND
        self.no_result = ""
        """Why a good end has no result; empty where it has one, or no numbers."""
        self.slurm = str(self.orders.get("slurm", ""))
        """The number of the Slurm job we are the batch step of."""
        self.uses_srun = False
        """Whether its process is `srun`, which starts the job on several nodes."""
        self.left = ("", 0)
        """See `End.left`."""
        self.gpu_memory = ""
        """GPU memory that was not released after the last attempt, with its holder."""
        self.requeue = False
        """Its time limit in Slurm is near: it is to be queued again."""
        self.by_slurm = False
        """Slurm ends its batch step: it is preempted, requeued or cancelled."""
        self.is_over = False
        """Its process has ended well: what is asked of it from now on comes too late."""
        self.began = processes.began(self.adopted[1]) if self.adopted else time.time()
        self.watch = _Watch(self.began)

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
        _no_request(self.job)
        reserve = ReservedFile(self.job.exit)
        self._check_stop()
        end, peak = End(None, None), 0
        while not self.stop_reason[0]:
            end, used = self._attempt(resumed)
            peak = max(peak, used)
            reason, detail = self.failure or explain(end)
            failed = self.failure or reason in ("nan", "stalled")
            may_restart = self.policy.action == "restart" and self.restarts < self.policy.restarts
            if not failed or not may_restart:
                break
            self.restarts += 1
            text = f"restart {self.restarts} of {self.policy.restarts} after {reason}: {detail}"
            write_health(self.job, Health("warn", "restarted", text))
            resumed = True
        if self.adopted and self.job.stop.exists():  # perhaps before we watched it
            _end(self)
        _no_request(self.job, was_made=True)  # nobody asks while it runs
        if self.by_slurm and not self.job.stop.exists():
            touch(self.job.resume)  # Slurm knows whether it starts it again; the next look asks
        elif not self.requeue or end.code == 0:
            self._write_exit(reserve, end, peak)
        elif why := _not_requeued(self.job, self.slurm):
            self.stop_reason = ("killed", f"{self.stop_reason[1]}; {why}")
            self._write_exit(reserve, end, peak)

    def _attempt(self, resumed: bool) -> tuple[End, int]:
        """Run the job's process once: how it ended, and its peak bytes."""
        argv, cwd = self.ran = command(self.job, resumed, self.orders.get("across", ()))
        self.uses_srun = bool(self.slurm) and Path(argv[0]).name == "srun"
        kills = KernelKills()
        self.failure, self.left = None, ("", 0)
        log_from = file_size(self.job.log, self.began if self.adopted else None)
        metrics = _metrics(self, 0 if self.adopted else log_from)
        events_from = file_size(self.job.events)
        try:
            if self.is_command:
                write_start(self.job, self.orders, resumed, self.began if self.adopted else None)
            try:
                child = _start(self, argv, cwd)
            except (OSError, ValueError) as error:  # no memory for another process, an odd text
                words = f"cannot start {argv[0]}: {getattr(error, 'strerror', None) or error}"
                return End(127, None, last_words=words), 0
            monitor = Monitor(self.job, child.pid, events_from, self.policy.limits, metrics)
            code, peak = self._watch(monitor, child.pid, kills)
            if metrics is not None:
                metrics.finish(self.is_stopped)
            monitor.check(alive=True, last=True, whole=not self.stop_reason[0])
        finally:
            if metrics is not None:
                metrics.kill()
        if why := child.failure():
            return End(127, None, last_words=f"cannot start {argv[0]}: {why}"), 0
        end = End(*_code_and_signal(code), own_codes=self.is_command)
        try:
            self.gpu_memory = unreleased_gpu_memory(self.orders, self._grace)
            if self.gpu_memory:
                write_health(self.job, Health("warn", "gpu memory", self.gpu_memory))
            end = replace(
                end,
                last_words="" if shares_log(self.job) else last_words(self.job.log, log_from),
                error=last_error(self.job.events, events_from),
                disk_free=disk_free(self.job.folder),
                oom_kills=kills.recent(),
                proof=proof_of_end(self.job, monitor.history),
                left=self.left,
                behind_shell=self.is_command and behind_shell(argv, cwd),
                source=source_of(argv, cwd),
            )
            if not self.stop_reason[0] and not self.failure and explain(end)[0] == "ok":
                self._write_result(monitor, metrics)
                for why in [] if self.adopted else keep_outputs(self.job):
                    write_health(self.job, Health("warn", "outputs", why))
        except Exception as error:  # a fault of ours must not hide how the job ended
            self.no_result = f"its end is not looked at: {type(error).__name__}: {error}"
        return end, 0 if self.uses_srun else peak  # of `srun` alone; the nodes' is not known here

    def _write_result(self, monitor: Monitor, metrics: MetricsProcess | None) -> None:
        """Write the last values of a program that wrote no result itself, if all were read."""
        self.is_over = True
        if self.no_result:
            return
        if metrics is not None and metrics.fault:
            self.no_result = f"no result: its metrics are not read to their end ({metrics.fault})"
            return
        try:
            self.no_result = write_command_result(self.job, monitor.history, self.watch.taken)
        except Exception as error:  # a full disk, a strange file: the job itself has ended well
            self.no_result = f"no result: {type(error).__name__}: {error}"

    def _watch(self, monitor: Monitor, pid: int, kills: KernelKills) -> tuple[int | None, int]:
        """Watch the process to its end: exit code (or minus its signal), and peak bytes."""
        wandb = WandbLook(self.job, self._members)
        budget = BudgetDue(self.job, self.extra, by_slurm=bool(self.slurm))
        try:
            with processes.Waiter(pid, self.adopted[1] if self.adopted else None) as waiter:
                pause = POLL / 8  # many jobs have ended, or written events, by then
                while True:
                    self._check_stop()
                    if self.stop_reason[0] or self.failure:
                        if self.adopted and not self.job.stop.exists():
                            return None, 0  # it goes on, without us
                        _end(self)
                    if (ended := waiter.wait(pause)) is not None:
                        self.left = _left(self, monitor, ended[0])
                        return ended
                    pause = POLL
                    kills.look()
                    budget.look()
                    self.failure = _judged(monitor.check(alive=True), self.policy) or self.failure
                    if self.is_command and "metrics" not in self.extra:
                        with contextlib.suppress(Exception):  # a link of no file it can name
                            wandb.look()
        finally:
            if not self.adopted:
                # Processes the job left running would keep its device.
                processes.end_all(self._members, min(self._grace, 5.0))

    @property
    def _grace(self) -> float:
        given = self.orders.get("grace")
        if isinstance(given, int | float) and 0 <= given < LONGEST_GRACE:  # NaN is not
            return float(given)
        return GRACE

    def _members(self) -> list[processes.Process]:
        if self.adopted:
            return processes.tree(*self.adopted)
        return processes.members(self.session, self.ticks, self._named)

    def _check_stop(self) -> None:
        if self.stop_reason[0]:
            return
        with contextlib.suppress(OSError):  # a disk that does not answer is no request
            if self.job.stop.exists():
                self.stop_reason = ("killed", STOPPED)
            elif not self.job.folder.exists():
                self._follow_folder()

    def _follow_folder(self) -> None:
        """It was deleted, moved, or its disk is gone for a while, which harms no process."""
        now = place_of(self._folder, self.job.folder)
        if now is None:
            self.stop_reason = ("killed", "its folder was deleted")
        elif now != self.job.folder:
            self.job, self.root = JobPaths(now), JobPaths(now).root
            self.no_result = "no result: its folder was moved while it ran"

    def is_stopped(self) -> bool:
        self._check_stop()
        return bool(self.stop_reason[0])

    def _on_signal(self, number: int, _frame: object) -> None:
        if self.is_over:
            return
        self.by_slurm = bool(self.slurm) and number == signal.SIGTERM
        why = f"its supervisor was ended by {signal.Signals(number).name}"
        if self.adopted:
            self.stop_reason = ("unknown", f"{why}; the run itself continues")
        else:
            self.stop_reason = ("killed", why)

    def _on_time(self, _number: int, _frame: object) -> None:
        if not self.is_over:
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
        words = [printable(one) for one in (detail, self.no_result, self.gpu_memory)]
        detail = "; ".join(one for one in words if one)
        began = self.watch.began
        if reserve.path != self.job.exit:
            reserve = ReservedFile(self.job.exit)
        record = exit_record(reason, detail, began, code=end.code, number=end.signal, peak=peak)
        reserve.write(_exit_bytes(self.job, record))


def _start(own: Supervisor, argv: list[str], cwd: Path) -> Child:
    if own.adopted:
        return Child(own.adopted[0])
    if why := lacking_secrets(own.job):
        write_health(own.job, Health("warn", "environment", why))
    return start(own.job, argv, cwd, own.orders.get("environment", {}))


def _no_request(job: JobPaths, was_made: bool = False) -> None:
    """Remove the request to resume a job; one that its program made (`was_made`) is told."""
    if job.is_resumed():
        job.resume.unlink()
        if was_made:
            text = f"it made a file {job.resume.name} in its folder, which was removed"
            write_health(job, Health("warn", "resume", text))


def _end(own: Supervisor) -> None:
    """TERM, grace, KILL to all processes of the job, on all its nodes."""
    if own.uses_srun:
        from vitlab.jobs.slurm import signal_steps  # only a batch step needs it

        # A TERM to `srun` itself would kill what it started before that has saved its state.
        if processes.end_all(own._members, own._grace, partial(signal_steps, own.slurm)):
            return
    processes.end_all(own._members, own._grace)


def _left(own: Supervisor, monitor: Monitor, code: int | None) -> tuple[str, int]:
    """See `End.left`."""
    if code or own.stop_reason[0] or own.adopted:
        return "", 0
    if not own._members():
        if not own.is_command or not (text := handing_over(*own.ran)):
            return "", 0
        from vitlab.jobs.metrics.ownership import begun_elsewhere  # rarely needed, as below

        other = begun_elsewhere(text, str(own.ran[1]), own.ticks)
        return other, OUTSIDE if other else 0
    from vitlab.jobs.metrics.ownership import left_running

    def history() -> History:
        monitor.check(alive=True)
        return monitor.history

    files = (read_own(own.job, own.job.metrics).get("state") or {}).get("files") or {}
    return left_running(own._members, history, files.get("ours") or ())


def _judged(verdict: Health | None, policy: Policy) -> tuple[str, str] | None:
    """Outcome and line where what was found ends the attempt."""
    if verdict is None or verdict.status != "bad" or policy.action == "warn":
        return None
    outcome = {"not finite": "nan", "stalled": "stalled"}.get(verdict.what, "failed")
    return outcome, f"{verdict.what}: {verdict.evidence}"


def _metrics(own: Supervisor, log_from: int) -> MetricsProcess | None:
    """Start what writes events for a program that writes none."""
    if "metrics" not in own.extra:
        return None
    metrics = MetricsProcess(own.job, log_from)
    metrics.start(own.is_stopped)
    return metrics


def _not_requeued(job: JobPaths, number: str) -> str:
    """Have Slurm run its job again; why that is not done, empty where it is."""
    from vitlab.jobs.slurm import requeue  # only a batch step needs it

    with contextlib.suppress(OSError):  # events that cannot be read show nothing
        if why := without_progress(job.events):
            return why
    requeue(job, number)
    return ""


def _code_and_signal(status: int | None) -> tuple[int | None, int | None]:
    """Of an exit code, or minus the signal that ended the process."""
    if status is None:
        return None, None
    return (status, None) if status >= 0 else (None, -status)


def _own_session() -> int:
    """The session shared by all of the job's processes; -1 when we cannot have our own."""
    with contextlib.suppress(PermissionError):  # already the leader of a group, or of a session
        os.setsid()
    return os.getpid() if os.getsid(0) == os.getpid() else -1


def _exit_bytes(job: JobPaths, record: Mapping[str, Any]) -> bytes:
    from vitlab.jobs.ends import exit_bytes

    return exit_bytes(job, record)


def _run(supervisor: Supervisor) -> None:
    """Run the job to its end; a fault of ours is an end too, with its reason."""
    try:
        supervisor.run()
    except Exception as error:
        if isinstance(error, FileNotFoundError) and not supervisor.job.folder.exists():
            raise
        traceback.print_exc()
        why = printable(f"{type(error).__name__}: {error}")
        record = exit_record(
            "failed", f"a fault of vitlab's ended it: {why}", supervisor.watch.began
        )
        if not supervisor.job.exit.exists():
            write_atomic(supervisor.job.exit, _exit_bytes(supervisor.job, record))


def main(arguments: Sequence[str]) -> NoReturn:
    """`JOBDIR [LOCK]`: LOCK is the descriptor of the job's lock, taken by our parent process."""
    job = JobPaths(Path(arguments[0]).absolute())
    lock = int(arguments[1]) if len(arguments) > 1 else take_lock(job.lock)
    if lock is None:
        sys.exit(f"{job.name}: is already running")
    os.set_inheritable(lock, False)
    supervisor = Supervisor(job, lock)
    with contextlib.suppress(FileNotFoundError):  # the folder was deleted under the job
        _run(supervisor)
        start_notice(supervisor.job, wait=bool(supervisor.slurm))
    # This releases the lock; the same process then schedules the next jobs.
    scheduler = [*PYTHON, "-m", "vitlab.jobs.queue.scheduler", str(supervisor.root)]
    os.execv(sys.executable, [*scheduler, "--no-local"] if supervisor.slurm else scheduler)


if __name__ == "__main__":
    main(sys.argv[1:])
