"""Saved trainings: everything an exact continuation needs, and nothing that is code."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from vitlab.contract.paths import UsageError, write_atomic
from vitlab.ml.inputs import Inputs
from vitlab.ml.labels import LabelScaling

FORMAT = 1
LAST, BEST = "last.pt", "best.pt"


@dataclass(frozen=True)
class Saved:
    """One state of a training, before step `step` is taken.

    The learning rate, the order of the spectra and their noise are functions of the step, so
    they need no state of their own.
    """

    step: int
    best_step: int
    """Step of the best validation so far; 0 when there was none."""
    best_r2: float
    model: dict[str, Tensor]
    optimizer: dict[str, Any]
    random: dict[str, Tensor]
    """States of torch's generators (dropout), by device type."""
    labels: tuple[str, ...]
    scaling: LabelScaling
    inputs: Inputs
    config: Mapping[str, Any]
    """What the model was built from."""


def save(path: Path, saved: Saved) -> None:
    """Write `path`, whole or not at all."""
    document = {
        "format": FORMAT,
        **{name: getattr(saved, name) for name in Saved.__dataclass_fields__},
        "labels": list(saved.labels),
        "scaling": asdict(saved.scaling),
        "inputs": {"kind": saved.inputs.kind, "sigma": saved.inputs.sigma},
        "config": dict(saved.config),
    }
    buffer = io.BytesIO()
    torch.save(document, buffer)
    write_atomic(path, buffer.getvalue())


def load(path: Path, device: torch.device) -> Saved:
    """The state in `path`. `UsageError` when it is missing, broken or not one of ours."""
    try:
        document = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise UsageError(f"{path}: no such checkpoint") from None
    except (UnpicklingError, RuntimeError, EOFError, ValueError, LookupError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"{path}: not a readable checkpoint ({reason})") from None
    if not isinstance(document, dict) or document.pop("format", None) != FORMAT:
        raise UsageError(f"{path}: not a checkpoint of format {FORMAT}")
    scaling, inputs = document.pop("scaling"), document.pop("inputs")
    return Saved(
        **{
            **document,
            "labels": tuple(document["labels"]),
            "scaling": LabelScaling(tuple(scaling["offset"]), tuple(scaling["scale"])),
            "inputs": Inputs(inputs["kind"], inputs["sigma"]),
            "random": {name: state.cpu() for name, state in document["random"].items()},
        }
    )
