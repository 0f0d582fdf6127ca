"""Cells of a metrics file as numbers."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Column = list[float | None]
"""The numbers of one column; None where a row has none. NaN and infinities are numbers."""


@dataclass(frozen=True)
class Chunk:
    """Rows in order, as columns by their names."""

    rows: int
    columns: Mapping[str, Column]

    def part(self, start: int, end: int) -> Chunk:
        """Its rows from `start` to `end`."""
        if (start, end) == (0, self.rows):
            return self
        return Chunk(
            end - start, {name: column[start:end] for name, column in self.columns.items()}
        )


_EMPTY = frozenset(("", "none", "null", "na", "n/a", "<na>", "-", "--"))
_WRAPPED = re.compile(  # tensor(0.5), tensor([0.1], device='cuda:0'), np.float32(0.5), [0.5]
    r"(?:[A-Za-z_][\w.]*\()?[(\[\s]*([-+]?[\w.]+(?:[eE][-+]?\d+)?)[\s\])]*(?:,\s*\w+\s*=[^()]*)?\)?"
)
_BLANK = " \t\r\n\f\v\0\ufeff\u00a0"


def numbers(cells: Sequence[bytes], odd: list[str]) -> Column:
    """The numbers of text cells without `_`; what is neither empty nor one is added to `odd`."""
    with contextlib.suppress(ValueError):
        return list(map(float, cells))
    with contextlib.suppress(ValueError):
        return [float(cell) if cell else None for cell in cells]
    return [number(cell, odd) for cell in cells]


def number(cell: object, odd: list[str]) -> float | None:
    """The number in a text or JSON cell; None for an empty one, and for one added to `odd`."""
    if isinstance(cell, bytes):
        cell = cell.decode("utf-8", "replace")
    if isinstance(cell, bool):
        odd.append(str(cell))
        return None
    if isinstance(cell, int | float):
        try:
            return float(cell)
        except OverflowError:
            return math.inf if cell > 0 else -math.inf
    if cell is None:
        return None
    text = cell.strip(_BLANK) if isinstance(cell, str) else ""
    if isinstance(cell, str) and text.lower() in _EMPTY:
        return None
    found = _float(text.rstrip(",;"))
    if found is None and (match := _WRAPPED.fullmatch(text)):
        found = _float(match[1])
    if found is None:
        odd.append(text or type(cell).__name__)
    return found


def _float(text: str) -> float | None:
    if "_" in text:
        return None  # Python reads 1_000, no logger writes it
    try:
        return float(text)
    except ValueError:
        return None


def is_word(cell: bytes) -> bool:
    """Whether it is neither empty nor a number: the cell of a header."""
    odd: list[str] = []
    number(cell, odd)
    return bool(odd)
