"""Runs started by hand, taken in while they run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.conftest import Workshop
from tests.waiting import SLEEP, children, ended, printed, wait_for
from vitlab.contract.events import Event, read_events
from vitlab.contract.job import Running, read_result
from vitlab.contract.paths import UsageError
from vitlab.jobs.logs.tail import LogTail
from vitlab.jobs.process.child import proof_of_end
from vitlab.jobs.process.health import History, add_events
from vitlab.jobs.processes import ADOPTED, descriptors, process
from vitlab.jobs.queue.scheduler import advance, resume, stop
from vitlab.jobs.queue.trainings import (
    Training,
    _declared,
    _log,
    adopt,
    as_glob,
    columns,
    metrics_files,
    training,
    trainings,
    watched_by,
)
from vitlab.jobs.store import find_job, read_job, read_state, submit

RUN = """
import sys, time
print("epoch 1", flush=True)
with open("metrics.csv", "w") as f:
    f.write("step,val_r2,test_r2\\n1,0.25,\\n")
    f.flush()
    sys.stdin.readline()
    f.write("2,,0.5\\n")
print("done", flush=True)
"""


@pytest.fixture
def by_hand(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "old_log.csv").write_text("step,val_r2\n")
    time.sleep(0.05)  # a process's start is known to 10 ms
    with (folder / "train.log").open("wb") as log:
        command = [sys.executable, "-c", RUN]
        run = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=log, stderr=log)
    wait_for(lambda: (folder / "metrics.csv").exists() and (folder / "metrics.csv").read_text())
    yield run
    run.kill()
    run.wait()


def test_watched_to_its_end(shop: Workshop, by_hand: subprocess.Popen[bytes]) -> None:
    log = shop.lab.root.parent / "elsewhere" / "train.log"
    names = {"val_r2": "val/r2/log_g", "test_r2": "test/r2/log_g"}
    spec = shop.spec("", extra={"metrics": {"file": "metrics.csv", "names": names}}, run="Run 1")
    job = adopt(shop.lab, spec, by_hand.pid, log)
    assert isinstance(read_state(job), Running)
    assert find_job(shop.lab, job.name) == job
    assert LogTail(job.log).poll() == ["epoch 1"]
    wait_for(lambda: len(read_events(job.events)[0]) > 1)
    assert by_hand.stdin is not None
    by_hand.stdin.write(b"\n")
    by_hand.stdin.close()
    by_hand.wait()
    done = ended(job)
    assert (done.outcome, done.code) == ("ok", None)
    assert done.detail == "started by hand; it wrote test/r2/log_g"
    assert [event.values for event in read_events(job.events)[0] if event.kind == "eval"] == [
        {"val/r2/log_g": 0.25},
        {"test/r2/log_g": 0.5},
    ]
    result = read_result(job.result)
    assert result is not None
    assert result.values == {"val/r2/log_g": 0.25, "test/r2/log_g": 0.5}
    with pytest.raises(UsageError, match="started by hand"):
        resume(shop.lab, job)


@pytest.mark.parametrize(
    ("epochs", "rows", "proof", "came_to"),
    [
        (3, "v0 v1 v2", "it reached epoch 2 of 3", "epoch 2 of 3"),
        (3, "v1 v2", "", "epoch 2 of 3"),
        (None, "v0 v1 t1", "it wrote test/r2/log_g", ""),
        (None, "v0 v1 t0", "it wrote test/r2/log_g", ""),  # a test counts from 0
        (3, "v1 v2 v3 t0", "it reached epoch 3 of 3", "epoch 3 of 3"),
        (None, "t0", "it wrote test/r2/log_g", ""),
        # Tested as it is trained, and killed.
        (None, "v0 t0 v1 t1", "", ""),
        (None, "t1 v1 t2 v2", "", ""),
        (None, "v0 t0 v1", "", ""),
        (100, "v1 t1 v2 t2", "", "epoch 2 of 100"),
        (100, "v9 v10 t10", "", "epoch 10 of 100"),
        (9, "s0 v0 s6 v6 s7 v7 s8", "", "epoch 8 of 9"),  # not yet validated
        (9, "s1 v0 s7 v7 v8", "it reached epoch 8 of 9", "epoch 8 of 9"),
        (9, "s7 s7 s8", "", "epoch 8 of 9"),  # within its last epoch
        (9, "s0 s0 s8 s8", "it reached epoch 8 of 9", "epoch 8 of 9"),
        (1, "v0", "", "epoch 0 of 1"),
        (1, "v0 t0", "it wrote test/r2/log_g", "epoch 0 of 1"),
        (9, "u0 s1 v1 s8 v8", "", "epoch 8 of 9"),  # validated before it is trained
        (9, "u0 s1 v1 s9 v9", "it reached epoch 9 of 9", "epoch 9 of 9"),
        (3, "v0.5 v1 v1.5 v2", "", "epoch 2 of 3"),
        (3, "v0.5 v1 v1.5 v3", "it reached epoch 3 of 3", "epoch 3 of 3"),
        (2, "v1 v2 v24 v25", "", "epoch 25 of 2"),
        (9, "t1 t2 t9", "it reached epoch 9 of 9", "epoch 9 of 9"),
        (9, "t1 t2 t8", "", "epoch 8 of 9"),
        # Every fifth epoch is told.
        (20, "v0 v5 v10 v15 t0", "it wrote test/r2/log_g", "epoch 15 of 20"),
        (20, "v0 v5 v10 t0", "", "epoch 10 of 20"),
    ],
)
def test_what_shows_an_end(
    shop: Workshop, epochs: int | None, rows: str, proof: str, came_to: str
) -> None:
    config = {"argv": ["true"], **({} if epochs is None else {"epochs": epochs})}
    job = shop.submit("", config=config)
    events = []
    for word in rows.split():
        split = {"u": "val", "v": "val", "t": "test", "s": "train"}[word[0]]
        epoch = float(word[1:])
        place: dict[str, Any] = {"step": 0 if word == "u0" else 10 * epoch + 5, "epoch": epoch}
        place |= {} if split == "train" else {"split": split}
        kind = "step" if split == "train" else "eval"
        events.append(Event(kind, 1.0, {**place, "values": {f"{split}/r2/log_g": 0.5}}))
    assert proof_of_end(job, add_events(History(), events)) == (proof, came_to)


def test_its_command_line_says_epochs_and_seed_and_its_time_is_the_process_s(
    shop: Workshop, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", SLEEP, "--max-epochs", "25", "--seed=5", "--lr", "0.1"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE) as run:
        try:
            assert run.stdout is not None
            run.stdout.readline()
            began = training(run.pid).started
            job = adopt(shop.lab, replace(shop.spec(""), config={"epochs": 3}), run.pid)
            wait_for(lambda: read_events(job.events)[0])
        finally:
            run.kill()
    (start, *_), _ = read_events(job.events)
    assert start.t == pytest.approx(began, abs=0.01)
    assert start.data["seed"] == 5
    found = read_job(job)
    assert found is not None
    assert found.spec.config["epochs"] == 25
    state = ended(job)
    assert state.started == pytest.approx(began, abs=0.01)


@pytest.mark.parametrize(
    ("words", "declared"),
    [
        ("--trainer.max_epochs 100 --model.warmup.epochs 2", {"epochs": 100}),
        ("--epochs 9 --trainer.max_epochs 100", {"epochs": 9}),
        ("--model.warmup.epochs 2 --stage.epochs 3", {}),
        ("--model.fit.epochs 2", {"epochs": 2}),
        ("--data.seed 3 --seed 42", {"seed": 42}),
        ("--epochs 0 --seed 0", {"seed": 0}),
    ],
)
def test_of_several_epochs_the_training_s_count(words: str, declared: dict[str, int]) -> None:
    assert _declared(["python", "train.py", *words.split()]) == declared


def test_the_files_of_jobs_are_no_candidates(tmp_path: Path, shop: Workshop) -> None:
    job = submit(shop.lab, shop.spec(""))
    for folder in (job.folder, job.outputs, shop.lab.root / "run"):
        folder.mkdir(exist_ok=True, parents=True)
        (folder / "metrics.csv").write_text("step,val_r2\n1,0.5\n")
    assert metrics_files(shop.lab.root) == [shop.lab.root / "run" / "metrics.csv"]


def test_a_closed_folder_beside_a_run_is_passed_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("closed", "run"):
        (tmp_path / name).mkdir()
    (tmp_path / "run" / "metrics.csv").write_text("step,val_r2\n1,0.5\n")
    usual = os.stat

    def closed(path: Any, *more: Any, **keys: Any) -> os.stat_result:
        if str(path).startswith(f"{tmp_path}/closed/"):
            raise PermissionError(13, "Permission denied", path)
        return usual(path, *more, **keys)

    monkeypatch.setattr(os, "stat", closed)
    assert metrics_files(tmp_path) == [tmp_path / "run" / "metrics.csv"]


def test_what_is_no_metrics_file_has_no_columns(tmp_path: Path) -> None:
    path = tmp_path / "trainer_state.json"
    os.mkfifo(path)
    assert columns(path) == []
    path.unlink()
    with path.open("wb") as file:
        file.write(b"[\n" + b" " * 100)
        file.truncate(1 << 40)
    assert columns(path) == []


def test_stopped_like_any_other(shop: Workshop, by_hand: subprocess.Popen[bytes]) -> None:
    job = adopt(shop.lab, shop.spec(""), by_hand.pid)
    assert advance(shop.lab) == []
    stop(job)
    assert ended(job).outcome == "killed"
    assert process(by_hand.pid) is None


def test_what_it_takes_is_found(shop: Workshop, by_hand: subprocess.Popen[bytes]) -> None:
    """Command, folder, log and metrics file of a process; a file that was there before is not."""
    folder = shop.lab.root.parent / "elsewhere"
    found = training(by_hand.pid)
    assert found.argv == (sys.executable, "-c", RUN)
    assert (found.folder, found.log) == (folder, folder / "train.log")
    assert found.metrics == (folder / "metrics.csv",)
    assert (found.device, found.job, found.unclear) == ("cpu", "", "")
    os.utime(folder / "metrics.csv", (1, 1))
    assert columns(folder / "metrics.csv") == ["step", "val_r2", "test_r2"]
    # Held open, so its own whatever its time is.
    assert training(by_hand.pid).metrics == (folder / "metrics.csv",)


def test_trainings_are_listed_and_nothing_else(tmp_path: Path) -> None:
    """A worker of a training, vitlab itself, another's tests and an idle Python are none."""
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEP!r}, 'torch'])"
    argvs = {
        "training": [sys.executable, "-c", child, "lightning"],
        "pytest": [sys.executable, "-S", "-c", SLEEP, "-m", "pytest", "torch"],
        "idle": [sys.executable, "-S", "-c", SLEEP],
        "ours": [sys.executable, "-S", "-c", SLEEP, "-m", "vitlab.recipes.run", "torch"],
    }
    running = {
        name: subprocess.Popen(argv, cwd=tmp_path, stdout=subprocess.PIPE, start_new_session=True)
        for name, argv in argvs.items()
    }
    try:
        for one in running.values():
            assert one.stdout is not None
            one.stdout.readline()
        listed = {one.pid for one in trainings() if one.folder == tmp_path}
        assert listed == {running["training"].pid}
    finally:
        for one in running.values():
            os.killpg(one.pid, signal.SIGKILL)
            one.wait()
            assert one.stdout is not None
            one.stdout.close()


