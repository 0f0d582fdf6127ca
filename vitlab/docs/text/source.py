"""The text of a document: its lines, and where its tables, headings and fenced blocks are."""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.common.utils import mdTrim
from markdown_it.rules_block import StateBlock, table

from vitlab.contract.paths import UsageError
from vitlab.contract.reading import read_opened, whole

_FRONT_MATTER = re.compile(
    r"\ufeff?(?P<fence>---|\+\+\+)[ \t]*(?:\r\n|\r|\n)"
    # Keys and what belongs to them: a rule at the top of a page opens no front matter.
    r"(?=[\w-]+[ \t]*[:=]|(?:#[^\r\n]*(?:\r\n|\r|\n)){1,20}[a-z][\w-]*[ \t]*[:=])"
    r"(?:(?:[\w .\"'-]+[:=]|[ \t#\]}]|-[ \t])[^\r\n]*(?:\r\n|\r|\n)|(?:\r\n|\r|\n)){1,200}?"
    r"(?P=fence)[ \t]*(?=[\r\n]|\Z)"
)
_PRE = re.compile(r"\s*<(?:pre|script|style)\b", re.I)
_HIDDEN = re.compile(
    r"^[ \t]*%%(?:[^\r\n%]*%%|[ \t]*[\r\n].{0,10000}?^[ \t]*%%[ \t]*$)", re.M | re.S
)
"""A comment of Obsidian."""
_BLOCK_START = re.compile(r"[ \t>]*(?:[-*+]|\d{1,9}[.)])?[ \t]*")
_PARAGRAPH_END = re.compile(r"\n[ \t>]*\r?\n")
_NOT_LINE_ENDS = re.compile(r"[^\r\n]")


@dataclass(frozen=True)
class BlockMap:
    """The blocks of a text, as 0-based lines with the end excluded."""

    tables: tuple[tuple[int, int], ...]
    headings: tuple[tuple[int, int], ...]
    """(level, first line)."""
    fences: tuple[tuple[int, int], ...]
    codes: tuple[tuple[int, int], ...]
    """Code without a fence: indented, or in `<pre>`."""


def _table_rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """markdown-it-py's rule for where a table ends, without making a token for every cell."""
    if not table(state, start, end, True):
        return False
    if silent:
        return True
    parent, state.parentType = state.parentType, "table"
    terminators = state.md.block.ruler.getRules("blockquote")
    line = start + 2
    while line < end and state.sCount[line] >= state.blkIndent:
        text = _state_line(state, line)
        if text.startswith("<!--") and (after := _after_comment(state, line, end)):
            line = after  # a row that is commented out ends no table
            continue
        # No block begins with a pipe, so the other rules need not be tried on such a row.
        ended = not text or (
            text[0] != "|" and any(rule(state, line, end, True) for rule in terminators)
        )
        if ended or state.is_code_block(line):
            break
        line += 1
    token = state.push("table_open", "table", 0)
    token.map = [start, line]
    state.parentType = parent
    state.line = line
    return True


def _state_line(state: StateBlock, line: int) -> str:
    first = state.bMarks[line] + state.tShift[line]
    return str(mdTrim(state.src[first : state.eMarks[line]]))


def _after_comment(state: StateBlock, line: int, end: int) -> int:
    """The line after a comment that fills whole lines; 0 where it does not, or has no end."""
    for number in range(line, end):
        text = _state_line(state, number)
        if "-->" in text:
            return number + 1 if text.endswith("-->") else 0
    return 0


@cache
def _parser() -> MarkdownIt:
    # Blocks only: cells are read by `tables`, which knows their spans, and inline parsing would
    # take two thirds of the time.
    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.enableOnly(["normalize", "block"])
    parser.block.ruler.at("table", _table_rule, {"alt": ["paragraph", "reference"]})
    return parser


