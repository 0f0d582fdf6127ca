"""The recipes of the networks, `vit` and `mlp`, with one test step before training starts."""

from __future__ import annotations

import math
import os
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from vitlab.contract.config import MlpConfig, VitConfig, outputs_of
from vitlab.contract.networks import VitModel
from vitlab.contract.value import MEMORY, MFU
from vitlab.jobs.experiment.estimate import describe, training_bytes, training_flops
from vitlab.ml.network.vit import param_count
from vitlab.ml.progress import NonFiniteLoss, Progress
from vitlab.ml.spectra.dataset import Spectra, learned_hash, open_spectra, unpermuted
from vitlab.ml.spectra.file_spectra import FileSpectra
from vitlab.ml.spectra.simulate import SPLITS
from vitlab.ml.train import train
from vitlab.ml.training import checkpoint
from vitlab.ml.training.batches import Key, add_gradients, is_out_of_memory, make_batch, predict
from vitlab.ml.training.checkpoint import LAST
from vitlab.ml.training.optimizers import stable_steps
from vitlab.ml.training.parallel import ALONE, Group, join_group
from vitlab.ml.training.running import Runner, choose, settle
from vitlab.ml.training.task import Task, make_model, make_task
from vitlab.ml.training.throughput import matmul_peak
from vitlab.recipes.adapt import Initial, begin, earlier_overlap, find_initial, keep_as_it_is
from vitlab.recipes.context import Context, Outcome, Stopped, rank
from vitlab.recipes.cost import hours
from vitlab.recipes.scores import (
    Predicted,
    check_test,
    clean_scores,
    describe_data,
    report_excluded,
    score_test,
    stars_shown,
    world_of_test,
)
from vitlab.recipes.trunks import find_trunk, trunk_hours


def check(model: nn.Module, task: Task) -> str:
    """One line on what the first micro-batch costs; leaves the training unchanged.

    Raises `NonFiniteLoss`. A micro-batch that does not fit into memory is only reported: training
    will halve it.
    """
    begun = time.perf_counter()
    group = task.group
    of = task.train.accumulate * group.size
    part = make_batch(task, Key(0, group.rank, of))
    cuda = task.device.type == "cuda"
    model.train()
    with torch.random.fork_rng(devices=[task.device] if cuda else []):
        try:
            loss = float(add_gradients(model, task, part)) / (part.share or math.nan)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            model.zero_grad(set_to_none=True)
            return f"checked: a micro-batch of {len(part.targets)} does not fit into memory"
    # Scale this part as if it were the whole step.
    weight = part.share * group.size
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    norm = float(nn.utils.get_total_norm(grads)) / (weight or math.nan)
    model.zero_grad(set_to_none=True)
    if part.share and not math.isfinite(loss + norm):
        raise NonFiniteLoss(f"the loss of the first batch is {loss}, its gradient {norm}")
    seconds = time.perf_counter() - begun
    return (
        f"checked on one batch of {len(part.targets)}: loss {loss:.3g}, gradient {norm:.3g}, "
        f"{seconds:.2f} s, {_memory(task.device)}"
    )


def _memory(device: torch.device) -> str:
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(device)
        total = torch.cuda.get_device_properties(device).total_memory
        return f"{peak / 1e9:.2f} of {total / 1e9:.1f} GB on the device"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return f"{peak / 1e9:.2f} GB resident"


def performance(
    config: VitConfig | MlpConfig, task: Task, note: Callable[[str], None]
) -> Callable[[float], dict[str, float]]:
    """Samples per second -> memory now and, on a GPU, the share of its measured peak, once told."""
    device, peak = task.device, math.nan
    if device.type == "cuda":
        precision = task.how["precision"]
        peak = matmul_peak(device, precision) * task.group.size
        note(f"{MFU} is of {peak / 1e12:,.0f} TFLOP/s, the measured peak of {precision} products")
    flops = training_flops(config.model, outputs_of(config), task.spectra.pixels)

    def measured(rate: float) -> dict[str, float]:
        if device.type != "cuda":
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            return {MEMORY: pages * resource.getpagesize() / 1e9}
        memory = torch.cuda.memory_reserved(device) / 1e9
        return {MEMORY: memory} | ({} if math.isnan(rate) else {MFU: rate * flops / peak})

    return measured


def run(context: Context) -> Outcome:
    """Train a network and score its best state on the test set."""
    if rank(os.environ) is None:
        return _run(context, torch.device(context.device), ALONE)
    number = f":{os.environ['LOCAL_RANK']}" if context.device == "cuda" else ""
    device = torch.device(context.device + number)
    with join_group(device) as group:
        return _run(context, device, group)


