"""Where figures are kept, and the reports that show them: `img/` beside the roadmap."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from vitlab.contract.paths import FIGURE_FOLDER, UsageError
from vitlab.docs.save import FileChange, change
from vitlab.docs.text.source import read
from vitlab.docs.write.rows import link_figure
from vitlab.lab.lab import Lab
from vitlab.lab.results.job_results import Finished
from vitlab.plot.figures import FIGURES


def stem(roadmap: Path, mvp: str | None, profile: str, figure: str) -> Path:
    """`img/mvp_3.0_scaling_demo`, beside the roadmap; without an MVP it is of several."""
    head = _prefix(mvp) if mvp is not None else ""
    tail = "" if profile == "full" else f"_{profile}"
    return roadmap.parent / FIGURE_FOLDER / f"{head}{figure}{tail}"


def stem_of(lab: Lab, found: Sequence[Finished], figure: str) -> Path:
    """Where a figure of these jobs goes: beside the roadmap the first was launched from."""
    mvps = dict.fromkeys(one.result.mvp for one in found)
    # Among trials and full runs the trials are what must be said.
    profile = min({one.result.profile for one in found}, key=lambda name: (name == "full", name))
    roadmap = lab.paths.inside(found[0].job.spec.roadmap)
    return stem(roadmap, next(iter(mvps)) if len(mvps) == 1 else None, profile, figure)


def drawn(folder: Path, mvp: str, profile: str) -> dict[str, str]:
    """The pictures of an MVP that are there: figure -> path from `folder`, the roadmap's."""
    stems = {figure: stem(folder / "roadmap", mvp, profile, figure).name for figure in FIGURES}
    return {
        figure: f"./{FIGURE_FOLDER}/{name}.png"
        for figure, name in stems.items()
        if (folder / FIGURE_FOLDER / f"{name}.png").is_file()
    }


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
