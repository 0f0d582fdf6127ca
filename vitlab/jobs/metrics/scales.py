"""Scales that a run gives itself, in a JSON file or in a line of its log."""

from __future__ import annotations

from pathlib import Path

from vitlab.jobs.metrics.source import Source


class Scales:
    """The scales known so far; poll it before the followers."""

    def __init__(self, source: Source, folder: Path, log: Path, start: int = 0) -> None:
        """`folder`: the program's; `start`: the byte of `log` where this run's lines begin."""
        self.known: dict[str, float] = {}
        """By their name."""

    def poll(self, last: bool = False) -> None:
        """Look for the scales that are not known yet."""

    @property
    def problems(self) -> list[str]:
        """What is not known, or contradictory, one line each."""
        return []
