"""The jobs: their table, newest first, the chosen one in a line, the machine's GPUs."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.containers import Vertical
from textual.widgets import Static

from vitlab.contract.job import Done, Queued, Running
from vitlab.contract.value import Value
from vitlab.tui.text import age, cell, clean, duration, ink, roughly, state_words
from vitlab.tui.watch import clock
from vitlab.tui.widgets.plan_pane import last_r2
from vitlab.tui.widgets.stable_table import Row, SteadyTable
from vitlab.tui.widgets.titles import retitle

if TYPE_CHECKING:
    from vitlab.jobs.gpus import Device
    from vitlab.lab.live.snapshot import JobView

ASK = 2.0
"""Seconds between two questions to the driver."""
OLD = 3 * ASK
"""Seconds from which the numbers are said to be old: the driver hangs, or fell silent."""


class DeviceLine:
    """What the driver said last; a driver that hangs leaves it to grow old."""

    def __init__(self) -> None:
        self._seen: Sequence[Device] = ()
        self._at = 0.0

    def take(self, devices: Sequence[Device]) -> None:
        """The driver's answer; none after some is silence, not news."""
        if devices or not self._seen:
            self._seen, self._at = devices, clock.ticks()

    def __str__(self) -> str:
        """`gpu0 61% 23/80 GB 54C`; empty on a machine without any."""
        if not self._seen:
            return ""
        words = "  ".join(_words(device) for device in self._seen)
        old = clock.ticks() - self._at
        return f"{words}  (read {age(old)} ago)" if old > OLD else words


def _words(device: Device) -> str:
    used, total = device.memory_total - device.memory_free, device.memory_total
    parts = [clean(device.label)]
    if device.utilisation is not None:
        parts.append(f"{device.utilisation}%")
    parts.append(f"{used / 1e9:.0f}/{total / 1e9:.0f} GB")
    if device.temperature is not None:
        parts.append(f"{device.temperature}C")
    return " ".join(parts)


BARS = "▁▂▃▄▅▆▇█"
TREND = 5
"""Values of a trend."""
SILENT = 30.0
"""Seconds without an event from which a running job is said to be silent."""
NOISE = 0.02
"""The least span of R2 that fills the height of a trend: a smaller one is drawn lower."""


class KeptRows:
    """The rows of ended jobs, which say the same at every look."""

    def __init__(self, make: Callable[[JobView], Row]) -> None:
        self._make = make
        self._kept: dict[str, tuple[JobView, object, Row]] = {}

    def of(self, jobs: Iterable[JobView], look: object) -> dict[str, Row]:
        """Job's name -> its row; `look`: what else a row hangs on, as width and theme."""
        rows: dict[str, Row] = {}
        kept: dict[str, tuple[JobView, object, Row]] = {}
        for job in jobs:
            name = job.paths.name
            before = self._kept.get(name)
            if before is None or before[1] != look or not _alike(before[0], job):
                before = (job, look, self._make(job))
            kept[name] = before
            rows[name] = before[2]
        self._kept = kept
        return rows


def _alike(before: JobView, now: JobView) -> bool:
    """Whether both are of one end, read from the same events; cheap, as it is asked of all jobs."""
    return (
        isinstance(now.state, Done)
        and before.state == now.state
        and before.progress is now.progress
        and (before.health, before.left) == (now.health, now.left)
    )


class JobTable(SteadyTable):
    """Every job of the roadmap."""

    COLUMNS: ClassVar = {"State": 10, "On": 4, "Progress": 9, "Time": 10, "R²": 17, "Job": 16}
    NARROW: ClassVar = {"State": 10, "On": 4, "Progress": 9, "Time": 10, "R²": 11, "Job": 12}

    def __init__(self, id: str) -> None:  # noqa: A002 - Textual's own word
        super().__init__(id)
        self._kept = KeptRows(self._row)

    def show(self, jobs: tuple[JobView, ...]) -> None:
        self.show_rows(self._kept.of(in_order(jobs), (self.narrow, self.app.theme)))

    def _row(self, job: JobView) -> Row:
        words, tone = state_words(job.state, self.plain)
        alive = isinstance(job.state, Running)
        value = last_r2(job)
        health = job.health.partition(":")[0]
        if alive and health in ("warn", "bad"):
            words, tone = f"> {health}", "warning" if health == "warn" else "error"
        quiet = silence(job, clock.now()) > SILENT
        moved = [change_of(job)] + ([] if self.narrow else [trend_of(job, self.plain)])
        score = "" if value is None else " ".join([f"{value:.3f}", *filter(None, moved)])
        return (
            cell(words, ink(self, tone)),
            cell(device_of(job), "" if alive else ink(self, "muted")),
            cell(steps_of(job), "" if alive else ink(self, "muted")),
            cell(time_of(job), ink(self, "warning" if quiet else "" if alive else "muted")),
            cell(score),
            cell(job_label(job)),
        )


def in_order(jobs: Iterable[JobView]) -> list[JobView]:
    """Running ones first, then the queue in its order, then the ended, newest first."""
    return sorted(jobs, key=_place)


def _place(job: JobView) -> tuple[float, ...]:
    match job.state:
        case Running():
            return (0, 0, -job.spec.submitted)
        case Queued():
            return (1, -job.priority, job.order or job.spec.submitted)
        case _:
            return (2, 0, -job.spec.submitted)


