"""How often `vitlab predict` calls spectra unlike the grid's that are, and that are not.

OMP_NUM_THREADS=1 nice -n 10 python benchmarks/survey_alarm.py [--stars 100]

Stars of the grid on its pixels at S/N 10 to 100, as they are and with a fault each: reversed
wavelengths, a scale of wavelengths that is 1 % too long, another resolution than is stated, a flat
spectrum, one with broad emission lines. Prints the share that raises the alarm, and the area under
the curve (AUC) of the larger of its two statistics, plus 1 for each fault that the lines show.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.disturb.light import make_optics
from vitlab.ml.spectra.grid import Grid, load_grid
from vitlab.ml.spectra.labels import LABELS, RANGES
from vitlab.ml.survey.comparison import Reference, even_pixels, find_velocity, match
from vitlab.ml.survey.faults import find_faults
from vitlab.ml.survey.pixels import on_pixels
from vitlab.ml.survey.spectrum import LIGHT, Spectrum

Array = NDArray[np.float64]
LOW = 1800.0
FAULTS = ("none", "reversed", "stretched", "R 1800 as 5000", "R 5000 as 1800", "flat", "emission")


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, compare and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--stars", type=int, default=100)
    args = parser.parse_args(arguments)
    grid = load_grid()
    reference = Reference(grid)
    scores: dict[str, list[tuple[float, bool]]] = {}
    for fault in FAULTS:
        random = np.random.default_rng(1)
        scores[fault] = [
            score(faulty(grid, fault, random), reference, k) for k in range(args.stars)
        ]
        values = np.array([value for value, _ in scores[fault]])
        raised = np.mean([one for _, one in scores[fault]])
        usual = np.array([value for value, _ in scores["none"]])
        auc = (values[:, None] > usual[None]).mean() + (values[:, None] == usual[None]).mean() / 2
        print(f"| {fault} | {raised:.0%} | {auc:.3f} |", flush=True)


def score(spectrum: Spectrum, reference: Reference, seed: int) -> tuple[float, bool]:
    """How unlike a spectrum is (the larger of the two ratios to their limits), and the alarm."""
    grid = reference.grid
    try:
        even = on_pixels(spectrum, even_pixels(grid), 0.0, 0.0, 5000)
        found = find_velocity(even, reference)
        faults = find_faults(even, reference, found)
        velocity = found.velocity if found.visible else 0.0
        near = match(on_pixels(spectrum, grid.wave, velocity, 0.0, 5000), reference, seed)
    except UsageError:
        return np.inf, True
    return near.unlikeness + len(faults), bool(near.why or faults)


def faulty(grid: Grid, fault: str, random: np.random.Generator) -> Spectrum:
    """A star of random labels, S/N and velocity, with a fault."""
    ends = np.array([RANGES[name] for name in LABELS])
    labels = ends[:, 0] + random.random(3) * (ends[:, 1] - ends[:, 0])
    flux = grid.flux(torch.from_numpy(labels)[None]).float()
    snr, velocity = 10 ** random.uniform(1, 2), random.uniform(-200, 200)
    if fault.startswith("R 1800"):
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
    noisy = clean + random.standard_normal(len(clean)) / snr
    stated = LOW if fault.endswith("as 1800") else 5000.0
    n = len(wave)
    return Spectrum("", "", "", "", "star", wave, noisy, np.full(n, 1 / snr), np.zeros(n, bool), {},
                    np.full(n, stated), None, None, {}, "", ())  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
