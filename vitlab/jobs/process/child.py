"""A job's own process: its command, its start, the reason of its end, and what it left.

A supervisor loads it: standard library only, and little of it.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from vitlab.contract.events import Outcome
from vitlab.contract.paths import JobPaths, LabPaths
from vitlab.contract.value import Value
from vitlab.jobs.environment import as_bytes, submitted_environment, this_environment
from vitlab.jobs.experiment.placeholders import (
    Filled,
    filled,
    is_glob,
    settings_text,
    values_of,
    words_in,
)
from vitlab.jobs.files import last_json_line, read_json
from vitlab.jobs.process.health import History
from vitlab.jobs.processes import ADOPTED, MARKER, PYTHON

COMMAND = "command"
"""The recipe of a user's own program."""
RESERVE = 200 * 10**6
"""Bytes left free on the lab's disk when outputs are copied."""


def command(job: JobPaths, resumed: bool, across: Sequence[str] = ()) -> tuple[list[str], Path]:
    """The job's argv and folder: those of `recipe: command`, or the recipe runner's.

    `across` is put before what can share its work among nodes: a network's training.
    """
    root = job.folder.parents[2]
    spec = read_json(job.spec)
    if spec.get("recipe") == COMMAND:
        program = filled_command(job, spec, resumed)
        return list(program.argv), program.cwd.resolve()
    argv = [*PYTHON, "-m", "vitlab.recipes.run", str(job.folder)]
    if spec.get("recipe") in ("vit", "mlp"):
        argv = [*across, *argv]
    return [*argv, "--resume"] if resumed else argv, root


def filled_command(job: JobPaths, spec: Mapping[str, Any], resumed: bool) -> Filled:
    """The command of a job whose lock its supervisor holds, for this attempt."""
    return filled(spec, job.folder.parents[2], _values(job, spec), resumed)


def _values(job: JobPaths, spec: Mapping[str, Any]) -> dict[str, str]:
    return values_of(spec, job.folder, str(read_json(job.lock).get("device", "cpu")))


def environment(job: JobPaths, given: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """What its process starts with, and the names of secrets it lacks.

    The submitter's variables (in Slurm, which had them at submission, those of the batch step),
    then those vitlab gives, then those of its own `config.env`.
    """
    spec = read_json(job.spec)
    if (spec.get("extra") or {}).get("backend") == "slurm":
        variables, missing = this_environment(), list[str]()
    else:
        variables, missing = submitted_environment(job, this_environment())
    own = filled_command(job, spec, False).env if spec.get("recipe") == COMMAND else {}
    return {**variables, **given, **own}, [name for name in missing if name not in own]


def prepare(job: JobPaths) -> None:
    """Make the folders and the file of settings that a command's placeholders ask for."""
    spec = read_json(job.spec)
    if spec.get("recipe") != COMMAND or ADOPTED in (spec.get("extra") or {}):
        return
    command = filled_command(job, spec, False)
    if command.makes_cwd:
        command.cwd.mkdir(parents=True, exist_ok=True)
    metrics = ((spec.get("extra") or {}).get("metrics") or {}).get("file") or ""
    if words_in(metrics) and ".." not in Path(command.metrics).parts:
        folder = command.cwd
        for part in Path(command.metrics).parent.parts:
            if is_glob(part):
                break
            folder /= part
        folder.mkdir(parents=True, exist_ok=True)
    if (spec.get("config") or {}).get("args") or words_in(str(spec.get("config"))) & {"config"}:
        job.config.write_text(settings_text(spec["config"], _values(job, spec)), encoding="utf-8")


def lacking_secrets(job: JobPaths) -> str:
    """What its process will lack of the environment it was submitted with; empty for nothing."""
    _, missing = environment(job, {})
    if not missing:
        return ""
    return (
        f"submitted with {', '.join(missing)}, which look like secrets and are not stored; "
        "the process that starts it has none"
    )


@dataclass(frozen=True)
class Child:
    """A started process, which reports if its program could not be started."""

    pid: int
    report: int = -1
    """Descriptor of its report; -1 for a process that was started by hand."""

    def failure(self) -> str:
        """Why its program could not be started; empty when it was. Call it once, after its end."""
        if self.report < 0:
            return ""
        error = os.read(self.report, 16)
        os.close(self.report)
        return os.strerror(int(error)) if error else ""


def start(job: JobPaths, argv: list[str], cwd: Path, extra_environment: Mapping[str, str]) -> Child:
    """Start the job's process in its own group; both outputs go to the end of `out.log`.

    By fork, not posix_spawn: that returns only when the program has started, and a child stopped
    before that would block us forever.
    """
    prepare(job)
    variables, _ = environment(job, extra_environment)
    marked = as_bytes({**variables, MARKER: str(job.folder)})
    report, reports = os.pipe2(os.O_CLOEXEC)
    # A signal must not reach the child while it still has our handlers.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _execute(argv, cwd, marked, job.log, reports)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(reports)
    return Child(pid, report)


def _execute(
    argv: list[str], cwd: Path, variables: dict[bytes, bytes], log: Path, reports: int
) -> NoReturn:
    """In the child: execute the program, or report why not and end."""
    try:
        os.setpgid(0, 0)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCONT, signal.SIGUSR2):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.chdir(cwd)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666), 1)
        os.dup2(1, 2)
        os.execvpe(argv[0], argv, variables)
    except OSError as error:
        os.write(reports, str(error.errno).encode())
    finally:
        os._exit(127)


