"""Linear maps, dropout and attention with fast CPU versions, and the multi-layer perceptron."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vitlab.contract.networks import MlpModel

LEVELS = 256
"""Values of the random byte that decides whether a number is kept."""
ONEDNN = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
"""Whether this torch has oneDNN's matrix products."""
CACHE = 4 << 20
"""Bytes of attention weights processed at a time on a CPU, so that they stay in its cache."""


class MLP(nn.Module):
    """(B, L) input -> (B, outputs)."""

    def __init__(self, model: MlpModel, pixels: int, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = pixels
        for hidden in model.hidden:
            layers += [nn.Linear(width, hidden), nn.GELU(), nn.Dropout(model.dropout)]
            width = hidden
        self.layers = nn.Sequential(*layers, nn.Linear(width, outputs))

    def forward(self, spectra: Tensor) -> Tensor:
        labels: Tensor = self.layers(spectra)
        return labels


class Linear(nn.Linear):
    """On a CPU in fp32 by oneDNN, in place of what torch was built with (MKL).

    On an AMD EPYC core 8 to 26% faster forwards and to the input's gradient; not to the weights',
    which are torch's.
    """

    def forward(self, x: Tensor) -> Tensor:
        exact = x.device.type == "cpu" and x.dtype == self.weight.dtype == torch.float32
        other = torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling()
        if other or not (exact and ONEDNN):
            return functional.linear(x, self.weight, self.bias)
        mapped: Tensor = _Mapped.apply(x, self.weight, self.bias)  # type: ignore[no-untyped-call]
        return mapped


class _Mapped(torch.autograd.Function):
    """x W^T + b."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.biased = bias is not None
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None]:
        x, weight = ctx.saved_tensors
        (gradient,) = gradients
        to_x = _product(gradient, weight.t()) if ctx.needs_input_grad[0] else None
        rows = gradient.flatten(0, -2)
        return to_x, rows.t() @ x.flatten(0, -2), rows.sum(dim=0) if ctx.biased else None


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return out


class Dropout(nn.Module):
    """`drop` in training, nothing otherwise."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        return drop(x, self.rate) if self.training else x


def drop(x: Tensor, rate: float) -> Tensor:
    """`x` with a fraction `rate` set to 0 and the rest scaled up to keep the mean."""
    if rate == 0:
        return x
    if x.device.type != "cpu":
        return functional.dropout(x, rate)
    dropped: Tensor = _Dropped.apply(x, random_bytes(x.shape), rate)  # type: ignore[no-untyped-call]
    return dropped


def kept_share(rate: float) -> float:
    """The probability of being kept, in steps of 1/256; below 1 for any rate above 0."""
    return 1 - _threshold(rate) / LEVELS


def random_bytes(shape: torch.Size) -> Tensor:
    """uint8 on the CPU, from torch's generator."""
    if torch.compiler.is_compiling():  # which cannot see 8 bytes in an int64
        return torch.randint(LEVELS, shape, dtype=torch.uint8)
    n = shape.numel()
    # Twice as fast as torch's own generator, which gives the seed.
    seed = int(torch.empty((), dtype=torch.int64).random_())
    words = np.random.SFC64(seed).random_raw(-(-n // 8))
    return torch.from_numpy(words.view(np.uint8))[:n].view(shape)


def _threshold(rate: float) -> int:
    """Bytes below it drop."""
    return max(round(rate * LEVELS), 1) if rate else 0


def _masked(x: Tensor, chance: Tensor, rate: float) -> Tensor:
    """`x` where the bytes `chance` keep it, else 0; not rescaled."""
    kept: Tensor = torch.ops.aten.threshold_backward(x, chance.to(x.dtype), _threshold(rate) - 0.5)
    return kept


class _Dropped(torch.autograd.Function):
    """Saves only the random bytes for the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, chance: Tensor, rate: float) -> Tensor:
        ctx.rate = rate
        ctx.save_for_backward(chance)
        return _masked(x, chance, rate).div_(kept_share(rate))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (chance,) = ctx.saved_tensors
        (gradient,) = gradients
        return _masked(gradient, chance, ctx.rate).div_(kept_share(ctx.rate)), None, None


def attend(q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
    """Three (B, heads, tokens, D) -> softmax(q k^T / sqrt(D)) v of the same shape.

    Torch's fused attention, except on a CPU in bf16 or with dropout: there plain products of a few
    spectra at a time are twice as fast (257 tokens, 8 heads of 32, batch 16, forward and backward:
    250 instead of 510 ms in fp32 with dropout, 125 instead of 220 ms in bf16 without).
    """
    if q.device.type == "cpu" and (dropout or q.dtype == torch.bfloat16):
        return attend_in_parts(q, k, v, dropout)
    return functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout)


def attend_in_parts(q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
    """`attend` on a CPU, by plain products of a few spectra at a time."""
    mixed: Tensor = _AttentionInParts.apply(q, k, v, dropout)  # type: ignore[no-untyped-call]
    return mixed


class _AttentionInParts(torch.autograd.Function):
    """Saves the attention weights and one byte for each.

    With weights P, mask M (0 or 1 / kept share) and O = (P M) V, the backward pass is
    dS = P (dO V^T M - D), D the row sums of dO O (Dao et al. 2022, appendix B).
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
        batch, heads, count, width = q.shape
        shares = q.new_empty(batch, heads, count, count)
        out = q.new_empty(batch, count, heads, width).transpose(1, 2)
        chances = random_bytes(shares.shape) if dropout else None
        for part in _parts(shares):
            scores = (q[part] * width**-0.5) @ k[part].transpose(-2, -1)
            kept = torch.softmax(scores, dim=-1, out=shares[part])
            if chances is not None:
                kept = _masked(kept, chances[part], dropout)
            out[part] = (kept @ v[part]).div_(kept_share(dropout))
        ctx.dropout = dropout
        ctx.save_for_backward(q, k, v, shares, out, chances)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        q, k, v, shares, out, chances = ctx.saved_tensors
        (gradient,) = gradients
        batch, heads, count, width = q.shape
        # In the memory layout of `qkv`, so that its gradient needs no copy.
        to_qkv = q.new_empty(batch, count, 3, heads, width)
        to_q, to_k, to_v = to_qkv.permute(2, 0, 3, 1, 4)
        for part in _parts(shares):
            share, down = shares[part], gradient[part]
            row = (down.float() * out[part].float()).sum(dim=-1, keepdim=True).to(down.dtype)
            down = down / kept_share(ctx.dropout)
            kept, to_score = share, down @ v[part].transpose(-2, -1)
            if chances is None:
                to_score.sub_(row).mul_(share)
            else:
                kept = _masked(share, chances[part], ctx.dropout)
                to_score.mul_(kept).addcmul_(share, row, value=-1)
            to_v[part] = kept.transpose(-2, -1) @ down
            to_q[part] = (to_score @ k[part]).mul_(width**-0.5)
            to_k[part] = (to_score.transpose(-2, -1) @ q[part]).mul_(width**-0.5)
        return to_q, to_k, to_v, None


def _parts(shares: Tensor) -> list[slice]:
    """Slices of a batch that fit into the cache."""
    size = max(CACHE // (shares[0].numel() * shares.element_size()), 1) if len(shares) else 1
    return [slice(start, start + size) for start in range(0, len(shares), size)]
