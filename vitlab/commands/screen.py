"""`vitlab` without a command: the screen; `vitlab serve`: in a browser; `vitlab debug`."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vitlab.commands.common import Commands, add_json, print_json, this_lab
from vitlab.contract.paths import NoLab, UsageError

if TYPE_CHECKING:
    from vitlab.lab.lab import Lab

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
    from vitlab.lab.example import example_files, make_example
    from vitlab.tui.welcome import offered

    files = [file for file in example_files() if not (folder / file).exists()]
    theme = lab.settings.theme if lab else "dark"
    if not offered(folder, files, lab=lab is not None, theme=theme, mouse=mouse):
        return False
    make_example(folder, keep=True)
    return True


LOOPBACK = ("127.0.0.1", "localhost")


def add_commands(commands: Commands) -> None:
    serving = commands.add_parser("serve", help="the screen in a browser, on this machine only")
    serving.add_argument("--port", type=int, default=8000, metavar="N", help="default: 8000")
    serving.add_argument("--host", default=LOOPBACK[0], help="127.0.0.1, and no other")
    serving.add_argument("--roadmap", metavar="FILE", help="the roadmap to open")
    serving.set_defaults(handler=serve_screen)

    debug = commands.add_parser("debug", help="what a bug report needs, without names and keys")
    add_json(debug)
    debug.set_defaults(handler=print_debug)


def serve_screen(args: argparse.Namespace) -> int:
    """Serve until it is ended; the address has a key, and whoever has it has the lab."""
    if args.host not in LOOPBACK:
        raise UsageError(
            f"--host {args.host}: only 127.0.0.1; from another machine use ssh -L "
            f"{args.port}:127.0.0.1:{args.port}"
        )
    if not 0 <= args.port < 1 << 16:
        raise UsageError(f"--port {args.port}: a number from 0 (any free one) to 65535")
    lab = this_lab()
    argv = [sys.executable, "-P", "-m", "vitlab"]
    if args.roadmap:
        argv += ["--roadmap", str(lab.roadmap_path(args.roadmap))]
    from vitlab.tui.terminal.serve import LabServer, listen, serve

    sock = listen(args.port)
    port = sock.getsockname()[1]
    server = LabServer(argv, port, f"vitlab {lab.paths.root.name}")
    print(f"open  {server.address}")
    print(f"from another machine, first:  ssh -N -L {port}:127.0.0.1:{port} {_here()}")
    print("ctrl+c ends it; jobs go on", flush=True)
    serve(server, sock)
    return 0


def print_debug(args: argparse.Namespace) -> int:
    """The same as the debug screen, as far as it is known without one; works outside a lab too."""
    from vitlab.lab.live.diagnostics import as_json, gather, written

    try:
        lab = this_lab()
    except NoLab:
        lab = None
    sections = gather(lab, os.environ)
    if args.json:
        print_json(as_json(sections, lab))
    else:
        print(written(sections, lab), end="")
    return 0


def _here() -> str:
    import getpass
    import platform

    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "USER"  # a container's user without a name
    return f"{user}@{platform.node() or 'HOST'}"
