"""Tables people read: aligned by what a terminal shows, safe whatever a document says."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from wcwidth import wcswidth

from vitlab.cli import main
from vitlab.commands import start
from vitlab.commands.common import number, print_table


def test_columns_line_up_by_display_width(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("A", "B"), [("状态", "x"), ("ab", "y"), ("✅", "z")])
    assert capsys.readouterr().out.split("\n")[:4] == ["A     B", "状态  x", "ab    y", "✅    z"]


def test_control_sequences_of_a_document_do_not_reach_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(("A",), [("\x1b[2J\x1b]0;title\x07red\u202e",), (None,)])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "\u202e" not in out
    assert out.split("\n")[2] == "-"


@pytest.mark.parametrize(("terminal", "no_color"), [(True, ""), (True, "1"), (False, "")])
def test_statuses_have_colours_on_a_terminal_alone(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,
    no_color: str,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    print_table(
        ("NAME", "STATE", "OUTCOME"),
        [("failed", "done", "failed: 状态"), ("b", "running", "x\x1b[31m"), ("c", "done", "ok")],
    )
    out = capsys.readouterr().out
    bold, red, cyan, green, end = (f"\x1b[{n}m" for n in (1, 31, 36, 32, 0))
    if not terminal or no_color:
        bold = red = cyan = green = end = ""
    assert out.splitlines() == [
        f"{bold}NAME{end}    {bold}STATE{end}    {bold}OUTCOME{end}",
        f"failed  done     {red}failed: 状态{end}",
        f"b       {cyan}running{end}  x [31m",
        f"c       done     {green}ok{end}",
    ]


def test_the_last_column_goes_on_below_itself_on_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [("1", f"why {'状态' * 14} [b]so[/b]"), ("2", "x" * 400)]
    print_table(("N", "REASON"), rows, wrap=True)
    assert [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()[1:]] == [
        [*row] for row in rows
    ]
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_table(("N", "REASON"), rows, wrap=True)
    lines = capsys.readouterr().out.splitlines()
    assert all(wcswidth(line) <= 40 for line in lines)
    assert "".join(line[3:] for line in lines[1:]).replace(" ", "") == "".join(
        text for _, text in rows
    ).replace(" ", "")
    assert [line[:2] for line in lines if line[0] != " "] == ["N ", "1 ", "2 "]


def test_a_long_cell_does_not_widen_a_table_without_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(("A", "B"), [("x" * 1_000_000, "y"), ("a", "b")])
    rows = capsys.readouterr().out.split("\n")
    assert [len(row) for row in rows[:3]] == [303, 303, 303]
    assert rows[1].endswith("xxx...  y")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("compare", "--sql=--"), "--sql: a query begins with SELECT"),
        (("run", "1.0", "--profile=--"), "argument --profile: invalid choice: '--'"),
        (("wait", "--timeout=--"), "argument --timeout: invalid float value: '--'"),
        (("auto", "--budget=--"), "--budget --: expected hours"),
        (("--roadmap=--", "status"), "--: no such file"),
    ],
)
def test_two_dashes_are_a_value_as_any_other(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 0
    capsys.readouterr()
    with contextlib.suppress(SystemExit):  # of argparse, with the same status
        assert main(list(words)) == 2
    assert told in capsys.readouterr().err


def test_numbers() -> None:
    assert number(0.12345) == "0.123"
    assert number(None) == "-"


@pytest.mark.parametrize("debug", ["", "1"])
def test_what_nobody_foresaw_is_one_line_and_a_traceback_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], debug: str
) -> None:
    def fail(path: Path, *_: object, **__: object) -> NoReturn:
        raise RecursionError(f"deeper\nthan {path.name}")

    monkeypatch.setattr(start, "make_example", fail)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("VITLAB_DEBUG", debug)
    assert main(["init", str(tmp_path / "lab")]) == 2
    line = (
        f"vitlab: {tmp_path / 'lab'}: RecursionError: deeper than lab; this is a bug in vitlab;"
        f" please report it with the output of `vitlab debug` and {tmp_path}/vitlab/traceback.txt"
    )
    *shown, last = capsys.readouterr().err.splitlines()
    assert last == line
    assert ("Traceback (most recent call last):" in shown) == bool(debug)
    kept = (tmp_path / "vitlab/traceback.txt").read_text(encoding="utf-8")
    assert kept.endswith("RecursionError: deeper\nthan lab\n")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ESTALE, errno.EIO])
def test_whatever_a_disk_refuses_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    def fail(path: Path, *_: object, **__: object) -> NoReturn:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(start, "make_example", fail)
    assert main(["init", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"vitlab: {tmp_path}: {os.strerror(number)}\n"
