"""The Python trainings of this user that run by hand, what could be taken of each, and adoption."""

from __future__ import annotations

import glob
import os
import re
import shlex
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from vitlab.contract.job import Queued, Running, Spec
from vitlab.contract.paths import JobPaths, LabPaths, UsageError
from vitlab.contract.reading import open_regular
from vitlab.jobs import processes
from vitlab.jobs.experiment.command import options_of
from vitlab.jobs.experiment.script import EPOCH_OPTIONS
from vitlab.jobs.experiment.script_files import kind_of
from vitlab.jobs.experiment.settings import load_settings
from vitlab.jobs.files import born, take_lock, write_owner
from vitlab.jobs.gpus import Device, devices
from vitlab.jobs.metrics import ownership
from vitlab.jobs.metrics.files import LIMIT
from vitlab.jobs.metrics.formats.decoder import Decoder, is_word
from vitlab.jobs.metrics.formats.kinds import decoder_of
from vitlab.jobs.metrics.source import Source
from vitlab.jobs.processes import ADOPTED, Process
from vitlab.jobs.queue.scheduler import start_supervisor
from vitlab.jobs.store import all_jobs, submit

CPU_SECONDS = 60
"""A Python process that used more is listed, whatever it has loaded."""
_LIBRARIES = re.compile(rb"libtorch|lib_lightgbm|libxgboost|jaxlib|tensorflow|/catboost/")
_WORDS = ("torch", "lightning", "lightgbm", "accelerate", "deepspeed")
_PYTHON = re.compile(r"python[\d.]*|pypy[\d.]*|torchrun|accelerate|deepspeed")
_PYTEST = re.compile(r"pytest|py\.test")
_WORKER = "import sys;exec(eval(sys.stdin.readline()))"
"""What the workers of pytest-xdist are started with, by execnet."""
_SKIPPED = ("site-packages", "node_modules", "__pycache__")
MAX_ENTRIES = 20_000
MAX_DEPTH = 7
"""Of a folder that is searched for metrics files."""
_HEAD = 1 << 20
"""Bytes of a metrics file that are read for its names."""


@dataclass(frozen=True)
class Training:
    """One process, and what it takes to adopt it."""

    pid: int
    ticks: int
    argv: tuple[str, ...]
    folder: Path
    """Where it runs."""
    started: float
    """Unix seconds."""
    log: Path | None
    """The regular file its output goes to."""
    metrics: tuple[Path, ...]
    """Metrics files it writes, of the kind that is best to read."""
    unclear: str
    """A metrics file that may be another's, and why; empty where there is none."""
    device: str
    """`gpu0`, `gpu0,gpu1` or `cpu`."""
    job: str
    """The job whose process it is already, as its environment has it; empty for none."""

    @property
    def command(self) -> str:
        """Its command line, as a shell would take it."""
        return shlex.join(self.argv)


def training(pid: int) -> Training:
    """The process `pid`, whatever it is; `UsageError` where it cannot be looked at."""
    running = processes.process(pid)
    if running is None:
        raise UsageError(f"process {pid}: no such process")
    try:
        argv = _argv(pid)
        folder = Path(f"/proc/{pid}/cwd").readlink()
        owner = re.search(rb"^Tgid:\s*(\d+)", processes.proc_file(pid, "status"), re.MULTILINE)
    except OSError as error:
        raise UsageError(f"process {pid}: not yours ({error.strerror})") from error
    if _exists(folder) and not processes.is_same(folder, f"/proc/{pid}/cwd"):
        raise UsageError(f"process {pid}: its {folder} is another than ours, as in a container")
    if owner and int(owner[1]) != pid:
        raise UsageError(f"{pid}: is a thread of process {int(owner[1])}: give that")
    if _holds_us(pid):
        raise UsageError(
            f"process {pid} ({argv[0]}): runs this command itself, as your shell or terminal does, "
            "and a stop would end all that it has started: give the training's own"
        )
    started, family = processes.began(running.ticks), processes.tree(pid, running.ticks)
    metrics, unclear = _metrics(family, folder, started)
    on = [one.label for one in devices() if {member.pid for member in family} & set(one.pids)]
    return Training(
        pid=pid,
        ticks=running.ticks,
        argv=argv,
        folder=folder,
        started=started,
        log=_log(pid),
        metrics=tuple(metrics),
        unclear=unclear,
        device=",".join(on) or "cpu",
        job=processes.job_of(pid),
    )


