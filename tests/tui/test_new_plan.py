"""`A` adds an MVP, a gate or a plan: the form, the diff, the bytes, undo."""

from __future__ import annotations

import pytest

from tests.tui.conftest import Open, Stage
from tests.tui.fakes import FakeLab, usual_view
from vitlab.contract.paths import UsageError
from vitlab.lab.new_plan import NewGate, NewMvp, NewPlan
from vitlab.tui.screens.dialogs import PickScreen, WriteScreen
from vitlab.tui.screens.help import HelpScreen
from vitlab.tui.screens.new_plan import FormScreen

SIZES = [(80, 24), (160, 45)]


async def open_form(it: Stage, kind: str) -> None:
    """Press `A` and choose what is to be made."""
    await it.press("A")
    await it.until(lambda: isinstance(it.app.screen, PickScreen))
    await it.press(*kind, "enter")
    await it.until(lambda: isinstance(it.app.screen, FormScreen))


@pytest.mark.parametrize("size", SIZES)
async def test_fields_are_typed_chosen_and_shown_as_text(
    stage: Open, size: tuple[int, int]
) -> None:
    async with stage(size=size) as it:
        await open_form(it, "MVP")
        assert "> name        what is tried, in a few words" in it.text()
        assert "id          8.0" in it.text()
        await it.press(*"Sky [b]", "down", "right", "down", "space")
        await it.until(lambda: isinstance(it.app.screen, PickScreen))
        await it.press("down", "enter")
        assert "name        Sky [b]" in it.text()
        assert "gate        < Gate-1 1M 200ep 完成 + Test 指标 >" in it.text()
        assert "> hypothesis  < H1.1 more stars help [/b] >" in it.text()
        assert "MVP 8.0: changes roadmaps/vit_roadmap.md" in it.text()
        await it.press("enter")
        await it.until(lambda: isinstance(it.app.screen, WriteScreen))
        assert "Make this MVP" in it.text()
        await it.press("escape")
        assert "Sky [b]" in it.text()
        assert not [asked for asked in it.lab.asked if asked[0] == "save_new"]
        await it.press("enter", "enter")
        await it.until(lambda: it.at_home)
        assert it.lab.asked[-1] == ("save_new", "8.0")
        assert it.lab.asked[-2] == ("create", NewMvp("Sky [b]", "1", "H1.1"))
        assert it.toasts[-1] == "written: roadmaps/vit_roadmap.md (u undoes it)"


async def test_a_field_left_empty_and_what_is_refused_are_one_line_of_the_form(
    stage: Open,
) -> None:
    class Taken(FakeLab):
        def create(self, *asked: object) -> object:
            super().create(*asked)
            new = asked[-1]
            if isinstance(new, NewMvp) and new.id == "1.0":
                raise UsageError("MVP 1.0 is there already [/b]")
            return super().create(*asked)

    async with stage(lab=Taken()) as it:
        await open_form(it, "MVP")
        await it.press("enter")
        assert "! the name is missing" in it.text()
        await it.press("x", "up", *"1.0")
        assert "! MVP 1.0 is there already [/b]" in it.text()
        await it.press("enter")
        assert isinstance(it.app.screen, FormScreen)
        assert "! MVP 1.0 is there already [/b]" in it.text()
        await it.press("backspace")
        assert "MVP 8.0: changes" in it.text()
        await it.press("escape")
        assert it.at_home


async def test_a_gate_is_offered_first_on_the_gates_screen_and_shows_how_it_is_read(
    stage: Open,
) -> None:
    async with stage(size=(80, 24)) as it:
        await it.press("i", "A")
        await it.until(lambda: isinstance(it.app.screen, PickScreen))
        assert "> gate: a decision" in it.text()
        await it.press("enter")
        await it.until(lambda: isinstance(it.app.screen, FormScreen))
        await it.press(*"sky", "down", *"R2 > 0.7", "down", "left", "down", *"go", "down", *"stop")
        assert "read as: R² > 0.7" in it.text()
        await it.press("enter", "y")
        await it.until(lambda: it.lab.asked[-1] == ("save_new", "8.0"))
        wanted = NewGate("sky", "R2 > 0.7", "7.0", "go", "stop")
        assert ("create", wanted) in it.lab.asked


async def test_a_lab_without_a_roadmap_is_offered_a_plan(stage: Open) -> None:
    nothing = usual_view(path=None, roadmap=None, jobs=(), verdicts={}, next=None, pending=0)
    async with stage(size=(80, 24), lab=FakeLab(view=nothing, roadmap=None)) as it:
        await it.press("A")
        await it.until(lambda: isinstance(it.app.screen, FormScreen))
        await it.press(*"sky", "down", "right")
        assert "> language    < English >" in it.text()
        await it.press("enter", "enter")
        await it.until(lambda: ("save_new", "8.0") in it.lab.asked)
        assert ("create", NewPlan("sky", "en")) in it.lab.asked


async def test_the_help_names_the_key(stage: Open) -> None:
    async with stage(size=(160, 45)) as it:
        await it.press("question_mark")
        assert isinstance(it.app.screen, HelpScreen)
        assert "add an MVP or a gate to the plan, or make a new plan" in it.text()
