"""The chart as text: gaps, ranges, legends, widths."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitlab.plot.chart import MARKS, draw
from vitlab.plot.series import (
    Line,
    Series,
    cells,
    clip,
    decimate,
    fit,
    number,
    outside,
    robust_range,
    segments,
    tick_labels,
    ticks,
)

NAN = float("nan")
ANSI = re.compile(r"\x1b\[[0-9;]*m")

values = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True, width=64))


def curve(n: int = 60) -> Series:
    return Series("1.0 Run 1", list(range(n)), [0.7 * (1 - math.exp(-i / 10)) for i in range(n)])


@given(
    st.lists(st.tuples(values, values), max_size=40),
    st.lists(st.floats(-2, 2), max_size=2),
    st.integers(0, 90),
    st.integers(0, 30),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_any_values_at_any_size_fill_exactly_the_block(
    points: list[tuple[float | None, float | None]],
    lines: list[float],
    width: int,
    height: int,
    color: bool,
    plain: bool,
) -> None:
    series = [Series("跑 1", [x for x, _ in points], [y for _, y in points]), curve(5)]
    thresholds = [Line(v, f"gate {v}") for v in lines]
    text = draw(series, thresholds, width, height, title="R²", color=color, ascii=plain)
    if width == 0 or height == 0:
        assert text == ""
        return
    rows = ANSI.sub("", text).split("\n")
    assert len(rows) == height
    assert {cells(row) for row in rows} == {width}
    if height >= 7 and width >= 24 and not plain:
        assert sum("┤" in row for row in rows) >= 3


def test_plain_text_carries_no_escape_and_no_colour_is_needed_to_read_it() -> None:
    other = Series("2.0 LightGBM", [0, 30], [0.1, 0.5])
    text = draw([curve(), other], [Line(0.6, "Gate-1 > 0.60")], 80, 20, color=False)
    assert "\x1b" not in text
    assert f"{MARKS[0]}  1.0 Run 1 {number(curve().y[-1])}" in text
    assert f"{MARKS[1]}  2.0 LightGBM 0.5000" in text
    assert "-Gate-1 > 0.60-" in text
    assert text.count("-" * 10) > 0
    colored = ANSI.sub("", draw([curve(), other], [Line(0.6, "Gate-1 > 0.60")], 80, 20))
    letters = set("".join(colored.split("\n")[1:18])) & set(MARKS)
    assert letters <= set("".join(("Gate-1 > 0.60", "1.0 Run 1", "2.0 LightGBM")))


def test_ascii_mode_is_ascii_but_for_names() -> None:
    text = draw([curve()], [Line(0.5, "gate")], 70, 15, title="R2 log_g", color=False, ascii=True)
    assert text.isascii()


def test_a_missing_value_is_a_gap() -> None:
    series = Series("a", [0, 1, 2, 3, 4], [1.0, 2.0, None, NAN, 3.0])
    assert segments(series) == [[(0.0, 1.0), (1.0, 2.0)], [(4.0, 3.0)]]
    whole = draw([Series("a", [0, 10], [0, 0])], [], 60, 10, color=False)
    broken = draw([Series("a", [0, 5, 10], [0, None, 0])], [], 60, 10, color=False)
    dots = re.compile("[⠀-⣿]")
    assert len(dots.findall(whole)) > 40
    assert len(dots.findall(broken)) < 5


def test_a_last_value_that_is_missing_is_said_so() -> None:
    assert "a -" in draw([Series("a", [0, 1], [0.5, NAN])], [], 60, 10, color=False)


def test_terrible_first_epochs_do_not_flatten_the_curve() -> None:
    y = [-50.0, -8.0, *[0.2 + 0.01 * i for i in range(50)]]
    low, high = robust_range(y, [0.7])
    assert -2 < low < 0.2
    assert 0.7 < high < 1
    text = draw([Series("a", list(range(52)), y)], [], 80, 20, color=False)
    assert "2 points outside" in text.split("\n")[0]


def test_a_loss_that_falls_from_the_sky_is_cut_above() -> None:
    y = [1000.0, 100.0, *[2.0 - 0.01 * i for i in range(50)]]
    low, high = robust_range(y, [])
    assert low < 1.51
    assert high < 10


def test_threshold_is_always_inside_the_range() -> None:
    low, high = robust_range([0.01, 0.02, 0.03], [0.7])
    assert low < 0.7 < high


def test_empty_one_point_and_constant_charts_are_drawn() -> None:
    assert "no values yet" in draw([], [], 60, 10, color=False)
    assert "no values yet" in draw([Series("a", [], [])], [Line(0.7, "g")], 60, 10, color=False)
    assert "one 0.2000" in draw([Series("one", [3], [0.2])], [], 60, 10, color=False)
    assert "flat 2.0000" in draw([Series("flat", [1, 9], [2, 2])], [], 60, 10, color=False)


def test_decimation_keeps_the_extremes_and_bounds_the_points() -> None:
    y = [math.sin(i / 50) for i in range(20_000)]
    y[7777] = 9.0
    y[12345] = -9.0
    runs = decimate(segments(Series("a", list(range(20_000)), y)), 100)
    kept = [p for run in runs for p in run]
    assert len(kept) <= 2 * 101
    assert (7777.0, 9.0) in kept
    assert (12345.0, -9.0) in kept
    assert kept == sorted(kept)


def test_clip_bounds_values_and_counts_the_outside() -> None:
    runs = [[(0.0, -1e12), (1.0, 0.5), (2.0, 2.5)]]
    assert outside(runs, 0, 1) == 2
    assert clip(runs, 0, 1) == [[(0.0, -1.0), (1.0, 0.5), (2.0, 2.0)]]


@pytest.mark.parametrize(
    ("low", "high", "count", "labels"),
    [
        (0.0, 1.0, 5, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (0, 100_000, 4, ["0", "50k", "100k"]),
        (0, 40_000_000, 4, ["0", "10M", "20M", "30M", "40M"]),
        (-0.3, 0.1, 4, ["-0.3", "-0.2", "-0.1", "0.0", "0.1"]),
        (0.0, 0.002, 2, ["0.000", "0.001", "0.002"]),
        (0.60231, 0.60238, 3, ["0.60232", "0.60234", "0.60236", "0.60238"]),
        (1e9, 1e9 + 5, 3, ["1000000000", "1000000002", "1000000004"]),
        (0.0, 3e-6, 3, ["0", "1e-06", "2e-06", "3e-06"]),
        (-0.55, 0.72, 2, ["-0.5", "0.0", "0.5"]),
        (0.58, 0.72, 2, ["0.6", "0.7"]),
        (1.0, 1.0, 5, []),
    ],
)
def test_ticks_are_round(low: float, high: float, count: int, labels: list[str]) -> None:
    assert tick_labels(ticks(low, high, count)) == labels


def test_many_curves_leave_room_for_the_plot() -> None:
    series = [Series(f"run {i} with a long name", [0, 1], [i, i]) for i in range(30)]
    rows = draw(series, [], 80, 20, color=False).split("\n")
    named = sum(row.count("run ") for row in rows)
    assert f"and {30 - named} more" in "".join(rows)
    assert named >= 12
    assert sum("┤" in row for row in rows) >= 3
    listed = draw(series, [], 80, 20, legend=True, color=False).split("\n")
    assert "more" in listed[-1]
    assert sum("┤" in row for row in listed) >= 3


@given(st.text(max_size=30), st.integers(0, 20))
def test_fit_is_exact(text: str, width: int) -> None:
    assert cells(fit(text, width)) == width
