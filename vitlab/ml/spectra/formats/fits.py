"""FITS files without a FITS library: headers, images and binary tables, as physical values."""

from __future__ import annotations

import gzip
import math
import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vitlab.contract.paths import UsageError
from vitlab.contract.reading import Unreadable, open_regular

Array = NDArray[np.float64]

BLOCK = 2880
"""Bytes of a block; a header consists of cards of 80 bytes."""
_ONES = 0xFFFFFFFF
_TYPES = {"D": ">f8", "E": ">f4", "J": ">i4", "I": ">i2", "K": ">i8", "B": "u1", "L": "S1"}
_TYPES |= {"X": "u1", "C": ">c8", "M": ">c16"}
_BITPIX = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_Read = TypeVar("_Read")
_LINE_END = re.compile(r"\r\n|\r|\n")
_EXPONENT = re.compile(r"(?<=[\d.])[dD](?=[+-]?\d)")
_CARD = re.compile(r"\s*'((?:[^']|'')*)'|([^/]*)")


MOST, MOST_TEXT = 1 << 30, 64 << 20
"""Bytes of a FITS file, and of a text, unpacked."""
PIECE = 1 << 20
"""Bytes read at once."""
SMALL, DENSE = 16 << 20, 100
"""Above the first, in bytes, a file unpacks to at most the second times its size: noise does not
pack well."""
MOST_LINES, LONGEST = 2_000_000, 1 << 17
"""Lines of a text, and letters of a line."""
MOST_NUMBERS = 1 << 27
"""Numbers of an image or table: each takes 8 bytes."""
MOST_OF_SPECTRA = 1 << 26
"""Numbers of a file of observed spectra: 550 targets of DESI with their resolution matrices."""
MOST_COLUMNS = 999
"""Of a table, by the standard."""
MOST_HEADER, MOST_UNITS = 8 << 20, 1000
"""Bytes of a header, and headers of a file."""
_UNSIGNED = 1 << 63
"""TZERO or BZERO of integers of 8 bytes without a sign."""

_PACKED = {
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"PK\3\4": "zip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x1f\x8b": "gzip, twice",
}
"""What a file that is packed in another way than by gzip begins with."""


