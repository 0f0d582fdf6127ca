"""The training loop: what it says, that it learns, and that a resumed run is the same run."""

from __future__ import annotations

import errno
import io
import math
import os
import random
import struct
import subprocess
import time
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.ml.models import P16
from vitlab.contract.config import DataConfig
from vitlab.contract.networks import MlpModel, TrainConfig
from vitlab.contract.paths import UsageError
from vitlab.ml.network.layers import MLP
from vitlab.ml.network.vit import ViT
from vitlab.ml.progress import Best, Checkpoint, Evaluation, NonFiniteLoss, Note, Step
from vitlab.ml.spectra.dataset import GridSpectra, open_spectra
from vitlab.ml.spectra.inputs import make_inputs
from vitlab.ml.spectra.labels import fit_scaling
from vitlab.ml.spectra.observation import Batch
from vitlab.ml.train import train
from vitlab.ml.training import checkpoint
from vitlab.ml.training.batches import Key, find_nonfinite, is_out_of_memory, make_batch, predict
from vitlab.ml.training.meter import LAG
from vitlab.ml.training.task import Task

MODEL = replace(P16, input="whitened", patch=256, hidden=16, layers=1, heads=2, dropout=0.2)
TRAIN = TrainConfig(epochs=2, batch=16, lr=1e-3, ema=0, eval_every=3)
CPU = torch.device("cpu")
LABELS = ("log_g", "M_H")


def a_task(source: str = "grid", config: TrainConfig = TRAIN) -> Task:
    data = DataConfig(source=source, train_size=70, val_size=20, test_size=30)
    spectra = open_spectra(data, 1.0, LABELS, CPU)
    return Task(
        spectra=spectra,
        inputs=make_inputs(MODEL.input, spectra),
        scaling=fit_scaling(spectra.labels("train", 0, 70), "standard"),
        labels=LABELS,
        train=config,
        device=CPU,
        model=asdict(MODEL),
    )


def a_model() -> ViT:
    torch.manual_seed(3)
    return ViT(MODEL, 4096, 2)


def losses(events: Iterable[object]) -> list[float]:
    return [event.loss for event in events if isinstance(event, Step)]


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


MANY = replace(
    TRAIN,
    optimizer="muon",
    schedule="plateau",
    plateau_patience=1,
    ema=0.9,
    accumulate=2,
    patience=50,
    monitor="val/loss",
    prefetch=3,
)
WSD = replace(TRAIN, schedule="wsd", decay=0.4, warmup=0.5, ema=0.9)


@pytest.mark.parametrize(
    ("source", "config"),
    [("grid", TRAIN), ("grid-infinite", TRAIN), ("grid", MANY), ("grid", WSD)],
    ids=["grid", "grid-infinite", "many options", "wsd"],
)
def test_a_resumed_training_is_bitwise_the_uninterrupted_one(
    tmp_path: Path, source: str, config: TrainConfig
) -> None:
    stop_after = random.randint(1, 9)
    whole = a_model()
    wanted = [e for e in train(whole, a_task(source, config)) if isinstance(e, Step)]

    taken: list[Step] = []
    first = a_model()
    stopped = lambda: len(taken) >= stop_after  # noqa: E731 - a closure over the list
    for event in train(first, a_task(source, config), tmp_path, stopped=stopped):
        if isinstance(event, Step):
            taken.append(event)
    assert len(taken) == stop_after
    torch.rand(100)  # whatever else used the generator in between
    second = a_model()
    said = list(train(second, a_task(source, config), tmp_path, resume=True))
    taken += [e for e in said if isinstance(e, Step)]
    assert said[0] == Note(f"resumed after step {stop_after} of 10")
    assert [(e.loss, e.lr) for e in taken] == [(e.loss, e.lr) for e in wanted], stop_after
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), (name, stop_after)


