"""`vitlab auto` over jobs of a real Slurm, started here: who carries it on; skipped without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.test_auto import ALL, root, runs, told
from tests.jobs.test_slurm import cluster
from tests.waiting import ended, wait_for
from vitlab.contract.paths import LabPaths
from vitlab.jobs.queue import scheduler
from vitlab.jobs.store import all_jobs
from vitlab.lab.autopilot import control
from vitlab.lab.autopilot.record import read_autopilot
from vitlab.lab.autopilot.step import carry_on
from vitlab.lab.lab import open_lab
from vitlab.lab.launch import advance_queue

__all__ = ["cluster", "root"]


def test_a_job_s_end_on_a_cluster_waits_for_the_next_look(
    root: Path,
    cluster: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (scheduler, control):  # nobody looks on but this test
        monkeypatch.setattr(module, "wake_autopilot", lambda *_, **__: None)
    paths = LabPaths(root)

    def look() -> None:
        lab = open_lab(root)
        advance_queue(lab)
        assert carry_on(lab)

    control.start(open_lab(root), control.Wanted(budget=1.0, backend="slurm"))
    look()
    first = all_jobs(paths)
    assert [job.spec.mvp for job in first] == ["1.0", "1.0"]
    assert all(job.in_slurm for job in first)
    for job in first:
        assert ended(job.paths).outcome == "ok"
    pilot = read_autopilot(paths)
    assert pilot is not None
    assert (pilot.state, len(pilot.launches)) == ("running", 1)

    def over() -> bool:
        look()
        return told(root)

    wait_for(over, tell=lambda: runs(root), pause=0.5)
    assert runs(root) == ALL
    pilot = read_autopilot(paths)
    assert pilot is not None
    assert "| **All** | 2 launches | 4 ok |" in (root / pilot.page).read_text()
