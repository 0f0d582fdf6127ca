"""The parts of a text that states a status: emphasis, status and remark, and all that it says."""

from __future__ import annotations

import datetime
import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

from vitlab.docs.model.ids import read_id
from vitlab.docs.model.vocabulary import (
    CLOSING,
    SHORT_WORDS,
    STRUCK,
    ParsedStatus,
    Vocabulary,
)
from vitlab.docs.text.inline import folded, plain

_EMPHASIS = re.compile(r"\*{1,3}|~~|__|`")
_LEADING = re.compile(r"[\s*_~`\[]*")
_PAIR = re.compile(r"<(\w+)[^<>]*>[^<>]*</\1>")
_CLOSED = re.compile(r"\s*(?:</[a-z][a-z0-9]*>)+")
_LINK_END = re.compile(r"\]\([^()]*\)")
_CLAUSE_ENDS = re.compile(
    r"[()（）【】\[\],，;；:：、。.!！→+·•*~`“”\"]|<br\s*/?>|\s[-—–/|]\s|[-—–]{2,}"
)
_VERDICTS = re.compile(r"(?<![A-Za-z])(?:(PASS(?:ED)?)|(FAIL(?:ED)?)|(MARGINAL))(?![A-Za-z])")
_CONDITION = re.compile(
    r"[⛔🚫🛑🔒]|\b(?:(?:not before|(?<!as )if|unless|depends on|on hold|someday|shelved|duplicate"
    r"|no longer (?:planned|needed|wanted|required|relevant)|next (?:year|term)"
    r"|(?:approval|decision|review) pending|(?:after|needs?) (?:MVP|Gate|approval))\b"
    r"|do(?:n['’]t| not)\b(?! (?:forget|miss|worry|mix))|see (?:MVP|Gate)\S*$"
    r"|pending:? (?!P\d)(?=[a-z]|\d+\.\d)|already (?!there|downloaded|prepared)(?=[a-z]))"
    r"|先不|暂不|不做(?=了|\W|$)|不需要(?=了|做|跑|\W*$)|仅当|若(?!干)|如果|除非|视情况"
    r"|(?<!不)依赖|等导师|下学期|明年|已由|取代",
    re.I,
)
"""In the status of one that is planned: it is not to be launched now, or by nobody."""
_ID = r"(?:MVP[-–_ ]?)?[\w.-]{0,12}\d[\w.-]{0,12}"
_AND = r"\s*(?:\band\b|[和与,，、/&+])\s*"
_BEHIND = re.compile(
    r"(?:\b(?:after|depends on|needs?|pending)|(?<!不)依赖)[:：\s]*"
    rf"(?P<ids>{_ID}(?:{_AND}{_ID})*)"
    r"\s*(?:[(（]?\s*(?:done|completed?|finished|已?完成|✅)\s*[)）]?)?\s*(?=[,，;；。)）*_]|$)",
    re.I,
)
"""What an MVP comes behind, where nothing more is said of that."""
_OF_STATUS = re.compile(
    r"\s*(?:to|by|on|until|for|when|once|after|before|because|due|pending|behind|into|with)\b"
    r"|\s*since\b(?!.*[=≈])|\s*MVP",
    re.I,
)
_REASON = re.compile(
    r"[*_~`\s]*[:：,，(（]\s*(?:发散|不收敛|显存|内存|磁盘(?:已?满|空间|不足)|崩溃|报错|超时|效果差|没有?时间"
    r"|(?:it |loss )?diverg|NaN|(?:CUDA )?OOM|out of (?:memory|disk|time|space)"
    r"|no (?:disk|memory|time|GPU)|disk (?:is )?full|crash|time ?out|too slow)"
    r"(?!.*(?:[=≈#见]|\]\(|://|\d{4}[-/.年]\d|\w\.[a-z]{2,4}\b|\b(?:see|report|owner)\b|报告"
    r"|负责人))",
    re.I,
)
"""Behind what failed, was cancelled or waits: why, and no score, link, file or day."""
_OF_RUN = re.compile(
    r"\bep(?:och)?s?[.:]?\s?\d|第\s?\d+\s?(?:轮|epoch)|\b(?:GPUs?\s?#?|cuda:?)\d|\bon (?:the )?GPU"
    r"|\bETA\b|re-?run|重跑|重训|重新跑|预计|剩余|\bremaining\b|\d\s?(?:h|d|days?|hours?) left\b"
    r"|not yet|还没|尚未|(?:^|[(（\[【,，;；:：])\s*\d+\s?/\s?\d+\s*(?=$|[)）\]】,，;；])"
    r"|(?:^|[(（\[【,，;；:：])\s*(?:进度|progress)?\s*[~≈约]?\s*\d+(?:\.\d+)?\s?%"
    r"\s*(?:done|completed?|完成)?\s*(?=$|[)）\]】,，;；])",
    re.I,
)
"""How far a run is, where it runs, and what is still to be done: true of the old status alone."""
_ASKS = re.compile(r"是否|[?？]")
_ALONE = re.compile(r"\W*$|\W*\w{1,4}\W{0,3}\d")
"""Behind a status that is a cell's own: nothing, or a score (`✅ R²=0.71`)."""
_YES = re.compile(r"\W*(?:x|y|yes|true|ok|是|已\w*|(?P<day>20\d\d-\d\d-\d\d))\W*", re.I)
"""What a column of what is done says of a row that is."""
_ENDED = re.compile("已经?(?:完成|跑完|结束|验证|通过|取消|失败|启动)|全部完成")
"""A status at the end of a clause: `核心已完成`."""
_OTHER_MVP = re.compile(r"\s*\d+\.\d")
_REMARK = re.compile(
    r"[*_~`]*(?:\s*[,，;；:：]\s*(?=[^\s,，;；:：])|\s+[-–—]+\s+(?=\S)"
    r"|\s+(?:(?:on|at|since|until|by)\s+)?(?=\d{4}[-/.年]\d|20\d{6}|\d\d?[-/月]\d\d?(?!\d)|gpus?\b|cuda)"
    r"|\s+(?=[^\s=≈]{1,12}\s*[=≈])|(?P<of_end>\s+(?=(?:at|with|on|in|for|by|due|because|until"
    r"|since|after)\s)))",
    re.I,
)
"""What parts a status in words from its remark: `running, gpu 2`, `done 2025-12-01`."""
_SURE = re.compile(
    r"(?:待|已|未|正在)\w{1,3}|\w{1,3}中|计划|完成|暂停|取消|失败|部分完成|analy[sz]ing|done|completed|finished"
    r"|running|in progress|planned|to ?do|pending|queued|not (?:yet )?(?:started|done|finished)|wip"
    r"|cancell?ed|failed|crashed|paused|on hold|abandoned|won't do"
)
"""Words that are no part of a title, as `frozen, last layer` may be."""
_OF_RESULT = re.compile(
    r"(?:(?:on|at)\s+)?(?:20\d\d[-/.年](?:0?[1-9]|1[0-2])(?!\d)|20\d{6}(?!\d)|\d\d?月\d"
    r"|gpus?\b|cuda|see\b|report|报告|见"
    r"|(?:(?:val|test)[ _]?)?(?:R\^?[2²]|MAE|RMSE)\s*[=≈])",
    re.I,
)
"""What a remark opens with that makes a status of any word before it."""
_NOT_ALL = re.compile(
    r"(?:only\s+)?[~≈约]?(?:(?P<some>\d+)\s*(?:/|of)\s*(?P<all>[1-9]\d*)|\d+(?:\.\d+)?\s*[%％])"
    r"|(?:part(?:ly|ially)?|half|most(?:ly)?|almost|some)\s*(?:of\b|the\b|seeds\b|runs\b|done\b|[^\w\s]|$)"
    r"|except\b|除|(?:大?部分|一半|几乎)(?=完成|种子|\W|$)",
    re.I,
)
_THEN = re.compile(
    r"[\s*_`]*(?:(?:then|now|but|later|since|was|is|will|be|to|again|after that)\b\s*"
    r"|然后|后来?|现在?|已经?(?=再)|再|又|但)*",
    re.I,
)
_OF_VERDICT = {1: "done", 2: "failed", 3: "partial"}
MAY_WAIT = ("planned", "ready", "paused")
"""Statuses beside which a remark may say that something else must come first."""


