"""The experiment file of a user's own script, from what can be seen of it and of its last run."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from vitlab.contract.paths import UsageError
from vitlab.contract.value import HEADLINE, LABEL, Value
from vitlab.jobs.experiment.label_scale import Scale
from vitlab.jobs.experiment.placeholders import check_literal, is_glob
from vitlab.jobs.experiment.script import (
    CHECKPOINT_OPTIONS,
    EPOCH_OPTIONS,
    OUTPUT_OPTIONS,
    Option,
    Script,
    look_at,
)
from vitlab.jobs.experiment.script_files import LIGHTNING_BOARD, LIGHTNING_CSV, kind_of
from vitlab.jobs.experiment.value_names import Names, match_names, near_values, place
from vitlab.jobs.metrics.source import stored_value
from vitlab.jobs.queue.trainings import as_glob, columns, metrics_files

NO_EPOCHS = "no option for epochs found, so full is its only profile; add profiles:"
"""What is told of a script without a short run."""
MAX_OTHER = 6
"""Columns without a value that a comment lists."""
MAX_OPTIONS = 12
"""Of the script, that a comment lists."""
MAX_FILES = 8
"""Of the last runs, that are looked into for names."""
MAX_LOOKED_INTO = 500
"""Metrics files, the newest, among which those of the last runs are."""
_COUNTS = re.compile(r".*(_step|_runtime|_per_second)|total_flos")
"""Columns that are no scores."""


@dataclass(frozen=True)
class Program:
    """A script, and how it is to be run."""

    script: Path
    python: str
    folder: Path
    """Where it has been run so far."""
    arguments: tuple[str, ...] = ()
    """What it is given beside what is found."""
    module: str = ""
    """The module, where it is run by `python -m`."""
    cwd: str | None = None
    """Where it is to run; None for a folder of each job's own, if it can run in one."""
    units: Mapping[str, str] = field(default_factory=dict)
    """Theirs -> `own`, `dex`, `K` or `sigma`, as the user says."""
    metrics: tuple[Path, ...] = ()
    """Metrics files of a run of it; empty where the newest one is to be looked for."""
    repeats: int = 1
    """How many seeds it is to be run with."""


@dataclass(frozen=True)
class Found:
    """What was found out about a program."""

    program: Program
    script: Script
    label: str
    file: str
    """Its metrics file as a glob, from the folder it runs in; empty without any."""
    pattern: str
    """Of its log's lines; empty without any."""
    prefer: str
    """`log` where the log has the number it is judged by, and the file has it too."""
    names: Names
    relative: tuple[str, ...]
    """Files it names from its own folder, so that it must run there."""
    notes: tuple[str, ...]

    @property
    def open_units(self) -> Iterator[str]:
        """Their names of errors whose unit is not known."""
        yield from (theirs for theirs in self.names.unit if not self.unit_of(theirs))

    def unit_of(self, theirs: str) -> str:
        """The unit of an error: as the user says, `scaled` where the script shows it, or empty."""
        script = self.script
        shown = script.scale and script.normalised and not script.restored
        return self.program.units.get(theirs, "scaled" if shown else "")

    def meanings(self) -> dict[str, str | dict[str, Any]]:
        """Theirs -> ours with scale and unit, as `metrics.names` has them; only what is sure."""
        known: dict[str, str | dict[str, Any]] = dict(self.names.sure)
        for theirs, ours in self.names.unit.items():
            unit, own = self.unit_of(theirs), Value.parse(ours).unit or "dex"
            if unit == "sigma":
                known[theirs] = {"as": ours, "unit": unit}
            elif unit in ("own", own):
                known[theirs] = ours
            elif unit == "scaled" and self.script.scale is not None:
                known[theirs] = {"as": ours, "scale": self.script.scale.meaning, "unit": own}
        return known

    @property
    def headline(self) -> str:
        """What it is judged by: R2 on the test set, or else what comes next to that.

        Of the names that are sure; the default where there is none.
        """
        ours = list(map(stored_value, self.meanings().values()))
        for split, metric in (("test", "r2"), ("val", "r2"), ("test", "loss"), ("val", "loss")):
            for value in ours:
                if (value.split, value.metric) == (split, metric):
                    return str(value)
        scores = [value for value in ours if value.metric != "lr"]
        return str(scores[-1] if scores else Value("test", "r2", self.label))


