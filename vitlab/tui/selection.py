"""What is under the cursor, whatever screen is in front: to copy it, or to open where it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vitlab.tui.text import clean, job_label
from vitlab.tui.widgets.log_view import LogView
from vitlab.tui.widgets.plan_pane import best_values

if TYPE_CHECKING:
    from vitlab.docs.judge.gates import Gate
    from vitlab.docs.model.roadmap import Mvp
    from vitlab.lab.live.snapshot import LabSnapshot
    from vitlab.tui.desk import Desk
    from vitlab.tui.screens.base import LabScreen


class CopiedText(NamedTuple):
    """A text for the clipboard, and what it is."""

    what: str
    text: str


class Location(NamedTuple):
    """A place in a file."""

    path: Path
    line: int
    """1-based."""


def copy_text(screen: LabScreen, desk: Desk) -> CopiedText | None:
    """The thing under the cursor as text; blocking, None where there is none."""
    if (own := screen.copy_text()) is not None:
        return own
    view = screen.view
    if view is None:
        return None
    match _kind(screen):
        case "gate":
            gates = _gates(screen, view)
            lines = [_gate_words(gate, view) for gate in gates]
            what = f"Gate-{gates[0].id}" if len(gates) == 1 else f"{len(gates)} gates"
            return CopiedText(f"{what}, its verdict", "\n".join(lines)) if gates else None
        case "mvp":
            mvp = screen.selected_mvp()
            if mvp is None:
                return None
            conclusion = desk.conclusion(mvp.id)
            what = f"MVP {mvp.id}" + (" and its conclusion" if conclusion else "")
            return CopiedText(what, _mvp_words(mvp, view, conclusion))
        case _ if isinstance(screen.focused, LogView):
            lines = screen.focused.seen()
            text = "".join(line + "\n" for line in lines)
            return CopiedText(f"{len(lines)} lines of the log", text) if lines else None
        case _:
            job = screen.selected_job()
            if job is None:
                return None
            return CopiedText(f"the folder of {job_label(job)}", str(job.paths.folder))


def spot(screen: LabScreen, desk: Desk) -> Location | None:
    """Where the thing under the cursor is written; blocking, None where there is none."""
    if (own := screen.source()) is not None:
        return own
    view = screen.view
    if view is None:
        return None
    match _kind(screen):
        case "gate":
            gates = _gates(screen, view)
            return Location(view.path, gates[0].line) if gates and view.path else None
        case "mvp":
            mvp = screen.selected_mvp()
            return Location(*desk.section(mvp.id)) if mvp else None
        case _:
            job = screen.selected_job()
            return Location(*desk.experiment(job.spec)) if job else None


def _kind(screen: LabScreen) -> str:
    """`mvp`, `gate` or `job`: at home it goes by the pane."""
    if screen.NAME == "gates":
        return "gate"
    if screen.NAME != "roadmap":
        return "job"
    focus = screen.focused
    pane = focus.id if focus is not None else "plan"
    return {"gates": "gate", "jobs": "job", "log": "job", "curve": "job"}.get(pane or "", "mvp")


def _gates(screen: LabScreen, view: LabSnapshot) -> list[Gate]:
    gates = list(view.roadmap.gates) if view.roadmap else []
    chosen = screen.selected_gate()
    return [gate for gate in gates if chosen in (None, gate.id)]


def _gate_words(gate: Gate, view: LabSnapshot) -> str:
    verdict = view.verdicts.get(gate.id)
    word, because = (verdict.verdict, verdict.because) if verdict else ("open", "")
    return clean(f"Gate-{gate.id} {gate.title}: {word}" + (f", {because}" if because else ""))


def _mvp_words(mvp: Mvp, view: LabSnapshot, conclusion: str) -> str:
    best = best_values(view).get(mvp.id)
    parts = [mvp.status or mvp.status_text, "" if best is None else f"R² {best:.4f}"]
    said = ", ".join(part for part in parts if part)
    return clean(f"MVP-{mvp.id} {mvp.name}: {said}") + (
        f"\n{clean(conclusion)}" if conclusion else ""
    )
