"""Verdicts of gates in documents: which are explained, and by what."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import pytest

from tests.lab.conftest import Ended
from tests.lab.test_numbers import hand_edit
from vitlab.cli import main
from vitlab.contract.user_key import write_own
from vitlab.docs.judge.verdict import Verdict
from vitlab.docs.lint.finding import Finding
from vitlab.jobs.store import all_jobs
from vitlab.lab.after_save import write_decisions
from vitlab.lab.earlier import keep_earlier
from vitlab.lab.lab import Lab, open_lab
from vitlab.lab.live.judged import KeptJudgements, judge_roadmap
from vitlab.lab.results.decided import given_by_person, read_decisions
from vitlab.lab.results.job_results import newest_results
from vitlab.lab.results.ranking import verdicts_of
from vitlab.lab.writeback.contradictions import lint_file
from vitlab.lab.writeback.edits import document_state, redo, undo, write

OPEN, TYPED = "| Status | ⏳ planned |", "| Status | ✅ passed |"
SET = ["set", "roadmaps/plan_roadmap.md", "--gate", "1", "--status"]
CHAIN = """
### Gate-2: And then

| Item | Content |
|------|---------|
| If Gate-1 passed | ✅ publish |
| Status | ⏳ planned |
"""


def found(lab: Lab, roadmap: Path) -> list[Finding]:
    return [one for one in lint_file(lab, roadmap) if one.kind == "gate-without-evidence"]


@pytest.fixture(autouse=True)
def inside(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lab.paths.root)


@pytest.mark.parametrize("profile", ["smoke", "full"])
def test_a_verdict_typed_into_the_document_is_found(
    lab: Lab, roadmap: Path, ended: Ended, profile: str
) -> None:
    ended("one", 0.6, profile=profile)
    hand_edit(roadmap, OPEN, TYPED)
    (hit,) = found(lab, roadmap)
    assert not hit.is_note
    assert hit.message == (
        "Gate-1 says passed, no result supports it and no decision is recorded: `vitlab set "
        "roadmaps/plan_roadmap.md --gate 1 --status passed --because TEXT` records yours"
    )
    assert main([*SET, "passed", "--because", "the sky"]) == 0  # what it tells to do
    assert [one for one in found(lab, roadmap) if not one.is_note] == []


def test_a_person_s_decision_is_kept_with_its_reason(lab: Lab, roadmap: Path, ended: Ended) -> None:
    ended("one", 0.6, profile="smoke")
    assert main([*SET, "passed", "--because", "the sky is clear"]) == 0
    assert found(lab, roadmap) == []
    assert "the sky is clear" in roadmap.read_text(encoding="utf-8")
    (past,) = document_state(lab, roadmap).past
    assert past.what == "Gate-1: the sky is clear"
    for number in range(300):  # the journal keeps 200
        lab.journal.path_of(number, "done").unlink(missing_ok=True)
    assert found(lab, roadmap) == []
    path = lab.paths.private.decisions
    record = json.loads(path.read_bytes())
    write_decisions(lab.paths, [{**one, "of_tomorrow": 1} for one in record["decisions"]])
    assert found(lab, roadmap) == []  # as a newer vitlab has kept it
    record["decisions"][0]["status"] = "failed"
    path.write_text(json.dumps(record))  # not of this user any more
    assert len(found(lab, roadmap)) == 1


@pytest.mark.parametrize(
    ("before", "after", "was"),
    [
        (b"clear", b"cleas", "is of another user or lab, or was changed"),
        (b'"seal"', b"", "cannot be read"),
    ],
)
def test_a_broken_record_of_decisions_is_told_and_kept_aside(
    before: bytes,
    after: bytes,
    was: str,
    lab: Lab,
    roadmap: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*SET, "passed", "--because", "the sky is clear"]) == 0
    path = lab.paths.private.decisions
    path.write_bytes(torn := path.read_bytes().replace(before, after))
    capsys.readouterr()
    assert main([*SET, "failed", "--because", "it is not"]) == 0
    told = f".vitlab/decisions.json: {was}: what persons decided is not known"
    assert told in capsys.readouterr().err
    assert [one.because for one in read_decisions(lab)] == ["it is not"]
    assert path.with_name(f"{path.name}.aside").read_bytes() == torn


def test_decisions_of_another_lab_explain_nothing_here(
    lab: Lab,
    roadmap: Path,
    ended: Ended,
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ended("one", 0.6, profile="smoke")
    private, here = lab.paths.private, lab.paths.private.decisions
    assert main([*SET, "passed", "--because", "the sky is clear"]) == 0
    copied = open_lab(shutil.copytree(lab.paths.root, tmp_path_factory.mktemp("other") / "copied"))
    assert found(copied, copied.roadmap_path()) == []
    shutil.rmtree(private.folder)
    private.make()
    write_own(private.earlier, {"v": 1, "roadmaps": {}})  # this is another lab now
    shutil.copyfile(copied.paths.private.decisions, here)
    assert [one.is_note for one in found(lab, roadmap)] == [False]
    capsys.readouterr()
    assert main([*SET, "passed", "--because", "the clouds"]) == 0
    assert ".vitlab/decisions.json: is of another user or lab" in capsys.readouterr().err
    assert [one.because for one in read_decisions(lab)] == ["the clouds"]
    own = here.read_bytes()
    shutil.rmtree(private.folder)
    private.make()
    here.write_bytes(own)  # brought back alone, before and behind a new mark
    for _ in range(2):
        assert found(lab, roadmap) == []
        write_own(private.earlier, {"v": 1, "roadmaps": {}})
    mark = private.mark.read_bytes()
    private.mark.write_bytes(b"")  # as a power loss leaves it
    assert found(lab, roadmap) == []
    write_own(private.earlier, {"v": 1, "roadmaps": {}})
    assert private.mark.read_bytes() == mark


def test_where_the_document_cannot_be_written_no_decision_is_kept(
    lab: Lab, roadmap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(*_: object) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = roadmap.read_bytes()
    monkeypatch.setattr("vitlab.docs.save._prepare", prepare)
    done = ["set", "roadmaps/plan_roadmap.md", "--mvp", "1.0", "--status", "done"]
    for command in ([*SET, "passed"], done):
        assert main([*command, "--because", "seen by eye"]) == 2
    assert read_decisions(lab) == []
    assert roadmap.read_bytes() == before


def decide_at(monkeypatch: pytest.MonkeyPatch, at: float, word: str) -> None:
    """Decide the gate at a time among those at which jobs of `ended` end."""
    with monkeypatch.context() as patch:
        patch.setattr("vitlab.lab.writeback.decisions.time.time", lambda: at)
        assert main([*SET, word, "--because", "seen by eye"]) == 0


def verdict_now(lab: Lab, roadmap: Path) -> Verdict:
    (verdict,) = verdicts_of(lab, lab.read_roadmap(roadmap), newest_results(lab, roadmap))
    return verdict


def test_a_person_s_decision_stands_while_full_results_leave_the_gate_open(
    lab: Lab, roadmap: Path, ended: Ended, capsys: pytest.CaptureFixture[str]
) -> None:
    ended("one", 0.699)
    write(lab, roadmap, "1.0")
    jobs, kept = all_jobs(lab.paths), KeptJudgements()
    read = lab.read_roadmap(roadmap)
    assert judge_roadmap(lab, read, jobs, jobs, kept).verdicts["1"].shown == "open"
    assert main([*SET, "passed", "--because", "seen by eye"]) == 0
    again = judge_roadmap(lab, lab.read_roadmap(roadmap), jobs, jobs, kept)
    assert again.verdicts["1"].shown == "passed (by hand)"
    for command in (["gates"], ["status"]):
        capsys.readouterr()
        assert main([*command, "roadmaps/plan_roadmap.md"]) == 0
        assert "passed (by hand)" in capsys.readouterr().out
    ended("one", 0.698)
    write(lab, roadmap, "1.0")
    assert lab.read_roadmap(roadmap).gate("1").status == "done"
    assert "seen by eye" in roadmap.read_text(encoding="utf-8")
    assert verdict_now(lab, roadmap).shown == "passed (by hand)"
    assert [one for one in found(lab, roadmap) if not one.is_note] == []


def test_new_results_that_say_the_opposite_open_a_decided_gate_again(
    lab: Lab, roadmap: Path, ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (0.5, 0.51, 0.49):
        job = ended("one", number)
    assert verdict_now(lab, roadmap).shown == "fail"
    decide_at(monkeypatch, json.loads(job.exit.read_bytes())["ended"] + 1, "passed")
    write(lab, roadmap, "1.0")  # the person knew these results
    assert lab.read_roadmap(roadmap).gate("1").status == "done"
    assert verdict_now(lab, roadmap).shown == "passed (by hand)"
    ended("one", 0.5)
    now = verdict_now(lab, roadmap)
    assert (now.verdict, now.reopens, now.by_hand) == ("open", True, None)
    decided = roadmap.read_text(encoding="utf-8")
    write(lab, roadmap, "1.0")
    assert lab.read_roadmap(roadmap).gate("1").status == "analysing"
    roadmap.write_text(decided, encoding="utf-8")  # what was taken back is no decision any more
    assert [one.is_note for one in found(lab, roadmap)] == [False]


def test_what_was_undone_or_opened_again_explains_nothing(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    ended("one", 0.6, profile="smoke")
    assert main([*SET, "passed", "--because", "the sky"]) == 0
    decided = roadmap.read_text(encoding="utf-8")
    undo(lab)
    roadmap.write_text(decided, encoding="utf-8")
    assert len(found(lab, roadmap)) == 1
    hand_edit(roadmap, decided, decided.replace("✅ passed", "⏳ planned"))
    assert main([*SET, "passed", "--because", "the sky again"]) == 0
    assert found(lab, roadmap) == []
    assert main([*SET, "open"]) == 0
    roadmap.write_text(decided, encoding="utf-8")
    assert len(found(lab, roadmap)) == 1


def test_a_decision_that_was_redone_explains_it(lab: Lab, roadmap: Path, ended: Ended) -> None:
    ended("one", 0.6, profile="smoke")
    assert main([*SET, "failed", "--because", "the sky"]) == 0
    undo(lab)
    redo(lab)
    assert found(lab, roadmap) == []


def test_what_results_decided_stays_explained_without_them(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    job = ended("one", 0.9)
    keep_earlier(lab, roadmap)
    assert (
        "✅"
        not in roadmap.read_text(encoding="utf-8")
        .partition("## Overview")[0]
        .partition("Status")[2]
    )
    for number in (0.9, 0.91, 0.89):
        ended("two", number)
    write(lab, roadmap, "1.0")
    assert lab.read_roadmap(roadmap).gate("1").status == "done"
    assert found(lab, roadmap) == []
    for other in lab.paths.experiments.glob("VIT-*/*/result.json"):
        other.unlink()
    assert not job.result.exists()
    assert found(lab, roadmap) == []
    lab.paths.private.decisions.unlink()
    assert len(found(lab, roadmap)) == 1


@pytest.mark.parametrize("noted", [False, True])
def test_a_gate_decided_before_the_first_job_is_one_note(
    lab: Lab, roadmap: Path, ended: Ended, noted: bool
) -> None:
    hand_edit(roadmap, "| MVP | MVP-1.0 |", "| MVP | MVP-2.0 |")  # which is done
    hand_edit(roadmap, OPEN, TYPED)
    assert found(lab, roadmap) == []
    if noted:
        keep_earlier(lab, roadmap)
        ended("one", 0.6, mvp="2.0", profile="smoke")
    ended("one", 0.6)
    (note,) = found(lab, roadmap)
    assert (note.is_note, note.message.partition(":")[0]) == (True, "Gate-1")
    if not noted:  # nothing says that it was there before
        ended("one", 0.6, mvp="2.0", profile="smoke")
        assert [one.is_note for one in found(lab, roadmap)] == [False]


def test_a_gate_whose_rule_names_a_typed_one_is_found_too(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    hand_edit(roadmap, "\n## Overview", CHAIN + "\n## Overview")
    keep_earlier(lab, roadmap)
    ended("one", 0.6)
    hand_edit(roadmap, "⏳ planned", "✅ passed")
    assert [one.message[:6] for one in found(lab, roadmap)] == ["Gate-1", "Gate-2"]


def test_done_without_a_full_result_needs_a_reason(
    lab: Lab, roadmap: Path, ended: Ended, capsys: pytest.CaptureFixture[str]
) -> None:
    done = ["set", "roadmaps/plan_roadmap.md", "--mvp", "1.0", "--status", "done"]
    ended("one", 0.75, profile="smoke")
    before = roadmap.read_bytes()
    assert main(done) == 2
    assert "MVP-1.0: no result supports it: give your reason" in capsys.readouterr().err
    assert roadmap.read_bytes() == before
    assert main([*done, "--because", "it ran elsewhere"]) == 0
    assert "status done (it ran elsewhere)" in "".join(
        one.read_text(encoding="utf-8") for one in lab.paths.private.journal.glob("*.json")
    )
    assert main([*done[:3], "2.0", "--status", "planned"]) == 0
    assert main([*done[:3], "2.0", "--status", "done"]) == 0  # nothing says what stood before


def test_an_mvp_that_never_ran_is_done_by_a_person_s_word(
    lab: Lab, roadmap: Path, ended: Ended, capsys: pytest.CaptureFixture[str]
) -> None:
    done = ["set", "roadmaps/plan_roadmap.md", "--mvp", "2.0", "--status", "done"]
    assert main([*done[:-1], "planned"]) == 0
    assert main([*done, "--dry-run"]) == 0  # the plan is older than its lab
    keep_earlier(lab, roadmap)
    ended("one", 0.75)
    before = roadmap.read_bytes()
    assert main(done) == 2
    assert "MVP-2.0: no result supports it: give your reason (--because" in capsys.readouterr().err
    assert roadmap.read_bytes() == before
    assert main([*done, "--because", "it ran elsewhere"]) == 0
    assert given_by_person(lab, lab.read_roadmap(roadmap)) == {"2.0": "it ran elsewhere"}
    assert main(["undo"]) == 0
    assert given_by_person(lab, lab.read_roadmap(roadmap)) == {}
    assert main(["redo"]) == 0
    assert main([*done, "--because", "on the cluster"]) == 0
    assert "is done already; your reason is kept" in capsys.readouterr().err
    assert given_by_person(lab, lab.read_roadmap(roadmap)) == {"2.0": "on the cluster"}
    assert main([*done[:-1], "planned"]) == 0
    assert given_by_person(lab, lab.read_roadmap(roadmap)) == {}


def test_done_that_was_typed_without_a_result_is_found(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    """Not what stood before the first job, nor what a full run or a person's word supports."""
    keep_earlier(lab, roadmap)  # MVP-2.0 is done
    ended("one", 0.75, profile="smoke")
    hand_edit(roadmap, "| 1.0 | The run | 1 | Gate-1 | ⏳ |", "| 1.0 | The run | 1 | Gate-1 | ✅ |")
    (hit,) = (one for one in lint_file(lab, roadmap) if one.kind == "done-without-result")
    assert hit.message.startswith("MVP-1.0 says done, no result supports it and no reason")
    done = ["set", str(roadmap), "--mvp", "1.0", "--status", "done", "--because", "elsewhere"]
    assert main(done) == 0
    assert "done-without-result" not in {one.kind for one in lint_file(lab, roadmap)}
    lab.paths.private.decisions.unlink()
    ended("one", 0.75)
    assert "done-without-result" not in {one.kind for one in lint_file(lab, roadmap)}


