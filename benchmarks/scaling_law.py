"""Whether fitted scaling laws say the truth: simulated laws, and a small grid of real trainings.

    python benchmarks/scaling_law.py [--laws 200]     coverage of the 90 % intervals
    python benchmarks/scaling_law.py --trainings      16 ViTs, and 3 larger ones held out

Prints the tables of docs/science.md.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from itertools import product

import numpy as np
import torch

from vitlab.contract.config import DataConfig, VitConfig
from vitlab.contract.networks import TrainConfig, VitModel
from vitlab.ml.network.vit import param_count
from vitlab.ml.progress import Best
from vitlab.ml.scaling_law import Law, fit_cost, fit_law
from vitlab.ml.spectra.dataset import open_spectra
from vitlab.ml.train import train
from vitlab.ml.training.batches import predict
from vitlab.ml.training.task import make_model, make_task

FLOOR_ERROR = 0.004
"""Standard error of a ceiling, as `vitlab ceiling` with 4000 stars has it."""
SCATTER = 0.01
"""Standard deviation of ln L over seeds."""
LARGER = (2, 8)
"""By which factor the runs held out exceed the largest N, and P, of the fit."""


def simulated(rng: np.random.Generator, both: bool, seeds: int):
    """A law of random numbers, and runs of it with scatter: (floor, b, loss, at, L)."""
    floor, a, b = rng.uniform(0.05, 0.3), *rng.uniform(0.2, 0.8, 2)
    stars = np.geomspace(2000, 64_000, 5 if both else 6)
    params = np.geomspace(3e4, 2e6, 5) if both else np.array([8e5])
    of_params = rng.uniform(0.05, 0.3) * params[0] ** a if both else 0.0
    of_stars = rng.uniform(0.1, 0.6) * stars[0] ** b

    def loss(n, p):
        return floor + of_params * p**-a + of_stars * n**-b

    grid = np.array([(n, p) for n in stars for p in params for _ in range(seeds)])
    runs = loss(*grid.T) * np.exp(SCATTER * rng.normal(size=len(grid)))
    return floor, b, loss, grid, runs


def coverage(laws: int) -> None:
    print("| Runs | Seeds | E | runs inside | b inside | E inside | E off by | width at 8 x |")
    print("|---|---|---|---|---|---|---|---|")
    for both, seeds in product((False, True), (1, 3)):
        kinds = ("fixed", "free")
        inside: dict[str, list[bool]] = {kind: [] for kind in kinds}
        exponents: dict[str, list[bool]] = {kind: [] for kind in kinds}
        floors: list[bool] = []
        off: list[float] = []
        widths: dict[str, list[float]] = {kind: [] for kind in kinds}
        for k in range(laws):
            rng = np.random.default_rng(k)
            floor, b, loss, grid, runs = simulated(rng, both, seeds)
            given = floor + FLOOR_ERROR * rng.normal(), FLOOR_ERROR
            for kind, known in (("fixed", given), ("free", None)):
                axes = ("N", "P") if both else ("N",)
                law = fit_law(runs, *grid.T, known, axes, draws=200, seed=k)
                for factor in LARGER:
                    n, p = grid[:, 0].max() * factor, grid[:, 1].max() * (factor if both else 1)
                    found = law.run(n, p)
                    truth = loss(n, p) * np.exp(SCATTER * rng.normal())
                    inside[kind].append(found.low <= truth <= found.high)
                widths[kind].append(found.high - found.low)
                power = law.exponent("N")
                exponents[kind].append(power.low <= b <= power.high)
                if kind == "free":
                    off.append(abs(law.floor.value - floor))
                    floors.append(law.floor.low <= floor <= law.floor.high)
        for kind in kinds:
            cells = [
                "5 N x 5 P" if both else "6 N",
                str(seeds),
                kind,
                f"{np.mean(inside[kind]):.3f}",
                f"{np.mean(exponents[kind]):.3f}",
                f"{np.mean(floors):.3f}" if kind == "free" else "-",
                f"{np.median(off):.4f}" if kind == "free" else "-",
                f"{np.median(widths[kind]):.3f}",
            ]
            print(f"| {' | '.join(cells)} |", flush=True)


CEILING = (0.792, 0.004)
"""R2 of log g over M = 20.5-22.5 (docs/science.md)."""
FITTED = [(n, h) for n in (500, 1000, 2000, 4000) for h in (16, 32, 64, 96)]
HELD_OUT = [(8000, h) for h in (16, 32, 64)]


def trained(stars: int, hidden: int, seed: int) -> tuple[int, float, float]:
    """Parameters, R2 on the test stars and core-seconds of one training."""
    begun = time.process_time()
    config = VitConfig(
        data=DataConfig(train_size=stars, val_size=1000, test_size=4000),
        model=VitModel(hidden=hidden, heads=8, mup=64),
        train=TrainConfig(epochs=30, batch=64, lr=1e-3, ema=0.99, seed=seed, threads=1),
    )
    config = replace(config, train=replace(config.train, eval_every=5 * -(-stars // 64)))
    spectra = open_spectra(config.data, 1.0, config.labels, torch.device("cpu"))
    torch.manual_seed(seed)
    network = make_model(config, spectra)
    task = make_task(config, spectra, torch.device("cpu"))
    assert any(isinstance(event, Best) for event in train(network, task))
    scores = predict(network, task, "test").scores(task.labels)
    r2 = next(x for value, x in scores.items() if value.metric == "r2")
    return param_count(network), float(r2), time.process_time() - begun


def trainings() -> None:
    torch.set_num_threads(1)
    rows = []
    for stars, hidden in (*FITTED, *HELD_OUT):
        params, r2, seconds = trained(stars, hidden, 42)
        rows.append((stars, params, r2, seconds))
        print(stars, hidden, params, f"{r2:.4f} {seconds:.0f} s", flush=True)
    stars, params, r2, seconds = np.array(rows).T
    n = len(FITTED)
    for kind, floor in (("fixed", (1 - CEILING[0], np.hypot(CEILING[1], 0.006))), ("free", None)):
        law = fit_law(1 - r2[:n], stars[:n], params[:n], floor)
        described(kind, law)
        for i in range(n, len(rows)):
            found = law.run(stars[i], params[i])
            held = f"{1 - found.value:.3f} ({1 - found.high:.3f} to {1 - found.low:.3f})"
            print(f"  N {stars[i]:.0f}, P {params[i]:.0f}: predicted {held}, came {r2[i]:.3f}")
    print(fit_cost(seconds / 3600, stars, params), f"{seconds.sum():.0f} s of a core")


def described(kind: str, law: Law) -> None:
    numbers = [("E", law.floor), *((axis, law.exponent(axis)) for axis in law.axes)]
    texts = [f"{name} {x.value:.3f} ({x.low:.3f} to {x.high:.3f})" for name, x in numbers]
    print(f"{kind}: {'; '.join(texts)}; scatter of ln L {law.scatter:.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--laws", type=int, default=200)
    parser.add_argument("--trainings", action="store_true")
    args = parser.parse_args()
    trainings() if args.trainings else coverage(args.laws)
