"""The `vitlab` command: reads the arguments, runs the command, turns mistakes into one line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from vitlab.commands import charts, data, evaluate, jobs, plan, results, screen, spectrum, start
from vitlab.contract.paths import UsageError

_EPILOG = """\
Without a command, vitlab opens the screen in the lab found from this folder upwards.
MVP is an id of the roadmap's overview (1.0, 16A-0); JOB is <exp_id>/<job>, or a unique beginning
of the job's name. Exit status: 0 done, 1 a finding (a failed job under --wait, lint),
2 bad usage or input, with one line saying where.
"""


class _Version(argparse.Action):
    """Says the installed version; what finds it is loaded only then."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="show the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        print(f"vitlab {version('vitlab')}")
        parser.exit()


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, like every other mistake."""
        self.exit(2, f"{self.prog}: {message} (see `{self.prog} --help`)\n")


def build_parser() -> argparse.ArgumentParser:
    """All commands; each carries its handler as `handler(args) -> exit status`."""
    parser = _Parser(
        prog="vitlab",
        description="Run, judge and write back the experiments of a markdown roadmap.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version)
    screen.add_options(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser)
    for group in (start, plan, jobs, results, spectrum, evaluate, charts, data, screen):
        group.add_commands(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the value is the exit status."""
    args = build_parser().parse_args(argv)
    try:
        status: int = args.handler(args)
        sys.stdout.flush()
    except UsageError as error:
        print(f"vitlab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output went away (`vitlab jobs | head`): nothing to say, and Python
        # must not try to flush into the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return status
