"""A new experiment file for an MVP: from a template, from a script, or from a run that goes on."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import Template
from typing import Any

from vitlab.contract.job import PROFILES, Spec, base_name
from vitlab.contract.paths import UsageError
from vitlab.contract.value import HEADLINE
from vitlab.docs.model.roadmap import Mvp
from vitlab.jobs.experiment.experiment import known_mvps, load_experiment
from vitlab.jobs.experiment.script_python import check_python, find_python, note_on
from vitlab.jobs.queue.preflight import Finding
from vitlab.jobs.queue.trainings import training
from vitlab.lab.example import example_lab
from vitlab.lab.lab import Lab
from vitlab.lab.launch import Request, exp_id_of, plan_launch
from vitlab.lab.script_experiment import (
    Program,
    dump,
    examine,
    experiment_text,
    program_of,
    unknown_options,
)

TEMPLATES: Mapping[str, tuple[str, str]] = {
    "vit": ("vit_1m", "Run 1"),
    "lightgbm": ("lightgbm_1m", "LightGBM"),
    "ridge": ("lightgbm_1m", "Ridge"),
    "mlp": ("lightgbm_1m", "MLP"),
    "template": ("lightgbm_1m", "LightGBM"),
    "ceiling": ("snr_ceiling", "main"),
}
"""Recipe -> experiment of the example lab, and the run of it, that it is made from."""
OWN = Path(__file__).parent / "templates"
"""Experiment files of templates that are no run of the example lab."""
ABOUT = {
    "vit": "a Vision Transformer",
    "lightgbm": "boosted trees",
    "ridge": "a linear model",
    "mlp": "a multilayer perceptron",
    "template": "template fits: no training",
    "ceiling": "the best score the flux allows",
    "survey": "a ViT for spectra of surveys",
}
UNITS = ("own", "dex", "K", "sigma")
"""Of an error: the label's own, by whatever name; by name; of the label's standard deviation."""
UNIT_ANSWERS = {
    "leave it out: I do not know its unit": "",
    "the label's unit: dex, K": "own",
    "standard deviations of the label": "sigma",
}
"""What a person may answer who is asked for one -> the unit; the first without a choice."""
_SHARED = ("data", "noise", "labels")
"""What a template fit has of another recipe's configuration."""


@dataclass(frozen=True)
class Choice:
    """What an experiment file is to be made from: one of template, script and pid."""

    template: str = ""
    script: Path | None = None
    python: str = ""
    """Empty: the nearest to the script that has what it imports."""
    cwd: str | None = None
    """None: a folder of each job's own, where the script can run in one."""
    pid: int | None = None
    out: Path | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    """Their names of errors -> the unit the user says, of `UNITS`."""
    repeats: int = 1
    """How many seeds a script is to be run with."""


@dataclass(frozen=True)
class NewExperiment:
    """An experiment file that is not written yet."""

    mvp: str
    roadmap: Path
    path: Path
    text: str
    profile: str
    """The smallest it can be launched with."""
    notes: tuple[str, ...] = ()
    """What was found, and what is open."""
    open_units: tuple[str, ...] = ()
    """Their names of errors whose unit is not known."""


def plan_new(lab: Lab, roadmap: Path, mvp_id: str, choice: Choice) -> NewExperiment:
    """The file for an MVP, checked as an experiment file; nothing is written.

    `UsageError` where the MVP has one already, the file is there, or no launch can be named.
    """
    plan = lab.read_roadmap(roadmap)
    mvp = plan.mvp(mvp_id)
    named = lab.paths.relative(roadmap)
    if (known := known_mvps(lab.paths, named).get(mvp.id)) is not None:
        raise UsageError(f"MVP {mvp.id}: has an experiment file: {lab.paths.relative(known)}")
    path = _path(lab, mvp, choice.out)
    exp_id_of(lab, plan, mvp, path.stem.replace("_", "-"))  # a launch needs one
    notes: tuple[str, ...] = ()
    open_units: tuple[str, ...] = ()
    if choice.template:
        text = template_text(choice.template, mvp.id, mvp.name, named)
    else:
        found = examine(_program(choice))
        text = experiment_text(found, mvp.id, _one_line(mvp.name), named)
        notes = found.notes
        if choice.script is not None and not choice.python:
            notes += tuple(filter(None, [note_on(found.program.python, found.script.path)]))
        open_units = tuple(found.open_units)
    profile = _check(path, text)
    return NewExperiment(mvp.id, roadmap, path, text, profile, notes, open_units)


def _one_line(name: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in name).strip()


def _path(lab: Lab, mvp: Mvp, out: Path | None) -> Path:
    """Where it goes: a free name in `experiments/`."""
    if out is None:
        words = "_".join(re.findall(r"[a-z0-9]+", mvp.name.lower()))[:40].strip("_")
        path = lab.paths.experiments / f"{words if len(words) > 2 else f'mvp_{mvp.id}'}.yaml"
        if path.exists():
            path = lab.paths.experiments / f"mvp_{re.sub(r'[^A-Za-z0-9.-]+', '_', mvp.id)}.yaml"
    else:
        path = Path(os.path.abspath(out))  # noqa: PTH100 - the file need not exist
        if path.parent != lab.paths.experiments or path.suffix != ".yaml":
            raise UsageError(f"{out}: must be a file experiments/NAME.yaml of this lab")
    if path.exists():
        raise UsageError(f"{lab.paths.relative(path)}: already exists; nothing was written")
    return path


