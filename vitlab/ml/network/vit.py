"""The Vision Transformer for spectra: tokens, positions, attention, blocks, head, initialisation.

How it differs from a standard ViT:
- one dimension; one channel, or two (the flux, and a weight computed from its error);
- the network standardises its input by the mean and scatter of training spectra (`fit_input`);
- each patch may have its own linear map (`LC`), initialised with the directions in which
  noise-free training spectra vary most;
- the last patch ends at the last pixel, whatever the stride;
- patches may be normalised individually; their mean and scatter then become features;
- positions may be rotary (`rope`), or Fourier features of ln(wavelength) (`pipe`);
- pre-norm blocks, with optional stochastic depth, and optional muP (`vitlab.ml.network.mup`);
- the head reads [CLS] or the mean of the tokens, and starts near zero, the mean of the labels;
- separate dropout and attention code for CPUs (`vitlab.ml.network.layers`).

Shapes: B spectra, C channels, L pixels, P patches of `patch` pixels, T tokens (P, plus one with
[CLS]), D dimensions of a token, H heads.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vitlab.contract.networks import FEATURES, VitModel
from vitlab.contract.validation import ConfigError
from vitlab.ml.network import mup
from vitlab.ml.network.layers import Dropout, Linear, attend
from vitlab.ml.spectra.dataset import Spectra
from vitlab.ml.spectra.inputs import Inputs, make_inputs

# --- Tokens: (B, C, L) -> (B, P, D) ---

FLAT = 1e-12
"""Added to the variance of a patch (input units squared), so that a constant one stays finite."""


def patch_starts(pixels: int, patch: int, stride: int) -> Tensor:
    """(P,) first pixel of each patch."""
    starts = torch.arange(0, pixels - patch + 1, stride)
    if (pixels - patch) % stride:
        starts = torch.cat([starts, torch.tensor([pixels - patch])])
    return starts


def cut(spectra: Tensor, patch: int, stride: int) -> Tensor:
    """(B, C, L) -> (B, P, C, patch)."""
    windows = spectra.unfold(2, patch, stride)  # (B, C, patches on the stride, patch)
    if (spectra.shape[2] - patch) % stride:
        windows = torch.cat([windows, spectra[:, :, None, -patch:]], dim=2)
    return windows.transpose(1, 2)


def normalise_patches(patches: Tensor) -> tuple[Tensor, Tensor]:
    """(B, P, C, patch) -> patches normalised by their mean and scatter, and (B, P, 2 C) features.

    The features are the C means and C ln scatters, so no information is lost. Always in float32:
    flux differs little from 1.
    """
    patches = patches.float()
    mean = patches.mean(dim=3, keepdim=True)
    centred = patches - mean
    log_scatter = 0.5 * (centred.square().mean(dim=3, keepdim=True) + FLAT).log()
    features = torch.cat([mean, log_scatter], dim=3).transpose(2, 3).flatten(2)
    return centred * (-log_scatter).exp(), features


def token_inputs(spectra: Tensor, patch: int, stride: int, zscore: bool) -> Tensor:
    """(B, C, L) -> (B, P, inputs of a token)."""
    patches = cut(spectra, patch, stride)
    if not zscore:
        return patches.flatten(2)
    patches, features = normalise_patches(patches)
    return torch.cat([patches.flatten(2), features], dim=2)


class Conv1dTokens(nn.Module):
    """C1D: one strided convolution; a last patch off the stride is convolved separately."""

    def __init__(self, channels: int, patch: int, stride: int, hidden: int, zscore: bool) -> None:
        super().__init__()
        self.patch, self.stride, self.zscore = patch, stride, zscore
        self.convolution = nn.Conv1d(channels, hidden, kernel_size=patch, stride=stride)
        self.features = nn.Linear(2 * channels, hidden, bias=False) if zscore else None

    def forward(self, spectra: Tensor) -> Tensor:
        if self.features is None:
            tokens: Tensor = self.convolution(spectra)  # (B, D, patches on the stride)
            if (spectra.shape[2] - self.patch) % self.stride:
                last = self.convolution(spectra[..., -self.patch :])  # (B, D, 1)
                tokens = torch.cat([tokens, last], dim=2)
            return tokens.transpose(1, 2)
        patches, features = normalise_patches(cut(spectra, self.patch, self.stride))
        side_by_side = patches.transpose(1, 2).flatten(2)  # (B, C, P * patch)
        weight, bias = self.convolution.weight, self.convolution.bias
        tokens = functional.conv1d(side_by_side, weight, bias, stride=self.patch)
        mixed: Tensor = tokens.transpose(1, 2) + self.features(features)
        return mixed


class SlidingWindowTokens(nn.Module):
    """SW: sliding windows, then one linear map; mathematically the same as C1D."""

    def __init__(self, channels: int, patch: int, stride: int, hidden: int, zscore: bool) -> None:
        super().__init__()
        self.patch, self.stride, self.zscore = patch, stride, zscore
        self.linear = nn.Linear(channels * (patch + 2 * zscore), hidden)

    def forward(self, spectra: Tensor) -> Tensor:
        tokens: Tensor = self.linear(token_inputs(spectra, self.patch, self.stride, self.zscore))
        return tokens


class LocalTokens(nn.Module):
    """LC: a separate linear map for each patch."""

    def __init__(
        self, channels: int, patch: int, stride: int, hidden: int, zscore: bool, patches: int
    ) -> None:
        super().__init__()
        self.patch, self.stride, self.zscore = patch, stride, zscore
        inputs = channels * (patch + 2 * zscore)
        self.weight = nn.Parameter(torch.empty(patches, inputs, hidden))
        self.bias = nn.Parameter(torch.empty(patches, 1, hidden))

    def forward(self, spectra: Tensor) -> Tensor:
        inputs = token_inputs(spectra, self.patch, self.stride, self.zscore)
        tokens = torch.bmm(inputs.transpose(0, 1), self.weight)  # (P, B, D)
        return (tokens + self.bias).transpose(0, 1)


Tokens = Conv1dTokens | SlidingWindowTokens | LocalTokens


def make_tokens(model: VitModel, pixels: int) -> Tokens:
    """The tokenizer of a model, not yet initialised (`init_weights`)."""
    zscore, stride = model.chunk_norm == "zscore", model.stride or model.patch
    sizes = model.channels, model.patch, stride, model.hidden, zscore
    match model.tokenizer:
        case "C1D":
            return Conv1dTokens(*sizes)
        case "SW":
            return SlidingWindowTokens(*sizes)
        case "LC":
            return LocalTokens(*sizes, model.patches(pixels))


# --- Positions: added to the tokens, or a rotation of queries and keys ---

BASE = 10_000.0
"""Longest period of the sinusoidal and rotary positions, in strides over 2 pi."""
PERIODS = (1e-3, 1.0)
"""Shortest and longest period of `pipe` in ln(wavelength): 300 km/s (some pixels) to a factor e."""


class LearnedPositions(nn.Module):
    """A learned vector for each token."""

    def __init__(self, count: int, hidden: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(count, hidden))

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens + self.table  # (B, T, D)


class SinusoidalPositions(nn.Module):
    """Fixed sines and cosines (Vaswani et al. 2017, 3.5)."""

    def __init__(self, count: int, hidden: int) -> None:
        super().__init__()
        rate = torch.exp(torch.arange(0, hidden, 2) * (-math.log(BASE) / hidden))
        angle = torch.arange(count)[:, None] * rate  # (T, D / 2)
        table = torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)
        self.register_buffer("table", table, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens + self.get_buffer("table")


class WavelengthPositions(nn.Module):
    """pipe: Fourier features of ln(wavelength) at the centre of each patch, projected and added.

    A step in ln(wavelength) is a velocity, and the inner product of two patches' features depends
    only on it: the map is valid on any wavelength grid (features: Tancik et al. 2020).
    """

    def __init__(self, centres: Tensor, cls: bool, hidden: int) -> None:
        super().__init__()
        features = wavelength_features(centres)
        if cls:  # [CLS] has no wavelength
            features = torch.cat([torch.zeros(1, FEATURES, dtype=features.dtype), features])
        self.register_buffer("features", features.float(), persistent=False)  # (T, FEATURES)
        self.projection = nn.Linear(FEATURES, hidden, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        mixed: Tensor = tokens + self.projection(self.get_buffer("features"))
        return mixed


def wavelength_features(wave: Tensor) -> Tensor:
    """(n,) Angstrom -> (n, FEATURES): sines and cosines of ln(wavelength), mean square 1/2."""
    short, long = (math.log(period) for period in PERIODS)
    periods = torch.linspace(short, long, FEATURES // 2, dtype=torch.float64).exp()
    angle = 2 * math.pi * wave.double().log()[:, None] / periods
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class Rotation(nn.Module):
    """rope: rotate pairs of a head's dimensions by angles that grow with position (Su et al. 2021).

    Products of rotated queries and keys depend only on their distance. [CLS] is not rotated.
    """

    def __init__(self, positions: Tensor, cls: bool, dimensions: int) -> None:
        super().__init__()  # positions (P,) in strides; dimensions of a head, even
        rate = BASE ** -(torch.arange(0, dimensions, 2, dtype=torch.float64) / dimensions)
        angle = positions.double()[:, None] * rate  # (P, D / 2H)
        if cls:
            angle = torch.cat([torch.zeros_like(angle[:1]), angle])
        self.register_buffer("cos", angle.cos().float(), persistent=False)
        self.register_buffer("sin", angle.sin().float(), persistent=False)

    def forward(self, heads: Tensor) -> Tensor:
        """(..., T, D / H) -> the same, rotated."""
        cos = self.get_buffer("cos").to(heads.dtype)
        sin = self.get_buffer("sin").to(heads.dtype)
        left, right = heads.chunk(2, dim=-1)
        return torch.cat([left * cos - right * sin, right * cos + left * sin], dim=-1)


def make_positions(
    model: VitModel, pixels: int, wave: NDArray[np.float64] | None
) -> tuple[nn.Module, Rotation | None]:
    """The module that adds positions to tokens, and the rotation of queries and keys for `rope`."""
    count, cls = model.tokens(pixels), model.pool == "cls"
    stride = model.stride or model.patch
    match model.positions:
        case "none":
            return nn.Identity(), None
        case "learned":
            return LearnedPositions(count, model.hidden), None
        case "sinusoidal":
            return SinusoidalPositions(count, model.hidden), None
        case "rope":
            positions = patch_starts(pixels, model.patch, stride) / stride
            return nn.Identity(), Rotation(positions, cls, model.hidden // model.heads)
        case "pipe":
            if wave is None:
                raise ValueError("pipe positions need the wavelengths")
            log_wave = torch.from_numpy(np.log(wave))[None, None]
            centres = cut(log_wave, model.patch, stride).mean(dim=3).flatten().exp()
            return WavelengthPositions(centres, cls, model.hidden), None


# --- Attention and blocks: (B, T, D) -> (B, T, D) ---


class Attention(nn.Module):
    """Multi-head self-attention; queries are multiplied by `scale`."""

    def __init__(self, hidden: int, heads: int, dropout: float, scale: float = 1.0) -> None:
        super().__init__()
        self.heads, self.dropout, self.scale = heads, dropout, scale
        self.qkv = Linear(hidden, 3 * hidden)
        self.out = Linear(hidden, hidden)

    def queries_keys_values(
        self, tokens: Tensor, rotation: Rotation | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T, D) -> three (B, H, T, D / H); queries and keys rotated if given."""
        batch, count, hidden = tokens.shape
        qkv = self.qkv(tokens).view(batch, count, 3, self.heads, hidden // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        q = q if self.scale == 1 else q * self.scale
        return (q, k, v) if rotation is None else (rotation(q), rotation(k), v)

    def forward(self, tokens: Tensor, rotation: Rotation | None = None) -> Tensor:
        q, k, v = self.queries_keys_values(tokens, rotation)
        mixed = attend(q, k, v, self.dropout if self.training else 0.0)  # (B, H, T, D / H)
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(tokens.shape))
        return out


