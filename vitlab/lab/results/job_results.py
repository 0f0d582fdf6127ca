"""The results of the lab's jobs, read once and cached, and looked up by name."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitlab.contract.job import (
    ELSEWHERE,
    PROFILES,
    RESULT_VERSION,
    SPEC_VERSION,
    Done,
    Result,
    Spec,
    bare_id,
    ended_well,
    load_result,
)
from vitlab.contract.networks import VitModel
from vitlab.contract.paths import JobPaths, LabPaths, UsageError, real, told_apart, write_atomic
from vitlab.contract.reading import Room, parse, read_regular
from vitlab.contract.user_key import is_sealed, seal
from vitlab.contract.validation import from_document, misfit
from vitlab.docs.judge.budget import PRINCIPAL
from vitlab.docs.judge.seeds import seed_name
from vitlab.jobs.copies import SUBMISSION, copies
from vitlab.jobs.experiment.placeholders import SEED
from vitlab.jobs.store import SETTLED, Job, all_jobs, find_job, job_folders, note_lost, read_job
from vitlab.lab.results.run_settings import seed_of, seedless_hash, settings_of

if TYPE_CHECKING:
    from vitlab.lab.lab import Lab  # reads documents, which a job's process does not

_ANY = JobPaths(Path())
RESULT, EXIT, SPEC = _ANY.result.name, _ANY.exit.name, _ANY.spec.name
_CACHED = (RESULT, SPEC, EXIT, _ANY.sealed.name)
"""What a cached entry is read from."""
DECIDING = (RESULT, SPEC, EXIT)
"""Where one of these cannot be read, it is not known what its job found."""
KEPT = 1 << 14
"""Results a process keeps; beyond, as many as are read in turn are all read anew."""


@dataclass(frozen=True)
class Finished:
    """One job that ended well, and its result."""

    job: Job
    result: Result
    before: str = ""
    """Why the result of a newer job of its run cannot be read; empty where none is so."""

    @property
    def ended(self) -> float:
        """Unix seconds."""
        return self.job.state.ended if isinstance(self.job.state, Done) else 0.0

    @property
    def configuration(self) -> str:
        """Equal for jobs that differ in their seed alone and saw the same data, as far as known.

        A file of spectra may have been made anew between two seeds.
        """
        hashes = (self.result.data.get(name, "") for name in ("hash", "train_hash"))
        return " ".join((seedless_hash(self.job.spec), *map(str, hashes))).strip()

    @property
    def order(self) -> float:
        """Larger for a later one, also where the clock was set back between them."""
        return _order(self.job)


def _order(job: Job) -> float:
    ended = job.state.ended if isinstance(job.state, Done) else 0.0
    return max(ended, job.spec.submitted)


def of_roadmap(lab: Lab, jobs: Sequence[Job], roadmap: Path) -> list[Job]:
    """The jobs launched from `roadmap`, as far as their experiments have not `moved`."""
    names = names_of_roadmap(lab, jobs, roadmap)
    mine = [job for job in jobs if job.spec.roadmap in names]
    gone = moved(lab, mine, roadmap)
    return [job for job in mine if job.spec.exp_id not in gone] if gone else mine


def moved(lab: Lab, jobs: Sequence[Job], roadmap: Path) -> frozenset[str]:
    """Of jobs launched from `roadmap`: the experiments that another has in the row of their MVP.

    Where its own row of that MVP could have one, and has not: it is a new plan under the path of
    one that was put away. The lab tells it.
    """
    found = set[str]()
    for other, theirs in _rows_elsewhere(lab, jobs, roadmap):
        found |= theirs
        here, there = lab.paths.relative(roadmap), lab.paths.relative(other)
        lab.tell(f"experiments in {there}, launched from {here}, are not of its plan now")
    return frozenset(found)


def put_away(lab: Lab, roadmap: Path) -> dict[str, Any]:
    """For `Spec.extra`: experiments `moved` from `roadmap`, or from a path gone, as if renamed."""
    jobs, own = all_jobs(lab.paths), lab.paths.relative(roadmap)
    pairs = {name: told_apart(lab.paths.root, (own, name)) for name in _names(jobs)}
    same = [job for job in jobs if len({*pairs[job.spec.roadmap].values()}) == 1]
    found = set[str]().union(*(some for _, some in _rows_elsewhere(lab, same, roadmap)))
    return {ELSEWHERE: sorted(found)} if found else {}


def all_moved(lab: Lab) -> frozenset[str]:
    """Those `moved` away from any roadmap of the lab."""
    jobs = all_jobs(lab.paths)
    found = set[str]()
    for path in lab.roadmaps(jobs=(job.paths for job in jobs)):
        names = names_of_roadmap(lab, jobs, path)
        found |= moved(lab, [job for job in jobs if job.spec.roadmap in names], path)
    return frozenset(found)


def _rows_elsewhere(
    lab: Lab, jobs: Sequence[Job], roadmap: Path
) -> Iterator[tuple[Path, set[str]]]:
    """Other roadmaps, and the experiments of these jobs that their rows have in its place."""
    try:
        rows = lab.cached_roadmap(roadmap).mvps
    except (UsageError, OSError):
        return  # what it has is not known
    own, mvps = {mvp.exp_id for mvp in rows}, {m.id for m in rows if "exp_id" in m.entry.cells}
    lost = {(job.spec.mvp, job.spec.exp_id) for job in jobs}
    lost = {(mvp, exp_id) for mvp, exp_id in lost if mvp in mvps and exp_id not in own}
    path = real(roadmap)
    for other in lab.roadmaps(jobs=(job.paths for job in jobs)) if lost else ():
        with contextlib.suppress(UsageError, OSError):
            theirs = {(mvp.id, mvp.exp_id or "") for mvp in lab.cached_roadmap(other).mvps} & lost
            if theirs and real(other) != path:
                yield other, {exp_id for _, exp_id in theirs}


def names_of_roadmap(lab: Lab, jobs: Iterable[Job], roadmap: Path) -> frozenset[str]:
    """The `spec.roadmap` of every job launched from `roadmap`, each resolved once."""
    path = real(roadmap)
    return frozenset(name for name in _names(jobs) if real(lab.paths.root / name) == path)


def _names(jobs: Iterable[Job]) -> set[str]:
    return {job.spec.roadmap for job in jobs}


def finished(jobs: Iterable[Job]) -> list[Finished]:
    """The jobs that ended well with a result, oldest first."""
    results, torn = [], []
    for job in jobs:
        if _is_torn(job):
            torn.append(job)
        elif ended_well(job.state):
            result = _result(job.paths, starts_principal(job.spec))
            if result is not None:
                results.append(Finished(job, result, job.before))
    return sorted(_noted_before(results, torn), key=lambda one: one.order)


def _is_torn(job: Job) -> bool:
    """Whether its end, or the result of one that ended well, cannot be read."""
    return EXIT in job.problem or (ended_well(job.state) and RESULT in job.problem)


def _noted_before(results: list[Finished], torn: Sequence[Job]) -> list[Finished]:
    """The results, each `before` a newer job of its run whose own is torn noted as such."""
    if not torn:
        return results
    specs = [*(job.spec for job in torn), *(one.job.spec for one in results)]
    plans = told_apart(torn[0].paths.root, {spec.roadmap for spec in specs})

    def run(spec: Spec) -> tuple[str, str, str, str, bool]:
        return plans[spec.roadmap], spec.mvp, spec.run, spec.profile, spec.recipe == "evaluate"

    last = {run(job.spec): job for job in sorted(torn, key=_order)}

    def noted(one: Finished) -> Finished:
        newer = last.get(run(one.job.spec))
        if newer is None or one.order >= _order(newer):
            return one
        return replace(one, before=f"{newer.name}: {newer.problem}")

    return [noted(one) for one in results]


def starts_principal(spec: Spec) -> bool:
    """Whether a network's first weights come from noise-free spectra (`VitModel.start`)."""
    given = spec.config.get("model")
    model = given if isinstance(given, Mapping) else {}
    wanted = ("start", PRINCIPAL), ("tokenizer", "LC"), ("chunk_norm", "none")
    return (
        spec.recipe == "vit"
        and not spec.config.get("init")
        and all(model.get(name, getattr(VitModel, name)) == value for name, value in wanted)
    )


