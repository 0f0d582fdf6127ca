"""The terminal: what happens when it is gone, its clipboard and notices, the user's editor."""

from __future__ import annotations

import base64
import codecs
import contextlib
import os
import re
import select
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

from textual._ansi_sequences import SYNC_END, SYNC_START
from textual._xterm_parser import XTermParser
from textual.app import App, SuspendNotSupported
from textual.drivers import linux_driver
from textual.drivers.linux_driver import LinuxDriver
from textual.geometry import Size
from textual.message import Message

from vitlab.contract.paths import UsageError
from vitlab.tui.terminal.cells import Cells, Update
from vitlab.tui.text import clean


class _Gone:
    """A stream that takes everything, also after its other end has hung up."""

    def __init__(self, stream: IO[str], taken: Callable[[], object]) -> None:
        """`taken()` is called when the other end has taken all there was."""
        self._stream, self._taken = stream, taken

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()
        self._taken()

    def fileno(self) -> int:
        return self._stream.fileno()


class _End(threading.Event):
    """Set when the thread that reads keys is to end; it asks ten times a second, key or none.

    In a quiet terminal the answer waits for the next key, so that nothing wakes an idle screen.
    """

    def __init__(self, keys: int) -> None:
        super().__init__()
        self._keys = keys
        self._end, self._set_end = os.pipe()
        self._quiet = 0
        """How often it asked since the last key."""

    def set(self) -> None:
        super().set()
        os.write(self._set_end, b".")

    def clear(self) -> None:
        if super().is_set():
            os.read(self._end, 1)
        super().clear()

    def is_set(self) -> bool:
        if threading.current_thread() is not threading.main_thread() and not super().is_set():
            key = self._waits(None if self._quiet >= QUIET else 0.0)
            self._quiet = 0 if key else self._quiet + 1
            if key and self._has_hung_up():
                # As the kernel tells those whose controlling terminal it was; then rest: a terminal
                # that is gone is always ready to be read.
                os.kill(os.getpid(), signal.SIGHUP)
                select.select([self._end], [], [])
        return super().is_set()

    def _has_hung_up(self) -> bool:
        keys = select.poll()
        keys.register(self._keys, 0)  # hanging up is told whatever is asked for
        return any(what & select.POLLHUP for _, what in keys.poll(0))

    def _waits(self, seconds: float | None) -> bool:
        """Whether there is a key, or the end, within so many seconds; None: as long as it takes."""
        return bool(select.select([self._keys, self._end], [], [], seconds)[0])


