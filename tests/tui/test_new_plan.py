"""`N` adds an MVP, a gate or a plan: the form, the diff, the bytes, undo."""

from __future__ import annotations

import time

import pytest

from tests.tui.conftest import Open, Stage
from tests.tui.fakes import FakeLab, usual_view
from tests.tui.real import RealLab
from vitlab.contract.paths import UsageError
from vitlab.lab.new_plan import NewGate, NewMvp, NewPlan
from vitlab.tui.actions import roadmap_there
from vitlab.tui.screens.dialogs import PickScreen, WriteScreen
from vitlab.tui.screens.help import HelpScreen
from vitlab.tui.screens.new_plan import FormScreen

SIZES = [(80, 24), (160, 45)]


async def open_form(it: Stage, kind: str) -> None:
    """Press `N` and choose what is to be made."""
    await it.press("N")
    await it.until(lambda: isinstance(it.app.screen, PickScreen))
    await it.type(kind)
    await it.press("enter")
    await it.until(lambda: isinstance(it.app.screen, FormScreen))


@pytest.mark.parametrize("size", SIZES)
async def test_fields_are_typed_chosen_and_shown_as_text(
    stage: Open, size: tuple[int, int]
) -> None:
    async with stage(size=size) as it:
        await open_form(it, "MVP")
        assert "> name        what is tested, in a few words" in it.text()
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
        assert "Create this MVP" in it.text()
        await it.press("escape")
        assert "Sky [b]" in it.text()
        assert not [asked for asked in it.lab.asked if asked[0] == "save_new"]
        await it.press("enter", "enter")
        await it.until(lambda: it.at_home)
        assert it.lab.asked[-1] == ("save_new", "8.0")
        assert it.lab.asked[-2] == ("create", NewMvp("Sky [b]", "1", "H1.1"))
        await it.until(lambda: "written: roadmaps/vit_roadmap.md (u undoes it)" in it.toasts)


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
        await it.press("7", "N")
        await it.until(lambda: isinstance(it.app.screen, PickScreen))
        assert "> gate: a decision" in it.text()
        await it.press("enter")
        await it.until(lambda: isinstance(it.app.screen, FormScreen))
        await it.press(*"sky", "down", *"R2 > 0.7", "down", "left", "down", *"go", "down", *"stop")
        assert "understood as: R² > 0.7" in it.text()
        await it.press("enter", "y")
        await it.until(lambda: it.lab.asked[-1] == ("save_new", "8.0"))
        wanted = NewGate("sky", "R2 > 0.7", "7.0", "go", "stop")
        assert ("create", wanted) in it.lab.asked


async def test_a_lab_without_a_roadmap_is_offered_a_plan(stage: Open) -> None:
    nothing = usual_view(path=None, roadmap=None, jobs=(), verdicts={}, next=None, pending=0)
    async with stage(size=(80, 24), lab=FakeLab(view=nothing, roadmap=None)) as it:
        await it.press("N")
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


async def confirmed(it: Stage) -> None:
    """Enter on the form shows the diff, enter on the diff writes it."""
    await it.press("enter")
    await it.until(lambda: isinstance(it.app.screen, WriteScreen))
    await it.press("enter")
    await it.until(lambda: any(toast.startswith("written:") for toast in it.toasts))


def files_of(lab: RealLab) -> dict[str, bytes]:
    return {
        str(path.relative_to(lab.paths.root)): path.read_bytes()
        for path in lab.paths.root.rglob("*.md")
    }


@pytest.mark.parametrize("size", SIZES)
async def test_a_new_mvp_is_written_selected_and_undone(
    stage: Open, real_lab: RealLab, size: tuple[int, int]
) -> None:
    before = files_of(real_lab)
    async with stage(size=size, lab=real_lab.lab, roadmap=real_lab.roadmap) as it:
        await it.until(lambda: it.app.home.plan.row_count)
        await open_form(it, "MVP")
        await it.press(*"Sky 专家 [b]", "down", "right")
        await it.until(lambda: "MVP 3.0: changes roadmaps/sleep_roadmap.md" in it.text())
        await confirmed(it)
        await it.until(lambda: it.app.home.plan.row_count == 3)
        chosen = it.app.home.selected_mvp()
        assert chosen is not None
        assert (chosen.id, chosen.name, chosen.gate) == ("3.0", "Sky 专家 [b]", "Gate-1")
        after = files_of(real_lab)
        row = next(line for line in real_lab.roadmap.read_text().split("\n") if "专家 [b]" in line)
        assert row.startswith("| 3.0 | Sky 专家 [b] | 1 | Gate-1 | ⏳ | - | [exp_")
        assert len(after) == 2  # the roadmap and a report
        await it.press("u")
        await it.until(lambda: any(toast.startswith("undone:") for toast in it.toasts))
    assert files_of(real_lab) == before


