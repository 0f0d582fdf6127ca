"""Which files a run's declared pattern means: found, and taken only when they are its own."""

from __future__ import annotations

import glob
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain
from pathlib import Path, PurePath
from stat import S_ISREG
from typing import Any, NamedTuple

from vitlab.contract.paths import JobPaths, LabPaths, real
from vitlab.contract.reading import Search, matching
from vitlab.contract.tracking import FILES
from vitlab.jobs import processes
from vitlab.jobs.environment import submitted_environment
from vitlab.jobs.experiment.placeholders import (
    Filled,
    expand,
    filled,
    is_glob,
    place_of,
    values_of,
    words_in,
)
from vitlab.jobs.files import born, read_json
from vitlab.jobs.metrics.ownership import (
    RECHECK,
    TOLERANCE,
    Claim,
    Evidence,
    Opened,
    Rival,
    claim,
    evidence_of_holders,
    is_foreign,
    look_alikes,
    other_jobs,
    user_of,
    writers,
)
from vitlab.jobs.metrics.scripts import places_named, script_of
from vitlab.jobs.processes import Process, descriptors

REMEDY = "put {run} into config.cwd or metrics.file, so that each run has its own"

Stamp = list[int]
"""Inode, size and modification time: another one is another content."""
_Found = tuple[Path, bool, Stamp]
"""A file, and whether it was declared."""
MAX_FILES = 10_000
"""That one search finds, the nearest first."""
_SOON = 2.0
"""Seconds between two such looks where a file is written anew all the time."""
_SHARE = 100
"""A search that took long is not done again for this many times as long."""


class _Decided(NamedTuple):
    claim: Claim
    declared: bool
    stamp: Stamp
    at: float
    """Seconds of the monotonic clock."""


