"""What keys mean, which of them the key line shows, and the line of messages."""

from __future__ import annotations

import importlib
import pkgutil
import time
from collections.abc import Iterator

import pytest
from textual.binding import Binding
from textual.dom import DOMNode

import vitlab.tui
from tests.tui.conftest import Open, Stage
from tests.tui.fakes import FakeLab, held_job, job, usual_jobs, usual_view
from tests.tui.real import RealLab
from vitlab.contract.job import Done
from vitlab.lab.earlier import keep_earlier
from vitlab.lab.results.decided import given_by_person
from vitlab.tui.app import VitLab
from vitlab.tui.keys import KEYS, MORE_ACTIONS
from vitlab.tui.navigation import SCREENS
from vitlab.tui.screens.base import LabScreen, front_screen
from vitlab.tui.screens.help import MessagesScreen
from vitlab.tui.screens.jobs import JobsScreen
from vitlab.tui.screens.roadmap import RoadmapScreen

MOVES = {
    *("j", "k", "h", "l", "g", "G", "f", "b", "tab", "shift+tab", "ctrl+d", "ctrl+u"),
    *("up", "down", "left", "right", "shift+left", "shift+right"),
    *("home", "end", "pageup", "pagedown"),
}
"""Keys that only move, whatever there is to move in."""
CHOICES = {"enter", "escape", "q"}
"""Take what is under the cursor, or leave what is in front."""
ANSWERS = {("y", "answer"), ("n", "answer"), ("question_mark", "dismiss")}
"""Of a question, and of the page that the key has opened."""
SAME = {"launch": "launch_selected"}


def bound() -> Iterator[tuple[str, str, str]]:
    """Every binding of the screens, dialogs and widgets: class, key, action."""
    for module in pkgutil.walk_packages(vitlab.tui.__path__, "vitlab.tui."):
        for thing in vars(importlib.import_module(module.name)).values():
            own = isinstance(thing, type) and thing.__module__.startswith("vitlab")
            if own and issubclass(thing, DOMNode):
                for one in vars(thing).get("BINDINGS", ()):
                    assert isinstance(one, Binding)
                    name = one.action.partition("(")[0].rpartition(".")[2]
                    for key in one.key.split(","):
                        yield thing.__name__, key, SAME.get(name, name)


def test_no_key_has_two_meanings() -> None:
    meanings: dict[str, dict[str, set[str]]] = {}
    for where, key, action in bound():
        # A form's own field, where letters are typed, opens its list by space.
        if key not in MOVES | CHOICES and (key, action) not in ANSWERS and where != "Choice":
            meanings.setdefault(key, {}).setdefault(action, set()).add(where)
    assert {key: found for key, found in meanings.items() if len(found) > 1} == {}
    assert len(meanings) > 50
    screens: list[type[LabScreen]] = [RoadmapScreen, *SCREENS.values()]
    own = [key for screen in screens for key in screen.KEYS]
    assert not MOVES & {key.key for key in (*KEYS, *own)}
    # A setting changes a key by its action's name, on every screen.
    named = {(key.name, key.key) for key in (*KEYS, *own) if key.key != "enter"}
    assert len({name for name, _ in named}) == len(named)
    assert {key.action for key in KEYS} | set(MORE_ACTIONS) >= {
        key.action.removeprefix("app.") for key in own if key.action.startswith("app.")
    }


def keys_of(it: Stage) -> list[str]:
    """What the last line shows."""
    return it.text().split("\n")[-1].split("  ")


