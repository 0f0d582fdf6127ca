"""One lab: its root, its settings and the documents and experiments it holds."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from vitlab.contract.paths import JobPaths, LabPaths, NoLab, UsageError, cause, find_lab, real
from vitlab.contract.reading import Unreadable, read_document
from vitlab.contract.user_key import own_record
from vitlab.docs.journal import Journal
from vitlab.docs.model.roadmap import Roadmap, parse_roadmap
from vitlab.docs.model.vocabulary import Vocabulary, default_vocabulary
from vitlab.docs.save import repair
from vitlab.docs.text.source import broken_at, read
from vitlab.jobs.experiment.settings import FOR_LOOKING, Settings, load_settings
from vitlab.jobs.submissions import remove_abandoned
from vitlab.lab.after_save import settle
from vitlab.lab.documents import find_roadmaps, is_plan, repository_with_roadmap
from vitlab.lab.progress import Progress, ProgressReader, read_end

NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)
"""Errors of a lab that can only be read."""


@dataclass(frozen=True)
class Lab:
    """A lab as it was opened; documents and jobs are read from disk at each call."""

    paths: LabPaths
    settings: Settings
    on_note: Callable[[str], None] | None = field(default=None, compare=False, repr=False)
    """Called with each new line of `notes`."""
    notes: list[str] = field(default_factory=list, compare=False, repr=False)
    """What was set aside, passed over or not written, a line each, as it was noticed."""
    _readers: dict[Path, ProgressReader] = field(default_factory=dict, compare=False, repr=False)
    _parsed: dict[Path, tuple[tuple[int, int, int], Roadmap]] = field(
        default_factory=dict, compare=False, repr=False
    )
    _found: dict[str, tuple[float, list[Path]]] = field(
        default_factory=dict, compare=False, repr=False
    )
    _lock: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)

    def set_aside(self, path: Path, error: Exception) -> None:
        """Rename a file of vitlab's own that is not as vitlab writes it, and tell it."""
        why = error.why if isinstance(error, Unreadable) else "is not as vitlab writes it"
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            self.tell(cause(error))  # a right is missing, or the disk is bad: it may be fine
            return
        with contextlib.suppress(OSError):
            path.rename(path.with_name(f"{path.name}.aside"))
            why += "; set aside"
        self.tell(f"{path.name} {why}")

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

    def forget_progress(self, keep: Collection[Path]) -> None:
        """Drop what was read of the events of jobs whose folders are not in `keep`."""
        with self._lock:
            for folder in self._readers.keys() - set(keep):
                del self._readers[folder]

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The default header and status words, and the lab's own."""
        own = self.settings
        try:
            return default_vocabulary().extended(headers=own.headers, statuses=own.statuses)
        except UsageError as error:
            raise UsageError(f"{self.paths.settings.name}: {error}") from error

    @cached_property
    def journal(self) -> Journal:
        """Where edits of the documents are journalled for undo."""
        settled = partial(settle, self.paths)
        return Journal(self.paths.private.journal, self.paths.root, self.tell, settled)

    def tell(self, line: str) -> None:
        """Note a line, once."""
        if line not in self.notes:
            self.notes.append(line)
            if self.on_note is not None:
                self.on_note(line)

    def tell_passed_over(self, passed_over: Mapping[str, Exception], others: bool) -> None:
        """Tell what could not be done of one of several; where there are no others, raise why."""
        for what, error in passed_over.items():
            if not others:
                raise error
            self.tell(f"{what}: {cause(error)}")

    def vocabulary_of(self, path: Path) -> Vocabulary:
        """The lab's words, and what its settings say of the columns of this document."""
        return self.vocabulary.with_given(self.settings.tables.get(self.paths.relative(path), {}))

    def roadmaps(self, anew: bool = False, jobs: Iterable[JobPaths] = ()) -> list[Path]:
        """The lab's roadmaps: those the settings name, or else all found below its root.

        With them come the plans whose columns the settings explain.

        A repository may be large, so a screen that asks again and again looks now and then;
        `anew` looks at once. `jobs`: known ones, whose folders need no look.
        """
        asked = time.monotonic()
        with self._lock:
            until, found = self._found.get("roadmaps", (0.0, []))
        if anew or asked >= until:
            known = {str(job.folder) for job in jobs}
            found = find_roadmaps(self.paths.root, self.settings.documents, self.tell, known)
            explained = (self.paths.root / name for name in self.settings.tables)
            found += [path for path in explained if path.is_file() and path not in found]
            now = time.monotonic()
            with self._lock:
                self._found["roadmaps"] = (now + 20 * (now - asked), found)
        return list(found)

    def roadmap_path(self, named: str | Path | None = None) -> Path:
        """The named roadmap, or else the lab's first that can be read."""
        if named is not None:
            for path in (Path(named), self.paths.root / named, self.paths.roadmaps / named):
                if path.is_file():
                    return path
            raise UsageError(f"{named}: no such roadmap")
        roadmaps = self.roadmaps()
        if not roadmaps:
            raise UsageError(self.no_roadmap)
        return next(filter(self._is_readable, roadmaps), roadmaps[0])

    def _is_readable(self, path: Path) -> bool:
        try:
            self.cached_roadmap(path)
        except (UsageError, OSError):
            return False
        return True

    @property
    def no_roadmap(self) -> str:
        """What is told where there is none."""
        where = ", ".join(self.settings.documents) or "a file *roadmap*.md or *路线图*.md"
        return f"{self.paths.root}: no roadmap here ({where})"

    def read_roadmap(self, path: Path) -> Roadmap:
        """The roadmap in `path`, parsed with the lab's vocabulary."""
        document = read(path)
        if broken := broken_at(document.text):
            self.tell(f"{self.paths.relative(path)}:{broken[0]}: {broken[1]}")
        return parse_roadmap(document, self.vocabulary_of(path))

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
        """The roadmap that has `mvp_id`: the named one, or the lab's only one.

        Of several it is the one whose MVP has an experiment file, if it is one.
        """
        paths = [self.roadmap_path(named)] if named is not None else self.roadmaps()
        found: list[Path] = []
        known: list[str] = []
        for path in paths:
            try:
                roadmap = self.read_roadmap(path)
            except UsageError:  # a broken one hides no other
                if named is not None:
                    raise
                continue
            if any(mvp.id == mvp_id for mvp in roadmap.mvps):
                found.append(path)
            known += [mvp.id for mvp in roadmap.mvps]
        found = list({real(path): path for path in filter(is_plan, found)}.values()) or found[:1]
        if len(found) > 1:
            from vitlab.jobs.experiment.experiment import known_mvps  # it loads YAML

            names = list(map(self.paths.relative, found))
            pairs = zip(found, names, strict=True)
            ready = [path for path, name in pairs if mvp_id in known_mvps(self.paths, name)]
            if len(ready) != 1:
                all_of_them = ", ".join(names)
                raise UsageError(
                    f"MVP {mvp_id} is in several roadmaps ({all_of_them}): use --roadmap"
                )
            found = ready
        if found:
            return found[0]
        where = named if named is not None else self.paths.roadmaps
        raise UsageError(f"{where}: no MVP {mvp_id!r} (known: {', '.join(known) or 'none'})")


