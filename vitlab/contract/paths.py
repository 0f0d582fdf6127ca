"""Where a lab and its jobs keep their files: the one owner of every file name."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

SETTINGS = "vitlab.yaml"
SPEC = "spec.json"
UNFINISHED = "unfinished.json"
"""In the journal: a save that is under way, or was cut short."""
TREES = "trees.json"
"""In the checkpoints of boosted trees: the trees grown so far."""
FIGURE_FOLDER = "img"
"""Folder of the figures, beside the roadmap that shows them."""
_EXP_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")


class UsageError(Exception):
    """A user's mistake: its text is the one line shown, and the exit status is 2."""


class NoLab(UsageError):  # noqa: N818  # what is missing says it
    """No lab was found from a folder upwards."""


@dataclass(frozen=True)
class PrivatePaths:
    """The lab's own files, in `.vitlab/`; they can be deleted when nothing runs."""

    folder: Path

    def make(self) -> None:
        """Make the folder, unless it exists."""
        self.folder.mkdir(exist_ok=True)

    @property
    def journal(self) -> Path:
        """Folder of the documents' edits, for undo."""
        return self.folder / "journal"

    @property
    def lease(self) -> Path:
        """Locked by the process that schedules."""
        return self.folder / "lease"

    @property
    def again(self) -> Path:
        """Asks whoever has the lease to schedule once more."""
        return self.folder / "again"

    @property
    def supervisor_log(self) -> Path:
        return self.folder / "supervisor.log"

    @property
    def slurm(self) -> Path:
        """Folder of what is submitted to Slurm."""
        return self.folder / "slurm"

    @property
    def slurm_asked(self) -> Path:
        """Its time is that of the last question to Slurm."""
        return self.slurm / "asked"

    @property
    def notices(self) -> Path:
        """Folder of one record for each end a webhook was told of."""
        return self.folder / "notices"

    @property
    def inspected(self) -> Path:
        """What is known of data files."""
        return self.folder / "inspected.json"

    @property
    def results(self) -> Path:
        """Cache of the ended jobs' results."""
        return self.folder / "results.json"

    @property
    def pairs(self) -> Path:
        """Cache of differences between two jobs."""
        return self.folder / "pairs.json"

    @property
    def ceilings(self) -> Path:
        """Folder of computed ceilings."""
        return self.folder / "ceilings"

    @property
    def cache(self) -> Path:
        """Folder of prepared training data."""
        return self.folder / "cache"

    @property
    def status_sync(self) -> Path:
        """Which statuses were written into the documents."""
        return self.folder / "told.json"

    @property
    def sync_ledger(self) -> Path:
        """Which results were written into the documents, and which a person refused."""
        return self.folder / "written.json"

    @property
    def screen(self) -> Path:
        """How the screen was left."""
        return self.folder / "screen.json"

    @property
    def tour(self) -> Path:
        """Whether the tour was shown."""
        return self.folder / "tour"


@dataclass(frozen=True)
class LabPaths:
    """The files of one lab, by its root."""

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
    def exports(self) -> Path:
        """Where views are saved as files."""
        return self.root / "exports"

    @property
    def private(self) -> PrivatePaths:
        return PrivatePaths(self.root / ".vitlab")

    def experiment_files(self) -> list[Path]:
        """All experiment files, by name."""
        return sorted(path for path in self.experiments.glob("*.yaml") if path.is_file())

    def exp_folder(self, exp_id: str) -> Path:
        """The folder of one experiment's jobs; an id that is no plain name is refused."""
        if not _EXP_ID.fullmatch(exp_id):
            raise UsageError(f"exp_id {exp_id!r} is not a plain name (letters, digits, '-', '_')")
        return self.experiments / exp_id

    def inside(self, path: str | Path) -> Path:
        """`path` below the root, symlinks resolved; one that leaves the lab is refused."""
        resolved = (self.root / path).resolve()
        if not resolved.is_relative_to(self.root.resolve()):
            raise UsageError(f"{path}: outside the lab {self.root}")
        return resolved

    def relative(self, path: Path) -> str:
        """`path` as the lab names it, with `/`; absolute when it is elsewhere."""
        try:
            return path.resolve().relative_to(self.root.resolve()).as_posix()
        except ValueError:
            return path.as_posix()


@dataclass(frozen=True)
class JobPaths:
    """The files of one job, by its folder (`experiments/<exp_id>/<job>`)."""

    folder: Path

    @property
    def name(self) -> str:
        """`<exp_id>/<job>`: how people and commands call the job."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def spec(self) -> Path:
        return self.folder / SPEC

    @property
    def started(self) -> Path:
        return self.folder / "started.json"

    @property
    def lock(self) -> Path:
        return self.folder / "lock"

    @property
    def queue(self) -> Path:
        """Written by people while the job waits: {hold, order, priority, boot}."""
        return self.folder / "queue.json"

    @property
    def resume(self) -> Path:
        """An empty file: a request to run this ended job again, in its folder."""
        return self.folder / "resume"

    @property
    def slurm(self) -> Path:
        """What is known of it in Slurm: {id, said, commit, dirty, grace}; once it is submitted."""
        return self.folder / "slurm.json"

    @property
    def code_diff(self) -> Path:
        """What was changed since the commit it ran with."""
        return self.folder / "code.diff"

    @property
    def log(self) -> Path:
        return self.folder / "out.log"

    @property
    def old_log(self) -> Path:
        """The end of a log that was cut."""
        return self.folder / "out.1.log"

    @property
    def wandb(self) -> Path:
        """Where it is at W&B."""
        return self.folder / "wandb.json"

    @property
    def wandb_log(self) -> Path:
        return self.folder / "wandb" / "vitlab.log"

    @property
    def events(self) -> Path:
        return self.folder / "events.jsonl"

    @property
    def result(self) -> Path:
        return self.folder / "result.json"

    @property
    def residuals(self) -> Path:
        """True and predicted labels of each test star (`vitlab.ml.scoring`)."""
        return self.folder / "residuals.parquet"

    @property
    def evaluations(self) -> Path:
        """Folder of the residuals of later evaluations."""
        return self.folder / "evaluations"

    @property
    def exit(self) -> Path:
        return self.folder / "exit.json"

    @property
    def health(self) -> Path:
        return self.folder / "health.jsonl"

    @property
    def stop(self) -> Path:
        return self.folder / "stop"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"


def find_lab(start: Path) -> LabPaths:
    """The nearest lab from `start` upwards.

    A lab is the nearest folder with `vitlab.yaml`, or else the nearest with both `roadmaps/`
    and `experiments/`.
    """
    folders = [start.resolve(), *start.resolve().parents]
    for folder in folders:
        if (folder / SETTINGS).is_file():
            return LabPaths(folder)
    for folder in folders:
        if (folder / "roadmaps").is_dir() and (folder / "experiments").is_dir():
            return LabPaths(folder)
    raise NoLab(
        f"{start}: no lab here or above (a folder with {SETTINGS}, or with roadmaps/ and "
        "experiments/); `vitlab init` makes one"
    )


def write_atomic(path: Path, data: bytes, mode: int | None = None) -> None:
    """Replace `path` by `data`, whole or not at all, and durable: temp, fsync, rename, fsync."""
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
