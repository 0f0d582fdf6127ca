"""`vitlab new`: the experiment files it writes, what they say, and that they run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.waiting import ended, nothing_runs, wait_for
from vitlab.cli import main
from vitlab.contract.events import read_events
from vitlab.contract.job import RECIPES, Spec
from vitlab.contract.paths import LabPaths, UsageError
from vitlab.jobs.experiment.experiment import Experiment, load_experiment
from vitlab.jobs.experiment.settings import load_settings
from vitlab.jobs.store import all_jobs, submit
from vitlab.lab.lab import Lab
from vitlab.lab.new_experiment import ABOUT, NewExperiment, check_new
from vitlab.lab.script_experiment import unknown_options

ROADMAP = """\
# Plan

**Project:** `VIT`

| MVP | Name | Phase | Gate | Status | exp_id | Report |
|---|---|---|---|---|---|---|
| 1.0 | Own script | 1 | - | ⏳ | - | - |
| 2.0 | 专家 | 1 | - | ⏳ | - | - |
"""
LIGHTNING = """\
import argparse, os, sys, time
if "torch" in sys.argv: import lightning as L
p = argparse.ArgumentParser()
p.add_argument("--max_epochs", type=int, default=4)
p.add_argument("--seed", type=int, default=7)
p.add_argument("--ckpt")
p.add_argument("--data", default="stars.npz")
p.add_argument("words", nargs="*")
a = p.parse_args()
assert os.path.isfile(a.data)
label_std = 1.25
print(f"label std: {label_std}", flush=True)
class Net:
    def step(self, batch, stage):
        yn = (batch - self.label_mean) / self.label_std
        self.log(f"{stage}_r2", 1)
        self.log(f"{stage}_mae", 1)
    def validation_step(self, batch, i): self.step(batch, "val")
    def test_step(self, batch, i): self.step(batch, "test")
def save(version, name, rows):
    os.makedirs(f"lightning_logs/version_{version}")
    with open(f"lightning_logs/version_{version}/metrics.csv", "w") as f:
        f.write(f"epoch,step,{name}_r2,{name}_mae\\n" + rows)
save(0, "val", "".join(f"{i},{i},{i / 10},0.4\\n" for i in range(a.max_epochs)))
save(1, "test", f"{a.max_epochs},{a.max_epochs},0.5,0.4\\n")
final = 0.5625
print(f"final test_r2={final}", flush=True)
"""


class Desk:
    """A lab, a script of its own, and the command."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.lab = LabPaths(root / "lab")
        self.script = root / "own" / "train.py"
        self._capsys = capsys

    def __call__(self, *words: str) -> tuple[int, str, str]:
        status = main(list(words))
        printed = self._capsys.readouterr()
        return status, printed.out, printed.err

    def file(self, name: str = "own_script") -> Experiment:
        return load_experiment(self.lab.experiments / f"{name}.yaml")


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    desk = Desk(tmp_path, capsys)
    desk.lab.experiments.mkdir(parents=True)
    desk.lab.roadmaps.mkdir()
    (desk.lab.roadmaps / "roadmap.md").write_text(ROADMAP, encoding="utf-8")
    desk.lab.settings.write_text("profile: full\ngrace: 1\nwandb: {mode: 'off'}\n")
    desk.script.parent.mkdir()
    desk.script.write_text(LIGHTNING)
    (desk.script.parent / "stars.npz").write_bytes(b"")
    monkeypatch.chdir(desk.lab.root)
    return desk


