"""Following a log by a pattern: the lines that match, as events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vitlab.jobs.metrics.source import Source


class LogFollower:
    """The events of the lines of a log that match the source's pattern."""

    def __init__(
        self,
        source: Source,
        path: Path,
        start: int = 0,
        cursor: Mapping[str, Any] | None = None,
        scales: Mapping[str, float] | None = None,
    ) -> None:
        """`start`: the byte where this run's lines begin; `cursor` and `scales`: as of a file."""

    def poll(
        self, last: bool = False, without: frozenset[str] = frozenset()
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """The new events; `without`: our names that come from the file (`FileFollower.given`)."""
        yield from ()

    @property
    def given(self) -> frozenset[str]:
        """Our names of which there was a value."""
        return frozenset()

    @property
    def status(self) -> dict[str, Any]:
        """What was matched, as of a file."""
        return {}

    @property
    def cursor(self) -> dict[str, Any]:
        """Where it is, as JSON."""
        return {}
