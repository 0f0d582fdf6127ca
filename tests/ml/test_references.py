"""The whole encoder against Hugging Face's frozen answers and torch's own encoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tests.ml.models import P16
from vitlab.ml.network.vit import Block, ViT

FROZEN = Path(__file__).parent / "fixtures/hf_vit.npz"
"""Made by benchmarks/hf_reference.py."""
MODEL = replace(P16, patch=8, hidden=24, layers=3, heads=3)


def from_hugging_face(theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Their weights by our names."""
    ours = {
        "cls": theirs["embeddings.cls_token"].flatten(),
        "positions.table": theirs["embeddings.position_embeddings"][0],
        "tokens.convolution.weight": theirs["embeddings.patch_embeddings.projection.weight"][:, 0],
        "tokens.convolution.bias": theirs["embeddings.patch_embeddings.projection.bias"],
    }
    names = {
        "attention.out": "attention.o_proj",
        "norm_attention": "layernorm_before",
        "norm_mlp": "layernorm_after",
        "mlp.0": "mlp.fc1",
        "mlp.3": "mlp.fc2",
    }
    for kind in ("weight", "bias"):
        ours[f"norm.{kind}"] = theirs[f"layernorm.{kind}"]
        for i in range(MODEL.layers):
            layer = f"layers.{i}"
            qkv = [theirs[f"{layer}.attention.{one}_proj.{kind}"] for one in "qkv"]
            ours[f"blocks.{i}.attention.qkv.{kind}"] = torch.cat(qkv)
            for name, their_name in names.items():
                ours[f"blocks.{i}.{name}.{kind}"] = theirs[f"{layer}.{their_name}.{kind}"]
    return ours


def test_hugging_faces_vit_is_reproduced() -> None:
    with np.load(FROZEN, allow_pickle=False) as file:
        arrays = {name: torch.from_numpy(file[name]) for name in file.files}
    theirs = {n.removeprefix("weight/"): x for n, x in arrays.items() if n.startswith("weight/")}
    spectra, states = arrays["spectra"], arrays["states"]
    network = ViT(MODEL, spectra.shape[1], 1).eval()
    missing, unexpected = network.load_state_dict(from_hugging_face(theirs), strict=False)
    assert set(missing) == {"head.weight", "head.bias", "centre", "gain"}
    assert not unexpected
    with torch.no_grad():
        found = network.norm(network.encode(spectra))
        torch.testing.assert_close(found, states, atol=1e-5, rtol=1e-5)
        labels = network.head(states[:, 0])
        torch.testing.assert_close(network(spectra), labels, atol=1e-5, rtol=1e-5)
    assert states.std() > 0.5


def test_torchs_encoder_is_reproduced_with_its_gradients() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(
        24, 3, 96, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    theirs = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    ours = nn.Sequential(*(Block(replace(MODEL, dropout=0.0), 0) for _ in range(2)))
    names = {
        "attention.qkv.weight": "self_attn.in_proj_weight",
        "attention.qkv.bias": "self_attn.in_proj_bias",
        "attention.out": "self_attn.out_proj",
        "norm_attention": "norm1",
        "norm_mlp": "norm2",
        "mlp.0": "linear1",
        "mlp.3": "linear2",
    }
    weights = dict(theirs.named_parameters())
    for name, weight in ours.named_parameters():
        i, rest = name.split(".", 1)
        for mine, other in names.items():
            rest = rest.replace(mine, other)
        weight.data = weights[f"layers.{i}.{rest}"].detach().clone().requires_grad_()
    tokens = torch.randn(2, 11, 24)
    pull = torch.randn(2, 11, 24)
    found, wanted = ours(tokens), theirs(tokens)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    to_mine = torch.autograd.grad(found, ours[0].get_parameter("attention.qkv.weight"), pull)
    to_theirs = torch.autograd.grad(wanted, weights["layers.0.self_attn.in_proj_weight"], pull)
    torch.testing.assert_close(to_mine, to_theirs, atol=1e-4, rtol=1e-4)
