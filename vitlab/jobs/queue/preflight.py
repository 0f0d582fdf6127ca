"""What will or may go wrong with a job, before it is queued: one line for each finding."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vitlab.contract.config import (
    GRID_SOURCES,
    CommandConfig,
    Config,
    EnsembleConfig,
    EvaluateConfig,
    MlpConfig,
    VitConfig,
    outputs_of,
    read_config,
)
from vitlab.contract.excluded import (
    MAX_EXCLUDED,
    count,
    refusal,
    sentence,
    share_text,
    split_rows,
    unpack,
)
from vitlab.contract.job import Done, Lost, Spec, ended_well, state_word
from vitlab.contract.paths import LabPaths, UsageError
from vitlab.contract.tracking import wandb_of
from vitlab.contract.user_key import own_record, sealed
from vitlab.contract.validation import ConfigError
from vitlab.contract.value import (
    CALIBRATION,
    DENSITY,
    LOG_SCORE_EXACT,
    NATS_LOST,
    SCORES,
    Value,
)
from vitlab.jobs.environment import differing, secrets_in, this_environment
from vitlab.jobs.experiment.estimate import parameters, training_bytes
from vitlab.jobs.experiment.settings import host_of, load_settings
from vitlab.jobs.files import write_json
from vitlab.jobs.gpus import VISIBLE
from vitlab.jobs.processes import machine_memory
from vitlab.jobs.queue.machine import (
    GPU_RECIPES,
    MEMORY,
    NETWORKS,
    Machine,
    gpus_wanted,
    missing_gpu,
)
from vitlab.jobs.queue.program import CodeReader, SharedFiles, check_command
from vitlab.jobs.slurm import WARNING, rejection, seconds_of
from vitlab.jobs.store import Job

PATIENCE = 120
"""Seconds to read a file's layout and some of its spectra, on a slow disk."""
INSPECTION = 3
"""Changed with what an inspection finds, so that none of an older version is used."""
LOOKING = 30
"""Seconds for which spectra are read."""
_TESTED = (*SCORES, *CALIBRATION, *DENSITY, LOG_SCORE_EXACT, NATS_LOST)
"""Metrics on the test set; `_OF_TEMPLATE`: what the recipe template gives besides."""
_OF_TEMPLATE = ("sigma", "chi2")
MUCH = 0.05
"""Share of pixels without data from which a launch is warned."""


class Datasets:
    """The data files of one launch, each read once for all runs that learn from it."""

    def __init__(self, lab: LabPaths) -> None:
        self._lab = lab
        self._layouts: dict[Path, dict[str, Any]] = {}

    def problems(
        self, source: str, sizes: Mapping[str, int], labels: Sequence[str], limit: float
    ) -> Iterator[Finding]:
        """Why a run cannot learn from the file or folder `source`, and what it would leave out.

        Its layout is broken, its arrays are of different lengths, it has too few spectra for
        `sizes`, a column of `labels` is missing, or more than the share `limit` of a split is
        unusable. Without `sizes` all spectra are the test set.
        """
        path = self._lab.root / source
        if path not in self._layouts:
            self._layouts[path] = _inspect(self._lab, path)
        layout = self._layouts[path]
        if "error" in layout:
            yield Finding("bad", str(layout["error"]))
            return
        if "why" in layout:
            yield Finding("bad", f"{source}: a {layout['format']} file; {layout['why']}")
            return
        n, columns, wrong = layout["n"], layout["columns"], layout["invalid_rows"]
        if sum(sizes.values()) > n:
            wanted = " + ".join(f"{number:,} {name}" for name, number in sizes.items())
            yield Finding("bad", f"{source}: {n:,} spectra, not {wanted}")
            return
        missing = [name for name in labels if name not in columns]
        for name in missing:
            known = ", ".join(sorted(columns))
            yield Finding("bad", f"{source}: no column {name} (found: {known})")
        for name in labels:
            low, high = layout["labels"].get(name) or (0, 1)
            if low == high and n > 1:
                yield Finding(
                    "bad", f"{source}: {name} is {low:g} in all spectra: nothing to learn"
                )
        if missing:
            return
        for note in layout["notes"]:
            yield Finding("warn", f"{source}: {note}")
        codes = unpack(layout["codes"])
        invalid = {name: unpack(wrong[name]) for name in labels if name in wrong}
        for split, rows in split_rows(n, sizes or {"train": 0, "val": 0, "test": n}).items():
            counts, of = count(codes, invalid, rows)
            if counts:
                why = refusal(split, counts, of, limit)
                status = "bad" if why else "warn"
                yield Finding(status, f"{source}: {why or sentence(split, counts, of)}")
        yield from _remarks(source, layout, labels)


