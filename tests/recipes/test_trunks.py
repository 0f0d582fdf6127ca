"""Runs of several lengths share one stable phase, which the lab's jobs leave."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.recipes.test_run import VIT, RunHere, events, run_here
from vitlab.contract.job import CORE_HOURS, Spec, read_result, read_spec
from vitlab.contract.paths import JobPaths
from vitlab.ml.training.checkpoint import BEST, TRUNK
from vitlab.recipes.trunks import find_trunk

__all__ = ["run_here"]


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


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
    short = a_run(tmp_path, "short", epochs=2)
    whole = a_run(tmp_path, "whole", epochs=4)
    again = a_run(tmp_path, "again", epochs=4, reuse_trunk=True)
    assert run_here(short).code == run_here(again).code == run_here(whole).code == 0
    trunk = short.checkpoints / TRUNK
    assert f"goes on from step 6 of {trunk}" in notes(again)
    other = a_run(tmp_path, "other", epochs=4, seed=1)
    found = [find_trunk(job, a_spec(job), n) for job, n in ((again, 6), (again, 5), (other, 99))]
    assert found == [trunk, None, None]
    one, two = (torch.load(job.checkpoints / BEST)["model"] for job in (whole, again))
    assert all(torch.equal(one[name], two[name]) for name in one)
    results = [read_result(job.result) for job in (whole, again)]
    assert results[0] is not None
    assert results[1] is not None
    assert results[0].values == results[1].values
    assert results[1].n["train"] == 4 * 64
    assert CORE_HOURS in results[0].data
    assert CORE_HOURS not in results[1].data  # the trunk's are not known to it
