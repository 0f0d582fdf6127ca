"""The tray: what assistants propose and a person has not decided, a sealed file for each."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import os
import re
import time
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

from vitlab.contract.paths import UsageError, cause, real, write_atomic
from vitlab.contract.reading import parse, read_regular
from vitlab.contract.user_key import is_sealed, seal
from vitlab.contract.validation import from_document
from vitlab.jobs.files import held_by, take_lock
from vitlab.lab.after_save import proposal_path
from vitlab.lab.lab import Lab

VERSION = 1
LONGEST = 1 << 16
"""Bytes of a proposal."""
MOST_WORDS = 600
"""Characters of a reason or a conclusion."""
MOST_OPEN = 50
"""Proposals that wait; an assistant that makes more is told to wait itself."""
UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn")
"""Categories of letters that nobody sees."""
KEPT = 200
"""Proposals that are kept once they are decided."""
PATIENCE = 120.0
"""Seconds to wait for another writer: accepting a launch may look into a large data file."""
Kind = Literal["launch", "status", "gate", "results"]
State = Literal["open", "accepted", "dismissed"]
STATES: tuple[State, ...] = get_args(State)
_NAME = re.compile(r"(\d{8})\.(open|accepted|dismissed)\.json")
_OWN: dict[Path, tuple[tuple[int, ...], bool]] = {}
"""What was seen of files that wait: as they were, and whether they are of this user. A screen asks
at every look; who accepts one reads it anew."""
_MOST_KNOWN = 50_000


@dataclass(frozen=True)
class Proposal:
    """One edit or launch that is proposed, by what it means: it is planned when it is looked at."""

    kind: str
    """One of `Kind`."""
    roadmap: str
    """Its path from the lab's root."""
    target: str
    """The id of the MVP or gate."""
    reason: str
    """The assistant's, for the person who decides."""
    word: str = ""
    """The status proposed."""
    text: str = ""
    """The conclusion, or why a gate is decided this way, as it would stand in the document."""
    profile: str = ""
    runs: tuple[str, ...] = ()
    """Of a launch; none means all."""
    seeds: int = 0
    """Further seeds."""
    basis: str = ""
    """Digest of what it rests on: statuses, results, specifications."""
    at: float = 0.0
    """Unix seconds."""
    number: int = 0
    state: str = field(default="open", compare=False)
    """One of `State`."""

    @property
    def meaning(self) -> tuple[object, ...]:
        """Equal for two proposals of the same, whatever the reason."""
        asked = (self.profile, self.runs, self.seeds)
        return self.kind, self.roadmap, self.target, self.word, self.text, *asked, self.basis


