"""The edits of a hub: the status and evidence of a statement, and new rows and items."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

from vitlab.contract.job import STATUSES
from vitlab.contract.paths import UsageError
from vitlab.docs.model.hub import Hub, parse_hub
from vitlab.docs.model.hub_sites import GivenSites, Statement, hub_sites, same_id, statements_of
from vitlab.docs.model.status_sites import StatusSite
from vitlab.docs.model.table_kinds import Entry, View
from vitlab.docs.model.vocabulary import default_vocabulary
from vitlab.docs.text.edit import Edit, apply, lost_lines
from vitlab.docs.text.inline import cell_text, plain
from vitlab.docs.text.source import Document, Span
from vitlab.docs.text.tables import set_cell

_SEPARATOR = re.compile(r"(?<!\s)\s*<br\s*/?>\s*|；\s*|;\s+|、|\s\+\s")
_LIST_OF_IDS = re.compile(r"[\w.`*-]+(?:(?:,\s*|，)[\w.`*-]+)+")
_STRUCK = re.compile(r"~~(.+)~~")
_LEAD = re.compile(r"^[^\w*~`\[(<]*")
"""Emoji before an id."""
_OPEN = ("planned", "ready")
_TOLD = re.compile(r"(?:→|->|=>|[:：])\s*(?P<status>[^→:：\s][^→:：]*)$")
_MORE = re.compile(r"\s*[,，;；。(（—–-]")
"""Behind a status in words that says more: `Q2: open, needs data`."""
_PLACEHOLDERS = re.compile(r"[-—–?\s]*|.{0,4}([/／|].{1,4})+")
"""What stands in a cell for a status that was never set: nothing, or a choice: `⏳/🚀/✅`."""


class NoPlace(UsageError):  # noqa: N818  # reads better in messages than an error
    """A statement that is there has no place for a status, or for evidence."""


def status_word(word: str) -> str:
    """The status that a person names in any of its words; UsageError where it is none."""
    parsed = default_vocabulary().read(word)
    if parsed is None or parsed.loose or word[parsed.end :].strip():
        raise UsageError(
            f"status {word!r}: one of {', '.join(STATUSES)}, or a word for one "
            "(confirmed, rejected, open, passed, 已验证, ...)"
        )
    return parsed.status


def find_statement(hub: Hub, wanted: str) -> list[Statement]:
    """The places of an id, by line; none where the hub has none.

    UsageError where two rows of one kind have it: which is meant is not known.
    """
    mine = [one for one in statements_of(hub) if same_id(one.id, wanted)]
    for one in mine:
        same = [o for o in mine if o.kind == one.kind and o is not one]
        if same and (one.kind != "hypotheses" or any(_table(o) == _table(one) for o in same)):
            lines = " and ".join(f"{one.line}" for one in sorted([one, *same], key=_line))
            raise UsageError(
                f"{hub.document.name}: {one.id} is on lines {lines}; "
                "give one of them another id first"
            )
    return mine


def no_statement(wanted: str, hubs: Sequence[Hub]) -> UsageError:
    """That no hub has an id, with those that look like it."""
    known = list(dict.fromkeys(one.id for hub in hubs for one in statements_of(hub)))
    near = get_close_matches(wanted.upper(), known, 5, 0.5) or known[:12]
    names = ", ".join(hub.document.name for hub in hubs)
    there = f"there are {', '.join(near)}" if near else "it has no row or line with an id"
    return UsageError(f"{names}: no {wanted!r}; {there}")


def _line(one: Statement) -> int:
    return one.line


def _table(one: Statement) -> int:
    return one.row[0].table.first if one.row else -1


def set_statement(
    hub: Hub,
    wanted: str,
    status: str | None,
    asked: str = "",
    evidence: str = "",
    before: Hub | None = None,
) -> list[Edit]:
    """Give a statement a status wherever it stands, and add to its evidence.

    `status`: None leaves it; `asked`: the word a person used for it; `evidence`: plain text;
    `before`: an earlier state of the document, whose spelling is restored.
    """
    mine = find_statement(hub, wanted)
    edits: list[Edit] = []
    if status is not None:
        stated = [one for one in mine if one.site or one.kind in ("hypotheses", "tree", "listed")]
        stated += [one for one in mine if one.kind == "gaps" and one not in stated]
        stated += [one for one in mine if _has_column(one) and one not in stated]
        if mine and not stated:
            raise NoPlace(f"{_where(hub, mine[0])}: {mine[0].id} has no place for a status")
        without: list[NoPlace] = []
        for one in stated:
            try:
                if one.kind == "gaps" and not _has_column(one):
                    edits += _gap_edits(hub, one, status, before)
                else:
                    edits += _status_edits(hub, one, status, asked, before)
            except NoPlace as error:
                without.append(error)
        if without and len(without) == len(stated):
            raise without[0]
    if evidence and mine:
        edits += _evidence_edits(hub, mine, evidence)
    return edits


def not_restored(hub: Hub, wanted: str, edits: Sequence[Edit]) -> list[str]:
    """The lines that the earlier status would not restore as they are without the journal."""
    new = parse_hub(Document(apply(hub.document.text, edits)), hub.vocabulary)
    then = new.document.text
    earlier = next((one.status for one in find_statement(hub, wanted)), None)
    if earlier is not None:
        then = apply(then, set_statement(new, wanted, earlier))
    return lost_lines(hub.document.text, then)


def states(hub: Hub, wanted: str, status: str) -> bool:
    """Whether a statement has a status somewhere; a gap is done or open."""
    return any(
        one.status == status or (one.kind == "gaps" and _closes(status) == (one.status == "done"))
        for one in statements_of(hub)
        if same_id(one.id, wanted)
    )


def _closes(status: str) -> bool:
    return status in ("done", "cancelled")


def _where(hub: Hub, one: Statement) -> str:
    return f"{hub.document.name}:{one.line}"


def _has_column(one: Statement) -> bool:
    return one.row is not None and "status" in one.row[0].columns


def _sites(hub: Hub, one: Statement, status: str, asked: str = "") -> GivenSites:
    return hub_sites(hub, statements_of(hub), one.words, {status: asked} if asked else {})


def _status_edits(
    hub: Hub, one: Statement, status: str, asked: str, before: Hub | None
) -> list[Edit]:
    sites = _sites(hub, one, status, asked)
    if one.site is None:
        return _first_status(hub, one, sites, status)
    if sites.agrees(one.site, status):
        return []
    new = _balanced(one.site.text, _spelled(sites, one, status))
    then = _earlier(hub, one, before)
    if then and then.site and before and then.status == status:
        sites_then = _sites(before, then, str(one.status), one.site.word)
        if _balanced(then.site.text, _spelled(sites_then, then, str(one.status))) == one.site.text:
            outer = _outer(hub, before, one.site, then.site)
            edit = sites.edit(one.site, then.site.text, outer)
            return [edit] if edit else []
    edit = sites.edit(one.site, new)
    return [edit] if edit else []


def _outer(hub: Hub, before: Hub, site: StatusSite, then: StatusSite) -> str | None:
    """What an earlier cell was with its padding, where no other row of its table has changed."""
    if site.cell is None or then.cell is None:
        return None
    (table, entry, _), (table_then, entry_then, column) = site.cell, then.cell
    others = [hub.document.slice(row.span) for row in table.rows if row is not entry.row]
    others_then = [
        before.document.slice(row.span) for row in table_then.rows if row is not entry_then.row
    ]
    outer = before.document.slice(entry_then.row.cells[column].outer)
    return outer if others == others_then else None


def _spelled(sites: GivenSites, one: Statement, status: str) -> str:
    """A site's text with another status; a word of the old one that ends it goes too."""
    assert one.site is not None
    text, site = sites.spell(one.site, status), one.site
    head, _, last = text.rpartition(" ")
    said = sites.roadmap.vocabulary.read(last) if head and site.cell is None else None
    remains = said is not None and sites.parts(site).remark.endswith(f" {last}")
    if remains and said and said.word and said.status != status:
        return f"{head} {sites.word_for(site, status)}"
    return text


