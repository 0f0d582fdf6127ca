"""A roadmap as data: its MVPs, gates, kanban block and tables, each with its place in the text."""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

from vitlab.contract.paths import UsageError
from vitlab.docs.model.boards.board import Kanban, Segment
from vitlab.docs.model.boards.kanban import find_boards
from vitlab.docs.model.boards.list_board import ListColumn, list_boards
from vitlab.docs.model.boards.row_board import RowColumn, row_boards
from vitlab.docs.model.foreign_plans import guessed, what_is_there
from vitlab.docs.model.gates.gates import Gate, gates_of
from vitlab.docs.model.gates.rules import Rule, bullet_rules
from vitlab.docs.model.ids import (
    IdIndex,
    by_numbers,
    exp_id,
    read_id,
    report_target,
    several_ids,
)
from vitlab.docs.model.mvps import (
    Spec,
    Stated,
    boxes_of,
    id_pattern,
    specs_of,
    stated_elsewhere,
    stated_in_lists,
)
from vitlab.docs.model.status_marks import find_marks, of_parts, past_lines, words_behind
from vitlab.docs.model.status_text import ended_mark, names_condition
from vitlab.docs.model.table_kinds import (
    Entry,
    KnownTable,
    View,
    is_quoted_example,
    recognise,
    row_id_and_name,
    titles_above,
    with_overview,
)  # fmt: skip
from vitlab.docs.model.vocabulary import STRUCK, Vocabulary, default_vocabulary
from vitlab.docs.text.inline import plain
from vitlab.docs.text.source import Document
from vitlab.docs.text.tables import Table, tables_of

_META = re.compile(r"\*\*(?P<key>[^*:：]+)[:：]\*\*\s*`?(?P<value>[^|`\n]*)")
_STRUCK_ID = re.compile(r"[\s>#*+|_`\d.)-]*+(?:\[.\]\s*+)?[^\w\s~]*+\s*+~~(?=\S)")
_NOT_WAITING = ("done", "running", "cancelled", "analysing")
_LAST = ("paused", "partial", "failed")
"""Statuses that are launched again only after all others."""
_Column = TypeVar("_Column", ListColumn, RowColumn)
MAX_MVPS = 10_000
"""A roadmap with more is refused: every one is held against every place that names it."""


class NoMvpTable(UsageError):  # noqa: N818  # reads better in messages than an error
    """The document has no MVP."""


@dataclass(frozen=True)
class Mvp:
    """One MVP: a row of an overview table, or where it stands instead."""

    id: str
    """Bare: `1.0`, `16A-0`, `F-V3A`, `16T (V2)`."""
    name: str
    phase: str | None
    gate: str | None
    """The gate cell as a reader sees it (`Gate-1`); None for `-`."""
    status: str | None
    status_text: str
    """The status cell as written."""
    exp_id: str | None
    report: str | None
    """The target of the report cell's link."""
    line: int
    """1-based."""
    entry: Entry
    """Its row; without cells, of kind `heading card task item`, where it stands in no table."""

    @property
    def in_overview(self) -> bool:
        return self.entry.kind == "overview"


@dataclass(frozen=True)
class Next:
    """The MVP to launch next, and why."""

    id: str
    why: str


