"""Where a lab and its jobs keep their files: the one owner of every file name."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

SETTINGS = "vitlab.yaml"
_EXP_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")


class UsageError(Exception):
    """A user's mistake: its text is the one line shown, and the exit status is 2."""


class NoLab(UsageError):  # noqa: N818  # what is missing says it
    """No lab was found from a folder upwards."""


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
    def private(self) -> Path:
        """The lab's own state: edit journal, caches, scheduler lease."""
        return self.root / ".vitlab"

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
        return self.folder / "spec.json"

    @property
    def started(self) -> Path:
        return self.folder / "started.json"

    @property
    def lock(self) -> Path:
        return self.folder / "lock"

    @property
    def log(self) -> Path:
        return self.folder / "out.log"

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
