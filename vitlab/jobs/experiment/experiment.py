"""Experiment files: `experiments/*.yaml`, one per MVP, read strictly and expanded into specs."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from vitlab.contract.config import COMMAND_KEYS, read_config
from vitlab.contract.job import PROFILES, RECIPES, SEEDLESS, Spec, bare_id
from vitlab.contract.networks import TrainConfig
from vitlab.contract.paths import LabPaths, UsageError
from vitlab.contract.validation import ConfigError, unknown
from vitlab.contract.value import NAME
from vitlab.jobs.experiment.command import check_placeholders, of_one_folder
from vitlab.jobs.experiment.job_options import read_job_options, read_metrics
from vitlab.jobs.experiment.placeholders import METRICS, folder_name
from vitlab.jobs.experiment.yaml_file import (
    Key,
    Layer,
    Place,
    Setting,
    YamlFile,
    check_keys,
    line_of,
    merge,
    nested,
    only,
    read_as_of,
    read_layer,
    read_matrix,
    read_names,
    read_text,
    read_yaml,
    said_in,
    stamp,
)

KEYS = ("mvp", "roadmap", "recipe", "name", "config", "runs", "matrix", "repeats", "seeds",
        "ensemble", "headline", "profiles", "device", "after", "queue", "health", "metrics",
        "slurm", "wandb")  # fmt: skip
RUN_KEYS = ("name", "recipe", "config", "set", "device", "profiles", "metrics")

REPEAT_KEYS = ("repeats", "seeds", "ensemble")
SEED: Key = ("train", "seed")
"""What repeats differ in; the stars and the test noise stay those of `data.seed`."""
COMMAND_SEED: Key = ("seed",)
"""The same of a command."""
UNSEEDED = (*SEEDLESS, "evaluate", "ensemble")
"""Recipes that repeats do not repeat."""
MAX_REPEATS = 100


@dataclass(frozen=True)
class Repeats:
    """How often each run is run."""

    count: int
    """Seeds from the run's own upwards; 0 where `seeds` names them."""
    seeds: tuple[int, ...]
    line: int
    ensemble: bool = False
    """Whether the seeds of each run are also scored as one model, by their mean prediction."""

    def of(self, recipe: str, layer: Layer) -> tuple[Setting | None, ...]:
        """The seeds of a run, each as the setting of `SEED`; (None,) for one that has none."""
        if recipe in UNSEEDED or (self.count == 1 and not self.seeds):
            return (None,)
        if self.seeds:
            return tuple(Setting(seed, self.line) for seed in self.seeds)
        first = _own_seed(layer.get(_seed_key(recipe)))
        return tuple(Setting(first + k, self.line) for k in range(self.count))


ONCE = Repeats(1, (), 1)


def read_repeats(file: YamlFile, place: Place) -> Repeats | None:
    """The repeats at `place`; None without either key."""
    count, seeds, ensemble = (file.at((*place, key)) for key in REPEAT_KEYS)
    if ensemble is not None and not (isinstance(ensemble, bool) and (count or seeds)):
        here = (*place, REPEAT_KEYS[2])
        raise file.error(here, "ensemble: must be true or false, beside repeats or seeds")
    if count is None and seeds is None:
        return None
    here = (*place, REPEAT_KEYS[0] if count is not None else REPEAT_KEYS[1])
    line = file.lines.get(here, 1)
    if count is not None and seeds is not None:
        raise file.error(here, "repeats: seeds are given too; keep one of them")
    if count is not None:
        if not _is_whole(count) or not 1 <= count <= MAX_REPEATS:
            raise file.error(here, f"repeats: {count!r} is not a number from 1 to {MAX_REPEATS}")
        return Repeats(count, (), line, bool(ensemble))
    good = isinstance(seeds, list) and 0 < len(seeds) <= MAX_REPEATS and all(map(_is_whole, seeds))
    if not good or len(set(seeds)) < len(seeds) or min(seeds) < 0 or max(seeds) >= 2**31:
        raise file.error(
            here, f"seeds: must be a list of 1 to {MAX_REPEATS} different numbers >= 0"
        )
    return Repeats(0, tuple(seeds), line, bool(ensemble))


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _seed_key(recipe: str) -> Key:
    return COMMAND_SEED if recipe == "command" else SEED


def _own_seed(setting: Setting | None) -> int:
    known = setting is not None and _is_whole(setting.value)
    return int(setting.value) if setting is not None and known else TrainConfig.seed


SHARED = ("data", "noise", "labels")
"""What a run with another recipe inherits from the experiment's `config` and profiles."""
MAX_RUNS = 1000
MAX_SETTINGS = 200_000  # of all runs together: any look at the lab makes each
MAX_NAME = 300
"""Letters of the name of a sweep's point."""