def test_a_lightning_script_needs_fifteen_lines(desk: Desk) -> None:
    status, out, _ = desk("new", "MVP-1.0", "--script", str(desk.script), "--python",
                          sys.executable)  # fmt: skip
    assert (status, out) == (
        0, "made experiments/own_script.yaml\nnext: vitlab run 1.0 --profile smoke\n")  # fmt: skip
    text = (desk.lab.experiments / "own_script.yaml").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(lines) <= 15, text
    experiment = desk.file()
    (spec,) = experiment.specs("smoke", "X-20260101-x-01")
    command = [sys.executable, str(desk.script), "--max_epochs", "{epochs}", "--seed", "{seed}",
               "--data", str(desk.script.parent / "stars.npz")]  # fmt: skip
    assert spec.config == {
        "argv": command,
        "resume_argv": [*command, "--ckpt", "last"],
        "cwd": "runs/1.0/{job}",
        "seed": 7,
        "epochs": 1,
    }
    assert experiment.specs("full", "x")[0].config["epochs"] == 4
    metrics = spec.extra["metrics"]
    assert metrics["file"] == "lightning_logs/version_*/metrics.csv"
    assert metrics["prefer"] == "log"
    error = {"as": "val/mae/log_g", "unit": "dex",
             "scale": {"pattern": r"label std:\s*([^\s,;|)\]]+)"}}  # fmt: skip
    assert metrics["names"]["val_mae"] == error
    assert metrics["names"]["test_r2"] == "test/r2/log_g"


def test_what_it_wrote_runs_at_its_smallest(desk: Desk) -> None:
    assert desk("new", "1.0", "--script", str(desk.script), "--python", sys.executable)[0] == 0
    assert desk("run", "1.0", "--profile", "smoke", "--wait")[0] == 0
    [job] = all_jobs(desk.lab)
    events = read_events(job.paths.events)[0]
    last = {name: value for event in events for name, value in event.values.items()}
    assert last["val/r2/log_g"] == 0.0
    assert last["test/r2/log_g"] == 0.5625  # printed: the file's is a mean over batches
    assert last["test/mae/log_g"] == pytest.approx(0.5)
    nothing_runs(desk.lab.root)


