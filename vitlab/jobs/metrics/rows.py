"""Rows of numbers: which are new when their file is written anew, and which become events."""

from __future__ import annotations

import marshal
import math
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from vitlab.contract.reading import is_finite
from vitlab.contract.value import Value
from vitlab.jobs.metrics.formats.decoder import Chunk, Column, Integers
from vitlab.jobs.metrics.source import Source

ALL = 1024
"""Rows at the beginning that are each a stretch of their own."""
LARGEST = 2.0**63
"""A step is smaller; a number that is not is no step."""
_SHIFT = 6
"""Later stretches have 1/64 to 1/32 as many rows as there are before them."""


def stretch_end(row: int) -> int:
    """Where the stretch of rows that `row` is in ends: longer and longer ones."""
    return (row | (_length(row) - 1)) + 1


def _length(row: int) -> int:
    return 1 if row < ALL else 1 << (row.bit_length() - _SHIFT)


def _spread(rows: int) -> Iterator[int]:
    """Some ends of stretches, further and further apart."""
    row = 1
    while row <= rows:
        yield row
        row += 1 if row < 64 else max(64, 8 * _length(row))


class KnownRows:
    """Which rows have been passed on, by position and content, in little memory.

    A digest of all rows up to each stretch's end is kept: of their values, and of the last one's
    step and epoch. When a file is read again from its start, the rows up to the last digest that
    fits are known, and the later ones new.
    """

    def __init__(self, names: Sequence[str], step: str, epoch: str) -> None:
        """`names`, `step` and `epoch`: columns."""
        self._names = [*dict.fromkeys((*names, step, epoch))]
        self._places = {step, epoch}.difference(names)
        self.forget()

    def forget(self) -> None:
        """No row is known any more."""
        self._digests: dict[int, int] = {}
        self._count = 0  # rows that are known
        self._row = 0  # rows that were read since the file's start
        self._sums = dict.fromkeys(self._names, 0)
        self._begin_checks()

    def know(self, other: KnownRows) -> None:
        """The rows of another file, read to its end, are known: this one may begin with them."""
        self.forget()
        self._count = other._count
        self._digests = {**other._digests, other._count: other._digest()}
        self._begin_checks()

    def restart(self) -> None:
        """The file is read again from its start."""
        if not self._checks:
            self._digests[self._count] = self._digest()
        self._row = 0
        self._sums = dict.fromkeys(self._names, 0)
        self._begin_checks()

    def _begin_checks(self) -> None:
        self.others = 0
        """Rows that the file had when it was written anew with others; 0 where it was not."""
        self._checks = sorted((row for row in self._digests if row > 0), reverse=True)
        self._held: list[Chunk] = []  # rows after the last digest that fitted
        self._fitted = 0, dict(self._sums)

    def new(self, chunk: Chunk) -> Iterator[tuple[int, Chunk]]:
        """The new rows in `chunk`, and in those held back before, each part with its position.

        A part lies within one stretch.
        """
        done = 0
        while done < chunk.rows:
            end = self._checks[-1] if self._checks else stretch_end(self._row)
            part = chunk.part(done, min(chunk.rows, done + end - self._row))
            done += part.rows
            if self._checks:
                yield from self._check(part, end)
                continue
            position = self._row
            self._add(part)
            self._count = self._row
            if self._row == end:
                self._digests[end] = self._digest()
            yield position, part

    def _check(self, part: Chunk, end: int) -> Iterator[tuple[int, Chunk]]:
        self._held.append(part)
        self._add(part)
        if self._row < end:
            return
        if self._digests[end] == self._digest():
            self._checks.pop()
            self._held.clear()
            self._fitted = end, dict(self._sums)
            if not self._checks and stretch_end(end - 1) != end:
                del self._digests[end]
            return
        self.others = self._count
        held, self._held, self._checks = self._held, [], []
        self._count = self._row = self._fitted[0]
        self._sums = dict(self._fitted[1])
        self._digests = {row: x for row, x in self._digests.items() if row <= self._row}
        for one in held:
            yield from self.new(one)

    def _add(self, part: Chunk) -> None:
        self._row += part.rows
        for name, so_far in self._sums.items():
            column = part.columns.get(name)
            if name in self._places:
                column, so_far = column and [column[-1]], 0
            # The five bytes before the numbers are a type and a length.
            data = b"N" * part.rows if column is None else marshal.dumps(column, 2)[5:]  # type: ignore[arg-type]
            self._sums[name] = zlib.crc32(data, so_far)

    def _digest(self) -> int:
        return zlib.crc32(marshal.dumps(list(self._sums.values()), 2))

    @property
    def read(self) -> int:
        """Rows read since the file's start."""
        return self._row

    @property
    def all_read(self) -> bool:
        """Whether the file holds all of these, as far as it was read."""
        return not self._checks

    @property
    def state(self) -> dict[str, Any]:
        """As JSON, with enough of the digests."""
        some = {row: self._digests[row] for row in _spread(self._count) if row in self._digests}
        state = {"count": self._count, "digests": [*some.items()]}
        if not self._checks:
            return {**state, "sums": self._sums}
        end = self._checks[0]
        return {**state, "digests": [*some.items(), (end, self._digests[end])]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """The opposite of `state`."""
        self.forget()
        self._digests = dict(state["digests"])
        self._count = state["count"]
        if "sums" not in state:
            self._begin_checks()  # it was being read again: from its start once more
            return
        self._row = self._count
        self._sums.update(state["sums"])


Event = tuple[str, dict[str, Any]]
"""Kind and data, for `EventWriter.write`."""


class Row(NamedTuple):
    """One row."""

    position: int
    step: float
    epoch: float | None
    values: dict[str, float]
    """By their names."""
    by_epoch: bool
    """Whether the epoch stands for the step."""


class Thinner:
    """Of each stretch of rows, the rows with the last, lowest and highest of each value.

    And with the first that is not finite. A stretch is a single row at first.
    """

    def __init__(self, names: Sequence[str], step: str, epoch: str) -> None:
        """`names`, `step` and `epoch`: columns."""
        self._names = names
        self._places = Places(step, epoch)
        self._next = 0
        self._kept: dict[tuple[str, str], Row] = {}  # by value and why it is kept

    def add(self, start: int, part: Chunk) -> Iterator[Row]:
        """The rows kept of a stretch, once it is whole; `part` lies within one."""
        if start != self._next:
            yield from self.flush()
        self._next = start + part.rows
        steps, epochs = self._places.of(start, part)
        columns = {name: part.columns[name] for name in self._names if name in part.columns}

        def row(at: int) -> Row:
            values = {name: x for name, column in columns.items() if (x := column[at]) is not None}
            epoch = epochs[at] if epochs else None
            return Row(start + at, steps[at], epoch, values, self._places.by_epoch)

        if start < ALL:  # a stretch of its own
            if (only := row(0)).values:
                yield only
            return
        for name, column in columns.items():
            for why, at in _extremes(column):
                before = self._kept.get((name, why))
                if before is None or _replaces(why, column[at], before.values[name]):
                    self._kept[name, why] = row(at)
        if stretch_end(start) == self._next:
            yield from self.flush()

    def flush(self) -> Iterator[Row]:
        """What is kept of the stretch so far."""
        rows = {row.position: row for row in self._kept.values()}
        self._kept.clear()
        yield from (rows[position] for position in sorted(rows))

    @property
    def state(self) -> dict[str, Any]:
        """As JSON."""
        # What JSON has no number for is a text.
        kept = [(*key, row.position, row.step, row.epoch,
                 {name: x if is_finite(x) else str(x) for name, x in row.values.items()},
                 row.by_epoch) for key, row in self._kept.items()]  # fmt: skip
        return {"next": self._next, "kept": kept, "places": self._places.state}

    def restore(self, state: Mapping[str, Any]) -> None:
        """The opposite of `state`."""
        self._next = state["next"]
        rows = {(name, why): Row(*row) for name, why, *row in state["kept"]}
        self._kept = {key: row._replace(values={name: float(x) for name, x in row.values.items()})
                      for key, row in rows.items()}  # fmt: skip
        self._places.restore(state["places"])


def _extremes(column: Column) -> Iterator[tuple[str, int]]:
    """Why a row is kept for this value, and where it is."""
    finite: Sequence[float]
    places: Sequence[int]
    if _all_finite(column):
        finite, places = column, range(len(column))  # type: ignore[assignment]
    else:
        known = [at for at, x in enumerate(column) if x is not None]
        if not known:
            return
        places = [at for at in known if math.isfinite(column[at])]  # type: ignore[arg-type]
        finite = [column[at] for at in places]  # type: ignore[misc]
        gaps = (at for at in known if not math.isfinite(column[at]))  # type: ignore[arg-type]
        yield from (("gap", at) for at in [*gaps][:1])
        yield "last", known[-1]
    if finite:
        yield "low", places[finite.index(min(finite))]
        yield "high", places[finite.index(max(finite))]
    if len(places) == len(column) and column:
        yield "last", len(column) - 1


def _all_finite(column: Column) -> bool:
    if isinstance(column, Integers):
        return True
    try:
        return math.isfinite(sum(column))  # type: ignore[arg-type]
    except TypeError:  # None in it
        return False


def _all_places(column: Column) -> bool:
    """Whether each is a step or an epoch that a run can have."""
    if isinstance(column, Integers):
        return True  # of few digits
    return _all_finite(column) and min(column) > -LARGEST and max(column) < LARGEST  # type: ignore[type-var, operator]


def _replaces(why: str, value: float | None, before: float) -> bool:
    if why == "last" or value is None:
        return True
    return (why == "low" and value < before) or (why == "high" and value > before)


class Places:
    """Step and epoch of rows that may lack them."""

    def __init__(self, step: str, epoch: str) -> None:
        self._step, self._epoch = step, epoch
        self._last: float | None = None
        self._stepped = False
        self._first: tuple[float, float] | None = None
        """Epoch and step of the first row with both."""
        self._began = self._before = (0.0, 0.0)
        """Of the first row of the epoch so far, and of the last row."""
        self._each = 0.0
        """Steps of an epoch, where each counts them anew; 0 where they go on."""

    def of(self, start: int, part: Chunk) -> tuple[Sequence[float], Column | None]:
        """A step for each row, and the epochs, None where there is none.

        A row without a step is at that of the row before it; in a file without steps the epoch
        is the step, and without either the row's position. Steps that each epoch counts anew are
        added up.
        """
        steps, epochs = part.columns.get(self._step), part.columns.get(self._epoch)
        if epochs and not _all_places(epochs):
            epochs = [x if x is not None and abs(x) < LARGEST else None for x in epochs]
        if steps and epochs:
            for at in () if self._each else _ends(epochs):
                self._in_all(steps[at], epochs[at])
            if self._each:
                steps = [self._in_all(*pair) for pair in zip(steps, epochs, strict=True)]
        if steps and _all_places(steps):
            self._stepped, self._last = True, steps[-1]
            return steps, epochs  # type: ignore[return-value]
        return [self._one(start, at, steps, epochs) for at in range(part.rows)], epochs

    def _in_all(self, step: float | None, epoch: float | None) -> float | None:
        if step is None or epoch is None or not abs(step) < LARGEST:
            return step
        here = (math.floor(epoch), step)
        first = self._first = self._first or here
        if here[0] != self._before[0] or self._first is here:
            began_anew = step <= first[1] and self._began[1] <= first[1]
            if here[0] > self._before[0] and step < self._before[1] and began_anew:
                self._each = self._each or self._before[1] + 1
            self._began = here
        self._before = here
        return step + max(here[0] - first[0], 0) * self._each

    def _one(self, start: int, at: int, steps: Column | None, epochs: Column | None) -> float:
        step = steps[at] if steps else None
        if step is not None and abs(step) < LARGEST:
            self._stepped, self._last = True, step
        elif not self._stepped and epochs and (epoch := epochs[at]) is not None:
            self._last = math.floor(epoch)
        return start + at if self._last is None else self._last

    @property
    def by_epoch(self) -> bool:
        """Whether no row had a step so far, but one an epoch."""
        return not self._stepped and self._last is not None

    @property
    def state(self) -> list[Any]:
        """As JSON."""
        epochs = [self._first, self._began, self._before, self._each]
        return [self._last, self._stepped, epochs]

    def restore(self, state: Sequence[Any]) -> None:
        """The opposite of `state`."""
        self._last, self._stepped, *more = state  # of an earlier version there is no more
        first, began, before, self._each = more[0] if more else (None, (0.0, 0.0), (0.0, 0.0), 0.0)
        self._first = tuple(first) if first else None
        self._began, self._before = tuple(began), tuple(before)


def _ends(epochs: Column) -> Iterator[int]:
    """The first and the last row of each epoch, where these rise; all where one is missing."""
    if isinstance(epochs, list) and None in epochs:
        yield from range(len(epochs))
        return
    at = 0
    while at < len(epochs):
        end = bisect_right(epochs, epochs[at], at)
        yield from (at, max(end - 1, at))
        at = max(end, at + 1)


def _whole(steps: float, otherwise: int) -> int:
    """A number of steps, unless it is none that a run can have."""
    return round(steps) if 0 <= steps < LARGEST else otherwise


class Events:
    """The events of rows."""

    def __init__(self, source: Source, scales: Mapping[str, float]) -> None:
        """`scales`: of the names that have none of their own; known by the first row."""
        self._source, self._scales = source, scales
        self._splits = {name.ours: Value.parse(name.ours).split for name in source.names.values()}
        self._first: tuple[float, float] | None = None
        self._of = 0
        self._measured: float | None = None
        """The last epoch by which it was reckoned how many steps there will be."""
        self.kept = 0
        """Rows that became events."""
        self.given: set[str] = set()
        """Our names of which there was a value."""

    def of(self, row: Row, without: frozenset[str] = frozenset()) -> Iterator[Event]:
        """One event for each split of a row; `without`: our names that are left out."""
        splits: dict[str, dict[str, float]] = {}
        for theirs, value in row.values.items():
            name = self._source.names[theirs]
            if name.ours not in without:
                scale = name.scale if isinstance(name.scale, float) else self._scales[theirs]
                splits.setdefault(self._splits[name.ours], {})[name.ours] = value * scale
        at: dict[str, Any] = {"step": int(row.step)}
        if row.epoch is not None:
            at["epoch"] = row.epoch
        if of := self._last_step(row):
            at["of"] = of
        self.kept += bool(splits)
        for split, values in splits.items():
            self.given |= values.keys()
            if split in ("val", "test"):
                yield "eval", {**at, "split": split, "values": values}
            else:
                yield "step", {**at, "values": values}

    def _last_step(self, row: Row) -> int:
        """The step the run will end at; 0 while it is not known."""
        epochs, epoch = self._source.epochs, row.epoch
        if not epochs or epoch is None:
            return self._of
        if row.by_epoch:
            self._of = epochs
        elif epoch != math.floor(epoch):
            self._of = _whole(row.step / epoch * epochs, self._of)
        elif self._first is None or epoch <= self._first[0]:
            self._first = self._first or (epoch, row.step)
        elif row.step > self._first[1] and epoch != self._measured:
            # Between the first rows of two epochs: the later rows of an epoch are further on.
            self._measured = epoch
            each = (row.step - self._first[1]) / (epoch - self._first[0])
            self._of = _whole(each * epochs, self._of)
        return max(self._of, int(row.step)) if self._of else 0

    @property
    def state(self) -> dict[str, Any]:
        """As JSON."""
        return {"first": self._first, "of": self._of, "measured": self._measured,
                "kept": self.kept, "given": sorted(self.given)}  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """The opposite of `state`."""
        self._first = tuple(state["first"]) if state["first"] else None
        self._of, self.kept, self.given = state["of"], state["kept"], set(state["given"])
        self._measured = state["measured"]
