"""For your own programs, in two lines: `from vitlab.events import log`, `log(values, step)`.

Standard library only. Outside a job it does nothing.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import SupportsFloat

from vitlab.contract.events import EventWriter
from vitlab.contract.paths import JobPaths
from vitlab.contract.value import Value

_opened: dict[str, EventWriter] = {}
"""The open file of a job, by the job's folder; a forked process goes on with its parent's."""
_warned: set[str] = set()
_MOST_WARNINGS = 20
"""Lines on stderr: a program whose names change at every step must not fill its log."""


def log(
    values: Mapping[str, SupportsFloat],
    step: SupportsFloat | None = None,
    of: SupportsFloat = 0,
    epoch: SupportsFloat | None = None,
) -> None:
    """Report numbers named `split/metric/label` (`val/r2/log_g`, `train/loss`) at `step` of `of`.

    Without `step` it is the next one. Values of `val` or `test` are an evaluation, others a step.
    Of several processes started by torchrun or Slurm only the first reports. It never raises: what
    is no number is left out, and what goes wrong is told once on stderr.
    """
    folder = os.environ.get("VITLAB_JOB")
    first = os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) == "0"
    if not folder or not first:
        return
    try:
        _write(folder, values, step, of, epoch)
    except OSError as error:  # a full disk, a folder that was deleted
        _warn("file", f"{folder}: {error.strerror or error}: numbers are lost")
    except Exception as error:  # a class of the program's own: its run matters more
        _warn("values", f"numbers are lost: {type(error).__name__}: {error}")


def _write(
    folder: str, values: Mapping[str, object], step: object, of: object, epoch: object
) -> None:
    at: dict[str, object] = {}
    if type(of) is not int or of:
        at["of"] = of
    if epoch is not None:
        at["epoch"] = epoch
    splits: dict[str, dict[str, object]] = {}
    for name, value in values.items():
        if value is None:
            _warn(str(name), f"{name}: None is not a number; left out")
            continue
        split = Value.parse(str(name)).split
        splits.setdefault(split if split in ("val", "test") else "", {})[str(name)] = value
    if not splits:
        return
    writer = _writer(folder)
    at["step"] = writer.step + 1 if step is None else step
    for split, named in splits.items():
        about = {"split": split} if split else {}
        odd = writer.write("eval" if split else "step", **at, **about, values=named)
        at["step"] = writer.step  # of a step that is no number: the same for all splits
        for name, line in odd.items():
            _warn(name, line)


def _writer(folder: str) -> EventWriter:
    writer = _opened.get(folder)
    if writer is None or not writer.is_open():
        # The old one is not closed: its descriptor may be another file's by now.
        step = writer.step if writer else 0
        writer = _opened[folder] = EventWriter(JobPaths(Path(folder)).events, step)
    return writer


def _warn(about: str, line: str) -> None:
    """One line on stderr, once for each subject."""
    if about in _warned or len(_warned) >= _MOST_WARNINGS:
        return
    _warned.add(about)
    with contextlib.suppress(Exception):  # a closed stderr
        print("vitlab.events.log:", " ".join(line.split())[:300], file=sys.stderr, flush=True)
