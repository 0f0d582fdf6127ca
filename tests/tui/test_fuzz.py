"""Random keys, while jobs start and end and documents change: nothing breaks, nothing is left."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import os
import random
import re
import signal
import tempfile
import time
from asyncio.events import Handle
from collections import Counter
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from tests.tui.conftest import Open, Stage, post
from tests.tui.fakes import FakeLab, job, mvp, usual_view
from tests.tui.real import RealLab
from tests.waiting import until
from vitlab.contract.job import Done, Lost, Queued, Running
from vitlab.lab.live.log_file import LogFile
from vitlab.tui.watch.watcher import Watcher

KEYS = [
    *"nLxwuUobvfiadcpKJRXmrjkhlgGseEytTMSBNF0+-&#/ ?[]",
    "enter", "escape", "tab", "shift+tab", "space", "up", "down", "left", "right",
    "pagedown", "home", "end", "backspace", "1", "3", "5",
]  # fmt: skip
PRESSES = int(os.environ.get("VITLAB_FUZZ_KEYS", "300"))
"""How many keys: a few hundred each time, 5,000 before a release."""
SEED = int(os.environ.get("VITLAB_FUZZ_SEED", "20261123"))
PACKAGE = os.sep + "vitlab" + os.sep + "tui" + os.sep
BLOCKED = 0.05
"""Processor seconds in one step of the event loop that a person would feel."""
NASTY = ("[/x]", "[b", "\x1b[31m", "\u202e", "\u200b", "专家", "[@click=app.quit]", "\\[", "\n|")


class Pulse:
    """How long the screen's own code keeps the event loop, by the processor's clock.

    Others' load does not count, and of a long step only the part in which our code was at work:
    a signal stops the loop every few milliseconds of processor time to see what it does. A second
    thread could not look: frames that go on while they are read may be freed under it.
    """

    def __init__(self) -> None:
        self.steps: list[tuple[float, str]] = []
        self._looks: list[str | None] = []

    def run(self, handle: Handle) -> None:
        self._looks.clear()
        begin = time.thread_time()
        _RUN(handle)
        took = time.thread_time() - begin
        at_work = Counter(name for name in self._looks if name)
        ours = took * at_work.total() / max(len(self._looks), 1)
        if ours > BLOCKED:
            self.steps.append((ours, at_work.most_common(1)[0][0]))

    def look(self, _signal: int, frame: FrameType | None) -> None:
        self._looks.append(_at_work(frame))

    def check(self) -> None:
        """A single long step may be the machine's; a second one of the same kind is ours."""
        again = Counter(name for _, name in self.steps)
        ours = [(f"{1e3 * took:.0f} ms", name) for took, name in self.steps if again[name] > 1]
        assert not ours, ours


_RUN = Handle._run


def _at_work(frame: FrameType | None) -> str | None:
    """The function of the screen's code that is at work; None outside of it."""
    while frame is not None and PACKAGE not in frame.f_code.co_filename:
        frame = frame.f_back
    if frame is None:
        return None
    return f"{frame.f_code.co_filename.rpartition(PACKAGE)[2]}:{frame.f_code.co_qualname}"


@pytest.fixture
def pulse(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pulse]:
    pulse = Pulse()
    monkeypatch.setattr(Handle, "_run", lambda handle: pulse.run(handle))
    gc.collect()  # what the other tests have left is no garbage of the screen's
    gc.freeze()
    signal.signal(signal.SIGVTALRM, pulse.look)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.004, 0.004)
    yield pulse
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.signal(signal.SIGVTALRM, signal.SIG_IGN)  # the last may be on its way


