"""Files of protocol-buffer records: of a W&B run (`run-ID.wandb`), and TensorBoard's events.

Neither package need be installed.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from vitlab.jobs.metrics.formats.decoder import Chunk, Decoder

WANDB_MARK = b":W&B"
_HEADER_SIZE = 7
BLOCK = 32_768
"""Bytes at whose multiples records are cut."""
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
# Record types, and field numbers of wandb_internal.proto.
_HISTORY, _SUMMARY, _RUN = 2, 3, 17
_ITEM, _STEP, _REMOVED = 1, 2, 2
_KEY, _NESTED_KEY, _INTEGER, _NUMBER, _VALUE_JSON = 1, 2, 5, 6, 16
_STEP_NUMBER = 1
_VARINT_BITS = 70
"""Ten bytes of seven bits hold the 64 of a number."""
_WORDS = {"id": 1, "entity": 2, "project": 3, "name": 8}
"""Of a run record."""


class WandbFile(Decoder):
    """Reads the logged rows, and the run they belong to."""

    kind = "W&B"

    def __init__(
        self, names: Mapping[str, str], step: str, epoch: str, encoding: str = "utf-8"
    ) -> None:
        super().__init__(names, step, epoch, encoding)
        self.run: dict[str, str] = {}
        """Its id, project, entity and name, as far as they are known."""
        self._logged: set[str] = set()
        self._set: set[str] = set()
        """What was set in the summary alone."""

    def read(self, block: bytes, last: bool) -> tuple[int, list[Chunk]]:
        used = 0
        rows: list[dict[str, Any]] = []
        for used, record in _records(block, self.at):  # noqa: B007 - the last one counts
            try:
                if record is None:
                    raise ValueError("damaged")
                for number, value in fields(record):
                    if isinstance(value, bytes) and (found := list(self._rows(number, value))):
                        rows += found
                        self.lost_last = False
            except (IndexError, ValueError, struct.error):
                self.skipped += 1
                self.lost_last = True
        self.lost_last |= last and bool(block[used:].strip(b"\0"))
        return used, [self.chunk_of(rows)]

    def _rows(self, number: int, value: bytes) -> Iterator[dict[str, Any]]:
        """The row of one record; of a summary what was set there only, as `run.summary[...]`."""
        if number == _HISTORY:
            row = _row(value)
            self._logged |= row.keys()
            yield {self.step: row.get("step"), **row}
        elif number == _SUMMARY:
            # What is logged is summarised too, by nested names.
            set_alone = [item for number, item in fields(value) if number in (_ITEM, _REMOVED)
                         and isinstance(item, bytes) and _KEY in dict(fields(item))]  # fmt: skip
            row = {name: x for name, x in map(_item, set_alone) if name not in self._logged}
            # NaN is written as null there; what is removed has no value either.
            row |= {name: math.nan for name in self._set if row.get(name, 0) is None}
            self._set |= {name for name, x in row.items() if x is not None}
            if row.keys() & {*self.names}:
                yield row
        elif number == _RUN:
            record = texts(value)
            self.run |= {word: record[n] for word, n in _WORDS.items() if record.get(n)}

    @property
    def state(self) -> dict[str, Any]:
        names = {"logged": sorted(self._logged), "set": sorted(self._set)}
        return {**super().state, "run": self.run, **names}

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self.run, self._logged = dict(state["run"]), set(state["logged"])
        self._set = set(state.get("set", ()))


def wandb_rows(data: bytes) -> list[Mapping[str, Any]]:
    """The rows in a whole file, oldest first, each with its `step`; none of a cut off end."""
    rows: list[Mapping[str, Any]] = []
    try:
        for _, record in _records(data, 0) if data.startswith(WANDB_MARK) else ():
            rows += [_row(value) for number, value in fields(record or b"")
                     if number == _HISTORY and isinstance(value, bytes)]  # fmt: skip
    except (IndexError, ValueError, struct.error):
        pass  # the rows before are valid
    return rows


def _records(block: bytes, start: int) -> Iterator[tuple[int, bytes | None]]:
    """The whole records of a block from byte `start` of the file, and where in it each ends.

    None where a piece is not as its checksum says, or where the rest of a cut is damaged: no
    record's piece goes beyond, so the next is sound.
    """
    at, parts = 0 if start else _HEADER_SIZE, list[bytes]()
    while at + 7 <= len(block):
        left = BLOCK - (start + at) % BLOCK
        if left < 7:
            at += left
            continue
        checksum, length, kind = struct.unpack_from("<IHB", block, at)
        piece = block[at + 7 : at + 7 + length]
        if kind not in (_FULL, _FIRST, _MIDDLE, _LAST) or length > left - 7:
            at, parts = at + left, []
            if at > len(block):
                return
            yield at, None
            continue
        if len(piece) < length:
            return
        # 0: written without one.
        if checksum not in (0, zlib.crc32(piece, zlib.crc32(bytes((kind,))))):
            at, parts = at + 7 + length, []
            yield at, None
            continue
        if kind in (_FULL, _FIRST):
            parts = []
        parts.append(piece)
        at += 7 + length
        if kind in (_FULL, _LAST):
            yield at, b"".join(parts)


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
            content = _json(value)
    return ".".join(names), content


def _json(text: bytes) -> Any:
    """NaN and infinities included; `ValueError` for what is nested too deep, too."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