def test_nothing_is_written_twice_and_nothing_by_a_dry_run(desk: Desk) -> None:
    new = ("new", "1.0", "--script", str(desk.script))
    status, out, _ = desk(*new, "--dry-run")
    assert (status, out.splitlines()[1]) == (0, 'mvp: "1.0"')
    assert not list(desk.lab.experiments.iterdir())
    assert json.loads(desk(*new, "--json")[1])["files"] == ["experiments/own_script.yaml"]
    before = (desk.lab.experiments / "own_script.yaml").read_bytes()
    assert desk(*new) == (
        2, "", "vitlab: MVP 1.0: has an experiment file: experiments/own_script.yaml\n"
    )  # fmt: skip
    out_file = ("--out", "experiments/own_script.yaml")
    assert desk("new", "2.0", "--template", "vit", *out_file)[0] == 2
    assert (desk.lab.experiments / "own_script.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("new", "1.0"), "give --template, --script or --pid"),
        (("run", "1.0"), "no experiment file in experiments/; `vitlab new 1.0` makes one"),
        (("new", "9.9", "--template", "vit"), "no MVP '9.9'"),
        (("new", "1.0", "--script", "none.py"), "none.py: no such script"),
        (("new", "1.0", "--pid", "4194305"), "no such process"),
        (("new", "1.0", "--template", "vit", "--out", "../x.yaml"), "must be a file experiments/"),
        (("new", "1.0", "--template", "vit", "--unit", "val_mae=mag"), "must be like val_mae=dex"),
    ],
)
def test_mistakes_are_one_line(desk: Desk, words: tuple[str, ...], text: str) -> None:
    status, out, err = desk(*words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert text in err
    assert not list(desk.lab.experiments.iterdir())


def test_a_roadmap_that_was_renamed_is_named(desk: Desk) -> None:
    old = "roadmaps/roadmap.md"
    assert desk("new", "1.0", "--template", "ridge", "--no-edit")[0] == 0
    [file] = desk.lab.experiment_files()
    submit(desk.lab, Spec("1.0", "main", "full", "ridge", {}, "A-20260101-x-01", old))
    (desk.lab.root / old).rename(desk.lab.roadmaps / "new_roadmap.md")
    status, _, error = desk("run", "1.0")
    assert (status, error.count("\n")) == (2, 1)
    assert f"experiments/{file.name}: roadmap: {old} is not there" in error
    lost = f"note: {old} does not exist, so nothing is written for its jobs (1)"
    assert lost in desk("sync", "--dry-run")[2]


@pytest.mark.parametrize("recipe", ABOUT)
def test_every_template_is_a_good_experiment_file(desk: Desk, recipe: str) -> None:
    status, out, err = desk("new", "2.0", "--template", recipe)
    recipe = {"survey": "vit"}.get(recipe, recipe)
    assert recipe in RECIPES
    assert (status, "bad" in err) == (0, False)
    assert out == "made experiments/mvp_2.0.yaml\nnext: vitlab run 2.0 --profile smoke\n"
    experiment = desk.file("mvp_2.0")
    assert (experiment.recipe, experiment.mvp) == (recipe, "2.0")
    assert {"smoke", "full"} <= set(experiment.profiles)


def test_an_error_s_unit_is_asked_for_not_guessed(desk: Desk) -> None:
    desk.script.write_text('print(f"val_r2={r2} val_mae={mae}")\n')
    new = ("new", "1.0", "--script", str(desk.script), "--dry-run")
    _, out, err = desk(*new)
    assert "left out: val_mae, unit unknown" in err
    assert "# val_mae: val/mae/log_g  # unit unknown: this line if it is in dex, else" in out
    assert "names: {val_r2: val/r2/log_g}" in out
    _, out, err = desk(*new, "--unit", "val_mae=sigma")
    assert "val_mae: {as: val/mae/log_g, unit: sigma}" in out
    assert "left out" not in err
    assert "val_mae: val/mae/log_g}" in desk(*new, "--unit", "val_mae=dex")[1]


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ('"metrics.csv"', "metrics.csv"),
        ('f"{a.out}/metrics.csv"', "runs/1.0/{job}/**/metrics.csv"),
    ],
)
def test_a_script_that_reads_beside_itself_runs_there(desk: Desk, path: str, file: str) -> None:
    (desk.script.parent / "conf").mkdir()
    (desk.script.parent / "conf" / "a.yaml").write_text("x: 1\n")
    desk.script.write_text(
        'import argparse\np = argparse.ArgumentParser()\np.add_argument("--out", default="out")\n'
        f'a = p.parse_args()\nopen("conf/a.yaml")\nf = open({path}, "w")\n'
        'f.write("epoch,val_r2\\n")\n'
    )
    assert desk("new", "1.0", "--script", str(desk.script), "--python", sys.executable)[0] == 0
    (spec,) = desk.file().specs("full", "x")
    assert spec.config["cwd"] == str(desk.script.parent)
    assert spec.config["argv"][2:] == ["--out", "runs/1.0/{job}"]
    assert spec.extra["metrics"]["file"] == file


GOES_ON = """\
import argparse, os
import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from pathlib import Path
import torch
p = argparse.ArgumentParser()
p.add_argument("--save", default="models/best.pt")
p.add_argument("--resume", default="models/old.ckpt")
a = p.parse_args()
here = Path("states/a.pt")
last = "checkpoints/last.ckpt"
trainer = L.Trainer(callbacks=[ModelCheckpoint(dirpath="checkpoints", save_last=True)])
trainer.fit(m, ckpt_path=last if os.path.exists(last) else None)
if Path("./old/resume.pth").is_file(): torch.load("./old/resume.pth")
torch.save(m, here); torch.save(m, a.save)
"""


def test_what_an_earlier_run_left_to_go_on_from_is_no_input(desk: Desk) -> None:
    """Else all runs would share its folder, and go on from one checkpoint."""
    for name in ("checkpoints/last.ckpt", "old/resume.pth", "states/a.pt", "models/best.pt",
                 "models/old.ckpt", "data/stars.npz"):  # fmt: skip
        path = desk.script.parent / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    desk.script.write_text(GOES_ON)
    out = desk("new", "1.0", "--script", str(desk.script), "--dry-run")[1]
    assert "cwd: runs/1.0/{job}" in out
    assert ".pt" not in out
    assert "old.ckpt" not in out
    desk.script.write_text(GOES_ON + 'os.makedirs("data", exist_ok=True)\nopen("data/stars.npz")\n')
    out = desk("new", "1.0", "--script", str(desk.script), "--dry-run")[1]
    assert f"cwd: {desk.script.parent}  # it uses data/stars.npz there" in out