@contextlib.contextmanager
def passing_over(what: str, errors: dict[str, Exception]) -> Iterator[None]:
    """Keep why something cannot be done of one of several; `Lab.tell_passed_over` tells it."""
    try:
        yield
    except (UsageError, Unreadable) as error:
        errors[what] = error


def open_lab(
    start: Path, on_note: Callable[[str], None] | None = None, looking: bool = False
) -> Lab:
    """The lab found from `start` upwards, settings checked and an interrupted save repaired.

    Where there is none, a git repository with a roadmap in it is one as it stands. `looking`: to
    look, or to end a job, which wrong settings do not prevent.
    """
    try:
        paths = find_lab(start)
    except NoLab:
        repository = repository_with_roadmap(start)
        if repository is None:
            raise
        paths = LabPaths(repository)
    lab = _by_settings(paths, on_note, looking)
    # Another vitlab that is writing finishes its own save; a read-only folder is only read.
    try:
        with contextlib.suppress(UsageError):
            repair(lab.journal)
    except OSError as error:
        if error.errno not in NOT_WRITABLE:
            lab.tell(f"journal: {cause(error)}")
    if not os.path.lexists(lab.journal.unfinished):  # it may be of a launch, whose jobs these are
        remove_abandoned(paths)
    _tell_strange(lab, paths.private.autopilot, "no autopilot goes on by it", shared=False)
    _tell_strange(lab, paths.private.decisions, "what persons decided is not known")
    _tell_strange(lab, paths.private.earlier, "what stood before the first jobs is not known")
    _tell_strange(lab, paths.private.agents, "the budget of assistants begins anew")
    return lab


def _by_settings(paths: LabPaths, on_note: Callable[[str], None] | None, looking: bool) -> Lab:
    try:
        lab = Lab(paths, load_settings(paths), on_note)
        _ = lab.vocabulary  # its words are settings too
    except UsageError as error:
        if not looking:
            raise
        lab = Lab(paths, FOR_LOOKING, on_note)
        lab.tell(f"{error} (until that is mended: the defaults, and no job starts)")
    return lab


def _tell_strange(lab: Lab, path: Path, what: str, *, shared: bool = True) -> None:
    """Tell that a record of this user counts for nothing, as it is torn, changed or a copy.

    `shared`: another's of a lab that several work in holds for them.
    """
    try:
        owners = path.lstat().st_uid, lab.paths.root.stat().st_uid
        is_ours = not shared or os.geteuid() in owners
        read_document(path)
        was = "is of another user or lab, or was changed"
    except FileNotFoundError:
        return
    except (OSError, Unreadable, ValueError):
        is_ours, was = True, "cannot be read"
    if is_ours and not own_record(path):
        lab.tell(f"{lab.paths.relative(path)}: {was}: {what}")
