"""Kills: processes are killed, stopped and raced at random, and the lab is asked what became of it.

A training tells a ledger outside the lab when it begins, each number it prints, and when it ends.
Against that is held what the lab says: no job lost or run twice, no document torn, every number one
that was printed, every state true, no process left, and the queue goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from campaign_lab import Commands, Lab, alive, faults, make_lab, processes, wait_for

STOPPED = {"killed", "stopped", "failed"}
CANARY = "This paragraph is mine and has to stay.\n"


@dataclass
class Fault:
    """What was done to some jobs, and what came of it."""

    number: int
    kind: str
    found: list[str] = field(default_factory=list)


@dataclass
class Field:
    """The lab of the kills: three run at once, jobs of about a second."""

    lab: Lab
    draw: random.Random
    deleted: set[str] = field(default_factory=set)
    renamed: dict[str, str] = field(default_factory=dict)

    def words(self, kind: str, job: str) -> list[list[str]]:
        """What a job's attempts have told of this kind."""
        # Two jobs of one second share a name: the MVP, which each line ends with, tells them apart.
        path = Path(job)
        lines = (one for one in self.lab.run.told() if one[:2] == [kind, path.name])
        return [one for one in lines if f"-mvp-{one[-1]}-" in path.parent.name]

    def begun(self, job: str, times: int = 1, seconds: float = 20) -> tuple[int, int] | None:
        """Wait until the job's process has begun so often: its pid and its supervisor's."""
        if not wait_for(lambda: len(self.words("begin", job)) >= times, seconds):
            return None
        line = self.words("begin", job)[times - 1]
        return int(line[2]), int(line[3])

    def launch(self, mvp: str | None = None) -> str:
        mvp = mvp or self.draw.choice(["1.0", "2.0", "3.0"])
        (job,) = self.lab.launch(mvp, "--force")
        return job

    def pause(self, most: float = 1.2) -> None:
        time.sleep(self.draw.random() * most)

    def command(self, *argv: str, after: float | None = None) -> None:
        """Run a command, or kill it after so many seconds; a crash of its own is found later."""
        answer = self.lab.run(self.lab.root, *argv, kill_after=after)
        if after is None:
            self.crashes += faults(answer)

    crashes: list[str] = field(default_factory=list)


Outcomes = set[str] | None
"""How the jobs of a fault may end; None where nothing is asked."""
Kill = Callable[[Field], dict[str, Outcomes]]
KILLS: dict[str, tuple[int, Kill]] = {}
OK, DEAD = {"ok"}, {*STOPPED, "lost"}
EITHER = OK | DEAD
TWICE = {"kill -9, then resume", "resume twice at once"}
"""Kinds whose jobs begin again."""


def kill(name: str, weight: int = 2) -> Callable[[Kill], Kill]:
    def enter(function: Kill) -> Kill:
        KILLS[name] = (weight, function)
        return function

    return enter


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, number)


def _struck(field: Field, which: str, number: int, ends: set[str]) -> dict[str, Outcomes]:
    """Signal the child, the supervisor or both at a random time of a job."""
    job = field.launch()
    pids = field.begun(job)
    if pids is None:
        return {job: set()}
    field.pause(0.9)
    child, supervisor = pids
    ended = bool(field.words("end", job))
    for pid in {"child": [child], "supervisor": [supervisor]}.get(which, [supervisor, child]):
        _signal(pid, number)
    return {job: EITHER if ended or field.words("end", job) else ends}


@kill("kill -9 of the child")
def _child(field: Field) -> dict[str, Outcomes]:
    return _struck(field, "child", signal.SIGKILL, {"killed", "failed", "oom"})


@kill("kill -9 of the supervisor", 4)
def _supervisor(field: Field) -> dict[str, Outcomes]:
    return _struck(field, "supervisor", signal.SIGKILL, DEAD)


@kill("kill -9 of both", 3)
def _both(field: Field) -> dict[str, Outcomes]:
    return _struck(field, "both", signal.SIGKILL, DEAD)


