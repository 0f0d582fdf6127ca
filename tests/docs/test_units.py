"""An error in standard deviations of its label never stands beside one in dex as its equal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vitlab.contract.job import Result
from vitlab.docs.judge.conclusion import conclusion, key_metric
from vitlab.docs.judge.gates import judge
from vitlab.docs.model.roadmap import Roadmap, parse_roadmap
from vitlab.docs.text.edit import apply
from vitlab.docs.text.source import Document
from vitlab.docs.write.report import report_text
from vitlab.docs.write.results import record_results
from vitlab.docs.write.status import set_end, set_progress

TEXT = """\
# Plan

### Gate-1: Is it good

| Item | Content |
|---|---|
| MVP | MVP-1.0 |
| If {rule} | ✅ go on |
| Status | 🚀 running |

| MVP | Name | Gate | Status |
|---|---|---|---|
| 1.0 | A | Gate-1 | 🚀 |

### MVP-1.0: A

| Item | Content |
|---|---|
| Current | ep3, {current} |

| MVP | Config | MAE | R² | Status |
|---|---|---|---|---|
| 1.0 | mine | 0.120 | 0.5 | 🚀 |

| MVP | Conclusion | Key metric |
|---|---|---|
"""
SIGMA = "test/mae_sigma/log_g"


def roadmap(rule: str = "MAE < 0.5 dex", current: str = "MAE_val=0.120") -> Roadmap:
    return parse_roadmap(Document(TEXT.format(rule=rule, current=current)))


def result(headline: str = SIGMA, **values: float) -> Result:
    named = {name.replace("__", "/"): x for name, x in values.items()} or {SIGMA: 0.37}
    return Result("1.0", "main", "full", "command", named, headline=headline)


@pytest.mark.parametrize("rule", ["MAE < 0.5 dex", "MAE < 0.5", "MAE_test ≤ 0.4"])
def test_a_rule_in_dex_is_not_judged_by_it(rule: str) -> None:
    plan = roadmap(rule)
    verdict = judge(plan.gate("1"), [result()], plan)
    assert (verdict.verdict, verdict.values) == ("open", {})
    assert "known only in units of the label's standard deviation" in verdict.because


def test_a_rule_in_dex_is_judged_by_what_is_in_dex() -> None:
    plan = roadmap()
    values = {"test/mae/log_g": 0.4, SIGMA: 0.3}
    errors = {"test/mae/log_g": 0.01}
    one = Result("1.0", "main", "full", "command", values, errors, headline="test/mae/log_g")
    verdict = judge(plan.gate("1"), [one], plan)
    assert (verdict.verdict, verdict.values) == ("pass", {"test/mae/log_g": 0.4})


def test_what_is_written_names_the_unit_and_fills_no_column_of_the_other() -> None:
    plan, results = roadmap(), [result()]
    assert key_metric(results) == "MAE_test=0.370 σ"
    sentence = conclusion(results, "en")
    assert sentence == "command: MAE_test=0.370 σ"
    edits = record_results(plan, "1.0", results, "done", sentence, None, {}, "2026-01-02", "full")
    text = apply(plan.document.text, edits)
    assert "| MVP-1.0 | command: MAE_test=0.370 σ | MAE_test=0.370 σ |" in text
    assert "| 1.0 | mine | 0.120 | 0.5 | ✅ |" in text
    report = report_text(
        plan, "1.0", results, exp_id="x", conclusion=sentence, date="2026-01-02",
        command="vitlab run 1.0", verdicts={},
    )  # fmt: skip
    assert "| MAE[σ] |" in report


@pytest.mark.parametrize(
    ("current", "name", "after"),
    [
        ("MAE_val=0.120", "val/mae/log_g", "ep5, MAE_val=0.370"),
        ("MAE_val=0.120", "val/mae_sigma/log_g", "ep3, MAE_val=0.120"),
        ("MAE_val=0.120 σ", "val/mae_sigma/log_g", "ep5, MAE_val=0.370 σ"),
        ("MAE_val=0.120 σ", "val/mae/log_g", "ep3, MAE_val=0.120 σ"),
        ("still early", "val/mae_sigma/log_g", "ep5, still early"),
    ],
)
def test_progress_changes_only_a_number_in_the_same_units(
    current: str, name: str, after: str
) -> None:
    plan = roadmap(current=current)
    text = apply(plan.document.text, set_progress(plan, "1.0", 5, None, (name, 0.37)))
    assert f"| Current | {after} |" in text


@pytest.mark.parametrize(
    "current",
    [
        "LightGBM R²=0.650; ViT R²_val=0.713", "R²_train=0.93", "R²_test=0.70", "MAE=0.3",
        "T_eff R²_val=0.95", "best R²_val=0.720", "target R²=0.8", "1-R²=0.3", "ΔR²=0.02",
        "R²=71.3%", "R²_val=0.713 ± 0.005", "R²_val=0.713→0.715", "R²_val=0.7; Run 1: ep112",
        "R²_val=0.713, LightGBM 0.65",
    ],
)  # fmt: skip
def test_progress_is_written_over_nothing_but_progress(current: str) -> None:
    plan = roadmap(current=current)
    text = apply(plan.document.text, set_progress(plan, "1.0", 5, None, ("val/r2/log_g", 0.04)))
    assert f"| Current | ep3, {current} |" in text
    plan = roadmap(current="R²_val=0.713，待 200ep + test")
    text = apply(plan.document.text, set_progress(plan, "1.0", 5, None, ("val/r2/log_g", 0.04)))
    assert "| Current | ep5, R²_val=0.040，待 200ep + test |" in text


@pytest.mark.parametrize(
    ("status", "numbers", "gate"),
    [
        ("done", True, "🔆"),
        ("partial", True, "🔆"),
        ("done", False, "⏳"),
        ("failed", False, "⏳"),
        ("paused", False, "⏳"),
        ("analysing", False, "⏳"),
    ],
)
def test_an_end_decides_no_gate(status: str, numbers: bool, gate: str) -> None:
    plan = roadmap()
    text = apply(plan.document.text, set_end(plan, "1.0", status, numbers))
    assert f"| Status | {gate}" in text
    assert parse_roadmap(Document(text)).mvp("1.0").status == status


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        ("nats_lost < 0.2", "pass"),
        ("nats lost < 0.2 nat", "pass"),
        ("nats lost < 0.1 dex", "manual"),
        ("log score > -0.9 nats", "pass"),
        ("log score > -0.5", "open"),
    ],
)
def test_a_limit_in_nats_is_held_against_densities(rule: str, word: str) -> None:
    plan = roadmap(rule)
    found = result("test/r2/log_g", test__r2__log_g=0.7, test__log_score__log_g=-0.85)
    errors = {"test/log_score/log_g": 0.001, "test/nats_lost/log_g": 0.001}
    values = {**found.values, "test/nats_lost/log_g": 0.15}
    scored = replace(found, values=values, errors=errors, n={"test": 1000})
    assert judge(plan.gate("1"), [scored], plan).verdict == word
