"""Measures the job side: `python benchmarks/jobs.py [--jobs 1000]`.

One decision over 1,000 jobs, looks at 2,000 waiting ones, a supervisor's memory and CPU time, the
latency of a start and of a death, ten logs of 1,000 lines a second followed, a CSV of 600,000 rows
followed, and N jobs of no length drained to the end.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from vitlab.contract.job import Done, Queued, Running, Spec
from vitlab.contract.paths import JobPaths, LabPaths
from vitlab.jobs import processes
from vitlab.jobs.logs.tail import EventTail, LogTail
from vitlab.jobs.queue.machine import Machine
from vitlab.jobs.queue.queue import plan
from vitlab.jobs.queue.scheduler import advance, stop
from vitlab.jobs.store import SETTLED, Job, all_jobs, read_state, submit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    arguments = parser.parse_args()
    decision()
    with tempfile.TemporaryDirectory() as folder:
        looks(_lab(Path(folder) / "waiting"))
        supervisor(_lab(Path(folder) / "one"))
        tails(Path(folder))
        metrics(Path(folder))
        drain(_lab(Path(folder) / "many"), arguments.jobs)


def decision() -> None:
    """The pure decision over 1,000 waiting jobs."""
    jobs = [
        Job(JobPaths(Path(f"/lab/experiments/E/{i}")), _spec(""), Queued(float(i)), order=i)
        for i in range(1000)
    ]
    jobs += [replace(jobs[0], state=Running(0.0, 1, "cpu"))]
    times = [_timed(lambda: plan(jobs, Machine(cpu=4))) for _ in range(20)]
    print(f"decision over 1,000 jobs: {1e3 * statistics.median(times):.1f} ms")


def looks(lab: LabPaths, count: int = 2000) -> None:
    """Looks at many waiting jobs, as a screen has each second; the first reads them all."""
    for _ in range(count):
        submit(lab, _spec(""))
    time.sleep(SETTLED + 0.1)
    times = [_timed(lambda: plan(all_jobs(lab), Machine(cpu=0))) for _ in range(11)]
    later = f"{1e3 * statistics.median(times[1:]):.0f} ms later"
    print(f"look at {count} waiting jobs: {1e3 * times[0]:.0f} ms at first, {later}")


def supervisor(lab: LabPaths) -> None:
    """What one supervisor costs, and how fast a start and a death are."""
    code = "import os, time; open(os.environ['VITLAB_JOB'] + '/up', 'w'); time.sleep(60)"
    starts, deaths = [], []
    for i in range(5):
        job = submit(lab, _spec(code))
        begun = time.monotonic()
        advance(lab)
        _until(lambda job=job: (job.folder / "up").exists())  # type: ignore[misc]
        starts.append(time.monotonic() - begun)
        now = read_state(job)
        assert isinstance(now, Running)
        if i == 0:
            before = processes.process(now.pid)
            time.sleep(20)
            after = processes.process(now.pid)
            assert before is not None
            assert after is not None
            ticks = after.cpu_ticks - before.cpu_ticks
            percent = 100 * ticks / os.sysconf("SC_CLK_TCK") / 20
            print(f"supervisor: {after.resident / 1e6:.1f} MB resident, {percent:.2f}% of a core")
        [child] = processes.members(now.pid, 0, job.folder)
        begun = time.monotonic()
        os.kill(child.pid, 9)
        _until(lambda job=job: isinstance(read_state(job), Done))  # type: ignore[misc]
        deaths.append(time.monotonic() - begun)
        stop(job)
    print(f"submit to running: {1e3 * statistics.median(starts):.0f} ms (median of 5)")
    print(f"death to visible: {1e3 * statistics.median(deaths):.0f} ms (median of 5)")


def tails(folder: Path, seconds: float = 10.0) -> None:
    """Ten logs and ten event files, 1,000 lines a second each, looked at four times a second."""
    logs = [folder / f"{i}.log" for i in range(10)]
    events = [folder / f"{i}.jsonl" for i in range(10)]
    followed = [LogTail(path) for path in logs], [EventTail(path) for path in events]
    text = b"epoch 3 step 1234 loss 0.1234 val/r2 0.5678\n" * 250
    event = b'{"v":1,"t":1.0,"kind":"step","step":1,"values":{"train/loss":0.5}}\n' * 250
    spent, lines = 0.0, 0
    for _ in range(int(seconds * 4)):
        for path, block in [(p, text) for p in logs] + [(p, event) for p in events]:
            with path.open("ab") as file:
                file.write(block)
        begun = time.process_time()
        lines += sum(len(tail.poll()) for kind in followed for tail in kind)
        spent += time.process_time() - begun
        time.sleep(0.01)
    percent = 100 * spent / seconds
    print(f"following 10 logs and 10 event files: {lines} lines, {percent:.1f}% of a core")


FOLLOW = """
import resource, sys, time
from pathlib import Path
from vitlab.contract.events import EventWriter
from vitlab.jobs.metrics.files import FileFollower
from vitlab.jobs.metrics.source import read_source
folder, begun = Path(sys.argv[1]), time.process_time()
names = {"train_loss": "train/loss", "val_r2": "val/r2/log_g"}
follower = FileFollower(read_source({"metrics": {"file": "x", "names": names}}), folder / "big.csv")
with EventWriter(folder / "big.jsonl") as writer:
    for last in (False, True):
        for kind, data in follower.poll(last):
            writer.write(kind, **data)
