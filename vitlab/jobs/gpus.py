"""The GPUs of this machine, by NVML, and the environment that gives a job its own."""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Thread
from types import ModuleType
from typing import Any

from vitlab.jobs.processes import in_thread, process

VISIBLE = "CUDA_VISIBLE_DEVICES"
HEAT = 0x20 | 0x40
"""Reasons of NVML for lowered clocks: a thermal limit in software, and one in hardware."""
TOLERANCE = 512 << 20
"""Bytes of a GPU that the driver may take or return by itself."""
PATIENCE = 10.0
"""Seconds NVML may take; of a card that hangs it never answers."""
MOST = 256
"""GPUs of a machine, or parts of one, that are believed."""
_unanswered: list[Thread] = []
"""Those that still wait for it."""


@dataclass(frozen=True)
class Device:
    """One GPU at one moment."""

    index: int
    """In PCI bus order, as `nvidia-smi` counts."""
    uuid: str
    name: str
    memory_total: int
    """Bytes; 0 where the driver does not report it."""
    memory_free: int
    pids: tuple[int, ...] = ()
    """Compute processes, by NVML; inside a container these may be the host's numbers."""
    used: tuple[int, ...] = ()
    """Bytes of each of `pids`; 0 where the driver does not report it."""
    utilisation: int | None = None
    """Percent; None where the driver does not report it."""
    temperature: int | None = None
    """Degrees Celsius."""
    hot: bool = False
    """Whether its clocks are lowered because of heat."""
    part: int | None = None
    """Number of the MIG instance; None for a whole GPU."""

    @property
    def label(self) -> str:
        return f"gpu{self.index}" + ("" if self.part is None else f":{self.part}")

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


@dataclass(frozen=True)
class Gpus:
    """The GPUs of a machine at one moment."""

    devices: tuple[Device, ...] = ()
    lost: tuple[str, ...] = ()
    """Those that cannot be read, each with the reason: `gpu2: lost`."""


def read_gpus() -> Gpus:
    """The GPUs in PCI bus order; none without NVIDIA's library, its driver or any GPU."""
    answers: list[Gpus] = []
    if not any(thread.is_alive() for thread in _unanswered):
        asking = in_thread(lambda: answers.append(_asked()))
        if asking is None:
            return _asked()
        asking.join(PATIENCE)
        _unanswered[:] = [asking]
    return answers[0] if answers else Gpus(lost=("NVIDIA's driver: does not answer",))


def _asked() -> Gpus:
    try:
        return _ask()
    except Exception as error:  # a damaged library, or one that answers what it should not
        return Gpus(lost=(f"NVIDIA's driver: {type(error).__name__}: {error}",))


def _ask() -> Gpus:
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return Gpus()
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        absent = type(error).__name__ in ("NVMLError_LibraryNotFound", "NVMLError_DriverNotLoaded")
        return Gpus() if absent else Gpus(lost=(f"NVIDIA's driver: {error}",))
    found: list[Device] = []
    lost: list[str] = []
    try:
        if (count := nvml.nvmlDeviceGetCount()) > MOST:
            raise ValueError(f"tells of {count} GPUs")
        for index in range(count):
            try:
                found += _read(nvml, index)
            except Exception as error:  # of one card alone, whatever it is
                gone = type(error).__name__ == "NVMLError_GpuIsLost"
                lost.append(f"gpu{index}: " + ("lost" if gone else f"cannot be read ({error})"))
    except nvml.NVMLError as error:
        lost.append(f"NVIDIA's driver: {error}")
    finally:
        with contextlib.suppress(nvml.NVMLError):
            nvml.nvmlShutdown()
    return Gpus(tuple(found), tuple(lost))


def devices() -> list[Device]:
    """The GPUs that can be read, in PCI bus order."""
    return list(read_gpus().devices)


