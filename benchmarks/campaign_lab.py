"""What the campaign stands on: labs made by commands, commands run with limits, rules for answers.

It knows `vitlab` by its documents and its command line alone. As the start of a process takes
0.3 s, most commands are run in a fork of one process that has `vitlab.cli` loaded; `fresh` ones are
real processes. Started as `campaign_lab.py fork`, this file is that process.
"""

from __future__ import annotations

import gc
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

LIMIT = 20.0
"""Seconds that a command may take."""
MEMORY = 2**30
"""Bytes of resident memory that a command may take."""
UNPRIVILEGED = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
"""Root without its privileges: a mode of 000 is one for it too."""
LOOKS = [
    ("jobs",),
    ("jobs", "--json"),
    ("status",),
    ("status", "--json"),
    ("gates",),
    ("gates", "--json"),
    ("lint",),
    ("hub",),
    ("hub", "--json"),
    ("debug",),
    ("debug", "--json"),
    ("sync", "--dry-run"),
]
"""Commands that only look and load nothing heavy."""
SCRIPT = """\
import os, random, sys, time
ledger, job, epochs, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
def tell(*words):
    with open(ledger, "a") as file:
        file.write(" ".join(map(str, (*words, sys.argv[5]))) + "\\n")
tell("begin", job, os.getpid(), os.getppid())
for epoch in range(epochs):
    value = random.random()
    tell("value", job, value)
    print(f"epoch {epoch} r2={value}", flush=True)
    time.sleep(seconds)
tell("end", job)
"""
"""A training: it tells the ledger, which is outside the lab, what it does."""
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
Place = Callable[[Path], None]


def prefix() -> tuple[str, ...]:
    """What is put before a command of root's, where it can be had."""
    program = shutil.which(UNPRIVILEGED[0])
    return (program, *UNPRIVILEGED[1:]) if program and os.getuid() == 0 else ()


@dataclass(frozen=True)
class Answer:
    """What came of one command."""

    argv: tuple[str, ...]
    status: int | None
    """Exit status, negative for a signal; None where it had to be killed."""
    out: bytes
    err: bytes
    seconds: float
    memory: int
    """Peak of resident bytes."""

    @property
    def text(self) -> str:
        return (self.out + self.err).decode("utf-8", "replace")

    def json(self) -> Any:
        """The parsed output, strictly; None where there is none."""

        def refuse(word: str) -> None:
            raise ValueError(f"{word} is no JSON")

        try:
            return json.loads(self.out, parse_constant=refuse)
        except ValueError:
            return None

    def short(self) -> str:
        lines = self.err.decode("utf-8", "replace").strip().splitlines() or ["-"]
        return f"`vitlab {' '.join(self.argv)}` -> {self.status}: {lines[-1][:160]!r}"


def faults(answer: Answer, statuses: tuple[int, ...] = (0, 1, 2)) -> list[str]:
    """What is wrong with an answer, whatever the lab looks like."""
    found = []
    if answer.status is None:
        found.append(f"hang (over {answer.seconds:.0f} s)")
    elif answer.status not in statuses:
        found.append(f"exit status {answer.status}")
    if "Traceback (most recent call last)" in answer.text:
        found.append("traceback")
    if answer.memory > MEMORY or "MemoryError" in answer.text:
        found.append(f"memory ({answer.memory / 2**20:.0f} MB)")
    for name, data in (("stdout", answer.out), ("stderr", answer.err)):
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            found.append(f"{name} is no UTF-8")
        else:
            if control := CONTROL.search(text):
                found.append(f"{name} holds the control character {control.group()!r}")
    if answer.err.count(b"\n") > 8 or len(answer.err) > 4000:
        found.append(f"{answer.err.count(bytes([10]))} lines, {len(answer.err)} bytes on stderr")
    if len(answer.out) > 4 * 2**20:
        found.append(f"{len(answer.out)} bytes on stdout")
    if answer.status == 2 and not answer.err.strip():
        found.append("exit status 2 without a word")
    if "--json" in answer.argv and answer.status in (0, 1) and answer.json() is None:
        found.append("stdout is no strict JSON")
    return [f"{answer.short()}: {one}" for one in found]