def _result(job: JobPaths, principal: bool) -> Result | None:
    """As `read_result`, parsed again only when the file has changed.

    `principal`: its model is noted to start so.
    """
    path = f"{job.folder}/{RESULT}"
    try:
        found = os.lstat(path)
        if abs(time.time() - found.st_ctime) <= SETTLED:
            return _noted(load_result(job.result), principal)
        stamp = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        return _parsed(path, stamp, principal)
    except OSError:
        return None


@lru_cache(KEPT)
def _parsed(path: str, _stamp: tuple[int, ...], principal: bool) -> Result | None:
    """What cannot be read raises, and so is tried again."""
    return _noted(load_result(Path(path)), principal)


def _noted(result: Result | None, principal: bool) -> Result | None:
    if result is None or not principal:
        return result
    return replace(result, model={**result.model, "start": PRINCIPAL})


_Run = tuple[str, str, str, bool]


def run_of(result: Result) -> _Run:
    """MVP, run, profile, and whether another job's model was scored again."""
    return result.mvp, result.run, result.profile, result.recipe == "evaluate"


def latest(results: Iterable[Finished]) -> list[Finished]:
    """The newest of each run of each MVP at each profile; a model scored again is not its run.

    Of a run whose newest result cannot be read there is none: an older one is of another state.
    MVPs of two roadmaps are two. One that was launched again with another seed stays, named by its
    seed: else a gate would pass on the first seed that does.
    """
    every = [one for one in results if not one.before]
    plans = plans_of(every)
    last = {(plans[one.job.spec.roadmap], run_of(one.result)): one for one in every}
    newest = [*last.values(), *filter(None, (_other_seed(one, last, plans) for one in every))]
    keys = [(plans[one.job.spec.roadmap], _computed(one)) for one in newest]
    pairs = list(zip(keys, newest, strict=True))
    kept = dict(sorted(pairs, key=lambda pair: pair[1].order))
    return [one for key, one in pairs if kept[key] is one]


