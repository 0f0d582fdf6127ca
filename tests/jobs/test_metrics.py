"""Programs that do not know us: their numbers become events and a result."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest

from tests.jobs.conftest import Workshop, ended
from vitlab.contract.events import read_events
from vitlab.contract.paths import UsageError
from vitlab.contract.result import read_result
from vitlab.jobs.experiment import load_experiment
from vitlab.jobs.launch import advance
from vitlab.jobs.metrics import Follower, Source, read_rows, told

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


def test_a_program_as_it_is(shop: Workshop) -> None:
    extra = {"metrics": {"file": "lightning_logs/version_*/metrics.csv", "names": NAMES}}
    config = {"argv": [sys.executable, "-c", LIGHTNING]}
    job = shop.submit("", config=config, extra=extra, run="swin")
    advance(shop.lab)
    assert ended(job).outcome == "ok"
    events, _ = read_events(job.events)
    assert [(event.kind, event.step) for event in events] == [
        ("step", 0), ("eval", 0), ("step", 1), ("eval", 1), ("step", 2), ("eval", 2), ("eval", 3),
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
    assert len(read_events(job.events)[0]) == 1
    assert read_result(job.result) is None


def test_rows_are_told_once_and_an_earlier_run_s_never(tmp_path: Path) -> None:
    path, events = tmp_path / "m.csv", tmp_path / "events.jsonl"
    path.write_text("step,val_r2\n1,0.1\n")
    follower = Follower(Source("m.csv", NAMES), tmp_path, events)
    follower.poll()
    with path.open("a") as file:
        file.write("2,0.2\n3,0.")
    follower.poll()
    follower.poll()
    with path.open("a") as file:
        file.write("3\n")
    follower.poll()
    assert [(e.step, e.values["val/r2/log_g"]) for e in read_events(events)[0]] == [
        (2, 0.2),
        (3, 0.3),
    ]


def test_empty_cells_words_and_nan(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("step,val_r2,train_loss,other\nx,,nan,word\n5,oops,1.5,\n")
    [first, second] = list(told(enumerate(read_rows(path)), Source("m.csv", NAMES)))
    assert first[0] == "step"
    assert first[1]["step"] == 0
    assert math.isnan(first[1]["values"]["train/loss"])
    assert second == ("step", {"step": 5, "values": {"train/loss": 1.5}})
    path = tmp_path / "m.jsonl"
    path.write_text('{"step": 1, "val_r2": true}\nbroken\n[1]\n{"val_r2": 0.5, "epoch": 2}\n')
    [only] = list(told(enumerate(read_rows(path)), Source("m.jsonl", NAMES)))
    values = {"val/r2/log_g": 0.5}
    assert only == ("eval", {"step": 1, "epoch": 2.0, "split": "val", "values": values})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("metrics: {file: /etc/passwd, names: {a: val/r2/log_g}}", "must be a path below"),
        ("metrics: {file: m.csv, names: {a: r2}}", "metrics.names.a: 'r2' is no name"),
        ("metrics: {file: m.csv}", "metrics.names: must map their names to ours"),
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
