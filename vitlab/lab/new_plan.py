"""Plans, MVPs and gates that are made here: their edits of every document, and saving them."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote

from vitlab.contract.paths import IGNORED, LabPaths, NoLab, UsageError, find_lab, real
from vitlab.docs.judge.reading import with_known_qualifiers
from vitlab.docs.model.hub import parse_hub
from vitlab.docs.model.roadmap import Roadmap
from vitlab.docs.save import FileChange, change, create, save
from vitlab.docs.text.edit import apply
from vitlab.docs.text.source import Document, read
from vitlab.docs.write.gate_decisions import find_gate
from vitlab.docs.write.new_files import plan_texts, slug
from vitlab.docs.write.new_gate import (
    GateEdits,
    added_gate,
    checked_gate_id,
    is_as_given,
    next_gate_id,
    written_condition,
)
from vitlab.docs.write.new_mvp import (
    MvpEdits,
    added_mvp,
    checked_mvp_id,
    new_card_edits,
    next_mvp_id,
)
from vitlab.docs.write.new_report import Skeleton, report_link
from vitlab.jobs.experiment.experiment import known_mvps
from vitlab.jobs.git import not_ignored
from vitlab.jobs.store import all_jobs
from vitlab.lab.documents import is_board
from vitlab.lab.lab import Lab
from vitlab.lab.linked_files import find_hub, linked_files, path_from, report_path
from vitlab.lab.results.job_results import of_roadmap

LANGUAGES = ("zh", "en")
_HYPOTHESIS_ID = re.compile(r"[A-Za-z]{1,3}-?\d[\w.-]*")


@dataclass(frozen=True)
class NewMvp:
    """An MVP that is wanted."""

    name: str
    gate: str = ""
    """Its gate, prefix optional; empty for none."""
    hypothesis: str = ""
    """The hypothesis of the hub that it tests, as `H1.2`; empty for none."""
    id: str = ""
    """Prefix optional; empty: the next free number."""


@dataclass(frozen=True)
class NewGate:
    """A gate that is wanted."""

    name: str
    condition: str
    """What passes it, as `test R2 log_g >= 0.6`."""
    mvp: str = ""
    """The MVP that decides it, prefix optional; empty for none."""
    if_yes: str = ""
    if_no: str = ""
    id: str = ""
    """Prefix optional; empty: the next free number."""


@dataclass(frozen=True)
class NewPlan:
    """A roadmap with its hub that is wanted."""

    topic: str
    language: str = "zh"
    """One of `LANGUAGES`."""
    folder: str = ""
    """From the lab's root; empty: `roadmaps`."""


@dataclass(frozen=True)
class Creation:
    """What makes one MVP, gate or plan, shown before it is saved."""

    id: str
    """Of the MVP or gate, bare; of a plan its topic."""
    roadmap: Path
    changes: tuple[FileChange, ...]
    """Every file that is made or changed."""
    notes: tuple[str, ...] = ()
    """One line for each thing that is left to a person."""


def plan_mvp(lab: Lab, roadmap: Path, new: NewMvp) -> Creation:
    """The edits that add an MVP: overview, section, boards, check lists, report; UsageError."""
    before = lab.read_roadmap(roadmap)
    name = _one_line(new.name, "name")
    used = {job.spec.mvp for job in of_roadmap(lab, all_jobs(lab.paths), roadmap)}
    used |= known_mvps(lab.paths, lab.paths.relative(roadmap)).keys()
    mvp_id = checked_mvp_id(before, new.id) if new.id else next_mvp_id(before, used)
    gate = find_gate(before, new.gate) if new.gate else None
    hypothesis = _hypothesis(lab, before, new.hypothesis)
    date = datetime.date.today().isoformat()
    edits = MvpEdits(before, mvp_id, name, gate, hypothesis, "", date)
    # Read with its row, the files beside the roadmap are known to be its own.
    after = before.reread(Document(apply(before.document.text, edits.all()), roadmap))
    added_mvp(before, after, mvp_id)
    files = linked_files(lab, after)
    report, target = _report(lab, after, edits)
    link = report_link(path_from(roadmap.parent, target))
    first = change(before.document, replace(edits, report=link).all())
    changes, notes = [first, *([report] if report else [])], list[str]()
    if mvp_id in used:
        notes.append(f"MVP-{mvp_id} has jobs or an experiment file already: they are its own")
    taken = {real(target)}
    for one in files:
        if one.path in taken or not _takes_cards(one.path, lab, before):
            continue
        if mvp_id in one.shared:
            other = lab.paths.relative(one.shared[mvp_id])
            notes.append(
                f"{lab.paths.relative(one.path)}: no card: {other} has an MVP {mvp_id} too"
            )
            continue
        beside = replace(edits, roadmap=one.document)
        made = beside.cards() if is_board(one.path) else beside.checklist()
        changes += [change(one.document.document, made)] if made else []
    if before.boards and not any(new_card_edits(before, mvp_id)):
        notes.append(f"{before.document.name}: its boards have no column for planned MVPs: no card")
    if gate and mvp_id not in after.gate(gate.id).mvps:
        where = f"{before.document.name}:{gate.line}"
        notes.append(f"{where}: Gate-{gate.id} has no list of MVPs to add MVP {mvp_id} to")
    return Creation(mvp_id, roadmap, tuple(changes), tuple(notes))


