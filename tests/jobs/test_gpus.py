"""GPUs by a stand-in for NVML: what is seen, and what the job's process sees of it."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tests.jobs.conftest import Workshop, ended, wait_for
from vitlab.contract.state import Running
from vitlab.jobs.gpus import child_environment, devices
from vitlab.jobs.launch import advance, stop
from vitlab.jobs.slots import read_slots
from vitlab.jobs.store import state


class NVMLError(Exception):
    pass


def fake_nvml(pids: Callable[[int], list[int]], broken: str = "") -> types.ModuleType:
    """Two GPUs of 40 GB; `broken` names the function that fails."""
    module = types.ModuleType("pynvml")

    def answer(name: str, value: Callable[..., Any]) -> None:
        def call(*arguments: Any) -> Any:
            if name == broken:
                raise NVMLError(name)
            return value(*arguments)

        setattr(module, name, call)

    module.__dict__.update(NVMLError=NVMLError, NVML_TEMPERATURE_GPU=0)
    answer("nvmlInit", lambda: None)
    answer("nvmlShutdown", lambda: None)
    answer("nvmlDeviceGetCount", lambda: 2)
    answer("nvmlDeviceGetHandleByIndex", lambda i: i)
    answer("nvmlDeviceGetMemoryInfo", lambda _: SimpleNamespace(total=40 * 10**9, free=39 * 10**9))
    answer(
        "nvmlDeviceGetComputeRunningProcesses",
        lambda i: [SimpleNamespace(pid=pid) for pid in pids(i)],
    )
    answer("nvmlDeviceGetUUID", lambda i: f"GPU-{i}".encode())
    answer("nvmlDeviceGetName", lambda _: "NVIDIA A100")
    answer("nvmlDeviceGetUtilizationRates", lambda _: SimpleNamespace(gpu=97))
    answer("nvmlDeviceGetTemperature", lambda *_: 61)
    return module


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def install(pids: Callable[[int], list[int]] = lambda _: [], broken: str = "") -> None:
        monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(pids, broken))

    return install


def test_no_gpu_is_a_normal_answer(
    nvml: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert devices() == []
    nvml(broken="nvmlInit")
    assert devices() == []
    nvml(broken="nvmlDeviceGetMemoryInfo")
    assert devices() == []


def test_what_nvml_says(nvml: Callable[..., None]) -> None:
    nvml(broken="nvmlDeviceGetTemperature")
    first, second = devices()
    assert (first.uuid, second.label, first.utilisation) == ("GPU-0", "gpu1", 97)
    assert first.temperature is None  # some cards do not tell
    assert child_environment(second, 4) == {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": "GPU-1",
    }


def test_the_child_sees_its_own_gpu_only(
    shop: Workshop, nvml: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    nvml()
    # Whatever the shell that launches has set: the scheduler decides.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    say = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'], os.environ['CUDA_DEVICE_ORDER'])"
    jobs = [shop.submit(f"{say}; import time; time.sleep(60)") for _ in range(2)]
    assert advance(shop.lab) == jobs
    seen = set()
    for job in jobs:
        while not (job.log.exists() and job.log.read_text().endswith("\n")):
            assert isinstance(state(job), Running)
        seen.add(job.log.read_text())
        now = state(job)
        assert isinstance(now, Running)
        assert now.device in ("gpu0", "gpu1")
        stop(job)
        ended(job)
    assert seen == {"GPU-0 PCI_BUS_ID\n", "GPU-1 PCI_BUS_ID\n"}


def test_unknown_processes_make_a_gpu_busy(shop: Workshop, nvml: Callable[..., None]) -> None:
    ours = subprocess.Popen(
        ["sleep", "60"], env={**os.environ, "VITLAB_JOB": f"{shop.lab.experiments}/E/job"}
    )
    other = subprocess.Popen(["sleep", "60"])
    try:
        nvml(lambda i: [ours.pid] if i == 0 else [other.pid, 2**22 + 1])
        # Its environment can be read a moment after it was started.
        wait_for(lambda: read_slots(shop.lab).gpus[0].foreign == ())
        second = read_slots(shop.lab).gpus[1]
        assert second.foreign == (other.pid, 2**22 + 1)
    finally:
        for process in (ours, other):
            process.kill()
            process.wait()
