"""A declared pattern on a log: bars, long lines, ends, and a file beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.metric_files import short, source, values
from vitlab.jobs.metrics.files import FileFollower
from vitlab.jobs.metrics.log import LogFollower
from vitlab.jobs.process.monitor import cut_log

R2 = "val/r2/log_g"
PATTERN = r"epoch (?P<epoch>\d+).* r2=(?P<val_r2>\S+)"


def test_a_bar_that_never_ends_its_line(tmp_path: Path) -> None:
    log = tmp_path / "out.log"
    log.touch()
    follower, found = LogFollower(source(pattern=PATTERN), log), []
    for i in range(8):
        with log.open("a") as file:
            file.write(f"\repoch {i}: 100%|####| r2={0.1 * (i + 1):.3f}")
        found += values(follower)
    assert found == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    assert values(follower, last=True) == [0.8]
    assert values(follower, last=True) == []
    assert follower.status["rows"] == 8


@pytest.mark.parametrize("width", [18, 60])
def test_a_bar_redrawn_by_backspaces(tmp_path: Path, width: int) -> None:
    log = tmp_path / "out.log"
    follower, found = LogFollower(source(pattern=PATTERN), log), []
    for i in range(4):
        with log.open("a") as file:
            file.write("\b" * width + f"epoch {i} r2={0.1 * (i + 1):.3f}  ")
        found += values(follower)
    log.write_text(log.read_text() + "\nepoch 4 [ 10%\b\b\b\b\b 100%] r2=0.5\n")
    assert found + values(follower) == [0.1, 0.2, 0.3, 0.4, 0.5]


def test_a_line_behind_a_bar_or_a_rank(tmp_path: Path) -> None:
    log = tmp_path / "out.log"
    log.write_text(
        "\r  0%|   | 0/4 [00:00<?, ?it/s]epoch 0 r2=0.1\n\r 25%|## | 1/4 [00:00, 3.1it/s]"
        "epoch 1 r2=0.2\n[rank0]: epoch 2 r2=0.3\n[rank1]: epoch 2 r2=0.9\nbest epoch 2 r2=0.9\n"
        "[default0]:epoch 3 r2=0.4\n[default1]:epoch 3 r2=0.9\n 0: epoch 4 r2=0.5\n"
        "fold0: epoch 5 r2=0.9\nFold 1:  50%|## | 1/2 [00:00, 3.1it/s]epoch 5 r2=0.9\n"
    )
    for start in (r"^\s*", "^"):
        follower = LogFollower(source(pattern=rf"{start}{PATTERN}$", file=""), log)
        assert values(follower) == [0.1, 0.2, 0.3, 0.4, 0.5]


def test_lines_of_two_runs_by_turns_give_no_last_value(tmp_path: Path) -> None:
    log = tmp_path / "out.log"
    curve = [0.1, 0.35, 0.3, 0.3812, 0.37, 0.36, 0.402, 0.39, 0.41, 0.38, 0.4]
    lines = []
    for i, value in enumerate(curve):  # of one that names its best so far
        at = curve.index(max(curve[: i + 1]))
        lines.append(f"epoch {i} r2={value}\nbest epoch {at} r2={curve[at]:.3f}\n")
        log.write_text("".join(lines))
        follower = LogFollower(source(pattern=PATTERN), log)
        list(follower.poll())
        assert follower.status["unknown"] == []
    log.write_text("".join(f"epoch {20 + i} r2=0.1\nepoch {i} r2=0.9\n" for i in range(3)))
    follower = LogFollower(source(pattern=PATTERN), log)
    list(follower.poll())
    follower = LogFollower(source(pattern=PATTERN), log, 0, json.loads(json.dumps(follower.cursor)))
    assert follower.status["unknown"] == ["val_r2"]
    assert "val_r2: rows go to and fro in their steps or epochs" in follower.status["note"]


def test_seventy_megabytes_without_a_newline(tmp_path: Path) -> None:
    log = tmp_path / "out.log"
    with log.open("wb") as file:
        for _ in range(70):
            file.write(b"x" * (1 << 20))
    follower = LogFollower(source(pattern=PATTERN), log)
    assert values(follower) == []
    with log.open("a") as file:
        file.write("\nepoch 1 r2=0.5\nepoch 2 r2=0.8")
    assert values(follower) == [0.5]
    assert values(follower, last=True) == [0.8]
    note = "1 lines of more than 64 kB or with zeros in them are left out"
    assert follower.status["note"] == note


def test_a_log_with_a_hole_is_not_read_through_it(tmp_path: Path) -> None:
    """A log that was cut while its program goes on where it was, or whose machine crashed."""
    log = tmp_path / "out.log"
    log.write_bytes(b"epoch 1 r2=0.1\nepoch 2 r2=0.2")
    follower = LogFollower(source(pattern=PATTERN), log)
    assert values(follower) == [0.1]
    with log.open("r+b") as file:
        file.truncate(1 << 40)
    assert values(follower) == []
    with log.open("ab") as file:
        file.write(b"34\nepoch 3 r2=0.3\nepoch 4 r2=0.4\0\0\0")
    assert values(follower) == [0.3]
    assert values(follower, last=True) == []
    assert follower.status["note"].startswith("2 lines of more than 64 kB or with zeros")


def test_colours_odd_words_and_nothing(tmp_path: Path) -> None:
    log = tmp_path / "out.log"
    follower = LogFollower(source(pattern=PATTERN), log)
    assert short(follower.poll()) == []
    assert "cannot be read: No such file" in follower.status["note"]
    link = "\x1b]8;;file://x\x1b\\\x1b[1mepoch 1:\x1b]8;;\x1b\\"
    log.write_text(f"{link}\x1b[0m r2=\x1b[32m0.5\x1b(B\x1b[m,\nepoch 2: r2=soon\n")
    assert short(follower.poll()) == [(1, 1.0, {R2: 0.5})]
    status = follower.status
    assert status["note"] == "val_r2: 1 matches are not numbers, like 'soon'"
    assert (status["kind"], status["columns"], status["names"]) == (
        "log", ["epoch", "val_r2"], {"val_r2": R2},
    )  # fmt: skip
    assert status["missing"] == []  # `train_loss` is looked for in the file


def test_a_number_at_the_end_of_a_sentence_is_one(tmp_path: Path) -> None:
    log = tmp_path / "out.log"
    log.write_text("R2 = 0.4.\nR2 = 5.\nR2 = 1e-1., saved.\nR2 = 0.3, 12 s.\nR2 = 1.2.3.\n")
    follower = LogFollower(source(pattern=r"R2 = (?P<val_r2>\S+)"), log)
    assert values(follower) == [0.4, 5.0, 0.1, 0.3]
    assert follower.status["note"] == "val_r2: 1 matches are not numbers, like '1.2.3.'"


def test_a_log_in_the_locale_s_encoding(tmp_path: Path) -> None:
    log = tmp_path / "out.log"
    lines = ["第1轮 验证r2=0.1\n".encode(), "第2轮 验证r2=0.2\n".encode("gbk"),
             "Prüfung R² r2=0.3\n".encode("latin-1")]  # fmt: skip
    log.write_bytes(b"".join(lines))
    for pattern, found in (
        (r"验证r2=(?P<val_r2>\S+)", [0.1, 0.2]),
        (r"R² r2=(?P<val_r2>.+)", [0.3]),
    ):
        assert values(LogFollower(source(pattern=pattern), log)) == found


def test_a_log_begins_at_its_run_and_again_when_it_was_cut(tmp_path: Path) -> None:
    log = tmp_path / "out.log"
    log.write_text("epoch 1 r2=0.1 of the run before\nepoch 2 r2=0.2\n")
    follower = LogFollower(source(pattern=PATTERN, file=""), log, start=33)
    assert values(follower) == [0.2]
    log.write_text("epoch 3 r2=0.3\n")
    assert values(follower) == [0.3]
    assert follower.status["missing"] == [{"name": "train_loss", "near": []}]


@pytest.mark.parametrize(("kept", "found"), [(150, [0.2, 0.3]), (20, [])])
def test_lines_that_were_not_read_before_a_cut(
    tmp_path: Path, kept: int, found: list[float]
) -> None:
    log = tmp_path / "out.log"
    log.write_text("x" * 500 + "\nepoch 1 r2=0.1\n")
    follower = LogFollower(source(pattern=PATTERN), log)
    assert values(follower) == [0.1]
    with log.open("a") as file:
        file.write("y" * 50 + "\nepoch 2 r2=0.2\nepoch 3 r2=0.3\nlast line\n")
    assert cut_log(log, 100, kept)
    again = LogFollower(source(pattern=PATTERN), log, 0, json.loads(json.dumps(follower.cursor)))
    assert values(again) == found
    assert again.status["unknown"] == ([] if found else ["val_r2"])
    assert ("it was cut, perhaps before all was read" in again.status["note"]) is (not found)
    with log.open("a") as file:
        file.write("epoch 4 r2=0.4\n")
    assert values(again, last=True) == [0.4]
    assert again.status["unknown"] == []


def test_a_value_in_the_file_and_in_the_log(tmp_path: Path) -> None:
    path, log = tmp_path / "m.csv", tmp_path / "out.log"
    path.write_text("epoch,val_r2,train_loss\n1,0.5,1.0\n")
    log.write_text("epoch 1 r2=0.9\n")

    def both(**keys: Any) -> tuple[list[float], list[float]]:
        made = source(pattern=PATTERN, **keys)
        file = FileFollower(made, path)
        found = values(file)
        follower = LogFollower(made, log)
        listed = [x for *_, x in short(follower.poll(without=file.given)) if x]
        return found, [y for x in listed for y in x.values()]

    assert both() == ([0.5, 1.0], [])
    assert both(prefer="log") == ([1.0], [0.9])
    path.write_text("epoch,train_loss\n1,1.0\n")
    assert both() == ([1.0], [0.9])  # the file has no such column: the log's counts
    path.write_text("epoch,val_r2\n1,0.5\n")
    every = source({"val_r2": R2}, pattern=PATTERN, prefer="log")  # none is left for the file
    follower = FileFollower(every, path)
    assert values(follower) == []
    again = FileFollower(every, path, follower.cursor)
    assert values(again, last=True) == []
