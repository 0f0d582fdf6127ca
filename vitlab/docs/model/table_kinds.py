"""The kinds of tables, known by their headers, and their rows with named cells."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from vitlab.docs.model.headers import is_measured
from vitlab.docs.model.ids import IdIndex, gate_refs
from vitlab.docs.model.status_marks import Mark, find_marks
from vitlab.docs.model.vocabulary import COLOURS, ParsedStatus, Vocabulary
from vitlab.docs.text.source import Document
from vitlab.docs.text.tables import Cell, Row, Table

FIRST = {
    "priority first": ("priority", "mvp"),
    "name first": ("name", "mvp"),
    "gate first": ("gate", "mvp"),
    "mvp first": ("mvp", "gate"),
    "hypothesis first": ("hypothesis", "mvp"),
    "hypothesis before name": ("hypothesis", "name"),
}
"""What tells two kinds with the same columns apart: the left one of two identifies the rows."""

KINDS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("priorities", ("priority first", "mvp", "status"), ("exp_id",)),
    ("hypotheses", ("hypothesis first",), ("exp_id", "name")),
    ("experiment_index", ("exp_id", "mvp", "status"), ("name",)),
    ("checklist", ("name", "mvp", "status", "artifact"), ()),
    ("checklist", ("name first", "mvp", "status"), ("exp_id", "phase", "report", "gate first")),
    ("gate_progress", ("gate first", "mvp", "status"), ("exp_id", "phase", "report")),
    ("overview", ("mvp", "name", "status"), ()),
    ("hypotheses", ("hypothesis", "number"), ("exp_id", "name", "phase")),
    ("board", ("exp_id", "priority"), ()),
    ("board", ("exp_id",), ("name", "mvp")),
    ("gate_progress", ("gate", "status"), ("route", "name", "mvp first")),
    ("conclusions", ("mvp", "conclusion"), ()),
    ("run_paths", ("mvp", "script"), ()),
    ("numbers", ("mvp", "+metric"), ()),
    ("lookup", ("mvp", "key_variable"), ("status",)),
    ("lookup", ("mvp", "data"), ("status",)),
    ("statuses", ("mvp", "status"), ()),
    ("listing", ("mvp", "name"), ()),
    ("board", ("exp_id", "mvp"), ()),
    ("timeline", ("date", "event"), ()),
    ("changelog", ("date", "change"), ()),
    ("runs", ("run", "status"), ()),
    ("runs", ("run", "wandb"), ()),
    ("routes", ("route",), ()),
    ("ideas", ("idea",), ()),
    ("consensus", ("consensus",), ()),
    ("insights", ("insight",), ()),
    ("hypotheses", ("hypothesis",), ("mvp", "name")),
    ("hypotheses", ("hypothesis before name",), ("mvp",)),
    ("gaps", ("gap", "question"), ()),
    ("gaps", ("gap", "closes"), ()),
    ("gaps", ("gap", "rule"), ()),
    ("principles", ("principle",), ()),
    ("answers", ("branch", "answer"), ()),
    ("closed", ("direction", "reason"), ()),
    ("closed", ("direction", "evidence"), ("priority",)),
    ("directions", ("direction", "priority"), ()),
    ("next_steps", ("next", "priority"), ("mvp", "exp_id", "answer")),
    ("key_numbers", ("indicator", "value"), ()),
    ("models", ("method", "value"), ()),
    ("repositories", ("repository", "path"), ()),
    ("files", ("type", "path"), ()),
    ("related", ("type", "file"), ()),
    ("counts", ("status", "count"), ()),
    ("facts", ("item", "content"), ()),
    ("facts", ("project", "content"), ()),
    ("figures", ("figure",), ()),
    ("findings", ("name", "conclusion"), ()),
    ("commands", ("command", "purpose"), ()),
    ("numbers", ("+metric",), ("mvp",)),
)
"""(kind, columns it must have, columns it must not have); the first match decides."""
_KINDS = tuple((kind, frozenset(needed), frozenset(no)) for kind, needed, no in KINDS)


GOALS = (
    "milestone", "里程碑", "task", "任务", "title", "目标", "goal", "objective", "focus", "内容",
    "deliverable", "description", "描述", "what", "实验内容", "任务内容",
)  # fmt: skip
"""Headers of what a row is about where none is for its name."""


_MVP_HEAD = re.compile(r"mvp(?:名称?|name|[/#].*|实验|任务|[-_]?(?:id|no\.?|号|代号))")
"""A header of ids where no other is: `MVP / 实验`."""
_QUOTED = re.compile(r"[ \t]*(?:[-*+]\s+)?>")
_EXAMPLE = re.compile(
    r"\b(?:examples?|template|sample|e\.g\.)(?!\w)|示例|样例|例如|举例|模板", re.I
)
_PROGRESS_HEAD = ("进度", "progress", "完成度", "当前进度")
"""Headers of statuses beside MVPs where no other is."""


@dataclass(frozen=True)
class Entry:
    """One row of a known table: its cells by column name, and the MVPs and gates it names."""

    kind: str
    row: Row
    cells: Mapping[str, Cell]
    mvps: tuple[str, ...] = ()
    """Bare ids."""
    gates: tuple[str, ...] = ()
    """Bare ids."""
    parsed: ParsedStatus | None = None
    """The status its status cell starts with."""

    @property
    def line(self) -> int:
        """1-based."""
        return self.row.line

    @property
    def status(self) -> str | None:
        return self.parsed.status if self.parsed else None

    def raw(self, column: str) -> str:
        """A cell as written; empty when the row has none."""
        cell = self.cells.get(column)
        return cell.raw if cell else ""

    def text(self, column: str) -> str:
        """A cell as a reader sees it; empty when the row has none."""
        cell = self.cells.get(column)
        return cell.text if cell else ""


@dataclass(frozen=True)
class View:
    """One table of a known kind."""

    kind: str
    table: Table
    columns: Mapping[str, int]
    entries: tuple[Entry, ...]
    headings: tuple[str, ...] = field(default=(), compare=False)
    """The titles of the headings above it, outermost first."""

    @cached_property
    def headers(self) -> tuple[str, ...]:
        return tuple(cell.text for cell in self.table.header.cells)

    @cached_property
    def of_one(self) -> Mapping[str, list[Entry]]:
        """The rows that name one MVP alone, by its id."""
        rows: dict[str, list[Entry]] = {}
        for entry in self.entries:
            if len(entry.mvps) == 1:
                rows.setdefault(entry.mvps[0], []).append(entry)
        return rows


def _kind_of(columns: Mapping[str, int], headers: Sequence[str]) -> str | None:
    present = set(columns)
    if any(is_measured(header) for header in headers):
        present.add("+metric")
    for mark, (left, right) in FIRST.items():
        if left in columns and columns[left] < columns.get(right, -1):
            present.add(mark)
    kinds = (kind for kind, needed, no in _KINDS if needed <= present and not no & present)
    return next(kinds, None)


@dataclass(frozen=True)
class KnownTable:
    """A table of a known kind whose rows are not yet read."""

    kind: str
    table: Table
    columns: Mapping[str, int]
    headings: tuple[str, ...] = ()

    def view(self, vocabulary: Vocabulary, ids: IdIndex) -> View:
        """The table with its rows, which may refer to `ids`."""
        entries = tuple(_entries(self.kind, self.table, self.columns, vocabulary, ids))
        return View(self.kind, self.table, self.columns, entries, self.headings)


def recognise(
    table: Table, vocabulary: Vocabulary, headings: tuple[str, ...] = ()
) -> KnownTable | None:
    """The kind and columns of a table; None when it is of no known kind."""
    headers = [cell.raw for cell in table.header.cells]
    columns = vocabulary.columns(headers)
    if "mvp" not in columns:
        words = [bare_header(cell) for cell in table.header.cells]
        named = next((i for i, word in enumerate(words) if _MVP_HEAD.fullmatch(word)), None)
        columns = columns if named is None else {**columns, "mvp": named}
    if "mvp" in columns and "status" not in columns:
        words = [bare_header(cell) for cell in table.header.cells]
        progress = next((i for i, word in enumerate(words) if word in _PROGRESS_HEAD), None)
        columns = columns if progress is None else {**columns, "status": progress}
    kind = "overview" if vocabulary.names_ids(headers) else _kind_of(columns, headers)
    if kind == "listing" and _has_marks(table, columns, vocabulary):
        kind = "statuses"
    if kind in ("statuses", "priorities") and (goal := goal_column(table)):
        columns = {"name": goal, **columns}
    if kind == "facts" and "item" not in columns:
        columns = {**columns, "item": columns["project"]}
    return KnownTable(kind, table, columns, headings) if kind else None


def titles_above(document: Document, tables: Iterable[Table]) -> list[tuple[str, ...]]:
    """For each table the titles of the headings above it, outermost first."""
    titles = []
    path: list[tuple[int, str]] = []
    headings = iter(document.headings)
    heading = next(headings, None)
    for table in tables:
        while heading is not None and heading.index < table.first:
            path = [p for p in path if p[0] < heading.level] + [(heading.level, heading.title)]
            heading = next(headings, None)
        titles.append(tuple(title for _, title in path))
    return titles


def is_quoted_example(document: Document, table: Table) -> bool:
    """Whether a table stands in a quote that calls itself an example: its rows are no plan."""
    first, last = table.first, table.last
    while first and _QUOTED.match(document.line_text(first - 1)):
        first -= 1
    while last < len(document.lines) and _QUOTED.match(document.line_text(last)):
        last += 1
    return _QUOTED.match(document.line_text(table.first)) is not None and any(
        _EXAMPLE.search(document.line_text(index)) for index in range(first, last)
    )


def goal_column(table: Table) -> int:
    """The first column of `GOALS` that is not the leftmost; 0 for none."""
    words = [bare_header(cell) for cell in table.header.cells]
    return next((index for index, word in enumerate(words) if index and word in GOALS), 0)


def bare_header(header: Cell) -> str:
    """A header without brackets and blanks: `Milestone (rung)` -> `milestone`."""
    return re.sub(r"[(（].*|\s+", "", header.text.casefold())


def _entries(
    kind: str, table: Table, columns: Mapping[str, int], vocabulary: Vocabulary, ids: IdIndex
) -> Iterator[Entry]:
    for row in table.rows:
        if row.is_delimiter or not any(cell.raw for cell in row.cells):
            continue
        cells = {name: row.cells[i] for name, i in columns.items() if i < len(row.cells)}
        if "status" not in columns and kind in ("statuses", "overview"):
            cells.update(_marked(cells, vocabulary))
        mvp, gate, status = cells.get("mvp"), cells.get("gate"), cells.get("status")
        yield Entry(
            kind,
            row,
            cells,
            ids.refs(mvp.raw) if mvp and ids.ids else (),
            gate_refs(gate.raw) if gate else (),
            vocabulary.read(status.raw) if status else None,
        )


def _has_marks(table: Table, columns: Mapping[str, int], vocabulary: Vocabulary) -> bool:
    """Whether the names or ids of most rows have a status beside them: `✅ MDN head`."""
    rows = [row for row in table.rows if not row.is_delimiter]
    cells = (
        {name: row.cells[i] for name, i in columns.items() if i < len(row.cells)} for row in rows
    )
    return 2 * sum(bool(_marked(one, vocabulary)) for one in cells) > len(rows)


def _marked(cells: Mapping[str, Cell], vocabulary: Vocabulary) -> dict[str, Cell]:
    """The status in the name or id of a row and what is left of that, as cells of their own."""
    column, marks = marks_beside_name(cells, vocabulary)
    if not marks:
        return {}
    (start, left, right, text), mark = cells[column], marks[0]
    before, behind = text[: mark.start].rstrip("(（【[ "), text[mark.end :].lstrip(")）】] ")
    at = start if before else start + len(text) - len(behind)
    status = Cell(start + mark.start, left, right, text[mark.start : mark.end])
    return {column: Cell(at, left, right, before or behind), "status": status}


def marks_beside_name(
    cells: Mapping[str, Cell], vocabulary: Vocabulary
) -> tuple[str, Sequence[Mark]]:
    """The column with the statuses beside a row's name or id, and these; the first has a glyph."""
    for column in ("name", "mvp"):
        text = cells[column].raw if column in cells else ""
        marks = find_marks(text, (0, 0), vocabulary, last=True)
        colours = {*COLOURS} - vocabulary.own_glyphs  # these are priorities
        marks = [mark for mark in marks if text[mark.start : mark.end] not in colours]
        if marks and marks[0].parsed.glyph:
            return column, marks
    return "", ()


def is_section_row(row: Row) -> bool:
    """Whether a row only titles the rows below it: at most one of its cells is filled."""
    return sum(bool(cell.raw.strip("-— ")) for cell in row.cells) <= 1
