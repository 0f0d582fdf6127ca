"""What a shell offers at a press of Tab: commands, options, and the names of MVPs and jobs."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import argcomplete
from argcomplete.completers import BaseCompleter, FilesCompleter

from vitlab.commands.common import Options
from vitlab.contract.paths import UsageError
from vitlab.contract.terminal import harmless
from vitlab.docs.model.roadmap import Roadmap
from vitlab.jobs.store import all_jobs
from vitlab.lab.lab import Lab, open_lab

Names = dict[str, str]
"""What an argument may be, and a line on each."""


def complete(parser: argparse.ArgumentParser, modules: Mapping[str, str]) -> None:
    """Write what continues the command line in the environment, and end the process.

    `modules`: command -> its module in `vitlab.commands`.
    """
    argcomplete.autocomplete(
        parser, always_complete_options="long", default_completer=_Completer(modules)
    )


@dataclass(frozen=True)
class _Completer(BaseCompleter):
    """Names for the arguments that are names, files for those that are files."""

    modules: Mapping[str, str]

    def __call__(
        self,
        *,
        prefix: str,
        action: argparse.Action,
        parser: argparse.ArgumentParser,
        parsed_args: argparse.Namespace,  # noqa: ARG002 - given to every completer
    ) -> Names:
        kinds = _KINDS.get(action.dest)
        if kinds is None:
            is_file = action.metavar in (None, "FILE", "FOLDER", "ROADMAP")
            return dict.fromkeys(FilesCompleter()(prefix), "") if is_file else {}
        names = {} if action.option_strings else self._second_words(parser.prog.split(" ")[-1])
        with contextlib.suppress(UsageError, OSError):  # in no lab, say: the shell shows nothing
            lab = open_lab(Path.cwd(), lambda _: None, looking=True)
            for kind in kinds:
                names |= kind(lab)
        return {name: harmless(line) for name, line in names.items() if name.isprintable()}

    def _second_words(self, command: str) -> Names:
        """Those of commands of two words, as `mvp` of `new mvp`."""
        if command not in self.modules:
            return {}
        options: Options = import_module(f"vitlab.commands.{self.modules[command]}").OPTIONS
        words = (name.split(" ") for name in options)
        return {second: "" for first, *rest in words if first == command for second in rest}


def _roadmaps(lab: Lab) -> Iterator[Roadmap]:
    for path in lab.roadmaps():
        with contextlib.suppress(UsageError, OSError):  # a broken one hides no other
            yield lab.read_roadmap(path)


def _mvps(lab: Lab) -> Names:
    return {mvp.id: mvp.name for roadmap in _roadmaps(lab) for mvp in roadmap.mvps}


def _gates(lab: Lab) -> Names:
    return {gate.id: gate.title for roadmap in _roadmaps(lab) for gate in roadmap.gates}


def _jobs(lab: Lab) -> Names:
    return {job.paths.name: job.spec.run for job in all_jobs(lab.paths)}


_KINDS: dict[str, tuple[Callable[[Lab], Names], ...]] = {
    "mvp": (_mvps,),
    "mvps": (_mvps,),
    "gate": (_gates,),
    "job": (_jobs,),
    "jobs": (_mvps, _jobs),
    "to": (_jobs,),
}
"""By an argument's `dest`, what it may name."""
