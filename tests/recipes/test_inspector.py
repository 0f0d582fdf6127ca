"""Single stars of real jobs: what is computed of them, and the process that hands it on."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest

from tests.recipes.test_evaluate import ran
from tests.recipes.test_run import CONFIGS, DATA
from tests.waiting import wait_for
from vitlab.cli import main as vitlab
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.lab.inspector.client import Client
from vitlab.lab.inspector.server import open_inspector, serve
from vitlab.lab.inspector.star import StarList, read_list, read_sheet, to_json, to_line
from vitlab.ml.baselines.model_file import load_model
from vitlab.ml.baselines.ridge import Ridge
from vitlab.ml.residual_file import load_residuals
from vitlab.ml.spectra.grid import load_grid
from vitlab.ml.spectra.observation import load_noise
from vitlab.ml.spectra.pfsspec import FLUX, make_file
from vitlab.ml.spectra.simulate import Simulator


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab with a ViT, trees and a ridge of a blink."""
    root = tmp_path_factory.mktemp("lab")
    (root / "vitlab.yaml").write_text("{}\n")
    (root / "roadmaps").mkdir()
    before = signal.getsignal(signal.SIGTERM)  # a recipe in this process listens for it
    for number, recipe in enumerate(("vit", "lightgbm", "ridge"), start=1):
        assert ran(root, recipe, recipe, CONFIGS[recipe], f"{number}.0").returncode == 0
    signal.signal(signal.SIGTERM, before)
    return root


def job(lab: Path, name: str) -> JobPaths:
    return JobPaths(next((lab / "experiments").glob(f"*/{name}")))


def test_a_star_tells_what_every_model_says_and_where_the_information_is(lab: Path) -> None:
    said: list[str] = []
    bench = open_inspector(job(lab, "vit"), said.append)
    assert said == ["opening the data", "reading the checkpoint"]
    stars = bench.stars()
    kept = load_residuals(bench.job.residuals)
    assert stars.n == DATA["test_size"]
    assert (stars.labels, stars.vacuum, stars.notes) == (("log_g", "M_H"), False, ())
    worst = stars.order("M_H", worst=True)[0]
    assert worst == np.abs(kept.predicted - kept.true)[:, 1].argmax()
    sheet = bench.star(worst, "M_H")
    vit, trees, ridge = sheet.guesses
    names = ["ViT 1.0 main", "LightGBM 2.0 main", "Ridge 3.0 main"]
    assert [vit.name, trees.name, ridge.name] == names
    assert kept.sigma is not None
    for k, label in enumerate(stars.labels):
        assert vit.values[label] == pytest.approx(kept.predicted[worst, k], abs=1e-4)
        assert vit.errors[label] == pytest.approx(kept.sigma[worst, k], rel=1e-4)
        assert sheet.true[label] == kept.true[worst, k]
    assert set(ridge.values) == {"log_g"}
    assert sheet.mag == pytest.approx(kept.mag[worst])
    # The noise that was added is that of its sigma, and the bound is of this star.
    pull = (np.array(sheet.flux) - np.array(sheet.clean)) / np.array(sheet.sigma)
    assert pull.std() == pytest.approx(1, abs=0.05)
    assert sheet.bound is not None
    assert sheet.best is not None
    assert math.hypot(*sheet.best.values) == pytest.approx(sheet.bound)
    assert sheet.attention is not None
    assert sum(sheet.attention.values) == pytest.approx(1)
    assert sheet.response is not None
    assert math.hypot(*sheet.response.values) == pytest.approx(sheet.scatter or 0)
    assert -1 <= (sheet.agreement or 0) <= 1
    assert any(share.name.startswith("Ca II") for share in sheet.shares)
    model, exact = sheet.densities
    assert (model.kind, exact.kind) == ("model", "exact")
    sigma = vit.errors["M_H"] or 0
    assert (model.high - model.low) / 2 == pytest.approx(sigma, rel=1e-3)  # of `nll`, a normal one
    assert exact.values[0] < sheet.true["M_H"] < exact.values[-1]
    for one in sheet.densities:
        assert np.trapezoid(one.density, one.values) == pytest.approx(1, abs=0.03)
    again = read_sheet(json.loads(to_line(to_json(sheet))))
    assert again.response is not None
    np.testing.assert_allclose(again.response.values, sheet.response.values, rtol=1e-6)
    assert [guess.name for guess in again.guesses] == names
    assert again.densities[1].high == pytest.approx(exact.high, rel=1e-6)
    assert len(read_list(json.loads(to_line(to_json(stars)))).marks) == len(stars.marks)
    with pytest.raises(UsageError, match="star 30: the test set has the stars 0 to 29"):
        bench.star(30, "log_g")


