"""How a job ended: its `exit.json`."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vitlab.contract.job import UNNAMED, Done, Spec, read_spec
from vitlab.contract.paths import JobPaths, archived, write_atomic
from vitlab.contract.reading import Unreadable, has_sum, read_regular, with_sum
from vitlab.contract.validation import load_fields

_EXIT = {"started": "Time", "ended": "Time", "reason": "str", "detail": "str", "code": "int | None",
         "job": "str"}  # fmt: skip
LONGEST = 2000
"""Characters kept of a text that a row shows."""


def exit_bytes(job: JobPaths, record: Mapping[str, Any]) -> bytes:
    """`exit.json` of this job, which it names: another's says nothing of it."""
    spec = read_spec(job.spec)
    named = {**record, "job": spec.mark} if spec else record
    return with_sum(json.dumps(named, ensure_ascii=False, indent=1).encode("utf-8", "replace"))


def write_exit(job: JobPaths, record: Mapping[str, Any]) -> None:
    """Write `exit.json`, whole or not at all."""
    write_atomic(job.exit, exit_bytes(job, record))


def load_exit(path: Path, spec: Spec | None = None) -> Done | None:
    """The end in `exit.json`; None while there is none, `Unreadable` where it says no end.

    `spec`: of the job, where it is known: an end that names another one is not its own.
    """
    record = load_fields(path, _EXIT)
    if not record:
        if os.path.lexists(path):
            raise Unreadable(path, "is empty")
        return None
    if spec and not spec.is_named(record.get("job")):
        raise Unreadable(path, f"is of another job {UNNAMED}")
    began = record.get("started")
    if began is not None and (earlier := _earlier(path, began)):
        raise Unreadable(path, f"is of an earlier attempt, as {earlier}")
    ended = number(record.get("ended"), modified(path))
    return Done(
        started=number(began, ended),
        ended=ended,
        outcome=record.get("reason", "failed")[:LONGEST],
        code=record.get("code"),
        detail=record.get("detail", "")[:LONGEST],
    )


def _earlier(path: Path, started: object) -> str:
    """A file of an earlier attempt that began as this end says; empty where the last one did."""
    last = JobPaths(path.parent).started
    for attempt in _attempts(JobPaths(path.parent)):
        pair = [archived(one, attempt) for one in (last, path)]
        alike = next((one.name for one in pair if _began(one) == started), "")
        if alike and _began(last) not in (None, started):
            return alike
    return ""


def earlier_result(job: JobPaths) -> str:
    """The kept result of an earlier attempt that stands for the last one's; empty without one.

    Two that vitlab writes differ, by their time alone. A program may write the same again.
    """
    for attempt in _attempts(job):
        kept = archived(job.result, attempt)
        with contextlib.suppress(OSError):
            is_copy = has_sum(text := read_regular(kept)) and text == read_regular(job.result)
            if is_copy and _began(archived(job.started, attempt)) != _began(job.started):
                return kept.name
    return ""


def _attempts(job: JobPaths) -> Iterator[int]:
    """The numbers of the earlier attempts of which files are kept."""
    for attempt in itertools.count(1):
        if not any(os.path.lexists(archived(one, attempt)) for one in (job.started, job.exit)):
            return
        yield attempt


def _began(path: Path) -> object:
    with contextlib.suppress(Unreadable):
        return load_fields(path, {"started": "Time"}).get("started")
    return None


def read_exit(job: JobPaths) -> Done | None:
    """The end in `exit.json`; None while there is none, or where it cannot be read."""
    with contextlib.suppress(Unreadable):
        return load_exit(job.exit)
    return None


def number(value: Any, default: float) -> float:
    return float(value) if isinstance(value, int | float) else default


def modified(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0
