"""The kinds of tables, known by their headers, and their rows with named cells."""

from __future__ import annotations

import itertools
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from vitlab.docs.model.headers import is_measured
from vitlab.docs.model.ids import (
    IdIndex,
    gate_refs,
    id_and_name,
    own_id,
    read_id,
    several_ids,
)
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
_KEYS = {
    "overview": ("mvp",), "statuses": ("mvp",), "priorities": ("mvp",), "conclusions": ("mvp",),
    "numbers": ("mvp",), "checklist": ("name", "mvp"), "gate_progress": ("gate",),
    "experiment_index": ("exp_id", "mvp"), "board": ("exp_id",),
}  # fmt: skip
"""Kinds of table with statuses of MVPs -> the columns that may say which."""
_BEFORE = frozenset(
    ("mvp", "number", "name", "priority", "phase", "gate", "status", "exp_id", "project", "topic")
) | {"section"}
"""What a row may tell before its MVP, and is that of the MVP."""
_BETWEEN = (
    _BEFORE
    | frozenset(
        (
            "due",
            "estimate",
            "result",
            "key_metric",
            "conclusion",
            "config",
            "method",
            "script",
            "wandb",
        )
    )
    | {"device", "hub", "note", "purpose", "run_path", "path"}
)
"""What it may tell of its MVP before the status."""
_ALSO_BETWEEN: Mapping[str, set[str] | None] = {
    "checklist": {"artifact"}, "board": {"date"}, "experiment_index": {"date", "data", "report"},
    "gate_progress": None, "numbers": None,
}  # fmt: skip
"""Kinds of table -> what else; None for anything."""
_ATTRIBUTES = (
    "owner", "负责人", "负责", "who", "assignee", "执行人", "人员",
    "dependson", "depends", "dependency", "dependencies",
    "依赖", "前置", "前置条件", "blockedby", "阻塞", "阻塞项", "effort", "工作量",
    "start", "开始", "核心问题", "group", "组", "分组", "track", "category", "类别", "分类",
    "week", "周",
)  # fmt: skip
"""Further headers of what a row tells of its MVP."""
_ONE_ROW_EACH = ("statuses", "priorities", "checklist", "board", "numbers", "conclusions")
_SENTENCE = ("description", "描述")
"""Headers of names that name no experiment where they stand first."""


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
    subject: str = field(default="", compare=False)
    """The header of what its statuses may be of instead of the MVPs, as `Bug`; empty for none."""

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

    def has_parts(self, mvp: str) -> bool:
        """Whether several rows are of one MVP, so that a status may be that of what it is in it."""
        return mvp in self._of_parts

    @cached_property
    def _of_parts(self) -> frozenset[str]:
        if self.kind not in _ONE_ROW_EACH:
            return frozenset()

        def are_runs(rows: list[Entry]) -> bool:
            return self.kind == "numbers" and len({row.text("mvp") for row in rows}) == len(rows)

        return frozenset(
            mvp for mvp, rows in self.of_one.items() if len(rows) > 1 and not are_runs(rows)
        )

    @cached_property
    def is_of_reports(self) -> bool:
        """Whether the status in a table of experiments is that of their reports: `exp.md 状态`."""
        column = self.columns.get("status")
        return column is not None and self.headers[column].casefold().startswith("exp.md")


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
    subject: str = ""
    """As `View.subject`."""

    def view(self, vocabulary: Vocabulary, ids: IdIndex) -> View:
        """The table with its rows, which may refer to `ids`."""
        entries = tuple(_entries(self.kind, self.table, self.columns, vocabulary, ids))
        return View(self.kind, self.table, self.columns, entries, self.headings, self.subject)


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
    elif (own := _counted(table, columns)) is not None:
        columns = {**columns, "mvp": own, "number": columns["mvp"]}
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
    if kind is None:
        return None
    given = vocabulary.names_ids(headers)
    subject = "" if given else _other_subject(kind, table, columns, vocabulary)
    return KnownTable(kind, table, columns, headings, subject)


