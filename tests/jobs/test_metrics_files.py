"""Metrics files of all kinds: what is read, what is told of the rest, what is read anew."""

from __future__ import annotations

import gzip
import json
import math
import os
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from tests.jobs.metric_files import (
    NAMES,
    Clock,
    double,
    field,
    read,
    short,
    single,
    source,
    tfevents,
    values,
    wandb_file,
    wandb_piece,
)
from vitlab.contract.reading import parse
from vitlab.jobs.metrics.files import FileFollower
from vitlab.jobs.metrics.formats.decoder import number
from vitlab.jobs.metrics.log import Scales

R2 = "val/r2/log_g"
FOUR = [(i, float(i), {R2: x}) for i, x in enumerate((0.0, 0.2, 0.4, 0.6))]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("m.csv", b"epoch,val_r2\n0,0.0\n1,0.2\n2,0.4\n3,0.6\n"),
        ("LOG.CSV", b"epoch,val_r2\r\n0,0.0\r\n1,0.2\r\n2,0.4\r\n3,0.6"),
        ("m.csv", b"epoch,val_r2\r0,0.0\r1,0.2\r2,0.4\r3,0.6\r"),
        ("m.csv", b"Epoch,val_r2\n0,0.0\n1,0.2\nEPOCH,val_r2\n2,0.4\n3,0.6\n"),
        ("m.tsv", b"epoch\tval_r2\n0\t0.0\n1\t0.2\n2\t0.4\n3\t0.6\n"),
        ("m.txt", b"# run of today\n\nepoch;val_r2\n0;0.0\n1;0.2\n2;0.4\n3;0.6\n"),
        ("m.csv", b"epoch;val_r2\n0;0,0\n1;2,0e-1\n2;\"0,4\"\n3; 0,600\n"),
        ("m.dat", b"# epoch  val_r2\n0 0.0\n 1  0.2\n2   0.4 \n3 0.6\n"),
        ("m.txt", b'"epoch" "val_r2"\n"1" 0 0.0\n"2" 1 0.2\n"3" 2 0.4\n"4" 3 0.6\n'),  # of R
        ("m.tsv", b'"epoch"\t"val_r2"\n"1"\t0\t0.0\n"2"\t1\t.2\n"3"\t2\t.4\n"4"\t3\t.6\n'),
        ("m.txt", b"   epoch  val_r2\n0      0     0.0\n1      1     0.2\n2      2     0.4\n"
                  b"3      3     0.6\n"),
        ("m.csv", b"   epoch,   val_r2\n 0,  0.0\n 1,  0.2\n 2,  0.4\n 3,  0.6\n"),
        ("m.csv", b"\xef\xbb\xbfval_r2,epoch\r\n0.0,0\r\n0.2,1\r\n0.4,2\r\n0.6,3\r\n"),
        ("m.csv", "val_r2,epoch\r\n0,0\r\n0.2,1\r\n0.4,2\r\n0.6,3\r\n".encode("utf-16")),
        ("m.csv", "val_r2,epoch\n0,0\n0.2,1\n0.4,2\n0.6,3\n".encode("utf-16-be")),
        ("m.csv", "损失,epoch,val_r2\n1,0,0\n1,1,.2\n1,2,.4\n1,3,.6\n".encode("gbk")),
        ("m.csv", b'"epoch","a, b","val_r2"\n0,"x, y",0\n1,"x\n2,y",0.2\n2,,0.4\n3,"",0.6\n'),
        ("m.csv", b"epoch,val_r2\n0,tensor(0.)\n1,tensor([0.2], device='cuda:0')\n"
                  b"2,np.float32(0.4)\n3,\"tensor(0.6, grad_fn=<MeanBackward0>)\"\n"),
        ("m.csv", b"epoch,val_r2\n0,0.0\n1,0.2\nval_r2,lr,epoch\n0.4,0.1,2\n0.6,0.1,3\n"),
        ("m.csv", b"epoch,val_r2\n0,0.0\n1,0.2\n1,0.2,0.9\n0.7\n2,0.4\n3,0.6\n"),
        ("m.csv", b"epoch,val_r2,train_loss\n0,0.0,\n1,0.2,None\n2,0.4,\n3,0.6,\n"),
        ("m.jsonl", b'{"epoch": 0, "val_r2": 0}\nbroken\n{"epoch": 1, "val_r2": 0.2}\n'
                    b'[1]\n{"epoch": 2, "val_r2": "0.4"}\n{"epoch": 3, "val_r2": 0.6}'),
        ("m.json", json.dumps([{"epoch": i, "val_r2": 0.2 * i} for i in range(3)]
                              + [{"epoch": 3, "val_r2": 0.6}]).encode()),
        ("h.json", b'{"epoch": [0, 1, 2, 3], "val_r2": [0.0, 0.2, 0.4, 0.6]}'),
        ("h.json", b'{"epoch": [0, 1, 2, 3], "val_r2": [0.0, 0.2, 0.4, 0.6], "size": [9, 9]}'),
        ("h.json", b'{"epoch": {"0": 0, "1": 1, "2": 2, "3": 3}, '
                   b'"val_r2": {"0": 0.0, "1": 0.2, "2": 0.4, "3": 0.6}}'),
        ("m.txt", b"{'epoch': 0, 'val_r2': 0.0, 'best': True}\n"
                  b"{'epoch': 1, 'val_r2': tensor(0.2)}\n"
                  b"{'epoch': 2, 'val_r2': np.float64(0.4), 'lr': None}\n"
                  b"{'epoch': 3, 'val_r2': tensor([0.6], device='cuda:0'), 'x': nan}\n"),
        ("h.json", b'{"epoch_0": {"val_r2": 0.0}, "epoch_1": {"val_r2": 0.2}, '
                   b'"epoch_2": {"val_r2": 0.4}, "epoch_3": {"val_r2": 0.6}}'),
        ("m.csv", b"# val_r2 of today, lr=0.1\nepoch,val_r2\n0,0.0\n1,0.2\n2,0.4\n3,0.6\n"),
        ("m.csv", b"epoch,val_r2\n0,0.0,\n1,0.2,\n2,0.4,\n3,0.6,\n"),
        ("m.csv", b"'epoch','val_r2'\n'0','0.0'\n'1','0.2'\n'2','0.4'\n'3','0.6'\n"),
        ("m.csv", b"epoch,val_r2\n0,0.0\n1,0.2\n2,0.4\n3,0.6\nmean,0.3\nstd,0.22\n"),
        ("m.csv", b"event,epoch,val_r2\n,0,0.0\n,1,0.2\nlr drop,2,0.4\nbest,3,0.6\n"),
        ("m.csv", b",epoch,val_r2\n,0,0.0\n,1,0.2\n,2,0.4\n,3,0.6\nmean,1.5,0.3\nstd,1,0.2\n"),
        ("m.log", b"begins\n" + b"".join(b'10:0%d INFO valid | {"epoch": %d, "val_r2": "0.%d"}\n'
                                         % (i, i, 2 * i) for i in range(4))),
        ("m.json", b"".join(b'{\n "epoch": %d,\n "val_r2": [0.%d]\n}\n' % (i, 2 * i)
                            for i in range(4))),
        ("m.json", b"[" + b",\n".join(b'{"epoch": %d, "val_r2": 0.%d}' % (i, 2 * i)
                                     for i in range(4)) + b',\n{"epoch": 4, "va'),
        ("m.wandb", wandb_file(*({"epoch": i, "val_r2": x} for i, x in
                                 enumerate((0.0, 0.2, 0.4, 0.6))))),
    ],
)  # fmt: skip
def test_a_table_however_it_is_written(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    assert read(path) == FOUR
    part = FileFollower(source(), path)
    assert short(part.poll()) + short(part.poll(last=True)) == FOUR


@pytest.mark.parametrize(
    ("theirs", "text", "found"),
    [
        ("r2", "epoch,phase,r2\n0,val,.5\n0,train,.9\n1,val,.6\n1,train,.9\n", [0.5, 0.6]),
        ("r2", "Stage,r2\nValidation,.6\nTesting,.9\n验证集,.7\n训练集,.9\n", [0.6, 0.7]),
        ("r2", "subset,r2\ntrain,.9\nval,.6\ntest,.8\n", [0.6]),
        ("r2", '{"mode": "val", "r2": 0.6}\n{"mode": "test", "r2": 0.9}\n', [0.6]),
        ("r2", '{"mode": "train_eval", "r2": 0.9}\n{"mode": "eval", "r2": 0.6}\n', [0.6]),
        ("r2", "epoch,label,r2\n0,log_g,.6\n0,T_eff,.9\n0,[Fe/H],.9\n", [0.6]),
        ("value", "metric,value\nval_r2,.6\ntrain_r2,.9\nval_mae,.1\nlr,.01\n", [0.6]),
        ("value", "metric,value\nval_r2_logg,.6\nval_r2_teff,.3\nval_r2,.2\n", [0.6]),
        ("value", "metric,value\nmetrics/val_r2,.5\nmetrics/val_r2,.6\n", [0.5, 0.6]),
        ("r2", "label,r2\nlogg (dex),.6\nTeff (K),.5\nvsini (km/s),.4\nmean,.3\n", [0.6]),
        ("r2", '{"target": "log_g", "lr": 0.1}\n{"epoch": 0, "r2": 0.6}\n', [0.6]),
        ("r2", "label,r2\nsurface gravity,.6\nEffective temperature,.5\n", [0.6]),
        ("r2", "label,r2\nlogg_pred,.6\nteff_pred,.5\n", [0.6]),
        ("r2", ",r2\nlog_g,.6\nT_eff,.9\n", [0.6]),  # as pandas writes its index
        ("r2", ",r2\nval,.6\ntrain,.9\n", [0.6]),
        ("r2", "| | r2 |\n|---|---|\n| log_g | .6 |\n| T_eff | .9 |\n", [0.6]),
        ("r2", "name,r2\nlog_g,.6\nT_eff,.9\n", [0.6]),
        ("r2", '[{"name": "log_g", "r2": 0.6}, {"name": "T_eff", "r2": 0.9}]', [0.6]),
        ("r2", "epoch,loop,r2\n0,validation,.6\n0,training,.9\n", [0.6]),
        ("r2", "epoch,stage,r2\n0,validate,.6\n0,fit,.9\n", [0.6]),
        ("r2", "epoch,is_train,r2\n0,False,.6\n0,True,.9\n", [0.6]),
        ("r2", '{"training": 0, "r2": 0.6}\n{"training": 1, "r2": 0.9}\n', [0.6]),
        ("val_r2", "phase,val_r2\ntrain,.6\n", [0.6]),  # its name says it
        ("r2", "+---+----+\n| label | r2 |\n+---+----+\n| log_g | .6 |\n+---+----+\n", [0.6]),
        ("r2", "+---+--+\n|epoch|r2|\n+---+--+\n|0 | .5 |\n|1 | .6 |\n+---+--+\n", [0.5, 0.6]),
        ("r2", "epoch,mode,name,r2\n0,min,test,.5\n1,auto,train 1,.6\n", [0.5, 0.6]),
    ],
)
def test_a_row_that_says_it_is_of_another_value_is_left_out(
    tmp_path: Path, theirs: str, text: str, found: list[float]
) -> None:
    path = tmp_path / "m.csv"
    path.write_text(text)
    follower = FileFollower(source({theirs: R2}), path)
    assert values(follower, last=True) == found
    assert (follower.status["note"], follower.status["unknown"]) == ("", [])


@pytest.mark.parametrize("by_row", [True, False])
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize(
    ("ours", "other", "last"),
    [("val", "train", 0.62), ("log_g", "T_eff", 0.62), ("val_loader", "train_loader", 0.62),
     ("val", "val", 0.92), ("warm", "main", 0.92), ("val", "ok", 0.92)],
)  # fmt: skip
def test_cells_that_name_splits_or_labels_say_of_what_a_row_is(
    tmp_path: Path, kind: str, ours: str, other: str, last: float, by_row: bool
) -> None:
    path, clock = tmp_path / "m", Clock()
    follower = FileFollower(source({"r2": R2}), path)
    rows = [(epoch, *row) for epoch in range(3) for row in ((ours, 0.6), (other, 0.9))]
    lines = [
        f"{epoch},{word},{r2 + epoch / 100:.2f}\n"
        if kind == "csv"
        else json.dumps({"epoch": epoch, "which": word, "r2": round(r2 + epoch / 100, 2)}) + "\n"
        for epoch, word, r2 in rows
    ]
    clock.write(path, b"epoch,which,r2\n" if kind == "csv" else b"")
    found = []
    for part in lines if by_row else ["".join(lines)]:
        clock.write(path, part.encode(), append=True)
        found += values(follower)
        follower = FileFollower(source({"r2": R2}), path, json.loads(json.dumps(follower.cursor)))
    assert found[-1] == last


def test_what_a_model_was_made_with_is_not_of_what_a_row_is(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("trained_on,r2,epoch\nT_eff,.5,1\nlog_g,.6,2\nT_eff,.7,3\n")
    assert values(FileFollower(source({"r2": R2}), path), last=True)[-1] == 0.7


def test_a_value_of_which_no_row_is_is_told(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("epoch,phase,r2\n0,train,.8\n0,test,.9\n")
    follower = FileFollower(source({"r2": R2}), path)
    assert values(follower) == []
    again = FileFollower(source({"r2": R2}), path, follower.cursor)
    assert values(again, last=True) == []
    assert again.status["note"] == "r2: rows of train, test alone, none of val"


def test_a_comma_that_may_part_thousands_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    for text in ("epoch;val_r2\n0;0,5\n1;-1,500\n", "epoch\tval_r2\n0\t0.5\n1\t-1,500\n"):
        path.write_text(text)
        follower = FileFollower(source(), path)
        assert values(follower, last=True) == [0.5]
        assert follower.status["note"] == "val_r2: 1 cells are not numbers, like '-1,500'"
        assert follower.status["unknown"] == ["val_r2"]


def test_a_point_beside_a_decimal_comma_may_part_thousands(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("step;val_r2;mae\n1.000;0,5;1.5\n2.000;0,6;1.500\n")
    follower = FileFollower(source({"val_r2": R2, "mae": "val/mae/log_g"}), path)
    assert short(follower.poll(last=True)) == [
        (0, None, {R2: 0.5, "val/mae/log_g": 1.5}),
        (1, None, {R2: 0.6}),
    ]
    note = follower.status["note"]
    assert "mae: 1 cells are not numbers, like '1.500 or thousands?'" in note
    assert "step" in note


def test_nested_rows_and_a_trainer_s_state(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"epoch": 1, "val": {"r2": {"log_g": 0.5}}}\n{"val/r2.log_g": 0.6}\n')
    for theirs in ("val.r2.log_g", "val/r2/log_g"):
        found = read(path, source({theirs: R2}))
        assert [x[R2] for *_, x in found] == [0.5, 0.6]
    path = tmp_path / "trainer_state.json"
    history = [{"epoch": 0.5, "loss": 1.0, "step": 5}, {"epoch": 1.0, "eval_r2": 0.2, "step": 10}]
    path.write_text(json.dumps({"epoch": 1.0, "log_history": history, "stateful": []}, indent=2))
    found = read(path, source({"eval_r2": R2, "loss": "train/loss"}))
    assert found == [(5, 0.5, {"train/loss": 1.0}), (10, 1.0, {R2: 0.2})]


def test_the_elements_of_a_list_are_named_by_their_places(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text('{"epoch": 1, "test_bbox": [0.5, 0.1]}\n{"epoch": 2, "test_bbox": [0.6, 0.2]}')
    found = read(path, source({"test_bbox.0": R2}))
    assert found == [(1, 1.0, {R2: 0.5}), (2, 2.0, {R2: 0.6})]


def test_a_python_array_is_no_number(tmp_path: Path) -> None:
    path = tmp_path / "m.txt"
    path.write_text("{'epoch': 0, 'val_r2': 0.5}\n{'epoch': 1, 'val_r2': array([0.1, 0.2])}\n")
    follower = FileFollower(source(), path)
    assert values(follower, last=True) == [0.5]
    assert follower.status["unknown"] == ["val_r2"]


def test_rows_by_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    epochs = [f"epoch_{i}" for i in range(3)]
    unordered = [f"epoch_{i}" for i in (0, 10, 9)]  # sort_keys=True
    for keys, found in (
        (epochs, [0.0, 0.3, 0.6]),
        (unordered, [0.0, 0.6, 0.3]),
        ("345", []),
        (("fold1", "fold2"), []),
    ):
        path.write_text(json.dumps({key: {"val_r2": 0.3 * i} for i, key in enumerate(keys)}))
        assert [x[R2] for *_, x in read(path)] == found
    for own, found in (((1, 2), [0.0, 0.3]), ((9, 7), []), ((9, 9), []), ((), [])):
        rows = {str(i): {"val_r2": 0.3 * i} for i in range(2)}  # may be folds, and their best epoch
        for row, at in zip(rows.values(), own, strict=False):
            row["round"] = at
        path.write_text(json.dumps(rows))
        assert [x[R2] for *_, x in read(path, replace(source(), epoch="round"))] == found


@pytest.mark.parametrize(
    ("document", "test"),
    [
        ({"val_r2": [0.1, 0.8], "loss": [2, 1], "test_r2": 0.79}, "test_r2"),
        ({"val_r2": [0.1, 0.8], "test_r2": [0.79]}, "test_r2"),
        ({"history": [{"val_r2": 0.1}, {"val_r2": 0.8}], "test_r2": 0.79}, "test_r2"),
        ({"epoch_1": {"val_r2": 0.1}, "epoch_2": {"val_r2": 0.8}, "test": {"r2": 0.79}}, "test.r2"),
    ],
)
def test_a_score_of_the_end_beside_the_epochs(
    document: dict[str, object], test: str, tmp_path: Path
) -> None:
    path = tmp_path / "history.json"
    path.write_text(json.dumps(document))
    ours = {"val_r2": R2, test: "test/r2/log_g"}
    assert [x for *_, x in read(path, source(ours))] == [
        {R2: 0.1}, {R2: 0.8}, {"test/r2/log_g": 0.79}]  # fmt: skip
    if test == "test_r2" and "history" not in document:  # a history of the test set is no score
        path.write_text('{"val_r2": [0.6], "test_r2": [0.5, 0.4, 0.3]}')
        assert [x for *_, x in read(path, source(ours))] == [{R2: 0.6}]
    path.write_text(json.dumps({**document, "val_r2": 0.7, test: 0.79}))  # of all, not of an epoch
    assert [x for *_, x in read(path, source(ours))] == [
        {R2: 0.7}, {"test/r2/log_g": 0.79}]  # fmt: skip


def test_columns_within_objects(tmp_path: Path) -> None:
    path = tmp_path / "evals.json"
    path.write_text('{"valid_0": {"r2": [0.1, 0.2], "l2": [2, 1]}, "params": {"size": [9, 9, 9]}}')
    for theirs in ("valid_0.r2", "valid_0/r2"):
        found = read(path, source({theirs: R2, "valid_0.l2": "val/mse/log_g"}))
        assert found == [(0, None, {R2: 0.1, "val/mse/log_g": 2.0}),
                         (1, None, {R2: 0.2, "val/mse/log_g": 1.0})]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("epoch,val_r2\n0,0.1\n1,0.2,0.01\n", "2,0.3\n"),  # a column more, and no header
        ("epoch,lr,val_r2\n0,1,0.1\n1,0.2\n", "2,1,0.3\n"),
        ("time,val_r2\n10:00,0.1\n10:01,0.2,0.01\n", "10:02,0.3\n"),
        ("epoch,val_r2\n0,0.1\n1,0.val_r2,epoch\n0.2,1\n", "val_r2,epoch\n0.3,2\n"),
        ('{"epoch": 0, "val_r2": 0.1}\n{"epoch": 1, "val_r2": 0.\n', '{"val_r2": 0.3}\n'),
    ],
)
def test_no_value_before_a_row_that_cannot_be_read_is_the_last(
    tmp_path: Path, text: str, more: str
) -> None:
    path = tmp_path / "m.csv"
    for end, unknown in (("", ["val_r2"]), (more, []), (more + "Finished\n\0\0\0\n", [])):
        path.write_text(text + end)
        follower = FileFollower(source(), path)
        list(follower.poll())
        again = FileFollower(source(), path, follower.cursor)
        list(again.poll(last=True))
        assert again.status["unknown"] == unknown
        assert ("its last row cannot be read" in again.status["note"]) == bool(unknown)


LOGGED = "10:00:00 INFO train: {'epoch': %d, 'val_r2': %s}\n"


@pytest.mark.parametrize(
    ("text", "is_lost"),
    [
        (LOGGED % (0, 0.1) + LOGGED % (1, "0.2, 'best': PosixPath('a')"), True),
        (LOGGED % (0, 0.1) + (LOGGED % (1, 0.2))[:35], True),
        (LOGGED % (0, 0.1) + "INFO: Config {'metric': 'val_r2', 'device': <cpu>}\n", False),
        ('{"epoch": 0, "val_r2": 0.1}\n{"epoch": 1, "val_r2": 0.\n{"event": "end"}\n', True),
        ('{"val_r2": 0.1}\n{"val_r2": 0.2, "a": b}\ndone in 12 s\n', True),
        ('{"val_r2": 0.1}\n{"time": 3, "a": b}\ndone in 12 s\n', False),
        ("epoch,val_r2\n0,0.1\n1,0.2,0.01\n2,\n", True),
        ("epoch,val_r2\n0,0.1\n1,0.2,0.01\n2,\n3,0.3\n", False),
        ('[{"epoch": 0, "val_r2": 0.1},\n{"epoch": 1, "val_r2": 0.', True),
        ('[{"epoch": 0, "val_r2": 0.1},\n', False),
    ],
)
def test_what_is_lost_stays_so_until_it_comes_again(
    tmp_path: Path, text: str, is_lost: bool
) -> None:
    path = tmp_path / "train.log"
    path.write_text(text)
    follower = FileFollower(source(), path)
    list(follower.poll())
    again = FileFollower(source(), path, follower.cursor)
    list(again.poll(last=True))
    assert again.status["unknown"] == ["val_r2"] * is_lost


@pytest.mark.parametrize(
    ("rows", "cut", "is_doubted"),
    [
        ("0,0.713\n", "1,0.", True),
        ("0,0.71345\n1,0.7301\n", "2,0.7", True),
        ("0,1.25e-05\n1,3.1e-05\n", "2,1.2", True),
        ("0,0.713\n1,0.73\n", "2,0.7", False),  # a number of fewer digits, as `round` gives them
        ("0,6.5e-01\n1,6.4e-01\n", "2,6.512e-0", True),
        ("0,6.5e-01\n1,6.4e-01\n", "2,6.512e-1", False),
        ("0,0.713\n1,0.731\n", "2,0.745", False),
        ("0,\n1,0.731\n", "2,0.7", False),
    ],
)
def test_a_last_number_that_seems_cut_is_not_read(
    tmp_path: Path, rows: str, cut: str, is_doubted: bool
) -> None:
    path = tmp_path / "m.csv"
    for before in (rows + cut, rows):  # as a whole, and where it grew
        path.write_text("epoch,val_r2\n" + before)
        follower = FileFollower(source(), path)
        list(follower.poll())
        path.write_text("epoch,val_r2\n" + rows + cut)
        again = FileFollower(source(), path, follower.cursor)
        list(again.poll(last=True))
        assert again.status["unknown"] == ["val_r2"] * is_doubted
        assert ("its last row cannot be read" in again.status["note"]) == is_doubted


@pytest.mark.parametrize("step", ["1e300", "9" * 400, "-1e30", "1e18"])
def test_a_step_or_epoch_that_no_run_has_spoils_no_record(tmp_path: Path, step: str) -> None:
    rows = "".join(f"{i},{i},{0.1 * i}\n" for i in range(2000))
    (tmp_path / "m.csv").write_text(f"step,epoch,val_r2\n{rows}{step},{step},1e300\n")
    follower = FileFollower(source(epochs=5), tmp_path / "m.csv")
    list(follower.poll())
    parse(json.dumps(follower.cursor))
    again = FileFollower(source(epochs=5), tmp_path / "m.csv", follower.cursor)
    assert [value for *_, values in short(again.poll(last=True)) for value in values.values()][-1]


def test_a_last_cell_that_is_no_number_is_known_as_such(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    text = "epoch,val_r2\n1,0.5\n"
    for more, unknown in (("2,0.8*\n", ["val_r2"]), ("3,\n", ["val_r2"]), ("4,0.7\n", [])):
        path.write_text(text := text + more)
        follower = FileFollower(source(), path)
        list(follower.poll())
        assert follower.status["unknown"] == unknown
    growing = FileFollower(source(), path)
    for more, unknown in (("", []), ("5,bad\n", ["val_r2"]), ("6,0.6\n", [])):
        path.write_text(text := text + more)
        list(growing.poll())
        assert growing.status["unknown"] == unknown
        growing = FileFollower(source(), path, growing.cursor)


@pytest.mark.parametrize("word", ["1.#QNAN", "-1.#IND00", "-nan(ind)", "nan(snan)", "NaNQ", ".nan"])
def test_every_word_for_a_value_that_is_none(tmp_path: Path, word: str) -> None:
    path = tmp_path / "m.csv"
    path.write_text(f"epoch,val_r2\n1,0.5\n2,{word}\n")
    assert [str(x[R2]) for *_, x in read(path)] == ["0.5", "nan"]
    assert number("-1.#INF", []) == number("-.inf", []) == -math.inf


def test_a_trainer_s_state_in_each_checkpoint(tmp_path: Path) -> None:
    rows = [{"step": 5 * i, "val_r2": 0.1 * i} for i in range(9)]
    found = []
    before: FileFollower | None = None
    for count in (3, 6, 6, 9):
        path = tmp_path / f"{count}.json"
        path.write_text(json.dumps({"log_history": rows[:count]}, indent=2))
        follower = FileFollower(source(), path)
        if before:
            follower.know_rows_of(before)
        found.append(values(follower) + values(follower, last=True))
        before = follower
    assert found == [[0.1 * i for i in part] for part in ((0, 1, 2), (3, 4, 5), (), (6, 7, 8))]
    assert before is not None
    path.write_text(json.dumps({"log_history": [*rows[:4], {"step": 20, "val_r2": 9}]}))
    follower = FileFollower(source(), path)
    follower.know_rows_of(before)
    assert values(follower) == [9]


def test_tensorboard(tmp_path: Path) -> None:
    path = tmp_path / "events.out.tfevents.1.host"
    tag = field(1, b"val_r2")
    packed = field(8, field(1, 1) + field(5, b"\x00\x00\x00\x3f"))
    content = field(8, field(1, 2) + field(4, b"\0\0\0\0\0\0\xe8\x3f"))
    several = field(8, field(1, 1) + field(5, b"\x00\x00\x00\x3f" * 2))
    data = tfevents(
        (7, tag + single(2, 0.1)), (8, tag + packed), (9, tag + content), (10, tag + several),
        (11, field(1, b"image") + field(4, b"x" * 70_000)), (12, tag + single(2, math.nan)),
    )  # fmt: skip
    for end in (0, 20, len(data) - 1):
        path.write_bytes(data[:end])
        follower = FileFollower(source(), path)
        first = short(follower.poll())
        path.write_bytes(data)
        found = first + short(follower.poll()) + short(follower.poll(last=True))
        numbers = [(step, x[R2]) for step, _, x in found]
        assert numbers == [(7, 0.1), (8, 0.5), (9, 0.75), (12, "nan")]
    assert double(1, 0.5)[0] == 9


def test_a_number_too_large_and_nesting_too_deep_cost_their_record_alone(tmp_path: Path) -> None:
    large = b"".join(bytes([0x80 | (1 << 2000 >> i & 0x7F)]) for i in range(0, 2100, 7)) + b"\1"
    tensor = field(1, b"x") + field(8, field(1, 9) + field(10, large))
    path = tmp_path / "events.out.tfevents.1.host"
    tag = field(1, b"val_r2")
    path.write_bytes(tfevents((1, tag + single(2, 0.5)), (2, tensor), (3, tag + single(2, 0.75))))
    follower = FileFollower(source(), path)
    found = short(follower.poll()) + short(follower.poll(last=True))
    assert [(step, x[R2]) for step, _, x in found] == [(1, 0.5), (3, 0.75)]
    assert "1 rows cannot be read" in follower.status["note"]
    whole = wandb_file({"val_r2": 0.5}, {"val_r2": 0.75})
    item = field(1, field(1, b"val_r2") + field(16, b"[" * 5000))
    record = field(2, item)
    path = tmp_path / "run-abc.wandb"
    path.write_bytes(whole + wandb_piece(1, record))
    follower = FileFollower(source(), path)
    found = short(follower.poll()) + short(follower.poll(last=True))
    assert [x[R2] for _, _, x in found] == [0.5, 0.75]


def test_a_row_of_wandb_with_a_flipped_bit_is_not_read(tmp_path: Path) -> None:
    data = wandb_file({"val_r2": 0.5}, {"val_r2": 0.61}, {"val_r2": 0.75})
    path = tmp_path / "run-abc.wandb"
    path.write_bytes(data.replace(b"0.61", b"0.69"))
    follower = FileFollower(source(), path)
    assert [x[R2] for _, _, x in short(follower.poll(last=True))] == [0.5, 0.75]
    assert "1 rows cannot be read" in follower.status["note"]


def test_rows_that_are_made_to_take_long_take_no_longer(tmp_path: Path) -> None:
    """Long names of many nested cells, a record in many pieces, a cell of brackets and spaces."""
    nested = {"K" * 20_000: {f"a{i}": {"b": [i]} for i in range(20_000)}, "val_r2": 0.5, "step": 1}
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps({"val_r2": 0.1, "step": 0}) + "\n" + json.dumps(nested) + "\n")
    follower = FileFollower(source(), path)
    assert [x[R2] for _, _, x in short(follower.poll(last=True))] == [0.1, 0.5]
    data, left = bytearray(wandb_file({"val_r2": 0.5})), 0
    for i in range(200_000):
        left = 32_768 - len(data) % 32_768
        piece = b"x" * (min(left, 30_000) - 7 if i < 200 else 1)
        data += b"\0" * left if left < 8 else wandb_piece(3, piece)
    path = tmp_path / "run-abc.wandb"
    path.write_bytes(data)
    assert [x[R2] for _, _, x in short(FileFollower(source(), path).poll(last=True))] == [0.5]
    cell = "          " + "1e" * 20 + "] " * 100 + "!"
    path = tmp_path / "log.csv"
    path.write_text("step,val_r2\n0,0.5\n" + "".join(f"{i},{cell}\n" for i in range(1, 5000)))
    follower = FileFollower(source(), path)
    assert next(x[R2] for _, _, x in short(follower.poll(last=True))) == 0.5


def crc32c(data: bytes) -> int:
    """Bit by bit, by its definition (RFC 3720, B.4)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_a_scalar_of_tensorboard_with_a_flipped_bit_is_not_read(tmp_path: Path) -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the standard's own example
    data = tfevents()
    for step, r2 in enumerate((0.5, 0.61, 0.75)):
        event = tfevents((step, field(1, b"val_r2") + single(2, r2)))[len(tfevents()) : -4]
        crc = crc32c(event[12:])
        masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
        data += event + struct.pack("<I", masked)
    path = tmp_path / "events.out.tfevents.1.host"
    path.write_bytes(data)
    follower = FileFollower(source(), path)
    assert [x[R2] for _, _, x in short(follower.poll(last=True))] == [0.5, 0.61, 0.75]
    path.write_bytes(data.replace(struct.pack("<f", 0.61), struct.pack("<f", 0.69)))
    follower = FileFollower(source(), path)
    assert [x[R2] for _, _, x in short(follower.poll(last=True))] == [0.5, 0.75]
    assert "1 rows cannot be read" in follower.status["note"]


@pytest.mark.parametrize("end", ["damaged", "cut"])
def test_no_value_before_a_record_that_hides_the_rest_is_the_last(end: str, tmp_path: Path) -> None:
    tag = field(1, b"val_r2")
    good = tfevents((1, tag + single(2, 0.4)))
    [more] = [tfevents((2, tag + single(2, 0.75)))[len(tfevents()) :]]
    rest = struct.pack("<QI", 1 << 63, 0) + more if end == "damaged" else more[:-6]
    path = tmp_path / "events.out.tfevents.1.host"
    path.write_bytes(good + rest)
    follower = FileFollower(source(), path)
    assert [x[R2] for _, _, x in short(follower.poll(last=True))] == [0.4]
    assert follower.status["unknown"] == ["val_r2"]
    assert "no value before it counts as the last" in follower.status["note"]
    path.write_bytes(good + more)
    follower = FileFollower(source(), path)
    assert [x[R2] for _, _, x in short(follower.poll(last=True))] == [0.4, 0.75]
    assert not follower.status["unknown"]


@pytest.mark.parametrize("damage", [b"\0" * 40, struct.pack("<IHB", 0, 4, 9) + b"xxxx"])
def test_a_wandb_file_goes_on_behind_a_damaged_block(damage: bytes, tmp_path: Path) -> None:
    rows = [{"val_r2": 0.001 * i, "note": 1e9} for i in range(2000)]
    data = wandb_file(*rows)
    at = 40_000
    assert len(data) > 3 * 32_768
    whole = data[:at] + damage + data[at + len(damage) :]
    path = tmp_path / "run-abc.wandb"
    path.write_bytes(whole)
    follower = FileFollower(source(), path)
    found = [x[R2] for _, _, x in short(follower.poll(last=True))]
    assert found[-1] == 1.999
    assert 1000 < len(found) < 2000
    assert "rows cannot be read" in follower.status["note"]
    assert not follower.status["unknown"]
    path.write_bytes(whole[:50_000])
    follower = FileFollower(source(), path)
    assert short(follower.poll(last=True))
    assert follower.status["unknown"] == ["val_r2"]


def test_a_wandb_run_is_known_by_its_file(tmp_path: Path) -> None:
    path = tmp_path / "offline-run-1" / "run-abc.wandb"
    path.parent.mkdir()
    rows = [{"val_r2": 0.001 * i, "epoch": i, "note": 1e9} for i in range(1000)]
    data = wandb_file(*rows, run={1: "abc", 2: "me", 3: "stars", 8: "swin"})
    assert len(data) > 2 * 32_768
    follower, found = FileFollower(source(), path), []
    for end in (0, 5, 40_000, 65_530, len(data)):
        path.write_bytes(data[:end])
        found += short(follower.poll())
    assert found == [(i, float(i), {R2: 0.001 * i}) for i in range(1000)]
    assert follower.wandb == {"id": "abc", "entity": "me", "project": "stars", "name": "swin",
                              "folder": str(path.parent)}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "is_unknown"),
    [
        ("fold,val_r2\n0,0.69\n1,0.71\n2,0.29\nmean,0.563\n", True),
        ("seed,val_r2\n0,0.69\n1,0.71\n", True),
        ("part,val_r2\n0,0.69\n1,0.71\nmean,0.7\n", True),
        ("fold,epoch,val_r2\n0,1,0.69\n0,2,0.71\n", False),
        ("epoch,val_r2\n0,0.69\n1,0.71\nmean,0.7\n", False),
        ("name,val_r2\n0,0.69\n1,0.71\n", False),
        ("seed,val_r2\n42,0.93\n", False),
        ("split,val_r2\ntrain,0.9\nval,0.7\n", False),
    ],
)
def test_the_last_of_several_folds_is_no_result(
    text: str, is_unknown: bool, tmp_path: Path
) -> None:
    path = tmp_path / "m.csv"
    path.write_text(text)
    follower = FileFollower(source(), path)
    list(follower.poll(last=True))
    assert follower.status["unknown"] == ["val_r2"] * is_unknown
    assert ("rows are parts of a whole" in follower.status["note"]) == is_unknown


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("snr,val_r2,n\nall,.7,9\n5,.2,3\n50,.9,4\n", "snr"),
        ("model,val_r2\nvit_1m,.8\nridge,.3\n", "model"),
        ("name,val_r2\nvit,.8\nridge,.3\n", "name"),
        ("epoch,model,val_r2\n0,student,.8\n0,teacher,.9\n1,student,.8\n", "model"),
        ("epoch,checkpoint,val_r2\n9,best,.8\n9,last,.7\n", "checkpoint"),
        ("dataset,val_r2\nval,.7\nval_ood,.3\n", "dataset"),
        (",val_r2\nvit,.8\nridge,.3\n", "index"),
        ("| | val_r2 |\n|---|---|\n| vit | .8 |\n| ridge | .3 |\n", "index"),
        ('[{"name": "vit", "val_r2": 0.8}, {"name": "ridge", "val_r2": 0.3}]', "name"),
        ("epoch,rank,val_r2\n0,0,.8\n0,1,.9\n", "rank"),
        (",val_r2\n0,.7\n1,.8\n", ""),
        ("fold,epoch,val_r2\n0,0,.7\n0,1,.8\n1,0,.3\n", "fold"),
        ("snr_bin,n,val_r2\n0-5,9,.2\n5-10,9,.9\n", "snr_bin"),
        ("mag_lo,mag_hi,val_r2\n20,21,.8\n21,22,.3\n", "mag_lo"),
        ("at,val_r2\n<5,.2\n>5,.9\n", "at"),
        ("at,val_r2\n11-30,.2\n12-01,.9\n", ""),  # days
        ('{"mag": 20, "val_r2": 0.8}\n{"mag": 22, "val_r2": 0.3}\n', "mag"),
        ('{"mag": [20, 22], "val_r2": [0.8, 0.3]}', "mag"),
        ('{"models": ["vit", "ridge"], "val_r2": [0.8, 0.3]}', "models"),
        (
            '{"model_name": "vit", "val_r2": 0.8}\n{"model_name": "mlp", "val_r2": 0.7}\n',
            "model_name",
        ),
        ("epoch,model,val_r2\n0,vit,.7\n1,vit,.8\n", ""),
        ("iteration,checkpoint,val_r2\n0,a.pt,.7\n1,b.pt,.8\n", ""),
        (
            '{"epoch": 0, "phase": "warm", "val_r2": 0.7}\n'
            '{"epoch": 1, "phase": "main", "val_r2": 0.8}\n',
            "",
        ),
        ("epoch,dataset,val_r2\n0,sim,.7\n1,desi,.8\n", ""),
        ("epoch,phase,val_r2\n0,train,\n0,val,.8\n1,train,\n1,val,.9\n", ""),
        ("teff_min,teff_max,val_r2\n4000,4500,.5\n4500,5000,.8\n", "teff_min"),
        ("alpha,val_r2\n.1,.5\n1,.8\n", "alpha"),
        ("lr,val_r2\n.1,.5\n.01,.8\n", ""),  # or of one training, whose rate falls
        ("val_mae,val_r2,lr\n.3,.7,.1\n.2,.8,.01\n", ""),
        ("ep,layers,val_r2\n1,2,.7\n2,4,.8\n", ""),
        ('{"val_r2": 0.7, "lr": 0.1}\n{"val_r2": 0.8, "lr": 0.01}\n', ""),
        ("patch_size,train_loss,val_r2\n8,.2,.5\n16,.1,.8\n", "patch_size"),
        ("number,val_r2,params_lr\n0,.5,.1\n1,.8,.01\n", "number, params_lr"),
        (
            '[{"config.depth": 2, "val_r2": 0.5}, {"config.depth": 4, "val_r2": 0.8}]',
            "config.depth",
        ),
        ("lr,train_loss,val_r2\n.1,.5,.7\n.05,.4,.8\n", ""),  # of one training over time
        ("it,lr,val_r2\n100,.1,.7\n200,.05,.8\n", ""),
        ("alpha,val_mae,val_r2\n.1,.3,.7\n.01,.2,.8\n", "alpha"),
        ("depth,val_r2\n4,.7\n4,.8\n", ""),
        ("step,lr,val_r2\n1,.1,.7\n2,.05,.8\n", ""),
        ("train_r2,alpha,val_r2\n.5,.1,.7\n.6,.2,.8\n", ""),
        ("is_best,val_r2\nTrue,.7\nFalse,.8\n", ""),
        ("ema,val_r2\nTrue,.7\nFalse,.8\n", "ema"),
        ("status,val_r2\nwarmup,.7\nok,.8\n", ""),
        ("train_loss,val_r2\n.5,.7\n.4,.8\n", ""),
        ("date,val_r2\n2026-01-02,.7\n2026-01-03,.8\n", ""),
        ("model,val_r2\nvit,.8\n", ""),
        ("epoch,backbone,val_r2\n0,raw,.7\n1,raw,.8\n1,ema,.9\n", "backbone"),
        # Models at their best epochs.
        ("model,epoch,val_r2\nvit_1m,5,.8\nvit_10m,10,.9\n", "model"),
        ("run_name,epoch,val_r2\na,37,.8\nb,52,.9\nc,60,.3\n", "run_name"),
        (
            '[{"tech": "vit16", "epoch": 9, "val_r2": 0.8},'
            ' {"tech": "swin", "epoch": 3, "val_r2": 0.3}]',
            "tech",
        ),
        ("epoch,worst_star,val_r2\n0,HD1,.7\n5,HD2,.75\n10,HD3,.8\n12,HD9,.9\n", ""),
        ("epoch,rank,val_r2\n0,12.1,.7\n5,14.5,.75\n10,17,.8\n12,18,.9\n", ""),
        ("epoch,quality,val_r2\n3,low,.7\n9,high,.75\n", ""),
        ("epoch,backbone,val_r2\n0,frozen,.7\n1,frozen,.7\n0,unfrozen,.75\n", ""),
        ("epoch,model,val_r2\n1,vit_0.712,.7\n3,vit_0.75,.8\n", ""),
        ("epoch,model,val_r2\n1,vit_20261130_1010,.7\n3,vit_20261130_1034,.8\n", ""),
        ("epoch,method,val_r2\n0,adam,.7\n1,lbfgs,.75\n", ""),
        ("epoch,training_stage,val_r2\n0,first,.7\n0,second,.75\n", ""),
        ("phase,epoch,val_r2\npretrain,0,.7\npretrain,1,.7\nfinetune,0,.7\nfinetune,1,.75\n", ""),
        ("epoch,model,val_r2\n0,model_1,.7\n1,model_2,.8\n", ""),
        ("epoch,saved,val_r2\n1,best_1.pt,.7\n2,best_2.pt,.8\n9,best_9.pt,.9\n", ""),
        ("epoch,note,val_r2\n1,first,.7\n2,better,.8\n9,more,.9\n", ""),
        ("epoch,why,val_r2\n1,first,.7\n2,,.8\n9,more,.9\n", ""),
        ("epoch,regime,val_r2\n5,warm,.7\n10,main,.8\n15,cool,.9\n", ""),
        ("epoch,took,val_r2\n1,1m3s,.7\n2,59s,.8\n9,1:03,.9\n", ""),
    ],
)
def test_the_last_row_of_several_things_is_no_result(
    text: str, column: str, tmp_path: Path
) -> None:
    path = tmp_path / "m.csv"
    path.write_text(text)
    follower = FileFollower(source(), path)
    list(follower.poll())
    again = FileFollower(source(), path, json.loads(json.dumps(follower.cursor)))
    list(again.poll(last=True))
    assert again.status["unknown"] == ["val_r2"] * bool(column)
    told = f"val_r2: rows differ in {column}: the last one is no result"
    assert (told in again.status["note"]) == bool(column)


@pytest.mark.parametrize("column", ["regimen", "优化器"])
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize(
    ("rows", "is_several"),
    [
        ("0vit 0swin", True),
        ("0vit 0swin 1vit 1swin 2vit 2swin 3swin 4swin 5swin", True),
        ("0- 1vit 1swin 2vit 2swin 3vit 3swin", True),
        ("0vit 1vit 2vit 0swin 1swin 2swin 3swin", False),  # stages, or resumed from the start
        ("0morning 0evening 1evening", False),
        ("0raw 1raw 2raw 2ema 3raw 3ema 4raw 4ema", True),
        ("0vit 1vit 2vit", False),
        ("0vit 1vit 2vit 0vit 1vit", False),
        ("0warm 1warm 2main 3main", False),
        ("0warm 0warm 1warm 1main 2main 2main", False),
        ("0n3 1n3 2n3 3n3 3n7 4n7", False),  # resumed on another host
        ("0n3 1n3 2n3 3n3 1n7 2n7 3n7 4n7", False),
        ("0mid 0end 1mid 1end", False),
        ("0True 0False 1True 1False", False),
    ],
)
def test_words_of_any_column_tell_trainings_apart_within_an_epoch(
    tmp_path: Path, column: str, kind: str, rows: str, is_several: bool
) -> None:
    path, cells = tmp_path / "m", [(int(row[0]), row[1:]) for row in rows.split()]
    if kind == "csv":
        lines = [f"epoch,{column},val_r2", *(f"{epoch},{word},0.5" for epoch, word in cells)]
    else:
        lines = [json.dumps({column: word, "epoch": epoch, "val_r2": 0.5}) for epoch, word in cells]
    cursor = None
    for ends in (range(1, len(lines) + 1), [len(lines)]):  # as it grows, and at once
        for end in ends:
            path.write_text("".join(f"{line}\n" for line in lines[:end]), "utf-8")
            follower = FileFollower(source(), path, cursor)
            list(follower.poll(last=end == len(lines)))
            cursor = json.loads(json.dumps(follower.cursor))
        assert follower.status["unknown"] == ["val_r2"] * is_several
        assert (f"rows differ in {column}" in follower.status["note"]) == is_several
        cursor = None


@pytest.mark.parametrize(
    ("before", "after", "unknown"),
    [
        ("checkpoint,val_r2\ne1.pt,.1\n", "checkpoint,val_r2\ne2.pt,.2\n", []),
        ("seed,val_r2\n42,.1\n", "seed,val_r2\n42,.2\n", []),
        ("model,val_r2\nvit,.1\n", "model,val_r2\nvit,.1\nridge,.2\n", ["val_r2"]),
        ('{"0": {"val_r2": 0.1}}', '{"0": {"val_r2": 0.1}, "1": {"val_r2": 0.2}}', []),
    ],
)
def test_a_file_that_is_written_anew_is_judged_as_it_is(
    before: str, after: str, unknown: list[str], tmp_path: Path
) -> None:
    path, clock = tmp_path / "m.csv", Clock()
    clock.write(path, before.encode())
    follower = FileFollower(source(), path)
    list(follower.poll())
    clock.write(path, after.encode())
    found = values(follower, last=True)
    assert found == ([] if after.startswith("{") else [0.2])  # folds without a word are no rows
    assert follower.status["unknown"] == unknown


@pytest.mark.parametrize(
    ("before", "after", "last"),
    [
        ("lr,val_r2\n.1,.9\n.2,.7\n", "lr,val_r2\n.1,.9\n.3,.8\n.2,.7\n", None),  # sorted
        ("lr,val_r2\n.1,.9\n.2,.7\n", "lr,val_r2\n.3,.8\n.1,.9\n.2,.7\n", None),
        ("lr,val_r2\n.1,\n.2,.7\n.3,.6\n", "lr,val_r2\n.1,.8\n.2,.7\n.3,.6\n", None),
        ('[{"val_r2": 0.9}, {"val_r2": 0.7}]',
         '[{"val_r2": 0.9}, {"val_r2": 0.8}, {"val_r2": 0.7}]', None),
        ("lr,val_r2\n.1,.9\n.2,.7\n", "lr,val_r2\n.1,.9\n.2,.7\n.3,.8\n", 0.8),
        ("lr,val_r2\n.1,.9\n.2,.7\n", "lr,val_r2\n.1,.9\n.2,.7\n.2,.7\n", 0.7),  # as good
        ("loss,val_r2\n3,.5\n2,.6\n1,.7\n", "loss,val_r2\n4,.4\n3,.55\n1,.7\n", 0.7),  # anew
        ("loss,val_r2\n2,.6\n1,.7\n", "loss,val_r2\n2,.6\n1,.7\n", 0.7),  # the same again
        ("epoch,val_r2\n0,.6\n1,.7\n", "epoch,val_r2\n0,.6\n1,.7\n1,.8\n2,.7\n", 0.7),
        ("epoch,val_r2\n0,.6\n1,.7\n2,.8\n", "epoch,val_r2\n0,.6\n1,.71\n2,.8\n", 0.8),  # again
        ("lr,epoch,val_r2\n.1,9,.9\n.2,8,.7\n",
         "lr,epoch,val_r2\n.1,9,.9\n.3,5,.8\n.2,8,.7\n", None),  # best epochs, sorted
        ("epoch,val_r2\n0,.5\n2,.6\n4,.7\n", "epoch,val_r2\n0,.5\n1,.55\n2,.6\n4,.7\n", 0.7),
        ("label,val_r2\nT_eff,.9\nlog_g,.6\nfeh,.8\n",
         "label,val_r2\nT_eff,.9\nlog_g,.7\nfeh,.8\n", 0.7),  # rows of other labels are none
    ],
)  # fmt: skip
def test_a_row_of_before_the_run_is_no_row_of_it_wherever_it_stands(
    tmp_path: Path, before: str, after: str, last: float | None
) -> None:
    path, clock = tmp_path / "m", Clock()
    clock.write(path, before.encode())
    follower = FileFollower(source(), path)
    follower.skip_existing()
    list(follower.poll())
    follower = FileFollower(source(), path, json.loads(json.dumps(follower.cursor)))
    clock.write(path, after.encode())
    found = values(follower, last=True)
    assert last is None or found[-1] == last
    told = "it ends with a row that it had before the run" in follower.status["note"]
    assert (told, follower.status["unknown"]) == (last is None, ["val_r2"] * (last is None))


def _history(*values: float) -> str:
    return json.dumps([{"epoch": epoch, "val_r2": value} for epoch, value in enumerate(values)])


@pytest.mark.parametrize(
    ("versions", "fell"),
    [
        (['{"epoch": 1, "val_r2": 0.1}', '{"epoch": 2, "val_r2": 0.2}'], False),
        (['{"epoch": 2, "val_r2": 0.1}', '{"epoch": 2, "val_r2": 0.2}'], False),
        (['{"epoch": 2, "val_r2": 0.1}', '{"epoch": 1, "val_r2": 0.2}'], True),
        (['{"step": 20, "val_r2": 0.1}', '{"step": 10, "val_r2": 0.2}'], True),
        (['{"val_r2": 0.1}', '{"val_r2": 0.2}'], False),
        (['{"epoch": [1, 2], "val_r2": [0.1, 0.2]}', '{"epoch": [0], "val_r2": [0.1]}'], False),
        # The whole history.
        ([_history(0.1, 0.2), _history(0.1, 0.2, 0.3), _history(0.1)], False),
        ([_history(0.1, 0.2), _history(0.1, 0.2, 0.3), _history(0.3)], False),  # begun again
        ([_history(0.1, 0.2), _history(0.3, 0.4), _history(0.1, 0.2, 0.3)], True),
        (["epoch,val_r2\n0,.1\n1,.2\n", "epoch,val_r2\n0,.3\n1,.4\n2,.5\n"], True),
    ],
)
def test_what_is_written_anew_as_by_two_runs(
    tmp_path: Path, versions: list[str], fell: bool
) -> None:
    path, clock = tmp_path / "m.json", Clock()
    follower = FileFollower(source(), path)
    for text in versions:
        clock.write(path, text.encode())
        list(follower.poll())
        follower = FileFollower(source(), path, json.loads(json.dumps(follower.cursor)))
    assert follower.fell is fell


def test_rows_from_the_last_step_back_in_epochs_of_several(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("epoch,step,val_r2\n1,40,.7\n1,30,.6\n0,20,.5\n0,10,.4\n")
    follower = FileFollower(source(), path)
    list(follower.poll(last=True))
    assert follower.status["unknown"] == ["val_r2"]
    path.write_text("epoch,step,val_r2\n0,10,.7\n0,20,.6\n1,10,.5\n1,20,.4\n")  # in each epoch
    follower = FileFollower(source(), path)
    list(follower.poll(last=True))
    assert follower.status["unknown"] == []


@pytest.mark.parametrize(
    ("places", "how"),
    [
        ("9 8 7", "from the last step or epoch back to the first"),
        ("7 8 9", ""),
        ("9 4", ""),  # resumed from an earlier one
        ("9 8 7 8", ""),
        # Of two or three runs in one file.
        ("24 0 25 1 26 2", "to and fro in their steps or epochs"),
        ("0 1 2 0 3 4 5 1 6 7 2", "to and fro in their steps or epochs"),
        ("10 5 0 11 6 1 12", "to and fro in their steps or epochs"),
        ("0.5 1 0.1 0.2 1.5 0.3 2", "to and fro in their steps or epochs"),
        ("0 3 1 4 2 5", "to and fro in their steps or epochs"),
        ("20 30 0 40 1 50 2 60", "to and fro in their steps or epochs"),
        # Of one, resumed, in stages, and of one row more in an epoch.
        ("0 1 2 3 1 2 3 4 5 3 4 5 6", ""),
        ("0 1 2 3 2 3 4 5 4 5 6 7 6 7 8 9 8 9 10 11", ""),  # each time at the end of one before
        ("0 1 2 3 4 2 3 4 5 6 4 5 6 7 8 6 7 8 9 10 8 9 10 11 12", ""),
        ("0 5 10 0 3 6 9 12 15 0 4 8 12 16 20 0 2 4 8 16 32", ""),
        ("0 1 2 0 1 2 3 0 1 0 1 2 3 4", ""),
        ("0 0 1 1 2 2 2 3", ""),
        # Places in an epoch: of each second one, of a bar.
        ("100 200 50 150 250 100 200 50 150 250 100 200", ""),
        ("13 57 97 9 61 99 22 48 98 30 70 99 40 80 98 2 50 97", ""),
    ],
)
def test_the_last_row_out_of_order_is_no_result(tmp_path: Path, places: str, how: str) -> None:
    path = tmp_path / "m"
    path.write_text("epoch,val_r2\n")
    follower = FileFollower(source(), path)
    for row, at in enumerate(places.split()):
        with path.open("a") as file:
            file.write(f"{at},.7{row}\n")
        list(follower.poll())
        follower = FileFollower(source(), path, json.loads(json.dumps(follower.cursor)))
    list(follower.poll(last=True))
    assert follower.status["unknown"] == ["val_r2"] * bool(how)
    assert (f"val_r2: rows go {how}" in follower.status["note"]) == bool(how)
    steps = [{"epoch": 0, "step": float(at), "val_r2": row / 99}
             for row, at in enumerate(places.split())]  # fmt: skip
    path.write_text(json.dumps(steps))  # in one epoch
    follower = FileFollower(source(), path)
    list(follower.poll(last=True))
    assert follower.status["unknown"] == ["val_r2"] * bool(how)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("metric,train,val,test\nr2,.9,.6,.5\nmae,.1,.2,.3\n", "val", 0.6),
        ("metric,log_g,T_eff\nmae,.1,60\nr2,.6,.5\n", "log_g", 0.6),
        ("epoch,val\n0,.5\n1,.6\n", "val", 0.6),
        ("epoch,name,val\n0,vit_base,.5\n1,vit_base,.6\n", "val", 0.6),
        ("epoch,tag,log_g\n0,exp7,.5\n1,exp7,.6\n", "log_g", 0.6),
        ("epoch,name,val\n0,mae_pretrain,.5\n1,mae_pretrain,.6\n", "val", 0.6),
        ("variable,val\nlog_g,.6\nT_eff,.5\n", "val", 0.6),
        # A line of text that seems to be a header: what stands behind it is not known.
        ("epoch,loss,val\n0,1,.1\nSaved, best so far, epoch 0\n1,.5,.6\n", "val", None),
        ("epoch,loss,val\n0,1,.1\n1,.5,.6\nSaved, best so far, epoch 1\n", "val", 0.6),
        ("epoch,val\n0,.1\nEpoch,LR,Val\n1,.001,.6\n", "val", 0.6),
        ("{'loss': [1.0, 0.5], 'val': [0.1, 0.6]}", "val", 0.6),
        ("[{'loss': 1.0, 'val': 0.1}, {'loss': 0.5, 'val': np.float64(0.6)}]", "val", 0.6),
    ],
)
def test_the_last_number_of_a_table_is_of_what_its_rows_say(
    tmp_path: Path, text: str, name: str, value: float | None
) -> None:
    path = tmp_path / "m"
    path.write_text(text)
    follower = FileFollower(source({name: "val/r2/log_g"}), path)
    found = values(follower, last=True)
    assert (None if follower.status["unknown"] else found[-1]) == value


def test_a_row_of_settings_for_each_run_in_one_table_is_a_result(tmp_path: Path) -> None:
    path, clock = tmp_path / "m.csv", Clock()
    clock.write(path, b"lr,depth,val_r2\n0.1,4,0.25\n0.01,4,0.3\n")
    follower = FileFollower(source(), path)
    follower.skip_existing()
    clock.write(path, b"0.01,8,0.5\n", append=True)
    assert values(follower, last=True) == [0.5]
    assert follower.status["unknown"] == []


def test_a_row_of_each_run_in_one_table_is_no_fold(tmp_path: Path) -> None:
    path, clock = tmp_path / "m.csv", Clock()
    clock.write(path, b"seed,val_r2\n42,0.25\n")
    follower = FileFollower(source(), path)
    follower.skip_existing()
    clock.write(path, b"43,0.75\n", append=True)
    assert values(follower, last=True) == [0.75]
    assert (follower.status["note"], follower.status["unknown"]) == ("", [])


@pytest.mark.parametrize(
    ("rows", "steps"),
    [
        # A batch's number in each epoch; as it began anew after the second.
        ("0,0 0,49 0,99 1,0 1,49 1,99 2,0 2,99 1,0 1,99", [0, 49, 99, 100, 149, 199, 200, 299]),
        ("1,9 1,19 2,9 2,19 3,9", [9, 19, 29, 39, 49]),
        ("0,0 0,99 1,100 1,199 0,0 0,99", [0, 99, 100, 199, 0, 99]),  # it goes on, or is resumed
        ("0,0 0,99 1,100 1,199 2,0 2,50", [0, 99, 100, 199, 0, 50]),  # another training
        ("0,5 1,3 1,7", [5, 9, 13]),
    ],
)
def test_steps_that_each_epoch_counts_anew_are_added_up(
    rows: str, steps: list[int], tmp_path: Path
) -> None:
    path = tmp_path / "m.csv"
    text, cursor, found = "epoch,step,val_r2\n", None, []
    for k, row in enumerate(rows.split()):  # read as it grows, by one reader after another
        path.write_text(text := f"{text}{row},0.{k + 1}\n")
        follower = FileFollower(source(), path, cursor)
        found += [step for step, *_ in short(follower.poll())]
        cursor = json.loads(json.dumps(follower.cursor))
    assert found[: len(steps)] == steps
    if len(found) > len(steps):
        assert found[len(steps) :] == [100, 199]


def test_what_a_wandb_summary_loses_is_no_value(tmp_path: Path) -> None:
    """NaN is null there; a value may be removed. A null before any number is nothing."""
    null, number, removed = (
        field(3, field(place, field(1, b"val_r2") + content))
        for place, content in ((1, field(16, b"null")), (1, field(16, b"0.7")), (2, b""))
    )
    path = tmp_path / "run-a.wandb"
    for then, expected in (
        ([null, null, number], [0.7]),
        ([number, null], [0.7, "nan"]),
        ([number, removed], [0.7, "nan"]),
        ([number, removed, number], [0.7, "nan", 0.7]),
    ):
        path.write_bytes(wandb_file(then=then))
        found = [values[R2] for _, _, values in short(FileFollower(source(), path).poll(last=True))]
        assert found == expected


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (gzip.compress(b"epoch,val_r2\n", mtime=0), "is gzip-compressed, which is not read"),
        (b"SQLite format 3\0" + b"x" * 99, "is an SQLite database"),
        (b"ab\0\0\xff\xfe" * 20, "binary data of a kind that is not read"),
        (b'{"a": [{"x": 1}], "b": [{"x": 2}]}', "is JSON without a single list of rows"),
        (b"[1, 2", "is not valid JSON"),
        (b"", "is empty"),
        (b"val_r2,epoch,val_r2\n1,2,3\n", "val_r2 appears twice in its header"),
        (b"epoch;val_r2\n1;1,500\n2;0.5%\n", "val_r2: 2 cells are not numbers, like '1,500'"),
        (b"epoch,val_r2\n1,0.5,3\n2,0.6\n", "1 rows cannot be read"),
        (b"epoch,val_r2\n1,0.5", "its last line has no end"),
        (b"epoch;val_r2\n0/4;20%\n1/4;40%\n", "val_r2: 2 cells are not numbers, like '20%'"),
        (b'{"val_r2": [1, 2, 3]}\n{}\n', "val_r2: 1 cells are not numbers, like 'a list of 3'"),
        (b"fold,val_r2\n0,0.5\nstd,0.1\n", "1 rows begin with a word, no number: left out"),
        (b"epoch,val_r2\n1,0.5\nlr,seed\n0.1,1\n", "a later header has none of val_r2, train_lo"),
    ],
)
def test_what_is_not_read_is_told(tmp_path: Path, data: bytes, told: str) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(data)
    follower = FileFollower(source(), path)
    list(follower.poll())
    list(follower.poll(last=True))
    assert told in follower.status["note"]


def test_what_is_matched_is_told(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    follower = FileFollower(source(), path)
    assert list(follower.poll()) == []
    assert follower.status["note"] == "cannot be read: No such file or directory"
    path.write_text("epoch,val/r2,Train Loss,val_r2\n1,0.5,1,0.4\n")
    names = {"val_r2": R2, "val.r2": "val/r2/M_H", "train_loss": "train/loss", "xyz": "test/r2"}
    follower = FileFollower(source(names), path)
    list(follower.poll())
    assert follower.status == {
        "file": str(path), "kind": "table", "columns": ["epoch", "val/r2", "Train Loss", "val_r2"],
        "names": {"val_r2": R2}, "rows": 1, "in_file": 1, "kept": 1, "skipped": 0, "note": "",
        "unknown": [],
        "missing": [{"name": "val.r2", "near": ["val/r2", "val_r2"]},
                    {"name": "train_loss", "near": ["Train Loss"]}, {"name": "xyz", "near": []}],
    }  # fmt: skip


def test_a_header_without_our_names_ends_the_numbers(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("epoch,val_r2\n0,0.5\nlr,momentum\n0.1,0.9\n")
    assert read(path) == [(0, 0.0, {R2: 0.5})]


def test_a_header_behind_half_a_row_is_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("epoch,val_r2\n0,0.5\n1,0.val_r2,epoch\n0.9,7\n0.8,8\n")
    assert read(path) == [(0, 0.0, {R2: 0.5})]


def test_a_last_change_within_one_tick_of_the_clock(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    for text in ("epoch,val_r2\n1,0.5\n", '[{"val_r2": 0.5}]'):
        path.write_text(text)
        follower, stamp = FileFollower(source(), path), path.stat()
        assert values(follower) == [0.5]
        path.write_text(text.replace("0.5", "0.7"))
        os.utime(path, ns=(stamp.st_mtime_ns, stamp.st_mtime_ns))
        assert values(follower, last=True) == [0.7]
        assert values(follower, last=True) == []


def test_gaps_and_rows_without_a_place(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("epoch,step,val_r2\n0,10,0.1\nnan,35,nan\n2,nan,0.3\n,,\n3,50,inf\n4,60,\n")
    assert read(path) == [
        (10, 0.0, {R2: 0.1}), (35, None, {R2: "nan"}), (35, 2.0, {R2: 0.3}),
        (50, 3.0, {R2: math.inf}),
    ]  # fmt: skip
    path.write_text("val_r2\n0.1\n0.2\n")
    assert [step for step, *_ in read(path)] == [0, 1]


def test_an_end_is_known_from_the_epochs(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"

    def ends(text: str) -> list[int | None]:
        path.write_text(text)
        events = FileFollower(source(epochs=10), path).poll(last=True)
        return [data.get("of") for _, data in events]

    assert ends("epoch,val_r2\n0,0.1\n1,0.2\n") == [10, 10]
    assert ends("epoch,step,val_r2\n0,99,0\n1,199,0\n2,299,0\n") == [None, 1000, 1000]
    assert ends("epoch,step,val_r2\n1,100,0\n2,200,0\n") == [None, 1000]
    assert ends("epoch,step,val_r2\n0.5,50,0\n1.5,150,0\n") == [1000, 1000]
    assert ends("step,val_r2\n5,0\n") == [None]


def test_rows_of_an_earlier_run_and_a_file_written_anew(tmp_path: Path) -> None:
    path, clock = tmp_path / "m.csv", Clock()
    old = b"epoch,val_r2\n0,0.1\n1,0.2\n"
    clock.write(path, old)

    def begun() -> FileFollower:
        follower = FileFollower(source(), path)
        follower.skip_existing()
        assert values(follower) == []
        return follower

    appended = begun()
    clock.write(path, b"2,0.3\n", append=True)
    assert values(appended) == [0.3]
    # A column comes: the logger writes all rows again, the earlier run's too.
    clock.write(path, b"epoch,lr,val_r2\n0,,0.1\n1,,0.2\n2,,0.3\n3,1,0.4\n")
    assert values(appended) == [0.4]
    for text in (old, b"epoch,val_r2\n0,0.7\n1,0.8\n", b"epoch,val_r2\n0,0.7\n"):
        clock.write(path, old)
        anew = begun()
        clock.write(path, text)
        assert len(values(anew)) == text.count(b"\n") - 1
    clock.write(path, old)
    replaced = begun()
    clock.write(tmp_path / "new", old + b"2,0.3\n")
    os.replace(tmp_path / "new", path)  # noqa: PTH105
    assert values(replaced) == [0.1, 0.2, 0.3]


def test_a_file_written_whole_at_each_epoch(tmp_path: Path) -> None:
    path, clock, found = tmp_path / "m.csv", Clock(), []
    follower = FileFollower(source(), path)
    for epochs in range(1, 40):
        text = "epoch,val_r2\n" + "".join(f"{i},{0.01 * i}\n" for i in range(epochs))
        clock.write(path, text[: len(text) // 2].encode())  # half written
        found += values(follower)
        clock.write(path, text.encode())
        found += values(follower)
    assert found == [0.01 * i for i in range(39)]
    clock.write(path, b"epoch,val_r2\n" + b"".join(b"%d,0.5\n" % i for i in range(20, 25)))
    assert values(follower) == [0.5] * 5  # resumed from a checkpoint: steps go back
    assert (follower.status["rows"], follower.status["in_file"]) == (44, 5)


def test_scales_come_from_the_run(tmp_path: Path) -> None:
    path, log, clock = tmp_path / "m.csv", tmp_path / "out.log", Clock()
    names = {
        "mae": {"as": "val/mae/log_g", "scale": {"file": "stats.json", "key": "label.std"}},
        "rmse": {"as": "val/rmse/log_g", "scale": {"pattern": r"std: (\S+)"}, "unit": "dex"},
        "bias": {"as": "val/bias/log_g", "unit": "sigma"},
        "loss": {"as": "train/loss", "scale": 2},
    }
    clock.write(path, b"epoch,mae,rmse,bias,loss\n0,1,10,5,3\n")
    made = source(names)
    scales = Scales(made, tmp_path, log)
    follower = FileFollower(made, path, scales=scales.known)
    scales.poll()
    expected = [{"val/bias_sigma/log_g": 5.0}, {"train/loss": 6.0}]
    assert [x for *_, x in short(follower.poll())] == expected
    assert scales.problems == [
        "mae waits for its scale, label.std in stats.json: cannot be read: "
        "No such file or directory",
        r"rmse waits for its scale, a log line like std: (\S+): no line has it so far",
    ]
    log.write_text("std: nan\nlabel std: 0.5\n")
    scales.poll()
    assert [x for *_, x in short(follower.poll())] == [{"val/rmse/log_g": 5.0}]
    clock.write(tmp_path / "stats.json", b'{"label": {"std": 4.0}}')
    scales.poll()
    clock.write(path, b"1,2,20,6,4\n", append=True)
    found = [x for *_, x in short(follower.poll(last=True))]
    assert sorted(map(str, found)) == [
        "{'train/loss': 8.0}", "{'val/bias_sigma/log_g': 6.0}", "{'val/mae/log_g': 4.0}",
        "{'val/mae/log_g': 8.0}", "{'val/rmse/log_g': 10.0}",
    ]  # fmt: skip
    assert scales.problems == []
    clock.write(tmp_path / "stats.json", b'{"label": {"std": 3.0}}')
    scales.poll()
    assert [x for *_, x in short(follower.poll(last=True))] == [
        {"val/mae/log_g": 3.0}, {"val/mae/log_g": 6.0},
    ]  # fmt: skip
    assert "it was 4 first, then 3, which is taken" in scales.problems[0]


@pytest.mark.parametrize("rest", [b"", b"15,0.4\n", b"epoch,other\n15,0.4\n"])
def test_a_file_that_was_cut_has_no_older_last_value(tmp_path: Path, rest: bytes) -> None:
    path, clock = tmp_path / "m.csv", Clock()
    clock.write(path, b"epoch,val_r2\n" + b"".join(b"%d,0.5\n" % i for i in range(9)))
    follower = FileFollower(source(), path)
    list(follower.poll())
    clock.write(path, rest)
    list(follower.poll())
    again = FileFollower(source(), path, json.loads(json.dumps(follower.cursor)))
    list(again.poll(last=True))
    assert again.status["unknown"] == ["val_r2"]
    assert again.status["names"] == {"val_r2": R2}
    assert "it was cut or written anew, and has no val_r2 any more" in again.status["note"]
    clock.write(path, b"epoch,val_r2\n16,0.6\n")
    assert values(again, last=True) == [0.6]
    assert (again.status["unknown"], again.status["note"]) == ([], "")


def test_a_scale_that_two_runs_write_is_of_none(tmp_path: Path) -> None:
    stats, clock = tmp_path / "stats.json", Clock()
    scale = {"as": "val/mae/log_g", "scale": {"file": "stats.json", "key": "std"}}
    clock.write(stats, b'{"std": 9}')  # an earlier run's
    scales = Scales(source({"mae": scale}), tmp_path, tmp_path / "out.log", 0, 1.7e9)
    os.utime(stats, (1, 1))
    for std, unknown in ((9, []), (4, []), (4, []), (3, ["mae"])):
        if std < 9:
            clock.write(stats, b'{"std": %d}' % std)
        scales.poll()
        assert scales.known == {"mae": std}
        assert scales.marked({"names": {"mae": "val/mae/log_g"}})["unknown"] == unknown
    assert "was written with 4, then 3, perhaps by another run: no result" in scales.problems[0]


def test_a_scale_in_a_list_and_a_key_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "stats.json").write_text('{"labels": [{"name": "log_g", "std": 1.25}]}')
    for key, known in (("labels.0.std", {"val_mae": 1.25}), ("label.0.std", {})):
        scale = {"as": "val/mae/log_g", "scale": {"file": "stats.json", "key": key}}
        scales = Scales(source({"val_mae": scale}), tmp_path, tmp_path / "out.log")
        scales.poll()
        assert scales.known == known
    assert "stats.json has none; there is labels.0.std" in scales.problems[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [("0x10", None), ("1_000", None), ("0,5", None), ("tensor([1, 2])", None), (" 1e-3 ", 1e-3),
     ("tensor([[-1.5e-05]], device='cuda:0')", -1.5e-5), ("0.5,", 0.5), ("-inf", -math.inf),
     ("1,234.5", 1234.5), ("-1,234,567", -1234567.0), ("1,234", None), ("1,23.5", None),
     ("tf.Tensor(0.5, shape=(), dtype=float32)", 0.5), ("[np.float64(0.5)]", 0.5), ("(0.7,)", 0.7),
     ("[" * 100_000, None), ("Ellipsis", None), ("array(0.5, dtype=float32)", 0.5), ("True", None)],
)  # fmt: skip
def test_cells(text: str, value: float | None) -> None:
    odd: list[str] = []
    assert number(text, odd) == value
    assert odd == ([] if value is not None else [text])
    assert number(10**400, odd) == math.inf


def test_rows_are_known_however_their_steps_are_written(tmp_path: Path) -> None:
    path, clock = tmp_path / "m.csv", Clock()

    def write(form: str, steps: range) -> None:
        rows = "".join(f"{form.format(step)},0.5\n" for step in steps)
        clock.write(path, f"step,val_r2\n{rows}".encode())

    follower = FileFollower(source(), path)
    write("{}", range(3000))
    values(follower, last=True)
    write("{}.0", range(3001))
    assert [step for step, *_ in short(follower.poll(last=True))] == [3000]
    write("{}", range(4000, 7000))
    steps = [step for step, *_ in short(follower.poll(last=True))]
    assert steps[:1024] == [*range(4000, 5024)]
    assert steps[-1] == 6999


def test_many_rows_are_thinned_and_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    losses = [math.sin(0.01 * i) * (1 if i != 30_001 else -9) for i in range(50_000)]
    cells = [(i, x, 0.5 if i % 1000 == 999 else "") for i, x in enumerate(losses)]
    path.write_text("step,train_loss,val_r2\n" + "".join(f"{i},{x},{y}\n" for i, x, y in cells))
    follower = FileFollower(source(), path)
    events = [*follower.poll(), *follower.poll(last=True)]
    loss = [(d["step"], d["values"]["train/loss"]) for k, d in events if k == "step"]
    assert len(loss) < 3500
    assert loss[:1024] == [(i, losses[i]) for i in range(1024)]
    assert loss[-1] == (49_999, losses[-1])
    assert (30_001, losses[30_001]) in loss
    assert max(x for _, x in loss) == max(losses)
    assert sum(kind == "eval" for kind, _ in events) >= 50  # none of the rare ones is lost
    assert [d["text"][:29] for k, d in events if k == "note"] == ["m.csv: 50000 rows, of which 1"]
    assert "of 50000 rows are kept" in follower.status["note"]
    assert list(follower.poll(last=True)) == []


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        follower = FileFollower(source(NAMES), path)
        assert list(follower.poll(last=True)) == []
        assert follower.status["note"].startswith("cannot be read: ")
