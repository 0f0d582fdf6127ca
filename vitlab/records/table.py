"""All results of all jobs as one polars frame."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vitlab.contract.paths import UsageError, write_atomic
from vitlab.records.ceilings import Ceiling, World, ceiling_of, ceilings
from vitlab.records.groups import flat, seedless
from vitlab.records.lab import Lab
from vitlab.records.results import Finished
from vitlab.records.scan import scan

if TYPE_CHECKING:
    import polars as pl


def results_table(lab: Lab) -> pl.DataFrame:
    """One row a finished job: MVP, run, profile, model, sizes, headline, test scores, settings.

    `ceiling` is the Bayes ceiling under the same simulator where the lab has computed it, `share`
    the part of it reached. `overlap` is the number of test stars the training set holds too, and
    `leak` says that there are some, or that the result lies above its ceiling by more than 3
    errors. Jobs with one `group` differ in their seed alone. `config.*` are the keys their specs
    name. Sorted by MVP, then profile, then headline, best first.
    """
    import polars as pl  # deferred: the screen starts without it

    found = scan(lab)
    known = ceilings(one.job for one in found)
    rows = [{**row_of(one, known), **_settings(one)} for one in found]
    if not rows:
        return pl.DataFrame()
    frame = pl.DataFrame(rows, infer_schema_length=None, strict=False)
    return frame.sort(["mvp", "profile", "score"], descending=[False, False, True], nulls_last=True)


def asked(lab: Lab, query: str) -> pl.DataFrame:
    """What an SQL query says of `results_table`, which it calls `results`."""
    import polars as pl

    frame = results_table(lab)
    try:
        return pl.SQLContext({"results": frame}).execute(query, eager=True)
    except (pl.exceptions.PolarsError, pl.exceptions.SQLInterfaceError) as error:
        line = str(error).strip().splitlines()[0]
        columns = ", ".join(name for name in frame.columns if "." not in name)
        raise UsageError(f"--sql: {line} (the table is `results`; columns: {columns})") from None


def keep(frame: pl.DataFrame, path: Path) -> None:
    """Write a frame as Parquet or CSV, by the file's name, whole or not at all."""
    buffer = io.BytesIO()
    match path.suffix:
        case ".parquet":
            frame.write_parquet(buffer)
        case ".csv":
            frame.write_csv(buffer)
        case _:
            raise UsageError(f"{path}: must end in .parquet or .csv")
    write_atomic(path, buffer.getvalue())


def _settings(one: Finished) -> dict[str, object]:
    """The keys of a spec's configuration; what is no single value as text."""
    named = flat(one.job.spec.config, "config.")
    return {key: str(value) if isinstance(value, list) else value for key, value in named}


def row_of(one: Finished, known: Mapping[World, Ceiling]) -> dict[str, object]:
    """The table's row of a job as plain values; `known`: the lab's ceilings."""
    result = one.result
    ceiling = ceiling_of(one.job.spec, known, result.headline)
    over = ceiling is not None and ceiling.leaks(result, result.headline)
    shared = result.data.get("overlap")
    scores: dict[str, object] = {}
    for name, value in result.values.items():
        parts = name.split("/")
        if parts[0] == "test" and len(parts) == 3:
            scores[f"{parts[1]} {parts[2]}"] = value
            if name in result.errors:
                scores[f"{parts[1]} {parts[2]} error"] = result.errors[name]
    return {
        "mvp": result.mvp,
        "run": result.run,
        "profile": result.profile,
        "model": result.model_name,
        "params": result.model.get("params"),
        "n_train": result.n.get("train"),
        "n_test": result.n.get("test"),
        "seed": one.job.spec.config.get("train", {}).get("seed"),
        "headline": result.headline,
        "score": result.values.get(result.headline),
        "error": result.errors.get(result.headline),
        "ceiling": ceiling.r2 if ceiling else None,
        "share": ceiling.share(result, result.headline) if ceiling else None,
        "overlap": shared if isinstance(shared, int) else None,
        "leak": over or bool(shared),
        "seconds": round(result.seconds, 1),
        "data": result.data.get("hash"),
        "group": seedless(one.job.spec),
        "job": one.job.paths.name,
        **scores,
    }
