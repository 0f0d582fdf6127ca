"""The spectrum viewer: which stars are shown, what its keys do, and what is missing is said."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.tui.conftest import Open, Stage
from tests.tui.fakes import FakeLab
from tests.tui.fakestars import MASKED, WAVE, FakeGraph, sheet, star_list
from tests.waiting import Threads, until
from vitlab.lab.inspector.star import Density, Misfit, Observed, Prediction, Share, Trace
from vitlab.tui.app import VitLab
from vitlab.tui.screens.spectrum import SpectrumScreen
from vitlab.tui.watch import pace
from vitlab.tui.widgets.spectrum_chart import density_words

RUN = "VIT-20251226-vit-1m-large-01/20251227-10000"
FIRST = f"{RUN}0-run-1"
SCORED = "VIT-20251226-vit-1m-large-01/20251226-120000-sweep"


async def opened(it: Stage) -> tuple[SpectrumScreen, FakeGraph]:
    """The stars of the first running job, from the jobs screen."""
    await it.press("2")
    it.app.front.select(FIRST)
    await it.press("5")
    screen = it.app.screen
    assert isinstance(screen, SpectrumScreen)
    await it.until(lambda: screen.chart.state.sheet is not None)
    await it.settle()
    return screen, it.lab.graphs[FIRST]


def number(screen: SpectrumScreen) -> int | None:
    sheet = screen.chart.state.sheet
    return None if sheet is None else sheet.number


def shows(screen: SpectrumScreen, star: int) -> bool:
    return number(screen) == star


def says(it: Stage, words: str) -> bool:
    return words in it.text()


async def test_the_worst_star_is_first_and_the_keys_lead_through_them(stage: Open) -> None:
    async with stage(size=(104, 30)) as it:
        screen, graph = await opened(it)
        for keys, star in (
            ((), 1),
            (("j",), 3),
            (("j",), 0),
            (("k",), 3),
            (("k", "k"), 1),  # no further than the first
            (("G",), 2),
            (("g",), 1),
            (("s",), 1),  # by number: stays at the star
            (("j",), 2),
            (("m",), 2),
            (("s",), 0),  # the worst of the other label
        ):
            await it.press(*keys)
            await it.until(partial(shows, screen, star))
        assert graph.asked[-1] == (0, "M_H")
        await it.press("P", "4", "enter")
        await it.until(lambda: number(screen) == 4)
        await it.press("P", "9", "enter")
        await it.until(lambda: it.toasts)
        assert "9: no star has this number" in it.toasts[-1]
        assert not graph.closed  # a dialog over it ends nothing


async def test_star_truth_models_and_lines_are_said(stage: Open) -> None:
    async with stage() as it:
        screen, _ = await opened(it)
        await it.until(lambda: "⠒" in it.text())
        text = it.text()
        assert "ViT 1.0 Run 1 [/b]: star 1 (1 of 5, worst first)" in text
        assert "star 1: log_g 2.000, M_H -1.000, mag 22.00, S/N 5.0" in text
        told = ("Ridge", "ViT 1.0 Run 1 [/b]  ")
        rows = [line for line in text.split("\n") if any(model in line for model in told)]
        assert "2.800" in rows[0]
        assert "0.210" in rows[0]
        assert "+0.800" in rows[0]
        assert "+1.000" in rows[1]
        assert "LightGBM" in text.partition("Ridge")[0]  # less wrong, so above
        for said in (
            "0.120 dex",
            "0.310 dex",
            "42%",
            "60.0%",
            "K I 7699",
            "Ca II 8542",
            "░ 1 sigma",
        ):
            assert said in text, said
        assert screen.selected_job() is not None
        assert screen.selected_job().paths.name == FIRST  # type: ignore[union-attr]


async def test_the_cursor_reads_pixels_and_goes_from_line_to_line(stage: Open) -> None:
    async with stage(size=(104, 30)) as it:
        screen, _ = await opened(it)

        def reading() -> str:
            return str(screen._reading.content)

        # It begins where the model looks most.
        assert reading().startswith("8542.00 A  ")
        assert "Ca II 8542 -0.1  model +0.02  best" in reading()
        await it.press("full_stop")
        assert "Ca II 8662" in reading()
        await it.press("comma", "comma")
        assert "Ca II 8498" in reading()
        wave = WAVE[screen.chart.pixel or 0]
        await it.press("h")
        left = WAVE[screen.chart.pixel or 0]
        assert left < wave
        await it.press("shift+right")
        assert WAVE[screen.chart.pixel or 0] > wave
        screen.chart.move_cursor(WAVE[MASKED])
        assert "no data" in reading()
        assert "S/N" not in reading()


async def test_the_window_narrows_about_the_cursor_and_follows_it(stage: Open) -> None:
    async with stage(size=(104, 30)) as it:
        screen, _ = await opened(it)
        await it.press("plus", "plus", "plus")
        low, high = screen.chart.state.look.window or (0, 0)
        assert high - low == pytest.approx((WAVE[-1] - WAVE[0]) / 8)
        assert low < 8542 < high
        await it.until(lambda: "Fe I 8468" in it.text())  # there is room for the weak ones
        screen.chart.move_cursor(7200)
        low, high = screen.chart.state.look.window or (0, 0)
        assert low <= 7200 <= high
        await it.press(*["plus"] * 12)
        low, high = screen.chart.state.look.window or (0, 0)
        assert high - low > 5 * (WAVE[1] - WAVE[0])
        await it.press("minus", "0")
        assert screen.chart.state.look.window is None


async def test_below_stand_shape_response_or_attention(stage: Open) -> None:
    async with stage(size=(104, 30)) as it:
        screen, _ = await opened(it)
        for kind, said in (
            ("response", "in its own unit"),
            ("attention", "attention rollout"),
            ("shape", "each normalised"),
        ):
            await it.press("v")
            assert screen.chart.state.lower == kind
            await it.until(partial(says, it, said))


async def test_without_a_checkpoint_spectrum_and_predictions_are_there(stage: Open) -> None:
    note = "the model is not explained: no such [/b] file"
    graph = FakeGraph(
        star_list(notes=(note,), predicted={}),
        more={"response": None, "attention": None, "scatter": None, "agreement": None},
    )
    async with stage(lab=FakeLab(graphs={FIRST: graph})) as it:
        screen, _ = await opened(it)
        await it.until(lambda: "no model to inspect" in it.text())
        assert number(screen) == 0  # nothing kept to sort by
        text = " ".join(it.text().split())
        assert "is not explained" in text
        assert "LightGBM 2.0" in text
        assert "0.310 dex" in text
        await it.press("v", "v")
        assert screen.chart.state.lower == "shape"


async def test_what_is_wrong_is_one_line_and_the_next_job_is_not_harmed(stage: Open) -> None:
    graph = FakeGraph(error="x/y: recipe ceiling [/b] has no test stars")
    graph.opening.clear()
    async with stage(lab=FakeLab(graphs={FIRST: graph})) as it:
        await it.press("2")
        it.app.front.select(FIRST)
        await it.press("5")
        await it.until(lambda: "reading the checkpoint ..." in it.text())
        graph.opening.set()
        await it.until(lambda: "recipe ceiling [/b] has no test stars" in it.text())
        await it.press("j", "s", "v", "m", "full_stop", "l", "plus", "G")
        assert "has no test stars" in it.text()
        screen = it.app.screen
        assert isinstance(screen, SpectrumScreen)
        screen.select(SCORED)
        await it.until(lambda: number(screen) == 1)
        assert graph.closed
        assert not it.lab.graphs[SCORED].closed


async def test_many_keys_ask_for_the_last_star_alone_and_leaving_ends_the_process(
    stage: Open,
) -> None:
    async with stage(size=(104, 30)) as it:
        screen, graph = await opened(it)
        graph.gate.clear()
        asked = len(graph.asked)
        await it.press("j")
        await it.until(lambda: len(graph.asked) == asked + 1)
        await it.press("j", "j", "j")
        graph.gate.set()
        await it.until(lambda: number(screen) == 2)
        assert [star for star, _ in graph.asked[asked:]] == [3, 2]
        await it.press("escape")
        await it.until(lambda: graph.closed)


async def test_without_a_job_the_newest_scored_one_is_shown(stage: Open) -> None:
    async with stage(size=(80, 24)) as it:
        it.app.navigation.show_screen("spectrum")
        await it.until(lambda: SCORED in it.lab.graphs)
        screen = it.app.screen
        assert isinstance(screen, SpectrumScreen)
        await it.until(lambda: "Ca II 8542" in it.text() and "gradient" in it.text())
        lines = it.text().split("\n")
        assert len(lines) == 24
        assert any("LightGBM" in line for line in lines)


async def test_in_ascii_nothing_else_is_drawn(stage: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITLAB_ASCII", "1")
    async with stage(size=(100, 30)) as it:
        screen, _ = await opened(it)
        await it.until(lambda: "gradient" in str(screen.chart.content))
        await it.settle()
        assert str(screen.chart.content).isascii()
        assert str(screen._reading.content).isascii()


async def test_no_text_of_a_job_reaches_the_terminal_as_it_is(stage: Open) -> None:
    nasty = "[/x] \x1b[31m \u202e \u200b 专家\n[@click=app.quit]"
    graph = FakeGraph(
        star_list(model=nasty, notes=(nasty,)),
        more={
            "guesses": (Prediction(nasty, nasty, {"log_g": 1.0, "M_H": 0.0}),),
            "response": Trace(nasty, nasty, (0.1,) * len(WAVE)),
            "shares": (Share(nasty, 0.5, None),),
            "notes": (nasty,),
        },
    )
    async with stage(lab=FakeLab(graphs={FIRST: graph})) as it:
        screen, _ = await opened(it)
        await it.until(lambda: "[/x]" in str(screen.chart.content))
        await it.settle()
        for strip in screen._compositor.render_strips():
            text = "".join(segment.text for segment in strip)
            assert strip.cell_length == 160
            assert not [c for c in text if unicodedata.category(c) in ("Cc", "Cf")]
        assert it.text().count("[@click=app.quit]") >= 3


def test_picture(
    snap_compare: Callable[..., bool], monkeypatch: pytest.MonkeyPatch, threads: Threads
) -> None:
    monkeypatch.setattr(pace, "LOOK", 3600.0)
    monkeypatch.setattr(SpectrumScreen, "seconds_since_read", 0.0)  # however busy the machine is
    lab: Any = FakeLab()
    app = VitLab(lab, lab.roadmap)

    async def ready(pilot: Pilot[int]) -> None:
        await until(lambda: app.home.view is not None and app.home.selected_job(), pilot.pause)
        await pilot.press("5")  # from home, the job selected there
        screen = app.screen
        assert isinstance(screen, SpectrumScreen)
        await until(lambda: "gradient" in str(screen.chart.content), pilot.pause)
        await threads.at_rest(app)

    assert snap_compare(app, terminal_size=(160, 45), run_before=ready)


@pytest.mark.parametrize("plain", [False, True])
def test_a_predicted_density_is_drawn_over_the_exact_one(plain: bool) -> None:
    values = tuple(1 + 0.05 * i for i in range(81))
    peaks = {"model": 3.0, "exact": 4.0}
    both = [
        Density(
            kind, values, tuple(math.exp(-8 * (x - at) ** 2) for x in values), at - 0.25, at + 0.25
        )
        for kind, at in peaks.items()
    ]
    star = sheet(0, "log_g", densities=tuple(both))
    lines = density_words(star, "dim", plain=plain).plain.split("\n")
    full = "@" if plain else "█"
    assert lines[0].startswith("model ")
    assert (lines[0].index(full), lines[2].index(full)) == (6 + 13, 6 + 20)
    assert lines[1].strip() == "68% 2.750 to 3.250"
    assert lines[3].strip() == "68% 3.750 to 4.250"
    assert lines[4].strip() == "1.000 ... 5.000"
    assert density_words(sheet(0, "log_g"), "dim", plain=plain).plain == ""


def observed_graph(**more: Any) -> FakeGraph:
    """A list of five observed stars, of which log g is known alone, by two models."""
    names = ("Sun", "HD 1 [/b]", "galaxy", "HD 3", "HD 4")
    residual = Trace("observed - nearest of the grid", "sigma", (1.5,) * len(WAVE))
    shape: dict[str, Any] = {
        "file": "/data/hd1.fits",
        "where": "HDU 1",
        "object": "HD 1 [/b]",
        "survey": "SDSS spec",
        "kind": "star",
        "velocity": -26.2,
        "velocity_error": 1.7,
        "share": 0.69,
        "left_out": {"bands of the Earth's air": 0.31},
        "unlike": True,
        "nearest": {"T_eff": 4875.0, "log_g": 1.5},
        "chi2": 1.75,
        "highest": 1.07,
        "residual": residual,
        "misfits": (Misfit("Ca II 8542", -0.041, 0.003),),
        "known_errors": {"log_g": 0.1, "M_H": None},
        "known_from": "stars.csv",
    }
    said = {"log_g": 2.2, "M_H": -1.3}
    return FakeGraph(
        star_list(names=names, predicted={}, mag=(math.nan,) * 5),
        more={
            "true": {"log_g": 1.3, "M_H": math.nan},
            "mag": math.nan,
            "best": None,
            "bound": None,
            "observed": Observed(**{**shape, **more}),
            "guesses": (
                Prediction("some/job", "ViT 9.0", said, {"log_g": 0.5, "M_H": 0.2}, "its [/b]"),
            ),
        },
    )


async def test_observed_stars_are_opened_by_their_file_and_shown_alike(
    stage: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = tmp_path / "stars.csv"
    table.write_text("file,log_g")
    async with stage(lab=FakeLab(graphs={str(table): observed_graph()})) as it:
        screen, tests = await opened(it)
        await it.press("O")
        await it.type("none.fits")
        await it.press("enter")
        await it.until(lambda: it.toasts)
        assert "none.fits: no such file" in it.toasts[-1]
        assert number(screen) == 1  # as before
        await it.press("O")
        await it.type("st")
        await it.until(lambda: "stars.csv" in it.text())  # as it may go on
        await it.press("right", "enter")
        await it.until(lambda: "Sun (1 of 5)" in it.text())
        graph = it.lab.graphs[str(table)]
        assert tests.closed
        await it.press("P")
        await it.type("hd 1")
        await it.press("enter")
        await it.until(lambda: number(screen) == 1)
        await it.until(lambda: "observed - nearest of the grid" in it.text())
        text = " ".join(it.text().split())
        for said in (
            "ViT 1.0 Run 1 [/b]: HD 1 [/b] (2 of 5)",
            "observed - grid, in errors",
            "HD 1 [/b]: UNLIKE, log_g 1.300",
        ):
            assert said in text, said
        words = " ".join(str(screen._star_pane._words.content).split())
        for said in (
            "HD 1 [/b] (hd1.fits, HDU 1), SDSS spec",
            "UNLIKE what the model was trained on",
            "chi2 1.75 a pixel",
            "-26.2 ± 1.7 km/s",
            "ViT 9.0: its [/b]",
            "known 1.30 ± 0.10 z +1.8",
            "-4.1 ± 0.3",
        ):
            assert said in words, said
        assert "residual +1.5" in str(screen._reading.content)
        await it.press("v")
        await it.until(lambda: "gradient" in str(screen.chart.content))
        await it.press("O", *["backspace"] * len(str(table)), "enter")
        await it.until(lambda: "worst first" in it.text())  # the test stars again
        assert graph.closed


async def test_no_text_of_an_observed_star_reaches_the_terminal_as_it_is(
    stage: Open, tmp_path: Path
) -> None:
    nasty = "[/x] \x1b[31m \u202e \u200b\n[@click=app.quit]"
    file = tmp_path / "star.fits"
    file.touch()
    known = {"log_g": None, nasty: None}
    more = {"object": nasty, "survey": nasty, "kind": nasty, "file": nasty, "known_from": nasty}
    graph = observed_graph(known_errors=known, left_out={nasty: 0.5}, **more)
    graph.stars = star_list(names=(nasty,) * 5, predicted={}, notes=(nasty,))
    async with stage(lab=FakeLab(graphs={str(file): graph})) as it:
        screen, _ = await opened(it)
        await it.press("O")
        await it.type(str(file))
        await it.press("enter")
        await it.until(lambda: "[/x]" in it.text() and "SDSS" not in it.text())
        await it.settle()
        for strip in screen._compositor.render_strips():
            text = "".join(segment.text for segment in strip)
            assert not [c for c in text if unicodedata.category(c) in ("Cc", "Cf")]
        assert it.text().count("[@click=app.quit]") >= 2
