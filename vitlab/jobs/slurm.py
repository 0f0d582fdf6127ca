"""Jobs that a Slurm cluster runs: the same supervisor as a batch step, followed by the same folder.

By `sbatch`, not submitit: that one submits a pickled function to a runner with a folder, states
and a requeue of its own. Ours is a folder and an argv; nothing is pickled, and what the batch step
runs is what runs here. The lab must lie on a disk the nodes share.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vitlab.contract.events import Outcome
from vitlab.contract.job import Lost
from vitlab.contract.paths import JobPaths, LabPaths
from vitlab.jobs import processes
from vitlab.jobs.files import read_json, write_json
from vitlab.jobs.git import Code
from vitlab.jobs.store import Job

WARNING = 120
"""Seconds before the time limit at which a job is asked to save and is queued again."""
EVERY = 3.0
"""Least seconds between two questions to Slurm's controller."""
PATIENCE = 20
"""Seconds for an answer of Slurm's own commands."""
OUTCOMES: dict[str, Outcome] = {
    "CANCELLED": "killed",
    "DEADLINE": "killed",
    "OUT_OF_MEMORY": "oom",
    "PREEMPTED": "killed",
    "TIMEOUT": "killed",
    "BOOT_FAIL": "failed",
    "COMPLETED": "failed",
    "FAILED": "failed",
    "NODE_FAIL": "failed",
    "GONE": "killed",
}
"""Slurm's word for the end of a job that left no record of its own -> ours.

`GONE` is no word of Slurm's: it knows the job no more. So it forgets waiting array tasks that are
cancelled, and ended jobs after its `MinJobAge`."""
Over = tuple[Job, str, str]
"""A job that is over, our outcome, and a line."""
WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "CONFIGURING", "SPECIAL_EXIT")


def batch(options: Mapping[str, Any], root: Path, folders: Path, count: int) -> list[str]:
    """The `sbatch` command of `count` jobs, one array task each; `folders` lists their folders."""
    limit = f"%{options['at_once']}" if options.get("at_once") else ""
    argv = ["sbatch", "--parsable", "--requeue", "--open-mode=append", f"--chdir={root}"]
    argv += [f"--array=0-{count - 1}{limit}", f"--output={folders.with_suffix('.%a.log')}"]
    argv += [f"--job-name={folders.stem}", "--ntasks-per-node=1"]
    argv += [f"--signal=B:USR2@{options.get('warning', WARNING)}"]
    for name, option in (
        ("partition", "partition"),
        ("account", "account"),
        ("qos", "qos"),
        ("time", "time"),
        ("nodes", "nodes"),
        ("cpus", "cpus-per-task"),
        ("gpus", "gpus-per-node"),
    ):
        if name in options:
            argv.append(f"--{option}={options[name]}")
    if "memory" in options:
        argv.append(f"--mem={round(1000 * options['memory'])}M")
    step = [sys.executable, "-P", "-m", "vitlab.jobs.process.slurm_step", str(folders)]
    # The shell of the batch step is Slurm's; `exec` lets its signals reach the supervisor.
    return [*argv, f"--wrap=exec {shlex.join(step)}"]


def submit_batch(
    lab: LabPaths, jobs: Sequence[Job], code: Code, grace: float
) -> tuple[list[JobPaths], list[Over]]:
    """Submit `jobs`, those of one experiment and one set of options as one array.

    Those sent, and those Slurm refused. Where there is no `sbatch` somebody else's look sends them.
    """
    begun: list[JobPaths] = []
    refused: list[Over] = []
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(f"{job.spec.exp_id} {job.spec.extra.get('slurm')}", []).append(job)
    for group in groups.values():
        lab.private.slurm.mkdir(parents=True, exist_ok=True)
        folders = lab.private.slurm / f"{group[0].spec.exp_id}-{time.time_ns()}.txt"
        folders.write_text("".join(f"{job.paths.folder}\n" for job in group))
        orders = {"v": 1, "commit": code.commit, "dirty": code.dirty, "grace": grace}
        for job in group:
            if code.dirty:
                job.paths.code_diff.write_bytes(code.diff)
            write_json(job.paths.slurm, orders)  # it may begin before its id is written
        options = group[0].spec.extra.get("slurm", {})
        said = _run(batch(options, lab.root, folders, len(group)))
        if said is None:
            continue
        if said.returncode:
            refused += [(job, "failed", f"sbatch: {_line(said.stderr)}") for job in group]
            continue
        number = said.stdout.strip().partition(";")[0]
        for i, job in enumerate(group):
            write_json(job.paths.slurm, {**orders, "id": f"{number}_{i}"})
            begun.append(job.paths)
    return begun, refused