def trainings() -> list[Training]:
    """This user's Python trainings, the oldest first; without us, vitlab and its jobs."""
    on_gpu = {pid for device in devices() for pid in device.pids}
    everyone = {one.pid: one for one in processes.all_processes() if _is_ours(one.pid)}
    mine = set(processes.ancestors(os.getpid(), everyone))
    sure, found = set[int](), list[Process]()
    for one in sorted(everyone.values(), key=lambda one: (one.ticks, one.pid)):
        if one.pid in mine or not (kind := _kind(one, on_gpu)):
            continue
        if kind in ("sure", "test"):
            sure.add(one.pid)
        if kind == "test":
            continue
        if not sure & set(processes.ancestors(one.parent, everyone)):  # not a worker of one
            found.append(one)
    listed = []
    for one in found:
        try:
            entry = training(one.pid)
        except UsageError:
            continue  # it ended, or is in a container
        if not entry.job:
            listed.append(entry)
    return listed


def _holds_us(pid: int) -> bool:
    """Whether this command's session, or one that began it, hangs on a process: a shell, tmux.

    A script that has itself adopted is below its session's first process.
    """
    if pid == 1:
        return True
    try:
        session = os.getsid(pid)
        is_above = session == pid or session != os.getsid(0)
        return is_above and pid in processes.ancestors(os.getppid())
    except OSError:
        return False


def _is_ours(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}").stat().st_uid == os.getuid()
    except OSError:
        return False


def _kind(one: Process, on_gpu: Collection[int]) -> str:
    """`sure`: a training by GPU or library; `busy`: by its CPU time alone; empty: none.

    `test`: pytest or a worker of it, which is none, nor is what it starts.
    """
    try:
        argv = _argv(one.pid)
        program = Path(f"/proc/{one.pid}/exe").readlink().name
        maps = Path(f"/proc/{one.pid}/maps").read_bytes()
    except OSError:
        return ""
    words = [Path(word).name for word in argv[:3]]
    modules = [module for flag, module in pairwise(argv) if flag == "-m"]
    if not argv or not any(_PYTHON.fullmatch(word) for word in (program, *words[:1])):
        return ""
    if "vitlab" in words or any(module.split(".")[0] == "vitlab" for module in modules):
        return ""
    if any(_PYTEST.fullmatch(word) for word in (*words[:2], *modules)) or _WORKER in argv:
        return "test"
    line = " ".join(argv).lower()
    if one.pid in on_gpu or _LIBRARIES.search(maps) or any(word in line for word in _WORDS):
        return "sure"
    seconds = one.cpu_ticks / os.sysconf("SC_CLK_TCK")
    return "busy" if seconds > CPU_SECONDS else ""


def _argv(pid: int) -> tuple[str, ...]:
    raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    return tuple(part.decode("utf-8", "replace") for part in raw.rstrip(b"\0").split(b"\0"))


def _log(pid: int) -> Path | None:
    """The regular file that is its standard output, or else its standard error."""
    for descriptor in (1, 2):
        try:
            path = Path(f"/proc/{pid}/fd/{descriptor}").readlink()
        except OSError:
            continue
        is_there = processes.is_same(path, f"/proc/{pid}/fd/{descriptor}")
        if path.is_absolute() and path.is_file() and is_there:
            return path
    return None