_PASTE = "\x1b[200~", "\x1b[201~"
"""Begin and end of one."""
_KEY = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f](\[\d{1,3}(;\d{1,3})?u)?")
"""What a terminal sends for a key with ctrl, or escape."""


def _lenient(encoding: str) -> partial[codecs.IncrementalDecoder]:
    """A decoder that bytes of a terminal in another encoding do not end, and so no keys either."""
    return partial(codecs.getincrementaldecoder(encoding), errors="replace")


class _Keys(XTermParser):
    """Textual's own reader of keys, which would wait for the end of a paste for ever.

    The line may break within one. A key by itself that nobody pastes, as escape or ctrl+c, ends it.
    """

    _in_paste = False

    def feed(self, data: str) -> Iterable[Message]:
        if self._in_paste and _KEY.fullmatch(data) and not data.startswith(_PASTE):
            yield from super().feed(_PASTE[1])
            self._in_paste = False
        begin, end = map(data.rfind, _PASTE)
        if begin != end:
            self._in_paste = begin > end
        yield from super().feed(data)


linux_driver.XTermParser = _Keys  # type: ignore[attr-defined]
linux_driver.getincrementaldecoder = _lenient  # type: ignore[attr-defined, assignment]


class Terminal(LinuxDriver):
    """Textual's own driver, whose writer would die with the terminal.

    The next write would then wait for ever, and the screen would never end. Of a picture it sends
    what differs from the one before, and the next one when the terminal has taken that: a slow line
    shows the newest, not all that were drawn meanwhile.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._file: Any = _Gone(self._file, self._taken)
        self.exit_event = _End(self.fileno)
        self.cells = Cells(self._app.console._color_system)
        self._sending = self._late = False
        """Whether a picture is on its way, and whether another waits for that."""
        self._sent, self._length = 0.0, 0
        """When the last picture was sent, and of how many characters it is."""
        self._is_slow = False
        self._cursor = (-1, -1)
        self._state: tuple[tuple[int, int], bool] | None = None
        """As last shown: the cursor, and whether the terminal shows a picture at once. None: the
        terminal is not ours."""
        self._kept: tuple[tuple[int, int], bool] | None = None
        """What it was when the terminal was given away."""
        self._is_leaving = False

    def _sigcont_application(self, *given: Any) -> None:
        """Go on after a stop, also one that no ctrl+z has told: else two threads read the keys."""
        if self._is_leaving:  # stopped within this, as it is in the background
            return
        if self._auto_restart and self._key_thread is not None and self._key_thread.is_alive():
            self._is_leaving = True
            try:
                self.suspend_application_mode()
            finally:
                self._is_leaving = False
        super()._sigcont_application(*given)

    def start_application_mode(self) -> None:
        self.cells.forget()  # an editor was here, or a shell
        self._cursor, self._sending = (-1, -1), False
        super().start_application_mode()  # type: ignore[no-untyped-call]
        self._state = self._kept
        self.send()

    def stop_application_mode(self) -> None:
        # Nothing follows: the terminal is the shell's again.
        self._kept, self._state = self._state or self._kept, None
        super().stop_application_mode()

    def show(self, update: Update, size: Size, cursor: tuple[int, int], *, whole: bool) -> None:
        """Show a picture, or parts of one, with the cursor at column and line.

        `whole`: the terminal can be told to show all of a picture at once.
        """
        self.cells.put(update, size)
        self._state = cursor, whole
        self.send()

    def send(self) -> None:
        """Send what differs, unless the terminal has not taken the last yet: then it follows."""
        self._late = True
        if self._sending or self._state is None:
            return
        self._late = False
        cursor, whole = self._state
        changes = self.cells.changes(is_slow=self._is_slow)
        if changes or cursor != self._cursor:
            self._cursor, self._sending = cursor, True
            picture = f"{changes}\x1b[{cursor[1] + 1};{cursor[0] + 1}H"
            self._sent, self._length = time.monotonic(), len(picture)
            self.write(f"{SYNC_START}{picture}{SYNC_END}" if whole else picture)

    def repaint(self) -> None:
        """Send everything: something else may have written to the terminal."""
        self.cells.forget()
        self.send()

    def _taken(self) -> None:
        """In the writer's thread, whenever it has nothing more to write."""
        if self._sending:
            took = time.monotonic() - self._sent
            # A small picture fits what lies between us and a slow line: it tells nothing.
            self._is_slow = took > SLOW or (self._is_slow and self._length < BUFFERED)
        self._sending = False
        if self._late:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._send_late)

    def _send_late(self) -> None:
        if self._late:
            self.send()


SLOW, BUFFERED = 0.25, 20_000
"""Seconds in which a picture is taken where its bytes cost nothing, and the characters that may be
taken at once by what lies before a slow line."""
QUIET = 10
"""Tenths of a second after a key in which an escape sequence is surely over."""
LONGEST = 72_000
"""Bytes of a text the clipboard is given: many a terminal drops a longer sequence."""
CHUNK = 240
"""Characters GNU screen passes on at once."""


def environment(app: App[Any]) -> Mapping[str, str]:
    """The environment, as far as it describes the terminal: in a browser there is none."""
    return {} if app.is_web else os.environ


def emit(app: App[Any], sequence: str) -> None:
    """Send the terminal a sequence that draws nothing."""
    if app._driver is not None and not app.is_headless:
        app._driver.write(sequence)
        app._driver.flush()


def through(sequence: str, environment: Mapping[str, str]) -> str:
    """The sequence wrapped so that tmux (`allow-passthrough on`) or screen hands it on."""
    if environment.get("TMUX"):
        inner = sequence.replace("\x1b", "\x1b\x1b")
        return f"\x1bPtmux;{inner}\x1b\\"
    if environment.get("TERM", "").startswith("screen"):
        parts = [sequence[at : at + CHUNK] for at in range(0, len(sequence), CHUNK)]
        return "".join(f"\x1bP{part}\x1b\\" for part in parts)
    return sequence


