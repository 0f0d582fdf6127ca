"""What an assistant may say of results: what vitlab tells, and what a draft's numbers may say."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from vitlab.contract.job import ASCII_FORMS, Result, ended_well
from vitlab.contract.paths import UsageError
from vitlab.contract.value import LABEL
from vitlab.docs.judge.verdict import Verdict
from vitlab.docs.lint.stated import profile_of
from vitlab.docs.lint.told import told_in
from vitlab.docs.lint.told_verdicts import verdicts_in
from vitlab.docs.lint.verdicts import in_words
from vitlab.docs.model.gates.gates import Gate
from vitlab.docs.text.inline import plain
from vitlab.docs.text.numbers import Digits
from vitlab.docs.text.source import Document
from vitlab.lab.lab import Lab
from vitlab.lab.paper.check import verdict_on
from vitlab.lab.paper.draft import draft_of
from vitlab.lab.paper.facts import Facts, facts_of, of_highest_profile
from vitlab.lab.paper.mention import Mention
from vitlab.lab.paper.names import models_in
from vitlab.lab.paper.verdicts import WRONG
from vitlab.lab.paper.words import METRIC
from vitlab.lab.results.ceilings import ceilings
from vitlab.lab.results.job_results import Finished, all_results, finished
from vitlab.lab.results.provenance import sources_of
from vitlab.lab.results.repeats import grouped
from vitlab.lab.writeback.writeback import MvpUpdate

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
_YEAR = re.compile(r"(?<=[(（ ])(?:19|20)\d\d(?=[)）])")
"""Of a paper that is named."""
_SCORES = 0.2, 1.0
_TELLING = 3
"""Digits of a number between these from which on it is a score, where no metric is named."""
_BY = r"(?:R\s?(?:²|\^?2)|(?:test )?score)"
_IN = r"的?\s?(?:R\s?(?:²|\^?2)|得分|表现|性能)?\s?"
_IS = r"(?:is|was|performs?|performed|does|did)"
_ORDER = re.compile(
    r"(?:also |clearly |still |slightly |明显|仍|略)?(?:(?P<better>beats?|outperform(?:s|ed)?"
    rf"|surpass(?:es|ed)?|exceed(?:s|ed)?|leads?|led|{_IS} (?:better|stronger) than"
    rf"|ha[sd] (?:a )?(?:higher|larger|better) {_BY} than|{_IN}(?:高于|好于|优于|强于)"
    rf"|超过|胜过|领先)|trail(?:s|ed)?|(?:loses|lost) to|{_IS} (?:worse|weaker) than"
    rf"|ha[sd] (?:a )?(?:lower|smaller|worse) {_BY} than|{_IN}(?:低于|差于|弱于)"
    r"|不如|落后于)(?: the)?",
    re.I,
)
"""Between two models."""
_IN_WHAT = re.compile(r"^\s*(?:in|by|on|的|在)?\s*", re.I)
"""Before the metric in which one is better."""
_THOUSANDS = re.compile(r",(?=\d{3}(?:,|\.|$))")


def check_conclusion(lab: Lab, update: MvpUpdate, text: str) -> None:
    """`UsageError` for a conclusion without a result, or with what no result bears out.

    And for numbers of trials alone that are not marked as such.
    """
    ran = [job.spec.profile for job in update.jobs if ended_well(job.state)]
    if not update.conclusion or not ran:
        raise UsageError(f"{update.summary}: {NOTHING}")
    _check_text(lab, text, update.conclusion, finished(update.jobs), f"MVP-{update.mvp}")
    if "full" not in ran and _numbers(text) and profile_of(text) == "full":
        raise UsageError(f"{_numbers(text)[0]}: is of a trial: write ({ran[-1]}) behind it")


def check_gates(text: str, gates: Sequence[Gate], verdicts: Sequence[Verdict]) -> None:
    """`UsageError` where it says of a gate what neither results nor the roadmap do."""
    stands = {gate.id.casefold(): (gate.status, _STATUSES.get(verdict.verdict), verdict.shown)
              for gate, verdict in zip(gates, verdicts, strict=True)}  # fmt: skip
    for named, says in verdicts_in(text):
        status, by_results, shown = stands.get(named.casefold(), (says, says, ""))
        if says not in (status, by_results):
            raise UsageError(f"Gate-{named} {in_words(says)}: by the results it is {shown}")


def check_because(
    lab: Lab, gate: Gate, verdict: Verdict, results: Iterable[Finished], text: str
) -> None:
    """`UsageError` for a reason of a gate that no result of its MVPs bears out."""
    mine = [one for one in results if not gate.mvps or one.result.mvp in gate.mvps]
    rules = " ".join(rule.if_ for rule in gate.rules)
    told = f"{verdict.because} {verdict.because_in_document} {rules}"
    _check_text(lab, text, told, mine, f"Gate-{gate.id}")


def _check_text(lab: Lab, text: str, told: str, mine: Sequence[Finished], what: str) -> None:
    """It is a sentence, and each of its numbers is one that vitlab tells, or of a result."""
    if (match := _MARKUP.search(text)) is not None:
        raise UsageError(
            f"{match[0].strip()}: write a sentence, without marks of sections and code"
        )
    # Also the means over seeds, which are what vitlab itself writes.
    means = (group.as_one() for group in grouped(mine) if len(group.members) > 1)
    known, results = set(_numbers(told)), [*(one.result for one in mine), *means]
    lab_wide = _facts(all_results(lab))
    wrong, backed = _claims(text, told, [_facts(mine), lab_wide])
    values = [*_values(results), *backed]
    for number in _numbers(_YEAR.sub("", text)):
        if number not in known and not any(_rounds_to(value, number) for value in values):
            raise UsageError(f"{number}: no result of {what} has this number")
    odd = _IN_WORDS.search(text)
    if said := odd[0] if odd else next((one for one in text if _is_odd(one)), ""):
        raise UsageError(f"{said}: write numbers in digits, as 0.75")
    _check_metrics(text, told, results, backed, what)
    if wrong:
        raise UsageError(wrong[0])
    _check_order(text, lab_wide)


def _facts(results: Sequence[Finished]) -> Facts:
    return facts_of(results, ceilings(one.job for one in results))


def _claims(text: str, told: str, facts: Sequence[Facts]) -> tuple[list[str], list[float]]:
    """What results say is wrong in it: another model's number, or one of other seeds or stars.

    And the numbers that they say though none has them: differences, counts, other models'. Those of
    a model that is named may be the lab's, the last of `facts`; all others are of the first.
    """
    wrong, backed, own_words = [], [], " ".join(plain(told).split())
    has_metric = METRIC.search(text) is not None
    for one in draft_of(Document(text)).mentions:
        if one.kind == "score" and one.is_guess and not has_metric and _is_score(one):
            one = replace(one, metric="r2", is_guess=False, is_bare=False, is_loose=False)
            one = replace(one, others=(), metrics=(), labels=())
        ways = facts if one.models and not one.inherited else facts[:1]
        found = [verdict_on(one, each) for each in ways]
        if any(way.verdict == "right" for way in found):
            if one.kind != "score" or found[0].verdict != "right":
                backed.append(one.value)
        elif found[-1].verdict in WRONG and one.text not in own_words:
            value, why = found[-1].value, found[-1].why or "by the results"
            right = "" if value is None else f", {value:.4g} is right"
            wrong.append(f"{one.text}: {found[-1].verdict}{right} ({why})")
    return wrong, backed


def _is_score(one: Mention) -> bool:
    low, high = _SCORES
    return low <= one.value <= high and one.digits >= _TELLING


def _check_metrics(
    text: str, told: str, results: Sequence[Result], backed: Sequence[float], what: str
) -> None:
    """Each number beside the name of a metric is one of that metric."""
    known = [one for result in results for one in sources_of(result, ())]
    stated = list(told_in(told))
    for one in told_in(text):
        digits = Digits(one.text, one.value, max(1, one.decimals))
        same = any(
            (one.metric, one.split or x.split) == (x.metric, x.split) and one.same_as(x)
            for x in stated
        )
        same = same or any(map(digits.is_rounded, backed))
        mine = (source for source in known if source.is_stated(one))
        if one.metric in SCORED and not same and not any(digits.is_rounded(x.number) for x in mine):
            name = " ".join(filter(None, (one.split, one.metric.upper())))
            raise UsageError(f"{one.text}: no result of {what} has this as its {name}")


def _check_order(text: str, facts: Facts) -> None:
    """No model is said to be better than one that results say is better."""
    best: dict[str, float] = {}
    scores = [x for x in facts.of("r2", LABEL, "test") if x.newest and not x.member]
    for score in of_highest_profile(scores):
        best[score.model] = max(score.number, best.get(score.model, -1.0))
    for one, other in pairwise(models_in(text)):
        between = _ORDER.fullmatch(text[one.end : other.start].strip())
        if between is None or not {one.name, other.name} <= set(best) or one.name == other.name:
            continue
        behind = METRIC.match(_IN_WHAT.sub("", text[other.end :], count=1))
        if behind is not None and behind.lastgroup != "r2":
            continue  # the scores say nothing of another metric
        lead = best[one.name] - best[other.name]
        if lead < 0 if between["better"] else lead > 0:
            numbers = f"R2 {best[one.name]:.3f} and {best[other.name]:.3f}"
            raise UsageError(f"{text[one.start : other.end]}: results say otherwise: {numbers}")


_STATUSES = {"pass": "done", "fail": "failed"}
SCORED = ("r2", "mae", "rmse", "bias")
_DIGIT = r"zero|oh|one|two|three|four|five|six|seven|eight|nine"
_TENS = r"(?:twen|thir|for|fif|six|seven|eigh|nine)t(?:y|een)"
_IN_WORDS = re.compile(
    rf"\bpoint (?:{_DIGIT})\b|\b{_TENS}\b|\b(?:{_DIGIT}|ten|eleven|twelve|hundred)[- ]"
    r"(?:per ?cent|hundredths?|tenths?|thirds?|quarters?)\b"
    r"|\b(?:two|three|four|five|six|seven|eight|nine|ten) (?:\w+ )?seeds\b"
    r"|[二两三四五六七八九十]\s?个?(?:随机)?种子"
    r"|[零〇一二三四五六七八九十]点[零〇一二三四五六七八九]+|百分之[零〇一二三四五六七八九十百]+"
    r"|[一二三四五六七八九]成",
    re.I,
)
"""Numbers of scores and seeds that are spelled out."""
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
