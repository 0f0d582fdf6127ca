"""The Vision Transformer for spectra: patch tokens, a pre-norm encoder, a regression head.

Unusual choices: one or two channels, one dimension; [CLS] or the mean of the tokens; the input is
standardised inside the network and every tokenizer keeps its variance, so that all kinds start
alike; the head starts near zero, so the first prediction is the mean of the scaled labels.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vitlab.contract.networks import VitModel
from vitlab.contract.strict import ConfigError
from vitlab.ml.attention import Attention
from vitlab.ml.dropout import Dropout
from vitlab.ml.inputs import make_inputs
from vitlab.ml.positions import (
    LearnedPositions,
    Rotation,
    SinusoidalPositions,
    WavelengthPositions,
)
from vitlab.ml.principal import principal_directions
from vitlab.ml.spectra import Spectra
from vitlab.ml.tokens import LocalTokens, cut, make_tokens, patch_starts

SAMPLE = 256
"""Training spectra whose mean and scatter standardise the input."""
FEW = 32
"""Those of them whose tokens are made once to measure their variance."""


class Block(nn.Module):
    """One encoder layer, normalised before each part."""

    def __init__(self, model: VitModel, pass_over: float) -> None:
        """`pass_over`: chance that a spectrum in training skips this layer (Huang et al. 2016)."""
        super().__init__()
        self.pass_over = pass_over
        self.norm_attention = nn.LayerNorm(model.hidden)
        self.attention = Attention(model.hidden, model.heads, model.dropout)
        self.norm_mlp = nn.LayerNorm(model.hidden)
        self.mlp = nn.Sequential(
            nn.Linear(model.hidden, model.inner),
            nn.GELU(),
            Dropout(model.dropout),
            nn.Linear(model.inner, model.hidden),
        )
        self.drop = Dropout(model.dropout)

    def forward(self, tokens: Tensor, rotation: Rotation | None = None) -> Tensor:
        """(B, places, hidden) -> the same."""
        taken = self._taken(tokens)
        mixed = self.drop(self.attention(self.norm_attention(tokens), rotation))
        tokens = tokens + (mixed if taken is None else taken * mixed)
        mixed = self.drop(self.mlp(self.norm_mlp(tokens)))
        result: Tensor = tokens + (mixed if taken is None else taken * mixed)
        return result

    def _taken(self, tokens: Tensor) -> Tensor | None:
        """0 for spectra that skip the layer; the others weigh more, so that the mean stays."""
        if not (self.training and self.pass_over):
            return None
        keep = 1 - self.pass_over
        return tokens.new_empty(len(tokens), 1, 1).bernoulli_(keep) / keep


class ViT(nn.Module):
    """(B, L) or (B, channels, L) input -> (B, outputs) on the network's scale."""

    def __init__(
        self, model: VitModel, pixels: int, outputs: int, wave: NDArray[np.float64] | None = None
    ) -> None:
        """`wave` (L,) Angstrom, needed by `pipe` positions alone. `ConfigError`: patch too wide."""
        super().__init__()
        if model.patch > pixels:
            text = f"{model.patch} is more than the {pixels} pixels of a spectrum"
            raise ConfigError("config.model.patch", text)
        stride = model.stride or model.patch
        rates = torch.linspace(0, model.stochastic_depth, model.layers).tolist()
        if model.layers == 1:
            rates = [model.stochastic_depth]
        self.blocks = nn.ModuleList(Block(model, rate) for rate in rates)
        self.norm = nn.LayerNorm(model.hidden)
        self.head = nn.Linear(model.hidden, outputs)
        self.apply(_start)
        zscore = model.chunk_norm == "zscore"
        kind, patches = model.tokenizer, model.patches(pixels)
        self.tokens = make_tokens(
            kind, model.channels, model.patch, stride, model.hidden, zscore, patches
        )
        self.cls: nn.Parameter | None = None
        if model.pool == "cls":
            self.cls = nn.Parameter(torch.randn(model.hidden) * 0.02)
        self.register_buffer("centre", torch.zeros(model.channels, pixels))
        self.register_buffer("gain", torch.ones(model.channels, 1))
        self.by_pixel = not zscore
        self.positions = _make_positions(model, pixels, wave)
        self.rotation = _make_rotation(model, pixels)
        self.drop = Dropout(model.dropout)

    def forward(self, spectra: Tensor) -> Tensor:
        tokens = self.encode(spectra)
        summary = tokens[:, 0] if self.cls is not None else tokens.mean(dim=1)  # (B, hidden)
        labels: Tensor = self.head(self.norm(summary))
        return labels

    def encode(self, spectra: Tensor) -> Tensor:
        """(B, L) or (B, channels, L) -> (B, places, hidden), before the last norm."""
        tokens: Tensor = self.tokens(self.standardised(spectra))  # (B, patches, hidden)
        if self.cls is not None:
            cls = self.cls.to(tokens.dtype).expand(len(tokens), 1, -1)
            tokens = torch.cat([cls, tokens], dim=1)
        tokens = self.drop(self.positions(tokens))  # (B, places, hidden)
        for block in self.blocks:
            tokens = block(tokens, self.rotation)
        return tokens

    def standardised(self, spectra: Tensor) -> Tensor:
        """(B, L) or (B, channels, L) -> (B, channels, L) of mean 0 and variance 1, about."""
        if spectra.dim() == 2:
            spectra = spectra[:, None]
        return (spectra - self.get_buffer("centre")) * self.get_buffer("gain")

    @torch.no_grad()
    def fit_input(self, sample: Tensor) -> None:
        """Learn the mean and the scatter of the input, and let the tokens start with variance 1.

        `sample` (n, L) or (n, channels, L). The mean is that of each pixel, the scatter one of
        each channel. Flux is 1 and a little:
        unless the 1 is taken away all tokens start as nearly the same vector, and the loss stays
        at the variance of the labels for hundreds of steps (`tests/ml/test_tokens.py`). Where
        each patch is normed, the mean is also one number, which leaves the normed patch as it is.
        """
        sample = sample[:, None] if sample.dim() == 2 else sample  # (n, channels, L)
        over = (0,) if self.by_pixel and len(sample) > 1 else (0, 2)
        centre = sample.mean(dim=over, keepdim=True)[0]
        scatter = (sample - centre).square().mean(dim=(0, 2))  # (channels,)
        self.get_buffer("centre").copy_(centre.expand(sample.shape[1:]))
        self.get_buffer("gain").copy_(torch.where(scatter > 0, scatter.rsqrt(), 1.0)[:, None])
        variance = self.tokens(self.standardised(sample[:FEW])).var()
        for weight in self.tokens.parameters():
            weight.mul_(torch.where(variance > 0, variance.rsqrt(), 1.0))


