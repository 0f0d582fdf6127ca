"""What a running job reports: `events.jsonl`, one JSON object per line, appended whole."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, get_args

from vitlab.contract.reading import LATEST, is_finite, mended, open_regular

VERSION = 1
KINDS = ("start", "step", "eval", "checkpoint", "note", "end")

Outcome = Literal[
    "ok", "failed", "killed", "oom", "nan", "stalled", "disk_full", "import_error", "unknown"
]
"""How a job can end: the `reason` of `exit.json`. `unknown`: a run started by hand, or behind a
shell, has ended, and nothing it left says that it ended well."""
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

STOPPED, NEVER_BEGAN = "stopped on request", "stopped before it began"
DROPPED = "lost, then dropped"
"""`detail` of a job that a person stopped."""


def job_mark(submitted: object) -> str:
    """Of one job among those of its name: when it was submitted; empty where that is no number."""
    return f"submitted {float(submitted)!r}" if is_finite(submitted) else ""


def may_be_of(submitted: object, mark: object) -> bool:
    """Whether a file with this mark may be of the job submitted then: it names no other job."""
    return not submitted or mark in ("", None, job_mark(submitted))


@dataclass(frozen=True)
class Event:
    """One line of `events.jsonl`."""

    kind: str
    t: float
    """Unix seconds."""
    data: Mapping[str, Any]
    """The other keys of the line, as written."""

    @property
    def step(self) -> int:
        return int(self.data.get("step", 0))

    @property
    def values(self) -> Mapping[str, float | None]:
        """`split/metric/label` -> number; None for a non-finite one."""
        values = self.data.get("values")
        return values if isinstance(values, dict) else {}


class EventWriter:
    """Appends events to a file, one `write` per line, so lines never interleave."""

    def __init__(self, path: Path, step: int | float = 0) -> None:
        """`step` is that of the last event, from which one without a finite step counts on."""
        self._path = path
        self.step = step
        # Neither waits for the reader of a pipe that is in its place, nor follows a link.
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
        self._descriptor = os.open(path, flags, 0o666)
        # Half a line left by a killed writer or a full disk is ended, so that the next is whole.
        self._half_line = not _ends_with_newline(path)

    def write(self, kind: str, **data: object) -> dict[str, str]:
        """Append one event; non-finite values become null and are named in `nonfinite`.

        A value or epoch that is no number is left out, a step that is none is the next one.
        Returns these by name, each with a line on what was done.
        """
        line, odd = self.line(kind, **data)
        self.append(line)
        return odd

    def line(self, kind: str, **data: object) -> tuple[bytes, dict[str, str]]:
        """The line of an event, which is not written yet, and what `write` returns."""
        assert kind in KINDS, kind
        odd = self._place(data)
        if isinstance(values := data.get("values"), Mapping):
            numbers: dict[str, float | None] = {}
            bad = []
            for name, value in values.items():
                number = as_number(value)
                if number is not None and is_finite(number):
                    numbers[str(name)] = float(number)
                elif number is None and value is not None:
                    odd[str(name)] = f"{name}: {_word(value)} is not a number; left out"
                else:
                    numbers[str(name)] = None
                    bad.append(str(name))
            data["values"] = numbers
            if bad:
                data["nonfinite"] = bad
        record = {"v": VERSION, "t": round(time.time(), 3), "kind": kind, **data}
        return _ENCODER.encode(record).encode("utf-8", "replace") + b"\n", odd

    def append(self, line: bytes) -> None:
        """Write a line; after an `OSError` it can be written again, as a whole."""
        rest = b"\n" + line if self._half_line else line
        self._half_line = True
        while rest:  # a disk that is nearly full takes a part
            rest = rest[os.write(self._descriptor, rest) :]
        self._half_line = False

    def _place(self, data: dict[str, object]) -> dict[str, str]:
        """Make step, number of steps and epoch numbers that a reader accepts."""
        odd: dict[str, str] = {}
        for name in ("step", "of", "epoch"):
            if name not in data:
                continue
            number = as_number(data[name])
            if number is not None and is_finite(number):
                data[name] = int(number) if name != "epoch" and number == int(number) else number
                continue
            done = "the next one is used" if name == "step" else "left out"
            odd[name] = f"{name}: {_word(data.pop(name))} is not a finite number, {done}"
            if name == "step":
                data["step"] = self.step + 1
        if isinstance(step := data.get("step"), int | float):
            self.step = step
        return odd

    def is_open(self) -> bool:
        """Whether it still writes to the file of that path.

        Not when that was replaced or removed, or a program closed the descriptor behind our back.
        """
        try:
            now = os.stat(self._path)  # noqa: PTH116 - called at every event: a third of the time
            return os.path.samestat(os.fstat(self._descriptor), now)
        except OSError:
            return False

    def close(self) -> None:
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


def as_number(value: object) -> int | float | None:
    """`value` as a number: one of Python, numpy or torch, a Decimal, text; None when it is none."""
    try:
        if type(value).__name__ == "MaskedConstant":  # numpy's mean of nothing; `float` gives 0
            return None
        if type(value) not in (int, float):
            item = getattr(value, "item", None)
            value = item() if callable(item) else value
            value = value if isinstance(value, int | float) else float(value)  # type: ignore[arg-type]
        float(value)  # type: ignore[arg-type]
    except Exception:  # whatever a program's own class raises; an integer too large for a float
        return None
    return value  # type: ignore[return-value]


def _word(value: object) -> str:
    """An odd value in a message: short, without asking an unknown class."""
    return repr(value)[:40] if type(value) in (str, float, type(None)) else type(value).__name__


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            return True
        file.seek(size - 1)
        return file.read(1) == b"\n"


LIMIT = 1 << 24
"""Bytes that one call of `read_events` reads."""
_OBJECTS = re.compile(rb"^[ \t]*\{[^\n]{20,}", re.MULTILINE)
"""Lines that may be an event; millions that cannot are passed over at the speed of the disk."""


def read_events(path: Path, offset: int = 0, limit: int = LIMIT) -> tuple[list[Event], int]:
    """The complete lines from byte `offset` on, and the offset for the next call.

    Unknown kinds and broken lines are skipped, and those whose time or step is not finite; such an
    epoch or number of steps is left out, such a value is None. An incomplete last line is left for
    the next call. A file shorter than `offset` (replaced or truncated) is read from its start. One
    call reads at most `limit` bytes. Raises `Unreadable` for anything but a regular file.
    """
    try:
        descriptor = open_regular(path)
    except FileNotFoundError:
        return [], 0
    try:
        size = os.fstat(descriptor).st_size
        offset = 0 if size < offset else offset
        block = os.pread(descriptor, min(limit, size - offset), offset)
    finally:
        os.close(descriptor)
    end = block.rfind(b"\n") + 1
    if end == 0 and len(block) == limit:
        end = limit  # a line longer than the limit is not an event: skip it
    return list(_parse(block[:end])), offset + end


def _parse(block: bytes) -> Iterator[Event]:
    for line in _OBJECTS.findall(block):
        try:
            record = json.loads(mended(line.decode()) if b"\\u" in line else line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(record, dict) or record.get("v") != VERSION:
            continue
        kind, t = record.pop("kind", None), record.pop("t", None)
        if kind in KINDS and is_finite(t) and 0 <= t < LATEST and is_finite(record.get("step", 0)):
            del record["v"]
            for name in ("epoch", "of"):
                if not is_finite(record.get(name, 0)):
                    del record[name]
            if isinstance(values := record.get("values"), dict):
                record["values"] = {n: x if is_finite(x) else None for n, x in values.items()}
            yield Event(kind, float(t), record)
