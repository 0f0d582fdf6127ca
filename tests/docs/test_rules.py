"""Gate rules as people write them; what is not certain is left to a person."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitlab.contract.job import Result
from vitlab.docs.judge.gates import judge
from vitlab.docs.model.gates.conditions import (
    Between,
    Comparison,
    Condition,
    Manual,
    OfGates,
    Otherwise,
    Threshold,
    read_condition,
)
from vitlab.docs.model.gates.rules import listed_rules, read_rules, rules_of, table_rules
from vitlab.docs.model.roadmap import parse_roadmap
from vitlab.docs.text.source import Document


def r2(op: str, value: float, **more: object) -> Threshold:
    fields = {"split": None, "label": None, "delta": False, "of": None, **more}
    return Threshold("r2", op, value, **fields)  # type: ignore[arg-type]


def bias(op: str, value: float, **more: object) -> Threshold:
    return Threshold("bias", op, value, None, None, False, None, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("R² > 0.70", r2(">", 0.70)),
        ("**R² ≥ 0.70**", r2(">=", 0.70)),
        ("R²_test ＞ 0.7", r2(">", 0.7, split="test")),
        ("RÂ²_test ≥ 0.60", r2(">=", 0.60, split="test")),
        ("R²（val） ≤ 0.6", r2("<=", 0.6, split="val")),
        ("test R² >= 0.6", r2(">=", 0.6, split="test")),
        ("$R^2$ > 0.7", r2(">", 0.7)),
        ("R2 > 70%", r2(">", 0.7)),
        ("error-only R² < 0.05（或接近 0）", r2("<", 0.05, of="error-only")),
        ("ViT R² > 0.7", r2(">", 0.7, of="vit")),
        ("log_g R² > 0.7", r2(">", 0.7, label="log_g")),
        ("ΔR² > 0.02", r2(">", 0.02, delta=True)),
        ("ΔR² ≥ +0.005（相对单塔最优）", r2(">=", 0.005, delta=True, of="单塔最优")),
        ("ΔR² (vs LightGBM) > 0.02", r2(">", 0.02, delta=True, of="lightgbm")),
        ("ρ ≥ 0.7", Threshold("rho", ">=", 0.7, None, None, False, None)),
        ("rho_test > 0.5", Threshold("rho", ">", 0.5, "test", None, False, None)),
        ("T_eff MAE < 60 K", Threshold("mae", "<", 60.0, None, "T_eff", False, None, "K")),
        ("MAE < 0.3 dex", Threshold("mae", "<", 0.3, None, None, False, None, "dex")),
        ("R^2 >= .70", r2(">=", 0.7)),
        ("$R^2_{val} \\ge 0.7$", r2(">=", 0.7, split="val")),
        ("R² > 0.70 on the test set", r2(">", 0.7, split="test")),
        ("在测试集上 R² > 0.70", r2(">", 0.7, split="test")),
        ("|bias| < 0.02 dex", bias("<", 0.02, unit="dex", absolute=True)),
        ("abs(bias) ≤ 0.02", bias("<=", 0.02, absolute=True)),
        ("bias < 0.02", bias("<", 0.02, absolute=True)),
        ("bias > -0.02", bias(">", -0.02)),
        ("log_g scatter < 0.1", Threshold("scatter", "<", 0.1, None, "log_g", False, None)),
        ("R²_test(ViT) > 0.7", r2(">", 0.7, split="test", of="vit")),
        ("R²_test(ViT, T_eff) > 0.7", r2(">", 0.7, split="test", label="T_eff", of="vit")),
        ("R² > 0.7 (ViT)", r2(">", 0.7, of="vit")),
        ("MAE T_eff < 50 K", Threshold("mae", "<", 50.0, None, "T_eff", False, None, "K")),
        ("MAE(T_eff) < 50 K", Threshold("mae", "<", 50.0, None, "T_eff", False, None, "K")),
        ("MAE_test(T_eff) < 50", Threshold("mae", "<", 50.0, "test", "T_eff", False, None)),
        ("MAE of [M/H] < 0.1", Threshold("mae", "<", 0.1, None, "M_H", False, None)),
        ("[Fe/H] R² > 0.7", Threshold("r2", ">", 0.7, None, "M_H", False, None)),
        ("scatter < 0.5", Threshold("scatter", "<", 0.5, None, None, False, None)),
        ("≥ 90% of the ceiling", r2(">=", 0.9, of_ceiling=True)),
        ("ΔMAE (vs Ridge) < 0", Threshold("mae", "<", 0.0, None, None, True, "ridge")),
        ("R² ≥ 90% of the ceiling", r2(">=", 0.9, of_ceiling=True)),
        ("≥ 90% 理论上限", r2(">=", 0.9, of_ceiling=True)),
        ("nats_lost < 0.2", Threshold("nats_lost", "<", 0.2, None, None, False, None)),
        ("nats lost < 0.2 nats", Threshold("nats_lost", "<", 0.2, None, None, False, None, "nat")),
        ("ViT log score > -0.5", Threshold("log_score", ">", -0.5, None, None, False, "vit")),
        ("R² in [0.65,0.70]", Between("r2", 0.65, 0.70, None, None, False, None)),
        ("Gate-1 PASS", OfGates(("1",), True)),
        ("Gate-1/2 均通过", OfGates(("1", "2"), True)),
        ("Gate-1 FAIL", OfGates(("1",), False)),
        ("0.65 ≤ R² ≤ 0.70", Between("r2", 0.65, 0.70, None, None, False, None)),
        ("R² 0.65–0.70", Between("r2", 0.65, 0.70, None, None, False, None)),
        ("R²_val in [0.65, 0.70]", Between("r2", 0.65, 0.70, "val", None, False, None)),
        ("R² ≥ 0.5 (val)", r2(">=", 0.5, split="val")),
        ("R² ≥ 0.5（测试集）", r2(">=", 0.5, split="test")),
        ("the final R² > 0.\u200b5", r2(">", 0.5)),
        ("R² > 0.5 (3 seeds)", r2(">", 0.5, seeds=3)),
        ("R² > 0.5（主目标）", r2(">", 0.5)),
        ("R²（验证集） > 0.5", r2(">", 0.5, split="val")),
        ("R² (validation set) > 0.5", r2(">", 0.5, split="val")),
        ("R-squared > 0.7", r2(">", 0.7)),
        ("R squared ≥ 0.7", r2(">=", 0.7)),
        ("R**2 > 0.7", r2(">", 0.7)),
        ("R_2 > 0.7", r2(">", 0.7)),
        ("R&sup2; &ge; 0.7", r2(">=", 0.7)),
        ("决定系数 不低于 0.7", r2(">=", 0.7)),
        (r"\(R^2 \ge 0.7\)", r2(">=", 0.7)),
        (r"$\mathrm{MAE} < 0.4$", Threshold("mae", "<", 0.4, None, None, False, None)),
        ("平均绝对误差 < 0.4 (dex)", Threshold("mae", "<", 0.4, None, None, False, None, "dex")),
        ("0.7 < R²_test", r2(">", 0.7, split="test")),
        ("test/r2/log_g > 0.7", r2(">", 0.7, split="test", label="log_g")),
        ("log(g) R² > 0.7", r2(">", 0.7, label="log_g")),
        ("the test R² is at least 0.7", r2(">=", 0.7, split="test")),
        ("R²: > 0.7[^1]", r2(">", 0.7)),
        ("R² test > 0.7", r2(">", 0.7, split="test")),
        ("R2_valid > 0.7", r2(">", 0.7, split="val")),
        ("validation-set R² > 0.7", r2(">", 0.7, split="val")),
        ("R² > 0.7 in validation", r2(">", 0.7, split="val")),
        ("R² > 0.7 [val]", r2(">", 0.7, split="val")),
        ("训练集 R² > 0.7", r2(">", 0.7, split="train")),
        ("r2_score > 0.7", r2(">", 0.7)),
        ("R² > 0.7 on 3 seeds", r2(">", 0.7, seeds=3)),
        ("R² 未超过 0.7", r2("<=", 0.7)),
        ("R² 未达到 0.7", r2("<", 0.7)),
        ("R² 不到 0.7", r2("<", 0.7)),
        ("R² stays below 0.7", r2("<", 0.7)),
        (r"$R^2_{\rm val} > 0.7$", r2(">", 0.7, split="val")),
        ("R² > 0.7 for LightGBM", r2(">", 0.7, of="lightgbm")),
        ("R² ≥ 95% for LightGBM", r2(">=", 0.95, of="lightgbm")),
        ("R² exceeds 0.7", r2(">", 0.7)),
        ("R² 达到 0.7 以上", r2(">=", 0.7)),
        ("R² > 0.7 for log_g", r2(">", 0.7, label="log_g")),
        ("R² ≥ 0.7 (primary, see §3)", r2(">=", 0.7)),
        ("R² ≥ 0.7 (LightGBM: 0.61)", r2(">=", 0.7)),
        ("R² 介于 0.65 与 0.70", Between("r2", 0.65, 0.70, None, None, False, None)),
        ("R² 在 0.65 到 0.70 之间", Between("r2", 0.65, 0.70, None, None, False, None)),
        ("test-MAE < 0.4", Threshold("mae", "<", 0.4, "test", None, False, None)),
        ("ViT R² > LightGBM R²", Comparison("vit", ">", "lightgbm", "r2")),
        ("R²(ViT) > R²(LightGBM)", Comparison("vit", ">", "lightgbm", "r2")),
        ("ViT outperforms LGBM", Comparison("vit", ">", "lightgbm")),
        ("ViT 优于 LightGBM", Comparison("vit", ">", "lightgbm")),
        ("ViT-noivar > LGBM", Comparison("ViT-noivar", ">", "lightgbm")),
        ("ViT > LGBM", Comparison("vit", ">", "lightgbm")),
        ("**ViT ≥ Template fitting**", Comparison("vit", ">=", "template")),
        ("Transformer ＞ Ridge（同口径）", Comparison("vit", ">", "ridge")),
    ],
)
def test_a_condition_that_is_certain_is_read(text: str, expected: Condition) -> None:
    assert read_condition(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "SNR 20-30",
        "SNR=20-30",
        "error 20-30",
        "error2 > 0.5",
        "Layer 2 > 0.5",
        "R, 2 > 0.7",
        "order 2 < 0.3",
        "R² scatter < 0.2",
        "seed scatter < 0.2",
        "[条件]",
        "R² ≥ X",
        "R² does not exceed 0.7",
        "R² improves over 0.7",
        "R² over 5 seeds > 0.7",
        "gain in R² above 0.02",
        "R² ≥ 0.7 (see also MAE < 0.2)",
        "0.7 < R² and MAE < 0.2",
        "ViT MAE < LightGBM MAE",
        "efficiency < 80% @ 高SNR",
        "CNN/MLP ≥ Ridge",
        "Whitening/Conditional ≥ Deployable MoE（差 <0.01）",
        "Deployable MoE 明显更强",
        "Δceiling < 10% (R²_max ≥ 0.80)",
        "R²_max ≥ 0.80",
        "R² > 0.7 且 MAE < 0.2",
        "R² > 0.7, MAE < 0.2",
        "ViT R² > 0.7 and MAE < 0.3",
        "R² > 0.7 @ SNR>7",
        "R² > 0.7左右",
        "ViT > LGBM + 0.02",
        "R² > 0.7 > 0.6",
        "R² >= 0,70",
        "R² 0,65-0,70",
        "0,65 ≤ R² ≤ 0,70",
        "R² > 1.234,5",
        "MAE < 60,000 K",
        "R² > 60 000",
        "MAE < 5%",
        "MAE < 60k",
        "ΔR² > 2%",
        "≤ 0.6",
        "unbiased < 0.3",
        "SNR R² > 0.9",
        "[Mg/Fe] R² > 0.9",
        "accuracy > 0.9",
        "R² ≥ 90% of the Fisher ceiling",
        "Gate-1 PASS or Gate-2 PASS",
        "",
        "1 - R² < 0.3",
        "√R² > 0.7",
        "2R² > 1",
        "log R² > -1",
        "not R² > 0.5",
        "R² ≯ 0.5",
        "R² ∉ [0.5, 0.6]",
        "0.6 < R² < 0.5",
        "gain in R² ≥ 0.02",
        "R² 增益 > 0.02",
        "提升 R² ≥ 0.02",
        "ceiling - R² < 0.05",
        "比 LightGBM R² > 0.02",
        "ViT - LightGBM R² > 0.02",
        "R² (vs LightGBM) > 0.02",
        "std of R² < 0.01",
        "T_eff, log g R² > 0.5",
        "T_eff & log g R² > 0.5",
        "R²(log g, T_eff) > 0.5",
        "R² ≥ 0.5 (and MAE below 0.1)",
        "R² ≥ 0.5 (且 MAE 不超过 0.1)",
        "R² ≥ 95% of LightGBM",
        "R² > 0.95 of ViT",
        "R² ≥ 95% (LightGBM)",
        "MAE ≤ 0.9 of LightGBM",
        "MAE 未达 0.1",
        "R² value > 0.7 of each",
        "R² ≥ 0.5, with MAE at most 0.1",
        "R² ≥ 0.5 (giants only)",
        "R² ≥ 0.5 (SNR 20 bin)",
        "R² ≥ 0.5 (worst seed)",
        "R² ≥ 0.5 (每个种子)",
        "R² ≥ 0.5 (both labels)",
        "R² ≥ 0.5 (T_eff 与 log g)",
        "R² ≥ 0.5 (LightGBM baseline)",
        "R² ≥ 0.5 (1M stars)",
        "R² ≥ 0.5 (TBD)",
        "R² > 0.5, 0.6, 0.7",
        "MAE < 10² K",
        "R² > 0.5¹",
        "ViT > LGBM (by 0.02)",
        "ViT > LGBM（至少 0.02）",
        "ViT > LGBM (MAE)",
        "ViT > LGBM on the validation set",
        "ViT-L > ViT-S",
        "ViT >> LGBM",
        "R² > 0.7（暗星）",
        "R² > 0.7 (metal-poor)",
        "R² > 0.7（真实光谱）",
        "R² > 0.7 (noise 0.5)",
        "R² > 0.7（去掉误差输入）",
        "R² > 0.7 (MVP-2.0)",
        "R² > 0.7, on real spectra",
        "R² > 0.7；真实光谱上",
        "R² > 0.7, no ivar input",
        "R² (test, giants) > 0.7",
        "R² (test, LightGBM) > 0.7",
        "MAE (test, T_eff) < 100",
        "R² (trained on 10k) > 0.7",
        "R² (train+val) > 0.7",
        "MAE 达到 0.1",
        "RMSE reaches 0.1 dex",
        "R² > 0.7 (see giants only)",
        "R² > 0.7 见于暗星",
        "R²(valley) > 0.7",
    ],
)
def test_a_condition_that_is_not_certain_stays_a_text(text: str) -> None:
    assert isinstance(read_condition(text), Manual)


def test_a_row_gives_condition_and_consequence() -> None:
    (rule,) = rules_of("若 R² > 0.70", "✅ 论文主结果就绪")
    assert (rule.if_, rule.then) == ("R² > 0.70", "✅ 论文主结果就绪")
    (rule,) = rules_of("**若A**", "error-only R² < 0.05 → 通过，进入 Gate-2")
    assert (rule.if_, rule.then) == ("error-only R² < 0.05", "通过，进入 Gate-2")
    (rule,) = rules_of("If A:", "R² ≥ 0.6 -> go on")
    assert (rule.if_, rule.then) == ("R² ≥ 0.6", "go on")
    assert rules_of("验证", "R² > 0.7 → x") == ()


@pytest.mark.parametrize(
    ("text", "context", "expected"),
    [
        ("≤0.6", ["网络的 R²_val 够不够"], r2("<=", 0.6, split="val")),
        ("0.60–0.70", ["R²"], Between("r2", 0.6, 0.7, None, None, False, None)),
        ("< 50 K", ["", "T_eff MAE"], Threshold("mae", "<", 50, None, "T_eff", False, None, "K")),
        ("≤ 0.6", ["R² 与 MAE"], Manual("≤ 0.6")),
        ("≤ 0.6", ["R²/R²_max"], Manual("≤ 0.6")),
        ("≤ 0.6", ["unbiased scattering"], Manual("≤ 0.6")),
        ("≤ 0,6", ["R²"], Manual("≤ 0,6")),
        ("SNR ≤ 6", ["R²"], Manual("SNR ≤ 6")),
    ],
)
def test_a_bare_number_is_about_what_the_gate_names(
    text: str, context: list[str], expected: Condition
) -> None:
    assert read_condition(text, context) == expected


@pytest.mark.parametrize(
    ("item", "content", "passes"),
    [
        ("Pass", "R² ≥ 0.75", True),
        ("若PASS", "R² ≥ 0.75 → 写论文", True),
        ("通过条件", "R² ≥ 0.75", True),
        ("No-Go if", "R² ≥ 0.75", False),
        ("**未通过**", "若 R² ≥ 0.75", False),
        ("Outcome A", "If R² ≥ 0.75 → go on", None),
        ("结果B", "R² ≥ 0.75", None),
        ("Outcome A: R² ≥ 0.75", "go on", None),
        ("If R^2 ≥ 0.75", "go on", None),
        ("若R²≥0.75", "go on", None),
    ],
)
def test_a_row_names_an_outcome_or_a_verdict(item: str, content: str, passes: bool | None) -> None:
    (rule,) = rules_of(item, content)
    assert (rule.condition, rule.passes) == (r2(">=", 0.75), passes)


def test_what_follows_from_the_verdict_decides_nothing() -> None:
    (rule,) = rules_of("若PASS", "进入 Gate-2")
    assert rule.is_consequence
    (rule,) = rules_of("若 K > 5", "x")
    assert rule.condition == Manual("K > 5")


def test_else_is_a_rule_of_its_own() -> None:
    first, second = read_rules("If ΔR² > 0.02 then 架构 scale 有效; else 需其他策略")
    assert (first.if_, first.then) == ("ΔR² > 0.02", "架构 scale 有效")
    assert (second.condition, second.then) == (Otherwise(), "需其他策略")


def test_a_rule_without_an_end_is_left_to_a_person() -> None:
    text = "If R² > 0.7 → a, " + "else if R² > 0.7 → a, " * 3500
    (rule,) = listed_rules([f"- {text}"])
    assert isinstance(rule.condition, Manual)


METRICS = st.sampled_from(["R²", "R^2_val", "MAE", "|bias|", "log_g scatter", "ΔR²", "ρ", ""])
OPERATORS = st.sampled_from(["<", ">", "≤", "≥", "\\ge", ">="])


@given(METRICS, OPERATORS, st.integers(0, 999), st.integers(0, 999), st.sampled_from("，,"))
@settings(max_examples=500)
def test_a_number_with_a_comma_is_never_read(
    metric: str, op: str, whole: int, part: int, comma: str
) -> None:
    condition = read_condition(f"{metric} {op} {whole}{comma}{part}", ["R²"])
    assert not isinstance(condition, Threshold | Between)


@given(METRICS, OPERATORS, st.integers(0, 99999).map(lambda n: n / 1000))
@settings(max_examples=500)
def test_a_limit_is_the_number_that_is_written(metric: str, op: str, value: float) -> None:
    condition = read_condition(f"{metric} {op} {value}", ["R²"])
    assert isinstance(condition, Threshold)
    assert condition.value == value


@given(st.text(max_size=60), st.text(max_size=60))
@settings(max_examples=500)
def test_any_row_is_read(item: str, content: str) -> None:
    rules_of(item, content)
    table_rules([item, "Condition"], [content, content])
    listed_rules([f"- [ ] {item}", content])


def test_what_is_struck_out_is_no_rule() -> None:
    assert rules_of("~~若 R² > 0.7~~", "~~✅~~") == ()
    (rule,) = rules_of("若 ~~R² > 0.7~~ R² > 0.6", "✅")
    assert rule.condition == r2(">", 0.6)


def verdict_of(rows: str, mvps: str = "MVP-1.0", *more: Result) -> str:
    """Of a gate with these rows, where FooNet and two ViTs have 0.75, 0.4 and 0.6, and `more`."""
    text = f"""| MVP | Name | Gate | Status |
