"""When the watcher looks again: soon while something happens, and seldom where nothing does."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import IntEnum

POLL = 0.3
"""Seconds between two looks at the files, the events and the log while something happens."""
IDLE = 10.0
"""Seconds between two of them where nothing has happened for a while."""
LOOK = 1.0
"""Seconds between two readings of what runs, and of the whole lab where that takes little."""
SHARE = 50
"""Times as long as a reading of the whole lab took, so long at least is the pause after it."""
REST = 600.0
"""Seconds between two of them where nothing has happened for a while."""
SPARING = 4000
"""Times as long as a reading took, so long at least is the pause after it then."""
PAINTED = 0.4
"""Seconds from the first, quick reading to the one that reads everything."""


def stopwatch() -> Callable[[], float]:
    """Tells what has been done since in this thread: the seconds of a core that it took.

    Of seconds in which it waited, for a disk far away or for other programs, a tenth counts.
    """
    used, began = time.thread_time(), time.monotonic()
    return lambda: max(time.thread_time() - used, (time.monotonic() - began) / 10)


class Change(IntEnum):
    """What has changed in the files that were looked at."""

    NONE = 0
    RUNNING = 1
    """Only folders of jobs that ran: they may have ended."""
    MORE = 2


class Pace:
    """The longer nothing happens, the longer the pauses; a key ends them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.busy = True
        """Whether something runs, may start, or could not be read: then it never slows down."""
        self.pause = 0.0
        """Seconds it waits now."""
        self._clock = clock
        self._moved = clock()
        """When something happened last."""
        self._asked = True
        self._due = self._running_due = 0.0

    def happened(self) -> None:
        """Something has changed."""
        self._moved = self._clock()

    def ask(self) -> None:
        """Everything is to be read at once."""
        self._asked = True

    def attend(self) -> bool:
        """A person is here; whether there is a pause to be ended."""
        rested = self.rests
        self._asked = self._asked or POLL < IDLE <= self.pause
        self._moved, self.pause = self._clock(), POLL
        return rested

    @property
    def rests(self) -> bool:
        """Whether nothing has happened for a while."""
        return self.pause > POLL

    @property
    def still(self) -> float:
        """Seconds in which nothing has happened; 0 while something runs."""
        return 0.0 if self.busy else self._clock() - self._moved

    def begin(self) -> bool:
        """Whether to read the whole lab now, though nothing seems to have changed."""
        asked, self._asked = self._asked, False
        return asked or self._clock() >= self._due

    def begin_running(self) -> bool:
        """Whether to read what runs now, though the whole lab is not due."""
        return self.busy and self._clock() >= self._running_due

    def end_running(self) -> None:
        """What runs was read."""
        self._running_due = self._clock() + LOOK

    def end(self, cost: float, *, first: bool = False) -> None:
        """The whole lab was read, in `cost` seconds; `first`: quickly, to be painted before all is.

        A big lab is read less often, so that reading never fills a core.
        """
        self.end_running()
        self._due = self._clock() + (PAINTED if first else max(LOOK, SHARE * cost, self.wait(cost)))

    def wait(self, cost: float) -> float:
        """Seconds before what took `cost` is done again: the more, the longer nothing happens."""
        return min(self.still, max(REST, SPARING * cost))

    def rest(self) -> float:
        """Seconds to the next look."""
        self.pause = min(max(POLL, self.still / 20), IDLE)
        return self.pause