@dataclass(frozen=True)
class StatusText:
    """Joined, `before status tail remark` are the text."""

    before: str
    """An id, and emphasis that holds for another status too."""
    status: str
    """Glyphs, words and verdicts in a row: `⚠️ ✅`, `✅ **PASS`."""
    tail: str
    """What ends with the status: the emphasis around it, the target of a link on it."""
    remark: str
    says: frozenset[str]
    """Every status that the status part states."""
    verdict: bool
    """Whether a verdict is in it, which the remark then explains."""

    def says_other_than(self, status: str, vocabulary: Vocabulary) -> bool:
        """Whether the text states any other status too."""
        remark_says = set(_remark_statuses(self.remark, vocabulary))
        waits = status not in MAY_WAIT and vocabulary.is_blocked(self.remark)
        return waits or bool((self.says | remark_says) - {status})

    def keeps_remark(self, status: str, vocabulary: Vocabulary, *, of_run: bool = False) -> bool:
        """Whether the remark holds beside another status too; `of_run`: in the row of a run.

        There the epoch says to which one the numbers of the row belong.
        """
        if not self.remark.strip(" *~_`"):
            return True
        other = {
            *_remark_statuses(self.remark, vocabulary),
            *filter(None, map(vocabulary.status, _ENDED.findall(self.remark))),
        } - {status}
        waits = status not in MAY_WAIT and vocabulary.waits(self.remark)
        waits = waits or (not of_run and _OF_RUN.search(self.remark) is not None)
        goes_on = not self.tail and _OF_STATUS.match(self.remark)  # `blocked by MVP-1.0`
        ended = self.says & {"failed", "cancelled", "paused"}
        why = ended and status not in ended and _REASON.match(self.remark)
        into = "cancelled" in self.says and _OTHER_MVP.match(self.remark)  # `merged into 1.1`
        return not (self.verdict or other or waits or goes_on or into or why)

    def with_status(self, new: str, keep_remark: bool) -> str:
        """The text with another status part, its emphasis closed."""
        opened = self.before
        if self.tail.startswith("](") and "[" in self.status and not opened.endswith("["):
            glyph, _, word = new.rpartition(" ")
            new = f"{glyph} [{word}".lstrip()
        inner = _unclosed(self.status)
        remark = self.remark
        if keep_remark:
            for mark in inner:
                remark = remark.replace(mark, "", 1)
        else:
            tags = "".join(_CLOSED.findall(_PAIR.sub("", remark)))
            remark = "".join(reversed(_unclosed(f"{opened} {self.tail}"))) + tags
        word_follows = new[-1:].isalnum() and (remark[:1].isalnum() or remark[:1] == "_")
        gap = " " if word_follows and not self.tail else ""  # only whole words are read
        return f"{opened}{new}{self.tail}{gap}{remark}"


