"""The lines a script prints with numbers in them, as expressions that find and name these.

A number is named by the word before it, and where nothing else in its line may say what it is of:
a baseline's, a mean, a subset's.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from vitlab.jobs.experiment.script_files import constant
from vitlab.jobs.experiment.value_names import AXES, SPLITS, split_of

PERCENT = r"%[-+# 0]*\d*(?:\.\d+)?[sdifgeEGr]"
BRACES = r"\{[^{}]*\}"
_STD_IN_LOG = re.compile(r"(?i)((?:label|target|y|log_?g)s?[ _]?(?:std|sigma|scale))\s*[:=]\s*$")
_SPLIT = r"(?i:train|val|valid|validation|test)"
_WORD_BEFORE = re.compile(rf"((?:\b{_SPLIT}[ _-]+)?[A-Za-z][\w./@^-]*)(\s*[:=]\s*|\s+)$")
"""What names a printed value: the word before it, with its split."""
_SPLIT_BEFORE = re.compile(rf"([A-Za-z][\w./@^-]*\s*[(\[]({_SPLIT})[)\]])(\s*[:=]\s*|\s+)$")
"""The same where the split stands behind the word: `R2 (test): `."""
_UNIT_AFTER = re.compile(r"\s*(dex|K)\b")
_NUMBER = r"[^\s,;|)\]]+"
_NEAR, _MOST, _MOST_UNNAMED = 200, 400, 8
"""Letters before a value that may name it; parts, and values without a name, of a line that is
read."""
_SHOWN = 100
"""Letters of a text that is told."""
_NUMERIC = re.compile(r".*[deEfFgGn%]")
"""A format that takes numbers alone."""
_COUNTERS = re.compile(r"(num_|n_|max_|total_)?(epochs?|steps?|iters?|batch(es)?)|ep?|it?|n|k")
_MARKS = re.compile(r"(?:is_?)?(?:best|mark|star|flag|suffix|sign|asterisk)\w*")
_TIMES = re.compile(r"(?:\w*_)?(?:now|time|timestamp|stamp|ts|date|clock|elapsed|eta|remaining)")
_CLOCKS = ("strftime", "now", "ctime", "asctime", "isoformat", "today", "time", "perf_counter")
"""Functions that give a time."""
_OPTIONS = ("args", "opt", "opts", "cfg", "config", "conf", "hparams", "FLAGS")
"""What holds the options of a script."""
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_WORDS = re.compile(r"[^\W\d_]+")
_NEUTRAL = {
    *("epoch", "epochs", "ep", "step", "steps", "iter", "iteration", "info", "after", "in", "at"),
    *("done", "final", "finished", "result", "results", "end", "last", "time", "the", "and"),
    *("s", "sec", "secs", "second", "seconds", "min", "ms", "score", "scores", "loss", "metric"),
    *("metrics", "lr", "dex", "k", "第", "轮", "完成", "最终", "结果", "耗时", "秒"),
}
"""Words that do not say of what a number is."""
_BEHIND = {"eta", "remaining", "left", "elapsed", "saved", "saving", "checkpoint", "to", "best"}
"""Those that do not where they stand behind it."""
_OF_WHAT = {
    *("fold", "seed", "model", "split", "subset", "run", "trial", "rep", "repeat", "bin", "class"),
    *("star", "stars", "label", "target", "method", "name", "net", "network", "baseline", "group"),
    *("sample", "set", "dataset"),
}
"""What a printed value may be beside a score that is then of that alone."""


@dataclass(frozen=True)
class Slot:
    """Where a value stands in a printed text."""

    is_number: bool
    """Whether that is sure by its format, or as it is a counter."""
    is_mark: bool = False
    """Whether it is called a mark, as of the best epoch: at a line's end it says nothing."""
    is_percent: bool = False
    """Whether its format makes it one."""
    is_option: bool = False
    """Whether it is an option of the script, the same in all lines of a run."""
    is_time: bool = False
    """Whether it says when the line is printed, or how long something takes."""


Part = str | Slot


@dataclass(frozen=True)
class Line:
    """A printed line with values."""

    pattern: str = ""
    """Finds and names its numbers; empty where none is named."""
    label_std: str = ""
    """Finds the labels' standard deviation; empty where it has none."""
    unsure: tuple[str, ...] = ()
    """The texts before scores of which it is not sure what they are of."""
    samples: tuple[str, ...] = ()
    """What it may look like."""
    module: str = ""
    at: int = 0
    """Its line in the module."""
    loop: int = 0
    """That of the outermost loop around it; 0 for none."""

    def is_before(self, other: Line) -> bool:
        """Whether it stands before the loop that the other is in."""
        return self.module == other.module and self.at < other.loop

    @property
    def scores(self) -> set[str]:
        """Names of the scores that its pattern finds."""
        return {one for one in re.compile(self.pattern).groupindex if split_of(one)}


