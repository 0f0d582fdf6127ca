"""Text tables of numbers: their columns by a line of names, or by position; by commas or blanks."""

from __future__ import annotations

import csv
import re
from array import array
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice, takewhile
from pathlib import Path

import numpy as np

from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.formats.fits import Column, real, text_lines
from vitlab.ml.spectra.formats.wavelengths import is_length, medium_of, told_medium, unit_and_medium

LINEAR = ("wave", "wavelength", "lambda", "lam", "wl", "wavelengths", "awav", "waveobs")
LOGARITHMIC = ("loglam", "log_lambda", "loglambda", "logwave", "log10_wave", "lnlam", "ln_lambda")
FLUXES = ("flux", "fluxes", "flam", "f_lambda", "spectrum", "spec", "norm_flux", "flux_density")
"""Names in lower case of columns of wavelengths, of their logarithms, and of fluxes."""
SIGMAS = (
    *("error", "err", "sigma", "uncertainty", "unc", "noise", "errors", "errs"),
    *("std", "stdev", "stddev", "dflux", "d_flux"),
)
IVARS, VARIANCES = ("ivar", "invvar"), ("variance", "var", "stat")
"""What arrays of errors, inverse variances and variances are called, and with the flux's name
before or behind (`flux_err`, `e_flux`)."""
UNNAMED = ["wavelength", "flux", "flux_error"]
"""What the columns of a text without names are."""
LOGICAL = {"true": 1.0, "false": 0.0}
"""Words of a mask."""
SHOWN = 60
"""Letters of a comment, a name or a unit that is told."""
MOST_COMMENTS, LONGEST_COMMENT = 1000, 2000
"""That are looked at, and letters of one."""
_WAVE = re.compile(
    rf"(?:(air|vac(?:uum)?)_?)?({'|'.join((*LINEAR, *LOGARITHMIC))})(?:_?(air|vac(?:uum)?))?"
    r"(?:_(nm|um|microns?|aa?|ang(?:strom)?s?))?"
)
"""A name of wavelengths, with their medium and unit: `wave_air`, `lambda_nm`, `vac_wave`."""
_LONG = {"n": "nm", "u": "um", "m": "micron"}
_MAY_HAVE_UNIT = {*FLUXES, *SIGMAS, *IVARS, *VARIANCES, "e"}
"""Words of the names from which a unit in brackets is taken: not of `mask (1=good)`."""
_BETWEEN = re.compile(r"[\s,;|]+")
_BRACKET = re.compile(
    r"([^\s,;|\[\]()]{1,60})\s{0,9}[\[(]((?:[^\[\]()]|\([^()]{0,60}\)|\[[^\[\]]{0,60}\]){0,99})[\])]"
)
"""A name with its unit: `wavelength (A)`, `flux (erg/(s cm2 A))`. Bounded: a line may be long."""
_NUMBERED = re.compile(r"(?:col(?:umn)?\s*)?(\d{1,3})[\s:.)=-]+(.+)", re.IGNORECASE)
"""One column a comment: `1: wavelength`."""
_UNIT = re.compile(r"- *\{name: *([^,}]+), *unit: *([^,}]+)")
"""Of a column, in the head of an ECSV file (astropy)."""


@dataclass(frozen=True)
class TextTable:
    """The columns of a text."""

    columns: list[Column]
    medium: str
    """`air` or `vacuum`, as its comments say; empty where they do not."""
    notes: list[str]
    """What was assumed or left out, one sentence each."""


@dataclass(frozen=True)
class WaveColumn:
    """Which of a table's columns has the wavelengths, and what its name says of them."""

    name: str
    unit: str
    """Of its logarithm where its name says so (`loglam`); empty where nothing is stated."""
    medium: str
    """`air` or `vacuum`; empty where the name does not say."""


