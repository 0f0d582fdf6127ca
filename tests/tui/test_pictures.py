"""What the screen looks like: a few pictures at fixed sizes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from textual.pilot import Pilot

from tests.tui.fakes import FakeDesk
from vitlab.tui.app import VitLab
from vitlab.tui.watch import watcher
from vitlab.tui.widgets.curves_chart import render_live

Compare = Callable[..., bool]


def drawn(app: VitLab) -> bool:
    """Whether the chart, where it is visible, shows the curves at its size."""
    chart = app.home.chart
    if not chart.content_size:
        return True
    picture = render_live(chart._picture, *chart.content_size, False)
    return "Run 2" in picture.plain and str(chart.content) == picture.plain


def settled(*keys: str) -> Callable[[Pilot[int]], Awaitable[None]]:
    """Waits for lab, log and chart, presses the keys, waits for what they open."""

    async def ready(pilot: Pilot[int]) -> None:
        app = cast(VitLab, pilot.app)
        home = app.home
        while home.view is None or not home.log_view.line_count or not drawn(app):
            await pilot.pause(0.02)
        while home.panes["brief"].display and home.brief._brief is None:
            await pilot.pause(0.02)
        await pilot.press(*keys)
        while keys in (("w",), ("n",)) and app.screen is home:
            await pilot.pause(0.02)
        while keys == ("n",) and "Runs" not in str(app.screen.query_one("#outlook-text").render()):
            await pilot.pause(0.02)
        while not drawn(app):
            await pilot.pause(0.02)
        await pilot.pause(0.3)

    return ready


@pytest.mark.parametrize(
    ("name", "size", "keys"),
    [
        ("home-80x24", (80, 24), ()),
        ("jobs-80x24", (80, 24), ("3",)),
        ("curve-80x24", (80, 24), ("4",)),
        ("home-160x45", (160, 45), ()),
        ("launch-80x24", (80, 24), ("n",)),
        ("write-160x45", (160, 45), ("w",)),
    ],
)
def test_picture(
    snap_compare: Compare,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    size: tuple[int, int],
    keys: tuple[str, ...],
) -> None:
    monkeypatch.setattr(watcher, "POLL", 0.05)
    app = VitLab(cast(Any, None), None, desk=cast(Any, FakeDesk()))
    assert snap_compare(app, terminal_size=size, run_before=settled(*keys))
