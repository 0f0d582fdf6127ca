"""Statuses beside an MVP's id in running text: headings, cards, list items, diagrams."""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Container, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from vitlab.docs.model.ids import IdIndex, several_ids
from vitlab.docs.model.status_text import is_sure, opens_remark, read_status_text
from vitlab.docs.model.vocabulary import COLOURS, OF_SENTENCES, ParsedStatus, Vocabulary
from vitlab.docs.text.inline import folded, plain
from vitlab.docs.text.source import Document, Heading, Span

_GROUP = re.compile(r"[(（【\[](?P<inside>[^()（）【】\[\]]*)(?:[)）】]|\](?!\())")
_EDGES = " *_~`.。"
_GROUPS = re.compile(rf"(?:\s*{_GROUP.pattern.replace('?P<inside>', '')})*")
_BLOCKED_END = re.compile(
    r"(?:\s[-–—|]+|[:：，,])\s*(?P<text>(?!\s)(?:(?!\s[-–—]+\s)[^|:：()（）,，])+)$"
)
"""The last part of a title, `— BLOCKED`."""
_WORD_END = re.compile(
    r"(?:\s[-–—|→]+\s*|[:：，,;；]\s*|\.{2,}\s*)"
    r"(?P<text>[*_`]*[^\W\d_](?:(?!\s[-–—|→]+\s)[^:：，,;；|()（）])*)$"
)
"""The last part of an item, `- done`."""
_STATED_END = re.compile(
    r"(?:\s*[—–]+\s*|\s-+\s+|(?P<code>\s+)(?=`))(?P<text>[*_`]*(?:(?:待|已|未|正在)\w{1,3}|\w{1,3}中|完成|就绪|暂停|取消|失败"
    r"|部分(?:完成|通过)?|analy[sz]ing|partial(?:ly done)?"
    r"|done|completed?|finished|running|in progress|planned|to ?do|pending|not started|cancell?ed"
    r"|dropped|failed|paused|on hold|ready|skipped|abandoned|wip)[*_`.。]*)\s*$",
    re.I,
)
"""The last part of a title or an item that can be nothing but a status: `—— 待启动`."""
_LONGEST = 2000
"""Characters of a title or an item with a status at its end; the search takes their square."""
_COLOUR = re.compile(r"\S+\s*(?:$|[^\w\s]|[A-Z\d]|ep)")
"""A colour with a remark, and no words."""
_DATED = re.compile(r"[(（\[](?P<text>[^\W\d_]+)[\s,，:：]+(?:on |at )?[\d./年月日:-]+[)）\]]")
_NOTHING = re.compile(r"[\s*_~`:：\ufeff\u200b]*")
_NUMBER_BEHIND = re.compile(
    r"[\s*_,，:：]*(?:[^\s=]{1,12}\s*[=≈]\s*|ep(?:och)?\s*)?[+-]?\d[\w.:/%-]*\s*$", re.I
)
_PREFIX = re.compile(r"MVP[-–_ \u2011\u2212]?(?=[A-Za-z0-9])", re.I)
_PAREN = re.compile(r"[(（](?P<inside>[^()（）]*)[)）]\s*$")
_LAST_MARK = re.compile(r"(?<=\s)(?P<inside>[^\w\s(（].{0,12})$")
_ITEM = re.compile(
    r"^[ \t>]*(?:[-*+]|\d{1,3}[.)])[ \t]+(?:(?P<box>\[[ xX/-]\])[ \t]+)?"
    r"(?P<text>[^\r\n]*MVP[^\r\n]*)",
    re.M | re.I,
)
_NAMING_ITEM = re.compile(
    r"^[ \t>]*(?:[-*+]|\d{1,3}[.)])[ \t]+(?:(?P<box>\[[ xX/-]\])[ \t]+)?(?P<text>[^\r\n]+)", re.M
)
_DATE = re.compile(r"\d{4}[-./年]?\d{2}[-./月]?\d{2}")
_DAY = re.compile(
    r"[(（\[]?(?<!\d)(?:\d{4}[-./年]\s?\d{1,2}(?:[-./月]\s?\d{1,2}日?)?|20\d{6}(?!\d)"
    r"|\d{1,2}月\d{1,2}日)[)）\]]?"
)
_SHORT_DAY = re.compile(r"[(（\[]?(?:0?[1-9]|1[0-2])[-/](?:0[1-9]|[12]\d|3[01])(?![\w.-])[)）\]]?")
"""`11-30`, beside words of a day alone: a number before a title is none."""
_JOURNAL = re.compile(
    r"(?:[A-Za-z]+ ){0,2}(?:logs?|journal|diary|history|minutes|changelog|meetings?(?: notes)?"
    r"|stand-?ups?)"
    r"|[^\W\d_a-zA-Z]{0,4}(?:日志|日记|日报|周报|月报|历史|会议|纪要|时间线|记录|回顾)",
    re.I,
)
"""Titles of what was done, day by day."""
_ARROW = re.compile(r"[→⇒►▶⟶]|(?<![-─━=])[-─━=]+[>►▶]")
_NEXT = re.compile(rf"MVP|{_ARROW.pattern}", re.I)
_OF_DAY = re.compile(
    r"(?:[A-Za-z]+ )?(?:week(?: \d+)?(?: of)?|status|update|progress|review|sync|notes?)"
    r"|第?.{1,3}周|进展|更新|状态|进度",
    re.I,
)
"""Titles of the same beside a date."""
_PIECE = re.compile(r"[^│┃║|\s](?:[^│┃║|]*?[^│┃║|\s])?(?=\s{2,}|\s*[│┃║|]|\s*$)")
_TREE = re.compile(r"[│├└┌┬┴┼─━═>`+|\\\s-]*(?:→\s*)?")
_DRAWN = ("", "text", "txt", "plain", "ascii", "mermaid")
"""The languages of fenced blocks that hold no code."""
_STATUS_LINE = re.compile(
    r"[ \t>]*(?:[-*+][ \t]+)?(?P<open>\[)?[*_]{0,2}"
    r"(?:(?:当前|实验)?(?:(?P<status>status|状态)|state)|(?:进度|进展)(?=[^\d%]*$))[*_]{0,2}[ \t]*"
    r"(?P<sign>::?|：|=|[-–—](?=[ \t]))[*_]{0,2}[ \t]*"
    r"(?P<value>[^|\s](?:[^|]*[^|\s])?)\s*(?(open)\])",
    re.I,
)
"""A line on how an MVP stands: `- **Status:** ✅ Done`, `status:: done`."""
_STATUS_HEAD = re.compile(
    r"\|[ \t]*[*_]{0,2}(?:当前)?(?P<status>status|状态)[*_]{0,2}[ \t]*\|[ \t]*"
    r"(?P<value>[^|\s](?:[^|]*[^|\s])?)\s*\|[ \t]*",
    re.I,
)
"""The head of a table of an MVP's properties: `| Status | ✅ Done |`."""
_RULE = re.compile(r"\|[ \t]*:?-+:?[ \t]*\|[ \t]*:?-+:?[ \t]*\|[ \t]*")
_LONGEST_STATUS = 60
"""Characters of a line's value that may be a status in words that are not known."""