def wave_columns(unit_of: Mapping[str, str]) -> list[WaveColumn]:
    """Those of these columns (lower-case name -> unit as written), one that states a medium first.

    The medium is stated by the name (`wave_air`) or behind the unit (`Angstrom (vacuum)`).
    """
    found: list[tuple[bool, int, WaveColumn]] = []
    for name, written in unit_of.items():
        if match := _WAVE.fullmatch(name):
            before, word, behind, own = match.groups()
            unit, medium = unit_and_medium(written)
            unit = unit or (_LONG.get(own[0], "Angstrom") if own else "")
            if word in LOGARITHMIC and not unit.lower().startswith(("log", "ln")):
                unit = f"{'ln' if word.startswith('ln') else 'log10'}({unit or 'Angstrom'})"
            medium = (
                medium_of(before or behind or "") or medium or ("air" if word == "awav" else "")
            )
            rank = (*LINEAR, *LOGARITHMIC).index(word)
            found.append((not medium, rank, WaveColumn(name, unit, medium)))
    return [column for _, _, column in sorted(found, key=lambda one: one[:2])]


def is_spectrum(names: Iterable[str], fluxes: Sequence[str] = FLUXES) -> bool:
    """Whether columns of these names are wavelengths and fluxes."""
    known = {name.lower() for name in names}
    return bool(known & {*fluxes}) and bool(wave_columns(dict.fromkeys(known, "")))


def read_text_columns(data: bytes, path: Path, as_text: Container[str] = ()) -> TextTable:
    """The columns; what is no number is NaN. `UsageError` where a name stands twice.

    Names are the first line, or the last comment (#) above the numbers that has as many words as
    there are columns, with one of wavelengths and one of fluxes among them, or as many comments
    `1: wavelength`. A unit or medium may stand behind a name in brackets.

    `as_text`: names in lower case of columns that are read as texts.
    """
    lines = [x for x in text_lines(data, path) if x.strip()]
    above = takewhile(lambda line: line.lstrip().startswith("#"), lines)
    comments = [
        line.strip().lstrip("# ")[:LONGEST_COMMENT] for line in islice(above, MOST_COMMENTS)
    ]
    lines = [line for line in lines if not line.lstrip().startswith("#")]
    mark = max(";,", key=lines[0].count) if lines and re.search("[;,]", lines[0]) else ""
    if mark == ";" and not any("." in line for line in lines[1:]):
        lines = [line.replace(",", ".") for line in lines]  # decimal commas
    in_blanks = chain(map(_joined, lines[:1]), lines[1:])
    rows = csv.reader(lines, delimiter=mark) if mark else map(str.split, in_blanks)
    try:
        columns, notes = _columns(rows, as_text, comments, path)
    except csv.Error as error:
        raise UsageError(f"{path}: {error}") from None
    refuse_twice([column.name for column in columns], str(path))
    return TextTable(columns, told_medium(comments), notes)


def _columns(
    rows: Iterator[list[str]], as_text: Container[str], comments: Sequence[str], path: Path
) -> tuple[list[Column], list[str]]:
    """With notes and medium. Row by row, 8 bytes a number: as a text it takes ten times as much."""
    first = next(rows, [])
    is_data = bool(first) and all(map(is_number, first))
    names, notes = [name.strip() for name in first], list[str]()
    if is_data and not (names := named(comments, len(first))):
        names = UNNAMED[: len(first)]
        notes.append(f"columns by position: {', '.join(names)}{_said(comments)}")
    names, units = bare_names(names)
    texts = [name.lower() in as_text for name in names]
    cells: list[list[str] | array[float]] = [[] if text else array("d") for text in texts]
    number = other = 0
    for row in chain([first] if is_data else [], rows):
        number += 1
        # Of a row with one too few or too many it is not known which is which.
        if len(row) < len(first) or any(cell.strip() for cell in row[len(first) :]):
            other += 1
            continue
        for column, text, cell in zip(cells, texts, row, strict=False):
            column.append(cell.strip() if text else _float(cell))  # type: ignore[arg-type]
    if number and other == number:
        raise UsageError(f"{path}: no row with all columns: its first line has {len(first)} cells")
    if other:
        notes.append(
            f"{other:,} of {number:,} rows have more or fewer than {len(first)} cells: left out"
        )
    stated = filter(None, map(_UNIT.match, comments))
    units |= {found[1].strip("'\" "): found[2].strip("'\" ")[:SHOWN] for found in stated}
    return (
        [
            Column(name, units.get(name, ""), np.array(values))
            for name, values in zip(names, cells, strict=True)
        ],
        notes,
    )


