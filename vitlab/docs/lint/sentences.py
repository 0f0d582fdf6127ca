"""What the sentence of a number says of it: a paper, other MVPs, the mark of a trial behind it."""

from __future__ import annotations

import re
from functools import lru_cache

from vitlab.docs.lint.numbers import MVP_NAMED
from vitlab.docs.lint.stated import METRIC, as_read, profile_of
from vitlab.docs.model.gates.conditions import MODEL

_ENDS = re.compile(r"[;；。|]|(?<!\bal)\.\s")
_NAME = rf"(?!(?:{MODEL}|Run|Gate|MVP)\b)[A-ZÀ-ÖØ-ÞĀ-Ž][a-zß-öø-ÿā-ž]+(?:[-'’][^\W\d_]+)?"
_CITED = re.compile(
    rf"(?<![A-Za-z]){_NAME}(?:\s(?:et al\.?|等人?)|\s(?:&|and|与|和)\s{_NAME})"
    r"\s?,?\s?[(（\[]?(?:19|20)\d\d(?!\d|-\d)"
    rf"|(?<![A-Za-z]){_NAME}\s?[(（](?:19|20)\d\d[a-z]?[)）]"
    rf"|[(（]{_NAME},?\s(?:19|20)\d\d[a-z]?[)）]"
    r"|[\u4e00-\u9fff]{1,3}(?:等人?|和[\u4e00-\u9fff]{2,3})\s?[(（](?:19|20)\d\d[)）]|\barXiv:\d{4}\.\d{4,5}"
    rf"|(?<![A-Za-z])(?!(?i:{MODEL}|Run|Gate|MVP)\b)[A-Z][A-Za-z]{{2,}}\s?\[\d{{1,3}}\]"
    r"|[(（](?:(?i:literature|published)|文献值?)[)）]"
)
"""A paper: `Leung & Bovy (2019)`, `Ting et al. 2019`, `arXiv:2411.04750`, `AstroCLIP [12]`; or
`(literature)`."""
_ABOUT = re.compile(r"(?:[~≈～]|\b(?:about|around|roughly|some)|大约|约)\s*\d*\.?\d+\s*%?$", re.I)


@lru_cache(maxsize=64)  # it is asked again for each MVP that a number may be of
def sentence_of(line: str, number: str) -> str:
    """The sentence, or the cell, of a line in which a number stands as its `text` has it."""
    read = as_read(line)
    found = [part for part in _parts(read) if number in part]
    return found[0] if len(found) == 1 else ("" if found else read)


@lru_cache(maxsize=8)  # and for each number of a line
def _parts(text: str) -> list[str]:
    return sentences_of(text)


def sentences_of(text: str) -> list[str]:
    """The sentences, or the cells, of a line as it is read."""
    return _ENDS.split(text)


@lru_cache(maxsize=64)
def is_cited(sentence: str) -> bool:
    """Whether a sentence names a paper."""
    return _CITED.search(sentence) is not None


@lru_cache(maxsize=64)
def mvps_named(sentence: str) -> frozenset[str]:
    """The bare ids of the MVPs that a sentence names."""
    return frozenset(MVP_NAMED.findall(sentence))


@lru_cache(maxsize=64)
def mark_behind(sentence: str, number: str) -> str:
    """The profile that a sentence marks behind a number, before another; empty for none."""
    behind = sentence.partition(number)[2]
    another = METRIC.search(behind)
    profile = profile_of(behind[: another.start()] if another else behind)
    return "" if profile == "full" else profile


@lru_cache(maxsize=64)
def is_about(sentence: str, number: str) -> bool:
    """Whether a number, as its `text` has it, is told as about so much: `R² ~0.65`."""
    return _ABOUT.search(sentence.partition(number)[0] + number) is not None
