"""Jobs run by a Slurm cluster: with the same supervisor, as a batch step, and the same folder.

By `sbatch`, not submitit: that submits a pickled function to a runner with its own folder, states
and requeue. Ours is a folder and an argv; nothing is pickled, and the batch step runs what runs
here. The lab must lie on a disk the nodes share.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vitlab.contract.events import Outcome
from vitlab.contract.job import Lost
from vitlab.contract.paths import JobPaths, LabPaths
from vitlab.jobs import processes
from vitlab.jobs.environment import as_bytes, submitted_environment, this_environment
from vitlab.jobs.files import read_own, touch, write_json
from vitlab.jobs.git import Code
from vitlab.jobs.processes import PYTHON, SLURM_NUMBER
from vitlab.jobs.store import Job

WARNING = 120
"""Seconds before the time limit at which a job is asked to save and is queued again."""
QUERY_INTERVAL = 3.0
"""Least seconds between two queries of Slurm's controller."""
COMMAND_TIMEOUT = 20
"""Seconds a command of Slurm may take."""
PAUSE = 60.0
"""Seconds without a query after one that was not answered in time: all who look wait for it."""
UNSEEN = 120.0
"""Seconds after its submission in which an array that Slurm has not named yet is not gone, nor
submitted again: at some sites `squeue` tells what was true a while ago."""
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
"""Slurm's state of an ended job that left no record of its own -> our outcome.

`GONE` is ours: Slurm does not know the job any more. It forgets waiting array tasks that are
cancelled, and ended jobs after its `MinJobAge`."""
KEPT = ("SLURM_CONF", "SLURM_CLUSTERS", "SBATCH_ACCOUNT", "SBATCH_PARTITION", "SBATCH_QOS")
"""The user's variables that Slurm's commands are given."""
Ended = tuple[Job, str, str]
"""An ended job, its outcome, and a line."""
_NO_ANSWER = re.compile(
    r"timed out|unable to contact|connect failure|connection (?:refused|reset)|zero bytes"
    r"|temporarily un(?:able|available)|standby mode|authentication error",
    re.IGNORECASE,
)
"""At the end of what `sbatch` says, the controller is away, starting or busy: no refusal."""
WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "CONFIGURING", "SPECIAL_EXIT")


def batch(
    options: Mapping[str, Any], root: Path, folders: Path, count: int, after: str = ""
) -> list[str]:
    """The `sbatch` command of `count` jobs, one array task each; `folders` lists their folders.

    `after`: the number of the array before it of one sweep, with which it shares `at_once`.
    """
    limit = f"%{options['at_once']}" if options.get("at_once") else ""
    argv = ["sbatch", "--parsable", "--requeue", "--open-mode=append", f"--chdir={root}"]
    log = str(folders.with_suffix("")).replace("%", "%%")  # %j of a path is no job's number
    argv += [f"--array=0-{count - 1}{limit}", f"--output={log}.%a.log"]
    argv += [f"--job-name={folders.stem}", "--ntasks-per-node=1"]
    argv += [f"--signal=B:USR2@{options.get('warning', WARNING)}"]
    if limit and after:
        argv.append(f"--dependency=afterany:{after}")
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
    step = [*PYTHON, "-m", "vitlab.jobs.process.slurm_step", str(folders)]
    # The shell of the batch step is Slurm's; `exec` lets its signals reach the supervisor.
    return [*argv, f"--wrap=exec {shlex.join(step)}"]


