"""All results side by side: scores, what reached the ceiling, and where configurations differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vitlab.records.ceilings import ceiling_of, ceilings
from vitlab.records.lab import Lab
from vitlab.records.pairs import pairs_of
from vitlab.records.results import Finished
from vitlab.records.scan import scan


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
    return tuple(_row(one, known) for one in reversed(found))


def _row(one: Finished, known: Any) -> Compared:
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