TRAINER = """\
from transformers import Trainer, TrainingArguments
def scores(p): return {"r2": 0.5}
args = TrainingArguments("out/swin", num_train_epochs=4)
Trainer(model, args, compute_metrics=scores).train()
"""


def test_the_last_run_is_one_of_this_script(desk: Desk) -> None:
    """Another script's files lie beside it, and are the newer ones."""
    state = desk.script.parent / "out" / "swin" / "checkpoint-4" / "trainer_state.json"
    state.parent.mkdir(parents=True)
    names = ("loss", "learning_rate", "eval_loss", "eval_r2", "train_loss", "train_runtime")
    state.write_text(json.dumps({"log_history": [dict.fromkeys(("epoch", "step", *names), 1)]}))
    other = desk.script.parent / "lightning_logs" / "version_0" / "metrics.csv"
    other.parent.mkdir(parents=True)
    other.write_text("epoch,step,val_mse,test_r2\n")
    new = ("new", "1.0", "--script", str(desk.script), "--dry-run")
    desk.script.write_text(TRAINER)
    out = desk(*new)[1]
    assert "headline: val/r2/log_g" in out
    assert "file: out/swin/**/trainer_state.json" in out
    assert ("names: {loss: train/loss, learning_rate: train/lr, eval_r2: val/r2/log_g, "
            "eval_loss: val/loss}") in out  # fmt: skip
    desk.script.write_text("import wandb\nwandb.log({'val_r2': r2})\n")
    out = desk(*new)[1]
    assert "file: wandb/*run-*/*.wandb" in out
    assert "names: {val_r2: val/r2/log_g}" in out
    desk.script.write_text(
        "import lightning as L\n"
        "def validation_step(self): self.log('val_r2', 1)\n"
        "L.Trainer(logger=WandbLogger())\n"
    )
    assert "file: wandb/*run-*/*.wandb" in desk(*new)[1]
    desk.script.write_text(
        "import lightning as L\ndef validation_step(self): self.log('val_r2', 1)\nL.Trainer()\n"
    )
    out = desk(*new)[1]  # the file is none of this script, but this is where it writes
    assert "file: lightning_logs/version_*/metrics.csv" in out
    assert "names: {val_r2: val/r2/log_g}" in out
    desk.script.write_text("TensorBoardLogger('tb')\nself.log('val_r2', 1)\n")
    assert "file: '**/events.out.tfevents.*'" in desk(*new)[1]


def test_labels_divided_by_a_constant_show_the_scale(desk: Desk) -> None:
    """Where its name says that it is the labels', or it is read for nothing else."""
    text = "Y_STD = 1.302\ny = (x @ w) / Y_STD\nprint(f'val_r2={r2} val_mae={mae}')\n"
    new = ("new", "1.0", "--script", str(desk.script), "--dry-run")
    desk.script.write_text(text)
    sigma = text.replace("Y_STD", "SIGMA")
    for known in (text, sigma):
        desk.script.write_text(known)
        assert "val_mae: {as: val/mae/log_g, scale: 1.302, unit: dex}" in desk(*new)[1]
    for other in (f"{text}Y_STD = 2.0\n", f"{sigma}SIGMA = 2.0\n", f"{sigma}m = mae * SIGMA\n"):
        desk.script.write_text(other)
        assert "left out: val_mae" in desk(*new)[2]


def test_what_a_command_line_lacks_is_said(desk: Desk) -> None:
    desk.script.write_text(
        "import argparse, sys\n"
        "p = argparse.ArgumentParser()\np.add_argument('--data', required=True)\n"
        "p.add_argument('model')\np.add_argument('--seed', type=int, default=1)\n"
    )
    new = ("new", "1.0", "--script", str(desk.script), "--dry-run")
    status, out, _ = desk(*new, "--repeats", "4")
    assert status == 0
    assert "  # It needs more than that: --data, model." in out.splitlines()
    assert "repeats: 4  # seeds" in out
    assert desk(*new, "--repeats", "0")[0] == 2


