"""How a job is reported to W&B: its configuration and `wandb.json`."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from vitlab.contract.job import Spec
from vitlab.contract.paths import JobPaths, write_atomic
from vitlab.contract.validation import ConfigError, read_record, read_strict

VERSION = 1
FILES = "wandb/*run-*/*.wandb"
"""The files W&B itself writes of its runs, from the folder a program runs in."""
Mode = Literal["off", "offline", "online"]
LAB_KEYS = ("mode", "project", "entity")
_WORDS: Mapping[str, Mode] = {
    "disabled": "off",
    "dryrun": "offline",
    "offline": "offline",
    "online": "online",
    "run": "online",
}
"""Values of W&B's `WANDB_MODE`."""


@dataclass(frozen=True)
class WandbConfig:
    """`wandb` in an experiment file; the lab's settings may only have `LAB_KEYS`."""

    mode: Mode | None = None
    """None: from WANDB_MODE, else `offline`."""
    project: str = "vitlab"
    entity: str | None = None
    """User or team; None is the account's default."""
    group: str | None = None
    """None: the experiment's exp_id."""
    tags: tuple[str, ...] = ()

    def resolved(self, environment: Mapping[str, str]) -> Mode:
        """The mode in effect: from the configuration, else from the environment."""
        return self.mode or _WORDS.get(environment.get("WANDB_MODE", ""), "offline")


@dataclass(frozen=True)
class Link:
    """`wandb.json` of a job, written by the process that reports to W&B."""

    id: str = field(default_factory=lambda: os.urandom(4).hex())
    """The run's id at W&B, kept when the job is resumed."""
    mode: Mode = "offline"
    """The mode it last ran in: `offline` too where `online` failed."""
    url: str | None = None
    """Its page; None offline."""
    path: str | None = None
    """Its files, relative to the job's folder."""
    trouble: str | None = None
    """One line: why it differs from what was asked for."""
    job: str = ""
    """`Spec.mark` of its job; empty: not known, in older files."""

    @property
    def shown(self) -> str | None:
        return page_or_files(self.url) or page_or_files(self.path)


_PAGE = re.compile(r"https?://[\w.~:/?#@!$&*+,;=%-]+")
_FILES = re.compile(r"[^\x00-\x1f\x7f-\x9f:|()<>\[\]\\`\u2028-\u202e\u2066-\u2069]+")


def page_or_files(text: object) -> str | None:
    """An http(s) address or a path, as it may become a link; None for anything else."""
    if isinstance(text, str) and (_PAGE.fullmatch(text) or _FILES.fullmatch(text)):
        return text
    return None


def read_wandb(value: object, where: str, allowed: tuple[str, ...] = ()) -> dict[str, Any]:
    """The keys set in a `wandb` mapping, checked; raises `ConfigError`.

    `allowed` restricts them. YAML 1.1 reads a bare `off` as false; it means `off` here.
    """
    if isinstance(value, Mapping) and value.get("mode") is False:
        value = {**value, "mode": "off"}
    config = read_strict(WandbConfig, value, where)
    assert isinstance(value, Mapping)
    for key in value:
        if allowed and key not in allowed:
            words = ", ".join(allowed)
            raise ConfigError(f"{where}.{key}", f"belongs to an experiment (allowed: {words})")
    return {key: known for key, known in asdict(config).items() if key in value}


def wandb_of(extra: Mapping[str, Any]) -> WandbConfig:
    """The W&B configuration in a spec's `extra`; raises `ConfigError`."""
    return read_strict(WandbConfig, extra.get("wandb", {}), "wandb")


def read_link(job: JobPaths, spec: Spec | None = None) -> Link | None:
    """The link of `job`; None when it has none.

    `spec`: of the job, where it is known: a link that names another one is not its own.
    """
    link = read_record(job.wandb, Link, VERSION)
    return None if link and spec and not spec.is_named(link.job) else link


def write_link(job: JobPaths, link: Link) -> None:
    """Write `wandb.json` atomically."""
    document = {"v": VERSION, **asdict(link)}
    write_atomic(job.wandb, json.dumps(document, ensure_ascii=False).encode() + b"\n")
