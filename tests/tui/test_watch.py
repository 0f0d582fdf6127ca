"""What the watcher reads, and when it speaks."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from textual.message import Message

from tests.tui.fakes import FakeLab, job, usual_jobs
from tests.tui.real import RealLab
from tests.waiting import DEADLINE
from vitlab.contract.events import Event, EventWriter
from vitlab.contract.job import Done, Queued, Running, Spec
from vitlab.contract.paths import UsageError
from vitlab.jobs.store import submit
from vitlab.lab.figures.curves import curves as lab_curves
from vitlab.lab.live.snapshot import read_snapshot
from vitlab.lab.progress import Progress, fold
from vitlab.lab.writeback import status_sync
from vitlab.tui.watch.messages import CurvesUpdated, LabUpdated, LogUpdated, ReadFailed
from vitlab.tui.watch.reader import LabReader
from vitlab.tui.watch.watcher import (
    Track,
    Watcher,
    charted_jobs,
    curves,
    default_metric,
    newest_jobs,
)


def track(*events: Event, label: str = "1.0 Run 1") -> Track:
    return Track(label, "test/r2/log_g", (1, 2, 3), progress=fold(Progress(), events))


def value(step: int, number: float | None, epoch: float | None = None) -> Event:
    data = {"step": step, "values": {"val/r2/log_g": number}}
    return Event("eval", 0.0, data if epoch is None else {**data, "epoch": epoch})


def test_curves_run_by_epoch_only_when_every_job_counts_them() -> None:
    with_epochs = track(value(10, 0.1, 1.0), value(20, None, 2.0))
    without = track(value(10, 0.3))
    stepwise = track(value(10, 0.1, 0.0), value(20, 0.2, 0.0))
    name = "val/r2/log_g"
    alone = curves(name, (name,), [with_epochs], ())
    assert (alone.x_label, alone.series[0].x, alone.series[0].y) == (
        "epoch",
        [1.0, 2.0],
        [0.1, None],
    )
    both = curves(name, (name,), [with_epochs, without], ())
    assert (both.x_label, both.series[0].x) == ("step", [10, 20])
    assert curves(name, (name,), [stepwise], ()).x_label == "step"


def test_the_value_shown_first_is_the_headline_on_the_validation_split() -> None:
    assert default_metric(["train/loss", "val/r2/log_g"], [track()]) == "val/r2/log_g"
    assert default_metric(["test/r2/log_g"], [track()]) == "test/r2/log_g"
    assert default_metric(["train/loss", "val/loss"], [track()]) == "val/loss"
    assert default_metric([], []) == "val/r2/log_g"


def test_the_newest_of_the_selected_mvp_are_charted() -> None:
    jobs = list(usual_jobs())
    running = [one for one in jobs if isinstance(one.state, Running)]
    assert newest_jobs(jobs) == running
    assert charted_jobs(jobs, running[1].paths) == running
    assert charted_jobs(jobs, jobs[1].paths) == [*running, jobs[1]]
    assert charted_jobs(jobs, jobs[0].paths) == [jobs[0]]  # of another MVP
    assert charted_jobs(jobs, None) == []


def test_when_nothing_runs_the_last_ended_ones_are() -> None:
    ended = [job(f"2025122{i}-x", "r", Done(0, 1, "ok", 0), step=5) for i in range(7)]
    queued = job("20251230-x", "r", Queued(0))
    assert newest_jobs([*ended, queued]) == ended[-4:]
    assert charted_jobs([*ended, queued], ended[6].paths) == ended[-4:]


def test_beside_a_selected_job_stand_the_newest_of_its_mvp_of_all_kinds() -> None:
    ended = [job(f"2025122{i}-x", "r", Done(0, 1, "ok", 0), step=5) for i in range(6)]
    for one, recipe in zip(ended, ("ridge", "vit", "ridge", "vit", "ridge", "ridge"), strict=True):
        one.spec = replace(one.spec, recipe=recipe)
    assert charted_jobs(cast(Any, ended), ended[3].paths) == ended[2:]
    assert charted_jobs(cast(Any, ended), ended[1].paths) == [*ended[2:], ended[1]]


class Ear:
    """Collects messages; tells when one of a kind has come."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self._came = threading.Condition()

    def __call__(self, message: Message) -> None:
        with self._came:
            self.heard.append(message)
            self._came.notify_all()

    def wait(self, kind: type[Message], count: int = 1) -> list[Any]:
        with self._came:
            assert self._came.wait_for(lambda: len(self._of(kind)) >= count, timeout=DEADLINE)
            return self._of(kind)

    def _of(self, kind: type[Message]) -> list[Message]:
        return [message for message in self.heard if isinstance(message, kind)]


def watching(lab: Any) -> tuple[Watcher, Ear, threading.Thread]:
    ear = Ear()
    watch = Watcher(lab, lab.roadmap, ear)
    lab.main_thread = threading.get_ident()
    thread = threading.Thread(target=watch.run)
    thread.start()
    return watch, ear, thread


