"""Statuses and headers in the words people use for them."""

import pytest

from vitlab.contract.job import Result, bare_id
from vitlab.contract.paths import UsageError
from vitlab.docs.model.headers import metric_header
from vitlab.docs.model.ids import IdIndex, exp_id, gate_refs, read_id, report_target
from vitlab.docs.model.roadmap import parse_roadmap
from vitlab.docs.model.vocabulary import default_vocabulary, status_argument
from vitlab.docs.text.edit import apply
from vitlab.docs.text.source import Document
from vitlab.docs.write.results import number_rows

WORDS = default_vocabulary()


@pytest.mark.parametrize(
    ("cell", "status"),
    [
        ("⏳", "planned"),
        ("⏳ 待启动", "planned"),
        ("尚未开始", "planned"),
        ("Under way", "running"),
        ("跑完了", "done"),
        ("suspended", "paused"),
        ("挂起", "paused"),
        ("🔴", "ready"),
        ("🚀 ep96+", "running"),
        ("🔄 进行中", "running"),
        ("🔆", "analysing"),
        ("✅ **PASS: ρ = 1.04 ≥ 0.7**", "done"),
        ("✅ 10ep", "done"),
        ("**✅ 完成**", "done"),
        ("⚠️ 部分", "partial"),
        ("⚠ 部分", "partial"),
        ("⚠️ ✅", "partial"),
        ("⚠️ **MARGINAL** - x", "partial"),
        ("❌ FAIL", "failed"),
        ("❌ 失败", "failed"),
        ("🗑️", "cancelled"),
        ("🗑", "cancelled"),
        ("已关闭（MVP-4.0 未达阈值）", "cancelled"),
        ("⏸️ on hold", "paused"),
        ("In progress", "running"),
        ("DONE ✅", "done"),
        ("🟢 已完成", "done"),
        ("✅ ❌ FAIL (R²=0.788)", "done"),
        ("✅ 关闭", "done"),
        ("✅ **CLOSED**", "done"),
        ("CLOSED ✅", "done"),
        ("⚠️ 已关闭", "partial"),
        ("🗑️ 关闭", "cancelled"),
        ("❌ 关闭", "cancelled"),
        ("🚀 阻塞", "paused"),
        ("answered", "done"),
        ("已解决", "done"),
        ("支持 W&B 后开始", None),
        ("部分支持", "partial"),
        ("proved hard", None),
        ("disproven", "failed"),
        ("proven wrong", "failed"),
        ("支持多卡训练", None),
        ("unsolved", None),
        ("考虑中", "planned"),
        ("待立项", "planned"),
        ("已立项", "planned"),
        ("🔲 待做", "planned"),
        ("重跑", "planned"),
        ("🔄 重跑", "running"),
        ("重跑中", "running"),
        ("🆕", "planned"),
        ("🆕 ✅ 完成", "done"),
        ("🆕 就绪", "ready"),
        ("🆕 PASS", "done"),
        ("🟢", "done"),
        ("🟢 (2026-01-02)", "done"),
        ("🟢 推荐", None),
        ("`frozen`", "done"),
        ("SUCCESS", "done"),
        ("[x] 2026-01-02", "done"),
        ("[ ]", "planned"),
        ("[-]", "cancelled"),
        ("[✅ 完成](exp_a.md)", "done"),
        ("in_progress", "running"),
        ("Not-started", "planned"),
        ("completed_as_planned", "done"),
        ("未完成", "planned"),
        ("INCONCLUSIVE", "partial"),
        ("100%", "done"),
        ("40%", None),
        ("🔴 P0", None),
        ("🔴🔴 **P0.1**", None),
        ("🟢 P2", None),
        ("✅ P0 完成", "done"),
        ("✅ open-source release", "done"),
        ("✅ mixed precision works", "done"),
        ("✅ training curve", "done"),
        ("Training set is ready", None),
        ("⏳/🚀/✅", None),
        ("完成度 50%", None),
        ("可选：Route M 已成功，可跳过", None),
        ("→ Archived", None),
        ("✅ (partially)", "partial"),
        ("✅（部分）", "partial"),
        ("✅ except the seeds", "partial"),
        ("✅ 2 of 3", "partial"),
        ("PASS 2/3 seeds", "partial"),
        ("✅ 3 of 3 seeds", "done"),
        ("✅ 12/27", "done"),
        ("✅ (?)", "analysing"),
        ("完成（？）", "analysing"),
        ("✅ (provisional)", "analysing"),
        ("✅（待复核）", "analysing"),
        ("done (not verified)", "analysing"),
        ("done if the seeds agree", "analysing"),
        ("done 50%", "running"),
        ("已完成（60%）", "running"),
        ("✅ 95%", "done"),
        ("Done: no", "planned"),
        ("done ❌", None),
        ("完成❌", None),
        ("done 🚀", "done"),
        ("PASS → FAIL", "failed"),
        ("PASS → ✅ 进入 Gate-2", "done"),
        ("\u200b✅", "done"),
        ("\u200f\u202e⏳ 计划", "planned"),
        ("待✅", None),
        ("~~✅~~", None),
        ("<del>✅ done</del> 🚀 running", None),
        ("~~⏳~~", "planned"),
        ("not ✅", None),
        ("✅→❌", "failed"),
        ("Run1 vs Run2", None),
        ("-", None),
        ("", None),
    ],
)
def test_a_status_cell_says_its_status_or_nothing(cell: str, status: str | None) -> None:
    assert WORDS.status(cell) == status


