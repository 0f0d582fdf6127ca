"""What readers of FITS files share: headers as values, tables by name, arms joined."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.formats.fits import Unit, real
from vitlab.ml.spectra.labels import NULLS
from vitlab.ml.survey.spectrum import Array, Bools

FWHM = 2 * math.sqrt(2 * math.log(2))
"""FWHM of a Gaussian with sigma 1."""
MOST_SPECTRA = 20_000
"""Of a file."""


def number(header: Mapping[str, str], name: str) -> float | None:
    """A card as a number; None where it is missing, not a number, or a null."""
    try:
        value = real(header.get(name, ""))
    except ValueError:
        return None
    return value if math.isfinite(value) and value not in NULLS else None


def by_name(units: Sequence[Unit]) -> dict[str, Unit]:
    """Upper-case EXTNAME -> unit; the first of a name."""
    found: dict[str, Unit] = {}
    for unit in units:
        found.setdefault(unit.name.upper(), unit)
    return found


def hdu(units: Sequence[Unit], unit: Unit) -> str:
    """`HDU 3`."""
    return f"HDU {next(k for k, one in enumerate(units) if one is unit)}"


def cells(unit: Unit) -> dict[str, NDArray[Any]]:
    """Lower-case column name -> values; of a table with one row of arrays the arrays."""
    found: dict[str, NDArray[Any]] = {}
    for column in unit.columns:
        values = column.values
        found.setdefault(column.name.lower(), values[0] if _is_array(values) else values)
    return found


def _is_array(values: NDArray[Any]) -> bool:
    return values.ndim == 2 and len(values) == 1


def units_of(unit: Unit) -> dict[str, str]:
    """Lower-case column name -> its unit as written."""
    return {column.name.lower(): column.unit for column in unit.columns}


def floats(values: NDArray[Any], name: str, place: str) -> Array:
    """The values as numbers; `UsageError` for a column of text."""
    if values.dtype.kind not in "fiub":
        raise UsageError(f"{place}: {name} is not a column of numbers")
    return values.astype(np.float64)


def bits(values: NDArray[Any]) -> NDArray[np.int64]:
    """Flags, read as numbers, as integers; what is not finite has every flag."""
    known = np.nan_to_num(values.astype(np.float64), nan=-1.0, posinf=-1.0, neginf=-1.0)
    return np.clip(known, -(2.0**62), 2.0**62).astype(np.int64)


def has_bits(values: NDArray[Any], names: Sequence[int]) -> Bools:
    """Pixels with one of the bits `names`."""
    wanted = sum(1 << one for one in names)
    return np.asarray((bits(values) & wanted) != 0)


def marked(values: NDArray[Any], name: str, place: str, *, good: bool = False) -> Bools:
    """Pixels that a mask of numbers, logicals or bits marks: all but 0, and what it lacks.

    `good`: it marks those that are not bad. `UsageError` for another kind.
    """
    numbers = floats(values, f"the mask {name}", place)
    flags = ~(numbers > 0) if good else numbers != 0
    return flags if flags.ndim == 1 else np.asarray(flags.any(axis=-1))


def text(table: Mapping[str, NDArray[Any]], name: str, row: int = 0) -> str:
    """A cell of text; empty where it is missing."""
    values = table.get(name)
    if values is None or row >= len(values) or values.dtype.kind != "S":
        return ""
    return bytes(values[row]).decode("utf-8", "replace").strip(" \0")


def value(table: Mapping[str, NDArray[Any]], name: str, row: int = 0) -> float | None:
    """A cell as a number; None where it is missing or a null."""
    values = table.get(name)
    if values is None or values.dtype.kind != "f" or values.ndim != 1 or row >= len(values):
        return None
    one = float(values[row])
    return one if math.isfinite(one) and one not in NULLS else None


def sigma_of_ivar(ivar: Array) -> Array:
    """1-sigma errors from inverse variances; infinite where these are not above 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(ivar > 0, 1 / np.sqrt(ivar), np.inf)


def sigma_of_variance(variance: Array) -> Array:
    """1-sigma errors from variances; 0 where these are below 0, which `finish` masks."""
    with np.errstate(invalid="ignore"):
        return np.sqrt(np.where(variance > 0, variance, 0.0))


@dataclass(frozen=True)
class Arm:
    """A stretch of a spectrum: an arm of a spectrograph or an order."""

    wave: Array
    """In the file's unit, ascending."""
    flux: Array
    sigma: Array | None
    bad: Bools
    resolution: Array | None = None


def join(arms: Sequence[Arm], place: str, scaled: bool = False) -> tuple[Arm, list[str]]:
    """One spectrum of arms that overlap, cut in the middle of each overlap.

    `scaled`: each is multiplied so that its median in the overlap is that of the one before:
    orders have no common scale.
    """
    notes: list[str] = []
    rest = sorted(arms, key=lambda arm: float(arm.wave[0]))
    parts = [rest[0]]
    factor = 1.0
    for arm in rest[1:]:
        before = parts[-1]
        low, high = float(arm.wave[0]), float(before.wave[-1])
        if not high < arm.wave[-1]:
            continue
        middle = (low + high) / 2
        if high >= low and scaled:
            factor = _factor(before, arm)
        if high >= low:
            parts[-1] = _cut(before, before.wave < middle)
            arm = _cut(arm, arm.wave >= middle)
        parts.append(_times(arm, factor) if scaled else arm)
    if any(not len(part.wave) for part in parts):
        raise UsageError(f"{place}: arms that overlap in more than a half")
    if scaled and len(parts) > 1:
        notes.append(f"{len(parts)} orders joined, scaled to each other where they overlap")
    elif len(parts) > 1:
        notes.append(f"{len(parts)} arms joined, cut in the middle of their overlaps")
    both = all(part.sigma is not None for part in parts)
    widths = all(part.resolution is not None for part in parts)
    return Arm(
        np.concatenate([part.wave for part in parts]),
        np.concatenate([part.flux for part in parts]),
        np.concatenate([p.sigma for p in parts if p.sigma is not None]) if both else None,
        np.concatenate([part.bad for part in parts]),
        np.concatenate([p.resolution for p in parts if p.resolution is not None])
        if widths
        else None,
    ), notes


def _cut(arm: Arm, keep: Bools) -> Arm:
    return Arm(
        arm.wave[keep],
        arm.flux[keep],
        None if arm.sigma is None else arm.sigma[keep],
        arm.bad[keep],
        None if arm.resolution is None else arm.resolution[keep],
    )


def _times(arm: Arm, factor: float) -> Arm:
    sigma = None if arm.sigma is None else arm.sigma * abs(factor)
    return Arm(arm.wave, arm.flux * factor, sigma, arm.bad, arm.resolution)


def _factor(before: Arm, arm: Arm) -> float:
    """By which `arm` is multiplied to continue `before`; 1 where that cannot be told."""
    low, high = arm.wave[0], before.wave[-1]
    left = before.flux[(before.wave >= low) & ~before.bad]
    right = arm.flux[(arm.wave <= high) & ~arm.bad]
    if len(left) < 10 or len(right) < 10:
        return 1.0
    above, below = float(np.median(left)), float(np.median(right))
    ratio = above / below if below else 0.0
    return ratio if 0.1 < ratio < 10 else 1.0