def _takes_cards(path: Path, lab: Lab, roadmap: Roadmap) -> bool:
    return is_board(path) or path == find_hub(lab, roadmap)


def _report(lab: Lab, roadmap: Roadmap, edits: MvpEdits) -> tuple[FileChange | None, Path]:
    """The report that is made or filled, None where it lacks nothing, and where it stands."""
    path = roadmap.document.path or lab.paths.roadmaps
    folder = _report_folder(lab, roadmap)
    hub = find_hub(lab, roadmap)
    skeleton = Skeleton(
        roadmap,
        edits.mvp,
        edits.name,
        edits.date,
        edits.gate,
        edits.hypothesis,
        path_from(folder, hub) if hub else "",
        path_from(folder, path),
    )
    names = (folder / name for name in skeleton.file_names())
    target = report_path(lab, roadmap, edits.mvp, None, names)
    if not target.is_file():
        return create(target, skeleton.text()), target
    document = read(target)
    filled = skeleton.fill(document)
    return change(document, filled) if filled else None, target


def _report_folder(lab: Lab, roadmap: Roadmap) -> Path:
    """Where the newest report of the roadmap stands; its own folder without any."""
    own = roadmap.document.path.parent if roadmap.document.path else lab.paths.roadmaps
    for mvp in reversed(roadmap.mvps):
        target = unquote((mvp.report or "").partition("#")[0])
        with contextlib.suppress(UsageError):
            folder = lab.paths.inside((own / target).absolute()).parent if target else own
            if target.endswith(".md") and folder.is_dir():
                return own if folder == real(own) else folder
    return own


def _hypothesis(lab: Lab, roadmap: Roadmap, wanted: str) -> str:
    """The hypothesis of an id with what it says: `H1.2: deeper is better`; empty for none."""
    wanted = " ".join(wanted.split())
    if not wanted:
        return ""
    hub = find_hub(lab, roadmap)
    known = parse_hub(read(hub), lab.vocabulary_of(hub)).hypotheses if hub else ()
    for point in known:
        if point.id and point.id.casefold() == wanted.casefold():
            said = point.text.removeprefix(point.id).lstrip(" :：-–—")
            return f"{point.id}: {said}" if said else point.id
    ids = ", ".join(point.id for point in known if point.id)
    if not ids and not _HYPOTHESIS_ID.fullmatch(wanted):
        return wanted  # in words
    if hub is None:
        raise UsageError(f"{roadmap.document.name}: no hypothesis {wanted!r}; it has no hub")
    hint = f"there are {ids}" if ids else "`vitlab hub add H TEXT` adds one"
    raise UsageError(f"{lab.paths.relative(hub)}: no hypothesis {wanted!r}; {hint}")