async def test_the_key_line_shows_what_can_be_done_with_the_selection(stage: Open) -> None:
    running, held = usual_jobs()[2], held_job()
    ended = job("20251227-090000-ended", "Run 4", Done(0, 9, "oom", 1))
    well = job("20251227-080000-well", "Run 5", Done(0, 9, "ok", 0))
    lab = FakeLab(view=usual_view(jobs=(running, held, ended, well)))
    async with stage(size=(160, 45), lab=lab) as it:
        await it.press("2")
        for name, shown, hidden in [
            (running.paths.name, {"x:stop"}, {"c:resume", "p:hold", "t:to front"}),
            (held.paths.name, {"x:stop", "c:resume", "p:release", "K:up"}, {"p:hold"}),
            (ended.paths.name, {"c:resume"}, {"x:stop", "p:hold", "K:up"}),
            (well.paths.name, {"L:launch", "S:status"}, {"c:resume", "x:stop", "R:resume lost"}),
        ]:
            it.app.front.select(name)
            await it.settle()
            line = {entry.strip() for entry in keys_of(it)}
            assert line >= shown | {"esc:back", "?:help"}
            assert not line & hidden
        await it.press("c")
        assert "it has finished, L launches a new run" in it.toasts[-1]
        assert it.app.check_action("resume_job", ()) is None
        assert it.app.check_action("launch_next", ()) is True
        await it.pilot.resize_terminal(80, 24)
        await it.settle()
        assert [one for one in keys_of(it) if one.strip()][-3:] == [
            "1-8:screens",
            "esc:back",
            "?:help",
        ]
    assert it.lab.asked == []


async def test_numbers_open_the_same_screens_everywhere(stage: Open) -> None:
    async with stage() as it:
        names = ["roadmap", "jobs", "curves", "log", "spectrum", "results", "gates", "documents"]
        for number in ("2", "3", "4", "5", "6", "7", "8", "1", "2", "3"):
            await it.press(number)
            assert names[int(number) - 1] == it.app.front.NAME
        assert len(it.app.screen_stack) == 3


async def test_the_palette_has_keys_and_only_what_can_be_done(stage: Open) -> None:
    async with stage(lab=FakeLab(view=usual_view(jobs=usual_jobs()[:1]))) as it:
        await it.press("ctrl+p", *"launch the next")
        await it.until(lambda: "n      launch the next MVP of the plan" in it.text())
        await it.press(*["backspace"] * 15, *"selected queued")
        await it.until(lambda: "No matches" in it.text())
        await it.press("escape")
    assert len(VitLab.COMMANDS) == 1  # none of Textual's own


