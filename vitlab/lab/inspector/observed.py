"""What a trained model says of observed spectra, and whether they are what it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vitlab.contract.config import Scored, read_config
from vitlab.contract.job import read_result, read_spec
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.contract.validation import RESOLUTION
from vitlab.lab.inspector.model import CPU, Explained, Model, NetworkModel, load_model
from vitlab.lab.inspector.shown import Shown, draws, shown
from vitlab.lab.inspector.unfamiliar import Unfamiliar, unfamiliar
from vitlab.ml.spectra.dataset import Spectra, open_spectra
from vitlab.ml.spectra.disturb.running import make_running_mean
from vitlab.ml.spectra.grid import load_grid
from vitlab.ml.spectra.held_out import (
    changed_since,
    in_vacuum,
    is_trained_on,
    medium,
    medium_then,
)
from vitlab.ml.spectra.lines import air
from vitlab.ml.survey import Spectrum
from vitlab.ml.survey.comparison import (
    CONTINUUM,
    Found,
    Match,
    Reference,
    even_pixels,
    find_velocity,
    match,
    with_continuum,
)
from vitlab.ml.survey.faults import find_faults
from vitlab.ml.survey.pixels import OnPixels, on_pixels
from vitlab.ml.survey.spectrum import LIGHT, with_resolution

Array = NDArray[np.float64]
NOT_SCORED = ("galaxy", "quasar", "white dwarf", "sky", "empty")
"""Kinds of spectra that no label is predicted for."""
GAPS = 0.02
"""Share of a model's pixels without data that a model trained without gaps may meet."""
SHAPE = 0.05
"""Rms of a continuum over that of the nearest star which a model knows as a star's alone."""
DIFFERENT = 3.0, 10.0
"""Errors, and km/s, by which two velocities differ so that it is told."""


@dataclass(frozen=True)
class Predicted:
    """One spectrum, and what a model says of it."""

    spectrum: Spectrum
    labels: Mapping[str, tuple[float, float | None]]
    """Label -> value and 1-sigma error (None from a model without); empty where not scored."""
    snr: float | None
    """Median of a model's pixel."""
    share: float
    """Of the model's pixels with data."""
    velocity: float | None
    """km/s that was used."""
    velocity_error: float | None
    unlike: bool | None
    """Unlike what the model was trained on; None: the data could not tell."""
    why: str
    """Why it is unlike, or not scored."""
    match: Match | None
    """The nearest spectrum of the grid."""
    found: Found | None = None
    """The velocity that its lines have, whatever was used."""
    left_out: Mapping[str, float] = field(default_factory=dict)
    """Reason -> share of the model's pixels without data."""
    notes: tuple[str, ...] = ()
    resolution: float | None = None
    """Median R of the file in the model's band."""


@dataclass(frozen=True)
class Sight:
    """A spectrum compared with a grid, whichever model is asked about it."""

    spectrum: Spectrum
    even: OnPixels | None = None
    """On pixels even in velocity, as observed; None where `refusal` says why not."""
    found: Found | None = None
    velocity: float | None = None
    """km/s to use: as given, as the file says, or as found."""
    velocity_error: float | None = None
    match: Match | None = None
    faults: tuple[str, ...] = ()
    """What its lines show to be wrong."""
    refusal: str = ""
    notes: tuple[str, ...] = ()
    """On its velocity."""


@dataclass(frozen=True)
class Answer:
    """What a model says of a spectrum, and what it was shown."""

    predicted: Predicted
    ours: OnPixels | None = None
    """The spectrum on the model's pixels; None where it was refused."""
    explained: Explained | None = None
    """None where it was not scored."""


