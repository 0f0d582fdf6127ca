"""What assistants propose: whole, sealed, never twice, and planned anew when it is accepted."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.lab.conftest import EXPERIMENT, ROADMAP, Ended
from vitlab.contract.job import read_result, write_result
from vitlab.contract.paths import UsageError
from vitlab.jobs.store import all_jobs
from vitlab.lab.autopilot.budget import Estimate, Spent
from vitlab.lab.conclusions.check import check_because, check_conclusion
from vitlab.lab.conclusions.decisions import accept, based, dismiss, preview
from vitlab.lab.lab import Lab, open_lab
from vitlab.lab.launch import Request, launch, plan_launch
from vitlab.lab.results.job_results import newest_results
from vitlab.lab.results.ranking import verdicts_of
from vitlab.lab.tray import account, proposals
from vitlab.lab.tray.account import Account
from vitlab.lab.tray.proposals import Proposal, Tray, short_text
from vitlab.lab.writeback.edits import plan_update, undo

PLAN = "roadmaps/plan_roadmap.md"


def put(lab: Lab, kind: str, target: str = "1.0", **more: object) -> Proposal:
    proposal = replace(Proposal(kind, PLAN, target, "because"), **more)  # type: ignore[arg-type]
    return Tray(lab).add(based(lab, proposal))


def test_a_proposal_is_there_once_and_is_decided_once(lab: Lab, roadmap: Path) -> None:
    first = put(lab, "status", word="paused")
    assert put(lab, "status", word="paused").number == first.number == 1
    second = put(lab, "status", word="cancelled")
    assert len(Tray(lab).waiting()) == 2
    dismiss(lab, second.number)
    with pytest.raises(UsageError, match="proposal 2 was the same and was dismissed"):
        put(lab, "status", word="cancelled")
    before = roadmap.read_bytes()
    assert accept(lab, 1).files == (roadmap,)
    assert "⏸️" in roadmap.read_text()
    with pytest.raises(UsageError, match="proposal 1: was accepted already"):
        accept(lab, 1)
    with pytest.raises(UsageError, match=r"no proposal 9 \(waiting: none\)"):
        accept(lab, 9)
    undo(lab)
    assert roadmap.read_bytes() == before


def test_what_it_rests_on_must_be_as_it_was(lab: Lab, roadmap: Path, ended: Ended) -> None:
    """An edit elsewhere is kept; another status or result makes the proposal void."""
    put(lab, "status", word="paused")
    roadmap.write_text(roadmap.read_text().replace("Made", "Made by hand"))
    accept(lab, 1)
    assert "Made by hand" in roadmap.read_text()
    put(lab, "status", word="done")
    roadmap.write_text(roadmap.read_text().replace("⏸️", "❌"))
    with pytest.raises(UsageError, match="has changed since it was proposed"):
        accept(lab, 2, "it is")
    ended("one", 0.75)
    put(lab, "results")
    ended("two", 0.76)
    text = roadmap.read_text()
    with pytest.raises(UsageError, match="has changed since it was proposed"):
        accept(lab, 3)
    assert roadmap.read_text() == text
    assert len(Tray(lab).waiting()) == 2


def test_what_no_result_supports_needs_a_reason(lab: Lab, roadmap: Path, ended: Ended) -> None:
    passed = put(lab, "gate", "1", word="passed")
    assert "no result supports it" in preview(lab, passed).remarks
    with pytest.raises(UsageError, match=r"no result supports it: give your reason"):
        accept(lab, passed.number)
    done = put(lab, "status", word="done")
    assert preview(lab, done).unsupported
    text = roadmap.read_text()
    ended("one", 0.75)
    ended("two", 0.75)
    # It was proposed before there was a result, so it is proposed anew.
    assert preview(lab, passed).problem
    with_result = put(lab, "gate", "1", word="passed")
    assert not preview(lab, with_result).unsupported
    assert preview(lab, put(lab, "gate", "1", word="failed")).unsupported
    assert roadmap.read_text() == text
    accept(lab, with_result.number)
    assert roadmap.read_text() != text


def test_a_conclusion_has_numbers_of_results_alone(lab: Lab, roadmap: Path, ended: Ended) -> None:
    ended("one", 0.7512)
    update = plan_update(lab, roadmap, "1.0")
    for good in (
        "R² 0.75", "0.751 ± 0.004 on 100 stars", "75.1 % of it", "it is better", "0,751", ".751",
        "MVP-1.0 passes Gate-1, R2 of log_g on an H100: 0.75,0.751", "达到0.75", "1,000 spectra",
        "1k",
    ):  # fmt: skip
        check_conclusion(lab, update, good)
    for bad in (
        "0.76", "R² = 0.7519", "8 of 10 seeds", "-0.9", "1e6 stars", "R² = _0.99_", ".99", "a99%",
        "R² is 1", "0,99", "v0.99", "９９%", "0．99", "0.\u200b99", "𝟎.𝟗𝟗", "达到99%", "٠.٩٩",
        "0·99", "1,2,3", "1e9999", "0.7.9", "**.99**", "9k", "1M",
    ):  # fmt: skip
        with pytest.raises(UsageError, match=r"no result of MVP-1.0 has this number"):
            check_conclusion(lab, update, bad)
    for bad in ("R² = 0.75⁹", "½ of them", "Ⅸ", "R² is ninety-five percent", "zero point nine five",
                "five per cent", "零点九五", "百分之九十五"):  # fmt: skip
        with pytest.raises(UsageError, match=r"write numbers in digits"):
            check_conclusion(lab, update, bad)
    for bad in (
        "it is <!-- better",
        "# Good",
        "```",
        "| it | is |",
        "> so",
        "- so",
        "<b>",
        "--- a",
    ):
        with pytest.raises(UsageError, match=r"write a sentence"):
            check_conclusion(lab, update, bad)
    with pytest.raises(UsageError, match="say why"):
        short_text("reason", "\n \u200b\u202e\x00\ufffd", needed=True)
    with pytest.raises(UsageError, match="601 characters, at most 600"):
        short_text("reason", "x" * 601)


def test_a_number_is_that_of_the_metric_beside_it(lab: Lab, roadmap: Path, ended: Ended) -> None:
    job = ended("one", 0.7512)
    result = read_result(job.result)
    assert result is not None
    values = {**result.values, "test/rmse/log_g": 0.913, "test/mae/log_g": 0.62}
    write_result(job.result, replace(result, values=values))
    update = plan_update(lab, roadmap, "1.0")
    for good in ("RMSE 0.913, R² = 0.751", "an R² of 0.75", "MAE is 0.62 dex", "75.1 percent"):
        check_conclusion(lab, update, good)
    for bad in ("R² = 0.913", "R² rises to 0.913", "0.62 R²", "RMSE: 0.751", "达到 0.913 的 R²"):
        with pytest.raises(UsageError, match=r"(?:of another run|not backed), 0\.\d+ is right"):
            check_conclusion(lab, update, bad)


def test_a_conclusion_of_trials_is_marked(lab: Lab, roadmap: Path, ended: Ended) -> None:
    ended("one", 0.7512, profile="smoke")
    update = plan_update(lab, roadmap, "1.0")
    with pytest.raises(UsageError, match=r"^0\.75: is of a trial: write \(smoke\) behind it$"):
        check_conclusion(lab, update, "R² is 0.75")
    check_conclusion(lab, update, "R² is 0.75 (smoke)")
    check_conclusion(lab, update, "it has run")


def test_a_conclusion_is_held_against_the_results_of_the_day_it_is_accepted(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    ended("one", 0.751)
    ended("two", 0.54, mvp="2.0", model="LightGBM")
    own = "The ViT of MVP-1.0 (R² = 0.751) beats the LightGBM of MVP-2.0 (R² = 0.540)."
    number = put(lab, "results", text=own).number
    assert not preview(lab, Tray(lab).proposal(number)).problem
    ended("two", 0.8, mvp="2.0", model="LightGBM")
    before = roadmap.read_bytes()
    with pytest.raises(UsageError, match=r"proposal 1: .*no result"):
        accept(lab, number)
    assert roadmap.read_bytes() == before


def test_a_gate_s_reason_has_numbers_of_results_alone(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    ended("one", 0.7512)
    ended("one", 0.913, mvp="2.0")
    read, newest = lab.read_roadmap(roadmap), newest_results(lab, roadmap)
    (gate,), (verdict,) = read.gates, verdicts_of(lab, read, newest)
    for good in ("", "R² 0.751 > 0.70", "MVP-1.0 has 75.1 % on 100 stars", verdict.because):
        check_because(lab, gate, verdict, newest, good)
    for bad in ("R² = 0.99", "0.913", "3 more seeds agree", "0.751 ± 0.001"):
        with pytest.raises(UsageError, match=r"no result of Gate-1 has this number"):
            check_because(lab, gate, verdict, newest, bad)


def test_a_failed_job_has_no_conclusion(lab: Lab, roadmap: Path, ended: Ended) -> None:
    ended("one", None, outcome="oom")
    with pytest.raises(UsageError, match="no result, so nothing to conclude"):
        check_conclusion(lab, plan_update(lab, roadmap, "1.0"), "it is good")
    with pytest.raises(UsageError, match="no result, so nothing to conclude"):
        put(lab, "results")


def test_a_stranger_s_tray_is_never_accepted(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = put(lab, "status", word="paused")
    path = lab.paths.private.tray / "00000001.open.json"
    mark, _, body = path.read_bytes().partition(b"\n")
    # Another number, another text, another lab, another user: none is read.
    (path.parent / "00000002.open.json").write_bytes(path.read_bytes())
    changed = json.loads(body)
    changed["word"] = "done"
    (path.parent / "00000003.open.json").write_bytes(mark + b"\n" + json.dumps(changed).encode())
    assert Tray(lab).proposals() == [replace(one, state="open")]
    assert lab.notes == ["2 proposals in the tray are not of this user: left out"]
    assert Tray(lab).waiting() == Tray(lab).waiting() == (1,)
    for number in (2, 3):
        with pytest.raises(UsageError, match="is not of this user; nothing is done with it"):
            accept(lab, number)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another"))
    with pytest.raises(UsageError, match="is not of this user"):
        accept(lab, 1)


@pytest.mark.parametrize("jump", [-1e7, 1e7])
def test_a_clock_that_is_set_and_a_lost_race_accept_a_proposal_once(
    lab: Lab, roadmap: Path, jump: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(lab, "status", word="paused")
    before, real = roadmap.read_bytes(), time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump)
    monkeypatch.setattr(proposals, "PATIENCE", 0.0)
    with Tray(lab).locked(), pytest.raises(UsageError, match="another process decides"):
        accept(lab, 1)
    assert roadmap.read_bytes() == before
    assert Tray(lab).waiting() == (1,)
    assert put(lab, "status", word="cancelled").number == 2
    assert accept(lab, 1).files == (roadmap,)
    with pytest.raises(UsageError, match="was accepted already"):
        accept(lab, 1)


def test_names_of_a_stranger_s_files_hide_no_proposal(lab: Lab) -> None:
    """Nor is the last number a name may have the last that is given, or an own one forgotten."""
    lab.paths.private.make()
    lab.paths.private.tray.mkdir()
    for name in ("99999999.open", "00000002.dismissed", "00000003.open"):
        (lab.paths.private.tray / f"{name}.json").write_text("x")
    first, second = put(lab, "status", word="paused"), put(lab, "status", word="cancelled")
    assert (first.number, second.number) == Tray(lab).waiting() == (1, 4)
    mark = lab.paths.private.tray / "00000001.open.json"
    mark.write_bytes(mark.read_bytes() + b" ")
    assert Tray(lab).waiting() == (4,)


def test_a_tray_is_not_filled_without_end(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proposals, "MOST_OPEN", 2)
    put(lab, "status", word="paused")
    put(lab, "status", word="cancelled")
    with pytest.raises(UsageError, match="the tray is full: 2 proposals wait for a person"):
        put(lab, "status", word="failed")


@pytest.fixture
def no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs are submitted, and nothing starts them."""
    monkeypatch.setattr("vitlab.jobs.queue.scheduler.advance", lambda *_, **__: [])
    monkeypatch.setattr("vitlab.lab.live.changes.advance_queue", lambda _: None)


