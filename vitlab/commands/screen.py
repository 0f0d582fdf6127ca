"""`vitlab` without a command: the screen; `vitlab serve`: in a browser; `vitlab debug`."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from pathlib import Path

from vitlab.commands.common import Options, add_json, print_json, this_lab
from vitlab.contract.paths import NoLab, UsageError
from vitlab.lab.example import example_files, make_example
from vitlab.lab.lab import Lab

WEB = "textual.drivers.web_driver:WebDriver"
"""The screen's driver under `vitlab serve`."""


def open_screen(args: argparse.Namespace) -> int:
    """Open the screen in the lab found from the current folder upwards, or offer to make one."""
    from vitlab.tui.app import run_app

    # Textual draws on standard error, so that one counts too; in a browser on none of them.
    streams = (sys.stdin, sys.stdout, sys.stderr)
    terminal = os.environ.get("TEXTUAL_DRIVER") == WEB or all(s.isatty() for s in streams)
    if terminal and (name := os.environ.get("TERM", "")) in ("dumb", "unknown"):
        # Such as Emacs' shell; drawing on one never ends.
        raise UsageError(f"the screen needs a terminal that places text, and TERM is {name}")
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
        # As the lab names it, so that it is known among the others.
        known = (path for path in lab.roadmaps() if path.is_file() and path.samefile(named))
        roadmap = next(known, named)
    if not terminal:
        raise UsageError("the screen needs a terminal; `vitlab status` and `vitlab demo` do not")
    return run_app(lab, roadmap, mouse=not args.no_mouse)


def _offer(folder: Path, lab: Lab | None, *, mouse: bool) -> bool:
    """Offer to make the example lab in `folder`; whether it was made."""
    from vitlab.tui.screens.welcome import offered

    files = [file for file in example_files() if not (folder / file).exists()]
    theme = lab.settings.theme if lab else "dark"
    if not offered(folder, files, lab=lab is not None, theme=theme, mouse=mouse):
        return False
    make_example(folder, keep=True)
    return True


LOOPBACK = ("127.0.0.1", "localhost")


def _serve_options(serving: argparse.ArgumentParser) -> None:
    serving.add_argument("--port", type=int, default=8000, metavar="N", help="default: 8000")
    serving.add_argument("--host", default=LOOPBACK[0], help="127.0.0.1 only")
    serving.add_argument(
        "--roadmap", metavar="FILE", help="the roadmap to open (default: the first)"
    )
    serving.set_defaults(handler=serve_screen)


def _debug_options(debug: argparse.ArgumentParser) -> None:
    add_json(debug)
    debug.set_defaults(handler=print_debug)


def serve_screen(args: argparse.Namespace) -> int:
    """Serve until interrupted; the address has a key, which gives full access to the lab."""
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
    os.environ["TERM"] = "xterm-256color"  # that of the page, whatever this one is
    server = LabServer(argv, port, f"vitlab {lab.paths.root.name}")
    print(f"open  {server.address}")
    print(f"from another machine, first:  ssh -N -L {port}:127.0.0.1:{port} {_here()}")
    print("ctrl+c stops it; jobs keep running", flush=True)
    serve(server, sock)
    return 0


def print_debug(args: argparse.Namespace) -> int:
    """What the debug screen shows, as far as is known without a screen; works outside a lab too."""
    from vitlab.lab.live.diagnostics import as_json, as_text, collect

    try:
        lab = this_lab(looking=True)
    except NoLab:
        lab = None
    sections = collect(lab, os.environ)
    if args.json:
        print_json(as_json(sections, lab))
    else:
        print(as_text(sections, lab), end="")
    return 0


def _here() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "USER"  # a container's user without a name
    return f"{user}@{os.uname().nodename or 'HOST'}"


OPTIONS: Options = {"serve": _serve_options, "debug": _debug_options}