def plans_of(results: Sequence[Finished]) -> dict[str, str]:
    """`told_apart` of the roadmaps of results."""
    if not results:
        return {}
    names = {one.job.spec.roadmap for one in results}
    return told_apart(results[0].job.paths.root, names)


def _other_seed(
    one: Finished, last: Mapping[tuple[str, _Run], Finished], plans: Mapping[str, str]
) -> Finished | None:
    """An earlier job of a run that was launched again with another seed alone, named by its own.

    None for the last one, and for one that differs in more, or not at all.
    """
    plan = plans[one.job.spec.roadmap]
    newer = last[plan, run_of(one.result)]
    if newer is one or one.configuration != newer.configuration:
        return None
    seed = _seed(one.job.spec)
    if seed is None or seed == _seed(newer.job.spec):
        return None
    result = replace(one.result, run=seed_name(one.result.run, seed))
    return None if (plan, run_of(result)) in last else replace(one, result=result)


def _seed(spec: Spec) -> int | None:
    """A command without a seed of its own is given the usual one."""
    seed = seed_of(settings_of(spec))
    return SEED if seed is None and spec.recipe == "command" else seed


def other_seeds(launch: Sequence[Job], jobs: Iterable[Job]) -> list[Job]:
    """Earlier jobs of a launch's runs that differ in their seed alone: they are told with it."""
    names = {one.job.name for one in finished(launch)}
    runs = {(job.spec.mvp, job.spec.profile, job.spec.run) for job in launch if job.name in names}
    alike = [job for job in jobs if (job.spec.mvp, job.spec.profile, job.spec.run) in runs]
    return [one.job for one in latest(finished(alike)) if one.job.name not in names]


def _computed(one: Finished) -> object:
    """Equal for `main` and `seed=0` that compute the same: they are no two seeds."""
    run, seed = run_of(one.result), seed_of(settings_of(one.job.spec))
    return run if seed is None else (run[0], *run[2:], one.configuration, seed)


def newest_results(lab: Lab, roadmap: Path) -> list[Finished]:
    """The newest finished job of each run launched from `roadmap`."""
    return latest(finished(of_roadmap(lab, all_jobs(lab.paths), roadmap)))


VERSION = 3
_HEAD, _BEFORE_JOBS = f'{{"v": {VERSION}, "seal": "'.encode(), b'", "jobs": '
CACHE_BYTES = 1 << 16
"""Of the cache for each job, of which most take 3 kB."""
LARGEST_CACHE = 64 << 20
"""Of 20,000 such jobs; a larger one is not read."""

