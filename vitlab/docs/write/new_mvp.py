"""A new MVP in a roadmap: its row, section, cards and check lists, in the document's own style."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial

from vitlab.contract.paths import UsageError
from vitlab.contract.reading import whole_number
from vitlab.docs.model.boards.board import ColumnIndex
from vitlab.docs.model.boards.list_board import added_item, last_of_item
from vitlab.docs.model.boards.moves import add_card
from vitlab.docs.model.gates.gates import Gate
from vitlab.docs.model.ids import id_stem, new_id, read_id
from vitlab.docs.model.roadmap import Mvp, Roadmap
from vitlab.docs.model.status_sites import StatusSites
from vitlab.docs.model.table_kinds import Entry, View, is_section_row
from vitlab.docs.text.edit import Edit
from vitlab.docs.text.inline import cell_text
from vitlab.docs.text.source import Span
from vitlab.docs.text.tables import insert_row
from vitlab.docs.write.new_section import (
    Wanted,
    gate_title,
    new_status,
    section_edits,
    waiting_text,
)
from vitlab.docs.write.rows import add_change_row, by_column, mvp_name_like, set_column

_NUMBERED = re.compile(r"(\d{1,9})\.(\d{1,9})")  # longer ones are not counted
_ENDS_IN_NUMBER = re.compile(r"(.*?)(?<!\d)(\d{1,9})")
_WAITING = ("planned", "ready")
_NAMED = re.compile(r"(?P<prefix>(?:MVP[-_ ]?)?)[A-Za-z]{0,3}-?\d+(?:[.-]\w+)*")
_ONLY_IDS = re.compile(r"[\s*_`/,，、&+;；]*")
_LATER = re.compile(r"待|计划|todo|to do|plan|next|upcoming|backlog", re.I)
_EMPTY = re.compile(r"[-—–\s*_?]*|待定|TBD|TODO", re.I)
_ITEM = re.compile(r"^(?P<lead>[ \t>]*[-*+][ \t]+)(?P<box>\[[ xX]\][ \t]+)?(?P<text>\S.*)$")

_IN_LIST = re.compile(r"[ \t>]*[-*+][ \t]+\S|[ \t]+\S")
"""The next item of a list, or more of the one before."""


def next_mvp_id(roadmap: Roadmap, taken: Collection[str] = ()) -> str:
    """The next free number after the last MVP's: `7.0` -> `8.0`, or `2.1` -> `2.2` in a phase.

    `taken`: ids that something else has, as jobs of an MVP that was taken out of the plan.
    """
    first_free = partial(_first_free, roadmap, taken)
    numbers = [tuple(map(int, m.groups())) for mvp in roadmap.mvps
               if (m := _NUMBERED.fullmatch(mvp.id))]  # fmt: skip
    last = roadmap.mvps[-1].id if roadmap.mvps else ""
    ends = [m for mvp in roadmap.mvps if (m := _ENDS_IN_NUMBER.fullmatch(mvp.id))]
    counted = _ENDS_IN_NUMBER.fullmatch(last) or (ends[-1] if ends else None)
    if numbers and (_NUMBERED.fullmatch(last) or not _ENDS_IN_NUMBER.fullmatch(last)):
        major = max(numbers)[0]
        if _counts_phases(roadmap):
            return first_free(f"{major}.", max(n for m, n in numbers if m == major) + 1)
        return first_free("", major + 1, ".0")
    if counted:
        stem, digits = counted.groups()
        return first_free(stem, int(digits) + 1, digits=len(digits))
    return first_free("", 1, ".0")


def _first_free(
    roadmap: Roadmap,
    taken: Collection[str],
    stem: str,
    number: int,
    end: str = "",
    digits: int = 1,
) -> str:
    """The first id from `number` that no MVP of the roadmap has, and of which it does not speak."""
    like = rf"(?<![\w.-])MVP[-_ ]?{re.escape(stem)}(\d+){re.escape(end)}(?!\w|[.-]\w)"
    named = set(re.findall(like, roadmap.document.text, re.I))
    while (text := f"{number:0{digits}}") in named or (
        (found := f"{stem}{text}{end}") in taken or _is_known(roadmap, found)
    ):
        number += 1
    return found


def _is_known(roadmap: Roadmap, mvp_id: str) -> bool:
    parts = re.compile(rf"{re.escape(mvp_id)}[a-z]")  # `1.3a` is a part of 1.3
    return bool(any(parts.fullmatch(mvp.id) for mvp in roadmap.mvps) or roadmap.ids.known(mvp_id))


def _counts_phases(roadmap: Roadmap) -> bool:
    """Whether the number before the dot is the phase, so that MVPs count behind it."""
    rows = [(m, mvp.phase) for mvp in roadmap.mvps if (m := _NUMBERED.fullmatch(mvp.id))]
    if any(phase for _, phase in rows):
        return all(re.search(rf"(?<!\d){m[1]}(?!\d)", phase or "") for m, phase in rows)
    return any(m[2] != "0" for m, _ in rows)


def checked_mvp_id(roadmap: Roadmap, wanted: str) -> str:
    """The bare id of a new MVP; UsageError for one that is taken or that nothing would read."""
    mvp_id = read_id(wanted)
    found = new_id(f"MVP-{mvp_id}: x")
    if found is None or found[0] != mvp_id:
        raise UsageError(f"id {wanted!r}: must be like 2.1, 16A-0 or F-V3A")
    known = roadmap.ids.known(mvp_id)
    for mvp in roadmap.mvps:
        if mvp.id == known:
            where = f"{roadmap.document.name}:{mvp.line}"
            raise UsageError(f"{where}: MVP {mvp.id} is there already ({mvp.name or 'no name'})")
    return mvp_id


@dataclass(frozen=True)
class MvpEdits:
    """The edits that add one MVP to a roadmap."""

    roadmap: Roadmap
    mvp: str
    """Bare id, checked to be free."""
    name: str
    gate: Gate | None = None
    hypothesis: str = ""
    """The id of a hypothesis, with what it says where that is known: `H1.2: deeper is better`."""
    report: str = ""
    """A link to its report, as markdown; empty for none."""
    date: str = ""
    """YYYY-MM-DD, of the change log's row."""

    def all(self) -> list[Edit]:
        """Every place; UsageError where the document has no form that another MVP could follow."""
        rows = [*self._row(), *self.cards()]
        section = section_edits(self.roadmap, self._wanted)
        if not rows and not section:
            where = self.roadmap.document.name
            raise UsageError(f"{where}: no table, section or board to add an MVP to")
        word = "新增" if self.roadmap.language == "zh" else "Added"
        log = f"{word} MVP-{self.mvp}: {self.name}"
        # At one place, as at the document's end, rows come before what follows their table.
        return [
            *rows,
            *self._of_gate(),
            *add_change_row(self.roadmap, log, "-", self.date),
            *section,
        ]

    def cards(self) -> list[Edit]:
        """Its cards on every board, and its rows and items in every check list."""
        return [
            *new_card_edits(self.roadmap, self.mvp, self.name),
            *self.checklist(),
            *self._item(),
        ]

    def checklist(self) -> list[Edit]:
        """Its row in a table of the experiments of a paper."""
        return checklist_rows(self.roadmap, self.mvp, self.name, self.status)

    @cached_property
    def status(self) -> str:
        """A status that waits, as this document writes one."""
        return new_status(self.roadmap)

    @cached_property
    def _like(self) -> tuple[View, Entry | None] | None:
        """The overview it gets a row in, and the row that this one follows."""
        views = [view for view in self.roadmap.views if view.kind == "overview"]
        if not views:  # the table in which the MVPs are, if they are in one
            lines = {m.entry.row.index for m in self.roadmap.mvps if "mvp" in m.entry.cells}
            below = [column.view for board in self.roadmap.row_boards for column in board]
            views = [
                view
                for view in self.roadmap.views
                if view in below or any(entry.row.index in lines for entry in view.entries)
            ]
        if not views:
            return None
        view = max(views, key=lambda view: (self._waits(view), bool(self._kin(view))))
        rows = self._kin(view) or [e for e in view.entries if not is_section_row(e.row)]
        return view, rows[-1] if rows else None

    def _kin(self, view: View) -> list[Entry]:
        """The rows of MVPs whose ids begin like this one's."""
        stem = id_stem(self.mvp)
        rows = [entry for entry in view.entries if "mvp" in entry.cells]
        return [entry for entry in rows if id_stem(read_id(entry.raw("mvp"))) == stem]

    def _waits(self, view: View) -> bool:
        """Whether what waits has its rows in this overview, where there are several."""
        below = (column for board in self.roadmap.row_boards for column in board)
        if any(column.view is view and column.status in _WAITING for column in below):
            return True
        waiting = any(entry.status in _WAITING for entry in view.entries)
        return waiting or bool(_LATER.search(" ".join(view.headings[-1:])))

    @cached_property
    def phase(self) -> str:
        """The phase of the MVPs beside it; the number before its dot in an empty plan."""
        like = self._like[1] if self._like else None
        number = id_stem(self.mvp) if id_stem(self.mvp).isdigit() else ""
        if like is None:
            return number
        if _counts_phases(self.roadmap) and number and not self._kin(self._like[0]):  # type: ignore[index]
            return number
        return like.text("phase")

    def _row(self) -> list[Edit]:
        if self._like is None:
            return []
        view, like = self._like
        name = mvp_name_like(like, self.mvp)
        if like is None and "mvp" in view.columns:
            name = self.mvp
        if "name" not in view.columns:
            raws = [entry.raw("mvp") for entry in view.entries]
            if any(re.search(r"[(（][^()（）]+[)）]\s*$", raw) for raw in raws):
                name = f"{name} ({self.name})"
            else:
                spaced = name.startswith("MVP") and not any(re.search("[:：]", raw) for raw in raws)
                name = f"{name}{' ' if spaced else ': '}{self.name}"
        beside_name = like is not None and "status" in like.cells and "status" not in view.columns
        values = {
            "mvp": name,
            "name": f"{self.status} {self.name}" if beside_name else self.name,
            "phase": self.phase,
            "gate": gate_title(self.gate.id) if self.gate else "",
            "status": self.status,
            "report": self.report,
            "hypothesis": self.hypothesis.partition(":")[0],
        }
        row = by_column(view, values)
        return [insert_row(self.roadmap.document, view.table, row, like.row if like else None)]

    @property
    def _wanted(self) -> Wanted:
        return Wanted(self.mvp, self.name, self.phase, self.status, self.gate, self.hypothesis)

    def _of_gate(self) -> Iterator[Edit]:
        """Its id in the gate's list of MVPs: in the table of its section and its progress row."""
        if self.gate is None:
            return
        roadmap = self.roadmap
        section = next(
            (h for h in roadmap.document.headings if h.index + 1 == self.gate.line), None
        )
        end = roadmap.document.section_end(section) if section else 0
        for entry in roadmap.rows("facts"):
            is_mvp = "mvp" in roadmap.vocabulary.columns([entry.raw("item")])
            if self.gate.line <= entry.row.index < end and is_mvp:
                yield from self._listed(entry, "content")
        for entry in roadmap.rows("gate_progress"):
            if self.gate.id in entry.gates:
                yield from self._listed(entry, "mvp")

    def _listed(self, entry: Entry, column: str) -> list[Edit]:
        """The edit that adds its id to a cell that is empty or names nothing but MVPs."""
        old = entry.raw(column)
        if _EMPTY.fullmatch(entry.text(column)):
            return set_column(self.roadmap, entry, column, f"MVP-{self.mvp}")
        named = list(_NAMED.finditer(old))
        if not named or not _ONLY_IDS.fullmatch(_NAMED.sub("", old)) or "~" in old:
            return []
        joint = old[named[0].end() : named[1].start()] if len(named) > 1 else ", "
        bare = len(named) > 1 and "MVP" not in named[-1][0].upper()
        name = self.mvp if bare else f"{named[0]['prefix']}{self.mvp}"
        new = f"{old[: named[-1].end()]}{joint}{name}{old[named[-1].end() :]}"
        return set_column(self.roadmap, entry, column, new)

    def _item(self) -> list[Edit]:
        """An item of a list of MVPs, or at the end of the last check list with one to be done."""
        if items := new_items(self.roadmap, self.mvp, self.name):
            return items
        document, found = self.roadmap.document, None
        hidden = set(document.hidden_lines)
        for fence in document.fences:
            hidden.update(range(fence.first, fence.last))
        for index in range(len(document.lines)):
            match = None if index in hidden else _ITEM.match(document.line_text(index))
            if match and match["box"] and "[ ]" in match["box"]:
                opening = self.roadmap.ids.opening(match["text"])
                found = (index, match) if opening else found
        if found is None:
            return []
        index, match = found
        prefix = "MVP-" if re.match(r"\W*MVP", match["text"], re.I) else ""
        text = f"{match['lead']}[ ] {prefix}{self.mvp}: {self.name}"
        last = index
        while last + 1 < len(document.lines) and _IN_LIST.match(document.line_text(last + 1)):
            last += 1
        end = document.line_span(last).end
        return [Edit(Span(end, end), "", document.newline + text)]