class Block(nn.Module):
    """One pre-norm encoder layer."""

    def __init__(self, model: VitModel, drop_path: float) -> None:
        """`drop_path`: probability of skipping the layer in training (Huang et al. 2016)."""
        super().__init__()
        self.drop_path = drop_path
        self.norm_attention = nn.LayerNorm(model.hidden)
        self.attention = Attention(model.hidden, model.heads, model.dropout, mup.query_scale(model))
        self.norm_mlp = nn.LayerNorm(model.hidden)
        self.mlp = nn.Sequential(
            Linear(model.hidden, model.inner),
            nn.GELU(),
            Dropout(model.dropout),
            Linear(model.inner, model.hidden),
        )
        self.drop = Dropout(model.dropout)

    def forward(self, tokens: Tensor, rotation: Rotation | None = None) -> Tensor:
        kept = self._kept_paths(tokens)
        mixed = self.drop(self.attention(self.norm_attention(tokens), rotation))
        tokens = tokens + (mixed if kept is None else kept * mixed)
        mixed = self.drop(self.mlp(self.norm_mlp(tokens)))
        result: Tensor = tokens + (mixed if kept is None else kept * mixed)
        return result

    def _kept_paths(self, tokens: Tensor) -> Tensor | None:
        """(B, 1, 1): 0 for spectra that skip the layer, else 1 / keep, which preserves the mean."""
        if not (self.training and self.drop_path):
            return None
        keep = 1 - self.drop_path
        return tokens.new_empty(len(tokens), 1, 1).bernoulli_(keep) / keep


