"""The child of every job: reads `spec.json`, runs the recipe, writes `result.json`.

    python -m vitlab.recipes.run JOBDIR [--resume]

Exit status: 0 done; 1 failed; 2 the spec cannot be run; 3 the loss was not finite; 143 stopped on
request, its state saved.

For a job of several processes it becomes torchrun, which starts one of these per device, ends all
when one dies, and reports which and why. On several nodes the same command is started once on each,
with `PET_NNODES` and `PET_RDZV_*` set (by `vitlab.jobs.slurm`). Only rank 0 writes the job's files.
"""

from __future__ import annotations

import gc
import importlib
import math
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, redirect_stdout, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from vitlab.contract.config import (
    GRID_SOURCES,
    CeilingConfig,
    CommandConfig,
    Config,
    DataConfig,
    EnsembleConfig,
    EvaluateConfig,
    MlpConfig,
    TemplateConfig,
    VitConfig,
    read_config,
)
from vitlab.contract.events import EventWriter, read_events
from vitlab.contract.job import Result, Spec, read_spec, write_result
from vitlab.contract.paths import JobPaths, UsageError, find_lab
from vitlab.contract.reading import Unreadable
from vitlab.contract.value import Value
from vitlab.jobs.git import read_code
from vitlab.jobs.processes import PYTHON
from vitlab.lab.results.ceilings import checked_against_ceiling
from vitlab.lab.results.worlds import grid_world
from vitlab.ml.progress import NonFiniteLoss
from vitlab.recipes.context import Context, Outcome, Reporter, Stopped, rank
from vitlab.recipes.cost import training_cost
from vitlab.recipes.wandb_report import Wandb

RECIPES = {
    "vit": ("vitlab.recipes.vit", "run"),
    "mlp": ("vitlab.recipes.vit", "run"),
    "lightgbm": ("vitlab.recipes.baselines", "run_boost"),
    "ridge": ("vitlab.recipes.baselines", "run_ridge"),
    "template": ("vitlab.recipes.baselines", "run_template"),
    "ceiling": ("vitlab.recipes.ceiling", "run"),
    "evaluate": ("vitlab.recipes.evaluate", "run"),
    "ensemble": ("vitlab.recipes.ensemble", "run"),
}
UNUSABLE, NOT_FINITE, ENDED = 2, 3, 128 + signal.SIGTERM
PATIENCE = 60
"""Seconds the processes have to end once one of them has ended, or all were asked to."""
PARTNER_WAIT = 10.0
"""Seconds a process that lost a partner waits, so that the partner is reported as the cause."""
DRAWING = 300.0
"""Seconds a job waits for its figures to be drawn."""


def main(arguments: Sequence[str]) -> int:
    """Run the job in the given folder; returns the exit status."""
    folders = [a for a in arguments if not a.startswith("-")]
    options = {a for a in arguments if a.startswith("-")}
    if len(folders) != 1 or options - {"--resume"}:
        print("usage: python -m vitlab.recipes.run JOBDIR [--resume]", file=sys.stderr)
        return UNUSABLE
    paths = JobPaths(Path(folders[0]))
    try:
        spec = read_spec(paths.spec)
        if spec is None:
            raise UsageError(f"{paths.spec}: missing, or not a spec of version 1")
        config = read_config(spec.recipe, spec.config)
        if spec.recipe not in RECIPES:
            raise UsageError(f"{paths.spec}: recipe {spec.recipe} is started by its supervisor")
        resume = "--resume" in options
        if starts_group(config, os.environ):
            return launch_group(paths, config, _device(spec.device), resume)
    except UsageError as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    first = not rank(os.environ)
    events, reported = paths.events, spec
    with ExitStack() as open_:
        if not first:  # only the first process writes and prints
            events, reported = Path(os.devnull), replace(spec, extra={"wandb": {"mode": "off"}})
            open_.enter_context(redirect_stdout(open_.enter_context(events.open("w"))))
        writer = open_.enter_context(EventWriter(events))
        wandb = open_.enter_context(Wandb(paths, reported, os.environ))
        return _run(paths, spec, config, writer, wandb, resume)


def _run(
    paths: JobPaths, spec: Spec, config: Config, writer: EventWriter, wandb: Wandb, resume: bool
) -> int:
    """Run a job whose spec is valid, from start to end."""
    begun = time.monotonic()
    number = rank(os.environ)
    resumed_from = _last_checkpoint(paths) if resume else None
    ended = _listen_for_end()
    _set_threads(config)
    try:
        recipe = _load(spec.recipe)  # the libraries read the number of threads as they are loaded
        device = _device(spec.device)
        writer.write("start", **_start(spec, config, device, resumed_from))
        report = Reporter(writer, watch=wandb.trouble)
        context = Context(paths, spec, config, device, report, resume, lambda: bool(ended))
        outcome = _in_its_grid(recipe, context)
    except Stopped:
        writer.write("end", ok=False, error="stopped")
        return ENDED
    except UsageError as error:
        if number:
            _report_failure(error, lambda: bool(ended))
        else:
            print(error, file=sys.stderr)
        writer.write("end", ok=False, error=str(error))
        return UNUSABLE
    except NonFiniteLoss as error:
        if not number:
            print(error, file=sys.stderr)
        writer.write("end", ok=False, error="nan")
        return NOT_FINITE
    except BaseException as error:
        # The events need an `end` whatever the error; Python then prints it and exits with 1.
        if number is None:
            writer.write("end", ok=False, error=f"{type(error).__name__}: {error}")
        else:
            _report_failure(error, lambda: bool(ended))
        raise
    seconds = time.monotonic() - begun
    link, trouble = wandb.close(ok=True)
    if trouble:
        report.note(trouble)
    if not number:
        write_result(paths.result, replace(_result(context, outcome, seconds), wandb=link))
        if note := have_figures_drawn(paths, spec):
            report.note(note)
    writer.write("end", ok=True, error=None)
    return 0


