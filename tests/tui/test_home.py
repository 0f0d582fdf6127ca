"""Home: the plan as table and board, the MVP beside it, what runs, what is old."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tui.conftest import Open
from tests.tui.fakes import ROADMAP, FakeLab, job, mvp, usual_view
from tests.tui.test_screens import line
from vitlab.contract.job import Done, Running
from vitlab.jobs.gpus import Device
from vitlab.lab.progress import Progress, Sample, Samples
from vitlab.plot.series import cells
from vitlab.tui import text
from vitlab.tui.screens.log import LogScreen
from vitlab.tui.screens.roadmap import MvpScreen
from vitlab.tui.text import (
    BARS,
    age,
    change_of,
    now,
    short_duration,
    silence,
    ticks,
    time_of,
    trend_of,
)
from vitlab.tui.widgets.jobs_pane import DeviceLine
from vitlab.tui.widgets.plan_pane import arranged


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
    async with stage(size=(80, 24), lab=FakeLab(view=view)) as it:
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
            "> running  R² 0.713 so far   Run 1 (demo)  112k/200k",
            "✗ oom                        Run 0 (demo)",
        ):
            assert said in text
        await it.press("j")
        await it.until(lambda: "MVP 1.1  ViT Sweep Analysis" in it.text())
        await it.until(lambda: "R² 0.691 ± 0.020" in it.text())
        for said in ("none in experiments/", "R² = 0.69 ± 0.02 [[hub|x]]", "exp_sweep.md"):
            assert said in it.text()
        await it.pilot.resize_terminal(140, 45)
        await it.settle()
        assert "the selected MVP" not in it.text()


async def test_enter_shows_all_of_the_mvp_on_a_small_terminal(stage: Open) -> None:
    async with stage(size=(80, 24)) as it:
        await it.press("j", "enter")
        assert isinstance(it.app.screen, MvpScreen)
        await it.until(lambda: "R² 0.691 ± 0.020" in it.text())
        it.lab.error = "roadmaps/vit_roadmap.md: is gone"
        await it.until(lambda: "! roadmaps/vit_roadmap.md: is gone" in it.text())
        it.lab.error = None
        await it.press("escape", "g", "enter", "L")
        await it.until(lambda: ("plan", "1.0", "demo") in it.lab.asked)


async def test_enter_on_a_job_shows_its_log(stage: Open) -> None:
    async with stage() as it:
        await it.press("3", "enter")
        assert isinstance(it.app.screen, LogScreen)


def followed(*scores: float | None, last: float = 1000.0, **more: Any) -> Any:
    samples = Samples().extended(Sample(i, None, 0.0, score) for i, score in enumerate(scores))
    progress = Progress(curves={"val/r2/log_g": samples}, last=last)
    return job("run", "Run 1", Running(0, 1, "cpu"), progress=progress, **more)


def test_a_trend_shows_the_rise_and_not_the_noise() -> None:
    rising = trend_of(followed(-20.0, -3.0, 0.2, 0.5, 0.7))
    assert rising[:2] == BARS[0] * 2
    assert rising[2] not in (BARS[0], BARS[-1])
    assert rising[-1] == BARS[-1]
    assert trend_of(followed(-20.0, -3.0)) == BARS[0] + BARS[-1]
    assert set(trend_of(followed(0.7131, 0.7132, 0.7131))) <= set(BARS[-2:])
    assert trend_of(followed(0.5)) == ""
    assert trend_of(followed(0.5, 0.7), plain=True) == "up"


@pytest.mark.parametrize(
    ("scores", "said"),
    [((0.5,), ""), ((0.7, 0.712), "+.012"), ((0.7, 0.68), "-.020"), ((0.7, 0.7001), "+0"),
     ((-20.0, -3.0), "+17.0"), ((0.5, None, 0.6), "+.100"), ((-500.0, 0.1), "+99")],
)  # fmt: skip
def test_the_last_change_is_a_number(scores: tuple[float | None, ...], said: str) -> None:
    assert change_of(followed(*scores)) == said


async def test_home_says_the_change_beside_the_value_at_any_size(stage: Open) -> None:
    view = usual_view()
    view.jobs = (
        followed(0.7, 0.712, values={"val/r2/log_g": 0.712}, step=5, of=9, eta=2820.0,
                 health="bad: loss is not finite", last=now() + 1e6),
    )  # fmt: skip
    for width, height in ((80, 24), (200, 60)):
        async with stage(size=(width, height), lab=FakeLab(view=view)) as it:
            text = it.text()
            assert "> 1.0 Run 1 (demo) bad: loss is not finite 5/9" in text
            assert "! 1 unhealthy: b shows why" in text
            await it.press("3")
            await it.until(lambda: "0.712 +.012" in it.text().split("\n", 5)[5])
            text = it.text()
            assert (BARS[-1] in text) == (width == 200)
            assert "47m left" in text
            assert "> bad" in text
    view.jobs[0].health = "ok"
    async with stage(size=(80, 24), lab=FakeLab(view=view)) as it:
        assert "> 1.0 Run 1 (demo) 5/9 R² 0.712 (+.012) 47m left" in it.text()


async def test_what_was_read_long_ago_says_so(stage: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    view = usual_view()
    view.jobs = (followed(0.7, 0.71, last=1000.0, values={"val/r2/log_g": 0.71}, eta=60.0),)
    monkeypatch.setattr(text, "now", lambda: 1001.0)
    async with stage(size=(80, 24), lab=FakeLab(view=view)) as it:
        assert "read" not in it.text().split("\n")[0]
        assert "1m00s left" in it.text()
        it.app.watcher.stop()
        at = it.app.watcher.read_at
        monkeypatch.setattr(text, "ticks", lambda: at + 12.5)
        await it.until(lambda: "! last read 12 s ago" in it.text())
        await it.press("b")
        await it.until(lambda: "! last read 12 s ago" in it.text())
        await it.press("escape")
        monkeypatch.setattr(text, "now", lambda: 1190.0)
        it.app.home.show(view)
        await it.settle()
        assert "silent for 3 min" in it.text()
        await it.press("3")
        assert "silent 3m" in it.text()
        assert "left" not in it.text().split("\n")[6]


async def test_a_look_that_fails_leaves_the_age(
    stage: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage(size=(80, 24)) as it:

        def gone(*_: Any, **__: Any) -> Any:
            raise OSError("the disk is gone")

        monkeypatch.setattr(it.lab, "read", gone)
        await it.press("r")
        await it.until(lambda: "the disk is gone" in "".join(it.toasts))
        at = it.app.watcher.read_at
        monkeypatch.setattr(text, "ticks", lambda: at + 200)
        await it.until(lambda: "! read 3 min ago" in it.text())


def test_only_a_running_job_falls_silent() -> None:
    ended = job("run", "Run 1", Done(0, 9, "ok", 0), progress=Progress(last=1.0))
    assert silence(ended) == 0
    assert silence(job("run", "Run 1", Running(0, 1, "cpu"))) == 0
    assert silence(followed(last=now() - 100)) == pytest.approx(100, abs=1)
    assert time_of(followed(last=now(), eta=2820.0)) == "47m left"


def test_ages() -> None:
    assert [age(s) for s in (-1, 12.9, 60, 7300, 90_000)] == ["0 s", "12 s", "1 min", "2 h", "1 d"]
    assert [short_duration(s) for s in (None, 42, 190, 2820, 7500)] == [
        "",
        "42s",
        "3m10s",
        "47m",
        "2h05m",
    ]


def gpu(index: int) -> Device:
    return Device(index, f"GPU-{index}", "A100", 80 << 30, 60 << 30, utilisation=61, temperature=54)


async def test_the_gpus_are_told_and_their_silence_too(
    stage: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vitlab.tui.widgets.jobs_pane.ASK", 0.1)
    async with stage(size=(80, 24), lab=FakeLab(gpus=(gpu(0), gpu(1)))) as it:
        await it.press("3")
        await it.until(lambda: "3 jobs  gpu0 61% 21/86 GB 54C  gpu1 61% 21/86 GB 54C" in it.text())
    told = DeviceLine()
    told.update([gpu(0)])
    at = ticks()
    monkeypatch.setattr(text, "ticks", lambda: at + 90)
    told.update([])
    assert str(told) == "gpu0 61% 21/86 GB 54C  (read 1 min ago)"
    assert str(DeviceLine()) == ""


def ten_roadmaps() -> tuple[Any, ...]:
    shown = line(ROADMAP.rpartition("/")[2], findings=2)
    rest = [line(f"topic{i}_roadmap.md", done=i, mvps=9, running=i % 2) for i in range(1, 9)]
    return (shown, *rest, line("broken_roadmap.md", problem="no table"))


async def test_home_says_where_the_other_roadmaps_stand(stage: Open) -> None:
    lab = FakeLab(lines_of_roadmaps=ten_roadmaps())
    async with stage(size=(80, 24), lab=lab) as it:
        await it.until(lambda: "others  topic1 1/9 >1  topic2 2/9" in it.text())
        assert "o 1 of 10" in it.text()
        assert " more " in it.text().split("\n")[3]
        assert {cells(row) for row in it.text().split("\n")} == {80}
        await it.pilot.resize_terminal(200, 60)
        await it.until(lambda: "topic8 8/9  broken !" in it.text())


async def test_any_size_shows_content_without_a_glitch(stage: Open) -> None:
    lab = FakeLab(lines_of_roadmaps=ten_roadmaps())
    async with stage(size=(80, 24), lab=lab) as it:
        for turn in ("t", "t"):
            for size in ((200, 60), (30, 9), (150, 32), (119, 60), (80, 24)):
                await it.pilot.resize_terminal(*size)
                await it.settle()
                text = it.text()
                assert {cells(row) for row in text.split("\n")} == {size[0]}
                assert "1.0" in text
                if size[0] >= 80:
                    assert "1/8 done" in text
                    assert ("the selected MVP" in text) == (size[0] >= 150)
            await it.press(turn)


async def test_empty_panes_say_what_to_do_next(stage: Open) -> None:
    view = usual_view(jobs=(), verdicts={}, pending=0)
    view.roadmap.gates = ()
    async with stage(size=(160, 45), lab=FakeLab(view=view)) as it:
        text = it.text()
        assert "no jobs yet: n launches the next MVP" in text
        assert "no decision gates in this roadmap" in text
        assert "no log yet" in text
        await it.until(lambda: "none yet: Run 1, Run 2 (L launches)" in it.text())
        await it.until(lambda: "no curve yet" in it.text())
    nothing = usual_view(path=None, roadmap=None, jobs=(), verdicts={}, next=None, pending=0)
    async with stage(size=(80, 24), lab=FakeLab(view=nothing)) as it:
        assert "no roadmap: A creates one, o opens one; `vitlab init` creates an example" in it.text()


async def test_no_text_is_markup_or_moves_the_cursor_on_board_and_page(stage: Open) -> None:
    nasty = "[/x] [[a|b]] \x1b[31m \u202e zero\u200b 中文 [@click=app.quit]q[/]"
    view = usual_view()
    view.roadmap.mvps = (mvp("1.0", nasty, nasty, "done"), mvp("[b]2", nasty, status="odd"))
    view.jobs = (job("run", nasty, Done(0, 9, "ok", 0)),)
    lab = FakeLab(view=view)
    async with stage(size=(160, 45), lab=lab) as it:
        await it.until(lambda: "R² 0.691" in it.text())
        await it.press("t", "l")
        for key in ("h", "enter"):
            await it.press(key)
            text = it.text()
            assert "[/x] [[a|b]]" in text
            assert not [c for c in text if ord(c) < 32 and c != "\n"]
            assert {cells(row) for row in text.split("\n")} == {160}
        lab.error = nasty
        await it.until(lambda: "! [/x] [[a|b]]" in it.text())


def seeds(count: int) -> tuple[Any, ...]:
    """Ended runs of a sweep, whose names differ at their ends."""
    return tuple(
        job(f"job-{n}", f"lr=0.00{n // 2 + 1},seed={n % 2}", Done(0, 60, "ok", 0), mvp="1.1",
            profile="full", seconds=60.0, submitted=float(n), values={"test/r2/log_g": 0.5},
            health="warn: metrics.csv has no column val_mae" if n == 0 else "ok")
        for n in range(count)
    )  # fmt: skip


@pytest.mark.parametrize("size", [(80, 24), (120, 35), (160, 45)])
@pytest.mark.parametrize("count", [4, 40])
async def test_jobs_can_be_told_apart_at_any_size(
    stage: Open, size: tuple[int, int], count: int
) -> None:
    view = usual_view()
    view.jobs = seeds(count)
    async with stage(size=size, lab=FakeLab(view=view)) as it:
        await it.press("3")
        text = it.text()
        last = f"1.1 lr=0.00{(count - 1) // 2 + 1},seed="
        assert f"{last}0" in text
        assert f"{last}1" in text
        assert "✓ done" in text
        assert "R² (change)" in text
        await it.press("b", "G")
        text = it.text()
        assert len({line for line in text.split("\n") if "1.1 lr=" in line}) >= 4
        assert ",seed=0" in text
        assert "metrics.csv has no column val_mae" in text


async def test_what_runs_and_what_is_next_stand_apart(stage: Open) -> None:
    async with stage(size=(60, 24), lab=FakeLab(view=usual_view())) as it:
        for width in range(60, 140, 7):
            await it.pilot.resize_terminal(width, 24)
            await it.settle()
            line = it.text().split("\n")[1]
            assert cells(line) == width
            assert "  next 2.0" in line, line


async def test_the_next_profile_up_is_offered(stage: Open) -> None:
    """Not the one that has a result already."""
    view = usual_view()
    ended = Done(0, 9, "ok", 0)
    view.jobs = (job("a", "Run 1", ended, mvp="2.0", profile="smoke", submitted=1.0),
                 job("b", "Run 1", Done(0, 9, "failed", 1), mvp="2.0", profile="demo"),
                 job("c", "Run 1", ended, mvp="1.0", profile="demo"))  # fmt: skip
    async with stage(lab=FakeLab(view=view, chosen="smoke")) as it:
        await it.press("n")
        await it.until(lambda: "> demo" in it.text())
        await it.press("escape")
        it.app.home.select("3.0")
        await it.press("L")
        await it.until(lambda: "> smoke" in it.text())
