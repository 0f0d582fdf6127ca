"""Text tables of numbers: columns with or without a line of names, by commas or blanks."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Container, Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.formats.fits import Column, text_lines

UNNAMED = ["wavelength", "flux", "flux_error"]
"""What the columns of a text without names are."""


LOGICAL = {"true": 1.0, "false": 0.0}
"""Words of a mask."""


def read_text_columns(data: bytes, path: Path, as_text: Container[str] = ()) -> list[Column]:
    """The columns; what is no number is NaN. Lines that start with # are not read.

    `as_text`: names in lower case of columns that are read as texts.
    """
    lines = [x for x in text_lines(data, path) if x.strip()]
    lines = [line for line in lines if not line.lstrip().startswith("#")]
    comma = any("," in line for line in lines[:1])
    rows = csv.reader(lines) if comma else (line.split() for line in lines)
    try:
        return _columns(rows, as_text)
    except csv.Error as error:
        raise UsageError(f"{path}: {error}") from None


def _columns(rows: Iterator[list[str]], as_text: Container[str]) -> list[Column]:
    """Read row by row, as 8 bytes a number: a cell as a text takes ten times as much."""
    first = next(rows, [])
    is_data = bool(first) and all(map(is_number, first))
    names = UNNAMED[: len(first)] if is_data else [name.strip() for name in first]
    texts = [name.lower() in as_text for name in names]
    cells: list[list[str] | array[float]] = [[] if text else array("d") for text in texts]
    for row in chain([first] if is_data else [], rows):
        if len(row) >= len(names):
            for column, text, cell in zip(cells, texts, row, strict=False):
                column.append(cell.strip() if text else _float(cell))  # type: ignore[arg-type]
    return [Column(name, "", np.array(values)) for name, values in zip(names, cells, strict=True)]


def is_number(cell: str) -> bool:
    """Whether a cell is a number, or says that there is none (nan)."""
    return not np.isnan(_float(cell)) or cell.strip().lower() == "nan"


def _float(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return LOGICAL.get(cell.strip().lower(), float("nan"))