def have_figures_drawn(job: JobPaths, spec: Spec) -> str:
    """Draw the figures of a job's launch in a process; a note, empty where there is nothing to do.

    What that needs to be installed (matplotlib, readers of documents) a training does without.
    """
    try:
        lab = find_lab(job.root)
        if not lab.inside(spec.roadmap).is_file():
            return ""
        command = [*PYTHON, "-m", "vitlab.lab.figures.auto_figures", str(job.folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=DRAWING, check=False)
    except UsageError:
        return ""  # a job outside a lab
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"no figures: {error}"
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        return f"no figures: {last}"
    drawn = [lab.relative(Path(line)) for line in done.stdout.splitlines()]
    return f"drew {', '.join(drawn)}" if drawn else ""


def starts_group(config: Config, environment: Mapping[str, str]) -> bool:
    """Whether this process must start a group instead of training itself."""
    if rank(environment) is not None or not isinstance(config, VitConfig | MlpConfig):
        return False
    return config.train.processes > 1 or _nodes(environment) > 1


def launch_group(paths: JobPaths, config: Config, device: str, resume: bool) -> int:
    """Run this node's part of the group; returns the job's exit status.

    `UsageError` when the processes do not fit the nodes or a node's GPUs.
    """
    assert isinstance(config, VitConfig | MlpConfig)
    nodes = _nodes(os.environ)
    here = _processes_here(config.train.processes, nodes)
    cores = int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0))))
    os.environ["OMP_NUM_THREADS"] = str(config.train.threads or max(cores // here, 1))
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    if device == "cuda":
        _check_gpus(here)
    program = [sys.executable, "-P", "-m", "vitlab.recipes.run", str(paths.folder)]
    command = [f"--nproc-per-node={here}", "--max-restarts=0", f"--shutdown-timeout={PATIENCE}"]
    command += ["--no-python", *program, *(["--resume"] if resume else [])]
    _, begun = read_events(paths.events)
    try:
        torchrun.run(torchrun.parse_args(command))  # type: ignore[no-untyped-call]
    except SignalException:
        return ENDED
    except ChildFailedError as error:
        number, failure = error.get_first_failure()
        message: Any = failure.message  # a string, or the record the process wrote itself
        text = str(message["message"] if isinstance(message, dict) else message)
        if failure.exitcode == NOT_FINITE:
            text = "nan"
        if not _has_ended(paths.events, begun):
            with EventWriter(paths.events) as writer:
                writer.write("end", ok=False, error=f"rank {number}: {text.splitlines()[0]}")
        return failure.exitcode if failure.exitcode > 0 else 1
    return 0


def _report_failure(error: BaseException, asked: Callable[[], bool]) -> None:
    """Record for torchrun why this process failed.

    A process that only lost a partner waits, so that torchrun names the partner.
    """
    from torch.distributed.elastic.multiprocessing.errors import get_error_handler

    from vitlab.ml.training.parallel import is_lost_partner

    deadline = time.monotonic() + (PARTNER_WAIT if is_lost_partner(error) else 0.0)
    while time.monotonic() < deadline and not asked():
        time.sleep(0.05)
    get_error_handler().record_exception(error)


def _nodes(environment: Mapping[str, str]) -> int:
    return int(environment.get("PET_NNODES", "1").rpartition(":")[2])


def _processes_here(processes: int, nodes: int) -> int:
    if processes % nodes:
        raise UsageError(
            f"config.train.processes: {processes} cannot be divided among {nodes} nodes "
            f"(allowed: multiples of {nodes})"
        )
    return processes // nodes


def _check_gpus(processes: int) -> None:
    import torch

    count = torch.cuda.device_count()
    if count < processes:
        raise UsageError(
            f"config.train.processes: {processes} on this node, but the job has {count} GPUs"
        )


def _has_ended(events: Path, offset: int) -> bool:
    """Whether the group wrote an `end` itself; `offset`: where its events begin."""
    written, _ = read_events(events, offset)
    return any(event.kind == "end" for event in written)


def _in_its_grid(recipe: Callable[[Context], Outcome], context: Context) -> Outcome:
    """What the recipe gives, of the user's grid as it lay there at its start, not at its end."""
    data, began_in = getattr(context.config, "data", None), None
    with suppress(OSError, Unreadable):  # the recipe tells it
        if isinstance(data, DataConfig) and data.grid and data.source in GRID_SOURCES:
            began_in = grid_world(data, 0.0)
    outcome = recipe(context)
    if not began_in or not outcome.world:
        return outcome
    return replace(outcome, world=replace(outcome.world, simulator=began_in.simulator))


def _listen_for_end() -> list[int]:
    """A list that SIGTERM adds its number to; the recipe then ends after the current step."""
    received: list[int] = []

    def receive(number: int, _: FrameType | None) -> None:
        received.append(number)

    signal.signal(signal.SIGTERM, receive)
    return received


def _load(name: str) -> Callable[[Context], Outcome]:
    """The recipe; from now on garbage is collected."""
    module, function = RECIPES[name]
    recipe: Callable[[Context], Outcome] = getattr(importlib.import_module(module), function)
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
    return recipe


def _set_threads(config: Config) -> None:
    match config:
        case CommandConfig():
            threads = 0
        case CeilingConfig() | TemplateConfig() | EvaluateConfig() | EnsembleConfig():
            threads = config.threads
        case _:
            threads = config.train.threads
    # Spinning threads slow a job down when a core is shared, LightGBM by a factor of eight.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if threads:
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ[name] = str(threads)


def _device(wanted: str) -> str:
    """`cuda` if available, unless `cpu` was asked for; the environment selects which GPU."""
    import torch

    if wanted in ("mps", "rocm", "xpu"):
        text = "networks run on CPUs and NVIDIA GPUs (allowed: auto, cpu, cuda)"
        raise UsageError(f"device {wanted!r}: {text}")
    if wanted == "cpu":
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    if wanted == "auto":
        return "cpu"
    raise UsageError(f"device {wanted!r}: this process sees no CUDA device (allowed: auto, cpu)")


def _start(spec: Spec, config: Config, device: str, resumed_from: int | None) -> dict[str, object]:
    """The keys of the `start` event."""
    match config:
        case CommandConfig() | EvaluateConfig() | EnsembleConfig():
            seed = None
        case CeilingConfig() | TemplateConfig():
            seed = config.data.seed
        case _:
            seed = config.train.seed
    code = read_code(Path.cwd())
    known: dict[str, object] = {
        "host": platform.node(),
        "device": device,
        "commit": code.commit or None,
        "dirty": code.dirty,
        "spec_hash": spec.hash,
        "job": spec.mark,
        "seed": seed,
    }
    return known if resumed_from is None else {**known, "resumed_from": resumed_from}


def _last_checkpoint(paths: JobPaths) -> int:
    """Step of the last saved state; 0 when there is none and the job starts over."""
    steps, offset, before = 0, 0, -1
    while offset != before:
        before = offset
        events, offset = read_events(paths.events, offset)
        # A job resumes from the last state, not the best one.
        saved = (
            e for e in events if e.kind == "checkpoint" and "best" not in str(e.data.get("path"))
        )
        steps = max([steps, *(event.step for event in saved)])
    return steps


def validation_scores(context: Context, best: Mapping[str, float]) -> dict[str, float | None]:
    """The headline's metric on validation, of the state that is reported: it chooses among runs."""
    metric, offset, end = Value.parse(context.spec.headline).metric, 0, -1
    scores: dict[str, float | None] = {}
    while offset != end:
        end = offset
        events, offset = read_events(context.paths.events, offset)
        for event in events:
            if (event.kind, event.data.get("split"), event.step) == (
                "eval",
                "val",
                best.get("step"),
            ):
                scores = dict(event.values)
    return {name: x for name, x in scores.items() if Value.parse(name).metric == metric}


def _result(context: Context, outcome: Outcome, seconds: float) -> Result:
    spec = context.spec
    tested = {name: x if math.isfinite(x) else None for name, x in outcome.values.items()}
    cost = training_cost(context.config, outcome, seconds, context.device, context.resume)
    result = Result(
        mvp=spec.mvp,
        run=spec.run,
        profile=spec.profile,
        recipe=spec.recipe,
        values={**validation_scores(context, outcome.best), **tested},
        errors={name: x for name, x in outcome.errors.items() if math.isfinite(x)},
        n=outcome.n,
        model=outcome.model,
        data={**outcome.data, **cost},
        best=outcome.best,
        seconds=round(seconds + outcome.earlier, 3),
        figures=tuple(str(path) for path in outcome.figures),
        headline=spec.headline,
        checks={name: check.record() for name, check in outcome.checks.items()},
        world=outcome.world.record() if outcome.world else {},
        job=spec.mark,
    )
    return checked_against_ceiling(context.paths, result)


if __name__ == "__main__":
    gc.disable()  # until all is loaded: of that nothing is garbage, and it is much
    status = main(sys.argv[1:])
    if rank(os.environ) is not None:
        # Gloo's threads may outlive the group and abort a process that has finished.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)
