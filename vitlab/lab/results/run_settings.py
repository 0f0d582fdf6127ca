"""What a run computes, by its settings: to tell repeats, and the same run under two names."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import lru_cache

from vitlab.contract.config import read_config
from vitlab.contract.job import Spec, base_name
from vitlab.contract.paths import UsageError
from vitlab.jobs.environment import is_secret_setting
from vitlab.jobs.experiment.command import options_of
from vitlab.jobs.experiment.placeholders import words_in

SEEDS = ("train.seed", "seed", "args.seed")
"""Where a recipe has the seed that repeats differ in; a command has the others."""
HIDDEN = "***"


def seedless_hash(spec: Spec) -> str:
    """16 hex digits, equal for two jobs that differ in their seed alone."""
    known = _settings(spec.recipe, json.dumps(spec.config))  # what is hidden tells two apart, too
    settings = {name: value for name, value in known.items() if name not in SEEDS}
    meaning = [spec.mvp, spec.profile, spec.recipe, base_name(spec.run), settings]
    return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()[:16]


def seed_of(settings: Mapping[str, object]) -> int | None:
    """The seed of a run by its settings; None where it has none."""
    given = (settings.get(name) for name in SEEDS)
    return next((one for one in given if isinstance(one, int)), None)


def settings_of(spec: Spec) -> Mapping[str, object]:
    """The configuration with its defaults, by dotted keys; as written where it cannot be read.

    Secrets of a command are `HIDDEN`, as settings come into documents.
    """
    return _shown(spec.recipe, json.dumps(spec.config))


@lru_cache(1 << 15)
def _shown(recipe: str, text: str) -> Mapping[str, object]:
    settings = _settings(recipe, text)
    if recipe != "command":
        return settings
    return {name: HIDDEN if is_secret_setting(name, x) else x for name, x in settings.items()}


@lru_cache(1 << 15)
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
