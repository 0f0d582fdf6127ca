"""The edits of a roadmap when a person decides a gate, or opens it again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from vitlab.contract.job import PROFILES
from vitlab.contract.paths import UsageError
from vitlab.docs.judge.conclusion import TRIAL_MARK, profile_mark
from vitlab.docs.judge.verdict import STANDING, Verdict
from vitlab.docs.model.gate_sites import (
    MAIN,
    GatePlace,
    GateSites,
    gate_name,
    gate_sites,
    gates_in_hub,
    hub_gate_sites,
    places_of,
    with_gate_cards,
)
from vitlab.docs.model.gates.gates import Gate, gate_opening
from vitlab.docs.model.hub import Hub
from vitlab.docs.model.mvps import boxes_of
from vitlab.docs.model.roadmap import Roadmap, parse_roadmap
from vitlab.docs.model.status_sites import StatusSite, StatusSites, marks_of
from vitlab.docs.model.status_text import is_progress_status
from vitlab.docs.model.vocabulary import CLOSING
from vitlab.docs.text.edit import Edit, apply, lost_lines
from vitlab.docs.text.inline import cell_text, folded, plain
from vitlab.docs.text.source import Document, Span
from vitlab.docs.text.tables import Row, Table, insert_row, set_cell
from vitlab.docs.write.boards import board_edits
from vitlab.docs.write.hub import status_word
from vitlab.docs.write.rows import set_column
from vitlab.docs.write.status import without_progress

_ENDED = ("done", "partial", "failed")
_PLACEHOLDER = re.compile(r"[-—–?\s]*|\S{1,3}(?:\s*[/／|]\s*\S{1,3})+")


def gate_status(word: str) -> str:
    """The status of a gate that a person names; UsageError where it is none, or `closed`."""
    if folded(word) in CLOSING:
        raise UsageError(f"status {word!r}: has the gate passed, failed, or is it cancelled?")
    return status_word(word)


def find_gate(roadmap: Roadmap, name: str) -> Gate:
    """The gate a person names as documents do: `Gate-1`, `G1`, `DP-1`, or by its bare id."""
    opening = gate_opening(f"{name.strip()}:")
    known = any(folded(gate.id) == folded(opening or "") for gate in roadmap.gates)
    return roadmap.gate(opening if opening and known else name)


def states(roadmap: Roadmap, gate_id: str, status: str) -> bool:
    """Whether a gate that is there has a status."""
    return any(gate.id == gate_id and gate.status == status for gate in roadmap.gates)


def set_gate(
    roadmap: Roadmap,
    gate_id: str,
    status: str,
    because: str = "",
    before: Roadmap | None = None,
) -> list[Edit]:
    """Give a gate a status in every place, and say why in its section and its result.

    `because`: plain text; `before`: an earlier state of the document in which the gate had this
    status, whose spelling is restored.
    """
    gate = find_gate(roadmap, gate_id)
    every = places_of(roadmap)
    sites = gate_sites(roadmap, every)
    mine = [place for place in every if place.gate == gate.id]
    then = _earlier(mine, before, gate, status)
    because = " ".join(because.split())
    edits: list[Edit] = []
    holder = _holder(mine)
    for number, place in enumerate(mine):
        was = then[number] if then else None
        in_line = place.site is not None and place.site.cell is None
        reason = because if in_line else cell_text(because)
        text = _new_text(sites, place, status, reason if place is holder else "", was)
        if reason and place is holder and reason not in text:
            text = f"{text} ({reason})"
        edits += _edit(roadmap, sites, place, gate, text)
        edits += _result(roadmap, place, cell_text(because), was, mine)
    if not mine:
        edits += _first_place(roadmap, sites, gate, status, because)
    return [*edits, *_cards(roadmap, sites, gate, status)]


def set_gate_in_hub(hub: Hub, gate_id: str, status: str) -> list[Edit]:
    """Give a gate a status wherever a hub marks it in its text; `gate_id`: bare."""
    marked = gates_in_hub(hub)
    sites = hub_gate_sites(hub, tuple(site for _, site in marked))
    edits = []
    for gate, site in marked:
        if folded(gate) == folded(gate_id) and not sites.agrees(site, status):
            edits += [e] if (e := sites.edit(site, sites.gate_text(site, status))) else []
    return edits


def set_gate_beside(file: Roadmap, gate: Gate, status: str) -> list[Edit]:
    """Give a roadmap's gate a status in a board or check list beside it: rows, items, cards."""
    places = places_of(file, [replace(gate, line=0)])
    sites = gate_sites(file, places)
    edits = []
    for site in (place.site for place in places if place.site):
        if not sites.agrees(site, status):
            edits += [e] if (e := sites.edit(site, sites.gate_text(site, status))) else []
    for index, box, text in boxes_of(file.document):
        if folded(gate_opening(text) or "") == folded(gate.id):
            line, new = file.document.line_span(index), "[x]" if status == "done" else "[ ]"
            at = file.document.text.index(box, line.start)
            edits += [Edit(Span(at, at + len(box)), box, new)] if box.lower() != new else []
    return [*edits, *_cards(file, sites, gate, status)]