def examine(program: Program) -> Found:
    """Look at the script and at the newest metrics file of a run of it; nothing is run."""
    for path in (os.path.abspath(program.script), program.folder, program.python):  # noqa: PTH100
        check_literal(str(path))
    script = look_at(program.script)
    label = LABEL if LABEL in script.labels or not script.labels else min(script.labels)
    run = program.metrics or _last_run(program, script)
    seen = _columns(run, label)
    file, notes = _metrics_file(program, script, run), []
    if len(script.labels) > 1:
        more = ", ".join(sorted(script.labels - {label}))
        notes.append(f"{label}: the label of every name without one; the script names {more} too")
    if seen and file:
        notes.append(f"names: as in {run[0]}")
    in_file = _more(match_names(seen, label), script, label) if file else Names()
    patterns = _patterns(script)
    in_log = match_names([n for one in patterns for n in re.compile(one).groupindex], label)
    both = _values(in_log) & _values(in_file)
    tested = any(Value.parse(name).split == "test" for name in both)
    pattern = "|".join(patterns) if tested or _values(in_log) - _values(in_file) else ""
    names = _merged(in_file, in_log) if pattern else in_file
    relative = (*(one for one in script.files.existing if _is_read(one, script)),
                *sorted(script.files.beside))  # fmt: skip
    prefer = "log" if tested and pattern else ""
    found = Found(program, script, label, file, pattern, prefer, names, relative, tuple(notes))
    if _has_short_run(found):
        return found
    return replace(found, notes=(*notes, f"{NO_EPOCHS} smoke"))


def _more(columns: Names, script: Script, label: str) -> Names:
    """Names of a file, and those that the script logs for values the file has not, or not yet."""
    logged, known = match_names(script.logged, label), _values(columns)
    sure = {theirs: ours for theirs, ours in logged.sure.items() if ours not in known}
    unit = {theirs: ours for theirs, ours in logged.unit.items() if ours not in known}
    other = columns.other or (() if known else logged.other)
    return Names({**columns.sure, **sure}, {**columns.unit, **unit}, other)


def _values(names: Names) -> set[str]:
    return {*names.sure.values(), *names.unit.values()}


def _merged(file: Names, log: Names) -> Names:
    return Names({**file.sure, **log.sure}, {**log.unit, **file.unit}, file.other)


def _last_run(program: Program, script: Script) -> tuple[Path, ...]:
    """The metrics files of its last runs, the newest first; those of other scripts are left."""
    unknown = not (script.files.metrics or script.logged or script.patterns)
    found = [
        path
        for path in metrics_files(program.folder)
        if unknown or any(_matches(path, one) for one in script.files.metrics)
    ]
    newest = found[:MAX_LOOKED_INTO]
    found = [path for path in newest if not _is_anothers(columns(path), script.logged)]
    best = min((kind_of(path) or 0 for path in found), default=0)
    return tuple(path for path in found if kind_of(path) == best)


def _is_anothers(seen: Sequence[str], logged: Sequence[str]) -> bool:
    """Whether none of a file's columns is one that the script logs."""
    names = {*seen, *(re.sub("_(step|epoch)$", "", name) for name in seen)}
    return bool(seen and logged) and not names & set(logged)


def _matches(path: Path, glob: str) -> bool:
    """Whether a file may be the one named by a glob from another folder: by its last two parts."""
    *above, name = Path(glob).parts
    folder = above[-1] if above and "version_" in above[-1] else "*"
    return fnmatch(path.name, name) and fnmatch(path.parent.name, folder)


def _columns(run: Sequence[Path], label: str) -> list[str]:
    """The names in the newest file, and in those before it until one has a validation score.

    A test writes a file of its own, after that of the training.
    """
    seen: list[str] = []
    for path in [one for one in run if one.name == run[0].name][:MAX_FILES]:
        seen += columns(path)
        names = match_names(seen, label)
        if any(Value.parse(one).split == "val" for one in _values(names)):
            break
    return list(dict.fromkeys(seen))


