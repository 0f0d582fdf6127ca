"""An autopilot over files alone: what it launches, never twice, and what it writes."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.conftest import Ended
from vitlab.contract.job import Queued
from vitlab.contract.paths import UsageError
from vitlab.jobs.files import write_json
from vitlab.jobs.processes import boot
from vitlab.jobs.queue import scheduler
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.autopilot import control, step
from vitlab.lab.autopilot.control import Wanted, forecast, go_on, pause, start, stop
from vitlab.lab.autopilot.record import (
    Autopilot,
    clock,
    locked,
    read_autopilot,
    write_autopilot,
)
from vitlab.lab.autopilot.report import public_record, report_of
from vitlab.lab.autopilot.step import carry_on, carry_on_later, digest
from vitlab.lab.autopilot.text import state_lines
from vitlab.lab.lab import Lab, open_lab
from vitlab.lab.launch import Plan, Request, plan_launch
from vitlab.lab.writeback.edits import undo

PLAN = """\
# Plan

**Project:** `VIT`

### Gate-1: Is it good

| Item | Content |
|------|---------|
| MVP | MVP-1.0 |
| If R² > 0.70 | ✅ go on with MVP-3.0 |
| If R² < 0.65 | 🔴 think again |
| Status | ⏳ planned |

| MVP | Name | Phase | Gate | Status | exp_id | Report |
|-----|------|-------|------|--------|--------|--------|
| 1.0 | The run | 1 | Gate-1 | ⏳ | - | - |
| 3.0 | If it is good | 1 | - | ⏳ | - | - |
| 4.0 | Another branch | 1 | - | ⏳ | - | - |
"""


@pytest.fixture(autouse=True)
def no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "advance", lambda *_: [])
    monkeypatch.setattr(scheduler, "wake_autopilot", lambda *_, **__: None)
    monkeypatch.setattr(control, "wake_autopilot", lambda *_, **__: None)


@pytest.fixture
def plan(lab: Lab) -> Lab:
    """The lab of `tests/lab` with a gate that opens MVP-3.0, and another branch."""
    lab.roadmap_path().write_text(PLAN)
    experiment = lab.paths.experiments / "the_run.yaml"
    text = experiment.read_text()
    for mvp, size in (("3.0", 20), ("4.0", 30)):
        other = text.replace('"1.0"', f'"{mvp}"').replace("recipe:", "priority: 0\nrecipe:", 1)
        other = other.replace("priority: 0\n", "").replace("train_size: 10", f"train_size: {size}")
        other += f"config: {{data: {{val_size: {size}}}}}\n"
        (lab.paths.experiments / f"m{mvp[0]}.yaml").write_text(other)
    return open_lab(lab.paths.root)


def begin(lab: Lab, **more: object) -> Autopilot:
    return start(lab, Wanted(budget=8.0, profile="full", **more))  # type: ignore[arg-type]


def runs(lab: Lab) -> list[tuple[str, str]]:
    return sorted((job.spec.mvp, job.spec.run) for job in all_jobs(lab.paths))


def left(lab: Lab, roadmap: Path | None = None) -> dict[str, str]:
    """What the plan has waiting, each with why it would not be launched."""
    steps = forecast(lab, Wanted(8.0, roadmap, profile="full")).steps
    return {one.candidate.mvp: one.why_not for one in steps}


def let_end(lab: Lab, reason: str = "ok", only: Job | None = None) -> None:
    """Every waiting job ends, or one of them."""
    for job in all_jobs(lab.paths):
        if isinstance(job.state, Queued) and (only is None or job.name == only.name):
            record = {"v": 1, "reason": reason, "started": 1e9, "ended": 1e9 + 60, "code": 0}
            write_json(job.paths.started, {"started": 1e9, "device": "cpu"})
            write_json(job.paths.exit, record)


def mvps(lab: Lab) -> list[str]:
    return sorted({mvp for mvp, _ in runs(lab)})


def test_it_launches_one_mvp_after_another_and_ends_with_a_page(plan: Lab) -> None:
    begin(plan)
    carry_on(plan)
    assert runs(plan) == [("1.0", "one"), ("1.0", "two")]
    carry_on(plan)
    assert mvps(plan) == ["1.0"]
    let_end(plan, "failed")
    carry_on(plan)
    assert mvps(plan) == ["1.0", "4.0"]  # 3.0 waits for the gate
    let_end(plan)
    carry_on(plan)
    pilot = read_autopilot(plan.paths)
    assert pilot is not None
    assert (pilot.state, pilot.why, pilot.told) == ("ended", "nothing is left", True)
    page = plan.paths.root / pilot.page
    text = page.read_text()
    assert page.parent == plan.roadmap_path().parent
    assert "| **All** | 2 launches | 2 failed, 2 ok | 4 min | 4 min | 0 | - |" in text
    assert "- MVP-3.0: Gate-1 is not decided yet" in text
    record = public_record(report_of(plan, pilot))
    assert {"state", "why", "done", "left", "spent"} <= record.keys()
    json.dumps(record, allow_nan=False)
    undo(plan)
    assert not page.exists()


@pytest.mark.parametrize("change", ["8.0->9.0", "", "{", "null", "a pipe"])
def test_a_changed_file_of_it_is_told(plan: Lab, change: str) -> None:
    begin(plan)
    file = plan.paths.private.autopilot
    assert open_lab(plan.paths.root).notes == []
    before, _, after = change.partition("->")
    text = file.read_text()
    if change == "a pipe":
        file.unlink()
        os.mkfifo(file)
    else:
        file.write_text(
            text.replace(f'"budget": {before}', f'"budget": {after}') if after else change
        )
    other = "is of another user or lab, or was changed"
    was = other if after or change == "null" else "cannot be read"
    line = f".vitlab/autopilot.json: {was}: no autopilot goes on by it"
    assert open_lab(plan.paths.root).notes == [line]
    assert read_autopilot(plan.paths) is None


BROKEN: dict[str, Callable[[Path], object]] = {
    "is empty": lambda path: path.write_text(""),
    "cannot be read (No such file or directory)": lambda path: path.unlink(),
    "a line of 200,000 characters": lambda path: path.write_text("x" * 200_000),
}


@pytest.mark.parametrize("why", BROKEN)
def test_it_waits_for_a_roadmap_that_cannot_be_read(
    plan: Lab, why: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(plan)
    carry_on(plan)
    let_end(plan, "failed")
    roadmap = plan.roadmap_path()
    text = roadmap.read_text()
    BROKEN[why](roadmap)
    carry_on(plan)
    pilot = read_autopilot(plan.paths)
    assert pilot is not None
    assert (pilot.state, mvps(plan)) == ("running", ["1.0"])
    name = plan.paths.relative(roadmap)
    report = report_of(plan, pilot)
    assert next(state_lines(report)).startswith(f"autopilot running; waits for {name}: ")
    assert [(one, said) for one, said in report.waits if why in said and one == name]
    stop(plan)
    with pytest.raises(UsageError, match="not started: .*" + re.escape(why)):
        start(plan, Wanted(8.0, roadmap))
    write_autopilot(plan.paths, pilot)
    monkeypatch.setattr(time, "sleep", lambda _: roadmap.write_text(text))
    carry_on_later(plan)
    assert mvps(plan) == ["1.0", "4.0"]


def test_a_launch_that_was_begun_is_made_when_its_roadmap_can_be_read_again(
    plan: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(plan)
    roadmap = plan.roadmap_path()
    text = roadmap.read_text()

    def emptied(lab: Lab, request: Request) -> Plan:
        roadmap.write_text("")
        return plan_launch(lab, request)

    with monkeypatch.context() as patch:
        patch.setattr(step, "plan_launch", emptied)
        carry_on(plan)
    pilot = read_autopilot(plan.paths)
    assert pilot is not None
    assert [(one.made, one.refused) for one in pilot.launches] == [(False, "")]
    assert runs(plan) == []
    roadmap.write_text(text)
    carry_on(plan)
    assert mvps(plan) == ["1.0"]


def test_a_gate_that_passes_opens_what_it_gates(plan: Lab, ended: Ended) -> None:
    begin(plan)
    for run in ("one", "two"):
        ended(run, r2=0.95)
    carry_on(plan)
    assert "3.0" in mvps(plan)


def test_a_gate_that_fails_stops_its_branch_while_another_goes_on(plan: Lab, ended: Ended) -> None:
    begin(plan)
    for run in ("one", "two"):
        ended(run, r2=0.1)
    carry_on(plan)
    assert "3.0" not in mvps(plan)
    assert "4.0" in mvps(plan)
    let_end(plan)
    carry_on(plan)
    pilot = read_autopilot(plan.paths)
    assert pilot is not None
    text = (plan.paths.root / pilot.page).read_text()
    assert "| Gate-1 | waits | fail |" in text
    assert "- MVP-3.0: Gate-1 failed" in text


def test_what_has_run_is_never_launched_again(plan: Lab, ended: Ended) -> None:
    for run in ("one", "two"):
        ended(run, r2=0.68)  # within its errors
    steps = {
        one.candidate.mvp: one.why_not for one in forecast(plan, Wanted(8.0, profile="full")).steps
    }
    begin(plan)
    carry_on(plan)
    assert runs(plan).count(("1.0", "one")) == 1
    assert "launch it yourself" in steps["1.0"] or "Gate-1" in steps["1.0"]


def test_the_same_runs_under_another_mvp_are_not_launched(plan: Lab, ended: Ended) -> None:
    text = (plan.paths.experiments / "the_run.yaml").read_text()
    again = text.replace('"1.0"', '"4.0"').replace("one", "new").replace("two", "newer")
    (plan.paths.experiments / "m4.yaml").write_text(again)
    begin(plan)
    carry_on(plan)
    let_end(plan, "failed")
    carry_on(plan)
    assert mvps(plan) == ["1.0"]
    steps = {
        one.candidate.mvp: one.why_not for one in forecast(plan, Wanted(8.0, profile="full")).steps
    }
    assert "has the runs of MVP-1.0 again, or with other seeds" in steps["4.0"]


def test_a_second_one_is_refused_and_a_pause_holds_launches(plan: Lab) -> None:
    begin(plan)
    with pytest.raises(UsageError, match="already running"):
        begin(plan)
    pause(plan)
    carry_on(plan)
    assert runs(plan) == []
    with pytest.raises(UsageError, match="already paused"):
        begin(plan)
    go_on(plan)
    carry_on(plan)
    assert mvps(plan) == ["1.0"]
    assert stop(plan).why == "ended by you"
    assert mvps(plan) == ["1.0"]
    with pytest.raises(UsageError, match="no autopilot"):
        stop(plan)
    begin(plan)


def test_after_a_person_s_end_its_report_goes_on_with_its_jobs(plan: Lab) -> None:
    before = plan.roadmap_path().read_bytes()
    begin(plan)
    carry_on(plan)
    page = plan.paths.root / stop(plan).page

    def says(*words: str) -> bool:
        carry_on(plan)
        return all(word in page.read_text() for word in words)

    assert says("| MVP-1.0 | full | 2 waiting |", "> **Jobs that go on:** 2, ")
    assert _now(plan).due > 1e12  # they are not held to its budget
    first, *_ = all_jobs(plan.paths)
    let_end(plan, only=first)
    assert says("| MVP-1.0 | full | 1 ok, 1 waiting |", "> **Jobs that go on:** 1, ")
    assert _now(plan).active
    let_end(plan)
    assert says("| MVP-1.0 | full | 2 ok | 2 min |")
    assert "go on" not in page.read_text()
    assert not _now(plan).active

    # What is told of it afterwards is what was at its end, whatever becomes of the plan.
    told = report_of(plan, _now(plan))
    assert (told.coming, [name for name, _ in told.waits]) == (("MVP-4.0",), ["MVP-3.0"])
    assert told.tried[0].counts == {"ok": 2}
    text = plan.roadmap_path().read_text()
    plan.roadmap_path().write_text("".join(
        line for line in text.splitlines(keepends=True) if "| 4.0 |" not in line
    ))  # fmt: skip
    for job in all_jobs(plan.paths):
        shutil.rmtree(job.paths.folder)
    again = report_of(plan, _now(plan))
    assert again == told
    assert public_record(again) == public_record(told)
    plan.roadmap_path().write_text(text)
    while undo(plan).changes:
        pass
    assert not page.exists()
    assert plan.roadmap_path().read_bytes() == before


@pytest.mark.timeout(60)
@pytest.mark.parametrize("what", ["no text", "a pipe"])
def test_what_cannot_be_read_in_the_place_of_its_files_holds_nobody_up(
    plan: Lab, what: str
) -> None:
    """The process that carries it on waited in a pipe for ever, its lock held."""
    begin(plan)
    carry_on(plan)
    page, environment = plan.paths.root / stop(plan).page, plan.paths.private.autopilot_environment
    for path in (page, environment):
        path.unlink()
        path.write_bytes(b"\xff\xfe bad") if what == "no text" else os.mkfifo(path)
    let_end(plan)
    carry_on(plan)
    assert not _now(plan).active
    assert digest(environment) == "" or what == "no text"


@pytest.mark.parametrize("by_hand", ["mine", None])
def test_a_report_that_a_person_changed_or_took_away_stays_so(
    plan: Lab, by_hand: str | None
) -> None:
    begin(plan)
    carry_on(plan)
    page = plan.paths.root / stop(plan).page
    page.unlink()
    if by_hand:
        page.write_text(by_hand)
    let_end(plan)
    carry_on(plan)
    assert not _now(plan).active
    assert (page.read_text() if page.exists() else None) == by_hand


def test_while_one_process_is_at_it_another_does_nothing(plan: Lab) -> None:
    begin(plan)
    with locked(plan.paths) as free:
        assert free
        assert carry_on(plan) is False
    assert runs(plan) == []
    assert carry_on(plan)
    assert mvps(plan) == ["1.0"]


def test_a_copied_lab_and_a_stranger_s_start_nothing(plan: Lab, tmp_path: Path) -> None:
    begin(plan)
    copied = tmp_path / "copy"
    shutil.copytree(plan.paths.root, copied, ignore=shutil.ignore_patterns("copy"))
    other = open_lab(copied)
    assert read_autopilot(other.paths) is None
    carry_on(other)
    assert runs(other) == []
    path = plan.paths.private.autopilot
    path.write_text(path.read_text().replace('"at_once": 1', '"at_once": 9'))
    assert read_autopilot(plan.paths) is None
    carry_on(plan)
    assert runs(plan) == []


def _killed_at(lab: Lab, number: int) -> bool:
    """Carry on in a process that is killed at its n-th new name; False where it came to its end."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    left = iter(range(number))

    def counted(one: Path, other: Path) -> Path:
        if next(left, None) is None:
            os._exit(9)
        os.rename(one, other)  # noqa: PTH104 - the one that is replaced here
        return Path(other)

    Path.rename = Path.replace = counted  # type: ignore[assignment,method-assign]
    try:
        carry_on(open_lab(lab.paths.root))
        os._exit(0)
    finally:
        os._exit(1)


