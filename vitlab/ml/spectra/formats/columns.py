"""Text tables of numbers: their columns by a line of names, or by position; by commas or blanks."""

from __future__ import annotations

import csv
import re
from array import array
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, takewhile
from pathlib import Path

import numpy as np

from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.formats.fits import Column, real, text_lines
from vitlab.ml.spectra.formats.wavelengths import told_medium

LINEAR = ("wave", "wavelength", "lambda", "lam", "wl", "wavelengths", "awav")
LOGARITHMIC = ("loglam", "log_lambda", "loglambda", "logwave", "log10_wave", "lnlam", "ln_lambda")
FLUXES = ("flux", "fluxes", "flam", "f_lambda", "spectrum", "spec", "norm_flux", "flux_density")
"""Names in lower case of columns of wavelengths, of their logarithms, and of fluxes."""
UNNAMED = ["wavelength", "flux", "flux_error"]
"""What the columns of a text without names are."""
LOGICAL = {"true": 1.0, "false": 0.0}
"""Words of a mask."""
SHOWN = 60
"""Letters of a comment, a name or a unit that is told."""
MOST_COMMENTS = 1000
"""That are looked at."""
_BETWEEN = re.compile(r"[\s,;|]+")
_UNIT = re.compile(r"- *\{name: *([^,}]+), *unit: *([^,}]+)")
"""Of a column, in the head of an ECSV file (astropy)."""


@dataclass(frozen=True)
class TextTable:
    """The columns of a text."""

    columns: list[Column]
    medium: str
    """`air` or `vacuum`, as its comments say; empty where they do not."""
    notes: list[str]
    """What was assumed or left out, one sentence each."""


def read_text_columns(data: bytes, path: Path, as_text: Container[str] = ()) -> TextTable:
    """The columns; what is no number is NaN. `UsageError` where a name stands twice.

    Names are the first line, or the last comment (#) above the numbers that has as many words as
    there are columns, with one of wavelengths and one of fluxes among them.

    `as_text`: names in lower case of columns that are read as texts.
    """
    lines = [x for x in text_lines(data, path) if x.strip()]
    above = takewhile(lambda line: line.lstrip().startswith("#"), lines)
    comments = [line.strip().lstrip("# ") for line in islice(above, MOST_COMMENTS)]
    lines = [line for line in lines if not line.lstrip().startswith("#")]
    comma = any("," in line for line in lines[:1])
    rows = csv.reader(lines) if comma else (line.split() for line in lines)
    try:
        columns, notes = _columns(rows, as_text, comments, path)
    except csv.Error as error:
        raise UsageError(f"{path}: {error}") from None
    refuse_twice([column.name for column in columns], str(path))
    return TextTable(columns, told_medium(comments), notes)


def _columns(
    rows: Iterator[list[str]], as_text: Container[str], comments: Sequence[str], path: Path
) -> tuple[list[Column], list[str]]:
    """Read row by row, as 8 bytes a number: a cell as a text takes ten times as much."""
    first = next(rows, [])
    is_data = bool(first) and all(map(is_number, first))
    names, notes = [name.strip() for name in first], list[str]()
    if is_data and not (names := named(comments, len(first))):
        names = UNNAMED[: len(first)]
        notes.append(f"columns by position: {', '.join(names)}{_said(comments)}")
    texts = [name.lower() in as_text for name in names]
    cells: list[list[str] | array[float]] = [[] if text else array("d") for text in texts]
    number = other = 0
    for row in chain([first] if is_data else [], rows):
        number += 1
        # Of a row with one too few or too many it is not known which is which.
        if len(row) < len(first) or any(cell.strip() for cell in row[len(first) :]):
            other += 1
            continue
        for column, text, cell in zip(cells, texts, row, strict=False):
            column.append(cell.strip() if text else _float(cell))  # type: ignore[arg-type]
    if number and other == number:
        raise UsageError(f"{path}: no row with all columns: its first line has {len(first)} cells")
    if other:
        notes.append(
            f"{other:,} of {number:,} rows have more or fewer than {len(first)} cells: left out"
        )
    stated = filter(None, map(_UNIT.match, comments))
    units = {found[1].strip("'\" "): found[2].strip("'\" ")[:SHOWN] for found in stated}
    return [
        Column(name, units.get(name, ""), np.array(values))
        for name, values in zip(names, cells, strict=True)
    ], notes


def named(comments: Sequence[str], number: int, fluxes: Sequence[str] = FLUXES) -> list[str]:
    """The names in the comments; none where no comment has so many of them."""
    for line in reversed(comments):
        names = [name for name in _BETWEEN.split(line) if name]
        known = {name.lower() for name in names}
        if len(names) == number and known & {*LINEAR, *LOGARITHMIC} and known & {*fluxes}:
            return names
    return []


def _said(comments: Sequence[str]) -> str:
    """The last comment, in brackets."""
    if not comments:
        return ""
    last = comments[-1]
    return f" (a comment says: {last[:SHOWN]}{'...' * (len(last) > SHOWN)})"


def refuse_twice(names: Iterable[str], place: str) -> None:
    """`UsageError` for a name that two columns have: which is meant is not known."""
    found = Counter(name.lower() for name in names if name)
    if twice := next((name for name, number in found.items() if number > 1), ""):
        raise UsageError(f"{place}: two columns {twice[:SHOWN]}")


def unit_of_wavelengths(name: str, unit: str) -> str:
    """The unit of a column: that of its logarithm where its name says so (`loglam`)."""
    low = name.lower()
    if low not in LOGARITHMIC or unit.lower().startswith(("log", "ln")):
        return unit
    return f"{'ln' if low.startswith('ln') else 'log10'}({unit or 'Angstrom'})"


def is_number(cell: str) -> bool:
    """Whether a cell is a number, or says that there is none (nan)."""
    return not np.isnan(_float(cell)) or cell.strip().lower() == "nan"


def _float(cell: str) -> float:
    try:
        return real(cell)
    except ValueError:
        return LOGICAL.get(cell.strip().lower(), float("nan"))
