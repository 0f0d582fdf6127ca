"""Make a grid file from a folder of spectra: read, convolve to resolution R, resample."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d

from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.grid import load_grid
from vitlab.ml.spectra.labels import LABELS
from vitlab.ml.spectra.lines import air

Array = NDArray[np.float64]

BLOCK = 2880
"""Bytes of a FITS block; a header consists of cards of 80 bytes."""
FITS_TYPES = {"D": ">f8", "E": ">f4", "J": ">i4", "I": ">i2", "K": ">i8", "B": "u1", "L": "u1"}
WAVE_NAMES = ("wave", "wavelength", "lambda", "lam")
FLUX_NAMES = ("flux", "specificintensity", "h", "f")


def read_columns(path: Path) -> list[Array]:
    """The columns of a text file or FITS table, `.gz` or not; wavelength and flux come first."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError) as error:
        raise UsageError(f"{path}: cannot be read ({error})") from None
    if data.startswith(b"SIMPLE  ="):
        return _fits_columns(data, path)
    return _ascii_columns(data, path)


def _ascii_columns(data: bytes, path: Path) -> list[Array]:
    rows = []
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), start=1):
        cells = line.split("#")[0].replace(",", " ").split()
        if not cells:
            continue
        try:
            rows.append([float(cell) for cell in cells])
        except ValueError:
            raise UsageError(f"{path}:{number}: {line.strip()[:40]!r} is not a number") from None
        if len(rows[-1]) != len(rows[0]):
            raise UsageError(f"{path}:{number}: {len(cells)} columns, not {len(rows[0])}")
    if not rows:
        raise UsageError(f"{path}: has no numbers")
    return list(np.array(rows).T)


