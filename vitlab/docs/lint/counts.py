"""Counts that are told with results: seeds, training spectra and epochs, in digits or words.

`R² = 0.751 (mean of five seeds)`, `trained on 1M spectra`, `五个种子平均`. Where it is not sure
what is counted, nothing is read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import islice

from vitlab.docs.lint.compared import claimed_in
from vitlab.docs.lint.sentences import sentences_of
from vitlab.docs.lint.stated import Stated, as_read, profile_of
from vitlab.docs.lint.told import LITERATURE, MOST, NOT_YET
from vitlab.docs.text.counted import (
    BATCH,
    COUNTED,
    COUNTED_BEFORE,
    LIMIT,
    NOT_OF_TRAINING,
    OF_SPLIT,
    SIZE_BEFORE,
)
from vitlab.docs.text.numerals import Numeral, clause, numerals

COUNT = "count"
"""The `relation` of a number that counts; its metric is then one of the next."""
SEEDS, SPECTRA, EPOCHS = "seeds", "spectra", "epochs"
UNTIL = "until"
"""Among its words: an epoch of a training that may have been longer."""
_OTHERS = re.compile(
    r"\b(?:next|todo|will|later|more|another|additional|extra|further|remaining|left|missing"
    r"|pre-?train\w*|fine-?tun\w*|previous\w*|earlier|old|original\w*"
    r"|theor\w*|toy|equivalent|like|gap|may|can|worth|recommend\w*|suggest\w*)\b"
    r"|(?:^|[:：])[\s>*\d.)-]*(?:repeat|re-?run|run(?! \d)|try|launch|confirm|extend|increase|use"
    r"|add|collect|train)\b"
    r"|建议|可以|重跑|尝试|扩[到大]|增加|下一步"
    r"|再|另|更多|追加|补|剩|预训练|微调|此前|之前|旧|尚|未|等效|理论"
    rf"|{LITERATURE}",
    re.I,
)
"""In a sentence whose counts may be those of other runs than the ones it tells of."""
_IN_LIST = re.compile(
    r"(?<![\d.])\d+\s*[kM万千]?\s*(?:[-–~,，、/×x]|\bto\b|\band\b|\bor\b|和|至|到|或)\s*$"
)
_NOT_SO = re.compile(
    r"(?:\b(?:not|no|without|instead of|rather than|than|per|top|best|other)\s*|[A-Za-z][-_#]"
    r"|不是|而非|不用|第|每|前)$",
    re.I,
)
"""Before a number that is none of the result's own counts."""
_NAME = re.compile(r"\s*[#=:：]?\s*\d")
"""Behind `seed`: the name of one."""
_DIFFERENCE = re.compile(
    r"\s*(?:earlier|later|faster|sooner|longer|more|fewer|less|of warm|to go|before|之差|提前|更)",
    re.I,
)
_ROUNDS = re.compile(r"\s*(?:实验|迭代|讨论|评审|审|扫描|搜索|调参|对比|的?(?:实验|结果|改))")
"""Behind a number of rounds that are no epochs."""
_TRAINED = re.compile(r"\btrain|训练|epoch", re.I)
_UNTIL = re.compile(
    r"(?:\b(?:after|at|by|within|in|from|to|only)|到|在|至|仅|只)\s*(?:the\s*)?$", re.I
)
_SINCE = re.compile(r"\s*(?:之?后|时|之?内|就|即)")
"""Behind epochs after which a training may have gone on."""
_FOR_TRAINING = re.compile(r"\s*(?:上|来)?的?训练|\s*(?:for|to|in) train", re.I)
_FOR_TESTS = re.compile(
    r"\s*(?:上|来)?的?(?:测试|验证|评估)|\s*(?:for|to|in) (?:test|val|eval)", re.I
)
_TRAINED_ON = re.compile(r"\btrained (?:on|with|from) (?:all |only |just |about )?$", re.I)
_ENDS_THERE = re.compile(r"\s*(?:$|[,;.:)(，；。：）（]|R\s?²|(?:and|for|with|it|the|reach\w*)\b)")
_SCHEDULE = re.compile(
    r"\b(?:lr|rate|decay\w*|schedule|anneal\w*|cool-?down|ema|interval|checkpoint\w*)\b|学习率|衰减",
    re.I,
)
"""In a part of a sentence whose epochs are those of a setting."""
_TO_SPECTRA = re.compile(
    r"(?:ed|ing|s)?(?:[\s~≈:=]|\b(?:sets?|samples?|data(?:set)?|on|with|from|using|of|by|only"
    r"|about|just|all|is|was|has|for [\d.]+ epochs|(?:the|our|an?) \w+)\b"
    r"|集|样本|数据|用|使用|了|约|为|有|共|量|仅)*",
    re.I,
)
"""Between the word for training and the number of its spectra."""
_PART = re.compile(r"[,，:：()（）]")
_TRAINING = ("training", "train", "训练")
_OTHER_SPLITS = ("test", "validation", "测试", "验证")
_NEAR = 80
"""Letters before a number that say what it counts."""
_LEAST = 1000
"""Spectra from which on a number without their name may be one of them."""


