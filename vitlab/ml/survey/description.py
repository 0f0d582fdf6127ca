"""What a file of observed spectra holds, in words and numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

from vitlab.contract.value import measured
from vitlab.ml.survey.read import read_spectra
from vitlab.ml.survey.spectrum import Spectrum

SHOWN = 8
"""Spectra of a file that are described in lines; JSON has all."""
NO_STAR = {
    "galaxy": "a galaxy, no star",
    "quasar": "a quasar, no star",
    "white dwarf": "a white dwarf: no model here has one",
    "sky": "the sky, no star",
    "empty": "empty: no pixel has a flux",
}
"""Kind -> what a person should know."""


class Described(TypedDict):
    """One spectrum of a file."""

    where: str
    survey: str
    object: str
    kind: str
    pixels: int
    wave: list[float]
    """Minimum and maximum, Angstrom in air."""
    resolution: list[float]
    """Minimum, median and maximum R; empty when not known."""
    snr: float | None
    velocity: float | None
    """km/s, as the file says."""
    velocity_error: float | None
    labels: dict[str, list[float | None]]
    """Label -> value and error."""
    label_source: str
    masked: dict[str, int]
    """Reason -> pixels."""
    notes: list[str]


def describe_spectra(path: Path) -> list[Described]:
    """All spectra of a file. `UsageError` where there is none."""
    return [_described(spectrum) for spectrum in read_spectra(path)]


def _described(one: Spectrum) -> Described:
    r, middle = one.resolution, one.resolution_between(one.wave[0], one.wave[-1])
    ends = [] if r is None or middle is None else [float(r.min()), middle, float(r.max())]
    return {
        "where": one.where,
        "survey": one.survey,
        "object": one.object,
        "kind": one.kind,
        "pixels": len(one.wave),
        "wave": [float(one.wave[0]), float(one.wave[-1])],
        "resolution": ends,
        "snr": one.snr,
        "velocity": one.velocity,
        "velocity_error": one.velocity_error,
        "labels": {name: list(pair) for name, pair in one.labels.items()},
        "label_source": one.label_source if one.labels else "",
        "masked": dict(one.masked),
        "notes": list(one.notes),
    }


def lines(spectra: list[Described]) -> Iterator[str]:
    """What a person should know, one line each."""
    for one in spectra[:SHOWN]:
        kind = NO_STAR.get(one["kind"], "a star")
        what = "what it is, is not stated" if one["kind"] == "not stated" else kind
        where = f" ({one['where']})" if one["where"] else ""
        yield f"{one['survey']}{where}: {one['object'] + ': ' if one['object'] else ''}{what}"
        yield f"  {_size(one)}"
        if one["labels"]:
            labels = ", ".join(
                f"{n} {measured(v, e)}" for n, (v, e) in one["labels"].items() if v is not None
            )
            yield f"  labels: {labels} ({one['label_source']})"
        if one["masked"]:
            yield "  masked: " + ", ".join(f"{n:,} {why}" for why, n in one["masked"].items())
        yield from (f"  {note}" for note in one["notes"])
    if (more := len(spectra) - SHOWN) > 0:
        kinds = sorted({one["kind"] for one in spectra[SHOWN:]})
        yield f"and {more:,} more spectra: {', '.join(kinds)}"


def _size(one: Described) -> str:
    low, high = one["wave"]
    parts = [f"{one['pixels']:,} pixels, {low:.1f} to {high:.1f} A in air"]
    if ends := one["resolution"]:
        same = ends[2] - ends[0] < 1
        whole = f"median R {ends[1]:.0f} ({ends[0]:.0f} to {ends[2]:.0f})"
        parts.append(f"R {ends[1]:.0f}" if same else whole)
    else:
        parts.append("R not known")
    if one["velocity"] is not None:
        parts.append(f"velocity {measured(one['velocity'], one['velocity_error'])} km/s")
    parts.append("no errors" if one["snr"] is None else f"median S/N {one['snr']:.1f}")
    return ", ".join(parts)
