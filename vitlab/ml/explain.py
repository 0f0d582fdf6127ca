"""What a trained model's estimate depends on: attention rollout and saliency, by pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vitlab.ml.baselines.trees import Boost
from vitlab.ml.network.vit import Attention, ViT, patch_starts
from vitlab.ml.spectra.inputs import Inputs
from vitlab.ml.spectra.observation import Batch

Array = NDArray[np.float64]
MOST_TOKENS = 1024
"""Beyond, a network's attention is not computed: it takes the square of them for each layer."""


@torch.no_grad()
def attention_shares(network: ViT, inputs: Tensor) -> list[Tensor]:
    """(1, L) or (1, C, L) input -> (T, T) attention of each layer, the mean over the heads.

    Row i is what token i reads. The kernels do not keep it, so it is computed again from each
    layer's input.
    """
    shares: list[Tensor] = []

    def keep(layer: Attention, given: tuple[Any, ...]) -> None:
        q, k, _ = layer.queries_keys_values(given[0], given[1] if len(given) > 1 else None)
        heads = zip(q[0], k[0], strict=True)  # one after the other: (H, T, T) may be gigabytes
        each = (torch.softmax((a @ b.T * a.shape[-1] ** -0.5).double(), dim=-1) for a, b in heads)
        shares.append(sum(each, start=torch.zeros(())) / q.shape[1])

    layers = [part for part in network.modules() if isinstance(part, Attention)]
    hooks = [layer.register_forward_pre_hook(keep) for layer in layers]
    try:
        network.eval()(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return shares


def rollout(shares: list[Tensor]) -> Tensor:
    """(T, T) contribution of each input token to each output token; rows sum to 1.

    Abnar & Zuidema 2020, section 3: the product over the layers of (A + 1) / 2, where 1 is the
    residual connection.
    """
    mixed = torch.eye(len(shares[0]), dtype=shares[0].dtype, device=shares[0].device)
    one = mixed.clone()
    for share in shares:
        mixed = (share + one) / 2 @ mixed
    return mixed


def attention_by_pixel(network: ViT, inputs: Tensor) -> Array | None:
    """(L,) each pixel's share of what the head reads, from its patches; sums to 1.

    None for a network of more than `MOST_TOKENS`: each layer's is their square.
    """
    patch, pixels = network.tokens.patch, inputs.shape[-1]
    starts = patch_starts(pixels, patch, network.tokens.stride).tolist()
    if len(starts) > MOST_TOKENS:
        return None
    mixed = rollout(attention_shares(network, inputs))
    # The head reads [CLS], which is not part of the spectrum.
    read = mixed[0, 1:] if network.cls is not None else mixed.mean(dim=0)
    shares = (read / read.sum()).cpu().numpy()
    spread = np.zeros(pixels)
    for start, share in zip(starts, shares, strict=True):
        spread[start : start + patch] += share / patch
    return spread


def gradient(predict: Callable[[Tensor], Tensor], inputs: Inputs, batch: Batch, k: int) -> Tensor:
    """(1, L) d label / d flux of one star, errors held fixed; `predict`: inputs -> (1, K).

    Simonyan, Vedaldi & Zisserman 2014, section 3. Exact for a linear model.
    """
    flux = batch.flux.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        label = predict(inputs(replace(batch, flux=flux)))[0, k]
        (slope,) = torch.autograd.grad(label, flux)
    return slope


def noise_response(slope: Tensor, error: Tensor) -> Array:
    """(1, L) slope, (1, L) 1-sigma errors -> (L,) change of the label per sigma of each pixel.

    NaN where a pixel has no data. For independent noise the squares sum to the variance of the
    estimate, to first order.
    """
    known = error.isfinite()
    change = torch.where(known, slope * torch.where(known, error, 0), torch.nan)
    return change[0].double().cpu().numpy()


def contributions(boost: Boost, x: NDArray[np.float32], k: int) -> Array:
    """(1, L) input -> (L,) contribution of each pixel to label `k`, in its unit.

    TreeSHAP (Lundberg et al. 2020, Nature MI 2, 56): with the mean of the training labels and that
    of the trees they sum to the estimate.
    """
    parts = np.asarray(boost.boosters[k].predict(x, num_iteration=boost.rounds, pred_contrib=True))
    return parts[0, :-1].astype(np.float64)
