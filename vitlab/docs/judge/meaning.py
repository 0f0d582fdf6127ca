"""What a rule of a gate says of the gate if it holds."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vitlab.contract.value import Value
from vitlab.docs.model.gates.conditions import (
    Between,
    Condition,
    Otherwise,
    Threshold,
    is_model,
    number_of,
)
from vitlab.docs.model.gates.rules import Rule

_GOOD = re.compile(
    r"[✅🟢]|(?:通过|达标|成功)(?![\u4e00-\u9fff])"
    r"|(?:pass(?:ed|es)?|success|go)(?![\w-])(?! (?:to|over|on|back|home)\b)(?!.*\binstead\b)"
)
_BAD = re.compile(
    r"[❌🔴🚫🛑⛔✖🟥☠]|[不未]通过|[不未]达标|不行|失败|停止|停掉|叫停|终止|止损|放弃|中止|弃用|砍掉"
    r"|否决|驳回|否(?![\u4e00-\u9fff])"
    r"|(?:no[- ]?go|no(?=\W*$)|fail(?:ed|s|ure)?|stop|abort|kill|abandon|give up"
    r"|reject(?:ed)?)(?![\w-])"
)
"""Begin what follows from a rule, and say that the gate has passed or failed."""
_FAILS = re.compile(
    r"[❌🔴🚫🛑⛔✖🟥☠]|(?:[不未没][算予]?|没有|无法|不能|通不)\s?(?:通过|过|达标|成功|成立)|失败|否决|驳回"
    r"|无效|(?:not|n't|no|never) (?:pass|success)"
    r"|\b(?:fail(?:s|ed|ure)?|unsuccessful|no[- ]go|reject(?:ed|s)?|invalid)\b"
)
"""Anywhere in it: it may say that the gate has failed."""
_GOES_ON = re.compile(r"[✅🟢]|mvp|进入|继续|go on|writ|写")
"""Behind a word that fails a gate: `stop tuning and write the paper`."""
_DOUBT = re.compile(
    r"[⚠🟡?？]|讨论|待定|复核|[视看]情况|若|如果|前提|只要|[部勉不][分强完]全?通过|基本通过|有条件|partial"
    r"|[❌🔴][^❌🔴]*[✅🟢]"
    r"|\b(?:pi|discuss|ask|decide[sd]?|tb[cd]|pending|if|unless|provided|as long as"
    r"|conditional(?:ly)?|pass ?/ ?fail)\b"
)
"""Anywhere in it: a person says which."""


def means_pass(rules: Sequence[Rule], number: int) -> bool | None:
    """Whether the gate has passed where a rule holds; None: a person decides.

    Of rules that say nothing the first means pass, those that mean fail aside, and the last means
    fail, one between them nothing. Where that first one is a limit on the worse side (`R² < 0.6`)
    it means fail beside one that says pass; without one nobody knows which is which. Where a limit
    that means fail stands before others of the same number, as in a list from the worst to the
    best, the first on the other side means pass, or else the last. An else, or a range, behind a
    pass and a failure is what lies between.
    """
    rule = rules[number]
    if leaves_to_a_person(rule):
        return None
    says = [_says(one) for one in rules]
    if says[number] is not None:
        return says[number]
    first = next(i for i, one in enumerate(says) if one is not False)
    bands = _above(rules, first)
    if bands and (number in bands or isinstance(rule.condition, Otherwise)):
        return True if number == _best(rules, says, bands) else None
    if says[first] is None and _is_of_worse(rules[first].condition):
        return False if True in says and number == first else None
    if first < number and (number < len(rules) - 1 or _lies_between(rules, says, first)):
        return None
    return first == number


def leaves_to_a_person(rule: Rule) -> bool:
    """Whether what follows from a rule is neither a pass nor a failure, or may be either.

    So are `⚠️ marginal`, `ask the PI`, `pass if ...`, `✅→❌` and `the gate fails`, which may be
    about another thing where the text does not open with it.
    """
    then = _then(rule)
    if rule.passes is not None:  # its row says so itself, and its text may be the row's head
        return then.startswith(("⚠", "🟡"))
    bad = _BAD.match(then)
    goes_on = bad and bad.group()[0].isalnum() and _GOES_ON.search(then, bad.end())
    return bool(_DOUBT.search(then) or goes_on or (not bad and _FAILS.search(then)))


def _says(rule: Rule) -> bool | None:
    """What a rule says of the gate if it holds; None for nothing."""
    then = _then(rule)
    if rule.passes is not None or _GOOD.match(then):
        return rule.passes is not False
    return False if _BAD.match(then) else None


def _then(rule: Rule) -> str:
    return rule.then.strip(" *").lower()


def _above(rules: Sequence[Rule], first: int) -> list[int]:
    """The rules from the `first` on that are about the number of the one before, which fails."""
    worst = rules[first - 1].condition if first else None
    if not isinstance(worst, Threshold | Between) or _is_of_better(worst):
        return []
    number = number_of(worst)
    return [i for i, one in enumerate(rules[first:], first) if number_of(one.condition) == number]


def _best(rules: Sequence[Rule], says: Sequence[bool | None], bands: Sequence[int]) -> int | None:
    """Which of the rules that say nothing is the best of a list that begins with the worst."""
    if True in says:
        return None
    worst = rules[bands[0] - 1].condition
    unsaid = [i for i, one in enumerate(says) if one is None]
    worse = [i for i in unsaid if _way(rules[i].condition) == _way(worst) != ""]
    better = [i for i in bands if _way(rules[i].condition) and i in unsaid and i not in worse]
    if better:
        return better[0]
    is_rest = isinstance(rules[unsaid[-1]].condition, Otherwise)
    return None if is_rest and unsaid[:-1] != worse else unsaid[-1]


def _lies_between(rules: Sequence[Rule], says: Sequence[bool | None], first: int) -> bool:
    """Whether the last rule is of what no other is, and another already is of the worse."""
    top = rules[first].condition
    if not isinstance(rules[-1].condition, Otherwise | Between):
        return False
    for one, said in zip(rules[:-1], says, strict=False):
        same = one.condition is not top and number_of(one.condition) == number_of(top)
        match one.condition:
            case Threshold() if same:
                worse = _way(one.condition) != _way(top)
            case Between(low=low, high=high) if same and isinstance(top, Threshold):
                worse = said is False and top.value not in (low, high)
            case _:
                worse = said is False
        if worse:
            return True
    return False


def _way(condition: Condition) -> str:
    """`<` or `>`; empty for a range and what is no limit."""
    return condition.op[0] if isinstance(condition, Threshold) else ""


def _is_of_worse(condition: Condition) -> bool:
    """Whether a limit holds for the worse numbers of a metric; not known of a part's number."""
    return _side(condition) == "worse"


def _is_of_better(condition: Condition) -> bool:
    """Whether it holds for the better ones: a score that is too good."""
    return _side(condition) == "better"


def _side(condition: Condition) -> str:
    if not isinstance(condition, Threshold) or (condition.of and not is_model(condition.of)):
        return ""
    better = Value("", condition.metric).better
    if better is None:
        return ""
    is_larger = better.way == "larger"
    return "better" if is_larger == (condition.op[0] == ">") else "worse"
