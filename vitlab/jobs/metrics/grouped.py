"""Names of one source, read together, or apart where their scale is not known yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, Protocol, TypeVar

from vitlab.jobs.metrics.source import Name, ScaleFrom, Source
from vitlab.jobs.metrics.thinning import Event, Events


class Reader(Protocol):
    """Reads a file or log for some names."""

    rows: int
    state: dict[str, Any]

    @property
    def unread(self) -> str: ...

    @property
    def events(self) -> Events: ...

    @property
    def notes(self) -> list[str]: ...

    def poll(self, last: bool, without: frozenset[str]) -> Iterator[Event]: ...


R = TypeVar("R", bound=Reader)


class Grouped(Generic[R]):
    """Readers of one file or log: one for each scale that the run itself gives.

    Such a reader begins at the start once its scale is known, and again if that changes.
    """

    def __init__(
        self,
        source: Source,
        names: Mapping[str, Name],
        make: Callable[[Source], R],
        scales: Mapping[str, float] | None,
        cursor: Mapping[str, Any] | None,
    ) -> None:
        """`make`: a reader of some of the names."""
        self._source, self._make = source, make
        self._scales = {} if scales is None else scales
        groups: dict[ScaleFrom | None, list[str]] = {}
        for theirs, name in names.items():
            scale = name.scale if isinstance(name.scale, ScaleFrom) else None
            groups.setdefault(scale, []).append(theirs)
        self._groups = list(groups.values())
        self._readers = [make(source.only(names)) for names in self._groups]
        self._used: list[float | None] = [None for _ in self._groups]
        saved = cursor or {}
        if len(saved.get("readers", ())) == len(self._readers):
            self._used = list(saved["scales"])
            for reader, state in zip(self._readers, saved["readers"], strict=True):
                reader.state = state
        self._starts = saved.get("starts") or self._states()

    def _states(self) -> list[dict[str, Any]]:
        return [reader.state for reader in self._readers]

    def _poll(self, last: bool, without: frozenset[str]) -> Iterator[Event]:
        for place in self._ready():
            scale = self._scale(place)
            if self._used[place] not in (None, scale):
                self._readers[place] = self._make(self._source.only(self._groups[place]))
                self._readers[place].state = self._starts[place]
            self._used[place] = scale
            yield from self._readers[place].poll(last, without)

    def _scale(self, place: int) -> float:
        return self._scales.get(self._groups[place][0], 1.0)

    def _ready(self) -> list[int]:
        """The readers whose scale is known."""
        waits = self._source.waiting
        return [place for place, names in enumerate(self._groups)
                if names[0] not in waits or names[0] in self._scales]  # fmt: skip

    @property
    def given(self) -> frozenset[str]:
        """Our names of which there was a value."""
        ready = [self._readers[place] for place in self._ready()]
        return frozenset(name for reader in ready for name in reader.events.given)

    @property
    def unread(self) -> str:
        """Why it is not read to its end, so that the last value is not known; empty when it is."""
        return next((reader.unread for reader in self._readers if reader.unread), "")

    @property
    def _counts(self) -> dict[str, Any]:
        """Rows read, rows kept, and notes, for the status."""
        kept = [self._readers[place].events.kept for place in self._ready()]
        notes = dict.fromkeys(note for reader in self._readers for note in reader.notes)
        return {
            "rows": max((reader.rows for reader in self._readers), default=0),
            "kept": max(kept, default=0),
            "note": "; ".join(notes),
        }

    @property
    def cursor(self) -> dict[str, Any]:
        """Where it is, as JSON, so that another follower continues without reading twice."""
        return {"readers": self._states(), "starts": self._starts, "scales": self._used}
