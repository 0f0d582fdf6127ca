"""The conclusion of an experiment in one sentence, from its results, in the document's language."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from vitlab.contract.job import Result
from vitlab.contract.value import Value, ceiling_split, for_choosing, judged_by
from vitlab.docs.judge.budget import count
from vitlab.docs.judge.comparison import Ranking
from vitlab.docs.judge.gates import Verdict
from vitlab.docs.judge.phrases import Phrase, phrase

_JUDGED = {
    "zh": {"pass": "通过", "fail": "未通过", "open": "待定", "manual": "需人工判断"},
    "en": {"pass": "passes", "fail": "fails", "open": "stays open", "manual": "needs a judgement"},
}
_BY_HAND = {"zh": "（人工判定）", "en": " (by hand)"}


TRIAL_MARK = re.compile(r"\b(?:smoke|demo)\b|[(（]hour[)）]")
"""The mark of a number that is not from a full run."""


NO_NUMBER = "-"
"""The key metric of results of which none can be quoted."""


def profile_mark(profile: str) -> str:
    """The mark of a profile's numbers: ` (demo)`; empty for a full run."""
    return "" if profile == "full" else f" ({profile})"


def count_text(number: int) -> str:
    """A number of spectra as the documents write it: `1M`, `200k`, `500`."""
    return count(number)


def value_text(result: Result, name: str, digits: int = 3) -> str:
    """A value with its error: `0.614 ± 0.004`, `0.37 σ`; `-` where there is none.

    With more digits where the error would be rounded to 0.
    """
    value = result.values.get(name)
    if value is None:
        return "-"
    error = result.errors.get(name)
    if error and math.isfinite(error) and round(error, digits) == 0:
        digits = math.ceil(-math.log10(abs(error)))
    known = f"{value:.{digits}f}" + (f" ± {error:.{digits}f}" if error else "")
    return known + Value.parse(name).mark


def best_result(results: Sequence[Result]) -> Result | None:
    """The result whose headline is best on validation, so that the test set chooses nothing.

    None where none has it, and of several where it is not known which way is better, or where one
    has no validation score. A control on permuted labels is none of them.
    """
    name = _headline(results)
    usable = [r for r in _models(results) if r.values.get(name) is not None]
    if len(usable) < 2:
        return next(iter(usable), None)
    if any(for_choosing(name, r.values) is None for r in usable):
        return None
    return Value.parse(name).best(usable, lambda r: for_choosing(name, r.values))


def _models(results: Sequence[Result]) -> list[Result]:
    return [one for one in results if not one.data.get("permuted")]


def key_metric(results: Sequence[Result]) -> str:
    """The number that sums up an experiment: `R²_test=0.614 ± 0.004`, marked when not full.

    Of several models with the one it is of: `MLP R²_test=0.728 ± 0.006`.
    """
    best = best_result(results)
    if best is None:
        return _range(results) or NO_NUMBER
    name = _headline(results)
    models = {one.model_name for one in results if one.values.get(name) is not None}
    of = f"{best.model_name} " if len(models) > 1 else ""
    return f"{of}{Value.parse(name).printed}={value_text(best, name)}{profile_mark(best.profile)}"


def _range(results: Sequence[Result]) -> str:
    """Least and greatest where none can be called best: `dice_test=0.300..0.500`."""
    name = _headline(results)
    known = [(x, r.profile) for r in _models(results) if (x := r.values.get(name)) is not None]
    if not known:
        return ""
    (low, profile), (high, _) = min(known), max(known)
    value = Value.parse(name)
    return f"{value.printed}={low:.3f}..{high:.3f}{value.mark}{profile_mark(profile)}"


def _headline(results: Sequence[Result]) -> str:
    """What the results that have a number are judged by; empty for none."""
    usable = [r.headline for r in results if r.values.get(r.headline) is not None]
    return judged_by(usable) if usable else ""


def ceiling_mags(result: Result) -> list[float]:
    """The magnitudes a ceiling was computed at, brightest first; none for other results."""
    values = map(Value.parse, result.values)
    return sorted({v.mag for v in values if v.metric == "r2_bayes" and v.mag is not None})


def conclusion(
    results: Sequence[Result],
    language: str,
    verdicts: Sequence[Verdict] = (),
    ranking: Ranking = Ranking(),  # noqa: B008 - frozen
    findings: Sequence[Phrase] = (),
) -> str:
    """One sentence: which model, on how much data, reached what, ahead of whom, and what now.

    `ranking` says by how much the best leads, and whether that is within 2 errors; `findings` of
    several runs together follow, and the gates come last.
    """
    best = ranking.best or best_result(results)
    if best is None and (numbers := _range(results)):
        known = Value.parse(_headline(results)).better
        return phrase("no_choice" if known else "no_best", len(results), numbers).text(language)
    if best is None:
        return "没有可用的数值" if language == "zh" else "no usable number"
    train = best.n.get("train")
    key_text = key_metric([best])  # the sentence names its model
    runs = ranking.runs if ranking.best else len(results)
    has_run_name = runs > 1 and best.run != best.model_name
    name = best.model_name + (f" [{best.run}]" if has_run_name else "")
    if language == "zh":
        data = f" 用 {count_text(train)} 颗恒星训练，" if train else " "
        sentence = f"{name}{data}{key_text}"
        stop = "；"
    else:
        data = f" on {count_text(train)} stars" if train else ""
        sentence = f"{name}{data}: {key_text}"
        stop = "; "
    if mags := ceiling_mags(best):
        bayes = Value("", "r2_bayes", Value.parse(best.headline).label)
        names = [(mag, str(bayes.on(ceiling_split(mag)))) for mag in mags]
        ceilings = [f"{mag:g}: {value_text(best, name, 2)}" for mag, name in names]
        sentence += f"{stop}{phrase('at_mags', ', '.join(ceilings)).text(language)}"
    sentence += "".join(f"{stop}{one.text(language)}" for one in (*ranking.phrases(), *findings))
    if verdicts and (ranking.leak or ranking.failed):
        return f"{sentence}{stop}{phrase('no_gate_decided').text(language)}"
    for verdict in verdicts:
        sentence += stop + gate_sentence(verdict, language)
    return sentence


def gate_sentence(verdict: Verdict, language: str) -> str:
    """`Gate-2 passes: R²_test: ViT 0.711, LightGBM 0.614, Δ = ...`; of an open one its needs."""
    judged = f"Gate-{verdict.id} {_JUDGED[language][verdict.holds]}"
    judged += _BY_HAND[language] if verdict.by_hand else ""
    why = [verdict.finding] if verdict.values and verdict.finding else []
    if verdict.needs and not verdict.by_hand:
        why.append(verdict.needs.phrase().text(language))
    return phrase("reason", judged, phrase("comma", *why)).text(language) if why else judged