def test_a_ridge_hangs_on_its_weights_and_trees_on_what_they_add(lab: Path) -> None:
    bench = open_inspector(job(lab, "ridge"), print)
    sheet = bench.star(3, "log_g")
    model, inputs = load_model(job(lab, "ridge").checkpoints, ["log_g"], bench.spectra.wave)
    assert isinstance(model, Ridge)
    assert inputs.kind == "flux"
    assert sheet.response is not None
    np.testing.assert_allclose(
        sheet.response.values, model.weights[:, 0] * np.array(sheet.sigma), rtol=1e-5, atol=1e-12
    )
    sheet = open_inspector(job(lab, "lightgbm"), print).star(3, "log_g")
    assert sheet.response is not None
    assert "TreeSHAP" in sheet.response.kind
    assert (sheet.scatter, sheet.agreement, sheet.attention) == (None, None, None)


def test_stars_of_another_synthesis_have_no_bound_of_this_grid(lab: Path, tmp_path: Path) -> None:
    file = tmp_path / "stars.h5"
    for _ in make_file(Simulator(load_grid(), load_noise(), seed=5), 0, 80, file):
        pass
    bare = JobPaths(tmp_path / "experiments" / "X-01" / "file")
    shutil.copytree(job(lab, "ridge").folder, bare.folder)
    spec = json.loads(bare.spec.read_bytes())
    spec["config"]["data"] |= {"source": str(file), "train_size": 40, "val_size": 10}
    bare.spec.write_text(json.dumps(spec))
    assert open_inspector(bare, print).star(2, "log_g").bound is not None
    with h5py.File(file, "r+") as inside:
        inside[FLUX][...] *= 1 + 0.05 * np.sin(np.arange(inside[FLUX].shape[1]) / 9)
    sheet = open_inspector(bare, print).star(2, "log_g")
    assert (sheet.bound, sheet.best, sheet.agreement) == (None, None, None)
    assert sheet.notes == ("no information: the file's star is not this grid's at its labels",)


