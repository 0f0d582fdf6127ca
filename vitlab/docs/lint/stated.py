"""Numbers that documents state of an experiment, with all that says what they are of."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from vitlab.docs.text.inline import plain, with_plain_numbers

METRIC = re.compile(
    r"(?<![A-Za-z\d])(?P<delta>[Δ∆]\s*)?(?P<name>R\s?(?:\^\s?\{?2\}?|²|2(?![\d.]))|MAE|RMSE|bias|ρ"
    r"|R[- ]?sq(?:uared)?|coefficient of determination|决定系数|拟合优度)"
    r"(?:(?![A-Za-z])_\{?(?P<of>[A-Za-z]\w*)\}?|(?P<split>test|val|train)(?![A-Za-z])"
    r"|(?![A-Za-z]))(?:\s*[(（\[](?P<in>[^()（）\[\]]*)[)）\]])?",
    re.I,
)
_NUMBER = (
    r"(?P<value>[+\-−]?(?:\d+\.\d+|\d+|\.\d+))(?![\d_]|[.,]\d|\s*[kM](?![A-Za-z]))"
    r"(?P<percent>\s*%)?"
)
_STATES = re.compile(
    rf"(?:\s?[(（](?:smoke|demo|hour)[)）](?=\s?[=:：]))?(?:\s*+[=:：＝]{{1,2}}\s*+|\s++(?=[+\-−]?\d*\.\d)){_NUMBER}(?!\s*[-–~→]\s*[+\-−]?\d)"
)
_SAYS = re.compile(
    r"\s*+(?:(?:of|is|was|reach(?:es|ed)?|attain(?:s|ed)?|achieve[sd]?|at|as high as|now"
    r"|为|是|达到了?|达)(?![a-z])\s*+){1,3}(?=\d*\.\d)"
    rf"{_NUMBER}(?!\s*[-–~→]\s*[+\-−]?\d|\s*(?:higher|lower|better|worse|above|below|more|less"
    r"|larger|smaller|高|低|以[上下]))",
    re.I,
)
"""In words, which a difference may be too."""
_COMPLEMENT = re.compile(r"(?<![\w.^])1\s*[-−–]\s*$")
_BOUNDS = re.compile(r"\[\s{0,9}(\d*\.\d+)\s{0,9}[,，]\s{0,9}(\d*\.\d+)\s{0,9}\]")
_TERM = re.compile(r"\s*\+\s*[\d.]+(?:e[+-]?\d+)?\s*/")
"""Behind the first number of a fitted law, `1 - R² = 0.2 + 1.9/N^0.4`."""
_LARGER = re.compile(
    r"(?:(?:\btimes the largest\b[^:：,;]{0,20}|最大[^:：，；]{0,20}倍)\s*[:：]"
    r"|\bpredicted|预测)\s*$"
)
_INTERVAL = re.compile(r"\s*\([^()]{0,30}\.\.[^()]{0,30}%\)")
"""Before and behind the score that a law gives a larger run, which none has."""
_SERIES = re.compile(
    r"(?:\s*[,，、]\s*\d*\.\d{2,}+(?!\.\d|\s*(?:[%±(（]|dex|K(?![A-Za-z])|σ))){2,}"
)
"""Behind the first number of a series, `R² 0.68, 0.72, 0.73`, of which none has a name."""
_COUNTS = re.compile(r"\d[\d.,]*\s*[kM]?")
_BEFORE = 48
"""Letters before a metric in which it is looked for what its number is of."""
_CELL = re.compile(rf"[^\w~≈≲≳<>≤≥+−.-]*+{_NUMBER}(?P<rest>.*)$")
_BEHIND = re.compile(
    r"\s*(?:±\s*[\d.]+|\.\.\s*[+\-−]?\d*\.?\d+)?"  # its error, or a range's other number
    r"(?:\s*(?:\[[^\[\]]{0,40}\]"  # its interval
    r"|[(（]\d*\.\d+\s*(?:[-–~,，]|\.\.)\s*\d*\.\d+[^()（）]{0,9}[)）]))?"
    r"\s*(?P<at>@\s*[^\s,，;；|()（）]+|seed\s*=?\s*\d+|(?:K|dex|σ)(?![A-Za-z]))?"
    r"\s*(?:[(（](?P<in>[^()（）]*)[)）])?"
)
_CLAUSE = re.compile(
    r"[,，;；、。|()（）<>≥≤→=+/]|\bvs\.?(?![a-z])|\b(?:and|to|than)\b|比|与|和|对"
)
_SPLITS = {
    **dict.fromkeys(("test", "测试", "测试集"), "test"),
    **dict.fromkeys(("val", "valid", "validation", "验证", "验证集"), "val"),
    **dict.fromkeys(("train", "training", "训练", "训练集"), "train"),
}
_WORD = re.compile(
    r"run\s?\d+|seed\s?=?\s?\d+|ep(?:och)?\s?\d+|\d+\s?ep"
    r"|[a-z][a-z\d_+]*|\d+(?:\.\d+)?[a-z]*|[\u3400-\u9fff]+"
)
_EMPTY = frozenset((
    "best", "final", "the", "of", "on", "at", "in", "is", "model", "value", "ours", "this", "work",
    "our", "spectra", "stars", "result", "results", "full", "main", "key", "metric", "metrics",
    "number", "headline", "conclusion", "summary", "short", "smoke", "demo", "hour",
    "在", "数据上", "最佳", "用", "条光谱训练", "颗恒星训练",
    "最终", "结果", "达到", "结论", "核心结论", "关键指标", "关键数字", "指标", "总结", "一句话",
    "一句话总结", "本实验", "我们", "模型", "主结果", "为", "是", "集",
))  # fmt: skip
"""Words that say nothing of what a number is of."""
_RANGE = re.compile(r"\s*(?:\.\.+|…|[–—~～]|->|→|至|到)\s*[-+]?\d*\.?\d")
"""Behind the first number of a range or of a change: `0.500..0.900`, `0.70→0.75`."""
_TRIAL = re.compile(r"\b(smoke|demo)\b|[(（](hour)[)）]")


@dataclass(frozen=True)
class Stated:
    """One number as a document states it."""

    metric: str
    """`r2`, `mae`, `rmse`, `bias`, `rho`; `delta_r2` for a difference, `r2_max` for a variant."""
    split: str | None
    """None where none is named."""
    words: frozenset[str]
    """All else that says what it is of: label, model, epoch, seed, conditions."""
    profile: str
    value: float
    decimals: int
    text: str
    """As written, with its name."""
    is_loose: bool = False
    """Whether it is told in words that may mean another number, as `told.told_in` reads them."""
    relation: str = ""
    """`level` or `difference` of one that is compared, as `compared.compared_in` reads them; its
    words are then the models that it is of, and its metric is empty where none is named."""

    @property
    def of_model(self) -> bool:
        """Whether it is compared by the name of a model."""
        return bool(self.relation and self.words)

    def same_as(self, other: Stated) -> bool:
        """Whether two numbers differ by rounding at most."""
        coarse = min(self.decimals, other.decimals)
        return abs(self.value - other.value) <= 0.5 * 10.0**-coarse * (1 + 1e-9)

    def with_words(self, text: str) -> Stated:
        """This number, also of what a text names."""
        words = words_of(text)
        split = self.split or next(
            (_SPLITS[word] for word in sorted(words) if word in _SPLITS), None
        )
        return replace(self, split=split, words=self.words | (words - set(_SPLITS)))


@lru_cache(maxsize=32)  # it is asked again for each number of a line, of which there may be 10,000
def words_of(text: str) -> frozenset[str]:
    """The words of a text that may say what a number is of, folded: `Run 1` is `run1`."""
    text = unicodedata.normalize("NFKC", plain(text)).casefold()
    found = (re.sub(r"[\s=]", "", word) for word in _WORD.findall(text))
    return (
        frozenset(re.sub(r"^(?:epoch|ep)?(\d+)(?:ep)$|^epoch", r"ep\1", w) for w in found) - _EMPTY
    )


def profile_of(text: str) -> str:
    """The profile of a number by the mark behind it: `0.7 (demo)`; `full` where there is none."""
    found = _TRIAL.search(text)
    return next(filter(None, found.groups()), "full") if found else "full"


def numbers_in(text: str) -> Iterator[Stated]:
    """The numbers of metrics in a sentence: `R²_val=0.713 (ep112)`, `ViT test MAE: 0.38`."""
    return (one for _, one in numbers_at(as_read(text)) if one is not None)


def as_read(text: str) -> str:
    """A sentence as its numbers are read: without markup, in plain letters and digits.

    An interval `[0.70, 0.80]` is `[0.70..0.80]`, which no comma takes apart.
    """
    return _BOUNDS.sub(r"[\1..\2]", with_plain_numbers(plain(text)).replace("$", ""))


def numbers_at(text: str) -> Iterator[tuple[int, Stated | None]]:
    """The numbers of a text as `as_read` gives it, and where each begins; None for a law's."""
    end = 0
    for metric in METRIC.finditer(text):
        number = _STATES.match(text, metric.end()) or _SAYS.match(text, metric.end())
        if number is None:
            continue
        if _is_of_law(text, metric, number):
            yield number.start("value"), None
            continue
        behind = _BEHIND.match(text, number.end())
        # What is in brackets is of what stands before them: `LightGBM (R²=0.6)`.
        before = _CLAUSE.split(text[end : metric.start()].rstrip(" (（"))[-1]
        end = behind.end() if behind else number.end()
        more = " ".join(filter(None, (behind["at"], behind["in"]))) if behind else ""
        found = stated_by(subject_of(metric), number, text[metric.start() : end])
        if _COMPLEMENT.search(_before(text, metric)):
            found = replace(found, value=1 - found.value, text=f"1 - {found.text}")
        if _RANGE.match(text, number.end()):
            found = replace(found, is_loose=True)  # which of them is meant is not said
        series = _SERIES.match(text, number.end())
        # Of a series is not read which of the sizes or seeds before it each number is of.
        words = f"{before} {more}" if series is None else _COUNTS.sub(" ", before)
        yield number.start("value"), (found := found.with_words(words))
        if series is not None:
            end = series.end()
            yield from _series(series, found, metric["name"])