Matrix = Mapping[Key, Sequence[Setting]]


@dataclass(frozen=True)
class Run:
    """One entry of `runs`."""

    name: str
    recipe: str
    layers: tuple[Layer, ...]
    """`config` and `set`, before the profile."""
    profiles: Mapping[str, Layer]
    device: str
    metrics: Mapping[str, Any] | None
    """In place of the experiment's own."""
    line: int


@dataclass(frozen=True)
class Profile:
    """Overrides that make the experiment smaller."""

    layer: Layer
    matrix: Matrix | None
    """In place of the experiment's own sweep; None keeps it."""
    repeats: Repeats | None = None
    """In place of the experiment's own; None keeps them."""


@dataclass(frozen=True)
class Experiment:
    """One MVP's experiment, checked for every run and profile."""

    path: Path
    mvp: str
    roadmap: str
    name: str
    recipe: str
    headline: str
    device: str
    after: tuple[str, ...]
    runs: tuple[Run, ...]
    matrix: Matrix
    repeats: Repeats
    overrides: Mapping[str, Profile]
    priority: int
    extra: Mapping[str, Any]
    """What queue and supervisor need; see `job_options`."""
    file: YamlFile

    @property
    def profiles(self) -> tuple[str, ...]:
        """The profiles it can be launched with; `full` is the configuration without overrides."""
        return tuple(name for name in PROFILES if name in self.overrides or name == "full")

    def specs(self, profile: str, exp_id: str) -> list[Spec]:
        """One spec for each run: `config`, then the run's `set`, then the profile's overrides."""
        if profile not in self.profiles:
            allowed = ", ".join(self.profiles)
            raise UsageError(f"{self.file.shown}: no profile {profile!r} (there are: {allowed})")
        own = self.overrides.get(profile, Profile({}, None))
        matrix = self.matrix if own.matrix is None else own.matrix
        repeats = own.repeats or self.repeats
        seeds = {run.name: repeats.of(run.recipe, merge(run.layers)) for run in self.runs}
        each_point = sum(len(seeds[run.name]) for run in self.runs)
        count = each_point * math.prod(map(len, matrix.values()))
        if count > MAX_RUNS:
            raise self.file.error(("matrix",), f"matrix: {count} runs (at most {MAX_RUNS})")
        settings = count * sum("matrix" not in place for place in self.file.texts)
        if settings > MAX_SETTINGS:
            text = f"{count} runs with {settings:,} settings (at most {MAX_SETTINGS:,})"
            raise self.file.error(("matrix",), f"matrix: {text}")
        points = _points(matrix)
        longest = max(len(names) for _, names in points)
        if longest > MAX_NAME:
            text = f"matrix: a name of {longest} letters (at most {MAX_NAME})"
            raise self.file.error(("matrix",), text)
        specs: list[Spec] = []
        for run, (point, names) in itertools.product(self.runs, points):
            each = seeds[run.name]
            members = [self._spec(run, point, names, seed, profile, exp_id) for seed in each]
            specs += members
            if repeats.ensemble and run.recipe == "command":
                raise self.file.error_at(repeats.line, "ensemble: a command keeps no predictions")
            if repeats.ensemble and len(members) > 1:
                specs.append(_ensemble(members, run.name, names))
        return specs

    def _spec(
        self, run: Run, point: Layer, names: str, seed: Setting | None, profile: str, exp_id: str
    ) -> Spec:
        over = self.overrides[profile].layer if profile in self.overrides else {}
        if run.recipe != self.recipe:
            over = only(over, _shared(run.recipe))
        last: Layer = {} if seed is None else {_seed_key(run.recipe): seed}
        own = run.profiles.get(profile, {})
        if run.recipe == "command":
            point, over, own = map(as_args, (point, over, own))
        layer: Layer = merge([*run.layers, point, over, own, last])
        if run.recipe == "command":
            layer = _as_written(layer)
        if seed is not None:
            names = ",".join(part for part in (names, f"seed={seed.value}") if part)
        config = nested(layer)
        extra = self.extra if run.metrics is None else {**self.extra, METRICS: run.metrics}
        try:
            read_config(run.recipe, config)
            if run.recipe == "command":
                check_placeholders(config, extra.get(METRICS))
        except ConfigError as error:
            line = line_of(layer, error.key.removeprefix("config.")) or run.line
            raise self.file.error_at(line, str(error)) from error
        return Spec(
            mvp=self.mvp,
            run=" ".join(part for part in (run.name, names) if part) or "main",
            profile=profile,
            recipe=run.recipe,
            config=config,
            exp_id=exp_id,
            roadmap=self.roadmap,
            headline=self.headline,
            device=run.device,
            priority=self.priority,
            after=self.after,
            experiment=self.file.shown,
            extra=extra,
        )


