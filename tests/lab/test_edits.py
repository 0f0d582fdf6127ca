"""What there is to decide about a roadmap's documents, and each decision taken back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.conftest import Ended
from vitlab.contract.paths import UsageError
from vitlab.jobs.store import all_jobs
from vitlab.lab.lab import Lab
from vitlab.lab.live.snapshot import Kept, read_snapshot
from vitlab.lab.writeback.edits import (
    accept,
    document_state,
    fix,
    pending_results,
    plan_update,
    propose_again,
    refuse,
    status_change,
    status_notes,
    undo,
    write,
)
from vitlab.lab.writeback.sync_ledger import record_unwritten, record_written
from vitlab.lab.writeback.writeback import pending


def test_a_sentence_of_ones_own_is_written_and_undone(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    before = roadmap.read_bytes()
    ended("one", 0.75)
    (step,) = document_state(lab, roadmap).updates
    assert step.conclusion in step.summary
    own = "ViT wins | by far `x`"
    assert plan_update(lab, roadmap, "1.0", own).conclusion == own
    write(lab, roadmap, "1.0", own)
    assert r"ViT wins \| by far" in roadmap.read_text(encoding="utf-8")
    assert lab.read_roadmap(roadmap).mvp("1.0").status == "done"
    now = document_state(lab, roadmap)
    assert now.updates == ()
    assert [past.undone for past in now.past] == [False]
    undo(lab)
    assert roadmap.read_bytes() == before
    now = document_state(lab, roadmap)
    assert [step.mvp for step in now.updates] == ["1.0"]
    assert [past.undone for past in now.past] == [True]


def test_what_waits_is_what_the_next_write_shows(lab: Lab, roadmap: Path, ended: Ended) -> None:
    ended("one", 0.75)
    ended("two", 0.7)
    ended("three", 0.7, mvp="2.0", profile="smoke", exp_id="VIT-20260101-another-01")
    assert read_snapshot(lab, roadmap).pending == 3
    accept(lab, pending(lab, roadmap, "1.0"))
    assert read_snapshot(lab, roadmap).pending == 1
    lab.paths.private.sync_ledger.unlink()  # all that it knows is in the documents
    assert read_snapshot(lab, roadmap).pending == 1
    assert [step.mvp for step in document_state(lab, roadmap).updates] == ["2.0"]
    kept = Kept()  # a screen looks at one MVP with each reading
    assert [read_snapshot(lab, roadmap, kept=kept).pending for _ in range(3)] == [1, 1, 1]
    accept(lab, pending(lab, roadmap))
    assert read_snapshot(lab, roadmap, kept=kept).pending == 0


def test_a_report_that_cannot_be_read_stops_no_other_mvp(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    ended("one", 0.75)
    accept(lab, pending(lab, roadmap, "1.0"))
    [report] = roadmap.parent.glob("exp_*.md")
    ended("one", 0.78)
    ended("three", 0.7, mvp="2.0", exp_id="VIT-20260101-another-01")
    report.write_bytes(b"\xff\xfe#\0")
    assert pending(lab, roadmap).mvps == ("2.0",)
    assert [update.mvp for update in document_state(lab, roadmap).updates] == ["2.0"]
    assert any("MVP-1.0: nothing is written of it: " in line for line in lab.notes)
    with pytest.raises(UsageError, match="not UTF-8"):
        pending(lab, roadmap, "1.0")


def test_what_is_refused_waits_no_more_until_it_is_offered_again(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    before = roadmap.read_bytes()
    ended("one", 0.75)
    refuse(lab, roadmap, "1.0")
    now = document_state(lab, roadmap)
    assert (now.updates, now.refused) == ((), ("1.0",))
    assert pending(lab, roadmap).changes == ()
    with pytest.raises(UsageError, match="nothing is left to write"):
        write(lab, roadmap, "1.0")
    propose_again(lab, roadmap, "1.0")
    assert document_state(lab, roadmap).refused == ()
    assert [step.mvp for step in document_state(lab, roadmap).updates] == ["1.0"]
    assert roadmap.read_bytes() == before


def test_a_refusal_is_of_one_roadmap_where_two_share_an_mvp(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    other = roadmap.with_name("other_roadmap.md")
    other.write_text(roadmap.read_text(encoding="utf-8"), encoding="utf-8")
    ended("one", 0.75)
    ended("two", 0.7, roadmap="roadmaps/other_roadmap.md", exp_id="VIT-20260103-other-01")
    refuse(lab, roadmap, "1.0")
    assert document_state(lab, roadmap).refused == ("1.0",)
    assert document_state(lab, other).refused == ()
    assert [update.mvp for update in document_state(lab, other).updates] == ["1.0"]
    refuse(lab, other, "1.0")
    propose_again(lab, other, "1.0")
    assert document_state(lab, roadmap).refused == ("1.0",)
    assert document_state(lab, other).refused == ()


def test_a_refusal_that_was_recorded_by_mvp_alone_is_known_by_its_jobs(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    other = roadmap.with_name("other_roadmap.md")
    other.write_text(roadmap.read_text(encoding="utf-8"), encoding="utf-8")
    ended("one", 0.75)
    record_written(lab, all_jobs(lab.paths), ["refused 1.0"])
    assert document_state(lab, roadmap).refused == ("1.0",)
    assert document_state(lab, other).refused == ()
    propose_again(lab, roadmap, "1.0")
    now = document_state(lab, roadmap)
    assert (now.refused, [update.mvp for update in now.updates]) == ((), ["1.0"])


def test_a_contradiction_is_mended_once(lab: Lab, roadmap: Path) -> None:
    text = roadmap.read_text(encoding="utf-8")
    short = "| 2.0 | Another | 1 | - | ✅ | `VIT-20260101-another-01` |"
    roadmap.write_text(text.replace(short + " - |", short), encoding="utf-8")
    problems = [flaw for flaw in document_state(lab, roadmap).problems if flaw.finding.fix]
    assert [flaw.finding.message for flaw in problems] == ["6 cells where the header has 7"]
    assert problems[0].fix is not None
    assert fix(lab, problems[0]) == [problems[0].path]
    with pytest.raises(UsageError, match="nothing to fix"):
        fix(lab, problems[0])
    undo(lab)
    assert document_state(lab, roadmap).problems != ()


def test_a_status_of_a_shared_row_names_the_others(tmp_path: Path) -> None:
    path = tmp_path / "plan.md"
    path.write_text(
        "| MVP | Name | Status |\n|---|---|---|\n| 1.0 | a | ⏳ |\n| 1.1/1.2 | b | ⏳ |\n\n"
        "| Priority | MVP | Status |\n|---|---|---|\n| P0 | 1.0, 1.2 | ⏳ |\n",
        encoding="utf-8",
    )
    change = status_change(None, path, "1.2", "running")
    assert change is not None
    assert change.new_text is not None
    assert change.new_text.count("🚀") == 1
    assert status_notes(None, change, "1.2") == [
        "line 8: ⏳ is kept: it also covers 1.0, 1.2",
        "line 4: MVP-1.1 set too, the row is shared",
    ]


def test_a_plan_out_of_a_backup_gets_its_results_again_where_they_are_asked_for(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    before = {path: path.read_bytes() for path in lab.paths.roadmaps.glob("*.md")}
    ended("one", 0.75)
    accept(lab, pending_results(lab, roadmap))
    written = roadmap.read_bytes()
    assert pending_results(lab, roadmap).left == pending_results(lab, roadmap, "1.0").left == ()
    for path, data in before.items():
        path.write_bytes(data)
    untouched = pending_results(lab, roadmap)
    assert untouched.changes == ()
    assert untouched.left == (
        "MVP-1.0 is planned, though its results were written once: "
        "`vitlab sync 1.0` writes them again",
    )
    named = pending_results(lab, roadmap, "1.0")
    assert named.changes
    assert pending_results(lab, roadmap) == untouched  # a look changes nothing
    accept(lab, named)
    assert roadmap.read_bytes() == written
    roadmap.write_bytes(before[roadmap])
    record_unwritten(lab, all_jobs(lab.paths))
    refuse(lab, roadmap, "1.0")
    assert pending_results(lab, roadmap, "1.0").changes == ()


def test_only_what_was_shown_is_written(lab: Lab, roadmap: Path, ended: Ended) -> None:
    ended("one", 0.54)
    shown, before = pending_results(lab, roadmap), roadmap.read_bytes()
    ended("one", 0.7)
    with pytest.raises(UsageError, match="other results since this was shown"):
        accept(lab, shown)
    assert roadmap.read_bytes() == before
    accept(lab, pending_results(lab, roadmap))
    assert "0.700" in roadmap.read_text(encoding="utf-8")


def test_a_report_that_leads_out_of_the_lab_stops_no_other_mvp(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    ended("one", 0.54)
    (report,) = [one.path for one in pending_results(lab, roadmap).changes if one.old_text is None]
    outside = lab.paths.root.parent / "outside.md"
    outside.write_text("mine", encoding="utf-8")
    report.symlink_to(outside)
    with pytest.raises(UsageError, match="outside the lab"):
        accept(lab, pending_results(lab, roadmap))
    ended("two", 0.7, mvp="2.0", exp_id="VIT-20260103-another-01")
    accept(lab, pending_results(lab, roadmap))
    text = roadmap.read_text(encoding="utf-8")
    assert ("0.700" in text, "0.540" in text) == (True, False)
    assert outside.read_text(encoding="utf-8") == "mine"
    assert lab.notes[-1].startswith("MVP-1.0: nothing is written of it: ")
    assert "outside the lab" in lab.notes[-1]
