"""Where the keys lead: screens put in front, roadmaps turned, MVPs, gates and jobs found by id."""

from __future__ import annotations

import asyncio
from functools import partialmethod
from pathlib import Path

from textual import work

from vitlab.tui.labapp import LabApp
from vitlab.tui.navigation import Place, find, screen_class
from vitlab.tui.screens.base import LabScreen
from vitlab.tui.screens.dialogs import RoadmapChooser


class Going(LabApp):
    """The part of the app that goes places."""

    def show_screen(self, name: str) -> None:
        """Put the screen `name` in front, as it was left; escape leads back to the one before."""
        if any(screen.id == name for screen in self.screen_stack):
            while self.screen.id != name:
                self.pop_screen()
            return
        if not self.is_screen_installed(name):
            self.install_screen(screen_class(name)(self.frame), name)
        screen = self.get_screen(name)
        if isinstance(screen, LabScreen):
            screen.view = self.view
        self.push_screen(screen)

    action_open_jobs = partialmethod(show_screen, "jobs")
    action_open_curves = partialmethod(show_screen, "curves")
    action_open_documents = partialmethod(show_screen, "documents")
    action_open_results = partialmethod(show_screen, "results")
    action_open_gates = partialmethod(show_screen, "gates")

    def action_open_log(self) -> None:
        """The log of the job selected on the screen in front."""
        job = self.front.selected_job()
        self.show_screen("log")
        if job is not None:
            self.front.point_at(job.paths.name)

    def action_open_spectrum(self) -> None:
        """The test stars of the job selected on the screen in front."""
        job = self.front.selected_job()
        self.show_screen("spectrum")
        if job is not None:
            self.front.point_at(job.paths.name)

    def action_tour(self) -> None:
        """Show around, at home."""
        from vitlab.tui.screens.tour import TourScreen

        self.show_screen(self.home.NAME)
        self.push_screen(TourScreen(self.home, self.frame.key))

    @work(group="places")
    async def greet(self) -> None:
        """Show a newcomer around, once; say where help is in a lab of one's own."""
        said = await asyncio.to_thread(self.desk.tour)
        if said == "due" and self.screen is self.home:
            self.action_tour()
        elif said:
            self.tell(f"new here? {self.frame.key('tour')} shows you around")

    @work(group="places")
    async def action_open_roadmaps(self) -> None:
        path = await self.push_screen_wait(RoadmapChooser(self.roadmaps, self.desk.roadmap))
        if path is not None:
            self.turn(path)

    def turn(self, path: Path) -> None:
        """Look at another roadmap from now on."""
        self.desk.turn(path)
        self.watcher.poke()

    def action_turn_roadmap(self, by: int) -> None:
        """The roadmap `by` places after the one shown."""
        paths = [line.path for line in self.roadmaps]
        if len(paths) < 2:
            self.tell("this lab has no other roadmap")
            return
        now = paths.index(self.desk.roadmap) if self.desk.roadmap in paths else 0
        self.turn(paths[(now + by) % len(paths)])

    action_last_roadmap = partialmethod(action_turn_roadmap, -1)
    action_next_roadmap = partialmethod(action_turn_roadmap, 1)

    @work(group="places")
    async def action_jump(self) -> None:
        from vitlab.tui.screens.dialogs import LineScreen

        words = await self.push_screen_wait(LineScreen("Jump to", hint="MVP, gate or job"))
        if not words:
            return
        place = find(words, self.view)
        if place is None:
            self.tell(f"{words}: no MVP, gate or job of this name", "warning")
            return
        self.go(place)

    def go(self, place: Place) -> None:
        """Show one MVP, gate or job."""
        self.show_screen(place.screen)
        self.call_after_refresh(lambda: self.front.point_at(place.key))
