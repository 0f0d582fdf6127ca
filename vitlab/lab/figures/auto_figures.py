"""The figures a launch is reported with, drawn by a process of its own as soon as it ends.

A process of its own, so that a figure that can not be drawn takes no result with it.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from vitlab.contract.job import Done, Queued, Running, Spec, read_result
from vitlab.contract.paths import JobPaths, UsageError, find_lab
from vitlab.docs.judge.comparison import far_from_best
from vitlab.jobs.store import Job, all_jobs, look
from vitlab.lab.figures.figure_specs import (
    MOST,
    Maker,
    Material,
    ablation,
    parity,
    residuals,
    scaling,
    snr,
    training,
)
from vitlab.lab.lab import Lab, open_lab
from vitlab.lab.results.job_results import Finished, finished, latest
from vitlab.lab.results.repeats import grouped
from vitlab.lab.writeback.figure_paths import stem
from vitlab.lab.writeback.writeback import last_launch
from vitlab.plot.figures import Picture, write

MAKERS: dict[str, Maker] = {
    "scaling": scaling,
    "ablation": ablation,
    "training": training,
    "snr": snr,
    "parity": parity,
    "residuals": residuals,
}
LONG = 60.0
"""Seconds from which on a run is worth a figure of what there is so far."""


def draw_figures(folder: Path) -> list[Path]:
    """Draw what the launch of the job in `folder` has given so far; the PNGs that were written.

    A short run is drawn with the last of its launch. Nothing is drawn outside a lab, or of a
    roadmap that is gone.
    """
    job = look(JobPaths(folder))
    if job is None:
        return []
    lab = open_lab(find_lab(folder).root)
    roadmap = lab.paths.inside(job.spec.roadmap)
    everything = [_ended(one) for one in all_jobs(lab.paths)]
    mine = _launch(everything, job.spec)
    result = read_result(job.paths.result)
    more = any(isinstance(one.state, Queued | Running) for one in mine)
    if result is None or not roadmap.is_file() or (more and result.seconds < LONG):
        return []
    drawn = []
    for name, picture in _pictures(lab, job.spec, everything):
        target = stem(roadmap, job.spec.mvp, job.spec.profile, name)
        drawn.append(write(picture, target)[1])
    return drawn


def pictures(lab: Lab, spec: Spec) -> Iterator[tuple[str, Picture]]:
    """The figures, by name, that have something to say of the launch `spec` is of."""
    yield from _pictures(lab, spec, [_ended(one) for one in all_jobs(lab.paths)])


def _pictures(lab: Lab, spec: Spec, everything: Sequence[Job]) -> Iterator[tuple[str, Picture]]:
    mine = _launch(everything, spec)
    found = tuple(finished(mine))
    if not found:
        return
    others = _models(everything, spec) if spec.recipe == "ceiling" else []
    made = Material(lab, found, tuple(everything))
    yield from _suited(made, others, few=len(mine) <= MOST)


def _launch(jobs: Sequence[Job], spec: Spec) -> list[Job]:
    """The newest job of each run."""
    mine = [job for job in jobs if _together(job.spec, spec)]
    return last_launch(mine) if mine else []


def _suited(made: Material, others: Sequence[Finished], few: bool) -> Iterator[tuple[str, Picture]]:
    """The figures that have something to say of these results.

    `others`: models to show under a ceiling; `few`: each run of the launch may have its own panel.
    """
    runs = len(grouped(made.found))
    sizes = {(one.result.model_name, one.result.n.get("train")) for one in made.found}
    models = {model for model, _ in sizes}
    alone = ["training", "parity", "residuals"] if few else []
    if all(one.job.spec.recipe == "ceiling" for one in made.found):
        wanted = ["snr"]
        made = replace(made, found=(*others, *made.found))
    elif len(sizes) > len(models):
        wanted = ["scaling", *alone]
    else:
        wanted = ["ablation", *alone] if runs > 1 else alone
    for name in wanted:
        try:
            yield name, MAKERS[name](made)
        except UsageError:
            continue  # its material is not there: no curve, or no star by star


def _models(everything: Sequence[Job], ceiling: Spec) -> list[Finished]:
    """The best run of each model at the ceiling's profile, by its validation."""
    best: dict[str, Finished] = {}
    for one in latest(finished(everything)):
        alike = (one.result.profile, one.job.spec.roadmap) == (ceiling.profile, ceiling.roadmap)
        if alike and one.job.spec.recipe != "ceiling":
            name, headline = one.result.model_name, one.result.headline
            before = best.get(name)
            far = far_from_best(one.result, headline)
            if before is None or far < far_from_best(before.result, headline):
                best[name] = one
    return list(best.values())


def _together(one: Spec, other: Spec) -> bool:
    keys = ("mvp", "profile", "roadmap")
    return all(getattr(one, key) == getattr(other, key) for key in keys)


def _ended(job: Job) -> Job:
    """The job as it will be in a moment, where it has its result and is about to end."""
    if isinstance(job.state, Done) or not job.paths.result.is_file():
        return job
    return replace(job, state=Done(time.time(), time.time(), "ok", 0))


PATIENCE = 300.0
"""Seconds a job waits for its figures."""


def main(arguments: Sequence[str]) -> int:
    """Draw what the launch of the job in the folder named has given; print what was written."""

    (folder,) = arguments
    try:
        for picture in draw_figures(Path(folder)):
            print(picture)
    except (UsageError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def draw_in_subprocess(job: JobPaths, spec: Spec) -> str:
    """Have the figures drawn; a note on what came of it, empty where there was nothing to draw."""
    try:
        lab = find_lab(job.folder)
        if not lab.inside(spec.roadmap).is_file():
            return ""
        command = [sys.executable, "-P", "-m", "vitlab.lab.figures.auto_figures", str(job.folder)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except UsageError:
        return ""  # a job outside a lab
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"no figures: {error}"
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        return f"no figures: {last}"
    drawn = [lab.relative(Path(line)) for line in done.stdout.splitlines()]
    return f"drew {', '.join(drawn)}" if drawn else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
