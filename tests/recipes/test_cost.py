"""What a training took is kept with its result, so that unequal comparisons can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vitlab.contract.config import read_config
from vitlab.contract.events import EventWriter
from vitlab.contract.job import CORE_HOURS, DRAWS, GPU_HOURS, Spec
from vitlab.contract.paths import JobPaths
from vitlab.recipes.context import Context, Outcome, Reporter
from vitlab.recipes.cost import training_cost
from vitlab.recipes.run import validation_scores

STEPS = {"step": 200.0, "epoch": 2.0}


@pytest.mark.parametrize(
    ("recipe", "config", "draws"),
    [
        ("vit", {"train": {"batch": 50}}, 10_000),
        ("mlp", {"train": {"batch": 50}, "noise": {"level": 0}, "model": {"input": "flux"}}, 1000),
        ("lightgbm", {"model": {"copies": 10}}, 10_000),
        ("ridge", {}, 1000),
        ("ridge", {"model": {"copies": 3}}, 3000),
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
    unknown = Outcome({}, n={"train": 1000}, best=STEPS, earlier_hours=None)
    assert training_cost(config, unknown, 3600.0, "cuda", resumed=False) == {DRAWS: 1000}
    more = Outcome({}, n={"train": 1000}, best=STEPS, earlier_hours={CORE_HOURS: 9, GPU_HOURS: 2})
    cost = training_cost(config, more, 3600.0, "cuda", resumed=False)
    assert (cost[GPU_HOURS], 9 < float(str(cost[CORE_HOURS])) < 10) == (3.0, True)
    assert training_cost(read_config("template", {}), outcome, 1.0, "cpu", resumed=False) == {}


def test_a_result_keeps_the_validation_score_of_the_state_it_reports(tmp_path: Path) -> None:
    """Without it no run of a sweep could be chosen but by its test score."""
    spec = Spec("1.0", "main", "full", "ridge", {}, "E", "roadmaps/p.md")
    paths = JobPaths(tmp_path)
    with EventWriter(paths.events) as writer:
        for step, r2 in ((1, 0.5), (2, 0.7), (3, 0.6)):
            values = {"val/r2/log_g": r2, "val/mae/log_g": 0.1}
            writer.write("eval", step=step, epoch=0, split="val", n=9, values=values)
        writer.write("eval", step=2, epoch=0, split="test", n=9, values={"test/r2/log_g": 0.1})
        context = Context(
            paths, spec, read_config("ridge", {}), "cpu", Reporter(writer), False, lambda: False
        )
    assert validation_scores(context, {"step": 2}) == {"val/r2/log_g": 0.7}
    assert validation_scores(context, {}) == {}
