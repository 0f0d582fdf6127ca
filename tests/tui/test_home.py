"""Home: the plan as table and board, the MVP beside it, what runs, what is old."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tui.conftest import Open, post
from tests.tui.fakes import ROADMAP, FakeLab, job, mvp, usual_view
from tests.tui.test_screens import line
from vitlab.contract.job import Done, Queued, Running
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
from vitlab.tui.widgets.meters import Meters, cpu_times
from vitlab.tui.widgets.plan_pane import arranged


async def test_t_turns_the_plan_into_a_board_and_back(stage: Open) -> None:
    async with stage(size=(80, 24)) as it:

        def chosen() -> str:
            found = it.app.home.selected_mvp()
            assert found is not None
            return str(found.id)

        await it.press("j", "j", "v")
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
        await it.press("h", "v")
        assert (it.focus, chosen()) == ("plan", "1.1")
        await it.press("v", "2", "escape")
        assert it.focus == "board"
        await it.press("tab", "shift+tab")
        assert it.focus == "board"


async def test_the_board_scrolls_filters_jumps_and_opens(stage: Open) -> None:
    view = usual_view()
    view.roadmap.mvps = tuple(mvp(f"{i}.0", f"名称 {i} [/b]", status="planned") for i in range(30))
    async with stage(size=(80, 24), lab=FakeLab(view=view)) as it:
        await it.press("v", "G")
        assert "29.0" in it.text()
        assert "30 planned" in it.text()
        await it.press("g")
        assert "29.0" not in it.text().split("─MVP")[0]
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


async def test_the_specification_is_a_tab_and_below_a_short_plan(stage: Open) -> None:
    async with stage(size=(160, 30)) as it:
        assert "experiments/1.0.yaml" not in it.text()
        await it.press("full_stop")
        assert it.focus == "plan"
        await it.until(lambda: "experiments/1.0.yaml (smoke, demo, full)" in it.text())
        text = it.text()
        for said in (
            "目标        验证 ViT",
            "验收        R²_test > 0.70",
            "> running  R² 0.713 so far   Run 1 (demo)  112k/200k",
        ):
            assert said in text
        await it.press("j")
        await it.until(lambda: "MVP 1.1  ViT Sweep Analysis" in it.text())
        await it.until(lambda: "R² 0.691 ± 0.020" in it.text())
        assert "none in experiments/" in it.text()
        it.app.home.go("mvp")
        await it.press("G")
        for said in ("R² = 0.69 ± 0.02 [[hub|x]]", "exp_sweep.md"):
            assert said in it.text()
        it.app.home.go("plan")
        await it.press("full_stop", "k")
        assert "demo says 0.713" in it.text()  # the gate of the MVP
        assert "LGBM 0.71 > ViT 0.69" not in it.text()
        await it.press("full_stop")
        await it.until(lambda: "nothing to write for MVP 1.0" in it.text())
        await it.press("comma", "comma", "comma")
        assert "epoch 39" in it.text()
        assert "experiments/1.0.yaml" not in it.text()
        await it.pilot.resize_terminal(160, 60)
        await it.until(lambda: "experiments/1.0.yaml" in it.text())
        assert "✗ oom                        Run 0 (demo)" in it.text()
        assert "epoch 39" in it.text()


async def test_one_cursor_moves_everything(stage: Open) -> None:
    async with stage(size=(160, 45)) as it:
        home = it.app.home

        def shown() -> tuple[object, ...]:
            job, mvp = home.selected_job(), home.selected_mvp()
            return it.focus, mvp and mvp.id, job and job.spec.run, home.jobs.selected

        def charted() -> list[str]:
            return [one.name for one in home.beside.chart._content.series]

        first = "VIT-20251226-vit-1m-large-01/20251227-100001-run-2"
        assert shown() == ("plan", "1.0", "Run 2", first)
        await it.until(
            lambda: (
                [s.name for s in home.beside.chart._content.series] == ["1.0 Run 1", "1.0 Run 2"]
            )
        )
        await it.press("j")
        assert shown() == (
            "plan",
            "1.1",
            "sweep",
            "VIT-20251226-vit-1m-large-01/20251226-120000-sweep",
        )
        await it.until(lambda: charted() == ["1.1 sweep"])
        await it.until(lambda: "/20251226-120000-sweep" in str(home.beside.tabs.border_subtitle))
        await it.press("j")  # an MVP without a job
        assert shown()[1:3] == ("2.0", None)
        await it.until(lambda: "MVP 2.0: no run yet" in it.text())
        assert "no log yet" in it.text()
        assert "epoch 39" not in it.text()
        home.go("jobs")
        await it.press("j")  # in the jobs, the plan follows
        assert shown()[1:3] == ("1.0", "Run 0")
        await it.press("G", "k")
        assert shown() == (
            "jobs",
            "1.1",
            "sweep",
            "VIT-20251226-vit-1m-large-01/20251226-120000-sweep",
        )
        home.go("plan")
        await it.settle()
        assert shown()[:2] == ("plan", "1.1")
        await it.until(lambda: "epoch 39" in it.text())


async def test_the_cursor_begins_at_what_runs_or_ended_or_is_next(stage: Open) -> None:
    async with stage(size=(80, 24), lab=FakeLab(view=usual_view(jobs=()))) as it:
        assert it.app.home.plan.selected == "2.0"
    view = usual_view()
    view.jobs = view.jobs[:1]
    async with stage(size=(80, 24), lab=FakeLab(view=view)) as it:
        assert it.app.home.plan.selected == "1.1"
    view = usual_view()
    view.jobs = (job("run", "Run 1", Running(0, 1, "cpu"), mvp="4.0"),)
    async with stage(size=(80, 24), lab=FakeLab(view=view)) as it:
        assert it.app.home.plan.selected == "4.0"


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
        it.app.home.go("jobs")
        await it.press("enter")
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


async def test_a_row_says_how_far_its_run_is(stage: Open) -> None:
    view = usual_view(ceilings={"VIT-20251226-vit-1m-large-01/run": 0.8})
    more = {"values": {"val/r2/log_g": 0.712}, "step": 56, "of": 100, "eta": 2820.0}
    view.jobs = (followed(0.7, 0.712, last=now() + 1e6, **more),)
    async with stage(size=(160, 45), lab=FakeLab(view=view)) as it:
        row = next(line for line in it.text().split("\n") if "ViT 1M Scaling " in line)
        assert row.split("│")[1].split() == [
            "1.0", ">", "━━━──", "47m", "ViT", "1M", "Scaling", "1", "0.712*", "89%",
        ]  # fmt: skip
        assert BARS[-1] not in it.text()
        assert "> running 56/100    0.712 +.012 1.0 Run 1 (demo)" in it.text()
    view.jobs = (*view.jobs, job("2", "Run 2", Queued(0)), job("3", "Run 3", Queued(0)))
    async with stage(size=(80, 24), lab=FakeLab(view=view)) as it:
        assert "1.0 > ━━━── +2 ViT 1M Scaling" in it.text().replace("  ", " ")
    view.jobs[0].health = "bad: loss is not finite"
    view.jobs[0].warnings = ("loss is not finite",)
    for width, height in ((80, 24), (200, 60)):
        async with stage(size=(width, height), lab=FakeLab(view=view)) as it:
            text = it.text()
            assert "1.0 > ━━━── bad ViT 1M Scaling" in text
            assert "! 1 unhealthy: 2 shows why" in text
            assert "1.0 Run 1 (demo)  bad: loss is not finite" in text


async def test_what_was_read_long_ago_says_so(stage: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    view = usual_view()
    view.jobs = (followed(0.7, 0.71, last=1000.0, values={"val/r2/log_g": 0.71}, eta=60.0),)
    monkeypatch.setattr(text, "now", lambda: 1001.0)
    async with stage(size=(80, 24), lab=FakeLab(view=view)) as it:
        assert "read" not in it.text().split("\n")[0]
        assert "> running 1m00s" in it.text()
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
        assert "> silent 3m" in it.text()
        it.app.home.go("jobs")
        await it.settle()
        assert "silent 3m" in it.text().split("\n")[4]
        assert "left" not in it.text()


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
        await it.until(lambda: "! last read 3 min ago" in it.text())


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


async def test_the_machine_is_told_as_far_as_there_is_room(
    stage: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vitlab.tui.widgets.meters.ASK", 0.1)
    async with stage(size=(80, 24), lab=FakeLab(gpus=(gpu(0),))) as it:
        await it.until(lambda: "61%" in it.text())
        await it.pilot.resize_terminal(160, 45)
        await it.until(lambda: "gpu0 ━━━── 61% 21/86 GB 54C" in it.text())
    told = Meters()
    assert told.words(80, False) == ""
    told.update([gpu(0), gpu(1)], (100, 1000))
    told.update([gpu(0), gpu(1)], (150, 1100))
    assert told.words(40, True) == "cpu 50%  gpu0 61%  gpu1 61%"
    assert told.words(20, True) == "cpu 50%  2 gpus 61%"
    assert told.words(10, True) == "cpu 50%"
    assert told.words(5, True) == ""
    at = ticks()
    monkeypatch.setattr(text, "ticks", lambda: at + 90)
    told.update([], (150, 1100))
    assert "gpu1 ###.. 61% 21/86 GB 54C  (read 1 min ago)" in told.words(200, True)


def test_the_cpus_are_read() -> None:
    busy, passed = cpu_times()
    assert 0 <= busy <= passed


def ten_roadmaps() -> tuple[Any, ...]:
    shown = line(ROADMAP.rpartition("/")[2], findings=2)
    rest = [line(f"topic{i}_roadmap.md", done=i, mvps=9, running=i % 2) for i in range(1, 9)]
    return (shown, *rest, line("broken_roadmap.md", problem="no table"))


async def test_home_says_where_the_other_roadmaps_stand(stage: Open) -> None:
    lab = FakeLab(lines_of_roadmaps=ten_roadmaps())
    async with stage(size=(80, 24), lab=lab) as it:
        await it.until(lambda: "o 1 of 10" in it.text())
        assert {cells(row) for row in it.text().split("\n")} == {80}
        await it.pilot.resize_terminal(200, 60)
        await it.until(lambda: "others  topic1 1/9 >1  topic2 2/9" in it.text())


async def test_any_size_shows_content_without_a_glitch(stage: Open) -> None:
    lab = FakeLab(lines_of_roadmaps=ten_roadmaps())
    async with stage(size=(80, 24), lab=lab) as it:
        for turn in ("v", "v"):
            for size in ((200, 60), (30, 9), (150, 32), (119, 60), (80, 24)):
                await it.pilot.resize_terminal(*size)
                await it.settle()
                text = it.text()
                assert {cells(row) for row in text.split("\n")} == {size[0]}
                assert "1.0" in text
                if size[0] >= 80:
                    assert "1/8 done" in text
                    assert ("─ specification ─" in text) == (size[0] >= 120 and size[1] >= 45)
            await it.press(turn)


async def test_empty_panes_say_what_to_do_next(stage: Open) -> None:
    view = usual_view(jobs=(), verdicts={}, pending=0)
    view.roadmap.gates = ()
    async with stage(size=(160, 45), lab=FakeLab(view=view)) as it:
        text = it.text()
        assert "jobs" not in text.split("needs you")[1].split("\n", 1)[1].replace("L:", "")
        assert "no log yet" in text
        await it.until(lambda: "none yet: Run 1, Run 2 (L launches)" in it.text())
        assert "MVP 2.0: no run yet" in it.text()
        it.app.home.go("gates")
        assert "no decision gates in this roadmap" in it.text()
    nothing = usual_view(path=None, roadmap=None, jobs=(), verdicts={}, next=None, pending=0)
    async with stage(size=(80, 24), lab=FakeLab(view=nothing)) as it:
        assert (
            "no roadmap: N creates one, o opens one; `vitlab init` creates an example" in it.text()
        )


@pytest.mark.parametrize("size", [(80, 24), (120, 35), (200, 60)])
async def test_an_mvp_without_a_run_has_its_specification_in_the_charts_place(
    stage: Open, size: tuple[int, int]
) -> None:
    async with stage(size=size) as it:
        beside = it.app.home.beside
        await it.until(lambda: beside.chart._content.series)
        await it.press("j", "j")
        assert it.app.home.selected_job() is None
        await it.until(lambda: "R²_test > 0.70" in it.text())
        assert it.text().count("R²_test > 0.70") == 1
        assert (beside.instead.is_on_screen, beside.chart.is_on_screen) == (True, False)
        it.app.home.go("curve")
        await it.settle()
        assert it.focus == "instead"
        it.app.home.go("jobs")
        await it.press("g")
        await it.until(lambda: beside.chart.is_on_screen and beside.chart._content.series)
        assert not beside.instead.is_on_screen


async def test_the_jobs_screen_shows_curve_and_log_of_the_job_under_the_cursor(stage: Open) -> None:
    async with stage(size=(160, 45)) as it:
        await it.press("2")
        screen: Any = it.app.screen

        def charted() -> list[str]:
            return [one.name for one in screen.panes.chart._content.series]

        await it.until(lambda: charted() == ["1.0 Run 1", "1.0 Run 2"] and "epoch 39" in it.text())
        await it.press("j", "j", "j")
        assert screen.selected_job().spec.run == "sweep"
        await it.until(lambda: charted() == ["1.1 sweep"])
        await it.until(lambda: "20251226-120000-sweep" in str(screen._log_pane.border_subtitle))
        await it.press("1")
        home = it.app.home.beside
        await it.until(lambda: [s.name for s in home.chart._content.series] != ["1.1 sweep"])
        await it.until(lambda: "epoch 39" in it.text())


async def test_no_text_is_markup_or_moves_the_cursor_on_board_and_page(stage: Open) -> None:
    nasty = "[/x] [[a|b]] \x1b[31m \u202e zero\u200b 中文 [@click=app.quit]q[/]"
    view = usual_view()
    view.roadmap.mvps = (mvp("1.0", nasty, nasty, "done"), mvp("[b]2", nasty, status="odd"))
    view.jobs = (job("run", nasty, Done(0, 9, "ok", 0)),)
    lab = FakeLab(view=view)
    async with stage(size=(160, 45), lab=lab) as it:
        await it.until(lambda: "R² 0.691" in it.text())
        await it.press("v", "l")
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


@pytest.mark.parametrize("size", [(80, 24), (110, 30), (120, 35), (160, 45)])
@pytest.mark.parametrize("count", [4, 40])
async def test_jobs_can_be_told_apart_at_any_size(
    stage: Open, size: tuple[int, int], count: int
) -> None:
    view = usual_view()
    view.jobs = seeds(count)
    async with stage(size=size, lab=FakeLab(view=view)) as it:
        it.app.home.go("jobs")
        await it.settle()
        for table in (it.app.home.plan, it.app.home.jobs):
            taken = sum(width + table.GAP for width in table.fitted.values())
            assert taken <= table.size.width or not table.size
        text = it.text()
        last = f"1.1 lr=0.00{(count - 1) // 2 + 1},seed="
        assert f"{last}0" in text
        assert f"{last}1" in text
        assert "✓ done" in text
        assert "R² (change)" in text
        await it.press("2", "G")
        text = it.text()
        assert len({line for line in text.split("\n") if "1.1 lr=" in line}) >= 4
        assert ",seed=0" in text
        assert "metrics.csv has no column val_mae" in text


async def test_what_needs_a_person_and_what_is_next_stand_apart(stage: Open) -> None:
    async with stage(size=(60, 24), lab=FakeLab(view=usual_view())) as it:
        for width in range(60, 140, 7):
            await it.pilot.resize_terminal(width, 24)
            await it.settle()
            line = it.text().split("\n")[1]
            assert cells(line) == width
            assert line.startswith(" needs you  ! 1 unhealthy: 2 shows why "), line
            assert ("1 result to write: w" in line) == (" +2 more " not in line), line
            assert "   next 2.0" in line, line


async def test_what_assistants_propose_needs_the_person(stage: Open) -> None:
    async with stage(lab=FakeLab(view=usual_view(proposals=(3, 4)))) as it:
        assert "2 proposals to decide: 8" in it.text().split("\n")[1]


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


async def test_the_cursor_is_drawn_before_what_belongs_to_it(
    stage: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the last row, where keys came faster than it is drawn."""
    async with stage(size=(160, 45)) as it:
        table, done = it.app.home.plan, list[str]()
        draw, show = table.render_lines, it.app.home.beside.show

        def drawn(*of: Any) -> Any:
            done.append(f"row {table.selected}")
            return draw(*of)

        def shown(view: Any, mvp: Any, job: Any) -> None:
            done.append(f"beside {mvp.id}")
            show(view, mvp, job)

        monkeypatch.setattr(table, "render_lines", drawn)
        monkeypatch.setattr(it.app.home.beside, "show", shown)
        post(it.app, "j")
        post(it.app, "j")
        await it.settle()
        chosen = it.app.home.selected_mvp()
        assert chosen is not None
        moved = [one for one in done if chosen.id in one]
        assert moved[0] == f"row {chosen.id}"
        assert {one for one in done if one.startswith("beside")} == {f"beside {chosen.id}"}
