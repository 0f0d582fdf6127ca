"""A YAML file with the line of every value, and layers of overrides that keep these lines."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from stat import S_ISLNK
from typing import Any

import yaml

from vitlab.contract.paths import UsageError
from vitlab.contract.reading import AT_WORK, Unreadable, read_opened, read_regular, whole
from vitlab.contract.validation import unknown
from vitlab.jobs.experiment import yaml_loader

Place = tuple[str | int, ...]
"""Keys and indices from the root: `("runs", 0, "set")`."""

MAX_KEY = 200
"""Letters of a key."""
MAX_ERROR = 500
"""Letters of an error's text, which may repeat what the file holds."""


@dataclass(frozen=True)
class YamlFile:
    """The content of one file, with the line of each part."""

    shown: str
    """The file as errors name it: `experiments/x.yaml`."""
    data: Mapping[str, Any]
    lines: Mapping[Place, int]
    """Line of each key (or list item), from 1."""
    texts: Mapping[Place, str]
    """Scalars as written: `1.10` is a number in YAML, but may be an id."""

    def at(self, place: Place) -> Any:
        """The value at `place`; None where there is none."""
        value: Any = self.data
        for part in place:
            if isinstance(value, list) and isinstance(part, int):
                value = value[part]
            elif isinstance(value, Mapping):
                value = value.get(part)
            else:
                return None
        return value

    def setting(self, place: Place) -> Setting:
        """The value at `place`, as one of a layer."""
        value = self.at(place)
        written: Any = self.texts.get(place) if value is not None else None
        if isinstance(value, list):
            texts = [self.texts.get((*place, i)) for i in range(len(value))]
            pairs = zip(value, texts, strict=True)  # null and what is in it stay themselves
            written = [one if None in (one, text) else text for one, text in pairs]
        return Setting(value, self.lines.get(place, 1), written)

    def error(self, place: Place, text: str) -> UsageError:
        """`experiments/x.yaml:12: text`, at the line of `place` or of what holds it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.error_at(self.lines.get(place, 1), text)

    def line_like(self, name: str) -> int | None:
        """The line of the only place that sets a dotted name: `config.args.lr`, or `smoke.lr`."""
        wanted = name.partition("[")[0].removeprefix("config.").removeprefix("args.").split(".")
        like = {
            line
            for place, line in self.lines.items()
            if ".".join(map(str, place)).split(".")[-len(wanted) :] == wanted
        }
        return like.pop() if len(like) == 1 else None

    def error_at(self, line: int, text: str) -> UsageError:
        short = text if len(text) <= MAX_ERROR else f"{text[: MAX_ERROR - 3]}..."
        return UsageError(f"{self.shown}:{line}: {short}")


def read_yaml(path: Path, within: Path | None = None) -> YamlFile:
    """The mapping in `path`, by PyYAML's safe loader; `UsageError` names file and line.

    `within`: the folder a link must not lead out of; by default the one above that of the file.
    """
    shown = f"{path.parent.name}/{path.name}" if path.parent.name else path.name
    try:
        _check_link(path, within or path.parent.parent)
        with whole(path, edit=False) as (descriptor, is_whole):
            raw = read_opened(descriptor, path, yaml_loader.MAX_BYTES)
            age = time.time() - os.fstat(descriptor).st_mtime
        if not is_whole and age < AT_WORK:  # who only keeps it open has written what there is
            raise Unreadable(path, "is being written by another program; try again")
    except Unreadable as error:
        raise UsageError(f"{shown}: {error.why}") from error
    except OSError as error:
        raise UsageError(f"{shown}: {error.strerror}") from error
    try:
        node, data = yaml_loader.load(raw)
        if not isinstance(node, yaml.MappingNode):
            raise yaml_loader.BadYaml(1, "must be a mapping (key: value)")
        places = list(_walk(node))
    except yaml_loader.BadYaml as error:
        raise UsageError(error.at(shown)) from error
    return YamlFile(
        shown,
        data,
        {place: line for place, line, _ in places},
        {place: text for place, _, text in places if text is not None},
    )


def said_in(path: Path, name: str) -> str:
    """What a file that cannot be read says behind `name:`, at the start of a line; or nothing."""
    try:
        text = read_regular(path, yaml_loader.MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    found = re.search(rf"""^{name}:[ \t]*(?:'([^'\n]*)'|"([^"\n]*)"|([^\s#]+))""", text, re.M)
    return next(filter(None, found.groups()), "") if found else ""


