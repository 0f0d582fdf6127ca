"""`vitlab` without a command: the screen."""

from __future__ import annotations

import argparse
import gc
import sys

from vitlab.commands.here import this_lab
from vitlab.contract.paths import UsageError


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--roadmap", metavar="FILE", help="the roadmap to open (default: the first)"
    )
    parser.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")
    parser.set_defaults(handler=open_screen)


def open_screen(args: argparse.Namespace) -> int:
    """Open the screen in the lab found from the current folder upwards."""
    # Until the first picture is there: all that is loaded stays, looking for garbage is in vain.
    gc.disable()
    from vitlab.tui.app import run_app

    lab = this_lab()
    roadmap = lab.roadmap_path(args.roadmap)
    # Textual draws on standard error, so that one counts too.
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise UsageError("the screen needs a terminal; `vitlab status` and `vitlab demo` do not")
    return run_app(lab, roadmap, mouse=not args.no_mouse)
