"""Whose stars are shown, in which order, and which of them now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vitlab.contract.job import Done
from vitlab.contract.value import Value

if TYPE_CHECKING:
    from vitlab.contract.paths import JobPaths
    from vitlab.lab.inspector.client import Spectrograph
    from vitlab.lab.inspector.star import StarList
    from vitlab.lab.live.snapshot import JobView


class StarDesk:
    """The screen's door to single stars."""

    def spectrograph(self, job: JobPaths) -> Spectrograph:
        """The way to a job's test stars; nothing is read yet."""
        from vitlab.lab.inspector.client import Spectrograph

        return Spectrograph(job)


@dataclass
class Turns:
    """The order in which a job's stars are looked at, and the place in it."""

    label: str = ""
    worst: bool = True
    """The stars by how far the prediction is off; else by their number."""
    order: list[int] = field(default_factory=list)
    at: int = 0

    @property
    def now(self) -> int:
        """The number of the star whose turn it is."""
        return self.order[self.at]

    def sort(self, stars: StarList, at: int) -> None:
        """Put the stars in order, and begin at place `at`."""
        self.order = stars.order(self.label, worst=self.worst)
        self.go(at)

    def go(self, at: int) -> None:
        """To a place, or the nearest there is."""
        self.at = min(max(at, 0), max(len(self.order) - 1, 0))

    def turn_order(self, stars: StarList) -> None:
        """Worst first begins at the worst; by number stays at the star."""
        now = self.now if self.order else 0
        self.worst = not self.worst
        self.sort(stars, 0 if self.worst else now)

    def next_label(self, stars: StarList) -> None:
        """Another label has other failures; by number the star stays."""
        if self.label in stars.labels:
            at = stars.labels.index(self.label) + 1
            self.label = stars.labels[at % len(stars.labels)]
            self.sort(stars, 0 if self.worst else self.at)


def _is_scored(job: JobView) -> bool:
    return any(Value.parse(name).split == "test" for name in job.values)


def newest_scored(jobs: Sequence[JobView]) -> JobView | None:
    """The job that ended well last, of those that tell of test stars."""
    ended = [
        (job.state.ended, number, job)
        for number, job in enumerate(jobs)
        if isinstance(job.state, Done) and _is_scored(job)
    ]
    return max(ended)[2] if ended else None
