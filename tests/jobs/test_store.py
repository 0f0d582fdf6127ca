"""Job folders: submission, states, names."""

from __future__ import annotations

import datetime
import json
import math
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.jobs.conftest import Workshop
from tests.waiting import ended
from vitlab.contract import reading
from vitlab.contract.job import (
    UNNAMED,
    Done,
    Lost,
    Queued,
    Result,
    Running,
    Unreadable,
    read_result,
    read_spec,
    write_result,
)
from vitlab.contract.paths import JobPaths, LabPaths, UsageError
from vitlab.contract.tracking import Link, read_link, write_link
from vitlab.jobs import processes, store
from vitlab.jobs.files import (
    ReservedFile,
    held_by,
    is_locked,
    read_json,
    take_lock,
    write_json,
    write_owner,
)
from vitlab.jobs.process.child import shared_sources
from vitlab.jobs.process.health import Limits
from vitlab.jobs.process.monitor import Monitor, read_found
from vitlab.jobs.processes import boot
from vitlab.jobs.queue.scheduler import advance, resume, stop
from vitlab.jobs.store import (
    all_jobs,
    find_job,
    job_folders,
    new_exp_id,
    read_job,
    read_state,
    submit,
    unfinished,
)
from vitlab.lab.results.job_results import finished


def test_a_submitted_job_is_there_whole(shop: Workshop) -> None:
    job = shop.submit("", run="Run 1: 模型 / α")
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(read_job(job).spec.submitted))  # type: ignore[union-attr]
    assert job.folder.name == f"{stamp}-Run-1"
    assert job_folders(shop.lab) == [job]
    [found] = all_jobs(shop.lab)
    assert found.spec.run == "Run 1: 模型 / α"
    assert isinstance(found.state, Queued)
    assert found.order == found.spec.submitted > 0


def test_many_at_once_get_names_of_their_own(shop: Workshop) -> None:
    specs = [shop.spec("", run="same", submitted=1000.0) for _ in range(40)]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda spec: submit(shop.lab, spec), specs))
    assert len({job.folder for job in made}) == 40
    assert len(job_folders(shop.lab)) == 40


def test_half_made_folders_are_no_jobs(shop: Workshop) -> None:
    parent = shop.lab.exp_folder("E")
    (parent / ".tmp-1").mkdir(parents=True)
    (parent / ".tmp-1" / "spec.json").write_text("{}")
    (parent / "empty").mkdir()
    (parent / "broken").mkdir()
    (parent / "broken" / "spec.json").write_text('{"v": 1, "mvp":')
    (shop.lab.experiments / "x.yaml").write_text("")
    [broken] = all_jobs(shop.lab)
    assert (broken.name, broken.state) == ("E/broken", Unreadable("spec.json is not JSON (line 1)"))


def test_the_state_is_what_the_files_say(shop: Workshop) -> None:
    job = shop.submit("")
    lock = take_lock(job.lock)
    assert lock is not None
    assert isinstance(read_state(job), Running)  # being started
    os.close(lock)
    assert isinstance(read_state(job), Queued)  # the starter died: nothing is lost
    job.started.write_text(json.dumps({"started": 5.0}))
    assert read_state(job) == Lost(5.0)
    job.lock.write_text("")  # just now
    assert read_state(job) == Lost(5.0)
    job.started.write_text("{")  # half written by a machine that lost power
    assert isinstance(read_state(job), Lost)
    found = read_job(job)
    assert found is not None
    assert found.problem == "started.json is not JSON (line 1)"
    job.exit.write_text(json.dumps({"v": 1, "code": 0, "reason": "ok", "started": 5, "ended": 6}))
    assert read_state(job) == Done(5.0, 6.0, "ok", 0, "")


def test_the_health_of_a_job_that_ends_in_nothing_is_named(shop: Workshop) -> None:
    job = shop.submit("")
    job.exit.write_text(json.dumps({"v": 1, "code": 0, "reason": "ok", "started": 5, "ended": 6}))
    job.health.write_text('{"status": "bad", "what": "stuck"}\n')
    found = read_job(job)
    assert found is not None
    assert found.problem == ""
    os.truncate(job.health, 1 << 40)
    found = read_job(job)
    assert found is not None
    assert found.problem == "health.jsonl has no record in its last 8 kB"


