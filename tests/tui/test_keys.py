"""Every key of the main screen, pressed."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from textual.app import ComposeResult
from textual.widgets import Input, OptionList, Static

from tests.tui.conftest import Open, post
from tests.tui.fakes import FakeLab, held_job, job, usual_jobs, usual_view
from vitlab.contract.job import Done, Lost, Queued
from vitlab.tui import actions
from vitlab.tui.keys import KEYS, shown_key
from vitlab.tui.screens.dialogs import (
    ConfirmScreen,
    Dialog,
    LineScreen,
    PickScreen,
    RoadmapChooser,
    WriteScreen,
)
from vitlab.tui.screens.help import HelpScreen
from vitlab.tui.screens.jobs import metrics_of
from vitlab.tui.screens.launch import LaunchScreen
from vitlab.tui.screens.roadmap import PANES
from vitlab.tui.widgets.curves_chart import LiveChart
from vitlab.tui.widgets.jobs_pane import JobTable
from vitlab.tui.widgets.log_view import LogView
from vitlab.tui.widgets.plan_pane import MvpTable


async def test_n_shows_what_will_run_and_be_written_then_launches_the_next(stage: Open) -> None:
    async with stage() as it:
        await it.press("n")
        assert isinstance(it.app.screen, LaunchScreen)
        await it.until(lambda: ("plan", "2.0", "demo") in it.lab.asked)
        await it.until(lambda: "Run 1: vit" in it.text())
        assert "[[hub|x]]" in it.text()
        await it.press("enter")
        await it.until(lambda: ("launch", "2.0", "demo") in it.lab.asked)
        await it.settle()
        assert any("1 job launched (demo)" in toast for toast in it.toasts)


async def test_the_plan_that_was_shown_is_launched_and_what_changed_since_is_said(
    stage: Open,
) -> None:
    async with stage() as it:
        it.lab.changed = "experiments/x.yaml changed since the plan was shown: planned again"
        await it.press("n")
        await it.until(lambda: "Run 1: vit" in it.text())
        await it.press("enter")
        await it.until(lambda: ("launch", "2.0", "demo") in it.lab.asked)
        await it.until(lambda: any("planned again" in toast for toast in it.toasts))
        # Nothing is planned between the showing and the launch.
        assert [asked[0] for asked in it.lab.asked].count("plan") == 1


async def test_the_profile_chosen_is_the_default_of_the_next_launch(stage: Open) -> None:
    async with stage() as it:
        await it.press("n")
        await it.press("k")
        await it.until(lambda: ("plan", "2.0", "smoke") in it.lab.asked)
        await it.settle()
        await it.press("enter")
        await it.until(lambda: ("launch", "2.0", "smoke") in it.lab.asked)
        assert it.lab.chosen == "smoke"
        await it.press("n")
        await it.settle()
        await it.press("escape")
        assert [asked for asked in it.lab.asked if asked[0] == "launch"] == [
            ("launch", "2.0", "smoke")
        ]
        assert it.lab.asked[-1] == ("plan", "2.0", "smoke")


async def test_shift_l_launches_the_selected_mvp(stage: Open) -> None:
    async with stage() as it:
        await it.press("j", "j", "j", "L")
        await it.until(lambda: ("plan", "3.0", "demo") in it.lab.asked)
        await it.settle()
        await it.press("enter")
        await it.until(lambda: ("launch", "3.0", "demo") in it.lab.asked)


async def test_a_chooser_says_that_nothing_matches(stage: Open) -> None:
    async with stage() as it:
        it.app.home.select("4.0")
        await it.press("L")
        await it.until(lambda: isinstance(it.app.screen, PickScreen))
        await it.press(*"qqq", "down", "enter")
        assert "no match" in it.text()
        await it.press("backspace", "backspace", "backspace", "down")
        assert "no match" not in it.text()
        assert "> vit: a Vision Transformer" in it.text()


async def test_for_an_mvp_without_an_experiment_file_one_is_offered(stage: Open) -> None:
    async with stage() as it:
        it.app.home.select("4.0")
        await it.press("L")
        await it.until(lambda: isinstance(it.app.screen, PickScreen))
        assert "MVP 4.0 has no experiment file: make one from" in it.text()
        assert "my own script" in it.text()
        assert "lightgbm: boosted trees" in it.text()
        await it.press("escape")
        await it.until(lambda: not isinstance(it.app.screen, PickScreen))
        assert not [asked for asked in it.lab.asked if asked[0] == "plan"]


async def test_a_plan_that_cannot_be_launched_shows_its_reason_and_does_not_launch(
    stage: Open,
) -> None:
    lab = FakeLab(error="experiments/x.yaml:12: config.model.pach: unknown key")
    async with stage(lab=lab) as it:
        await it.press("n")
        await it.until(lambda: "unknown key" in it.text())
        await it.press("enter")
        assert isinstance(it.app.screen, LaunchScreen)
        assert not [asked for asked in lab.asked if asked[0] == "launch"]


async def test_a_held_key_that_is_heard_late_opens_one_dialog(stage: Open) -> None:
    async with stage() as it:
        for _ in range(60):
            it.app._handle("open_roadmaps")
        await it.until(lambda: isinstance(it.app.screen, RoadmapChooser))
        await it.until(lambda: sum(one.group == "actions" for one in it.app.workers) == 1)
        assert len(it.app.screen_stack) == 2
        await it.press("escape")
        await it.until(lambda: not isinstance(it.app.screen, RoadmapChooser))


async def test_keys_in_the_moment_in_which_the_launch_opens_do_no_harm(
    stage: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    compose = LaunchScreen.compose

    def with_keys(self: LaunchScreen) -> ComposeResult:
        self.action_scroll_plan(1)  # bindings with priority come before its own messages
        self.action_scroll_plan(-1)
        yield from compose(self)

    monkeypatch.setattr(LaunchScreen, "compose", with_keys)
    async with stage() as it:
        await it.press("n")
        await it.until(lambda: isinstance(it.app.screen, LaunchScreen))
        await it.press("f", "b", "escape")
        await it.until(lambda: not isinstance(it.app.screen, LaunchScreen))


async def test_x_asks_and_stops_only_on_yes(stage: Open) -> None:
    async with stage() as it:
        await it.go("jobs")
        await it.press("x")
        assert isinstance(it.app.screen, ConfirmScreen)
        await it.press("n")
        assert not it.lab.asked
        await it.press("x", "y")
        await it.until(lambda: it.lab.asked)
        assert it.lab.asked == [("stop", "VIT-20251226-vit-1m-large-01/20251227-100001-run-2")]


async def test_a_dialog_is_not_left_from_below_another(stage: Open) -> None:
    """As a key pressed twice opens two."""
    async with stage() as it:
        lower, upper, answers = ConfirmScreen("lower"), LineScreen("upper"), list[object]()
        await it.app.push_screen(lower, lambda yes: answers.append(("lower", yes)))
        await it.app.push_screen(upper, lambda yes: answers.append(("upper", yes)))
        lower.dismiss(True)
        await it.press("escape")
        assert answers == [("upper", None)]
        await it.press("escape")
        assert answers == [("upper", None), ("lower", False)]


async def test_x_on_an_ended_job_stops_nothing(stage: Open) -> None:
    async with stage() as it:
        await it.go("jobs")
        await it.press("G", "x")
        assert not isinstance(it.app.screen, ConfirmScreen)
        assert "select a running, queued or lost job" in it.toasts[-1]


async def test_c_p_and_shifted_j_k_act_on_the_selected_job(stage: Open) -> None:
    waiting = "VIT-20251226-vit-1m-large-01/20251227-100002-run-3"
    lost = "VIT-20251226-vit-1m-large-01/20251227-090000-lost"
    async with stage() as it:
        await it.go("jobs")
        await it.press("c")
        assert "select a stopped, failed, lost, held or foreign job" in it.toasts[-1]
        await it.press("j", "j", "p")
        await it.until(lambda: ("hold", waiting) in it.lab.asked)
        await it.press("K")
        await it.until(lambda: ("move", waiting, -1) in it.lab.asked)
        await it.press("J")
        await it.until(lambda: ("move", waiting, 1) in it.lab.asked)
        it.lab.view = usual_view(jobs=(*usual_jobs()[:4], held_job()))
        await it.press("r")
        await it.until(lambda: it.app.home.view is it.lab.view)
        await it.press("p")
        await it.until(lambda: ("release", waiting) in it.lab.asked)
        it.app.home.jobs.select(lost)
        await it.press("c")
        await it.until(lambda: ("resume", lost) in it.lab.asked)


async def test_a_foreign_job_is_shown_before_it_runs(
    stage: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = ["not submitted here by you", "runs: sh -c evil", "sets: LD_PRELOAD=x.so"]
    monkeypatch.setattr(actions, "_preview", lambda _: shown)
    foreign = job("20251227-100002-theirs", "Run 9", Queued(3.0), why="not yours", foreign=True)
    async with stage() as it:
        it.lab.view = usual_view(jobs=(foreign,))
        await it.press("r")
        await it.until(lambda: it.app.home.view is it.lab.view)
        await it.press("2")
        assert "1 not submitted here (c shows one, x drops it)" in it.text()
        assert "? foreign" in it.text()
        await it.press("c")
        await it.until(lambda: isinstance(it.app.screen, ConfirmScreen))
        for line in shown:
            assert line in it.text()
        await it.press("n")
        assert not it.lab.asked
        await it.press("c")
        await it.until(lambda: isinstance(it.app.screen, ConfirmScreen))
        await it.press("y")
        await it.until(lambda: it.lab.asked == [("resume", foreign.paths.name)])


async def test_a_resume_that_begins_anew_asks_before(stage: Open) -> None:
    ran = job("20251227-090000-ran", "by hand", Done(0, 9, "oom", 1))
    ran.spec = replace(ran.spec, recipe="command", config={"argv": ["train"]})
    ran.metrics = {"sources": [{"file": "m.csv", "names": {}, "rows": 31, "in_file": 20}]}
    assert "20 rows (31 in all attempts)" in metrics_of(ran)
    async with stage(lab=FakeLab(view=usual_view(jobs=(ran,)))) as it:
        await it.go("jobs")
        await it.press("c")
        await it.until(lambda: "no resume_argv" in it.text())
        await it.press("n", "c", "y")
        await it.until(lambda: it.lab.asked == [("resume", f"{ran.paths.name}")])


async def test_what_a_crash_left_is_resumed_or_dropped_by_one_key(stage: Open) -> None:
    left = job("20251227-080000-lost", "Run 9", Lost(0.0), left=True)
    async with stage(lab=FakeLab(view=usual_view(jobs=(*usual_jobs(), left)))) as it:
        assert "! 1 lost: R resume, X drop" in it.text()
        await it.press("R")
        await it.until(lambda: it.lab.asked)
        assert it.lab.asked == [("resume", left.paths.name)]
        await it.press("X")
        assert isinstance(it.app.screen, ConfirmScreen)
        await it.press("y")
        await it.until(lambda: ("stop", left.paths.name) in it.lab.asked)
        it.lab.view = usual_view()
        await it.press("r")
        await it.until(lambda: it.app.home.view is it.lab.view)
        await it.press("R")
        await it.until(lambda: any("no job was lost" in toast for toast in it.toasts))
        assert "lost: R resumes" not in it.text()


async def test_a_finding_is_shown_and_a_bad_one_refuses_the_launch(stage: Open) -> None:
    lab = FakeLab(findings=(SimpleNamespace(status="warn", text="the same was run before"),))
    async with stage(lab=lab) as it:
        await it.press("n")
        await it.until(lambda: "warn: the same was run before" in it.text())
        lab.findings = (SimpleNamespace(status="bad", text="disk: 3 MB free"),)
        await it.press("j")
        await it.until(lambda: "bad: disk: 3 MB free" in it.text())
        await it.press("enter")
        assert isinstance(it.app.screen, LaunchScreen)
        assert not [asked for asked in lab.asked if asked[0] == "launch"]


@pytest.mark.parametrize("key", ["y", "enter"])
async def test_w_shows_the_diff_and_writes_on_accept(stage: Open, key: str) -> None:
    async with stage() as it:
        await it.press("w")
        await it.until(lambda: isinstance(it.app.screen, WriteScreen))
        await it.settle()
        assert "MVP-2.0: R² = 0.61" in it.text()
        assert "+| 2.0 | LightGBM 1M Baseline" in it.text()
        await it.press(key)
        await it.until(lambda: ("accept", ("2.0",)) in it.lab.asked)
        await it.settle()
        assert "written: roadmaps/vit_roadmap.md" in it.toasts[-1]


async def test_the_diff_is_reached_below_long_conclusions(stage: Open) -> None:
    """What writes and what scrolls is said, however much there is to read."""
    summary = tuple(f"MVP-{i}.0: {'more stars help the ViT; ' * 14}" for i in range(4))
    async with stage(size=(80, 24), lab=FakeLab(summary=summary)) as it:
        await it.press("w")
        await it.until(lambda: isinstance(it.app.screen, WriteScreen))
        await it.settle()
        assert "MVP-0.0: more stars" in it.text()
        assert "y or enter writes" in it.text()
        await it.press("G")
        await it.until(lambda: "+| 2.0 | LightGBM 1M Baseline" in it.text())
        assert "y or enter writes" in it.text()


async def test_several_writes_say_that_each_is_undone_on_its_own(stage: Open) -> None:
    async with stage(lab=FakeLab(steps=("MVP-2.0", "MVP-8.0"))) as it:
        await it.press("w")
        await it.until(lambda: isinstance(it.app.screen, WriteScreen))
        await it.press("y")
        await it.until(lambda: ("accept", ("2.0",)) in it.lab.asked)
        await it.settle()
        assert "2 writes, u undoes one at a time, MVP-8.0 first" in it.toasts[-1]


async def test_escape_refuses_the_write(stage: Open) -> None:
    async with stage() as it:
        await it.press("w")
        await it.until(lambda: isinstance(it.app.screen, WriteScreen))
        await it.press("escape")
        assert it.lab.asked == [("pending",)]
        assert it.at_home


async def test_nothing_to_write_is_said(stage: Open) -> None:
    async with stage(lab=FakeLab(changes=())) as it:
        await it.press("w")
        await it.until(lambda: it.toasts)
        assert "nothing to write" in it.toasts[-1]


async def test_u_undoes(stage: Open) -> None:
    async with stage() as it:
        await it.press("u")
        await it.until(lambda: it.toasts)
        assert it.lab.asked == [("undo",)]
        assert it.toasts[-1] == (
            "undone: MVP-2.0: status running: roadmaps/vit_roadmap.md, removed roadmaps/exp_m.md"
        )


async def test_shift_u_makes_it_again(stage: Open) -> None:
    async with stage() as it:
        await it.press("U")
        await it.until(lambda: it.toasts)
        assert it.lab.asked == [("redo",)]
        assert "redone: roadmaps/vit_roadmap.md" in it.toasts[-1]


@pytest.mark.parametrize("key", ["w", "u"])
async def test_a_users_mistake_is_a_toast(stage: Open, key: str) -> None:
    async with stage(lab=FakeLab(error="roadmaps/x.md:3: [/bold] moved meanwhile")) as it:
        await it.press(key)
        await it.until(lambda: it.toasts)
        assert it.toasts[-1] == "roadmaps/x.md:3: [/bold] moved meanwhile"
        assert "[/bold] moved" in it.text()


async def test_slash_filters_by_words_and_escape_clears(stage: Open) -> None:
    async with stage() as it:
        table = it.app.home.query_one(MvpTable)
        await it.press("slash", *"lightgbm planned")
        assert table.row_count == 1
        assert table.selected == "2.0"
        await it.press("enter")
        assert it.app.focused is table
        assert table.row_count == 1
        await it.press("escape")
        assert table.row_count == 8
        assert it.app.home.query_one("#filter", Input).display is False


async def test_letters_typed_into_the_filter_are_not_verbs(stage: Open) -> None:
    async with stage() as it:
        await it.press("slash", "q", "n", "x")
        assert it.app.is_running
        assert it.at_home
        assert it.app.home.query_one("#filter", Input).value == "qnx"


async def test_help_shows_every_verb(stage: Open) -> None:
    async with stage(size=(80, 24)) as it:
        await it.press("question_mark")
        assert isinstance(it.app.screen, HelpScreen)
        shown = str(it.app.screen.query_one("#page Static", Static).content)
        for verb in KEYS:
            assert f"{shown_key(verb, {}):<20}{verb.meaning}" in shown
        first = it.text()
        await it.press(*["j"] * 4)
        assert it.text() != first
        await it.press("escape")
        assert it.at_home


async def test_the_palette_finds_an_mvp_by_name(stage: Open) -> None:
    async with stage() as it:
        await it.press("ctrl+p")
        await it.press(*"tokeniz")
        await it.until(lambda: "MVP 4.0 Tokenization" in it.text())
        await it.press("enter")
        await it.until(lambda: it.app.home.query_one(MvpTable).selected == "4.0")


async def test_keys_that_come_as_the_palette_closes_do_no_harm(stage: Open) -> None:
    async with stage() as it:
        for keys in (("j", "escape", "down"), (*"roadmap", "enter", "enter")):
            post(it.app, "ctrl+p")
            for key in keys:
                post(it.app, key)
            await it.settle()
            assert it.app.is_running
        await it.press("escape", "escape")
        assert it.at_home


@pytest.mark.parametrize("key", ["S", "o", "N", "L"])
async def test_a_dialog_is_left_once(stage: Open, key: str) -> None:
    async with stage() as it:
        await it.press(key)
        dialog = it.app.screen
        assert isinstance(dialog, Dialog)
        dialog.dismiss(None)
        dialog.dismiss(None)
        await it.settle()
        assert it.at_home


async def test_a_palette_that_is_not_laid_out_has_no_pages(
    stage: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage() as it:
        await it.press("ctrl+p")
        await it.until(lambda: it.app.screen.query_one(OptionList).option_count)
        found = it.app.screen.query_one(OptionList)
        with monkeypatch.context() as patch:
            patch.setattr(OptionList, "_update_lines", lambda _: None)
            found._line_cache.clear()
            for action in ("page_up", "page_down"):
                await it.app.run_action(f"command_list('{action}')", it.app.screen)
        await it.press("escape")
        assert it.at_home


async def test_what_a_closed_palette_hears_is_left_alone(stage: Open) -> None:
    async with stage() as it:
        await it.press("ctrl+p")
        palette = it.app.screen
        entry, found = palette.query_one(Input), palette.query_one(OptionList)
        it.app._screen_stack.remove(palette)  # as it closes: no screen any more, its parts removed
        await palette.query_one("#--container").remove()
        palette.post_message(Input.Changed(entry, "x"))
        palette.post_message(OptionList.OptionSelected(found, found.options[0], 0))
        await it.app.run_action("cursor_down", palette)
        await it.settle()
        assert it.at_home


async def test_q_leaves_and_stops_no_job(stage: Open) -> None:
    async with stage() as it:
        await it.press("q")
        await it.until(lambda: not it.app.is_running)
        assert not it.lab.asked


async def test_r_reads_again_at_once(stage: Open) -> None:
    async with stage() as it:
        it.lab.view = usual_view(next=None)
        await it.press("r")
        await it.until(lambda: it.app.home.view is it.lab.view)
        await it.press("n")
        assert "nothing to launch" in it.toasts[-1]


async def test_n_names_what_it_passes_over(stage: Open) -> None:
    async with stage() as it:
        held = SimpleNamespace(id="3.0", why="line 9: blocked (阻塞)")
        it.lab.view = usual_view(next=None, passed_over=(held,))
        await it.press("r")
        await it.until(lambda: it.app.home.view is it.lab.view)
        await it.press("n")
        assert it.toasts[-1] == "skipped: 3.0 (line 9: blocked (阻塞))"


async def test_m_plots_the_next_value(stage: Open) -> None:
    async with stage() as it:
        chart = it.app.home.query_one(LiveChart)
        await it.until(lambda: chart._content.title == "R² log_g (val)")
        await it.press("m")
        await it.until(lambda: chart._content.title == "loss (train)")


async def test_tab_and_h_move_between_panes_and_tabs(stage: Open) -> None:
    async with stage() as it:
        for pane in (*PANES[1:], "plan"):
            await it.press("tab")
            assert it.focus == pane
        for key, pane in [("h", "diff"), ("shift+tab", "gates"), ("l", "diff")]:
            await it.press(key)
            assert it.focus == pane
        await it.press("full_stop")
        assert it.focus == "log"
        await it.press("comma")
        assert it.focus == "diff"


async def test_keys_are_remapped_by_the_settings(stage: Open) -> None:
    async with stage(lab=FakeLab(keys={"undo": "z"})) as it:
        await it.press("z")
        await it.until(lambda: it.lab.asked)
        assert it.lab.asked == [("undo",)]
        await it.press("question_mark")
        assert "z                   undo the last write" in it.text()


async def test_the_selected_jobs_log_is_followed(stage: Open) -> None:
    async with stage() as it:
        log = it.app.home.query_one(LogView)
        await it.until(lambda: log.line_count == 40)
        it.lab.lines = ["another job's line"]
        await it.go("jobs")
        await it.press("j")
        await it.until(lambda: list(log.lines)[:1] == ["another job's line"])
        assert it.app.home.query_one(JobTable).selected is not None


async def test_f_and_b_scroll_what_a_launch_will_write(stage: Open) -> None:
    lab = FakeLab(shown_diffs=["+++ b/x.md\n" + "\n".join(f"+line {i}" for i in range(90))])
    async with stage(size=(80, 24), lab=lab) as it:
        await it.press("n")
        await it.until(lambda: "line 0" in it.text())
        await it.press("f")
        assert "line 0 " not in it.text()
        await it.press("b")
        assert "line 0" in it.text()
        assert isinstance(it.app.screen, LaunchScreen)
