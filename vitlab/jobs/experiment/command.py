"""What is known of a command before it starts: its placeholders, and who shares its files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from vitlab.contract.job import Spec
from vitlab.contract.validation import ConfigError, unknown
from vitlab.jobs.experiment.placeholders import (
    METRICS,
    filled,
    folder_name,
    is_glob,
    own_settings,
    place_of,
    values_of,
    words_in,
)


def check_placeholders(config: Mapping[str, Any], metrics: Mapping[str, Any] | None) -> None:
    """Raise `ConfigError` for an unknown one in the texts of a command or its metrics' paths.

    Its `args` and `metrics.pattern` keep all else in braces as it is.
    """
    known = [*values_of({"config": config}, Path(), "")]
    for where, text in [*_texts(config), *_metrics_paths(metrics or {})]:
        for word in sorted(words_in(text) - set(known)):
            hint = unknown(f"placeholder {{{word}}}", word, known)
            raise ConfigError(where, f"{hint}; {{{{{word}}}}} is the text {{{word}}}")


_OPTION = re.compile(r"--(?P<name>[A-Za-z][\w.-]*)(=(?P<value>.*))?", re.DOTALL)
_SETTING = re.compile(r"\+{0,2}(?P<name>[A-Za-z_][\w.]*)=(?P<value>.*)", re.DOTALL)
"""As Hydra takes it: `model.lr=0.1`."""


def options_of(argv: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """The program of a command line, and its settings by name: `--lr 0.1`, `--lr=0.1`, `lr=0.1`.

    A setting without a value is True, one with several their list; `--batch-size` is `batch_size`.
    """
    program: list[str] = []
    found: dict[str, list[str]] = {}
    values: list[str] | None = None
    for word in argv:
        match = _OPTION.fullmatch(word) or (_SETTING.fullmatch(word) if values is None else None)
        if match and program:
            values = found[match["name"].replace("-", "_")] = []
            if match["value"] is not None:
                values.append(match["value"])
                values = None
        elif values is None or word.endswith(".py") or re.fullmatch("-[A-Za-z].*", word):
            program.append(word)
            values = None
        else:
            values.append(word)
    texts = {name: [_number_or_text(one) for one in words] for name, words in found.items()}
    return program, {name: _one(words) for name, words in texts.items()}


def _one(words: list[Any]) -> Any:
    if len(words) > 1:
        return words
    return words[0] if words else True


def _number_or_text(word: str) -> Any:
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word


def words_of(config: Mapping[str, Any], *keys: str) -> set[str]:
    """The placeholders in these keys of a command, and in its settings."""
    texts = [text for where, text in _texts(config) if re.split(r"[.[]", where)[1] in keys]
    texts += [value for value in own_settings(config).values() if isinstance(value, str)]
    return set().union(*map(words_in, texts))


def of_one_folder(specs: Iterable[Spec]) -> tuple[str, str] | None:
    """The names of two runs that would share a folder, as their `{run}` is the same."""
    found: dict[str, Spec] = {}
    for spec in specs:
        if spec.recipe != "command":
            continue
        other = found.setdefault(folder_name(spec.run), spec)
        if other.run != spec.run and "run" in _words(other) & _words(spec):
            return other.run, spec.run
    return None


def _words(spec: Spec) -> set[str]:
    paths = _metrics_paths(spec.extra.get(METRICS) or {})
    texts = [text for _, text in [*_texts(spec.config), *paths]]
    return words_of(spec.config).union(*map(words_in, texts))


def _texts(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in ("argv", "resume_argv", "outputs"):
        for i, text in enumerate(config.get(key) or ()):
            yield f"config.{key}[{i}]", str(text)
    yield "config.cwd", str(config.get("cwd") or "")
    for name, text in (config.get("env") or {}).items():
        yield f"config.env.{name}", str(text)


def _metrics_paths(metrics: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "metrics.file", str(metrics.get("file") or "")
    for theirs, ours in (metrics.get("names") or {}).items():
        scale = ours.get("scale") if isinstance(ours, Mapping) else None
        if isinstance(scale, Mapping):
            yield f"metrics.names.{theirs}.scale.file", str(scale.get("file") or "")


def metrics_place(spec: Spec, root: Path, folder: Path | None = None) -> str:
    """Where a job's program writes its numbers: a path or glob, links resolved; empty without one.

    `folder` is the job's; without it `{job}` is not known yet, and `{gpu}` never is before a start.
    """
    if not (spec.extra.get(METRICS) or {}).get("file"):
        return ""
    document = {"run": spec.run, "config": spec.config, "extra": spec.extra}
    command = filled(document, root, values_of(document, folder))
    folder, pattern = place_of(command)
    return str(folder / pattern)


def literal_head(path: str) -> str:
    """What stands before the first wildcard: of two that meet, one begins with the other."""
    return re.split(r"[*?[]", path, maxsplit=1)[0]


def may_meet(one: str, other: str) -> bool:
    """Whether two paths, each perhaps a glob (`logs/version_*/metrics.csv`), may name one file."""
    these, those = (PurePosixPath(path).parts for path in (one, other))
    ways, seen = [(0, 0)], set[tuple[int, int]]()  # how many parts of each stand for each other
    while ways:
        n, m = way = ways.pop()
        if way in seen or n > len(these) or m > len(those):
            continue
        seen.add(way)
        first, second = these[n : n + 1], those[m : m + 1]
        if not first and not second:
            return True
        if "**" in (*first, *second):
            ways += [(n + 1, m), (n, m + 1)]
        elif first and second and _parts_meet(first[0], second[0]):
            ways.append((n + 1, m + 1))
    return False


def _parts_meet(one: str, other: str) -> bool:
    """Of two names: by what stands before their first and after their last wildcard."""
    if fnmatchcase(one, other) or fnmatchcase(other, one):
        return True
    if not (is_glob(one) and is_glob(other)):
        return False
    ends = [(re.split(r"[*?\[]", name)[0], re.split(r"[*?\]]", name)[-1]) for name in (one, other)]
    (head, tail), (head2, tail2) = ends
    heads_fit = head.startswith(head2) or head2.startswith(head)
    return heads_fit and (tail.endswith(tail2) or tail2.endswith(tail))
