"""A view as a file: the screen as seen (text, SVG), or the whole of its table (CSV)."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console

from vitlab.tui.widgets.metric_chart import MetricChart
from vitlab.tui.widgets.steady import SteadyTable, Table
from vitlab.tui.words import clean

if TYPE_CHECKING:
    from textual.screen import Screen

    from vitlab.tui.screens.base import LabScreen

KINDS = {"t": "txt", "c": "csv", "s": "svg"}
"""Key -> what the file's name ends with."""


def as_text(screen: Screen[None]) -> str:
    """The screen as it is seen, without colours and trailing blanks."""
    strips = screen._compositor.render_strips()
    return "".join(strip.text.rstrip() + "\n" for strip in strips)


def recorded(screen: Screen[None]) -> Console:
    """The screen as it is seen, kept by a console that can make a picture of it in a thread."""
    width, height = screen.size
    console = Console(
        width=width,
        height=height,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        record=True,
        legacy_windows=False,
        safe_box=False,
    )
    console.print(screen._compositor.render_update(full=True))
    return console


def as_svg(console: Console, title: str) -> str:
    """A picture that fetches nothing: the reader's own monospaced font will do."""
    drawing = console.export_svg(title=clean(title))
    return re.sub(r"@font-face\s*\{[^}]*\}", "", drawing)


def as_csv(table: Table) -> str:
    """RFC 4180 with a header; no cell is one a spreadsheet would run as a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.header)
    writer.writerows([_harmless(cell) for cell in row] for row in table.rows)
    return out.getvalue()


def table_of(screen: LabScreen) -> Callable[[], Table] | None:
    """What makes the screen's table: its own, or that of what has the keys, or any in sight."""
    own = screen.table_rows()
    if own is not None:
        return own
    focus = screen.focused
    if isinstance(focus, SteadyTable | MetricChart):
        return focus.whole
    shown = [table for table in screen.query(SteadyTable) if table.is_on_screen]
    return shown[0].whole if shown else None


def _harmless(cell: str) -> str:
    said = re.sub(r"^[-=+@] ", "", clean(cell))  # the glyph of a status: its word follows
    if len(said) < 2 or not said.startswith(("=", "+", "-", "@")):
        return said
    try:
        float(said)
    except ValueError:
        return f"'{said}"
    return said
