"""Numbers that count, set or time something, held against the runs: stars, epochs, seeds, leaves.

`None` is answered for all others: scores, differences and limits are held against results.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from vitlab.contract.job import Result
from vitlab.docs.text.counted import COUNTED, NOT_OF_TRAINING
from vitlab.docs.text.numerals import Numeral, clause, numerals
from vitlab.lab.conclusions.numbers import Written, in_ascii, in_digits, rounds_to
from vitlab.lab.paper.claims import counted, is_count
from vitlab.lab.paper.facts import Facts
from vitlab.lab.paper.names import models_in
from vitlab.lab.results.repeats import Group
from vitlab.lab.results.run_settings import settings_of

_STARS = ("train", "val", "test")
_LIKE: Mapping[str, Sequence[str]] = {"stars": _STARS, "size": ("train", "params")}
"""What a number of stars without more words may be."""
_PLAN = re.compile(
    r"\b(?:next|to-?do|plan(?:s|ned)?|will|should|going to|would|later|needs?|requires?"
    r"|further|another|additional|propose[sd]?|launch|run (?:it|this|all))\b|下一步|接下来|计划|将"
    r"|建议|应|后续|再|追加",
    re.I,
)
"""Before a count in its sentence: it is that of a plan."""
_AFTER = re.compile(r"\bafter\s*$", re.I)
_SENTENCE = re.compile(r"[;；。!！]|\.\s")
_SINGLE = re.compile(
    r"\s*个?(?:random\s)?(?:seeds?|种子)\s(?:gives?|gave|reach\w*|ha[sd]|is|was|of|alone|with)\b",
    re.I,
)
"""Behind `one`: a seed among several."""
_TIME = re.compile(
    r"\s?(?:(?P<s>s|sec|seconds?|秒)|(?P<min>min|minutes?|分钟)|(?P<core>core-?\s?hours?|核时)"
    r"|(?P<h>h|hours?|小时))(?![a-zA-Z])"
)
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_ABOUT = 0.15
"""Part by which a time may differ: it is told roughly."""
_RUNS = re.compile(
    r"\s*(?:个|of\s(?:the\s)?\d+\s)?\s*(?:other\s|different\s|trained\s)?"
    r"(?:runs?|models?|configurations?|variants?|jobs?|baselines?|模型|配置|运行|任务|基线)(?![a-z])",
    re.I,
)
_IN_CHINESE = {
    "seed": "种子", "epochs": "轮", "rounds": "轮", "leaves": "叶", "layers": "层", "heads": "头",
    "batch": "批", "lr": "学习率|learning rate", "hidden": "隐藏|width", "mag": "星等|magnitude",
    "patch": "patch", "level": "noise|噪声", "weight": "decay",
}  # fmt: skip
"""Other words for the last part of a setting's name."""
_SHORTEST = 2
"""Letters of a word of a setting's name by which it is known again."""


