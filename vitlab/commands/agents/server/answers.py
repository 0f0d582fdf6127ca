"""What a tool answers: a small page of data, marked as such, with a cursor for the rest."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import resource
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vitlab.commands.agents.arguments import Parser
from vitlab.commands.common import Options
from vitlab.contract.paths import UsageError
from vitlab.contract.terminal import harmless
from vitlab.jobs.processes import PYTHON

PAGE = 2400
"""Characters of the items of an answer; the first is given whatever its size."""
LONGEST = 280
"""Characters of one text; the rest is left out, and told."""
SECONDS = 30.0
"""What a command that is run apart may take, unless it is given more."""
LIMITS = {
    resource.RLIMIT_DATA: 2 << 30,
    resource.RLIMIT_FSIZE: 16 << 20,
    resource.RLIMIT_CPU: 240,
}
"""The same of memory, of output in bytes, and of all its threads in seconds of CPU: it ends though
we are killed."""
APART, TURN = 2, 10.0
"""How many commands are run apart at once, and the seconds that another waits for its turn."""
NOTES = 3
"""Notes of a command that are handed on."""
_printing = threading.Lock()
"""What a command prints is caught for the whole process, so one runs at a time."""


_apart = threading.BoundedSemaphore(APART)


@dataclass(frozen=True)
class Answer:
    """An answer, which is sent as JSON."""

    data: object
    """What documents, programs and logs say, and vitlab's values of them."""
    own: Mapping[str, object] = field(default_factory=dict)
    """vitlab's own words and numbers beside it: cursors, the budget."""
    notes: Sequence[str] = ()
    """What a command noted; it may quote documents."""

    def to_json(self) -> str:
        """On one line, without control, turning and invisible characters."""
        notes = {"notes": [shortened(one) for one in self.notes[:NOTES]]} if self.notes else {}
        record = {"data": safe(self.data), **self.own, **notes}
        return json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def safe(value: object) -> object:
    """A value with its texts as `harmless` makes them, and numbers that JSON has."""
    match value:
        case str():
            return harmless(value)
        case float():
            return value if abs(value) < float("inf") else None
        case Mapping():
            return {harmless(str(name)): safe(one) for name, one in value.items()}
        case list() | tuple():
            return [safe(one) for one in value]
        case None | bool() | int():
            return value
        case _:
            return harmless(str(value))


def shortened(value: Any) -> Any:
    """A value whose long texts are cut, each with how much is left out."""
    match value:
        case str() if len(value) > LONGEST:
            return f"{value[:LONGEST]}... ({len(value) - LONGEST} characters more)"
        case dict():
            return {name: shortened(one) for name, one in value.items()}
        case list() | tuple():
            return [shortened(one) for one in value]
        case _:
            return value


def page(items: Sequence[object], cursor: str | None) -> tuple[list[object], dict[str, object]]:
    """The items of a page, and the cursor of the next one, if there is one."""
    start = _start(cursor)
    chosen: list[object] = []
    size = 0
    for item in items[start:]:
        short = shortened(item)
        size += len(json.dumps(safe(short), ensure_ascii=False))
        if chosen and size > PAGE:
            break
        chosen.append(short)
    following = start + len(chosen)
    if following >= len(items):
        return chosen, {}
    return chosen, {"more": f"{len(items) - following} left", "cursor": str(following)}


def _start(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not cursor.isdecimal() or len(cursor) > 9:
        raise UsageError(f"cursor {cursor[:40]!r}: is none that this tool gave")
    return int(cursor)


def chosen(record: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Some keys of a record: those of `names` that it has a value for."""
    return {name: record[name] for name in names if record.get(name) not in (None, "", [], {})}


def run(options: Options, name: str, *words: str) -> tuple[Any, list[str]]:
    """What a command prints with `--json`, and its notes; its refusal as `UsageError`.

    `words` are our own, or hold what was checked: an option's value as `--option=VALUE`.
    """
    parser = Parser(prog=f"vitlab {name}")
    options[name](parser)
    said, noted = io.StringIO(), io.StringIO()
    with (
        _printing,
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(noted),
    ):
        try:
            args = parser.parse_args(["--json", *words])
            handler: Callable[[argparse.Namespace], int] = args.handler
            handler(args)
        except SystemExit:
            raise UsageError(noted.getvalue().strip().rpartition("\n")[2]) from None
    return json.loads(said.getvalue()), _notes(noted.getvalue())


def run_apart(name: str, *words: str, seconds: float = SECONDS) -> tuple[Any, list[str]]:
    """As `run`, in a process of its own within limits: for what may cost without end."""
    if not _apart.acquire(timeout=TURN):
        raise UsageError(f"{name}: {APART} such calls are at work; ask again when they have ended")
    try:
        return _run_apart(name, words, seconds)
    finally:
        _apart.release()


def _run_apart(name: str, words: Sequence[str], seconds: float) -> tuple[Any, list[str]]:
    argv = [*PYTHON, "-m", "vitlab", name, "--json", *words]
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as noted:
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=said, stderr=noted) as process:
            try:
                for kind, most in LIMITS.items():
                    resource.prlimit(process.pid, kind, (most, most))
                process.wait(seconds)
            except (subprocess.TimeoutExpired, ProcessLookupError):  # it may have ended already
                pass
            finally:
                process.kill()
        said.seek(0)
        noted.seek(0)
        notes = _notes(noted.read(LIMITS[resource.RLIMIT_FSIZE]).decode("utf-8", "replace"))
        if process.returncode == 2 and notes:
            raise UsageError(notes[-1])
        if process.returncode:
            raise UsageError(f"{name}: takes more than {seconds:.0f} s or 2 GiB; ask for less")
        return json.loads(said.read()), notes


def _notes(text: str) -> list[str]:
    return [line.removeprefix("vitlab: ") for line in text.splitlines()]