@pytest.mark.usefixtures("no_start")
def test_an_accepted_launch_is_launched_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    one = put(lab, "launch", profile="smoke")
    killed = Tray.decide
    monkeypatch.setattr(Tray, "decide", lambda *_: os._exit(9))
    in_child(lambda: accept(lab, one.number))  # killed after the launch, before it was noted
    monkeypatch.setattr(Tray, "decide", killed)
    assert len(all_jobs(lab.paths)) == 2
    assert len(accept(lab, one.number).jobs) == 2
    assert len(all_jobs(lab.paths)) == 2
    assert not Tray(lab).waiting()


@pytest.mark.usefixtures("no_start")
def test_launches_are_within_the_budget(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_launch(lab, Request(lab.roadmap_path(), "1.0", "smoke"))
    cost = Estimate(3.0, 3.0, 3.0, 1.0, "1 run")
    monkeypatch.setattr(account, "estimate", lambda *_: cost)
    with pytest.raises(UsageError, match=r"over budget: about 6\.0 h, 5\.0 h of 5\.0 h left"):
        Account(lab, 5.0).launch(plan)
    with pytest.raises(UsageError, match=r"over budget: about 2\.0 h of GPUs, "):
        Account(lab, 9.0, 1.5).launch(plan)
    assert not all_jobs(lab.paths)
    assert len(Account(lab, 6.5).launch(plan).jobs) == 2
    # What is queued counts as what it is expected to take, also for a server started anew.
    assert Account(lab, 6.5).balance().left_hours == pytest.approx(0.5)
    with pytest.raises(UsageError, match=r"'one': was launched before \(.*, queued\)"):
        Account(lab, 100.0).launch(plan)
    # What no earlier run tells is launched alone.
    monkeypatch.setattr(account, "estimate", lambda *_: Estimate(None, None, None, None, "no run"))
    (lab.paths.experiments / "the_run.yaml").write_text(
        EXPERIMENT.replace("{name: one}, {name: two}", "{name: three, set: {data: {seed: 7}}}")
    )
    other = plan_launch(lab, Request(lab.roadmap_path(), "1.0", "smoke"))
    with pytest.raises(UsageError, match=r"no run: launched alone, once VIT-.* has ended"):
        Account(lab, 6.5).launch(other)


@pytest.mark.usefixtures("no_start")
def test_a_spent_budget_stops_its_jobs_alone_and_once(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks, by what is on disk; what a person launched or resumed goes on."""
    monkeypatch.setattr(account, "estimate", lambda *_: Estimate(0.1, 0.1, 0.1, 0.0, "1 run"))
    request = Request(lab.roadmap_path(), "1.0", "smoke", runs=("one",))
    (mine,) = Account(lab, 1.0).launch(plan_launch(lab, request)).jobs
    (theirs,) = launch(lab, plan_launch(lab, replace(request, runs=("two",))), force=True).jobs
    record = json.loads(lab.paths.private.agents.read_text())
    assert 3500 < record["due"] - time.clock_gettime(time.CLOCK_BOOTTIME) <= 3600
    kept = Account.of(lab)
    assert kept is not None
    kept.keep()
    assert not mine.stop.exists()
    assert json.loads(lab.paths.private.agents.read_text()) == record
    monkeypatch.setattr(account, "spent", lambda _: Spent(1.1))
    Account(lab, 1.2).begin()  # another server, with more
    raised = Account.of(lab)
    assert raised is not None
    raised.keep()
    assert not mine.stop.exists()
    Account(lab, 1.0).keep()
    assert mine.stop.exists()
    assert not theirs.stop.exists()
    assert not json.loads(lab.paths.private.agents.read_text())["active"]
    mine.stop.unlink()  # a person lets it go on
    Account(lab, 1.0).keep()
    assert not mine.stop.exists()
    # A file that is not this user's stops nothing, and is begun anew.
    lab.paths.private.agents.write_text(json.dumps({**record, "hours": 0.0}))
    assert Account.of(lab) is None


def in_child(call: Callable[[], object], last_step: int = 0) -> None:
    """Run it in a child of this process, killed before so many steps on the disk are done."""
    pid = os.fork()
    if not pid:
        try:
            steps = itertools.count(1)
            for name in ("fsync", "rename", "replace", "unlink", "mkdir"):
                setattr(os, name, partial(killed_at, last_step, steps, getattr(os, name)))
            call()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def killed_at(
    last: int, steps: Iterator[int], real: Callable[..., Any], *args: Any, **more: Any
) -> Any:
    """What a step on the disk does, unless it is the last one."""
    if next(steps) == last:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args, **more)


@pytest.mark.usefixtures("no_start")
def test_killed_at_any_moment_the_tray_is_whole_and_nothing_is_there_twice(
    lab: Lab, roadmap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thirty processes, each killed as it proposes and accepts, or launches, at a drawn step."""
    monkeypatch.setattr(account, "estimate", lambda *_: Estimate(0.1, 0.1, 0.1, 0.0, "1 run"))
    drawn = random.Random(7)
    experiment = lab.paths.experiments / "the_run.yaml"
    runs = ", ".join(f"{{name: r{k}, set: {{data: {{test_size: {k + 20}}}}}}}" for k in range(12))
    text = experiment.read_text()
    experiment.write_text(text.replace("[{name: one}, {name: two}]", f"[{runs}]"))
    words = ["paused", "cancelled", "failed", "partial", "ready"]

    def propose_and_accept() -> None:
        mine = open_lab(lab.paths.root)
        while True:
            with contextlib.suppress(UsageError):  # void by now, or there already
                put(mine, "status", word=drawn.choice(words))
                accept(mine, drawn.choice(Tray(mine).proposals()).number)

    def launch_all() -> None:
        mine = open_lab(lab.paths.root)
        for k in range(12):
            with contextlib.suppress(UsageError):  # launched by one that was killed
                request = Request(roadmap, "1.0", "smoke", runs=(f"r{k}",))
                Account(mine, 1e4).launch(plan_launch(mine, request))

    for k in range(30):
        serve = launch_all if k % 2 else propose_and_accept
        in_child(serve, drawn.randint(1, 130))  # a launch takes some forty
        everything = Tray(lab).proposals(None)
        assert not lab.notes
        assert [one.number for one in everything] == list(range(1, len(everything) + 1))
        waiting = [one.meaning for one in everything if one.state == "open"]
        assert len(waiting) == len(set(waiting))
        hashes = [job.spec.hash for job in all_jobs(lab.paths)]
        assert len(hashes) == len(set(hashes))
    assert everything
    assert hashes
    assert len(Account(lab, 1e4).balance().running) == len(hashes)
    fresh = open_lab(lab.paths.root)
    while undo(fresh).changes:
        pass
    assert roadmap.read_text() == ROADMAP
