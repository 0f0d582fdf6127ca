"""The lab's settings, `vitlab.yaml`: read safely, checked strictly, every key with a default."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import PurePosixPath
from typing import Any, Literal

from vitlab.contract.job import PROFILES
from vitlab.contract.paths import LabPaths, UsageError, cause
from vitlab.contract.reading import read_regular
from vitlab.contract.tracking import LAB_KEYS, read_wandb
from vitlab.contract.validation import ConfigError, read_strict


@dataclass(frozen=True)
class Notify:
    """How the end of a job is announced; only the webhook works without a screen."""

    bell: bool = True
    """Ring the terminal's bell."""
    desktop: bool = False
    """Have the terminal show a notice on the desktop."""
    osc: Literal["auto", 9, 777] = "auto"
    """The escape sequence for that; `auto` chooses by the terminal's name."""
    webhook: str | None = None
    """An address that takes a POST of JSON. It is a secret, never shown or logged."""


MAX_GRACE = 7 * 86_400
"""Seconds: a job that ignores SIGTERM is killed at last."""


def read_notify(value: object, where: str) -> Notify:
    """The settings' `notify`, checked; raises `ConfigError`, which never holds the address."""
    notify = read_strict(Notify, value, where)
    if notify.webhook is not None and not host_of(notify.webhook):
        words = "must be one address that begins with http:// or https://"
        raise ConfigError(f"{where}.webhook", words)
    return notify


def host_of(address: str) -> str:
    """The host of an http(s) address, its only public part; empty for any other text."""
    from urllib.parse import urlsplit  # few labs have a webhook, and opening one must be fast

    if not address.isprintable() or any(letter.isspace() for letter in address):
        return ""
    try:
        parts = urlsplit(address)
        return (parts.hostname or "") if parts.scheme in ("http", "https") else ""
    except ValueError:  # a broken IPv6 address
        return ""


@dataclass(frozen=True)
class Settings:
    """What a lab's owner may set; an absent file means the defaults."""

    profile: str = "demo"
    """The profile of a launch that names none."""
    cpu_slots: int = 1
    """Jobs that may run on the CPU at once."""
    cpu_threads: int = 0
    """Threads of one CPU job; 0 shares the cores among the slots."""
    grace: float = 20.0
    """Seconds between SIGTERM and SIGKILL when a job is stopped."""
    write_status: str = "auto"
    """`auto`: statuses follow the jobs. `ask`: they wait for the diff view."""
    write_results: str = "ask"
    """`ask`: numbers and conclusions wait for a key. `auto`: written when a job ends."""
    theme: str = "dark"
    """The screen's colours."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Action name -> key, for the screen."""
    documents: tuple[str, ...] = ()
    """Where the roadmaps are, as patterns from the lab's root; empty: anywhere below it."""
    tables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Document -> header -> column meaning: how a plan in another shape is read."""
    headers: Mapping[str, Any] = field(default_factory=dict)
    """Column meaning -> further header words a table may carry."""
    statuses: Mapping[str, Any] = field(default_factory=dict)
    """Status word -> further glyphs and words a cell may carry."""
    wandb: Mapping[str, Any] = field(default_factory=dict)
    """`mode`, `project` and `entity` of its jobs at W&B; an experiment's own win."""
    seed_scatter: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Model -> value -> standard deviation over seeds, where the lab's own repeats do not show it:
    `{ViT: {test/r2/log_g: 0.004}}`."""
    gate_stars: int = 0
    """Stars kept for gates alone, which `vitlab gates --open` scores the models on; 0: gates are
    judged on the test stars."""
    notify: Notify = field(default_factory=Notify)
    """How the end of a job is announced."""


FOR_LOOKING = Settings(write_status="ask", write_results="ask")
"""In place of settings that are wrong, to look at a lab or end a job: nothing is written by it."""

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "profile": PROFILES,
    "write_status": ("auto", "ask"),
    "write_results": ("auto", "ask"),
    "theme": ("dark", "light", "high-contrast"),
}


def load_settings(lab: LabPaths) -> Settings:
    """The settings of `lab`; a wrong key or value is one line naming the file and the key."""
    where = lab.settings
    if not os.path.lexists(where):
        return Settings()
    from vitlab.jobs.experiment import yaml_loader  # a lab without settings need not load YAML

    try:
        _, document = yaml_loader.load(read_regular(where, yaml_loader.MAX_BYTES, follow=True))
    except yaml_loader.BadYaml as error:
        raise UsageError(error.at(str(where))) from error
    except OSError as error:
        raise UsageError(cause(error)) from error
    if document is None:
        return Settings()
    if not isinstance(document, dict):
        raise UsageError(f"{where}: expected a mapping of settings")
    known = {entry.name: type(entry.default) for entry in fields(Settings)}
    for key, value in document.items():
        _check(where.name, key, value, known)
    try:
        if "wandb" in document:
            document["wandb"] = read_wandb(document["wandb"], "wandb", LAB_KEYS)
        if "notify" in document:
            document["notify"] = read_notify(document["notify"], "notify")
    except ConfigError as error:
        raise UsageError(f"{where.name}: {error}") from error
    if "documents" in document:
        document["documents"] = tuple(document["documents"])
    return Settings(**document)


def _is_pattern(value: object) -> bool:
    if not isinstance(value, str) or not value:
        return False
    path = PurePosixPath(value)
    return not path.is_absolute() and ".." not in path.parts


def _is_scatter(value: object) -> bool:
    """Whether it maps names of values to positive numbers."""
    return isinstance(value, dict) and all(
        isinstance(one, int | float) and not isinstance(one, bool) and 0 < one < math.inf
        for one in value.values()
    )


def _check(where: str, key: object, value: object, known: Mapping[str, type]) -> None:
    if key not in known:
        near = difflib.get_close_matches(str(key), known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"{where}: {key}: unknown key{hint} (allowed: {', '.join(known)})")
    name = str(key)
    choices = _CHOICES.get(name)
    if choices and value not in choices:
        raise UsageError(f"{where}: {name}: {value!r} is not one of {', '.join(choices)}")
    if name in ("keys", "headers", "statuses", "tables"):
        if not isinstance(value, dict):
            raise UsageError(f"{where}: {name}: expected a mapping")
        for columns in value.values() if name == "tables" else ():
            if not isinstance(columns, dict):
                raise UsageError(f"{where}: {name}: expected FILE: {{Header: meaning}}")
            for word in (*columns, *columns.values()):
                if not isinstance(word, str):
                    hint = f"{word!r} is no word: put it in quotes (YAML reads No as False)"
                    raise UsageError(f"{where}: {name}: {hint}")
    elif name == "seed_scatter":
        if not isinstance(value, dict) or not all(map(_is_scatter, value.values())):
            raise UsageError(f"{where}: {name}: expected MODEL: {{value: a number above 0}}")
    elif name == "documents":
        if not isinstance(value, list) or not all(map(_is_pattern, value)):
            raise UsageError(f"{where}: {name}: expected a list of patterns below the lab's root")
    elif name in ("cpu_slots", "cpu_threads", "grace", "gate_stars"):
        low = 1 if name == "cpu_slots" else 0
        high = MAX_GRACE if name == "grace" else 10**9
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not low <= value <= high  # nor is `.nan` between them
        ):
            raise UsageError(f"{where}: {name}: expected a number from {low} to {high}")
        if name != "grace" and not isinstance(value, int):
            raise UsageError(f"{where}: {name}: expected a whole number")
