"""What leaves the program: the selection as text or in an editor, the screen as a file, facts."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from textual.app import App

from vitlab.contract.terminal import harmless
from vitlab.lab.live import diagnostics, mvp_summary
from vitlab.lab.live.diagnostics import Section
from vitlab.tui.actions import Handler
from vitlab.tui.screens.base import front_screen
from vitlab.tui.screens.dialogs import PickScreen
from vitlab.tui.screens.help import DebugScreen
from vitlab.tui.session import CopiedText, Location
from vitlab.tui.terminal import export, terminal_io
from vitlab.tui.text import best_jobs, best_line, clean, job_label
from vitlab.tui.widgets.log_view import LogView

if TYPE_CHECKING:
    from vitlab.docs.judge.gates import Gate
    from vitlab.docs.model.roadmap import Mvp
    from vitlab.lab.live.snapshot import LabSnapshot
    from vitlab.tui.screens.base import LabScreen
    from vitlab.tui.session import Session


EXPORTS = {
    "the screen as text": "txt",
    "the whole table as CSV": "csv",
    "the screen as an SVG picture": "svg",
}
"""What a file can be written of, and its ending."""
ERRORS = 10
"""How many of the last errors a bug report has."""


class Selection:
    """The actions that take the selection, or the screen, out of the program."""

    def __init__(self, app: App[int], session: Session) -> None:
        self._app = app
        self._session = session

    def handlers(self) -> Mapping[str, Handler]:
        """Action -> what it does."""
        return {
            "copy": self.copy,
            "edit": self.edit,
            "export": self.export,
            "debug": self.show_debug,
        }

    async def copy(self) -> None:
        """Copy what is under the cursor to the clipboard."""
        front = front_screen(self._app)
        copied = await self._session.attempt(lambda: selected_text(front) or ())
        if copied == ():
            self._app.notify("nothing to copy here", severity="warning")
        elif copied:
            await self.copy_text(copied[1], copied[0])

    async def copy_text(self, text: str, what: str) -> None:
        """Put a text into the clipboard of the terminal, however far away that is."""
        text = harmless(text)  # what is pasted may go to a shell
        size = len(text.encode())
        if size > terminal_io.LONGEST:
            words = f"{what}: {size / 1e3:.0f} kB is too large for the clipboard"
            self._app.notify(words, severity="warning")
            return
        self._app._clipboard = text  # what `ctrl+v` in one of our own lines takes
        environment = terminal_io.environment(self._app)
        inside_tmux = bool(environment.get("TMUX"))
        if not (inside_tmux and await asyncio.to_thread(terminal_io.into_tmux, text)):
            terminal_io.emit(self._app, terminal_io.clipboard(text, environment))
        self._app.notify(f"copied: {what}")

    async def edit(self) -> None:
        """Open what is under the cursor in the user's editor, at its line."""
        front = front_screen(self._app)
        location = await self._session.attempt(lambda: selected_location(front) or ())
        if location == ():
            self._app.notify("nothing to edit here", severity="warning")
        if not location:
            return
        if problem := terminal_io.open_editor(self._app, *location):
            self._app.notify(problem, severity="warning")
        self._session.watcher.refresh_now()

    async def export(self) -> None:
        """Write the screen in front to a file: text, CSV or SVG."""
        front = front_screen(self._app)
        table = front.table_rows()
        kinds = [name for name in EXPORTS if table is not None or EXPORTS[name] != "csv"]
        picked = await self._app.push_screen_wait(PickScreen("Write to exports/", kinds))
        if picked is None:
            return
        kind = EXPORTS[picked]
        if kind == "csv" and table is not None:
            text = await asyncio.to_thread(lambda: export.as_csv(*table()))
        elif kind == "svg":
            console = export.recorded(front)
            text = await asyncio.to_thread(export.as_svg, console, f"vitlab {front.NAME}")
        else:
            text = export.as_text(front)
        await self.save(front.NAME, kind, text)

    async def save(self, name: str, ending: str, text: str) -> None:
        """Write a text below `exports/`, never over a file, and report where."""
        lab = self._session.lab.paths
        name = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
        path = await self._session.attempt(lambda: export.save_new(lab, name, ending, text))
        if path is not None:
            self._app.notify(f"written: {lab.relative(path)}")

    async def show_debug(self) -> None:
        """Show what a bug report needs, to be copied or saved."""
        app = self._app

        def copy(text: str) -> None:
            app.run_worker(self.copy_text(text, "the bug report"), group="actions")

        def save(text: str) -> None:
            app.run_worker(self.save("debug", "txt", text), group="actions")

        screen = DebugScreen(copy, save)
        await app.push_screen(screen)
        facts = (
            ("colours", str(app.console.color_system or "none")),
            ("screen", f"{app.size.width}x{app.size.height}, theme {app.theme}"),
            ("driver", type(app._driver).__name__),
            ("ascii", "yes" if self._session.plain else "no"),
            ("front", front_screen(app).NAME),
            ("screens open", str(len(app.screen_stack))),
            ("workers", str(len(app.workers))),
        )
        text = await asyncio.to_thread(debug_text, self._session, facts)
        if screen.is_mounted:
            screen.show(text)