def test_a_person_s_reason_is_none_of_vitlab_s(
    lab: Lab, roadmap: Path, ended: Ended, capsys: pytest.CaptureFixture[str]
) -> None:
    ended("one", 0.6)
    assert main([*SET, "passed", "--because", "by the results of MVP-1.0"]) == 2
    assert "begins what vitlab itself decides" in capsys.readouterr().err


def rules(lab: Lab, roadmap: Path) -> list[Finding]:
    return [one for one in lint_file(lab, roadmap) if one.kind == "gate-rule-changed"]


def test_a_rule_that_was_moved_after_its_results_is_found(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    ended("one", 0.6)
    write(lab, roadmap, "1.0")
    assert rules(lab, roadmap) == []
    before = roadmap.read_text(encoding="utf-8")
    hand_edit(roadmap, "If R² > 0.70", "If R² > 0.55")
    hand_edit(roadmap, "If R² < 0.65", "If R² < 0.50")
    (hit,) = rules(lab, roadmap)
    assert not hit.is_note
    assert hit.message == (
        "Gate-1: its rule was 'R² > 0.70; R² < 0.65' when results were written, "
        "and is 'R² > 0.55; R² < 0.50' now"
    )
    ended("two", 0.61)
    write(lab, roadmap, "1.0")  # by the rule of now, which stays told
    (hit,) = rules(lab, roadmap)
    assert hit.is_note
    roadmap.write_text(before, encoding="utf-8")
    lab.paths.private.numbers.unlink()
    assert rules(lab, roadmap) == []
