"""What is known of one MVP, from the project's own lab."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from vitlab.contract.job import Result, write_result
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.lab.lab import Lab, open_lab
from vitlab.lab.live.mvp_summary import summarize_mvp

ROOT = Path(__file__).parents[2]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    for name in ("roadmaps", "experiments"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("VIT-*"))
    (tmp_path / "vitlab.yaml").write_text("")
    return open_lab(tmp_path)


def test_section_experiment_and_results_are_told(lab: Lab) -> None:
    job = JobPaths(lab.paths.exp_folder("VIT-1") / "run-1")
    job.folder.mkdir(parents=True)
    values = {"test/r2/log_g": 0.7}
    write_result(job.result, Result("1.0", "Run 1", "full", "vit", values, {"test/r2/log_g": 0.02}))
    told = summarize_mvp(lab, lab.roadmap_path(), "1.0", [job, JobPaths(job.folder / "none")])
    assert dict(told.facts)["验收"].startswith("R²")
    assert told.experiment == "experiments/vit_1m.yaml"
    assert {"smoke", "demo", "full"} <= set(told.profiles)
    assert told.runs == ("Run 1",)
    assert {name: (s.value, s.error) for name, s in told.scores.items()} == {job.name: (0.7, 0.02)}


def test_what_is_missing_or_broken_is_said(lab: Lab) -> None:
    file = lab.paths.experiments / "vit_1m.yaml"
    file.write_text(file.read_text().replace("config:", "confg:", 1))
    told = summarize_mvp(lab, lab.roadmap_path(), "1.0", ())
    assert "vit_1m.yaml" in told.trouble
    assert not told.profiles
    file.unlink()
    told = summarize_mvp(lab, lab.roadmap_path(), "1.0", ())
    assert (told.experiment, told.trouble) == ("", "")
    with pytest.raises(UsageError, match="no MVP"):
        summarize_mvp(lab, lab.roadmap_path(), "99", ())


def test_a_report_outside_the_lab_is_not_named(lab: Lab) -> None:
    path = lab.roadmap_path()
    text = path.read_text()
    row = next(line for line in text.split("\n") if line.startswith("| 3.0 | Scaling"))
    cells = row.split("|")
    cells[-2] = " [x](../../../etc/passwd) "
    path.write_text(text.replace(row, "|".join(cells)))
    assert summarize_mvp(lab, path, "3.0", ()).report == ""
    cells[-2] = " [x](./exp_scaling.md) "
    path.write_text(text.replace(row, "|".join(cells)))
    told = summarize_mvp(lab, path, "3.0", ())
    assert (told.report, told.written) == ("roadmaps/exp_scaling.md", False)
    path.with_name("exp_scaling.md").write_text("#")
    assert summarize_mvp(lab, path, "3.0", ()).written
