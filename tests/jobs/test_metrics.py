"""Programs that do not know us: their numbers become events and a result."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.jobs.conftest import Workshop
from tests.waiting import ended, wait_for
from vitlab.contract.events import read_events
from vitlab.contract.job import Result, read_result
from vitlab.contract.paths import UsageError
from vitlab.events import log
from vitlab.jobs.experiment.experiment import load_experiment
from vitlab.jobs.metrics.formats.records import BLOCK, wandb_rows
from vitlab.jobs.queue.scheduler import advance, resume

NAMES = {"val_r2": "val/r2/log_g", "train_loss": "train/loss", "test_r2": "test/r2/log_g"}

# Writes as Lightning's CSVLogger does: the file anew, with a longer header, when a column comes.
LIGHTNING = """
import csv, os
os.makedirs("lightning_logs/version_0")
path = "lightning_logs/version_0/metrics.csv"
rows = []
def write(**row):
    rows.append(row)
    keys = sorted({k for r in rows for k in r})
    with open(path, "w", newline="") as f:
        writer = csv.DictWriter(f, keys); writer.writeheader(); writer.writerows(rows)
for step in range(3):
    write(epoch=0, step=step, train_loss=1.0 - 0.1 * step)
    write(epoch=0, step=step, val_r2=0.2 * step)
