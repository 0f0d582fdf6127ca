"""Make a grid file from a folder of spectra: read, convolve to resolution R, resample."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d

from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.formats.columns import (
    LONGEST_COMMENT,
    MOST_COMMENTS,
    bare_names,
    named,
    wave_columns,
)
from vitlab.ml.spectra.formats.fits import (
    comments_of,
    is_fits,
    read_bytes,
    read_units,
    real,
    text_lines,
)
from vitlab.ml.spectra.formats.scale import with_primary
from vitlab.ml.spectra.formats.units import refuse_logarithms
from vitlab.ml.spectra.formats.wavelengths import read_axis, stated_medium, told_medium
from vitlab.ml.spectra.grid import load_grid
from vitlab.ml.spectra.hdf5 import new_hdf5
from vitlab.ml.spectra.labels import LABELS, is_possible
from vitlab.ml.spectra.lines import air

Array = NDArray[np.float64]

FLUX_NAMES = ("flux", "specificintensity", "h", "f")


@dataclass(frozen=True)
class Table:
    """A spectrum as a file has it."""

    columns: list[Array]
    """Wavelength and flux come first."""
    unit: str = ""
    """Of the wavelength, as stated."""
    medium: str = ""
    """`air` or `vacuum` as stated."""


def read_columns(path: Path) -> Table:
    """The columns of a text file or FITS table, `.gz` or not."""
    data = read_bytes(path)
    if is_fits(data):
        return _fits_columns(data, path)
    return _ascii_columns(data, path)


def _ascii_columns(data: bytes, path: Path) -> Table:
    """By their names, else by position."""
    rows, heads = list[list[float]](), list[str]()
    for number, line in enumerate(text_lines(data, path), start=1):
        before, _, comment = line.lstrip("\ufeff").partition("#")
        cells = before.replace(",", " ").split()
        if not cells:
            if not rows and len(heads) < MOST_COMMENTS:
                heads.append(comment.strip("# \t")[:LONGEST_COMMENT])
            continue
        try:
            rows.append([real(cell) for cell in cells])
        except ValueError:
            if not rows and all(cell[0].isalpha() for cell in cells):
                heads.append(" ".join(cells))  # the names of the columns
                continue
            raise UsageError(f"{path}:{number}: {line.strip()[:40]!r} is not a number") from None
        if len(rows[-1]) != len(rows[0]):
            raise UsageError(f"{path}:{number}: {len(cells)} columns, not {len(rows[0])}")
    if not rows:
        raise UsageError(f"{path}: has no numbers")
    columns, medium = list(np.array(rows).T), told_medium(heads)
    bare, units = bare_names(named(heads, len(columns), FLUX_NAMES), FLUX_NAMES)
    names = [name.lower() for name in bare]
    waves = wave_columns({name.lower(): units.get(name, "") for name in bare})
    if not waves:
        return Table(columns, medium=medium)
    flux = next(n for n in FLUX_NAMES if n in names)
    found = [columns[names.index(name)] for name in (waves[0].name, flux)]
    return Table(found, waves[0].unit, waves[0].medium or medium)


def _fits_columns(data: bytes, path: Path) -> Table:
    """Wavelength and flux of the first binary table: one value per row, or one row of arrays."""
    units = read_units(data, path)
    table = next((unit for unit in units if unit.is_table), None)
    if table is None:
        raise UsageError(f"{path}: has no binary table")
    known = {c.name.lower(): c for c in table.columns if c.values.dtype.kind == "f"}
    waves = wave_columns({name: column.unit for name, column in known.items()})
    flux = next((n for n in FLUX_NAMES if n in known), "")
    if not (waves and flux):
        lacks = " or ".join(FLUX_NAMES) if waves else "of wavelengths"
        found = ", ".join(column.name for column in table.columns)
        raise UsageError(f"{path}: no column {lacks} (found: {found})")
    wave = waves[0]
    refuse_logarithms(known[flux].unit, str(path))
    headers = with_primary(units, table)
    headers = {name: text for name, text in headers.items() if not name.startswith("CTYPE")}
    medium = wave.medium or stated_medium(headers) or told_medium(comments_of(data))
    values = [known[name].values.ravel() for name in (wave.name, flux)]
    return Table(values, wave.unit, medium)


NAME = re.compile(
    r"_t(?P<T_eff>\d+(?:\.\d+)?)_g(?P<log_g>[+-]?\d+(?:\.\d+)?)_m(?P<M_H>[+-]?\d+(?:\.\d+)?)"
    r"(?:_a(?P<a_M>[+-]?\d+(?:\.\d+)?))?(?:_c(?P<C_M>[+-]?\d+(?:\.\d+)?))?"
    r"(?:_v[\d.]+)?(?:_r(?P<R>\d+|orig))?"
)
"""As in BOSZ 2024: `bosz2024_mp_t5000_g+4.5_m+0.00_a+0.00_c+0.00_v2_r50000_resam.txt.gz`; any name
with `_t..._g..._m...` is accepted."""
SIGMA = 1 / (2 * np.sqrt(2 * np.log(2)))
"""Sigma of a Gaussian with FWHM 1."""
NOTES = "notes"
"""Attribute of a grid file: how the folder's wavelengths were read, one line each."""
MOST_STEPS = 20_000_000
"""Even steps of a spectrum that is convolved."""
MARGIN = 4.0
"""Sigmas of the line spread function by which spectra must extend beyond the pixels."""


