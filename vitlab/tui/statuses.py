"""The status of an MVP set, or a gate decided, by a person: chosen, shown as a diff, written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from textual.app import App

from vitlab.contract.job import STATUSES
from vitlab.docs.write.gate_decisions import gate_status
from vitlab.lab.writeback.decisions import (
    UNSUPPORTED,
    check_done,
    check_reason,
    decide_gate,
    give_status,
    judged_gate,
    lacks_support,
    needs_reason,
)
from vitlab.lab.writeback.edits import linked_notes, only_undo, status_changes, status_notes
from vitlab.lab.writeback.gate_edits import gate_changes
from vitlab.tui.screens.base import front_screen
from vitlab.tui.screens.dialogs import LineScreen, PickScreen, WriteScreen, diffs
from vitlab.tui.screens.documents import write_documents

if TYPE_CHECKING:
    from vitlab.docs.model.roadmap import Mvp
    from vitlab.docs.save import FileChange
    from vitlab.tui.session import Session

VERDICTS = {"pass": "pass", "fail": "fail", "open again": "planned"}
"""What a person decides of a gate, and the status that says so."""

_NEEDED = f"{UNSUPPORTED}: give your reason"
Planned = tuple[list["FileChange"], list[str], Callable[[], Iterable["FileChange"]]]
"""The changes, what they do besides, and what writes them."""


async def set_status(app: App[int], session: Session) -> None:
    """Ask for the status of the selected gate or MVP, and write it on a yes."""
    front = front_screen(app)
    gate, mvp = front.selected_gate(), front.selected_mvp()
    if gate is not None:
        what = f"Gate-{gate}"
        planned = await _decide_gate(app, session, gate)
    elif mvp is not None:
        what = f"MVP-{mvp.id}"
        planned = await _choose_status(app, session, mvp)
    else:
        return
    if planned is None:
        return
    changes, notes, write = planned
    if not changes:
        app.notify(f"{what} already has this status")
        await session.attempt(write)  # the decision is kept all the same
    elif await app.push_screen_wait(WriteScreen(notes, diffs(session.lab, changes), what)):
        await write_documents(session, lambda: [one.path for one in write()])


async def _choose_status(app: App[int], session: Session, mvp: Mvp) -> Planned | None:
    picker = PickScreen(f"Status of MVP {mvp.id}  {mvp.name}", STATUSES, mvp.status or "")
    word = await app.push_screen_wait(picker)
    if word is None:
        return None

    def lacks_result() -> bool:
        return needs_reason(session.lab, session.roadmap, mvp.id, word)

    because = ""
    if await session.attempt(lacks_result):
        title = f"MVP-{mvp.id}: {word} without a full result here, because"
        asked = LineScreen(title, hint="where its result is from", needed=_NEEDED)
        given = await app.push_screen_wait(asked)
        if given is None:
            return None
        because = given.strip()

    def plan() -> Planned:
        lab, path = session.lab, session.roadmap
        check_done(lab, path, mvp.id, word, because)
        changes = status_changes(lab, path, mvp.id, word)
        notes = linked_notes(lab, changes, mvp.id, word) if changes else []
        notes = (status_notes(lab, changes[0], mvp.id) if changes else []) + notes
        return changes, notes, lambda: give_status(lab, path, mvp.id, word, because, changes)

    return await session.attempt(plan)


def _lacks_support(session: Session, gate: str, status: str) -> bool:
    _, verdict = judged_gate(session.lab, session.roadmap, gate)
    return lacks_support(verdict, gate_status(status))


async def _decide_gate(app: App[int], session: Session, gate: str) -> Planned | None:
    word = await app.push_screen_wait(PickScreen(f"Decide Gate-{gate}", tuple(VERDICTS)))
    if word is None:
        return None
    because = ""
    if word != "open again":
        lacks = await session.attempt(lambda: _lacks_support(session, gate, VERDICTS[word]))
        title, hint = f"Gate-{gate}: {word}, because", "goes into the document"
        asked = LineScreen(title, hint=hint, needed=_NEEDED if lacks else "")
        given = await app.push_screen_wait(asked)
        if given is None:
            return None
        because = given.strip()

    def plan() -> Planned:
        lab, path, status = session.lab, session.roadmap, VERDICTS[word]
        check_reason(lab, path, gate, status, because)
        planned = gate_changes(lab, path, gate, status, because)
        notes = [only_undo(line) for _, lost in planned for line in lost]
        changes = [change for change, _ in planned]
        return changes, notes, lambda: decide_gate(lab, path, gate, status, because, changes)

    return await session.attempt(plan)
