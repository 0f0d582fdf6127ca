"""The child of every job: reads `spec.json`, runs the recipe, leaves `result.json`.

    python -m vitlab.recipes.run JOBDIR [--resume]

Of a job of several processes it is the one that starts them (`vitlab.recipes.group`), and each of
them. Exit status: 0 done; 1 failed; 2 a spec that cannot be run; 3 the loss was not finite;
143 ended on request, its state saved.
"""

from __future__ import annotations

import importlib
import math
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, redirect_stdout
from dataclasses import replace
from pathlib import Path
from types import FrameType

from vitlab.contract.config import (
    CeilingConfig,
    CommandConfig,
    Config,
    EvaluateConfig,
    TemplateConfig,
    read_config,
)
from vitlab.contract.events import EventWriter, read_events
from vitlab.contract.job import Result, Spec, read_spec, write_result
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.lab.figures.auto_figures import figures_of
from vitlab.ml.progress import NonFiniteLoss
from vitlab.recipes import group
from vitlab.recipes.context import Context, Outcome, Reporter, Stopped
from vitlab.recipes.group import ENDED, NOT_FINITE
from vitlab.recipes.wandb_report import Wandb

RECIPES = {
    "vit": ("vitlab.recipes.vit", "run"),
    "mlp": ("vitlab.recipes.vit", "run"),
    "lightgbm": ("vitlab.recipes.baselines", "run_boost"),
    "ridge": ("vitlab.recipes.baselines", "run_ridge"),
    "template": ("vitlab.recipes.baselines", "run_template"),
    "ceiling": ("vitlab.recipes.ceiling", "run"),
    "evaluate": ("vitlab.recipes.evaluate", "run"),
}
UNUSABLE = 2


def main(arguments: Sequence[str]) -> int:
    """Run the job in the folder named; returns the exit status."""
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
        if group.to_launch(config, os.environ):
            return group.launch(paths, config, _device(spec.device), resume)
    except UsageError as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    first = not group.rank(os.environ)
    events, told = paths.events, spec
    with ExitStack() as open_:
        if not first:  # of several processes the first one alone writes and speaks
            events, told = Path(os.devnull), replace(spec, extra={"wandb": {"mode": "off"}})
            open_.enter_context(redirect_stdout(open_.enter_context(events.open("w"))))
        writer = open_.enter_context(EventWriter(events))
        wandb = open_.enter_context(Wandb(paths, told, os.environ))
        return _run(paths, spec, config, writer, wandb, resume)


def _run(
    paths: JobPaths, spec: Spec, config: Config, writer: EventWriter, wandb: Wandb, resume: bool
) -> int:
    """Start to end of a job whose spec is sound."""
    begun = time.monotonic()
    number = group.rank(os.environ)
    resumed_from = _last_checkpoint(paths) if resume else None
    ended = _listen_for_end()
    _set_threads(config)
    try:
        # Only now: the learner's libraries read the number of threads when they are loaded.
        module, function = RECIPES[spec.recipe]
        recipe = getattr(importlib.import_module(module), function)
        device = _device(spec.device)
        writer.write("start", **_start(spec, config, device, resumed_from))
        report = Reporter(writer, watch=wandb.trouble)
        context = Context(paths, spec, config, device, report, resume, lambda: bool(ended))
        outcome = recipe(context)
    except Stopped:
        writer.write("end", ok=False, error="stopped")
        return ENDED
    except UsageError as error:
        if number:
            group.tell_failure(error, lambda: bool(ended))
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
        # Whatever it was, the job must say that it ended; then Python prints it and exits 1.
        if number is None:
            writer.write("end", ok=False, error=f"{type(error).__name__}: {error}")
        else:
            group.tell_failure(error, lambda: bool(ended))
        raise
    seconds = time.monotonic() - begun
    link, trouble = wandb.close(ok=True)
    if trouble:
        report.note(trouble)
    if not number:
        write_result(paths.result, replace(_result(spec, outcome, seconds), wandb=link))
        if said := figures_of(paths, spec):
            report.note(said)
    writer.write("end", ok=True, error=None)
    return 0


def _listen_for_end() -> list[int]:
    """SIGTERM puts its number in the list; the recipe ends after the step under way."""
    received: list[int] = []

    def receive(number: int, _: FrameType | None) -> None:
        received.append(number)

    signal.signal(signal.SIGTERM, receive)
    return received


def _set_threads(config: Config) -> None:
    match config:
        case CommandConfig():
            threads = 0
        case CeilingConfig() | TemplateConfig() | EvaluateConfig():
            threads = config.threads
        case _:
            threads = config.train.threads
    # Spinning threads slow a job down as soon as a core is shared: LightGBM eight times.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if threads:
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ[name] = str(threads)


def _device(wanted: str) -> str:
    """`cuda` when one is to be had and not refused; which one, the environment says."""
    import torch

    if wanted == "cpu":
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    if wanted == "auto":
        return "cpu"
    raise UsageError(f"device {wanted!r}: this process sees no CUDA device (allowed: auto, cpu)")


def _start(spec: Spec, config: Config, device: str, resumed_from: int | None) -> dict[str, object]:
    """The `start` event's keys."""
    match config:
        case CommandConfig() | EvaluateConfig():
            seed = None
        case CeilingConfig() | TemplateConfig():
            seed = config.data.seed
        case _:
            seed = config.train.seed
    known: dict[str, object] = {
        "host": platform.node(),
        "device": device,
        "commit": _git("rev-parse", "HEAD"),
        # A launch writes into the plan itself: documents make no run another.
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":!/*.md")),
        "spec_hash": spec.hash,
        "seed": seed,
    }
    return known if resumed_from is None else {**known, "resumed_from": resumed_from}


def _last_checkpoint(paths: JobPaths) -> int:
    """Step of the last state saved; 0 when there is none and the job begins anew."""
    steps, offset, seen = 0, 0, -1
    while offset != seen:
        seen = offset
        events, offset = read_events(paths.events, offset)
        # The best state is kept beside the last one, and not what a job goes on from.
        saved = (
            e for e in events if e.kind == "checkpoint" and "best" not in str(e.data.get("path"))
        )
        steps = max([steps, *(event.step for event in saved)])
    return steps


def _git(*arguments: str) -> str | None:
    """What git says of the current folder; None outside a repository or without git."""
    try:
        found = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def _result(spec: Spec, outcome: Outcome, seconds: float) -> Result:
    return Result(
        mvp=spec.mvp,
        run=spec.run,
        profile=spec.profile,
        recipe=spec.recipe,
        values={name: x if math.isfinite(x) else None for name, x in outcome.values.items()},
        errors={name: x for name, x in outcome.errors.items() if math.isfinite(x)},
        n=outcome.n,
        model=outcome.model,
        data=outcome.data,
        best=outcome.best,
        seconds=round(seconds, 3),
        figures=tuple(str(path) for path in outcome.figures),
        headline=spec.headline,
    )


if __name__ == "__main__":
    status = main(sys.argv[1:])
    if group.rank(os.environ) is not None:
        # Gloo's threads may outlive its group, and then abort a process that has done its work.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)
