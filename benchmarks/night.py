"""A night of the autopilot: `python benchmarks/night.py [--seed N] [--jobs 200] [--kills 30]`.

First a night simulated over files alone: 200 jobs of three roadmaps, whose ends, failures among
them, are drawn and written as a supervisor would, so that documents, gates and the report are the
real ones. Then a real one (`night_kills.py`): short programs, while what carries it on is killed
with SIGKILL at drawn moments. What the report says is held against what was drawn, or against what
the programs have written outside the lab. Exit status 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from night_kills import kill_night

from vitlab.contract.job import Queued, Result, write_result
from vitlab.jobs.files import write_json
from vitlab.jobs.processes import boot
from vitlab.jobs.queue import scheduler
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.autopilot import control
from vitlab.lab.autopilot.budget import hours_text
from vitlab.lab.autopilot.record import Autopilot, read_autopilot
from vitlab.lab.autopilot.step import carry_on
from vitlab.lab.lab import Lab, open_lab
from vitlab.lab.writeback.edits import undo

NAMES = ("roadmap_a", "roadmap_b", "roadmap_c")
"""The roadmaps; of the first the gate passes, of the second it fails, of the third it is open."""
GATE_SCORE = dict(zip(NAMES, (0.9, 0.1, 0.68), strict=True))
EACH = 4
"""Runs of each MVP."""
OUTCOMES = {"ok": 80, "failed": 12, "oom": 4, "lost": 4}
"""How jobs end, each by its share of a hundred."""
HEAD = """\
# Plan {name}

**Project:** `VIT`

### Gate-1: Is it good

| Item | Content |
|------|---------|
| MVP | MVP-1.0 |
| If R² > 0.70 | ✅ go on with MVP-2.0 |
| If R² < 0.65 | 🔴 think again |
| Status | ⏳ planned |

| MVP | Name | Phase | Gate | Status | exp_id | Report |
|-----|------|-------|------|--------|--------|--------|
"""


@dataclass
class Truth:
    """What was drawn, by roadmap and MVP."""

    ends: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    hours: dict[tuple[str, str], float] = field(default_factory=dict)

    def add(self, job: Job, outcome: str, seconds: float) -> None:
        key = (job.spec.roadmap, job.spec.mvp)
        word = {"oom": "failed"}.get(outcome, outcome)
        self.ends.setdefault(key, Counter())[word] += 1
        self.hours[key] = self.hours.get(key, 0.0) + seconds / 3600


def make_lab(root: Path, jobs: int) -> Lab:
    """As many MVPs as are launched together with those that the gates stop."""
    (root / "roadmaps").mkdir(parents=True)
    (root / "experiments").mkdir()
    settings = "profile: full\nwrite_results: auto\ncpu_slots: 8\n"
    (root / "vitlab.yaml").write_text(settings)
    total = jobs // EACH + 2  # MVP 2.0 of `b` and `c` is stopped by its gate
    for place, name in enumerate(NAMES):
        count = total // 3 + (place < total % 3)
        rows = (f"| {n}.0 | Run {n} | 1 | - | ⏳ | - | - |\n" for n in range(1, count + 1))
        (root / f"roadmaps/{name}.md").write_text(HEAD.format(name=name) + "".join(rows))
        for n in range(1, count + 1):
            argv = json.dumps(["true", name, str(n), "{x}"])
            runs = ", ".join(f"{{name: r{k}, set: {{x: {k}}}}}" for k in range(EACH))
            text = f'mvp: "{n}.0"\nroadmap: roadmaps/{name}.md\nrecipe: command\n'
            text += f"headline: test/r2/log_g\nconfig: {{argv: {argv}}}\nruns: [{runs}]\n"
            (root / f"experiments/{name}{n}.yaml").write_text(text)
    return open_lab(root)


def end_one(job: Job, draw: random.Random, truth: Truth) -> None:
    """Write a job's end as its supervisor would, or leave it as one that was killed."""
    decides = job.spec.mvp == "1.0"
    outcome = "ok" if decides else draw.choices([*OUTCOMES], [*OUTCOMES.values()])[0]
    seconds = round(draw.uniform(20, 200), 3)
    ended = round(time.time(), 3)
    started = ended - seconds
    gone = {"pid": 2**22 - 1, "ticks": 1, "boot": boot()} if outcome == "lost" else {}
    write_json(job.paths.started, {"v": 1, "started": started, "device": "cpu", **gone})
    if outcome == "ok":
        name = Path(job.spec.roadmap).stem
        score = GATE_SCORE[name] if decides else draw.uniform(0.3, 0.9)
        score += draw.uniform(-0.002, 0.002)
        values = dict.fromkeys(("test/r2/log_g", "val/r2/log_g"), round(score, 4))
        spec = job.spec
        result = Result(spec.mvp, spec.run, spec.profile, spec.recipe, values,
                        errors=dict.fromkeys(values, 0.02))  # fmt: skip
        write_result(job.paths.result, result)
    if outcome == "lost":
        seconds = 0.0  # its last sign of life is before its start
    else:
        record = {"v": 1, "code": int(outcome != "ok"), "reason": outcome, "detail": "as drawn"}
        write_json(job.paths.exit, {**record, "started": started, "ended": ended})
    truth.add(job, outcome, seconds)


