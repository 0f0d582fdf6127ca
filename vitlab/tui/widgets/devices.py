"""The machine's GPUs in a few words, and how old what is said of them is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vitlab.tui import clock
from vitlab.tui.words import age, clean

if TYPE_CHECKING:
    from vitlab.jobs.gpus import Device

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
