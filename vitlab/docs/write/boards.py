"""The edits of a roadmap's boards when an MVP's status changes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from vitlab.docs.model.boards import moves
from vitlab.docs.model.boards.board import (
    Kanban,
    Segment,
    current_column,
    target_column,
)
from vitlab.docs.model.boards.kanban import find_boards
from vitlab.docs.model.boards.list_board import (
    ListCard,
    ListColumn,
    moved_item,
    wanted_column,
)
from vitlab.docs.model.boards.moves import move_card, restore_board
from vitlab.docs.model.boards.row_board import moved_row, other_column
from vitlab.docs.model.ids import several_ids
from vitlab.docs.model.mvps import box_marks
from vitlab.docs.model.roadmap import Mvp, Roadmap
from vitlab.docs.model.status_marks import Mark
from vitlab.docs.model.status_sites import StatusSite, StatusSites, marks_of
from vitlab.docs.text.edit import Edit, apply, common_ends
from vitlab.docs.text.source import Document, Span


def board_edits(
    roadmap: Roadmap,
    mvp: Mvp | None,
    ids: frozenset[str],
    status: str,
    texts: Sequence[tuple[StatusSite, str]],
    before: Roadmap | None,
) -> list[Edit]:
    """The edits that move an MVP's cards, on every board, under the column of a status.

    `mvp`: None where the cards are of a gate; `ids`: of the cards, those that change with it too;
    `texts`: the statuses on cards and what they become; `before`: an earlier roadmap that each
    board is restored from where nothing else on it has changed.
    """
    statuses = {m.id: m.status for m in reversed(roadmap.mvps)}
    order = roadmap.order
    edits: list[Edit] = []
    on_line: dict[int, list[tuple[StatusSite, str]]] = {}
    for site, new in texts:
        on_line.setdefault(site.index, []).append((site, new))
    for number, board in enumerate(roadmap.boards):
        cards = [c for c in board.cards if _is_of(c, ids) and c not in roadmap.parts]
        named = {card.text: _card_text(card, on_line.get(card.index, ())) for card in cards}
        if mvp:
            named = _with_own_status(roadmap, board, mvp, cards, status, named)
        then = before.boards[number] if before and number < len(before.boards) else None
        restored = None
        if mvp and len(cards) == 1 and before is not None and then is not None:
            old = next((card.text for card in then.cards if card.mvp == cards[0].mvp), "")
            if _unmarked(roadmap, mvp.id, old) == _unmarked(roadmap, mvp.id, cards[0].text):
                named[cards[0].text] = old
            text = named[cards[0].text]
            restored = restore_board(roadmap.document, board, before.document, then, cards[0], text)
        below = _edits_below(roadmap, board, texts)
        if restored is not None:
            edits += restored
        elif len(cards) == 1 and not below:
            column = target_column(board, cards[0], status, statuses)
            text = named[cards[0].text]
            edits += move_card(roadmap.document, board, cards[0], column, text, order)
        elif cards:
            edits += _move_all(roadmap, ids, number, status, named, below)
    return edits


def _is_of(card: Segment, ids: frozenset[str]) -> bool:
    """Whether a card is of some of these MVPs, and of no others."""
    return card.mvp in ids and ids.issuperset(several_ids(card.text))


def _edits_below(
    roadmap: Roadmap, board: Kanban, texts: Sequence[tuple[StatusSite, str]]
) -> list[Edit]:
    """The edits of statuses on the lines below a card in a box."""
    sites = StatusSites(roadmap)
    lines, cards = board.lines, dict[int, list[Span]]()
    for card in board.cards:
        cards.setdefault(card.index, []).append(card.span)
    below = [
        (site, new)
        for site, new in texts
        if site.index in lines
        and not any(
            c.start <= site.span.start and site.span.end <= c.end for c in cards.get(site.index, ())
        )
    ]
    return [edit for site, new in below if (edit := sites.edit(site, new))]


def _unmarked(roadmap: Roadmap, mvp_id: str, text: str) -> str:
    """A card's text without its own statuses."""
    for mark in reversed(marks_of(roadmap, text, mvp_id)):
        text = text[: mark.start] + text[mark.end :]
    return text.strip()