@dataclass(frozen=True)
class Observer:
    """A trained model that is asked about observed spectra."""

    job: JobPaths
    config: Scored
    spectra: Spectra
    model: Model
    wave: Array  # (L,) of the model's pixels, Angstrom in air
    reference: Reference
    resolution: tuple[float, float]
    """The lowest and highest R that the model was trained for."""
    notes: tuple[str, ...] = ()
    """On the spectra it was trained on."""

    def predict(
        self, spectrum: Spectrum, velocity: float | None = None, resolution: float | None = None
    ) -> Predicted:
        """Labels and the alarm of one spectrum; `velocity` (km/s) and R where they are known."""
        return self.answer(look(spectrum, self.reference, velocity, resolution)).predicted

    def answer(self, sight: Sight, k: int = 0) -> Answer:
        """What the model says of a spectrum that `look` has compared, and why of label `k`."""
        spectrum, near = sight.spectrum, sight.match
        if near is None or sight.even is None or sight.found is None or sight.velocity is None:
            return Answer(_refused(sight, sight.refusal))
        try:
            ours = on_pixels(spectrum, self.wave, sight.velocity, *self.resolution)
        except UsageError as refusal:
            return Answer(_refused(sight, _without_place(spectrum, refusal)))
        star = self.reference.nearest(near, ours.resolution, self.wave)
        seen = shown(with_continuum(ours, star, self.wave), near.misfit, self.spectra)
        reasons = [*self._untrained(ours, star), *([near.why] if near.why else [])]
        reasons += sight.faults
        strange = self._unfamiliar(seen)
        if strange is not None and strange.why:
            reasons.append(strange.why)
        if spectrum.kind in NOT_SCORED:
            reasons.insert(0, f"not scored: the file says that this is a {spectrum.kind}")
        unlike: bool | None = bool(reasons)
        if not reasons and not near.tells:
            unlike = None
            reasons = ["too faint to tell: with such errors a star may show no lines"]
        explained = None
        if spectrum.kind not in NOT_SCORED:
            explained = self.model.explain(draws(seen, self.config, self.wave), k)
        shift = 1 + sight.velocity / LIGHT
        predicted = Predicted(
            spectrum=spectrum,
            labels={} if explained is None else self._labels(explained),
            snr=ours.snr,
            share=ours.share,
            velocity=sight.velocity,
            velocity_error=sight.velocity_error,
            unlike=unlike,
            why="; ".join(reasons),
            match=near,
            found=sight.found,
            left_out=ours.left_out,
            notes=(*self.notes, *spectrum.notes, *ours.notes, *seen.notes, *sight.notes),
            resolution=spectrum.resolution_between(*(self.wave[[0, -1]] * shift).tolist()),
        )
        return Answer(predicted, ours, explained)

    def _labels(self, explained: Explained) -> dict[str, tuple[float, float | None]]:
        """Label -> value, and error where the model predicts one."""
        values, sigma = explained.predicted.tolist(), explained.sigma
        errors = [None] * len(values) if sigma is None else sigma.tolist()
        return dict(zip(self.config.labels, zip(values, errors, strict=True), strict=True))

    def _unfamiliar(self, seen: Shown) -> Unfamiliar | None:
        """None for a model without features."""
        if not isinstance(self.model, NetworkModel):
            return None
        return unfamiliar(self.model, seen, self.config, self.wave, self.reference)

    def _untrained(self, ours: OnPixels, star: Array) -> list[str]:
        """What of the spectrum the model has not been trained for; `star`: the nearest."""
        data, found = self.config.data, []
        gaps = 1 - ours.share
        if gaps > GAPS and data.disturb.masked is None:
            found.append(
                f"{gaps:.0%} of the band has no data, and the model was trained without gaps "
                "(data.disturb.masked)"
            )
        knows = data.running_continuum or data.disturb.continuum is not None
        if not knows and (away := self._shape(ours, star)) > SHAPE:
            found.append(
                f"its continuum differs by {away:.0%} from that of the nearest star, and the model "
                "was trained without such changes (data.running_continuum, data.disturb.continuum)"
            )
        return found

    def _shape(self, ours: OnPixels, star: Array) -> float:
        """Rms of the continuum over that of the nearest star of the grid."""
        both = torch.from_numpy(np.stack([ours.flux, star]))
        good = torch.from_numpy(ours.good)
        mean = make_running_mean(self.wave, CONTINUUM, CPU)(both, good.expand_as(both)).numpy()
        ratio = (mean[0] / mean[1])[ours.good]
        return float(ratio.std() / ratio.mean())