def _balanced(old: str, new: str) -> str:
    """A text whose emphasis is closed, or left open, as that of the one it replaces."""
    return new + "**" if (old.count("**") - new.count("**")) % 2 else new


def _earlier(hub: Hub, one: Statement, before: Hub | None) -> Statement | None:
    """The same statement in an earlier document: of its kind the one with its number."""
    if before is None:
        return None
    same = [s for s in statements_of(hub) if same_id(s.id, one.id) and s.kind == one.kind]
    then = [s for s in statements_of(before) if same_id(s.id, one.id) and s.kind == one.kind]
    number = next(n for n, s in enumerate(same) if s.line == one.line)
    return then[number] if len(then) == len(same) else None


def _first_status(hub: Hub, one: Statement, sites: GivenSites, status: str) -> list[Edit]:
    """Write a status where there is none yet: in its cell, or where similar statements have it."""
    new = sites.new_text(status)
    if one.row is None:
        end = hub.document.line_span(one.line - 1).start
        line = hub.document.line_text(one.line - 1).rstrip()
        at = Span(end + len(line), end + len(line))
        told = _TOLD.search(line)
        opens = sites.roadmap.vocabulary.read(told["status"]) if told else None
        if told and opens and not opens.loose and _MORE.match(told["status"], opens.end):
            raise _no_status(hub, one, told["status"])
        read = sites.roadmap.vocabulary.read(new)
        arrow = "" if read and read.glyph else "→ "  # a word alone is read as a status behind one
        return [Edit(at, "", f" {arrow}{new}")]
    view, entry = one.row
    column = next((name for name in ("status", "verdict", "result") if name in view.columns), "")
    if column:
        old = entry.raw(column)
        if not _PLACEHOLDERS.fullmatch(old):
            raise _no_status(hub, one, old)
        return _set(hub, view, entry, column, new)
    table = view.table
    marked = any(s.cell is None and table.first <= s.index < table.last for s in sites)
    if marked and "hypothesis" in view.columns:  # others have it behind their statement
        said = f"{entry.raw('hypothesis')} {_clear(new, sites, status)}"
        return _set(hub, view, entry, "hypothesis", said)
    others = [s for s in sites if s.cell and s.cell[0] is view.table]
    if not others:
        raise NoPlace(f"{_where(hub, one)}: the table of {one.id} has no column for a status")
    assert others[0].cell is not None
    name = next(n for n, index in view.columns.items() if index == others[0].cell[2])
    return _set(hub, view, entry, name, f"{sites.new_text(status, others[0])} {entry.raw(name)}")