def _groups(jobs: Iterable[Job]) -> list[list[Job]]:
    """Those of one experiment, set of options and environment together."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        environment, _ = submitted_environment(job.paths, this_environment())
        options = job.spec.extra.get("slurm")
        key = f"{job.paths.folder.parent} {options} {sorted(environment.items())}"
        groups.setdefault(key, []).append(job)
    return list(groups.values())


def submit_batch(
    lab: LabPaths, jobs: Sequence[Job], code_of: Callable[[Job], Code], grace: float
) -> tuple[list[JobPaths], list[Ended]]:
    """Submit `jobs`, those of one experiment, set of options and environment as one array.

    More than the cluster takes in one are several arrays. Returns those submitted, and those Slurm
    refused. Without `sbatch` here, a process on another machine submits them.
    """
    refused: list[Ended] = []
    begun, free = _answered_late(jobs)
    # Asked first: not between a submission and the record of its number.
    here, most = _cluster_here() if free else ("", 1)
    for group in _groups(free):
        number = ""
        for part in (group[start : start + most] for start in range(0, len(group), most)):
            records = {job.name: {"v": 1, **code_of(job).record, "grace": grace} for job in part}
            number, why = _submit(lab, part, records, here, number)
            begun += [job.paths for job in part if number]
            refused += [(job, "failed", why) for job in part if why]
    return begun, refused


def _submit(
    lab: LabPaths, jobs: Sequence[Job], records: Mapping[str, Any], here: str, after: str
) -> tuple[str, str]:
    """Submit jobs as one array: its number, or why it is refused; neither without an answer.

    Slurm gives a batch step the environment of `sbatch`: here the one they were submitted with.
    """
    lab.private.slurm.mkdir(parents=True, exist_ok=True)
    # Named by the folder: a job that was taken over may say to be of any experiment.
    exp_id = jobs[0].paths.folder.parent.name
    folders = lab.private.slurm / f"{exp_id}-{time.time_ns()}.txt"
    try:
        options = jobs[0].spec.extra.get("slurm") or {}
        argv = batch(options, lab.root, folders, len(jobs), after)
    except (TypeError, ValueError, AttributeError) as error:
        return "", f"slurm: {error}"
    with folders.open("x") as file:
        file.writelines(f"{job.paths.folder}\n" for job in jobs)
    for job in jobs:
        _note(job, records[job.name])  # it may begin before its id is written
    environment, _ = submitted_environment(jobs[0].paths, this_environment())
    asked: dict[str, Any] = {"asked": round(time.time(), 3), "name": folders.stem}
    answer = _run(argv, environment)
    if answer is None and not is_here():
        return "", ""
    if answer is None or _is_unanswered(answer):
        asked["said"] = _line(answer.stderr) if answer else "no answer from sbatch"
        for i, job in enumerate(jobs):  # Slurm may have them all the same
            _note(job, {**records[job.name], **asked, "task": i})
        return "", ""
    number, cluster, why = _number_given(answer)
    if why:
        return "", f"sbatch: {why}"
    sent = {"cluster": cluster or here, "sent": round(time.time(), 3)}
    for i, job in enumerate(jobs):
        _note(job, {**records[job.name], "id": f"{number}_{i}", **sent})
    return number, ""


def _answered_late(jobs: Sequence[Job]) -> tuple[list[JobPaths], list[Job]]:
    """Jobs whose `sbatch` gave no answer but which Slurm has, by the name it was given; and those
    that may be submitted: not one that Slurm may have in a moment."""
    begun: list[JobPaths] = []
    free: list[Job] = []
    arrays: dict[str, tuple[str, str] | None] = {}
    for job in jobs:
        record = _record(job)
        name, asked = record.pop("name", None), record.pop("asked", None)
        if not isinstance(name, str) or not isinstance(asked, int | float):
            free.append(job)
            continue
        if name not in arrays:
            arrays[name] = _by_name(job.paths, name)
        record.pop("said", None)
        number, cluster = arrays[name] or ("", "")
        if number:
            sent = {"id": f"{number}_{record.pop('task', 0)}", "cluster": cluster}
            _note(job, {**record, **sent, "sent": round(time.time(), 3)})
            begun.append(job.paths)
        elif arrays[name] is not None and not 0 <= time.time() - asked < UNSEEN:
            free.append(job)
    return begun, free


def _by_name(job: JobPaths, name: str) -> tuple[str, str] | None:
    """Number and cluster of the array of this name that a job may be of; None without an answer.

    Both are empty where none of the clusters knows it that `sbatch` may have given it to.
    """
    environment, _ = submitted_environment(job, this_environment())
    clusters = environment.get("SLURM_CLUSTERS", "")
    answer = _run(["squeue", *_at(clusters), "-t", "all", "-n", name, "-o", "%i"], environment)
    several = clusters == "all" or "," in clusters
    cluster = "" if several else clusters
    for line in answer.stdout.splitlines() if answer else ():
        if line.startswith("CLUSTER: "):  # above each one's, where several are asked
            cluster = line.partition(": ")[2].strip()
        elif found := re.match(r"\s*(\d+)", line):
            return found[1], cluster or _cluster_here()[0]
    # Of several, one that does not answer is told while the others are asked.
    failed = answer is None or answer.returncode or (several and answer.stderr)
    return None if failed else ("", "")


def unanswered(job: Job) -> str:
    """Why a waiting job is not in Slurm yet: what `sbatch` said in place of a number."""
    record = _record(job) if job.in_slurm else {}
    said = record.get("said")
    return f"Slurm: {said}" if "name" in record and isinstance(said, str) else ""


def _is_unanswered(answer: subprocess.CompletedProcess[str]) -> bool:
    last = answer.stderr.strip().rpartition("\n")[2]
    return bool(answer.returncode and _NO_ANSWER.search(last))


def _number_given(answer: subprocess.CompletedProcess[str]) -> tuple[str, str, str]:
    """Number and cluster (if it is named) of a job that `sbatch` has submitted; or why none."""
    if answer.returncode:
        return "", "", _line(answer.stderr)
    # At some sites a banner stands before it.
    numbers = re.findall(r"^([0-9]+)(?:;(.*))?$", answer.stdout, re.MULTILINE)
    why = "" if numbers else f"no number of a job in {_line(answer.stdout)!r}"
    return (numbers or [("", "")])[-1][0], (numbers or [("", "")])[-1][1].strip(), why


def _cluster_here() -> tuple[str, int]:
    """The cluster whose Slurm this machine talks to, and the most tasks of an array there.

    The name is empty, and there is no limit, where it does not say.
    """
    answer = _run(["scontrol", "show", "config"])
    text = answer.stdout if answer else ""
    found = re.search(r"^ClusterName\s*=\s*(\S+)", text, re.MULTILINE)
    limits = re.findall(r"(?:^MaxArraySize\s*=\s*|max_array_tasks=)(\d{1,9})\b", text, re.MULTILINE)
    return found[1] if found else "", max(min(map(int, limits), default=sys.maxsize), 1)


_TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")


def seconds_of(limit: str) -> float:
    """A time limit as Slurm writes it: `90` (minutes), `1:30:00`, `2-12`; inf for none."""
    if not (match := _TIME.fullmatch(limit.strip())):
        return math.inf
    days, *rest = match.groups()
    first, second, third = (int(part or 0) for part in rest)
    if days is None and rest[2] is None:
        first, second, third = 0, first, second
    return 86_400 * int(days or 0) + 3600 * first + 60 * second + third or math.inf


def is_here() -> bool:
    """Whether this machine can submit jobs to Slurm: it has the `sbatch` command."""
    return shutil.which("sbatch") is not None


def rejection(lab: LabPaths, options: Mapping[str, Any]) -> str:
    """Why Slurm would refuse a job with these options; empty when it would not."""
    argv = [*batch(options, lab.root, lab.private.folder / "test.txt", 1), "--test-only"]
    answer = _run(argv)
    if answer is None:
        return "no answer from sbatch on this machine"
    return _line(answer.stderr) if answer.returncode else ""


def ended(lab: LabPaths, jobs: Iterable[Job]) -> list[Ended]:
    """The jobs that have ended by Slurm but left no record, with outcome and line.

    Slurm's state of the others is written into their folders. Slurm is queried at most once in
    `QUERY_INTERVAL` seconds, by all processes together.
    """
    groups: dict[str, dict[str, Job]] = {}  # cluster -> number -> job
    for job in jobs:
        if number := _number(job.paths):
            groups.setdefault(_cluster(job.paths), {})[number] = job
    stamp, now = lab.private.slurm_asked, time.time()
    if not groups or (stamp.exists() and -PAUSE <= now - stamp.stat().st_mtime < QUERY_INTERVAL):
        return []
    stamp.parent.mkdir(exist_ok=True)
    touch(stamp)
    over, here = list[Ended](), _cluster_here()[0] if any(groups) else ""
    for cluster, sent in groups.items():
        begun = time.monotonic()
        # Another cluster may have a job of the same number.
        states = query(list(sent), cluster if cluster != here else "")
        if states is not None:
            over += _over(sent, states, now)
        elif time.monotonic() - begun > QUERY_INTERVAL:
            until = time.time() + PAUSE
            os.utime(stamp, (until, until))
            break
    # A job may have written its own record meanwhile.
    return [one for one in over if not one[0].paths.exit.exists()]


def _over(sent: Mapping[str, Job], states: Mapping[str, str], now: float) -> list[Ended]:
    """Those of one cluster that have ended; what Slurm says of the others is written down."""
    over = list[Ended]()
    arrays = {number.partition("_")[0] for number in states}
    for number, job in sent.items():
        if _number(job.paths) != number:
            continue  # held or resumed since it was asked for
        is_named = number in states or number.partition("_")[0] in arrays
        if not is_named and _is_unseen(job, now):
            continue
        state, _, reason = states.get(number, "GONE|").partition("|")
        if state in WAITING:
            if isinstance(job.state, Lost):
                touch(job.paths.resume)  # Slurm will start it again
            answer = f"{state.lower()}" + (f" ({reason})" if reason not in ("", "None") else "")
            if _record(job).get("said") != answer:
                _note(job, {**_record(job), "said": answer})
        elif state in OUTCOMES:
            detail = f"Slurm job {number}: {state.lower().replace('_', ' ')}"
            over.append((job, OUTCOMES[state], detail))
    return over


def _is_unseen(job: Job, now: float) -> bool:
    """Whether it was submitted a moment ago, and neither Slurm nor it has said anything yet."""
    record = _record(job)
    since = record.get("sent")
    is_new = isinstance(since, int | float) and 0 <= now - since < UNSEEN
    return is_new and "said" not in record and not job.paths.started.exists()


def query(numbers: Sequence[str], cluster: str = "") -> dict[str, str] | None:
    """Slurm's `STATE|reason` of jobs; one it does not know is missing, None without an answer.

    `cluster`: another than that of this machine.
    """
    whole = ",".join(sorted({number.partition("_")[0] for number in numbers}))
    argv = ["squeue", *_at(cluster), "-h", "-r", "-t", "all", "-o", "%i|%T|%r", f"--jobs={whole}"]
    answer = _run(argv)
    # With no rows, an error is none that lies behind an answer.
    failed = answer is None or answer.returncode or (answer.stderr and not answer.stdout)
    if answer is None or (failed and "Invalid job id" not in answer.stderr):
        return None
    rows = (line.strip().partition("|") for line in answer.stdout.splitlines())
    return {number: rest for number, _, rest in rows}


def cancel(job: JobPaths) -> None:
    """Cancel a job in Slurm; afterwards it counts as never submitted.

    Its number is forgotten first: where Slurm cannot be reached, the batch step runs nothing.
    """
    number, cluster, record = _number(job), _cluster(job), read_own(job, job.slurm)
    job.slurm.unlink(missing_ok=True)
    if not number and isinstance(name := record.get("name"), str):
        array, cluster = _by_name(job, name) or ("", "")
        number = f"{array}_{record.get('task', 0)}"
    if re.fullmatch(SLURM_NUMBER, number):
        here = _cluster_here()[0]
        other = cluster != here and (here or "SLURM_CLUSTERS" in os.environ)
        _run(["scancel", *_at(cluster if other else ""), number])


def requeue(job: JobPaths, number: str) -> None:
    """Have Slurm run our batch step again; where it refuses, the next scheduler submits it.

    Slurm ends the step it queues again, and with it `scontrol`, often before it has answered: one
    that was killed was not refused.
    """
    touch(job.resume)
    answer = _run(["scontrol", "requeue", number])
    if answer is None or answer.returncode > 0:
        job.slurm.unlink(missing_ok=True)


def signal_steps(number: str, sent: int) -> None:
    """Send a signal to what `srun` started for a job, on every one of its nodes."""
    _run(["scancel", f"--signal={signal.Signals(sent).name.removeprefix('SIG')}", number])


def _at(cluster: str) -> list[str]:
    """The option that asks another cluster."""
    return [f"--clusters={cluster}"] if cluster else []


def _number(job: JobPaths) -> str:
    """Its number in Slurm, `123_4`; empty where it has none."""
    number = str(read_own(job, job.slurm).get("id", ""))
    return number if re.fullmatch(SLURM_NUMBER, number) else ""


def _cluster(job: JobPaths) -> str:
    """The cluster that gave the number; empty where it is not known."""
    name = str(read_own(job, job.slurm).get("cluster") or "")
    return name if re.fullmatch(r"\w[\w.-]*", name) else ""


def _record(job: Job) -> dict[str, Any]:
    return read_own(job.paths, job.paths.slurm, job.spec.submitted)


def _note(job: Job, record: Mapping[str, Any]) -> None:
    write_json(job.paths.slurm, {**record, "job": job.spec.mark})


def _run(
    argv: Sequence[str], environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str] | None:
    """Run a command of Slurm; None where there is none, or it takes too long."""
    variables = this_environment() if environment is None else environment
    kept = {k: v for k, v in variables.items() if k in KEPT or not _is_slurms(k)}
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(
            argv,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=COMMAND_TIMEOUT,
            env=as_bytes(kept),
            check=False,
        )
    return None


def _is_slurms(name: str) -> bool:
    """Whether it is of a batch step we may be in, or changes what a command does or tells."""
    prefixes = ("SLURM_", "SLURMD_", "SBATCH_", "SQUEUE_", "SCANCEL_", "SCONTROL_", "PET_")
    return name.startswith(prefixes) or name == processes.MARKER


def _line(text: str) -> str:
    lines = [line.removeprefix("sbatch: error: ").strip() for line in text.splitlines()]
    return "; ".join(line for line in lines if line)[:300] or "refused without a reason"
