"""Metrics files of every kind, made by hand, and their events in short."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vitlab.jobs.metrics.files import FileFollower
from vitlab.jobs.metrics.log import LogFollower
from vitlab.jobs.metrics.rows import Event
from vitlab.jobs.metrics.source import Source, read_source

NAMES = {"val_r2": "val/r2/log_g", "train_loss": "train/loss"}
Short = tuple[float, float | None, dict[str, float]]
"""Step, epoch and values of an event."""


def source(names: Mapping[str, Any] = NAMES, epochs: int = 0, **keys: Any) -> Source:
    made = read_source({"metrics": {"file": "m.csv", "names": names, **keys}}, epochs)
    assert made is not None
    return made


def short(events: Iterable[Event]) -> list[Short]:
    """Step, epoch and values of events that have values; NaN as a word, as it equals nothing."""
    return [
        (data["step"], data.get("epoch"), {n: _plain(x) for n, x in data["values"].items()})
        for kind, data in events
        if kind in ("step", "eval")
    ]


def _plain(value: float) -> Any:
    return value if value == value else "nan"


def read(path: Path, made: Source | None = None) -> list[Short]:
    """All of a file at once, at the end of its run."""
    return short(FileFollower(made or source(), path).poll(last=True))


def values(follower: FileFollower | LogFollower, last: bool = False) -> list[float]:
    """The numbers of the new events, without their names."""
    return [x for *_, numbers in short(follower.poll(last)) for x in numbers.values()]


class Clock:
    """Writes files so that each change has a time of its own, as the disk's clock is coarse."""

    def __init__(self) -> None:
        self._now = 1_700_000_000_000_000_000

    def write(self, path: Path, data: bytes, append: bool = False) -> None:
        with path.open("ab" if append else "wb") as file:
            file.write(data)
        self._now += 1_000_000
        os.utime(path, ns=(self._now, self._now))


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def single(number: int, value: float) -> bytes:
    return varint(number << 3 | 5) + struct.pack("<f", value)


def double(number: int, value: float) -> bytes:
    return varint(number << 3 | 1) + struct.pack("<d", value)


def tfrecord(event: bytes) -> bytes:
    return struct.pack("<QI", len(event), 0) + event + b"\0\0\0\0"


def tfevents(*summaries: tuple[int, bytes]) -> bytes:
    """An event file: step and `Summary.Value` of each."""
    first = double(1, 1.7e9) + field(3, b"brain.Event:2")
    records = [double(1, 1.7e9) + field(2, step) + field(5, field(1, x)) for step, x in summaries]
    return b"".join(map(tfrecord, [first, *records]))


def wandb_piece(kind: int, piece: bytes) -> bytes:
    """With its header, as W&B's LevelDB log has it."""
    checksum = zlib.crc32(piece, zlib.crc32(bytes((kind,))))
    return struct.pack("<IHB", checksum, len(piece), kind) + piece


def wandb_file(
    *rows: Mapping[str, float], run: Mapping[int, str] | None = None, then: Sequence[bytes] = ()
) -> bytes:
    """A W&B file of history records, after its run record; `then`: those after that."""
    records = [field(17, b"".join(field(n, x.encode()) for n, x in (run or {}).items()))]
    for step, row in enumerate(rows):
        items = [field(1, field(1, name.encode()) + field(16, repr(x).encode()))
                 for name, x in row.items()]  # fmt: skip
        records.append(field(2, b"".join(items) + field(2, field(1, step))))
    records += then
    data = b":W&B\x1d\xc1\x00"
    for record in records:
        part, first = record, True
        while first or part:
            left = 32_768 - len(data) % 32_768
            if left < 7:
                data += b"\0" * left
                continue
            piece, part = part[: left - 7], part[left - 7 :]
            kind = (1 if not part else 2) if first else (4 if not part else 3)
            data += wandb_piece(kind, piece)
            first = False
    return data
