"""A program in a pseudo-terminal, as a person has it: what it draws, when, and what it costs."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil


class Program:
    """One program in a terminal of its own."""

    def __init__(
        self,
        argv: Sequence[str],
        folder: Path,
        *,
        size: tuple[int, int] = (160, 45),
        rate: float | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """`rate`: bytes a second its terminal takes, as a slow line does; None for all at once."""
        self._rate = rate
        columns, lines = size
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            size_words = {"COLUMNS": str(columns), "LINES": str(lines)}
            os.environ.update({"TERM": "xterm-256color", **size_words, **(env or {})})
            os.execv(argv[0], list(argv))
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.process = psutil.Process(self.pid)

    def read(self, seconds: float) -> bytes:
        """What has come, waiting for it at most so long; empty when nothing came."""
        if not select.select([self.terminal], [], [], max(seconds, 0.0))[0]:
            return b""
        if self._rate is None:
            return os.read(self.terminal, 65536)
        part = os.read(self.terminal, max(int(self._rate / 20), 1))
        time.sleep(len(part) / self._rate)
        return part

    def wait(self, mark: bytes, seconds: float = 120.0) -> float:
        """Seconds until `mark` has arrived."""
        begin, seen = time.perf_counter(), b""
        while mark not in seen:
            came = self.read(seconds)
            if not came:
                raise TimeoutError(f"{mark!r} never came: {seen[-300:]!r}")
            seen = seen[-200:] + came
        return time.perf_counter() - begin

    def press(self, keys: bytes) -> None:
        os.write(self.terminal, keys)

    def drain(self, seconds: float) -> int:
        """Take what comes for so long; how many bytes it was."""
        end, count = time.perf_counter() + seconds, 0
        while (left := end - time.perf_counter()) > 0:
            count += len(self.read(left))
        return count

    def seconds(self) -> float:
        """Processor seconds of it and its children so far."""
        return sum(t.user + t.system for t in (one.cpu_times() for one in self._tree()))

    def memory(self) -> float:
        """Resident MB of it and its children."""
        return sum(one.memory_info().rss for one in self._tree()) / 1e6

    def _tree(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]

    def close(self) -> None:
        for one in reversed(self._tree()):
            one.send_signal(signal.SIGTERM)
        os.close(self.terminal)
        os.waitpid(self.pid, 0)
