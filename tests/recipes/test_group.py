"""A job of two processes: the steps one process would take, one that dies, and going on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch

from tests.recipes.test_run import DATA, VIT, a_job, events, said_by, start
from vitlab.contract.config import read_config
from vitlab.contract.job import read_result
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.ml.training import checkpoint
from vitlab.recipes import run
from vitlab.recipes.run import launch_group, starts_group

CPU = torch.device("cpu")
TRAIN = {"epochs": 4, "batch": 32, "threads": 1, "ema": 0.5, "eval_every": 2}


def config_of(**train: object) -> dict[str, object]:
    model = {**VIT, "dropout": 0.2, "stochastic_depth": 0.2}
    return {"data": {**DATA, "train_size": 50}, "model": model, "train": {**TRAIN, **train}}


def of_rank(number: int, parent: int) -> int:
    """The process of a rank among the children of `parent`."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            known = (path / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if int(fields[1]) == parent and f"RANK={number}".encode() in known:
            return int(path.name)
    raise AssertionError(f"no rank {number}")


def weights(paths: JobPaths) -> dict[str, torch.Tensor]:
    return checkpoint.load(paths.checkpoints / "last.pt", CPU).model


@pytest.mark.timeout(180)
def test_two_processes_take_the_steps_of_one_and_are_one_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed, named, resumed: and still the same numbers as one process of twice the parts."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setattr(run, "_listen_for_end", list)
    torch.set_num_threads(1)
    alone = a_job(tmp_path / "alone", "vit", config_of(accumulate=2))
    assert run.main([str(alone.folder)]) == 0
    shared = a_job(tmp_path / "shared", "vit", config_of(processes=2))
    child = start(shared)
    said_by(shared, child, "checkpoint")
    partner = of_rank(1, child.pid)
    os.kill(partner, signal.SIGKILL)
    child.communicate()
    assert child.returncode == 1
    error = f"rank 1: Signal 9 (SIGKILL) received by PID {partner}"
    assert events(shared)[-1].data == {"ok": False, "error": error}
    with pytest.raises(AssertionError, match="no rank 0"):
        of_rank(0, child.pid)

    child = start(shared, "--resume")
    out, err = child.communicate()
    assert child.returncode == 0, err
    assert out.count("steps on cpu in each of 2 processes") == 1
    said = events(shared)
    assert [e.kind for e in said].count("start") == 2
    for name in ("val/loss", "val/r2/log_g", "test/mae/log_g"):
        ours, theirs = (
            {e.step: e.values[name] for e in events(job) if name in e.values}
            for job in (shared, alone)
        )
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-5)
    for name, value in weights(alone).items():
        torch.testing.assert_close(weights(shared)[name], value, atol=1e-6, rtol=1e-4)
    result = read_result(shared.result)
    assert result is not None
    assert result.n["test"] == 30


def test_who_starts_a_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = (read_config("vit", {"train": {"processes": n}}) for n in (1, 2))
    assert not starts_group(one, {})
    assert starts_group(two, {})
    assert not starts_group(two, {"TORCHELASTIC_RUN_ID": "1", "RANK": "0"})
    assert starts_group(one, {"PET_NNODES": "2"})
    assert not starts_group(read_config("ridge", {}), {"PET_NNODES": "2"})
    monkeypatch.setenv("PET_NNODES", "2")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with pytest.raises(UsageError, match=r"config\.train\.processes: 1 cannot be divided"):
        launch_group(JobPaths(tmp_path), one, "cpu", resume=False)
