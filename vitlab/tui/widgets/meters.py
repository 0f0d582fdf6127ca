"""How busy the machine is: its CPU and GPUs, read in a thread, seldom where nothing happens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vitlab.plot.series import cells
from vitlab.tui.text import age, clean, progress_bar, since, ticks

if TYPE_CHECKING:
    from vitlab.jobs.gpus import Device

Reading = tuple[Sequence["Device"], tuple[int, int]]
"""The GPUs; busy and all ticks of the CPUs."""
ASK = 2.0
"""Seconds between two readings."""
SELDOM = 60.0
"""The same where nothing happens."""
OLD = 4.0
"""Seconds too late after which the numbers are shown as old: the driver hangs."""
BAR = 5
"""Cells of a meter's bar."""


class Meters:
    """CPU and GPUs as last read; they grow old where the driver hangs."""

    def __init__(self) -> None:
        self._devices: Sequence[Device] = ()
        self._at = 0.0
        self._times = (0, 0)
        self._cpu: int | None = None
        self.wait = ASK
        """Seconds from one reading to the next."""

    def update(self, devices: Sequence[Device], times: tuple[int, int]) -> None:
        """Keep what was read; no GPUs after some means that the driver failed."""
        if devices or not self._devices:
            self._devices, self._at = devices, ticks()
        busy, passed = times[0] - self._times[0], times[1] - self._times[1]
        if self._times[1] and passed > 0:
            self._cpu = round(100 * busy / passed)
        self._times = times

    def words(self, room: int, plain: bool) -> str:
        """`cpu ━━━── 61%  gpu0 ━━━── 61% 23/80 GB 54C`, or less of it in `room` cells."""
        lines = [self._words(bar, more, plain) for bar, more in ((1, 1), (1, 0), (0, 0))]
        if len(self._devices) > 1:
            known = [one.utilisation or 0 for one in self._devices]
            lines.append(f"{self._cpu_words()}  {len(known)} gpus {sum(known) // len(known)}%")
        lines.append(self._cpu_words())
        return next((line.strip() for line in lines if cells(line) <= room), "")

    def _cpu_words(self) -> str:
        return "" if self._cpu is None else f"cpu {self._cpu}%"

    def _words(self, bar: int, more: int, plain: bool) -> str:
        parts = [] if self._cpu is None else [_meter("cpu", self._cpu, bar, plain)]
        for device in self._devices:
            words = _meter(clean(device.label), device.utilisation, bar, plain)
            parts.append(f"{words} {_details(device)}".rstrip() if more else words)
        if self._devices and (old := since(self._at)) > self.wait + OLD:
            parts.append(f"(read {age(old)} ago)")
        return "  ".join(parts)


def _meter(name: str, percent: int | None, bar: int, plain: bool) -> str:
    if percent is None:
        return name
    drawn = f"{progress_bar(percent, 100, BAR, plain)} " if bar else ""
    return f"{name} {drawn}{percent}%"


def _details(device: Device) -> str:
    used, total = device.memory_total - device.memory_free, device.memory_total
    memory = f"{used / 1e9:.0f}/{total / 1e9:.0f} GB" if total else ""
    heat = "" if device.temperature is None else f"{device.temperature}C"
    return f"{memory} {heat}".strip()


def cpu_times() -> tuple[int, int]:
    """Busy and all ticks of the CPUs since the machine began; of another system than Linux none."""
    try:
        line = Path("/proc/stat").read_text(encoding="ascii").partition("\n")[0]
        ticks_of = [int(one) for one in line.split()[1:9]]
    except (OSError, ValueError):
        return 0, 0
    return sum(ticks_of) - sum(ticks_of[3:5]), sum(ticks_of)
