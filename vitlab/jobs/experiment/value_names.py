"""Their names of numbers as ours: `val_mae_logg` is `val/mae/log_g`, where nothing else fits.

And the lines a script prints with numbers in them, as expressions that find and name these.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from vitlab.contract.value import IN_SIGMA, LEARNING_RATE, TRAIN_LOSS, Value, unit_of
from vitlab.jobs.experiment.script_files import constant

AXES = ("step", "epoch")
"""Columns that count; never values."""
_SPLITS = {
    "train": ("train", "training", "trn"),
    "val": ("val", "valid", "validation", "eval", "dev"),
    "test": ("test", "testing"),
}
_METRICS = {
    "r2": ("r2", "r2score", "rsquared"),
    "mae": ("mae", "meanabsoluteerror"),
    "rmse": ("rmse",),
    "bias": ("bias",),
    "scatter": ("scatter",),
    "mse": ("mse", "meansquarederror"),
    "loss": ("loss",),
    "nll": ("nll",),
}
_LABELS = {
    "log_g": ("logg",),
    "T_eff": ("teff",),
    "M_H": ("mh",),
    "a_M": ("am",),
    "C_M": ("cm",),
}
_SPOKEN = {"log_g": "log_?g", "T_eff": "t_?eff", "M_H": "(m_h|feh|fe_h)"}
_JOINED = (("r_2", "r2"), ("r2_score", "r2score"), ("r_squared", "rsquared"), ("log_g", "logg"),
           ("t_eff", "teff"), ("m_h", "mh"), ("a_m", "am"), ("c_m", "cm"))  # fmt: skip
"""Words that are written in two parts."""
_UNITS = {"dex": "dex", "k": "K"}
_RATES = ("lr", "learningrate", "learning_rate", "train_lr", "lr_adam", "lr_adamw", "lr_sgd")


@dataclass(frozen=True)
class Names:
    """What the columns of a program are."""

    sure: dict[str, str] = field(default_factory=dict)
    """Theirs -> ours."""
    unit: dict[str, str] = field(default_factory=dict)
    """Theirs -> ours, where the unit is not known."""
    other: tuple[str, ...] = ()
    """Theirs, for which no single value of ours fits."""


def match_names(columns: Iterable[str], label: str) -> Names:
    """Match `columns` with values; a metric without a label is of `label`, the only one.

    With several labels a metric without one is a mean over them. Two columns for one value are
    both left out, unless one alone names its unit; of Lightning's `_step` and `_epoch` it is the
    latter.
    """
    columns = [name for name in dict.fromkeys(columns) if name.lower() not in AXES]
    parsed = {name: _parse(name) for name in columns}
    if "eval_loss" in columns and "loss" in columns:  # as Hugging Face's Trainer logs them
        parsed["loss"] = Value.parse(TRAIN_LOSS), ""
        if "train_runtime" in columns:
            parsed["train_loss"] = None, ""  # the mean over the whole training, at its end
    named = {value.label for value, _ in parsed.values() if value is not None and value.label}
    values: dict[str, Value] = {}
    for name, (value, _) in parsed.items():
        if value is not None and not _step_of_epoch(name, columns):
            values[name] = _labelled(value, label, named)
    names = Names()
    for name, value in values.items():
        same = [other for other in values if values[other] == value]
        if len(same) > 1 and [one for one in same if parsed[one][1]] != [name]:
            continue
        unit = parsed[name][1]
        unknown_unit = value.metric in IN_SIGMA and unit != unit_of(value.label)
        (names.unit if unknown_unit else names.sure)[name] = str(value)
    other = tuple(name for name in columns if name not in names.sure and name not in names.unit)
    return Names(names.sure, names.unit, other)


def place(value: Value) -> tuple[int, int]:
    """A sort key for a list of values: by split, then by metric."""
    splits, metrics = list(_SPLITS), list(_METRICS)
    return (splits.index(value.split) if value.split in splits else len(splits),
            metrics.index(value.metric) if value.metric in metrics else len(metrics))  # fmt: skip


def _labelled(value: Value, label: str, named: Iterable[str]) -> Value:
    """`value` with the only label there is, where it names none and needs one."""
    if value.label or value.metric in ("loss", "nll", "lr") or not set(named) <= {label}:
        return value
    return Value(value.split, value.metric, label)


def _step_of_epoch(name: str, columns: Sequence[str]) -> bool:
    """Whether it is a batch's number beside an epoch's: `train_loss_step`."""
    return name.endswith("_step") and f"{name.removesuffix('_step')}_epoch" in columns


def _parse(name: str) -> tuple[Value | None, str]:
    """The value all words of `name` stand for, and the unit they name."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", name.strip().replace("²", "2"))
    text = re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")
    if text in _RATES:
        return Value.parse(LEARNING_RATE), ""
    text = re.sub(r"_(step|epoch)$", "", text)
    for parts, whole in _JOINED:
        text = re.sub(rf"(?<![a-z0-9]){parts}(?![a-z0-9])", whole, text)
    text = re.sub(r"mean_(absolute|squared)_error", r"mean\1error", text)
    known: dict[str, str] = {}
    for word in text.split("_"):
        kind, ours = _meaning(word)
        if not kind or kind in known:
            return None, ""
        known[kind] = ours
    if "metric" not in known or "split" not in known:
        return None, ""
    value = Value(known["split"], known["metric"], known.get("label", ""))
    return value, known.get("unit", "")


