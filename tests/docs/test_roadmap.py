"""What a roadmap offers besides its facts, which `cases/reading.md` lists."""

from pathlib import Path

import pytest

from vitlab.contract.paths import UsageError
from vitlab.docs.lint.document import lint
from vitlab.docs.lint.numbers import stated_r2
from vitlab.docs.model.gates.gates import deciding
from vitlab.docs.model.ids import IdIndex
from vitlab.docs.model.roadmap import (
    NoMvpTable,
    Roadmap,
    launch_order,
    next_mvp,
    parse_roadmap,
    passed_over,
)
from vitlab.docs.text.source import Document


def test_what_is_next_is_the_first_to_launch(survey: Roadmap) -> None:
    assert next_mvp(survey) == launch_order(survey)[0]
    assert survey.mvps[0].status_text == "🚀"


def test_ids_are_looked_up_with_or_without_prefix(survey: Roadmap) -> None:
    assert survey.mvp("MVP-2.0") is survey.mvp("2.0")
    assert survey.gate("Gate-2") is survey.gate("2")
    with pytest.raises(UsageError, match=r"no MVP '9\.9'; there are 1\.0, 1\.1"):
        survey.mvp("9.9")
    with pytest.raises(UsageError, match="no gate '9'; there are 1, 2, 3, 4"):
        survey.gate("9")


def test_a_document_without_an_overview_is_refused_by_name() -> None:
    with pytest.raises(NoMvpTable, match=r"x\.md: no MVP overview table.*headers mvp/.*名称.*状态"):
        parse_roadmap(Document("# Nothing\n\n| A | B |\n|---|---|\n", Path("x.md")))
    with pytest.raises(NoMvpTable, match=r"^x\.md: is empty$"):
        parse_roadmap(Document("\n", Path("x.md")))


@pytest.mark.parametrize(
    ("text", "mvps"),
    [
        ("MVP-1.0, MVP-1.1", "1.0 1.1"),
        ("MVP-1.0 (Run 1), MVP-2.0 (Run 2)", "1.0 2.0"),
        ("MVP-1.0 ViT base、MVP-2.0 LGBM", "1.0 2.0"),
        ("1.0/1.1", "1.0 1.1"),
        ("MVP-1.0 done, MVP-1.1/2.0 closed", "1.0 1.1 2.0"),
        ("~~MVP-2.0~~ MVP-1.0", "1.0"),
        ("MVP-1.0 (not MVP-2.0)", "1.0"),
        ("MVP-1.0, without MVP-2.0", "1.0"),
        ("MVP-1.0，影响 MVP-2.0", "1.0"),
        ("MVP-1.0 before MVP-2.0", "1.0"),
        ("MVP-1.0 与 MVP-2.0 对比", "1.0"),
        ("MVP-1.0，MVP-2.0 已取消", "1.0"),
        ("MVP-1.0（数据来自 MVP-2.0）", "1.0"),
        ("MVP-1.0, 2.0 h", "1.0"),
        ("MVP-16T (V2), MVP-1.0 (V2)", "16T (V2)|1.0"),
        ("all", ""),
    ],
)
def test_a_gate_is_decided_by_the_mvps_it_lists(text: str, mvps: str) -> None:
    wanted = tuple(mvps.split("|") if "|" in mvps else mvps.split())
    assert deciding(text, IdIndex(("1.0", "1.1", "2.0", "16T (V2)"))) == wanted


