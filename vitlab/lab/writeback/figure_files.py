"""The figures of an MVP's results: their files beside the roadmap, and links to them in reports."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from vitlab.contract.paths import FIGURE_FOLDER, UsageError
from vitlab.docs.save import FileChange, change
from vitlab.docs.text.source import read
from vitlab.docs.write.rows import link_figure
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.lab import Lab
from vitlab.lab.results.job_results import Finished, finished, of_roadmap
from vitlab.lab.results.launches import last_launch
from vitlab.plot.figures.paper import shown_jobs
from vitlab.plot.figures.picture import FIGURES


def figure_stems(roadmap: Path, mvp: str | None, profile: str, figure: str) -> Iterator[Path]:
    """A figure's file without ending, `img/mvp_3.0_scaling_demo`; None: it shows several MVPs.

    Then other names, with the roadmap's, for where a figure of another one or of a person's is.
    """
    texts = (mvp or "", profile, roadmap.stem)
    name, mark, plan = (re.sub(r"[^\w.-]+", "_", text) for text in texts)
    head = f"mvp_{name}_" if mvp is not None else ""
    tail = "" if profile == "full" else f"_{mark}"
    counted = (f"{plan}_{count}_" for count in itertools.count(2))
    for middle in itertools.chain(("", f"{plan}_"), counted):
        yield roadmap.parent / FIGURE_FOLDER / f"{head}{middle}{figure}{tail}"


def figure_target(
    lab: Lab, roadmap: Path, mvp: str | None, profile: str, figure: str, jobs: Sequence[Job]
) -> Path:
    """The file without ending that a figure is written to: the first name that is free or its own.

    Its own shows jobs of this MVP of this roadmap, by `jobs`, all of the lab, or its experiment's.
    `UsageError` where its folder leads out of the lab.
    """
    mine = [job for job in of_roadmap(lab, list(jobs), roadmap) if mvp in (None, job.spec.mvp)]
    folder = lab.paths.inside(roadmap.parent / FIGURE_FOLDER)
    stems = (folder / one.name for one in figure_stems(roadmap, mvp, profile, figure))
    return next(stem for stem in stems if not _has_another(stem, mine, jobs))


def _has_another(stem: Path, mine: Collection[Job], jobs: Sequence[Job]) -> bool:
    """Whether a figure is there that shows none of `mine`, nor jobs now gone of their experiment.

    One that does not say what it shows may be a person's.
    """
    png = _png(stem)
    if not os.path.lexists(png):
        return os.path.lexists(f"{stem}.pdf")
    known, own = {job.name for job in jobs}, {job.name for job in mine}
    experiments = {job.spec.exp_id for job in mine}
    return not any(
        name in own or (name not in known and Path(name).parent.name in experiments)
        for name in shown_jobs(png)
    )


def _png(stem: Path) -> Path:
    return stem.with_name(f"{stem.name}.png")


def figure_target_of(lab: Lab, results: Sequence[Finished], figure: str) -> Path:
    """As `figure_target` for a figure of these jobs, beside the roadmap of the first."""
    mvps = {(one.job.spec.roadmap, one.result.mvp): one.result.mvp for one in results}
    # Of trials and full runs together, the name tells of the trials.
    profile = min({one.result.profile for one in results}, key=lambda name: (name == "full", name))
    roadmap = lab.paths.inside(results[0].job.spec.roadmap)
    mvp = next(iter(mvps.values())) if len(mvps) == 1 else None
    return figure_target(lab, roadmap, mvp, profile, figure, all_jobs(lab.paths))


def existing_figures(
    roadmap: Path, mvp: str, profile: str, jobs: Collection[str]
) -> dict[str, str]:
    """The figures an MVP has of one launch: name -> path from the roadmap's folder.

    `jobs`: names of the launch's jobs that have a result. A figure of an earlier launch, or one
    that does not say what it shows, is none of them.
    """
    own = {Path(name).parent for name in jobs}
    found = {}
    for name in FIGURES:
        files = map(_png, figure_stems(roadmap, mvp, profile, name))
        for file in itertools.takewhile(os.path.lexists, files):
            shown = {job for job in shown_jobs(file) if Path(job).parent in own}
            if shown and shown <= set(jobs):
                found[name] = f"./{FIGURE_FOLDER}/{file.name}"
                break
    return found


def link_in_reports(lab: Lab, results: Sequence[Finished], picture: Path) -> list[FileChange]:
    """The changes that link `picture` in the existing reports of the MVPs it shows."""
    roadmap_path = lab.paths.inside(results[0].job.spec.roadmap)
    if not roadmap_path.is_file():
        return []
    roadmap = lab.read_roadmap(roadmap_path)
    here = results[0].job.spec.roadmap
    wanted = {one.result.mvp for one in results if one.job.spec.roadmap == here}
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
    profile = mine[-1].spec.profile if mine else "full"
    found = existing_figures(roadmap_path, mvp_id, profile, names)
    return [roadmap_path.parent / path for path in found.values()]
