"""What every part of the app has at hand: desk, watcher, deeds, the lab as last seen, toasts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import App

from vitlab.tui.screens.base import Frame, LabScreen
from vitlab.tui.words import clean

if TYPE_CHECKING:
    from vitlab.records.overview import RoadmapLine
    from vitlab.records.view import LabView
    from vitlab.tui.deeds import Deeds
    from vitlab.tui.desk import Desk
    from vitlab.tui.screens.roadmap import RoadmapScreen
    from vitlab.tui.watch import Watch


class LabApp(App[int]):
    """The app as its parts know it; `VitLab` sets all of this."""

    desk: Desk
    watcher: Watch
    deeds: Deeds
    frame: Frame
    home: RoadmapScreen
    view: LabView | None = None
    """The lab as last seen; None before the first look."""
    roadmaps: tuple[RoadmapLine, ...] = ()
    """Every roadmap in a line; empty before the first look at them."""

    @property
    def front(self) -> LabScreen:
        """The full screen in front, be there a dialog over it or not."""
        screens = [screen for screen in self.screen_stack if isinstance(screen, LabScreen)]
        return screens[-1] if screens else self.home

    def tell(self, text: str, severity: str = "information") -> None:
        """A toast; errors stay longer."""
        seconds = 10 if severity == "error" else 5
        self.notify(clean(text), severity=severity, timeout=seconds, markup=False)  # type: ignore[arg-type]
