"""Programs that write their own metrics files, watched while they run: whatever these hold."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.conftest import Workshop
from tests.waiting import becomes, children, ended, nothing_runs, printed, running, wait_for
from vitlab.contract.events import Event, read_events
from vitlab.contract.job import Lost, Queued, read_result
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.jobs.experiment.settings import load_settings
from vitlab.jobs.files import read_json
from vitlab.jobs.processes import INCOMPLETE, all_processes, ancestors, process
from vitlab.jobs.queue.scheduler import advance, resume, stop
from vitlab.jobs.queue.trainings import adopt
from vitlab.jobs.store import read_state
from vitlab.lab.lab import Lab
from vitlab.lab.live.snapshot import views_of

R2 = "val/r2/log_g"


def declared(file: str = "metrics.csv", **more: Any) -> dict[str, Any]:
    return {"metrics": {"file": file, "names": {"val_r2": R2}, **more}}


def curve(job: JobPaths) -> list[tuple[int, float | None]]:
    """Step and value of every evaluation."""
    return [(one.step, one.values[R2]) for one in events(job) if R2 in one.values]


def events(job: JobPaths) -> list[Event]:
    return read_events(job.events)[0]


def verdicts(job: JobPaths) -> list[str]:
    lines = job.health.read_text().splitlines() if job.health.exists() else []
    return ["{what}: {evidence}".format(**json.loads(line)) for line in lines]


def told(job: JobPaths, words: str) -> str:
    """The verdict with these words, as soon as there is one."""
    return wait_for(
        lambda: next((line for line in verdicts(job) if words in line), None),
        tell=lambda: verdicts(job),
    )


def script_name(pid: int) -> list[str]:
    """What Python runs there, with its first argument."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    return words[1:3]


