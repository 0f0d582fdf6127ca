"""The numbers of one run held against each other: what cannot all be true of the same stars.

An MAE in standard deviations of its label that is taken for dex, an RMSE averaged over batches, a
percentage: none looks wrong alone, but R², RMSE and the labels' own scatter must agree.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations
from typing import NamedTuple

from vitlab.contract.value import TRAIN, Value, unit_of

SAME_SPLIT, OTHER_SPLIT = 1.1, 1.2
"""Standard deviations of the same labels, and of those of two splits, agree within this factor."""
_CHEBYSHEV = 1.78
"""Half the width of the central 68.3% is at most this many RMSE; a standard deviation is less."""
_HEAVY_TAILS = 5.0
"""The RMSE is taken to be no more than this many MAE."""
_POSSIBLE = {"K": (10.0, 1e5), "dex": (0.005, 6.0)}
"""Standard deviations that labels of stars can have, by their unit."""
_WORDS = {
    "en": {
        "above": "{0}: R² {1} is above 1",
        "below": "{0}: {1} {2} is below 0",
        "larger": "{0}: {1} {2} is larger than {3} {4}, which no errors allow",
        "differ": "{0}: the labels' standard deviation is {1} by {2} but {3} by {4}: one of these "
        "is in other units, of other stars, or a mean over batches",
        "splits": "{0}: the labels' standard deviation is {1} on {2} but {3} on {4}, by {5}: one "
        "may be in other units, unless the stars differ as much",
        "not_one": "{0}: {1} imply labels with a standard deviation of {2} σ, which should be 1",
        "one": "{0}: {1} imply labels with a standard deviation of {2} {3}: are they in normalised "
        "units (`unit: sigma`)?",
        "impossible": "{0}: {1} imply labels with a standard deviation of about {2} {3}, which "
        "stars do not have: are they in other units?",
    },
    "zh": {
        "above": "{0}：R² {1} 大于 1",
        "below": "{0}：{1} {2} 小于 0",
        "larger": "{0}：{1} {2} 大于 {3} {4}，任何误差都不可能如此",
        "differ": "{0}：标签的标准差按 {2} 为 {1}，按 {4} 却为 {3}：其一单位不同、样本不同，"
        "或为各批的均值",
        "splits": "{0}：标签的标准差在 {2} 上为 {1}，在 {4} 上却为 {3}（按 {5}）："
        "其一可能单位不同，除非样本确实不同",
        "not_one": "{0}：{1} 意味着标签的标准差为 {2} σ，本应为 1",
        "one": "{0}：{1} 意味着标签的标准差为 {2} {3}：是否为归一化单位（`unit: sigma`）？",
        "impossible": "{0}：{1} 意味着标签的标准差约为 {2} {3}，恒星不可能如此：单位是否不同？",
    },
}


@dataclass(frozen=True)
class Contradiction:
    """Numbers of one run that do not agree."""

    kind: str
    parts: tuple[str, ...]

    def text(self, language: str) -> str:
        """One line, in `zh` or `en`."""
        return _WORDS[language][self.kind].format(*self.parts)


def contradictions(values: Mapping[str, float | None]) -> list[str]:
    """One line for each contradiction between a run's values (`split/metric/label` -> number).

    Numbers are taken to be rounded to the digits they have; what is not finite is passed over.
    """
    return [one.text("en") for one in find_contradictions(values)]


def find_contradictions(values: Mapping[str, float | None]) -> list[Contradiction]:
    """As `contradictions`, not yet in a language."""
    groups: dict[tuple[str, str], dict[str, _Range]] = {}
    for name, number in sorted(values.items()):
        value = Value.parse(name)
        if number is not None and math.isfinite(number) and not value.is_ceiling:
            group = groups.setdefault((value.label, value.split), {})
            group[value.metric] = _rounded(number)
    found: list[Contradiction] = []
    implied: dict[str, dict[str, _Implied]] = {}
    for (label, split), numbers in groups.items():
        where = " ".join(part for part in (split, label) if part)
        found += _impossible_errors(where, numbers)
        spreads = list(_spreads(numbers))
        if label:
            found += _differing(where, spreads)
            found += _implausible(where, label, numbers, spreads)
        if spreads and split != TRAIN:
            implied.setdefault(label, {})[split] = spreads[0]
    for label, by_split in implied.items():
        found += _between_splits(label, by_split)
    return found


class _Range(NamedTuple):
    """What a rounded number may have been."""

    low: float
    high: float

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2

    def apart(self, other: _Range, factor: float) -> bool:
        """Whether two positive numbers differ by more than `factor`, however they were rounded."""
        return self.low > other.high * factor or other.low > self.high * factor

    def __str__(self) -> str:
        return f"{self.middle:.3g}"


class _Implied(NamedTuple):
    """A standard deviation of the labels, and the numbers it follows from."""

    std: _Range
    by: str


def _rounded(number: float) -> _Range:
    """By the digits it has, and at least two decimals, as trailing zeros are not kept."""
    exponent = Decimal(repr(float(number))).as_tuple().exponent
    half = min(0.5 * 10.0**exponent, 0.005) if isinstance(exponent, int) else 0.0
    return _Range(number - half, number + half)


def _impossible_errors(where: str, numbers: Mapping[str, _Range]) -> Iterator[Contradiction]:
    """An R² above 1, a negative error, and errors in the wrong order."""
    r2 = numbers.get("r2")
    if r2 is not None and r2.low > 1:
        yield Contradiction("above", (where, str(r2)))
    for tail in ("", "_sigma"):
        sizes = {name: numbers[name + tail] for name in ("mae", "rmse") if name + tail in numbers}
        for name, size in sizes.items():
            if size.high < 0:
                yield Contradiction("below", (where, _short(name + tail), str(size)))
        for name, factor in (("bias", 1.0), ("mae", 1.0), ("scatter", _CHEBYSHEV)):
            one = numbers.get(name + tail)
            if one is None:
                continue
            least = max(one.low, -one.high) if name == "bias" else one.low
            for other, size in sizes.items():
                too_large = least > size.high * factor > 0
                if other != name and (other, name) != ("mae", "scatter") and too_large:
                    parts = _short(name + tail), str(one), _short(other + tail), str(size)
                    yield Contradiction("larger", (where, *parts))


def _spreads(numbers: Mapping[str, _Range]) -> Iterator[_Implied]:
    """The labels' standard deviation by each way the numbers of a split imply it."""
    unexplained = _unexplained(numbers)
    for name in ("rmse", "mse"):
        size = _root(numbers[name]) if name == "mse" and name in numbers else numbers.get(name)
        if unexplained is not None and size is not None and size.low > 0:
            yield _Implied(_ratio(size, unexplained), f"R², {_short(name)}")
    if (std := numbers.get("label_std")) is not None and std.low > 0:
        yield _Implied(std, "label_std")
    for name in ("rmse", "mae", "scatter"):
        plain, twin = numbers.get(name), numbers.get(f"{name}_sigma")
        if plain is not None and twin is not None and min(plain.low, twin.low) > 0:
            yield _Implied(_ratio(plain, twin), f"{_short(name)}, {_short(name + '_sigma')}")


