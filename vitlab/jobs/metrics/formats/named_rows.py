"""Rows that say what their numbers are of: `epoch,phase,r2`, `split,label,metric,value`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from vitlab.contract.value import Value
from vitlab.jobs.experiment.value_names import SPLITS, meanings

_COLUMNS = {
    "split": ("split", "phase", "mode", "stage", "subset", "set", "partition", "dataset", "data",
              "data_split", "type", "part", "loop", "阶段", "数据集"),
    "label": ("label", "target", "param", "parameter", "output", "quantity", "标签", "参数"),
    "metric": ("metric", "metric_name", "measure", "variable", "key", "tag", "name", "指标"),
    "index": ("index", "unnamed: 0", "property", "stellar_param"),  # either of the first two
    "training": ("training", "is_train", "is_training"),  # True or False
}  # fmt: skip
_KINDS = {column: kind for kind, columns in _COLUMNS.items() for column in columns}
_ANY_METRIC = ("value", "values", "metric_value", "scalar", "值", "数值")
"""Names of columns whose metric another column says."""
_OTHER_LABELS = ("feh", "afe", "alpham", "alphafe", "vsini", "rv", "age", "mass", "radius", "snr")
_EVALUATED = ("eval", "evaluate", "evaluation")
"""On validation or test."""
_BESIDE = ("set", "split", "data", "phase", "epoch", "loop", "loader", "metric", "metrics")
"""Words beside a split's that say nothing more."""
_SPOKEN = ((r"训练|\bfit\b", "train"), ("验证", "val"), ("测试", "test"),
           (r"(?:(?:log|surface)[ _]?)?gravity|表面重力", "log_g"),
           (r"(?:effective[ _]?)?temperature|有效温度", "T_eff"))  # fmt: skip
_PREDICTED = ("pred", "predicted", "mean")
"""Words beside a label's that say nothing more, as its unit does not."""
_MODELS = (
    "model",
    "network",
    "net",
    "method",
    "algorithm",
    "estimator",
    "regressor",
    "variant",
    "experiment",
    "arch",
    "architecture",
    "backbone",
    "arm",
    "模型",
    "方法",
)
_THINGS = (*_MODELS, "config", "checkpoint", "ckpt", "weights", "dataset", "data", "survey",
           "sample", "population", "group", "category", "class", "bin", "region", "split", "set",
           "subset", "partition", "data_split", "label", "target", "param", "parameter", "output",
           "quantity", "数据集", "样本", "分组")  # fmt: skip
_REPEATS = ("fold", "folds", "cv", "seed", "rep", "repeat", "run", "trial", "bin", "rank",
            "dataloader_idx")  # fmt: skip
"""Columns whose words, or words and numbers, say of what a row is, not when it was."""
_BINS = ("snr", "s/n", "sn", "mag", "magnitude", "noise", "noise_level", "n_train", "train_size",
         "ntrain", "星等", "信噪比")  # fmt: skip
"""First columns whose numbers do."""
_BIN_WORDS = {"snr", "mag", "magnitude", "bin", "bins", "range"}
"""Words of others: `snr_bin`, `mag_lo`, `SNR range`."""
_OF_STARS = re.compile(
    r"(?:t_?eff|log_?g|(?:fe|m)_?h|metallicity|snr|[a-z]?mag|bp_?rp|colou?r|wave(?:length)?|mass|age"
    r"|dist(?:ance)?)_?(?:min|max|lo|hi|low|high|left|right|mid|cent(?:er|re)|edge|from|to)"
)
"""First columns whose numbers are the edges of bins."""
_SHAPES = ("patch", "patch_size", "depth", "width", "hidden", "hidden_size", "hidden_dim", "layers",
           "n_layers", "num_layers", "heads", "n_heads", "num_heads", "dim", "d_model", "embed_dim",
           "max_depth", "num_leaves", "n_components", "kernel", "kernel_size",
           "degree")  # fmt: skip
"""Columns of a sweep: what is the same throughout a training."""
_TUNED = ("alpha", "lambda", "reg_alpha", "reg_lambda", "l1", "l2", "c")
"""The same, where nothing else of a table is of a training: it may change within one."""
_SWEPT = ("param_", "params_", "config.", "config/", "hparams.", "hparams/", "hp.", "hp/", "hp_")
"""How their names begin, as Optuna, scikit-learn and W&B write them."""
_RANGE = re.compile(
    r"[<>≤≥]=?\s*[\d.]+|[\[(]\s*[\d.]+\s*,\s*[\d.]+\s*[\])]|[\d.]+\s*(?:–|~|to)\s*[\d.]+"
)
_OF_STATE = ("best", "is_best", "improved", "improvement", "saved", "status", "state", "date",
             "day", "weekday", "timestamp", "datetime", "now", "eta", "elapsed", "duration", "host",
             "hostname", "node", "machine", "device", "gpu", "user", "note", "notes", "comment",
             "comments", "remark", "remarks", "message", "msg", "info", "event", "action", "reason",
             "path", "file", "filename", "folder", "dir", "url", "commit", "sha", "hash", "备注",
             "时间", "日期", "状态", "说明", "stage", "phase", "regime", "curriculum",
             "阶段")  # fmt: skip
