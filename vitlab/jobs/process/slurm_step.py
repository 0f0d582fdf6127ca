"""What Slurm runs of a job: a batch step on its first node, which becomes its supervisor."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from vitlab.contract.paths import JobPaths
from vitlab.jobs import processes
from vitlab.jobs.files import read_json, take_lock, write_owner

STRAGGLERS = 120
"""Seconds the other nodes have to end after the first one has."""


def nodes(environment: Mapping[str, str]) -> int:
    """How many nodes Slurm gave the job."""
    return int(environment.get("SLURM_JOB_NUM_NODES", "1"))


def rendezvous(environment: Mapping[str, str], here: str) -> dict[str, str]:
    """What `torchrun` reads where a job has several nodes: they meet `here`, at the first of them.

    The same on every node, so the same command joins on each of them.
    """
    if nodes(environment) < 2:
        return {}
    number = int(environment.get("SLURM_JOB_ID", "0"))
    return {
        "PET_NNODES": str(nodes(environment)),
        "PET_RDZV_BACKEND": "c10d",
        "PET_RDZV_ENDPOINT": f"{here}:{20_000 + number % 20_000}",
        "PET_RDZV_ID": str(number),
    }


def srun_prefix(environment: Mapping[str, str]) -> list[str]:
    """The words before a command that start it once on each node; none where there is one node.

    The first to end does not end the others: they may still be saving.
    """
    count = nodes(environment)
    if count < 2:
        return []
    argv = ["srun", f"--nodes={count}", f"--ntasks={count}", "--ntasks-per-node=1"]
    argv += ["--kill-on-bad-exit=0", f"--wait={STRAGGLERS}"]
    cpus = environment.get("SLURM_CPUS_PER_TASK")  # srun does not take it over by itself
    return [*argv, f"--cpus-per-task={cpus}"] if cpus else argv


def number(environment: Mapping[str, str]) -> str:
    """The job as `squeue` names it; of an array's last task the bare number is the whole array."""
    array = environment.get("SLURM_ARRAY_JOB_ID")
    if array is None:
        return environment.get("SLURM_JOB_ID", "")
    return f"{array}_{environment.get('SLURM_ARRAY_TASK_ID', '0')}"


def _may_run(job: JobPaths, restarted: bool) -> bool:
    """Asked under the lock: the job waits, or Slurm runs it again after it was interrupted."""
    if not job.spec.exists() or job.stop.exists():
        return False
    if job.resume.exists() or not (job.started.exists() or job.exit.exists()):
        return True
    return restarted and read_json(job.exit).get("reason", "killed") == "killed"


def main(arguments: Sequence[str]) -> NoReturn:
    """`python -m vitlab.jobs.process.slurm_step FOLDERS`: each line is one array task's job."""
    place = int(os.environ.get("SLURM_ARRAY_TASK_ID", "0"))
    job = JobPaths(Path(Path(arguments[0]).read_text().splitlines()[place]))
    lock = take_lock(job.lock)
    if lock is None or not _may_run(job, int(os.environ.get("SLURM_RESTART_COUNT", "0")) > 0):
        sys.exit(0)
    orders = read_json(job.slurm)
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    record: dict[str, Any] = {
        "v": 1,
        "started": round(time.time(), 3),
        "boot": processes.boot(),
        "device": ",".join(f"gpu{gpu}" for gpu in gpus.split(",")) if gpus else "cpu",
        "environment": rendezvous(os.environ, os.uname().nodename),
        "slurm": number(os.environ),
        "across": srun_prefix(os.environ),
    }
    known: dict[str, Any] = {
        key: orders[key] for key in ("grace", "commit", "dirty") if key in orders
    }
    write_owner(lock, {**record, **known})
    from vitlab.jobs.process import supervisor  # only once the job is ours

    supervisor.main([str(job.folder), str(lock)])


if __name__ == "__main__":
    main(sys.argv[1:])
