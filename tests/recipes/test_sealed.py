"""Stars kept for gates: nothing else is scored on them, and every opening is counted."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.docs.test_seeds import PLAN
from tests.recipes.test_evaluate import ran
from tests.recipes.test_run import CONFIGS
from vitlab.cli import main as vitlab
from vitlab.contract.job import read_result, write_result
from vitlab.contract.paths import find_lab
from vitlab.ml.residual_file import load_residuals
from vitlab.ml.scoring import overall

STARS = 60


@pytest.fixture(scope="module")
def ridge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab with a ridge that has ended."""
    root = tmp_path_factory.mktemp("ridge")
    (root / "vitlab.yaml").write_text(f"gate_stars: {STARS}\n")
    assert ran(root, "ridge", "ridge", CONFIGS["ridge"], "1.0").returncode == 0
    (root / "roadmaps").mkdir()
    (root / "roadmaps/r.md").write_text(PLAN.format(rule="R² > -9"), encoding="utf-8")
    return root


@pytest.fixture
def lab(ridge: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, whose gate has stars kept for it."""
    root = tmp_path / "lab"
    shutil.copytree(ridge, root)
    monkeypatch.chdir(root)
    return root


def gate(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert vitlab(["gates", "roadmaps/r.md", "--json", *words]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found[0]


def change(job: Path, **changes: object) -> None:
    """Of a job's files, which then name none."""
    for name in ("spec.json", "result.json", "exit.json"):
        record = json.loads((job / name).read_bytes()) | changes
        record.pop("job", None)
        (job / name).write_text(json.dumps(record), encoding="utf-8")


def test_a_gate_is_judged_on_the_stars_opened_for_it(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = gate(capsys)
    assert before["verdict"] == "open"
    assert "not yet scored on the stars kept for gates (vitlab gates --open 2)" in before["because"]
    first = gate(capsys, "--open", "2")
    assert "openings: 1, of 60 stars kept for gates" in first["because"]
    (job,) = [path.parent for path in lab.glob("experiments/*/*/sealed.json")]
    tested, sealed = read_result(job / "result.json"), read_result(job / "sealed.json")
    assert tested
    assert sealed
    assert sealed.n == {**tested.n, "test": STARS}
    assert sealed.data["hash"] != tested.data["hash"]
    assert sealed.values["val/r2/log_g"] == tested.values["val/r2/log_g"]
    assert first["values"] == {"test/r2/log_g": sealed.values["test/r2/log_g"]}
    kept, own = load_residuals(job / "sealed.parquet"), load_residuals(job / "residuals.parquet")
    assert not np.isin(kept.true[:, 0], own.true[:, 0]).any()
    scored = overall(kept, 42).named("test")[0]
    assert scored["test/r2/log_g"] == pytest.approx(sealed.values["test/r2/log_g"])
    at = (job / "sealed.json").stat().st_mtime_ns
    assert "openings: 2, of" in gate(capsys, "--open", "2")["because"]
    assert (job / "sealed.json").stat().st_mtime_ns == at  # scored once


def test_a_later_run_waits_for_the_next_opening(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = gate(capsys, "--open", "2")
    (job,) = [path.parent for path in lab.glob("experiments/*/*/sealed.json")]
    later = job.parent / "later"
    shutil.copytree(job, later)
    (later / "sealed.json").unlink()
    change(later, run="later")
    found = gate(capsys)
    assert "stars kept for gates: 1 (vitlab gates --open 2)" in found["because"]
    assert found["values"] == before["values"]


def test_scores_on_kept_stars_of_another_job_or_changed_since_are_told(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (ended,) = [path.parent for path in lab.glob("experiments/*/*/result.json")]
    change(ended, submitted=5.0)
    gate(capsys, "--open", "2")
    (path,) = lab.glob("experiments/*/*/sealed.json")
    sealed = read_result(path)
    assert sealed
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"test": 60', '"test":  60'), encoding="utf-8")
    assert vitlab(["gates", "roadmaps/r.md"]) == 0
    assert "unreadable: sealed.json was changed since it was written" in capsys.readouterr().err
    write_result(path, replace(sealed, job="of an earlier launch"))
    found = gate(capsys)
    assert (found["verdict"], found["values"]) == ("open", {})
    assert vitlab(["gates", "roadmaps/r.md"]) == 0
    assert "unreadable: sealed.json is of another job of MVP 1.0" in capsys.readouterr().err
    assert gate(capsys, "--open", "2")["values"] == {
        "test/r2/log_g": sealed.values["test/r2/log_g"]
    }


def test_what_is_kept_is_said_to_be_missing(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    openings = find_lab(lab).openings
    openings.write_text("half a li", encoding="utf-8")
    found = gate(capsys)
    assert (found["verdict"], found["values"]) == ("open", {})
    assert found["because"].endswith("openings.jsonl:1: not a record of an opening")
    assert vitlab(["gates", "roadmaps/r.md", "--open", "2"]) == 0
    capsys.readouterr()
    assert openings.read_text(encoding="utf-8").startswith("half a li\n{")
    (lab / "vitlab.yaml").write_text("gate_stars: -1\n")
    assert vitlab(["gates", "roadmaps/r.md"]) == 2
    (lab / "vitlab.yaml").write_text("{}\n")
    assert vitlab(["gates", "roadmaps/r.md", "--open", "2"]) == 2
    assert "gate_stars in vitlab.yaml" in capsys.readouterr().err
