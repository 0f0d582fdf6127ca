"""Observed stars of a file, or of a list of files, as the star inspector shows them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vitlab.contract.paths import JobPaths, NoLab, UsageError, find_lab
from vitlab.contract.validation import RESOLUTION
from vitlab.jobs.store import job_folders
from vitlab.lab.inspector.askable import trained_for_surveys
from vitlab.lab.inspector.labelled_stars import Star, is_list, read_stars, spectra_of
from vitlab.lab.inspector.observed import Answer, Observer, Sight, look, open_observer
from vitlab.lab.inspector.parts import (
    attention_trace,
    job_title,
    line_shares,
    marks,
    numbers,
    responses,
    told_apart,
)
from vitlab.lab.inspector.posterior import densities
from vitlab.lab.inspector.star import (
    Density,
    Misfit,
    Observed,
    Prediction,
    Sources,
    StarList,
    StarSheet,
    Trace,
)
from vitlab.ml.spectra.lines import lines_between
from vitlab.ml.survey import Spectrum
from vitlab.ml.survey.comparison import Match, Reference
from vitlab.ml.survey.overlay import misfits, overlay
from vitlab.ml.survey.pixels import OnPixels, on_pixels

Array = NDArray[np.float64]
MOST_FILES = 1000
"""Of a list: all are read as it opens."""
MOST_OTHERS = 5
"""Models that are asked besides the job's."""
KEPT = 8
"""Comparisons with the grid kept: of the stars shown last."""
NAMED = 12
"""Lines that are told as different."""


@dataclass(frozen=True)
class Entry:
    """One spectrum, to be read when it is shown, or a file that cannot be."""

    star: Star
    """The row of the list, or one made for a file."""
    number: int
    """Of the spectrum, in its file."""
    name: str
    snr: float
    known: Mapping[str, tuple[float, float | None]]
    """Label -> value and error."""
    known_from: str
    problem: str = ""
    """Why the file cannot be read."""


@dataclass
class ObservedStars:
    """Observed spectra, and models to ask about them: the job's first."""

    job: JobPaths
    sources: Sources
    observers: tuple[Observer, ...]
    entries: tuple[Entry, ...]
    notes: tuple[str, ...]
    progress: Callable[[str], object]
    """Receives the current step."""
    _sights: dict[tuple[int, int], Sight] = field(default_factory=dict)
    """Star and observer's grid -> comparison."""

    def stars(self) -> StarList:
        """All of them, on the pixels of the job's model."""
        own = self.observers[0]
        none, ends = math.nan, (float(own.wave[0]), float(own.wave[-1]))
        return StarList(
            job=self.job.name,
            model=job_title(self.job),
            labels=own.config.labels,
            wave=numbers(own.wave),
            vacuum=False,
            true={
                label: tuple(one.known.get(label, (none, None))[0] for one in self.entries)
                for label in own.config.labels
            },
            predicted={},
            snr=tuple(one.snr for one in self.entries),
            mag=(none,) * len(self.entries),
            marks=marks(lines_between(*ends, in_vacuum=False)),
            notes=self.notes,
            names=tuple(one.name for one in self.entries),
        )

    def star(self, number: int, label: str) -> StarSheet:
        """Star `number`; `UsageError` where there is none, or nothing of it can be shown."""
        own = self.observers[0]
        if not 0 <= number < len(self.entries):
            raise UsageError(f"star {number}: there are the stars 0 to {len(self.entries) - 1}")
        if label not in own.config.labels:
            known = ", ".join(own.config.labels)
            raise UsageError(f"{self.job.name}: does not predict {label!r} (it does: {known})")
        sight = self._sight(number, own.reference)
        near, k = sight.match, own.config.labels.index(label)
        answer = own.answer(sight, k)
        if near is None or sight.velocity is None:
            raise UsageError(f"{sight.spectrum.place}: {answer.predicted.why}")
        answers = [answer, *(self._answer(number, one, label) for one in self.observers[1:])]
        # What is refused by the model, as of too low a resolution, is shown all the same.
        ours = answer.ours or on_pixels(sight.spectrum, own.wave, sight.velocity, 0.0, RESOLUTION)
        return self._sheet(number, label, ours, near, answers)

    def _sheet(
        self, number: int, label: str, ours: OnPixels, near: Match, answers: list[Answer]
    ) -> StarSheet:
        entry, own, first = self.entries[number], self.observers[0], answers[0]
        known = {name: entry.known.get(name, (math.nan, None)) for name in own.config.labels}
        lines = lines_between(float(own.wave[0]), float(own.wave[-1]), in_vacuum=False)
        over = overlay(ours, own.wave, near, own.reference)
        predicted, explained = first.predicted, first.explained
        return StarSheet(
            number=number,
            label=label,
            true={name: pair[0] for name, pair in known.items()},
            mag=math.nan,
            snr=ours.snr,
            flux=numbers(np.where(ours.good, ours.flux, np.nan)),
            sigma=numbers(np.where(ours.good, ours.sigma, np.nan)),
            clean=numbers(over.nearest),
            guesses=told_apart(
                [_prediction(*pair) for pair in zip(self.observers, answers, strict=True)]
            ),
            attention=attention_trace(explained),
            shares=line_shares(own.wave, lines, explained, None),
            densities=_densities(own, first, label),
            notes=predicted.notes,
            observed=Observed(
                file=predicted.spectrum.file,
                where=predicted.spectrum.where,
                object=entry.name,
                survey=predicted.spectrum.survey,
                kind=predicted.spectrum.kind,
                velocity=predicted.velocity or 0.0,
                velocity_error=predicted.velocity_error,
                share=ours.share,
                left_out=ours.left_out,
                unlike=predicted.unlike,
                nearest=near.named(),
                chi2=near.chi2,
                highest=near.highest,
                residual=Trace("observed - nearest of the grid", "sigma", numbers(over.pulls)),
                misfits=tuple(Misfit(*one) for one in misfits(over, own.wave, lines)[:NAMED]),
                known_errors={name: pair[1] for name, pair in known.items()},
                known_from=entry.known_from,
            ),
            **responses(own.model, explained, None, label),
        )

    def _answer(self, number: int, observer: Observer, label: str) -> Answer:
        labels = observer.config.labels
        k = labels.index(label) if label in labels else 0
        return observer.answer(self._sight(number, observer.reference), k)

    def _sight(self, number: int, reference: Reference) -> Sight:
        """A star compared with a grid, once."""
        key = number, id(reference)
        if key not in self._sights:
            self.progress(f"comparing {self.entries[number].name} with the grid")
            sources = self.sources
            spectrum = self._spectrum(number)
            self._sights[key] = look(spectrum, reference, sources.velocity, sources.resolution)
            while len(self._sights) > KEPT:
                del self._sights[next(iter(self._sights))]
        return self._sights[key]

    def _spectrum(self, number: int) -> Spectrum:
        entry = self.entries[number]
        if entry.problem:
            raise UsageError(entry.problem)
        spectra = spectra_of(entry.star)
        if entry.number >= len(spectra):
            raise UsageError(f"{entry.star.path}: has changed since it was opened")
        return replace(spectra[entry.number], corrects_tellurics=self.sources.corrected)