def _metrics(family: Sequence[Process], folder: Path, started: float) -> tuple[list[Path], str]:
    """The files that are this run's own, of the kind that is best to read; and why not more.

    It has them open, or they were made below its folder since it began and by nobody else.
    """
    pids = frozenset(one.pid for one in family)
    above = {pid for one in family[:1] for pid in processes.ancestors(one.pid)}
    rivals = ownership.look_alikes(family, beside=str(folder), without=above)
    opened = ownership.writers([Path("/")])
    held = {Path(name) for name, by in opened.items() if {one.pid for one in by} & pids}
    ours, unclear = set[Path](), dict[Path, str]()
    for path in {*(path for path in held if kind_of(path) is not None), *metrics_files(folder)}:
        made = born(path)
        is_held, holders = ownership.evidence_of_holders(path, opened, pids, beside=False)
        existed = made is None or made < started
        claim = ownership.claim(
            ownership.Evidence(
                held=is_held,
                holders=holders,
                born=made,
                existed=existed,
                changed=changed(path) >= started,
                rivals=rivals,
            )
        )
        if claim.owner == "ours":
            ours.add(path)
        elif claim.owner == "unclear":
            unclear[path] = claim.why
    best = min((kind_of(path) or 0 for path in ours), default=0)
    why = next((f"{path.name}: {reason}" for path, reason in unclear.items()), "")
    return sorted(path for path in ours if kind_of(path) == best), why


def changed(path: Path) -> float:
    """When it was written last, in unix seconds; 0 for one that cannot be looked at."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def is_job_folder(folder: Path) -> bool:
    """Whether it is that of a job of vitlab's."""
    job = JobPaths(folder)
    return _exists(job.spec) and _exists(job.queue)


def _exists(path: Path) -> bool:
    """Also in a folder that is closed to us, as of another user below a shared one."""
    try:
        return path.exists()
    except OSError:
        return False


def metrics_files(folder: Path) -> list[Path]:
    """Metrics files below `folder`, the newest first.

    Hidden folders, packages, and the folders of vitlab's own jobs are passed by.
    """
    found, seen = [], 0
    for here, folders, files in os.walk(folder):
        depth = len(Path(here).parts) - len(folder.parts)
        usable = [name for name in folders if name[0] != "." and name not in _SKIPPED]
        usable = [n for n in usable if not _exists(Path(here, n, "pyvenv.cfg"))]
        usable = [n for n in usable if not is_job_folder(Path(here, n))]
        folders[:] = sorted(usable) if depth < MAX_DEPTH else []
        seen += len(files) + len(folders)
        if seen > MAX_ENTRIES:
            break
        found += [path for name in files if kind_of(path := Path(here, name)) is not None]
    return sorted(found, key=changed, reverse=True)


_NUMBERED = ((r"version_\d+", "version_*"), (r"checkpoint-\d+", "checkpoint-*"),
             (r"(offline-)?run-\d{8}_\d{6}-\w+", "*run-*"), (r"run-\w+\.wandb", "*.wandb"),
             (r"events\.out\.tfevents\..*", "events.out.tfevents.*"))  # fmt: skip


def as_glob(path: Path, folder: Path) -> str:
    """`path` from `folder`, with a star where a program counts its runs: `version_*`."""
    written = Path(os.path.relpath(path, folder))
    stars = {
        part: star
        for part in written.parts
        for pattern, star in _NUMBERED
        if re.fullmatch(pattern, part)
    }
    if not (stars or path.is_file()):  # a pattern itself
        return written.as_posix()
    return "/".join(stars.get(part) or glob.escape(part) for part in written.parts)


def columns(path: Path) -> list[str]:
    """The names in a metrics file; none where it cannot be read."""
    try:
        with os.fdopen(open_regular(path, follow=True), "rb") as file:
            head = file.read(_HEAD)
            decoder = decoder_of(head, Source({}), last=True)
            if not isinstance(decoder, Decoder):
                return []
            decoder.read(head + file.read(LIMIT - _HEAD) if decoder.whole else head, True)
    except (OSError, ValueError):
        return []
    return [name for name in decoder.columns if is_word(name.encode())]


