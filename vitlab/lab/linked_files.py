"""Files that state statuses of a roadmap's MVPs too: hub, boards, check lists, reports, notes."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from vitlab.contract.paths import UsageError, real
from vitlab.contract.reading import Unreadable, read_regular
from vitlab.docs.journal import Journal
from vitlab.docs.model.gates.gates import Gate
from vitlab.docs.model.hub import parse_hub
from vitlab.docs.model.linked import LinkedDocument, is_report_of, owner, read_linked
from vitlab.docs.model.report_head import own_mvp
from vitlab.docs.model.roadmap import Mvp, NoMvpTable, Roadmap
from vitlab.docs.model.status_sites import kept_places
from vitlab.docs.save import FileChange, between, change, create, read_entry
from vitlab.docs.text.source import Document, read
from vitlab.docs.write.gate_decisions import set_gate_beside, set_gate_in_hub
from vitlab.docs.write.linked import linked_edits, linked_not_restored
from vitlab.lab.documents import (
    boards_named,
    experiments_in,
    hubs_named,
    is_board,
    is_named_for,
    is_named_plainly,
    is_plan,
    is_report,
    notes_near,
)
from vitlab.lab.lab import Lab

AUTOPILOT_PAGE = "auto_{}"
"""The name of an autopilot's report beside its roadmap, by its date, without `.md`."""
_SEARCHED = 20
"""Saves of a document in which an earlier status is looked for, newest first."""

Texts = Mapping[Path, str]
"""What changes that are not yet written make of files."""


@dataclass(frozen=True)
class LinkedFile:
    """One file beside a roadmap, read with the roadmap's ids."""

    path: Path
    document: LinkedDocument
    shared: Mapping[str, Path]
    """The MVPs whose id another roadmap of this file has too, and that roadmap."""
    report_of: tuple[str, ...] = ()
    """The MVPs that it may be the report of, where that is not certain."""

    def left(self, lab: Lab, mvp_id: str, status: str) -> str | None:
        """Why not all that it says of an MVP is changed, in one line; None where it is."""
        name = lab.paths.relative(self.path)
        lines = [line for mvp, line in self.document.unsure if mvp == mvp_id]
        if lines and (other := self.shared.get(mvp_id)):
            has = "cannot be read and may have" if _is_unread(lab, other) else "has"
            where = f"{lab.paths.relative(other)} {has}"
            return f"{name}:{lines[0]}: left alone: {where} an MVP {mvp_id} too"
        if lines:
            return f"{name}:{lines[0]}: left alone: its exp_id is not the one of MVP {mvp_id}"
        if mvp_id in self.report_of:
            which = ", ".join(self.report_of)
            return f"{name}: left alone: its header does not say which MVP it reports on ({which})"
        for line, title in self.document.below_another(mvp_id, status):
            return f"{name}:{line}: MVP {mvp_id} is below {title!r}: move it by hand"
        for kept in () if self.document.report_of else kept_places(self.document, mvp_id):
            return f"{name}: {kept}"
        return None


def linked_files(lab: Lab, roadmap: Roadmap, texts: Texts | None = None) -> list[LinkedFile]:
    """Every file of a roadmap that can be read; none outside the lab, and no other roadmap."""
    return list(_Finder(lab, texts or {}).files(roadmap))


def report_path(
    lab: Lab,
    roadmap: Roadmap,
    mvp_id: str,
    exp_id: str | None,
    paths: Iterable[Path],
    texts: Texts | None = None,
) -> Path:
    """The report of an MVP that is there, by its link, its name or its head.

    Else the first of `paths` where no report of another MVP or experiment is.
    """
    finder = _Finder(lab, texts or {})
    files = finder.files(roadmap)
    own = (one.path for one in files if one.document.report_of == mvp_id and is_report(one.path))
    free = (path for path in paths if not finder.has_another(path, roadmap, mvp_id, exp_id))
    return next(itertools.chain(own, free))


