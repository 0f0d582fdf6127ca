"""The figures of an MVP's results: their files beside the roadmap, and links to them in reports."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from vitlab.contract.paths import FIGURE_FOLDER, UsageError
from vitlab.docs.save import FileChange, change
from vitlab.docs.text.source import read
from vitlab.docs.write.rows import link_figure
from vitlab.jobs.store import all_jobs
from vitlab.lab.lab import Lab
from vitlab.lab.results.job_results import Finished, finished, of_roadmap
from vitlab.lab.results.launches import last_launch
from vitlab.plot.figures.paper import shown_jobs
from vitlab.plot.figures.picture import FIGURES


def figure_stem(roadmap: Path, mvp: str | None, profile: str, figure: str) -> Path:
    """A figure's file without ending, `img/mvp_3.0_scaling_demo`; None: it shows several MVPs."""
    name, mark = (re.sub(r"[^\w.-]+", "_", text) for text in (mvp or "", profile))
    head = f"mvp_{name}_" if mvp is not None else ""
    tail = "" if profile == "full" else f"_{mark}"
    return roadmap.parent / FIGURE_FOLDER / f"{head}{figure}{tail}"


def figure_stem_of(lab: Lab, results: Sequence[Finished], figure: str) -> Path:
    """As `figure_stem` for a figure of these jobs, beside the roadmap of the first."""
    mvps = dict.fromkeys(one.result.mvp for one in results)
    # Of trials and full runs together, the name tells of the trials.
    profile = min({one.result.profile for one in results}, key=lambda name: (name == "full", name))
    roadmap = lab.paths.inside(results[0].job.spec.roadmap)
    stem = figure_stem(roadmap, next(iter(mvps)) if len(mvps) == 1 else None, profile, figure)
    return figure_target(lab, stem)


def figure_target(lab: Lab, stem: Path) -> Path:
    """`stem`, to be written; `UsageError` where its folder leads out of the lab."""
    return lab.paths.inside(stem.parent) / stem.name


def existing_figures(folder: Path, mvp: str, profile: str, jobs: Collection[str]) -> dict[str, str]:
    """The figures an MVP has of one launch: name -> path from `folder`, the roadmap's.

    `jobs`: names of the launch's jobs that have a result. A figure of an earlier launch, or one
    that does not say what it shows, is none of them.
    """
    own = {Path(name).parent for name in jobs}
    found = {}
    for name in FIGURES:
        stem = figure_stem(folder / "roadmap", mvp, profile, name)
        file = f"{stem.name}.png"
        shown = {job for job in shown_jobs(stem.parent / file) if Path(job).parent in own}
        if shown and shown <= set(jobs):
            found[name] = f"./{FIGURE_FOLDER}/{file}"
    return found


def link_in_reports(lab: Lab, results: Sequence[Finished], picture: Path) -> list[FileChange]:
    """The changes that link `picture` in the existing reports of the MVPs it shows."""
    roadmap_path = lab.paths.inside(results[0].job.spec.roadmap)
    if not roadmap_path.is_file():
        return []
    roadmap = lab.read_roadmap(roadmap_path)
    wanted = {one.result.mvp for one in results}
    changes = []
    for mvp in roadmap.mvps:
        if mvp.id not in wanted or not mvp.report:
            continue
        try:
            path = lab.paths.inside(roadmap_path.parent / mvp.report)
        except UsageError:
            continue  # a report outside the lab is never written
        if path.suffix != ".md" or not path.is_file():
            continue
        link = Path(os.path.relpath(picture, path.parent)).as_posix()
        document = read(path)
        edits = link_figure(document, link if link.startswith(".") else f"./{link}")
        changes += [change(document, edits)] if edits else []
    return list({one.path: one for one in changes}.values())


def launch_figure_files(lab: Lab, roadmap_path: Path, mvp_id: str) -> list[Path]:
    """The files of the figures drawn of an MVP's last launch."""
    jobs = of_roadmap(lab, all_jobs(lab.paths), roadmap_path)
    mine = last_launch([job for job in jobs if job.spec.mvp == mvp_id])
    names = [one.job.name for one in finished(mine)]
    folder = roadmap_path.parent
    profile = mine[-1].spec.profile if mine else "full"
    return [folder / path for path in existing_figures(folder, mvp_id, profile, names).values()]