def read_status_text(text: str, parsed: ParsedStatus, vocabulary: Vocabulary) -> StatusText:
    """The parts of a text whose first status is `parsed`."""
    starts = [part[0] for part in (parsed.glyph, parsed.word) if part]
    first = min(starts) if starts else _LEADING.match(text).end()  # type: ignore[union-attr]
    if parsed.since is not None:
        first = parsed.since
    before = text[:first]
    if not re.search(r"[\w<]", before) and not STRUCK.search(
        before
    ):  # an unknown emoji before a word is the old status's
        before = _LEADING.match(text, 0, first).group()  # type: ignore[union-attr]
    says, verdict, end = {parsed.status}, parsed.verdict, parsed.end
    for more in _following(text, end, vocabulary):
        says.add(more.status)
        verdict = verdict or more.verdict
        end += more.end
    status, rest = text[len(before) : end], text[end:]
    around = _unclosed(before)
    if around and around[-1] in _unclosed(status) and before.endswith(around[-1]):
        cut = len(before) - len(around[-1])  # `**⏳** 待启动`: it ends within the status
        before, status = before[:cut], before[cut:] + status
    inner = _unclosed(status)
    while inner and rest.startswith(inner[-1]):  # emphasis that begins and ends with the status
        mark = inner.pop()
        status, rest = status + mark, rest[len(mark) :]
    tail = ""
    outer = _unclosed(before)
    if closed := _CLOSED.match(rest):
        tail, rest = closed.group(), rest[closed.end() :]
    elif "[" in before + status and (link := _LINK_END.match(rest)):
        tail, rest = link.group(), rest[link.end() :]
    elif outer and before.endswith(outer[-1]) and rest.startswith(outer[-1]):
        tail, rest = outer[-1], rest[len(outer[-1]) :]
    return StatusText(before, status, tail, rest, frozenset(says), verdict)


