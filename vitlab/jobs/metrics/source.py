"""Where a program's own numbers are, and what they are called here: `metrics` of an experiment."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from vitlab.contract.value import Value
from vitlab.jobs.experiment.placeholders import METRICS


@dataclass(frozen=True)
class ScaleFrom:
    """A scale that the run itself gives: in a JSON file, or in a line of its log."""

    file: str = ""
    """From the program's folder."""
    key: str = ""
    """Dotted: `label.std`."""
    pattern: str = ""
    """In place of a file: a regular expression with one group, the number."""

    def __str__(self) -> str:
        return f"{self.key} in {self.file}" if self.file else f"a log line like {self.pattern}"


@dataclass(frozen=True)
class Name:
    """Our name for one of theirs."""

    ours: str
    """`val/mae/log_g`; `val/mae_sigma/log_g` for one in standard deviations of its label."""
    scale: float | ScaleFrom = 1.0
    """Their number times this is ours."""


@dataclass(frozen=True)
class Source:
    """Where the numbers are, and our names for them."""

    names: Mapping[str, Name]
    """By theirs: a column of the file, or a group of the pattern."""
    file: str = ""
    """From the program's folder; may hold `*` (`lightning_logs/version_*/metrics.csv`)."""
    pattern: str = ""
    """A regular expression on the log's lines, with groups named as theirs."""
    prefer: Literal["file", "log"] = "file"
    """Where a value of ours comes from that both give."""
    step: str = "step"
    epoch: str = "epoch"
    epochs: int = 0
    """That the run will have; 0 when not known."""

    @property
    def columns(self) -> tuple[dict[str, str], str, str]:
        """What a reader of rows looks for: names, with ours for them, step and epoch."""
        return {theirs: one.ours for theirs, one in self.names.items()}, self.step, self.epoch

    @cached_property
    def in_log(self) -> Mapping[str, Name]:
        """The names that the log is searched for."""
        groups = re.compile(self.pattern).groupindex if self.pattern else ()
        return {theirs: name for theirs, name in self.names.items() if theirs in groups}

    @cached_property
    def in_file(self) -> Mapping[str, Name]:
        """The names that are looked up in the file."""
        if not self.file:
            return {}
        if self.prefer == "file":
            return self.names
        logged = {name.ours for name in self.in_log.values()}
        return {theirs: name for theirs, name in self.names.items() if name.ours not in logged}

    @property
    def waiting(self) -> Mapping[str, ScaleFrom]:
        """The names whose scale the run has to give, by theirs."""
        return {theirs: name.scale for theirs, name in self.names.items()
                if isinstance(name.scale, ScaleFrom)}  # fmt: skip

    def only(self, names: Iterable[str]) -> Source:
        """The same source for some of its names, by theirs."""
        kept = set(names)
        return replace(self, names={k: name for k, name in self.names.items() if k in kept})


def read_source(extra: Mapping[str, Any], epochs: int = 0) -> Source | None:
    """The source in a spec's `extra`; None when there is none, or it is not valid."""
    keys = extra.get(METRICS)
    if not isinstance(keys, Mapping) or not isinstance(keys.get("names"), Mapping):
        return None
    words = {key: str(keys[key]) for key in ("step", "epoch", "file", "pattern") if keys.get(key)}
    names = {str(theirs): _name(ours) for theirs, ours in keys["names"].items()}
    try:
        re.compile(words.get("pattern", ""))
    except (re.error, OverflowError, RecursionError):
        return None
    prefer: Literal["file", "log"] = "log" if keys.get("prefer") == "log" else "file"
    return Source(names, **words, prefer=prefer, epochs=epochs)


def _name(ours: object) -> Name:
    """A name as the experiment file has it: our name, or {as, scale, unit}."""
    if not isinstance(ours, Mapping):
        return Name(str(ours))
    value = stored_value(ours)
    scale = ours.get("scale", 1.0)
    if isinstance(scale, Mapping):
        return Name(str(value), ScaleFrom(**{str(key): str(scale[key]) for key in scale}))
    return Name(str(value), float(scale))


def stored_value(meaning: str | Mapping[str, Any]) -> Value:
    """What a number is kept as, by one of `metrics.names`: our name, or {as, scale, unit}."""
    if isinstance(meaning, str):
        return Value.parse(meaning)
    value = Value.parse(str(meaning.get("as", "")))
    return (value.normalised or value) if meaning.get("unit") == "sigma" else value


def near(name: str, columns: Sequence[str]) -> list[str]:
    """Columns that may be meant by a name that is none of them, the most likely first."""
    plain = {re.sub(r"[\W_]", "", column).lower(): column for column in reversed(columns)}
    same = plain.get(re.sub(r"[\W_]", "", name).lower())
    close = difflib.get_close_matches(name, columns, 3, 0.6)
    return [*dict.fromkeys([same, *close] if same else close)][:3]
