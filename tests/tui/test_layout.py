"""The screen at the sizes terminals have."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import ClassVar

import pytest
from rich.text import Text
from textual.app import App
from textual.events import Resize
from textual.geometry import Region, Size
from textual.widgets import Static

from tests.tui.conftest import Open, Stage
from tests.tui.fakes import FakeLab, gate, job, usual_view
from vitlab.contract.job import Lost
from vitlab.plot.series import cells
from vitlab.tui.screens.base import LabScreen
from vitlab.tui.screens.roadmap import PANES
from vitlab.tui.widgets.plan_pane import MvpTable
from vitlab.tui.widgets.table import StableTable


def shows(it: Stage, word: str) -> bool:
    return word in it.text()


@pytest.mark.parametrize("size", [(160, 45), (200, 60), (120, 32)])
async def test_a_roomy_terminal_shows_everything_at_once(
    stage: Open, size: tuple[int, int]
) -> None:
    async with stage(size=size) as it:
        home = it.app.home
        await it.until(lambda: "1.0 Run 1 0.7200" in str(home.beside.chart.content))
        await it.settle()
        text = it.text()
        for word in ("Name", "jobs  5", "log │ specification │ gates │ changes", "Gate-1 at 0.7"):
            assert word in text
        assert "1/8 done  2 running  1 queued" in text
        assert "next 2.0 LightGBM" in text
        assert "1 result to write: w" in text
        assert "1.0 > ───── warn ViT 1M Scaling" in text
        assert home.plan_pane.outer_size.width == size[0] * 2 // 5
        assert home.beside.curve_pane.size.height > home.beside.tabs.size.height
        # Nothing is half empty: below a short plan stands more of the selection.
        left = (home.plan_pane, home.jobs_pane, *home.beside.more)
        shown = [pane for pane in left if pane.display]
        assert shown[0].size.height <= home.plan.row_count + 3 or size[1] < 40
        assert sum(pane.outer_size.height for pane in shown) == size[1] - 3


@pytest.mark.parametrize("size", [(80, 24), (100, 40)])
async def test_a_small_terminal_has_plan_chart_and_log(stage: Open, size: tuple[int, int]) -> None:
    async with stage(size=size) as it:
        home = it.app.home
        text = it.text()
        for word in ("1.0", "> ───── warn", "- next", "✓ done", "~ analysing", "epoch 39"):
            assert word in text
        assert "q quit" in text or "q:quit" in text
        assert "State" not in text
        if size == (80, 24):
            heights = [home.plan_pane, home.beside.curve_pane, home.beside.tabs]
            assert [pane.outer_size.height for pane in heights] == [8, 8, 5]
            assert home.beside.log_view.size.height == 4
        await it.until(lambda: "1.0 Run 1 0.7200" in str(home.beside.chart.content))
        await it.press("tab")  # the jobs, in the plan's place
        assert "State" in it.text()
        assert "✗ oom" in it.text()
        await it.press("tab")  # the chart, in the log's place too
        assert "Name" in it.text()
        assert "epoch 39" not in it.text()
        await it.until(lambda: "1.0 Run 1 0.7200" in str(home.beside.chart.content))
        await it.press("tab")  # the log, in the chart's
        assert "Gate-1 at" not in it.text()
        await it.until(lambda: "epoch 30" in it.text())
        for word in ("目标", "demo says 0.713", "nothing to write"):
            await it.press("tab")
            await it.until(partial(shows, it, word))
        await it.press("tab")
        assert it.focus == "plan"


async def test_no_line_is_wider_than_the_terminal_and_pictures_fit(stage: Open) -> None:
    async with stage(size=(80, 24)) as it:
        for _ in PANES:
            await it.press("tab")
            assert {cells(line) for line in it.text().split("\n")} == {80}


async def test_resizing_keeps_the_focus_and_turns_pages(stage: Open) -> None:
    async with stage(size=(160, 45)) as it:
        await it.press("tab")
        await it.pilot.resize_terminal(80, 24)
        await it.settle()
        assert it.focus == "jobs"
        assert "Name" not in it.text()
        await it.pilot.resize_terminal(160, 45)
        await it.settle()
        assert "Name" in it.text()
        assert it.app.home.size == Size(160, 45)


async def test_tiny_terminals_do_not_break(stage: Open) -> None:
    async with stage(size=(80, 24)) as it:
        for size in ((20, 5), (1, 1), (40, 10), (300, 8), (80, 24)):
            await it.pilot.resize_terminal(*size)
            await it.settle()
        assert "> ───── warn" in it.text()


async def test_an_empty_lab_says_what_is_missing(stage: Open) -> None:
    view = usual_view(
        roadmap=None, jobs=(), verdicts={}, next=None, pending=0,
        problems=("roadmaps/x.md: no table with MVP and Status",),
    )  # fmt: skip
    async with stage(lab=FakeLab(view=view)) as it:
        text = it.text()
        assert "no roadmap" in text
        assert "idle" in text
        assert "! roadmaps/x.md: no table with MVP and Status" in text
        for key in ("n", "L", "x"):
            await it.press(key)
        assert len(it.toasts) == 3


async def test_the_cursor_stays_on_its_mvp_when_rows_come_and_statuses_change(stage: Open) -> None:
    async with stage() as it:
        await it.press("j", "j", "j")
        plan = it.app.home.plan
        assert plan.selected == "3.0"
        view = usual_view()
        view.roadmap.mvps[0].status = "done"
        it.lab.view = view
        await it.press("r")
        await it.until(lambda: "2/8 done" in it.text())
        assert plan.selected == "3.0"
        view = usual_view()
        view.roadmap.mvps = view.roadmap.mvps[2:]
        it.lab.view = view
        await it.press("r")
        await it.until(lambda: plan.row_count == 6)
        assert plan.selected == "3.0"


async def test_an_unchanged_lab_draws_nothing_anew(
    stage: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage() as it:
        await it.until(lambda: "Run 1" in str(it.app.home.beside.chart.content))
        await it.settle()
        drawn: list[str] = []
        monkeypatch.setattr(MvpTable, "refresh", lambda *_, **__: drawn.append("refresh"))
        monkeypatch.setattr(Static, "update", lambda *_, **__: drawn.append("update"))
        monkeypatch.setattr(LabScreen, "seconds_since_read", 0.0)  # however busy the machine is
        it.app.home.show(it.lab.view)
        assert not drawn


async def test_a_page_turned_to_fills_its_width_at_once(stage: Open) -> None:
    view = usual_view()
    name = "a job's name so long that it needs all the room there is"
    view.jobs = (job("20251227-100000-x", name, Lost(0)),)
    view.roadmap.gates = (gate("1", "t", ("word " * 40, "then")),)
    view.verdicts = {}
    async with stage(size=(80, 24), lab=FakeLab(view=view)) as it:
        it.app.watcher.stop()
        await it.press("tab")
        assert "1.0 a job's n" in it.text()
        await it.pilot.resize_terminal(100, 30)
        await it.settle()
        assert "room there is(d)" in it.text()  # cut in its middle
        it.app.home.go("gates")
        await it.settle()
        assert "word " * 16 in it.text()


async def test_a_table_is_drawn_in_columns_that_fit_before_it_is_told_its_size() -> None:
    """Else it is drawn twice: on a slow line the first picture is half of the bytes."""

    class Names(StableTable):
        COLUMNS: ClassVar = {"One": 40, "Two": 40}
        NARROW: ClassVar = {"One": 7, "Two": 7}

        def on_resize(self, event: Resize) -> None:  # type: ignore[override]
            event.prevent_default()

    class Shown(App[None]):
        def compose(self) -> Iterator[Names]:
            table = Names("names")
            table.show_rows({"a": (Text("first"), Text("second"))})
            yield table

    app = Shown()
    async with app.run_test(size=(30, 5)):
        table = app.query_one(Names)
        lines = [strip.text for strip in table.render_lines(Region(0, 0, *table.size))]
    assert lines[1].split() == ["first", "second"]
