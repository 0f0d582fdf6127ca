"""Numbers of a program that writes no events: from its metrics file, log or W&B file.

The supervisor of such a job writes `events.jsonl` in its place. Standard library only.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitlab.contract.events import EventWriter
from vitlab.contract.value import Value

WANDB_HEADER = b":W&B"
WANDB_HEADER_SIZE = 7
BLOCK = 32_768
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
# Record types, and field numbers of wandb_internal.proto.
HISTORY = 2
ITEM, STEP = 1, 2
WANDB_KEY, NESTED_KEY, INTEGER, NUMBER, VALUE_JSON = 1, 2, 5, 6, 16
STEP_NUMBER = 1

Field = tuple[int, int | bytes]


def wandb_rows(data: bytes) -> list[Mapping[str, Any]]:
    """The logged rows, oldest first, each with its `step`; a half written end is left out."""
    if not data.startswith(WANDB_HEADER):
        return []
    logged: list[Mapping[str, Any]] = []
    try:
        for record in _records(data):
            for number, value in _fields(record):
                if number == HISTORY and isinstance(value, bytes):
                    logged.append(_row(value))
    except (IndexError, ValueError, struct.error):
        pass  # the rest is being written, or is no such file; the rows before are valid
    return logged


def _records(data: bytes) -> Iterator[bytes]:
    at, parts = WANDB_HEADER_SIZE, b""
    while at + 7 <= len(data):
        left = BLOCK - at % BLOCK
        if left < 7:
            at += left
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        chunk = data[at + 7 : at + 7 + length]
        if kind not in (FULL, FIRST, MIDDLE, LAST) or len(chunk) < length:
            return
        parts = chunk if kind in (FULL, FIRST) else parts + chunk
        at += 7 + length
        if kind in (FULL, LAST):
            yield parts


def _fields(message: bytes) -> Iterator[Field]:
    """Number and value of each field: an int for varints, bytes for the rest."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        wire = tag & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield tag >> 3, value
            continue
        if wire == 2:
            size, at = _varint(message, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if at + size > len(message):
            raise ValueError("cut off")
        yield tag >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _row(history: bytes) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for number, value in _fields(history):
        if number == ITEM and isinstance(value, bytes):
            name, content = _item(value)
            row[name] = content
        elif number == STEP and isinstance(value, bytes):
            row.setdefault("step", dict(_fields(value)).get(STEP_NUMBER, 0))
    return row


def _item(item: bytes) -> tuple[str, Any]:
    """Name (nested ones joined by a dot) and value of one logged number."""
    names: list[str] = []
    content: Any = None
    for number, value in _fields(item):
        if number in (WANDB_KEY, NESTED_KEY) and isinstance(value, bytes):
            names.append(value.decode("utf-8", "replace"))
        elif number == NUMBER and isinstance(value, bytes):
            (content,) = struct.unpack("<d", value)
        elif number == INTEGER and isinstance(value, int):
            content = value - (1 << 64) if value >> 63 else value
        elif number == VALUE_JSON and isinstance(value, bytes):
            content = json.loads(value)
    return ".".join(names), content


MAX_BYTES = 64 << 20
"""Bytes of a file that are read at most."""
KEY = "metrics"
"""Of `Spec.extra`."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """Where the numbers are, and our names for them."""

    names: Mapping[str, str]
    """Their name -> ours: `val_r2` -> `val/r2/log_g`."""
    file: str = ""
    """CSV, JSON lines or `.wandb`, from the program's folder; may hold `*` (Lightning's
    `lightning_logs/version_*/metrics.csv`), then the newest file counts."""
    pattern: str = ""
    """In place of a file: a regular expression on the log's lines, with groups named as theirs."""
    step: str = "step"
    epoch: str = "epoch"


def read_source(extra: Mapping[str, Any]) -> Source | None:
    """The source in a spec's `extra`; None when there is none, or it is not valid."""
    keys = extra.get(KEY)
    if not isinstance(keys, Mapping) or not isinstance(keys.get("names"), Mapping):
        return None
    names = {str(theirs): str(ours) for theirs, ours in keys["names"].items()}
    words = {key: str(keys[key]) for key in ("step", "epoch") if key in keys}
    places = {key: str(keys[key]) for key in ("file", "pattern") if keys.get(key)}
    return Source(names=names, **places, **words)


