"""The app over a lab in memory, and its pilot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual._context import active_app
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet
from textual.keys import _character_to_key
from textual.pilot import Pilot

from tests import waiting
from tests.tui.fakes import FakeLab, install
from tests.tui.real import RealLab
from vitlab.tui.app import VitLab
from vitlab.tui.watch import pace


def post(app: VitLab, key: str) -> None:
    """Put a key into the app's queue, as the terminal's reader does."""
    name = _character_to_key(key) if len(key) == 1 else key
    character = {"space": " "}.get(key, key)
    app.post_message(events.Key(name, character if len(character) == 1 else None))


@dataclass
class Stage:
    """One running app, its pilot and the lab it shows."""

    app: VitLab
    pilot: Pilot[int]
    lab: FakeLab
    threads: waiting.Threads

    async def press(self, *keys: str) -> None:
        """Press keys one after the other; each when what the last one began is at rest."""
        for key in keys:
            post(self.app, key)
            await self.settle()

    async def type(self, text: str) -> None:
        """Press the keys of a text as fast as a person's paste; at rest behind the last."""
        for key in text:
            post(self.app, key)
        await self.settle()

    async def go(self, pane: str) -> None:
        """Put the focus on a pane of home."""
        self.app.home.go(pane)
        await self.settle()

    async def settle(self) -> None:
        """Let messages, threads and animations come to rest."""
        await self.threads.at_rest(self.app)
        if self.app.animator._animations:
            await self.app.animator.wait_until_complete()
            await self.threads.at_rest(self.app)

    async def until(self, true: Callable[[], Any]) -> None:
        """Wait for something a thread or a timer brings, and for what comes with it."""
        await waiting.until(true, self.pilot.pause, self.text)
        await self.settle()

    async def look(self, times: int = 1) -> None:
        """Wait until the watcher has looked at the lab again."""
        for _ in range(times):
            before = self.app.watcher.read_at
            await self.until(partial(self._read_after, before))
        await self.settle()

    def _read_after(self, moment: float) -> bool:
        return self.app.watcher.read_at > moment

    @property
    def toasts(self) -> list[str]:
        """The messages so far."""
        return [message.text for message in self.app.session.messages.all]

    @property
    def focus(self) -> str | None:
        return self.app.focused.id if self.app.focused else None

    @property
    def at_home(self) -> bool:
        return self.app.screen is self.app.home

    def text(self) -> str:
        """The screen as plain text."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip) for strip in strips)


Open = Callable[..., AbstractAsyncContextManager[Stage]]


@pytest.fixture(autouse=True)
def fake_labs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lab's functions answer from a `FakeLab` where that is the lab."""
    install(monkeypatch.setattr)


@pytest.fixture(autouse=True)
def nobody_is_greeted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a newcomer's notice comes between those of a test that takes longer than others."""
    monkeypatch.setattr("vitlab.tui.app.GREETING", 3600.0)


@pytest.fixture(scope="session", autouse=True)
def styles_parsed_once() -> Iterator[None]:
    """Every app has the same style sheets, and parsing them is a large part of its start."""
    parsed: dict[object, list[RuleSet]] = {}
    parse = Stylesheet._parse_rules

    def parse_once(self: Stylesheet, *args: Any, **more: Any) -> list[RuleSet]:
        key = (tuple(self._variables.items()), args, tuple(more.items()))
        if key not in parsed:
            parsed[key] = parse(self, *args, **more)
        return parsed[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stylesheet, "_parse_rules", parse_once)
        yield


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> waiting.Threads:
    """Lets pilots wait for messages and threads.

    Textual's own wait until the process needs little of the processor: too long where a thread is
    at work, and not long enough on a busy machine.
    """

    async def idle(*_: float) -> None:
        await waiting.handled(active_app.get())

    monkeypatch.setattr("textual.app.wait_for_idle", idle)
    monkeypatch.setattr("textual.pilot.wait_for_idle", idle)
    threads = waiting.Threads()
    monkeypatch.setattr(asyncio, "to_thread", threads.to_thread)
    return threads


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, threads: waiting.Threads) -> Open:
    """Opens the app: `async with stage(size=(80, 24), lab=...) as it:`."""
    for name, value in {"POLL": 0.1, "IDLE": 0.1, "LOOK": 0.3, "REST": 0.3, "SPARING": 0}.items():
        monkeypatch.setattr(pace, name, value)
    # A busy machine outlives five seconds.
    monkeypatch.setattr(VitLab, "NOTIFICATION_TIMEOUT", 3600)

    @asynccontextmanager
    async def opened(
        size: tuple[int, int] = (160, 45), lab: Any = None, roadmap: Path | None = None
    ) -> AsyncIterator[Stage]:
        lab = lab or FakeLab()
        app = VitLab(lab, roadmap or getattr(lab, "roadmap", None))
        async with app.run_test(size=size, notifications=True) as pilot:
            it = Stage(app, pilot, lab, threads)
            await it.until(lambda: app.home.view is not None)
            await it.settle()
            yield it

    return opened


@pytest.fixture
def real_lab(tmp_path: Path) -> Iterator[RealLab]:
    """A lab on disk; what still runs in it afterwards is ended."""
    lab = RealLab(tmp_path / "lab")
    yield lab
    lab.end()
