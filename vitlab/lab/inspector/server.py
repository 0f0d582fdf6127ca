"""The process behind the star inspector: opens a job once, then serves one star after another.

    python -m vitlab.lab.inspector.server JOBDIR [DESCRIPTOR [SOURCES]]

SOURCES is JSON (`vitlab.lab.inspector.star.Sources`): observed spectra, in place of the job's test
stars. A request is a line of JSON on standard input, `{"star": 17, "label": "log_g"}`; a reply is a
line on standard output: `{"kind": "note", "text": ...}` while it works, `list` once, then for each
request `star`, or `error` with one line of text. It ends when its input does, and whatever it is
doing when the other end of the pipe DESCRIPTOR is closed.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vitlab.contract.config import EnsembleConfig, EvaluateConfig, Scored, read_config
from vitlab.contract.job import read_result, read_spec
from vitlab.contract.paths import JobPaths, NoLab, UsageError, find_lab
from vitlab.contract.reading import parse
from vitlab.contract.value import unit_of
from vitlab.jobs.store import job_folders
from vitlab.lab.inspector.lifetime import end_with_client, time_limit
from vitlab.lab.inspector.model import CPU, Explained, Model, load_model
from vitlab.lab.inspector.parts import (
    attention_trace,
    job_title,
    line_shares,
    marks,
    numbers,
    own_prediction,
    responses,
    told_apart,
)
from vitlab.lab.inspector.posterior import densities, exact_posterior
from vitlab.lab.inspector.star import (
    Density,
    Prediction,
    StarList,
    StarSheet,
    Trace,
    read_sources,
    to_json,
    to_line,
)
from vitlab.ml.residual_file import bad_parquet, load_residuals, residuals_about
from vitlab.ml.scoring import Residuals
from vitlab.ml.spectra.dataset import GridSpectra, Spectra, open_spectra, unpermuted
from vitlab.ml.spectra.grid import Grid, OutOfGrid, load_grid
from vitlab.ml.spectra.held_out import clean_flux, conditions, grid_labels, in_vacuum
from vitlab.ml.spectra.labels import LABELS
from vitlab.ml.spectra.lines import Line, air, lines_between
from vitlab.ml.theory.fisher import Efficient, derivatives_at, efficient

Array = NDArray[np.float64]
Reply = Callable[[str, Mapping[str, Any]], None]
"""Sends a kind and its record."""
OF_GRID = 1.0
"""Chi-square below which no data could tell two noise-free spectra apart."""
MOST_STARS = 1_000_000
"""Of a list: each takes 60 bytes of a reply."""
MOST_SIMULATED = 20_000
"""Of these, where no predictions are kept: the S/N of each takes a millisecond."""
LONGEST = 10_000
"""Letters of a request that are read."""
UNUSABLE = 2
THREADS = 2
"""One star is too little work for more."""


class Stars(Protocol):
    """What is served: the job's test stars, or observed ones."""

    def stars(self) -> StarList:
        """The list of them."""

    def star(self, number: int, label: str) -> StarSheet:
        """One; `UsageError` where there is no such star or label."""


def main(arguments: Sequence[str]) -> int:
    """Serve the job in the given folder; returns the exit status."""
    if len(arguments) not in (1, 2, 3):
        print(
            "usage: python -m vitlab.lab.inspector.server JOBDIR [DESCRIPTOR [SOURCES]]",
            file=sys.stderr,
        )
        return UNUSABLE
    for descriptor in arguments[1:2]:
        end_with_client(int(descriptor))
    torch.set_num_threads(min(THREADS, torch.get_num_threads()))
    # Keep anything a library prints out of the replies.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out, redirect_stdout(sys.stderr):

        def reply(kind: str, record: Mapping[str, Any]) -> None:
            out.write(to_line({"kind": kind, **record}) + "\n")
            out.flush()

        def note(text: str) -> None:
            reply("note", {"text": text})

        try:
            job = JobPaths(Path(arguments[0]))
            with time_limit():
                inspector = _open(job, arguments[2:], note)
                stars = to_json(inspector.stars())
        except UsageError as error:
            reply("error", {"text": str(error)})
            return UNUSABLE
        reply("list", stars)
        return serve(inspector, sys.stdin, reply)


def _open(job: JobPaths, sources: Sequence[str], note: Callable[[str], object]) -> Stars:
    if not sources:
        return open_inspector(job, note)
    from vitlab.lab.inspector.observed_stars import open_observed

    return open_observed(job, read_sources(parse(sources[0])), note)


def serve(inspector: Stars, requests: Iterable[str], reply: Reply) -> int:
    """Answer requests until they end."""
    for line in requests:
        try:
            request = parse(line[:LONGEST])
            star, label = int(request["star"]), str(request["label"])
        except (ValueError, KeyError, TypeError):
            reply("error", {"text": f"not a request: {line.strip()[:80]}"})
            continue
        try:
            with time_limit():
                sheet = to_json(inspector.star(star, label))
            reply("star", sheet)
        except UsageError as error:
            reply("error", {"text": str(error)})
    return 0


