"""Plans that have no MVP: which of their tables holds what is to be done."""

from __future__ import annotations

from collections.abc import Sequence

from vitlab.docs.model.table_kinds import KnownTable, bare_header, goal_column
from vitlab.docs.model.vocabulary import Vocabulary
from vitlab.docs.text.tables import Table

_ROW_NAMES = (
    "milestone", "里程碑", "phase", "阶段", "taskid", "task", "任务", "experiment", "实验",
    "stage", "step", "步骤", "#",
)  # fmt: skip
"""First headers of plans by others, whose rows are what is done, one by one."""


def guessed(
    tables: Sequence[Table],
    titles: Sequence[tuple[str, ...]],
    known: Sequence[KnownTable | None],
    words: Vocabulary,
) -> list[KnownTable | None]:
    """The tables, those of an unknown kind being overviews where all of them name rows alike."""
    heads = {}
    for number, table in enumerate(tables):
        columns = words.columns([cell.raw for cell in table.header.cells])
        first = bare_header(table.header.cells[0])
        if known[number] is None and columns.get("status", 0) > 0 and first in _ROW_NAMES:
            heads[number] = (first, columns)
    tables_now = list(known)
    if len({first for first, _ in heads.values()}) == 1:
        for number, (_, columns) in heads.items():
            others = {name: index for name, index in columns.items() if index}
            goal = goal_column(tables[number])
            columns = {"mvp": 0, **({"name": goal} if goal else {}), **others}
            tables_now[number] = KnownTable("overview", tables[number], columns, titles[number])
    return tables_now


def what_is_there(tables: Sequence[Table], words: Vocabulary) -> str:
    """Why no MVP was read, and how to say which column holds them."""
    seen, example = [], ""
    for table in tables:
        headers = [cell.text for cell in table.header.cells]
        status = _status_column(table, words)
        if status and table.rows:
            seen.append(f"line {table.line}: {' | '.join(headers)}")
            example = example or f"{headers[0]}=id, {headers[status]}=status"
    if not seen:
        wanted = "; ".join("/".join(words.headers[name][:3]) for name in ("mvp", "name", "status"))
        return f"no MVP overview table (looked for a table with the headers {wanted})"
    listed = "; ".join(seen)
    return f'no MVP overview table; {listed}; say which it is: vitlab status FILE --as "{example}"'


def _status_column(table: Table, words: Vocabulary) -> int:
    """The column of statuses, by its header or by what its cells say; 0 for none."""
    named = words.columns([cell.raw for cell in table.header.cells]).get("status")
    if named is not None:
        return named
    for column in range(1, table.width):
        cells = [row.cells[column].raw for row in table.rows if column < len(row.cells)]
        if cells and sum(words.status(cell) is not None for cell in cells) * 2 > len(cells):
            return column
    return 0
