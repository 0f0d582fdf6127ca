"""The parts of `benchmarks/gpu.py`, each run by it in a process of its own.

A part prints its rows as JSON, one a line, as soon as it has them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

from vitlab.contract.config import MlpConfig, VitConfig, outputs_of, read_config
from vitlab.jobs.experiment.estimate import training_flops
from vitlab.ml import train as training
from vitlab.ml.progress import Note, Step
from vitlab.ml.spectra.dataset import open_spectra
from vitlab.ml.train import train
from vitlab.ml.training.batches import Key, MicroBatch, make_batch, predict
from vitlab.ml.training.parallel import ALONE, Group, join_group
from vitlab.ml.training.running import Runner, choose
from vitlab.ml.training.task import Task, make_model, make_task
from vitlab.ml.training.throughput import matmul_peak, wait

P16 = {
    "input": "flux", "tokenizer": "C1D", "patch": 16, "hidden": 256, "layers": 6, "heads": 8,
    "mlp_ratio": 4.0, "pool": "cls", "dropout": 0.1,
}  # fmt: skip
PAIR = {"patch": 256, "start": "random"}
"""The same from the start, however many threads: principal directions in the noise are not."""
BATCHES = (1024, 256, 4096)
ROUNDS = 3
WARM, STEPS, SECONDS = 3, 8, 1.0
"""Steps that are not timed, the fewest that are, and about how long a measurement lasts."""
ENDLESS = 10**9
Measure = Callable[[], float]


def tell(what: str, values: list[float], unit: str, **more: object) -> None:
    """One row: the median of the values, with the lowest and the highest."""
    known: dict[str, object] = {"what": what, "unit": unit, **more}
    if values:
        known |= {"median": median(values), "low": min(values), "high": max(values)}
    print(json.dumps(known), flush=True)


class Bench:
    """The device, and what all parts share."""

    def __init__(self, device: torch.device, tiny: bool) -> None:
        self.device, self.tiny = device, tiny
        self.precision = "bf16"
        if device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 0):
            self.precision = "fp16"
        if tiny:
            # Without C++ or Triton: what is left of compiling is tracing.
            torch.compile = partial(torch.compile, backend="eager")

    def task(
        self, recipe: str, model: dict[str, Any], group: Group = ALONE, **how: Any
    ) -> tuple[nn.Module, Task, float]:
        """A network, its task and the FLOPs of a spectrum in training."""
        batch = how.get("batch", 512)
        sizes = {"train_size": how.pop("stars", 200 * batch), "val_size": 64, "test_size": 64}
        if recipe == "vit" and self.tiny:
            model = {**model, "hidden": 32, "layers": 1}
        data = {"source": "grid-infinite", **sizes, **how.pop("data", {})}
        config = read_config("vit" if recipe == "vit" else "mlp", {
            "data": data, "model": model,
            "train": {"precision": self.precision, "compile": False, "graphs": False, **how},
        })  # fmt: skip
        assert isinstance(config, VitConfig | MlpConfig)
        spectra = open_spectra(config.data, 1.0, config.labels, self.device)
        torch.manual_seed(config.train.seed)
        network = make_model(config, spectra).to(self.device)
        flops = training_flops(config.model, outputs_of(config), spectra.pixels)
        return network, make_task(config, spectra, self.device, group), float(flops)

    def clean(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def memory(self) -> float | None:
        """GB at the highest."""
        cuda = self.device.type == "cuda"
        return torch.cuda.max_memory_allocated() / 1e9 if cuda else None


# --- A step of ours and of Hugging Face's under Lightning, on a batch that lies on the device ---


class Timer:
    """Asked at the start of each step: when the first timed one began, and when to end."""

    def __init__(self, device: torch.device, tiny: bool) -> None:
        self.device, self.steps, self.limit = device, 0, ENDLESS
        self.begun = self.took = 0.0
        self.fewest, self.seconds = (2, 0.0) if tiny else (STEPS, SECONDS)

    def step(self) -> None:
        self.steps += 1
        if self.steps == WARM + 1:
            wait(self.device)
            self.begun = time.perf_counter()
        if self.steps == WARM + 1 + self.fewest:
            wait(self.device)
            each = (time.perf_counter() - self.begun) / self.fewest
            self.limit = WARM + 1 + max(self.fewest, min(round(self.seconds / each), 1000))
        if self.steps == self.limit:
            wait(self.device)
            self.took = (time.perf_counter() - self.begun) / (self.limit - WARM - 1)

    @property
    def done(self) -> bool:
        return self.steps >= self.limit


def ours(bench: Bench, runner: Runner, task: Task, part: MicroBatch) -> float:
    """Spectra per second of `vitlab.ml.train`, all of a step but the drawing of its spectra."""
    timer = Timer(bench.device, bench.tiny)

    def given(_task: Task, _key: Key) -> MicroBatch:
        timer.step()
        return part

    real, training.make_batch = training.make_batch, given
    try:
        for event in train(runner.network, task, stopped=lambda: timer.done, runner=runner):
            if isinstance(event, Note) and not timer.done:  # out of memory, or not compiled
                raise RuntimeError(event.text)
    finally:
        training.make_batch = real
        runner.drop()
    return len(part.targets) / timer.took


def our_cases(
    bench: Bench, recipe: str, model: dict[str, Any], batch: int, ways: list[tuple[bool, bool]]
) -> tuple[dict[str, Measure], float]:
    """name -> a measurement, and FLOPs of a spectrum; the compiled network is kept."""
    found: dict[str, Measure] = {}
    how = {"batch": batch, "ema": 0, "clip": 0.5, "prefetch": 0, "eval_every": ENDLESS}
    network, task, flops = bench.task(recipe, model, epochs=1000, **how)
    part, fast = make_batch(task, Key(0, 0, 1)), None
    torch.compiler.reset()
    for compiled, graphs in ways:
        chosen = replace(task, train=replace(task.train, compile=compiled, graphs=graphs))
        runner = Runner(network, chosen, fast)
        fast = runner.local if compiled else fast
        name = "ours, " + ("compiled" if compiled else "eager") + (", graphs" if graphs else "")
        found[name] = partial(ours, bench, runner, chosen, part)
    return found, flops


def peer_cases(bench: Bench, batch: int) -> dict[str, Measure]:
    """Hugging Face's `ViTModel`, pre-norm and of the same size, trained by Lightning."""
    import lightning
    import train as peers

    if bench.tiny:
        peers.HIDDEN, peers.LAYERS = 32, 1
    spectra = torch.randn(batch, 4096, device=bench.device)
    data = spectra, torch.randn(batch, 1, device=bench.device)

    class Clock(lightning.Callback):
        def __init__(self) -> None:
            self.timer = Timer(bench.device, bench.tiny)

        def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
            self.timer.step()
            trainer.should_stop |= self.timer.done

    def measure(network: nn.Module) -> float:
        clock = Clock()
        trainer = lightning.Trainer(
            accelerator="gpu" if bench.device.type == "cuda" else "cpu", devices=1,
            max_epochs=1, precision=f"{bench.precision.replace('fp', '')}-mixed",
            callbacks=[clock], logger=False, gradient_clip_val=0.5, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(
            peers.Module(network), torch.utils.data.DataLoader([data] * 2000, batch_size=None)
        )
        return batch / clock.timer.took

    network = peers.HuggingFace(0.1).to(bench.device)
    compiled = torch.compile(network, dynamic=False)
    eager, fast = "HF + Lightning, eager", "HF + Lightning, compiled"
    return {eager: partial(measure, network), fast: partial(measure, compiled)}


def in_turns(bench: Bench, cases: dict[str, Measure], batch: int, flops: float) -> None:
    """Each case once a round, so that no one has the card at its coolest."""
    values: dict[str, list[float]] = {name: [] for name in cases}
    memory: dict[str, float | None] = {}
    why: dict[str, str] = {}
    for _ in range(1 if bench.tiny else ROUNDS):
        for name, measure in cases.items():
            if name in why:
                continue
            bench.clean()
            try:
                values[name].append(measure())
            except RuntimeError as error:
                why[name] = f"{type(error).__name__}: {str(error).splitlines()[0][:100]}"
            memory[name] = bench.memory()
    peak = matmul_peak(bench.device, bench.precision)
    for name, rates in values.items():
        mfu = median(rates) * flops / peak if rates else None
        more = {"batch": batch, "mfu": mfu, "memory": memory.get(name), "why": why.get(name, "")}
        tell(name, rates, "spectra/s", **more)


def p16(bench: Bench) -> None:
    """p16_h256_L6_a8 in turns with Hugging Face's."""
    tell(f"matmul peak, {bench.precision}", [matmul_peak(bench.device, bench.precision) / 1e12],
         "TFLOP/s")  # fmt: skip
    cuda = bench.device.type == "cuda"
    ways = [(False, False), (True, False), *([(False, True), (True, True)] if cuda else [])]
    for batch in (4, 8) if bench.tiny else BATCHES:
        cases, flops = our_cases(bench, "vit", P16, batch, ways)
        in_turns(bench, {**cases, **peer_cases(bench, batch)}, batch, flops)
    if cuda:
        reduced(bench, BATCHES[0])
    else:
        tell("ours, graphs", [], "", why="a CPU has no CUDA graphs")


def reduced(bench: Bench, batch: int) -> None:
    """What torch.compile's own CUDA graphs reach, for comparison with ours."""
    cases, flops = our_cases(bench, "vit", P16, batch, [(False, False)])
    [measure] = cases.values()
    runner = measure.args[1]  # type: ignore[attr-defined]
    runner.local = torch.compile(runner.network, mode="reduce-overhead", dynamic=False)
    in_turns(bench, {"ours, compiled by reduce-overhead": measure}, batch, flops)


def small(bench: Bench) -> None:
    """The default network and the MLP."""
    ways = [(False, False), (True, False)]
    if bench.device.type == "cuda":
        ways += [(False, True), (True, True)]
    for recipe, name in (("vit", "p1024_h128_L2_a8"), ("mlp", "MLP")):
        batch = 8 if bench.tiny else 1024
        cases, flops = our_cases(bench, recipe, {}, batch, ways)
        named = {f"{name}: {what}": measure for what, measure in cases.items()}
        in_turns(bench, named, batch, flops)


# --- The other parts ---


def checks(bench: Bench) -> None:
    """The assertions of `make gpu-check`, but for a whole job of several processes."""
    import gpu_check

    for check in gpu_check.todo(bench.device):
        name = (check.__doc__ or "").splitlines()[0]
        begun = time.perf_counter()
        try:
            good, text = True, check()
        except (AssertionError, RuntimeError) as error:
            good, text = False, f"{type(error).__name__}: {str(error)[:300]}"
        took = time.perf_counter() - begun
        tell(f"{'ok' if good else 'FAIL'}: {name}", [took], "s", why=text)


def data(bench: Bench) -> None:
    """Spectra drawn on the device, and a file that stays there."""
    import gpu_data

    with tempfile.TemporaryDirectory() as folder:
        for measure in (
            partial(gpu_data.drawn, bench.device, bench.tiny),
            partial(gpu_data.resident, bench.device, bench.tiny, Path(folder)),
        ):
            for what, number, unit in measure():
                tell(what, [number], unit)


def two(bench: Bench) -> None:
    """A step of two processes (NCCL on two cards, gloo on a CPU) is one of two micro-batches."""
    if bench.device.type == "cuda" and torch.cuda.device_count() < 2:
        tell("two processes", [], "", why="one card: not run")
        return
    wanted = [x for x, _ in _pair(bench, accumulate=2)]
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node=2",
        __file__,
        "pair",
    ]
    command += ["--device", bench.device.type, *(["--tiny"] if bench.tiny else [])]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        tell("FAIL: two processes", [], "", why=done.stderr[-300:])
        return
    found = json.loads(lines[-1])
    pairs = zip(found["losses"], wanted, strict=True)
    worst = max(abs(one - other) / abs(other) for one, other in pairs)
    word = "ok" if worst < 1e-3 else "FAIL"
    tell(f"{word}: two processes learn as two micro-batches", [found["rate"]], "spectra/s",
         why=f"losses differ by at most {worst:.1e}")  # fmt: skip