def _metrics_file(program: Program, script: Script, run: Sequence[Path]) -> str:
    """The file it writes its numbers to, as a glob from the folder it runs in."""
    named = script.files.metrics
    known = [one for one in named if run and _matches(run[0], one)]
    if run and not known:
        last = as_glob(run[0], program.folder)
        return last if "/" not in last else f"**/{Path(last).name}"
    if not known and named and named[0].endswith(LIGHTNING_CSV):  # by its default logger
        boards = [one for one in named[1:2] if one.endswith(LIGHTNING_BOARD)]
        known = boards if _has_tensorboard(program.python) else []
    if not (known or named):
        return ""
    file = (known or named)[0]
    folder = script.path.parent if file in script.files.beside else program.folder
    return file if is_glob(file) else as_glob(folder / file, program.folder)


def _has_tensorboard(python: str) -> bool:
    """Whether Lightning's own logger writes TensorBoard's files there, and no CSV."""
    places = Path(python).parent.parent.glob("lib/python*/site-packages/tensorboard*")
    return any(one.name in ("tensorboard", "tensorboardX") for one in places)


def _patterns(script: Script) -> list[str]:
    """Its printed lines whose names are values, no name twice: they become one expression."""
    used: set[str] = set()
    kept = []
    for pattern in script.patterns:
        groups = set(re.compile(pattern).groupindex)
        known = match_names(groups, LABEL)
        if (known.sure or known.unit) and not groups & used:
            kept.append(pattern)
            used |= groups
    return kept


def _is_read(text: str, script: Script) -> bool:
    """Whether a path the script names is one it needs, not one it is given or writes."""
    given = {str(option.default) for option in script.options}
    return text not in given and script.files.is_input(text)


def experiment_text(found: Found, mvp: str, name: str, roadmap: str) -> str:
    """The experiment file, with comments."""
    return "\n".join(_lines(found, mvp, name, roadmap)) + "\n"


def _lines(found: Found, mvp: str, name: str, roadmap: str) -> Iterator[str]:
    script = found.script
    title = f"MVP {mvp}: {name}".rstrip(": ")
    yield f"# {title}. Written by `vitlab new` from {script.path.name}; keys: docs/jobs.md."
    yield f"mvp: {json.dumps(mvp)}"
    yield f"roadmap: {dump(roadmap)}"
    yield "recipe: command"
    if found.headline != HEADLINE:
        yield f"headline: {found.headline}"
    if script.options:
        more = ", ..." * (len(script.options) > MAX_OPTIONS)
        yield f"# Its options: {', '.join(map(_option_words, script.options[:MAX_OPTIONS]))}{more}"
    yield "config:"
    yield from (f"  {line}" for line in _config(found, mvp))
    yield from _metrics(found, mvp)
    if found.program.repeats > 1:
        yield f"repeats: {found.program.repeats}  # seeds"
    if sweep := script.option("lr", "learning_rate"):
        name, value = sweep.name, dump(sweep.default)
        yield f'# A sweep: args: {{{name}: {value}}} in config, {sweep.flag}, "{{{name}}}" in argv,'
        yield f"# and here matrix: {{{name}: [...]}}; seeds: repeats: 3"
    if _has_short_run(found):
        yield "profiles: {smoke: {epochs: 1}, full: {}}  # smoke: to see that it runs"
    else:
        yield f"# {NO_EPOCHS} {{smoke: {{argv: [...]}}}}, a short run to see that it works"


def _config(found: Found, mvp: str) -> Iterator[str]:
    program, script = found.program, found.script
    argv, in_own_folder = _argv(found, mvp), _own_folder(found)
    yield f"argv: {dump(argv)}"
    if lacking := _lacking(found, argv):
        yield f"# It needs more than that: {', '.join(lacking)}."
    checkpoint = script.option(*CHECKPOINT_OPTIONS)
    if checkpoint and checkpoint.is_switch:
        yield f"resume_argv: {dump([*argv, checkpoint.flag])}"
    elif checkpoint and script.checkpoint_word:
        yield f"resume_argv: {dump([*argv, checkpoint.flag, script.checkpoint_word])}"
    elif checkpoint:
        yield f"# resume_argv: [..., {checkpoint.flag}, PATH]  # its newest checkpoint, for resume"
    if program.cwd is not None:
        yield f"cwd: {dump(program.cwd)}"
    elif in_own_folder:
        yield f"cwd: runs/{mvp}/{{job}}  # a folder of each run's own: no two share a file"
    else:
        yield f"cwd: {dump(str(program.folder))}  # it uses {found.relative[0]} there"
    if program.module:
        yield f"env: {dump({'PYTHONPATH': str(program.folder)})}"
    seed = script.option("seed", "random_seed")
    if seed is not None and isinstance(seed.default, int) and _takes(program, seed):
        yield f"seed: {seed.default}"
    if (epochs := epochs_of(found)) is not None:
        yield f"epochs: {epochs}  # for progress and the time left"


