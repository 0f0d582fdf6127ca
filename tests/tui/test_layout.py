"""The screen at the sizes terminals have."""

from __future__ import annotations

import pytest
from textual.geometry import Region, Size
from textual.widgets import Static
from textual.widgets._toast import Toast

from tests.tui.conftest import Open
from tests.tui.fakes import FakeLab, gate, job, usual_view
from vitlab.contract.job import Lost
from vitlab.plot.series import cells
from vitlab.tui.widgets.curves_chart import LiveChart
from vitlab.tui.widgets.plan_pane import MvpTable


@pytest.mark.parametrize("size", [(160, 45), (200, 60), (120, 32)])
async def test_a_roomy_terminal_shows_everything_at_once(
    stage: Open, size: tuple[int, int]
) -> None:
    async with stage(size=size) as it:
        chart = it.app.home.query_one(LiveChart)
        await it.until(lambda: "1.0 Run 1 0.7200" in str(chart.content))
        await it.settle()
        text = it.text()
        for word in ("1 plan", "2 gates", "3 jobs", "4 curve", "5 log", "Gate-1 at 0.7"):
            assert word in text
        assert "1/8 done" in text
        assert "next 2.0 LightGBM" in text
        assert "w writes 1" in text
        assert "47m left" in text


@pytest.mark.parametrize("size", [(80, 24), (100, 40), (160, 24)])
async def test_a_small_terminal_shows_a_page_at_a_time(stage: Open, size: tuple[int, int]) -> None:
    async with stage(size=size) as it:
        text = it.text()
        assert "Gate-1" in text
        assert "State" not in text
        for word in ("1.0", "> running", "- planned, next", "✓ done", "✗ failed"):
            assert word in text
        assert "q quit" in text
        await it.press("3")
        text = it.text()
        assert "✗ oom" in text
        assert "epoch 39" in text
        await it.press("4")
        chart = it.app.home.query_one(LiveChart)
        await it.until(lambda: "1.0 Run 1 0.7200" in str(chart.content))
        assert "1 plan" in it.text()


async def test_no_line_is_wider_than_the_terminal_and_pictures_fit(stage: Open) -> None:
    async with stage(size=(80, 24)) as it:
        for pane in "1345":
            await it.press(pane)
            assert {cells(line) for line in it.text().split("\n")} == {80}


async def test_resizing_keeps_the_focus_and_turns_pages(stage: Open) -> None:
    async with stage(size=(160, 45)) as it:
        await it.press("3")
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
        assert "> running" in it.text()


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
        await it.until(lambda: "Run 1" in str(it.app.home.chart.content))
        await it.settle()
        drawn: list[str] = []
        monkeypatch.setattr(MvpTable, "refresh", lambda *_, **__: drawn.append("refresh"))
        monkeypatch.setattr(Static, "update", lambda *_: drawn.append("update"))
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
        await it.press("3")
        assert "1.0 a job's n" in it.text()
        await it.pilot.resize_terminal(100, 30)
        await it.settle()
        assert "room there is(d)" in it.text()  # cut in its middle
        await it.press("2")
        assert "word " * 16 in it.text()


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_a_toast_covers_no_keys_of_a_dialog(stage: Open, size: tuple[int, int]) -> None:
    async with stage(size=size) as it:
        await it.press("L")
        dialog = it.app.screen.query_one(".dialog").region
        keys = Region(dialog.x, dialog.bottom - 4, dialog.width, 4)
        for number in range(2):
            it.app.notify(f"note {number} " + 60 * "x", timeout=60)
        await it.until(lambda: len(it.app.screen.query(Toast)) == 2)
        for toast in it.app.screen.query(Toast):
            assert toast.region.y >= 0
            assert not toast.region.overlaps(keys)
