"""Charts drawn cell by cell: their size, their gaps, what a window and a log axis show."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitlab.plot.canvas import (
    Curve,
    Folds,
    Look,
    Panel,
    hidden_by_log,
    paint,
    whole,
    y_labels,
)
from vitlab.plot.grid import DotGrid
from vitlab.plot.series import Line, cells
from vitlab.tui.widgets.curves_chart import render

RED = (255, 0, 0)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32)


def text(rows: Sequence[Sequence[tuple[str, object]]]) -> list[str]:
    return ["".join(piece for piece, _ in row) for row in rows]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1e6), NUMBERS), max_size=40),
    st.integers(1, 90),
    st.integers(1, 30),
    st.booleans(),
    st.booleans(),
)
def test_any_values_fill_exactly_the_size(
    points: list[tuple[float, float]], width: int, height: int, log: bool, plain: bool
) -> None:
    points.sort()
    curve = Curve("a", [x for x, _ in points], [y for _, y in points], RED, (3.0, 5e5))
    look = Look(log=log, plain=plain, cursor=5e5)
    rows = text(
        paint(Panel([curve], [Line(0.7, "专家 gate"), Line(-1.0, "x")]), look, width, height)
    )
    assert len(rows) == height
    assert {cells(row) for row in rows} == {width}
    if plain:
        assert set("".join(rows)) - set("专家") <= set(map(chr, range(128)))


def test_a_gap_is_not_joined_and_a_window_shows_its_part() -> None:
    curve = Curve("a", [0.0, 1, 2, 8, 9, 10], [1.0] * 6, RED, (5.0,))
    row = next(row for row in text(paint(Panel([curve]), Look(), 68, 9)) if "⠉" in row)
    assert "⠁     " in row
    rows = text(paint(Panel([curve]), Look(window=(8.0, 10.0)), 68, 9))
    assert rows[-1].split() == ["8.0", "8.5", "9.0", "9.5", "10.0"]


def test_every_spike_of_a_long_curve_is_drawn() -> None:
    ys = [0.0] * 50_000
    ys[31_234] = 1.0
    rows = text(paint(Panel([Curve("a", range(50_000), ys, RED)]), Look(), 60, 20))
    assert any("⡇" in row or "⢸" in row for row in rows[1:6])


def test_a_log_axis_is_labelled_by_powers_of_ten() -> None:
    curve = Curve("a", [0.0, 1, 2, 3], [0.001, 0.1, -1, 10], RED)
    labels = " ".join(
        row[:7].strip() for row in text(paint(Panel([curve]), Look(log=True), 60, 20))
    )
    assert labels.split() == ["10", "1", "0.1", "0.01", "0.001", "0.0"] or "0.01" in labels


def test_values_that_a_log_axis_cannot_show_are_counted() -> None:
    curves = [Curve("a", [0.0, 1, 2, 3], [0.0, 0.1, -1, 10], RED), Curve("b", [1.0], [-2.0], RED)]
    assert hidden_by_log(curves, Look(log=True)) == 3
    assert hidden_by_log(curves, Look(log=True, window=(0.5, 2.5))) == 2
    assert hidden_by_log(curves, Look()) == 0
    for plain, sign in ((False, "≤"), (True, "<=")):
        look = Look(log=True, plain=plain)
        drawn = render(Panel(curves), look, 60, 20, {}).plain.split("\n")
        assert len(drawn) == 20
        assert drawn[-1] == f"3 values {sign} 0 not shown on a log axis"
    assert "not shown" not in render(Panel(curves), Look(), 60, 20, {}).plain


def test_folds_are_kept_for_the_next_frame() -> None:
    folds: Folds = {}
    curve = Curve("a", [0.0, 1], [0.0, 1], RED)
    first = paint(Panel([curve]), Look(), 60, 10, folds)
    assert len(folds) == 1
    assert paint(Panel([curve]), Look(), 60, 10, folds) == first
    assert len(folds) == 1


def test_the_range_of_nothing_and_of_one_point_has_a_width() -> None:
    assert whole([]) == (0.0, 1.0)
    low, high = whole([Curve("a", [3.0], [1.0], RED)])
    assert low < 3.0 < high
    assert math.isfinite(low)
    assert whole([Curve("a", [0.0, 4.0], [1.0, 2.0], RED)]) == pytest.approx((0.0, 4.0))


@given(st.integers(3, 40), st.floats(-2, 0.9), st.floats(0.05, 3))
def test_a_level_is_drawn_in_the_row_of_its_tick(rows: int, low: float, span: float) -> None:
    limits = (low, low + span)
    labels = y_labels(limits, rows, log=False)
    assert len(labels) >= 2
    for row, name in labels.items():
        grid = DotGrid(9, rows, limits, plain=True)
        grid.level(float(name))
        level = next(i for i, pieces in enumerate(grid.rows()) if "-" in pieces[0][0])
        assert level == row
