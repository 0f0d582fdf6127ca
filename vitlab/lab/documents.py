"""Where a lab's roadmaps are: in the whole repository, or where its settings say."""

from __future__ import annotations

import json
import os
import re
import stat
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from vitlab.contract.paths import (
    SETTINGS,
    SPEC,
    LabPaths,
    UsageError,
    check_inside,
    real,
    write_atomic,
)
from vitlab.contract.reading import Search, is_folder, matching, open_regular
from vitlab.docs.model.report_head import own_experiments
from vitlab.docs.text.source import Document

_ROADMAP = re.compile(r"(?:.*roadmap.*|.*路线图.*)\.(?:md|markdown)", re.I)
_TEMPLATE = re.compile(r"templates?|模板", re.I)
_BOARD = (
    r"(?:kanban|看板|checklist|清单|next[_-]?steps?|下一步|notes?|笔记|cards?|卡片|todo|待办|任务)"
)
_BOARD_WORD = re.compile(rf"(?<![^\W\d_]){_BOARD}(?![^\W\d_])", re.I)
_HUB_WORD = re.compile("hub", re.I)
_SUFFIX = re.compile(r"\.(?:md|markdown)", re.I)
_HUB_SUFFIX = re.compile(r"\.md", re.I)
_PATHS = re.compile(r"[\w./-]+")
_PART = re.compile("[^/]+")
_LONGEST = 1000
"""Characters of a path that a document names."""
_REPORT = re.compile(r"(?:exp|report|实验|报告)[_-].*|.*(?:report|报告)", re.I)
_PLAIN_NAME = re.compile(
    rf"(?:[\W_]|{_BOARD}|exp(?:eriment)?|report|实验|报告|status|状态|\d{{4}}-?\d\d-?\d\d)*", re.I
)
"""What a name may have beside the id of an MVP."""
_SKIPPED = frozenset(("node_modules", "site-packages", "__pycache__", "tests"))
_TABLES = re.compile(r"^tables:[^\n]*\n?(?:[ \t]+[^\n]*(?:\n|\Z)|\n(?=[ \t\n]))*", re.M)
_HEAD = 4096
"""Bytes of a report in which its exp_id is looked for."""
Tell = Callable[[str], None]
"""Called with a line on what is passed over."""


def is_roadmap(path: Path) -> bool:
    """Whether a file is a roadmap by its name; a template of one is none."""
    return bool(_ROADMAP.fullmatch(path.name)) and not _TEMPLATE.search(path.stem)


def is_board(path: Path) -> bool:
    """Whether a file is a board, a check list or notes by its name."""
    return _path_in(path.name, _BOARD_WORD) == path.name and not is_roadmap(path)


def is_report(path: Path) -> bool:
    """Whether a file is the report of an experiment by its name."""
    return bool(_REPORT.fullmatch(path.stem))


def is_plan(path: Path) -> bool:
    """Whether a file that the settings name is a roadmap, and no file beside one."""
    is_hub = _path_in(path.name, _HUB_WORD, _HUB_SUFFIX) == path.name
    return is_roadmap(path) or not (is_board(path) or is_hub or is_report(path))


def boards_named(text: str) -> list[str]:
    """The paths of boards, check lists and notes that a roadmap names."""
    return _named(_BOARD_WORD, text)


def hubs_named(text: str) -> list[str]:
    """The paths of hubs that a roadmap names; its own is the first that is there."""
    return _named(_HUB_WORD, text, _HUB_SUFFIX)


def _named(key: re.Pattern[str], text: str, suffix: re.Pattern[str] = _SUFFIX) -> list[str]:
    """The paths to documents with a word in their name; what is too long for one is passed over.

    Part by part, as one pattern of a whole path takes the cube of its length.
    """
    words = (
        word for word in _PATHS.findall(text) if len(word) <= _LONGEST and _SUFFIX.search(word)
    )
    return list(dict.fromkeys(path for word in words if (path := _path_in(word, key, suffix))))


