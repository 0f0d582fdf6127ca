"""Conditions in one notation: R² however it is spelled, words of comparison as signs."""

from __future__ import annotations

import html
import re
import unicodedata

# Whole numbers only: `0,70` may mean 0.70 and `60,000` sixty thousand, so neither is one.
NUMBER = r"[+-]?(?:\d+(?:\.\d+)?|\.\d+)(?:e[+-]?\d+)?(?![\d_]|[.,]\d)\s*%?"
OP = r"(?:>=|<=|=>|=<|>|<|≥|≤|≧|≦|⩾|⩽)"
METRICS = {
    "r2": r"(?:R2|R\^2)",
    "mae": r"MAE",
    "rmse": r"RMSE",
    "bias": r"bias",
    "scatter": r"scatter",
    "rho": r"ρ|rho",
    "sigma": r"σ|sigma",
    "loss": r"loss",
    "log_score": r"log[-_ ]?score",
    "nats_lost": r"nats[-_ ]lost",
}
_NAMES = "|".join(f"(?P<{name}>{pattern})" for name, pattern in METRICS.items())
METRIC = rf"(?<![A-Za-z])(?:{_NAMES})(?![A-Za-z])"
SPLIT = (
    r"(?:(?:_?\{?|\s(?=(?:test|val|valid|train)(?![A-Za-z])))"
    r"(?P<split>test|val(?:id(?:ation)?)?|train|测试|验证|训练)\}?"
    r"|\s*\(\s*(?P<split2>test|val(?:idation)?|train(?:ing)?|测试集?|验证集?|训练集?)"
    r"(?:\s+(?:set|data|split))?\s*\))?"
)
_SPELLED = {
    "R2": r"R[-\s]?squared?|R_\{?2\}?(?![\w.])|R\s?(?:平方|方)"
    r"|coefficient of determination|决定系数|R2[-_ ]score",
    "RMSE": r"root[-\s]mean[-\s]squared?[-\s]error|均方根误差",
    "MAE": r"mean[-\s]absolute[-\s]error|平均绝对误差",
}
_SPELLINGS = {
    name: re.compile(rf"(?<![A-Za-z])(?:{word})(?![A-Za-z])", re.I)
    for name, word in _SPELLED.items()
}
_OURS = re.compile(rf"(?<![\w/])(test|val|train)/({'|'.join(METRICS)})(?:/(\w+))?(?![\w/])")
"""As results name them: `test/r2/log_g`."""
_SIGNS = {
    ">=": r"(?:greater|larger|higher|more) than or equal to|at least|not? less than|not below"
    r"|no lower than|reach(?:es)?|大于或?等于|不低于|不小于|不少于|至少|达到",
    "<=": r"(?:less|smaller|lower) than or equal to|at most|not? more than|not above"
    r"|no (?:greater|higher|larger) than"
    r"|小于或?等于|不超过|[没未]有?超过|不高于|不大于|至多",
    ">": r"exceeds?|exceeding|above|over|(?:greater|larger|higher|more) than|大于|超过|高于",
    "<": r"below|under|(?:less|smaller|lower) than|小于|(?:仍然?)?低于|[没未]有?达到?|达?不到",
}
_COMPARED = re.compile(
    rf"(?P<of>^|(?:{METRIC}){SPLIT}\s*)"
    r"(?:[:：]|\b(?:is|are|stays|remains|(?:must|should|has to) be)\b|为|是)?\s*"
    rf"(?:{'|'.join(f'(?P<s{n}>{words})' for n, words in enumerate(_SIGNS.values()))}|(?P<op>{OP}))"
    rf"\s*(?={NUMBER}\s*(?:(?:K|dex|nats?|on|for|of)\b|[^\sA-Za-z]|$))",
    re.I,
)
_REACHED = re.compile(r"reach|达", re.I)
_LARGER_IS_BETTER = re.compile(r"R2|R\^2|ρ|rho|log", re.I)
_TURNED = re.compile(
    rf"^(?P<value>{NUMBER})\s*(?P<op>{OP})\s*(?P<of>(?:{METRIC}){SPLIT})(?P<rest>[^<>≥≤≧≦]*)$", re.I
)
"""The limit first: `0.7 < R2`."""
_FOOTNOTE = re.compile(r"\[\^[\w-]+\]|(?<=[\w%])\s*\[\d{1,2}\]\s*$")
_IN_BRACKETS = re.compile(r"\(([^()]*)\)")


def normalised(text: str) -> str:
    """A condition, as a reader sees it, in one notation."""
    text = _FOOTNOTE.sub("", html.unescape(text) if "&" in text else text)
    text = re.sub(r"\\(?:mathrm|text|textrm|mathit|operatorname)\s*\{([^{}]*)\}", r"\1", text)
    text = re.sub(
        r"[$*]|\\mathrm|\\rm\b\s*|\\text|\\[lr]vert", lambda m: "|" if "vert" in m[0] else "", text
    )
    text = re.sub(r"\\geq?(?![a-z])", "≥", re.sub(r"\\leq?(?![a-z])", "≤", text))
    text = re.sub(r"(?<=\d)([⁰¹²³⁴-⁹]+)", r"^\1", text)  # `10²` and `0.7¹` are not 102 and 0.71
    text = text.replace("²", "2").replace("\\Delta", "Δ").replace("∆", "Δ").replace("\\rho", "ρ")
    text = unicodedata.normalize("NFKD", text.replace("∣", "|").replace("\\sigma", "σ"))
    text = text.replace("\u0338", "!")  # `≯` is no `>`
    text = "".join(
        c for c in text if not unicodedata.combining(c) and unicodedata.category(c) != "Cf"
    )
    text = re.sub(r"R\s?[Â^]\s?\{?2\}?", "R2", text)
    text = re.sub(r"R_\{?(test|val|train)\}?\^?2", r"R2_\1", text, flags=re.I)
    text = re.sub(r"RA2", "R2", text)  # an `Â` that lost its hat: RÂ²
    text = re.sub(r"([\[(]\s*[+-]?\d*\.\d+),(?=[+-]?\d*\.\d)", r"\1, ", text)
    text = text.replace("−", "-").replace("，", ",").replace("。", ".").strip()
    if whole := _IN_BRACKETS.fullmatch(text):
        text = whole[1].strip()
    for name, spelled in _SPELLINGS.items():
        text = spelled.sub(name, text)
    text = re.sub(r"\b(test|val|train)-(?=[A-Z])", r"\1 ", text)
    text = _OURS.sub(lambda m: f"{m[3] or ''} {m[2]}_{m[1]}".strip(), text)
    text = _COMPARED.sub(_with_sign, text)
    return _TURNED.sub(_turned, text)


def _with_sign(match: re.Match[str]) -> str:
    if _REACHED.search(match[0]) and not _LARGER_IS_BETTER.match(match["of"]):
        return match[0]  # an error that reaches a number may be meant either way
    said = (sign for n, sign in enumerate(_SIGNS) if match[f"s{n}"])
    return f"{match['of'].strip()} {match['op'] or next(said)} ".lstrip()


def _turned(match: re.Match[str]) -> str:
    op = match["op"].translate(str.maketrans("<>≥≤≧≦⩾⩽", "><≤≥≦≧⩽⩾"))
    return f"{match['of'].strip()} {op} {match['value'].strip()}{match['rest']}"
