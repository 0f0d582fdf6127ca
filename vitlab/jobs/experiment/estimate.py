"""What a network's training will take, by arithmetic: nothing is loaded, built or allocated."""

from __future__ import annotations

from itertools import pairwise

from vitlab.contract.config import Config, MlpConfig, VitConfig, outputs_of
from vitlab.contract.networks import FEATURES, MlpModel, VitModel
from vitlab.contract.validation import PIXELS

STATE = 4 * 5
"""Bytes of a parameter in fp32: itself, its gradient, two moments of AdamW, the best weights."""


def describe(config: VitConfig | MlpConfig, pixels: int = PIXELS, cuda: bool = False) -> str:
    """One line: parameters, tokens, arithmetic of a spectrum and memory of a step."""
    model, outputs = config.model, outputs_of(config)
    name = "MLP"
    if isinstance(model, VitModel):
        kind = f"p{model.patch}_h{model.hidden}_L{model.layers}_a{model.heads}"
        name = f"ViT {kind}, {model.tokens(pixels)} tokens"
    count = parameters(model, outputs, pixels)
    forward = forward_flops(model, outputs, pixels)
    training = training_flops(model, outputs, pixels)
    memory = _bytes(config, pixels, cuda)
    return (
        f"{name}: {count:,} parameters; {forward / 1e9:.3g} GFLOP for a prediction, "
        f"{training / 1e9:.3g} for a spectrum in training; about {memory / 1e9:.2g} GB of memory "
        f"for micro-batches of {_micro_batch(config)}"
    )


def parameters(model: VitModel | MlpModel, outputs: int, pixels: int = PIXELS) -> int:
    """Trainable numbers of the network; the same as `vitlab.ml.network.vit.param_count` of it."""
    match model:
        case MlpModel():
            widths = (pixels, *model.hidden, outputs)
            return sum(one * two + two for one, two in pairwise(widths))
        case VitModel():
            h, inner = model.hidden, model.inner
            block = 4 * h + 3 * (h * h + h) + (h * h + h) + (h * inner + inner) + (inner * h + h)
            maps = model.patches(pixels) if model.tokenizer == "LC" else 1
            edges = maps * (_patch_inputs(model) + 1) * h + 2 * h + (h * outputs + outputs)
            cls = h if model.pool == "cls" else 0
            positions = {"learned": model.tokens(pixels) * h, "pipe": FEATURES * h}
            return model.layers * block + edges + cls + positions.get(model.positions, 0)


def forward_flops(model: VitModel | MlpModel, outputs: int, pixels: int = PIXELS) -> int:
    """Floating-point operations of the matrix products of one prediction, 2 a multiply-add.

    As torch's `FlopCounterMode` counts them. What is done once for a whole batch (the projection
    of `pipe`) and what is not a product (norms, GELU, softmax) is left out.
    """
    if isinstance(model, MlpModel):
        widths = (pixels, *model.hidden, outputs)
        return sum(2 * one * two for one, two in pairwise(widths))
    h, tokens = model.hidden, model.tokens(pixels)
    layer = tokens * (4 * h * h + 2 * h * model.inner) + 2 * tokens * tokens * h
    return 2 * (_token_products(model, pixels) + model.layers * layer + h * outputs)


def training_flops(model: VitModel | MlpModel, outputs: int, pixels: int = PIXELS) -> int:
    """The same of one spectrum in a training step: its forward and backward products.

    Each product has two in the backward pass, but for the first one: the gradient of the input
    is not asked for. Recomputation by fused attention is not arithmetic of the network.
    """
    if isinstance(model, MlpModel):
        first = pixels * (*model.hidden, outputs)[0]
    else:
        first = _token_products(model, pixels)
    return 3 * forward_flops(model, outputs, pixels) - 2 * first


def training_bytes(config: Config, cuda: bool) -> int | None:
    """Bytes on the device while it trains: weights, gradients, moments, a batch's activations.

    None for recipes that train no network. Within a third of what is kept for the backward pass;
    what torch itself takes (a CUDA context: about 0.5 GB) comes on top.
    """
    if not isinstance(config, VitConfig | MlpConfig):
        return None
    return _bytes(config, PIXELS, cuda)


def _bytes(config: VitConfig | MlpConfig, pixels: int, cuda: bool) -> int:
    model, outputs = config.model, outputs_of(config)
    precision = config.train.precision
    whole = precision == "fp32" or (precision == "auto" and not cuda)
    width, channels = (4 if whole else 2.5), 1
    if isinstance(model, VitModel):
        dropout = 1.25 if model.dropout else 1.0  # its masks
        tokens, channels = model.tokens(pixels), model.channels
        rotated = 2 * model.hidden if model.positions == "rope" else 0
        kept = model.layers * tokens * (10 * model.hidden + 2 * model.inner + rotated) * dropout
        if not cuda and (model.dropout or precision == "bf16"):
            # Attention that is not torch's fused one keeps its weights.
            kept += (1.25 if model.dropout else 1) * model.layers * model.heads * tokens * tokens
        if model.chunk_norm == "zscore" or model.stride:
            kept += 2 * model.patches(pixels) * model.patch * channels
    else:
        kept = 3.0 * sum(model.hidden)
    micro = _micro_batch(config) * (kept * width + 3 * pixels * channels * 4)
    state = STATE + (4 if config.train.ema else 0)  # the moving average
    return round(state * parameters(model, outputs, pixels) + micro)


def _micro_batch(config: VitConfig | MlpConfig) -> int:
    """Spectra on one device at a time."""
    return config.train.size // (config.train.accumulate * config.train.processes)


def _patch_inputs(model: VitModel) -> int:
    """Numbers a token is made from."""
    return model.channels * (model.patch + 2 * (model.chunk_norm == "zscore"))


def _token_products(model: VitModel, pixels: int) -> int:
    """Multiply-adds of the tokenizer, for one spectrum."""
    return model.patches(pixels) * _patch_inputs(model) * model.hidden