def test_a_script_without_a_short_run_and_without_what_a_gate_asks_is_told(desk: Desk) -> None:
    roadmap = next(desk.lab.roadmaps.glob("*.md"))
    rows = ("| Item | Content |", "|---|---|", "| MVP | MVP-1.0 |", "| If test R² > 0.7 | ✅ on |")
    gate = "\n".join(["", "### Gate-1: is it good", "", *rows, ""])
    roadmap.write_text(roadmap.read_text() + gate)
    desk.script.write_text('for e in range(3): print(f"epoch {e} val_r2={e}")\n')
    status, out, err = desk("new", "1.0", "--script", str(desk.script), "--no-edit")
    assert status == 0
    assert "full is its only profile; add profiles: smoke" in err
    assert "warn: Gate-1 needs test/r2/log_g; this script logs val only" in err
    assert out.splitlines()[-1] == "next: vitlab run 1.0 --profile full"
    assert desk.file().profiles == ("full",)


def test_a_run_that_goes_on_is_taken_with_its_numbers(desk: Desk) -> None:
    folder = desk.script.parent
    desk.script.write_text(
        "import sys\n"
        "f = open('metrics.csv', 'w'); f.write('epoch,val_r2,val_mae\\n0,0.3,1\\n'); f.flush()\n"
        "print('up', flush=True); sys.stdin.readline()\n"
    )
    argv = [sys.executable, "-S", "train.py", "--lr", "0.1"]
    with (folder / "train.log").open("wb") as log:
        run = subprocess.Popen(argv, cwd=folder, stdin=subprocess.PIPE, stdout=log)
    wait_for(lambda: (folder / "train.log").read_text())
    status, out, _ = desk("new", "1.0", "--pid", str(run.pid), "--launch")
    assert status == 0
    [job] = all_jobs(desk.lab)
    assert out == f"made experiments/own_script.yaml\nadopted {job.name}\n"
    assert job.spec.extra["metrics"]["names"] == {"val_r2": "val/r2/log_g"}
    (spec,) = desk.file().specs("full", "x")
    assert spec.config["argv"] == [sys.executable, str(desk.script), "--lr", "0.1"]
    assert run.stdin is not None
    run.stdin.close()
    run.wait()
    ended(job.paths)
    nothing_runs(desk.lab.root)


def test_a_run_adopted_before_its_first_metrics_is_read_all_the_same(desk: Desk) -> None:
    """What it will write is seen in its script."""
    (desk.script.parent / "go").unlink(missing_ok=True)
    desk.script.write_text(
        "import os, time\n"
        "if 0: import lightning\n"
        "def log(self): self.log('val_r2', 1); self.log('val_mae', 1); y = label_mean\n"
        "label_std = float('2.5')\n"
        "print(f'label std: {label_std}', flush=True)\n"
        "while not os.path.exists('go'): time.sleep(0.01)\n"
        "os.makedirs('lightning_logs/version_0')\n"
        "with open('lightning_logs/version_0/metrics.csv', 'w') as f:\n"
        "    f.write('epoch,step,val_r2,val_mae\\n0,1,0.375,0.25\\n')\n"
        "while os.path.exists('go'): time.sleep(0.01)\n"
    )
    with (desk.script.parent / "train.log").open("wb") as log:
        argv = [sys.executable, "-S", "train.py"]
        run = subprocess.Popen(argv, cwd=desk.script.parent, stdout=log)
    wait_for(lambda: (desk.script.parent / "train.log").read_text())
    status, _, err = desk("adopt", "--pid", str(run.pid), "--mvp", "1.0")
    assert status == 0
    assert "lightning_logs/version_*/metrics.csv is not there yet" in err
    [job] = all_jobs(desk.lab)
    (desk.script.parent / "go").touch()
    wait_for(lambda: [e for e in read_events(job.paths.events)[0] if e.values])
    (desk.script.parent / "go").unlink()
    run.wait()
    ended(job.paths)
    events = [event for event in read_events(job.paths.events)[0] if event.values]
    values = {name: value for event in events for name, value in event.values.items()}
    assert values == {"val/r2/log_g": 0.375, "val/mae/log_g": 0.625}
    nothing_runs(desk.lab.root)