class Mark(NamedTuple):
    """A status in a text, with the brackets right behind it as its remark."""

    start: int
    end: int
    parsed: ParsedStatus
    """Offsets from `start`."""


def find_marks(
    text: str, of: tuple[int, int], vocabulary: Vocabulary, *, last: bool, title: bool = False
) -> list[Mark]:
    """The statuses right before and behind the id at `of`, and in brackets of their own.

    `last`: also those at the end of the text; `title`: or with a number behind, `✅ R²=0.70`.
    """
    groups = list(_GROUP.finditer(text))
    marks: list[Mark] = []
    for start in vocabulary.glyph_starts(text):
        if marks and start < marks[-1].end:
            continue
        group = next((g for g in groups if g.start() < start < g.end()), None)
        mark = _in_group(group, vocabulary) if group else _free(text, start, of, vocabulary, last)
        if mark:
            marks.append(mark)
    for group in groups if last else ():
        if not any(m.start < group.end() and group.start() < m.end for m in marks):
            ends = not text[group.end() :].strip(_EDGES)
            beside = ends or _is_nothing(text[of[1] : group.start()])
            mark = _in_group(group, vocabulary, remark=beside)
            marks += [mark] if mark else []
    if last and (tail := _BLOCKED_END.search(text, of[1])) and not marks:
        parsed = vocabulary.read(tail["text"])
        if parsed and parsed.status == "paused" and vocabulary.is_blocked(tail["text"]):
            marks.append(Mark(tail.start("text"), tail.end("text"), parsed))
    if last and len(text) <= _LONGEST and (tail := _STATED_END.search(text, of[1])):
        at = tail.span("text")
        inside = any(m.start < at[1] and at[0] < m.end for m in marks)
        before = (text[: tail.start()].split() or [""])[-1]
        # In code it is prose in an item, and behind a word of prose.
        inside = inside or bool(tail["code"] and (not title or before[:1].islower()))
        parsed = None if inside else vocabulary.read(tail["text"])
        if parsed and not tail["text"][parsed.end :].strip(" *_`.。"):
            marks.append(Mark(*at, parsed))
    if title and not marks:
        marks = _with_number(text, vocabulary)
    marks = _before_another(text, of, marks)
    says = {m.parsed.status for m in marks}
    own = [m for m in marks if m.start >= of[0] or text[m.start : m.end] not in COLOURS]
    # A colour before the id of an MVP with another status is a priority.
    return sorted(marks if len(says) == 1 else own or marks)