def counts_in(text: str) -> Iterator[Stated]:
    """The counts of a line that tells a result; of a row, in cells that tell one."""
    read = as_read(text)
    cells = read.split("|") if text.lstrip().startswith("|") else [read]
    for cell in cells if len(cells) == 1 else (x for x in cells if any(claimed_in(x))):
        for sentence in sentences_of(cell):
            if not (NOT_YET.search(sentence) or _OTHERS.search(sentence)):
                yield from islice(_in_sentence(sentence), MOST)


def _in_sentence(text: str) -> Iterator[Stated]:
    for one in numerals(text):
        before, end = _before(text, one), one.end
        if one.unit or one.value <= 0 or _IN_LIST.search(before) or _NOT_SO.search(before):
            continue
        limit = LIMIT.search(before)
        if limit and limit[0].strip().casefold() != "over":
            continue
        found = COUNTED.match(text, one.end)
        if found and not _DIFFERENCE.match(text, found.end()):
            what, end = _counted(text, one, found), found.end()
        else:
            what = None if found else _counted_otherwise(text, one)
        if what is not None:
            is_until = what == EPOCHS and (_UNTIL.search(before) or _SINCE.match(text, end))
            yield Stated(
                what,
                None,
                frozenset((UNTIL,) if is_until else ()),
                profile_of(text[one.start :]),
                one.value,
                -round(math.log10(one.step)),
                text[one.start : end].strip(),
                is_loose=True,
                relation=COUNT,
            )


def _before(text: str, one: Numeral) -> str:
    return text[max(0, one.start - _NEAR) : one.start]


def _counted(text: str, one: Numeral, found: re.Match[str]) -> str | None:
    """What a number counts by the word behind it; None where that is not sure, or not held."""
    before, is_whole = _before(text, one), one.value == round(one.value)
    if found["seeds"]:
        is_name = _NAME.match(text, found.end()) and not found["seeds"].endswith("s")
        return SEEDS if is_whole and not one.is_decimal and not is_name else None
    if found["epochs"]:
        last = NOT_OF_TRAINING.search(before)
        if (last and not last[0].casefold().startswith("after")) or not is_whole or one.is_decimal:
            return None
        part = clause(text, one)
        is_round = found["epochs"] == "轮" and (
            _ROUNDS.match(text, found.end()) or not _TRAINED.search(part)
        )
        return None if is_round or _SCHEDULE.search(part) else EPOCHS
    if not found["stars"] or BATCH.search(before):
        return None
    kind = (found["kind"] or "").casefold()
    if kind in _OTHER_SPLITS or _FOR_TESTS.match(text, found.end()):
        return None
    part = _PART.split(before)[-1]
    last = next(reversed(list(OF_SPLIT.finditer(part))), None)
    is_train = last is not None and last["train"] and _TO_SPECTRA.fullmatch(part, last.end())
    of_kind = kind in _TRAINING
    return SPECTRA if of_kind or is_train or _FOR_TRAINING.match(text, found.end()) else None


def _counted_otherwise(text: str, one: Numeral) -> str | None:
    """What a number counts by the words before it: `epochs = 100`, `N_train = 1M`."""
    before = _before(text, one)
    named, size = COUNTED_BEFORE.search(before), SIZE_BEFORE.search(before)
    if named and named["epochs"] and not one.is_decimal:
        return EPOCHS if named["epochs"].casefold() in ("epochs", "轮数") else None
    if one.value < _LEAST:
        return None
    if (size and "tr" in size[0]) or _TRAINED_ON.search(before):
        return SPECTRA if size or _ENDS_THERE.match(text, one.end) else None
    return None
