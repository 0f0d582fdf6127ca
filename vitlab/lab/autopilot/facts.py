"""What an autopilot decides by, read from the lab: its jobs, the plan's order, the gates."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from vitlab.contract.job import (
    PROFILES,
    Done,
    Killed,
    Lost,
    Queued,
    Running,
    Spec,
    Unreadable,
    ended_well,
)
from vitlab.contract.paths import JobPaths, UsageError, cause
from vitlab.docs.model.roadmap import Roadmap
from vitlab.docs.text.source import read
from vitlab.jobs.experiment.experiment import find_experiment, load_experiment
from vitlab.jobs.files import read_json
from vitlab.jobs.processes import AUTOPILOT
from vitlab.jobs.queue.machine import Machine, gpus_wanted, read_machine
from vitlab.jobs.queue.queue import Dependencies, left_behind, ran_since
from vitlab.jobs.queue.scheduler import AUTO_RESUMES
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.autopilot.branches import GateFact, gate_facts, order, stopped
from vitlab.lab.autopilot.budget import (
    Past,
    estimate_of,
    gpus_of,
    past_runs,
    settings_without_seed,
    spent,
)
from vitlab.lab.autopilot.decide import Candidate, Facts, JobFact, JobWord
from vitlab.lab.autopilot.record import Autopilot, clock
from vitlab.lab.lab import Lab
from vitlab.lab.launch import default_profile
from vitlab.lab.results.job_results import finished, latest, of_roadmap
from vitlab.lab.results.launches import began
from vitlab.lab.writeback.decisions import done_unsupported, unexplained, unexplained_line

DISK = 1 << 29
"""Free bytes of the lab's disk below which nothing is launched."""


@dataclass(frozen=True)
class Reading:
    """One reading of the lab for an autopilot."""

    lab: Lab
    pilot: Autopilot

    @cached_property
    def now(self) -> float:
        """Unix seconds by the autopilot's clock."""
        return clock(self.pilot)

    @cached_property
    def jobs(self) -> list[Job]:
        """All of the lab."""
        return all_jobs(self.lab.paths)

    @cached_property
    def machine(self) -> Machine:
        return read_machine(self.lab.paths)

    @cached_property
    def past(self) -> list[Past]:
        return past_runs(self.jobs)

    @cached_property
    def settings(self) -> dict[tuple[Any, ...], Spec]:
        """The settings that jobs of the lab have run with, seeds aside, each with one of them."""
        ran = (job.spec for job in self.jobs if began(job))
        return {settings_without_seed(spec): spec for spec in ran}

    @cached_property
    def own(self) -> dict[str, tuple[int, Job]]:
        """The autopilot's jobs by name, each with the number of its launch."""
        marks = {self.pilot.mark(one): one.number for one in self.pilot.launches}
        found = ((marks.get(str(job.spec.extra.get(AUTOPILOT))), job) for job in self.jobs)
        return {job.name: (number, job) for number, job in found if number is not None}

    def facts(self) -> Facts:
        """All that a decision rests on."""
        candidates: list[Candidate] = []
        gates: list[GateFact] = []
        unread: list[tuple[str, str]] = []
        for name in self.pilot.roadmaps:
            path = self.lab.paths.root / name
            try:
                plan = _Plan(self, self.lab.paths.inside(name), name)
                candidates += plan.candidates()
                gates += plan.gates.values()
            except (UsageError, OSError) as error:
                unread.append((name, cause(error).removeprefix(f"{path}: ")))
        own = [job for _, job in self.own.values()]
        jobs = self.job_facts()
        active = (self.own[job.name][1] for job in jobs if job.is_active)
        return Facts(
            now=self.now,
            jobs=jobs,
            candidates=tuple(candidates),
            gates=tuple(gates),
            spent=spent(own, self.now),
            gpus=sum(self._gpus(job) for job in active),
            disk_full=shutil.disk_usage(self.lab.paths.root).free < DISK,
            unread=tuple(unread),
        )

    def _gpus(self, job: Job) -> int:
        if isinstance(job.state, Running):
            return gpus_of(read_json(job.paths.started))
        return gpus_wanted(job.spec, len(self.machine.gpus))

    def job_facts(self) -> tuple[JobFact, ...]:
        """Its jobs, oldest first."""
        return tuple(self._job_facts())

    def _job_facts(self) -> Iterator[JobFact]:
        dependencies = Dependencies(self.jobs)
        for name, (number, job) in self.own.items():
            ended = job.state.ended if isinstance(job.state, Done) else 0.0
            word = _word(job)
            if word == "waiting" and " ended as " in dependencies.unmet(job):
                word = "behind"
            if word == "waiting" and isinstance(job.state, Lost) and ran_since(job, self.jobs):
                word = "lost"  # it is not resumed by itself
            queued = isinstance(job.state, Queued)  # a lost one is resumed, not released
            release = queued and word == "waiting" and left_behind(job, self.machine)
            yield JobFact(name, number, word, ended, release, job.paths.stop.exists())