@lru_cache(maxsize=2)  # an edit looks at a text and what becomes of it several times
def map_blocks(text: str) -> BlockMap:
    """The blocks of a text; a BOM is ignored, and front matter has none."""
    tables, headings, fences, codes = [], [], [], []
    text = text.removeprefix("\ufeff")
    if matter := _FRONT_MATTER.match(text):
        text = _NOT_LINE_ENDS.sub("", matter.group()) + text[matter.end() :]
    for token in _parser().parse(text):
        if token.map is None:
            continue
        first, last = token.map
        if token.type == "table_open":
            tables.append((first, last))
        elif token.type == "heading_open":
            headings.append((int(token.tag[1]), first))
        elif token.type == "fence":
            fences.append((first, last))
        elif token.type == "code_block" or _PRE.match(token.content):
            codes.append((first, last))
    return BlockMap(tuple(tables), tuple(headings), tuple(fences), tuple(codes))


MAX_LINE = 100_000
"""Characters of a line; a document with a longer one is refused."""
MAX_PIPES = 2_000_000
"""Cells of tables, each of which takes 250 bytes; a document with more is refused."""
_NEWLINE = re.compile(r"\r\n|\r|\n")
_CJK = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_LATIN = re.compile(r"[A-Za-z]{2,}")
_PROSE = re.compile(r"`[^`\n]*`|\]\([^)\n]{0,300}\)|https?://\S+")
_ATX = re.compile(
    r"[\s>\ufeff]*(?:[-*+]\s+|\d+[.)]\s+)?#{1,6}(?:[ \t]+|$)(.*?)(?:[ \t]+#+)?[ \t]*$"
)


class Span(NamedTuple):
    """A range of characters in a document, end excluded."""

    start: int
    end: int


@dataclass(frozen=True)
class Heading:
    """A heading: its level (1-6), its 0-based line, and its title as written."""

    level: int
    index: int
    span: Span
    title: str


@dataclass(frozen=True)
class Fence:
    """A fenced block: 0-based lines from the opening fence to past the closing one."""

    first: int
    last: int
    content: tuple[int, int]
    """0-based lines inside it, end excluded."""


