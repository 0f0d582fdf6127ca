"""What every scored job of the lab says of one test star, by the residuals they kept."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl

from vitlab.contract.paths import JobPaths, NoLab, UsageError, find_lab
from vitlab.contract.result import read_result
from vitlab.jobs.store import jobs
from vitlab.ml.residuals import KEY, Residuals, load
from vitlab.records.stars import Guess


@dataclass
class Guesses:
    """The jobs that were scored on the same stars with the same noise."""

    own: JobPaths
    """The job that is looked at."""
    hash: str
    """Of its test set."""
    _names: dict[str, str] = field(default_factory=dict)
    _read: dict[Path, tuple[int, Residuals | None]] = field(default_factory=dict)
    """What each file held when it was last changed; None for other stars."""

    def of(self, star: int, own: Guess | None) -> tuple[Guess, ...]:
        """Each job's word on a star, the own job's first; `own` is what its model says now."""
        first = [own] if own is not None else []
        others: list[Guess] = []
        for job in self._jobs():
            mine = job.folder == self.own.folder
            if mine and own is not None:
                continue
            found = self._found(job)
            guess = None if found is None else self._guess(job, found, star)
            if guess is not None:
                (first if mine else others).append(guess)
        every = [*first, *others]
        names = [guess.name for guess in every]
        return tuple(
            # Two jobs of one run are told apart by when they were submitted.
            replace(guess, name=f"{guess.name} {_stamp(guess.job)}")
            if names.count(guess.name) > 1
            else guess
            for guess in every
        )

    def _guess(self, job: JobPaths, found: Residuals, star: int) -> Guess | None:
        rows = np.flatnonzero(found.star == star)
        if not len(rows):
            return None
        row = rows[0]
        values = dict(zip(found.labels, found.predicted[row].tolist(), strict=True))
        sigma = found.sigma
        errors = {} if sigma is None else dict(zip(found.labels, sigma[row].tolist(), strict=True))
        if job.name not in self._names:
            self._names[job.name] = job_name(job)
        return Guess(job.name, self._names[job.name], values, errors)

    def _jobs(self) -> list[JobPaths]:
        try:
            return jobs(find_lab(self.own.folder))
        except NoLab:
            return [self.own]

    def _found(self, job: JobPaths) -> Residuals | None:
        path = job.residuals
        try:
            changed = path.stat().st_mtime_ns
        except OSError:
            return None
        known = self._read.get(path)
        if known is None or known[0] != changed:
            known = self._read[path] = changed, self._load(path)
        return known[1]

    def _load(self, path: Path) -> Residuals | None:
        """Only what is of the same stars is read whole."""
        with contextlib.suppress(
            UsageError, OSError, KeyError, TypeError, ValueError, pl.exceptions.PolarsError
        ):
            if json.loads(pl.read_parquet_metadata(path)[KEY])["hash"] == self.hash:
                return load(path)
        return None


def _stamp(name: str) -> str:
    """The time of day in a job's folder; the folder's name where it has none."""
    folder = name.rpartition("/")[2]
    time = folder[9:15]
    return time if time.isdecimal() else folder


def job_name(job: JobPaths) -> str:
    """`ViT 1.0 Run 1`: what a job is, in a word."""
    result = read_result(job.result)
    return job.name if result is None else f"{result.model_name} {result.mvp} {result.run}"
