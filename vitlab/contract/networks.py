"""The configuration of the networks and of their training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from vitlab.contract.validation import (
    PIXELS,
    ConfigError,
    Count,
    Dropout,
    Fraction,
    Input,
    NotNegative,
    Positive,
    Range,
    Seed,
    Threads,
    unknown,
)
from vitlab.contract.value import CALIBRATION, LOSS, MEAN_R2, SCORES, Value

VitInput = Literal["flux", "flux/error", "whitened", "flux+error"]
"""As `Input`, and `flux+error`: two channels, the flux and its 1-sigma error."""
LabelNorm = Literal["standard", "minmax", "none"]
Loss = Literal["mse", "l1", "huber", "nll"]
"""`nll`: Gaussian negative log-likelihood; the network predicts a sigma for each label."""

FEATURES = 128
"""Sines and cosines of ln(wavelength) that `pipe` positions are made from."""


@dataclass(frozen=True)
class VitModel:
    """The Vision Transformer; the defaults came nearest the ceiling for their time.

    What was tried: `experiments/LOG.md`.
    """

    input: VitInput = "whitened"
    tokenizer: Literal["C1D", "SW", "LC"] = "LC"
    """C1D: one Conv1d; SW: sliding windows cut out, then one linear map; LC: locally connected,
    each patch has a linear map of its own."""
    start: Literal["random", "principal"] = "principal"
    """How LC starts without `chunk_norm`: principal, with the directions in which the noise-free
    training spectra vary most. Shared maps always start at random."""
    patch: Annotated[int, Range(2, PIXELS)] = 1024
    stride: Annotated[int, Range(0, PIXELS)] = 0
    """Pixels from one patch to the next; 0 means `patch` (no overlap)."""
    chunk_norm: Literal["none", "zscore"] = "none"
    """zscore: each patch over its own mean and scatter, which go on as features of its token."""
    hidden: Annotated[int, Range(8, 4096)] = 128
    layers: Annotated[int, Range(1, 64)] = 2
    heads: Annotated[int, Range(1, 64)] = 8
    mlp_ratio: Annotated[float, Range(0.5, 8)] = 2.0
    dropout: Dropout = 0.0
    stochastic_depth: Dropout = 0.0
    """Chance that a spectrum skips the last layer (drop path); rises linearly from 0."""
    pool: Literal["cls", "mean"] = "mean"
    positions: Literal["none", "learned", "sinusoidal", "rope", "pipe"] = "learned"
    """rope: rotary, inside attention; pipe: Fourier features of ln(wavelength)."""

    @property
    def channels(self) -> int:
        """Numbers the network sees of each pixel."""
        return 2 if self.input == "flux+error" else 1

    @property
    def inner(self) -> int:
        """Width of a layer's perceptron."""
        return round(self.hidden * self.mlp_ratio)

    def patches(self, pixels: int) -> int:
        """Tokens of a spectrum without [CLS]; the last one ends at its last pixel."""
        return -(-(pixels - self.patch) // (self.stride or self.patch)) + 1

    def tokens(self, pixels: int) -> int:
        """Tokens of a spectrum, [CLS] among them."""
        return self.patches(pixels) + (self.pool == "cls")


@dataclass(frozen=True)
class MlpModel:
    """A plain multi-layer perceptron."""

    input: Input = "whitened"
    hidden: tuple[Annotated[int, Range(1, 16384)], ...] = (512, 512)
    dropout: Dropout = 0.0


@dataclass(frozen=True)
class TrainConfig:
    """How a network is trained; the rate warms up to `lr`, then follows `schedule`."""

    epochs: Count = 24
    batch: Count = 512
    """Spectra of one step, over all micro-batches and processes."""
    accumulate: Count = 1
    """Micro-batches a step is made of."""
    processes: Count = 1
    """Processes that share each step, one a GPU (DDP); on a CPU through gloo."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """muon: for the matrices between the first and the last layer; AdamW for all others."""
    lr: Positive = 1e-3
    min_lr: NotNegative = 0.0
    weight_decay: NotNegative = 0.01
    schedule: Literal["cosine", "plateau", "constant"] = "cosine"
    """cosine: down to `min_lr` at the last step; plateau: times `plateau_factor` whenever
    `plateau_patience` validations brought nothing better, not below `min_lr`."""
    warmup: Fraction = 0.05
    """Share of all steps in which the rate rises from 0."""
    plateau_factor: Annotated[float, Range(0, 1, above=True)] = 0.5
    plateau_patience: Count = 3
    clip: NotNegative = 1.0
    """Largest norm of the gradient; 0 means no clipping."""
    ema: Annotated[float, Range(0, 0.99999)] = 0.999
    """Decay of the moving average of the weights that is validated and kept; 0 means none."""
    monitor: str = MEAN_R2
    """The value that says which state is best, as named in the events, or `val/r2` for the mean
    over the labels; best is what is nearest perfect (`vitlab.contract.value`)."""
    patience: Annotated[int, Range(0)] = 0
    """Validations without a better `monitor` before training ends; 0 means it never does."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    compile: bool = False
    """torch.compile; where that fails, training goes on without and says so."""
    prefetch: Annotated[int, Range(0, 64)] = 1
    """Batches made ahead while the device computes."""
    on_nonfinite: Literal["end", "rewind"] = "end"
    """rewind: back to the last good checkpoint, at most `rewinds` times, with other noise."""
    rewinds: Count = 3
    eval_every: Annotated[int, Range(0)] = 0
    """Steps between validations; 0 means one after each epoch."""
    seed: Seed = 42
    threads: Threads = 0


def output_count(loss: str, labels: int) -> int:
    """Outputs of a network for K labels: K, or for `nll` K means, then K raw ln sigma."""
    return 2 * labels if loss == "nll" else labels


def check_vit(model: VitModel) -> None:
    """`ConfigError` for settings that contradict each other."""
    if model.hidden % model.heads:
        text = f"{model.heads} does not divide hidden = {model.hidden}"
        raise ConfigError("config.model.heads", text)
    if model.positions == "sinusoidal" and model.hidden % 2:
        raise ConfigError("config.model.hidden", "must be even with sinusoidal positions")
    if model.positions == "rope" and model.hidden // model.heads % 2:
        text = f"hidden / heads = {model.hidden // model.heads} must be even with rope positions"
        raise ConfigError("config.model.heads", text)
    if model.stride > model.patch:
        text = f"must be <= patch = {model.patch}, or pixels are skipped"
        raise ConfigError("config.model.stride", text)


def check_train(train: TrainConfig, labels: Sequence[str], loss: str) -> None:
    """`ConfigError` for settings that contradict each other, or the labels and the loss."""
    parts = train.accumulate * train.processes
    if train.batch % parts:
        text = f"{train.batch} is no multiple of accumulate x processes = {parts}"
        raise ConfigError("config.train.batch", text)
    if train.min_lr > train.lr:
        raise ConfigError("config.train.min_lr", f"must be <= lr = {train.lr:g}")
    scores = [*SCORES, *(CALIBRATION if loss == "nll" else ())]
    values = [Value("val", score, label) for score in scores for label in labels]
    known = [MEAN_R2, LOSS, *map(str, values)]
    if train.monitor not in known:
        text = unknown(f"value {train.monitor!r}", train.monitor, known)
        raise ConfigError("config.train.monitor", text)
