"""Figures for papers: what is in the files, and the same in the terminal."""

from __future__ import annotations

import math
import os
import re
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from vitlab.contract.paths import UsageError
from vitlab.plot.figures.paper import write
from vitlab.plot.figures.picture import Curve, Panel, Picture, drawable
from vitlab.plot.figures.terminal import draw_panels
from vitlab.plot.series import Line

CEILING = Line(0.76, "Bayes ceiling 0.760")
MODELS = (
    Curve("ViT", (1e3, 1e4, 1e5), (0.3, 0.4, 0.5), (0.01, 0.01, 0.02)),
    Curve("Ridge", (1e3, 1e4, 1e5), (0.2, 0.3, 0.35), (0.01, 0.01, 0.02)),
    Curve("CRLB (unbiased)", (1e3, 1e5), (0.7, 0.8), reference=True),
)
SCALING = Panel("training spectra", "test R²", MODELS, lines=(CEILING,), log_x=True)
CLOUD = Curve("ViT", tuple(i / 100 for i in range(2000)), tuple(i / 99 for i in range(2000)))
PARITY = Panel("true", "predicted", (CLOUD,), title="ViT", diagonal=True)
RUNS = Panel(
    "",
    "test R²",
    (Curve("", (0.0, 1.0), (0.5, 0.3), (0.01, 0.02), joined=False),),
    names=("C1D p16", "SW p16"),
    lines=(CEILING,),
)
PICTURE = Picture("Everything (demo)", (SCALING, PARITY, RUNS))


def test_fonts_are_embedded_and_the_same_picture_is_the_same_file(tmp_path: Path) -> None:
    pdf, png = write(PICTURE, tmp_path / "img" / "one")
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF")
    assert b"/FontFile2" in content
    assert b"/Type3" not in content
    assert not re.search(rb"/CreationDate", content)
    assert png.read_bytes().startswith(b"\x89PNG")
    again, _ = write(PICTURE, tmp_path / "two")
    assert again.read_bytes() == content
    assert sorted(path.name for path in (tmp_path / "img").iterdir()) == ["one.pdf", "one.png"]


def test_settings_that_lie_in_a_lab_are_not_taken(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("text.usetex: True")  # runs a program on their text
    code = (
        "from pathlib import Path; from vitlab.plot.figures.paper import write\n"
        "from vitlab.plot.figures.picture import Panel, Picture\n"
        "write(Picture('t', (Panel('x', 'y', ()),)), Path('one'))\n"
        "import matplotlib; print(matplotlib.rcParams['text.usetex'], Path('one.pdf').exists())"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "MPLBACKEND": "Qt4Agg"},  # which matplotlib no longer has
    )  # fmt: skip
    assert done.stdout == "False True\n", done.stderr


def test_a_time_of_the_environment_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for date in ("abc", "9" * 20):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", date)
        with pytest.raises(UsageError, match=f"SOURCE_DATE_EPOCH={date}, of the environment"):
            write(PICTURE, tmp_path / "one")
    assert not list(tmp_path.iterdir())


def test_the_terminal_shows_the_same_names_and_levels() -> None:
    text = draw_panels(PICTURE, 90, 14, color=False)
    for name in ("ViT 0.5000", "Ridge 0.3500", "Bayes ceiling 0.760", "C1D p16 0.5000", "y = x"):
        assert name in text
    assert "log10 training spectra" in text
    errors = ["ViT: ± 0.01 to 0.02", "Ridge: ± 0.01 to 0.02"]
    errors.append("C1D p16 +0.500 ± 0.010, SW p16 +0.30 ± 0.02")
    assert text.split("\n")[1 + 3 * 14 :] == errors
    assert "─" not in draw_panels(PICTURE, 90, 14, color=False, ascii=True)