write(epoch=0, step=3, test_r2=0.5)
"""


@pytest.mark.parametrize(
    ("run", "model"),
    [("swin", "swin"), ("ViT seed=43", "ViT"), ("lr=0.1,seed=42", "lr=0.1"), ("seed=42", "main")],
)
def test_a_program_s_model_is_its_run_without_the_seed(run: str, model: str) -> None:
    result = Result("1.0", run, "full", "command", {}, model={"name": run})
    assert result.model_name == model
    assert replace(result, recipe="vit").model_name == run


def test_a_program_as_it_is(shop: Workshop) -> None:
    extra = {"metrics": {"file": "lightning_logs/version_*/metrics.csv", "names": NAMES}}
    config = {"argv": [sys.executable, "-c", LIGHTNING]}
    job = shop.submit("", config=config, extra=extra, run="swin")
    advance(shop.lab)
    assert ended(job).outcome == "ok"
    events, _ = read_events(job.events)
    assert [(event.kind, event.step) for event in events] == [
        ("start", 0), ("step", 0), ("eval", 0), ("step", 1), ("eval", 1), ("step", 2), ("eval", 2),
        ("eval", 3),
    ]  # fmt: skip
    assert events[-1].data["split"] == "test"
    result = read_result(job.result)
    assert result is not None
    assert (result.mvp, result.run, result.model_name) == ("1.0", "swin", "swin")
    assert result.values == {"train/loss": 0.8, "val/r2/log_g": 0.4, "test/r2/log_g": 0.5}


def test_a_failed_program_has_no_result(shop: Workshop) -> None:
    extra = {"metrics": {"file": "m.jsonl", "names": NAMES}}
    code = "open('m.jsonl', 'w').write('{\"step\": 1, \"test_r2\": 0.5}\\n'); raise SystemExit(1)"
    job = shop.submit("", config={"argv": [sys.executable, "-c", code]}, extra=extra)
    advance(shop.lab)
    assert ended(job).outcome == "failed"
    assert [event.kind for event in read_events(job.events)[0]] == ["start", "eval"]
    assert read_result(job.result) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("metrics: {file: /etc/passwd, names: {a: val/r2/log_g}}", "must be a path below"),
        ("metrics: {file: m.csv, names: {a: r2}}", "metrics.names.a: 'r2' is not a value name"),
        ("metrics: {file: m.csv}", "metrics.names: must map their names to ours"),
        ("metrics: {names: {a: val/r2}}", "metrics: needs file, pattern or both"),
        ("metrics: {pattern: '(?P<a>', names: {a: val/r2}}", "not a regular expression"),
        pytest.param(
            f"metrics: {{pattern: '(?P<a>{'[a-z]' * 500})', names: {{a: val/r2}}}}",
            "metrics.pattern: 2507 characters, more than 2000",
            id="long",
        ),
        ("metrics: {pattern: '(?P<b>x)', names: {a: val/r2}}", "has no group (?P<a>...) (its gro"),
        ("metrics: {fil: m.csv, names: {a: val/r2}}", "metrics.fil: unknown key; did you mean"),
    ],
)
def test_a_wrong_declaration_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x.yaml"
    head = "mvp: x\nroadmap: r.md\nrecipe: command\nconfig: {argv: [python, train.py]}\n"
    path.write_text(head + text)
    with pytest.raises(UsageError) as caught:
        load_experiment(path)
    assert ":5: " in str(caught.value)
    assert said in str(caught.value)
    path.write_text(f"{head}metrics: {{file: m.csv, names: {json.dumps(NAMES)}}}")
    [spec] = load_experiment(path).specs("full", "E")
    assert spec.extra["metrics"]["names"] == NAMES


def test_a_declared_pattern_on_the_log(shop: Workshop) -> None:
    pattern = r"epoch (?P<epoch>\d+): .*r2=(?P<val_r2>[-\d.einfa]+)"
    extra = {"metrics": {"pattern": pattern, "names": NAMES}}
    code = (
        "print('r2=0.9 is no result'); print('epoch 1: a\\repoch 1: r2=0.25')\n"
        "print('epoch 2: r2=nan'); print('epoch 3: r2=0.5'); print('epoch 4: r2=0.7', end='')"
    )
    job = shop.submit("", config={"argv": [sys.executable, "-c", code]}, extra=extra)
    advance(shop.lab)
    assert ended(job).outcome == "ok"
    events, _ = read_events(job.events)
    assert [(event.data["epoch"], event.values["val/r2/log_g"]) for event in events[1:]] == [
        (1.0, 0.25),
        (2.0, None),
        (3.0, 0.5),
        (4.0, 0.7),
    ]
    result = read_result(job.result)
    assert result is not None
    assert result.values == {"val/r2/log_g": 0.7}


def test_no_result_where_the_last_numbers_were_not_written(shop: Workshop) -> None:
    code = (
        "import os, resource, signal; from vitlab.events import log; log({'test/r2': 0.7}, 1)\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "if not os.path.exists('second'): resource.setrlimit(resource.RLIMIT_FSIZE, (1, 1))\n"
        "log({'test/r2': 0.9}, 2)"
    )
    config = {"argv": [sys.executable, "-c", code], "cwd": str(shop.lab.root)}
    job = shop.submit("", config=config)
    advance(shop.lab)
    assert ended(job).detail == "no result: its last numbers were not written to events.jsonl"
    assert not job.result.exists()
    (shop.lab.root / "second").touch()
    resume(shop.lab, job)
    advance(shop.lab)
    wait_for(job.result.exists)
    assert (result := read_result(job.result)) is not None
    assert result.values == {"test/r2": 0.9}


def test_an_evaluation_by_another_program_is_no_second_training(shop: Workshop) -> None:
    train = "from vitlab.events import log\nfor e in range(3): log({'val/r2': 0.1 * e}, epoch=e)"
    (shop.lab.root / "train.py").write_text(train)
    test = "from vitlab.events import log; log({'val/r2': 0.2, 'test/r2': 0.3})"
    (shop.lab.root / "eval.py").write_text(test)
    run = f"{sys.executable} train.py; {sys.executable} eval.py"
    job = shop.submit("", config={"argv": ["bash", "-c", run], "cwd": str(shop.lab.root)})
    advance(shop.lab)
    assert ended(job).outcome == "ok"
    assert (result := read_result(job.result)) is not None
    assert result.values == {"val/r2": 0.2, "test/r2": 0.3}


def test_a_training_in_the_background_that_is_ended_has_no_result(shop: Workshop) -> None:
    train = "from vitlab.events import log; import time\nlog({'val/r2': 0.1}); time.sleep(300)"
    (shop.lab.root / "train.py").write_text(train)
    run = f"{sys.executable} train.py & sleep 2"
    job = shop.submit("", config={"argv": ["bash", "-c", run], "cwd": str(shop.lab.root)})
    advance(shop.lab)
    done = ended(job)
    assert (done.outcome, job.result.exists()) == ("unknown", False)
    assert re.match(r"it returned while train.py \(pid \d+\) ran on, which was ended", done.detail)


@pytest.mark.parametrize(
    ("does", "waits", "name", "server", "outcome"),
    [
        ("while True: pass", "", "tmux", "tmux", "unknown"),
        ("while True: pass", "while ! test -e done; do sleep 0.1; done", "tmux", "tmux", "ok"),
        ("time.sleep(60)", "", "tmux", "tmux", "ok"),
        ("while True: pass", "", "tmux", "bash", "ok"),  # by hand meanwhile, in a shell
        ("while True: pass", "", "to the screen", "tmux", "ok"),
    ],
)
def test_a_training_that_another_program_was_given_is_told(
    shop: Workshop, does: str, waits: str, name: str, server: str, outcome: str
) -> None:
    """As `tmux` where it runs already: nothing of what it starts is the job's."""
    root = shop.lab.root
    (root / "train.py").write_text(f"import time\nopen('begun', 'w')\n{does}")
    client = "tmux() { touch asked; while ! test -e begun; do sleep 0.1; done; }"
    command = f"{name} new-session -d 'python train.py'" if name == "tmux" else f"tmux # {name}"
    run = f"{client}\n{command}; {waits}\necho 'test_r2=0.1'"
    (root / "run.sh").write_text(run if name == "tmux" else run.replace("tmux", "give"))
    wait = "while ! test -e asked; do sleep 0.1; done"
    rest = "sleep 2; kill $!; touch done" if waits else "sleep 60"
    (root / server).write_text(f"#!/bin/sh\n{wait}; {sys.executable} train.py & {rest}")
    (root / server).chmod(0o755)
    extra = {"metrics": {"pattern": r"test_r2=(?P<r2>\S+)", "names": {"r2": "test/r2/log_g"}}}
    with subprocess.Popen([f"./{server}"], cwd=root, start_new_session=True) as running:
        try:
            config = {"argv": ["bash", "run.sh"], "cwd": str(root)}
            job = shop.submit("", config=config, extra=extra)
            advance(shop.lab)
            done = ended(job)
        finally:
            os.killpg(running.pid, signal.SIGKILL)
    assert (done.outcome, job.result.exists()) == (outcome, outcome == "ok")
    told = r"it returned while train.py \(pid (\d+)\) runs on, .* by `vitlab adopt --pid \1`"
    assert (re.match(told, done.detail) is not None) == (outcome == "unknown")