def parts_of(node: ast.expr) -> list[Part]:
    """A printed text in parts; empty where it is no text with values."""
    match node:
        case ast.JoinedStr(values=values):
            return [str(constant(v)) if isinstance(v, ast.Constant) else _slot(v) for v in values]
        case ast.BinOp(left=ast.Constant(value=str(text)), op=ast.Mod()):
            return split_text(PERCENT, text)
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(text)), attr="format")):
            return split_text(BRACES, text)
        case ast.BinOp(op=ast.Add()):
            return _joined(node)
    return []


def parts_of_several(nodes: Sequence[ast.expr]) -> list[Part]:
    """What `print("val R2:", r2)` prints, in parts; blanks stand between its arguments."""
    parts: list[Part] = []
    for node in nodes:
        if isinstance(node, ast.Constant):
            own: list[Part] = [str(node.value)]
        else:
            own = parts_of(node) or [_slot(ast.FormattedValue(node, -1))]
        parts += [" ", *own] if parts else own
    return parts


def _joined(node: ast.expr) -> list[Part]:
    """The parts of `"epoch " + str(epoch) + " r2 " + str(r2)`; empty where no text is in it."""
    pieces = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        pieces.append(node.right)
        node = node.left
    parts: list[Part] = []
    for piece in (node, *reversed(pieces)):
        text = piece.value if isinstance(piece, ast.Constant) else None
        within = parts_of(piece) if isinstance(piece, ast.JoinedStr) else None
        parts += within or [text if isinstance(text, str) else Slot(False)]
    return parts if any(isinstance(part, str) for part in parts) else []


def _slot(node: ast.expr) -> Slot:
    if not isinstance(node, ast.FormattedValue):
        return Slot(False)
    spec = "".join(str(constant(part)) for part in getattr(node.format_spec, "values", ()))
    value = node.value
    if isinstance(value, ast.BinOp) and isinstance(value.right, ast.Constant):
        value = value.left  # `epoch + 1`
    name = getattr(value, "attr", getattr(value, "id", ""))
    is_number = bool(_NUMERIC.fullmatch(spec) or _COUNTERS.fullmatch(name))
    called = getattr(value, "func", None)
    is_clock = getattr(called, "attr", getattr(called, "id", "")) in _CLOCKS
    return Slot(
        is_number,
        _MARKS.fullmatch(name) is not None,
        spec.endswith("%"),
        getattr(getattr(value, "value", None), "id", "") in _OPTIONS,
        is_clock or _TIMES.fullmatch(name) is not None,
    )


def split_text(pattern: str, text: str) -> list[Part]:
    """A template in parts, a slot for each `pattern`."""
    parts: list[Part] = []
    end = 0
    for found in re.finditer(pattern, text):
        form = found[0].strip("{}%").rpartition(":")[2]
        percent = found[0].endswith("%}")
        slot = Slot(percent or bool(_NUMERIC.fullmatch(form)), is_percent=percent)
        parts += [text[end : found.start()], slot]
        end = found.end()
    return [*parts, text[end:]]


def lines_of(parts: Sequence[Part], *, whole: bool) -> Iterator[Line]:
    """The lines of a printed text; `whole`: nothing else is printed into them."""
    line: list[Part] = []
    for part in parts:
        first, *rest = part.split("\n") if isinstance(part, str) else [part]
        line.append(first)
        for more in rest:
            yield _line(line, whole=whole)
            line = [more]
    yield _line(line, whole=whole)


@dataclass
class _Named:
    """A value of a line with the word before it."""

    text: str
    group: str
    start: int
    """Where its name begins in the text before it."""
    is_set: bool
    """Whether `:` or `=` stands between them: a blank may join words of a sentence."""


