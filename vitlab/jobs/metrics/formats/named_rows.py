"""Rows that say what their numbers are of: `epoch,phase,r2`, `split,label,metric,value`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from vitlab.contract.value import Value
from vitlab.jobs.experiment.value_names import SPLITS, meanings

_COLUMNS = {
    "split": ("split", "phase", "mode", "stage", "subset", "set", "partition", "dataset", "data",
              "data_split", "type", "part", "阶段", "数据集"),
    "label": ("label", "target", "param", "parameter", "output", "quantity", "标签", "参数"),
    "metric": ("metric", "metric_name", "measure", "variable", "key", "tag", "name", "指标"),
}  # fmt: skip
_KINDS = {column: kind for kind, columns in _COLUMNS.items() for column in columns}
_ANY_METRIC = ("value", "values", "metric_value", "scalar", "值", "数值")
"""Names of columns whose metric another column says."""
_OTHER_LABELS = ("feh", "afe", "alpham", "alphafe", "vsini", "rv", "age", "mass", "radius", "snr")
_EVALUATED = ("eval", "evaluate", "evaluation")
"""On validation or test."""
_BESIDE = ("set", "split", "data", "phase", "epoch", "loop")
"""Words beside a split's that say nothing more."""
_CHINESE = (("训练", "train"), ("验证", "val"), ("测试", "test"))
_LONGEST, _SHOWN = 64, 8
"""Letters of a cell that is looked at, and what rows are of, as far as it is told."""
Parts = Mapping[str, frozenset[str]]
"""Which splits, labels and metrics a row may be of; what is missing it does not say."""


def own_parts(theirs: str, ours: str) -> dict[str, str]:
    """Split, label and metric of a value, as far as its column's name does not say them."""
    value = Value.parse(ours)
    said = {kind for _, kind, _ in meanings(theirs)}
    parts = {"label": value.label}
    parts |= {"split": value.split} if value.split in SPLITS else {}
    if theirs.lower() in _ANY_METRIC:
        parts["metric"] = value.metric.removesuffix("_sigma")
    return {kind: part for kind, part in parts.items() if part and kind not in said}


def naming(columns: Iterable[str]) -> list[str]:
    """Those of the columns whose cells may say what a row is of, the likeliest first."""
    order, known = [*_KINDS], [column for column in columns if column.lower() in _KINDS]
    return sorted(known, key=lambda column: (order.index(column.lower()), column))


def parts_of(row: Mapping[str, object]) -> Parts:
    """What a row's cells in such columns say."""
    found: dict[str, frozenset[str]] = {}
    for column, cell in row.items():
        text = cell.decode("utf-8", "replace") if isinstance(cell, bytes) else cell
        if isinstance(text, str) and len(text) <= _LONGEST:
            for kind, parts in _meant(column.lower(), text).items():
                found.setdefault(kind, parts)
    return found


def fits(row: Parts, own: Mapping[str, str]) -> bool:
    """Whether a row may be of a value, by `own_parts` of it."""
    return all(part in row.get(kind, (part,)) for kind, part in own.items())


def without_row(own: Mapping[str, str], seen: Mapping[str, list[str]]) -> str:
    """Why no row is of a value, by all that rows said; empty where one may be."""
    for kind, part in own.items():
        if (others := seen.get(kind)) and part not in others:
            return f"rows of {', '.join(others)} alone, none of {part}"
    return ""


def add_seen(row: Parts, seen: dict[str, list[str]]) -> None:
    """Add what a row says."""
    for kind, parts in row.items():
        known = seen.setdefault(kind, [])
        known += [part for part in sorted(parts) if part not in known and len(known) < _SHOWN]


@lru_cache(1024)
def _meant(column: str, cell: str) -> Parts:
    for chinese, english in _CHINESE:
        cell = cell.replace(chinese, f" {english} ")
    words = [one for one in meanings(cell) if one[0] not in _BESIDE and not one[0].isdigit()]
    parts = {kind: {part for _, of, part in words if of == kind} for kind in _COLUMNS}
    surely = {part for word, of, part in words if of == "split" and word not in _EVALUATED}
    if parts["split"]:
        parts["split"] = surely or {"val", "test"}
    kind, joined = _KINDS[column], "_".join(word for word, *_ in words)
    if kind == "metric":
        parts = parts if parts["metric"] else {}
        parts["metric"] = parts.get("metric", set()) | {joined}
    elif kind == "label" and joined.replace("_", "") in _OTHER_LABELS:
        parts = {"label": {joined}}
    else:  # what has a word that is none may be the name of a run
        parts = {kind: parts[kind]} if {of for _, of, _ in words} == {kind} else {}
    return {of: frozenset(some) for of, some in parts.items() if some - {""}}
