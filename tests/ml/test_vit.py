"""The transformer: its size, its tokenizers and its shapes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vitlab.contract.networks import VitModel
from vitlab.ml.attention import Attention, attend
from vitlab.ml.vit import ViT, param_count


def test_the_model_of_record_has_its_size() -> None:
    assert 4.8e6 <= param_count(ViT(VitModel(), 4096, 1)) <= 4.9e6


@pytest.mark.parametrize("tokenizer", ["C1D", "SW"])
@pytest.mark.parametrize("pool", ["cls", "mean"])
@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "none"])
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
    )
    out = model(torch.randn(5, 300))
    assert out.shape == (5, 3)
    out.square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())


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


def test_attention_in_bf16_is_that_of_fp32() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, 9, 8, generator=generator) for _ in range(3))
    rough = attend(q.bfloat16(), k.bfloat16(), v.bfloat16(), 0.0)
    torch.testing.assert_close(rough.float(), attend(q, k, v, 0.0), atol=0.03, rtol=0.03)


def test_without_positions_the_patches_may_be_exchanged() -> None:
    torch.manual_seed(0)
    kinds = {}
    for positions in ("none", "learned"):
        model = ViT(
            VitModel(patch=8, hidden=16, layers=1, heads=2, positions=positions, pool="mean"),
            64,
            1,
        ).eval()
        spectra = torch.randn(3, 64)
        mixed = spectra.view(3, 8, 8).flip(1).reshape(3, 64)
        kinds[positions] = torch.allclose(model(spectra), model(mixed), atol=1e-6)
    assert kinds == {"none": True, "learned": False}
