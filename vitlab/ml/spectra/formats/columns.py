"""Text tables of numbers: columns with or without a line of names, by commas or blanks."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.formats.fits import Column, text_lines

UNNAMED = ["wavelength", "flux", "flux_error"]
"""What the columns of a text without names are."""


def read_text_columns(data: bytes, path: Path) -> list[Column]:
    """The columns; what is no number is NaN. Lines that start with # are not read."""
    lines = [x for x in text_lines(data, path) if x.strip()]
    lines = [line for line in lines if not line.lstrip().startswith("#")]
    comma = any("," in line for line in lines[:1])
    try:
        rows = list(csv.reader(lines)) if comma else [line.split() for line in lines]
    except csv.Error as error:
        raise UsageError(f"{path}: {error}") from None
    names = rows[0] if rows else []
    if names and all(is_number(cell) for cell in names):
        names = UNNAMED[: len(names)]
    else:
        rows = rows[1:]
    rows = [row for row in rows if len(row) >= len(names)]
    return [
        Column(name.strip(), "", np.array([_float(row[k]) for row in rows]))
        for k, name in enumerate(names)
    ]


def is_number(cell: str) -> bool:
    """Whether a cell is a number, or says that there is none (nan)."""
    return not np.isnan(_float(cell)) or cell.strip().lower() == "nan"


def _float(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")
