"""Hypotheses that stand otherwise in two places."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from vitlab.docs.lint.finding import Finding
from vitlab.docs.lint.verdicts import says_otherwise
from vitlab.docs.model.hub import Hub, Point
from vitlab.docs.text.source import Document

_HYPOTHESIS = re.compile(r"[HQ](?:\d|-[A-Z\d])")
_SAYS = {"done": "confirmed", "failed": "rejected", "planned": "open"}
_SIMILAR = 0.5
"""From here on the texts of two hypotheses with one short id are taken for the same."""


def hypothesis_findings(sources: Sequence[Hub], main: int) -> Iterator[Finding]:
    """Every hypothesis that stands otherwise than where it stands first.

    `main`: the first so many share their ids; the others, reports, may number their own from 1.
    """
    first: dict[str, tuple[Point, Document]] = {}
    for number, source in enumerate(sources):
        for point in source.hypotheses:
            if point.status is None or not _HYPOTHESIS.match(point.id):
                continue
            known, there = first.setdefault(point.id, (point, source.document))
            if not says_otherwise(point.status, known.status):
                continue
            if number >= main and not _is_same(point, known):
                continue
            where = f"line {known.line}"
            if there is not source.document and there.path:
                where += f" of {there.path.name}"
            message = f"{point.id} is {_says(point)} here and {_says(known)} on {where}"
            path = source.document.path
            yield Finding(point.line, "hypothesis-conflict", message, path=path)


def _says(point: Point) -> str:
    return _SAYS.get(point.status or "", point.status or "")


def _is_same(point: Point, other: Point) -> bool:
    if re.search(r"[.-]", point.id):
        return True
    one, two = (re.sub(rf"^\W*{re.escape(point.id)}\W*", "", p.text) for p in (point, other))
    return SequenceMatcher(None, one, two).ratio() >= _SIMILAR
