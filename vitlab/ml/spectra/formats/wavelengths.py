"""Wavelengths as files write them: their unit, order and medium."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitlab.contract.paths import UsageError

Array = NDArray[np.float64]

_LENGTHS = {
    **dict.fromkeys(("angstrom", "angstroem", "ang", "a", "aa", "埃"), 1.0),
    **dict.fromkeys(("0.1nm", "1e-10m", "10^-10m"), 1.0),
    **dict.fromkeys(("nm", "nanometer", "纳米"), 10.0),
    **dict.fromkeys(("um", "μm", "micron", "micrometer", "微米"), 1e4),
    "cm": 1e8,
    **dict.fromkeys(("m", "meter"), 1e10),
}
"""Unit in lower case, without blanks, accents and plurals -> Angstrom."""
_LOG = re.compile(
    r"(?P<log>log10|log|ln|dex)[\[(]?(?:lambda/|wavelength/)?(?P<unit>[^\])]*)[\])]?$"
)
_BEHIND = re.compile(r"[\s,;]*[\[(]?\b(?:in\s*)?(air|vac(?:uum)?)[\])]?\s*$", re.IGNORECASE)
"""A medium behind a unit."""
_MEDIUM = re.compile(r"\s*(?:in\s+)?(vac|air\b)", re.IGNORECASE)
_STATED = re.compile(r"\W*(\w+)\s*[:=]\s*(\w.*)")
_TOLD = re.compile(
    r"\b(?:wave\w*|lambda)\s+(?:(?:are|is|given|nm|angstroms?)\s+)*in\s+(vac|air\b)"
    r"|\b(vac|air\b)\w*\s+wave",
    re.IGNORECASE,
)
_SWITCH = re.compile(r"[^:=]*[:=]\s*(?:(t|true|1|yes|on)|f|false|0|no|off)", re.IGNORECASE)
"""Words that are true, or not: `vacuum wavelengths = F`."""
_OF_VELOCITY = re.compile(r"\(?\b(?:helio|bary|geo)centric\b[^,;()]*\)?", re.IGNORECASE)
"""What such a line says of the observer's motion, which is another correction."""
_DENIED = re.compile(
    r"\b(?:no|not|neither|nor|or|without|instead|rather|than|off|false|disabled|if|whether|once"
    r"|convert\w*|correct\w*|transform\w*|turn\w*|appl(?:y|ied)|get|obtain|us(?:e|ing)|before|after"
    r"|should|must|may|might|could|can|needs?|requires?|was|were|originally)\b|->|→|\?",
    re.IGNORECASE,
)
"""Words of a line that speaks of a medium, but may not say that it is the file's."""
_GUESSES = (
    (1e-7, 1e-5, "m"),
    (0.2, 2.7, "micron"),
    (3.3, 5.0, "log10(Angstrom)"),
    (7.6, 11.5, "ln(Angstrom)"),
    (200.0, 2000.0, "nm"),
    (2000.0, 3e5, "Angstrom"),
)
"""Range of the median wavelength -> the only unit it may be in, for ground-based spectra."""
SPAN = 50.0
"""Greatest ratio of the largest to the smallest wavelength; that of pixel numbers is larger."""
ALLOWED = (1000.0, 3e5)
"""Angstrom."""
UNEVEN = 3.0
"""Ratio of the largest to the smallest step, in wavelength and in its logarithm, above which it is
told."""


@dataclass(frozen=True)
class Axis:
    """The wavelengths of spectra."""

    wave: Array
    """(W,) Angstrom, ascending."""
    reversed: bool
    """They descend in the file."""
    medium: str
    """`air` or `vacuum`; empty when not stated."""
    notes: tuple[str, ...] = ()
    """What was converted, and what is unusual."""


def read_axis(values: NDArray[Any], attributes: Mapping[str, Any], where: str) -> Axis:
    """The wavelengths `values` (W,); `attributes`: of the data set or header, by name.

    Without a stated unit only a range that allows one unit is accepted. `UsageError` when they are
    not finite, not in order, or in no unit that can be known.
    """
    wave = np.asarray(values, dtype=np.float64).ravel()
    stated = next((v for k, v in attributes.items() if k.lower() in ("unit", "units")), None)
    wave, word = to_angstrom(wave, _text(stated), where)
    steps = np.diff(np.log(wave))
    backwards = len(steps) > 0 and bool((steps < 0).all())
    if not backwards and not (steps > 0).all():
        place = int(np.flatnonzero(steps <= 0)[0])
        raise UsageError(
            f"{where}: not in order: {wave[place]:.4f} A at pixel {place}, then "
            f"{wave[place + 1]:.4f}"
        )
    notes = [f"wavelengths read as {word}"] if word else []
    if backwards:
        wave = wave[::-1].copy()
        notes.append("wavelengths descend: pixels are read in reverse")
    if len(steps) and min(map(_ratio, (steps, np.diff(wave)))) > UNEVEN:
        low, high = abs(np.diff(wave)).min(), abs(np.diff(wave)).max()
        notes.append(f"wavelengths are uneven: steps of {low:.3g} to {high:.3g} A")
    return Axis(wave, backwards, stated_medium(attributes), tuple(notes))