def pair(bench: Bench) -> None:
    """One of the two processes of `two`."""
    device = torch.device(bench.device.type, int(os.environ["LOCAL_RANK"]))
    bench.device = device if device.type == "cuda" else bench.device
    with join_group(bench.device) as group:
        steps = _pair(bench, group, processes=2)
        if group.first:
            rate = median(rate for _, rate in steps[len(steps) // 2 :])
            print(json.dumps({"losses": [loss for loss, _ in steps], "rate": rate}), flush=True)


def _pair(bench: Bench, group: Group = ALONE, **how: int) -> list[tuple[float, float]]:
    """Loss and spectra per second of some steps in fp32 without dropout."""
    batch = 16 if bench.tiny else 512
    more = {"batch": batch, "precision": "fp32", "stars": 8 * batch, "epochs": 1}
    network, task, _ = bench.task("vit", PAIR, group, **more, **how)
    return [(e.loss, e.samples_per_s) for e in train(network, task) if isinstance(e, Step)]


LONG, LATE = 120.0, 1.2
"""Seconds of a training of the default network; times of it after which it is stopped."""
REFERENCE = 95.0
"""Seconds of the CPU's training beside it."""
CHUNK = 51_200
"""Spectra of an epoch."""


def learn(bench: Bench) -> None:
    """The default network for two minutes; and as many spectra as a CPU takes meanwhile.

    The CPU's number of spectra is trained here too, with two seeds: their R2 is to be its.
    """
    seconds = 2.0 if bench.tiny else REFERENCE
    argv = [sys.executable, __file__, "reference", "--seconds", str(seconds)]
    other = subprocess.Popen(
        [*argv, *(["--tiny"] if bench.tiny else [])], stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    try:
        stars = json.loads(other.stdout.readline())["stars"]
        mine, rate, _ = _learned(bench, stars, precision="auto")
        again, _, _ = _learned(bench, stars, precision="auto", seed=43)
        longer = 1024 if bench.tiny else max(1, round(rate * LONG / CHUNK)) * CHUNK
        begun = time.perf_counter()
        long, rate, notes = _learned(bench, longer, precision="auto", compile="auto", graphs="auto")
        took = time.perf_counter() - begun
        for note in notes:
            tell("chosen", [], "", why=note)
        tell(f"R2 of log_g after {longer:,} spectra", [long[0]], f"+- {long[1]:.4f}",
             why=f"{took:.0f} s in all; {rate:,.0f} spectra/s with their drawing")  # fmt: skip
        theirs = json.loads(other.stdout.readline())
    finally:
        other.kill()
    scatter = abs(mine[0] - again[0])
    error = float(np.sqrt(mine[1] ** 2 + theirs["error"] ** 2 + scatter**2))
    equal = "equal" if abs(mine[0] - theirs["r2"]) < 2 * error else "NOT equal"
    tell(f"R2 of log_g after {stars:,} spectra", [mine[0], again[0]], f"+- {mine[1]:.4f}",
         why="two seeds; the error is that of the test stars")  # fmt: skip
    tell("the same on this machine's CPU in fp32", [theirs["r2"]], f"+- {theirs['error']:.4f}",
         why=f"{equal} within two errors of stars and seeds")  # fmt: skip


def reference(bench: Bench, seconds: float) -> None:
    """On the CPU, in about `seconds`; tells the number of spectra first."""
    torch.set_num_threads(max(len(os.sched_getaffinity(0)) - 4, 1))
    few = 4 * 512
    _learned(bench, few, precision="fp32")
    _, rate, _ = _learned(bench, few, precision="fp32")
    stars = few if bench.tiny else max(few, round(rate * seconds / CHUNK) * CHUNK)
    print(json.dumps({"stars": stars}), flush=True)
    (r2, error), _, _ = _learned(bench, stars, precision="fp32")
    print(json.dumps({"r2": r2, "error": error}), flush=True)


def _learned(
    bench: Bench, stars: int, **how: object
) -> tuple[tuple[float, float], float, list[str]]:
    """R2 on the test stars with its error, spectra per second, and what was told of the choice."""
    sizes = {"val_size": 1000, "test_size": 500 if bench.tiny else 10_000}
    of = max(stars // CHUNK, 1)
    how |= {"stars": stars // of, "epochs": of, "eval_every": ENDLESS, "data": sizes}
    network, task, flops = bench.task("vit", {}, **how)
    told: list[str] = []
    runner = None
    if how.get("compile") == "auto":
        task, runner, told = choose(network, task, flops)
    late = time.perf_counter() + LATE * LONG
    steps = []
    for event in train(network, task, runner=runner, stopped=lambda: time.perf_counter() > late):
        if isinstance(event, Step):
            steps.append(event)
        if isinstance(event, Note):
            told.append(event.text)
    found = predict(network, task, "test")
    rates = [step.samples_per_s for step in steps[len(steps) // 2 :]]
    return _r2(found.true[:, 0], found.predicted[:, 0]), median(rates), told


def _r2(true: Any, predicted: Any) -> tuple[float, float]:
    """R2 and its bootstrap error over stars."""

    def of(rows: Any) -> float:
        off = (true[rows] - predicted[rows]) ** 2
        return float(1 - off.mean() / true[rows].var())

    n, draw = len(true), np.random.default_rng(1)
    again = [of(draw.integers(0, n, n)) for _ in range(200)]
    return of(np.arange(n)), float(np.std(again))


PARTS: dict[str, Callable[[Bench], None]] = {
    "checks": checks, "p16": p16, "learn": learn, "small": small, "data": data, "two": two,
    "pair": pair,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=[*PARTS, "reference"])
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--seconds", type=float, default=60.0)
    asked = parser.parse_args()
    if asked.part == "reference":
        reference(Bench(torch.device("cpu"), asked.tiny), asked.seconds)
        return
    PARTS[asked.part](Bench(torch.device(asked.device), asked.tiny))


if __name__ == "__main__":
    main()
