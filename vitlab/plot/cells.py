"""How wide text is in a terminal, and text made to fit a width."""

from __future__ import annotations

import unicodedata

SELECTORS = "\ufe0e\ufe0f"
_UNSEEN = ("Cc", "Cf")


def cells(text: str) -> int:
    """How many terminal cells `text` takes: wide characters two, combining ones none."""
    return sum(_cell(character) for character in text)


def _cell(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Cf", "Cc", "Mn"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fit(text: str, width: int) -> str:
    """`text` in exactly `width` cells, control characters dropped, cut with `…` or padded.

    Variation selectors go too: terminals disagree about the width of what they select.
    """
    text = "".join(c for c in text if c not in SELECTORS and unicodedata.category(c) not in _UNSEEN)
    size = cells(text)
    if size > width:
        kept, size = "", 0
        for character in text:
            if size + _cell(character) > width - 1:
                break
            kept, size = kept + character, size + _cell(character)
        text, size = (kept + "…", size + 1) if width > 0 else ("", 0)
    return text + " " * (width - size)
