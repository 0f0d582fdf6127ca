"""A view as a file: the screen as it is (text, SVG), or all of its table (CSV)."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from vitlab.contract.paths import LabPaths, sync_folder
from vitlab.contract.terminal import spreadsheet_text
from vitlab.tui.text import clean

if TYPE_CHECKING:
    from textual.screen import Screen


def save_new(lab: LabPaths, name: str, ending: str, text: str) -> Path:
    """Write `exports/<name>.<ending>`, `<name>-2` where that is taken; the path written.

    A link to a finished temporary file, which fails where the name exists: no file is ever
    replaced, and none is there half written. UsageError where `exports` leads out of the lab.
    """
    folder = lab.inside(lab.exports)
    folder.mkdir(exist_ok=True)
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "view"
    temporary = folder / f".{plain}.tmp-{os.getpid()}"
    try:
        with temporary.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        path = _link(temporary, folder / plain, ending)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(folder)
    return path


def _link(temporary: Path, stem: Path, ending: str) -> Path:
    number = 1
    while True:
        more = f"-{number}" if number > 1 else ""
        path = stem.with_name(f"{stem.name}{more}.{ending}")
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            number += 1
        else:
            return path


KINDS = {"t": "txt", "c": "csv", "s": "svg"}
"""Key -> what the file's name ends with."""


def as_text(screen: Screen[None]) -> str:
    """The screen without colours and trailing blanks."""
    strips = screen._compositor.render_strips()
    return "".join(strip.text.rstrip() + "\n" for strip in strips)


def recorded(screen: Screen[None]) -> Console:
    """The screen recorded by a console, which can make a picture of it in a thread."""
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


def as_csv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """RFC 4180 with a header; no cell is one a spreadsheet would run as a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return out.getvalue()


def _harmless(cell: str) -> str:
    # The glyph of a status goes: its word follows.
    return str(spreadsheet_text(re.sub(r"^[-=+@] ", "", clean(cell))))
