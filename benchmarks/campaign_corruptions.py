"""Corruptions: one file of a lab is spoilt, commands are run, and the file is put back.

Each is drawn from a generator of its own, `seed/corruptions/number`, and so comes again alone.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import campaign_assistants as assistants
from campaign_lab import (
    LOOKS,
    STATE,
    Answer,
    Commands,
    Lab,
    alive,
    changed,
    faults,
    make_lab,
    rows_of,
    snapshot,
    wait_for,
    walk,
)

TOKENS = ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "null", "true", '"text"', '""', "[]"]
TOKENS += ["{}", "[null]", '{"a":{}}', '"\\ud800"', "-1", "0", "1e308", '"a\\nb\\rc"', '"\\u0000"']
TOKENS += ['"\\u001b[2J\\u001b]0;x\\u0007"', '"../../../outside"', '"/dev/zero"', ".nan", ".inf"]
TOKENS += ["0x10", "2026-11-28"]
TOKENS += ["1" + "0" * 400, "9" * 5000, json.dumps("x" * 100_000), "[" * 100 + "]" * 100]
PLAUSIBLE = {"true", '"text"', '""', "[]", "{}", "-1", "0", "1e308", "0x10", "2026-11-28"}
"""Values that a file may hold: a row may show them."""
ABSENT = ["spec.json", "started.json", "lock", "out.log", "events.jsonl", "result.json", "stop"]
ABSENT += ["queue.json", "resume", "code.diff", "out.1.log", "exit.json", "health.jsonl", "outputs"]
ABSENT += ["environment.json", "metrics.json", "wandb.json", "started.1.json", "exit.1.json"]
ABSENT += ["result.1.json", "residuals.parquet", "sealed.json", "program", "checkpoints"]
"""Names of the contract: the ones that a job lacks are made."""


def _paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [here, *(path for key, one in inner for path in _paths(one, (*here, key)))]


def _replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1 and new is None:
        del copy[path[0]]
    else:
        copy[path[0]] = _replaced(copy[path[0]], path[1:], new)
    return copy


def spoil_value(draw: random.Random, data: bytes) -> tuple[bytes, str]:
    """One value of a JSON text, or of one of its lines, replaced or left out; and what was done."""
    text = data.decode("utf-8", "replace")
    lines, number = text.split("\n"), None
    try:
        value = json.loads(text)
    except ValueError:
        number = draw.randrange(len(lines))
    try:
        if number is not None:
            value = json.loads(lines[number])
    except ValueError:
        token = draw.choice(TOKENS)
        cells = [*re.finditer(r"[^\s|`:]+", text)]
        if not cells:
            return token.encode(), f"the whole is {token[:40]}"
        cell = draw.choice(cells)
        new = text[: cell.start()] + token.strip('"') + text[cell.end() :]
        return new.encode("utf-8", "surrogatepass"), f"{cell.group()[:30]!r} is {token[:40]}"
    path = draw.choice(_paths(value))
    token = draw.choice(TOKENS)
    if path and draw.random() < 0.15:
        new, token = json.dumps(_replaced(value, path, None)), "left out"
    else:
        new = json.dumps(_replaced(value, path, "@@HERE@@")).replace('"@@HERE@@"', token)
    if number is not None:
        new = "\n".join([*lines[:number], new, *lines[number + 1 :]])
    return new.encode(), f"{'/'.join(map(str, path)) or 'the whole'} is {token[:40]}"


def _deep(draw: random.Random, data: bytes) -> tuple[bytes, str]:
    left, right = draw.choice([("[", "]"), ('{"a":', "}"), ("> ", ""), ("- ", ""), ("[[", "")])
    text = left * 10_000 + "1" + right * 10_000 * draw.randint(0, 1)
    keep = data if draw.random() < 0.3 else b""
    return keep + text.encode() + b"\n", f"{left!r} nested 10,000 deep"


def _truncated(draw: random.Random, data: bytes) -> tuple[bytes, str]:
    size = draw.randrange(len(data)) if data else 0
    return data[:size], f"truncated to {size} bytes"


def _flipped(draw: random.Random, data: bytes) -> tuple[bytes, str]:
    new = bytearray(data or b"x")
    count = draw.choice([1, 3, 30])
    for _ in range(count):
        new[draw.randrange(len(new))] = draw.randrange(256)
    return bytes(new), f"{count} bytes drawn anew"


def _surrogate(draw: random.Random, data: bytes) -> tuple[bytes, str]:
    """A lone surrogate: in a JSON text as an escape, elsewhere as the three bytes of one."""
    texts = [*re.finditer(rb'"[^"\\]*"', data)]
    if texts:
        one = draw.choice(texts)
        place, new = one.end() - 1, b"\\udc80"
    else:
        place, new = draw.randrange(len(data) + 1), b"\xed\xb2\x80"
    return data[:place] + new + data[place:], f"a lone surrogate at byte {place}"


def _large(draw: random.Random, data: bytes) -> tuple[bytes, str]:
    filler = draw.choice([b" ", b"x", b"\n", b"| a ", b"[1],"])
    return data + filler * (17 * 2**20 // len(filler)), f"17 MB, filled with {filler!r}"


def _hole(path: Path) -> None:
    with path.open("wb") as file, suppress(OSError):
        file.truncate(2**40)


CONTENT: dict[str, tuple[int, Callable[[random.Random, bytes], tuple[bytes, str]]]] = {
    "value": (10, spoil_value),
    "surrogate": (2, _surrogate),
    "nested": (2, _deep),
    "truncated": (2, _truncated),
    "bytes": (2, _flipped),
    "empty": (1, lambda draw, data: (b"", "")),  # noqa: ARG005
    "17 MB": (1, _large),
}
"""Weight, and what makes other bytes of those of a file, with a word for it."""
OBJECTS: dict[str, tuple[int, Callable[[Path], object]]] = {
    "FIFO": (1, os.mkfifo),
    "socket": (1, lambda path: os.mknod(path, stat.S_IFSOCK | 0o600)),
    "directory": (1, lambda path: (path / "inner").mkdir(parents=True)),
    "device": (2, lambda path: path.symlink_to("/dev/zero")),
    "loop": (1, lambda path: path.symlink_to(path.name)),
    "dangling": (1, lambda path: path.symlink_to("nowhere/at/all")),
    "outward link": (1, lambda path: path.symlink_to(Path("/nowhere"))),
    "mode 000": (1, lambda path: path.touch(0)),
    "1 TB hole": (1, _hole),
}
"""Weight, and what makes something else at the path of a file."""
WRITES = (("--end",), ("accept",))
"""Second words of commands that change the lab."""
UNDECIDED = {"value", "surrogate", "bytes", "truncated", "outward link"}
"""Kinds after which the file may still be a good one."""


@dataclass
class Report:
    """What one corruption came to."""

    number: int
    kind: str
    target: str
    what: str = ""
    area: str = ""
    crashes: list[str] = field(default_factory=list)
    lies: list[str] = field(default_factory=list)


@dataclass
class Bench:
    """A lab with an ended, a running and a queued job, and how it was when it was well."""

    lab: Lab
    outside: Path
    jobs: dict[str, str]
    """ended, running, queued: their folders."""
    pids: list[int]
    """The running job's process and its supervisor."""
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    around: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    begun: int = 0
    looks: int = 2
    """Commands for each corruption, beside `jobs --json`."""
    answers: dict[tuple[str, ...], Any] = field(default_factory=dict)
    """What commands of unattended work told while all was well."""

    def looked_at(self) -> dict[str, tuple[Any, ...]]:
        return snapshot(self.lab.root, (".vitlab", self.jobs["running"]))

    def outer(self) -> dict[str, tuple[Any, ...]]:
        return {
            **snapshot(self.outside),
            **{f"~/{name}": one for name, one in snapshot(self.lab.run.home, STATE).items()},
        }

    def remember(self) -> None:
        self.rows, self.files, self.around = self.lab.rows(), self.looked_at(), self.outer()
        self.begun = sum(words[0] == "begin" for words in self.lab.run.told())
        if self.looks > 1 or not self.answers:
            asked = assistants.questions(self.lab, every=self.looks > 1)
            self.answers = {one: self.lab.run(self.lab.root, *one).json() for one in asked}


