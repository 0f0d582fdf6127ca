"""The training loop: what it says, that it learns, and that a resumed run is the same run."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vitlab.contract.config import DataConfig
from vitlab.contract.networks import TrainConfig, VitModel
from vitlab.contract.paths import UsageError
from vitlab.ml import checkpoint
from vitlab.ml.inputs import make_inputs
from vitlab.ml.labels import fit_scaling
from vitlab.ml.predict import predict
from vitlab.ml.progress import Best, Checkpoint, Evaluation, NonFiniteLoss, Note, Step
from vitlab.ml.spectra import open_spectra
from vitlab.ml.task import Task
from vitlab.ml.train import train
from vitlab.ml.vit import ViT

MODEL = VitModel(input="whitened", patch=256, hidden=16, layers=1, heads=2, dropout=0.2)
TRAIN = TrainConfig(epochs=2, batch=16, lr=1e-3, eval_every=3)
CPU = torch.device("cpu")


def a_task(source: str = "grid", config: TrainConfig = TRAIN) -> Task:
    data = DataConfig(source=source, train_size=70, val_size=20, test_size=30)
    spectra = open_spectra(data, 1.0, ("log_g", "M_H"), CPU)
    return Task(
        spectra=spectra,
        inputs=make_inputs(MODEL.input, spectra),
        scaling=fit_scaling(spectra.labels("train", 0, 70), "standard"),
        labels=("log_g", "M_H"),
        train=config,
        device=CPU,
        model=asdict(MODEL),
    )


def a_model() -> ViT:
    torch.manual_seed(3)
    return ViT(MODEL, 4096, 2)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_what_a_training_says(tmp_path: Path) -> None:
    said = list(train(a_model(), a_task(), tmp_path))
    steps = [event for event in said if isinstance(event, Step)]
    assert [event.step for event in steps] == list(range(1, 11))
    assert {event.of for event in steps} == {10}
    assert [event.epoch for event in steps] == [0] * 5 + [1] * 5
    evaluations = [event for event in said if isinstance(event, Evaluation)]
    assert [event.step for event in evaluations] == [3, 6, 9, 10]
    assert set(evaluations[0].values) == {
        "val/loss",
        *(
            f"val/{metric}/{label}"
            for metric in ("r2", "mae", "rmse", "bias", "scatter")
            for label in ("log_g", "M_H")
        ),
    }
    assert {e.path.name for e in said if isinstance(e, Checkpoint)} == {"last.pt", "best.pt"}
    assert isinstance(said[-1], Best)


@pytest.mark.parametrize("source", ["grid", "grid-infinite"])
@pytest.mark.parametrize("stop_after", [4, 6])
def test_a_resumed_training_is_bitwise_the_uninterrupted_one(
    tmp_path: Path, source: str, stop_after: int
) -> None:
    whole = a_model()
    wanted = [e.loss for e in train(whole, a_task(source)) if isinstance(e, Step)]

    taken: list[float] = []
    first = a_model()
    stopped = lambda: len(taken) >= stop_after  # noqa: E731 - a closure over the list
    for event in train(first, a_task(source), tmp_path, stopped=stopped):
        if isinstance(event, Step):
            taken.append(event.loss)
    assert len(taken) == stop_after
    torch.rand(100)  # whatever else used the generator in between
    second = ViT(MODEL, 4096, 2)
    said = list(train(second, a_task(source), tmp_path, resume=True))
    taken += [e.loss for e in said if isinstance(e, Step)]
    assert said[0] == Note(f"resumed after step {stop_after} of 10")
    assert taken == wanted
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_it_learns_and_ends_with_its_best_weights() -> None:
    config = replace(TRAIN, epochs=25, batch=35, eval_every=5, lr=3e-3)
    model = a_model()
    task = a_task(config=config)
    said = list(train(model, task))
    losses = [event.loss for event in said if isinstance(event, Step)]
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])
    best = max(
        (e for e in said if isinstance(e, Evaluation)),
        key=lambda e: e.values["val/r2/log_g"] + e.values["val/r2/M_H"],
    )
    true, predicted = predict(model, task, "val")
    mae = np.abs(true - predicted).mean(axis=0)
    assert mae[0] == pytest.approx(best.values["val/mae/log_g"])
    assert mae[1] == pytest.approx(best.values["val/mae/M_H"])


def test_bf16_is_near_fp32() -> None:
    precise, rough = a_model().eval(), a_model().eval()
    a = predict(precise, a_task(), "val")[1]
    b = predict(rough, a_task(config=replace(TRAIN, precision="bf16")), "val")[1]
    np.testing.assert_allclose(a, b, atol=0.1)


class _Broken(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, spectra: Tensor) -> Tensor:
        return (spectra[:, :2] * self.weight) / 0 * math.inf


def test_a_loss_that_is_no_number_ends_the_training() -> None:
    with pytest.raises(NonFiniteLoss, match="at step 1"):
        list(train(_Broken(), a_task()))


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    list(train(a_model(), a_task(config=replace(TRAIN, epochs=1)), tmp_path))
    other = replace(a_task(), model={**asdict(MODEL), "layers": 2})
    with pytest.raises(UsageError, match="made by another configuration"):
        list(train(a_model(), other, tmp_path, resume=True))


class _Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("owned",))


def test_a_checkpoint_never_runs_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "last.pt"
    torch.save({"format": 2, "model": _Evil()}, path)
    with pytest.raises(UsageError, match="not a readable checkpoint"):
        checkpoint.load(path, CPU)
    path.write_bytes(b"half a file")
    with pytest.raises(UsageError, match="not a readable checkpoint"):
        checkpoint.load(path, CPU)
    assert "owned" not in capsys.readouterr().out
