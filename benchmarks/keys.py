"""How long a key takes to the screen: a cursor that moves, what it tells, a screen that opens."""

from __future__ import annotations

from program import Program

ROWS = ((b"LightGBM 1M", b"MVP 2.0"), (b"Scaling Curve", b"MVP 3.0"), (b"Tokenization", b"MVP 4.0"))
"""What the row of an MVP says, and what the pane beside the plan begins with."""


def cursor_times(screen: Program, presses: int, *, told: bool) -> list[float]:
    """Seconds from `j` to the row the cursor is on now, or (`told`) to what is told of its MVP."""
    times = []
    for number in range(presses):
        if number % len(ROWS) == 0:
            screen.press(b"g")
            screen.drain(0.4)
        screen.press(b"j")
        times.append(screen.wait(ROWS[number % len(ROWS)][told]))
        screen.drain(0.1 + 0.013 * (number % 20))  # at any moment between two looks
    return sorted(times)


def opening_times(screen: Program, presses: int) -> list[float]:
    """Seconds from a key to the whole screen it opens: the help, and all jobs, in turns."""
    times = []
    for number in range(presses):
        key, mark = ((b"?", b"Everywhere"), (b"2", b" in all"))[number % 2]
        screen.press(key)
        times.append(screen.wait(mark))
        screen.press(b"q")
        screen.wait(b"Tokenization")
        screen.drain(0.15)
    return sorted(times)
