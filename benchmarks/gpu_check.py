"""Prove the CUDA paths of the trainer on this machine: `make gpu-check`.

Each check prints one line; the exit status is 1 when one fails, 2 without a GPU. `--device cpu`
runs what does not need one.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile

from vitlab.contract.config import VitConfig, read_config
from vitlab.contract.job import Spec, read_result
from vitlab.contract.networks import TrainConfig
from vitlab.contract.paths import JobPaths
from vitlab.ml import train as training
from vitlab.ml.progress import Note, Progress, Step
from vitlab.ml.spectra.dataset import open_spectra
from vitlab.ml.train import train
from vitlab.ml.training.batches import Key, MicroBatch, make_batch
from vitlab.ml.training.task import Task, make_model, make_task

STEPS = 16
WATCHED = 50
"""Steps in which the host must not wait."""
BATCH = 64
MODEL = {"tokenizer": "C1D", "patch": 64, "layers": 3, "heads": 4, "dropout": 0.1, "pool": "cls"}
HOW = {"epochs": 1, "batch": BATCH, "lr": 1e-3, "precision": "fp32"}


def config(**how: object) -> VitConfig:
    data = {"source": "grid-infinite", "train_size": BATCH * STEPS, "val_size": 64, "test_size": 64}
    found = read_config("vit", {"data": data, "model": MODEL, "train": {**HOW, **how}})
    assert isinstance(found, VitConfig)
    return found


class Checks:
    """The device and what all checks share."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        known = config()
        self.spectra = open_spectra(known.data, 1.0, known.labels, device)

    def made(self, **how: object) -> tuple[torch.nn.Module, Task]:
        known = config(**how)
        torch.manual_seed(1)
        model = make_model(known, self.spectra).to(self.device)
        return model, make_task(known, self.spectra, self.device)

    def learned(self, **how: object) -> tuple[list[float], list[Progress]]:
        model, task = self.made(**how)
        said = list(train(model, task))
        return [e.loss for e in said if isinstance(e, Step)], said

    def precisions(self) -> str:
        """fp32, bf16 and fp16 learn the same; AdamW is one kernel."""
        losses = {p: self.learned(precision=p)[0] for p in ("fp32", "bf16", "fp16")}
        for name, found in losses.items():
            assert all(map(math.isfinite, found)), name
            assert math.isclose(found[-1], losses["fp32"][-1], rel_tol=0.2), (name, found[-1])
        model, task = self.made()
        state = training.State(model, task, None)
        assert state.optimizers[0].defaults["fused"]
        return ", ".join(f"{name} {found[-1]:.3f}" for name, found in losses.items())

    def options(self) -> str:
        """Muon, an average, accumulation, a plateau: each takes its steps."""
        how = {"optimizer": "muon", "ema": 0.99, "accumulate": 4, "schedule": "plateau"}
        losses, _ = self.learned(**how)
        assert losses[-1] < losses[0]
        return f"loss {losses[0]:.3f} -> {losses[-1]:.3f}"

    def compiled(self) -> str:
        """torch.compile works here, and gives what eager gives."""
        eager, _ = self.learned()
        begun = time.perf_counter()
        losses, said = self.learned(compile=True)
        seconds = time.perf_counter() - begun
        notes = [e.text for e in said if isinstance(e, Note)]
        assert not notes, notes
        assert math.isclose(losses[0], eager[0], rel_tol=0.1)
        return f"{seconds:.0f} s with compiling, loss {losses[-1]:.3f} (eager {eager[-1]:.3f})"

    def resumed(self) -> str:
        """Stopped after 10 steps and resumed: the losses of an uninterrupted run."""
        wanted, _ = self.learned()
        taken: list[float] = []

        def stopped() -> bool:
            return len(taken) == 10

        with tempfile.TemporaryDirectory() as name:
            for resume in (False, True):
                model, task = self.made()
                for event in train(model, task, Path(name), resume, stopped):
                    taken.extend([event.loss] if isinstance(event, Step) else [])
        worst = max(abs(a - b) for a, b in zip(taken, wanted, strict=True))
        assert worst < 1e-3, worst
        return f"largest difference {worst:.1e}"