def open_inspector(job: JobPaths, progress: Callable[[str], object]) -> Inspector:
    """Open a job; `progress` receives the current step. `UsageError` if it has no test stars."""
    spec = read_spec(job.spec)
    if spec is None:
        raise UsageError(f"{job.name}: no spec of version 1 here")
    config = read_config(spec.recipe, spec.config)
    if isinstance(config, EvaluateConfig):
        raise UsageError(f"{job.name}: an evaluation of {config.job}; inspect that job instead")
    if isinstance(config, EnsembleConfig):
        raise UsageError(f"{job.name}: a mean over runs of {config.of}; inspect one of these")
    if not isinstance(config, Scored):
        raise UsageError(f"{job.name}: recipe {spec.recipe} has no test stars")
    progress("opening the data")
    spectra = open_spectra(config.data, config.noise.level, config.labels, CPU)
    if (n := spectra.sizes["test"]) > MOST_STARS:
        raise UsageError(f"{job.name}: {n:,} test stars; {MOST_STARS:,} can be inspected")
    grid = load_grid(Path(config.data.grid) if config.data.grid else None)
    grid = grid.to("cpu", torch.float64)  # once, not per star
    vacuum = in_vacuum(spectra, grid)
    notes: list[str] = []
    residuals = _own_residuals(job, spectra, notes)
    if residuals is None and n > MOST_SIMULATED and isinstance(unpermuted(spectra), GridSpectra):
        raise UsageError(
            f"{job.name}: {notes[0]}; without them {MOST_SIMULATED:,} simulated stars can be "
            f"inspected, not {n:,}"
        )
    mag, snr = conditions(spectra) if residuals is None else (residuals.mag, residuals.snr)
    progress("reading the checkpoint")
    model: Model | None = None
    try:
        model = load_model(job, config, spectra)
    except UsageError as error:
        notes.append(f"the model is not explained: {error}")
    ends = float(spectra.wave[0]), float(spectra.wave[-1])
    return Inspector(
        job=job,
        labels=config.labels,
        spectra=spectra,
        grid=grid,
        vacuum=vacuum,
        lines=lines_between(*ends, in_vacuum=vacuum),
        model=model,
        residuals=residuals,
        mag=mag,
        snr=snr,
        predictions=JobPredictions(job, spectra.hash),
        notes=tuple(notes),
    )


def _scored(job: JobPaths) -> Residuals:
    """What a job kept of each test star; `UsageError` where it is not that of its result."""
    result = read_result(job.result)
    return load_residuals(job.residuals, result.values if result else None)


def _own_residuals(job: JobPaths, spectra: Spectra, notes: list[str]) -> Residuals | None:
    """The job's residuals, if they are of these stars; else None, and a note says why."""
    try:
        residuals = _scored(job)
    except UsageError as error:
        why = f"predictions are not shown: {error}" if job.residuals.exists() else ""
        hint = f"`vitlab evaluate {job.name}` makes them"
        notes.append(f"{why or 'no saved predictions'}; {hint}")
        return None
    if residuals.hash != spectra.hash or len(residuals.star) != spectra.sizes["test"]:
        is_older = len(residuals.hash) != len(spectra.hash)
        why = "it was scored by an earlier vitlab, which knew less of the data"
        changed = "the data has changed since it was scored"
        notes.append(f"no predictions of these stars: {why if is_older else changed}")
        return None
    return residuals


