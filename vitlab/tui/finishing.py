"""What leads out of the screen: notices, the clipboard, the editor, files, the bug report."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual import work
from textual.app import SuspendNotSupported

from vitlab.contract.paths import UsageError
from vitlab.tui.labapp import LabApp
from vitlab.tui.terminal import terminal_io

if TYPE_CHECKING:
    from vitlab.lab.live.snapshot import JobView
    from vitlab.tui.watch.notices import Notices


class Finishing(LabApp):
    """The part of the app that speaks to the world outside it."""

    notices: Notices

    def tell_ends(self, jobs: Sequence[JobView]) -> None:
        """Tell, in the ways the settings name, of the jobs that have ended since the last look."""
        from vitlab.tui.watch.notices import asked_for, in_a_line, is_bad, summary

        ended = self.notices.see(jobs)
        if not ended:
            return
        notify = self.desk.lab.settings.notify
        for job in ended[:3]:
            self.tell(in_a_line(job), "warning" if is_bad(job) else "information")
        if len(ended) > 3:
            self.tell(summary(ended))
        ended = [job for job in ended if not asked_for(job)]
        if not ended:
            return
        if notify.bell:
            self.bell()
        if notify.desktop:
            title = f"vitlab {self.desk.lab.paths.root.name}"
            self.emit(terminal_io.desktop(title, summary(ended), notify.osc, self.around))
        if notify.webhook is not None:
            self._announce(ended)

    @work(group="notices")
    async def _announce(self, ended: Sequence[JobView]) -> None:
        try:
            await asyncio.to_thread(self.desk.announce, ended)
        except OSError as error:
            self.tell(f"webhook: {error.strerror}", "error")

    # the clipboard

    @work(group="outward")
    async def action_copy(self) -> None:
        """Copy the thing under the cursor."""
        from vitlab.tui.selection import copied

        front = self.front
        found = await self.deeds.attempt(lambda: copied(front, self.desk) or ())
        if found == ():
            self.tell("nothing to copy here", "warning")
        elif found:
            await self.copy_out(found[1], found[0])

    async def copy_out(self, text: str, what: str) -> None:
        """Put a text into the clipboard of the terminal, however far away that is."""
        size = len(text.encode())
        if size > terminal_io.LONGEST:
            self.tell(f"{what}: {size / 1e3:.0f} kB are too much for a clipboard", "warning")
            return
        self._clipboard = text  # what `ctrl+v` in a line of ours takes
        inside_tmux = bool(self.around.get("TMUX"))
        if not (inside_tmux and await asyncio.to_thread(terminal_io.into_tmux, text)):
            self.emit(terminal_io.clipboard(text, self.around))
        self.tell(f"copied: {what}")

    # the editor

    @work(group="outward")
    async def action_edit(self) -> None:
        """Open the thing under the cursor in the user's editor, at its line."""
        from vitlab.tui.selection import spot
        from vitlab.tui.terminal.terminal_io import editor_command, run_editor

        front = self.front
        place = await self.deeds.attempt(lambda: spot(front, self.desk) or ())
        if place == ():
            self.tell("nothing to edit here", "warning")
        if not place:
            return
        try:
            argv = editor_command(os.environ, *place)
            # The terminal is the editor's: nothing is to be drawn, so the event loop may wait.
            with self.suspend():
                run_editor(argv)
        except SuspendNotSupported:
            self.tell("an editor needs a terminal of its own: none can be opened here", "warning")
        except UsageError as error:
            self.tell(str(error), "error")
        self.refresh()
        self.watcher.poke()

    # files

    @work(group="outward")
    async def action_export(self) -> None:
        """Write the view in front to a file: text, CSV or SVG."""
        from vitlab.tui.screens.dialogs import ExportScreen
        from vitlab.tui.terminal import export

        front = self.front
        table = export.table_of(front)
        kind = await self.push_screen_wait(ExportScreen(table is not None))
        if kind is None:
            return
        if kind == "csv" and table is None:
            self.tell("no table here: t writes the screen as text, s as a picture", "warning")
            return
        if kind == "csv" and table is not None:
            text = await asyncio.to_thread(lambda: export.as_csv(table()))
        elif kind == "svg":
            seen = export.recorded(front)
            text = await asyncio.to_thread(export.as_svg, seen, f"vitlab {front.NAME}")
        else:
            text = export.as_text(front)
        await self.save_as(front.NAME, kind, text)

    async def save_as(self, view: str, ending: str, text: str) -> None:
        """Write a text below `exports/` and say where."""
        path = await self.deeds.attempt(lambda: self.desk.export(view, ending, text))
        if path is not None:
            self.tell(f"written: {self.desk.name(path)}")

    # the bug report

    @work(group="outward")
    async def action_debug(self) -> None:
        """Show what a bug report needs."""
        from vitlab.tui.screens.help import DebugScreen

        def copy(text: str) -> None:
            self.run_worker(self.copy_out(text, "the bug report's facts"), group="outward")

        def export(text: str) -> None:
            self.run_worker(self.save_as("debug", "txt", text), group="outward")

        screen = DebugScreen(copy, export)
        await self.push_screen(screen)
        facts = (
            ("colours", str(self.console.color_system or "none")),
            ("screen", f"{self.size.width}x{self.size.height}, theme {self.theme}"),
            ("driver", type(self._driver).__name__),
            ("ascii", "yes" if self.frame.plain else "no"),
            ("front", self.front.NAME),
            ("screens open", str(len(self.screen_stack))),
            ("workers", str(len(self.workers))),
        )
        text = await asyncio.to_thread(self.desk.condition, facts, tuple(self.errors))
        if screen.is_mounted:
            screen.show(text)
