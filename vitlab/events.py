"""For your own programs, in two lines: `from vitlab.events import log`, `log(values, step)`.

Standard library only. Outside a job it does nothing.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import SupportsFloat

from vitlab.contract.events import EventWriter
from vitlab.contract.paths import JobPaths
from vitlab.contract.value import Value

_opened: dict[str, EventWriter] = {}
"""The open file of a job, by the job's folder; a forked process goes on with its parent's."""
_waiting: dict[str, deque[bytes]] = {}
"""Lines that could not be written to it yet."""
_MOST_WAITING = 20_000
_marked: set[str] = set()
"""Folders in which a file says that lines wait, or are lost."""
_lossy: set[str] = set()
"""Folders of which lines were lost."""
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
    is no number is left out, and what goes wrong is told once on stderr. What a full disk does not
    take is written later, at the end of the program at the latest; else the job has no result.
    """
    folder = os.environ.get("VITLAB_JOB")
    first = os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) == "0"
    if not folder or not first:
        return
    try:
        _write(folder, values, step, of, epoch)
    except OSError as error:  # a full disk, a folder that was deleted
        what = "wait to be written" if _waiting.get(folder) else "are lost"
        _warn("file", f"{folder}: {error.strerror or error}: numbers {what}")
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
    writer = _opened.get(folder) or _open(folder)
    at["step"] = writer.step + 1 if step is None else step
    for split, named in splits.items():
        about: dict[str, object] = {"by": os.getpid(), **({"split": split} if split else {})}
        if step is None:
            about["counted"] = True  # by us, from 1 in each process
        line, odd = writer.line("eval" if split else "step", **at, **about, values=named)
        waiting = _waiting.setdefault(folder, deque(maxlen=_MOST_WAITING))
        if len(waiting) == _MOST_WAITING:
            _lossy.add(folder)
        waiting.append(line)
        at["step"] = writer.step  # of a step that is no number: the same for all splits
        for name, told in odd.items():
            _warn(name, told)
    _write_waiting(folder)


def _write_waiting(folder: str) -> None:
    """Write what waits; while there is any, a file in the job's folder says so."""
    waiting, mark = _waiting[folder], JobPaths(Path(folder)).unwritten
    try:
        writer = _opened[folder]
        if not writer.is_open():
            # The old one is not closed: its descriptor may be another file's by now.
            writer = _open(folder, writer.step)
        while waiting:
            line = waiting.popleft()  # at once: another thread may write as well
            try:
                writer.append(line)
            except OSError:
                waiting.appendleft(line)
                raise
    except OSError:
        _marked.add(folder)
        with contextlib.suppress(OSError):
            mark.touch()
        raise
    if folder in _marked:
        _marked.discard(folder)
        if folder not in _lossy:
            mark.unlink(missing_ok=True)


def _open(folder: str, step: int | float = 0) -> EventWriter:
    _opened[folder] = EventWriter(JobPaths(Path(folder)).events, step)
    return _opened[folder]


@atexit.register
def _write_last() -> None:
    for folder, waiting in _waiting.items():
        with contextlib.suppress(Exception):
            if waiting:
                _write_waiting(folder)


def _warn(about: str, line: str) -> None:
    """One line on stderr, once for each subject."""
    if about in _warned or len(_warned) >= _MOST_WARNINGS:
        return
    _warned.add(about)
    with contextlib.suppress(Exception):  # a closed stderr
        print("vitlab.events.log:", " ".join(line.split())[:300], file=sys.stderr, flush=True)
