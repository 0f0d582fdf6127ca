"""Results side by side: repeats as one row, the keys they differ in, and differences to one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from vitlab.contract.paths import UsageError
from vitlab.contract.strict import unknown
from vitlab.docs.comparison import smaller_is_better
from vitlab.records.ceilings import Ceiling, World, ceilings
from vitlab.records.groups import Group, flattened, grouped
from vitlab.records.lab import Lab
from vitlab.records.pairs import Pairs, pairs_of
from vitlab.records.results import Finished, latest
from vitlab.records.scan import scan
from vitlab.records.standing import group_gap
from vitlab.records.table import row_of

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
        rows.sort(key=lambda r: (str(r["mvp"]), str(r["profile"]), _better(r)))
        return rows[::-1] if reverse else rows
    names = list(dict.fromkeys(name for row in rows for name in row))
    if rows and column not in names:
        raise UsageError(f"--sort: {unknown(f'column {column!r}', column, names)}")
    known = [row for row in rows if row.get(column) is not None]
    numbers = all(isinstance(row[column], int | float) for row in known)
    known.sort(key=lambda r: r[column] if numbers else str(r[column]), reverse=reverse)  # type: ignore[arg-type, return-value]
    return known + [row for row in rows if row.get(column) is None]


def _better(row: Row) -> float:
    """Least for the best; those without a number last."""
    score = row["score"]
    if not isinstance(score, float):
        return math.inf
    return score if smaller_is_better(str(row["headline"])) else -score
