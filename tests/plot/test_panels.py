"""Stretches of spectra drawn cell by cell: size, gaps, band, names."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from vitlab.plot.canvas import Look, Named, Panel, curve, nearest, paint
from vitlab.plot.grid import Run
from vitlab.plot.series import cells

RED = (255, 0, 0)
BLUE = (0, 0, 255)


def text(rows: list[Run]) -> list[str]:
    return ["".join(piece for piece, _ in row) for row in rows]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(width=32), max_size=60),
    st.integers(1, 90),
    st.integers(1, 20),
    st.booleans(),
    st.booleans(),
    st.floats(-10, 80),
)
def test_any_values_fill_exactly_the_size(
    ys: list[float], width: int, height: int, signed: bool, plain: bool, cursor: float
) -> None:
    ys = [max(min(y, 1e12), -1e12) if math.isfinite(y) else y for y in ys]
    xs = [float(i) for i in range(len(ys))]
    one = curve("a", xs, ys, RED)
    band = curve("low", xs, [y - 1 for y in ys], RED), curve("high", xs, [y + 1 for y in ys], RED)
    names = [Named(3.0, "Ca II"), Named(9.0, "Fe I", 1), Named(200.0, "far")]
    panel = Panel(
        [one, curve("b", xs, ys[::-1], BLUE)], (), band, names, "signed" if signed else "trimmed"
    )
    look = Look(window=(0.0, 60.0), cursor=cursor, plain=plain)
    rows = text(paint(panel, look, width, height, {}, axis=True))
    assert len(rows) == height
    assert {cells(row) for row in rows} == {width}
    if plain:
        assert "".join(rows).isascii()


def test_a_masked_stretch_is_a_gap_and_the_noisy_ends_are_cut() -> None:
    xs = [7000.0 + i for i in range(600)]
    ys = [1.0 + 0.01 * (i % 2) for i in range(600)]
    ys[300:400] = [math.nan] * 100
    ys[50] = 900.0  # under a sky line
    rows = text(
        paint(Panel([curve("a", xs, ys, RED)], scale="trimmed"), Look(), 68, 9, {}, axis=True)
    )
    drawn = rows[4:7]
    assert all(not row[8 + 32 : 8 + 38].strip() for row in drawn)
    assert any(row[8 + 10 : 8 + 28].strip() for row in rows[:-1])
    assert "900" not in "".join(rows)


def test_names_stand_at_their_lines_as_far_as_there_is_room() -> None:
    xs = [8400.0 + i for i in range(400)]
    names = [Named(8542.1, "Ca II 8542"), Named(8545.0, "H P15"), Named(8700.0, "weak", 1)]
    panel = Panel([curve("a", xs, [1.0] * 400, RED)], names=names, scale="trimmed")
    near, far = (
        text(paint(panel, Look(window=window), 108, 8, {}, axis=False))
        for window in ((8400.0, 8800.0), (8000.0, 9900.0))
    )
    column = 8 + int(100 * 142.1 / 400)
    assert near[0].index("Ca II 8542") in range(column - 6, column)
    assert near[1][column] == "'"
    assert "weak" in near[0]
    assert "weak" not in far[0]
    assert "H P15" not in near[0]  # it would hit the first
    assert nearest(xs, 8542.4) == 142
    assert nearest(xs, 1e9) == 399


def test_a_second_curve_stands_alone_in_its_cells_and_the_band_fills_empty_ones() -> None:
    xs = [float(i) for i in range(400)]
    noisy = curve("a", xs, [(-1.0) ** i for i in range(400)], RED)
    flat = curve("b", xs, [0.0] * 400, BLUE)
    band = curve("low", xs, [-0.5] * 400, RED), curve("high", xs, [0.5] * 400, RED)
    rows = paint(Panel([noisy, flat], scale="trimmed"), Look(), 68, 9, {}, axis=False)
    row = next(row for row in rows if any(color == BLUE for _, color in row))
    assert set("".join(piece for piece, color in row if color == BLUE)) <= set("⠒⠤⣀⠉x")
    quiet = text(paint(Panel([flat], band=band, scale="trimmed"), Look(), 68, 9, {}, axis=False))
    assert sum("░" in row for row in quiet) >= 3
