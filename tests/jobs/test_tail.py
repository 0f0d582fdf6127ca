"""Following logs and events while they grow, break and are replaced."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from vitlab.jobs.files import last_json_line
from vitlab.jobs.logs.tail import MAX_LINE, EventTail, LogTail, clean


def rest(tail: LogTail) -> list[str]:
    """All lines up to now, in as many polls as it takes."""
    lines = tail.poll()
    while tail.behind:
        lines += tail.poll()
    return lines


def test_whole_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "out.log"
    tail = LogTail(path)
    assert tail.poll() == []
    path.write_bytes(b"one\ntw")
    assert tail.poll() == ["one"]
    assert tail.unfinished == "tw"
    with path.open("ab") as file:
        file.write(b"o\r\nthree\n")
    assert tail.poll() == ["two", "three"]


def test_a_progress_bar_is_its_last_state(tmp_path: Path) -> None:
    path = tmp_path / "out.log"
    path.write_bytes(b"  0%|\r 50%|#\r100%|##\ndone\n 10%|\r 20%|\r")
    tail = LogTail(path)
    assert tail.poll() == ["100%|##", "done"]
    assert tail.unfinished == " 20%|"
    for i in range(1000):
        with path.open("ab") as file:
            file.write(b"x" * 900 + b" %d%%\r" % i)
        tail.poll()
    assert len(tail._half) < 4 * MAX_LINE  # hours of a bar without a newline fit in memory


def test_a_line_longer_than_memory_is_cut_with_its_size(tmp_path: Path) -> None:
    path = tmp_path / "out.log"
    with path.open("wb") as file:
        for _ in range(7):
            file.write(b"x" * 1_000_000)
    tail, seen = LogTail(path, last_bytes=None), []
    seen += rest(tail)
    assert seen == []
    assert tail.unfinished == "x" * MAX_LINE + "... [cut: a line of 7.0 MB]"
    with path.open("ab") as file:
        file.write(b"y" * 500_000 + b"\r\nepoch 1 r2=0.5\n" + b"z" * 3_000_000 + b"\r50%\r51%")
    seen += rest(tail)
    assert seen == ["x" * MAX_LINE + "... [cut: a line of 7.5 MB]", "epoch 1 r2=0.5"]
    assert tail.unfinished == "51%"  # the long one is overwritten
    assert len(tail._half) < 4 * MAX_LINE


def test_from_the_start_everything_is_there(tmp_path: Path) -> None:
    path = tmp_path / "out.log"
    whole = [f"line {i} " + "x" * 300 for i in range(6000)]
    path.write_text("\n".join(whole))
    tail = LogTail(path, last_bytes=None)
    seen = tail.poll()
    assert tail.behind
    assert [*seen, *rest(tail), tail.unfinished] == whole


def test_what_could_move_the_terminal_is_gone() -> None:
    assert clean(b"\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b[2J\x08\x07ok\x00") == "red ok"
    assert clean(b"\x1b]" * 500_000 + b"end") == "end"  # each would search to the end of the line
    assert clean("a\u202eb\u2066c\ufeffd\x9be".encode()) == "abcde"
    assert clean(b"bad \xff utf-8 [/bold]") == "bad � utf-8 [/bold]"
    assert clean("tab\t中文 ✅".encode()) == "tab     中文 ✅"
    long = clean(b"x" * 100_000)
    assert long == "x" * MAX_LINE + "... [cut: a line of 100.0 kB]"


@given(st.binary(max_size=300))
def test_any_bytes_become_printable_text(data: bytes) -> None:
    text = clean(data)
    assert all(c >= " " and c != "\x7f" and c != "\x1b" for c in text)


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_the_lines_do_not_depend_on_when_one_looks(
    tmp_path_factory: object, parts: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("log") / "out.log"  # type: ignore[attr-defined]
    path.write_bytes(b"")
    tail, seen = LogTail(path), []
    for part in parts:
        with path.open("ab") as file:
            file.write(part)
        seen += tail.poll()
    whole = b"".join(parts)
    expected = [clean(line) for line in whole.split(b"\n")[:-1]]
    assert seen == expected


def test_it_starts_near_the_end_at_a_line(tmp_path: Path) -> None:
    path = tmp_path / "out.log"
    path.write_bytes(b"".join(b"line %04d\n" % i for i in range(1000)))
    assert LogTail(path, last_bytes=30).poll() == ["line 0997", "line 0998", "line 0999"]
    assert LogTail(path, last_bytes=25).poll() == ["line 0998", "line 0999"]


def test_truncated_and_rotated(tmp_path: Path) -> None:
    path = tmp_path / "out.log"
    path.write_bytes(b"a long first line\n")
    tail = LogTail(path)
    tail.poll()
    path.write_bytes(b"short\n")
    assert tail.poll() == ["short"]
    other = tmp_path / "new"
    other.write_bytes(b"replaced by another, longer file\n")
    other.rename(path)
    assert tail.poll() == ["replaced by another, longer file"]


def test_events_survive_half_lines_and_replacement(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    tail = EventTail(path)
    assert tail.poll() == []
    path.write_text('{"v":1,"t":1,"kind":"step","step":1}\n{"v":1,"t":2,"ki')
    assert [event.step for event in tail.poll()] == [1]
    with path.open("a") as file:
        file.write('nd":"step","step":2}\nno json\n{"v":1,"t":3,"kind":"new"}\n')
    assert [event.step for event in tail.poll()] == [2]
    other = tmp_path / "other"
    line = '{"v":1,"t":1,"kind":"step","step":9}\n'
    other.write_text(line * 10)
    other.rename(path)
    assert [event.step for event in tail.poll()] == [9] * 10


def test_the_last_record(tmp_path: Path) -> None:
    path = tmp_path / "health.jsonl"
    assert last_json_line(path) == {}
    path.write_text('{"a": 1}\n{"a": 2}\n[3]\n{"a": ')
    assert last_json_line(path) == {"a": 2}
