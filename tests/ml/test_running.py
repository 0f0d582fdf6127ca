"""How a training is run: what `auto` chooses, and that no choice changes what is learned.

There is no GPU here. A trial is the same code on a CPU, and a CUDA graph is replayed by a stand-in
that takes the captured pass again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.ml.test_train import CPU, TRAIN, a_model, a_task, losses
from vitlab.contract.networks import TrainConfig
from vitlab.ml.progress import Note
from vitlab.ml.train import train
from vitlab.ml.training import batches, checkpoint, running
from vitlab.ml.training.running import Runner, choose, largest_batch, settle
from vitlab.ml.training.task import precision_on
from vitlab.ml.training.throughput import matmul_peak

AUTO = TrainConfig(epochs=1000, batch="auto", lr=1e-3, compile=False)
T4, H100, PASCAL = (7, 5), (9, 0), (6, 1)


@pytest.fixture
def _tried_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "TRIED", {"cpu"})
    monkeypatch.setattr(running, "_TIMED", 0.0)
    monkeypatch.setattr(running, "BATCH", 8)
    monkeypatch.setattr(running, "MOST", 64)


class _Limited(nn.Module):
    """A network for which no more than `most` spectra fit into memory."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.head = most, nn.Linear(4096, 2)

    def forward(self, spectra: Tensor) -> Tensor:
        if len(spectra) > self.most:
            raise torch.OutOfMemoryError("no memory on the device")
        labels: Tensor = self.head(spectra)
        return labels


@pytest.mark.parametrize(
    ("wanted", "capability", "found"),
    [
        ("auto", H100, "bf16"), ("auto", T4, "fp16"), ("auto", PASCAL, "fp32"),
        ("bf16", T4, "fp16"), ("bf16", H100, "bf16"), ("fp32", H100, "fp32"),
        ("fp16", H100, "fp16"),
    ],
)  # fmt: skip
def test_a_gpu_gets_the_precision_it_has(
    wanted: str, capability: tuple[int, int], found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla T4")
    cuda = torch.device("cuda")
    assert precision_on(wanted, cuda) == found
    if wanted == "bf16" and capability == T4:
        monkeypatch.setattr(running, "TRIED", set())
        task = replace(a_task(), device=cuda, train=replace(TRAIN, precision="bf16"))
        assert choose(a_model(), task, 1.0)[2] == ["Tesla T4 has no bf16: fp16 instead"]


def test_on_a_cpu_auto_is_fp32_as_written() -> None:
    task, runner, told = choose(a_model(), a_task(config=AUTO), 1e6)
    assert (task.how, runner, told) == (
        {"precision": "fp32", "compile": False, "graphs": False, "batch": 512}, None, [],
    )  # fmt: skip
    assert task.train.lr == AUTO.lr


@pytest.mark.usefixtures("_tried_here")
@pytest.mark.parametrize(("most", "found"), [(5, 8), (30, 16), (999, 64)])
def test_the_batch_is_the_largest_that_fits(most: int, found: int) -> None:
    network, task = _Limited(most), a_task(config=AUTO)
    assert largest_batch(network, task) == found
    assert all(p.grad is None for p in network.parameters())
    if found == 16:
        chosen = choose(network, task, 1e6)[0]
        assert chosen.how["batch"] == 16
        assert chosen.train.lr == pytest.approx(AUTO.lr * math.sqrt(2))


@pytest.mark.usefixtures("_tried_here")
def test_a_short_training_keeps_its_steps() -> None:
    task = a_task(config=replace(AUTO, epochs=228))  # 15,960 spectra are no 1,000 steps of 16
    assert largest_batch(_Limited(999), task) == 8


@pytest.mark.usefixtures("_tried_here")
def test_compiling_is_tried_where_it_may_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda network, **_: network)
    network, task = a_model(), a_task(config=replace(TRAIN, epochs=1000))
    before = [p.detach().clone() for p in network.parameters()]
    chosen, runner, [line] = choose(network, task, 1e6)
    assert chosen.how["compile"] is False
    assert line.startswith("fp32, eager, 16 at once: ")
    assert line.endswith("% of the card's measured peak")
    monkeypatch.setattr(running, "COMPILE_PAYS", 0.0)
    chosen, runner, [line] = choose(network, task, 1e6)
    assert runner is not None
    assert "eager" in line
    assert "compiled" in line
    assert chosen.how["compile"] is runner.compiled
    assert all(map(torch.equal, before, network.parameters()))
    assert all(p.grad is None for p in network.parameters())


