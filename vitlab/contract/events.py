"""What a running job reports: `events.jsonl`, one JSON object per line, appended whole."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeGuard, get_args

VERSION = 1
KINDS = ("start", "step", "eval", "checkpoint", "note", "end")

Outcome = Literal["ok", "failed", "killed", "oom", "nan", "stalled", "disk_full", "import_error"]
"""How a job can end: the `reason` of `exit.json`."""
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

STOPPED, NEVER_BEGAN = "stopped on request", "stopped before it began"
"""`detail` of a job that a person stopped."""


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

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        if not _ends_with_newline(path):
            # A killed writer left half a line: end it, so that ours is whole.
            os.write(self._descriptor, b"\n")

    def write(self, kind: str, **data: object) -> None:
        """Append one event; non-finite numbers become null and are named in `nonfinite`."""
        assert kind in KINDS, kind
        values = data.get("values")
        if isinstance(values, Mapping):
            bad = [n for n, x in values.items() if x is None or not math.isfinite(x)]
            data["values"] = {n: None if n in bad else float(x) for n, x in values.items()}
            if bad:
                data["nonfinite"] = bad
        line = json.dumps(
            {"v": VERSION, "t": round(time.time(), 3), "kind": kind, **data},
            ensure_ascii=False,
            allow_nan=False,
        )
        os.write(self._descriptor, line.encode() + b"\n")

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


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            return True
        file.seek(size - 1)
        return file.read(1) == b"\n"


def read_events(path: Path, offset: int = 0, limit: int = 1 << 24) -> tuple[list[Event], int]:
    """The complete lines from byte `offset` on, and the offset for the next call.

    Unknown kinds and broken lines are skipped, and those whose time or step is not finite; such an
    epoch is left out, such a value is None. An incomplete last line is left for the next call. A
    file shorter than `offset` (replaced or truncated) is read from its start. One call reads at
    most `limit` bytes.
    """
    try:
        with path.open("rb") as file:
            if file.seek(0, os.SEEK_END) < offset:
                offset = 0
            file.seek(offset)
            block = file.read(limit)
    except FileNotFoundError:
        return [], 0
    end = block.rfind(b"\n") + 1
    if end == 0 and len(block) == limit:
        end = limit  # a line longer than the limit is not an event: skip it
    return list(_parse(block[:end])), offset + end


def _parse(block: bytes) -> Iterator[Event]:
    for line in block.split(b"\n"):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(record, dict) or record.get("v") != VERSION:
            continue
        kind, t = record.pop("kind", None), record.pop("t", None)
        if kind in KINDS and _is_finite(t) and _is_finite(record.get("step", 0)):
            del record["v"]
            if not _is_finite(record.get("epoch", 0)):
                del record["epoch"]
            if isinstance(values := record.get("values"), dict):
                record["values"] = {n: x if _is_finite(x) else None for n, x in values.items()}
            yield Event(kind, float(t), record)


def _is_finite(value: object) -> TypeGuard[float]:
    """Whether it is a number that a float can hold."""
    return isinstance(value, int | float) and abs(value) <= sys.float_info.max
