"""The check before a training, and the estimate of its memory against the network itself."""

from __future__ import annotations

import math
from dataclasses import asdict, replace

import pytest
import torch

from tests.ml.models import P16
from vitlab.contract.config import DataConfig, MlpConfig, VitConfig, read_config
from vitlab.contract.networks import MlpModel, TrainConfig, VitModel
from vitlab.contract.paths import UsageError
from vitlab.contract.value import MEMORY, MFU
from vitlab.jobs.experiment.estimate import STATE, training_bytes, training_flops
from vitlab.ml.network.vit import param_count
from vitlab.ml.progress import NonFiniteLoss
from vitlab.ml.spectra.dataset import open_spectra
from vitlab.ml.train import train
from vitlab.ml.training.parallel import Group
from vitlab.ml.training.task import Task, make_model, make_task
from vitlab.recipes import run, vit
from vitlab.recipes.vit import check, performance

CPU = torch.device("cpu")
SMALL = replace(P16, patch=64, hidden=64, layers=3, heads=4, input="whitened")
MODELS = (
    SMALL,
    replace(SMALL, pool="mean", positions="none", tokenizer="SW", stride=16, mlp_ratio=1.5),
    replace(SMALL, positions="sinusoidal", hidden=128, dropout=0.0),
    P16,
    VitModel(),
    MlpModel(hidden=(512, 64)),
)


def small(model: VitModel | MlpModel = SMALL) -> VitConfig | MlpConfig:
    data = DataConfig(train_size=64, val_size=8, test_size=8)
    how = TrainConfig(epochs=1, batch=32, ema=0)
    if isinstance(model, VitModel):
        return VitConfig(data=data, model=model, train=how)
    return MlpConfig(data=data, model=model, train=how)


def made(config: VitConfig | MlpConfig) -> tuple[torch.nn.Module, Task]:
    spectra = open_spectra(config.data, config.noise.level, config.labels, CPU)
    torch.manual_seed(1)
    return make_model(config, spectra), make_task(config, spectra, CPU)


@pytest.mark.parametrize("model", [SMALL, MODELS[1], MODELS[2], MODELS[4]])
def test_the_estimate_is_near_what_is_kept_for_the_backward_pass(
    model: VitModel | MlpModel,
) -> None:
    config = small(model)
    network, task = made(config)
    kept: dict[int, int] = {}
    own = {parameter.data_ptr() for parameter in network.parameters()}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        check(network, task)
    estimate = training_bytes(config, cuda=False)
    assert estimate is not None
    inputs = 3 * 4 * 4096 * config.train.size
    activations = estimate - STATE * param_count(network)
    assert 0.66 < activations / (sum(kept.values()) + inputs) < 1.5


def test_only_networks_are_estimated() -> None:
    assert training_bytes(read_config("ridge", {}), cuda=False) is None


def test_the_check_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    network, task = made(small())
    [*_, plain] = _losses(network, task)
    network, task = made(small())
    said = check(network, task)
    assert said.startswith("checked on one batch of 32: loss ")
    assert " GB resident" in said
    assert all(parameter.grad is None for parameter in network.parameters())
    assert [*_losses(network, task)][-1] == plain


@pytest.mark.parametrize(
    "train",
    [
        {"optimizer": "muon", "schedule": "plateau", "ema": 0.9, "patience": 1},
        {"precision": "fp16", "accumulate": 4, "prefetch": 0},
        {"precision": "bf16", "compile": True, "on_nonfinite": "rewind"},
    ],
)
def test_the_check_goes_with_every_option(train: dict[str, object]) -> None:
    loss = "nll" if "ema" in train else "huber"
    tiny = {"patch": 512, "hidden": 16, "layers": 1, "heads": 2, "input": "flux+error"}
    data = {"train_size": 64, "val_size": 8, "test_size": 8}
    how = {"epochs": 1, "batch": 32, **train}
    config = read_config("vit", {"data": data, "model": tiny, "train": how, "loss": loss})
    assert isinstance(config, VitConfig)
    network, task = made(config)
    part = 32 // config.train.accumulate
    assert check(network, task).startswith(f"checked on one batch of {part}: loss ")


def test_a_check_without_memory_says_that_less_will_be_tried() -> None:
    network, task = made(small())

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    network.register_forward_pre_hook(full)
    assert check(network, task) == "checked: a micro-batch of 32 does not fit into memory"


def _losses(network: torch.nn.Module, task: Task) -> list[float]:
    events = [asdict(event) for event in train(network, task)]
    return [event["loss"] for event in events if "loss" in event]


def test_a_loss_that_is_no_number_ends_the_job_at_once() -> None:
    network, task = made(small())
    with torch.no_grad():
        next(network.parameters()).fill_(math.nan)
    with pytest.raises(NonFiniteLoss, match="first batch"):
        check(network, task)


def test_a_device_that_networks_do_not_run_on_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^device 'mps': networks run on CPUs and NVIDIA GPUs"):
        run._device("mps")


def test_the_share_of_a_gpus_peak_is_stated_and_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    config = small()
    _, task = made(config)
    flops = training_flops(config.model, 1, 4096)
    told: list[str] = []
    values = performance(config, task, told.append)(1000.0)
    assert told == []
    assert list(values) == [MEMORY]
    assert 0.05 < values[MEMORY] < 100
    monkeypatch.setattr(vit, "matmul_peak", lambda *_: 612.3e12)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 31_240_000_000)
    gpus = Group(0, 2, None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    task = replace(task, device=torch.device("cuda"), group=gpus)
    values = performance(config, task, told.append)(1e6)
    assert told == ["perf/mfu is of 1,225 TFLOP/s, the measured peak of bf16 products"]
    assert values == {MEMORY: 31.24, MFU: pytest.approx(1e6 * flops / (2 * 612.3e12))}
