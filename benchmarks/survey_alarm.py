"""How often `vitlab predict` calls spectra unlike the grid's that are, and that are not.

OMP_NUM_THREADS=1 nice -n 10 python benchmarks/survey_alarm.py [--job FOLDER] [--stars 200]
    [--faulty 50] [FAULT...]

Stars of the grid on its pixels at S/N 10 to 100, as they are and with a fault each: of another
survey's make (R, coverage, continuum and noise that are not as stated), or with its pixels taken
for the model's; reversed wavelengths; a scale that is 1 % too long; another resolution than is
stated; a flat spectrum; one with broad emission lines. `--job`: the folder of a network's job,
whose features are looked at too. Prints the share that raises the alarm with the 95 % interval of
Clopper & Pearson, and the area under the curve (AUC) of the largest of its statistics over their
limits, plus 1 for each fault that the lines show.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binomtest

from vitlab.contract.paths import JobPaths, UsageError
from vitlab.lab.inspector.model import NetworkModel
from vitlab.lab.inspector.observed import Observer, open_observer
from vitlab.lab.inspector.shown import shown
from vitlab.lab.inspector.unfamiliar import unfamiliar
from vitlab.ml.spectra.disturb.light import make_optics
from vitlab.ml.spectra.grid import Grid, load_grid
from vitlab.ml.spectra.labels import LABELS, RANGES
from vitlab.ml.survey import Spectrum
from vitlab.ml.survey.comparison import (
    Match,
    Reference,
    even_pixels,
    find_velocity,
    match,
    with_continuum,
)
from vitlab.ml.survey.faults import find_faults
from vitlab.ml.survey.pixels import on_pixels
from vitlab.ml.survey.spectrum import LIGHT

Array = NDArray[np.float64]
LOW = 1800.0
FAULTS = ("none", "another survey", "its pixels as ours", "reversed", "stretched",
          "R 1800 as 5000", "R 5000 as 1800", "flat", "emission")  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, compare and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--job", type=Path)
    parser.add_argument("--stars", type=int, default=200)
    parser.add_argument("--faulty", type=int, default=50)
    parser.add_argument("faults", nargs="*", metavar="FAULT")
    args = parser.parse_args(arguments)
    grid = load_grid()
    observer = open_observer(JobPaths(args.job)) if args.job else None
    reference = Reference(grid) if observer is None else observer.reference
    usual = np.zeros(0)
    for fault in ("none", *(args.faults or FAULTS[1:])):
        random, stars = np.random.default_rng(1), args.faulty if fault != "none" else args.stars
        spectra = [faulty(grid, fault, random) for _ in range(stars)]
        scores = [score(one, reference, k, observer) for k, one in enumerate(spectra)]
        values = np.array([value for value, _ in scores])
        raised = sum(one for _, one in scores)
        usual = values if fault == "none" else usual
        auc = (values[:, None] > usual[None]).mean() + (values[:, None] == usual[None]).mean() / 2
        low, high = binomtest(raised, stars).proportion_ci()
        share = f"{raised} of {stars} ({low:.1%} to {high:.1%})"
        print(f"| {fault} | {share} | {auc:.3f} |", flush=True)


def score(
    spectrum: Spectrum, reference: Reference, seed: int, observer: Observer | None
) -> tuple[float, bool]:
    """How unlike a spectrum is (the largest of the ratios to their limits), and the alarm."""
    grid = reference.grid
    try:
        even = on_pixels(spectrum, even_pixels(grid), 0.0, 0.0, 5000)
        found = find_velocity(even, reference)
        faults = find_faults(even, reference, found)
        velocity = found.velocity if found.visible else 0.0
        near = match(on_pixels(spectrum, grid.wave, velocity, 0.0, 5000), reference, seed)
        strange = features(spectrum, velocity, near, observer)
    except UsageError:
        return np.inf, True
    unlike = max(near.unlikeness, strange)
    return unlike + len(faults), bool(near.why or faults or strange > 1)


def features(spectrum: Spectrum, velocity: float, near: Match, observer: Observer | None) -> float:
    """The distance of a network's features over its limit; 0 without a network."""
    if observer is None or not isinstance(observer.model, NetworkModel):
        return 0.0
    wave, reference = observer.wave, observer.reference
    ours = on_pixels(spectrum, wave, velocity, *observer.resolution)
    star = reference.nearest(near, ours.resolution, wave)
    seen = shown(with_continuum(ours, star, wave), near.misfit, observer.spectra)
    found = unfamiliar(observer.model, seen, observer.config, wave, reference)
    return found.distance / found.highest


def faulty(grid: Grid, fault: str, random: np.random.Generator) -> Spectrum:
    """A star of random labels, S/N and velocity, with a fault."""
    ends = np.array([RANGES[name] for name in LABELS])
    labels = ends[:, 0] + random.random(3) * (ends[:, 1] - ends[:, 0])
    flux = grid.flux(torch.from_numpy(labels)[None]).float()
    snr, velocity = 10 ** random.uniform(1, 2), random.uniform(-200, 200)
    if fault.startswith("R 1800") or fault == "another survey":
        optics = make_optics(grid.wave, 0.0, LOW, torch.device("cpu"))
        flux = optics(flux, None, torch.tensor([LOW]))
    clean = flux[0].double().numpy()
    wave = grid.wave * (1 + velocity / LIGHT)
    match fault:
        case "reversed":
            clean = clean[::-1]
        case "stretched":
            wave = 7975 + (wave - 7975) * 1.01
        case "flat":
            clean = np.ones(len(clean))
        case "emission":
            lines = random.uniform(7200, 8800, 3)
            clean = 1 + sum(np.exp(-(((grid.wave - one) / 8) ** 2)) for one in lines)
    noise = random.standard_normal(len(clean)) / snr
    stated = LOW if fault.endswith("as 1800") else 5000.0
    n = len(wave)
    sigma, none, resolution = np.full(n, 1 / snr), np.zeros(n, bool), np.full(n, stated)
    spectrum = Spectrum("", "", "", "", "star", wave, clean + noise, sigma, none, {}, resolution,
                        None, None, {}, "", ())  # fmt: skip
    if fault == "another survey":
        return another(spectrum, clean, noise, random)
    if fault == "its pixels as ours":  # Ca II alone, as Gaia's RVS, on all of the band
        at = np.linspace(8400, 8750, n)
        return replace(spectrum, flux=np.interp(at, wave, clean) + noise)
    return spectrum


def another(
    spectrum: Spectrum, clean: Array, noise: Array, random: np.random.Generator
) -> Spectrum:
    """R = 1800 stated as 5000, half of the band, an order's blaze, and noise that neighbours share.

    It is 1.5 times as large as its errors say.
    """
    n = len(clean)
    begin = int(random.integers(n // 2))
    inside = slice(begin, begin + n // 2)
    x = np.linspace(-1, 1, n // 2)
    shared = np.convolve(noise, np.ones(3) / np.sqrt(3), mode="same") * 1.5
    flux = (clean + shared)[inside] * (1 - 0.5 * x**2)
    assert spectrum.sigma is not None
    return replace(
        spectrum,
        wave=spectrum.wave[inside],
        flux=flux,
        sigma=spectrum.sigma[inside] * (1 - 0.5 * x**2),
        mask=spectrum.mask[inside],
        resolution=np.full(n // 2, 5000.0),
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