@dataclass(frozen=True)
class Roadmap:
    """Everything read from one roadmap; never changed, but parsed again after every edit."""

    document: Document
    vocabulary: Vocabulary
    ids: IdIndex
    mvps: tuple[Mvp, ...]
    views: tuple[View, ...]
    """Every table of a known kind, in order."""
    unknown: tuple[Table, ...]
    """The other tables."""
    report_of: str | None = field(default=None, kw_only=True)
    """The MVP whose report this is; None for anything else."""

    def reread(self, document: Document) -> Roadmap:
        """Another state of the same file."""
        return parse_roadmap(document, self.vocabulary)

    def undecided(self, gates: Container[str]) -> Roadmap:
        """This roadmap as if some of its gates were not decided."""
        new = replace(self)
        new.__dict__["gates"] = tuple(
            replace(gate, status=None, status_text="", parsed=None) if gate.id in gates else gate
            for gate in self.gates
        )
        return new

    @property
    def language(self) -> str:
        """`zh` or `en`."""
        return self.document.language

    @cached_property
    def title(self) -> str:
        """The first heading; empty where there is none."""
        return next((plain(h.title) for h in self.document.headings), "")

    @property
    def legend(self) -> Mapping[str, str]:
        """Glyph as written -> status, of the document's own legend line."""
        return {glyph: status for status, (glyph, _) in self.vocabulary.legend.items()}

    def rows(self, kind: str) -> tuple[Entry, ...]:
        """The rows of every table of one kind, in order."""
        return tuple(e for view in self.views if view.kind == kind for e in view.entries)

    @cached_property
    def numbers(self) -> tuple[Entry, ...]:
        """The rows of the numeric summary."""
        return tuple(e for e in self.rows("numbers") if "mvp" in e.cells)

    @cached_property
    def facts(self) -> Mapping[int, tuple[View, Entry]]:
        """The entries of tables of facts, by where the text of their content begins."""
        views = [view for view in self.views if view.kind == "facts"]
        found = ((view, entry) for view in views for entry in view.entries)
        return {e.cells["content"].start: (view, e) for view, e in found if "content" in e.cells}

    @cached_property
    def boards(self) -> tuple[Kanban, ...]:
        """Every board of cards, in order."""
        return find_boards(self.document, self.vocabulary, self.ids)

    @cached_property
    def parts(self) -> frozenset[Segment]:
        """The cards of parts of their MVP, as `MVP-1.0 data`, `MVP-1.0 training` on one board."""
        own = {mvp.line - 1 for mvp in self.mvps if not mvp.in_overview}
        cards: list[Segment] = []
        texts: list[tuple[str, Hashable, str]] = []
        for board in self.boards:
            for card in (card for card in board.cards if card.mvp and card.index not in own):
                named = id_pattern(card.mvp or "").search(card.text)
                of = named.span() if named else (0, 0)
                marks = find_marks(card.text, of, self.vocabulary, last=True)
                cards.append(card)
                words = words_behind(card.text, of, marks)
                texts.append((card.mvp or "", board.lines, words))
        return frozenset(cards[number] for number in of_parts(texts, self.names))

    @cached_property
    def lists(self) -> tuple[tuple[ListColumn, ...], ...]:
        """Every board that is lists below headings of statuses."""
        return self._present(list_boards(self.document, self.vocabulary, self.ids))

    @cached_property
    def row_boards(self) -> tuple[tuple[RowColumn, ...], ...]:
        """Every board that is tables below headings of statuses."""
        return self._present(row_boards(self.document, self.vocabulary, self.views))

    def _present(self, boards: Iterable[tuple[_Column, ...]]) -> tuple[tuple[_Column, ...], ...]:
        """Boards, but for those of a day or week, unless an MVP stands in that one first."""
        own, past = {m.line - 1 for m in self.mvps if not m.in_overview}, past_lines(self.document)
        section_end = self.document.section_end
        return tuple(
            board
            for board in boards
            if board[0].heading.index not in past
            or any(c.heading.index < at < section_end(c.heading) for c in board for at in own)
        )

    @property
    def order(self) -> list[str]:
        """The ids as an ordered board has its cards: as the rows, without any by their numbers."""
        ids = list(dict.fromkeys(mvp.id for mvp in self.mvps))
        if any(mvp.entry.kind not in ("card", "item") for mvp in self.mvps):
            return ids
        return sorted(ids, key=by_numbers)

    @cached_property
    def names(self) -> Mapping[str, str]:
        """MVP -> its name."""
        return {mvp.id: mvp.name for mvp in reversed(self.mvps)}

    @cached_property
    def specs(self) -> tuple[Spec, ...]:
        """The `### MVP-...` sections."""
        return specs_of(self.document, self.views, self.vocabulary, self.ids)

    @cached_property
    def sections(self) -> Mapping[str, Sequence[Spec]]:
        """MVP -> its sections."""
        found: dict[str, list[Spec]] = {}
        for spec in self.specs:
            found.setdefault(spec.mvp, []).append(spec)
        return found

    @cached_property
    def gates(self) -> tuple[Gate, ...]:
        """Every gate; one without rules gets those in its MVP's section."""
        gates = gates_of(self.document, self.views, self.unknown, self.vocabulary, self.ids)
        return tuple(
            gate if gate.rules else replace(gate, rules=self._section_rules(gate)) for gate in gates
        )

    def _section_rules(self, gate: Gate) -> tuple[Rule, ...]:
        for spec in self.specs:
            if spec.mvp in gate.mvps:
                rules = bullet_rules(self.document, spec.heading.index, spec.end)
                if rules:
                    return rules
        return ()

    @cached_property
    def meta(self) -> Mapping[str, str]:
        """The `**Key:** value` pairs of the first 15 lines, keys case folded."""
        lines = self.document.lines
        head = self.document.text[: lines[15].start] if len(lines) > 15 else self.document.text
        return {m["key"].strip().casefold(): m["value"].strip() for m in _META.finditer(head)}

    def mvp(self, mvp_id: str) -> Mvp:
        """The MVP of an id, prefix optional; UsageError names the known ones."""
        wanted = read_id(mvp_id).casefold()
        for mvp in self.mvps:
            if mvp.id.casefold() == wanted:
                return mvp
        short = {m.id: m for m in self.mvps if re.split(r"\s*[(（]", m.id)[0].casefold() == wanted}
        if len(short) == 1:  # `T2` for `T2 (V2)`
            return next(iter(short.values()))
        ids = ", ".join(dict.fromkeys(m.id for m in self.mvps))
        raise UsageError(f"{self.document.name}: no MVP {mvp_id!r}; there are {ids}")

    def sharing(self, mvp: Mvp) -> tuple[str, ...]:
        """The other MVPs whose only row, heading or item is that of an MVP: `MVP-1.1/1.2`."""
        row = several_ids(mvp.entry.raw("mvp"))
        if len(row) < 2 and mvp.entry.kind not in ("headings", "items"):
            return ()
        place = (mvp.entry.kind, mvp.line)
        others = (m.id for m in self.mvps if (m.entry.kind, m.line) == place and m.id != mvp.id)
        return tuple(dict.fromkeys(others))

    def gate(self, gate_id: str) -> Gate:
        """The gate of an id, prefix optional; UsageError names the known ones."""
        wanted = read_id(gate_id).casefold()
        for gate in self.gates:
            if gate.id.casefold() == wanted:
                return gate
        ids = ", ".join(g.id for g in self.gates) or "none"
        raise UsageError(f"{self.document.name}: no gate {gate_id!r}; there are {ids}")


