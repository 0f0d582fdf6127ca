"""Jobs as people name them: by folder, or by what they are of."""

from __future__ import annotations

from vitlab.contract.paths import JobPaths, LabPaths, UsageError
from vitlab.jobs.experiment_file import bare_id
from vitlab.jobs.store import all_jobs, find_job
from vitlab.records.results import finished


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
