"""Whether a job has become slow, and the likely cause."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vitlab.contract.events import Event
from vitlab.contract.paths import JobPaths
from vitlab.contract.value import SPEED, WAIT
from vitlab.jobs import processes
from vitlab.jobs.files import read_json

FIRST = 60.0
"""Seconds after the first report in which none is low: compiling, filling caches."""
LONG = 20.0
"""Seconds, and reports, for which a speed must be low."""
REPORTS = 5
KEPT = 64
"""Speeds kept, evenly over the whole run."""
WAITS = 0.3
"""Share of waiting from which on data are the likely cause."""
BUSY = 1.5
"""Programs for each core from which on a machine is busy."""


@dataclass(frozen=True)
class Speed:
    """The samples per second that a job has reported."""

    rates: tuple[float, ...] = ()
    """One in `every`."""
    every: int = 1
    seen: int = 0
    began: float = math.nan
    """Unix seconds of the first report."""
    interrupted: bool = False
    """Whether the next report is about a time with an evaluation or a checkpoint in it."""
    low: tuple[float, ...] = ()
    """The last reports below the limit, without any other between them."""
    low_since: float = math.nan
    low_for: float = 0.0
    """Seconds from the first of these to the last."""
    wait: float = math.nan
    """Share of time that training waited for data, as last reported."""

    @property
    def median(self) -> float:
        """The upper one; NaN before any."""
        return sorted(self.rates)[len(self.rates) // 2] if self.rates else math.nan

    @property
    def is_low(self) -> bool:
        """Whether the speed has been low for long."""
        return len(self.low) >= REPORTS and self.low_for >= LONG

    def after(self, event: Event, limit: float) -> Speed:
        """With one more event; `limit`: the lowest good share of the median."""
        if event.kind in ("eval", "checkpoint"):
            return replace(self, interrupted=True)
        rate, wait = event.values.get(SPEED), event.values.get(WAIT)
        found = self if wait is None else replace(self, wait=wait)
        if rate is None:
            return found
        if math.isnan(found.began):
            found = replace(found, began=event.t)
        if found.interrupted:
            return replace(found, interrupted=False)
        first = event.t - found.began < FIRST
        if found.rates and rate < limit * found.median and not first:
            since = found.low_since if found.low else event.t
            low = (*found.low, rate)[-KEPT:]
            found = replace(found, low=low, low_since=since, low_for=event.t - since)
        elif found.low:
            found = replace(found, low=(), low_for=0.0)
        rates, every = found.rates, found.every
        if found.seen % every == 0:
            rates = (*rates, rate)
        if len(rates) > KEPT:
            rates, every = rates[::2], 2 * every
        return replace(found, rates=rates, every=every, seen=found.seen + 1)

    def evidence(self, around: str) -> str:
        """What is to be said of a low speed; `around`: what else was seen, if anything."""
        now = sorted(self.low)[len(self.low) // 2]
        cause = around or "cause unknown"
        if self.wait >= WAITS:
            cause = f"it waits for data {self.wait:.0%} of the time"
        return f"only {_shown(now)} samples/s, its median is {_shown(self.median)}: {cause}"


def _shown(rate: float) -> str:
    return f"{rate:,.0f}" if 100 <= rate < 1e9 else f"{rate:.3g}"


def slowed_by(job: JobPaths) -> str:
    """What around a running job may slow it down; empty where nothing is seen."""
    started = read_json(job.started)
    records = started.get("devices")
    if records:
        # NVML costs much memory: only where there is a GPU.
        from vitlab.jobs.gpus import slowed

        return slowed(records, _pids(job, started))
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    return f"{load:.0f} programs on {cores} cores" if load >= BUSY * cores else ""


def _pids(job: JobPaths, started: Mapping[str, Any]) -> set[int]:
    session, ticks = started.get("session"), started.get("ticks")
    if not (isinstance(session, int) and isinstance(ticks, int)):
        return set()
    return {one.pid for one in processes.members(session, ticks, job.folder)}
