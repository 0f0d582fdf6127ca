"""The edits that add a row or an item to a hub, in the style of those that are there."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence

from vitlab.contract.paths import UsageError
from vitlab.contract.reading import whole_number
from vitlab.docs.model.hub import Hub
from vitlab.docs.model.hub_sites import hub_sites, statements_of
from vitlab.docs.model.table_kinds import View
from vitlab.docs.model.vocabulary import COLOURS
from vitlab.docs.text.edit import Edit
from vitlab.docs.text.inline import cell_text, plain
from vitlab.docs.text.source import Span
from vitlab.docs.text.tables import insert_row
from vitlab.docs.write.rows import by_column

KINDS = {
    "K": ("consensus", "consensus"),
    "P": ("principles", "principle"),
    "I": ("insights", "insight"),
    "H": ("hypotheses", "hypothesis"),
    "DG": ("gaps", "question"),
    "closed": ("closed", "direction"),
    "next": ("next_steps", "next"),
}
"""What can be added -> the kind of its table, and the column of its text."""
_PRIORITY = re.compile(r"(?P<open>[*_`]*)P(?P<number>\d)(?:\.\d+)?(?![\w.])(?P<close>[*_`]*)")
_OWN_PRIORITY = re.compile(r"^(?:[🔴🟠🟡🟢🔵⚪]\s*)?P(?P<number>\d)\s*[:：]\s*")
_NUMBER = re.compile(r"\d+")
_ITEM = re.compile(
    r"^(?P<lead>[\s>]*(?:[-*+]|\d+[.)])\s+)(?P<box>\[[ xX]\]\s+)?(?P<struck>~~)?"
    r"(?P<glyph>[🔴🟠🟡🟢🔵⚪]\s*)?"
    r"(?P<name>[*_`]*(?:P\d(?:\.\d+)?|[A-Z]{1,3}-?\d[\d.]*)[*_`]*)?(?P<colon>\s*[:：]\s*)?"
)
_NOTHING = ("", "-", "—", "–")


def add_statement(hub: Hub, kind: str, text: str, evidence: str = "") -> list[Edit]:
    """Add a row to the table of a kind, or an item to its list, numbered on.

    `kind`: of `KINDS`; `text`, `evidence`: plain text. UsageError where neither is there, or one
    says so already.
    """
    table, column = KINDS[kind]
    text, evidence = " ".join(text.split()), " ".join(evidence.split())
    items = hub.list_of(table)
    views = [view for view in hub.views if view.kind in (table, *_ALSO.get(table, ()))]
    for line, said in [*_said(views, column), *((p.line, p.text) for p in items)]:
        if _core(said) == _core(cell_text(text)):
            raise UsageError(f"{hub.document.name}:{line}: already says this")
    if not views or (items and kind == "next"):
        return [_new_item(hub, kind, table, text, evidence)]
    view = next((v for v in views if not evidence or "evidence" in v.columns), views[0])
    if evidence and not _evidence_column(view):
        where = f"{hub.document.name}:{view.table.line}"
        raise UsageError(f"{where}: this table has no column for evidence")
    return [insert_row(hub.document, view.table, *_new_row(hub, view, views, kind, text, evidence))]


_ALSO = {"next_steps": ("directions",)}
_TEXT = {"directions": "direction"}


def _said(views: Sequence[View], column: str) -> Iterator[tuple[int, str]]:
    for view in views:
        for entry in view.entries:
            yield entry.line, entry.text(_TEXT.get(view.kind, column))


def _core(text: str) -> str:
    """What a statement says, without its priority or id and without emphasis."""
    seen = plain(text)
    match = _ITEM.match(f"- {seen}")
    return seen[match.end() - 2 :].strip() if match and match["colon"] else seen


def _new_row(
    hub: Hub, view: View, views: Sequence[View], kind: str, text: str, evidence: str
) -> tuple[dict[int, str], None, str]:
    """The cells of a new row, and what its empty cells hold."""
    column = _TEXT.get(view.kind, KINDS[kind][1])
    own = _OWN_PRIORITY.match(text) if "priority" in view.columns else None
    said = text[own.end() :] if own else text
    column = column if column in view.columns else "gap" if kind == "DG" else column
    values = {
        column: _like(view, column, said),
        _evidence_column(view): _like(view, _evidence_column(view), evidence),
    }
    if kind == "H" and (name := next((c for c in _STATUS if c in view.columns), "")):
        sites = hub_sites(hub, statements_of(hub), hub.vocabulary, {})
        values[name] = sites.new_text("planned", None)
    if own:
        values["priority"] = _priority_cell(view, own["number"])
    cells = by_column(view, values)
    numbered = _number_column(view, cells)
    if numbered is not None:
        taken = {point.id for point in hub.hypotheses} if kind == "H" else set()
        cells[numbered] = _next_id(view, views, numbered, kind, taken)
    empty = Counter(
        cell.raw for entry in view.entries for cell in entry.row.cells if cell.raw in _NOTHING
    )
    return cells, None, empty.most_common(1)[0][0] if empty else "-"


_STATUS = ("status", "verdict")


def _evidence_column(view: View) -> str:
    """The column of evidence; of next steps the one that says why. Empty for none."""
    names = ("evidence", "reason") if view.kind in ("next_steps", "directions") else ("evidence",)
    return next((name for name in names if name in view.columns), "")


def _number_column(view: View, taken: dict[int, str]) -> int | None:
    """The column of ids: the one for numbers, `DG`, or a first one that holds ids."""
    for name in ("number", "gap"):
        if name in view.columns and view.columns[name] not in taken:
            return view.columns[name]
    first = [entry.row.cells[0].text for entry in view.entries if entry.row.cells]
    free = 0 not in taken and view.columns.get("priority") != 0
    ids = first and free and all(re.search(r"[A-Z#]?\d", text) for text in first)
    return 0 if ids else None


def _next_id(
    view: View, views: Sequence[View], column: int, kind: str, taken: Collection[str]
) -> str:
    """The id after the highest, written as the last row's that is not struck out.

    After `H1.2` it is `H1.3`; `taken`: ids that stand elsewhere.
    """
    cells = [
        entry.row.cells[column].raw
        for each in views
        for entry in each.entries
        if column < len(entry.row.cells)
    ]
    numbers = [match for raw in cells if (match := _NUMBER.search(plain(raw)))]
    highest = max((whole_number(match.group()) or 0 for match in numbers), default=0)
    own = [e.row.cells[column].raw for e in view.entries if column < len(e.row.cells)]
    models = [raw for raw in own if "~~" not in raw and _NUMBER.search(raw)] or own[-1:]
    plainly = [raw for raw in models if re.fullmatch(r"[*_`]*[A-Za-z-]*\d[\d.]*[*_`]*", raw)]
    model = (plainly or [plain(raw) for raw in models] or [f"{kind}0"])[-1]
    match = re.search(r"[A-Za-z]*[^\w\s]?\d[\d.]*", model) if numbers else None
    if match is None:
        return f"{kind}{highest + 1}" if kind.isupper() else str(highest + 1)
    new = _following(match.group(), highest, map(plain, cells), taken)
    closing = model[match.end() :] if plainly else ""
    return (model[: match.start()] if plainly else "") + new + closing


def _following(model: str, highest: int, seen: Iterable[str], taken: Collection[str]) -> str:
    """The id after a model: `K9` -> `K10`, `H1.2` -> `H1.3`; `highest`: first number in `seen`."""
    first, *more = _NUMBER.finditer(model)
    digits = [first, *more][-1]
    stem = model[: digits.start()]
    if more:
        same = re.compile(rf"\W*{re.escape(stem)}(\d+)(?!\.?\d)")
        found = (whole_number(m[1]) or 0 for text in seen if (m := same.match(text)))
        highest = max(found, default=0)
    number = highest + 1
    while f"{stem}{number}" in taken:
        number += 1
    return stem + str(number).zfill(len(digits.group()))


def _priority_cell(view: View, number: str) -> str:
    """The cell of a priority, written as the others are."""
    cells = [entry.raw("priority") for entry in view.entries]
    known = {m["number"]: raw for raw in cells if (m := _PRIORITY.search(raw))}
    model = known.get(number) or next((raw for raw in reversed(cells) if raw), f"🔴 P{number}")
    return _with_priority(model, number, known)


def _with_priority(text: str, number: str, known: dict[str, str]) -> str:
    """A text with another priority, its colour that of the others of this priority."""
    match = _PRIORITY.search(text)
    new = text if match is None else _PRIORITY.sub(rf"\g<open>P{number}\g<close>", text, count=1)
    like = next((c for c in COLOURS if c in known.get(number, "")), None)
    colour = like or {"0": "🔴", "1": "🟡", "2": "🟢"}.get(number, "⚪")
    for each in COLOURS:
        if each in new:
            return re.sub(f"{each}+", colour, new, count=1)
    return new


def _like(view: View, column: str, text: str) -> str:
    """A text with the emphasis that every cell of its column has."""
    cells = [raw for entry in view.entries if (raw := entry.raw(column)) not in _NOTHING]
    if not text or len(cells) < 2:
        single = re.fullmatch(r"(~~).+~~", cells[0]) if text and cells else None
        return f"~~{text}~~" if single else text
    for mark in ("~~", "**", "`"):
        if all(raw.startswith(mark) and raw.endswith(mark) for raw in cells):
            return f"{mark}{text}{mark}"
    return text


def _new_item(hub: Hub, kind: str, table: str, text: str, evidence: str) -> Edit:
    """An item below the last of a list, with its mark, priority or id."""
    items = hub.list_of(table)
    if not items:
        title = hub.title_of(table)
        if title is None:
            raise UsageError(f"{hub.document.name}: has no table or list of {_NAMES[kind]}")
        at = hub.document.line_span(title).end
        heading = hub.document.line_text(title).lstrip().startswith("#")
        gap = hub.document.newline * (2 if heading else 1)
        return Edit(Span(at, at), "", f"{gap}- {text}{_behind(evidence)}")
    document = hub.document
    raws = [document.line_text(point.line - 1) for point in items]
    own = _OWN_PRIORITY.match(text)
    parts = [match for raw in raws if (match := _ITEM.match(raw))]
    last = next(
        (m for m in reversed(parts) if own and _PRIORITY.fullmatch(m["name"] or "")), parts[-1]
    )
    lead, name, glyph = parts[-1]["lead"], last["name"] or "", last["glyph"] or ""
    lead = re.sub(r"\d{1,18}", lambda m: str(int(m.group()) + 1), lead, count=1)
    box = "[ ] " if last["box"] else ""
    known = {
        m["number"]: raw[:40]
        for raw in raws
        if (m := _PRIORITY.search(_ITEM.match(raw)[0]))  # type: ignore[index]
    }
    if _PRIORITY.fullmatch(name):
        name = _with_priority(f"{glyph}{name}", own["number"], known) if own else ""
        glyph, text = "", text[own.end() :] if own else text
    elif name:
        found = (_NUMBER.search(p.id) for p in items if p.id)
        ids = [whole_number(n.group()) or 0 for n in found if n]
        known_ids = [p.id for p in items]
        bare = plain(name)
        name = name.replace(bare, _following(bare, max(ids, default=0), known_ids, known_ids))
        glyph = ""
    colon = last["colon"] if name and last["colon"] else ""
    struck = "~~" if all((m := _ITEM.match(raw)) and m["struck"] for raw in raws) else ""
    new = (
        f"{lead}{box}{glyph if name else ''}{name}{colon}{struck}{text}{struck}{_behind(evidence)}"
    )
    end = document.line_span(_last_line(hub, items[-1].line - 1)).end
    return Edit(Span(end, end), "", document.newline + new)


_NAMES = {
    "K": "consensus", "P": "principles", "I": "insights", "H": "hypotheses",
    "DG": "decision gaps", "closed": "closed directions", "next": "next steps",
}  # fmt: skip


def _behind(evidence: str) -> str:
    return f" ({evidence})" if evidence else ""


def _last_line(hub: Hub, index: int) -> int:
    """The last line that belongs to an item: those indented below it."""
    document = hub.document
    depth = _indent(document.line_text(index))
    while index + 1 < len(document.lines):
        text = document.line_text(index + 1)
        if not text.strip() or _indent(text) <= depth:
            break
        index += 1
    return index


def _indent(line: str) -> int:
    return len(line.expandtabs(4)) - len(line.expandtabs(4).lstrip())
