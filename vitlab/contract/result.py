"""What a finished job says of itself: `result.json`, the only source of written-back numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from vitlab.contract.paths import write_atomic
from vitlab.contract.record import read_record
from vitlab.contract.value import HEADLINE

VERSION = 1


@dataclass(frozen=True)
class Result:
    """The numbers of one job, in original label units."""

    mvp: str
    """The bare id in the roadmap's overview: `1.0`, `16A-0`."""
    run: str
    """The run's name in the experiment file; `main` when the MVP has only one."""
    profile: str
    """`smoke`, `demo` or `full`; only `full` closes gates and replaces numbers."""
    recipe: str
    values: Mapping[str, float | None]
    """`split/metric/label` -> number: `test/r2/log_g`. None for a non-finite one."""
    errors: Mapping[str, float] = field(default_factory=dict)
    """Bootstrap standard errors, by the same names."""
    n: Mapping[str, int] = field(default_factory=dict)
    """Spectra per split: train, val, test."""
    model: Mapping[str, object] = field(default_factory=dict)
    """`name` (`ViT`, `LightGBM`, `Ridge`, ...) and `params`, the number of parameters."""
    data: Mapping[str, object] = field(default_factory=dict)
    """`source` and `hash`: two results with the same hash saw the same test set."""
    best: Mapping[str, float] = field(default_factory=dict)
    """`step` and `epoch` of the reported state."""
    seconds: float = 0.0
    figures: tuple[str, ...] = ()
    wandb: str | None = None
    headline: str = HEADLINE
    """The value the experiment file names as its answer."""

    @property
    def model_name(self) -> str:
        return str(self.model.get("name", self.recipe))


def write_result(path: Path, result: Result) -> None:
    """Write `result.json`, whole or not at all."""
    document = {"v": VERSION, **asdict(result)}
    text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)
    write_atomic(path, text.encode() + b"\n")


def read_result(path: Path) -> Result | None:
    """The result in `path`; None when there is none, or it is not one of version 1."""
    return read_record(path, Result, VERSION)