def start_record(job: JobPaths, orders: Mapping[str, Any], resumed: bool) -> dict[str, Any]:
    """The `start` event of a program that writes none."""
    record: dict[str, Any] = {
        "host": os.uname().nodename,
        "device": orders.get("device", "cpu"),
        "commit": orders.get("commit") or None,
        "dirty": bool(orders.get("dirty")),
        "seed": (read_json(job.spec).get("config") or {}).get("seed"),
    }
    if resumed:
        last = last_json_line(job.events)
        record["resumed_from"] = last.get("step", last.get("resumed_from", 0))
    return record


NAN_CODE = 3
"""A recipe's exit code when its loss is not finite."""

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_FULL_DISK = 1 << 16

# Compiled when a job has failed, as a supervisor that waits has no use for them.
_OOM = (
    r"CUDA out of memory|OutOfMemoryError|CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED"
    r"|^MemoryError\b|Cannot allocate memory|Unable to allocate .*for an array|std::bad_alloc"
)
_DISK = r"No space left on device|\[Errno 28\]|Disk quota exceeded|\[Errno 122\]"
_IMPORT = r"^(ModuleNotFoundError|ImportError): .*|.*: cannot open shared object.*"


@dataclass(frozen=True)
class End:
    """How the job's process ended, and what it left."""

    code: int | None
    """None when a signal ended it."""
    signal: int | None
    last_words: str = ""
    """The end of its log."""
    error: str = ""
    """The `error` of its last `end` event."""
    disk_free: int | None = None
    """Bytes left on its disk; on a full one its last words may be missing."""
    oom_kills: int = 0
    """Processes of its memory cgroup that the kernel killed while it ran."""
    proof: str = ""
    """What shows that a run started by hand reached its end; empty where nothing does."""
    own_codes: bool = False
    """Whether its exit code is a user's program's own: `NAN_CODE` means nothing there."""


def explain(end: End) -> tuple[Outcome, str]:
    """How the job ended, and a line for people."""
    if end.code == 0:
        return "ok", ""
    if end.code is None and end.signal is None:
        if "Traceback (most recent call last)" in end.last_words or end.error:
            return _classify(end), end.error or _last_line(end.last_words)
        if end.proof:
            return "ok", f"started by hand; {end.proof}"
        return (
            "unknown",
            "started by hand: its exit code is not known, and no number proves its end",
        )
    if end.signal is not None:
        name = _signal_name(end.signal)
        if end.signal == signal.SIGKILL and end.oom_kills:
            return (
                "oom",
                "the kernel killed it: the machine (or its memory limit) ran out of memory",
            )
        if end.signal == signal.SIGKILL:
            return "killed", f"{name} from outside: by a person, or the kernel when out of memory"
        if end.signal in _STOP_SIGNALS:
            return "killed", f"{name} from outside"
        return "failed", f"{name}: {_last_line(end.last_words)}".rstrip(": ")
    if end.code is not None and end.code - 128 in _STOP_SIGNALS:
        return "killed", f"{_signal_name(end.code - 128)} from outside; it ended itself"
    last = end.error or _last_line(end.last_words) or f"exit code {end.code}"
    not_finite = not end.error or "nan" in end.error.lower()
    if end.code == NAN_CODE and not_finite and not end.own_codes:
        return "nan", "the loss is not finite any more"
    outcome = _classify(end)
    if outcome == "failed" and end.disk_free is not None and end.disk_free < _FULL_DISK:
        return "disk_full", f"no space left on the disk; {last}"
    return outcome, last


def _classify(end: End) -> Outcome:
    words = f"{end.last_words}\n{end.error}"
    # The last exception decides: earlier ones may have been caught.
    places: dict[Outcome, list[int]] = {
        "oom": [m.start() for m in re.finditer(_OOM, words, re.MULTILINE)],
        "disk_full": [m.start() for m in re.finditer(_DISK, words, re.MULTILINE)],
        "import_error": [m.start() for m in re.finditer(_IMPORT, words, re.MULTILINE)],
    }
    last = max(places, key=lambda name: max(places[name], default=-1))
    return last if places[last] else "failed"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.replace("\r", "\n").split("\n")]
    lines = [line for line in lines if line]
    return "".join(c if c.isprintable() else " " for c in lines[-1])[:300] if lines else ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


TAIL = 8192
"""Bytes at the end of the log that are searched for the reason of an end."""


def file_size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def disk_free(folder: Path) -> int | None:
    try:
        status = os.statvfs(folder)
    except OSError:
        return None
    return status.f_bavail * status.f_frsize


def last_error(events: Path, start: int) -> str:
    """The `error` of the last line, if this run wrote one."""
    return str(last_json_line(events).get("error") or "") if file_size(events) > start else ""


