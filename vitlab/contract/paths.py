"""Where a lab and its jobs keep their files; all file names are defined here."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

SETTINGS = "vitlab.yaml"
SPEC = "spec.json"
UNFINISHED = "unfinished.json"
"""In the journal: a save in progress, or one that was interrupted."""
TREES = "trees.json"
"""Checkpoint of boosted trees: the trees grown so far."""
PROVENANCE, NUMBERS = "provenance.json", "numbers.tex"
"""In the folder of a paper's artefacts: what each number comes from, and a macro for each."""
FIGURE_FOLDER = "img"
"""Folder of the figures, next to the roadmap."""
IGNORED = (".vitlab/", "experiments/*/", "runs/", "wandb/")
"""What git need not keep of a lab: vitlab's own files, job folders, folders that scripts run in."""
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
"""Errors of `flock` on a disk that has no locks."""
ABANDONED = 600.0
"""Seconds after which a file half written may be that of a process killed on another machine."""
_EXP_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")


class UsageError(Exception):
    """A user error: its text is shown as one line, and the exit status is 2."""


def cause(error: Exception) -> str:
    """An error in one line: its text, or of a file's `FILE: Permission denied`."""
    if not isinstance(error, OSError):
        return str(error)
    what = error.strerror or str(error) or type(error).__name__
    both = (error.filename, error.filename2)
    names = [os.fsdecode(name) for name in both if isinstance(name, str | bytes) and name]
    if not names:  # files are named
        told = {errno.ENOSPC: ["output"], errno.ENOENT: ["the current folder"]}
        names = told.get(error.errno or 0, [])
    return ": ".join([" -> ".join(names), what] if names else [what])


class NoLab(UsageError):  # noqa: N818 - the name says what happened
    """No lab was found from a folder upwards."""


def real(path: Path) -> Path:
    """A path with its links followed, absolute; a link in a circle stays, and cannot be read.

    A name that no file can have, or too many links, is taken for one below the root.
    """
    try:
        return Path(os.path.realpath(path))
    except (ValueError, RecursionError):  # a NUL character; hundreds of links in a row
        return Path("/", repr(str(path)))


def told_apart(root: Path, roadmaps: Iterable[str]) -> dict[str, str]:
    """Paths of roadmaps in a lab -> one text for those that are one file.

    One that is gone, or was renamed, is the only one that is there; of several it is none of them.
    """
    names = set(roadmaps)
    if len(names) < 2:
        return dict.fromkeys(names, "")
    # `Path.is_file` raises for a name that no file can have, or a closed folder.
    there = {name: str(real(root / name)) for name in names if os.path.isfile(root / name)}  # noqa: PTH113
    lost = next(iter(there.values())) if len(set(there.values())) == 1 else ""
    return {name: there.get(name, lost) for name in names}


def is_closed(path: Path) -> bool:
    """Whether a file is there that this user may not read, as a colleague's of a shared lab."""
    return os.path.lexists(path) and not os.access(path, os.R_OK)


def shared_rights(path: Path) -> int:
    """Of a record that all write who may write in its folder, whatever mask one of them has."""
    return path.parent.stat().st_mode & 0o666


def check_inside(folder: Path, paths: Iterable[Path]) -> None:
    """`UsageError` for the first path that a link leads out of the folder."""
    inside = real(folder)
    for path in paths:
        if not real(path).is_relative_to(inside):
            raise UsageError(f"{path}: a link out of {folder}; nothing was written")


