"""Which waiting job starts now, where, and why the others wait: pure values in, values out."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vitlab.contract.job import ELSEWHERE, Done, Lost, Queued, Running, ended_well, state_word
from vitlab.contract.paths import told_apart
from vitlab.jobs.experiment.command import may_meet, metrics_place
from vitlab.jobs.experiment.placeholders import METRICS, Filled, filled, values_of
from vitlab.jobs.files import read_json
from vitlab.jobs.processes import ADOPTED, SCRIPTS, is_same_boot
from vitlab.jobs.queue.machine import Capacity, Gpu, Machine, gpu_limit, gpus_wanted, missing_gpu
from vitlab.jobs.store import Job
from vitlab.jobs.submissions import NOT_HERE


@dataclass(frozen=True)
class Start:
    """The decision to start a job."""

    job: Job
    gpus: tuple[Gpu, ...] = ()

    @property
    def device(self) -> str:
        """`cpu`, `gpu0`, or `gpu0,gpu1`; Slurm decides on its own devices."""
        return ",".join(gpu.device.label for gpu in self.gpus) or "cpu"


@dataclass(frozen=True)
class Plan:
    """All decisions at one moment."""

    starts: tuple[Start, ...]
    reasons: Mapping[str, str]
    """Why each of the others waits, by the job's name."""


def plan(jobs: Sequence[Job], machine: Machine) -> Plan:
    """Highest priority first, then in order; a job that waits for room keeps its place.

    A job held or waiting for another job does not block those behind it. One that waits for a
    device does: later jobs do not take the devices it may use, or a large job would wait forever
    behind small ones.
    """
    capacity = Capacity(machine, jobs)
    dependencies = Dependencies(jobs)
    files = _MetricsFiles(jobs)
    starts, reasons = [], {}
    for job in waiting_in_order(jobs):
        why = _hold_reason(job, machine) or dependencies.unmet(job) or files.shared(job)
        gpus: tuple[Gpu, ...] = ()
        if not why and not job.in_slurm:
            limit = gpu_limit(job.paths) if machine.gpus else None
            if count := gpus_wanted(job.spec, len(machine.left_by(limit))):
                gpus, why = capacity.gpu(job, count, limit)
            else:
                why = missing_gpu(job.spec, machine, limit) or capacity.cpu(job)
        if why:
            reasons[job.name] = why
        else:
            starts.append(Start(job, gpus))
            files.take(job)
    return Plan(tuple(starts), reasons)


def waiting_in_order(jobs: Iterable[Job]) -> list[Job]:
    """The waiting jobs in the order they would start."""
    queued = [job for job in jobs if isinstance(job.state, Queued)]
    return sorted(queued, key=lambda job: (-job.priority, job.order, job.name))


def left_behind(job: Job, machine: Machine) -> bool:
    """Whether it was lost in a crash or restart of this machine: a person resumes or drops it."""
    if job.foreign:
        return False
    if isinstance(job.state, Lost):
        return True
    elsewhere = job.boot.split(":")[0] != machine.boot.split(":")[0]
    waits = isinstance(job.state, Queued) and not job.in_slurm
    is_now = not job.boot or is_same_boot(job.boot, machine.boot)
    return waits and not is_now and not elsewhere


def _hold_reason(job: Job, machine: Machine) -> str:
    if job.foreign:
        return NOT_HERE
    if ADOPTED in job.spec.extra:
        return "was started by hand"
    if job.held:
        return "held: release it to run"
    if job.in_slurm:
        return f"Slurm job {job.cluster}" if job.cluster else ""
    if job.boot and machine.boot and not is_same_boot(job.boot, machine.boot):
        host = job.boot.split(":")[0]
        if host != machine.boot.split(":")[0]:
            return f"queued on {host}: release it to run here"
        return "queued before this machine was restarted: release it to run"
    return ""


_PLAIN = re.compile(r"(?:-{0,2}[\w.]+=)?[-+]?[\d.,_]+(?:[eE][-+]?\d+)?")
"""A number among the words of a command, also as `--lr=0.1`."""
OWN_FILE = "put {run} into config.cwd or metrics.file"
"""How two runs get metrics files of their own."""