@dataclass(frozen=True)
class Document:
    """A text with its lines and blocks; `text` is never changed."""

    text: str
    path: Path | None = None
    encoding: str = "utf-8"
    """How the file holds the text."""

    @property
    def name(self) -> str:
        """Its name in messages."""
        return str(self.path) if self.path is not None else "the document"

    @cached_property
    def lines(self) -> tuple[Span, ...]:
        """The span of every line without its end; only CR LF, CR and LF end a line."""
        spans: list[Span] = []
        start = 0
        for end in _NEWLINE.finditer(self.text):
            spans.append(Span(start, end.start()))
            start = end.end()
        if start < len(self.text):
            spans.append(Span(start, len(self.text)))
        return tuple(spans)

    @cached_property
    def _starts(self) -> list[int]:
        return [span.start for span in self.lines]

    def line_span(self, index: int) -> Span:
        """The span of line `index` (0-based) without its end."""
        return self.lines[index]

    def line_text(self, index: int) -> str:
        """Line `index` (0-based) without its end."""
        return self.slice(self.lines[index])

    def line_of(self, offset: int) -> int:
        """The 1-based line of character `offset`."""
        return max(1, bisect.bisect_right(self._starts, offset))

    def slice(self, span: Span) -> str:
        """The text of a span."""
        return self.text[span.start : span.end]

    @cached_property
    def newline(self) -> str:
        """The most common line end; `\\n` where there is none."""
        ends = _NEWLINE.findall(self.text)
        return max(("\n", "\r\n", "\r"), key=ends.count) if ends else "\n"

    @cached_property
    def language(self) -> str:
        """`zh` or `en`: Chinese from one word in eight on, not counting code and addresses."""
        prose = _PROSE.sub(" ", self.text)
        chinese = len(_CJK.findall(prose)) / 2
        return "zh" if chinese > 0 and chinese * 8 >= len(_LATIN.findall(prose)) else "en"

    @cached_property
    def _map(self) -> BlockMap:
        return map_blocks(self.text)

    @property
    def tables(self) -> tuple[tuple[int, int], ...]:
        """The 0-based lines of every table, end excluded."""
        return self._map.tables

    @cached_property
    def headings(self) -> tuple[Heading, ...]:
        """Every heading, in order."""
        headings = []
        for level, first in self._map.headings:
            if first >= len(self.lines):
                continue
            line = self.lines[first]
            match = _ATX.match(self.slice(line))
            if match:
                span = Span(line.start + match.start(1), line.start + match.end(1))
            else:
                raw = self.slice(line)
                lead = len(raw) - len(raw.lstrip())
                span = Span(line.start + lead, line.start + max(lead, len(raw.rstrip())))
            headings.append(Heading(level, first, span, self.slice(span)))
        return tuple(headings)

    @cached_property
    def fences(self) -> tuple[Fence, ...]:
        """Every fenced block, in order."""
        fences = []
        for first, last in self._map.fences:
            last = min(last, len(self.lines))
            marker = self.line_text(first).lstrip(" \t>")[:3]
            closed = last - first > 1 and self.line_text(last - 1).lstrip(" \t>").startswith(marker)
            fences.append(Fence(first, last, (first + 1, last - 1 if closed else last)))
        return tuple(fences)

    @cached_property
    def comments(self) -> tuple[Span, ...]:
        """Every HTML comment outside code; one that opens within a line ends in its paragraph."""
        if "<!--" not in self.text:
            return ()
        code = [(self.lines[f.first].start, self.lines[f.last - 1].end) for f in self.fences]
        spans = []
        at, end, stop = 0, -1, 0
        while (start := self.text.find("<!--", at)) >= 0:
            end = end if end >= start + 4 else self.text.find("-->", start + 4)
            if end < 0:
                break
            at = end + 3
            before = self.text[self.lines[self.line_of(start) - 1].start : start]
            in_code = before.count("`") % 2 or any(first <= start < last for first, last in code)
            if stop <= start:
                found = _PARAGRAPH_END.search(self.text, start)
                stop = found.start() if found else len(self.text)
            in_row = before.lstrip(" \t>").startswith("|")
            last = self.text.find("\n", start, stop) if in_row else stop
            if in_code:
                at = start + 1
            elif not _BLOCK_START.fullmatch(before) and -1 < last < at:
                at = self.lines[self.line_of(start) - 1].end  # so does no later one of its line
            else:
                spans.append(Span(start, at))
        return tuple(spans)

    @cached_property
    def hidden_lines(self) -> frozenset[int]:
        """The 0-based lines that a comment fills."""
        lines: set[int] = set()
        for span in self.comments:
            first, last = self.line_of(span.start) - 1, self.line_of(span.end - 1) - 1
            if self.text[self.lines[first].start : span.start].strip(" \t>"):
                first += 1
            if self.text[span.end : self.lines[last].end].strip():
                last -= 1
            lines.update(range(first, last + 1))
        return frozenset(lines)

    @cached_property
    def prose(self) -> str:
        """The text with comments, code and front matter blank, every offset kept."""
        matter = _FRONT_MATTER.match(self.text)
        spans = [Span(*matter.span())] if matter else []
        spans += [Span(self.lines[f.first].start, self.lines[f.last - 1].end) for f in self.fences]
        spans += [Span(self.lines[first].start, self.lines[min(last, len(self.lines)) - 1].end)
                  for first, last in self._map.codes]  # fmt: skip
        spans += [Span(*hidden.span()) for hidden in _HIDDEN.finditer(self.text)]
        pieces, end = [], 0
        for span in sorted([*spans, *self.comments]):
            if span.end > end:
                start = max(span.start, end)
                blank = _NOT_LINE_ENDS.sub(" ", self.text[start : span.end])
                pieces += [self.text[end:start], blank]
                end = span.end
        return "".join([*pieces, self.text[end:]])

    @cached_property
    def front_matter_end(self) -> int:
        """The number of lines of front matter; 0 for none."""
        matter = _FRONT_MATTER.match(self.text)
        return self.line_of(matter.end() - 1) if matter else 0

    def section_end(self, heading: Heading) -> int:
        """The 0-based line where a heading's section ends: at the next of its level or above."""
        return self._section_ends[heading.index]

    @cached_property
    def _section_ends(self) -> dict[int, int]:
        """The end of each heading's section, by its line."""
        ends: dict[int, int] = {}
        following: list[Heading] = []  # above each other, the nearest last
        for heading in reversed(self.headings):
            while following and following[-1].level > heading.level:
                following.pop()
            ends[heading.index] = following[-1].index if following else len(self.lines)
            following.append(heading)
        return ends


