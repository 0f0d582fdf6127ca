"""A list of observed stars with known labels, and how a model's predictions compare with them."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vitlab.contract.paths import UsageError
from vitlab.contract.reading import Unreadable, read_regular
from vitlab.contract.validation import FASTEST, HIGHEST_R, LOWEST_R
from vitlab.lab.inspector.observed import Observer, Predicted
from vitlab.ml.spectra.formats.wavelengths import medium_of
from vitlab.ml.spectra.labels import MISSING_LABELS, NULLS, POSSIBLE, is_possible
from vitlab.ml.spectra.lines import air
from vitlab.ml.survey import read_spectra
from vitlab.ml.survey.spectrum import FORMULA, NO_MEDIUM, Spectrum, with_resolution

MOST_ROWS = 100_000
LONGEST = 10_000
"""Letters of a list's first line."""
FILE, VELOCITY, MEDIUM, RESOLUTION, OBJECT = "file", "rv_km_s", "air_or_vacuum", "R", "object"
"""Columns besides those of the labels; only the first must be there."""
_R = re.compile(r"({0})(?:\s*(?:[-–]|to\b)\s*({0}))?".format(r"\d+(?:\.\d*)?(?:[eE][+-]?\d+)?"))
_IN_BRACKETS = re.compile(r"\([^()]*\)")
_UNSURE = re.compile(r"[<>±+,./\-–]\s*$"), re.compile(r"\s*[±+]|.*\d")
"""Before and behind an R: it is another number, a limit, or has an error."""
_NOT_KNOWN = re.compile(
    r"(?:not (?:stated|known|given)|unknown|none|null|nan|n/?a)\b.*|[-–?\s]*", re.IGNORECASE
)
"""A whole cell that says nothing."""


@dataclass(frozen=True)
class Star:
    """A row of the list."""

    file: str
    path: Path
    object: str
    labels: dict[str, float]
    """Known labels, by name."""
    velocity: float | None
    """km/s, known."""
    resolution: float | None
    """Of a file that does not state it."""
    medium: str
    """`air` or `vacuum`, of a file that does not state it; empty where the list does not either."""
    below: Path | None = None
    """The list's folder, which its links do not lead out of; None for a file that was named."""


@dataclass(frozen=True)
class Compared:
    """A star and what a model says of it; several where its file has several spectra."""

    star: Star
    predicted: Predicted | None
    why: str = ""
    """Why the file was not read."""

    def away(self, label: str) -> tuple[float, float | None] | None:
        """Predicted minus known, and the stated error; None where either is missing."""
        if self.predicted is None or label not in self.star.labels:
            return None
        pair = self.predicted.labels.get(label)
        return None if pair is None else (pair[0] - self.star.labels[label], pair[1])


@dataclass(frozen=True)
class Agreement:
    """Predicted minus known values of several stars."""

    n: int
    bias: float
    """Median."""
    scatter: float
    """Half the range of the middle 68 %."""
    error: float | None
    """Median stated error; None without errors."""
    within: tuple[float, float] | None
    """Share of the stars within one and two stated errors."""


def is_list(path: Path) -> bool:
    """Whether a file is a CSV list of files: its first line names a column `file`."""
    if not path.is_file():  # a pipe would wait for its writer
        return False
    try:
        with path.open("rb") as file:
            first = file.readline(LONGEST).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return False
    return FILE in _names(next(csv.reader([first.strip()]), []))


def _names(row: Sequence[str]) -> list[str]:
    return [name.strip() for name in row]


