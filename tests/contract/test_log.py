"""`vitlab.events.log` in programs of others: whatever it is given, the program goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import vitlab.events
from vitlab.contract.events import Event, EventWriter, read_events
from vitlab.events import log

NAN, INF = float("nan"), float("inf")


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the job that this process is taken for."""
    monkeypatch.setenv("VITLAB_JOB", str(tmp_path))
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("SLURM_PROCID", raising=False)
    monkeypatch.setattr(vitlab.events, "_warned", set())
    for name, empty in (("_opened", {}), ("_waiting", {}), ("_marked", set())):
        monkeypatch.setattr(vitlab.events, name, empty)
    return tmp_path


def events(folder: Path) -> list[Event]:
    return read_events(folder / "events.jsonl")[0]


@pytest.mark.parametrize(
    "half",
    [
        np.float32(0.5),
        np.float64(0.5),
        np.array(0.5),
        np.array([[0.5]]),
        torch.tensor(0.5),
        torch.tensor([0.5], requires_grad=True),
        torch.tensor(0.5, dtype=torch.bfloat16),
        Decimal("0.5"),
        "0.5",
        np.longdouble(0.5),
    ],
    ids=repr,
)
def test_every_kind_of_scalar_is_its_number(job: Path, half: Any) -> None:
    log({"val/r2/log_g": half, "train/loss": half}, np.int64(3), of=torch.tensor(9), epoch=half)
    evaluation, step = events(job)
    assert (evaluation.kind, evaluation.data["split"]) == ("eval", "val")
    assert evaluation.values == {"val/r2/log_g": 0.5}
    assert step.values == {"train/loss": 0.5}
    for event in (evaluation, step):
        assert {k: event.data[k] for k in ("step", "of", "epoch")} == {
            "step": 3, "of": 9, "epoch": 0.5,
        }  # fmt: skip