def parse_roadmap(document: Document, vocabulary: Vocabulary | None = None) -> Roadmap:
    """Read a roadmap; NoMvpTable when it has no MVP, with what its tables look like."""
    words = (vocabulary or default_vocabulary()).with_legend(document.prose)
    tables = tables_of(document)
    titles = titles_above(document, tables)
    recognised = [
        None if is_quoted_example(document, table) else recognise(table, words, path)
        for table, path in zip(tables, titles, strict=True)
    ]
    past = past_lines(document)
    known, rows = with_overview(recognised, words, past)
    mvps = _of_rows(rows)
    if len(mvps) > MAX_MVPS:
        raise UsageError(f"{document.name}: {len(mvps):,} MVPs, more than {MAX_MVPS:,}")
    ids = IdIndex(tuple(dict.fromkeys(mvp.id for mvp in mvps)))
    views = tuple(table.view(words, ids) for table in known if table)
    elsewhere = stated_elsewhere(document, views, words, ids)
    if not mvps and not elsewhere:
        known, rows = with_overview(guessed(tables, titles, recognised, words), words)
        mvps = _of_rows(rows)
        elsewhere = [] if mvps else stated_in_lists(document, words)
    if not mvps and not elsewhere and not any(map(_is_new, known)):
        why = what_is_there(tables, words) if document.text.strip() else "is empty"
        raise NoMvpTable(f"{document.name}: {why}")
    if elsewhere or not ids.ids:
        ids = IdIndex(tuple(dict.fromkeys([*(m.id for m in mvps), *(e.id for e in elsewhere)])))
        views = tuple(table.view(words, ids) for table in known if table)
        facts = {s.mvp: s for s in reversed(specs_of(document, views, words, ids))}
        mvps += [_stated_mvp(one, facts.get(one.id), words) for one in elsewhere]
    if experiments := _experiments(mvps):
        ids = replace(ids, experiments=experiments)
        views = tuple(_with_experiments(view, ids) for view in views)
    unknown = tuple(t for t, table in zip(tables, known, strict=True) if not table)
    return Roadmap(document, words, ids, tuple(mvps), views, unknown)


