"""Writes a FITS table, by astropy (`pip install 'vitlab[survey]'`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from astropy.table import Table

Cell = str | float | int | bool | None


def write_fits(path: Path, columns: Mapping[str, Sequence[Cell]]) -> None:
    """One binary table; None is NaN in a column of numbers, and empty in one of text."""
    table = Table()
    for name, cells in columns.items():
        if any(isinstance(cell, str) for cell in cells):
            texts = ["" if cell is None else str(cell) for cell in cells]
            table[name] = [one.encode("ascii", "replace").decode() for one in texts]
        else:
            table[name] = [float("nan") if cell is None else float(cell) for cell in cells]
    table.write(path, format="fits")
