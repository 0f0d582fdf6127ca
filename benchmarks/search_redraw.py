"""The networks of the search in `experiments/LOG.md`, on test stars that no choice was made on.

OMP_NUM_THREADS=1 python benchmarks/search_redraw.py [SEED ...]

Each is trained on 256,000 new stars of its seed (with none: 1042), and scored once on 10,000 test
stars of that seed; those of the search, and of the results it led to, are of seed 42. One line a
network: R2 of log g, its bootstrap error, and the difference to the first on the same stars.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from vitlab.contract.job import Spec, read_result
from vitlab.contract.paths import JobPaths
from vitlab.ml.residual_file import load_residuals
from vitlab.ml.scoring import paired
from vitlab.recipes import run

NAME = "test/r2/log_g"
TRAIN = {"epochs": 5, "batch": 512, "lr": 1e-3, "min_lr": 0, "clip": 1, "ema": 0, "threads": 1}
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "4 tokens of 1,024": ("vit", {"patch": 1024}),
    "2 tokens of 2,048": ("vit", {"patch": 2048}),
    "8 tokens of 512": ("vit", {"patch": 512}),
    "MLP 512-512": ("mlp", {"hidden": [512, 512], "dropout": 0}),
}


def main(seeds: list[int]) -> None:
    """Print the table for each seed."""
    for seed in seeds:
        kept = None
        for title, (recipe, model) in NETWORKS.items():
            with tempfile.TemporaryDirectory() as folder:
                values, found = trained(Path(folder), recipe, model, seed)
            kept = kept or found
            gap = paired(found.true[:, 0], found.predicted[:, 0], kept.predicted[:, 0], "r2", 42)
            print(f"{seed} | {title} | {values} | {gap.value:+.4f} ± {gap.error:.4f}", flush=True)


def trained(root: Path, recipe: str, model: dict[str, Any], seed: int) -> tuple[str, Any]:
    """`R2 ± error | seconds` and the residuals of one network."""
    data = {
        "source": "grid-infinite", "train_size": 51_200, "val_size": 1000, "test_size": 10_000,
        "seed": seed,
    }  # fmt: skip
    config = {"data": data, "model": {"input": "whitened", **model}, "train": TRAIN}
    job = JobPaths(root / "experiments" / "X-20260101-x-01" / "job")
    job.folder.mkdir(parents=True)
    extra = {"wandb": {"mode": "off"}}
    spec = Spec("1.0", "main", "full", recipe, config, "X", "r.md", device="cpu", extra=extra)
    job.spec.write_bytes(spec.to_json())
    out = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    status = run.main([str(job.folder)])
    os.dup2(out, 1)
    result = read_result(job.result)
    if status or result is None:
        raise SystemExit(f"{recipe}: exit status {status}")
    score = f"{result.values[NAME]:.4f} ± {result.errors[NAME]:.4f} | {result.seconds:.0f} s"
    return score, load_residuals(job.residuals)


if __name__ == "__main__":
    main([int(seed) for seed in sys.argv[1:]] or [1042])
