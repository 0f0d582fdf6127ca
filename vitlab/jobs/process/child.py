"""A job's own process: its command, its start, the reason of its end, and what it left.

A supervisor loads it: standard library only, and little of it.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from vitlab.contract.events import EventWriter, job_mark
from vitlab.contract.paths import JobPaths, LabPaths, remove_leftovers, write_atomic
from vitlab.contract.reading import Search, matching, open_regular, read_regular
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
from vitlab.jobs.files import last_json_line, open_appending, read_json, read_own, write_json
from vitlab.jobs.process.ending import disk_free
from vitlab.jobs.process.health import Epochs, History
from vitlab.jobs.processes import ADOPTED, MARKER, PYTHON, process, when_possible

COMMAND = "command"
"""The recipe of a user's own program."""
RESERVE = 200 * 10**6
"""Bytes left free on the lab's disk when outputs are copied."""
MAX_TOLD = 50
"""Outputs that are told of one by one."""


def command(job: JobPaths, resumed: bool, across: Sequence[str] = ()) -> tuple[list[str], Path]:
    """The job's argv and folder: those of `recipe: command`, or the recipe runner's.

    `across` is put before what can share its work among nodes: a network's training.
    """
    root = job.root
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
    return filled(spec, job.root, _values(job, spec), resumed)


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
    # A Python that our libraries start would look for modules in the lab first.
    own: Mapping[str, str] = {"PYTHONSAFEPATH": "1"}
    if spec.get("recipe") == COMMAND:
        own = filled_command(job, spec, False).env
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
        text = settings_text(spec["config"], _values(job, spec))
        write_atomic(job.config, text.encode("utf-8", "replace"))


