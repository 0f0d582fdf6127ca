"""Cells as numbers, and what the readers of all kinds of metrics files have in common."""

from __future__ import annotations

import contextlib
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar, overload
from zlib import crc32

from vitlab.contract.reading import MOST_DIGITS
from vitlab.jobs.metrics.formats.named_rows import (
    Parts,
    add_seen,
    fits,
    may_say,
    meaning,
    naming,
    of_things,
    own_parts,
    parts_of,
    telling_apart,
    thing,
    without_row,
    word,
)

T = TypeVar("T")
THING = "\0thing"
"""The column of a chunk that tells rows of one thing from those of another, by a number."""
WORD = "\0word "
"""Before a column's name: the column of a chunk that has a number for each word of its cells.

Below 0 where the word has the row's own step or epoch in it.
"""
MOST_WORDS, MOST_COLUMNS = 1000, 8
"""More different ones, of rows that are read together, say of no training what it is; and columns
of which that is asked."""
SHOWN = 200
"""Columns that are listed at most."""
LONGEST = 256
"""Letters of a number with what is around it, and of a column's name; a longer one is left out."""
LISTED = 64
"""Elements of a list that can be named by their places."""
LINE_ENDS = b"\n", b"\n\0", b"\r"
"""Bytes at the end of a line, in any encoding."""
Column = Sequence[float | None]
"""The numbers of one column; None where a row has none. NaN and infinities are numbers."""


class Integers(Sequence[float]):
    """Cells of digits, which become numbers when they are looked at: a few of the steps are."""

    def __init__(self, cells: Sequence[bytes]) -> None:
        self._cells = cells

    @staticmethod
    def fits(cells: Sequence[bytes]) -> bool:
        """Whether each cell is a number without sign, point or exponent, of few digits."""
        is_whole = b"".join(cells).isdigit() and b"" not in cells
        return is_whole and max(map(len, cells)) <= MOST_DIGITS

    def __len__(self) -> int:
        return len(self._cells)

    @overload
    def __getitem__(self, at: int) -> float: ...
    @overload
    def __getitem__(self, at: slice) -> Integers: ...
    def __getitem__(self, at: int | slice) -> float | Integers:
        if isinstance(at, slice):
            return Integers(self._cells[at])
        return float(self._cells[at])


@dataclass(frozen=True)
class Chunk:
    """Rows in order, as columns by their names."""

    rows: int
    columns: Mapping[str, Column]

    def part(self, start: int, end: int) -> Chunk:
        """Its rows from `start` to `end`."""
        if (start, end) == (0, self.rows):
            return self
        return Chunk(
            end - start, {name: column[start:end] for name, column in self.columns.items()}
        )


_EMPTY = frozenset(("", "none", "null", "na", "n/a", "<na>", "-", "--"))
_WRAPPED = re.compile(  # tensor(0.5), tensor([0.1], device='cuda:0'), np.float32(0.5), [0.5]
    r"[(\[\s]*+(?:[A-Za-z_][\w.]*+\()?[(\[\s]*+([-+]?[\w.]+(?:[eE][-+]?\d+)?)[\s\])]*+"
    r"(?:,\s*+\w++\s*+=(?:[^()]|\(\))*+)?,?[\s\])]*+"
)
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:(?:,\d{3})+\.\d+|(?:,\d{3}){2,})")
"""`1,234.5` and `1,234,567`, whose commas can be nothing else."""
_LETTER = re.compile(rb"[A-DF-Za-df-z\x80-\xff]")
"""In no number but for an exponent, which has an e."""
_DIGITS = re.compile("[0-9]+")
_BLANK = " \t\r\n\f\v\0\ufeff\u00a0"
_NAN = re.compile(r"[-+]?(1\.#(qnan|snan|ind|nan)\d*|nan(\(\w*\)|[qs]|\d\d)|\.nan)", re.IGNORECASE)
_INFINITE = re.compile(r"([-+]?)(1\.#inf\d*|\.inf|inf\d\d)", re.IGNORECASE)
"""As written by C on Windows and AIX, by YAML, and by Julia."""