def checklist_rows(document: Roadmap, mvp: str, name: str, status: str) -> list[Edit]:
    """A row in the check list that has what waits, or else in the first one; none without any."""
    views = [view for view in document.views if view.kind == "checklist" and "mvp" in view.columns]
    waits = [view for view in views if any(e.status in _WAITING for e in view.entries)]
    for view in (waits or views)[:1]:
        like = view.entries[-1] if view.entries else None
        with_mvp = [e for e in view.entries if re.search(r"\d", e.text("mvp"))]
        own = mvp_name_like(with_mvp[-1] if with_mvp else None, mvp)
        sites = StatusSites(document)
        own_sites = [s for s in sites if s.cell and s.cell[0] is view.table]
        waiting = waiting_text(sites, own_sites[-1]) if own_sites else status
        values = {"name": cell_text(name), "mvp": own, "status": waiting}
        row = by_column(view, values)
        first = like.row.cells[0].raw if like and like.row.cells else "1" if like is None else ""
        number = re.fullmatch(r"(.*?)(\d+)(\D*)", first)
        if 0 not in row and number and (last := whole_number(number[2])) is not None:
            row[0] = f"{number[1]}{last + (like is not None)}{number[3]}"
        return [insert_row(document.document, view.table, row)]
    return []


def added_mvp(old: Roadmap, new: Roadmap, mvp_id: str) -> Mvp:
    """The MVP that edits added; UsageError where they did more or less than that."""
    before = sorted((mvp.id, mvp.status or "") for mvp in old.mvps)
    after = sorted((mvp.id, mvp.status or "") for mvp in new.mvps)
    if after != sorted([*before, (mvp_id, "planned")]):
        raise UsageError(
            f"{old.document.name}: an MVP {mvp_id} in this document's form would not be read as "
            "a planned one; nothing was written"
        )
    return new.mvp(mvp_id)


