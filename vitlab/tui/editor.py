"""Which program opens a document at a line: the user's own editor, never through a shell."""

from __future__ import annotations

import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from vitlab.contract.paths import UsageError

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
        raise UsageError(f"the editor {named!r} can not be read: {error}") from error
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
        raise UsageError(f"{argv[0]} ended with status {done.returncode}")
