"""GPUs by a stand-in for NVML: what is seen, given out, and returned after a job's end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.conftest import Workshop
from tests.waiting import becomes, children, ended, printed, wait_for
from vitlab.contract.job import Queued, Running
from vitlab.contract.paths import JobPaths
from vitlab.jobs.gpus import child_environment, devices, unreleased_memory
from vitlab.jobs.queue.machine import read_machine
from vitlab.jobs.queue.queue import plan
from vitlab.jobs.queue.scheduler import advance, stop
from vitlab.jobs.store import all_jobs, read_state

GB = 10**9
SAY = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'], os.environ['CUDA_DEVICE_ORDER'])"
WAIT = f"{SAY}; import sys; sys.stdout.flush(); import time; time.sleep(300)"
Nvml = Callable[..., None]


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Nvml]:
    """Says what NVML tells from now on, to us and to every process we start."""
    place = tmp_path / "nvml.json"
    folder = str(Path(__file__).parent / "nvml")
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", folder)
    monkeypatch.setenv("NVML_STATE", str(place))

    def tell(**said: Any) -> None:
        next_one = place.with_suffix(".new")
        next_one.write_text(json.dumps(said))
        next_one.replace(place)

    tell()
    yield tell
    sys.modules.pop("pynvml", None)


def said(job: JobPaths) -> str:
    """The first line of its log, as soon as it is there."""
    return printed(job).splitlines()[0]


def test_no_gpu_is_a_normal_answer(nvml: Nvml, monkeypatch: pytest.MonkeyPatch) -> None:
    nvml(broken="nvmlInit")
    assert devices() == []
    nvml(broken="nvmlDeviceGetMemoryInfo")
    assert devices() == []
    assert unreleased_memory([{"uuid": "GPU-0"}], 0.0) == ""
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "pynvml", None)
        assert devices() == []


def test_what_nvml_says(nvml: Nvml) -> None:
    nvml(broken="nvmlDeviceGetTemperature", pids=[{"7": 3 * GB}, {}])
    first, second = devices()
    assert (first.uuid, second.label, first.utilisation) == ("GPU-0", "gpu1", 97)
    assert first.temperature is None  # some cards do not tell
    assert (first.pids, first.used, first.memory_free) == ((7,), (3 * GB,), 36 * GB)
    assert first.unowned == second.unowned == GB
    assert child_environment([second], 4) == {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": "GPU-1",
    }


def test_the_child_sees_its_own_gpu_only(
    shop: Workshop, nvml: Nvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever the shell that launches has set: the scheduler decides.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    jobs = [shop.submit(WAIT) for _ in range(2)]
    assert advance(shop.lab) == jobs
    assert {said(job) for job in jobs} == {"GPU-0 PCI_BUS_ID", "GPU-1 PCI_BUS_ID"}
    for job in jobs:
        assert becomes(job, Running).device in ("gpu0", "gpu1")
        stop(job)
        assert ended(job).detail == "stopped on request"


def test_a_job_of_two_processes_has_two_gpus(shop: Workshop, nvml: Nvml) -> None:
    config = {"argv": [sys.executable, "-S", "-c", WAIT], "train": {"processes": 2}}
    both = shop.submit("", config=config)
    next_one = shop.submit(SAY, extra={"gpus": 2})
    assert advance(shop.lab) == [both]
    assert said(both) == "GPU-0,GPU-1 PCI_BUS_ID"
    assert becomes(both, Running).device == "gpu0,gpu1"
    why = plan(all_jobs(shop.lab), read_machine(shop.lab)).reasons[next_one.name]
    used = f"used by {both.name}"
    assert why == f"takes 2 GPUs at once: gpu0: {used}; gpu1: {used}"
    stop(both)
    assert ended(next_one).outcome == "ok"
    assert said(next_one) == "GPU-0,GPU-1 PCI_BUS_ID"


def test_memory_a_killed_job_does_not_return_is_said_and_not_given_out(
    shop: Workshop, nvml: Nvml
) -> None:
    shop.settings("grace: 0.3\n")
    job = shop.submit(WAIT, device="0")
    after = shop.submit(SAY, device="0")
    advance(shop.lab)
    said(job)
    [child] = children(job)
    nvml(pids=[{str(child): 12 * GB}, {}])
    os.kill(child, signal.SIGKILL)
    done = ended(job)
    assert done.outcome == "killed"
    held = f"gpu0: 12.0 GB not returned by pid {child}, which is gone"
    assert done.detail.endswith(held)
    assert json.loads(job.health.read_text().splitlines()[-1])["evidence"] == held
    assert isinstance(read_state(after), Queued)
    why = plan(all_jobs(shop.lab), read_machine(shop.lab)).reasons[after.name]
    assert why == f"gpu0: held by pid {child}, which is dead or in another container"
    nvml(taken=[21 * GB, 0])  # no process at all, and most of the memory taken
    why = plan(all_jobs(shop.lab), read_machine(shop.lab)).reasons[after.name]
    assert why == "gpu0: 22.0 GB taken, by no process seen here"
    nvml()
    advance(shop.lab)
    assert ended(after).outcome == "ok"


def test_memory_comes_back_a_moment_after_the_end(nvml: Nvml) -> None:
    [record, _] = [device.record for device in devices()]
    nvml(taken=[2 * GB, 0])
    assert (
        unreleased_memory([record], 0.0)
        == "gpu0: 2.0 GB not returned, held by no process seen here"
    )
    nvml(pids=[{str(os.getpid()): 5 * GB}, {}])  # somebody else's, who lives
    assert unreleased_memory([record], 0.0) == ""


def test_unknown_processes_make_a_gpu_busy(shop: Workshop, nvml: Nvml) -> None:
    ours = subprocess.Popen(
        ["sleep", "300"], env={**os.environ, "VITLAB_JOB": f"{shop.lab.experiments}/E/job"}
    )
    other = subprocess.Popen(["sleep", "300"])
    nobody = 2**22 + 1
    try:
        nvml(pids=[{str(ours.pid): GB}, {str(other.pid): GB, str(nobody): GB}])
        # Its environment can be read a moment after it was started.
        wait_for(lambda: read_machine(shop.lab).gpus[0].foreign == ())
        second = read_machine(shop.lab).gpus[1]
        assert (second.foreign, second.unseen) == ((other.pid, nobody), (nobody,))
    finally:
        for process in (ours, other):
            process.kill()
            process.wait()
