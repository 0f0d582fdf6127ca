"""A YAML file with the line of every value, and layers of overrides that keep these lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vitlab.contract.paths import UsageError

Place = tuple[str | int, ...]
"""Keys and indices from the root: `("runs", 0, "set")`."""

MAX_BYTES = 1 << 20
MAX_NODES = 100_000
"""Aliases can make a small file a huge tree; a larger one is refused."""


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
            written = [self.texts.get((*place, i)) for i in range(len(value))]
            written = None if None in (*written, *value) else written
        return Setting(value, self.lines.get(place, 1), written)

    def error(self, place: Place, text: str) -> UsageError:
        """`experiments/x.yaml:12: text`, at the line of `place` or of what holds it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.error_at(self.lines.get(place, 1), text)

    def error_at(self, line: int, text: str) -> UsageError:
        return UsageError(f"{self.shown}:{line}: {text}")


def read_yaml(path: Path) -> YamlFile:
    """The mapping in `path`, by PyYAML's safe loader; `UsageError` names file and line."""
    shown = f"{path.parent.name}/{path.name}" if path.parent.name else path.name
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{shown}: {error.strerror}") from error
    if len(raw) > MAX_BYTES:
        raise UsageError(f"{shown}: larger than {MAX_BYTES >> 20} MiB")
    loader = None
    try:
        loader = yaml.SafeLoader(raw)
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise UsageError(f"{shown}:1: must be a mapping (key: value)")
        data = loader.construct_document(node)
        places = list(_walk(node, (), shown))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        problem = str(error.problem or error.context)
        hint = "; a text with braces needs quotes here" if problem.endswith("'{'") else ""
        raise UsageError(f"{shown}:{line}: {problem}{hint}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{shown}: not YAML: {' '.join(str(error).split())}") from error
    except (RecursionError, ValueError, TypeError) as error:
        # Deep nesting, or a value such as the date 2025-13-45 or a mapping as a key.
        raise UsageError(f"{shown}: not readable as YAML: {error}") from error
    finally:
        if loader is not None:
            loader.dispose()
    return YamlFile(
        shown,
        data,
        {place: line for place, line, _ in places},
        {place: text for place, _, text in places if text is not None},
    )


def _walk(root: yaml.Node, at: Place, shown: str) -> Iterator[tuple[Place, int, str | None]]:
    """Place, line and scalar text of every node below `root`; a key given twice is an error."""
    stack: list[tuple[yaml.Node, Place]] = [(root, at)]
    for _ in range(MAX_NODES):
        if not stack:
            return
        node, place = stack.pop()
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                name, line = str(key.value), key.start_mark.line + 1
                if key.tag != "tag:yaml.org,2002:str":
                    raise UsageError(f"{shown}:{line}: key {name} must be a text (quote it)")
                if name in seen:
                    raise UsageError(f"{shown}:{line}: key {name} is given twice")
                seen.add(name)
                yield (*place, name), line, _text(value)
                stack.append((value, (*place, name)))
        elif isinstance(node, yaml.SequenceNode):
            for i, value in enumerate(node.value):
                yield (*place, i), value.start_mark.line + 1, _text(value)
                stack.append((value, (*place, i)))
    raise UsageError(f"{shown}: more than {MAX_NODES} parts (aliases of aliases?)")


def _text(node: yaml.Node) -> str | None:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else None


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
            _overlay(layer, {(*key, *rest): setting for rest, setting in inner.items()})
        else:
            _overlay(layer, {key: file.setting(here)})
    return layer


def merge(layers: Iterable[Layer]) -> dict[Key, Setting]:
    """One layer of all; later ones win, a leaf replaces a branch and the other way round."""
    merged: dict[Key, Setting] = {}
    for layer in layers:
        _overlay(merged, layer)
    return merged


def _overlay(below: dict[Key, Setting], above: Layer) -> None:
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
