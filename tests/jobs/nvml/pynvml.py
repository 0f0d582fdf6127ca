"""A stand-in for NVML: two GPUs of 40 GB, as the file `NVML_STATE` says, read at every question.

`{"count": 2, "pids": [{"4711": bytes}, {}], "taken": [bytes, bytes], "broken": function,
"bytes": function, "lost": [index], "no_rights": [index], "hot": [index], "parts": {"1": 2}}`; every
key may miss. `parts`: MIG instances of a GPU; `bytes`: its answer is no UTF-8; `host`: the end of
their UUIDs.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

NVML_TEMPERATURE_GPU = 0
GB = 10**9


class NVMLError(Exception):
    """What the real one raises."""


class NVMLError_GpuIsLost(NVMLError):  # noqa: N801, N818 - the real name
    """It fell off the bus."""


def _state(name: str = "") -> dict[str, Any]:
    state: dict[str, Any] = json.loads(Path(os.environ["NVML_STATE"]).read_text())
    if state.get("broken") == name:
        raise NVMLError(name)
    if state.get("bytes") == name:
        b"GPU-\xff".decode()
    return state


def _pids(i: int) -> dict[str, int]:
    given: list[dict[str, int]] = _state().get("pids", [])
    return given[i] if i < len(given) else {}


def nvmlInit() -> None:
    _state("nvmlInit")


def nvmlShutdown() -> None:
    """Nothing to let go."""


def nvmlDeviceGetCount() -> int:
    count: int = _state("nvmlDeviceGetCount").get("count", 2)
    return count


def nvmlDeviceGetHandleByIndex(i: int) -> int:
    if i in _state("nvmlDeviceGetHandleByIndex").get("lost", []):
        raise NVMLError_GpuIsLost("GPU is lost")
    return i


def nvmlDeviceGetMaxMigDeviceCount(_: int) -> int:
    return 7


def nvmlDeviceGetMigDeviceHandleByIndex(i: int, part: int) -> int:
    if part >= _state().get("parts", {}).get(str(i), 0):
        raise NVMLError("Not Found")
    return 10 * i + 100 + part


def nvmlDeviceGetMemoryInfo(i: int) -> SimpleNamespace:
    state = _state("nvmlDeviceGetMemoryInfo")
    if i in state.get("no_rights", []):
        raise NVMLError("Insufficient Permissions")
    given = state.get("taken", [])
    taken = (given[i] if i < len(given) else 0) + sum(_pids(i).values())
    return SimpleNamespace(total=40 * GB, free=39 * GB - taken)


def nvmlDeviceGetComputeRunningProcesses(i: int) -> list[SimpleNamespace]:
    _state("nvmlDeviceGetComputeRunningProcesses")
    return [SimpleNamespace(pid=int(pid), usedGpuMemory=n) for pid, n in _pids(i).items()]


def nvmlDeviceGetUUID(i: int) -> bytes:
    host = _state("nvmlDeviceGetUUID").get("host", "")
    return (f"GPU-{i}{host}" if i < 100 else f"MIG-{i}").encode()


def nvmlDeviceGetName(_: int) -> str:
    _state("nvmlDeviceGetName")
    return "NVIDIA A100"


def nvmlDeviceGetUtilizationRates(_: int) -> SimpleNamespace:
    _state("nvmlDeviceGetUtilizationRates")
    return SimpleNamespace(gpu=97)


def nvmlDeviceGetCurrentClocksThrottleReasons(i: int) -> int:
    hot: list[int] = _state("nvmlDeviceGetCurrentClocksThrottleReasons").get("hot", [])
    return 0x20 if i in hot else 0x4  # the power limit: a card at work


def nvmlDeviceGetTemperature(*_: int) -> int:
    _state("nvmlDeviceGetTemperature")
    return 61