def reader(job: JobPaths) -> int:
    """The pid of the process that reads the job's metrics."""

    def find() -> int | None:
        for one in all_processes():
            try:
                words = Path(f"/proc/{one.pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue  # it has ended meanwhile
            if b"vitlab.jobs.metrics.follow" in words and str(job.folder).encode() in words:
                return one.pid
        return None

    return wait_for(find)


# A program waits for a file to be there: tests decide when it goes on.
WAIT = """
import os, time
def wait(name):
    while not os.path.exists(name): time.sleep(0.02)
"""
NAN_ROW = (
    WAIT
    + """
with open("metrics.csv", "w") as f:
    f.write("epoch,step,val_r2\\n0,0,0.1\\n1,10,0.2\\nnan,20,nan\\n"); f.flush()
    wait("go")
    f.write("3,30,0.4\\n")
print("reached the end", flush=True)
"""
)


def test_a_row_of_nan_ends_nothing(shop: Workshop) -> None:
    job = shop.submit(NAN_ROW, extra=declared(), headline=R2)
    advance(shop.lab)
    wait_for(lambda: len(curve(job)) == 3)
    (shop.lab.root / "go").touch()
    assert ended(job).outcome == "ok"
    assert "reached the end" in job.log.read_text()
    assert curve(job) == [(0, 0.1), (10, 0.2), (20, None), (30, 0.4)]
    assert "epoch" not in next(one for one in events(job) if one.step == 20).data
    result = read_result(job.result)
    assert result is not None
    assert result.values == {R2: 0.4}


def test_a_last_value_that_is_not_finite_is_no_headline(shop: Workshop) -> None:
    code = "open('metrics.csv', 'w').write('step,val_r2\\n1,0.9\\n2,nan\\n')"
    job = shop.submit(code, extra=declared(), headline=R2)
    advance(shop.lab)
    assert ended(job).outcome == "ok"
    result = read_result(job.result)
    assert result is not None
    assert result.values == {R2: None}


@pytest.fixture
def by_hand(tmp_path: Path) -> Iterator[Any]:
    """Starts programs as a person does, in one folder."""
    folder, runs = tmp_path / "byhand", list[subprocess.Popen[bytes]]()
    folder.mkdir()

    def start(code: str, *arguments: str, name: str = "train.py") -> subprocess.Popen[bytes]:
        script = folder / name
        if not script.exists() or script.read_text() != code:  # a run may just be reading it
            script.write_text(code)
        with (folder / f"{len(runs)}.log").open("wb") as log:
            command = [sys.executable, name, *arguments]
            runs.append(subprocess.Popen(command, cwd=folder, stdout=log, stderr=log))
        return runs[-1]

    yield start
    for run in runs:
        run.kill()
        run.wait()


def test_a_run_started_by_hand_outlives_whatever_it_writes(shop: Workshop, by_hand: Any) -> None:
    run = by_hand(NAN_ROW)
    folder = shop.lab.root.parent / "byhand"
    wait_for((folder / "metrics.csv").exists)
    extra = {**declared(), "health": {"action": "stop"}}
    job = adopt(shop.lab, shop.spec("", extra=extra, headline=R2), run.pid, folder / "0.log")
    told(job, "not finite")
    assert process(run.pid) is not None
    (folder / "go").touch()
    assert run.wait() == 0
    done = ended(job)
    assert (done.outcome, read_result(job.result)) == ("unknown", None)
    assert curve(job)[-1] == (30, 0.4)
    assert events(job)[0].t < job.spec.stat().st_mtime  # run times count from its own start


def test_the_end_of_a_run_started_by_hand_by_its_own_files(shop: Workshop, by_hand: Any) -> None:
    code = WAIT + "wait('go')\nopen('metrics.csv', 'w').write('step,val_r2\\n1,0.5\\n')\n"
    lost = by_hand(code + "raise ValueError('wide load')")
    folder = shop.lab.root.parent / "byhand"
    job = adopt(shop.lab, shop.spec("", extra=declared()), lost.pid, folder / "0.log")
    (folder / "go").touch()
    lost.wait()
    done = ended(job)
    assert (done.outcome, done.detail) == ("failed", "ValueError: wide load")


@pytest.mark.parametrize(("epochs", "outcome"), [(3, "ok"), (4, "unknown")])
def test_the_last_epoch_shows_the_end(
    shop: Workshop, by_hand: Any, epochs: int, outcome: str
) -> None:
    run = by_hand(
        WAIT
        + "f = open('metrics.csv', 'w'); f.write('epoch,val_r2\\n0,0.1\\n1,0.2\\n'); f.flush()\n"
        "wait('go'); f.write('2,0.5\\n')"
    )
    folder = shop.lab.root.parent / "byhand"
    wait_for((folder / "metrics.csv").exists)
    config = {"epochs": epochs}
    job = adopt(shop.lab, shop.spec("", config=config, extra=declared()), run.pid)
    (folder / "go").touch()
    run.wait()
    done = ended(job)
    assert done.outcome == outcome
    result = read_result(job.result)
    assert (result.values if result else None) == ({R2: 0.5} if outcome == "ok" else None)


def test_damaged_notes_of_a_reader_are_no_harm(shop: Workshop) -> None:
    job = shop.submit(GROWING, extra=declared())
    advance(shop.lab)
    wait_for(lambda: curve(job))
    record = read_json(job.metrics)
    record["state"] |= {"cursors": {name: [3] for name in record["state"]["cursors"]}}
    pid = reader(job)
    os.kill(pid, signal.SIGSTOP)
    job.metrics.write_text(json.dumps(record))
    os.kill(pid, signal.SIGKILL)
    printed(job, "half")
    (shop.lab.root / "go").touch()
    assert ended(job).outcome == "ok"
    assert curve(job) == [(step, step / 100) for step in range(150)]


# As Lightning does: a folder of its own, the file opened, written and closed for every row.
VERSIONS = (
    WAIT
    + """
import sys
value, keeps = float(sys.argv[1]), sys.argv[2] == "keeps"
number = 0
while True:
    folder = f"lightning_logs/version_{number}"
    try: os.makedirs(folder); break
    except FileExistsError: number += 1
path = folder + "/metrics.csv"
open(path, "w").write("step,val_r2\\n")
held = open(path, "a") if keeps else None
for step in range(3):
    if held: held.write(f"{step},{value + step / 1000}\\n"); held.flush()
    else: open(path, "a").write(f"{step},{value + step / 1000}\\n")
print("written", flush=True)
wait("go")
"""
)
PATTERN = "lightning_logs/version_*/metrics.csv"


def test_two_runs_in_one_folder_are_told_apart_by_what_they_hold(
    shop: Workshop, by_hand: Any
) -> None:
    code = VERSIONS.replace('wait("go")', 'wait(f"go{value}")')
    runs = [by_hand(code, str(value), "keeps") for value in (0.25, 0.75)]
    folder = shop.lab.root.parent / "byhand"
    jobs = [adopt(shop.lab, shop.spec("", extra=declared(PATTERN)), run.pid) for run in runs]
    for job, value in zip(jobs, (0.25, 0.75), strict=True):
        expected = [(step, value + step / 1000) for step in range(3)]
        wait_for(lambda job=job: len(curve(job)) == 3)  # type: ignore[misc]
        assert curve(job) == expected
    for job, value in zip(reversed(jobs), (0.75, 0.25), strict=True):
        (folder / f"go{value}").touch()  # what a run held is its own, also beside an older one
        ended(job)
        assert len(curve(job)) == 3
        assert read_json(job.metrics)["problems"] == []


@pytest.mark.parametrize("other", ["train.py", "other.py"])
def test_what_may_be_another_run_s_is_not_read_and_told(
    shop: Workshop, by_hand: Any, other: str
) -> None:
    runs = [by_hand(VERSIONS, str(value), "closes", name=name)
            for value, name in ((0.25, "train.py"), (0.75, other))]  # fmt: skip
    folder = shop.lab.root.parent / "byhand"
    for name in ("0.log", "1.log"):
        wait_for(lambda name=name: "written" in (folder / name).read_text())  # type: ignore[misc]
    job = adopt(shop.lab, shop.spec("", extra=declared(PATTERN)), runs[0].pid)
    line = told(job, "may have written it")
    assert f"process {runs[1].pid} ({other})" in line
    assert "put {run} into config.cwd or metrics.file" in line
    (folder / "go").touch()
    assert ended(job).outcome == "unknown"
    assert curve(job) == []


@pytest.mark.parametrize("hand", [False, True])
def test_runs_that_each_name_a_file_are_no_rivals(shop: Workshop, by_hand: Any, hand: bool) -> None:
    shop.settings("cpu_slots: 2\n")
    code = WAIT + (
        "import sys; value, path = sys.argv[1:]\n"
        "wait('begin')\n"
        "os.makedirs(os.path.dirname(path))\n"
        "open(path, 'w').write(f'step,val_r2\\n1,{value}\\n')\n"
        "wait('go')\n"
    )
    folder = shop.lab.root.parent / "byhand" if hand else shop.lab.root
    if not hand:
        (folder / "train.py").write_text(code)
    jobs = []
    for value in ("0.25", "0.75"):
        path = f"out/{value}/metrics.csv"
        config = {"argv": [sys.executable, "train.py", value, path]}
        if hand:
            spec = shop.spec("", extra=declared(path))
            jobs.append(adopt(shop.lab, spec, by_hand(code, value, path).pid))
        else:
            jobs.append(shop.submit("", config=config, extra=declared(path)))
    advance(shop.lab)
    (folder / "begin").touch()
    for job in jobs:  # while both run
        wait_for(lambda job=job: curve(job), tell=lambda job=job: verdicts(job))  # type: ignore[misc]
    (folder / "go").touch()
    for job, number in zip(jobs, (0.25, 0.75), strict=True):
        assert ended(job).outcome == ("unknown" if hand else "ok")
        assert curve(job) == [(1, number)]
        assert read_json(job.metrics)["problems"] == []


def test_two_trainers_of_one_script_are_both_its_own(shop: Workshop) -> None:
    code = """
import os
for number, rows in enumerate((["1,0.1,", "2,0.2,"], ["3,,0.7"])):
    os.makedirs(f"lightning_logs/version_{number}")
    for row in ["step,val_r2,test_r2", *rows]:
        with open(f"lightning_logs/version_{number}/metrics.csv", "a") as f: f.write(row + "\\n")
"""
    extra = {"metrics": {"file": PATTERN, "names": {"val_r2": R2, "test_r2": "test/r2/log_g"}}}
    job = shop.submit(code, extra=extra)
    advance(shop.lab)
    assert ended(job).outcome == "ok"
    result = read_result(job.result)
    assert result is not None
    assert result.values == {R2: 0.2, "test/r2/log_g": 0.7}
    assert job.metrics.exists()
    assert read_json(job.metrics)["problems"] == []


def test_the_values_of_a_later_file_are_the_later_ones(shop: Workshop) -> None:
    code = (
        WAIT
        + """
def write(number, rows):
    with open(f"version_{number}/metrics.csv", "a") as f:
        f.writelines(f"{step},{number + step / 10_000}\\n" for step in rows)
for number in range(2):
    os.mkdir(f"version_{number}")
    with open(f"version_{number}/metrics.csv", "w") as f: f.write("step,val_r2\\n")
    if number == 0:
        write(0, range(1500))
        wait("go")
        write(0, range(1500, 1510))
    else:
        write(1, range(3))
"""
    )
    job = shop.submit(code, extra=declared("version_*/metrics.csv"))
    advance(shop.lab)
    wait_for(lambda: curve(job), tell=lambda: verdicts(job))
    (shop.lab.root / "go").touch()
    assert ended(job).outcome == "ok"
    result = read_result(job.result)
    assert result is not None
    assert result.values == {R2: 1.0002}
    told = f"{R2}: in 2 files, of which the last counts, version_1/metrics.csv"
    assert read_json(job.metrics)["problems"] == [told]
    assert curve(job)[-4:] == [(1509, 0.1509), (0, 1.0), (1, 1.0001), (2, 1.0002)]


def test_checkpoints_that_repeat_all_rows_give_each_once(shop: Workshop) -> None:
    code = """
import json, os, time
history = []
for step in range(1, 4):
    history.append({"step": step, "eval_r2": step / 10})
    os.makedirs(f"out/checkpoint-{step}")
    json.dump({"log_history": history}, open(f"out/checkpoint-{step}/trainer_state.json", "w"))
"""
    names = {"eval_r2": R2}
    extra = {"metrics": {"file": "out/checkpoint-*/trainer_state.json", "names": names}}
    job = shop.submit(code, extra=extra)
    advance(shop.lab)
    assert ended(job).outcome == "ok"
    assert curve(job) == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert read_json(job.metrics)["problems"] == []


def test_old_checkpoints_that_are_removed_are_no_loss(shop: Workshop) -> None:
    """As by `save_total_limit`."""
    code = (
        WAIT
        + """
import json, shutil
history = []
for step in range(1, 4):
    history.append({"step": step, "eval_r2": step / 10})
    os.makedirs(f"out/checkpoint-{step}")
    json.dump({"log_history": history}, open(f"out/checkpoint-{step}/trainer_state.json", "w"))
    print("step", step, flush=True)
    wait(f"go{step}")
    shutil.rmtree(f"out/checkpoint-{step - 1}", ignore_errors=True)
"""
    )
    names = {"eval_r2": R2}
    extra = {"metrics": {"file": "out/checkpoint-*/trainer_state.json", "names": names}}
    job = shop.submit(code, extra=extra)
    advance(shop.lab)
    for step in range(1, 4):
        wait_for(lambda step=step: len(curve(job)) == step)  # type: ignore[misc]
        (shop.lab.root / f"go{step}").touch()
    assert ended(job).outcome == "ok"
    assert curve(job) == [(1, 0.1), (2, 0.2), (3, 0.3)]
    result = read_result(job.result)
    assert result is not None
    assert result.values == {R2: 0.3}
    assert read_json(job.metrics)["problems"] == []


def test_an_earlier_run_s_file_is_read_only_where_it_grows_or_is_new(shop: Workshop) -> None:
    append = "open('metrics.csv', 'a').write('step,val_r2\\n1,0.1\\n2,0.2\\n')"
    replace = "open('metrics.csv', 'w').write('step,val_r2\\n1,0.5\\n2,0.6\\n')"
    expected = []
    for code in (append, append.replace("step,val_r2\\n1,0.1\\n2,0.2", "3,0.3"), replace, replace):
        job = shop.submit(code, extra=declared())
        advance(shop.lab)
        assert ended(job).outcome == "ok"
        expected.append(curve(job))
    assert expected == [
        [(1, 0.1), (2, 0.2)],
        [(3, 0.3)],
        [(1, 0.5), (2, 0.6)],
        [(1, 0.5), (2, 0.6)],  # the same text once more is a run of its own
    ]
    idle = shop.submit("pass", extra=declared())
    advance(shop.lab)
    assert ended(idle).outcome == "ok"
    assert curve(idle) == []
    assert read_result(idle.result) is None
    assert "matches 1 file in" in verdicts(idle)[-1]


# Saves where it is, ends well when it is asked to, and begins its file anew when it goes on.
RESUMED = """
import json, os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
begin = json.load(open("ck.json")) if os.path.exists("ck.json") else 0
open("metrics.csv", "w").write("step,val_r2\\n")
for step in range(begin, 6):
    with open("metrics.csv", "a") as f: f.write(f"{step},{step / 10}\\n")
    json.dump(step + 1, open("ck.json", "w"))
    print("step", step, flush=True)
    while step == 2 and not begin: time.sleep(0.02)
"""


def test_a_stopped_run_has_no_result_and_a_resumed_one_its_own(shop: Workshop) -> None:
    job = shop.submit(RESUMED, extra=declared(), headline=R2)
    advance(shop.lab)
    printed(job, "step 2")
    stop(job)
    done = ended(job)
    assert (done.outcome, done.code, read_result(job.result)) == ("killed", 0, None)
    assert curve(job) == [(0, 0.0), (1, 0.1), (2, 0.2)]
    resume(shop.lab, job)
    advance(shop.lab)
    wait_for(lambda: (job.folder / "exit.1.json").exists())
    assert ended(job).outcome == "ok"
    assert curve(job) == [(step, step / 10) for step in range(6)]
    starts = [one.data.get("resumed_from") for one in events(job) if one.kind == "start"]
    assert starts == [None, 2]
    result = read_result(job.result)
    assert result is not None
    assert result.values == {R2: 0.5}


@pytest.mark.parametrize(("first", "is_known"), [(10, False), (4, True), (1, True)])
def test_a_launch_that_finds_another_s_checkpoint_is_told(
    shop: Workshop, first: int, is_known: bool
) -> None:
    (shop.lab.root / "metrics.csv").write_text("epoch,val_r2,test_r2\n10,0.1,0.2\n")
    rows = [f"{epoch},{0.5 if first < 10 else ''},0.6" for epoch in range(first, 11)]
    text = "\n".join(["epoch,val_r2,test_r2", *rows, ""])
    code = f"open('metrics.csv', 'w').write({text!r})"
    config = {"argv": [sys.executable, "-c", code], "epochs": 10}
    names = {"val_r2": R2, "test_r2": "test/r2/log_g", "train_loss": "train/loss"}  # without any
    extra = {"metrics": {"file": "metrics.csv", "names": names}}
    job = shop.submit("", config=config, extra=extra, headline=R2)
    advance(shop.lab)
    done = ended(job)
    assert (done.outcome, job.result.exists()) == ("ok", is_known)
    told = f"it began at epoch {first} of 10, as from a checkpoint of another run"
    assert (told in done.detail) == (first > 1)


@pytest.mark.parametrize("extra", [declared(), {}])
def test_a_run_does_not_go_on_from_another_s_checkpoint(
    shop: Workshop, extra: dict[str, Any]
) -> None:
    """With one metrics file, or without any in one folder."""
    code = "import os, time; time.sleep(0 if os.path.exists('go') else 300)"
    waits = [sys.executable, "-c", code, "--lr"]
    config = {"argv": [*waits, "0.1"], "resume_argv": [*waits, "0.1", "--resume"], "cwd": "."}
    own = {**config, "argv": [*waits, "0.1", "--out", "out/a"]}
    named = shop.submit("", config=own, extra=extra)
    first = shop.submit("", config=config, extra=extra)
    for job in (named, first):
        advance(shop.lab)
        running(job)
        stop(job)
        assert ended(job).outcome == "killed"
    (shop.lab.root / "go").touch()
    later = {**config, "argv": [*waits, "0.2"], "resume_argv": [*waits, "0.2", "--resume"]}
    other = shop.submit("", config=later, extra=extra)
    advance(shop.lab)
    assert ended(other).outcome == "ok"
    with pytest.raises(UsageError, match=f": {other.name} ran in its folder since"):
        resume(shop.lab, first)
    resume(shop.lab, first, force=True)
    resume(shop.lab, named)
    for job in (first, named):
        assert isinstance(read_state(job), Queued)
        stop(job)


def test_runs_side_by_side_have_checkpoints_of_their_own(shop: Workshop) -> None:
    shop.settings("cpu_slots: 2\n")
    waits = [sys.executable, "-c", "import time; time.sleep(300)"]
    config = {"argv": waits, "resume_argv": waits, "cwd": "."}
    both = [shop.submit("", config=config) for _ in range(2)]
    advance(shop.lab)
    for job in both:
        running(job)
    for job in both:
        stop(job)
        ended(job)
    for job in both:
        resume(shop.lab, job)
        stop(job)


def test_rows_written_anew_by_a_resumed_run_are_its_own(shop: Workshop) -> None:
    code = (
        WAIT
        + "open('metrics.csv', 'w').write('step,val_r2\\n1,0.5\\n2,0.6\\n')\n"
        + "print('wrote', flush=True); wait('go')"
    )
    job = shop.submit(code, extra=declared(), headline=R2)
    advance(shop.lab)
    wait_for(lambda: len(curve(job)) == 2)
    stop(job)
    assert ended(job).outcome == "killed"
    (shop.lab.root / "go").touch()
    resume(shop.lab, job)
    advance(shop.lab)
    wait_for(lambda: (job.folder / "exit.1.json").exists())
    assert ended(job).outcome == "ok"
    result = read_result(job.result)
    assert result is not None
    assert result.values == {R2: 0.6}


def test_each_attempt_replaces_the_result_of_the_one_before(shop: Workshop) -> None:
    code = (
        "import os; again = os.path.exists('done'); open('done', 'w')\n"
        "open('metrics.csv', 'w').write('step,val_r2\\n1,0.5\\n')\n"
        "os.kill(os.getpid(), 9) if again else None"
    )
    job = shop.submit(code, extra=declared(), headline=R2)
    advance(shop.lab)
    assert ended(job).outcome == "ok"
    assert read_result(job.result) is not None
    resume(shop.lab, job)
    advance(shop.lab)
    wait_for(lambda: (job.folder / "exit.1.json").exists())
    assert ended(job).outcome == "killed"
    assert read_result(job.result) is None
    assert (job.folder / "result.1.json").exists()


GROWING = (
    WAIT
    + """
for step in range(100):
    with open("metrics.csv", "a") as f:
        f.write(("step,val_r2\\n" if step == 0 else "") + f"{step},{step / 100}\\n")
    time.sleep(0.02)
print("half", flush=True)
wait("go")
for step in range(100, 150):
    with open("metrics.csv", "a") as f: f.write(f"{step},{step / 100}\\n")
"""
)


def test_a_killed_reader_reads_nothing_twice_and_loses_nothing(shop: Workshop) -> None:
    job = shop.submit(GROWING, extra=declared())
    advance(shop.lab)
    wait_for(lambda: curve(job))
    first = reader(job)
    os.kill(first, signal.SIGKILL)
    second = wait_for(lambda: pid if (pid := reader(job)) != first else None)
    printed(job, "half")
    os.kill(second, signal.SIGKILL)
    (shop.lab.root / "go").touch()
    assert ended(job).outcome == "ok"
    assert curve(job) == [(step, step / 100) for step in range(150)]
    assert read_result(job.result) is not None


def test_a_reader_whose_supervisor_is_gone_ends_however_much_there_is_to_read() -> None:
    code = "from vitlab.jobs.metrics import follow; follow.ALONE = 0.0; follow._beat()"
    listens, tells = os.pipe()
    process = subprocess.Popen([sys.executable, "-c", code], stdout=tells)
    os.close(tells)
    os.close(listens)
    assert process.wait(30) == INCOMPLETE


APPENDING = (
    WAIT
    + """
again = os.path.exists("metrics.csv")
with open("metrics.csv", "a" if again else "w") as f:
    if not again: f.write("step,val_r2\\n"); f.flush()
    for step in range(30 if again else 0, 40 if again else 30):
        if step == 15: print("half", flush=True); wait("lost")
        f.write(f"{step},{step / 100}\\n"); f.flush()
    print("written", flush=True)
    if not again: time.sleep(300)
"""
)


def test_what_a_lost_run_wrote_unwatched_is_read_when_it_goes_on(shop: Workshop) -> None:
    job = shop.submit(APPENDING, extra=declared())
    advance(shop.lab)
    printed(job, "half")
    wait_for(lambda: len(curve(job)) == 15)
    os.kill(running(job).pid, signal.SIGKILL)
    becomes(job, Lost)
    (shop.lab.root / "lost").touch()
    printed(job, "written")
    resume(shop.lab, job)
    advance(shop.lab)
    assert ended(job).outcome == "ok"
    assert curve(job) == [(step, step / 100) for step in range(40)]
    kinds = [one.kind for one in events(job) if one.kind == "start" or one.step in (29, 30)]
    assert kinds == ["start", "eval", "start", "eval"]


def test_a_reader_that_always_dies_is_told_of_once(shop: Workshop) -> None:
    job = shop.submit(WAIT + "wait('go')", extra=declared())
    advance(shop.lab)
    seen = set[int]()
    while len(seen) < 4:
        pid = wait_for(lambda: pid if (pid := reader(job)) not in seen else None)
        seen.add(pid)
        os.kill(pid, signal.SIGKILL)
    line = told(job, "its metrics are not read")
    assert "the reader failed 4 times, the last time: it ended with signal 9" in line
    (shop.lab.root / "go").touch()
    done = ended(job)
    assert (done.outcome, read_result(job.result)) == ("ok", None)
    assert sum("its metrics are not read" in line for line in verdicts(job)) == 1


BROKEN = """
import builtins, sys
if "vitlab.jobs.process.supervisor" in sys.orig_argv:
    import vitlab.jobs.process.health as rules
    def broken(*_): raise ZeroDivisionError("a rule of ours")
    {broken} = broken
"""


def break_supervisors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    (tmp_path / "patched").mkdir()
    (tmp_path / "patched" / "sitecustomize.py").write_text(BROKEN.replace("{broken}", what))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "patched"))


