"""Job folders with anything in place of a file: one row each, and every command goes on."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from vitlab.cli import main
from vitlab.contract.job import Result, Spec, Unreadable, write_result
from vitlab.contract.paths import JobPaths, LabPaths, UsageError
from vitlab.contract.tracking import Link, write_link
from vitlab.jobs.files import exit_record, take_lock, write_json, write_owner
from vitlab.jobs.processes import boot
from vitlab.jobs.store import submit
from vitlab.lab.lab import open_lab
from vitlab.tui.jobs_index import in_order
from vitlab.tui.screens.jobs import reason
from vitlab.tui.text import job_detail, state_words, time_of
from vitlab.tui.watch.reader import LabReader

ROADMAP = """\
# Plan

> **ID:** `TST-20261128-plan`

### Gate-1: Is it good

| Item | Content |
|------|---------|
| MVP | MVP-1.0 |
| If R² > 0.70 | ✅ write the paper |
| Status | ⏳ planned |

| MVP | Name | Gate | Status | exp_id | Report |
|---|---|---|---|---|---|
| MVP-1.0 | one | Gate-1 | 🔄 running | - | - |
| MVP-2.0 | two | - | ⏳ | - | - |
"""
FILE = "roadmaps/plan_roadmap.md"
NUMBERS = ("NaN", "Infinity", "1e400", "9" * 400, "1e300", "-1", '"text"', "null", "[]", "{}",
           "true", '"\\ud800\\u0000"', "[" * 100 + "]" * 100)  # fmt: skip
"""In place of a value of a document."""
WHOLE = (b"", b"{", b"NaN", b"1e400", b'"text"', b"null", b"[]", b"{}", b"3", b"\xff\xfe{",
         b"[" * 10_000, b'{"a":' * 10_000, b'{"v": 1}\n', b'{"v": 2}\n',
         b"x" * (17 << 20))  # fmt: skip
"""In place of the whole of a file."""


def fifo(path: Path) -> None:
    os.mkfifo(path)


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = os.open(".", os.O_RDONLY)
        try:
            os.chdir(path.parent)  # the path of a socket is short
            made.bind(path.name)
        finally:
            os.fchdir(here)
            os.close(here)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def links(to: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(to)


KINDS: dict[str, Callable[[Path], None]] = {
    "pipe": fifo,
    "socket": listening,
    "folder": Path.mkdir,
    "endless": links("/dev/zero"),
    "loop": lambda path: path.symlink_to(path.name),
    "dangling": links("nowhere"),
    "sparse": sparse,
}
"""In place of a regular file."""


@dataclass(frozen=True)
class Folders:
    """One lab with a job in each state, and one nothing is done to."""

    lab: LabPaths
    ended: JobPaths
    running: JobPaths
    queued: JobPaths
    healthy: JobPaths


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folders]:
    lab = LabPaths(tmp_path_factory.mktemp("unreadable") / "lab")
    for folder in (lab.roadmaps, lab.experiments):
        folder.mkdir(parents=True)
    (lab.root / FILE).write_text(ROADMAP, encoding="utf-8")
    lab.settings.write_text('wandb: {mode: "off"}\nwrite_status: ask\n', encoding="utf-8")
    jobs = [_job(lab, run) for run in ("ended", "running", "queued", "healthy")]
    ended, running, queued, healthy = jobs
    for job in (ended, healthy):
        _end(job)
    now = time.time()
    lock = take_lock(running.lock)
    assert lock is not None
    write_owner(lock, {"v": 1, "started": now, "boot": boot(), "device": "cpu", "pid": 1})
    write_json(running.started, {"v": 1, "started": now, "pid": 1, "ticks": 5, "boot": boot(),
                                 "device": "cpu"})  # fmt: skip
    write_json(queued.queue, {"hold": True, "boot": boot(), "order": now, "priority": 1})
    for job in jobs[:3]:
        _fill(job)
    yield Folders(lab, *jobs)
    os.close(lock)


def _job(lab: LabPaths, run: str) -> JobPaths:
    config = {"argv": ["true"], "epochs": 4, "train": {"batch": 8, "epochs": 4}}
    spec = Spec("1.0", run, "full", "command", config, "TST-20261128-own-01", FILE, device="cpu",
                headline="val/r2/log_g", extra={"metrics": {"file": "m.csv"}})  # fmt: skip
    return submit(lab, spec)


def _end(job: JobPaths) -> None:
    now = time.time() - 60
    write_json(job.started, {"v": 1, "started": now, "pid": 1, "ticks": 5, "boot": boot(),
                             "device": "cpu"})  # fmt: skip
    values = {"val/r2/log_g": 0.75, "test/r2/log_g": 0.74}
    write_result(job.result, Result("1.0", job.folder.name[16:], "full", "command", values,
                                    errors={"val/r2/log_g": 0.004}, n={"test": 10},
                                    headline="val/r2/log_g", seconds=3.0))  # fmt: skip
    job.lock.touch()
    write_json(job.exit, exit_record("ok", "", now, code=0))


def _fill(job: JobPaths) -> None:
    event = {"v": 1, "t": 1e9, "kind": "eval", "step": 1, "of": 9, "epoch": 1, "split": "val",
             "n": 5, "values": {"val/r2/log_g": 0.5}}  # fmt: skip
    lines = [{**event, "step": n, "epoch": n} for n in range(3)]
    job.events.write_text("".join(json.dumps(line) + "\n" for line in lines))
    health = {"v": 1, "t": 1e9, "status": "ok", "what": "", "evidence": ""}
    job.health.write_text(json.dumps(health) + "\n")
    job.log.write_text("begun\nhalf a li")
    sources = [{"file": "m.csv", "kind": "csv", "names": {"a": "val/r2/log_g"}, "rows": 3}]
    write_json(job.metrics, {"v": 1, "sources": sources, "problems": []})
    write_json(job.slurm, {"id": "7", "said": "PENDING"})
    write_json(job.config, {"a": 1})
    write_link(job, Link(id="a", path="wandb/x"))
    job.residuals.write_bytes(b"PAR1")


COMMANDS = (("jobs",), ("status",), ("logs", "JOB"), ("gates",), ("compare",),
            ("sync", "--dry-run"), ("debug",), ("look",), ("lint",), ("plot", "JOB"),
            ("figure", "curves"))  # fmt: skip
ALLOWED = {"logs": (0, 2), "plot": (0, 2), "figure": (0, 2), "lint": (0, 1)}
DOCUMENTS = ("spec.json", "started.json", "exit.json", "queue.json", "result.json", "wandb.json",
             "metrics.json", "slurm.json", "environment.json", "health.jsonl",
             "events.jsonl")  # fmt: skip
STATES = ("ended", "running", "queued")
KEPT = ".kept-lock"
OTHERS = ("lock", "config.json", "residuals.parquet", "out.log", "stop", "resume")


def cases() -> Iterator[tuple[str, str, Change]]:
    """Job, what is done to it, and what does it."""
    for state in STATES:
        for name in (*DOCUMENTS, *OTHERS):
            for kind, make in KINDS.items():
                yield state, f"{name} {kind}", _replaced(name, make)
        for name in DOCUMENTS:
            for data in WHOLE:
                yield state, f"{name} {data[:9]!r}", _replaced(name, _writes(data))
            for key in range(20):
                for text in NUMBERS:
                    yield state, f"{name} {key} {text[:9]}", _with_value(name, key, text)


def _writes(data: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(data)

    return write


Change = Callable[[JobPaths], bool]
"""Changes one file; whether there was anything to change."""


def _replaced(name: str, make: Callable[[Path], None]) -> Change:
    def change(job: JobPaths) -> bool:
        path = job.folder / name
        if path == job.lock and path.exists():
            path.rename(path.with_name(KEPT))  # a process may hold it
        path.unlink(missing_ok=True)
        make(path)
        return True

    return change


def _with_value(name: str, key: int, text: str) -> Change:
    def change(job: JobPaths) -> bool:
        path = job.folder / name
        if not path.is_file():
            return False
        *before, last = path.read_text().strip().rpartition("\n")
        document = json.loads(path.read_text() if name.endswith("json") else last)
        places = list(_places(document))
        if key >= len(places):
            return False
        holder, at = places[key]
        holder[at] = "HERE"
        changed = json.dumps(document).replace('"HERE"', text)
        path.write_text(changed if name.endswith("json") else "".join(before) + changed + "\n")
        return True

    return change


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for at, one in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, at
        if isinstance(one, dict | list):
            yield from _places(one)


def _restored(job: JobPaths, saved: Path) -> None:
    """The files as they were."""
    if (kept := job.folder / KEPT).exists():
        if job.lock.is_dir() and not job.lock.is_symlink():
            job.lock.rmdir()
        kept.replace(job.lock)
    for path in job.folder.iterdir():
        if path == job.lock and (saved / "lock").exists():
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    for path in saved.iterdir():
        if not os.path.lexists(job.folder / path.name):
            shutil.copy2(path, job.folder / path.name)


class TooSlowError(Exception):
    pass


def _late(_signal: int, _frame: FrameType | None) -> None:
    raise TooSlowError


def ran(folders: Folders, words: tuple[str, ...], job: JobPaths) -> tuple[Any, str, str]:
    """Status, output and errors of a command; `look` is that of the screen."""
    out, errors = io.StringIO(), io.StringIO()
    signal.setitimer(signal.ITIMER_REAL, 10)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            if words == ("look",):
                reader = LabReader(open_lab(folders.lab.root))
                for _ in range(2):
                    view = reader.read(folders.lab.root / FILE)
                assert len(view.jobs) == 4
                for row in in_order(view.jobs):
                    shown = (*state_words(row.state), reason(row), job_detail(row), time_of(row))
                    if isinstance(row.state, Unreadable):
                        assert f"unreadable: {row.state.why}" in shown
                return 0, "", reader.trouble
            status: Any = main([job.name if word == "JOB" else word for word in words])
    except SystemExit as end:
        status = end.code
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return status, out.getvalue(), errors.getvalue()


def failures(folders: Folders, tmp_path: Path, every: int) -> list[str]:
    """What goes wrong over each `every`-th case, one line each.

    Of all cases by every command, else by `jobs` and one other.
    """
    bad: list[str] = []
    for state in STATES:
        shutil.copytree(getattr(folders, state).folder, tmp_path / state)
    before, here = signal.signal(signal.SIGALRM, _late), Path.cwd()
    os.chdir(folders.lab.root)
    tried = 0
    try:
        for number, (state, what, change) in enumerate(cases()):
            job: JobPaths = getattr(folders, state)
            if number % every or not change(job):
                continue
            others = COMMANDS if every == 1 else [COMMANDS[number // every % len(COMMANDS)]]
            for words in (("jobs", "--json"), *others):
                tried += 1
                try:
                    fault = _fault(folders, words, *ran(folders, words, job), state, what)
                except Exception as error:  # what a person would see as a traceback
                    fault = f"{type(error).__name__}: {error}"
                if fault:
                    bad.append(f"{state}: {what}: {' '.join(words)}: {fault}")
            _restored(job, tmp_path / state)
    finally:
        os.chdir(here)
        signal.signal(signal.SIGALRM, before)
    print(f"{tried} commands")
    return bad


def _fault(
    folders: Folders,
    words: tuple[str, ...],
    status: Any,
    out: str,
    errors: str,
    state: str,
    what: str,
) -> str:
    lines = [line for line in errors.splitlines() if "bug in vitlab" in line]
    if lines or "Traceback" in errors:
        return (lines or errors.splitlines())[0]
    if status not in ALLOWED.get(words[0], (0,)):
        return f"status {status}: {errors.strip()[:200]}"
    name, _, kind = what.partition(" ")
    shown = kind in KINDS and name != "out.log" and kind != "sparse"  # its size is not looked at
    if shown and words[0] in ("jobs", "status", "gates", "sync") and name not in out + errors:
        return "not told"
    if words != ("jobs", "--json"):
        return ""
    rows = {row["job"]: row for row in json.loads(out)}
    healthy = rows.pop(folders.healthy.name)
    if len(rows) != 3 or healthy["state"] != "done" or healthy["problem"]:
        return f"rows {sorted(rows)}, {healthy}"
    row = rows[getattr(folders, state).name]
    if shown and name not in str(row["problem"]):
        return f"not told: {row}"
    if state == "queued" and shown and row["state"] != "unreadable":
        return f"state {row['state']}"
    return ""


def test_whatever_stands_in_a_folder_costs_one_row(folders: Folders, tmp_path: Path) -> None:
    every = int(os.environ.get("VITLAB_EVERY", "41"))
    bad = failures(folders, tmp_path, every)
    assert not bad, "\n".join(bad)


OWN = ("lease", "again", "results.json", "pairs.json", "inspected.json", "told.json",
       "written.json", "screen.json", "supervisor.log", "notices", "ceilings")  # fmt: skip


def test_whatever_stands_in_the_lab_s_own_folder(folders: Folders) -> None:
    private = folders.lab.private.folder
    before, here = signal.signal(signal.SIGALRM, _late), Path.cwd()
    os.chdir(folders.lab.root)
    every = int(os.environ.get("VITLAB_EVERY", "11"))
    bad = []
    changes = [*KINDS.items(), *((repr(data[:9]), _writes(data)) for data in WHOLE)]
    try:
        for number, (name, (what, change)) in enumerate(product(OWN, changes)):
            if number % every:
                continue
            _removed(private / name)
            private.mkdir(exist_ok=True)
            change(private / name)
            for words in (("jobs",), ("gates",), ("compare",), ("status",), ("debug",), ("look",)):
                try:
                    status, _, errors = ran(folders, words, folders.healthy)
                except UsageError as error:
                    status, errors = 2, str(error)
                refused = status == 2 and "a link out of the lab; remove it" in errors
                if (status and not refused) or "mistake" in errors:
                    bad.append(f"{name} {what}: {words}: {status} {errors}")
            _removed(private / name)
    finally:
        os.chdir(here)
        signal.signal(signal.SIGALRM, before)
    assert not bad, "\n".join(bad)


def _removed(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
