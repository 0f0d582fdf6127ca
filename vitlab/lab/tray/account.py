"""What assistants may launch themselves, and what their jobs have taken of it so far.

`.vitlab/agents.json` is the account: the budget, the launches, and when the budget may be spent,
which the supervisors of their jobs read. At that moment they start this module, which stops the
jobs, so that a budget is kept though no server lives.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from vitlab.contract.job import Done, Lost, Spec, Unreadable
from vitlab.contract.paths import UsageError, cause
from vitlab.contract.user_key import own_record, write_own
from vitlab.contract.validation import checked
from vitlab.jobs.files import held_by, take_lock
from vitlab.jobs.processes import ASSISTANTS, boot, is_same_boot
from vitlab.jobs.queue.machine import gpus_wanted, read_machine
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.autopilot.budget import (
    Spent,
    estimate,
    hours_text,
    settings_without_seed,
    spent,
)
from vitlab.lab.lab import Lab, open_lab
from vitlab.lab.launch import Launched, Plan, Request, launch, stop
from vitlab.lab.tray.refusals import check_repeat

DAY = 24 * 3600.0
"""Seconds for which a launch counts, so that a server that is started anew has no new budget."""
PATIENCE = 120.0
"""Seconds to wait for another launch."""
SOON = 1.0
"""Seconds at least until supervisors have the account looked at."""
VERSION = 1


@dataclass(frozen=True)
class _Launch:
    """One launch, written down before its jobs are submitted."""

    number: int
    at: float
    """Unix seconds."""


@dataclass(frozen=True)
class _Record:
    """The account as it is kept."""

    id: str
    hours: float = 0.0
    """The budget of the server that was started last."""
    gpu_hours: float | None = None
    launches: tuple[_Launch, ...] = ()
    boot: str = ""
    """Run of the machine in which `due` was written."""
    due: float = 0.0
    """Seconds since the machine's start at which the budget may be spent."""
    stopped: tuple[str, ...] = ()
    """Jobs that were stopped with it; whoever resumes one is a person."""

    def mark(self, launch: _Launch) -> str:
        """What each job of a launch is known by."""
        return f"{self.id}/{launch.number}"


