"""What folders of jobs beside each other are to each other.

Copies, as `cp -r JOB JOB.bak` makes: of one job, one counts. Newer jobs whose spec is lost: what
came before them is of another state.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from vitlab.contract.job import Result, Spec, bare_id, ended_well, load_result
from vitlab.contract.paths import JobPaths
from vitlab.contract.reading import Unreadable
from vitlab.jobs.ends import load_exit
from vitlab.jobs.submissions import slug_of

SUBMISSION = ("exp_id", "mvp", "run", "profile", "submitted", "config")
"""What no two jobs have alike, of their specs."""
_MADE = re.compile(r"\d{8}-\d{6}-[\w.=-]+", re.ASCII)
_EXPERIMENT = re.compile(r"(.*?-?)\d{8}-(.+)-\d+", re.ASCII)
"""A name that a launch makes up where the plan names no experiment."""
_ANY = ""
"""Stands for each run of an experiment whose folder cannot be opened."""


def copies(jobs: Iterable[tuple[JobPaths, tuple[object, ...]]]) -> dict[str, JobPaths]:
    """The name of each copy -> its original: where and as a job is made, or of the shorter name.

    `jobs`: the folder of each, and the values of its `SUBMISSION`.
    """
    at_once = defaultdict[tuple[object, ...], list[tuple[JobPaths, object]]](list)
    for job, (*submission, submitted, config) in jobs:
        if submitted:
            at_once[*submission, submitted].append((job, config))
    found: dict[str, JobPaths] = {}
    for (exp_id, *_), same in at_once.items():
        if len(same) > 1:
            best = sorted(same, key=lambda one: _rank(one[0], exp_id))
            for at, (job, config) in enumerate(best):
                own = next((one for one, known in best[:at] if known == config), None)
                found |= {job.name: own} if own else {}
    return found


def _rank(job: JobPaths, exp_id: object) -> tuple[bool, bool, int, str]:
    elsewhere = job.folder.parent.name != exp_id
    return elsewhere, not _MADE.fullmatch(job.folder.name), len(job.name), job.name


def overtaken(
    jobs: Iterable[tuple[JobPaths, Spec]], lost: Sequence[JobPaths]
) -> dict[str, JobPaths]:
    """The name of each job -> a newer one of its run that may have a result and has no spec.

    `lost`: those whose spec cannot be read. Such a one is known by its folder, the jobs beside it,
    and its result. Where a plan names no experiment each launch has a folder of its own.
    """
    newer = defaultdict[tuple[str, str], list[JobPaths]](list)
    for one in lost:
        for key in _keys(one):
            newer[key].append(one)
    gone = {*lost}
    known = [pair for pair in jobs if pair[0] not in gone] if newer else []
    beside = defaultdict[str, set[str]](set)
    for job, spec in known:
        beside[job.folder.parent.name].add(spec.mvp)
    results: dict[JobPaths, list[Result | None]] = {}
    found: dict[str, JobPaths] = {}
    for job, spec in known:
        place, run = _key(job, spec)
        for one in (*newer.get((place, run), ()), *newer.get((place, _ANY), ())):
            folders = job.folder, one.folder
            if not _MADE.fullmatch(one.folder.name):  # of a whole experiment
                folders = job.folder.parent, one.folder
            if folders[0].name >= folders[1].name:
                continue
            if one not in results:
                results[one] = _results(one)
            for result in results[one]:
                mvps = {bare_id(result.mvp)} if result else beside[one.folder.parent.name]
                if _is_of(result, spec) and (not mvps or spec.mvp in mvps):
                    found[job.name] = one
    return found


def made_again(lost: Iterable[JobPaths], jobs: Iterable[tuple[JobPaths, Spec]]) -> set[JobPaths]:
    """Those without a spec whose run, as their folders name it, one of these jobs made later."""
    last = defaultdict[tuple[str, str], str](str)
    for job, spec in jobs:
        key = _key(job, spec)
        last[key] = max(last[key], job.folder.name)
    return {
        one
        for one in lost
        for place, run in _keys(one)
        if one.folder.name.endswith(f"-{run}") and last.get((place, run), "") > one.folder.name
    }


def _key(job: JobPaths, spec: Spec) -> tuple[str, str]:
    """Experiment and run of a job."""
    return experiment_of(job, spec), slug_of(spec.run)


def _keys(lost: JobPaths) -> set[tuple[str, str]]:
    """Which `_key` one without a spec may have."""
    if _EXPERIMENT.fullmatch(lost.folder.name) and not _MADE.fullmatch(lost.folder.name):
        return {(topic_of(lost.folder.name), _ANY)}
    if not _MADE.fullmatch(lost.folder.name):
        return set()
    run, place = lost.folder.name[len("YYYYMMDD-HHMMSS-") :], lost.folder.parent.name
    runs, alone = [run], re.sub(r"-\d+$", "", lost.folder.name)
    if alone != lost.folder.name and lost.folder.with_name(alone).exists():
        runs.append(re.sub(r"-\d+$", "", run))  # the second of one moment has a number behind it
    return {(at, of) for at in (place, topic_of(place)) for of in runs}


def experiment_of(job: JobPaths, spec: Spec) -> str:
    """What the experiments of a job's launches have alike, named by their file or by the plan."""
    place = job.folder.parent.name
    made = _EXPERIMENT.fullmatch(place)
    words = (re.sub(r"[\W_]", "", x) for x in (Path(spec.experiment).stem, made[2] if made else ""))
    file, topic = (x.lower() for x in words)
    return topic_of(place) if file == topic else place


def topic_of(place: str) -> str:
    """What `experiment_of` says of one in this folder whose file is named as its topic."""
    made = _EXPERIMENT.fullmatch(place)
    return f"{made[1]} {made[2]}" if made else place


def _results(job: JobPaths) -> list[Result | None]:
    """The result of a job without a spec: one, or none; None where that is not known."""
    if not job.folder.is_dir():
        return [None]  # a link to a disk that is not there
    try:
        end = load_exit(job.exit)
        result = load_result(job.result) if end and ended_well(end) else None
    except Unreadable:
        return [None]
    return [result] if result else []


def _is_of(result: Result | None, spec: Spec) -> bool:
    """Whether it may be of the run of that spec, which a model scored again is not."""
    if result is None:
        return True
    theirs, own = ((x.run, x.profile, x.recipe == "evaluate") for x in (result, spec))
    return theirs == own