def not_restored(roadmap: Roadmap, gate_id: str, edits: Sequence[Edit]) -> list[str]:
    """The lines that the earlier status would not restore as they are without the journal."""
    new = parse_roadmap(Document(apply(roadmap.document.text, edits)), roadmap.vocabulary)
    earlier, then = find_gate(roadmap, gate_id).status, new.document.text
    if earlier is not None:
        then = apply(then, set_gate(new, gate_id, earlier))
    return lost_lines(roadmap.document.text, then)


def _holder(mine: Sequence[GatePlace]) -> GatePlace | None:
    """The place that says why: the section's, else an item, else a row without a result."""
    for kinds in (("gate", "gate line"), ("gate item",)):
        for place in mine:
            if (place.site.kind if place.site else "") in kinds or _is_section_cell(place):
                return place
    return None if any(place.result for place in mine) else next(iter(mine), None)


def _is_section_cell(place: GatePlace) -> bool:
    """Whether it is an empty cell of a gate's section."""
    return place.row is not None and place.row[0].width == 2


def _earlier(
    mine: Sequence[GatePlace], before: Roadmap | None, gate: Gate, status: str
) -> list[GatePlace] | None:
    """The same places in an earlier document; None where they were others."""
    if before is None:
        return None
    then = [place for place in places_of(before) if place.gate == gate.id]
    kinds = [[p.site.kind if p.site else "" for p in places] for places in (mine, then)]
    said = any(place.site and place.site.parsed.status == status for place in then)
    return then if said and kinds[0] == kinds[1] else None


def _new_text(
    sites: GateSites, place: GatePlace, status: str, reason: str, was: GatePlace | None
) -> str:
    site = place.site
    if site is None:
        return _new_status(sites, status, reason, _is_section_cell(place))
    if sites.agrees(site, status):
        if not reason or site.kind not in MAIN or reason in site.text:
            return site.text
        if sites.parts(site).remark.strip(" *") or "**" in site.text:
            bold = "**" if site.text.endswith("**") else ""
            return f"{site.text.removesuffix('**')}; {reason}{bold}"
    if was and was.site and was.site.parsed.status == status and not reason:
        remark = sites.parts(site).remark.strip()
        kept = remark if sites.keeps(site, status) else ""
        if kept in ("", sites.parts(was.site).remark.strip()):
            return was.site.text
    return sites.gate_text(site, status, reason)


def _new_status(sites: GateSites, status: str, reason: str, in_section: bool) -> str:
    """The text for a place without a status; a section's says the verdict and why in bold."""
    word = sites.verdict(status)
    if not word:
        new = sites.new_text(status)
        return f"{new} ({reason})" if reason and in_section else new
    glyph = sites.verdict_glyph(None, status, word)
    if not in_section:
        return f"{glyph} {word}"
    return f"{glyph} **{word}: {reason}**" if reason else f"{glyph} **{word}**"


