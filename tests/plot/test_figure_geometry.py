"""Figures as journals take them: their width, and that nothing in them lies on anything else."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axis import Axis
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from vitlab.contract.value import Value, axis_of_label, unit_of
from vitlab.plot.chart import PALETTE
from vitlab.plot.figures.drawing import Drawn, build
from vitlab.plot.figures.marks import MARK, dodges
from vitlab.plot.figures.paper import true_minus, write
from vitlab.plot.figures.picture import Curve, Panel, Picture, drawable
from vitlab.plot.figures.places import drawn_bands, drawn_points
from vitlab.plot.figures.styles import INKS, PLACES, Style
from vitlab.plot.figures.terminal import draw_panels
from vitlab.plot.series import Line

RANDOM = np.random.default_rng(0)
XS = (1e3, 3e3, 9e3, 25e3)
MODELS = tuple(
    Curve(f"Model {k}", XS, tuple(0.3 + 0.05 * k + 0.1 * i for i in range(4)), (0.02,) * 4,
          style=Style(k))
    for k in range(5)
)  # fmt: skip
LAW = Curve("law of Model 0", XS, (0.3, 0.4, 0.5, 0.6), (0.1,) * 4, reference=True, style=Style(0))
CEILING = Curve("Bayes ceiling", XS, (0.8, 0.86, 0.9, 0.97), (0.02,) * 4, reference=True,
                on_line=True)  # fmt: skip
LEVELS = (Line(0.8, "Bayes ceiling 0.800 ± 0.012"), Line(0.79, "linear ceiling 0.790 ± 0.001"))
SCALING = Panel("N", "test R² of log g", (*MODELS, LAW), lines=LEVELS, log_x=True)
SNR = Panel("S/N per pixel", "test R² of log g", (*MODELS, CEILING), log_x=True,
            bins=XS, top=((1e3, "23"), (25e3, "18")), top_label="i magnitude")  # fmt: skip
TRUE = RANDOM.uniform(1, 5, 2000)
CLOUD = Curve("ViT", tuple(TRUE), tuple(TRUE + RANDOM.normal(size=2000)), joined=False)
LEFT = Panel("true log g [dex]", "predicted - true log g [dex]",
             (replace(CLOUD, y=tuple(RANDOM.normal(size=2000))),
              Curve("running bias", (1.0, 5.0), (0.5, -0.5), reference=True)),
             density=True, square=True, x_range=(0.8, 5.2), y_range=(-3.2, 3.2))  # fmt: skip
PARITY = Panel("true log g [dex]", "predicted log g [dex]", (CLOUD,), title="ViT  R² = 0.601",
               diagonal=True, density=True, square=True, below=LEFT)  # fmt: skip
BARS = Panel("", "difference in test R² of log g",
             (Curve("", (0.0, 1.0, 2.0), (0.02, 0.0, -0.1), (0.01, 0.0, 0.02), joined=False),),
             names=("loss=mse, label_norm=standard " * 3, "b", "c"), bars=True)  # fmt: skip
LINES = Panel("wavelength [Å]", "information", (Curve("", (7100.0, 8850.0), (1.0, 2.0)),),
              x_range=(7100.0, 8850.0),
              marks=tuple((8400.0 + 12 * k, f"Fe I {k}") for k in range(30)))  # fmt: skip
GRID = tuple(
    Panel("% of planned steps", "val R² of log g", (MODELS[k % 5],), title=f"Model {k} n=256",
          lines=LEVELS, x_range=(0.0, 3e4), y_range=(0.0, 1.0))
    for k in range(7)
)  # fmt: skip
KEYS = ("profile smoke: a trial, not a full run", "error bars: " + "over the test stars " * 6)
PICTURES = {
    "scaling": Picture("Scaling", (SCALING,), keys=KEYS),
    "snr": Picture("S/N", (SNR,), keys=KEYS),
    "parity": Picture("Parity", (PARITY,) * 3, keys=KEYS, across=(2, 3)),
    "one": Picture("Parity", (PARITY,), keys=KEYS),
    "ablation": Picture("Ablation", (BARS,), keys=KEYS),
    "residuals": Picture("Residuals", (SNR, SCALING), keys=KEYS),
    "lines": Picture("Information", (LINES,), keys=KEYS, wide=True),
    "many": Picture(
        "Training",
        (replace(SCALING, curves=tuple(replace(MODELS[0], name=f"ViT n={k}") for k in range(14))),),
        keys=KEYS,
    ),
    "tall": Picture("Ablation", (replace(PARITY, below=None),) * 4, keys=KEYS, across=(1, 1)),
    "grid": Picture("Learning", GRID, keys=KEYS, across=(2, 4), shared=True),
}


def drawn(name: str, columns: int | None = None) -> Drawn:
    made = build(drawable(PICTURES[name]), columns, ("a note of the caption",))
    made.figure.draw_without_rendering()
    return made


def texts(made: Drawn) -> list[tuple[str, Bbox]]:
    """All that is written, with its box in display units."""
    unseen = set()  # labels of ticks beyond the axes
    for axis in made.figure.findobj(Axis):
        drawn_ticks = axis._update_ticks()  # type: ignore[attr-defined]
        for tick in (*axis.majorTicks, *axis.minorTicks):
            unseen |= set() if tick in drawn_ticks else {tick.label1, tick.label2}
    found = []
    for one in made.figure.findobj(Text):
        box = one.get_window_extent()
        if one.get_visible() and one not in unseen and one.get_text().strip() and box.width > 0:
            found.append((one.get_text(), box))
    return found


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("columns", [1, 2])
def test_nothing_lies_on_anything(name: str, columns: int) -> None:
    made = drawn(name, columns)
    assert made.figure.get_figwidth() * 25.4 == pytest.approx({1: 88, 2: 180}[columns])
    assert made.figure.get_figheight() * 25.4 < 240
    assert made.figure.get_suptitle() == ""
    written = texts(made)
    page = made.figure.bbox.padded(1.5)
    for text, box in written:
        assert page.x0 <= box.x0 <= box.x1 <= page.x1, text
        assert page.y0 <= box.y0 <= box.y1 <= page.y1, text
        assert not re.search(r"(^|\s)-\d", text)
    for (one, a), (other, b) in combinations(written, 2):
        assert not a.padded(-0.5).overlaps(b.padded(-0.5)), (one, other)
    if made.legend is not None:
        box = made.legend.get_window_extent()
        assert not any(box.overlaps(ax.get_window_extent()) for ax in made.figure.axes)
    for ax in made.figure.axes:
        points = drawn_points(ax)
        for label in ax.texts:
            box = label.get_window_extent()
            assert not box.count_contains(points), label.get_text()
            assert not any(band.intersects_bbox(box) for band in drawn_bands(ax)), label.get_text()


def test_what_finds_no_place_on_its_line_is_in_the_legend() -> None:
    made = drawn("scaling")
    on_lines = {text.get_text() for ax in made.figure.axes for text in ax.texts}
    assert made.legend is not None
    in_legend = {text.get_text() for text in made.legend.get_texts()}
    assert on_lines.isdisjoint(in_legend)
    assert {line.label for line in LEVELS} <= on_lines | in_legend
    assert "Bayes ceiling" in {text.get_text() for text in drawn("snr").figure.axes[0].texts}


def test_a_name_that_would_be_far_from_its_line_is_in_the_legend() -> None:
    ends = Curve("", (1.0, 2.0), (0.0, 1.0), style=Style(1))
    for half, on_line in ((0.02, True), (0.08, False)):
        band = Curve("law", (1.0, 2.0), (0.5, 0.5), (half, half), reference=True, style=Style(0))
        panel = Panel("x", "y", (ends, band), lines=(Line(0.5, "Bayes ceiling 0.500"),))
        (ax,) = build(Picture("", (panel,)), 1).figure.axes
        assert ("Bayes ceiling 0.500" in [text.get_text() for text in ax.texts]) == on_line


def test_a_figure_takes_as_many_columns_as_fit() -> None:
    for name, width in (("scaling", 88), ("one", 88), ("residuals", 180), ("lines", 180)):
        assert build(PICTURES[name], None).figure.get_figwidth() * 25.4 == pytest.approx(width)


def test_parity_and_its_residuals_are_square() -> None:
    panels = [ax for ax in drawn("parity").figure.axes if ax.get_label() != "<colorbar>"]
    for ax in panels:
        box = ax.get_window_extent()
        assert box.width == pytest.approx(box.height, rel=0.01)


def test_a_density_has_a_bar_of_its_colours_where_there_is_room() -> None:
    def bars(picture: Picture) -> list[str]:
        axes = build(picture, 1).figure.axes
        return [ax.get_ylabel() for ax in axes if ax.get_label() == "<colorbar>"]

    assert bars(Picture("", (PARITY,))) == ["stars per cell"] * 2
    assert bars(PICTURES["parity"]) == []


def test_error_bars_that_overlap_stand_beside_each_other() -> None:
    apart = replace(MODELS[1], y=tuple(y + 0.3 for y in MODELS[0].y))
    close = replace(MODELS[1], y=tuple(y + 0.01 for y in MODELS[0].y))
    for other, least, most in ((apart, 0.0, 0.01), (close, 2.0, 4.0)):
        panel = replace(SCALING, curves=(MODELS[0], other), beside=True)
        made = build(Picture("", (panel,)), 1)
        (ax,) = made.figure.axes
        marked = [line for line in ax.lines if line.get_marker() in ("o", "s")]
        left, right = (
            line.get_transform().transform(np.asarray(line.get_xydata(), float))[0, 0]
            for line in marked
        )
        points = (right - left) * 72 / made.figure.dpi
        assert least <= points <= most
        low, high = ax.get_ylim()
        assert all(low < y < high for curve in (MODELS[0], other) for y in curve.y)


def test_many_curves_are_moved_little() -> None:
    """Or a point would seem to be at another place."""
    same = tuple(replace(MODELS[0], name=f"run {k}") for k in range(19))
    shifts = dodges(replace(SCALING, curves=same, beside=True))
    assert len(set(shifts.values())) == 19
    assert max(map(abs, shifts.values())) < 5


def test_points_under_a_ceiling_stay_at_their_place_and_are_told_apart_by_size() -> None:
    close = replace(MODELS[1], y=tuple(y + 0.01 for y in MODELS[0].y))
    (ax,) = build(Picture("", (replace(SNR, curves=(MODELS[0], close, CEILING)),)), 1).figure.axes
    marked = [line for line in ax.lines if line.get_marker() in ("o", "s")]
    for line in marked:
        points = np.asarray(line.get_xydata(), float)
        assert line.get_transform().transform(points) == pytest.approx(
            ax.transData.transform(points)
        )
    first, second = (line.get_markersize() for line in marked)
    assert first > MARK > second  # the one that is drawn later does not hide the other
    alone = build(Picture("", (replace(SNR, curves=(MODELS[0], CEILING)),)), 1).figure.axes[0]
    assert [line.get_markersize() for line in alone.lines if line.get_marker() == "o"] == [MARK]


def test_a_bar_and_a_band_reach_as_far_on_each_side_as_they_are_wide() -> None:
    ends = ((-0.5, 0.4), (0.2, 0.9), (0.3, 0.45))
    skew = Curve("ViT", (1.0, 2.0, 3.0), (0.3, 0.3, 0.4), ends=ends)
    law = Curve("law", (1.0, 2.0, 3.0), (0.3, 0.3, 0.4), ends=ends, reference=True)
    for curve, kind in ((skew, LineCollection), (law, PolyCollection)):
        picture = Picture("", (Panel("x", "y", (curve,)),))
        (ax,) = build(drawable(picture), 1).figure.axes
        (drawn_ends,) = [one for one in ax.collections if isinstance(one, kind)]
        ys = [np.asarray(path.vertices)[:, 1].tolist() for path in drawn_ends.get_paths()]
        flat = {round(y, 6) for one in ys for y in one}
        assert flat == {end for pair in ends for end in pair}
        low, high = ax.get_ylim()
        assert low < -0.5 < 0.9 < high
    assert "ViT: bars 0.15 to 0.9 long" in draw_panels(
        Picture("", (Panel("x", "y", (skew,)),)), 80, 12
    )
    lost = replace(skew, y=(math.nan, 0.3, 0.4))
    (panel,) = drawable(Picture("", (Panel("x", "y", (lost,)),))).panels
    assert panel.curves[0].ends == ends[1:]


def test_a_wide_note_is_within_the_figure() -> None:
    note = "RUN 1 SEED=43: 12 of 10,000 POINTS ABOVE OR BELOW THE AXES OF PREDICTED MINUS TRUE"
    made = build(Picture("", (SCALING,)), 1, (note,))
    (box,) = [box for text, box in texts(made) if "10,000" in text]
    assert 0 <= box.x0 < box.x1 <= made.figure.bbox.width


@pytest.mark.parametrize("scale", [0.001, 0.02, 1.0])
def test_numbers_below_bars_do_not_touch(scale: float) -> None:
    (curve,) = BARS.curves
    small = replace(curve, y=tuple(scale * y for y in curve.y), errors=(scale * 0.01,) * 3)
    made = build(Picture("", (replace(BARS, curves=(small,)),)), 1)
    boxes = [box for text, box in texts(made) if re.fullmatch(r"−?\d*\.?\d+", text)]
    assert len(boxes) >= 2
    for left, right in pairwise(sorted(boxes, key=lambda box: box.x0)):
        assert (right.x0 - left.x1) * 72 / made.figure.dpi > 3


def test_colours_are_safe_and_styles_differ() -> None:
    assert set(INKS) < set(PALETTE)  # Okabe and Ito's
    styles = [Style(place) for place in range(PLACES)]
    assert len({(style.ink, style.marker) for style in styles}) == PLACES == 24
    runs = [Style(3, variant) for variant in range(4)]
    assert len({(run.ink, run.marker) for run in runs}) == 1
    assert len({(str(run.dash), run.filled) for run in runs}) == 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-0.4 ≤ 0", "−0.4 ≤ 0"),
        ("1 - R² = 0.2", "1 − R² = 0.2"),
        ("Gate-1 of 20-30 stars", "Gate-1 of 20-30 stars"),
        ("lr=1e-3", "lr=1e-3"),
        ("run -x", "run -x"),
    ],
)
def test_minus_signs(text: str, expected: str) -> None:
    assert true_minus(text) == expected


def test_the_caption_is_in_the_pdf_and_the_keys_are_drawn(tmp_path: Path) -> None:
    picture = replace(PICTURES["scaling"], notes=("ViT: 25k stars",))
    pdf, _ = write(picture, tmp_path / "a", columns=2)
    found = re.search(rb"/MediaBox \[ 0 0 (\S+) (\S+) \]", pdf.read_bytes())
    assert found is not None
    assert float(found[1]) / 72 * 25.4 == pytest.approx(180, abs=0.01)
    assert b"ViT: 25k stars" in pdf.read_bytes()
    plain = build(drawable(picture), 1).figure
    noted = build(drawable(picture), 1, picture.notes).figure
    assert plain.get_supxlabel().startswith("profile smoke: a trial")
    assert "25k" not in plain.get_supxlabel()
    assert "ViT: 25k stars" in noted.get_supxlabel()
    assert noted.get_figheight() > plain.get_figheight()


def test_the_terminal_shows_the_same() -> None:
    text = draw_panels(PICTURES["snr"], 100, 18, color=False)
    for curve in (*MODELS, CEILING):
        assert curve.name in text
    assert "bins of S/N per pixel: 1e+03, 3e+03, 9e+03, 2.5e+04" in text
    assert "i magnitude = S/N per pixel: 23 = 1e+03, 18 = 2.5e+04" in text
    assert "profile smoke: a trial" in text
    text = draw_panels(PICTURES["one"], 100, 18, color=False)
    assert len(text.split("\n")) >= 1 + 2 * 18
    assert "running bias" in text
    assert "Model 0: ± 0.02" in draw_panels(PICTURES["snr"], 100, 18, color=False)
    text = draw_panels(Picture("", (BARS,)), 100, 18, color=False)
    assert "-- 0" in text
    assert "c -0.10 ± 0.02" in text


def test_a_temperature_has_its_index_and_its_fonts_are_whole(tmp_path: Path) -> None:
    panel = replace(LEFT, x_label=axis_of_label("T_eff", "true"), y_label="MAE of $x_1$")
    ax, *_ = build(Picture("", (panel,)), 1).figure.axes
    assert ax.get_xlabel() == r"true $T_\mathrm{eff}$ [K]"
    assert ax.get_ylabel() == r"MAE of \$x_1\$"
    pdf, _ = write(Picture("", (panel,)), tmp_path / "a")
    assert b"/Type3" not in pdf.read_bytes()


def test_lines_are_named_in_the_order_they_are_given_as_far_as_there_is_room() -> None:
    made = drawn("lines", 2)
    (top,) = made.figure.axes[0].child_axes
    named = {label.get_text() for label in top.get_xticklabels()}
    assert {"Fe I 0"} < named < {text for _, text in LINES.marks}


@pytest.mark.parametrize(
    ("label", "expected"),
    [("log_g", "log g [dex]"), ("T_eff", "T_eff [K]"), ("M_H", "[M/H] [dex]"), ("age", "age")],
)
def test_labels_have_their_units(label: str, expected: str) -> None:
    assert axis_of_label(label) == expected
    unit = f" [{unit_of(label)}]" if unit_of(label) else ""
    name = expected.removesuffix(unit)
    assert Value("test", "mae", label).axis == f"test MAE of {name}{unit}"
    assert Value("val", "r2", label).axis == f"val R² of {name}"