def read_stars(path: Path, labels: Sequence[str], *, needs_labels: bool = True) -> list[Star]:
    """The rows of a CSV list. `UsageError` names the line; files lie beside or below the list."""
    try:
        text = read_regular(path, follow=True).decode("utf-8-sig")
    except Unreadable as error:
        raise UsageError(f"{path}: {error.why}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({error})") from None
    lines = text.split("\n")
    if len(lines) > MOST_ROWS:
        raise UsageError(f"{path}: more than {MOST_ROWS:,} rows")
    reader = csv.reader(lines, skipinitialspace=True)
    try:
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise UsageError(f"{path}: {error}") from None
    columns = _names(rows.pop(0)[1]) if rows else []
    has_labels = bool(rows) and (not needs_labels or bool(set(labels) & set(columns)))
    if not has_labels or FILE not in columns:
        raise UsageError(f"{path}:1: needs columns {FILE} and one of {', '.join(labels)}")
    known = {FILE, OBJECT, VELOCITY, MEDIUM, RESOLUTION, *labels}
    if twice := next((name for name in columns if name in known and columns.count(name) > 1), ""):
        raise UsageError(f"{path}:1: two columns {twice}")
    if rows and len(rows[-1][1]) < len(columns) and not text.endswith("\n"):
        raise UsageError(f"{path}:{rows[-1][0]}: is cut: fewer cells than columns, no line's end")
    for line, row in rows:
        if any(cell.strip() for cell in row[len(columns) :]):
            raise UsageError(f"{path}:{line}: {len(row)} cells, but {len(columns)} columns")
    return [
        _star(path, line, dict(zip(columns, map(str.strip, row), strict=False)), labels)
        for line, row in rows
    ]


def _star(path: Path, line: int, row: Mapping[str, str], labels: Sequence[str]) -> Star:
    name = row.get(FILE, "")
    inside = Path(name)
    if not name or "\0" in name or inside.is_absolute() or ".." in inside.parts:
        raise UsageError(f"{path}:{line}: {FILE}: must be a path below the list's folder")
    where = f"{path}:{line}"
    known = {label: _label(row.get(label, ""), label, where) for label in labels}
    return Star(
        name,
        path.parent / inside,
        row.get(OBJECT, ""),
        {label: value for label, value in known.items() if value is not None},
        _velocity(row.get(VELOCITY, ""), where),
        _resolution(row.get(RESOLUTION, ""), where),
        _medium(row.get(MEDIUM, ""), where),
        path.parent,
    )


def _label(text: str, name: str, where: str) -> float | None:
    """None where it is not known; `UsageError` for words, and for what no star has."""
    if _NOT_KNOWN.fullmatch(text):
        return None
    if (value := _number(text)) is None:
        raise UsageError(f"{where}: {name}: {text!r} is not a number")
    if value in MISSING_LABELS:
        return None
    if not is_possible(name, value):
        low, high = POSSIBLE[name]
        raise UsageError(f"{where}: {name}: {text} is not from {low:g} to {high:g}")
    return value


def _velocity(text: str, where: str) -> float | None:
    """km/s; None for words; `UsageError` for what no star has."""
    value = _number(text)
    if value is None or value in NULLS:
        return None
    if abs(value) > FASTEST:
        raise UsageError(f"{where}: {VELOCITY}: {text} is not from -{FASTEST:g} to {FASTEST:g}")
    return value


def _medium(text: str, where: str) -> str:
    """`air`, `vacuum`, or empty; `UsageError` for other words."""
    if _NOT_KNOWN.fullmatch(text):
        return ""
    if not (medium := medium_of(text)):
        raise UsageError(f"{where}: {MEDIUM}: {text!r} is neither air nor vacuum")
    return medium


def _resolution(text: str, where: str) -> float | None:
    """The number of a cell, `1800 (survey value)`, or a range's middle; None without one.

    `UsageError` for one of which the meaning is not sure, as `5000±500`, or that no spectrum has.
    """
    bare = _IN_BRACKETS.sub(" ", text)
    found = _R.search(bare)
    if found is None or _number(bare) in NULLS:
        return None
    ends = [float(one) for one in found.groups() if one is not None]
    r = sum(ends) / len(ends)
    before, behind = _UNSURE
    is_unsure = before.search(bare[: found.start()]) or behind.match(bare[found.end() :])
    if is_unsure or not LOWEST_R <= r <= HIGHEST_R:
        limits = f"{LOWEST_R:.0f} to {HIGHEST_R:.0f}"
        raise UsageError(f"{where}: {RESOLUTION}: {text!r} is not an R from {limits}")
    return r