def adopt(lab: LabPaths, spec: Spec, pid: int, log: Path | None = None) -> JobPaths:
    """Make the running process `pid` a job, watched to its end; its supervisor starts at once.

    `spec` says what the run is for (mvp, run, exp_id, ..., and `metrics` in its `extra`); recipe
    and configuration become the process's own command. `log` is shown as its `out.log`. The run
    itself is not touched; it is not our child, so its exit code stays unknown.
    """
    if log is not None and not log.is_file():
        raise UsageError(f"{log}: no such log")
    lab.private.make()
    one_at_a_time = take_lock(lab.private.adopting)
    if one_at_a_time is None:
        raise UsageError("another `vitlab adopt` is in progress in this lab; try again")
    try:
        found = training(pid)
        if watcher := watched_by(lab, found):
            raise UsageError(f"process {pid}: is already a job: {watcher}")
        spec = replace(
            spec,
            recipe="command",
            config={
                **spec.config,
                **_declared(found.argv),
                "argv": list(found.argv),
                "cwd": str(found.folder),
            },
            extra={**spec.extra, ADOPTED: {"pid": pid, "ticks": found.ticks}},
        )
        job = submit(lab, spec)
        if log is not None:
            job.log.symlink_to(log.resolve())
        _start(lab, job, pid)
        return job
    finally:
        os.close(one_at_a_time)


def _declared(argv: Sequence[str]) -> dict[str, int]:
    """Its epochs and its seed, where its command line says them once.

    Of several an option of the program itself counts, then one of its trainer.
    """
    _, options = options_of(argv)
    found: dict[str, dict[int, set[int]]] = {"epochs": {}, "seed": {}}
    for name, value in options.items():
        part, _, word = name.rpartition(".")
        key = "epochs" if word in EPOCH_OPTIONS else word
        if key in found and type(value) is int and value >= (key == "epochs"):
            rank = 0 if not part else 1 if part in ("trainer", "training", "train") else 2
            found[key].setdefault(rank, set()).add(value)
    best = {key: ranks[min(ranks)] for key, ranks in found.items() if ranks}
    return {key: values.pop() for key, values in best.items() if len(values) == 1}


def watched_by(lab: LabPaths, found: Training) -> str:
    """The job that has this process, its parent or its child already; empty where none has."""
    if found.job:
        folder = Path(found.job)
        return f"{folder.parent.name}/{folder.name}"
    for job in all_jobs(lab):
        adopted = job.spec.extra.get(ADOPTED)
        if adopted and isinstance(job.state, Queued | Running) and _share(adopted, found):
            return job.name
    return ""


def _share(adopted: Mapping[str, Any], found: Training) -> bool:
    """Whether one of the two processes is the other, or descends from it."""
    pid, ticks = processes.identity(adopted)
    watched = processes.tree(pid, ticks)
    ours = processes.tree(found.pid, found.ticks)
    return found.pid in [one.pid for one in watched] or pid in [one.pid for one in ours]


def _start(lab: LabPaths, job: JobPaths, pid: int) -> None:
    lock = take_lock(job.lock)
    if lock is None:
        raise UsageError(f"{job.name}: another process holds its lock")
    lab.private.make()
    on = [device for device in devices() if pid in device.pids]
    try:
        write_owner(
            lock,
            {
                "v": 1,
                "started": round(time.time(), 3),
                "boot": processes.boot(),
                "device": ",".join(device.label for device in on) or "cpu",
                "devices": [_record(device, pid) for device in on],
                "grace": load_settings(lab).grace,
            },
        )
        start_supervisor(lab, job, lock)
    finally:
        os.close(lock)


def _record(device: Device, pid: int) -> dict[str, Any]:
    """The GPU as it was without the run, as far as is known."""
    return {**device.record, "pids": [one for one in device.pids if one != pid]}
