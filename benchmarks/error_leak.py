"""What the errors shown to a model tell of log g without the flux, and how often checks are wrong.

python benchmarks/error_leak.py

The tables of docs/science.md: a quadratic fit to the errors alone, true and as shown; kinds of
errors told apart; shifted rows told from rows in place.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch
from numpy.typing import NDArray

from vitlab.contract.config import DataConfig
from vitlab.ml.checks import check_alignment, quadratic_fit
from vitlab.ml.noise_free import judge_errors
from vitlab.ml.spectra.dataset import open_spectra
from vitlab.ml.spectra.grid import load_grid
from vitlab.ml.spectra.observation import load_noise
from vitlab.ml.spectra.simulate import Simulator

TRAIN, TEST, COMPONENTS = 6000, 2000, 40
SEEDS = 100
CPU = torch.device("cpu")


def main() -> None:
    torch.set_num_threads(1)
    _shifts()
    _told()
    _kinds()


def _told() -> None:
    print("R2 of log g by a quadratic fit   errors, true   errors, shown   noisy flux")
    for mag in ((20.5, 22.5), (21.4, 21.6), (22.4, 22.6)):
        data = DataConfig(train_size=TRAIN, val_size=1, test_size=TEST, mag=mag)
        spectra = open_spectra(data, 1.0, ("log_g",), CPU)
        train, test = spectra.fixed("train", 0, TRAIN), spectra.fixed("test", 0, TEST)
        cells = []
        for x, other in (
            (train.error, test.error),
            (train.shown_error, test.shown_error),
            (train.flux, test.flux),
        ):
            fit = quadratic_fit(x.double(), train.labels, COMPONENTS)
            missed = np.square(test.labels - fit(other.double())).mean()
            cells.append(f"{1 - missed / test.labels.var():8.4f}")
        print(f"M = {mag[0]}-{mag[1]}            {'       '.join(cells)}")


def _kinds() -> None:
    grid, noise = load_grid(), load_noise()
    for n in (8, 64):
        for mag in ((18, 18.1), (20, 20.1), (20.5, 22.5), (22.5, 22.6), (23, 23.1)):
            found: dict[str, Counter[str]] = {}
            for seed in range(SEEDS if n == 8 else SEEDS // 5):
                simulator = Simulator(grid, noise, mag, seed)
                stars, flux, error = simulator.observe_fixed("test", 0, n)
                clean, _ = simulator.observe(stars, None)
                counts = simulator.shown_error(stars, flux)
                for name, pair in {
                    "counts": (flux, counts),
                    "noise-free": (flux, error),
                    "both": (clean, error),
                    "smoothed": (flux, _smoothed(counts)),
                }.items():
                    kind = judge_errors(*(one.numpy() for one in pair)).kind
                    found.setdefault(name, Counter())[kind] += 1
            print(f"{n} spectra, M = {mag}:", {k: dict(v) for k, v in found.items()}, flush=True)


def _smoothed(error: torch.Tensor) -> torch.Tensor:
    """A running mean of 9 pixels of the variance."""
    variance = torch.nn.functional.pad(error.square()[:, None], (4, 4), mode="replicate")
    return torch.nn.functional.avg_pool1d(variance, 9, 1)[:, 0].sqrt()


def _shifts() -> None:
    for r2 in (0.1, 0.3, 0.7, 0.99):
        for n in (30, 100, 1000):
            wrong = missed = silent = 0
            for seed in range(2000):
                generator = np.random.default_rng([seed, n])
                true = generator.normal(size=(n, 1))
                predicted = _predicted(true, r2, generator)
                found = check_alignment(true, predicted).outcome
                wrong, silent = wrong + (found == "fail"), silent + (found == "unknown")
                missed += check_alignment(np.roll(true, 1, axis=0), predicted).outcome == "pass"
            print(
                f"R2 {r2}, {n} stars, of 2000: {wrong} false alarms, {silent} unknown, "
                f"{missed} shifts passed"
            )


def _predicted(
    true: NDArray[np.float64], r2: float, generator: np.random.Generator
) -> NDArray[np.float64]:
    noise: NDArray[np.float64] = generator.normal(size=true.shape)
    predicted: NDArray[np.float64] = np.sqrt(r2) * true + np.sqrt(1 - r2) * noise
    return predicted


if __name__ == "__main__":
    main()
