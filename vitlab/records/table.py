"""All results of all jobs as one polars frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vitlab.jobs.store import all_jobs
from vitlab.records.ceilings import Ceiling, World, ceiling_of, ceilings
from vitlab.records.lab import Lab
from vitlab.records.results import Finished, finished

if TYPE_CHECKING:
    import polars as pl


def results_table(lab: Lab) -> pl.DataFrame:
    """One row a finished job: MVP, run, profile, model, sizes, headline and test scores.

    `ceiling` is the Bayes ceiling under the same simulator where the lab has computed it, `share`
    the part of it reached, and `leak` says that a result lies above it by more than 3 errors.
    Sorted by MVP, then profile, then headline, best first.
    """
    import polars as pl  # deferred: the screen starts without it

    jobs = all_jobs(lab.paths)
    known = ceilings(jobs)
    rows = [_row(one, known) for one in finished(jobs)]
    if not rows:
        return pl.DataFrame()
    frame = pl.DataFrame(rows, infer_schema_length=None)
    return frame.sort(["mvp", "profile", "score"], descending=[False, False, True], nulls_last=True)


def _row(one: Finished, known: Mapping[World, Ceiling]) -> dict[str, object]:
    result = one.result
    ceiling = ceiling_of(one.job.spec, known, result.headline)
    scores = {
        f"{parts[1]} {parts[2]}": value
        for name, value in result.values.items()
        if (parts := name.split("/"))[0] == "test" and len(parts) == 3
    }
    return {
        "mvp": result.mvp,
        "run": result.run,
        "profile": result.profile,
        "model": result.model_name,
        "params": result.model.get("params"),
        "n_train": result.n.get("train"),
        "n_test": result.n.get("test"),
        "score": result.values.get(result.headline),
        "error": result.errors.get(result.headline),
        "ceiling": ceiling.r2 if ceiling else None,
        "share": ceiling.share(result, result.headline) if ceiling else None,
        "leak": ceiling is not None and ceiling.leaks(result, result.headline),
        "seconds": round(result.seconds, 1),
        "job": one.job.paths.name,
        **scores,
    }