@pytest.mark.usefixtures("_tried_here")
def test_a_resumed_training_is_run_as_before(tmp_path: Path) -> None:
    wanted, auto = a_model(), replace(AUTO, epochs=1, ema=0, compile="auto")
    chosen = settle(a_task(config=auto), {"precision": "bf16", "batch": 32, "compile": False})
    list(train(wanted, chosen, tmp_path))
    saved = checkpoint.load(tmp_path / "last.pt", CPU)
    assert settle(a_task(config=auto), saved.how).train == replace(chosen.train, graphs=False)
    fixed = replace(auto, batch=16, precision="fp32")
    assert settle(a_task(config=fixed), saved.how).train.batch == 16
    document = torch.load(tmp_path / "last.pt", weights_only=True)
    del document["how"]  # as they were saved when fp32 was the default
    torch.save(document, tmp_path / "last.pt")
    old = checkpoint.load(tmp_path / "last.pt", CPU)
    assert settle(a_task(), old.how).how["precision"] == "fp32"
    document["how"] = {"precision": "fp8"}
    torch.save(document, tmp_path / "last.pt")
    with pytest.raises(Exception, match="not a readable checkpoint"):
        checkpoint.load(tmp_path / "last.pt", CPU)


class _Graph:
    """A stand-in for `torch.cuda.CUDAGraph`: replaying takes the captured pass again."""

    replays = 0

    def replay(self) -> None:
        _Graph.replays += 1
        arguments, loss = self.captured
        loss.copy_(_real(*arguments))

    captured: tuple[tuple[Any, ...], Tensor]


_real = batches.add_seeded_gradients


@pytest.fixture
def _graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    last: list[tuple[tuple[Any, ...], Tensor]] = []

    def recorded(*arguments: Any) -> Tensor:
        last[:] = [(arguments, _real(*arguments))]
        return last[0][1]

    @contextmanager
    def capture(graph: _Graph, capture_error_mode: str) -> Iterator[None]:
        assert capture_error_mode == "thread_local"
        yield
        graph.captured = last[0]

    class Stream:
        def __init__(self, *_: object) -> None: ...

        def wait_stream(self, _: object) -> None: ...

    monkeypatch.setattr(running, "add_seeded_gradients", recorded)
    monkeypatch.setattr(_Graph, "replays", 0)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", _Graph)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda _: nullcontext())
    monkeypatch.setattr(torch.cuda, "graph", capture)


@pytest.mark.usefixtures("_graphs")
def test_steps_of_a_graph_are_those_without(tmp_path: Path) -> None:
    """The short last step of an epoch is none of its steps."""
    task = a_task(config=replace(TRAIN, accumulate=2))
    wanted = losses(train(a_model(), task))
    network = a_model()
    runner = Runner(network, task)
    runner.graphs = True
    assert losses(train(network, task, tmp_path, runner=runner)) == wanted
    assert _Graph.replays == 2 * 2 * (70 // 16)


@pytest.mark.usefixtures("_graphs")
def test_without_graphs_training_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    monkeypatch.setattr(torch.cuda, "graph", fail)
    task, network = a_task(config=replace(TRAIN, epochs=1)), a_model()
    wanted = losses(train(a_model(), task))
    runner = Runner(network, task)
    runner.graphs = True
    said = list(train(network, task, runner=runner))
    text = "operation not permitted when stream is capturing"
    assert said[0] == Note(f"the CUDA graph failed; training continues without it: {text}")
    assert losses(said) == wanted


def test_the_blocks_of_a_network_are_compiled_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    wanted = losses(train(a_model(), a_task(config=replace(TRAIN, epochs=1))))
    network = a_model()
    names = set(network.state_dict())
    config = replace(TRAIN, epochs=1, compile=True)
    said = list(train(network, a_task(config=config)))
    assert not [event for event in said if isinstance(event, Note)]
    assert set(network.state_dict()) == names
    assert losses(said)[0] == pytest.approx(wanted[0], rel=0.2)  # dropout draws other bytes
    assert math.isfinite(losses(said)[-1])


def test_the_peak_is_measured_once() -> None:
    assert matmul_peak(CPU, "fp32") == matmul_peak(CPU, "fp32") > 1e8
