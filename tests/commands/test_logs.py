"""`vitlab logs` of real jobs: all of it, bars and lines without an end included."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.waiting import ended, nothing_runs
from vitlab.cli import main
from vitlab.commands import jobs
from vitlab.contract.job import Running, Spec
from vitlab.contract.paths import JobPaths, LabPaths
from vitlab.jobs.queue.scheduler import advance
from vitlab.jobs.store import read_state, submit

Ran = Callable[[str], JobPaths]
LINES = "for i in range(6000): print('line', i, 'x' * 200)"
BAR = """
import sys
for i in range(9):
    sys.stdout.write(f'\\r{i}: r2={i / 10:.3f}')
"""
HUGE = "print('x' * 70_000_000); print('epoch 1 r2=0.8', end='')"


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ran]:
    """A job of a new lab that has run this code."""
    lab = LabPaths(tmp_path / "lab")
    lab.experiments.mkdir(parents=True)
    lab.settings.touch()
    monkeypatch.chdir(lab.root)

    def run(code: str) -> JobPaths:
        config = {"argv": [sys.executable, "-S", "-c", code]}
        job = submit(lab, Spec("1.0", "run", "full", "command", config, "E", "r.md", device="cpu"))
        advance(lab)
        assert ended(job).code == 0
        return job

    yield run
    nothing_runs(lab.root)


@pytest.mark.parametrize("more", [[], ["-f"]])
@pytest.mark.parametrize(
    ("code", "count", "last"),
    [
        (LINES, 6000, "line 5999 " + "x" * 200),
        (BAR, 1, "8: r2=0.800"),
        (HUGE, 2, "epoch 1 r2=0.8"),
    ],
)
def test_all_of_it_is_printed(
    ran: Ran, capsys: pytest.CaptureFixture[str], code: str, count: int, last: str, more: list[str]
) -> None:
    job = ran(code)
    assert main(["logs", job.name, *more]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (len(lines), lines[-1]) == (count, last)
    if code == HUGE:
        assert lines[0] == "x" * 2000 + "... [cut: a line of 70.0 MB]"


def test_a_log_that_was_cut_says_so(ran: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    from vitlab.jobs.process.monitor import cut_log

    job = ran(LINES)
    size = job.log.stat().st_size
    assert cut_log(job.log, limit=1000, kept=500)
    assert main(["logs", job.name]) == 0
    [line] = capsys.readouterr().out.splitlines()
    begin = f"[vitlab] the log had {size} bytes and was cut; its end is in out.1.log, from byte "
    assert line.startswith(begin)


def test_no_output_is_told(ran: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    job = ran("pass")
    assert main(["logs", job.name]) == 0
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", f"{job.name}: no output yet\n")


def test_in_a_terminal_a_bar_moves_on_its_line(
    ran: Ran, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ran(BAR)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    states = iter([Running(0.0, 1, "cpu"), read_state(job)])
    monkeypatch.setattr("vitlab.commands.jobs.read_state", lambda _: next(states))
    monkeypatch.setattr("vitlab.commands.jobs.POLL", 0)
    assert main(["logs", job.name, "-f"]) == 0
    assert capsys.readouterr().out == "8: r2=0.800\r\x1b[K8: r2=0.800\n"


def test_of_a_huge_log_the_end_is_printed_and_what_is_left_out_named(
    ran: Ran, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ran("print('first'); print('second'); print('last', end='')")
    monkeypatch.setattr(jobs, "PRINTED", 12)
    assert main(["logs", job.name]) == 0
    said = capsys.readouterr()
    assert said.out == "second\nlast\n"
    assert said.err.startswith(f"{job.name}: the first 0 MB are left out; `less {job.log}` shows")


def test_a_log_that_is_none_is_one_line(
    ran: Ran, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    job = ran("print('said')")
    job.log.rename(tmp_path / "elsewhere")
    job.log.symlink_to(tmp_path / "elsewhere")  # as of a run that was started by hand
    assert main(["logs", job.name]) == 0
    assert capsys.readouterr().out == "said\n"
    job.log.unlink()
    os.mkfifo(job.log)
    assert main(["logs", job.name]) == 2
    assert capsys.readouterr().err == f"vitlab: {job.log}: is a pipe (FIFO)\n"
