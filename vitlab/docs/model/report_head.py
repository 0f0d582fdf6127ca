"""Where the report of one experiment says how that experiment stands: its title and its head."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vitlab.docs.model.ids import IdIndex, exp_ids, new_id
from vitlab.docs.model.status_marks import Found, find_marks
from vitlab.docs.model.vocabulary import Vocabulary
from vitlab.docs.text.source import Document, Heading

_HEAD_LINES = 60
"""Lines in which the head of a report without headings may be."""
_FIELD = re.compile(
    r"(?:^|(?<=[|｜·]))(?:[ \t>#+-]|\*[ \t])*(?P<mark>\*{1,3}|_{1,3}|`)?"
    r"(?P<label>[^\s*_:：|｜>#+-][^:：|｜\r\n]{0,24}?)"
    r"[*_`]{0,3}[ \t]*(?:[:：](?(mark)(?:(?P=mark))?)[ \t]*|\|[ \t]*)[\"']?"
    r"(?P<value>[^|｜·\r\n]*?)[\"']?[ \t]*(?=[|｜·]|$)"
)
_WHOLE = re.compile(
    r"(?:实验|当前|整体|mvp|experiment|current|overall)\s*(?=状态|进度|status|state)", re.I
)
_OTHER = re.compile(r"gate|门控|假设|hypothes|(?<![A-Za-z])H-?\d|runs?(?![a-z])", re.I)
"""Headings below which a status is that of something else."""
_TITLE_OF_ONE = re.compile(r"\W*MVP[-–_ ]?[\w.-]*\w\s*(?:[:：—–|(（]|$)", re.I)
_ID = re.compile(r"(?:(?:exp(?:eriment)?|run|report|实验|报告)[ _-]?)?(?:ids?|编号)", re.I)


def is_of_something_else(title: str) -> bool:
    """Whether a status below this heading is that of a gate, a hypothesis or a run."""
    return bool(_OTHER.search(title))


def head_lines(document: Document) -> range:
    """The 0-based lines of a report's head: to the first heading after its title."""
    titled = document.headings[:1] if _opens(document) else ()
    after = [h.index for h in document.headings[len(titled) :]]
    return range(min([*after, len(document.lines), _HEAD_LINES]))


def _opens(document: Document) -> bool:
    """Whether nothing but front matter and empty lines stands before the first heading."""
    first = next(iter(document.headings), None)
    lines = range(document.front_matter_end, first.index) if first else ()
    return first is not None and not any(document.line_text(i).strip() for i in lines)


def own_experiments(document: Document) -> tuple[str, ...]:
    """The experiment ids that a report has of its own: in its title or a field `ID` or `exp_id`.

    One that another field names, such as a baseline, is somebody else's.
    """
    found = list(exp_ids(document.headings[0].title)) if _opens(document) else []
    for index in head_lines(document):
        for field in _FIELD.finditer(document.line_text(index)):
            if _ID.fullmatch(re.sub(r"[*_`]", "", field["label"]).strip()):
                found += exp_ids(field["value"])
    return tuple(dict.fromkeys(found))


def own_mvp(document: Document, ids: IdIndex) -> str | None:
    """The MVP that a report's title (`MVP-1.0: name`) or its field `MVP` names alone, if one does.

    A title that says more of it (`Data of MVP-1.0`) may be of something else.
    """
    title = document.headings[0].title if _opens(document) else ""
    opening = new_id(title) if _TITLE_OF_ONE.match(title) else None
    found = {opening[0]} if opening else set()
    for index in head_lines(document):
        for field in _FIELD.finditer(document.line_text(index)):
            if re.sub(r"[*_`]", "", field["label"]).strip().casefold() == "mvp":
                found.update(ids.refs(field["value"]))
    return found.pop() if len(found) == 1 else None


def in_head(document: Document, vocabulary: Vocabulary, mvp: str) -> Iterator[Found]:
    """The statuses of the experiment whose report this is, outside tables of a known kind."""
    head = head_lines(document)
    hidden = set(document.hidden_lines) - set(range(document.front_matter_end))
    for fence in document.fences:
        hidden.update(range(fence.first, fence.last))
    if _opens(document):
        yield from _in_title(document.headings[0], vocabulary, mvp)
    for index in head:
        if index not in hidden:
            yield from _in_line(document, index, vocabulary, mvp, named=False)
    titles = {heading.index: heading.title for heading in document.headings}
    elsewhere = False
    for index in range(head.stop, len(document.lines)):
        if index in titles:
            elsewhere = is_of_something_else(titles[index])
        if index not in hidden and not elsewhere and _WHOLE.search(document.line_text(index)):
            yield from _in_line(document, index, vocabulary, mvp, named=True)


def _in_title(title: Heading, vocabulary: Vocabulary, mvp: str) -> Iterator[Found]:
    if "MVP" not in title.title.upper():  # that of an MVP's section is read as such
        for mark in find_marks(title.title, (0, 0), vocabulary, last=True):
            at = title.span.start
            yield Found(mvp, "head", at + mark.start, at + mark.end, mark.parsed)


def _in_line(
    document: Document, index: int, vocabulary: Vocabulary, mvp: str, *, named: bool
) -> Iterator[Found]:
    """The values of the fields of a line that are called status; `named`: `实验状态` alone."""
    base = document.line_span(index).start
    for field in _FIELD.finditer(document.line_text(index)):
        label = re.sub(r"[*_`]", "", field["label"]).strip()
        bare = _WHOLE.sub("", label)
        if "status" not in vocabulary.columns([bare]) or (named and bare == label):
            continue
        parsed = vocabulary.read(field["value"])
        if parsed and not parsed.loose:
            yield Found(mvp, "head", base + field.start("value"), base + field.end("value"), parsed)
