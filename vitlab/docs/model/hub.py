"""A hub as data: beliefs, hypotheses, next steps and the authoritative numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from vitlab.contract.job import STATUSES
from vitlab.docs.model.ids import IdIndex
from vitlab.docs.model.table_kinds import Entry, View, recognise
from vitlab.docs.model.vocabulary import Vocabulary, default_vocabulary
from vitlab.docs.text.inline import plain
from vitlab.docs.text.source import Document, Fence
from vitlab.docs.text.tables import tables_of

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
        """The first heading; empty where there is none."""
        return next((plain(h.title) for h in self.document.headings), "")

    def rows(self, kind: str) -> tuple[Entry, ...]:
        """The rows of every table of one kind, in order."""
        return tuple(e for view in self.views if view.kind == kind for e in view.entries)

    @cached_property
    def numbers(self) -> tuple[Entry, ...]:
        """The authoritative numbers, one model or method per row."""
        return self.rows("models")

    @cached_property
    def key_numbers(self) -> tuple[Entry, ...]:
        return self.rows("key_numbers")

    @cached_property
    def gaps(self) -> tuple[Entry, ...]:
        return self.rows("gaps")

    @cached_property
    def closed(self) -> tuple[Entry, ...]:
        """Abandoned directions, and why."""
        return self.rows("closed")

    @cached_property
    def pointers(self) -> tuple[Entry, ...]:
        return self.rows("files")

    @cached_property
    def beliefs(self) -> tuple[Point, ...]:
        return self._bullets_below(_BELIEFS)

    @cached_property
    def next_steps(self) -> tuple[Point, ...]:
        return self._bullets_below(_NEXT)

    @cached_property
    def hypotheses(self) -> tuple[Point, ...]:
        """The lines of the hypothesis tree, a fenced block below a heading that names one."""
        for fence in self.document.fences:
            above = [h for h in self.document.headings if h.index < fence.first]
            if above and _TREE.search(above[-1].title):
                return self._tree(fence)
        return ()

    @cached_property
    def tasks(self) -> tuple[Point, ...]:
        """The items of check lists: `- [x] **ID**: ...`."""
        tasks = []
        for index in range(len(self.document.lines)):
            if match := _TASK.match(self.document.line_text(index)):
                point = self._point(index, match["text"])
                status = "done" if match["mark"] in "xX" else "planned"
                tasks.append(Point(point.line, point.text, status))
        return tuple(tasks)

    def _tree(self, fence: Fence) -> tuple[Point, ...]:
        matches = ((i, _NODE.match(self.document.line_text(i))) for i in range(*fence.content))
        return tuple(self._point(index, match["text"]) for index, match in matches if match)

    def _bullets_below(self, title: re.Pattern[str]) -> tuple[Point, ...]:
        """The bullets right below a bold line or a heading that matches."""
        bullets: list[Point] = []
        inside = False
        for index in range(len(self.document.lines)):
            text = self.document.line_text(index)
            bullet = _BULLET.match(text)
            if bullet and inside:
                bullets.append(self._point(index, bullet["text"]))
            elif text.lstrip().startswith(("**", "#")) and not bullet:
                inside = bool(title.search(text)) and not bullets
            elif text.strip():
                inside = False
        return tuple(bullets)

    def _point(self, index: int, raw: str) -> Point:
        status = None
        for piece in re.split(r"(?=[✅❌🔆⏳🚀🔴⚠🗑⏸])", raw):
            status = status or self.vocabulary.status(piece)
        return Point(index + 1, plain(raw), status if status in STATUSES else None)


def parse_hub(document: Document, vocabulary: Vocabulary | None = None) -> Hub:
    """Read a hub, or any other document that is no roadmap."""
    words = (vocabulary or default_vocabulary()).with_legend(document.text)
    known = (recognise(table, words) for table in tables_of(document))
    no_ids = IdIndex(())
    return Hub(document, words, tuple(table.view(words, no_ids) for table in known if table))