def numbers(cells: Sequence[bytes], odd: list[str]) -> Column:
    """The numbers of text cells without `_`; what is neither empty nor one is added to `odd`."""
    with contextlib.suppress(ValueError):
        return list(map(float, cells))
    with contextlib.suppress(ValueError):
        return [float(cell) if cell else None for cell in cells]
    return [number(cell, odd) for cell in cells]


def number(cell: object, odd: list[str]) -> float | None:
    """The number in a text or JSON cell; None for an empty one, and for one added to `odd`."""
    if isinstance(cell, bytes):
        cell = cell.decode("utf-8", "replace")
    if isinstance(cell, bool):
        odd.append(str(cell))
        return None
    if isinstance(cell, int | float):
        try:
            return float(cell)
        except OverflowError:
            return math.inf if cell > 0 else -math.inf
    if cell is None:
        return None
    if isinstance(cell, list) and len(cell) == 1:
        return number(cell[0], odd)
    text = cell.strip(_BLANK) if isinstance(cell, str) else ""
    if text[:1] in ("'", '"') and text[-1:] == text[:1]:
        text = text[1:-1].strip(_BLANK)
    if isinstance(cell, str) and text.lower() in _EMPTY:
        return None
    found = _float(text.rstrip(",;").removesuffix("."))  # what ends a sentence
    if found is None and len(text) < LONGEST and (match := _WRAPPED.fullmatch(text)):
        found = _float(match[1])
    if found is None:
        kind = type(cell).__name__
        odd.append(text or (f"a {kind} of {len(cell)}" if isinstance(cell, list | dict) else kind))
    return found


def _float(text: str) -> float | None:
    if "_" in text:
        return None  # Python reads 1_000, no logger writes it
    try:
        return float(text)
    except ValueError:
        if _NAN.fullmatch(text):
            return math.nan
        if _THOUSANDS.fullmatch(text):
            return float(text.replace(",", ""))
        infinite = _INFINITE.fullmatch(text)
        return float(f"{infinite[1]}inf") if infinite else None


def is_word(cell: object) -> bool:
    """Whether it is neither empty nor a number: the cell of a header."""
    odd: list[str] = []
    number(cell, odd)
    return bool(odd)


