"""Where a roadmap states the status of a gate, and how it would state another one."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from vitlab.docs.model.gates.gates import Gate, gate_opening, row_gate
from vitlab.docs.model.hub import Hub
from vitlab.docs.model.hub_sites import GivenSites, without_mvps
from vitlab.docs.model.ids import IdIndex, gate_refs
from vitlab.docs.model.roadmap import Roadmap
from vitlab.docs.model.status_marks import Mark, find_marks, past_lines
from vitlab.docs.model.status_sites import StatusSite
from vitlab.docs.model.table_kinds import Entry
from vitlab.docs.model.vocabulary import GLYPHS, LONG_WORDS, VERDICT_WORDS, Vocabulary
from vitlab.docs.text.inline import folded, plain
from vitlab.docs.text.source import Heading, Span
from vitlab.docs.text.tables import Row, Table

VERDICTS = {
    "zh": {"done": "通过", "partial": "部分通过", "failed": "未通过"},
    "en": {"done": "PASS", "partial": "MARGINAL", "failed": "FAIL"},
}
"""How a verdict is called where the document has none like it."""
_IN_WORDS = {"done": "passed", "partial": "marginal", "failed": "failed"}
"""The same where a place has words and no glyphs."""
DECIDED = ("done", "failed", "partial", "cancelled")
"""The statuses of a gate that settle it."""
_FOLLOWING = ("gate", "gate line", "gate heading", "gate row", "gate_progress")
"""Kinds of place that follow the gate's MVP until it is decided."""
MAIN = ("gate", "gate line", "gate item")
"""Kinds of place that say why a gate is decided."""
_PREFIX = re.compile(
    r"(?<![A-Za-z])(?=((?:Decision\s*Gate|Gate|门控|决策门|Decision\s*Point|决策点|DP|DG|G)"
    r"[-–—_ \u2011\u2212]*))",
    re.I,
)
"""What a gate's id follows, wherever it begins: `门控` also within `决策门控`."""
_GOES_ON = re.compile(r"[A-Za-z0-9]|[.-]\w")
"""What follows an id that is only the beginning of another."""
_KEYED = re.compile(
    r"^[\s>]*(?:[-*+]\s+|\d+[.)]\s+)?[*_`]*(?P<key>[^:：|*_`]{1,30}?)[*_`]*\s*[:：]"
    r"[*_`]*\s*(?P<value>\S.*?)\s*$"
)
_LEAD = re.compile(r"^[\s>│├└┌┬┴┼─━═`+|\\*_~-]*(?:\[[ xX/-]\]\s+)?(?:→\s*)?")
_DECISION = re.compile(
    r"[*_`]*\s*(?:(?:的?(?:决策|判定|结论|状态|结果)|decision|verdict|status|result)(?![A-Za-z]))?",
    re.I,
)
"""What may stand between a gate's name and its status."""
_AFTER = re.compile(r"[\s*_`]*(?:$|[:：—–|(（【\[→-]|[^\w\s])")
_NAMED = re.compile(r"(?<![A-Za-z])Gate[-–_ ]?\d[\w.]*", re.I)
_PIECE = re.compile(r"[^|,，;；、。:：]+")
_SUPPOSED = re.compile(r"若|如果|当|待|\b(?:if|when|once|needs?|before|after)\b", re.I)
_DATED = re.compile(r"[\s>|*_+-]*\d{4}[-./年]\d{1,2}[-./月]\d{1,2}")
_DRAWN = ("", "text", "txt", "plain", "ascii", "mermaid")


@dataclass(frozen=True)
class GatePlace:
    """One place for a gate's status: where one stands, or the empty cell for it."""

    gate: str
    """Bare id."""
    site: StatusSite | None
    row: tuple[Table, Row, int] | None = None
    """The cell without a status."""
    result: tuple[Table, Row, int] | None = None
    """The cell of the gate's result in the same row."""
    line: int = 0
    """1-based."""