def test_what_is_no_number_is_left_out_and_told_once(
    job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd: dict[str, Any] = {
        "val/r2/a": None,
        "val/r2/b": "n/a",
        "val/r2/c": np.zeros(2),
        "val/r2/d": 10**400,
        "val/r2/e": np.ma.masked,
    }
    for step in (1, 2):
        log({"val/r2/log_g": 0.5, **odd, "val/mae/log_g": NAN}, step)
    assert [event.values for event in events(job)] == [
        {"val/r2/log_g": 0.5, "val/mae/log_g": None}
    ] * 2
    assert capsys.readouterr().err.splitlines() == [
        "vitlab.events.log: val/r2/a: None is not a number; left out",
        "vitlab.events.log: val/r2/b: 'n/a' is not a number; left out",
        "vitlab.events.log: val/r2/c: ndarray is not a number; left out",
        "vitlab.events.log: val/r2/d: int is not a number; left out",
        "vitlab.events.log: val/r2/e: MaskedConstant is not a number; left out",
    ]


def test_an_odd_step_is_the_next_one_and_an_odd_epoch_is_left_out(
    job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for step in (7.0, NAN, None, INF, "x", 12):
        log({"train/loss": 1, "val/loss": 2}, step, epoch=NAN)  # type: ignore[arg-type]
    log({"train/loss": 1, "val/loss": 2})
    assert [event.step for event in events(job)] == [at for at in range(7, 14) for _ in range(2)]
    assert all("epoch" not in event.data for event in events(job))
    assert capsys.readouterr().err.splitlines() == [
        "vitlab.events.log: epoch: nan is not a finite number, left out",
        "vitlab.events.log: step: nan is not a finite number, the next one is used",
    ]


def test_the_writer_itself_takes_odd_places(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventWriter(path) as writer:
        assert writer.write("step", step=4, values={"a/b": 1}) == {}
        odd = writer.write("step", step=NAN, epoch=INF, of="?", values={"a/b": "x", "a/c": 2})
    assert set(odd) == {"step", "epoch", "of", "a/b"}
    assert [event.step for event in read_events(path)[0]] == [4, 5]
    assert read_events(path)[0][1].values == {"a/c": 2}


class Raises(Mapping[str, float]):
    """A program's own class with a fault."""

    def __getitem__(self, _: str) -> float:
        raise KeyError

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("not now")

    def __len__(self) -> int:
        return 1


class NoNumber:
    """Claims to be a number."""

    def __float__(self) -> float:
        raise ZeroDivisionError

    def __repr__(self) -> str:
        raise ZeroDivisionError


_ODD = st.one_of(
    st.none(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=3),
    st.complex_numbers(), st.decimals(), st.sampled_from([True, NoNumber(), [1], 10**400, print]),
)  # fmt: skip
_NAMES = st.one_of(st.text(max_size=8), st.none(), st.integers(), st.just("\udc80\n"))


@given(st.dictionaries(_NAMES, _ODD, max_size=4), _ODD, _ODD, _ODD)
def test_nothing_raises_and_every_line_can_be_read(values: Any, step: Any, of: Any, e: Any) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        os.environ["VITLAB_JOB"] = folder
        try:
            log(values, step, of, e)
            log({"train/loss": 1.0}, 1)
        finally:
            del os.environ["VITLAB_JOB"]
            vitlab.events._opened.pop(folder).close()
        lines = Path(folder, "events.jsonl").read_bytes().splitlines()
        assert len(events(Path(folder))) == len(lines)
        assert json.loads(lines[-1])["values"] == {"train/loss": 1.0}


def test_odd_mappings_are_told(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log(Raises(), 1)
    log(0.5, 2)  # type: ignore[arg-type]
    log({5: 1.0, "val//": 2.0, "": 3.0}, 3)  # type: ignore[dict-item]
    assert [event.values for event in events(job)] == [{"5": 1.0, "val//": 2.0, "": 3.0}]
    err = capsys.readouterr().err
    assert err == "vitlab.events.log: numbers are lost: RuntimeError: not now\n"


def test_a_folder_lost_and_back(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log({"train/loss": 1.0}, 1)
    gone = job.rename(job.with_name("gone"))
    for step in (2, 3):
        log({"train/loss": 1.0}, step)
    assert capsys.readouterr().err == (
        f"vitlab.events.log: {job}: No such file or directory: numbers wait to be written\n"
    )
    job.mkdir()
    log({"train/loss": 1.0}, NAN)
    assert [event.step for event in events(gone)] == [1]
    assert [event.step for event in events(job)] == [2, 3, 4]
    assert not (job / "unwritten").exists()


def test_a_closed_descriptor_writes_into_no_other_file(job: Path) -> None:
    log({"train/loss": 1.0}, 1)
    os.close(vitlab.events._opened[str(job)]._descriptor)
    with (job / "mine.bin").open("wb") as mine:  # takes the number that is free
        log({"train/loss": 1.0}, 2)
        mine.write(b"mine")
    assert (job / "mine.bin").read_bytes() == b"mine"
    assert [event.step for event in events(job)] == [1, 2]


def test_a_fork_goes_on(job: Path) -> None:
    log({"train/loss": 1.0}, 1)
    child = os.fork()
    if child == 0:
        for step in range(100):
            log({"train/loss": 2.0}, step)
        os._exit(0)
    for step in range(100):
        log({"train/loss": 3.0}, step)
    os.waitpid(child, 0)
    assert len(events(job)) == 201


_FULL = """
import resource, signal, sys
from vitlab.events import log
log({"train/loss": 1.0}, 1)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
for step in range(2, 5):
    log({"train/loss": 1.0, "test/r2/a": 0.1 * step}, step)
if sys.argv[1] != "never":
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
if sys.argv[1] == "soon":
    log({"train/loss": 1.0}, 5)
print("survived")
"""


@pytest.mark.parametrize(
    ("free", "steps"),
    [("soon", [1, 2, 2, 3, 3, 4, 4, 5]), ("at its end", [1, 2, 2, 3, 3, 4, 4]), ("never", [1])],
)
def test_a_full_disk_ends_no_run_and_loses_no_number_unseen(
    tmp_path: Path, free: str, steps: list[int]
) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _FULL, free],
        env={**os.environ, "VITLAB_JOB": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "survived\n"
    full = f"vitlab.events.log: {tmp_path}: File too large: numbers wait to be written\n"
    assert ran.stderr == full
    assert [event.step for event in events(tmp_path)] == steps
    assert (tmp_path / "unwritten").exists() is (free == "never")


def test_no_stderr(tmp_path: Path) -> None:
    code = (
        "import sys; sys.stderr.close(); from vitlab.events import log; log(None, 1); print('on')"
    )
    environment = {**os.environ, "VITLAB_JOB": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "on\n"