async def test_an_error_stays_until_it_is_seen(
    stage: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage(size=(80, 24)) as it:
        monkeypatch.setattr(VitLab, "NOTIFICATION_TIMEOUT", 0.001)
        it.app.notify("the disk is full [/b]", severity="error")
        it.app.notify("roadmap.md: line 3 " + "x" * 90, severity="error")
        it.app.notify("job 1 ended")
        await it.settle()
        assert "! roadmap.md: line 3 xxx" in it.text()
        assert "2 errors  esc:close  !:messages" in it.text()
        await it.press("2")
        assert "! roadmap.md: line 3" in it.text()
        await it.press("exclamation_mark")
        assert isinstance(it.app.screen, MessagesScreen)
        shown = it.text()
        assert shown.index("job 1 ended") < shown.index("line 3") < shown.index("the disk is full")
        await it.press("escape")
        assert "esc:close" not in it.text()
        it.app.notify("again", severity="error")
        await it.settle()
        await it.press("escape")
        assert "again" not in it.text()
        assert not it.at_home  # only the message is closed
        await it.press("escape")
        assert it.at_home


async def test_a_message_that_comes_while_a_screen_opens_is_shown_once_it_is_there(
    stage: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage(size=(80, 24)) as it:
        await it.press("2")
        before = iter([False])
        monkeypatch.setattr(JobsScreen, "is_attached", property(lambda _: next(before, True)))
        it.app.notify("the disk is full", severity="error")
        await it.until(lambda: "the disk is full" in it.text())


async def test_a_message_in_a_dialog_is_shown_there(stage: Open) -> None:
    async with stage(size=(80, 24)) as it:
        await it.press("B", "y")
        await it.until(lambda: "copied: the bug report" in it.text())
        await it.press("escape")
        assert "copied: the bug report" in it.text()


async def test_a_status_is_set_and_a_gate_decided_with_a_reason_and_undone(
    stage: Open, real_lab: RealLab
) -> None:
    path = real_lab.roadmap
    before = path.read_text()
    async with stage(lab=real_lab.lab, roadmap=path) as it:
        await it.press("S")
        await it.until(lambda: "Status of MVP" in it.text())
        await it.press(*"paused", "enter")
        await it.until(lambda: "+++" not in it.text() and "y or enter" in it.text())
        await it.press("y")
        await it.until(lambda: path.read_text() != before)
        assert "⏸" in path.read_text()
        await it.press("u")
        await it.until(lambda: path.read_text() == before)
        await it.press("7", "S", *"fail", "enter", "enter")
        await it.until(lambda: "no result supports it: give your reason" in it.text())
        await it.type("too few stars")
        await it.press("enter")
        await it.until(lambda: "y or enter" in it.text())
        assert path.read_text() == before
        await it.press("y")
        await it.until(lambda: "too few stars" in path.read_text())
        await it.press("u")
        await it.until(lambda: path.read_text() == before)


async def test_done_without_a_full_result_asks_for_the_reason(
    stage: Open, real_lab: RealLab
) -> None:
    lab, path = real_lab.lab, real_lab.roadmap
    keep_earlier(lab, path)
    before = path.read_text()
    async with stage(lab=lab, roadmap=path) as it:
        mvp = front_screen(it.app).selected_mvp()
        assert mvp is not None
        await it.press("S")
        await it.until(lambda: "Status of MVP" in it.text())
        await it.press(*"done", "enter")
        await it.until(lambda: f"MVP-{mvp.id}: done without a full result here" in it.text())
        await it.press("enter")
        await it.until(lambda: "no result supports it: give your reason" in it.text())
        await it.type("on the cluster")
        await it.press("enter")
        await it.until(lambda: "y or enter" in it.text())
        assert path.read_text() == before
        await it.press("y")
        await it.until(lambda: path.read_text() != before)
        assert given_by_person(lab, lab.read_roadmap(path)) == {mvp.id: "on the cluster"}


async def test_x_on_a_running_mvp_stops_its_job(stage: Open) -> None:
    async with stage() as it:
        it.app.home.select("1.0")
        await it.press("x")
        assert "Stop 1.0 Run 2 (demo)?" in it.text()
        await it.press("y")
        await it.until(lambda: ("stop", usual_jobs()[3].paths.name) in it.lab.asked)


async def test_columns_that_say_nothing_leave_their_room_to_the_names(stage: Open) -> None:
    now, name = time.time(), "LightGBM train_size=25000,seed=44"
    ended = [job("20251227-090001-a", name, Done(now - 9e4, now, "ok", 0))]
    async with stage(size=(160, 24), lab=FakeLab(view=usual_view(jobs=tuple(ended)))) as it:
        await it.press("2")
        row = next(line for line in it.text().split("\n") if "✓ done" in line)
        assert name in row
        assert "Why" not in it.text()


async def test_jobs_have_an_age_a_number_and_what_runs_in_sight(stage: Open) -> None:
    now = time.time()
    same = [
        job(f"20251227-0900{i:02}-same", "Run 4", Done(now - 9e4, now - 7300 * i, "ok", 0),
            submitted=now - 9e4 + i)
        for i in range(30)
    ]  # fmt: skip
    lab = FakeLab(view=usual_view(jobs=(usual_jobs()[2], *same)))
    async with stage(size=(160, 24), lab=lab) as it:
        await it.press("2")
        lines = [line for line in it.text().split("\n") if "Run 4" in line]
        assert "2 d 1.0 Run 4 (demo) #30" in " ".join(lines[0].split())
        assert it.text().count("> 1.0 Run 1 (demo)") == 0
        await it.press("G")
        assert it.text().split("\n")[1].strip().startswith("> 1.0 Run 1 (demo)")
        last = next(line for line in reversed(it.text().split("\n")) if " Run 4 (demo)" in line)
        assert "#" not in last
        await it.press("g")
        assert "> 1.0 Run 1 (demo)" not in it.text()
