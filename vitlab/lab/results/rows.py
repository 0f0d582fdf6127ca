"""One row of results, behind `vitlab compare`, its SQL table and the results screen."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vitlab.contract.contradictions import contradictions
from vitlab.contract.paths import UsageError, write_atomic
from vitlab.contract.terminal import harmless, spreadsheet_text
from vitlab.contract.validation import unknown
from vitlab.contract.value import Value
from vitlab.docs.judge.ceiling import Ceiling, Share
from vitlab.jobs.experiment.script import CHECKPOINT_OPTIONS, OUTPUT_OPTIONS
from vitlab.lab.lab import Lab
from vitlab.lab.results.ceilings import Bounds, ceiling_of, ceilings
from vitlab.lab.results.job_results import Finished, all_results, latest
from vitlab.lab.results.ranking import Pairs, group_gap, pairs_of
from vitlab.lab.results.repeats import Group, grouped
from vitlab.lab.results.run_settings import SEEDS, seed_of, seedless_hash, settings_of
from vitlab.lab.results.sound import faults_of

if TYPE_CHECKING:
    import polars as pl

SHOWN = 40
"""Characters of a setting that are shown in a table."""
_READS = re.compile(r"(?<![\w.])(?:read|scan)_\w+", re.IGNORECASE)
"""The beginning of every function by which polars' SQL reads a file, also within quotes."""
_ASKS = re.compile(
    r"(?:\s|\(|--[^\n]*\n|/\*(?:(?!\*/).)*+\*/)*+(?:select|with|from|show)\b", re.I | re.S
)
Columns = dict[str, object]
"""A row as the commands print it."""
_SPECTRA = ("data", "noise", "labels")
"""Parts of a configuration that mean the same in every recipe."""
_NO_CHOICE = (
    *SEEDS, "train.threads", "data.memory", "data.device_memory", "cwd", "resume_argv", "outputs",
    *(f"args.{name}" for name in (*OUTPUT_OPTIONS, *CHECKPOINT_OPTIONS)),
)  # fmt: skip
"""Keys that are no choice between models."""


