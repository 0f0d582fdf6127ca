"""All results side by side, one row a configuration: for table, screen, compare, SQL."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitlab.contract.paths import UsageError, write_atomic
from vitlab.contract.validation import unknown
from vitlab.contract.value import Value
from vitlab.lab.lab import Lab
from vitlab.lab.results.ceilings import Ceiling, World, ceiling_of, ceilings
from vitlab.lab.results.job_results import Finished, latest, scan
from vitlab.lab.results.pairs import Pairs, pairs_of
from vitlab.lab.results.ranking import group_gap
from vitlab.lab.results.repeats import Group, flat, flattened, grouped, seedless

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
    return pl.DataFrame(sorted(rows, key=_order), infer_schema_length=None, strict=False)


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
        score = Value.parse(name)
        if score.split == "test" and score.label:
            scores[f"{score.metric} {score.label}"] = value
            if name in result.errors:
                scores[f"{score.metric} {score.label} error"] = result.errors[name]
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


@dataclass(frozen=True)
class Compared:
    """One result as a row."""

    job: str
    mvp: str
    run: str
    profile: str
    model: str
    headline: str
    score: float | None
    """The headline on the test set."""
    error: float | None
    """Its bootstrap standard error."""
    share: float | None
    """Part of the Bayes ceiling reached; None where no ceiling is known."""
    n_train: int | None
    seconds: float
    ended: float
    """Unix seconds."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The configuration, by dotted key."""
    values: Mapping[str, float | None] = field(default_factory=dict)
    errors: Mapping[str, float | None] = field(default_factory=dict)


def compared(lab: Lab) -> tuple[Compared, ...]:
    """Every finished job, the newest first; blocking."""
    found = scan(lab)
    known = ceilings(one.job for one in found)
    return tuple(_compared_row(one, known) for one in reversed(found))


def _compared_row(one: Finished, known: Any) -> Compared:
    result = one.result
    ceiling = ceiling_of(one.job.spec, known, result.headline)
    return Compared(
        job=one.job.paths.name,
        mvp=result.mvp,
        run=result.run,
        profile=result.profile,
        model=result.model_name,
        headline=result.headline,
        score=result.values.get(result.headline),
        error=result.errors.get(result.headline),
        share=ceiling.share(result, result.headline) if ceiling else None,
        n_train=result.n.get("train"),
        seconds=result.seconds,
        ended=one.ended,
        settings=dict(_leaves(one.job.spec.config)),
        values=result.values,
        errors=result.errors,
    )


