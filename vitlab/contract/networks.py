"""The configuration of the networks, of their training, and of what disturbs its spectra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Literal

from vitlab.contract.validation import (
    PIXELS,
    RESOLUTION,
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
from vitlab.contract.value import CALIBRATION, DENSITY, LOSS, MEAN_R2, SCORES, Value

VitInput = Literal["flux", "flux/error", "whitened", "flux+error"]
"""As `Input`, and `flux+error`: two channels, the flux and its 1-sigma error."""
LabelNorm = Literal["standard", "minmax", "none"]
Loss = Literal["mse", "l1", "huber", "nll", "mixture"]
"""`nll`: Gaussian negative log-likelihood; the network predicts a sigma for each label. `mixture`:
that of a mixture of normal distributions of all labels together."""
Components = Annotated[int, Range(1, 64)]

Auto = Literal["auto"]
BATCH = 512
"""Spectra of a step where `batch: auto` has not found its own; `lr` is meant for as many."""

FEATURES = 128
"""Number of sines and cosines of ln(wavelength) in `pipe` positions."""


@dataclass(frozen=True)
class VitModel:
    """The Vision Transformer; why these defaults: `experiments/LOG.md`."""

    input: VitInput = "whitened"
    tokenizer: Literal["C1D", "SW", "LC"] = "LC"
    """C1D: one Conv1d; SW: sliding windows, then one linear map; LC: locally connected, with a
    separate linear map for each patch."""
    start: Literal["random", "principal"] = "principal"
    """Initialisation of LC without `chunk_norm`; principal: the directions in which the noise-free
    training spectra vary most. Shared maps always start at random."""
    patch: Annotated[int, Range(2, PIXELS)] = 1024
    stride: Annotated[int, Range(0, PIXELS)] = 0
    """Pixels from one patch to the next; 0 means `patch` (no overlap)."""
    chunk_norm: Literal["none", "zscore"] = "none"
    """zscore: each patch is normalised by its own mean and scatter, which become features of its
    token."""
    hidden: Annotated[int, Range(8, 4096)] = 128
    layers: Annotated[int, Range(1, 64)] = 2
    heads: Annotated[int, Range(1, 64)] = 8
    mlp_ratio: Annotated[float, Range(0.5, 8)] = 2.0
    dropout: Dropout = 0.0
    stochastic_depth: Dropout = 0.0
    """Probability that a spectrum skips the last layer (drop path); rises linearly from 0."""
    pool: Literal["cls", "mean"] = "mean"
    positions: Literal["none", "learned", "sinusoidal", "rope", "pipe"] = "learned"
    """rope: rotary, inside attention; pipe: Fourier features of ln(wavelength)."""
    mup: Annotated[int, Range(0, 4096)] = 0
    """Width at which `train.lr` was tuned, to be transferred to `hidden` by muP
    (`vitlab.ml.network.mup`); 0: the standard parametrisation."""

    @property
    def channels(self) -> int:
        """Input channels."""
        return 2 if self.input == "flux+error" else 1

    @property
    def inner(self) -> int:
        """Hidden width of a block's MLP."""
        return round(self.hidden * self.mlp_ratio)

    def patches(self, pixels: int) -> int:
        """Tokens of a spectrum without [CLS]; the last patch ends at the last pixel."""
        return -(-(pixels - self.patch) // (self.stride or self.patch)) + 1

    def tokens(self, pixels: int) -> int:
        """Tokens of a spectrum, including [CLS]."""
        return self.patches(pixels) + (self.pool == "cls")


@dataclass(frozen=True)
class MlpModel:
    """A plain multi-layer perceptron."""

    input: Input = "whitened"
    hidden: tuple[Annotated[int, Range(1, 16384)], ...] = (512, 512)
    dropout: Dropout = 0.0


@dataclass(frozen=True)
class TrainConfig:
    """How a network is trained; the learning rate warms up to `lr`, then follows `schedule`."""

    epochs: Count = 24
    batch: Count | Auto = BATCH
    """Spectra per step, over all micro-batches and processes. auto: as many as fit on the GPU, with
    the learning rate that belongs to them (`vitlab.ml.training.running`)."""
    accumulate: Count = 1
    """Micro-batches per step."""
    processes: Count = 1
    """Processes that share each step (DDP), one per GPU; on a CPU through gloo."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """muon: for the matrices between the first and last layers; AdamW for the rest."""
    lr: Positive = 1e-3
    min_lr: NotNegative = 0.0
    weight_decay: NotNegative = 0.01
    schedule: Literal["cosine", "plateau", "constant", "wsd"] = "cosine"
    """cosine: down to `min_lr` at the last step; plateau: multiplied by `plateau_factor` after
    `plateau_patience` validations without improvement, never below `min_lr`; wsd: constant, then
    down to `min_lr` over the last `decay` of the steps, where alone the best state is chosen."""
    warmup: Fraction = 0.05
    """Fraction of all steps in which the rate rises from 0; with wsd of the first epoch's, so that
    runs of all lengths begin alike."""
    decay: Annotated[float, Range(0, 1, above=True)] = 0.2
    reuse_trunk: bool = False
    """wsd: go on from the longest stable phase that a run of the lab has left which differs in its
    length alone; the weights become the same as without."""
    plateau_factor: Annotated[float, Range(0, 1, above=True)] = 0.5
    plateau_patience: Count = 3
    clip: NotNegative = 1.0
    """Maximum norm of the gradient; 0 means no clipping."""
    ema: Annotated[float, Range(0, 0.99999)] = 0.999
    """Decay of the moving average of the weights, which is validated and kept; 0 means none."""
    monitor: str = MEAN_R2
    """The value that selects the best state, as named in the events; `val/r2` is the mean over
    the labels."""
    patience: Annotated[int, Range(0)] = 0
    """Stop after this many validations without a better `monitor`; 0 means never."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """auto: fp32 on a CPU, on a GPU what it computes fast: bf16, or fp16 before Ampere."""
    compile: bool | Auto = "auto"
    """Use torch.compile; if it fails, training continues without it and a note says so. auto: never
    on a CPU, on a GPU where a trial before a run that is long enough found it faster."""
    graphs: bool | Auto = "auto"
    """Run forward and backward pass as one CUDA graph; auto: where the trial found it faster."""
    prefetch: Annotated[int, Range(0, 64)] = 1
    """Batches prepared ahead while the device computes."""
    on_nonfinite: Literal["end", "rewind"] = "end"
    """rewind: return to the last good checkpoint, at most `rewinds` times, with different noise."""
    rewinds: Count = 3
    eval_every: Annotated[int, Range(0)] = 0
    """Steps between validations; 0 means one after each epoch."""
    seed: Seed = 42
    threads: Threads = 0

    @property
    def size(self) -> int:
        """Spectra per step."""
        return self.batch if isinstance(self.batch, int) else BATCH


@dataclass(frozen=True)
class Velocity:
    """An unknown radial velocity of each spectrum."""

    within: Annotated[float, Range(0, 3000, above=True)] = 300.0
    """km/s; uniform between minus and plus this."""


@dataclass(frozen=True)
class Resolution:
    """An unknown resolution of each spectrum, wavelength over FWHM: lines become only broader."""

    lowest: Annotated[float, Range(500, RESOLUTION)] = 1800.0
    highest: Annotated[float, Range(500, RESOLUTION)] = RESOLUTION
    """Uniform between both; `RESOLUTION` is the grid's own."""


@dataclass(frozen=True)
class Continuum:
    """A smooth curve that each spectrum is multiplied by: exp of Legendre polynomials."""

    amplitude: Annotated[float, Range(0, 1, above=True)] = 0.1
    """Standard deviation of each coefficient, of ln flux."""
    order: Annotated[int, Range(1, 20)] = 3


@dataclass(frozen=True)
class Extinction:
    """Dust before each star."""

    ebv: Annotated[float, Range(0, 10, above=True)] = 0.5
    """Magnitudes; E(B-V) is uniform from 0 to this."""
    law: Literal["ccm89"] = "ccm89"
    """Cardelli, Clayton & Mathis 1989 with R_V = 3.1."""


@dataclass(frozen=True)
class Masked:
    """Pixels without data in each spectrum."""

    share: Annotated[float, Range(0, 0.9)] = 0.1
    """Mean share of the pixels in stretches without data, before these overlap."""
    length: Annotated[int, Range(1, PIXELS)] = 50
    """Mean pixels of a stretch; uniform from 1 to twice this."""
    window: Fraction = 0.0
    """Share of the spectra that cover one window of the band alone, a tenth of it to all."""


@dataclass(frozen=True)
class Sky:
    """Residuals of the sky's emission lines, the same error over many of them."""

    amplitude: Annotated[float, Range(0, 1, above=True)] = 0.01
    """Their standard deviation over the sky itself."""


@dataclass(frozen=True)
class Lines:
    """Depths of lines that the syntheses get wrong (LTE, one line list)."""

    amplitude: Annotated[float, Range(0, 1, above=True)] = 0.1
    """Standard deviation of ln depth; half of its variance is common to all lines of a spectrum."""


@dataclass(frozen=True)
class Disturb:
    """What changes each spectrum besides noise, drawn anew; all of it off by default.

    A key without its own values (`velocity: {}`) is on with its defaults.
    """

    velocity: Velocity | None = None
    resolution: Resolution | None = None
    continuum: Continuum | None = None
    extinction: Extinction | None = None
    masked: Masked | None = None
    sky: Sky | None = None
    lines: Lines | None = None

    @property
    def changes(self) -> bool:
        """Whether anything is on."""
        return self != Disturb()

    @property
    def text(self) -> str:
        """What is on with all its values, as a result's world names it; empty for nothing."""
        found = [
            " ".join([one.name, *(f"{key} {value}" for key, value in asdict(kind).items())])
            for one in fields(self)
            if (kind := getattr(self, one.name)) is not None
        ]
        return ", ".join(found)


def output_count(loss: str, labels: int, components: int = 1) -> int:
    """Outputs of a network for K labels: K; for `nll` K means, then K raw ln sigma.

    `components` are those of a `mixture`.
    """
    if loss == "mixture":
        return mixture_outputs(labels, components)
    return 2 * labels if loss == "nll" else labels


def mixture_outputs(labels: int, components: int) -> int:
    """Of each component: a weight, K means and K (K + 1) / 2 numbers of the covariance."""
    return components * (1 + labels + labels * (labels + 1) // 2)


_NOT_TOLD = "a file tells neither its resolution nor its sky"
_GRID_ALONE = (
    ("resolution", _NOT_TOLD),
    ("sky", _NOT_TOLD),
    ("lines", "it is an error of syntheses, and a file may hold stars"),
)
"""Keys of `disturb` that a file's spectra cannot have, and why."""


def check_disturb(disturb: Disturb, where: str, grid: bool) -> None:
    """Raise `ConfigError` at `where` for what contradicts itself, or what no file tells."""
    for name, why in () if grid else _GRID_ALONE:
        if getattr(disturb, name) is not None:
            raise ConfigError(f"{where}.{name}", f"needs the grid: {why}")
    one = disturb.resolution
    if one and one.lowest > one.highest:
        raise ConfigError(f"{where}.resolution.lowest", f"must be <= highest = {one.highest:g}")


def check_vit(model: VitModel) -> None:
    """Raise `ConfigError` for settings that contradict each other."""
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
    """Raise `ConfigError` for settings that contradict each other, the labels or the loss."""
    parts = train.accumulate * train.processes
    if train.size % parts:
        text = f"{train.batch} is not a multiple of accumulate x processes = {parts}"
        raise ConfigError("config.train.batch", text.replace("auto", f"auto = {train.size}"))
    if train.min_lr > train.lr:
        raise ConfigError("config.train.min_lr", f"must be <= lr = {train.lr:g}")
    if train.reuse_trunk and train.schedule != "wsd":
        raise ConfigError("config.train.reuse_trunk", "needs schedule: wsd")
    if train.reuse_trunk and train.batch == "auto":
        text = "must be a number with reuse_trunk: runs share a trunk only at one batch"
        raise ConfigError("config.train.batch", text)
    scores = [*SCORES, *((*CALIBRATION, *DENSITY) if loss in ("nll", "mixture") else ())]
    values = [Value("val", score, label) for score in scores for label in labels]
    known = [MEAN_R2, LOSS, *map(str, values)]
    if train.monitor not in known:
        text = unknown(f"value {train.monitor!r}", train.monitor, known)
        raise ConfigError("config.train.monitor", text)
