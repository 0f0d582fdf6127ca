"""A lab of two roadmaps that both have an MVP-1.0: its results are never taken for the other's."""

from pathlib import Path

import pytest

from tests.lab.conftest import EXP_ID, EXPERIMENT, ROADMAP, Ended
from vitlab.cli import main as vitlab
from vitlab.contract.job import Queued
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.jobs.queue.queue import Dependencies
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.lab import Lab, open_lab
from vitlab.lab.launch import Request, plan_launch
from vitlab.lab.results.job_results import all_results, latest, lookup_job, lookup_results

ONE, OTHER = "roadmaps/plan_roadmap.md", "roadmaps/second_roadmap.md"


@pytest.fixture
def two(lab: Lab, ended: Ended, monkeypatch: pytest.MonkeyPatch) -> Lab:
    text = ROADMAP.replace("# Plan", "# Other").replace("The run", "The other run")
    (lab.paths.root / OTHER).write_text(text)
    ended(r2=0.81)
    ended(r2=0.51, roadmap=OTHER, exp_id="VIT-20260101-other-01")
    monkeypatch.chdir(lab.paths.root)
    return lab


def test_an_mvp_is_looked_up_in_the_roadmap_that_is_named(two: Lab) -> None:
    with pytest.raises(UsageError, match=rf"1\.0 is in several roadmaps \({ONE}, {OTHER}\): use"):
        lookup_results(two.paths, ["1.0"])
    with pytest.raises(UsageError, match="use --roadmap"):
        lookup_job(two.paths, "MVP-1.0/one")
    for name, r2 in ((ONE, 0.81), (OTHER, 0.51)):
        (found,) = lookup_results(two.paths, ["1.0"], name)
        assert found.result.values["test/r2/log_g"] == r2
        assert lookup_job(two.paths, "1.0", name) == found.job.paths
    assert len(latest(all_results(two))) == 2
    (two.paths.root / OTHER).unlink()  # as if it had been renamed: its jobs are those of the other
    assert len(lookup_results(two.paths, ["1.0"])) == 1


@pytest.mark.parametrize("words", ["compare", "compare --sql x", "scaling", "spectrum"])
def test_a_roadmap_without_an_mvp_is_refused(
    two: Lab, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    assert vitlab([*words.split(), "--roadmap", OTHER]) == 2
    assert capsys.readouterr().err == "vitlab: --roadmap: says whose MVP is meant; name one\n"


def test_another_roadmap_s_number_in_the_hub_stays(
    two: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    assert vitlab(["sync", "--yes"]) == 0
    hub = (two.paths.root / "roadmaps/plan_hub.md").read_text()
    assert "| ViT R² (test) | 0.810" in hub
    assert "0.510" not in hub
    capsys.readouterr()
    assert vitlab(["gates"]) == 0
    assert "the first of 2 roadmaps" in capsys.readouterr().err
    vitlab(["lint"])
    assert "number-changed" not in capsys.readouterr().out


def test_a_job_waits_for_those_of_its_own_roadmap(two: Lab, ended: Ended) -> None:
    later = ended(mvp="2.0", roadmap=OTHER)
    jobs = all_jobs(two.paths)
    (job,) = (one for one in jobs if one.paths == later)
    job.spec.__dict__["after"] = ("1.0",)
    assert Dependencies(jobs).unmet(job) == ""
    others = [one for one in jobs if one.spec.roadmap == ONE]
    assert Dependencies([*others, job]).unmet(job) == "after 1.0, which has not been launched"


@pytest.mark.parametrize("renamed", [False, True])
def test_no_job_waits_for_one_of_a_plan_that_was_put_away(
    lab: Lab, ended: Ended, roadmap: Path, renamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor begins with its weights: the new plan's MVP-1.0 is another, whatever its path."""
    old = ended("one", profile="smoke")
    first = ROADMAP.replace("⏳ | - |", f"⏳ | `{EXP_ID}` |")
    roadmap.rename(roadmap.with_name("plan_2025_roadmap.md"))
    roadmap.with_name("plan_2025_roadmap.md").write_text(first, encoding="utf-8")
    new = roadmap.with_name("next_roadmap.md") if renamed else roadmap
    new.write_text(ROADMAP, encoding="utf-8")
    waits = EXPERIMENT.replace('"1.0"', '"2.0"\nafter: ["1.0"]')
    text = waits.replace("roadmaps/plan_roadmap.md", f"roadmaps/{new.name}")
    (lab.paths.experiments / "two.yaml").write_text(text, encoding="utf-8")
    here = open_lab(lab.paths.root)

    def unmet() -> str:
        spec = plan_launch(here, Request(new, "2.0", "smoke")).specs[0]
        folder = JobPaths(lab.paths.experiments / "-" / "-")
        return Dependencies(all_jobs(lab.paths)).unmet(Job(folder, spec, Queued(0.0)))

    assert unmet() == "after 1.0, which has not been launched"
    monkeypatch.chdir(lab.paths.root)
    assert vitlab(["compare", "1.0"]) == (0 if renamed else 2)
    assert lookup_job(lab.paths, old.name, None, {EXP_ID}) == old
    with pytest.raises(UsageError, match=r"no job '1\.0'"):
        lookup_job(lab.paths, "1.0", None, {EXP_ID})
    ended("one", profile="smoke", exp_id="VIT-20260301-the-run-01", roadmap=f"roadmaps/{new.name}")
    assert unmet() == ""
    new.write_text(first, encoding="utf-8")  # a copy of the same plan, or the plan renamed
    assert unmet() == ""
