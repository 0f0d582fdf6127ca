"""A newcomer: the offer of an example lab, and the tour of home."""

from __future__ import annotations

import argparse
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tui.conftest import Open
from tests.tui.fakes import FakeLab
from vitlab.commands.screen import WEB, open_screen
from vitlab.contract.paths import LabPaths, NoLab, UsageError
from vitlab.lab.example import DUE, example_files, make_example, mark_tour_shown, tour_due
from vitlab.lab.lab import open_lab
from vitlab.tui.screens.welcome import STEPS, TourScreen, Welcome


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vitlab.tui.app.GREETING", 0.01)


@pytest.mark.parametrize(("key", "wanted"), [("y", True), ("enter", True), ("n", False),
                                             ("q", False), ("escape", False)])  # fmt: skip
async def test_the_offer_names_the_files_and_takes_one_key(key: str, wanted: bool) -> None:
    app = Welcome(Path("/home/[b]x"), example_files(), lab=False, theme="dark")
    async with app.run_test(size=(80, 24)) as pilot:
        strips = app.screen._compositor.render_strips()
        text = "\n".join("".join(segment.text for segment in strip) for strip in strips)
        assert "no lab in /home/[b]x" in text
        assert "experiments/vit_1m.yaml" in text
        assert "y creates them   n quits" in text
        await pilot.press("j", "k", key)
    assert app.return_value is wanted


async def test_a_lab_without_a_roadmap_is_offered_one_too() -> None:
    app = Welcome(Path("/lab"), [Path("roadmaps/vit_roadmap.md")], lab=True, theme="light")
    async with app.run_test(size=(60, 20)) as pilot:
        strips = app.screen._compositor.render_strips()
        text = "".join("".join(segment.text for segment in strip) for strip in strips)
        assert "n continues without it" in text
        assert app.theme == "vitlab-light"
        await pilot.press("y")


def test_the_example_never_overwrites(tmp_path: Path) -> None:
    mine = tmp_path / "vitlab.yaml"
    mine.write_text("theme: light\n")
    with pytest.raises(UsageError, match="already exists; nothing was written"):
        make_example(tmp_path)
    assert list(tmp_path.iterdir()) == [mine]
    made = make_example(tmp_path, keep=True)
    assert mine.read_text() == "theme: light\n"
    assert {path.relative_to(tmp_path) for path in made} == {*example_files()} - {Path(mine.name)}
    assert open_lab(tmp_path).roadmaps()


def test_the_tour_is_due_once(tmp_path: Path) -> None:
    make_example(tmp_path)
    lab = LabPaths(tmp_path)
    assert tour_due(lab) == DUE
    mark_tour_shown(lab)
    assert tour_due(lab) == ""


def test_a_lab_of_ones_own_is_only_told_where_help_is(tmp_path: Path) -> None:
    lab = LabPaths(tmp_path)
    assert tour_due(lab) == "new"
    job = lab.experiments / "VIT-1" / "run-1"
    job.mkdir(parents=True)
    (job / "spec.json").write_text("{}")
    assert tour_due(lab) == ""


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_the_tour_leads_over_the_real_home(stage: Open, size: tuple[int, int]) -> None:
    async with stage(size=size, lab=FakeLab(toured="due", keys={"write": "W"})) as it:
        await it.until(lambda: isinstance(it.app.screen, TourScreen))
        await it.until(lambda: "1 of 6  Your plan" in it.text())
        assert "> ───── warn" in it.text()
        shown = []
        for _ in STEPS[1:]:
            await it.press("enter")
            shown.append(it.text())
        assert "n launches the MVP that is next" in shown[0]
        assert "112k/200k" in shown[1]
        assert "W shows what it changes" in shown[3]
        await it.press("h")
        assert "5 of 6" in it.text()
        await it.press("enter", "enter")
        assert it.at_home


async def test_escape_skips_and_the_palette_brings_it_back(stage: Open) -> None:
    async with stage(size=(80, 24), lab=FakeLab(toured="due")) as it:
        await it.until(lambda: isinstance(it.app.screen, TourScreen))
        await it.press("escape", "2", "ctrl+p")
        await it.press(*"tour again")
        await it.until(lambda: "show the tour again" in it.text())
        await it.press("down", "enter")
        await it.until(lambda: isinstance(it.app.screen, TourScreen))
        await it.press("escape")
        assert it.at_home
        await it.press("f1")
        assert isinstance(it.app.screen, TourScreen)


async def test_a_newcomer_with_a_lab_is_told_of_it(stage: Open) -> None:
    async with stage(lab=FakeLab(toured="new")) as it:
        await it.until(lambda: any("f1 shows a tour" in said for said in it.toasts))
        assert it.at_home


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[Any]]:
    """What the command opens, in an empty folder and as if in a browser."""
    seen: list[Any] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEXTUAL_DRIVER", WEB)
    monkeypatch.setattr("vitlab.tui.app.run_app", lambda lab, path, **_: seen.append((lab, path)))
    yield seen
    gc.enable()


def answers(monkeypatch: pytest.MonkeyPatch, yes: bool) -> None:
    monkeypatch.setattr("vitlab.tui.screens.welcome.offered", lambda *_, **__: yes)


def screen(roadmap: str | None = None) -> int | None:
    return open_screen(argparse.Namespace(roadmap=roadmap, no_mouse=True))


def test_a_yes_makes_the_example_and_opens_it(
    opened: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answers(monkeypatch, True)
    screen()
    ((lab, path),) = opened
    assert lab.paths.root == tmp_path
    assert path == tmp_path / "roadmaps" / "vit_roadmap.md"
    assert tour_due(lab.paths) == DUE
    screen("roadmaps/vit_roadmap.md")
    assert opened[1][1] == path


def test_a_no_writes_nothing(
    opened: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answers(monkeypatch, False)
    assert screen() == 0
    assert not opened
    assert not list(tmp_path.iterdir())
    (tmp_path / "vitlab.yaml").write_text("theme: light\n")
    screen()
    assert opened[0][1] is None


def test_without_a_terminal_nothing_is_asked(
    opened: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, True)
    monkeypatch.delenv("TEXTUAL_DRIVER")
    with pytest.raises(NoLab, match="vitlab init"):
        screen()
    assert not opened


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_a_terminal_that_places_no_text_is_refused(
    opened: list[Any], monkeypatch: pytest.MonkeyPatch, term: str
) -> None:
    """On such a one Textual lays out for ever, draws nothing and hears no key."""
    monkeypatch.setenv("TERM", term)
    with pytest.raises(UsageError, match=f"TERM is {term}"):
        screen()
    assert not opened
