"""The numbers of a draft's table: what each is of is said by its row, its column and the caption.

Models may stand in the rows or in the heads, metrics too; training sizes may be a column of their
own, heads, or in the caption.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from vitlab.docs.text.numerals import Numeral, numerals
from vitlab.lab.paper.claims import (
    Kind,
    counted,
    is_count,
    nearest,
)
from vitlab.lab.paper.mention import TOP, Mention
from vitlab.lab.paper.names import models_in
from vitlab.lab.paper.tex import CITED
from vitlab.lab.paper.words import (
    CEILING,
    LABEL,
    METRIC,
    OF_SOME,
    SPLIT,
)

Row = Sequence[tuple[str, int]]
"""The cells of a row, each with its line."""
_COUNTS = {
    "train": re.compile(
        r"N_?\(?train|^\s*N\s*$|训练(?:数|集|样本|光谱|恒星|量)(?!.*(?:R|损失|误差|时))"
        r"|^\s*(?:#\s*|number of )?train(?:ing)?(?:[- ](?:set|sample|spectra|stars"
        r"|size))*\s*(?:[\[(].*)?$"
        r"|^\s*(?:#\s*)(?:stars|spectra)\s*$",
        re.IGNORECASE,
    ),
    "params": re.compile(
        r"\b(?:#\s*)?param(?:eter)?s?\b|\bweights\b(?! decay)|参数", re.IGNORECASE
    ),
    "epochs": re.compile(r"\bepochs?\b|轮数", re.IGNORECASE),
    "seeds": re.compile(r"\bseeds\b|#\s*seeds?|种子数", re.IGNORECASE),
}
_SHARE = re.compile(
    r"(?:[%％]|fraction|share|percent|ratio|占|比例).{0,12}(?:ceiling|limit|oracle|optim|bayes"
    r"|bound"
    r"|what is possible|上限)"
    r"|(?:ceiling|limit|oracle|bound|上限).{0,8}(?:[%％]|fraction|share|比例|占比)"
    r"|R\s?\^?[2²]\s?/\s?R\s?\^?[2²]|/\s?(?:ceiling|oracle|limit|bayes)",
    re.IGNORECASE,
)
_DIFFERENCE = re.compile(
    r"Δ|\bgains?\b|\bgap\b|\bdiff|\bimprovement|\bvs\.?\b|\badvantage|\blead\b|(?<![偏误方])差|提升|增益",
    re.I,
)
_UNIT = re.compile(r"(?:[\[(（/]\s*)(dex|K|σ|[%％])\s*(?:[\])）]|$)")
_SCALE = re.compile(
    r"(?:[\[(（]|/)\s*(?:(?P<k>k|千|10\^?3)|(?P<w>万|10\^?4)|(?P<M>M|million|10\^?6|百万))"
    r"\s*[条颗个]?\s*(?:[\])）]|$)|/\s?10\^?6"
)
_DIGIT = re.compile(r"\d")
_LEAST = 500
"""Spectra of a training set that a head may name."""


@dataclass(frozen=True)
class _Table:
    """What is said of all its rows."""

    heads: Sequence[str]
    caption: str
    models: tuple[str, ...]
    """All that are named in heads, rows and caption."""
    has_metric: bool
    """Whether heads or rows name one, so that the caption's is not that of every number."""


def table_mentions(
    rows: Sequence[Row], caption: str, prose: Callable[[str, int], Iterator[Mention]]
) -> Iterator[Mention]:
    """The numbers of a table whose results may back them.

    `prose` reads a cell that is a sentence, `R² = 0.7 after 3 runs`, beginning at a line.
    """
    heads, body = _heads([[text for text, _ in row] for row in rows])
    table = _about(heads, [[text for text, _ in row] for row in rows[body:]], caption)
    group, first = "", ""
    for row in rows[body:]:
        cells = [text for text, _ in row]
        said = {cell for cell in cells if cell}
        if len(said) == 1 and (len(cells) > 1 and cells[0] in said):
            group = cells[0]  # a line of its own above the rows that it is of
            continue
        first = cells[0] or first
        label = " | ".join([first, *(cell for cell in cells[1:] if not _DIGIT.search(cell))])
        if CITED not in label:
            yield from _row(table, row, f"{label} | {group}" if group else label, prose)


def _heads(rows: Sequence[Sequence[str]]) -> tuple[list[str], int]:
    """The heads of the columns, of several rows together, and the first row below them."""
    heads: list[str] = []
    for at, cells in enumerate(rows):
        if heads and not _is_head(cells):
            return heads, at
        if any(cells):
            above = heads if len(heads) == len(cells) else [""] * len(cells)
            heads = [f"{head} {cell}".strip() for head, cell in zip(above, cells, strict=True)]
    return heads, len(rows)


def _is_head(cells: Sequence[str]) -> bool:
    """Whether a row below a head is one too: without numbers, or with training sizes alone."""
    if not any(re.search(r"\d", METRIC.sub("", cell)) for cell in cells[1:]):
        return not (len(cells) > 1 and cells[0] and not any(cells[1:]))
    if any(pattern.search(cells[0]) for pattern in _COUNTS.values()) or any(models_in(cells[0])):
        return False
    return all(_size_of(cell) for cell in cells[1:] if re.search(r"\d", cell))