@pytest.mark.parametrize(
    ("head", "cell", "stated"),
    [
        ("R²", "0.71", "0.71"),
        ("R² (val)", "71%", "0.71"),
        ("Target R²", "0.71", None),
        ("预期 R²", "0.71", None),
        ("LGBM R²", "0.71", None),
        ("R² ceiling", "0.71", None),
        ("R² std", "0.71", None),
        ("R² 提升", "0.71", None),
        ("R² SNR10", "0.71", None),
        ("R² (T_eff)", "0.71", None),
        ("R²", "1-R²=0.29", None),
        ("R²", "R²_test=0.500..0.900", None),
        ("R²", "R²=0.70→0.75", None),
    ],
)
def test_a_score_that_stands_in_the_plan_is_the_mvp_s_own(
    head: str, cell: str, stated: str | None
) -> None:
    rows = (
        f"| MVP | Name | Status | {head} |",
        "|---|---|---|---|",
        f"| 1.0 | ViT | ✅ | {cell} |",
    )
    text = "\n".join(("# Plan", "", *rows, ""))
    plan = parse_roadmap(Document(text))
    assert stated_r2(plan, plan.mvp("1.0")) == stated


@pytest.mark.parametrize(
    ("status", "is_next"),
    [
        ("⏳", True),
        ("⏳ P0", True),
        ("⏳ 计划中", True),
        ("⏳ do not run", False),
        ("⏳ 暂不启动", False),
        ("⏳ only if Gate-1 fails", False),
        ("⏳ 仅当 Gate-1 通过", False),
        ("⏳ depends on MVP-2.0", False),
        ("⏳ 已由 Anna 完成", False),
        ("⏳ 🔒", False),
        ("Pending", True),
        ("⏳ Pending (data ready)", True),
        ("⏳ pending approval", False),
        ("⏳ 若干种子", True),
        ("⏳ don't forget seeds", True),
        ("🔴 ready (no longer blocked)", True),
        ("🔴 就绪，不依赖别的", True),
        ("⏳ see MVP-0.9 for settings", True),
        ("⏳ see MVP-0.9", False),
        ("⏳ after MVP-0.9, 2 seeds", True),
        ("⏳ 依赖 MVP-0.8 和 0.9（已完成）", True),
        ("⏳ after MVP-0.9 and MVP-2.0", False),
        ("⏳ after MVP-0.9 review", False),
    ],
)
def test_a_status_that_names_a_condition_is_passed_over(status: str, is_next: bool) -> None:
    done = ("| 0.8 | B | ✅ |", "| 0.9 | C | ✅ |")
    rows = ("| MVP | Name | Status |", "|---|---|---|", *done, f"| 1.0 | A | {status} |")
    plan = parse_roadmap(Document("\n".join(("# Plan", "", *rows, ""))))
    found = next_mvp(plan)
    assert (found is not None) == is_next
    assert [one.id for one in passed_over(plan)] == ([] if is_next else ["1.0"])