_Entry = dict[str, Any]
"""{stamp, state, spec, result} of a job that ended; `result` is null for one without.

An ended job is another when the times of its folder or of these files are: we rename files, and
others may write into them. What is kept counts with this user's seal alone.
"""


def all_results(lab: Lab) -> list[Finished]:
    """The jobs with a result, oldest first, as `finished(all_jobs(...))` gives them."""
    return sorted(_results_and_problems(lab)[0], key=lambda one: one.order)


def unreadable_jobs(lab: Lab) -> dict[str, str]:
    """Why results of jobs may be missing, by the job's name: files that cannot be read, a copy."""
    return _results_and_problems(lab)[1]


def _results_and_problems(lab: Lab) -> tuple[list[Finished], dict[str, str]]:
    """By the cache `.vitlab/results.json`, which can be deleted at any time."""
    path, folders = lab.paths.private.results, list(job_folders(lab.paths))
    cached = _read_cache(path, min(CACHE_BYTES * (len(folders) + 16), LARGEST_CACHE))
    room = Room()
    fresh: dict[str, _Entry] = {}
    results, torn, lost = list[Finished](), list[Job](), list[Job]()
    problems: dict[str, str] = {}
    submissions: dict[JobPaths, tuple[object, ...]] = {}
    for paths in folders:
        entry = cached.get(paths.name)
        stamp = _stamp(paths.folder)
        if entry is not None and entry["stamp"] == stamp:
            fresh[paths.name] = entry
            results += _from_entry(entry, paths)
            submissions[paths] = tuple(map(entry["spec"].get, SUBMISSION))
        elif (job := read_job(paths, room)) is not None:
            read = finished([job])
            results += read
            torn += [job] if _is_torn(job) else []
            lost += [job] if SPEC in job.problem else []
            submissions[paths] = tuple(getattr(job.spec, name) for name in SUBMISSION)
            if job.problem:
                problems[paths.name] = f"unreadable: {job.problem}"
            elif isinstance(job.state, Done) and time.time() - max(stamp[::3]) / 1e9 > SETTLED:
                fresh[paths.name] = _entry(job, read[0].result if read else None, stamp)
    if fresh != cached:
        with contextlib.suppress(OSError, UsageError):  # a read-only lab has no cache
            path.parent.mkdir(exist_ok=True)
            body = json.dumps(fresh).encode()
            head = _HEAD + seal(b"results", body).encode() + _BEFORE_JOBS
            write_atomic(path, head + body + b"}")
    twins = copies(submissions.items())
    problems |= {name: f"is a copy of {own.name}, which counts" for name, own in twins.items()}
    kept = [one for one in results if one.job.name not in twins]
    noted = note_lost([one.job for one in kept], lost)
    kept = [replace(one, job=job, before=job.before) for one, job in zip(kept, noted, strict=True)]
    return _noted_before(kept, torn), problems