@dataclass(frozen=True)
class Balance:
    """The account of now."""

    spent: Spent
    left_hours: float
    """Of run time, less what launches before are still expected to take; 0 where it is over."""
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

    @classmethod
    def of(cls, lab: Lab) -> Account | None:
        """With the budget of the server that was started last; None without one of this user."""
        record = own_record(lab.paths.private.agents)
        hours, gpu_hours = record.get("hours"), record.get("gpu_hours")
        return cls(lab, hours, gpu_hours) if isinstance(hours, int | float) else None

    def balance(self) -> Balance:
        """What is spent and left."""
        jobs = self._jobs(self._read())
        used, waiting = spent(jobs), [job for job in jobs if _is_unfinished(job)]
        ahead, gpus_ahead = self._ahead(waiting)
        gpu = self._gpu_hours
        return Balance(
            used,
            _left(self._hours - used.wall_hours - ahead),
            None if gpu is None else _left(gpu - used.gpu_hours - gpus_ahead),
            tuple(job.name for job in waiting),
        )

    def begin(self) -> None:
        """Keep this budget from now on, also for jobs that run."""
        with self._locked():
            self._write(self._read())

    def launch(self, plan: Plan) -> Launched:
        """Launch within what is left; `UsageError` for more, and for what was launched before."""
        with self._locked():
            check_repeat(self._lab, plan.specs)
            self.check(plan)
            before = self._read()
            last = max((one.number for one in before.launches), default=0)
            new = _Launch(last + 1, time.time())
            extra = {ASSISTANTS: before.mark(new)}
            request = replace(plan.request, extra={**plan.request.extra, **extra})
            specs = tuple(replace(one, extra={**one.extra, **extra}) for one in plan.specs)
            self._write(replace(before, launches=(*before.launches, new)), specs)
            try:
                launched = launch(self._lab, replace(plan, request=request, specs=specs))
            except BaseException:
                if not self._jobs(replace(before, launches=(new,))):
                    self._write(before)
                raise
        return launched

    def keep(self) -> None:
        """Stop the jobs of a budget that is spent; else note when it may be.

        One that was stopped and that a person has resumed goes on.
        """
        with self._locked():
            record = self._read()
            jobs = self._jobs(record)
            over = [job for job in jobs if _is_unfinished(job) and job.name not in record.stopped]
            if over and self._is_over(spent(jobs)):
                record = replace(record, stopped=(*record.stopped, *(job.name for job in over)))
                for job in over:
                    if not job.paths.stop.exists():
                        stop(self._lab, job.paths)
            elif is_same_boot(record.boot, boot()) and record.due > _uptime():
                return
            self._write(record)

    def _is_over(self, used: Spent) -> bool:
        gpus = self._gpu_hours
        return used.wall_hours >= self._hours or (gpus is not None and used.gpu_hours >= gpus)

    def check(self, plan: Plan) -> str:
        """A line where no earlier run tells what it takes; `UsageError` for what is over it."""
        now, cost = self.balance(), self._cost(plan.specs)
        left = f"{hours_text(now.left_hours)} of {hours_text(self._hours)} left"
        gpus = now.left_gpu_hours
        if not now.left_hours or (cost.gpu_hours and gpus is not None and not gpus):
            raise UsageError(f"budget spent: {left}; propose the launch")
        if cost.hours is None:
            if now.running:
                raise UsageError(f"{cost.source}: launched alone, once {now.running[0]} has ended")
            return f"how long is not known: its jobs are stopped when the budget is spent ({left})"
        if cost.hours > now.left_hours:
            raise UsageError(f"over budget: about {hours_text(cost.hours)}, {left}")
        if gpus is not None and cost.gpu_hours > gpus:
            takes = f"about {hours_text(cost.gpu_hours)} of GPUs"
            raise UsageError(f"over budget: {takes}, {hours_text(gpus)} left")
        return ""

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

    def _jobs(self, record: _Record) -> list[Job]:
        """Those that assistants have launched and that count."""
        marks = set(map(record.mark, record.launches))
        jobs = all_jobs(self._lab.paths) if marks else []
        return [job for job in jobs if job.spec.extra.get(ASSISTANTS) in marks]

    def _read(self) -> _Record:
        """The account with the launches that count; a new one where it is not of this user."""
        record = own_record(self._path)
        listed = record.pop("launches", None)
        try:
            found = checked(record, _Record, VERSION)
            launches = [checked({**one, "v": VERSION}, _Launch, VERSION) for one in listed]
        except (ValueError, TypeError):
            return _Record(secrets.token_hex(4))
        found = replace(found, launches=tuple(launches))
        jobs = self._jobs(found)
        going = {job.spec.extra[ASSISTANTS] for job in jobs if _is_unfinished(job)}
        now = time.time()
        counting = [one for one in launches if now - one.at < DAY or found.mark(one) in going]
        stopped = {job.name for job in jobs} & {*found.stopped}
        return replace(found, launches=tuple(counting), stopped=tuple(sorted(stopped)))

    def _write(self, record: _Record, new: Sequence[Spec] = ()) -> None:
        """Write the account with this budget, and when it may be spent; `new`: yet to be queued."""
        jobs = self._jobs(record)
        waiting = [job for job in jobs if _is_unfinished(job) and job.name not in record.stopped]
        specs = [*(job.spec for job in waiting), *new]
        record = replace(record, hours=self._hours, gpu_hours=self._gpu_hours, boot=boot())
        due = _uptime() + self._spent_in(spent(jobs), specs)
        document = {"v": VERSION, **asdict(replace(record, due=due)), "active": bool(specs)}
        plain = json.loads(json.dumps(document))  # tuples as they are read again
        write_own(self._path, plain)

    def _spent_in(self, used: Spent, specs: Sequence[Spec]) -> float:
        """Seconds until the budget may be spent, if all jobs that are left ran from now on."""
        left = (self._hours - used.wall_hours) / max(1, len(specs))
        if self._gpu_hours is not None:
            machine = read_machine(self._lab.paths)
            gpus = sum(gpus_wanted(spec, len(machine.gpus)) for spec in specs)
            left = min(left, (self._gpu_hours - used.gpu_hours) / gpus) if gpus else left
        return max(SOON, left * 3600)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._lab.paths.private.make()
        path = self._lab.paths.private.agents_lock
        if (lock := take_lock(path, PATIENCE)) is None:
            raise UsageError(f"another assistant launches now{held_by(path)}; try again")
        try:
            yield
        finally:
            os.close(lock)


def _left(hours: float) -> float:
    """Hours that are left; less than a second is nothing."""
    return hours if hours * 3600 >= SOON else 0.0


def _uptime() -> float:
    """Seconds since the machine's start, which no clock that is set changes."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _plan_of(specs: Sequence[Spec]) -> Plan:
    """A launch of some specs, to be estimated."""
    first = specs[0]
    request = Request(Path(first.roadmap), first.mvp, first.profile)
    return Plan(request, tuple(specs), (), (), {})


def _is_unfinished(job: Job) -> bool:
    return not isinstance(job.state, Done | Lost | Unreadable)


def main(arguments: Sequence[str]) -> int:
    """`python -m vitlab.lab.tray.account ROOT`: supervisors start it when a budget may be spent."""
    try:
        lab = open_lab(Path(arguments[0]), looking=True)
        if (account := Account.of(lab)) is not None:
            account.keep()
    except (UsageError, OSError) as error:
        print(cause(error), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
