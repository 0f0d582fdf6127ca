"""What the keys do to the lab and to what is shown; the deeds themselves are elsewhere."""

from __future__ import annotations

from functools import partialmethod

from textual import work

from vitlab.tui.labapp import LabApp
from vitlab.tui.themes import THEMES


class Doing(LabApp):
    """The part of the app that does things."""

    def action_launch_next(self) -> None:
        if self.view is None or self.view.next is None:
            self.tell("nothing is next: every MVP of this roadmap is done, running or cancelled")
            return
        self._launch(self.view.next.id)

    def action_launch_selected(self) -> None:
        mvp = self.front.selected_mvp()
        if mvp is None:
            self.tell("no MVP is selected", "warning")
            return
        self._launch(mvp.id)

    @work(group="deeds")
    async def _launch(self, mvp_id: str) -> None:
        await self.deeds.launch(mvp_id)

    @work(group="deeds")
    async def action_job(self, word: str) -> None:
        await self.deeds.job(word, self.front.selected_job())

    action_stop_job = partialmethod(action_job, "stop_job")
    action_resume_job = partialmethod(action_job, "resume_job")
    action_hold_job = partialmethod(action_job, "hold_job")
    action_move_up = partialmethod(action_job, "move_up")
    action_move_down = partialmethod(action_job, "move_down")
    action_move_first = partialmethod(action_job, "move_first")
    action_raise_job = partialmethod(action_job, "raise_job")
    action_lower_job = partialmethod(action_job, "lower_job")

    @work(group="deeds")
    async def action_resume_left(self) -> None:
        await self.deeds.left(resume=True)

    @work(group="deeds")
    async def action_drop_left(self) -> None:
        await self.deeds.left(resume=False)

    @work(group="deeds")
    async def action_write(self) -> None:
        await self.deeds.write()

    @work(group="deeds")
    async def action_undo(self) -> None:
        await self.deeds.turn(back=True)

    @work(group="deeds")
    async def action_redo(self) -> None:
        await self.deeds.turn(back=False)

    def action_filter(self) -> None:
        self.front.filter_rows()

    def action_next_metric(self) -> None:
        self.watcher.show_next()

    def action_reread(self) -> None:
        self.watcher.poke()

    def action_next_theme(self) -> None:
        """Other colours, for this session; `theme` in the settings is for good."""
        words = list(THEMES)
        shown = next((i for i, word in enumerate(words) if THEMES[word].name == self.theme), -1)
        word = words[(shown + 1) % len(words)]
        self.theme = THEMES[word].name
        self.call_after_refresh(self.front.on_resize)
        self.tell(f"theme {word} (`theme: {word}` in vitlab.yaml keeps it)")

    def action_help(self) -> None:
        from vitlab.tui.screens.help import HelpScreen

        self.push_screen(HelpScreen(self.front, self.frame.own))
