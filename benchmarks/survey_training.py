"""What each option of `data.disturb` costs on clean spectra, and gains on disturbed ones.

OMP_NUM_THREADS=1 nice -n 10 python benchmarks/survey_training.py [--steps 300] [OPTION...]

A network of the template `survey` learns from clean spectra; another one for each option from
spectra that this option alone disturbs. Both are scored on the same clean and on the same disturbed
test stars. Prints the rows of the first table of `docs/survey_training.md`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from vitlab.contract.config import VitConfig, read_config
from vitlab.contract.value import Value
from vitlab.ml.scoring import overall
from vitlab.ml.spectra.dataset import GridSpectra, Spectra, open_spectra, undisturbed
from vitlab.ml.train import train
from vitlab.ml.training.batches import predict
from vitlab.ml.training.task import Task, make_model, make_task
from vitlab.recipes.scores import make_residuals

CPU = torch.device("cpu")
BATCH = 256
ON: dict[str, Any] = {
    "velocity": {}, "resolution": {}, "continuum": {}, "extinction": {}, "masked": {"window": 0.3},
    "sky": {},
}  # fmt: skip
OPTIONS: dict[str, tuple[dict[str, Any], float, str]] = {
    **{name: ({name: values}, 0.0, "whitened") for name, values in ON.items()},
    "continuum, running mean": ({"continuum": {}}, 200.0, "whitened"),
    "extinction, running mean": ({"extinction": {}}, 200.0, "whitened"),
    "all, running mean": (ON, 200.0, "whitened"),
    "lines": ({"lines": {}}, 0.0, "whitened"),
    "velocity within 30": ({"velocity": {"within": 30}}, 0.0, "whitened"),
    "masked, flux+error": ({"masked": ON["masked"]}, 0.0, "flux+error"),
}
"""Title -> `data.disturb`, `data.running_continuum`, `model.input`."""
SHOWN = (Value("", "r2", "log_g"), Value("", "scatter", "log_g"))


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, score and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("options", nargs="*", metavar="OPTION")
    args = parser.parse_args(arguments)
    plain, seconds = trained(config_of({}, 0.0, "whitened", args.steps))
    print(f"clean: {seconds:.0f} s of a core")
    print("| | without: clean | without: disturbed | with: clean | with: disturbed | seconds |")
    print("|---|---|---|---|---|---|")
    for title, (disturb, running, shown) in OPTIONS.items():
        if args.options and title not in args.options:
            continue
        own, seconds = trained(config_of(disturb, running, shown, args.steps))
        spectra = own[1].spectra
        cells = [scored(*plain, undisturbed(plain[1].spectra))]
        # The other network sees the same disturbed stars as it was trained: over their median.
        cells.append(scored(*plain, opened(config_of(disturb, 0.0, shown, args.steps))))
        cells += [scored(*own, undisturbed(spectra)), scored(*own, spectra)]
        print(f"| {title} | {' | '.join(cells)} | {seconds:.0f} |", flush=True)


def config_of(disturb: dict[str, Any], running: float, shown: str, steps: int) -> VitConfig:
    """The network of the template, of this many steps."""
    data = {"source": "grid-infinite", "train_size": steps * BATCH, "val_size": 500,
            "test_size": 4000, "mag": [15, 20.5], "disturb": disturb,
            "running_continuum": running}  # fmt: skip
    train_ = {"epochs": 1, "batch": BATCH, "ema": 0.98, "precision": "fp32", "monitor": "val/loss"}
    labels = ["log_g", "T_eff", "M_H"]
    whole = {"labels": labels, "loss": "mixture", "exact": 0, "data": data, "train": train_,
             "model": {"input": shown}}  # fmt: skip
    config = read_config("vit", whole)
    assert isinstance(config, VitConfig)
    return config


def opened(config: VitConfig) -> Spectra:
    """Its spectra."""
    return open_spectra(config.data, 1.0, config.labels, CPU)


def trained(config: VitConfig) -> tuple[tuple[nn.Module, Task], float]:
    """The network and its task, and the seconds of a core it took."""
    begun = time.process_time()
    torch.manual_seed(42)
    spectra = opened(config)
    network = make_model(config, spectra)
    task = make_task(config, spectra, CPU)
    for _ in train(network, task):
        pass
    return (network, task), time.process_time() - begun


def scored(network: nn.Module, task: Task, spectra: Spectra) -> str:
    """R2 and scatter of log g of the test stars."""
    found = predict(network, replace(task, spectra=spectra), "test")
    assert isinstance(spectra, GridSpectra)
    pair = found.true, found.predicted
    scores = overall(make_residuals(spectra, task.labels, pair, None, "grid"), 42)
    r2, scatter = (f"{scores.values[one]:.3f} ± {scores.errors[one]:.3f}" for one in SHOWN)
    return f"{r2}; {scatter}"


if __name__ == "__main__":
    main()
