"""What every part of the app has at hand: desk, watcher, deeds, the lab as last seen, toasts."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from textual.app import App

from vitlab.tui.screens.base import Session, LabScreen
from vitlab.tui.text import clean

if TYPE_CHECKING:
    from vitlab.lab.live.snapshot import LabSnapshot, RoadmapSummary
    from vitlab.tui.deeds import Deeds
    from vitlab.tui.desk import Desk
    from vitlab.tui.screens.roadmap import RoadmapScreen
    from vitlab.tui.watch.watcher import Watcher

ERRORS = 10
"""How many of the last errors are kept for a bug report."""


class LabApp(App[int]):
    """The app as its parts know it; `VitLab` sets all of this."""

    desk: Desk
    watcher: Watcher
    deeds: Deeds
    session: Session
    home: RoadmapScreen
    view: LabSnapshot | None = None
    """The lab as last seen; None before the first look."""
    roadmaps: tuple[RoadmapSummary, ...] = ()
    """Every roadmap in a line; empty before the first look at them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.errors: deque[str] = deque(maxlen=ERRORS)
        """The last errors told, each with its time of day."""

    @property
    def front(self) -> LabScreen:
        """The full screen in front, be there a dialog over it or not."""
        screens = [screen for screen in self.screen_stack if isinstance(screen, LabScreen)]
        return screens[-1] if screens else self.home

    def tell(self, text: str, severity: str = "information") -> None:
        """A toast; errors stay longer."""
        seconds = 10 if severity == "error" else 5
        self.notify(clean(text), severity=severity, timeout=seconds, markup=False)

    def notify(self, message: str, **options: Any) -> None:
        """Textual's toast; errors are kept for a bug report, whoever tells them."""
        if options.get("severity") == "error":
            self.errors.append(f"{time.strftime('%H:%M:%S')} {clean(message)}")
        super().notify(message, **options)

    @property
    def around(self) -> Mapping[str, str]:
        """The environment, as far as it tells of the terminal: in a browser there is none."""
        return {} if self.is_web else os.environ

    def emit(self, sequence: str) -> None:
        """Send the terminal something that draws nothing."""
        if self._driver is not None and not self.is_headless:
            self._driver.write(sequence)
            self._driver.flush()
