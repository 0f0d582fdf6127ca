"""An experiment file's options for its jobs: `queue`, `health`, `metrics`, `slurm`, `wandb`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from vitlab.contract.tracking import read_wandb
from vitlab.contract.validation import ConfigError, Range, read_strict, unknown
from vitlab.contract.value import IN_SIGMA, NAME, Value
from vitlab.jobs.experiment.placeholders import METRICS
from vitlab.jobs.experiment.yaml_file import Place, YamlFile

Seconds = Annotated[float, Range(1)]


@dataclass(frozen=True)
class QueueKeys:
    """`queue`: how its jobs wait."""

    priority: int = 0
    """Higher ones start first."""
    gpu_memory: Annotated[float, Range(0, 10_000, above=True)] | None = None
    """GB a job takes on each of its GPUs; jobs that declare it may share one. None: alone."""
    gpus: Annotated[int, Range(1, 64)] | None = None
    """GPUs a job takes at once. None: as many as it has processes."""
    after_end: Literal["ok", "any"] = "ok"
    """`any`: what `after` names need not have ended well."""
    on_lost: Literal["show", "resume"] = "show"
    """`resume`: a job whose supervisor was killed is resumed by the next scheduler."""


@dataclass(frozen=True)
class HealthKeys:
    """`health`: how its jobs are watched; others keep the default of `jobs.process.health`."""

    action: Literal["warn", "stop", "restart"] | None = None
    restarts: Annotated[int, Range(0, 100)] | None = None
    first_step: Seconds | None = None
    silence: Seconds | None = None
    explosion: Annotated[float, Range(1, above=True)] | None = None
    slow: Annotated[float, Range(0, 1)] | None = None
    stuck: Annotated[float, Range(0, 1)] | None = None
    stuck_after: Annotated[int, Range(2, 64)] | None = None
    growth: Annotated[float, Range(1, above=True)] | None = None


@dataclass(frozen=True)
class SlurmKeys:
    """`slurm`: what its jobs ask of a cluster; what is not set is the cluster's default."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    time: str | None = None
    """Limit, as Slurm writes it: "12:00:00", "2-00"."""
    nodes: Annotated[int, Range(1)] | None = None
    cpus: Annotated[int, Range(1)] | None = None
    gpus: str | None = None
    """On each node: "1", "a100:2"."""
    memory: Annotated[float, Range(0, above=True)] | None = None
    """GB on each node."""
    warning: Annotated[int, Range(1, 65_535)] | None = None
    """Seconds before the limit at which a job saves its state and is queued again."""
    at_once: Annotated[int, Range(1)] | None = None
    """Most of a sweep's jobs that run at once."""


@dataclass(frozen=True)
class MetricsKeys:
    """`metrics`, without its `names`; see `jobs.metrics.source.Source`."""

    file: str | None = None
    """CSV, JSON lines, `.wandb` or another file of numbers, below the program's folder."""
    pattern: str | None = None
    """A regular expression on the log's lines; its named groups are the numbers."""
    prefer: Literal["file", "log"] = "file"
    """Where a value comes from that both name."""
    step: str = "step"
    epoch: str = "epoch"


@dataclass(frozen=True)
class NumberScale:
    """`scale: 1.302`."""

    scale: float


@dataclass(frozen=True)
class FileScale:
    """`scale: {file: stats.json, key: label.std}`."""

    file: str
    """JSON, below the program's folder."""
    key: str
    """Dotted."""


@dataclass(frozen=True)
class PatternScale:
    """`scale: {pattern: "label std: (\\S+)"}`: from the log."""

    pattern: str


MEANING = ("as", "scale", "unit")
"""Keys of one of `names`: our name; their number times `scale` is ours; the unit of ours."""
LONGEST_PATTERN = 2000
"""Characters of a regular expression."""
MAX_PATTERNS = 4_000
"""Letters of a file's regular expressions, of which any look at the lab compiles."""
_WIDE_RANGE = re.compile(r"-(?:\\[uUN]|[^\x00-\x7f])")
_AS_LETTERS = 400
"""What a range such as `a-\\uffff` counts as: it takes 4 ms to compile."""
SIGMA = "sigma"
"""The unit of a number divided by the standard deviation of its label."""


