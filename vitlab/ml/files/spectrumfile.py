"""Reads one spectrum of a user's own grid: columns of numbers as ASCII or in a FITS table."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitlab.contract.paths import UsageError

Array = NDArray[np.float64]

BLOCK = 2880
"""Bytes of a FITS block; headers have cards of 80 bytes."""
FITS_TYPES = {"D": ">f8", "E": ">f4", "J": ">i4", "I": ">i2", "K": ">i8", "B": "u1", "L": "u1"}
WAVE_NAMES = ("wave", "wavelength", "lambda", "lam")
FLUX_NAMES = ("flux", "specificintensity", "h", "f")


def read_columns(path: Path) -> list[Array]:
    """The columns of `path`, `.gz` or not: of a FITS table wavelength and flux come first."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError) as error:
        raise UsageError(f"{path}: cannot be read ({error})") from None
    if data.startswith(b"SIMPLE  ="):
        return _fits_columns(data, path)
    return _ascii_columns(data, path)


def _ascii_columns(data: bytes, path: Path) -> list[Array]:
    rows = []
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), start=1):
        cells = line.split("#")[0].replace(",", " ").split()
        if not cells:
            continue
        try:
            rows.append([float(cell) for cell in cells])
        except ValueError:
            raise UsageError(f"{path}:{number}: {line.strip()[:40]!r} is no number") from None
        if len(rows[-1]) != len(rows[0]):
            raise UsageError(f"{path}:{number}: {len(cells)} columns, not {len(rows[0])}")
    if not rows:
        raise UsageError(f"{path}: has no numbers")
    return list(np.array(rows).T)


def _fits_columns(data: bytes, path: Path) -> list[Array]:
    """Wavelength and flux of the first binary table: one value a row, or one row of arrays.

    So little of FITS is needed that no library is: big-endian rows of fixed fields.
    """
    place = 0
    while place < len(data):
        header, place = _fits_header(data, place, path)
        sizes = [int(header[f"NAXIS{i + 1}"]) for i in range(int(header.get("NAXIS", 0)))]
        size = abs(int(header.get("BITPIX", 8))) // 8 * int(np.prod(sizes)) if sizes else 0
        if header.get("XTENSION") == "BINTABLE":
            table = data[place : place + size]
            if len(table) < size:
                raise UsageError(f"{path}: the table is cut short")
            return _table_columns(header, table, path)
        place += -(-(size + int(header.get("PCOUNT", 0))) // BLOCK) * BLOCK
    raise UsageError(f"{path}: has no binary table")


def _fits_header(data: bytes, place: int, path: Path) -> tuple[dict[str, str], int]:
    cards: dict[str, str] = {}
    for at in range(place, len(data) - 79, 80):
        card = data[at : at + 80].decode("ascii", "replace")
        if card.startswith("END "):
            return cards, at + BLOCK - (at - place) % BLOCK
        if card[8:10] == "= ":
            text = re.match(r"\s*'([^']*)'|([^/]*)", card[10:])
            assert text is not None  # the second half matches anything
            cards[card[:8].strip()] = (text[1] if text[1] is not None else text[2]).strip()
    raise UsageError(f"{path}: a FITS header has no end")


def _form(text: str) -> tuple[int, str]:
    """`5D` -> 5, `D`: how many of what a field of a table holds."""
    digits = re.match(r"\d*", text)
    count = digits[0] if digits else ""
    return int(count or 1), text[len(count) : len(count) + 1]


def _table_columns(header: dict[str, str], table: bytes, path: Path) -> list[Array]:
    fields: list[Any] = []
    for i in range(1, int(header["TFIELDS"]) + 1):
        count, letter = _form(header[f"TFORM{i}"])
        name = header.get(f"TTYPE{i}", f"column {i}").lower()
        if letter in FITS_TYPES:
            fields.append((name, FITS_TYPES[letter], (count,)))
        elif letter == "A":
            fields.append((f"{i} {name}", f"S{count}"))
        else:
            raise UsageError(f"{path}: column {name} has the type {header[f'TFORM{i}']}")
    rows = np.frombuffer(table, dtype=fields)
    found = []
    for names in (WAVE_NAMES, FLUX_NAMES):
        column = next((n for n in names if n in (rows.dtype.names or ())), None)
        if column is None:
            known = ", ".join(rows.dtype.names or ())
            raise UsageError(f"{path}: no column {' or '.join(names)} (there: {known})")
        found.append(rows[column].ravel().astype(np.float64))
    return found