def _following(text: str, end: int, vocabulary: Vocabulary) -> Iterator[ParsedStatus]:
    """The statuses right after one: glyphs, with their words, and verdicts."""
    while end < len(text):
        struck = STRUCK.match(text[end:].lstrip())
        more = None if struck else vocabulary.read(text[end:])
        if more is None or more.loose or (more.glyph is None and not more.verdict):
            return
        if more.glyph and re.search(r"\w", text[end : end + more.glyph[0]]):
            return  # a word with its glyph behind it: a remark
        yield more
        end += more.end


def opens_remark(text: str, parsed: ParsedStatus) -> bool:
    """Whether a remark follows the status in words that a text opens with."""
    word = folded(text[slice(*parsed.word)]) if parsed.word and not parsed.glyph else ""
    start = _REMARK.match(text, parsed.end)
    if not word or start is None or parsed.verdict:
        return False
    if start["of_end"] and parsed.status in ("done", "paused"):
        return False  # `done for giants`
    return bool(_SURE.fullmatch(word) or _OF_RESULT.match(text, start.end()))


def is_sure(text: str, parsed: ParsedStatus, vocabulary: Vocabulary) -> bool:
    """Whether a status in words holds beside its remark, as in `done, R²=0.71`.

    Not where that counts (`done: 3 of 5`) or names another status (`planned, then dropped`).
    """
    start = _REMARK.match(text, parsed.end)
    remark = text[start.end() :] if start else ""
    some = _NOT_ALL.match(remark) if parsed.status == "done" else None
    if some and (some["some"] is None or int(some["some"]) < int(some["all"])):
        return False
    clauses = (clause[_THEN.match(clause).end() :] for clause in _CLAUSE_ENDS.split(remark))  # type: ignore[union-attr]  # matches the empty string
    opened = (one.status for one in map(vocabulary.read, clauses) if one and not one.loose)
    return not {*opened, *_remark_statuses(remark, vocabulary)} - {parsed.status}


def _remark_statuses(remark: str, vocabulary: Vocabulary) -> Iterator[str]:
    """The statuses that a remark states: by a glyph, by a clause that is a word, by a verdict."""
    remark = STRUCK.sub("", remark)
    if not remark.strip():
        return
    for clause in _CLAUSE_ENDS.split(remark):
        parsed = vocabulary.read(clause)
        if parsed and not parsed.loose and parsed.end >= len(clause.rstrip()):
            yield parsed.status
    for start in vocabulary.glyph_starts(remark):
        if parsed := vocabulary.read(remark[start:]):
            yield parsed.status
    for match in _VERDICTS.finditer(remark):
        yield _OF_VERDICT[match.lastindex or 1]


