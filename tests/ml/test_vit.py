"""The transformer: its size, its tokenizers and its shapes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from tests.ml.models import P16
from vitlab.contract.networks import VitModel
from vitlab.ml.network import layers
from vitlab.ml.network.layers import attend, attend_in_parts, drop, kept_share, random_bytes
from vitlab.ml.network.vit import Attention, Block, ViT, param_count
from vitlab.ml.spectra.inputs import Inputs
from vitlab.ml.spectra.observation import Batch


def test_the_model_of_record_has_its_size() -> None:
    assert 4.8e6 <= param_count(ViT(P16, 4096, 1)) <= 4.9e6


@pytest.mark.parametrize("tokenizer", ["C1D", "SW", "LC"])
@pytest.mark.parametrize("pool", ["cls", "mean"])
@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "none", "rope", "pipe"])
@pytest.mark.parametrize("stride", [0, 24])
def test_every_kind_predicts_and_learns(
    tokenizer: str, pool: str, positions: str, stride: int
) -> None:
    model = ViT(
        VitModel(
            tokenizer=tokenizer,  # type: ignore[arg-type]
            patch=32,
            stride=stride,
            hidden=16,
            layers=2,
            heads=2,
            pool=pool,  # type: ignore[arg-type]
            positions=positions,  # type: ignore[arg-type]
        ),
        pixels=300,
        outputs=3,
        wave=np.linspace(7100, 8850, 300),
    )
    out = model(torch.randn(5, 300))
    assert out.shape == (5, 3)
    out.square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_an_error_without_end_is_shown_as_no_weight() -> None:
    inputs = Inputs("flux+error", torch.tensor([0.1, 0.1, 0.1, 0.1]))
    error = torch.tensor([[0.1, 0.3, math.inf, 0.0]])
    batch = Batch(torch.tensor([[1.0, 0.9, 1.1, 1.0]]), error, np.zeros((1, 1)))
    flux, weight = inputs(batch)[0]
    assert torch.equal(flux, batch.flux[0])
    assert weight.tolist() == pytest.approx([0.5, 0.25, 0, 1])


def test_layers_are_dropped_and_the_mean_stays() -> None:
    torch.manual_seed(0)
    block = Block(VitModel(hidden=8, heads=2, mlp_ratio=4.0), 0.25)
    for parameter in block.mlp.parameters():  # so that the step is linear in its weight
        torch.nn.init.zeros_(parameter)
    tokens = torch.randn(1, 3, 8).expand(4000, 3, 8)
    with torch.no_grad():
        steps = block(tokens) - tokens
        skipped = (steps == 0).flatten(1).all(dim=1)
        assert float(skipped.float().mean()) == pytest.approx(0.25, abs=0.03)
        block.eval()
        exact = block(tokens[:1]) - tokens[:1]
    torch.testing.assert_close(steps.mean(dim=0), exact[0], rtol=0.05, atol=1e-6)


def test_drop_path_rises_to_the_last_layer() -> None:
    network = ViT(VitModel(patch=16, layers=3, hidden=8, heads=2, stochastic_depth=0.4), 64, 1)
    rates = [block.drop_path for block in network.blocks if isinstance(block, Block)]
    assert rates == pytest.approx([0, 0.2, 0.4])


def test_attention_is_torchs() -> None:
    torch.manual_seed(0)
    ours, theirs = Attention(24, 3, 0.0), nn.MultiheadAttention(24, 3, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.qkv.weight)
        theirs.in_proj_bias.copy_(ours.qkv.bias)
        theirs.out_proj.load_state_dict(ours.out.state_dict())
    tokens = torch.randn(2, 7, 24)
    wanted, _ = theirs(tokens, tokens, tokens)
    torch.testing.assert_close(ours(tokens), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("batch", [0, 1, 5])
def test_attention_in_parts_is_the_formula(
    dropout: float, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same bytes deciding: values and gradients, in parts of two spectra."""
    monkeypatch.setattr(layers, "CACHE", 2 * 3 * 9 * 9 * 4)
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(batch, 3, 9, 8, generator=generator) for _ in range(3))
    parts = [part.requires_grad_() for part in (q, k, v)]
    torch.manual_seed(1)
    found = attend_in_parts(q, k, v, dropout)
    torch.manual_seed(1)
    share = (q @ k.transpose(2, 3) / 8**0.5).softmax(dim=-1)
    if dropout:
        kept = random_bytes(share.shape) >= round(256 * dropout)
        share = share * kept / kept_share(dropout)
    wanted = share @ v
    torch.testing.assert_close(found, wanted)
    pull = torch.randn(wanted.shape, generator=generator)
    torch.testing.assert_close(
        torch.autograd.grad(found, parts, pull), torch.autograd.grad(wanted, parts, pull)
    )


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.95])
def test_dropout_keeps_its_share_and_the_mean(rate: float, kind: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.ones(50_001, dtype=kind, requires_grad=True)
    dropped = drop(x, rate)
    (gradient,) = torch.autograd.grad(dropped.float().sum(), x)
    share = float((dropped != 0).float().mean())
    assert share == pytest.approx(kept_share(rate), abs=4 * (0.25 / len(x)) ** 0.5)
    assert kept_share(rate) == pytest.approx(1 - rate, abs=0.5 / 256)
    assert dropped.max().item() == pytest.approx(1 / kept_share(rate), rel=1e-2)
    torch.testing.assert_close(gradient, dropped)


def test_dropout_of_nearly_nothing_drops_and_of_nothing_does_not() -> None:
    x = torch.ones(100_000)
    assert 0 < int((drop(x, 1e-4) == 0).sum()) < 1000
    assert drop(x, 0) is x


def test_attention_in_bf16_is_that_of_fp32() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, 9, 8, generator=generator) for _ in range(3))
    rough = attend(q.bfloat16(), k.bfloat16(), v.bfloat16(), 0.0)
    torch.testing.assert_close(rough.float(), attend(q, k, v, 0.0), atol=0.03, rtol=0.03)