class Commands:
    """Runs commands of `vitlab` as somebody whose home is a folder of the campaign."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        (self.home / ".profile").write_text("# mine\n")
        (self.home / ".ssh").mkdir()
        (self.home / ".ssh" / "authorized_keys").write_text("mine\n")
        self.ledger = folder / "ledger"
        self.env = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            "TERM": "xterm",
            "OMP_NUM_THREADS": "1",
            "POLARS_MAX_THREADS": "1",
            "WANDB_MODE": "disabled",
            "MPLCONFIGDIR": str(folder / "matplotlib"),
        }
        self.counts = {"fork": 0, "process": 0}
        self._fork: subprocess.Popen[str] | None = None

    def __call__(
        self,
        lab: Path,
        *argv: str,
        fresh: bool = False,
        env: dict[str, str] | None = None,
        limit: float = LIMIT,
        kill_after: float | None = None,
        before: tuple[str, ...] = (),
        program: tuple[str, ...] = (),
    ) -> Answer:
        """Run one command; `before` is put in front of it, `env` on top of its environment.

        `kill_after` seconds it is killed with SIGKILL.
        """
        request = {
            "argv": list(argv),
            "cwd": str(lab),
            "env": {key: one for key, one in {**self.env, **(env or {})}.items() if one != "-"},
            "limit": kill_after if kill_after is not None else limit,
            "out": str(self.folder / "stdout"),
            "err": str(self.folder / "stderr"),
        }
        fresh = fresh or bool(before or env or program)
        self.counts["process" if fresh else "fork"] += 1
        if fresh:
            words = program or (sys.executable, "-m", "vitlab")
            request["argv"] = [*before, *prefix(), *words, *argv]
            reply = _spawn(request)
        else:
            reply = self._ask(request)
        out, err = (Path(str(request[name])).read_bytes()[: 32 * 2**20] for name in ("out", "err"))
        return Answer(argv, reply["status"], out, err, reply["seconds"], reply["memory"])

    def _ask(self, request: dict[str, Any]) -> Any:
        if self._fork is None or self._fork.poll() is not None:
            warm = Path(tempfile.mkdtemp(dir=self.folder, prefix="warm-"))
            self._fork = subprocess.Popen(
                [*prefix(), sys.executable, __file__, "fork", str(warm)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=self.env,
            )
        assert self._fork.stdin is not None
        assert self._fork.stdout is not None
        self._fork.stdin.write(json.dumps(request) + "\n")
        self._fork.stdin.flush()
        return json.loads(self._fork.stdout.readline())

    def told(self) -> list[list[str]]:
        """What the trainings have told, a list of words each time."""
        with suppress(OSError):
            return [line.split() for line in self.ledger.read_text().splitlines()]
        return []

    def close(self) -> None:
        if self._fork is not None:
            self._fork.kill()
            self._fork.wait()
        for pid in processes(str(self.folder)):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def _limit(pid: int) -> None:
    with suppress(OSError):
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
        resource.prlimit(pid, resource.RLIMIT_AS, (8 * MEMORY, 8 * MEMORY))
        resource.prlimit(pid, resource.RLIMIT_DATA, (2 * MEMORY, 2 * MEMORY))


def _wait(pid: int, began: float, limit: float) -> dict[str, Any]:
    """Wait for a process that leads a group, and kill the group at the limit or over the memory."""
    pause, killed = 0.001, False
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        seconds = time.monotonic() - began
        if ended:
            code = None if killed else os.waitstatus_to_exitcode(status)
            return {"status": code, "seconds": seconds, "memory": usage.ru_maxrss * 1024}
        if seconds > limit and not killed:
            killed = True
            with suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
        time.sleep(pause)
        pause = min(0.02, pause * 1.2)


def _spawn(request: dict[str, Any]) -> dict[str, Any]:
    began = time.monotonic()
    with Path(request["out"]).open("wb") as out, Path(request["err"]).open("wb") as err:
        process = subprocess.Popen(
            request["argv"],
            cwd=request["cwd"],
            env=request["env"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        _limit(process.pid)
        reply = _wait(process.pid, began, request["limit"])
        process.returncode = 0
        return reply


def _serve(warm: Path) -> None:
    """Fork one command after the other, as asked on stdin, with `vitlab` loaded once."""
    answers = os.fdopen(os.dup(1), "w")
    requests = os.fdopen(os.dup(0), "r")
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)
    from vitlab.cli import main

    os.chdir(warm)
    for argv in [("new", "plan", "warm"), ("new", "mvp", "--name", "warm"), *LOOKS]:
        sys.argv = ["vitlab", *argv]
        with suppress(SystemExit):
            main()
    gc.collect()
    gc.freeze()
    assert len([*Path("/proc/self/task").iterdir()]) == 1, "a fork needs a process of one thread"
    for line in requests:
        request = json.loads(line)
        began = time.monotonic()
        pid = os.fork()
        if pid:
            answers.write(json.dumps(_wait(pid, began, request["limit"])) + "\n")
            answers.flush()
            continue
        os.setsid()
        requests.close()
        answers.close()
        os.chdir(request["cwd"])
        for number, name in ((1, "out"), (2, "err")):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            os.dup2(os.open(request[name], flags), number)
        os.environ.clear()
        os.environ.update(request["env"])
        _limit(os.getpid())
        _end_with(main, ["vitlab", *request["argv"]])


def _end_with(main: Callable[[], Any], argv: list[str]) -> NoReturn:
    """What the end of a Python process does, but for taking its modules down."""
    sys.argv, status = argv, 0
    try:
        status = main() or 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        status = 1
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def processes(words: str) -> list[int]:
    """The processes that have these words in their command line or environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            with suppress(OSError):
                said = (entry / "cmdline").read_bytes() + b"\0" + (entry / "environ").read_bytes()
                if words.encode() in said and ") Z " not in (entry / "stat").read_text():
                    found.append(int(entry.name))
    return found