def read_job_options(file: YamlFile) -> tuple[int, dict[str, Any]]:
    """Priority, and the `extra` of every spec; `UsageError` names the line of a wrong key."""
    patterns = {text: place for place, text in file.texts.items() if place[-1:] == ("pattern",)}
    wide = sum(len(_WIDE_RANGE.findall(text)) for text in patterns)
    if sum(map(len, patterns)) + _AS_LETTERS * wide > MAX_PATTERNS:
        place = [*patterns.values()][-1]
        counted = f", a range such as 一-龥 counted as {_AS_LETTERS}" if wide else ""
        raise file.error(place, f"patterns of more than {MAX_PATTERNS:,} letters in all{counted}")
    try:
        queue = read_strict(QueueKeys, file.at(("queue",)) or {}, "queue")
        health = read_strict(HealthKeys, file.at(("health",)) or {}, "health")
        slurm = read_strict(SlurmKeys, file.at(("slurm",)) or {}, "slurm")
        wandb = read_wandb(file.at(("wandb",)) or {}, "wandb")
    except ConfigError as error:
        raise file.error(tuple(error.key.split(".")), str(error)) from error
    extra: dict[str, Any] = {}
    if (metrics := read_metrics(file, (METRICS,))) is not None:
        extra[METRICS] = metrics
    if queue.gpu_memory is not None:
        extra["gpu_memory"] = int(queue.gpu_memory * 1e9)
    if queue.gpus is not None:
        extra["gpus"] = queue.gpus
    if queue.after_end == "any":
        extra["after"] = "any"
    if queue.on_lost == "resume":
        extra["on_lost"] = "resume"
    if watched := {k: v for k, v in asdict(health).items() if v is not None}:
        extra["health"] = watched
    if asked := {k: v for k, v in asdict(slurm).items() if v is not None}:
        extra["slurm"] = asked
    if wandb:
        extra["wandb"] = wandb
    return queue.priority, extra


def read_metrics(
    file: YamlFile, place: Place, base: Mapping[str, Any] | None = None
) -> dict[str, Any] | None:
    """The `metrics` at `place`, over those of `base`; None without either.

    {file, pattern, prefer, step, epoch, names: {theirs: ours or {as, scale, unit}}}
    """
    data = file.at(place)
    if data is None:
        return None if base is None else dict(base)
    if not isinstance(data, Mapping):
        raise file.error(place, "metrics: must be a mapping (key: value)")
    below = dict(base or {})
    written = {**below, **{key: value for key, value in data.items() if key != "names"}}
    written.pop("names", None)
    try:
        keys = read_strict(MetricsKeys, written, "metrics")
    except ConfigError as error:
        raise file.error((*place, *error.key.split(".")[1:]), str(error)) from error
    names = data.get("names", {} if below else None)
    if not isinstance(names, Mapping) or not (names or below):
        raise file.error((*place, "names"), "metrics.names: must map their names to ours")
    meanings = {str(theirs): _meaning(file, place, str(theirs), names[theirs]) for theirs in names}
    meanings = {**below.get("names", {}), **meanings}
    _check_place(file, place, keys, meanings)
    options = {key: value for key, value in asdict(keys).items() if value is not None}
    if keys.file is None or keys.pattern is None:
        del options["prefer"]
    return {**options, "names": meanings}


