"""The Vision Transformer for spectra: patch tokens, a pre-norm encoder, a regression head.

Unusual choices: one channel, one dimension; [CLS] or the mean of the tokens; every tokenizer
starts at the same token variance; the head starts near zero, so the first prediction is the mean
of the scaled labels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vitlab.contract.networks import VitModel
from vitlab.ml.positions import make_positions
from vitlab.ml.tokens import make_tokens, token_count


def attend(q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
    """(B, heads, places, D) three times -> the same: softmax(q k^T / sqrt(D)) v.

    Torch's fused attention, except in bf16 on a CPU: there the plain products are four times
    faster at 64 places (9 against 41 ms, forward and backward, batch 128, 4 heads of 32).
    """
    if q.device.type == "cpu" and q.dtype == torch.bfloat16:
        share = ((q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)).softmax(dim=-1)
        plain: Tensor = functional.dropout(share, dropout).to(v.dtype) @ v
        return plain
    return functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout)


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.out = nn.Linear(hidden, hidden)

    def forward(self, tokens: Tensor) -> Tensor:
        batch, places, hidden = tokens.shape
        qkv = self.qkv(tokens).view(batch, places, 3, self.heads, hidden // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, places, hidden / heads)
        mixed = attend(q, k, v, self.dropout if self.training else 0.0)
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, places, hidden))
        return out


class Block(nn.Module):
    """One encoder layer, normalised before each part."""

    def __init__(self, model: VitModel) -> None:
        super().__init__()
        hidden, inner = model.hidden, round(model.hidden * model.mlp_ratio)
        self.norm_attention = nn.LayerNorm(hidden)
        self.attention = Attention(hidden, model.heads, model.dropout)
        self.norm_mlp = nn.LayerNorm(hidden)
        self.mlp = nn.Sequential(
            nn.Linear(hidden, inner),
            nn.GELU(),
            nn.Dropout(model.dropout),
            nn.Linear(inner, hidden),
        )
        self.drop = nn.Dropout(model.dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.drop(self.attention(self.norm_attention(tokens)))
        mixed: Tensor = tokens + self.drop(self.mlp(self.norm_mlp(tokens)))
        return mixed


class ViT(nn.Module):
    """(B, L) input -> (B, K) labels on the network's scale."""

    def __init__(self, model: VitModel, pixels: int, outputs: int) -> None:
        super().__init__()
        stride = model.stride or model.patch
        places = token_count(pixels, model.patch, stride)
        self.blocks = nn.Sequential(*(Block(model) for _ in range(model.layers)))
        self.norm = nn.LayerNorm(model.hidden)
        self.head = nn.Linear(model.hidden, outputs)
        self.apply(_start)
        self.tokens = make_tokens(model.tokenizer, model.patch, stride, model.hidden)
        self.cls: nn.Parameter | None = None
        if model.pool == "cls":
            self.cls = nn.Parameter(torch.randn(model.hidden) * 0.02)
            places += 1
        self.positions = make_positions(model.positions, places, model.hidden)
        self.drop = nn.Dropout(model.dropout)

    def forward(self, spectra: Tensor) -> Tensor:
        tokens = self.tokens(spectra)  # (B, patches, hidden)
        if self.cls is not None:
            cls = self.cls.to(tokens.dtype).expand(len(tokens), 1, -1)
            tokens = torch.cat([cls, tokens], dim=1)
        tokens = self.blocks(self.drop(self.positions(tokens)))  # (B, places, hidden)
        summary = tokens[:, 0] if self.cls is not None else tokens.mean(dim=1)  # (B, hidden)
        labels: Tensor = self.head(self.norm(summary))
        return labels


def param_count(model: nn.Module) -> int:
    """Trainable numbers of a model."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def _start(module: nn.Module) -> None:
    """Linear maps: truncated normal, 0.02; biases 0. Layer norms keep 1 and 0."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