def _leaves(config: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{name}.")
        else:
            yield name, value


def differing(rows: Sequence[Compared]) -> list[str]:
    """The dotted keys whose values are not the same in all of `rows`; a missing key differs."""
    names = list(dict.fromkeys(name for row in rows for name in row.settings))
    absent = object()
    return [
        name
        for name in names
        if any(row.settings.get(name, absent) != rows[0].settings.get(name, absent) for row in rows)
    ]


def gaps(lab: Lab, reference: str) -> dict[str, tuple[float, float]]:
    """Job -> headline minus the reference's on the same test stars, and the error of that.

    Only jobs whose stars are the same and that kept what they said of each; blocking.
    """
    found = scan(lab)
    pairs = pairs_of(lab, found)
    base = next((one for one in found if one.job.paths.name == reference), None)
    if base is None:
        return {}
    made = {}
    for one in found:
        gap = None if one is base else pairs.between(one, base, base.result.headline)
        if gap is not None:
            made[one.job.paths.name] = (gap.value, gap.error)
    return made


Row = dict[str, object]
_NOT_MEANT = ("train.seed", "train.threads", "data.memory")
"""Keys that are no choice between models."""


def compare(
    lab: Lab,
    found: Sequence[Finished],
    *,
    to: Finished | None = None,
    sort: str | None = None,
    reverse: bool = False,
    each: bool = False,
) -> list[Row]:
    """One row a configuration: mean and scatter over its seeds; with `each`, one row a job.

    `delta` and `delta error` are the difference of the headline to the job `to`, `how` says
    whether on the same stars (`paired`) or not (`independent`), and `noise` that it is within 2
    errors. Sorted by MVP, profile and headline, best first, or by the column `sort`.
    """
    alone = [Group(one.result.run, (one,)) for one in found]
    groups = alone if each else grouped(latest(found))
    known = ceilings(one.job for one in scan(lab))
    rows = [_row(group, known) for group in groups]
    for row, differing in zip(rows, _differences(groups), strict=True):
        row |= differing
    if to is not None:
        pairs = pairs_of(lab, found)
        for row, group in zip(rows, groups, strict=True):
            row |= _delta(group, to, pairs)
    return _sorted(rows, sort, reverse)


def config_columns(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """The columns that are keys of the configuration, in which the rows differ."""
    return [name for name in dict.fromkeys(k for row in rows for k in row) if "." in name]


def _row(group: Group, known: Mapping[World, Ceiling]) -> Row:
    """The table's row of the first job, its numbers those of the group."""
    many = len(group.members) > 1
    row = row_of(replace(group.members[0], result=group.as_one()), known)
    row |= {
        "run": group.name,
        "seeds": len(group.members),
        "error of": "seeds" if many else "stars",
    }
    if many:
        row |= {"seed": None, "leak": any(row_of(one, known)["leak"] for one in group.members)}
    return row


def _delta(group: Group, to: Finished, pairs: Pairs) -> Row:
    name = to.result.headline
    if any(one.job.name == to.job.name for one in group.members):
        return {"delta": 0.0, "delta error": 0.0, "how": "reference", "noise": None}
    gap = group_gap(group, Group(to.result.run, (to,)), name, pairs)
    if gap is None:
        return {"delta": None, "delta error": None, "how": None, "noise": None}
    return {
        "delta": gap.value,
        "delta error": gap.error,
        "how": "paired" if gap.stars else "independent",
        "noise": gap.noise,
    }


def _differences(groups: Sequence[Group]) -> list[Row]:
    """Of each group the keys of its configuration in which groups of one recipe do not agree."""
    specs = [group.members[0].job.spec for group in groups]
    flat = [flattened(spec) for spec in specs]
    said: dict[tuple[str, str], set[str]] = {}
    for spec, one in zip(specs, flat, strict=True):
        for name, value in one.items():
            said.setdefault((name, spec.recipe), set()).add(str(value))
    differing = dict.fromkeys(
        name for (name, _), values in said.items() if len(values) > 1 and name not in _NOT_MEANT
    )
    return [{_dotted(name): one.get(name) for name in differing} for one in flat]


def _dotted(name: str) -> str:
    """`loss` -> `config.loss`, so that a key of the configuration is known by its dot."""
    return name if "." in name else f"config.{name}"


def _sorted(rows: list[Row], column: str | None, reverse: bool) -> list[Row]:
    if column is None:
        rows.sort(key=_order)
        return rows[::-1] if reverse else rows
    names = list(dict.fromkeys(name for row in rows for name in row))
    if rows and column not in names:
        raise UsageError(f"--sort: {unknown(f'column {column!r}', column, names)}")
    known = [row for row in rows if row.get(column) is not None]
    numbers = all(isinstance(row[column], int | float) for row in known)
    known.sort(key=lambda r: r[column] if numbers else str(r[column]), reverse=reverse)  # type: ignore[arg-type, return-value]
    return known + [row for row in rows if row.get(column) is None]


def _order(row: Row) -> tuple[object, ...]:
    """By MVP, profile and headline, best first; those without a number last."""
    score = row["score"] if isinstance(row["score"], int | float) else None
    return str(row["mvp"]), str(row["profile"]), Value.parse(str(row["headline"])).rank(score)
