"""Every action of every screen has a test that presses its key."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.tui.conftest import Open
from tests.tui.fakes import FakeLab
from vitlab.tui.app import VitLab
from vitlab.tui.keys import KEYS, Key
from vitlab.tui.navigation import SCREENS
from vitlab.tui.screens.dialogs import LineScreen
from vitlab.tui.screens.log import LogScreen
from vitlab.tui.screens.roadmap import RoadmapScreen

PILOTS: dict[str, tuple[str, ...]] = {
    "": (
        "test_keys.py", "test_screens.py", "test_finish.py", "test_home.py", "test_tour.py",
        "test_themes.py", "test_spectrum.py", "test_actions.py", "test_new_plan.py",
        "test_footer.py", "test_autopilot.py",
    ),
    "roadmap": ("test_home.py", "test_keys.py"),
    "jobs": (
        "test_the_queue_is_ordered_from_the_jobs_screen",
        "test_a_log_is_followed_searched_filtered_and_read_by_pages",
    ),
    "curves": ("test_the_curves_are_zoomed_smoothed_and_read_by_keys",),
    "log": (
        "test_a_log_is_followed_searched_filtered_and_read_by_pages",
        "test_the_log_s_other_keys", "test_y_copies_what_is_under_the_cursor",
    ),
    "gates": (),
    "documents": (
        "test_documents_are_accepted_reworded_refused_and_mended", "test_the_documents_other_keys",
    ),
    "results": ("test_results_are_sorted_filtered_and_held_against_one",),
    "spectrum": ("test_spectrum.py",),
}  # fmt: skip
"""Screen -> the tests, or files of them, that press its keys; the empty one is every screen."""


@cache
def pressed() -> dict[str, frozenset[str]]:
    """Test, and file, -> what its calls of `press` name, and what it takes keys from."""
    found: dict[str, frozenset[str]] = {}
    for path in Path(__file__).parent.glob("test_*.py"):
        whole: frozenset[str] = frozenset()
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("test_"):
                text = ast.unparse(node)
                words = frozenset(
                    one.value
                    for one in ast.walk(node)
                    if isinstance(one, ast.Constant) and isinstance(one.value, str)
                )
                found[node.name] = words if ".press(" in text else frozenset()
                whole |= found[node.name]
        found[path.name] = whole
    return found


def keys() -> list[tuple[str, Key]]:
    own = [("roadmap", key) for key in RoadmapScreen.KEYS]
    own += [(name, key) for name in SCREENS for key in SCREENS[name].KEYS]
    return [*(("", key) for key in KEYS), *own]


@pytest.mark.parametrize(
    ("screen", "key"), keys(), ids=lambda one: one if isinstance(one, str) else one.name
)
def test_an_action_exists_and_a_test_presses_its_key(screen: str, key: Key) -> None:
    assert screen in PILOTS, f"the screen {screen} has no pilot tests"
    known = pressed()
    assert any(key.key in known[name] for name in PILOTS[screen]), (
        f"no test of {PILOTS[screen]} presses {key.key}: {key.meaning}"
    )
    place, _, action = key.action.rpartition(".")
    if place == "app" or not screen:
        assert action == "quit" or action in _handlers()
    else:
        assert hasattr(_class(screen), f"action_{action.partition('(')[0]}")


@cache
def _handlers() -> frozenset[str]:
    """The actions of every screen that do something."""
    lab: Any = FakeLab()
    return frozenset(VitLab(lab, None)._handlers)


def _class(screen: str) -> type:
    return RoadmapScreen if screen == "roadmap" else SCREENS[screen]


async def test_the_log_s_other_keys(stage: Open, tmp_path: Path) -> None:
    """`4` shows the selected job's log, `{` `}` the others'; `,` goes back, `F` follows."""
    lab = FakeLab(folder=tmp_path)
    for job in lab.view.jobs:
        job.paths.folder.mkdir()
        name = job.paths.folder.name
        job.paths.log.write_text(f"log of {name}\nValueError: {name}\n" + "line\n" * 200)
    async with stage(size=(80, 24), lab=lab) as it:
        await it.press("4")
        screen = it.app.screen
        assert isinstance(screen, LogScreen)
        await it.until(lambda: "following" in it.text())
        first = screen._job
        await it.press("right_curly_bracket")
        await it.until(lambda: screen._job != first)
        await it.press("left_curly_bracket")
        await it.until(lambda: screen._job == first)
        await it.until(lambda: "following" in it.text())
        await it.press("comma")
        await it.until(lambda: "ValueError" in it.text())
        await it.until(lambda: "paused" in it.text())
        await it.press("F")
        await it.until(lambda: "following" in it.text())
        await it.press("slash")
        await it.until(lambda: isinstance(it.app.screen, LineScreen))
        await it.press(*"log of", "enter")
        await it.press("comma")
        await it.until(lambda: "log of" in it.text())
        assert ".:next match" in it.text()
        await it.press("escape")
        assert ".:next error" in it.text()


async def test_the_documents_other_keys(stage: Open) -> None:
    """There `w` writes all, `u` and `U` undo and redo, as everywhere."""
    async with stage() as it:
        await it.press("8")
        await it.until(lambda: "1 to write" in it.text())
        await it.press("u")
        await it.until(lambda: ("undo",) in it.lab.asked)
        await it.settle()
        await it.press("U")
        await it.until(lambda: ("redo",) in it.lab.asked)
        await it.settle()
        await it.press("w")
        await it.until(lambda: ("pending",) in it.lab.asked)
