"""`A`: the autopilot is planned, started, shown, paused and ended on the screen."""

from __future__ import annotations

import datetime
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.tui.conftest import Open
from tests.waiting import Gate
from vitlab.contract.paths import LabPaths
from vitlab.lab.autopilot import control
from vitlab.lab.autopilot.budget import Estimate
from vitlab.lab.autopilot.control import Forecast, Step, Wanted
from vitlab.lab.autopilot.decide import Candidate, Facts
from vitlab.lab.autopilot.record import Autopilot
from vitlab.lab.autopilot.report import Report
from vitlab.tui import autopilot
from vitlab.tui.autopilot import AutopilotScreen, StartScreen
from vitlab.tui.screens.dialogs import ConfirmScreen


class Pilots:
    """Stands for the lab's autopilot."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now: Autopilot | None = None
        self.wanted: Wanted | None = None
        patch.setattr(autopilot, "read_autopilot", lambda _: self.now)
        patch.setattr(
            autopilot, "report_of", lambda _, pilot: Report(pilot, Facts(60.0), (), (), ())
        )
        patch.setattr(control, "forecast", self.forecast)
        patch.setattr(control, "start", self.start)
        patch.setattr(control, "pause", lambda _: self.become("paused", "paused by you"))
        patch.setattr(control, "go_on", lambda _: self.become("running", ""))
        patch.setattr(control, "stop", lambda _: self.become("ended", "ended by you"))

    @property
    def state(self) -> str:
        return self.now.state if self.now else ""

    def forecast(self, _: object, wanted: Wanted) -> Forecast:
        self.wanted = wanted
        pilot = Autopilot("a", "/lab", ("plan.md",), 0.0, wanted.budget)
        mvp = Candidate("plan.md", "1.0", "demo", Estimate(0.5, 0.4, 0.7, 0.0, "3 runs"), jobs=2)
        return Forecast(pilot, (Step(mvp, 0.0, ""),))

    def start(self, _: object, wanted: Wanted) -> Autopilot:
        assert isinstance(wanted.roadmap, Path)
        self.now = self.forecast(None, wanted).pilot
        return self.now

    def become(self, state: str, why: str) -> Autopilot:
        assert self.now is not None
        self.now = replace(self.now, state=state, why=why)  # type: ignore[arg-type]
        return self.now


async def test_it_is_planned_started_shown_paused_and_ended(
    stage: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    pilots = Pilots(monkeypatch)
    async with stage(size=(80, 24)) as it:
        await it.press("A")
        await it.until(lambda: isinstance(it.app.screen, StartScreen))
        assert "no limit" in it.text()
        await it.press("down", *"4", "down", *"two", "enter")
        await it.until(lambda: "! jobs at once two: expected a number" in it.text())
        await it.press(*["backspace"] * 3, *"2", "down", *"Gate-1", "enter")
        await it.until(lambda: isinstance(it.app.screen, ConfirmScreen))
        assert pilots.wanted is not None
        assert replace(pilots.wanted, roadmap=None) == Wanted(8.0, None, 4.0, 2, "Gate-1")
        assert "MVP-1.0  demo  2 jobs  30 min (24 min to 42 min)  3 runs" in it.text()
        assert "1 to launch at demo, expected to take 30 min; budget 8.0 h" in it.text()
        assert not pilots.state
        await it.press("y")
        await it.until(lambda: pilots.state)
        await it.until(lambda: it.at_home)
        for key, state in (("p", "paused"), ("p", "running")):
            await it.press("A")
            await it.until(lambda: isinstance(it.app.screen, AutopilotScreen))
            await it.press("n")  # one runs: nothing is started
            assert isinstance(it.app.screen, AutopilotScreen)
            await it.press(key)
            await it.until(lambda state=state: pilots.state == state)  # type: ignore[misc]
            await it.until(lambda: it.at_home)
        await it.press("A")
        await it.until(lambda: isinstance(it.app.screen, AutopilotScreen))
        assert "running" in it.text()
        await it.press("x")
        await it.until(lambda: isinstance(it.app.screen, ConfirmScreen))
        await it.press("y")
        await it.until(lambda: pilots.state == "ended")
        await it.until(lambda: it.at_home)
        await it.press("A")
        await it.until(lambda: isinstance(it.app.screen, AutopilotScreen))
        assert "autopilot ended by you" in it.text()
        await it.press("escape")
        assert it.at_home


async def test_it_is_there_before_it_is_read_and_then_followed(
    stage: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autopilot, "REFRESH", 0.01)
    gate = Gate(is_open=False)
    states = iter(["running", "running"])

    def read() -> tuple[autopilot.State, autopilot.Standing]:
        gate.wait()
        state: autopilot.State = "running" if next(states, "") else "ended"
        return state, ([f"it is {state}"], [], [])

    async with stage(size=(80, 24)) as it:
        it.app.push_screen(AutopilotScreen("running", read))
        await it.until(lambda: "reading ..." in it.text())
        assert "x ends it" in it.text()
        gate.set()
        await it.until(lambda: "it is ended" in it.text())
        await it.until(lambda: "n starts another" in it.text())


async def test_its_end_is_told_once_with_a_bell(
    stage: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pilots = Pilots(monkeypatch)
    rings: list[str] = []
    async with stage(size=(80, 24)) as it:
        it.app.bell = lambda: rings.append("bell")  # type: ignore[method-assign]
        lab: Any = it.app.session.lab
        lab.paths = LabPaths(tmp_path)
        file = lab.paths.private.autopilot
        file.parent.mkdir(parents=True, exist_ok=True)
        midnight = datetime.datetime(2026, 1, 1).timestamp()  # a Thursday
        pilots.now = Autopilot("a", "/lab", ("plan.md",), midnight, 8.0)

        async def looked_at(number: int) -> None:
            file.write_text(str(number))
            os.utime(file, (number, number))
            it.app.watcher.refresh_now()
            await it.look()

        def told() -> list[str]:
            return [toast for toast in it.toasts if "autopilot" in toast]

        def stands() -> bool:
            return "auto until Thu 08:00" in str(it.app.home.header.content)

        await looked_at(1)
        assert not told()
        assert stands()
        pilots.now = replace(
            pilots.now, state="ended", why="Gate-2 needs you", ended=time.time() + 9, page="auto.md"
        )
        for number in (2, 3):
            await looked_at(number)
            assert told() == ["autopilot ended: Gate-2 needs you; its report: auto.md"]
            assert rings == ["bell"]
            assert not stands()
        pilots.now = replace(pilots.now, id="b", why="ended by you")
        await looked_at(4)
        pilots.now = replace(pilots.now, id="c", why="disk", ended=5.0)  # before it was opened
        await looked_at(5)
        assert len(told()) == 1


async def test_on_a_small_terminal_its_keys_are_seen_below_long_conclusions(stage: Open) -> None:
    tried = [f"MVP-{n}.0  full  1 ok  2 h  " + "ViT R²_test=0.711 " * 20 for n in range(1, 40)]
    waits = ["kept from launching, or waits for you:", "  MVP-7.0: Gate-2 is open: it needs you"]
    async with stage(size=(80, 24)) as it:
        standing = (["autopilot running"], tried, waits)
        it.app.push_screen(AutopilotScreen("running", lambda: ("running", standing)))
        await it.until(lambda: "MVP-1.0" in it.text())
        text = it.text()
        assert "autopilot running" in text
        assert "MVP-9.0  full  1 ok  2 h  ViT R²_test=0.711 ViT R²_test=0.711" in text
        assert "…" in text
        assert "x ends it   esc leaves" in text
        await it.press("end")
        await it.settle()
        assert "Gate-2 is open: it needs you" in it.text()