def _ensemble(members: Sequence[Spec], run: str, names: str) -> Spec:
    """The job that scores the seeds of a run as one model; a launch has it wait for them."""
    own = ",".join(part for part in (names, f"ensemble={len(members)}") if part)
    return replace(
        members[0],
        run=f"{run} {own}".strip(),
        recipe="ensemble",
        config={"of": f"{run} {names}".strip() or "main", "members": len(members)},
        device="cpu",
        extra={**members[0].extra, "after": "any"},  # one that failed it names itself
    )


def as_args(layer: Layer) -> Layer:
    """What a command's layer sets: keys that are not its own are of its `args`."""
    return {
        key if key[0] in COMMAND_KEYS else ("args", *key): setting for key, setting in layer.items()
    }


_TEXTS = ("argv", "resume_argv", "cwd", "env", "outputs")


def _as_written(layer: Layer) -> Layer:
    """A command's texts as they are written: `--depth, 6` and `1.10` need no quotes."""
    return {
        key: replace(setting, value=setting.written)
        if key[0] in _TEXTS and setting.written is not None
        else setting
        for key, setting in layer.items()
    }


def _shared(recipe: str) -> tuple[str, ...]:
    return () if recipe == "command" else SHARED


def _points(matrix: Matrix) -> list[tuple[Layer, str]]:
    """The sweep's points and their names: `train_size=10000`, dotted where that is ambiguous."""
    last = [key[-1] for key in matrix]
    names = [key[-1] if last.count(key[-1]) == 1 else ".".join(key) for key in matrix]
    return [
        (
            dict(zip(matrix, settings, strict=True)),
            ",".join(f"{n}={_short(s.value)}" for n, s in zip(names, settings, strict=True)),
        )
        for settings in itertools.product(*matrix.values())
    ]


def _short(value: object) -> str:
    text = "-".join(map(str, value)) if isinstance(value, list) else str(value)
    return re.sub(r"\s+", "_", text)


def load_experiment(path: Path) -> Experiment:
    """The experiment in `path`; `UsageError` is one line naming file, line and what is allowed."""
    return _experiment(path, read_yaml(path))


def _experiment(path: Path, file: YamlFile) -> Experiment:
    check_keys(file, (), KEYS)
    recipe = read_text(file, ("recipe",), allowed=RECIPES)
    device = read_text(file, ("device",), "auto")
    config = read_layer(file, ("config",))
    priority, extra = read_job_options(file)
    experiment = Experiment(
        path=path,
        mvp=bare_id(read_text(file, ("mvp",))),
        roadmap=_roadmap(file),
        name=read_text(file, ("name",), ""),
        recipe=recipe,
        headline=_headline(file),
        device=device,
        after=tuple(bare_id(name) for name in read_names(file, ("after",))),
        runs=_runs(file, recipe, config, device, extra.get(METRICS)),
        matrix=read_matrix(file, ("matrix",)) or {},
        repeats=read_repeats(file, ()) or ONCE,
        overrides=_profiles(file),
        priority=priority,
        extra=extra,
        file=file,
    )
    for profile in experiment.profiles:
        specs = experiment.specs(profile, "check")
        twice = {name for name, count in Counter(s.run for s in specs).items() if count > 1}
        if twice:
            raise file.error(("runs",), f"runs: {min(twice)!r} is the name of two runs")
        if alike := of_one_folder(specs):
            text = f"{alike[0]!r} and {alike[1]!r} have one {{run}}, {folder_name(alike[0])!r}"
            raise file.error(("runs",), f"runs: {text}: name them by other letters")
    return experiment


def _roadmap(file: YamlFile) -> str:
    text = read_text(file, ("roadmap",))
    if Path(text).is_absolute() or ".." in Path(text).parts:
        raise file.error(("roadmap",), f"roadmap: {text}: must be a path inside the lab")
    return Path(text).as_posix()


def _headline(file: YamlFile) -> str:
    text = read_text(file, ("headline",), Spec.headline)
    if not NAME.fullmatch(text):
        raise file.error(
            ("headline",), f"headline: {text!r} is not a value name such as test/r2/log_g"
        )
    return text