def _word(job: Job) -> JobWord:
    match job.state:
        case Running():
            return "running"
        case Queued():
            return "held" if job.held or job.foreign else "waiting"
        case Lost():
            # The queue resumes it, as often as it does for anybody.
            runs = len(list(job.paths.folder.glob("started*.json")))
            resumes = job.spec.extra.get("on_lost") == "resume" and runs <= AUTO_RESUMES
            return "waiting" if (resumes and not job.foreign) or job.in_slurm else "lost"
        case Unreadable():
            return "lost"
        case Done(end=end):
            if ended_well(job.state):
                return "ok"
            return "stopped" if end == Killed(asked=True) else "failed"


class _Plan:
    """One roadmap: its gates, and what it has waiting."""

    def __init__(self, reading: Reading, path: Path, name: str) -> None:
        self._reading = reading
        self._lab = reading.lab
        self._path = path
        self._name = name
        read(path, edit=True)  # of half a plan nothing is decided
        self._roadmap: Roadmap = self._lab.read_roadmap(path)
        self._jobs = of_roadmap(self._lab, reading.jobs, path)
        newest = latest(finished(self._jobs))
        verdicts, without = unexplained(self._lab, self._roadmap, self._jobs)
        self._verdicts = verdicts | {
            gate: replace(one, verdict="manual", by_hand=None) for gate, one in without.items()
        }
        wrong = {
            gate.id: unexplained_line(self._lab, path, gate)
            for gate in self._roadmap.gates
            if gate.id in without
        }
        full = frozenset(one.result.mvp for one in newest if one.result.profile == "full")
        self.gates: Mapping[str, GateFact] = gate_facts(
            self._roadmap, name, self._verdicts, full, wrong
        )

    def candidates(self) -> Iterator[Candidate]:
        """What waits, in the plan's own order, and then what the plan passes over."""
        waiting, over = order(self._roadmap, self.gates, self._trials())
        behind = stopped(self._roadmap, self.gates, self._verdicts)
        names = {mvp.id: mvp.name for mvp in reversed(self._roadmap.mvps)}
        status = {mvp.id: mvp.status for mvp in reversed(self._roadmap.mvps)}
        launched = {one.mvp for one in self._reading.pilot.launches if one.roadmap == self._name}
        for mvp in waiting:
            if mvp in launched:
                continue  # once, whatever came of it
            held = ""
            if status[mvp] in ("failed", "partial", "paused"):
                held = f"is {status[mvp]}: launch it yourself"
            elif mvp in behind:
                held = behind[mvp].line
            yield replace(self._candidate(mvp, held), name=names[mvp])
        for mvp, why in over.items():
            if mvp not in launched:
                yield Candidate(self._name, mvp, held=why, name=names[mvp])
        for done, why in done_unsupported(self._lab, self._roadmap):
            yield Candidate(self._name, done.id, held=why, name=done.name)

    def _trials(self) -> set[str]:
        """The MVPs whose jobs have all run at a smaller size than that of the launches now."""
        size = PROFILES.index(self._reading.pilot.profile or self._lab.settings.profile)
        largest: dict[str, int] = {}
        for spec in (job.spec for job in self._jobs if job.spec.profile in PROFILES):
            largest[spec.mvp] = max(largest.get(spec.mvp, 0), PROFILES.index(spec.profile))
        return {mvp for mvp, most in largest.items() if most < size}

    def _candidate(self, mvp: str, held: str) -> Candidate:
        lab, pilot = self._lab, self._reading.pilot
        try:
            profile = default_profile(lab, self._path, mvp, pilot.profile or None)
            found = find_experiment(lab.paths, mvp, self._name)
            specs = load_experiment(found).specs(profile, "-")
        except UsageError as error:
            return Candidate(self._name, mvp, held=held or str(error))
        specs = [replace(one, roadmap=self._name) for one in specs]
        cost = estimate_of(specs, self._reading.past, self._reading.machine)
        held = held or self._tried(mvp, profile, specs) or self._unmet(specs)
        return Candidate(self._name, mvp, profile, cost, held, jobs=len(specs))

    def _tried(self, mvp: str, profile: str, specs: Sequence[Spec]) -> str:
        """Why it is not for an autopilot: it ran at this size, or the same runs did elsewhere."""
        ran = [job for job in self._jobs if began(job) and job.spec.profile in PROFILES]
        size = PROFILES.index(profile)
        if any(job.spec.mvp == mvp and PROFILES.index(job.spec.profile) >= size for job in ran):
            return "was launched before: launch it yourself"
        mine = {settings_without_seed(one) for one in specs}
        others = self._reading.settings
        if mine and mine <= others.keys():
            spec = others[min(mine)]
            first = f"MVP-{spec.mvp}"
            if spec.roadmap != self._name:
                first += f" of {spec.roadmap}"
            return f"has the runs of {first} again, or with other seeds: launch it yourself"
        return ""

    def _unmet(self, specs: Sequence[Spec]) -> str:
        dependencies = Dependencies(self._reading.jobs)
        folder = JobPaths(self._lab.paths.experiments / "-" / "-")
        for spec in specs:
            if spec.recipe != "ensemble" and (
                why := dependencies.unmet(Job(folder, spec, Queued(0.0)))
            ):
                return why
        return ""