def _run(context: Context, device: torch.device, group: Group) -> Outcome:
    """Train in one process; only the first one's report is kept."""
    config, report = context.config, context.report
    assert isinstance(config, VitConfig | MlpConfig)
    reserve = training_bytes(config, device.type == "cuda")
    spectra = open_spectra(config.data, config.noise.level, config.labels, device, reserve)
    report.note(describe(config, spectra.pixels, device.type == "cuda"))
    torch.manual_seed(config.train.seed)
    model, task, initial = _begun(context, spectra, device, group)
    report_excluded(context, spectra, ("val", "test") if task.begins_early else SPLITS)
    if isinstance(files := unpermuted(spectra), FileSpectra) and files.residence:
        report.note(files.residence)
    earlier: dict[str, float] | None = {}
    if initial is not None and initial.only_scored:
        best = {"step": 0.0, "epoch": 0.0}
        keep_as_it_is(context, initial, model, task)
    else:
        task, best, earlier = _learned(context, model, task)
    if group.any(context.stopped()):
        raise Stopped
    test = predict(model, task, "test")
    pair = test.true, test.predicted
    values, errors = (
        score_test(context, spectra, pair, best, test.sigma, test.density)
        if group.first
        else ({}, {})
    )
    clean = clean_scores(
        context, spectra, best, lambda own: _predicted(model, replace(task, spectra=own))
    )
    values, errors = values | clean[0], errors | clean[1]
    checks = check_test(context, spectra, pair) if group.first else {}
    if initial is not None and group.first:
        checks |= earlier_overlap(context, initial, spectra)
    endless = config.data.source == "grid-infinite"
    shown = {"train": stars_shown(config)} if endless else {}
    return Outcome(
        values=values,
        errors=errors,
        n={**spectra.sizes, **shown},
        model=_model(config, model) | (initial.record() if initial else {}),
        data=describe_data(context, spectra, checks),
        best=best,
        checks=checks,
        world=world_of_test(config, spectra),
        earlier_hours=earlier,
    )


def _begun(
    context: Context, spectra: Spectra, device: torch.device, group: Group
) -> tuple[nn.Module, Task, Initial | None]:
    """The network before it learns, anew or with the weights of another job, and its task."""
    config = context.config
    assert isinstance(config, VitConfig | MlpConfig)
    initial = (
        None if isinstance(config, MlpConfig) else find_initial(context, config, spectra, device)
    )
    model, fitted = make_model(config, spectra).to(device), None
    if initial is not None:
        for line in initial.lines(spectra):
            context.report.note(line)
        fitted = initial.saved.inputs, initial.saved.scaling
        config = begin(initial, model)
    task = make_task(config, spectra, device, group, fitted)
    return model, replace(task, job=context.spec.mark), initial


def _learned(
    context: Context, model: nn.Module, task: Task
) -> tuple[Task, dict[str, float], dict[str, float] | None]:
    """Train: the task as it was run, the best state, and hours as of `_trained`."""
    group, report = task.group, context.report
    of = f" in each of {group.size} processes" if group.size > 1 else ""
    task, runner = _settled(context, model, task)
    report.note(f"{task.steps} steps on {task.device}{of}{_unless(task)}")
    if not context.resume:
        report.note(check(model, task))
    best, earlier = _trained(context, model, task, runner)
    if isinstance(context.config, VitConfig | MlpConfig) and context.config.train.batch == "auto":
        best["batch"] = task.train.size
    return task, best, earlier


def _predicted(model: nn.Module, task: Task) -> Predicted:
    """Of the task's test spectra."""
    test = predict(model, task, "test")
    return test.true, test.predicted, test.sigma, test.density


def _settled(context: Context, model: nn.Module, task: Task) -> tuple[Task, Runner | None]:
    """The task with what a trial chose, or had chosen before the job was resumed."""
    config, last = context.config, context.paths.checkpoints / LAST
    assert isinstance(config, VitConfig | MlpConfig)
    if context.resume and last.exists():
        return settle(task, checkpoint.load(last, torch.device("cpu")).how), None
    flops = training_flops(config.model, outputs_of(config), task.spectra.pixels)
    task, runner, told = choose(model, task, flops)
    for line in told:
        context.report.note(line)
    return task, runner


def _trained(
    context: Context, model: nn.Module, task: Task, runner: Runner | None
) -> tuple[dict[str, float], dict[str, float] | None]:
    """Train: step and epoch of the best state, and the hours of the trunk that it goes on from."""
    config, folder, begun = context.config, context.paths.checkpoints, time.monotonic()
    assert isinstance(config, VitConfig | MlpConfig)
    trunk: Path | None = None
    earlier: dict[str, float] | None = {}
    if config.train.reuse_trunk:
        stable = stable_steps(config.train, task.steps)
        trunk = find_trunk(context.paths, context.spec, stable, learned_hash(task.spectra))
        earlier = trunk_hours(trunk) if trunk else {}

    def spent() -> dict[str, float]:
        if earlier is None or context.resume:
            return {}
        return hours(time.monotonic() - begun, context.device, earlier)

    progress = train(model, task, folder, context.resume, context.stopped, trunk, runner)
    if task.begins_early:
        progress = _noting_excluded(context, task, progress)
    perf = performance(config, task, context.report.note)
    return context.report.follow(progress, spent, perf), earlier


def _unless(task: Task) -> str:
    """What the number of steps depends on that is not known yet."""
    known = not isinstance(task.spectra, FileSpectra) or task.spectra.is_read
    return "" if known or not task.begins_early else ", fewer if spectra have to be left out"


def _noting_excluded(
    context: Context, task: Task, progress: Iterator[Progress]
) -> Iterator[Progress]:
    """Note what is left out of the training spectra as soon as all have been read."""
    waiting = True
    for event in progress:
        yield event
        if waiting and isinstance(task.spectra, FileSpectra) and task.spectra.is_read:
            waiting = False
            report_excluded(context, task.spectra, ("train",))


def _model(config: VitConfig | MlpConfig, model: nn.Module) -> dict[str, object]:
    """Name and size: also of the weights that were held."""
    name = "ViT" if isinstance(config.model, VitModel) else "MLP"
    return {"name": name, "params": param_count(model.requires_grad_(True))}