class _MetricsFiles:
    """The metrics files of jobs that run: two writers of one could not be told apart."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._taken: list[tuple[str, Job]] = []
        for job in jobs:
            begun = job.cluster or ADOPTED in job.spec.extra  # it runs, or may at any moment
            waits = begun and not job.foreign and not isinstance(job.state, Done)
            if isinstance(job.state, Running) or waits:
                self.take(job)

    def take(self, job: Job) -> None:
        """The job starts."""
        if place := self._place(job):
            self._taken.append((place, job))

    def shared(self, job: Job) -> str:
        """Why the job waits for another that writes the same file; empty when none does."""
        if not self._taken or not (place := self._place(job)):
            return ""
        others = (one for at, one in self._taken if one.name != job.name and may_meet(place, at))
        if (other := next(others, None)) is None:
            return ""
        file = job.spec.extra[METRICS]["file"]
        return f"{other.name} writes the same metrics file ({file}) and runs; {OWN_FILE}"

    @staticmethod
    def _place(job: Job) -> str:
        return metrics_place(job.spec, job.paths.root, job.paths.folder)


def ran_since(job: Job, jobs: Iterable[Job]) -> list[str]:
    """The jobs that began in a job's folder after its end, and may have left a checkpoint there.

    Those whose metrics file may be its own, as the queue takes them for runs in one folder; of
    those without one, in its `config.cwd`; and whose command names no other script or folder.
    """
    if not isinstance(job.state, Done | Lost) or job.spec.recipe != "command":
        return []
    place, ended = _place_of(job), _ended(job)
    return [
        one.name
        for one in (jobs if place else ())
        if one.name != job.name
        and isinstance(one.state, Done | Lost | Running)
        and one.state.started > ended
        and (there := _place_of(one))
        and may_meet(place, there)
        and not _differs(job, one)
        and _began_first(one) > ended
    ]


def _place_of(job: Job) -> str:
    """Where a job's checkpoint may lie: beside its metrics file, or in the folder it goes on in."""
    place, config = metrics_place(job.spec, job.paths.root, job.paths.folder), job.spec.config
    if place or not (config.get("cwd") and config.get("resume_argv")):
        return place
    return os.path.realpath(_commands(job)[0].cwd)


def _commands(job: Job) -> tuple[Filled, Filled]:
    """That of its start, and the one it is resumed by."""
    document = {"run": job.spec.run, "config": job.spec.config, "extra": job.spec.extra}
    values = values_of(document, job.paths.folder)
    return (filled(document, job.paths.root, values),
            filled(document, job.paths.root, values, resumed=True))  # fmt: skip


def _differs(job: Job, other: Job) -> bool:
    """Whether two commands differ in more than numbers and files that they read."""
    first, second = ({word for one in _commands(each) for word in (*one.argv, *one.env.values())}
                     for each in (job, other))  # fmt: skip
    folder = _commands(job)[0].cwd
    return any(
        not _PLAIN.fullmatch(word) and (word.endswith(SCRIPTS) or not (folder / word).is_file())
        for word in first ^ second
    )


def _ended(job: Job) -> float:
    """When its last attempt ended; of a lost one, when it wrote its last line."""
    if isinstance(job.state, Done):
        return job.state.ended
    times = [job.state.started if isinstance(job.state, Lost) else 0.0]
    for path in (job.paths.events, job.paths.log):
        with contextlib.suppress(OSError):
            times.append(path.stat().st_mtime)
    return max(times)


def _began_first(job: Job) -> float:
    """When its first attempt began: one that ran beside another has a checkpoint of its own."""
    records = map(read_json, job.paths.folder.glob("started*.json"))
    times = [since for one in records if isinstance(since := one.get("started"), int | float)]
    return min(times, default=0.0)


class Dependencies:
    """What the jobs' `after` names refer to."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._by_name: dict[str, list[Job]] = {}
        self._of_mvp: dict[tuple[str, str], list[Job]] = {}
        for job in jobs:
            for name in (job.name, job.spec.exp_id):
                self._by_name.setdefault(name, []).append(job)
            self._of_mvp.setdefault((job.spec.mvp, job.spec.profile), []).append(job)

    def unmet(self, job: Job) -> str:
        """Why the first of `after` does not let the job start; empty when all do."""
        any_end = job.spec.extra.get("after") == "any"
        for name in job.spec.after:
            named = self._by_name.get(name) or self._of_roadmap(name, job)
            newest = {(j.spec.exp_id, j.spec.run): j for j in sorted(named or [], key=_submitted)}
            if not newest:
                return f"after {name}, which has not been launched"
            for other in newest.values():
                match other.state:
                    case Done() if any_end or ended_well(other.state):
                        continue
                    case Done(outcome=outcome):
                        return f"after {name}: {other.name} ended as {outcome}"
                    case _ if other.foreign:
                        return f"after {name}: {other.name}: {NOT_HERE}"
                    case _:
                        return f"after {name}: {other.name} is {state_word(other.state)}"
        return ""

    def _of_roadmap(self, mvp: str, job: Job) -> list[Job]:
        """The jobs of an MVP of a job's own roadmap."""
        found = self._of_mvp.get((mvp, job.spec.profile), [])
        elsewhere = job.spec.extra.get(ELSEWHERE) or ()
        found = [one for one in found if one.spec.exp_id not in elsewhere]
        plans = told_apart(job.paths.root, [one.spec.roadmap for one in (job, *found)])
        return [one for one in found if plans[one.spec.roadmap] == plans[job.spec.roadmap]]


def _submitted(job: Job) -> float:
    return job.spec.submitted
