"""What was told: the last message in one line, over every screen and dialog, and all of them."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from rich.text import Text
from textual.screen import Screen
from textual.widgets import Static

from vitlab.plot.series import cells, fit
from vitlab.tui.text import tone_style

MOST = 200
"""Messages that are kept."""
TONES = {"error": "error", "warning": "warning"}


@dataclass
class Message:
    """One thing that was told."""

    text: str
    severity: str
    """`information`, `warning` or `error`."""
    at: float = field(default_factory=time.monotonic)
    clock: str = field(default_factory=lambda: time.strftime("%H:%M:%S"))
    seen: bool = False
    """Whether a key has said so; what is no error goes by itself."""


class Messages:
    """The last ones, oldest first."""

    def __init__(self) -> None:
        self.all: deque[Message] = deque(maxlen=MOST)

    def add(self, text: str, severity: str) -> None:
        """Keep a message; one that is repeated stands once."""
        last = self.all[-1] if self.all else None
        if last is not None and (last.text, last.severity) == (text, severity):
            self.all.pop()
        self.all.append(Message(text, severity))

    @property
    def errors(self) -> list[Message]:
        return [one for one in self.all if one.severity == "error"]

    @property
    def unseen(self) -> list[Message]:
        return [one for one in self.errors if not one.seen]

    def see_all(self) -> None:
        """Take every message for seen."""
        for one in self.all:
            one.seen = True

    def shown(self, seconds: float) -> Message | None:
        """The newest for so long, then the last error that nobody has seen."""
        newest = self.all[-1] if self.all else None
        if newest and not newest.seen and time.monotonic() - newest.at < seconds:
            return newest
        return next(reversed(self.unseen), None)


class MessageLine(Static):
    """On the row above the key line, while there is something to tell."""

    def __init__(self) -> None:
        super().__init__(id="message", markup=False)

    def show(self, message: Message | None, end: str) -> None:
        """`end`: what stands behind it."""
        self.display = message is not None
        if message is None:
            return
        mark = "! " if message.severity == "error" else ""
        words = mark + "  ".join(message.text.split("\n"))
        room = max(self.app.size.width - 2 - cells(end), 0)
        tone = tone_style(self, TONES.get(message.severity, "accent"))
        text = Text(fit(words, min(cells(words), room)), tone)
        self.update(text.append(end, "bold"), layout=False)


def show_message(screen: Screen[object], messages: Messages, seconds: float, key: str) -> None:
    """Show what is to be shown now; `key` shows all."""
    lines = screen.query_children(MessageLine)
    message = messages.shown(seconds)
    if message is None and not lines:
        return
    line = lines.first() if lines else MessageLine()
    if not lines:
        screen.mount(line)
    unseen = len(messages.unseen)
    count = f"  {unseen} errors" if unseen > 1 else ""
    line.show(message, f"{count}  esc:close  {key}:messages" if unseen else "")
