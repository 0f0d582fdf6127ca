"""Every place of a roadmap where a status stands, and how the document would write another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from vitlab.docs.model.ids import exp_id
from vitlab.docs.model.roadmap import Roadmap, heading_status
from vitlab.docs.model.table_kinds import Entry, View
from vitlab.docs.model.vocabulary import GLYPHS, LONG_WORDS, SHORT_WORDS, StatusText
from vitlab.docs.text.edit import Edit
from vitlab.docs.text.inline import folded
from vitlab.docs.text.source import Span
from vitlab.docs.text.tables import Table, replace_cell

FOLLOWERS = ("overview", "experiment_index", "gate_progress", "numbers", "checklist")
"""Kinds of table whose status column says what the MVP of the row is doing."""


@dataclass(frozen=True)
class Place:
    """One status in the text."""

    kind: str
    """`overview week heading fact gate gate_progress experiment_index numbers checklist
    card`, `other` for one that belongs to no MVP."""
    mvp: str | None
    index: int
    """0-based line."""
    span: Span
    """Of `text` in the document."""
    text: str
    found: StatusText
    """Offsets in `text`."""
    cell: tuple[Table, Entry, int] | None = None
    """Table, row and column when it is a cell."""

    def part(self, pair: tuple[int, int] | None) -> str:
        return self.text[pair[0] : pair[1]] if pair else ""

    @property
    def glyph(self) -> str:
        return self.part(self.found.glyph)

    @property
    def word(self) -> str:
        return self.part(self.found.word)


def places(roadmap: Roadmap) -> tuple[Place, ...]:
    """Every status of the document, with the MVP it speaks of, in order."""
    found = [
        *_table_places(roadmap),
        *_heading_places(roadmap),
        *_gate_places(roadmap),
        *_card_places(roadmap),
    ]
    # A section inside another of the same name would tell of its statuses twice.
    once = {place.span: place for place in reversed(found)}
    return tuple(sorted(once.values(), key=lambda place: place.span))


def _table_places(roadmap: Roadmap) -> Iterator[Place]:
    for view in roadmap.views:
        for entry in view.entries:
            mvp = entry.mvps[0] if len(entry.mvps) == 1 else None
            if view.kind == "overview" and "mvp" in entry.cells:
                mvp = roadmap.ids.known(entry.cells["mvp"].raw)
            if view.kind in FOLLOWERS:
                if view.kind == "experiment_index" and mvp and not _current(roadmap, entry, mvp):
                    mvp = None
                yield from _cell_place(roadmap, view, entry, "status", view.kind, mvp)
            elif view.kind == "priorities":
                yield from _cell_place(roadmap, view, entry, "status", "week", mvp)
            elif view.kind in ("runs", "routes"):
                yield from _cell_place(roadmap, view, entry, "status", "other", None)


def _current(roadmap: Roadmap, entry: Entry, mvp_id: str) -> bool:
    """Whether an index row is of the experiment that its MVP names now, not of an earlier one."""
    named = {mvp.exp_id for mvp in roadmap.mvps if mvp.id == mvp_id}
    return None in named or exp_id(entry.raw("exp_id")) in named


def _cell_place(
    roadmap: Roadmap, view: View, entry: Entry, column: str, kind: str, mvp: str | None
) -> Iterator[Place]:
    cell = entry.cells.get(column)
    found = roadmap.vocabulary.read(cell.raw) if cell else None
    if cell and found:
        where = (view.table, entry, view.columns[column])
        kind = "verdict" if found.verdict and kind != "overview" else kind
        yield Place(kind, mvp, entry.row.index, cell.span, cell.raw, found, where)


def _heading_places(roadmap: Roadmap) -> Iterator[Place]:
    owners = {spec.heading.index: spec.mvp for spec in roadmap.specs}
    gates = {gate.line - 1 for gate in roadmap.gates}
    for heading in roadmap.document.headings:
        status = heading_status(heading, roadmap.vocabulary)
        if status and heading.index not in gates:
            owner = owners.get(heading.index)
            kind = "heading"
            yield Place(kind, owner, heading.index, status.span, status.text, status.found)
    for spec in roadmap.specs:
        cell = spec.fact(roadmap.vocabulary, "status")
        yield from _fact_place(roadmap, cell, "fact", spec.mvp)


def _fact_place(roadmap: Roadmap, cell: object, kind: str, mvp: str | None) -> Iterator[Place]:
    for view in roadmap.views:
        if view.kind != "facts":
            continue
        for entry in view.entries:
            content = entry.cells.get("content")
            if content is cell and content is not None:
                yield from _cell_place(roadmap, view, entry, "content", kind, mvp)


def _gate_places(roadmap: Roadmap) -> Iterator[Place]:
    for gate in roadmap.gates:
        owner = gate.mvps[0] if len(gate.mvps) == 1 else None
        if gate.status_cell is not None:
            plain_one = gate.found is not None and is_plain(gate.status_text, gate.found)
            kind = "gate" if plain_one else "verdict"
            yield from _fact_place(roadmap, gate.status_cell, kind, owner)


def is_plain(text: str, found: StatusText) -> bool:
    """Whether a gate's status only says what its run is doing, and is no verdict."""
    rest = text[found.end :].strip()
    return not found.verdict and "*" not in text and (not rest or rest[0] in "(（")


def _card_places(roadmap: Roadmap) -> Iterator[Place]:
    for card in roadmap.kanban.cards if roadmap.kanban else ():
        if card.found:
            yield Place("card", card.mvp, card.index, card.span, card.text, card.found)


