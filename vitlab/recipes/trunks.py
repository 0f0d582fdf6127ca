"""The stable phases that runs with `schedule: wsd` leave, from which other runs go on."""

from __future__ import annotations

import contextlib
from pathlib import Path

import torch

from vitlab.contract.events import read_events
from vitlab.contract.job import CORE_HOURS, GPU_HOURS, Spec
from vitlab.contract.paths import JobPaths, NoLab, UsageError, find_lab
from vitlab.jobs.store import all_jobs
from vitlab.lab.results.run_settings import settings_of
from vitlab.ml.training import checkpoint

_LENGTH = (
    "train.epochs", "train.decay", "train.min_lr", "train.eval_every", "train.monitor",
    "train.patience", "train.threads", "train.prefetch", "train.reuse_trunk", "data.memory",
    "data.device_memory",
)  # fmt: skip
"""Settings that change nothing of a stable phase but its length."""


def find_trunk(job: JobPaths, spec: Spec, stable: int, data: str) -> Path | None:
    """The longest trunk of at most `stable` steps that a job of equal settings has left.

    `data`: hash of the data set it must be of. None where the lab has none.
    """
    own = _meaning(spec)
    steps: dict[Path, int] = {}
    try:
        jobs = all_jobs(find_lab(job.root))
    except NoLab:
        return None
    for other in jobs:
        path = other.paths.checkpoints / checkpoint.TRUNK
        same = other.spec.recipe == spec.recipe and _meaning(other.spec) == own
        if same and other.paths.folder != job.folder and path.is_file():
            with contextlib.suppress(UsageError):  # a broken one is none
                saved = checkpoint.load(path, torch.device("cpu"))
                if saved.data in ("", data) and other.spec.is_named(saved.job):
                    steps[path] = saved.step
    usable = {path: step for path, step in steps.items() if step <= stable}
    return max(usable, key=lambda path: usable[path], default=None)


def trunk_hours(trunk: Path) -> dict[str, float] | None:
    """Hours of cores and GPUs up to a trunk, as its job has kept them; None where it has not."""
    events, offset, end = JobPaths(trunk.parent.parent).events, 0, -1
    known: dict[str, float] = {}
    while offset != end:
        end = offset
        found, offset = read_events(events, offset)
        for event in found:
            if event.kind == "checkpoint" and str(event.data.get("path")).endswith(trunk.name):
                known = {
                    key: event.data[key] for key in (CORE_HOURS, GPU_HOURS) if key in event.data
                }
    return known if CORE_HOURS in known else None


def _meaning(spec: Spec) -> dict[str, object]:
    return {name: x for name, x in settings_of(spec).items() if name not in _LENGTH}
