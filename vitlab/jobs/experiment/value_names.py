"""Their names of numbers as ours: `val_mae_logg` is `val/mae/log_g`, where nothing else fits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from vitlab.contract.value import IN_SIGMA, LEARNING_RATE, TRAIN_LOSS, Value, unit_of

AXES = ("step", "epoch")
"""Columns that count; never values."""
SPLITS = {
    "train": ("train", "training", "trn"),
    "val": ("val", "valid", "validation", "validate", "eval", "evaluate", "evaluation", "dev"),
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
    splits, metrics = list(SPLITS), list(_METRICS)
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
    text = _plain(name)
    if text in _RATES:
        return Value.parse(LEARNING_RATE), ""
    known: dict[str, str] = {}
    for _, kind, ours in meanings(re.sub(r"_(step|epoch)$", "", text)):
        if not kind or kind in known:
            return None, ""
        known[kind] = ours
    if "metric" not in known or "split" not in known:
        return None, ""
    value = Value(known["split"], known["metric"], known.get("label", ""))
    return value, known.get("unit", "")


def _plain(name: str) -> str:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", name.strip().replace("²", "2"))
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")


def meanings(name: str) -> list[tuple[str, str, str]]:
    """The words of a name, each with what it is (`split`, `metric`, ...; empty) and ours for it."""
    text = _plain(name)
    for parts, whole in _JOINED:
        text = re.sub(rf"(?<![a-z0-9]){parts}(?![a-z0-9])", whole, text)
    text = re.sub(r"mean_(absolute|squared)_error", r"mean\1error", text)
    return [(word, *_meaning(word)) for word in text.split("_") if word]


def _meaning(word: str) -> tuple[str, str]:
    for kind, table in (("split", SPLITS), ("metric", _METRICS), ("label", _LABELS)):
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


def split_of(name: str) -> str:
    """The split of the value of ours that a name stands for; empty where it is none."""
    value, _ = _parse(name)
    return "" if value is None else value.split