def test_what_can_not_be_shown_is_said(lab: Path, tmp_path: Path) -> None:
    bare = JobPaths(tmp_path / "experiments" / "X-01" / "bare")
    shutil.copytree(job(lab, "ridge").folder, bare.folder)
    shutil.rmtree(bare.checkpoints)
    bench = open_inspector(bare, print)
    assert "the model is not explained: " in bench.notes[0]
    sheet = bench.star(0, "log_g")
    assert sheet.response is None
    assert sheet.best is not None
    assert [guess.name for guess in sheet.guesses] == ["Ridge 3.0 main"]  # what it kept
    bare.residuals.unlink()
    bench = open_inspector(bare, print)
    assert "vitlab evaluate" in bench.notes[0]
    assert bench.stars().order("log_g", worst=True) == list(range(30))
    assert bench.star(0, "log_g").guesses == ()
    answers: list[tuple[str, object]] = []
    asked = ["nonsense\n", '{"star": 99, "label": "log_g"}\n', "[" * 10**6, "[1]\n",
             '{"star": 1e400, "label": "log_g"}\n', '{"star": 1, "label": "log_g"}\n']  # fmt: skip
    assert serve(bench, asked, lambda kind, record: answers.append((kind, record))) == 0
    assert [kind for kind, _ in answers] == ["error"] * 5 + ["star"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vitlab.lab.inspector.server.MOST_STARS", 29)
        with pytest.raises(UsageError, match="30 test stars; 29 can be inspected"):
            open_inspector(bare, print)
        patch.undo()
        patch.setattr("vitlab.lab.inspector.server.MOST_SIMULATED", 29)
        with pytest.raises(UsageError, match=r"no saved predictions.*29 simulated stars can be"):
            open_inspector(bare, print)
        assert open_inspector(job(lab, "ridge"), print).stars().n == 30  # it has predictions
    spec = json.loads(bare.spec.read_bytes())
    config = {"job": "3.0"}
    bare.spec.write_text(json.dumps({**spec, "recipe": "evaluate", "config": config}))
    with pytest.raises(UsageError, match=r"an evaluation of 3\.0; inspect that job instead"):
        open_inspector(bare, print)


def test_the_process_answers_star_after_star_and_ends_with_its_owner(lab: Path) -> None:
    graph = Client(job(lab, "ridge"))
    said: list[str] = []
    stars = graph.open(said.append)
    assert said[0] == "starting the reader"
    assert stars.n == 30
    first = graph.star(stars.order("log_g", worst=True)[0], "log_g")
    assert graph.star(first.number, "log_g") is first
    with pytest.raises(UsageError, match="does not predict 'T_eff'"):
        graph.star(0, "T_eff")
    assert graph.star(5, "log_g").number == 5
    assert len(_readers(graph.job)) == 1
    assert graph._child is not None
    assert graph._child.stdin is not None
    graph._child.stdin.close()  # as when the screen is killed
    wait_for(lambda: not _readers(graph.job))
    graph.close()


def _readers(job: JobPaths) -> list[psutil.Process]:
    """The living processes that read this job's stars."""
    return [
        one
        for one in psutil.process_iter(["cmdline", "status"])
        if "vitlab.lab.inspector.server" in (one.info["cmdline"] or ())
        and str(job.folder) in one.info["cmdline"]
        and one.info["status"] != "zombie"
    ]


def test_the_words_of_the_command(
    lab: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lab)
    # In this process: the other one takes seconds to start, and is tested above.
    monkeypatch.setattr("vitlab.lab.inspector.client.Client", Here)
    Path("notes.txt").write_text("hers")
    Path("x.npz").symlink_to("notes.txt")
    command = ["spectrum", "3.0", "--star", "5", "--out", "x.npz", "--json"]
    assert vitlab(command) == 2
    assert "--out x.npz: exists already" in capsys.readouterr().err
    assert Path("notes.txt").read_text() == "hers"
    Path("x.npz").unlink()
    assert vitlab(command) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["number"] == 5
    assert len(told["wave"]) == len(told["flux"]) == 4096
    with np.load("x.npz", allow_pickle=False) as arrays:
        np.testing.assert_allclose(arrays["response"], told["response"]["values"], rtol=1e-6)
    assert vitlab(["spectrum"]) == 0  # the newest
    said = capsys.readouterr().out
    assert "Ridge 3.0 main" in said
    assert "Cramér-Rao limit" in said
    assert "Ca II 8542" in said
    assert vitlab(["spectrum", "1.0", "--out", "x.txt"]) == 2
    assert "must end in .npz" in capsys.readouterr().err
    assert vitlab(["spectrum", "9.9"]) == 2
    assert "no job '9.9'" in capsys.readouterr().err


class Here:
    """A `Client` without a process."""

    def __init__(self, job: JobPaths, sources: None) -> None:
        assert sources is None
        self.bench = open_inspector(job, lambda _: None)
        self.star = self.bench.star

    def open(self) -> StarList:
        return self.bench.stars()

    def close(self) -> None:
        """Nothing to end."""


BLOCKS = """\
import os, sys
if "vitlab.lab.inspector.server" in sys.orig_argv:
    import ctypes
    def block(event, words):
        if event == "open" and str(words[0]).endswith("spec.json"):
            os.write(os.open("blocked", os.O_CREAT | os.O_WRONLY), b"%d" % os.getpid())
            ctypes.PyDLL(None).pause()  # with the interpreter's lock held
    sys.addaudithook(block)
"""
"""A library that blocks as the reader opens its job."""
OWNER = """\
import sys
from pathlib import Path
from vitlab.contract.paths import JobPaths
from vitlab.lab.inspector.client import Client
Client(JobPaths(Path(sys.argv[1]))).open()
"""


def test_a_reader_that_blocks_ends_with_its_owner(lab: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(BLOCKS)
    bare = JobPaths(tmp_path / "experiments" / "X-01" / "ridge")
    shutil.copytree(job(lab, "ridge").folder, bare.folder)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(bare.folder)], env=environment)
    told = tmp_path / "blocked"
    try:
        reader = psutil.Process(int(wait_for(lambda: told.read_text() if told.exists() else None)))
        owner.kill()
        owner.wait()
        wait_for(lambda: not reader.is_running() or reader.status() == psutil.STATUS_ZOMBIE)
    finally:
        owner.kill()
        for one in _readers(bare):
            one.kill()


ALONE = """\
import ctypes, os, sys
from vitlab.lab.inspector import lifetime
for descriptor in sys.argv[1:]:
    lifetime.end_with_client(int(descriptor))
lifetime.LONGEST = 1
with lifetime.time_limit():
    ctypes.PyDLL(None).pause()
"""


def test_a_reader_whose_client_ended_first_ends_too() -> None:
    ours, theirs = os.pipe()
    os.close(theirs)
    words = [sys.executable, "-c", ALONE, str(ours)]
    done = subprocess.run(words, pass_fds=(ours,), capture_output=True, text=True, check=False)
    os.close(ours)
    assert (done.returncode, done.stderr) == (1, "the client has ended\n")


def test_a_task_that_takes_for_ever_is_ended_and_named(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = subprocess.run([sys.executable, "-c", ALONE], check=False)
    assert done.returncode == -signal.SIGALRM
    ended = ("/bin/sh", "-c", "kill -ALRM $$")
    monkeypatch.setattr("vitlab.lab.inspector.client.PYTHON", ended)
    client = Client(job(lab, "ridge"))
    with pytest.raises(UsageError, match=r"ridge: its star reader ended: it took more than 10 min"):
        client.open()
    client.close()