def stamp(path: Path) -> tuple[int, ...]:
    """What changes with a file, and with the one that a link leads to."""
    try:
        stats = [path.lstat()]
    except OSError as error:
        raise UsageError(f"{path.name}: {error.strerror}") from error
    if S_ISLNK(stats[0].st_mode):
        with contextlib.suppress(OSError):
            stats.append(path.stat())
    return tuple(n for stat in stats for n in (stat.st_ino, stat.st_size, stat.st_mtime_ns))


@lru_cache(maxsize=8)
def read_as_of(path: Path, *_stamp: int) -> YamlFile:
    """`read_yaml`, once for those who ask in turn; `_stamp`: what `stamp` told of the file."""
    return read_yaml(path)


def _check_link(path: Path, within: Path) -> None:
    """A link may lead to another file of the lab, or of a folder that is a link itself."""
    if path.is_symlink():
        try:
            real = path.resolve(strict=True)
        except RuntimeError:  # before Python 3.13
            raise Unreadable(path, "is a link in a circle") from None
        if not any(real.is_relative_to(one.resolve()) for one in (within, path.parent)):
            raise Unreadable(path, "is a link out of the lab")


def _walk(root: yaml.Node) -> Iterator[tuple[Place, int, str | None]]:
    """Place, line and scalar text of every node below `root`; a mapping's own keys come last."""
    stack: list[tuple[yaml.Node, Place]] = [(root, ())]
    while stack:
        node, place = stack.pop()
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                here, line = (*place, str(key.value)), key.start_mark.line + 1
                if key.tag != "tag:yaml.org,2002:str":
                    name = str(key.value)[:40]
                    raise yaml_loader.BadYaml(line, f"key {name} must be text (quote it)")
                if len(key.value) > MAX_KEY:
                    name = f"{key.value[:40]}..."
                    raise yaml_loader.BadYaml(line, f"key {name} has more than {MAX_KEY} letters")
                yield here, line, _text(value)
                stack.append((value, here))
        elif isinstance(node, yaml.SequenceNode):
            for i, value in enumerate(node.value):
                yield (*place, i), value.start_mark.line + 1, _text(value)
                stack.append((value, (*place, i)))


def _text(node: yaml.Node) -> str | None:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else None


def check_keys(file: YamlFile, place: Place, allowed: Iterable[str]) -> None:
    """Refuse a mapping at `place` with a key that is not one of `allowed`."""
    data = file.at(place)
    if data is None:
        return
    if not isinstance(data, Mapping):
        raise file.error(place, f"{dotted(place)}: must be a mapping (key: value)")
    words = list(allowed)
    for key in data:
        if key not in words:
            here = (*place, str(key))
            raise file.error(here, f"{dotted(here)}: {unknown('key', str(key), words)}")


def read_text(
    file: YamlFile, place: Place, default: str | None = None, allowed: Sequence[str] = ()
) -> str:
    """The one-line text at `place`, as written (`1.10` stays `1.10`); no default: required."""
    value = file.at(place)
    if value is None:
        if default is None:
            raise file.error(place, f"{dotted(place)}: missing")
        return default
    text = file.texts.get(place, "").strip()
    if isinstance(value, bool) or not text or len(text) > 300 or not text.isprintable():
        raise file.error(place, f"{dotted(place)}: must be one line of text")
    if allowed and text not in allowed:
        raise file.error(place, f"{dotted(place)}: {unknown(f'value {text!r}', text, allowed)}")
    return text