def test_a_fault_of_ours_does_not_hide_how_a_run_ended(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_supervisors(
        tmp_path, monkeypatch, "import vitlab.jobs.process.ending as ending; ending.last_words"
    )
    job = shop.submit("raise SystemExit(7)")
    advance(shop.lab)
    done = ended(job)
    assert (done.outcome, done.code) == ("failed", 7)
    assert "its end is not looked at: ZeroDivisionError: a rule of ours" in done.detail


def test_a_program_of_hers_that_exits_with_3_has_failed(shop: Workshop) -> None:
    job = shop.submit("raise SystemExit(3)")  # of our own recipes it means a loss that is NaN
    advance(shop.lab)
    assert ended(job).outcome == "failed"


def test_a_broken_rule_of_ours_is_one_finding(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_supervisors(tmp_path, monkeypatch, "rules.health")
    job = shop.submit(WAIT + "print('up', flush=True); wait('go')", headline=R2)
    advance(shop.lab)
    told(job, "watching failed: ZeroDivisionError: a rule of ours")
    (shop.lab.root / "go").touch()
    assert ended(job).outcome == "ok"
    assert len(verdicts(job)) == 1


def test_a_pattern_without_end_is_given_up(shop: Workshop) -> None:
    extra = {"metrics": {"pattern": r"(?P<val_r2>(a+)+)$", "names": {"val_r2": R2}}}
    job = shop.submit("print('a' * 60 + '!')", extra=extra)
    advance(shop.lab)
    done = ended(job, 120)
    assert done.outcome == "ok"
    assert "no result" in done.detail
    assert "searched for" in verdicts(job)[-1]


def test_a_value_before_an_unreadable_one_is_no_result(shop: Workshop) -> None:
    code = "print('r2=0.5'); print('r2=0.8*'); print('loss=0.1')"
    pattern = r"r2=(?P<val_r2>\S+)|loss=(?P<loss>\S+)"
    names = {"val_r2": R2, "loss": "train/loss"}
    extra = {"metrics": {"pattern": pattern, "names": names}}
    job = shop.submit("", config={"argv": [sys.executable, "-c", code]}, extra=extra)
    advance(shop.lab)
    assert ended(job).outcome == "ok"
    result = read_result(job.result)
    assert result is not None
    assert result.values == {R2: None, "train/loss": 0.1}


@pytest.mark.parametrize(
    ("where", "code", "words"),
    [
        ({"pattern": r"r2=(?P<val_r2>\S+)"}, "print('r2=0,5'); print('r2=20%')",
         ["the log: val_r2: 2 matches are not numbers, like '0,5'",
          r"no line of the log that matches r2=(?P<val_r2>\S+) has a number"]),
        ({"pattern": r"r2=(?P<val_r2>\S+)"}, "print('r2=None')",
         [r"no line of the log that matches r2=(?P<val_r2>\S+) has a number"]),
        ({"pattern": r"r2=(?P<val_r2>\S+)"}, "print('x' * 99_999); print('r2=0.5')",
         ["the log: 1 lines of more than 64 kB or with zeros in them are left out"]),
        ({"file": "m.csv"}, "open('m.csv', 'w').write('epoch,val_r2\\n1,\\n')",
         ["m.csv: no number in val_r2"]),
    ],
)  # fmt: skip
def test_what_gives_no_number_is_told(
    shop: Workshop, where: dict[str, str], code: str, words: list[str]
) -> None:
    extra = {"metrics": {**where, "names": {"val_r2": R2}}}
    job = shop.submit("", config={"argv": [sys.executable, "-c", code]}, extra=extra)
    advance(shop.lab)
    assert ended(job).outcome == "ok"
    assert read_json(job.metrics)["problems"] == words


def test_four_runs_at_a_time_that_hold_their_files(shop: Workshop) -> None:
    shop.settings("cpu_slots: 4\n")
    code = VERSIONS.replace("import sys", "import sys; sys.argv = ['', os.environ['V'], 'keeps']")
    jobs = []
    for value in (0.1, 0.2, 0.3, 0.4):
        config = {"argv": [sys.executable, "-c", code], "cwd": "{run}", "env": {"V": str(value)}}
        jobs.append(shop.submit("", config=config, extra=declared(PATTERN)))
    advance(shop.lab)
    for job in jobs:
        printed(job, "written")
        (shop.lab.root / read_json(job.spec)["run"].replace(" ", "-") / "go").touch()
    for job, value in zip(jobs, (0.1, 0.2, 0.3, 0.4), strict=True):
        assert ended(job).outcome == "ok"
        assert curve(job) == [(step, value + step / 1000) for step in range(3)]


def test_what_is_matched_is_said(shop: Workshop) -> None:
    names = {"val_r2": R2, "test_r2": "test/r2/log_g", "tst_loss": "test/loss"}
    extra = {"metrics": {"file": "m.csv", "names": names}}
    code = WAIT + (
        "open('m.csv', 'w').write('step,val_r2,test_loss\\n1,0.5,2\\n'); "
        "print('up', flush=True); wait('go')"
    )
    job = shop.submit(code, extra=extra)
    advance(shop.lab)
    assert "m.csv: no column tst_loss; there is test_loss" in told(job, "no column")
    (view,) = views_of(Lab(shop.lab, load_settings(shop.lab)), [job])
    assert view.metrics is not None
    assert view.metrics["sources"][0]["names"] == {"val_r2": R2}
    assert view.metrics["sources"][0]["rows"] == 1
    (shop.lab.root / "go").touch()
    assert ended(job).outcome == "ok"
    assert "no column test_r2" in verdicts(job)[-1]


def test_the_reader_and_its_supervisor_are_small(shop: Workshop) -> None:
    job = shop.submit(WAIT + "wait('go')", extra=declared())
    advance(shop.lab)
    pids = [running(job).pid, reader(job)]
    wait_for(lambda: children(job) and job.metrics.exists())
    sizes = [one.resident for pid in pids if (one := process(pid)) is not None]
    assert sum(sizes) < 40e6, sizes
    (shop.lab.root / "go").touch()
    ended(job)


def test_a_job_of_one_s_own_words_has_run_times(shop: Workshop) -> None:
    code = "from vitlab.events import log\nlog({'val/r2/log_g': 0.5}, 1)"
    config = {"argv": [sys.executable, "-c", code]}
    job = shop.submit("", config=config)
    before = time.time()
    advance(shop.lab)
    ended(job)
    [start, _] = events(job)
    assert start.kind == "start"
    assert before - 1 < start.t
    assert start.data["host"] == os.uname().nodename


def test_a_file_that_another_job_begins_to_write_is_given_up(shop: Workshop, by_hand: Any) -> None:
    code = (
        WAIT
        + """
import sys
path = sys.argv[1] if len(sys.argv) > 1 else "metrics.csv"
with open("metrics.csv", "a") as f:
    f.write("step,val_r2\\n1,0.1\\n"); f.flush()
    print("written", flush=True)
    wait(path + ".go")
"""
    )
    run = by_hand(code)
    folder = shop.lab.root.parent / "byhand"
    job = adopt(shop.lab, shop.spec("", extra=declared()), run.pid)
    wait_for(lambda: curve(job))
    other = by_hand(code, "other")
    line = told(job, "writes it too")
    assert f"process {other.pid} (train.py)" in line
    assert "its numbers are not used" in line
    assert read_json(job.metrics)["sources"][0]["shared"]
    (folder / "metrics.csv.go").touch()
    assert ended(job).outcome == "unknown"


LOGGED = (
    WAIT
    + """
import sys
name, value = sys.argv[1:]
wait(f"begin{name}")
print("val_r2", value, flush=True)
wait(f"go{name}")
print("test_r2", value, flush=True)
wait(f"seen{name}")
"""
)


@pytest.mark.parametrize("how", ["alone", "shared", "next", "moved", "tee", "tees"])
def test_a_log_that_others_write_is_not_used(shop: Workshop, by_hand: Any, how: str) -> None:
    """Two at once; one after the other, as of a shell's loop; or of another run at its place."""
    folder = shop.lab.root.parent / "byhand"
    (folder / "train.py").write_text(LOGGED)
    one, other = "$1 train.py a 0.5", "$1 train.py b 0.25"
    loop = {
        "shared": f"{one} & {other} & wait",
        "next": f"{one}; {other}",
        "tee": f"{one} | tee -a all.log",
        "tees": f"{one} | tee -a all.log & {other} | tee -a all.log & wait",
    }.get(how, f"{one}; true")
    (folder / "all.log").touch()
    with (folder / ("none.log" if how.startswith("tee") else "all.log")).open("ab") as log:
        shell = subprocess.Popen(["bash", "-c", loop, "-", sys.executable], cwd=folder, stdout=log)
    try:
        run = wait_for(
            lambda: next(
                (
                    one.pid
                    for one in all_processes()
                    if shell.pid in ancestors(one.pid) and script_name(one.pid) == ["train.py", "a"]
                ),
                None,
            )
        )
        metrics = {"pattern": r"val_r2 (?P<val_r2>\S+)|test_r2 (?P<test_r2>\S+)"}
        metrics |= {"names": {"val_r2": R2, "test_r2": "test/r2/log_g"}}  # type: ignore[dict-item]
        job = adopt(shop.lab, shop.spec("", extra={"metrics": metrics}), run, folder / "all.log")
        wait_for(job.metrics.exists)
        if how == "moved":
            (folder / "all.log").rename(folder / "old.log")
            (folder / "all.log").write_text("val_r2 0.25\ntest_r2 0.25\n")
        for name in ("begina", "gob", *([] if how == "next" else ["beginb"])):
            (folder / name).touch()
        if how == "moved":
            told(job, "it was moved away or replaced")
        elif how in ("shared", "tees"):
            assert " writes it too" in told(job, "neither its numbers nor its end")
        else:
            wait_for(lambda: curve(job))
        (folder / "seenb").touch()
        (folder / "goa").touch()
        # A program behind a pipe may write its last line a moment later than it ends.
        wait_for(lambda: any("test_r2 0.5" in log.read_text() for log in folder.glob("*.log")))
        (folder / "seena").touch()
        done = ended(job)
        assert done.outcome == ("ok" if how in ("alone", "next", "tee") else "unknown")
        result = read_result(job.result)
        expected = {R2: 0.5, "test/r2/log_g": 0.5} if done.outcome == "ok" else None
        assert (result.values if result else None) == expected
    finally:
        for name in ("begina", "beginb", "goa", "gob", "seena", "seenb"):
            (folder / name).touch()
        shell.wait(30)


def test_a_run_started_by_hand_outlives_its_supervisor(shop: Workshop, by_hand: Any) -> None:
    run = by_hand(WAIT + "wait('go')")
    job = adopt(shop.lab, shop.spec(""), run.pid)
    os.kill(wait_for(lambda: read_json(job.started).get("pid")), signal.SIGTERM)
    done = ended(job)
    assert done.outcome == "unknown"
    assert done.detail == "its supervisor was ended by SIGTERM; the run itself continues"
    assert process(run.pid) is not None


def test_numbers_that_contradict_each_other_are_a_finding(shop: Workshop) -> None:
    names = {"r2": R2, "rmse": "val/rmse/log_g", "std": "val/label_std/log_g"}
    code = "open('m.csv', 'w').write('step,r2,rmse,std\\n1,0.64,0.6,0.2\\n')"
    job = shop.submit(code, extra={"metrics": {"file": "m.csv", "names": names}})
    advance(shop.lab)
    assert ended(job).outcome == "ok"
    assert verdicts(job)[-1].startswith("contradiction: val log_g: ")
    (view,) = views_of(Lab(shop.lab, load_settings(shop.lab)), [job])
    assert view.health.startswith("warn: val log_g: ")


def test_a_full_disk_delays_the_numbers_and_ends_nothing(small_disk: Path, tmp_path: Path) -> None:
    shop = Workshop(small_disk / "lab")
    filler = small_disk / "filler"
    code = (
        WAIT
        + f"""
os.chdir({str(tmp_path)!r})
def write(first, last):
    with open("m.csv", "a") as f:
        for step in range(first, last): f.write(f"{{step}},{{step / 1000}}\\n")
open("m.csv", "w").write("step,val_r2\\n")
write(0, 10); print("begun", flush=True); wait("full")
write(10, 400); wait("free")
write(400, 500)
"""
    )
    config = {"argv": [sys.executable, "-c", code], "cwd": str(tmp_path)}
    job = shop.submit("", config=config, extra=declared("m.csv"))
    advance(shop.lab)
    wait_for(lambda: curve(job))
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 512)
    (tmp_path / "full").touch()
    before = reader(job)
    wait_for(lambda: (tmp_path / "m.csv").stat().st_size > 3000)
    time.sleep(2.5)  # a round of the reader, which cannot write
    filler.unlink()
    (tmp_path / "free").touch()
    assert ended(job).outcome == "ok"
    assert curve(job) == [(step, step / 1000) for step in range(500)]
    assert process(before) is None
    result = read_result(job.result)
    assert result is not None
    assert result.values == {R2: 0.499}
    nothing_runs(shop.lab.root)
