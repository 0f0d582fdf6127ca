"""The `vitlab` command: reads the arguments, runs the command, turns mistakes into one line."""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import locale
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any, NoReturn

from vitlab.commands.agents.arguments import Parser
from vitlab.contract.paths import UsageError, cause
from vitlab.contract.reading import LATEST
from vitlab.contract.terminal import drop_output, harmless_output, lost_output
from vitlab.contract.user_key import unforeseen

COMMANDS = {
    "init": ("start", "create a lab: an example roadmap, hub and experiments"),
    "demo": ("start", "the whole loop once, without a screen"),
    "status": ("plan", "MVPs, gates and what is next"),
    "lint": ("plan", "contradictions in the documents (exit status 1 if any)"),
    "why": ("agents.why", "which job and value a number in the documents comes from"),
    "gates": ("plan", "judge the gates from the results so far"),
    "set": ("plan", "set the status of an MVP or gate everywhere it appears"),
    "sync": ("plan", "write results back into roadmap, hub and reports"),
    "tray": ("agents.tray", "what assistants propose: accept or dismiss it"),
    "undo": ("plan", "undo the last write to the documents"),
    "redo": ("plan", "redo the last undone write"),
    "hub": ("hub", "show the hub: beliefs, hypotheses, gaps, next steps; set or add one"),
    "new": ("new", "create a plan, an MVP, a gate or an MVP's experiment file"),
    "run": ("jobs", "launch an MVP's experiment"),
    "jobs": ("jobs", "all jobs, with their state and progress"),
    "logs": ("jobs", "a job's output"),
    "stop": ("jobs", "stop a job, or remove it from the queue"),
    "resume": ("jobs", "resume a stopped or lost job, in its folder"),
    "auto": ("agents.auto", "launch what the plan has next, unattended, within a budget"),
    "wait": ("agents.wait", "wait until something ends, fails, is judged or needs a person"),
    "hold": ("jobs", "hold a waiting job"),
    "release": ("jobs", "release a held job"),
    "move": ("jobs", "change a waiting job's place in the queue"),
    "adopt": ("adopt", "list trainings started by hand; adopt one as a job"),
    "plot": ("results", "curves of jobs in the terminal"),
    "compare": ("results", "all results in one table, with the settings that differ"),
    "spectrum": (
        "spectrum",
        "one test star: its spectrum and each model's prediction",
    ),
    "evaluate": ("evaluate", "score trained models again, on any data"),
    "predict": ("survey.predict", "labels of observed spectra, and which are unlike a model's"),
    "figure": ("charts", "draw a figure as PDF and PNG, and in the terminal"),
    "paper": ("paper.make", "a paper's tables, figures and numbers; check a draft's"),
    "data": ("data", "files of spectra: make one, inspect one, import a grid"),
    "ceiling": ("ceiling", "the best score the flux allows, by magnitude or for a file"),
    "scaling": ("scaling", "scaling laws of R² with training size and parameters"),
    "serve": ("screen", "the screen in a browser, on this machine only"),
    "mcp": ("agents.mcp", "a Model Context Protocol server for assistants"),
    "debug": ("screen", "information for a bug report, without names or keys"),
    "completion": ("start", "print the completion script for bash, zsh or fish"),
}
"""Name -> (its module in `vitlab.commands`, its line in the help).

The module's `OPTIONS[name]` adds the command's options, and `handler(args) -> exit status`."""

_EPILOG = """\
Without a command, vitlab opens the screen in the lab found from this folder upwards.
MVP is an id of the roadmap's overview (1.0, 16A-0); JOB is <exp_id>/<job>, or a unique prefix
of the job's name. Exit status: 0 done, 1 a finding (a failed job under --wait, lint),
2 bad usage or input, with one line saying where, 74 done, but the output could not be written.
"""
OUTPUT_LOST = 74
"""Exit status, as sysexits.h has it (EX_IOERR); 2 would deny what was done."""


class _Version(argparse.Action):
    """Prints the installed version; what finds it is loaded only then."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="show the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        print(f"vitlab {version('vitlab')}")
        parser.exit()


class _Parser(Parser):
    """Adds the options of its command only when it is used: no other command is imported."""

    def __init__(self, *args: Any, command: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._command = command
        self._second = ""
        """The second word of a command of two."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self.add_options(args or [])
        if args and args[0] == self._second:
            args = args[1:]
        return super().parse_known_args(args, namespace)

    def add_options(self, args: Sequence[str]) -> None:
        """Add the options of the command, if it has been given any, once."""
        if not self._command:
            return
        command, self._command = self._command, ""
        options = import_module(f"vitlab.commands.{COMMANDS[command][0]}").OPTIONS
        if args and f"{command} {args[0]}" in options:
            self._second, command = args[0], f"{command} {args[0]}"
            self.prog = f"{self.prog} {self._second}"
        add_options: Callable[[argparse.ArgumentParser], None] = options[command]
        add_options(self)
        own = [action for action in self._actions if action.dest == "roadmap"]
        for action in own:
            action.default = argparse.SUPPRESS  # `vitlab --roadmap FILE run 1.0` names it too
        if not own:
            self.set_defaults(without_roadmap=self.prog)

    def error(self, message: str) -> NoReturn:
        """One line, like every other error."""
        self.exit(2, f"{self.prog}: {message} (see `{self.prog} --help`)\n")


