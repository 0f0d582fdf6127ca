"""The Vision Transformer for spectra: patch tokens, positions, encoder, head.

Unusual choices: one or two channels, one dimension; [CLS] or the mean of the tokens; the input is
standardised inside the network and every tokenizer keeps its variance, so that all kinds start
alike; the head starts near zero, so the first prediction is the mean of the scaled labels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vitlab.contract.networks import FEATURES, VitModel
from vitlab.contract.validation import ConfigError
from vitlab.ml.network.inputs import make_inputs, principal_directions
from vitlab.ml.network.layers import Dropout, kept_share, masked, random_bytes
from vitlab.ml.spectra.dataset import Spectra

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


BASE = 10_000.0
"""Longest wave of the sinusoidal and rotary positions, in strides over 2 pi."""
PERIODS = (1e-3, 1.0)
"""Shortest and longest wave of `pipe`, in ln(wavelength): 300 km/s (some pixels) to a factor e."""


class LearnedPositions(nn.Module):
    """A free vector for each place."""

    def __init__(self, places: int, hidden: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(places, hidden))
        nn.init.normal_(self.table, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens + self.table  # (B, places, hidden)


class SinusoidalPositions(nn.Module):
    """Fixed sines and cosines (Vaswani et al. 2017, 3.5)."""

    def __init__(self, places: int, hidden: int) -> None:
        super().__init__()
        rate = torch.exp(torch.arange(0, hidden, 2) * (-math.log(BASE) / hidden))
        angle = torch.arange(places)[:, None] * rate  # (places, hidden / 2)
        table = torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)
        self.register_buffer("table", table, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens + self.get_buffer("table")


class WavelengthPositions(nn.Module):
    """pipe: Fourier features of ln(wavelength) at the centre of each patch, projected and added.

    The same step in ln(wavelength) is the same velocity at any wavelength, and the inner product
    of two places' features depends on that step alone. The waves are fixed in velocity, so the
    map learned means the same on any other wavelength grid. (Fourier features: Tancik et al.
    2020.)
    """

    def __init__(self, centres: Tensor, cls: bool, hidden: int) -> None:
        super().__init__()
        features = wavelength_features(centres)
        if cls:  # which stands for no wavelength
            features = torch.cat([torch.zeros(1, FEATURES, dtype=features.dtype), features])
        self.register_buffer("features", features.float(), persistent=False)  # (places, FEATURES)
        self.projection = nn.Linear(FEATURES, hidden, bias=False)
        nn.init.normal_(self.projection.weight, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        mixed: Tensor = tokens + self.projection(self.get_buffer("features"))
        return mixed


class Rotation(nn.Module):
    """rope: turns pairs of a head's numbers by angles that grow with the place (Su et al. 2021).

    Number i is paired with i + D / 2. Products of turned queries and keys depend on the distance
    of their places alone. [CLS] has no place and stays as it is.
    """

    def __init__(self, places: Tensor, cls: bool, dimensions: int) -> None:
        """`places` (patches,) in strides; `dimensions` D of a head, even."""
        super().__init__()
        rate = BASE ** -(torch.arange(0, dimensions, 2, dtype=torch.float64) / dimensions)
        angle = places.double()[:, None] * rate  # (patches, D / 2)
        if cls:
            angle = torch.cat([torch.zeros_like(angle[:1]), angle])
        self.register_buffer("cos", angle.cos().float(), persistent=False)
        self.register_buffer("sin", angle.sin().float(), persistent=False)

    def forward(self, heads: Tensor) -> Tensor:
        """(..., places, D) -> the same, turned."""
        cos = self.get_buffer("cos").to(heads.dtype)
        sin = self.get_buffer("sin").to(heads.dtype)
        left, right = heads.chunk(2, dim=-1)
        return torch.cat([left * cos - right * sin, right * cos + left * sin], dim=-1)


def wavelength_features(wave: Tensor) -> Tensor:
    """(n,) Angstrom -> (n, FEATURES): sines and cosines of ln(wavelength), mean square 1/2."""
    short, long = (math.log(period) for period in PERIODS)
    periods = torch.linspace(short, long, FEATURES // 2, dtype=torch.float64).exp()
    angle = 2 * math.pi * wave.double().log()[:, None] / periods
    return torch.cat([angle.sin(), angle.cos()], dim=1)


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