class Cells:
    """Makes numbers of the cells of rows, and keeps what was odd about them."""

    kind = ""
    """For people."""
    whole = False
    """Whether it needs the file as a whole, and reads it again whenever it changes."""

    def __init__(
        self, names: Mapping[str, str], step: str, epoch: str, encoding: str = "utf-8"
    ) -> None:
        """`names` (with ours for them), `step`, `epoch`: the columns to read."""
        self.names, self.step, self.encoding = [*names], step, encoding
        self._own = {theirs: own_parts(theirs, ours) for theirs, ours in names.items()}
        self.parts_seen: dict[str, list[str]] = {}
        """Which splits, labels and metrics rows said that they are of."""
        self.labelled: set[str] = set()
        """Names of which rows name the label."""
        self._said: dict[str, set[str]] = {}
        """Columns of any name -> the splits and labels that cells name; "" for what names none."""
        self.things: list[str] = []
        """Columns that may say that rows are of several things."""
        self.at = 0
        """The byte of the file where the next block begins."""
        self.wanted = [*dict.fromkeys((*names, step, epoch))]
        self._axes = step, epoch
        self.columns: list[str] = []
        """Of the file, `SHOWN` at most."""
        self.matched: set[str] = set()
        """Columns of `wanted` that the file has."""
        self.skipped = 0
        """Rows that could not be read."""
        self.odd: dict[str, tuple[int, str]] = {}
        """Column -> how many of its cells are no numbers, and one of them."""
        self.unknown: set[str] = set()
        """Columns whose last cell is no number: a value before it is not the last one."""
        self.lost_last = False
        """Whether the newest row could not be read: the values before it are not the last ones."""
        self.lost: set[str] = set()
        """Names of a row that could not be read, of which no later one has a value."""
        self.dropping = False
        """Whether the next block begins within a line that is too long."""
        self.problem = ""
        """Why it cannot be read further."""

    def count_odd(
        self, name: str, cells: Sequence[object], column: Column, odd: Sequence[str]
    ) -> None:
        """Take note of cells that are no numbers, and of whether the last one is."""
        if odd or name in self.unknown:
            for cell, value in zip(reversed(cells), reversed(column), strict=True):
                if value is not None:
                    self.unknown.discard(name)
                    break
                if is_word(cell):
                    self.unknown.add(name)
                    break
        if odd:
            count, example = self.odd.get(name, (0, odd[0]))
            self.odd[name] = count + len(odd), example[:40]

    def find_again(self, columns: Mapping[str, Column], start: int) -> None:
        """Take what rows have from `start` on for no longer lost."""
        self.lost = {name for name in self.lost
                     if all(x is None for x in columns.get(name, ())[start:])}  # fmt: skip

    def telling(self, columns: Mapping[str, Sequence[object]]) -> list[str]:
        """Those of the columns whose cells say what a row is of.

        By their names, or as their cells have named two splits or labels so far, and nothing else.
        """
        known = naming(columns)
        for name, cells in columns.items():
            said = self._said.setdefault(name, set())
            if name not in known and not may_say(name):
                said.add("")
            if name not in known and "" not in said:
                said |= {meaning(cell) for cell in cells if cell not in (None, "", b"")}
        others = (name for name in columns if name not in known)
        return [*known, *(x for x in others if len(self._said[x]) > 1 and "" not in self._said[x])]

    def may_tell(self, columns: Iterable[str]) -> list[str]:
        """Those that `telling` is to look at."""
        return [name for name in columns if "" not in self._said.get(name, ()) or naming([name])]

    def parts_of(self, telling: Mapping[str, Sequence[object]]) -> list[Parts]:
        """What each row says that it is of; `telling`: columns that may say it, by their names."""
        rows = zip(*telling.values(), strict=True)
        found = [parts_of(dict(zip(telling, cells, strict=True))) for cells in rows]
        for one in found:
            add_seen(one, self.parts_seen)
        return found

    def column_of_things(self, telling: Mapping[str, Sequence[object]]) -> dict[str, Column]:
        """`THING`, where there are such columns; `telling`: their cells."""
        if not telling:
            return {}
        self.things = [*telling]
        found = (thing(dict(zip(telling, cells, strict=True)))
                 for cells in zip(*telling.values(), strict=True))  # fmt: skip
        return {THING: [float(crc32(one.encode("utf-8", "replace"))) if one else None
                        for one in found]}  # fmt: skip

    def columns_of_words(
        self, cells_of: Mapping[str, Sequence[object]], columns: Mapping[str, Column]
    ) -> dict[str, Column]:
        """`WORD` of those that are `telling_apart`; `columns`: the numbers of the same rows."""
        found: dict[str, Column] = {}
        axes = [x for x in (columns.get(axis) for axis in self._axes) if x]
        for name, cells in cells_of.items():
            if not _has_words(cells):
                continue
            cells = [x if isinstance(x, bytes | str | int | float) else "" for x in cells]
            known = {cell: _numbered(word(cell)) for cell in {*cells}}
            if len(known) > MOST_WORDS or not any(number for number, _ in known.values()):
                continue
            found[WORD + name] = numbers = [known[cell][0] for cell in cells]
            for at, cell in enumerate(cells) if any(own for _, own in known.values()) else ():
                number, own = known[cell]
                if own and number and _has_one(own, [axis[at] for axis in axes]):
                    numbers[at] = -number
            if len(found) == MOST_COLUMNS:
                break
        return found

    def own_cells(self, name: str, cells: Sequence[T], rows: Sequence[Parts], empty: T) -> list[T]:
        """The cells of a column, with `empty` in rows that say that they are of another value.

        Once rows with a cell of it name its label, one that names none is a mean over labels.
        """
        own = self._own.get(name)
        if not own or not (rows or name in self.labelled):
            return [*cells]
        rows = rows or [{}] * len(cells)
        fit = [fits(row, own) for row in rows]
        if "label" in own:
            told = zip(cells, rows, fit, strict=True)
            if any(ok and "label" in row and cell != empty for cell, row, ok in told):
                self.labelled.add(name)
        if name in self.labelled:
            fit = [ok and "label" in row for row, ok in zip(rows, fit, strict=True)]
        return [cell if ok else empty for cell, ok in zip(cells, fit, strict=True)]

    @property
    def others(self) -> Mapping[str, str]:
        """Columns that no row is of, by what rows say, and what rows there are."""
        whys = {name: without_row(self._own[name], self.parts_seen) for name in self.names}
        return {name: why for name, why in whys.items() if why}

    def chunk_of(self, rows: Sequence[Mapping[str, Any]], lost_at: int = 0) -> Chunk:
        """Rows with named cells, nested ones too: `val.r2` or `val/r2` is `{val: {r2: ...}}`.

        `lost_at`: before which of them one was lost.
        """
        flat = [flattened(row) for row in rows]
        columns: dict[str, Column] = {}
        others = self.may_tell(
            sorted({name for row in flat for name in row}.difference(self.wanted))
        )
        cells_of = {name: [row.get(name) for row in flat] for name in others}
        parts = self.parts_of({name: cells_of[name] for name in self.telling(cells_of)})
        for name in self.wanted:
            plain = dotted(name)
            odd: list[str] = []
            cells = [row[name] if name in row else row.get(plain) for row in flat]
            cells = self.own_cells(name, cells, parts, None)
            columns[name] = [None if cell is None else number(cell, odd) for cell in cells]
            self.count_odd(name, cells, columns[name], odd)
            if name not in self.matched and any(name in row or plain in row for row in flat):
                self.matched.add(name)
        self.find_again(columns, lost_at)
        self._list_columns(rows)
        things = of_things([*dict.fromkeys(chain(*flat))], self.wanted, any_first=False)
        told = {name: [row.get(name) for row in flat] for name in things}
        others = telling_apart(dict.fromkeys(chain(*flat)), self.wanted)
        columns |= self.columns_of_words({x: [row.get(x) for row in flat] for x in others}, columns)
        return Chunk(len(rows), columns | self.column_of_things(told))

    def _list_columns(self, rows: Iterable[Mapping[str, Any]]) -> None:
        known = set(self.columns)
        for row in rows:
            if len(known) < SHOWN and not known >= row.keys():
                fresh = [name for name in _leaves(row) if name not in known]
                known.update(fresh, row)
                self.columns += fresh

    @property
    def state(self) -> dict[str, Any]:
        """As JSON."""
        return {"columns": self.columns, "matched": sorted(self.matched), "skipped": self.skipped,
                "odd": self.odd, "unknown": sorted(self.unknown), "seen": self.parts_seen,
                "said": {name: sorted(said) for name, said in self._said.items()},
                "things": self.things, "labelled": sorted(self.labelled),
                "lost_last": self.lost_last, "lost": sorted(self.lost),
                "encoding": self.encoding, "dropping": self.dropping}  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """The opposite of `state`."""
        self.columns, self.matched = list(state["columns"]), set(state["matched"])
        self.skipped, self.encoding = state["skipped"], state["encoding"]
        self.dropping, self.lost_last = bool(state.get("dropping")), bool(state.get("lost_last"))
        self.unknown, self.parts_seen = set(state["unknown"]), dict(state.get("seen", {}))
        self.lost = {*state.get("lost", ())}
        self._said = {name: {*said} for name, said in state.get("said", {}).items()}
        self.things, self.labelled = list(state.get("things", ())), {*state.get("labelled", ())}
        self.odd = {name: (count, example) for name, (count, example) in state["odd"].items()}


