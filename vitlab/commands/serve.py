"""`vitlab serve`: the screen in a browser; `vitlab debug`: what a bug report needs."""

from __future__ import annotations

import argparse
import os
import sys

from vitlab.commands.here import this_lab
from vitlab.commands.output import Commands, add_json, print_json
from vitlab.contract.paths import NoLab, UsageError

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
    from vitlab.tui.serve import LabServer, listen, serve

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
    from vitlab.records.condition import as_json, gather, written

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
