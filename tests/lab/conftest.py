"""A lab of plain text, and jobs that ended without ever having run."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from vitlab.contract.job import Result, Spec, write_result
from vitlab.contract.paths import JobPaths
from vitlab.contract.world import FLUX, World
from vitlab.jobs.store import submit
from vitlab.lab.lab import Lab, open_lab

ROADMAP = """\
# Plan
> **Project:** `VIT` | **ID:** `VIT-20260101-plan-roadmap`

See the [hub](./plan_hub.md).

### Gate-1: Is it good

| Item | Content |
|------|---------|
| MVP | MVP-1.0 |
| If R² > 0.70 | ✅ write the paper |
| If R² < 0.65 | 🔴 think again |
| Status | ⏳ planned |

## Overview

| MVP | Name | Phase | Gate | Status | exp_id | Report |
|-----|------|-------|------|--------|--------|--------|
| 1.0 | The run | 1 | Gate-1 | ⏳ | - | - |
| 2.0 | Another | 1 | - | ✅ | `VIT-20260101-another-01` | - |

## Conclusions

| MVP | Conclusion | Key metric |
|-----|------------|------------|

## Timeline

| Date | Event |
|------|-------|
| 2026-01-01 | Made |
"""

HUB = """\
# Hub

| Indicator | Value | Condition | Source |
|-----------|-------|-----------|--------|

| Date | Change | Impact |
|------|--------|--------|
| 2026-01-01 | Made | - |
"""

EXPERIMENT = """\
mvp: "1.0"
roadmap: roadmaps/plan_roadmap.md
recipe: ridge
runs: [{name: one}, {name: two}]
profiles: {smoke: {data: {train_size: 10}}}
"""

EXP_ID = "VIT-20260102-the-run-01"

STUDENT = {2: 6.984, 3: 2.263}
"""Half the quantile 0.97725 of Student's t for the seeds less one (scipy.stats.t.ppf)."""


def error_of_mean(numbers: Sequence[float], stars: Sequence[float]) -> float:
    """Of repeats: over the stars, which they share, and over their seeds."""
    seeds = STUDENT[len(numbers)] * statistics.stdev(numbers) / math.sqrt(len(numbers))
    return math.hypot(statistics.fmean(stars), seeds)


Ended = Callable[..., JobPaths]

WORLD = World("a grid", "a prior", (20.5, 22.5), 1.0, FLUX)
"""That of every result here that says nothing else."""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    (tmp_path / "roadmaps").mkdir()
    (tmp_path / "experiments").mkdir()
    (tmp_path / "roadmaps/plan_roadmap.md").write_text(ROADMAP, encoding="utf-8")
    (tmp_path / "roadmaps/plan_hub.md").write_text(HUB, encoding="utf-8")
    (tmp_path / "experiments/the_run.yaml").write_text(EXPERIMENT, encoding="utf-8")
    return open_lab(tmp_path)


@pytest.fixture
def roadmap(lab: Lab) -> Path:
    return lab.roadmap_path()


@pytest.fixture
def ended(lab: Lab) -> Ended:
    """Put a job that has ended into the lab: `ended(run, r2=0.7, outcome="ok")`."""
    clock = iter(range(1_767_300_000, 1_767_400_000, 10))

    def put(
        run: str = "one",
        r2: float | None = 0.75,
        *,
        mvp: str = "1.0",
        profile: str = "full",
        outcome: str = "ok",
        model: str = "ViT",
        roadmap: str = "roadmaps/plan_roadmap.md",
        exp_id: str = EXP_ID,
        headline: str = Spec.headline,
    ) -> JobPaths:
        now = float(next(clock))
        job = submit(
            lab.paths,
            Spec(
                mvp=mvp,
                run=run,
                profile=profile,
                recipe="mlp",
                config={},
                exp_id=exp_id,
                roadmap=roadmap,
                submitted=now,
                headline=headline,
            ),
        )
        spec = json.loads(job.spec.read_bytes())
        job.spec.write_text(json.dumps({**spec, "submitted": now}), encoding="utf-8")
        job.started.write_text(json.dumps({"v": 1, "started": now, "pid": 1}), encoding="utf-8")
        record = {
            "v": 1,
            "code": 0 if outcome == "ok" else 1,
            "signal": None,
            "reason": outcome,
            "detail": "" if outcome == "ok" else f"it {outcome}",
            "started": now,
            "ended": now + 5,
            "peak_memory_bytes": 0,
        }
        job.exit.write_text(json.dumps(record), encoding="utf-8")
        if r2 is not None and outcome == "ok":
            result = Result(
                mvp=mvp,
                run=run,
                profile=profile,
                recipe="mlp",
                values={"test/r2/log_g": r2, "val/r2/log_g": r2},
                errors={"test/r2/log_g": 0.004},
                n={"train": 1000, "test": 100},
                model={"name": model, "params": 10},
                data={"source": "grid", "hash": "same"},
                world=WORLD.record(),
            )
            write_result(job.result, replace(result, seconds=5.0))
        return job

    return put