def _card_text(card: Segment, texts: Sequence[tuple[StatusSite, str]]) -> str:
    """A card's text with its own statuses replaced."""
    text = card.text
    for site, new in sorted(texts, key=lambda pair: pair[0].span, reverse=True):
        start = site.span.start - card.span.start
        if start >= 0 and site.span.end <= card.span.end:
            text = text[:start] + new + text[start + len(site.text) :]
    return text


def _with_own_status(
    roadmap: Roadmap,
    board: Kanban,
    mvp: Mvp,
    cards: Sequence[Segment],
    status: str,
    named: dict[str, str],
) -> dict[str, str]:
    """The texts of cards, with a mark where no column says that they are cancelled, else without.

    Where a card alone states a status, it says any that no column has. Cards are not marked where
    others of that status are not.
    """
    alone, own_cards = mvp.entry.kind == "card", set(cards)
    columns = {column.status for band in board.bands for column in band.columns}
    if status not in columns and (alone or status == "cancelled"):
        statuses = {m.id: m.status for m in reversed(roadmap.mvps)}
        rest = [c for c in board.cards if c not in own_cards]
        equals = [c for c in rest if statuses.get(c.mvp or "") == status]
        if not alone and any(not marks_of(roadmap, c.text, c.mvp or "") for c in equals):
            return named
        new = StatusSites(roadmap).sure_glyph(status)
        own = {c.text: c.text == named[c.text] for c in cards}
        return {text: f"{text} {new}" if own[text] else named[text] for text in named}
    others = [_last_mark(roadmap, card) for card in board.cards if card not in own_cards]
    if any(mark and mark.parsed.status in columns for mark in others):
        return named  # every card is marked here
    for card in cards:
        mark = _last_mark(roadmap, card)
        no_column = mark and mark.parsed.status not in columns
        if mark and no_column and (alone or mark.parsed.status == "cancelled"):
            named[card.text] = card.text[: mark.start].rstrip()
    return named


def _last_mark(roadmap: Roadmap, card: Segment) -> Mark | None:
    """The status at the very end of a card; None where there is none."""
    marks = marks_of(roadmap, card.text, card.mvp or "")
    ends = marks and marks[-1].start and marks[-1].end == len(card.text)
    return marks[-1] if ends else None


