"""What assistants may launch themselves, and what their jobs have taken of it so far."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitlab.contract.job import Done, Lost, Spec, Unreadable
from vitlab.contract.paths import UsageError
from vitlab.contract.user_key import own_record, sealed
from vitlab.contract.validation import misfit
from vitlab.jobs.files import take_lock, write_json
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.autopilot.budget import (
    Spent,
    estimate,
    hours_text,
    settings_without_seed,
    spent,
)
from vitlab.lab.lab import Lab
from vitlab.lab.launch import Launched, Plan, Request, launch, stop
from vitlab.lab.tray.refusals import check_repeat

DAY = 24 * 3600.0
"""Seconds for which a launch counts, so that a server that is started anew has no new budget."""
PATIENCE = 120.0
"""Seconds to wait for another launch."""
_LAUNCH = {
    "roadmap": "str",
    "mvp": "str",
    "profile": "str",
    "hashes": "tuple[str, ...]",
    "at": "float",
}
"""Fields of a launch in the record, which is written before its jobs are submitted."""


@dataclass(frozen=True)
class Balance:
    """The account of now."""

    spent: Spent
    left_hours: float
    """Of run time, less what the launch before are still expected to take; 0 where it is over."""
    left_gpu_hours: float | None
    """None for no limit."""
    running: tuple[str, ...]
    """Jobs that wait or run."""


@dataclass(frozen=True)
class _Cost:
    hours: float | None
    """Run time of all jobs added up; None where no earlier run tells."""
    gpu_hours: float
    source: str


class Account:
    """The account of a lab's assistants: hours of run time, all jobs added up, in a day."""

    def __init__(self, lab: Lab, hours: float, gpu_hours: float | None = None) -> None:
        self._lab = lab
        self._hours = hours
        self._gpu_hours = gpu_hours
        self._path = lab.paths.private.agents

    def balance(self) -> Balance:
        """What is spent and left."""
        jobs = self._jobs()
        used, waiting = spent(jobs), [job for job in jobs if _is_unfinished(job)]
        ahead, gpus_ahead = self._ahead(waiting)
        gpu = self._gpu_hours
        return Balance(
            used,
            max(0.0, self._hours - used.wall_hours - ahead),
            None if gpu is None else max(0.0, gpu - used.gpu_hours - gpus_ahead),
            tuple(job.name for job in waiting),
        )

    def launch(self, plan: Plan) -> Launched:
        """Launch within what is left; `UsageError` for more, and for what was launched before."""
        with self._locked():
            check_repeat(self._lab, plan.specs)
            self._check(plan)
            before = self._launches()
            first = plan.specs[0]
            new: dict[str, Any] = {"roadmap": first.roadmap, "mvp": first.mvp}
            new |= {"profile": first.profile, "at": time.time()}
            new["hashes"] = [spec.hash for spec in plan.specs]
            self._write([*before, new])
            try:
                launched = launch(self._lab, plan)
            except BaseException:
                if not any(_is_of(job, new) for job in all_jobs(self._lab.paths)):
                    self._write(before)
                raise
        return launched

    def stop_what_is_over(self) -> list[str]:
        """Stop the jobs of a budget that is spent; their names."""
        jobs = [job for job in self._jobs() if _is_unfinished(job)]
        used = spent(self._jobs()) if jobs else Spent()
        over = used.wall_hours >= self._hours
        if not over and (self._gpu_hours is None or used.gpu_hours < self._gpu_hours):
            return []
        for job in jobs:
            if not job.paths.stop.exists():
                stop(self._lab, job.paths)
        return [job.name for job in jobs]

    def _check(self, plan: Plan) -> None:
        now, cost = self.balance(), self._cost(plan.specs)
        left = f"{hours_text(now.left_hours)} of {hours_text(self._hours)} left"
        gpus = now.left_gpu_hours
        if not now.left_hours or (cost.gpu_hours and gpus is not None and not gpus):
            raise UsageError(f"budget spent: {left}; propose the launch")
        if cost.hours is None:
            if now.running:
                raise UsageError(f"{cost.source}: launched alone, once {now.running[0]} has ended")
            return
        if cost.hours > now.left_hours:
            raise UsageError(f"over budget: about {hours_text(cost.hours)}, {left}")
        if gpus is not None and cost.gpu_hours > gpus:
            takes = f"about {hours_text(cost.gpu_hours)} of GPUs"
            raise UsageError(f"over budget: {takes}, {hours_text(gpus)} left")

    def _cost(self, specs: Sequence[Spec], jobs: Sequence[Job] | None = None) -> _Cost:
        """By earlier runs like them; each kind of job is looked up once."""
        kinds: dict[object, list[Spec]] = {}
        for spec in specs:
            kinds.setdefault(settings_without_seed(spec), []).append(spec)
        everything = all_jobs(self._lab.paths) if jobs is None else jobs
        hours, gpu_hours = 0.0, 0.0
        for same in kinds.values():
            one = estimate(self._lab, _plan_of(same[:1]), everything)
            if one.hours is None:
                return _Cost(None, 0.0, one.source)
            hours += len(same) * one.hours
            gpu_hours += len(same) * (one.gpu_hours or 0.0)
        return _Cost(hours, gpu_hours, "")

    def _ahead(self, waiting: Sequence[Job]) -> tuple[float, float]:
        """Hours and GPU hours that unfinished jobs are still expected to take, where known."""
        hours = gpu_hours = 0.0
        for job in waiting:
            cost, used = self._cost([job.spec]), spent([job])
            if cost.hours is not None:
                hours += max(0.0, cost.hours - used.wall_hours)
                gpu_hours += max(0.0, cost.gpu_hours - used.gpu_hours)
        return hours, gpu_hours

    def _jobs(self) -> list[Job]:
        """Those that assistants have launched and that count."""
        launches = self._launches()
        jobs = all_jobs(self._lab.paths) if launches else []
        return [job for job in jobs if any(_is_of(job, one) for one in launches)]

    def _launches(self) -> list[dict[str, Any]]:
        """The launches of the last day, by this user's own record alone."""
        listed = own_record(self._path).get("launches")
        launches = listed if isinstance(listed, list) else []
        return [
            one
            for one in launches
            if isinstance(one, dict)
            and not any(misfit(one.get(name), kind) for name, kind in _LAUNCH.items())
            and time.time() - one["at"] < DAY
        ]

    def _write(self, launches: Sequence[dict[str, Any]]) -> None:
        write_json(self._path, sealed({"v": 1, "launches": list(launches)}, self._path))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._lab.paths.private.make()
        lock = take_lock(self._lab.paths.private.agents_lock, PATIENCE)
        if lock is None:
            raise UsageError("another assistant launches now; try again")
        try:
            yield
        finally:
            os.close(lock)


def _is_of(job: Job, launched: Mapping[str, Any]) -> bool:
    """Whether a job is of a launch in the record."""
    spec = job.spec
    named = (spec.roadmap, spec.mvp, spec.profile)
    same = named == (launched["roadmap"], launched["mvp"], launched["profile"])
    return same and spec.hash in launched["hashes"] and spec.submitted >= launched["at"]


def _plan_of(specs: Sequence[Spec]) -> Plan:
    """A launch of some specs, to be estimated."""
    first = specs[0]
    request = Request(Path(first.roadmap), first.mvp, first.profile)
    return Plan(request, tuple(specs), (), (), {})


def _is_unfinished(job: Job) -> bool:
    return not isinstance(job.state, Done | Lost | Unreadable)