def test_the_watcher_posts_the_lab_its_curves_and_the_selected_log() -> None:
    lab = FakeLab()
    watch, ear, thread = watching(lab)
    try:
        assert ear.wait(LabUpdated)[0].view is lab.view
        assert not ear.wait(CurvesUpdated)[0].series  # nothing is selected
        watch.follow_job(lab.view.jobs[2].paths)
        seen = ear.wait(CurvesUpdated, 2)[1]
        assert seen.metric == "val/r2/log_g"
        assert seen.metrics == ("train/loss", "val/r2/log_g")
        assert [series.name for series in seen.series] == ["1.0 Run 1", "1.0 Run 2"]
        assert seen.series[0].color != seen.series[1].color
        log = ear.wait(LogUpdated)[0]
        assert log.fresh
        assert len(log.lines) == 40
        watch.show_metric("train/loss")
        ear.wait(CurvesUpdated, 3)
        assert ear.wait(CurvesUpdated)[-1].metric == "train/loss"
    finally:
        watch.stop()
        thread.join(DEADLINE)
    assert not thread.is_alive()


def test_a_lab_that_cannot_be_read_is_said_once_and_tried_again() -> None:
    class Broken(FakeLab):
        tries = 0

        def read(self, _: Path | None, **__: object) -> Any:
            self.tries += 1
            if self.tries < 4:
                raise UsageError("roadmaps/x.md:3: no MVP table")
            return super().read(_)

    lab = Broken()
    watch, ear, thread = watching(lab)
    try:
        assert [trouble.text for trouble in ear.wait(ReadFailed)] == [
            "roadmaps/x.md:3: no MVP table"
        ]
        watch.pace.ask()
        watch._wake.set()
        ear.wait(LabUpdated)
        assert len(ear.wait(ReadFailed)) == 1
    finally:
        watch.stop()
        thread.join(DEADLINE)


@pytest.mark.parametrize("part", ["levels", "summaries", "changed", "forget_all_but"])
@pytest.mark.parametrize("error", [UsageError(".vitlab/ceilings: a link"), OSError(5, "disk")])
def test_what_a_reader_cannot_read_is_told_once_and_ends_nothing(
    part: str, error: Exception, real_lab: RealLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    spec = Spec("1.0", "main", "demo", "ridge", {}, "A-20260101-x-01", "roadmaps/sleep_roadmap.md")
    job = submit(real_lab.paths, spec)
    with EventWriter(job.events) as writer:
        writer.write("eval", step=1, split="val", values={"val/r2/log_g": 0.5})
    monkeypatch.setattr(LabReader, part, refuse)
    posted = list[Message]()
    watch = Watcher(real_lab.lab, None, posted.append)

    def rest(*_: object) -> None:
        rests.append(None)
        if len(rests) == 4:
            watch.stop()
        if part != "summaries":  # they are read where nothing else is due
            watch.pace.ask()
        watch.follow_job(job)

    rests = list[None]()
    watch.follow_job(job)
    monkeypatch.setattr(watch._wake, "wait", rest)
    watch.run()
    assert len(rests) == 4
    assert [one.text for one in posted if isinstance(one, ReadFailed)] == [str(error)]
    assert any(isinstance(one, LogUpdated) for one in posted)
    drawn = [one for one in posted if isinstance(one, CurvesUpdated) and one.series]
    assert bool(drawn) == (part != "forget_all_but")


def test_the_watcher_posts_the_samples_that_the_command_draws(real_lab: RealLab) -> None:
    name = "val/r2/log_g"
    spec = Spec("1.0", "main", "demo", "ridge", {}, "A-20260101-x-01", "roadmaps/sleep_roadmap.md")
    job = submit(real_lab.paths, spec)
    with EventWriter(job.events) as writer:
        writer.write("start", host="here")
        for step in range(3_000):
            writer.write("eval", step=step, split="val", values={name: (step * 7919 % 101) / 100})
    command = lab_curves(real_lab.lab, [job.folder], name).series[0]
    lab, posted = real_lab.lab, list[Any]()
    watch = Watcher(lab, None, posted.append)
    watch.follow_job(job)
    watch._read_curves(LabReader(lab), read_snapshot(lab, None))
    message = next(one for one in posted if isinstance(one, CurvesUpdated))
    assert message.series[0].y == command.y
    assert len(command.y) < 3_000
    assert list(lab.progress(job).curve(name)) == list(real_lab.lab.progress(job).curve(name))


def test_a_lab_that_one_may_only_read_is_shown_and_that_is_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "roadmap.md")

    lab = FakeLab()
    watch, ear, thread = watching(lab)
    try:
        ear.wait(LabUpdated)
        monkeypatch.setattr(status_sync, "sync_status", refuse)
        before = len(ear.wait(LabUpdated))
        watch.pace.ask()
        watch._wake.set()
        assert "Permission denied" in ear.wait(ReadFailed)[0].text
        ear.wait(LabUpdated, before + 1)
        assert len(ear.wait(ReadFailed)) == 1
    finally:
        watch.stop()
        thread.join(DEADLINE)


def test_a_bar_that_moves_is_posted(real_lab: RealLab) -> None:
    spec = Spec("1.0", "main", "demo", "ridge", {}, "A-20260101-x-01", "roadmaps/sleep_roadmap.md")
    job = submit(real_lab.paths, spec)
    posted = list[Any]()
    watch = Watcher(real_lab.lab, None, posted.append)
    watch.follow_job(job)
    for text in (b"begun\n\r10%", b"", b"\r20%", b"\n"):
        with job.log.open("ab") as file:
            file.write(text)
        watch._read_log()
    assert [(one.lines, one.unfinished) for one in posted] == [
        (("begun",), "10%"), ((), "20%"), (("20%",), ""),
    ]  # fmt: skip
