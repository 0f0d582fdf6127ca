"""A program in a pseudo-terminal, as a person has it: what it draws, when, and what it costs."""

from __future__ import annotations

import fcntl
import math
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil
import pyte


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
        emulated: bool = False,
    ) -> None:
        """`rate`: bytes a second its terminal takes, as a slow line does; None for all at once.

        `emulated`: what the terminal shows is known, for programs that send what differs alone.
        """
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
        self.shown = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.shown) if emulated else None

    def read(self, seconds: float) -> bytes:
        """What has come, waiting for it at most so long; empty when nothing came."""
        if not select.select([self.terminal], [], [], max(seconds, 0.0))[0]:
            return b""
        if self._rate is None:
            part = os.read(self.terminal, 65536)
        else:
            part = os.read(self.terminal, max(int(self._rate / 20), 1))
            time.sleep(len(part) / self._rate)
        if self._stream is not None:
            self._stream.feed(part)
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

    def wait_for(self, true: Callable[[], bool], seconds: float = 120.0) -> float:
        """Seconds until something holds of what its terminal shows."""
        begin = time.perf_counter()
        while not true():
            if not self.read(seconds):
                raise TimeoutError("\n".join(self.shown.display))
        return time.perf_counter() - begin

    def time_to(
        self, true: Callable[[], bool], seconds: float = 120.0, at_once: float = 0.3
    ) -> float:
        """The same, but the emulator is shown what comes in `at_once` seconds only after them.

        It takes tens of ms for a screen, in which nothing would be read: not the program's time.
        """
        begin, stream, self._stream = time.perf_counter(), self._stream, None
        assert stream is not None
        try:
            while time.perf_counter() < begin + seconds:
                parts, end = [], time.perf_counter() + at_once
                while (left := end - time.perf_counter()) > 0:
                    if part := self.read(left):
                        parts.append((time.perf_counter(), part))
                found = math.inf
                for at, part in parts:
                    stream.feed(part)
                    if found == math.inf and true():
                        found = at - begin
                if found < math.inf:
                    return found
        finally:
            self._stream = stream
        raise TimeoutError("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """What its terminal shows; none in the midst of a change that halves a wide character."""
        try:
            return list(self.shown.display)
        except IndexError:  # pyte keeps the right half of what was written over
            return []

    def shows(self, words: str) -> bool:
        """Whether the words stand in a line of its terminal."""
        return any(words in line for line in self.lines())

    def look(self, words: str) -> tuple[object, ...]:
        """How the first line with these words is written, at their beginning; empty: nowhere."""
        for number, line in enumerate(self.lines()):
            if words in line:
                return tuple(self.shown.buffer[number][line.index(words)])
        return ()

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
