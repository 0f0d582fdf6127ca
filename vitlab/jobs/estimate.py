"""How much memory a network's training will take, by arithmetic: nothing is loaded or built."""

from __future__ import annotations

from itertools import pairwise

from vitlab.contract.config import Config, MlpConfig, VitConfig
from vitlab.contract.limits import PIXELS
from vitlab.contract.networks import MlpModel, VitModel

STATE = 4 * 5
"""Bytes of a parameter in fp32: itself, its gradient, two moments of AdamW, the best weights."""


def parameters(model: VitModel | MlpModel, outputs: int, pixels: int = PIXELS) -> int:
    """Trainable numbers of the network; the same as `vitlab.ml.vit.param_count` of it."""
    match model:
        case MlpModel():
            widths = (pixels, *model.hidden, outputs)
            return sum(one * two + two for one, two in pairwise(widths))
        case VitModel():
            h, inner = model.hidden, round(model.hidden * model.mlp_ratio)
            places = _places(model, pixels)
            block = 4 * h + 3 * (h * h + h) + (h * h + h) + (h * inner + inner) + (inner * h + h)
            edges = (model.patch * h + h) + 2 * h + (h * outputs + outputs)
            cls = h if model.pool == "cls" else 0
            positions = places * h if model.positions == "learned" else 0
            return model.layers * block + edges + cls + positions


def training_bytes(config: Config, cuda: bool) -> int | None:
    """Bytes on the device while it trains: weights, gradients, moments, one batch's activations.

    None for recipes that train no network. Within a third of what is kept for the backward pass;
    what torch itself takes (a CUDA context: about 0.5 GB) comes on top.
    """
    if not isinstance(config, VitConfig | MlpConfig):
        return None
    model, outputs = config.model, len(config.labels)
    if isinstance(model, VitModel):
        h, inner = model.hidden, round(model.hidden * model.mlp_ratio)
        dropout = 1.25 if model.dropout else 1.0  # its masks
        places = _places(model, PIXELS)
        kept = model.layers * places * (10 * h + 2 * inner) * dropout
        if model.dropout and not cuda:
            # Torch's fused attention drops nothing on a CPU: the plain one keeps its products.
            kept += 3.0 * model.layers * model.heads * places * places
    else:
        kept = 3.0 * sum(model.hidden)
    width = 4 if config.train.precision == "fp32" else 2.5
    batch = config.train.batch * (kept * width + 3 * PIXELS * 4)
    return round(STATE * parameters(model, outputs) + batch)


def _places(model: VitModel, pixels: int) -> int:
    patches = (pixels - model.patch) // (model.stride or model.patch) + 1
    return patches + (model.pool == "cls")
