"""The configuration of every recipe: what may be set, its defaults and its limits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal

from vitlab.contract.excluded import MAX_EXCLUDED
from vitlab.contract.job import GRID_LABELS
from vitlab.contract.networks import (
    Components,
    Disturb,
    LabelNorm,
    Loss,
    MlpModel,
    TrainConfig,
    VitModel,
    check_disturb,
    check_train,
    check_vit,
    output_count,
)
from vitlab.contract.validation import (
    ConfigError,
    Count,
    Fraction,
    Input,
    Magnitude,
    NotNegative,
    Positive,
    Range,
    Seed,
    Threads,
    memory_bytes,
    read_strict,
    unknown,
)

__all__ = ["Config", "ConfigError", "read_config"]

Stars = Annotated[int, Range(1, 100_000_000)]
NoiseLevel = Annotated[float, Range(0, 1e6)]
GRID_SOURCES = ("grid", "grid-infinite")
NOISE_INPUTS = ("flux/error", "whitened", "flux+error")
"""Inputs that divide by the noise."""


@dataclass(frozen=True)
class DataConfig:
    """Which spectra are learned from and tested on."""

    source: str = "grid"
    """`grid`: a fixed set of `train_size` stars; `grid-infinite`: as many new ones each epoch;
    anything else: the path of a pfsspec HDF5 file, from the lab's root or absolute."""
    train_size: Stars = 50_000
    val_size: Stars = 1_000
    test_size: Stars = 10_000
    seed: Seed = 42
    """Same seed, sizes and magnitudes: same stars, same test noise, whatever the model."""
    mag: tuple[Magnitude, Magnitude] = (20.5, 22.5)
    """Range of the uniform i-band (HSC) magnitude; unused for a file."""
    grid: str | None = None
    """A grid file made by `vitlab data grid import`; None means the embedded grid."""
    permuted: bool = False
    """True: train on shuffled labels, a control for leaks: the test R2 must then be 0."""
    memory: str = "8GiB"
    """Memory limit for spectra read from a file; what fits is read only once."""
    device_memory: str = "auto"
    """Of a GPU, for training spectra of a file, kept there in 16 bits if all fit: `auto`, what the
    network leaves; a size; `none`."""
    max_excluded: Fraction = MAX_EXCLUDED
    """A file is refused if a larger share of a split's spectra is unusable: no data, a constant or
    not positive flux, or no valid label."""
    running_continuum: Annotated[float, Range(0, 1e5)] = 0.0
    """Angstrom; every spectrum is divided by its running mean over this width; 0: by its median."""
    disturb: Disturb = field(default_factory=Disturb)
    """Of all splits; a result also has its scores on test spectra without it, as `clean/...`."""

    def of_lab(self, root: Path) -> DataConfig:
        """With its files as from any folder."""
        source = self.source if self.source in GRID_SOURCES else str(root / self.source)
        return replace(self, source=source, grid=self.grid and str(root / self.grid))


@dataclass(frozen=True)
class NoiseConfig:
    """How much noise is added."""

    level: NoiseLevel = 1.0
    """Factor on every sigma; 0 means noise-free spectra."""