def _move_all(
    roadmap: Roadmap,
    mvps: frozenset[str],
    number: int,
    status: str,
    named: Mapping[str, str],
    first: Sequence[Edit],
) -> list[Edit]:
    """Move several cards, each on the board that the one before has left.

    On a large board only as many as lint, too, would move at a time, which tells of the rest.
    """
    statuses = {m.id: m.status for m in reversed(roadmap.mvps)}
    order = roadmap.order
    document = Document(apply(roadmap.document.text, first), roadmap.document.path)
    done, parts = set(named.values()), {card.text for card in roadmap.parts}
    stuck = set[tuple[int, int]]()
    cards = len(roadmap.boards[number].cards)
    for _ in range(min(2 * cards, moves.WORK // cards + 1)):
        board = find_boards(document, roadmap.vocabulary, roadmap.ids)[number]
        for card in (c for c in board.cards if _is_of(c, mvps) and c.text not in parts):
            column = target_column(board, card, status, statuses)
            text = card.text if card.text in done else named.get(card.text, card.text)
            wrong = text != card.text or column != current_column(board, card)
            if wrong and (card.index, card.offset) not in stuck:
                break
        else:
            break
        edits = move_card(document, board, card, column, text, order)
        if not edits:
            stuck.add((card.index, card.offset))
        document = Document(apply(document.text, edits), document.path)
    old, new = roadmap.document.text, document.text
    head, tail = common_ends(old, new)
    if old == new:
        return []
    end = len(old) - tail
    return [Edit(Span(head, end), old[head:end], new[head : len(new) - tail])]


def left_cards(roadmap: Roadmap, ids: frozenset[str]) -> list[str]:
    """The large boards on which some cards of MVPs are left where they are."""
    return [
        f"line {board.lines[0] + 1}: of {own} cards some stay: `vitlab lint --fix` moves more"
        for board in roadmap.boards
        if (own := sum(_is_of(c, ids) for c in board.cards)) > 1
        and own * len(board.cards) > moves.WORK
    ]


def item_edits(
    roadmap: Roadmap,
    mvp: Mvp,
    ids: frozenset[str],
    status: str,
    edits: Sequence[Edit],
    before: Roadmap | None,
) -> list[Edit]:
    """The edits, and those that move an MVP's items below the heading of a status.

    An item says a status itself that no heading has, where nothing else does. `before`: an earlier
    roadmap in which the MVP had this status.
    """
    made = _task_edits(roadmap, mvp, status, edits, before)
    for number, board in enumerate(roadmap.lists):
        then = before.lists[number] if before and number < len(before.lists) else ()
        for card in (card for column in board for card in column.cards if card.mvp in ids):
            home, to = wanted_column(board, card, status)
            order = roadmap.order
            marked = False
            for column, old in zip(board, then, strict=False):
                for one in (one for one in old.cards if one.mvp == card.mvp):
                    to, order = column, [each.mvp for each in old.cards]
                    made, marked = _with_earlier_text(card, one, made)
                    marked = marked or one.mark is not None
            if mvp.entry.kind == "item" and mvp.line - 1 == card.lines[0] and not marked:
                made = _with_item_mark(roadmap, board, card, status, made)
            if to and to is not home:
                made = moved_item(roadmap.document, board, card, to, order, made)
    return _row_edits(roadmap, ids, status, made, before)


def _with_earlier_text(
    card: ListCard, old: ListCard, edits: Sequence[Edit]
) -> tuple[list[Edit], bool]:
    """The edits, the text of an item being as it was where only its mark and strikes differ."""
    bare = []
    for one in (card, old):
        start, end = (one.mark.start, one.mark.end) if one.mark else (len(one.text),) * 2
        text = one.text[:start].rstrip() + one.text[end:]
        bare.append(text.replace("~~", "").rstrip())
    if bare[0] != bare[1]:
        return list(edits), False
    span = Span(card.at, card.at + len(card.text))
    rest = [e for e in edits if not (span.start <= e.span.start and e.span.end <= span.end)]
    made = [Edit(span, card.text, old.text)] if card.text != old.text else []
    return [*rest, *made], True


def has_no_table(roadmap: Roadmap, mvp: Mvp, status: str) -> bool:
    """Whether the heading above its row alone tells how an MVP stands, and none tells a status."""
    if "status" in mvp.entry.cells:
        return False
    for board in roadmap.row_boards:
        for home in board:
            if any(entry.row.index == mvp.line - 1 for entry in home.view.entries):
                return other_column(board, home, status) is None
    return False


def _row_edits(
    roadmap: Roadmap,
    ids: frozenset[str],
    status: str,
    edits: Sequence[Edit],
    before: Roadmap | None,
) -> list[Edit]:
    """The edits, and those that move rows of MVPs to the table below the heading of a status."""
    made = list(edits)
    for number, board in enumerate(roadmap.row_boards):
        rows = [(column, entry) for column in board for entry in column.view.entries]
        for home, entry in rows:
            to = other_column(board, home, status)
            if to and entry.mvps and ids.issuperset(entry.mvps):
                then = before.row_boards[number:] if before else ()
                old = [c for c in (then[0] if then else ()) if c.heading.title == to.heading.title]
                order = [mvp for c in old for e in c.view.entries for mvp in e.mvps[:1]]
                order = order if set(entry.mvps) <= set(order) else []
                made = moved_row(roadmap.document, home, to, entry, made, order)
    return made


def _with_item_mark(
    roadmap: Roadmap,
    board: Sequence[ListColumn],
    card: ListCard,
    status: str,
    edits: Sequence[Edit],
) -> list[Edit]:
    """The edits, the mark of an item being there where no heading says its status."""
    said = {column.status for column in board}
    end = card.at + len(card.text.rstrip())
    if card.mark is None:
        new = StatusSites(roadmap).sure_glyph(status)
        return [*edits, *([] if status in said else [Edit(Span(end, end), "", f" {new}")])]
    if status not in said or card.mark.parsed.status in said or card.at + card.mark.end != end:
        return list(edits)
    start = card.at + len(card.text[: card.mark.start].rstrip())
    rest = [edit for edit in edits if not start <= edit.span.start < end]
    return [*rest, Edit(Span(start, end), roadmap.document.text[start:end], "")]


_STRIKE = re.compile(r"~~(?P<inside>.+?)~~(?P<rest>.*)")
_DASH = re.compile(r"(?:\s[-–—]+|[—–]+)\s*$")
_MAY_WAIT = ("planned", "ready", "paused")


def _task_edits(
    roadmap: Roadmap, mvp: Mvp, status: str, edits: Sequence[Edit], before: Roadmap | None
) -> list[Edit]:
    """The edits, with those of the item of a check list that is all there is of an MVP.

    Its box says whether it is done, and a mark beside it whatever else it is, as in other items.
    `before`: an earlier roadmap in which the MVP had this status.
    """
    if mvp.entry.kind != "task":
        return list(edits)
    task = _Task(roadmap, mvp)
    new = task.with_status(status)
    if before and (earlier := before.mvp(mvp.id)).entry.kind == "task":
        then = _Task(before, earlier)
        new = then.line if then.bare == task.bare else new
    span = mvp.entry.row.span
    rest = [e for e in edits if not (span.start <= e.span.start and e.span.end <= span.end)]
    return [*rest, *([Edit(span, task.line, new)] if new != task.line else [])]


class _Task:
    """One item of a check list that is an MVP."""

    def __init__(self, roadmap: Roadmap, mvp: Mvp) -> None:
        self.roadmap, self.mvp = roadmap, mvp
        self.line = roadmap.document.slice(mvp.entry.row.span)
        self.lead, self.box, after = self.line.partition(mvp.status_text)
        self.text = after.strip(" \t")
        self.gap, self.end = after.split(self.text) if self.text else (after, "")
        self.marks = box_marks("", self.text, mvp.id, roadmap.vocabulary)
        self.own_marks = self._usable("planned")
        self.is_struck = self.text.startswith("~~")

    @property
    def bare(self) -> str:
        """The text without marks, and without what strikes it out."""
        return self._living(self._without_marks())

    def _living(self, text: str) -> str:
        """A text without what strikes it out, and without a status behind that."""
        match = _STRIKE.match(text)
        if match is None:
            return text
        rest = match["rest"].strip(" -–—:：()（）")
        parsed = self.roadmap.vocabulary.read(rest)
        is_status = parsed is not None and parsed.end >= len(rest)
        return match["inside"] + ("" if is_status else match["rest"])

    def _without_marks(self) -> str:
        text = self.text
        for mark in reversed(self.marks):
            head, tail = text[: mark.start], text[mark.end :]
            if head[-1:] + tail[:1] in _PAIRS:
                head, tail = head[:-1], tail[1:]
            head = _DASH.sub("", head)
            text = head.rstrip() + tail if head.strip() else tail.lstrip()
        return text

    def with_status(self, status: str) -> str:
        """The line with another status."""
        sites = StatusSites(self.roadmap)
        others = (m for m in self.roadmap.mvps if m.entry.kind == "task" and m.id != self.mvp.id)
        peers = [_Task(self.roadmap, other) for other in others]
        same = [peer for peer in peers if peer.mvp.status == status]
        site = next(s for s in sites if s.kind == "task" and s.index == self.mvp.line - 1)
        box = sites.spell(site, status)
        told = self.roadmap.vocabulary.status(box) == status
        like = same or [peer for peer in peers if peer.mvp.status in ("planned", "done")]
        if status == "cancelled" and not told and any(peer.is_struck for peer in same):
            text = self.text if self.is_struck else f"~~{self._without_marks()}~~"
        elif told and any(self._says_more(m) and m.parsed.status == status for m in self.marks):
            text = self.text
        elif told and any(self._keeps_remark(sites, mark, status) for mark in self.marks):
            text = self._remarked(sites, status)
        elif told and not any(peer.own_marks for peer in like):
            text = self._without_marks()
            text = text if status in ("done", "cancelled") else self._living(text)
        elif self._usable(status) and not self.is_struck:
            text = self._remarked(sites, status)
        else:
            marked = [peer for peer in (*same, *peers) if peer.own_marks]
            text = self._living(self.text)
            text = (
                marked[0].mark_on(text, status) if marked else f"{sites.sure_glyph(status)} {text}"
            )
        return f"{self.lead}{box}{self.gap}{text}{self.end}"

    def _says_more(self, mark: Mark) -> bool:
        """Whether a remark is in a mark: `(done, R²=0.71)`."""
        return bool(self.text[mark.start + mark.parsed.end : mark.end].strip(" *_~`()（）"))

    def _keeps_remark(self, sites: StatusSites, mark: Mark, status: str) -> bool:
        """Whether words with a remark that stays are a mark."""
        site = self._site(mark, mark.end)
        return self._says_more(mark) and not site.glyph and sites.keeps_remark(site, status)

    def _usable(self, status: str) -> list[Mark]:
        """The marks that another status replaces: what blocks an MVP that waits is none."""
        blocks = self.roadmap.vocabulary.is_blocked
        waits = status in _MAY_WAIT
        return [m for m in self.marks if not (waits and blocks(self.text[m.start : m.end]))]

    def _remarked(self, sites: StatusSites, status: str) -> str:
        text = self.text
        for mark in reversed(self._usable(status)):
            blocks = self.roadmap.vocabulary.is_blocked(self.text[mark.start : mark.end])
            end = mark.start + mark.parsed.end if blocks else mark.end
            new = sites.spell(self._site(mark, end), status)
            text = text[: mark.start] + new + text[mark.end :]
        return text

    def _site(self, mark: Mark, end: int) -> StatusSite:
        at = self.mvp.entry.row.span.start + len(self.lead + self.box + self.gap)
        span = Span(at + mark.start, at + end)
        text = self.text[mark.start : end]
        return StatusSite("item", self.mvp.id, self.mvp.line - 1, span, text, mark.parsed)

    def mark_on(self, text: str, status: str) -> str:
        """Another item's text with a status where and as this item has its last one."""
        mark = self.own_marks[-1]
        site = self._site(mark, mark.start + mark.parsed.end)
        new = StatusSites(self.roadmap).spell(site, status)
        head, after = self.text[: mark.start], self.text[mark.end : mark.end + 1]
        if not head:
            return f"{new} {text}"
        if head[-1] + after in _PAIRS:
            opening = re.search(r"\s*.$", head)
            return f"{text}{opening[0] if opening else ' ('}{new}{after}"
        dash = _DASH.search(head)
        return f"{text}{dash[0] if dash else ' '}{new}"


_PAIRS = ("()", "（）", "[]", "【】")


def status_of_item(roadmap: Roadmap, mvp: Mvp, status: str) -> list[Edit]:
    """The edit that writes the first status of an item, in brackets where others have theirs so."""
    text = roadmap.document.text
    end = mvp.entry.row.span.start + len(text[slice(*mvp.entry.row.span)].rstrip())
    new = StatusSites(roadmap).new_text(status)
    marks = [site.span for site in StatusSites(roadmap) if site.kind == "item"]
    around = {text[span.start - 1] + text[span.end : span.end + 1] for span in marks}
    pair = next((one for one in around if one in ("()", "（）", "[]", "【】")), "")
    return [Edit(Span(end, end), "", f" {pair[:1]}{new}{pair[1:]}")]