"""Columns that say how, where or when a row was, not of what."""
_WHEN = ("true", "false", "yes", "no", "on", "off", "none", "nan", "null", "start", "begin", "init",
         "initial", "sanity", "mid", "middle", "half", "end", "frozen", "unfrozen", "freeze",
         "unfreeze", "warm", "warmup", "pretrain", "pretraining", "finetune", "finetuning", "head",
         "all", "full")  # fmt: skip
"""Words of cells that do."""
_STAMP = re.compile(r"\d+\.\d+|\d{6,}(?:[_-]\d{2,6})?")
"""A score or a time in the name of what was saved."""
_FILE = re.compile(
    r".*\.(?:pt|pth|ckpt|h5|hdf5|np[yz]|pkl|pickle|keras|safetensors|joblib|bin|onnx|tar|zip|gz|"
    r"json|ya?ml|txt|log)", re.IGNORECASE)  # fmt: skip
TIMES = ("step", "epoch", "iteration", "iter", "time", "global_step", "batch", "_step")
"""Columns of one run over time."""
_KNOWN = frozenset((*_KINDS, *_THINGS, *_REPEATS, *_BINS))
_NOT_OF_ROWS = re.compile(
    r"(?:^|[\W_])(?:on|by|for|from|init|source|pretrain\w*|select\w*)(?:[\W_]|$)"
)
"""Names of columns that say what a model was made with, not of what a row's numbers are."""
_LONGEST, _SHOWN = 64, 8
"""Letters of a cell that is looked at, and what rows are of, as far as it is told."""
_SPLIT = "\0split"
Parts = Mapping[str, frozenset[str]]
"""Which splits, labels and metrics a row may be of; what is missing it does not say."""


def own_parts(theirs: str, ours: str) -> dict[str, str]:
    """Split, label and metric of a value, as far as its column's name does not say them."""
    value = Value.parse(ours)
    words = meanings(theirs)
    said = {kind for _, kind, _ in words}
    parts = {"label": value.label}
    parts |= {"split": value.split} if value.split in SPLITS else {}
    kind = "metric" if theirs.lower() in _ANY_METRIC else "known_metric"
    if kind == "metric" or (words and said <= {"split", "label"}):
        parts[kind] = value.metric.removesuffix("_sigma")
    return {kind: part for kind, part in parts.items() if part and kind not in said}


def naming(columns: Iterable[str]) -> list[str]:
    """Those of the columns whose cells may say what a row is of, the likeliest first."""
    order, known = [*_KINDS], [column for column in columns if _as_known(column) in _KINDS]
    return sorted(known, key=lambda column: (order.index(_as_known(column)), column))


@lru_cache(1024)
def _as_known(column: str) -> str:
    """A column's name as the tables here have it: `Label_Names` is `label`."""
    name = column.lower()
    ends = (end for end in ("", "s", "_name", "_names") if name.removesuffix(end) in _KNOWN)
    return name.removesuffix(next(ends, ""))


def parts_of(row: Mapping[str, object]) -> Parts:
    """What a row's cells in such columns say."""
    found: dict[str, frozenset[str]] = {}
    for column, cell in row.items():
        text = cell.decode("utf-8", "replace") if isinstance(cell, bytes) else cell
        text = str(text) if isinstance(text, int) else text
        if isinstance(text, str) and len(text) <= _LONGEST:
            for kind, parts in _meant(_as_known(column), text).items():
                found.setdefault(kind, parts)
    return found


def may_say(column: str) -> bool:
    """Whether cells of a column of any name may say what its rows are of."""
    return not _NOT_OF_ROWS.search(column.lower())


def meaning(cell: object) -> str:
    """Which split or label a cell of a column of any name is of; empty for none."""
    text = cell.decode("utf-8", "replace") if isinstance(cell, bytes) else cell
    if not isinstance(text, str) or len(text) > _LONGEST or not text[:1].isalpha():
        return ""
    return " ".join(f"{kind} {sorted(parts)}" for kind, parts in _meant("index", text).items())


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


def of_things(columns: Sequence[str], wanted: Sequence[str], any_first: bool) -> list[str]:
    """Those of a file's columns that may say that its rows are of several things, not of one.

    As bins, models, checkpoints. `any_first`: the first column may be called anything.
    """
    first = next(filter(None, columns), "")  # none before the first bar
    in_time = {*TIMES} & {name.lower() for name in columns}
    found = [
        name for name in columns if name not in wanted and _as_known(name) in (*_THINGS, *_REPEATS)
    ]
    if not in_time:
        found += [name for name in columns if name not in wanted and _as_known(name) == "name"]
        found += [one for one in _swept(columns, wanted) if one not in found]
    if in_time or not first or first in wanted or first in found:
        return found
    may_say = any_first and first.lower() not in _OF_STATE and not _is_swept(first.lower())
    return [first, *found] if may_say or _is_of_bins(first.lower()) else found


