"""What a survey's own labels add to a network that learned from the simulator (`init`, `adapt`).

OMP_NUM_THREADS=1 nice -n 10 python benchmarks/survey_adapting.py [--stars 200 2000] [--ways zero]

The survey is simulated, and unlike the simulator that the network learned from: R = 2500, 7400 to
8750 A, S/N 20 to 60, giants alone, a response of the instrument that is not divided out, labels on
a scale of its own with errors. From scratch, as it is, with its head and with all its weights
adapted, as in arXiv 2602.15021. Prints the second table of `docs/survey_training.md`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from vitlab.contract.job import Result, Spec, read_result
from vitlab.contract.paths import JobPaths
from vitlab.ml.spectra.disturb.light import legendre, make_optics
from vitlab.ml.spectra.formats.frames import write_frame
from vitlab.ml.spectra.grid import load_grid
from vitlab.ml.spectra.observation import load_noise
from vitlab.ml.spectra.pfsspec import ERROR, FLUX, PARAMS, WAVE
from vitlab.recipes import run

Floats = NDArray[np.float64]
FIRST = "VIT-20260101-first-01/first"
TEST, VAL = 1000, 200
BAND = (7400.0, 8750.0)
RESOLUTION = 2500.0
MAG = (18.6, 20.3)
"""S/N 60 to 20 per pixel in this noise."""
CENTRE, WIDTH = np.array([4600.0, 2.3, -0.4]), np.array([300.0, 0.6, 0.35])
"""Of T_eff, log g, [M/H] of its stars: normal, cut where the grid ends."""
SCALE, SCATTER = np.array([-80.0, 0.15, -0.1]), np.array([60.0, 0.10, 0.07])
"""Of its labels against the grid's: zero point and error."""
MODEL = {"hidden": 128, "layers": 2}
DISTURB: dict[str, Any] = {
    "velocity": {"within": 30}, "resolution": {}, "continuum": {}, "extinction": {},
    "masked": {"window": 0.3}, "sky": {},
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, adapt and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=300, help="of the first network")
    parser.add_argument("--stars", type=int, nargs="+", default=[200, 2000])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        lab = Path(folder)
        (lab / "vitlab.yaml").write_text("")
        data = {"source": "grid-infinite", "train_size": 256 * args.steps, "val_size": 500,
                "test_size": 2000, "mag": [15, 20.5], "disturb": DISTURB}  # fmt: skip
        first = job(lab, FIRST, data, {"epochs": 1, "batch": 256, "ema": 0.98}, {})
        print(f"first network: {cells(first)} on its own test stars, {first.seconds:.0f} s")
        file = lab / "survey.h5"
        make_survey(file, max(args.stars) + VAL + TEST)
        print("| stars | | R2 | scatter | bias |")
        print("|---|---|---|---|---|")
        for stars in args.stars:
            data = {"source": str(file), "train_size": stars, "val_size": VAL, "test_size": TEST}
            for title in args.ways:
                if title == "zero" and stars != args.stars[0]:  # the same for all
                    continue
                steps = {"epochs": max(24_000 // stars, 8), "batch": 64, "ema": 0.98}
                name = f"VIT-20260101-way-01/{stars}-{title.replace(' ', '-')}"
                result = job(lab, name, data, steps, WAYS[title])
                print(f"| {stars} | {title} | {cells(result)} |", flush=True)


WAYS: dict[str, dict[str, Any]] = {
    "from scratch": {},
    "zero": {"init": FIRST, "adapt": "zero"},
    "head": {"init": FIRST, "adapt": "head"},
    "all": {"init": FIRST, "adapt": "all"},
    "all, adapt_rate 1": {"init": FIRST, "adapt": "all", "adapt_rate": 1},
}


def job(
    lab: Path, name: str, data: dict[str, Any], train: dict[str, Any], more: dict[str, Any]
) -> Result:
    """The result of a job of the lab."""
    paths = JobPaths(lab / "experiments" / name)
    paths.folder.mkdir(parents=True)
    level = 1.0 if data["source"] == "grid-infinite" else 0.0  # its noise is in the flux
    config = {
        "labels": ["log_g", "T_eff", "M_H"],
        "loss": "mixture",
        "exact": 0,
        "data": {**data, "running_continuum": 200},
        "noise": {"level": level},
        "model": MODEL,
        "train": {**train, "monitor": "val/loss", "precision": "fp32"},
        **more,
    }
    extra = {"wandb": {"mode": "off"}}
    spec = Spec("1.0", name, "full", "vit", config, name.partition("/")[0], "r.md", extra=extra)
    paths.spec.write_bytes(spec.to_json())
    sys.stdout.flush()  # what the job prints goes nowhere, and would take this along
    out = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    status = run.main([str(paths.folder)])
    os.dup2(out, 1)
    result = read_result(paths.result)
    if status or result is None:
        raise SystemExit(f"{name}: exit status {status}")
    return result


def cells(result: Result) -> str:
    """R2, scatter and bias of log g with their errors."""
    names = [f"test/{metric}/log_g" for metric in ("r2", "scatter", "bias")]
    return " | ".join(f"{result.values[one]:.3f} ± {result.errors[one]:.3f}" for one in names)


def make_survey(path: Path, n: int) -> None:
    """Write the labelled spectra of the other survey."""
    generator = np.random.default_rng(20)
    grid, noise = load_grid(), load_noise()
    low, high = np.array([(axis[0], axis[-1]) for axis in grid.axes]).T
    true = np.clip(CENTRE + WIDTH * generator.standard_normal((n, 3)), low, high)
    optics = make_optics(grid.wave, 0.0, RESOLUTION, torch.device("cpu"))
    flux = optics(grid.flux(torch.from_numpy(true)), None, torch.full((n,), RESOLUTION))
    own = np.array([0.15, -0.08, 0.05]) + 0.03 * generator.standard_normal((n, 3))
    flux = flux * torch.from_numpy(np.exp(own @ legendre(grid.wave, range(1, 4)))).float()
    mag = torch.from_numpy(generator.uniform(*MAG, n))
    sigma = noise.sigma(flux, mag).double().numpy()
    observed = flux.double().numpy() + sigma * generator.standard_normal(sigma.shape)
    sigma[:, (grid.wave < BAND[0]) | (grid.wave > BAND[1])] = 0
    told = true + SCALE + SCATTER * generator.standard_normal((n, 3))
    columns = {"id": np.arange(n), "mag": mag.numpy()}
    columns |= dict(zip(("T_eff", "log_g", "M_H"), told.T, strict=True))
    with h5py.File(path, "w") as file:
        file[WAVE], file[FLUX], file[ERROR] = grid.wave, observed, sigma
        write_frame(file, PARAMS, columns)


if __name__ == "__main__":
    main()
