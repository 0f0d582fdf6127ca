"""What jobs have cost, and what a launch is expected to cost by earlier runs like it."""

from __future__ import annotations

import math
import re
import statistics
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vitlab.contract.job import (
    CORE_HOURS,
    Lost,
    Queued,
    Running,
    Spec,
    base_name,
    ended_well,
    read_result,
)
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.jobs.files import read_json
from vitlab.jobs.processes import ADOPTED, began, is_here
from vitlab.jobs.queue.machine import Machine, gpus_wanted, read_machine
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.lab import Lab
from vitlab.lab.launch import Plan
from vitlab.lab.results.run_settings import SEEDS, settings_of

HOUR = 3600.0
_DURATION = re.compile(r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m(?:in)?)?", re.I)
_UNKNOWN = "no earlier run of {}"


@dataclass(frozen=True)
class Spent:
    """What jobs have taken so far."""

    wall_hours: float = 0.0
    """Hours they ran, each job's added up; without those they waited."""
    core_hours: float = 0.0
    """As their results say; of a job without one, its hours times the threads it was given."""
    gpu_hours: float = 0.0
    """Hours in which they had a GPU, times how many."""

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.wall_hours + other.wall_hours,
            self.core_hours + other.core_hours,
            self.gpu_hours + other.gpu_hours,
        )


def spent(jobs: Iterable[Job], now: float | None = None) -> Spent:
    """What the jobs have taken, every run of a resumed one; those that run count up to `now`.

    `now` in Unix seconds; None is this moment.
    """
    now = time.time() if now is None else now
    return sum((_of_job(job, now) for job in jobs), Spent())


def _of_job(job: Job, now: float) -> Spent:
    """A job that never began has taken nothing, and neither has one that a person started."""
    if ADOPTED in job.spec.extra:
        return Spent()
    total = Spent()
    for started, ended in _legs(job, now):
        hours = max(0.0, ended - _number(started.get("started"), ended)) / HOUR
        total += Spent(hours, hours * _threads(started), hours * gpus_of(started))
    result = read_result(job.paths.result) if ended_well(job.state) else None
    known = result.data.get(CORE_HOURS) if result else None
    if isinstance(known, int | float) and math.isfinite(known):
        total = Spent(total.wall_hours, float(known), total.gpu_hours)
    return total


def gpus_of(started: Mapping[str, Any]) -> int:
    """How many GPUs a run has, by its `started.json`: of a batch step those of all its nodes."""
    count = started.get("gpus")
    if type(count) is int and count >= 0:
        return count
    parts = str(started.get("device", "")).lower().split(",")
    return sum(part.strip().startswith(("gpu", "mig-")) for part in parts)


def _legs(job: Job, now: float) -> Iterator[tuple[dict[str, Any], float]]:
    """What `started.json` says of each run of a job, and when that run ended."""
    folder = job.paths.folder
    for path in sorted(folder.glob("started.*.json")):
        number = path.name.split(".")[1]
        yield _ended(read_json(path), read_json(folder / f"exit.{number}.json"))
    record = read_json(job.paths.started)
    if not record or isinstance(job.state, Queued):
        return
    if isinstance(job.state, Running):
        yield _by_ticks(record, now), now
    elif isinstance(job.state, Lost):
        yield record, min(now, _last_sign(job.paths))
    else:
        yield _ended(record, read_json(job.paths.exit))


def _ended(started: dict[str, Any], end: dict[str, Any]) -> tuple[dict[str, Any], float]:
    """One run, with its start as its end tells it: a clock may have been set in between."""
    began = started.get("started")
    if end.get("ended") is None:  # lost, and when is not known any more: it counts as nothing
        return started, _number(began, 0.0)
    return {**started, "started": end.get("started", began)}, _number(end["ended"], 0.0)


def _by_ticks(started: dict[str, Any], now: float) -> dict[str, Any]:
    """With its start as long ago as its process is old, whatever clock was set since."""
    ticks = started.get("ticks")
    if not isinstance(ticks, int) or not is_here(started):
        return started
    return {**started, "started": now - time.time() + began(ticks)}


def _last_sign(job: JobPaths) -> float:
    """When a lost job last wrote something, in Unix seconds; 0 where it wrote nothing."""
    times = [0.0]
    for path in (job.events, job.log, job.health):
        try:
            times.append(path.lstat().st_mtime)
        except OSError:
            continue
    return max(times)


def _threads(started: dict[str, Any]) -> int:
    given = started.get("environment")
    text = str(given.get("OMP_NUM_THREADS", "")) if isinstance(given, dict) else ""
    return int(text) if text.isdecimal() and len(text) < 5 else 1


def _number(value: object, default: float) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else default


@dataclass(frozen=True)
class Estimate:
    """What a launch will take; None where no earlier run tells."""

    hours: float | None
    """From its start to its end with the machine to itself: the median of earlier runs."""
    low: float | None
    """The same by the shortest of these runs."""
    high: float | None
    """And by the longest; equal to `low` where there was a single run."""
    gpu_hours: float | None
    """Of all its jobs; 0 for jobs on the CPU."""
    source: str
    """What it was estimated from, for people: `3 runs of vit at smoke`."""
    core_hours: float | None = None
    """Of all its jobs."""


