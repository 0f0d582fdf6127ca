"""Tables of text: comma, tab, semicolon, bar or blanks between cells, and a line of names."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from vitlab.jobs.metrics.formats.decoder import (
    LINE_ENDS,
    SHOWN,
    Chunk,
    Column,
    Decoder,
    Integers,
    is_word,
    number,
    numbers,
    whole_lines,
)
from vitlab.jobs.metrics.formats.named_rows import (
    TIMES,
    meaning,
    naming,
    of_things,
    telling_apart,
)

BLANKS = " "
"""Stands for any number of blanks."""
_DELIMITERS = (",", "\t", ";", "|", BLANKS)
_OUTSIDE = rb"%b(?![^()]*\))"
"""A delimiter that is not within brackets, as in `tensor(0.5, device='cuda:0')`."""
_CUT = re.compile(rb"\.$|[eE][+-]?0?$")
_DECIMAL = re.compile(rb"\s*[-+]?(?![1-9]\d{0,2},\d{3}\s*$)\d*,\d+([eE][-+]?\d+)?\s*")
"""A number with a decimal comma. `1,500` is none: it may be a thousand and a half too."""
_THOUSANDS = re.compile(rb"\s*[-+]?[1-9]\d{0,2}(?:\.\d{3})+\s*")
"""Beside a decimal comma, thousands or a number: `1.500`."""
_BORDER = re.compile(rb"\s*\+(?:[-=]+\+)+\s*")
"""A line between the rows of a drawn table: `+-----+-----+`."""
_SUMMARIES = ("mean", "std", "min", "max", "median", "average", "avg", "sem", "total", "sum")
"""First words of rows over all others."""
_FOLDS = ("fold", "folds", "seed", "cv", "k", "rep", "repeat", "subset")
"""Names of first columns of tables of parts."""
_LONGEST, _LINES = 1 << 16, 16
"""Bytes and lines of a row with a quoted cell."""
MANY = 1 << 30
"""Letters that no cell has."""
_AROUND = b" \t\r\0\"'"
_BRACKETED = 1 << 12
"""Bytes of a row whose delimiters are looked at one by one."""


class Table(Decoder):
    """Reads a table; its header may change on the way, as when a resumed run writes its own."""

    kind = "table"
    by_line = True

    def __init__(
        self, names: Mapping[str, str], step: str, epoch: str, encoding: str = "utf-8"
    ) -> None:
        super().__init__(names, step, epoch, encoding)
        self._delimiter = ""
        self._header: list[str] = []
        self._places: dict[str, int] = {}
        self._open = b""
        """A row so far, that ends within a quoted cell."""
        self.twice: set[str] = set()
        """Wanted names that stand twice in a header: which one is meant is not known."""
        self._numbered: bool | None = None
        """Whether the rows begin with a number; None before one that begins with anything."""
        self.summaries = 0
        """Rows that begin with a word all the same, as a mean over all."""
        self._shortest = MANY
        """Letters of the shortest last cell of a row so far."""
        self._indented = False
        """Whether the header begins with blanks, as above an index of pandas."""
        self._at = self._lost_at = 0
        """Among the rows that are read together, the next one, and the one behind a lost one."""

    def read(self, block: bytes, last: bool) -> tuple[int, list[Chunk]]:
        used, data = whole_lines(block, self.encoding, last)
        rest = b""
        if last and block and not block.endswith(LINE_ENDS):
            data, _, rest = data[:-1].rpartition(b"\n")
            data += b"\n" * bool(data)
        chunks: list[Chunk] = []
        while data and not self._header:
            first, _, data = data.partition(b"\n")
            chunks += self._slow([first])
        chunk = None if self._open else self._fast(data)
        chunks += [chunk] if chunk else self._slow(data.split(b"\n")[:-1])
        chunks += self._slow([rest], at_end=True) if rest else []
        while last and self._open:
            chunks += self._slow(self._taken_back())
        return used, chunks

    def names_ours(self, line: bytes) -> bool:
        """Whether it is a header with one of the names that are wanted."""
        return not {*self.names}.isdisjoint(_split_names(line, self.wanted)[1])

    def _lose(self, cells: Sequence[bytes]) -> None:
        """Leave a row out; a line of words below the rows is none of theirs."""
        self.skipped += 1
        numbered = cells[:1] if self._numbered else cells
        self.lost_last = _has_number(numbered, anywhere=bool(self.problem))
        if self.lost_last:
            self.lost, self._lost_at = {*self._places}.intersection(self.names), self._at

    def _broken(self, held: bytes, line: bytes, cells: Sequence[bytes] | None) -> list[bytes]:
        """The lines to read again, where the quote that began a row was none."""
        if self._open.count(b"\n") > _LINES or len(self._open) > _LONGEST:
            return self._taken_back()
        if held and not self._open and len(cells or ()) != len(self._header):
            self._open = held + line + b"\n"
            return self._taken_back()
        return []

    def _taken_back(self) -> list[bytes]:
        """The lines behind one with a quote that nothing ends: rows of their own."""
        held, self._open = self._open.split(b"\n"), b""
        self._lose(_split(held[0], self._delimiter))
        return held[1:-1]

    def _fast(self, data: bytes) -> Chunk | None:
        """All rows at once; None where not each line is a row of plain numbers."""
        between = self._delimiter.encode()
        if b'"' in data or b"#" in data or between == b" ":
            return None
        width, rows = len(self._header) + 1, data.count(b"\n")
        # A first column of numbers says nothing.
        things = of_things(self._header, self.wanted, any_first=not self._numbered)
        if self.unknown or things or naming(_others(self)):
            return None
        if not self._places:
            if any(name.encode() in data for name in (*self.wanted, *self._header)):
                return None
            return Chunk(rows, {})
        cells = data.replace(b"\n", between + b"\n" + between).split(between)
        cells.pop()
        ends = cells[width - 1 :: width]
        if len(cells) != rows * width or ends.count(b"\n") != rows:
            return None
        first = dict(zip(self._header, cells, strict=False))
        if rows and any(meaning(first[name]) for name in _others(self)):
            return None  # `train`: its cells say what the rows are of
        columns: dict[str, Column] = {}
        odd: list[str] = []
        if self._numbered is None and rows:
            self._numbered = _is_numbered(cells[0::width])
        if self._numbered is not False and 0 not in self._places.values():
            numbers(cells[0::width], odd)
        doubtful = b"_" in data  # Python reads 1_000 as a number
        for name, place in self._places.items():
            texts = cells[place::width]
            if doubtful and b"_" in b"".join(texts):
                return None
            if name not in self.names and Integers.fits(texts):
                columns[name] = Integers(texts)
                continue
            columns[name] = numbers(texts, odd)
            if odd:
                return None
        self.lost_last &= not rows
        self.find_again(columns, 0)
        self._shortest = min([self._shortest, *map(len, cells[width - 2 :: width])])
        others = telling_apart(dict.fromkeys(self._header), self.wanted)
        words = {name: cells[self._header.index(name) :: width] for name in others}
        return Chunk(rows, columns | self.columns_of_words(words, columns))

    def _slow(self, lines: Sequence[bytes], at_end: bool = False) -> Iterator[Chunk]:
        rows: list[list[bytes]] = []
        waiting = deque(lines)
        while waiting:
            line, self._at = waiting.popleft(), len(rows)
            if not self._open and (not line.strip() or _BORDER.fullmatch(line)):
                continue
            if line.lstrip().startswith(b"#") and not self._open:
                bare = line.lstrip().lstrip(b"#")
                if not any(name in _split_names(bare, self.wanted)[1] for name in self.names):
                    continue  # a comment
                line = bare
            held = self._open
            cells = self._cells(line) if self._header else []
            waiting.extendleft(reversed(again := self._broken(held, line, cells)))
            if cells is None or again:
                continue
            if self._delimiter == ";" and b"," in line:
                cells = _with_points(cells)
            if not cells or _is_header(self, cells):
                yield self._chunk(rows)
                rows = []
                self._read_header(line)
                continue
            bracketed = b"(" in line and self._delimiter != BLANKS and len(line) < _BRACKETED
            if len(cells) != len(self._header) and bracketed:
                cells = re.split(_OUTSIDE % re.escape(self._delimiter.encode()), line)
            if len(cells) == len(self._header) + 1 and not cells[-1].strip():
                del cells[-1]  # each row ends with a delimiter, the header does not
            _name_rows(self, line, len(cells))
            if len(cells) == len(self._header):
                rows += self._row(cells, at_end)
                continue
            if _is_header_of(self, line):
                yield self._chunk(rows)
                rows = []
                self._read_header(line)
                continue
            self._lose(cells)
            if {_name(cell) for cell in cells} & {*self._header, *self.wanted}:
                # A header behind half a row of a killed run: what it says is not known.
                yield self._chunk(rows)
                rows, self._places = [], {}
        yield self._chunk(rows)
        self._at = 0

    def _row(self, cells: list[bytes], at_end: bool) -> list[list[bytes]]:
        if self._is_summary(cells[0]):
            self.summaries += 1
            return []
        if at_end and self._header[-1] in self._places and _is_cut(cells[-1], self._shortest):
            self._lose(cells)
            return []
        self.lost_last = not self._places
        return [cells]

    def _chunk(self, rows: Sequence[Sequence[bytes]]) -> Chunk:
        columns: dict[str, Column] = {}
        self._shortest = min([self._shortest, *(len(row[-1].strip(_AROUND)) for row in rows)])
        cells = _named(rows, self._header, self.may_tell(_others(self)))
        parts = self.parts_of({name: cells[name] for name in self.telling(cells)})
        for name, place in self._places.items():
            texts = self.own_cells(name, [row[place] for row in rows], parts, b"")
            odd: list[str] = []
            plain = not any(b"_" in one for one in texts)
            columns[name] = numbers(texts, odd) if plain else [number(one, odd) for one in texts]
            self.count_odd(name, texts, columns[name], odd)
        self.find_again(columns, self._lost_at)
        self._lost_at = 0
        things = of_things(self._header, self.wanted, any_first=True)
        words = _named(rows, self._header, telling_apart(dict.fromkeys(self._header), self.wanted))
        columns |= self.columns_of_words(words, columns)
        return Chunk(len(rows), columns | self.column_of_things(_named(rows, self._header, things)))

    def _cells(self, line: bytes) -> list[bytes] | None:
        """The cells of a row; None where it goes on in the next line, or is broken."""
        if b'"' not in line:
            if not self._open:
                return _split(line, self._delimiter)
            self._open += line + b"\n"
            return None
        row = self._open + line
        self._open = b""
        try:
            return _quoted(row, self._delimiter)
        except csv.Error as error:
            if "end of data" in str(error):
                self._open = row + b"\n"
            else:
                self.skipped += row is line
            return None

    def _is_summary(self, first: bytes) -> bool:
        """Whether a row begins with a word where the others begin with a number."""
        if self._numbered is None:
            self._numbered = _is_numbered([first])
        return bool(self._numbered) and is_word(first) and _name(first)[:1].isalpha()

    def _read_header(self, line: bytes) -> None:
        self._delimiter, self._header = _split_names(line, self.wanted)
        _name_index(self._header, self._delimiter)
        self._numbered, self._shortest = None, MANY
        self._indented = line[:1].isspace()
        _name_axes(self._header, {*self.wanted}.difference(self.names) | self.matched, self.names)
        counts = {name: self._header.count(name) for name in self.wanted}
        self._places = {name: self._header.index(name) for name in counts if counts[name] == 1}
        lost = self.matched.intersection(self.names) and not {*self.names} & self._places.keys()
        self.problem = f"a later header has none of {', '.join(self.names)}" if lost else ""
        self.matched |= self._places.keys()
        self.twice |= {name for name in counts if counts[name] > 1}
        self.columns += [name for name in self._header if name and name not in self.columns]
        del self.columns[SHOWN:]

    @property
    def state(self) -> dict[str, Any]:
        own = {"delimiter": self._delimiter, "header": self._header,
               "places": self._places, "open": self._open.decode("utf-8", "surrogateescape"),
               "twice": sorted(self.twice), "numbered": self._numbered,
               "summaries": self.summaries, "problem": self.problem,
               "shortest": self._shortest, "indented": self._indented}  # fmt: skip
        return {**super().state, **own}

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self._delimiter = state["delimiter"]
        self._header, self._places = list(state["header"]), dict(state["places"])
        self._open = state["open"].encode("utf-8", "surrogateescape")
        self.twice, self.problem = set(state["twice"]), state["problem"]
        self._numbered, self.summaries = state["numbered"], state["summaries"]
        self._shortest = state.get("shortest", MANY)
        self._indented = bool(state.get("indented"))


def _has_number(cells: Sequence[bytes], *, anywhere: bool) -> bool:
    """Whether one of the cells is no word; `anywhere`: or begins with a digit, as a whole row."""
    told = (cell for cell in cells if cell.strip(b" \t\0"))
    return any(not is_word(cell) or (anywhere and cell[:1].isdigit()) for cell in told)


def _name_rows(table: Table, line: bytes, cells: int) -> None:
    """Take the first cell for a row's name where the first row has one more than the header.

    As `write.table` of R does, which quotes it, and `to_string` of pandas.
    """
    named = line[:1] == b'"' or (table._indented and not line[:1].isspace())
    blank = table._delimiter in (BLANKS, "\t")
    if table._numbered is None and blank and named and cells == len(table._header) + 1:
        table._header.insert(0, "" if "index" in table._header else "index")
        table._places = {name: place + 1 for name, place in table._places.items()}


def _name_index(header: list[str], delimiter: str) -> None:
    """Name the first column where it has no name, as pandas writes its index."""
    first = int(delimiter == "|" and header[0] == "")
    if header[first : first + 1] == [""] and "index" not in header:
        header[first] = "index"


def _name_axes(header: list[str], axes: set[str], names: Sequence[str]) -> None:
    """Call a column as the axis is called that it is but for its case: `Epoch` is the epoch.

    In a later header also as one that an earlier one had.
    """
    for axis in axes.difference(header):
        alike = [name for name in header if name.lower() == axis.lower()]
        if len(alike) == 1 and alike[0] not in names:
            header[header.index(alike[0])] = axis


def _named(
    rows: Sequence[Sequence[bytes]], header: Sequence[str], names: Iterable[str]
) -> dict[str, list[bytes]]:
    """The cells of these columns."""
    return {name: [row[header.index(name)] for row in rows] for name in names}


def _others(table: Table) -> list[str]:
    """Columns whose cells may say what a row is of; a first one of numbers does not."""
    numbers = table._header[:1] if table._numbered else []
    return [x for x in dict.fromkeys(table._header) if x and x not in (*table.wanted, *numbers)]


def _with_points(cells: list[bytes]) -> list[bytes]:
    """A row with points in place of decimal commas; what may be thousands beside one is none."""
    if not any(map(_DECIMAL.fullmatch, cells)):
        return cells
    cells = [x.strip() + b" or thousands?" if _THOUSANDS.fullmatch(x) else x for x in cells]
    return [x.replace(b",", b".") if _DECIMAL.fullmatch(x) else x for x in cells]


def _is_header(table: Table, cells: Sequence[bytes]) -> bool:
    """Whether a line holds names, and no numbers."""
    if cells[0] and not is_word(cells[0]):
        return False
    full = [cell for cell in cells if cell.strip()]
    if not full or not all(map(is_word, full)):
        return False
    names = {_name(cell) for cell in full}
    if {*table._header, *table.wanted} & names:
        return True
    # Words that begin with a digit or a sign are odd cells of a row: `1/4`, `20%`.
    plain = all(name[:1].isalpha() or name[:1] == "_" for name in names)
    return plain and len(full) == len(cells) > 1 and len(names) == len(full)


def _is_header_of(table: Table, line: bytes) -> bool:
    """Whether it is a header under another delimiter, as below a comment like one."""
    delimiter, names = _split_names(line, table.wanted)
    return (
        delimiter != table._delimiter
        and not {*table.names}.isdisjoint(names)
        and all(is_word(name.encode()) for name in names if name)
    )


def is_of_folds(table: Table, rows: int) -> bool:
    """Whether rows are parts of a whole, as folds and seeds, so that the last is no result.

    `rows`: those of this run; others may have appended theirs to the same table.
    """
    names = [name.lower() for name in table._header]
    axes = {name.lower() for name in {*table.wanted} - {*table.names}}
    is_series = bool({*axes, *TIMES} & {*names})
    is_split = table.parts_seen.get("split") and table.summaries == 0
    of_parts = bool(names) and (names[0] in _FOLDS or table.summaries > 0) and not is_split
    return of_parts and not is_series and rows + table.summaries > 1


def _is_numbered(cells: Sequence[bytes]) -> bool | None:
    """Whether rows begin with a number, by the first cell with anything in it; None without."""
    first = next((cell for cell in cells if cell.strip(_AROUND)), None)
    return None if first is None else not is_word(first) or _name(first).lower() in _SUMMARIES


def _is_cut(cell: bytes, shortest: int) -> bool:
    """Whether a number at the very end of a file seems to be a part of one.

    It ends at the point or within an exponent (`e-0`), or is shorter by two letters than the
    `shortest` of all rows before.
    """
    cell = cell.strip(_AROUND)
    return bool(_CUT.search(cell)) or len(cell) + 1 < shortest < MANY


def _split_names(line: bytes, wanted: Sequence[str]) -> tuple[str, list[str]]:
    """The delimiter under which a header has the most of the wanted names, and its names."""
    best = 0, 0, _DELIMITERS[0], [_name(line)]
    for delimiter in _DELIMITERS:
        try:
            names = [_name(cell) for cell in _quoted(line, delimiter)]
        except csv.Error:
            continue
        fits = sum(name in names for name in wanted)
        cells = len(names) if delimiter != BLANKS else min(len(names), 1)
        if (fits, cells) > best[:2]:
            best = fits, cells, delimiter, names
    return best[2], best[3]


def _split(line: bytes, delimiter: str) -> list[bytes]:
    return line.split() if delimiter == BLANKS else line.split(delimiter.encode())


def _quoted(line: bytes, delimiter: str) -> list[bytes]:
    """The cells of a line that may have quoted ones."""
    if b'"' not in line:
        return _split(line, delimiter)
    text = line.decode("utf-8", "surrogateescape")
    try:
        cells = next(csv.reader([text], delimiter=delimiter, skipinitialspace=True, strict=True))
    except csv.Error as error:
        if "end of data" in str(error):
            raise
        cells = next(csv.reader([text], delimiter=delimiter, skipinitialspace=True))
    return [cell.encode("utf-8", "surrogateescape") for cell in cells]


def _name(cell: bytes) -> str:
    """A header's cell; its encoding is tried, as a wrong one cannot give a name that is wanted."""
    for encoding in ("utf-8", "gb18030", "latin-1"):
        try:
            return cell.decode(encoding).strip("\ufeff\0 \t\r\"'")
        except UnicodeDecodeError:
            continue
    return ""
