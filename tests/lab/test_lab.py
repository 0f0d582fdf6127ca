"""Opening a lab: where it is found, what it reads, and a save that a crash cut short."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.conftest import ROADMAP, Ended
from vitlab.contract.paths import NoLab, UsageError
from vitlab.docs.save import change, save
from vitlab.docs.text.edit import Edit
from vitlab.docs.text.source import Span, read
from vitlab.lab.lab import Lab, open_lab
from vitlab.lab.live.snapshot import read_snapshot


def test_a_lab_is_found_from_any_folder_below(lab: Lab) -> None:
    below = lab.paths.experiments / "deep"
    below.mkdir()
    assert open_lab(below).paths.root == lab.paths.root
    with pytest.raises(NoLab, match="vitlab init"):
        open_lab(Path("/"))


def test_settings_win_over_folders(lab: Lab, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    (inner / "roadmaps").mkdir(parents=True)
    (inner / "experiments").mkdir()
    assert open_lab(inner).paths.root == inner
    lab.paths.settings.write_text("profile: smoke\n", encoding="utf-8")
    assert open_lab(inner).settings.profile == "smoke"


def test_an_mvp_is_looked_for_in_every_roadmap(lab: Lab) -> None:
    (lab.paths.roadmaps / "a_roadmap.md").write_text("# nothing yet\n", encoding="utf-8")
    assert lab.roadmap_with("2.0").name == "plan_roadmap.md"
    with pytest.raises(UsageError, match=r"no MVP '9'.*1\.0, 2\.0"):
        lab.roadmap_with("9")


def test_a_shown_roadmap_follows_the_file(lab: Lab, roadmap: Path) -> None:
    first = lab.cached_roadmap(roadmap)
    assert lab.cached_roadmap(roadmap) is first
    roadmap.write_text(ROADMAP.replace("The run", "Our run"), encoding="utf-8")
    assert lab.cached_roadmap(roadmap).mvp("1.0").name == "Our run"


def test_the_next_start_makes_a_save_whole_that_was_cut_short(lab: Lab, roadmap: Path) -> None:
    class Killed(BaseException):
        pass

    def kill(step: str) -> None:
        if step == "journal done":
            raise Killed

    edit = Edit(Span(2, 6), "Plan", "Ours")
    with pytest.raises(Killed):
        save([change(read(roadmap), [edit])], lab.journal, kill)
    open_lab(lab.paths.root)
    assert roadmap.read_text(encoding="utf-8") == ROADMAP.replace("# Plan", "# Ours")
    assert not list(roadmap.parent.glob(".*.tmp-*"))


def test_a_job_is_of_the_roadmap_it_was_launched_from_and_of_no_like_named_one(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    ended("one")
    (lab.paths.roadmaps / "linked_roadmap.md").symlink_to(roadmap)
    longer = lab.paths.root / "roadmaps" / "roadmaps"
    longer.mkdir()
    (longer / roadmap.name).write_text(ROADMAP, encoding="utf-8")
    names = {"roadmaps/plan_roadmap.md"}
    assert read_snapshot(lab, roadmap).names == names
    assert read_snapshot(lab, lab.paths.roadmaps / "linked_roadmap.md").names == names
    assert read_snapshot(lab, longer / roadmap.name).names == set()
