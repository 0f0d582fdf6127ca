"""The arithmetic of a network against torch's own counts of the network itself."""

from __future__ import annotations

import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tests.ml.models import P16
from vitlab.contract.config import VitConfig, read_config
from vitlab.contract.networks import MlpModel, TrainConfig, VitModel
from vitlab.jobs.experiment.estimate import (
    describe,
    forward_flops,
    parameters,
    training_bytes,
    training_flops,
)
from vitlab.ml.network.layers import MLP
from vitlab.ml.network.vit import ViT, param_count

PIXELS = 77


@st.composite
def models(draw: st.DrawFn) -> VitModel:
    patch = draw(st.integers(2, 20))
    heads = draw(st.sampled_from([1, 2, 3]))
    return VitModel(
        input=draw(st.sampled_from(["flux", "flux+error"])),
        tokenizer=draw(st.sampled_from(["C1D", "SW", "LC"])),
        patch=patch,
        stride=draw(st.sampled_from([0, max(patch // 2, 1), patch - 1])),
        chunk_norm=draw(st.sampled_from(["none", "zscore"])),
        hidden=4 * heads * draw(st.integers(1, 3)),
        layers=draw(st.integers(1, 3)),
        heads=heads,
        mlp_ratio=draw(st.sampled_from([0.5, 1.7, 4.0])),
        dropout=draw(st.sampled_from([0.0, 0.1])),
        stochastic_depth=draw(st.sampled_from([0.0, 0.3])),
        pool=draw(st.sampled_from(["cls", "mean"])),
        positions=draw(st.sampled_from(["none", "learned", "sinusoidal", "rope", "pipe"])),
    )


def counted(network: nn.Module, model: VitModel | MlpModel, batch: int) -> tuple[int, int]:
    """Of a prediction, and of a training step."""
    channels = model.channels if isinstance(model, VitModel) else 1
    shape = (batch, PIXELS) if channels == 1 else (batch, channels, PIXELS)
    known = {torch.ops.mkldnn._linear_pointwise: map_flops}
    counting = FlopCounterMode(display=False, custom_mapping=known)
    with counting as counter, sdpa_kernel(SDPBackend.MATH):
        out = network(torch.randn(shape))
        forward = counter.get_total_flops()
        torch.autograd.backward(out.sum())
    return int(forward), int(counter.get_total_flops())


def map_flops(shape: torch.Size, weight: torch.Size, *_: object, **__: object) -> int:
    """Of oneDNN's map of (..., inputs) by (outputs, inputs), which torch does not count."""
    return 2 * math.prod(shape) * weight[0]


def checked(network: nn.Module, model: VitModel | MlpModel) -> None:
    assert parameters(model, 2, PIXELS) == param_count(network)
    two, three = (counted(network, model, batch) for batch in (2, 3))
    assert forward_flops(model, 2, PIXELS) == three[0] - two[0]
    assert training_flops(model, 2, PIXELS) == three[1] - two[1]


@settings(deadline=None, max_examples=15)
@given(model=models())
def test_a_vit_of_any_options(model: VitModel) -> None:
    wave = np.linspace(7100, 8850, PIXELS)
    checked(ViT(model, PIXELS, 2, wave), model)


def test_an_mlp() -> None:
    model = MlpModel(hidden=(7, 5))
    checked(MLP(model, PIXELS, 2), model)


def test_the_line_says_what_a_training_takes() -> None:
    config = read_config("vit", {"loss": "nll", "train": {"batch": 64, "accumulate": 4}})
    count = param_count(ViT(config.model, 4096, 2))  # type: ignore[union-attr, arg-type]
    said = describe(config)  # type: ignore[arg-type]
    assert said.startswith(f"ViT p1024_h128_L2_a8, 4 tokens: {count:,} parameters; 0.00")
    assert said.endswith("GB of memory for micro-batches of 16")
    assert describe(read_config("mlp", {})).startswith("MLP: 2,")  # type: ignore[arg-type]


def test_accumulation_saves_memory() -> None:
    whole, parts = (
        training_bytes(VitConfig(model=P16, train=TrainConfig(accumulate=n)), cuda=True)
        for n in (1, 8)
    )
    assert whole is not None
    assert parts is not None
    assert 4 * parts < whole