@dataclass(frozen=True)
class Inspector:
    """An open job: its data, its model if it has one, and the grid the information comes from."""

    job: JobPaths
    labels: tuple[str, ...]
    spectra: Spectra
    grid: Grid
    vacuum: bool
    """Whether the wavelengths are in vacuum."""
    lines: tuple[Line, ...]
    model: Model | None
    residuals: Residuals | None
    """The job's saved predictions for these stars."""
    mag: Array
    snr: Array
    predictions: JobPredictions
    notes: tuple[str, ...]

    def stars(self) -> StarList:
        """The job's test stars."""
        true = self.spectra.labels("test", 0, self.spectra.sizes["test"])
        kept = self.residuals
        predicted = {} if kept is None else dict(zip(kept.labels, kept.predicted.T, strict=True))
        return StarList(
            job=self.job.name,
            model=job_title(self.job),
            labels=self.labels,
            wave=numbers(np.asarray(self.spectra.wave)),
            vacuum=self.vacuum,
            true={name: numbers(true[:, k]) for k, name in enumerate(self.labels)},
            predicted={name: numbers(column) for name, column in predicted.items()},
            snr=numbers(self.snr),
            mag=numbers(self.mag),
            marks=marks(self.lines),
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
        explained = self.model.explain(batch, self.labels.index(label)) if self.model else None
        best, problem = self._efficient(number, error, label)
        return StarSheet(
            number=number,
            label=label,
            true=dict(zip(self.labels, batch.labels[0].tolist(), strict=True)),
            mag=float(self.mag[number]),
            snr=float(self.snr[number]),
            flux=numbers(np.where(observed, batch.flux[0].double().numpy(), np.nan)),
            sigma=numbers(np.where(observed, error, np.nan)),
            clean=() if clean is None else numbers(clean),
            guesses=self.predictions.of(number, own_prediction(self.job, self.labels, explained)),
            attention=attention_trace(explained),
            best=_best_trace(best, label),
            bound=None if best is None else best.bound,
            shares=line_shares(np.asarray(self.spectra.wave), self.lines, explained, best),
            densities=self._densities(number, batch.flux[0], label, explained),
            notes=(problem,) if problem else (),
            **responses(self.model, explained, best, label),
        )

    def _densities(
        self, number: int, flux: Tensor, label: str, explained: Explained | None
    ) -> tuple[Density, ...]:
        """The model's density of the label and, of a simulated star, the exact posterior's."""
        if explained is None or explained.marginal is None or explained.sigma is None:
            return ()
        k = self.labels.index(label)
        own = unpermuted(self.spectra)
        exact = None
        if isinstance(own, GridSpectra) and own.changes is None:
            exact = exact_posterior(own, flux, number, label)
        place = float(explained.predicted[k]), float(explained.sigma[k])
        return densities(explained.marginal, exact, label, *place)

    def _efficient(self, number: int, error: Array, label: str) -> tuple[Efficient | None, str]:
        """The efficient estimator at the star's true labels, or the reason there is none."""
        labels = grid_labels(self.spectra, number)
        if labels is None or label not in LABELS:
            return None, f"no information: only known for {', '.join(LABELS)} of grid stars"
        if unpermuted(self.spectra).changes is not None:
            return None, "no information: its spectrum is not as the grid has it (data.disturb)"
        wave = np.asarray(self.spectra.wave)
        try:
            if not self._is_of_grid(number, labels, error):
                return None, "no information: the file's star is not this grid's at its labels"
            slopes = derivatives_at(self.grid, labels, wave, in_vacuum=self.vacuum)
        except OutOfGrid as outside:
            return None, f"no information: {outside}"
        best = efficient(slopes, error, label)
        if best is None:
            return None, "no information: no noise, or the labels are degenerate"
        return best, ""

    def _is_of_grid(self, number: int, labels: Array, error: Array) -> bool:
        """Whether a star is the grid's at its labels, to within a chi-square of `OF_GRID`.

        The bound of another synthesis, or of a real star, is not this grid's.
        """
        flux = clean_flux(self.spectra, number)
        if flux is None or isinstance(unpermuted(self.spectra), GridSpectra):
            return flux is not None
        exact = self.grid.flux(torch.from_numpy(labels[None]))[0].numpy()
        wave = np.asarray(self.spectra.wave)
        wave = air(wave) if self.vacuum else wave
        expected = np.interp(wave, self.grid.wave, exact, left=np.nan, right=np.nan)
        known = np.isfinite(flux) & np.isfinite(expected) & np.isfinite(error) & (error > 0)
        if not known.any():
            return False
        scale = np.median(flux[known]) / np.median(expected[known])
        chi2 = np.sum(((flux - scale * expected)[known] / error[known]) ** 2)
        return bool(chi2 < OF_GRID)


@dataclass
class JobPredictions:
    """The predictions of all jobs scored on the same stars with the same noise."""

    own: JobPaths
    """The inspected job."""
    hash: str
    """Hash of its test set."""
    _titles: dict[str, str] = field(default_factory=dict)
    _read: dict[Path, tuple[int, Residuals | None]] = field(default_factory=dict)
    """File -> modification time and contents; None for other stars."""

    def of(self, star: int, own: Prediction | None) -> tuple[Prediction, ...]:
        """Each job's prediction for a star, this job's first; `own` replaces its saved one."""
        first = [own] if own is not None else []
        others: list[Prediction] = []
        for job in self._jobs():
            is_own = job.folder == self.own.folder
            if is_own and own is not None:
                continue
            prediction = self._of_job(job, star)
            if prediction is not None:
                (first if is_own else others).append(prediction)
        return told_apart([*first, *others])

    def _of_job(self, job: JobPaths, star: int) -> Prediction | None:
        residuals = self._residuals(job)
        rows = np.empty(0) if residuals is None else np.flatnonzero(residuals.star == star)
        if residuals is None or not len(rows):
            return None
        row, labels, sigma = rows[0], residuals.labels, residuals.sigma
        values = dict(zip(labels, residuals.predicted[row].tolist(), strict=True))
        errors = {} if sigma is None else dict(zip(labels, sigma[row].tolist(), strict=True))
        if job.name not in self._titles:
            self._titles[job.name] = job_title(job)
        return Prediction(job.name, self._titles[job.name], values, errors)

    def _jobs(self) -> list[JobPaths]:
        try:
            return job_folders(find_lab(self.own.root))
        except NoLab:
            return [self.own]

    def _residuals(self, job: JobPaths) -> Residuals | None:
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
        """The residuals in a file of the same stars; of other files no column is read."""
        with contextlib.suppress(UsageError, *bad_parquet()):
            if residuals_about(path)["hash"] == self.hash:
                return _scored(JobPaths(path.parent))
        return None


def _best_trace(best: Efficient | None, label: str) -> Trace | None:
    if best is None:
        return None
    unit = f"{unit_of(label)}/sigma"
    return Trace("information: the efficient estimator", unit, numbers(best.response))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
