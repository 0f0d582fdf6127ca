"""Scalars in TensorBoard's event files (`events.out.tfevents.*`); it need not be installed."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from vitlab.jobs.metrics.formats.cells import Chunk
from vitlab.jobs.metrics.formats.decoder import Decoder
from vitlab.jobs.metrics.formats.protobuf import fields, signed, varint

MARK = b"brain.Event:"
"""In the first record of every file."""
# Field numbers of event.proto, summary.proto and tensor.proto.
_STEP, _SUMMARY = 2, 5
_VALUE, _TAG, _SIMPLE, _TENSOR = 1, 1, 2, 8
_TYPE, _CONTENT, _FLOATS, _DOUBLES, _INTS, _LONGS = 1, 4, 5, 6, 7, 10
_FORMATS = {1: "<f", 2: "<d", 3: "<i", 9: "<q", 19: "<e"}
"""Of a tensor's type."""


class TensorBoard(Decoder):
    """Reads each scalar as a row: its step and its tag."""

    kind = "TensorBoard"

    def read(self, block: bytes, _last: bool) -> tuple[int, list[Chunk]]:
        used = 0
        rows: list[dict[str, Any]] = []
        while used + 12 <= len(block):
            (length,) = struct.unpack_from("<Q", block, used)
            end = used + 12 + length + 4
            if end > len(block):
                break
            try:
                rows += _scalars(block[used + 12 : end - 4], self.step)
            except (IndexError, ValueError, struct.error):
                self.skipped += 1
            used = end
        return used, [self.chunk_of(rows)]


def _scalars(event: bytes, step_name: str) -> Iterator[dict[str, Any]]:
    step, summaries = 0, []
    for number, value in fields(event):
        if number == _STEP and isinstance(value, int):
            step = signed(value)
        elif number == _SUMMARY and isinstance(value, bytes):
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
