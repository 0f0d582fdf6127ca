"""The terminal as it may be gone at any moment: a window closed, a connection lost."""

from __future__ import annotations

import contextlib
from typing import IO, Any

from textual.drivers.linux_driver import LinuxDriver


class _Gone:
    """A stream that takes everything, also after its other end has hung up."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()


class Terminal(LinuxDriver):
    """Textual's own driver, whose writer would die with the terminal.

    The next write would then wait for ever, and the screen would never end.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._file: Any = _Gone(self._file)