@dataclass(frozen=True)
class Source:
    """One spectrum of the folder."""

    path: Path
    labels: tuple[float, ...]
    resolution: float
    """R = wavelength / FWHM from the file name; infinite if not given."""


def find_sources(folder: Path) -> tuple[tuple[NDArray[np.float64], ...], list[Source]]:
    """The axes and spectra of a complete rectilinear grid, in the order of its nodes.

    Spectra with non-zero [alpha/M] or [C/M] are ignored. Raises `UsageError`.
    """
    sources: dict[tuple[float, ...], Source] = {}
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder")
    for path in sorted(folder.rglob("*")):
        match = NAME.search(path.name)
        if match is None or not path.is_file() or path.name.startswith("."):
            continue
        if float(match["a_M"] or 0) or float(match["C_M"] or 0):
            continue
        labels = tuple(float(match[name]) for name in LABELS)
        for name, value in zip(LABELS, labels, strict=True):
            if not is_possible(name, value):
                raise UsageError(f"{path}: no star has {name} {value:g} (in K or dex)")
        if labels in sources:
            raise UsageError(f"{path}: the same labels as {sources[labels].path.name}")
        known = match["R"] not in (None, "orig")
        sources[labels] = Source(path, labels, float(match["R"]) if known else np.inf)
    if not sources:
        raise UsageError(f"{folder}: no files with names like ..._t5000_g+4.5_m+0.00_...")
    axes = tuple(np.unique([labels[k] for labels in sources]) for k in range(len(LABELS)))
    for name, axis in zip(LABELS, axes, strict=True):
        if len(axis) < 4:
            raise UsageError(f"{folder}: {len(axis)} values of {name}; a cubic spline needs 4")
    number = math.prod(map(len, axes))  # far more than files, where each has labels of its own
    nodes = (tuple(map(float, node)) for node in product(*axes))
    if missing := number - len(sources):
        first = next(node for node in nodes if node not in sources)
        named = ", ".join(f"{n} {x:g}" for n, x in zip(LABELS, first, strict=True))
        raise UsageError(f"{folder}: {missing} of {number} nodes have no spectrum, first: {named}")
    return axes, [sources[node] for node in nodes]


