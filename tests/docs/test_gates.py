"""Verdicts: only full results decide, and only beyond two standard errors."""

import math

import pytest

from vitlab.contract.job import Result
from vitlab.docs.judge.gates import Verdict, judge, thresholds
from vitlab.docs.model.roadmap import Roadmap, parse_roadmap
from vitlab.docs.text.source import Document


def result(mvp: str, model: str, r2: float | None, **more: object) -> Result:
    fields: dict[str, object] = {
        "mvp": mvp,
        "run": "main",
        "profile": "full",
        "recipe": "vit",
        "values": {"test/r2/log_g": r2, "val/r2/log_g": r2},
        "errors": {"test/r2/log_g": 0.004},
        "n": {"train": 1000, "test": 100},
        "model": {"name": model},
        "data": {"hash": "h"},
        **more,
    }
    return Result(**fields)  # type: ignore[arg-type]


def gate(*rules: str, mvp: str = "MVP-1.0") -> Roadmap:
    rows = "".join(f"| {rule} |\n" for rule in rules)
    return parse_roadmap(
        Document(
            f"### Gate-1: g\n\n| 项 | 内容 |\n|---|---|\n| MVP | {mvp} |\n{rows}\n"
            "| MVP | 名称 | 状态 |\n|---|---|---|\n| 1.0 | x | ⏳ |\n| 2.0 | y | ⏳ |\n"
        )
    )


def verdict(roadmap: Roadmap, *results: Result) -> Verdict:
    return judge(roadmap.gates[0], results, roadmap)


THRESHOLD = ("若 R² > 0.70 | ✅ ok", "若 R² < 0.65 | 🔴 no")


@pytest.mark.parametrize(
    ("r2", "said", "because"),
    [
        (0.72, "pass", "R²_test = 0.72 ± 0.004 > 0.7"),
        (0.60, "fail", "R²_test = 0.6 ± 0.004 < 0.65"),
        (0.68, "open", "not > 0.7"),
        (0.705, "open", "within 2 errors of 0.7"),
        (0.655, "open", "within 2 errors of 0.65"),
        (None, "open", "not a number"),
        (math.nan, "open", "not a number"),
    ],
)
def test_a_threshold_decides_beyond_two_errors(r2: float | None, said: str, because: str) -> None:
    found = verdict(gate(*THRESHOLD), result("1.0", "ViT", r2))
    assert found.verdict == said
    assert because in found.because


def test_no_result_leaves_it_open_and_says_whose_is_missing() -> None:
    found = verdict(gate(*THRESHOLD), result("2.0", "ViT", 0.9))
    assert (found.verdict, found.because) == (
        "open",
        "no full result of MVP-1.0 with test/r2/log_g",
    )


def test_a_demo_closes_nothing_but_says_what_it_would_say() -> None:
    found = verdict(gate(*THRESHOLD), result("1.0", "ViT", 0.9, profile="demo"))
    assert (found.verdict, found.rule) == ("open", None)
    assert "demo results would say pass" in found.because


def test_a_full_result_is_not_mixed_with_a_demo() -> None:
    full, demo = result("1.0", "ViT", 0.60), result("1.0", "ViT", 0.9, profile="demo")
    assert verdict(gate(*THRESHOLD), full, demo).verdict == "fail"


def test_a_result_on_stars_it_was_trained_on_decides_nothing() -> None:
    leaky = result("1.0", "ViT", 0.9, data={"hash": "h", "overlap": 3})
    assert verdict(gate(*THRESHOLD), leaky).verdict == "open"
    sound = result("1.0", "ViT", 0.6, data={"hash": "h", "overlap": 0})
    assert verdict(gate(*THRESHOLD), leaky, sound).verdict == "fail"


def test_the_split_is_the_one_the_rule_names() -> None:
    values = {"test/r2/log_g": 0.6, "val/r2/log_g": 0.8}
    one = result("1.0", "ViT", None, values=values)
    assert verdict(gate("若 R²_val > 0.7 | ✅"), one).verdict == "pass"
    assert verdict(gate("若 R²_test > 0.7 | ✅"), one).verdict == "open"


def test_the_run_is_chosen_on_validation_not_on_the_test_set() -> None:
    best_on_val = result("1.0", "ViT", None, values={"test/r2/log_g": 0.60, "val/r2/log_g": 0.9})
    best_on_test = result("1.0", "ViT", None, values={"test/r2/log_g": 0.80, "val/r2/log_g": 0.5})
    assert verdict(gate(*THRESHOLD), best_on_test, best_on_val).verdict == "fail"


