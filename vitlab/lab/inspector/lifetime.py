"""How long the star inspector's process lives: as long as its client, and only so long at a task.

The kernel ends it, by signals whose default is to end a process: a library that blocks or computes
for ever holds the interpreter's lock, so that no thread or handler of ours would run. The signal
for a parent's death (`PR_SET_PDEATHSIG`) comes as soon as the one thread that started it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import sys
from collections.abc import Iterator

LONGEST = 600
"""Seconds to open a job or to explain a star; a large file on a network disk takes minutes."""
_ENDING = (signal.SIGIO, signal.SIGALRM)


def end_with_client(descriptor: int) -> None:
    """End this process as soon as the last holder of the other end of a pipe is gone."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_ASYNC)
    if select.select([descriptor], [], [], 0)[0]:
        sys.exit("the client has ended")  # before it could be asked for


@contextlib.contextmanager
def time_limit() -> Iterator[None]:
    """End this process by SIGALRM if what is done here takes more than `LONGEST`."""
    signal.alarm(LONGEST)
    try:
        yield
    finally:
        signal.alarm(0)