def _unexplained(numbers: Mapping[str, _Range]) -> _Range | None:
    """The RMSE in standard deviations of the labels; None without an R² below 1."""
    r2 = numbers.get("r2")
    if r2 is None or r2.high >= 1:
        return None
    return _Range(math.sqrt(1 - r2.high), math.sqrt(1 - r2.low))


def _root(square: _Range) -> _Range:
    return _Range(math.sqrt(max(square.low, 0.0)), math.sqrt(max(square.high, 0.0)))


def _ratio(above: _Range, below: _Range) -> _Range:
    return _Range(above.low / below.high, above.high / below.low)


def _differing(where: str, spreads: list[_Implied]) -> Iterator[Contradiction]:
    for one, other in combinations(spreads, 2):
        if one.std.apart(other.std, SAME_SPLIT):
            parts = str(one.std), one.by, str(other.std), other.by
            yield Contradiction("differ", (where, *parts))


def _implausible(
    where: str, label: str, numbers: Mapping[str, _Range], spreads: list[_Implied]
) -> Iterator[Contradiction]:
    """Labels whose implied scatter stars do not have, or that suggests normalised units."""
    unexplained, unit = _unexplained(numbers), unit_of(label) or ""
    if unexplained is None:
        return
    if (size := numbers.get("rmse_sigma")) is not None and size.low > 0:
        std = _ratio(size, unexplained)
        if std.apart(_Range(1.0, 1.0), OTHER_SPLIT):
            yield Contradiction("not_one", (where, f"R², {_short('rmse_sigma')}", str(std)))
    implied = [one for one in spreads if one.by.startswith("R²")][:1]
    mae = numbers.get("mae")
    if not implied and mae is not None and mae.low > 0:
        least = _ratio(mae, unexplained)
        implied = [_Implied(_Range(least.low, least.high * _HEAVY_TAILS), "R², MAE")]
    low, high = _POSSIBLE.get(unit, (0.0, math.inf))
    for std, by in implied:
        if 0.99 < std.low <= std.high < 1.01 and unit:
            yield Contradiction("one", (where, by, f"{std.middle:.3f}", unit))
        elif std.high < low or std.low > high:
            yield Contradiction(
                "impossible", (where, by, f"{math.sqrt(std.low * std.high):.2g}", unit)
            )


def _between_splits(label: str, by_split: Mapping[str, _Implied]) -> Iterator[Contradiction]:
    for (one, a), (other, b) in combinations(by_split.items(), 2):
        if a.std.apart(b.std, OTHER_SPLIT):
            by = a.by if a.by == b.by else f"{a.by}; {b.by}"
            yield Contradiction("splits", (label or "-", str(a.std), one, str(b.std), other, by))


def _short(metric: str) -> str:
    return Value("", metric).short
