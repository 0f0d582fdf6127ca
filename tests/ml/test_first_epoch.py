"""A training that begins while a file is still on its way to the device: the same steps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from vitlab.contract.config import VitConfig, read_config
from vitlab.contract.paths import UsageError
from vitlab.ml.progress import Evaluation, Progress, Step
from vitlab.ml.spectra.file_spectra import READERS, READING, ROWS, FileSpectra, Slab
from vitlab.ml.spectra.formats.frames import write_frame
from vitlab.ml.spectra.pfsspec import ERROR, FLUX, PARAMS, WAVE, open_spectra_files
from vitlab.ml.spectra.resident import FirstEpoch, resident_bytes
from vitlab.ml.train import train
from vitlab.ml.training import task as tasks
from vitlab.ml.training.task import Task, make_model, make_task

CPU = torch.device("cpu")
SLABS, VAL, TEST, PIXELS = 6, 60, 40, 16
TRAIN = (SLABS - 1) * ROWS + 200
N = TRAIN + VAL + TEST
BATCH = 640
MEMORY = (READING * READERS + 2) * 2 * 4 * PIXELS * ROWS
"""For groups of one slab."""
FITS = resident_bytes(TRAIN, PIXELS)
UNUSABLE = (3, ROWS + 5, 4 * ROWS + 9, TRAIN - 1)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("first") / "spectra.h5"
    draw = np.random.default_rng(1)
    flux = 1 + 0.3 * draw.standard_normal((N, PIXELS))
    flux[list(UNUSABLE)] = 0.0
    with h5py.File(path, "w") as made:
        made[WAVE] = np.linspace(7000.0, 8000.0, PIXELS)
        made[FLUX], made[ERROR] = flux, np.full(flux.shape, 0.2)
        write_frame(made, PARAMS, {"id": np.arange(N), "log_g": draw.uniform(1, 5, N)})
    return path


@pytest.fixture(autouse=True)
def few_stars_fit_the_scaling(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a million do: their first slabs."""
    monkeypatch.setattr(tasks, "SCALING_SAMPLE", 500)


def opened(path: Path, device_memory: int = FITS, limit: float = 0.1) -> FileSpectra:
    files = open_spectra_files(path)
    values = files.params["log_g"][:, None]
    values[10] = np.nan
    sizes = {"train": TRAIN, "val": VAL, "test": TEST}
    return FileSpectra(files, sizes, values, 1.0, 42, CPU, MEMORY, ("log_g",), limit, device_memory)


def prepared(spectra: FileSpectra, **how: object) -> tuple[torch.nn.Module, Task]:
    model = {"patch": 8, "hidden": 8, "layers": 1, "heads": 2, "input": "flux", "start": "random"}
    known = {"epochs": 3, "batch": BATCH, "ema": 0.0, "threads": 1, **how}
    config = read_config("vit", {"model": model, "train": known})
    assert isinstance(config, VitConfig)
    torch.manual_seed(1)
    return make_model(config, spectra), make_task(config, spectra, CPU)


def steps_of(progress: Iterator[Progress]) -> list[tuple[float, float]]:
    return [(event.loss, event.lr) for event in progress if isinstance(event, Step)]


def hold(spectra: FileSpectra, slabs: set[int]) -> Callable[[], None]:
    """Reading these waits for a call of what is returned."""
    real, free = spectra.slabs.read, threading.Event()

    def slow(start: int, stop: int) -> Slab:
        if start // ROWS in slabs:
            assert free.wait(60)
        return real(start, stop)

    spectra.slabs.read = slow
    return free.set


@pytest.mark.parametrize("schedule", ["cosine", "wsd"])
def test_training_begins_while_the_file_is_loaded(file: Path, schedule: str) -> None:
    loaded = opened(file)
    assert loaded.sizes["train"] == TRAIN - len(UNUSABLE) - 1
    network, task = prepared(loaded, schedule=schedule)
    wanted = steps_of(train(network, task))
    spectra = opened(file)
    network, task = prepared(spectra, schedule=schedule)
    order = [slab for slabs, _ in spectra.slabs.plan.parts(0, task.train.seed) for slab in slabs]
    assert len(order) == SLABS
    release = hold(spectra, {*order[-3:]} - {0})
    progress = train(network, task)
    first = list(islice(progress, 3))
    assert all(isinstance(event, Step) for event in first)
    assert "while training begins" in spectra.residence
    release()
    assert [*steps_of(iter(first)), *steps_of(progress)] == wanted
    assert spectra.is_read
    assert spectra.sizes["train"] == loaded.sizes["train"]
    assert len(wanted) == task.steps == 3 * -(-loaded.sizes["train"] // BATCH)


def test_the_schedule_of_the_first_epoch_is_the_same_where_spectra_are_streamed(
    file: Path,
) -> None:
    streamed, kept = (
        steps_of(train(*prepared(opened(file, room), batch=BATCH + 20))) for room in (0, FITS)
    )
    assert [rate for _, rate in streamed] == [rate for _, rate in kept]
    assert [loss for loss, _ in kept] == pytest.approx([loss for loss, _ in streamed], rel=1e-3)


def test_a_training_stopped_in_its_first_epoch_goes_on_exactly(file: Path, tmp_path: Path) -> None:
    wanted = steps_of(train(*prepared(opened(file))))
    taken: list[tuple[float, float]] = []
    stopped = train(*prepared(opened(file)), tmp_path, stopped=lambda: len(taken) >= 4)
    for event in stopped:
        taken += steps_of(iter([event]))
    assert len(taken) == 4
    resumed = steps_of(train(*prepared(opened(file)), tmp_path, resume=True))
    assert [*taken, *resumed] == wanted


def test_validations_come_at_the_ends_of_epochs(file: Path) -> None:
    spectra = opened(file)
    progress = train(*prepared(spectra))
    found = [(one.step, one.epoch) for one in progress if isinstance(one, Evaluation)]
    each = -(-spectra.sizes["train"] // BATCH)
    assert found == [(each * (epoch + 1), epoch) for epoch in range(3)]


def test_too_many_unusable_spectra_end_a_training_that_has_begun(file: Path) -> None:
    spectra = opened(file, limit=0.0001)
    taken: list[Progress] = []
    with pytest.raises(UsageError, match=r"train: 5 of 5,320 spectra left out"):
        taken.extend(train(*prepared(spectra)))


def test_what_cannot_begin_early_is_loaded_first(file: Path) -> None:
    for how in ({"epochs": 1}, {"schedule": "wsd", "decay": 0.5}):
        _, task = prepared(opened(file), **how)
        assert not task.begins_early
    files = opened(file)
    files.slabs.plan = type(files.slabs.plan)(TRAIN, SLABS, 0)  # all may stay: one shuffle of all
    _, task = prepared(files)
    assert not task.begins_early


def test_a_training_that_is_stopped_need_not_wait_for_the_rest_of_the_file() -> None:
    """What nobody asks for yet is begun a few slabs at a time."""
    begun: list[int] = []
    done: Future[None] = Future()

    def load(slab: int) -> Future[None]:
        begun.append(slab)
        return done if slab == 0 else Future()

    done.set_result(None)
    parts = [([slab], np.arange(10) + 10 * slab) for slab in range(9)]
    first = FirstEpoch(parts, load, lambda rows: rows != 4, ahead=3)
    assert first.upto(9).tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    for _ in range(5):
        first.upto(5)
    assert sorted({*begun}) == [0, 1, 2, 3]
