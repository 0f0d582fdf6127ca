"""`L` on an MVP without an experiment file: a file is made, shown, edited, and launched."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from tests.tui.conftest import Open, Stage
from tests.tui.real import RealLab
from vitlab.jobs.experiment.experiment import load_experiment
from vitlab.tui.screens.dialogs import LineScreen, PickScreen, WriteScreen
from vitlab.tui.screens.launch import LaunchScreen, last_choice, remember_choice

SCRIPT = """\
import argparse
p = argparse.ArgumentParser()
p.add_argument("--epochs", type=int, default=30)
epochs = p.parse_args().epochs
for epoch in range(epochs):
    val_r2 = val_mae = epoch / 10
    print(f"epoch {epoch} val_r2={val_r2} val_mae={val_mae}", flush=True)
"""


async def open_choice(it: Stage) -> None:
    """Press `L` on MVP 2.0, which has no experiment file."""
    session = it.app.session
    await it.until(lambda: session.view is not None and session.view.experiments == {"1.0"})
    it.app.home.select("2.0")
    await it.press("L")
    await it.until(lambda: isinstance(it.app.screen, PickScreen))


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An editor that adds a comment to the file; what it was called with."""
    script, out = tmp_path / "editor", tmp_path / "edited"
    script.write_text(f'#!/bin/sh\necho "$1" > {out}\necho "# edited" >> "$1"\n')
    script.chmod(0o755)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", str(script))
    return out


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_from_a_script_to_the_launch_dialog(
    stage: Open, real_lab: RealLab, tmp_path: Path, editor: Path, size: tuple[int, int]
) -> None:
    train = tmp_path / "train.py"
    train.write_text(SCRIPT)
    async with stage(size=size, lab=real_lab.lab, roadmap=real_lab.roadmap) as it:
        it.app.suspend = contextlib.nullcontext  # type: ignore[method-assign, assignment]
        await open_choice(it)
        await it.press("enter")
        await it.until(lambda: isinstance(it.app.screen, LineScreen))
        await it.type(str(tmp_path / "none.py"))
        await it.press("enter")
        await it.until(lambda: "no such file" in it.text())
        await it.press(*["backspace"] * len("none.py"))
        await it.type("train.py")
        await it.press("enter")
        await it.until(lambda: "Its Python" in it.text())
        await it.press("enter")
        await it.until(lambda: "Which unit does the script log val_mae in?" in it.text())
        await it.press("enter")  # I do not know
        await it.until(lambda: isinstance(it.app.screen, WriteScreen))
        it.app.see_messages()  # that of the missing file, which would go by itself
        await it.until(lambda: "left out: val_mae, unit unknown" in it.text())
        assert '+mvp: "2.0"' in it.text()
        assert not list(real_lab.paths.experiments.glob("mvp_2*"))
        await it.press("y")
        await it.until(lambda: isinstance(it.app.screen, LaunchScreen))
        await it.until(lambda: "> smoke" in it.text())
    path = real_lab.paths.experiments / "mvp_2.0.yaml"
    assert editor.read_text() == f"{path}\n"
    assert path.read_text().endswith("# edited\n")
    experiment = load_experiment(path)
    assert experiment.extra["metrics"]["names"] == {"val_r2": "val/r2/log_g"}
    assert experiment.specs("smoke", "x")[0].config["epochs"] == 1


async def test_from_a_template_and_left_again(stage: Open, real_lab: RealLab) -> None:
    async with stage(lab=real_lab.lab, roadmap=real_lab.roadmap) as it:
        await open_choice(it)
        await it.type("ridge")
        await it.press("enter")
        await it.until(lambda: isinstance(it.app.screen, WriteScreen))
        assert "+recipe: ridge" in it.text()
        await it.press("escape")
        await it.until(lambda: not isinstance(it.app.screen, WriteScreen))
        assert not list(real_lab.paths.experiments.glob("mvp_2*"))


async def test_a_script_that_cannot_be_read_is_said_in_a_line(
    stage: Open, real_lab: RealLab, tmp_path: Path
) -> None:
    (tmp_path / "train.py").write_text("def (\n")
    async with stage(lab=real_lab.lab, roadmap=real_lab.roadmap) as it:
        await open_choice(it)
        await it.press("enter")
        await it.until(lambda: isinstance(it.app.screen, LineScreen))
        await it.type(str(tmp_path / "train.py"))
        await it.press("enter")
        await it.until(lambda: "Its Python" in it.text())
        await it.press("enter")
        await it.until(lambda: it.toasts)
        assert "train.py:1: not readable as Python" in it.toasts[-1]


