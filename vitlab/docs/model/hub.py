"""A hub as data: beliefs, hypotheses, decision gaps, next steps and the authoritative numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from vitlab.contract.job import STATUSES
from vitlab.docs.model.ids import IdIndex
from vitlab.docs.model.status_marks import find_marks
from vitlab.docs.model.table_kinds import Entry, KnownTable, View, goal_column, recognise
from vitlab.docs.model.vocabulary import COLOURS, Vocabulary, default_vocabulary
from vitlab.docs.text.inline import plain
from vitlab.docs.text.source import Document, Fence, Span
from vitlab.docs.text.tables import tables_of

_BULLET = re.compile(r"^(?P<indent>\s*)(?:[-*+]|\d+[.)])\s+(?:\[[ xX]\]\s+)?(?P<text>.+)$")
_BELIEFS = re.compile(r"信念|beliefs?", re.I)
_NEXT = re.compile(r"下一步|next steps?|most valuable", re.I)
_TITLES = {
    "next_steps": _NEXT,
    "consensus": re.compile(r"共识|consensus", re.I),
    "principles": re.compile(r"原则|principle", re.I),
    "insights": re.compile(r"洞见|insight", re.I),
    "gaps": re.compile(r"决策空白|decision gap|\bDGs?\b", re.I),
    "closed": re.compile(r"已?关闭(?:的)?方向|closed direction|abandoned|dead end", re.I),
}
"""The bold lines and headings above lists of these."""
_TREE = re.compile(r"🌲|假设|假说|问题树|hypothes|question tree", re.I)
_TASK = re.compile(r"^\s*[-*+]\s+\[(?P<mark>[ xX])\]\s+(?P<text>.+)$")
_NODE = re.compile(r"^[\s│|]*(?:[├└]─+|[+`\\]-+)\s*(?P<text>.+)$")
_ROOT = re.compile(r"^(?:[^\w\s│|`\\+-]+\s+)?(?P<text>[HQ](?:\d|-[A-Z\d]).*)$")
"""The first line of a tree that is a hypothesis too."""
_GLYPH = re.compile(r"(?=[✅❌🔆⏳🚀🔄🔴🟢⚠🗑⏸])")
_ID = re.compile(
    r"^\W*(?P<id>(?:[A-Z]{1,3}\d[A-Za-z0-9_.]*|[A-Z]{1,3}-[A-Z\d][A-Za-z0-9_.-]*))(?![A-Za-z0-9_-])"
)
_HYPOTHESIS_ID = re.compile(r"^\W*[HQ](?:\d|-[A-Z\d])")
_PRIORITY = re.compile(r"(?<![A-Za-z])P\d(?:\.\d+)?(?![\w.])")
_LATE = re.compile(
    r"(?:(?:→|->|=>|[:：])\s*|[(（【\[]\s*(?=[^()（）【】\[\]]+[)）】\]]$))"
    r"(?P<status>[^\s→:：()（）【】][^→:：()（）【】]*)[)）】\]]?$"
)
"""A status in words at the end of a line: `Q2: deeper? → open`, `Q2: deeper? (open)`."""
_ASIDE = re.compile(r"(?<!\s)\s*[(（][^()（）]*[)）]\s*$")
"""What may stand behind such a status: `Q2: open (since January)`."""
_CLOSED = re.compile(r"^\W*(?:已关闭|关闭|已解决|已回答|closed|resolved|answered)", re.I)
_FOR_STATUS = ("status", "verdict")
"""Columns that hold nothing but a status."""


@dataclass(frozen=True)
class Point:
    """One statement of a hub: a bullet, a line of the hypothesis tree, or a row of a table."""

    line: int
    """1-based."""
    text: str
    """As a reader sees it."""
    status: str | None
    """The status written in it, one of `STATUSES`; None for none."""
    id: str = ""
    """`H1.2`, `Q1`, `DG4`; empty for none."""
    evidence: str = ""
    """What a table names as its evidence; empty for none."""
    priority: str = ""
    """`P0`; empty for none."""
    status_at: Span | None = None
    """Where in the document the status stands; None for none."""


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
    def gaps(self) -> tuple[Point, ...]:
        """The decision gaps; a closed one is done, an open one has no status."""
        return tuple(self._gap(entry) for entry in self.rows("gaps"))

    @cached_property
    def beliefs(self) -> tuple[Point, ...]:
        return self._bullets_below(_BELIEFS)

    @cached_property
    def next_steps(self) -> tuple[Point, ...]:
        """The list of next steps, then the rows of tables of them."""
        rows = [e for kind in ("next_steps", "directions") for e in self.rows(kind)]
        columns = ("next", "direction")
        return *self._bullets_below(_NEXT), *(self._row(e, *columns) for e in rows)

    @cached_property
    def hypotheses(self) -> tuple[Point, ...]:
        """Those of the tables, trees and lists below headings that name them, by line.

        Lines of a tree or a list count only where they have an id, if any has one there: the
        others explain.
        """
        rows = [self._row(e, "hypothesis") for e in self.rows("hypotheses")]
        points = [*rows, *self._trees(), *self._listed()]
        return tuple(sorted(points, key=lambda point: point.line))

    @cached_property
    def tasks(self) -> tuple[Point, ...]:
        """The items of check lists: `- [x] **ID**: ...`."""
        tasks = []
        for index, line in self.shown_lines():
            if match := _TASK.match(line):
                point = self._point(index, match.start("text"), match["text"])
                status = "done" if match["mark"] in "xX" else "planned"
                tasks.append(Point(point.line, point.text, status, point.id))
        return tuple(tasks)

    def _trees(self) -> Iterator[Point]:
        """The nodes of every fenced tree in a section on hypotheses."""
        for fence in self.document.fences:
            above = [h for h in self.document.headings if h.index < fence.first]
            if not above or not _TREE.search(above[-1].title):
                continue
            lines = [(i, self.document.line_text(i)) for i in range(*fence.content)]
            words = self.words_of(fence)
            matches = ((i, _NODE.match(line) or _ROOT.match(line)) for i, line in lines)
            nodes = [
                self._point(index, match.start("text"), match["text"], words)
                for index, match in matches
                if match
            ]
            named = any(node.id for node in nodes)
            yield from (node for node in nodes if node.id or not named)

    def words_of(self, fence: Fence) -> Vocabulary:
        """The vocabulary of a fenced tree, whose own legend comes first."""
        return self.vocabulary.with_legend(
            "\n".join(self.document.line_text(i) for i in range(*fence.content))
        )

    def _listed(self) -> Iterator[Point]:
        """Bullets and headings that begin with the id of a hypothesis, in a section on them."""
        inside = False
        headings = {heading.index: heading for heading in self.document.headings}
        for index, line in self.shown_lines():
            heading, bullet = headings.get(index), _BULLET.match(line)
            if heading and _HYPOTHESIS_ID.match(plain(heading.title)) and inside:
                start = heading.span.start - self.document.line_span(index).start
                yield self._point(index, start, heading.title)
            elif heading or (line.lstrip().startswith("**") and not bullet):
                inside = bool(_TREE.search(line))
            elif bullet and inside and _HYPOTHESIS_ID.match(plain(bullet["text"])):
                yield self._point(index, bullet.start("text"), bullet["text"])

    def list_of(self, kind: str) -> tuple[Point, ...]:
        """The items of the list of a kind of table; none where it stands in no list."""
        if kind == "hypotheses":
            return tuple(self._listed())
        return self._bullets_below(_TITLES[kind]) if kind in _TITLES else ()

    def title_of(self, kind: str) -> int | None:
        """The 0-based line that titles the list of a kind; None for none."""
        if kind not in _TITLES:
            return None
        lines = ((i, t) for i, t in self.shown_lines() if t.lstrip().startswith(("**", "#")))
        return next((index for index, text in lines if _TITLES[kind].search(text)), None)

    def _bullets_below(self, title: re.Pattern[str]) -> tuple[Point, ...]:
        """The bullets right below a bold line or a heading that matches; deeper ones explain."""
        bullets: list[Point] = []
        inside, depth = False, 0
        for index, text in self.shown_lines():
            bullet = _BULLET.match(text)
            if bullet and inside:
                indent = len(bullet["indent"].expandtabs(4))
                depth = indent if not bullets else depth
                if indent <= depth + 1:
                    bullets.append(self._point(index, bullet.start("text"), bullet["text"]))
            elif text.lstrip().startswith(("**", "#")) and not bullet:
                inside = bool(title.search(text)) and not bullets
            elif text.strip() and not (bullets and text.startswith((" ", "\t"))):
                inside = False
        return tuple(bullets)

    def shown_lines(self) -> Iterator[tuple[int, str]]:
        """The lines, 0-based, that are neither comment nor code."""
        hidden = set(self.document.hidden_lines)
        for fence in self.document.fences:
            hidden.update(range(fence.first, fence.last))
        for index in range(len(self.document.lines)):
            if index not in hidden:
                yield index, self.document.line_text(index)

    def _row(self, entry: Entry, *columns: str) -> Point:
        """A row whose statement is in the first of some columns, and its status beside it."""
        text = next((entry.text(name) for name in columns if entry.text(name)), "")
        first = entry.row.cells[0].text if entry.row.cells else ""
        places = ("status", "verdict", "result", "conclusion", "number", *columns)
        parsed, at = None, None
        for name in places:
            raw = entry.raw(name)
            found = None if name == "number" and raw[:1] in COLOURS else self.vocabulary.read(raw)
            if found and (name in _FOR_STATUS or not found.loose):
                cell, parsed = entry.cells[name], found
                at = Span(cell.span.start, cell.span.start + parsed.end)
                break
        for name in ("number", *columns) if parsed is None else ():  # `H1 ✅`, `deeper helps (✅)`
            for mark in find_marks(entry.raw(name), (0, 0), self.vocabulary, last=True)[-1:]:
                if mark.parsed.glyph is None:
                    continue
                start = entry.cells[name].span.start
                parsed, at = mark.parsed, Span(start + mark.start, start + mark.end)
        evidence = entry.text("evidence") or entry.text("mvp") or entry.text("name")
        return Point(
            entry.line,
            text,
            parsed.status if parsed else None,
            row_id(entry, text),
            "" if evidence == first or not evidence.strip("-—–") else evidence,
            self._priority(entry.text("priority") or text),
            at,
        )

    def _gap(self, entry: Entry) -> Point:
        cells = [entry.raw(name).strip() for name in ("gap", "rule", "closes", "status")]
        struck = cells[0].lstrip("✅☑️ ").startswith("~~")
        done = struck or any(
            _CLOSED.match(cell) or self.vocabulary.status(cell) == "done" for cell in cells
        )
        named = _ID.match(entry.text("gap")) or _ID.match(entry.row.cells[0].text)
        text = entry.text("question") or entry.text("gap")
        return Point(entry.line, text, "done" if done else None, named["id"] if named else "")

    def _point(self, index: int, start: int, raw: str, words: Vocabulary | None = None) -> Point:
        """The statement that begins at a character of a line, with its first status."""
        words = words or self.vocabulary
        status: str | None = None
        at: Span | None = None
        offset = self.document.line_span(index).start + start
        for piece in _GLYPH.split(raw):
            parsed = words.read(piece)
            if parsed and not parsed.loose and parsed.status in STATUSES:
                status, at = parsed.status, Span(offset, offset + parsed.end)
                break
            offset += len(piece)
        for told in (raw, _ASIDE.sub("", raw)) if at is None else ():
            late = _LATE.search(told)
            said = words.read(late["status"]) if late else None
            if late and said and not plain(late["status"][said.end :]):
                offset = self.document.line_span(index).start + start + late.start("status")
                status, at = said.status, Span(offset, offset + said.end)
                break
        text = plain(raw)
        named = _ID.match(text)
        identity = named["id"].rstrip(".") if named else ""
        identity = "" if _PRIORITY.fullmatch(identity) else identity
        return Point(index + 1, text, status, identity, "", self._priority(text), at)

    def _priority(self, text: str) -> str:
        found = _PRIORITY.search(text.split(":")[0].split("：")[0])
        return found.group() if found else ""


def row_id(entry: Entry, text: str = "") -> str:
    """The id of a row, in its column for numbers, its first cell or its `text`; empty for none."""
    first = entry.row.cells[0].text if entry.row.cells else ""
    for cell in (entry.text("number"), first, text):
        named = _ID.match(cell)
        if named and (entry.kind == "principles" or not _PRIORITY.fullmatch(named["id"])):
            return named["id"].rstrip(".")
    return ""


def parse_hub(document: Document, vocabulary: Vocabulary | None = None) -> Hub:
    """Read a hub, or any other document that is no roadmap."""
    words = (vocabulary or default_vocabulary()).with_legend(document.prose)
    known = (recognise(table, words) for table in tables_of(document))
    no_ids = IdIndex(())
    views = (_with_texts(table).view(words, no_ids) for table in known if table)
    return Hub(document, words, tuple(views))


def _with_texts(known: KnownTable) -> KnownTable:
    """The table, of which a column for hypotheses that holds ids alone is one of numbers."""
    at, text = known.columns.get("hypothesis"), goal_column(known.table)
    if known.kind != "hypotheses" or at is None or at == text or "number" in known.columns:
        return known
    rows = [row.cells[at].text for row in known.table.rows if at < len(row.cells)]
    cells = [cell for cell in rows if cell.strip(" -—–:")]
    if not text or not cells or not all(_ID.sub("", cell, count=1).strip() == "" for cell in cells):
        return known
    others = {name: index for name, index in known.columns.items() if index not in (at, text)}
    return replace(known, columns={"number": at, "hypothesis": text, **others})
