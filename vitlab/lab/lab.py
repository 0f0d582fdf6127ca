"""One lab: its root, its settings and the documents and experiments it holds."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from vitlab.contract.paths import JobPaths, LabPaths, UsageError, find_lab
from vitlab.docs.model.roadmap import NoMvpTable, Roadmap, parse_roadmap
from vitlab.docs.model.vocabulary import Vocabulary, default_vocabulary
from vitlab.docs.save import repair
from vitlab.docs.text.source import read
from vitlab.jobs.experiment.settings import Settings, load_settings
from vitlab.lab.progress import Progress, ProgressReader, read_end


@dataclass(frozen=True)
class Lab:
    """A lab as it was opened; documents and jobs are read from disk at each call."""

    paths: LabPaths
    settings: Settings
    _readers: dict[Path, ProgressReader] = field(default_factory=dict, compare=False, repr=False)
    _parsed: dict[Path, tuple[tuple[int, int, int], Roadmap]] = field(
        default_factory=dict, compare=False, repr=False
    )
    _lock: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)

    def progress(self, job: JobPaths) -> Progress:
        """How far `job` is; only what its events added since the last call is read."""
        with self._lock:
            reader = self._readers.setdefault(job.folder, ProgressReader(job))
            return reader.poll()

    def last_progress(self, job: JobPaths) -> Progress:
        """How far an ended job came, from the end of its events unless all are read already."""
        with self._lock:
            reader = self._readers.get(job.folder)
            return read_end(job) if reader is None else reader.poll()

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The default header and status words, and the lab's own."""
        words = default_vocabulary()
        return words.extended(headers=self.settings.headers, statuses=self.settings.statuses)

    @property
    def journal(self) -> Path:
        """Where edits of the documents are journalled for undo."""
        return self.paths.private.journal

    def roadmaps(self) -> list[Path]:
        """The lab's roadmaps by name: every file of `roadmaps/` named so."""
        return sorted(self.paths.roadmaps.glob("**/*roadmap*.md"))

    def roadmap_path(self, named: str | Path | None = None) -> Path:
        """The named roadmap, or else the lab's first."""
        if named is not None:
            for path in (Path(named), self.paths.root / named, self.paths.roadmaps / named):
                if path.is_file():
                    return path
            raise UsageError(f"{named}: no such roadmap")
        roadmaps = self.roadmaps()
        if not roadmaps:
            raise UsageError(f"{self.paths.roadmaps}: no roadmap here (a file *roadmap*.md)")
        return roadmaps[0]

    def read_roadmap(self, path: Path) -> Roadmap:
        """The roadmap in `path`, parsed with the lab's vocabulary."""
        return parse_roadmap(read(path), self.vocabulary)

    def cached_roadmap(self, path: Path) -> Roadmap:
        """As `read_roadmap`, parsed again only when the file has changed: to show, not to edit."""
        stat = path.stat()
        mark = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        with self._lock:
            kept = self._parsed.get(path)
        if kept is None or kept[0] != mark:
            kept = (mark, self.read_roadmap(path))
            with self._lock:
                self._parsed[path] = kept
        return kept[1]

    def roadmap_with(self, mvp_id: str, named: str | Path | None = None) -> Path:
        """The roadmap that has `mvp_id`: the named one, or the first of the lab's."""
        paths = [self.roadmap_path(named)] if named is not None else self.roadmaps()
        known: list[str] = []
        for path in paths:
            try:
                roadmap = self.read_roadmap(path)
            except NoMvpTable:
                if named is not None:
                    raise
                continue
            if any(mvp.id == mvp_id for mvp in roadmap.mvps):
                return path
            known += [mvp.id for mvp in roadmap.mvps]
        where = named if named is not None else self.paths.roadmaps
        raise UsageError(f"{where}: no MVP {mvp_id!r} (known: {', '.join(known) or 'none'})")


def open_lab(start: Path) -> Lab:
    """The lab found from `start` upwards, settings checked and an interrupted save repaired."""
    paths = find_lab(start)
    lab = Lab(paths, load_settings(paths))
    # Another vitlab that is writing finishes its own save; a read-only folder is only read.
    with contextlib.suppress(UsageError, PermissionError):
        repair(lab.journal)
    return lab