def foreign_report(
    lab: Lab, roadmap: Roadmap, mvp_id: str, exp_id: str, written: Iterable[FileChange]
) -> list[str]:
    """A line where the row of an MVP links to the report of another experiment, and is left so.

    `written`: its results; a report among these is its own.
    """
    mvp, own = roadmap.mvp(mvp_id), roadmap.document.path
    target = unquote((mvp.report or "").partition("#")[0])
    path = _inside(lab, own.parent, target) if own and target.endswith(".md") else None
    with contextlib.suppress(UsageError, OSError):
        if path is None or path in (real(one.path) for one in written):
            return []
        if is_report_of(read(path), roadmap, mvp.id, exp_id) is False:
            where = f"{roadmap.document.name}:{mvp.line}"
            return [f"{where}: MVP-{mvp.id} links to {path.name}, which another experiment has"]
    return []


def stray_reports(lab: Lab, roadmap: Roadmap) -> list[Document]:
    """The reports beside a roadmap that neither it nor another one of the lab leads to.

    None that says of itself that it is of an experiment which the roadmap does not have.
    """
    own = roadmap.document.path
    known = {real(one.path) for one in linked_files(lab, roadmap)}
    texts = [_text_of(path) for path in lab.roadmaps()]
    root, found = real(lab.paths.root), []
    for path in notes_near(lab.paths, [own]) if own else ():
        is_known = path in known or any(path.name in text for text in texts)
        if is_known or is_board(path) or not is_report(path) or not path.is_relative_to(root):
            continue
        of = experiments_in(path)
        if not of or any(roadmap.ids.of_experiment(one) for one in of):
            with contextlib.suppress(UsageError, OSError):
                found.append(read(path))
    return found


def _text_of(path: Path) -> str:
    with contextlib.suppress(UsageError, OSError):
        return read(path).text
    return ""


def path_from(folder: Path, path: Path) -> str:
    """A path as a document in a folder links to it: `./exp_a.md`, `../hub.md`."""
    relative = Path(os.path.relpath(real(path), real(folder))).as_posix()
    return relative if relative.startswith("../") else f"./{relative}"


def linked_changes(
    lab: Lab, roadmap: Roadmap, mvp_id: str, status: str, texts: Texts | None = None
) -> list[FileChange]:
    """The changes that give an MVP, and those of its row, a status in every file of a roadmap.

    A place that may be another roadmap's stays as it is: see `left_alone`.
    """
    changes = []
    ids = (mvp_id, *roadmap.sharing(roadmap.mvp(mvp_id)))
    for one in linked_files(lab, roadmap, texts):
        linked = one.document
        for each in ids:
            before = earlier_state(lab.journal, linked, each, status)
            new = linked_edits(linked, each, status, before)
            if new:
                made = change(linked.document, new)
                changes.append(made)
                linked = linked.reread(Document(made.new_text, one.path))
    return merged(changes)


def left_alone(lab: Lab, roadmap: Roadmap, mvp_id: str, status: str) -> list[str]:
    """One line for each file in which an MVP's change to a status is not made, and why."""
    files = linked_files(lab, roadmap)
    lines = [line for one in files if (line := one.left(lab, mvp_id, status))]
    return [*lines, *_outside(lab, roadmap, roadmap.mvp(mvp_id))]


def _outside(lab: Lab, roadmap: Roadmap, mvp: Mvp) -> Iterator[str]:
    """One line for each file of a roadmap that is there and leads out of the lab."""
    own, text = roadmap.document.path, roadmap.document.text
    names = [*hubs_named(text), *boards_named(text), unquote((mvp.report or "").partition("#")[0])]
    for name in dict.fromkeys(names) if own else ():
        path = own.parent.absolute() / name if own else Path(name)
        target = real(path)
        outside = not target.is_relative_to(real(lab.paths.root))
        if outside and os.path.isfile(target):  # noqa: PTH113 - a name may be too long
            shown = os.path.relpath(path, lab.paths.root)
            yield f"{shown}: left alone: it is {target}, outside the lab"


def linked_lost(lab: Lab, roadmap: Roadmap, mvp_id: str, made: FileChange) -> list[str]:
    """The places of a linked file that the MVP's status before would not restore, by line.

    `roadmap`: as it was before the change.
    """
    status = roadmap.mvp(mvp_id).status
    if made.old_text is None or status is None:
        return []
    then = {made.path: made.old_text}
    file = next((f for f in linked_files(lab, roadmap, then) if f.path == made.path), None)
    return linked_not_restored(file.document, mvp_id, made.new_text, status) if file else []