def test_a_trunk_gives_runs_of_all_lengths(tmp_path: Path) -> None:
    """2 epochs leave the state of step 6 of 10; 4 epochs from there are 4 epochs from the start."""
    list(train(a_model(), a_task("grid-infinite", WSD), tmp_path / "short"))
    trunk = tmp_path / "short" / checkpoint.TRUNK
    assert checkpoint.load(trunk, CPU).step == 6
    longer = a_task("grid-infinite", replace(WSD, epochs=4, decay=0.25))
    whole, again = a_model(), a_model()
    wanted = list(train(whole, longer, tmp_path / "whole"))
    said = list(train(again, longer, tmp_path / "again", trunk=trunk))
    assert said[0] == Note(f"continues from step 6 of {trunk}")
    assert losses(said) == losses(wanted)[6:]
    assert said[-1] == wanted[-1]
    assert isinstance(wanted[-1], Best)
    assert wanted[-1].step > 15  # chosen in the decay
    states = [
        checkpoint.load(tmp_path / name / checkpoint.TRUNK, CPU) for name in ("whole", "again")
    ]
    assert [state.step for state in states] == [15, 15]
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


@pytest.mark.parametrize("prefetch", [0, 5])
def test_when_a_batch_is_made_changes_nothing(
    prefetch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = losses(train(a_model(), a_task()))
    fresh = GridSpectra.fresh

    def late(self: GridSpectra, *arguments: Any) -> Batch:
        time.sleep(random.random() / 50)
        return fresh(self, *arguments)

    monkeypatch.setattr(GridSpectra, "fresh", late)
    assert losses(train(a_model(), a_task(config=replace(TRAIN, prefetch=prefetch)))) == wanted


def test_micro_batches_make_the_step_of_the_whole() -> None:
    """In what they sum to: the noise is another, so it is taken away."""
    weights = []
    for accumulate in (1, 3):
        config = replace(TRAIN, batch=35, accumulate=accumulate, epochs=1)
        data = DataConfig(train_size=70, val_size=20, test_size=30)
        task = replace(a_task(config=config), spectra=open_spectra(data, 0.0, LABELS, CPU))
        torch.manual_seed(3)
        model = ViT(replace(MODEL, dropout=0.0), 4096, 2)
        list(train(model, task))
        weights.append(model.state_dict())
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], atol=2e-5, rtol=1e-3)


