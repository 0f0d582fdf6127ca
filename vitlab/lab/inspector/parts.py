"""What the sheets of simulated and of observed stars are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitlab.contract.job import read_result
from vitlab.contract.paths import JobPaths
from vitlab.contract.value import unit_of
from vitlab.lab.inspector.model import Explained, Model
from vitlab.lab.inspector.star import Mark, Prediction, Share, Trace
from vitlab.ml.spectra.lines import Line, shares
from vitlab.ml.theory.fisher import Efficient, agreement

Array = NDArray[np.float64]
LEAST_SHARE = 0.01
"""Minimum share of information or response for a line to be listed."""


def own_prediction(
    job: JobPaths, labels: Sequence[str], explained: Explained | None
) -> Prediction | None:
    """What a job's model predicts now; None without a model."""
    if explained is None:
        return None
    values = dict(zip(labels, explained.predicted.tolist(), strict=True))
    sigma = explained.sigma
    errors = {} if sigma is None else dict(zip(labels, sigma.tolist(), strict=True))
    return Prediction(job.name, job_title(job), values, errors)


def job_title(job: JobPaths) -> str:
    """`ViT 1.0 Run 1`: model, MVP and run of a job."""
    result = read_result(job.result)
    return job.name if result is None else f"{result.model_name} {result.mvp} {result.run}"


def attention_trace(explained: Explained | None) -> Trace | None:
    if explained is None or explained.attention is None:
        return None
    kind = "attention rollout (Abnar & Zuidema 2020)"
    return Trace(kind, "share of a pixel", numbers(explained.attention))


def responses(
    model: Model | None, explained: Explained | None, best: Efficient | None, label: str
) -> dict[str, Any]:
    """The model's response to each pixel, and how close it is to the efficient estimator's."""
    if explained is None or model is None:
        return {}
    unit, response = unit_of(label) or "", explained.response
    if not model.signed:
        return {"response": Trace(model.kind, unit, numbers(response))}
    cosine = np.nan if best is None else agreement(response, best.response)
    return {
        "response": Trace(model.kind, f"{unit}/sigma", numbers(response)),
        "scatter": float(np.sqrt(np.nansum(response**2))),
        "agreement": cosine if np.isfinite(cosine) else None,
    }


def told_apart(predictions: Sequence[Prediction]) -> tuple[Prediction, ...]:
    """Two jobs of one run with the time at which they were submitted."""
    names = [one.name for one in predictions]
    return tuple(
        replace(one, name=f"{one.name} {_submitted(one.job)}") if names.count(one.name) > 1 else one
        for one in predictions
    )


def _submitted(name: str) -> str:
    """The time of day in a job folder's name, or the name itself."""
    folder = Path(name).name
    time = folder[9:15]
    return time if time.isdecimal() else folder


def marks(lines: Sequence[Line]) -> tuple[Mark, ...]:
    """Lines as a chart names them."""
    return tuple(Mark(one.name, one.wave, one.end, one.weight) for one in lines)


def line_shares(
    wave: Array, lines: tuple[Line, ...], explained: Explained | None, best: Efficient | None
) -> tuple[Share, ...]:
    """The lines with at least `LEAST_SHARE` of information or response, most information first."""
    stellar = tuple(line for line in lines if line.weight < 2)
    information = {} if best is None else shares(wave, best.information, stellar)
    response = {} if explained is None else shares(wave, explained.response**2, stellar)
    every = [
        Share(line.name, information.get(line.name), response.get(line.name)) for line in stellar
    ]
    large = [one for one in every if max(one.information or 0, one.response or 0) >= LEAST_SHARE]
    return tuple(sorted(large, key=lambda one: (-(one.information or 0), -(one.response or 0))))


def numbers(values: Array) -> tuple[float, ...]:
    """As a record has them."""
    return tuple(np.asarray(values, dtype=np.float64).tolist())
