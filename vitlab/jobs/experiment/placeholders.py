"""Words in braces that stand for what differs between the runs of a command: `{run}`, `{seed}`.

Specs keep the text with its placeholders; they are filled in when a job starts, or where its
folders are needed before. Standard library only: a supervisor needs it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitlab.contract.paths import JobPaths, UsageError, real
from vitlab.contract.terminal import UNSAFE

METRICS = "metrics"
"""Key of an experiment file, of a run, and of `Spec.extra`."""
SEED = 42
"""Seed of a command that sets none, as of the other recipes."""

_WORD = r"[A-Za-z_][\w.-]*"
_PLACEHOLDER = re.compile(rf"(?<![$\\{{])\{{\{{({_WORD})\}}\}}|(?<![$\\{{])\{{({_WORD})\}}")
"""`{{word}}`, or `{word}`; not `${word}`, which is the shell's or a program's own."""
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d{1,2}")
"""A number to everyone but YAML 1.1, which reads `1e-4` as a text."""


def expand(text: str, values: Mapping[str, str]) -> str:
    """`text` with the placeholders that `values` knows filled in, and `{{word}}` as `{word}`.

    All other braces (of a shell, JSON or a regular expression) stay as they are.
    """

    def fill(match: re.Match[str]) -> str:
        literal, word = match.groups()
        return f"{{{literal}}}" if literal else values.get(word, match[0])

    return _PLACEHOLDER.sub(fill, text)


def words_in(text: str) -> set[str]:
    """The words of `text` that have the form of a placeholder, known or not."""
    return {match[2] for match in _PLACEHOLDER.finditer(text) if match[2]}


def values_of(
    spec: Mapping[str, Any], folder: Path | None = None, device: str | None = None
) -> dict[str, str]:
    """What the placeholders of the job with `spec`, as in `spec.json`, stand for.

    Without its `folder`, `{job}` and `{config}` are not known yet; without its `device` (`gpu0`,
    `gpu0,gpu1`, `cpu`), `{gpu}` is not: they stay as they are.
    """
    config = spec.get("config") or {}
    values = {"run": folder_name(str(spec.get("run", ""))), "seed": str(seed_of(config))}
    if config.get("epochs") is not None:
        values["epochs"] = str(config["epochs"])
    if folder is not None:
        values["job"] = folder.name
    if device is not None:
        given = (part for part in device.split(",") if part != "cpu")
        values["gpu"] = ",".join(part.removeprefix("gpu") for part in given)
    own = {key: expand(_text(value), values) for key, value in own_settings(config).items()}
    if folder is not None:
        values["config"] = str(JobPaths(folder).config)
    return {**own, **values}


@dataclass(frozen=True)
class Filled:
    """A command with its placeholders filled in, as far as they are known."""

    argv: tuple[str, ...]
    cwd: Path
    """Absolute, or from the current folder as `root` is."""
    env: Mapping[str, str]
    outputs: tuple[str, ...]
    metrics: str
    """The glob of its metrics file, from `cwd`; empty where it has none."""
    makes_cwd: bool
    """Whether its folder is made when it starts."""


def filled(
    spec: Mapping[str, Any], root: Path, values: Mapping[str, str], resumed: bool = False
) -> Filled:
    """The command of the job with `spec`, as in `spec.json`, in the lab at `root`."""
    config = spec.get("config") or {}
    argv = (config.get("resume_argv") if resumed else None) or config.get("argv") or ["nothing"]
    cwd = str(config.get("cwd") or ".")
    metrics = (spec.get("extra") or {}).get(METRICS) or {}
    env = {str(name): expand(str(text), values) for name, text in (config.get("env") or {}).items()}
    return Filled(
        argv=tuple(expand(str(part), values) for part in argv),
        cwd=root / expand(cwd, values),
        env={"VITLAB_SEED": values["seed"], **env},
        outputs=tuple(expand(str(glob), values) for glob in config.get("outputs") or ()),
        metrics=expand(str(metrics.get("file") or ""), values),
        makes_cwd=bool(words_in(cwd)),
    )


def settings_text(config: Mapping[str, Any], values: Mapping[str, str]) -> str:
    """The file `{config}` names: the command's `args`, with its seed and epochs, as JSON."""
    own = {key: config[key] for key in ("seed", "epochs") if config.get(key) is not None}
    settings = {**_filled(config.get("args") or {}, values), **own}
    return json.dumps(settings, ensure_ascii=False, indent=1) + "\n"


def is_glob(path: str) -> bool:
    """Whether a path has a wildcard."""
    return any(letter in path for letter in "*?[")


def place_of(command: Filled) -> tuple[Path, str]:
    """Folder and name of a command's metrics file, or the pattern of it from there on.

    Links are followed as far as no wildcard stands before them.
    """
    parts = Path(command.metrics).parts
    literal = next((i for i, part in enumerate(parts) if is_glob(part)), len(parts))
    place = real(command.cwd.joinpath(*parts[:literal]))
    if literal == len(parts):
        return place.parent, place.name
    return place, os.path.normpath("/".join(parts[literal:]))


def seed_of(config: Mapping[str, Any]) -> int:
    """The seed of a command."""
    seed = config.get("seed")
    return seed if isinstance(seed, int) else SEED


def folder_name(run: str) -> str:
    """A run's name as the name of a folder: `Run 1 lr=0.1` -> `Run-1-lr=0.1`."""
    name = re.sub(r"[^\w.=+-]+", "-", run).strip("-.") or "run"
    if len(name) <= 60:
        return name
    digest = int.from_bytes(run.encode("utf-8", "surrogatepass"), "big") % 0xFFFFFFFB  # a prime
    return f"{name[:50]}-{digest:08x}"


def own_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """A command's `args` by dotted names."""
    return dict(_flat(config.get("args") or {}))


def _flat(tree: Mapping[str, Any], head: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{head}{key}.")
        else:
            yield f"{head}{key}", value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _filled(inner, values) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, values) for inner in value]
    if isinstance(value, str):
        return float(value) if _EXPONENT.fullmatch(value) else expand(value, values)
    return value


def check_literal(text: str) -> None:
    """`UsageError` for a path that an experiment file cannot have as it is."""
    if UNSAFE.search(text) or "\n" in text or "\r" in text:
        raise UsageError(f"{text!a}: holds characters that are no text: rename it")
    if "{" in text or "}" in text:
        why = "holds { or }, which an experiment file takes for a placeholder"
        raise UsageError(f"{text}: {why}: rename it")