def _series(series: re.Match[str], first: Stated, name: str) -> Iterator[tuple[int, Stated]]:
    """The numbers behind the first of a series."""
    for one in re.finditer(r"\d*\.\d+", series[0]):
        decimals = len(one[0].partition(".")[2])
        number = replace(first, value=float(one[0]), decimals=decimals, text=f"{name} {one[0]}")
        yield series.start() + one.start(), number


def _before(text: str, metric: re.Match[str]) -> str:
    return text[max(0, metric.start() - _BEFORE) : metric.start()]


def _is_of_law(text: str, metric: re.Match[str], number: re.Match[str]) -> bool:
    """Whether a number is a fitted law's, or the score that it gives a larger run.

    In the words of `docs.judge.phrases`, which tests hold these to.
    """
    before = _before(text, metric)
    if _COMPLEMENT.search(before):
        return _TERM.match(text, number.end()) is not None
    return bool(_LARGER.search(before) and _INTERVAL.match(text, number.end()))


def is_of_law(text: str, value: float) -> bool:
    """Whether a text gives a number as that of a fitted law, or as what it predicts."""
    read = as_read(text)
    begins = (at for at, one in numbers_at(read) if one is None)
    return any(float(x[0]) == value for at in begins if (x := re.match(r"\d*\.?\d+", read[at:])))


