"""Random keys, while jobs start and end and documents change: nothing breaks, nothing is left."""

from __future__ import annotations

import asyncio
import os
import random
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from textual.widgets import Static

from tests.tui.conftest import Open, Stage
from tests.tui.fakes import FakeDesk, job, mvp, usual_view
from vitlab.contract.state import Done, Lost, Queued, Running
from vitlab.tui.places import SCREENS

KEYS = [
    *"nLxwuUobvfiadcpKJRXmrjkhlgGseytMSEFN0+-&#/ ?[]",
    "enter", "escape", "tab", "shift+tab", "space", "up", "down", "left", "right",
    "pagedown", "home", "end", "backspace", "1", "3", "5",
]  # fmt: skip
PRESSES = int(os.environ.get("VITLAB_FUZZ_KEYS", "300"))
"""How many keys: a few hundred each time, 5,000 before a release."""
NASTY = ("[/x]", "[b", "\x1b[31m", "\u202e", "\u200b", "专家", "[@click=app.quit]", "\\[", "\n|")


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


async def mash(it: Stage, presses: int, seed: int) -> None:
    """Press `presses` random keys; the lab changes at every tenth."""
    random_ = random.Random(seed)
    for number in range(presses):
        key = random_.choice(KEYS)
        if number % 10 == 0:
            it.desk.view = changed(random_)
            it.app.watcher.poke()
        await it.pilot._wait_for_screen()
        it.app.post_message(it_key(key))
        await asyncio.sleep(0)
        if number % 7 == 0:
            await it.pilot.pause(0.001)
        if not it.app.is_running:
            raise AssertionError(f"{key!r}, press {number} of seed {seed}, ended the screen")


def it_key(key: str) -> Any:
    from textual import events
    from textual.keys import _character_to_key

    name = _character_to_key(key) if len(key) == 1 else key
    return events.Key(name, key if len(key) == 1 else None)


@pytest.mark.timeout(60 + PRESSES // 2)
async def test_random_keys_break_nothing(stage: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    before = threading.active_count()
    async with stage(size=(100, 34), desk=FakeDesk(places=("local", "slurm"))) as it:
        monkeypatch.setattr(it.app, "exit", lambda *_, **__: None)
        await mash(it, PRESSES, seed=20261123)
        await it.settle()
        for _ in range(12):
            if not it.at_home:
                await it.press("escape")
        assert it.app.is_running
        busy = [
            worker for worker in it.app.workers if worker.group not in ("watch", "chart", "pager")
        ]
        assert len(busy) < 12
    assert threading.active_count() <= before + 8


async def test_no_text_of_a_file_is_markup_or_moves_the_cursor(stage: Open) -> None:
    nasty = "[/x] [red]r[/] \x1b[31m\u202eevil\u200b [@click=app.quit]q"
    running = job("20251227-100000-x", nasty, Running(0, 1, nasty), why=nasty, step=3, of=9,
                  health=f"bad: {nasty}", values={f"val/{nasty}/x": 0.1})  # fmt: skip
    view = usual_view(jobs=(running,), problems=(nasty,))
    view.roadmap.title = nasty
    view.roadmap.mvps = (mvp("1.0", nasty, nasty, "running", nasty),)
    view.verdicts["1"] = SimpleNamespace(
        id="1", verdict="open", because=nasty, rule=nasty, values={nasty: 1.0}
    )
    desk = FakeDesk(view=view, lines=[nasty], shown_diffs=[f"+++ b/{nasty}\n+{nasty}\n"])
    async with stage(size=(200, 60), desk=desk) as it:
        for place in ("roadmap", *SCREENS):
            it.app.show_screen(place)
            await it.settle()
            await it.until(lambda: "[red]r[/]" in it.text())
            assert not {"\x1b", "\u202e", "\u200b"} & set(it.text())
            for widget in it.app.screen.query(Static):
                assert (
                    "quit" not in str(getattr(widget.content, "spans", "")) or widget.id == "keys"
                )
