"""How the screen words what is known of an MVP: its status, its jobs, the roadmap's own number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vitlab.tui.text import STATUS, clean, status_word

if TYPE_CHECKING:
    from vitlab.docs.model.roadmap import Mvp
    from vitlab.lab.live.snapshot import LabSnapshot
    from vitlab.lab.live.standing import Standing

WIDE = 70
"""Cells of a table from which on where a number is from is told in words."""
STANDING = {
    "queued": ("-", "-", ""),
    "held": ("=", "=", "warning"),
    "lost": ("!", "!", "error"),
    "ended": ("?", "?", "warning"),
    "running (document)": ("·", ".", "muted"),
}
"""What `vitlab.lab.live.standing` says of an MVP besides statuses -> as `STATUS`."""


def mvp_words(
    mvp: Mvp, standings: Mapping[str, Standing], plain: bool = False, room: int = WIDE
) -> tuple[str, str]:
    """How an MVP stands as `glyph word`, and its tone: `> running` only where a job of it runs.

    `room`: cells of the table it is for; a narrow one has `(running)` where only the roadmap does.
    """
    one = standings.get(mvp.id)
    word = one.status(mvp) if one is not None else mvp.status
    if word in STANDING:
        *glyphs, tone = STANDING[word]
        first, _, of = word.partition(" ")
        return f"{glyphs[plain]} {f'({first})' if of and room < WIDE else word}", tone
    return status_word(word, plain), STATUS[word][2] if word in STATUS else "muted"


def document_score(mvp: Mvp, view: LabSnapshot, room: int = WIDE) -> str:
    """`0.713 (document)`, an R2 that stands in the roadmap; to be shown where no job has one.

    `room`: cells of the table it is for; a narrow one has `(0.713)`.
    """
    one = view.standings.get(mvp.id)
    if one is None or not one.stated:
        return ""
    return clean(one.stated_text or "") if room >= WIDE else clean(f"({one.stated})")