COMPARED = ("若 ViT > LGBM | ✅ ok", "若 ViT < LGBM | 🔴 no")


@pytest.mark.parametrize(
    ("vit", "lgbm", "said"), [(0.72, 0.61, "pass"), (0.61, 0.72, "fail"), (0.715, 0.710, "open")]
)
def test_models_are_compared_by_name(vit: float, lgbm: float, said: str) -> None:
    results = [result("1.0", "ViT", vit), result("2.0", "LightGBM", lgbm)]
    found = verdict(gate(*COMPARED), *results)
    assert found.verdict == said
    assert found.values == {"vit/test/r2/log_g": vit, "lightgbm/test/r2/log_g": lgbm}


def test_a_comparison_needs_both_models_on_the_same_data() -> None:
    one = result("1.0", "ViT", 0.7)
    assert verdict(gate(*COMPARED), one).because == "no full result of lightgbm"
    other = result("2.0", "LightGBM", 0.6, data={"hash": "another"})
    found = verdict(gate(*COMPARED), one, other)
    assert (found.verdict, "on the same data" in found.because) == ("open", True)
    nameless = [result("1.0", "ViT", 0.7, data={}), result("2.0", "LightGBM", 0.6, data={})]
    assert verdict(gate(*COMPARED), *nameless).verdict == "open"


def test_models_are_compared_at_the_same_training_size() -> None:
    vits = [result("1.0", "ViT", 0.5), result("1.0", "ViT", 0.9, n={"train": 10**6})]
    assert verdict(gate(*COMPARED), *vits, result("2.0", "LightGBM", 0.6)).verdict == "fail"


def test_of_an_error_the_smaller_is_better() -> None:
    name = "test/mae/log_g"
    vit = result("1.0", "ViT", None, values={name: 0.1}, errors={}, headline=name)
    lgbm = result("2.0", "LightGBM", None, values={name: 0.2}, errors={}, headline=name)
    assert verdict(gate(*COMPARED), vit, lgbm).verdict == "pass"


def test_a_difference_is_held_against_the_model_it_names() -> None:
    rules = ("若A | ΔR² (vs LightGBM) > 0.05 → ok",)
    results = [result("1.0", "ViT", 0.72), result("2.0", "LGBM", 0.61)]
    found = verdict(gate(*rules), *results)
    assert (found.verdict, round(found.values["Δtest/r2/log_g"], 3)) == ("pass", 0.11)


def test_what_cannot_be_read_is_manual_with_its_text() -> None:
    found = verdict(gate("若A | [条件] → [选择]"), result("1.0", "ViT", 0.9))
    assert (found.verdict, found.because) == ("manual", "no rule that can be read: [条件]")
    assert verdict(gate(), result("1.0", "ViT", 0.9)).because == "no rule is written"


def test_a_difference_against_nothing_named_is_manual() -> None:
    found = verdict(gate("若A | ΔR² ≥ 0.02 → ok"), result("1.0", "ViT", 0.9))
    assert found.verdict != "pass"
    assert "for a person to judge" in found.because


def test_an_unread_rule_beside_a_decided_one_leaves_the_rest_to_a_person() -> None:
    rules = ("若A | R² > 0.7 → ok", "若B | 其他情况 → no")
    assert verdict(gate(*rules), result("1.0", "ViT", 0.9)).verdict == "pass"
    assert verdict(gate(*rules), result("1.0", "ViT", 0.5)).verdict == "manual"


def test_else_follows_a_rule_that_surely_does_not_hold() -> None:
    rules = ("If | R² > 0.7 then go on; else stop",)
    assert verdict(gate(*rules), result("1.0", "ViT", 0.5)).verdict == "fail"
    assert verdict(gate(*rules), result("1.0", "ViT", 0.699)).verdict == "open"


def test_a_bad_rule_may_stand_first() -> None:
    rules = ("若 R² < 0.65 | ❌ stop", "若 R² > 0.70 | ✅ go on")
    assert verdict(gate(*rules), result("1.0", "ViT", 0.5)).verdict == "fail"
    assert verdict(gate(*rules), result("1.0", "ViT", 0.9)).verdict == "pass"


def test_thresholds_are_given_to_charts_by_value_name() -> None:
    rules = ("若 R²_val > 0.70 | ✅", "若 T_eff MAE < 60 | ✅", "若 ViT > LGBM | ✅")
    found = thresholds(gate(*rules).gates[0])
    assert found == (("val/r2/log_g", 0.7), ("test/mae/T_eff", 60.0))