def _runs(
    file: YamlFile, recipe: str, config: Layer, device: str, metrics: Mapping[str, Any] | None
) -> tuple[Run, ...]:
    entries = file.data.get("runs")
    if entries is None:
        return (Run("", recipe, (config,), {}, device, None, file.lines.get(("config",), 1)),)
    if not isinstance(entries, list) or not entries:
        raise file.error(("runs",), "runs: must be a list of {name, set, ...}")
    runs = []
    for i in range(len(entries)):
        at: Place = ("runs", i)
        check_keys(file, at, RUN_KEYS)
        own = read_text(file, (*at, "recipe"), recipe, allowed=RECIPES)
        base = config if own == recipe else only(config, _shared(own))
        check_keys(file, (*at, "profiles"), PROFILES)
        changes = read_layer(file, (*at, "set"))
        runs.append(
            Run(
                read_text(file, (*at, "name"), f"run-{i + 1}"),
                own,
                (
                    base,
                    read_layer(file, (*at, "config")),
                    as_args(changes) if own == "command" else changes,
                ),
                {p: read_layer(file, (*at, "profiles", p)) for p in PROFILES},
                read_text(file, (*at, "device"), device),
                read_metrics(file, (*at, "metrics"), metrics),
                file.lines[at],
            )
        )
    return tuple(runs)


def _profiles(file: YamlFile) -> dict[str, Profile]:
    check_keys(file, ("profiles",), PROFILES)
    return {
        str(name): Profile(
            read_layer(file, ("profiles", name), skip=["matrix", *REPEAT_KEYS]),
            read_matrix(file, ("profiles", name, "matrix")),
            read_repeats(file, ("profiles", str(name))),
        )
        for name in file.data.get("profiles") or {}
    }


def known_mvps(lab: LabPaths, roadmap: str | None = None) -> dict[str, Path]:
    """The MVPs that have an experiment file, by bare id; files that cannot be read are skipped."""
    experiments: dict[str, Path] = {}
    for path in lab.experiment_files():
        try:
            mvp, its_roadmap = _identity(path)
        except UsageError:
            continue
        if roadmap is None or its_roadmap == roadmap:
            experiments.setdefault(mvp, path)
    return experiments


def find_experiment(lab: LabPaths, mvp: str, roadmap: str | None = None) -> Path:
    """The experiment file of `mvp`; `roadmap` (path from the root) decides between two."""
    wanted, matches = bare_id(mvp), list[Path]()
    broken, renamed, doubtful = list[str](), list[str](), list[str]()
    for path in lab.experiment_files():
        try:
            its_mvp, its_roadmap = _identity(path)
            if its_mvp != wanted:
                continue
            if roadmap in (None, its_roadmap):
                matches.append(path)
            elif not (lab.root / its_roadmap).exists():  # renamed, say
                renamed.append(f"{lab.relative(path)}: roadmap: {its_roadmap} is not there")
        except UsageError as error:
            broken.append(str(error))
            whose = {said_in(path, "roadmap"), roadmap} - {"", None}
            is_of = bare_id(said_in(path, "mvp")) == wanted and len(whose) < 2
            doubtful += [str(error)] if is_of else []
    if matches and doubtful:
        raise UsageError(f"MVP {wanted}: a file of it cannot be read: {doubtful[0]}")
    if len(matches) == 1:
        return matches[0]
    if matches:
        names = ", ".join(lab.relative(path) for path in matches)
        how = f"keep one of those of {roadmap}" if roadmap else "name the roadmap, or keep one"
        raise UsageError(f"MVP {wanted}: more than one experiment file ({names}); {how}")
    where = f" of {roadmap}" if roadmap else ""
    why = f"MVP {wanted!r}{where}: no experiment file in experiments/"
    if others := known_mvps(lab, roadmap):
        why = unknown(f"MVP {wanted!r}{where} in experiments/", wanted, others)
    hint = f"unreadable: {broken[0]}" if broken else f"`vitlab new {wanted}` makes one"
    hint = renamed[0] if renamed else hint
    raise UsageError(f"{why}; {hint}")


def unreadable(lab: LabPaths, roadmap: str | None = None) -> list[str]:
    """What is wrong with each experiment file, as `experiments/x.yaml:12: why`.

    `roadmap`: only with its own, and those that do not say whose they are.
    """
    lines = []
    for path in lab.experiment_files():
        try:
            if roadmap in (None, _identity(path)[1]):
                lines.append(_fault_as_of(path, *stamp(path)))
        except UsageError as error:
            lines.append(str(error))
    return list(filter(None, lines))


def _identity(path: Path) -> tuple[str, str]:
    """The MVP and the roadmap a file names; cached until it changes, and so is a file's fault."""
    known = _identity_as_of(path, *stamp(path))
    if isinstance(known, str):
        raise UsageError(known)
    return known


@lru_cache(maxsize=20_000)
def _identity_as_of(path: Path, *as_of: int) -> tuple[str, str] | str:
    try:
        file = read_as_of(path, *as_of)
        return bare_id(read_text(file, ("mvp",))), _roadmap(file)
    except UsageError as error:
        return str(error)


@lru_cache(maxsize=20_000)
def _fault_as_of(path: Path, *as_of: int) -> str:
    try:
        _experiment(path, read_as_of(path, *as_of))
    except UsageError as error:
        return str(error)
    return ""