def _experiments(mvps: Sequence[Mvp]) -> tuple[tuple[str, str], ...]:
    """(exp_id, MVP) of each experiment that one MVP alone has."""
    owners: dict[str, set[str]] = {}
    for mvp in mvps:
        if mvp.exp_id:
            owners.setdefault(mvp.exp_id, set()).add(mvp.id)
    return tuple((name, one.pop()) for name, one in owners.items() if len(one) == 1)


def _with_experiments(view: View, ids: IdIndex) -> View:
    """A table of experiments without a column of MVPs, whose exp_ids tell them."""
    if view.kind != "board":
        return view
    found = [ids.experiment_in(entry.raw("exp_id")) for entry in view.entries]
    rows = zip(view.entries, found, strict=True)
    return replace(view, entries=tuple(replace(e, mvps=(f[0],)) if f else e for e, f in rows))


def _is_new(table: KnownTable | None) -> bool:
    """Whether it is the overview of a plan that was just begun: without any row."""
    return table is not None and table.kind == "overview" and not table.table.rows


def _mvp(entry: Entry) -> Mvp:
    status = entry.cells.get("status")
    mvp, name = row_id_and_name(entry)
    return Mvp(
        id=mvp,
        name=name,
        phase=_text_or_none(entry, "phase"),
        gate=_text_or_none(entry, "gate"),
        status=entry.status,
        status_text=status.raw if status else "",
        exp_id=exp_id(entry.raw("exp_id")),
        report=report_target(entry.raw("report")),
        line=entry.line,
        entry=entry,
    )


def _of_rows(rows: Sequence[Entry]) -> list[Mvp]:
    """The MVPs of an overview's rows; those that share one, `MVP-4.1/4.2`, and have none alone."""
    shared = {entry.row.index: several_ids(entry.raw("mvp")) for entry in rows}
    mvps = {entry.row.index: _mvp(entry) for entry in rows}
    alone = {mvp.id for index, mvp in mvps.items() if not shared[index]}
    return [
        replace(mvp, id=each)
        for index, mvp in mvps.items()
        for each in shared[index] or (mvp.id,)
        if not shared[index] or each not in alone
    ]


def _stated_mvp(stated: Stated, spec: Spec | None, words: Vocabulary) -> Mvp:
    fact = spec.fact(words, "status") if spec and stated.status is None else None
    status, text = (words.status(fact.raw), fact.raw) if fact else (stated.status, stated.text)
    if spec and spec.line and status is None:
        status, text = spec.line.parsed.status, spec.line.text
    elif spec and status is None and not text:
        text = spec.unread
    return replace(
        _mvp(stated.entry), id=stated.id, name=stated.name, status=status, status_text=text
    )


def _text_or_none(entry: Entry, column: str) -> str | None:
    text = entry.text(column)
    return None if text in ("", "-", "—", "–") else text


def next_mvp(roadmap: Roadmap) -> Next | None:
    """The first of `launch_order`; None when no MVP is waiting."""
    return next(iter(launch_order(roadmap)), None)


def launch_order(roadmap: Roadmap, opened: Collection[str] = ()) -> tuple[Next, ...]:
    """The MVPs waiting to be launched: by the week's priorities, then by the overview's order.

    Paused, failed and partial ones come last; done, running and cancelled ones are left out, as
    are those of `passed_over`, but for those `opened`: what they waited for has come. Ones that are
    analysed are left out too, unless they are `opened`.
    """
    by_id, order = _by_id(roadmap), _order(roadmap)
    held = {one.id for one in passed_over(roadmap)}.difference(opened)
    closed = {
        i for i, one in by_id.items()
        if one.status in _NOT_WAITING and not (one.status == "analysing" and i in opened)
    }  # fmt: skip
    waiting = [i for i in order if i not in closed and i not in held]
    waiting.sort(key=lambda i: by_id[i].status in _LAST)
    return tuple(Next(i, f"{order[i]}: {by_id[i].status or 'no status'}") for i in waiting)