@dataclass(frozen=True)
class GateSites(GivenSites):
    """The statuses of all gates of a roadmap."""

    def verdict(self, status: str) -> str:
        """The word of a verdict as the gates here have it; empty for a status that is none."""
        if status not in VERDICT_WORDS:
            return ""
        stated = sorted(self.sites, key=lambda s: bool(s.glyph), reverse=True)
        words = {s.parsed.status: word for s in reversed(stated) if (word := verdict_word(s))}
        if status in words:
            return words[status]
        others = list(words.values()) or list(VERDICTS[self.roadmap.language].values())
        return VERDICTS["en" if others[0].isascii() else "zh"][status]

    def keeps(self, site: StatusSite, status: str) -> bool:
        """Whether a place's remark stays: what a section says is all of its old status."""
        remark = self.parts(site).remark.strip()
        why = site.kind == "gate item" and remark.startswith("(") and remark.endswith(")")
        own = why or site.kind in ("gate", "gate line")
        return not own and self.keeps_remark(site, status)

    def gate_text(self, site: StatusSite, status: str, because: str = "") -> str:
        """The text of a place with another status of its gate, and why."""
        parts, word = self.parts(site), self.verdict(status)
        keep = not because and self.keeps(site, status)
        if word:
            new = self._verdict_text(site, status, word, because)
        elif site.parsed.verdict and site.kind in MAIN:
            new = f"{self._glyph(site, status)} {self._word(site, status)}"
        else:
            new = self._status_part(site, parts, status)
        text = parts.with_status(new, keep)
        return f"{text} ({because})" if because and not word and site.kind in MAIN else text

    def verdict_glyph(self, site: StatusSite | None, status: str, word: str) -> str:
        """The glyph before a verdict: `❌` also where it alone means another status."""
        near = self._glyph(site, status) if site else ""
        glyphs = (near, GLYPHS[status][0], self.sure_glyph(status))
        return next(g for g in glyphs if g and self._means(f"{g} {word}", status))

    def _verdict_text(self, site: StatusSite, status: str, word: str, because: str) -> str:
        if not site.glyph and site.text[:1].isalnum():
            bare = _IN_WORDS.get(status, word) if site.text[:1].isascii() else word
            bare = bare.capitalize() if site.text[:1].isupper() else bare
            bare = bare.upper() if site.text[:4].isupper() else bare
            return f"{bare}: {because}" if because and site.kind in MAIN else bare
        glyph = self.verdict_glyph(site, status, word)
        if site.kind not in MAIN:
            clear = not (site.word or site.parsed.verdict) and self._means(glyph, status)
            return glyph if clear else f"{glyph} {word}"
        whole = f"{word}: {because}" if because else word
        others = [s.text for s in self.sites if s.kind in MAIN and verdict_word(s)]
        bold = not others or any("**" in text for text in others)
        return f"{glyph} **{whole}**" if bold else f"{glyph} {whole}"


def verdict_word(site: StatusSite) -> str:
    """The word of the verdict that a site states, as written; empty for none."""
    said = site.text[: site.parsed.end] if site.parsed.verdict else ""
    words = (w for words in VERDICT_WORDS.values() for w in words)
    longest = max((w for w in words if said.casefold().endswith(w)), key=len, default="")
    return said[len(said) - len(longest) :] if longest else ""


def places_of(roadmap: Roadmap, gates: Sequence[Gate] | None = None) -> tuple[GatePlace, ...]:
    """Every place for the status of some gates, else of all, by line; those on boards aside.

    None below a day, a week or a log, unless the gate itself is there.
    """
    found = _places(roadmap, roadmap.gates if gates is None else gates)
    once = {(p.line, p.site.span if p.site else p.row and p.row[1].cells[p.row[2]].span): p
            for places in reversed(found) for p in reversed(places)}  # fmt: skip
    return tuple(sorted(once.values(), key=lambda place: place.line))


def _places(roadmap: Roadmap, gates: Sequence[Gate]) -> list[list[GatePlace]]:
    """The places of each gate; the document is looked through once for all of them."""
    past = past_lines(roadmap.document)
    now = {gate.id for gate in roadmap.gates if gate.line - 1 not in past}
    sections, rows, lines = _Sections(roadmap), _rows(roadmap), _Lines(roadmap, gates)
    found = []
    for gate in gates:
        name = folded(gate.id)
        places = [*sections.places(gate), *(replace(p, gate=gate.id) for p in rows.get(name, ()))]
        places += lines.places(gate)
        found.append([p for p in places if gate.id not in now or p.line - 1 not in past])
    return found


