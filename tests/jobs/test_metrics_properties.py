"""However a file grows, is cut into polls or written anew, its rows come once, in order."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.jobs.metric_files import (
    Clock,
    Short,
    field,
    read,
    short,
    single,
    source,
    tfevents,
    wandb_file,
)
from vitlab.jobs.metrics.files import FileFollower
from vitlab.jobs.metrics.formats.decoder import Chunk
from vitlab.jobs.metrics.log import LogFollower
from vitlab.jobs.metrics.rows import KnownRows, Thinner

R2, LOSS = "val/r2/log_g", "train/loss"
Numbers = tuple[float, float | None, float | None]
"""Step, R2 and loss of a row; None for an empty cell."""


@pytest.fixture(scope="module", autouse=True)
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as one:
        global FOLDER
        FOLDER = Path(one)
        yield FOLDER


FOLDER = Path()
CLOCK = Clock()

number = st.one_of(
    st.none(),
    st.sampled_from([math.nan, math.inf, -0.0, 1e-300]),
    st.integers(-999, 999).map(lambda n: n / 8),
)
rows_of = st.lists(st.tuples(st.integers(0, 99), number, number), max_size=12)
cuts_of = st.lists(st.integers(0, 1500), max_size=6)


def events_of(rows: Sequence[Numbers]) -> list[Short]:
    """What the rows say, by the plainest of rules."""
    found: list[Short] = []
    for step, r2, loss in rows:
        for name, x in ((R2, r2), (LOSS, loss)):
            if x is not None:
                found.append((step, None, {name: "nan" if x != x else x}))  # type: ignore[dict-item]
    return found


def grown(path: Path, data: bytes, cuts: Sequence[int], restarts: bool) -> list[Short]:
    """The events of a file that grows in steps; `restarts`: a new follower after each."""
    CLOCK.write(path, b"")
    follower, found, at = FileFollower(source(), path), [], 0
    for end in [*sorted(cuts), len(data)]:
        CLOCK.write(path, data[at:end], append=True)
        at = max(at, min(end, len(data)))
        found += short(follower.poll())
        if restarts:
            follower = FileFollower(source(), path, json.loads(json.dumps(follower.cursor)))
    return found + short(follower.poll(last=True))


@st.composite
def tables(draw: Any) -> tuple[bytes, list[Numbers]]:
    """A table as any program may write it, and the rows in it."""
    delimiter = draw(st.sampled_from([",", "\t", ";", "|", " , ", "  "]))
    form = draw(st.sampled_from(["{}", "{}", "tensor({})", '"{}"', "np.float64({})", " {} "]))
    newline, encoding = draw(
        st.sampled_from([("\n", "utf-8"), ("\r\n", "utf-8-sig"), ("\n", "utf-16"),
                         ("\r\n", "utf-16-be"), ("\n", "gbk")])
    )  # fmt: skip
    lines, rows = [], []
    for part in range(draw(st.integers(1, 3))):
        columns = draw(st.permutations(["step", "val_r2", "train_loss", "损失", "lr"][: 3 + part]))
        lines.append(delimiter.join(columns))
        for step, r2, loss in draw(rows_of):
            cells = {"step": step, "val_r2": r2, "train_loss": loss, "损失": 7, "lr": 1e-3}
            if delimiter == "  ":
                cells = {name: 0.0 if x is None else x for name, x in cells.items()}
            texts = ["" if cells[name] is None else form.format(cells[name]) for name in columns]
            lines.append(delimiter.join(texts))
            rows.append((step, cells["val_r2"], cells["train_loss"]))
            if draw(st.integers(0, 9)) == 0:
                lines.append(
                    draw(st.sampled_from(["", f"1{delimiter}2", delimiter.join("123456789")]))
                )
    return (newline.join(lines) + newline).encode(encoding), rows


@settings(max_examples=600, deadline=None)
@given(tables(), cuts_of, st.booleans())
def test_a_table_in_any_form_and_in_any_pieces(
    table: tuple[bytes, list[Numbers]], cuts: list[int], restarts: bool
) -> None:
    data, rows = table
    path = FOLDER / "m.csv"
    assert grown(path, data, cuts, restarts) == events_of(rows)
    assert read(path) == events_of(rows)


@settings(max_examples=300, deadline=None)
@given(rows_of, cuts_of, st.sampled_from(["lines", "nested", "wandb", "tfevents"]), st.booleans())
def test_other_kinds_in_any_pieces(
    rows: list[Numbers], cuts: list[int], kind: str, restarts: bool
) -> None:
    full = [(s, r2 or 0.0, x or 0.0) for s, r2, x in rows if math.isfinite(s)]
    if kind == "lines":
        data = b"".join(json.dumps({"step": s, "val_r2": r2, "train_loss": x}).encode() + b"\n"
                        for s, r2, x in rows)  # fmt: skip
        expected = events_of(rows)
    elif kind == "nested":
        data = json.dumps({"log_history": [{"step": s, "val_r2": r2, "train_loss": x}
                                           for s, r2, x in rows]}, indent=1).encode()  # fmt: skip
        expected = events_of(rows)
    elif kind == "wandb":
        finite = [(i, r2, x) for i, (_, r2, x) in enumerate(full)
                  if math.isfinite(r2) and math.isfinite(x)]  # fmt: skip
        finite = [(i, r2, x) for i, (_, r2, x) in enumerate(finite)]
        data = wandb_file(*({"val_r2": r2, "train_loss": x} for _, r2, x in finite))
        expected = events_of(finite)
    else:
        data = tfevents(*((int(s), field(1, b"val_r2") + single(2, r2)) for s, r2, _ in full))
        full = [(s, 0.0 if abs(r2) < 1e-40 else r2, None) for s, r2, _ in full]  # type: ignore[misc]
        expected = events_of(full)
    assert grown(FOLDER / "m.any", data, cuts, restarts) == expected


@st.composite
def histories(draw: Any) -> list[tuple[list[Numbers], bool]]:
    """The rows of a file after each change, and whether a column was new then."""
    rows: list[Numbers] = []
    states = []
    for _ in range(draw(st.integers(1, 6))):
        kept = draw(st.sampled_from([len(rows), len(rows), draw(st.integers(0, len(rows)))]))
        rows = rows[:kept] + draw(
            st.lists(st.tuples(st.integers(0, 9), number, number), max_size=4)
        )
        states.append((rows, draw(st.booleans())))
    return states


@settings(max_examples=500, deadline=None)
@given(histories(), st.booleans(), st.floats(0, 1), st.booleans())
def test_a_file_written_anew_repeats_no_row_and_loses_none(
    states: list[tuple[list[Numbers], bool]], half: bool, where: float, restarts: bool
) -> None:
    path = FOLDER / "anew.csv"
    CLOCK.write(path, b"")
    follower, before = FileFollower(source(), path), list[Numbers]()
    for rows, wider in states:
        lines = ["step,lr,val_r2,train_loss" if wider else "train_loss,step,val_r2"]
        for step, r2, loss in rows:
            x, y = ("" if cell is None else repr(cell) for cell in (r2, loss))
            lines.append(f"{step},0.1,{x},{y}" if wider else f"{y},{step},{x}")
        data = ("\n".join(lines) + "\n").encode()
        found: list[Short] = []
        if half:
            CLOCK.write(path, data[: int(where * len(data))])
            found += short(follower.poll())
        CLOCK.write(path, data)
        found += short(follower.poll())
        known = 0
        while known < min(len(rows), len(before)) and repr(rows[known]) == repr(before[known]):
            known += 1
        assert found == events_of(rows[known:])
        before = rows if len(rows) > known or len(rows) >= len(before) else before
        if restarts:
            follower = FileFollower(source(), path, json.loads(json.dumps(follower.cursor)))
    # A file that lost rows, and got none, ends with another row than the last one read.
    is_shorter = len(rows) < len(before)
    assert short(follower.poll(last=True)) == (events_of(rows) if is_shorter else [])
    assert short(follower.poll(last=True)) == []


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 99), st.integers(0, 9),
                       st.sampled_from(["\n", "\r", "\r\n"])), max_size=12),
    cuts_of, st.booleans(),
)  # fmt: skip
def test_a_log_in_any_pieces(
    lines: list[tuple[int, int, str]], cuts: list[int], restarts: bool
) -> None:
    made = source(pattern=r"s(?P<step>\d+) r2=(?P<val_r2>\S+)$")
    data = "".join(f"100%|█| s{s} r2={x}{end}say s{s}{end}" for s, x, end in lines).encode()
    data += b"s7 r2=0.5"
    path = FOLDER / "out.log"
    path.write_bytes(b"")
    follower, found, at = LogFollower(made, path), [], 0
    for stop in [*sorted(cuts), len(data)]:
        with path.open("ab") as file:
            file.write(data[at:stop])
        at = max(at, min(stop, len(data)))
        found += short(follower.poll())
        if restarts:
            follower = LogFollower(made, path, cursor=json.loads(json.dumps(follower.cursor)))
    found += short(follower.poll(last=True))
    assert found == events_of([*((s, float(x), None) for s, x, _ in lines), (7, 0.5, None)])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.just(math.nan), st.integers(-9, 9).map(float)), min_size=1,
             max_size=40),
    st.lists(st.integers(20, 700), min_size=1, max_size=8), st.integers(800, 4000),
)  # fmt: skip
def test_thinning_loses_no_extreme_no_gap_and_no_end(
    pattern: list[float | None], pieces: list[int], count: int
) -> None:
    column = [pattern[i * i % len(pattern)] for i in range(count)]

    def kept(pieces: Sequence[int]) -> list[tuple[int, Any]]:
        rows, thinner = KnownRows(["a"], "step", "epoch"), Thinner(["a"], "step", "epoch")
        found, at, turn = [], 0, 0
        while at < count:
            end = min(count, at + pieces[turn % len(pieces)])
            for start, part in rows.new(Chunk(end - at, {"a": column[at:end]})):
                found += [*thinner.add(start, part)]
            at, turn = end, turn + 1
        return [(row.position, repr(row.values["a"])) for row in [*found, *thinner.flush()]]

    places = kept([count])
    assert kept(pieces) == places
    assert places == sorted(places)
    assert all(repr(column[at]) == x for at, x in places)
    known = [x for x in column if x is not None]
    assert {repr(x) for x in known} >= {x for _, x in places} >= {
        repr(f(x for x in known if x == x)) for f in (min, max) if any(x == x for x in known)
    }  # fmt: skip
    assert ("nan" in {x for _, x in places}) == any(x != x for x in known)
    if known:
        assert places[-1][0] == max(i for i, x in enumerate(column) if x is not None)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([b"", b"\xff\xfe", b"\xfe\xff", b"\xff\xfe\0\0", b":W&B\x1d\xc1\0", b"{", b"[",
                     b"step,val_r2\n", b'"step","', tfevents((1, b"")), wandb_file({"a": 1})]),
    st.binary(max_size=300), cuts_of,
)  # fmt: skip
def test_no_bytes_are_a_fault(head: bytes, data: bytes, cuts: list[int]) -> None:
    for restarts in (False, True):
        grown(FOLDER / "odd", head + data, cuts, restarts)