def _about(heads: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> _Table:
    named = " | ".join([*heads, *(cell for cells in rows for cell in cells), caption])
    names = dict.fromkeys(one.name for one in models_in(named))
    labels = [*heads, *(cells[0] for cells in rows if cells)]
    return _Table(heads, caption, tuple(names), any(METRIC.search(label) for label in labels))


def _row(
    table: _Table, row: Row, label: str, prose: Callable[[str, int], Iterator[Mention]]
) -> Iterator[Mention]:
    models = [one.name for one in models_in(label)]
    in_row = [_size_below(head, cell) for head, (cell, _) in zip(table.heads, row, strict=False)]
    size = next((one for one in in_row if one), None) or _size_of(label)
    for at, (head, (cell, line)) in enumerate(zip(table.heads, row, strict=False)):
        number = next(numerals(cell), None)
        is_name = at == 0 and number is not None and _size_of(cell) == number.value
        if number is None or (is_name and not _COUNTS["train"].search(head)):
            continue
        if METRIC.search(cell):
            beside = [text for i, (text, _) in enumerate(row) if i != at]
            yield from prose(f"{' | '.join(beside)}: {cell}", line)
        elif not OF_SOME.search(f"{head} {label}"):
            about = _Cell(table, head, label, cell, line, number)
            yield from about.mention(models, size)


@dataclass(frozen=True)
class _Cell:
    table: _Table
    head: str
    label: str
    """What its row says of itself."""
    text: str
    line: int
    number: Numeral

    def mention(self, models: Sequence[str], size: float | None) -> Iterator[Mention]:
        """What the number says; nothing where no result can back it."""
        head, number = self.head, self.number
        kind, metric = self._said()
        if not metric:
            return
        own = models or [one.name for one in models_in(head)]
        if not own and kind != "difference":
            own = [one.name for one in models_in(self.table.caption)][:1]
        named = tuple(dict.fromkeys([*own[:1], *self.table.models])) if kind == "difference" else ()
        if named and CEILING.search(f"{head} {self.label.split(' | ', 1)[0]}"):
            named = (*own[:1], TOP)
        about = f"{head} {self.label}"
        units = _UNIT.search(head) or _UNIT.search(self.label)
        unit = number.unit or (units[1].replace("％", "%") if units and kind != "count" else "")
        scale = self._scale(kind, unit)
        whole = kind == "count"
        yield Mention(
            line=self.line,
            text=f"{head.strip()}: {self.text.strip()}" if head else self.text.strip(),
            kind="percent" if kind == "difference" and unit == "%" else kind,
            metric=metric,
            value=number.value * scale,
            step=number.step * scale,
            error=None if number.error is None else number.error * scale,
            unit="" if unit == "%" and kind == "count" else unit,
            label=nearest(LABEL, f"{about} {self.table.caption}"),
            split="" if whole else nearest(SPLIT, f"{about} {self.table.caption}"),
            models=named or tuple(own[:1]),
            size=None if whole else size or _size_of(head) or _in_caption(self.table.caption),
        )

    def _said(self) -> tuple[Kind, str]:
        head, label = self.head, self.label
        first = label.split(" | ", 1)[0]
        for name, pattern in _COUNTS.items():
            if self.number.value < 1 or _size_of(head):
                break
            if not METRIC.search(head) and (pattern.search(head) or pattern.search(first)):
                return "count", name if not METRIC.search(first) else ""
        if _SHARE.search(head) or _SHARE.search(first):
            return "share", "r2"
        metric = METRIC.search(head) or METRIC.search(label)
        by_caption = not self.table.has_metric and not OF_SOME.search(self.table.caption)
        if metric is None and by_caption and (_size_of(head) or any(models_in(head))):
            metric = METRIC.search(self.table.caption)
        if _DIFFERENCE.search(head) or _DIFFERENCE.search(first):
            return "difference", (metric.lastgroup or "") if metric else "r2"
        ceiling = CEILING.search(head) or CEILING.search(label)
        return "ceiling" if ceiling else "score", (metric.lastgroup or "") if metric else ""

    def _scale(self, kind: Kind, unit: str) -> float:
        """What a number is multiplied with, by its head: parameters in millions, R² in percent."""
        if kind == "count":
            scale = _SCALE.search(self.head) or _SCALE.search(self.label)
            small = self.number.value < 1e4
            return _factor(scale) if scale and small else 1.0
        if kind == "share":
            return 100.0 if unit != "%" and abs(self.number.value) <= 1.5 else 1.0
        return 0.01 if unit == "%" and kind in ("score", "ceiling") else 1.0


def _factor(scale: re.Match[str]) -> float:
    return 1e3 if scale["k"] else 1e4 if scale["w"] else 1e6


def _size_below(head: str, cell: str) -> float | None:
    """The training stars of a row, by a cell below a head that says so."""
    number = next(numerals(cell), None)
    is_size = _COUNTS["train"].search(head) is not None and METRIC.search(head) is None
    if number is None or not is_size:
        return None
    scale = _SCALE.search(head)
    value = number.value * (_factor(scale) if scale and number.value < 1e4 else 1.0)
    return value if value >= 100 else None


def _size_of(text: str) -> float | None:
    """The training stars that a head or a row's name is: `100k`, `N = 10^5`, `500,000 stars`."""
    found = [one for one in numerals(METRIC.sub("", text)) if not one.unit]
    whole = [one.value for one in found if one.value >= _LEAST and not _is_year(one)]
    return whole[0] if len(found) == len(whole) == 1 else None


def _is_year(one: Numeral) -> bool:
    return 1900 < one.value < 2100 and one.step < 10


def _in_caption(caption: str) -> float | None:
    """The training stars of every number of a table."""
    found = {
        one.value
        for one in numerals(caption)
        if is_count(caption, one) and counted(caption, one) in (None, "train", "stars")
    }
    return found.pop() if len(found) == 1 and min(found) >= _LEAST else None