def merged(changes: Iterable[FileChange]) -> list[FileChange]:
    """One change for each file, of changes that were made one after the other."""
    files: dict[Path, FileChange] = {}
    for new in changes:
        first = files.get(real(new.path))
        if first is None:
            made = new
        elif first.old_text is None:
            made = create(first.path, new.new_text)
        else:
            made = between(first.path, first.old_text, new.new_text)
        files[real(new.path)] = made
    return list(files.values())


def earlier_state(journal: Journal, roadmap: Roadmap, mvp_id: str, status: str) -> Roadmap | None:
    """The last state of a document in which an MVP had a status; None when there is none.

    Given to `set_status` as `before`, it restores wording that the document no longer shows.
    """
    path = roadmap.document.path
    for text in earlier_texts(journal, path) if path else ():
        with contextlib.suppress(UsageError):
            earlier = roadmap.reread(Document(text, path))
            if any(mvp.id == mvp_id and mvp.status == status for mvp in earlier.mvps):
                return earlier
    return None


def state_before_run(journal: Journal, roadmap: Roadmap, mvp_id: str) -> Roadmap | None:
    """The last state of a document in which an MVP did not run; None where none is known."""
    path = roadmap.document.path
    for text in earlier_texts(journal, path) if path else ():
        with contextlib.suppress(UsageError):
            earlier = roadmap.reread(Document(text, path))
            if earlier.mvp(mvp_id).status != "running":
                return earlier
    return None


def earlier_texts(journal: Journal, path: Path) -> Iterator[str]:
    """What a document was before each of its last saves, newest first."""
    return (old for old, _ in earlier_saves(journal, path) if old is not None)


def earlier_saves(journal: Journal, path: Path) -> Iterator[tuple[str | None, str | None]]:
    """A document before and after each of its last saves, newest first; None: there was no file."""
    path, searched = real(path), 0
    for number, state in reversed(journal.entries()):
        entry = read_entry(journal, number, state)
        for done in entry.changes if entry else ():
            if done.path == path:
                searched += 1
                yield done.old_text, done.final_text
        if searched >= _SEARCHED:
            return


def find_hub(lab: Lab, roadmap: Roadmap) -> Path | None:
    """The first hub the roadmap names that is there and inside the lab."""
    own = roadmap.document.path
    if own is None:
        return None
    found = (_inside(lab, own.parent, name) for name in hubs_named(roadmap.document.text))
    return next((path for path in found if path), None)


def linked_gate_changes(
    lab: Lab, roadmap: Roadmap, gate: Gate, status: str, texts: Texts | None = None
) -> list[FileChange]:
    """The changes that give a roadmap's gate a status in its hub, boards and check lists."""
    finder = _Finder(lab, texts or {})
    changes = []
    if hub_path := _gate_hub(lab, roadmap, gate.id):
        hub = parse_hub(finder.document(hub_path), lab.vocabulary_of(hub_path))
        if edits := set_gate_in_hub(hub, gate.id, status):
            changes.append(change(hub.document, edits))
    for file in _gate_boards(lab, roadmap, gate.id, finder):
        if edits := set_gate_beside(file, gate, status):
            changes.append(change(file.document, edits))
    return changes


def _gate_hub(lab: Lab, roadmap: Roadmap, gate_id: str) -> Path | None:
    """The hub that a roadmap names; None where another roadmap with such a gate names it too."""
    path, own = find_hub(lab, roadmap), roadmap.document.path
    if path is None or own is None:
        return None
    for other in lab.roadmaps():
        with contextlib.suppress(UsageError, OSError):
            read_other = lab.cached_roadmap(other)
            same = real(other) != real(own) and find_hub(lab, read_other) == path
            if same and any(gate.id == gate_id for gate in read_other.gates):
                return None
    return None if any(_may_share(lab, other, path) for other in lab.roadmaps()) else path


