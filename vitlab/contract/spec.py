"""What a job is asked to do: `spec.json`, written once by whoever submits it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from vitlab.contract.record import read_record
from vitlab.contract.value import HEADLINE

VERSION = 1

Recipe = Literal["vit", "lightgbm", "ridge", "mlp", "template", "ceiling", "evaluate", "command"]
RECIPES: tuple[Recipe, ...] = get_args(Recipe)
Profile = Literal["smoke", "demo", "hour", "full"]
PROFILES: tuple[Profile, ...] = get_args(Profile)
"""From a trial of seconds to the real thing, by what they cost; all but the last are trials."""
GRID_LABELS = ("T_eff", "log_g", "M_H")
"""The labels a spectrum drawn from the embedded grid has."""


@dataclass(frozen=True)
class Spec:
    """One job, fully resolved: nothing else is read to run it."""

    mvp: str
    """The bare id in the roadmap's overview table."""
    run: str
    """The run's name; `main` when the MVP has only one."""
    profile: str
    recipe: str
    """One of `RECIPES`."""
    config: Mapping[str, Any]
    """The recipe's configuration, profile and run applied; see `vitlab.contract.config`."""
    exp_id: str
    roadmap: str
    """The roadmap's path from the lab's root."""
    headline: str = HEADLINE
    device: str = "auto"
    """`auto`, `cpu`, or the index or UUID of a GPU."""
    priority: int = 0
    after: tuple[str, ...] = ()
    """Names of jobs (`<exp_id>/<job>`) that must end well first."""
    submitted: float = 0.0
    """Unix seconds."""
    experiment: str = ""
    """The experiment file's path from the lab's root."""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """Two jobs with one hash compute the same thing: recipe, configuration, headline."""
        meaning = json.dumps([self.recipe, self.config, self.headline], sort_keys=True)
        return hashlib.sha256(meaning.encode()).hexdigest()[:16]

    def to_json(self) -> bytes:
        document = {"v": VERSION, **asdict(self)}
        return json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n"


def read_spec(path: Path) -> Spec | None:
    """The spec in `path`; None when it is missing or not one of version 1."""
    return read_record(path, Spec, VERSION)