def number_of(header: str, cell: str) -> Stated | None:
    """The number in a cell below the name of a metric; None for none, or several."""
    metric = METRIC.search(plain(header))
    number = _CELL.match(with_plain_numbers(plain(cell)))
    if metric is None or number is None:
        return None
    rest = re.sub(r"^\s*±\s*[\d.]+", "", number["rest"])
    is_term = re.match(rf"\s*[-+−*/×]\s*(?:Δ|{METRIC.pattern})", rest, METRIC.flags)  # `1-R²`
    if re.search(r"\d\s*[-–~→/]|[-–~→/±]\s*\d", rest) or rest[:1].isalnum() or is_term:
        return None
    whole = plain(header)
    beside = whole[: metric.start()] + " " + whole[metric.end() :]
    found = stated_by(subject_of(metric), number, f"{whole} {number['value']}")
    return replace(found, profile=profile_of(rest)).with_words(f"{beside} {rest}")


def stated_at(head: str, first: str, text: str, value: float) -> Stated | None:
    """What a number is of by the head of its column, or its row's first cell, or its sentence.

    None where no metric is named, or it is another number's.
    """
    return _named(head, first, text).get(round(value, 12))


@lru_cache(maxsize=32)  # as `words_of`
def _named(head: str, first: str, text: str) -> Mapping[float, Stated]:
    """What each number is of; where two are equal, the first."""
    direct = (number_of(name, text) for name in (head, first) if name)
    named = [*filter(None, direct), *numbers_in(text)]
    return {round(one.value, 12): one for one in reversed(named)}


def subject_of(metric: re.Match[str]) -> Stated:
    """What a number with a metric's name, as `METRIC` finds it, is of; without the number."""
    raw = re.sub(r"\s", "", metric["name"]).casefold()
    name = "r2" if raw[0] in "rc决拟" and raw != "rmse" else {"ρ": "rho"}.get(raw, raw)
    of = (metric["of"] or metric["split"] or "").casefold()
    split = _SPLITS.get(of.partition("_")[0])
    label = of.partition("_")[2] if split else of
    name += f"_{label}" if label else ""
    found = Stated(
        ("delta_" if metric["delta"] else "") + name, split, frozenset(), "full", 0, 0, ""
    )
    return found.with_words(metric["in"] or "")


def stated_by(subject: Stated, number: re.Match[str], text: str) -> Stated:
    """`subject` with the number of a match that has groups `value` and `percent`."""
    raw = number["value"].replace("−", "-")
    decimals = len(raw.partition(".")[2])
    shift = 2 if number["percent"] else 0
    return replace(
        subject,
        value=float(raw) / 10**shift,
        decimals=decimals + shift,
        profile=profile_of(text),
        text=text.strip(),
    )
