"""`A`: the autopilot is planned, started, shown, paused and ended on the screen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.tui.conftest import Open
from vitlab.lab.autopilot import control
from vitlab.lab.autopilot.budget import Estimate
from vitlab.lab.autopilot.control import Forecast, Step, Wanted
from vitlab.lab.autopilot.decide import Candidate, Facts
from vitlab.lab.autopilot.page import Report
from vitlab.lab.autopilot.record import Autopilot
from vitlab.tui import autopilot
from vitlab.tui.autopilot import AutopilotScreen
from vitlab.tui.screens.dialogs import ConfirmScreen, LineScreen


class Pilots:
    """Stands for the lab's autopilot."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now: Autopilot | None = None
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
        pilot = Autopilot("a", "/lab", ("plan.md",), 0.0, wanted.budget)
        mvp = Candidate("plan.md", "1.0", "demo", Estimate(0.5, 0.4, 0.7, 0.0, "3 runs"))
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
        await it.until(lambda: isinstance(it.app.screen, LineScreen))
        await it.press("enter")
        await it.until(lambda: isinstance(it.app.screen, ConfirmScreen))
        assert "MVP-1.0  demo  30 min (24 min to 42 min)  3 runs" in it.text()
        assert "1 to launch in about 30 min; budget 8.0 h" in it.text()
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
        assert "ended: ended by you" in it.text()
        await it.press("escape")
        assert it.at_home
