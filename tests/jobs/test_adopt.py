"""Runs started by hand, taken in while they run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jobs.conftest import Workshop
from tests.waiting import SLEEP, children, ended, printed, wait_for
from vitlab.contract.events import read_events
from vitlab.contract.job import Running, read_result
from vitlab.contract.paths import UsageError
from vitlab.jobs.logs.tail import LogTail
from vitlab.jobs.processes import process
from vitlab.jobs.queue.adopt import adopt
from vitlab.jobs.queue.scheduler import advance, resume, stop
from vitlab.jobs.store import find_job, read_state

RUN = """
import sys, time
print("epoch 1", flush=True)
with open("metrics.csv", "w") as f:
    f.write("step,test_r2\\n1,0.25\\n")
    f.flush()
    sys.stdin.readline()
    f.write("2,0.5\\n")
print("done", flush=True)
"""


@pytest.fixture
def by_hand(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    with (folder / "train.log").open("wb") as log:
        command = [sys.executable, "-c", RUN]
        run = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=log, stderr=log)
    wait_for(lambda: (folder / "metrics.csv").exists() and (folder / "metrics.csv").read_text())
    yield run
    run.kill()
    run.wait()


def test_watched_to_its_end(shop: Workshop, by_hand: subprocess.Popen[bytes]) -> None:
    log = shop.lab.root.parent / "elsewhere" / "train.log"
    names = {"test_r2": "test/r2/log_g"}
    spec = shop.spec("", extra={"metrics": {"file": "metrics.csv", "names": names}}, run="Run 1")
    job = adopt(shop.lab, spec, by_hand.pid, log)
    assert isinstance(read_state(job), Running)
    assert find_job(shop.lab, job.name) == job
    assert LogTail(job.log).poll() == ["epoch 1"]
    wait_for(lambda: read_events(job.events)[0])
    assert by_hand.stdin is not None
    by_hand.stdin.write(b"\n")
    by_hand.stdin.close()
    by_hand.wait()
    done = ended(job)
    assert (done.outcome, done.code) == ("ok", None)
    assert done.detail == "started by hand: its exit code is not known"
    assert [event.values for event in read_events(job.events)[0]] == [
        {"test/r2/log_g": 0.25},
        {"test/r2/log_g": 0.5},
    ]
    result = read_result(job.result)
    assert result is not None
    assert result.values == {"test/r2/log_g": 0.5}
    with pytest.raises(UsageError, match="started by hand"):
        resume(shop.lab, job)


def test_stopped_like_any_other(shop: Workshop, by_hand: subprocess.Popen[bytes]) -> None:
    job = adopt(shop.lab, shop.spec(""), by_hand.pid)
    assert advance(shop.lab) == []
    stop(job)
    assert ended(job).outcome == "killed"
    assert process(by_hand.pid) is None


def test_what_can_not_be_adopted(shop: Workshop, by_hand: subprocess.Popen[bytes]) -> None:
    with pytest.raises(UsageError, match="process 4194305: no such process"):
        adopt(shop.lab, shop.spec(""), 2**22 + 1)
    with pytest.raises(UsageError, match="no such log"):
        adopt(shop.lab, shop.spec(""), by_hand.pid, Path("/none.log"))
    job = shop.submit(SLEEP)
    advance(shop.lab)
    printed(job)
    [child] = children(job)
    with pytest.raises(UsageError, match="is already a job"):
        adopt(shop.lab, shop.spec(""), child)
    stop(job)
    ended(job)
