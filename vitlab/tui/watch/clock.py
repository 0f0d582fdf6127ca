"""The clocks by which the screen says how old something is; tests stop them."""

from __future__ import annotations

import time

STALE = 3.0
"""Seconds from which what was read is said to be old."""


def now() -> float:
    """Unix seconds, as the jobs' events have them."""
    return time.time()


def ticks() -> float:
    """Seconds that only ever go on."""
    return time.monotonic()
