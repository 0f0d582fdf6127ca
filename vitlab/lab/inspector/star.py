"""The records the star inspector sends: the list of a job's test stars, and one star in full."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Numbers = tuple[float, ...]


@dataclass(frozen=True)
class Mark:
    """A named line or band; wavelengths in Angstrom, in air or vacuum as the spectra."""

    name: str
    wave: float
    end: float
    """Equal to `wave` for a line."""
    weight: int = 1
    """0: strongest, labelled first; 2: telluric."""


@dataclass(frozen=True)
class Trace:
    """A described array of one number per pixel."""

    kind: str
    unit: str
    values: Numbers  # (L,) NaN where a pixel has no data


@dataclass(frozen=True)
class Prediction:
    """One job's prediction for the star."""

    job: str
    name: str
    """Model, MVP and run."""
    values: Mapping[str, float | None]
    """Label -> predicted value, in its own unit."""
    errors: Mapping[str, float | None] = field(default_factory=dict)
    """Label -> predicted 1-sigma error; empty if the model predicts none."""
    why: str = ""
    """Of an observed spectrum: why it is unlike what the model was trained on, or not scored."""


@dataclass(frozen=True)
class Share:
    """The fraction of a star's information, and of the squared response, in one line."""

    name: str
    information: float | None
    response: float | None


@dataclass(frozen=True)
class Density:
    """The density of the star's label: the model's (`model`) or the exact posterior's (`exact`)."""

    kind: str
    values: Numbers  # (n,) ascending, in the label's unit
    density: Numbers  # (n,) per that unit
    low: float
    """The ends of the central 68.3% interval."""
    high: float


@dataclass(frozen=True)
class Misfit:
    """By how much an observed spectrum differs from the nearest one of the grid in one line."""

    name: str
    residual: float
    """Mean of observed minus grid, over the continuum."""
    error: float
    """1 sigma of it, of the noise alone."""


@dataclass(frozen=True)
class Observed:
    """What there is of an observed spectrum besides what simulated ones have."""

    file: str
    where: str
    """In the file: `HDU 1`; empty in a text."""
    object: str
    survey: str
    kind: str
    velocity: float
    """km/s by which it was shifted."""
    velocity_error: float | None
    share: float
    """Of the model's pixels with data."""
    left_out: Mapping[str, float]
    """Reason -> share of the model's pixels without data."""
    unlike: bool | None
    """Unlike what this job's model was trained on; None: it is too faint to tell."""
    nearest: Mapping[str, float]
    """Labels of the nearest spectrum of the grid, which is `StarSheet.clean`."""
    chi2: float
    """Of a pixel, between both."""
    highest: float
    """Chi-square of a pixel above which no star's is."""
    residual: Trace
    """Observed minus nearest, in errors with `comparison.FLOOR` of the continuum added."""
    misfits: tuple[Misfit, ...]
    """In lines, the largest first."""
    known_errors: Mapping[str, float | None]
    """Label -> error of its known value."""
    known_from: str
    """Where the known labels are from; empty without any."""


@dataclass(frozen=True)
class Sources:
    """Observed spectra to show in place of a job's test stars."""

    path: str
    """A file of spectra, or a CSV list of files."""
    velocity: float | None = None
    """km/s, of all; None: the file's, else found."""
    resolution: float | None = None
    """R, of all; None: the file's."""
    corrected: bool = False
    """Whether the Earth's absorption is divided out."""
    others: tuple[str, ...] | None = None
    """Folders of other jobs to ask; None: the newest of each run trained for surveys."""


@dataclass(frozen=True)
class StarList:
    """The test stars of one job, or observed ones."""

    job: str
    model: str
    labels: tuple[str, ...]
    wave: Numbers  # (L,) Angstrom
    vacuum: bool
    """Whether the wavelengths are in vacuum."""
    true: Mapping[str, Numbers]
    """Label -> (n,)."""
    predicted: Mapping[str, Numbers]
    """Label -> (n,) saved predictions; empty if there are none."""
    snr: Numbers
    mag: Numbers  # (n,) NaN where it is not known
    marks: tuple[Mark, ...] = ()
    notes: tuple[str, ...] = ()
    """What is missing, and why."""
    names: tuple[str, ...] = ()
    """Of observed stars; empty for test stars."""

    @property
    def n(self) -> int:
        return len(self.snr)

    def order(self, label: str, *, worst: bool) -> list[int]:
        """The stars by number, or by the error of the predicted `label`, largest first."""
        predicted = self.predicted.get(label)
        if not worst or predicted is None:
            return list(range(self.n))
        off = [abs(a - b) for a, b in zip(predicted, self.true[label], strict=True)]
        return sorted(range(self.n), key=lambda i: -off[i] if math.isfinite(off[i]) else math.inf)