def test_two_runs_in_one_folder_do_not_take_each_other_s_file(tmp_path: Path) -> None:
    """Each holds its own; one that holds none, while another runs the same, is given none."""
    script = tmp_path / "train.py"
    script.write_text(
        "import sys, time\n"
        "name = f'metrics_{sys.argv[1]}.csv'\n"
        "f = open(name, 'w'); f.write('step,val_r2\\n'); f.flush()\n"
        "if sys.argv[2] == 'close': f.close()\n"
        "print('ready', flush=True); time.sleep(60)\n"
    )
    for how, wanted in (("hold", [["metrics_0.csv"], ["metrics_1.csv"]]), ("close", [[], []])):
        argv = [sys.executable, "-S", "train.py"]
        runs = [
            subprocess.Popen([*argv, str(i), how], cwd=tmp_path, stdout=subprocess.PIPE)
            for i in range(2)
        ]
        for run in runs:
            assert run.stdout is not None
            run.stdout.readline()
        found = [training(run.pid) for run in runs]
        for run in runs:
            run.kill()
            run.wait()
            assert run.stdout is not None
            run.stdout.close()
        assert [[path.name for path in one.metrics] for one in found] == wanted
        assert all(bool(one.unclear) == (how == "close") for one in found)
        for path in tmp_path.glob("*.csv"):
            path.unlink()


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("lightning_logs/version_3/metrics.csv", "lightning_logs/version_*/metrics.csv"),
        ("wandb/offline-run-20261128_091708-ab1/run-ab1.wandb", "wandb/*run-*/*.wandb"),
        ("out/checkpoint-500/trainer_state.json", "out/checkpoint-*/trainer_state.json"),
        ("metrics[1].csv", "metrics[1].csv"),
    ],
)
def test_a_counted_folder_becomes_a_star(path: str, written: str) -> None:
    assert as_glob(Path("/run") / path, Path("/run")) == written


