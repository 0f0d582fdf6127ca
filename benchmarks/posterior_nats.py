"""How far predicted densities of log g are from the exact posterior, in nats, and how calibrated.

OMP_NUM_THREADS=1 nice -n 10 python benchmarks/posterior_nats.py [--stars 1000] [--scale demo]

Networks with `loss: mixture` at demo scale (`experiments/vit_1m.yaml`), tested on 10,000 stars; the
exact posteriors are of the first `--stars`, computed once. Prints the tables of `docs/science.md`.
With `--of RESIDUALS` (of a point estimate) only what its error costs a Gaussian density.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from vitlab.contract.config import read_config
from vitlab.contract.job import Spec, read_result
from vitlab.contract.paths import JobPaths
from vitlab.ml.residual_file import load_residuals
from vitlab.ml.scoring import DensityScores, Residuals, blend, concatenate
from vitlab.ml.spectra.dataset import GridSpectra, open_spectra
from vitlab.ml.spectra.grid import load_grid
from vitlab.ml.spectra.labels import prior_variance
from vitlab.ml.spectra.observation import load_noise
from vitlab.ml.spectra.simulate import Simulator
from vitlab.ml.theory.ceilings import posteriors_of_test
from vitlab.ml.theory.log_scores import exact_scores
from vitlab.recipes import run

Floats = NDArray[np.float64]
SCALES = {"demo": (51_200, 10, 0.99), "small": (5_120, 5, 0.99), "hour": (512_000, 24, 0.999)}
"""Stars of an epoch, epochs, and decay of the average of the weights."""
NETWORKS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "ViT": ("vit", "mixture", {}),
    "ViT, another seed": ("vit", "mixture", {"seed": 43}),
    "MLP 512-512": ("mlp", "mixture", {}),
    "ViT, one normal distribution (`nll`)": ("vit", "nll", {}),
}
BINS = (20.5, 21.0, 21.5, 22.0, 22.5)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, score and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--stars", type=int, default=1000)
    parser.add_argument("--scale", choices=SCALES, default="demo")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--of", type=Path, nargs="+", metavar="RESIDUALS", help="of several seeds")
    args = parser.parse_args(arguments)
    if args.of:
        cost_of_errors([load_residuals(path) for path in args.of], args.stars)
        return
    begun = time.process_time()
    exact = exact_posteriors(args.stars)
    print(f"exact posteriors of {args.stars} stars: {time.process_time() - begun:.0f} s of a core")
    found: dict[str, Residuals] = {}
    for title, (recipe, loss, train) in NETWORKS.items():
        with tempfile.TemporaryDirectory() as folder:
            found[title], seconds = trained(Path(folder), recipe, loss, train, args)
        report(title, replace(found[title], exact=exact), f"{seconds:.0f} s")
    pair = [found["ViT"].density, found["ViT, another seed"].density]
    both = blend([one for one in pair if one is not None])
    report("both ViT", replace(found["ViT"], density=both, exact=exact), "")


def exact_posteriors(n: int) -> DensityScores:
    """Of the first `n` test stars of the demo."""
    config: Any = read_config("vit", {"data": {"source": "grid-infinite"}})
    spectra = open_spectra(config.data, 1.0, ("log_g",), run_device("cpu"))
    assert isinstance(spectra, GridSpectra)
    return concatenate(list(exact_scores(spectra.simulator, ("log_g",), n)))


def run_device(name: str) -> Any:
    """The device of that name."""
    import torch

    return torch.device(name)


def trained(
    root: Path, recipe: str, loss: str, train: dict[str, Any], args: argparse.Namespace
) -> tuple[Residuals, float]:
    """The residuals of one network, and the seconds it took."""
    size, epochs, ema = SCALES[args.scale]
    config = {
        "data": {"source": "grid-infinite", "train_size": size, "val_size": 1000},
        "loss": loss,
        "exact": 0,
        "train": {
            "epochs": epochs, "batch": 512, "lr": 1e-3, "ema": ema, "precision": "bf16",
            "monitor": "val/loss", "eval_every": 100, "threads": 0, **train,
        },
    }  # fmt: skip
    job = JobPaths(root / "experiments" / "X-20260101-x-01" / "job")
    job.folder.mkdir(parents=True)
    extra = {"wandb": {"mode": "off"}}
    spec = Spec("1.0", "main", "full", recipe, config, "X", "r.md", device=args.device, extra=extra)
    job.spec.write_bytes(spec.to_json())
    out = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    status = run.main([str(job.folder)])
    os.dup2(out, 1)
    result = read_result(job.result)
    if status or result is None:
        raise SystemExit(f"{recipe}: exit status {status}")
    return load_residuals(job.residuals), result.seconds


def report(title: str, stars: Residuals, cost: str) -> None:
    """Rows of the table: overall, then each bin of magnitude."""
    density, exact = stars.density, stars.exact
    assert density is not None
    assert exact is not None
    n = len(exact.joint)
    lost = exact.log_score[:, 0] - density.log_score[:n, 0]
    rows = [("all", np.ones(len(stars.mag), bool))]
    rows += [(f"{a}-{b}", (stars.mag >= a) & (stars.mag < b)) for a, b in pairwise(BINS)]
    print(f"\n{title} ({cost})\n| M | nats lost | exact ln p | coverage 50 / 68 / 90 / 95 % | "
          "of the exact | KS, p |")  # fmt: skip
    for name, inside in rows:
        pairs = inside[:n]
        own, best = covered(density.take(inside)), covered(exact.take(pairs))
        ks = stats.kstest(density.pit[inside, 0], "uniform")
        mean = exact.log_score[pairs, 0].mean()
        gap, error = lost[pairs].mean(), lost[pairs].std(ddof=1) / pairs.sum() ** 0.5
        print(f"| {name} | {gap:+.4f} ± {error:.4f} | {mean:+.3f} | {own} | {best} | "
              f"{ks.statistic:.3f}, {ks.pvalue:.2g} |", flush=True)  # fmt: skip


def cost_of_errors(seeds: Sequence[Residuals], n: int) -> None:
    """What an estimate's error beyond the exact posterior's costs: 0.5 ln(M / V), Gaussian.

    V: mean posterior variance; M = V + mean (estimate - posterior mean)^2. For the `n` stars
    together, and as the mean over eight groups of like posterior variance. Mean over the seeds.
    """
    simulator = Simulator(load_grid(), load_noise(), (20.5, 22.5), 42)
    exact = posteriors_of_test(simulator, n, None)
    mean, variance = exact.mean[:, 1], exact.variance[:, 1]
    excess = np.mean([(one.predicted[:n, 0] - mean) ** 2 for one in seeds], axis=0)
    rows = [("all", np.arange(n))]
    rows += [(f"{a}-{b}", np.flatnonzero((exact.mag >= a) & (exact.mag < b)))
             for a, b in pairwise(BINS)]  # fmt: skip
    groups = np.array_split(np.argsort(variance), 8)
    rows += [(f"sigma {variance[group].mean() ** 0.5:.2f}", group) for group in groups]
    print("| stars | R2 of the estimate | of the posterior mean | together | by like variance |")
    for name, rows_of in rows:
        total = variance[rows_of].mean(), (variance + excess)[rows_of].mean()
        below, above = (1 - x / prior_variance("log_g") for x in total)
        cells = f"{above:.3f} | {below:.3f} | {lost_by(excess, variance, [rows_of])}"
        like = np.array_split(rows_of[np.argsort(variance[rows_of])], 8)
        print(f"| {name} | {cells} | {lost_by(excess, variance, like)} |", flush=True)


def lost_by(excess: Floats, variance: Floats, groups: Sequence[NDArray[np.intp]]) -> str:
    """Mean over groups of stars of 0.5 ln(1 + excess / variance), with its bootstrap error."""
    draw = np.random.default_rng(0)

    def lost(resample: bool) -> float:
        parts = [draw.choice(group, len(group)) if resample else group for group in groups]
        costs = [0.5 * np.log1p(excess[part].mean() / variance[part].mean()) for part in parts]
        return float(np.average(costs, weights=[len(part) for part in parts]))

    return f"{lost(False):.3f} ± {np.std([lost(True) for _ in range(300)], ddof=1):.3f}"


def covered(scores: DensityScores) -> str:
    """Coverage in percent."""
    off = 2 * np.abs(scores.pit[:, 0] - 0.5)
    return " / ".join(f"{100 * (off <= share / 100).mean():.1f}" for share in (50, 68, 90, 95))


if __name__ == "__main__":
    main()