def test_the_documents_own_legend_comes_first() -> None:
    own = WORDS.with_legend("x\n**状态**: ⏳计划 | 🔴就绪 | 🔆进行中 | ✅完成 | ❌取消\n")
    assert (own.status("🔆"), own.status("❌"), own.status("❌ 失败")) == (
        "running",
        "cancelled",
        "failed",
    )
    assert own.legend["cancelled"] == ("❌", "取消")
    assert WORDS.with_legend("**Status:** 🔄 only one").legend == {}


@pytest.mark.parametrize(
    "line",
    [
        "图例：⏳ 待做，🚀 运行，✅ 已关闭，❌ 失败",
        "Legend: ⏳ todo | 🚀 running | ✅ closed | ❌ failed",
        "> **Status key:** ⏳ planned, 🚀 running, ✅ done, ❌ failed",
    ],
)
def test_a_legend_is_a_list_of_glyphs_with_words(line: str) -> None:
    own = WORDS.with_legend(line)
    assert list(own.legend) == ["planned", "running", "done", "failed"]
    assert own.status("✅") == "done"


@pytest.mark.parametrize(
    "lines",
    [
        "**Legend**\n\n- 🌱 planned\n- 🌀 running\n- 🌳 done\n- 🥀 failed\n",
        "## Legend\n\n| Symbol | Meaning |\n|---|---|\n| 🌱 | planned |\n| 🌀 | running |\n"
        "| 🌳 | done | it has a result |\n| 🥀 | failed |\n\ntext\n",
        "> 图例：\n> - 🌱 计划\n> - 🌀 运行\n> - 🌳 完成\n> - 🥀 失败\n",
        "Key: 🌱 = planned; 🌀 = running; 🌳 = done; 🥀 = failed",
        "Status: 🌱 (planned) | 🌀 (running) | 🌳 (done) | 🥀 (failed)",
    ],
)
def test_a_legend_is_a_line_list_or_table(lines: str) -> None:
    own = WORDS.with_legend(f"# Plan\n\n{lines}")
    assert {status: glyph for status, (glyph, _) in own.legend.items()} == {
        "planned": "🌱", "running": "🌀", "done": "🌳", "failed": "🥀"
    }  # fmt: skip


@pytest.mark.parametrize(
    "lines",
    [
        "## Key\n\n- R² is better ✅\n- it is slow ❌\n",
        "Status: phase 1 ran well ✅ | phase 2 is next ⏳",
        "**Status:** Planning ✅ | Training 🚀 | Analysis ⏳",
        "状态：立项 ✅ | 运行 ✅ | 分析 ⏳ | 完成 ⏳",
        "## Symbols\n\n- ✅ better than the baseline\n- ❌ worse than the baseline\n",
        "## Key\n\n| | Data |\n|---|---|\n| 🟢 | public |\n| 🔴 | private |\n",
        "**Key:**\n- 🟢 easy\n- 🔴 hard\n",
        "Key: 🔴 blocked by data | 🟢 ready | ⚪ later",
        "Legend\n\ntext\n\n- 🌱 planned\n- 🌀 running\n",
    ],
)
def test_what_only_looks_like_a_legend_is_none(lines: str) -> None:
    assert WORDS.with_legend(lines).legend == {}