def test_points_that_an_axis_cannot_show_are_counted(tmp_path: Path) -> None:
    nan, inf = float("nan"), float("inf")
    curve = Curve("ViT", (0.0, -1.0, 10.0, 100.0, 1e3), (0.1, 0.2, 0.3, nan, 0.5), (0.01,) * 5)
    log = Picture("", (Panel("S/N", "R²", (curve,), log_x=True),), ("± is a scatter",))
    shown = drawable(log)
    (kept,) = shown.panels[0].curves
    assert (kept.x, kept.y, kept.errors) == ((10.0, 1e3), (0.3, 0.5), (0.01, 0.01))
    note = "ViT: 3 of 5 points not shown (not finite or S/N ≤ 0)"
    assert shown.notes == ("± is a scatter", note)
    assert drawable(shown) == shown
    assert draw_panels(log, 90, 14, color=False).split("\n")[14:] == [*shown.notes, "ViT: ± 0.01"]
    plain = draw_panels(log, 90, 14, color=False, ascii=True)
    assert plain.endswith("ViT: 3 of 5 points not shown (not finite or S/N <= 0)\nViT: +- 0.01")
    none = replace(curve, x=(0.0, -1.0, 0.0, -2.0, -3.0))
    assert write(Picture("", (Panel("S/N", "R²", (none,), log_x=True),)), tmp_path / "none")
    two = shown, replace(shown, notes=())
    told, silent = (write(one, tmp_path / str(i))[1].read_bytes() for i, one in enumerate(two))
    assert told != silent

    # the axes of a parity plot end where the true labels end
    parity = Curve("MLP", (1.0, 2.0, 3.0, 4.0), (0.0, 2.0, 5.0, inf), joined=False)
    panel = Panel("true", "predicted", (parity,), diagonal=True)
    assert drawable(Picture("", (panel,))).notes == (
        "MLP: 1 of 4 points not shown (not finite)",
        "MLP: 2 of 3 points above or below the axes",
    )
    nothing = Picture("", (replace(panel, curves=(Curve("MLP", (nan,), (1.0,)),)),))
    assert drawable(nothing).notes == ("MLP: 1 of 1 points not shown (not finite)",)
    assert draw_panels(nothing, 90, 14, color=False).endswith("(not finite)")


def test_a_joined_curve_widens_the_axes_of_a_diagonal() -> None:
    above = Curve("ViT ensemble", (0.5, 0.95), (0.6, 0.99))
    panel = Panel("interval", "stars inside", (above,), diagonal=True)
    assert drawable(Picture("", (panel,))).notes == ()
    cloud = replace(panel, curves=(replace(above, joined=False),))
    assert drawable(Picture("", (cloud,))).notes == (
        "ViT ensemble: 1 of 2 points above or below the axes",
    )


EVIL = "\x1b]0;x\x07\x1b[2J\x9b31m\u202e\r$\\frac{1}{$ $x^"


def test_what_a_stranger_s_results_name_and_measure_is_drawn_or_counted(tmp_path: Path) -> None:
    """Formulas are not read, controls are left out, and nothing is larger than a page."""
    curve = Curve(EVIL, (0.0, 1.0), (1.0, 1e308), (1e308, 1.0))
    level = Line(1e300, "far")
    pictures = (
        Picture(EVIL, (Panel(EVIL, EVIL, (curve,), EVIL, (level, Line(2, EVIL))),), (EVIL,)),
        Picture(EVIL, (Panel(EVIL, EVIL, (curve,), EVIL, names=(EVIL, EVIL)),)),
        Picture("", (Panel("x", "y", (Curve("", tuple(range(200)), (1.0,) * 200),),
                           names=("n",) * 200),)),
        Picture("", (Panel("x", "y", tuple(replace(curve, name=f"{k}") for k in range(200))),)),
        Picture("x" * 10**6, (Panel("x" * 10**6, "y", (curve,)),), ("n",) * 9 + ("m" * 10**6,)),
        Picture("", (Panel("x", "y", (curve,), log_x=True, bins=(1, 1e300), top=((1e300, "far"),),
                           marks=((math.inf, "m"),), x_range=(1, 1e300),
                           y_range=(-math.inf, 1)),)),
    )  # fmt: skip
    for picture in pictures:
        _, png = write(picture, tmp_path / "a")
        size = struct.unpack(">II", png.read_bytes()[16:24])
        assert max(size) < 20_000
        text = draw_panels(picture, 80, 20, color=False)
        assert not set("\x1b\x07\x9b\u202e\r") & set(text)
        assert len(text) < 50_000
    notes = drawable(pictures[0]).notes
    assert any("1 of 2 points not shown (not finite or too large)" in note for note in notes)
    assert "far: not shown" in notes
    assert "140 of 200 names not shown" in drawable(pictures[2]).notes
    assert "140 of 200 curves not shown" in drawable(pictures[3]).notes