def lacking_secrets(job: JobPaths) -> str:
    """What its process will lack of the environment it was submitted with; empty for nothing."""
    _, missing = environment(job, {})
    if not missing:
        return ""
    return (
        f"submitted with {', '.join(missing)}, which look like secrets and are not stored; "
        "the process that starts it lacks them"
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
        pid = when_possible(os.fork)
        if pid == 0:
            _execute(argv, cwd, marked, job.log, reports)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(reports)
    _note(job, pid)
    return Child(pid, report)


def _note(job: JobPaths, pid: int) -> None:
    """Write down a job's own process: whoever comes after its supervisor's death is to find it."""
    own, started = process(pid), read_json(job.started)
    if own is not None and started:
        with contextlib.suppress(OSError):  # a full disk: the marker has to do
            before = job.started.stat()
            write_json(job.started, {**started, "child": {"pid": pid, "ticks": own.ticks}})
            # Its time is the beginning of all attempts, a restart's too.
            os.utime(job.started, ns=(before.st_atime_ns, before.st_mtime_ns))


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
        os.dup2(open_appending(log), 1)
        os.dup2(1, 2)
        os.execvpe(argv[0], argv, variables)
    except OSError as error:
        os.write(reports, str(error.errno).encode())
    finally:
        os._exit(127)


def write_start(
    job: JobPaths, orders: Mapping[str, Any], resumed: bool, began: float | None
) -> None:
    """Write the `start` of a program that writes none: run times count from it.

    `began`: when one was started by hand; None for others.
    """
    spec = read_json(job.spec)
    record: dict[str, Any] = {
        "host": os.uname().nodename,
        "device": orders.get("device", "cpu"),
        "commit": orders.get("commit") or None,
        "dirty": bool(orders.get("dirty")),
        "seed": (spec.get("config") or {}).get("seed"),
        "job": job_mark(spec.get("submitted")),
    }
    if resumed:
        last = last_json_line(job.events)
        record["resumed_from"] = last.get("step", last.get("resumed_from", 0))
    if began is not None:
        record |= {"t": round(began, 3), "by_hand": True}
    with contextlib.suppress(OSError):
        job.unwritten.unlink()
    with contextlib.suppress(OSError), EventWriter(job.events) as writer:
        writer.write("start", **record)


def unreleased_gpu_memory(orders: Mapping[str, Any], patience: float) -> str:
    """Memory its GPUs lack `patience` seconds after its end; empty when there is none."""
    records = orders.get("devices")
    if not records:
        return ""
    # NVML costs much memory: only where there is a GPU.
    from vitlab.jobs.gpus import unreleased_memory

    return unreleased_memory(records, patience)


def proof_of_end(job: JobPaths, history: History) -> tuple[str, str]:
    """What shows that a run reached its end, and how far it came where that is known.

    Its last epoch shows it, or a score on the test set, where it is the only one, no training
    followed it and the epochs do not contradict it: a run may be tested at every epoch.
    """
    if any(one.get("names") for one in shared_sources(job)):
        return "", ""  # all that is known may be another's
    spec = read_json(job.spec)
    count, came_to = (spec.get("config") or {}).get("epochs"), ""
    if isinstance(count, int) and history.epochs:
        epoch, has_passed, lacks = _reached(history.epochs, count)
        came_to = f"epoch {epoch:g} of {count}"
        if epoch > count + 1:  # another number of epochs than the training's
            return "", came_to
        if has_passed or lacks:
            return f"it reached {came_to}" if has_passed else "", came_to
    headline = str(spec.get("headline", ""))
    once = len(history.series.get(headline, ())) == 1 and history.values[headline] is not None
    if Value.parse(headline).split == "test" and once and history.tested is not None:
        return f"it wrote {headline}", came_to
    return "", came_to


def _reached(epochs: Mapping[str, Epochs], count: int) -> tuple[float, bool, bool]:
    """The last epoch of a run, whether it is the end of all `count`, and whether some are lacking.

    Its validation says it, where there is one; what is not validated at every epoch, its training.
    A test counts from 0: its epochs are used where there are no others.
    """
    trained, validated = epochs.get(""), epochs.get("val")
    used = [one for one in (trained, validated) if one] or [*epochs.values()]
    furthest = max(used, key=lambda one: one.last)
    parts = any(one % 1 for one in (furthest.last, furthest.stride))  # of epochs are counted
    # One that is validated before it is trained may count from 1 all the same.
    first = min(one.first for one in used if one is not validated or one.step or not trained)
    last = count - 1 if first == 0 and not parts else count
    if validated and (validated.lacks(last) or validated.last >= last):
        has_passed = validated.passed(last)
    else:
        has_passed = used[0].passed(last)
    return furthest.last, has_passed, furthest.lacks(last)


def shared_sources(job: JobPaths) -> list[dict[str, Any]]:
    """What `metrics.json` says of files and of the log that others write too."""
    return [one for one in read_own(job, job.metrics).get("sources") or () if one.get("shared")]


def shares_log(job: JobPaths) -> bool:
    """Whether others were seen to write its log: its end may be theirs."""
    return any(one.get("kind") == "log" for one in shared_sources(job))


def write_command_result(job: JobPaths, history: History, seconds: float) -> str:
    """Write `result.json` for a `recipe: command` that did not: the last value of each name.

    Returns why it cannot, or how far it came where epochs are lacking; empty otherwise.
    """
    spec = read_json(job.spec)
    if spec.get("recipe") != COMMAND or job.result.exists():
        return ""
    if job.unwritten.exists():
        return "no result: its last numbers were not written to events.jsonl"
    began_late, is_all = _began_late(job, spec, history)
    if is_all:
        return f"no result: {began_late}"
    sources = read_own(job, job.metrics).get("sources") or ()
    shared = {
        ours for source in shared_sources(job) for ours in (source.get("names") or {}).values()
    }
    unknown = {
        (source.get("names") or {}).get(theirs)
        for source in sources
        for theirs in source.get("unknown") or ()
    } | history.unclear
    values = {name: None if name in unknown else value
              for name, value in history.values.items() if name not in shared}  # fmt: skip
    if not values:
        return ""
    from vitlab.contract.job import Result, read_spec, write_result
    from vitlab.contract.tracking import read_link

    whole = read_spec(job.spec)
    link = read_link(job, whole)
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
        wandb=link.shown if link else None,
        job=whole.mark if whole else "",
    )
    write_result(job.result, result)
    proof, came_to = proof_of_end(job, history)
    told = [began_late, f"it came to {came_to}" if came_to and not proof else ""]
    return "; ".join(filter(None, told))


def _began_late(job: JobPaths, spec: Mapping[str, Any], history: History) -> tuple[str, bool]:
    """What shows that a first attempt found another run's checkpoint; whether it trained nothing.

    Its epochs begin late, and another run's metrics file stood in its folder; then it comes to the
    last one at once, and has no number in a column of its training or validation.
    """
    record = read_own(job, job.metrics)
    files = (record.get("state") or {}).get("files") or {}
    others = [path for path in files.get("existing") or () if "/wandb/" not in path]
    count = (spec.get("config") or {}).get("epochs")
    if history.before or not others or not history.epochs or not isinstance(count, int):
        return "", False
    first = min(one.first for one in history.epochs.values())
    stride = max(one.stride for one in history.epochs.values())
    if first <= 1 + stride or first > count + 1:
        return "", False
    text = f"it began at epoch {first:g} of {count}, as from a checkpoint of another run"
    ours = [str(one) for source in record.get("sources") or ()
            for one in (source.get("names") or {}).values()]  # fmt: skip
    lacks = [one for one in ours if Value.parse(one).split != "test" and one not in history.values]
    return text, first >= count - 1 and bool(lacks)