def test_a_sentence_of_statuses_is_no_legend() -> None:
    assert WORDS.with_legend("**Status:** 🚀 running, ✅ tests pass, then more").legend == {}
    assert WORDS.with_legend("**Status**: 🔄/✅").legend == {}


@pytest.mark.parametrize(
    ("cell", "blocked"),
    [
        ("🚀 阻塞", True),
        ("⏳ 待启动（阻塞于 1.0）", True),
        ("BLOCKED by 1.0", True),
        ("不再阻塞", False),
        ("unblocked", False),
        ("no longer blocked", False),
        ("⏸️ 暂停", False),
    ],
)
def test_a_cell_says_that_something_else_comes_first(cell: str, blocked: bool) -> None:
    assert WORDS.is_blocked(cell) == blocked


def test_a_lab_teaches_its_own_words() -> None:
    own = WORDS.extended({"status": "进展", "exp_id": ["run id"]}, {"running": ["🌊", "surfing"]})
    assert own.columns(["MVP", "进展", "Run ID"]) == {"mvp": 0, "status": 1, "exp_id": 2}
    assert (own.status("🌊"), own.status("Surfing today"), own.status("🚀")) == ("running",) * 3


@pytest.mark.parametrize(
    ("headers", "statuses", "named"),
    [({"colour": "x"}, {}, "colour"), ({}, {"flying": "x"}, "flying")],
)
def test_words_for_what_is_not_known_are_refused(
    headers: dict[str, str], statuses: dict[str, str], named: str
) -> None:
    with pytest.raises(UsageError, match=f"'{named}': one of"):
        WORDS.extended(headers, statuses)


@pytest.mark.parametrize("words", [5, None, [1], [""], {"a": 1}])
def test_words_that_are_none_are_refused(words: object) -> None:
    with pytest.raises(UsageError, match="a word or a list of words"):
        WORDS.extended({}, {"running": words})  # type: ignore[dict-item]


def test_a_status_argument_names_the_allowed_words() -> None:
    assert status_argument("done") == "done"
    with pytest.raises(UsageError, match="planned, ready, running"):
        status_argument("finished")


def test_columns_are_found_in_both_languages() -> None:
    chinese = ["MVP", "实验名称", "**状态**", "experiment_id", "验证Gate", "论文 Artifact"]
    assert WORDS.columns(chinese) == {
        "mvp": 0, "name": 1, "status": 2, "exp_id": 3, "gate": 4, "artifact": 5,
    }  # fmt: skip
    english = WORDS.columns(["#", "💡 共识[抽象洞见]", "Evidence", "Who（x）"])
    assert english == {"number": 0, "consensus": 1, "evidence": 2}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("R² (val)", ("r2", "val")),
        ("R²", ("r2", None)),
        ("**MAE** (test)", ("mae", "test")),
        ("R2_test", ("r2", "test")),
        ("ΔR²", ("delta_r2", None)),
        ("验证集 R²", ("r2", "val")),
        ("R²（训练）", ("r2", "train")),
        ("R²_测试", ("r2", "test")),
        ("R² (val/test)", None),
        ("R²_max (median)", None),
        ("SNR 20", None),
        ("Layer 2", None),
        ("Year 2026", None),
        ("Scatter plot", None),
        ("Sigma clip", None),
        ("$R^2$", ("r2", None)),
        ("R^2_test", ("r2", "test")),
        ("配置", None),
    ],
)
def test_metric_columns_name_their_split(header: str, expected: object) -> None:
    head = metric_header(header)
    assert (head and head[:2]) == expected


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("1.0", "1.0"),
        ("MVP-1.0", "1.0"),
        ("**MVP-16A-0** 🆕", "16A-0"),
        ("~~MVP-T0~~", "T0"),
        ("MVP-F-V3A", "F-V3A"),
        ("16O", "16O"),
        ("C1.0", "C1.0"),
        ("PG1", "PG1"),
        ("Next-A", "Next-A"),
        ("MVP-16T (V2)", "16T (V2)"),
        ("`MVP-2.0`", "2.0"),
        ("mvp 2.0", "2.0"),
        ("Gate-1", "1"),
        ("🚦 Gate-A", "A"),
        ("MVP-Gate-11.0", "11.0"),
    ],
)
def test_ids_are_bare(text: str, bare: str) -> None:
    assert read_id(text) == bare == bare_id(bare)