def _own_folder(found: Found) -> bool:
    return found.program.cwd is None and not found.relative


def _argv(found: Found, mvp: str) -> list[str]:
    """The command: placeholders for epochs, seed and output, absolute paths for what it reads."""
    program, script = found.program, found.script
    path = os.path.abspath(script.path)  # noqa: PTH100 - a link stays one
    argv = [program.python, *(["-m", program.module] if program.module else [path])]
    arguments = [_absolute(word, program) for word in program.arguments]
    wanted: list[tuple[Option | None, str]] = [
        (_epoch_option(found), "{epochs}" if epochs_of(found) is not None else ""),
        (script.option("seed", "random_seed"), "{seed}"),
    ]
    if program.cwd is None and not _own_folder(found):
        wanted.append((script.option(*OUTPUT_OPTIONS), f"runs/{mvp}/{{job}}"))
    for option, value in wanted:
        if option is None or option.is_switch or not value:
            continue
        if value == "{seed}" and not isinstance(option.default, int):
            continue
        if option.flag in arguments[:-1]:
            arguments[arguments.index(option.flag) + 1] = value
        elif not any(word.startswith(f"{option.flag}=") for word in arguments):
            arguments += [option.flag, value]
    for option in script.options if _own_folder(found) else ():
        text = option.default
        if not isinstance(text, str) or option.name in (*CHECKPOINT_OPTIONS, *OUTPUT_OPTIONS):
            continue
        is_there = text in script.files.existing and script.files.is_input(text)
        if is_there and option.flag not in arguments:
            arguments += [option.flag, str(program.folder / text)]
    return argv + arguments


def _lacking(found: Found, argv: Sequence[str]) -> list[str]:
    """What the script needs on its command line, and the command does not have."""
    needs, given = found.script.needs, found.program.arguments
    placed = [one for one in needs if not one.startswith("-")]
    bare = [word for word in given if not word.startswith("-")]
    options = {word.partition("=")[0] for word in argv}
    return [one for one in needs if one not in options and not (one in placed and bare)]


def _takes(program: Program, option: Option) -> bool:
    return not option.is_switch and not any(
        word.startswith(f"{option.flag}=") for word in program.arguments
    )


def _absolute(word: str, program: Program) -> str:
    """An argument that names an existing file, from the root; all others as they are."""
    path = program.folder / word
    is_path = word and not word.startswith("-") and ("/" in word or "." in word)
    return str(path) if is_path and not Path(word).is_absolute() and path.exists() else word


def _epoch_option(found: Found) -> Option | None:
    return found.script.option(*EPOCH_OPTIONS)


def epochs_of(found: Found) -> int | None:
    """How many epochs it trains: as given, its option's default, or a constant."""
    option, given = _epoch_option(found), found.program.arguments
    if option is None:
        return found.script.epochs
    text: Any = option.default
    if option.flag in given[:-1]:
        text = given[given.index(option.flag) + 1]
    number = re.fullmatch(r"[1-9]\d{0,6}", str(text))
    return int(number[0]) if number else None


def _has_short_run(found: Found) -> bool:
    return epochs_of(found) is not None and _epoch_option(found) is not None