def _meaning(word: str) -> tuple[str, str]:
    for kind, table in (("split", _SPLITS), ("metric", _METRICS), ("label", _LABELS)):
        for ours, words in table.items():
            if word in words:
                return kind, ours
    return ("unit", _UNITS[word]) if word in _UNITS else ("", "")


def near_values(name: str, label: str) -> list[str]:
    """Values that `name` may stand for, by the words of it that are known; empty for none."""
    text = re.sub(r"[^a-z0-9]+", "_", name.lower().replace("²", "2"))
    words = [_meaning(word) for word in text.split("_")]
    metrics = [ours for kind, ours in words if kind == "metric"]
    labels = [ours for kind, ours in words if kind == "label"] or [label]
    splits = [ours for kind, ours in words if kind == "split"] or ["val", "test"]
    if not metrics:
        return []
    return [str(_labelled(Value(split, metrics[0], ""), labels[0], ())) for split in splits]


def labels_in(text: str) -> set[str]:
    """Labels a text of code or a name speaks of, of those whose words mean nothing else."""
    lower = text.lower()
    return {
        label for label, word in _SPOKEN.items() if re.search(rf"(?<![a-z]){word}(?![a-z])", lower)
    }


_STD_IN_LOG = re.compile(r"(?i)((?:label|target|y|log_?g)s?[ _]?(?:std|sigma|scale))\s*[:=]\s*$")
PERCENT = r"%[-+# 0]*\d*(?:\.\d+)?[sdifgeEGr]"
_SPLIT = r"(?i:train|val|valid|validation|test)"
_WORD_BEFORE = re.compile(rf"((?:\b{_SPLIT}[ _-]+)?[A-Za-z][\w./@-]*)(\s*[:=]\s*|\s+)$")
"""What names a printed value: the word before it, with its split."""
_SPLIT_BEFORE = re.compile(rf"([A-Za-z][\w./@-]*\s*[(\[]({_SPLIT})[)\]])(\s*[:=]\s*|\s+)$")
"""The same where the split stands behind the word: `R2 (test): `."""
_UNIT_AFTER = re.compile(r"\s*(dex|K)\b")
_NUMBER = r"[^\s,;|)\]]+"
_NEAR, _MOST = 200, 400
"""Characters before a value that may name it, and parts of a line that are looked at."""


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
    parts = parts[:_MOST]
    for (before, value), after in zip(pairwise(parts), [*parts[2:], ""], strict=False):
        if before is None or value is not None:
            continue
        text = before.rpartition("\n")[2][-_NEAR:]
        match = _SPLIT_BEFORE.search(text) or _WORD_BEFORE.search(text)
        if found := _STD_IN_LOG.search(text):
            label_std = f"{re.escape(found[0].rstrip())}\\s*({_NUMBER})".replace("\\ ", " ")
        if match is None:
            continue
        group = re.sub(r"\W+", "_", match[1].replace("²", "2")).strip("_")
        if unit := _UNIT_AFTER.match(after or ""):
            group += f"_{unit[1]}"
        group = group.lower() if group.lower() in AXES else group
        if not group.isidentifier() or group in names:
            continue
        names.append(group)
        between = r"\s*[:=]\s*" if text[match.end(1) :].strip() else r"\s+"
        number = r"\d+" if group in AXES else _NUMBER
        word = re.escape(match[1]).replace("\\ ", " ")
        pieces.append(rf"\b{word}{between}(?P<{group}>{number})")
    return ".*?".join(pieces), label_std
