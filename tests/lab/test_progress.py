"""How events fold into progress: live curves, resumed runs, time to the end."""

from __future__ import annotations

import math
import os
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitlab.contract.events import Event, EventWriter
from vitlab.contract.job import Spec
from vitlab.contract.paths import JobPaths
from vitlab.jobs.logs import tail
from vitlab.jobs.store import submit
from vitlab.lab.figures.curves import curves
from vitlab.lab.lab import Lab, open_lab
from vitlab.lab.progress import (
    BUCKET,
    KEEP,
    NAMES,
    RECENT,
    Progress,
    ProgressReader,
    Sample,
    fold,
    kept_when_thinned,
    read_end,
)
from vitlab.tui.watch import watcher
from vitlab.tui.watch.watcher import Track

NAME = "val/r2/log_g"


def folded(*events: Event) -> Progress:
    return fold(Progress(), events)


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
    curve = progress.curve("val/r2/log_g")
    assert [sample.step for sample in curve] == [10, 20, 30, 40]
    assert [sample.value for sample in curve] == [0.1, 0.2, 0.3, 0.4]
    # the 47 seconds between the two processes are no run time
    assert [sample.seconds for sample in curve] == [1.0, 2.0, 4.0, 5.0]


def test_the_test_split_is_no_point_of_the_live_curve() -> None:
    test = Event("eval", 5.0, {"step": 40, "split": "test", "values": {"test/r2/log_g": 0.5}})
    progress = folded(evaluation(40, 4.0, 0.4), test)
    assert len(progress.curve("val/r2/log_g")) == 1
    assert progress.values["test/r2/log_g"] == 0.5


def value(step: int, number: float | None) -> Event:
    return Event("eval", 0.0, {"step": step, "values": {"val/r2/log_g": number}})


def test_a_test_that_counts_its_own_epochs_from_0_is_no_step_back() -> None:
    step = Event("step", 1.0, {"step": 19, "epoch": 4.0, "values": {}})
    test = Event("eval", 2.0, {"step": 0, "epoch": 0.0, "split": "test", "values": {"a": 1.0}})
    progress = fold(Progress(), [step, test])
    assert (progress.step, progress.epoch) == (19, 4.0)


def test_a_long_run_keeps_its_extremes_and_its_gaps_in_few_samples() -> None:
    wild: dict[int, float | None] = {7_777: 9.0, 12_345: -9.0, 15_000: None}
    curve = folded(*(value(i, wild.get(i, i / 20_000)) for i in range(20_000))).curve(NAME)
    assert len(curve) <= KEEP
    assert {
        Sample(0, None, None, 0.0),
        Sample(7_777, None, None, 9.0),
        Sample(12_345, None, None, -9.0),
        Sample(15_000, None, None, None),
    } <= set(curve)
    assert list(curve) == sorted(curve, key=lambda sample: sample.step)
    assert [sample.step for sample in curve.newest(3)] == [19_997, 19_998, 19_999]


@given(st.lists(st.floats(allow_infinity=False), min_size=200, max_size=400))
def test_thinning_keeps_the_ends_the_extremes_and_a_gap_of_each_bucket(values: list[float]) -> None:
    kept = kept_when_thinned(values)
    assert kept == sorted(set(kept))
    assert {0, len(values) - 1} <= set(kept)
    finite = [value for value in values if not math.isnan(value)]
    if finite:
        left = [values[i] for i in kept if not math.isnan(values[i])]
        assert (min(left), max(left)) == (min(finite), max(finite))
    for start in range(0, len(values) - RECENT - BUCKET, BUCKET):
        bucket = range(start, start + BUCKET)
        if any(math.isnan(values[i]) for i in bucket):
            assert any(math.isnan(values[i]) for i in bucket if i in set(kept))


