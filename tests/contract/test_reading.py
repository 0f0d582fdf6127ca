"""Files that anybody may have written: read within bounds, or refused with the reason."""

from __future__ import annotations

import json
import math
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitlab.contract.events import read_events
from vitlab.contract.job import Result, Spec, load_result, load_spec, read_result, write_result
from vitlab.contract.reading import (
    LARGEST,
    MAX_BYTES,
    Search,
    Unreadable,
    matching,
    open_regular,
    parse,
    read_document,
    read_regular,
)
from vitlab.contract.validation import load_fields, misfit

RESULT = Result("1.0", "main", "full", "vit", {"test/r2/log_g": 0.5}, {"test/r2/log_g": 0.1})
SPEC = Spec("1.0", "main", "full", "vit", {}, "X-20260101-a-01", "roadmaps/r.md")


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(here)


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (os.mkfifo, "is a pipe (FIFO)"),
        (Path.mkdir, "is a folder"),
        (_socket, "is a socket or a device"),
        (lambda path: path.symlink_to("/dev/zero"), "is a link"),
        (lambda path: path.symlink_to(path.name), "is a link"),
        (lambda path: path.symlink_to("nowhere"), "is a link"),
        (_sparse, "is larger than 16 MiB"),
        (lambda path: path.write_bytes(b" " * (MAX_BYTES + 1)), "is larger than 16 MiB"),
    ],
)
def test_only_a_regular_file_of_some_size_is_read(tmp_path: Path, make: Any, why: str) -> None:
    path = tmp_path / "exit.json"
    make(path)
    with pytest.raises(Unreadable) as refused:
        read_document(path)
    assert refused.value.line == f"exit.json {why}"
    assert read_result(path) is None


def test_what_is_kept_of_each_job_is_smaller(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps({**json.loads(SPEC.to_json()), "extra": {"a": "x" * (2 << 20)}}))
    with pytest.raises(Unreadable, match=r"is larger than 2 MiB"):
        load_spec(path)


def test_a_link_is_followed_only_where_that_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"text")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "endless").symlink_to("/dev/zero")
    (tmp_path / "circle").symlink_to("circle")
    assert read_regular(tmp_path / "link", follow=True) == b"text"
    for name, why in (("endless", "is a device"), ("circle", "is a link in a circle")):
        with pytest.raises(Unreadable, match=why):
            open_regular(tmp_path / name, follow=True)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 10_000, "is nested more than 64 deep"),
        ('{"a":' * 10_000, "is nested more than 64 deep"),
        ("[" * 65 + "]" * 65, "is nested more than 64 deep"),
        ("NaN", "holds NaN, which is not a JSON number"),
        ('{"a": -Infinity}', "holds -Infinity, which is not a JSON number"),
        ("1e400", "holds a number too large"),
        ("1e101", "holds a number too large"),
        ("9" * 101, "holds a number too large"),
        ("9" * 400, "holds a number too large"),
        ("9" * 5000, "holds a number too large"),
        ("", "is not JSON (line 1)"),
        ("{\n]", "is not JSON (line 2)"),
        (b"\xff\xfe{\0", "is not UTF-8"),
    ],
)
def test_what_is_no_document(text: str | bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why.replace("(", r"\(").replace(")", r"\)")):
        parse(text)


def test_a_document_has_so_many_values_as_its_bytes_may_hold() -> None:
    many = f"[{'[],' * 300_000}0]"
    with pytest.raises(ValueError, match="holds more than 524,288 values"):
        parse(many)
    assert len(parse(many, 4 * MAX_BYTES)) == 300_001


def test_no_text_breaks_a_terminal_or_a_path() -> None:
    text = r'{"\ud800": "a\udc00\u0000b", "pair": "\ud83d\ude00", "path": "C:\\ud800"}'
    assert parse(text) == {"\ufffd": "a\ufffd\ufffdb", "pair": "\U0001f600", "path": r"C:\ud800"}


_NUMBERS = st.integers(-(10**98), 10**98) | st.floats(-LARGEST, LARGEST)
_LEAVES = st.none() | st.booleans() | _NUMBERS | st.text(st.characters(exclude_categories=["Cs"]))
_DOCUMENTS = st.recursive(
    _LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)


@given(_DOCUMENTS)
def test_what_was_written_is_read(document: Any) -> None:
    text = json.dumps(document).replace("\\u0000", "")
    assert parse(text) == json.loads(text)
    assert parse(text.encode()) == json.loads(text)