class LogFollower:
    """Writes events for the lines of a log that match the declared pattern."""

    def __init__(self, source: Source, log: Path, events: Path, start: int = 0) -> None:
        """`start`: where this run's lines begin."""
        self._source = source
        self._pattern = re.compile(source.pattern)
        self._log = log
        self._events = events
        self._offset = start
        self._count = 0

    def poll(self) -> None:
        """Write what is new; half a line is read once it is whole."""
        with self._log.open("rb") as file:
            if file.seek(0, os.SEEK_END) < self._offset:
                self._offset = 0  # it was cut, as it had grown too large
            file.seek(self._offset)
            block = file.read(MAX_BYTES)
        block = block[: block.rfind(b"\n") + 1]
        self._offset += len(block)
        lines = re.split(r"[\r\n]+", block.decode("utf-8", "replace"))
        rows = [match.groupdict() for line in lines if (match := self._pattern.search(line))]
        fresh = list(enumerate(rows, self._count))
        self._count += len(rows)
        if fresh:
            with EventWriter(self._events) as writer:
                for kind, data in as_events(fresh, self._source):
                    writer.write(kind, **data)


class FileFollower:
    """Writes events for the new rows of a metrics file."""

    def __init__(self, source: Source, folder: Path, events: Path, whole: bool = False) -> None:
        """`whole`: existing rows belong to this run too."""
        self._source = source
        self._folder = folder
        self._events = events
        self._seen = {} if whole else {path: len(read_rows(path)) for path in self._files()}
        self._sizes: dict[Path, tuple[int, int]] = {}

    def poll(self) -> None:
        """Write what is new; a file rewritten from its start keeps its row count.

        Lightning rewrites it whenever a column is added.
        """
        for path in self._files()[-1:]:
            status = path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if self._sizes.get(path) == stamp:
                return
            self._sizes[path] = stamp
            rows = read_rows(path)
            fresh = list(enumerate(rows))[self._seen.get(path, 0) :]
            self._seen[path] = len(rows)
            with EventWriter(self._events) as writer:
                for kind, data in as_events(fresh, self._source):
                    writer.write(kind, **data)

    def _files(self) -> list[Path]:
        files = [path for path in self._folder.glob(self._source.file) if path.is_file()]
        return sorted(files, key=lambda path: path.stat().st_mtime_ns)


def read_rows(path: Path) -> list[Row]:
    """The complete rows of a CSV or `.wandb` file (by its suffix), or of JSON lines."""
    with path.open("rb") as file:
        block = file.read(MAX_BYTES)
    if path.suffix == ".wandb":
        return list(wandb_rows(block))
    text = block[: block.rfind(b"\n") + 1].decode("utf-8", "replace")
    if path.suffix == ".csv":
        return list(csv.DictReader(io.StringIO(text)))
    return [row for line in text.split("\n") if (row := _json(line))]


def _json(line: str) -> Row:
    try:
        row = json.loads(line)
    except ValueError:
        return {}
    return row if isinstance(row, dict) else {}


def as_events(
    rows: Iterable[tuple[int, Row]], source: Source
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The events, as kind and data, of numbered rows: one for each split of a row."""
    for number, row in rows:
        splits: dict[str, dict[str, float]] = {}
        for theirs, ours in source.names.items():
            value = _number(row.get(theirs))
            if value is not None:
                splits.setdefault(Value.parse(ours).split, {})[ours] = value
        step = _number(row.get(source.step))
        epoch = _number(row.get(source.epoch))
        known = step is not None and math.isfinite(step)
        at: dict[str, Any] = {"step": int(step or 0) if known else number}
        if epoch is not None:
            at["epoch"] = epoch
        for split, values in splits.items():
            if split in ("val", "test"):
                yield "eval", {**at, "split": split, "values": values}
            else:
                yield "step", {**at, "values": values}


def _number(value: object) -> float | None:
    """The number in a CSV or JSON cell; None for an empty one. NaN counts as a number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None
