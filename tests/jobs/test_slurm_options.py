"""What of Slurm can be tested without one: its options, its command lines, its absence."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.jobs.conftest import Workshop
from vitlab.contract.events import EventWriter
from vitlab.contract.job import Done, Queued
from vitlab.jobs import slurm, submissions
from vitlab.jobs.experiment.experiment import load_experiment
from vitlab.jobs.experiment.settings import Settings
from vitlab.jobs.files import read_json, write_json
from vitlab.jobs.git import Code
from vitlab.jobs.process import slurm_step
from vitlab.jobs.process.monitor import without_progress
from vitlab.jobs.process.slurm_step import gpus, number, rendezvous, srun_prefix
from vitlab.jobs.process.supervisor import _not_requeued
from vitlab.jobs.queue.machine import Machine
from vitlab.jobs.queue.preflight import preflight
from vitlab.jobs.queue.scheduler import advance, hold, release, stop
from vitlab.jobs.slurm import batch, cancel, is_here, seconds_of, submit_batch
from vitlab.jobs.store import job_folders, read_job, read_state
from vitlab.lab.lab import Lab
from vitlab.lab.launch import preview
from vitlab.lab.live.snapshot import job_views

SLURM = {"backend": "slurm"}


def test_the_command_of_an_array() -> None:
    options = {"partition": "gpu", "time": "12:00:00", "gpus": "a100:1", "memory": 32.5,
               "cpus": 8, "at_once": 4, "warning": 300}  # fmt: skip
    argv = batch(options, Path("/lab"), Path("/lab/.vitlab/slurm/E-1.txt"), 10)
    assert argv[0] == "sbatch"
    assert {"--array=0-9%4", "--partition=gpu", "--time=12:00:00", "--gpus-per-node=a100:1",
            "--mem=32500M", "--cpus-per-task=8", "--signal=B:USR2@300", "--requeue",
            "--chdir=/lab"} <= set(argv)  # fmt: skip
    assert argv[-1].startswith("--wrap=exec ")
    assert argv[-1].endswith(" -m vitlab.jobs.process.slurm_step /lab/.vitlab/slurm/E-1.txt")


def test_a_per_cent_sign_in_a_lab_s_path_is_no_number_of_slurm_s() -> None:
    root = Path("/50%job")
    assert "--output=/50%%job/E-1.%a.log" in batch({}, root, root / "E-1.txt", 2)


@pytest.mark.parametrize(
    ("limit", "seconds"),
    [("90", 5400), ("1:30", 90), ("1:30:00", 5400), ("2-12", 216_000), ("1-0:0:5", 86_405),
     ("0", math.inf), ("UNLIMITED", math.inf), ("", math.inf)],
)  # fmt: skip
def test_a_time_limit_is_read_as_slurm_does(limit: str, seconds: float) -> None:
    assert seconds_of(limit) == seconds


def test_a_limit_within_the_warning_is_refused(
    shop: Workshop, programs: Callable[..., None]
) -> None:
    programs("sbatch", b"")
    for options, found in (
        ({"time": "2"}, 1),
        ({"time": "3"}, 0),
        ({"time": "2", "warning": 9}, 0),
    ):
        spec = shop.spec("pass", extra={**SLURM, "slurm": options})
        bad = [one for one in preflight(shop.lab, [spec], [], Machine()) if one.status == "bad"]
        assert len(bad) == found
    assert seconds_of("2") == slurm.WARNING


def test_a_job_that_comes_no_further_is_not_queued_again(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its time limit; one that comes further is, however often."""
    job = shop.submit("pass")
    with EventWriter(job.events) as writer:
        for end in (3, 2, 3, 1, 3, 2):
            assert without_progress(job.events) == ""
            writer.write("start")
            for epoch in range(end):
                writer.write("eval", step=epoch * 10, epoch=epoch, values={})
        why = "its last 5 attempts came no further than those before (epoch 2)"
        assert without_progress(job.events) == why
        writer.write("start")
        writer.write("step", step=1, epoch=3, values={})
    with EventWriter(shop.submit("pass").events) as writer:
        for _ in range(9):  # steps that `log` has counted itself
            writer.write("start")
            writer.write("step", step=1, counted=True, values={})
        assert without_progress(writer._path) == ""
    asked: list[str] = []
    monkeypatch.setattr("vitlab.jobs.slurm.requeue", lambda _, number: asked.append(number))
    assert _not_requeued(job, "7_0") == ""
    assert asked == ["7_0"]