def read_bytes(path: Path, most: int = MOST) -> bytes:
    """The bytes of a file, unpacked if it is gzipped; `UsageError` for more than can be meant.

    `most`: bytes of a FITS file.
    """
    try:
        with os.fdopen(open_regular(path, follow=True), "rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            file: IO[bytes] = gzip.GzipFile(fileobj=raw) if packed else raw  # type: ignore[assignment]
            head = file.read(BLOCK)
            if how := next((how for start, how in _PACKED.items() if head.startswith(start)), ""):
                raise UsageError(f"{path}: packed by {how}: unpack it first")
            limit = most if is_fits(head) else MOST_TEXT
            size = os.fstat(raw.fileno()).st_size
            is_larger = not packed and size > limit + len(head)
            dense = max(SMALL, DENSE * size) if packed else limit
            data = b"" if is_larger else head + _read(file, min(limit, dense))
    except Unreadable as error:
        raise UsageError(f"{path}: {error.why}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{path}: cannot be read ({error})") from None
    if is_larger or len(data) > limit:
        what = "FITS file" if limit == most else "text"
        raise UsageError(f"{path}: larger than the {limit >> 20} MiB that a {what} may have")
    if len(data) > dense:
        raise UsageError(f"{path}: unpacks to more than {DENSE} times its size: unpack it first")
    return data


def _read(file: IO[bytes], limit: int) -> bytes:
    """At most `limit` bytes, in pieces: a file asked for them at once takes as much memory."""
    parts, left = [], limit
    while left and (part := file.read(min(left, PIECE))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def text_lines(data: bytes, path: Path) -> list[str]:
    """The lines of a text; `UsageError` for too many, or one too long."""
    if max(data.count(b"\n"), data.count(b"\r")) > MOST_LINES:
        raise UsageError(f"{path}: more than {MOST_LINES:,} lines")
    lines = _LINE_END.split(data.decode("utf-8-sig", "replace"))
    for number, line in enumerate(lines, start=1):
        if len(line) > LONGEST:
            raise UsageError(f"{path}:{number}: a line of {len(line):,} letters")
    return lines


def real(text: str) -> float:
    """A number as FITS and Fortran write it, `1.5D-3` too; `ValueError` for anything else."""
    return float(_EXPONENT.sub("e", text))


def is_fits(data: bytes) -> bool:
    return data.startswith(b"SIMPLE  =")


@dataclass(frozen=True)
class Column:
    """One column of a binary table."""

    name: str
    unit: str
    values: NDArray[Any]
    """(rows,) or (rows, items), float64 for numbers; missing numbers are NaN.

    Logicals and bits are 1 and 0, a logical that is neither true nor false is NaN.
    """


@dataclass(frozen=True)
class Unit:
    """One header with its data."""

    where: str
    """`file: HDU 1`, for messages."""
    header: Mapping[str, str]
    """Keyword -> text; quotes and comments removed."""
    data: bytes
    broken: str = ""
    """What does not fit the sums in its header, in words; empty where they fit or are missing."""

    @property
    def name(self) -> str:
        return self.header.get("EXTNAME", "")

    @property
    def is_table(self) -> bool:
        return self.header.get("XTENSION", "") == "BINTABLE"

    @property
    def shape(self) -> tuple[int, ...]:
        """As numpy has it, so the last axis is the fastest; of a table bytes and rows."""
        return _shape(self.header)

    @cached_property
    def numbers(self) -> int:
        """How many it holds, each of 8 bytes once it is read; an upper bound of a table's."""
        return self._told(self._numbers)

    def _numbers(self) -> int:
        if not self.is_table:
            return math.prod(self.shape) if self.shape else 0
        forms = list(self._forms())
        # What rows of variable length are read from, of a byte a number at the least.
        heap = _int(self.header, "PCOUNT", 0) if any(one in "PQ" for _, one, _ in forms) else 0
        return _int(self.header, "NAXIS2") * sum(number for _, _, number in forms) + heap

    @cached_property
    def image(self) -> Array | None:
        """The physical values, BSCALE and BZERO applied, BLANK as NaN; None without an image."""
        return self._told(self._image)

    def _told(self, read: Callable[[], _Read]) -> _Read:
        """What `read` reads; `UsageError` where header and data do not fit."""
        try:
            return read()
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            raise UsageError(f"{self.where}: its header is not a FITS header ({error})") from None

    def _image(self) -> Array | None:
        kind = self.header.get("XTENSION", "IMAGE")
        if kind != "IMAGE" or not self.shape or not math.prod(self.shape):
            return None
        if self.numbers > MOST_NUMBERS:
            raise UsageError(f"{self.where}: an image of more than {MOST_NUMBERS:,} numbers")
        raw = np.frombuffer(self.data, _BITPIX[_int(self.header, "BITPIX")])
        raw = raw[: math.prod(self.shape)].reshape(self.shape)
        return _scaled(raw, self.header, ("BSCALE", "BZERO", "BLANK"))

    @cached_property
    def columns(self) -> list[Column]:
        """The columns of a binary table, TSCAL and TZERO applied, TNULL as NaN."""
        return self._told(self._columns)

    def _columns(self) -> list[Column]:
        if not self.is_table:
            return []
        if self.header.get("ZIMAGE") == "T":
            raise UsageError(f"{self.where}: a tile-compressed image; unpack it with `funpack`")
        if self.numbers > MOST_NUMBERS:
            raise UsageError(f"{self.where}: a table of more than {MOST_NUMBERS:,} numbers")
        table = self._table()
        if not len(table):
            return []
        return [self._column(i, letter, n, table[str(i)]) for i, letter, n in self._forms() if n]

    def _table(self) -> NDArray[Any]:
        """(rows,) with a field for each column, as stored; no rows where there is no data."""
        width, rows = _int(self.header, "NAXIS1"), _int(self.header, "NAXIS2")
        fields: list[Any] = []
        for i, letter, number in self._forms():
            if not number:
                continue
            if letter in "PQ":
                fields.append((str(i), ">i4" if letter == "P" else ">i8", (2,)))
            elif letter == "A":
                fields.append((str(i), f"S{number}"))
            elif letter in _TYPES:
                items = -(-number // 8) if letter == "X" else number
                fields.append((str(i), _TYPES[letter], (items,)))
            else:
                form = self.header[f"TFORM{i}"]
                raise UsageError(f"{self.where}: column {i}: type {form} is not a FITS type")
        kind = np.dtype(fields)
        if kind.itemsize != width:
            raise UsageError(f"{self.where}: rows of {width} bytes, columns of {kind.itemsize}")
        if not width:
            return np.zeros(0, kind)
        return np.frombuffer(self.data[: width * rows], kind)

    def integers(self, name: str) -> NDArray[np.int64] | None:
        """(rows,) values of an integer column without scale, which `columns` would round."""
        for i, letter, n in self._forms() if self.columns else ():
            scaled = {f"TSCAL{i}", f"TZERO{i}", f"TNULL{i}"} & self.header.keys()
            if n == 1 and letter in "BIJK" and not scaled and self.header.get(f"TTYPE{i}") == name:
                return self._table()[str(i)].astype(np.int64).ravel()
        return None

    def _forms(self) -> Iterator[tuple[int, str, int]]:
        """Number of the column, letter of its type, items in a row."""
        fields = _int(self.header, "TFIELDS")
        if fields > MOST_COLUMNS:
            raise UsageError(f"{self.where}: {fields:,} columns: FITS has at most {MOST_COLUMNS}")
        for i in range(1, fields + 1):
            match = re.match(r"(\d*)([A-Z])", self.header.get(f"TFORM{i}", ""))
            if match is None:
                raise UsageError(f"{self.where}: no TFORM{i}")
            yield i, match[2], int(match[1] or 1)

    def _column(self, i: int, letter: str, number: int, cells: NDArray[Any]) -> Column:
        name = self.header.get(f"TTYPE{i}", f"column {i}")
        if letter in "PQ":
            cells = self._from_heap(i, name, cells)
        elif letter in "LX":
            cells = _flags(cells, letter, number)
        if letter != "A" and cells.ndim > 1 and cells.shape[1] == 1:
            cells = cells[:, 0]
        if letter not in "ALXCM":
            cells = _scaled(cells, self.header, (f"TSCAL{i}", f"TZERO{i}", f"TNULL{i}"))
        return Column(name, self.header.get(f"TUNIT{i}", ""), cells)

    def _from_heap(self, i: int, name: str, places: NDArray[Any]) -> NDArray[Any]:
        """Rows of variable length, which must all have the same one."""
        form = re.search(r"[PQ]([A-Z])", self.header[f"TFORM{i}"])
        lengths = set(places[:, 0].tolist())
        if form is None or form[1] not in "DEJIKB" or len(lengths) > 1:
            raise UsageError(f"{self.where}: column {name}: rows of different lengths")
        size = _int(self.header, "NAXIS1") * _int(self.header, "NAXIS2")
        heap = self.data[_int(self.header, "THEAP", size) :]
        number = lengths.pop() if lengths else 0
        kind = np.dtype(_TYPES[form[1]])
        if number < 0 or len(places) * number * kind.itemsize > len(heap):
            raise UsageError(f"{self.where}: column {name}: longer than its heap")
        return np.array([np.frombuffer(heap, kind, number, at) for at in places[:, 1].tolist()])


def read_units(data: bytes, path: Path, most: int | None = None) -> list[Unit]:
    """All headers of a FITS file with their data. `UsageError` names what is broken.

    `most`: numbers of all together; by default each unit's own limit holds.
    """
    units: list[Unit] = []
    place = 0
    while place < len(data) and data[place : place + BLOCK].strip(b" \0"):
        where = f"{path}: HDU {len(units)}"
        if len(units) == MOST_UNITS:
            raise UsageError(f"{where}: more than {MOST_UNITS} headers")
        begin = place
        header, place = _header(data, place, where)
        size = 0
        try:
            if shape := _shape(header):
                more = _int(header, "PCOUNT", 0)
                size = abs(_int(header, "BITPIX")) // 8 * math.prod(shape) + more
                if min(*shape, more) < 0:
                    raise ValueError
        except (KeyError, ValueError):
            raise UsageError(f"{where}: BITPIX or NAXIS is missing or not a number") from None
        part = data[place : place + size]
        if len(part) < size:
            raise UsageError(f"{where}: truncated: {len(part)} of {size} bytes")
        end = place + -(-size // BLOCK) * BLOCK
        units.append(Unit(where, header, part, _broken(header, data, (begin, place, end))))
        place = end
    numbers = sum(unit.numbers for unit in units) if most is not None else 0
    if most is not None and numbers > most:
        raise UsageError(f"{path}: {numbers:,} numbers: more than {most:,} are not read")
    return units


def _broken(header: Mapping[str, str], data: bytes, at: tuple[int, int, int]) -> str:
    """`Unit.broken` of the header and the data between three places (standard 4.0, appendix J)."""
    begin, middle, end = at
    sums = {
        name: header[name] for name in ("DATASUM", "CHECKSUM") if header.get(name, "").strip("0")
    }
    if not sums:
        return ""
    found = _sum(data, middle, end)
    if (stated := sums.get("DATASUM", "")).isdecimal() and int(stated) != found:
        return "its data do not fit its DATASUM"
    if "CHECKSUM" in sums and (found + _sum(data, begin, middle)) % _ONES:
        return "it does not fit its CHECKSUM"
    return ""


def _sum(data: bytes, begin: int, end: int) -> int:
    """The ones' complement sum of the words of 4 bytes."""
    words = np.frombuffer(data, ">u4", (min(end, len(data)) - begin) // 4, begin)
    total = int(words.sum(dtype=np.uint64))
    return total and (total - 1) % _ONES + 1


def _header(data: bytes, place: int, where: str) -> tuple[dict[str, str], int]:
    cards: dict[str, str] = {}
    for at in range(place, min(len(data), place + MOST_HEADER) - 79, 80):
        card = data[at : at + 80].decode("ascii", "replace")
        if card.rstrip() == "END":
            return cards, at + BLOCK - (at - place) % BLOCK
        if card[8:10] == "= ":
            cards.setdefault(card[:8].strip(), _value(card[10:]))  # astropy's choice too
        elif card.startswith("HIERARCH ") and "=" in card:
            name, _, rest = card[9:].partition("=")
            cards.setdefault(name.strip(), _value(rest))
    raise UsageError(f"{where}: its header has no end")


def comments_of(data: bytes) -> list[str]:
    """The texts of the first cards COMMENT and HISTORY of a FITS file, of all headers."""
    cards = (data[at : at + 80] for at in range(0, min(len(data), 1 << 20), 80))
    return [card[8:].decode("ascii", "replace").strip() for card in cards
            if card[:8] in (b"COMMENT ", b"HISTORY ")]  # fmt: skip


def _value(text: str) -> str:
    """A card's value; blanks at the start of a text count, those at its end do not."""
    match = _CARD.match(text)
    assert match is not None  # the second half matches anything
    quoted = match[1]
    return match[2].strip() if quoted is None else quoted.replace("''", "'").rstrip()


def _shape(header: Mapping[str, str]) -> tuple[int, ...]:
    axes = _int(header, "NAXIS", 0)
    if axes > 999:
        raise ValueError("NAXIS")
    return tuple(_int(header, f"NAXIS{i}") for i in range(axes, 0, -1))


def _int(header: Mapping[str, str], name: str, default: int | None = None) -> int:
    if default is not None and name not in header:
        return default
    return int(header[name])


def _flags(cells: NDArray[Any], letter: str, number: int) -> Array:
    """(rows, number) logicals (L), a letter each, or bits (X), eight in a byte."""
    if letter == "X":
        return np.unpackbits(cells, axis=1, count=number).astype(np.float64)
    return np.where(cells == b"T", 1.0, np.where(cells == b"F", 0.0, np.nan))


def _scaled(raw: NDArray[Any], header: Mapping[str, str], names: tuple[str, str, str]) -> Array:
    """Stored values as physical ones: scale, offset, and NaN for the null of integers."""
    scale, zero, null = names
    factor, offset = (real(header.get(n, default)) for n, default in ((scale, "1"), (zero, "0")))
    if raw.dtype.kind == "i" and raw.dtype.itemsize == 8 and offset == _UNSIGNED and factor == 1:
        # Added as a float, it would round every flag below 1024 to 0.
        values = (raw.astype(np.int64).view(np.uint64) ^ np.uint64(_UNSIGNED)).astype(np.float64)
        offset = 0.0
    else:
        values = raw.astype(np.float64)
    empty = raw == int(header[null]) if null in header and raw.dtype.kind in "iu" else None
    if factor != 1 or offset:
        values *= factor
        values += offset
    if empty is not None:
        values[empty] = np.nan
    return values