def _remarks(source: str, layout: Mapping[str, Any], labels: Sequence[str]) -> Iterator[Finding]:
    """What stays in, and a person should know."""
    n, read = layout["n"], layout["read"]
    if layout["no_data"] >= MUCH:
        share = share_text(layout["no_data"], 1)
        text = f"{share} of the pixels have no data, and are shown to the model as flux 1"
        yield Finding("warn", f"{source}: {text}")
    if layout["duplicates"]:
        text = f"{layout['duplicates']:,} spectra are copies of earlier ones"
        yield Finding("warn", f"{source}: {text}")
    for name in labels:
        if outside := layout["outside"].get(name):
            share = share_text(outside, n)
            yield Finding("warn", f"{source}: {name} outside the grid's range in {share} of rows")
    if read < n:
        text = f"{read:,} of {n:,} spectra were looked at; the run itself looks at all"
        yield Finding("note", f"{source}: {text}")


def _inspect(lab: LabPaths, path: Path) -> dict[str, Any]:
    """What `vitlab data inspect` finds, or {error}; cached until the file changes."""
    folder = path if path.is_dir() else path.parent
    parts = sorted(folder.iterdir()) if path.is_dir() or path.suffix == ".txt" else [path]
    found = [one.stat() if one.exists() else one.lstat() for one in parts]
    stamp = [INSPECTION, *([one.st_size, one.st_mtime_ns] for one in found)]
    known = own_record(lab.private.inspected)
    entry = known.get(str(path))
    if isinstance(entry, dict) and entry.get("stamp") == stamp:
        return dict(entry["found"])
    # In a process of its own: what reads spectra takes long to load.
    argv = [sys.executable, "-P", "-m", "vitlab", "data", "inspect", str(path), "--json"]
    argv += ["--seconds", str(LOOKING)]
    try:
        process = subprocess.run(
            argv, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return {"error": f"{path.name}: not read within {PATIENCE} s"}
    if not process.stdout:  # a file that holds no spectrum is described all the same
        lines = process.stderr.strip().splitlines() or ["could not be read"]
        return {"error": lines[-1].removeprefix("vitlab: ")}
    layout: dict[str, Any] = json.loads(process.stdout)
    with contextlib.suppress(OSError, UsageError):  # a lab that can only be read
        lab.private.make()
        entries = {**known, str(path): {"stamp": stamp, "found": layout}}
        write_json(lab.private.inspected, sealed(entries, lab.private.inspected))
    return layout


MIN_FREE = 200 * 10**6
"""Free bytes below which no job is begun."""
LOW_FREE = 5 * 10**9
"""Free bytes below which there is a warning."""
CHECKPOINTS = 3 * 4 * 4
"""Bytes on disk for a parameter: best, last and one being written; each with its moments, and the
average or best weights."""

SYSTEMD = Path("/etc/systemd")
LINGER = Path("/var/lib/systemd/linger")


@dataclass(frozen=True)
class Finding:
    """One problem, or possible problem, of a launch."""

    status: str
    """`bad`: it cannot end well; `warn`; `note`."""
    text: str


def preflight(
    lab: LabPaths, specs: Sequence[Spec], jobs: Iterable[Job], machine: Machine
) -> list[Finding]:
    """All findings on what would be launched together, the worst first, each once.

    A finding on only some of the runs names them.
    """
    jobs = list(jobs)
    shared = SharedFiles(lab, specs, jobs)
    everywhere = (*_logout(), *_secrets(), *_webhook(lab))
    known = _Known(
        lab, machine, _SameJobs(jobs), Datasets(lab), shared, CodeReader(lab.root), everywhere
    )
    runs_of: dict[Finding, list[str]] = {}
    for spec in specs:
        for finding in _check(known, spec):
            runs_of.setdefault(finding, []).append(spec.run)
    findings = [
        finding if len(runs) == len(specs) else replace(finding, text=f"{_few(runs)}: {text}")
        for finding, runs in runs_of.items()
        for text in [finding.text]
    ]
    return sorted(findings, key=lambda finding: ("bad", "warn", "note").index(finding.status))


def _few(runs: Sequence[str]) -> str:
    return ", ".join(runs[:3]) + (f" and {len(runs) - 3} more" if len(runs) > 3 else "")


@dataclass(frozen=True)
class _Known:
    """What the runs of a launch are held against."""

    lab: LabPaths
    machine: Machine
    same_jobs: _SameJobs
    files: Datasets
    shared: SharedFiles
    code: CodeReader
    everywhere: Sequence[Finding]
    """What is true of every run."""


def _check(known: _Known, spec: Spec) -> list[Finding]:
    root = known.lab.root
    try:
        config = read_config(spec.recipe, spec.config)
    except ConfigError as error:
        return [Finding("bad", str(error))]
    return [
        *_labels(config, spec),
        *(_command(known, spec) if isinstance(config, CommandConfig) else ()),
        *_data(root, config, known.files),
        *_disk(root, config),
        *_device(known.lab, spec, known.machine),
        *_memory(spec, config, known.machine),
        *known.same_jobs.of(spec),
        *known.everywhere,
        *_wandb(root, spec, {**os.environ, **getattr(config, "env", {})}),
    ]


def _labels(config: Config, spec: Spec) -> Iterator[Finding]:
    """The headline must be of a label that is learned, or the run will have none."""
    headline, labels = spec.headline, getattr(config, "labels", ())
    value = Value.parse(headline)
    tested = (*_TESTED, *(_OF_TEMPLATE if spec.recipe == "template" else ()))
    if (
        labels
        and value.metric in (*SCORES, *CALIBRATION, *DENSITY)
        and value.label not in ("", *labels)
    ):
        other = replace(value, label=labels[0])
        text = f"{value.label} is not among config.labels ({', '.join(labels)})"
        yield Finding("bad", f"headline: {headline}: {text}; headline: {other} would be")
    elif labels and value.split in SCORES:
        other = Value("test", value.split, value.metric)
        yield Finding("bad", f"headline: {headline}: names no split; headline: {other} does")
    elif labels and value.split == "test" and value.metric not in tested:
        text = f"{spec.recipe} gives no {value.metric}; {', '.join(SCORES)} and more are given"
        yield Finding("bad", f"headline: {headline}: {text}")
    elif labels and value.split == "test" and value.metric in SCORES and not value.label:
        other = replace(value, label=labels[0])
        yield Finding("bad", f"headline: {headline}: names no label; headline: {other} does")


def _command(known: _Known, spec: Spec) -> Iterator[Finding]:
    for one in (*check_command(known.lab.root, spec, known.code), *known.shared.of(spec)):
        yield Finding(*one)


def _secrets() -> Iterator[Finding]:
    if names := secrets_in(this_environment()):
        where = "not stored with the job, which takes them from the process that starts it"
        yield Finding("note", f"environment: {', '.join(names)}: look like secrets; {where}")


def _webhook(lab: LabPaths) -> Iterator[Finding]:
    """The lab's settings may be somebody else's: who is told of a job is said before."""
    if host := host_of(load_settings(lab).notify.webhook or ""):
        what = "its lab, name, MVP, run, profile, outcome and headline"
        yield Finding("note", f"notify.webhook: {what} are sent to {host} when it ends")


def _data(root: Path, config: Config, files: Datasets) -> Iterator[Finding]:
    sizes: dict[str, int] = {}
    limit = MAX_EXCLUDED
    match config:
        case CommandConfig() | EnsembleConfig():
            return
        case EvaluateConfig():
            key, source = "config.source", config.source
        case _:
            key, source = "config.data.source", config.data.source
            data = config.data
            limit = data.max_excluded
            sizes = {"train": data.train_size, "val": data.val_size, "test": data.test_size}
    if source is None or source in GRID_SOURCES:
        return
    path = root / source
    if not path.exists():  # a folder of shards is a data set too
        yield Finding("bad", f"{key}: {source}: no such file")
    elif not os.access(path, os.R_OK):
        yield Finding("bad", f"{key}: {source}: not readable")
    else:
        for one in files.problems(source, sizes, getattr(config, "labels", ()), limit):
            yield replace(one, text=f"{key}: {one.text}")


def _disk(root: Path, config: Config) -> Iterator[Finding]:
    free, need, what = shutil.disk_usage(root).free, MIN_FREE, "a job"
    if isinstance(config, VitConfig | MlpConfig):
        count = parameters(config.model, outputs_of(config))
        need += CHECKPOINTS * count
        what = f"a network of {count:,} parameters with its checkpoints"
    if free < need:
        yield Finding("bad", f"disk: {free / 1e6:.0f} MB free, {what} needs {need / 1e6:.0f} MB")
    elif free < LOW_FREE:
        yield Finding("warn", f"disk: {free / 1e9:.1f} GB free")


def _device(lab: LabPaths, spec: Spec, machine: Machine) -> Iterator[Finding]:
    if spec.extra.get("backend") == "slurm":
        yield from _cluster(lab, spec)
        return
    limit = os.environ.get(VISIBLE)
    gpus = machine.left_by(limit)
    without = "".join(f"; {why}" for why in machine.without(limit))
    names = [
        word for gpu in gpus for word in (str(gpu.device.index), gpu.device.label, gpu.device.uuid)
    ]
    here = ", ".join(gpu.device.label for gpu in gpus) or "no GPU"
    if spec.device not in ("auto", "cpu") and not set(spec.device.split(",")) <= set(names):
        yield Finding("bad", f"device: {spec.device}: this machine has {here}{without}")
    elif (count := gpus_wanted(spec, len(gpus))) > len(gpus):
        here = f"{len(gpus)} GPU" + ("s" if len(gpus) > 1 else "")
        detail = f"needs {count} GPUs at once, this machine has {here}{without}"
        yield Finding("bad", f"device: {detail}")
    elif why := missing_gpu(spec, machine, limit):
        yield Finding("bad", f"device: {why}")
    elif spec.device == "auto" and not gpus and spec.recipe in NETWORKS:
        status = "warn" if spec.profile == "full" else "note"
        yield Finding(status, f"device: no GPU here, so {spec.recipe} runs on the CPU{without}")
    elif without and spec.device != "cpu" and spec.recipe in GPU_RECIPES:
        yield Finding("note", f"device: {without[2:]}")


def _cluster(lab: LabPaths, spec: Spec) -> Iterator[Finding]:
    options = spec.extra.get("slurm", {})
    if why := rejection(lab, options):
        yield Finding("bad", f"slurm: {why}")
    limit, warning = options.get("time", ""), options.get("warning", WARNING)
    if seconds_of(limit) <= warning:
        detail = f"no longer than the {warning} s before it at which a job is asked to save"
        yield Finding("bad", f"slurm.time: {limit}: {detail} (slurm.warning)")
    nodes = options.get("nodes", 1)
    processes = spec.config.get("train", {}).get("processes", 1)
    if nodes > 1 and spec.recipe in NETWORKS:
        if processes % nodes:
            detail = f"config.train.processes must be a multiple of it, is {processes}"
            yield Finding("bad", f"slurm.nodes: {nodes}: {detail}")
    elif nodes > 1 and spec.recipe != "command":
        yield Finding("warn", f"slurm.nodes: {spec.recipe} runs on the first of {nodes} nodes")


def _memory(spec: Spec, config: Config, machine: Machine) -> Iterator[Finding]:
    """The estimate against what the job declares, and against the devices it may get."""
    gpus = machine.left_by(os.environ.get(VISIBLE))
    on_gpu = bool(gpus) and spec.device != "cpu"
    need = training_bytes(config, on_gpu)
    if need is None or spec.extra.get("backend") == "slurm":
        return
    declared = spec.extra.get(MEMORY)
    if isinstance(declared, int) and declared < need:
        detail = f"declares {declared / 1e9:.1f} GB, and will take about {need / 1e9:.1f} GB"
        yield Finding("warn", f"queue.gpu_memory: {detail}")
    if on_gpu:
        largest = max(gpu.device.memory_total for gpu in gpus)
        free = max(gpu.device.memory_free for gpu in gpus)
        where = "the largest GPU"
    else:
        largest, free = machine_memory()
        where = "this machine"
    if need > largest > 0:
        detail = f"about {need / 1e9:.1f} GB, {where} has {largest / 1e9:.1f} GB"
        yield Finding("bad", f"memory: {detail}; a smaller train.batch needs less")
    elif need > free > 0:
        detail = f"about {need / 1e9:.1f} GB, {where} has {free / 1e9:.1f} GB free now"
        yield Finding("warn", f"memory: {detail}")


class _SameJobs:
    """Existing jobs that compute the same, by the hash of a spec."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._jobs: dict[str, list[Job]] = {}
        for job in jobs:
            self._jobs.setdefault(job.spec.hash, []).append(job)

    def of(self, spec: Spec) -> Iterator[Finding]:
        for job in self._jobs.get(spec.hash, ())[-3:]:
            match job.state:
                case Done() if ended_well(job.state):
                    show = f"`vitlab logs {job.name}` shows it"
                    yield Finding("warn", f"the same was run before: {job.name}; {show}")
                case Done() | Lost():
                    continue
                case state if not job.foreign:
                    others = differing(job.paths, this_environment())
                    if spec.recipe == "command" and others:
                        what = f"the same command is {state_word(state)}: {job.name}"
                        yield Finding("warn", f"{what}, with another {_few(others)}")
                        continue
                    again = "--force launches it a second time"
                    yield Finding("bad", f"the same is {state_word(state)}: {job.name}; {again}")


def _logout() -> Iterator[Finding]:
    """Whether the system ends all processes of a user at logout."""
    kills = False
    for path in (SYSTEMD / "logind.conf", *sorted((SYSTEMD / "logind.conf.d").glob("*.conf"))):
        for line in path.read_text().splitlines() if path.is_file() else []:
            name, _, value = line.partition("=")
            if name.strip() == "KillUserProcesses":
                kills = value.strip().lower() in ("yes", "true", "1", "on")
    user = os.environ.get("USER", "")
    if kills and not (user and (LINGER / user).exists()):
        yield Finding("warn", "logout: this system ends your jobs then; `loginctl enable-linger`")


def _wandb(root: Path, spec: Spec, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Whether W&B answers, if the job reports to it, by vitlab or by its own program."""
    if spec.recipe == "command":
        online = environment.get("WANDB_MODE", "online") == "online" and (
            "WANDB_API_KEY" in environment or "WANDB_MODE" in environment
        )
        offline = "WANDB_MODE=offline keeps its numbers here"
    else:
        online = wandb_of(spec.extra).resolved(environment) == "online"
        offline = "its numbers will be kept offline"
        if online and (root / "wandb" / "settings").exists():
            # A lab may come from somebody else, and the file could send the key anywhere.
            yield Finding("warn", "W&B: wandb/settings is not read; WANDB_BASE_URL names a server")
    own = os.environ.get("WANDB_BASE_URL")
    if not online or environment.get("WANDB_BASE_URL") != own:
        return  # an address in a file is not asked before the launch
    url = urlsplit(own or "https://api.wandb.ai")
    try:
        port = url.port or (80 if url.scheme == "http" else 443)
        socket.create_connection((url.hostname or "", port), timeout=2).close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        yield Finding("warn", f"W&B: {url.hostname} does not answer ({reason}); {offline}")
