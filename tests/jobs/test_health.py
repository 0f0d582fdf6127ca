"""Verdicts on what a job's events say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vitlab.contract.events import Event, EventWriter
from vitlab.contract.paths import JobPaths
from vitlab.jobs.process.health import (
    Facts,
    Health,
    History,
    Limits,
    add_events,
    health,
    read_health,
)
from vitlab.jobs.process.monitor import read_reach

CALM = Facts(running=10, silent=1)


def step(i: int, **values: float | None) -> Event:
    named = {name.replace("__", "/"): value for name, value in values.items()}
    bad = [name for name, value in named.items() if value is None]
    data = {"step": i, "values": named, **({"nonfinite": bad} if bad else {})}
    return Event("step", float(i), data)


def judge(events: list[Event], facts: Facts = CALM) -> Health:
    return health(add_events(History(), events), facts, Limits())


def test_a_good_job_is_well() -> None:
    events = [step(i, train__loss=1 / (i + 1), perf__samples_per_s=900.0) for i in range(50)]
    assert judge(events) == Health("ok", "", "step 49")
    assert judge([]) == Health("ok", "", "before the first step")
    last = Event("step", 50.0, {"step": 50, "of": 50, "values": {"train/lr": 0.0}})
    assert judge([*events, last]) == Health("ok", "", "step 50")


@pytest.mark.parametrize(
    ("events", "facts", "status", "what"),
    [
        ([], Facts(running=1000, silent=1000), "warn", "no first step"),
        ([step(1)], Facts(running=9000, silent=2000), "bad", "stalled"),
        ([step(1)], Facts(running=1, silent=1, alive=False), "bad", "dead"),
        ([step(1)], Facts(running=1, silent=1, stopped=True), "warn", "stopped"),
        ([step(1, train__loss=None)], CALM, "bad", "not finite"),
        ([step(i, train__loss=1.0) for i in range(9)] + [step(9, train__loss=20.0)],
         CALM, "warn", "explosion"),
        ([step(i, train__loss=1.0) for i in range(9)] + [step(9, train__loss=1e4)],
         CALM, "bad", "explosion"),
        ([step(i, perf__samples_per_s=900.0) for i in range(100)]
         + [step(100 + 5 * i, perf__samples_per_s=90.0) for i in range(5)], CALM, "warn", "slow"),
        ([step(i, val__r2__log_g=0.001 * i) for i in range(6)], CALM, "bad", "stuck"),
        ([step(i, train__loss=0.6931 + 1e-6 * (i % 3)) for i in range(40)],
         CALM, "warn", "stagnation"),
        ([step(i, train__lr=0.0) for i in range(3)], CALM, "warn", "lr zero"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(events: list[Event], facts: Facts, status: str, what: str) -> None:
    verdict = judge(events, facts)
    assert (verdict.status, verdict.what) == (status, what), verdict


def test_a_negative_r2_that_rises_is_not_stuck() -> None:
    values = [-50.0, -3.0, -0.5, 0.01, 0.2, 0.4]
    assert judge([step(i, val__r2__log_g=v) for i, v in enumerate(values)]).status == "ok"


def test_memory_of_events_is_bounded_and_split_anywhere() -> None:
    events = [step(i, train__loss=float(i)) for i in range(500)]
    whole = add_events(History(), events)
    parts = History()
    for event in events:
        parts = add_events(parts, [event])
    assert parts == whole
    assert len(whole.series["train/loss"]) == 64


def test_a_resumed_job_is_judged_anew() -> None:
    events = [step(1, train__loss=None), Event("start", 2.0, {}), step(2, train__loss=1.0)]
    assert judge(events).status == "ok"


def at(step: int, epoch: float | None, **data: object) -> Event:
    known = {} if epoch is None else {"epoch": epoch}
    return Event("step", 1.0, {"step": step, "values": {"train/loss": 1.0}, **known, **data})


@pytest.mark.parametrize(
    ("before", "after", "evidence"),
    [
        ([(49, 0), (99, 1)], (49, 0), "its epochs restart at 0"),
        ([(49, 0), (99, 1)], (149, 2), ""),
        ([(49, 0), (99, 1)], (49, 1), ""),  # a program that counts the steps of each process
        ([(49, 0), (99, 0)], (49, 0), "its steps restart at 49"),
        ([(49, 0), (99, 0)], (99, 0), ""),
        ([(0, None), (5, None)], (0, None), "its steps restart at 0"),
        ([(0, None), (5, None)], (3, None), ""),  # a checkpoint older than the last line
        ([(0, 0)], (0, 0), ""),  # nothing was lost
        ([], (0, 0), ""),
    ],
)
def test_a_resume_that_begins_anew_is_a_warning(
    tmp_path: Path,
    before: list[tuple[int, float | None]],
    after: tuple[int, float | None],
    evidence: str,
) -> None:
    path = tmp_path / "events.jsonl"
    with EventWriter(path) as events:
        events.write("start", host="here")
        for number, epoch in before:
            kept = at(number, epoch)
            events.write("step", **kept.data)
    earlier = read_reach(path, path.stat().st_size)
    assert (earlier is None) is (not before)
    tested = Event("eval", 2.0, {"step": 0, "epoch": 0, "split": "test", "values": {}})
    new = [Event("start", 1.0, {}), tested, at(*after), at(after[0] + 50, after[1])]
    verdict = health(add_events(History(before=earlier), new), CALM, Limits())
    if not evidence:
        assert verdict.status == "ok", verdict
        return
    text = f"resumed, but {evidence}: no checkpoint was loaded"
    assert verdict == Health("warn", "resume", text)
    ended = add_events(History(before=earlier), [*new, Event("end", 3.0, {"ok": True})])
    assert health(ended, CALM, Limits()) == verdict


def test_an_ended_job_has_not_stalled() -> None:
    events = [step(1), Event("end", 2.0, {"ok": True})]
    assert judge(events, Facts(running=9000, silent=9000)).status == "ok"


def test_the_last_verdict_is_read_back(tmp_path: Path) -> None:
    job = JobPaths(tmp_path)
    assert read_health(job) is None
    records = [{"v": 1, "t": 1, "status": s, "what": "x", "evidence": "y"} for s in ("ok", "bad")]
    job.health.write_text("".join(json.dumps(record) + "\n" for record in records))
    assert read_health(job) == Health("bad", "x", "y")