def _swept(columns: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Columns of settings of trainings, in a table that begins with one and is of none over time.

    Those that are named as no others are may stand anywhere.
    """
    swept = [name for name in columns if name not in wanted and _is_swept(name.lower())]
    others = {*columns}.difference(swept)
    trains = any(re.search(r"loss|train(?!_size)", name.lower()) for name in others)
    trains |= any(not all(kind for _, kind, _ in meanings(name)) for name in others - {*wanted})
    if next(filter(None, columns), "") not in swept:
        return [name for name in swept if name.lower().startswith(_SWEPT)]
    return [name for name in swept if not (trains and name.lower() in _TUNED)]


def telling_apart(columns: Iterable[str], wanted: Sequence[str]) -> list[str]:
    """Those of a file's columns whose words may tell one training's rows from another's.

    Columns of models, of repeats, and of names that are not known.
    """
    return [name for name in columns if name not in wanted and _may_tell_apart(name)]


@lru_cache(1024)
def _may_tell_apart(column: str) -> bool:
    name = _as_known(column)
    if name in _KNOWN:
        return name in (*_MODELS, *_REPEATS, "name", "tag", "type")
    about = {name, *re.split(r"[\W_]+", name), *(x for x in ("阶段", "时间") if x in name)}
    return bool(name) and may_say(name) and about.isdisjoint((*TIMES, *_OF_STATE))


def says_model(column: str) -> bool:
    """Whether a column of that name says of which model a row is."""
    return _as_known(column) in (*_MODELS, *_REPEATS)


def word(cell: object) -> str:
    """What a cell of such a column calls the training of its row; empty where it says nothing."""
    text = cell.decode("utf-8", "replace") if isinstance(cell, bytes) else cell
    text = text.strip(" \t\r\"'") if isinstance(text, str) else ""
    if not 0 < len(text) <= _LONGEST or not text[0].isalpha() or _FILE.fullmatch(text):
        return ""
    is_time = ":" in text or (" " in text and any(letter.isdigit() for letter in text))
    return "" if is_time or text.lower() in _WHEN else _STAMP.sub("", text)


def _is_of_bins(name: str) -> bool:
    is_edge = _OF_STARS.fullmatch(name) is not None
    return name in _BINS or is_edge or not _BIN_WORDS.isdisjoint(re.split(r"[\W_]+", name))


def _is_swept(name: str) -> bool:
    return name in _SHAPES or name in _TUNED or name.startswith(_SWEPT)


def thing(row: Mapping[str, object]) -> str:
    """What a row is of, by its cells in such columns; empty where they say nothing."""
    found = []
    for column, cell in row.items():
        text = cell.decode("utf-8", "replace") if isinstance(cell, bytes) else cell
        text = str(text).strip() if isinstance(text, str | int | float) else ""
        name, is_number = _as_known(column), not text.strip("+-.0123456789eE")
        is_bin = name in _REPEATS or _is_of_bins(name) or bool(_RANGE.fullmatch(text))
        is_bin = is_bin or _is_swept(name)
        if not text or (is_number and not is_bin) or len(text) > _LONGEST:
            continue
        if name in _MODELS and text.lower() in _WHEN:
            continue
        if name not in _THINGS and not is_bin and any(letter.isdigit() for letter in text):
            continue  # a time, or the like
        is_split = _KINDS.get(name) == "split" and "split" in _meant(name, text)
        found.append(_SPLIT if is_split else text)
    return "\0".join(found)


@lru_cache(1024)
def _meant(column: str, cell: str) -> Parts:
    kind = _KINDS.get(column, "index")
    if kind == "index":
        return _meant("label", cell) or _meant("split", cell)
    if kind == "training":
        known = {"true": {"train"}, "1": {"train"}, "false": {"val", "test"}, "0": {"val", "test"}}
        split = known.get(cell.strip().lower())
        return {"split": frozenset(split)} if split else {}
    for spoken, ours in _SPOKEN:
        cell = re.sub(spoken, f" {ours} ", cell, flags=re.IGNORECASE)
    words = [one for one in meanings(cell) if one[0] not in _BESIDE and not one[0].isdigit()]
    parts = {kind: {part for _, of, part in words if of == kind} for kind in _COLUMNS}
    surely = {part for word, of, part in words if of == "split" and word not in _EVALUATED}
    if parts["split"]:
        parts["split"] = surely or {"val", "test"}
    joined, kinds = "_".join(word for word, *_ in words), {of for _, of, _ in words}
    if kind == "metric":
        parts = parts if parts["metric"] or kinds == {"label"} else {}
        plain = all(of for _, of, _ in words)  # `val_r2_std`, `best_val_r2` are others
        metrics = parts.get("metric", set()) if plain else set[str]()
        parts["metric"] = metrics | {joined}
        parts["known_metric"] = metrics  # another word may be the name of a run
    elif kind == "label" and joined.replace("_", "") in _OTHER_LABELS:
        parts = {"label": {joined}}
    else:  # what has a word that is none may be the name of a run
        telling = {of for word, of, _ in words
                   if kind != "label" or (of != "unit" and word not in _PREDICTED)}  # fmt: skip
        parts = {kind: parts[kind]} if telling == {kind} else {}
    return {of: frozenset(some) for of, some in parts.items() if some - {""}}
