"""Layers of configuration laid over each other, each value with the line it came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vitlab.jobs.yamlfile import Place, YamlFile

Key = tuple[str, ...]
"""A dotted key in parts: `("data", "train_size")`."""


@dataclass(frozen=True)
class Setting:
    """One value of a layer."""

    value: Any
    line: int


Layer = Mapping[Key, Setting]
"""Leaves only; lists are leaves."""


def read_layer(file: YamlFile, place: Place, skip: Iterable[str] = ()) -> dict[Key, Setting]:
    """The mapping at `place` as a layer; keys may be dotted, nested, or both."""
    data = file.at(place)
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise file.error(place, f"{place[-1]}: must be a mapping (key: value)")
    layer: dict[Key, Setting] = {}
    for name, value in data.items():
        if name in skip:
            continue
        here = (*place, str(name))
        key = tuple(str(name).split("."))
        if not all(key):
            raise file.error(here, f"{name}: not a dotted key")
        if isinstance(value, Mapping) and value:
            inner = read_layer(file, here)
            _lay(layer, {(*key, *rest): setting for rest, setting in inner.items()})
        else:
            _lay(layer, {key: Setting(value, file.lines.get(here, 1))})
    return layer


def merge(layers: Iterable[Layer]) -> dict[Key, Setting]:
    """One layer of all; later ones win, a leaf replaces a branch and the other way round."""
    merged: dict[Key, Setting] = {}
    for layer in layers:
        _lay(merged, layer)
    return merged


def _lay(below: dict[Key, Setting], above: Layer) -> None:
    for key, setting in above.items():
        for other in [k for k in below if k[: len(key)] == key or key[: len(k)] == k]:
            del below[other]
        below[key] = setting


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
