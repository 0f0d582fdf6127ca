"""Jobs on a real Slurm of two nodes, started here; skipped where there is none to start."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.jobs.conftest import Workshop
from tests.waiting import SLEEP, becomes, ended, printed, wait_for
from vitlab.contract.events import read_events
from vitlab.contract.job import Done, Lost, Queued, Running, read_result
from vitlab.contract.paths import JobPaths
from vitlab.jobs.files import read_json, write_json
from vitlab.jobs.queue.machine import Machine
from vitlab.jobs.queue.preflight import preflight
from vitlab.jobs.queue.queue import plan
from vitlab.jobs.queue.scheduler import advance, hold, resume, stop
from vitlab.jobs.slurm import query, requeue
from vitlab.jobs.store import all_jobs, read_job, read_state

SLURM = {"backend": "slurm"}
PROGRAMS = {
    name: shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    for name in ("munged", "slurmctld", "slurmd")
}
if missing := [name for name, path in PROGRAMS.items() if path is None]:
    pytest.skip(f"no {', '.join(missing)} here (Debian: slurm-wlm, munge)", allow_module_level=True)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """munged, slurmctld and two slurmd on loopback."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    folder.chmod(0o711)
    (folder / "key").write_bytes(secrets.token_bytes(1024))
    (folder / "key").chmod(0o600)
    (folder / "munge").mkdir(mode=0o755)
    conf = folder / "slurm.conf"
    conf.write_text(_conf(folder))
    daemons = [
        [PROGRAMS["munged"], "-F", "--force", f"--key-file={folder}/key",
         f"--socket={folder}/munge/s", f"--pid-file={folder}/munge/pid",
         f"--log-file={folder}/munge.log", f"--seed-file={folder}/seed"],
        [PROGRAMS["slurmctld"], "-D", "-c", "-f", str(conf)],
        *([PROGRAMS["slurmd"], "-D", "-c", "-N", name, "-f", str(conf)] for name in ("n1", "n2")),
    ]  # fmt: skip
    patch = pytest.MonkeyPatch()
    patch.setenv("SLURM_CONF", str(conf))
    running = []
    try:
        with (folder / "log").open("wb") as log:
            for argv in daemons:
                command = [str(word) for word in argv]
                running.append(subprocess.Popen(command, stdout=log, stderr=log))
                with contextlib.suppress(AssertionError):  # the others need munged
                    wait_for((folder / "munge" / "s").exists)
        try:
            wait_for(lambda: _words("sinfo", "-h", "-o", "%D %T") == ["2", "idle"], pause=0.2)
        except AssertionError:
            pytest.skip(f"Slurm does not come up here: {(folder / 'log').read_text()[-300:]}")
        yield
    finally:
        _clear()
        for process in reversed(running):
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        patch.undo()
        shutil.rmtree(folder, ignore_errors=True)


def _conf(folder: Path) -> str:
    host = os.uname().nodename.split(".")[0]
    port = 10_000 + os.getpid() % 3_000 * 3
    return f"""
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={os.environ.get("USER") or "root"}
SlurmdUser={os.environ.get("USER") or "root"}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/s
SlurmctldPort={port}
StateSaveLocation={folder}
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/ctld.pid
SlurmdPidFile={folder}/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
MaxArraySize=3
ReturnToService=2
KillWait=2
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=10000
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={port + 1} CPUs=2 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={port + 2} CPUs=2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def _clear() -> None:
    """Cancel every job, and see their steps gone while the daemons still answer."""

    def none_left() -> bool:
        numbers = _words("squeue", "-h", "-o", "%A")
        if numbers:
            subprocess.run(["scancel", *numbers], check=False)
        return not numbers

    with contextlib.suppress(AssertionError):
        wait_for(none_left, pause=0.2)


def _words(*command: str) -> list[str]:
    """What the command prints; nothing when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [] if done.returncode else done.stdout.split()


def passed_by(shop: Workshop, true: Callable[[], object]) -> None:
    """Wait for something, with somebody looking at the lab meanwhile."""

    def look_again() -> object:
        advance(shop.lab)
        return true()

    wait_for(look_again)


def began(shop: Workshop, job: JobPaths) -> Running:
    """Wait until the job says that it is up."""
    printed(job, "up")
    return becomes(job, Running)


