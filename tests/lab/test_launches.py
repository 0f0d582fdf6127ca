"""How a launch ends in the documents: by what its runs left, and never over words that stand."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.lab.conftest import ROADMAP, Ended
from vitlab.commands.common import judge_gates
from vitlab.contract.job import read_result, write_result
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.docs.judge.gates import judge
from vitlab.lab.lab import Lab
from vitlab.lab.results.job_results import newest_results
from vitlab.lab.writeback.edits import accept, pending_results, plan_update
from vitlab.lab.writeback.figure_files import existing_figures, figure_stems, launch_figure_files
from vitlab.lab.writeback.status_sync import sync_status
from vitlab.lab.writeback.writeback import end_summary, pending
from vitlab.plot.figures.paper import shown_jobs, write
from vitlab.plot.figures.picture import Curve, Panel, Picture

WORDS = "| 1.0 | my own words | R²=0.713 |\n"
RUNNING = (
    ROADMAP.replace("| Gate-1 | ⏳ |", "| Gate-1 | 🚀 |")
    .replace("| Status | ⏳ planned |", "| Status | 🚀 running |")
    .replace("|-----|------------|------------|\n", f"|-----|------------|------------|\n{WORDS}")
)
EVERY = {"file": "metrics.csv", "names": {"r2": "test/r2/log_g"}}
HEADLINE = "test/r2/log_g"


def as_command(job: JobPaths, metrics: Mapping[str, Any] | None = None, **spec: Any) -> None:
    """Make the job one of a program of somebody's own."""
    document = json.loads(job.spec.read_bytes())
    extra = {**({"metrics": metrics} if metrics else {}), **spec.pop("extra", {})}
    job.spec.write_text(json.dumps({**document, "recipe": "command", "extra": extra, **spec}))


def left(job: JobPaths, values: Mapping[str, float | None] | None) -> None:
    """What the job leaves as its result."""
    result = read_result(job.result)
    assert result is not None
    job.result.unlink()
    if values is not None:
        write_result(job.result, replace(result, values=dict(values), errors={}))


