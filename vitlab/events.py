"""For your own programs, in two lines: `from vitlab.events import log`, `log(values, step)`.

Standard library only. Outside a job it does nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from vitlab.contract.events import EventWriter
from vitlab.contract.paths import JobPaths
from vitlab.contract.value import Value


def log(values: Mapping[str, float], step: int, of: int = 0, epoch: float | None = None) -> None:
    """Report numbers named `split/metric/label` (`val/r2/log_g`, `train/loss`) at `step` of `of`.

    Values of `val` or `test` are an evaluation, others a step. Of several processes started by
    torchrun or Slurm only the first reports.
    """
    folder = os.environ.get("VITLAB_JOB")
    first = os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) == "0"
    if not folder or not first:
        return
    at: dict[str, object] = {"step": step}
    if of:
        at["of"] = of
    if epoch is not None:
        at["epoch"] = epoch
    splits: dict[str, dict[str, float]] = {}
    for name, value in values.items():
        split = Value.parse(name).split
        splits.setdefault(split if split in ("val", "test") else "", {})[name] = float(value)
    with EventWriter(JobPaths(Path(folder)).events) as writer:
        for split, named in splits.items():
            if split:
                writer.write("eval", **at, split=split, values=named)
            else:
                writer.write("step", **at, values=named)