def _stamp(folder: Path) -> list[int]:
    """Of the folder and its files: when each changed, by its own word and the disk's, its number.

    Times in ns; zeros for what is not there.
    """
    stamp = []
    for path in (str(folder), *(f"{folder}/{name}" for name in _CACHED)):
        try:
            found = os.lstat(path)
            stamp += [found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
        except OSError:
            stamp += [0, 0, 0]
    return stamp


def _entry(job: Job, result: Result | None, stamp: list[int]) -> _Entry:
    return {
        "stamp": stamp,
        "state": asdict(job.state),
        "spec": {"v": SPEC_VERSION, **asdict(job.spec)},
        "result": None if result is None else {"v": RESULT_VERSION, **asdict(result)},
    }


def _from_entry(entry: _Entry, paths: JobPaths) -> list[Finished]:
    if entry["result"] is None:
        return []
    spec = from_document(entry["spec"], Spec, SPEC_VERSION)
    result = from_document(entry["result"], Result, RESULT_VERSION)
    if spec is None or result is None:
        return []
    job = Job(paths, spec, Done(**entry["state"]), order=spec.submitted, priority=spec.priority)
    return [Finished(job, result)]


_STATE = {"started": "Time", "ended": "Time", "outcome": "str", "code": "int | None",
          "detail": "str"}  # fmt: skip


def _read_cache(path: Path, limit: int) -> dict[str, _Entry]:
    """The entries by job; none where the cache is not one, as it can be made again."""
    try:
        head, _, rest = read_regular(path, limit).partition(_BEFORE_JOBS)
        mark = head.removeprefix(_HEAD).decode("ascii", "replace")
        is_ours = is_sealed(mark, b"results", rest[:-1])
        jobs = parse(rest[:-1], limit) if is_ours else {}
        good = all(
            {"stamp", "state", "spec", "result"} <= set(entry)
            and entry["state"].keys() == _STATE.keys()
            and not any(misfit(entry["state"][name], kind) for name, kind in _STATE.items())
            for entry in jobs.values()
        )
    except (OSError, UsageError, ValueError, TypeError, KeyError, AttributeError):
        return {}
    return jobs if good else {}


def lookup_results(
    lab: LabPaths, names: Sequence[str], roadmap: str | None = None, elsewhere: Collection[str] = ()
) -> list[Finished]:
    """The results of MVPs (the newest of each run at its highest profile) and single jobs.

    `roadmap`: whose MVPs, by its path in the lab. `elsewhere`: experiments that no MVP means, as of
    a plan that was put away. `UsageError` for a job without a result, and an MVP of several
    roadmaps where none is given.
    """
    everything = finished(all_jobs(lab))
    counted = [one for one in everything if one.job.spec.exp_id not in elsewhere]
    chosen: dict[str, Finished] = {}
    for name in names:
        of_mvp = _of_mvp(lab, latest(counted), bare_id(name), roadmap)
        if of_mvp:
            ranks = [PROFILES.index(one.result.profile) for one in of_mvp]
            matches = [one for one, rank in zip(of_mvp, ranks, strict=True) if rank == max(ranks)]
        else:
            paths = lookup_job(lab, name, roadmap, elsewhere)
            matches = [one for one in everything if one.job.paths == paths]
            if not matches:
                raise UsageError(f"{paths.name}: has no result")
        chosen |= {one.job.name: one for one in matches}
    return list(chosen.values())


def lookup_job(
    lab: LabPaths, text: str, roadmap: str | None = None, elsewhere: Collection[str] = ()
) -> JobPaths:
    """A job by its name or a unique beginning of it, or an MVP's newest with a result.

    `1.0` or `MVP-1.0`: the newest of the MVP, which has a model; `1.0/Run 1`: of one of its runs.
    `roadmap`, `elsewhere`: as of `lookup_results`.
    """
    mvp, _, run = bare_id(text).partition("/")
    counted = (job for job in all_jobs(lab) if job.spec.exp_id not in elsewhere)
    of_mvp = _of_mvp(lab, finished(counted), mvp, roadmap)
    matches = [
        one
        for one in of_mvp
        if one.result.run == run or (not run and one.result.recipe != "ensemble")
    ]
    if matches and matches[-1].before:
        raise UsageError(f"{text}: its newest result cannot be read: {matches[-1].before}")
    if matches:
        return matches[-1].job.paths
    if of_mvp:
        runs = ", ".join(dict.fromkeys(one.result.run for one in of_mvp))
        raise UsageError(f"{text}: MVP {mvp} has no result of a run {run!r} (there are: {runs})")
    return find_job(lab, text)


def _of_mvp(
    lab: LabPaths, results: Iterable[Finished], mvp: str, roadmap: str | None
) -> list[Finished]:
    """The results of an MVP, of one roadmap where there are several."""
    found = [one for one in results if one.result.mvp == mvp]
    plans = plans_of(found)
    names = ", ".join(sorted(name for name in plans if os.path.isfile(lab.root / name)))  # noqa: PTH113
    if roadmap is None:
        if len({*plans.values()}) > 1:
            raise UsageError(f"MVP {mvp} is in several roadmaps ({names}): use --roadmap")
        return found
    plans = told_apart(lab.root, [roadmap, *plans])
    mine = [one for one in found if plans[one.job.spec.roadmap] == plans[roadmap]]
    if found and not mine:
        raise UsageError(f"{roadmap}: MVP {mvp} has no result (that of {names} has)")
    return mine