def gate_sites(roadmap: Roadmap, places: tuple[GatePlace, ...]) -> GateSites:
    """The statuses at some places, each spelled as those of its kind are."""
    usual = {**LONG_WORDS[roadmap.language], **VERDICTS[roadmap.language]}
    return GateSites(roadmap, tuple(p.site for p in places if p.site), usual)


def undecided_sites(roadmap: Roadmap, mvps: Collection[str]) -> tuple[StatusSite, ...]:
    """The statuses of gates that follow these MVPs: each waits for one of them, and is undecided.

    A gate that is decided in any of its places follows in none of them, nor does one whose rules
    only a person can judge.
    """
    found: list[StatusSite] = []
    entries = [e for e in roadmap.rows("gate_progress") if e.mvps]
    rows = {e.row.index: e.mvps for e in entries}
    named = {gate for e in entries if not set(mvps).isdisjoint(e.mvps) for gate in e.gates}
    gates = [
        gate
        for gate in roadmap.gates
        if not gate.is_left_to_a_person and (gate.id in named or set(mvps) & set(gate.mvps))
    ]
    for gate, mine in zip(gates, _places(roadmap, gates), strict=True):
        if any(_decides(roadmap, place) for place in mine):
            continue
        for site in (place.site for place in mine if place.site):
            of = rows.get(site.index) or gate.mvps
            if site.kind in _FOLLOWING and len(of) == 1 and of[0] in mvps:
                found.append(replace(site, mvp=of[0]))
    return tuple(sorted(found, key=lambda site: site.span))


def _decides(roadmap: Roadmap, place: GatePlace) -> bool:
    """Whether a place says in any way, even in words nobody knows, that its gate is decided."""
    vocabulary = roadmap.vocabulary
    if place.site is None:
        text = place.row[1].cells[place.row[2]].raw if place.row else ""
    else:
        text = place.site.text
        if place.site.parsed.status in DECIDED:
            return True
    starts = vocabulary.glyph_starts(text)
    return any(vocabulary.status(text[start:]) in DECIDED for start in starts)


def gate_name(gate_id: str) -> str:
    """A gate as texts name it: `Gate-1`, `DP1`."""
    return gate_id if re.match(r"D[PG]\d", gate_id) else f"Gate-{gate_id}"


def _bare(gate_id: str) -> str:
    """What follows `Gate-` in a text, letters made small."""
    return re.sub(r"^D[PG](?=\d)", "", gate_id).lower()


class _Sections:
    """The headings of gates, and what stands below them."""

    def __init__(self, roadmap: Roadmap) -> None:
        self._roadmap = roadmap
        self._headings: dict[str, list[Heading]] = {}
        for heading in roadmap.document.headings:
            if opening := gate_opening(plain(heading.title)):
                self._headings.setdefault(folded(opening), []).append(heading)
        tables = [*(view.table for view in roadmap.views), *roadmap.unknown]
        self._tables = sorted(tables, key=lambda table: table.first)
        self._firsts = [table.first for table in self._tables]
        self._specs = sorted(spec.heading.index for spec in roadmap.specs)

    def places(self, gate: Gate) -> Iterator[GatePlace]:
        """The marks of the gate's headings, and their rows and lines `状态`."""
        for heading in self._headings.get(folded(gate.id), ()):
            yield from self._mark(gate, heading)
            yield from self._below(gate, heading)

    def _mark(self, gate: Gate, heading: Heading) -> Iterator[GatePlace]:
        document = self._roadmap.document
        span = next(_named(heading.title, {_bare(gate.id)}), ("", 0, 0))[1:]
        for mark in find_marks(heading.title, span, self._roadmap.vocabulary, last=True)[-1:]:
            at = Span(heading.span.start + mark.start, heading.span.start + mark.end)
            text = document.slice(at)
            site = StatusSite("gate heading", None, heading.index, at, text, mark.parsed)
            yield GatePlace(gate.id, site, line=heading.index + 1)

    def _below(self, gate: Gate, heading: Heading) -> Iterator[GatePlace]:
        document, vocabulary = self._roadmap.document, self._roadmap.vocabulary
        end = document.section_end(heading)
        spec = bisect_right(self._specs, heading.index)
        end = min([end, *self._specs[spec : spec + 1]])
        inside = set[int]()
        first, last = bisect_right(self._firsts, heading.index), bisect_left(self._firsts, end)
        for table in self._tables[first:last]:
            inside.update(range(table.first, table.last))
            yield from _fact_rows(self._roadmap, gate, table)
        for index in range(heading.index + 1, end):
            if index in inside or index in document.hidden_lines:
                continue
            match = _KEYED.match(document.line_text(index))
            if match and "status" in vocabulary.columns([match["key"]]):
                start = document.line_span(index).start + match.start("value")
                parsed = vocabulary.read(match["value"])
                pieces = map(vocabulary.read, re.split(r"[|｜]", match["value"]))
                if parsed and sum(piece is not None for piece in pieces) == 1:  # no legend
                    at = Span(start, start + len(match["value"]))
                    site = StatusSite("gate line", None, index, at, match["value"], parsed)
                    yield GatePlace(gate.id, site, line=index + 1)