@pytest.mark.parametrize(
    ("first", "val", "known"), [("0", "val", False), ("5", "val", True), ("0", "train", False)]
)
def test_several_trainings_in_one_job_have_no_result(
    shop: Workshop, first: str, val: str, known: bool
) -> None:
    """Unless the later one goes on where the first was, as after a checkpoint."""
    train = (
        "import sys; from vitlab.events import log; first = int(sys.argv[1])\n"
        "for i in range(first, first + 3):\n"
        f"    log({{'{val}/r2': 0.5, 'train/loss': 1.0}}, i, epoch=i)\n"
        "log({'test/r2': 0.7}, first + 3)"
    )
    (shop.lab.root / "train.py").write_text(train)
    run = f"{sys.executable} train.py"
    config = {"argv": ["bash", "-c", f"{run} 0; {run} {first}"], "cwd": str(shop.lab.root)}
    job = shop.submit("", config=config)
    advance(shop.lab)
    assert ended(job).outcome == "ok"
    result = read_result(job.result)
    assert result is not None
    expected: dict[str, float | None] = {"val/r2": 0.5, "test/r2": 0.7}
    if not known:
        expected = {"val/r2": None, "test/r2": None}
    if val == "train":
        expected = {"train/r2": 0.5, "test/r2": None}
    assert result.values == {**expected, "train/loss": 1.0}
    names = "test/r2, val/r2" if val == "val" else "test/r2"
    told = f"2 processes report {names}, each from its beginning" in job.health.read_text()
    assert told is not known


WANDB = """
import wandb
run = wandb.init(project="p", mode="offline", dir=".", settings=wandb.Settings(console="off"))
for i in range(400):
    run.log({"val_r2": 0.001 * i, "epoch": i, "count": -i, "note": "x" * 200, "deep": {"a": 2 * i}})
run.log({"val_r2": float("nan")})
run.finish()
"""


@pytest.mark.skipif(find_spec("wandb") is None, reason="wandb is not installed")
def test_the_file_of_a_real_wandb_run(shop: Workshop) -> None:
    names = {"val_r2": "val/r2/log_g", "count": "train/count", "deep.a": "train/deep"}
    extra = {"metrics": {"file": "wandb/offline-run-*/*.wandb", "names": names}}
    job = shop.submit("", config={"argv": [sys.executable, "-c", WANDB]}, extra=extra)
    advance(shop.lab)
    done = ended(job)
    assert done.outcome == "ok", (done, job.log.read_text())
    [path] = shop.lab.root.glob("wandb/offline-run-*/*.wandb")
    data = path.read_bytes()
    assert len(data) > 2 * BLOCK  # so that records are cut at the ends of blocks
    rows = wandb_rows(data)
    assert [row["val_r2"] for row in rows[:400]] == [0.001 * i for i in range(400)]
    assert [row["step"] for row in rows] == list(range(401))
    assert (rows[7]["count"], rows[7]["deep.a"], rows[7]["note"]) == (-7, 14, "x" * 200)
    assert math.isnan(rows[400]["val_r2"])
    evals = [event for event in read_events(job.events)[0] if event.kind == "eval"]
    assert [event.step for event in evals] == list(range(401)), job.metrics.read_text("utf-8")
    for end in range(0, len(data), 997):  # a file that is being written
        part = wandb_rows(data[:end])
        assert part == rows[: len(part)]


def test_two_lines_in_a_program_of_one_s_own(shop: Workshop) -> None:
    code = (
        "from vitlab.events import log\n"
        "for i in range(3): log({'train/loss': 1 / (i + 1), 'val/r2/log_g': 0.1 * i}, i, 3, i)"
    )
    job = shop.submit("", config={"argv": [sys.executable, "-c", code]})
    advance(shop.lab)
    assert ended(job).outcome == "ok"
    events, _ = read_events(job.events)
    assert [event.kind for event in events] == ["start", *["step", "eval"] * 3]
    assert (events[5].step, events[5].data["of"]) == (2, 3)
    assert events[5].values == {"train/loss": 1 / 3}
    assert read_result(job.result) is not None


def test_outside_a_job_and_in_other_ranks_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log({"train/loss": 1.0}, 1)
    monkeypatch.setenv("VITLAB_JOB", str(tmp_path))
    monkeypatch.setenv("RANK", "1")
    log({"train/loss": 1.0}, 1)
    assert list(tmp_path.iterdir()) == []