def read(path: Path, *, edit: bool = False) -> Document:
    """The document in a file, every character kept; UsageError when it cannot be read.

    A program that writes it in place now is waited for. One that does not end: a look takes what is
    there, an `edit` nothing; nor one of a file with a conflict that git has left.
    """
    try:
        with whole(path, edit=edit) as (descriptor, is_whole):
            data = read_opened(descriptor, path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error})") from None
    if not is_whole and (edit or not data):
        empty = "is empty, and " * (not data)
        raise UsageError(f"{path}: {empty}another program is writing it now; try again")
    document = decode(data, path)
    if edit and (broken := broken_at(document.text)):
        raise UsageError(f"{path}:{broken[0]}: {broken[1]}")
    return document


CONFLICT = "a conflict that git has left; nothing is written until it is resolved"
HOLE = "a hole of zeros, as a power loss leaves; nothing is written until it is mended"
ZEROS = "\0" * 16
_SIDES = [re.compile(rf"^{mark}", re.MULTILINE) for mark in ("<{7} ", r"={7}\r?$", ">{7} ")]


def broken_at(text: str) -> tuple[int, str] | None:
    """The 1-based line of a conflict that git has left, or of a hole, and what it is."""
    at, found = 0, list[re.Match[str]]()
    for side in _SIDES:
        if not (match := side.search(text, at)):
            break
        found.append(match)
        at = match.end()
    hole = text.find(ZEROS)
    if len(found) < len(_SIDES) and hole < 0:
        return None
    start, why = (hole, HOLE) if hole >= 0 else (found[0].start(), CONFLICT)
    return text.count("\n", 0, start) + 1, why


def decode(data: bytes, path: Path | None = None) -> Document:
    """The document in the bytes of a file; UsageError names the byte that is not UTF-8.

    A Chinese text in GBK is read and written back as such, by GB 18030, which has every emoji too.
    """
    try:
        return _bounded(Document(data.decode("utf-8"), path))
    except UnicodeDecodeError as error:
        text = _chinese(data)
        if text is not None:
            return _bounded(Document(text, path, "gb18030"))
        raise UsageError(
            f"{path}: not UTF-8, byte 0x{data[error.start]:02x} at offset {error.start}, "
            "and not GBK; save it as UTF-8 first"
        ) from None


def _bounded(document: Document) -> Document:
    if len(document.text) > MAX_LINE:
        for number, line in enumerate(_NEWLINE.split(document.text), 1):
            if len(line) > MAX_LINE:
                raise UsageError(
                    f"{document.name}:{number}: a line of {len(line):,} characters, "
                    f"more than {MAX_LINE:,}; keep pictures in separate files"
                )
    if (pipes := document.text.count("|")) > MAX_PIPES:
        text = f"{pipes:,} cells of tables, more than {MAX_PIPES:,}"
        raise UsageError(f"{document.name}: {text}; keep data in separate files")
    return document


def _chinese(data: bytes) -> str | None:
    """The text of a Chinese file in GBK; None when it is not clearly one."""
    damaged = data.decode("utf-8", "replace")
    if 2 * damaged.count("\ufffd") < sum(letter > "\x7f" for letter in damaged):
        return None  # mostly UTF-8, and broken somewhere
    try:
        text = data.decode("gb18030")
        if text.encode("gb18030") != data:
            return None
    except UnicodeError:
        return None
    # Words of other languages decode too, as lone or rare signs.
    signs = _CJK.findall(text)
    beside = sum(len(run) for run in re.findall(rf"{_CJK.pattern}{{2,}}", text))
    common = sum(_is_common(sign) for sign in signs)
    return text if min(beside * 2, common * 10 // 9) >= len(signs) > 0 else None


def _is_common(sign: str) -> bool:
    """Whether it is one of the 6,763 signs of GB 2312."""
    try:
        sign.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return True