def _fact_rows(roadmap: Roadmap, gate: Gate, table: Table) -> Iterator[GatePlace]:
    if table.width != 2:
        return
    for row in table.rows:
        if len(row.cells) == 2 and "status" in roadmap.vocabulary.columns([row.cells[0].raw]):
            yield _cell_place(roadmap, gate.id, "gate", table, row, 1, None)


def _rows(roadmap: Roadmap) -> dict[str, list[GatePlace]]:
    """Folded id -> the rows of tables whose first gate-like column names this gate alone."""
    found: dict[str, list[GatePlace]] = {}
    views = [(view.table, view.kind) for view in roadmap.views if view.kind == "gate_progress"]
    for table, kind in [*views, *((table, "gate row") for table in roadmap.unknown)]:
        columns = roadmap.vocabulary.columns([cell.raw for cell in table.header.cells])
        at, status = columns.get("gate", columns.get("gap", 0)), columns.get("status")
        if status is None:
            continue
        result = columns.get("result")
        if columns.get("date", at) < at:
            continue
        head = plain(table.header.cells[at].raw) if at < table.width else ""
        of: dict[str, list[Row]] = {}
        for row in table.rows:
            text = plain(row.cells[at].raw) if at < len(row.cells) else ""
            name = "" if row.is_delimiter else folded(row_gate(head, text) or "")
            if name and status < len(row.cells):
                of.setdefault(name, []).append(row)
        for name, rows in of.items():
            says = {roadmap.vocabulary.status(row.cells[status].raw) for row in rows}
            if len(says) == 1 or "mvp" in columns:  # others are votes, parts or what was once
                found.setdefault(name, []).extend(
                    _cell_place(roadmap, "", kind, table, row, status, result) for row in rows
                )
    return found


def _cell_place(
    roadmap: Roadmap, gate: str, kind: str, table: Table, row: Row, column: int, result: int | None
) -> GatePlace:
    cell = row.cells[column]
    parsed = roadmap.vocabulary.read(cell.raw)
    beside = (table, row, result) if result is not None and result < len(row.cells) else None
    if parsed is None:
        return GatePlace(gate, None, (table, row, column), beside, row.line)
    entry = Entry(kind, row, {})
    site = StatusSite(kind, None, row.index, cell.span, cell.raw, parsed, (table, entry, column))
    return GatePlace(gate, site, None, beside, row.line)


class _Lines:
    """The statuses beside gates' names that open an item, a bold line or a drawn one."""

    def __init__(self, roadmap: Roadmap, gates: Sequence[Gate]) -> None:
        self._roadmap, document = roadmap, roadmap.document
        tables = {i for first, last in document.tables for i in range(first, last)}
        boards = {i for board in roadmap.boards for i in board.lines}
        headings = {heading.index for heading in document.headings}
        fences = document.fences
        self._drawn = {i for f in fences for i in range(*f.content) if _is_drawn(roadmap, f.first)}
        code = {i for f in fences for i in range(f.first, f.last)} - self._drawn
        skipped = tables | boards | headings | code | set(document.hidden_lines)
        self._names: dict[str, list[tuple[int, int, int]]] = {}
        """Of a bare id: the line, and the span in it that a status stands behind."""
        for bare, first, last in _named(document.text, {_bare(gate.id) for gate in gates}):
            index = document.line_of(first) - 1
            start = document.line_span(index).start
            line = document.line_text(index)
            if index in skipped or not _opens(line, first - start, roadmap.vocabulary):
                continue
            of = first - start, _DECISION.match(line, last - start).end()  # type: ignore[union-attr]
            if _AFTER.match(line, of[1]):  # else a sentence about the gate
                self._names.setdefault(bare, []).append((index, *of))

    def places(self, gate: Gate) -> Iterator[GatePlace]:
        """The statuses of a gate."""
        document, vocabulary = self._roadmap.document, self._roadmap.vocabulary
        for index, *of in self._names.get(_bare(gate.id), ()):
            start, line = document.line_span(index).start, document.line_text(index)
            is_drawn, is_own = index in self._drawn, index == gate.line - 1
            marks = find_marks(line, (of[0], of[1]), vocabulary, last=is_drawn or is_own)
            if not marks and is_own:
                marks = _verdicts_at_end(line, of[1], vocabulary)
            for mark in marks[:1]:
                whole = not is_drawn and mark.start > of[0]
                end = len(line.rstrip()) if whole else mark.end
                at = Span(start + mark.start, start + end)
                text = document.slice(at)
                if parsed := vocabulary.read(text):
                    kind = "gate drawn" if is_drawn else "gate item"
                    site = StatusSite(kind, None, index, at, text, parsed)
                    yield GatePlace(gate.id, site, line=index + 1)