TENSORBOARD_MARK = b"brain.Event:"
"""In the first record of every file."""
# Field numbers of event.proto, summary.proto and tensor.proto.
_EVENT_STEP, _EVENT_SUMMARY = 2, 5
_VALUE, _TAG, _SIMPLE, _TENSOR = 1, 1, 2, 8
_TYPE, _CONTENT, _FLOATS, _DOUBLES, _INTS, _LONGS = 1, 4, 5, 6, 7, 10
_FORMATS = {1: "<f", 2: "<d", 3: "<i", 9: "<q", 19: "<e"}
"""Of a tensor's type."""


_LARGEST_CHECKED = 1 << 20
"""Bytes of a record whose checksum is computed: 0.1 s. Those of scalars have a hundred."""


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_CRCS = tuple(map(_crc_of, range(256)))


def _masked(data: bytes) -> int:
    """The CRC-32C of a record (Castagnoli; RFC 3720, B.4), rotated and shifted as TFRecord does."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRCS[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


class TensorBoard(Decoder):
    """Reads each scalar as a row: its step and its tag."""

    kind = "TensorBoard"

    def read(self, block: bytes, last: bool) -> tuple[int, list[Chunk]]:
        used = 0
        rows: list[dict[str, Any]] = []
        while used + 12 <= len(block):
            (length,) = struct.unpack_from("<Q", block, used)
            end = used + 12 + length + 4
            if end > len(block):
                break
            event = block[used + 12 : end - 4]
            (checksum,) = struct.unpack_from("<I", block, end - 4)
            try:
                if found := list(_scalars(event, self.step)):
                    # 0: written without one.
                    if checksum and length <= _LARGEST_CHECKED and checksum != _masked(event):
                        raise ValueError("damaged")
                    rows += found
                    self.lost_last = False
            except (IndexError, ValueError, struct.error):
                self.skipped += 1
                self.lost_last = True
            used = end
        self.lost_last |= last and used < len(block)  # a length that is damaged hides the rest
        return used, [self.chunk_of(rows)]


def _scalars(event: bytes, step_name: str) -> Iterator[dict[str, Any]]:
    step, summaries = 0, []
    for number, value in fields(event):
        if number == _EVENT_STEP and isinstance(value, int):
            step = signed(value)
        elif number == _EVENT_SUMMARY and isinstance(value, bytes):
            summaries.append(value)
    for summary in summaries:
        for number, value in fields(summary):
            if number == _VALUE and isinstance(value, bytes):
                tag, scalar = _value(value)
                if scalar is not None:
                    yield {step_name: step, tag: scalar}


def _value(message: bytes) -> tuple[str, float | None]:
    tag, scalar = "", None
    for number, value in fields(message):
        if not isinstance(value, bytes):
            continue
        if number == _TAG:
            tag = value.decode("utf-8", "replace")
        elif number == _SIMPLE:
            scalar = _single(value)
        elif number == _TENSOR:
            scalar = _tensor(value)
    return tag, scalar


def _tensor(message: bytes) -> float | None:
    """The number in a tensor of one; None for another."""
    kind, numbers = 0, []
    content = b""
    for number, value in fields(message):
        if number == _TYPE and isinstance(value, int):
            kind = value
        elif number == _CONTENT and isinstance(value, bytes):
            content = value
        elif number in (_FLOATS, _DOUBLES) and isinstance(value, bytes):
            size, form = (4, "<f") if number == _FLOATS else (8, "<d")
            numbers += [value[i : i + size] for i in range(0, len(value), size)]
            content, kind = numbers[0], 1 if form == "<f" else 2
        elif number in (_INTS, _LONGS):
            whole, end = (value, 0) if isinstance(value, int) else varint(value, 0)
            return float(signed(whole)) if isinstance(value, int) or end == len(value) else None
    form = _FORMATS.get(kind, "")
    if not form or len(numbers) > 1 or len(content) != struct.calcsize(form):
        return None
    return _single(content) if form == "<f" else float(struct.unpack(form, content)[0])


def _single(data: bytes) -> float:
    """A number of single precision, as the shortest decimal that stands for it."""
    (value,) = struct.unpack("<f", data)
    for digits in (7, 8):
        short = float(f"{value:.{digits}g}")
        try:
            if struct.pack("<f", short) == data:
                return short
        except OverflowError:
            break
    return float(f"{value:.9g}")


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field: an int for varints, bytes for the rest.

    `ValueError` or `IndexError` where it is cut off or no such message.
    """
    at = 0
    while at < len(message):
        tag, at = varint(message, at)
        wire = tag & 7
        if wire == 0:
            value, at = varint(message, at)
            yield tag >> 3, value
            continue
        if wire == 2:
            size, at = varint(message, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if at + size > len(message):
            raise ValueError("cut off")
        yield tag >> 3, message[at : at + size]
        at += size


def texts(message: bytes) -> dict[int, str]:
    """The fields that are text, by their number; the last of each."""
    return {number: value.decode("utf-8", "replace") for number, value in fields(message)
            if isinstance(value, bytes)}  # fmt: skip


def signed(value: int) -> int:
    """A varint as the signed integer of 64 bits that it stands for."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def varint(message: bytes, at: int) -> tuple[int, int]:
    """The number that begins at byte `at`, and where it ends."""
    value = shift = 0
    while shift < _VARINT_BITS:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than 64 bits")
