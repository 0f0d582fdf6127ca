"""Rows in JSON: one object a line, or a document that holds a list of them."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from vitlab.contract.reading import MAX_DEPTH
from vitlab.jobs.metrics.formats.decoder import (
    LONGEST,
    Chunk,
    Decoder,
    dotted,
    flattened,
    whole_lines,
)
from vitlab.jobs.metrics.formats.named_rows import TIMES

_BETWEEN = re.compile(r"[, \t\r\n]*")
"""What stands between two objects."""


_PYTHON = re.compile(
    r"\b(?:None|True|False|nan|inf)\b|'|\b[A-Za-z_][\w.]{0,40}\(\[?([-+]?[\w.]{1,40}(?:[eE][-+]\d+)?)"
    r"\]?(?:,\s*\w+=[^()]{0,99})?\)"
)
"""What Python writes of a dict otherwise than JSON: its words, quotes, `np.float64(0.5)`."""
_WORDS = {"None": "null", "True": "true", "False": "false", "nan": "NaN", "inf": "Infinity",
          "'": '"'}  # fmt: skip
_NUMBERED = re.compile(r"(?:(epoch|step|iteration|iter)[ _:=-]?|)(\d{1,9})", re.I)
"""The name of a row among others."""


class JsonLines(Decoder):
    """One object a line, also behind a logger's time and level."""

    kind = "JSON lines"
    by_line = True

    def read(self, block: bytes, last: bool) -> tuple[int, list[Chunk]]:
        used, data = whole_lines(block, self.encoding, last)
        rows, lost_at = [], 0
        for line in data.split(b"\n"):
            if not line.strip():
                continue
            row = row_of(line)
            if row is not None:
                rows.append(row)
            else:
                self.skipped += 1
                if names := self._names_in(line):
                    self.lost, lost_at = self.lost | names, len(rows)
            self.lost_last = row is None and line.lstrip().startswith(b"{")
        return used, [self.chunk_of(rows, lost_at)]

    def _names_in(self, line: bytes) -> set[str]:
        """The names that an object in it has, though it cannot be read; all of one that is cut."""
        _, start, text = line.partition(b"{")
        found = {
            name
            for name in (self.wanted if start else ())
            if re.search(rb"[\"'/.]" + re.escape(_key(name)) + rb"[\"']\s*:", text)
        }
        is_cut = text.count(b"{") + 1 > text.count(b"}")
        return {*self.names} if found and is_cut else found.intersection(self.names)


class JsonDocument(Decoder):
    """A list of objects, or an object that holds one: the `log_history` of a Trainer's state.

    Also an object of columns, each a list of numbers, or of single numbers.
    """

    kind = "JSON"
    whole = True

    def read(self, block: bytes, last: bool) -> tuple[int, list[Chunk]]:
        document = parsed(block, self.encoding)
        if document is None and block.startswith((b"{'", b"[{'")):  # as Python prints it
            text = _PYTHON.sub(_as_json, block.decode(self.encoding, "replace"))
            document = parsed(text.encode(), "utf-8")
        if document is None and (several := self._several(block, last)):
            return len(block), [self.chunk_of(several)]
        if document is None:
            self.problem = "is not valid JSON" if last else ""  # or is being written
            return (len(block) if last else 0), []
        rows = rows_in(document, self.names, {*self.wanted}.difference(self.names))
        if rows is None:
            self.problem = "is JSON without a single list of rows"
        return len(block), [self.chunk_of(rows or [])]

    def _several(self, block: bytes, last: bool) -> list[dict[str, Any]]:
        """Objects over several lines one after another, also in a list that has no end yet."""
        text, rows = block.decode(self.encoding, "replace").lstrip("\ufeff \t\r\n["), []
        decoder, at = json.JSONDecoder(), 0
        with contextlib.suppress(ValueError, RecursionError):
            while text.startswith("{", at):
                row, at = decoder.raw_decode(text, at)
                at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]  # matches nothing too
                if _is_shallow(row):
                    rows.append(row)
                else:
                    self.skipped += 1
        self.lost_last = last and text.startswith("{", at)
        self.skipped += self.lost_last
        return rows


def _key(name: str) -> bytes:
    """The last word of a name, however it is nested."""
    words = [word for word in dotted(name).split(".") if not word.isdigit()]
    return (words or [name])[-1].encode()


def row_of(line: bytes) -> dict[str, Any] | None:
    """The object at the end of a line, also as Python prints a dict; None where there is none."""
    row = parsed(line)
    if row is None and (start := line.find(b"{")) >= 0:
        text = line[start:]
        row = parsed(text) if start else None
        if row is None and text.startswith((b"{'", b"{ '")):
            row = parsed(_PYTHON.sub(_as_json, text.decode("utf-8", "replace")).encode())
    return row if isinstance(row, dict) else None


def _as_json(match: re.Match[str]) -> str:
    number = match[1]
    return _WORDS.get(number or match[0], number or match[0])