def keep_outputs(job: JobPaths) -> list[str]:
    """Copy what a command's `outputs` name into its folder; a line on each that is not there.

    Only files changed since the job first started: others are an earlier run's.
    """
    missing: list[str] = []
    try:
        for line in _keep_outputs(job):
            missing.append(line)
            if len(missing) == MAX_TOLD:
                missing.append("config.outputs: more are not kept")
                break
    except Exception as error:  # a strange file must not end the supervisor
        missing.append(f"config.outputs: {type(error).__name__}: {error}")
    return missing


def _keep_outputs(job: JobPaths) -> Iterator[str]:
    spec = read_json(job.spec)
    if spec.get("recipe") != COMMAND:
        return
    command = filled_command(job, spec, False)
    began = min((_began(path, command.cwd) for path in job.folder.glob("started*.json")), default=0)
    for glob in command.outputs:
        search = Search()
        found = sorted(matching(command.cwd, glob, search, folders=True))
        files = [path for one in found for path in _files(one, search)]
        if search.is_cut:
            yield f"config.outputs: {glob}: only the nearest {search.limit} are looked at"
        fresh = [path for path in files if _changed(path) >= began - 1]
        if not fresh:
            older = f" new ({len(files)} older)" if files else ""
            yield f"config.outputs: {glob}: no{older} file in {command.cwd}"
        for path in fresh:
            name = Path(os.path.relpath(path, command.cwd))
            kept = job.folder.resolve() / job.outputs.name
            if why := _copy(path, command.cwd.resolve(), kept / name, kept):
                yield f"config.outputs: {name}: not kept ({why})"


def _began(started: Path, cwd: Path) -> float:
    """When an attempt started, by the clock of the disk of its files, which may be a server's."""
    with contextlib.suppress(OSError):
        if (record := started.stat()).st_dev == cwd.stat().st_dev:
            return record.st_mtime
    return float(read_json(started).get("started", 0))


def _files(path: Path, search: Search) -> list[Path]:
    """The file, or those below a folder."""
    return sorted(matching(path, "**", search)) if path.is_dir() else [path]


def _changed(path: Path) -> float:
    """When it was written last; of one that cannot be looked at, its copy tells why."""
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return math.inf


def _copy(source: Path, within: Path, target: Path, outputs: Path) -> str:
    """Why it could not be copied; empty when it was.

    Neither end leaves its folder, whatever links lie on the way: `within`, and `outputs`.
    """
    try:
        real = source.resolve(strict=True)
        if not real.is_relative_to(within):
            return "a link out of the run's folder"
        target = Path(os.path.normpath(target))
        if not target.parent.resolve().is_relative_to(outputs):
            return "its copy would lie outside the job's outputs"
        target.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(open_regular(real), "rb") as file:
            found = os.fstat(file.fileno())
            if (disk_free(target.parent) or 0) - found.st_size < RESERVE:
                return "the lab's disk is nearly full"
            copied = target.with_name(f".{target.name[:200]}.tmp-{os.getpid()}")
            try:
                _fill(copied, file, found)
                copied.replace(target)
                remove_leftovers(target)
            finally:
                copied.unlink(missing_ok=True)
    except RuntimeError:  # before Python 3.13
        return "a link in a circle"
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _fill(path: Path, source: BinaryIO, found: os.stat_result) -> None:
    """Write a new file with what `source` held when it was opened; it may still grow."""
    with path.open("xb") as file:
        left = found.st_size
        while left and (block := source.read(min(left, 1 << 20))):
            left -= file.write(block)
        with contextlib.suppress(PermissionError):  # a disk without modes, as vfat
            os.fchmod(file.fileno(), found.st_mode & 0o777)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def start_notice(job: JobPaths, wait: bool) -> None:
    """Start the process that notifies the lab's webhook of the end, where there seems to be one.

    `wait`: until it has ended, where all processes end with this one.
    """
    if not job.exit.exists():
        return  # it is resumed, and has not ended
    try:
        has_webhook = b"webhook" in read_regular(LabPaths(job.root).settings, follow=True)
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