def debug_text(session: Session, screen: tuple[tuple[str, str], ...]) -> str:
    """What a bug report needs, as plain text; blocking. `screen`: facts on the screen."""
    reader = session.watcher.reader
    errors = [(one.clock, one.text) for one in session.messages.errors[-ERRORS:]]
    sections = [
        *diagnostics.collect(session.lab, os.environ),
        Section(
            "screen",
            (*screen, ("reading", diagnostics.read_times(reader.seconds if reader else ()))),
        ),
        Section("last errors", tuple(errors) or (("none", ""),)),
    ]
    return diagnostics.as_text(sections, session.lab)


def selected_text(screen: LabScreen) -> CopiedText | None:
    """What is under the cursor, as text; blocking, None where there is nothing."""
    if (own := screen.copy_text()) is not None:
        return own
    view, session = screen.view, screen.session
    if view is None:
        return None
    match _kind(screen):
        case "gate":
            gates = _gates(screen, view)
            what = f"Gate-{gates[0].id}" if len(gates) == 1 else f"{len(gates)} gates"
            text = "\n".join(_gate_text(gate, view) for gate in gates)
            return CopiedText(f"{what}, with verdict", text) if gates else None
        case "mvp":
            mvp = screen.selected_mvp()
            if mvp is None:
                return None
            conclusion = mvp_summary.read_conclusion(session.lab, session.roadmap, mvp.id)
            what = f"MVP {mvp.id}" + (" and its conclusion" if conclusion else "")
            return CopiedText(what, _mvp_text(mvp, view, conclusion))
        case _ if isinstance(screen.focused, LogView):
            lines = screen.focused.visible_lines()
            text = "".join(line + "\n" for line in lines)
            return CopiedText(f"{len(lines)} lines of the log", text) if lines else None
        case _:
            job = screen.selected_job()
            if job is None:
                return None
            return CopiedText(f"the folder of {job_label(job)}", str(job.paths.folder))


def selected_location(screen: LabScreen) -> Location | None:
    """Where what is under the cursor is written; blocking, None where there is nothing."""
    if (own := screen.source_location()) is not None:
        return own
    view, session = screen.view, screen.session
    if view is None:
        return None
    match _kind(screen):
        case "gate":
            gates = _gates(screen, view)
            return Location(view.path, gates[0].line) if gates and view.path else None
        case "mvp":
            mvp = screen.selected_mvp()
            if mvp is None:
                return None
            return Location(*mvp_summary.locate_mvp(session.lab, session.roadmap, mvp.id))
        case _:
            job = screen.selected_job()
            return Location(*mvp_summary.locate_experiment(session.lab, job.spec)) if job else None


def _kind(screen: LabScreen) -> str:
    """`mvp`, `gate` or `job`: at home it depends on the pane."""
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


def _gate_text(gate: Gate, view: LabSnapshot) -> str:
    verdict = view.verdicts.get(gate.id)
    word, because = (verdict.shown, verdict.because) if verdict else ("open", "")
    return clean(f"Gate-{gate.id} {gate.title}: {word}" + (f", {because}" if because else ""))


def _mvp_text(mvp: Mvp, view: LabSnapshot, conclusion: str) -> str:
    best = best_jobs(view).get(mvp.id)
    score = "" if best is None else best_line(best, view)
    parts = [mvp.status or mvp.status_text, score]
    facts = ", ".join(part for part in parts if part)
    head = clean(f"MVP-{mvp.id} {mvp.name}: {facts}")
    return f"{head}\n{clean(conclusion)}" if conclusion else head
