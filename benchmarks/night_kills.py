"""Real nights of the autopilot, while what carries it on is killed with SIGKILL.

Three roadmaps of short programs, some of which fail; each tells a ledger outside the lab when it
begins. `vitlab auto`, an open screen, and the process that a job's end starts are killed at moments
drawn from the seed. Afterwards it is left alone until it has ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vitlab.jobs.processes import all_processes, proc_file
from vitlab.lab.lab import open_lab
from vitlab.lab.writeback.edits import undo

NAMES = ("roadmap_a", "roadmap_b", "roadmap_c")
MVPS, RUNS = 5, 3
"""Of each roadmap, and of each MVP."""
PATIENCE = 900.0
"""Seconds until a night that is left alone must have ended."""
TOLD = 20
"""Of what is wrong with a night."""
PROGRAM = """\
import sys, time
ledger, name, mvp, run, seconds, code = sys.argv[1:]
with open(ledger, "a") as file:
    file.write(f"{name} {mvp} {run}\\n")
time.sleep(float(seconds))
sys.exit(int(code))
"""
HEAD = """\
# Plan

**Project:** `VIT`

| MVP | Name | Phase | Gate | Status | exp_id | Report |
|-----|------|-------|------|--------|--------|--------|
"""
VITLAB = (sys.executable, "-m", "vitlab")
STEP = b"vitlab.lab.autopilot.step"


@dataclass
class Night:
    """One lab, its ledger, and what its programs are to do."""

    root: Path
    draw: random.Random
    codes: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """Roadmap, MVP and run -> the program's exit status."""

    @property
    def ledger(self) -> Path:
        return self.root.with_suffix(".ledger")

    def make(self) -> None:
        (self.root / "roadmaps").mkdir(parents=True)
        (self.root / "experiments").mkdir()
        (self.root / "vitlab.yaml").write_text("profile: full\ngrace: 1\ncpu_slots: 2\n")
        program = self.root / "program.py"
        program.write_text(PROGRAM)
        self.ledger.touch()
        for name in NAMES:
            rows = (f"| {n}.0 | Run {n} | 1 | - | ⏳ | - | - |\n" for n in range(1, MVPS + 1))
            (self.root / f"roadmaps/{name}.md").write_text(HEAD + "".join(rows))
            for n in range(1, MVPS + 1):
                self._experiment(program, name, f"{n}.0")

    def _experiment(self, program: Path, name: str, mvp: str) -> None:
        """At least one of its runs ends well: three failed launches in a row would end it."""
        runs = []
        for k in range(RUNS):
            code = 3 if k and self.draw.random() < 0.3 else 0
            self.codes[name, mvp, f"r{k}"] = code
            seconds = f"{self.draw.uniform(0.0, 0.6):.2f}"
            runs.append(f"{{name: r{k}, set: {{seconds: {seconds}, code: {code}}}}}")
        words = [sys.executable, "-S", str(program), str(self.ledger), name, mvp]
        argv = json.dumps([*words, "{run}", "{seconds}", "{code}"])
        text = f'mvp: "{mvp}"\nroadmap: roadmaps/{name}.md\nrecipe: command\n'
        text += f"config: {{argv: {argv}}}\nruns: [{', '.join(runs)}]\n"
        (self.root / f"experiments/{name}{mvp[0]}.yaml").write_text(text)

    def auto(self) -> list[str]:
        """Starts it where it has not been started, and shows it where it has."""
        has = (self.root / ".vitlab/autopilot.json").exists()
        return [*VITLAB, "auto", *([] if has else ["--budget", "4h", "--jobs", "2"])]

    def state(self) -> dict[str, object]:
        with contextlib.suppress(OSError, ValueError):
            found = json.loads((self.root / ".vitlab/autopilot.json").read_bytes())
            return found if isinstance(found, dict) else {}
        return {}

    @property
    def has_ended(self) -> bool:
        return bool(self.state().get("told"))

    def steps(self) -> list[int]:
        """The pids of what carries it on."""
        return [pid for pid, words in self._processes() if STEP in words]

    def processes(self) -> list[int]:
        return [pid for pid, _ in self._processes()]

    def _processes(self) -> Iterator[tuple[int, bytes]]:
        for one in all_processes():
            with contextlib.suppress(OSError):
                words = proc_file(one.pid, "cmdline")
                if os.fsencode(self.root) in words and one.pid != os.getpid():
                    yield one.pid, words


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def kill_auto(night: Night) -> bool:
    """`vitlab auto`, which starts it, follows it or shows it; whether it still ran."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(night.auto(), cwd=night.root, stdout=quiet, stderr=quiet)
    time.sleep(night.draw.uniform(0.0, 2.5))
    ran = process.poll() is None
    process.kill()
    process.wait()
    return ran


def kill_screen(night: Night) -> bool:
    """An open screen of 80x24."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(night.root)
        os.environ.update({"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"})
        os.execv(sys.executable, [*VITLAB])
    end = time.monotonic() + night.draw.uniform(0.0, 6.0)
    os.set_blocking(terminal, False)
    while time.monotonic() < end:  # it must not wait for us
        with contextlib.suppress(OSError):
            os.read(terminal, 1 << 16)
        time.sleep(0.02)
    kill(pid)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return os.WIFSIGNALED(status)


