"""Four runs of a researcher's own script at once, harmed at random; every number must be theirs.

The script is shaped as a Lightning one: the next free `lightning_logs/version_*`, a file that is
appended to or written anew, a second Trainer for the test, MAE in units of the labels' standard
deviation, a checkpoint, and exit 0 on SIGTERM. It prints every number it writes.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.waiting import children, nothing_runs
from vitlab.contract.events import read_events
from vitlab.contract.job import Done, Lost, Running, ended_well, read_result
from vitlab.contract.paths import JobPaths, LabPaths, UsageError
from vitlab.jobs.experiment.experiment import load_experiment
from vitlab.jobs.files import read_json
from vitlab.jobs.processes import all_processes
from vitlab.jobs.queue.scheduler import advance, resume, stop
from vitlab.jobs.store import read_state, submit

SIGMA = 1.302
SCRIPT = """
import csv, json, os, random, signal, sys, time
rows, kind = int(sys.argv[1]), sys.argv[2]
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
def version():
    n = 0
    while True:
        try:
            os.makedirs(f"lightning_logs/version_{n}")
            return f"lightning_logs/version_{n}/metrics.csv"
        except FileExistsError:
            n += 1
def write(path, log):
    names = sorted({name for row in log for name in row})
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(log)
resumed = "--ckpt" in sys.argv and os.path.exists("last.ckpt")
start = json.load(open("last.ckpt"))["epoch"] if resumed else 0
print("begins", flush=True)
path, log, again = version(), [], []
signal.signal(signal.SIGUSR1, lambda *_: again.append(1))
for epoch in range(start, rows):
    time.sleep(0.05)
    row = {"epoch": epoch, "step": 10 * epoch, "val_r2": random.random()}
    row["val_mae"] = random.random()
    if epoch > rows // 2:
        row["lr"] = 0.1 / (epoch + 1)
    log.append(row)
    print("truth", json.dumps(row), flush=True)
    header = log[0].keys() == row.keys()
    if kind == "anew" or not header or again or len(log) == 1:
        write(path, log)
        again.clear()
    else:
        with open(path, "a", newline="") as file:
            csv.DictWriter(file, sorted(row)).writerow(row)
    with open("new.ckpt", "w") as file:
        json.dump({"epoch": epoch + 1}, file)
    os.replace("new.ckpt", "last.ckpt")
test = {"epoch": rows, "step": 10 * rows, "test_r2": random.random(), "test_mae": random.random()}
print("truth", json.dumps(test), flush=True)
write(version(), [test])
"""
NAMES = {
    "val_r2": ("val/r2/log_g", 1.0),
    "val_mae": ("val/mae/log_g", SIGMA),
    "test_r2": ("test/r2/log_g", 1.0),
    "test_mae": ("test/mae/log_g", SIGMA),
}
YAML = """
mvp: "1.0"
roadmap: roadmaps/r.md
recipe: command
config:
  argv: [{python}, -S, ../../script.py, "{rows}", "{{kind}}"]
  resume_argv: [{python}, -S, ../../script.py, "{rows}", "{{kind}}", --ckpt, last]
  cwd: runs/{{job}}
  epochs: {rows}
matrix: {{kind: [anew, append]}}
repeats: 2
metrics:
  file: lightning_logs/version_*/metrics.csv
  names: {{val_r2: val/r2/log_g, test_r2: test/r2/log_g,
    val_mae: {{as: val/mae/log_g, scale: {sigma}, unit: dex}},
    test_mae: {{as: test/mae/log_g, scale: {sigma}, unit: dex}}}}
