"""What the screen looks like: a few pictures at fixed sizes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from textual.pilot import Pilot

from tests.tui.fakes import FakeLab
from tests.waiting import Threads, until
from vitlab.tui.app import VitLab
from vitlab.tui.screens.base import LabScreen
from vitlab.tui.screens.jobs import JobsScreen
from vitlab.tui.watch import pace
from vitlab.tui.widgets.curves_chart import LiveChart, render_live
from vitlab.tui.widgets.mvp_pane import MvpPane

Compare = Callable[..., bool]


def drawn(chart: LiveChart) -> bool:
    """Whether a chart, where it is visible, shows the curves at its size."""
    if not chart.content_size:
        return True
    picture = render_live(chart._content, *chart.content_size, False)
    return "Run 2" in picture.plain and str(chart.content) == picture.plain


def settled(threads: Threads, *keys: str) -> Callable[[Pilot[int]], Awaitable[None]]:
    """Waits for lab, log and chart, presses the keys, waits for what they open."""

    async def ready(pilot: Pilot[int]) -> None:
        app = cast(VitLab, pilot.app)
        home = app.home
        await until(lambda: home.view is not None and home.beside.log_view.line_count, pilot.pause)
        await until(lambda: drawn(home.beside.chart), pilot.pause)
        below = home.query_one("#more-mvp", MvpPane)
        await until(lambda: not home.beside.more[0].display or below.found is not None, pilot.pause)
        await pilot.press(*keys)
        await threads.at_rest(app)
        panes = app.screen.panes if isinstance(app.screen, JobsScreen) else home.beside
        await until(lambda: panes.log_view.line_count, pilot.pause)
        await until(lambda: panes.chart._content.series, pilot.pause)
        await until(lambda: drawn(panes.chart), pilot.pause)
        await threads.at_rest(app)

    return ready


@pytest.mark.parametrize(
    ("name", "size", "keys"),
    [
        ("home-80x24", (80, 24), ()),
        ("jobs-80x24", (80, 24), ("2",)),
        ("curve-80x24", (80, 24), ("3",)),
        ("home-160x45", (160, 45), ()),
        ("launch-80x24", (80, 24), ("n",)),
        ("write-160x45", (160, 45), ("w",)),
        ("new-gate-80x24", (80, 24), ("N", "down", "enter")),
    ],
)
def test_picture(
    snap_compare: Compare,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    size: tuple[int, int],
    keys: tuple[str, ...],
    threads: Threads,
) -> None:
    monkeypatch.setattr(pace, "POLL", 0.05)
    for module in ("widgets.plan_pane", "screens.jobs"):  # an age is not that of the day it is
        monkeypatch.setattr(f"vitlab.tui.{module}.now", lambda: 300_000.0)
    monkeypatch.setattr(LabScreen, "seconds_since_read", 0.0)  # however busy the machine is
    lab: Any = FakeLab()
    app = VitLab(lab, lab.roadmap)
    assert snap_compare(app, terminal_size=size, run_before=settled(threads, *keys))