@dataclass(frozen=True)
class ResultRow:
    """The result of one job, or of its repeats over seeds."""

    job: str
    """Of repeats the first."""
    mvp: str
    run: str
    profile: str
    model: str
    headline: str
    score: float | None
    """The headline; of repeats the mean, as every value."""
    error: float | None
    """Its standard error, of the kind `error_of` says."""
    share: Share | None
    """Part of the Bayes ceiling reached; None where no ceiling of its world is known."""
    n_train: int | None
    seconds: float
    ended: float
    """Unix seconds."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """The configuration by dotted key, defaults included."""
    values: Mapping[str, float | None] = field(default_factory=dict)
    errors: Mapping[str, float | None] = field(default_factory=dict)
    recipe: str = ""
    seeds: int = 1
    """How many jobs it is the mean of."""
    error_of: str = "stars"
    """As `Group.error_of` says."""
    n_test: int | None = None
    params: int | None = None
    ceiling: Ceiling | None = None
    """The Bayes ceiling of the same world; None where the lab has none."""
    overlap: int | None = None
    """Test stars that the training set holds too; None where nobody counted."""
    leak: bool = False
    """A check of the result fails, or it lies above its ceiling by more than 3 errors."""
    data: str | None = None
    """Hash of the test set."""
    group: str = ""
    """Equal for jobs that differ in their seed alone."""


def result_row(group: Group, known: Bounds) -> ResultRow:
    """The row of a job or its repeats; `known`: the lab's ceilings."""
    one = group.members[0]
    result = group.as_one()
    ceiling = ceiling_of(result, known, result.headline)
    data_hash = result.data.get("hash")
    return ResultRow(
        job=one.job.paths.name,
        mvp=result.mvp,
        run=group.name,
        profile=result.profile,
        model=result.model_name,
        headline=result.headline,
        score=result.values.get(result.headline),
        error=result.errors.get(result.headline),
        share=ceiling.share(result, result.headline) if ceiling else None,
        n_train=result.n.get("train"),
        seconds=result.seconds,
        ended=one.ended,
        settings=settings_of(one.job.spec),
        values=result.values,
        errors=result.errors,
        recipe=one.job.spec.recipe,
        seeds=len(group.members),
        error_of=group.error_of(result.headline),
        n_test=result.n.get("test"),
        params=_count(result.model.get("params")),
        ceiling=ceiling,
        overlap=_count(result.data.get("overlap")),
        leak=any(faults_of(member.result, known) for member in group.members),
        data=data_hash if isinstance(data_hash, str) else None,
        group=seedless_hash(one.job.spec),
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None


def result_rows(lab: Lab) -> tuple[ResultRow, ...]:
    """Every finished job, the newest first; blocking."""
    results = all_results(lab)
    known = ceilings(one.job for one in results)
    return tuple(result_row(_alone(one), known) for one in reversed(results))


def _alone(one: Finished) -> Group:
    return Group(one.result.run, (one,))


def differing(rows: Sequence[ResultRow]) -> list[str]:
    """The settings in which the rows differ, repeats over seeds and unlike recipes apart."""
    names = dict.fromkeys(name for row in rows for name in row.settings)
    return [name for name in names if name not in _NO_CHOICE and _differs(rows, name)]


def changed_settings(rows: Sequence[ResultRow], reference: str) -> dict[str, list[str]]:
    """Job -> its settings that are not those of the job `reference`, or else of most rows.

    Only rows of one recipe are compared, but for the spectra; where no value is of most rows, all
    count as changed.
    """
    keys = differing(rows)
    base = next((row for row in rows if row.job == reference), None)
    found: dict[tuple[str, str], Counter[str]] = {}
    for row in rows:
        for key in keys:
            if key in row.settings:
                values = found.setdefault(_group(row, key), Counter())
                values[str(row.settings[key])] += 1
    usual = {
        group: value
        for group, values in found.items()
        for value, count in values.items()
        if 2 * count > values.total()
    }
    if base is not None:
        usual |= {_group(base, k): str(base.settings[k]) for k in keys if k in base.settings}
    return {
        row.job: [
            key
            for key in keys
            if key in row.settings and usual.get(_group(row, key)) != str(row.settings[key])
        ]
        for row in rows
    }


def _group(row: ResultRow, name: str) -> tuple[str, str]:
    """What a setting is compared within: one recipe, or all for that of the spectra."""
    return ("" if name.partition(".")[0] in _SPECTRA else row.recipe, name)


def setting_name(name: str) -> str:
    """A setting's name for people: a command's own by theirs, `args.lr` as `lr`."""
    return name.removeprefix("args.")


def setting_text(value: object) -> str:
    """A setting in a cell: words side by side, at most `SHOWN` characters."""
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def _differs(rows: Sequence[ResultRow], name: str) -> bool:
    """Whether rows of one recipe, or for the spectra of any, have different values of it."""
    first: dict[tuple[str, str], object] = {}
    for row in rows:
        if name in row.settings:
            value = row.settings[name]
            if first.setdefault(_group(row, name), value) != value:
                return True
    return False


def columns(row: ResultRow) -> Columns:
    """The row by the names that commands and SQL know."""
    scores: Columns = {}
    for name, number in row.values.items():
        value = Value.parse(name)
        if value.split == "test" and value.label:
            scores[f"{value.metric} {value.label}"] = number
            if name in row.errors:
                scores[f"{value.metric} {value.label} error"] = row.errors[name]
    return {
        "mvp": row.mvp,
        "run": row.run,
        "profile": row.profile,
        "model": row.model,
        "params": row.params,
        "n_train": row.n_train,
        "n_test": row.n_test,
        "seed": seed_of(row.settings) if row.seeds == 1 else None,
        "headline": row.headline,
        "score": row.score,
        "error": row.error,
        "ceiling": row.ceiling.r2 if row.ceiling else None,
        "ceiling error": row.ceiling.error if row.ceiling else None,
        "share": row.share.value if row.share else None,
        "share error": row.share.error if row.share else None,
        "overlap": row.overlap,
        "leak": row.leak,
        "contradictions": "; ".join(contradictions(row.values)) or None,
        "seconds": round(row.seconds, 1),
        "data": row.data,
        "group": row.group,
        "job": harmless(row.job),  # a folder's name may be no UTF-8
        **scores,
    }


def results_table(lab: Lab) -> pl.DataFrame:
    """One row a finished job, as in `columns`, with every setting as `config.*`.

    Sorted by MVP, then profile, then headline, best first.
    """
    import polars as pl  # deferred: the screen starts without it

    rows = [{**columns(row), **_config_columns(row)} for row in reversed(result_rows(lab))]
    if not rows:
        return pl.DataFrame()
    return pl.DataFrame(sorted(rows, key=_order), infer_schema_length=None, strict=False)


def _config_columns(row: ResultRow) -> Columns:
    """The settings; what is no single value as text."""
    return {
        f"config.{name}": str(value) if isinstance(value, list) else value
        for name, value in row.settings.items()
    }


def query_results(lab: Lab, query: str) -> pl.DataFrame:
    """The answer to an SQL query of `results_table`, which it calls `results`; it sees no file."""
    import polars as pl

    if found := _READS.search(query):
        raise UsageError(f"--sql: {found[0]}: a query reads the table `results` and no file")
    if not _ASKS.match(query):
        raise UsageError("--sql: a query begins with SELECT, WITH, FROM or SHOW TABLES")
    frame = results_table(lab)
    try:
        return pl.SQLContext({"results": frame}).execute(query, eager=True)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        line = str(error).strip().splitlines()[0]
        names = ", ".join(name for name in frame.columns if "." not in name)
        raise UsageError(f"--sql: {line} (the table is `results`; columns: {names})") from None


def without_formulas(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame for a CSV file, which a spreadsheet may open."""
    import polars as pl

    texts = frame.select(pl.col(pl.String))
    return frame.with_columns(
        pl.Series(column.name, [spreadsheet_text(cell) for cell in column], pl.String)
        for column in texts
    )


def write_frame(frame: pl.DataFrame, path: Path) -> None:
    """Write a frame as Parquet or CSV, by the file's name, whole or not at all."""
    buffer = io.BytesIO()
    match path.suffix:
        case ".parquet":
            frame.write_parquet(buffer)
        case ".csv":
            without_formulas(frame).write_csv(buffer)
        case _:
            raise UsageError(f"{path}: must end in .parquet or .csv")
    write_atomic(path, buffer.getvalue())


def gaps(lab: Lab, reference: str) -> dict[str, tuple[float, float]]:
    """Job -> headline minus the reference's on the same test stars, and the error of that.

    Only jobs with the same stars that kept their prediction of each; blocking.
    """
    results = all_results(lab)
    pairs = pairs_of(lab, results)
    base = next((one for one in results if one.job.paths.name == reference), None)
    if base is None:
        return {}
    differences = {}
    for one in results:
        gap = None if one is base else pairs.between(one, base, base.result.headline)
        if gap is not None:
            differences[one.job.paths.name] = (gap.value, gap.error)
    return differences


def compare(
    lab: Lab,
    results: Sequence[Finished],
    *,
    to: Finished | None = None,
    sort: str | None = None,
    reverse: bool = False,
    each: bool = False,
) -> list[Columns]:
    """One row a configuration: the mean over its seeds; with `each`, one row a job.

    `delta` and `delta error` are the difference of the headline to the job `to`, `how` says
    whether on the same stars (`paired`) or not (`independent`), `noise` that it is within 2 errors,
    and `one seed` that the error lacks the scatter over seeds of a side. Sorted by MVP, profile and
    headline, best first, or by the column `sort`.
    """
    groups = [_alone(one) for one in results] if each else grouped(latest(results))
    everything = all_results(lab)
    known = ceilings(one.job for one in everything)
    rows = [result_row(group, known) for group in groups]
    settings = differing(rows)
    lines: list[Columns] = [
        {
            **columns(row),
            "seeds": row.seeds,
            "error of": row.error_of,
            **{_dotted(name): row.settings.get(name) for name in settings},
        }
        for row in rows
    ]
    if to is not None:
        pairs = pairs_of(lab, results, lambda: everything)
        for line, group in zip(lines, groups, strict=True):
            line |= _delta(group, to, pairs)
    return _sorted(lines, sort, reverse)


def config_columns(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """The columns that are keys of the configuration, in which the rows differ."""
    return [name for name in dict.fromkeys(k for row in rows for k in row) if "." in name]


def _delta(group: Group, to: Finished, pairs: Pairs) -> Columns:
    name = to.result.headline
    nothing: Columns = dict.fromkeys(("delta", "delta error", "how", "noise", "one seed"))
    if any(one.job.name == to.job.name for one in group.members):
        return {**nothing, "delta": 0.0, "delta error": 0.0, "how": "reference"}
    gap = group_gap(group, _alone(to), name, pairs)
    if gap is None:
        return nothing
    return {
        "delta": gap.value,
        "delta error": gap.error,
        "how": "paired" if gap.stars else "independent",
        "noise": gap.is_noise,
        "one seed": gap.is_one_seed,
    }


def _dotted(name: str) -> str:
    """`loss` -> `config.loss`, so that a key of the configuration is known by its dot."""
    return name if "." in name else f"config.{name}"


def _sorted(rows: list[Columns], column: str | None, reverse: bool) -> list[Columns]:
    if column is None:
        rows.sort(key=_order)
        return rows[::-1] if reverse else rows
    names = list(dict.fromkeys(name for row in rows for name in row))
    if column not in names and f"args.{column}" in names:
        column = f"args.{column}"
    if rows and column not in names:
        raise UsageError(f"--sort: {unknown(f'column {column!r}', column, names)}")
    known = [row for row in rows if row.get(column) is not None]
    if column == "score":  # numbers of different values are not ranked among each other
        known.sort(key=lambda row: Value.parse(str(row["headline"])).rank(_number(row[column])))
        return (known[::-1] if reverse else known) + [r for r in rows if r not in known]
    numbers = all(isinstance(row[column], int | float) for row in known)
    known.sort(key=lambda r: r[column] if numbers else str(r[column]), reverse=reverse)  # type: ignore[arg-type, return-value]
    return known + [row for row in rows if row.get(column) is None]


def _order(row: Columns) -> tuple[object, ...]:
    """By MVP, profile and headline, best first; those without a number last."""
    rank = Value.parse(str(row["headline"])).rank(_number(row["score"]))
    return str(row["mvp"]), str(row["profile"]), rank


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) else None