def plan_gate(lab: Lab, roadmap: Path, new: NewGate) -> Creation:
    """The edits that add a gate, in the shape of the others; UsageError where its id is taken."""
    before = lab.read_roadmap(roadmap)
    name, given = _one_line(new.name, "name"), _one_line(new.condition, "condition")
    gate_id = checked_gate_id(before, new.id) if new.id else next_gate_id(before)
    mvp = before.mvp(new.mvp) if new.mvp else None
    condition = written_condition(given)
    date = datetime.date.today().isoformat()
    yes, no = " ".join(new.if_yes.split()), " ".join(new.if_no.split())
    edits = GateEdits(before, gate_id, name, condition, mvp, yes, no, date)
    made = change(before.document, edits.all())
    after = before.reread(Document(made.new_text, roadmap))
    gate = with_known_qualifiers(added_gate(before, after, gate_id), after, ())
    notes = []
    if not is_as_given(gate, condition):
        notes.append(f"{edits.title}: {given!r} cannot be judged automatically: you decide")
    elif condition.replace("≥", ">=").replace("≤", "<=").replace("R²", "R2") != given:
        notes.append(f"{edits.title}: the condition is written as {condition!r}")
    if mvp and mvp.id not in gate.mvps:
        notes.append(f"{edits.title}: its table has no column for MVPs: MVP-{mvp.id} is not in it")
    return Creation(gate_id, roadmap, (made,), tuple(notes))


def plan_plan(lab: Lab, new: NewPlan) -> Creation:
    """The files of a new roadmap and its hub; UsageError where one of them exists."""
    topic = _one_line(new.topic, "topic")
    if new.language not in LANGUAGES:
        raise UsageError(f"language {new.language!r}: one of {', '.join(LANGUAGES)}")
    if not slug(topic):
        raise UsageError(f"topic {topic!r}: has no letter or digit to name the files by")
    folder = lab.paths.inside(new.folder) if new.folder else lab.paths.roadmaps
    author, project = _usual_fields(lab)
    date = datetime.date.today().isoformat()
    texts = plan_texts(topic, new.language, date, author, project)
    for file_name, _ in texts:
        if (folder / file_name).exists():
            where = lab.paths.relative(folder / file_name)
            raise UsageError(f"{where}: exists already; nothing was written")
    changes = [create(folder / file_name, text) for file_name, text in texts]
    settings = lab.paths.settings
    if not _is_lab(lab.paths):
        changes.append(create(settings, "# Settings of this lab; README.md lists them.\n"))
    path = folder / texts[0][0]
    ignored, notes = _gitignore(lab.paths.root)
    changes += ignored
    globs = lab.settings.documents
    if globs and not any(path.relative_to(lab.paths.root).match(glob) for glob in globs):
        notes.append(f"{settings.name}: `documents` names no {lab.paths.relative(path)}: add it")
    return Creation(topic, path, tuple(changes), tuple(notes))


def _gitignore(root: Path) -> tuple[list[FileChange], list[str]]:
    """What tells git what it need not keep, or a line that says it where there is such a file."""
    if not any((folder / ".git").exists() for folder in (root, *root.parents)):
        return [], []
    lacking, path = not_ignored(root, IGNORED), root / ".gitignore"
    if not lacking:
        return [], []
    if os.path.lexists(path):
        return [], [f"{path.name}: add {' '.join(lacking)} (files of a lab that git can ignore)"]
    return [create(path, "".join(f"{line}\n" for line in lacking))], []


def _is_lab(paths: LabPaths) -> bool:
    """Whether a lab is found here once there is a roadmap."""
    with contextlib.suppress(NoLab):
        return find_lab(paths.root).root == paths.root.resolve()
    return (paths.root / ".git").exists()


def _usual_fields(lab: Lab) -> tuple[str, str]:
    """The author and project that the lab's first readable roadmap names; empty for none."""
    for path in lab.roadmaps():
        with contextlib.suppress(UsageError, OSError):
            meta = lab.cached_roadmap(path).meta
            project = re.search(r"[\w-]+", meta.get("project", ""))
            return meta.get("author", "").strip(), project.group() if project else ""
    return "", ""


def _one_line(text: str, what: str) -> str:
    line = " ".join(text.split())
    if not line:
        raise UsageError(f"the {what} is missing")
    return line


def save_new(lab: Lab, creation: Creation) -> list[Path]:
    """Write what was planned, as one step that `undo` reverses; the files written."""
    written = save(creation.changes, lab.journal, what=f"new {creation.id}", exact=True)
    return [file.path for file in written]