def _has_words(cells: Sequence[object]) -> bool:
    """Whether any of them may hold a word: most columns are of numbers."""
    texts = [cell for cell in cells if isinstance(cell, bytes)]
    letters = _LETTER.search(b" ".join(texts)) if texts else None
    return letters is not None or any(isinstance(cell, str) for cell in cells)


def _numbered(text: str) -> tuple[float | None, frozenset[float]]:
    """A number above 0 for a word, none for an empty one, and the numbers that stand in it."""
    number = crc32(text.encode("utf-8", "replace")) + 1.0 if text else None
    return number, frozenset(map(float, _DIGITS.findall(text)))


def _has_one(numbers: frozenset[float], places: Sequence[float | None]) -> bool:
    return any(x in numbers or x + 1 in numbers for x in places if x is not None)


class Decoder(Cells, ABC):
    """Reads rows from the bytes of one file, in blocks from its start."""

    by_line = False
    """Whether a row is a line, so that it can go on behind one that is too long."""

    def passes_over(self) -> bool:
        """Whether the beginning of a line that is too long can be left out."""
        if not self.by_line or self.encoding != "utf-8":
            return False
        self.skipped += not self.dropping
        self.dropping, self.lost = True, {*self.names}
        return True

    def behind(self, block: bytes) -> int:
        """How much of a block is still of that line."""
        end = block.find(b"\n") + 1
        self.dropping = not end
        return end or len(block)

    @abstractmethod
    def read(self, block: bytes, last: bool) -> tuple[int, list[Chunk]]:
        """How many bytes of `block` were used, and their rows.

        `last`: nothing follows, so that a line without an end is one too.
        """