def lines_with(it: Stage, words: str) -> list[str]:
    """The lines of the screen with these words, without the frames about them."""
    parts = [part for line in it.text().split("\n") for part in line.split("│")]
    return [part.strip() for part in parts if words in part]


def ground_of(it: Stage, words: str) -> str:
    """The colour behind the first letters of a line of the screen."""
    for strip in it.app.screen._compositor.render_strips():
        for segment in strip:
            if words in segment.text and segment.style and segment.style.bgcolor:
                return segment.style.bgcolor.name
    raise AssertionError(it.text())


@pytest.mark.parametrize("size", [(80, 24), (120, 35), (160, 45)])
async def test_the_chosen_line_is_seen_with_and_without_colour(
    stage: Open, real_lab: RealLab, size: tuple[int, int]
) -> None:
    async with stage(size=size, lab=real_lab.lab, roadmap=real_lab.roadmap) as it:
        await open_choice(it)
        assert lines_with(it, "my own script") == ["> my own script"]
        assert lines_with(it, "ridge:") == ["ridge: a linear model"]
        resting = ground_of(it, "ridge:")
        await it.press("down", "down", "down")
        assert lines_with(it, "my own script") == ["my own script"]
        assert lines_with(it, "ridge:") == ["> ridge: a linear model"]
        assert ground_of(it, "ridge:") != resting
        await it.type("boosted")
        assert lines_with(it, "lightgbm:") == ["> lightgbm: boosted trees"]


async def test_no_unit_is_chosen_beforehand_and_escape_leaves_it_all(
    stage: Open, real_lab: RealLab, tmp_path: Path
) -> None:
    train = tmp_path / "train.py"
    train.write_text(SCRIPT)
    async with stage(lab=real_lab.lab, roadmap=real_lab.roadmap) as it:
        await open_choice(it)
        await it.press("enter")
        await it.until(lambda: isinstance(it.app.screen, LineScreen))
        await it.type(str(train))
        await it.press("enter")
        await it.until(lambda: "Its Python" in it.text())
        await it.press("enter")
        await it.until(lambda: "Which unit does the script log val_mae in?" in it.text())
        assert lines_with(it, "> ") == ["> leave it out: I do not know its unit"]
        await it.press("down")
        assert lines_with(it, "> ") == ["> the label's unit: dex, K"]
        await it.press("escape")
        await it.until(lambda: it.at_home)
    assert not list(real_lab.paths.experiments.glob("mvp_2*"))


async def test_a_write_that_fails_is_one_line_and_can_be_tried_again(
    stage: Open, real_lab: RealLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("VISUAL", "EDITOR"):
        monkeypatch.setenv(variable, "true")
    async with stage(lab=real_lab.lab, roadmap=real_lab.roadmap) as it:
        it.app.suspend = contextlib.nullcontext  # type: ignore[method-assign, assignment]
        await open_choice(it)
        await it.type("ridge")
        await it.press("enter")
        await it.until(lambda: isinstance(it.app.screen, WriteScreen))
        folder = real_lab.paths.experiments
        away = folder.rename(folder.with_name("away"))
        folder.write_text("in the way\n")
        await it.press("y")
        await it.until(lambda: f"{folder}: File exists" in it.toasts)  # reading the lab fails too
        assert isinstance(it.app.screen, WriteScreen)
        folder.unlink()
        await it.press("y")
        await it.until(lambda: isinstance(it.app.screen, LaunchScreen))
    assert list(folder.glob("mvp_2*"))
    assert away.is_dir()


async def test_a_full_run_is_no_habit_and_no_surprise(stage: Open, real_lab: RealLab) -> None:
    (real_lab.paths.root / "vitlab.yaml").write_text("profile: demo\n")
    lab = real_lab.lab
    remember_choice(lab, ("smoke", "local"))
    assert last_choice(lab) == ("smoke", "local")
    remember_choice(lab, ("full", "slurm"))
    assert last_choice(lab) == ("demo", "slurm")
    async with stage(lab=lab, roadmap=real_lab.roadmap) as it:
        await it.press("L")
        await it.until(lambda: isinstance(it.app.screen, LaunchScreen))
        await it.until(lambda: "the file has no smaller profile" in it.text())