def import_grid(folder: Path, out: Path, resolution: float, vacuum: bool) -> Iterator[int]:
    """Write the grid file `out`; yields the number of spectra done.

    `vacuum`: the folder's wavelengths are in vacuum, also where no header says so; the grid's are
    in air.
    """
    if out.exists():
        raise UsageError(f"{out}: already exists; nothing was written")
    axes, sources = find_sources(folder)
    pixels = load_grid().wave
    told: dict[str, None] = {}
    spectra = np.empty((len(sources), len(pixels)), dtype=np.float32)
    scale = np.empty(len(sources), dtype=np.float32)
    for k, source in enumerate(sources):
        wave, flux, medium, notes = _spectrum(source)
        told |= dict.fromkeys(notes)
        if vacuum and medium == "air":
            raise UsageError(f"{source.path}: its header says air, but --vacuum was given")
        if vacuum or medium == "vacuum":
            told |= {"wavelengths moved from vacuum to air": None}
            wave = air(wave)
        resampled = convolved(wave, flux, pixels, resolution, source)
        scale[k] = np.median(resampled)
        if not scale[k] > 0:
            raise UsageError(f"{source.path}: the median flux is {scale[k]:g}")
        if not vacuum and not medium:
            told |= {"wavelengths taken as in air: the files do not say": None}
        spectra[k] = resampled / scale[k]
        yield k + 1
    shape = tuple(map(len, axes))
    with new_hdf5(out) as file:
        file["wave"] = pixels
        for name, axis in zip(LABELS, axes, strict=True):
            file[f"axes/{name}"] = axis
        cube = spectra.reshape(*shape, -1)
        file.create_dataset("flux", data=cube, compression="gzip", shuffle=True)
        file["flux_scale"] = scale.reshape(shape)
        file.attrs["resolution"] = resolution
        file.attrs["source"] = folder.name
        file.attrs["wavelengths"] = "air, Angstrom"
        file.attrs[NOTES] = "\n".join(told)


def convolved(
    wave: Array, flux: Array, pixels: Array, resolution: float, source: Source
) -> NDArray[np.float64]:
    """`flux` at the centres of `pixels`, convolved to R = `resolution` (Gaussian in ln wave)."""
    lost = 1 / resolution**2 - 1 / source.resolution**2
    if lost < 0:
        raise UsageError(f"{source.path}: R = {source.resolution:g} is below {resolution:g}")
    sigma = SIGMA * np.sqrt(lost)
    low, high = pixels[0] * np.exp(-MARGIN * sigma), pixels[-1] * np.exp(MARGIN * sigma)
    if not (wave[0] <= low and wave[-1] >= high):
        raise UsageError(
            f"{source.path}: covers {wave[0]:.1f} to {wave[-1]:.1f} A, "
            f"but {low:.1f} to {high:.1f} A are needed"
        )
    # An extra margin, so that the spline's ends are outside.
    inside = (wave >= low * 0.999) & (wave <= high * 1.001)
    wave, flux = wave[inside], flux[inside]
    step = min(float(np.diff(np.log(wave)).min()), sigma / 4 if sigma else np.inf)
    if (number := np.log(wave[-1] / wave[0]) / step) > MOST_STEPS:
        raise UsageError(f"{source.path}: {number:.3g} steps, as two wavelengths are nearly equal")
    even = np.arange(np.log(wave[0]), np.log(wave[-1]), step)
    values = CubicSpline(np.log(wave), flux)(even)
    if sigma:
        values = gaussian_filter1d(values, sigma / step, truncate=6, mode="nearest")
    resampled: NDArray[np.float64] = CubicSpline(even, values)(np.log(pixels))
    return resampled


def _spectrum(source: Source) -> tuple[Array, Array, str, tuple[str, ...]]:
    """Wavelength (Angstrom, ascending), flux, stated medium, and how the wavelengths were read.

    Resampled BOSZ spectra have wavelengths in a separate file.
    """
    table = read_columns(source.path)
    columns = table.columns
    medium = table.medium
    if (wave_file := _wave_file(source)) is not None:
        waves = read_columns(wave_file)
        columns, medium = [waves.columns[0], columns[0]], medium or waves.medium
    if len(columns) < 2:
        raise UsageError(f"{source.path}: only one column, and no ..._wave_r....txt beside it")
    wave, flux = columns[:2]
    if len(wave) != len(flux):
        raise UsageError(f"{source.path}: {len(flux)} fluxes, but {len(wave)} wavelengths")
    axis = read_axis(wave, {"unit": table.unit}, str(source.path))
    if axis.reversed:
        flux = flux[::-1]
    if bad := int((~np.isfinite(flux)).sum()):
        raise UsageError(f"{source.path}: {bad} of {len(flux)} fluxes are not finite")
    return axis.wave, flux, medium, axis.notes


def _wave_file(source: Source) -> Path | None:
    if not np.isfinite(source.resolution):
        return None
    for folder in (source.path.parent, *source.path.parents[1:3]):
        files = sorted(folder.glob(f"*_wave_r{source.resolution:g}.txt*"))
        if files:
            return files[0]
    return None