@dataclass(frozen=True)
class Counts:
    """What runs count, by their results and settings."""

    groups: Sequence[Group]
    mine: Facts
    everywhere: Facts
    told: str
    """What vitlab itself says of them."""

    def is_so(self, text: str, one: Written, *, plan: bool = False) -> bool | None:
        """Whether a number is what its words count, as the runs have it; None where it is no count.

        `plan`: the text is about what is to be run, whose counts nothing can bear out.
        """
        plain = in_ascii(text)
        number = _numeral(plain, one)
        kind = counted(plain, number) if number and is_count(plain, number) else None
        is_whole = "." not in one.text or one.text[-1:] in "kM"
        if (kind or is_whole) and (plan or _is_planned(plain, one)):
            return True
        if kind == "epochs" and NOT_OF_TRAINING.search(_AFTER.sub("", plain[: one.start])):
            kind = None  # `patience of 5 epochs`: a setting
        if kind:
            is_set = number is not None and self._is_set(plain, one, number)  # `40 轮`: of trees
            return self._counts(plain, one, kind) or (kind == "epochs" and is_set)
        if time := _TIME.match(plain, one.end):
            return True if self._took(float(one.text.rstrip("kM")), time) else None
        if is_whole and _RUNS.match(plain, one.end):
            return True if one.text in self._runs else None
        return True if number and self._is_set(plain, one, number) else None

    def end_of(self, text: str, one: Written) -> int:
        """Where what a number counts ends, as it is shown."""
        found = COUNTED.match(text, one.end)
        return found.end() if found else one.end

    def _counts(self, text: str, one: Written, kind: str) -> bool:
        if kind == "seeds" and one.text == "1" and _SINGLE.match(text, one.end):
            return True
        names = _LIKE.get(kind, (kind,))
        named = {model.name for model in models_in(text)}
        mine = [x.number for x in self.mine.counts if x.value.metric in names]
        mine += [x.number for x in self.everywhere.counts
                 if x.value.metric in names and x.model in named]  # fmt: skip
        mine += self._settings_of(names)
        if kind == "stars" and one.text in self._told:
            return True
        return any(rounds_to(value, one.text) for value in mine)

    def _settings_of(self, names: Sequence[str]) -> list[float]:
        """The same as they were asked for: of spectra that are drawn anew a run sees more."""
        keys = {"epochs": "epochs", **{name: f"{name}_size" for name in _STARS}}
        asked = {keys[name] for name in names if name in keys}
        return [x for name, x in self._settings if name.rpartition(".")[2] in asked]

    def _took(self, number: float, time: re.Match[str]) -> bool:
        """Whether a time is that of a run, or of all together."""
        results = [one.result for group in self.groups for one in group.members]
        if time.lastgroup == "core":
            hours = [_core_hours(one) for one in results]
            return _about(number, hours)
        seconds = [one.seconds / _SECONDS[time.lastgroup or "s"] for one in results]
        return _about(number, seconds)

    def _is_set(self, text: str, one: Written, number: Numeral) -> bool:
        """Whether a number is that of a setting whose name stands in its part of the sentence."""
        near = clause(text, number)
        sentence = text[_start(text, one) : one.end + len(near)]
        for name, value in self._settings:
            words = [w for w in re.split(r"[._]", name) if len(w) >= _SHORTEST]
            others = (_IN_CHINESE.get(w, "") for w in words[-1:])
            pattern = "|".join(
                filter(None, [*(re.escape(w.rstrip("s")) for w in words[-1:]), *others])
            )
            where = sentence if words[-1:] == ["seed"] else near
            if rounds_to(value, one.text) and pattern and re.search(pattern, where, re.I):
                return abs(value - number.value) <= 0.5 * number.step * (1 + 1e-9)
        return False

    @cached_property
    def _settings(self) -> list[tuple[str, float]]:
        """The numbers that the runs were set to, by dotted name."""
        specs = (one.job.spec for group in self.groups for one in group.members)
        return list(dict.fromkeys(x for spec in specs for x in _numbers(settings_of(spec))))

    @cached_property
    def _runs(self) -> set[str]:
        results = [one.result for group in self.groups for one in group.members]
        models = {one.model_name for one in results}
        return {f"{n}" for n in (len(results), len(self.groups), len(models))}

    @cached_property
    def _told(self) -> set[str]:
        return {one.text for one in in_digits(self.told)}


def _numeral(text: str, one: Written) -> Numeral | None:
    found = (x for x in numerals(text) if x.start < one.end and one.start < x.end)
    return next(found, None)


def _start(text: str, one: Written) -> int:
    """Where the sentence of a number begins."""
    return max([0, *(x.end() for x in _SENTENCE.finditer(text) if x.end() <= one.start)])


def _is_planned(text: str, one: Written) -> bool:
    before = text[_start(text, one) : one.start]
    return _PLAN.search(before) is not None


def _about(number: float, values: Sequence[float]) -> bool:
    return any(
        abs(number - value) <= _ABOUT * value + 0.5 * (value >= 1)
        for value in (*values, sum(values))
    )


def _core_hours(one: Result) -> float:
    hours = one.data.get("core_hours")
    return float(hours) if isinstance(hours, int | float) else 0.0


def _numbers(settings: Mapping[str, object]) -> Iterator[tuple[str, float]]:
    for name, value in settings.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, int | float) and not isinstance(one, bool):
                yield name, float(one)
