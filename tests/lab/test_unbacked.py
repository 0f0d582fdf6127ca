"""Numbers that no result backs where an MVP has trials alone, and those older than its jobs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.conftest import Ended
from tests.lab.test_numbers import found, hand_edit, told
from vitlab.cli import main
from vitlab.contract.job import read_result, write_result
from vitlab.contract.paths import JobPaths
from vitlab.lab.earlier import keep_earlier, read_earlier
from vitlab.lab.lab import Lab
from vitlab.lab.launch import Request, launch, plan_launch
from vitlab.lab.writeback.edits import write
from vitlab.lab.writeback.number_origins import NONE, NOT_CHECKED

HUB_HEAD = "|-----------|-------|-----------|--------|\n"
CONCLUSIONS = "|-----|------------|------------|\n"


def in_hub(roadmap: Path, indicator: str, value: str, condition: str = "1k/100, MVP-1.0") -> None:
    row = f"| {indicator} | {value} | {condition} | - |\n"
    hand_edit(roadmap.with_name("plan_hub.md"), HUB_HEAD, HUB_HEAD + row)


def kinds(lab: Lab, roadmap: Path) -> set[str]:
    return {one.kind for one in found(lab, roadmap)}


@pytest.mark.parametrize("mark", ["", " (demo)", " (smoke)", " (full)"])
@pytest.mark.parametrize("name", ["ViT R² (test)", "ViT MAE", "R²_val", "ViT R² M_H"])
def test_an_invented_number_beside_trials_is_found(
    lab: Lab, roadmap: Path, ended: Ended, mark: str, name: str
) -> None:
    ended("one", 0.7512, profile="smoke")
    write(lab, roadmap, "1.0")
    assert found(lab, roadmap) == []
    in_hub(roadmap, name, f"0.951{mark}")
    assert "number-without-result" in kinds(lab, roadmap)


@pytest.mark.parametrize("mark", ["", " (demo)", " (smoke)"])
def test_an_invented_conclusion_of_a_trial_s_report_is_found(
    lab: Lab, roadmap: Path, ended: Ended, mark: str
) -> None:
    ended("one", 0.7512, profile="smoke")
    report = next(one for one in write(lab, roadmap, "1.0") if one.name.startswith("exp_"))
    text = report.read_text(encoding="utf-8")
    hand_edit(report, "R²_test=0.751 ± 0.004 (smoke)", f"R²_test=0.951{mark}, n=100")
    assert report.read_text(encoding="utf-8") != text
    assert {one.path for one in found(lab, roadmap) if "0.951" in one.message} == {report}


def test_a_trial_s_number_with_another_trial_s_mark_is_found(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    ended("one", 0.7512, profile="smoke")
    write(lab, roadmap, "1.0")
    for path in roadmap.parent.glob("*.md"):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("(smoke)", "(demo)"), encoding="utf-8")
    hub, log = (one for one in found(lab, roadmap) if one.path and one.path.name == "plan_hub.md")
    assert log.line > hub.line
    assert "no demo run has a result; there are results of smoke" in hub.message


def test_another_mvp_s_number_in_a_row_is_found(lab: Lab, roadmap: Path, ended: Ended) -> None:
    ended("one", 0.7512)
    ended("one", 0.6234, mvp="2.0", model="LightGBM")
    write(lab, roadmap, "1.0")
    write(lab, roadmap, "2.0")
    assert found(lab, roadmap) == []
    in_hub(roadmap, "ViT R²", "0.623")
    assert kinds(lab, roadmap) >= {"number-without-result"}
    hand_edit(roadmap.with_name("plan_hub.md"), "| ViT R² | 0.623", "| LightGBM R² | 0.623")
    assert "number-without-result" not in kinds(lab, roadmap)


def test_what_stood_before_the_first_job_needs_no_result(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    """Though its MVP is planned again; once it is changed it does."""
    hand_edit(roadmap, CONCLUSIONS, CONCLUSIONS + "| MVP-1.0 | R² = 0.913 | R²=0.913 |\n")
    in_hub(roadmap, "ViT R²", "0.913")
    keep_earlier(lab, roadmap)
    ended("one", 0.7512, profile="smoke")
    assert found(lab, roadmap) == []
    assert {(one.verdict, one.why) for one in told(lab, "0.913")} == {
        (NOT_CHECKED, "older than the jobs of its roadmap")
    }
    hand_edit(roadmap, "R² = 0.913", "R² = 0.923")
    keep_earlier(lab, roadmap)  # is of no use now
    assert [one.kind for one in found(lab, roadmap)] == ["number-without-result"]
    ended("one", 0.7512)  # a full run says what its numbers are
    assert len(found(lab, roadmap)) == 3


def test_a_launch_notes_what_its_documents_said(
    lab: Lab, roadmap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vitlab.jobs.queue.scheduler.advance", lambda _: None)
    hand_edit(roadmap, "| MVP | MVP-1.0 |", "| MVP | MVP-2.0 |")  # which has ended
    hand_edit(roadmap, "| Status | ⏳ planned |", "| Status | ✅ PASS (R² = 0.913) |")
    launch(lab, plan_launch(lab, Request(roadmap, "1.0", "smoke")))
    earlier = read_earlier(lab, roadmap)
    assert earlier is not None
    assert dict(earlier.gates) == {"1": "done"}
    assert "0.913" in {text for _, _, text in earlier.numbers}
    lab.paths.private.earlier.write_text('{"v": 1, "roadmaps": {}}')  # nobody sealed it
    launch(lab, plan_launch(lab, Request(roadmap, "1.0", "smoke")), force=True)
    assert read_earlier(lab, roadmap) is None  # there were jobs before


def test_a_size_typed_over_is_found(lab: Lab, roadmap: Path, ended: Ended) -> None:
    ended("one", 0.7512, profile="smoke")
    report = next(one for one in write(lab, roadmap, "1.0") if one.name.startswith("exp_"))
    hub = roadmap.with_name("plan_hub.md")
    for path, old, new in ((hub, "| 1k/100, ", "| 1M/100, "), (report, "1k ", "1M ")):
        before = path.read_text(encoding="utf-8")
        hand_edit(path, old, new)
        assert {one.message.partition(" was")[0] for one in found(lab, roadmap)} == {
            "1M here, and 1k"
        }
        path.write_text(before, encoding="utf-8")
        assert found(lab, roadmap) == []


@pytest.mark.parametrize(
    "sentence",
    [
        "The ViT reaches a test R2 of 0.951",
        "R² is as high as 0.951",
        "its R-squared is 0.951",
        "决定系数达到 0.951",
        "R² = ０.９５１",
        "R² = 0．951",
        "R² = 0,951",
        "R² = 0.9\u200b51",
        "R² = 1",
        "R²≈0.951",
        "R² rises to 0.951",
        "R² improves from 0.75 to 0.951",
        "0.951 R²",
        "R² (0.951)",
        "it reaches 0.951 on the test stars",
        "it explains 95.1% of the variance",
        "R² 提升到 0.951",
        "R² 约为0.951",
        "达到 0.951 的 R²",
        "在测试集上达到 0.951",
        "R² = 0.951 (seed 3)",
    ],
)
def test_an_invented_number_is_found_however_it_is_spelled(
    lab: Lab, roadmap: Path, ended: Ended, sentence: str
) -> None:
    ended("one", 0.7512)
    write(lab, roadmap, "1.0")
    hand_edit(roadmap, "| MVP-1.0 | ViT", f"| MVP-1.0 | {sentence}. ViT")
    assert "number-without-result" in kinds(lab, roadmap)


@pytest.mark.parametrize(
    "sentence",
    [
        "R² is 0.05 higher than before",
        "R² of 0.05-0.07 more",
        "seeds 0,10,20, R² 变化",
        "R² rises by 0.05",
        "R² 提升 0.05",
        "R² should reach 0.951",
        "next: once R² reaches 0.951",
        "若 R² 达到 0.951",
        "R² between 0.90 and 0.951",
        "0.939 of the ceiling",
        "达到 Bayes 上限的 0.939",
        "the loss reaches 0.123",
        "R² rises from 0.70 to 0.751",
        "R² ≈ 0.75",
    ],
)
def test_a_difference_in_words_is_no_number_of_a_result(
    lab: Lab, roadmap: Path, ended: Ended, sentence: str
) -> None:
    ended("one", 0.7512)
    write(lab, roadmap, "1.0")
    hand_edit(roadmap, "| MVP-1.0 | ViT", f"| MVP-1.0 | {sentence}. ViT")
    assert found(lab, roadmap) == []


def without_validation(*jobs: JobPaths) -> None:
    for job in jobs:
        result = read_result(job.result)
        assert result is not None
        values = {name: x for name, x in result.values.items() if not name.startswith("val/")}
        write_result(job.result, replace(result, values=values))


def test_the_range_of_runs_of_which_none_is_chosen_is_backed(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    without_validation(ended("one", 0.6331, profile="smoke"), ended("two", 0.6419, profile="smoke"))
    write(lab, roadmap, "1.0")
    assert "R²_test=0.633..0.642 (smoke)" in roadmap.read_text(encoding="utf-8")
    lab.paths.private.numbers.unlink()
    assert found(lab, roadmap) == []
    hand_edit(roadmap, "0.633..0.642", "0.733..0.742")
    assert "number-without-result" in kinds(lab, roadmap)


@pytest.mark.parametrize(
    ("text", "kinds_of"),
    [
        ("T_eff MAE = 61 K", set()),
        ("T_eff bias = -7 K", set()),
        ("T_eff MAE = 63 K", {"number-without-result"}),
        ("MAE = 0", {"number-without-result"}),
        ("R² = 1", {"number-without-result"}),
    ],
)
def test_an_integer_is_the_rounding_of_kelvin_alone(
    lab: Lab, roadmap: Path, ended: Ended, text: str, kinds_of: set[str]
) -> None:
    path = ended("one", 0.7512).result
    result = read_result(path)
    assert result is not None
    of_teff = {"test/mae/T_eff": 61.2, "test/bias/T_eff": -6.7, "test/mae/log_g": 0.21}
    write_result(path, replace(result, values={**result.values, **of_teff}))
    write(lab, roadmap, "1.0")
    hub = roadmap.with_name("plan_hub.md")
    hub.write_text(f"{hub.read_text(encoding='utf-8')}\n- MVP-1.0: {text}\n", encoding="utf-8")
    assert kinds(lab, roadmap) == kinds_of


def test_what_a_run_told_while_it_went_on_is_explained_by_its_events(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    trial = ended("one", 0.7512, profile="smoke").result
    result = read_result(trial)
    assert result is not None
    write_result(trial, replace(result, best={"epoch": 3.0}))
    write(lab, roadmap, "1.0")
    job = ended("one", None, outcome="failed")
    told_then = {
        "kind": "eval",
        "t": 1.0,
        "step": 9,
        "epoch": 3,
        "values": {"val/r2/log_g": 0.5551},
    }
    job.events.write_text(json.dumps({"v": 1, **told_then}) + "\n", encoding="utf-8")
    in_hub(roadmap, "ViT R² (val)", "0.555 (ep3)")
    hand_edit(roadmap, CONCLUSIONS, f"{CONCLUSIONS}| 1.0 | R²_val=0.555 (ep3) | - |\n")
    assert found(lab, roadmap) == []
    assert {(one.verdict, one.why) for one in told(lab, "0.555")} == {
        (NOT_CHECKED, f"told by {job.name} as it ran")
    }
    hand_edit(roadmap, "0.555 (ep3)", "0.655 (ep3)")
    assert "number-without-result" in kinds(lab, roadmap)


def test_an_invented_number_of_an_mvp_whose_jobs_all_failed_is_found(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    hand_edit(roadmap, CONCLUSIONS, f"{CONCLUSIONS}| 1.0 | Before: | R²_test=0.811 |\n")
    keep_earlier(lab, roadmap)
    ended("one", None, outcome="failed")
    assert found(lab, roadmap) == []
    hand_edit(roadmap, "R²_test=0.811", "R²_test=0.951")
    (hit,) = found(lab, roadmap)
    assert hit.message == "R²_test=0.951 of MVP 1.0: none of its jobs here has a result"
    assert {one.verdict for one in told(lab, "0.951")} == {NONE}


def test_an_invented_number_of_an_mvp_that_never_ran_needs_a_person_s_word(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    """What stood before the first job needs none, though its line was edited since."""
    hand_edit(roadmap, CONCLUSIONS, f"{CONCLUSIONS}| MVP-2.0 | Before: | R²_test=0.811 |\n")
    keep_earlier(lab, roadmap)
    ended("one", 0.7512)
    write(lab, roadmap, "1.0")
    hand_edit(roadmap, "Before: | R²_test=0.811", "It was on 1k stars: | R²_test=0.811, n=10")
    assert found(lab, roadmap) == []
    hand_edit(roadmap, "R²_test=0.811, n=10", "R²_test=0.70, n=10")  # the limit of a gate
    assert [one.kind for one in found(lab, roadmap)] == ["number-without-result"]
    hand_edit(roadmap, "R²_test=0.70, n=10", "R²_test=0.951, n=10")
    in_hub(roadmap, "LightGBM R² (test)", "0.951", "8k/100, MVP-2.0")
    hits = found(lab, roadmap)
    assert len({one.path for one in hits}) == 2
    for hit in hits:
        assert "0.951 of MVP 2.0: it has no job here, and the number was typed in" in hit.message
    assert {one.verdict for one in told(lab, "0.951")} == {NONE}
    done = ["set", str(roadmap), "--mvp", "2.0", "--status", "done", "--because", "on the cluster"]
    assert main(done) == 0
    assert found(lab, roadmap) == []
    assert {(one.verdict, one.why) for one in told(lab, "0.951")} == {
        (NOT_CHECKED, "by a person's word: on the cluster")
    }
    assert main([*done[:-1], "R2 0.941 on the cluster"]) == 0  # a reason that names another
    assert len(found(lab, roadmap)) == len(hits)
    assert main([*done[:-1], "R2 0.951 on the cluster"]) == 0
    assert found(lab, roadmap) == []


def test_an_mvp_that_waits_has_nothing_to_be_held_against(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    keep_earlier(lab, roadmap)
    job = ended("one", None, mvp="2.0", outcome="failed")
    job.started.unlink()
    job.exit.unlink()
    hand_edit(roadmap, CONCLUSIONS, f"{CONCLUSIONS}| MVP-2.0 | now | R²_test=0.951 |\n")
    assert found(lab, roadmap) == []


def test_a_model_that_a_program_does_not_name_excuses_no_number(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    ended("one", 0.7512, model="my program")
    write(lab, roadmap, "1.0")
    hand_edit(roadmap, "| MVP-1.0 | ", "| MVP-1.0 | ViT R² = 0.951; ")
    assert kinds(lab, roadmap) == {"number-without-result"}


IN_HUB = {
    "a consensus": "| K1 | **ViT 在 1M 上达到 R²=0.951** | MVP-1.0 |",
    "by its exp_id": "- `VIT-20260102-the-run-01`: R²=0.951",
    "another dash": "- mvp–1.0: R²test=0.951",
    "a run that is not": "- MVP-1.0 run 9: R²=0.951",
    "a next step": "- MVP-1.0 has R² = 0.951, so go on",
    "its log": "| 2026-01-02 | MVP-1.0: R²=0.951 | - |",
    "the tree": "```\n├── Q1: 能否预测 log_g？ (MVP-1.0: R²=0.951)\n```",
    "any table": "| Model | R² | Source |\n|---|---|---|\n| ViT | 0.951 | MVP-1.0 |",
    "two MVPs": "| Indicator | Value | Condition | Source |\n"
    f"{HUB_HEAD}| ViT R² (test) | 0.951 | 1k | MVP-1.0, MVP-3.0 |",
}
NO_RESULT = [
    "MVP-1.0 should reach R² = 0.951",
    "目标：MVP-1.0 的 R²=0.951",
    "MVP-2.0, which ended before, has R² = 0.951",
    "MVP-1.0: R² > 0.951",
    "MVP-1.0: R² = 0.751",
    "R² = 0.951 in the literature",
    "MVP-1.0: predicted R² 0.951 (0.94..0.96, 90%) at 4 times the largest N",
]


@pytest.mark.parametrize("text", IN_HUB.values(), ids=IN_HUB)
def test_an_invented_number_is_found_anywhere_in_the_hub(
    lab: Lab, roadmap: Path, ended: Ended, text: str
) -> None:
    hand_edit(roadmap, "| ⏳ | - | - |", "| ⏳ | `VIT-20260102-the-run-01` | - |")
    ended("one", 0.7512)
    hub = roadmap.with_name("plan_hub.md")
    hub.write_text(f"{hub.read_text(encoding='utf-8')}\n{text}\n", encoding="utf-8")
    assert [one.kind for one in found(lab, roadmap)] == ["number-without-result"]


def test_what_needs_no_result_in_a_hub_is_no_finding(lab: Lab, roadmap: Path, ended: Ended) -> None:
    ended("one", 0.7512)
    hub = roadmap.with_name("plan_hub.md")
    lines = "".join(f"- {one}\n" for one in NO_RESULT)
    hub.write_text(f"{hub.read_text(encoding='utf-8')}\n{lines}", encoding="utf-8")
    assert found(lab, roadmap) == []
    hand_edit(hub, "R² = 0.751", "R² = 0.761")
    assert [one.kind for one in found(lab, roadmap)] == ["number-without-result"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("| 2026-01-01 | Made |\n", "| 2026-01-01 | Made |\n| 2026-01-02 | MVP-1.0: R²=0.951 |\n"),
        ("| Status | ⏳ planned |", "| Result | R² = 0.951 |\n| Status | ⏳ planned |"),
        ("# Plan\n", "# Plan\n\n```\nStage: MVP-1.0 has R² = 0.951\n```\n"),
    ],
    ids=["the timeline", "a gate's result", "the goals"],
)
def test_and_anywhere_in_the_roadmap(
    lab: Lab, roadmap: Path, ended: Ended, old: str, new: str
) -> None:
    hand_edit(roadmap, old, new)
    ended("one", 0.7512)
    assert [one.kind for one in found(lab, roadmap)] == ["number-without-result"]
    hand_edit(roadmap, "0.951", "0.751")
    assert found(lab, roadmap) == []


def test_and_in_the_prose_of_a_report(lab: Lab, roadmap: Path, ended: Ended) -> None:
    ended("one", 0.7512)
    report = next(one for one in write(lab, roadmap, "1.0") if one.name.startswith("exp_"))
    hand_edit(report, "## Results\n", "## Results\n\nThe best has R² = 0.951.\n")
    assert [one.path for one in found(lab, roadmap)] == [report]


def test_and_in_a_cell_that_says_about(lab: Lab, roadmap: Path, ended: Ended) -> None:
    ended("one", 0.7512)
    table = "\n| MVP | R² (test) | Status |\n|---|---|---|\n| 1.0 | ~0.951 | ✅ |\n"
    hand_edit(roadmap, "## Timeline\n", f"{table}\n## Timeline\n")
    assert "number-without-result" in kinds(lab, roadmap)
    was = "~0.951"
    for cell in ("~0.75", "> 0.951", "0.951 (target)", "-"):
        hand_edit(roadmap, f"| 1.0 | {was} |", f"| 1.0 | {cell} |")
        was = cell
        assert "number-without-result" not in kinds(lab, roadmap), cell


def test_a_long_line_is_read_to_the_end_of_a_clause_within_bounds(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    """One without an end of a clause is left out."""
    ended("one", 0.7512)
    hub = roadmap.with_name("plan_hub.md")
    text = hub.read_text(encoding="utf-8")
    for stop, hits in (("; ", 1), (" ", 0)):
        line = f"- MVP-1.0 has R² = 0.951{stop}" + "and so on " * 600
        hub.write_text(f"{text}\n{line}\n", encoding="utf-8")
        assert len(found(lab, roadmap)) == hits
