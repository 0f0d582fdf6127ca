"""The process behind the spectrum viewer: opens a job once, then answers for star after star.

    python -m vitlab.lab.inspector.server JOBDIR

A line of JSON on standard input asks, `{"star": 17, "label": "log_g"}`; a line on standard output
answers: `{"kind": "note", "text": ...}` while it works, `list` once (`vitlab.lab.inspector.star`),
then `star`, or `error` with one line. It ends with its input, so with whoever asks.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from vitlab.contract.config import EvaluateConfig, read_config
from vitlab.contract.job import read_result, read_spec
from vitlab.contract.paths import JobPaths, NoLab, UsageError, find_lab
from vitlab.contract.value import unit_of
from vitlab.jobs.store import jobs
from vitlab.lab.inspector.model import CPU, Scored, Seen, Viewed, load_viewed
from vitlab.lab.inspector.star import Guess, Mark, Share, StarList, StarSheet, Trace, plain, write
from vitlab.ml.scoring import KEY, Residuals, load
from vitlab.ml.spectra.dataset import Spectra, open_spectra
from vitlab.ml.spectra.grid import Grid, OutOfGrid, load_grid
from vitlab.ml.spectra.held_out import clean_flux, conditions, grid_labels, in_vacuum
from vitlab.ml.spectra.labels import LABELS
from vitlab.ml.spectra.lines import Line, lines_between, shares
from vitlab.ml.theory.fisher import Efficient, agreement, derivatives_at, efficient


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
    folder = Path(name).name
    time = folder[9:15]
    return time if time.isdecimal() else folder


def job_name(job: JobPaths) -> str:
    """`ViT 1.0 Run 1`: what a job is, in a word."""
    result = read_result(job.result)
    return job.name if result is None else f"{result.model_name} {result.mvp} {result.run}"


Array = NDArray[np.float64]
TELLING = 0.01
"""Least share of information or response for a line to be named in a star's table."""


@dataclass(frozen=True)
class Bench:
    """One job, opened: its data, its model if it kept one, the grid its information comes from."""

    job: JobPaths
    labels: tuple[str, ...]
    spectra: Spectra
    grid: Grid
    vacuum: bool
    """Whether the wavelengths are in vacuum."""
    lines: tuple[Line, ...]
    model: Viewed | None
    kept: Residuals | None
    """What the job itself said of these stars."""
    mag: Array
    snr: Array
    guesses: Guesses
    notes: tuple[str, ...]

    def stars(self) -> StarList:
        """The job's test stars."""
        n = self.spectra.sizes["test"]
        true = self.spectra.labels("test", 0, n)
        kept = self.kept
        said = {} if kept is None else dict(zip(kept.labels, kept.predicted.T, strict=True))
        return StarList(
            job=self.job.name,
            model=job_name(self.job),
            labels=self.labels,
            wave=_numbers(np.asarray(self.spectra.wave)),
            vacuum=self.vacuum,
            true={name: _numbers(true[:, k]) for k, name in enumerate(self.labels)},
            predicted={name: _numbers(column) for name, column in said.items()},
            snr=_numbers(self.snr),
            mag=_numbers(self.mag),
            marks=tuple(Mark(one.name, one.wave, one.end, one.weight) for one in self.lines),
            notes=self.notes,
        )

    def star(self, number: int, label: str) -> StarSheet:
        """Test star `number`; `UsageError` where there is no such star or label."""
        n = self.spectra.sizes["test"]
        if not 0 <= number < n:
            raise UsageError(f"star {number}: the test set has the stars 0 to {n - 1}")
        if label not in self.labels:
            known = ", ".join(self.labels)
            raise UsageError(f"{self.job.name}: does not predict {label!r} (it does: {known})")
        batch = self.spectra.fixed("test", number, number + 1)
        error = batch.error[0].double().numpy()
        observed = np.isfinite(error)
        clean = clean_flux(self.spectra, number)
        seen = self.model.see(batch, self.labels.index(label)) if self.model else None
        best, why = self._best(number, error, label)
        return StarSheet(
            number=number,
            label=label,
            true=dict(zip(self.labels, batch.labels[0].tolist(), strict=True)),
            mag=float(self.mag[number]),
            snr=float(self.snr[number]),
            flux=_numbers(np.where(observed, batch.flux[0].double().numpy(), np.nan)),
            sigma=_numbers(np.where(observed, error, np.nan)),
            clean=() if clean is None else _numbers(clean),
            guesses=self.guesses.of(number, None if seen is None else self._own(seen)),
            attention=_attention(seen),
            best=_best_trace(best, label),
            bound=None if best is None else best.bound,
            shares=_shares(np.asarray(self.spectra.wave), self.lines, seen, best),
            notes=(why,) if why else (),
            **self._response(seen, best, label),
        )

    def _own(self, seen: Seen) -> Guess:
        """What the model says now."""
        values = dict(zip(self.labels, seen.predicted.tolist(), strict=True))
        sigma = seen.sigma
        errors = {} if sigma is None else dict(zip(self.labels, sigma.tolist(), strict=True))
        return Guess(self.job.name, job_name(self.job), values, errors)

    def _best(self, number: int, error: Array, label: str) -> tuple[Efficient | None, str]:
        """The efficient estimator at the star's true labels; or why there is none."""
        labels = grid_labels(self.spectra, number)
        if labels is None or label not in LABELS:
            return None, f"no information: known of {', '.join(LABELS)} on the grid alone"
        wave = np.asarray(self.spectra.wave)
        try:
            slopes = derivatives_at(self.grid, labels, wave, in_vacuum=self.vacuum)
        except OutOfGrid as outside:
            return None, f"no information: {outside}"
        found = efficient(slopes, error, label)
        if found is None:
            return None, "no information: there is no noise, or the labels can not be told apart"
        return found, ""

    def _response(self, seen: Seen | None, best: Efficient | None, label: str) -> dict[str, Any]:
        """How the model's estimate hangs on the pixels, and how like the best one that is."""
        if seen is None or self.model is None:
            return {}
        unit = unit_of(label) or ""
        if not self.model.signed:
            return {"response": Trace(self.model.kind, unit, _numbers(seen.hangs))}
        likeness = np.nan if best is None else agreement(seen.hangs, best.response)
        return {
            "response": Trace(self.model.kind, f"{unit}/sigma", _numbers(seen.hangs)),
            "scatter": float(np.sqrt(np.nansum(seen.hangs**2))),
            "agreement": likeness if np.isfinite(likeness) else None,
        }