class RunFiles:
    """The files of one attempt of one job."""

    def __init__(self, job: JobPaths, spec: Mapping[str, Any], file: str) -> None:
        """`file`: the declared pattern; empty where the numbers come from the log alone."""
        self._job = job
        self._lab = LabPaths(job.root)
        started = read_json(job.started)
        values = values_of(spec, job.folder, str(started.get("device", "")))
        program = filled(spec, self._lab.root, values)
        self.folder = program.cwd.resolve()
        self.pattern = program.metrics
        self._has_folder = program.makes_cwd
        self._named = program.makes_cwd or bool(words_in(file) & set(values))
        self._script = script_of(program.argv, str(self.folder))
        self._path = _path_told(program, self.folder)
        adopted = (spec.get("extra") or {}).get(processes.ADOPTED) or {}
        self._adopted = processes.identity(adopted) if adopted else None
        user = user_of(self._adopted[0]) if self._adopted else -1
        self._user = os.getuid() if user < 0 else user
        self._above = set(processes.ancestors(self._adopted[0])) if self._adopted else set[int]()
        self._session = int(started.get("session", -1)), processes.identity(started)[1]
        safe = {word: glob.escape(value) for word, value in values.items()}
        self._places = list(self._patterns(expand(file, safe), program.env))
        self._since = time.time()
        self._existing: dict[Path, Stamp] = {}
        self._by_birth = False
        """Whether only the birth of a file says that it is older than the run."""
        self.ours: dict[Path, bool] = {}
        """The files that are read, and whether they are the declared ones."""
        self._held: set[Path] = set()
        """Those that a process of the run was seen to write."""
        self._claims: dict[Path, _Decided] = {}
        self._alike: dict[str, Rival] = {}
        self._recheck_at = self._look_at = self._looked_at = time.monotonic()
        self._begun = 0
        self.fell = False  # whether a declared file was written anew as by two runs
        self._search_at = 0.0
        self._matched: dict[Path, bool] = {}
        self._cut = ""
        """Why not all files that match are known; empty where they are."""

    def _patterns(self, pattern: str, own: Mapping[str, str]) -> Iterator[tuple[Path, str, bool]]:
        """Folder, pattern, and whether it was declared."""
        # The link to W&B's latest run is another run's as soon as that begins.
        pattern = re.sub(r"^wandb/latest-run/", "wandb/*run-*/", pattern)
        folders = [self.folder]
        if wandb := own.get("WANDB_DIR") or _variable(self._job, self._adopted, "WANDB_DIR"):
            folders.append(self.folder / wandb)
        if pattern:
            for folder in folders if pattern.startswith("wandb/") else folders[:1]:
                yield folder, pattern, True
        for folder in folders:
            yield folder, FILES, False  # it names the run's page, whatever was declared

    def note_existing(self) -> None:
        """Remember what is there before the attempt begins: it is an earlier run's."""
        self._since, self.ours, self._held, self._search_at = time.time(), {}, set(), 0.0
        if self._adopted:
            self._by_birth, self._since = True, processes.began(self._adopted[1])
            return
        self._by_birth = False
        self._existing = {path: stamp for path, _, stamp in self._found()}

    def forget_existing(self, since: float) -> None:
        """What was there then is not known any more: the files' births say it."""
        self._by_birth, self._since = True, since

    def existing(self) -> list[Path]:
        """The declared files that were there before, the newest first."""
        declared = {path for path, is_declared, _ in self._found() if is_declared}
        found = [path for path in self._existing if path in declared]
        return sorted(found, key=lambda path: -self._existing[path][2])

    def _found(self) -> list[_Found]:
        """The files that a pattern matches now; of a large tree as they were a while ago."""
        if time.monotonic() >= self._search_at:
            begun = time.monotonic()
            self._matched, self._cut = _search(self._places, self.pattern)
            self._search_at = time.monotonic() + _SHARE * (time.monotonic() - begun)
        stamps = ((path, declared, _stamp(path)) for path, declared in self._matched.items())
        return [(path, declared, stamp) for path, declared, stamp in stamps if stamp is not None]

    def claim_new(self, last: bool = False) -> list[tuple[Path, bool]]:
        """The files that are this run's and were not read yet, the oldest first.

        With each, whether what it holds now may be an earlier run's and is left out.
        """
        if last:
            self._search_at = 0.0
        found = [*self._found(), *self._opened_elsewhere()]
        look = _Look(self, (path.parent for path, _, _ in found))
        fresh = []
        for path, declared, stamp in found:
            if path in self.ours or _is_as(stamp, self._existing.get(path)):
                continue
            before = self._claims.get(path)
            if last and before is not None and before.claim.owner != "unused":
                continue  # who could have shown that it is ours has ended
            if before is not None and (
                before.stamp == stamp or time.monotonic() - before.at < RECHECK
            ):
                continue
            evidence = self._evidence(path, stamp, look)
            decided = claim(evidence)
            self._claims[path] = _Decided(decided, declared, stamp, time.monotonic())
            if decided.owner == "ours":
                old = self._by_birth and evidence.existed and not look.replaced(path)
                fresh.append((evidence.born or 0.0, path, declared, old))
        for _, path, declared, _ in sorted(fresh):
            self.ours[path] = declared
        return [(path, old) for _, path, _, old in sorted(fresh)]

    def _opened_elsewhere(self) -> Iterator[_Found]:
        """W&B's file where the program itself has put it, while none is found by its pattern."""
        missing = self.pattern.endswith(".wandb") and True not in self.ours.values()
        if not missing or time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + RECHECK / 4
        for one in self.processes():
            for _, name in descriptors(one.pid):
                if name.endswith(".wandb") and (stamp := _stamp(Path(name))) is not None:
                    yield Path(name), True, stamp

    def shared(self, last: bool = False) -> list[tuple[Path, str]]:
        """The files read so far that another job or process writes too, and which; now and then."""
        if not self.ours or (time.monotonic() < self._recheck_at and not last):
            return []
        self._looked_at = time.monotonic()
        self._recheck_at = self._looked_at + RECHECK
        look, lost = _Look(self, (path.parent for path in self.ours)), []
        for path, declared in list(self.ours.items()):
            if (stamp := _stamp(path)) is None:
                continue
            decided = claim(self._evidence(path, stamp, look))
            if decided.owner in ("theirs", "unclear"):
                unclear = Claim("unclear", decided.why)
                self._claims[path] = _Decided(unclear, declared, stamp, time.monotonic())
                del self.ours[path]
                lost.append((path, decided.why))
        return lost

    def look_soon(self, begun: int) -> None:
        """Look at once who else may have begun a file anew; `begun`: how often any was so far."""
        if begun != self._begun:
            self._recheck_at = min(self._recheck_at, self._looked_at + _SOON)
        self._begun = begun

    def log_start(self, log: Path) -> int:
        """The byte from which on the log of an adopted run is surely its own."""
        path = log.resolve()
        stamp, made = _stamp(path), born(path)
        is_older = made is None or made < self._since - TOLERANCE
        if not self._adopted or stamp is None or not is_older:
            return 0
        return 0 if _Look(self, [path.parent]).replaced(path) else stamp[1]

    def still_ours(self, path: Path) -> bool:
        """Whether no other job can have written a file since this job's last attempt began."""
        others = other_jobs(self._lab, self._job, path, self._since)
        return _stamp(path) is not None and not any(others)

    def problems(self, waited: bool) -> list[str]:
        """What could not be taken and why; `waited`: a file should be there by now."""
        lines = [
            f"{self.shown(path)}: not read: {one.claim.why}; {REMEDY}"
            for path, one in self._claims.items()
            if one.claim.owner == "unclear" and one.declared and path not in self.ours
        ]
        if self._cut:
            lines.append(f"metrics.file {self.pattern}: {self._cut}; name a folder")
        if not self.pattern or lines or not waited or True in self.ours.values():
            return lines
        others = sum(declared for _, declared, _ in self._found())
        if others:
            files = f"matches {others} {'file' if others == 1 else 'files'}"
            return [f"metrics.file {self.pattern}: {files} in {self.folder}, none of this run"]
        return [f"metrics.file {self.pattern}: no file matches in {self.folder}"]

    def shown(self, path: Path) -> str:
        """The path for people: from the program's folder where it is below it."""
        return str(path.relative_to(self.folder) if path.is_relative_to(self.folder) else path)

    def noted(self) -> dict[str, Any]:
        """What another reader of the same attempt must know, as JSON."""
        return {
            "since": self._since,
            "by_birth": self._by_birth,
            "existing": {str(path): stamp for path, stamp in self._existing.items()},
            "ours": {str(path): declared for path, declared in self.ours.items()},
            "held": [str(path) for path in self._held],
        }

    def restore(self, noted: Mapping[str, Any]) -> None:
        """The opposite of `noted`."""
        self._since = float(noted.get("since") or 0.0)
        self._by_birth = bool(noted.get("by_birth"))
        self._existing = {Path(k): list(v) for k, v in (noted.get("existing") or {}).items()}
        self.ours = {Path(k): bool(v) for k, v in (noted.get("ours") or {}).items()}
        self._held = {Path(k) for k in noted.get("held") or ()}

    def _evidence(self, path: Path, stamp: Stamp, look: _Look) -> Evidence:
        """What is known of one file now."""
        made = born(path)
        if self._by_birth:
            existed = made is None or made < self._since - TOLERANCE
            changed = stamp[2] / 1e9 >= self._since - TOLERANCE
        else:
            existed, changed = path in self._existing, not _is_as(stamp, self._existing.get(path))
        if existed and not changed:
            return Evidence(existed=True, changed=False)
        own_folder = path.parent != self.folder and not existed
        held, holders = evidence_of_holders(path, look.opened, look.pids, own_folder)
        rivals = [*other_jobs(self._lab, self._job, path, self._since)]
        literal = not is_glob(self.pattern)
        if held:
            self._held.add(path)
        if path in self._held:  # also once it is closed, or its process has ended
            rivals = [one for one in rivals if one.exact or literal]
        else:
            if self._has_folder or not self._named:
                rivals += [replace(one, exact=literal) for one in look.alike]
            if True in self.ours.values() and path not in self.ours:  # it seldom begins a second
                rivals += look.elsewhere
        if path in self.ours:  # one that came later makes files of its own, unless it is told which
            rivals = [one for one in rivals if one.exact or literal or one.since < self._since]
        foreign = is_foreign(path, self._user, self._job.spec)
        return Evidence(self._named, held, holders, made, existed, changed, foreign, tuple(rivals))

    def seen_alike(self, ours: Sequence[Process]) -> list[Rival]:
        """The other runs that were seen so far, some of which have ended.

        Of the same script, and of any in its folder where a pattern takes what these may make, or
        where one is named in theirs and what is written goes to and fro.
        """
        beside = str(self.folder) if is_glob(self.pattern) or self.fell else ""
        name = "" if is_glob(self.pattern) else PurePath(self.pattern).name
        alike = look_alikes(ours, self._script, self._lab, beside, self._above, False, self._path,
                            name)  # fmt: skip
        running = {one.name: one for one in alike}
        gone = {name: replace(one, until=min(one.until, time.time()))
                for name, one in self._alike.items()}  # fmt: skip
        self._alike = {**gone, **running}
        return list(self._alike.values())

    def processes(self) -> list[Process]:
        """The live processes of the run."""
        if self._adopted:
            return processes.tree(*self._adopted)
        return processes.members(*self._session, self._job.folder)


