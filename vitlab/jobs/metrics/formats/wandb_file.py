"""The file of a W&B run, online or not (`run-ID.wandb`); wandb need not be installed."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vitlab.jobs.metrics.formats.cells import Chunk
from vitlab.jobs.metrics.formats.decoder import Decoder
from vitlab.jobs.metrics.formats.protobuf import fields, signed, texts

HEADER = b":W&B"
_HEADER_SIZE = 7
BLOCK = 32_768
"""Bytes at whose multiples records are cut."""
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
# Record types, and field numbers of wandb_internal.proto.
_HISTORY, _SUMMARY, _RUN = 2, 3, 17
_ITEM, _STEP = 1, 2
_KEY, _NESTED_KEY, _INTEGER, _NUMBER, _VALUE_JSON = 1, 2, 5, 6, 16
_STEP_NUMBER = 1
_WORDS = {"id": 1, "entity": 2, "project": 3, "name": 8}
"""Of a run record."""


class WandbFile(Decoder):
    """Reads the logged rows, and the run they belong to."""

    kind = "W&B"

    def __init__(
        self, names: Sequence[str], step: str, epoch: str, encoding: str = "utf-8"
    ) -> None:
        super().__init__(names, step, epoch, encoding)
        self.run: dict[str, str] = {}
        """Its id, project, entity and name, as far as they are known."""
        self._logged: set[str] = set()

    def read(self, block: bytes, _last: bool) -> tuple[int, list[Chunk]]:
        used = 0
        rows: list[dict[str, Any]] = []
        for used, record in _records(block, self.at):  # noqa: B007 - the last one counts
            try:
                for number, value in fields(record):
                    if isinstance(value, bytes):
                        rows += self._rows(number, value)
            except (IndexError, ValueError, struct.error):
                self.skipped += 1
        return used, [self.chunk_of(rows)]

    def _rows(self, number: int, value: bytes) -> Iterator[dict[str, Any]]:
        """The row of one record; of a summary what was set there only, as `run.summary[...]`."""
        if number == _HISTORY:
            row = _row(value)
            self._logged |= row.keys()
            yield {self.step: row.get("step"), **row}
        elif number == _SUMMARY:
            # What is logged is summarised too, by nested names.
            set_alone = [item for number, item in fields(value) if number == _ITEM
                         and isinstance(item, bytes) and _KEY in dict(fields(item))]  # fmt: skip
            row = {name: x for name, x in map(_item, set_alone) if name not in self._logged}
            if row.keys() & {*self.names}:
                yield row
        elif number == _RUN:
            record = texts(value)
            self.run |= {word: record[n] for word, n in _WORDS.items() if record.get(n)}

    @property
    def state(self) -> dict[str, Any]:
        return {**super().state, "run": self.run, "logged": sorted(self._logged)}

    @state.setter
    def state(self, state: Mapping[str, Any]) -> None:
        Decoder.state.fset(self, state)  # type: ignore[attr-defined]
        self.run, self._logged = dict(state["run"]), set(state["logged"])


def wandb_rows(data: bytes) -> list[Mapping[str, Any]]:
    """The rows in a whole file, oldest first, each with its `step`; none of a cut off end."""
    rows: list[Mapping[str, Any]] = []
    try:
        for _, record in _records(data, 0) if data.startswith(HEADER) else ():
            rows += [_row(value) for number, value in fields(record)
                     if number == _HISTORY and isinstance(value, bytes)]  # fmt: skip
    except (IndexError, ValueError, struct.error):
        pass  # the rows before are valid
    return rows


def _records(block: bytes, start: int) -> Iterator[tuple[int, bytes]]:
    """The whole records of a block from byte `start` of the file, and where in it each ends."""
    at, parts = 0 if start else _HEADER_SIZE, b""
    while at + 7 <= len(block):
        left = BLOCK - (start + at) % BLOCK
        if left < 7:
            at += left
            continue
        length, kind = struct.unpack_from("<HB", block, at + 4)
        piece = block[at + 7 : at + 7 + length]
        if kind not in (_FULL, _FIRST, _MIDDLE, _LAST) or len(piece) < length:
            return
        parts = piece if kind in (_FULL, _FIRST) else parts + piece
        at += 7 + length
        if kind in (_FULL, _LAST):
            yield at, parts


def _row(history: bytes) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for number, value in fields(history):
        if number == _ITEM and isinstance(value, bytes):
            name, content = _item(value)
            row[name] = content
        elif number == _STEP and isinstance(value, bytes):
            row.setdefault("step", dict(fields(value)).get(_STEP_NUMBER, 0))
    return row


def _item(item: bytes) -> tuple[str, Any]:
    """Name (nested ones joined by a dot) and value of one logged number."""
    names: list[str] = []
    content: Any = None
    for number, value in fields(item):
        if number in (_KEY, _NESTED_KEY) and isinstance(value, bytes):
            names.append(value.decode("utf-8", "replace"))
        elif number == _NUMBER and isinstance(value, bytes):
            (content,) = struct.unpack("<d", value)
        elif number == _INTEGER and isinstance(value, int):
            content = signed(value)
        elif number == _VALUE_JSON and isinstance(value, bytes):
            content = json.loads(value)
    return ".".join(names), content
