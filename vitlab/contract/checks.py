"""Checks of a result that can fail: their names, outcomes and numbers in `result.json`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, get_args

Outcome = Literal["pass", "fail", "unknown"]

CONTENT = "overlap_content"
"""Test spectra that are also in the training set, by their content. The number is a count."""
LABELS = "overlap_labels"
"""Test stars that are also in the training set, by all their labels or by an id. A count."""
ALIGNMENT = "alignment"
"""Squared correlation of the predictions with the labels of neighbouring rows."""
INPUT = "input_leak"
"""R2 of a quadratic fit of the labels to the errors shown to the model, without the flux."""
CEILING = "ceiling"
"""By how much the headline lies above the Bayes ceiling of its stars."""
CHECKS = (CONTENT, LABELS, ALIGNMENT, INPUT, CEILING)

Reason = Literal[
    "", "old", "no_columns", "coarse", "few", "weak", "sorted", "constant",
    "no_ceiling", "trial_ceiling", "no_world", "changed",
]  # fmt: skip
"""Why an outcome is unknown; empty for one that is known.

`old`: the result is older than the check, or not made by vitlab; `no_columns`: nothing in the file
identifies a star; `coarse`: the labels are too coarse to; `few`: too few stars; `weak`:
the predictions tell too little; `sorted`: neighbouring rows have similar labels; `constant`:
predictions or labels are; `no_ceiling`: none is known for these stars; `trial_ceiling`: for a
full result there is only a trial's; `no_world`: it is not known
what the spectra were drawn from; `changed`: the file of the training set is another one now.
"""


@dataclass(frozen=True)
class Check:
    """The outcome of one check of a result."""

    outcome: Outcome
    number: float | None = None
    """Described at the check's name; None where it could not be computed."""
    limit: float | None = None
    """The largest number that passes."""
    of: int | None = None
    """What a count is of: the test stars."""
    reason: Reason = ""

    def record(self) -> dict[str, object]:
        """As a value of JSON."""
        return asdict(self)


def judged(number: float, limit: float, of: int | None = None) -> Check:
    """A check that passes up to `limit`; unknown when `number` is not finite."""
    if not math.isfinite(number):
        return Check("unknown", reason="constant")
    return Check("pass" if number <= limit else "fail", number, limit, of)


def unknown(reason: Reason) -> Check:
    """A check without an outcome."""
    return Check("unknown", reason=reason)


def read_check(checks: Mapping[str, object], name: str) -> Check:
    """A check of a result; unknown where the result does not have it, or it is malformed."""
    record = checks.get(name)
    if not isinstance(record, Mapping) or record.get("outcome") not in get_args(Outcome):
        return unknown("old")
    reason = record.get("reason", "")
    return Check(
        record["outcome"],
        _number(record.get("number")),
        _number(record.get("limit")),
        int(of) if (of := _number(record.get("of"))) is not None else None,
        reason if reason in get_args(Reason) else "old",
    )


def _number(value: object) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known else None  # type: ignore[arg-type]