def test_a_sweep_is_one_array_followed_by_its_folders(shop: Workshop, cluster: None) -> None:
    jobs = [shop.submit(f"print('run {i}')", extra=SLURM) for i in range(3)]
    after = shop.submit("print('after')", extra=SLURM, after=(jobs[0].name,))
    assert [job.name for job in advance(shop.lab)] == [job.name for job in jobs]
    numbers = [read_json(job.slurm)["id"] for job in jobs]
    assert {number.partition("_")[0] for number in numbers} == {numbers[0].partition("_")[0]}
    for i, job in enumerate(jobs):
        assert ended(job).outcome == "ok"
        assert job.log.read_text() == f"run {i}\n"
    assert read_json(jobs[0].started)["slurm"]
    assert ended(after).outcome == "ok"  # sent by whoever came by: the batch step that ended
    assert len(list(jobs[0].folder.glob("started*"))) == 1


def test_stopped_running_waiting_held_and_from_outside(shop: Workshop, cluster: None) -> None:
    extra = {**SLURM, "slurm": {"at_once": 1}}
    jobs = [shop.submit(SLEEP, extra=extra) for _ in range(4)]
    advance(shop.lab)
    began(shop, jobs[0])
    found = all_jobs(shop.lab)
    assert plan(found, Machine()).reasons[jobs[1].name].startswith("Slurm job ")
    stop(jobs[1])
    assert isinstance(read_state(jobs[1]), Done)
    held = read_job(jobs[2])
    assert held is not None
    hold(held)
    number = read_json(jobs[3].slurm)["id"]
    subprocess.run(["scancel", number], check=True)
    passed_by(shop, lambda: isinstance(read_state(jobs[3]), Done))
    done = read_state(jobs[3])
    assert isinstance(done, Done)
    assert done.outcome == "killed"
    assert done.detail in (f"Slurm job {number}: {word}" for word in ("cancelled", "gone"))
    assert isinstance(read_state(jobs[2]), Queued)
    assert not jobs[2].slurm.exists()
    stop(jobs[0])
    assert ended(jobs[0]).detail == "stopped on request"
    stop(jobs[2])


def test_before_its_time_is_up_it_saves_and_goes_on_in_the_next(
    shop: Workshop, cluster: None
) -> None:
    code = (
        "import os, signal, sys, time; job = os.environ['VITLAB_JOB']\n"
        "if os.path.exists(job + '/saved'): sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, lambda *_: ("
        "open(job + '/saved', 'w').close(), sys.exit(143)))\n"
        "print('up', flush=True); time.sleep(300)"
    )
    other = shop.submit(SLEEP, extra=SLURM)
    job = shop.submit(code, extra=SLURM)
    advance(shop.lab)
    began(shop, other)
    began(shop, job)
    number = read_json(job.slurm)["id"]
    subprocess.run(["scancel", "--signal=USR2", "--batch", number], check=True)
    becomes(job, Queued)
    assert (job.folder / "saved").exists()
    assert isinstance(read_state(other), Running)  # of the same array
    stop(other)
    wait_for(lambda: (query([number]) or {}).get(number) == "PENDING|BeginTime")
    requeued = time.time()
    # Slurm lets a requeued job wait two minutes. We wait for a later second than the requeue's:
    # slurmd refuses to start what it ended in the same one ("already killed").
    wait_for(lambda: time.time() > requeued + 2)
    now = ["scontrol", "update", f"JobId={number}", "StartTime=now"]

    def over() -> Done | None:
        subprocess.run(now, capture_output=True, check=False)
        found = read_state(job)
        return found if isinstance(found, Done) else None

    done = wait_for(over, pause=0.3)
    assert done.outcome == "ok"
    assert (job.folder / "started.1.json").exists()
    assert read_json(job.slurm)["id"] == number
    assert ended(other).detail == "stopped on request"


@pytest.mark.parametrize(("answer", "kept"), [("kill $$", True), ("exit 1", False)])
def test_only_a_refused_requeue_is_submitted_anew(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: str, kept: bool
) -> None:
    # Slurm ends the step that asks, and often `scontrol` before it has answered.
    job = shop.submit(SLEEP, extra=SLURM)
    write_json(job.slurm, {"v": 1, "id": "7_1"})
    program = tmp_path / "bin" / "scontrol"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{answer}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    requeue(job, "7_1")
    assert job.resume.exists()
    assert job.slurm.exists() is kept