def _number(text: str) -> float | None:
    """A cell; None for words, and for what is not finite."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def compare(observer: Observer, star: Star) -> Iterator[Compared]:
    """The spectra of a star's file through the model."""
    try:
        spectra = spectra_of(star)
    except UsageError as error:
        yield Compared(star, None, str(error))
        return
    for spectrum in spectra:
        yield Compared(star, observer.predict(spectrum))


def spectra_of(star: Star) -> list[Spectrum]:
    """The spectra of its file, with what the list adds to them.

    Of a file of several objects those that the list names. `UsageError` as `read_spectra`, for a
    link out of the list's folder, and for labels of one star where the file has several.
    """
    path, below = star.path.resolve(), star.below
    if below is not None and not path.is_relative_to(below.resolve()):
        raise UsageError(f"{star.path}: a link out of the list's folder; put the file there")
    spectra = read_spectra(star.path)
    if len(spectra) > 1 and star.object:
        spectra = [one for one in spectra if _is_of(one.object, star.object)] or spectra
    objects = list(dict.fromkeys(one.object for one in spectra))
    if len(objects) > 1 and (star.labels or star.velocity is not None):
        some = ", ".join(objects[:3]) + ", ..." * (len(objects) > 3)
        what = f"{len(spectra)} spectra, and what is known of one star"
        raise UsageError(f"{star.path}: {what}: name it in a column {OBJECT} ({some})")
    return [_completed(spectrum, star) for spectrum in spectra]


def _is_of(stated: str, wanted: str) -> bool:
    """Whether two names are of one object: one within the other, or of the same number."""
    one, other = (f" {' '.join(name.casefold().split())} " for name in (stated, wanted))
    numbers = [re.findall(r"(?<!\S)\d{4,}(?!\S)", name) for name in (one, other)]
    return bool(one.strip()) and (one in other or other in one or numbers[0] == numbers[1] != [])


def _completed(spectrum: Spectrum, star: Star) -> Spectrum:
    if spectrum.resolution is None and star.resolution is not None:
        spectrum = with_resolution(spectrum, star.resolution)
    if NO_MEDIUM not in spectrum.notes or not star.medium:
        return spectrum
    notes = [note for note in spectrum.notes if note != NO_MEDIUM]
    if star.medium == "air":
        return replace(spectrum, notes=tuple(notes))
    return replace(spectrum, wave=air(spectrum.wave), notes=(*notes, FORMULA))


def agreement(pairs: Sequence[tuple[float, float | None]]) -> Agreement | None:
    """Of differences and their stated errors; None without any."""
    if not pairs:
        return None
    away = np.array([difference for difference, _ in pairs])
    low, high = np.quantile(away, (0.16, 0.84))
    errors = np.array([error for _, error in pairs if error is not None])
    half = float(high - low) / 2
    if len(errors) < len(pairs):
        return Agreement(len(pairs), float(np.median(away)), half, None, None)
    one, two = (float((abs(away) <= k * errors).mean()) for k in (1, 2))
    middle = float(np.median(errors))
    return Agreement(len(pairs), float(np.median(away)), half, middle, (one, two))


def velocity_agreement(compared: Sequence[Compared]) -> Agreement | None:
    """Of the velocities found in the lines with the known ones, km/s."""
    pairs: list[tuple[float, float | None]] = []
    for one in compared:
        found = None if one.predicted is None else one.predicted.found
        if found is not None and found.visible and one.star.velocity is not None:
            pairs.append((found.velocity - one.star.velocity, found.error))
    return agreement(pairs)
