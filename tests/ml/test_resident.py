"""Training spectra kept on the device in 16 bits: the same spectra but for a stated rounding."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vitlab.contract.config import ConfigError, VitConfig, read_config
from vitlab.ml.progress import Step
from vitlab.ml.spectra.dataset import LIBRARIES, PermutedSpectra, device_limit
from vitlab.ml.spectra.file_spectra import ROWS, FileSpectra, Slab
from vitlab.ml.spectra.formats.frames import write_frame
from vitlab.ml.spectra.pfsspec import ERROR, FLUX, PARAMS, WAVE, open_spectra_files
from vitlab.ml.spectra.resident import Resident, resident_bytes
from vitlab.ml.train import train
from vitlab.ml.training.task import make_model, make_task

CPU = torch.device("cpu")
TRAIN, VAL, TEST = ROWS + 200, 60, 40
N = TRAIN + VAL + TEST
PIXELS = 96


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two slabs of training spectra, two of which are unusable, and pixels without data."""
    path = tmp_path_factory.mktemp("resident") / "spectra.h5"
    draw = np.random.default_rng(1)
    flux = 3.0 * (1 + 0.3 * draw.standard_normal((N, PIXELS)))
    error = np.broadcast_to(np.geomspace(0.05, 0.5, PIXELS), flux.shape).copy()
    flux[[1, TRAIN - 2]] = 0.0
    error[:40:7, 5] = 0.0
    with h5py.File(path, "w") as made:
        made[WAVE] = np.linspace(7000.0, 8000.0, PIXELS)
        made[FLUX], made[ERROR] = flux, error
        write_frame(made, PARAMS, {"id": np.arange(N), "log_g": draw.uniform(1, 5, N)})
    return path


def opened(path: Path, device_memory: int, memory: int = 1 << 33) -> FileSpectra:
    files = open_spectra_files(path)
    values = files.params["log_g"][:, None]
    sizes = {"train": TRAIN, "val": VAL, "test": TEST}
    return FileSpectra(files, sizes, values, 1.0, 42, CPU, memory, ("log_g",), 0.1, device_memory)


FITS = resident_bytes(TRAIN, PIXELS)


def test_resident_spectra_are_those_of_the_file_but_for_a_small_share_of_the_noise(
    file: Path,
) -> None:
    exact, kept = opened(file, 0), opened(file, FITS)
    assert exact.residence == ""
    order = exact.order(0, 7)
    assert len(order) == TRAIN - 2
    assert np.array_equal(kept.order(0, 7), order)
    rows = order[:300]
    a, b = (one.fresh(0, rows, torch.Generator().manual_seed(3)) for one in (exact, kept))
    assert np.array_equal(a.labels, b.labels)
    off = (b.flux - a.flux) / a.error
    assert off.abs().max() < 0.05  # 11 bits of flux - 1, at a signal to noise of 60
    assert off.square().mean().sqrt() < 0.005
    torch.testing.assert_close(b.error, a.error, rtol=2**-11, atol=0)
    torch.testing.assert_close(b.shown_error, a.shown_error, rtol=2**-9, atol=0)
    told = kept.residence
    assert "16 bits" in told
    share = float(told.rpartition("rounding ")[2].partition("%")[0]) / 100
    assert 0.5 < share / float(off.square().mean(dim=1).sqrt().median()) < 2


def test_tests_and_labels_stay_exact(file: Path) -> None:
    exact, kept = opened(file, 0), opened(file, FITS)
    assert kept.hash == exact.hash
    for split in ("val", "test"):
        a, b = exact.fixed(split, 0, 20), kept.fixed(split, 0, 20)
        assert torch.equal(a.flux, b.flux)
        assert torch.equal(a.error, b.error)
    assert np.array_equal(exact.labels("train", 0, 50), kept.labels("train", 0, 50))
    assert torch.equal(exact.sky_sigma(), kept.sky_sigma())