# --- The whole network with its head: (B, C, L) -> (B, outputs) ---


class ViT(nn.Module):
    """(B, L) or (B, C, L) input -> (B, outputs)."""

    def __init__(
        self, model: VitModel, pixels: int, outputs: int, wave: NDArray[np.float64] | None = None
    ) -> None:
        """`wave` (L,) Angstrom, only needed by `pipe`. `ConfigError` if a patch is too wide."""
        super().__init__()
        if model.patch > pixels:
            text = f"{model.patch} is more than the {pixels} pixels of a spectrum"
            raise ConfigError("config.model.patch", text)
        least = 0 if model.layers > 1 else model.stochastic_depth
        rates = torch.linspace(least, model.stochastic_depth, model.layers).tolist()
        # Initialise each part before making the next, so that a seed always gives the same weights.
        self.blocks = nn.ModuleList(Block(model, rate) for rate in rates)
        self.norm = nn.LayerNorm(model.hidden)
        self.head = nn.Linear(model.hidden, outputs)
        init_weights(self)
        self.width_factor = mup.width_factor(model)
        mup.scale_weights(self.blocks, self.head, self.width_factor)
        self.tokens = make_tokens(model, pixels)
        init_weights(self.tokens)
        self.cls: nn.Parameter | None = None
        if model.pool == "cls":
            self.cls = nn.Parameter(torch.empty(model.hidden))
            init_weights(self.cls)
        self.positions, self.rotation = make_positions(model, pixels, wave)
        init_weights(self.positions)
        self.register_buffer("centre", torch.zeros(model.channels, pixels))
        self.register_buffer("gain", torch.ones(model.channels, 1))
        self.drop = Dropout(model.dropout)

    def forward(self, spectra: Tensor) -> Tensor:
        tokens = self.encode(spectra)
        summary = tokens[:, 0] if self.cls is not None else tokens.mean(dim=1)  # (B, D)
        labels: Tensor = self.head(self.norm(summary))
        return labels

    def encode(self, spectra: Tensor) -> Tensor:
        """(B, L) or (B, C, L) -> (B, T, D), before the last norm."""
        tokens: Tensor = self.tokens(self.standardise(spectra))  # (B, P, D)
        if self.cls is not None:
            cls = self.cls.to(tokens.dtype).expand(len(tokens), 1, -1)
            tokens = torch.cat([cls, tokens], dim=1)
        tokens = self.drop(self.positions(tokens))  # (B, T, D)
        for block in self.blocks:
            tokens = block(tokens, self.rotation)
        return tokens

    def standardise(self, spectra: Tensor) -> Tensor:
        """(B, L) or (B, C, L) -> (B, C, L) with mean 0 and variance about 1."""
        if spectra.dim() == 2:
            spectra = spectra[:, None]
        return (spectra - self.get_buffer("centre")) * self.get_buffer("gain")


