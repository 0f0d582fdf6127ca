"""What is found before a launch, and the code that is recorded at one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import pytest

from tests.jobs.conftest import Workshop
from tests.waiting import ended
from vitlab.contract.job import Done, Queued, Spec
from vitlab.contract.paths import LabPaths
from vitlab.jobs.files import read_json
from vitlab.jobs.gpus import Device
from vitlab.jobs.queue import preflight as module
from vitlab.jobs.queue.machine import Gpu, Machine
from vitlab.jobs.queue.preflight import Finding, preflight
from vitlab.jobs.queue.scheduler import advance
from vitlab.jobs.store import Job, all_jobs

VIT = Spec("1.0", "main", "smoke", "vit", {}, "E", "r.md", device="cpu")


@pytest.fixture(autouse=True)
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What others do on this machine is not what is tested."""
    monkeypatch.setattr(module, "machine_memory", lambda: (64 * 10**9, 60 * 10**9))


def texts(root: Path, spec: Spec) -> list[str]:
    return [f"{one.status} {one.text}" for one in findings(LabPaths(root), [spec])]


def findings(lab: LabPaths, specs: Sequence[Spec], jobs: Sequence[Job] = ()) -> list[Finding]:
    """But for the notes on what the folder and the environment of the tests are."""
    found = preflight(lab, specs, jobs, Machine())
    return [one for one in found if not one.text.startswith(("code:", "environment:"))]


def test_a_sound_job_needs_no_word(tmp_path: Path) -> None:
    assert texts(tmp_path, VIT) == []


def test_what_can_not_end_well(tmp_path: Path) -> None:
    wrong = replace(VIT, config={"model": {"pach": 1}})
    assert texts(tmp_path, wrong)[0].startswith("bad config.model.pach: unknown key")
    lacking = replace(VIT, config={"data": {"source": "data/x.h5"}}, device="3")
    assert texts(tmp_path, lacking) == [
        "bad config.data.source: data/x.h5: no such file",
        "bad device: 3: this machine has no GPU",
    ]
    command = replace(VIT, recipe="command", config={"argv": ["./go.sh"], "cwd": "scripts"})
    assert texts(tmp_path, command) == ["bad config.cwd: scripts: no such folder"]
    (tmp_path / "scripts").mkdir()
    assert texts(tmp_path, command) == ["bad config.argv: ./go.sh: no such program"]
    (tmp_path / "scripts" / "go.sh").touch(0o755)
    assert texts(tmp_path, command) == []
    auto = replace(VIT, device="auto", profile="full")
    assert texts(tmp_path, auto) == ["warn device: no GPU here, so vit runs on the CPU"]


def test_what_is_true_of_some_runs_says_which(tmp_path: Path) -> None:
    lacking = [replace(VIT, run=f"r{i}", config={"data": {"source": "x.h5"}}) for i in range(5)]
    found = preflight(LabPaths(tmp_path), [*lacking, VIT], [], Machine())
    text = "r0, r1, r2 and 2 more: config.data.source: x.h5: no such file"
    assert found == [Finding("bad", text)]


def test_little_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**8))
    ridge = replace(VIT, recipe="ridge")
    assert texts(tmp_path, ridge) == ["bad disk: 100 MB free, a job needs 200 MB"]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**9))
    assert texts(tmp_path, ridge) == ["warn disk: 1.0 GB free"]
    large = replace(
        VIT, config={"model": {"hidden": 384, "layers": 12, "heads": 6, "mlp_ratio": 4}}
    )
    text = next(text for text in texts(tmp_path, large) if "disk" in text)
    assert text.startswith("bad disk: 1000 MB free, a network of 22,")
    assert "parameters with its checkpoints needs 12" in text