def test_samples_are_the_same_however_the_events_come(tmp_path: Path) -> None:
    events = [value(i, None if i % 500 == 7 else (i * 7919 % 101) / 100) for i in range(9_000)]
    at_once = fold(Progress(), events)
    bit_by_bit = Progress()
    for start in range(0, len(events), 37):
        bit_by_bit = fold(bit_by_bit, events[start : start + 37])
    assert list(at_once.curve(NAME)) == list(bit_by_bit.curve(NAME))


def test_what_is_no_number_is_a_gap(lab: Lab) -> None:
    job = submit(
        lab.paths,
        Spec("1.0", "main", "demo", "vit", {}, "A-20260101-x-01", "roadmaps/plan_roadmap.md"),
    )
    texts = ("0.5", '"wide"', "9" * 400, "1e999", "NaN", "0.25")
    lines = [
        f'{{"v": 1, "t": {t}, "kind": "step", "step": {t}, "values": {{"{NAME}": {text}}}}}\n'
        for t, text in enumerate(texts, 1)
    ]
    job.events.write_text("".join(lines), encoding="utf-8")
    progress = lab.progress(job)
    assert [one.value for one in progress.curve(NAME)] == [0.5, None, None, None, None, 0.25]
    assert progress.values == {NAME: 0.25}


def test_screen_and_command_see_the_same_samples(lab: Lab) -> None:
    job = submit(
        lab.paths,
        Spec("1.0", "main", "demo", "vit", {}, "A-20260101-x-01", "roadmaps/plan_roadmap.md"),
    )
    with EventWriter(job.events) as writer:
        writer.write("start", host="here")
        for step in range(3_000):
            writer.write("eval", step=step, split="val", values={NAME: (step * 7919 % 101) / 100})
    command = curves(open_lab(lab.paths.root), [job.folder], NAME).series[0]
    track = Track("1.0", NAME, (1, 2, 3), progress=lab.progress(job))
    screen = watcher.curves(NAME, (NAME,), [track], ()).series[0]
    assert screen.y == command.y
    assert len(screen.y) < 3_000


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


def test_the_events_of_another_job_are_none(tmp_path: Path) -> None:
    """By what its last start names; a spec that cannot be read tells nothing."""
    job, reader = JobPaths(tmp_path), ProgressReader(JobPaths(tmp_path))
    spec = Spec("1.0", "one", "full", "mlp", {}, "E-1", "r.md")
    with EventWriter(job.events) as writer:
        writer.write("start", spec_hash="another")
        writer.write("step", step=3)
        assert reader.poll().step == 3
        job.spec.write_bytes(spec.to_json())
        other = ProgressReader(job)
        assert other.poll() == Progress(problem="events.jsonl is of another job")
        writer.write("start", spec_hash=spec.hash, resumed_from=3)
        assert (other.poll().step, other.poll().problem) == (3, "")
        job.spec.write_bytes(replace(spec, submitted=2.5).to_json())
        program = ProgressReader(job)
        for mark, problem in (("submitted 1.5", "events.jsonl is of another job"),
                              ("submitted 2.5", ""), ("", "")):  # fmt: skip
            writer.write("start", job=mark)
            assert program.poll().problem == problem


def test_a_long_file_is_read_to_its_end_over_whatever_stands_between(tmp_path: Path) -> None:
    job = JobPaths(tmp_path)
    line = '{"v": 1, "t": %d, "kind": "step", "step": %d, "values": {"train/loss": 1}}\n'
    with job.events.open("w") as file:
        file.write(line % (1, 1))
        file.write('{"v": 1, "t": 1, "kind": "later", "text": "' + "x" * (18 << 20) + '"}\n')
        file.write(("#" * (1 << 16) + "\n") * 300)  # 19 MiB
        file.write(line % (2, 2))
    progress = ProgressReader(job).poll()
    assert (progress.step, progress.last, progress.problem) == (2, 2.0, "")


