"""Pages of a log, against the same file read whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vitlab.lab.live import log_file
from vitlab.lab.live.log_file import ERRORS, LogFile, text_matcher

LINES = st.lists(st.text("ab \u4e13", max_size=12), max_size=40)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(LINES, st.booleans(), st.integers(1, 9), st.integers(-12, 12), st.integers(5, 40))
def test_pages_are_the_files_own_lines(
    tmp_path: Path, lines: list[str], ended: bool, height: int, by: int, block: int
) -> None:
    path = tmp_path / "out.log"
    text = "\n".join(lines) + ("\n" if ended and lines else "")
    path.write_text(text, encoding="utf-8")
    whole = text.split("\n")
    whole = whole[:-1] if whole[-1] == "" else whole
    log = LogFile(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_file, "BLOCK", block)
        last = log.last(height)
        assert [line.text for line in last.lines] == whole[-height:]
        assert last.at_end
        first = log.first(height)
        assert [line.text for line in first.lines] == whole[:height]
        moved = log.scrolled(first, by, height)
        top = max(0, min(max(by, 0), len(whole) - height))
        assert [line.text for line in moved.lines] == whole[top : top + height]
        up = log.scrolled(last, by, height)
        top = max(0, min(len(whole) - height + min(by, 0), len(whole) - height))
        assert [line.text for line in up.lines] == whole[top : top + height]
        kept = log.page(0, 99, text_matcher("a"))
        assert [line.text for line in kept.lines] == [line for line in whole if "a" in line]
        assert log.last(99, text_matcher("a")).lines == kept.lines


def test_a_search_goes_both_ways_and_capitals_are_meant(tmp_path: Path) -> None:
    path = tmp_path / "out.log"
    path.write_bytes(b"start\nValueError: x\nfine\nloss nan\nnanometre\nend\n")
    log = LogFile(path)
    assert log.find(ERRORS, 0) == 6
    assert log.find(ERRORS, 20) == 25
    assert log.find(ERRORS, 34) is None
    assert log.find(ERRORS, 34, backward=True) == 25
    assert log.find(text_matcher("END"), 0) is None
    assert log.find(text_matcher("end"), 0) == 44


def test_a_missing_file_and_a_line_without_end(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "none.log")
    assert log.last(5).lines == ()
    (tmp_path / "none.log").write_bytes(b"x" * (3 << 20) + b"\nend\n")
    assert [line.text for line in log.last(2).lines][-1] == "end"
    assert log.first(1).lines[0].text.startswith("xxx")
    assert log.find(text_matcher("end"), 0) == (3 << 20) + 1


def test_who_does_not_wait_any_more_stops_the_search(tmp_path: Path) -> None:
    path = tmp_path / "out.log"
    path.write_bytes(b"a\n" * 500_000)
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 2

    assert LogFile(path).find(text_matcher("b"), 0, stop=stop) is None
    assert asked == 3