def _before_another(text: str, of: tuple[int, int], marks: list[Mark]) -> list[Mark]:
    """The marks but for those of another MVP: `MVP-1.0 ✅ → MVP-1.1 ⏳`."""
    for other in _PREFIX.finditer(text, of[1]):
        at = other.start()
        if _ARROW.search(text, of[1], at) or any(of[1] <= mark.start < at for mark in marks):
            return [mark for mark in marks if mark.start < at]
    return marks


def item_marks(text: str, of: tuple[int, int], vocabulary: Vocabulary) -> list[Mark]:
    """The statuses of an item that tells how an MVP stands.

    Its only glyph is one wherever it stands, and so are its last words: `- done`, `(done 12-01)`.
    """
    starts = vocabulary.glyph_starts(text)
    if marks := find_marks(text, of, vocabulary, last=True):
        of_prose = any(not any(m.start <= at < m.end for m in marks) for at in starts)
        beside = not re.search(r"\w", text[of[1] : marks[-1].start]) or text[marks[-1].end :]
        return [] if of_prose and not beside else marks  # `why ❌ is better than ✅`
    if len(starts) == 1 and (text[starts[0]] not in COLOURS or _COLOUR.match(text, starts[0])):
        named = re.search(r"\w", text[of[1] : starts[0]])
        parsed = vocabulary.read(text[starts[0] :])
        end = len(text.rstrip()) if named else starts[0] + (parsed.end if parsed else 0)
        return [Mark(starts[0], end, parsed)] if parsed else []
    for tail in (*_DATED.finditer(text, of[1]), _WORD_END.search(text, of[1])):
        parsed = vocabulary.read(tail["text"]) if tail else None
        if tail is None or parsed is None or tail["text"][parsed.end :].strip(" *_`."):
            continue
        name = _is_nothing(text[of[1] : tail.start()]) and folded(tail["text"]) in OF_SENTENCES
        if not name:
            return [Mark(*tail.span("text"), parsed)]
    return []


