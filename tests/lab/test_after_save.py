"""What is recorded of a save stands and falls with its document, whenever it is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.lab.conftest import Ended
from tests.lab.test_tray import put
from vitlab.contract.paths import LabPaths
from vitlab.docs.journal import Outcome
from vitlab.jobs.store import all_jobs
from vitlab.jobs.submissions import Staged, is_submitted, publish
from vitlab.lab.after_save import raw_decisions, settle
from vitlab.lab.conclusions.decisions import accept
from vitlab.lab.lab import Lab, open_lab
from vitlab.lab.launch import Request, launch, plan_launch
from vitlab.lab.tray.proposals import Tray
from vitlab.lab.writeback.decisions import decide_gate, give_status
from vitlab.lab.writeback.edits import redo, status_changes, undo, write
from vitlab.lab.writeback.gate_edits import gate_changes

Act = Callable[[Lab], object]


def give(lab: Lab) -> None:
    path = lab.roadmap_path()
    give_status(lab, path, "1.0", "done", "mine", status_changes(lab, path, "1.0", "done"))


def decide(lab: Lab) -> None:
    path = lab.roadmap_path()
    changes = [one for one, _ in gate_changes(lab, path, "1", "passed", "mine")]
    decide_gate(lab, path, "1", "passed", "mine", changes)


def conclude(lab: Lab) -> None:
    write(lab, lab.roadmap_path(), "1.0")


def run(lab: Lab) -> None:
    launch(lab, plan_launch(lab, Request(lab.roadmap_path(), "1.0", "smoke")))


ACTS: dict[str, tuple[tuple[Act, ...], Act]] = {
    "status": ((), give),
    "gate": ((), decide),
    "undo of a status": ((give,), undo),
    "redo of a gate": ((decide, undo), redo),
    "undo of results": ((conclude,), undo),
    "proposed status": (
        (lambda lab: put(lab, "status", word="done"),),
        lambda lab: accept(lab, 1, "x"),
    ),
    "proposed gate": (
        (lambda lab: put(lab, "gate", "1", word="passed", text="why"),),
        lambda lab: accept(lab, 1, "x"),
    ),
    "proposed results": ((lambda lab: put(lab, "results", "1.0"),), lambda lab: accept(lab, 1)),
}


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def settle_and_die(lab: LabPaths, outcome: Outcome) -> None:
    settle(lab, outcome)
    die()


def in_killed_process(root: Path, act: Act, place: str, last: Callable[..., None]) -> None:
    """Do it in another process, of which a function kills it."""
    if not (child := os.fork()):
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(place, last)
                act(open_lab(root))
        finally:
            os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])


def standing(root: Path) -> object:
    """All that a next command finds."""
    lab = open_lab(root)
    decided = [
        {name: one[name] for name in ("gate", "mvp", "status", "because", "undone")}
        for one in raw_decisions(lab.paths)
    ]
    ledger = lab.paths.private.sync_ledger
    written = [part for part in ledger.read_text().split() if "true" in part or "false" in part]
    return (
        lab.roadmap_path().read_text(),
        decided,
        written,
        [one.state for one in Tray(lab).proposals(None)],
    )


def put_one(staged: Sequence[Staged]) -> None:
    publish(staged[:1])
    die()


LAUNCHED = "vitlab.lab.after_save.publish"


@pytest.mark.parametrize(
    ("place", "last", "jobs"),
    [
        ("vitlab.lab.launch.write_launch", die, 0),
        ("vitlab.docs.save._replace", die, 0),
        ("vitlab.docs.save._make_durable", die, 2),
        ("vitlab.lab.lab.settle", die, 2),
        (LAUNCHED, die, 2),
        (LAUNCHED, put_one, 2),
        ("vitlab.lab.lab.settle", settle_and_die, 2),
        ("vitlab.lab.launch.publish", die, 2),
    ],
)
def test_a_launch_killed_at_any_moment_has_both_its_status_and_its_jobs_or_neither(
    lab: Lab,
    roadmap: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    last: Callable[..., None],
    jobs: int,
) -> None:
    monkeypatch.setattr("vitlab.jobs.queue.scheduler.advance", lambda _: None)
    was, root = roadmap.read_text(), lab.paths.root
    in_killed_process(root, run, place, last)
    now = open_lab(root)
    found = all_jobs(now.paths)
    assert [is_submitted(job.paths) for job in found] == [True] * jobs
    assert (roadmap.read_text() == was) == (jobs == 0)
    assert not [*now.paths.experiments.glob("*/.tmp-*")]


def test_a_launch_that_ctrl_c_ends_has_both_its_status_and_its_jobs(
    lab: Lab, roadmap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = iter([KeyboardInterrupt])

    def interrupt(*_: object) -> None:
        for outcome in outcomes:
            raise outcome

    monkeypatch.setattr("vitlab.docs.save._make_durable", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(lab)
    assert "🚀" in roadmap.read_text()
    assert len(all_jobs(open_lab(lab.paths.root).paths)) == 2


@pytest.mark.parametrize("act", ACTS)
def test_killed_at_any_moment_the_next_command_finds_both_or_neither(
    lab: Lab, roadmap: Path, ended: Ended, act: str
) -> None:
    ended("one", 0.68, profile="smoke")
    conclude(lab)
    undo(lab)
    if "results" not in act:
        conclude(lab)
    root = lab.paths.root
    before, done = ACTS[act]
    for one in before:
        one(open_lab(root))
    was = standing(root)
    in_killed_process(root, done, "vitlab.docs.save._replace", die)
    assert standing(root) == was
    kept = {file: file.read_bytes() for file in root.rglob("*") if file.is_file()}
    done(open_lab(root))
    now = standing(root)
    assert now != was
    for last in (die, settle_and_die):
        for file in root.rglob("*"):
            if file.is_file() and file not in kept:
                file.unlink()
        for file, data in kept.items():
            file.write_bytes(data)
        in_killed_process(root, done, "vitlab.lab.lab.settle", last)
        assert standing(root) == now
