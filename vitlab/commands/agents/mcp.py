"""`vitlab mcp`: a server of the Model Context Protocol, for assistants that work with a lab."""

from __future__ import annotations

import argparse
import os
from importlib.util import find_spec

from vitlab.commands.common import Options, this_lab
from vitlab.contract.paths import UsageError
from vitlab.lab.autopilot.budget import hours_of

_ROLES = ("read", "propose", "act")
_ABOUT = """\
read: looks. propose: puts launches and edits into the tray (`vitlab tray`, key w), where you accept
or dismiss them. act: launches within the budget too, and still proposes every conclusion. The
budget is the run time that its jobs may take in 24 hours, all jobs added up."""


def _mcp_options(mcp: argparse.ArgumentParser) -> None:
    mcp.epilog = _ABOUT
    mcp.add_argument("--role", choices=_ROLES, default="read", help="default: read")
    mcp.add_argument("--budget", metavar="HOURS", help="of --role act: 2h, 90m")
    mcp.add_argument("--gpu-hours", metavar="HOURS", help="the same of GPUs (default: no limit)")
    mcp.set_defaults(handler=serve_mcp)


def serve_mcp(args: argparse.Namespace) -> int:
    """`vitlab mcp`: serve until standard input ends."""
    if find_spec("mcp") is None:
        raise UsageError("vitlab mcp needs the package mcp: pip install 'vitlab[mcp]'")
    if args.role == "act" and not args.budget:
        raise UsageError("--role act needs --budget, such as --budget 2h")
    if args.role != "act" and (args.budget or args.gpu_hours):
        raise UsageError("--budget and --gpu-hours belong to --role act")
    from vitlab.commands.agents.server.protocol import serve  # nothing else needs the package
    from vitlab.commands.agents.server.session import Session

    root = this_lab().paths.root.resolve()
    os.chdir(root)
    hours = hours_of(args.budget, "--budget") if args.budget else 0.0
    gpu_hours = hours_of(args.gpu_hours, "--gpu-hours") if args.gpu_hours else None
    session = Session(root, args.role, hours, gpu_hours)
    if args.role == "act":
        session.account(session.lab()).begin()
    serve(session)
    return 0


OPTIONS: Options = {"mcp": _mcp_options}
