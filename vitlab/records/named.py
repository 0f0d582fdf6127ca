"""Jobs as people name them: by folder, or by what they are of."""

from __future__ import annotations

from collections.abc import Sequence

from vitlab.contract.paths import JobPaths, LabPaths, UsageError
from vitlab.contract.spec import PROFILES
from vitlab.jobs.experiment_file import bare_id
from vitlab.jobs.store import all_jobs, find_job
from vitlab.records.results import Finished, finished, latest


def found_named(lab: LabPaths, names: Sequence[str]) -> list[Finished]:
    """What `names` call: of an MVP the newest of each run at its highest profile; or single jobs.

    `UsageError` for a job without a result.
    """
    every = finished(all_jobs(lab))
    chosen: dict[str, Finished] = {}
    for name in names:
        of_mvp = [one for one in latest(every) if one.result.mvp == bare_id(name)]
        if of_mvp:
            ranks = [PROFILES.index(one.result.profile) for one in of_mvp]
            mine = [one for one, rank in zip(of_mvp, ranks, strict=True) if rank == max(ranks)]
        else:
            paths = job_named(lab, name)
            mine = [one for one in every if one.job.paths == paths]
            if not mine:
                raise UsageError(f"{paths.name}: has no result")
        chosen |= {one.job.name: one for one in mine}
    return list(chosen.values())


def job_named(lab: LabPaths, text: str) -> JobPaths:
    """A job by its name (a unique beginning will do), or an MVP's newest good one.

    `1.0` or `MVP-1.0`: the newest of the MVP; `1.0/Run 1`: of one of its runs.
    """
    mvp, _, run = bare_id(text).partition("/")
    of_mvp = [one for one in finished(all_jobs(lab)) if one.result.mvp == mvp]
    mine = [one for one in of_mvp if not run or one.result.run == run]
    if mine:
        return mine[-1].job.paths
    if of_mvp:
        runs = ", ".join(dict.fromkeys(one.result.run for one in of_mvp))
        raise UsageError(f"{text}: MVP {mvp} has no result of a run {run!r} (there are: {runs})")
    return find_job(lab, text)