def test_a_job_that_slurm_queues_again_has_not_ended(shop: Workshop, cluster: None) -> None:
    """As one that is preempted; it ends where Slurm says so."""
    job = shop.submit(SLEEP, extra=SLURM)
    advance(shop.lab)
    began(shop, job)
    number = read_json(job.slurm)["id"]
    subprocess.run(["scontrol", "requeue", number], check=True)
    wait_for(lambda: not isinstance(read_state(job), Running))
    assert isinstance(read_state(job), Queued)
    wait_for(lambda: (query([number]) or {}).get(number) == "PENDING|BeginTime")
    passed_by(shop, lambda: "said" in read_json(job.slurm))
    assert read_json(job.slurm)["said"] == "pending (BeginTime)"
    subprocess.run(["scancel", number], check=True)
    passed_by(shop, lambda: isinstance(read_state(job), Done))
    done = read_state(job)
    assert isinstance(done, Done)
    assert (done.outcome, job.result.exists()) == ("killed", False)


def test_a_killed_batch_step_is_said_and_resumed(shop: Workshop, cluster: None) -> None:
    job = shop.submit(f"import os\nif os.path.exists('go'): raise SystemExit\n{SLEEP}", extra=SLURM)
    advance(shop.lab)
    pid = began(shop, job).pid
    os.kill(pid, 9)
    wait_for(lambda: not isinstance(read_state(job), Running))
    assert isinstance(read_state(job), Lost | Done)
    passed_by(shop, lambda: isinstance(read_state(job), Done))
    done = read_state(job)
    assert isinstance(done, Done)
    assert done.outcome == "failed"
    assert done.detail.startswith("Slurm job ")
    (shop.lab.root / "go").touch()
    resume(shop.lab, job)
    advance(shop.lab)
    assert ended(job).outcome == "ok"


RANK = """
import os, signal, sys, time
me = os.environ["SLURM_PROCID"]
def save(*_):
    time.sleep(0.2 + int(me))
    print("saved", me, flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
print("up" if me == "1" else "here", os.environ["PET_NNODES"], flush=True)
time.sleep(300)
"""


def test_a_stop_reaches_every_node_and_waits_for_each(shop: Workshop, cluster: None) -> None:
    argv = ["srun", sys.executable, "-S", "-c", RANK]
    job = shop.submit("", config={"argv": argv}, extra={**SLURM, "slurm": {"nodes": 2}})
    other = shop.submit(SLEEP, extra=SLURM)
    advance(shop.lab)
    began(shop, job)
    printed(job, "here 2")
    stop(job)
    done = ended(job)
    assert (done.outcome, done.code, done.detail) == ("killed", 0, "stopped on request")
    assert read_json(job.exit)["peak_memory_bytes"] == 0  # not known, and not srun's own
    assert sorted(line for line in job.log.read_text().splitlines() if line.startswith("sav")) == [
        "saved 0",
        "saved 1",
    ]
    stop(other)
    ended(other)


@pytest.mark.timeout(300)  # four processes load torch; this machine may have other work
def test_a_network_is_trained_on_two_nodes_together(shop: Workshop, cluster: None) -> None:
    config = {
        "data": {"train_size": 16, "val_size": 10, "test_size": 10},
        "model": {"hidden": [8]},
        "train": {"epochs": 20, "batch": 16, "processes": 2, "threads": 1},
    }
    extra = {**SLURM, "slurm": {"nodes": 2}, "wandb": {"mode": "off"}}
    job = shop.submit("", recipe="mlp", config=config, extra=extra)
    advance(shop.lab)
    assert ended(job, 240).outcome == "ok"
    said = [event for event in read_events(job.events)[0] if event.kind != "note"]
    assert [event.kind for event in said].count("start") == 1
    assert [event.kind for event in said].count("end") == 1
    steps = [event.step for event in said if event.kind == "step"]
    assert steps == sorted(set(steps))  # of one writer
    assert steps[-1] == 20
    assert "in each of 2 processes" in job.log.read_text()
    result = read_result(job.result)
    assert result is not None
    assert result.n["train"] == 16


def test_what_slurm_refuses_is_said_beforehand(shop: Workshop, cluster: None) -> None:
    wrong = {**SLURM, "slurm": {"partition": "nowhere"}}
    spec = shop.spec("print(1)", extra=wrong)
    bad, *_ = preflight(shop.lab, [spec], [], Machine())
    assert bad.status == "bad"
    assert "partition" in bad.text
    found = preflight(shop.lab, [replace(spec, extra=SLURM)], [], Machine())
    assert {one.status for one in found} <= {"note"}
    job = shop.submit("print(1)", extra=wrong)
    advance(shop.lab)
    done = ended(job)
    assert (done.outcome, "partition" in done.detail) == ("failed", True)
    assert query(["999999_0"]) == {}
