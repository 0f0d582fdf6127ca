"""Tokenizers: spectra cut into patches, each patch a token.

The patches start at pixel 0, one stride apart. Where the last of them would not end at the last
pixel, one more does, overlapping its neighbour by more than the others: every pixel is seen, and
no token holds pixels that were never observed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

FLAT = 1e-12
"""Added to the variance of a patch (input units squared): one without scatter stays finite."""


class Conv1dTokens(nn.Module):
    """C1D: one strided convolution; a last patch off the stride is convolved by itself."""

    def __init__(self, channels: int, patch: int, stride: int, hidden: int, zscore: bool) -> None:
        super().__init__()
        self.patch, self.stride, self.zscore = patch, stride, zscore
        self.convolution = nn.Conv1d(channels, hidden, kernel_size=patch, stride=stride)
        self.features = nn.Linear(2 * channels, hidden, bias=False) if zscore else None
        start_tokens(self)

    def forward(self, spectra: Tensor) -> Tensor:
        """(B, C, L) -> (B, patches, hidden)."""
        if self.features is None:
            tokens: Tensor = self.convolution(spectra)  # (B, hidden, patches on the stride)
            if (spectra.shape[2] - self.patch) % self.stride:
                last = self.convolution(spectra[..., -self.patch :])  # (B, hidden, 1)
                tokens = torch.cat([tokens, last], dim=2)
            return tokens.transpose(1, 2)
        patches, features = chunk_norm(cut(spectra, self.patch, self.stride))
        side_by_side = patches.transpose(1, 2).flatten(2)  # (B, C, patches * patch)
        weight, bias = self.convolution.weight, self.convolution.bias
        tokens = functional.conv1d(side_by_side, weight, bias, stride=self.patch)
        mixed: Tensor = tokens.transpose(1, 2) + self.features(features)
        return mixed


class SlidingWindowTokens(nn.Module):
    """SW: windows cut out, then one linear map."""

    def __init__(self, channels: int, patch: int, stride: int, hidden: int, zscore: bool) -> None:
        super().__init__()
        self.patch, self.stride, self.zscore = patch, stride, zscore
        self.linear = nn.Linear(channels * (patch + 2 * zscore), hidden)
        start_tokens(self)

    def forward(self, spectra: Tensor) -> Tensor:
        """(B, C, L) -> (B, patches, hidden)."""
        tokens: Tensor = self.linear(_seen(spectra, self))
        return tokens


class LocalTokens(nn.Module):
    """LC: a linear map of its own for each patch, as in a perceptron's first layer."""

    def __init__(
        self, channels: int, patch: int, stride: int, hidden: int, zscore: bool, patches: int
    ) -> None:
        super().__init__()
        self.patch, self.stride, self.zscore = patch, stride, zscore
        inputs = channels * (patch + 2 * zscore)
        self.weight = nn.Parameter(torch.randn(patches, inputs, hidden) * inputs**-0.5)
        self.bias = nn.Parameter(torch.zeros(patches, 1, hidden))

    def forward(self, spectra: Tensor) -> Tensor:
        """(B, C, L) -> (B, patches, hidden)."""
        seen = _seen(spectra, self)
        tokens = torch.bmm(seen.transpose(0, 1), self.weight)  # (patches, B, hidden)
        return (tokens + self.bias).transpose(0, 1)

    @torch.no_grad()
    def see(self, directions: Tensor) -> None:
        """Start with `directions` (hidden, C, L): the sum of the tokens is the product with them.

        A pixel that two patches see counts for half in each.
        """
        own = cut(directions, self.patch, self.stride)  # (hidden, patches, C, patch)
        covers = torch.zeros(directions.shape[2:], device=directions.device)
        for start in patch_starts(directions.shape[2], self.patch, self.stride).tolist():
            covers[start : start + self.patch] += 1
        share = cut(1 / covers[None, None], self.patch, self.stride)  # (1, patches, 1, patch)
        self.weight.copy_((own * share).flatten(2).permute(1, 2, 0))


Tokens = Conv1dTokens | SlidingWindowTokens | LocalTokens


def make_tokens(
    name: str, channels: int, patch: int, stride: int, hidden: int, zscore: bool, patches: int
) -> Tokens:
    """The tokenizer `C1D`, `SW` or `LC`; `zscore` norms each patch (`chunk_norm`)."""
    match name:
        case "C1D":
            return Conv1dTokens(channels, patch, stride, hidden, zscore)
        case "SW":
            return SlidingWindowTokens(channels, patch, stride, hidden, zscore)
        case "LC":
            return LocalTokens(channels, patch, stride, hidden, zscore, patches)
    raise ValueError(f"tokenizer {name!r}")


def patch_starts(pixels: int, patch: int, stride: int) -> Tensor:
    """(patches,) first pixel of each."""
    starts = torch.arange(0, pixels - patch + 1, stride)
    if (pixels - patch) % stride:
        starts = torch.cat([starts, torch.tensor([pixels - patch])])
    return starts


def cut(spectra: Tensor, patch: int, stride: int) -> Tensor:
    """(B, C, L) -> (B, patches, C, patch)."""
    windows = spectra.unfold(2, patch, stride)  # (B, C, patches on the stride, patch)
    if (spectra.shape[2] - patch) % stride:
        windows = torch.cat([windows, spectra[:, :, None, -patch:]], dim=2)
    return windows.transpose(1, 2)


def _seen(spectra: Tensor, by: SlidingWindowTokens | LocalTokens) -> Tensor:
    """(B, C, L) -> (B, patches, inputs of a token)."""
    patches = cut(spectra, by.patch, by.stride)
    if not by.zscore:
        return patches.flatten(2)
    patches, features = chunk_norm(patches)
    return torch.cat([patches.flatten(2), features], dim=2)


def chunk_norm(patches: Tensor) -> tuple[Tensor, Tensor]:
    """(B, patches, C, patch) -> the same by its own mean and scatter, and (B, patches, 2 C).

    The features are the C means and the C ln scatters, so that patch = z exp(ln scatter) + mean:
    nothing is lost. In float32 whatever the precision around it: flux is 1 and a little.
    """
    patches = patches.float()
    mean = patches.mean(dim=3, keepdim=True)
    centred = patches - mean
    log_scatter = 0.5 * (centred.square().mean(dim=3, keepdim=True) + FLAT).log()
    features = torch.cat([mean, log_scatter], dim=3).transpose(2, 3).flatten(2)
    return centred * (-log_scatter).exp(), features


def start_tokens(tokenizer: nn.Module) -> None:
    """Normal weights with the variance one over all inputs of a token: its own is that of them.

    A tokenizer whose tokens start twice as large trains where the other does not, and a
    comparison would measure the start instead of the tokenizer.
    """
    weights = [weight for weight in tokenizer.parameters() if weight.dim() > 1]
    inputs = sum(weight[0].numel() for weight in weights)
    for parameter in tokenizer.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=inputs**-0.5)
        else:
            nn.init.zeros_(parameter)
