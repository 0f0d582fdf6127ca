"""Whether anything in a lab has changed, by the times of a few dozen files: cheaper than a look."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from vitlab.contract.paths import LabPaths
from vitlab.contract.state import Done

if TYPE_CHECKING:
    from vitlab.records.view import LabView

Stamp = frozenset[tuple[str, int, int]]
"""Path, time of the last change in ns, and size of everything that was there."""


def stamp(lab: LabPaths, view: LabView) -> Stamp:
    """The documents, the experiments' files and folders, and the jobs that have not ended.

    A job that comes, starts or ends changes the time of a folder: all its files are renamed into
    their place. Ended jobs are left out; a thousand of them cost nothing.
    """
    paths = [str(job.paths.folder) for job in view.jobs if not isinstance(job.state, Done)]
    if view.path is not None:
        paths.append(str(view.path))
    found = {one for path in paths if (one := _of(path)) is not None}
    return frozenset(found.union(_inside(lab.roadmaps), _inside(lab.experiments)))


def _of(path: str) -> tuple[str, int, int] | None:
    try:
        stat = os.stat(path)  # noqa: PTH116 - strings, not a Path for each
    except OSError:
        return None
    return path, stat.st_mtime_ns, stat.st_size


def _inside(folder: Path) -> Iterator[tuple[str, int, int]]:
    try:
        names = os.listdir(folder)  # noqa: PTH208
    except OSError:
        return
    for name in names:
        one = _of(os.path.join(folder, name))  # noqa: PTH118
        if one is not None:
            yield one
