"""Following a metrics file: what is new in it, as events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vitlab.jobs.metrics.source import Source


class FileFollower:
    """The events of one metrics file, each row once."""

    def __init__(
        self,
        source: Source,
        path: Path,
        cursor: Mapping[str, Any] | None = None,
        scales: Mapping[str, float] | None = None,
    ) -> None:
        """`cursor`: where an earlier follower was.

        `scales`: of names whose scale the run gives, filled while it runs (`Scales.known`).
        """

    def skip_existing(self) -> None:
        """What is there now is an earlier run's; only what comes, or a file written anew, counts."""

    def poll(self, last: bool = False) -> Iterator[tuple[str, dict[str, Any]]]:
        """The new events, as kind and data; `last`: the run is over, so an unfinished line too."""
        yield from ()

    @property
    def given(self) -> frozenset[str]:
        """Our names of which there was a value."""
        return frozenset()

    @property
    def status(self) -> dict[str, Any]:
        """What was matched: file, kind, columns, names, missing, rows, kept, skipped, note."""
        return {}

    @property
    def wandb(self) -> dict[str, str] | None:
        """Id, project, entity, url and folder of a W&B run; None of another file."""
        return None

    @property
    def cursor(self) -> dict[str, Any]:
        """Where it is, as JSON, so that another follower continues without reading twice."""
        return {}