@given(st.sampled_from(["spec", "result"]), st.data())
def test_a_record_with_any_value_is_a_record_or_says_why(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    write_result(path, RESULT)
    document = json.loads(SPEC.to_json() if kind == "spec" else path.read_bytes())
    key = data.draw(st.sampled_from(sorted(document)))
    document[key] = data.draw(_DOCUMENTS)
    path.write_text(json.dumps(document))
    load: Any = load_spec if kind == "spec" else load_result
    record, why = None, ""
    try:
        record = load(path)
    except Unreadable as refused:
        why = refused.line
    if record is None:
        assert why.startswith("any.json ")
        assert "\n" not in why
        assert len(why) < 200
    else:
        assert isinstance(record, Spec | Result)
        assert isinstance(record.run, str)
        if isinstance(record, Result):
            assert all(x is None or math.isfinite(x) for x in record.values.values())


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"values": {"a": "b"}}, "has values: an object, not a mapping where each is a number"),
        ({"errors": {"a": -1}}, "not a mapping where each is a number of 0 or more"),
        ({"values": [1]}, "has values: a list, not a mapping"),
        ({"seconds": None}, "has seconds: null, not a number"),
        ({"mvp": 3}, "has mvp: 3, not text"),
        ({"figures": [1]}, "has figures: a list, not a list where each is text"),
        ({"profile": "all"}, "names 'all', none of smoke, demo, hour, full"),
        ({"v": True}, "is of version true or false, not 1"),
    ],
)
def test_a_value_of_another_type_is_named(
    tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    path = tmp_path / "result.json"
    write_result(path, RESULT)
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **changes}))
    with pytest.raises(Unreadable) as refused:
        load_result(path)
    assert why in refused.value.why


def test_a_field_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text('{"v": 1, "mvp": "1.0"}')
    with pytest.raises(Unreadable, match="has no run"):
        load_spec(tmp_path / "spec.json")
    assert load_fields(tmp_path / "nothing", {"a": "int"}) == {}


def test_types_as_they_are_declared() -> None:
    assert misfit(True, "int") == "a whole number"
    assert misfit(1.5, "int") == "a whole number"
    assert misfit(1e11, "Time") == "a time"
    assert misfit(None, "str | None") == ""
    assert misfit({"a": None}, "Mapping[str, float | None]") == ""
    assert misfit({"a": [1, "x"]}, "Mapping[str, tuple[float, ...]]") != ""


def test_events_of_a_strange_kind_are_refused_and_values_cleaned(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(
        '{"v": 1, "t": 1, "kind": "eval", "step": 1, "of": 1e999, "values": {"\\ud800": 1}}\n'
        '{"v": 1, "t": 1e300, "kind": "step", "step": 2}\n' + "[" * 10_000 + "\n"
    )
    [event], _ = read_events(path)
    assert dict(event.data) == {"step": 1, "values": {"\ufffd": 1}}
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(Unreadable, match="pipe"):
        read_events(path)


def _tree(root: Path) -> None:
    for name in ("a/m.csv", "a/.hidden/m.csv", "a/b/m.csv", "m.csv", "runs[1]/m.csv"):
        path = root / "run" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (root / "out").mkdir()
    (root / "out/m.csv").touch()
    (root / "run/a/loop").symlink_to("..")
    (root / "run/a/other").symlink_to(".")
    (root / "run/away").symlink_to("../out")
    (root / "run/a/gone.csv").symlink_to("nowhere")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("m.csv", "m.csv"),
        ("**/m.csv", "a/b/m.csv a/m.csv m.csv runs[1]/m.csv"),
        ("**/b/**", "a/b/m.csv"),
        ("a/*", "a/gone.csv a/m.csv"),
        ("*/m.csv", "a/m.csv away/m.csv runs[1]/m.csv"),
        ("runs[[]1]/*", "runs[1]/m.csv"),
        ("a/.h*/*", "a/.hidden/m.csv"),
        ("/**/b/*", "a/b/m.csv"),
        ("a", ""),
        ("nowhere/*", ""),
        ("m.csv/*", ""),
        ("\0/*", ""),
        ("", ""),
        ("**/" * 200 + "x", ""),
        ("*/" * 200 + "x", ""),
    ],
)
def test_files_are_found_without_end_or_way_out(tmp_path: Path, pattern: str, found: str) -> None:
    _tree(tmp_path)
    folder, search = tmp_path / "run", Search()
    names = sorted(
        str(p.relative_to(folder)) for p in matching(folder, pattern, search, hidden=False)
    )
    assert (names, search.is_cut) == (found.split(), False)


def test_a_search_has_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _tree(tmp_path)
    for name, bound, count in (("MAX_FOLDERS", 2, 3), ("MAX_ENTRIES", 4, 1)):
        search = Search()
        with monkeypatch.context() as patch:
            patch.setattr(f"vitlab.contract.reading.{name}", bound)
            assert len(list(matching(tmp_path / "run", "**/*.csv", search))) <= count
        assert search.is_cut
    assert len(list(matching(tmp_path / "run", "**", folders=True))) == 13