class _File:
    """A file or folder of a class of paths, by its name in their `folder`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, paths: PrivatePaths | JobPaths, _: type) -> Path:
        return paths.folder / self.name


@dataclass(frozen=True)
class PrivatePaths:
    """vitlab's own files, in `.vitlab/`; safe to delete when nothing runs."""

    folder: Path

    def make(self) -> None:
        """Create the folder unless it exists."""
        self.folder.mkdir(exist_ok=True)

    def check(self) -> None:
        """`UsageError` where it, or what is in it, is a link out of the lab: it is written to."""
        inside = f"{os.path.realpath(self.folder.parent)}/"
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for path in (self.folder, *self.folder.iterdir()):
                if path.is_symlink() and not os.path.realpath(path).startswith(inside):
                    raise UsageError(f"{path}: a link out of the lab; remove it")

    journal = _File("journal")
    """Folder of document edits, for undo."""
    lease = _File("lease")
    """Locked by the process that is scheduling."""
    launching = _File("launching")
    """Locked by the process that is launching, so that two see each other's jobs."""
    adopting = _File("adopting")
    """Locked by the process that is adopting a run, so that none is adopted twice."""
    again = _File("again")
    """Asks the holder of the lease to schedule again."""
    supervisor_log = _File("supervisor.log")
    slurm = _File("slurm")
    """Folder of submissions to Slurm."""
    slurm_asked = _File("slurm/asked")
    """Its modification time is that of the last query to Slurm."""
    notices = _File("notices")
    """Folder with one record for each webhook notification."""
    inspected = _File("inspected.json")
    """Cache of what is known about data files."""
    results = _File("results.json")
    """Cache of the ended jobs' results."""
    pairs = _File("pairs.json")
    """Cache of paired differences between jobs."""
    styles = _File("styles.json")
    """The place of each model among the colours and markers of figures."""
    ceilings = _File("ceilings")
    """Folder of computed ceilings."""
    cache = _File("cache")
    """Folder of prepared training data."""
    status_sync = _File("told.json")
    """Which statuses were written into the documents."""
    sync_ledger = _File("written.json")
    """Which results were written into the documents, and which a person refused."""
    written_lock = _File("written.lock")
    """Locked by the process that changes the record of results, or that of numbers."""
    numbers = _File("numbers.jsonl")
    """Which job and value each number comes from that was written, a sealed line for each write."""
    earlier = _File("earlier.json")
    """What documents said before the first job of their roadmap; sealed."""
    mark = _File("lab")
    """Names this lab among others of its user: what a sealed file says it is of. A copy of the lab
    has the same."""
    decisions = _File("decisions.json")
    """What persons have decided of gates, and why; sealed."""
    changes = _File("changes.jsonl")
    """What happened, a line each, for those who wait for it."""
    changes_lock = _File("changes.lock")
    """Locked by the process that adds to it."""
    paper_lock = _File("paper.lock")
    """Locked by the process that writes a paper's artefacts."""
    autopilot = _File("autopilot.json")
    """The autopilot of the lab: what it may use, what it has launched; sealed."""
    autopilot_lock = _File("autopilot.lock")
    """Locked by the process that carries the autopilot on; its time is that of the last time."""
    autopilot_again = _File("autopilot.again")
    """Asks the holder of that lock to carry it on once more."""
    autopilot_waits = _File("autopilot.waits")
    """Locked by the process that carries it on while a document cannot be read."""
    autopilot_environment = _File("autopilot.env.json")
    """The environment the autopilot was started with, in which it launches."""
    tray = _File("tray")
    """Folder of what assistants propose, a file each."""
    agents = _File("agents.json")
    """The jobs that assistants have launched within a budget."""
    agents_lock = _File("agents.lock")
    """Locked by the server that launches within it."""
    screen = _File("screen.json")
    """State of the screen when it was last left."""
    tour = _File("tour")
    """Exists once the tour has been shown."""


@dataclass(frozen=True)
class LabPaths:
    """The files of one lab."""

    root: Path

    @property
    def settings(self) -> Path:
        return self.root / SETTINGS

    @property
    def roadmaps(self) -> Path:
        return self.root / "roadmaps"

    @property
    def experiments(self) -> Path:
        return self.root / "experiments"

    @property
    def openings(self) -> Path:
        """When the stars kept for gates were opened, a line each; it is never rewritten."""
        return self.experiments / "openings.jsonl"

    @property
    def exports(self) -> Path:
        """Folder of exported views."""
        return self.root / "exports"

    @property
    def private(self) -> PrivatePaths:
        return PrivatePaths(self.root / ".vitlab")

    def experiment_files(self) -> list[Path]:
        """All experiment files, sorted by name, those that cannot be read as well."""
        found = self.experiments.glob("*.yaml")
        return sorted(path for path in found if not path.name.startswith("."))  # an editor's

    def exp_folder(self, exp_id: str) -> Path:
        """The folder of one experiment's jobs; `UsageError` unless the id is a plain name."""
        if not _EXP_ID.fullmatch(exp_id):
            raise UsageError(f"exp_id {exp_id!r} is not a plain name (letters, digits, '-', '_')")
        return self.experiments / exp_id

    def inside(self, path: str | Path) -> Path:
        """`path` under the root, symlinks resolved.

        `UsageError` for one outside the lab, and for one that cannot be looked at: its name is too
        long, or its folder is closed.
        """
        resolved = real(self.root / path)
        if not resolved.is_relative_to(self.root.resolve()):
            raise UsageError(f"{path}: outside the lab {self.root}")
        try:
            resolved.lstat()
        except (FileNotFoundError, NotADirectoryError):
            pass  # it may be made
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from error
        return resolved

    def relative(self, path: Path) -> str:
        """`path` relative to the root, with `/`; absolute when it is outside."""
        try:
            return real(path).relative_to(self.root.resolve()).as_posix()
        except ValueError:
            return path.as_posix()