def test_ids_of_any_length_are_read() -> None:
    assert bare_id("MVP-" * 5_000 + "1.0") == "1.0"
    odd = "(" * 50_000 + "a"
    assert bare_id(odd) == odd
    assert IdIndex(("1.0", odd, "b" * 5_000)).refs(f"MVP-{odd} and MVP-1.0") == (odd, "1.0")


def test_references_are_found_with_and_without_prefix() -> None:
    ids = IdIndex(("0.1", "4.0", "4.1", "4.2", "F-V3", "F-V3A", "16T", "16T (V2)", "1.0"))
    assert ids.refs("MVP-4.0 ⚠️ 完成，MVP-4.1/4.2 已关闭") == ("4.0", "4.1", "4.2")
    assert ids.refs("MVP-F-V3A (x)") == ("F-V3A",)
    assert ids.refs("0.1/4.0") == ("0.1", "4.0")
    assert ids.refs("MVP-X.X") == ("X.X",)
    assert ids.refs("SNR sweep, 1.0 of it") == ()
    assert ids.refs("1.01") == ()
    assert ids.opening("1.0 Run1") == ("1.0", "Run1")
    assert ids.opening("MVP-16T (V2): x") == ("16T (V2)", ": x")


def test_gates_are_found_in_lists() -> None:
    assert gate_refs("**Gate-1/2/3**") == ("1", "2", "3")
    assert gate_refs("Gate-2 / Gate-4") == ("2", "4")
    assert gate_refs("Gate-A") == ("A",)
    assert gate_refs("-") == ()


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("`VIT-20251226-vit-1m-large-01`", "VIT-20251226-vit-1m-large-01"),
        ("**🆕 `SD-20251204-diff-01`**", "SD-20251204-diff-01"),
        ("NZ-20260101-warm-01", "NZ-20260101-warm-01"),
        ("later `NZ-1` maybe", "NZ-1"),
        ("Run1 vs Run2", None),
        ("`[ID]`", None),
        ("-", None),
    ],
)
def test_an_experiment_id_is_told_from_prose(cell: str, expected: str | None) -> None:
    assert exp_id(cell) == expected


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("[t](./exp_a.md)", "./exp_a.md"),
        ("`exp/exp_a.md`", "exp/exp_a.md"),
        ("[[exp_a|report]]", "exp_a"),
        (r"[[exp_a\|report]]", "exp_a"),
        ("不需要：MVP-2.0", None),
        ("-", None),
    ],
)
def test_a_report_is_where_its_cell_points(cell: str, expected: str | None) -> None:
    assert report_target(cell) == expected


@pytest.mark.parametrize(
    "header",
    ["R² 目标", "Target R²", "1 - R²", "R² (SNR>20)", "R² gain", "σ(R²)", "NRMSE",
     "MAE/σ", "R²_max", "baseline R²", "R² (giants)"],
)  # fmt: skip
def test_a_column_of_other_numbers_takes_no_score(header: str) -> None:
    assert metric_header(header) is None


@pytest.mark.parametrize(
    "header",
    ["Mean R²", "R² (mean ± std)", "R² (3 seeds)", "**R² ↑**", "平均 R²", "最佳 R² (test)"],
)
def test_a_column_of_a_mean_or_of_several_seeds_takes_the_score(header: str) -> None:
    head = metric_header(header)
    assert head is not None
    assert head[:2] in {("r2", None), ("r2", "test")}
    assert (head.seeds, head.is_best) == (3 if "3" in header else None, "最佳" in header)


def test_a_column_of_another_label_takes_no_score_of_this_one() -> None:
    text = """| MVP | Name | Status |
|---|---|---|
| 1.0 | Base | 🚀 |

| MVP | R² (log g) | R² (T_eff) | R² 目标 | MAE ↓ |
|---|---|---|---|---|
| 1.0 | - | - | 0.8 | - |
"""
    values = {"test/r2/log_g": 0.75, "test/mae/log_g": 0.3}
    roadmap = parse_roadmap(Document(text))
    edits = number_rows(
        roadmap, roadmap.mvps[0], [Result("1.0", "main", "full", "vit", values)], "done", "full"
    )
    assert apply(text, edits).endswith("| 1.0 | 0.750 | - | 0.8 | 0.300 |\n")