def test_a_script_that_was_changed_since_it_began_shows_nothing(desk: Desk) -> None:
    code = (
        "import csv, sys\nLABEL_STD = 1.302\ny = raw / LABEL_STD if 0 else 0\n"
        "f = open('metrics.csv', 'w'); w = csv.writer(f)\n"
        "w.writerow(['epoch', 'val_r2', 'val_mae']); w.writerow([0, 0.3, 1]); f.flush()\n"
        "print('up', flush=True); sys.stdin.readline()\n"
    )
    for changes in (False, True):
        desk.script.write_text(code)
        run = subprocess.Popen(
            [sys.executable, "-S", "train.py"],
            cwd=desk.script.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert run.stdin is not None
        assert run.stdout is not None
        run.stdout.readline()
        if changes:
            desk.script.write_text(code.replace("1.302", "0.5"))
            os.utime(desk.script, (time.time() + 1, time.time() + 1))
        status, _, err = desk("adopt", "--pid", str(run.pid), "--mvp", "1.0")
        assert status == 0
        names = all_jobs(desk.lab)[-1].spec.extra["metrics"]["names"]
        assert names["val_r2"] == "val/r2/log_g"
        assert ("val_mae" in names) != changes
        assert ("its script was changed since it began" in err) == changes
        run.communicate(b"\n")
        ended(all_jobs(desk.lab)[-1].paths)
        (desk.script.parent / "metrics.csv").unlink()
    nothing_runs(desk.lab.root)


def test_a_lab_of_only_its_settings_gets_its_experiments_folder(desk: Desk) -> None:
    desk.lab.experiments.rmdir()
    status, out, err = desk("new", "2.0", "--template", "ridge")
    assert (status, "bad" in err) == (0, False)
    assert out.startswith("made experiments/mvp_2.0.yaml\n")
    assert desk.file("mvp_2.0").recipe == "ridge"


def test_what_no_launch_could_name_is_not_written(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> str:
        raise UsageError("roadmap.md:1: no name for its jobs")

    monkeypatch.setattr("vitlab.lab.new_experiment.exp_id_of", refuse)
    status, out, err = desk("new", "2.0", "--template", "ridge")
    assert (status, out, err) == (2, "", "vitlab: roadmap.md:1: no name for its jobs\n")
    assert not list(desk.lab.experiments.iterdir())


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("x\nqueue: {on_lost: resume}\n#.py", r"holds characters that are no text: rename it"),
        ("esc\x1b[2J.py", r"holds characters that are no text: rename it"),
        ("bad\udcff.py", r"holds characters that are no text: rename it"),
        ("{run}.py", r"holds \{ or \}, which an experiment file takes for a placeholder"),
        ("{seed}/train.py", r"holds \{ or \}, which an experiment file takes for a placeholder"),
    ],
)
def test_a_script_whose_name_no_experiment_file_can_have_is_refused(
    desk: Desk, name: str, told: str
) -> None:
    script = desk.script.parent / name
    script.parent.mkdir(exist_ok=True)
    script.write_text(LIGHTNING)
    status, out, err = desk("new", "1.0", "--script", str(script))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert re.search(told, err)
    assert not list(desk.lab.experiments.iterdir())


def test_a_python_that_cannot_run_the_script_is_refused_before_anything_is_written(
    desk: Desk,
) -> None:
    desk.script.write_text("import absent_everywhere\nprint(f'val_r2={r2}')\n")
    new = ("new", "1.0", "--script", str(desk.script))
    status, out, err = desk(*new, "--python", sys.executable)
    assert (status, out) == (2, "")
    assert err == f"vitlab: --python {sys.executable}: has no absent_everywhere (train.py:1)\n"
    assert not list(desk.lab.experiments.iterdir())
    status, out, err = desk(*new)
    assert (status, out.splitlines()[0]) == (0, "made experiments/own_script.yaml")
    assert "has no absent_everywhere (train.py:1): give another with --python" in err


