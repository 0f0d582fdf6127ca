"""Unified diffs as coloured text."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text
from textual.widget import Widget

from vitlab.tui.text import clean, tone_style


def diff_text(widget: Widget, diffs: Iterable[str]) -> Text:
    """Diffs, file by file, in the colours of the widget's theme."""
    text = Text()
    for diff in diffs:
        for line in diff.split("\n"):
            if not line.startswith("---"):
                _append(widget, text, line)
    text.rstrip()
    return text


def _append(widget: Widget, text: Text, line: str) -> None:
    shown = clean(line) + "\n"
    if line.startswith("+++"):
        name = shown.removeprefix("+++ ").removeprefix("b/")
        text.append(("\n" if text else "") + name, "bold")
    elif line.startswith("@@"):
        text.append(shown, tone_style(widget, "muted"))
    elif line.startswith("+"):
        text.append(shown, tone_style(widget, "success"))
    elif line.startswith("-"):
        text.append(shown, tone_style(widget, "error"))
    else:
        text.append(shown)