def flattened(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row with its nested cells by dotted names; names with `/` by dots too.

    Of a short list each one by its place: `test_coco_eval_bbox.0`, `labels.0.std`.
    """
    if not any("/" in name or isinstance(cell, Mapping | list) for name, cell in row.items()):
        return row
    flat: dict[str, Any] = dict(row)
    for name, cell in row.items():
        if isinstance(cell, list) and len(cell) <= LISTED:
            cell = {str(place): content for place, content in enumerate(cell)}
        if isinstance(cell, Mapping):
            for inner, content in flattened(cell).items() if len(name) <= LONGEST else ():
                if len(inner) <= LONGEST:
                    flat.setdefault(dotted(f"{name}.{inner}"), content)
        else:
            flat.setdefault(dotted(name), cell)
    return flat


def dotted(theirs: str) -> str:
    """A program's own name, however it is nested."""
    return theirs.replace("/", ".")


def _leaves(row: Mapping[str, Any]) -> Iterable[str]:
    for name, cell in row.items():
        if len(name) > LONGEST:
            continue
        if isinstance(cell, Mapping):
            yield from (f"{name}.{inner}" for inner in _leaves(cell) if len(inner) <= LONGEST)
        else:
            yield name


def whole_lines(block: bytes, encoding: str, last: bool) -> tuple[int, bytes]:
    """How many bytes are whole lines, and these as UTF-8 with plain newlines."""
    if encoding == "utf-8":
        if b"\n" not in block and block.count(b"\r") > 1:
            block = block.replace(b"\r", b"\n")
        used = len(block) if last else block.rfind(b"\n") + 1
        data = block[:used]
    else:
        end = "\n".encode(encoding)
        used = block.rfind(end)
        while used % len(end) and used > 0:  # within two characters
            used = block.rfind(end, 0, used + len(end) - 1)
        used = len(block) if last else used + len(end) if used >= 0 else 0
        data = block[:used].decode(encoding, "replace").encode("utf-8", "replace")
    data = data.replace(b"\r\n", b"\n") if b"\r" in data else data
    if data and not data.endswith(b"\n"):
        data += b"\n"
    return used, data
