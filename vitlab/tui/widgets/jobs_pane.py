"""The jobs: their table, newest first, the chosen one in a line, the machine's GPUs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.containers import Vertical
from textual.widgets import Static

from vitlab.contract.job import Done, Running
from vitlab.contract.value import score_text
from vitlab.tui.text import (
    SILENT,
    age,
    cell,
    change_of,
    clean,
    device_of,
    in_order,
    job_detail,
    job_words,
    last_r2,
    longest_label,
    set_titles,
    short_label,
    silence,
    since,
    steps_of,
    ticks,
    time_of,
    tone_style,
    trend_of,
)
from vitlab.tui.widgets.table import Row, StableTable

if TYPE_CHECKING:
    from vitlab.jobs.gpus import Device
    from vitlab.lab.live.snapshot import JobView

ASK = 2.0
"""Seconds between two readings of the GPUs."""
SELDOM = 60.0
"""The same where nothing happens, or there are none."""
OLD = 4.0
"""Seconds too late after which the numbers are shown as old: the driver hangs."""


class DeviceLine:
    """The GPUs as last read; they grow old where the driver hangs."""

    def __init__(self) -> None:
        self._devices: Sequence[Device] = ()
        self._at = 0.0
        self.wait = ASK
        """Seconds from one reading to the next."""

    def __bool__(self) -> bool:
        return bool(self._devices)

    def update(self, devices: Sequence[Device]) -> None:
        """Keep what was read; no GPUs after some means that the driver failed."""
        if devices or not self._devices:
            self._devices, self._at = devices, ticks()

    def __str__(self) -> str:
        """`gpu0 61% 23/80 GB 54C`; empty on a machine without any."""
        if not self._devices:
            return ""
        words = "  ".join(_words(device) for device in self._devices)
        old = since(self._at)
        return f"{words}  (read {age(old)} ago)" if old > self.wait + OLD else words


def _words(device: Device) -> str:
    used, total = device.memory_total - device.memory_free, device.memory_total
    parts = [clean(device.label)]
    if device.utilisation is not None:
        parts.append(f"{device.utilisation}%")
    if total:
        parts.append(f"{used / 1e9:.0f}/{total / 1e9:.0f} GB")
    if device.temperature is not None:
        parts.append(f"{device.temperature}C")
    return " ".join(parts)


class KeptRows:
    """Keeps the rows of ended jobs, which do not change."""

    def __init__(self, make: Callable[[JobView], Row]) -> None:
        self._make = make
        self._kept: dict[str, tuple[JobView, object, Row]] = {}

    def of(self, jobs: Iterable[JobView], look: object) -> dict[str, Row]:
        """Job's name -> its row; `look`: what else a row depends on, as width and theme."""
        rows: dict[str, Row] = {}
        kept: dict[str, tuple[JobView, object, Row]] = {}
        for job in jobs:
            name = job.paths.name
            before = self._kept.get(name)
            if before is None or before[1] != look or not _is_same(before[0], job):
                before = (job, look, self._make(job))
            kept[name] = before
            rows[name] = before[2]
        self._kept = kept
        return rows


def _is_same(before: JobView, now: JobView) -> bool:
    """Whether nothing was read anew, or changed since it ended; cheap: called for every job."""
    return before is now or (
        isinstance(now.state, Done)
        and before.state == now.state
        and before.progress is now.progress
        and (before.health, before.left) == (now.health, now.left)
        and (before.metrics is now.metrics and before.problem == now.problem)
    )


CHANGE = "R² (change)"
"""The column of a score and what the last evaluation changed of it."""


class JobTable(StableTable):
    """Every job of the roadmap."""

    COLUMNS: ClassVar = {"State": 10, "On": 4, "Progress": 9, "Time": 10, CHANGE: 17, "Job": 16}
    NARROW: ClassVar = {"State": 10, "On": 4, "Progress": 9, "Time": 10, CHANGE: 11, "Job": 12}
    DROPS: ClassVar = ("Time", "Progress", "On")

    def __init__(self, id: str) -> None:  # noqa: A002 - Textual's own word
        super().__init__(id)
        self._kept = KeptRows(self._row)
        self._room = 0
        self._jobs: tuple[JobView, ...] = ()

    def on_resize(self) -> None:
        self.show(self._jobs)  # labels are cut to the width

    def show(self, jobs: tuple[JobView, ...]) -> None:
        self._jobs = jobs
        self.wanted["Job"] = longest_label(jobs)
        self._room = self.fitted["Job"]
        look = (self.narrow, self._room, self.app.theme)
        self.show_rows(self._kept.of(in_order(jobs), look))

    def _row(self, job: JobView) -> Row:
        words, tone = job_words(job, self.plain)
        alive = isinstance(job.state, Running)
        value = last_r2(job)
        health = job.health.partition(":")[0]
        if alive and health in ("warn", "bad"):
            words, tone = f"> {health}", "warning" if health == "warn" else "error"
        quiet = silence(job) > SILENT
        moved = [change_of(job)] + ([] if self.narrow else [trend_of(job, self.plain)])
        number = score_text(job.spec.headline, value)
        score = " ".join([number, *filter(None, moved)]) if number else ""
        return (
            cell(words, tone_style(self, tone)),
            cell(device_of(job), "" if alive else tone_style(self, "muted")),
            cell(steps_of(job), "" if alive else tone_style(self, "muted")),
            cell(time_of(job), tone_style(self, "warning" if quiet else "" if alive else "muted")),
            cell(score),
            cell(short_label(job, self._room)),
        )


class JobsPane(Vertical):
    """The table of jobs; the GPUs are read in a thread, one reading at a time."""

    def __init__(
        self, read_devices: Callable[[], Sequence[Device]], empty: str, *, plain: bool
    ) -> None:
        """`read_devices` may block; `empty` is shown while there is no job."""
        self.table = JobTable("jobs")
        self.table.plain = plain
        self.empty = Static(Text(empty), classes="empty", markup=False)
        super().__init__(self.table, self.empty, id="jobs-pane", classes="pane")
        self._read_devices = read_devices
        self._reading = False
        self._asked: float | None = None
        self._devices = DeviceLine()

    def on_mount(self) -> None:
        self.empty.display = False

    def show(self, jobs: tuple[JobView, ...]) -> None:
        self.table.show(jobs)
        self.empty.display = not jobs

    def describe(self, job: JobView | None) -> None:
        """The selected job in a line, in the lower border."""
        set_titles(self, below=job_detail(job) if job else "")

    def show_devices(self) -> None:
        """The title, with the GPUs as last read."""
        set_titles(self, f"3 jobs  {self._devices}")

    def ask(self, *, seldom: bool) -> None:
        """Read the GPUs, if that is due; `seldom`: nothing happens."""
        again = self._devices or self._asked is None
        self._devices.wait = ASK if again and not seldom else SELDOM
        if not self._reading and (self._asked is None or since(self._asked) >= self._devices.wait):
            self._reading, self._asked = True, ticks()
            self.run_worker(self._read(), group="devices")
        elif self._devices:
            self.show_devices()

    async def _read(self) -> None:
        try:
            self._devices.update(await asyncio.to_thread(self._read_devices))
        finally:
            self._reading = False
        self.show_devices()
