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
    partial = resumed or (isinstance(config, VitConfig | MlpConfig) and config.train.reuse_trunk)
    if not partial and rank(os.environ) is None:
        times = os.times()
        cores = times.user + times.system + times.children_user + times.children_system
        cost[CORE_HOURS] = round(cores / 3600, 6)
        cost |= {GPU_HOURS: round(seconds / 3600, 6)} if device == "cuda" else {}
    return cost


def noise_draws(config: Config, outcome: Outcome) -> int | None:
    """Noisy spectra seen up to the state that was scored; None for what is not trained here.

    A network sees new noise in each epoch, trees and ridges see `copies` of each star.
    Without added noise a spectrum is the same each time.
    """
    stars = outcome.n.get("train", 0)
    if isinstance(config, VitConfig | MlpConfig):
        seen = int(outcome.best.get("step", 0)) * config.train.batch
    elif isinstance(config, BoostConfig | RidgeConfig):
        seen = stars * config.model.copies
    else:
        return None
    return seen if config.noise.level > 0 else min(seen, stars)
