"""A hub: what is believed and the authoritative numbers, and new key numbers written into it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from vitlab.contract.job import STATUSES
from vitlab.docs.model.ids import IdIndex
from vitlab.docs.model.table_kinds import Entry, View, recognise
from vitlab.docs.model.vocabulary import Vocabulary, default_vocabulary
from vitlab.docs.text.edit import Edit
from vitlab.docs.text.inline import cell_text, plain
from vitlab.docs.text.source import Document, Fence
from vitlab.docs.text.tables import insert_row, set_cell, tables_of

_BULLET = re.compile(r"^\s*[-*+]\s+(?P<text>.+)$")
_BELIEFS = re.compile(r"信念|beliefs?", re.I)
_NEXT = re.compile(r"下一步|next steps?|most valuable", re.I)
_TREE = re.compile(r"🌲|假设|hypothes", re.I)
_TASK = re.compile(r"^\s*[-*+]\s+\[(?P<mark>[ xX])\]\s+(?P<text>.+)$")
_NODE = re.compile(r"^[\s│|]*(?:[├└]─+|[+`\\]-+)\s*(?P<text>.+)$")


@dataclass(frozen=True)
class Point:
    """One bullet of a list, or one line of the hypothesis tree."""

    line: int
    """1-based."""
    text: str
    """As a reader sees it."""
    status: str | None
    """The status written in it, one of `STATUSES`; None for none."""


@dataclass(frozen=True)
class Hub:
    """Everything read from one hub."""

    document: Document
    vocabulary: Vocabulary
    views: tuple[View, ...]

    @property
    def language(self) -> str:
        return self.document.language

    @cached_property
    def title(self) -> str:
        """The first heading, emphasis removed."""
        return next((plain(h.title) for h in self.document.headings), "")

    def rows(self, kind: str) -> tuple[Entry, ...]:
        """The rows of every table of one kind: `consensus insights gaps principles key_numbers
        models closed files answers routes changelog facts related`."""
        return tuple(e for view in self.views if view.kind == kind for e in view.entries)

    @cached_property
    def consensus(self) -> tuple[Entry, ...]:
        return self.rows("consensus")

    @cached_property
    def numbers(self) -> tuple[Entry, ...]:
        """The authoritative numbers, one model or method per row."""
        return self.rows("models")

    @cached_property
    def key_numbers(self) -> tuple[Entry, ...]:
        return self.rows("key_numbers")

    @cached_property
    def insights(self) -> tuple[Entry, ...]:
        return self.rows("insights")

    @cached_property
    def gaps(self) -> tuple[Entry, ...]:
        return self.rows("gaps")

    @cached_property
    def principles(self) -> tuple[Entry, ...]:
        return self.rows("principles")

    @cached_property
    def closed(self) -> tuple[Entry, ...]:
        """Directions that were given up, and why."""
        return self.rows("closed")

    @cached_property
    def pointers(self) -> tuple[Entry, ...]:
        return self.rows("files")

    @cached_property
    def changelog(self) -> tuple[Entry, ...]:
        return self.rows("changelog")

    @cached_property
    def beliefs(self) -> tuple[Point, ...]:
        return self._list(_BELIEFS)

    @cached_property
    def next_steps(self) -> tuple[Point, ...]:
        return self._list(_NEXT)

    @cached_property
    def hypotheses(self) -> tuple[Point, ...]:
        """The lines of the hypothesis tree: of the fenced block below a heading that names one."""
        for fence in self.document.fences:
            above = [h for h in self.document.headings if h.index < fence.first]
            if above and _TREE.search(above[-1].title):
                return self._tree(fence)
        return ()

    @cached_property
    def tasks(self) -> tuple[Point, ...]:
        """The items of check lists, as a `kanban.md` keeps what is over: `- [x] **ID**: ...`."""
        found = []
        for index in range(len(self.document.lines)):
            if match := _TASK.match(self.document.line_text(index)):
                point = self._point(index, match["text"])
                status = "done" if match["mark"] in "xX" else "planned"
                found.append(Point(point.line, point.text, status))
        return tuple(found)

    def _tree(self, fence: Fence) -> tuple[Point, ...]:
        found = []
        for index in range(*fence.content):
            if match := _NODE.match(self.document.line_text(index)):
                found.append(self._point(index, match["text"]))
        return tuple(found)

    def _list(self, title: re.Pattern[str]) -> tuple[Point, ...]:
        """The bullets right below a bold line or a heading that matches."""
        found: list[Point] = []
        inside = False
        for index in range(len(self.document.lines)):
            text = self.document.line_text(index)
            bullet = _BULLET.match(text)
            if bullet and inside:
                found.append(self._point(index, bullet["text"]))
            elif text.lstrip().startswith(("**", "#")) and not bullet:
                inside = bool(title.search(text)) and not found
            elif text.strip():
                inside = False
        return tuple(found)

    def _point(self, index: int, raw: str) -> Point:
        status = None
        for piece in re.split(r"(?=[✅❌🔆⏳🚀🔴⚠🗑⏸])", raw):
            status = status or self.vocabulary.status(piece)
        return Point(index + 1, plain(raw), status if status in STATUSES else None)


def parse_hub(document: Document, vocabulary: Vocabulary | None = None) -> Hub:
    """Read a hub; any document will do, one without known tables has empty views."""
    words = (vocabulary or default_vocabulary()).with_legend(document.text)
    known = (recognise(table, words) for table in tables_of(document))
    none = IdIndex(())
    return Hub(document, words, tuple(one.view(words, none) for one in known if one))


def key_number(
    hub: Hub, indicator: str, value: str, condition: str, source: str, date: str
) -> list[Edit]:
    """Bring one key number up to date, or add it, and say so in the change log.

    Every text is plain; it is made safe for a cell here. `date`: YYYY-MM-DD.
    """
    view = next((v for v in hub.views if v.kind == "key_numbers"), None)
    if view is None:
        return []
    new = {"indicator": indicator, "value": value, "condition": condition, "source": source}
    old = next(
        (e for e in view.entries if e.text("indicator") == plain(cell_text(indicator))), None
    )
    if old is None:
        edits = [insert_row(hub.document, view.table, _by_column(view, new))]
    else:
        edits = []
        for name in ("value", "condition", "source"):
            if name not in view.columns or old.text(name) == plain(cell_text(new[name])):
                continue
            bold = name in old.cells and old.cells[name].raw.startswith("**")
            text = f"**{cell_text(new[name])}**" if bold else cell_text(new[name])
            edit = set_cell(hub.document, view.table, old.row, view.columns[name], text)
            edits += [edit] if edit else []
    return [*edits, *_logged(hub, indicator, value, source, date)] if edits else []


def _logged(hub: Hub, indicator: str, value: str, source: str, date: str) -> list[Edit]:
    view = next((v for v in hub.views if v.kind == "changelog"), None)
    if view is None:
        return []
    word = "更新" if hub.language == "zh" else "Updated"
    change = {"date": date, "change": f"{word} {indicator}: {value}", "impact": source}
    change["section"] = source
    return [insert_row(hub.document, view.table, _by_column(view, change))]


def _by_column(view: View, values: Mapping[str, str]) -> dict[int, str]:
    return {view.columns[name]: text for name, text in values.items() if name in view.columns}
