"""An open screen's long life: its memory and its share of a core, minute by minute.

Run in a checkout: `python benchmarks/soak.py [--minutes 10] [--idle 10] [--jobs 97] [--held 0]`;
for an hour, `--minutes 40 --idle 20`. In a terminal of its own `vitlab` shows a lab of `--jobs`
ended and `--held` held jobs. For `--minutes` tiny jobs come and go, then nothing happens for
`--idle`. Time and memory are those of the screen's own process, not of the jobs. The summary leaves
out the first minutes: the lab is opened, and a screen grows quiet in about three minutes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from program import Program
from screen import FIRST_MVP, make_job

from vitlab.contract.job import Spec
from vitlab.contract.paths import LabPaths
from vitlab.jobs.queue.scheduler import hold
from vitlab.jobs.store import read_job, submit

STEPS = 20
"""Events of an ended job."""
FIRST = 3
"""Minutes of each part that its summary leaves out."""
PAUSE = 5.0
"""Seconds between two launches of four jobs."""
JOB = """
import time
from vitlab.events import log
for step in range(20):
    log({"val/r2/log_g": 1 - 1 / (step + 2), "train/loss": 1 / (step + 1)}, step=step, of=20)
    print("step", step, flush=True)
    time.sleep(0.2)
"""


def make_lab(root: Path, ended: int, held: int) -> None:
    """An example lab whose MVP 1.0 is four tiny jobs; with jobs that have ended, and held ones."""
    command = [sys.executable, "-m", "vitlab", "init", str(root)]
    subprocess.run(command, check=True, capture_output=True)
    for number in range(ended):
        make_job(root, number, "vit_roadmap", STEPS)
    lab = LabPaths(root)
    for number in range(held):
        exp = f"VIT-20260102-held-{number % 20:02d}"
        spec = Spec("1.0", f"held {number}", "demo", "vit", {}, exp, "roadmaps/vit_roadmap.md")
        job = read_job(submit(lab, spec))
        assert job is not None
        hold(job)
    (root / "job.py").write_text(JOB)
    for path in (root / "experiments").glob("*.yaml"):
        if 'mvp: "1.0"' in path.read_text(encoding="utf-8"):
            path.unlink()
    (root / "experiments" / "tiny.yaml").write_text(
        'mvp: "1.0"\nroadmap: roadmaps/vit_roadmap.md\nrecipe: command\n'
        f'config: {{argv: ["{sys.executable}", job.py]}}\nrepeats: 4\n'
        "headline: val/r2/log_g\nprofiles: {smoke: {}}\n"
    )


@contextmanager
def cycling(root: Path, screen: Program) -> Iterator[None]:
    """Tiny jobs, launched again and again, each time when the last ones have ended."""
    over = threading.Event()
    command = [sys.executable, "-m", "vitlab", "run", "1.0", "--profile", "smoke", "--wait"]

    def launch() -> None:
        while not over.wait(PAUSE):
            done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"vitlab run: {done.returncode} {done.stderr[-500:]}", flush=True)

    thread = threading.Thread(target=launch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        while thread.is_alive():
            screen.drain(0.5)


@dataclass
class Minute:
    """What one minute cost."""

    ended: int
    resident: float
    """MB at its end."""
    share: float
    """Percent of a core."""


def ended_jobs(root: Path) -> int:
    return sum(1 for _ in root.glob("experiments/*/*/exit.json"))


def watch(screen: Program, root: Path, minutes: int, part: str) -> list[Minute]:
    """A row for each minute."""
    rows = []
    for number in range(1, minutes + 1):
        begin, used = time.monotonic(), cpu_seconds(screen)
        screen.drain(60.0)
        taken = time.monotonic() - begin
        share = 100 * (cpu_seconds(screen) - used) / taken
        row = Minute(ended_jobs(root), screen.process.memory_info().rss / 1e6, share)
        rows.append(row)
        print(f"{part:<8}{number:>6}{row.ended:>8}{row.resident:>9.1f}{share:>8.2f}", flush=True)
    return rows


def cpu_seconds(screen: Program) -> float:
    """Processor seconds of its own process; those of the jobs it starts are not in it."""
    times = screen.process.cpu_times()
    return float(times.user + times.system)


def summary(part: str, rows: list[Minute]) -> None:
    rows = rows[FIRST:] or rows
    if not rows:
        return
    share = sum(row.share for row in rows) / len(rows)
    first, last = rows[0].resident, rows[-1].resident
    jobs = rows[-1].ended - rows[0].ended
    print(
        f"{part}: {share:.3f}% of a core; memory {first:.1f} -> {last:.1f} MB "
        f"in {len(rows)} minutes and {jobs} jobs"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=10, help="with jobs that come and go")
    parser.add_argument("--idle", type=int, default=10, help="minutes with none")
    parser.add_argument("--jobs", type=int, default=97, help="jobs that have ended before")
    parser.add_argument("--held", type=int, default=0, help="jobs that are held all the time")
    parser.add_argument("--keys", default="", help="keys pressed first: 2 opens the jobs' screen")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "lab"
        make_lab(root, arguments.jobs, arguments.held)
        screen = Program([sys.executable, "-m", "vitlab"], root)
        try:
            screen.wait(FIRST_MVP)
            screen.drain(10)
            screen.press(b"\x1b")  # the tour, where it came
            screen.drain(2)
            for key in arguments.keys:
                screen.press(key.encode())
                screen.drain(1)
            print(f"{'':<8}{'minute':>6}{'ended':>8}{'MB':>9}{'% core':>8}")
            busy: list[Minute] = []
            if arguments.minutes:
                with cycling(root, screen):
                    busy = watch(screen, root, arguments.minutes, "jobs")
            idle = watch(screen, root, arguments.idle, "idle")
        finally:
            screen.close()
    summary("jobs that come and go", busy)
    summary("idle", idle)


if __name__ == "__main__":
    main()