@kill("SIGTERM of the supervisor")
def _terminated(field: Field) -> dict[str, Outcomes]:
    return _struck(field, "supervisor", signal.SIGTERM, DEAD)


@kill("SIGTERM of the child")
def _child_terminated(field: Field) -> dict[str, Outcomes]:
    return _struck(field, "child", signal.SIGTERM, {"killed", "failed", "stopped"})


@kill("SIGSTOP, SIGCONT")
def _halted(field: Field) -> dict[str, Outcomes]:
    job = field.launch()
    pids = field.begun(job)
    if pids is None:
        return {job: set()}
    chosen = field.draw.choice([pids[:1], pids[1:], pids])
    for pid in chosen:
        _signal(pid, signal.SIGSTOP)
    field.pause(1.5)
    field.command("jobs", "--json")
    for pid in chosen:
        _signal(pid, signal.SIGCONT)
    return {job: OK}


@kill("stop")
def _stop(field: Field) -> dict[str, Outcomes]:
    job = field.launch()
    field.pause()
    ended = bool(field.words("end", job))
    field.command("stop", str(field.lab.root / job))
    return {job: EITHER if ended or field.words("end", job) else STOPPED}


@kill("stop by three at once")
def _stops(field: Field) -> dict[str, Outcomes]:
    job = field.launch()
    field.pause()
    _at_once(field, [("stop", str(field.lab.root / job))] * 3)
    return {job: EITHER}


def _at_once(field: Field, commands: list[tuple[str, ...]]) -> None:
    """Run commands as real processes at the same time."""
    run = field.lab.run
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "vitlab", *argv],
            cwd=field.lab.root,
            env=run.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for argv in commands
    ]
    for process, argv in zip(started, commands, strict=True):
        try:
            err = process.communicate(timeout=40)[1]
        except subprocess.TimeoutExpired:
            process.kill()
            field.crashes.append(f"`vitlab {' '.join(argv)}` beside others hangs")
            continue
        run.counts["process"] += 1
        if process.returncode not in (0, 1, 2) or b"Traceback" in err:
            last = err.decode("utf-8", "replace").strip().splitlines()[-1:]
            words = f"`vitlab {' '.join(argv)}` beside others -> {process.returncode}: {last}"
            field.crashes.append(words)


def _revived(field: Field, at_once: int) -> dict[str, Outcomes]:
    job = field.launch()
    pids = field.begun(job)
    if pids is None:
        return {job: set()}
    for pid in pids[::-1]:
        _signal(pid, signal.SIGKILL)
    wait_for(lambda: not any(map(alive, pids)), 5)
    if field.words("end", job):
        return {job: EITHER}
    command = ("resume", str(field.lab.root / job))
    if at_once > 1:
        _at_once(field, [command] * at_once)
    else:
        field.command(*command)
    return {job: OK}


@kill("kill -9, then resume", 3)
def _resumed(field: Field) -> dict[str, Outcomes]:
    return _revived(field, 1)


@kill("resume twice at once")
def _resumed_twice(field: Field) -> dict[str, Outcomes]:
    return _revived(field, 2)


@kill("run, jobs, stop, hold at once")
def _crowd(field: Field) -> dict[str, Outcomes]:
    job = field.launch()
    path = str(field.lab.root / job)
    chosen = [("jobs",), ("status",), ("hold", path), ("release", path), ("stop", path), ("gates",)]
    field.draw.shuffle(chosen)
    _at_once(field, [*chosen[:3], ("sync", "--dry-run")])
    field.command("release", path)
    return {job: EITHER}


@kill("kill -9 of a command", 4)
def _command_killed(field: Field) -> dict[str, Outcomes]:
    """Of one that schedules or launches, by a fork: what the launch left is found by its folder."""
    before = set(_folders(field.lab))
    mvp = field.draw.choice(["1.0", "2.0", "3.0"])
    chosen = [("run", mvp, "--force"), ("jobs",), ("status",), ("run", mvp, "--force")]
    field.command(*field.draw.choice(chosen), after=field.draw.random() * 0.25)
    return dict.fromkeys(set(_folders(field.lab)) - before, OK)