def changed(random_: random.Random) -> Any:
    """A lab in which something has happened, with names nobody should trust."""

    def text() -> str:
        return "".join(random_.choice(NASTY) for _ in range(3))

    states = [
        Queued(0),
        Running(0, 1, text()),
        Lost(0),
        Done(0, 9, "ok", 0),
        Done(0, 9, "oom", 1, text()),
    ]
    jobs = tuple(
        job(f"2025122{i}-{i}", text(), random_.choice(states), step=random_.randrange(9), of=8,
            values={"val/r2/log_g": random_.choice([None, 0.5, -1e30])}, why=text(),
            health=f"warn: {text()}", left=random_.random() < 0.2)
        for i in range(random_.randrange(9))
    )  # fmt: skip
    view = usual_view(jobs=jobs, problems=(text(),) * random_.randrange(2))
    view.roadmap.mvps = tuple(
        mvp(f"{i}.0", text(), text(), "planned") for i in range(random_.randrange(9))
    )
    return view


async def mash(it: Stage, presses: int, change: Callable[[random.Random], object]) -> None:
    """Press `presses` random keys; something changes in the lab at every tenth."""
    random_ = random.Random(SEED)
    for number in range(presses):
        key = random_.choice(KEYS)
        if number % 10 == 0:
            change(random_)
        await it.pilot._wait_for_screen()
        post(it.app, key)
        await asyncio.sleep(0)
        if number % 7 == 0:
            await it.pilot.pause(0.001)
        if not it.app.is_running:
            raise AssertionError(f"{key!r}, press {number} of seed {SEED}, ended the screen")


async def go_home(it: Stage) -> None:
    """Out of whatever the keys have opened."""
    await it.settle()
    for _ in range(20):
        if it.at_home:
            return
        await it.press("escape")
    raise AssertionError(f"no way home from {it.app.screen}")


def left_behind(before: set[asyncio.Task[Any]]) -> list[object]:
    """Tasks that still wait, and threads that still watch, after the app has ended."""
    tasks = asyncio.all_tasks() - before - {asyncio.current_task()}
    with tempfile.TemporaryFile("w+") as file:
        faulthandler.dump_traceback(file)  # safe while they run on, unlike their frames
        file.seek(0)
        stacks = file.read()
    codes = (Watcher.run.__code__, LogFile.find.__code__)
    watching = [
        code
        for code in codes
        if re.search(rf'"{re.escape(code.co_filename)}", line \d+ in {code.co_name}$', stacks, re.M)
    ]
    return [*tasks, *watching]


async def nothing_left(before: set[asyncio.Task[Any]]) -> None:
    """What reads just now may finish."""
    await until(lambda: not left_behind(before), tell=lambda: left_behind(before))


@pytest.mark.timeout(120 + PRESSES)
async def test_random_keys_break_nothing(
    stage: Open, monkeypatch: pytest.MonkeyPatch, pulse: Pulse
) -> None:
    before = asyncio.all_tasks()
    async with stage(size=(100, 34), lab=FakeLab(places=("local", "slurm"))) as it:
        monkeypatch.setattr(it.app, "exit", lambda *_, **__: None)

        def change(random_: random.Random) -> None:
            it.lab.view = changed(random_)
            it.app.watcher.refresh_now()

        pulse.steps.clear()  # what mounts the app is not an answer to a key
        await mash(it, PRESSES, change)
        await go_home(it)
        busy = [
            worker for worker in it.app.workers if worker.group not in ("watch", "chart", "pager")
        ]
        assert not busy
        pulse.check()
    await nothing_left(before)


@pytest.mark.timeout(120 + PRESSES)
async def test_random_keys_break_nothing_while_real_files_change(
    stage: Open, real_lab: RealLab, monkeypatch: pytest.MonkeyPatch, pulse: Pulse
) -> None:
    before = asyncio.all_tasks()
    async with stage(size=(80, 24), lab=real_lab.lab, roadmap=real_lab.roadmap) as it:
        monkeypatch.setattr(it.app, "exit", lambda *_, **__: None)
        await mash(it, PRESSES // 3, real_lab.change)
        await go_home(it)
        pulse.check()
    await nothing_left(before)