def test_a_result_of_another_run_is_not_that_of_its_folder(shop: Workshop) -> None:
    job = shop.submit("")
    job.exit.write_text(json.dumps({"v": 1, "code": 0, "reason": "ok", "started": 5, "ended": 6}))
    spec = read_spec(job.spec)
    assert spec is not None
    values: dict[str, float | None] = {"val/r2/log_g": 0.6}
    own = Result(spec.mvp, spec.run, spec.profile, spec.recipe, values)
    write_result(job.result, own)
    assert [one.result for one in finished(all_jobs(shop.lab))] == [own]
    write_result(job.result, named := replace(own, mvp=f"MVP-{spec.mvp}"))  # by a program
    assert [one.result for one in finished(all_jobs(shop.lab))] == [named]
    write_result(job.result, replace(own, run="another"))
    found = read_job(job)
    assert found is not None
    assert found.problem == "result.json is of MVP 1.0, run another, profile full"
    assert finished([found]) == []
    write_result(job.result, marked := replace(own, job=spec.mark))
    assert [one.result for one in finished(all_jobs(shop.lab))] == [marked]
    earlier = replace(spec, submitted=spec.submitted - 60).mark
    write_result(job.result, replace(own, job=earlier))  # of the same run's launch before
    found = read_job(job)
    assert found is not None
    other = "another job of MVP 1.0, run run 1, profile full"
    assert found.problem == f"result.json is of {other} {UNNAMED}"
    assert finished([found]) == []


def test_the_wandb_run_of_another_job_is_not_that_of_its_folder(shop: Workshop) -> None:
    job = shop.submit("")
    spec = read_spec(job.spec)
    assert spec is not None
    for mark in ("", spec.mark, "submitted 1.5"):
        write_link(job, Link("a", path="wandb/x", job=mark))
        is_own = mark != "submitted 1.5"
        assert (read_link(job, spec) is not None) == is_own
        job.exit.write_text(json.dumps({"v": 1, "reason": "ok", "started": 1.0, "ended": 2.0}))
        found = read_job(job)
        assert found is not None
        assert found.problem == ("" if is_own else "wandb.json is of another job")


def test_what_another_job_s_files_say_is_not_taken_for_its_own(shop: Workshop) -> None:
    job = shop.submit("", extra={"backend": "slurm"})
    spec = read_spec(job.spec)
    assert spec is not None
    source = {"file": "m.csv", "names": {"a": "val/r2/log_g"}, "rows": 3, "shared": True}
    for mark in ("", spec.mark, "submitted 1.5"):
        record = {"job": mark} if mark else {}
        is_own = mark != "submitted 1.5"
        write_json(job.slurm, {"v": 1, "id": "7_0", **record})
        found = read_job(job)
        assert found is not None
        assert found.cluster == ("7_0" if is_own else "")
        assert found.problem == ("" if is_own else "slurm.json is of another job")
        job.slurm.unlink()
        write_json(job.metrics, {"v": 1, "sources": [source], "problems": ["odd"], **record})
        found = read_job(job)
        assert found is not None
        assert found.problem == ("" if is_own else "metrics.json is of another job")
        assert read_found(job).problems == (("odd",) if is_own else ())
        assert bool(shared_sources(job)) == is_own


def problem_of(job: JobPaths) -> str:
    found = read_job(job)
    assert found is not None
    return found.problem


def test_files_that_changed_since_they_were_written_are_not_believed(shop: Workshop) -> None:
    """As a flipped bit of a disk leaves them: still JSON, and something else."""
    job = shop.submit("print('0.25')")
    advance(shop.lab)
    ended(job)
    spec = read_spec(job.spec)
    assert spec is not None
    write_result(job.result, Result(spec.mvp, spec.run, spec.profile, spec.recipe, {"a": 0.25}))

    assert problem_of(job) == ""
    for path, old, new in (
        (job.spec, b"0.25", b"0.75"),
        (job.result, b"0.25", b"0.75"),
        (job.exit, b'"ok"', b'"oom"'),
        (job.exit, b'"crc32": "', b'"crc32": "0'),
    ):
        text = path.read_bytes()
        assert text.count(old) == 1
        path.write_bytes(text.replace(old, new))
        assert problem_of(job) == f"{path.name} {reading.CHANGED}"
        path.write_bytes(text)
    text = job.result.read_bytes()
    for same in (text.rstrip(), text + b"\n"):  # as an editor leaves it
        job.result.write_bytes(same)
        assert problem_of(job) == ""
    # As an older vitlab or a program writes them, or a person who means it: without a sum.
    lines = job.result.read_text().replace("0.25", "0.75").splitlines()
    job.result.write_text("\n".join(line for line in lines if "crc32" not in line))
    assert problem_of(job) == ""
    found = read_result(job.result)
    assert found is not None
    assert found.values == {"a": 0.75}


