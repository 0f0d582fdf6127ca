"""Statuses of one MVP that contradict each other; the overview says which one holds."""

from __future__ import annotations

from collections.abc import Iterator

from vitlab.docs.board import move_card, seat_for, seat_of
from vitlab.docs.findings import Finding
from vitlab.docs.inline import same_glyph
from vitlab.docs.places import Place, place_edit, places, spelled
from vitlab.docs.roadmap import Roadmap

_GATES = ("gate", "gate_progress")
_WAITING = ("planned", "ready", "running")
_CLOSED = ("done", "failed", "partial")


def status_findings(roadmap: Roadmap) -> Iterator[Finding]:
    """Every place that says another status than the overview, and every card in a wrong column."""
    book = places(roadmap)
    glyphs = {p.mvp: p.glyph for p in book if p.kind == "overview" and p.mvp}
    said = {mvp.id: (mvp.status, mvp.line) for mvp in reversed(roadmap.mvps)}
    for place in book:
        status, line = said.get(place.mvp or "", (None, 0))
        if status is None or place.kind in ("overview", "verdict", "other"):
            continue
        if place.kind in _GATES:
            yield from _gate(place, status)
        elif place.found.status == status or _of_one_run(roadmap, place):
            continue
        elif place.glyph and same_glyph(place.glyph) == same_glyph(glyphs.get(place.mvp or "", "")):
            continue  # of one glyph for two statuses the word only says which
        else:
            message = f"MVP {place.mvp} is {place.found.status} here and {status} on line {line}"
            fix = place_edit(roadmap, place, spelled(roadmap, book, place, status))
            yield Finding(place.index + 1, "status-conflict", message, (fix,) if fix else None)
    yield from _cards(roadmap, {mvp: status for mvp, (status, _) in said.items()})


def _gate(place: Place, status: str) -> Iterator[Finding]:
    """A gate may wait while its MVP is over; it cannot run without it, or be closed before it."""
    gate = place.found.status
    stale = gate == "running" and status not in ("running", "analysing")
    early = gate in _CLOSED and status in _WAITING
    if stale or early:
        message = f"the gate is {gate} while its MVP {place.mvp} is {status}"
        yield Finding(place.index + 1, "stale-gate", message)


def _of_one_run(roadmap: Roadmap, place: Place) -> bool:
    """A numeric row of one named run, which may be over before its MVP is."""
    if place.kind != "numbers" or place.cell is None:
        return False
    opening = roadmap.ids.opening(place.cell[1].text("mvp"))
    return bool(opening and opening[1])


def _cards(roadmap: Roadmap, statuses: dict[str, str | None]) -> Iterator[Finding]:
    board = roadmap.kanban
    if board is None:
        return
    order = [mvp.id for mvp in roadmap.mvps]
    for card in board.cards:
        status = statuses.get(card.mvp or "")
        if status is None:
            continue
        seat = seat_for(board, card, status, statuses)
        if seat == seat_of(board, card):
            continue
        column = board.column_of(card)
        there = column.text if column else "no column"
        message = f"the card of MVP {card.mvp} is under {there} while it is {status}"
        fix = tuple(move_card(roadmap.document, board, card, seat, card.text, order))
        yield Finding(card.index + 1, "card-column", message, fix or None)
