"""How long a key takes to the screen: a cursor that moves, what it tells, a screen that opens."""

from __future__ import annotations

from functools import partial

from program import Program

ROWS = (("LightGBM 1M", "MVP 2.0"), ("Scaling Curve", "MVP 3.0"), ("Tokenization", "MVP 4.0"))
"""What the row of an MVP says, and what the pane beside the plan begins with."""


def cursor_times(screen: Program, presses: int, *, told: bool) -> list[float]:
    """Seconds from `j` to the row the cursor is on now, or (`told`) to what is told of its MVP."""
    times = []
    for number in range(presses):
        if number % len(ROWS) == 0:
            screen.press(b"g")
            screen.drain(0.4)
        row, head = ROWS[number % len(ROWS)]
        before = screen.look(row)
        screen.press(b"j")
        times.append(
            screen.time_to(
                partial(screen.shows, head) if told else partial(_differs, screen, row, before)
            )
        )
        screen.drain(0.1 + 0.013 * (number % 20))  # at any moment between two looks
    return sorted(times)


def opening_times(screen: Program, presses: int) -> list[float]:
    """Seconds from a key to the whole screen it opens: the help, and all jobs, in turns."""
    times = []
    for number in range(presses):
        key, mark = ((b"?", "Everywhere"), (b"2", " in all"))[number % 2]
        screen.press(key)
        times.append(screen.time_to(partial(screen.shows, mark)))
        screen.press(b"q")
        screen.wait_for(lambda: screen.shows("Tokenization"))
        screen.drain(0.15)
    return sorted(times)


def _differs(screen: Program, row: str, before: tuple[object, ...]) -> bool:
    return screen.look(row) != before