def read_names(file: YamlFile, place: Place) -> tuple[str, ...]:
    """A text or a list of texts."""
    value = file.at(place)
    if value is None:
        return ()
    if not isinstance(value, list):
        return (read_text(file, place),)
    return tuple(read_text(file, (*place, i)) for i in range(len(value)))


def dotted(place: Place) -> str:
    """`runs[0].set`; the file itself has no name."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in place]
    return "".join(parts).lstrip(".")


Key = tuple[str, ...]
"""A dotted key in parts: `("data", "train_size")`."""


@dataclass(frozen=True)
class Setting:
    """One value of a layer."""

    value: Any
    line: int
    written: Any = None
    """A scalar as written, or a list of them; None of anything else."""


Layer = Mapping[Key, Setting]
"""Leaves only; lists are leaves."""
MAX_PARTS = 16
"""Of a dotted key."""


def read_layer(file: YamlFile, place: Place, skip: Iterable[str] = ()) -> dict[Key, Setting]:
    """The mapping at `place` as a layer; keys may be dotted, nested, or both."""
    data = file.at(place)
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise file.error(place, f"{place[-1]}: must be a mapping (key: value)")
    layers: list[Layer] = []
    for name, value in data.items():
        if name in skip:
            continue
        here = (*place, str(name))
        key = tuple(str(name).split("."))
        if not all(key) or len(key) > MAX_PARTS:
            raise file.error(here, f"{name}: not a dotted key of {MAX_PARTS} parts at most")
        if isinstance(value, Mapping) and value:
            inner = read_layer(file, here)
            layers.append({(*key, *rest): setting for rest, setting in inner.items()})
        else:
            layers.append({key: file.setting(here)})
    return merge(layers)


def read_matrix(file: YamlFile, place: Place) -> dict[Key, list[Setting]] | None:
    """`{data.train_size: [10000, 50000]}` at `place`; None when there is none."""
    data = file.at(place)
    if data is None:
        return None
    if not isinstance(data, Mapping) or not data:
        raise file.error(place, f"{dotted(place)}: must map dotted keys to lists of values")
    matrix: dict[Key, list[Setting]] = {}
    for name, values in data.items():
        here = (*place, str(name))
        if not isinstance(values, list) or not values:
            raise file.error(here, f"{dotted(here)}: must be a list of values")
        matrix[tuple(str(name).split("."))] = [file.setting((*here, i)) for i in range(len(values))]
    return matrix


def merge(layers: Iterable[Layer]) -> dict[Key, Setting]:
    """One layer of all; later ones win, a leaf replaces a branch and the other way round."""
    merged: dict[Key, Setting] = {}
    below: dict[Key, list[Key]] = {}
    """A branch -> the leaves that were put below it."""
    for layer in layers:
        for key, setting in layer.items():
            for leaf in below.pop(key, ()):
                merged.pop(leaf, None)
            for length in range(1, len(key)):
                merged.pop(key[:length], None)
                below.setdefault(key[:length], []).append(key)
            merged.pop(key, None)
            merged[key] = setting
    return merged


def only(layer: Layer, sections: Iterable[str]) -> dict[Key, Setting]:
    """The part of `layer` whose first key is one of `sections`."""
    names = frozenset(sections)
    return {key: setting for key, setting in layer.items() if key[0] in names}


def nested(layer: Layer) -> dict[str, Any]:
    """The layer as the nested mapping a recipe is configured by."""
    tree: dict[str, Any] = {}
    for key, setting in layer.items():
        branch = tree
        for part in key[:-1]:
            branch = branch.setdefault(part, {})
        branch[key[-1]] = setting.value
    return tree


def line_of(layer: Layer, dotted: str) -> int | None:
    """The line that set `dotted` (`model.patch`, `labels[1]`), or the first one below it."""
    key = tuple(dotted.split("[", 1)[0].split("."))
    for length in range(len(key), 0, -1):
        for other, setting in layer.items():
            if other[:length] == key[:length]:
                return setting.line
    return None