def _variable(job: JobPaths, adopted: tuple[int, int] | None, name: str) -> str | None:
    """A variable of the program's environment."""
    if adopted:
        entries = (one.partition(b"=") for one in processes.environment(adopted[0]))
        return {os.fsdecode(key): os.fsdecode(value) for key, _, value in entries}.get(name)
    return submitted_environment(job, os.environ)[0].get(name)


def _search(places: Iterable[tuple[Path, str, bool]], literal: str) -> tuple[dict[Path, bool], str]:
    """The files that match, each with whether it was declared; and why not all are known."""
    found, cut = dict[Path, bool](), ""
    for folder, pattern, declared in places:
        search = Search()
        # A path that has brackets itself: `runs[1]/metrics.csv`.
        own = [folder / literal] if declared else []
        for path in map(real, chain(own, matching(folder, pattern, search, hidden=False))):
            if path in found or not path.is_file():
                continue
            if len(found) == MAX_FILES:
                return found, f"more than {MAX_FILES:,} files match"
            found[path] = declared
        if search.is_cut and declared:
            cut = f"only the nearest {search.limit} in {folder} are looked at"
    return found, cut


def _path_told(program: Filled, folder: Path) -> tuple[list[str], Path] | None:
    """The words of a command that lead to its metrics file, and that; None where none do."""
    if not program.metrics or is_glob(program.metrics):
        return None
    path = Path(*place_of(program))
    told = places_named(program.argv, str(folder), path)
    words = [word for word, leads in told.items() if leads]
    return (words, path) if words else None


