"""Ticks that show a scale, and texts in a chart that never cover each other."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from vitlab.plot.canvas import Curve, Look, Panel, paint, y_labels
from vitlab.plot.chart import MARKS, draw
from vitlab.plot.labels import End, annotate, margin
from vitlab.plot.series import Line, Series, cells, shortened, tick_labels, ticks

RED, BLUE = (255, 0, 0), (0, 0, 255)
ANSI = re.compile(r"\x1b\[[0-9;]*m")
lows = st.one_of(st.floats(-2, 2), st.floats(-1e7, 1e7), st.floats(-1e-4, 1e-4))
spans = st.floats(-6, 7).map(lambda power: 10.0**power)


def value_of(name: str) -> float:
    return float(name.rstrip("kM")) * {"k": 1e3, "M": 1e6}.get(name[-1], 1)


@given(lows, spans, st.integers(4, 60))
def test_an_axis_has_three_distinct_labels_at_least(low: float, span: float, rows: int) -> None:
    high = low + span
    positions = ticks(low, high, max(3, rows // 4), rows)
    names = tick_labels(positions)
    assert len(names) >= 3
    values = [value_of(name) for name in names]
    step = positions[1] - positions[0]
    assert all(a < b for a, b in pairwise(values))
    assert low - 1e-3 * step <= values[0] <= values[-1] <= high + 1e-3 * step
    assert len(y_labels((low, high), rows, log=False)) == len(names)  # a row each


@given(st.floats(-12, 11), st.floats(0.01, 8), st.integers(5, 60))
def test_a_log_axis_has_three_distinct_labels_at_least(low: float, span: float, rows: int) -> None:
    labels = y_labels((low, low + span), rows, log=True)
    values = [value_of(labels[row]) for row in sorted(labels, reverse=True)]
    assert len(values) >= 3
    assert all(a < b for a, b in pairwise(values))
    assert 10 ** (low - 1e-3) <= values[0] <= values[-1] <= 10 ** (low + span + 1e-3)


names = st.text("ab 专", min_size=1, max_size=14)
places = st.tuples(st.integers(0, 11), st.integers(0, 39))


@given(
    st.lists(st.tuples(places, names, st.booleans(), st.none() | places), max_size=8),
    st.lists(st.tuples(st.integers(0, 11), names), max_size=4),
    st.integers(3, 12),
    st.booleans(),
    st.sets(places, max_size=60),
)
def test_texts_of_a_chart_never_cover_each_other(
    curves: list[tuple[tuple[int, int], str, bool, tuple[int, int] | None]],
    levels: list[tuple[int, str]],
    rows: int,
    letters: bool,
    drawn: set[tuple[int, int]],
) -> None:
    columns = 60
    beside = columns - margin([name for _, name, _, _ in curves], columns, letters=letters)
    ends = [
        End((row % rows, column), name, RED, MARKS[i] if letters else "",
            best and (best[0] % rows, best[1]), (row % rows, column) if tested else None)
        for i, ((row, column), name, tested, best) in enumerate(curves)
    ]  # fmt: skip
    inside = [(row % rows, label) for row, label in levels]
    texts = annotate(rows, columns, beside, lambda *cell: cell in drawn, ends, inside, ascii=False)
    taken = [(one.row, one.column + at) for one in texts for at in range(max(cells(one.text), 1))]
    assert len(set(taken)) == len(taken)
    assert all(0 <= row < rows and 0 <= column < columns for row, column in taken)
    written = [one.text for one in texts]
    named = [one for one in texts if one.color == RED and one.text not in {"●", "◆", *MARKS}]
    assert len(named) == len(ends) or f"and {len(ends) - len(named)} more" in written


def test_a_finished_run_has_its_best_and_its_test_value_at_its_planned_end() -> None:
    rising = Series(
        "1.0 Run 1", [0, 50, 100], [0.0, 0.7, 0.5], RED, best=(50, 0.7), test=(100, 0.3)
    )
    running = Series("2.0 MLP", [0, 20], [0.0, 0.1], BLUE, best=(20, 0.1))
    ridge = Series("2.0 Ridge", [0, 100], [0.4, 0.4], level=True)
    lines = [Line(0.7, "Gate-1 at 0.7"), Line(0.72, "Bayes ceiling 0.72")]
    text = ANSI.sub("", draw([rising, running, ridge], lines, 80, 8, x_range=(0, 200)))
    rows = text.split("\n")
    assert len(rows) == 8
    assert rows[0].endswith("● best, ◆ test")
    assert text.count("●") == 3
    assert text.count("◆") == 2
    assert rows[-1].split() == ["0", "50", "100", "150", "200"]
    for name in ("1.0 Run 1 0.5000", "2.0 MLP 0.1000", "2.0 Ridge 0.4000"):
        assert name in text
    for line in lines:
        assert f"-{line.label}" in text
    for name, shown in (
        ("1.0 a run with a very long name", "1.0 a r..ng name 0.5000"),
        (
            "3.0 ViT-S train_size=9000,seed=43",
            "3.0 ViT..9k,s=43 0.5000",
        ),  # that of seed 42 is another
    ):
        long = replace(rising, name=name)
        assert shown in ANSI.sub("", draw([long], lines, 80, 8, x_range=(0, 200)))
    end = rows[-1].index("100")
    assert abs(next(row.index("◆") for row in rows[1:] if "◆" in row) - end) <= 3


def test_letters_stand_at_the_ends_of_curves_only_without_colour() -> None:
    runs = [Curve(f"run {i}", [0.0, 10.0], [0.1, 0.5 + 0.2 * i], RED) for i in range(3)]
    panel = Panel(runs, x_range=(0.0, 20.0), named=True)
    for letters in (False, True):
        rows = ["".join(p for p, _ in row) for row in paint(panel, Look(letters=letters), 80, 14)]
        text = "\n".join(rows)
        assert all(f"run {i}" in text for i in range(3))
        assert [text.count(mark) for mark in "ox+"] == [letters] * 3
    assert rows[-1].split()[0] == "0"
    assert rows[-1].split()[-1] == "20"


def test_a_short_name_keeps_what_tells_the_runs_of_a_sweep_apart() -> None:
    sizes, seeds = (1000, 9000, 25000), (42, 43)
    runs = [f"LightGBM train_size={n},seed={seed}" for n in sizes for seed in seeds]
    assert shortened(runs[0], 40) == runs[0]
    assert shortened(runs[0], 21) == "LightGBM t=1000,s=42"
    assert shortened(runs[0], 18) == "LightGBM t=1k,s=42"
    for width in (17, 18, 21):
        assert len({shortened(run, width) for run in runs}) == len(runs)
