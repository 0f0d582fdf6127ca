"""While some jobs run, what thousands of ended ones show is neither read nor gathered again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.tui.conftest import Open
from tests.tui.fakes import job, usual_view
from tests.tui.real import RealLab
from tests.tui.test_idle import ended
from vitlab.contract.events import EventWriter
from vitlab.contract.job import Done, Queued, Running
from vitlab.contract.paths import JobPaths
from vitlab.contract.reading import Search
from vitlab.jobs import store
from vitlab.jobs.files import exit_record, take_lock, write_json
from vitlab.lab.live import judged, snapshot
from vitlab.lab.live.snapshot import Kept, roadmap_summaries
from vitlab.lab.results.ranking import verdicts_of
from vitlab.tui import jobs_index, text
from vitlab.tui.jobs_index import index_of
from vitlab.tui.screens import jobs as jobs_screen
from vitlab.tui.watch.messages import CurvesUpdated, LabUpdated
from vitlab.tui.watch.pace import LOOK, SHARE, Change, Pace
from vitlab.tui.watch.reader import LabReader
from vitlab.tui.watch.watcher import Watcher
from vitlab.tui.widgets.curves_chart import LiveChart


class Lab:
    """Ended jobs of long ago, and one that runs."""

    def __init__(self, real: RealLab) -> None:
        self.real, self.lab = real, real.lab
        self.ended = [ended(real, number) for number in range(6)]
        self.runs = ended(real, 99)
        self.runs.exit.unlink()
        self.runs.events.unlink()
        self.lock = take_lock(self.runs.lock)
        assert self.lock is not None
        write_json(self.runs.started, {"started": 1e9, "pid": os.getpid()})
        self.grow(1)

    def grow(self, step: int) -> None:
        with EventWriter(self.runs.events) as writer:
            writer.write("eval", step=step, split="val", values={"val/r2/log_g": step / 50})

    def end(self) -> None:
        write_json(self.runs.exit, exit_record("ok", "", 1.0))
        self.close()

    def close(self) -> None:
        if self.lock is not None:
            os.close(self.lock)
        self.lock = None


@pytest.fixture
def busy(real_lab: RealLab) -> Iterator[Lab]:
    lab = Lab(real_lab)
    yield lab
    lab.close()


def test_while_jobs_run_only_their_folders_are_read(
    busy: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = LabReader(busy.lab)
    for _ in range(3):
        view = reader.read(busy.real.roadmap)
    assert reader.changed(view, everything=False) is Change.NONE
    read = list[JobPaths]()

    def noted(paths: JobPaths) -> store.Job | None:
        read.append(paths)
        return store.read_job(paths)

    monkeypatch.setattr(snapshot, "read_job", noted)
    monkeypatch.setattr(snapshot, "all_jobs", None)  # not asked for
    for step in (3, 4):
        busy.grow(step)
        now = reader.read_running(view)
        assert now is not None
        assert [one.step for one in now.jobs if isinstance(one.state, Running)] == [step]
        rest = zip(now.jobs, view.jobs, strict=True)
        assert all(a is b for a, b in rest if not isinstance(b.state, Running))
    assert set(read) == {busy.runs}
    assert reader.changed(view, everything=False) is Change.NONE  # events are no new name
    write_json(busy.runs.health, {"status": "warn", "what": "slow"})
    assert reader.changed(view, everything=False) is Change.RUNNING
    busy.end()
    assert reader.changed(view, everything=False) is Change.RUNNING
    assert reader.read_running(view) is None  # everything is to be read
    ended(busy.real, 100)
    assert reader.changed(view, everything=False) is Change.MORE


def test_the_watcher_reads_the_whole_lab_only_when_more_than_what_runs_has_changed(
    busy: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, posted, whole = [0.0], list[Any](), list[Any]()
    watcher = Watcher(busy.lab, busy.real.roadmap, posted.append)
    watcher.pace = Pace(lambda: clock[0])
    reader = LabReader(busy.lab)
    read = LabReader.read

    def counted(*of: Any) -> Any:
        whole.append(of)
        return read(*of)

    monkeypatch.setattr(LabReader, "read", counted)
    for _ in range(3):
        clock[0] += 3600.0
        watcher._look(reader)
    assert watcher.pace.busy
    watcher.pace.end(10.0)  # a large lab, which is not to be read again before long
    whole.clear()
    busy.grow(7)
    for _ in range(8):
        clock[0] += LOOK / 4
        watcher._look(reader)
    steps = [[one.step for one in update.view.jobs][-1] for update in posted
             if isinstance(update, LabUpdated)]  # fmt: skip
    assert (steps[-2:], whole) == ([7, 7], [])
    busy.end()
    watcher._look(reader)
    assert len(whole) == 1  # at once, and that it ended is shown
    assert isinstance(posted_view(posted).jobs[-1].state, Done)


def posted_view(posted: list[Any]) -> Any:
    return next(one.view for one in reversed(posted) if isinstance(one, LabUpdated))


def test_curves_that_grow_are_posted_once_a_second_and_those_of_another_job_at_once(
    busy: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, posted = [0.0], list[Any]()
    monkeypatch.setattr("vitlab.tui.watch.watcher.time.monotonic", lambda: clock[0])
    watcher = Watcher(busy.lab, busy.real.roadmap, posted.append)
    reader = LabReader(busy.lab)

    steps = count(2)

    def posts(looks: int) -> int:
        """How often curves are posted within a second, in which they grow before each look."""
        posted.clear()
        for _ in range(looks):
            busy.grow(next(steps))
            clock[0] += LOOK / looks
            watcher._look(reader)
        return sum(isinstance(one, CurvesUpdated) for one in posted)

    watcher._look(reader)
    watcher.follow_job(busy.runs)
    posts(1)
    watcher.pace.end(10.0)
    assert posts(10) == 1
    watcher.follow_job(busy.ended[0])
    watcher._look(reader)
    assert isinstance(posted[-2], CurvesUpdated)  # before the log


def test_the_more_a_reading_takes_of_a_core_the_longer_is_the_pause() -> None:
    time = [0.0]
    pace = Pace(lambda: time[0])
    assert pace.begin()
    pace.end(0.2)
    seen = []
    for _ in range(int(SHARE * 0.2 / LOOK)):
        assert not pace.begin()
        seen.append(pace.begin_running())
        pace.end_running()
        time[0] += LOOK
    assert (seen[1:], pace.begin()) == ([True] * (len(seen) - 1), True)
    pace.busy = False
    assert not pace.begin_running()


def test_roadmaps_are_judged_again_and_looked_for_in_jobs_only_where_that_is_new(
    busy: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, kept, asked, searched = busy.lab, Kept(), list[Any](), set[str]()
    entries = Search.entries

    def counted(*of: Any) -> Any:
        asked.append(of)
        return verdicts_of(*of)

    monkeypatch.setattr(judged, "verdicts_of", counted)

    def noted(search: Search, folder: Path) -> Any:
        searched.add(str(folder))
        return entries(search, folder)

    monkeypatch.setattr(Search, "entries", noted)
    other = busy.real.roadmap.with_name("other_roadmap.md")
    other.write_text(busy.real.roadmap.read_text(encoding="utf-8"), encoding="utf-8")
    first = roadmap_summaries(lab, busy.real.roadmap, kept)
    assert [line.running for line in first] == [0, 1]
    assert (len(asked), len(first)) == (2, 2)
    asked.clear()
    assert roadmap_summaries(lab, busy.real.roadmap, kept) == first
    assert asked == []
    assert not searched & {str(one.folder) for one in (*busy.ended, busy.runs)}
    busy.end()
    then = roadmap_summaries(lab, busy.real.roadmap, kept)
    assert [line.running for line in then] == [0, 0]
    assert asked
    assert other in {line.path for line in then}


def test_what_a_table_asks_of_every_ended_job_is_found_while_the_lab_is_read(busy: Lab) -> None:
    kept = Kept()
    for _ in range(2):
        view = snapshot.read_snapshot(busy.lab, busy.real.roadmap, kept=kept)
    ends = [job for job in view.jobs if isinstance(job.state, Done)]
    assert len(ends) == len(busy.ended)
    assert all("warnings" in vars(job) for job in ends)


def test_what_is_gathered_of_the_jobs_is_the_same_when_only_those_that_moved_are_put_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = [job(f"2025122{i}-x", f"r{i}", Done(0, 1, "ok", 0), step=5) for i in range(6)]
    many += [job("20251230-x", "s", Running(1.0, 1, "")), job("20251231-x", "t", Queued(0))]
    view = usual_view(jobs=tuple(many))
    asked = list[Any]()
    gathered = jobs_index._gathered

    def counted(of: Any) -> Any:
        asked.append(of)
        return gathered(of)

    monkeypatch.setattr(jobs_index, "_gathered", counted)
    index_of(view)
    best = text.best_jobs(view)
    for step in (6, 7):
        moved = [*view.jobs[:6], replaced(view.jobs[6], step=step), view.jobs[7]]
        view = usual_view(jobs=tuple(moved))
        assert index_of(view) == gathered(view)
        assert index_of(view).by_name[moved[6].paths.name] is moved[6]
        assert text.best_jobs(view).keys() == best.keys()
    assert len(asked) == 1
    for other in (Done(1.0, 2.0, "ok", 0), Running(2.0, 1, "")):
        view = usual_view(jobs=(*moved[:6], replaced(moved[6], state=other), moved[7]))
        assert index_of(view) == gathered(view)
    assert len(asked) == 3


def replaced(one: Any, **more: Any) -> Any:
    return type(one)(**{**vars(one), **more})


def test_what_only_grows_is_drawn_again_after_a_pause_as_long_as_drawing_takes() -> None:
    timers = list[float]()
    chart: Any = LiveChart("x")
    chart.set_timer = lambda seconds, _: timers.append(seconds)
    for took, grows in ((0.001, True), (0.02, True), (0.02, False)):
        chart._took, chart._waiting = took, False
        chart.redraw(now=False, grows=grows)
        chart.redraw(now=False, grows=grows)
    assert timers == [LiveChart.INTERVAL, LiveChart.SHARE * 0.02, LiveChart.INTERVAL]


async def test_in_the_jobs_screen_only_names_that_are_new_are_counted_and_measured(
    stage: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, numbers = list[Any](), jobs_screen._numbers

    def counted(jobs: Any) -> Any:
        asked.append(jobs)
        return numbers(jobs)

    monkeypatch.setattr(jobs_screen, "_numbers", counted)
    async with stage() as it:
        await it.press("2")
        screen: Any = it.app.screen
        view = screen.view
        running = next(one for one in view.jobs if isinstance(one.state, Running))
        asked.clear()
        for step in (71, 72):
            jobs = [replaced(one, step=step) if one is running else one for one in view.jobs]
            screen.show(usual_view(jobs=tuple(jobs)))
            assert str(step) in " ".join(map(str, screen.table.table().rows))
        assert asked == []
        screen.show(usual_view(jobs=view.jobs[1:]))
        assert len(asked) == 1
        assert len(screen.table.table().rows) == len(view.jobs) - 1
