"""A supervisor has the autopilot of its job carried on at the moment that this has named."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vitlab.contract.paths import JobPaths, LabPaths
from vitlab.jobs.files import write_json
from vitlab.jobs.process.budget_due import AGAIN, LOOK, BudgetDue
from vitlab.jobs.processes import AUTOPILOT, boot

MINE = {AUTOPILOT: "abc/1"}


class Stage:
    """A lab, a clock, and what was started."""

    def __init__(self, root: Path) -> None:
        self.job = JobPaths(root / "experiments" / "E-1" / "one")
        self.job.folder.mkdir(parents=True)
        self.lab = LabPaths(root)
        self.lab.private.make()
        self.now = 1000.0
        self.started: list[str] = []

    def spawn(self, _: str, argv: list[str], *__: object, **___: object) -> int:
        self.started.append(argv[-2])
        return 0

    def write(self, due: float, **more: object) -> None:
        record = {"id": "abc", "active": True, "boot": boot(), "due": due, **more}
        write_json(self.lab.private.autopilot, record)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    monkeypatch.setattr(time, "clock_gettime", lambda _: stage.now)
    monkeypatch.setattr(os, "posix_spawn", stage.spawn)
    yield stage
    monkeypatch.undo()


def test_once_the_moment_has_come_and_again_while_no_later_one_is_named(stage: Stage) -> None:
    stage.write(1000 + 3 * LOOK)
    due = BudgetDue(stage.job, MINE, by_slurm=False)
    for _ in range(100):
        due.look()
        if stage.started:
            break
        stage.now += 1.0
    assert stage.now == 1000 + 3 * LOOK
    assert stage.started == ["vitlab.jobs.queue.scheduler"]
    stage.now += AGAIN - 1
    due.look()
    assert len(stage.started) == 1
    stage.now += 1
    due.look()
    assert len(stage.started) == 2


def test_a_moment_that_was_moved_is_kept(stage: Stage) -> None:
    stage.write(1e6)
    due = BudgetDue(stage.job, MINE, by_slurm=False)
    due.look()
    stage.write(1000.0)
    stage.now += LOOK
    due.look()
    assert len(stage.started) == 1


@pytest.mark.parametrize("boot_of", ["another:machine", ""])
def test_a_moment_of_another_machine_s_clock_is_none(stage: Stage, boot_of: str) -> None:
    stage.write(1e9, boot=boot_of)
    BudgetDue(stage.job, MINE, by_slurm=False).look()
    assert len(stage.started) == 1


def test_nothing_is_started_for_what_is_not_its_own(stage: Stage) -> None:
    def look(extra: dict[str, str], by_slurm: bool = False) -> None:
        BudgetDue(stage.job, extra, by_slurm).look()

    look(MINE)  # no file
    stage.write(0.0)
    look({})
    look(MINE, by_slurm=True)
    look({AUTOPILOT: "of another/1"})
    stage.write(0.0, active=False)
    look(MINE)
    stage.lab.private.autopilot.write_text("[")
    look(MINE)
    assert not stage.started
