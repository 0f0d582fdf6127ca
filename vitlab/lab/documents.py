"""Where a lab's roadmaps are: in the whole repository, or where its settings say."""

from __future__ import annotations

import json
import os
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from vitlab.contract.paths import SETTINGS, SPEC, UsageError, write_atomic

_ROADMAP = re.compile(r"(?:.*roadmap.*|.*路线图.*)\.(?:md|markdown)", re.I)
_TEMPLATE = re.compile(r"templates?|模板", re.I)
_SKIPPED = frozenset(("node_modules", "site-packages", "__pycache__", "tests"))
_TABLES = re.compile(r"^tables:[^\n]*\n?(?:[ \t]+[^\n]*(?:\n|\Z)|\n(?=[ \t\n]))*", re.M)
_FOLDERS = 20_000
"""Folders that are looked into, the nearest first."""


def is_roadmap(path: Path) -> bool:
    """Whether a file is a roadmap by its name; a template of one is none."""
    return bool(_ROADMAP.fullmatch(path.name)) and not _TEMPLATE.search(path.stem)


def find_roadmaps(root: Path, globs: Sequence[str] = ()) -> list[Path]:
    """The roadmaps of a lab, those in `roadmaps/` first; `globs`: where they are instead.

    A link that leads nowhere is one too, so that it is named where it is read.
    """
    if globs:
        found = {path for pattern in globs for path in root.glob(pattern) if not path.is_dir()}
        return sorted(found)
    own = root / "roadmaps"
    everywhere = {*_below(own), *_below(root)}
    return sorted(everywhere, key=lambda path: (not path.is_relative_to(own), path))


def repository_with_roadmap(start: Path) -> Path | None:
    """The root of the git repository that `start` is in; None where no roadmap is below it."""
    folders = [start.resolve(), *start.resolve().parents]
    root = next((folder for folder in folders if (folder / ".git").exists()), None)
    return root if root and next(_below(root), None) else None


def _below(root: Path) -> Iterator[Path]:
    """The roadmaps in a folder and below it."""
    waiting = deque([root])
    for _ in range(_FOLDERS):
        if not waiting:
            return
        folder = waiting.popleft()
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue  # one folder that cannot be read hides no other
        names = {entry.name for entry in entries}
        if SPEC in names or "pyvenv.cfg" in names or (folder != root and SETTINGS in names):
            continue  # a job, an environment, another lab
        for entry in entries:
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                skipped = entry.name.startswith(".") or entry.name in _SKIPPED
                if not skipped and not _TEMPLATE.fullmatch(entry.name):
                    waiting.append(path)
            elif is_roadmap(path) and not path.is_dir():
                yield path


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
    """Write the settings' key `tables`; every other line stays as it is."""
    old = settings.read_text(encoding="utf-8") if settings.is_file() else ""
    lines = [
        f"  {json.dumps(name, ensure_ascii=False)}: {json.dumps(columns, ensure_ascii=False)}\n"
        for name, columns in tables.items()
    ]
    kept = _TABLES.sub("", old)
    gap = "" if not kept or kept.endswith("\n") else "\n"
    new = f"{kept}{gap}tables:\n{''.join(lines)}"
    write_atomic(settings, new.encode())
