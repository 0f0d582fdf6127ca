"""Plans of edits: every place that tells of a status, and not one byte beside them."""

from pathlib import Path

import pytest

from tests.docs.conftest import ROADMAPS, real, small
from vitlab.contract.paths import UsageError
from vitlab.docs.model.roadmap import Roadmap, parse_roadmap
from vitlab.docs.model.vocabulary import STATUSES
from vitlab.docs.save import apply, unified
from vitlab.docs.text.source import Document
from vitlab.docs.write.status import launch, set_status

GOLDEN = Path(__file__).parent / "golden"


def setting(text: str, mvp: str, status: str, before: Roadmap | None = None) -> str:
    return apply(text, set_status(parse_roadmap(Document(text)), mvp, status, before))


def changed_lines(old: str, new: str) -> str:
    """The lines of a diff that say something, context and positions left out."""
    lines = unified(old, new, "x").splitlines()[2:]
    return "\n".join(line for line in lines if line[:1] in "+-") + "\n"


@pytest.mark.parametrize(
    ("mvp", "statuses"),
    [("2.0", ("running", "done")), ("1.0", ("done",)), ("5.0", ("failed",)), ("3.0", ("ready",))],
)
def test_a_status_changes_where_it_stands_and_nowhere_else(
    vit: Roadmap, mvp: str, statuses: tuple[str, ...]
) -> None:
    text = vit.document.text
    for status in statuses:
        new = setting(text, mvp, status)
        expected = (GOLDEN / f"vit_{mvp}_{status}.diff").read_text()
        assert changed_lines(text, new) == expected
        text = new


def test_a_launch_writes_status_id_index_and_timeline(vit: Roadmap) -> None:
    text = vit.document.text
    new = apply(text, launch(vit, "2.0", "VIT-20260102-lgbm-01", "2026-01-02"))
    running = (GOLDEN / "vit_2.0_running.diff").read_text().splitlines()
    found = changed_lines(text, new).splitlines()
    assert [line for line in found if line not in running] == [
        "+| 2.0 | LightGBM 1M Baseline | 1 | Gate-2 | 🚀 | `VIT-20260102-lgbm-01` | - |",
        "+| 2026-01-02 | MVP-2.0 启动 (LightGBM 1M Baseline) |",
        "+| `VIT-20260102-lgbm-01` | VIT | vit | 🚀 | MVP-2.0 |",
    ]
    again = parse_roadmap(Document(new))
    assert launch(again, "2.0", "VIT-20260102-lgbm-01", "2026-01-02") == []


def test_a_launch_keeps_a_remark_beside_the_id(vit: Roadmap) -> None:
    new = apply(vit.document.text, launch(vit, "5.0", "VIT-20260102-loss-01", "2026-01-02"))
    assert "| Run1 vs Run2 `VIT-20260102-loss-01` |" in new
    assert parse_roadmap(Document(new)).mvp("5.0").exp_id == "VIT-20260102-loss-01"


def test_a_new_launch_leaves_the_index_row_of_the_old_experiment(vit: Roadmap) -> None:
    new = apply(vit.document.text, launch(vit, "1.1", "VIT-20260102-sweep-02", "2026-01-02"))
    assert "| `VIT-20251227-vit-sweep-01` | VIT | vit | ✅ | MVP-1.1 |" in new
    assert "| `VIT-20260102-sweep-02` | VIT | vit | 🚀 | MVP-1.1 |" in new


@pytest.mark.parametrize("name", ROADMAPS)
def test_through_every_status_and_back_is_where_it_began(name: str) -> None:
    """Places that contradict each other at first cannot be told apart later: `before` tells."""
    first = parse_roadmap(real(name))
    for mvp in first.mvps:
        text = first.document.text
        for status in STATUSES:
            roadmap = parse_roadmap(Document(text))
            text = apply(text, set_status(roadmap, mvp.id, status, first))
        assert mvp.status is not None
        assert setting(text, mvp.id, mvp.status, first) == first.document.text, mvp.id


def test_a_document_without_contradictions_needs_no_memory(vit: Roadmap) -> None:
    for mvp in vit.mvps:
        text = vit.document.text
        for status in STATUSES:
            text = setting(text, mvp.id, status)
        assert mvp.status is not None
        assert setting(text, mvp.id, mvp.status) == vit.document.text, mvp.id


def test_a_gates_verdict_is_never_touched() -> None:
    moe = parse_roadmap(real("moe_snr_roadmap.md"))
    new = setting(moe.document.text, "1.0", "running")
    assert "| 状态  | ✅ **PASS: ΔR² = +0.05 ≥ 0.02**                        |" in new
    assert "| ✅    | MVP-1.0           | Gate-2 | ✅ PASS (ΔR²=+0.05) |" in new


def test_the_documents_own_words_are_written() -> None:
    text = small("english.md").text
    new = setting(text, "1.0", "running")
    assert changed_lines(text, new).splitlines() == [
        "-| Status | ⏳ planned |",
        "+| Status | 🚀 running |",
        "-| P0 | MVP-1.0 | Gate-1 | ⏳ planned |",
        "+| P0 | MVP-1.0 | Gate-1 | 🚀 running |",
        "-| **MVP-1.0** 🆕 | Signal `a|b` | 1 | Gate-1 | ⏳ Planned | - | - |",
        "+| **MVP-1.0** 🆕 | Signal `a|b` | 1 | Gate-1 | 🚀 Running | - | - |",
        "-MVP-1.0                     MVP-T0",
        "-MVP-2A",
        "+MVP-2A        MVP-1.0       MVP-T0",
    ]


def test_padding_gives_way_to_the_new_text() -> None:
    text = small("chinese.md").text
    new = setting(text, "1.0", "failed")
    assert "| 1.0 | 大模型     | ❌ 失败 | -      |\n" in new  # seven columns do not fit in four
    assert setting(new, "1.0", "planned") == text
    wide = text.replace("| 状态 |", "| 状态       |").replace("| ⏳   |", "| ⏳         |")
    wide = wide.replace("| 🚀   |", "| 🚀         |")
    assert "| 1.0 | 大模型     | ❌ 失败    | -      |\n" in setting(wide, "1.0", "failed")
    assert "| 1.0 | 大模型     | 🚀   | -      |\n" in setting(text, "1.0", "running")
    assert "(🚀 训练中)" in setting(text, "1.0", "running")


def test_a_status_that_stands_already_changes_nothing() -> None:
    fisher = parse_roadmap(real("fisher_roadmap_20251225.md"))
    assert set_status(fisher, "F-WGT", "planned") == []  # though its card is under 🔴就绪


def test_a_status_nobody_knows_is_refused(english: Roadmap) -> None:
    with pytest.raises(UsageError, match="one of planned, ready"):
        set_status(english, "1.0", "finished")
    with pytest.raises(UsageError, match="no MVP"):
        set_status(english, "9", "done")


def test_a_cell_that_says_no_status_is_filled_when_empty_and_refused_when_not(
    english: Roadmap,
) -> None:
    with pytest.raises(UsageError, match="'⏳/🚀/✅', which is no status"):
        set_status(english, "16T (V2)", "done")
    text = english.document.text.replace("| ⏳/🚀/✅ |", "| - |")
    assert "| MVP-16T (V2) | Last | 2 | - | ✅ Done | - | - |" in setting(text, "16T (V2)", "done")
