"""The GPUs of this machine, as NVML sees them, and what a job's process is told of its own."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType


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
    utilisation: int | None = None
    """Percent; None where the driver does not tell."""
    temperature: int | None = None
    """Degrees Celsius."""

    @property
    def label(self) -> str:
        return f"gpu{self.index}"


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
        return []  # a GPU fell off the bus between two questions
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


def child_environment(device: Device | None, threads: int = 0) -> dict[str, str]:
    """What a job's process is told: one GPU by its UUID, or none and how many CPU threads."""
    found = {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": "" if device is None else device.uuid,
    }
    if device is None and threads:
        found["OMP_NUM_THREADS"] = str(threads)
    return found