def visible(found: Iterable[Device], variable: str | None) -> list[Device]:
    """Those that a value of CUDA_VISIBLE_DEVICES leaves; None leaves all.

    As CUDA reads it: indices, UUIDs or their unique beginnings, up to the first that is none.
    """
    everything = list(found)
    if variable is None:
        return everything
    left: list[Device] = []
    for word in (word.strip() for word in variable.split(",")):
        by_index = [one for one in everything if word == str(one.index)][:1]
        by_uuid = [one for one in everything if word and one.uuid.startswith(word)]
        named = by_index or by_uuid
        if len(named) != 1:
            break
        left += [one for one in named if one not in left]
    return left


def _read(nvml: ModuleType, index: int) -> list[Device]:
    """The GPU of that index, or its MIG instances: such a GPU cannot be used as a whole."""
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    parts = []
    for part in range(min(MOST, _optional(nvml, "nvmlDeviceGetMaxMigDeviceCount", handle) or 0)):
        if (
            instance := _optional(nvml, "nvmlDeviceGetMigDeviceHandleByIndex", handle, part)
        ) is not None:
            parts.append(_device(nvml, index, instance, part))
    return parts or [_device(nvml, index, handle)]


def _device(nvml: ModuleType, index: int, handle: object, part: int | None = None) -> Device:
    memory = _optional(nvml, "nvmlDeviceGetMemoryInfo", handle)
    running = _optional(nvml, "nvmlDeviceGetComputeRunningProcesses", handle) or ()
    rates = _optional(nvml, "nvmlDeviceGetUtilizationRates", handle)
    temperature = _optional(nvml, "nvmlDeviceGetTemperature", handle, nvml.NVML_TEMPERATURE_GPU)
    lowered = _optional(nvml, "nvmlDeviceGetCurrentClocksThrottleReasons", handle)
    return Device(
        index=index,
        uuid=_text(nvml.nvmlDeviceGetUUID(handle)),
        name=_text(_optional(nvml, "nvmlDeviceGetName", handle) or "unknown"),
        memory_total=int(memory.total) if memory else 0,
        memory_free=int(memory.free) if memory else 0,
        pids=tuple(int(one.pid) for one in running),
        used=tuple(int(one.usedGpuMemory or 0) for one in running),
        utilisation=int(rates.gpu) if rates else None,
        temperature=None if temperature is None else int(temperature),
        hot=bool(int(lowered or 0) & HEAT),
        part=part,
    )


def _optional(nvml: ModuleType, function: str, *arguments: object) -> Any:
    """What NVML reports; None where it does not, for want of rights or on such a card."""
    try:
        return getattr(nvml, function)(*arguments)
    except (AttributeError, UnicodeError):  # of a newer library; a name that is no UTF-8
        return None
    except nvml.NVMLError as error:
        if type(error).__name__ == "NVMLError_GpuIsLost":
            raise
        return None


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def child_environment(
    given: Sequence[Device], threads: int = 0, has_gpus: bool = True
) -> dict[str, str]:
    """Environment of a job's process: its GPUs by UUID, or none and the number of CPU threads.

    On the CPU of a machine that has GPUs the variable is -1: an empty one is read as "all" by many
    scripts. On one that has none it is left as it is.
    """
    environment = {}
    if given or has_gpus:
        environment["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        environment[VISIBLE] = ",".join(device.uuid for device in given) or "-1"
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


def slowed(records: Sequence[Mapping[str, Any]], own: Iterable[int]) -> str:
    """What may slow down a job of the processes `own` on the GPUs in `records`; empty for nothing.

    Other processes are seen only where NVML counts as we do, which it may not in a container.
    """
    uuids, ours = {record.get("uuid") for record in records}, set(own)
    for device in devices():
        if device.uuid not in uuids:
            continue
        if device.hot:
            degrees = "" if device.temperature is None else f" at {device.temperature} °C"
            return f"{device.label} is thermally throttled{degrees}"
        others = sorted(set(device.pids) - ours)
        if others and len(others) < len(set(device.pids)):
            return f"{device.label} is also used by pid {', '.join(map(str, others))}"
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