UNKNOWN = Estimate(None, None, None, None, "")
"""Of what cannot be planned."""
NOTHING = Spent()


@dataclass(frozen=True)
class Past:
    """An earlier job that ended well."""

    spec: Spec
    spent: Spent


def estimate(lab: Lab, launch_plan: Plan, jobs: Sequence[Job] | None = None) -> Estimate:
    """What a launch will take, by earlier runs that ended well.

    Each of its jobs by those with the same settings, else by those of its run and profile, else by
    those of its recipe and profile; where one of them has none of these, nothing is known.
    `jobs`: those of the lab, where they have been read.
    """
    everything = all_jobs(lab.paths) if jobs is None else jobs
    return estimate_of(launch_plan.specs, past_runs(everything), read_machine(lab.paths))


def past_runs(jobs: Iterable[Job]) -> list[Past]:
    """The jobs that ended well, by which others are estimated."""
    good = (job for job in jobs if ended_well(job.state) and ADOPTED not in job.spec.extra)
    return [Past(job.spec, _of_job(job, 0.0)) for job in good]


def estimate_of(specs: Sequence[Spec], past: Sequence[Past], machine: Machine) -> Estimate:
    """As `estimate`, of a launch's specs."""
    every: list[tuple[Spec, list[Spent]]] = []
    sources: dict[str, int] = {}
    for spec in specs:
        source, runs = _like(spec, past)
        if not runs:
            return Estimate(None, None, None, None, source)
        sources[source] = len(runs)
        every.append((spec, runs))
    walls = [[run.wall_hours for run in runs] for _, runs in every]
    wanted = [gpus_wanted(spec, len(machine.gpus)) for spec, _ in every]
    middle = [statistics.median(wall) for wall in walls]
    return Estimate(
        hours=_together(middle, wanted, machine),
        low=_together([min(wall) for wall in walls], wanted, machine),
        high=_together([max(wall) for wall in walls], wanted, machine),
        gpu_hours=math.fsum(hours * count for hours, count in zip(middle, wanted, strict=True)),
        source=", ".join(f"{n} run{'s' * (n > 1)} {what}" for what, n in sources.items()),
        core_hours=math.fsum(statistics.median(r.core_hours for r in runs) for _, runs in every),
    )


def _together(hours: Sequence[float], gpus: Sequence[int], machine: Machine) -> float:
    """Hours until all have ended, as many at once as the machine has slots and GPUs for."""
    pairs = list(zip(hours, gpus, strict=True))
    on_cpu = [one for one, count in pairs if not count]
    on_gpu = [one * count for one, count in pairs if count]
    each = (math.fsum(on_cpu) / max(1, machine.cpu), math.fsum(on_gpu) / max(1, len(machine.gpus)))
    return max(*each, *hours, 0.0)


def _like(spec: Spec, past: Sequence[Past]) -> tuple[str, list[Spent]]:
    """The earlier runs that tell most about a job, and what they are; none where none do."""
    mine = settings_without_seed(spec)
    trial = [one for one in past if one.spec.profile == spec.profile]
    named = (spec.recipe, spec.mvp, spec.roadmap, base_name(spec.run))
    kinds = (
        ("of the same settings", lambda o: settings_without_seed(o) == mine),
        (
            f"of MVP-{spec.mvp} {base_name(spec.run)} at {spec.profile}",
            lambda o: (o.recipe, o.mvp, o.roadmap, base_name(o.run)) == named,
        ),
        (f"of {spec.recipe} at {spec.profile}", lambda o: o.recipe == spec.recipe),
    )
    for source, is_like in kinds:
        if spec.recipe == "command" and source.startswith("of command"):
            break  # two programs have nothing in common
        if runs := [one.spent for one in trial if is_like(one.spec)]:
            return source, runs
    return _UNKNOWN.format(f"{spec.recipe} at {spec.profile}"), []


def settings_without_seed(spec: Spec) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    """Equal for two jobs that compute the same but for their seed, whatever MVP they are of."""
    settings = settings_of(spec).items()
    kept = sorted((name, repr(value)) for name, value in settings if name not in SEEDS)
    return spec.recipe, spec.profile, tuple(kept)


def hours_of(text: str, name: str) -> float:
    """`8h`, `90m`, `1h30m` or `1.5` in hours; `UsageError` naming the option for anything else."""
    match = _DURATION.fullmatch(text.strip())
    if match and (match["h"] or match["m"]):
        hours = float(match["h"] or 0) + float(match["m"] or 0) / 60
    else:
        try:
            hours = float(text)
        except ValueError:
            hours = math.nan
    if not 0 < hours < 1e5:
        raise UsageError(f"{name} {text}: expected hours, such as 8h, 90m or 1h30m")
    return hours


def hours_text(hours: float | None) -> str:
    """Hours for people, by their size: `<1 s`, `30 s`, `25 min`, `3.2 h`; `?` for None."""
    if hours is None:
        return "?"
    minutes = hours * 60
    if minutes < 1:
        return "<1 s" if 0 < minutes * 60 < 0.5 else f"{minutes * 60:.0f} s"
    return f"{minutes:.0f} min" if minutes < 100 else f"{hours:.1f} h"