spent, peak = time.process_time() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
size = (folder / "big.jsonl").stat().st_size
print(f"600,000 rows of CSV: {spent:.2f} s, {peak / 1e3:.0f} MB, {size / 1e6:.2f} MB of events")
"""


def metrics(folder: Path, rows: int = 600_000) -> None:
    """What it costs to follow a program's CSV with a row for each step."""
    with (folder / "big.csv").open("w") as file:
        file.write("epoch,step,train_loss,val_r2\n")
        file.writelines(f"{i * 10 // rows},{i},0.{i:06d},0.500\n" for i in range(rows))
    for _ in range(3):
        (folder / "big.jsonl").unlink(missing_ok=True)
        subprocess.run([sys.executable, "-c", FOLLOW, str(folder)], check=True)


def drain(lab: LabPaths, count: int) -> None:
    """Jobs of no length, one after the other, with nobody watching."""
    for _ in range(count):
        submit(lab, _spec(argv=("true",)))
    begun = time.monotonic()
    advance(lab)
    _until(lambda: lab.private.lease.exists())
    while any(isinstance(job.state, Queued | Running) for job in all_jobs(lab)):
        time.sleep(1.0)
    took = time.monotonic() - begun
    done = [job for job in all_jobs(lab) if isinstance(job.state, Done)]
    assert all(isinstance(job.state, Done) and job.state.outcome == "ok" for job in done)
    time.sleep(2.0)
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if _names(path, lab)]
    open_here = len(list(Path("/proc/self/fd").iterdir()))
    print(
        f"drained {len(done)} of {count} jobs in {took:.0f} s ({1e3 * took / count:.0f} ms each), "
        f"{len(left)} processes left, {open_here} descriptors open here"
    )


def _lab(root: Path) -> LabPaths:
    (root / "experiments").mkdir(parents=True)
    return LabPaths(root)


def _spec(code: str = "", argv: tuple[str, ...] = ()) -> Spec:
    config = {"argv": list(argv or (sys.executable, "-S", "-c", code))}
    return Spec("1.0", "main", "full", "command", config, "E", "r.md", device="cpu")


def _names(path: Path, lab: LabPaths) -> bool:
    try:
        return str(lab.root).encode() in path.read_bytes()
    except OSError:
        return False


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _until(true: Callable[[], bool]) -> None:
    while not true():
        time.sleep(0.001)


if __name__ == "__main__":
    main()