def test_data_that_do_not_fit_the_run(tmp_path: Path) -> None:
    source = Path(__file__).parents[1] / "ml" / "fixtures" / "pandas3.h5"
    (tmp_path / "data.h5").write_bytes(source.read_bytes())
    data: dict[str, Any] = {"source": "data.h5", "train_size": 6, "val_size": 3, "test_size": 3}
    good = replace(VIT, recipe="ridge", config={"data": data, "labels": ["log_g", "T_eff"]})
    assert texts(tmp_path, good) == []
    cache = tmp_path / ".vitlab" / "inspected.json"
    assert texts(tmp_path, good) == []
    cache.write_text(cache.read_text().replace('"n": 12', '"n": 1'))  # a stranger's
    assert texts(tmp_path, good) == []
    assert '"n": 12' in cache.read_text()
    lacking = replace(good, config={"data": data, "labels": ["a_M"]}, headline="test/r2/a_M")
    why = "6 of 6 spectra left out (100%): 6 no valid a_M; none is left"
    assert texts(tmp_path, lacking)[0] == f"bad config.data.source: data.h5: train: {why}"
    lacking = replace(lacking, config={"data": data, "labels": ["b_M"]}, headline="test/r2/b_M")
    [text] = texts(tmp_path, lacking)
    assert text.startswith("bad config.data.source: data.h5: no column b_M (found: M_H, ")
    lacking = replace(good, config={"data": {**data, "train_size": 60}})
    text = "bad config.data.source: data.h5: 12 spectra, not 60 train + 3 val + 3 test"
    assert texts(tmp_path, lacking) == [text]
    with h5py.File(tmp_path / "data.h5", "r+") as file:
        rows = file["dataset/params/table"][()]
        for name in rows.dtype.names:
            rows[name][...] = 4 if rows[name].dtype.kind == "f" else rows[name]
        file["dataset/params/table"][...] = rows
    text = "bad config.data.source: data.h5: log_g is 4 in all spectra: nothing to learn"
    assert text in texts(tmp_path, good)
    (tmp_path / "data.h5").write_text("no HDF5")
    [text] = texts(tmp_path, good)
    assert "data.h5: not a readable HDF5 file" in text


def test_spectra_that_a_run_would_leave_out(tmp_path: Path) -> None:
    source = Path(__file__).parents[1] / "ml" / "fixtures" / "pandas3.h5"
    (tmp_path / "data.h5").write_bytes(source.read_bytes())
    with h5py.File(tmp_path / "data.h5", "r+") as file:
        file["dataset/arrays/error/value"][9:] = 0
        wave = file["spectrumdataset/wave"]
        wave[...] = wave[()] / 10
    data: dict[str, Any] = {"source": "data.h5", "train_size": 6, "val_size": 2, "test_size": 3}
    spec = replace(VIT, recipe="ridge", config={"data": data})
    key = "config.data.source: data.h5:"
    assert texts(tmp_path, spec) == [
        f"bad {key} test: 3 of 3 spectra left out (100%): 3 no positive finite error; none is left",
        f"warn {key} wavelengths read as nm (no unit is stated; the values allow no other)",
    ]
    data = {**data, "test_size": 4, "max_excluded": 0.8}
    why = "test: 3 of 4 spectra left out (75%): 3 no positive finite error"
    assert texts(tmp_path, replace(spec, config={"data": data}))[-1] == f"warn {key} {why}"
    (tmp_path / "star.fits").write_bytes((source.parent / "table.fits").read_bytes())
    spec = replace(VIT, recipe="evaluate", config={"job": "a/b", "source": "star.fits"})
    assert texts(tmp_path, spec) == [
        "bad config.source: star.fits: a FITS file; runs train on HDF5 in ga_pfsspec's layout, "
        "with labels (`vitlab data make` writes one)"
    ]


