"""Where figures are kept, and the reports that show them: `img/` beside the roadmap."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from vitlab.contract.paths import UsageError
from vitlab.docs.edits import FileChange, change
from vitlab.docs.figures import link_figure
from vitlab.docs.source import read
from vitlab.plot.picture import FIGURES
from vitlab.records.lab import Lab
from vitlab.records.results import Finished

FOLDER = "img"


def stem_of(lab: Lab, found: Sequence[Finished], figure: str) -> Path:
    """`img/mvp_3.0_scaling_demo`, beside the roadmap the first job was launched from."""
    roadmap = lab.paths.inside(found[0].job.spec.roadmap)
    mvps = dict.fromkeys(one.result.mvp for one in found)
    profiles = {one.result.profile for one in found}
    profile = "" if profiles == {"full"} else sorted(profiles)[0]
    head = _prefix(next(iter(mvps))) if len(mvps) == 1 else ""
    return roadmap.parent / FOLDER / (head + "_".join(part for part in (figure, profile) if part))


def drawn(folder: Path, mvp: str, profile: str) -> list[str]:
    """The pictures of an MVP that are there, as paths from `folder`, the roadmap's."""
    tail = "" if profile == "full" else f"_{profile}"
    names = [f"{_prefix(mvp)}{figure}{tail}.png" for figure in FIGURES]
    return [f"./{FOLDER}/{name}" for name in names if (folder / FOLDER / name).is_file()]


def links(lab: Lab, found: Sequence[Finished], picture: Path) -> list[FileChange]:
    """The changes that show `picture` in the reports of the MVPs it is of, where they are."""
    roadmap_path = lab.paths.inside(found[0].job.spec.roadmap)
    if not roadmap_path.is_file():
        return []
    roadmap = lab.read_roadmap(roadmap_path)
    wanted = {one.result.mvp for one in found}
    changes = []
    for mvp in roadmap.mvps:
        if mvp.id not in wanted or not mvp.report:
            continue
        try:
            path = lab.paths.inside(roadmap_path.parent / mvp.report)
        except UsageError:
            continue  # a report outside the lab is not ours to write
        if path.suffix != ".md" or not path.is_file():
            continue
        link = Path(os.path.relpath(picture, path.parent)).as_posix()
        document = read(path)
        edits = link_figure(document, link if link.startswith(".") else f"./{link}")
        changes += [change(document, edits)] if edits else []
    return list({one.path: one for one in changes}.values())


def _prefix(mvp: str) -> str:
    return "mvp_" + re.sub(r"[^\w.-]+", "_", mvp) + "_"
