"""Every roadmap of a lab in a line: how far it is, what its gates say, what waits for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vitlab.contract.paths import UsageError
from vitlab.contract.state import Running
from vitlab.docs.gates import judge
from vitlab.docs.lint import lint
from vitlab.docs.roadmap import Next, next_mvp
from vitlab.jobs.store import Job, all_jobs
from vitlab.records.lab import Lab
from vitlab.records.pairs import pairs_of
from vitlab.records.results import finished, latest, of_roadmap


@dataclass(frozen=True)
class RoadmapLine:
    """One roadmap, summed up."""

    path: Path
    title: str
    statuses: Mapping[str, int] = field(default_factory=dict)
    """Status word -> MVPs; `?` for a cell that says none."""
    verdicts: Mapping[str, int] = field(default_factory=dict)
    """Verdict -> gates."""
    running: int = 0
    """Jobs of it that run now."""
    pending: int = 0
    """Ended jobs its documents have not been told of."""
    next: Next | None = None
    findings: int | None = None
    """Contradictions in it; None where nobody looked."""
    problem: str = ""
    """Why it could not be read; empty when it was."""

    @property
    def mvps(self) -> int:
        return sum(self.statuses.values())

    @property
    def done(self) -> int:
        return self.statuses.get("done", 0)


def overview(lab: Lab, shown: Path | None = None) -> tuple[RoadmapLine, ...]:
    """Every roadmap by name; `shown` is also looked through for contradictions. Blocking."""
    jobs = all_jobs(lab.paths)
    return tuple(_line(lab, path, jobs, path == shown) for path in lab.roadmaps())


def _line(lab: Lab, path: Path, jobs: Sequence[Job], shown: bool) -> RoadmapLine:
    from vitlab.records.written import unwritten

    try:
        roadmap = lab.shown_roadmap(path)
    except (UsageError, OSError) as error:
        return RoadmapLine(path, path.stem, problem=str(error))
    here = of_roadmap(lab, jobs, path)
    found = latest(finished(here))
    results, evidence = [one.result for one in found], pairs_of(lab, found)
    return RoadmapLine(
        path=path,
        title=roadmap.title or path.stem,
        statuses=Counter(mvp.status or "?" for mvp in roadmap.mvps),
        verdicts=Counter(judge(g, results, roadmap, evidence).verdict for g in roadmap.gates),
        running=sum(isinstance(job.state, Running) for job in here),
        pending=len(unwritten(lab, here)),
        next=next_mvp(roadmap),
        findings=len(lint(roadmap, lab.paths.root)) if shown else None,
    )