def test_the_same_has_been_run(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = shop.spec("print(1)")
    job = shop.submit("print(1)")
    [queued] = all_jobs(shop.lab)
    assert isinstance(queued.state, Queued)
    monkeypatch.setenv("SSH_CONNECTION", "of another terminal")
    [finding] = findings(shop.lab, [spec], [queued])
    again = "--force launches it a second time"
    assert finding == Finding("bad", f"the same is queued: {job.name}; {again}")
    monkeypatch.setenv("DATASET", "b")
    [finding] = findings(shop.lab, [spec], [queued])
    assert finding == Finding(
        "warn", f"the same command is queued: {job.name}, with another DATASET"
    )
    done = replace(queued, state=Done(1, 2, "ok", 0))
    [finding] = findings(shop.lab, [spec], [done])
    assert finding == Finding(
        "warn", f"the same was run before: {job.name}; `vitlab logs {job.name}` shows it"
    )
    failed = replace(queued, state=Done(1, 2, "failed", 1))
    assert findings(shop.lab, [spec], [failed]) == []


def test_a_system_that_ends_jobs_at_logout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SYSTEMD", tmp_path)
    monkeypatch.setattr(module, "LINGER", tmp_path / "linger")
    monkeypatch.setenv("USER", "ada")
    (tmp_path / "logind.conf").write_text("[Login]\n#KillUserProcesses=yes\n")
    assert texts(tmp_path, VIT) == []
    (tmp_path / "logind.conf.d").mkdir()
    (tmp_path / "logind.conf.d" / "a.conf").write_text("[Login]\nKillUserProcesses=yes\n")
    assert "enable-linger" in texts(tmp_path, VIT)[0]
    (tmp_path / "linger").mkdir()
    (tmp_path / "linger" / "ada").touch()
    assert texts(tmp_path, VIT) == []


def test_the_code_is_recorded(shop: Workshop) -> None:
    def git(*arguments: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *who, *arguments], cwd=shop.lab.root, check=True)

    tracked = shop.lab.root / "model.py"
    tracked.write_text("x = 1\n")
    plan = shop.lab.root / "plans" / "roadmap.md"
    plan.parent.mkdir()
    plan.write_text("planned\n")
    git("init", "-q")
    git("add", "model.py", "plans")
    git("commit", "-q", "-m", "first")
    plan.write_text("running\n")  # as a launch leaves it: no other code
    clean = shop.submit("")
    advance(shop.lab)
    ended(clean)
    record = read_json(clean.started)
    assert (len(record["commit"]), record["dirty"]) == (40, False)
    assert not clean.code_diff.exists()
    tracked.write_text("x = 2\n")
    changed = shop.submit("")
    advance(shop.lab)
    ended(changed)
    assert read_json(changed.started)["dirty"] is True
    assert "+x = 2" in changed.code_diff.read_text()


def test_a_silent_wandb_is_said_where_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = replace(VIT, recipe="command", config={"argv": ["true"]})
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    assert texts(tmp_path, command) == []
    monkeypatch.setenv("WANDB_API_KEY", "x")
    [text] = texts(tmp_path, command)
    assert text.startswith("warn W&B: 127.0.0.1 does not answer (Connection refused)")
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert texts(tmp_path, command) == []
    [text] = texts(tmp_path, replace(VIT, extra={"wandb": {"mode": "online"}}))
    assert text.endswith("its numbers will be kept offline")


def test_a_network_that_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = {"tokenizer": "C1D", "patch": 16, "hidden": 1024}
    train = {"batch": 4096, "precision": "fp32"}
    large = replace(VIT, config={"model": wide, "train": train})
    monkeypatch.setattr(module, "machine_memory", lambda: (16 * 10**9, 8 * 10**9))
    [text] = texts(tmp_path, large)
    assert text.startswith("bad memory: about ")
    assert "this machine has 16.0 GB" in text
    monkeypatch.setattr(module, "machine_memory", lambda: (10**13, 8 * 10**9))
    assert "8.0 GB free now" in texts(tmp_path, large)[0]
    gpu = Gpu(Device(0, "GPU-0", "A100", 80 * 10**9, 79 * 10**9))
    on_gpu = replace(large, device="auto", extra={"gpu_memory": 10**9})
    found = preflight(LabPaths(tmp_path), [on_gpu], [], Machine(gpus=(gpu,)))
    assert [finding.status for finding in found] == ["bad", "warn"]
    assert "the largest GPU has 80.0 GB" in found[0].text
    assert found[1].text.startswith("queue.gpu_memory: declares 1.0 GB, and will take about")


def test_more_gpus_than_there_are(tmp_path: Path) -> None:
    gpu = Gpu(Device(0, "GPU-0", "A100", 80 * 10**9, 79 * 10**9))
    spec = replace(VIT, device="auto", config={"train": {"processes": 2}})
    found = preflight(LabPaths(tmp_path), [spec], [], Machine(gpus=(gpu,)))
    assert found[0].text == "device: needs 2 GPUs at once, this machine has 1 GPU"