def spelled(roadmap: Roadmap, book: tuple[Place, ...], place: Place, status: str) -> str:
    """The text of a place saying `status` in the document's own glyph and word; remarks stay.

    A word is added where the glyph alone would say something else in this document (`❌ 失败` where
    the legend has `❌取消`), and such a word goes again with its reason. Before a verdict in the
    overview (`✅ PASS`) the status is put in front, and taken away when the verdict says it.
    """
    if place.found.verdict:
        return f"{fresh(roadmap, book, place, status)} {place.text}"
    rest = place.text[place.found.end :].strip()
    said = roadmap.vocabulary.read(rest) if place.kind == "overview" else None
    if said and said.verdict and said.status == status:
        return rest
    glyph = _glyph(roadmap, book, place, status) if place.found.glyph else None
    if glyph is None:
        return rewritten(place, None, _word(roadmap, book, place, status))
    clear = _says(roadmap, glyph, status)
    if place.found.word and clear and _word_was_needed(roadmap, book, place):
        return _without_word(place, glyph)
    if place.found.word is None and not clear:
        after = place.text[place.found.end : place.found.end + 1]
        gap = " " if after.isalnum() or after == "_" else ""  # a word must end to be one
        return rewritten(place, f"{glyph} {_word(roadmap, book, place, status)}{gap}", None)
    word = _word(roadmap, book, place, status) if place.found.word else None
    return rewritten(place, glyph, word)


def fresh(roadmap: Roadmap, book: tuple[Place, ...], place: Place | None, status: str) -> str:
    """A status without remark, as the overview writes one; `place` is left out of the models."""
    models = [
        p for p in book if p.kind == "overview" and p is not place and not p.found.verdict
    ]  # fmt: skip
    same = [p for p in models if p.found.status == status]
    if same:
        return same[0].text[: same[0].found.end]
    if models:
        bare = models[0].text[: models[0].found.end]
        return spelled(roadmap, book, replace(models[0], index=-1, text=bare), status)
    legend = roadmap.vocabulary.legend.get(status)
    return legend[0] if legend and _says(roadmap, legend[0], status) else status


def _says(roadmap: Roadmap, glyph: str, status: str) -> bool:
    return roadmap.vocabulary.status(glyph) == status


def _word_was_needed(roadmap: Roadmap, book: tuple[Place, ...], place: Place) -> bool:
    """Whether a place has a word only because its glyph is not clear: its like have none."""
    if _says(roadmap, place.glyph, place.found.status):
        return False
    like = [p for p in book if p.kind == place.kind and p.span != place.span]
    if place.kind in (*FOLLOWERS, "card"):  # one row alone writes as the overview does
        like = like or [p for p in book if p.kind == "overview" and p.span != place.span]
    return bool(like) and not any(p.word for p in like if _says(roadmap, p.glyph, p.found.status))


def _without_word(place: Place, glyph: str) -> str:
    parts = [pair for pair in (place.found.glyph, place.found.word) if pair]
    first, last = min(p[0] for p in parts), max(p[1] for p in parts)
    return place.text[:first] + glyph + place.text[last:]


def rewritten(place: Place, glyph: str | None, word: str | None) -> str:
    """The text of a place with its glyph and its word replaced; None leaves a part as it is."""
    text = place.text
    parts = [(place.found.glyph, glyph), (place.found.word, word)]
    for pair, new in sorted(((p, n) for p, n in parts if p and n is not None), reverse=True):
        text = text[: pair[0]] + new + text[pair[1] :]
    return text


def _nearest(book: tuple[Place, ...], place: Place, status: str, part: str) -> str | None:
    """How the nearest other place of the same kind writes this part of a status."""
    others = [
        other
        for other in book
        if other.kind == place.kind
        and other.found.status == status
        and other.span != place.span
        and getattr(other, part)
    ]
    # What stands above is preferred: a section's heading sets the wording of those below it.
    others.sort(key=lambda o: (o.index > place.index, abs(o.index - place.index)))
    return getattr(others[0], part) if others else None


def _glyph(roadmap: Roadmap, book: tuple[Place, ...], place: Place, status: str) -> str:
    legend = roadmap.vocabulary.legend.get(status)
    anywhere = next((p.glyph for p in book if p.found.status == status and p.glyph), None)
    return (
        _nearest(book, place, status, "glyph")
        or (legend[0] if legend else None)
        or anywhere
        or GLYPHS[status][0]
    )


def _word(roadmap: Roadmap, book: tuple[Place, ...], place: Place, status: str) -> str:
    language = roadmap.language
    if place.word:
        language = "en" if place.word.isascii() else "zh"
    if near := _nearest(book, place, status, "word"):
        return near
    beside = [p for p in book if p.found.status == status and p.word and p.glyph]
    if beside:
        return min(beside, key=lambda p: abs(p.index - place.index)).word
    legend = roadmap.vocabulary.legend.get(status)
    if legend and legend[1] and folded(legend[1]) != folded(SHORT_WORDS[language][status]):
        return legend[1]
    word = LONG_WORDS[language][status]
    return _same_case(place.word, word)


def _same_case(model: str, word: str) -> str:
    if model.isupper() and len(model) > 1:
        return word.upper()
    return word.capitalize() if model[:1].isupper() else word


def place_edit(roadmap: Roadmap, place: Place, new: str) -> Edit | None:
    """The edit that makes a place say `new`; None when it says it already."""
    if new == place.text:
        return None
    if place.cell:
        table, entry, column = place.cell
        return replace_cell(roadmap.document, table, entry.row, column, new)
    return Edit(place.span, place.text, new)
