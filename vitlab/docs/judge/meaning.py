"""What a rule of a gate says of the gate if it holds."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vitlab.contract.value import Value
from vitlab.docs.model.gates.conditions import Condition, Otherwise, Threshold, is_model
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
    it means fail beside one that says pass; without one nobody knows which is which. Where limits
    on the worse side that mean fail stand first, as in a list from the worst to the best, the one
    on the better side means pass, or else the last.
    """
    rule = rules[number]
    if leaves_to_a_person(rule):
        return None
    says = [_says(one) for one in rules]
    if says[number] is not None:
        return says[number]
    first = next(i for i, one in enumerate(says) if one is not False)
    if first and all(_is_of_side(one.condition, better=False) for one in rules[:first]):
        return True if number == _best(rules, says) else None
    if says[first] is None and _is_of_side(rules[first].condition, better=False):
        return False if True in says and number == first else None
    return None if first < number < len(rules) - 1 else first == number


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


def _best(rules: Sequence[Rule], says: Sequence[bool | None]) -> int | None:
    """Which of the rules that say nothing is the best of a list that begins with the worst."""
    if True in says:
        return None
    unsaid = [i for i, one in enumerate(says) if one is None]
    better = [i for i in unsaid if _is_of_side(rules[i].condition, better=True)]
    if better:
        return better[0] if len(better) == 1 else None
    is_rest = isinstance(rules[unsaid[-1]].condition, Otherwise)
    are_worse = all(_is_of_side(rules[i].condition, better=False) for i in unsaid[:-1])
    return None if is_rest and not are_worse else unsaid[-1]


def _is_of_side(condition: Condition, *, better: bool) -> bool:
    """Whether a limit holds for the better, or worse, numbers of a metric.

    Of a part's number it is not known.
    """
    if not isinstance(condition, Threshold) or (condition.of and not is_model(condition.of)):
        return False
    way = Value("", condition.metric).better
    if way is None or way.way == "nearest":
        return False
    return (condition.op[0] == ">") == ((way.way == "larger") == better)
