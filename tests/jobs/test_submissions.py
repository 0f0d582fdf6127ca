"""Only what this user submitted here is started; all else is shown, and can be taken over."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.conftest import Workshop
from tests.waiting import ended
from vitlab.contract.job import Done, Lost, Queued, Spec, read_spec
from vitlab.contract.paths import JobPaths, LabPaths, UsageError, find_lab
from vitlab.contract.user_key import state_folder
from vitlab.jobs import slurm, submissions
from vitlab.jobs.environment import (
    differing,
    is_secret_setting,
    record_environment,
    this_environment,
)
from vitlab.jobs.files import read_json, take_lock, touch, write_json
from vitlab.jobs.process import slurm_step
from vitlab.jobs.processes import boot
from vitlab.jobs.queue import scheduler
from vitlab.jobs.queue.machine import read_machine
from vitlab.jobs.queue.notice import notify
from vitlab.jobs.queue.queue import left_behind, plan
from vitlab.jobs.queue.scheduler import advance, hold, move, release, resume, stop
from vitlab.jobs.store import all_jobs, read_job, submit
from vitlab.jobs.submissions import NOT_HERE, discard, is_submitted, publish, stage
from vitlab.lab.lab import open_lab

MAKES = "import os; open(os.path.join(os.environ['VITLAB_JOB'], 'ran'), 'w')"


def alone(job: JobPaths) -> None:
    for name in ("queue.json", "environment.json"):
        (job.folder / name).unlink()


def other_spec(job: JobPaths) -> None:
    spec = read_spec(job.spec)
    assert spec is not None
    job.spec.write_bytes(replace(spec, run="run 2").to_json())


def other_environment(job: JobPaths) -> None:
    variables = {**read_json(job.environment)["variables"], "LD_PRELOAD": "/tmp/evil.so"}
    record_environment(job.environment, variables)


def replaced(job: JobPaths) -> None:
    shutil.copytree(job.folder, job.folder.with_name("copy"))
    shutil.rmtree(job.folder)
    job.folder.with_name("copy").rename(job.folder)


def linked(job: JobPaths) -> None:
    kept = job.folder.parent / ".kept"
    job.spec.rename(kept)
    job.spec.symlink_to(kept)


def without_record(_: JobPaths) -> None:
    shutil.rmtree(state_folder() / "submitted")
    submissions._known.clear()


@pytest.mark.parametrize(
    "change", [alone, other_spec, other_environment, replaced, without_record, linked]
)
@pytest.mark.parametrize("request_of", ["", "resume", "lost"])
def test_what_was_not_submitted_here_is_not_started(
    shop: Workshop, change: Callable[[JobPaths], None], request_of: str
) -> None:
    job = shop.submit(MAKES, run="run 1", extra={"on_lost": "resume"})
    if request_of == "resume":
        job.exit.write_text('{"v": 1, "reason": "ok", "started": 1, "ended": 2, "code": 0}')
        job.resume.touch()
    if request_of == "lost":
        job.lock.touch()
        job.started.write_text('{"v": 1, "started": 1.0, "pid": 1, "ticks": 1}')
    assert is_submitted(job)
    change(job)
    assert not is_submitted(job)
    assert not is_submitted(job, anew=True)
    found = read_job(job)
    assert found is not None
    assert advance(shop.lab) == []
    assert not (job.folder / "ran").exists()
    if change is linked:
        return  # a row of its own: a file that is a link
    assert found.foreign
    assert isinstance(found.state, Lost if request_of == "lost" else Queued)
    assert not left_behind(found, read_machine(shop.lab))
    assert plan([found], read_machine(shop.lab)).starts == ()
    if isinstance(found.state, Queued):
        assert plan([found], read_machine(shop.lab)).reasons == {job.name: NOT_HERE}
        for act in (hold, release, lambda one: move(one, [one], 1)):
            with pytest.raises(UsageError, match="not submitted here"):
                act(found)
    with pytest.raises(UsageError, match="not submitted here"):
        resume(shop.lab, job)


def test_a_copied_cloned_or_unpacked_lab_starts_nothing(shop: Workshop, tmp_path: Path) -> None:
    shop.submit(MAKES)
    root, git = shop.lab.root, ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (
        ["cp", "-a", str(root), str(tmp_path / "copied")],
        [*git, "init", "-q", str(root)],
        [*git, "-C", str(root), "add", "-A"],
        [*git, "-C", str(root), "commit", "-qm", "all"],
        [*git, "clone", "-q", str(root), str(tmp_path / "cloned")],
        ["tar", "-C", str(tmp_path), "-cf", str(tmp_path / "lab.tar"), "lab"],
    ):
        subprocess.run(command, check=True)
    for name in ("copied", "cloned"):
        assert [job.foreign for job in all_jobs(LabPaths(tmp_path / name))] == [True]
        assert advance(LabPaths(tmp_path / name)) == []
    root.rename(tmp_path / "renamed")
    assert [job.foreign for job in all_jobs(LabPaths(tmp_path / "renamed"))] == [False]
    # Restored to where it was, also by the numbers of its folders, which a disk gives again.
    shutil.rmtree(tmp_path / "renamed")
    subprocess.run(["tar", "-C", str(tmp_path), "-xpf", str(tmp_path / "lab.tar")], check=True)
    assert [job.foreign for job in all_jobs(shop.lab)] == [True]
    assert advance(shop.lab) == []


def test_a_lab_whose_experiments_are_a_link_to_mine_starts_nothing(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = shop.submit(MAKES)  # a relative script would be the other lab's
    other = LabPaths(tmp_path / "other")
    other.root.mkdir()
    other.experiments.symlink_to(shop.lab.experiments)
    assert [job.foreign for job in all_jobs(other)] == [True]
    assert advance(other) == []
    assert [job.foreign for job in all_jobs(shop.lab)] == [False]
    # On another disk a folder can be made to have the number of this one.
    real = os.stat
    numbers = {str(other.root): shop.lab.root.stat().st_ino}

    def numbered(path: Any, *rest: Any, **how: Any) -> os.stat_result:
        found = real(path, *rest, **how)
        number = numbers.get(str(path), found.st_ino)
        return os.stat_result((found.st_mode, number, *found[2:]))

    monkeypatch.setattr(os, "stat", numbered)
    assert not is_submitted(JobPaths(other.experiments / job.folder.parent.name / job.folder.name))
    assert is_submitted(job, anew=True)


def test_two_disks_that_number_their_folders_alike_keep_both_labs_jobs(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Workshop(tmp_path / "other")
    mine, theirs = shop.submit(MAKES), other.submit(MAKES)
    real = os.stat
    pairs = [(theirs.folder, mine.folder), (other.lab.experiments, shop.lab.experiments)]
    numbers = {str(one): real(alike).st_ino for one, alike in pairs}

    def numbered(path: Any, *rest: Any, **how: Any) -> os.stat_result:
        found = real(path, *rest, **how)
        return os.stat_result((found.st_mode, numbers.get(str(path), found.st_ino), *found[2:]))

    monkeypatch.setattr(os, "stat", numbered)
    submissions.record(mine.folder)
    submissions.record(theirs.folder)
    assert is_submitted(mine, anew=True)
    assert is_submitted(theirs, anew=True)
    old = submissions._earlier_place(mine.folder)  # as an earlier version wrote it
    submissions._place(mine.folder).rename(old)
    assert is_submitted(mine, anew=True)
    submissions.forget(mine.folder)
    assert not is_submitted(mine, anew=True)
    assert is_submitted(theirs, anew=True)


@pytest.mark.parametrize("above", [0, 1, 2])
def test_a_running_job_is_not_stopped_through_a_link(
    shop: Workshop, tmp_path: Path, above: int
) -> None:
    """Of its folder, of its experiment's, or of all."""
    job, other = shop.submit(MAKES), LabPaths(tmp_path / "other")
    place = JobPaths(other.experiments / job.folder.parent.name / job.folder.name)
    folder, target = ([one.folder, *one.folder.parents][above] for one in (place, job))
    folder.parent.mkdir(parents=True)
    folder.symlink_to(target)
    held = take_lock(job.lock)
    assert held is not None
    with pytest.raises(UsageError, match="a link out of"):
        stop(place)
    assert not job.stop.exists()
    stop(job)
    assert job.stop.exists()
    os.close(held)