def _program(choice: Choice) -> Program:
    metrics: tuple[Path, ...] = ()
    if choice.pid is not None:
        running = training(choice.pid)
        program = program_of(running.argv, running.folder)
        python = choice.python or program.python
        metrics = running.metrics
    elif choice.script is not None:
        script = Path(os.path.abspath(choice.script))  # noqa: PTH100 - a link stays one
        if not script.is_file():
            raise UsageError(f"{choice.script}: no such script")
        python = check_python(choice.python, script) if choice.python else find_python(script)
        program = Program(script, python, script.parent)
    else:
        raise UsageError("new: needs a template, a script or a running process")
    return replace(
        program,
        python=python,
        cwd=choice.cwd,
        units=choice.units,
        metrics=metrics,
        repeats=choice.repeats,
    )


def _check(path: Path, text: str) -> str:
    """Read the text as an experiment file; its smallest profile."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, path.parent.name, path.name)
        copy.parent.mkdir()
        copy.write_text(text, encoding="utf-8")
        return load_experiment(copy).profiles[0]


def write_new(lab: Lab, new: NewExperiment) -> tuple[Finding, ...]:
    """Write the file, never over another; what a launch of it would find, the worst first."""
    new.path.parent.mkdir(exist_ok=True)
    try:
        with new.path.open("x", encoding="utf-8") as file:
            file.write(new.text)
    except FileExistsError as error:
        name = lab.paths.relative(new.path)
        raise UsageError(f"{name}: already exists; nothing was written") from error
    except OSError as error:  # a full disk
        new.path.unlink(missing_ok=True)
        error.filename = str(new.path)
        raise
    return check_new(lab, new)


def check_new(lab: Lab, new: NewExperiment) -> tuple[Finding, ...]:
    """What a launch of the written file would find; `UsageError` where it cannot be read."""
    plan = plan_launch(lab, Request(new.roadmap, new.mvp, new.profile))
    texts = {
        unknown_options(spec.config["argv"], lab.paths.root / (spec.config.get("cwd") or ""))
        for spec in plan.specs
        if spec.recipe == "command"
    }
    unknown = tuple(Finding("warn", f"argv: {text}") for text in sorted(texts) if text)
    return (*plan.findings, *unknown)


def template_text(recipe: str, mvp: str, name: str, roadmap: str) -> str:
    """The experiment file of a recipe, with the sizes and profiles of the example lab."""
    if recipe not in TEMPLATES:
        text = Template((OWN / f"{recipe}.yaml").read_text(encoding="utf-8"))
        return text.substitute(mvp=mvp, name=_one_line(name), roadmap=dump(roadmap))
    file, run = TEMPLATES[recipe]
    experiment = load_experiment(example_lab() / "experiments" / f"{file}.yaml")
    specs = {
        profile: next(s for s in experiment.specs(profile, "check") if base_name(s.run) == run)
        for profile in experiment.profiles
    }
    headline = experiment.headline if recipe == "ceiling" else HEADLINE
    return "\n".join(_template(recipe, specs, (mvp, _one_line(name), roadmap, headline))) + "\n"


def _template(
    recipe: str, specs: Mapping[str, Spec], head: tuple[str, str, str, str]
) -> Iterator[str]:
    mvp, name, roadmap, headline = head
    configs = {profile: spec.config for profile, spec in specs.items()}
    if recipe == "template":
        configs = {p: {k: c[k] for k in _SHARED if k in c} for p, c in configs.items()}
        configs = {p: {**c, "data": _untrained(c["data"])} for p, c in configs.items()}
    docs = {"vit": "docs/trainer.md", "mlp": "docs/trainer.md"}.get(recipe, "docs/baselines.md")
    yield f"# MVP {mvp}: {name}: {ABOUT[recipe]}. Every key: {docs}."
    yield f'mvp: "{mvp}"'
    yield f"roadmap: {dump(roadmap)}"
    yield f"recipe: {recipe}"
    yield f"headline: {headline}"
    yield "config:  # of profile full"
    comments = {
        "labels": "also T_eff, M_H",
        "data": "source: a file or folder of spectra of your own",
        "noise": "1 is that of the magnitudes given",
    }
    for key, value in configs["full"].items():
        yield f"  {key}: {dump(value)}" + (f"  # {comments[key]}" if key in comments else "")
    if recipe not in ("template", "ceiling"):
        yield "# matrix: {data.train_size: [10000, 100000, 1000000]}  # a sweep"
        yield "# repeats: 3  # seeds"
    yield "profiles:"
    for profile in PROFILES:
        over = _difference(configs.get(profile, {}), configs["full"])
        if profile == "smoke" or over:
            yield f"  {profile}: {dump(over)}"
    yield "  full: {}"


def _untrained(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in ("train_size", "val_size")}


def _difference(one: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """What of `one` is not in `base`."""
    changed: dict[str, Any] = {}
    for key, value in one.items():
        below = base.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            if inner := _difference(value, below):
                changed[key] = inner
        elif value != below or key not in base:
            changed[key] = value
    return changed