def test_a_run_is_adopted_once(shop: Workshop, by_hand: subprocess.Popen[bytes]) -> None:
    job = adopt(shop.lab, shop.spec(""), by_hand.pid)
    with pytest.raises(UsageError, match=f"is already a job: {job.name}"):
        adopt(shop.lab, shop.spec(""), by_hand.pid)
    stop(job)
    ended(job)


def test_a_run_in_a_container_has_no_files_of_ours(tmp_path: Path) -> None:
    inside, here = tmp_path / "inside", tmp_path / "work"
    for folder in (inside, here):
        folder.mkdir()
    waits = (
        f'printf "epoch,val_r2\\n1,0.9\\n" > m.csv; exec {sys.executable} -c '
        "'import sys; sys.stdin.read()' 3>>m.csv >out.log"
    )
    mounted = f"mount --bind {inside} {here} && cd {here} && {waits}"
    run = subprocess.Popen(["unshare", "-rm", "sh", "-c", mounted], stdin=subprocess.PIPE)
    try:
        wait_for(lambda: (inside / "out.log").exists() or run.poll() is not None)
        if run.poll() is not None:
            pytest.skip("no container can be made here")
        wait_for(lambda: "python" in Path(f"/proc/{run.pid}/exe").readlink().name)
        for name in ("m.csv", "out.log"):
            (here / name).write_text("epoch,val_r2\n1,0.3\n")
        assert not [path for _, path in descriptors(run.pid) if path.startswith(str(tmp_path))]
        assert _log(run.pid) is None
        with pytest.raises(UsageError, match="as in a container"):
            training(run.pid)
    finally:
        run.communicate(b"")


