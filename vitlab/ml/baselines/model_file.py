"""Trained ridges and trees on disk, with the input they expect: arrays and text, no code."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib import format as npy

from vitlab.contract.paths import UsageError, write_atomic
from vitlab.contract.reading import read_regular
from vitlab.contract.user_key import seal
from vitlab.ml.baselines.lightgbm import lgb
from vitlab.ml.baselines.ridge import Ridge
from vitlab.ml.baselines.trees import Boost, booster_of
from vitlab.ml.spectra.inputs import Array, Inputs, saved_inputs
from vitlab.ml.spectra.labels import other_labels

BEST = "best.npz"
FORMAT = 1
LARGEST = 1 << 28
"""Bytes of a model's file, and of its arrays."""


def save_model(folder: Path, model: Ridge | Boost, inputs: Inputs, labels: Sequence[str]) -> None:
    """Write `best.npz` atomically, after LightGBM's `label-0.txt`, ... for trees.

    `labels`: what it predicts, in this order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "format": np.int64(FORMAT),
        "kind": np.str_(inputs.kind),
        "sigma": inputs.sigma.cpu().numpy(),
        "labels": np.array(labels),
    }
    if inputs.wave is not None:
        about["wave"] = inputs.wave
    if isinstance(model, Ridge):
        about |= {
            "weights": model.weights,
            "intercept": model.intercept,
            "alpha": np.float64(model.alpha),
        }
    else:
        texts = [b.model_to_string(num_iteration=model.rounds) for b in model.boosters]
        for k, text in enumerate(texts):
            write_atomic(folder / f"label-{k}.txt", text.encode())
        seals = np.array([seal(b"trees", text.encode()) for text in texts])
        about |= {"mean": model.mean, "rounds": np.int64(model.rounds), "seals": seals}
    buffer = io.BytesIO()
    np.savez(buffer, **about)  # type: ignore[arg-type]  # its stub takes keywords for flags
    write_atomic(folder / BEST, buffer.getvalue())


def _arrays(data: bytes) -> dict[str, Any]:
    """The arrays of an `.npz`; `ValueError` for one that says to be larger than `LARGEST`."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if sum(one.file_size for one in members) > LARGEST:
            raise ValueError(f"its arrays have more than {LARGEST >> 20} MiB")
        for one in members:
            with archive.open(one) as file:
                version = npy.read_magic(file)
                read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
                shape, _, kind = read(file)
            if math.prod(shape) * max(kind.itemsize, 1) > one.file_size:  # `<U0` takes no byte
                raise ValueError(f"{one.filename} claims to be larger than it is")
    with np.load(io.BytesIO(data), allow_pickle=False) as kept:
        return dict(kept)


def load_model(folder: Path, labels: Sequence[str], wave: Array) -> tuple[Ridge | Boost, Inputs]:
    """The model in `folder` that predicts `labels` from (L,) pixels at `wave`, and its input.

    `UsageError` when missing, broken, not from vitlab or of other labels or pixels.
    """
    path = folder / BEST
    try:
        kept = _arrays(read_regular(path, LARGEST, follow=True))
        if int(kept["format"]) != FORMAT:
            raise UsageError(f"{path}: not a model of format {FORMAT}")
        theirs = kept["labels"].tolist() if "labels" in kept else [*labels]  # of an earlier vitlab
        if theirs != [*labels]:
            raise UsageError(f"{path}: {other_labels(map(str, theirs), labels)}")
        sigma = torch.from_numpy(kept["sigma"])
        inputs = saved_inputs(str(kept["kind"]), sigma, kept.get("wave"))
        if unlike := inputs.unlike(wave):
            raise UsageError(f"{path}: {unlike}")
        for name, shape in (("weights", (len(wave), len(labels))), ("intercept", (len(labels),)),
                            ("mean", (len(labels),))):  # fmt: skip
            if name in kept and (kept[name].shape != shape or kept[name].dtype.kind != "f"):
                raise ValueError(f"its {name} are no numbers of {shape}")
        if "weights" in kept:
            ridge = Ridge(kept["weights"], kept["intercept"], float(kept["alpha"]))
            return ridge, inputs
        boosters = []
        for k, mark in enumerate(kept["seals"].tolist() if "seals" in kept else kept["mean"]):
            text = folder / f"label-{k}.txt"
            boosters.append(booster_of(text, read_regular(text, LARGEST).decode(), mark))
        if len(boosters) != len(kept["mean"]):
            raise ValueError("it does not have one model for each label")
        return Boost(boosters, kept["mean"], int(kept["rounds"])), inputs
    except FileNotFoundError:
        raise UsageError(f"{path}: no such model") from None
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error,
            NotImplementedError, EOFError, lgb.basic.LightGBMError) as error:  # fmt: skip
        reason = str(error).split("\n", 1)[0]
        raise UsageError(f"{path}: not a readable model ({reason})") from None
