"""The pane of the jobs: their table, the one chosen in a line, the machine's GPUs in the title."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.text import Text
from textual.containers import Vertical
from textual.widgets import Static

from vitlab.tui.widgets.devices import ASK, DeviceLine
from vitlab.tui.widgets.job_table import JobTable, job_detail
from vitlab.tui.widgets.titles import retitle

if TYPE_CHECKING:
    from vitlab.jobs.gpus import Device
    from vitlab.records.view import JobView


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
