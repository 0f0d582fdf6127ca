"""One observed spectrum as every reader gives it, and the checks that all share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vitlab.contract.paths import UsageError
from vitlab.contract.reading import LARGEST
from vitlab.contract.validation import FASTEST, HIGHEST_R, LOWEST_R
from vitlab.ml.spectra.formats.units import refuse_logarithms
from vitlab.ml.spectra.formats.wavelengths import read_axis
from vitlab.ml.spectra.labels import MISSING_LABELS, is_possible
from vitlab.ml.spectra.lines import air
from vitlab.ml.spectra.pfsspec import SENTINELS

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
Kind = Literal["star", "galaxy", "quasar", "white dwarf", "sky", "empty", "not stated"]

LIGHT = 299_792.458
"""km/s."""
FORMULA = "vacuum wavelengths turned to air (Morton 2000, ApJS 130, 403, eq. 8)"
NO_MEDIUM = (
    "air or vacuum is not stated: taken as air (if it is vacuum, a velocity found is 82 km/s high)"
)
FLAGGED, NO_ERROR, NOT_FINITE, FILL = (
    "flagged by the survey",
    "error not above 0",
    "not finite or -9999",
    "one value repeated",
)
REPEATED = 6
"""Neighbouring pixels of exactly one value that no noise makes: a fill value."""
ROUNDED = 0.2
"""Share of the steps between neighbours that are of one unit, in a spectrum of few digits."""
LEAST = 50
"""Pixels of a spectrum: fewer have no line profile in them."""
NARROWEST = 5.0
"""Lines to a pixel at the most, by their FWHM: R of a spectrograph is also stated of a spectrum
that was brought onto wider pixels since, but not of one of another instrument."""
MOST_PIXELS = 1 << 21
"""Pixels of a spectrum: no spectrograph has more."""


@dataclass(frozen=True)
class Spectrum:
    """One spectrum in air; its arrays have one entry a pixel, (L,)."""

    file: str
    where: str
    """In the file: `HDU 1`, `HDU 4, row 2`; empty in a text."""
    survey: str
    """What the file was recognised as, by its content: `LAMOST LRS`, `FITS table`."""
    object: str
    """As the file names it; empty if it does not."""
    kind: Kind
    """As the file says; `empty` where the flux is 0 or fill throughout."""
    wave: Array
    """Angstrom in air, ascending."""
    flux: Array
    """In the file's unit; 0 where `mask`."""
    sigma: Array | None
    """1-sigma errors in the unit of the flux, infinite where `mask`; None where the file has
    none."""
    mask: Bools
    """Pixels without a usable datum."""
    masked: Mapping[str, int]
    """Reason -> masked pixels; a pixel may have several."""
    resolution: Array | None
    """Wavelength over the FWHM of a line; None where nothing states it."""
    velocity: float | None
    """km/s by which the lines are shifted in `wave`, as the file says."""
    velocity_error: float | None
    """km/s, 1 sigma."""
    labels: Mapping[str, tuple[float, float | None]]
    """T_eff (K), log_g, M_H (dex) that the file carries, and their errors."""
    label_source: str
    notes: tuple[str, ...]
    """What was converted or assumed, one sentence each."""
    corrects_tellurics: bool = False
    """Whether the Earth's absorption is divided out, as its user says: no file says it."""

    @property
    def snr(self) -> float | None:
        """Median of flux over error of the pixels that are not masked; None without errors."""
        good = ~self.mask
        if self.sigma is None or not good.any():
            return None
        with np.errstate(all="ignore"):
            snr = float(np.median(self.flux[good] / self.sigma[good]))
        return snr if math.isfinite(snr) else None

    def resolution_between(self, low: float, high: float) -> float | None:
        """Median R of the pixels between two wavelengths of `wave`; None where it is not known.

        R changes along a spectrum: one number is of a range, and is told with it.
        """
        inside = (self.wave >= low) & (self.wave <= high)
        if self.resolution is None or not inside.any():
            return None
        return float(np.median(self.resolution[inside]))

    @property
    def place(self) -> str:
        """`FILE: HDU 1`, for messages."""
        return f"{self.file}: {self.where}" if self.where else self.file


@dataclass
class Raw:
    """What a reader finds of one spectrum, before `finish`."""

    where: str
    """`HDU 1`, `HDU 4, row 2`."""
    survey: str
    wave: Array
    unit: str
    """Of the wavelengths; empty when not stated."""
    medium: str
    """`air`, `vacuum`, or empty when neither the file nor its survey's documents say."""
    flux: Array
    flux_unit: str = ""
    sigma: Array | None = None
    bad: dict[str, Bools] = field(default_factory=dict)
    resolution: Array | float | None = None
    object: str = ""
    kind: Kind = "not stated"
    velocity: float | None = None
    velocity_error: float | None = None
    labels: dict[str, tuple[float, float | None]] = field(default_factory=dict)
    label_source: str = ""
    notes: list[str] = field(default_factory=list)


def check_pixels(number: int, place: str) -> None:
    """`UsageError` for more pixels than a spectrum has, before any array is made of them."""
    if number > MOST_PIXELS:
        raise UsageError(f"{place}: {number:,} pixels: no spectrum has more than {MOST_PIXELS:,}")