def kill_step(night: Night) -> bool:
    """What job ends and looks start: all that run, and one more that begins now."""
    argv = [sys.executable, "-P", "-X", "utf8", "-m", STEP.decode(), str(night.root)]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(argv, cwd=night.root, stdout=quiet, stderr=quiet)
    time.sleep(night.draw.uniform(0.0, 2.0))
    ran = process.poll() is None
    for pid in night.steps():
        kill(pid)
    process.wait()
    return ran


KINDS = {"vitlab auto": kill_auto, "screen": kill_screen, "step": kill_step}


def kill_night(root: Path, seed: int, kills: int) -> tuple[list[str], list[str]]:
    """So many kills of each kind, over as many nights as they take: a table, and what was wrong."""
    draw = random.Random(seed)
    left = [kind for kind in KINDS for _ in range(kills)]
    draw.shuffle(left)
    hit: Counter[str] = Counter()
    lines, wrong = [], []
    number = 0
    while left or number == 0:
        number += 1
        night = Night(root / f"night{number}", draw)
        night.make()
        before = _documents(night.root)
        began, here = time.monotonic(), 0
        while left and not night.has_ended:
            kind = left.pop()
            here += 1
            hit[kind] += KINDS[kind](night)
        _let_end(night)
        found = check(night)
        lab = open_lab(night.root)
        while _documents(night.root) != before:
            if not undo(lab).changes:
                found.append("undo does not bring the documents back")
                break
        took = time.monotonic() - began
        lines.append(f"night {number}: {here} kills, {_ledger(night).total()} jobs, {took:.0f} s")
        wrong += [f"night {number}: {one}" for one in found[:TOLD]]
    each = ", ".join(f"{kind} {kills} ({hit[kind]} while it ran)" for kind in KINDS)
    return [f"SIGKILL: {each}", *lines], wrong


def _let_end(night: Night) -> None:
    """Look at it, as a person does in the morning, until it has ended and nothing runs."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and (not night.has_ended or night.processes()):
        subprocess.run(
            night.auto(), cwd=night.root, capture_output=True, check=False, timeout=PATIENCE
        )
        time.sleep(0.5)


def _ledger(night: Night) -> Counter[tuple[str, ...]]:
    """How often each run's program has begun."""
    return Counter(tuple(line.split()) for line in night.ledger.read_text().splitlines())


def _documents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / "roadmaps").glob("*.md")}


def check(night: Night) -> list[str]:
    """What is wrong, by the ledger and the files of the jobs."""
    wrong = []
    state = night.state()
    if not night.has_ended or state.get("why") != "nothing is left":
        wrong.append(f"it is {state.get('state')}: {state.get('why')}")
    for pid in night.processes():
        wrong.append(f"process {pid} is left")
        kill(pid)
    begun = _ledger(night)
    wrong += [f"{key}: begun {begun[key]} times" for key in night.codes if begun[key] != 1]
    specs = [json.loads(path.read_bytes()) for path in night.root.glob("experiments/*/*/spec.json")]
    folders = Counter((Path(one["roadmap"]).stem, one["mvp"], one["run"]) for one in specs)
    wrong += [f"{key}: {folders[key]} job folders" for key in night.codes if folders[key] != 1]
    ends = Counter(
        json.loads(path.read_bytes())["reason"]
        for path in night.root.glob("experiments/*/*/exit.json")
    )
    asked = Counter("failed" if code else "ok" for code in night.codes.values())
    if ends != asked:
        wrong.append(f"ends are {dict(ends)}, the programs' {dict(asked)}")
    pages = list((night.root / "roadmaps").glob("auto_*.md"))
    if len(pages) != 1:
        return [*wrong, f"{len(pages)} reports"]
    return wrong + _check_page(night, pages[0].read_text(encoding="utf-8"), asked)


def _check_page(night: Night, page: str, asked: Counter[str]) -> list[str]:
    wrong = []
    total = ", ".join(f"{number} {word}" for word, number in sorted(asked.items()))
    if f"| **All** | {len(NAMES) * MVPS} launches | {total} |" not in page:
        wrong.append(f"the report's last row is not: {total}")
    for name in NAMES:
        for n in range(1, MVPS + 1):
            codes = [code for (a, b, _), code in night.codes.items() if (a, b) == (name, f"{n}.0")]
            ends = Counter("failed" if code else "ok" for code in codes)
            text = ", ".join(f"{number} {word}" for word, number in sorted(ends.items()))
            row = rf"^\| roadmaps/{name}\.md: MVP-{n}\.0 \| full \| {text} \|"
            if len(re.findall(row, page, re.M)) != 1:
                wrong.append(f"the report does not say of {name} {n}.0: {text}")
    return wrong