ARGUMENTS = """\
import argparse
p = argparse.ArgumentParser()
p.add_argument("--lr", "--rate", type=float, default=0.001)
p.add_argument("--epochs", type=int, default=3)
p.add_argument("--amp", action=argparse.BooleanOptionalAction)
p.parse_args()
"""


@pytest.mark.parametrize(
    ("given", "unknown"),
    [
        (["--learning-rate", "0.1", "--lr=2"], "--learning-rate"),
        (["--learning-rate=0.1", "--wd", "1"], "--learning-rate, --wd"),
        (["--rate", "0.1", "--epo", "4", "--no-amp", "--", "-x"], ""),
    ],
)
def test_options_the_script_has_not_are_named(desk: Desk, given: list[str], unknown: str) -> None:
    desk.script.write_text(ARGUMENTS)
    argv = ["python3", str(desk.script), *given]
    expected = f"{unknown}: train.py has only --lr, --epochs, --amp" if unknown else ""
    assert unknown_options(argv, desk.lab.root) == expected
    desk.script.write_text(ARGUMENTS + "p.parse_known_args()\n")
    assert unknown_options(argv, desk.lab.root) == ""


def test_the_options_stand_in_the_file_and_an_edited_command_is_checked(desk: Desk) -> None:
    desk.script.write_text(ARGUMENTS)
    assert desk("new", "1.0", "--script", str(desk.script), "--python", sys.executable)[0] == 0
    path = desk.lab.experiments / "own_script.yaml"
    assert "# Its options: --lr 0.001, --epochs 3, --amp\n" in path.read_text()
    lab = Lab(desk.lab, load_settings(desk.lab))
    new = NewExperiment("1.0", desk.lab.roadmaps / "roadmap.md", path, "", "full")
    assert not [one for one in check_new(lab, new) if one.text.startswith("argv")]
    path.write_text(path.read_text().replace("'{epochs}'", "'{epochs}', --learning-rate, '1'"))
    texts = [one.text for one in check_new(lab, new)]
    assert "argv: --learning-rate: train.py has only --lr, --epochs, --amp" in texts


def test_plans_mvps_and_gates_are_words_of_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "plan", "Sky", "--language", "en"]) == 0
    assert "+++ b/roadmaps/sky_roadmap.md" in capsys.readouterr().out
    roadmap = tmp_path / "roadmaps/sky_roadmap.md"
    first = roadmap.read_bytes()
    assert main(["new", "mvp", "--name", "Ridge", "--dry-run"]) == 0
    assert roadmap.read_bytes() == first
    capsys.readouterr()
    assert main(["new", "mvp", "--name", "Ridge", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["id"] == "1.0"
    assert made["next"] == "vitlab new 1.0"
    assert made["files"][0] == "roadmaps/sky_roadmap.md"
    gate = ["new", "gate", "--name", "Enough", "--condition", "it bends", "--mvp", "1.0"]
    assert main(gate) == 0
    assert "you decide" in capsys.readouterr().err
    assert main(["new", "mvp", "--name", "x", "--id", "1.0"]) == 2
    assert "MVP 1.0 is there already (Ridge)" in capsys.readouterr().err
    assert main(["new", "1.0", "--template", "ridge", "--dry-run"]) == 0
    capsys.readouterr()
    assert main(["undo"]) == 0
    assert "restored roadmaps/sky_roadmap.md" in capsys.readouterr().out
    assert main(["undo"]) == 0
    removed = [line for line in capsys.readouterr().out.splitlines() if "removed" in line]
    assert removed == [f"removed {path}" for path in made["files"] if "exp_" in path]
    assert roadmap.read_bytes() == first


@pytest.mark.parametrize("word", ["plan", "mvp", "gate"])
def test_each_word_of_new_has_its_own_help(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["new", word, "--help"])
    assert f"usage: vitlab new {word} " in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["new", "--help"])
    assert f"vitlab new {word} " in capsys.readouterr().out