def _no_status(hub: Hub, one: Statement, old: str) -> UsageError:
    return UsageError(
        f"{_where(hub, one)}: the status of {one.id} reads {old!r}, not a status; "
        "write one there first"
    )


def _clear(new: str, sites: GivenSites, status: str) -> str:
    """A status with a glyph: a word alone says nothing at the end of a text."""
    said = sites.roadmap.vocabulary.read(new)
    return new if said and said.glyph else f"{sites.sure_glyph(status)} {new}"


def _set(hub: Hub, view: View, entry: Entry, column: str, new: str) -> list[Edit]:
    edit = set_cell(hub.document, view.table, entry.row, view.columns[column], new)
    return [edit] if edit else []


def _gap_edits(hub: Hub, one: Statement, status: str, before: Hub | None) -> list[Edit]:
    """Close a decision gap, or open it again: its id is ticked and struck out, as in other rows."""
    assert one.row is not None
    view, entry = one.row
    close = _closes(status)
    if not close and status not in _OPEN:
        raise UsageError(f"{_where(hub, one)}: a decision gap is open or closed, not {status}")
    if close == (one.status == "done"):
        return []
    closed = [e for e in view.entries if _STRUCK.search(e.raw("gap"))]
    columns = ["gap", *(["question"] if any(_struck(e, "question") for e in closed) else [])]
    if not close:
        columns = ["gap", "question"]
    then = _earlier(hub, one, before)
    edits: list[Edit] = []
    for column in columns:
        old = entry.raw(column)
        text = _LEAD.sub("", old) if column == "gap" else old
        bare = _STRUCK.sub(r"\1", text)
        new = bare if not close else f"~~{bare}~~" if text == bare and bare else old
        if close and column == "gap":
            new = f"✅ ~~{bare}~~"
        if then and then.row and then.status != "done" and not close:
            was = then.row[1].raw(column)
            new = was if _STRUCK.sub(r"\1", _LEAD.sub("", was)) == _LEAD.sub("", bare) else new
        edits += _set(hub, view, entry, column, new) if new != old else []
    again = parse_hub(Document(apply(hub.document.text, edits)), hub.vocabulary)
    if any(same_id(g.id, one.id) and (g.status == "done") != close for g in again.gaps):
        raise UsageError(f"{_where(hub, one)}: {one.id} is closed by another cell; change it first")
    return edits


