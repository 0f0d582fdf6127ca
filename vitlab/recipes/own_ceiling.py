"""The Bayes ceiling of a file's own stars: computed once, kept with its world and settings."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from vitlab.contract.paths import UsageError, write_atomic
from vitlab.contract.user_key import own_record, sealed
from vitlab.contract.world import FLUX_AND_ERROR, World
from vitlab.ml.spectra.grid import Grid, load_grid
from vitlab.ml.spectra.held_out import in_vacuum
from vitlab.ml.spectra.labels import LABELS
from vitlab.ml.spectra.lines import TELLURIC, lines_between
from vitlab.ml.theory.own_file import (
    OwnFile,
    Wanted,
    open_own,
    parts,
    pull2,
    unsettled,
    variance_of,
)
from vitlab.ml.theory.own_stars import marginals
from vitlab.ml.theory.windows import information, windows
from vitlab.recipes.scores import file_hash

METHOD = 1
"""Part of the cache's key; increase it when the integration changes."""
Edges = float | list[tuple[float, float]]
"""The width of windows, Angstrom, or each of them."""


def own_ceiling(
    path: Path,
    wanted: Wanted,
    edges: Edges | None,
    label: str,
    cache: Path | None,
    report: Callable[[int, int], object] = lambda _done, _of: None,
) -> dict[str, Any]:
    """What `vitlab ceiling --data` tells; posteriors are kept in the folder `cache`.

    `report` gets the stars that are done and how many there are. `windows` are of `label`.
    `UsageError` says in one line why there is no ceiling.
    """
    grid = load_grid()
    own = open_own(path, grid, wanted)
    world = _world(own, wanted)
    kept = cache / f"file-{_hash(own, grid, wanted)}.json" if cache else None
    record = own_record(kept) if kept else {}
    if not record:
        record = _integrated(own, wanted, world, report)
        if kept:
            # Only a cache: a lab may be read-only, a disk full.
            with contextlib.suppress(OSError, UsageError):
                kept.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(kept, json.dumps(sealed(record, kept)).encode())
    told = {"file": str(path), **record, "notes": [*own.notes, *_doubts(record)]}
    if edges is None:
        return told
    moved = in_vacuum(own.spectra, grid)
    return {**told, "windows": _windows(own, edges, label), "lines": _lines(own, in_vacuum=moved)}


def _integrated(
    own: OwnFile, wanted: Wanted, world: World | None, report: Callable[[int, int], object]
) -> dict[str, Any]:
    n = len(own.chosen)
    found = marginals(own.problem, own.observed, wanted.seed, lambda done: report(done, n))
    shown = [asdict(part) for part in parts(own, found)]
    best = shown[0]["labels"]
    return {
        "world": world.record() if world else None,
        "n": len(found),
        "r2": {x: [y["r2"], y["r2_err"]] for x, y in best.items() if y["r2"] is not None},
        "noise": own.noise,
        "nuisances": asdict(own.problem.nuisances),
        "masked": wanted.masked,
        "parts": shown,
        "pull2": {name: pull2(own, found, name) for name in LABELS},
        "unsettled": unsettled(found),
    }


def _world(own: OwnFile, wanted: Wanted) -> World | None:
    """Whose ceiling it is; None where it is not that of the file's spectra as models see them."""
    asked = wanted.nuisances
    if not own.is_grid or asked.ranges or asked.continuum >= 0 or wanted.masked:
        return None
    if wanted.density != "auto":
        return None
    # The errors are taken as known: what is shown the flux alone knows no more.
    return World("", "", None, own.noise, FLUX_AND_ERROR, file_hash(own.spectra.files))


def _hash(own: OwnFile, grid: Grid, wanted: Wanted) -> str:
    """Hash of everything the result depends on."""
    digest = hashlib.sha256(json.dumps([METHOD, asdict(wanted), own.notes]).encode())
    for array in (grid.nodes, own.observed.flux, own.observed.weight):
        digest.update(array.numpy().tobytes())
    for numbers in (own.labels, own.mag, own.snr, own.chosen):
        digest.update(np.ascontiguousarray(numbers).tobytes())
    digest.update(file_hash(own.spectra.files).encode())
    return digest.hexdigest()[:16]


def _doubts(record: dict[str, Any]) -> list[str]:
    """What makes the numbers less sure, a line each."""
    lines = []
    if record["unsettled"]:
        lines.append(f"{record['unsettled']} of {record['n']} posteriors not settled")
    for label, (pull, error) in record["pull2"].items():
        if abs(pull - 1) > 4 * error and error:
            lines.append(
                f"{label}: mean squared pull {pull:.2f} ± {error:.2f}, not 1: the true labels are "
                "not distributed as the posteriors say"
            )
    return lines


def _lines(own: OwnFile, *, in_vacuum: bool) -> list[dict[str, str | float]]:
    """The stellar lines in the file's range, the strongest first, at the file's wavelengths."""
    wave = own.spectra.wave
    found = lines_between(float(wave[0]), float(wave[-1]), in_vacuum=in_vacuum)
    kept = [one for one in found if not one.is_band and one.weight < TELLURIC]
    return [{"name": one.name, "wave": one.wave} for one in sorted(kept, key=lambda x: x.weight)]


def _windows(own: OwnFile, edges: Edges, label: str) -> list[dict[str, float | None]]:
    wave = np.asarray(own.spectra.wave)
    if isinstance(edges, float):
        # The last pixel is in the last window.
        count = max(math.ceil((wave[-1] - wave[0]) / edges), 1)
        ranges = [(float(wave[0]) + k * edges, float(wave[0]) + (k + 1) * edges)
                  for k in range(count)]  # fmt: skip
        ranges[-1] = ranges[-1][0], max(ranges[-1][1], float(np.nextafter(wave[-1], np.inf)))
    else:
        ranges = edges
    for low, high in ranges:
        if not ((wave >= low) & (wave < high)).any():
            raise UsageError(f"--windows {low:g}:{high:g}: no pixel (of {wave[0]:.1f} to "
                             f"{wave[-1]:.1f} A)")  # fmt: skip
    k = LABELS.index(label)
    variance = variance_of(own.labels[:, k])
    if not variance:
        raise UsageError(f"--windows: {label} is the same for all stars")
    axis = own.problem.forward.grids[0].axes[k]
    found = information(own.problem, own.observed, ranges, wave, np.cov(own.labels.T))
    told = windows(found, ranges, label, variance, float(axis[-1] - axis[0]))
    return [
        {name: x if math.isfinite(x) else None for name, x in asdict(one).items()} for one in told
    ]
