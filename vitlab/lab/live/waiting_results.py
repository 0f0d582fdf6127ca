"""How many results wait to be written: those that the next write shows, and no others."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vitlab.contract.paths import UsageError
from vitlab.docs.model.roadmap import Roadmap
from vitlab.jobs.store import Job
from vitlab.lab.lab import Lab
from vitlab.lab.writeback.sync_ledger import results_to_write


@dataclass
class WaitingResults:
    """The results of a roadmap that no write has covered, as its files and jobs are now."""

    roadmap: Path
    counts: dict[str, int]
    """By MVP; without those that turned out to stand in the documents already."""
    unsure: list[str]
    """MVPs that were not looked at yet."""

    def look(self, lab: Lab, most: int | None = None) -> int:
        """How many the next write shows; of `most` further MVPs it is found out, 0.1 s each."""
        if not self.unsure[:most]:
            return self.total
        from vitlab.lab.writeback.writeback import plan_mvp  # the first picture looks at none

        for mvp in self.unsure[:most]:
            with contextlib.suppress(UsageError, OSError):  # told when it is written
                update = plan_mvp(lab, self.roadmap, mvp)
                if update is not None and not update.changes:
                    del self.counts[mvp]
        del self.unsure[:most]
        return self.total

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def waiting_results(lab: Lab, roadmap: Roadmap, jobs: Sequence[Job]) -> WaitingResults:
    """`jobs`: all of the roadmap."""
    counts = results_to_write(lab, jobs, [mvp.id for mvp in roadmap.mvps])
    return WaitingResults(roadmap.document.path or Path(), counts, list(counts))