def alive(pid: int) -> bool:
    with suppress(OSError, IndexError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[0]
        return state not in "ZX"
    return False


def wait_for(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """The first true value of `condition`; at last its value as it is."""
    end = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return value


def snapshot(folder: Path, skip: tuple[str, ...] = ()) -> dict[str, tuple[Any, ...]]:
    """Every entry below a folder: mode, where a link leads, and the bytes of a file."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in walk(folder):
        name = str(path.relative_to(folder))
        if name.startswith(skip):
            continue
        with suppress(FileNotFoundError):
            status = path.lstat()
            content: Any = None
            if path.is_symlink():
                content = str(path.readlink())
            elif path.is_file():
                content = path.read_bytes() if status.st_size < 2**20 else status.st_size
            found[name] = (status.st_mode, content)
    return found


def walk(folder: Path) -> Iterator[Path]:
    """Everything below a folder; links are not followed."""
    with suppress(OSError):
        for entry in sorted(folder.iterdir()):
            yield entry
            if entry.is_dir() and not entry.is_symlink():
                yield from walk(entry)


def changed(before: dict[str, tuple[Any, ...]], after: dict[str, tuple[Any, ...]]) -> list[str]:
    """The names of entries that differ between two snapshots."""
    names = before.keys() | after.keys()
    return sorted(name for name in names if before.get(name) != after.get(name))


STATE = (".local/state/", ".local/state", ".local")
"""Where a user's own records may be written."""


@dataclass
class Lab:
    """A lab of four MVPs, made by commands; experiments are their own scripts."""

    root: Path
    run: Commands

    @property
    def roadmap(self) -> str:
        return "roadmaps/survey_roadmap.md"

    def experiment(self, mvp: str, argv: list[str], **more: Any) -> None:
        path = self.root / "experiments" / f"mvp_{mvp}.yaml"
        path.parent.mkdir(exist_ok=True)
        config = {"argv": argv, "cwd": "work", **more.pop("config", {})}
        whole = {"mvp": mvp, "roadmap": self.roadmap, "recipe": "command", "config": config}
        path.write_text(json.dumps({**whole, "profiles": {"smoke": {}, "full": {}}, **more}) + "\n")

    def training(self, mvp: str, epochs: int = 3, seconds: float = 0.05, **more: Any) -> None:
        """An experiment of this MVP that runs `SCRIPT`, its numbers read from its log."""
        script = self.root / "work" / "train.py"
        metrics = {
            "pattern": r"epoch (?P<epoch>\d+) r2=(?P<val_r2>\S+)",
            "names": {"val_r2": "val/r2/log_g"},
        }
        told = [str(self.run.ledger), "{job}", str(epochs), str(seconds), mvp]
        argv = [sys.executable, str(script), *told]
        self.experiment(mvp, argv, **{"headline": "val/r2/log_g", "metrics": metrics, **more})

    def ok(self, *argv: str, **more: Any) -> Answer:
        """A command that has to succeed, or there is no campaign."""
        answer = self.run(self.root, *argv, **more)
        assert answer.status == 0, (answer.short(), answer.text[-2000:])
        return answer

    def launch(self, mvp: str, *more: str) -> list[str]:
        """Launch an MVP; the folders of its jobs from the lab's root."""
        paths = self.ok("run", mvp, "--profile", "full", "--json", *more).json()["jobs"]
        return [str((self.root / one).relative_to(self.root)) for one in paths]

    def rows(self) -> dict[str, dict[str, Any]]:
        return rows_of(self.run(self.root, "jobs", "--json"))

    def state(self, job: str) -> str:
        return str(self.rows().get(job, {}).get("state"))


def rows_of(answer: Answer) -> dict[str, dict[str, Any]]:
    """The rows of `jobs --json` by their folders from the lab's root; {} without an answer."""
    rows = answer.json()
    if not isinstance(rows, list):
        return {}
    found = {}
    for row in rows:
        with suppress(TypeError, KeyError, ValueError):
            found["experiments/" + "/".join(Path(row["job"]).parts[-2:])] = row
    return found


def make_lab(run: Commands, root: Path, slots: int = 1, mvps: int = 4) -> Lab:
    """A lab with a plan, its hub, a gate and a script; nothing has run in it."""
    root.mkdir(parents=True)
    lab = Lab(root, run)
    (root / "work").mkdir()
    (root / "work" / "train.py").write_text(SCRIPT)
    lab.ok("new", "plan", "survey", "--language", "en")
    settings = {"profile": "full", "cpu_slots": slots, "grace": 2, "wandb": {"mode": "off"}}
    (root / "vitlab.yaml").write_text(json.dumps(settings) + "\n")
    for number in range(1, mvps + 1):
        lab.ok("new", "mvp", "--name", f"number {number}", "--id", f"{number}.0")
        lab.training(f"{number}.0")
    lab.ok("new", "gate", "--name", "Good", "--condition", "val R2 log_g >= 0.6", "--mvp", "1.0")
    lab.ok("hub", "add", "H", "Trees are enough")
    return lab


if __name__ == "__main__" and sys.argv[1:2] == ["fork"]:
    _serve(Path(sys.argv[2]))