def _counted(table: Table, columns: Mapping[str, int]) -> int | None:
    """The column headed `MVP` where the one of ids, as `ID` may be, only counts the rows."""
    words = [bare_header(cell) for cell in table.header.cells]
    if words[columns["mvp"]] == "mvp" or "mvp" not in words:
        return None
    own = words.index("mvp")
    rows = [row.cells for row in table.rows if len(row.cells) > max(own, columns["mvp"])]
    counts = all(cells[columns["mvp"]].text == str(i) for i, cells in enumerate(rows, 1))
    named = {own_id(cells[own].text) for cells in rows}
    are_ids = len(named) == len(rows) and all(one and one[0].isdigit() for one in named)
    return own if counts and are_ids else None


def _other_subject(
    kind: str, table: Table, columns: Mapping[str, int], vocabulary: Vocabulary
) -> str:
    """The header of what the statuses of a table may be of instead of the MVPs it names.

    That is any before the MVP, or between it and the status, which is not known to tell of MVPs:
    `Date | MVP | Status`, `MVP | Seed | Status`. What stands behind the status only adds to it.
    """
    keys = [columns[name] for name in _KEYS.get(kind, ()) if name in columns]
    if not keys or "status" not in columns:
        return ""
    key, status, also = min(keys), columns["status"], _ALSO_BETWEEN.get(kind, set())
    for index, cell in enumerate(table.header.cells[: max(key, status)]):
        word, meanings = bare_header(cell), set(vocabulary.columns([cell.raw]))
        known = meanings & (_BEFORE if index < key else _BETWEEN | (also or set()))
        is_sentence = index < columns.get("mvp", 0) and word in _SENTENCE
        free = index > key and (also is None or word in GOALS or is_measured(cell.raw))
        if index in (key, status) and not is_sentence:
            continue
        if not (free or known or word in _ATTRIBUTES or not re.search(r"\w", word)) or is_sentence:
            return cell.text
    return ""


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


def with_overview(
    known: list[KnownTable | None], words: Vocabulary, past: Container[int] = ()
) -> tuple[list[KnownTable | None], list[Entry]]:
    """The tables, and the rows of MVPs in those that are overviews.

    Another table of MVPs with a status is one too where it repeats none of theirs. One whose
    statuses may be of something else, or that stands in the `past` (0-based lines), is one only
    with MVPs that no other has.
    """
    rows: list[Entry] = []
    overviews = list(known)

    def is_sure(table: KnownTable) -> bool:
        return not table.subject and table.table.first not in past

    for kind, sure in itertools.product(("overview", "statuses"), (True, False)):
        ids = {_id_of_row(entry) for entry in rows}
        for number, table in enumerate(known):
            if table is None or table.kind != kind or is_sure(table) != sure:
                continue
            mine = [
                replace(entry, kind="overview")
                for entry in table.view(words, IdIndex(())).entries
                if not is_section_row(entry.row) and _id_of_row(entry)
            ]
            own = [own_id(e.raw("mvp")) or several_ids(e.raw("mvp")) for e in mine]
            if kind == "overview":
                is_one = sure or not ids or not ids.issuperset(map(_id_of_row, mine))
            else:
                is_first = sure or table.columns["mvp"] == 0
                more = is_first and all(own) and ids.isdisjoint(map(_id_of_row, mine))
                is_one = not rows or more
            overviews[number] = replace(table, kind="overview" if is_one else "statuses")
            rows += mine if is_one else []
    return overviews, sorted(rows, key=lambda entry: entry.row.index)


def _id_of_row(entry: Entry) -> str:
    return row_id_and_name(entry)[0]


def row_id_and_name(entry: Entry) -> tuple[str, str]:
    """A row's id and name; without a column for names both stand in one cell."""
    cell = entry.cells.get("mvp")
    if cell is None:
        return "", ""
    bare = read_id(cell.raw)
    if "name" not in entry.cells or ":" in bare:
        return id_and_name(cell.raw)
    return bare, entry.text("name")