def _named(text: str, ids: Collection[str]) -> Iterator[tuple[str, int, int]]:
    """Each of some bare ids where a text names its gate, with the span of that name."""
    lengths = {len(bare) for bare in ids}
    for match in _PREFIX.finditer(text):
        for length in lengths:
            end = match.end(1) + length
            bare = text[match.end(1) : end].lower()
            if bare in ids and not _GOES_ON.match(text, end):
                yield bare, match.start(), end


def _verdicts_at_end(line: str, start: int, vocabulary: Vocabulary) -> list[Mark]:
    """The verdict behind a gate's rule, with why: `R² > 0.7 → stop ✅ PASS: 0.71`."""
    for at in vocabulary.glyph_starts(line):
        parsed = vocabulary.read(line[at:])
        if at >= start and parsed and parsed.verdict:
            return [Mark(at, len(line.rstrip()), parsed)]
    return []


def _is_drawn(roadmap: Roadmap, index: int) -> bool:
    language = roadmap.document.line_text(index).lstrip(" \t>`~").strip().casefold()
    return language in _DRAWN


def _opens(line: str, at: int, vocabulary: Vocabulary) -> bool:
    """Whether only marks of a list, a tree, emphasis or a status stand before a name."""
    before = line[:at]
    lead = _LEAD.match(before)
    rest = re.sub(r"^\d+[.)]\s+", "", before[lead.end() if lead else 0 :])
    rest = rest.strip(" *_~`")
    if not rest:
        return True
    parsed = vocabulary.read(rest)
    return bool(parsed and not rest[parsed.end :].strip(" *_~`"))


def gates_in_hub(hub: Hub) -> tuple[tuple[str, StatusSite], ...]:
    """Each gate (bare id) that a hub marks in its text, `✅ Gate-1`, with that mark."""
    found = []
    past = past_lines(hub.document)
    for index, line in hub.shown_lines():
        if index in past or _DATED.match(line):
            continue
        start = hub.document.line_span(index).start
        for piece in _PIECE.finditer(line) if "gate" in line.casefold() else ():
            named = list(_NAMED.finditer(piece[0]))
            if len(named) != 1 or _SUPPOSED.search(piece[0]):
                continue
            marks = find_marks(piece[0], named[0].span(), hub.vocabulary, last=False)
            for gate in gate_refs(piece[0]) if len(marks) == 1 else ():
                at = start + piece.start() + marks[0].start
                span = Span(at, at + marks[0].end - marks[0].start)
                text = hub.document.slice(span)
                site = StatusSite("gate drawn", None, index, span, text, marks[0].parsed)
                found.append((gate, site))
    return tuple(found)


def hub_gate_sites(hub: Hub, sites: tuple[StatusSite, ...]) -> GateSites:
    """As `gate_sites`, for the marks of a hub."""
    return gate_sites(without_mvps(hub), tuple(GatePlace("", site) for site in sites))


def with_gate_cards(roadmap: Roadmap, gate: Gate) -> Roadmap:
    """The roadmap with the gate's cards known on its boards."""
    ids = IdIndex((*roadmap.ids.ids, gate_name(gate.id)))
    return replace(roadmap, ids=ids)
