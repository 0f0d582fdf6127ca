"""Numbers of scores as sentences tell them, also in words that `stated` does not read surely.

`R² rises to 0.951`, `R²≈0.951`, `0.951 R²`, `达到 0.951`: which number it is of is a guess, so it
is enough if any result has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from vitlab.docs.lint.stated import (
    METRIC,
    Stated,
    as_read,
    number_of,
    numbers_at,
    stated_by,
    subject_of,
)
from vitlab.docs.text.inline import plain

MOST = 200
"""Numbers of a text that are looked for."""
_NUMBER = (
    r"(?P<value>(?<![A-Za-z\d_.+\-−])(?:\d*\.\d{2,}|\d{1,2}\.\d(?=\s*%)|\d\d(?=\s*%)))"
    r"(?P<percent>\s*%)?+"
)
_BEHIND = (
    r"(?![\d_]|\.\d|\s*(?:[kM](?![A-Za-z])|hours?|[x×/^]|\.\.|[-–~]\s*\d|CI\b|interval|confiden"
    r"|credible|区间|置信|可信"
    r"|higher|lower|better|worse|above|below|more|less|larger|smaller|高|低|以[上下]))"
)
_GAP = r"[^\d,，;；。|<>≥≤±+↑↓]{0,32}?"
_NOT_SAID = re.compile(
    r"\b(?:by|than|target|goals?|threshold|should|must|would|could|may|might|needs?|requires?"
    r"|to reach|exceed\w*|above|below|under|over|at (?:least|most)|differ\w*|chang\w*|gap|gains?"
    r"|lead|per|ceiling|limit|bound|within|scatter|spread|std|errors?|uncertainty|slope|expect\w*|hop\w*"
    r"|aim\w*|plan\w*|higher|lower|better|worse|predict\w*|with the|between)\b"
    r"|目标|阈值|门槛|超过|至少|至多|需|应|预期|预计|希望|计划|变化|上限|误差|弥散|每|预测"
    r"|(?<![最新])[高低差比大小](?!达)|提升(?!了?[到至])|下降(?!了?[到至])|增加(?!了?[到至])|提高(?!了?[到至])|[Δ∆]",
    re.I,
)
"""Between a metric and a number that is none of it: a difference, a limit, or a plan."""
_UNKNOWN = re.compile(
    r"\b(?:if|when|once|until|unless|should|must|would|could|might|needs?"
    r"|to(?= \w+$)|target|goals?|aim\w*|loss|nll|rate|chi|ceiling|limit)\b"
    r"|若|如果|当|目标|损失|学习率|上限",
    re.I,
)
"""In the part of a sentence before such a number: it need not be one that was measured."""
PLANNED = (
    r"\b(?:targets?|goals?|aims?|thresholds?|expect\w*|plan\w*|accept\w*)\b"
    r"|目标(?!达成|完成|已)|阈值|门槛|预期|预计|期望|计划|验收|下限"
)
LITERATURE = r"\b(?:literature|papers?|published)\b|文献|论文"

NOT_YET = re.compile(
    rf"\b(?:if|when|once|until|unless|should|must|would|could|might|needs?|requires?)\b|{PLANNED}"
    r"|若|如果|当(?!前)|待|需|应[该当达]|希望",
    re.I,
)
"""In the part of a line that has a number: it is a rule or a plan."""
_AFTER_METRIC = re.compile(rf"{_GAP}{_NUMBER}{_BEHIND}", re.I)
_FROM_TO = re.compile(rf"{_GAP}(?:from|从)\s*(?P<value>\d*\.\d+)(?P<percent>\s*%)?", re.I)
_IN_BRACKETS = re.compile(r"[(（]\s*(?P<value>\d*\.\d{2,})(?P<percent>\s*%)?\s*[)）]$")
_OF_LABEL = re.compile(r"\s*(?:dex|K(?![A-Za-z]))")
_TO = re.compile(
    r"\s*(?:to|→|->|[^\d,，;；。]{0,6}[到至])\s*(?P<value>\d*\.\d{3,})(?P<percent>\s*%)?(?![\d_]|\.\d)"
)
_FROM = re.compile(r"\bfrom\b|从", re.I)
_BEFORE_METRIC = re.compile(
    rf"{_NUMBER}\s*(?:±\s*[\d.]+)?\s*(?:的|in|of|as|[(（])?\s*"
    r"(?:(?:the )?test|val\w*|测试集?|验证集?)?\s*$",
    re.I,
)
_REACHES = re.compile(
    r"(?:\b(?:reach(?:es|ed|ing)?|attain(?:s|ed)?|achiev(?:es|ed)|scor(?:es|ed)"
    r"|scores?(?: of| is|:|：)|hits|accuracy(?: of| is)?|measured|found|obtained|got)"
    r"|达到?了?|得分[为:：]?|分数为?|实测(?:值|结果)?[为是:：]?|测得|得到了?)"
    r"\s*(?:about |only |约|仅)?"
    r"(?P<value>0?\.\d{3,}|\d\d\.\d(?=\s?%))(?P<percent>\s?%)?"
    r"(?![\d_]|\.\d|\s*(?:dex|K(?![A-Za-z])|of\b|(?:core-?)?hours?|h\b|s\b|min|核时|小时|秒|的(?!\s*R)"
    r"|±[^,，;；]{0,9}(?:of\b|的)))",
    re.I,
)
_EXPLAINED = re.compile(
    rf"(?:\bexplain(?:s|ed|ing)?|解释了?)[^\d,，;；。]{{0,12}}{_NUMBER}[^,，;；。]{{0,16}}?(?:varian|方差)",
    re.I,
)
_IN_CELL = re.compile(r"(?<![\w.±+])(?P<value>\d*\.\d{2,})(?P<percent>\s*%)?(?![\w.])")
_LIMIT = re.compile(r"[<>≥≤Δ∆+]|[−-]\s*\d*\.\d+\s*$")
_PART = re.compile(r"[,，;；。|：]|:\s")
_WIDE = 60
"""Letters around a metric in which its number may stand."""
_R2 = Stated("r2", None, frozenset(), "full", 0, 0, "", is_loose=True)


def told_in(text: str) -> Iterator[Stated]:
    """The numbers of metrics in a sentence, first those that are surely read, then the others."""
    text = as_read(text)
    sure = dict(islice(numbers_at(text), MOST))
    yield from (one for one in sure.values() if one is not None)
    seen = set(sure)
    for at, one in islice(_loose(text, seen), MOST):
        if at not in seen:
            seen.add(at)
            yield one


def told_in_cell(head: str, cell: str) -> Iterator[Stated]:
    """The numbers in a cell below the name of a metric, one surely, or several that are guesses."""
    if (one := number_of(head, cell)) is not None:
        yield one
        return
    metric, text = METRIC.search(plain(head)), as_read(cell)
    if metric is None or metric["delta"] or _LIMIT.search(text) or METRIC.search(text):
        return
    subject = replace(subject_of(metric), is_loose=True).with_words(head)
    for number in islice(_IN_CELL.finditer(text), MOST):
        yield stated_by(subject, number, f"{plain(head)} {number['value']}").with_words(text)


def _loose(text: str, sure: set[int]) -> Iterator[tuple[int, Stated]]:
    for metric in METRIC.finditer(text):
        subject = replace(subject_of(metric), is_loose=True)
        if metric["delta"] or _UNKNOWN.search(_part_before(text, metric.start())):
            continue
        start = max(0, metric.start() - _WIDE)
        before = _BEFORE_METRIC.search(text, start, metric.start())
        if before and not sure & {before.start("value")}:
            yield _found(before, subject, text[before.start("value") : metric.end()])
        yield from _behind(text, metric, subject, sure)
    for pattern in (_REACHES, _EXPLAINED):
        for found in pattern.finditer(text):
            if not _UNKNOWN.search(_part_before(text, found.start())):
                yield _found(found, _R2, found[0])


def _behind(
    text: str, metric: re.Match[str], subject: Stated, sure: set[int]
) -> Iterator[tuple[int, Stated]]:
    """The number behind a metric, or both of `from 0.601 to 0.711`."""
    end = min(len(text), metric.end() + _WIDE)
    following = METRIC.search(text, metric.end(), end)
    end = following.start() if following else end
    if inside := _IN_BRACKETS.search(text, metric.start(), metric.end()):
        yield _found(inside, subject, metric[0])
        return
    first = _FROM_TO.match(text, metric.end(), end) or _AFTER_METRIC.match(text, metric.end(), end)
    second = _TO.match(text, first.end(), end) if first else None
    if first is None or first.start("value") in sure:
        return
    if subject.metric.startswith("r2") and _OF_LABEL.match(text, first.end()):
        return
    between = text[metric.end() : first.start("value")]
    is_said = not _NOT_SAID.search(between)
    if second is not None:
        yield _found(second, subject, text[metric.start() : second.end()])
        is_said = is_said and len(first["value"].partition(".")[2]) > 2
    elif _FROM.search(between):
        return
    if is_said:
        yield _found(first, subject, text[metric.start() : first.end()])


def _found(number: re.Match[str], subject: Stated, text: str) -> tuple[int, Stated]:
    return number.start("value"), stated_by(subject, number, text)


def _part_before(text: str, end: int) -> str:
    """The part of a sentence before a place in it."""
    return _PART.split(text[max(0, end - _WIDE) : end])[-1]
