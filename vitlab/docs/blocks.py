"""Which lines of a markdown text are tables, headings and fences, by markdown-it-py's own rules."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.common.utils import mdTrim
from markdown_it.rules_block import StateBlock, table


@dataclass(frozen=True)
class BlockMap:
    """0-based lines, end excluded, of the blocks this program reads."""

    tables: tuple[tuple[int, int], ...]
    headings: tuple[tuple[int, int], ...]
    """(level, first line)."""
    fences: tuple[tuple[int, int], ...]


def _table_lines(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """markdown-it-py's own rule for what is a table and where it ends, without a token per cell."""
    if not table(state, start, end, True):
        return False
    if silent:
        return True
    parent, state.parentType = state.parentType, "table"
    enders = state.md.block.ruler.getRules("blockquote")
    line = start + 2
    while line < end and state.sCount[line] >= state.blkIndent:
        first = state.bMarks[line] + state.tShift[line]
        text = mdTrim(state.src[first : state.eMarks[line]])
        # No block begins with a pipe, so a row that does ends nothing.
        ended = not text or (text[0] != "|" and any(e(state, line, end, True) for e in enders))
        if ended or state.is_code_block(line):
            break
        line += 1
    token = state.push("table_open", "table", 0)
    token.map = [start, line]
    state.parentType = parent
    state.line = line
    return True


@cache
def _parser() -> MarkdownIt:
    # Blocks only: cells and headings are read by our own column finder, which knows their spans,
    # and inline parsing is two thirds of the cost.
    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.enableOnly(["normalize", "block"])
    parser.block.ruler.at("table", _table_lines, {"alt": ["paragraph", "reference"]})
    return parser


def map_blocks(text: str) -> BlockMap:
    """The blocks of a text; a BOM in front hides nothing."""
    tables, headings, fences = [], [], []
    for token in _parser().parse(text.removeprefix("\ufeff")):
        if token.map is None:
            continue
        first, last = token.map
        if token.type == "table_open":
            tables.append((first, last))
        elif token.type == "heading_open":
            headings.append((int(token.tag[1]), first))
        elif token.type == "fence":
            fences.append((first, last))
    return BlockMap(tuple(tables), tuple(headings), tuple(fences))