async def test_a_taken_id_and_a_file_that_changed_meanwhile_are_told_in_the_form(
    stage: Open, real_lab: RealLab
) -> None:
    async with stage(size=(80, 24), lab=real_lab.lab, roadmap=real_lab.roadmap) as it:
        await open_form(it, "MVP")
        await it.press(*"Sky", "up", *"2.0")
        await it.until(lambda: "! " in it.text() and "2.0" in it.text())
        await it.press("enter")
        assert isinstance(it.app.screen, FormScreen)
        await it.press(*["backspace"] * 3)
        await it.until(lambda: "MVP 3.0: changes" in it.text())
        await it.press("enter")
        await it.until(lambda: isinstance(it.app.screen, WriteScreen))
        real_lab.roadmap.write_text("# Another plan\n")
        await it.press("enter")
        await it.until(lambda: isinstance(it.app.screen, FormScreen) and "! " in it.text())
        assert "sleep_roadmap.md" in it.text()
        assert "Sky" in it.text()
    assert files_of(real_lab) == {"roadmaps/sleep_roadmap.md": b"# Another plan\n"}


async def test_a_gate_s_rule_is_read_as_it_will_stand_in_the_roadmap(
    stage: Open, real_lab: RealLab
) -> None:
    before = files_of(real_lab)
    async with stage(size=(80, 24), lab=real_lab.lab, roadmap=real_lab.roadmap) as it:
        await open_form(it, "gate")
        await it.press("enter", *"deeper", "enter")
        assert "! the condition is missing" in it.text()
        await it.type("it looks good")
        await it.until(lambda: "understood as: manual: you decide" in it.text())
        await it.press(*["backspace"] * 13)
        await it.type("log_g R2_test > 0.6")
        await it.until(lambda: "understood as: test R² of log_g > 0.6" in it.text())
        await it.press("down", "left", "down")
        await it.type("deeper nets")
        await it.press("down")
        await it.type("wider nets")
        await confirmed(it)
        gates = real_lab.lab.read_roadmap(real_lab.roadmap).gates
        assert [gate.id for gate in gates] == ["1", "2"]
        assert gates[1].mvps == ("2.0",)
        assert [rule.then for rule in gates[1].rules] == ["✅ deeper nets", "🔴 wider nets"]
        await it.press("u")
        await it.until(lambda: any(toast.startswith("undone:") for toast in it.toasts))
    assert files_of(real_lab) == before


@pytest.mark.parametrize("size", SIZES)
async def test_the_first_plan_of_a_lab_is_made_opened_and_undone(
    stage: Open, real_lab: RealLab, size: tuple[int, int]
) -> None:
    real_lab.roadmap.unlink()
    async with stage(size=size, lab=real_lab.lab) as it:
        assert "no roadmap: N creates one" in it.text()
        await it.press("N")
        await it.until(lambda: isinstance(it.app.screen, FormScreen))
        await it.press(*"Sky lines", "down", "right")
        await confirmed(it)
        await it.until(lambda: "no MVPs in this roadmap yet: N adds one" in it.text())
        assert sorted(files_of(real_lab)) == [
            "roadmaps/sky_lines_hub.md",
            "roadmaps/sky_lines_roadmap.md",
        ]
        await open_form(it, "MVP")
        await it.press(*"Sky")
        await confirmed(it)
        await it.until(lambda: it.app.home.plan.row_count == 1)
        await it.press("u", "u")
        await it.until(lambda: "no roadmap: N creates one" in it.text())
        assert not files_of(real_lab)
        await it.press("U")
        await it.until(lambda: "no MVPs in this roadmap yet" in it.text())


async def test_a_document_without_a_table_is_told_in_the_form(
    stage: Open, real_lab: RealLab
) -> None:
    real_lab.roadmap.write_text("# Notes\n\nNo table here.\n")
    async with stage(size=(80, 24), lab=real_lab.lab, roadmap=real_lab.roadmap) as it:
        await open_form(it, "MVP")
        await it.until(lambda: "! " in it.text() and "no MVP" in it.text())


def test_a_roadmap_made_a_moment_ago_is_there(real_lab: RealLab) -> None:
    lab, text = real_lab.lab, real_lab.roadmap.read_bytes()
    real_lab.roadmap.unlink()
    lab._found["roadmaps"] = (time.monotonic() + 60, [])  # a large repository is read now and then
    assert roadmap_there(lab, real_lab.roadmap) is None
    lab._found["roadmaps"] = (time.monotonic() + 60, [])
    real_lab.roadmap.write_bytes(text)
    assert roadmap_there(lab, None) == real_lab.roadmap
