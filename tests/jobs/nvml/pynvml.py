"""A stand-in for NVML: two GPUs of 40 GB, as the file `NVML_STATE` says, read at every question.

`{"pids": [{"4711": bytes}, {}], "taken": [bytes, bytes], "broken": function}`; every key may miss.
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


def _state(name: str = "") -> dict[str, Any]:
    state: dict[str, Any] = json.loads(Path(os.environ["NVML_STATE"]).read_text())
    if state.get("broken") == name:
        raise NVMLError(name)
    return state


def _pids(i: int) -> dict[str, int]:
    pids: dict[str, int] = _state().get("pids", [{}, {}])[i]
    return pids


def nvmlInit() -> None:
    _state("nvmlInit")


def nvmlShutdown() -> None:
    """Nothing to let go."""


def nvmlDeviceGetCount() -> int:
    return 2


def nvmlDeviceGetHandleByIndex(i: int) -> int:
    return i


def nvmlDeviceGetMemoryInfo(i: int) -> SimpleNamespace:
    taken = _state("nvmlDeviceGetMemoryInfo").get("taken", [0, 0])[i] + sum(_pids(i).values())
    return SimpleNamespace(total=40 * GB, free=39 * GB - taken)


def nvmlDeviceGetComputeRunningProcesses(i: int) -> list[SimpleNamespace]:
    return [SimpleNamespace(pid=int(pid), usedGpuMemory=n) for pid, n in _pids(i).items()]


def nvmlDeviceGetUUID(i: int) -> bytes:
    return f"GPU-{i}".encode()


def nvmlDeviceGetName(_: int) -> str:
    return "NVIDIA A100"


def nvmlDeviceGetUtilizationRates(_: int) -> SimpleNamespace:
    return SimpleNamespace(gpu=97)


def nvmlDeviceGetTemperature(*_: int) -> int:
    _state("nvmlDeviceGetTemperature")
    return 61