def open_bench(job: JobPaths, say: Callable[[str], object]) -> Bench:
    """Open a job; `say` is told what takes its time. `UsageError` where it has no test stars."""
    spec = read_spec(job.spec)
    if spec is None:
        raise UsageError(f"{job.name}: no spec of version 1 here")
    config = read_config(spec.recipe, spec.config)
    if isinstance(config, EvaluateConfig):
        raise UsageError(f"{job.name}: scores {config.job}: look at the stars of that job")
    if not isinstance(config, Scored):
        raise UsageError(f"{job.name}: recipe {spec.recipe} has no test stars")
    say("opening the data")
    spectra = open_spectra(config.data, config.noise.level, config.labels, CPU)
    grid = load_grid(Path(config.data.grid) if config.data.grid else None)
    grid = grid.to("cpu", torch.float64)  # once, not for each star
    vacuum = in_vacuum(spectra, grid)
    notes: list[str] = []
    kept = _kept(job, spectra, notes)
    mag, snr = conditions(spectra) if kept is None else (kept.mag, kept.snr)
    say("reading the checkpoint")
    model: Viewed | None = None
    try:
        model = load_viewed(job, config, spectra)
    except UsageError as error:
        notes.append(f"what the model looks at needs a checkpoint: {error}")
    ends = float(spectra.wave[0]), float(spectra.wave[-1])
    return Bench(
        job=job,
        labels=config.labels,
        spectra=spectra,
        grid=grid,
        vacuum=vacuum,
        lines=lines_between(*ends, in_vacuum=vacuum),
        model=model,
        kept=kept,
        mag=mag,
        snr=snr,
        guesses=Guesses(job, spectra.hash),
        notes=tuple(notes),
    )


def _kept(job: JobPaths, spectra: Spectra, notes: list[str]) -> Residuals | None:
    """What the job kept of its test stars, if they still are what they were."""
    try:
        found = load(job.residuals)
    except UsageError:
        notes.append(f"no predictions kept: `vitlab evaluate {job.name}` makes them")
        return None
    if found.hash != spectra.hash or len(found.star) != spectra.sizes["test"]:
        notes.append("the data has changed since this job was scored")
        return None
    return found


def _attention(seen: Seen | None) -> Trace | None:
    if seen is None or seen.attention is None:
        return None
    kind = "attention rollout (Abnar & Zuidema 2020)"
    return Trace(kind, "share of a pixel", _numbers(seen.attention))


def _best_trace(best: Efficient | None, label: str) -> Trace | None:
    if best is None:
        return None
    unit = f"{unit_of(label)}/sigma"
    return Trace("information: the efficient estimator", unit, _numbers(best.response))


def _shares(
    wave: Array, lines: tuple[Line, ...], seen: Seen | None, best: Efficient | None
) -> tuple[Share, ...]:
    """The lines that tell most, or that the model looks at most, the most telling first."""
    stellar = tuple(line for line in lines if line.weight < 2)
    truth = {} if best is None else shares(wave, best.information, stellar)
    used = {} if seen is None else shares(wave, seen.hangs**2, stellar)
    found = [Share(line.name, truth.get(line.name), used.get(line.name)) for line in stellar]
    found = [one for one in found if max(one.information or 0, one.response or 0) >= TELLING]
    return tuple(sorted(found, key=lambda one: (-(one.information or 0), -(one.response or 0))))


def _numbers(values: Array) -> tuple[float, ...]:
    return tuple(np.asarray(values, dtype=np.float64).tolist())


UNUSABLE = 2
THREADS = 2
"""One star is little work: more threads would only wait for each other."""


def main(arguments: Sequence[str]) -> int:
    """Serve the job in the folder named; returns the exit status."""
    if len(arguments) != 1:
        print("usage: python -m vitlab.lab.inspector.server JOBDIR", file=sys.stderr)
        return UNUSABLE
    torch.set_num_threads(min(THREADS, torch.get_num_threads()))
    # What a library prints must not stand between two answers.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out, redirect_stdout(sys.stderr):

        def tell(kind: str, record: Mapping[str, Any]) -> None:
            out.write(write({"kind": kind, **record}) + "\n")
            out.flush()

        try:
            bench = open_bench(
                JobPaths(Path(arguments[0])), lambda text: tell("note", {"text": text})
            )
        except UsageError as error:
            tell("error", {"text": str(error)})
            return UNUSABLE
        tell("list", plain(bench.stars()))
        return serve(bench, sys.stdin, tell)


def serve(
    bench: Bench, asked: Iterable[str], tell: Callable[[str, Mapping[str, Any]], None]
) -> int:
    """Answer each line of `asked` until they end."""
    for line in asked:
        try:
            request = json.loads(line)
            star, label = int(request["star"]), str(request["label"])
        except (ValueError, KeyError, TypeError):
            tell("error", {"text": f"not a question: {line.strip()[:80]}"})
            continue
        try:
            tell("star", plain(bench.star(star, label)))
        except UsageError as error:
            tell("error", {"text": str(error)})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
