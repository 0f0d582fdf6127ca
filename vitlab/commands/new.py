"""The commands that make something new: an experiment file, a plan, an MVP, a gate."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vitlab.commands.common import Options, add_json, plain, print_json, this_lab
from vitlab.contract.job import bare_id
from vitlab.contract.paths import LabPaths, NoLab, UsageError
from vitlab.contract.reading import whole_number
from vitlab.contract.terminal import print_exact
from vitlab.docs.text.edit import unified
from vitlab.jobs.experiment.experiment import MAX_REPEATS
from vitlab.jobs.experiment.script_python import check_python, find_python
from vitlab.jobs.experiment.settings import load_settings
from vitlab.jobs.queue.preflight import Finding
from vitlab.lab.adoption import Wanted, adopt, candidates
from vitlab.lab.lab import Lab
from vitlab.lab.launch import Request, launch, plan_launch
from vitlab.lab.new_experiment import (
    ABOUT,
    UNIT_ANSWERS,
    UNITS,
    Choice,
    NewExperiment,
    check_new,
    plan_new,
    write_new,
)
from vitlab.lab.new_plan import (
    LANGUAGES,
    Creation,
    NewGate,
    NewMvp,
    NewPlan,
    plan_gate,
    plan_mvp,
    plan_plan,
    save_new,
)


def _options(new: argparse.ArgumentParser) -> None:
    new.usage = (
        "vitlab new MVP [options]: its experiment file\n"
        "       vitlab new plan TOPIC [--language zh|en]: a roadmap with its hub\n"
        "       vitlab new mvp --name NAME [--gate GATE] [--hypothesis H]: an MVP in every place\n"
        "       vitlab new gate --name NAME --condition RULE: a gate (each has its own --help)"
    )
    new.description = (
        "Write the experiment file of an MVP. In a terminal, without options, it asks. "
        "It never overwrites a file."
    )
    new.add_argument("mvp", metavar="MVP")
    new.add_argument("--roadmap", metavar="FILE", help="default: the only one that lists the MVP")
    kind = new.add_mutually_exclusive_group()
    kind.add_argument("--template", choices=tuple(ABOUT), help="one of vitlab's recipes")
    kind.add_argument("--script", type=Path, metavar="PATH", help="your own Python script")
    kind.add_argument(
        "--pid", type=int, metavar="P", help="a running training (see `vitlab adopt`)"
    )
    new.add_argument("--python", default="", metavar="PATH",
                     help="its Python (default: the nearest with its imports)")  # fmt: skip
    new.add_argument("--cwd", metavar="DIR",
                     help="where it runs (default: a separate folder for each job)")  # fmt: skip
    new.add_argument("--unit", action="append", default=[], metavar="NAME=UNIT",
                     help="unit of an error it logs: val_mae=dex (or K, sigma)")  # fmt: skip
    new.add_argument("--repeats", type=int, default=1, metavar="N",
                     help="run a script with N seeds (default: 1)")  # fmt: skip
    new.add_argument("--out", type=Path, metavar="FILE", help="default: experiments/NAME.yaml")
    new.add_argument("--dry-run", action="store_true", help="print the file, write nothing")
    new.add_argument("--no-edit", action="store_true", help="do not open $EDITOR")
    new.add_argument("--launch", action="store_true",
                     help="launch it at its smallest profile (--pid: adopt it)")  # fmt: skip
    add_json(new)
    new.set_defaults(handler=write_experiment)


def write_experiment(args: argparse.Namespace) -> int:
    """`vitlab new MVP`: write its experiment file, check it, edit it, and say what is next."""
    lab = this_lab()
    mvp = bare_id(args.mvp) or args.mvp
    roadmap = lab.roadmap_with(mvp, args.roadmap)
    if not 1 <= args.repeats <= MAX_REPEATS or (args.repeats > 1 and args.template):
        raise UsageError(f"--repeats {args.repeats}: must be from 1 to {MAX_REPEATS}, of a script")
    choice = Choice(
        template=args.template or "",
        script=args.script,
        python=args.python,
        cwd=args.cwd,
        pid=args.pid,
        out=args.out,
        units=_units(args.unit),
        repeats=args.repeats,
    )
    on_terminal = sys.stdin.isatty() and sys.stdout.isatty() and not args.json
    if not (choice.template or choice.script or choice.pid is not None):
        if not on_terminal:
            raise UsageError("new: give --template, --script or --pid")
        choice = _ask(lab, choice)
    new = plan_new(lab, roadmap, mvp, choice)
    if new.open_units and on_terminal:
        new = plan_new(lab, roadmap, mvp, replace(choice, units=_ask_units(new, choice.units)))
    if args.dry_run:
        _print(lab, new, (), "", args.json, dry=True)
        return 0
    findings = write_new(lab, new)
    if on_terminal and not args.no_edit:
        findings = _edit(lab, new) or findings
    following = f"vitlab run {new.mvp} --profile {new.profile}"
    if choice.pid is not None:
        following = f"vitlab adopt --pid {choice.pid} --mvp {new.mvp}"
    _print(lab, new, findings, "" if args.launch else following, args.json)
    if args.launch:
        _launch(lab, new, choice)
    return 0


def _launch(lab: Lab, new: NewExperiment, choice: Choice) -> None:
    if choice.pid is not None:
        print(f"adopted {adopt(lab, new.roadmap, new.mvp, Wanted(choice.pid)).job.name}")
        return
    plan = plan_launch(lab, Request(new.roadmap, new.mvp, new.profile))
    for job in launch(lab, plan).jobs:
        print(f"submitted {job.name}")


def _print(
    lab: Lab,
    new: NewExperiment,
    findings: Sequence[Finding],
    following: str,
    as_json: bool,
    dry: bool = False,
) -> None:
    name = lab.paths.relative(new.path)
    if as_json:
        print_json(
            {
                "files": [] if dry else [name],
                "diff": unified("", new.text, name),
                "profile": new.profile,
                "notes": list(new.notes),
                "unit_unknown": list(new.open_units),
                "findings": [{"status": one.status, "text": one.text} for one in findings],
                "next": following or None,
            }
        )
        return
    print(new.text if dry else f"made {name}", end="" if dry else "\n")
    for note in new.notes:
        print(plain(note), file=sys.stderr)
    for theirs in new.open_units:
        print(f"left out: {plain(theirs)}, unit unknown: --unit {theirs}=dex (or sigma)",
              file=sys.stderr)  # fmt: skip
    for finding in findings:
        print(f"{finding.status}: {plain(finding.text)}", file=sys.stderr)
    if following:
        print(f"next: {following}")


def _edit(lab: Lab, new: NewExperiment) -> tuple[Finding, ...] | None:
    """Open it in the editor, where one is set, and check what comes out."""
    # Textual comes with it, which nothing else of this command needs.
    from vitlab.tui.terminal.terminal_io import editor_command, run_editor

    if not (os.environ.get("VISUAL") or os.environ.get("EDITOR")):
        return None
    run_editor(editor_command(os.environ, new.path, 1))
    return check_new(lab, new)


def _units(pairs: Iterable[str]) -> dict[str, str]:
    units = {}
    for pair in pairs:
        theirs, _, unit = pair.partition("=")
        if not theirs or unit not in UNITS:
            raise UsageError(f"--unit {pair}: must be like val_mae=dex (or {', '.join(UNITS[1:])})")
        units[theirs] = unit
    return units


def _ask(lab: Lab, choice: Choice) -> Choice:
    """A few questions, each with a default."""
    kinds = ("my own script", "one of vitlab's templates", "a run already in progress")
    match _pick("What should it be made from?", kinds):
        case 0:
            script = Path(_line("Script", "train.py")).expanduser()
            if not script.is_file():
                raise UsageError(f"{script}: no such script")
            python = _ask_python(choice.python, script.absolute())
            cwd = _line("Folder it runs in (empty: a separate one for each job)", choice.cwd or "")
            return replace(choice, script=script, python=python, cwd=cwd or None)
        case 1:
            names = list(ABOUT)
            lines = [f"{name:<9} {about}" for name, about in ABOUT.items()]
            return replace(choice, template=names[_pick("Which one?", lines)])
        case _:
            found = [one for one in candidates(lab) if not one.watched_by]
            if not found:
                raise UsageError("you have no Python training running outside vitlab")
            lines = [plain(f"{one.training.pid}  {one.training.command[:70]}") for one in found]
            return replace(choice, pid=found[_pick("Which one?", lines)].training.pid)


def _ask_python(python: str, script: Path) -> str:
    """The Python it is run with, asked again while that cannot run it; empty: the one offered."""
    offered = find_python(script)
    while True:
        answer = _line("Python", python or offered)
        if answer == offered:
            return ""
        try:
            return check_python(answer, script)
        except UsageError as error:
            print(plain(str(error)))
        python = ""


def _ask_units(new: NewExperiment, known: Mapping[str, str]) -> dict[str, str]:
    """The unit of each error whose unit is not known; left out where the user does not know."""
    units, answers = dict(known), list(UNIT_ANSWERS)
    for theirs in new.open_units:
        print(f"{plain(theirs)}: which unit does the script log it in?")
        if unit := UNIT_ANSWERS[answers[_pick("", answers)]]:
            units[theirs] = unit
    return units


def _pick(question: str, lines: Sequence[str]) -> int:
    if question:
        print(question)
    for number, line in enumerate(lines, 1):
        print(f"  {number}  {line}")
    while True:
        answer = _line("Number", "1")
        if 1 <= (number := whole_number(answer) or 0) <= len(lines):
            return number - 1
        print(f"a number from 1 to {len(lines)}")


def _line(question: str, default: str) -> str:
    try:
        return input(f"{question}{f' [{default}]' if default else ''}: ").strip() or default
    except EOFError as error:
        raise UsageError("new: no answer; nothing was written") from error


def _plan_options(new: argparse.ArgumentParser) -> None:
    new.description = "Create a roadmap and its hub; `vitlab undo` removes both."
    new.add_argument("topic", metavar="TOPIC", help="what the plan is about; also names its files")
    new.add_argument("--language", choices=LANGUAGES, default="zh", help="default: zh")
    new.add_argument("--folder", default="", metavar="DIR",
                     help="from the lab's root (default: roadmaps)")  # fmt: skip
    _creation_options(new, make_plan)


def _mvp_options(new: argparse.ArgumentParser) -> None:
    new.description = (
        "Add a planned MVP: a row of the overview, a section, a card on each board, a row of "
        "each check list, a report without results. `vitlab undo` removes all of it."
    )
    new.add_argument("--name", required=True, help="what is tested, in a few words")
    new.add_argument("--gate", default="", help="the gate it informs, like Gate-1")
    new.add_argument(
        "--hypothesis", default="", metavar="H", help="a hypothesis of the hub, like H1.2"
    )
    new.add_argument("--id", default="", help="default: the next free number")
    _in_roadmap(new, make_mvp)


def _gate_options(new: argparse.ArgumentParser) -> None:
    new.description = (
        "Add a gate in the shape of the others. A rule that vitlab cannot read is left to you, "
        "and it says so."
    )
    new.add_argument("--name", required=True, help="what it decides")
    new.add_argument("--condition", required=True, metavar="RULE",
                     help='when it passes: "test R2 log_g >= 0.6"')  # fmt: skip
    new.add_argument("--mvp", default="", help="the MVP that decides it")
    new.add_argument("--if-yes", default="", metavar="TEXT", help="what happens if it passes")
    new.add_argument("--if-no", default="", metavar="TEXT", help="what happens if it fails")
    new.add_argument("--id", default="", help="default: the next free number")
    _in_roadmap(new, make_gate)


def _in_roadmap(new: argparse.ArgumentParser, handler: Callable[[argparse.Namespace], int]) -> None:
    new.add_argument("--roadmap", metavar="FILE", help="default: the lab's first")
    _creation_options(new, handler)


def _creation_options(
    new: argparse.ArgumentParser, handler: Callable[[argparse.Namespace], int]
) -> None:
    new.add_argument("--dry-run", action="store_true", help="print the diff, write nothing")
    add_json(new)
    new.set_defaults(handler=handler)


def make_plan(args: argparse.Namespace) -> int:
    """`vitlab new plan`: a roadmap and its hub, also where there is no lab yet."""
    try:
        lab = this_lab()
    except NoLab:
        here = Path.cwd()
        roots = (folder for folder in (here, *here.parents) if (folder / ".git").exists())
        paths = LabPaths(next(roots, here))
        paths.private.check()
        lab = Lab(paths, load_settings(paths))
    new = NewPlan(args.topic, args.language, args.folder)
    return _create(lab, plan_plan(lab, new), "vitlab new gate, vitlab new mvp", args)


def make_mvp(args: argparse.Namespace) -> int:
    """`vitlab new mvp`: an MVP that waits, in every place."""
    lab = this_lab()
    new = NewMvp(args.name, args.gate, args.hypothesis, args.id)
    creation = plan_mvp(lab, lab.roadmap_path(args.roadmap), new)
    return _create(lab, creation, f"vitlab new {creation.id}", args)


def make_gate(args: argparse.Namespace) -> int:
    """`vitlab new gate`: a gate with its rule."""
    lab = this_lab()
    new = NewGate(args.name, args.condition, args.mvp, args.if_yes, args.if_no, args.id)
    creation = plan_gate(lab, lab.roadmap_path(args.roadmap), new)
    return _create(lab, creation, "vitlab gates", args)


def _create(lab: Lab, new: Creation, following: str, args: argparse.Namespace) -> int:
    """Write what was planned, unless it is only to be shown, and print its diff."""
    files = [] if args.dry_run else save_new(lab, new)
    diffs = [unified(c.old_text, c.new_text, lab.paths.relative(c.path)) for c in new.changes]
    if args.json:
        names = [lab.paths.relative(path) for path in files]
        print_json({"id": new.id, "files": names, "diff": "".join(diffs),
                    "notes": list(new.notes), "next": following})  # fmt: skip
        return 0
    print_exact("".join(diffs))
    for note in new.notes:
        print(plain(note), file=sys.stderr)
    if not args.dry_run:
        print(f"next: {following}")
    return 0


OPTIONS: Options = {
    "new": _options,
    "new plan": _plan_options,
    "new mvp": _mvp_options,
    "new gate": _gate_options,
}
