"""What a training took, as a result keeps it: noisy spectra seen, and hours of cores and GPUs."""

from __future__ import annotations

import os
from collections.abc import Mapping

from vitlab.contract.config import BoostConfig, Config, MlpConfig, RidgeConfig, VitConfig
from vitlab.contract.job import CORE_HOURS, DRAWS, GPU_HOURS
from vitlab.recipes.context import Outcome, rank


def training_cost(
    config: Config, outcome: Outcome, seconds: float, device: str, resumed: bool
) -> Mapping[str, object]:
    """Keys of a result's `data`; hours are left out where a part of the training is not in them."""
    cost: dict[str, object] = {}
    if (draws := noise_draws(config, outcome)) is None:
        return cost
    cost[DRAWS] = draws
    if not resumed and outcome.earlier_hours is not None:
        cost |= hours(seconds, device, outcome.earlier_hours)
    return cost


def hours(seconds: float, device: str, earlier: Mapping[str, float]) -> dict[str, float]:
    """Those that this process has taken so far, with `earlier` ones of another job.

    Empty in one of several processes, which knows its own alone.
    """
    if rank(os.environ) is not None:
        return {}
    times = os.times()
    cores = times.user + times.system + times.children_user + times.children_system
    own = {CORE_HOURS: cores / 3600, GPU_HOURS: seconds / 3600 if device == "cuda" else 0.0}
    total = {key: x + earlier.get(key, 0.0) for key, x in own.items()}
    return {key: round(x, 6) for key, x in total.items() if x or key == CORE_HOURS}


def noise_draws(config: Config, outcome: Outcome) -> int | None:
    """Noisy spectra seen up to the state that was scored; None for what is not trained here.

    A network sees new noise in each epoch, trees and ridges see `copies` of each star.
    Without added noise a spectrum is the same each time.
    """
    stars = outcome.n.get("train", 0)
    if isinstance(config, VitConfig | MlpConfig):
        batch = outcome.best.get("batch", config.train.size)
        seen = int(outcome.best.get("step", 0) * batch)
    elif isinstance(config, BoostConfig | RidgeConfig):
        seen = stars * config.model.copies
    else:
        return None
    return seen if config.noise.level > 0 else min(seen, stars)