def _edit(
    roadmap: Roadmap, sites: GateSites, place: GatePlace, gate: Gate, text: str
) -> list[Edit]:
    if place.site:
        edit = sites.edit(place.site, text)
        return [edit] if edit else []
    assert place.row is not None
    table, row, column = place.row
    old = row.cells[column].raw
    if not _PLACEHOLDER.fullmatch(old):
        raise UsageError(
            f"{roadmap.document.name}:{place.line}: the status of Gate-{gate.id} reads {old!r}, "
            "which is not a status; write one there first"
        )
    return _set(roadmap, table, row, column, text)


def _set(roadmap: Roadmap, table: Table, row: Row, column: int, text: str) -> list[Edit]:
    edit = set_cell(roadmap.document, table, row, column, text)
    return [edit] if edit else []


def _result(
    roadmap: Roadmap,
    place: GatePlace,
    reason: str,
    was: GatePlace | None,
    mine: Sequence[GatePlace],
) -> list[Edit]:
    """Add the reason to a row's result, or take out the one that a decision added."""
    if place.result is None:
        return []
    table, row, column = place.result
    old = row.cells[column].raw
    if reason:
        if plain(reason) in plain(old):
            return []
        new = f"{old}; {reason}" if old.strip(" -—–") else reason
        return _set(roadmap, table, row, column, new)
    if was and was.result:
        then = was.result[1].cells[was.result[2]].raw
        start = then if then.strip(" -—–") else ""
        added = old.removeprefix(start).lstrip("; ") if old.startswith(start) else ""
        if added and any(p.site and p.site.kind in MAIN and added in p.site.text for p in mine):
            return _set(roadmap, table, row, column, then)
    return []


def _first_place(
    roadmap: Roadmap, sites: GateSites, gate: Gate, status: str, reason: str
) -> list[Edit]:
    """A row for the status in the table of the gate's section, or a mark in its heading."""
    document = roadmap.document
    heading = next((h for h in document.headings if h.index == gate.line - 1), None)
    if heading is None:
        where = f"{document.name}:{gate.line}"
        raise UsageError(f"{where}: {gate_name(gate.id)} has no place for a status")
    end = document.section_end(heading)
    inside = (v for v in roadmap.views if v.kind == "facts" and heading.index < v.table.first < end)
    view = next(inside, None)
    if view is None:
        text = f" {_new_status(sites, status, '', False)}" + (f" ({reason})" if reason else "")
        return [Edit(Span(heading.span.end, heading.span.end), "", text)]
    said = _new_status(sites, status, cell_text(reason), True)
    item = "状态" if roadmap.language == "zh" else "Status"
    first = view.entries[0].row.cells[0].raw if view.entries else ""
    item = f"**{item}**" if first.startswith("**") else item
    return [insert_row(document, view.table, {0: item, 1: said})]


def _cards(roadmap: Roadmap, sites: GateSites, gate: Gate, status: str) -> list[Edit]:
    """The edits that move the gate's cards on the boards of the roadmap."""
    name = gate_name(gate.id)
    seen = with_gate_cards(roadmap, gate)
    texts: list[tuple[StatusSite, str]] = []
    for board in seen.boards:
        for card in board.cards:
            for mark in marks_of(seen, card.text, name) if card.mvp == name else ():
                at = Span(card.span.start + mark.start, card.span.start + mark.end)
                text = roadmap.document.slice(at)
                site = StatusSite("gate card", None, card.index, at, text, mark.parsed)
                texts.append((site, sites.gate_text(site, status)))
    return board_edits(seen, None, frozenset((name,)), status, texts, None)