def _may_share(lab: Lab, other: Path, file: Path, is_near: bool = False) -> bool:
    """Whether a roadmap that cannot be read may be one of a file: its bytes have the name."""
    try:
        text = read_regular(other, follow=True) if _is_unread(lab, other) else None
    except Unreadable:  # a pipe, a folder, a link to nothing
        return False
    except OSError:
        return True
    return text is not None and (is_near or os.fsencode(file.name) in text)


def _is_unread(lab: Lab, roadmap: Path) -> bool:
    try:
        lab.cached_roadmap(roadmap)
    except NoMvpTable:
        return False
    except (UsageError, OSError):
        return True
    return False


def _gate_boards(
    lab: Lab, roadmap: Roadmap, gate_id: str, finder: _Finder
) -> Iterator[LinkedDocument]:
    """The boards and check lists of a roadmap, not of another one too that has such a gate."""
    own = roadmap.document.path
    taken: set[Path] = set()
    for other in lab.roadmaps() if own else ():
        with contextlib.suppress(UsageError, OSError):
            theirs = lab.cached_roadmap(other)
            is_own = own is not None and real(other) == real(own)
            if not is_own and any(gate.id == gate_id for gate in theirs.gates):
                taken.update(one.path for one in finder.files(theirs))
    for one in finder.files(roadmap):
        shared = any(_may_share(lab, other, one.path) for other in lab.roadmaps())
        if is_board(one.path) and one.path not in taken and not shared:
            yield one.document


def _inside(lab: Lab, folder: Path, name: str) -> Path | None:
    """A file by its path from a folder; None where it is not, or outside the lab."""
    with contextlib.suppress(UsageError):  # one outside the lab is never written
        path = lab.paths.inside((folder / name).absolute())
        if os.path.isfile(path):  # noqa: PTH113 - a name may be too long
            return path
    return None


def _each_once(roadmap: Roadmap) -> list[Mvp]:
    """The MVPs of a roadmap, of several rows of one the first."""
    firsts: dict[str, Mvp] = {}
    for mvp in roadmap.mvps:
        firsts.setdefault(mvp.id, mvp)
    return list(firsts.values())