def make_bench(run: Commands, folder: Path, looks: int) -> Bench:
    lab = make_lab(run, folder / "lab", mvps=7 if looks > 1 else 4)
    outside = folder / "outside"
    outside.mkdir()
    lab.training("2.0", epochs=1, seconds=3000)
    lab.training("3.0", epochs=1, seconds=3000)
    (ended,) = lab.launch("1.0", "--wait")
    lab.ok("sync", "--yes")
    (running,) = lab.launch("2.0")
    (queued,) = lab.launch("3.0")
    lab.ok("hold", str(lab.root / queued))
    name = Path(running).name
    line = wait_for(lambda: [one for one in run.told() if one[:2] == ["begin", name]])
    assert line, f"{running} does not begin"
    wait_for(lambda: "r2=" in (lab.root / running / "out.log").read_text())
    wait_for(lambda: lab.rows().get(running, {}).get("values"), 5)
    if looks > 1:
        assistants.furnish(lab)  # some 10 s, too long for the short campaign
    else:
        lab.run(lab.root, "wait", "--timeout", "0")
    jobs = {"ended": ended, "running": running, "queued": queued}
    bench = Bench(lab, outside, jobs, [int(word) for word in line[0][2:4]], looks=looks)
    bench.remember()
    return bench


def targets(bench: Bench) -> list[str]:
    """Every file of the jobs (also those they lack), of the lab's own state, and every document."""
    root = bench.lab.root
    found = {str(path.relative_to(root)) for path in walk(root)}
    for name, job in bench.jobs.items():
        found |= {f"{job}/{one}" for one in ABSENT if (name, one) != ("running", "stop")}
    found |= {one for one in assistants.NAMES if (root / one).parent.is_dir()}
    spared = {
        "work",
        "work/train.py",
        bench.jobs["running"],
        str(Path(bench.jobs["running"]).parent),
    }
    spared |= {"experiments"}
    return sorted(found - spared)


