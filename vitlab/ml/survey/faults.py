"""Faults of an observed spectrum that its lines show: wrong wavelengths, a wrong resolution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vitlab.ml.survey.comparison import (
    Found,
    Reference,
    Seen,
    even_pixels,
    find_velocity,
    seen,
    stretched_gain,
)
from vitlab.ml.survey.pixels import OnPixels

HALVES = 8230.0
"""Angstrom: the lines below it and above it must have one velocity."""
APART = 5.0, 40.0
"""Errors, and km/s, by which two velocities are not one."""
OTHERS = (1800.0, 2500.0, 3500.0, 5000.0)
"""R that the stated one is held against, where it differs from them by more than `FACTOR`."""
FACTOR = 1.45
"""Rotation broadens lines too."""
BETTER = 0.05, 12.0
"""Share of chi-square's fall by lines, and units of it, by which those of another R must fit
better."""

STRETCHES = tuple(k / 500 for k in range(-10, 11) if k)
"""By which wavelengths may be too long from the middle of the band on: steps in which the lines at
an end move by less than their width."""
EVERY = 3
"""Of the spectra that velocities are found with, one in so many is stretched."""


def find_faults(observed: OnPixels, reference: Reference, found: Found) -> list[str]:
    """One line for each; `observed` is on `even_pixels`, and `found` its velocity."""
    if not found.visible:
        return []
    faults = []
    wave = even_pixels(reference.grid)
    halves = [
        find_velocity(replace(observed, good=observed.good & part), reference)
        for part in (wave < HALVES, wave >= HALVES)
        if (observed.good & part).mean() > 0.05
    ]
    if len(halves) == 2 and all(half.visible for half in halves):
        low, high = halves
        away = abs(low.velocity - high.velocity)
        if away > max(APART[0] * float(np.hypot(low.error, high.error)), APART[1]):
            faults.append(
                f"its lines are at {low.velocity:.0f} km/s below {HALVES:.0f} A and at "
                f"{high.velocity:.0f} above: are the wavelengths right?"
            )
    one = seen(observed, reference.grid)
    if (most := _stretch(one, reference)) is not None:
        way = "long" if most > 0 else "short"
        faults.append(
            f"its lines are those of a star on a scale {abs(most):.1%} too {way}: are the "
            "wavelengths right?"
        )
    stated = observed.resolution
    others = [r for r in OTHERS if max(r / stated, stated / r) > FACTOR]
    gains = {r: find_velocity(one, reference, r).gain for r in others}
    best = max(gains, key=lambda r: gains[r], default=stated)
    if gains and gains[best] > found.gain * (1 + BETTER[0]) + BETTER[1]:
        faults.append(f"its lines are those of R = {best:.0f} rather than of R = {stated:.0f}")
    return faults


def _stretch(one: Seen, reference: Reference) -> float | None:
    """By how much its wavelengths are too long, if spectra of the grid then fit better."""
    plain = stretched_gain(one, reference, 0.0, EVERY)
    gains = {by: stretched_gain(one, reference, by, EVERY) for by in STRETCHES}
    best = max(gains, key=lambda by: gains[by])
    return best if gains[best] > plain * (1 + BETTER[0]) + BETTER[1] else None
