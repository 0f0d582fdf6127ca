"""Runs of several lengths share one stable phase, which the lab's jobs leave."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from tests.recipes.test_run import VIT, RunHere, events, run_here
from vitlab.contract.events import EventWriter
from vitlab.contract.job import CORE_HOURS, GPU_HOURS, Spec, read_result, read_spec
from vitlab.contract.paths import JobPaths
from vitlab.ml.training import checkpoint
from vitlab.ml.training.checkpoint import BEST, TRUNK
from vitlab.recipes.trunks import find_trunk, trunk_hours

__all__ = ["run_here"]


def a_run(root: Path, name: str, seed: int = 42, **train: Any) -> JobPaths:
    paths = JobPaths(root / "experiments/VIT-20260101-x-01" / name)
    paths.folder.mkdir(parents=True)
    data = {"source": "grid-infinite", "train_size": 64, "val_size": 20, "test_size": 30}
    train = {"batch": 16, "schedule": "wsd", "threads": 1, "seed": seed, **train}
    config = {"data": data, "model": VIT, "train": train}
    spec = Spec("3.0", name, "smoke", "vit", config, "VIT-20260101-x-01", "roadmaps/r.md")
    paths.spec.write_bytes(spec.to_json())
    return paths


def a_spec(job: JobPaths) -> Spec:
    spec = read_spec(job.spec)
    assert spec is not None
    return spec


def notes(paths: JobPaths) -> str:
    return " ".join(str(event.data["text"]) for event in events(paths) if event.kind == "note")


def test_a_longer_run_goes_on_from_the_trunk_of_a_shorter_one(
    tmp_path: Path, run_here: RunHere
) -> None:
    (tmp_path / "vitlab.yaml").write_text("{}\n")
    short = a_run(tmp_path, "short", epochs=2, reuse_trunk=True)  # there is none yet
    whole = a_run(tmp_path, "whole", epochs=4)
    again = a_run(tmp_path, "again", epochs=4, reuse_trunk=True)
    assert run_here(short).code == run_here(again).code == run_here(whole).code == 0
    trunk = short.checkpoints / TRUNK
    assert f"continues from step 6 of {trunk}" in notes(again)
    other = a_run(tmp_path, "other", epochs=4, seed=1)
    saved = checkpoint.load(trunk, torch.device("cpu"))
    tried = ((again, 6, saved.data), (again, 5, saved.data), (again, 6, "0"), (other, 99, ""))
    found = [find_trunk(job, a_spec(job), n, data) for job, n, data in tried]
    assert (found, len(saved.data)) == ([trunk, None, None, None], 16)
    short.spec.write_bytes(replace(a_spec(short), submitted=5.0).to_json())
    assert find_trunk(again, a_spec(again), 6, saved.data) is None  # it is of another job now
    one, two = (torch.load(job.checkpoints / BEST)["model"] for job in (whole, again))
    assert all(torch.equal(one[name], two[name]) for name in one)
    first, full, longer = (read_result(job.result) for job in (short, whole, again))
    assert first is not None
    assert full is not None
    assert longer is not None
    assert full.values == longer.values
    assert longer.n["train"] == 4 * 64
    own, both = (float(str(one.data[CORE_HOURS])) for one in (first, longer))
    known = trunk_hours(trunk)
    assert known is not None
    assert 0 < known[CORE_HOURS] < own
    # All ran in this one process, so the longer one's own hours hold the shorter one's too.
    assert both > own + known[CORE_HOURS]
    assert GPU_HOURS not in longer.data


def test_hours_of_a_trunk_whose_job_kept_none_are_not_known(tmp_path: Path) -> None:
    job = JobPaths(tmp_path)
    assert trunk_hours(job.checkpoints / TRUNK) is None
    with EventWriter(job.events) as writer:
        writer.write("checkpoint", step=6, path=f"checkpoints/{TRUNK}")
    assert trunk_hours(job.checkpoints / TRUNK) is None
    with EventWriter(job.events) as writer:
        hours: dict[str, Any] = {CORE_HOURS: 0.5, GPU_HOURS: 0.25}
        writer.write("checkpoint", step=6, path=f"checkpoints/{TRUNK}", **hours)
        writer.write("checkpoint", step=8, path="checkpoints/last.pt", core_hours=0.7)
    assert trunk_hours(job.checkpoints / TRUNK) == hours
