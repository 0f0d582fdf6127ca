"""muP: activations and their changes keep their size at any width, and its parts are in place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.ml.models import P16
from vitlab.contract.config import ConfigError, read_config
from vitlab.contract.networks import TrainConfig, VitModel
from vitlab.ml.network.vit import Attention, ViT
from vitlab.ml.training.optimizers import make_optimizers, set_rate

BASE = 32
SMALL = replace(P16, patch=32, layers=2, heads=4, dropout=0.0, hidden=BASE)
TRAIN = TrainConfig(lr=3e-5, weight_decay=0.1)
"""A rate at which no step overshoots: the output then grows in proportion to the steps."""


def change(model: VitModel, steps: int = 3) -> tuple[float, float]:
    """Mean |change| of the last tokens and of the output over some steps of AdamW."""
    torch.manual_seed(0)
    network = ViT(model, 128, 1)
    optimizers = make_optimizers(network, TRAIN)
    set_rate(optimizers, TRAIN.lr)
    generator = torch.Generator().manual_seed(1)
    spectra = torch.randn(16, 128, generator=generator)
    labels = spectra[:, :64].sum(dim=1, keepdim=True) / 8
    start = network.encode(spectra).detach(), network(spectra).detach()
    for _ in range(steps):
        network.zero_grad()
        (network(spectra) - labels).square().mean().backward()
        for optimizer in optimizers:
            optimizer.step()
    tokens, output = network.encode(spectra).detach(), network(spectra).detach()
    return float((tokens - start[0]).abs().mean()), float((output - start[1]).abs().mean())


def test_the_coordinate_check() -> None:
    """Slopes of ln change against ln width, 32 to 128 (Yang et al. 2022, appendix D.1)."""
    widths = (32, 64, 128)
    slopes = {}
    for base in (0, BASE):
        changes = [change(replace(SMALL, hidden=width, mup=base)) for width in widths]
        slopes[base] = np.polyfit(np.log(widths), np.log(changes), 1)[0]
    assert np.abs(slopes[BASE]).max() < 0.15, slopes
    assert slopes[0].max() > 0.4, slopes


def test_at_the_base_width_it_is_the_standard_form() -> None:
    spectra = torch.randn(4, 128)
    outputs = []
    for base in (0, BASE):
        torch.manual_seed(0)
        outputs.append(ViT(replace(SMALL, mup=base), 128, 1)(spectra))
    assert torch.equal(*outputs)


def test_rates_and_weights_of_a_wider_network() -> None:
    torch.manual_seed(0)
    narrow = ViT(replace(SMALL, hidden=4 * BASE), 128, 1)
    torch.manual_seed(0)
    wide = ViT(replace(SMALL, hidden=4 * BASE, mup=BASE), 128, 1)
    (optimizer,) = make_optimizers(wide, TRAIN)
    set_rate([optimizer], 1e-3)
    of = {id(p): (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    rates = {name: of[id(p)] for name, p in wide.named_parameters()}
    hidden = pytest.approx((1e-3 / 4, 0.4))
    assert rates["blocks.0.attention.qkv.weight"] == rates["head.weight"] == hidden
    assert rates["blocks.1.mlp.3.weight"] == hidden
    assert rates["tokens.convolution.weight"] == pytest.approx((1e-3, 0.1))
    assert rates["blocks.0.attention.qkv.bias"] == pytest.approx((1e-3, 0.0))
    for name, factor in (("blocks.0.mlp.0", 0.5), ("head", 0.25), ("tokens.convolution", 1.0)):
        wanted = narrow.get_parameter(f"{name}.weight") * factor
        assert torch.equal(wide.get_parameter(f"{name}.weight"), wanted)
    logits = []
    for width in (32, 512):
        attention = ViT(replace(SMALL, hidden=width, mup=BASE), 128, 1).get_submodule(
            "blocks.0.attention"
        )
        assert isinstance(attention, Attention)
        logits.append(attention.scale * (width / SMALL.heads) ** -0.5)
    assert logits[0] / logits[1] == pytest.approx(512 / 32)  # 1 / d, not 1 / sqrt(d)


def test_it_is_for_adamw() -> None:
    with pytest.raises(ConfigError, match=r"config.model.mup: its rates are those of adamw"):
        read_config("vit", {"model": {"mup": 64}, "train": {"optimizer": "muon"}})
