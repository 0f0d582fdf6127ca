"""`vitlab` without a command: the screen."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vitlab.commands.here import this_lab
from vitlab.contract.paths import NoLab, UsageError

if TYPE_CHECKING:
    from vitlab.records.lab import Lab

WEB = "textual.drivers.web_driver:WebDriver"
"""What `vitlab serve` has the screen drawn by."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--roadmap", metavar="FILE", help="the roadmap to open (default: the first)"
    )
    parser.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")
    parser.set_defaults(handler=open_screen)


def open_screen(args: argparse.Namespace) -> int:
    """Open the screen in the lab found from the current folder upwards; offer one without."""
    # Until the first picture is there: all that is loaded stays, looking for garbage is in vain.
    gc.disable()
    from vitlab.tui.app import run_app

    # Textual draws on standard error, so that one counts too; in a browser on none of them.
    streams = (sys.stdin, sys.stdout, sys.stderr)
    terminal = os.environ.get("TEXTUAL_DRIVER") == WEB or all(s.isatty() for s in streams)
    try:
        lab = this_lab()
    except NoLab:
        if not terminal or not _offer(Path.cwd(), None, mouse=not args.no_mouse):
            if terminal:
                return 0
            raise
        lab = this_lab()
    if terminal and args.roadmap is None and not lab.roadmaps():
        _offer(lab.paths.root, lab, mouse=not args.no_mouse)
        roadmap = next(iter(lab.roadmaps()), None)
    else:
        named = lab.roadmap_path(args.roadmap)
        # As the lab calls it, so that it is known among the others.
        roadmap = next((path for path in lab.roadmaps() if path.samefile(named)), named)
    if not terminal:
        raise UsageError("the screen needs a terminal; `vitlab status` and `vitlab demo` do not")
    return run_app(lab, roadmap, mouse=not args.no_mouse)


def _offer(folder: Path, lab: Lab | None, *, mouse: bool) -> bool:
    """Offer to make the example lab in `folder`; whether it was made."""
    from vitlab.records.example import example_files, make_example
    from vitlab.tui.welcome import offered

    files = [file for file in example_files() if not (folder / file).exists()]
    theme = lab.settings.theme if lab else "dark"
    if not offered(folder, files, lab=lab is not None, theme=theme, mouse=mouse):
        return False
    make_example(folder, keep=True)
    return True
