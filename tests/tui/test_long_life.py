"""A screen that is open for long keeps nothing but the rows of the jobs that have come."""

from __future__ import annotations

import gc
import json
import os
import shutil
import sys
import time
from collections import Counter
from typing import ClassVar

import pytest
from rich.text import Text
from textual.app import App, ComposeResult

from tests.tui.conftest import Open
from tests.tui.real import RealLab
from vitlab.contract.events import EventWriter
from vitlab.contract.job import Spec
from vitlab.jobs.files import exit_record, write_json
from vitlab.jobs.store import submit
from vitlab.tui.widgets.message_line import MOST as MOST_MESSAGES
from vitlab.tui.widgets.message_line import MessageLine
from vitlab.tui.widgets.table import Rows, StableTable

ROADMAP = "roadmaps/sleep_roadmap.md"
MOST = 80
"""Objects that an ended job may add: its row, what is shown of it, what is read once of it."""


async def test_messages_of_a_day_leave_one_line_and_the_last_of_them(
    stage: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[MessageLine] = []

    class Counted(MessageLine):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    monkeypatch.setattr("vitlab.tui.widgets.message_line.MessageLine", Counted)
    async with stage() as it:
        for number in range(3 * MOST_MESSAGES):
            it.app.notify(f"job {number} ended")
        await it.settle()
        (line,) = it.app.screen.query(MessageLine)
        assert f"job {3 * MOST_MESSAGES - 1} ended" in it.text()
        assert len(it.app.session.messages.all) == MOST_MESSAGES
        assert not it.app._notifications
        assert made == [line]


class Numbers(StableTable):
    COLUMNS: ClassVar = {"Name": 10, "Number": 10}


async def test_a_row_that_changes_leaves_nothing_as_it_was_before() -> None:
    class Shows(App[None]):
        def compose(self) -> ComposeResult:
            yield Numbers("numbers")

    app = Shows()
    async with app.run_test(size=(40, 12)) as pilot:
        table = app.query_one(Numbers)

        async def change(number: int) -> list[list[str]]:
            """What the terminal shows of the rows afterwards."""
            numbers = {"a": 0, "b": number, "c": 0}
            table.show_rows({name: (Text(name), Text(str(n))) for name, n in numbers.items()})
            await pilot.pause()
            strips = app.screen._compositor.render_strips()
            return ["".join(part.text for part in strip).split() for strip in strips[1:4]]

        for number in range(40):
            assert await change(number) == [["a", "0"], ["b", str(number)], ["c", "0"]]
        assert len(table._strips) <= 2 * table.row_count  # each marked by the cursor and not
        table.display = False
        await change(40)
        table.display = True
        await pilot.pause()
        assert (await change(40))[1] == ["b", "40"]


async def test_of_many_rows_those_in_sight_are_made() -> None:
    class Shows(App[None]):
        def compose(self) -> ComposeResult:
            yield Numbers("numbers")

    app, made = Shows(), set[int]()

    def row(number: int) -> tuple[Text, Text]:
        made.add(number)
        return Text(f"row 路 {number}"), Text("a number longer than its column")

    async with app.run_test(size=(40, 12)) as pilot:
        table = app.query_one(Numbers)
        table.show_rows(Rows({str(number): number for number in range(10_000)}, row))
        table.focus()
        await pilot.press("j", "G", "k")
        assert table.selected == "9998"
        assert made == {*range(11), *range(9989, 10_000)}
        strips = app.screen._compositor.render_strips()
        assert strips[10].text.startswith(" row 路 99…  a number longer ")  # the cursor's
        await pilot.click(Numbers, offset=(3, 4))
        assert table.selected == "9992"


@pytest.mark.parametrize("train", [None, [], {"batch": "x"}, {"batch": [1]}])
async def test_a_job_whose_settings_are_anything_is_shown(
    stage: Open, real_lab: RealLab, train: object
) -> None:
    spec = Spec("1.0", "odd", "demo", "vit", {"train": train}, "A-20260101-x-01", ROADMAP)
    job = submit(real_lab.paths, spec)
    with EventWriter(job.events) as writer:
        writer.write("eval", step=1, split="val", values={"val/r2/log_g": 0.5})
    write_json(job.exit, exit_record("ok", "", 1.0))
    async with stage(lab=real_lab.lab, roadmap=real_lab.roadmap) as it:
        await it.until(lambda: (view := it.app.session.view) and len(view.jobs) == 1)
        if train == []:  # nothing is taken from such a file: it belongs to no MVP
            await it.press("2")
            await it.until(lambda: "config.train that is not a mapping" in it.text())
            return
        tracks = it.app.watcher._tracks  # it goes on looking
        await it.until(lambda: job.name in tracks and tracks[job.name].curves)


async def test_an_ended_job_leaves_little_more_than_its_row(stage: Open, real_lab: RealLab) -> None:
    first = submit(
        real_lab.paths, Spec("1.0", "run 0", "demo", "ridge", {}, "A-20260101-x-01", ROADMAP)
    )
    with EventWriter(first.events) as writer:
        for step in range(50):
            writer.write("eval", step=step, split="val", values={"val/r2/log_g": step / 50})
    write_json(first.exit, exit_record("ok", "", 1.0))
    long_ago = time.time() - 1e5

    def come(first_number: int, end: int) -> None:
        for number in range(first_number, end):
            made = first.folder.with_name(f".tmp-{number}")
            shutil.copytree(first.folder, made)
            spec = json.loads((made / "spec.json").read_text())
            (made / "spec.json").write_text(json.dumps({**spec, "run": f"run {number}"}))
            ended = {**json.loads((made / "exit.json").read_text()), "ended": long_ago}
            (made / "exit.json").write_text(json.dumps(ended))
            folder = made.rename(first.folder.with_name(f"20260101-{number:06d}-run"))
            os.utime(folder, (long_ago, long_ago))

    async with stage(lab=real_lab.lab, roadmap=real_lab.roadmap) as it:

        async def objects(jobs: int) -> Counter[str]:
            await it.until(lambda: (view := it.app.session.view) and len(view.jobs) == jobs)
            await it.look(3)
            pause = sys.getswitchinterval()
            sys.setswitchinterval(5)  # a thread cannot resize a tuple that is held here meanwhile
            try:
                gc.collect()
                return Counter(type(one).__name__ for one in gc.get_objects())
            finally:
                sys.setswitchinterval(pause)

        come(1, 50)
        before = await objects(50)
        come(50, 150)
        after = await objects(150)
    grown = after - before
    assert sum(grown.values()) - sum((before - after).values()) < 100 * MOST, grown.most_common(12)
