"""A job's batch step in Slurm: it runs on the first node and becomes the job's supervisor."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from vitlab.contract.paths import JobPaths
from vitlab.jobs import processes
from vitlab.jobs.ends import write_exit
from vitlab.jobs.files import exit_record, read_json, read_own, take_lock, write_owner
from vitlab.jobs.process import supervisor
from vitlab.jobs.submissions import is_submitted

STRAGGLERS = 120
"""Seconds the other nodes have to end after the first has ended."""
NOT_SHARED = (
    "not as it was submitted, or this user's state folder (XDG_STATE_HOME) is not on a disk that "
    "the nodes share"
)


def nodes(environment: Mapping[str, str]) -> int:
    """How many nodes Slurm gave the job."""
    return int(environment.get("SLURM_JOB_NUM_NODES", "1"))


def gpus(environment: Mapping[str, str]) -> list[str]:
    """The GPUs of this node that the job has, by index or UUID."""
    names = [name.strip() for name in environment.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    return [name for name in names if name not in ("", "-1", "NoDevFiles")]


def rendezvous(environment: Mapping[str, str], here: str) -> dict[str, str]:
    """Environment of `torchrun` for a job on several nodes: they meet `here`, on the first.

    It is the same on every node, so one command works on each of them.
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
    """The `srun` in front of a command, to start it once on each node; empty for one node.

    The first node to end does not end the others: they may still be saving.
    """
    count = nodes(environment)
    if count < 2:
        return []
    argv = ["srun", f"--nodes={count}", f"--ntasks={count}", "--ntasks-per-node=1"]
    argv += ["--kill-on-bad-exit=0", f"--wait={STRAGGLERS}"]
    cpus = environment.get("SLURM_CPUS_PER_TASK")  # srun does not inherit it
    return [*argv, f"--cpus-per-task={cpus}"] if cpus else argv


def number(environment: Mapping[str, str]) -> str:
    """The job as `squeue` names it; the bare number of an array's last task is the whole array."""
    array = environment.get("SLURM_ARRAY_JOB_ID")
    if array is None:
        return environment.get("SLURM_JOB_ID", "")
    return f"{array}_{environment.get('SLURM_ARRAY_TASK_ID', '0')}"


def _may_run(job: JobPaths, restarted: bool) -> bool:
    """Whether the job waits, or Slurm restarts it after an interruption; with its lock held.

    One that is held, or has another number by now, was cancelled: Slurm may not have heard of it.
    """
    if not job.spec.exists() or job.stop.exists() or read_json(job.queue).get("hold") is True:
        return False
    if read_own(job, job.slurm).get("id") not in (None, number(os.environ)):
        return False
    if job.is_resumed() or not (job.started.exists() or job.exit.exists()):
        return True
    return restarted and read_json(job.exit).get("reason", "killed") == "killed"


def main(arguments: Sequence[str]) -> NoReturn:
    """`python -m vitlab.jobs.process.slurm_step FOLDERS`: each line is one array task's job."""
    place = int(os.environ.get("SLURM_ARRAY_TASK_ID", "0"))
    job = JobPaths(Path(Path(arguments[0]).read_text().splitlines()[place]))
    lock = take_lock(job.lock)
    if lock is None:
        sys.exit(0)
    if not _may_run(job, int(os.environ.get("SLURM_RESTART_COUNT", "0")) > 0):
        os.close(lock)
        sys.exit(0)
    if not is_submitted(job, anew=True):
        write_exit(job, exit_record("failed", NOT_SHARED, round(time.time(), 3)))
        os.close(lock)
        sys.exit(0)
    orders = read_own(job, job.slurm)
    given = gpus(os.environ)
    record: dict[str, Any] = {
        "v": 1,
        "started": round(time.time(), 3),
        "boot": processes.boot(),
        "device": ",".join(f"gpu{gpu}" if gpu.isdecimal() else gpu for gpu in given) or "cpu",
        "gpus": len(given) * nodes(os.environ),
        "environment": rendezvous(os.environ, os.uname().nodename),
        "slurm": number(os.environ),
        "across": srun_prefix(os.environ),
    }
    known: dict[str, Any] = {
        key: orders[key] for key in ("grace", "repository", "commit", "dirty") if key in orders
    }
    write_owner(lock, {**record, **known})
    supervisor.main([str(job.folder), str(lock)])


if __name__ == "__main__":
    main(sys.argv[1:])