def _line(parts: Sequence[Part], *, whole: bool) -> Line:
    if not any(isinstance(part, Slot) for part in parts):
        return Line()
    texts, slots = _alternating(parts)
    named = [_named(*pair) for pair in pairwise(texts)]
    label_std = ""
    for text in texts[:-1]:
        if found := _STD_IN_LOG.search(text[-_NEAR:]):
            label_std = f"{re.escape(found[0].rstrip())}\\s*({_NUMBER})".replace("\\ ", " ")
    samples = tuple(
        "".join(text + value for text, value in zip(texts, [*values, ""], strict=True))
        for values in (["0.5"] * len(slots), ["0.5" if s.is_number else "" for s in slots])
    )
    if len(slots) > _MOST or any(len(text) > _NEAR for text in texts):
        return Line(label_std=label_std, samples=tuple(one[-_NEAR:] for one in samples))
    scores = [k for k, one in enumerate(named) if one and split_of(one.group)]
    unsure = [k for k in scores if not _is_sure(k, texts, slots, named)]
    groups: dict[int, str] = {}
    for k, one in enumerate(named):
        if one and k not in unsure and one.group not in groups.values():
            groups[k] = one.group
    return Line(
        _pattern(texts, groups, whole=whole),
        label_std,
        tuple(texts[k].strip()[-_SHOWN:] for k in unsure),
        samples,
    )


def _alternating(parts: Sequence[Part]) -> tuple[list[str], list[Slot]]:
    """The texts before, between and behind the values, and these."""
    texts, slots = [""], list[Slot]()
    for part in parts:
        if isinstance(part, Slot):
            slots.append(part)
            texts.append("")
        else:
            texts[-1] += _COLOUR.sub("", part)
    return texts, slots


def _named(before: str, after: str) -> _Named | None:
    """A value between two texts, if a word before it names it."""
    text = before[-_NEAR:]
    match = _SPLIT_BEFORE.search(text) or _WORD_BEFORE.search(text)
    if match is None:
        return None
    group = re.sub(r"\W+", "_", match[1].replace("²", "2")).strip("_")
    if unit := _UNIT_AFTER.match(after):
        group += f"_{unit[1]}"
    group = group.lower() if group.lower() in AXES else group
    start = len(before) - len(text) + match.start(1)
    is_set = bool(text[match.end(1) :].strip())
    return _Named(match[1], group, start, is_set) if group.isidentifier() else None


def _is_sure(k: int, texts: list[str], slots: list[Slot], named: list[_Named | None]) -> bool:
    """Whether nothing in its line may say that score `k` is of something else, or in percent."""
    if slots[k].is_percent or texts[k + 1].lstrip().startswith("%"):
        return False
    marked = slots[-1].is_mark and not texts[-2].strip() and not texts[-1].strip()
    for at, (slot, one) in enumerate(zip(slots[: -1 if marked else None], named, strict=False)):
        words = set() if one is None else {word.lower() for word in _WORDS.findall(one.text)}
        neutral = _NEUTRAL | _BEHIND if at > k else _NEUTRAL
        is_named = one is not None and (one.is_set or words <= neutral or split_of(one.group))
        of_what = words & _OF_WHAT - ({"seed", "run"} if slot.is_option else set())
        if of_what or not (slot.is_number or is_named or slot.is_option or slot.is_time):
            return False
    own = named[k]
    assert own is not None
    lead = texts[k][: own.start]
    after, following = texts[k + 1], named[k + 1] if k + 1 < len(named) else None
    trail = after if following is None else after[: following.start]
    slashed = lead.endswith(("-", "_")) or "/" in (
        lead.rstrip()[-1:], after.strip() if k + 1 < len(slots) else ""
    )  # fmt: skip
    before, behind = ({word.lower() for word in _WORDS.findall(one)} for one in (lead, trail))
    neutral = _NEUTRAL | {*SPLITS[split_of(own.group)]}
    return not slashed and before <= neutral and behind <= neutral | _BEHIND


def _pattern(texts: list[str], groups: dict[int, str], *, whole: bool) -> str:
    """The line's text with its values; from its beginning to its end where it is `whole`."""
    last = len(texts) - 1 if whole else max(groups, default=-1) + 1
    if not groups or last - len(groups) > _MOST_UNNAMED:
        return ""
    pieces = []
    for k, text in enumerate(texts[: last + 1]):
        if k < last or whole:
            pieces.append(_literal(text, loose=k == 0 and not whole))
        if k < last:
            number = r"\d+" if groups.get(k) in AXES else _NUMBER
            blank = r"\s*" if k + 1 < last or whole else ""
            pieces.append(rf"\s*(?P<{groups[k]}>{number}){blank}" if k in groups else ".*?")
    text = "".join(pieces)
    return rf"^\s*{text}$" if whole else text


def _literal(text: str, *, loose: bool) -> str:
    """A text of which only the blanks may be others; `loose`: from a word of its own on."""
    words = r"\s+".join(map(re.escape, text.split()))
    words = re.sub(r"(?:\\s\+)?([:=])(?:\\s\+)?", r"\\s*\1\\s*", words)
    words = words.removeprefix(r"\s*").removesuffix(r"\s*")
    return rf"(?<![\w./-]){words}" if loose and words else words
