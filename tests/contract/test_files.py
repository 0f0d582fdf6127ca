"""What jobs leave on disk: read whatever is there, written whole or not at all."""

from __future__ import annotations

import errno
import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitlab.contract.events import EventWriter, read_events
from vitlab.contract.job import Result, Spec, read_result, read_spec, write_result
from vitlab.contract.paths import LabPaths, UsageError, write_atomic

RESULT = Result(
    mvp="1.0",
    run="Run 1",
    profile="full",
    recipe="vit",
    values={"test/r2/log_g": 0.5, "test/mae/log_g": None},
    figures=("a.png",),
)
SPEC = Spec(
    mvp="1.0",
    run="Run 1",
    profile="full",
    recipe="vit",
    config={"data": {"train_size": 10}},
    exp_id="X-20260101-a-01",
    roadmap="roadmaps/r.md",
    after=("X-20260101-b-01/one",),
)


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_result(path, RESULT)
    assert read_result(path) == RESULT
    assert json.loads(path.read_bytes())["v"] == 1


def test_a_spec_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_bytes(SPEC.to_json())
    found = read_spec(path)
    assert found == SPEC
    assert found is not None
    assert found.hash == SPEC.hash


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", '{"v": 2}', '{"v": 1}', '{"v": 1, "mvp": "1.0"}', "\x00"]
)
def test_what_is_no_record_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "any.json"
    assert read_result(path) is None
    path.write_text(text, encoding="utf-8")
    assert read_result(path) is None
    assert read_spec(path) is None


def test_unknown_keys_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps({**json.loads(SPEC.to_json()), "later": 1}), encoding="utf-8")
    assert read_spec(path) == SPEC


def test_the_hash_is_of_what_is_computed() -> None:
    other = Spec(**{**SPEC.__dict__, "exp_id": "Y-20260101-b-01", "priority": 3})
    assert other.hash == SPEC.hash
    assert Spec(**{**SPEC.__dict__, "config": {}}).hash != SPEC.hash


def test_non_finite_values_are_null_and_named(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventWriter(path) as writer:
        writer.write("eval", step=1, values={"val/r2/log_g": math.nan, "val/mae/log_g": 1.0})
    (event,), _ = read_events(path)
    assert event.values == {"val/r2/log_g": None, "val/mae/log_g": 1.0}
    assert event.data["nonfinite"] == ["val/r2/log_g"]


@given(st.integers(0, 400), st.integers(0, 400))
def test_events_are_read_whole_however_the_file_grows(first: int, second: int) -> None:
    lines = b"".join(
        json.dumps({"v": 1, "t": float(i), "kind": "step", "step": i}).encode() + b"\n"
        for i in range(8)
    )
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.jsonl"
        seen, offset = [], 0
        for size in (min(first, len(lines)), min(first + second, len(lines)), len(lines)):
            path.write_bytes(lines[:size])
            events, offset = read_events(path, offset)
            seen += [event.step for event in events]
        assert seen == list(range(8))


def test_half_a_line_of_a_killed_writer_spoils_no_later_one(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"v": 1, "t": 1.0, "kind": "step", "st')
    with EventWriter(path) as writer:
        writer.write("note", text="resumed")
    events, offset = read_events(path)
    assert [event.kind for event in events] == ["note"]
    assert offset == path.stat().st_size


def test_foreign_lines_are_passed_over_and_a_shorter_file_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    good = b'{"v": 1, "t": 2, "kind": "note", "text": "x"}\n'
    path.write_bytes(b'\xff\n[1]\n{"v": 9}\n{"v": 1, "kind": "dance", "t": 1}\n' + good)
    events, offset = read_events(path)
    assert len(events) == 1
    path.write_bytes(good)
    assert len(read_events(path, offset)[0]) == 1
    assert read_events(tmp_path / "none.jsonl") == ([], 0)


@pytest.mark.parametrize("odd", ["1e999", "NaN", "null", '"x"', "9" * 400, "[1]"])
def test_an_event_with_odd_numbers_stops_no_reader(tmp_path: Path, odd: str) -> None:
    path = tmp_path / "events.jsonl"
    good = '{"v": 1, "t": 1, "kind": "step", "step": 1, "values": {"a/b": 1}}'
    lines = [good]
    lines += [f'{{"v": 1, "t": 2, "kind": "step", "step": {odd}, "values": {{"a/b": 2}}}}']
    lines += [f'{{"v": 1, "t": {odd}, "kind": "step", "step": 3, "values": {{"a/b": 3}}}}']
    lines += [good.replace('"step": 1', f'"step": 4, "epoch": {odd}')]
    lines += [f'{{"v": 1, "t": 5, "kind": "step", "step": 5, "values": {{"a/b": {odd}}}}}']
    lines += ["[" * 100_000, good.replace('"step": 1', '"step": 6'), ""]
    path.write_text("\n".join(lines), encoding="utf-8")
    events, offset = read_events(path)
    assert offset == path.stat().st_size
    # A number is kept only with a place in the run, and never for a value that is none.
    assert [(e.step, e.values["a/b"]) for e in events] == [(1, 1), (4, 1), (5, None), (6, 1)]
    assert "epoch" not in events[1].data


def test_a_disk_without_modes_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "fchmod", refuse)
    write_atomic(tmp_path / "file", b"1", 0o600)
    assert (tmp_path / "file").read_bytes() == b"1"


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")
    with pytest.raises(TypeError):
        write_atomic(path, "no bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "/etc", "a\x00b"])
def test_an_exp_id_is_a_plain_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        LabPaths(tmp_path).exp_folder(name)


def test_paths_that_leave_the_lab_are_refused(tmp_path: Path) -> None:
    lab = LabPaths(tmp_path / "lab")
    lab.root.mkdir()
    (lab.root / "link").symlink_to(tmp_path)
    assert lab.inside("roadmaps/x.md") == lab.root / "roadmaps/x.md"
    for path in ("../x", "/etc/passwd", "link/x"):
        with pytest.raises(UsageError, match="outside the lab"):
            lab.inside(path)
    lab.roadmaps.mkdir()
    for path in ("x" * 300, f"roadmaps/{'x' * 300}.md", "/".join(["x" * 200] * 30)):
        with pytest.raises(UsageError, match="File name too long"):
            lab.inside(path)


def test_what_killed_writers_left_is_removed_and_what_others_write_is_not(tmp_path: Path) -> None:
    path = tmp_path / "told.json"
    dead, ours, fresh, other = (
        tmp_path / f".told.json.tmp-{end}" for end in (2**22 + 1, 1, 2**22 + 2, "notes")
    )
    for one in (dead, ours, fresh, other):
        one.write_text("{")
    for one in (dead, ours, other):
        os.utime(one, (1e9, 1e9))
    write_atomic(path, b"{}")
    assert sorted(tmp_path.iterdir()) == sorted([path, ours, fresh, other])
