"""The process that reads a program's own metrics, as its supervisor sees it.

It may be slow, crash, hang on a pattern or be killed: it is started again a few times, then told
of once. Nothing here waits for it longer than a limit, and the job itself is never touched.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from vitlab.contract.paths import JobPaths
from vitlab.jobs.processes import INCOMPLETE, MARKER, PYTHON, Process, descriptors, when_possible

READY_LIMIT = 10.0
"""Seconds a job waits at its start until the files that are already there are known."""
SILENCE_LIMIT = 60.0
"""Seconds without a sign of life after which it is ended and started again."""
FINISH_LIMIT = 60.0
"""Seconds it has at the job's end for what it has not read yet."""
STOP_LIMIT = 3.0
"""The same where a person has asked for the end."""
LISTEN = 0.5
"""Seconds between two looks for such a request."""
END_LIMIT = 5.0
"""Seconds until a killed process must be gone."""
RESTARTS = 3
LOOK_INTERVAL = 60.0
"""Seconds at most between two looks for a W&B run."""


@dataclass
class _Process:
    pid: int
    control: int
    """Its standard input: once it is closed, it reads the rest and ends."""
    life: int
    """Its standard output: a byte for each round."""


class MetricsProcess:
    """`python -m vitlab.jobs.metrics.follow` for one attempt of one job."""

    def __init__(self, job: JobPaths, log_from: int) -> None:
        """`log_from`: where the attempt's lines in the log begin."""
        attempt = f"{time.time():.6f}"
        self._arguments = [str(job.folder), attempt, str(log_from)]
        self._process: _Process | None = None
        self._starts = 0
        self._last_sign = time.monotonic()
        self.fault = ""
        """Why the numbers are not read any more, or not to their end; empty while all is well."""

    def start(self, stopped: Callable[[], bool]) -> None:
        """Start it, and wait until it knows what is there before the job begins, or is stopped."""
        self._spawn()
        until = time.monotonic() + READY_LIMIT
        while self._process is not None and not self._signs(LISTEN):
            if time.monotonic() >= until or stopped():
                return  # it goes on by itself; what it has not seen yet is told by it

    def check(self) -> None:
        """Start it again if it died, end it if it gives no sign of life."""
        if self._process is None:
            return
        if self._signs(0.0):
            self._last_sign = time.monotonic()
        if self._process is not None and time.monotonic() - self._last_sign > SILENCE_LIMIT:
            self._end(f"no response for {SILENCE_LIMIT:.0f} s")

    def finish(self, stopped: Callable[[], bool]) -> None:
        """Let it read the rest, for `FINISH_LIMIT` seconds at most; `STOP_LIMIT` once stopped."""
        begun = time.monotonic()
        while self._process is not None:
            if self._process.control >= 0:
                os.close(self._process.control)
                self._process.control = -1
            limit = STOP_LIMIT if stopped() else FINISH_LIMIT
            left = begun + limit - time.monotonic()
            if left <= 0:
                self._starts = RESTARTS + 1
                self._end(f"cut {limit:.0f} s after the job's end")
                return
            self._signs(min(left, LISTEN))

    def kill(self) -> None:
        """End it at once: nobody wants its numbers any more."""
        self._starts = RESTARTS + 1
        if self._process is not None:
            self._end("")

    def _spawn(self) -> None:
        self._starts += 1
        self._last_sign = time.monotonic()
        argv = [*PYTHON, "-m", "vitlab.jobs.metrics.follow", *self._arguments]
        environment = {name: value for name, value in os.environ.items() if name != MARKER}
        opened: list[int] = []
        try:
            opened += os.pipe()
            opened += os.pipe()
            their_control, control, life, their_life = opened
            ends = [
                (os.POSIX_SPAWN_DUP2, their_control, 0),
                (os.POSIX_SPAWN_DUP2, their_life, 1),
            ]
            # A session of its own: else it would be ended as one of the job's processes.
            spawn = partial(os.posix_spawn, file_actions=ends, setsid=True,
                            setsigdef=[signal.SIGTERM, signal.SIGINT])  # fmt: skip
            pid = when_possible(lambda: spawn(sys.executable, argv, environment))
        except OSError as error:  # no memory or descriptor for another process
            for descriptor in opened:
                os.close(descriptor)
            self.fault = f"the reader could not be started: {error.strerror}"
            return
        os.close(their_control)
        os.close(their_life)
        os.set_blocking(life, False)
        self._process = _Process(pid, control, life)

    def _signs(self, seconds: float) -> bool:
        """Whether it has given a sign of life within `seconds`; collects it when it has ended."""
        assert self._process is not None
        if not _is_readable(self._process.life, seconds):
            return False
        with contextlib.suppress(BlockingIOError):
            if not os.read(self._process.life, 4096):
                self._ended()
                return False
        return True

    def _end(self, why: str) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)
        self._ended(why)

    def _ended(self, why: str = "") -> None:
        """Collect the ended process; start it again unless it was done, or this came too often."""
        process, self._process = self._process, None
        assert process is not None
        finishing = process.control < 0
        for descriptor in (process.control, process.life):
            if descriptor >= 0:
                os.close(descriptor)
        code = _exit_code(process.pid)
        if code is None:
            self.fault = "the reader cannot be stopped: is a disk not responding?"
            return
        if code == 0 and finishing:
            return
        if code == INCOMPLETE and finishing:
            self.fault = "not all could be read"
            return
        if not why:
            why = f"it ended with {f'signal {-code}' if code < 0 else f'exit code {code}'}"
        if self._starts > RESTARTS:
            self.fault = f"the reader failed {self._starts} times, the last time: {why}"
            return
        self._spawn()


class WandbLook:
    """Notes the link of the W&B run of a program whose metrics nobody reads."""

    def __init__(self, job: JobPaths, members: Callable[[], Iterable[Process]]) -> None:
        """`members`: the job's processes."""
        self._job, self._members = job, members
        self._noted = ""
        self._next, self._pause = 0.0, 1.0

    def look(self) -> None:
        """Look which file of W&B they have open, less and less often."""
        if time.monotonic() < self._next:
            return
        self._pause = min(2 * self._pause, LOOK_INTERVAL)
        self._next = time.monotonic() + self._pause
        file = self._open_file()
        if file and file != self._noted and self._note(file):
            self._noted = file

    def _open_file(self) -> str:
        for one in self._members():
            for _, file in descriptors(one.pid):
                if file.endswith(".wandb"):
                    return file
        return ""

    def _note(self, file: str) -> bool:
        """Have the link noted of the run that the file is of; whether it was."""
        argv = [*PYTHON, "-m", "vitlab.jobs.metrics.follow", str(self._job.folder), "wandb", file]
        quiet = [(os.POSIX_SPAWN_OPEN, n, os.devnull, os.O_RDWR, 0) for n in range(3)]
        try:
            pid = os.posix_spawn(sys.executable, argv, os.environ, file_actions=quiet)
        except OSError:  # no memory for another process
            return False
        return _exit_code(pid) == 0


def _exit_code(pid: int) -> int | None:
    """The exit code (or minus the signal) of a child that ends now; None for one that does not."""
    until = time.monotonic() + END_LIMIT
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > until:
            return None
        time.sleep(0.01)


def _is_readable(descriptor: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(max(seconds, 0.0) * 1000))