def simulate(root: Path, seed: int, jobs: int) -> tuple[list[str], list[str]]:
    """Run the night: lines of a table, and what was wrong."""
    draw, truth = random.Random(seed), Truth()
    lab = make_lab(root, jobs)
    before = documents(root)
    scheduler.advance = lambda *_, **__: []  # type: ignore[assignment]
    for module in (scheduler, control):
        module.wake_autopilot = lambda *_, **__: None  # type: ignore[attr-defined]
    began = time.process_time()
    control.start(lab, control.Wanted(budget=8.0, at_once=9))
    looks, pilot = 0, _pilot(lab)
    while not pilot.told:
        carry_on(lab)
        looks += 1
        waiting = [job for job in all_jobs(lab.paths) if isinstance(job.state, Queued)]
        for job in draw.sample(waiting, min(len(waiting), draw.randint(1, 9))):
            end_one(job, draw, truth)
        pilot = _pilot(lab)
    seconds = time.process_time() - began
    wrong = [*check(root, lab, pilot, truth, jobs)]
    while documents(root) != before:
        if not undo(lab).changes:
            wrong.append("undo does not bring the documents back")
            break
    total = sum(truth.ends.values(), Counter())
    lines = [
        f"{sum(total.values())} jobs of {len(truth.ends)} MVPs, drawn: {counts(total)}",
        f"{looks} looks, {seconds:.0f} s of CPU; ended: {pilot.why}",
    ]
    return lines, wrong


def check(root: Path, lab: Lab, pilot: Autopilot, truth: Truth, jobs: int) -> list[str]:
    """What is wrong: the report against what was drawn, and what was launched."""
    wrong = []
    if sum(sum(one.values()) for one in truth.ends.values()) != jobs:
        wrong.append(f"not {jobs} jobs have ended")
    launched = Counter((one.roadmap, one.mvp) for one in pilot.launches)
    runs = Counter((one.spec.roadmap, one.spec.mvp, one.spec.run) for one in all_jobs(lab.paths))
    wrong += [f"launched twice: {key}" for key, count in {**launched, **runs}.items() if count > 1]
    gated = [(f"roadmaps/{name}.md", "2.0") in launched for name in NAMES]
    if gated != [True, False, False]:
        wrong.append(f"what the gates open or stop is launched: {gated}")
    page = (root / pilot.page).read_text(encoding="utf-8")
    return wrong + compare(page, truth)


def compare(page: str, truth: Truth) -> list[str]:
    """What the report says otherwise than what was drawn."""
    wrong = []
    row = re.compile(r"\| (\S+): MVP-(\S+) \| \S+ \| ([^|]+) \| ([^|]+) \|")
    said = {(m[1], m[2]): (m[3], m[4]) for m in map(row.match, page.split("\n")) if m}
    if said.keys() != truth.ends.keys():
        wrong.append(f"the report has other MVPs: {sorted(said.keys() ^ truth.ends.keys())}")
    for key, (ends, hours) in said.items():
        if ends != counts(truth.ends.get(key, Counter())):
            wrong.append(f"{key}: {ends} in the report, {counts(truth.ends[key])} drawn")
        drawn = truth.hours[key]
        if hours not in {hours_text(drawn * rounding) for rounding in (0.99999, 1.00001)}:
            wrong.append(f"{key}: {hours} in the report, {drawn:.4g} h drawn")
    total = counts(sum(truth.ends.values(), Counter()))
    if f"| **All** | {len(truth.ends)} launches | {total} |" not in page:
        wrong.append(f"the report's last row is not: {total}")
    passed, failed, is_open = NAMES
    for name, standing in ((passed, "pass"), (failed, "fail")):
        if f"| roadmaps/{name}.md: Gate-1 | waits | {standing} |" not in page:
            wrong.append(f"Gate-1 of {name} is not told as {standing}")
    if f"- roadmaps/{is_open}.md: Gate-1: " not in page:
        wrong.append(f"Gate-1 of {is_open} needs a person and is not told")
    return wrong


def counts(ends: Counter[str]) -> str:
    """`2 failed, 1 ok`, as the report has it."""
    return ", ".join(f"{number} {word}" for word, number in sorted(ends.items()))


def documents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / "roadmaps").glob("*.md")}


def _pilot(lab: Lab) -> Autopilot:
    pilot = read_autopilot(lab.paths)
    assert pilot is not None
    return pilot


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=20261129)
    parser.add_argument("--jobs", type=int, default=200, help="of the simulated night")
    parser.add_argument("--kills", type=int, default=30, help="of each kind, of the real one")
    args = parser.parse_args()
    print(f"seed {args.seed}")
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="night-") as folder:
        if args.kills:  # with its own processes, before those here are taught to start none
            lines, found = kill_night(Path(folder) / "kills", args.seed, args.kills)
            print("\n".join(["", "Real jobs, with kills", *lines]))
            wrong += found
        if args.jobs:
            lines, found = simulate(Path(folder) / "night", args.seed, args.jobs)
            print("\n".join(["", "Simulated", *lines]))
            wrong += found
    print("\n".join(["", *wrong]) if wrong else "\nnothing wrong")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
