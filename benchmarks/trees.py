"""Measures peak memory and time of our trees against `lightgbm.Dataset(array)` on the same spectra.

python benchmarks/trees.py [SPECTRA] [ROUNDS] [FOLDER]

The spectra are simulated once, into a file of `FOLDER` (4 bytes a pixel); each way reads it in a
process of its own. `array` finds its bins on as many rows as we do; `array, default` on
LightGBM's own 200,000, which is what a plain call does.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightgbm as lgb
import numpy as np

if TYPE_CHECKING:
    from vitlab.ml.spectra.inputs import Rows

PIXELS = 4096
VAL = 1000
WAYS = ("ours", "array", "array, default")
LEAVES, BINS, SHARE, RATE, SEED = 31, 255, 0.3, 0.05, 42
"""The defaults of the recipe."""
SAMPLE = 5120


def main(n: int, rounds: int, folder: Path) -> None:
    begun = time.perf_counter()
    simulate(n + VAL, folder)
    print(f"{n} + {VAL} spectra simulated in {time.perf_counter() - begun:.0f} s", flush=True)
    found: dict[str, dict[str, float]] = {}
    for way in WAYS:
        command = [sys.executable, __file__, str(n), str(rounds), str(folder), way]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        own = found[way] = json.loads(done.stdout.splitlines()[-1])
        print(
            f"{way:15} bins {own['bins']:6.1f} s, {rounds} rounds {own['trees']:6.1f} s, "
            f"CPU {own['cpu']:6.1f} s, peak {own['peak'] / 1e9:5.2f} GB, R2 {own['r2']:.4f}",
            flush=True,
        )
    ours = found["ours"]
    for way in WAYS[1:]:
        ratios = {
            "memory": ours["peak"] / found[way]["peak"],
            "time": (ours["bins"] + ours["trees"]) / (found[way]["bins"] + found[way]["trees"]),
            "CPU time": ours["cpu"] / found[way]["cpu"],
        }
        print(f"ours over {way}: " + ", ".join(f"{k} {x:.2f}" for k, x in ratios.items()))


def simulate(n: int, folder: Path) -> None:
    import torch

    from vitlab.contract.config import DataConfig
    from vitlab.ml.spectra.dataset import open_spectra
    from vitlab.ml.spectra.labels import LABELS

    simulator = open_spectra(DataConfig(), 1.0, ("log_g",), torch.device("cpu")).simulator  # type: ignore[attr-defined]
    generator = torch.Generator().manual_seed(SEED)
    labels = simulator.stars("train", 0, n).labels[:, [LABELS.index("log_g")]]
    np.save(folder / "labels.npy", labels)
    with (folder / "flux").open("wb") as file:
        for start in range(0, n, 1024):
            stars = simulator.stars("train", start, min(start + 1024, n))
            simulator.observe(stars, generator)[0].numpy().tofile(file)


def measure(n: int, rounds: int, folder: Path, way: str) -> None:
    begun = time.perf_counter()
    labels = np.load(folder / "labels.npy")
    grow = ours if way == "ours" else array
    bins, r2 = grow(n, rounds, folder, labels, way.endswith("default"))
    trees = time.perf_counter() - begun - bins
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu, peak = used.ru_utime + used.ru_stime, used.ru_maxrss * 1024
    print(json.dumps({"bins": bins, "trees": trees, "cpu": cpu, "peak": peak, "r2": r2}))


@dataclass(frozen=True)
class FileRows:
    """Rows of the file, in place of a data set's."""

    folder: Path
    first: int
    n: int
    y: np.typing.NDArray[np.float64]
    copies: int = 1

    def __len__(self) -> int:
        return self.n

    def piece(self, start: int, stop: int) -> tuple[Any, Any]:
        first = self.first + start
        return read(self.folder, first, stop - start), self.y[first : self.first + stop]

    def pieces(self) -> Any:
        yield from (self.piece(i, min(i + 1024, self.n)) for i in range(0, self.n, 1024))

    def labels(self) -> Any:
        return self.y[self.first : self.first + self.n]


def read(folder: Path, first: int, count: int) -> np.typing.NDArray[np.float32]:
    offset = first * PIXELS * 4
    flat = np.fromfile(folder / "flux", np.float32, count * PIXELS, offset=offset)
    return flat.reshape(count, PIXELS)


def ours(n: int, rounds: int, folder: Path, y: Any, _: bool) -> tuple[float, float]:
    from vitlab.contract.config import BoostModel, BoostTrain
    from vitlab.ml.baselines.trees import Boost, fit
    from vitlab.ml.progress import Note

    begun, bins, boost = time.perf_counter(), 0.0, Boost()
    model = BoostModel(leaves=LEAVES, bins=BINS, feature_fraction=SHARE)
    config = BoostTrain(rounds=rounds, eval_every=rounds, lr=RATE, seed=SEED)
    train: Rows = FileRows(folder, 0, n, y)  # type: ignore[assignment]
    val: Rows = FileRows(folder, n, VAL, y)  # type: ignore[assignment]
    for event in fit(boost, train, val, model, config, ("log_g",)):
        if isinstance(event, Note) and not bins:
            bins = time.perf_counter() - begun
    return bins, boost.best_r2


def array(n: int, rounds: int, folder: Path, y: Any, default: bool) -> tuple[float, float]:
    begun = time.perf_counter()
    x = read(folder, 0, n)
    parameters = {
        "objective": "regression",
        "learning_rate": RATE,
        "num_leaves": LEAVES,
        "max_bin": BINS,
        "feature_fraction": SHARE,
        "force_col_wise": True,
        "seed": SEED,
        "verbosity": -1,
    }
    if not default:
        parameters["bin_construct_sample_cnt"] = SAMPLE
    dataset = lgb.Dataset(x, y[:n, 0], params=parameters).construct()
    bins = time.perf_counter() - begun
    booster = lgb.train(parameters, dataset, rounds)
    true, guess = y[n : n + VAL, 0], booster.predict(read(folder, n, VAL))
    return bins, float(1 - np.mean((true - guess) ** 2) / np.var(true))


if __name__ == "__main__":
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    if len(sys.argv) > 4:
        measure(size, count, Path(sys.argv[3]), sys.argv[4])
    else:
        place = sys.argv[3] if len(sys.argv) > 3 else None
        with tempfile.TemporaryDirectory(dir=place) as own:
            main(size, count, Path(own))