class CudaChecks(Checks):
    """What only a GPU can show."""

    def flash(self) -> str:
        """Attention runs in the flash kernel in bf16."""
        model, task = self.made(precision="bf16")
        part = make_batch(task, Key(0, 0, 1))
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION), task.autocast():
            out = model(part.inputs)
        assert out.isfinite().all()
        return "forced, and finite"

    def graphs(self) -> str:
        """A CUDA graph with dropout gives what eager gives."""
        eager, _ = self.learned(precision="bf16")
        losses, said = self.learned(precision="bf16", graphs=True)
        notes = [e.text for e in said if isinstance(e, Note)]
        assert not notes, notes
        worst = max(abs(a - b) / b for a, b in zip(losses, eager, strict=True))
        assert worst < 1e-2, worst
        return f"largest relative difference {worst:.1e}"

    def waits(self) -> str:
        """No step waits for the device: torch would raise at the first that did."""
        for how in ({}, {"graphs": True}):
            self._watched(**how)
        return f"{WATCHED} steps eager, and as a CUDA graph"

    def _watched(self, **how: object) -> None:
        more = {"precision": "bf16", "prefetch": 0, "epochs": 1000, "eval_every": 10**9}
        model, task = self.made(**more, **how)
        part, steps = make_batch(task, Key(0, 0, 1)), 0

        def given(_task: Task, _key: Key) -> MicroBatch:
            nonlocal steps
            steps += 1
            watched = 10 < steps <= 10 + WATCHED
            torch.cuda.set_sync_debug_mode("error" if watched else "default")
            return part

        real, training.make_batch = training.make_batch, given
        try:
            for _ in train(model, task, stopped=lambda: steps > 10 + WATCHED):
                pass
        finally:
            torch.cuda.set_sync_debug_mode("default")
            training.make_batch = real

    def copies(self) -> str:
        """Data reach the device from pinned memory."""
        _, task = self.made()
        with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as seen:
            make_batch(task, Key(0, 0, 1))
            torch.cuda.synchronize()
        names = {event.key for event in seen.key_averages() if "Memcpy HtoD" in event.key}
        assert any("Pinned" in name for name in names), names
        return ", ".join(sorted(names))

    def memory(self) -> str:
        """A micro-batch too large for the device is halved."""
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(self.device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.5e9 / total, 1.0), self.device)
        try:
            how = TrainConfig(epochs=1, batch=4096, eval_every=10**6, precision="fp32")
            model, task = self.made()
            said = []
            for event in train(model, replace(task, train=how)):
                said.append(event)
                if isinstance(event, Step):
                    break
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0, self.device)
        notes = [e.text for e in said if isinstance(e, Note) and "out of memory" in e.text]
        assert notes, "4096 spectra fit into 1.5 GB"
        return notes[-1]


def several(count: int, device: str) -> str:
    """A whole job of `count` processes, one a GPU (NCCL), or on a CPU (gloo)."""
    with tempfile.TemporaryDirectory() as name:
        paths = JobPaths(Path(name))
        known: dict[str, Any] = {
            "data": {"source": "grid", "train_size": 2048, "val_size": 64, "test_size": 64},
            "model": MODEL,
            "train": {**HOW, "processes": count, "precision": "bf16"},
        }
        spec = Spec("1.0", "main", "smoke", "vit", known, "GPU-20260101-check-01", "r.md")
        off = {"wandb": {"mode": "off"}}
        paths.spec.write_bytes(replace(spec, device=device, extra=off).to_json())
        command = [sys.executable, "-m", "vitlab.recipes.run", name]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-1000:]
        result = read_result(paths.result)
        assert result is not None
        return json.dumps({"test/r2/log_g": result.values["test/r2/log_g"]})


def todo(device: torch.device) -> list[Callable[[], str]]:
    """The checks for a device."""
    checks = CudaChecks(device) if device.type == "cuda" else Checks(device)
    found = [checks.precisions, checks.options, checks.compiled, checks.resumed]
    if isinstance(checks, CudaChecks):
        found += [checks.flash, checks.graphs, checks.waits, checks.copies, checks.memory]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    device = torch.device(parser.parse_args().device)
    cuda = device.type == "cuda"
    if cuda and not torch.cuda.is_available():
        print("no CUDA device here: nothing was checked")
        return 2
    count = torch.cuda.device_count() if cuda else 2
    failed = 0
    for check in [*todo(device), lambda: several(count, device.type)]:
        name = (check.__doc__ or f"A job of {count} processes.").splitlines()[0]
        try:
            print(f"ok    {name} {check()}", flush=True)
        except (AssertionError, RuntimeError) as error:
            failed += 1
            print(f"FAIL  {name} {type(error).__name__}: {error}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