|---|---|---|---|
| MVP-1.0 | Noise-free stars | Gate-1 | ⏳ |
| MVP-2.0 | Larger | Gate-1 | ⏳ |

### Gate-1: First

| Item | Content |
|---|---|
| MVP | {mvps} |
{rows}
"""
    results = []
    for mvp, run, model, score in (
        ("1.0", "Run 1", "FooNet", 0.75), ("2.0", "patch8", "ViT", 0.4),
        ("2.0", "flux only", "ViT", 0.6), ("3.0", "Run 3", "LightGBM", 0.5),
    ):  # fmt: skip
        values = {"val/r2/log_g": score, "test/r2/log_g": score}
        n, name = {"test": 90000}, {"name": model}
        results.append(Result(mvp, run, "full", "command", values, n=n, model=name))
    roadmap = parse_roadmap(Document(text))
    verdict = judge(roadmap.gates[0], [*results, *more], roadmap)
    return verdict.verdict + (", opened again" if verdict.reopens else "")


@pytest.mark.parametrize(
    ("rule", "mvps", "verdict"),
    [
        ("giants R² > 0.5", "MVP-1.0", "manual"),
        ("MVP-1.0 R² > 0.7", "MVP-1.0", "pass"),
        ("MVP-1.0 R² > 0.7", "MVP-1.0, MVP-2.0", "pass"),
        ("MVP-2.0 R² > 0.7", "MVP-1.0", "manual"),
        ("noise-free R² > 0.7", "MVP-1.0", "pass"),
        ("noise-free R² > 0.7", "MVP-1.0, MVP-2.0", "manual"),  # of which of the two?
        ("FooNet R² > 0.7", "MVP-1.0, MVP-2.0", "pass"),
        ("Foo R² > 0.5", "MVP-1.0", "manual"),
        ("patch8 R² > 0.5", "MVP-2.0", "open"),  # false, and no rule for that
        ("flux-only R² > 0.5", "MVP-2.0", "pass"),
        ("ViT-patch8 > LGBM", "MVP-2.0", "open"),  # false too
        ("ViT-S R² > 0.5", "MVP-2.0", "manual"),
        ("ViT-S > LGBM", "MVP-2.0", "open"),  # no result of that one
        ("R² > 0.5 (1 seeds)", "MVP-1.0", "pass"),
        ("R² > 0.5 (3 seeds)", "MVP-1.0", "open"),  # there is one
        ("R² > 0.5 over 3 seeds", "MVP-1.0", "open"),
    ],
)
def test_a_qualifier_is_about_what_it_names_or_left_to_a_person(
    rule: str, mvps: str, verdict: str
) -> None:
    assert verdict_of(f"| If {rule} | ✅ go on |", mvps) == verdict


def test_a_rule_that_asks_for_seeds_is_met_by_what_has_none() -> None:
    values, n = {"val/r2/log_g": 0.9, "test/r2/log_g": 0.9}, {"test": 90000}
    ridge = Result("1.0", "Ridge", "full", "ridge", values, n=n, model={"name": "Ridge"})
    assert verdict_of("| If Ridge R² > 0.8 (3 seeds) | ✅ go on |", "MVP-1.0", ridge) == "pass"


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        ("No-Go: 终止该方向", "Go: 继续", "pass"),
        ("停止", "扩大模型", "pass"),
        ("🛑 stop", "🚀 go", "pass"),
        ("kill the idea", "scale up", "pass"),
        ("调整架构", "✅ 写论文", "pass"),
        ("更多数据", "写论文", "manual"),
        ("revise the network", "write the paper", "manual"),
        ("go back to data", "write the paper", "manual"),
        ("通过加大数据量重新训练", "写论文", "manual"),
    ],
)
def test_the_order_of_rules_never_contradicts_what_they_say(
    low: str, high: str, verdict: str
) -> None:
    assert verdict_of(f"| 若 R² < 0.65 | {low} |\n| 若 R² > 0.70 | {high} |") == verdict
    other = f"| 若 R² > 0.70 | {high} |\n| 若 R² < 0.65 | {low} |"
    assert verdict_of(other) == "pass"
    assert verdict_of(other, "MVP-2.0") == "fail"


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        (("< 0.3 | stop", "0.3–0.6 | tune", "> 0.6 | go on"), "pass"),
        (("< 0.3 | stop", "0.3–0.9 | tune", "> 0.9 | go on"), "manual"),
        (("< 0.8 | stop", "0.8–0.9 | tune", "> 0.9 | go on"), "fail"),
        (("< 0.3 | 停止", "> 0.6 | 继续", "0.3–0.6 | 调参"), "pass"),
        (("< 0.3 | ❌ stop", "0.3–0.6 | tune", "0.6–0.9 | write the paper"), "pass"),
        (("< 0.5 | rethink", "0.5–0.9 | tune", "> 0.9 | ✅ go on"), "manual"),
        (("< 0.8 | rethink", "0.8–0.9 | tune", "> 0.9 | ✅ go on"), "fail"),
        (("> 0.6 | go on", "0.3–0.6 | tune", "< 0.3 | stop"), "pass"),
        (("> 0.9 | go on", "0.3–0.9 | tune", "< 0.3 | stop"), "manual"),
        (("> 0.9 | ✅ go on", "< 0.3 | ❌ stop", "0.3–0.9 | tune"), "manual"),
        (("> 0.9 | 继续", "< 0.3 | 换模型", "0.3–0.9 | 调参"), "manual"),
        (("> 0.9 | go on", "0.8–0.9 | ❌ stop", "0.3–0.8 | rethink"), "fail"),
    ],
)
def test_bands_from_the_worst_to_the_best_or_back(rows: tuple[str, ...], verdict: str) -> None:
    assert verdict_of("\n".join(f"| If R² {row} |" for row in rows)) == verdict


@pytest.mark.parametrize("otherwise", ["Else | go on |", "否则 | 继续 |"])
def test_the_rest_above_bands_of_the_worse_is_the_best(otherwise: str) -> None:
    for low, verdict in (("0.3", "pass"), ("0.8", "fail")):
        rows = f"| If R² < {low} | stop |\n| Else if R² < 0.5 | tune |\n| {otherwise}"
        assert verdict_of(rows) == verdict


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ("| If R² > 0.9 | ✅ go on |\n| If R² < 0.3 | ❌ stop |\n| Otherwise | tune |", "manual"),
        ("| If R² > 0.9 | go on |\n| If R² < 0.8 | stop |\n| Otherwise | tune |", "fail"),
        ("| 若 R² > 0.9 | 继续 |\n| 若 R² < 0.3 | 停止 |\n| 否则 | 调参 |", "manual"),
        ("| If R² > 0.9 | go on |\n| If R² < 0.3 | rethink |\n| Else | tune |", "manual"),
        ("| If R² > 0.9 | go on |\n| If R² < 0.3 | stop |\n| Else | ❌ drop |", "fail"),
        ("| If R² > 0.9 | go on |\n| Else if R² > 0.8 | ❌ stop |\n| Else | rethink |", "fail"),
        ("| If R² > 0.9 | go on |\n| If R² 0–0.3 | stop |\n| Else | tune |", "manual"),
        ("| If R² > 0.9 | go on |\n| If R² 0.8–0.9 | stop |\n| Else | tune |", "fail"),
        ("| If ViT < LGBM | ❌ stop |\n| If R² > 0.9 | ✅ go on |\n| Else | tune |", "open"),
    ],
)
def test_the_rest_between_a_pass_and_a_failure_is_neither(rows: str, verdict: str) -> None:
    assert verdict_of(rows) == verdict


@pytest.mark.parametrize("subject", ["FooNet ", "noise-free ", "MVP-1.0 ", "log g ", "test "])
def test_bands_of_any_number(subject: str) -> None:
    rows = ("< 0.3 | stop", "0.3–0.6 | tune", "> 0.6 | go on")
    assert verdict_of("\n".join(f"| If {subject}R² {row} |" for row in rows)) == "pass"


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        # A limit of another metric is no band, nor a check behind the best.
        (("MAE > 9 | stop", "R² > 0.8 | write", "R² < 0.8 | tune"), "fail"),
        (("R² < 0.5 | stop", "R² > 0.5 | continue", "R² > 0.99 | check for a leak"), "pass"),
        (("R² > 0.99 | stop", "R² > 0.5 | continue", "R² < 0.5 | tune"), "pass"),
        (("R² > 0.99 | stop", "R² > 0.8 | continue", "R² < 0.8 | tune"), "fail"),
        (("MAE < 0.001 | stop", "MAE < 0.01 | write", "MAE > 0.01 | more data"), "fail"),
    ],
)
def test_a_limit_before_others_that_fails(rows: tuple[str, ...], verdict: str) -> None:
    values, n = {"test/r2/log_g": 0.75, "test/mae/log_g": 0.1}, {"test": 90000}
    one = Result("4.0", "a", "full", "ridge", values, n=n, model={"name": "Ridge"})
    assert verdict_of("\n".join(f"| If {row} |" for row in rows), "MVP-4.0", one) == verdict


def test_errors_in_bands_from_the_worst_to_the_best() -> None:
    values, n = {"test/r2/log_g": 0.9, "test/mae/log_g": 0.1}, {"test": 90000}
    best = Result("4.0", "a", "full", "ridge", values, n=n, model={"name": "Ridge"})
    rows = "| If MAE > 2 | stop |\n| If MAE 1–2 | tune |\n| If MAE < 1 | go on |"
    assert verdict_of(rows, "MVP-4.0", best) == "pass"


@pytest.mark.parametrize(
    ("lines", "verdict"),
    [
        (["PASS if R² ≥ {}", "FAIL if R² < {}"], "decided"),
        (["❌ R² > {} → check for a leak", "✅ R² 0.5–0.6 → write"], "manual"),
        (["✅ R² > {} → 0.96", "❌ MAE < 0.01 → 0.05"], "manual"),
        (["Stop when R² ≥ {} → write the paper"], "manual"),
        (["Go if R² > 0.96", "Tune if R² > 0.5", "Else stop"], "manual"),
        (["若 R² > 0.96：通过", "介于 0.5 和 0.96 之间：调参", "否则停止"], "manual"),
        (["If R² > 0.96: pass", "Between 0.5 and 0.96: tune", "Otherwise: stop"], "manual"),
        (["If R² > {}: pass", "Evidence: MVP-1.0, grid v2.1", "Otherwise: stop"], "decided"),
        (["若 R² > {}：通过", "中间汇报一次，依据 MVP-2.0", "否则停止"], "decided"),
        (["Pass if R² > {}", "Pass if MAE < 0.01"], "manual"),
        (["Pass if R² > {}", "Otherwise stop"], "decided"),
        (["若 R² > {} → 继续", "否则 → 停止（ΔR² < 0.02）"], "decided"),
        (["Go if R² > {}", "No-go when R² < {}"], "decided"),
        (["If R$^2$ > {}: go", "否则若 R² < {}: 停止"], "decided"),
        (["若 log g 的 R² > {}，继续", "否则停止"], "decided"),
        (["If R² > {}, go on.", "If R² < {}, stop."], "decided"),
        (["If R² > {}; go on", "Otherwise, stop"], "decided"),
        (["**If test R² ≥ {}**, we continue.", "When test R² < {}, we stop"], "decided"),
        (["If R² > {}, go on, and write the paper", "If R² < {}, stop"], "decided"),
        (["🟢 R² > {} → go on", "🔴 R² < {} → stop"], "decided"),
        (["如果 R² > {}，就进入 Gate-9；否则停止"], "decided"),
        (["若 R² > {}，继续；若 R² < {}，停止"], "decided"),
        (["当 R² > {} 时，继续", "当 R² < {} 时，停止"], "decided"),
        (["If R² > {}, go on. If R² < {}, stop."], "decided"),
        (["If R² > {}, MAE < 9, go on"], "manual"),
        (["若 R² > {}，训练稳定，继续"], "manual"),
        (["若 R² > {}，测试集，进入下一步"], "manual"),
        (["若 R² > {}，就稳定性而言，继续"], "manual"),
        (["If R² > {}, [Fe/H], go on"], "manual"),
        (["If R² > {}, faint stars"], "manual"),
        (["If R² > {}, after calibration"], "manual"),
        (["If R² > {}, and the bias is small, go on"], "manual"),
        (["If R² > {}, noise-free, go on"], "manual"),
        (["If R² > {}, on giants, go on", "If R² < {}, giants excluded"], "manual"),
        (["If R² > {}, three seeds"], "manual"),
        (["若 R² > {}，在暗星上，继续"], "manual"),
    ],
)
def test_a_sentence_of_a_list_tells_what_follows_behind_a_comma(
    lines: list[str], verdict: str
) -> None:
    for limit, decided in (("0.70", "pass"), ("0.95", "fail")):
        items = "\n".join(f"- {line}" for line in lines).replace("{}", limit)
        found = verdict_of(f"\n{items}")
        assert found == (decided if verdict == "decided" else verdict)


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ("| Rule | R² ≥ {0} → ✅ go on<br>R² < {0} → ❌ stop |", "decided"),
        ("| Rule | R² ≥ {0} → ✅ go on, R² < {0} → ❌ stop |", "decided"),
        ("| Rule | R² ≥ {0} → ✅ go on / R² < {0} → ❌ stop |", "decided"),
        ("| Rule | R² ≥ {0} → pass, 0.10–0.20 → marginal, < {0} → fail |", "decided"),
        ("| 规则 | 若 R² > {0} 则继续，若 R² < {0} 则停止 |", "decided"),
        ("| If R² > {0}, then | ✅ go on |\n| Else if R² < {0} | ❌ stop |", "decided"),
        ("| If R² > {0} (see hub) | ✅ go on |\n| 反之 | ❌ 停止 |", "decided"),
        ("| Rule | MAE < 9, R² > {0} → ✅ go on |", "manual"),
    ],
)
def test_several_rules_of_one_cell_are_read(rows: str, verdict: str) -> None:
    for limit, decided in (("0.70", "pass"), ("0.95", "fail")):
        found = verdict_of(rows.replace("{0}", limit))
        assert found == (decided if verdict == "decided" else verdict)


@pytest.mark.parametrize(
    ("then", "verdict"),
    [
        ("✅ write", "pass"),
        ("写论文", "pass"),
        ("通过，进入 Gate-2", "pass"),
        ("否决", "fail"),
        ("no more seeds needed ✅", "pass"),
        ("stop tuning and write the paper", "manual"),
        ("终止搜索，进入 MVP-2.0", "manual"),
        ("No", "fail"),
        ("砍掉该方向", "fail"),
        ("✖️ drop it", "fail"),
        ("Gate-1 不通过", "manual"),
        ("the gate fails", "manual"),
        ("没有通过", "manual"),
        ("unsuccessful", "manual"),
        ("✅→❌", "manual"),
        ("pass if MVP-2.0 too", "manual"),
        ("通过但需要复核", "manual"),
        ("部分通过", "manual"),
        ("ask PI", "manual"),
        ("?", "manual"),
    ],
)
def test_what_follows_is_read_to_its_end(then: str, verdict: str) -> None:
    assert verdict_of(f"| 若 R² > 0.70 | {then} |") == verdict


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ("| 若 R² > 0.80 | 继续 |\n| 若 R² > 0.70 | 加数据 |\n| 若 R² < 0.70 | 停止 |", "manual"),
        ("| 若 R² > 0.80 | ✅ A |\n| 若 R² > 0.70 | B |\n| 否则 | C |", "manual"),
        ("| 若 R² > 0.80 | ✅ A |\n| 否则 | C |", "fail"),
        ("| 验证 | T_eff 精度 |\n| 若 R² > 0.70 | ✅ go on |", "open"),  # there is none of T_eff
        ("| 验证 | T_eff 与 log g |\n| 若 R² > 0.70 | ✅ go on |", "manual"),
        ("| 验证 | log g 精度 |\n| 若 R² > 0.70 | ✅ go on |", "pass"),
        ("| 验证 | giants 够不够好 |\n| 若 R² > 0.70 | ✅ go on |", "manual"),
        ("| 验证 | 真实光谱 |\n| 若 ViT > LGBM | ✅ go on |", "manual"),
        ("| 数据 | giants only |\n| 若 R² > 0.70 | ✅ go on |", "manual"),
        ("| SNR | 10 |\n| 若 R² > 0.70 | ✅ go on |", "manual"),
        ("| 数据 | 1M 模拟光谱 |\n| 若 R² > 0.70 | ✅ go on |", "pass"),
    ],
)
def test_what_stands_between_or_is_of_the_gate_counts(rows: str, verdict: str) -> None:
    assert verdict_of(rows) == verdict


def test_a_gate_is_opened_again_where_its_result_decides_nothing_any_more() -> None:
    rows = "| If R² > 0.70 | ✅ go on |\n| Status | ✅ passed |"
    assert verdict_of(rows) == "pass"
    values = {"test/r2/log_g": 0.4}
    control = Result(
        "1.0", "control", "full", "vit", values, {"test/r2/log_g": 0.01}, {"test": 90000},
        data={"permuted": True},
    )  # fmt: skip
    assert verdict_of(rows, "MVP-1.0", control) == "open, opened again"


@pytest.mark.parametrize(
    ("more", "is_left"),
    [
        ("| 附加条件 | MAE < 0.2 dex |\n", True),
        ("| 且 MAE | < 0.2 |\n", True),
        ("| 前提 | Gate-2 通过 |\n", True),
        ("| 种子数 | ≥ 3 |\n", True),
        ("\n- 同时要求 MAE < 0.2\n", True),
        ("| 备注 | 种子见 §3 |\n", False),
        ("\n- 同时看 MAE\n", False),
    ],
)
def test_a_further_condition_of_the_gate_leaves_it_to_a_person(more: str, is_left: bool) -> None:
    text = (
        "# Plan\n\n| MVP | 名称 | 状态 |\n|---|---|---|\n| 1.0 | A | ⏳ |\n\n### Gate-1: 好\n\n"
        f"| 项 | 内容 |\n|---|---|\n| MVP | MVP-1.0 |\n| 若 R² > 0.70 | ✅ |\n| 状态 | ⏳ |\n{more}"
    )
    (gate,) = parse_roadmap(Document(text)).gates
    assert gate.is_left_to_a_person == is_left


@pytest.mark.parametrize(
    ("title", "label"), [("T_eff 够准吗", "T_eff"), ("够准吗", None), ("巨星上可用吗", "manual")]
)
def test_a_gate_in_a_row_is_of_what_it_asks(title: str, label: str | None) -> None:
    text = f"""# Plan

| MVP | 名称 | 状态 |
|---|---|---|
| 1.0 | A | ⏳ |

| Gate | 问题 | MVP | 条件 | 若通过 | 若失败 |
|---|---|---|---|---|---|
| Gate-1 | {title} | MVP-1.0 | R² > 0.7 | 继续 | 停止 |
"""
    condition = parse_roadmap(Document(text)).gates[0].rules[0].condition
    assert (condition.label if isinstance(condition, Threshold) else "manual") == label