@dataclass(frozen=True)
class VitConfig:
    """`recipe: vit`."""

    data: DataConfig = field(default_factory=DataConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    model: VitModel = field(default_factory=VitModel)
    train: TrainConfig = field(default_factory=TrainConfig)
    loss: Loss = "mse"
    labels: tuple[str, ...] = ("log_g",)
    label_weights: tuple[Positive, ...] = ()
    """Weight of each label in the loss; none means 1 each."""
    label_norm: LabelNorm = "standard"
    components: Components = 8
    """Normal distributions in the density of `loss: mixture`."""
    exact: Annotated[int, Range(0)] = 256
    """Test stars whose exact posterior a mixture is held against, 0.2 s each; not of a file."""
    init: str | None = None
    """A job of this lab whose best weights the network begins with: `<exp_id>/<job>`, or an MVP or
    one of its runs, as of an evaluation. None: it begins anew."""
    adapt: Literal["zero", "head", "all"] = "all"
    """What of these weights learns: nothing, the last linear map alone, or all of them."""
    adapt_rate: Annotated[float, Range(0, 1, above=True)] = 0.1
    """Factor on the rates of `train` where all weights learn."""


@dataclass(frozen=True)
class MlpConfig:
    """`recipe: mlp`."""

    data: DataConfig = field(default_factory=DataConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    model: MlpModel = field(default_factory=MlpModel)
    train: TrainConfig = field(default_factory=TrainConfig)
    loss: Loss = "mse"
    labels: tuple[str, ...] = ("log_g",)
    label_weights: tuple[Positive, ...] = ()
    """Weight of each label in the loss; none means 1 each."""
    label_norm: LabelNorm = "standard"
    components: Components = 8
    """Normal distributions in the density of `loss: mixture`."""
    exact: Annotated[int, Range(0)] = 256
    """Test stars whose exact posterior a mixture is held against, 0.2 s each; not of a file."""


@dataclass(frozen=True)
class BoostModel:
    """Gradient-boosted trees, one ensemble per label."""

    input: Input = "flux"
    leaves: Annotated[int, Range(2, 4096)] = 31
    min_leaf: Count = 20
    """Minimum number of spectra in a leaf."""
    bins: Annotated[int, Range(2, 255)] = 255
    feature_fraction: Annotated[float, Range(0, 1, above=True)] = 0.3
    """Fraction of the pixels each tree may use."""
    bagging_fraction: Annotated[float, Range(0, 1, above=True)] = 1.0
    l2: NotNegative = 0.0
    copies: Annotated[int, Range(1, 1000)] = 1
    """Noisy copies of each training spectrum; the noise of a copy is fixed."""


@dataclass(frozen=True)
class BoostTrain:
    """How the trees are grown."""

    rounds: Count = 1000
    lr: Positive = 0.05
    patience: Count = 50
    """Stop after this many rounds without a better validation score."""
    eval_every: Count = 1
    save_every: Count = 50
    """Rounds between checkpoints."""
    seed: Seed = 42
    threads: Threads = 0


@dataclass(frozen=True)
class BoostConfig:
    """`recipe: lightgbm`."""

    data: DataConfig = field(default_factory=DataConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    model: BoostModel = field(default_factory=BoostModel)
    train: BoostTrain = field(default_factory=BoostTrain)
    labels: tuple[str, ...] = ("log_g",)


@dataclass(frozen=True)
class RidgeModel:
    """Linear regression with a penalty chosen on the validation set."""

    input: Input = "flux"
    alphas: tuple[Positive, ...] = (0.1, 1, 10, 30, 100, 300, 1e3, 3e3, 1e4, 3e4, 1e5, 3e5, 1e6)
    """Candidates; one decomposition serves them all."""
    copies: Annotated[int, Range(1, 1000)] = 1
    """Noisy copies of each training spectrum."""


@dataclass(frozen=True)
class RidgeTrain:
    """How the normal equations are summed."""

    seed: Seed = 42
    """Seed of the training noise."""
    threads: Threads = 0


@dataclass(frozen=True)
class RidgeConfig:
    """`recipe: ridge`."""

    data: DataConfig = field(default_factory=DataConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    model: RidgeModel = field(default_factory=RidgeModel)
    train: RidgeTrain = field(default_factory=RidgeTrain)
    labels: tuple[str, ...] = ("log_g",)


@dataclass(frozen=True)
class CeilingConfig:
    """`recipe: ceiling`: the best score any model can reach, per magnitude and over the range."""

    data: DataConfig = field(default_factory=DataConfig)
    """The Cramer-Rao bound is averaged over `test_size` stars of `seed`."""
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    mags: tuple[Magnitude, ...] = (20.5, 21.0, 21.5, 22.0, 22.5)
    dims: Literal[3, 5] = 3
    """3: T_eff, log_g, M_H; 5: also a_M and C_M, as nuisances of the Cramer-Rao bound."""
    bayes: Annotated[int, Range(0)] = 4000
    """Stars for the Bayes ceiling over the whole magnitude range; 0 skips it."""
    bayes_each: Annotated[int, Range(0)] = 256
    """Stars for the Bayes ceiling at each of `mags`; 0 skips it."""
    labels: tuple[str, ...] = ("log_g",)
    threads: Threads = 0


@dataclass(frozen=True)
class TemplateConfig:
    """`recipe: template`: a chi-square fit of each of the `test_size` stars, on the spline."""

    data: DataConfig = field(default_factory=DataConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    refine: Annotated[int, Range(1, 8)] = 3
    """Each grid interval is divided into this many to get starting templates; 1: nodes only."""
    labels: tuple[str, ...] = ("log_g",)
    threads: Threads = 0


@dataclass(frozen=True)
class EvaluateConfig:
    """`recipe: evaluate`: a trained model, scored again."""

    job: str
    """`<exp_id>/<job>`, or an MVP or one of its runs (`1.0`, `1.0/Run 1`): its newest success."""
    source: str | None = None
    """A data set to score in full, as in `data.source`; None: the job's test set."""
    noise: NoiseLevel | None = None
    """Factor on the added noise; None: the job's own, 0: no noise."""
    disturb: Disturb | None = None
    """As in `data.disturb`; None: the job's own, {}: nothing."""
    threads: Threads = 0


@dataclass(frozen=True)
class EnsembleConfig:
    """`recipe: ensemble`: the mean of the predictions of runs that differ in their seed alone."""

    of: str
    """The name of these runs in the same experiment, without their seed."""
    members: Annotated[int, Range(2, 100)]
    """How many there must be."""
    threads: Threads = 0


@dataclass(frozen=True)
class CommandConfig:
    """`recipe: command`: a user's program, started without a shell.

    Its texts may hold placeholders: `{run}`, `{seed}`, `{job}`, `{gpu}`, `{config}`, `{epochs}`
    and those of `args`.
    """

    argv: tuple[str, ...]
    cwd: str | None = None
    """Folder from the lab's root; None means the root. Made if it holds a placeholder."""
    resume_argv: tuple[str, ...] | None = None
    """In place of `argv` when a job is resumed."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables over those the job was submitted with."""
    args: Mapping[str, Any] = field(default_factory=dict)
    """The program's own settings: a placeholder each, and together the file `{config}`."""
    seed: Seed | None = None
    """`{seed}`, and VITLAB_SEED in its environment; None: 42."""
    epochs: Count | None = None
    """Epochs of a whole training, for progress and the time left; None: not known."""
    outputs: tuple[str, ...] = ()
    """Globs of files below `cwd` that are copied into the job's folder at a good end."""


GIVEN = ("run", "seed", "job", "gpu", "config", "epochs")
"""Placeholders that are not a command's own `args`; `epochs` where it sets them."""
COMMAND_KEYS = tuple(entry.name for entry in fields(CommandConfig))
"""Other keys of a command's `set`, `matrix` and profiles are of its `args`."""

Learning = VitConfig | MlpConfig | BoostConfig | RidgeConfig
Scored = Learning | TemplateConfig
"""Recipes whose model is scored on test stars."""
Config = Scored | CeilingConfig | EvaluateConfig | EnsembleConfig | CommandConfig

_KINDS: dict[str, Callable[[object], Config]] = {
    "vit": lambda value: read_strict(VitConfig, value, "config"),
    "mlp": lambda value: read_strict(MlpConfig, value, "config"),
    "lightgbm": lambda value: read_strict(BoostConfig, value, "config"),
    "ridge": lambda value: read_strict(RidgeConfig, value, "config"),
    "template": lambda value: read_strict(TemplateConfig, value, "config"),
    "ceiling": lambda value: read_strict(CeilingConfig, value, "config"),
    "evaluate": lambda value: read_strict(EvaluateConfig, value, "config"),
    "ensemble": lambda value: read_strict(EnsembleConfig, value, "config"),
    "command": lambda value: read_strict(CommandConfig, value, "config"),
}


def read_config(recipe: str, mapping: Mapping[str, object]) -> Config:
    """The checked configuration of `recipe`; `ConfigError` names the dotted key at fault."""
    if recipe not in _KINDS:
        raise ConfigError("recipe", unknown(f"recipe {recipe!r}", recipe, _KINDS))
    config = _KINDS[recipe](mapping)
    if isinstance(config, CommandConfig):
        _check_command(config)
    elif isinstance(config, EvaluateConfig):
        grid = config.source is None or config.source in GRID_SOURCES
        check_disturb(config.disturb or Disturb(), "config.disturb", grid)
    elif not isinstance(config, EvaluateConfig | EnsembleConfig):
        _check_data(config)
    if isinstance(config, VitConfig | MlpConfig):
        _check_network(config)
    return config


def outputs_of(config: VitConfig | MlpConfig) -> int:
    """Outputs of its network."""
    return output_count(config.loss, len(config.labels), config.components)


def _check_command(config: CommandConfig) -> None:
    for name in GIVEN:
        if name in config.args:
            text = f"is a placeholder of its own; set config.{name}, or choose another name"
            raise ConfigError(f"config.args.{name}", text)
    for key, value in config.args.items():
        _check_setting(f"config.args.{key}", value)
    for name, text in config.env.items():
        if not name or "=" in name or "\0" in name + text:
            raise ConfigError(f"config.env.{name}", "cannot be a variable of an environment")
    for i, pattern in enumerate(config.outputs):
        if PurePath(pattern).is_absolute() or ".." in PurePath(pattern).parts:
            raise ConfigError(f"config.outputs[{i}]", f"{pattern}: must be below the folder cwd")


def _check_setting(where: str, value: object) -> None:
    """A setting must have the same meaning in YAML, JSON and a spec."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _check_setting(f"{where}.{key}", inner)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            _check_setting(f"{where}[{i}]", inner)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(where, f"must be a finite number, not {value}")
    elif not isinstance(value, str | int | float | None):
        raise ConfigError(where, f"must be text, a number, true or false, not {value!r}")


def _check_data(config: Scored | CeilingConfig) -> None:
    grid = config.data.source in GRID_SOURCES
    memory_bytes("config.data.memory", config.data.memory)
    if config.data.device_memory not in ("auto", "none"):
        memory_bytes("config.data.device_memory", config.data.device_memory, "auto, none or ")
    _check_changes(config, grid)
    low, high = config.data.mag
    if low > high:
        raise ConfigError("config.data.mag", f"must be ascending, not [{low:g}, {high:g}]")
    if len(set(config.labels)) < len(config.labels):
        raise ConfigError("config.labels", "lists a label twice")
    for i, label in enumerate(config.labels):
        if grid and label not in GRID_LABELS:
            text = unknown(f"label {label!r}", label, GRID_LABELS)
            raise ConfigError(f"config.labels[{i}]", text)
    if isinstance(config, TemplateConfig | CeilingConfig):
        if not grid:
            allowed = f"(allowed: {', '.join(GRID_SOURCES)})"
            raise ConfigError("config.data.source", f"needs the grid, not a file {allowed}")
        if config.data.permuted:
            raise ConfigError("config.data.permuted", "nothing is learned here (allowed: false)")
        if config.noise.level == 0:
            raise ConfigError("config.noise.level", "must be > 0: chi-square divides by the noise")
    elif grid and config.noise.level == 0 and config.model.input in NOISE_INPUTS:
        text = f"{config.model.input!r} divides by the noise, but the noise level is 0"
        raise ConfigError("config.model.input", text)


def _check_changes(config: Scored | CeilingConfig, grid: bool) -> None:
    """`ConfigError` for changes that a recipe knows nothing of."""
    where = "config.data.disturb"
    check_disturb(config.data.disturb, where, grid)
    if isinstance(config, TemplateConfig | CeilingConfig):
        if config.data.disturb.changes:
            raise ConfigError(
                where, "is not for template fits and ceilings, which know nothing of it"
            )
        if config.data.running_continuum:
            text = "is not for template fits and ceilings (allowed: 0)"
            raise ConfigError("config.data.running_continuum", text)


def _check_network(config: VitConfig | MlpConfig) -> None:
    if config.label_weights and len(config.label_weights) != len(config.labels):
        text = f"must be one per label ({len(config.labels)}), not {len(config.label_weights)}"
        raise ConfigError("config.label_weights", text)
    if config.label_weights and config.loss == "mixture":
        raise ConfigError("config.label_weights", "a mixture predicts all labels together")
    check_train(config.train, config.labels, config.loss)
    if isinstance(config, VitConfig):
        _check_init(config)
    if isinstance(config.model, VitModel):
        check_vit(config.model)
        if config.model.mup and config.train.optimizer == "muon":
            raise ConfigError("config.model.mup", "its rates are those of adamw, not of muon")


def _check_init(config: VitConfig) -> None:
    if config.init is None:
        for name, default in (("adapt", "all"), ("adapt_rate", 0.1)):
            if getattr(config, name) != default:
                raise ConfigError(f"config.{name}", "needs init: the job to begin with")
        return
    if config.train.reuse_trunk:
        raise ConfigError(
            "config.train.reuse_trunk", "a run with init begins with that job's state"
        )
    if config.adapt == "head" and config.train.optimizer == "muon":
        raise ConfigError("config.train.optimizer", "'muon' is not for the head (allowed: adamw)")