def build(model: VitModel, spectra: Spectra, outputs: int) -> ViT:
    """The untrained network for a data set; `outputs` as `losses.output_count` says."""
    network = ViT(model, spectra.pixels, outputs, spectra.wave)
    inputs = make_inputs(model.input, spectra)
    batch = spectra.fixed("train", 0, min(SAMPLE, spectra.sizes["train"]))
    principal = model.start == "principal" and model.chunk_norm == "none"
    if principal and isinstance(network.tokens, LocalTokens):
        network.tokens.see(principal_directions(spectra, inputs, model.hidden))
    network.fit_input(inputs(batch))
    return network


def param_count(model: nn.Module) -> int:
    """Trainable numbers of a model."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def _make_positions(model: VitModel, pixels: int, wave: NDArray[np.float64] | None) -> nn.Module:
    places, cls = model.places(pixels), model.pool == "cls"
    match model.positions:
        case "learned":
            return LearnedPositions(places, model.hidden)
        case "sinusoidal":
            return SinusoidalPositions(places, model.hidden)
        case "pipe":
            if wave is None:
                raise ValueError("pipe positions need the wavelengths")
            log_wave = torch.from_numpy(np.log(wave))[None, None]
            centres = cut(log_wave, model.patch, model.stride or model.patch).mean(dim=3)
            return WavelengthPositions(centres.flatten().exp(), cls, model.hidden)
        case "none" | "rope":  # rope acts inside attention
            return nn.Identity()


def _make_rotation(model: VitModel, pixels: int) -> Rotation | None:
    if model.positions != "rope":
        return None
    stride = model.stride or model.patch
    places = patch_starts(pixels, model.patch, stride) / stride
    return Rotation(places, model.pool == "cls", model.hidden // model.heads)


def _start(module: nn.Module) -> None:
    """Linear maps: truncated normal, 0.02; biases 0. Layer norms keep 1 and 0."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
