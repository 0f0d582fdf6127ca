"""Simulates gates through the judging of roadmaps: how often they close, rightly and wrongly.

python benchmarks/gates.py [GATES [BUDGET]] > table of docs/gates.md

Seeds come one by one and the gate is judged at each, from the first on. The error is that of
`FIRST` seeds on `STARS` test stars; the test stars are doubled with the seeds, and every seed is
scored on all of them. A gate with a difference of 0 closes wrongly if it passes or fails at any
look; one with a difference of 2 errors should, before it has `BUDGET` times its first seeds.
"""

from __future__ import annotations

import math
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from vitlab.contract.job import Result
from vitlab.docs.judge.comparison import Gap, NoEvidence
from vitlab.docs.judge.errors import SeedScatter
from vitlab.docs.judge.gates import judge
from vitlab.docs.judge.verdict import Verdict
from vitlab.docs.model.roadmap import parse_roadmap
from vitlab.docs.text.source import Document

GATES, FIRST, STARS, BUDGET = 1000, 3, 10_000, 8
R2, LIMIT, ERROR = "test/r2/log_g", 0.7, 0.004
"""`ERROR`: standard error over `STARS` stars, of a score or of a paired difference."""
PLAN = """\
### Gate-2: g

| Item | Content |
|---|---|
| MVP | MVP-1.0 |
| If {} | ✅ go on; else ❌ stop |

| MVP | Name | Status |
|---|---|---|
| 1.0 | x | ⏳ |
| 2.0 | y | ⏳ |
"""
RULES = {False: f"R² > {LIMIT}", True: "ViT > LGBM"}


@dataclass(frozen=True)
class Scenario:
    """One row of the table."""

    paired: bool
    """Two models on the same stars; else one against a limit."""
    scatter: float
    """True standard deviation over seeds, in errors over the first stars."""
    known: bool = False
    """Whether the lab knows the scatter."""

    @property
    def error(self) -> float:
        """True standard error of `FIRST` seeds on `STARS` stars."""
        sides = 2 if self.paired else 1
        return ERROR * math.sqrt(1 + sides * self.scatter**2 / FIRST)


SCENARIOS = [
    Scenario(paired, scatter, known)
    for paired in (False, True)
    for scatter, known in ((1.0, False), (1.0, True), (2.0, False), (5.0, False))
]


@dataclass(frozen=True)
class Simulated(NoEvidence):
    """What a lab knows beyond the results: pairs by star, and perhaps the scatter over seeds."""

    error: float
    stars: int
    scatter: float | None

    def gap(self, left: Result, right: Result, name: str) -> Gap | None:
        return Gap((left.values[name] or 0.0) - (right.values[name] or 0.0), self.error, self.stars)

    def seed_scatter(self, result: Result, name: str) -> SeedScatter | None:  # noqa: ARG002
        return None if self.scatter is None else SeedScatter(self.scatter)


def looks(scenario: Scenario, difference: float, seed: int) -> Iterator[tuple[int, int, Verdict]]:
    """Seeds of each side, growth of the stars, and the verdict, at each look at one gate."""
    plan = parse_roadmap(Document(PLAN.format(RULES[scenario.paired])))
    draw = random.Random(seed)
    s = ERROR * scenario.scatter
    growth, total = 1, draw.gauss(0, ERROR)  # errors of the stars, summed over equal parts
    ours, theirs = [], []
    for seeds in range(1, BUDGET * FIRST + 1):
        ours.append(draw.gauss(0, s))
        theirs.append(draw.gauss(0, s))
        while 2 * growth * FIRST <= seeds:
            total += sum(draw.gauss(0, ERROR) for _ in range(growth))
            growth *= 2
        stars, error = growth * STARS, ERROR / math.sqrt(growth)
        shift = difference + total / growth
        results = [
            result("ViT", "1.0", k, LIMIT + shift + x, stars, error) for k, x in enumerate(ours)
        ]
        if scenario.paired:
            results += [
                result("LightGBM", "2.0", k, LIMIT + x, stars, error) for k, x in enumerate(theirs)
            ]
        evidence = Simulated(error, stars, s if scenario.known else None)
        yield seeds, growth, judge(plan.gates[0], results, plan, evidence)


def result(model: str, mvp: str, seed: int, r2: float, stars: int, error: float) -> Result:
    """A full run of a seed."""
    return Result(
        mvp, f"main seed={seed}", "full", "vit", {R2: r2, "val/r2/log_g": r2}, {R2: error},
        {"train": 10**6, "val": 1000, "test": stars}, {"name": model},
        {"source": "grid", "hash": str(stars)}, world={
            "simulator": "s", "prior": "p", "mag": [20.5, 22.5], "noise": 1.0, "inputs": "flux",
            "file": "",
        },
    )  # fmt: skip


def closing(scenario: Scenario, difference: float, seed: int) -> tuple[int, Verdict] | None:
    """The seeds and the verdict a gate closes with; None where it stays open."""
    for seeds, _, verdict in looks(scenario, difference, seed):
        if verdict.verdict != "open":
            return seeds, verdict
    return None


def row(scenario: Scenario, gates: int) -> str:
    """One line of the table."""
    null = [closing(scenario, 0.0, k) for k in range(gates)]
    true = [closing(scenario, 2 * scenario.error, k) for k in range(gates, 2 * gates)]
    wrong = sum(one is not None for one in null) / gates
    reached = [one for one in true if one is not None]
    passed = sum(one[1].verdict == "pass" for one in reached) / gates
    failed = len(reached) / gates - passed
    seeds = sorted(one[0] for one in reached)
    cells = (
        "two models" if scenario.paired else "a limit",
        f"{scenario.scatter:g}",
        "known" if scenario.known else "not known",
        f"{wrong:.1%}",
        f"{passed:.1%}",
        f"{failed:.1%}",
        str(seeds[len(seeds) // 2]) if seeds else "-",
    )
    return f"| {' | '.join(cells)} |"


def main(gates: int) -> None:
    begun = time.perf_counter()
    print("| Rule | Scatter / star error | It is | Closed at 0 | Right at 2 | Wrong at 2 | Seeds |")
    print("|---|---|---|---|---|---|---|")
    for scenario in SCENARIOS:
        print(row(scenario, gates), flush=True)
    print(f"{time.perf_counter() - begun:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    BUDGET = int(sys.argv[2]) if len(sys.argv) > 2 else BUDGET
    main(int(sys.argv[1]) if len(sys.argv) > 1 else GATES)
