"""What a result's checks found, as lines of a report and of a conclusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vitlab.contract.checks import CEILING, CHECKS, CONTENT, INPUT, Check, judged, read_check
from vitlab.contract.checks import unknown as no_outcome
from vitlab.contract.job import Result
from vitlab.contract.world import read_world
from vitlab.docs.judge.phrases import Phrase, phrase


def failed_checks(result: Result, language: str = "en") -> list[str]:
    """One line for each check of a result that fails: with any, its numbers decide nothing."""
    return [one.text(language) for one in failed_phrases(checks_of(result))]


def failed_phrases(checks: Mapping[str, Check]) -> list[Phrase]:
    """The same of checks by name."""
    return [_line(name, check) for name, check in checks.items() if check.outcome == "fail"]


def checks_of(result: Result) -> dict[str, Check]:
    """All checks of a result by name; of older results the overlap alone is known."""
    checks = {name: read_check(result.checks, name) for name in CHECKS}
    if read_world(result.world) is None:  # whose ceiling it was held against is not known
        checks[CEILING] = no_outcome("no_world")
    overlap = result.data.get("overlap")
    if CONTENT not in result.checks and isinstance(overlap, int):
        checks[CONTENT] = judged(overlap, 0, result.n.get("test"))
    return checks


CONTROL = 3.0
"""A control that is better than none by more errors than this has failed."""


def control_fails(result: Result) -> bool:
    """Whether a model trained on the labels of other stars knows something of the test set."""
    value, error = result.values.get(result.headline), result.errors.get(result.headline, 0.0)
    limit = CONTROL * max(error, 1 / max(result.n.get("test", 1), 1))
    return bool(result.data.get("permuted")) and value is not None and value > limit


def check_lines(results: Sequence[Result]) -> list[Phrase]:
    """The lines of a report: each check that fails with its run, else what it found in all runs.

    Without the ceiling, which a report holds all runs against together.
    """
    lines = []
    known = [(result.run, checks_of(result)) for result in results]
    for name in (one for one in CHECKS if one != CEILING):
        found = [(run, checks[name]) for run, checks in known]
        failed = [(run, check) for run, check in found if check.outcome == "fail"]
        unknown = [check for _, check in found if check.outcome == "unknown"]
        if failed:
            lines += [phrase("check_failed", run, _line(name, check)) for run, check in failed]
        elif unknown:
            lines.append(_line(name, unknown[0]))
        elif found:
            lines.append(_line(name, max((check for _, check in found), key=_size)))
    return lines


def _size(check: Check) -> float:
    return check.number or 0.0


def _line(name: str, check: Check) -> Phrase:
    return phrase("check", phrase(f"check_{name}"), _found(name, check))


def _found(name: str, check: Check) -> Phrase:
    if check.outcome == "unknown" or check.number is None:
        return phrase("check_unknown", phrase(f"why_{check.reason or 'old'}"))
    if check.of is not None:
        return phrase("check_count", int(check.number), check.of)
    if name == INPUT and not check.limit:
        return phrase("check_no_errors")
    return phrase("check_number", f"{check.number:.3g}", f"{check.limit or 0:.2g}")
