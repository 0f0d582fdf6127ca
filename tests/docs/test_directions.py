"""Whatever the metric, the better of two runs is called the best."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.docs.test_gates import COMPARED, gate, result, verdict
from vitlab.contract.job import Result
from vitlab.docs.judge.conclusion import best_of, conclusion, key_metric

BETTER_AND_WORSE = [
    ("r2", 0.9, 0.1),
    ("mae", 0.1, 0.9),
    ("rmse", 0.1, 0.9),
    ("scatter", 0.1, 0.9),
    ("bias", 0.0, 0.3),
    ("bias", 0.02, -0.4),
    ("pull2", 1.1, 3.0),
    ("pull2", 0.9, 0.2),
    ("coverage68", 0.7, 0.95),
]


def judged(metric: str, number: float, model: str = "ViT", mvp: str = "1.0") -> Result:
    name = f"test/{metric}/log_g"
    values = {name: number, f"val/{metric}/log_g": number}
    return result(mvp, model, None, run=f"{number:g}", values=values, errors={}, headline=name)


@pytest.mark.parametrize(("metric", "better", "worse"), BETTER_AND_WORSE)
def test_the_conclusion_names_the_better_run(metric: str, better: float, worse: float) -> None:
    pair = [judged(metric, worse), judged(metric, better)]
    for runs in (pair, pair[::-1]):
        best = best_of(runs)
        assert best is not None
        assert best.run == f"{better:g}"
        assert key_metric(runs).endswith(f"_test={better:.3f}")
        assert f"ViT [{better:g}]" in conclusion(runs, "en")


@pytest.mark.parametrize(("metric", "better", "worse"), BETTER_AND_WORSE)
def test_a_model_is_greater_in_a_rule_when_it_is_better(
    metric: str, better: float, worse: float
) -> None:
    for ours, theirs, said in ((better, worse, "pass"), (worse, better, "fail")):
        runs = judged(metric, ours), judged(metric, theirs, "LightGBM", "2.0")
        assert verdict(gate(*COMPARED), *runs).verdict == said


def test_two_models_with_one_bias_of_either_sign_are_not_told_apart() -> None:
    runs = judged("bias", 0.3), judged("bias", -0.3, "LightGBM", "2.0")
    errors = {"test/bias/log_g": 0.01}
    assert verdict(gate(*COMPARED), *(replace(r, errors=errors) for r in runs)).verdict == "open"


def test_of_an_unknown_metric_nothing_is_called_best() -> None:
    runs = [judged("dice", 0.1), judged("dice", 0.9)]
    assert best_of(runs) is None
    assert best_of(runs[:1]) is runs[0]
    assert key_metric(runs) == "dice_test=0.100..0.900"
    said = "2 runs, dice_test=0.100..0.900; which way is better is not known"
    assert conclusion(runs, "en") == said
    assert "不知道" in conclusion(runs, "zh")
    found = verdict(gate(*COMPARED), judged("dice", 0.9), judged("dice", 0.1, "LightGBM", "2.0"))
    assert (found.verdict, "which way dice_test is better" in found.because) == ("manual", True)