def test_the_file_is_read_once_and_nothing_stays_on_the_host(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    kept = opened(file, FITS)
    real = kept.slabs.read

    def counted(start: int, stop: int) -> Slab:
        read.append(start)
        return real(start, stop)

    monkeypatch.setattr(kept.slabs, "read", counted)
    for epoch in range(3):
        for rows in np.array_split(kept.order(epoch, 7), 5):
            kept.fresh(epoch, rows, torch.Generator().manual_seed(1))
    assert sorted(read) == [0, ROWS]
    assert kept.slabs._held == {}


def test_the_order_does_not_depend_on_what_is_on_the_device(file: Path) -> None:
    """So that a run resumed on a card with less room takes the same steps."""
    little = (8 + 2) * ROWS * PIXELS * 8 - 1  # streams
    for memory in (1 << 33, little):
        streamed, kept = opened(file, 0, memory), opened(file, FITS, memory)
        for epoch in (0, 1, 5):
            assert np.array_equal(streamed.order(epoch, 7), kept.order(epoch, 7))


def test_what_does_not_fit_is_streamed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    little = opened(file, FITS - 1)
    assert little.slabs.resident is None
    assert "streamed" in little.residence
    assert opened(file, FITS).slabs.resident is not None

    def full(*_: object) -> Resident:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(Resident, "empty", full)
    assert opened(file, FITS).slabs.resident is None


def test_training_takes_the_same_steps_but_for_the_rounding(file: Path, tmp_path: Path) -> None:
    model = {"patch": 32, "hidden": 16, "layers": 1, "heads": 2}
    how = {"epochs": 2, "batch": 306, "ema": 0.0, "eval_every": 100}
    config = read_config("vit", {"model": model, "train": how})
    assert isinstance(config, VitConfig)

    def losses(spectra: FileSpectra, stop: int = -1, resume: bool = False) -> list[float]:
        torch.manual_seed(1)
        network, task = make_model(config, spectra), make_task(config, spectra, CPU)
        taken: list[float] = []
        progress = train(network, task, tmp_path, resume, lambda: len(taken) == stop)
        taken.extend(event.loss for event in progress if isinstance(event, Step))
        return taken

    exact, kept = losses(opened(file, 0)), losses(opened(file, FITS))
    assert len(exact) == 8
    assert kept == pytest.approx(exact, rel=1e-3)
    assert kept != exact
    begun = losses(opened(file, FITS), stop=3)
    assert [*begun, *losses(opened(file, FITS), resume=True)] == kept


def test_a_permuted_control_works(file: Path) -> None:
    kept = PermutedSpectra(opened(file, FITS), 42, infinite=False)
    rows = kept.order(0, 7)[:8]
    batch = kept.fresh(0, rows, torch.Generator().manual_seed(3))
    labels = kept.labels("train", 0, kept.sizes["train"])
    assert np.array_equal(batch.labels, labels[kept.numbers(rows)])


def test_a_gpu_waits_for_what_is_being_stored_and_for_no_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Spectra have a stream of their own; rows wait for all that was put there so far."""
    kept, said = Resident.empty(2, 4, CPU), list[str]()
    kept.store(0, np.ones((2, 4), np.float32), np.ones((2, 4), np.float32))
    kept.stream = SimpleNamespace(record_event=lambda: f"all stored after {len(said)}")
    training = SimpleNamespace(wait_event=said.append)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: training)
    kept.rows(np.array([1]))
    kept.rows(np.array([0]))
    assert said == ["all stored after 0", "all stored after 1"]


@settings(deadline=None, max_examples=50)
@given(
    arrays.arrays(np.float32, (3, 8), elements=st.floats(-1e6, 1e6, width=32)),
    arrays.arrays(np.float32, (3, 8), elements=st.floats(2.0**-20, 2.0**20, width=32)),
    st.sets(st.integers(0, 7)),
)
def test_any_numbers_are_kept_to_eleven_bits(
    flux: np.ndarray, error: np.ndarray, missing: set[int]
) -> None:
    for pixel in missing:
        flux[:, pixel], error[:, pixel] = 1, np.inf
    kept = Resident.empty(5, 8, CPU)
    kept.store(1, flux, error)
    a, b = (part.numpy() for part in kept.rows(np.array([3, 1, 2])))
    flux, error = flux[[2, 0, 1]], error[[2, 0, 1]]
    assert np.array_equal(np.isinf(b), np.isinf(error))
    assert (b > 0).all()
    top = abs(flux - 1).max(axis=1, keepdims=True)
    bound = abs(flux - 1) * 2.0**-11 + top * 2.0**-38 + abs(flux) * 2.0**-22 + 2.0**-23
    assert (abs(a - flux) <= bound).all()
    known = np.isfinite(error)
    assert (a[~known] == 1).all()
    largest = np.where(known, error, 0).max(axis=1, keepdims=True)
    off = abs(np.where(known, b, 0) - np.where(known, error, 0))
    assert (off <= np.where(known, error, 0) * 2.0**-11 + largest * 2.0**-38).all()


def test_what_a_gpu_gives_to_spectra(monkeypatch: pytest.MonkeyPatch) -> None:
    free = 40 << 30
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 80 << 30))
    gpu = torch.device("cuda")
    assert device_limit("auto", gpu, 4 << 30) == free - (6 << 30) - LIBRARIES
    assert device_limit("auto", gpu, 100 << 30) == 0
    assert device_limit("16GB", gpu, 4 << 30) == 16 * 10**9
    assert device_limit("none", gpu, 0) == 0
    assert device_limit("auto", CPU, 0) == device_limit("16GB", CPU, 0) == 0


def test_a_wrong_limit_is_told() -> None:
    for text in ("auto", "none", "16GB"):
        read_config("vit", {"data": {"device_memory": text}})
    with pytest.raises(ConfigError, match=r"device_memory.*must be auto, none or a size like 8GiB"):
        read_config("vit", {"data": {"device_memory": "much"}})
