"""The sentence that concludes an experiment, from its results, in the document's language."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vitlab.contract.job import Result
from vitlab.docs.judge.comparison import Standing
from vitlab.docs.judge.gates import Verdict
from vitlab.docs.judge.phrases import say

_SYMBOL = {
    "r2": "R²",
    "r2_bayes": "R²_Bayes",
    "r2_crlb_mean": "R²_CRLB",
    "r2_linear": "R²_linear",
    "mae": "MAE",
    "rmse": "RMSE",
    "bias": "bias",
    "rho": "ρ",
    "sigma": "σ",
}
_JUDGED = {
    "zh": {"pass": "通过", "fail": "未通过", "open": "待定", "manual": "需人工判断"},
    "en": {"pass": "passes", "fail": "fails", "open": "stays open", "manual": "needs a judgement"},
}


TRIAL = re.compile(r"\b(?:smoke|demo)\b|[(（]hour[)）]")
"""The mark of a number that no full run gave."""


def mark(profile: str) -> str:
    """What marks a number of a run that is no full one: ` (demo)`; empty for a full run."""
    return "" if profile == "full" else f" ({profile})"


def spectra(count: int) -> str:
    """A number of spectra as the documents write it: `1M`, `200k`, `500`."""
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count / size:.3g}{letter}"
    return str(count)


def metric_symbol(name: str) -> str:
    """`test/r2/log_g` -> `R²`; a label other than log_g is named."""
    _, metric, label = (name.split("/") + ["", "", ""])[:3]  # noqa: RUF005
    return _SYMBOL.get(metric, metric) + ("" if label in ("log_g", "") else f"({label})")


def split_mark(name: str) -> str:
    """`test/r2/log_g` -> `_test`; a ceiling is of no split."""
    split = name.split("/")[0]
    return "" if split.startswith("ceiling") else f"_{split}"


def number(result: Result, name: str, digits: int = 3) -> str:
    """A value with its error: `0.614 ± 0.004`; `-` where there is none."""
    value = result.values.get(name)
    if value is None:
        return "-"
    error = result.errors.get(name)
    return f"{value:.{digits}f}" + (f" ± {error:.{digits}f}" if error else "")


def best_of(results: Sequence[Result]) -> Result | None:
    """The result whose headline is best on validation, so that the test set chooses nothing."""
    usable = [r for r in results if r.values.get(r.headline) is not None]
    if not usable:
        return None

    def standing(result: Result) -> float:
        on_val = "/".join(["val", *result.headline.split("/")[1:]])
        value = result.values.get(on_val)
        value = value if value is not None else result.values[result.headline]
        less_is_better = result.headline.split("/")[1:2] in (["mae"], ["rmse"])
        return -(value or 0.0) if less_is_better else (value or 0.0)

    return max(usable, key=standing)


def key_metric(results: Sequence[Result]) -> str:
    """The number that sums up an experiment: `R²_test=0.614 ± 0.004`, marked when not full."""
    best = best_of(results)
    if best is None:
        return "-"
    symbol = metric_symbol(best.headline) + split_mark(best.headline)
    return f"{symbol}={number(best, best.headline)}{mark(best.profile)}"


def mags_of(result: Result) -> list[float]:
    """The magnitudes a ceiling was computed at, brightest first; none for other results."""
    found = (re.fullmatch(r"ceiling@([\d.]+)/r2_bayes/\w+", name) for name in result.values)
    return sorted({float(match[1]) for match in found if match})


def conclusion(
    results: Sequence[Result],
    language: str,
    verdicts: Sequence[Verdict] = (),
    standing: Standing = Standing(),  # noqa: B008 - frozen
) -> str:
    """One sentence: which model, on how much data, reached what, ahead of whom, and what now.

    `standing` says by how much the best leads, and whether that is noise; the gates come last.
    """
    best = standing.best or best_of(results)
    if best is None:
        return "没有可用的数值" if language == "zh" else "no usable number"
    train = best.n.get("train")
    said = key_metric([best])
    told = len(results) > 1 and best.run != best.model_name
    name = best.model_name + (f" [{best.run}]" if told else "")
    if language == "zh":
        data = f"在 {spectra(train)} 数据上 " if train else " "
        sentence = f"{name} {data}{said}".replace("  ", " ")
        stop = "；"
    else:
        data = f" on {spectra(train)} spectra" if train else ""
        sentence = f"{name}{data}: {said}"
        stop = "; "
    at = mags_of(best)
    if at:
        label = best.headline.rpartition("/")[2]
        each = [f"{mag:g}: {number(best, f'ceiling@{mag:g}/r2_bayes/{label}', 2)}" for mag in at]
        sentence += f"{stop}{say('at_mags', ', '.join(each)).told(language)}"
    sentence += "".join(f"{stop}{phrase.told(language)}" for phrase in standing.said())
    words = _JUDGED[language]
    for verdict in verdicts:
        sentence += f"{stop}Gate-{verdict.id} {words[verdict.verdict]}"
    return sentence