def to_angstrom(values: Array, unit: str, where: str) -> tuple[Array, str]:
    """(W,) wavelengths in Angstrom, and what they were; an empty word for stated Angstrom.

    `unit`: `nm`, `um`, `log10(Angstrom)`, `ln(Angstrom)`, ...; empty when not known.
    """
    if not len(values) or not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise UsageError(f"{where}: {bad} of {len(values)} wavelengths are not finite")
    low, high = float(values.min()), float(values.max())
    word = unit.strip() or _guess(values, where)
    factor, base = _meaning(word, where)
    with np.errstate(over="ignore"):
        wave = (base**values if base else values) * factor
    if not (wave > 0).all() or wave.min() < ALLOWED[0] or wave.max() > ALLOWED[1]:
        raise UsageError(
            f"{where}: {low:g} to {high:g} {word} is outside "
            f"{ALLOWED[0]:g} to {ALLOWED[1]:g} Angstrom; is the unit right?"
        )
    if not unit.strip() and word != "Angstrom":
        word += " (no unit is stated; the values allow no other)"
    return wave, "" if word == "Angstrom" or (factor == 1 and not base) else word


def is_length(unit: str) -> bool:
    """Whether it is a unit of wavelengths, or of their logarithm."""
    try:
        _meaning(unit, "")
    except UsageError:
        return False
    return True


def medium_of(text: str) -> str:
    """`air` or `vacuum`, as the first word says (`Vac`, `in vacuum`); empty for another."""
    found = _MEDIUM.match(text)
    return "" if found is None else "vacuum" if found[1].lower() == "vac" else "air"


def unit_and_medium(text: str) -> tuple[str, str]:
    """`Angstrom (vacuum)` as unit and medium, empty where none is stated."""
    found = _BEHIND.search(text[-30:])
    return (text[: -len(found[0])], medium_of(found[1])) if found else (text, "")


def told_medium(lines: Iterable[str]) -> str:
    """`air` or `vacuum` as lines of text say: `VACUUM = T`, `wavelengths in air`; else empty."""
    found = set()
    for line in lines:
        if stated := _STATED.fullmatch(line):
            found.add(stated_medium({stated[1]: stated[2]}))
        elif told := _TOLD.search(line):
            found.add(_told(line, medium_of(told[1] or told[2])))
    found.discard("")
    return found.pop() if len(found) == 1 else ""


def _told(line: str, medium: str) -> str:
    """The medium that a line says which names one; empty where it may say anything else."""
    other = {"air": "vacuum", "vacuum": "air"}[medium]
    if switch := _SWITCH.fullmatch(line):
        return medium if switch[1] else other
    names_both = re.search(r"\bvac", line, re.IGNORECASE) and re.search(r"\bair\b", line, re.I)
    return "" if names_both or _DENIED.search(_OF_VELOCITY.sub("", line)) else medium


def stated_medium(attributes: Mapping[str, Any]) -> str:
    """`air` or `vacuum` as a header or attributes say; empty when they do not."""
    for name, value in attributes.items():
        text = _text(value).lower()
        match name.upper():
            case (
                "AIRORVAC"
                | "MEDIUM"
                | "WAVELENGTHS"
                | "WAVE_MEDIUM"
                | "SPECSYS_MEDIUM"
                | "AIR_OR_VACUUM"
            ):
                if medium := medium_of(text):
                    return medium
            case "VACUUM" | "VACWAVE" | "IN_VACUUM" | "INVACUUM":
                if text in ("t", "true", "1", "1.0", "yes"):
                    return "vacuum"
                if text in ("f", "false", "0", "0.0", "no"):
                    return "air"
            case "UNIT" | "UNITS":
                if medium := unit_and_medium(text)[1]:
                    return medium
            case "CTYPE1" | "CTYPE3":
                if text.startswith(("awav", "wave")) and not text.startswith("wavelength"):
                    return "air" if text.startswith("awav") else "vacuum"
    return ""


def _ratio(steps: Array) -> float:
    return float(abs(steps).max() / abs(steps).min())


def _guess(values: Array, where: str) -> str:
    low, middle, high = float(values.min()), float(np.median(values)), float(values.max())
    for least, most, unit in _GUESSES:
        linear = "(" not in unit
        if least <= middle < most and not (linear and (low <= 0 or high > SPAN * low)):
            return unit
    raise UsageError(
        f"{where}: {low:g} to {high:g} are wavelengths in no unit that can be known; set the "
        "attribute `unit` of the data set (Angstrom, nm, micron, log10(Angstrom), ln(Angstrom))"
    )


def _meaning(unit: str, where: str) -> tuple[float, float]:
    """Factor to Angstrom, and the base of the logarithm (0: none)."""
    letters = unicodedata.normalize("NFKD", unit.lower())
    letters = "".join(one for one in letters if not unicodedata.combining(one))
    word = re.sub(r"\s+", "", unit_and_medium(letters)[0]).strip("[]")
    if (length := _length(word)) is not None:
        return length, 0.0
    match = _LOG.match(word)
    if match and (length := _length(match["unit"] or "angstrom")) is not None:
        return length, float(np.e if match["log"] == "ln" else 10.0)
    raise UsageError(f"{where}: unit {unit} is not a readable unit of wavelength")


def _length(word: str) -> float | None:
    singular = word[:-1] if len(word) > 2 and word.endswith("s") else word
    return _LENGTHS.get(
        singular.removesuffix("re") + "er" if singular.endswith("metre") else singular
    )


def _text(value: object) -> str:
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.ravel()[0]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip()
    return "" if value is None else str(value).strip()
