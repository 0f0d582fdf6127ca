"""Rows of numbers in columns, and which of them are new when their file is written anew."""

from __future__ import annotations

import marshal
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vitlab.jobs.metrics.formats.cells import Chunk

ALL = 1024
"""Rows at the beginning that are each a stretch of their own."""
_SHIFT = 7
"""Later stretches have 1/128 to 1/64 as many rows as there are before them."""


def stretch_end(row: int) -> int:
    """Where the stretch of rows that `row` is in ends: longer and longer ones."""
    return (row | (_length(row) - 1)) + 1


def _length(row: int) -> int:
    return 1 if row < ALL else 1 << (row.bit_length() - _SHIFT)


class KnownRows:
    """Which rows have been passed on, by position and content, in little memory.

    A digest of all rows up to each stretch's end is kept. When a file is read again from its
    start, the rows up to the last digest that fits are known, and the later ones new.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """`names`: of the columns that make a row."""
        self._names = names
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
            # The five bytes before the numbers are a type and a length.
            data = b"N" * part.rows if column is None else marshal.dumps(column, 2)[5:]
            self._sums[name] = zlib.crc32(data, so_far)

    def _digest(self) -> int:
        return zlib.crc32(marshal.dumps(list(self._sums.values()), 2))

    @property
    def all_read(self) -> bool:
        """Whether the file holds all of these, as far as it was read."""
        return not self._checks

    @property
    def state(self) -> dict[str, Any]:
        """As JSON, with enough of the digests."""
        some = {row: x for row, x in self._digests.items()
                if row <= 64 or row % max(64, 8 * _length(row)) == 0}  # fmt: skip
        state = {"count": self._count, "digests": [*some.items()]}
        if not self._checks:
            return {**state, "sums": self._sums}
        end = self._checks[0]
        return {**state, "digests": [*some.items(), (end, self._digests[end])]}

    @state.setter
    def state(self, state: Mapping[str, Any]) -> None:
        self.forget()
        self._digests = dict(state["digests"])
        self._count = state["count"]
        if "sums" not in state:
            self._begin_checks()  # it was being read again: from its start once more
            return
        self._row = self._count
        self._sums.update(state["sums"])
