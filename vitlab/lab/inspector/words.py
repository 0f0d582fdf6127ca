"""An observed star in words, as the command and the screen tell it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vitlab.contract.value import measured
from vitlab.lab.inspector.star import Observed, Prediction, StarSheet


@dataclass(frozen=True)
class Comparison:
    """What a model says of one label, beside what is known of it."""

    label: str
    predicted: str
    """`4630 ± 280`."""
    known: str
    """Empty where it is not known."""
    away: str
    """Predicted minus known."""
    pull: str
    """The same in errors of both; empty without an error."""


def headline(seen: Observed) -> str:
    """The star, where it is from, and what it is."""
    where = f"{Path(seen.file).name}{f', {seen.where}' if seen.where else ''}"
    kind = "" if seen.kind in ("star", "not stated") else f", {seen.kind}"
    return f"{seen.object} ({where}), {seen.survey}{kind}"


def facts(sheet: StarSheet, seen: Observed) -> Iterator[str]:
    """Lines on the spectrum: how good it is, what it is nearest to, whether it is like a star."""
    large = {why: share for why, share in seen.left_out.items() if share >= 0.005}
    left_out = ", ".join(f"{share:.0%} {why}" for why, share in large.items())
    yield (
        f"S/N {sheet.snr:.0f}, {measured(seen.velocity, seen.velocity_error)} km/s, "
        f"{seen.share:.0%} of the band{f' (left out: {left_out})' if left_out else ''}"
    )
    near = ", ".join(f"{name} {value:.4g}" for name, value in seen.nearest.items())
    yield (
        f"nearest of the grid: {near}; chi2 {seen.chi2:.2f} a pixel, of stars to {seen.highest:.2f}"
    )
    if seen.known_from:
        yield f"known labels: {seen.known_from}"
    yield {
        True: "UNLIKE what the model was trained on",
        False: "like what the model was trained on",
        None: "too faint to tell whether it is like what the model was trained on",
    }[seen.unlike]


def comparisons(sheet: StarSheet, seen: Observed, said: Prediction) -> Iterator[Comparison]:
    """Each label that a model predicts."""
    for label, value in said.values.items():
        if value is None:
            continue
        error, truth = said.errors.get(label), sheet.true.get(label, math.nan)
        predicted = measured(value, error)
        if not math.isfinite(truth):
            yield Comparison(label, predicted, "", "", "")
            continue
        known_error = seen.known_errors.get(label)
        away, both = value - truth, math.hypot(error or 0, known_error or 0)
        pull = f"{away / both:+.1f}" if error else ""
        known = measured(truth, known_error)
        yield Comparison(label, predicted, known, measured(away, error, signed=True), pull)
