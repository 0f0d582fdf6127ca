"""A job of several processes: the job's child becomes torchrun, which starts one for each device.

Torchrun, not a spawn of our own: it ends all when one dies and says which and why, and with the
variables `PET_NNODES` and `PET_RDZV_*` (set by `vitlab.jobs.slurm.rendezvous`) the same command,
started once on each node, joins the others. Only the process of rank 0 writes what a job leaves.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vitlab.contract.config import Config, MlpConfig, VitConfig
from vitlab.contract.events import EventWriter, read_events
from vitlab.contract.paths import JobPaths, UsageError

NOT_FINITE, ENDED = 3, 128 + signal.SIGTERM
PATIENCE = 60
"""Seconds the others have to end once one of them has, or all were asked to."""
LAST_WORD = 10.0
"""Seconds a process that lost a partner waits, so that the partner is the one that is named."""


def rank(environment: Mapping[str, str]) -> int | None:
    """This process' number in its group; None for a process torchrun did not start."""
    if "TORCHELASTIC_RUN_ID" not in environment:
        return None
    return int(environment["RANK"])


def to_launch(config: Config, environment: Mapping[str, str]) -> bool:
    """Whether this process is to start a group, not to train itself."""
    if rank(environment) is not None or not isinstance(config, VitConfig | MlpConfig):
        return False
    return config.train.processes > 1 or _nodes(environment) > 1


def launch(paths: JobPaths, config: Config, device: str, resume: bool) -> int:
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
        told: Any = failure.message  # a text, or what the process left itself
        text = str(told["message"] if isinstance(told, dict) else told)
        if failure.exitcode == NOT_FINITE:
            text = "nan"
        if not _ended(paths.events, begun):
            with EventWriter(paths.events) as writer:
                writer.write("end", ok=False, error=f"rank {number}: {text.splitlines()[0]}")
        return failure.exitcode if failure.exitcode > 0 else 1
    return 0


def tell_failure(error: BaseException, asked: Callable[[], bool]) -> None:
    """Leave word for torchrun of what ended this process.

    One that only lost a partner waits for torchrun to see who was first.
    """
    from torch.distributed.elastic.multiprocessing.errors import get_error_handler

    from vitlab.ml.training.parallel import is_lost_partner

    until = time.monotonic() + (LAST_WORD if is_lost_partner(error) else 0.0)
    while time.monotonic() < until and not asked():
        time.sleep(0.05)
    get_error_handler().record_exception(error)


def _nodes(environment: Mapping[str, str]) -> int:
    return int(environment.get("PET_NNODES", "1").rpartition(":")[2])


def _processes_here(processes: int, nodes: int) -> int:
    if processes % nodes:
        raise UsageError(
            f"config.train.processes: {processes} can not be shared out over {nodes} nodes "
            f"(allowed: multiples of {nodes})"
        )
    return processes // nodes


def _check_gpus(processes: int) -> None:
    import torch

    count = torch.cuda.device_count()
    if count < processes:
        raise UsageError(
            f"config.train.processes: {processes} on this node, where the job has {count} GPUs"
        )


def _ended(events: Path, offset: int) -> bool:
    """Whether the group said itself how it ended; `offset`: where its events began."""
    said, _ = read_events(events, offset)
    return any(event.kind == "end" for event in said)
