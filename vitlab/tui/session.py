"""What the app, its actions and its screens share: the lab, the watcher, what was read last."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from vitlab.contract.paths import UsageError, cause
from vitlab.contract.user_key import unforeseen
from vitlab.tui.keys import KEYS, shown_key
from vitlab.tui.watch.watcher import Watcher
from vitlab.tui.widgets.message_line import Messages

if TYPE_CHECKING:
    from vitlab.lab.lab import Lab
    from vitlab.lab.live.snapshot import LabSnapshot, RoadmapSummary

T = TypeVar("T")


class CopiedText(NamedTuple):
    """A text for the clipboard, and what it is."""

    what: str
    text: str


class Location(NamedTuple):
    """A place in a file."""

    path: Path
    line: int
    """1-based."""


class Notify(Protocol):
    """Shows a message."""

    def __call__(self, message: str, *, severity: str = "information") -> None: ...


@dataclass
class Session:
    """One lab on the screen."""

    lab: Lab
    watcher: Watcher
    notify: Notify
    plain: bool = False
    """ASCII only."""
    own_keys: Mapping[str, str] = field(default_factory=dict)
    """The settings' keys: action -> key."""
    view: LabSnapshot | None = None
    """The lab as last read; None before the first reading."""
    roadmaps: tuple[RoadmapSummary, ...] = ()
    """Every roadmap in a line; empty before they are read."""
    messages: Messages = field(default_factory=Messages)
    """What was told."""
    _busy: bool = False

    @property
    def roadmap(self) -> Path:
        """The roadmap shown; UsageError where the lab has none."""
        return self.watcher.roadmap or self.lab.roadmap_path(None)

    def key(self, action: str) -> str:
        """The key of an action of every screen, as it is written on the screen."""
        return next((shown_key(key, self.own_keys) for key in KEYS if key.action == action), "")

    async def attempt(
        self, call: Callable[[], T], report: Callable[[str], object] | None = None
    ) -> T | None:
        """Run a blocking call in a thread, one at a time; None when it failed.

        `report` shows why; None for a message.
        """
        if self._busy:
            self.notify("the last action is still running", severity="warning")
            return None
        self._busy = True
        try:
            return await asyncio.to_thread(call)
        except Exception as error:  # what nothing foresaw does not end the screen either
            known = isinstance(error, UsageError | OSError)
            text = cause(error) if known else unforeseen(error)
            if report is None:
                self.notify(text, severity="error")
            else:
                report(text)
            return None
        finally:
            self._busy = False