def build_parser(line: str = "") -> argparse.ArgumentParser:
    """All commands; parsing sets the chosen one's `handler(args) -> exit status`.

    The command of a `line` that a shell completes has its options before it is parsed.
    """
    parser = _Parser(
        prog="vitlab",
        description="Run, judge and write back the experiments of a markdown roadmap.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version)
    parser.add_argument(
        "--roadmap", metavar="FILE", help="the roadmap to open (default: the first)"
    )
    parser.add_argument("--no-mouse", action="store_true", help="do not capture the mouse")
    parser.set_defaults(handler=_open_screen)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser)
    for name, (_, help_line) in COMMANDS.items():
        command = commands.add_parser(name, help=help_line, command=name)
        _, found, rest = line.partition(f" {name} ")
        if found:
            command.add_options(rest.split())
    return parser


def _open_screen(args: argparse.Namespace) -> int:
    # Until the first paint: all that is loaded stays, so looking for garbage only costs time.
    gc.disable()
    from vitlab.commands.screen import open_screen

    return open_screen(args)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the value is the exit status."""
    _open_output()
    os.umask(os.umask(0o077) & 0o077)  # what no user may read, nor does vitlab: locks, documents
    if argv is None:
        _use_utf8()
        gc.set_threshold(20_000)  # nothing of all that is loaded is garbage
        if not sys.warnoptions:  # numbers of a file beyond all measure; what they make is nan
            warnings.simplefilter("ignore", RuntimeWarning)
    _set_output()
    if "_ARGCOMPLETE" in os.environ and argv is None:  # a shell asks, after a press of Tab
        from vitlab.completion import complete

        parser = build_parser(os.environ.get("COMP_LINE", ""))
        complete(parser, {name: module for name, (module, _) in COMMANDS.items()})
    with harmless_output():
        return _run(argv)


def _run(argv: Sequence[str] | None) -> int:
    try:
        _check_encoding(sys.argv[1:] if argv is None else argv)
        _check_surroundings()
        args = build_parser().parse_args(argv)
        if args.roadmap is not None and "without_roadmap" in args:
            raise UsageError(f"{args.without_roadmap}: does not take --roadmap")
        with _interruptible():
            status: int = args.handler(args)
        if (failure := lost_output()) is not None:
            _mistake(f"done, but standard output cannot be written: {failure.strerror or failure}")
            return status or OUTPUT_LOST
    except UsageError as error:
        return _mistake(str(error))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output is gone (`vitlab jobs | head`): nothing to say.
        drop_output(sys.stdout)
        return 141
    except OSError as error:  # no rights, a full disk: the same for every command
        return _mistake(cause(error))
    except UnicodeError as error:
        return _mistake(str(error))
    except Exception as error:  # nothing foresaw it: one line all the same, and how to report it
        return _mistake(unforeseen(error))
    return status


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl+c is a `KeyboardInterrupt` in a command; around it, `__main__` lets it end all."""
    ends = signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    try:
        if ends:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
    finally:
        if ends:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


def _check_encoding(words: Sequence[str]) -> None:
    """`UsageError` for bytes that are no UTF-8, unless they name a file: no text can hold them."""
    for word in words:
        text = word.partition("=")[2] if word.startswith("--") and "=" in word else word
        try:
            text.encode()
        except UnicodeEncodeError:
            if not os.path.lexists(text):
                raise UsageError(f"{text!a}: holds bytes that are no UTF-8") from None


def _check_surroundings() -> None:
    """`UsageError` for a clock of no calendar, and for what Polars only panics at."""
    if not 0 <= (now := time.time()) < LATEST:  # what is written now could not be read again
        raise UsageError(f"this machine's clock is wrong: {now:.0f} seconds since 1970 UTC")
    threads = os.environ.get("POLARS_MAX_THREADS", "1")
    if not (threads.isdecimal() and 0 < int(threads) < 1 << 16):
        raise UsageError(f"POLARS_MAX_THREADS={threads}, of the environment: not a number above 0")


def _open_output() -> None:
    """Let nothing fail on a stream that whoever started us has closed (`vitlab status >&-`)."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115


def _use_utf8() -> None:
    """Start again in Python's UTF-8 mode where the locale has another encoding.

    Documents, settings and the names of files are UTF-8, whatever the terminal shows.
    """
    if sys.getfilesystemencoding().lower() != "utf-8" and sys.executable:
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def _set_output() -> None:
    """Print in the terminal's encoding, with a mark for what it lacks, and never fail for that."""
    encoding = None
    if "utf8" in sys._xoptions and "PYTHONIOENCODING" not in os.environ:
        encoding = locale.getencoding()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=encoding, errors="replace")


def _mistake(text: str) -> int:
    with contextlib.suppress(OSError):
        print("vitlab:", " ".join(text.split()), file=sys.stderr)
    return 2