def test_a_file_without_an_end_is_given_up_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = JobPaths(tmp_path)
    with EventWriter(job.events) as writer:
        writer.write("step", step=3)
    os.truncate(job.events, 1 << 40)
    monkeypatch.setattr(tail, "BARREN", 1 << 25)
    reader = ProgressReader(job)
    for _ in range(2):
        progress = reader.poll()
        assert progress.step == 3
        assert progress.problem.startswith("events.jsonl has 32 MiB without an event")
    job.events.unlink()
    os.mkfifo(job.events)
    assert reader.poll().problem == "events.jsonl is a pipe (FIFO)"
    assert read_end(job).problem == "events.jsonl is a pipe (FIFO)"


def test_names_without_an_end_are_given_up_and_named(tmp_path: Path) -> None:
    job = JobPaths(tmp_path)
    with EventWriter(job.events) as writer:
        for step in range(NAMES + 2):
            writer.write("step", step=step, values={f"train/{step}": 1.0, "train/loss": step})
    reader = ProgressReader(job)
    for _ in range(2):
        progress = reader.poll()
        assert len(progress.values) == len(progress.curves) == NAMES
        assert progress.values["train/loss"] == NAMES + 1
        name = f"train/{NAMES - 1}"
        assert (
            progress.problem == f"events.jsonl names more than {NAMES} values; {name} is not read"
        )


@pytest.mark.parametrize(("first", "left"), [(0, 6), (1, 7)])
def test_the_time_left_by_the_epochs_a_command_declares(first: int, left: int) -> None:
    """Counted from 0, the last of 10 epochs is the 9th."""
    events = [Event("start", 100.0, {})]
    events += [
        Event("eval", 100.0 + 5 * k, {"step": 7 * k, "epoch": first + k, "values": {}})
        for k in range(3 if first else 4)
    ]
    progress = folded(*events)
    assert progress.eta(progress.last, 10) == pytest.approx(5 * left)
    assert progress.eta(progress.last) is None


@pytest.mark.parametrize("first", [0, 1])
def test_the_time_left_of_a_run_started_by_hand_counts_from_its_start(first: int) -> None:
    """Adopted after 4 of 10 epochs of 50 s, when all its lines are read at once."""
    start = Event("start", 100.0, {"by_hand": True})
    epochs = [
        Event("eval", 300.0, {"step": 7 * k, "epoch": first + k, "values": {}}) for k in range(4)
    ]
    assert folded(start, *epochs).eta(300.0, 10) == pytest.approx(6 * 50)
    steps = [Event("step", 300.0, {"step": k, "of": 100, "values": {}}) for k in (10, 20, 40)]
    assert folded(start, *steps).eta(310.0) == pytest.approx(60 * 5 - 10)


def test_events_folded_at_once_are_those_folded_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(31)
    for _ in range(200):
        events = [_any_event(rng) for _ in range(rng.randrange(12))]
        one_by_one = Progress()
        for event in events:
            one_by_one = fold(one_by_one, [event])
        assert repr(_fields(fold(Progress(), events))) == repr(_fields(one_by_one))
    made, begun = list[object](), Progress()
    monkeypatch.setattr("vitlab.lab.progress.Progress", lambda **of: made.append(of))
    fold(begun, [Event("log", float(at), {}) for at in range(1, 1000)])
    assert len(made) == 1  # not one for each of a thousand events


def _any_event(rng: random.Random) -> Event:
    kind = rng.choice(("start", "step", "eval", "eval", "log"))
    data = {
        "step": rng.randrange(50),
        "values": {name: rng.choice((None, rng.random())) for name in rng.sample("abc", 2)},
        "epoch": rng.choice((0, 1, 2.5, None, "x")),
        "of": rng.choice((100, None, "9")),
        "split": rng.choice(("test", "val")),
        "by_hand": rng.choice((True, False)),
        "resumed_from": rng.choice(("", "last.pt")),
    }
    return Event(kind, rng.choice((0.0, 100 * rng.random())), data)


def _fields(progress: Progress) -> dict[str, object]:
    curves = {name: list(samples) for name, samples in progress.curves.items()}
    return {**vars(progress), "curves": curves}