def open_observed(
    job: JobPaths, sources: Sources, progress: Callable[[str], object]
) -> ObservedStars:
    """Open a job's model and observed spectra; `progress` receives the current step.

    `UsageError` where there is no such model, or no spectrum at all.
    """
    progress("reading the checkpoint")
    references: dict[str | None, Reference] = {}
    observers = [open_observer(job, references)]
    entries = _entries(Path(sources.path), observers[0].config.labels, progress)
    notes: list[str] = []
    folders = sources.others
    others = _others(job) if folders is None else [JobPaths(Path(f)) for f in folders]
    for other in others[:MOST_OTHERS]:
        progress(f"reading the checkpoint of {other.name}")
        try:
            observers.append(open_observer(other, references))
        except UsageError as error:
            notes.append(f"not asked: {error}")
    if more := others[MOST_OTHERS:]:
        notes.append(f"{len(more)} more models are not asked: {', '.join(o.name for o in more)}")
    return ObservedStars(job, sources, tuple(observers), entries, tuple(notes), progress)


def _others(job: JobPaths) -> list[JobPaths]:
    """The models of the lab's other runs that were trained for surveys."""
    try:
        jobs = job_folders(find_lab(job.root))
    except NoLab:
        return []
    return [one for one in trained_for_surveys(jobs) if one.folder != job.folder]


def _entries(
    path: Path, labels: tuple[str, ...], progress: Callable[[str], object]
) -> tuple[Entry, ...]:
    """The spectra of a file, or of the files of a list; `UsageError` where none can be read."""
    if not is_list(path):
        none = Star(str(path), path, "", {}, None, None, "")
        return tuple(_entries_of(none, path, labels))
    stars = read_stars(path, labels, needs_labels=False)
    if len(stars) > MOST_FILES:
        raise UsageError(f"{path}: {len(stars):,} files; {MOST_FILES:,} can be shown")
    entries: list[Entry] = []
    for number, star in enumerate(stars):
        progress(f"reading file {number + 1} of {len(stars)}")
        try:
            entries += _entries_of(star, path, labels)
        except UsageError as error:
            name = _name(star.object, star)
            entries.append(Entry(star, 0, name, math.nan, {}, "", str(error)))
    return tuple(entries)


def _entries_of(star: Star, source: Path, labels: tuple[str, ...]) -> list[Entry]:
    found, spectra = [], spectra_of(star)
    for number, spectrum in enumerate(spectra):
        known: dict[str, tuple[float, float | None]] = {
            name: (value, None) for name, value in star.labels.items()
        }
        known_from = source.name if known else ""
        if not known:
            known = {name: spectrum.labels[name] for name in labels if name in spectrum.labels}
            known_from = spectrum.label_source if known else ""
        stated = spectrum.object if len(spectra) > 1 else ""  # perhaps of several objects
        name = _name(stated or star.object or spectrum.object, star)
        snr = math.nan if spectrum.snr is None else spectrum.snr
        found.append(Entry(star, number, name, snr, known, known_from))
    return found


def _name(stated: str, star: Star) -> str:
    return stated if stated.strip("- ") else Path(star.file).name


def _prediction(observer: Observer, answer: Answer) -> Prediction:
    labels = answer.predicted.labels
    return Prediction(
        observer.job.name,
        job_title(observer.job),
        {name: value for name, (value, _) in labels.items()},
        {name: error for name, (_, error) in labels.items() if error is not None},
        answer.predicted.why,
    )


def _densities(own: Observer, answer: Answer, label: str) -> tuple[Density, ...]:
    """The model's density of the label."""
    explained = answer.explained
    if explained is None or explained.marginal is None or explained.sigma is None:
        return ()
    k = own.config.labels.index(label)
    place = float(explained.predicted[k]), float(explained.sigma[k])
    return densities(explained.marginal, None, label, *place)
