"""The GPUs of this machine, by NVML, and the environment that gives a job its own."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from vitlab.jobs.processes import process

TOLERANCE = 512 << 20
"""Bytes of a GPU that the driver may take or return by itself."""


@dataclass(frozen=True)
class Device:
    """One GPU at one moment."""

    index: int
    """In PCI bus order, as `nvidia-smi` counts."""
    uuid: str
    name: str
    memory_total: int
    """Bytes."""
    memory_free: int
    pids: tuple[int, ...] = ()
    """Compute processes, by NVML; inside a container these may be the host's numbers."""
    used: tuple[int, ...] = ()
    """Bytes of each of `pids`; 0 where the driver does not report it."""
    utilisation: int | None = None
    """Percent; None where the driver does not report it."""
    temperature: int | None = None
    """Degrees Celsius."""

    @property
    def label(self) -> str:
        return f"gpu{self.index}"

    @property
    def unowned(self) -> int:
        """Bytes taken that no process of `pids` accounts for."""
        return self.memory_total - self.memory_free - sum(self.used)

    @property
    def record(self) -> dict[str, Any]:
        """The GPU in a job's record, as it was before the job began."""
        return {
            "uuid": self.uuid,
            "name": self.name,
            "pids": list(self.pids),
            "unowned": self.unowned if all(self.used) else None,
        }


def devices() -> list[Device]:
    """The GPUs in PCI bus order; empty without NVIDIA's library, its driver or any GPU."""
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return []
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return []
    try:
        handles = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
        return [_device(nvml, i, handle) for i, handle in enumerate(handles)]
    except nvml.NVMLError:
        return []  # a GPU was lost between two calls
    finally:
        nvml.nvmlShutdown()


def _device(nvml: ModuleType, index: int, handle: object) -> Device:
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    running = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
    return Device(
        index=index,
        uuid=_text(nvml.nvmlDeviceGetUUID(handle)),
        name=_text(nvml.nvmlDeviceGetName(handle)),
        memory_total=int(memory.total),
        memory_free=int(memory.free),
        pids=tuple(int(one.pid) for one in running),
        used=tuple(int(one.usedGpuMemory or 0) for one in running),
        utilisation=_utilisation(nvml, handle),
        temperature=_temperature(nvml, handle),
    )


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _utilisation(nvml: ModuleType, handle: object) -> int | None:
    try:
        return int(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    except nvml.NVMLError:
        return None


def _temperature(nvml: ModuleType, handle: object) -> int | None:
    try:
        return int(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))
    except nvml.NVMLError:
        return None


def child_environment(given: Sequence[Device], threads: int = 0) -> dict[str, str]:
    """Environment of a job's process: its GPUs by UUID, or none and the number of CPU threads."""
    environment = {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": ",".join(device.uuid for device in given),
    }
    if not given and threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    return environment


def unreleased_memory(records: Sequence[Mapping[str, Any]], patience: float) -> str:
    """Which memory of the GPUs in `records` an ended job still holds after `patience` seconds.

    Empty as soon as there is none, and where NVML reports nothing. A dead process may keep its
    context on the device for a while, or for good (a zombie, a driver that hangs).
    """
    before = {str(record.get("uuid")): record for record in records}
    until = time.monotonic() + patience
    while before:
        here = [device for device in devices() if device.uuid in before]
        unreleased = [why for device in here if (why := _unreleased(device, before[device.uuid]))]
        if not unreleased or time.monotonic() > until:
            return "; ".join(unreleased)
        time.sleep(0.25)
    return ""


def _unreleased(device: Device, before: Mapping[str, Any]) -> str:
    known = before.get("pids")
    for pid, used in zip(device.pids, device.used, strict=True):
        if pid not in (known if isinstance(known, list) else []) and process(pid) is None:
            return f"{device.label}: {_gb(used)} not returned by pid {pid}, which is gone"
    unowned = before.get("unowned")
    if isinstance(unowned, int) and all(device.used) and device.unowned > unowned + TOLERANCE:
        more = _gb(device.unowned - unowned)
        return f"{device.label}: {more} not returned, held by no process seen here"
    return ""


def _gb(amount: int) -> str:
    return f"{amount / 1e9:.1f} GB"