def _metrics(found: Found, mvp: str) -> Iterator[str]:
    names, script = found.names, found.script
    lines = list(_names(found))
    active = [line for line in lines if not line.startswith("#")]
    if not (found.file or found.pattern) and "vitlab" in script.libraries:
        yield "# It logs its numbers with vitlab.events.log."
        return
    if not active:
        yield "# No number of it could be identified: log them with vitlab.events.log, or here:"
    mark = "" if active else "# "
    if len(script.labels) > 1:
        yield f"# Names without a label are read as {found.label}; the script names others too."
    file = found.file or ("" if found.pattern else "metrics.csv")
    written = script.files.written | script.files.beside
    in_folder = found.program.cwd is None and not _own_folder(found)
    if in_folder and script.option(*OUTPUT_OPTIONS) and file not in written:
        file = f"runs/{mvp}/{{job}}/**/{Path(file).name}" if file else ""
    if any(found.unit_of(theirs) == "scaled" for theirs in names.unit):
        yield f"# The labels are normalised ({script.normalised}): errors are scaled back."
    yield f"{mark}metrics:"
    if file:
        yield f"{mark}  file: {dump(file)}"
    if found.pattern:
        yield f"{mark}  pattern: {dump(found.pattern)}"
    if found.prefer:
        yield f"{mark}  prefer: {found.prefer}  # where both have a number, the printed one"
    if active:
        yield "  names: {" + ", ".join(active) + "}"
        yield from (f"    {line}" for line in lines if line.startswith("#"))
    else:
        yield "#   names:"
        yield from (f"#     {line.lstrip('# ')}" for line in lines or ["theirs: val/r2/log_g"])
    other = [name for name in names.other if not _COUNTS.fullmatch(name)]
    for name in other[:MAX_OTHER]:
        fitting = near_values(name, found.label)
        if fitting and set(fitting) <= _values(names):
            continue
        near = " or ".join(fitting[:3])
        yield f"{mark}    # {name}: {near or '?'}"
    yield from [f"{mark}    # and {len(other) - MAX_OTHER} more columns"] * (len(other) > MAX_OTHER)
    for text in script.unsure[:MAX_OTHER]:
        yield f"# Printed, and not read, as it may be of something else or in percent: {dump(text)}"


def _names(found: Found) -> Iterator[str]:
    """Theirs and ours, and comments on errors whose unit is not known."""
    known = sorted(found.meanings().items(), key=lambda one: place(stored_value(one[1])))
    yield from (f"{dump(theirs)}: {dump(ours)}" for theirs, ours in known)
    script = found.script
    why = f"labels look normalised: {script.normalised}" if script.normalised else "unit unknown"
    for theirs in found.open_units:
        ours = found.names.unit[theirs]
        unit = Value.parse(ours).unit or "dex"
        yield f"# {dump(theirs)}: {ours}  # {why}: this line if it is in {unit}, else"
        yield f"# {dump(theirs)}: {{as: {ours}, unit: sigma}}"
        yield f"# {dump(theirs)}: {{as: {ours}, scale: {_scale(script.scale)}, unit: {unit}}}"


def _scale(scale: Scale | None) -> str:
    return "STD" if scale is None else dump(scale.meaning)


def _option_words(option: Option) -> str:
    is_number = type(option.default) in (int, float)  # True is none
    return f"{option.flag} {option.default}" if is_number else option.flag


def unknown_options(argv: Sequence[str], folder: Path) -> str:
    """Which options of a command its script has not, in a line; empty where none is surely so."""
    try:
        program = program_of(argv, folder)
        script = look_at(program.script)
    except UsageError:
        return ""
    known = [flag for option in script.options for flag in option.flags]
    if script.takes_more or not all(option.flags for option in script.options) or not known:
        return ""
    unknown = [
        word
        for given in program.arguments
        if (word := given.partition("=")[0]).startswith("--") and len(word) > 2
        # An option may be shortened, and a switch turned off.
        if not any(flag.startswith(word) or word == f"--no-{flag[2:]}" for flag in known)
    ]
    has = ", ".join(option.flag for option in script.options)
    return f"{', '.join(unknown)}: {script.path.name} has only {has}" if unknown else ""


def dump(value: object) -> str:
    """One line of YAML."""
    text = yaml.safe_dump(
        value, default_flow_style=True, width=1 << 20, allow_unicode=True, sort_keys=False
    )
    return text.removesuffix("\n").removesuffix("\n...").strip()


def program_of(argv: Sequence[str], folder: Path) -> Program:
    """The script a running process was started with; `UsageError` where it cannot be seen."""
    words = list(argv[1:])
    for i, word in enumerate(words):
        if word == "-m" and i + 1 < len(words):
            path = folder.joinpath(*(module := words[i + 1]).split("."))
            for one in (path.with_suffix(".py"), path / "__main__.py"):
                if one.is_file():
                    return Program(one, argv[0], folder, tuple(words[i + 2 :]), module)
        if word.endswith(".py") and (folder / word).is_file():
            return Program(folder / word, argv[0], folder, tuple(words[i + 1 :]))
    raise UsageError(f"{' '.join(argv)[:200]}: no script in this command line can be looked at")