def test_the_end_of_another_job_is_not_that_of_its_folder(shop: Workshop) -> None:
    good, bad = shop.submit("print()"), shop.submit("1 / 0")
    advance(shop.lab)
    for job in (good, bad):
        ended(job)
    shutil.copyfile(good.exit, bad.exit)
    found = read_job(bad)
    assert found is not None
    assert found.state == Unreadable(f"exit.json is of another job {UNNAMED}")
    assert isinstance(read_state(good), Done)


def test_the_end_and_result_of_an_earlier_attempt_are_none_of_the_last(shop: Workshop) -> None:
    job = shop.submit("")
    files = {attempt: [job.started, job.exit] for attempt in (1, 2)}
    files[1] = [path.with_name(f"{path.stem}.1.json") for path in files[1]]
    for attempt, (started, exit_) in files.items():
        record = {"v": 1, "started": 5.0 * attempt}
        write_json(started, record)
        write_json(exit_, {**record, "reason": "ok" if attempt > 1 else "failed", "ended": 99.0})
    assert read_state(job) == Done(10.0, 99.0, "ok", None)
    spec = read_spec(job.spec)
    assert spec is not None
    kept = job.result.with_name("result.1.json")
    write_result(kept, Result(spec.mvp, spec.run, spec.profile, spec.recipe, {"a": 0.25}))
    shutil.copyfile(kept, job.result)
    assert problem_of(job) == "result.json is of an earlier attempt, as result.1.json"
    for path in (kept, job.result):  # a program's own has no sum, and may be the same again
        path.write_text("\n".join(x for x in path.read_text().splitlines() if "crc32" not in x))
    assert problem_of(job) == ""
    shutil.copyfile(files[1][1], job.exit)
    assert read_state(job) == Unreadable("exit.json is of an earlier attempt, as started.1.json")
    files[1][0].unlink()
    assert read_state(job) == Unreadable("exit.json is of an earlier attempt, as exit.1.json")
    shutil.copyfile(files[1][1], job.started)  # all of it is restored
    assert read_state(job) == Done(5.0, 99.0, "failed", None)


