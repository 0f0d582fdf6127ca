"""Repeats of one configuration over seeds as one: their mean and their scatter."""

from __future__ import annotations

import contextlib
import hashlib
import json
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache

from vitlab.contract.config import read_config
from vitlab.contract.job import Result, Spec
from vitlab.contract.paths import UsageError
from vitlab.contract.world import read_world
from vitlab.docs.judge.seeds import Repeats, base_name
from vitlab.jobs.experiment.command import options_of
from vitlab.jobs.experiment.placeholders import words_in
from vitlab.lab.results.job_results import Finished

SEEDS = ("train.seed", "seed", "args.seed")
"""Where a recipe has the seed that repeats differ in; a command has the others."""


@dataclass(frozen=True)
class Group:
    """The finished jobs that differ in their seed alone; often a single one."""

    name: str
    """The run's name without its seed."""
    members: tuple[Finished, ...]

    @property
    def first(self) -> Result:
        return self.members[0].result

    @property
    def repeats(self) -> Repeats:
        """Its results alone."""
        return Repeats(tuple(one.result for one in self.members))

    def value(self, name: str) -> float | None:
        """The mean over the seeds; None where a member has no such number."""
        values = self._values(name)
        return statistics.fmean(values) if values else None

    def scatter(self, name: str) -> float | None:
        """Standard deviation over the seeds; None of a single one."""
        values = self._values(name)
        return statistics.stdev(values) if len(values) > 1 else None

    def error(self, name: str) -> float:
        """The scatter over seeds, or of a single job its error, of its `error_kind`."""
        scatter = self.scatter(name)
        return scatter if scatter is not None else self.first.errors.get(name, 0.0)

    def as_one(self) -> Result:
        """Mean and scatter over the seeds as a single result; a single one as it is."""
        if len(self.members) == 1:
            return self.first
        names = list(self.first.values)
        errors = {name: x for name in names if (x := self.scatter(name)) is not None}
        worlds = {read_world(one.result.world) for one in self.members}
        return replace(
            self.first,
            run=self.name,
            values={name: self.value(name) for name in names},
            errors=errors,
            seconds=sum(one.result.seconds for one in self.members),
            world=self.first.world if len(worlds) == 1 else {},
        )

    def _values(self, name: str) -> list[float]:
        values = [one.result.values.get(name) for one in self.members]
        return [x for x in values if x is not None] if None not in values else []


def grouped(results: Iterable[Finished]) -> list[Group]:
    """The jobs by what they compute but for the seed, in the order of their first."""
    groups: dict[str, list[Finished]] = {}
    for one in results:
        groups.setdefault(seedless_hash(one.job.spec), []).append(one)
    return [Group(base_name(members[0].result.run), tuple(members)) for members in groups.values()]


def seedless_hash(spec: Spec) -> str:
    """16 hex digits, equal for two jobs that differ in their seed alone."""
    settings = {name: value for name, value in settings_of(spec).items() if name not in SEEDS}
    meaning = [spec.mvp, spec.profile, spec.recipe, base_name(spec.run), settings]
    return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()[:16]


def seed_of(settings: Mapping[str, object]) -> object:
    """The seed of a run by its settings; None where it has none."""
    return next((settings[name] for name in SEEDS if settings.get(name) is not None), None)


def settings_of(spec: Spec) -> Mapping[str, object]:
    """The configuration with its defaults, by dotted keys; as written where it cannot be read."""
    return _settings(spec.recipe, json.dumps(spec.config))


@lru_cache(4096)
def _settings(recipe: str, text: str) -> Mapping[str, object]:
    config: Mapping[str, object] = json.loads(text)
    with contextlib.suppress(UsageError):  # of another version: defaults unknown
        config = asdict(read_config(recipe, config))
    return _with_options(dict(_flat(config))) if recipe == "command" else dict(_flat(config))


def _with_options(settings: dict[str, object]) -> dict[str, object]:
    """A command's settings with those of its command line, of which its program is left."""
    argv = settings.get("argv")
    if not isinstance(argv, list):
        return settings
    settings["argv"], options = options_of([str(word) for word in argv])
    for name, value in options.items():
        if not (isinstance(value, str) and words_in(value)):  # a placeholder is not its value
            settings.setdefault(f"args.{name}", value)
    seed = options.get("seed")
    if settings.get("seed") is None and isinstance(seed, int):
        settings["seed"] = seed
    return settings


def _flat(value: Mapping[str, object], head: str = "") -> Iterable[tuple[str, object]]:
    """`{a: {b: 1}}` -> `a.b`, 1; tuples as lists."""
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{head}{key}.")
        else:
            yield f"{head}{key}", list(inner) if isinstance(inner, tuple) else inner
