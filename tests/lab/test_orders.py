"""Orders, limits, trends and ceilings in words, held against scores."""

from __future__ import annotations

import pytest

from vitlab.contract.value import Value
from vitlab.lab.conclusions.held import held
from vitlab.lab.conclusions.orders import orders_in
from vitlab.lab.paper.facts import Fact, Facts

R2 = {"vit": 0.619, "mlp": 0.540, "ridge": 0.394, "lightgbm": 0.215}
MAE = {"vit": 0.600, "mlp": 0.672, "ridge": 0.819, "lightgbm": 0.978}


def fact(model: str, metric: str, number: float, size: int = 1000, split: str = "test") -> Fact:
    value = Value(split, metric, "log_g")
    return Fact(value, number, 0.02, model, size, "full", f"{model}/{size}", True)


def facts(*models: str) -> Facts:
    numbers = [fact(name, "r2", R2[name]) for name in models]
    numbers += [fact(name, "mae", MAE[name]) for name in models]
    tops = [fact(name, "r2_bayes", 0.83, split="ceiling") for name in models]
    return Facts((*numbers, *tops), ())


MINE, LAB = facts("mlp", "ridge", "lightgbm"), facts(*R2)


@pytest.mark.parametrize(
    "text",
    [
        "LightGBM outperformed Ridge.", "LightGBM has a higher R² than Ridge.",
        "LightGBM is the best of the three models.", "三个模型中 LightGBM 最好。",
        "LightGBM 的 R² 高于 Ridge。", "LightGBM 的表现好于 Ridge。",
        "Ridge is stronger than the MLP.",
        "LightGBM > MLP in R².", "排序：LightGBM > Ridge > MLP。",
        "The best model is LightGBM, then Ridge, then the MLP.",
        "The best model is the MLP, then LightGBM, then Ridge.",
        "The MLP is the worst of the three.",
        "LightGBM has the lowest MAE.", "The ViT has a larger MAE than LightGBM.",
        "The MLP of MVP-2.0 is better than the ViT.", "The ViT does not beat LightGBM.",
        "The ViT loses to the MLP by 0.08 in R².", "The ViT brings no gain over the MLP.",
        "The ViT is twice as good as LightGBM.", "Ridge is 0.15 above the MLP in R².",
        "The MLP explains 15% less variance than Ridge.", "ViT 相比 LightGBM 没有提升。",
        "ViT 比 MLP 差 0.08。", "ViT 的 MAE 比 LightGBM 高。", "ViT 没有超过 LightGBM。",
        "The ViT was beaten by the MLP.", "The lowest MAE is that of LightGBM.",
        "MAE 最低的是 LightGBM。", "Ridge and LightGBM beat the MLP.",
        "LightGBM beats all baselines.",
        "ViT 的 R² 是 LightGBM 的两倍。", "The MLP beats Ridge but has a larger MAE than Ridge.",
        "The MLP, which trails Ridge, is a network.", "Ridge beats the MLP in MAE.",
        "R² is above 0.70.", "R² 超过 0.70。", "0.619 > 0.70", "The R² of the ViT is below 0.60.",
        "The ViT is at the Bayes ceiling.", "ViT 已达到理论上限。", "R² 已超过 0.70 的门槛。",
        "Ridge achieves a lower MAE than the ViT.", "LightGBM's R² is greater than the ViT's.",
        "Ridge comes out on top, followed by LightGBM.", "MLP 排名最后。",
        "The MLP reaches only half of Ridge's R².", "ViT 与 LightGBM 相比没有任何优势。",
    ],
)  # fmt: skip
def test_what_scores_contradict_is_found(text: str) -> None:
    (wrong,) = held(text, MINE, LAB).wrong[:1]
    assert "results say otherwise" in wrong


@pytest.mark.parametrize(
    "text",
    [
        "MLP outperformed Ridge and LightGBM.", "MLP > Ridge > LightGBM",
        "ViT 优于 MLP，MLP 优于 Ridge。",
        "The MLP has the lowest MAE of the three.", "The ViT has a smaller MAE than LightGBM.",
        "LightGBM does not beat Ridge.", "LightGBM 不如 Ridge。",
        "Ridge is 0.15 below the MLP in R².",
        "MLP is the best baseline.", "The ViT beats all baselines.", "LightGBM is the weakest.",
        "If LightGBM beats the ViT, we stop.", "Next: see whether LightGBM beats the ViT at 1M.",
        "The MLP explains 15 percentage points more variance than Ridge.", "ViT 比 MLP 好 0.08。",
        "R² is not above 0.70.", "R² is below 0.70.", "The rule R² > 0.70 is not met.",
        "The ViT reaches 75% of the Bayes ceiling.", "The ViT is not at the Bayes ceiling.",
        "The best seed of the ViT reaches 0.633.", "The MLP uses more parameters than Ridge.",
        "与 MLP 相比 ViT 的 R² 提高 0.08。", "ViT 在全部四个模型中 R² 最高。",
        "MLP 与 Ridge 比 LightGBM 好。", "MLP 与 Ridge 优于 LightGBM。",
        "The MLP is close to, but below, the ViT.", "Neither Ridge nor LightGBM beats the MLP.",
        "The ViT beats LightGBM by a factor of three.", "The ViT is the best model of the lab.",
    ],
)  # fmt: skip
def test_what_scores_bear_out_is_left_alone(text: str) -> None:
    assert held(text, MINE, LAB).wrong == ()


@pytest.mark.parametrize(
    ("text", "unread"),
    [
        ("The MLP and Ridge are comparable.", True),
        ("For bright stars LightGBM beats the ViT.", True),
        ("The ViT beats the CNN.", True),
        ("The ViT was trained with LightGBM's features.", False),
        ("R² 0.619.", False),
    ],
)
def test_what_is_not_read_is_told(text: str, unread: bool) -> None:
    found = held(text, MINE, LAB)
    assert not found.wrong
    assert bool(found.unchecked) is unread


def test_a_trend_is_that_of_the_sizes() -> None:
    sized = Facts(tuple(fact("lightgbm", "r2", x, n) for n, x in ((256, 0.08), (1024, 0.16))), ())
    assert held("R² falls with N.", sized, LAB).wrong
    assert held("R² 随 N 增加而下降。", sized, LAB).wrong
    assert held("LightGBM gets worse with more stars.", sized, LAB).wrong
    assert not held("R² rises with N.", sized, LAB).wrong
    assert not held("LightGBM gets better with more stars.", sized, LAB).wrong
    assert held("R² rises with N.", MINE, LAB).unchecked
    assert held("The ViT beats LightGBM at every N.", sized, LAB).wrong


def test_a_long_text_is_read_at_once() -> None:
    """No pattern goes through the words of a text in all ways that these can be put together."""
    for word in (
        "is ",
        "has ",
        "not ",
        ", ",
        "0.1 ",
        "R² ",
        "ViT and ",
        "ViT has R² ",
        "最 ",
        "> ",
    ):
        orders_in(f"ViT {word * (590 // len(word))} Ridge")