def new_items(roadmap: Roadmap, mvp_id: str, name: str) -> list[Edit]:
    """The edits that add a new MVP below the heading of what waits, or to a list of MVPs."""
    document = roadmap.document
    for board in roadmap.lists:
        cards = [card for column in board for card in column.cards]
        to = next((c for s in ("planned", "ready") for c in board if c.status == s), None)
        if to and cards:
            plain = [card for card in (*to.cards[::-1], *cards) if card.mark is None]
            like = (*plain, cards[-1])[0]
            text = _item_like(roadmap, like.lines[0], like.mvp, mvp_id, name)
            text = re.sub(r"\[[xX/-]\](?=\s)", "[ ]", text, count=1)
            return [added_item(document, board, to, text)]
    items = [mvp for mvp in roadmap.mvps if mvp.entry.kind == "item"]
    if not items or roadmap.lists:
        return []
    last, model = items[-1].line - 1, next(mvp for mvp in reversed(items) if mvp.status)
    end = document.line_span(last_of_item(document, last)).end
    text = _item_like(roadmap, model.line - 1, model.id, mvp_id, name)
    number = whole_number(_LIKE.match(document.line_text(last))["number"])  # type: ignore[index]
    if number is not None:
        text = re.sub(r"\d+", str(number + 1), text, count=1)
    return [Edit(Span(end, end), "", document.newline + text)]