def test_several_nodes_meet_at_the_first() -> None:
    assert rendezvous({"SLURM_JOB_NUM_NODES": "1"}, "a") == {}
    assert srun_prefix({}) == []
    two = {"SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "8"}
    found = rendezvous(two, "n1")
    assert found["PET_RDZV_ENDPOINT"] == "n1:20007"
    assert found["PET_NNODES"] == "2"
    argv = srun_prefix(two)
    assert argv[:4] == ["srun", "--nodes=2", "--ntasks=2", "--ntasks-per-node=1"]
    assert argv[-1] == "--cpus-per-task=8"
    assert gpus({"CUDA_VISIBLE_DEVICES": "0,GPU-5a4b"}) == ["0", "GPU-5a4b"]
    assert gpus({"CUDA_VISIBLE_DEVICES": "NoDevFiles"}) == gpus({}) == []
    # Slurm gives the last task of an array the number of the whole array.
    last = {"SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3"}
    assert number(last) == "7_3"


def test_without_slurm_a_job_waits_and_the_launch_is_refused(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    job = shop.submit("print(1)", extra=SLURM)
    assert not is_here()
    assert advance(shop.lab) == []
    assert isinstance(read_state(job), Queued)
    config = {"argv": [sys.executable, "-c", "print(2)"]}
    found = preflight(shop.lab, [shop.spec("", extra=SLURM, config=config)], [], Machine())
    [bad] = [one for one in found if one.status == "bad"]
    assert bad.text == "slurm: no answer from sbatch on this machine"


def test_a_job_that_was_taken_over_names_no_file_and_stops_no_other(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []

    def answer(argv: Sequence[str], *_: object) -> CompletedProcess[str]:
        if argv[0] == "sbatch":
            sent.append(argv[-1].split()[-1])
        return CompletedProcess(argv, 0, "7\n", "")

    monkeypatch.setattr("vitlab.jobs.slurm._run", answer)
    for options in ({"memory": "x"}, {"partition": "a"}):
        job = shop.submit("pass", extra={**SLURM, "slurm": options}, run=str(options))
        spec = job.spec.read_text().replace(job.folder.parent.name, "../../../planted")
        lines = spec.splitlines()
        job.spec.write_text("\n".join(line for line in lines if "crc32" not in line))
        record = read_job(job)
        assert record is not None
        lines = preview(record)
        assert 'backend: "slurm"' in lines
        assert f"slurm: {json.dumps(options)}" in lines
        submissions.record(job.folder)
    shown = [read_job(job) for job in job_folders(shop.lab)]
    begun, refused = submit_batch(shop.lab, [job for job in shown if job], lambda _: Code(), 5.0)
    assert [job.folder.name.rpartition("-")[2] for job in begun] == ["a"]
    assert len(refused) == 1
    assert all(line.startswith("slurm: ") for *_, line in refused)
    assert [Path(one).parent for one in sent] == [shop.lab.private.slurm]
    assert not list(shop.lab.root.parent.rglob("planted*"))


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, bytes, str], None]:
    """Makes a command of Slurm: its name, what it prints, and what else it does."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")

    def make(name: str, prints: bytes, then: str = "") -> None:
        (tmp_path / "bin" / f"{name}.out").write_bytes(prints)
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/sh\ncat {program}.out\n{then}\n")
        program.chmod(0o755)

    return make


def test_a_cluster_says_nothing_of_another_s_jobs(
    shop: Workshop, programs: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lab on a disk of two: each knows its own numbers."""
    asked = tmp_path / "asked"
    monkeypatch.setattr(slurm, "QUERY_INTERVAL", 0.0)
    monkeypatch.setattr(slurm, "PAUSE", 0.0)
    programs("sbatch", b"100\n")
    programs("scontrol", b"Configuration data\nClusterName             = alpha\n")
    programs("squeue", b"100_0|PENDING|Priority\n", f"echo $@ >> {asked}")
    job = shop.submit("pass", extra=SLURM)
    advance(shop.lab)
    assert read_json(job.slurm)["cluster"] == "alpha"
    advance(shop.lab)
    assert "--clusters" not in asked.read_text()
    programs("scontrol", b"ClusterName = beta\n")
    unreachable = "echo 'squeue: error: no cluster alpha can be reached' >&2; exit 1"
    programs("squeue", b"", f"echo $@ >> {asked}\n{unreachable}")
    advance(shop.lab)
    assert "--clusters=alpha" in asked.read_text()
    assert isinstance(read_state(job), Queued)
    programs("squeue", b"CLUSTER: alpha\n", "exit 0")  # where it can be asked, it is believed
    write_json(job.slurm, {**read_json(job.slurm), "sent": 1.0})
    advance(shop.lab)
    assert isinstance(read_state(job), Done)
    other = shop.submit("pass", extra=SLURM)
    programs("sbatch", b"7;gamma\n")
    programs("squeue", b"")
    programs("scancel", b"", f"echo cancel $@ >> {asked}")
    advance(shop.lab)
    assert read_json(other.slurm)["cluster"] == "gamma"
    stop(other)
    assert "cancel --clusters=gamma 7_0" in asked.read_text()


@pytest.mark.parametrize(
    ("config", "options", "arrays"),
    [
        ("MaxArraySize = 2", {}, ["0-1", "0-1", "0-0"]),
        ("MaxArraySize = 9\\nSchedulerParameters = x,max_array_tasks=3", {}, ["0-2", "0-1"]),
        ("MaxArraySize = 3", {"at_once": 1}, ["0-2%1", "0-1%1 after 4"]),
        ("MaxArraySize = 0", {}, ["0-0"] * 5),
        ("", {"at_once": 4}, ["0-4%4"]),
    ],
)
def test_a_sweep_above_the_largest_array_is_several(
    shop: Workshop,
    programs: Callable[..., None],
    config: str,
    options: dict[str, int],
    arrays: list[str],
) -> None:
    asked = shop.lab.root / "asked"
    programs("scontrol", b"", f"printf '{config}\\n'")
    programs("sbatch", b"4\n", f"echo $@ >> {asked}")
    programs("squeue", b"")
    jobs = [shop.submit("pass", extra={**SLURM, "slurm": options}, run=run) for run in "abcde"]
    assert advance(shop.lab) == jobs
    sent = [
        found[1] + (f" after {after[1]}" if after else "")
        for line in asked.read_text().splitlines()
        if (found := re.search(r"--array=(\S+)", line))
        for after in [re.search(r"--dependency=afterany:(\S+)", line)]
    ]
    assert sent == arrays
    tasks = [f"4_{i}" for array in arrays for i in range(int(array[2]) + 1)]
    assert [read_json(job.slurm)["id"] for job in jobs] == tasks


def test_a_banner_is_no_number(shop: Workshop, programs: Callable[..., None]) -> None:
    programs("sbatch", b"--- Welcome \xe0 tous ---\n12 SU left\n\n4711;alpha\n")
    programs("squeue", b"4711_0|PENDING|Priorit\xe9\n")
    job = shop.submit("pass", extra=SLURM)
    assert advance(shop.lab) == [job]
    assert read_json(job.slurm)["id"] == "4711_0"
    assert advance(shop.lab) == []
    assert read_json(job.slurm)["said"] == "pending (Priorit\ufffd)"
    programs("sbatch", b"Submitted\n")
    other = shop.submit("pass", extra=SLURM, run="other")
    advance(shop.lab)
    state = read_state(other)
    assert isinstance(state, Done)
    assert state.detail == "sbatch: no number of a job in 'Submitted'"


def test_a_job_that_slurm_does_not_name_yet_is_not_gone(
    shop: Workshop, programs: Callable[..., None]
) -> None:
    programs("sbatch", b"7\n")
    programs("squeue", b"")
    job = shop.submit("pass", extra=SLURM)
    advance(shop.lab)
    look_anew(shop)
    assert isinstance(read_state(job), Queued)
    write_json(job.slurm, {**read_json(job.slurm), "said": "pending"})
    programs("squeue", b"", "echo 'slurm_load_jobs error: Socket timed out' >&2")
    look_anew(shop)
    assert isinstance(read_state(job), Queued)
    programs("squeue", b"")
    look_anew(shop)
    assert isinstance(state := read_state(job), Done)
    assert state.detail == "Slurm job 7_0: gone"


@pytest.mark.parametrize("state", ["CANCELLED", "PENDING"])
def test_an_answer_on_a_number_that_is_gone_is_none(
    shop: Workshop, programs: Callable[..., None], monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    programs("sbatch", b"7\n")
    programs("scancel", b"")
    job = shop.submit("pass", extra=SLURM)
    advance(shop.lab)
    sent = read_job(job)
    assert sent is not None

    def answer(*_: object) -> dict[str, str]:
        cancel(job)  # somebody resumes it while Slurm is asked
        job.resume.touch()
        return {"7_0": f"{state}|None"}

    monkeypatch.setattr(slurm, "query", answer)
    assert slurm.ended(shop.lab, [sent]) == []
    assert not job.slurm.exists()
    assert job.resume.exists()


def test_a_record_without_a_number_is_submitted_anew(
    shop: Workshop, programs: Callable[..., None]
) -> None:
    programs("sbatch", b"7\n")
    job = shop.submit("pass", extra=SLURM)
    for record in ({"said": "pending"}, {"id": "x"}, {"id": None}):
        write_json(job.slurm, record)
        assert advance(shop.lab) == [job]
        assert read_json(job.slurm)["id"] == "7_0"


@pytest.mark.parametrize(
    "late",
    [
        "",
        *(
            f"sbatch: error: Batch job submission failed: {words}"
            for words in (
                "Socket timed out on send/recv operation",
                "Unable to contact slurm controller (connect failure)",
                "Zero Bytes were transmitted or received",
                "Slurm backup controller in standby mode",
                "Protocol authentication error",
                "Resource temporarily unavailable",
            )
        ),
    ],
)
def test_what_is_submitted_without_an_answer_is_looked_for_before_it_is_submitted_again(
    shop: Workshop, programs: Callable[..., None], monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    programs("sbatch", b"")
    jobs = [shop.submit("pass", extra=SLURM, run=run) for run in ("a", "b")]
    submitted, known = list[str](), list[str]()

    def run(argv: Sequence[str], _: object = None) -> CompletedProcess[str] | None:
        if argv[0] == "sbatch":
            submitted.append(next(word[11:] for word in argv if word.startswith("--job-name=")))
            return CompletedProcess(argv, 1, "", late) if late else None
        asked = argv[argv.index("-n") + 1] if "-n" in argv else ""
        rows = "7_[0-1]\n" if asked in known else ""
        return CompletedProcess(argv, 0, rows, "")

    monkeypatch.setattr(slurm, "_run", run)
    assert advance(shop.lab) == advance(shop.lab) == []
    assert len(submitted) == 1
    monkeypatch.setattr(slurm, "UNSEEN", 0)
    assert advance(shop.lab) == []
    assert len(submitted) == 2
    known.append(submitted[-1])
    assert advance(shop.lab) == jobs
    assert [read_json(job.slurm)["id"] for job in jobs] == ["7_0", "7_1"]
    assert advance(shop.lab) == []
    assert len(submitted) == 2


def test_what_was_submitted_without_an_answer_is_looked_for_on_its_clusters(
    shop: Workshop, programs: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = shop.lab.root / "asked"
    programs("sbatch", b"", "echo 'Socket timed out' >&2; exit 1")
    programs("scontrol", b"", "[ $SLURM_CLUSTERS ] && exit 1; echo ClusterName = alpha")
    programs("scancel", b"", f"echo cancel $@ >> {asked}")
    monkeypatch.setenv("SLURM_CLUSTERS", "alpha,beta")
    first, stopped, held = [shop.submit("pass", extra=SLURM, run=run) for run in "abc"]
    programs("squeue", b"CLUSTER: alpha\nJOBID\n", "echo 'error: beta is away' >&2")
    monkeypatch.setattr(slurm, "UNSEEN", 0)
    assert advance(shop.lab) == []
    name = read_json(first.slurm)["name"]
    assert advance(shop.lab) == []
    assert read_json(first.slurm)["name"] == name  # not submitted again
    views = job_views(Lab(shop.lab, Settings()))
    assert [view.why for view in views] == ["Slurm: Socket timed out"] * 3
    rows = b"CLUSTER: alpha\nJOBID\n\nCLUSTER: beta\nJOBID\n7_[0-2]\n"
    programs("squeue", rows, f"echo $@ >> {asked}")
    stop(stopped)
    monkeypatch.delenv("SLURM_CLUSTERS")  # as of another terminal
    record = read_job(held)
    assert record is not None
    hold(record)
    assert advance(shop.lab) == [first]
    found = read_json(first.slurm)
    assert (found["id"], found["cluster"], "said" in found) == ("7_0", "beta", False)
    lines = asked.read_text().splitlines()
    assert all("--clusters=alpha,beta -t all -n" in one for one in lines if "cancel" not in one)
    cancelled = [f"cancel --clusters=beta 7_{task}" for task in (1, 2)]
    assert [one for one in lines if "cancel" in one] == cancelled
    assert not held.slurm.exists()


@pytest.mark.parametrize(
    "words",
    [
        ("Slurm temporarily unable to accept job, sleeping and retrying", "Invalid account"),
        ("The standby QOS allows at most 4 hours", "Job violates accounting/QOS policy"),
    ],
)
def test_a_refusal_after_other_words_ends_the_job(
    shop: Workshop, programs: Callable[..., None], words: tuple[str, str]
) -> None:
    first, last = words
    line = f"sbatch: error: {first}\\nsbatch: error: Batch job submission failed: {last}"
    programs("sbatch", b"", f"printf '{line}' >&2; exit 1")
    job = shop.submit("pass", extra=SLURM)
    advance(shop.lab)
    assert isinstance(state := read_state(job), Done)
    assert state.detail.endswith(last)


def test_a_controller_that_hangs_is_not_asked_at_every_look(
    shop: Workshop, programs: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    programs("sbatch", b"7\n")
    monkeypatch.setattr(slurm, "COMMAND_TIMEOUT", 0.2)
    monkeypatch.setattr(slurm, "QUERY_INTERVAL", 0.1)
    programs("squeue", b"", "exec sleep 60")
    shop.submit("pass", extra=SLURM)
    advance(shop.lab)
    look_anew(shop)
    monkeypatch.setattr(slurm, "query", lambda _: pytest.fail("asked again"))
    advance(shop.lab)


def test_defaults_of_slurm_s_commands_hide_no_job_from_them(
    shop: Workshop, programs: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"SBATCH_ACCOUNT": "a", "SLURM_CONF": "/c"}
    taken = ("SQUEUE_PARTITION", "SCANCEL_STATE", "SCONTROL_LOCAL", "SBATCH_ARRAY_INX", "SLURM_JOB")
    for name, value in {**given, **dict.fromkeys(taken, "x")}.items():
        monkeypatch.setenv(name, value)
    seen = shop.lab.root / "seen"
    programs("sbatch", b"7\n", f"env > {seen}")
    shop.submit("pass", extra=SLURM)
    advance(shop.lab)
    lines = seen.read_text().splitlines()
    assert {f"{name}={value}" for name, value in given.items()} <= set(lines)
    assert not [line for line in lines if line.startswith(taken)]


def test_a_held_job_does_not_run_though_slurm_did_not_hear_of_it(
    shop: Workshop, programs: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    programs("sbatch", b"7\n")
    programs("scancel", b"", "exit 1")
    programs("squeue", b"7_0|COMPLETED|None\n")
    monkeypatch.setattr("vitlab.jobs.process.supervisor.main", lambda _: pytest.fail("it runs"))
    job = shop.submit("pass", extra=SLURM)
    advance(shop.lab)
    [folders] = shop.lab.private.slurm.iterdir()
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "7")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    record = read_job(job)
    assert record is not None
    hold(record)
    with pytest.raises(SystemExit, match="0"):
        slurm_step.main([str(folders)])
    look_anew(shop)
    assert isinstance(read_state(job), Queued)
    programs("sbatch", b"8\n")
    release(record)
    advance(shop.lab)
    assert read_json(job.slurm)["id"] == "8_0"
    with pytest.raises(SystemExit, match="0"):  # the step of the first number
        slurm_step.main([str(folders)])
    assert not job.exit.exists()


def look_anew(shop: Workshop) -> None:
    """As if the last question to Slurm were long ago."""
    shop.lab.private.slurm_asked.unlink(missing_ok=True)
    advance(shop.lab)


def test_options_come_from_the_experiment_file(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    head = "mvp: x\nroadmap: r.md\nrecipe: command\nconfig: {argv: [python, train.py]}\n"
    path.write_text(f'{head}slurm: {{partition: gpu, time: "1:00:00", memory: 8}}\n')
    [spec] = load_experiment(path).specs("full", "E")
    assert spec.extra["slurm"] == {"partition": "gpu", "time": "1:00:00", "memory": 8.0}