def _path_in(word: str, key: re.Pattern[str], suffix: re.Pattern[str] = _SUFFIX) -> str:
    for part in reversed(list(_PART.finditer(word))):
        if named := key.search(part[0]):
            ends = [one.end() for one in suffix.finditer(part[0], named.end())]
            if ends:
                return word[: part.start() + ends[-1]]
    return ""


def notes_near(paths: LabPaths, roadmaps: Sequence[Path]) -> list[Path]:
    """The files in which an MVP may have a report, a card or notes of its own, by their names."""
    folders = [paths.experiments, *(path.parent for path in roadmaps)]
    found = _walk(folders, lambda name: name.casefold().endswith((".md", ".markdown")))
    return sorted(path for path in set(map(real, found)) if not is_roadmap(path))


def is_named_for(path: Path, mvp_id: str, exp_id: str | None, own: Collection[str] = ()) -> bool:
    """Whether a file or its folder is named for an MVP or its experiment.

    `own`: the experiments that it says it is the report of.
    """
    return _is_of_experiment(path, exp_id, own) or bool(_id_in(path, mvp_id))


def is_named_plainly(path: Path, mvp_id: str, exp_id: str | None) -> bool:
    """Whether the name says no more than the MVP or experiment, what the file is, and a date.

    `card_mvp_1.0.md` does; `mvp_1.0_data.md`, `review_of_mvp_1.0.md` may be of something else.
    """
    found = _id_in(path, mvp_id)
    rest = f"{path.stem[: found.start()]} {path.stem[found.end() :]}" if found else path.stem
    return _is_of_experiment(path, exp_id) or bool(found and _PLAIN_NAME.fullmatch(rest))


def _is_of_experiment(path: Path, exp_id: str | None, own: Collection[str] = ()) -> bool:
    names = (path.stem, path.parent.name, *own)
    return exp_id is not None and exp_id.casefold() in map(str.casefold, names)


def _id_in(path: Path, mvp_id: str) -> re.Match[str] | None:
    if "mvp" not in path.stem.lower():
        return None
    spelled = re.escape(mvp_id).replace(r"\.", "[._-]").replace(r"\-", "[._-]")
    named = rf"(?<![A-Za-z0-9])mvp[-_ ]?{spelled}(?![A-Za-z0-9]|[._-]\d{{1,2}}(?!\d))"
    return re.search(named, path.stem, re.I)


def experiments_in(path: Path) -> tuple[str, ...]:
    """The ids of experiments that a report's head gives as its own; empty for another file."""
    if not is_report(path):
        return ()
    try:
        with os.fdopen(open_regular(path, follow=True), "rb") as file:
            head = file.read(_HEAD).decode(errors="replace")
    except OSError:
        return ()
    return own_experiments(Document(head))


def find_roadmaps(
    root: Path,
    globs: Sequence[str] = (),
    tell: Tell | None = None,
    jobs: Collection[str] = (),
) -> list[Path]:
    """The roadmaps of a lab, those in `roadmaps/` first; `globs`: where they are instead.

    A link that leads nowhere is one too, so that it is named where it is read. `tell` gets a line
    on what was not looked into. `jobs`: folders known to be of jobs, where none is looked for.
    """
    if globs:
        return sorted({path for pattern in globs for path in _matching(root, pattern, tell)})
    own = root / "roadmaps"
    everywhere = {*_below(own, tell), *_below(root, tell, jobs)}
    return sorted(everywhere, key=lambda path: (not path.is_relative_to(own), path))


def repository_with_roadmap(start: Path) -> Path | None:
    """The root of the git repository that `start` is in; None where no roadmap is below it."""
    folders = [real(start), *real(start).parents]
    root = next((folder for folder in folders if (folder / ".git").exists()), None)
    return root if root and next(_below(root), None) else None


def _below(root: Path, tell: Tell | None = None, jobs: Collection[str] = ()) -> Iterator[Path]:
    """The roadmaps in a folder and below it."""
    return _walk([root], lambda name: is_roadmap(Path(name)), tell, jobs)


