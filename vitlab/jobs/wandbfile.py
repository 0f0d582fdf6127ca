"""The `.wandb` file of a W&B run, offline or not: its history as rows, with nothing installed.

A LevelDB log (blocks of 32 KiB) of protobuf records. W&B's own reader is internal to it, has moved
between versions, and would have to be installed here; the format has not changed.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

HEADER = b":W&B"
HEADER_SIZE = 7
BLOCK = 32_768
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
# Field numbers of wandb_internal.proto.
HISTORY = 2
ITEM, STEP = 1, 2
KEY, NESTED_KEY, INTEGER, NUMBER, VALUE_JSON = 1, 2, 5, 6, 16
STEP_NUMBER = 1

Field = tuple[int, int | bytes]


def rows(data: bytes) -> list[Mapping[str, Any]]:
    """The logged rows, oldest first, each with its `step`; a half written end is left out."""
    if not data.startswith(HEADER):
        return []
    found: list[Mapping[str, Any]] = []
    try:
        for record in _records(data):
            for number, value in _fields(record):
                if number == HISTORY and isinstance(value, bytes):
                    found.append(_row(value))
    except (IndexError, ValueError, struct.error):
        pass  # the rest is being written, or it is no such file: what came before is sound
    return found


def _records(data: bytes) -> Iterator[bytes]:
    at, parts = HEADER_SIZE, b""
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
        if number in (KEY, NESTED_KEY) and isinstance(value, bytes):
            names.append(value.decode("utf-8", "replace"))
        elif number == NUMBER and isinstance(value, bytes):
            (content,) = struct.unpack("<d", value)
        elif number == INTEGER and isinstance(value, int):
            content = value - (1 << 64) if value >> 63 else value
        elif number == VALUE_JSON and isinstance(value, bytes):
            content = json.loads(value)
    return ".".join(names), content
