"""What a training took is kept with its result, so that unequal comparisons can be told."""

from __future__ import annotations

from typing import Any

import pytest

from vitlab.contract.config import read_config
from vitlab.contract.job import CORE_HOURS, DRAWS, GPU_HOURS
from vitlab.recipes.context import Outcome
from vitlab.recipes.cost import training_cost

STEPS = {"step": 200.0, "epoch": 2.0}


@pytest.mark.parametrize(
    ("recipe", "config", "draws"),
    [
        ("vit", {"train": {"batch": 50}}, 10_000),
        ("mlp", {"train": {"batch": 50}, "noise": {"level": 0}, "model": {"input": "flux"}}, 1000),
        ("lightgbm", {"model": {"copies": 10}}, 10_000),
        ("ridge", {}, 1000),
    ],
)
def test_the_noise_draws_a_model_saw(recipe: str, config: dict[str, Any], draws: int) -> None:
    outcome = Outcome({}, n={"train": 1000}, best=STEPS)
    cost = training_cost(read_config(recipe, config), outcome, 3600.0, "cpu", resumed=False)
    assert cost[DRAWS] == draws
    assert isinstance(cost[CORE_HOURS], float)
    assert GPU_HOURS not in cost


def test_hours_that_hold_only_a_part_are_left_out() -> None:
    outcome, config = Outcome({}, n={"train": 1000}, best=STEPS), read_config("ridge", {})
    assert training_cost(config, outcome, 3600.0, "cuda", resumed=False)[GPU_HOURS] == 1.0
    assert training_cost(config, outcome, 3600.0, "cuda", resumed=True) == {DRAWS: 1000}
    assert training_cost(read_config("template", {}), outcome, 1.0, "cpu", resumed=False) == {}
