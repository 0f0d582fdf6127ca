"""Lines a script prints with numbers in them, as regular expressions that find these numbers."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

_STD_IN_LOG = re.compile(r"(?i)((?:label|target|y|log_?g)s?[ _]?(?:std|sigma|scale))\s*[:=]\s*$")
PERCENT = r"%[-+# 0]*\d*(?:\.\d+)?[sdifgeEGr]"
_SPLIT = r"(?i:train|val|valid|validation|test)"
_WORD_BEFORE = re.compile(rf"((?:\b{_SPLIT}[ _-]+)?[A-Za-z][\w./@-]*)(\s*[:=]\s*|\s+)$")
"""What names a printed value: the word before it, with its split."""
_SPLIT_BEFORE = re.compile(rf"([A-Za-z][\w./@-]*\s*[(\[]({_SPLIT})[)\]])(\s*[:=]\s*|\s+)$")
"""The same where the split stands behind the word: `R2 (test): `."""
_UNIT_AFTER = re.compile(r"\s*(dex|K)\b")
_NUMBER = r"[^\s,;|)\]]+"


def parts_of(node: ast.expr) -> list[str | None]:
    """A printed text in parts, None where a value stands; empty where it is no such text."""
    match node:
        case ast.JoinedStr(values=values):
            return [str(constant(v)) if isinstance(v, ast.Constant) else None for v in values]
        case ast.BinOp(left=ast.Constant(value=str(text)), op=ast.Mod()):
            return split_text(PERCENT, text)
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(text)), attr="format")):
            return split_text(r"\{[^{}]*\}", text)
    return []


def split_text(pattern: str, text: str) -> list[str | None]:
    """A template in parts, None for each `pattern`, where a value stands."""
    parts: list[str | None] = []
    for i, part in enumerate(re.split(pattern, text)):
        parts += [None, part] if i else [part]
    return parts


def line_pattern(parts: Sequence[str | None]) -> tuple[str, str]:
    """Regular expressions for a printed line's numbers, and for its label's std; or empty.

    A value is named by the word before it (`val_r2=`, `epoch 3`).
    """
    pieces: list[str] = []
    names: list[str] = []
    label_std = ""
    for (before, value), after in zip(pairwise(parts), [*parts[2:], ""], strict=False):
        if before is None or value is not None:
            continue
        text = before.rpartition("\n")[2]
        match = _SPLIT_BEFORE.search(text) or _WORD_BEFORE.search(text)
        if found := _STD_IN_LOG.search(text):
            label_std = f"{re.escape(found[0].rstrip())}\\s*({_NUMBER})".replace("\\ ", " ")
        if match is None:
            continue
        group = re.sub(r"\W+", "_", match[1].replace("²", "2")).strip("_")
        if unit := _UNIT_AFTER.match(after or ""):
            group += f"_{unit[1]}"
        if not group.isidentifier() or group in names:
            continue
        names.append(group)
        between = r"\s*[:=]\s*" if text[match.end(1) :].strip() else r"\s+"
        number = r"\d+" if group in ("epoch", "step") else _NUMBER
        word = re.escape(match[1]).replace("\\ ", " ")
        pieces.append(rf"\b{word}{between}(?P<{group}>{number})")
    return ".*?".join(pieces), label_std


def constant(node: ast.expr | None) -> Any:
    """The constant's value, or that of `-1` or a list of constants; None for all else."""
    if node is None:
        return None
    try:
        value = ast.literal_eval(node)
        json.dumps(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    return value