@pytest.fixture
def labs(plan: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    def fresh() -> Iterator[Lab]:
        while True:
            root = tmp_path_factory.mktemp("lab") / "lab"
            shutil.copytree(plan.paths.root, root)
            yield open_lab(root)

    return fresh()


def test_killed_at_any_moment_nothing_is_launched_twice_or_lost(labs: Iterator[Lab]) -> None:
    for moments, lab in enumerate(labs):
        begin(lab)
        if not _killed_at(lab, moments):
            break
        lab = open_lab(lab.paths.root)
        carry_on(lab)
        assert runs(lab) == [("1.0", "one"), ("1.0", "two")], moments
    assert moments > 5


def test_killed_as_it_ends_it_ends_once(labs: Iterator[Lab]) -> None:
    for moments, lab in enumerate(labs):
        begin(lab)
        write_autopilot(lab.paths, replace(_now(lab), budget=0.0))
        if not _killed_at(lab, moments):
            break
        lab = open_lab(lab.paths.root)
        carry_on(lab)
        assert _now(lab).told
        assert len(list(lab.roadmap_path().parent.glob("auto_*.md"))) == 1, moments
    assert moments > 2


def _now(lab: Lab) -> Autopilot:
    pilot = read_autopilot(lab.paths)
    assert pilot is not None
    return pilot


def test_jobs_of_an_earlier_boot_are_released(plan: Lab) -> None:
    begin(plan)
    carry_on(plan)
    for job in all_jobs(plan.paths):
        scheduler.edit_queue(job, boot=f"{_boot(job).split(':')[0]}:another:1")
    carry_on(plan)
    assert {_boot(job) for job in all_jobs(plan.paths)} == {boot()}


def _boot(job: Job) -> str:
    return str(json.loads(job.paths.queue.read_text())["boot"])


def test_at_the_end_of_the_budget_what_waits_is_dropped(plan: Lab) -> None:
    begin(plan)
    carry_on(plan)
    write_autopilot(plan.paths, replace(_now(plan), budget=0.0))
    carry_on(plan)
    ended = _now(plan)
    assert (ended.state, ended.why) == ("ended", "budget spent")
    assert not any(isinstance(job.state, Queued) for job in all_jobs(plan.paths))
    report = report_of(plan, ended)
    assert report.coming == ("MVP-4.0",)
    assert [name for name, _ in report.waits] == ["MVP-3.0"]


@pytest.mark.parametrize("jump", [-1e6, 1e6])
def test_a_clock_that_is_set_changes_no_budget(
    plan: Lab, jump: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(plan)
    carry_on(plan)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump)
    carry_on(plan)
    pilot = _now(plan)
    assert pilot.state == "running"
    assert 0 <= clock(pilot) - pilot.started < 3600
    assert clock(replace(pilot, boot="another")) - pilot.started == pytest.approx(
        max(0.0, jump), abs=3600
    )


def test_a_pause_keeps_its_budget(plan: Lab) -> None:
    begin(plan)
    carry_on(plan)
    pause(plan)
    write_autopilot(plan.paths, replace(_now(plan), budget=0.0))
    carry_on(plan)
    assert _now(plan).why == "budget spent"


def test_when_its_budget_may_be_spent_is_noted_for_the_supervisors(plan: Lab) -> None:
    begin(plan)
    carry_on(plan)
    pilot = _now(plan)
    assert pilot.due == pytest.approx(pilot.uptime + 8 * 3600, abs=1.5)
    record = plan.paths.private.autopilot.read_bytes()
    carry_on(plan)
    assert plan.paths.private.autopilot.read_bytes() == record
    write_autopilot(plan.paths, replace(pilot, boot="before a restart", uptime=1e9, due=5.0))
    carry_on(plan)
    again = _now(plan)
    assert again.boot == boot()
    assert again.due == pytest.approx(pilot.due, abs=3.0)


def test_a_wrong_start_is_one_line(plan: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    for wanted, text in (
        (Wanted(8.0, until="Gate-9"), "not in the plan"),
        (Wanted(8.0, at_once=0), "1 or more"),
        (Wanted(8.0, gpu_hours=0.0), "more than 0"),
        (Wanted(8.0, backend="slurm"), "no sbatch on this machine"),
        (Wanted(8.0, roadmap=Path("/etc/passwd")), "outside the lab"),
    ):
        with pytest.raises(UsageError, match=text):
            forecast(plan, wanted)


def test_until_an_mvp_that_does_not_wait_is_refused(plan: Lab) -> None:
    text = plan.roadmap_path().read_text()
    row = "| 4.0 | Another branch | 1 | - | ⏳ |"
    assert row in text
    plan.roadmap_path().write_text(text.replace(row, row.replace("⏳", "✅")))
    with pytest.raises(UsageError, match=r"--until MVP-4\.0: it does not wait in the plan"):
        begin(plan, until="4.0")
    assert [one.candidate.mvp for one in forecast(plan, Wanted(8.0, until="3.0")).steps] == [
        "1.0",
        "3.0",
    ]


def test_until_a_gate_the_plan_ends_with_what_decides_it(plan: Lab) -> None:
    roadmap = plan.read_roadmap(plan.roadmap_path())
    (gate,) = (one for one in roadmap.gates if one.id == "1")
    steps = [one.candidate.mvp for one in forecast(plan, Wanted(8.0, until="Gate-1")).steps]
    assert steps == list(gate.mvps) == ["1.0"]


def test_what_was_tried_at_a_smaller_size_is_launched_at_this_one(plan: Lab, ended: Ended) -> None:
    for run in ("one", "two"):
        ended(run, r2=0.9, profile="smoke")
    text = plan.roadmap_path().read_text()
    row = "| 1.0 | The run | 1 | Gate-1 | ⏳ |"
    assert row in text
    plan.roadmap_path().write_text(text.replace(row, row.replace("⏳", "🔆")))
    assert list(left(plan)) == ["1.0", "3.0", "4.0"]
    assert not left(plan)["1.0"]
    again = forecast(plan, Wanted(8.0, profile="smoke")).steps
    assert [one.candidate.mvp for one in again] == ["3.0", "4.0"]


def test_with_nothing_to_launch_it_does_not_start(plan: Lab) -> None:
    for path in plan.paths.experiments.glob("*.yaml"):
        path.unlink()
    with pytest.raises(UsageError, match="not started: nothing is left; --dry-run shows the plan"):
        begin(plan)
    assert read_autopilot(plan.paths) is None


def test_an_mvp_without_an_experiment_is_told_and_another_goes_on(plan: Lab) -> None:
    (plan.paths.experiments / "the_run.yaml").unlink()
    begin(plan)
    carry_on(plan)
    assert mvps(plan) == ["4.0"]
    assert "`vitlab new 1.0` makes one" in left(plan)["1.0"]


@pytest.mark.parametrize("policy", ["resume", ""])
def test_a_lost_job_is_waited_for_as_often_as_its_policy_resumes_it(plan: Lab, policy: str) -> None:
    if policy:
        for path in plan.paths.experiments.glob("*.yaml"):
            path.write_text(path.read_text() + f"queue: {{on_lost: {policy}}}\n")
    begin(plan)
    carry_on(plan)
    gone = {"v": 1, "started": 1e9, "device": "cpu", "pid": 2**22 - 1, "ticks": 1, "boot": boot()}
    for job in all_jobs(plan.paths):
        write_json(job.paths.started, gone)
    carry_on(plan)
    assert mvps(plan) == (["1.0"] if policy else ["1.0", "4.0"])
    if policy:  # its supervisors were killed again and again
        for job in all_jobs(plan.paths):
            for number in range(1, scheduler.AUTO_RESUMES + 1):
                write_json(job.paths.folder / f"started.{number}.json", gone)
        carry_on(plan)
        assert mvps(plan) == ["1.0", "4.0"]
    report = report_of(plan, _now(plan))
    assert [why for name, why in report.waits if "the-run" in name] == ["lost", "lost"]