def _struck(entry: Entry, column: str) -> bool:
    return bool(_STRUCK.fullmatch(entry.raw(column)))


# Evidence


def _evidence_edits(hub: Hub, mine: Sequence[Statement], evidence: str) -> list[Edit]:
    """Add to the cells of evidence, or else to the lines of a tree or a list."""
    text = cell_text(evidence)
    edits: list[Edit] = []
    rows = [(one.row, _evidence_index(one)) for one in mine if one.row]
    for (view, entry), index in ((row, index) for row, index in rows if index is not None):
        old = _raw(entry, index)
        if not _names(old, text):
            new = _with_more(view, index, old, text)
            edit = set_cell(hub.document, view.table, entry.row, index, new)
            edits += [edit] if edit else []
    if any(index is not None for _, index in rows):
        return edits
    lines = [one for one in mine if one.row is None]
    if not lines:
        raise NoPlace(f"{_where(hub, mine[0])}: the table of {mine[0].id} has no evidence")
    for one in lines:
        line = hub.document.line_text(one.line - 1).rstrip()
        at = hub.document.line_span(one.line - 1).start + len(line)
        if not _names(line, text):
            edits.append(Edit(Span(at, at), "", f" ({' '.join(evidence.split())})"))
    return edits


def _evidence_index(one: Statement) -> int | None:
    """The column of evidence, or what stands for it; None for none."""
    if one.row is None:
        return None
    view = one.row[0]
    if one.kind == "hypotheses" and "evidence" not in view.columns:
        heads = enumerate(view.headers)  # `ID` is read as a column of MVPs too
        return next((index for index, head in heads if "mvp" in head.casefold()), None)
    more = ("closes",) if one.kind == "gaps" else ()
    return next((view.columns[n] for n in ("evidence", *more) if n in view.columns), None)


def _raw(entry: Entry, index: int) -> str:
    return entry.row.cells[index].raw if index < len(entry.row.cells) else ""


def _names(text: str, evidence: str) -> bool:
    """Whether a text has the evidence already, as a whole."""
    word = re.escape(plain(evidence))
    return bool(re.search(rf"(?<![\w.-]){word}(?!\w)(?![.-]\w)", plain(text)))


def _with_more(view: View, index: int, old: str, new: str) -> str:
    """A cell with one more item, joined as in the cell itself, or else in its column."""
    cells = [_raw(entry, index) for entry in view.entries]
    others = [raw for raw in cells if raw.strip(" -—–")]
    if others and all(re.fullmatch(r"`[^`]+`", text) for text in others) and "`" not in new:
        new = f"`{new}`"
    if not old.strip(" -—–"):
        return new
    for text in (old, *others):
        if _LIST_OF_IDS.fullmatch(text):
            return f"{old}{'，' if '，' in text else ', '}{new}"
        if joined := _SEPARATOR.search(text):
            return f"{old}{joined.group()}{new}"
    return f"{old}; {new}"