def test_a_headline_of_a_label_that_is_not_learned(tmp_path: Path) -> None:
    magnitudes = replace(VIT, recipe="ridge", config={"labels": ["T_eff"]})
    assert texts(tmp_path, magnitudes) == [
        "bad headline: test/r2/log_g: log_g is not among config.labels (T_eff); "
        "headline: test/r2/T_eff would be"
    ]
    assert texts(tmp_path, replace(magnitudes, headline="test/r2/T_eff")) == []
    assert texts(tmp_path, replace(magnitudes, headline="val/loss")) == []
    assert texts(tmp_path, replace(magnitudes, headline="test/r3/T_eff")) == [
        "bad headline: test/r3/T_eff: ridge gives no r3; "
        "r2, mae, rmse, bias, scatter and more are given"
    ]
    for headline in ("test/sigma/T_eff", "test/chi2/per_pixel"):
        template = replace(magnitudes, recipe="template", headline=headline)
        assert texts(tmp_path, template) == []
        assert "ridge gives no" in texts(tmp_path, replace(template, recipe="ridge"))[0]
    assert texts(tmp_path, replace(magnitudes, headline="test/r2")) == [
        "bad headline: test/r2: names no label; headline: test/r2/T_eff does"
    ]
    assert texts(tmp_path, replace(magnitudes, headline="r2/T_eff")) == [
        "bad headline: r2/T_eff: names no split; headline: test/r2/T_eff does"
    ]


SCRIPT = {"argv": ["python3", "train.py"]}


def test_what_a_command_asks_for_is_looked_at_before_it_starts(tmp_path: Path) -> None:
    def found(more: dict[str, Any], **changes: Any) -> list[str]:
        return texts(tmp_path, replace(VIT, recipe="command", config={**SCRIPT, **more}, **changes))

    assert found({}) == ["bad config.argv: train.py: no such file from the folder ."]
    (tmp_path / "train.py").write_text("")
    assert found({}) == []
    # Its folder is made when it starts, so a path is seen from there.
    [text] = found({"cwd": "work/{run}"})
    assert text.endswith("train.py: no such file from the folder work/{run} (made at the start)")
    assert found({"cwd": "work/{run}", "argv": ["python3", "../../train.py"]}) == []
    assert found({"args": {"lr": 0.1}}) == [
        "bad config.args.lr: nothing uses it; put {lr} or {config} into argv, env or cwd"
    ]
    typed = {"args": {"lr": 0.1, "epohcs": 3}, "env": {"LR": "{lr}"}}
    use = "put {epohcs} or {config} into argv, env or cwd"
    assert found(typed) == [f"bad config.args.epohcs: nothing uses it; did you mean epochs?; {use}"]
    assert found({"args": {"lr": 0.1}, "env": {"SETTINGS": "{config}"}}) == []
    [text] = found({"seed": 1})
    assert text.startswith("warn config.seed: nothing gives the program its seed")
    assert found({"seed": 1, "argv": ["python3", "train.py", "{seed}"]}) == []
    (tmp_path / "train.py").write_text("seed = os.environ['VITLAB_SEED']")
    assert found({"seed": 1}) == []
    metrics: dict[str, Any] = {"file": "m.csv", "names": {"v": "val/r2/log_g"}}
    assert found({}, extra={"metrics": metrics}) == [
        "warn headline: test/r2/log_g: metrics.names has no such value (only val/r2/log_g)"
    ]
    for own, ours in (
        ("val/R2/log_g", "val/r2/log_g"),
        ("test/rsquared/logg", "test/r2/log_g"),
        ("test/mae/teff", "test/mae/T_eff"),
        ("valid/r2/log_g", "val/r2/log_g"),
    ):
        told = f"{own}: is a value of its own, not {ours}, which gates and tables know"
        metrics = {"file": "m.csv", "names": {"v": own}}
        named = found({}, extra={"metrics": metrics}, headline=own)
        assert named == [f"warn metrics.names: {told}"]
        assert found({}, headline=own) == [f"warn headline: {told}"]
    for own in ("val/r2/feh", "test/mae_sigma/log_g", "val/loss", "train/lr", "test/r2/A_V"):
        assert found({}, headline=own) == []
    in_sigma = {"as": "val/mae/log_g", "scale": 1.0, "unit": "sigma"}
    metrics = {"file": "m.csv", "names": {"v": in_sigma}}
    [text] = found({}, extra={"metrics": metrics}, headline="val/mae/log_g")
    assert text.endswith("(only val/mae_sigma/log_g)")