def _fits_columns(data: bytes, path: Path) -> list[Array]:
    """Wavelength and flux of the first binary table: one value per row, or one row of arrays.

    Only big-endian rows of fixed fields, so no FITS library is needed.
    """
    place = 0
    while place < len(data):
        header, place = _fits_header(data, place, path)
        sizes = [int(header[f"NAXIS{i + 1}"]) for i in range(int(header.get("NAXIS", 0)))]
        size = abs(int(header.get("BITPIX", 8))) // 8 * int(np.prod(sizes)) if sizes else 0
        if header.get("XTENSION") == "BINTABLE":
            table = data[place : place + size]
            if len(table) < size:
                raise UsageError(f"{path}: the table is truncated")
            return _table_columns(header, table, path)
        place += -(-(size + int(header.get("PCOUNT", 0))) // BLOCK) * BLOCK
    raise UsageError(f"{path}: has no binary table")


def _fits_header(data: bytes, place: int, path: Path) -> tuple[dict[str, str], int]:
    cards: dict[str, str] = {}
    for at in range(place, len(data) - 79, 80):
        card = data[at : at + 80].decode("ascii", "replace")
        if card.startswith("END "):
            return cards, at + BLOCK - (at - place) % BLOCK
        if card[8:10] == "= ":
            text = re.match(r"\s*'([^']*)'|([^/]*)", card[10:])
            assert text is not None  # the second half matches anything
            cards[card[:8].strip()] = (text[1] if text[1] is not None else text[2]).strip()
    raise UsageError(f"{path}: a FITS header has no end")


def _form(text: str) -> tuple[int, str]:
    """`5D` -> 5, `D`: repeat count and type of a table field."""
    digits = re.match(r"\d*", text)
    count = digits[0] if digits else ""
    return int(count or 1), text[len(count) : len(count) + 1]


def _table_columns(header: dict[str, str], table: bytes, path: Path) -> list[Array]:
    fields: list[Any] = []
    for i in range(1, int(header["TFIELDS"]) + 1):
        count, letter = _form(header[f"TFORM{i}"])
        name = header.get(f"TTYPE{i}", f"column {i}").lower()
        if letter in FITS_TYPES:
            fields.append((name, FITS_TYPES[letter], (count,)))
        elif letter == "A":
            fields.append((f"{i} {name}", f"S{count}"))
        else:
            raise UsageError(f"{path}: column {name}: type {header[f'TFORM{i}']} not supported")
    rows = np.frombuffer(table, dtype=fields)
    columns = []
    for names in (WAVE_NAMES, FLUX_NAMES):
        column = next((n for n in names if n in (rows.dtype.names or ())), None)
        if column is None:
            known = ", ".join(rows.dtype.names or ())
            raise UsageError(f"{path}: no column {' or '.join(names)} (found: {known})")
        columns.append(rows[column].ravel().astype(np.float64))
    return columns


NAME = re.compile(
    r"_t(?P<T_eff>\d+(?:\.\d+)?)_g(?P<log_g>[+-]?\d+(?:\.\d+)?)_m(?P<M_H>[+-]?\d+(?:\.\d+)?)"
    r"(?:_a(?P<a_M>[+-]?\d+(?:\.\d+)?))?(?:_c(?P<C_M>[+-]?\d+(?:\.\d+)?))?"
    r"(?:_v[\d.]+)?(?:_r(?P<R>\d+|orig))?"
)
"""As in BOSZ 2024: `bosz2024_mp_t5000_g+4.5_m+0.00_a+0.00_c+0.00_v2_r50000_resam.txt.gz`; any name
with `_t..._g..._m...` is accepted."""
SIGMA = 1 / (2 * np.sqrt(2 * np.log(2)))
"""Sigma of a Gaussian with FWHM 1."""
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
        if match is None or not path.is_file():
            continue
        if float(match["a_M"] or 0) or float(match["C_M"] or 0):
            continue
        labels = tuple(float(match[name]) for name in LABELS)
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
    nodes = [tuple(map(float, node)) for node in product(*axes)]
    missing = [node for node in nodes if node not in sources]
    if missing:
        named = ", ".join(f"{n} {x:g}" for n, x in zip(LABELS, missing[0], strict=True))
        raise UsageError(
            f"{folder}: {len(missing)} of {len(nodes)} nodes have no spectrum, first: {named}"
        )
    return axes, [sources[node] for node in nodes]


def import_grid(folder: Path, out: Path, resolution: float, vacuum: bool) -> Iterator[int]:
    """Write the grid file `out`; yields the number of spectra done.

    `vacuum`: the folder's wavelengths are in vacuum; the grid's are in air.
    """
    if out.exists():
        raise UsageError(f"{out}: already exists; nothing was written")
    axes, sources = find_sources(folder)
    pixels = load_grid().wave
    spectra = np.empty((len(sources), len(pixels)), dtype=np.float32)
    scale = np.empty(len(sources), dtype=np.float32)
    for k, source in enumerate(sources):
        wave, flux = _spectrum(source)
        if vacuum:
            wave = air(wave)
        resampled = convolved(wave, flux, pixels, resolution, source)
        scale[k] = np.median(resampled)
        if not scale[k] > 0:
            raise UsageError(f"{source.path}: the median flux is {scale[k]:g}")
        spectra[k] = resampled / scale[k]
        yield k + 1
    shape = tuple(map(len, axes))
    with h5py.File(out, "w") as file:
        file["wave"] = pixels
        for name, axis in zip(LABELS, axes, strict=True):
            file[f"axes/{name}"] = axis
        cube = spectra.reshape(*shape, -1)
        file.create_dataset("flux", data=cube, compression="gzip", shuffle=True)
        file["flux_scale"] = scale.reshape(shape)
        file.attrs["resolution"] = resolution
        file.attrs["source"] = folder.name
        file.attrs["wavelengths"] = "air, Angstrom"


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
    even = np.arange(np.log(wave[0]), np.log(wave[-1]), step)
    values = CubicSpline(np.log(wave), flux)(even)
    if sigma:
        values = gaussian_filter1d(values, sigma / step, truncate=6, mode="nearest")
    resampled: NDArray[np.float64] = CubicSpline(even, values)(np.log(pixels))
    return resampled


def _spectrum(source: Source) -> tuple[Array, Array]:
    """Wavelength and flux; resampled BOSZ spectra have wavelengths in a separate file."""
    columns = read_columns(source.path)
    wave_file = _wave_file(source)
    if wave_file is not None:
        columns = [read_columns(wave_file)[0], columns[0]]
    if len(columns) < 2:
        raise UsageError(f"{source.path}: only one column, and no ..._wave_r....txt beside it")
    wave, flux = columns[:2]
    if len(wave) != len(flux):
        raise UsageError(f"{source.path}: {len(flux)} fluxes, but {len(wave)} wavelengths")
    if not (np.isfinite(flux).all() and (np.diff(wave) > 0).all()):
        raise UsageError(f"{source.path}: wavelengths not ascending, or a flux is not finite")
    return wave, flux


def _wave_file(source: Source) -> Path | None:
    if not np.isfinite(source.resolution):
        return None
    for folder in (source.path.parent, *source.path.parents[1:3]):
        files = sorted(folder.glob(f"*_wave_r{source.resolution:g}.txt*"))
        if files:
            return files[0]
    return None
