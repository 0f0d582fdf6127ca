"""An experiment file's options for its jobs: `queue`, `health`, `metrics`, `slurm`, `wandb`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from vitlab.contract.tracking import read_wandb
from vitlab.contract.validation import ConfigError, Range, read_strict
from vitlab.contract.value import NAME
from vitlab.jobs.experiment.yaml_file import YamlFile

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
    """`metrics`, without its `names`; see `jobs.logs.metrics.Source`."""

    file: str | None = None
    """CSV, JSON lines or `.wandb`, below the program's folder."""
    pattern: str | None = None
    """Or: a regular expression on the log's lines; its named groups are the numbers."""
    step: str = "step"
    epoch: str = "epoch"


def read_job_options(file: YamlFile) -> tuple[int, dict[str, Any]]:
    """Priority, and the `extra` of every spec; `UsageError` names the line of a wrong key."""
    try:
        queue = read_strict(QueueKeys, file.at(("queue",)) or {}, "queue")
        health = read_strict(HealthKeys, file.at(("health",)) or {}, "health")
        slurm = read_strict(SlurmKeys, file.at(("slurm",)) or {}, "slurm")
        wandb = read_wandb(file.at(("wandb",)) or {}, "wandb")
    except ConfigError as error:
        raise file.error(tuple(error.key.split(".")), str(error)) from error
    extra: dict[str, Any] = {}
    if (metrics := _read_metrics(file)) is not None:
        extra["metrics"] = metrics
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


def _read_metrics(file: YamlFile) -> dict[str, Any] | None:
    """`metrics: {file or pattern, names: {theirs: ours}, step, epoch}`; None without it."""
    data = file.at(("metrics",))
    if data is None:
        return None
    if not isinstance(data, Mapping):
        raise file.error(("metrics",), "metrics: must be a mapping (key: value)")
    try:
        keys = read_strict(MetricsKeys, {k: v for k, v in data.items() if k != "names"}, "metrics")
    except ConfigError as error:
        raise file.error(tuple(error.key.split(".")), str(error)) from error
    names = data.get("names")
    _check_place(file, keys, names if isinstance(names, Mapping) else {})
    if not isinstance(names, Mapping) or not names:
        raise file.error(("metrics", "names"), "metrics.names: must map their names to ours")
    for theirs, ours in names.items():
        if not isinstance(ours, str) or not NAME.fullmatch(ours):
            here = ("metrics", "names", str(theirs))
            raise file.error(
                here, f"metrics.names.{theirs}: {ours!r} is not a value name such as val/r2/log_g"
            )
    options = {key: value for key, value in asdict(keys).items() if value is not None}
    return {**options, "names": dict(names)}


def _check_place(file: YamlFile, keys: MetricsKeys, names: Mapping[object, object]) -> None:
    """Numbers come from a file below the program's folder, or from a valid pattern."""
    if (keys.file is None) == (keys.pattern is None):
        raise file.error(("metrics",), "metrics: needs one of file and pattern")
    if keys.file is not None:
        path = Path(keys.file)
        if path.is_absolute() or ".." in path.parts:
            text = f"metrics.file: {path}: must be a path below the program's folder"
            raise file.error(("metrics", "file"), text)
        return
    place = ("metrics", "pattern")
    try:
        groups = re.compile(keys.pattern or "").groupindex
    except re.error as error:
        raise file.error(place, f"metrics.pattern: not a regular expression: {error}") from error
    for name in names:
        if name not in groups:
            known = ", ".join(groups) or "none"
            text = f"metrics.pattern: has no group (?P<{name}>...) (its groups: {known})"
            raise file.error(place, text)