def look(
    spectrum: Spectrum,
    reference: Reference,
    velocity: float | None = None,
    resolution: float | None = None,
) -> Sight:
    """Velocity, nearest spectrum and faults; `velocity` (km/s) and R where they are known."""
    if spectrum.kind == "empty":
        return Sight(spectrum, refusal="empty: no pixel has a flux")
    notes: list[str] = []
    grid = reference.grid
    try:
        spectrum = spectrum if resolution is None else with_resolution(spectrum, resolution)
        even = on_pixels(spectrum, even_pixels(grid), 0.0, 0.0, RESOLUTION)
        found = find_velocity(even, reference)
        used, error = _velocity(spectrum, velocity, found, notes)
        near = match(on_pixels(spectrum, grid.wave, used, 0.0, RESOLUTION), reference)
    except UsageError as refusal:
        return Sight(spectrum, refusal=_without_place(spectrum, refusal))
    faults = find_faults(even, reference, found)
    return Sight(spectrum, even, found, used, error, near, tuple(faults), notes=tuple(notes))


def open_observer(job: JobPaths, references: dict[str | None, Reference] | None = None) -> Observer:
    """The model in a job's folder. `UsageError` where there is none.

    `references`: grids that are open, by their file; the model's is added to them.
    """
    spec = read_spec(job.spec)
    if spec is None:
        raise UsageError(f"{job.name}: no spec of version 1 here")
    config = read_config(spec.recipe, spec.config)
    if not isinstance(config, Scored):
        raise UsageError(f"{job.name}: recipe {spec.recipe} has no model to ask")
    data = config.data.of_lab(job.root)
    spectra = open_spectra(data, config.noise.level, config.labels, CPU)
    references = {} if references is None else references
    if data.grid not in references:
        references[data.grid] = Reference(load_grid(Path(data.grid) if data.grid else None))
    reference = references[data.grid]
    wave = np.asarray(spectra.wave, np.float64)
    vacuum, notes = _in_vacuum(job, config, spectra, reference)
    wave = air(wave) if vacuum else wave
    one = config.data.disturb.resolution
    ends = (one.lowest, one.highest) if one else (RESOLUTION, RESOLUTION)
    model = load_model(job, config, spectra)
    return Observer(job, config, spectra, model, wave, reference, ends, notes)


def _in_vacuum(
    job: JobPaths, config: Scored, spectra: Spectra, reference: Reference
) -> tuple[bool, tuple[str, ...]]:
    """Whether a model's pixels are in vacuum, and what is to be told of its training spectra.

    `UsageError` where that is not known any more.
    """
    result = read_result(job.result)
    known = {} if result is None else result.data
    then, now = medium_then(known, spectra), medium(spectra)
    if is_trained_on(known, spectra):
        if {then, now} == {"air", "vacuum"}:
            text = f"{config.data.source} says that it is in {now}, and said {then} at its training"
            raise UsageError(f"{job.name}: {text}")
        return in_vacuum(spectra, reference.grid), ()
    changed = changed_since(config.data)
    if not then:
        text = "whether its wavelengths were in air is not known"
        raise UsageError(f"{job.name}: {changed}: {text}")
    return then == "vacuum", (f"{job.name}: {changed}",)


def _velocity(
    spectrum: Spectrum, given: float | None, found: Found, notes: list[str]
) -> tuple[float, float | None]:
    """The velocity to use, and its error: as given, as the file says, or as found."""
    known = given if given is not None else spectrum.velocity
    error = None if given is not None else spectrum.velocity_error
    if known is None:
        if not found.visible:
            notes.append("no velocity is found: taken for 0 km/s")
            return 0.0, None
        return found.velocity, found.error
    away, (sigmas, least) = abs(found.velocity - known), DIFFERENT
    if found.visible and away > max(sigmas * float(np.hypot(found.error, error or 0)), least):
        notes.append(
            f"its lines are at {found.velocity:.0f} ± {found.error:.0f} km/s, not at {known:.0f}"
        )
    return known, error


def _without_place(spectrum: Spectrum, refusal: UsageError) -> str:
    return str(refusal).removeprefix(f"{spectrum.place}: ")


def _refused(sight: Sight, why: str) -> Predicted:
    return Predicted(
        sight.spectrum,
        {},
        None,
        0.0,
        sight.velocity,
        sight.velocity_error,
        True,
        f"not scored: {why}",
        sight.match,
        sight.found,
    )
