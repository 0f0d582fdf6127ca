"""Faults injected into a real lab, one after the other, and what must be true after each."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.waiting import nothing_runs, wait_for
from vitlab.contract.job import Done, Lost, Running, Spec
from vitlab.contract.paths import JobPaths, LabPaths, UsageError
from vitlab.jobs import processes
from vitlab.jobs.files import read_json
from vitlab.jobs.queue.scheduler import advance, resume
from vitlab.jobs.store import job_folders, read_state, submit

# A job that says it has begun, notices a twin, and has a child of its own.
JOB = """
import fcntl, os, subprocess, sys, time
ledger, seconds, job = sys.argv[1], sys.argv[2], os.environ["VITLAB_JOB"]
only = open(job + "/only", "w")
try:
    fcntl.flock(only, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    open(ledger + "/twice", "a").write(job + "\\n")
open(ledger + "/begun", "a").write(job + "\\n")
open(job + "/events.jsonl", "a").write('{"v":1,"t":%f,"kind":"start"}\\n' % time.time())
sleeper = [sys.executable, "-S", "-c", "import sys, time; time.sleep(float(sys.argv[1]))", seconds]
subprocess.run(sleeper)
"""


def schedule(lab: LabPaths, **environment: str) -> subprocess.Popen[bytes]:
    """A scheduler of its own: a process as any command or supervisor would be."""
    argv = [sys.executable, "-P", "-m", "vitlab.jobs.queue.scheduler", str(lab.root)]
    return subprocess.Popen(argv, env={**os.environ, **environment})


class Screen:
    """What the screen's watcher does, as fast as it can, in a process of its own."""

    CODE = (
        "import sys; from pathlib import Path; from vitlab.lab.lab import open_lab; "
        "from vitlab.tui.watch.reader import LabReader\n"
        "reader = LabReader(open_lab(Path(sys.argv[1])))\n"
        "looks = open(sys.argv[2], 'ab', buffering=0)\n"
        "while True: reader.read(None); looks.write(b'.')"
    )

    def __init__(self, lab: LabPaths) -> None:
        self._looks = lab.root.parent / f"looks-{time.monotonic_ns()}"
        argv = [sys.executable, "-c", self.CODE, str(lab.root), str(self._looks)]
        self._process = subprocess.Popen(argv)

    def wait(self, looks: int = 1) -> None:
        """Wait until it has looked at the lab so often again."""
        begun = self._count()

        def looked() -> bool:
            assert self._process.poll() is None, "a screen died"
            return self._count() >= begun + looks

        wait_for(looked)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _count(self) -> int:
        return self._looks.stat().st_size if self._looks.exists() else 0


@dataclass
class Campaign:
    """One lab that is maltreated."""

    root: Path
    seed: int
    submitted: list[JobPaths] = field(default_factory=list)
    deleted: set[Path] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    seconds: tuple[float, ...] = (0, 0.3, 1.0, 2.0)
    """How long the jobs take."""
    lag: float = 0.0
    """Longest time, in seconds, until the states were true after a fault."""
    allowed: float = 2.0
    """How long that may take."""

    disk: int = 0
    """Bytes of a file system of its own (needs root); 0: none."""

    def __post_init__(self) -> None:
        if self.disk:
            self.root.mkdir(parents=True)
            size = f"size={self.disk}"
            subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", self.root], check=True)
        self.random = random.Random(self.seed)
        self.ledger = self.root.parent
        """Where the jobs say that they ran: not on the disk that is filled."""
        self.lab = LabPaths(self.root)
        self.lab.experiments.mkdir(parents=True)
        self.lab.settings.write_text("cpu_slots: 2\ngrace: 1\n")

    def close(self) -> None:
        """Give the file system back."""
        if self.disk:
            subprocess.run(["umount", "--lazy", self.root], check=True)

    def run(
        self,
        name: str,
        fault: Callable[[Campaign], bool | None],
        count: int = 3,
        begun: bool = False,
    ) -> None:
        """Some jobs, one fault, what people do then; everything must be true afterwards.

        The fault comes at any moment, or with `begun` when one of the jobs runs. One that found
        nothing to harm is not counted.
        """
        fresh = [self._submit() for _ in range(count)]
        self.submitted += fresh
        schedule(self.lab).wait()
        if begun:
            wait_for(lambda: {str(job.folder) for job in fresh} & {*self._begun()})
        else:
            time.sleep(self.random.uniform(0, 0.5))
        if fault(self) is not False:
            self.counts[name] += 1
        self.lag = max(self.lag, self._until_true())
        self._recover()
        self._check()

    def _submit(self) -> JobPaths:
        seconds = str(self.random.choice(self.seconds))
        argv = [sys.executable, "-S", "-c", JOB, str(self.ledger), seconds]
        spec = Spec(
            mvp="1.0",
            run="fault",
            profile="full",
            recipe="command",
            config={"argv": argv},
            exp_id="F-1",
            roadmap="roadmaps/r.md",
        )
        return submit(self.lab, spec)

    def pick(self, kind: type = Running) -> JobPaths:
        """One of the jobs in a state; of all when there is none."""
        fit = [job for job in self.alive() if isinstance(read_state(job), kind)]
        return self.random.choice(fit or self.alive())

    def supervisor(self) -> int:
        """The pid of a live supervisor; 0 when none runs."""
        found = read_json(self.pick().started)
        pid, ticks = found.get("pid", 0), found.get("ticks", 0)
        return pid if pid and processes.is_alive(pid, ticks) else 0

    def members(self) -> list[int]:
        """The processes of a running job, its supervisor not counted: child, grandchild."""
        job = self.pick()
        found = read_json(job.started)
        if not found:
            return []
        return [p.pid for p in processes.members(found["session"], found["ticks"], job.folder)]

    def alive(self) -> list[JobPaths]:
        return [job for job in self.submitted if job.folder not in self.deleted]

    def _until_true(self) -> float:
        """Wait until no job whose supervisor is dead reads as running: seconds it took."""
        begun = time.monotonic()

        def true() -> bool:
            for job in self.alive():
                now = read_state(job)
                if not isinstance(now, Running) or now.pid == 0:
                    continue
                one = processes.process(now.pid)
                if one is None and isinstance(read_state(job), Running):
                    return False
            return True

        wait_for(true, self.allowed)
        return time.monotonic() - begun

    def _recover(self) -> None:
        """Somebody comes by: what is lost is resumed, and the queue drains."""

        def drained() -> bool:
            for job in self.alive():
                if isinstance(read_state(job), Lost):
                    with contextlib.suppress(UsageError):
                        resume(self.lab, job)
            advance(self.lab)
            return all(isinstance(read_state(job), Done) for job in self.alive())

        wait_for(drained)

    def _check(self) -> None:
        known = set(job_folders(self.lab))
        missing = [job.name for job in self.alive() if job not in known]
        assert not missing, f"lost: {missing}"
        twice = self.ledger / "twice"
        assert not twice.exists(), f"two at once: {twice.read_text()}"
        begun = Counter(self._begun())
        for job in self.alive():
            runs = len(list(job.folder.glob("started*.json")))
            assert begun[str(job.folder)] <= runs, f"{job.name}: begun more often than started"
            done = read_state(job)
            assert isinstance(done, Done)
            if done.outcome == "ok":
                assert begun[str(job.folder)] >= 1, f"{job.name}: ok without having run"
        nothing_runs(self.root)

    def _begun(self) -> list[str]:
        """The folders of the jobs that said they began, as often as they did."""
        ledger = self.ledger / "begun"
        return ledger.read_text().split() if ledger.exists() else []
