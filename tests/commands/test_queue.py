"""Commands on the queue, over real jobs: hold, release, move, adopt, findings, taking over."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.waiting import DEADLINE, SLEEP, becomes, ended, nothing_runs, printed, wait_for
from vitlab.cli import main
from vitlab.contract.events import EventWriter
from vitlab.contract.job import Lost, Queued, Running
from vitlab.contract.paths import JobPaths, LabPaths, UsageError
from vitlab.contract.value import MEMORY, MFU, SPEED, WAIT
from vitlab.jobs import store, submissions
from vitlab.jobs.files import read_json, write_json
from vitlab.jobs.process.health import Health
from vitlab.jobs.process.monitor import write_health
from vitlab.jobs.queue.queue import waiting_in_order
from vitlab.jobs.store import all_jobs, read_job, read_state
from vitlab.jobs.submissions import NOT_HERE

ROADMAP = """\
# Plan

**Project:** `VIT`

| MVP | Name | Phase | Gate | Status | exp_id | Report |
|-----|------|-------|------|--------|--------|--------|
| 1.0 | Sleep | 1 | - | ⏳ | - | - |
| 2.0 | Broken | 1 | - | ⏳ | - | - |
"""
SLEEPER = [sys.executable, "-S", "-c", SLEEP]


class Bench:
    """A lab in the current folder and the commands on it."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.lab = LabPaths(root)
        self._capsys = capsys

    def experiment(self, mvp: str, argv: list[str], more: str = "") -> None:
        text = f'mvp: "{mvp}"\nroadmap: roadmaps/roadmap.md\nrecipe: command\n'
        path = self.lab.experiments / f"m{mvp.replace('.', '_')}.yaml"
        path.write_text(f"{text}config: {{argv: {json.dumps(argv)}}}\n{more}")

    def __call__(self, *words: str) -> tuple[int, str, str]:
        """Exit status, standard output, standard error."""
        status = main(list(words))
        said = self._capsys.readouterr()
        return status, said.out, said.err

    def jobs(self) -> list[JobPaths]:
        return [job.paths for job in all_jobs(self.lab)]

    def line(self) -> list[str]:
        return [job.paths.folder.name for job in waiting_in_order(all_jobs(self.lab))]


@pytest.fixture
def bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Bench]:
    root = tmp_path / "lab"
    (root / "experiments").mkdir(parents=True)
    (root / "roadmaps").mkdir()
    (root / "roadmaps" / "roadmap.md").write_text(ROADMAP)
    (root / "vitlab.yaml").write_text("profile: full\ngrace: 1\n")
    monkeypatch.chdir(root)
    bench = Bench(root, capsys)
    bench.experiment("1.0", SLEEPER)
    yield bench
    for job in bench.jobs():
        bench("stop", job.name)
    nothing_runs(root)


def test_a_number_that_is_no_r2_has_its_name(bench: Bench) -> None:
    script = "from vitlab.events import log; log({'val/mae_sigma/log_g': 0.37}, 1)"
    bench.experiment("2.0", [sys.executable, "-c", script], "headline: val/mae_sigma/log_g\n")
    assert bench("run", "2.0")[0] == 0
    ended(bench.jobs()[0])
    head, row = bench("jobs")[1].splitlines()
    assert (head.split()[-1], row.rpartition("  ")[2]) == ("R2", "MAE 0.370 σ")
    name = bench.jobs()[0].name
    assert bench("stop", name) == (2, "", f"vitlab: {name}: has ended already: ok\n")
    assert "wrote" not in bench("sync", "--dry-run")[2]
    wrote = bench("sync")[2].splitlines()[-1]  # without a terminal it does not ask
    assert wrote.startswith("wrote roadmaps/roadmap.md, roadmaps/exp_m2_0_")
    assert wrote.endswith(".md; `vitlab undo` undoes the last write")


