"""Home: the plan as table and board, the MVP beside it, what runs, what is old."""

from __future__ import annotations

from tests.tui.conftest import Open
from tests.tui.fakes import FakeDesk, mvp, usual_view
from vitlab.plot.cells import cells
from vitlab.tui.screens.log import LogScreen
from vitlab.tui.screens.mvp import MvpScreen
from vitlab.tui.widgets.board import arranged


async def test_t_turns_the_plan_into_a_board_and_back(stage: Open) -> None:
    async with stage(size=(80, 24)) as it:

        def chosen() -> str:
            found = it.app.home.selected_mvp()
            assert found is not None
            return str(found.id)

        await it.press("j", "j", "t")
        assert it.focus == "board"
        text = it.text()
        for head in ("4 planned", "0 ready", "1 running", "1 analysing", "1 done", "1 failed"):
            assert head in text
        assert {cells(line) for line in text.split("\n")} == {80}
        assert chosen() == "2.0"
        await it.press("j")
        assert chosen() == "3.0"
        await it.press("l")
        assert chosen() == "1.0"
        await it.press("l", "l", "l", "l")
        assert chosen() == "6.0"
        assert "✗ 6.0" in it.text()
        await it.press("h", "t")
        assert (it.focus, chosen()) == ("plan", "1.1")
        await it.press("t", "b", "escape")
        assert it.focus == "board"
        await it.press("tab", "shift+tab")
        assert it.focus == "board"


async def test_the_board_scrolls_filters_jumps_and_opens(stage: Open) -> None:
    view = usual_view()
    view.roadmap.mvps = tuple(mvp(f"{i}.0", f"名称 {i} [/b]", status="planned") for i in range(30))
    async with stage(size=(80, 24), desk=FakeDesk(view=view)) as it:
        await it.press("t", "G")
        assert "29.0" in it.text()
        assert "30 planned" in it.text()
        await it.press("g")
        assert "29.0" not in it.text()
        await it.press("number_sign", *"17.0", "enter")
        await it.until(lambda: "17.0" in it.text() and it.at_home)
        await it.press("slash", *"名称", "space", "9", "enter")
        await it.until(lambda: "3 planned" in it.text())
        await it.press("enter")
        assert isinstance(it.app.screen, MvpScreen)
        await it.press("escape")
        assert await it.pilot.click("#board", offset=(3, 3))
        await it.press("enter")
        await it.until(lambda: "MVP 19.0" in it.text())


def test_every_mvp_has_one_card_at_any_width() -> None:
    words = ("planned", "paused", None, "ready", "running", "analysing", "done", "partial")
    mvps = [mvp(str(i), "x", status=word) for i, word in enumerate((*words, "failed", "cancelled"))]
    for width in (1, 40, 76, 200):
        columns = arranged(mvps, width)
        assert sorted(int(card.id) for column in columns for card in column.cards) == list(
            range(10)
        )
        if width >= 76:
            assert sum(column.width for column in columns) <= width
    assert columns[-1].title == "2 failed|cancelled"


async def test_a_wide_terminal_has_the_mvp_beside_the_plan(stage: Open) -> None:
    async with stage(size=(160, 45)) as it:
        await it.until(lambda: "experiments/1.0.yaml (smoke, demo, full)" in it.text())
        text = it.text()
        for said in (
            "目标        验证 ViT",
            "验收        R²_test > 0.70",
            "> running  Run 1 (demo)  R² 0.713 so far  112k/200k",
            "✗ oom      Run 0 (demo)",
        ):
            assert said in text
        await it.press("j")
        await it.until(lambda: "MVP 1.1  ViT Sweep Analysis" in it.text())
        await it.until(lambda: "R² 0.691 ± 0.020" in it.text())
        for said in ("no file in experiments/", "R² = 0.69 ± 0.02 [[hub|x]]", "exp_sweep.md"):
            assert said in it.text()
        await it.pilot.resize_terminal(140, 45)
        await it.settle()
        assert "the selected MVP" not in it.text()


async def test_enter_shows_all_of_the_mvp_on_a_small_terminal(stage: Open) -> None:
    async with stage(size=(80, 24)) as it:
        await it.press("j", "enter")
        assert isinstance(it.app.screen, MvpScreen)
        await it.until(lambda: "R² 0.691 ± 0.020" in it.text())
        it.desk.error = "roadmaps/vit_roadmap.md: is gone"
        await it.until(lambda: "! roadmaps/vit_roadmap.md: is gone" in it.text())
        it.desk.error = None
        await it.press("escape", "g", "enter", "L")
        await it.until(lambda: ("plan", "1.0", "demo") in it.desk.asked)


async def test_enter_on_a_job_shows_its_log(stage: Open) -> None:
    async with stage() as it:
        await it.press("3", "enter")
        assert isinstance(it.app.screen, LogScreen)
