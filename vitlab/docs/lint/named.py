"""Numbers on lines that name MVPs, outside of the places that `numbers` reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from vitlab.docs.lint.numbers import MVP_NAMED, Place, hub_rows
from vitlab.docs.lint.stated import METRIC, Stated, profile_of
from vitlab.docs.lint.told import told_in, told_in_cell
from vitlab.docs.model.hub import Hub
from vitlab.docs.model.roadmap import Roadmap
from vitlab.docs.text.inline import plain
from vitlab.docs.text.source import Document
from vitlab.docs.text.tables import tables_of

_PART = re.compile(r"[,，;；。|]|\.\s")
_NOT_YET = re.compile(
    r"\b(?:if|when|once|until|unless|should|must|would|could|might|needs?|requires?"
    r"|targets?|goals?|aims?|thresholds?|expect\w*|plan\w*|accept\w*)\b"
    r"|若|如果|当(?!前)|待|需|应[该当达]|目标(?!达成|完成|已)|阈值|门槛|预期|预计|计划|验收|希望",
    re.I,
)
"""In the part of a line that has a number: it is a rule or a plan."""
_NO_RESULTS = re.compile(
    r"设置|复现|核对|问题|计划|setting|setup|reproduc|check|question|plan|config", re.I
)
"""The sections of a report in which numbers are not those of its results."""
_STOPS = (";", "；", "。", "|", ". ")
_MOST = 4000
"""Characters of a line beyond which none is looked for."""


@dataclass(frozen=True)
class Named:
    """A number on a line that names MVPs."""

    mvps: tuple[str, ...]
    """Bare ids, in their order."""
    place: Place


def named_numbers(
    roadmap: Roadmap, hub: Hub | None, reports: Mapping[str, Hub], boards: Iterable[Hub] = ()
) -> Iterator[Named]:
    """The numbers on lines of hub, boards and roadmap that name MVPs, and of gates' result rows.

    And in the prose of the results of reports, bare id -> the MVP's own. Not those of rules,
    specifications and plans.
    """
    document = roadmap.document
    of_gates = _gate_results(roadmap)
    titles = {heading.index for heading in document.headings}
    entries = {entry.line - 1: entry for view in roadmap.views for entry in view.entries}
    for index in range(document.front_matter_end, len(document.lines)):
        if index in of_gates:
            yield from _on_line(document, index, of_gates[index])
        elif index not in titles:
            own = entries[index].mvps if index in entries else ()
            mvps = own or _mvps(roadmap, document.line_text(index))
            yield from _on_line(document, index, mvps)
    if hub:
        rows = hub_rows(roadmap, hub)
        yield from (Named(tuple(sorted(of)), place) for of, place in rows if len(of) > 1)
    for one in (*([hub.document] if hub else []), *(board.document for board in boards)):
        for index in range(one.front_matter_end, len(one.lines)):
            yield from _on_line(one, index, _mvps(roadmap, one.line_text(index)), one.path)
        for row, mvps, number in _in_columns(roadmap, one):
            yield Named(mvps, Place(number, row, one.path))
    for mvp, report in reports.items():
        for index in _result_lines(report.document):
            yield from _on_line(report.document, index, (mvp,), report.document.path)


def _in_columns(
    roadmap: Roadmap, document: Document
) -> Iterator[tuple[int, tuple[str, ...], Stated]]:
    """The line, MVPs and numbers of the rows of tables that name MVPs, below names of metrics."""
    for table in tables_of(document):
        heads = [cell.raw for cell in table.header.cells]
        rows = (row for row in table.rows if not row.is_delimiter)
        for row in rows if any(map(METRIC.search, heads)) else ():
            mvps = _mvps(roadmap, document.line_text(row.index))
            for head, cell in zip(heads, row.cells, strict=False) if mvps else ():
                yield from ((row.line, mvps, one) for one in told_in_cell(head, cell.raw))


def _result_lines(document: Document) -> Iterator[int]:
    """The 0-based lines of a report's sections of results, tables left out."""
    hidden = {index for first, last in document.tables for index in range(first, last)}
    titles = {heading.index: heading.title for heading in document.headings}
    inside = False
    for index in range(len(document.lines)):
        if index in titles:
            inside = _NO_RESULTS.search(titles[index]) is None
        elif inside and index not in hidden:
            yield index


def _gate_results(roadmap: Roadmap) -> dict[int, tuple[str, ...]]:
    """The 0-based lines of the rows that tell results of gates, each with the gate's MVPs."""
    cells = {gate.result_cell: gate.mvps for gate in roadmap.gates if gate.result_cell}
    return {roadmap.document.line_of(cell.span.start) - 1: mvps for cell, mvps in cells.items()}


def _mvps(roadmap: Roadmap, text: str) -> tuple[str, ...]:
    """The MVPs that a line names by their ids or exp_ids."""
    named = MVP_NAMED.findall(plain(text)) if "MVP" in text.upper() else []
    named += [mvp.id for mvp in roadmap.mvps if mvp.exp_id and mvp.exp_id in text]
    return tuple(dict.fromkeys(one for one in named if one in roadmap.ids.ids))


def _on_line(
    document: Document, index: int, mvps: tuple[str, ...], path: Path | None = None
) -> Iterator[Named]:
    if not mvps or index in document.hidden_lines:
        return
    text = document.line_text(index)
    if len(text) > _MOST:  # to the end of a clause, or a number is read without its end
        text = text[: max(0, *(text.rfind(stop, 0, _MOST) for stop in _STOPS))]
    profile = profile_of(text)
    headline = profile if profile != "full" else ""
    # Of a law that commas take apart only the whole says that it is one.
    values = {one.value for one in told_in(text)}
    for part in _PART.split(plain(text)) if values else ():
        for number in told_in(part) if not _NOT_YET.search(part) else ():
            if number.value in values:
                yield Named(mvps, Place(number, index + 1, path, headline=headline))