def is_here() -> bool:
    """Whether this machine can send jobs to a Slurm cluster: it has the `sbatch` command."""
    return shutil.which("sbatch") is not None


def rejection(lab: LabPaths, options: Mapping[str, Any]) -> str:
    """Why Slurm would not take a job with these options; empty when it would."""
    argv = [*batch(options, lab.root, lab.private.folder / "test.txt", 1), "--test-only"]
    said = _run(argv)
    if said is None:
        return "no answer from sbatch on this machine"
    return _line(said.stderr) if said.returncode else ""


def ended(lab: LabPaths, jobs: Iterable[Job]) -> list[Over]:
    """The jobs Slurm knows to be over although they left no record: with outcome and line.

    On the way, what Slurm says of the others is noted in their folders. However many look at the
    lab, Slurm is asked once in `EVERY` seconds.
    """
    sent = {number: job for job in jobs if (number := str(_record(job).get("id", "")))}
    stamp = lab.private.slurm_asked
    if not sent or (stamp.exists() and 0 <= time.time() - stamp.stat().st_mtime < EVERY):
        return []
    stamp.parent.mkdir(exist_ok=True)
    stamp.touch()
    told = query(list(sent))
    if told is None:
        return []
    over = []
    for number, job in sent.items():
        state, _, reason = told.get(number, "GONE|").partition("|")
        if state in WAITING:
            if isinstance(job.state, Lost):
                job.paths.resume.touch()  # Slurm will start it again
            said = f"{state.lower()}" + (f" ({reason})" if reason not in ("", "None") else "")
            if _record(job).get("said") != said:
                write_json(job.paths.slurm, {**_record(job), "said": said})
        elif state in OUTCOMES:
            detail = f"Slurm job {number}: {state.lower().replace('_', ' ')}"
            over.append((job, OUTCOMES[state], detail))
    # Its own record may have been written while Slurm was asked.
    return [one for one in over if not one[0].paths.exit.exists()]


def query(numbers: Sequence[str]) -> dict[str, str] | None:
    """Slurm's `STATE|reason` of jobs; one it does not know is missing, None without an answer."""
    whole = ",".join(sorted({number.partition("_")[0] for number in numbers}))
    said = _run(["squeue", "-h", "-r", "-t", "all", "-o", "%i|%T|%r", f"--jobs={whole}"])
    if said is None or (said.returncode and "Invalid job id" not in said.stderr):
        return None
    rows = (line.strip().partition("|") for line in said.stdout.splitlines())
    return {number: rest for number, _, rest in rows}


def cancel(job: JobPaths) -> None:
    """Take a job out of Slurm's queue; it is as if it had never been sent."""
    number = read_json(job.slurm).get("id")
    if number:
        _run(["scancel", str(number)])
    job.slurm.unlink(missing_ok=True)


def requeue(job: JobPaths, number: str) -> None:
    """Have Slurm start our own batch step again; where it refuses, any look sends it anew."""
    job.resume.touch()
    said = _run(["scontrol", "requeue", number])
    if said is None or said.returncode:
        job.slurm.unlink(missing_ok=True)


def signal_steps(number: str, sent: int) -> None:
    """Send a signal to what `srun` started for a job, on every one of its nodes."""
    _run(["scancel", f"--signal={signal.Signals(sent).name.removeprefix('SIG')}", number])


def _record(job: Job) -> dict[str, Any]:
    return read_json(job.paths.slurm)


def _run(argv: Sequence[str]) -> subprocess.CompletedProcess[str] | None:
    """One of Slurm's commands; None where there is none, or it does not answer."""
    # What we inherit from a batch step we may be in is not for the next one.
    kept = {k: v for k, v in os.environ.items() if k == "SLURM_CONF" or not _is_slurms(k)}
    with contextlib.suppress(FileNotFoundError, subprocess.TimeoutExpired):
        return subprocess.run(
            argv, capture_output=True, text=True, timeout=PATIENCE, env=kept, check=False
        )
    return None


def _is_slurms(name: str) -> bool:
    return name.startswith(("SLURM_", "SLURMD_", "SBATCH_", "PET_")) or name == processes.MARKER


def _line(text: str) -> str:
    lines = [line.removeprefix("sbatch: error: ").strip() for line in text.splitlines()]
    return "; ".join(line for line in lines if line)[:300] or "refused without a word"