@dataclass(frozen=True)
class JobPaths:
    """The files of one job, in its folder `experiments/<exp_id>/<job>`."""

    folder: Path

    @cached_property
    def name(self) -> str:
        """`<exp_id>/<job>`: the name used in commands."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def root(self) -> Path:
        """The lab's root: `experiments` may be a link to another disk, so none is followed."""
        parents = self.folder.absolute().parents
        return parents[2] if len(parents) > 2 else self.folder

    def check_is_here(self) -> None:
        """`UsageError` if the folder is a link, as of an archived job: nothing is written there."""
        for folder in (self.folder, self.folder.parent):
            if folder.is_symlink():
                raise UsageError(f"{folder}: a link; nothing is written into the folder it names")

    def is_resumed(self) -> bool:
        """Whether a resume was asked for; another file or folder of that name asks for none."""
        try:
            found = os.lstat(self.resume)
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and not found.st_size

    spec = _File(SPEC)
    environment = _File("environment.json")
    """The environment it was submitted with: {v, variables, withheld}."""
    config = _File("config.json")
    """The settings of a command's run, its placeholder `{config}`."""
    outputs = _File("outputs")
    """Folder of what a command's `outputs` name, copied at a good end."""
    program = _File("program")
    """Folder of the configuration files a command's argv names, and a script in no repository."""
    started = _File("started.json")
    lock = _File("lock")
    queue = _File("queue.json")
    """The user's changes while the job waits: {hold, order, priority, boot}."""
    resume = _File("resume")
    """An empty file: a request to resume this job in its folder."""
    slurm = _File("slurm.json")
    """The job in Slurm, once submitted: {id, said, commit, dirty, grace}."""
    code_diff = _File("code.diff")
    """Uncommitted changes in the code it ran with."""
    log = _File("out.log")
    old_log = _File("out.1.log")
    """The end of a log that was rotated."""
    wandb = _File("wandb.json")
    """Its run at W&B."""
    wandb_log = _File("wandb/vitlab.log")
    events = _File("events.jsonl")
    unwritten = _File("unwritten")
    """An empty file: numbers of the running attempt wait for room on the disk."""
    metrics = _File("metrics.json")
    """What was found of a program's own metrics: files, columns, rows, problems."""
    result = _File("result.json")
    residuals = _File("residuals.parquet")
    """True and predicted labels of each test star (`vitlab.ml.scoring`)."""
    sealed = _File("sealed.json")
    """Its result on the stars kept for gates, once they were opened for it."""
    sealed_residuals = _File("sealed.parquet")
    evaluations = _File("evaluations")
    """Folder of the residuals of later evaluations."""
    exit = _File("exit.json")
    health = _File("health.jsonl")
    stop = _File("stop")
    checkpoints = _File("checkpoints")


def archived(path: Path, attempt: int) -> Path:
    """A file of a job as it is kept of an earlier attempt: `exit.1.json`."""
    return path.with_name(f"{path.stem}.{attempt}{path.suffix}")


def find_lab(start: Path) -> LabPaths:
    """The nearest lab from `start` upwards.

    A lab is the nearest folder with `vitlab.yaml`, or else the nearest with both `roadmaps/`
    and `experiments/`, or with what vitlab left in a repository that was opened as it stands.
    """
    lab = LabPaths(_root(start))
    lab.private.check()
    return lab


def _root(start: Path) -> Path:
    folders = [start.resolve(), *start.resolve().parents]
    for folder in folders:
        if os.path.lexists(folder / SETTINGS):  # whatever it is: it is not passed by in silence
            return folder
    for folder in folders:
        if (folder / "roadmaps").is_dir() and (folder / "experiments").is_dir():
            return folder
    for folder in folders:
        if LabPaths(folder).private.folder.is_dir() and (folder / ".git").exists():
            return folder
    raise NoLab(
        f"{start}: no lab here or above (a folder with {SETTINGS}, or with roadmaps/ and "
        "experiments/); `vitlab init` creates one"
    )


def write_atomic(
    path: Path, data: bytes, mode: int | None = None, *, sync_name: bool = True
) -> None:
    """Replace `path` with `data`, atomically and durably: temp, fsync, rename, fsync.

    Without `sync_name` the folder is left to the caller, who writes several files into it.
    """
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL  # never through a link that waits there
        try:
            descriptor = os.open(temporary, flags, 0o666)
        except FileExistsError:  # left by a killed process of the same number
            temporary.unlink()
            descriptor = os.open(temporary, flags, 0o666)
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None:
                with contextlib.suppress(PermissionError):  # a disk without modes, as vfat
                    os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        remove_leftovers(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename, error.filename2 = str(path), None  # of a full disk it has none
        raise
    if sync_name:
        sync_folder(path.parent)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Where a library may write what then replaces `path`; nothing of a failure stays.

    It is in a new folder: libraries follow a link that waits in another one.
    """
    folder = path.with_name(f".{path.name}.new-{os.urandom(4).hex()}")
    folder.mkdir(0o700)
    file = folder / path.name
    try:
        yield file
        file.replace(path)
    finally:
        file.unlink(missing_ok=True)
        folder.rmdir()


def remove_leftovers(path: Path) -> None:
    """Remove what killed processes left of this file, written half: theirs is a number of none."""
    head = f".{path.name}.tmp-"
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            number = entry.name.removeprefix(head)
            if number == entry.name or not number.isdecimal() or _is_running(int(number)):
                continue
            # On another machine it may live: nothing is written for so long.
            if time.time() - entry.stat(follow_symlinks=False).st_mtime > ABANDONED:
                os.unlink(entry.path)  # noqa: PTH108 - of an entry


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable, where its disk can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            error.filename = str(folder)
            raise
    finally:
        os.close(descriptor)