def param_count(model: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


# --- Initialisation ---

STD = 0.02
SAMPLE, FEW = 256, 32
"""Training spectra used to standardise the input, and to measure the tokens' variance."""
PRINCIPAL_SAMPLE, DIRECTIONS = 4096, 96
"""Training spectra used for the principal directions; maximum number of directions: the embedded
grid has no more (`dataset.COMPONENTS`)."""


@torch.no_grad()
def init_weights(part: nn.Module | nn.Parameter) -> None:
    """Initialise all weights of a part of the network.

    | weights                                | initial values                                    |
    |----------------------------------------|---------------------------------------------------|
    | linear maps of the blocks, head        | truncated normal, standard deviation 0.02         |
    | layer norms                            | weight 1, bias 0                                  |
    | [CLS], learned positions, map of `pipe`| normal, standard deviation 0.02                   |
    | tokenizers                             | normal, variance 1 / inputs of a token            |
    | - `LC`, with a data set                | its principal directions (`start_principal`)      |
    | - all, with a data set                 | rescaled to tokens of variance 1 (`fit_input`)    |
    | biases                                 | 0                                                 |
    """
    match part:
        case nn.Parameter():  # [CLS]
            nn.init.normal_(part, std=STD)
        case LearnedPositions() | WavelengthPositions():
            for weight in part.parameters():
                nn.init.normal_(weight, std=STD)
        case LocalTokens():
            nn.init.normal_(part.weight, std=part.weight.shape[1] ** -0.5)
            nn.init.zeros_(part.bias)
        case Conv1dTokens() | SlidingWindowTokens():
            # Count all inputs, so that all tokenizers start with the same variance.
            weights = [weight for weight in part.parameters() if weight.dim() > 1]
            inputs = sum(weight[0].numel() for weight in weights)
            for weight in weights:
                nn.init.normal_(weight, std=inputs**-0.5)
            for bias in (weight for weight in part.parameters() if weight.dim() == 1):
                nn.init.zeros_(bias)
        case _:
            for layer in part.modules():
                if isinstance(layer, nn.Linear):
                    nn.init.trunc_normal_(layer.weight, std=STD)
                    nn.init.zeros_(layer.bias)


def build(model: VitModel, spectra: Spectra, outputs: int) -> ViT:
    """The untrained network for a data set; `outputs` from `networks.output_count`."""
    network = ViT(model, spectra.pixels, outputs, spectra.wave)
    inputs = make_inputs(model.input, spectra)
    sample = inputs(spectra.fixed("train", 0, spectra.at_most("train", SAMPLE)))
    principal = model.start == "principal" and model.chunk_norm == "none"
    if principal and isinstance(network.tokens, LocalTokens):
        start_principal(network.tokens, principal_directions(spectra, inputs, model.hidden))
    fit_input(network, sample)
    return network


@torch.no_grad()
def fit_input(network: ViT, sample: Tensor) -> None:
    """Set the mean and scatter of the input, and scale the tokens to variance 1.

    `sample` (n, L) or (n, C, L). The mean is per pixel, or a single number if patches are
    normalised; the scatter is per channel. Flux differs little from 1: without centring, all
    tokens start nearly equal and the loss stays at the variance of the labels for hundreds of
    steps (`tests/ml/test_tokens.py`).
    """
    sample = sample[:, None] if sample.dim() == 2 else sample  # (n, C, L)
    over = (0, 2) if network.tokens.zscore or len(sample) == 1 else (0,)
    centre = sample.mean(dim=over, keepdim=True)[0]
    scatter = (sample - centre).square().mean(dim=(0, 2))  # (C,)
    network.get_buffer("centre").copy_(centre.expand(sample.shape[1:]))
    network.get_buffer("gain").copy_(torch.where(scatter > 0, scatter.rsqrt(), 1.0)[:, None])
    variance = network.tokens(network.standardise(sample[:FEW])).var()
    for weight in network.tokens.parameters():
        weight.mul_(torch.where(variance > 0, variance.rsqrt(), 1.0))


@torch.no_grad()
def start_principal(tokens: LocalTokens, directions: Tensor) -> None:
    """Initialise with `directions` (D, C, L): the tokens sum to the projections onto them.

    A pixel in two patches counts half in each.
    """
    patches = cut(directions, tokens.patch, tokens.stride)  # (D, P, C, patch)
    covers = torch.zeros(directions.shape[2:], device=directions.device)  # (L,) patches of a pixel
    for start in patch_starts(directions.shape[2], tokens.patch, tokens.stride).tolist():
        covers[start : start + tokens.patch] += 1
    share = cut(1 / covers[None, None], tokens.patch, tokens.stride)  # (1, P, 1, patch)
    tokens.weight.copy_((patches * share).flatten(2).permute(1, 2, 0))


@torch.no_grad()
def principal_directions(spectra: Spectra, inputs: Inputs, count: int) -> Tensor:
    """(count, C, L) mixtures of the directions in which the noise-free input varies most.

    Each direction is scaled so that noisy input along it has variance 1, then all are mixed by a
    random matrix with orthonormal rows or columns. If the noise is independent and equal in all
    pixels, as in whitened input, these projections hold all information on the labels, and the
    network need not find them among thousands of pixels.
    """
    n = spectra.at_most("train", PRINCIPAL_SAMPLE)
    clean = inputs(spectra.clean(0, n))
    shape = clean.shape[1:] if clean.dim() == 3 else (1, *clean.shape[1:])
    clean = clean.flatten(1)
    mean = clean.mean(dim=0)
    most = min(DIRECTIONS, *clean.shape)
    _, _, directions = torch.pca_lowrank(clean, q=most, center=True, niter=4)  # (C L, most)
    noisy = (inputs(spectra.fixed("train", 0, n)).flatten(1) - mean) @ directions
    directions = directions / noisy.std(dim=0).clamp_min(torch.finfo(noisy.dtype).tiny)
    mixing = nn.init.orthogonal_(noisy.new_empty(count, directions.shape[1]))
    return (mixing @ directions.T).reshape(count, *shape)
