"""How tests wait: for a condition, until a deadline that only something broken reaches.

No test sleeps for as long as something "should" take: a busy machine takes longer.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from vitlab.contract.job import Done, Lost, Queued, Running
from vitlab.contract.paths import JobPaths
from vitlab.jobs.files import read_json
from vitlab.jobs.processes import members
from vitlab.jobs.store import read_state

if TYPE_CHECKING:
    from textual.app import App
    from textual.message_pump import MessagePump
    from textual.screen import Screen

DEADLINE = 60.0
"""Seconds."""
SLEEP = "import time; print('up', flush=True); time.sleep(300)"
"""A job that says it is up and then waits to be ended."""
Value = TypeVar("Value")
Kind = TypeVar("Kind", Queued, Running, Done, Lost)


def _in_vain(tell: Callable[[], object] | None) -> str:
    return "waited in vain" if tell is None else f"waited in vain: {tell()}"


def wait_for(
    condition: Callable[[], Value | None],
    seconds: float = DEADLINE,
    tell: Callable[[], object] | None = None,
    pause: float = 0.02,
) -> Value:
    """The first true value of `condition`; `tell` says what there was instead."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, _in_vain(tell)
        time.sleep(pause)
    return value


async def until(
    condition: Callable[[], Value | None],
    rest: Callable[[float], Awaitable[object]] = asyncio.sleep,
    tell: Callable[[], object] | None = None,
) -> Value:
    """`wait_for` on an event loop; `rest` lets the others work for some seconds."""
    end = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < end, _in_vain(tell)
        await rest(0.02)
    return value


class Gate(threading.Event):
    """Holds threads until it is set; one that is held here is not at work."""

    held = 0
    """Threads at all gates."""
    _lock = threading.Lock()

    def __init__(self, is_open: bool = True) -> None:
        super().__init__()
        self._here = 0
        if is_open:
            self.set()

    def wait(self, timeout: float | None = DEADLINE) -> bool:
        with self._lock:
            if not self.is_set():
                self._here += 1
                Gate.held += 1
        return super().wait(timeout)

    def set(self) -> None:
        with self._lock:
            Gate.held -= self._here
            self._here = 0
            super().set()


# Jobs.


def becomes(job: JobPaths, kind: type[Kind]) -> Kind:
    """Wait until the job is queued, running, done or lost."""

    def now() -> Kind | None:
        found = read_state(job)
        return found if isinstance(found, kind) else None

    return wait_for(now, tell=lambda: read_state(job))


def ended(job: JobPaths, seconds: float = DEADLINE) -> Done:
    """Wait for the job's end."""
    now = wait_for(
        lambda: found if isinstance(found := read_state(job), Done | Lost) else None,
        seconds,
        lambda: (read_state(job), job.log.read_text()[-500:] if job.log.exists() else ""),
    )
    assert isinstance(now, Done), now
    return now


def running(job: JobPaths) -> Running:
    """Wait until the supervisor has started the job's own process."""
    wait_for(lambda: read_json(job.started) and job.log.exists())
    return becomes(job, Running)


def printed(job: JobPaths, words: str = "\n") -> str:
    """The job's log, as soon as these words are in it."""

    def log() -> str | None:
        text = job.log.read_text() if job.log.exists() else ""
        return text if words in text else None

    return wait_for(log)


def children(job: JobPaths) -> list[int]:
    """The pids of the job's own processes."""
    started = read_json(job.started)
    return [one.pid for one in members(started["session"], started["ticks"], job.folder)]


def processes_of(root: Path) -> list[int]:
    """The pids of every process that a job or supervisor of this lab is."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes() + b"\0" + (entry / "environ").read_bytes()
            zombie = ") Z " in (entry / "stat").read_text()
        except OSError:
            continue
        if not zombie and str(root).encode() in words:
            found.append(int(entry.name))
    return found


def kill_all(root: Path) -> None:
    """End whatever still runs in this lab."""
    for pid in processes_of(root):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def nothing_runs(root: Path) -> None:
    """Wait until no job, supervisor or scheduler of this lab is left."""
    try:
        wait_for(lambda: not processes_of(root), tell=lambda: processes_of(root))
    finally:
        kill_all(root)


# Screens.


async def handled(app: App[Any]) -> None:
    """Wait until every message is handled, and every one that followed from it.

    At a size of 1 x 1 there is no end to them: the scroll bars come and go.
    """
    begun = time.monotonic()
    calm = updates = 0
    # A worker may be on its way to a dialog while all widgets have nothing to do.
    while calm < 8 and app.is_running and app.screen_stack and app._exception is None:
        screens = (*app._background_screens, app.screen)
        pumps = [app, *(one for each in screens for one in each.walk_children(with_self=True))]
        took = time.monotonic() - begun
        if busy := [pump for pump in pumps if not _is_idle(pump)]:
            assert took < DEADLINE, f"still at work: {busy}"
            calm = 0
        elif updates < 50 and True in [_update(screen) for screen in screens]:
            updates += 1
            calm = 0
        else:
            calm += 1
        await asyncio.sleep(0 if took < 0.1 else 0.005)


def _is_idle(pump: MessagePump) -> bool:
    """Whether it waits for a message, or will never take one again."""
    queue: Any = pump._message_queue
    waits = any(not one.done() for one in queue.ready_event._waiters)
    return pump._closed or (waits and queue.empty())


def _update(screen: Screen[Any]) -> bool:
    """Do at once what Textual does a moment later, once for many changes; False for nothing."""
    if screen.app._resize_event is not None:
        screen.app._check_resize()
        return True
    due = bool(screen._layout_required or screen._scroll_required or screen._callbacks)
    if screen is screen.app.screen:  # behind a dialog each repaint asks for the next
        due = due or screen._repaint_required or bool(screen._dirty_widgets)
    if due:
        screen._on_timer_update()
    return due


class Threads:
    """Knows whether an app's threads are at work; its `to_thread` stands for that of `asyncio`."""

    def __init__(self) -> None:
        self._asked = 0
        self._to_thread = asyncio.to_thread

    async def to_thread(self, work: Callable[..., Value], /, *args: Any, **more: Any) -> Value:
        self._asked += 1
        try:
            return await self._to_thread(work, *args, **more)
        finally:
            self._asked -= 1

    def at_work(self, app: App[Any]) -> bool:
        """Whether one has still to answer; the watcher's never does."""
        return self._asked > Gate.held or any(
            one.is_running and one._thread_worker and one.group != "watch" for one in app.workers
        )

    async def at_rest(self, app: App[Any]) -> None:
        """Wait until messages are handled and threads have answered."""
        end = time.monotonic() + DEADLINE
        await handled(app)
        while app.is_running and self.at_work(app):
            assert time.monotonic() < end, f"{self._asked} threads at work"
            await asyncio.sleep(0.005)
            await handled(app)
