"""How the screen says things: width-safe status words, durations, text made harmless."""

from __future__ import annotations

import os
import sys
import unicodedata

from rich.text import Text
from textual.widget import Widget

from vitlab.contract.job import Done, JobState, Lost, Queued, Running, ended_well
from vitlab.contract.value import Value
from vitlab.plot.series import SELECTORS

STATUS = {
    "planned": ("-", "-", ""),
    "ready": ("+", "+", "strong"),
    "running": (">", ">", "accent"),
    "analysing": ("~", "~", "accent"),
    "done": ("✓", "v", "success"),
    "partial": ("/", "/", "warning"),
    "failed": ("✗", "x", "error"),
    "cancelled": ("x", "x", "muted"),
    "paused": ("=", "=", "muted"),
}
"""Status word -> glyph, ASCII glyph, tone. All glyphs are one cell in every terminal."""

VERDICT = {
    "pass": ("✓", "v", "success"),
    "fail": ("✗", "x", "error"),
    "open": ("-", "-", ""),
    "manual": ("?", "?", "muted"),
}


_UNSHOWN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def ascii_only() -> bool:
    """Whether the terminal is to be given ASCII alone: it can no more, or the user asked."""
    encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower()
    return "utf" not in encoding or os.environ.get("VITLAB_ASCII", "") not in ("", "0")


def clean(text: str) -> str:
    """`text` without anything that could move the cursor or hide: controls, bidi, zero width."""
    kept = []
    for character in text:
        if character in "\n\r\t":
            kept.append(" ")
        elif character not in SELECTORS and unicodedata.category(character) not in _UNSHOWN:
            kept.append(character)
    return "".join(kept)


def status_word(word: str | None, plain: bool = False) -> str:
    """`✓ done`; `? -` where the document's cell says none of the known words."""
    if word not in STATUS:
        return "? -"
    return f"{STATUS[word][plain]} {word}"


def verdict_word(verdict: str, plain: bool = False) -> str:
    glyph = VERDICT.get(verdict, VERDICT["manual"])[plain]
    return f"{glyph} {verdict}"


def state_words(state: JobState, plain: bool = False) -> tuple[str, str]:
    """A job's state as `glyph word` and its tone."""
    match state:
        case Queued():
            return "- queued", ""
        case Running():
            return "> running", "accent"
        case Done() if ended_well(state):
            return ("v done" if plain else "✓ done"), "success"
        case Done(outcome=outcome):
            return f"{'x' if plain else '✗'} {outcome.replace('_', ' ')}", "error"
        case Lost():
            return "! lost", "error"


def duration(seconds: float | None) -> str:
    """`42s`, `3m10s`, `2h05m`, `4d03h`; empty for None."""
    if seconds is None or not 0 <= seconds < 1e9:
        return ""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02}h"


def roughly(seconds: float | None) -> str:
    """As `duration`, without seconds from ten minutes on: `47m`."""
    if seconds is None or not 600 <= seconds < 3600:
        return duration(seconds)
    return f"{int(seconds) // 60}m"


def age(seconds: float) -> str:
    """`12 s`, `3 min`, `2 h`, `4 d`."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(int(seconds), 0)} s"


def metric_name(name: str) -> str:
    """`val/r2/log_g` as a title: `R² log_g (val)`."""
    value = Value.parse(name)
    split = f"({value.split})" if value.split else ""
    return " ".join(part for part in (value.symbol, value.label, split) if part)


def progress(done: int, of: int, width: int, plain: bool = False) -> str:
    """A bar of `width` cells."""
    filled = round(width * done / of) if of > 0 else 0
    filled = min(max(filled, 0), width)
    return ("#" if plain else "━") * filled + ("." if plain else "─") * (width - filled)


def ink(widget: Widget, tone: str) -> str:
    """A tone as a Rich style, in the colours of the theme in use."""
    if tone in ("", "strong"):
        return "bold" if tone else ""
    color = widget.app.theme_variables.get(tone, "")
    weight = "bold " if tone in ("accent", "error") else ""
    return weight + color if color.startswith("#") else ("dim" if tone == "muted" else "bold")


def cell(text: str, style: str = "") -> Text:
    """A table cell: harmless, never markup, cut by the table with an ellipsis."""
    return Text(clean(text), style=style, no_wrap=True, overflow="ellipsis", end="")
