"""The line of keys at the bottom; unlike Textual's footer it is not rebuilt at every focus."""

from __future__ import annotations

from collections.abc import Iterable

from textual.content import Content
from textual.widgets import Static

from vitlab.plot.series import cells


class KeyLine(Static):
    """Keys with a word each, as many as fit; a click does what the key does."""

    def __init__(self) -> None:
        super().__init__(id="keys", markup=False)

    def show(self, keys: Iterable[tuple[str, str, str]]) -> None:
        """`keys`: key as shown, word, action."""
        line, room = Content(), self.content_size.width
        for key, word, action in keys:
            room -= cells(key) + cells(word) + 3
            if room < -2:
                break
            entry = f"[@click=app.{action}]$key[/] $word  "
            line += Content.from_markup(entry, key=key, word=word)
        self.update(line)
