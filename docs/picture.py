"""Take the pictures of the documentation: the real screens on a real lab, as SVG.

`python docs/picture.py LAB docs/screens` takes one of each screen; `python docs/picture.py LAB
FILE.svg 160x45` home alone, as while jobs run in the lab.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from vitlab.lab.lab import open_lab
from vitlab.tui.app import VitLab
from vitlab.tui.terminal.export import as_svg, recorded

CURVE = ("tab", *("j" * 16))
"""To a job worth a look: in the example plan at profile demo, the ViT-L of 25,000 stars."""
KEYS: dict[str, tuple[str, ...]] = {
    "home": (*CURVE, "shift+tab"),
    "board": (*CURVE, "shift+tab", "v"),
    "jobs": (*CURVE, "2"),
    "curves": ("3", "a"),
    "log": (*CURVE, "4"),
    "gates": ("7", "j"),
    "documents": ("8",),
    "results": ("6",),
    "spectrum": (*CURVE, "5"),
    "help": ("question_mark",),
}
"""Screen -> the keys that lead to it from home."""
START, BETWEEN, END = 4.0, 0.3, 12.0
"""Seconds before the first key, after each, and after the last: a model is read meanwhile."""


async def picture(lab: Path, columns: int, rows: int, keys: tuple[str, ...] = ()) -> str:
    """The screen some seconds after the last key, so that all that is read is there."""
    opened = open_lab(lab)
    app = VitLab(opened, opened.roadmap_path())
    async with app.run_test(size=(columns, rows)) as pilot:
        await asyncio.sleep(START)
        for key in keys:
            await pilot.press(key)
            await asyncio.sleep(BETWEEN)
        await asyncio.sleep(END if keys else 0)
        await pilot.pause()
        return as_svg(recorded(app.screen), "vitlab")


def main() -> None:
    lab, out, *size = sys.argv[1:]
    columns, rows = (int(part) for part in (size or ["160x45"])[0].split("x"))
    wanted = {Path(out): KEYS["home"]}
    if not out.endswith(".svg"):
        Path(out).mkdir(exist_ok=True)
        wanted = {Path(out) / f"{name}.svg": keys for name, keys in KEYS.items()}
    for path, keys in wanted.items():
        drawing = asyncio.run(picture(Path(lab), columns, rows, keys))
        path.write_text(drawing, encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
