"""The figures of a launch, drawn by a separate process as soon as it ends.

So a figure that cannot be drawn costs no result.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from vitlab.contract.job import Done, Queued, Running, Spec, read_result
from vitlab.contract.paths import JobPaths, UsageError, find_lab
from vitlab.contract.world import read_world
from vitlab.docs.judge.seeds import choose
from vitlab.jobs.store import Job, all_jobs, read_job
from vitlab.lab.figures.figure_specs import (
    MOST,
    FigureData,
    Maker,
    ablation,
    scaling,
    seeds_in_order,
)
from vitlab.lab.figures.training_figures import learning, training
from vitlab.lab.lab import Lab, open_lab
from vitlab.lab.results.ceilings import ceilings
from vitlab.lab.results.job_results import Finished, finished, latest
from vitlab.lab.results.launches import last_launch
from vitlab.lab.results.repeats import grouped
from vitlab.lab.results.sound import faults
from vitlab.lab.writeback.figure_files import figure_target
from vitlab.plot.figures.paper import write
from vitlab.plot.figures.picture import Picture


def _of_stars(name: str) -> Maker:
    """A figure of test stars; what makes them loads numpy."""

    def make(data: FigureData) -> Picture:
        from vitlab.lab.figures.star_figures import MAKERS

        return MAKERS[name](data)

    return make


MAKERS: dict[str, Maker] = {
    "scaling": scaling,
    "ablation": ablation,
    "training": training,
    "learning": learning,
    **{name: _of_stars(name) for name in ("snr", "parity", "residuals", "calibration")},
}
LONG = 60.0
"""A run of more seconds is drawn at its end, a shorter one with the last of its launch."""


def draw_figures(folder: Path) -> list[Path]:
    """Draw the results so far of the launch of the job in `folder`; the PNGs that were written.

    With the last of a launch its models are drawn under the ceilings that ended before it too.
    Nothing is drawn outside a lab, or where the roadmap is gone.
    """
    job = read_job(JobPaths(folder))
    if job is None:
        return []
    lab = open_lab(find_lab(JobPaths(folder).root).root)
    roadmap = lab.paths.inside(job.spec.roadmap)
    everything = [_ended(one) for one in all_jobs(lab.paths)]
    launched = _launch(everything, job.spec)
    result = read_result(job.paths.result)
    more = any(isinstance(one.state, Queued | Running) for one in launched)
    if result is None or not roadmap.is_file() or (more and result.seconds < LONG):
        return []
    specs = [job.spec] if more else [job.spec, *_ceilings(finished(everything), job.spec)]
    return [path for spec in specs for path in _write(lab, roadmap, spec, everything)]


def _ceilings(results: Sequence[Finished], spec: Spec) -> Iterable[Spec]:
    """Of the other MVPs of its roadmap and profile, one of each."""
    specs = [one.job.spec for one in results if one.job.spec.recipe == "ceiling"]
    beside = (spec.roadmap, spec.profile)
    found = {one.mvp: one for one in specs if (one.roadmap, one.profile) == beside}
    return [one for mvp, one in found.items() if mvp != spec.mvp]


def _write(lab: Lab, roadmap: Path, spec: Spec, everything: Sequence[Job]) -> Iterator[Path]:
    shown = [one.job.name for one in finished(_launch(everything, spec))]
    for name, picture in _figures(lab, spec, everything):
        target = figure_target(lab, roadmap, spec.mvp, spec.profile, name, everything)
        yield write(picture, target, shown)[1]


def launch_figures(lab: Lab, spec: Spec) -> Iterator[tuple[str, Picture]]:
    """The figures, by name, worth drawing of the launch `spec` is of."""
    yield from _figures(lab, spec, [_ended(one) for one in all_jobs(lab.paths)])


def _figures(lab: Lab, spec: Spec, everything: Sequence[Job]) -> Iterator[tuple[str, Picture]]:
    launched = _launch(everything, spec)
    results = tuple(finished(launched))
    if not results:
        return
    others: list[Finished] = []
    chosen: tuple[str, ...] = ()
    if spec.recipe == "ceiling":
        newest = latest(finished(everything))
        why = faults(newest, ceilings(everything))
        others, chosen = models_of([one for one in newest if one.job.name not in why], spec)
    data = FigureData(lab, seeds_in_order(results), tuple(everything), chosen)
    yield from _worth_drawing(data, others, few=len(launched) <= MOST)


def _launch(jobs: Sequence[Job], spec: Spec) -> list[Job]:
    """The newest job of each run."""
    same = [job for job in jobs if _together(job.spec, spec)]
    return last_launch(same) if same else []


def _worth_drawing(
    data: FigureData, others: Sequence[Finished], few: bool
) -> Iterator[tuple[str, Picture]]:
    """The figures worth drawing of these results.

    `others`: models to show under a ceiling; `few`: each run of the launch may have its own panel.
    """
    runs = len(grouped(data.results))
    sizes = {(one.result.model_name, one.result.n.get("train")) for one in data.results}
    models = {model for model, _ in sizes}
    alone = ["training", "parity", "residuals", "calibration"] if few else []
    if all(one.job.spec.recipe == "ceiling" for one in data.results):
        wanted = ["snr"]
        worlds = {read_world(one.result.world) for one in data.results} - {None}
        others = [one for one in others if read_world(one.result.world) in worlds]
        data = replace(data, results=(*seeds_in_order(others), *data.results))
    elif len(sizes) > len(models):
        wanted = ["scaling", *alone]
    else:
        wanted = ["ablation", *alone] if runs > 1 else alone
    for name in wanted:
        try:
            yield name, MAKERS[name](data)
        except UsageError:
            continue  # what it needs is missing: a curve, residuals, or densities


def models_of(newest: Iterable[Finished], ceiling: Spec) -> tuple[list[Finished], tuple[str, ...]]:
    """Of each model at the ceiling's profile all seeds of the best run on validation.

    All its runs where that is not known; and a note on either.
    """
    models: dict[str, list[Finished]] = {}
    for one in newest:
        alike = (one.result.profile, one.job.spec.roadmap) == (ceiling.profile, ceiling.roadmap)
        if alike and one.job.spec.recipe != "ceiling" and not one.result.data.get("permuted"):
            models.setdefault(one.result.model_name, []).append(one)
    shown, notes = [], []
    for name, results in models.items():
        groups = grouped(results)
        repeats = [group.repeats for group in groups]
        best = choose(repeats, results[0].result.headline).group
        jobs = f" ({len(results)} jobs)" if len(results) > len(groups) else ""
        of = f"of {len(groups)} configurations{jobs}" if len(groups) > 1 else ""
        if best is None:
            shown += [one for group in groups for one in group.members]
            notes.append(f"{name}: all {of[3:]} shown, no validation scores")
            continue
        shown += groups[repeats.index(best)].members
        if of:
            notes.append(f"{name}: the best {of} on validation")
    return shown, tuple(notes)


def _together(one: Spec, other: Spec) -> bool:
    keys = ("mvp", "profile", "roadmap")
    return all(getattr(one, key) == getattr(other, key) for key in keys)


def _ended(job: Job) -> Job:
    """The job as if it had ended, where it has its result and is about to end."""
    if isinstance(job.state, Done) or not job.paths.result.is_file():
        return job
    return replace(job, state=Done(time.time(), time.time(), "ok", 0))


def main(arguments: Sequence[str]) -> int:
    """Draw the launch of the job in the folder given; print the files written."""
    (folder,) = arguments
    try:
        for path in draw_figures(Path(folder)):
            print(path)
    except (UsageError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
