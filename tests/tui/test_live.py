"""What happens on disk is soon on the screen, and nothing is drawn that nobody sees."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.tui.conftest import Open
from tests.tui.real import RealLab
from vitlab.contract.job import Done
from vitlab.plot import chart
from vitlab.plot.series import Series
from vitlab.tui.watch import pace
from vitlab.tui.widgets import curves_chart


async def test_a_change_on_disk_is_seen_at_the_next_poll(
    stage: Open, real_lab: RealLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Polls are a third of a second apart; here nothing else makes the watcher look."""
    async with stage(lab=real_lab.lab, roadmap=real_lab.roadmap) as it:
        await it.until(
            lambda: it.app.session.view is not None and it.app.session.view.experiments == {"1.0"}
        )
        monkeypatch.setattr(pace, "LOOK", 1e6)
        it.app.watcher.refresh_now()
        await it.look()
        real_lab.add_mvp("a row from vim")
        await it.until(lambda: "a row from vim" in it.text())
        real_lab.add_experiment("2.0")
        await it.until(
            lambda: it.app.session.view is not None and "2.0" in it.app.session.view.experiments
        )
        real_lab.launch()
        await it.until(lambda: it.app.session.view is not None and it.app.session.view.jobs)
        await it.until(
            lambda: (
                it.app.session.view is not None
                and isinstance(it.app.session.view.jobs[0].state, Done)
            )
        )
        await it.until(lambda: "✓ done" in it.text())
    assert pace.POLL <= 0.3


async def test_nothing_is_drawn_while_nothing_changes_or_where_nobody_looks(
    stage: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage(size=(80, 24)) as it:
        await it.until(lambda: it.app.home.beside.log_view.line_count)
        it.app.home.go("log")
        written: list[str] = []
        driver = it.app._driver
        assert driver is not None
        monkeypatch.setattr(driver, "write", written.append)
        still = False
        while not still:  # the last toast and chart are yet to come
            written.clear()
            await it.look(2)
            still = not written
        drawn: list[object] = []

        def draw(*what: object, **_: object) -> str:
            drawn.append(what)
            return ""

        monkeypatch.setattr(curves_chart, "draw", draw)
        chart = it.app.home.beside.chart
        chart.show(replace(chart._content, title="another"))  # the log has its place
        await it.look(3)
        assert not drawn
        assert not written


@pytest.mark.parametrize("width", [80, 160])
def test_a_series_has_twice_the_columns_at_most_before_it_is_plotted(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    real = chart._plot

    def counted(curves: Any, *rest: Any) -> list[str]:
        seen.extend(sum(len(run) for run in one.runs) for one in curves)
        return real(curves, *rest)

    monkeypatch.setattr(chart, "_plot", counted)
    points = 100_000
    many = [
        Series(str(i), list(range(points)), [(7919 * x % 101) / 100 for x in range(points)])
        for i in range(2)
    ]
    chart.draw(many, [], width, 24)
    assert len(seen) == 2
    assert max(seen) <= 2 * width