class _Look:
    """One look at the machine, taken when the first file needs it, and the same for all."""

    def __init__(self, files: RunFiles, folders: Iterable[Path]) -> None:
        self._files = files
        self._folders = set(folders)

    @cached_property
    def processes(self) -> list[Process]:
        return self._files.processes()

    @cached_property
    def pids(self) -> frozenset[int]:
        return frozenset(one.pid for one in self.processes)

    @cached_property
    def opened(self) -> dict[str, list[Opened]]:
        return writers(self._folders)

    @cached_property
    def alike(self) -> list[Rival]:
        return self._files.seen_alike(self.processes)

    @cached_property
    def elsewhere(self) -> list[Rival]:
        """Other runs of the same script in any folder, which may log into one place with ours."""
        files = self._files
        return [*look_alikes(self.processes, files._script, files._lab, "", files._above, True)]

    def replaced(self, path: Path) -> bool:
        """Whether one of the run's processes began the file anew: it does not append to it.

        Where others have it open too, as a shell that gives it to each run, one of these did.
        """
        held = self.opened.get(str(path), ())
        return all(one.pid in self.pids for one in held) and not all(one.appends for one in held)


def _is_as(stamp: Stamp, noted: Stamp | None) -> bool:
    """Whether a file is as it was noted: of its size and time, in whichever inode.

    Some network disks change these by themselves, and a copy that keeps the time has another.
    """
    return noted is not None and stamp[1:] == noted[1:]


def _stamp(path: Path) -> Stamp | None:
    """None where there is no such file, or it cannot be looked at."""
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_ino, status.st_size, status.st_mtime_ns] if S_ISREG(status.st_mode) else None