def test_a_failed_job_says_why(bench: Bench) -> None:
    bench.experiment("2.0", [sys.executable, "-c", "raise KeyError('lr' * 50)"])
    assert bench("run", "2.0", "--wait")[0] == 1
    row = bench("jobs")[1].splitlines()[1]
    assert f"  failed: KeyError: '{'lr' * 24}...  " in row
    assert json.loads(bench("jobs", "--json")[1])[0]["why"] == f"KeyError: '{'lr' * 50}'"


def test_who_is_waited_for_is_told_once(bench: Bench) -> None:
    bench.experiment("2.0", [sys.executable, "-S", "-c", "{seed}"], "repeats: 4\n")
    status, out, said = bench("run", "2.0", "--wait")
    names = [line.removeprefix("submitted ") for line in out.splitlines() if "submitted" in line]
    waits = [line for line in said.splitlines() if ": waiting: " in line]
    assert (status, len(names)) == (0, 4)
    assert waits
    assert all(sum(line.startswith(name) for line in waits) <= 1 for name in names)


def test_of_several_roadmaps_one_is_named(bench: Bench) -> None:
    other = bench.lab.roadmaps / "b" / "other_roadmap.md"
    other.parent.mkdir()
    other.write_text(ROADMAP.replace("**Project:** `VIT`", "**Project:** `OTHER`"))
    name = bench.lab.relative(other)
    bench.experiment("2.0", ["true"])
    # The one with an experiment file is meant, until both have one.
    assert bench("run", "2.0")[0] == 0
    assert bench.jobs()[0].name.startswith("VIT-")
    own = bench.lab.experiments / "other.yaml"
    text = (bench.lab.experiments / "m2_0.yaml").read_text()
    own.write_text(text.replace("roadmaps/roadmap.md", name).replace("true", "false"))
    why = f"vitlab: MVP 2.0 is in several roadmaps ({name}, roadmaps/roadmap.md): use --roadmap\n"
    for words in (("run", "2.0"), ("sync", "2.0"), ("demo", "--mvp", "2.0")):
        assert bench(*words) == (2, "", why)
    assert bench("--roadmap", "roadmaps/roadmap.md", "jobs") == (
        2, "", "vitlab: vitlab jobs: does not take --roadmap\n",
    )  # fmt: skip
    before = bench("--roadmap", name, "status", "--json")[1]
    assert json.loads(before)["roadmap"] == name
    for line in (f"run 2.0 --roadmap {name}", f"--roadmap {name} run 2.0 --force"):
        jobs = bench.jobs()
        assert bench(*line.split())[0] == 0
        (job,) = (one for one in bench.jobs() if one not in jobs)
        assert job.name.startswith("OTHER-")


def test_the_demo_takes_the_profile_there_is(bench: Bench) -> None:
    script = "from vitlab.events import log; log({'val/r2/log_g': 0.5}, 1)"
    bench.experiment("2.0", [sys.executable, "-c", script], "headline: val/r2/log_g\n")
    status, out, _ = bench("demo", "--mvp", "MVP-2.0", "--dry-run")
    assert (status, out.splitlines()[0]) == (0, "roadmaps/roadmap.md: MVP 2.0 at profile full")


def test_hold_release_and_move(bench: Bench) -> None:
    for _ in range(4):
        assert bench("run", "1.0", "--force")[0] == 0
    first, *waiting = bench.jobs()
    becomes(first, Running)
    names = [job.folder.name for job in waiting]
    assert bench.line() == names
    assert bench("hold", waiting[0].name) == (0, f"held {waiting[0].name}\n", "")
    assert json.loads(bench("jobs", "--json")[1])[1]["why"] == "held: release it to run"
    assert bench("jobs")[1].splitlines()[2].split()[4] == "held"
    assert bench("move", waiting[2].name, "--first")[0] == 0
    assert bench.line() == [names[2], names[0], names[1]]
    bench("move", waiting[2].name, "--down", "1")
    bench("move", waiting[1].name, "--up", "2")
    assert bench.line() == [names[1], names[0], names[2]]
    assert bench("move", waiting[1].name, "--up", "0")[0] == 2
    status, _, said = bench("hold", first.name)
    assert (status, said.count("\n")) == (2, 1)
    assert "is not waiting, it is running" in said
    bench("stop", waiting[1].name)
    bench("stop", waiting[2].name)
    bench("stop", first.name)
    ended(first)
    nothing_runs(bench.lab.root)
    assert isinstance(read_state(waiting[0]), Queued)  # held: it did not start
    assert bench("release", waiting[0].name)[0] == 0
    becomes(waiting[0], Running)


