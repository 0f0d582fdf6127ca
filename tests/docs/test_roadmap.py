"""What a roadmap says, as data: the real ones, and one that deviates in every way people do."""

from pathlib import Path

import pytest

from tests.docs.conftest import real
from vitlab.contract.paths import UsageError
from vitlab.docs.model.roadmap import NoMvpTable, Roadmap, launch_order, next_mvp, parse_roadmap
from vitlab.docs.text.source import Document


def test_the_overview_of_the_roadmap_this_program_was_made_for(vit: Roadmap) -> None:
    rows = [(m.id, m.name, m.phase, m.gate, m.status, m.exp_id, m.line) for m in vit.mvps]
    assert rows == [
        ("1.0", "ViT 1M Scaling", "1", "Gate-1", "running", "VIT-20251226-vit-1m-large-01", 96),
        ("1.1", "ViT Sweep Analysis", "1", None, "done", "VIT-20251227-vit-sweep-01", 97),
        ("2.0", "LightGBM 1M Baseline", "1", "Gate-2", "planned", None, 98),
        ("3.0", "Scaling Curve (N-sweep)", "1", "Gate-3", "planned", None, 99),
        ("4.0", "Tokenization Ablation", "1", "Gate-4", "planned", None, 100),
        ("5.0", "Loss/Label Norm Study", "1", None, "analysing", None, 101),
        ("6.0", "PE Ablation", "2", None, "planned", None, 102),
        ("7.0", "Multi-task", "2", None, "planned", None, 103),
    ]
    assert vit.mvps[0].report == "./exp_vit_1m_scaling_20251226.md"
    assert vit.mvps[2].report is None
    assert vit.mvps[0].status_text == "🚀"
    assert (vit.title, vit.language) == ("🗺️ ViT Roadmap: Scaling to Fisher Ceiling", "zh")
    assert vit.legend == {
        "⏳": "planned", "🔴": "ready", "🚀": "running", "🔆": "analysing", "✅": "done",
        "❌": "cancelled",
    }  # fmt: skip


def test_its_gates(vit: Roadmap) -> None:
    gates = [(g.id, g.title, g.status, g.mvps, len(g.rules), g.line) for g in vit.gates]
    assert gates == [
        ("1", "1M 200ep 完成 + Test 指标", "running", ("1.0",), 2, 39),
        ("2", "LightGBM 1M Baseline 对比", "planned", ("2.0",), 2, 49),
        ("3", "Scaling Curve (N → Performance)", "planned", ("3.0",), 0, 59),
        ("4", "Tokenization Ablation", "planned", ("4.0",), 0, 69),
    ]
    assert [(r.if_, r.then) for r in vit.gates[1].rules] == [
        ("ViT > LGBM", "✅ Transformer 优势成立"),
        ("ViT < LGBM", "🔴 需要分析 gap 来源"),
    ]


def test_its_tables_and_board(vit: Roadmap) -> None:
    counts = {
        name: len(getattr(vit, name))
        for name in ("priorities", "gate_progress", "conclusions", "timeline", "run_paths",
                     "experiment_index", "numbers", "checklist", "files", "changelog", "runs",
                     "routes", "lookup", "specs")
    }  # fmt: skip
    assert counts == {
        "priorities": 5, "gate_progress": 4, "conclusions": 2, "timeline": 4, "run_paths": 2,
        "experiment_index": 2, "numbers": 3, "checklist": 5, "files": 4, "changelog": 3, "runs": 2,
        "routes": 3, "lookup": 4, "specs": 7,
    }  # fmt: skip
    assert vit.kanban is not None
    cards = [(c.mvp, vit.kanban.bands[0].columns[c.column].status) for c in vit.kanban.cards]
    assert cards == [
        ("2.0", "planned"), ("1.0", "running"), ("5.0", "analysing"), ("1.1", "done"),
        ("3.0", "planned"), ("4.0", "planned"), ("6.0", "planned"), ("7.0", "planned"),
    ]  # fmt: skip
    assert vit.priorities[3].mvps == ()
    assert vit.numbers[0].status == "running"


def test_what_is_next(vit: Roadmap, english: Roadmap) -> None:
    found = next_mvp(vit)
    assert found is not None
    assert (found.id, found.why) == ("2.0", "priority 🔴 P0.2, line 83: planned")
    first = next_mvp(english)
    assert first is not None
    assert first.id == "2A"


