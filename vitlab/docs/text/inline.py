"""Inline markdown: its plain text, its width in a terminal, and text made safe for a cell."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

VS16 = "\ufe0f"
LONG = 5000
"""Characters of a text or a row beyond which its markup is not read: that takes their square."""
_CODE = re.compile(r"(`+)(?!`)(.*?)(?<!`)\1(?!`)")
_IMAGE_OR_LINK = re.compile(
    r"!?\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^()\s]*(?:\([^()\s]*\)[^()\s]*)*)(?:\s+\"[^\"]*\")?\)"
)
_WIKI = re.compile(r"\[\[([^\[\]|\\]*)(?:\\?\|([^\[\]]*))?\]\]")
_TAG = re.compile(r"</?[a-z][a-z0-9]*(?:\s[^<>]*)?/?>")
OPENED = r"<(?!(?:del|s|strike)\b)[a-z][a-z0-9]*(?:\s[^<>]*)?>|<!--[^<>]*-->"
"""A tag that opens and strikes nothing out, or a comment, as a pattern."""
_COMMENT = re.compile(r"<!--.*?-->")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_STRIKE = re.compile(r"~~(?=\S)(.+?)(?<=\S)~~(?!~)")
_STRONG = re.compile(r"(\*{1,3})(?=\S)(.+?)(?<=\S)\1")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_MARKS = frozenset("`*~[<\\")
_GAP = re.compile(r"\s{20,}")
"""What a reader sees as one space: patterns with several `\\s*` take a power of its length."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+")


@lru_cache(16384)
def plain(text: str) -> str:
    """Inline markdown as a reader sees it; math and emoji are kept, long gaps are one space."""
    text = _GAP.sub(" ", text)
    if len(text) > LONG or _MARKS.isdisjoint(text):
        return text.strip()
    codes: list[str] = []

    def hide_code(match: re.Match[str]) -> str:
        codes.append(match[2].strip() or match[2])
        return f"\x00{len(codes) - 1}\x00"

    text = _CODE.sub(hide_code, text.replace("\x00", ""))
    text = _BREAK.sub(" ", _COMMENT.sub("", text))
    text = _WIKI.sub(lambda m: m[2] if m[2] is not None else m[1], text)
    text = _IMAGE_OR_LINK.sub(r"\1", text)
    text = _TAG.sub("", text)
    for _ in range(2):  # emphasis inside emphasis
        text = _STRONG.sub(r"\2", _STRIKE.sub(r"\1", text))
    text = _ESCAPE.sub(r"\1", text)
    text = re.sub("\x00(\\d+)\x00", lambda m: codes[int(m[1])], text)
    return _GAP.sub(" ", text).replace("\\|", "|").strip()


_UNSEEN = dict.fromkeys((0xAD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF))
_AS_ASCII = {0xFF0E: ".", 0xFF05: "%", **_UNSEEN}
_COMMA = re.compile(r"(?<![\d.,])0,(?=\d{2,}(?![\d,]))")


def with_plain_numbers(text: str) -> str:
    """A text whose numbers have a full stop and nothing unseen in them: `0．95`, `0,95`.

    Other digits than ASCII's are kept: they are read as numbers all the same.
    """
    if text.isascii() and "0," not in text:
        return text
    return _COMMA.sub("0.", text.translate(_AS_ASCII))


def link_target(text: str) -> str | None:
    """The target of the first link, `[a](b)` or `[[b|a]]`; None where there is none."""
    if len(text) > LONG:
        return None
    if match := _IMAGE_OR_LINK.search(text):
        return match[2] or None
    match = _WIKI.search(text)
    return match[1] or None if match else None


def same_glyph(text: str) -> str:
    """A text without emoji variation selectors, for comparing."""
    return text.replace(VS16, "")


def folded(text: str) -> str:
    """A text for comparing words: full-width forms made plain, case folded, edges stripped."""
    return same_glyph(unicodedata.normalize("NFKC", text)).casefold().strip()


def width(text: str) -> int:
    """The columns a text takes in a terminal; wide characters and emoji count two."""
    if text.isascii():
        return len(text)
    from wcwidth import wcswidth  # slow to load, and only those who write ask

    columns: int = wcswidth(text)
    return columns if columns >= 0 else len(text)


def one_line(text: str) -> str:
    """A text without line ends and other controls, which a name in a result may have."""
    return _CONTROL.sub(" ", text)


def cell_text(text: str) -> str:
    """A text made safe for a table cell: one line, without a pipe or backtick that breaks it."""
    text = one_line(text).strip()
    text = re.sub(r"(?<!\\)((?:\\\\)*)\|", r"\1\\|", text)
    if text.endswith("\\") and (len(text) - len(text.rstrip("\\"))) % 2:
        text += "\\"
    if _CODE.sub("", text).count("`"):
        text = re.sub(r"(?<!\\)`", r"\\`", text)
    return text


def code(text: str) -> str:
    """A name as code inside a cell; plain text where it holds a backtick, pipe or backslash."""
    text = cell_text(text)
    return f"`{text}`" if text and not set("`|\\") & set(text) else text
