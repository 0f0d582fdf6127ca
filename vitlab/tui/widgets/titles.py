"""The words in a pane's rim, set only when they change: a new title draws the whole pane anew."""

from __future__ import annotations

from rich.text import Text
from textual.content import Content
from textual.widget import Widget

from vitlab.tui.text import clean


def retitle(pane: Widget, title: str | None = None, below: str | None = None) -> None:
    """Say `title` in the pane's upper rim and `below` in its lower one; None leaves what is there.

    Setting the same words again would redraw everything inside the pane, at every look.
    """
    if title is not None and _plain(pane.border_title) != _shown(title):
        pane.border_title = Text(_shown(title))
    if below is not None and _plain(pane.border_subtitle) != _shown(below):
        pane.border_subtitle = Text(_shown(below))


def _shown(words: str) -> str:
    return clean(words).rstrip()


def _plain(markup: str | None) -> str:
    """What Textual gives back is markup."""
    return Content.from_markup(markup).plain.rstrip() if markup else ""