def test_without_locks_pid_and_start_time_decide(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = processes.process(os.getpid())
    assert me is not None
    job = shop.submit("")
    monkeypatch.setattr(store, "is_locked", lambda _: None)
    assert isinstance(read_state(job), Queued)
    record = {"started": 5.0, "boot": boot(), "pid": me.pid, "ticks": me.ticks, "device": "cpu"}
    job.started.write_text(json.dumps(record))
    assert read_state(job) == Running(5.0, me.pid, "cpu")
    # The pid lives, but it is another process: ours has gone and its number was given out again.
    job.started.write_text(json.dumps({**record, "ticks": me.ticks - 1}))
    assert read_state(job) == Lost(5.0)


def test_a_lock_that_was_replaced_hides_no_job_that_lives(shop: Workshop) -> None:
    """As a restore, or a copy over the lab, does."""
    job, me = shop.submit(""), processes.process(os.getpid())
    assert me is not None
    record = {"started": 5.0, "boot": boot(), "pid": me.pid, "ticks": me.ticks, "device": "cpu"}
    job.started.write_text(json.dumps(record))
    job.lock.write_text("")
    assert read_state(job) == Running(5.0, me.pid, "cpu")
    job.started.write_text(json.dumps({**record, "ticks": me.ticks - 1}))
    assert read_state(job) == Lost(5.0)


@pytest.mark.parametrize(
    ("host", "boot_id", "age", "runs"),
    [
        ("other", "00000000", 60, True),
        ("other", "00000000", 600, False),
        ("other", "00000000", -3600, False),  # by a clock that is far ahead
        ("", "00000000", 60, False),  # this machine was restarted
        ("other", "", 60, False),  # a container was made anew
    ],
)
def test_a_sign_of_life_tells_where_a_disk_keeps_locks_to_one_machine(
    shop: Workshop, tmp_path: Path, host: str, boot_id: str, age: float, runs: bool
) -> None:
    job = shop.submit("")
    parts = zip((host, boot_id, "1"), boot().split(":"), strict=True)
    there = ":".join(given or ours for given, ours in parts)
    record = {"started": 5.0, "boot": there, "pid": 1, "ticks": 1, "device": "cpu"}
    job.started.write_text(json.dumps(record))
    job.lock.write_text(json.dumps(record))
    monitor = Monitor(job, os.getpid(), 0, Limits(), None)
    os.utime(job.lock, (1, 1))
    assert read_state(job) == Lost(5.0)
    monitor.check(alive=True)
    assert isinstance(read_state(job), Running) == (host == "other" and boot_id != "")
    os.utime(job.lock, (time.time() - age,) * 2)
    assert isinstance(read_state(job), Running) == runs
    copied = LabPaths(tmp_path / "copied")
    shutil.copytree(shop.lab.root, copied.root)
    [found] = store.all_jobs(copied)
    assert isinstance(found.state, Lost)


def test_the_copy_of_a_running_job_does_not_run(shop: Workshop, tmp_path: Path) -> None:
    job, me = shop.submit(""), processes.process(os.getpid())
    assert me is not None
    record = {"started": 5.0, "boot": boot(), "pid": me.pid, "ticks": me.ticks, "device": "cpu"}
    job.started.write_text(json.dumps(record))
    job.lock.write_text("")
    copied = LabPaths(tmp_path / "copied")
    shutil.copytree(shop.lab.root, copied.root)
    [found] = store.all_jobs(copied)
    assert isinstance(found.state, Lost)
    assert found.foreign
    assert isinstance(read_state(job), Running)


def test_looking_at_a_lock_does_not_keep_others_from_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert is_locked(path) is False
    first = take_lock(path)
    assert first is not None
    assert is_locked(path) is True
    assert take_lock(path, patience=0.0) is None
    os.close(first)
    assert is_locked(path) is False


def test_a_lock_that_a_stopped_process_holds_is_not_waited_for(tmp_path: Path) -> None:
    """As a launch behind ctrl+z; it is named, and how it goes on."""
    path = tmp_path / "lock"
    code = (
        "import fcntl, os, signal, sys; lock = open(sys.argv[1], 'w')\n"
        "fcntl.flock(lock, fcntl.LOCK_EX); os.kill(os.getpid(), signal.SIGSTOP)\n"
    )
    with subprocess.Popen([sys.executable, "-S", "-c", code, str(path)]) as other:
        try:
            os.waitpid(other.pid, os.WUNTRACED)
            assert take_lock(path, patience=math.inf) is None
            stopped = f"which is stopped: `kill -CONT {other.pid}` lets it go on"
            assert held_by(path) == f" (pid {other.pid}, {stopped})"
        finally:
            other.kill()
    assert held_by(path) == ""
    assert held_by(tmp_path / "none") == ""


def test_jobs_are_found_by_name_or_prefix(shop: Workshop) -> None:
    one = shop.submit("", run="vit", submitted=1000.0)
    two = shop.submit("", run="ridge", submitted=1000.0)
    for text in (one.name, one.folder.name, f"experiments/{one.name}", str(one.folder)):
        assert find_job(shop.lab, text) == one
    assert find_job(shop.lab, two.folder.name[:-2]) == two
    with pytest.raises(UsageError, match="is ambiguous: 2 jobs match"):
        find_job(shop.lab, "VIT-2025")
    with pytest.raises(UsageError, match="no job 'x'"):
        find_job(shop.lab, "x")
    with pytest.raises(UsageError):
        find_job(shop.lab, "")


def test_experiment_ids_count_up(shop: Workshop) -> None:
    date = datetime.date(2025, 12, 26)
    first = new_exp_id(shop.lab, "vit", "ViT 1M/large", date)
    assert first == "VIT-20251226-vit-1m-large-01"
    submit(shop.lab, shop.spec("", exp_id=first))
    assert new_exp_id(shop.lab, "VIT", "vit-1m-large", date) == "VIT-20251226-vit-1m-large-02"


def test_an_id_that_is_a_path_is_refused(shop: Workshop) -> None:
    with pytest.raises(UsageError, match="not a plain name"):
        submit(shop.lab, shop.spec("", exp_id="../elsewhere"))


def _ended(job: JobPaths) -> None:
    job.started.write_text('{"started": 5.0}')
    job.exit.write_text('{"v": 1, "code": 0, "reason": "ok", "started": 5, "ended": 6}')


def test_a_folder_behind_a_link_is_read_once_it_has_ended(shop: Workshop, tmp_path: Path) -> None:
    """Nothing is done to it: it may be another lab's."""
    moved, waits = shop.submit(""), shop.submit("")
    for job in (moved, waits):
        job.folder.rename(tmp_path / job.folder.name)
        job.folder.symlink_to(tmp_path / job.folder.name)
    _ended(moved)
    assert read_state(moved) == Done(5.0, 6.0, "ok", 0)
    assert read_state(waits) == Unreadable(f"{waits.folder.name} is a link to another folder")


def test_what_is_no_folder_of_a_job_costs_at_most_a_row(shop: Workshop) -> None:
    good = shop.submit("")
    parent = good.folder.parent
    (parent / "gone").symlink_to("nowhere")
    (parent / "loop").symlink_to("loop")
    (parent / "elsewhere").symlink_to("/")
    (parent / "a file").touch()
    os.mkfifo(parent / "a pipe")
    (shop.lab.experiments / "E-file").touch()
    os.mkfifo(shop.lab.experiments / "E-pipe")
    (shop.lab.experiments / "E-loop").symlink_to("E-loop")
    (shop.lab.experiments / "E-linked").symlink_to(parent)
    found = {job.name: job.state for job in all_jobs(shop.lab)}
    assert isinstance(found.pop(good.name), Queued)
    linked = {name for name in found if name.startswith("E-linked/")}
    assert linked == {"E-linked/gone", "E-linked/loop"}  # the job counts once
    assert {name: found[name] for name in found.keys() - linked} == {
        f"{parent.name}/gone": Unreadable("gone is a link to nothing"),
        f"{parent.name}/loop": Unreadable("loop is a link to nothing"),
        "experiments/E-loop": Unreadable("E-loop is a link to nothing"),
    }


def test_nothing_is_done_to_a_job_that_cannot_be_read(shop: Workshop) -> None:
    odd, good = shop.submit(""), shop.submit("")
    odd.queue.unlink()
    os.mkfifo(odd.queue)
    assert [job.folder for job in advance(shop.lab)] == [good.folder]
    assert read_state(odd) == Unreadable("queue.json is a pipe (FIFO)")
    for act in (stop, partial(resume, shop.lab)):
        with pytest.raises(UsageError, match=r"queue.json is a pipe"):
            act(odd)
    assert ended(good).outcome == "ok"
    left = sorted(path.name for path in odd.folder.iterdir())
    assert left == ["environment.json", "queue.json", "spec.json"]


def test_a_lock_that_is_held_shows_a_running_job_whatever_else_is_wrong(shop: Workshop) -> None:
    job = shop.submit("")
    lock = take_lock(job.lock)
    assert lock is not None
    job.spec.write_text("{")
    os.mkfifo(job.started)
    found = read_job(job)
    os.close(lock)
    assert found is not None
    assert isinstance(found.state, Running)
    assert found.problem == "started.json is a pipe (FIFO); spec.json is not JSON (line 1)"


def test_what_many_jobs_keep_in_memory_is_bounded(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MEMORY", 600_000)
    monkeypatch.setattr(store, "_kept", {})
    text = "\N{GRINNING FACE}" + "a" * 100_000  # 400 kB of memory
    for k in range(4):
        shop.submit("", run=f"run {k}", submitted=1e9 + k, extra={"text": text})
    small = shop.submit("", run="small", submitted=1e9 + 9)
    long_ago = time.time() - 60
    for job in job_folders(shop.lab):
        os.utime(job.folder, (long_ago, long_ago))
    for _ in "12":  # the second look finds those that were kept
        found = all_jobs(shop.lab)
        assert [isinstance(job.state, Queued) for job in found] == [True, True, False, False, True]
        assert found[-1].paths == small
        assert found[2].problem == (
            "spec.json is larger than 16 kB, and those of other jobs fill 0 MiB of memory"
        )
    assert len(unfinished(shop.lab)) == 5
    assert read_job(found[3].paths) != found[3], "alone there is room for it"


def test_long_texts_of_a_row_are_cut(shop: Workshop) -> None:
    job = shop.submit("")
    end = {"v": 1, "code": 0, "reason": "r" * 9000, "detail": "d" * 9000, "started": 5, "ended": 6}
    job.exit.write_text(json.dumps(end))
    state = read_state(job)
    assert isinstance(state, Done)
    assert (len(state.outcome), len(state.detail)) == (2000, 2000)


def test_a_record_that_is_written_in_parts_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: whole(file, data[:7], at))
    end, record = tmp_path / "exit.json", {"reason": "ok", "detail": "of a job"}
    ReservedFile(end).write(json.dumps(record).encode())
    lock = take_lock(tmp_path / "lock")
    assert lock is not None
    for owner in ({**record, "pid": 4711}, record):
        write_owner(lock, owner)
        assert read_json(tmp_path / "lock") == owner
    os.close(lock)
    assert read_json(end) == record