def last_words(log: Path, start: int) -> str:
    """The last words of this run in its log; an earlier run's do not count."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - TAIL, start if start <= size else 0))
            return file.read(TAIL).decode("utf-8", "replace")
    except OSError:
        return ""


def unreleased_gpu_memory(orders: Mapping[str, Any], patience: float) -> str:
    """Memory its GPUs lack `patience` seconds after its end; empty when there is none."""
    records = orders.get("devices")
    if not records:
        return ""
    # NVML costs much memory: only where there is a GPU.
    from vitlab.jobs.gpus import unreleased_memory

    return unreleased_memory(records, patience)


def proof_of_end(job: JobPaths, history: History) -> str:
    """What shows that a run reached its end: its last epoch, or its score on the test set."""
    spec = read_json(job.spec)
    epochs = (spec.get("config") or {}).get("epochs")
    epoch, first = history.epoch, history.first_epoch
    if isinstance(epochs, int) and epoch is not None:
        last = epochs - 1 if first == 0 else epochs  # counted from 0, or from 1
        if epoch >= last:
            return f"it reached epoch {epoch:g} of {epochs}"
    headline = str(spec.get("headline", ""))
    if Value.parse(headline).split == "test" and history.values.get(headline) is not None:
        return f"it wrote {headline}"
    return ""


def write_command_result(job: JobPaths, history: History, seconds: float) -> None:
    """Write `result.json` for a `recipe: command` that did not: the last value of each name."""
    spec = read_json(job.spec)
    if spec.get("recipe") != COMMAND or job.result.exists():
        return
    sources = read_json(job.metrics).get("sources") or ()
    shared = {
        ours
        for source in sources
        if source.get("shared")
        for ours in (source.get("names") or {}).values()
    }
    unknown = {
        (source.get("names") or {}).get(theirs)
        for source in sources
        for theirs in source.get("unknown") or ()
    }
    values = {name: None if name in unknown else value
              for name, value in history.values.items() if name not in shared}  # fmt: skip
    if not values:
        return
    from vitlab.contract.job import Result, write_result

    link = read_json(job.wandb)
    result = Result(
        mvp=str(spec.get("mvp", "")),
        run=str(spec.get("run", "")),
        profile=str(spec.get("profile", "")),
        recipe=COMMAND,
        values=values,
        headline=str(spec.get("headline", "")),
        model={"name": str(spec.get("run", ""))},
        best={"step": history.step},
        seconds=round(seconds, 3),
        wandb=link.get("url") or link.get("path"),
    )
    write_result(job.result, result)


def keep_outputs(job: JobPaths) -> list[str]:
    """Copy what a command's `outputs` name into its folder; a line on each that is not there.

    Only files changed since the job first started: others are an earlier run's.
    """
    missing: list[str] = []
    try:
        missing.extend(_keep_outputs(job))
    except Exception as error:  # a strange file must not end the supervisor
        missing.append(f"config.outputs: {type(error).__name__}: {error}")
    return missing


def _keep_outputs(job: JobPaths) -> Iterator[str]:
    spec = read_json(job.spec)
    if spec.get("recipe") != COMMAND:
        return
    command = filled_command(job, spec, False)
    began = min(
        (float(read_json(path).get("started", 0)) for path in job.folder.glob("started*.json")),
        default=0.0,
    )
    for glob in command.outputs:
        files = [path for path in sorted(command.cwd.glob(glob)) for path in _files(path)]
        fresh = [path for path in files if path.stat().st_mtime >= began - 1]
        if not fresh:
            older = f" new ({len(files)} older)" if files else ""
            yield f"config.outputs: {glob}: no{older} file in {command.cwd}"
        for path in fresh:
            if why := _copy(path, job.outputs / path.relative_to(command.cwd)):
                yield f"config.outputs: {path.relative_to(command.cwd)}: not kept ({why})"


def _files(path: Path) -> list[Path]:
    """The file, or those below a folder."""
    return sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]


def _copy(source: Path, target: Path) -> str:
    """Why it could not be copied; empty when it was."""
    import shutil  # its compressors would cost a supervisor memory all the time

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(target.parent).free - source.stat().st_size < RESERVE:
            return "the lab's disk is nearly full"
        shutil.copy2(source, target)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def start_notice(job: JobPaths, wait: bool) -> None:
    """Start the process that notifies the lab's webhook of the end, where there seems to be one.

    `wait`: until it has ended, where all processes end with this one.
    """
    if not job.exit.exists():
        return  # it is resumed, and has not ended
    try:
        has_webhook = b"webhook" in LabPaths(job.folder.parents[2]).settings.read_bytes()
    except OSError:
        return
    if not has_webhook:
        return
    argv = [*PYTHON, "-m", "vitlab.jobs.queue.notice", str(job.folder)]
    quiet = [(os.POSIX_SPAWN_OPEN, n, os.devnull, os.O_RDWR, 0) for n in range(3)]
    with contextlib.suppress(OSError):  # no room for another process
        pid = os.posix_spawn(sys.executable, argv, os.environ, file_actions=quiet)
        if wait:
            os.waitpid(pid, 0)
