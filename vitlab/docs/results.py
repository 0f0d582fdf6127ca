"""What a roadmap says when an MVP's results are in: one plan over all of its places."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vitlab.contract.result import Result
from vitlab.docs.inline import cell_text, plain
from vitlab.docs.layout import insert_row, set_cell
from vitlab.docs.numbers import number_rows, run_rows
from vitlab.docs.places import is_plain, spelled
from vitlab.docs.places import places as places_of
from vitlab.docs.roadmap import Mvp, Roadmap
from vitlab.docs.sentence import key_metric, mark
from vitlab.docs.splice import Edit
from vitlab.docs.views import Entry
from vitlab.docs.vocabulary import status_argument
from vitlab.docs.writeback import (
    EVENTS,
    by_column,
    in_order,
    status_edits,
    timeline_row,
    view_with,
)

_TRIAL = re.compile(r"\b(?:smoke|demo)\b")
_SECTION = re.compile(r"\d+(?:\.\d+)*")
_CLOSING = ("done", "partial", "failed")


@dataclass(frozen=True)
class Judged:
    """What a gate's verdict means for its places."""

    status: str
    text: str | None
    """The verdict as its status row says it; None for a gate that is not closed."""


def finish(
    roadmap: Roadmap,
    mvp_id: str,
    results: Sequence[Result],
    status: str,
    sentence: str,
    report: str | None,
    verdicts: Mapping[str, object],
    date: str,
    profile: str,
) -> list[Edit]:
    """Record results everywhere: status, numbers, gates, conclusion, report link, logs.

    Numbers of a `smoke` or `demo` run are marked so, close no gate, and never take the place of
    what a full run or a person wrote. `verdicts`: bare gate id -> `gates.Verdict`; `report`: path
    from the roadmap's folder; `date`: YYYY-MM-DD.
    """
    status_argument(status)
    mvp = roadmap.mvp(mvp_id)
    held: dict[str, str | None] = {"": status, "gate": None, "gate_progress": None}
    held["numbers"] = None
    edits = status_edits(roadmap, mvp, held)
    key = key_metric(results)
    edits += _gate_edits(roadmap, mvp, status, key, verdicts, profile)
    edits += number_rows(roadmap, mvp, results, status, profile)
    edits += run_rows(roadmap, mvp, results)
    edits += _conclusion(roadmap, mvp, sentence, key, profile)
    edits += _report_link(roadmap, mvp, report)
    sections = _sections(roadmap, edits)
    done = EVENTS[roadmap.language]["done" if profile != "full" else status]
    trial = "" if profile == "full" else f" {profile}"
    what = f"MVP-{mvp.id}{trial} {done}"
    edits += timeline_row(roadmap, f"{what} ({key.removesuffix(mark(profile))})", date, key)
    edits += change_row(roadmap, f"{what}: {key}", sections, date)
    return in_order(edits)


def _gate_edits(
    roadmap: Roadmap,
    mvp: Mvp,
    status: str,
    key: str,
    verdicts: Mapping[str, object],
    profile: str,
) -> list[Edit]:
    edits: list[Edit | None] = []
    book = places_of(roadmap)
    for gate in roadmap.gates:
        if mvp.id not in gate.mvps:
            continue
        judged = _judged(status, verdicts.get(gate.id), profile)
        alone = gate.mvps == (mvp.id,)
        for place in book:
            owner = gate.status_cell is not None and place.span == gate.status_cell.span
            if owner and place.kind == "gate" and place.cell and (alone or judged.text):
                table, entry, column = place.cell
                new = judged.text or spelled(roadmap, book, place, judged.status)
                unchanged = place.found.status == judged.status and not judged.text
                if not unchanged:
                    edits.append(set_cell(roadmap.document, table, entry.row, column, new))
        for entry in roadmap.gate_progress:
            if gate.id in entry.gates:
                edits += _progress_row(roadmap, entry, judged, key, profile, alone)
    return [edit for edit in edits if edit is not None]


def _judged(status: str, verdict: object, profile: str) -> Judged:
    """What a gate shows: a verdict closes it; without one it waits, for a run or for a person."""
    said = getattr(verdict, "verdict", None)
    because = cell_text(str(getattr(verdict, "because", ""))).replace("*", "·")
    if profile == "full" and said == "pass":
        return Judged("done", f"✅ **PASS: {because}**")
    if profile == "full" and said == "fail":
        return Judged("failed", f"❌ **FAIL: {because}**")
    if status not in _CLOSING:
        return Judged(status, None)
    return Judged("analysing" if profile == "full" else "planned", None)