class _Narrow(nn.Module):
    """A network whose device has memory for so many spectra at once."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.vit = a_model()
        self.most = most

    def forward(self, spectra: Tensor) -> Tensor:
        if self.training and len(spectra) > self.most:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")
        out: Tensor = self.vit(spectra)
        return out


def test_out_of_memory_halves_the_micro_batch(tmp_path: Path) -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    config = replace(TRAIN, accumulate=4)
    wanted = losses(train(_Narrow(16), a_task(config=config)))
    taken: list[float] = []
    notes: list[str] = []
    stopped = lambda: len(taken) == 4  # noqa: E731 - a closure over the list
    for event in train(_Narrow(5), a_task(), tmp_path, stopped=stopped):
        taken += [event.loss] if isinstance(event, Step) else []
        notes += [event.text] if isinstance(event, Note) else []
    assert [note.split(" (")[0] for note in notes[:2]] == [
        "out of memory with 16 spectra at once: repeating step 1 with 8, 2 micro-batches per step",
        "out of memory with 8 spectra at once: repeating step 1 with 4, 4 micro-batches per step",
    ]
    # The size found is part of the state: memory enough does not change what is resumed.
    taken += losses(train(_Narrow(16), a_task(), tmp_path, resume=True))
    assert taken == wanted
    with pytest.raises(torch.OutOfMemoryError, match="not enough memory for a single spectrum"):
        list(train(_Narrow(0), a_task()))


def test_a_full_disk_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = list(train(a_model(), a_task(), tmp_path / "wanted"))
    folder = tmp_path / "checkpoints"
    training = train(a_model(), a_task(), folder)
    said = []
    for event in training:
        said.append(event)
        if isinstance(event, Checkpoint) and event.path.name == "last.pt":
            break
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("vitlab.contract.paths.os.fsync", full)
        for event in training:
            said.append(event)
            if isinstance(event, Evaluation) and event.step == 9:
                break
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    said += training
    assert [e for e in said if isinstance(e, Evaluation)] == [
        e for e in wanted if isinstance(e, Evaluation)
    ]
    notes = [e.text for e in said if isinstance(e, Note)]
    text = "last.pt of step 6 not saved: No space left on device; the previous one stays"
    assert text in notes
    # What could not be kept then is kept as soon as there is room.
    for name in ("last.pt", "best.pt"):
        ours, theirs = (checkpoint.load(f / name, CPU) for f in (folder, tmp_path / "wanted"))
        assert (ours.step, ours.best_step) == (theirs.step, theirs.best_step)
        for key, value in theirs.model.items():
            assert torch.equal(ours.model[key], value)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a disk of its own")
def test_a_disk_that_is_full_for_real(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=96k", "none", str(tmp_path)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        said = list(train(a_model(), a_task(), tmp_path / "checkpoints"))
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    notes = [e.text for e in said if isinstance(e, Note)]
    assert any("No space left on device" in text for text in notes)
    assert len(losses(said)) == 10
    assert isinstance(said[-1], Best)


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
    found = predict(model, task, "val")
    true, predicted = found.true, found.predicted
    mae = np.abs(true - predicted).mean(axis=0)
    assert mae[0] == pytest.approx(best.values["val/mae/log_g"])
    assert mae[1] == pytest.approx(best.values["val/mae/M_H"])


def test_bf16_is_near_fp32() -> None:
    precise, rough = a_model().eval(), a_model().eval()
    a = predict(precise, a_task(), "val").predicted
    b = predict(rough, a_task(config=replace(TRAIN, precision="bf16")), "val").predicted
    np.testing.assert_allclose(a, b, atol=0.1)


class _Breaks(nn.Module):
    """A network whose output is no number at the given passes through it."""

    def __init__(self, *passes: int) -> None:
        super().__init__()
        self.passes, self.seen = passes, 0
        self.vit = a_model()
        self.last = nn.Identity()

    def forward(self, spectra: Tensor) -> Tensor:
        self.seen += self.training
        bad = self.training and self.seen in self.passes
        out: Tensor = self.last(self.vit(spectra) * (math.nan if bad else 1))
        return out


@pytest.mark.parametrize("lag", [0, 1])
def test_a_loss_that_is_no_number_ends_the_training(
    lag: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LAG, "cpu", lag)
    said: list[object] = []
    with pytest.raises(NonFiniteLoss, match="the loss is nan at step 3"):
        said.extend(_kept(train(_Breaks(3, 4, 5), a_task(), tmp_path), said))
    assert [e.step for e in said if isinstance(e, Step)] == [1, 2]
    assert not any(isinstance(e, Checkpoint | Evaluation) for e in said)
    assert not list(tmp_path.iterdir())
    assert isinstance(said[-1], Note)
    if not lag:
        assert said[-1].text == (
            "the loss is nan at step 3: the output of last is the first not to be finite"
        )


def _kept(events: Iterator[object], said: list[object]) -> list[object]:
    """Put events into `said` as they come: what raises leaves the ones before."""
    for event in events:
        said.append(event)
    return []


def test_numbers_read_late_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def told() -> list[object]:
        events = train(a_model(), a_task())
        return [replace(e, samples_per_s=0, wait=0) if isinstance(e, Step) else e for e in events]

    at_once = told()
    monkeypatch.setitem(LAG, "cpu", 1)
    assert told() == at_once


def test_a_training_is_rewound_and_goes_on_with_other_noise(tmp_path: Path) -> None:
    config = replace(TRAIN, on_nonfinite="rewind", rewinds=2)
    said = list(train(_Breaks(5, 6), a_task(config=config), tmp_path))
    steps = [e for e in said if isinstance(e, Step)]
    assert [e.step for e in steps] == [1, 2, 3, 4, 4, 5, 6, 7, 8, 9, 10]
    assert steps[3].loss != steps[4].loss
    notes = [e.text for e in said if isinstance(e, Note)]
    assert notes[0] == (
        "the loss is nan at step 5: the output of last is the first not to be finite"
    )
    assert notes[1] == "back to step 3: rewind 1 of at most 2"
    assert checkpoint.load(tmp_path / "last.pt", CPU).rewinds == 1
    with pytest.raises(NonFiniteLoss):
        list(train(_Breaks(*range(99)), a_task(config=config), tmp_path / "again"))


def test_the_cause_is_named() -> None:
    task, model = a_task(), a_model()
    part = make_batch(task, Key(0, 0, 1))
    assert find_nonfinite(model, task, [part]) == ""
    inputs = part.inputs.clone()
    inputs[7, 100] = math.inf
    bad = replace(part, inputs=inputs)
    assert (
        find_nonfinite(model, task, [bad])
        == "the input of spectrum 7 of micro-batch 0 is not finite"
    )
    with torch.no_grad():
        model.get_parameter("head.bias").fill_(math.nan)
    assert find_nonfinite(model, task, [part]) == "the parameter head.bias is not finite"


@pytest.mark.parametrize("monitor", ["val/mae/log_g", "val/loss", "val/bias/M_H"])
def test_the_best_state_is_that_of_the_monitored_value(monitor: str) -> None:
    config = replace(TRAIN, monitor=monitor, eval_every=1, epochs=1)
    said = list(train(a_model(), a_task(config=config)))
    found = {e.step: abs(e.values[monitor]) for e in said if isinstance(e, Evaluation)}
    assert said[-1] == Best(min(found, key=found.__getitem__), 0)


def test_training_ends_when_nothing_gets_better() -> None:
    config = replace(TRAIN, patience=2, lr=1e-30, min_lr=0.0)
    said = list(train(a_model(), a_task(config=config)))
    assert [e.step for e in said if isinstance(e, Evaluation)] == [3, 6, 9]
    assert said[-2] == Note("no improvement in val/r2 for 2 validations: stopping")
    assert said[-1] == Best(3, 0)


def test_fp16_scales_its_gradients_and_is_near_fp32(tmp_path: Path) -> None:
    config = replace(TRAIN, epochs=1)
    wanted = losses(train(a_model(), a_task(config=config)))
    half = replace(config, precision="fp16")
    found = losses(train(a_model(), a_task(config=half), tmp_path))
    np.testing.assert_allclose(found, wanted, rtol=0.05)
    assert checkpoint.load(tmp_path / "last.pt", CPU).scaler["scale"] >= 1


def test_without_a_compiler_training_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._dynamo.exc import TorchDynamoException  # 1.3 s, which every worker would take

    def compiled(network: nn.Module, **_: object) -> nn.Module:
        def fail(*_: object) -> None:
            raise TorchDynamoException("no compiler here\nand a long story")

        broken = nn.Identity()
        broken.register_forward_pre_hook(fail)
        return broken

    wanted = losses(train(a_model(), a_task()))
    monkeypatch.setattr(torch, "compile", compiled)
    said = list(train(a_model(), a_task(config=replace(TRAIN, compile=True))))
    text = "torch.compile failed; training continues without it: no compiler here"
    assert said[0] == Note(text)
    assert losses(said) == wanted


def test_compiled_steps_are_near_eager_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced and differentiated as a whole; C++ is not made of it, which takes 20 seconds."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    found = []
    for compiled in (False, True):
        torch.manual_seed(3)
        network = MLP(MlpModel(hidden=(8,)), 4096, len(LABELS))
        config = replace(TRAIN, epochs=1, batch=14, compile=compiled)  # all steps of one size
        said = list(train(network, a_task(config=config)))
        assert not [event for event in said if isinstance(event, Note)]
        found.append(losses(said))
    assert found[1] == pytest.approx(found[0], rel=1e-4)


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    list(train(a_model(), a_task(config=replace(TRAIN, epochs=1)), tmp_path))
    other = replace(a_task(), model={**asdict(MODEL), "layers": 2})
    with pytest.raises(UsageError, match="made by another configuration"):
        list(train(a_model(), other, tmp_path, resume=True))
    document = torch.load(tmp_path / "last.pt", weights_only=True)
    assert document["data"] == a_task().spectra.hash
    torch.save({**document, "data": "0"}, tmp_path / "last.pt")
    with pytest.raises(UsageError, match="its data have changed since, cannot be resumed"):
        list(train(a_model(), a_task(config=replace(TRAIN, epochs=1)), tmp_path, resume=True))


def test_a_checkpoint_of_another_job_is_refused(tmp_path: Path) -> None:
    """Of the same configuration too, as of another seed; one that names none is taken as it is."""
    names = ("last.pt", "best.pt")
    for job in ("a", "b", ""):
        task = replace(a_task(config=replace(TRAIN, epochs=1)), job=job)
        list(train(a_model(), task, tmp_path / f"of{job}"))
    mine = tmp_path / "ofa"
    own = {name: (mine / name).read_bytes() for name in names}
    for name in names:
        (mine / name).write_bytes((tmp_path / "ofb" / name).read_bytes())
        with pytest.raises(UsageError, match=f"{name}: of another job, cannot be resumed"):
            list(train(a_model(), replace(a_task(), job="a"), mine, resume=True))
        (mine / name).write_bytes(own[name])
    for folder, job in (("ofa", "a"), ("ofa", ""), ("of", "a")):
        assert list(train(a_model(), replace(a_task(), job=job), tmp_path / folder, resume=True))


def test_a_state_whose_weights_decay_in_other_groups_is_refused(tmp_path: Path) -> None:
    list(train(a_model(), a_task(config=replace(TRAIN, epochs=1)), tmp_path))
    document = torch.load(tmp_path / "last.pt", weights_only=True)
    decayed, others = document["optimizers"][0]["param_groups"]
    others["params"].insert(0, decayed["params"].pop())
    torch.save(document, tmp_path / "last.pt")
    with pytest.raises(UsageError, match="configuration or version, cannot be resumed"):
        list(train(a_model(), a_task(config=replace(TRAIN, epochs=2)), tmp_path, resume=True))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *[("scaling", {"offset": x, "scale": y, "ranges": z}) for x, y, z in (
            (["a"], ["b"], []), ([0.0] * 9, [1.0] * 9, []), ([0.0], [0.0], []), ([0.0], [-1.0], []),
            ([math.nan], [1.0], []), ([0.0], [1.0], [(1.0, 0.0)]), (None, None, None), ([], [], []),
        )],
        *[("inputs", {"kind": x, "sigma": y, "wave": z}) for x, y, z in (
            ("flux", torch.zeros(0, dtype=torch.int64), None), ("light", torch.ones(4096), None),
            ("flux", [1.0], None), ("flux", torch.ones(2, 2), None), (3, torch.ones(4096), None),
            ("flux", torch.ones(4096), torch.ones(3)), ("flux", torch.ones(4096), "a"),
        )],
        ("model", {"a": 1.0}), ("model", {1: torch.ones(1)}), ("model", [1]), ("average", "a"),
        ("step", "a"), ("best", "a"), ("plateau", 3), ("plateau", ("a", "b")), ("optimizers", [1]),
        ("scaler", []), ("how", {"precision": []}), ("how", 3), ("labels", 3), ("config", "a"),
    ],
)  # fmt: skip
def test_a_checkpoint_of_other_contents_is_one_line(
    name: str, content: object, tmp_path: Path
) -> None:
    list(train(a_model(), a_task(config=replace(TRAIN, epochs=1)), tmp_path))
    path = tmp_path / "last.pt"
    torch.save({**torch.load(path, weights_only=True), name: content}, path)
    with pytest.raises(UsageError, match="not a readable checkpoint"):
        checkpoint.load(path, CPU)


class _Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("owned",))


def _with_two_lists(path: Path, evil: bytes) -> None:
    """An archive whose zip64 locator names another list than the one that stands before it."""
    buffer = io.BytesIO()
    torch.save({"a": 1}, buffer)
    whole = bytearray()
    lists: tuple[list[bytes], list[bytes]] = [], []

    def member(name: bytes, data: bytes) -> bytes:
        sizes = struct.pack("<III", zlib.crc32(data), len(data), len(data))
        at, lengths = len(whole), struct.pack("<HH", len(name), 0)
        whole.extend(b"PK\3\4" + struct.pack("<5H", 20, 0, 0, 0, 0) + sizes + lengths + name + data)
        rest = struct.pack("<3HII", 0, 0, 0, 0, at)
        return b"PK\1\2" + struct.pack("<6H", 45, 20, 0, 0, 0, 0) + sizes + lengths + rest + name

    with zipfile.ZipFile(buffer) as archive:
        for name in archive.namelist():
            honest = member(name.encode(), archive.read(name))
            lists[0].append(member(name.encode(), evil) if name.endswith("data.pkl") else honest)
            lists[1].append(honest)
    records = []
    for entries in lists:
        at, text, count = len(whole), b"".join(entries), len(entries)
        whole.extend(text)
        records.append(len(whole))
        ends = struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, len(text), at)
        whole.extend(b"PK\6\6" + ends)
    whole.extend(b"PK\6\7" + struct.pack("<IQI", 0, records[0], 1))
    many = struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    path.write_bytes(whole + b"PK\5\6" + many)


def test_what_is_checked_of_a_checkpoint_is_what_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    _with_two_lists(path, b"\x80\x02X\x04\x00\x00\x00evilq\x00.")
    assert torch.load(path, weights_only=True) == "evil"
    with path.open("rb") as file:
        assert torch.load(checkpoint._checked(file), weights_only=True) == {"a": 1}


def test_a_checkpoint_never_runs_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "last.pt"
    torch.save({"format": 2, "model": _Evil()}, path)
    with pytest.raises(UsageError, match="not a readable checkpoint"):
        checkpoint.load(path, CPU)
    path.write_bytes(b"half a file")
    with pytest.raises(UsageError, match="not a readable checkpoint"):
        checkpoint.load(path, CPU)
    # PyTorch allows this one: an array of as many zeros as the file says.
    torch.save({"format": 2, "model": bytearray(8)}, path)
    with pytest.raises(UsageError, match="it names "):
        checkpoint.load(path, CPU)
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(tmp_path / "b.pt", "w") as other:
        for name in archive.namelist():  # which it finds under this name too
            other.writestr(name.replace(".pkl", ".PKL"), archive.read(name))
    with pytest.raises(UsageError, match="it names "):
        checkpoint.load(tmp_path / "b.pt", CPU)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("last/data/0", bytes(1 << 20))
    with pytest.raises(UsageError, match="larger than its file"):
        checkpoint.load(path, CPU)
    twice = b"\x80\x02}K\x01K\x01\x86" + b"".join(b"q%ch%c\x86" % (n, n) for n in range(60))
    with zipfile.ZipFile(path, "w") as archive:  # a key that takes 2**60 steps to hash
        archive.writestr("last/data.pkl", twice + b"K\x01s.")
    with pytest.raises(UsageError, match="it contains an object twice"):
        checkpoint.load(path, CPU)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UsageError, match=r"is a pipe \(FIFO\)"):
        checkpoint.load(path, CPU)
    assert "owned" not in capsys.readouterr().out