"""


def _rounded(number: float | None) -> float | None:
    return number if number is None else round(number, 9)


class OwnRuns:
    """A lab with four such runs."""

    def __init__(self, root: Path, seed: int, rows: int) -> None:
        self.lab = LabPaths(root)
        self.counts: Counter[str] = Counter()
        self._random = random.Random(seed)
        (root / "experiments").mkdir(parents=True)
        (root / "roadmaps").mkdir()
        (root / "vitlab.yaml").write_text("cpu_slots: 4\ngrace: 3\n")
        (root / "script.py").write_text(SCRIPT)
        text = YAML.format(python=sys.executable, rows=rows, sigma=SIGMA)
        experiment = root / "experiments" / "own.yaml"
        experiment.write_text(text)
        specs = load_experiment(experiment).specs("full", "OWN-20260101-x-01")
        self.jobs = [submit(self.lab, spec) for spec in specs]
        self._harms: dict[str, Callable[[JobPaths], bool]] = {
            "stop": self._stop,
            "kill program": self._kill_program,
            "kill supervisor": self._kill_supervisor,
            "kill follower": self._kill_follower,
            "file anew": self._rewrite,
        }

    def harm(self) -> None:
        """One harm to one job, both chosen at random."""
        for job in self.jobs:
            if self._random.random() < 0.5:
                self._resume(job)
        advance(self.lab)
        job = self._random.choice(self.jobs)
        name = self._random.choice(list(self._harms))
        time.sleep(self._random.uniform(0.0, 0.3))
        if self._harms[name](job):
            self.counts[name] += 1
        self.check(job)

    @property
    def all_ended_well(self) -> bool:
        return all(ended_well(read_state(job)) for job in self.jobs)

    def check(self, job: JobPaths) -> None:
        """What the job's files say is what its own program printed."""
        state = read_state(job)
        result = read_result(job.result)
        if not ended_well(state):
            assert result is None or isinstance(state, Running), f"{job.name}: {state}"
            return
        attempts = self._printed(job)
        last = dict(row for rows in attempts[-1:] for row in rows)
        assert result is not None, job.name
        assert result.values == pytest.approx(last), job.name
        assert last.keys() >= {"test/r2/log_g", "test/mae/log_g"}, job.name
        events = read_events(job.events, limit=1 << 30)[0]
        reported = {(n, _rounded(x)) for one in events for n, x in one.values.items()}
        printed = [{(name, _rounded(number)) for name, number in rows} for rows in attempts]
        assert reported <= set().union(*printed), job.name
        assert printed[-1] <= reported, job.name

    def close(self) -> None:
        for job in self.jobs:
            with contextlib.suppress(UsageError):
                stop(job)
        nothing_runs(self.lab.root)

    @staticmethod
    def _printed(job: JobPaths) -> list[list[tuple[str, float]]]:
        """Of each attempt: our names and the numbers, in the order in which they were printed."""
        attempts: list[list[tuple[str, float]]] = []
        for line in job.log.read_text().splitlines():
            if line == "begins":
                attempts.append([])
            elif line.startswith("truth ") and line.endswith("}"):
                row = json.loads(line[6:])
                attempts[-1] += [(NAMES[n][0], NAMES[n][1] * row[n]) for n in NAMES if n in row]
        return attempts

    def _stop(self, job: JobPaths) -> bool:
        if not isinstance(read_state(job), Running):
            return False
        stop(job)
        return True

    def _resume(self, job: JobPaths) -> bool:
        state = read_state(job)
        if not isinstance(state, Done | Lost) or ended_well(state):
            return False
        with contextlib.suppress(UsageError):
            resume(self.lab, job)
            return True
        return False

    def _signal(self, pids: list[int], number: int) -> bool:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return bool(pids)

    def _kill_program(self, job: JobPaths) -> bool:
        return self._signal(self._programs(job), signal.SIGKILL)

    def _kill_follower(self, job: JobPaths) -> bool:
        words = (b"vitlab.jobs.metrics.follow", bytes(job.folder))
        everyone = [one.pid for one in all_processes()]
        return self._signal([p for p in everyone if set(words) <= _argv(p)], signal.SIGKILL)

    def _kill_supervisor(self, job: JobPaths) -> bool:
        state = read_state(job)
        pid = int(read_json(job.started).get("pid", 0)) if isinstance(state, Running) else 0
        return self._signal([pid] if pid else [], signal.SIGKILL)

    def _rewrite(self, job: JobPaths) -> bool:
        """Its program writes its file anew, all rows at once."""
        return self._signal(self._programs(job), signal.SIGUSR1)

    @staticmethod
    def _programs(job: JobPaths) -> list[int]:
        if not isinstance(read_state(job), Running):
            return []
        with contextlib.suppress(KeyError):  # its supervisor has not written `started.json` yet
            return [pid for pid in children(job) if b"../../script.py" in _argv(pid)]
        return []


def _argv(pid: int) -> set[bytes]:
    try:
        return set(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"))
    except OSError:
        return set()


def harmed(root: Path, seed: int, rows: int = 120) -> Counter[str]:
    """Four runs harmed until all have ended well: how often each harm was done."""
    runs = OwnRuns(root, seed, rows)
    try:
        while not runs.all_ended_well:
            runs.harm()
    finally:
        runs.close()
    return runs.counts


def main(count: int, seed: int) -> None:
    """`python -m tests.jobs.own_runs 500 [SEED]`: so many harms, in rounds of four new runs."""
    counts: Counter[str] = Counter()
    for number in itertools.count(seed):
        with tempfile.TemporaryDirectory() as folder:
            counts += harmed(Path(folder) / "lab", number)
        print(counts.total(), dict(counts), flush=True)
        if counts.total() >= count:
            break


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
