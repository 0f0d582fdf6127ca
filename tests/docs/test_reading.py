"""How a gate's condition is read back to the one who writes it."""

from __future__ import annotations

import pytest

from vitlab.docs.judge.reading import condition_words
from vitlab.docs.model.gates.conditions import Otherwise, read_condition


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("R²_test > 0.70", "test R² > 0.7"),
        ("log_g R2 on test >= 0.6", "test R² of log_g >= 0.6"),
        ("T_eff MAE < 50 K", "MAE of T_eff < 50 K"),
        ("|bias| < 0.02", "|bias| < 0.02"),
        ("R² 0.6-0.7", "R² from 0.6 to 0.7"),
        ("ΔR² (vs LightGBM) ≥ 0.02", "difference of R² to lightgbm >= 0.02"),
        ("ridge R² >= 0.4", "ridge: R² >= 0.4"),
        ("≥ 90% of the ceiling", "R² >= 90% of the ceiling"),
        ("ViT > LGBM", "vit is better than lightgbm"),
        ("ViT <= LGBM", "vit is at most as good as lightgbm"),
        ("Gate-1 and Gate-2 pass", "Gate-1, Gate-2 passed"),
        ("FAIL", "the gate itself failed"),
        ("MAE ≤ 0,6", "manual: you decide"),
        ("it looks good", "manual: you decide"),
    ],
)
def test_a_condition_is_read_back_in_words(text: str, words: str) -> None:
    assert condition_words(read_condition(text)) == words


def test_the_rest_is_any_other_case() -> None:
    assert condition_words(Otherwise()) == "otherwise"