def clipboard(text: str, environment: Mapping[str, str]) -> str:
    """OSC 52, by which a terminal, however far away, takes a text into its clipboard.

    In tmux plain and wrapped: the first works with `set-clipboard on`, the second with
    `allow-passthrough on`, and the same text twice does no harm.
    """
    coded = base64.b64encode(text.encode()).decode()
    plain = f"\x1b]52;c;{coded}\a"
    wrapped = through(plain, environment)
    return plain + wrapped if environment.get("TMUX") else wrapped


def into_tmux(text: str) -> bool:
    """Give tmux the text, which hands it to the terminal's clipboard by itself; blocking.

    By its command: its default, `set-clipboard external`, ignores sequences.
    """
    argv = ["tmux", "load-buffer", "-w", "-"]
    try:
        done = subprocess.run(
            argv,
            input=text.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def desktop(title: str, body: str, osc: str | int, environment: Mapping[str, str]) -> str:
    """OSC 9 or 777, by which a terminal shows a notice on the desktop."""
    title, body = (clean(part).replace(";", ",") for part in (title, body))
    if osc == "auto":
        term = environment.get("TERM", "")
        knows_777 = term.startswith(("foot", "rxvt")) or "VTE_VERSION" in environment
        osc = 777 if knows_777 else 9
    # Not OSC 9 with a number first: that is a progress bar in some terminals.
    notice = f"777;notify;{title};{body}" if osc == 777 else f"9;{title}: {body}"
    return through(f"\x1b]{notice}\a", environment)


_PLUS = ("vi", "vim", "nvim", "view", "nano", "emacs", "emacsclient", "micro", "kak", "joe", "ne")
"""Those that take the line as `+12` before the file."""
_COLON = ("hx", "helix", "zed", "subl")
"""Those that take it as `file:12`."""
_GOTO = ("code", "codium", "code-insiders", "cursor")
"""Those that take it as `-g file:12`."""


def editor_command(environment: Mapping[str, str], path: Path, line: int) -> list[str]:
    """The argv that opens `path` at `line` (1-based), by `$VISUAL`, or else `$EDITOR`."""
    named = environment.get("VISUAL") or environment.get("EDITOR") or ""
    try:
        words = shlex.split(named)
    except ValueError as error:
        raise UsageError(f"the editor {named!r} cannot be read: {error}") from error
    if not words:
        raise UsageError("no editor is set: export EDITOR=vim (or nano, hx, code, ...) and reopen")
    name, at = Path(words[0]).name, max(line, 1)
    file = str(path.absolute())  # so that no name is taken for an option
    if name in _PLUS:
        return [*words, f"+{at}", file]
    if name in _COLON:
        return [*words, f"{file}:{at}"]
    if name in _GOTO:
        return [*words, "-g", f"{file}:{at}"]
    return [*words, file]


def open_editor(app: App[Any], path: Path, line: int) -> str:
    """Give the terminal to the user's editor until it ends; a line on what went wrong, or empty."""
    try:
        argv = editor_command(os.environ, path, line)
        problem = ""
        # The terminal is the editor's: nothing is to be drawn, so the event loop may wait.
        with app.suspend():  # which does not take the terminal back after an exception
            try:
                run_editor(argv)
            except UsageError as error:
                problem = str(error)
    except SuspendNotSupported:
        return "the editor cannot be opened here: no terminal"
    except UsageError as error:
        return str(error)
    finally:
        app.refresh()
    return problem


def run_editor(argv: Sequence[str]) -> None:
    """Run it to its end in the terminal, which must be its own meanwhile."""
    # Ctrl-C is meant for the editor. A handler of ours, unlike SIG_IGN, is not inherited.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        done = subprocess.run(argv, check=False)
    except OSError as error:
        raise UsageError(f"{argv[0]}: {error.strerror}") from error
    finally:
        signal.signal(signal.SIGINT, before)
    if done.returncode:
        raise UsageError(f"{argv[0]} exited with status {done.returncode}")
