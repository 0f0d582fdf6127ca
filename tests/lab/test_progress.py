"""How events fold into progress: live curves, resumed runs, time to the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from vitlab.contract.events import Event, EventWriter
from vitlab.contract.paths import JobPaths
from vitlab.lab.progress import Progress, ProgressReader, fold


def folded(*events: Event) -> Progress:
    progress = Progress()
    for event in events:
        progress = fold(progress, event)
    return progress


def evaluation(step: int, t: float, r2: float) -> Event:
    return Event("eval", t, {"step": step, "split": "val", "values": {"val/r2/log_g": r2}})


def test_the_latest_of_each_value_is_kept() -> None:
    progress = folded(
        Event("start", 100.0, {}),
        Event("step", 101.0, {"step": 1, "of": 10, "values": {"train/loss": 2.0}}),
        evaluation(1, 102.0, 0.1),
        Event("step", 103.0, {"step": 2, "of": 10, "values": {"train/loss": 1.0}}),
    )
    assert (progress.step, progress.of) == (2, 10)
    assert progress.values == {"train/loss": 1.0, "val/r2/log_g": 0.1}
    assert progress.eta(103.0) == pytest.approx(8 * 2)
    assert progress.eta(104.0) == pytest.approx(8 * 2 - 1)


def test_nothing_is_promised_before_the_second_step() -> None:
    assert folded(Event("start", 100.0, {})).eta(101.0) is None
    # A minute of binning before the first step says nothing of the steps.
    first = Event("step", 160.0, {"step": 1, "of": 300, "values": {}})
    assert folded(Event("start", 100.0, {}), first).eta(160.0) is None
    assert Progress().eta(0.0) is None


def test_a_resumed_run_is_one_curve_without_the_steps_it_repeats() -> None:
    progress = folded(
        Event("start", 1000.0, {}),
        evaluation(10, 1001.0, 0.1),
        evaluation(20, 1002.0, 0.2),
        evaluation(30, 1003.0, 0.9),
        Event("start", 1050.0, {"resumed_from": "checkpoints/last.pt"}),
        evaluation(30, 1051.0, 0.3),
        evaluation(40, 1052.0, 0.4),
    )
    assert [point.step for point in progress.points] == [10, 20, 30, 40]
    assert [point.values["val/r2/log_g"] for point in progress.points] == [0.1, 0.2, 0.3, 0.4]
    # the 47 seconds between the two processes are no run time
    assert [point.seconds for point in progress.points] == [1.0, 2.0, 4.0, 5.0]


def test_the_test_split_is_no_point_of_the_live_curve() -> None:
    test = Event("eval", 5.0, {"step": 40, "split": "test", "values": {"test/r2/log_g": 0.5}})
    progress = folded(evaluation(40, 4.0, 0.4), test)
    assert len(progress.points) == 1
    assert progress.values["test/r2/log_g"] == 0.5


def test_a_reader_takes_only_what_is_new(tmp_path: Path) -> None:
    reader = ProgressReader(JobPaths(tmp_path))
    assert reader.poll() == Progress()
    with EventWriter(tmp_path / "events.jsonl") as writer:
        writer.write("start", host="here")
        writer.write("step", step=3, of=9, values={"train/loss": float("nan")})
        assert reader.poll().step == 3
        assert reader.poll().values == {"train/loss": None}
        writer.write("step", step=4, of=9, values={})
        assert reader.poll().step == 4