@kill("kill -9 of a writer", 4)
def _writer_killed(field: Field) -> dict[str, Outcomes]:
    status = field.draw.choice(["planned", "ready", "analysing", "cancelled", "paused"])
    chosen = [
        ("set", field.lab.roadmap, "--mvp", "4.0", "--status", status),
        ("sync", "--yes"),
        ("undo",),
        ("lint", "--fix"),
        ("hub", "add", "K", f"Fact {field.draw.randrange(10**6)}"),
    ]
    field.command(*field.draw.choice(chosen), after=field.draw.random() * 0.15)
    return {}


@kill("writers at once")
def _writers(field: Field) -> dict[str, Outcomes]:
    """Four hub rows and four statuses by real processes, and a person's editor in between."""
    facts = [f"Together {field.draw.randrange(10**9)}" for _ in range(3)]
    writes: list[tuple[str, ...]] = [("hub", "add", "K", one) for one in facts]
    writes += [("set", field.lab.roadmap, "--mvp", "4.0", "--status", "ready"), ("sync", "--yes")]
    before = (field.lab.root / "roadmaps" / "survey_hub.md").read_text()
    _at_once(field, writes)
    text = (field.lab.root / "roadmaps" / "survey_hub.md").read_text()
    rows = sum(one in text for one in facts)
    if rows == 0 or len(text) < len(before):
        field.crashes.append(f"of {len(facts)} rows added at once {rows} are there")
    return {}


@kill("a job folder deleted", 1)
def _deleted(field: Field) -> dict[str, Outcomes]:
    job = field.launch()
    field.pause()
    shutil.rmtree(field.lab.root / job, ignore_errors=True)
    field.deleted.add(job)
    field.command("jobs", "--json")
    return {}


@kill("a job folder renamed", 1)
def _renamed(field: Field) -> dict[str, Outcomes]:
    job = field.launch()
    if field.begun(job) is None:
        return {job: set()}
    path = field.lab.root / job
    path.rename(path.with_name(path.name + "-renamed"))
    field.deleted.add(job)
    field.command("jobs", "--json")
    return {}


def _folders(lab: Lab) -> list[str]:
    found = lab.root.glob("experiments/*/[!.]*/spec.json")  # what has a dot is not a job yet
    return [str(path.parent.relative_to(lab.root)) for path in found]


def _open(lab: Lab) -> list[str]:
    """Jobs that are neither ended nor lost, by the lab's own word."""
    rows = lab.rows().items()
    unsettled = [(job, row) for job, row in rows if row.get("state") in ("queued", "running")]
    return [job for job, row in unsettled if "not submitted" not in json.dumps(row)]


def _checked(field: Field, fault: Fault, jobs: dict[str, Outcomes]) -> None:
    """Wait until all is settled, and hold what the lab says against the ledger."""
    field.command("jobs", "--json")
    left = wait_for(lambda: not _open(field.lab), 30)
    rows = field.lab.rows()
    if not left:
        fault.found.append(f"not settled after 30 s: {_open(field.lab)[:2]}")
    for job, outcomes in jobs.items():
        row = rows.get(job)
        if row is None:
            fault.found.append(f"{job} is lost from the list")
            continue
        state, outcome = str(row.get("state")), str(row.get("outcome"))
        word = "lost" if "lost" in (state, outcome) else outcome
        if "not submitted" in json.dumps(row) and fault.kind == "kill -9 of a command":
            continue  # the launch was not at its end
        if outcomes is not None and word not in outcomes:
            fault.found.append(f"{job} is told as {state} {outcome}, not {sorted(outcomes)}")
        _held_against_ledger(field, fault, job, word)
    fault.found += field.crashes
    field.crashes = []
    _documents(field, fault)
    running = [pid for line in field.lab.run.told() if line[0] == "begin" for pid in [int(line[2])]]
    if not wait_for(lambda: not any(map(_training, running)), 6):
        fault.found.append(f"a training runs on: {[pid for pid in running if _training(pid)]}")
    if left and not wait_for(lambda: not processes(str(field.lab.root)), 10):
        fault.found.append(f"processes are left: {processes(str(field.lab.root))}")