def passed_over(roadmap: Roadmap) -> tuple[Next, ...]:
    """The MVPs that are not proposed though they may wait, and why: blocked, or not understood."""
    held, known, remarks = [], _by_id(roadmap), dict(_waiting_remarks(roadmap))
    done = {i for i, mvp in known.items() if mvp.status == "done"}
    views = {entry.line: view for view in roadmap.views for entry in view.entries}
    for mvp in roadmap.mvps:
        if mvp is not known[mvp.id]:
            continue
        if mvp.status is None and mvp.status_text.strip(" -—–"):
            why = f"line {mvp.line}: the status {mvp.status_text!r} is not known"
            held.append(Next(mvp.id, why))
        elif mvp.status not in _NOT_WAITING and _is_struck(roadmap, mvp):
            held.append(Next(mvp.id, f"line {mvp.line}: struck out"))
        elif mvp.status not in _NOT_WAITING and mvp.id in remarks:
            line, text = remarks[mvp.id]
            held.append(Next(mvp.id, f"line {line}: blocked ({text})"))
        elif mvp.status in ("planned", "ready") and names_condition(mvp.status_text, done):
            held.append(Next(mvp.id, f"line {mvp.line}: its status says {mvp.status_text!r}"))
        elif mvp.status is None and (mark := _mark_elsewhere(mvp, views, roadmap.vocabulary)):
            why = f"line {mvp.line}: {mark} may be its status (`vitlab status --as` says so)"
            held.append(Next(mvp.id, why))
    return tuple(held)


def _mark_elsewhere(mvp: Mvp, views: Mapping[int, View], vocabulary: Vocabulary) -> str:
    """What says that a row has ended, where its table has no column of statuses; else empty."""
    view = views.get(mvp.line)
    if view is None or "status" in view.columns:
        return ""
    known = {at: name for name, at in view.columns.items()}
    cells = zip(view.headers, (cell.raw for cell in mvp.entry.row.cells), strict=False)
    may_tell = [(*cell, known.get(at, "")) for at, cell in enumerate(cells)]
    return ended_mark(may_tell, vocabulary, _NOT_WAITING)


def _is_struck(roadmap: Roadmap, mvp: Mvp) -> bool:
    """Whether an MVP's id, or all of its status, is struck out."""
    entry = mvp.entry
    opening = entry.raw("mvp") if entry.cells else roadmap.document.slice(entry.row.span)
    one_of_many = entry.kind == "card"
    status = bool(mvp.status_text) and not STRUCK.sub("", mvp.status_text).strip(" *_`")
    return status or (not one_of_many and _STRUCK_ID.match(opening) is not None)


def _waiting_remarks(roadmap: Roadmap) -> Iterator[tuple[str, tuple[int, str]]]:
    """(MVP, (line, text)) of each heading, open box and cell that has its MVP wait; best last."""
    waits = roadmap.vocabulary.waits
    for index, box, text in boxes_of(roadmap.document):
        opening = roadmap.ids.opening(text) if box == "[ ]" and waits(text) else None
        if opening:
            yield opening[0], (index + 1, text)
    for spec in reversed(roadmap.specs):
        if waits(spec.heading.title):
            yield spec.mvp, (spec.heading.index + 1, spec.heading.title)
    rows = [(mvp, entry) for entry in roadmap.rows("priorities") for mvp in entry.mvps]
    for mvp, entry in [*rows, *((mvp.id, mvp.entry) for mvp in reversed(roadmap.mvps))]:
        cells = (entry.raw(name) for name in ("status", "name", "mvp"))
        if text := next((cell for cell in cells if waits(cell)), ""):
            yield mvp, (entry.line, text)
    for one in reversed(roadmap.mvps):
        name = one.name if one.entry.kind in ("card", "task", "item") else ""
        if text := next((t for t in (one.status_text, name) if waits(t)), ""):
            yield one.id, (one.line, text)


def _by_id(roadmap: Roadmap) -> dict[str, Mvp]:
    return {mvp.id: mvp for mvp in reversed(roadmap.mvps)}


def _order(roadmap: Roadmap) -> dict[str, str]:
    """Every MVP with the place that gives its turn, the week's priorities first."""
    known = _by_id(roadmap)
    order: dict[str, str] = {}
    for entry in roadmap.rows("priorities"):
        for mvp_id in entry.mvps:
            if mvp_id in known:
                order.setdefault(mvp_id, f"priority {entry.text('priority')}, line {entry.line}")
    for mvp in roadmap.mvps:
        where = "overview" if mvp.in_overview else "plan"
        order.setdefault(mvp.id, f"next in the {where}, line {mvp.line}")
    return order
