"""What an assistant is refused: a sweep run again until it passes, a number that no result has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from vitlab.contract.job import Done, Failed, Result, Spec, ended_well
from vitlab.contract.paths import UsageError
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.lab import Lab
from vitlab.lab.results.job_results import finished
from vitlab.lab.writeback.writeback import MvpUpdate

TRIES = 2
"""Jobs of one specification that may fail by themselves before a person has to look."""
_NUMBER = re.compile(r"(?<![\w.])[-−+]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?")


def check_repeat(lab: Lab, specs: Sequence[Spec]) -> None:
    """`UsageError` for a run that was launched before with the same seed, unless it failed."""
    known: dict[tuple[str, ...], list[Job]] = {}
    for job in all_jobs(lab.paths):
        known.setdefault(_identity(job.spec), []).append(job)
    for spec in specs:
        same = known.get(_identity(spec), [])
        failed = [job for job in same if _failed(job)]
        if left := [job for job in same if job not in failed]:
            how = _how(left[-1])
            raise UsageError(f"{spec.run}: was launched before ({left[-1].name}, {how}): {_MORE}")
        if len(failed) >= TRIES:
            raise UsageError(f"{spec.run}: failed {len(failed)} times: a person has to look at it")


_MORE = "the same seed is not run again; further seeds can be proposed"


def _identity(spec: Spec) -> tuple[str, ...]:
    return spec.roadmap, spec.mvp, spec.profile, spec.hash


def _failed(job: Job) -> bool:
    return isinstance(job.state, Done) and isinstance(job.state.end, Failed)


def _how(job: Job) -> str:
    if isinstance(job.state, Done):
        return job.state.word
    return type(job.state).__name__.lower()


def check_conclusion(update: MvpUpdate, text: str) -> None:
    """`UsageError` for a conclusion without a result, or with a number that none of it has."""
    if not update.conclusion or not any(ended_well(job.state) for job in update.jobs):
        raise UsageError(f"{update.summary}: no result, so nothing to conclude")
    results = [one.result for one in finished(update.jobs)]
    written = {_bare(one) for one in _NUMBER.findall(update.conclusion)}
    values = list(_values(results))
    for number in _NUMBER.findall(text):
        bare = _bare(number)
        if bare not in written and not any(_rounds_to(value, bare) for value in values):
            raise UsageError(f"{number}: no result of MVP-{update.mvp} has this number")


def _bare(number: str) -> str:
    return number.replace(",", "").replace("−", "-").removeprefix("+")


def _values(results: Iterable[Result]) -> Iterable[float]:
    for one in results:
        numbers = (*one.values.values(), *one.errors.values(), *one.n.values())
        yield from (float(number) for number in numbers if number is not None)


def _rounds_to(value: float, text: str) -> bool:
    """Whether a number as written is a value, or 100 times it, rounded to as many digits."""
    mantissa, _, exponent = text.lower().partition("e")
    decimals = len(mantissa.partition(".")[2])
    half = 0.5 * 10.0 ** (int(exponent or 0) - decimals)
    stated = float(text)
    return any(abs(each - stated) <= half * (1 + 1e-9) for each in (value, -value, 100 * value))