@pytest.mark.parametrize(
    ("metrics", "values", "status", "told"),
    [
        (None, None, "done", "no numbers, and none were expected"),
        (EVERY, None, "analysing", f"one: finished without {HEADLINE}"),
        (None, {"val/r2/log_g": 0.7}, "analysing", f"one: finished without {HEADLINE}"),
        (EVERY, {HEADLINE: None, "val/r2/log_g": 0.9}, "analysing",
         f"one: its last {HEADLINE} is not a finite number"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("synced", [True, False])
def test_a_good_end_without_its_number_is_no_failure_and_writes_over_nothing(
    lab: Lab, roadmap: Path, ended: Ended, metrics: Mapping[str, Any] | None,
    values: Mapping[str, float | None] | None, status: str, told: str, synced: bool,
) -> None:  # fmt: skip
    roadmap.write_text(RUNNING, encoding="utf-8")
    job = ended("one")
    as_command(job, metrics)
    left(job, values)
    assert end_summary(lab, roadmap, "1.0") == f"MVP-1.0: {status}: {told}"
    if synced:
        sync_status(lab, roadmap)
    else:
        accept(lab, pending(lab, roadmap))
    document = lab.read_roadmap(roadmap)
    assert document.mvp("1.0").status == status
    assert pending(lab, roadmap).changes == ()
    text = roadmap.read_text(encoding="utf-8")
    assert WORDS in text
    assert "no usable number" not in text
    gate = document.gate("1")
    assert gate.parsed is not None
    assert gate.parsed.status == "planned"
    known = [one.result for one in newest_results(lab, roadmap)]
    assert judge(gate, known, document).verdict == "open"
    assert not list(roadmap.parent.glob("exp_*"))


def test_no_number_before_the_last_one_stands_for_it(lab: Lab, roadmap: Path, ended: Ended) -> None:
    ended("one", 0.75)
    accept(lab, pending(lab, roadmap))
    job = ended("one")
    left(job, {HEADLINE: None, "val/r2/log_g": 0.9})
    assert [one.result.values[HEADLINE] for one in newest_results(lab, roadmap)] == [None]
    document = lab.read_roadmap(roadmap)
    known = [one.result for one in newest_results(lab, roadmap)]
    verdict = judge(document.gate("1"), known, document)
    assert (verdict.verdict, verdict.values) == ("open", {})
    before = roadmap.read_text(encoding="utf-8")
    plan = pending(lab, roadmap)
    assert plan.summary == (f"MVP-1.0: analysing: one: its last {HEADLINE} is not a finite number",)
    accept(lab, plan)
    after = roadmap.read_text(encoding="utf-8")
    assert "| 1.0 | The run | 1 | Gate-1 | 🔆" in after
    assert "PASS: R²_test = 0.75" in after  # decided by a number that was judged
    assert "0.9" not in after
    assert [line for line in before.splitlines() if "0.750" in line] == [
        line for line in after.splitlines() if "0.750" in line
    ]


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        (["unknown"], "analysing"),
        (["unknown", "ok"], "analysing"),
        (["unknown", "failed"], "analysing"),
        (["ok", "killed"], "partial"),
        (["killed"], "paused"),
    ],
)
def test_an_end_that_nothing_proves_is_for_a_person(
    lab: Lab, roadmap: Path, ended: Ended, outcomes: list[str], status: str
) -> None:
    for run, outcome in zip(("one", "two"), outcomes, strict=False):
        ended(run, outcome=outcome)
    plan = pending(lab, roadmap)
    if "unknown" in outcomes:
        assert "one: its end is unknown (it unknown)" in plan.summary[0]
    accept(lab, plan)
    assert lab.read_roadmap(roadmap).mvp("1.0").status == status


@pytest.mark.parametrize("outcome", ["killed", "failed", "oom", "unknown"])
def test_an_attempt_that_did_not_end_well_writes_no_number(
    lab: Lab, roadmap: Path, ended: Ended, outcome: str
) -> None:
    roadmap.write_text(RUNNING, encoding="utf-8")
    job = ended("one")
    record = json.loads(job.exit.read_bytes())
    job.exit.write_text(json.dumps({**record, "reason": outcome}))
    accept(lab, pending(lab, roadmap))
    text = roadmap.read_text(encoding="utf-8")
    assert "0.750" not in text
    assert WORDS in text
    assert not list(roadmap.parent.glob("exp_*"))


@pytest.mark.parametrize(
    ("runs", "adopted", "status"),
    [
        (["one"], False, "partial"),
        (["one"], True, "partial"),
        (["by hand"], True, "partial"),
        (["one", "two"], True, "done"),
        (["an old name"], False, "done"),
    ],
)
def test_a_run_of_several_is_not_the_whole_mvp(
    lab: Lab, roadmap: Path, ended: Ended, runs: list[str], adopted: bool, status: str
) -> None:
    for run in runs:
        extra = {"adopt": {"pid": 1}} if adopted else {}
        as_command(ended(run), extra=extra, experiment="experiments/the_run.yaml")
    plan = pending(lab, roadmap)
    accept(lab, plan)
    assert lab.read_roadmap(roadmap).mvp("1.0").status == status
    assert ("not run: " in plan.summary[0]) is (status == "partial")
    assert ("; 1 of 2 runs" in plan.summary[0]) is (runs == ["one"] and not adopted)


def test_nothing_is_written_while_a_file_of_the_launch_cannot_be_read(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    before, experiment = roadmap.read_bytes(), lab.paths.experiments / "the_run.yaml"
    earlier, job, other = ended("one"), ended("one"), ended("three")
    text = experiment.read_text(encoding="utf-8")
    for one in (job, other):
        as_command(one, experiment="experiments/the_run.yaml")
    for path, broken in ((experiment, f"{text}runs: [\n"), (job.result, '{"mvp": "1.'),
                         (other.spec, '{"mvp": "1.')):  # fmt: skip
        good = path.read_text(encoding="utf-8")
        path.write_text(broken, encoding="utf-8")
        os.utime(path, (1, 1))  # not being written
        plan = pending_results(lab, roadmap)
        accept(lab, plan)
        assert roadmap.read_bytes() == before
        (line,) = plan.left
        assert line.startswith("MVP-1.0: nothing is written of it: ")
        assert path.name in line
        with pytest.raises(UsageError, match=f"nothing is written of it: .*{path.name}"):
            plan_update(lab, roadmap, "1.0")
        assert judge_gates(lab, roadmap)[1][0].verdict == ("pass" if path == experiment else "open")
        path.write_text(good, encoding="utf-8")
    earlier.spec.write_text("{", encoding="utf-8")  # of no run of this launch
    accept(lab, pending_results(lab, roadmap))
    assert lab.read_roadmap(roadmap).mvp("1.0").status == "partial"


def picture() -> Picture:
    return Picture("", (Panel("x", "y", (Curve("a", (0.0, 1.0), (0.0, 1.0)),)),))


def test_figures_are_listed_below_the_runs_they_show_alone(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    good = ended("one")
    stem = next(figure_stems(roadmap, "1.0", "full", "training"))
    write(picture(), stem, [good.name])
    png = stem.with_name(f"{stem.name}.png")
    assert shown_jobs(png) == (good.name,)
    assert launch_figure_files(lab, roadmap, "1.0") == [roadmap.parent / "img" / png.name]
    assert existing_figures(roadmap, "1.0", "full", ["another/job"]) == {}
    ended("one", outcome="failed")
    assert launch_figure_files(lab, roadmap, "1.0") == []
    ended("one")
    assert launch_figure_files(lab, roadmap, "1.0") == []
    accept(lab, pending(lab, roadmap))
    assert "img/" not in "".join(p.read_text("utf-8") for p in roadmap.parent.glob("*.md"))
    write(picture(), stem)
    assert shown_jobs(png) == ()
    png.unlink(missing_ok=True)
    os.mkfifo(png)
    assert shown_jobs(png) == ()
    png.unlink()
    png.write_bytes(b"no picture")
    assert shown_jobs(png) == ()


def test_numbers_that_contradict_each_other_are_told_in_the_report(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    job = ended("one")
    val, test = 0.5, 0.651
    rmse = {"val/rmse/log_g": round(math.sqrt(1 - 0.75), 4), "test/rmse/log_g": test}
    left(job, {HEADLINE: 0.75, "val/r2/log_g": 0.75, **rmse})
    assert rmse["val/rmse/log_g"] == val
    (report,) = [c.new_text for c in pending(lab, roadmap).changes if c.path.stem[:4] == "exp_"]
    assert report is not None
    assert "- ❌ one: log_g: the labels' standard deviation is 1.3 on test but 1 on val" in report
