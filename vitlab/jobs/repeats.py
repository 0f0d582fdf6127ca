"""One configuration run several times: `repeats: 3` or `seeds: [42, 43]` in its file."""

from __future__ import annotations

from dataclasses import dataclass

from vitlab.contract.networks import TrainConfig
from vitlab.jobs.overrides import Key, Layer, Setting
from vitlab.jobs.yamlfile import Place, YamlFile

KEYS = ("repeats", "seeds")
SEED: Key = ("train", "seed")
"""What repeats differ in; the stars and the test noise stay those of `data.seed`."""
UNSEEDED = ("template", "ceiling", "evaluate", "command")
"""Recipes in which nothing is drawn: they are run once."""
MOST = 100


@dataclass(frozen=True)
class Repeats:
    """How often each run is run."""

    count: int
    """Seeds from the run's own upwards; 0 where `seeds` names them."""
    seeds: tuple[int, ...]
    line: int

    def of(self, recipe: str, layer: Layer) -> tuple[Setting | None, ...]:
        """The seeds of a run, each as the setting of `SEED`; (None,) for one that has none."""
        if recipe in UNSEEDED or (self.count == 1 and not self.seeds):
            return (None,)
        if self.seeds:
            return tuple(Setting(seed, self.line) for seed in self.seeds)
        first = _own_seed(layer)
        return tuple(Setting(first + k, self.line) for k in range(self.count))


ONCE = Repeats(1, (), 1)


def read_repeats(file: YamlFile, place: Place) -> Repeats | None:
    """What stands at `place`; None when neither key does."""
    count, seeds = (file.at((*place, key)) for key in KEYS)
    if count is None and seeds is None:
        return None
    here = (*place, KEYS[0] if count is not None else KEYS[1])
    line = file.lines.get(here, 1)
    if count is not None and seeds is not None:
        raise file.error(here, "repeats: seeds says how often already; keep one of them")
    if count is not None:
        if not _whole(count) or not 1 <= count <= MOST:
            raise file.error(here, f"repeats: {count!r} is no number from 1 to {MOST}")
        return Repeats(count, (), line)
    good = isinstance(seeds, list) and 0 < len(seeds) <= MOST and all(map(_whole, seeds))
    if not good or len(set(seeds)) < len(seeds) or min(seeds) < 0 or max(seeds) >= 2**31:
        raise file.error(here, f"seeds: must be a list of 1 to {MOST} different numbers >= 0")
    return Repeats(0, tuple(seeds), line)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _own_seed(layer: Layer) -> int:
    setting = layer.get(SEED)
    return int(setting.value) if setting is not None and _whole(setting.value) else TrainConfig.seed