def _training(pid: int) -> bool:
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        return b"train.py" in words and alive(pid)
    return False


def _held_against_ledger(field: Field, fault: Fault, job: str, word: str) -> None:
    begun, ended = field.words("begin", job), field.words("end", job)
    if len(begun) > (2 if fault.kind in TWICE else 1):
        fault.found.append(f"{job} has run {len(begun)} times")
    if word == "ok" and not ended:
        fault.found.append(f"{job} is told as ok and has not ended")
    path = field.lab.root / job / "result.json"
    if not path.exists():
        if word == "ok":
            fault.found.append(f"{job} is ok without a result")
        return
    try:
        values = json.loads(path.read_text())["values"]
    except (ValueError, KeyError) as error:
        fault.found.append(f"{job}/result.json is torn: {error}")
        return
    last = float(field.words("value", job)[-1][2])
    if word != "ok" or values.get("val/r2/log_g") != last:
        fault.found.append(f"{job} ({word}) has the result {values}, printed was {last}")


def _documents(field: Field, fault: Fault) -> None:
    for name in ("survey_roadmap.md", "survey_hub.md"):
        text = (field.lab.root / "roadmaps" / name).read_text()
        if text.count(CANARY) != 2:
            fault.found.append(f"{name} is torn: {text.count(CANARY)} of my 2 paragraphs")
    status = field.lab.run(field.lab.root, "status", field.lab.roadmap, "--json")
    fault.found += faults(status)
    mvps = [one["id"] for one in (status.json() or {}).get("mvps", [])]
    if mvps != ["1.0", "2.0", "3.0", "4.0"]:
        fault.found.append(f"the roadmap has the MVPs {mvps}")


def make_field(run: Commands, folder: Path) -> Lab:
    lab = make_lab(run, folder / "lab", slots=3)
    for mvp in ("1.0", "2.0", "3.0"):
        lab.training(mvp, epochs=6, seconds=0.15)
    for name in ("survey_roadmap.md", "survey_hub.md"):
        path = lab.root / "roadmaps" / name
        first, _, rest = path.read_text().partition("\n---\n")
        path.write_text(f"{first}\n\n{CANARY}\n---\n{rest}\n\n{CANARY}")
    return lab


def kills(run: Commands, folder: Path, seed: str, numbers: list[int]) -> Iterator[Fault]:
    """Do these, each with what it is drawn from of its own; 25 in one lab."""
    lab: Lab | None = None
    for place, number in enumerate(numbers):
        if lab is None:
            lab = make_field(run, folder / f"kills-{number}")
        field = Field(lab, random.Random(f"{seed}/kills/{number}"))
        names = [*KILLS]
        every = number < len(names)
        weights = [weight for weight, _ in KILLS.values()]
        kind = names[number] if every else field.draw.choices(names, weights)[0]
        fault = Fault(number, kind)
        try:
            _checked(field, fault, KILLS[kind][1](field))
        except AssertionError as error:
            fault.found.append(f"a command failed that has to succeed: {str(error)[:300]}")
        if not fault.found and (place % 25 == 24 or number == numbers[-1]):
            _goes_on(lab, fault)
            _end(lab)
            lab = None
        elif fault.found:  # what is wrong in this lab is told once
            _end(lab)
            lab = None
        yield fault


def _goes_on(lab: Lab, fault: Fault) -> None:
    """After all of it: a further job is launched and ends well."""
    answer = lab.run(lab.root, "run", "1.0", "--force", "--wait", "--json", limit=60)
    if answer.status != 0:
        fault.found.append(f"the queue does not go on: {answer.short()}")


def _end(lab: Lab) -> None:
    for pid in processes(str(lab.root)):
        _signal(pid, signal.SIGKILL)
    shutil.rmtree(lab.root.parent, ignore_errors=True)
