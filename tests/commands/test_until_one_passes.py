"""Seeds run one after the other until one passes: no path takes the last one alone."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.lab.conftest import HUB, ROADMAP, WORLD
from vitlab.cli import main
from vitlab.contract.job import Result, read_spec, write_result
from vitlab.contract.paths import LabPaths
from vitlab.jobs.files import write_json
from vitlab.jobs.store import all_jobs

EXPERIMENT = """\
mvp: "1.0"
roadmap: roadmaps/plan_roadmap.md
recipe: mlp
config: {{train: {{seed: {seed}}}}}
profiles: {{smoke: {{}}}}
"""
BARE = "--seeds, none in the file"
SCORES = (0.601, 0.622, 0.583, 0.804)
"""The last is the first that passes `R² > 0.70`; their mean is 0.6525."""


def finish(root: Path, number: float) -> None:
    """The jobs that wait end with a score, as if they had been trained."""
    for job in all_jobs(LabPaths(root)):
        if job.paths.exit.exists():
            continue
        spec = read_spec(job.paths.spec)
        assert spec is not None
        at = spec.submitted + 60
        write_json(job.paths.started, {"v": 1, "started": at, "pid": 1, "device": "cpu"})
        end = {"v": 1, "reason": "ok", "started": at, "ended": at + 60, "code": 0}
        write_json(job.paths.exit, end)
        values = {f"{split}/r2/log_g": number for split in ("test", "val")}
        result = Result(
            spec.mvp, spec.run, spec.profile, spec.recipe, values, {"test/r2/log_g": 0.004},
            {"train": 1000, "test": 1000}, {"name": "MLP", "params": 10},
            {"source": "grid", "hash": "same"}, world=WORLD.record(),
        )  # fmt: skip
        write_result(job.paths.result, result)


@pytest.fixture(params=["--seeds", BARE, "edited"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four launches: by the option, or by editing the seed in the file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vitlab.jobs.queue.scheduler.advance", lambda *_: [])
    for name in ("roadmaps", "experiments"):
        (tmp_path / name).mkdir()
    (tmp_path / "roadmaps/plan_roadmap.md").write_text(ROADMAP, encoding="utf-8")
    (tmp_path / "roadmaps/plan_hub.md").write_text(HUB, encoding="utf-8")
    file = tmp_path / "experiments/the_run.yaml"
    for seed, score in enumerate(SCORES, 1):
        more: list[str] = []
        if request.param != "edited" and seed > 1:
            more = ["--seeds", "1"]
        else:
            text = EXPERIMENT.format(seed=seed)
            file.write_text(text if request.param != BARE else text.replace("seed: 1", ""))
        assert main(["run", "1.0", "--profile", "full", "--force", *more]) == 0
        finish(tmp_path, score)
    return tmp_path


def test_it_passes_no_gate_and_is_told_nowhere(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By gates, sync, the conclusion, the hub, the report, the autopilot, a paper, and by hand."""
    capsys.readouterr()
    assert main(["gates", "--json"]) == 0
    (gate,) = json.loads(capsys.readouterr().out)
    assert gate["verdict"] == "open"
    assert gate["values"] == {"test/r2/log_g": pytest.approx(0.6525)}
    roadmap = root / "roadmaps/plan_roadmap.md"
    held = ["auto", "--budget", "1h", "--profile", "full", "--dry-run"]
    assert main(held) in (0, 2)
    assert "Gate-1 passed" not in "".join(capsys.readouterr())
    assert main(["sync", "--yes"]) == 0
    texts = [one.read_text(encoding="utf-8") for one in root.glob("roadmaps/*.md")]
    assert len(texts) == 3  # with a report
    assert not re.search(r"^\| Status \| *✅", roadmap.read_text(encoding="utf-8"), re.M)
    for text in texts:
        assert "0.652" in text or "0.653" in text
        assert not re.search(r"R²[^|]{0,12}=0\.804", text)
    assert main(["lint"]) == 0
    capsys.readouterr()
    assert main(["paper", "--out", "paper", "--force"]) == 1  # it lacks other things
    made = "".join(one.read_text() for one in root.glob("paper/*.tex"))
    assert "0.65" in made
    assert "0.804" not in made
    assert main(["set", str(roadmap), "--gate", "1", "--status", "passed"]) == 2
    capsys.readouterr()
    hub = root / "roadmaps/plan_hub.md"
    hub.write_text(re.sub(r"0\.65\d ± [\d.]+", "0.804", hub.read_text(encoding="utf-8")), "utf-8")
    assert main(["lint"]) == 1
    assert "number-changed: 0.804 here" in capsys.readouterr().out
