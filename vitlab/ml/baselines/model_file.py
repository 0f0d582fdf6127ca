"""Trained ridges and trees on disk, with the input they expect: arrays and text, no code."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import lightgbm as lgb
import numpy as np
import torch

from vitlab.contract.paths import UsageError, write_atomic
from vitlab.ml.baselines.ridge import Ridge
from vitlab.ml.baselines.trees import Boost
from vitlab.ml.spectra.inputs import Inputs

BEST = "best.npz"
FORMAT = 1


def save_model(folder: Path, model: Ridge | Boost, inputs: Inputs) -> None:
    """Write `best.npz` atomically, after LightGBM's `label-0.txt`, ... for trees."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "format": np.int64(FORMAT),
        "kind": np.str_(inputs.kind),
        "sigma": inputs.sigma.cpu().numpy(),
    }
    if isinstance(model, Ridge):
        about |= {
            "weights": model.weights,
            "intercept": model.intercept,
            "alpha": np.float64(model.alpha),
        }
    else:
        for k, booster in enumerate(model.boosters):
            text = booster.model_to_string(num_iteration=model.rounds)
            write_atomic(folder / f"label-{k}.txt", text.encode())
        about |= {"mean": model.mean, "rounds": np.int64(model.rounds)}
    buffer = io.BytesIO()
    np.savez(buffer, **about)  # type: ignore[arg-type]  # its stub takes keywords for flags
    write_atomic(folder / BEST, buffer.getvalue())


def load_model(folder: Path) -> tuple[Ridge | Boost, Inputs]:
    """The model in `folder` and its input. `UsageError` when missing, broken or not from vitlab."""
    path = folder / BEST
    try:
        with np.load(path, allow_pickle=False) as kept:
            if int(kept["format"]) != FORMAT:
                raise UsageError(f"{path}: not a model of format {FORMAT}")
            inputs = Inputs(str(kept["kind"]), torch.from_numpy(kept["sigma"]))
            if "weights" in kept:
                ridge = Ridge(kept["weights"], kept["intercept"], float(kept["alpha"]))
                return ridge, inputs
            mean = kept["mean"]
            boosters = [
                lgb.Booster(model_file=str(folder / f"label-{k}.txt")) for k in range(len(mean))
            ]
            return Boost(boosters, mean, int(kept["rounds"])), inputs
    except FileNotFoundError:
        raise UsageError(f"{path}: no such model") from None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, lgb.basic.LightGBMError) as error:
        reason = str(error).split("\n", 1)[0]
        raise UsageError(f"{path}: not a readable model ({reason})") from None
