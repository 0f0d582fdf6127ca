"""GPUs by a stand-in for NVML: what is seen, given out, and returned after a job's end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.conftest import Workshop
from tests.waiting import becomes, children, ended, printed, wait_for
from vitlab.contract.job import Queued, Running
from vitlab.contract.paths import JobPaths
from vitlab.contract.value import SPEED
from vitlab.jobs import gpus, submissions
from vitlab.jobs.files import write_json
from vitlab.jobs.gpus import (
    Gpus,
    child_environment,
    devices,
    read_gpus,
    slowed,
    unreleased_memory,
    visible,
)
from vitlab.jobs.process.health import Limits
from vitlab.jobs.process.monitor import Monitor
from vitlab.jobs.processes import SUPERVISOR
from vitlab.jobs.queue.machine import missing_gpu, read_machine
from vitlab.jobs.queue.preflight import preflight
from vitlab.jobs.queue.queue import plan
from vitlab.jobs.queue.scheduler import advance, stop
from vitlab.jobs.store import all_jobs, read_state, submit
from vitlab.lab.live.diagnostics import gpu_section

GB = 10**9
SAY = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'], os.environ['CUDA_DEVICE_ORDER'])"
WAIT = f"{SAY}; import sys; sys.stdout.flush(); import time; time.sleep(300)"
Nvml = Callable[..., None]


@pytest.fixture
def nvml(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Nvml]:
    """Says what NVML tells from now on, to us and to every process we start.

    The GPUs of a lab's jobs are none of other tests' at the same time.
    """
    host = {"host": f".{os.getpid()}"} if "shop" in request.fixturenames else {}
    place = tmp_path / "nvml.json"
    folder = str(Path(__file__).parent / "nvml")
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", folder)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("NVML_STATE", str(place))

    def tell(**said: Any) -> None:
        next_one = place.with_suffix(".new")
        next_one.write_text(json.dumps({**host, **said}))
        next_one.replace(place)

    tell()
    yield tell
    sys.modules.pop("pynvml", None)


def said(job: JobPaths) -> str:
    """The first line of its log, as soon as it is there, without the host of GPUs."""
    return re.sub(r"\.\d+", "", printed(job).splitlines()[0])


def test_no_gpu_is_a_normal_answer(nvml: Nvml, monkeypatch: pytest.MonkeyPatch) -> None:
    nvml(broken="nvmlInit")
    assert devices() == []
    nvml(broken="nvmlDeviceGetCount")
    assert devices() == []
    assert unreleased_memory([{"uuid": "GPU-0"}], 0.0) == ""
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "pynvml", None)
        assert devices() == []


def test_an_odd_answer_of_nvml_is_told(
    nvml: Nvml, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nvml(bytes="nvmlDeviceGetName")
    assert [one.name for one in devices()] == ["unknown", "unknown"]
    nvml(bytes="nvmlDeviceGetUUID")
    assert [one.partition(" (")[0] for one in read_gpus().lost] == [
        "gpu0: cannot be read", "gpu1: cannot be read",
    ]  # fmt: skip
    nvml(count=4_000_000_000)
    assert read_gpus().lost == ("NVIDIA's driver: ValueError: tells of 4000000000 GPUs",)
    (tmp_path / "pynvml.py").write_text("def (")
    monkeypatch.delitem(sys.modules, "pynvml")
    monkeypatch.syspath_prepend(tmp_path)
    [lost] = read_gpus().lost
    assert lost.startswith("NVIDIA's driver: SyntaxError: ")


def test_a_driver_that_hangs_holds_up_nobody_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    answer, asked = threading.Event(), list[int]()

    def hangs() -> Gpus:
        asked.append(1)
        answer.wait()
        return Gpus()

    monkeypatch.setattr(gpus, "_ask", hangs)
    monkeypatch.setattr(gpus, "PATIENCE", 0.05)
    assert [read_gpus().lost for _ in range(3)] == [("NVIDIA's driver: does not answer",)] * 3
    assert len(asked) == 1
    answer.set()
    wait_for(lambda: read_gpus() == Gpus())


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
    # Whatever order the shell has set: the scheduler gives by UUID, among those it leaves.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1,0")
    jobs = [shop.submit(WAIT) for _ in range(2)]
    assert advance(shop.lab) == jobs
    assert {said(job) for job in jobs} == {"GPU-0 PCI_BUS_ID", "GPU-1 PCI_BUS_ID"}
    for job in jobs:
        assert becomes(job, Running).device in ("gpu0", "gpu1")
        stop(job)
        assert ended(job).detail == "stopped on request"


def test_a_gpu_of_another_lab_s_job_is_not_given_twice(
    shop: Workshop, nvml: Nvml, tmp_path: Path
) -> None:
    """Its program has not touched the GPU yet."""
    other = Workshop(tmp_path / "other")
    first, second, third = shop.submit(WAIT), other.submit(WAIT), other.submit(SAY)
    assert advance(shop.lab) == [first]
    assert advance(other.lab) == [second]
    assert (said(first), said(second)) == ("GPU-0 PCI_BUS_ID", "GPU-1 PCI_BUS_ID")
    [pid] = read_machine(other.lab).gpus[0].foreign
    assert pid == json.loads(first.started.read_bytes())["pid"]
    why = plan(all_jobs(other.lab), read_machine(other.lab)).reasons[third.name]
    assert why == f"gpu0: used by another program (pid {pid}); gpu1: used by {second.name}"
    nap = [sys.executable, "-c", "import time; time.sleep(300)", SUPERVISOR, str(tmp_path)]
    odd = subprocess.Popen(nap)
    for found in ("[null]", "5", '["x"]', '{"a": 1}', '[{"uuid": [1]}]'):
        (tmp_path / "lock").write_text(f'{{"devices": {found}}}')
        assert read_machine(other.lab).gpus[0].foreign == (pid,)
    odd.kill()
    odd.wait()
    for job in (first, second):
        stop(job)
        ended(job)
    assert advance(other.lab) in ([third], [])
    assert ended(third).outcome == "ok"


def test_a_gpu_that_a_job_has_chosen_itself_is_taken(shop: Workshop, nvml: Nvml) -> None:
    first, second = shop.submit(WAIT), shop.submit(SAY)
    assert advance(shop.lab) == [first, second]
    assert becomes(first, Running).device == "gpu0"
    said(first)
    ended(second)
    [pid] = children(first)
    nvml(pids=[{}, {str(pid): 8 * GB}])  # it has set CUDA_VISIBLE_DEVICES by itself
    third = shop.submit(SAY)
    why = plan(all_jobs(shop.lab), read_machine(shop.lab)).reasons[third.name]
    assert why == f"gpu0: used by {first.name}; gpu1: used by {first.name}"
    stop(first)
    stop(third)


def test_one_lost_gpu_does_not_hide_the_others(shop: Workshop, nvml: Nvml) -> None:
    nvml(count=4, lost=[2])
    assert [device.label for device in devices()] == ["gpu0", "gpu1", "gpu3"]
    assert read_machine(shop.lab).lost == ("gpu2: lost",)
    assert ("gpu2", "lost") in gpu_section().facts
    [note] = preflight(
        shop.lab, [shop.spec("", recipe="vit", config={})], [], read_machine(shop.lab)
    )
    assert (note.status, note.text) == ("note", "device: gpu2: lost")
    wants = shop.submit("", device="2")
    why = plan(all_jobs(shop.lab), read_machine(shop.lab)).reasons[wants.name]
    assert why == "GPU 2: no such GPU on this machine; gpu2: lost"


@pytest.mark.parametrize(
    "broken",
    [
        "nvmlDeviceGetMemoryInfo",
        "nvmlDeviceGetComputeRunningProcesses",
        "nvmlDeviceGetName",
        "nvmlDeviceGetUtilizationRates",
        "nvmlDeviceGetTemperature",
    ],
)
def test_what_one_may_not_read_drops_no_gpu(shop: Workshop, nvml: Nvml, broken: str) -> None:
    nvml(broken=broken)
    job, small = shop.submit(SAY), shop.submit("", extra={"gpu_memory": GB}, device="1")
    planned = plan(all_jobs(shop.lab), read_machine(shop.lab))
    assert [start.device for start in planned.starts if start.job.name == job.name] == ["gpu0"]
    unknown = broken == "nvmlDeviceGetMemoryInfo"
    assert planned.reasons.get(small.name) == (
        "gpu1: its memory cannot be read" if unknown else None
    )


def test_a_gpu_whose_memory_is_not_known_comes_last(shop: Workshop, nvml: Nvml) -> None:
    nvml(count=3, no_rights=[0])
    job = shop.submit(SAY)
    planned = plan(all_jobs(shop.lab), read_machine(shop.lab))
    assert [(start.job.name, start.device) for start in planned.starts] == [(job.name, "gpu1")]


def test_a_gpu_without_a_uuid_cannot_be_given(nvml: Nvml) -> None:
    nvml(broken="nvmlDeviceGetUUID")
    assert read_gpus() == Gpus(
        (),
        ("gpu0: cannot be read (nvmlDeviceGetUUID)", "gpu1: cannot be read (nvmlDeviceGetUUID)"),
    )


def test_instances_of_a_shared_gpu_are_given_one_by_one(nvml: Nvml) -> None:
    nvml(parts={"1": 2})
    assert [(d.label, d.uuid) for d in devices()] == [
        ("gpu0", "GPU-0"), ("gpu1:0", "MIG-110"), ("gpu1:1", "MIG-111"),
    ]  # fmt: skip
    assert [d.label for d in visible(devices(), "MIG-111")] == ["gpu1:1"]


@pytest.mark.parametrize(
    ("variable", "left"),
    [
        (None, "0123"), ("0", "0"), ("3,1", "31"), ("", ""), (" ", ""), ("-1", ""),
        ("NoDevFiles", ""), ("0,-1,2", "0"), ("GPU-2", "2"), ("GPU-2,0", "20"), ("GPU-", ""),
        ("GPU-0,GPU-9,GPU-1", "0"), ("9", ""), ("1,1", "1"), ("all", ""), (" 1 , 2 ", "12"),
        ("MIG-GPU-1/1/0", ""),
    ],
)  # fmt: skip
def test_the_users_own_limit(nvml: Nvml, variable: str | None, left: str) -> None:
    nvml(count=4)
    assert [str(device.index) for device in visible(devices(), variable)] == list(left)


def test_the_limit_is_that_of_the_submitter(
    shop: Workshop, nvml: Nvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvml(count=4)

    def submitted(**variables: str) -> JobPaths:
        job = shop.submit(SAY)
        write_json(job.environment, {"v": 1, "variables": variables})
        submissions.record(job.folder)
        return job

    first, free, hidden = (
        submitted(CUDA_VISIBLE_DEVICES="1"),
        submitted(),
        submitted(CUDA_VISIBLE_DEVICES=""),
    )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    old = shop.submit(SAY)
    old.environment.unlink(missing_ok=True)
    submissions.record(old.folder)
    again = submitted(CUDA_VISIBLE_DEVICES="1")
    planned = plan(all_jobs(shop.lab), read_machine(shop.lab))
    assert {start.job.name: start.device for start in planned.starts} == {
        first.name: "gpu1", free.name: "gpu0", hidden.name: "cpu", old.name: "gpu2",
    }  # fmt: skip
    why = f"gpu1: used by {first.name}; CUDA_VISIBLE_DEVICES=1 hides gpu0, gpu2, gpu3"
    assert planned.reasons == {again.name: why}


@pytest.mark.parametrize("recipe", ["vit", "command", "ridge"])
@pytest.mark.parametrize("cause", ["lost", "driver", "hidden", "no such", "none"])
def test_a_full_network_waits_for_a_gpu_that_is_gone(
    shop: Workshop, nvml: Nvml, monkeypatch: pytest.MonkeyPatch, recipe: str, cause: str
) -> None:
    nvml(count=0 if cause == "none" else 1, lost=[0] if cause == "lost" else [])
    nvml_is_there = {"lost": "gpu0: lost", "driver": "NVIDIA's driver: nvmlInit"}
    if cause == "driver":
        nvml(broken="nvmlInit")
    if cause in ("hidden", "no such"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "" if cause == "hidden" else "5")
    value = "''" if cause == "hidden" else "5"
    spec = shop.spec("pass", recipe=recipe, **({} if recipe == "command" else {"config": {}}))
    waits = cause != "none" and recipe != "ridge" and (recipe, cause) != ("command", "hidden")
    jobs = [submit(shop.lab, spec)]
    machine = read_machine(shop.lab)
    planned = plan(all_jobs(shop.lab), machine)
    why = nvml_is_there.get(cause, f"CUDA_VISIBLE_DEVICES={value} hides gpu0")
    why += "; `device: cpu` or `--gpu cpu` runs it on the CPU"
    assert planned.reasons == ({jobs[0].name: why} if waits else {})
    bad = [one.text for one in preflight(shop.lab, [spec], [], machine) if one.status == "bad"]
    assert bad == ([f"device: {why}"] if waits else [])
    for other in (replace(spec, device="cpu"), replace(spec, profile="smoke")):
        assert not missing_gpu(other, machine, None)
        assert not [f for f in preflight(shop.lab, [other], [], machine) if f.status == "bad"]


def test_a_cpu_job_is_shown_no_gpu_and_no_empty_variable(
    shop: Workshop, nvml: Nvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    show = "import os; print(os.environ.get('CUDA_VISIBLE_DEVICES'))"
    job = shop.submit(show, device="cpu")
    advance(shop.lab)
    assert said(job) == "-1"
    ended(job)
    nvml(count=0)
    plain = shop.submit(show, device="cpu")
    advance(shop.lab)
    assert said(plain) == "1"  # as the user has it
    ended(plain)
    assert child_environment([], 2, has_gpus=False) == {"OMP_NUM_THREADS": "2"}


def test_a_job_of_two_processes_has_two_gpus(shop: Workshop, nvml: Nvml) -> None:
    config = {"argv": [sys.executable, "-S", "-c", WAIT], "train": {"processes": 2}}
    both = shop.submit("", config=config)
    next_one = shop.submit(SAY, extra={"gpus": 2})
    assert advance(shop.lab) == [both]
    assert said(both) == "GPU-0,GPU-1 PCI_BUS_ID"
    assert becomes(both, Running).device == "gpu0,gpu1"
    why = plan(all_jobs(shop.lab), read_machine(shop.lab)).reasons[next_one.name]
    used = f"used by {both.name}"
    assert why == f"needs 2 GPUs at once: gpu0: {used}; gpu1: {used}"
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


def test_who_else_is_on_the_gpu_and_its_heat(nvml: Nvml) -> None:
    records = [{"uuid": "GPU-1"}]
    nvml(pids=[{"4": GB}, {"7": GB}])
    assert slowed(records, [7]) == ""
    nvml(pids=[{"4": GB}, {"7": GB, "9": GB}])
    assert slowed(records, [7, 8]) == "gpu1 is also used by pid 9"
    assert slowed(records, [1]) == ""  # the numbers of another container
    nvml(hot=[1], pids=[{}, {"7": GB, "9": GB}])
    assert slowed(records, [7]) == "gpu1 is thermally throttled at 61 °C"
    assert slowed([{"uuid": "GPU-0"}], [7]) == ""


def test_a_monitor_asks_the_gpu_once_a_job_is_slow(tmp_path: Path, nvml: Nvml) -> None:
    nvml(hot=[0])
    job = JobPaths(tmp_path)
    job.started.write_text(json.dumps({"devices": [{"uuid": "GPU-0"}], "session": 1, "ticks": 0}))
    rates = {t: 900.0 if t < 300 else 90.0 for t in range(0, 330, 5)}
    lines = [
        json.dumps({"v": 1, "t": t, "kind": "step", "step": t, "values": {SPEED: rate}}) + "\n"
        for t, rate in rates.items()
    ]
    job.events.write_text("".join(lines))
    verdict = Monitor(job, os.getpid(), 0, Limits(), None).check(alive=True)
    assert verdict is not None
    assert (verdict.what, verdict.evidence.partition(": ")[2]) == (
        "slow",
        "gpu0 is thermally throttled at 61 °C",
    )