@pytest.mark.parametrize(
    ("head", "mark", "is_next"),
    [
        ("Done", "✅", False), ("Done?", "yes", False), ("Done", "[x]", False), ("", "✅", False),
        ("完成", "✅", False), ("是否完成", "是", False), ("Completed", "2026-11-20", False),
        ("Result", "✅ R²=0.71", False), ("备注", "已完成", False),
        ("Done?", "no", True), ("是否完成", "否", True), ("Done", "[ ]", True), ("Done", "-", True),
        ("Completed", "not yet", True), ("Method", "Running mean of both", True),
        ("Notes", "done well, it shows noise", True),
        ("Success criteria", "R² > 0.7", True), ("通过标准", "R² > 0.7", True),
        ("Done by", "2026-12-20", True), ("Done", "pending", True), ("Done", "0/3", True),
        ("完成", "无", True), ("是否完成", "还没", True), ("Done", "in progress", False),
        ("Dropout", "✅", True), ("Data ready", "✅", True), ("Notes", "✅ data ready", True),
        ("Success", "R² > 0.7", True), ("Done", "50%", True), ("Done", "~2 days", True),
        ("Completed", "2199-12-20", True), ("Done", "next week", True),
    ],
)  # fmt: skip
def test_a_mark_of_an_end_in_a_column_of_no_statuses_is_told(
    head: str, mark: str, is_next: bool
) -> None:
    rows = f"| 1.0 | a | {mark} |\n| 2.0 | b |  |\n"
    plan = parse_roadmap(Document(f"# P\n\n| MVP | Name | {head} |\n|---|---|---|\n{rows}"))
    assert [one.id for one in launch_order(plan)] == ["1.0", "2.0"][0 if is_next else 1 :]
    assert [one.why for one in passed_over(plan)] == (
        [] if is_next else
        [f"line 5: {mark!r} below {head!r} may be its status (`vitlab status --as` says so)"]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second"),
    [("1. ", "2. "), ("一、", "二、"), ("（一）", "（二）"), ("1、", "2、"), ("① ", "② "),
     ("3．", "4．"), ("第一章 ", "第二节："), ("3.1 ", "3.2 "), ("🚀 一、", "🚪 二、"),
     ("I. ", "II. "), ("2026 ", "10.12.2026 ")],
)  # fmt: skip
def test_headings_are_known_behind_any_number(first: str, second: str) -> None:
    plan = parse_roadmap(
        Document(
            "# P\n\n| MVP | 名称 | 状态 |\n|---|---|---|\n| 1.0 | 基线 | ✅ |\n\n"
            f"## {first}MVP-1.0：基线（⏳ 计划）\n\n## {second}Gate-1：性能\n\n"
            "| 项 | 内容 |\n|---|---|\n| MVP | MVP-1.0 |\n| 若 R² > 0.7 | 继续 |\n| 状态 | ⏳ |\n"
        )
    )
    assert [(spec.mvp, spec.status and spec.status.parsed.status) for spec in plan.specs] == [
        ("1.0", "planned")
    ]
    assert [gate.id for gate in plan.gates] == ["1"]
    assert [one.kind for one in lint(plan, None)] == ["status-conflict"]


@pytest.mark.parametrize(
    "title", ["[MVP-1.0] base (⏳)", "(MVP-1.0) base ⏳", "二、[MVP-1.0] base ⏳"]
)
def test_a_section_is_known_whose_mvp_stands_in_brackets(title: str) -> None:
    table = "| MVP | Name | Status |\n|---|---|---|\n| 1.0 | base | ✅ |\n"
    plan = parse_roadmap(Document(f"# P\n\n{table}\n### {title}\n\ntext\n"))
    assert [(spec.mvp, spec.status and spec.status.parsed.status) for spec in plan.specs] == [
        ("1.0", "planned")
    ]
    assert [one.kind for one in lint(plan, None)] == ["status-conflict"]


@pytest.mark.parametrize(
    ("head", "cells", "ids"),
    [
        ("| 编号 | MVP | 名称 | 状态 |", ("1 | MVP-1.0 | 基线", "2 | MVP-1.1 | 更大"), "1.0 1.1"),
        ("| ID | MVP | Name | Status |", ("1 | MVP-1.0 | Base", "2 | MVP-1.1 | Wide"), "1.0 1.1"),
        ("| ID | MVP | Name | Status |", ("2.0 | ViT | a", "2.1 | CNN | b"), "2.0 2.1"),
        ("| ID | MVP | Status |", ("1 | Ridge baseline", "2 | ViT"), "1 2"),
        ("| 编号 | MVP | 状态 |", ("1 | 岭回归基线", "2 | ViT-S"), "1 2"),
        ("| ID | Name | Status |", ("1 | Base", "2 | Wide"), "1 2"),
    ],
)
def test_a_column_that_counts_the_rows_holds_no_ids(
    head: str, cells: tuple[str, ...], ids: str
) -> None:
    ruler = "|---" * (head.count("|") - 1) + "|"
    rows = "\n".join(f"| {row} | done |" for row in cells)
    roadmap = parse_roadmap(Document(f"# Plan\n\n{head}\n{ruler}\n{rows}\n"))
    assert " ".join(mvp.id for mvp in roadmap.mvps) == ids
    assert {mvp.status for mvp in roadmap.mvps} == {"done"}
