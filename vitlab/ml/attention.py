"""Multi-head self-attention: the products, and which kernel does them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vitlab.ml.dropout import kept_share, masked, random_bytes
from vitlab.ml.positions import Rotation

CACHE = 4 << 20
"""Bytes of attention shares worked on at a time on a CPU, so that they stay in its cache."""


def attend(q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
    """(B, heads, places, D) three times -> the same: softmax(q k^T / sqrt(D)) v.

    Torch's fused attention, except on a CPU in bf16 or with dropout: there the plain products of
    a few spectra at a time are two times faster (257 places, 8 heads of 32, batch 16, forward and
    backward: 250 against 510 ms in fp32 with dropout, 125 against 220 ms in bf16 without).
    """
    if q.device.type == "cpu" and (dropout or q.dtype == torch.bfloat16):
        return by_parts(q, k, v, dropout)
    return functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout)


def by_parts(q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
    """`attend` by plain products of a few spectra at a time; on a CPU."""
    mixed: Tensor = _Plain.apply(q, k, v, dropout)  # type: ignore[no-untyped-call]
    return mixed


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.out = nn.Linear(hidden, hidden)

    def forward(self, tokens: Tensor, rotation: Rotation | None = None) -> Tensor:
        batch, places, hidden = tokens.shape
        qkv = self.qkv(tokens).view(batch, places, 3, self.heads, hidden // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, places, hidden / heads)
        if rotation is not None:
            q, k = rotation(q), rotation(k)
        mixed = attend(q, k, v, self.dropout if self.training else 0.0)
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, places, hidden))
        return out


class _Plain(torch.autograd.Function):
    """The products of a few spectra at a time; keeps their shares and one byte for each.

    With shares P, kept ones M (0 or 1 / kept share) and O = (P M) V, the backward pass is
    dS = P (dO V^T M - D), D the row sums of dO O (Dao et al. 2022, appendix B).
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
        batch, heads, places, width = q.shape
        shares = q.new_empty(batch, heads, places, places)
        out = q.new_empty(batch, places, heads, width).transpose(1, 2)
        chances = random_bytes(shares.shape) if dropout else None
        for part in _parts(shares):
            scores = (q[part] * width**-0.5) @ k[part].transpose(-2, -1)
            kept = torch.softmax(scores, dim=-1, out=shares[part])
            if chances is not None:
                kept = masked(kept, chances[part], dropout)
            out[part] = (kept @ v[part]).div_(kept_share(dropout))
        ctx.dropout = dropout
        ctx.save_for_backward(q, k, v, shares, out, chances)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        q, k, v, shares, out, chances = ctx.saved_tensors
        (gradient,) = gradients
        batch, heads, places, width = q.shape
        # As `qkv` lies in memory, so that its gradient needs no copy.
        to_qkv = q.new_empty(batch, places, 3, heads, width)
        to_q, to_k, to_v = to_qkv.permute(2, 0, 3, 1, 4)
        for part in _parts(shares):
            share, pull = shares[part], gradient[part]
            row = (pull.float() * out[part].float()).sum(dim=-1, keepdim=True).to(pull.dtype)
            pull = pull / kept_share(ctx.dropout)
            kept, to_share = share, pull @ v[part].transpose(-2, -1)
            if chances is not None:
                kept = masked(share, chances[part], ctx.dropout)
                to_share = masked(to_share, chances[part], ctx.dropout)
            to_v[part] = kept.transpose(-2, -1) @ pull
            to_score = to_share.sub_(row).mul_(share)
            to_q[part] = (to_score @ k[part]).mul_(width**-0.5)
            to_k[part] = (to_score.transpose(-2, -1) @ q[part]).mul_(width**-0.5)
        return to_q, to_k, to_v, None


def _parts(shares: Tensor) -> list[slice]:
    """The spectra of a batch, as many together as fit into the cache."""
    size = max(CACHE // (shares[0].numel() * shares.element_size()), 1) if len(shares) else 1
    return [slice(start, start + size) for start in range(0, len(shares), size)]