def test_runs_that_write_one_file_are_told_so(shop: Workshop) -> None:
    metrics = {"file": "logs/version_*/metrics.csv", "names": {"v": "test/r2/log_g"}}

    def spec(run: str, cwd: str) -> Spec:
        config = {"argv": ["true"], "cwd": cwd}
        return replace(VIT, recipe="command", run=run, config=config, extra={"metrics": metrics})

    for cwd in ("work", "one"):
        (shop.lab.root / cwd).mkdir()
    apart = [spec("A", "work/{run}"), spec("B", "work/{run}")]
    assert findings(shop.lab, apart) == []
    assert findings(shop.lab, [spec("A", "{job}"), spec("B", "{job}")]) == []
    [finding] = findings(shop.lab, [spec("A", "work"), spec("B", "work")])
    assert finding == Finding(
        "warn",
        "metrics.file: A, B write one file (work/logs/version_*/metrics.csv), so they run one "
        "after the other; put {run} into config.cwd or metrics.file",
    )


def test_the_code_of_a_program_is_that_of_its_own_repository(shop: Workshop) -> None:
    theirs = shop.lab.root.parent / "theirs"
    theirs.mkdir()
    (theirs / "train.py").write_text("print(1)")
    (theirs / "new.py").write_text("print(2)")
    (theirs / "conf.yaml").write_text("lr: 1\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for folder, arguments in (
        (shop.lab.root, ["init", "-q"]),
        (shop.lab.root, ["commit", "-q", "--allow-empty", "-m", "the lab's"]),
        (theirs, ["init", "-q"]),
        (theirs, ["add", "train.py"]),
        (theirs, ["commit", "-q", "-m", "theirs"]),
    ):
        subprocess.run([*git, *arguments], cwd=folder, check=True)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=theirs, capture_output=True, text=True, check=True
    ).stdout.strip()
    (theirs / "train.py").write_text("print(3)")
    argv = [sys.executable, str(theirs / "train.py"), f"--config={theirs}/conf.yaml"]
    tracked = shop.submit("", config={"argv": argv})
    untracked = shop.submit("", config={"argv": [sys.executable, str(theirs / "new.py")]})
    specs = [replace(VIT, recipe="command", config={"argv": ["python3", name]})
             for name in (str(theirs / "train.py"), str(theirs / "new.py"))]  # fmt: skip
    notes = [one.text for one in preflight(shop.lab, specs[1:], [], Machine())]
    assert "code: new.py is not committed: a copy is kept with the job" in notes
    notes = [one.text for one in preflight(shop.lab, specs[:1], [], Machine())]
    assert not [text for text in notes if text.startswith("code:")]
    for name, words in (("fresh", "is not committed, its git repository has no commit yet"),
                        ("none", "is in no git repository")):  # fmt: skip
        (folder := shop.lab.root.parent / name).mkdir()
        (folder / "train.py").write_text("print(1)")
        if name == "fresh":
            subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
        one = replace(VIT, recipe="command", config={"argv": ["python3", f"{folder}/train.py"]})
        notes = [found.text for found in preflight(shop.lab, [one], [], Machine())]
        assert f"code: train.py {words}: its version is not recorded" in notes
    for job in (tracked, untracked):
        advance(shop.lab)
        assert ended(job).outcome == "ok"
        record = read_json(job.started)
        assert (record["commit"], record["dirty"]) == (head, True)
        assert record["repository"] == str(theirs)
        assert "+print(3)" in job.code_diff.read_text()
    assert [path.name for path in tracked.program.iterdir()] == ["conf.yaml"]
    assert (untracked.program / "new.py").read_text() == "print(2)"
