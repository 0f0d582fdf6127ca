"""Where a ViT's attention looks: how much of each patch reaches what the head reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vitlab.ml.attention import Attention
from vitlab.ml.tokens import patch_starts
from vitlab.ml.vit import ViT

Array = NDArray[np.float64]


@torch.no_grad()
def attention_shares(network: ViT, inputs: Tensor) -> list[Tensor]:
    """(1, L) or (1, channels, L) input -> for each layer (places, places) mean shares of the heads.

    Row i says where place i looks. The kernels do not keep them, so they are made again from what
    each layer is given.
    """
    found: list[Tensor] = []

    def keep(layer: Attention, given: tuple[Any, ...]) -> None:
        tokens, rotation = given[0], given[1] if len(given) > 1 else None
        batch, places, hidden = tokens.shape
        qkv = layer.qkv(tokens).view(batch, places, 3, layer.heads, hidden // layer.heads)
        q, k, _ = qkv.permute(2, 0, 3, 1, 4)  # (1, heads, places, width)
        if rotation is not None:
            q, k = rotation(q), rotation(k)
        scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
        found.append(torch.softmax(scores.double(), dim=-1).mean(dim=1)[0])

    layers = [part for part in network.modules() if isinstance(part, Attention)]
    hooks = [layer.register_forward_pre_hook(keep) for layer in layers]
    try:
        network.eval()(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def rollout(shares: list[Tensor]) -> Tensor:
    """(places, places) how much of each place is in each at the end; rows sum to 1.

    Abnar & Zuidema 2020, section 3: the product over the layers of (A + 1) / 2, the 1 for what
    passes by the attention.
    """
    mixed = torch.eye(len(shares[0]), dtype=shares[0].dtype, device=shares[0].device)
    one = mixed.clone()
    for share in shares:
        mixed = (share + one) / 2 @ mixed
    return mixed


def attention_by_pixel(network: ViT, inputs: Tensor) -> Array:
    """(L,) share of each pixel in what the head reads, summing to 1: its patches' shares."""
    mixed = rollout(attention_shares(network, inputs))
    # [CLS] is what the head reads, and no part of the spectrum.
    read = mixed[0, 1:] if network.cls is not None else mixed.mean(dim=0)
    shares = (read / read.sum()).cpu().numpy()
    patch, pixels = network.tokens.patch, inputs.shape[-1]
    starts = patch_starts(pixels, patch, network.tokens.stride).tolist()
    spread = np.zeros(pixels)
    for start, share in zip(starts, shares, strict=True):
        spread[start : start + patch] += share / patch
    return spread