def _meaning(file: YamlFile, place: Place, theirs: str, ours: object) -> str | dict[str, Any]:
    """Our name for theirs, or {as, scale, unit}, checked."""
    here, where = (*place, "names", theirs), f"metrics.names.{theirs}"
    keys = ours if isinstance(ours, Mapping) else {"as": ours}
    name, unit = keys.get("as"), keys.get("unit")
    try:
        for key in keys:
            if key not in MEANING:
                raise ConfigError(f"{where}.{key}", unknown("key", str(key), MEANING))
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ConfigError(where, f"{name!r} is not a value name such as val/r2/log_g")
        scale = _scale(keys.get("scale", 1.0), f"{where}.scale")
        unit = _unit(Value.parse(name), unit, f"{where}.unit")
    except ConfigError as error:
        raise file.error(here, str(error)) from error
    if ours is name:
        return name
    return {"as": name, "scale": scale, **({"unit": unit} if unit else {})}


def _scale(value: object, where: str) -> float | dict[str, str]:
    if isinstance(value, Mapping) and "pattern" in value:
        pattern = read_strict(PatternScale, value, where)
        if _compiled(pattern.pattern, f"{where}.pattern").groups != 1:
            raise ConfigError(f"{where}.pattern", "must have one group (...), the number")
        return asdict(pattern)
    if isinstance(value, Mapping):
        source = read_strict(FileScale, value, where)
        if why := _outside(source.file):
            raise ConfigError(f"{where}.file", why)
        return asdict(source)
    number = read_strict(NumberScale, {"scale": value}, where.removesuffix(".scale")).scale
    if number == 0:
        raise ConfigError(where, "must not be 0")
    return number


def _unit(value: Value, unit: object, where: str) -> str | None:
    """The unit as we write it; refused where the value cannot have it."""
    if unit is None:
        return None
    if unit in (SIGMA, "σ"):
        if value.metric in IN_SIGMA:
            return SIGMA
        raise ConfigError(where, f"{value} has no unit in sigma (only {', '.join(IN_SIGMA)})")
    own = value.unit
    if not isinstance(unit, str):
        raise ConfigError(where, f"must be text, not {unit!r}")
    if own is not None and unit != own:
        more = f" or {SIGMA}" if value.metric in IN_SIGMA else ""
        allowed = f"is in {own}{more}" if own else "has no unit"
        raise ConfigError(where, f"{unit!r}: {value} {allowed}; scale their numbers to it")
    return unit


def _check_place(
    file: YamlFile, place: Place, keys: MetricsKeys, names: Mapping[str, object]
) -> None:
    """Numbers come from a file below the program's folder, from a valid pattern, or both."""
    if keys.file is None and keys.pattern is None:
        raise file.error(place, "metrics: needs file, pattern or both")
    if keys.file is not None and (why := _outside(keys.file)):
        raise file.error((*place, "file"), f"metrics.file: {why}")
    if keys.prefer == "log" and keys.pattern is None:
        raise file.error((*place, "prefer"), "metrics.prefer: log, but there is no pattern")
    if keys.pattern is None:
        return
    here = (*place, "pattern")
    try:
        groups = _compiled(keys.pattern, "metrics.pattern").groupindex
    except ConfigError as error:
        raise file.error(here, str(error)) from error
    known = ", ".join(groups) or "none"
    for name in names if keys.file is None else ():
        if name not in groups:
            text = f"metrics.pattern: has no group (?P<{name}>...) (its groups: {known})"
            raise file.error(here, text)
    if not any(name in groups for name in names):
        text = f"metrics.pattern: none of its groups is in names (its groups: {known})"
        raise file.error(here, text)


def _outside(path: str) -> str:
    """Why a path is refused; empty for one below the program's folder."""
    if Path(path).is_absolute() or ".." in Path(path).parts:
        return f"{path}: must be a path below the program's folder"
    return ""


def _compiled(pattern: str, where: str) -> re.Pattern[str]:
    if len(pattern) > LONGEST_PATTERN:  # a long one can take minutes to compile
        text = f"{len(pattern)} characters, more than {LONGEST_PATTERN}"
        raise ConfigError(where, text)
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:  # of `a{99999999999}`, of `((((...`
        raise ConfigError(where, f"not a regular expression: {error}") from error