def test_another_user_s_submission_is_foreign(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.submit(MAKES)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another"))
    assert advance(shop.lab) == []  # asked anew, whatever was known
    assert [job.foreign for job in all_jobs(shop.lab)] == [True]


def test_a_foreign_job_can_be_taken_over_or_dropped(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import os; open(os.environ['VITLAB_JOB'] + '/ran', 'w').write(os.getenv('MINE', '-'))"
    kept, dropped = shop.submit(code), shop.submit(code)
    for job in (kept, dropped):
        record_environment(job.environment, {**os.environ, "MINE": "theirs"})
        write_json(job.slurm, {"v": 1, "id": "77"})
    monkeypatch.setattr(slurm, "_run", lambda *_: pytest.fail("Slurm was asked"))
    monkeypatch.setenv("MINE", "mine")
    stop(dropped)
    found = read_job(dropped)
    assert found is not None
    assert isinstance(found.state, Done)
    assert found.state.word == "stopped"
    resume(shop.lab, kept, here=True)
    monkeypatch.undo()
    assert is_submitted(kept)
    advance(shop.lab)
    assert ended(kept).outcome == "ok"
    assert (kept.folder / "ran").read_text() == "mine"
    assert not (dropped.folder / "ran").exists()
    assert not kept.slurm.exists()


def test_an_ended_job_of_a_copied_lab_is_asked_about(shop: Workshop, tmp_path: Path) -> None:
    job = shop.submit(MAKES)
    advance(shop.lab)
    ended(job)
    resume(shop.lab, job)
    advance(shop.lab)
    ended(job)
    copied = LabPaths(tmp_path / "copied")
    shutil.copytree(shop.lab.root, copied.root)
    [found] = all_jobs(copied)
    assert not found.foreign  # nothing would start it
    (found.paths.folder / "ran").unlink()
    with pytest.raises(UsageError, match="not submitted here"):
        resume(copied, found.paths)
    assert not notify(copied, found, "http://127.0.0.1:1/")
    resume(copied, found.paths, here=True)
    advance(copied)
    assert ended(found.paths).outcome == "ok"
    assert (found.paths.folder / "ran").exists()


@pytest.mark.parametrize("name", ["out.log", "checkpoints", "wandb/x/files"])
def test_a_link_out_of_its_folder_is_not_written_through(
    shop: Workshop, tmp_path: Path, name: str
) -> None:
    job = shop.submit(MAKES)
    submissions.forget(job.folder)
    path = job.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / "latest").symlink_to(".")  # W&B's own, inside
    path.symlink_to(tmp_path)
    submissions._known.clear()
    with pytest.raises(UsageError, match=f"a link out of its folder.*: {name}"):
        resume(shop.lab, job, here=True)
    assert advance(shop.lab) == []


def test_a_foreign_job_behind_a_link_is_neither_taken_over_nor_dropped(
    shop: Workshop, tmp_path: Path
) -> None:
    job = shop.submit(MAKES)
    other = LabPaths(tmp_path / "other")
    other.experiments.mkdir(parents=True)
    (other.experiments / job.folder.parent.name).symlink_to(job.folder.parent)
    theirs = JobPaths(other.experiments / job.name)
    before = sorted(job.folder.iterdir())
    for act in (stop, lambda one: resume(other, one, here=True)):
        with pytest.raises(UsageError, match="a link; nothing is written"):
            act(theirs)
    assert sorted(job.folder.iterdir()) == before


def test_a_folder_that_cannot_be_looked_at_may_hold_a_link(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = shop.submit(MAKES)
    (job.folder / "wandb").mkdir()
    real = os.scandir

    def closed(path: str) -> object:
        if path.endswith("wandb"):  # of mode 0311, which does not bind root
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(OSError, match="wandb"):
        submissions.links_out(job.folder)


def test_a_stranger_s_number_in_slurm_cancels_nothing(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(slurm, "_run", lambda argv, *_: asked.append(argv))
    job = shop.submit(MAKES, extra={"backend": "slurm"})
    write_json(job.slurm, {"v": 1, "id": "--user=me"})
    slurm.cancel(job)
    write_json(job.slurm, {"v": 1, "id": "12_3"})
    write_json(job.queue, {"hold": True})
    submissions.forget(job.folder)
    submissions._known.clear()
    advance(shop.lab)
    stop(job)
    assert asked == []


@pytest.mark.parametrize("state", ["unreadable", "running"])
def test_a_mark_that_is_a_link_is_made_nowhere_else(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: str
) -> None:
    """That of the last question to Slurm, by a stranger's job that says it was sent there."""
    monkeypatch.setattr(slurm, "_run", lambda argv, *_: pytest.fail(str(argv)))
    job = shop.submit(MAKES, extra={"backend": "slurm"})
    submissions.forget(job.folder)
    submissions._known.clear()
    write_json(job.slurm, {"v": 1, "id": "12"})
    if state == "unreadable":
        os.mkfifo(job.stop)
    else:
        job.started.write_text('{"v": 1, "started": 1.0, "pid": 1, "ticks": 1}')
    asked = shop.lab.private.slurm_asked
    asked.parent.mkdir(parents=True)
    asked.symlink_to(tmp_path / "stop")
    assert advance(shop.lab) == []
    assert not (tmp_path / "stop").exists()
    with pytest.raises(OSError, match="asked"):
        touch(asked)


def test_a_batch_step_runs_only_what_was_submitted(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = shop.submit(MAKES)
    other_environment(job)
    folders = shop.lab.root / "folders.txt"
    folders.write_text(f"{job.folder}\n")
    monkeypatch.delenv("SLURM_ARRAY_TASK_ID", raising=False)
    with pytest.raises(SystemExit, match="0"):
        slurm_step.main([str(folders)])
    found = read_job(job)
    assert found is not None
    assert isinstance(found.state, Done)
    assert "not as it was submitted" in found.state.detail


def test_what_is_staged_is_there_whole_or_not_at_all(shop: Workshop) -> None:
    specs = [shop.spec(MAKES, run="same") for _ in range(3)]
    staged = [stage(shop.lab, spec) for spec in specs]
    assert all_jobs(shop.lab) == []
    jobs = publish(staged[:2])
    discard(staged[2:])
    assert len({job.folder.name for job in jobs}) == 2
    assert [job.foreign for job in all_jobs(shop.lab)] == [False, False]
    other = stage(shop.lab, shop.spec(MAKES, exp_id="VIT-20251226-none-01"))
    discard([other])
    assert not shop.lab.exp_folder("VIT-20251226-none-01").exists()
    records = [path for path in (state_folder() / "submitted").rglob("*") if path.is_file()]
    mine = [path for path in records if str(shop.lab.experiments) in path.read_text()]
    assert len(mine) == 2
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in (state_folder(),)} == {0}


def test_records_of_what_is_gone_are_removed(shop: Workshop, tmp_path: Path) -> None:
    gone, kept = shop.submit(MAKES), shop.submit(MAKES)
    other = LabPaths(tmp_path / "other")
    submit(other, shop.spec(MAKES))
    records = state_folder() / "submitted"
    mine, theirs = (records / str(one.experiments.stat().st_ino) for one in (shop.lab, other))
    shutil.rmtree(gone.folder)
    for path in (*mine.iterdir(), mine, theirs):
        os.utime(path, (1e9, 1e9))
    submissions.prune(shop.lab.experiments)
    [left] = mine.iterdir()
    assert left.name.partition("-")[0] == str(kept.folder.stat().st_ino)
    assert theirs.exists()
    shutil.rmtree(other.root)
    submissions.prune(shop.lab.experiments)
    assert not theirs.exists()
    assert is_submitted(kept, anew=True)


def test_a_secret_in_a_spec_is_for_its_owner_alone(shop: Workshop) -> None:
    argv = [sys.executable, "-c", ""]
    plain = submit(shop.lab, shop.spec("", config={"argv": argv, "env": {"LEVEL": "3"}}))
    secret = submit(shop.lab, shop.spec("", config={"argv": argv, "env": {"API_KEY": "abc"}}))
    assert stat.S_IMODE(secret.spec.stat().st_mode) == 0o600
    assert stat.S_IMODE(secret.environment.stat().st_mode) == 0o600
    assert stat.S_IMODE(plain.spec.stat().st_mode) & 0o044 == 0o044
    assert json.loads(secret.spec.read_bytes())["config"]["env"] == {"API_KEY": "abc"}
    option = submit(shop.lab, shop.spec("", config={"argv": [*argv, "--hf_token=hf_AbCdEfGhIj"]}))
    assert stat.S_IMODE(option.spec.stat().st_mode) == 0o600


def test_options_that_are_secrets_are_told_from_settings() -> None:
    key = "0123456789abcdef0123"
    secrets = {"wandb_api_key": key, "token": key, "password": 1234, "x": "ghp_1234567890",
               "url": "https://me:pw@host/x", "args.auth": key}  # fmt: skip
    plain = {"sort_key": "log_g", "tokens": 512, "use_token": True, "lr": 1e-3, "key": "flux_2",
             "tokenizer": "LC-1234567890123456", "model": "hf_vit_base_patch16",
             "kind": "sk_learn_forest"}  # fmt: skip
    assert [
        name for name, value in (secrets | plain).items() if is_secret_setting(name, value)
    ] == [*secrets]


def test_a_job_that_is_starting_is_not_taken_over(shop: Workshop) -> None:
    job = shop.submit(MAKES)
    submissions.forget(job.folder)
    submissions._known.clear()
    lock = take_lock(job.lock)
    assert lock is not None
    try:
        with pytest.raises(UsageError, match="already running"):
            resume(shop.lab, job, here=True)
    finally:
        os.close(lock)


def test_the_lab_is_known_where_experiments_is_a_link(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch" / "deep"
    scratch.parent.mkdir()
    shop.lab.experiments.rename(scratch)
    shop.lab.experiments.symlink_to(scratch)
    for name in ("work", "roadmaps"):
        (shop.lab.root / name).mkdir()
    code = "import os; print(os.getcwd())"
    jobs = [shop.submit(code, config={"argv": ["python3", "-c", code], "cwd": "work"})]
    jobs += [shop.submit(code), shop.submit(code)]
    monkeypatch.chdir(tmp_path)
    advance(shop.lab)
    for job in jobs:  # one after the other, with nobody watching
        assert ended(job).outcome == "ok"
    where = [Path(job.log.read_text().strip()) for job in jobs]
    assert where == [shop.lab.root / "work", shop.lab.root, shop.lab.root]
    assert not (scratch.parent / ".vitlab").exists()
    assert find_lab(jobs[0].root) == shop.lab
    assert os.path.realpath(jobs[0].folder).startswith(str(scratch))


def test_on_a_disk_without_locks_a_job_starts_once(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("vitlab.jobs.files.fcntl.flock", refuse)
    job = shop.submit("print('ran')")
    for _ in range(5):
        advance(shop.lab)
    assert ended(job).outcome == "ok"
    assert job.log.read_text() == "ran\n"
    assert advance(shop.lab) == []
    begun = list[JobPaths]()
    start = scheduler.start_supervisor

    def meanwhile(lab: LabPaths, paths: JobPaths, lock: int) -> int:
        monkeypatch.setattr(scheduler, "start_supervisor", start)
        begun.extend(advance(lab))  # another look: as the lease is ours, and as it is not
        lab.private.lease.with_name("lease.claim").unlink()
        begun.extend(advance(lab))
        return start(lab, paths, lock)

    other = shop.submit("print('ran')")
    monkeypatch.setattr(scheduler, "start_supervisor", meanwhile)
    assert advance(shop.lab) == [other]
    assert begun == []
    assert ended(other).outcome == "ok"
    fresh = Workshop(shop.lab.root.with_name("fresh"))  # no supervisor looks on there
    third = fresh.submit("print('ran')")
    gone = json.dumps({"pid": 2**22 - 1, "ticks": 1, "boot": boot()})
    third.lock.with_name("lock.claim").write_text(gone)  # of a process that was killed
    assert advance(fresh.lab) == [third]
    assert ended(third).outcome == "ok"
    assert not list(shop.lab.root.parent.rglob("*.claim"))


STAGES = """
import os, sys, time
from pathlib import Path
from vitlab.contract.job import read_spec
from vitlab.contract.paths import LabPaths
from vitlab.jobs.submissions import stage
stage(LabPaths(Path(sys.argv[1])), read_spec(Path(sys.argv[2])))
print("staged", flush=True)
time.sleep(60)
"""


def test_what_a_killed_launch_left_is_no_job_and_is_removed(shop: Workshop, tmp_path: Path) -> None:
    spec = tmp_path / "spec.json"
    spec.write_bytes(shop.spec("pass").to_json())
    argv = [sys.executable, "-c", STAGES, str(shop.lab.root), str(spec)]
    shop.settings("")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdout is not None
        assert maker.stdout.readline() == "staged\n"
        [folder] = shop.lab.experiments.glob("*/.tmp-*")
        maker.send_signal(signal.SIGSTOP)
        open_lab(shop.lab.root)
        assert JobPaths(folder).spec.exists()  # its maker lives
        maker.kill()
    records = len(list((state_folder() / "submitted").glob("*/*")))
    assert all_jobs(shop.lab) == []
    names = ("young", "old", "full", "hers")
    others = [folder.with_name(f".tmp-20200101-000000-{name}") for name in names]
    for other in others:
        shutil.copytree(folder, other)
        queue = read_json(JobPaths(other).queue)
        write_json(JobPaths(other).queue, {**queue, "boot": "bob:1:1"})
    (others[2] / "data").touch()
    for other in others[1:]:
        os.utime(other, (1e9, 1e9))
    others[3].rename(others[3].with_name(".tmp-hers"))
    open_lab(shop.lab.root)
    left = sorted(path.name for path in folder.parent.iterdir())
    assert left == [".tmp-20200101-000000-full", ".tmp-20200101-000000-young", ".tmp-hers"]
    assert len(list((state_folder() / "submitted").glob("*/*"))) == records - 1
    shop.lab.experiments.rename(tmp_path / "far")
    shop.lab.experiments.symlink_to(tmp_path / "far")
    os.utime(tmp_path / "far" / others[0].parent.name / others[0].name, (1e9, 1e9))
    open_lab(shop.lab.root)
    assert len(list((tmp_path / "far").glob("*/.tmp-*"))) == 3


def test_a_lab_whose_name_is_not_utf_8_takes_no_job(tmp_path: Path) -> None:
    lab = LabPaths(Path(os.fsdecode(os.fsencode(tmp_path) + b"/l\xffab")))
    lab.experiments.mkdir(parents=True)
    spec = Spec("1.0", "one", "full", "mlp", {}, exp_id="A-1", roadmap="roadmaps/a.md")
    with pytest.raises(UsageError, match=r"a name that is not UTF-8, .*: rename the folder"):
        stage(lab, spec)
    assert list(lab.experiments.iterdir()) == []


def test_what_a_program_computes_may_be_in_its_environment_and_not_in_a_terminal_s(
    shop: Workshop,
) -> None:
    job, here = shop.submit(""), this_environment()
    changed = {**here, "DETERMINISTIC": "1", "TERM": "another", "WEZTERM_PANE": "7"}
    assert differing(job, changed) == ["DETERMINISTIC"]
