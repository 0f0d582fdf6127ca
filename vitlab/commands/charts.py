"""Curves and figures as the commands print them: as wide as the terminal, coloured where it may."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vitlab.plot.picture import Picture
    from vitlab.records.lab import Lab

WIDEST = 120


def draw_jobs(
    lab: Lab, folders: list[Path], value: str | None = None, *, ascii_: bool = False
) -> str | None:
    """The chart of `folders` (of the last launch when empty); None without a single value."""
    from vitlab.plot.chart import draw
    from vitlab.records.curves import curves

    found = curves(lab, folders, value)
    if not found.series:
        return None
    width, height = _size()
    return draw(
        found.series,
        found.thresholds,
        width=width,
        height=min(height, 26),
        title=found.value,
        x_label="seconds",
        color=_color(),
        ascii=ascii_,
    )


def draw_picture(picture: Picture, *, ascii_: bool = False) -> str:
    """A figure in characters."""
    from vitlab.plot.terminal import shown

    width, height = _size()
    return shown(picture, width, min(height, 22), color=_color(), ascii=ascii_)


def _size() -> tuple[int, int]:
    """Columns, and lines with room for a prompt."""
    size = shutil.get_terminal_size((100, 30))
    return min(size.columns, WIDEST), max(size.lines - 5, 12)


def _color() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ
