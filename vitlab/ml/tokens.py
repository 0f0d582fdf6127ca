"""Tokenizers: spectra cut into patches, each patch a token."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Conv1dTokens(nn.Module):
    """C1D: one strided convolution."""

    def __init__(self, patch: int, stride: int, hidden: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(1, hidden, kernel_size=patch, stride=stride)
        start_tokens(self.convolution.weight, self.convolution.bias)

    def forward(self, spectra: Tensor) -> Tensor:
        tokens: Tensor = self.convolution(spectra[:, None])  # (B, hidden, patches)
        return tokens.transpose(1, 2)  # (B, patches, hidden)


class SlidingWindowTokens(nn.Module):
    """SW: windows cut out, then one linear map."""

    def __init__(self, patch: int, stride: int, hidden: int) -> None:
        super().__init__()
        self.patch, self.stride = patch, stride
        self.linear = nn.Linear(patch, hidden)
        start_tokens(self.linear.weight, self.linear.bias)

    def forward(self, spectra: Tensor) -> Tensor:
        windows = spectra.unfold(1, self.patch, self.stride)  # (B, patches, patch)
        return functional.linear(windows, self.linear.weight, self.linear.bias)


def make_tokens(name: str, patch: int, stride: int, hidden: int) -> nn.Module:
    """The tokenizer `C1D` or `SW`."""
    kinds = {"C1D": Conv1dTokens, "SW": SlidingWindowTokens}
    return kinds[name](patch, stride, hidden)


def token_count(pixels: int, patch: int, stride: int) -> int:
    """Whole patches in a spectrum; pixels left over at the red end are not seen."""
    return (pixels - patch) // stride + 1


def start_tokens(weight: Tensor, bias: Tensor | None) -> None:
    """Same token variance for every tokenizer: that of the pixels.

    A tokenizer whose tokens start twice as large trains where the other does not, and a
    comparison would measure the start instead of the tokenizer.
    """
    assert bias is not None
    nn.init.normal_(weight, std=weight[0].numel() ** -0.5)
    with torch.no_grad():
        bias.zero_()