def _in_group(group: re.Match[str], vocabulary: Vocabulary, *, remark: bool = False) -> Mark | None:
    """The status that brackets hold; words only alone in them, or with a `remark`."""
    inside = group["inside"]
    parsed = vocabulary.read(inside)
    if parsed is None or parsed.loose or (inside[:1] in "[xX/- " and len(inside) < 2):
        return None
    if parsed.glyph is None and parsed.end < len(inside.rstrip()):
        opens = re.match(r"\s*[,，;；:：]", inside[parsed.end :]) or parsed.status == "paused"
        sure = remark and opens_remark(inside, parsed) and is_sure(inside, parsed, vocabulary)
        if not (sure or (opens and vocabulary.is_blocked(inside))):
            return None
    return Mark(group.start("inside"), group.end("inside"), parsed)


def unclear_status(text: str, vocabulary: Vocabulary) -> str:
    """What brackets at the end of a text hold that opens as a status and is not sure to be one."""
    group = next((g for g in _GROUP.finditer(text) if not text[g.end() :].strip(_EDGES)), None)
    parsed = vocabulary.read(group["inside"]) if group else None
    return group["inside"] if group and parsed and opens_remark(group["inside"], parsed) else ""


def _free(
    text: str, start: int, of: tuple[int, int], vocabulary: Vocabulary, last: bool
) -> Mark | None:
    """The status that begins with the glyph at `start`, where its place makes it one."""
    parsed = vocabulary.read(text[start:])
    if parsed is None or parsed.loose:
        return None
    parts = read_status_text(text[start:], parsed, vocabulary)
    end = start + len(parts.before + parts.status)
    if start < of[0]:
        return Mark(start, end, parsed) if _is_nothing(text[end : of[0]]) else None
    whole = _GROUPS.match(text, end).end()  # type: ignore[union-attr]  # matches the empty string
    if _is_nothing(text[of[1] : start]) or (last and _is_nothing(text[whole:])):
        return Mark(start, whole, parsed)
    return None


def _with_number(text: str, vocabulary: Vocabulary) -> list[Mark]:
    """The only status of a title with a number behind it, whatever stands before."""
    starts = vocabulary.glyph_starts(text)
    parsed = vocabulary.read(text[starts[0] :]) if len(starts) == 1 else None
    if parsed is None or text[starts[0]] in COLOURS or parsed.status == "partial":
        return []
    behind = _NUMBER_BEHIND.match(text, starts[0] + parsed.end)
    return [Mark(starts[0], len(text.rstrip()), parsed)] if behind else []


def _is_nothing(text: str) -> bool:
    return _NOTHING.fullmatch(text) is not None


@dataclass(frozen=True)
class HeadingStatus:
    """The status at the end of a heading: `(🚀 运行中)`."""

    span: Span
    """From the status to the end of the parentheses."""
    text: str
    parsed: ParsedStatus
    """Offsets in `text`."""


def heading_status(heading: Heading, vocabulary: Vocabulary) -> HeadingStatus | None:
    """The status at the end of a heading, in parentheses or as a glyph; None for none."""
    in_parentheses = _PAREN.search(heading.title)
    match = in_parentheses or _LAST_MARK.search(heading.title)
    if match is None:
        return None
    start = heading.span.start + match.start("inside")
    text = match["inside"]
    parsed = vocabulary.read(text)
    if parsed is None or parsed.loose:
        return None
    if parsed.end < len(text.rstrip()) and (parsed.glyph is None or not in_parentheses):
        sure = opens_remark(text, parsed) and is_sure(text, parsed, vocabulary)
        if not (in_parentheses and sure):
            return None  # it only starts like a status: `(完成 3 个)`, `📋 MVP list`
    return HeadingStatus(Span(start, start + len(text)), text, parsed)


def id_span(text: str, ids: IdIndex, vocabulary: Vocabulary) -> tuple[str, tuple[int, int]] | None:
    """The known id that a text opens with, and where it stands: with its prefix, or an exp_id.

    Before it there may be a status.
    """
    prefix, named = _PREFIX.search(text), ids.experiment_in(text)
    if named and (prefix is None or named[1][0] < prefix.start()):
        mvp, of = named
    else:
        opening = ids.opening(text[prefix.start() :]) if prefix else None
        if opening is None or prefix is None:
            return None
        mvp, of = opening[0], (prefix.start(), prefix.end() + len(opening[0]))
    before = text[: of[0]]
    if re.search(r"\w", before):
        parsed = vocabulary.read(before)
        if parsed is None or not _is_nothing(before[parsed.end :]):
            return None
    return mvp, of


