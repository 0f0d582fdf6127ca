"""Whatever the metric, the better of two runs is called the best."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.docs.cases import Stated, result
from vitlab.contract.job import Result
from vitlab.docs.judge.conclusion import best_result, conclusion, key_metric
from vitlab.docs.judge.gates import Verdict, judge
from vitlab.docs.model.roadmap import parse_roadmap
from vitlab.docs.text.source import Document

COMPARED = """\
### Gate-1: g

| 项 | 内容 |
|---|---|
| MVP | MVP-1.0 |
| 若 ViT > LGBM | ✅ ok |
| 若 ViT < LGBM | 🔴 no |

| MVP | 名称 | 状态 |
|---|---|---|
| 1.0 | x | ⏳ |
| 2.0 | y | ⏳ |
"""

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
    line = f"{mvp} {model} - run={number:g} {name}={number} val/{metric}/log_g={number}"
    return replace(result(f"{line} headline={name}"), errors={name: 0.01})


def compared(*results: Result) -> Verdict:
    roadmap = parse_roadmap(Document(COMPARED))
    return judge(roadmap.gates[0], results, roadmap, Stated())


@pytest.mark.parametrize(("metric", "better", "worse"), BETTER_AND_WORSE)
def test_the_conclusion_names_the_better_run(metric: str, better: float, worse: float) -> None:
    pair = [judged(metric, worse), judged(metric, better)]
    for runs in (pair, pair[::-1]):
        best = best_result(runs)
        assert best is not None
        assert best.run == f"{better:g}"
        assert key_metric(runs).endswith(f"_test={better:.3f} ± 0.010")
        assert f"ViT [{better:g}]" in conclusion(runs, "en")


@pytest.mark.parametrize(("metric", "better", "worse"), BETTER_AND_WORSE)
def test_a_model_is_greater_in_a_rule_when_it_is_better(
    metric: str, better: float, worse: float
) -> None:
    for ours, theirs, said in ((better, worse, "pass"), (worse, better, "fail")):
        runs = judged(metric, ours), judged(metric, theirs, "LightGBM", "2.0")
        assert compared(*runs).verdict == said


def test_two_models_with_one_bias_of_either_sign_are_not_told_apart() -> None:
    runs = judged("bias", 0.3), judged("bias", -0.3, "LightGBM", "2.0")
    assert compared(*runs).verdict == "open"


def test_of_an_unknown_metric_nothing_is_called_best() -> None:
    runs = [judged("dice", 0.1), judged("dice", 0.9)]
    assert best_result(runs) is None
    assert best_result(runs[:1]) is runs[0]
    assert key_metric(runs) == "dice_test=0.100..0.900"
    said = "2 runs, dice_test=0.100..0.900; not known whether higher is better"
    assert conclusion(runs, "en") == said
    assert "不知道" in conclusion(runs, "zh")
    found = compared(judged("dice", 0.9), judged("dice", 0.1, "LightGBM", "2.0"))
    assert (found.verdict, "whether a higher dice_test is better" in found.because) == (
        "manual",
        True,
    )