def device_of(job: JobView) -> str:
    """Where it runs: `cpu`, `gpu0`; `slurm` for a job sent there."""
    if job.spec.extra.get("backend") == "slurm":
        return "slrm"
    return clean(job.state.device) if isinstance(job.state, Running) else ""


def steps_of(job: JobView) -> str:
    """`112k/200k`, or the steps alone while their end is not known."""
    if not job.of:
        return short(job.step) if job.step else ""
    return f"{short(job.step)}/{short(job.of)}"


def _validated(job: JobView) -> list[float]:
    """The last finite values of its headline on the validation set."""
    name = str(Value.parse(job.spec.headline).live)
    values = [sample.value for sample in job.progress.curve(name)[-TREND:]]
    return [value for value in values if value is not None and math.isfinite(value)]


def change_of(job: JobView) -> str:
    """From one evaluation to the next: `+.012`, `-1.4`, `+0`; empty before there are two."""
    known = _validated(job)
    if len(known) < 2:
        return ""
    move = known[-1] - known[-2]
    if abs(move) < 0.0005:
        return "+0"
    if abs(move) < 0.9995:
        return f"{move:+.3f}".replace("0.", ".", 1)
    return f"{move:+.1f}" if abs(move) < 99 else ("-99" if move < 0 else "+99")


def trend_of(job: JobView, plain: bool = False) -> str:
    """The last values of its headline on the validation set, as a small picture or a word.

    A boosted model's first R2 may be -20: where it is above 0 now, what lies below 0 is drawn at 0,
    so that the rest is seen. Noise does not fill the height.
    """
    known = _validated(job)
    if len(known) < 2:
        return ""
    if plain:
        move = known[-1] - known[-2]
        return "up" if move > 0 else "down" if move < 0 else "flat"
    is_r2 = Value.parse(job.spec.headline).metric == "r2"
    if is_r2 and known[-1] > 0:
        known = [max(value, 0.0) for value in known]
    high = max(known)
    span = max(high - min(known), NOISE if is_r2 else 0.0)
    if not span:
        return BARS[0] * len(known)
    low = high - span
    return "".join(BARS[round((value - low) / span * (len(BARS) - 1))] for value in known)


def silence(job: JobView, now: float) -> float:
    """Seconds since a running job said anything; 0 for another, or before its first word."""
    if not isinstance(job.state, Running) or not job.progress.last:
        return 0.0
    return max(now - job.progress.last, 0.0)


def time_of(job: JobView) -> str:
    """What is left of a running job, or what an ended one took."""
    match job.state:
        case Queued():
            return "waits"
        case Running():
            quiet = silence(job, clock.now())
            if quiet > SILENT:  # the time left was told when it last spoke
                return f"silent {age(quiet).replace(' ', '').removesuffix('in')}"
            left = roughly(job.eta)
            return f"{left} left" if left else duration(job.seconds)
        case _:
            return duration(job.seconds)


def job_label(job: JobView) -> str:
    """`1.0 Run 1 (demo)`."""
    profile = "" if job.spec.profile == "full" else f" ({job.spec.profile})"
    return clean(f"{job.spec.mvp} {job.spec.run}{profile}")


def job_detail(job: JobView) -> str:
    """What is to say of a job in a line: why it waits, what ails it, or its folder."""
    if isinstance(job.state, Queued) and job.why:
        return clean(f"waits: {job.why}")
    if isinstance(job.state, Running) and ":" in job.health:
        return clean(job.health)
    if isinstance(job.state, Done) and job.state.detail:
        return clean(job.state.detail)
    return clean(job.paths.name)


def short(count: int) -> str:
    """`950`, `12k`, `3.1M`."""
    if count < 10_000:
        return str(count)
    if count < 1_000_000:
        return f"{count // 1000}k"
    return f"{count / 1e6:.1f}M"


class JobsPane(Vertical):
    """The driver is asked in a thread, and not again before it has answered."""

    def __init__(self, ask: Callable[[], Sequence[Device]], empty: str, *, plain: bool) -> None:
        """`ask` may block; `empty` is said while there is no job."""
        self.table = JobTable("jobs")
        self.table.plain = plain
        self.empty = Static(Text(empty), classes="empty", markup=False)
        super().__init__(self.table, self.empty, id="jobs-pane", classes="pane")
        self._ask = ask
        self._asking = False
        self._devices = DeviceLine()

    def on_mount(self) -> None:
        self.empty.display = False
        self.set_interval(ASK, self._look)

    def show(self, jobs: tuple[JobView, ...]) -> None:
        self.table.show(jobs)
        self.empty.display = not jobs

    def describe(self, job: JobView | None) -> None:
        """What is to say of the chosen job, in the lower edge."""
        retitle(self, below=job_detail(job) if job else "")

    def tell(self) -> None:
        """The title, with the GPUs as they were told last."""
        retitle(self, f"3 jobs  {self._devices}")

    def _look(self) -> None:
        if self.screen.is_current and not self._asking:
            self._asking = True
            self.run_worker(self._read(), group="devices")

    async def _read(self) -> None:
        try:
            self._devices.take(await asyncio.to_thread(self._ask))
        finally:
            self._asking = False
        self.tell()
