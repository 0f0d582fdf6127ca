"""What happens on disk is soon on the screen, and nothing is drawn that nobody sees."""

from __future__ import annotations

import pytest

from tests.tui.conftest import Open
from tests.tui.real import RealLab
from vitlab.contract.state import Done
from vitlab.tui import watch


async def test_a_change_on_disk_is_seen_at_the_next_poll(
    stage: Open, real_lab: RealLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Polls are a third of a second apart; here nothing else makes the watcher look."""
    async with stage(desk=real_lab.desk()) as it:
        await it.until(lambda: it.app.view is not None and it.app.view.experiments == {"1.0"})
        monkeypatch.setattr(watch, "LOOK", 1e6)
        it.app.watcher.poke()
        await it.pilot.pause(0.3)
        real_lab.add_mvp("a row from vim")
        await it.until(lambda: "a row from vim" in it.text())
        real_lab.add_experiment("2.0")
        await it.until(lambda: it.app.view is not None and "2.0" in it.app.view.experiments)
        real_lab.launch()
        await it.until(lambda: it.app.view is not None and it.app.view.jobs)
        await it.until(
            lambda: it.app.view is not None and isinstance(it.app.view.jobs[0].state, Done)
        )
        await it.until(lambda: "✓ done" in it.text())
    assert watch.POLL <= 0.3
