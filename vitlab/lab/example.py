"""The example lab: its files, how it is copied, what assistants read, whether its tour is due."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from vitlab.contract.paths import (
    IGNORED,
    SETTINGS,
    SPEC,
    LabPaths,
    UsageError,
    check_inside,
    write_atomic,
)
from vitlab.contract.reading import read_regular
from vitlab.docs.write.new_files import template
from vitlab.jobs.git import committed

DUE, SEEN = "due", "seen"
EXPERIMENTS = (
    "lightgbm_1m", "loss_norm", "multitask", "positions", "scaling", "snr_ceiling", "tokenization",
    "vit_1m",
)  # fmt: skip


def example_lab() -> Path:
    """The example lab: beside the modules in a wheel, the project itself in a checkout."""
    package = Path(__file__).resolve().parents[1]
    bundled = package / "example"
    return bundled if bundled.is_dir() else package.parent


def example_files() -> tuple[Path, ...]:
    """Its files, by their paths from the lab's root: settings, roadmap and hub, experiments.

    Named one by one: a checkout may be a lab in use, with reports and experiments of its own.
    """
    documents = (f"roadmaps/{name}.md" for name in ("vit_hub", "vit_roadmap"))
    experiments = (f"experiments/{name}.yaml" for name in EXPERIMENTS)
    return tuple(map(Path, (SETTINGS, *documents, *experiments)))


def make_example(target: Path, *, keep: bool = False) -> list[Path]:
    """Copy the example lab to `target`; returns the files made.

    Nothing is overwritten: with `keep` an existing file stays as it is, without it is an error.
    """
    source = example_lab()
    copies = [(source / name, target / name) for name in example_files()]
    check_inside(target, [copy.parent for _, copy in copies])
    LabPaths(target).private.check()
    for _, copy in copies:
        if copy.exists() and not keep:
            raise UsageError(f"{copy}: already exists; nothing was written")
    made: list[Path] = []
    try:
        for file, copy in copies:
            if not copy.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(copy, _fresh(file))
                made.append(copy)
    except OSError:  # a full disk: half a lab would be in the way of the next attempt
        for copy in made:
            copy.unlink()
        raise
    _mark(LabPaths(target), DUE)
    return made


def _fresh(file: Path) -> bytes:
    """A file of the example, a document without what the checkout's own lab wrote into it."""
    return (committed(file) if file.suffix == ".md" else b"") or file.read_bytes()


def make_gitignore(folder: Path) -> list[Path]:
    """Tell git what it need not keep, unless the folder has such a file; returns the new file."""
    path = folder / ".gitignore"
    if path.exists():
        return []
    write_atomic(path, "".join(f"{line}\n" for line in IGNORED).encode())
    return [path]


_SKILL = """\
---
name: vitlab
description: Work in a vitlab lab. Use for its roadmap, hub, gates, experiments, jobs and results.
---

"""
"""What assistants read of a skill before they open it."""


def agent_files(folder: Path) -> Mapping[Path, str]:
    """What assistants are told of a lab: the files that it lacks, with their texts.

    One text, where most assistants look and where one looks for skills. `UsageError` for a link out
    of the lab, and for what is in the way of their folders.
    """
    text = template("agents")
    wanted = {
        folder / "AGENTS.md": text,
        folder / ".claude/skills/vitlab/SKILL.md": _SKILL + text,
    }
    check_inside(folder, [path.parent for path in wanted])
    for parent in (one for path in wanted for one in path.parents if one.is_relative_to(folder)):
        if os.path.lexists(parent) and not parent.is_dir():
            raise UsageError(f"{parent}: is no folder")
    return {path: text for path, text in wanted.items() if not os.path.lexists(path)}


def make_agent_files(files: Mapping[Path, str]) -> list[Path]:
    """Write `agent_files`; returns them."""
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text.encode())
    return list(files)


def tour_due(lab: LabPaths) -> str:
    """`due` in an example lab whose tour was not shown yet, `new` in any other without a job."""
    try:
        word = read_regular(_marker(lab), 100).decode("utf-8", "replace").strip()
    except OSError:
        return "" if any(lab.experiments.glob(f"*/*/{SPEC}")) else "new"
    return DUE if word == DUE else ""


def mark_tour_shown(lab: LabPaths) -> None:
    """From now on the tour is shown only on request."""
    _mark(lab, SEEN)


def _mark(lab: LabPaths, word: str) -> None:
    # A read-only lab is shown all the same.
    with contextlib.suppress(OSError):
        lab.private.make()
        write_atomic(_marker(lab), f"{word}\n".encode())


def _marker(lab: LabPaths) -> Path:
    return lab.private.tour