@dataclass(frozen=True)
class StarSheet:
    """One star: its spectrum, true labels, all predictions, and what the model depends on."""

    number: int
    label: str
    """The label of response, information and bound."""
    true: Mapping[str, float]
    mag: float
    snr: float
    flux: Numbers  # (L,) observed, over its median; NaN where a pixel has no data
    sigma: Numbers  # (L,) 1-sigma errors in the same unit
    clean: Numbers  # (L,) noise-free flux; empty when not known
    guesses: tuple[Prediction, ...]
    """This job's first."""
    response: Trace | None = None
    """How the model's prediction depends on each pixel."""
    attention: Trace | None = None
    best: Trace | None = None
    """The efficient estimator's response to each pixel: where the information is."""
    bound: float | None = None
    """Smallest standard deviation of an unbiased estimate (Cramer-Rao)."""
    scatter: float | None = None
    """Standard deviation of the model's estimate under the pixels' noise, to first order."""
    agreement: float | None = None
    """Cosine between the model's response and the efficient estimator's."""
    shares: tuple[Share, ...] = ()
    densities: tuple[Density, ...] = ()
    """Of `label`: the model's first; empty where it predicts none."""
    notes: tuple[str, ...] = ()
    observed: Observed | None = None
    """None for a test star."""


def to_json(value: StarList | StarSheet) -> dict[str, Any]:
    """As JSON values; non-finite numbers become None."""
    record: dict[str, Any] = _finite(vars(value))
    return record


def to_line(value: Mapping[str, Any]) -> str:
    """As one line of JSON."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def read_list(record: Mapping[str, Any]) -> StarList:
    """Read back `to_json` of a list. `KeyError`, `TypeError` for anything else."""
    return StarList(
        **{
            **record,
            "labels": tuple(record["labels"]),
            "wave": _numbers(record["wave"]),
            "true": {name: _numbers(part) for name, part in record["true"].items()},
            "predicted": {name: _numbers(part) for name, part in record["predicted"].items()},
            "snr": _numbers(record["snr"]),
            "mag": _numbers(record["mag"]),
            "marks": tuple(Mark(**mark) for mark in record["marks"]),
            "notes": tuple(record["notes"]),
            "names": tuple(record.get("names", ())),
        }
    )


def read_sources(record: Mapping[str, Any]) -> Sources:
    """Read back the fields of `Sources` from JSON. `KeyError`, `TypeError` for anything else."""
    others = record["others"]
    return Sources(**{**record, "others": None if others is None else tuple(others)})


def read_sheet(record: Mapping[str, Any]) -> StarSheet:
    """Read back `to_json` of a star. `KeyError`, `TypeError` for anything else."""
    return StarSheet(
        **{
            **record,
            **{name: _number(record[name]) for name in ("mag", "snr")},
            **{name: _numbers(record[name]) for name in ("flux", "sigma", "clean")},
            **{name: _trace(record[name]) for name in ("response", "attention", "best")},
            "true": {name: _number(value) for name, value in record["true"].items()},
            "guesses": tuple(Prediction(**one) for one in record["guesses"]),
            "shares": tuple(Share(**share) for share in record["shares"]),
            "densities": tuple(_density(one) for one in record.get("densities", ())),
            "notes": tuple(record["notes"]),
            "observed": _observed(record.get("observed")),
        }
    )


def _observed(record: Mapping[str, Any] | None) -> Observed | None:
    if record is None:
        return None
    residual, misfits = _trace(record["residual"]), tuple(Misfit(**m) for m in record["misfits"])
    return Observed(**{**record, "residual": residual, "misfits": misfits})


def _trace(record: Mapping[str, Any] | None) -> Trace | None:
    return None if record is None else Trace(**{**record, "values": _numbers(record["values"])})


def _density(record: Mapping[str, Any]) -> Density:
    numbers = {name: _numbers(record[name]) for name in ("values", "density")}
    return Density(**{**record, **numbers})


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _numbers(values: Sequence[float | None]) -> Numbers:
    return tuple(math.nan if value is None else value for value in values)


def _finite(value: Any) -> Any:
    """Numbers to seven digits: the spectra are in single precision."""
    if isinstance(value, float):
        return float(f"{value:.7g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    if isinstance(value, Mark | Trace | Prediction | Share | Density | Misfit | Observed):
        return _finite(vars(value))
    return value
