"""What is tried against an autopilot: hand-made evidence, changed plans, a full disk, twice."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.lab.autopilot.test_step import (
    begin,
    left,
    let_end,
    mvps,
    no_processes,
    plan,
    runs,
)
from tests.lab.conftest import Ended
from vitlab.contract.paths import UsageError
from vitlab.lab.autopilot.record import read_autopilot
from vitlab.lab.autopilot.report import report_of
from vitlab.lab.autopilot.step import carry_on
from vitlab.lab.lab import Lab, open_lab
from vitlab.lab.writeback.decisions import decide_gate
from vitlab.lab.writeback.gate_edits import gate_changes

__all__ = ["no_processes", "plan"]


def page(lab: Lab) -> str:
    pilot = read_autopilot(lab.paths)
    assert pilot is not None
    assert pilot.told, pilot.state
    return (lab.paths.root / pilot.page).read_text(encoding="utf-8")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def until_it_ends(lab: Lab) -> None:
    for _ in range(10):
        carry_on(lab)
        let_end(lab)
        pilot = read_autopilot(lab.paths)
        if pilot is not None and pilot.told:
            return
    raise AssertionError("it does not end")


def test_a_gate_that_a_person_passes_without_results_is_followed_and_told(plan: Lab) -> None:
    begin(plan)
    path = plan.roadmap_path()
    because = "seen on the sky"
    changes = [one for one, _ in gate_changes(plan, path, "1", "passed", because)]
    decide_gate(plan, path, "1", "passed", because, changes)
    until_it_ends(plan)
    text = page(plan)
    assert "- Gate-1: decided by hand; by the results it is open: " in text
    assert Counter(mvps(plan)) == Counter(["1.0", "3.0", "4.0"])


def test_a_gate_that_a_person_passes_within_its_errors_is_followed(plan: Lab, ended: Ended) -> None:
    for run in ("one", "two"):
        ended(run, r2=0.699)
    begin(plan)
    path = plan.roadmap_path()
    changes = [one for one, _ in gate_changes(plan, path, "1", "passed", "seen by eye")]
    decide_gate(plan, path, "1", "passed", "seen by eye", changes)
    until_it_ends(plan)
    assert "- Gate-1: decided by hand; by the results it is open: " in page(plan)
    assert "3.0" in mvps(plan)


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("word", ["passed", "FAIL"])
def test_a_gate_typed_into_the_document_is_not_followed(plan: Lab, first: bool, word: str) -> None:
    """Neither after a job of it, nor before the first one."""
    begin(plan)
    if first:
        carry_on(plan)
    glyph = "✅" if word == "passed" else "❌"
    text = plan.roadmap_path().read_text(encoding="utf-8")
    (status,) = (line for line in text.splitlines() if line.startswith("| Status |"))
    edit(plan.roadmap_path(), status, f"| Status | {glyph} {word} |")
    until_it_ends(plan)
    pilot, said = read_autopilot(plan.paths), word.replace("FAIL", "failed")
    assert pilot is not None
    assert pilot.why == (
        f"Gate-1 needs you: says {said}, no result supports it and no decision is recorded: `vitlab"
        f" set roadmaps/plan_roadmap.md --gate 1 --status {said} --because TEXT` records yours"
    )
    assert mvps(plan) == ["1.0", "4.0"]
    assert pilot.why.replace("Gate-1 needs you: ", "- Gate-1: ") in page(plan)


def test_an_mvp_typed_done_is_neither_run_nor_passed_over_in_silence(plan: Lab) -> None:
    begin(plan)
    carry_on(plan)
    edit(plan.roadmap_path(), "branch | 1 | - | ⏳ |", "branch | 1 | - | ✅ |")
    until_it_ends(plan)
    assert "4.0" not in mvps(plan)
    assert "- MVP-4.0: says done, no result supports it and no reason is recorded" in page(plan)


def test_a_rule_that_was_changed_while_it_ran_is_told(plan: Lab, ended: Ended) -> None:
    begin(plan)
    for run in ("one", "two"):
        ended(run, r2=0.6)
    edit(plan.roadmap_path(), "| If R² > 0.70 |", "| If R² > 0.50 |")
    edit(plan.roadmap_path(), "| If R² < 0.65 |", "| If R² < 0.45 |")
    until_it_ends(plan)
    assert "- Gate-1: its rules were changed while it ran; before: R² > 0.70 → " in page(plan)


def test_an_mvp_taken_out_of_the_plan_stops_no_other(plan: Lab) -> None:
    begin(plan)
    carry_on(plan)
    row = "| 1.0 | The run | 1 | Gate-1 |"
    lines = plan.roadmap_path().read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(row) and "| 4.0 |" not in line]
    assert len(kept) == len(lines) - 2
    plan.roadmap_path().write_text("".join(kept), encoding="utf-8")
    until_it_ends(plan)
    assert mvps(plan) == ["1.0"]
    assert "| MVP-1.0 | full | 2 ok |" in page(plan)


def test_an_experiment_that_was_edited_is_not_run_again(plan: Lab) -> None:
    begin(plan)
    carry_on(plan)
    edit(plan.paths.experiments / "the_run.yaml", "{name: two}", "{name: two}, {name: three}")
    until_it_ends(plan)
    assert [key for key in runs(plan) if key[0] == "1.0"] == [("1.0", "one"), ("1.0", "two")]
    assert begun_again(plan) == "was launched before: launch it yourself"


def begun_again(lab: Lab) -> str:
    """Why the first MVP is not launched by another autopilot, once it is planned again."""
    text = lab.roadmap_path().read_text(encoding="utf-8").splitlines(keepends=True)
    rows = [
        "| 1.0 | The run | 1 | Gate-1 | ⏳ | - | - |\n" if line.startswith("| 1.0 |") else line
        for line in text
    ]
    lab.roadmap_path().write_text("".join(rows), encoding="utf-8")
    return left(lab)["1.0"]


def test_a_copy_of_the_plan_has_the_same_runs(plan: Lab) -> None:
    begin(plan)
    until_it_ends(plan)
    copy = plan.roadmap_path().with_name("copy_roadmap.md")
    copy.write_text("# Copy\n\n| MVP | Name | Status |\n|---|---|---|\n| 1.0 | Again | ⏳ |\n")
    again = (plan.paths.experiments / "the_run.yaml").read_text()
    (plan.paths.experiments / "copy.yaml").write_text(
        again.replace("plan_roadmap.md", "copy_roadmap.md")
    )
    why = left(open_lab(plan.paths.root), copy)["1.0"]
    assert why.startswith("has the runs of MVP-1.0 of roadmaps/plan_roadmap.md again")


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of the numbers in the list the first says after how many renames no more are possible."""
    left = [10**9]

    def counted(one: Path, other: Path) -> Path:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        os.rename(one, other)  # noqa: PTH104 - the one that is replaced here
        return Path(other)

    monkeypatch.setattr(Path, "replace", counted)
    monkeypatch.setattr(Path, "rename", counted)
    return left


@pytest.mark.parametrize("moment", range(0, 15, 2))
def test_a_disk_that_fills_up_loses_nothing(plan: Lab, full_disk: list[int], moment: int) -> None:
    begin(plan)
    full_disk[0] = moment
    with contextlib.suppress(OSError, UsageError):
        carry_on(plan)
    full_disk[0] = 10**9
    carry_on(open_lab(plan.paths.root))
    assert runs(plan) == [("1.0", "one"), ("1.0", "two")]


def test_a_disk_that_is_full_starts_none(plan: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(plan.paths.root)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UsageError, match="not started: disk"):
        begin(plan)
    assert read_autopilot(plan.paths) is None


def test_a_report_says_what_is_next(plan: Lab) -> None:
    begin(plan)
    carry_on(plan)
    pilot = read_autopilot(plan.paths)
    assert pilot is not None
    report = report_of(plan, pilot)
    assert report.coming == ("MVP-4.0",)
    assert report.waits == (("MVP-3.0", "Gate-1 is not decided yet"),)
