"""Jobs as real processes: how they end, and what stays true when something is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.jobs.conftest import Workshop
from tests.jobs.metric_files import wandb_file
from tests.waiting import (
    SLEEP,
    becomes,
    children,
    ended,
    nothing_runs,
    printed,
    processes_of,
    running,
    wait_for,
)
from vitlab.contract.events import read_events
from vitlab.contract.job import Done, Lost, Queued, Running, read_spec
from vitlab.contract.paths import JobPaths, LabPaths, UsageError
from vitlab.contract.tracking import read_link
from vitlab.jobs import files, processes
from vitlab.jobs.files import read_json, write_json
from vitlab.jobs.process import child
from vitlab.jobs.process.supervisor import POLL
from vitlab.jobs.queue import scheduler
from vitlab.jobs.queue.scheduler import advance, resume, stop
from vitlab.jobs.store import read_state

STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: print("no", flush=True))
print("ready", flush=True)
while True: time.sleep(0.05)
"""


def test_success_and_what_the_job_sees(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    shop.settings("cpu_threads: 3\n")
    code = (
        "import os, sys; print([os.environ.get(n) for n in ('CUDA_VISIBLE_DEVICES', "
        "'CUDA_DEVICE_ORDER', 'OMP_NUM_THREADS', 'VITLAB_JOB')]); print(os.getcwd()); "
        "print(os.getpgrp() == os.getpid(), sys.stdin.read(), file=sys.stderr)"
    )
    job = shop.submit(code)
    assert isinstance(read_state(job), Queued)
    assert advance(shop.lab) == [job]
    assert ended(job).outcome == "ok"
    lines = job.log.read_text().splitlines()
    # On a machine without GPUs what its user has set is left alone.
    assert lines[0] == str(["", None, "3", str(job.folder)])
    assert lines[1:] == [str(shop.lab.root), "True "]
    record = read_json(job.exit)
    assert (record["v"], record["code"], record["signal"]) == (1, 0, None)
    assert record["peak_memory_bytes"] > 1_000_000
    started = read_json(job.started)
    assert started["argv"][0] == sys.executable
    assert {"host", "pid", "ticks", "devices", "commit"} <= set(started)


@pytest.mark.parametrize(
    ("code", "outcome", "detail"),
    [
        ("raise ValueError('wide\\tload')", "failed", "ValueError: wide load"),
        ("import nowhere", "import_error", "ModuleNotFoundError: No module named 'nowhere'"),
        ("import sys; print('loss is nan'); sys.exit(3)", "failed", "loss is nan"),
        ("raise RuntimeError('CUDA out of memory. Tried to')", "oom", "CUDA out of memory"),
        ("raise OSError(28, 'No space left on device')", "disk_full", "No space left"),
        ("import os; os.kill(os.getpid(), 9)", "killed", "SIGKILL from outside"),
        ("import os; os.abort()", "failed", "SIGABRT"),
        ("import sys; sys.exit(143)", "killed", "SIGTERM from outside; it ended itself"),
        (
            "try:\n  import nowhere\nexcept ImportError as e:\n  print(f'ImportError: {e}')\n"
            "raise MemoryError",
            "oom",
            "MemoryError",
        ),
    ],
)
def test_every_end_has_its_reason(shop: Workshop, code: str, outcome: str, detail: str) -> None:
    job = shop.submit(code)
    advance(shop.lab)
    done = ended(job)
    assert (done.outcome, detail in done.detail) == (outcome, True), done


def test_a_program_that_is_not_there(shop: Workshop) -> None:
    job = shop.submit("", config={"argv": ["no-such-program"]})
    advance(shop.lab)
    done = ended(job)
    assert (done.outcome, done.code) == ("failed", 127)
    assert done.detail == "cannot start no-such-program: No such file or directory"


def test_a_limit_of_processes_is_waited_for_and_prevents_no_launch(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    job = shop.submit("pass")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        assert processes.in_thread(os.getpid) is None
        assert advance(shop.lab) == [job]
    assert ended(job).outcome == "ok"
    answers = iter([BlockingIOError(), BlockingIOError(), None])

    def start() -> int:
        if (answer := next(answers)) is not None:
            raise answer
        return 4711

    assert processes.when_possible(start) == 4711
    monkeypatch.setattr(processes, "PATIENCE", 0.0)
    answers = iter([BlockingIOError()] * 9)
    with pytest.raises(BlockingIOError):
        processes.when_possible(start)


def test_python_finds_no_modules_in_a_lab(shop: Workshop, tmp_path: Path) -> None:
    """Neither one that a library starts in a job of ours, nor `python -m vitlab`."""
    (shop.lab.root / "yaml.py").write_text("raise SystemExit('stranger')")
    ridge = child.environment(shop.submit("", recipe="ridge", config={}), os.environ)[0]
    own = child.environment(shop.submit(""), {})[0]
    assert ridge["PYTHONSAFEPATH"] == "1"
    assert own.get("PYTHONSAFEPATH") == os.environ.get("PYTHONSAFEPATH")
    for argv, variables in (
        ([sys.executable, "-c", "import yaml"], ridge),
        ([sys.executable, "-m", "vitlab", "status"], own),
    ):
        ran = subprocess.run(
            argv, cwd=shop.lab.root, env=variables, capture_output=True, text=True, check=False
        )
        assert "stranger" not in ran.stderr


def test_a_command_runs_in_its_own_folder(shop: Workshop) -> None:
    (shop.lab.root / "scripts").mkdir()
    script = shop.lab.root / "scripts" / "go.sh"
    script.write_text('#!/bin/sh\necho "$1 in $PWD"\n')
    script.chmod(0o755)
    job = shop.submit("", config={"argv": ["./go.sh", "a b; $HOME"], "cwd": "scripts"})
    advance(shop.lab)
    assert ended(job).outcome == "ok"
    assert job.log.read_text() == f"a b; $HOME in {script.parent}\n"


def test_stop_ends_the_whole_tree_after_a_grace(shop: Workshop) -> None:
    shop.settings("grace: 1\n")  # time for it to say no
    tree = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', '''{STUBBORN}'''])"
    job = shop.submit(tree)
    advance(shop.lab)
    printed(job, "ready")
    assert len(children(job)) == 2
    stop(job)
    assert ended(job).outcome == "killed"
    assert "no" in job.log.read_text()  # it was asked first
    assert children(job) == []


def test_a_gentle_job_ends_itself(shop: Workshop) -> None:
    code = (
        "import signal, sys, time\n"
        "def save(*_):\n  print('saved', flush=True)\n  sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, save)\nprint('ready', flush=True)\ntime.sleep(300)"
    )
    job = shop.submit(code)
    advance(shop.lab)
    printed(job, "ready")
    stop(job)
    done = ended(job)
    assert (done.outcome, done.code, done.detail) == ("killed", 0, "stopped on request")
    assert job.log.read_text() == "ready\nsaved\n"


def test_a_stopped_process_is_stopped_all_the_same(shop: Workshop) -> None:
    job = shop.submit(SLEEP)
    advance(shop.lab)
    running(job)
    [pid] = wait_for(lambda: children(job))
    os.kill(pid, signal.SIGSTOP)
    stop(job)
    assert ended(job).outcome == "killed"


def test_a_stopped_supervisor_is_woken_by_the_request(shop: Workshop) -> None:
    job = shop.submit(SLEEP)
    advance(shop.lab)
    pid = running(job).pid
    wait_for(lambda: children(job))
    os.kill(pid, signal.SIGSTOP)
    stop(job)
    assert ended(job).detail == "stopped on request"


def test_a_child_stopped_before_its_program_began_holds_nobody(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop_here(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    monkeypatch.setattr(os, "execvpe", stop_here)
    started = child.start(shop.submit(SLEEP), ["true"], shop.lab.root, {})
    wait_for(lambda: (one := processes.process(started.pid)) and one.state == "T")
    os.kill(started.pid, signal.SIGTERM)  # it has no handler of ours any more
    os.kill(started.pid, signal.SIGCONT)
    with processes.Waiter(started.pid) as waiter:
        assert wait_for(lambda: waiter.wait(1.0))[0] == -signal.SIGTERM
    assert started.failure() == ""


def test_a_waiting_job_is_stopped_without_running(shop: Workshop) -> None:
    first, second = shop.submit(SLEEP), shop.submit("print('never')")
    assert advance(shop.lab) == [first]
    stop(second)
    assert read_state(second) == Done(
        started=ended(second).started,
        ended=ended(second).ended,
        outcome="killed",
        code=None,
        detail="stopped before it began",
    )
    third = shop.submit("print('never')")
    third.stop.touch()  # the request alone, by hand
    advance(shop.lab)
    assert ended(third).outcome == "killed"
    stop(first)
    ended(first)
    assert not second.log.exists()
    assert not third.log.exists()


def test_the_queue_advances_with_nobody_watching(shop: Workshop) -> None:
    jobs = [shop.submit(f"print({i})") for i in range(4)]
    # The one who starts the first job is gone at once.
    subprocess.run(
        [sys.executable, "-m", "vitlab.jobs.queue.scheduler", str(shop.lab.root)],
        check=True,
        timeout=60,
    )
    begun = [ended(job).started for job in jobs]
    assert begun == sorted(begun)
    assert [job.log.read_text() for job in jobs] == ["0\n", "1\n", "2\n", "3\n"]


def test_many_schedulers_at_once_start_nothing_twice(shop: Workshop) -> None:
    shop.settings("cpu_slots: 3\n")
    jobs = [shop.submit("print('once')") for _ in range(6)]
    threads = [threading.Thread(target=advance, args=(shop.lab,)) for _ in range(6)]
    commands = [
        subprocess.Popen([sys.executable, "-m", "vitlab.jobs.queue.scheduler", str(shop.lab.root)])
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [command.wait(60) for command in commands] == [0, 0]
    for job in jobs:
        ended(job)
        assert job.log.read_text() == "once\n"
        assert not (job.folder / "started.1.json").exists()


def test_a_mark_taken_away_while_it_is_made_stops_nobody(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = files.open_appending

    def taken_at_once(path: Path) -> int:
        descriptor = real(path)
        path.unlink()  # as the holder of the lease does when it begins to schedule
        return descriptor

    job = shop.submit("print('once')")
    monkeypatch.setattr(files, "open_appending", taken_at_once)
    assert advance(shop.lab) == [job]
    assert ended(job).outcome == "ok"


def test_no_more_run_than_there_are_slots(shop: Workshop) -> None:
    shop.settings("cpu_slots: 2\n")
    jobs = [shop.submit(SLEEP) for _ in range(3)]
    assert advance(shop.lab) == jobs[:2]
    assert advance(shop.lab) == []  # though no supervisor may have written anything yet
    for job in reversed(jobs):
        stop(job)
    for job in jobs:
        ended(job)


@pytest.mark.parametrize("ticks", ["right", None])
def test_the_supervisor_killed_leaves_a_lost_job_and_no_orphan(
    shop: Workshop, ticks: str | None
) -> None:
    job = shop.submit(SLEEP)
    waiting = shop.submit("print('next')")
    advance(shop.lab)
    supervisor = running(job).pid
    [child] = wait_for(lambda: children(job))
    os.kill(supervisor, signal.SIGKILL)
    becomes(job, Lost)
    if ticks != "right":  # a disk's, or the job's own
        write_json(job.started, {**read_json(job.started), "ticks": ticks})
    assert processes.process(child) is not None  # the orphan
    assert advance(shop.lab) == [waiting]
    assert processes.process(child) is None
    assert isinstance(read_state(job), Lost)  # nothing starts again by surprise
    assert ended(waiting).outcome == "ok"
    stop(job)
    assert ended(job).detail == "lost, then dropped"


BARE = """
import os, subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], env={})
os.execve(sys.executable, [sys.executable, "-c", "import time; time.sleep(300)"], {})
"""
AWAY = """
import subprocess, sys, time
away = subprocess.Popen(["env", "--ignore-signal=TERM", "setsid", "sleep", "300"], env={})
time.sleep(300)
"""


@pytest.mark.parametrize(
    ("code", "change"), [(BARE, ""), (AWAY, "folder"), (SLEEP, "host"), (AWAY, "path")]
)
def test_what_a_killed_supervisor_leaves_is_found_whatever_hides_it(
    shop: Workshop, code: str, change: str
) -> None:
    """Its variables overwritten, its lab renamed or reached by a link, its host renamed."""
    shop.settings("grace: 0.3\n")
    job = shop.submit(code)
    advance(shop.lab)
    supervisor = running(job)
    left = wait_for(lambda: _session(supervisor.pid, 2 if code != SLEEP else 1))
    wait_for(lambda: "child" in read_json(job.started))
    if code == AWAY:  # the last of the programs that each replace the one before
        [away] = [one.pid for one in left if one.parent != supervisor.pid]
        wait_for(lambda: processes.proc_file(away, "cmdline").startswith(b"sleep"))
    # Those that write over their variables or are given none have none.
    bare = len(left) if code == BARE else len(left) - 1
    wait_for(lambda: sum(not processes.job_of(one.pid) for one in left) == bare)
    os.kill(supervisor.pid, signal.SIGKILL)
    becomes(job, Lost)
    lab = shop.lab
    if change == "folder":
        lab = LabPaths(lab.root.rename(lab.root.with_name("renamed")))
    elif change == "path":
        lab = LabPaths(lab.root.with_name("link"))
        lab.root.symlink_to(shop.lab.root)
    elif change == "host":
        started = read_json(job.started)
        boot = f"elsewhere:{started['boot'].partition(':')[2]}"
        write_json(job.started, {**started, "boot": boot})
    advance(lab)
    assert [one for one in left if processes.is_alive(one.pid, one.ticks)] == []
    if change == "folder":
        lab.root.rename(shop.lab.root)


def test_a_copy_s_stop_ends_nothing_of_the_lab_it_was_copied_from(shop: Workshop) -> None:
    job = shop.submit(SLEEP)
    advance(shop.lab)
    supervisor = running(job)
    [own] = wait_for(lambda: _session(supervisor.pid, 1))
    wait_for(lambda: "child" in read_json(job.started))
    lab = LabPaths(shop.lab.root.with_name("copy"))
    shutil.copytree(shop.lab.root, lab.root, symlinks=True)
    copy = JobPaths(lab.root / job.folder.relative_to(shop.lab.root))
    for record in ({}, {"pid": 1}, {"boot": None}):  # also of one whose supervisor is gone
        write_json(copy.started, {**read_json(job.started), **record})
        assert scheduler.end_orphans(copy, 0.1)
        assert processes.is_alive(own.pid, own.ticks)
        assert running(job).pid == supervisor.pid
    stop(job)
    assert ended(job).outcome == "killed"


def _session(supervisor: int, count: int) -> list[processes.Process]:
    """What a supervisor's program has started, once that many run."""
    parents = {supervisor}
    every = list(processes.all_processes())
    while more := {one.pid for one in every if one.parent in parents} - parents:
        parents |= more
    found = [one for one in every if one.pid in parents - {supervisor}]
    return found if len(found) >= count else []


@pytest.mark.parametrize("kind", ["empty", "text", "folder", "link"])
def test_what_a_program_names_resume_in_its_folder_starts_nothing(
    shop: Workshop, kind: str
) -> None:
    """It was started again at each end, for ever, or ended in a fault of vitlab's."""
    make = {"empty": "p.touch()", "text": "p.write_text('x')", "folder": "p.mkdir(exist_ok=True)",
            "link": "p.is_symlink() or p.symlink_to('out.log')"}  # fmt: skip
    code = f"import os, pathlib; p = pathlib.Path(os.environ['VITLAB_JOB'], 'resume'); {make[kind]}"
    job = shop.submit(code)
    advance(shop.lab)
    assert ended(job).outcome == "ok"
    advance(shop.lab)
    assert (isinstance(read_state(job), Done), job.resume.exists()) == (True, kind != "empty")
    told = job.health.read_text() if job.health.exists() else ""
    assert ("it made a file resume in its folder" in told) == (kind == "empty")
    assert not list(job.folder.glob("started.*.json"))


def test_a_lost_job_resumes_in_its_folder(shop: Workshop) -> None:
    code = (
        "import os, time\n"
        "if os.path.exists(os.environ['VITLAB_JOB'] + '/started.1.json'): print('again')\n"
        "else:\n  print('first', flush=True)\n  time.sleep(300)"
    )
    job = shop.submit(code)
    advance(shop.lab)
    printed(job)
    pid = running(job).pid
    with pytest.raises(UsageError, match="is already running"):
        resume(shop.lab, job)
    os.kill(pid, signal.SIGKILL)
    becomes(job, Lost)
    resume(shop.lab, job)
    assert isinstance(read_state(job), Queued)
    assert advance(shop.lab) == [job]
    assert ended(job).outcome == "ok"
    assert job.log.read_text() == "first\nagain\n"
    assert read_json(job.folder / "started.1.json")["pid"] == pid
    resume(shop.lab, job)
    advance(shop.lab)
    wait_for(lambda: (job.folder / "exit.1.json").exists() or (job.folder / "exit.2.json").exists())
    ended(job)


def test_the_child_killed_from_outside(shop: Workshop) -> None:
    job = shop.submit(SLEEP)
    advance(shop.lab)
    running(job)
    [child] = wait_for(lambda: children(job))
    os.kill(child, signal.SIGKILL)
    assert ended(job).outcome == "killed"
    assert read_json(job.exit)["signal"] == 9


def test_what_a_job_leaves_behind_is_ended(shop: Workshop) -> None:
    daemon = (
        "import os, subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(300)'], "
        "start_new_session=True)"
    )
    job = shop.submit(daemon)
    advance(shop.lab)
    assert ended(job).outcome == "ok"
    assert children(job) == []


def test_the_machine_going_down_is_written(shop: Workshop) -> None:
    job = shop.submit(SLEEP)
    advance(shop.lab)
    pid = running(job).pid
    wait_for(lambda: children(job))
    os.kill(pid, signal.SIGHUP)  # the end of a login means nothing
    os.kill(pid, signal.SIGTERM)
    assert ended(job).detail == "its supervisor was ended by SIGTERM"


def test_a_folder_deleted_under_a_running_job(shop: Workshop) -> None:
    job = shop.submit(SLEEP)
    waiting = shop.submit("print('next')")
    advance(shop.lab)
    running(job)
    while job.folder.exists():  # something may be written while it is being deleted
        shutil.rmtree(job.folder, ignore_errors=True)
    assert ended(waiting).outcome == "ok"
    assert not job.folder.exists()


def test_a_lab_that_is_moved_ends_no_job(shop: Workshop) -> None:
    code = "import os, time\nwhile not os.path.exists('done'): time.sleep(0.05)\nprint('end')"
    config = {"argv": [sys.executable, "-c", code], "cwd": "."}
    jobs = [shop.submit("", config=config), shop.submit(SLEEP)]
    shop.settings("cpu_slots: 2\n")
    advance(shop.lab)
    for job in jobs:
        running(job)
    time.sleep(0.5)  # it has begun
    there = shop.lab.root.with_name("moved")
    shop.lab.root.rename(there)
    finishes, stopped = (JobPaths(there / job.folder.relative_to(shop.lab.root)) for job in jobs)
    time.sleep(2 * POLL)
    assert isinstance(read_state(finishes), Running)
    (there / "done").touch()
    state = ended(finishes)
    assert state.outcome == "ok"
    assert state.detail == "no result: its folder was moved while it ran"
    assert finishes.log.read_text() == "end\n"
    stop(stopped)
    assert ended(stopped).detail.startswith("stopped on request")
    assert not shop.lab.root.exists()


def test_half_an_event_line(shop: Workshop) -> None:
    code = (
        "import os; f = open(os.environ['VITLAB_JOB'] + '/events.jsonl', 'a'); "
        """f.write('{"v":1,"t":1,"kind":"note","text":"a"}\\n{"v":1,"t":2,"ki'); f.flush(); """
        "os.kill(os.getpid(), 9)"
    )
    job = shop.submit(code)
    advance(shop.lab)
    assert ended(job).outcome == "killed"
    events, offset = read_events(job.events)
    assert [event.kind for event in events] == ["start", "note"]
    spec = read_spec(job.spec)
    assert spec is not None
    assert events[0].data["job"] == spec.mark
    assert offset < job.events.stat().st_size


def test_a_full_disk_is_named(small_disk: Path) -> None:
    shop = Workshop(small_disk / "lab")
    code = (
        "import os; f = open(os.environ['VITLAB_JOB'] + '/big', 'wb', buffering=0)\n"
        "for _ in range(10**6): f.write(b'x' * 4096)"
    )
    job = shop.submit(code)
    advance(shop.lab)
    done = ended(job)
    # There is no room for its last words, yet the record is whole and says why.
    assert (done.outcome, done.code) == ("disk_full", 1)
    os.truncate(job.folder / "big", 0)
    nothing_runs(shop.lab.root)


def test_a_supervisor_is_small(shop: Workshop) -> None:
    job = shop.submit(SLEEP)
    advance(shop.lab)
    pid = running(job).pid
    wait_for(lambda: children(job))

    def look() -> processes.Process:
        found = processes.process(pid)
        assert found is not None
        return found

    def rests() -> bool:
        """Whether it needs next to nothing for a second; it may just have begun."""
        before = look().cpu_ticks
        time.sleep(1.0)
        return look().cpu_ticks - before <= 1

    wait_for(rests)
    assert look().resident < 15.5e6
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, vitlab.jobs.process.supervisor; print(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert not {"yaml", "psutil", "subprocess", "socket", "hashlib", "numpy"} & set(loaded)
    stop(job)
    ended(job)


def test_the_wandb_run_of_a_job_without_metrics(shop: Workshop) -> None:
    data = wandb_file({"loss": 0.5}, run={1: "abc", 2: "me", 3: "stars"})
    code = (
        "import os, time; os.makedirs('wandb/run-1-abc'); os.makedirs('wandb/run-2-other'); "
        "open('wandb/run-2-other/run-other.wandb', 'wb').close(); "
        f"file = open('wandb/run-1-abc/run-abc.wandb', 'wb', 0); file.write({data!r})\n"
        "while not os.path.exists('go'): time.sleep(0.02)"
    )
    job = shop.submit(code)
    advance(shop.lab)
    wait_for(lambda: read_link(job))
    (shop.lab.root / "go").touch()
    assert ended(job).outcome == "ok"
    link = read_link(job)
    assert link is not None
    assert (link.id, link.url) == ("abc", "https://wandb.ai/me/stars/runs/abc")
    spec = read_spec(job.spec)
    assert spec is not None
    assert link.job == spec.mark


def test_a_manual_start_does_not_run_a_job_twice(shop: Workshop) -> None:
    job = shop.submit(SLEEP)
    advance(shop.lab)
    running(job)
    command = [sys.executable, "-m", "vitlab.jobs.process.supervisor", str(job.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "is already running" in done.stderr
    assert len([pid for pid in processes_of(shop.lab.root) if pid in children(job)]) == 1
    stop(job)
    ended(job)


def test_health_is_noted_while_it_runs(shop: Workshop) -> None:
    lines = [
        {"v": 1, "t": 1.0 + i, "kind": "eval", "step": i, "values": {"val/r2/log_g": 0.001}}
        for i in range(6)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    code = f"import os; open(os.environ['VITLAB_JOB'] + '/events.jsonl', 'w').write('''{text}''')"
    job = shop.submit(code)
    advance(shop.lab)
    ended(job)
    [record] = [json.loads(line) for line in job.health.read_text().splitlines()][-1:]
    assert (record["v"], record["status"], record["what"]) == (1, "bad", "stuck")
    assert "val/r2/log_g" in record["evidence"]


def test_broken_settings_are_one_line(shop: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.settings("cpu_slot: 1\n")
    assert scheduler.main([str(shop.lab.root)]) == 2
    assert "did you mean cpu_slots?" in capsys.readouterr().err
    assert not shop.lab.private.again.exists()