def _progress_row(
    roadmap: Roadmap, entry: Entry, judged: Judged, key: str, profile: str, alone: bool
) -> list[Edit | None]:
    view = view_with(roadmap, entry)
    book = places_of(roadmap)
    edits: list[Edit | None] = []
    for place in book:
        cell = entry.cells.get("status")
        if cell is None or place.span != cell.span or not (alone or judged.text):
            continue
        if place.found.status != judged.status and is_plain(cell.raw, place.found):
            new = spelled(roadmap, book, place, judged.status)
            edits.append(
                set_cell(roadmap.document, view.table, entry.row, view.columns["status"], new)
            )
    if "result" in view.columns and may_write(entry.text("result"), profile):
        new = cell_text(key)
        edits.append(set_cell(roadmap.document, view.table, entry.row, view.columns["result"], new))
    return edits


def may_write(there: str, profile: str) -> bool:
    """Whether a number may go where a text stands: a trial's only into nothing or a trial's."""
    return profile == "full" or not there.strip("-—– ") or bool(_TRIAL.search(there))


def _conclusion(roadmap: Roadmap, mvp: Mvp, sentence: str, key: str, profile: str) -> list[Edit]:
    view = next((v for v in roadmap.views if v.kind == "conclusions"), None)
    if view is None:
        return []
    marked = sentence if _TRIAL.search(sentence) else sentence + mark(profile)
    mine = [e for e in view.entries if e.mvps[:1] == (mvp.id,)]
    if not mine:
        like = view.entries[-1] if view.entries else None
        named = named_like(like, mvp.id)
        values = {"mvp": named, "conclusion": marked, "key_metric": key}
        return [insert_row(roadmap.document, view.table, by_column(view, values))]
    edits = []
    entry = mine[0]
    for column, new in (("conclusion", marked), ("key_metric", key)):
        said = entry.text(column)
        is_status = (
            roadmap.vocabulary.read(entry.cells[column].raw) if column in entry.cells else None
        )
        waiting = is_status is not None and is_status.status in ("planned", "ready", "running")
        if column in view.columns and (waiting or may_write(said, profile)):
            edit = set_cell(
                roadmap.document, view.table, entry.row, view.columns[column], cell_text(new)
            )
            edits += [edit] if edit else []
    return edits


def named_like(like: Entry | None, mvp_id: str) -> str:
    """An MVP's id as a table's other rows write it: bare, with the prefix, in bold."""
    raw = like.cells["mvp"].raw if like and "mvp" in like.cells else ""
    name = f"MVP-{mvp_id}" if plain(raw).upper().startswith("MVP") else mvp_id
    return f"**{name}**" if raw.startswith("**") else name


def _report_link(roadmap: Roadmap, mvp: Mvp, report: str | None) -> list[Edit]:
    if report is None or mvp.report is not None:
        return []
    return link_report(roadmap, mvp.id, report)


def link_report(roadmap: Roadmap, mvp_id: str, report: str) -> list[Edit]:
    """Write a report's link into the overview; `report` is a path from the roadmap's folder."""
    mvp = roadmap.mvp(mvp_id)
    view = view_with(roadmap, mvp.entry)
    if "report" not in view.columns:
        return []
    title = re.sub(r"(?:_\d{8})?\.md$", "", report.rsplit("/", 1)[-1])
    target = report.replace("|", "%7C").replace(" ", "%20").replace(")", "%29").replace("(", "%28")
    link = f"[{cell_text(title)}]({target})"
    said = mvp.entry.text("report").strip("-—– ")
    if said and mvp.report is None:  # a remark in the cell stays beside the link
        link = f"{mvp.entry.cells['report'].raw} {link}"
    column = view.columns["report"]
    edit = set_cell(roadmap.document, view.table, mvp.entry.row, column, link)
    return [edit] if edit else []


def change_row(roadmap: Roadmap, change: str, sections: str, date: str) -> list[Edit]:
    """A row at the end of the change log; none where the last row says the same."""
    view = next((v for v in roadmap.views if v.kind == "changelog"), None)
    if view is None:
        return []
    if any(e.text("change") == plain(cell_text(change)) for e in view.entries):
        return []
    values = {"date": date, "change": change, "section": sections, "impact": sections}
    return [insert_row(roadmap.document, view.table, by_column(view, values))]


def _sections(roadmap: Roadmap, edits: Sequence[Edit]) -> str:
    """The numbered sections that edits fall into: `§2.1, §4.3`."""
    document = roadmap.document
    found: dict[str, None] = {}
    for edit in in_order(edits):
        line = document.line_of(edit.span.start) - 1
        above = [h for h in document.headings if h.index <= line]
        for heading in reversed(above):
            number = _SECTION.match(plain(heading.title))
            if number:
                found.setdefault(f"§{number.group()}")
                break
    return ", ".join(found)
