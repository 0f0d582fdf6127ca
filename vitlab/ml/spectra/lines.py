"""Spectral lines and bands between 7100 and 8850 A."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
TELLURIC = 2
"""The weight of what the Earth's air absorbs."""
WINDOW = 4.0
"""Half-width of a line in Angstrom: core and wings at R = 5000."""
WINGS = {"Ca II": 20.0, "Na I": 6.0, "K I": 6.0, "Mg I 8807": 6.0}
"""The same for lines with wide wings, by the start of the name."""


@dataclass(frozen=True)
class Line:
    """A line or a band."""

    name: str
    """`Ca II 8542`."""
    wave: float
    """Angstrom; for a molecular band its head."""
    end: float
    """End of a band; equal to `wave` for a line."""
    weight: int = 1
    """0: strongest, labelled first; 2: telluric."""

    @property
    def is_band(self) -> bool:
        return self.end > self.wave

    @property
    def reach(self) -> tuple[float, float]:
        """The wavelength range that counts as this line."""
        if self.is_band:
            return self.wave, self.end
        wide = next((w for start, w in WINGS.items() if self.name.startswith(start)), WINDOW)
        return self.wave - wide, self.wave + wide


_LINES = (
    (0, "Ca II", (8498.023, 8542.091, 8662.141)),
    (0, "Na I", (8183.256, 8194.824)),
    (0, "K I", (7664.899, 7698.965)),
    (0, "Mg I", (8806.756,)),
    (1, "Mg I", (7657.603, 8717.825, 8736.019)),
    (1, "Ca I", (7148.150, 7202.200, 7326.145)),
    (1, "Al I", (8773.896,)),
    (1, "Si I", (7415.948, 7423.496, 7944.001, 8556.777, 8648.465, 8728.010, 8742.446, 8752.007)),
    (1, "Ti I", (8364.237, 8412.358, 8426.506, 8434.957)),
    (0, "Fe I", (8688.624,)),
    (
        1,
        "Fe I",
        (
            *(7187.318, 7389.398, 7411.154, 7445.750, 7495.066, 7511.019, 7748.269, 7780.556),
            *(7832.196, 7937.139, 7945.846, 7998.944, 8046.045, 8085.172, 8220.378, 8327.056),
            *(8387.772, 8468.407, 8514.072, 8611.803, 8621.601, 8674.746, 8824.220),
        ),
    ),
    (1, "O I", (7771.944, 7774.166, 7775.388)),
)
"""Air wavelengths: Ca II, Na I, K I and Mg I 8807 from NIST's Atomic Spectra Database
(https://physics.nist.gov/asd), the others from the Gaia-ESO line list (Heiter et al. 2021,
A&A 645, A106). Each is, to 0.03 A, a minimum of the R = 50000 synthesis at 5750 or 4500 K with
that list; the packaged grid, at R = 5000, is tested against the strongest."""
_PASCHEN = ((12, 8750.472), (13, 8665.019), (14, 8598.392), (15, 8545.383), (16, 8502.483))
"""Centroids of H I n-3, air (NIST); the Rydberg formula gives them to 0.06 A."""
_TIO = ((7125.6, 7160.0), (7589.3, 7625.0), (7628.1, 7660.0), (8432.0, 8460.0))
"""Heads of the gamma (7126, 7589, 7628) and epsilon (8432) systems, air, to 1 A: Valenti, Piskunov
& Johns-Krull 1998, ApJ 498, 851 for the first, else the steepest drops of the synthesis at
3750 K."""
_EARTH = (("O2 A (air)", 7592.0, 7698.0), ("H2O (air)", 8130.0, 8340.0))
"""Where the packaged sky's transmission (airmass 1, 2.5 mm of water) is below 0.95. Observed
spectra have these bands, simulated ones do not."""


def known_lines() -> tuple[Line, ...]:
    """All lines and bands in ascending order, with wavelengths in air."""
    lines = [
        Line(f"{ion} {wave:.0f}", wave, wave, weight)
        for weight, ion, waves in _LINES
        for wave in waves
    ]
    lines += [Line(f"H P{n} {wave:.0f}", wave, wave) for n, wave in _PASCHEN]
    lines += [Line(f"TiO {head:.0f}", head, end) for head, end in _TIO]
    lines += [Line(name, start, end, TELLURIC) for name, start, end in _EARTH]
    return tuple(sorted(lines, key=lambda line: line.wave))


def lines_between(low: float, high: float, *, in_vacuum: bool) -> tuple[Line, ...]:
    """Lines and bands that start between two wavelengths, all in vacuum if `in_vacuum`."""
    lines = known_lines()
    if in_vacuum:
        lines = tuple(replace(line, wave=vacuum(line.wave), end=vacuum(line.end)) for line in lines)
    return tuple(line for line in lines if low <= line.wave <= high)


def air(vacuum: Array) -> Array:
    """Vacuum wavelengths in Angstrom -> in air (Morton 2000, ApJS 130, 403, eq. 8)."""
    s2 = (1e4 / vacuum) ** 2
    return np.asarray(
        vacuum / (1 + 8.34254e-5 + 2.406147e-2 / (130 - s2) + 1.5998e-4 / (38.9 - s2))
    )


def vacuum(wave: float) -> float:
    """A wavelength in air -> in vacuum, Angstrom: the inverse of `air`, to 1e-6 A."""
    result = wave
    for _ in range(4):  # the index changes by 1e-8 over an Angstrom
        result += wave - float(air(np.array([result]))[0])
    return result


def own_lines(lines: Sequence[Line]) -> list[Line]:
    """Lines, no bands; those in the wings of a wider one (H P15 in Ca II 8542) are part of it."""
    narrow = [line for line in lines if not line.is_band]
    return [line for line in narrow if not any(_contains(other, line) for other in narrow)]


def shares(wave: Array, weight: Array, lines: tuple[Line, ...]) -> dict[str, float]:
    """The fraction of a (L,) weight in each line; every pixel counts once, NaN as 0.

    A pixel belongs to the nearest of `own_lines` within reach, in units of its reach, else to a
    band.
    """
    weight = np.nan_to_num(weight)
    total = float(weight.sum())
    apart = own_lines(lines)
    bands = [line for line in lines if line.is_band]
    if not total > 0:
        return {}
    parts = dict.fromkeys((line.name for line in lines), 0.0)
    nearest = np.full(len(wave), np.inf)
    owner = np.full(len(wave), -1)
    for number, line in enumerate(apart):
        away = np.abs(wave - line.wave) / (line.wave - line.reach[0])
        nearer = (away < 1) & (away < nearest)
        nearest[nearer], owner[nearer] = away[nearer], number
    for number, line in enumerate(apart):
        parts[line.name] = float(weight[owner == number].sum()) / total
    for line in bands:
        inside = (owner < 0) & (wave >= line.wave) & (wave <= line.end)
        owner[inside] = len(apart)
        parts[line.name] = float(weight[inside].sum()) / total
    return parts


def _contains(wide: Line, line: Line) -> bool:
    low, high = wide.reach
    return wide is not line and low < line.wave < high and high - wide.wave > WINDOW