def _walk(
    roots: Sequence[Path],
    wanted: Callable[[str], bool],
    tell: Tell | None = None,
    jobs: Collection[str] = (),
) -> Iterator[Path]:
    """The files in folders and below them whose names are wanted; no linked folder is entered.

    Hidden ones are none: editors and file systems lay `.#NAME` and `._NAME` beside a file.
    """
    waiting, search, seen = deque(roots), Search(), set[Path]()
    while waiting and not search.is_cut:
        folder = waiting.popleft()
        if folder in seen:
            continue
        seen.add(folder)
        entries = search.entries(folder)
        names = {entry.name for entry in entries}
        if SPEC in names or "pyvenv.cfg" in names or (folder not in roots and SETTINGS in names):
            continue  # a job, an environment, another lab
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                skipped = entry.name in _SKIPPED or entry.path in jobs
                if not skipped and not _TEMPLATE.fullmatch(entry.name):
                    waiting.append(Path(entry.path))
            elif wanted(entry.name) and not is_folder(entry):
                yield Path(entry.path)
    _tell_left(roots[0], search, tell)


def _matching(root: Path, pattern: str, tell: Tell | None) -> Iterator[Path]:
    """The files below a folder by a pattern as `Path.glob` has them; none leads upwards."""
    parts = PurePosixPath(pattern).parts
    if not parts or ".." in parts or parts[0] == "/":
        raise UsageError(f"{SETTINGS}: documents: {pattern!r} is no pattern of files in the lab")
    search = Search()
    yield from matching(root, pattern, search, hidden=False)
    _tell_left(root, search, tell)


def _tell_left(root: Path, search: Search, tell: Tell | None) -> None:
    if search.is_cut and tell:
        tell(f"{root}: only the nearest {search.limit} were searched for documents")
    if search.unread and tell:
        (folder, why), *more = search.unread.items()
        others = f" (and {len(more)} more folders)" if more else ""
        tell(f"{folder}{others}: not searched for documents: {why}")


def read_columns(text: str) -> dict[str, str]:
    """What a person says of a plan's columns: `Milestone=id, State=status`."""
    columns = {}
    for part in re.split(r"[,，;；]", text):
        header, equals, meaning = (piece.strip() for piece in part.rpartition("="))
        if not equals or not header or not meaning:
            raise UsageError(f'{part.strip()!r}: expected "Header=meaning", as in "Milestone=id"')
        columns[header] = meaning
    if not {"id", "mvp"} & set(columns.values()):
        raise UsageError(f'{text!r}: one header must be the id, as in "Milestone=id"')
    return columns


def keep_columns(settings: Path, tables: Mapping[str, Mapping[str, str]]) -> None:
    """Write the settings' key `tables`; every other line stays as it is.

    `UsageError` with the line to write where a person's file is of another form.
    """
    from vitlab.jobs.experiment import yaml_loader

    check_inside(settings.parent, [settings])  # its text would be copied into the lab
    path, there = real(settings), settings.is_file()
    raw = path.read_bytes() if there else b""
    lines = [
        f"  {json.dumps(name, ensure_ascii=False)}: {json.dumps(columns, ensure_ascii=False)}\n"
        for name, columns in tables.items()
    ]
    ours = f"tables:\n{''.join(lines)}"
    kept = _TABLES.sub("", raw.decode(errors="replace").replace("\r\n", "\n"))
    gap = "" if not kept or kept.endswith("\n") else "\n"
    new = f"{kept}{gap}{ours}".replace("\n", "\r\n" if b"\r\n" in raw else "\n").encode()
    try:
        before, after = (yaml_loader.load(text)[1] for text in (raw, new))
    except yaml_loader.BadYaml:
        before, after = None, None
    if after is None or after != {**(before or {}), "tables": tables}:
        line = json.dumps({**tables}, ensure_ascii=False)
        raise UsageError(f"{settings}: nothing is written in YAML of this form: add tables: {line}")
    write_atomic(path, new, stat.S_IMODE(path.stat().st_mode) if there else None)
