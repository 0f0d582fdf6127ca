"""The style of each model of a lab, kept so that it is the same in every figure for ever."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from vitlab.contract.paths import LabPaths, UsageError
from vitlab.docs.model.gates.conditions import model_key
from vitlab.jobs.files import read_json, write_json
from vitlab.plot.figures.styles import KNOWN, Style

_ENSEMBLE = " ensemble"
"""Of a model of this name the members' style is another variant."""
_MOST = 1000


def styles_of(
    paths: LabPaths, models: Sequence[str], everything: Callable[[], Iterable[str]]
) -> list[Style]:
    """A style for each curve by its model; curves of one model differ in their variant.

    `everything`: the names of all models of the lab in the order of their first job, read where a
    model has no style yet. New ones are kept in `.vitlab/styles.json`.
    """
    keys = [model_key(name.removesuffix(_ENSEMBLE)) for name in models]
    places = {model_key(name): place for place, name in enumerate(KNOWN)}
    kept = _read(paths)
    places |= {key: place for key, place in kept.items() if key not in places}
    if not set(keys) <= set(places):
        new = [model_key(name.removesuffix(_ENSEMBLE)) for name in everything()]
        for key in dict.fromkeys([*new, *keys]):
            if key not in places:
                places[key] = kept[key] = max(places.values()) + 1
        _keep(paths, kept)
    seen = Counter[str]()
    found = []
    for name, key in zip(models, keys, strict=True):
        seen[key] += 1
        is_mean = name.endswith(_ENSEMBLE) and seen[key] == 1
        found.append(Style(places[key], seen[key] - 1 + is_mean))
    return found


def _read(paths: LabPaths) -> dict[str, int]:
    """Those kept; what is not a place in the file counts as not there."""
    found = read_json(paths.private.styles)
    return {
        key: place
        for key, place in list(found.items())[:_MOST]
        if isinstance(place, int) and len(KNOWN) <= place < _MOST
    }


def _keep(paths: LabPaths, kept: dict[str, int]) -> None:
    with contextlib.suppress(OSError, UsageError):  # a lab that is only read keeps nothing
        paths.private.check()
        paths.private.make()
        write_json(paths.private.styles, dict(list(kept.items())[:_MOST]))