def area(target: str, jobs: dict[str, str]) -> str:
    if any(target.startswith(job) for job in jobs.values()):
        return "job folders"
    if target.startswith(".vitlab/journal") or target.endswith(".md"):
        return "documents"
    if assistants.is_unattended(target):
        return "unattended"
    return "launching" if target.startswith(".vitlab") else "experiment files"


def _clear(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _commands(draw: random.Random, bench: Bench, target: str) -> list[tuple[str, ...]]:
    root = bench.lab.root
    logs = [("logs", str(root / job)) for job in bench.jobs.values()]
    writes = [
        ("set", bench.lab.roadmap, "--mvp", "4.0", "--status", "ready", "--dry-run"),
        ("compare",),
        ("plot", str(root / bench.jobs["ended"])),
    ]
    looks = [*LOOKS, *logs, *writes, *assistants.LOOKS]
    chosen = [*draw.sample(looks, bench.looks), ("jobs", "--json")]
    if assistants.is_unattended(target):
        chosen += draw.sample([*bench.answers], 3 if bench.looks > 1 else 1)
    if draw.random() < 0.015:
        chosen.append(("run", "4.0", "--profile", "smoke"))
    elif target.startswith(".vitlab/journal") and draw.random() < 0.08:
        chosen.append(draw.choice([("undo",), ("redo",)]))
    elif assistants.is_unattended(target) and draw.random() < 0.15:
        chosen.append(draw.choice([("auto", "--end"), ("tray", "accept", "2", "--yes")]))
    return chosen


def _same(row: dict[str, Any], before: dict[str, Any]) -> bool:
    moving = {"seconds", "step", "health", "metrics"} if before.get("state") == "running" else set()
    return all(row.get(key) == one for key, one in before.items() if key not in moving)


def _free_lock(report: Report) -> bool:
    """Whether another regular file stands for a job's lock, which nobody holds."""
    return report.target.endswith("/lock") and report.kind in {*CONTENT, "1 TB hole"}


def _rows_told(bench: Bench, report: Report, answer: Answer) -> list[str]:
    """What is wrong with the rows of jobs while this corruption lasts."""
    rows = rows_of(answer)
    settings = report.target == "vitlab.yaml"
    if answer.status == 2 and settings and b"vitlab.yaml" in answer.err:
        return []
    refused = any(words in answer.err for words in (b"a link out", b"levels of symbolic links"))
    if answer.status == 2 and report.target.startswith(".vitlab") and refused:
        return []  # such a lab is refused as a whole, which docs/security.md says
    if answer.status not in (0, 1) or not rows:
        return [f"no rows of the other jobs: {answer.short()}"]
    found = []
    for name, job in bench.jobs.items():
        row, before = rows.get(job), bench.rows[job]
        own = report.target.startswith(job) or job.startswith(report.target + "/")
        if row is None:
            if not (own and report.target in (job, str(Path(job).parent))):
                found.append(f"the {name} job has no row")
        elif not own:
            stable = {"job", "mvp", "run", "profile", "state", "outcome", "values", "started"}
            wrong = [key for key in stable & before.keys() if row.get(key) != before[key]]
            if wrong and not settings:
                found.append(
                    f"the {name} job's row, another's: {wrong[0]} is {row.get(wrong[0])!r}"
                )
        elif report.kind in CONTENT and report.target.endswith(".jsonl"):
            continue  # of lines that cannot be read the readers leave each out
        elif _free_lock(report):
            continue  # a free lock without an end means lost
        elif report.kind not in UNDECIDED and not _same(row, before):
            words = json.dumps(row, ensure_ascii=False)
            told = Path(report.target).name in words or re.search("unreadable|not submitted", words)
            if not told:
                wrong = [key for key, one in before.items() if row.get(key) != one]
                found.append(f"the {name} job's {wrong[0]} is {row.get(wrong[0])!r}, nothing told")
        elif report.kind == "value" and not any(
            report.what.endswith(f" is {token}") for token in PLAUSIBLE
        ):
            odd = set(map(str, (row.get("values") or {}).values()))
            odd -= {str(one) for one in (before.get("values") or {}).values()} | {"None"}
            if odd:
                found.append(f"the {name} job's values show {odd.pop()}")
    return found


def _draw(draw: random.Random, bench: Bench) -> tuple[str, str]:
    """A path from the lab's root, as often a job's as all others together, and a kind."""
    names = targets(bench)
    jobs = [one for one in names if one.startswith(tuple(bench.jobs.values()))]
    there = [one for one in jobs if (bench.lab.root / one).exists()]
    unattended = [one for one in names if assistants.is_unattended(one)]
    others = [one for one in names if one not in jobs and one not in unattended]
    weights = [5, 2, 4, 4 if unattended else 0]
    target = draw.choice(draw.choices([there, jobs, others, unattended], weights)[0])
    folder = (bench.lab.root / target).is_dir()
    weights = {kind: weight for kind, (weight, _) in {**CONTENT, **OBJECTS}.items()}
    if folder:
        weights = {kind: 1 for kind in OBJECTS if kind not in ("mode 000", "1 TB hole")}
    elif target.endswith(("/stop", "/resume")):  # any regular file is a request
        weights = {kind: 1 for kind in OBJECTS if kind in ("FIFO", "socket", "device", "loop")}
    return target, draw.choices([*weights], [*weights.values()])[0]


def corrupt(bench: Bench, seed: str, number: int) -> tuple[Report, bool]:
    """Do one; and whether the lab may be used again."""
    draw = random.Random(f"{seed}/corruptions/{number}")
    target, kind = _draw(draw, bench)
    report = Report(number, kind, target, area=area(target, bench.jobs))
    path, aside = bench.lab.root / target, bench.outside.parent / "aside"
    data = b""
    if path.is_file() and path.stat().st_size < 1 << 30:  # no hole that was set aside
        data = path.read_bytes()
    if not path.exists() and kind in CONTENT:
        data = (bench.lab.root / bench.jobs["ended"] / "spec.json").read_bytes()
    if was := path.exists():
        path.rename(aside)
    if kind in CONTENT:
        new, report.what = CONTENT[kind][1](draw, data)
        path.write_bytes(new)
    elif kind == "outward link":
        target_outside = bench.outside / path.name
        if aside.is_dir():
            shutil.copytree(aside, target_outside, symlinks=True)
        else:
            target_outside.write_bytes(data)
        _put(path, lambda one: one.symlink_to(target_outside))
    else:
        _put(path, OBJECTS[kind][1])
    around = bench.outer()
    try:
        looked = _attack(draw, bench, report, around)
    finally:
        _clear(path)
        if was:
            aside.rename(path)
        for one in bench.outside.iterdir():
            _clear(one)
    if target.startswith(bench.jobs["running"]) and target.endswith((".log", "s.jsonl")):
        bench.remember()  # what follows its numbers has read what stood there
    return report, _healed(bench, report, looked) and looked


def _put(path: Path, make: Callable[[Path], object]) -> None:
    """Make an object at `path`, also where a running program writes its file anew meanwhile."""
    for _ in range(100):
        try:
            make(path)
        except (FileExistsError, NotADirectoryError):
            _clear(path)
        else:
            return


def _attack(
    draw: random.Random, bench: Bench, report: Report, around: dict[str, tuple[Any, ...]]
) -> bool:
    """Run commands; whether all of them only look."""
    run, again = bench.lab.run, True
    for argv in _commands(draw, bench, report.target):
        answer = run(bench.lab.root, *argv, fresh=draw.random() < 0.02)
        report.crashes += faults(answer, (0, 1, 2, 124) if argv[0] == "wait" else (0, 1, 2))
        if argv in bench.answers and assistants.is_unattended(report.target):
            odd = assistants.differs(bench.answers[argv], answer)
            report.lies += [odd] if odd and again else []
        if argv == ("jobs", "--json") and again:
            report.lies += _rows_told(bench, report, answer)
        again = again and argv[0] not in ("run", "undo", "redo") and argv[1:2] not in WRITES
    if outer := changed(around, bench.outer()):
        report.crashes.append(f"written outside the lab: {outer[:3]}")
    lock = _free_lock(report) and report.target.startswith(bench.jobs["running"])
    if not lock and not all(map(alive, bench.pids)):
        report.crashes.append("the running job was ended")
    begun = [words for words in run.told() if words[0] == "begin"]
    if len(begun) > bench.begun and not lock:
        report.crashes.append(f"a job was started: {begun[-1][1]}")
    return again


def _healed(bench: Bench, report: Report, looked: bool) -> bool:
    """Whether all is as before once the file is put back; if only looked at, it has to be."""
    if not all(map(alive, bench.pids)):
        return False
    rows = bench.lab.rows() if bench.looks > 1 or report.number % 8 == 0 else bench.rows
    wrong = [
        one for one, job in bench.jobs.items() if not _same(rows.get(job, {}), bench.rows[job])
    ]
    differ = changed(bench.files, bench.looked_at())
    if wrong and looked:
        row, before = rows.get(bench.jobs[wrong[0]], {}), bench.rows[bench.jobs[wrong[0]]]
        keys = [f"{key}: {row.get(key)!r}" for key, one in before.items() if row.get(key) != one]
        report.lies.append(f"put back, the {wrong[0]} job's row stays wrong: {keys}")
    if differ and looked:
        report.crashes.append(f"looking has changed {differ[:3]}")
    return not wrong and not differ


def corruptions(
    run: Commands, folder: Path, seed: str, numbers: list[int], looks: int = 2
) -> Iterator[Report]:
    """Do these; a lab is used for 60 of them, or until one has changed it."""
    bench, uses = None, 0
    for number in numbers:
        if bench is None or uses == 60:
            if bench is not None:
                _end(bench)
            bench, uses = make_bench(run, folder / f"corruptions-{number}", looks), 0
        report, again = corrupt(bench, seed, number)
        uses = uses + 1 if again else 60
        yield report
    if bench is not None:
        _end(bench)


def _end(bench: Bench) -> None:
    for pid in bench.pids:
        with suppress(OSError):
            os.kill(pid, 9)
    shutil.rmtree(bench.lab.root.parent, ignore_errors=True)
