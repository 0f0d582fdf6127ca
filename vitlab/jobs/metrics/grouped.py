"""Names of one source, read together, or apart where their scale is not known yet."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from vitlab.jobs.metrics.formats.decoder import Chunk
from vitlab.jobs.metrics.rows import ALL, Event, Events, Thinner
from vitlab.jobs.metrics.source import Name, ScaleFrom, Source

SHOW_AFTER = 30.0
"""Seconds after which the newest row is passed on although its stretch is not whole."""


class Reader(ABC):
    """Reads a file or log for names whose scales are known by the first `poll`."""

    def __init__(self, source: Source, scales: Mapping[str, float]) -> None:
        self.source = source
        self.events = Events(source, scales)
        self.rows = 0
        """Of this run, so far."""
        self._thinner = Thinner(list(source.names), source.step, source.epoch)
        self.shown = time.monotonic()
        """When a row was passed on last."""
        self._noted = False  # how many rows were kept

    def poll(self, last: bool, without: frozenset[str]) -> Iterator[Event]:
        """The new events; `last`: nothing more will come; `without`: our names to leave out."""
        yield from self._read(last, without)
        if last or time.monotonic() - self.shown > SHOW_AFTER:
            for row in self._thinner.flush():
                yield from self.events.of(row, without)
                self.shown = time.monotonic()
        if last and self.rows > ALL and not self._noted:
            self._noted = True
            yield "note", {"text": self._thinned()}

    @property
    @abstractmethod
    def unread(self) -> str:
        """Why it is not read to its end; empty when it is."""

    @property
    @abstractmethod
    def notes(self) -> list[str]:
        """What was left out or is odd, for people."""

    @abstractmethod
    def _read(self, last: bool, without: frozenset[str]) -> Iterator[Event]:
        """The events of what is new."""

    @abstractmethod
    def _thinned(self) -> str:
        """How many rows became events."""

    def _events_of(self, start: int, part: Chunk, without: frozenset[str]) -> Iterator[Event]:
        """The events of new rows, which lie within one stretch."""
        self.rows += part.rows
        for row in self._thinner.add(start, part):
            yield from self.events.of(row, without)
            self.shown = time.monotonic()

    @property
    def state(self) -> dict[str, Any]:
        """As JSON, so that another reader continues."""
        return {"rows": self.rows, "noted": self._noted, "thinner": self._thinner.state,
                "events": self.events.state}  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """The opposite of `state`."""
        self.rows, self._noted = state["rows"], state["noted"]
        self._thinner.restore(state["thinner"])
        self.events.restore(state["events"])


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
        self._source, self._names, self._make = source, names, make
        self._scales = {} if scales is None else scales
        groups: dict[ScaleFrom | None, list[str]] = {}
        for theirs, name in names.items():
            scale = name.scale if isinstance(name.scale, ScaleFrom) else None
            groups.setdefault(scale, []).append(theirs)
        self._groups = list(groups.values())
        self._readers = [make(source.only(names)) for names in self._groups]
        self._used: list[float | None] = [None for _ in self._groups]
        saved = cursor or {}
        if saved and len(saved["readers"]) == len(self._readers):
            self._used = list(saved["scales"])
            for reader, state in zip(self._readers, saved["readers"], strict=True):
                reader.restore(state)
        self._starts = saved.get("starts") or self._states()

    def _states(self) -> list[dict[str, Any]]:
        return [reader.state for reader in self._readers]

    def _poll(self, last: bool, without: frozenset[str]) -> Iterator[Event]:
        waits = self._source.waiting
        for place, names in enumerate(self._groups):
            if names[0] in waits and names[0] not in self._scales:
                continue
            scale = self._scales.get(names[0], 1.0)
            if self._used[place] not in (None, scale):
                self._readers[place] = self._make(self._source.only(names))
                self._readers[place].restore(self._starts[place])
            self._used[place] = scale
            yield from self._readers[place].poll(last, without)

    def show(self) -> None:
        """Pass on at the next poll what waits for its stretch to be whole."""
        for reader in self._readers:
            reader.shown = -math.inf

    @property
    def given(self) -> frozenset[str]:
        """Our names of which there was a value."""
        return frozenset(name for reader in self._readers for name in reader.events.given)

    @property
    def unread(self) -> str:
        """Why it is not read to its end, so that the last value is not known; empty when it is."""
        return next((reader.unread for reader in self._readers if reader.unread), "")

    @property
    def _counts(self) -> dict[str, Any]:
        """Rows read, rows kept, and notes, for the status."""
        notes = dict.fromkeys(note for reader in self._readers for note in reader.notes)
        return {
            "rows": max((reader.rows for reader in self._readers), default=0),
            "kept": max((reader.events.kept for reader in self._readers), default=0),
            "note": "; ".join(notes),
        }

    @property
    def cursor(self) -> dict[str, Any]:
        """Where it is, as JSON, so that another follower continues without reading twice."""
        return {"readers": self._states(), "starts": self._starts, "scales": self._used}
