"""Networks that begin with the weights of another job: `init`, `adapt`."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from tests.recipes.test_run import DATA, RunHere, run_here
from vitlab.contract.checks import CONTENT, LABELS, read_check
from vitlab.contract.config import ConfigError, read_config
from vitlab.contract.job import Result, Spec, read_result, read_spec
from vitlab.contract.paths import JobPaths
from vitlab.ml.spectra.grid import load_grid
from vitlab.ml.spectra.observation import load_noise
from vitlab.ml.spectra.pfsspec import WAVE, make_file
from vitlab.ml.spectra.simulate import Simulator
from vitlab.ml.training import checkpoint
from vitlab.recipes import run
from vitlab.recipes.evaluate import rescore

__all__ = ["run_here"]
MODEL = {"patch": 512, "hidden": 8, "layers": 1, "heads": 2}
TRAIN = {"epochs": 1, "batch": 32, "threads": 1, "ema": 0}
BASE: dict[str, Any] = {
    "data": DATA,
    "model": MODEL,
    "train": TRAIN,
    "loss": "mixture",
    "components": 2,
    "exact": 0,
}
FIRST = "VIT-20260101-first-01/20260101-000000-main-full"


def a_job(lab: Path, name: str, config: dict[str, Any], recipe: str = "vit") -> JobPaths:
    job = JobPaths(lab / "experiments" / name)
    job.folder.mkdir(parents=True)
    exp_id = name.partition("/")[0]
    spec = Spec("1.0", "main", "full", recipe, config, exp_id, "roadmaps/r.md")
    job.spec.write_bytes(spec.to_json())
    return job


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab with one trained job, to copy."""
    lab = tmp_path_factory.mktemp("trained")
    (lab / "vitlab.yaml").write_text("")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "_listen_for_end", list)
        patch.setattr(run, "_set_threads", lambda _: None)
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        assert run.main([str(a_job(lab, FIRST, BASE).folder)]) == 0
    return lab


@pytest.fixture
def lab(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "lab"))


def weights(job: JobPaths) -> dict[str, torch.Tensor]:
    return checkpoint.load(job.checkpoints / checkpoint.BEST, torch.device("cpu")).model


def ended(job: JobPaths) -> Result:
    result = read_result(job.result)
    assert result is not None
    return result


@pytest.mark.parametrize("adapt", ["zero", "head", "all"])
def test_what_learns_is_what_is_said(lab: Path, run_here: RunHere, adapt: str) -> None:
    file = lab / "labelled.h5"
    list(make_file(Simulator(load_grid(), load_noise(), seed=7), 0, 84, file))
    data = {"source": str(file), "train_size": 44, "val_size": 20, "test_size": 20}
    config = {**BASE, "data": data, "init": FIRST, "adapt": adapt}
    job = a_job(lab, f"VIT-20260101-second-01/20260102-000000-{adapt}-full", config)
    child = run_here(job)
    assert child.code == 0, child.err
    assert f"begins with the weights of {FIRST}: " in child.out
    before, after = weights(JobPaths(lab / "experiments" / FIRST)), weights(job)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    head = {"head.weight", "head.bias"}
    # The mean and scatter of the input belong to the weights, and never change.
    still = {"centre", "gain"}
    assert changed == {"zero": set(), "head": head, "all": set(before) - still}[adapt]
    result = ended(job)
    first = ended(JobPaths(lab / "experiments" / FIRST))
    assert result.model == {**first.model, "init": FIRST, "adapt": adapt}
    assert result.n == {"train": 44, "val": 20, "test": 20}
    assert "val/r2/log_g" in result.values
    # The new job stands alone: it is scored again without the first.
    shutil.rmtree(lab / "experiments" / "VIT-20260101-first-01")
    again = rescore(job).named()[0]
    assert again["test/r2/log_g"] == pytest.approx(result.values["test/r2/log_g"], abs=1e-6)


