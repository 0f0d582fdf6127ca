"""Which lines of a markdown text are tables, headings and fences, by markdown-it-py's own rules."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from markdown_it import MarkdownIt


@dataclass(frozen=True)
class BlockMap:
    """0-based lines, end excluded, of the blocks this program reads."""

    tables: tuple[tuple[int, int], ...]
    headings: tuple[tuple[int, int], ...]
    """(level, first line)."""
    fences: tuple[tuple[int, int], ...]


@cache
def _parser() -> MarkdownIt:
    # Blocks only: cells and headings are read by our own column finder, which knows their spans,
    # and inline parsing is two thirds of the cost.
    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.enableOnly(["normalize", "block"])
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
