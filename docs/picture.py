"""Take the README's picture: the real screen on a real lab, as SVG.

Run while jobs run in a lab: `python docs/picture.py LAB docs/screen.svg [COLUMNSxROWS]`.
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from vitlab.records.lab import open_lab
from vitlab.tui.app import VitLab


async def picture(lab: Path, columns: int, rows: int) -> str:
    """The screen a few seconds after it was opened, so that curve and log are there."""
    opened = open_lab(lab)
    app = VitLab(opened, opened.roadmap_path())
    async with app.run_test(size=(columns, rows)) as pilot:
        await asyncio.sleep(4)
        await pilot.pause()
        return app.export_screenshot(title="vitlab")


def main() -> None:
    lab, out, *size = sys.argv[1:]
    columns, rows = (int(part) for part in (size or ["140x40"])[0].split("x"))
    drawing = asyncio.run(picture(Path(lab), columns, rows))
    # No font is fetched from anywhere: the reader's own monospaced one will do.
    drawing = re.sub(r"@font-face\s*\{[^}]*\}", "", drawing)
    Path(out).write_text(drawing, encoding="utf-8")


if __name__ == "__main__":
    main()