def named(comments: Sequence[str], number: int, fluxes: Sequence[str] = FLUXES) -> list[str]:
    """The names in the comments; none where no comment has so many of them."""
    one_each: list[str] = []
    for match in filter(None, map(_NUMBERED.fullmatch, comments)):
        if len(one_each) < number and int(match[1]) in (1, len(one_each) + 1):
            one_each = one_each if int(match[1]) > 1 else []
            one_each.append(_joined(match[2]).split()[0])
    for line in (*reversed(comments), " ".join(one_each)):
        names = [name for name in _BETWEEN.split(_joined(line)) if name]
        if len(names) == number and is_spectrum(bare_names(names, fluxes)[0], fluxes):
            return names
    return []


def _joined(line: str) -> str:
    """The line with no blank between a name and its bracket, nor anything that divides within."""
    return _BRACKET.sub(lambda match: f"{match[1]}[{_BETWEEN.sub('_', match[2])}]", line)


def bare_names(
    names: list[str], fluxes: Sequence[str] = FLUXES
) -> tuple[list[str], dict[str, str]]:
    """Names of a spectrum's columns without the units in brackets behind them, and these.

    A name stays as it is where another column would have the same, or what is in brackets may be
    no unit. Of wavelengths it may name the medium too, or another thing, which is left out.
    """
    found = [_BRACKET.fullmatch(name.strip()) for name in names]
    bare = [match[1] if match else name for match, name in zip(found, names, strict=True)]
    twice = {name for name, number in Counter(map(str.lower, bare)).items() if number > 1}
    units: dict[str, str] = {}
    for k, match in enumerate(found):
        low, text = bare[k].lower(), match[2].replace("_", " ") if match else ""
        if match is None or low in twice:
            bare[k] = names[k]
        elif wave_columns({low: ""}):
            units[bare[k]] = _unit_of_wavelengths(text)
        elif low in fluxes or _MAY_HAVE_UNIT & {low, *low.split("_")}:
            units[bare[k]] = "" if "sigma" in text.lower() else text[:SHOWN]
        else:
            bare[k] = names[k]
    return (bare, units) if is_spectrum(bare, fluxes) else (names, {})


def _unit_of_wavelengths(text: str) -> str:
    """Of `0.1 nm`, `A, vacuum` all; of `rest, A` the word that is one; else the medium, if any."""
    if is_length(text):
        return text
    words = [word for word in _BETWEEN.split(text) if word]
    medium = next(filter(None, map(medium_of, words)), "")
    unit = next(filter(is_length, words), "")
    return f"{unit} ({medium})" if medium else unit


def _said(comments: Sequence[str]) -> str:
    """The last comment, in brackets."""
    if not comments:
        return ""
    last = comments[-1]
    return f" (a comment says: {last[:SHOWN]}{'...' * (len(last) > SHOWN)})"


def refuse_twice(names: Iterable[str], place: str) -> None:
    """`UsageError` for a name that two columns have: which is meant is not known."""
    found = Counter(name.lower() for name in names if name)
    if twice := next((name for name, number in found.items() if number > 1), ""):
        raise UsageError(f"{place}: two columns {twice[:SHOWN]}")


def is_number(cell: str) -> bool:
    """Whether a cell is a number, or says that there is none (nan)."""
    return not np.isnan(_float(cell)) or cell.strip().lower() == "nan"


def _float(cell: str) -> float:
    try:
        return real(cell)
    except ValueError:
        return LOGICAL.get(cell.strip().lower(), float("nan"))
