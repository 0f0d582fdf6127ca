"""The Runs table of a roadmap gets the run's page at W&B, or the files of an offline run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.conftest import ROADMAP, Ended
from vitlab.contract.job import read_result, write_result
from vitlab.contract.tracking import read_link
from vitlab.lab.lab import Lab, open_lab
from vitlab.lab.launch import Request, plan_launch
from vitlab.lab.writeback.edits import accept
from vitlab.lab.writeback.writeback import pending

RUNS = """
### MVP-1.0: The run

**Runs**:
| Run | Status | WandB |
|-----|--------|-------|
| one | 🚀 | - |
"""


@pytest.mark.parametrize(
    ("wandb", "target"),
    [
        ("https://wandb.ai/me/p/runs/abc", "https://wandb.ai/me/p/runs/abc"),
        ("wandb/offline-run-1-abc", "../experiments/{job}/wandb/offline-run-1-abc"),
    ],
)
def test_a_full_runs_link_lands_in_its_row(
    lab: Lab, roadmap: Path, ended: Ended, wandb: str, target: str
) -> None:
    roadmap.write_text(ROADMAP + RUNS, encoding="utf-8")
    job = ended("one")
    result = read_result(job.result)
    assert result is not None
    write_result(job.result, replace(result, wandb=wandb))
    accept(lab, pending(lab, roadmap))
    [row] = [r for r in roadmap.read_text("utf-8").splitlines() if r.startswith("| one ")]
    link = target.format(job=job.name)
    assert row.endswith(f"| [{wandb.rsplit('/', 1)[1]}]({link}) |")
    if "://" not in link:
        assert (roadmap.parent / link).resolve() == (job.folder / wandb).resolve()


@pytest.mark.parametrize(
    "wandb",
    ["javascript:alert(1)", "javascript://x/%0aalert(1)", "file:///etc/passwd", "data:text/html,x",
     "https://a b/runs/c", "https://a/runs/c\n# x", "https://a/\x1b[2J", "https://a/)|(x", " x:y/z",
     "https://a/\u202eb", "x](javascript:y)", "../../../../../../etc/passwd"],
)  # fmt: skip
def test_no_link_but_to_a_page_or_a_file_of_the_lab(
    lab: Lab, roadmap: Path, ended: Ended, wandb: str
) -> None:
    roadmap.write_text(ROADMAP + RUNS, encoding="utf-8")
    job = ended("one")
    job.wandb.write_text(json.dumps({"v": 1, "id": "x", "url": wandb, "path": wandb}))
    result = read_result(job.result)
    assert result is not None
    write_result(job.result, replace(result, wandb=wandb))
    accept(lab, pending(lab, roadmap))
    [row] = [r for r in roadmap.read_text("utf-8").splitlines() if r.startswith("| one ")]
    assert row.endswith("| - |" if "etc/passwd" not in wandb or ":" in wandb else "| passwd |")
    shown = read_link(job)
    assert shown is not None
    assert shown.shown is None or shown.shown.startswith("../")


def test_a_launch_takes_the_labs_wandb_where_the_experiment_says_nothing(
    lab: Lab, roadmap: Path
) -> None:
    [file] = lab.paths.experiments.glob("*.yaml")
    file.write_text(file.read_text() + "wandb: {project: own}\n")
    lab.paths.settings.write_text("wandb: {mode: off, project: ours, entity: us}\n")
    plan = plan_launch(open_lab(lab.paths.root), Request(roadmap, "1.0", "full"))
    assert {tuple(sorted(spec.extra["wandb"].items())) for spec in plan.specs} == {
        (("entity", "us"), ("mode", "off"), ("project", "own"))
    }


def linked(lab: Lab, roadmap: Path, ended: Ended, cell: str, new: str | None) -> tuple[str, str]:
    """The cell after two launches of a run, and the summary; the first was run `old`."""
    roadmap.write_text(ROADMAP + RUNS.replace("| - |", f"| {cell} |"), encoding="utf-8")
    for wandb in ("https://wandb.ai/me/p/runs/old1", new):
        job = ended("one")
        result = read_result(job.result)
        assert result is not None
        write_result(job.result, replace(result, wandb=wandb))
    plan = pending(lab, roadmap)
    accept(lab, plan)
    [row] = [r for r in roadmap.read_text("utf-8").splitlines() if r.startswith("| one ")]
    return row.split(" | ")[2].removesuffix(" |"), plan.summary[0]


NEW = "https://wandb.ai/me/p/runs/new2"
OWN = "[mine](https://wandb.ai/me/p/runs/mine3)"


@pytest.mark.parametrize(
    ("cell", "new", "left", "told"),
    [
        ("[old1](https://wandb.ai/me/p/runs/old1)", NEW, f"[new2]({NEW})", ""),
        ("old1", NEW, f"[new2]({NEW})", ""),
        ("see new2", NEW, "see new2", ""),
        (OWN, NEW, OWN, "the W&B link of one is not that of its last run, new2"),
        ("old1", None, "old1", "the W&B link of one is of an earlier launch"),
        (OWN, None, OWN, ""),
    ],
)
def test_an_old_link_beside_new_numbers_is_replaced_or_told(
    lab: Lab, roadmap: Path, ended: Ended, cell: str, new: str | None, left: str, told: str
) -> None:
    after, summary = linked(lab, roadmap, ended, cell, new)
    assert after == left
    assert (told in summary) if told else ("W&B" not in summary)


def test_what_the_program_itself_told_wandb_is_linked(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    roadmap.write_text(ROADMAP + RUNS, encoding="utf-8")
    job = ended("one", outcome="failed")
    record = {"v": 1, "wandb": {"id": "abc", "url": None, "folder": "/elsewhere/wandb/run-abc"}}
    job.metrics.write_text(json.dumps(record), encoding="utf-8")
    accept(lab, pending(lab, roadmap))
    assert "| one | 🚀 | abc |" in roadmap.read_text("utf-8")
