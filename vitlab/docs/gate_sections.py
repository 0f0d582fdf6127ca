"""Decision gates as the roadmap defines them: their sections, MVPs, rules and status rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vitlab.docs.ids import IdIndex
from vitlab.docs.inline import plain
from vitlab.docs.rules import Rule, read_rules, rules_of
from vitlab.docs.source import Document, Heading
from vitlab.docs.tables import Cell
from vitlab.docs.views import Entry, View
from vitlab.docs.vocabulary import StatusText, Vocabulary

_HEAD = re.compile(
    r"^[^\w]*Gate(?:[-–—_ ]?(?P<number>\d[\w.]*)|[-–—_](?P<name>[A-Za-z][\w.]*))"
    r"\s*(?:[:：—–-]\s*)?(?P<title>.*)$",
    re.I,
)
_TRAIL = re.compile(
    r"\s*(?P<mark>[(（]?\s*(?:[\u2300-\u27bf\u2b00-\u2bff\U0001f300-\U0001faff]\ufe0f?).*)$"
)
_BULLET = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+(?P<text>.*)$")
_EFFECT = re.compile(r"^\W*(?:Gate\s*影响|决策规则|decision rules?|gate effect)", re.I)


@dataclass(frozen=True)
class Gate:
    """One decision gate."""

    id: str
    """Bare: `1`."""
    title: str
    status: str | None
    status_text: str
    """The status cell as written; empty when there is none."""
    rules: tuple[Rule, ...]
    mvps: tuple[str, ...]
    """Bare ids of the MVPs that decide it."""
    line: int
    """1-based line of its heading, or of its row where it has no section."""
    status_cell: Cell | None
    found: StatusText | None
    """The status, offsets in the raw status cell."""
    result_cell: Cell | None = None


def gates_of(
    document: Document,
    views: Sequence[View],
    vocabulary: Vocabulary,
    ids: IdIndex,
    progress: Sequence[Entry],
) -> tuple[Gate, ...]:
    """Every gate: those with a section in order, then those named in the progress table alone."""
    found: dict[str, Gate] = {}
    for heading in document.headings:
        match = _HEAD.match(plain(heading.title))
        if match:
            gate = _section_gate(document, heading, match, views, vocabulary, ids)
            if gate.id not in found:
                found[gate.id] = gate
    for entry in progress:
        for gate_id in entry.gates[:1]:
            if gate_id not in found:
                found[gate_id] = _row_gate(gate_id, entry)
    return tuple(found.values())


def _section_gate(
    document: Document,
    heading: Heading,
    match: re.Match[str],
    views: Sequence[View],
    vocabulary: Vocabulary,
    ids: IdIndex,
) -> Gate:
    end = document.section_end(heading)
    title = match["title"]
    if (trail := _TRAIL.search(title)) and vocabulary.read(trail["mark"].lstrip("(（ ")):
        title = title[: trail.start()]
    rules: list[Rule] = []
    mvps: tuple[str, ...] = ()
    status: Cell | None = None
    result: Cell | None = None
    for entry in _facts(views, heading.index, end):
        item, content = entry.cells.get("item"), entry.cells.get("content")
        if item is None or content is None:
            continue
        columns = vocabulary.columns([item.raw])
        if "mvp" in columns:
            mvps = ids.refs(content.raw)
        elif "status" in columns:
            status = content
        elif "result" in columns:
            result = content
        else:
            rules += rules_of(item.raw, content.raw)
    read = vocabulary.read(status.raw) if status else None
    return Gate(
        match["number"] or match["name"],
        title.strip(),
        read.status if read else None,
        status.raw if status else "",
        tuple(rules) or bullet_rules(document, heading.index, end),
        mvps,
        heading.index + 1,
        status,
        read,
        result,
    )


def _facts(views: Sequence[View], first: int, end: int) -> list[Entry]:
    return [
        entry
        for view in views
        if view.kind == "facts" and first < view.table.first < end
        for entry in view.entries
    ]


def _row_gate(gate_id: str, entry: Entry) -> Gate:
    cell = entry.cells.get("status")
    return Gate(
        gate_id,
        "",
        entry.status,
        cell.raw if cell else "",
        (),
        entry.mvps,
        entry.line,
        None,
        None,
    )


def bullet_rules(document: Document, first: int, end: int) -> tuple[Rule, ...]:
    """Rules in a list below `**Gate影响**:` or `**决策规则**:`, between two 0-based lines."""
    rules: list[Rule] = []
    inside = False
    for index in range(first, min(end, len(document.lines))):
        line = document.line_text(index)
        bullet = _BULLET.match(line)
        if not inside:
            inside = bool(_EFFECT.match(plain(line.strip(" \t*"))))
        elif bullet and ("→" in line or "->" in line):
            rules += read_rules(bullet["text"])
        elif line.strip():
            inside = False
    return tuple(rules)
