"""Measures training data on a device: spectra drawn there, and a file kept there.

python benchmarks/gpu_data.py [--device cuda|cpu] [--tiny]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import h5py
import numpy as np
import torch

from vitlab.contract.config import VitConfig, read_config
from vitlab.ml.spectra.dataset import open_spectra
from vitlab.ml.spectra.file_spectra import ROWS, FileSpectra
from vitlab.ml.spectra.formats.frames import write_frame
from vitlab.ml.spectra.pfsspec import ERROR, FLUX, PARAMS, WAVE, open_spectra_files
from vitlab.ml.spectra.resident import resident_bytes
from vitlab.ml.training.batches import Key, Prefetch, make_batch
from vitlab.ml.training.task import Task, make_task
from vitlab.ml.training.throughput import wait

Row = tuple[str, float, str]
"""What, its number, its unit."""
PIXELS = 4096
SECONDS = 1.0


def drawn(device: torch.device, tiny: bool) -> list[Row]:
    """Batches of simulated spectra, with noise, as a network's input."""
    rows: list[Row] = []
    batch = 64 if tiny else 1024
    for source in ("grid", "grid-infinite"):
        data = {"source": source, "train_size": 100 * batch, "val_size": 64, "test_size": 64}
        config = read_config("vit", {"data": data, "train": {"batch": batch, "precision": "fp32"}})
        assert isinstance(config, VitConfig)
        spectra = open_spectra(config.data, 1.0, config.labels, device)
        task = make_task(config, spectra, device)
        rate, host = _rate(task, batch, SECONDS / 10 if tiny else SECONDS)
        rows.append((f"{source}: drawn on the device, {batch} at once", rate, "spectra/s"))
        rows.append((f"{source}: host work of a batch", host, "ms"))
        rows.append((f"{source}: batches in which the host waited", _waits(task), "of 50"))
    return rows


def resident(device: torch.device, tiny: bool, folder: Path) -> list[Row]:
    """A file's training spectra: loaded once, then gathered on the device."""
    n, batch = (2 * ROWS, 64) if tiny else (64 * ROWS, 1024)
    path = folder / "spectra.h5"
    write_file(path, n)
    config = read_config("vit", {"train": {"batch": batch, "precision": "fp32"}})
    assert isinstance(config, VitConfig)
    kept, exact = (_opened(path, n, device, room) for room in (resident_bytes(n, PIXELS), 0))
    begun = time.perf_counter()
    known = kept.sizes["train"]
    wait(device)
    loading = known / (time.perf_counter() - begun)
    size = resident_bytes(n, PIXELS) / 1e9
    rows = kept.order(0, 1)[:batch]
    pair = [one.fresh(0, rows, torch.Generator(device).manual_seed(1)) for one in (kept, exact)]
    off = ((pair[0].flux - pair[1].flux) / pair[1].error).square().mean().sqrt()
    seconds = SECONDS / 10 if tiny else SECONDS
    rate, host = _rate(make_task(config, kept, device), batch, seconds)
    streamed, _ = _rate(make_task(config, exact, device), batch, seconds)
    return [
        (f"file of {n} x {PIXELS}: loaded from a warm disk", loading, "spectra/s"),
        ("file: kept on the device", size, "GB"),
        ("file: flux off by", 100 * float(off), "% of the noise"),
        (f"file: gathered with noise, {batch} at once", rate, "spectra/s"),
        ("file: host work of a batch", host, "ms"),
        (
            "file: batches in which the host waited",
            _waits(make_task(config, kept, device)),
            "of 50",
        ),
        ("file: gathered from host memory instead", streamed, "spectra/s"),
    ]


def write_file(path: Path, n: int) -> None:
    """A pfsspec file of `n` spectra in float32, without a mask; the first slab again and again."""
    draw = np.random.default_rng(1)
    flux = (1 + 0.1 * draw.standard_normal((ROWS, PIXELS))).astype(np.float32)
    error = np.full((ROWS, PIXELS), 0.1, dtype=np.float32)
    with h5py.File(path, "w") as file:
        file[WAVE] = np.linspace(7100.0, 8850.0, PIXELS)
        for name, slab in ((FLUX, flux), (ERROR, error)):
            data = file.create_dataset(name, (n, PIXELS), np.float32)
            for start in range(0, n, ROWS):
                data[start : start + ROWS] = slab[: n - start]
        write_frame(file, PARAMS, {"id": np.arange(n), "log_g": draw.uniform(1, 5, n)})


def _opened(path: Path, n: int, device: torch.device, room: int) -> FileSpectra:
    """All spectra but 128 for training."""
    files = open_spectra_files(path)
    sizes = {"train": n - 128, "val": 64, "test": 64}
    values = files.params["log_g"][:, None]
    return FileSpectra(
        files, sizes, values, 1.0, 42, device, 8 << 30, ("log_g",), device_memory=room
    )


def _keys() -> Iterator[Key]:
    return (Key(step, 0, 1) for step in range(10**9))


def _rate(task: Task, batch: int, seconds: float) -> tuple[float, float]:
    """Spectra per second as training gets them, and the host's ms of processor time a batch."""
    batches = Prefetch(lambda key: make_batch(task, key), _keys(), 1, task.device)
    for _ in range(3):
        batches.next()
    wait(task.device)
    begun, worked, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - begun < seconds:
        batches.next()
        count += 1
        if count % 32 == 0:
            wait(task.device)  # nobody uses them: the device must not fall behind
    wait(task.device)
    took, worked = time.perf_counter() - begun, time.process_time() - worked
    batches.close()
    return batch * count / took, 1e3 * worked / count


def _waits(task: Task) -> float:
    """Batches of 50 in which the host waited for the device; CUDA tells, others have none."""
    waited = 0
    for step in range(53):
        with _told() if step >= 3 and task.device.type == "cuda" else nullcontext():
            try:
                make_batch(task, Key(step, 0, 1))
            except RuntimeError as error:
                waited += 1
                if waited == 1:
                    print(f"the host waits for the device: {error}")
    return float(waited)


@contextmanager
def _told() -> Iterator[None]:
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--tiny", action="store_true")
    asked = parser.parse_args()
    device = torch.device(asked.device)
    with tempfile.TemporaryDirectory() as folder:
        for what, number, unit in [
            *drawn(device, asked.tiny),
            *resident(device, asked.tiny, Path(folder)),
        ]:
            print(f"{what:55} {number:12.4g} {unit}")


if __name__ == "__main__":
    main()
