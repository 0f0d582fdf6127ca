"""What a recipe is given, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vitlab.contract.config import Config
from vitlab.contract.paths import JobPaths
from vitlab.contract.spec import Spec
from vitlab.recipes.report import Reporter


class Stopped(Exception):  # noqa: N818 - the name says what happened
    """The job was asked to end and has saved its state."""


@dataclass(frozen=True)
class Context:
    """One job under way."""

    paths: JobPaths
    spec: Spec
    config: Config
    device: str
    """`cpu` or `cuda`."""
    report: Reporter
    resume: bool
    stopped: Callable[[], bool]
    """True once the job is asked to end."""


@dataclass(frozen=True)
class Outcome:
    """The numbers of a finished job; names as in `vitlab.contract.result.Result`."""

    values: Mapping[str, float]
    errors: Mapping[str, float] = field(default_factory=dict)
    n: Mapping[str, int] = field(default_factory=dict)
    model: Mapping[str, object] = field(default_factory=dict)
    data: Mapping[str, object] = field(default_factory=dict)
    best: Mapping[str, float] = field(default_factory=dict)
    figures: tuple[Path, ...] = ()
