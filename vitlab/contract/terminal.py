"""Texts of files on their way to a terminal, which obeys control characters whoever wrote them."""

from __future__ import annotations

import contextlib
import io
import os
import re
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from typing_extensions import Buffer

UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]|\r(?!\n)"
)
"""Controls (C0, C1), what turns or hides the text around it, and surrogates; not the joiners of
emoji and of Persian."""
_CONTROL = re.compile("[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""Those of them that no text has."""
_OURS = re.compile("(\x1b\\[[0-9;]*m|\x1b\\[K|\r)")
"""Colours, and the line that changes while one waits."""


def harmless(text: str) -> str:
    """`text` with its control, turning and invisible characters written out, as JSON has them.

    `\\u001b` for an escape; tabs and the ends of lines stay.
    """
    return UNSAFE.sub(_written, text)


def spreadsheet_text(cell: object) -> object:
    """A cell of a table of values for a CSV file; none is one a spreadsheet runs as a formula."""
    if not isinstance(cell, str) or len(cell) < 2 or cell[0] not in "=+-@\t\r":
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def _written(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x10000:
        return f"\\u{code:04x}"
    return f"\\u{0xD800 + (code - 0x10000 >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


class _Harmless:
    """A stream that takes texts as `harmless` makes them."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        self.stream.write(harmless(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class _Lasting:
    """A stream that, once it cannot be written, takes all that follows and keeps none of it.

    What a command does is not cut off half-way because a log's disk is full; a reader that is gone
    (`BrokenPipeError`) is for the caller, who ends.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.failure: OSError | None = None

    def write(self, text: str) -> int:
        self._try(lambda: self.stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(self.stream.flush)

    def _try(self, act: Callable[[], object]) -> None:
        try:
            act()
        except BrokenPipeError:
            raise
        except OSError as error:
            self.failure = self.failure or error
            drop_output(self.stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class _Waiting(io.RawIOBase):
    """A descriptor that others have put into non-blocking mode, written as a blocking one is."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        while True:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:
                select.select([], [self._descriptor], [])


def _waiting(stream: TextIO) -> TextIO:
    """The stream; where its descriptor is in non-blocking mode one that waits for room."""
    try:
        if os.get_blocking(stream.fileno()):
            return stream
        stream.flush()
    except (OSError, ValueError, AttributeError):
        return stream
    buffer = io.BufferedWriter(_Waiting(stream.fileno()))
    return io.TextIOWrapper(buffer, stream.encoding, stream.errors, line_buffering=stream.isatty())


def drop_output(stream: TextIO) -> None:
    """Send the rest of a stream nowhere: Python must not try to write it at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


_muting = threading.Lock()


@contextlib.contextmanager
def muted_panics() -> Iterator[None]:
    """What a library writes to standard error of its own goes nowhere: an exception tells of it.

    A panic of polars prints a stack of 4 kB, from a thread that no filter of ours sees.
    """
    with _muting, contextlib.ExitStack() as after:
        with contextlib.suppress(OSError):  # none is open
            own = os.dup(2)
            after.callback(os.close, own)
            after.callback(os.dup2, own, 2)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
        yield


@contextlib.contextmanager
def harmless_output() -> Iterator[None]:
    """All that is printed is `harmless`, but for `print_drawn` and `print_exact`.

    An output that cannot be written fails nothing: `lost_output` says so.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, _Harmless(_lasting(stream))) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _lasting(stream: TextIO) -> TextIO:
    return stream if isinstance(stream, _Harmless) else cast(TextIO, _Lasting(_waiting(stream)))


def lost_output() -> OSError | None:
    """Why standard output cannot be written; None if it was, as far as that is known."""
    stream = _inner(sys.stdout)
    stream.flush()
    return stream.failure if isinstance(stream, _Lasting) else None


def print_drawn(text: str, end: str = "\n", file: TextIO | None = None) -> None:
    """Print a drawing of ours: colours and the start of the line pass, no other control does."""
    parts = _OURS.split(text + end)
    shown = (part if k % 2 else harmless(part) for k, part in enumerate(parts))
    stream = _inner(file or sys.stdout)
    stream.write("".join(shown))
    stream.flush()


@dataclass
class Progress:
    """How far a long computation is, on stderr: a line that changes where a person watches, else
    one every 10 seconds."""

    what: str
    """Is done: `spectra`."""
    total: int = 0
    begun: float = field(default_factory=time.monotonic)
    shown: float = field(default_factory=time.monotonic)
    before: int = 0
    """Done in earlier parts."""
    is_drawn: bool = False
    """Whether there is a line to clear."""

    def report(self, done: int, of: int = 0) -> None:
        """`done` of the present part; `of`: the total, where it was not known."""
        done, self.total = done + self.before, of or self.total
        now, live = time.monotonic(), sys.stderr.isatty()
        if now - self.shown < (0.2 if live else 10):
            return
        self.shown, self.is_drawn = now, live
        left = (now - self.begun) / max(done, 1) * (self.total - done)
        text = f"{done} of {self.total} {self.what}, {int(left) // 60}:{int(left) % 60:02} left"
        end = "\x1b[K" if live else "\n"
        print_drawn("\r" * live + text, end, sys.stderr)

    def close(self) -> None:
        if self.is_drawn:
            print_drawn("\r\x1b[K", "", sys.stderr)


def in_color() -> bool:
    """Whether colours are printed: on a terminal, unless NO_COLOR is set (https://no-color.org)."""
    dumb = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not dumb


def painted(text: str, color: str) -> str:
    """`text` in a colour of the terminal's own (`31`, a parameter of SGR); empty for none."""
    return f"\x1b[{color}m{text}\x1b[0m" if color and text else text


_DIFF = {"+++ ": "1", "--- ": "1", "@@ ": "36", "+": "32", "-": "31"}
"""The colour of a line of a diff by how it begins."""


def print_exact(text: str) -> None:
    """Print a diff: `harmless` on a terminal, in colours; elsewhere exact but for controls."""
    if in_color():
        print_drawn("\n".join(map(_painted_line, harmless(text).split("\n"))), "")
    elif sys.stdout.isatty():
        sys.stdout.write(harmless(text))
    else:
        _inner(sys.stdout).write(_CONTROL.sub(_written, text))


def _painted_line(line: str) -> str:
    text = line.rstrip("\r")
    color = next((color for head, color in _DIFF.items() if line.startswith(head)), "")
    return painted(text, color) + line[len(text) :]


def _inner(stream: TextIO) -> TextIO:
    while isinstance(stream, _Harmless):
        stream = stream.stream
    return stream