def test_zero_is_the_first_job_s_score_on_the_same_stars(lab: Path, run_here: RunHere) -> None:
    job = a_job(
        lab, "VIT-20260101-second-01/a", {**BASE, "init": "VIT-20260101-first", "adapt": "zero"}
    )
    assert run_here(job).code == 0
    first = ended(JobPaths(lab / "experiments" / FIRST))
    for name in ("test/r2/log_g", "test/log_score/log_g", "val/r2/log_g"):
        assert ended(job).values[name] == pytest.approx(first.values[name], abs=1e-6)


class AfterTwoSteps(list[int]):
    """What a job asks whether it was told to end: it was, once it has taken two steps."""

    asked = 0

    def __bool__(self) -> bool:
        self.asked += 1
        return self.asked > 2


def test_a_resumed_job_takes_the_steps_of_an_uninterrupted_one(
    lab: Path, run_here: RunHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit; its own weights, not those of the first job, are where it goes on."""
    config = {**BASE, "init": FIRST, "train": {**TRAIN, "epochs": 2}}
    whole = a_job(lab, "VIT-20260101-second-01/whole", config)
    assert run_here(whole).code == 0
    part = a_job(lab, "VIT-20260101-second-01/part", config)
    with monkeypatch.context() as patch:
        patch.setattr(run, "_listen_for_end", AfterTwoSteps)
        assert run_here(part).code == run.ENDED
    assert not part.result.exists()
    assert run.main([str(part.folder), "--resume"]) == 0
    before, after = weights(whole), weights(part)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert ended(part).values["test/r2/log_g"] == ended(whole).values["test/r2/log_g"]


def test_stars_that_the_first_job_learned_from_are_found(lab: Path, run_here: RunHere) -> None:
    file = lab / "same.h5"
    list(make_file(Simulator(load_grid(), load_noise()), 0, 64, file))  # its training stars
    data = {"source": str(file), "train_size": 24, "val_size": 20, "test_size": 20}
    config = {**BASE, "data": data, "init": FIRST, "adapt": "zero"}
    job = a_job(lab, "VIT-20260101-second-01/seen", config)
    child = run_here(job)
    assert child.code == 0, child.err
    assert "the test scores are meaningless" in child.out
    outcomes = [read_check(ended(job).checks, name).outcome for name in (CONTENT, LABELS)]
    assert "fail" in outcomes


def test_stars_of_a_file_that_was_replaced_since_are_not_known(
    lab: Path, run_here: RunHere
) -> None:
    file, simulator = lab / "own.h5", Simulator(load_grid(), load_noise())
    list(make_file(simulator, 0, 64, file))
    data = {"source": str(file), "train_size": 24, "val_size": 20, "test_size": 20}
    first = a_job(lab, "VIT-20260101-first-02/own", {**BASE, "data": data})
    assert run_here(first).code == 0
    file.unlink()
    list(make_file(simulator, 64, 128, file))
    config = {**BASE, "data": data, "init": "VIT-20260101-first-02/own", "adapt": "zero"}
    job = a_job(lab, "VIT-20260101-second-01/later", config)
    child = run_here(job)
    assert child.code == 0, child.err
    assert "its data have changed since: its training stars are not known" in child.out
    found = [read_check(ended(job).checks, name) for name in (CONTENT, LABELS)]
    assert [(one.outcome, one.reason) for one in found] == [("unknown", "changed")] * 2


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "network": (
        {"model": {**MODEL, "hidden": 16}},
        f"config.init: {FIRST}: has model.hidden = 8, not 16",
    ),
    "labels": ({"labels": ["M_H"]}, f"config.init: {FIRST}: predicts log_g, not M_H"),
    "loss": (
        {"loss": "nll"},
        f"config.init: {FIRST}: was trained with loss mixture, not nll",
    ),
    "components": ({"components": 3}, f"config.init: {FIRST}: has 2 components, not 3"),
    "running mean": (
        {"data": {**DATA, "running_continuum": 100}},
        f"config.init: {FIRST}: was trained with data.running_continuum = 0, not 100",
    ),
    "no job": ({"init": "../../etc/passwd"}, "no job '../../etc/passwd' (the latest: "),
    "itself": (
        {"init": "VIT-20260101-second-01/job"},
        "config.init: VIT-20260101-second-01/job: is this job itself",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(REFUSED))
def test_weights_that_do_not_fit_are_refused_in_a_line(
    lab: Path, run_here: RunHere, name: str
) -> None:
    change, said = REFUSED[name]
    job = a_job(lab, "VIT-20260101-second-01/job", {**BASE, "init": FIRST, **change})
    child = run_here(job)
    assert child.code == run.UNUSABLE
    assert child.err.startswith(said)
    assert child.err.count("\n") == 1
    assert not job.result.exists()


def test_other_pixels_recipes_and_places_are_refused(lab: Path, run_here: RunHere) -> None:
    file = lab / "shifted.h5"
    list(make_file(Simulator(load_grid(), load_noise()), 0, 84, file))
    with h5py.File(file, "r+") as opened:
        opened[WAVE][...] = np.linspace(7105, 8855, 4096)
    data = {"source": str(file), "train_size": 44, "val_size": 20, "test_size": 20}
    shifted = a_job(lab, "VIT-20260101-second-01/a", {**BASE, "data": data, "init": FIRST})
    assert run_here(shifted).err == (
        f"config.init: {FIRST}: was trained on 4096 pixels from 7100.0 to 8850.0 A, not "
        "4096 pixels from 7105.0 to 8855.0 A\n"
    )
    a_job(lab, "VIT-20260101-other-01/ridge", {"data": DATA}, "ridge")
    other = a_job(lab, "VIT-20260101-second-01/b", {**BASE, "init": "VIT-20260101-other-01"})
    assert "other-01/ridge: is not a job of recipe vit" in run_here(other).err
    first = JobPaths(lab / "experiments" / FIRST)
    spec = read_spec(first.spec)
    assert spec is not None
    first.spec.write_bytes(replace(spec, submitted=5.0).to_json())
    replaced = a_job(lab, "VIT-20260101-second-01/d", {**BASE, "init": FIRST})
    assert run_here(replaced).err == f"config.init: {FIRST}: its checkpoint is of another job\n"
    # A checkpoint that a link leads out of the lab for.
    best = first.checkpoints / checkpoint.BEST
    outside = lab.parent / "best.pt"
    best.rename(outside)
    best.symlink_to(outside)
    linked = a_job(lab, "VIT-20260101-second-01/c", {**BASE, "init": FIRST})
    assert run_here(linked).err == f"config.init: {FIRST}: its checkpoint is outside the lab\n"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"adapt": "head"}, "config.adapt: needs init: the job to begin with"),
        ({"adapt_rate": 0.5}, "config.adapt_rate: needs init"),
        ({"init": "1.0", "adapt": "heads"}, "config.adapt: unknown value 'heads'; did you mean h"),
        ({"init": "1.0", "adapt_rate": 0}, "config.adapt_rate: must be > 0 and <= 1, not 0"),
        (
            {"init": "1.0", "adapt": "head", "train": {"optimizer": "muon"}},
            "config.train.optimizer: 'muon' is not for the head",
        ),
        (
            {"init": "1.0", "train": {"schedule": "wsd", "reuse_trunk": True}},
            "config.train.reuse_trunk: a run with init begins with that job's state",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config("vit", config)
    assert str(caught.value).startswith(said)


def test_real_spectra_need_no_added_noise() -> None:
    """Those of a file have errors of their own to divide by."""
    read_config("vit", {"data": {"source": "stars.h5"}, "noise": {"level": 0}})
    with pytest.raises(ConfigError, match="divides by the noise, but the noise level is 0"):
        read_config("vit", {"noise": {"level": 0}})
