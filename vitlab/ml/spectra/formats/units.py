"""Units of fluxes as files write them, to tell whether two are the same."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.formats.fits import real

_SAME = {
    **dict.fromkeys(("aa", "ang", "angstrom", "angstroms", "å"), "a"),
    **dict.fromkeys(("ergs",), "erg"),
    **dict.fromkeys(("sec", "second", "seconds"), "s"),
    **dict.fromkeys(("cts", "ct", "counts", "adu", "dn"), "count"),
    **dict.fromkeys(("electrons",), "electron"),
    **dict.fromkeys(("nanomaggies", "nmgy"), "nanomaggy"),
}
"""Word in lower case -> the one that it is another of."""
_DIGITS = r"(?:\{[+-]?\d+\}|\([+-]?\d+\)|[+-]?\d+)"
_AROUND = "(){}"
_POWER = rf"(?:\^|\*\*)?\s*({_DIGITS})"
_BEHIND = re.compile(rf"\s*(?:\^|\*\*|(?=[+-]))\s*({_DIGITS})")
"""The power of a bracket."""
_TEN = re.compile(r"10(?:\^|\*\*)\s*[({]?([+-]?\d+)[)}]?")
_NUMBER = re.compile(r"\d+(?:\.\d*)?(?:[eEdD][+-]?\d+)?")
_WORD = re.compile(rf"([A-Za-zÅåµμ%]+)(?:{_POWER})?")
LONGEST = 100
"""Letters of a unit."""
_NOT_LINEAR = re.compile(r"\b(?:\w{0,3}mags?|dex|log\d*|ln|db)(?:\b|_)", re.IGNORECASE)
Parsed = Mapping[str, float]
"""Word -> its power; of `10` that of the scale."""


def refuse_logarithms(unit: str, place: str) -> None:
    """`UsageError` for fluxes in magnitudes or other logarithms."""
    if _NOT_LINEAR.search(unit):
        raise UsageError(f"{place}: a flux in {unit}: only linear fluxes can be read")


def is_power_of(unit: str, flux: str, power: int) -> bool:
    """Whether `unit` is that of a flux to a power, -2 of an inverse variance.

    As far as both can be read: `1e-17 erg/s/cm2/A` is `10^-17 erg s^-1 cm^-2 Angstrom^-1`.
    """
    if power == 1 and unit.split() == flux.split():
        return True
    left, right = _parsed(unit), _parsed(flux)
    if left is None or right is None:
        return False
    wanted = {word: one * power for word, one in right.items()}
    return left.keys() == wanted.keys() and all(
        math.isclose(left[word], wanted[word], abs_tol=1e-6) for word in left
    )


def _parsed(text: str) -> Parsed | None:
    """A unit without the words of power 0; None where it cannot be read."""
    found: list[tuple[str, float]] = [("10", 0.0)]
    sign, groups, at = 1, [(1, 0)], 0
    while at < len(text := text[:LONGEST]):
        letter = text[at]
        if letter == ")" and len(groups) > 1:
            _, first = groups.pop()
            if power := _BEHIND.match(text, at + 1):  # `(erg/s/cm2/A)^2`
                found[first:] = [
                    (word, by * float(power[1].strip(_AROUND))) for word, by in found[first:]
                ]
                at = power.end() - 1
        elif letter in "/(":
            if letter == "(":
                groups.append((groups[-1][0] * sign, len(found)))
            sign = -1 if letter == "/" else 1
        elif letter not in " *.)":
            match = _TEN.match(text, at) or _NUMBER.match(text, at) or _WORD.match(text, at)
            if match is None:
                return None
            word, by = _factor(match)
            found.append((word, by * sign * groups[-1][0]))
            at, sign = match.end(), 1
            continue
        at += 1
    total = {word: math.fsum(by for one, by in found if one == word) for word, _ in found}
    return {word: power for word, power in total.items() if power}


def _factor(found: re.Match[str]) -> tuple[str, float]:
    """Word and power; of a number `10` and its logarithm."""
    if found.re is _TEN:
        return "10", float(found[1])
    if found.re is _NUMBER:
        return "10", math.log10(value) if (value := real(found[0])) > 0 else math.nan
    word = found[1].lower()
    return _SAME.get(word, word), float((found[2] or "1").strip(_AROUND))