class Found(NamedTuple):
    """A status of an MVP at an offset of the document."""

    mvp: str
    kind: str
    """`task` for a box, else `item` or `diagram`."""
    at: int
    end: int
    parsed: ParsedStatus
    shared: tuple[str, ...] = ()
    """The MVPs, where it is the status of several: `MVP-1.1/1.2 ✅`."""
    where: Hashable = None
    """The same for items or branches beside each other."""
    words: str = ""
    """What stands behind the id."""


def in_items(
    document: Document, vocabulary: Vocabulary, ids: IdIndex, own: Container[int] = ()
) -> Iterator[Found]:
    """The boxes of list items that open with an MVP, and the statuses written beside its id.

    `own`: the 0-based lines of those that tell how their MVP stands, also at their end.
    """
    inside = set(document.hidden_lines)
    for fence in document.fences:
        inside.update(range(fence.first, fence.last))
    starts = [heading.index for heading in document.headings]
    for item in (*_ITEM.finditer(document.text), *_items_of_experiments(document, ids)):
        opening = id_span(item["text"], ids, vocabulary)
        index = document.line_of(item.start("text")) - 1
        if opening is None or index in inside:
            continue
        mvp, of = opening
        several = several_ids(item["text"][of[0] :])
        base = item.start("text")
        if index in own:
            marks = item_marks(item["text"], of, vocabulary)
        else:
            marks = find_marks(item["text"], of, vocabulary, last=bool(item["box"]))
        lead = base - document.line_span(index).start - bool(item["box"]) * len("[ ] ")
        beside = bisect(starts, index), lead, words_behind(item["text"], of, marks)
        more = several, beside[:2], beside[2]
        if item["box"] and (box := vocabulary.read(item["box"])):
            yield Found(mvp, "task", item.start("box"), item.end("box"), box, *more)
        for mark in marks:
            yield Found(mvp, "item", base + mark.start, base + mark.end, mark.parsed, *more)


def _items_of_experiments(document: Document, ids: IdIndex) -> Iterator[re.Match[str]]:
    """The list items that name an experiment and no MVP; those below a date are history."""
    for item in _NAMING_ITEM.finditer(document.text) if ids.experiments else ():
        if "MVP" not in item["text"].upper() and ids.experiment_in(item["text"]):
            yield from () if _is_dated(document, item.start("text")) else (item,)


def past_lines(document: Document) -> frozenset[int]:
    """The 0-based lines below headings of what was done then: `2026-01-03`, `Log`, `周报`."""
    past = (h for h in document.headings[1:] if _is_of_past(h.title))
    return frozenset(i for h in past for i in range(h.index + 1, document.section_end(h)))


@lru_cache(4096)
def _is_of_past(title: str) -> bool:
    title = re.sub(
        r"^[\W_]*(?:\d{1,2}(?:\.\d{1,2})+\.?|\d{1,2}[.、)]?)\s+(?=[^\W\d])", "", plain(title)
    )
    words = re.sub(r"^[^\w(（]+", "", title).strip()
    if _DAY.match(words):
        return True
    rest = _SHORT_DAY.sub("", _DAY.sub("", words)).strip(" -–—~～:：,，()（）[]至到")
    if _JOURNAL.fullmatch(rest):
        return True
    return rest != words and (not rest or _OF_DAY.fullmatch(rest) is not None)