def gate_edits(
    roadmap: Roadmap,
    gate: Gate,
    verdict: Verdict | None,
    status: str,
    profile: str,
    result: str,
    mvp: str | None = None,
) -> list[Edit]:
    """Write a gate's verdict and result; a gate without a verdict shows what it waits for.

    Only a full run closes it. One whose verdict the results no longer bear is opened again in every
    place, and says why; nothing else replaces a verdict. `status`: of its MVP; `result`: the number
    for its progress row, where that of two models was not judged; `mvp`: whose result it is, which
    stands in no progress row of another.
    """
    if verdict and verdict.difference:
        result = verdict.difference + profile_mark(profile)
    if verdict and verdict.reopens and profile == "full":
        return set_gate(roadmap, gate.id, "analysing", verdict.because_in_document)
    new_status, text = _gate_status(status, verdict, profile)
    if gate.status in STANDING and not text:
        new_status = ""
    # Where a gate names several MVPs, the status of one says nothing about it.
    if len(gate.mvps) > 1 and not text:
        new_status = ""
    sites = StatusSites(roadmap)
    edits = _in_lines(roadmap, gate, new_status, verdict) if text else []
    # A trial that has ended leaves what waits for its verdict.
    waits = profile != "full" and new_status == "planned"
    free = [site for site in sites if not (waits and site.parsed.status == "analysing")]
    for site in free if new_status else ():
        own = gate.status_cell is not None and site.span == gate.status_cell.span
        if not own or site.kind != "gate" or site.cell is None:
            continue
        new = text or _gate_text(sites, site, new_status)
        edits += set_column(roadmap, site.cell[1], "content", new)
    for entry in roadmap.rows("gate_progress"):
        of_other = mvp is not None and entry.mvps and mvp not in entry.mvps
        if gate.id not in entry.gates or of_other:
            continue
        cell = entry.cells.get("status")
        for site in free if cell and new_status else ():
            own = cell is not None and site.span == cell.span
            if own and is_progress_status(site.text, site.parsed):
                new = _gate_text(sites, site, new_status)
                edits += set_column(roadmap, entry, "status", new)
        if result and can_overwrite(entry.text("result"), profile):
            edits += set_column(roadmap, entry, "result", cell_text(result))
    return edits


def _in_lines(roadmap: Roadmap, gate: Gate, status: str, verdict: Verdict | None) -> list[Edit]:
    """A verdict where a heading, a line or the gate's own item has waited for it."""
    if verdict is None or gate.status_cell is not None:
        return []
    every = places_of(roadmap)
    sites = gate_sites(roadmap, every)
    waits = [
        (place, place.site)
        for place in every
        if place.gate == gate.id and place.site and place.site.cell is None
        and (place.site.kind in ("gate heading", "gate line") or place.line == gate.line)
        and place.site.parsed.status not in STANDING
    ]  # fmt: skip
    holder = _holder([place for place, _ in waits])
    because = " ".join((verdict.because_in_document or verdict.because).split()).replace("*", "·")
    texts = [(site, sites.gate_text(site, status, because if place is holder else ""))
             for place, site in waits]  # fmt: skip
    return [edit for site, text in texts if (edit := sites.edit(site, text))]


def _gate_text(sites: StatusSites, site: StatusSite, status: str) -> str:
    """A gate without a verdict, with another status; an epoch only while it runs."""
    new = site.text if site.parsed.status == status else sites.spell(site, status)
    return new if status == "running" else without_progress(new)


def _gate_status(status: str, verdict: Verdict | None, profile: str) -> tuple[str, str]:
    """A gate's status and the text of its verdict, which is empty while it is open."""
    is_decided = verdict and verdict.verdict in ("pass", "fail") and not verdict.by_hand
    if verdict and is_decided and profile == "full":
        because = cell_text(verdict.because_in_document or verdict.because).replace("*", "·")
        passed = verdict.verdict == "pass"
        word = "✅ **PASS" if passed else "❌ **FAIL"
        return "done" if passed else "failed", f"{word}: {because}**"
    if status not in _ENDED:
        return status, ""
    return "analysing" if profile == "full" else "planned", ""


def can_overwrite(old: str, profile: str) -> bool:
    """Whether a number may replace a text: a trial's only nothing or that of no dearer trial."""
    if profile == "full" or not old.strip("-—– "):
        return True
    marks = [PROFILES.index(m.group().strip("()（）")) for m in TRIAL_MARK.finditer(old)]
    return bool(marks) and max(marks) <= PROFILES.index(profile)
