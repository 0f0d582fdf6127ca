"""Series of charts and how they are prepared: gaps, decimation, ranges, ticks, text widths."""

from __future__ import annotations

import math
import re
import statistics
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product

SELECTORS = "\ufe0e\ufe0f"
_UNSEEN = ("Cc", "Cf", "Zl", "Zp")


def cells(text: str) -> int:
    """Width of `text` in terminal cells: wide characters take two, combining ones none."""
    return sum(_cell(character) for character in text)


def _cell(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Cf", "Cc", "Mn"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fit(text: str, width: int) -> str:
    """`text` cut (with `…`) or padded to exactly `width` cells, without control characters.

    Variation selectors are removed too: terminals disagree on the width of the result.
    """
    text = "".join(c for c in text if c not in SELECTORS and unicodedata.category(c) not in _UNSEEN)
    size = cells(text)
    if size > width:
        kept, size = "", 0
        for character in text:
            if size + _cell(character) > width - 1:
                break
            kept, size = kept + character, size + _cell(character)
        text, size = (kept + "…", size + 1) if width > 0 else ("", 0)
    return text + " " * (width - size)


_SETTING = re.compile(r"(?<![^ ,])(lr|[^\W\d])[\w.]*=")
"""The name of a setting in that of a run, and its initial."""
_THOUSANDS = re.compile(r"(?<=[=\d])000(?![\d.])")
"""Those of a whole number."""


def shortened(run: str, width: int) -> str:
    """A run's name in `width` cells at most: its settings by their initials, then cut inside.

    What tells the runs of a sweep apart is at both ends: `ViT-S t=25k,s=42`, `ViT-S..5k,s=42`.
    """
    for pattern, short in ((_SETTING, r"\1="), (_THOUSANDS, "k")):
        if cells(run) <= width:
            return run
        run = pattern.sub(short, run)
    if cells(run) <= width:
        return run
    tail = max(width - 2, 0) // 2
    end = run[len(run) - tail :]
    while cells(end) > tail:
        end = end[1:]
    return f"{fit(run, max(width - cells(end) - 1, 0)).rstrip(' …')}..{end}"


Rgb = tuple[int, int, int]
Point = tuple[float, float]
Range = tuple[float, float]
Segments = list[list[Point]]
"""Runs of points to be joined, separated by gaps."""

_HUGE = 1e12
"""Larger values are drawn as this."""


@dataclass(frozen=True)
class Series:
    """One curve."""

    name: str
    x: Sequence[float | None]
    y: Sequence[float | None]
    """As long as `x`; None, NaN and infinities are gaps."""
    color: Rgb | None = None
    """None takes the next colour of the palette."""
    best: Point | None = None
    """Its best point, which is marked."""
    test: Point | None = None
    """The test value of a finished run, at its end."""
    level: bool = False
    """No curve over x but one value, `y`, drawn as a level."""


@dataclass(frozen=True)
class Line:
    """A horizontal threshold."""

    value: float
    label: str


def segments(series: Series) -> Segments:
    """The finite points of a series, cut where a value is missing."""
    runs: Segments = [[]]
    for x, y in zip(series.x, series.y, strict=False):
        if _finite(x) and _finite(y):
            runs[-1].append((_tame(x), _tame(y)))
        elif runs[-1] and _finite(x):
            runs.append([])
    return [run for run in runs if run]


def last_value(series: Series) -> float | None:
    """The last value; None when it is missing or not finite."""
    count = min(len(series.x), len(series.y))
    value = series.y[count - 1] if count else None
    return value if _finite(value) else None


def decimate(runs: Segments, columns: int) -> Segments:
    """The lowest and highest point of each column, in order, about two per column.

    This keeps every spike, which a stride or a mean would lose.
    """
    total = sum(len(run) for run in runs)
    if total <= 2 * columns or columns < 1:
        return runs
    low = min(run[0][0] for run in runs)
    high = max(run[-1][0] for run in runs)
    width = (high - low) / columns or 1.0
    return [_extremes(run, low, width) for run in runs]


def _extremes(run: list[Point], low: float, width: float) -> list[Point]:
    kept: list[Point] = []
    start = 0
    while start < len(run):
        column = int((run[start][0] - low) / width)
        end = start + 1
        while end < len(run) and int((run[end][0] - low) / width) == column:
            end += 1
        part = range(start, end)
        least = min(part, key=lambda i: run[i][1])
        most = max(part, key=lambda i: run[i][1])
        kept += [run[i] for i in sorted({least, most})]
        start = end
    return kept


def robust_range(values: Sequence[float], lines: Sequence[float]) -> tuple[float, float]:
    """A y range without outliers.

    The first epochs of a regression may have R2 = -50, which would flatten the rest. A side is cut
    where it is further from the median than four times the other side or the quartiles.
    """
    if not values:
        low, high = (min(lines), max(lines)) if lines else (0.0, 1.0)
        return _padded(low, high)
    middle = statistics.median(values)
    ordered = sorted(values)
    quartiles = ordered[(3 * len(ordered)) // 4] - middle, middle - ordered[len(ordered) // 4]
    spread = min(quartiles) if min(quartiles) > 0 else max(quartiles)
    low, high = ordered[0], ordered[-1]
    if len(ordered) > 2:
        reach = max(spread, abs(middle) * 0.3)
        up, down = max(high - middle, reach), max(middle - low, reach)
        low = max(low, middle - 4 * up)
        high = min(high, middle + 4 * down)
    return _padded(min([low, *lines]), max([high, *lines]))


def _padded(low: float, high: float) -> tuple[float, float]:
    span = high - low
    if span <= 1e-9 * max(abs(low), abs(high), 1e-9):
        margin = max(abs(high) * 0.05, 0.05)
    else:
        margin = span * 0.04
    return low - margin, high + margin


def clip(runs: Segments, low: float, high: float) -> Segments:
    """The runs with values clamped to one span outside, so that lines still leave steeply."""
    span = high - low
    return [[(x, min(max(y, low - span), high + span)) for x, y in run] for run in runs]


def outside(runs: Segments, low: float, high: float) -> int:
    """Number of points outside `[low, high]`."""
    return sum(1 for run in runs for _, y in run if not low <= y <= high)


def ticks(low: float, high: float, count: int, room: int | None = None) -> list[float]:
    """Round positions (steps of 1, 2 or 5 times a power of ten) inside `[low, high]`.

    About `count`, and from a count of 3 on at least three: fewer show no scale. `room`: cells
    along the axis; where each position should have its own, steps may be less round.
    """
    span = high - low
    if count < 1 or not math.isfinite(span) or span <= 0:
        return []
    rough = span / count
    power: float = 10.0 ** math.floor(math.log10(rough))
    steps = [power * m for m in (10, 5, 2, 1, 0.5, 0.2, 0.1)]
    step, positions = 0.0, list[float]()
    for finer in steps:
        if finer >= rough * 0.999 or len(positions) < min(count, 3):
            step, positions = finer, _multiples(finer, low, high)
    if room is None or step * (room - 1) >= span:
        return positions
    for every, step in product(range(2, 9), steps):
        some = _multiples(step, low, high)[::every]
        if len(some) >= min(count, 3) and step * every * (room - 1) >= span:
            return some
    return positions


def _multiples(step: float, low: float, high: float) -> list[float]:
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def tick_labels(positions: Sequence[float]) -> list[str]:
    """The positions with as few decimals as needed; thousands as `k`, millions as `M`."""
    if not positions:
        return []
    step = min((b - a for a, b in pairwise(positions)), default=1.0)
    largest = max(abs(p) for p in positions)
    units = ((1e6, "M"), (1e3, "k"), (1.0, ""))
    fitting = (one for one in units if largest >= 10 * one[0] and step >= one[0] / 10)
    size, unit = next(fitting, units[-1])
    styles = [f".{digits}f" for digits in range(5)] if largest < 1e7 * size else []
    names: list[str] = []
    for style in [*styles, *(f".{digits}g" for digits in range(1, 18))]:
        names = [format(p / size, style) for p in positions]
        pairs = zip(names, positions, strict=True)
        if all(abs(float(name) * size - p) < 1e-3 * step for name, p in pairs):
            break
    return [name + unit if float(name) else name for name in names]


def number(value: float | None) -> str:
    """A value as in the legend: four significant digits, a dash for None."""
    if value is None:
        return "-"
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e3 else f"{value:.4g}"


def _finite(value: float | None) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _tame(value: float | None) -> float:
    return min(max(float(value or 0.0), -_HUGE), _HUGE)