_LIKE = re.compile(
    r"(?P<lead>[ \t>]*(?:[-*+]|(?P<number>\d+)[.)])[ \t]+(?:\[[ xX/-]\][ \t]+)?)(?P<text>.*)"
)


def _item_like(roadmap: Roadmap, index: int, old: str, mvp_id: str, name: str) -> str:
    """A new item written as the one on a line: id, name and status of what waits."""
    sites, document = StatusSites(roadmap), roadmap.document
    match = _LIKE.match(document.line_text(index))
    assert match is not None
    lead, text = match["lead"], match["text"]
    start = document.line_span(index).start + len(match["lead"])
    marks = [s for s in sites if s.index == index and s.kind == "item"]
    named = re.search(rf"(?:MVP[-–_ ]?)?{re.escape(old)}", text, re.I)
    shown = f"{named[0][: -len(old)]}{mvp_id}" if named else mvp_id
    before = text[: named.start()] if named else ""
    colon = re.match(r"[*_~]*(?:\s*[:：]\s*|\s+[-–—]\s+|\s*)", text[named.end() :] if named else "")
    between = (colon[0] if colon else "").replace("~~", "") or " "
    if not marks:
        return f"{lead}{before.replace('~~', '')}{shown}{between}{name}"
    mark = marks[-1]
    waiting = (
        sites.new_text("planned")
        if mark.parsed.verdict
        else sites.spell(replace(mark, index=-1, text=mark.text[: mark.parsed.end]), "planned")
    )
    if named and mark.span.start - start < named.start():
        return f"{lead}{waiting} {before[mark.span.end - start :].lstrip()}{shown}{between}{name}"
    gap = re.search(r"[\s:：,，;；–—-]*[(（【\[]?$", text[: mark.span.start - start])
    pair = (gap[0] if gap else " ") or " "
    closes = {"(": ")", "（": "）", "【": "】", "[": "]"}.get(pair[-1:], "")
    return f"{lead}{before.replace('~~', '')}{shown}{between}{name}{pair}{waiting}{closes}"


_BULLET = re.compile(r"[-•·▪*] ")


def new_card_edits(roadmap: Roadmap, mvp_id: str, name: str = "") -> Iterator[Edit]:
    """The edits that add a new MVP's card to every board, under what waits.

    A board without such a column gets none. The card has the name where cards alone have them.
    """
    named = name and any(mvp.entry.kind == "card" and mvp.name for mvp in roadmap.mvps)
    for board in roadmap.boards:
        columns = [
            (wanted, ColumnIndex(number, index))
            for wanted in ("planned", "ready")
            for number, band in enumerate(board.bands)
            for index, column in enumerate(band.columns)
            if column.status == wanted
        ]
        if columns:
            texts = [card.text for card in board.cards]
            bare = texts and not any("MVP" in text.upper() for text in texts)
            bullet = _BULLET.match(texts[-1]) if texts else None
            text = f"{bullet.group() if bullet else ''}{'' if bare else 'MVP-'}{mvp_id}"
            if named:
                colon = any(re.search(r"\d[*_~]*[:：]", one) for one in texts)
                text = f"{text}{':' if colon else ''} {cell_text(name)}"
            yield from add_card(roadmap.document, board, columns[0][1], text)