class Tray:
    """The proposals of a lab."""

    def __init__(self, lab: Lab) -> None:
        self._folder = lab.paths.private.tray
        self._lab = lab

    def proposals(self, state: State | None = "open") -> list[Proposal]:
        """Those in a state, or all, oldest first; what is not of this user is told and left out."""
        found, foreign = [], 0
        for path, number, its_state in self._files():
            if state in (None, its_state):
                one = self._read(path, number, its_state)
                found += [one] if one else []
                foreign += one is None
        if foreign:
            self._lab.tell(f"{foreign} proposals in the tray are not of this user: left out")
        return found

    def waiting(self) -> tuple[int, ...]:
        """The numbers of those that wait, without those that are not of this user."""
        open_ones = [(path, number) for path, number, state in self._files() if state == "open"]
        return tuple(number for path, number in open_ones if self._is_own(path, number))

    def proposal(self, number: int) -> Proposal:
        """One that waits; `UsageError` where there is none of this user, or it is decided."""
        for path, its_number, state in self._files():
            if its_number == number:
                if state != "open":
                    raise UsageError(f"proposal {number}: was {state} already")
                if one := self._read(path, number, state):
                    return one
                raise UsageError(f"proposal {number}: is not of this user; nothing is done with it")
        raise UsageError(
            f"no proposal {number} (waiting: {', '.join(map(str, self.waiting())) or 'none'})"
        )

    def add(self, proposal: Proposal) -> Proposal:
        """Put one in, with its number; one that waits already stays the only one.

        `UsageError` for one that a person has dismissed, and for a tray that is full.
        """
        with self.locked():
            known = self.proposals(None)
            for one in known:
                if one.meaning == proposal.meaning and one.state == "open":
                    return one
                if one.meaning == proposal.meaning and one.state == "dismissed":
                    raise UsageError(f"proposal {one.number} was the same and was dismissed")
            if sum(one.state == "open" for one in known) >= MOST_OPEN:
                raise UsageError(f"the tray is full: {MOST_OPEN} proposals wait for a person")
            taken = {number for _, number, _ in self._files()}  # by strangers' files too
            last = max((one.number for one in known), default=0)
            number = next(n for n in itertools.count(last + 1) if n not in taken)
            new = replace(proposal, number=number, at=time.time())
            self._write(new)
            return new

    def decide(self, proposal: Proposal, state: State) -> None:
        """Take one that waits out of the tray; with the lock held."""
        with contextlib.suppress(FileNotFoundError):  # the save that carried it out has done so
            self._path(proposal.number, "open").rename(self._path(proposal.number, state))
        decided = [one for one in self.proposals(None) if one.state != "open"]
        for one in decided[:-KEPT]:
            self._path(one.number, one.state).unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the tray against other writers."""
        self._lab.paths.private.make()
        self._folder.mkdir(exist_ok=True)
        path = self._folder / "lock"
        if (lock := take_lock(path, PATIENCE)) is None:
            raise UsageError(f"another process decides a proposal{held_by(path)}; try again")
        try:
            yield
        finally:
            os.close(lock)

    def _files(self) -> list[tuple[Path, int, State]]:
        """Every proposal's file, number and state, oldest first."""
        found: list[tuple[Path, int, State]] = []
        try:
            for path in self._folder.iterdir():
                if match := _NAME.fullmatch(path.name):
                    state = next(one for one in STATES if one == match[2])
                    found.append((path, int(match[1]), state))
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:  # of a lab of somebody else
            self._lab.tell(f"{self._folder}: {cause(error)}: proposals are not read")
        return sorted(found, key=lambda one: one[1])

    def _path(self, number: int, state: str) -> Path:
        return proposal_path(self._folder, number, state)

    def _is_own(self, path: Path, number: int) -> bool:
        """Whether a file has this user's seal; one that was looked at is not read again."""
        try:
            seen = path.lstat()
        except OSError:
            return False
        stamp = seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns
        known = _OWN.get(path)
        if known is None or known[0] != stamp:
            if len(_OWN) >= _MOST_KNOWN:
                _OWN.clear()
            known = _OWN[path] = stamp, self._read(path, number, "open") is not None
        return known[1]

    def _read(self, path: Path, number: int, state: State) -> Proposal | None:
        """None for a file that has not the seal of this user, this folder and its number."""
        try:
            mark, _, body = read_regular(path, LONGEST).partition(b"\n")
            if not is_sealed(mark.decode("latin-1"), *self._parts(number, body)):
                return None
            record = from_document(parse(body), Proposal, VERSION)
        except (OSError, ValueError):
            return None
        return None if record is None else replace(record, number=number, state=state)

    def _write(self, one: Proposal) -> None:
        record = {"v": VERSION, **asdict(one)}
        body = json.dumps(record, ensure_ascii=False).encode("utf-8", "replace")
        data = seal(*self._parts(one.number, body)).encode() + b"\n" + body
        write_atomic(self._path(one.number, "open"), data)

    def _parts(self, number: int, body: bytes) -> tuple[bytes, ...]:
        return b"tray", os.fsencode(self._place), str(number).encode(), body

    @cached_property
    def _place(self) -> Path:
        return real(self._folder)


def short_text(name: str, text: str, *, needed: bool = False) -> str:
    """Words of an assistant on one line; `UsageError` where they are too long, or missing."""
    text = "".join(" " if unicodedata.category(one) in UNSEEN else one for one in text)
    text = " ".join(text.split())
    if needed and not text.strip(" \ufffd"):  # nothing, or what no message may have
        raise UsageError(f"{name}: say why, for the person who decides")
    if len(text) > MOST_WORDS:
        raise UsageError(f"{name}: {len(text)} characters, at most {MOST_WORDS}")
    return text


def summaries(proposals: Sequence[Proposal]) -> list[dict[str, object]]:
    """As commands print them, with the local time at which each was made."""
    found = []
    for one in proposals:
        at = datetime.datetime.fromtimestamp(one.at).isoformat(" ", "seconds")
        record = {**asdict(one), "at": at}
        found.append({name: value for name, value in record.items() if value and name != "basis"})
    return found
