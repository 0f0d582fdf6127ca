"""Whether fitted scaling laws say the truth: simulated laws, and a small grid of real trainings.

    python benchmarks/scaling_law.py [--laws 200]     coverage of the 90 % intervals
    python benchmarks/scaling_law.py --trainings      16 ViTs, and 3 larger ones held out

Prints the tables of docs/science.md.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

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


@dataclass(frozen=True)
class Design:
    """Runs of a fit, and what their residuals share."""

    stars: int
    """Values of N."""
    params: int
    """Values of P; with one the law has no term in P."""
    seeds: int
    alike: float = 0.0
    """Correlation over widths of the residuals of one N and seed, which share noise and order."""
    stars_scatter: float = 0.0
    """Standard deviation of ln L over sets of training stars, which all runs of one N share."""

    def __str__(self) -> str:
        sizes = f"{self.stars} N x {self.params} P" if self.params > 1 else f"{self.stars} N"
        alike = f", alike {self.alike:g}" if self.alike else ""
        return sizes + alike + (f", sets {self.stars_scatter:.0%}" if self.stars_scatter else "")

    def residuals(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Of ln L, of each N, P and seed in turn."""
        shared = rng.spawn(1)[0]
        own = rng.normal(size=(self.stars, self.params, self.seeds))
        of_seed = shared.normal(size=(self.stars, 1, self.seeds))
        of_set = shared.normal(size=(self.stars, 1, 1))
        runs = math.sqrt(1 - self.alike) * own + math.sqrt(self.alike) * of_seed
        return (SCATTER * runs + self.stars_scatter * of_set).ravel()


DESIGNS = (
    *(Design(6, 1, seeds) for seeds in (1, 3)),
    *(Design(4, 1, seeds) for seeds in (1, 3)),
    *(Design(5, 5, seeds) for seeds in (1, 3)),
    *(Design(4, 4, seeds) for seeds in (1, 3)),
    *(Design(4, 4, seeds, alike) for seeds in (1, 3) for alike in (0.4, 0.9)),
    Design(4, 4, 3, 0.4, 0.01),
)


def simulated(rng: np.random.Generator, design: Design):
    """A law of random numbers, and runs of it with scatter: (floor, b, loss, (N, P, seed), L)."""
    floor, a, b = rng.uniform(0.05, 0.3), *rng.uniform(0.2, 0.8, 2)
    both = design.params > 1
    stars = np.geomspace(2000, 64_000, design.stars)
    params = np.geomspace(3e4, 2e6, design.params) if both else np.array([8e5])
    of_params = rng.uniform(0.05, 0.3) * params[0] ** a if both else 0.0
    of_stars = rng.uniform(0.1, 0.6) * stars[0] ** b

    def loss(n, p):
        return floor + of_params * p**-a + of_stars * n**-b

    grid = np.array([(n, p, seed) for n in stars for p in params for seed in range(design.seeds)])
    return floor, b, loss, grid, loss(*grid.T[:2]) * np.exp(design.residuals(rng))


@dataclass
class Held:
    """What the intervals of one design held, law by law."""

    runs: list[bool] = field(default_factory=list)
    exponents: list[bool] = field(default_factory=list)
    floors: list[bool] = field(default_factory=list)
    off: list[float] = field(default_factory=list)
    widths: list[float] = field(default_factory=list)

    def cells(self, fitted: bool) -> list[str]:
        """The columns of the table; E where it is fitted."""
        floor = [f"{np.mean(self.floors):.3f}", f"{np.median(self.off):.4f}"] if fitted else "--"
        runs = [f"{np.mean(inside):.3f}" for inside in (self.runs, self.exponents)]
        return [*runs, *floor, f"{np.median(self.widths):.3f}"]


def coverage(laws: int) -> None:
    print("| Runs | Seeds | E | runs inside | b inside | E inside | E off by | width at 8 x |")
    print("|---|---|---|---|---|---|---|---|")
    for design in DESIGNS:
        held = {"fixed": Held(), "free": Held()}
        for k in range(laws):
            one_law(design, k, held)
        for kind, found in held.items():
            cells = [str(design), str(design.seeds), kind, *found.cells(kind == "free")]
            print(f"| {' | '.join(cells)} |", flush=True)


def one_law(design: Design, k: int, held: dict[str, Held]) -> None:
    """Law `k` fitted with E fixed and free, and whether the intervals held the truth."""
    rng = np.random.default_rng(k)
    floor, b, loss, grid, runs = simulated(rng, design)
    given = floor + FLOOR_ERROR * rng.normal(), FLOOR_ERROR
    axes = ("N", "P") if design.params > 1 else ("N",)
    further = math.hypot(SCATTER, design.stars_scatter)
    for kind, known in (("fixed", given), ("free", None)):
        law = fit_law(
            runs, *grid.T[:2], known, axes, draws=200, seed=k, seeds=grid[:, 2].astype(int)
        )
        into = held[kind]
        for factor in LARGER:
            n, p = grid[:, 0].max() * factor, grid[:, 1].max() * (factor if len(axes) > 1 else 1)
            found = law.run(n, p)
            truth = loss(n, p) * np.exp(further * rng.normal())
            into.runs.append(found.low <= truth <= found.high)
        into.widths.append(found.high - found.low)
        power = law.exponent("N")
        into.exponents.append(power.low <= b <= power.high)
        into.off.append(abs(law.floor.value - floor))
        into.floors.append(law.floor.low <= floor <= law.floor.high)


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