def test_attention_in_bf16_with_dropout_has_the_gradients_of_fp32() -> None:
    generator = torch.Generator().manual_seed(0)
    exact = [torch.randn(2, 3, 40, 8, generator=generator, requires_grad=True) for _ in range(3)]
    rough = [part.detach().bfloat16().requires_grad_() for part in exact]
    pull = torch.randn(2, 3, 40, 8, generator=generator)
    found = []
    for q, k, v in (exact, rough):
        torch.manual_seed(1)
        mixed = attend_in_parts(q, k, v, 0.3)
        found.append(torch.autograd.grad(mixed, (q, k, v), pull.to(mixed.dtype)))
    for wanted, near in zip(*found, strict=True):
        assert float((near.float() - wanted).norm() / wanted.norm()) < 0.02


@pytest.mark.parametrize("shape", [(5, 12), (3, 7, 12), (0, 12)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_map_is_torchs(shape: tuple[int, ...], bias: bool) -> None:
    """Values and gradients; of an input that asks for none too."""
    torch.manual_seed(0)
    ours, x = layers.Linear(12, 6, bias=bias), torch.randn(shape, requires_grad=True)
    found, wanted = ours(x), nn.functional.linear(x, ours.weight, ours.bias)
    torch.testing.assert_close(found, wanted)
    pull = torch.randn(wanted.shape)[..., :1].expand(wanted.shape)  # not contiguous
    given = [x, *ours.parameters()]
    torch.testing.assert_close(
        torch.autograd.grad(found, given, pull), torch.autograd.grad(wanted, given, pull)
    )
    assert ours(x.detach()).requires_grad
    assert (ours(x).grad_fn.name() == "_MappedBackward") == layers.ONEDNN
    with torch.autocast("cpu", torch.bfloat16):
        assert ours(x).dtype == torch.bfloat16


def test_random_bytes_follow_torchs_seed_and_are_equally_frequent() -> None:
    torch.manual_seed(3)
    first, second = random_bytes(torch.Size((256_000,))), random_bytes(torch.Size((3, 5)))
    torch.manual_seed(3)
    assert torch.equal(random_bytes(torch.Size((256_000,))), first)
    assert torch.equal(random_bytes(torch.Size((3, 5))), second)
    assert not torch.equal(random_bytes(torch.Size((3, 5))), second)
    counts = torch.bincount(first.long(), minlength=256).double()
    assert 150 < float(((counts - 1000) ** 2 / 1000).sum()) < 370  # chi-square of 255
