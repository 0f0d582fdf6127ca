"""What an assistant is refused: a sweep run again until it passes, a number that no result has."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from vitlab.contract.job import ASCII_FORMS, Done, Failed, Result, Spec, ended_well
from vitlab.contract.paths import UsageError
from vitlab.docs.judge.verdict import Verdict
from vitlab.docs.lint.stated import profile_of
from vitlab.docs.lint.told import told_in
from vitlab.docs.model.gates.gates import Gate
from vitlab.docs.text.numbers import Digits
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.lab import Lab
from vitlab.lab.results.job_results import Finished, finished
from vitlab.lab.results.provenance import sources_of
from vitlab.lab.writeback.writeback import MvpUpdate

TRIES = 2
"""Jobs of one specification that may fail by themselves before a person has to look."""
_LONGEST_NAME = 60
_WORD = r"\b(?:MVP|Gate)[- ]?\d+(?:[.-]?\w+)*|[A-Za-z]\w*+(?!\.\d|\s?%)"
"""What holds digits and is no number, as `MVP-1.0`, `R2` and `H100`."""
_DIGITS = r"[1-9]\d{0,2}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:[.,]\d+)?|\.\d+"
_NUMBER = re.compile(
    rf"{_WORD}|(?P<number>[-+]?(?:{_DIGITS})(?:[eE][-+]?\d{{1,3}}(?!\d)|[kM](?![A-Za-z]))?)",
    re.ASCII,
)
_SIZES = {"k": 1e3, "M": 1e6}
_MARKUP = re.compile(r"<!--|-->|^(?:#|```|~~~|<|\||>|---|===|[-*+] |\d+[.)] )")
"""What would hide or change the rest of a document."""
_THOUSANDS = re.compile(r",(?=\d{3}(?:,|\.|$))")


def check_repeat(lab: Lab, specs: Sequence[Spec]) -> None:
    """`UsageError` for a run that was launched before with the same seed, unless it failed."""
    known: dict[tuple[str, ...], list[Job]] = {}
    for job in all_jobs(lab.paths):
        known.setdefault(_identity(job.spec), []).append(job)
    for spec in specs:
        same = known.get(_identity(spec), [])
        failed = [job for job in same if _failed(job)]
        run = repr(spec.run[:_LONGEST_NAME])  # a file's words, which are none of vitlab's
        if left := [job for job in same if job not in failed]:
            how = _how(left[-1])
            raise UsageError(f"{run}: was launched before ({left[-1].name}, {how}): {_MORE}")
        if len(failed) >= TRIES:
            raise UsageError(f"{run}: failed {len(failed)} times: a person has to look at it")


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
    """`UsageError` for a conclusion without a result, or with a number that none of it has.

    And for numbers of trials alone that are not marked as such.
    """
    ran = [job.spec.profile for job in update.jobs if ended_well(job.state)]
    if not update.conclusion or not ran:
        raise UsageError(f"{update.summary}: {NOTHING}")
    results = (one.result for one in finished(update.jobs))
    _check_text(text, update.conclusion, results, f"MVP-{update.mvp}")
    if "full" not in ran and _numbers(text) and profile_of(text) == "full":
        raise UsageError(f"{_numbers(text)[0]}: is of a trial: write ({ran[-1]}) behind it")


def check_because(gate: Gate, verdict: Verdict, results: Iterable[Finished], text: str) -> None:
    """`UsageError` for a reason of a gate with a number that no result of its MVPs has."""
    mine = (one.result for one in results if not gate.mvps or one.result.mvp in gate.mvps)
    rules = " ".join(rule.if_ for rule in gate.rules)
    told = f"{verdict.because} {verdict.because_in_document} {rules}"
    _check_text(text, told, mine, f"Gate-{gate.id}")


def _check_text(text: str, told: str, results: Iterable[Result], what: str) -> None:
    """It is a sentence, and each of its numbers is one that vitlab tells, or of a result."""
    if (match := _MARKUP.search(text)) is not None:
        raise UsageError(
            f"{match[0].strip()}: write a sentence, without marks of sections and code"
        )
    known, every = set(_numbers(told)), list(results)
    values = list(_values(every))
    for number in _numbers(text):
        if number not in known and not any(_rounds_to(value, number) for value in values):
            raise UsageError(f"{number}: no result of {what} has this number")
    odd = _IN_WORDS.search(text)
    if said := odd[0] if odd else next((one for one in text if _is_odd(one)), ""):
        raise UsageError(f"{said}: write numbers in digits, as 0.75")
    _check_metrics(text, told, every, what)


def _check_metrics(text: str, told: str, results: Sequence[Result], what: str) -> None:
    """Each number beside the name of a metric is one of that metric."""
    known = [one for result in results for one in sources_of(result, ())]
    stated = list(told_in(told))
    for one in told_in(text):
        digits = Digits(one.text, one.value, max(1, one.decimals))
        same = any(
            (one.metric, one.split or x.split) == (x.metric, x.split) and one.same_as(x)
            for x in stated
        )
        mine = (source for source in known if source.is_stated(one))
        if one.metric in SCORED and not same and not any(digits.is_rounded(x.number) for x in mine):
            name = " ".join(filter(None, (one.split, one.metric.upper())))
            raise UsageError(f"{one.text}: no result of {what} has this as its {name}")


SCORED = ("r2", "mae", "rmse", "bias")
_DIGIT = r"zero|oh|one|two|three|four|five|six|seven|eight|nine"
_TENS = r"(?:twen|thir|for|fif|six|seven|eigh|nine)t(?:y|een)"
_IN_WORDS = re.compile(
    rf"\bpoint (?:{_DIGIT})\b|\b{_TENS}\b|\b(?:{_DIGIT}|ten|eleven|twelve|hundred)[- ]"
    r"(?:per ?cent|hundredths?|tenths?|thirds?|quarters?)\b"
    r"|[零〇一二三四五六七八九十]点[零〇一二三四五六七八九]+|百分之[零〇一二三四五六七八九十百]+"
    r"|[一二三四五六七八九]成",
    re.I,
)
"""Numbers of scores that are spelled out."""
NOTHING = "no result, so nothing to conclude"


def _numbers(text: str) -> list[str]:
    """The numbers of a text as `-0.711`, also those in emphasis, `.711` and `0,711`."""
    plain = "".join(str(unicodedata.decimal(one, one)) for one in text.translate(ASCII_FORMS))
    return [_bare(match["number"]) for match in _NUMBER.finditer(plain) if match["number"]]


def _is_odd(letter: str) -> bool:
    """Whether it is a number that is not written in digits, as `½` and `⁹`; `R²` is none."""
    return unicodedata.category(letter) in ("No", "Nl") and letter not in "²³"


def _bare(number: str) -> str:
    """Without a plus sign and the commas between thousands; any other comma is a decimal point."""
    number = number.removeprefix("+")
    if number.lstrip("-")[0] not in "0.":
        number = _THOUSANDS.sub("", number)
    return number.replace(",", ".")


def _values(results: Iterable[Result]) -> Iterable[float]:
    for one in results:
        numbers = (*one.values.values(), *one.errors.values(), *one.n.values())
        yield from (float(number) for number in numbers if number is not None)


def _rounds_to(value: float, text: str) -> bool:
    """Whether a number as written is a value, or 100 times it, rounded to as many digits.

    A single digit without a point is the value itself: any R2 above 0.5 would round to 1.
    """
    size = _SIZES.get(text[-1], 1.0)
    mantissa, _, exponent = text.rstrip("kM").lower().partition("e")
    digits, _, decimals = mantissa.removeprefix("-").partition(".")
    scale = size * 10.0 ** max(-300, min(300, int(exponent or 0)))
    stated = float(mantissa) * scale
    half = 0.0 if len(digits) < 2 and not decimals else 0.5 * scale * 10.0 ** -len(decimals)
    return any(abs(each - stated) <= half * (1 + 1e-9) for each in (value, -value, 100 * value))
