"""The most any model can reach, from the lab's own ceiling jobs, and who claims more than that."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vitlab.contract.config import GRID_SOURCES
from vitlab.contract.result import Result
from vitlab.contract.spec import Spec
from vitlab.jobs.store import Job
from vitlab.records.results import finished

LEAK = 3.0
"""Errors above the ceiling from which on a result is no chance but a leak."""

World = tuple[str, tuple[float, ...], float, str]
"""What a ceiling depends on: grid, range of magnitudes, noise level, label."""


@dataclass(frozen=True)
class Ceiling:
    """The Bayes ceiling of one label: the R2 of the posterior mean under the simulator."""

    r2: float
    error: float
    """Monte-Carlo standard error."""

    def share(self, result: Result, name: str) -> float | None:
        """The part of the ceiling a result has reached; None without a number."""
        value = result.values.get(name)
        return None if value is None or self.r2 <= 0 else value / self.r2

    def leaks(self, result: Result, name: str) -> bool:
        """Whether a result lies above what any model can reach, beyond both errors."""
        value = result.values.get(name)
        error = math.hypot(self.error, result.errors.get(name, 0.0))
        return value is not None and value > self.r2 + LEAK * error


def ceilings(jobs: Iterable[Job]) -> dict[World, Ceiling]:
    """The ceilings the lab knows, the largest run of each world."""
    found: dict[World, tuple[int, Ceiling]] = {}
    for one in finished(job for job in jobs if job.spec.recipe == "ceiling"):
        for name, value in one.result.values.items():
            if not name.startswith("ceiling/r2_bayes/") or value is None:
                continue
            world = world_of(one.job.spec.config, name.rsplit("/", 1)[-1])
            stars = int(one.job.spec.config.get("bayes", 0))
            if world is not None and stars >= found.get(world, (0, None))[0]:
                found[world] = (stars, Ceiling(value, one.result.errors.get(name, 0.0)))
    return {world: ceiling for world, (_, ceiling) in found.items()}


def ceiling_of(spec: Spec, known: Mapping[World, Ceiling], name: str) -> Ceiling | None:
    """The ceiling a job's value is to be held against; only an R2 on a grid has one."""
    parts = name.split("/")
    if len(parts) != 3 or parts[1] != "r2" or spec.recipe == "ceiling":
        return None
    world = world_of(spec.config, parts[2])
    return known.get(world) if world is not None else None


def world_of(config: Mapping[str, Any], label: str) -> World | None:
    """What the stars of a job are drawn from; None for those of a file."""
    data = config.get("data", {})
    if data.get("source", "grid") not in GRID_SOURCES:
        return None
    mag = tuple(float(edge) for edge in data.get("mag", (20.5, 22.5)))
    return str(data.get("grid") or ""), mag, float(config.get("noise", {}).get("level", 1.0)), label
