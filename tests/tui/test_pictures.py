"""What the screen looks like: a few pictures at fixed sizes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from textual.pilot import Pilot

from tests.tui.fakes import FakeDesk
from vitlab.tui import watch
from vitlab.tui.app import VitLab

Compare = Callable[..., bool]


def settled(*keys: str) -> Callable[[Pilot[int]], Awaitable[None]]:
    """Waits for lab, log and chart, presses the keys, waits for what they open."""

    async def ready(pilot: Pilot[int]) -> None:
        app = cast(VitLab, pilot.app)
        while app.home.view is None or not app.home.log_view.line_count:
            await pilot.pause(0.02)
        await pilot.press(*keys)
        chart = app.home.chart
        visible = chart.is_on_screen and keys[-1:] != ("w",)
        while visible and "Run 1" not in str(chart.content):
            await pilot.pause(0.02)
        while keys[-1:] in (("w",), ("n",)) and app.screen is app.home:
            await pilot.pause(0.02)
        while keys[-1:] == ("n",) and "Runs" not in str(
            app.screen.query_one("#outlook-text").render()
        ):
            await pilot.pause(0.02)
        await pilot.pause(0.5)

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
    monkeypatch.setattr(watch, "POLL", 0.05)
    app = VitLab(cast(Any, None), None, desk=cast(Any, FakeDesk()))
    assert snap_compare(app, terminal_size=size, run_before=settled(*keys))
