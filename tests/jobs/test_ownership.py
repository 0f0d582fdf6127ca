"""Whose a metrics file is."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.jobs.conftest import Workshop
from tests.waiting import wait_for
from vitlab.jobs.files import born, read_json
from vitlab.jobs.metrics.ownership import (
    Claim,
    Evidence,
    Rival,
    claim,
    evidence_of_holders,
    is_foreign,
    look_alikes,
    matches,
    writers,
)
from vitlab.jobs.metrics.run_files import RunFiles
from vitlab.jobs.metrics.scripts import places_named, script_of, script_run
from vitlab.jobs.processes import process

EARLIER, LATER = Rival("job E/a", since=10.0), Rival("job E/b", since=200.0)
OVER = Rival("job E/c", since=10.0, until=50.0)


@pytest.mark.parametrize(
    ("evidence", "owner"),
    [
        (Evidence(held=True), "ours"),
        (Evidence(held=True, rivals=(EARLIER,)), "ours"),
        (Evidence(held=True, holders=("job E/a",)), "unclear"),
        (Evidence(holders=("job E/a",)), "theirs"),
        # Opened, written and closed: nobody is seen to hold it.
        (Evidence(born=100.0), "ours"),
        (Evidence(born=100.0, rivals=(LATER,)), "ours"),
        (Evidence(born=100.0, rivals=(replace(LATER, exact=True),)), "unclear"),
        (Evidence(born=100.0, rivals=(OVER,)), "ours"),
        (Evidence(born=100.0, rivals=(EARLIER,)), "unclear"),
        (Evidence(born=None, rivals=(LATER,)), "unclear"),
        # A file of an earlier run.
        (Evidence(born=1.0, existed=True, changed=False), "unused"),
        (Evidence(born=1.0, existed=True, changed=False, held=True), "unused"),
        (Evidence(born=1.0, existed=True), "ours"),
        (Evidence(born=1.0, existed=True, rivals=(LATER,)), "unclear"),
        # A placeholder in its path.
        (Evidence(named=True, holders=("process 9 (tail.py)",)), "ours"),
        (Evidence(named=True, born=100.0, rivals=(EARLIER,)), "unclear"),
        (Evidence(named=True, existed=True, changed=False), "unused"),
        (Evidence(born=100.0, foreign=True), "unclear"),
        (Evidence(born=100.0, foreign=True, held=True), "ours"),
    ],
)
def test_whose_a_file_is(evidence: Evidence, owner: str) -> None:
    assert claim(evidence).owner == owner


def test_who_else_it_may_be_is_named() -> None:
    rivals = (EARLIER, Rival("process 7 (train.py)", 20.0))
    assert claim(Evidence(born=100.0, rivals=rivals)) == Claim(
        "unclear", "job E/a, process 7 (train.py) may have written it"
    )


@pytest.mark.parametrize(
    ("path", "pattern", "fits"),
    [
        ("m.csv", "m.csv", True),
        ("logs/version_3/metrics.csv", "logs/version_*/metrics.csv", True),
        ("logs/version_3/metrics.csv", "**/metrics.csv", True),
        ("metrics.csv", "**/metrics.csv", True),
        ("logs/a/b/metrics.csv", "logs/*/metrics.csv", False),
        ("logs/version_3/hparams.csv", "logs/version_*/metrics.csv", False),
        ("runs[1]/m.csv", "runs[1]/m.csv", True),
    ],
)
def test_whether_a_pattern_can_name_a_path(path: str, pattern: str, fits: bool) -> None:
    assert matches(Path("/lab/a") / path, Path("/lab/a"), pattern) == fits
    assert not matches(Path("/lab/b") / path, Path("/lab/a"), pattern)


def test_when_a_file_was_made(tmp_path: Path) -> None:
    before = time.time()
    path = tmp_path / "m.csv"
    path.write_text("a")
    made = born(path)
    if made is None:
        pytest.skip("this file system does not say")
    assert before - 1 < made < time.time() + 1
    os.utime(path, (1.0, 1.0))
    assert born(path) == made
    assert born(tmp_path / "none") is None


def test_another_user_s_file_is_known_where_the_disk_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, path = tmp_path / "spec.json", tmp_path / "m.csv"
    own.touch()
    path.touch()
    assert not is_foreign(path, os.getuid(), own)
    assert is_foreign(path, os.getuid() + 1, own)
    assert not is_foreign(tmp_path / "none", os.getuid() + 1, own)
    user = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: user)  # so all files here are one user's
    assert not is_foreign(path, user, own)


def test_only_who_writes_holds_a_file(tmp_path: Path) -> None:
    path, other = tmp_path / "m.csv", tmp_path / "notes.csv"
    other.write_text("")
    with path.open("a") as ours, other.open() as read:
        assert not read.writable()
        found = writers([tmp_path])
        assert [(one.pid, one.appends) for one in found[str(path)]] == [(os.getpid(), True)]
        assert str(other) not in found
        assert evidence_of_holders(path, found, frozenset([os.getpid()]), False) == (True, ())
        held, others = evidence_of_holders(path, found, frozenset(), False)
        assert (held, len(others)) == (False, 1)
        # What is open beside it shows whose folder it is.
        beside = tmp_path / "closed.csv"
        assert evidence_of_holders(beside, found, frozenset([os.getpid()]), True) == (True, ())
        assert evidence_of_holders(beside, found, frozenset([os.getpid()]), False) == (False, ())
        ours.write("x")


def test_a_second_run_of_the_same_script_is_seen(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("import time\nprint('up', flush=True)\ntime.sleep(300)\n")
    runs = [
        subprocess.Popen([sys.executable, name], cwd=folder, stdout=subprocess.PIPE)
        for name, folder in (
            ("train.py", tmp_path),
            (str(script), tmp_path),
            (str(script), tmp_path.parent),
        )
    ]
    try:
        for run in runs:
            assert run.stdout is not None
            run.stdout.readline()
        # What helpers of both are, as wandb-core, is no script of theirs.
        sleep = [str(shutil.which("sleep")), "99"]
        helpers = [subprocess.Popen(sleep, cwd=tmp_path) for _ in "ab"]
        runs += helpers
        helper = process(helpers[0].pid)
        assert helper is not None
        assert look_alikes([helper]) == ()
        known = script_of(sleep, str(tmp_path))
        wait_for(lambda: len(look_alikes([helper], known)) == 1)  # its words are there soon
        [mine] = [one for run in runs[:1] if (one := process(run.pid))]
        [other] = wait_for(lambda: look_alikes([mine]))
        assert look_alikes([mine], without=[runs[1].pid]) == ()
        assert other.name == f"process {runs[1].pid} (train.py)"
        assert abs(other.since - time.time()) < 60
    finally:
        for run in runs:
            run.kill()
            run.communicate()


@pytest.mark.parametrize(
    ("ours", "other"),
    [
        ("bin/fit 1", "python3 -u bin/fit 2"),
        ("bin/fit", "bash bin/again"),
        ("python pkg/train.py", "python3.12 -m pkg.train --lr 1"),
        ("python -m pkg", "python pkg/__main__.py"),
        ("python bin/link.py", "python pkg/train.py"),
        (
            "python /env/bin/jupyter-nbconvert --execute bin/fit",
            "python /env/bin/papermill bin/fit",
        ),
    ],
)
def test_a_script_is_known_by_its_file(ours: str, other: str, tmp_path: Path) -> None:
    for name in ("bin/fit", "pkg/train.py", "pkg/__main__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "bin/again").symlink_to("fit")
    (tmp_path / "bin/link.py").symlink_to("../pkg/train.py")
    known = script_of(ours.split(), str(tmp_path))
    assert known is not None
    assert script_of(other.split(), str(tmp_path)) == known
    assert script_of(["python", "-c", "code", "bin/fit"], str(tmp_path)) is None
    assert script_of(["fit"], str(tmp_path / "bin")) is None  # of the search path
    assert script_of(["/env/bin/conda", "run", "-n", "ml", "fit"], str(tmp_path)) is None


def test_a_command_may_say_which_file_is_its_own(tmp_path: Path) -> None:
    path = tmp_path / "runs/a/m.csv"
    for words, told in (
        ("python train.py --out runs/a", {"--out": True}),
        ("python train.py -v --file=runs/a/m.csv", {"--file": True}),
        (f"python train.py 0.3 {path}", {"1": False, "2": True}),
        ("python train.py runs", {"1": True}),
        ("python train.py --out runs/b", {"--out": False}),
        ("python train.py --data . 0.3", {"--data": False, "1": False}),
    ):
        assert {**places_named(words.split(), str(tmp_path), path), "0": False} == {
            "0": False, **told}  # fmt: skip


@pytest.mark.parametrize("words", [["--out=b"], ["--out", "out"], [], ["--out", "."]])
def test_who_is_told_another_place_is_no_rival(words: list[str], tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("import time\ntime.sleep(300)\n")
    known = script_of(["python", "train.py"], str(tmp_path))
    argv = [sys.executable, "-S", "train.py", *words]
    with subprocess.Popen(argv, cwd=tmp_path) as other:
        wait_for(lambda: script_run(other.pid) == known)
        found = look_alikes([], known, named=(["--out"], tmp_path / "out/m.csv"))
        other.kill()
    # Without the option it is where it is by default.
    assert len(found) == (words in ([], ["--out", "out"]))


def test_a_script_is_known_behind_another_mount_of_its_disk(tmp_path: Path) -> None:
    """By its number there, as with another name of the same file."""
    (tmp_path / "train.py").write_text("import time\ntime.sleep(300)\n")
    (tmp_path / "same.py").hardlink_to(tmp_path / "train.py")
    known = script_of(["python", "same.py"], str(tmp_path))
    with subprocess.Popen([sys.executable, "-S", "train.py"], cwd=tmp_path) as other:
        wait_for(lambda: script_run(other.pid))
        found = look_alikes([], known)
        other.kill()
    assert [one.name for one in found] == [f"process {other.pid} (train.py)"]


@pytest.mark.parametrize(
    ("text", "is_rival"),
    [
        ("json.dump(row, open('m.json', 'w'))", True),
        ("Path('m.json').write_text('{}')", True),
        ("with open(folder('a') / 'm.json', mode='wt') as f: f.write(text)", True),
        ("pd.Series(row).to_json('m.json')", True),
        ("json.dump(row, open('other.json', 'w'))", False),
        ("rows = pd.read_json('m.json'); plt.plot(rows['x'], marker='x', label='a')", False),
        ("print(open('m.json').read()); sys.stdout.write('w')  # to write home", False),
        ("plot(json.load(open('m.json')))", False),
    ],
)
def test_another_script_that_writes_a_file_of_this_name_is_a_rival_once_its_row_fell(
    shop: Workshop, text: str, is_rival: bool
) -> None:
    path = shop.lab.root / "m.json"
    metrics = {"file": "m.json", "names": {"val_r2": "val/r2/log_g"}}
    config = {"argv": ["python", "train.py"], "cwd": "."}
    job = shop.submit("pass", config=config, extra={"metrics": metrics})
    files = RunFiles(job, read_json(job.spec), "m.json")
    files.note_existing()
    path.write_text('{"epoch": 1, "val_r2": 0.3}')
    assert [one for one, _ in wait_for(files.claim_new)] == [path]
    script = shop.lab.root / "other.py"
    script.write_text(f"import time\ntime.sleep(300)\n{text}\n")
    with subprocess.Popen([sys.executable, "-S", "other.py"], cwd=script.parent) as other:
        wait_for(lambda: script_run(other.pid))
        assert files.shared(last=True) == []
        files.fell = True
        lost = files.shared(last=True)
        other.kill()
    why = f"process {other.pid} (other.py) may have written it"
    assert lost == ([(path, why)] if is_rival else [])


@pytest.mark.parametrize(
    ("argv", "is_rival"),
    [
        ([sys.executable, "-S", "-c", "CODE"], True),
        ([sys.executable, "-S", "-c", "CODE", "other.py"], True),
        ([sys.executable, "-S", "-c", "CODE", "-m", "vitlab.recipes.run"], False),
        ([sys.executable, "-S", "-c", "CODE", "/home/me/.vscode-server/x/lsp_server.py"], False),
        ([sys.executable, "-S", "-c", "CODE", "/venv/bin/tensorboard"], False),
        (["sh", "-c", "echo up; sleep 300; true", "run.sh"], False),
    ],
)
def test_any_program_in_its_folder_may_write_what_a_pattern_takes(
    argv: list[str], is_rival: bool, tmp_path: Path
) -> None:
    code = "import time\nprint('up', flush=True)\ntime.sleep(300)\n"
    words = [word.replace("CODE", code) for word in argv]
    with subprocess.Popen(
        words, cwd=tmp_path, stdout=subprocess.PIPE, start_new_session=True
    ) as run:
        try:
            assert run.stdout is not None
            run.stdout.readline()
            found = look_alikes([], beside=str(tmp_path))
            assert bool(found) == is_rival
            assert look_alikes([], beside=str(tmp_path.parent)) == ()
        finally:
            os.killpg(run.pid, signal.SIGKILL)


def test_a_pattern_is_searched_without_end_or_way_out(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, outside = shop.lab.root / "run", shop.lab.root / "outside"
    for folder in (run / "a", run / "b", outside):
        folder.mkdir(parents=True)
        (folder / "m.csv").write_text("step,val_r2\n1,0.5\n")
    for name, target in (("a/up", ".."), ("b/up", ".."), ("up", "."), ("away", "../outside")):
        (run / name).symlink_to(target)
    (run / "far.csv").symlink_to(outside / "m.csv")
    metrics = {"file": "**/*.csv", "names": {"val_r2": "val/r2/log_g"}}
    job = shop.submit("pass", config={"argv": ["true"], "cwd": "run"}, extra={"metrics": metrics})

    def found() -> list[str]:
        files = RunFiles(job, read_json(job.spec), "**/*.csv")
        files.note_existing()
        lines = files.problems(False)
        return sorted(str(path) for path in files.existing()) + lines

    own = [str(run / "a/m.csv"), str(run / "b/m.csv")]
    assert found() == [str(outside / "m.csv"), *own]  # a link to a file is meant
    monkeypatch.setattr("vitlab.jobs.metrics.run_files.MAX_FILES", 2)
    where = "metrics.file **/*.csv: "
    assert found()[2:] == [f"{where}more than 2 files match; name a folder"]
    monkeypatch.setattr("vitlab.contract.reading.MAX_FOLDERS", 1)
    limit = "1 folders or 200,000 files"
    assert found()[-1] == f"{where}only the nearest {limit} in {run} are looked at; name a folder"


def test_a_file_that_only_moves_to_another_inode_is_none_of_the_run(shop: Workshop) -> None:
    folder = shop.lab.root / "run"
    folder.mkdir()
    path, copy = folder / "m.csv", folder / "copy"
    path.write_text("step,val_r2\n1,0.5\n")
    os.utime(path, (1e9, 1e9))
    metrics = {"file": "m.csv", "names": {"val_r2": "val/r2/log_g"}}
    job = shop.submit("pass", config={"argv": ["true"], "cwd": "run"}, extra={"metrics": metrics})
    files = RunFiles(job, read_json(job.spec), "m.csv")
    files.note_existing()
    shutil.copy2(path, copy)
    copy.replace(path)  # as `rsync` does, and some network disks by themselves
    assert files.claim_new() == []
    path.write_text("step,val_r2\n1,0.7\n")
    assert [one for one, _ in files.claim_new()] == [path]


@pytest.mark.parametrize(
    ("cwd", "file", "elsewhere"),
    [("runs/{run}", "m.csv", False), ("runs/a", "v_*/m.csv", True)],
)
def test_a_second_run_by_hand_makes_a_file_unclear(
    shop: Workshop, cwd: str, file: str, elsewhere: bool
) -> None:
    """In the run's own folder, or from another one into a place that counts its runs."""
    folder = shop.lab.root / "runs/a"
    (folder / "v_0").mkdir(parents=True)
    (folder / "v_1").mkdir()
    (shop.lab.root / "train.py").write_text("import time\ntime.sleep(300)\n")
    argv = [sys.executable, "-S", str(shop.lab.root / "train.py")]
    metrics = {"file": file, "names": {"val_r2": "val/r2/log_g"}}
    config = {"argv": argv, "cwd": cwd}
    job = shop.submit("pass", config=config, extra={"metrics": metrics}, run="a")
    files = RunFiles(job, read_json(job.spec), file)
    files.note_existing()
    first = folder / ("v_0/m.csv" if elsewhere else "m.csv")
    if elsewhere:
        first.write_text("step,val_r2\n1,0.3\n")
        assert [one for one, _ in wait_for(files.claim_new)] == [first]
    with subprocess.Popen(argv, cwd=shop.lab.root if elsewhere else folder) as other:
        wait_for(lambda: script_run(other.pid))
        theirs = folder / "v_1/m.csv" if elsewhere else first
        theirs.write_text("step,val_r2\n1,0.9\n")
        told = f"process {other.pid} (train.py) may have written it"
        wait_for(lambda: files.claim_new() or told in "".join(files.problems(True)))
        assert theirs not in files.ours
        other.kill()
