"""What a verdict, or the lack of one, writes into a gate's section and its progress row."""

from __future__ import annotations

from dataclasses import dataclass

from vitlab.docs.gate_sections import Gate
from vitlab.docs.gates import Verdict
from vitlab.docs.inline import cell_text
from vitlab.docs.layout import set_cell
from vitlab.docs.places import Place, is_plain, places, spelled
from vitlab.docs.roadmap import Roadmap
from vitlab.docs.rows import view_with
from vitlab.docs.sentence import TRIAL
from vitlab.docs.splice import Edit
from vitlab.docs.views import Entry

_CLOSING = ("done", "partial", "failed")


@dataclass(frozen=True)
class _Shown:
    """What a gate is to show."""

    status: str
    text: str | None
    """The verdict as its status row says it; None for a gate that is not closed."""


def set_verdict(
    roadmap: Roadmap,
    gate: Gate,
    verdict: Verdict | None,
    *,
    status: str,
    profile: str,
    result: str = "",
    alone: bool = True,
) -> list[Edit]:
    """Write a gate's verdict and result; a gate without one shows what it waits for.

    A verdict closes it only after a full run. One that stands there already is never overwritten.
    `status`: of its MVP; `result`: the number for the progress row; `alone`: the MVP is the only
    one the gate names, so that its status may speak for the gate.
    """
    shown = _shown(status, verdict, profile)
    book = places(roadmap)
    edits: list[Edit | None] = []
    for place in book:
        own = gate.status_cell is not None and place.span == gate.status_cell.span
        if own and place.kind == "gate" and (alone or shown.text):
            edits.append(_status_edit(roadmap, book, place, shown))
    for entry in roadmap.gate_progress:
        if gate.id in entry.gates:
            edits += _progress_row(roadmap, book, entry, shown, alone=alone)
            edits.append(_result_cell(roadmap, entry, result, profile))
    return [edit for edit in edits if edit is not None]


def _shown(status: str, verdict: Verdict | None, profile: str) -> _Shown:
    """A verdict closes a gate; without one it waits, for a run or for a person."""
    said = verdict.verdict if verdict else None
    because = cell_text(verdict.told or verdict.because).replace("*", "·") if verdict else ""
    if profile == "full" and said == "pass":
        return _Shown("done", f"✅ **PASS: {because}**")
    if profile == "full" and said == "fail":
        return _Shown("failed", f"❌ **FAIL: {because}**")
    if status not in _CLOSING:
        return _Shown(status, None)
    return _Shown("analysing" if profile == "full" else "planned", None)


def _status_edit(
    roadmap: Roadmap, book: tuple[Place, ...], place: Place, shown: _Shown
) -> Edit | None:
    if place.cell is None or (place.found.status == shown.status and not shown.text):
        return None
    table, entry, column = place.cell
    new = shown.text or spelled(roadmap, book, place, shown.status)
    return set_cell(roadmap.document, table, entry.row, column, new)


def _progress_row(
    roadmap: Roadmap, book: tuple[Place, ...], entry: Entry, shown: _Shown, *, alone: bool
) -> list[Edit | None]:
    cell = entry.cells.get("status")
    if cell is None or not (alone or shown.text):
        return []
    view = view_with(roadmap, entry)
    return [
        set_cell(
            roadmap.document,
            view.table,
            entry.row,
            view.columns["status"],
            spelled(roadmap, book, place, shown.status),
        )
        for place in book
        if place.span == cell.span
        and place.found.status != shown.status
        and is_plain(cell.raw, place.found)
    ]


def _result_cell(roadmap: Roadmap, entry: Entry, result: str, profile: str) -> Edit | None:
    view = view_with(roadmap, entry)
    if not result or "result" not in view.columns or not may_write(entry.text("result"), profile):
        return None
    column = view.columns["result"]
    return set_cell(roadmap.document, view.table, entry.row, column, cell_text(result))


def may_write(there: str, profile: str) -> bool:
    """Whether a number may go where a text stands: a trial's only into nothing or a trial's."""
    return profile == "full" or not there.strip("-—– ") or bool(TRIAL.search(there))
