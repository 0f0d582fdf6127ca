"""The keys of an experiment file and how each kind of value is read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from vitlab.contract.strict import unknown
from vitlab.jobs.overrides import Key, Setting
from vitlab.jobs.yamlfile import Place, YamlFile

KEYS = (
    "mvp",
    "roadmap",
    "recipe",
    "name",
    "config",
    "runs",
    "matrix",
    "repeats",
    "seeds",
    "headline",
    "profiles",
    "device",
    "after",
    "queue",
    "health",
    "metrics",
    "slurm",
    "wandb",
)
RUN_KEYS = ("name", "recipe", "config", "set", "device", "profiles")


def bare_id(text: str) -> str:
    """An MVP's id without the prefix people write: `MVP-1.0` -> `1.0`."""
    return re.sub(r"^\s*MVP[-_ ]", "", text, flags=re.IGNORECASE).strip()


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
        raise file.error(place, f"{dotted(place)}: must be a text of one line")
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
        matrix[tuple(str(name).split("."))] = [
            Setting(value, file.lines.get((*here, i), 1)) for i, value in enumerate(values)
        ]
    return matrix


def dotted(place: Place) -> str:
    """`runs[0].set`; the file itself has no name."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in place]
    return "".join(parts).lstrip(".")
