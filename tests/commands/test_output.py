"""Tables people read: aligned by what a terminal shows, safe whatever a document says."""

from __future__ import annotations

import pytest

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


def test_numbers() -> None:
    assert number(0.12345) == "0.123"
    assert number(None) == "-"
