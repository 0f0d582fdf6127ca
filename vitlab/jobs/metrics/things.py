"""Whether rows follow each other in time, or are of several things: models, bins, folds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from vitlab.jobs.metrics.formats.decoder import THING, Chunk
from vitlab.jobs.metrics.formats.named_rows import TIMES
from vitlab.jobs.metrics.source import Source


class Things:
    """What the rows of one file are of, as it is now."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.forget()

    def forget(self) -> None:
        """It is read again from its start."""
        self._last: dict[str, tuple[float, float | None]] = {}
        """By name: of what its last row was, and its step or epoch."""
        self.of_several: set[str] = set()
        """Names whose rows are of several things, so that the last is no result."""

    def look_at(self, part: Chunk, columns: Collection[str]) -> None:
        """Note names with rows of several things where time does not go on between them.

        `columns`: of the file.
        """
        things = part.columns.get(THING, ())
        steps, epochs = (part.columns.get(axis) or [None] * part.rows
                         for axis in (self._source.step, self._source.epoch))  # fmt: skip
        names = {name.lower() for name in columns}
        axes = {self._source.step.lower(), self._source.epoch.lower()}
        if not things or (not names.isdisjoint(TIMES) and names.isdisjoint(axes)):
            return  # in time by a column that is not read
        for name, ours in self._source.columns[0].items():
            if ours.partition("/")[0] not in ("val", "test") or name not in part.columns:
                continue
            for at, (thing, value) in enumerate(zip(things, part.columns[name], strict=True)):
                if thing is None or value is None:
                    continue
                place = epochs[at] if steps[at] is None else steps[at]
                before, since = self._last.get(name, (thing, place))
                goes_on = place is not None and since is not None and place > since
                if before != thing and not goes_on:
                    self.of_several.add(name)
                self._last[name] = thing, place

    @property
    def state(self) -> dict[str, Any]:
        """As JSON."""
        return {"last": self._last, "several": sorted(self.of_several)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """The opposite of `state`."""
        self._last = {name: (x, y) for name, (x, y) in state.get("last", {}).items()}
        self.of_several = set(state.get("several", ()))
