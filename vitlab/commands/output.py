"""How commands print: JSON for programs, aligned tables for people."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Protocol


class Commands(Protocol):
    """What `add_subparsers` returns, as far as the command modules use it."""

    def add_parser(self, name: str, *, help: str) -> argparse.ArgumentParser: ...  # noqa: A002


def add_json(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def print_json(value: object) -> None:
    json.dump(value, sys.stdout, ensure_ascii=False, indent=1, allow_nan=False)
    print()


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Left-aligned columns by display width, so that Chinese and emoji cells line up."""
    cells = [[_plain(cell) for cell in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(header, *cells, strict=True)]
    for row in [list(header), *cells]:
        padded = (cell + " " * (w - _width(cell)) for cell, w in zip(row, widths, strict=True))
        print("  ".join(padded).rstrip())


def number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _plain(cell: object) -> str:
    """One line without control characters: a document's text must not steer the terminal."""
    text = "-" if cell is None else str(cell)
    return "".join(c if c.isprintable() else " " for c in text)


def _width(text: str) -> int:
    from wcwidth import wcswidth

    return max(wcswidth(text), 0)