def of_parts(
    texts: Sequence[tuple[str, Hashable, str]], names: Mapping[str, str]
) -> frozenset[int]:
    """Which texts are of parts of their MVP, as `data` and `training` beside each other.

    `texts`: MVP, where it stands, and what is behind its id, of each; `names`: MVP -> its name.
    """
    groups: dict[tuple[str, Hashable], dict[int, str]] = {}
    for number, (mvp, where, text) in enumerate(texts):
        if text:
            groups.setdefault((mvp, where), {})[number] = text
    found: set[int] = set()
    for (mvp, _), group in groups.items():
        if len(set(group.values())) > 1:
            name = _words(names.get(mvp, ""))
            whole = {text for text in group.values() if name and name in text}
            found |= {n for n, text in group.items() if len(whole) != 1 or text not in whole}
    return frozenset(found)


def words_behind(text: str, of: tuple[int, int], marks: Sequence[Mark]) -> str:
    """What an item or title says behind an id besides statuses, for `of_parts`."""
    for mark in sorted(marks, reverse=True):
        text = text[: mark.start] + text[mark.end :] if mark.start >= of[1] else text
    return _words(_NEXT.split(text[of[1] :], maxsplit=1)[0])


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", folded(plain(text))))


def _is_dated(document: Document, offset: int) -> bool:
    """Whether the last heading above an offset has a date: what is listed there was done then."""
    above = [h for h in document.headings if h.span.start < offset]
    return bool(above) and _DATE.search(above[-1].title) is not None


def in_diagrams(
    document: Document, vocabulary: Vocabulary, ids: IdIndex, boards: set[int]
) -> Iterator[Found]:
    """The statuses beside an id in trees and boxes in fenced blocks; `boards`: lines of boards."""
    for fence in document.fences:
        language = document.line_text(fence.first).lstrip(" \t>`~").strip().casefold()
        if fence.first in boards or language not in _DRAWN:
            continue
        for index in range(*fence.content):
            line = document.line_text(index)
            if "MVP" not in line.upper() or index in boards:
                continue
            base = document.line_span(index).start
            for piece in _PIECE.finditer(line):
                lead = _TREE.match(piece.group()).end()  # type: ignore[union-attr]
                text = piece.group()[lead:]
                if opening := id_span(text, ids, vocabulary):
                    mvp, of = opening
                    at, several = base + piece.start() + lead, several_ids(text[of[0] :])
                    marks = find_marks(text, of, vocabulary, last=True)
                    beside = fence.first, words_behind(text, of, marks)
                    for mark in marks:
                        span = at + mark.start, at + mark.end
                        yield Found(mvp, "diagram", *span, mark.parsed, several, *beside)


def status_lines(
    document: Document, vocabulary: Vocabulary, first: int, end: int
) -> Iterator[HeadingStatus]:
    """The statuses in lines of their own between two 0-based lines."""
    for index, match in _lines_on_status(document, first, end):
        parsed = vocabulary.read(match["value"])
        sure = parsed and (parsed.glyph or match.re is _STATUS_LINE)  # not `| Status | Done |`
        if parsed and sure and not parsed.loose:
            start = document.line_span(index).start + match.start("value")
            yield HeadingStatus(Span(start, start + len(match["value"])), match["value"], parsed)


def unread_statuses(document: Document, first: int, end: int) -> Iterator[str]:
    """The texts of lines that name a status, between two 0-based lines."""
    for _, match in _lines_on_status(document, first, end):
        plain_line = match.re is _STATUS_LINE and match["sign"][0] in ":："
        is_code = match.string.startswith(("    ", "\t"))
        if plain_line and match["status"] and not is_code:
            yield from [match["value"]] * (len(match["value"]) <= _LONGEST_STATUS)


def _lines_on_status(
    document: Document, first: int, end: int
) -> Iterator[tuple[int, re.Match[str]]]:
    """(0-based line, match) of the lines on a status between two 0-based lines."""
    for index in range(first, end):
        if index not in document.hidden_lines:
            line = document.line_text(index)
            match = _STATUS_LINE.fullmatch(line)
            if match is None and index + 1 < end and _RULE.fullmatch(document.line_text(index + 1)):
                match = _STATUS_HEAD.fullmatch(line)
            if match:
                yield index, match
