"""What a training reports of its performance: over time, not over steps, and seldom."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from vitlab.contract.events import EventWriter, read_events
from vitlab.contract.value import MEMORY, MFU, SPEED, WAIT
from vitlab.ml.progress import Step
from vitlab.recipes.context import PERF_INTERVAL, Reporter, average


def test_speed_and_waiting_are_means_over_time() -> None:
    """Nine quick steps of 10 spectra in 0.1 s, one that waited 0.9 of its second."""
    steps = [{SPEED: 100.0, WAIT: 0.0, "train/loss": 2.0}] * 9
    steps += [{SPEED: 10.0, WAIT: 0.9, "train/loss": 1.0}]
    found = average(steps)
    assert found[SPEED] == pytest.approx(100 / 1.9)
    assert found[WAIT] == pytest.approx(0.9 / 1.9)
    assert found["train/loss"] == pytest.approx(1.9)
    assert average([{SPEED: 0.0, WAIT: 0.5}]) == {SPEED: 0.0, WAIT: 0.5}


def test_waiting_memory_and_use_come_every_few_seconds_and_at_the_end(tmp_path: Path) -> None:
    now, count = [0.0], 48
    asked: list[float] = []

    def steps() -> Iterator[Step]:
        for k in range(1, count + 1):
            now[0] += 0.25
            yield Step(k, count, 0, 1.0, 1e-3, 1000.0, 0.25)

    def perf(rate: float) -> dict[str, float]:
        asked.append(rate)
        return {MEMORY: 3.5, MFU: rate / 1e4}

    with EventWriter(tmp_path / "events.jsonl") as writer:
        Reporter(writer, clock=lambda: now[0]).follow(steps(), perf=perf)
    events = read_events(tmp_path / "events.jsonl")[0]
    whole = [event for event in events if WAIT in event.values]
    assert [event.step for event in whole] == [21, 41, count]
    assert len(asked) == len(whole) < len(events) / 5
    for event in whole:
        assert event.values[WAIT] == pytest.approx(0.25)
        assert event.values[SPEED] == pytest.approx(1000)
        assert event.values[MEMORY] == 3.5
        assert event.values[MFU] == pytest.approx(0.1)
    assert all(SPEED in event.values for event in events)
    assert all(math.isfinite(rate) for rate in asked)
    assert PERF_INTERVAL == 5