def test_nothing_is_next_when_all_is_over_and_the_failed_and_paused_come_last() -> None:
    head = "| MVP | Name | Status |\n|---|---|---|\n"
    over = "".join(f"| {i} | x | {s} |\n" for i, s in enumerate(["✅", "🚀", "🗑️", "🔆"]))
    assert next_mvp(parse_roadmap(Document(head + over))) is None
    late = "| 6 | x | ❌ FAIL |\n| 7 | x | ⏸️ |\n"
    some = parse_roadmap(Document(head + over + late + "| 8 | x | ⏳ |\n"))
    assert [found.id for found in launch_order(some)] == ["8", "6", "7"]
    assert next_mvp(some) == launch_order(some)[0]


def test_deviations_are_read_as_meant(english: Roadmap) -> None:
    rows = [(m.id, m.name, m.status, m.exp_id, m.report) for m in english.mvps]
    assert rows == [
        ("T0", "Warm-up", "done", "NZ-20260101-warm-01", "exp_warm"),
        ("1.0", "Signal a|b", "planned", None, None),
        ("2A", "ViT ||error||", "planned", None, None),
        ("2B", "Ridge", "paused", None, None),
        ("Next-A", "What then", "planned", None, None),
        ("16T (V2)", "Last", None, None, None),
    ]
    assert [(g.id, g.mvps) for g in english.gates] == [("1", ("1.0",)), ("A", ("2A", "2B"))]
    assert english.language == "en"


def test_the_deviating_real_ones() -> None:
    moe = parse_roadmap(real("moe_snr_roadmap.md"))
    assert [(m.id, m.status) for m in moe.mvps] == [
        ("0.1", "done"), ("0.2", "done"), ("1.0", "done"), ("2.0", "done"), ("2.1", "cancelled"),
        ("3.0", "planned"), ("4.0", "partial"), ("4.1", "cancelled"), ("4.2", "cancelled"),
    ]  # fmt: skip
    assert [g.title for g in moe.gates][:2] == [
        "Leakage Audit & Error 表示冻结",
        "Oracle SNR Split Headroom",
    ]
    assert [g.status for g in moe.gates] == ["done", "done", "done", "planned", "partial"]
    fisher = parse_roadmap(real("fisher_roadmap_20251225.md"))
    assert [m.id for m in fisher.mvps] == [
        "F-V1", "F-V2", "F-MM", "F-V3A", "FU-1", "FU-2", "FU-3", "F-V3B", "F-V3C", "F-EFF",
        "F-WGT",
    ]  # fmt: skip
    assert fisher.kanban is not None
    assert [len(band.columns) for band in fisher.kanban.bands] == [4, 1]


def test_ids_are_looked_up_with_or_without_prefix(vit: Roadmap) -> None:
    assert vit.mvp("MVP-2.0") is vit.mvp("2.0")
    assert vit.gate("Gate-2") is vit.gate("2")
    with pytest.raises(UsageError, match=r"no MVP '9\.9'; there are 1\.0, 1\.1"):
        vit.mvp("9.9")
    with pytest.raises(UsageError, match="no gate '9'; there are 1, 2, 3, 4"):
        vit.gate("9")


def test_a_document_without_an_overview_is_refused_by_name() -> None:
    with pytest.raises(NoMvpTable, match=r"x\.md: no MVP overview table.*headers mvp/.*名称.*状态"):
        parse_roadmap(Document("# Nothing\n\n| A | B |\n|---|---|\n", Path("x.md")))


def test_a_gate_takes_its_rules_from_the_mvps_section_when_it_has_none() -> None:
    text = (
        "### Gate-1: g\n\n| 项 | 内容 |\n|---|---|\n| MVP | MVP-1.0 |\n\n"
        "| MVP | 名称 | 状态 |\n|---|---|---|\n| 1.0 | x | ⏳ |\n\n"
        "### MVP-1.0: x\n\n**Gate影响**:\n- R² ≥ 0.7 → [A]\n- R² < 0.7 → [B]\n\n"
        "so\n\n- R² > 1 → no\n"
    )
    (gate,) = parse_roadmap(Document(text)).gates
    assert [(r.if_, r.then) for r in gate.rules] == [("R² ≥ 0.7", "[A]"), ("R² < 0.7", "[B]")]
