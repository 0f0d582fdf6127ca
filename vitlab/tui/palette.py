"""The command palette's entries: every verb of the screen in front, MVPs, gates, roadmaps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from vitlab.tui.keys import VERBS
from vitlab.tui.navigation import Place
from vitlab.tui.screens.base import whole
from vitlab.tui.text import clean

if TYPE_CHECKING:
    from vitlab.tui.app import VitLab

Entry = tuple[str, Callable[[], object]]


class PlanCommands(Provider):
    """Names come from documents, so they are shown as they are, never as markup."""

    @property
    def _lab(self) -> VitLab:
        return cast("VitLab", self.app)  # the only app that has this provider

    def _entries(self) -> Iterator[Entry]:
        lab = self._lab
        for verb in lab.front.VERBS:
            yield verb.meaning, partial(self._run, whole(verb.action))
        for verb in VERBS:
            yield verb.meaning, partial(self._run, f"app.{verb.action}")
        view = lab.view
        for mvp in view.roadmap.mvps if view and view.roadmap else ():
            place = Place(lab.home.NAME, mvp.id)
            yield clean(f"MVP {mvp.id} {mvp.name}"), partial(self._go, place)
        for gate in view.roadmap.gates if view and view.roadmap else ():
            yield clean(f"Gate-{gate.id} {gate.title}"), partial(self._go, Place("gates", gate.id))
        for line in lab.roadmaps:
            yield clean(f"roadmap {line.title}"), partial(self._turn, line.path)

    async def _run(self, action: str) -> None:
        await self.app.run_action(action)

    async def _go(self, place: Place) -> None:
        self._lab.go(place)

    async def _turn(self, path: Path) -> None:
        self._lab.turn(path)

    async def discover(self) -> Hits:
        for name, deed in self._entries():
            yield DiscoveryHit(Content(name), deed, text=name)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for name, deed in self._entries():
            score = matcher.match(name)
            if score > 0:
                yield Hit(score, Content(name), deed, text=name)