def test_a_thread_is_no_process(shop: Workshop) -> None:
    with (
        ThreadPoolExecutor(1) as pool,
        pytest.raises(UsageError, match=f"is a thread of process {os.getpid()}: give that"),
    ):
        adopt(shop.lab, shop.spec(""), pool.submit(threading.get_native_id).result())


def test_what_can_not_be_adopted(shop: Workshop, by_hand: subprocess.Popen[bytes]) -> None:
    with pytest.raises(UsageError, match="process 4194305: no such process"):
        adopt(shop.lab, shop.spec(""), 2**22 + 1)
    with pytest.raises(UsageError, match="no such log"):
        adopt(shop.lab, shop.spec(""), by_hand.pid, Path("/none.log"))
    job = shop.submit(SLEEP)
    advance(shop.lab)
    printed(job)
    [child] = children(job)
    with pytest.raises(UsageError, match="is already a job"):
        adopt(shop.lab, shop.spec(""), child)
    stop(job)
    ended(job)


def test_a_record_of_a_process_that_is_none_is_passed_over(shop: Workshop) -> None:
    shop.submit("pass", extra={ADOPTED: {"x": 1}})
    found = Training(os.getpid(), 1, (), Path(), 0.0, None, (), "", "cpu", "")
    assert watched_by(shop.lab, found) == ""


def test_what_runs_the_command_itself_is_not_adopted() -> None:
    """A shell in place of the training it started, tmux, or the first process of all."""
    with pytest.raises(UsageError, match="process 1"):
        training(1)
    ask = (
        "import os, sys; from vitlab.contract.paths import UsageError\n"
        "from vitlab.jobs.queue.trainings import training\n"
        "try: print(training(int(sys.argv[1])).pid)\n"
        "except UsageError as error: print(error)\n"
    )
    shell = f'"{sys.executable}" -c "$0" $$; true'
    command = ["sh", "-c", shell, ask]
    own = subprocess.run(command, capture_output=True, text=True, start_new_session=True)
    assert "runs this command itself, as your shell or terminal does" in own.stdout
    # A script that has itself adopted.
    within = subprocess.run(
        ["sh", "-c", 'sh -c "$0" "$1"; true', shell, ask],
        capture_output=True, text=True, start_new_session=True,
    )  # fmt: skip
    assert within.stdout.strip().isdecimal()