def finish(raw: Raw, file: str) -> Spectrum:
    """Wavelengths in Angstrom and air, ascending; masks; `UsageError` names file and HDU."""
    place = f"{file}: {raw.where}" if raw.where else file
    _check_flux(raw, place)
    resolution = raw.resolution
    if resolution is not None:
        resolution = np.broadcast_to(np.asarray(resolution, np.float64), raw.wave.shape)
    keep = np.isfinite(raw.wave)
    axis = read_axis(raw.wave[keep], {"unit": raw.unit}, place)
    turn = np.flatnonzero(keep)[:: -1 if axis.reversed else 1]
    notes = [*axis.notes, *raw.notes]
    if missing := int((~keep).sum()):
        notes.append(f"{missing:,} pixels without a wavelength are left out")
    labels = _known_labels(raw, notes)
    velocity = raw.velocity
    if velocity is not None and abs(velocity) > FASTEST:
        notes.append(f"the file's velocity, {velocity:g} km/s, is no star's: left out")
        velocity = None
    wave = axis.wave
    if raw.medium == "vacuum":
        wave = air(wave)
        notes.append(FORMULA)
    elif not raw.medium:
        notes.append(NO_MEDIUM)
    flux = raw.flux[turn]
    sigma = None if raw.sigma is None else raw.sigma[turn]
    reasons = _masks(flux, sigma) | {why: bad[turn] for why, bad in raw.bad.items()}
    mask = np.logical_or.reduce(list(reasons.values()))
    is_empty = bool(mask.all()) or not flux[~mask].any()
    return Spectrum(
        file=file,
        where=raw.where,
        survey=raw.survey,
        object=raw.object,
        kind="empty" if is_empty else raw.kind,
        wave=wave,
        flux=np.where(mask, 0.0, flux),
        sigma=None if sigma is None else np.where(mask, np.inf, sigma),
        mask=mask,
        masked={why: int(bad.sum()) for why, bad in reasons.items() if bad.any()},
        resolution=None if resolution is None else _known(resolution[turn], wave, notes),
        velocity=velocity,
        velocity_error=None if velocity is None else raw.velocity_error,
        labels=labels,
        label_source=raw.label_source,
        notes=tuple(notes),
    )


def _known_labels(raw: Raw, notes: list[str]) -> dict[str, tuple[float, float | None]]:
    """Without those that the file says are not known, and those that no star has."""
    known = {name: one for name, one in raw.labels.items() if one[0] not in MISSING_LABELS}
    for name, (value, _) in known.items():
        if not is_possible(name, value):
            notes.append(f"the file's {name}, {value:g}, is no star's: left out")
    return {name: one for name, one in known.items() if is_possible(name, one[0])}


def _check_flux(raw: Raw, place: str) -> None:
    refuse_logarithms(raw.flux_unit, place)
    arrays = {"flux": raw.flux, "error": raw.sigma, **raw.bad}
    for name, values in arrays.items():
        if values is not None and values.shape != raw.wave.shape:
            raise UsageError(
                f"{place}: {name} of shape {values.shape}, but {raw.wave.shape} wavelengths"
            )
    if raw.wave.ndim != 1 or len(raw.wave) < LEAST:
        raise UsageError(f"{place}: {raw.wave.size} pixels: no spectrum has fewer than {LEAST}")


def _masks(flux: Array, sigma: Array | None) -> dict[str, Bools]:
    """Reason -> pixels that hold no datum."""
    known = (np.abs(flux) < LARGEST) & ~np.isin(flux, SENTINELS)
    found = {NOT_FINITE: ~known, FILL: _repeated(flux)}
    if sigma is not None:
        found[NO_ERROR] = ~((sigma < LARGEST) & (sigma > 0))
    return found


def _repeated(flux: Array) -> Bools:
    """Pixels in runs of at least `REPEATED` of one value.

    Where values are rounded, so that many differ by one unit of the last digit, a run that such a
    value is beside is one of data.
    """
    change = np.flatnonzero(np.diff(flux) != 0) + 1
    starts = np.concatenate([[0], change])
    lengths = np.diff(np.concatenate([starts, [len(flux)]]))
    jumps = np.abs(np.diff(flux[starts]))
    near = jumps <= 1.5 * jumps[jumps > 0].min(initial=np.inf)
    are_rounded = near.sum() > max(LEAST, ROUNDED * len(jumps))
    beside = np.zeros(len(starts), bool)
    if are_rounded:
        beside[1:] |= near
        beside[:-1] |= near
    return np.repeat((lengths >= REPEATED) & ~beside, lengths)


def with_resolution(spectrum: Spectrum, r: float) -> Spectrum:
    """With this R at all its pixels. `UsageError` where a line would be far narrower than one."""
    values = np.full(len(spectrum.wave), r)
    if _possible(spectrum.wave, values).mean() < 0.5:
        raise UsageError(f"{spectrum.place}: R = {r:g} {_why(spectrum.wave)}")
    return replace(spectrum, resolution=values)


def _possible(wave: Array, r: Array) -> Bools:
    """(L,) where R can be: no line is far narrower than a pixel."""
    step = np.abs(np.gradient(wave))
    return np.asarray((r >= LOWEST_R) & (r <= HIGHEST_R) & (r * step <= NARROWEST * wave))


def _why(wave: Array) -> str:
    step = float(np.median(np.abs(np.gradient(wave))))
    return f"cannot be: a line would be far narrower than a pixel of {step:.3g} A"


def _known(resolution: Array, wave: Array, notes: list[str]) -> Array | None:
    """R at each pixel; values that cannot be are replaced by the nearest that can."""
    stated = np.isfinite(resolution) & (resolution >= LOWEST_R) & (resolution <= HIGHEST_R)
    if not stated.any():
        notes.append("the resolution that the file states cannot be")
        return None
    good = _possible(wave, resolution)
    if good[stated].mean() < 0.5:
        notes.append(f"R = {np.median(resolution[stated]):.0f} {_why(wave)}; it is not used")
        return None
    at = np.arange(len(resolution))
    return np.asarray(np.interp(at, at[good], resolution[good]))