def parsed(text: bytes, encoding: str = "utf-8") -> Any:
    """The content of a JSON text; None for what is none."""
    try:
        document = json.loads(text.decode(encoding, "replace").lstrip("\ufeff"))
    except (ValueError, RecursionError):
        return None
    return document if _is_shallow(document) else None


def _is_shallow(document: Any) -> bool:
    """Whether its lists and objects are at most `MAX_DEPTH` deep within each other."""
    inner = [document]
    for _ in range(MAX_DEPTH + 1):
        inner = [part for one in inner if isinstance(one, dict | list)
                 for part in (one.values() if isinstance(one, dict) else one)]  # fmt: skip
        if not inner:
            return True
    return False


def rows_in(
    document: Any, names: Sequence[str] = (), axes: Collection[str] = ()
) -> list[dict[str, Any]] | None:
    """The rows of a document; None where it has none, or more than one list of them.

    A single number beside them is a row of its own after them: a score of the end.
    """
    if isinstance(document, list):
        found = [row for row in document if isinstance(row, dict)]
        return found if found or not document else None
    if not isinstance(document, dict):
        return None
    flat, wanted = flattened(document), {dotted(name) for name in names}
    last = {name: flat[name] for name in names if isinstance(flat.get(name), int | float)}
    rest = {key: content for key, content in document.items()
            if not any(f"{dotted(name)}.".startswith(f"{dotted(key)}.")
                       for name in last)}  # fmt: skip
    lists = {key: rows for key, content in rest.items()
             if isinstance(content, list) and content and (rows := rows_in(content))}  # fmt: skip
    if "log_history" in document:
        return lists.get("log_history", [])
    columns = _columns(rest)
    lengths = {len(cells) for name, cells in columns.items() if dotted(name) in wanted}
    single = {name: cells[0] for name, cells in columns.items()
              if len(cells) == 1 and dotted(name) in wanted}  # fmt: skip
    if len(lengths) == 2 and single and all("test" in name.lower() for name in single):
        last |= single  # of the end, beside the epochs
        lengths.discard(1)
    if len(lengths) == 1:
        columns = {name: cells for name, cells in columns.items() if len(cells) in lengths}
        across = zip(*columns.values(), strict=True)
        return _followed([dict(zip(columns, cells, strict=True)) for cells in across], last)
    if not last and flat.keys() & {*names}:
        return [document]
    rows = _by_number(rest, {*axes, *TIMES})
    rows = rows or (next(iter(lists.values())) if len(lists) == 1 else [])
    if last:  # what a row has too is the result of all of them
        of_rows = {name for row in rows for name in flattened(row)}
        ours = of_rows.isdisjoint(last) and not of_rows.isdisjoint(names)
        return _followed(rows, last) if ours else [document]
    return rows or (None if len(lists) > 1 else [document])


def _followed(rows: list[dict[str, Any]], last: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows, and one of what was measured after them."""
    return [*rows, last] if last else rows


def _by_number(document: Mapping[str, Any], axes: Collection[str]) -> list[dict[str, Any]]:
    """Rows by their epochs or steps, `{"epoch_0": {...}, "epoch_1": {...}}`; none by anything else.

    Without a word they count from 0 or 1, and each names its own, later step or epoch: others
    may be folds or seeds.
    """
    keys = [key for name in document if (key := _NUMBERED.fullmatch(name))]
    words = {(key[1] or "").lower() for key in keys}
    rows = [row for row in document.values() if isinstance(row, dict)]
    if len(words) != 1 or not len(keys) == len(rows) == len(document):
        return []
    (word,), numbers = words, [int(key[2]) for key in keys]
    if word:  # `epoch_10` stands before `epoch_9` where the keys are sorted
        in_order = sorted(zip(numbers, rows, strict=True), key=lambda one: one[0])
        return [{word: at, **row} for at, row in in_order]
    first = int(numbers[0] > 0)
    if numbers != [*range(first, first + len(rows))]:
        return []
    lower = [{name.lower(): cell for name, cell in row.items()} for row in rows]
    return rows if any(_rises([row.get(axis.lower()) for row in lower]) for axis in axes) else []


def _rises(places: Sequence[object]) -> bool:
    numbers = [at for at in places if isinstance(at, int | float)]
    return numbers == sorted({*numbers}) and len(numbers) == len(places)


def _columns(document: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The lists of numbers or words in it, nested ones too: `{"val": {"r2": [0.1, 0.2]}}`.

    Also pandas's `{"val_r2": {"0": 0.1, "1": 0.2}}`.
    """
    found: dict[str, list[Any]] = {}
    for name, content in document.items():
        cells = content
        if isinstance(cells, Mapping) and [*cells] == [str(row) for row in range(len(cells))]:
            cells = [*cells.values()]
        if isinstance(cells, list) and all(isinstance(x, int | float | str | None) for x in cells):
            found[name] = cells
        elif isinstance(content, Mapping):
            inside = _columns(content) if len(name) <= LONGEST else {}
            found |= {f"{name}.{x}": cells for x, cells in inside.items() if len(x) <= LONGEST}
    return found
