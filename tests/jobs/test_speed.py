"""A job that has become slow: told once it has been for long, with the likely cause."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitlab.contract.events import Event
from vitlab.contract.value import SPEED, WAIT
from vitlab.jobs.process.health import Facts, Health, History, Limits, add_events, health
from vitlab.jobs.process.speed import KEPT, Speed

CALM = Facts(running=500, silent=1)


def report(t: float, rate: float, wait: float | None = None) -> Event:
    values = {SPEED: rate} | ({} if wait is None else {WAIT: wait})
    return Event("step", t, {"step": int(t) + 1, "values": values})


def reports(start: int, stop: int, rate: float, wait: float | None = None) -> Iterator[Event]:
    return (report(float(t), rate, wait) for t in range(start, stop, 5))


def judge(*events: Event, facts: Facts = CALM) -> Health:
    return health(add_events(History(), events), facts, Limits())


def test_half_the_median_for_long_is_told() -> None:
    fast = list(reports(0, 300, 900.0))
    assert judge(*fast).status == "ok"
    for rate, what in ((440.0, "slow"), (460.0, "")):
        assert judge(*fast, *reports(300, 325, rate)).what == what
    assert judge(*fast, *reports(300, 320, 90.0)).status == "ok"  # four reports
    assert judge(*fast, *(report(300 + k / 4, 90.0) for k in range(40))).status == "ok"  # 10 s
    found = judge(*fast, *reports(300, 330, 90.0))
    assert found == Health("warn", "slow", "only 90 samples/s, its median is 900: cause unknown")
    assert judge(*fast, *reports(300, 330, 90.0), *reports(330, 336, 900.0)).status == "ok"


def test_never_in_the_first_minute() -> None:
    warming = [*reports(0, 30, 900.0), *reports(30, 60, 100.0)]
    assert judge(*warming).status == "ok"
    assert judge(*warming, *reports(60, 200, 100.0)).status == "ok"  # its usual speed
    assert judge(*reports(0, 60, 900.0), *reports(60, 85, 100.0)).what == "slow"  # hot by now


def test_never_around_validations_and_checkpoints() -> None:
    events = list(reports(0, 300, 900.0))
    for t in range(300, 400, 5):
        kind = "eval" if t % 2 else "checkpoint"
        events += [Event(kind, float(t), {"step": t}), report(t + 4.0, 90.0)]
    assert judge(*events).status == "ok"


@pytest.mark.parametrize(
    ("wait", "around", "cause"),
    [
        (0.72, "gpu0 is also used by pid 7", "it waits for data 72% of the time"),
        (0.1, "gpu0 is also used by pid 7", "gpu0 is also used by pid 7"),
        (None, "gpu0 is also used by pid 7", "gpu0 is also used by pid 7"),
        (0.1, "", "cause unknown"),
    ],
)
def test_the_likely_cause(wait: float | None, around: str, cause: str) -> None:
    events = [*reports(0, 300, 900.0), *reports(300, 330, 90.0, wait)]
    facts = Facts(running=500, silent=1, slowed_by=around)
    assert judge(*events, facts=facts).evidence.endswith(f": {cause}")


@settings(deadline=None, max_examples=100)
@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=400))
def test_what_is_kept_is_small_and_spans_the_run(rates: list[float]) -> None:
    speed = Speed()
    for k, rate in enumerate(rates):
        speed = speed.after(report(100.0 * k, rate), 0.5)
    assert len(speed.rates) <= KEPT
    assert speed.rates == tuple(rates[:: speed.every])
    assert len(speed.low) <= KEPT
