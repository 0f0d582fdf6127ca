"""The command palette's entries: every verb, and every MVP by id and name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from vitlab.tui.screens.roadmap import RoadmapScreen
from vitlab.tui.words import clean

if TYPE_CHECKING:
    from vitlab.tui.app import VitLab

Entry = tuple[str, Callable[[], object]]


class PlanCommands(Provider):
    """Names come from documents, so they are shown as they are, never as markup."""

    @property
    def _lab(self) -> VitLab:
        return cast("VitLab", self.app)  # the only app that has this provider

    def _entries(self) -> Iterator[Entry]:
        for action, (_, meaning) in self._lab.verbs().items():
            yield meaning, partial(self._run, action)
        home = self._lab.home
        view = home.view
        for mvp in view.roadmap.mvps if view and view.roadmap else ():
            yield clean(f"MVP {mvp.id} {mvp.name}"), partial(self._jump, home, mvp.id)

    async def _run(self, action: str) -> None:
        await self.app.run_action(action)

    async def _jump(self, home: RoadmapScreen, mvp_id: str) -> None:
        home.select_mvp(mvp_id)

    async def discover(self) -> Hits:
        for name, deed in self._entries():
            yield DiscoveryHit(Content(name), deed, text=name)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for name, deed in self._entries():
            score = matcher.match(name)
            if score > 0:
                yield Hit(score, Content(name), deed, text=name)