class _Finder:
    """The files of roadmaps, found at one moment."""

    def __init__(self, lab: Lab, texts: Texts) -> None:
        self._lab = lab
        self._texts = {real(path): text for path, text in texts.items()}
        self._roadmaps = lab.roadmaps()
        self._notes = {path: experiments_in(path) for path in notes_near(lab.paths, self._roadmaps)}
        self._found: dict[Path, dict[Path, list[str]]] = {}

    def files(self, roadmap: Roadmap) -> Iterator[LinkedFile]:
        for path, named in self._paths(roadmap).items():
            if file := self._read(path, named, roadmap):
                yield file

    def has_another(self, path: Path, roadmap: Roadmap, mvp_id: str, exp_id: str | None) -> bool:
        """Whether a path has a report that is of another MVP, by its head or by what links to it.

        `UsageError` where what is there cannot be read.
        """
        if real(path) not in self._texts and not os.path.lexists(path):
            return False
        path = real(path)
        named = self._paths(roadmap).get(path, ())
        is_own = is_report_of(self.document(path), roadmap, mvp_id, exp_id)
        if is_own is not None:
            return not is_own
        others = [self._paths(theirs).get(path) for _, theirs in self._others(path, roadmap)]
        return mvp_id not in named and bool(named or any(others))

    def document(self, path: Path) -> Document:
        """A file as the changes leave it that are not yet written."""
        text = self._texts.get(real(path))
        return read(path) if text is None else Document(text, path)

    def _paths(self, roadmap: Roadmap) -> dict[Path, list[str]]:
        """Each file of a roadmap, and the MVPs whose rows or whose names lead to it."""
        own = roadmap.document.path
        if own is None:
            return {}
        if own not in self._found:
            self._found[own] = self._paths_of(real(own), roadmap)
        return self._found[own]

    def _paths_of(self, own: Path, roadmap: Roadmap) -> dict[Path, list[str]]:
        found: dict[Path, list[str]] = {}
        for name in boards_named(roadmap.document.text):
            folders = (own.parent, self._lab.paths.root)
            path = next(filter(None, (_inside(self._lab, one, name) for one in folders)), None)
            if path:
                found.setdefault(path, [])
        given = [real(path) for path in self._roadmaps if is_board(path)]
        for path in (find_hub(self._lab, roadmap), *given):
            if path:
                found.setdefault(path, [])
        for mvp in _each_once(roadmap):
            target = unquote((mvp.report or "").partition("#")[0])
            report = _inside(self._lab, own.parent, target) if target.endswith(".md") else None
            named = self._notes.items()
            notes = (path for path, own in named if is_named_for(path, mvp.id, mvp.exp_id, own))
            for path in dict.fromkeys((*((report,) if report else ()), *notes)):
                if report is None or path == report or not self._is_copy(path, report):
                    found.setdefault(path, []).append(mvp.id)
        plans = {real(path) for path in self._roadmaps if is_plan(path)}
        root = real(self._lab.paths.root)  # notes may be links out of it
        inside = (path for path in found if path not in plans and path.is_relative_to(root))
        return {path: found[path] for path in inside}

    def _is_copy(self, path: Path, report: Path) -> bool:
        """Whether a report is a copy of the one that a row links to: of its experiment and title.

        A person keeps it as it is; the lab tells it.
        """
        own, theirs = self._notes.get(report), self._notes.get(path)
        if not own or own != theirs:
            return False
        with contextlib.suppress(UsageError, OSError):
            ours, copy = (self.document(one).headings[:1] for one in (report, path))
            if ours and [one.title for one in ours] == [one.title for one in copy]:
                names = map(self._lab.paths.relative, (path, report))
                self._lab.tell("{} is a copy of {}, and stays as it is".format(*names))
                return True
        return False

    def _read(self, path: Path, named: list[str], roadmap: Roadmap) -> LinkedFile | None:
        try:
            document = self.document(path)
        except (UsageError, OSError):  # it is named where it is shown
            return None
        shared = self._shared(path, roadmap)
        report_of = owner(document, roadmap, named, shared)
        if report_of is not None and not self._is_of(
            path, document, roadmap.mvp(report_of), roadmap
        ):
            report_of = None
        vocabulary = self._lab.vocabulary_of(path)
        linked = read_linked(document, roadmap, vocabulary, shared, report_of)
        doubtful = tuple(named) if named and report_of is None and linked.has_head else ()
        return LinkedFile(path, linked, shared, doubtful)

    def _is_of(self, path: Path, document: Document, mvp: Mvp, roadmap: Roadmap) -> bool:
        """Whether a file whose name has an MVP's id is all about it, by row, name or head."""
        target, own = unquote((mvp.report or "").partition("#")[0]), roadmap.document.path
        is_linked = own is not None and _inside(self._lab, own.parent, target) == path
        if is_linked or is_report(path) or is_named_plainly(path, mvp.id, mvp.exp_id):
            return True
        says = is_report_of(document, roadmap, mvp.id, mvp.exp_id) is True
        return says or own_mvp(document, roadmap.ids) == mvp.id

    def _shared(self, path: Path, roadmap: Roadmap) -> dict[str, Path]:
        """The MVPs of a roadmap that another roadmap has too whose file this is as well."""
        shared: dict[str, Path] = {}
        mine = {mvp.id for mvp in roadmap.mvps}
        for other, theirs in self._others(path, roadmap):
            named = self._paths(theirs).get(path)
            if named is not None:
                ids = mine & {mvp.id for mvp in theirs.mvps}
                for mvp in ids & set(named) if named else ids:
                    shared.setdefault(mvp, other)
        for other in self._roadmaps:
            if is_plan(other) and _may_share(self._lab, other, path, path in self._notes):
                shared |= dict.fromkeys(mine - shared.keys(), other)
        return shared

    def _others(self, file: Path, roadmap: Roadmap) -> Iterator[tuple[Path, Roadmap]]:
        """The lab's other roadmaps that can be read and may have a file."""
        own = roadmap.document.path
        near = file in self._notes or any(real(path) == file for path in self._roadmaps)
        for path in self._roadmaps:
            if own is None or real(path) == real(own) or not is_plan(path):
                continue
            with contextlib.suppress(UsageError, OSError):
                if near or file.name in read(path).text:
                    yield path, self._lab.cached_roadmap(path)