def test_the_plan_follows_what_a_person_does_with_a_job(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped, resumed, put aside and released: at once, with no screen open, one undo each."""
    monkeypatch.setattr("vitlab.commands.jobs.STOP_PATIENCE", DEADLINE)
    roadmap = bench.lab.roadmaps / "roadmap.md"
    roadmap.write_text(f"{ROADMAP}\n**Status:** ⏳ planned | 🚀 running | ✅ done\n")

    def stands(status: str, glyph: str) -> None:
        [shown] = json.loads(bench("status", "--json")[1])["roadmaps"]
        assert shown["mvps"][0]["status"] == status
        assert f"| 1.0 | Sleep | 1 | - | {glyph} |" in roadmap.read_text()
        assert bench("lint") == (0, "", "")

    bench("run", "1.0")
    [job] = bench.jobs()
    becomes(job, Running)
    for _ in range(2):
        assert bench("stop", job.name) == (0, f"stopping {job.name}\n", "")
        stands("paused", "⏸️")
        assert bench("resume", job.name)[0] == 0
        stands("running", "🚀")
        printed(job)
    bench("undo")
    stands("paused", "⏸️")
    bench("redo")
    bench("run", "1.0", "--force")
    other = bench.jobs()[1]
    bench("hold", other.name)
    stands("running", "🚀")  # the first one runs
    bench("stop", job.name)
    assert bench("stop", other.name)[0] == 0
    bench("run", "1.0", "--force")
    [*_, third] = bench.jobs()
    becomes(third, Running)
    fourth = bench("run", "1.0", "--force")[1].split()[-1]
    bench("hold", fourth)
    stands("running", "🚀")
    bench("stop", third.name)
    stands("paused", "⏸️")
    bench("release", fourth)
    stands("running", "🚀")
    becomes(bench.jobs()[-1], Running)


def test_a_job_that_is_done_is_not_run_again(bench: Bench) -> None:
    bench.experiment("2.0", ["true"])
    bench("run", "2.0", "--wait")
    [job] = bench.jobs()
    before = job.exit.read_bytes()
    again = "`vitlab run 2.0 --profile full` starts a new run"
    why = f"vitlab: {job.name}: is done, so there is nothing to resume: {again}\n"
    assert bench("resume", job.name) == (2, "", why)
    assert (job.exit.read_bytes(), job.resume.exists()) == (before, False)


def without_notes(said: str) -> str:
    """The lines that do not depend on the environment of the tests."""
    return "".join(line for line in said.splitlines(True) if not line.startswith("note: "))


def test_findings_are_said_and_a_bad_one_needs_force(bench: Bench) -> None:
    bench.experiment("2.0", ["./missing.sh"])
    before = (bench.lab.roadmaps / "roadmap.md").read_text()
    status, out, said = bench("run", "2.0")
    assert (status, out) == (2, "")
    assert said == "vitlab: experiments/m2_0.yaml:4: config.argv: ./missing.sh: no such program\n"
    assert bench.jobs() == []
    assert (bench.lab.roadmaps / "roadmap.md").read_text() == before
    status, _, said = bench("run", "2.0", "--force")
    assert (status, without_notes(said)) == (0, "bad: config.argv: ./missing.sh: no such program\n")
    [job] = bench.jobs()
    assert ended(job).outcome == "failed"
    nothing_runs(bench.lab.root)  # or its supervisor may be the one who starts the next job
    bench("run", "1.0")
    [running] = [one for one in bench.jobs() if one != job]
    becomes(running, Running)
    status, _, said = bench("run", "1.0")
    again = f"the same is running: {running.name}; --force launches it a second time"
    assert (status, said) == (2, f"vitlab: experiments/m1_0.yaml: {again}\n")
    status, _, said = bench("run", "1.0", "--force")
    assert "note: code: the folder of" in said
    assert (status, without_notes(said)) == (0, f"bad: {again}\n")


def test_started_five_times_at_once_it_is_launched_once(bench: Bench) -> None:
    argv = [sys.executable, "-m", "vitlab", "run", "1.0"]
    processes = [subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) for _ in range(5)]
    said = [process.communicate()[1] for process in processes]
    assert sorted(process.returncode for process in processes) == [0, 2, 2, 2, 2]
    assert sum("the same is " in one for one in said) == 4
    [job] = bench.jobs()
    becomes(job, Running)


@pytest.mark.parametrize("why", ["rights", "second writer", "full disk", "no folder"])
def test_a_refused_launch_leaves_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    def refuse(*_: object) -> None:
        if why == "second writer":
            raise UsageError("another vitlab writes")
        number = errno.EACCES if why == "rights" else errno.ENOSPC
        raise OSError(number, os.strerror(number), "roadmaps/roadmap.md")

    before = sorted(bench.lab.experiments.rglob("*"))
    plan = (bench.lab.roadmaps / "roadmap.md").read_bytes()
    # The save that tells of a launch puts its jobs in place, the launch what is left of them.
    what = ["launch.publish", "after_save.publish"] if why == "no folder" else ["launch.save"]
    with monkeypatch.context() as broken:
        for one in what:
            broken.setattr(f"vitlab.lab.{one}", refuse)
        for _ in range(2):
            status, out, said = bench("run", "1.0")
            assert (status, out, without_notes(said).count("\n")) == (2, "", 1)
    assert sorted(bench.lab.experiments.rglob("*")) == before
    assert (bench.lab.roadmaps / "roadmap.md").read_bytes() == plan
    assert bench("redo")[0] == bench("undo")[0] == 2
    assert bench("jobs")[0] == 0
    assert bench.jobs() == []


def test_a_job_that_was_not_submitted_here(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.experiment("1.0", [sys.executable, "-c", "print(1)"])
    path = bench.lab.experiments / "m1_0.yaml"
    more = "config: {env: {LD_PRELOAD: evil.so}, resume_argv: [sh, -c, evil], "
    path.write_text(path.read_text().replace("config: {", more))
    with monkeypatch.context() as another:
        another.setenv("XDG_STATE_HOME", str(bench.lab.root / "of-another"))
        for name in "ABCDEFG":
            another.setenv(f"A_{name}", "1")
        for name in ("TERM", "SSH_CLIENT", "OLDPWD"):
            another.setenv(name, "another's")
        another.setattr("vitlab.lab.launch.scheduler.advance", lambda _: [])
        bench("run", "1.0")
    [job] = bench.jobs()
    submissions._known.clear()
    store._kept.clear()
    for words in (("jobs",), ("status",), ("status", "roadmaps/roadmap.md")):
        assert bench(*words)[0] == 0
    assert not job.started.exists()
    [row] = json.loads(bench("jobs", "--json")[1])
    assert (row["state"], row["why"]) == ("foreign", NOT_HERE)
    assert "foreign" in bench("jobs")[1]
    status, _, said = bench("resume", job.name)
    assert status == 2
    lines = [one for one in said.splitlines() if not one.startswith("vitlab: note: .vitlab/")]
    assert lines[:6] == [
        f"{job.name}: not submitted here by you",
        f"runs: {sys.executable} -c 'print(1)'",
        f"in: {bench.lab.root}",
        "resumes by: sh -c evil",
        "sets: LD_PRELOAD=evil.so",
        "with your environment, not the one it came with: A_A, A_B, A_C, A_D, A_E and 2 more",
    ]
    assert f"vitlab: {job.name}: not submitted here: `vitlab resume JOB --here` submits" in said
    assert bench("resume", job.name, "--here")[0] == 0
    assert ended(job).outcome == "ok"


@pytest.mark.parametrize("command", ["jobs", "status", "status roadmaps/roadmap.md"])
def test_whoever_comes_by_takes_over_from_a_killed_supervisor(bench: Bench, command: str) -> None:
    bench("run", "1.0")
    bench("run", "1.0", "--force")
    first, second = bench.jobs()
    printed(first)
    os.kill(becomes(first, Running).pid, signal.SIGKILL)
    becomes(first, Lost)
    _, _, said = bench(*command.split())
    becomes(second, Running)
    if command == "jobs":
        assert f"1 lost in a crash or restart: {first.name}" in said
    assert bench("stop", first.name)[0] == 0
    assert "left behind" not in bench("jobs")[2]


def test_a_job_queued_before_a_restart_is_left_behind(bench: Bench) -> None:
    bench("run", "1.0")
    bench("run", "1.0", "--force")
    first, second = bench.jobs()
    queue = read_json(second.folder / "queue.json")
    host = queue["boot"].split(":")[0]
    write_json(second.folder / "queue.json", {**queue, "boot": f"{host}:0:0"})
    bench("stop", first.name)
    ended(first)
    nothing_runs(bench.lab.root)
    assert f"1 lost in a crash or restart: {second.name}" in bench("jobs")[2]
    assert isinstance(read_state(second), Queued)
    assert bench("resume", second.name)[0] == 0
    becomes(second, Running)


def test_a_lab_that_can_only_be_read_is_read(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench("run", "1.0")
    bench("run", "1.0", "--force")

    def refuse(_: object) -> None:
        raise PermissionError(13, "read-only")

    monkeypatch.setattr("vitlab.jobs.queue.scheduler.advance", refuse)
    assert bench("jobs")[0] == 0
    monkeypatch.undo()
    os.chdir(bench.lab.root)


@pytest.mark.parametrize("wrong", ["gate_stars: lots", "statuses: {flying: x}", "a: ["])
def test_wrong_settings_stop_nothing_but_what_starts_or_writes(bench: Bench, wrong: str) -> None:
    """`write_status: ask` is not forgotten, whatever else is wrong."""
    assert bench("run", "1.0")[0] == bench("run", "1.0", "--force")[0] == 0
    plan = bench.lab.roadmaps / "roadmap.md"
    running, waiting = bench.jobs()
    printed(running)
    before = plan.read_bytes()
    bench.lab.settings.write_text(f"write_status: ask\n{wrong}\n")
    for words in ("status", "jobs", f"logs {running.name}", f"hold {waiting.name}",
                  f"stop {running.name}"):  # fmt: skip
        status, out, err = bench(*words.split())
        assert (status, bool(out)) == (0, True)
        assert err.startswith("vitlab: note: ")
        assert "vitlab.yaml" in err.splitlines()[0]
        assert err.count("vitlab.yaml") == 1
    ended(running)
    for words in ("run 1.0", f"resume {running.name}", f"release {waiting.name}", "sync"):
        status, _, err = bench(*words.split())
        assert (status, err.count("\n")) == (2, 1)
    assert plan.read_bytes() == before
    assert isinstance(read_state(waiting), Queued)
    assert bench("undo")[0] == 0
    assert plan.read_bytes() != before


def test_a_run_started_by_hand_is_adopted(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "numbers.csv").write_text("step,score\n1,0.25\n")
    with (folder / "train.log").open("wb") as log:
        run = subprocess.Popen(SLEEPER, cwd=folder, stdout=log)
    adopt = ("adopt", "--pid", str(run.pid), "--mvp", "MVP-1.0")
    metrics = ("--metrics", str(folder / "numbers.csv"))
    status, _, said = bench(*adopt, *metrics)
    assert (status, said.count("\n")) == (2, 1)
    assert "the names of its numbers are unknown" in said
    assert bench(*adopt, "--name", "score=val/r2/log_g")[0] == 2
    assert bench(*adopt, "--metrics", "none.csv")[0] == 2
    assert bench(*adopt, "--metrics", "../*.csv")[0] == 2
    assert bench("adopt", "--pid", str(run.pid))[0] == 2
    names = "metrics: {file: x.csv, names: {score: val/r2/log_g}}\nruns: [{name: Run 1 wide}]\n"
    bench.experiment("1.0", SLEEPER, names)
    status, out, said = bench(*adopt, *metrics, "--run", "Run 1")
    assert status == 0
    [job] = bench.jobs()
    assert out == f"adopted {job.name}\n"
    assert said.splitlines() == [
        f"log: {folder / 'train.log'}",
        "metrics: numbers.csv: score = val/r2/log_g",
    ]
    assert bench(*adopt, *metrics) == (2, "", f"vitlab: process {run.pid}: is already a job: "
                                       f"{job.name}\n")  # fmt: skip
    found = read_job(job)
    assert found is not None
    assert (found.spec.mvp, found.spec.run, found.spec.experiment) == (
        "1.0",
        "Run 1 wide",
        "experiments/m1_0.yaml",
    )
    assert found.spec.exp_id in (bench.lab.roadmaps / "roadmap.md").read_text()
    wait_for(lambda: json.loads(bench("jobs", "--json")[1])[0]["values"] == {"val/r2/log_g": 0.25})
    run.kill()
    run.wait()
    assert ended(job).detail.startswith("started by hand: its exit code is unknown")


def test_a_run_whose_watcher_was_killed_is_adopted_again_and_not_called_stopped(
    bench: Bench, tmp_path: Path
) -> None:
    (tmp_path / "numbers.csv").write_text("step,score\n")
    with (tmp_path / "train.log").open("wb") as log:
        run = subprocess.Popen(SLEEPER, cwd=tmp_path, stdout=log)
    try:
        names = "metrics: {file: x.csv, names: {score: val/r2/log_g}}\nruns: [{name: Run 1}]\n"
        bench.experiment("1.0", SLEEPER, names)
        metrics = ("--metrics", str(tmp_path / "numbers.csv"))
        adopt = ("adopt", "--pid", str(run.pid), "--mvp", "1.0", *metrics, "--run", "Run 1")
        assert bench(*adopt)[0] == 0
        (job,) = bench.jobs()
        os.kill(wait_for(lambda: read_json(job.started).get("pid")), signal.SIGKILL)
        becomes(job, Lost)
        status, _, said = bench("resume", job.name)
        assert (status, f"its process {run.pid} still runs: `vitlab adopt --pid" in said) == (
            2,
            True,
        )
        status, out, _ = bench("stop", job.name)
        assert (
            out
            == f"dropped {job.name}: its process {run.pid} still runs, `kill {run.pid}` ends it\n"
        )
        assert run.poll() is None
        assert bench(*adopt)[0] == 0
        again = next(one for one in bench.jobs() if one != job)
        with (tmp_path / "numbers.csv").open("a") as file:
            file.write("1,0.25\n")
        shown = partial(bench, "jobs", "--json")
        wait_for(
            lambda: {"val/r2/log_g": 0.25} in [one["values"] for one in json.loads(shown()[1])]
        )
    finally:
        run.kill()
        run.wait()
    ended(again)


def test_a_running_job_shows_how_it_performs(bench: Bench) -> None:
    bench("run", "1.0")
    (job,) = bench.jobs()
    becomes(job, Running)
    values = {SPEED: 21300.4, MFU: 0.1826, MEMORY: 31.24, WAIT: 0.021}
    with EventWriter(job.events) as writer:
        writer.write("step", step=4, of=9, values=values)
    _, out, _ = bench("jobs")
    assert "21,300/s, 18% of the peak, 31.2 GB, waiting for data 2%" in out
    (record,) = json.loads(bench("jobs", "--json")[1])
    assert record["values"] == values
    with EventWriter(job.events) as writer:
        writer.write("step", step=5, of=9, values={SPEED: 1e300})
    write_health(job, Health("warn", "slow", "only 9 samples/s, its median is 99: gpu0 is hot"))
    _, out, err = bench("jobs")
    assert " 18% of the peak" in out
    assert "warning: only 9 samples/s, its median is 99: gpu0 is hot" in err