def is_progress_status(text: str, parsed: ParsedStatus) -> bool:
    """Whether a gate's status only tells what its run is doing, and is no verdict."""
    rest = text[parsed.end :].strip()
    word = folded(text[slice(*parsed.word)]) if parsed.word else ""
    return (
        not parsed.verdict
        and word not in CLOSING
        and "*" not in text
        and (not rest or rest[0] in "(（")
    )


def same_case(model: str, word: str) -> str:
    """A word in capitals as its model is."""
    if model.isupper() and len(model) > 1:
        return word.upper()
    return word.capitalize() if model[:1].isupper() else word


_BETWEEN = re.compile(r"\s*[|｜,，、;；·/／→]\s*(?=[^|｜,，、;；·/／→]*$)|\s+(?=\S*$)")
"""What stands between two items of a legend."""


def legend_with(line: str, glyph: str, status: str, vocabulary: Vocabulary) -> str:
    """A legend's line with one more item, written as the last one is; `glyph`: of `status`."""
    items = [(line.rfind(known), known, word) for known, word in vocabulary.legend.values()]
    items = sorted(item for item in items if item[0] >= 0)[-2:]
    if len(items) < 2:
        return line
    (before, first, _), (at, last, word) = items
    found = _BETWEEN.search(line, before + len(first), at)
    if found is None:
        return line
    text = line.rstrip()
    tail = "" if "*" in line[found.end() : at] else text[len(text.rstrip("*_")) :]
    end = len(text) - len(tail)
    own = same_case(word, SHORT_WORDS["en" if word.isascii() else "zh"][status]) if word else ""
    item = line[found.end() : end].replace(last, glyph, 1)
    item = item.replace(word, own, 1) if word in item else f"{glyph} {own}"
    return line[:end] + found[0] + item + line[end:]


def emphasis_removed(text: str) -> str:
    """A text without marks of emphasis and blanks at its ends."""
    return _EMPHASIS.sub("", text).strip()


def _unclosed(text: str) -> list[str]:
    """The marks of emphasis that a text opens and does not close."""
    stack: list[str] = []
    for match in _EMPHASIS.finditer(text):
        if stack and stack[-1] == match.group():
            stack.pop()
        else:
            stack.append(match.group())
    return stack


def names_condition(text: str, done: Container[str]) -> bool:
    """Whether a status of one that is planned says not to launch it now.

    Not where it comes behind MVPs alone that are all `done`.
    """

    def left(match: re.Match[str]) -> str:
        ids = map(read_id, re.split(_AND, match["ids"]))
        return "" if all(i in done for i in ids) else match.group()

    return _CONDITION.search(_BEHIND.sub(left, text)) is not None


def ended_mark(
    cells: Iterable[tuple[str, str, str]], vocabulary: Vocabulary, ended: Container[str]
) -> str:
    """The cell that says of a row that it has ended, below a header that names no statuses.

    One of these statuses alone or before a number, below no header, `Done`, or that of results or
    notes; or below `Done` a yes or a day that is over. `cells`: header, text and
    the column that is known by it, of each.
    """
    for head, text, column in cells:
        parsed, asked = vocabulary.read(text), _ASKS.sub("", head).strip()
        named = vocabulary.read(asked)
        is_done = named is not None and named.status == "done" and not asked[named.end :].strip()
        if parsed is not None:
            is_ended = parsed.status in ended and _ALONE.match(text, parsed.end) is not None
            is_ended = is_ended and (is_done or not asked or column in ("result", "note"))
        else:
            yes = _YES.fullmatch(text)
            today = datetime.date.today().isoformat()
            is_ended = is_done and not column and yes is not None and (yes["day"] or "") <= today
        if is_ended:
            return f"{plain(text)!r} below {plain(head)!r}"
    return ""
