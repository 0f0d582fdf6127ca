"""Numbers that people tell of results in prose, wherever it stands: right ones silent, wrong found.

Each case is a text with `{}` for the number; the result is 0.7512.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.lab.conftest import Ended
from tests.lab.test_numbers import found, hand_edit, with_seeds
from vitlab.lab.earlier import keep_earlier
from vitlab.lab.lab import Lab
from vitlab.lab.writeback.edits import write

SECTION = """\
### MVP-1.0: The run

| Item | Content |
|------|---------|
| Acceptance | R²_test = 0.951 |
| 验收 | R²_test=0.951 |
| 假设 | R²=0.951 |

{}

## Conclusions
"""
REPORT = "exp_the_run_20260102"

IN_SECTION = {
    "a metric": "R2 = {} reached.",
    "about": "The final run has a test R² of {}.",
    "measured": "We measured {} on the test stars.",
    "an error": "- MAE = {} dex",
    "an item": "| Outcome | R² = {} |",
    "a result": "- 结果：R²_test={}",
    "in Chinese": "实测 {}，好于预期。",
    "reached": "最终测试 R² 达到 {}。",
    "a note": "| 备注 | R²={} |",
    "below a title": "#### Results\n\nR² = {}",
}
NOT_TOLD = [
    "We expect R² > 0.951.",
    "We expect R² = 0.951.",
    "Target: R² = 0.951, MAE = 0.951",
    "#### Hypothesis\n\nR² = 0.951",
    "#### 预期\n\nR²=0.951",
    "Hypothesis: R² of about 0.95",
    "If R² = 0.951 is reached, stop.",
    "目标：R²_test=0.951，MAE=0.951",
    "预计 R² 达到 0.951",
    "预算 2.951 小时，lr=0.0003",
    "阈值 R²=0.951",
    "```\nR² = 0.951\n```",
]
IN_HUB = {
    "by its report": f"- {REPORT}: R² = {{}}",
    "by its report's name": "| K1 | **ViT: R²={}** | exp_the_run |",
    "by a link": f"- R²={{}} ([exp_the_run](./{REPORT}.md))",
    "by its name": "- 第一个实验 The first run: R²_test={}",
    "of no MVP": "- ViT has a test R² of {}",
    "a belief": "- **✅ ViT 主结果就绪**：R²_test={}，超过全部基线",
    "a consensus": "| # | 共识 | 证据 |\n|---|---|---|\n| K1 | ViT 的测试 R² 达到 {} | 实验 |",
    "a tree": "```\n├── Q1: does it work? ✅ R²={}\n```",
    "an error": "- ViT test MAE = {} dex",
}
NO_CLAIM = [
    "- next: R² = 0.951 with a larger model",
    "- If R² = 0.951 then go on",
    "- a toy has R² = 0.951",
    "- the literature has R² = 0.951",
    "- 文献最好 R²=0.951",
    "- 理论上 R²=0.951",
    "- Hypothesis: R² of about 0.951",
    "- H1: R² 约 0.951",
    "| # | Gap | Question |\n|---|---|---|\n| DG1 | R² = 0.951 | why |",
]


def add(path: Path, text: str) -> None:
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{text}\n", encoding="utf-8")


@pytest.fixture
def ran(lab: Lab, roadmap: Path, ended: Ended) -> Path:
    """A roadmap whose only full result is in its documents."""
    hand_edit(roadmap, "| 1.0 | The run | 1 |", "| 1.0 | The first run | 1 |")
    keep_earlier(lab, roadmap)
    ended("one", 0.7512)
    write(lab, roadmap, "1.0")
    (report,) = roadmap.parent.glob("exp_*.md")
    report.rename(roadmap.with_name(f"{REPORT}.md"))
    hand_edit(roadmap, report.stem, REPORT)
    assert found(lab, roadmap) == []
    return roadmap


def told(lab: Lab, roadmap: Path, texts: Iterable[str], number: str) -> dict[str, int]:
    """How many findings each text has on its line that has the number."""
    files = {one: one.read_text(encoding="utf-8").splitlines() for one in roadmap.parent.iterdir()}
    hits = found(lab, roadmap)
    assert {one.kind for one in hits} <= {"number-without-result"}
    lines = [files[one.path or roadmap][one.line - 1] for one in hits]
    wanted = {
        text: next(x for x in text.splitlines() if "{}" in x).format(number) for text in texts
    }
    assert set(lines) <= set(wanted.values())
    return {text: lines.count(line) for text, line in wanted.items()}


def with_errors(texts: Iterable[str]) -> dict[str, int]:
    """No result has an error, so that one is found whatever it is."""
    return {text: int("MAE" in text) for text in texts}


def test_the_prose_of_an_mvp_s_section(lab: Lab, ran: Path) -> None:
    texts, before = IN_SECTION.values(), ran.read_text(encoding="utf-8")
    for number, wanted in (("0.751", with_errors(texts)), ("0.951", dict.fromkeys(texts, 1))):
        ran.write_text(before, encoding="utf-8")
        prose = "\n\n".join(texts).replace("{}", number)
        hand_edit(ran, "## Conclusions\n", SECTION.format(prose))
        assert told(lab, ran, texts, number) == wanted


def test_plans_in_an_mvp_s_section(lab: Lab, ran: Path) -> None:
    hand_edit(ran, "## Conclusions\n", SECTION.format("\n\n".join(NOT_TOLD)))
    assert found(lab, ran) == []


def test_what_a_hub_claims(lab: Lab, ran: Path) -> None:
    hub, texts = ran.with_name("plan_hub.md"), IN_HUB.values()
    before = hub.read_text(encoding="utf-8")
    for number in ("0.751", "0.951", "1.0"):
        hub.write_text(before, encoding="utf-8")
        add(hub, "\n\n".join(texts).replace("{}", number))
        wanted = with_errors(texts) if number == "0.751" else dict.fromkeys(texts, 1)
        assert told(lab, ran, texts, number) == wanted


def test_what_a_hub_does_not_claim(lab: Lab, ran: Path) -> None:
    add(ran.with_name("plan_hub.md"), "\n\n".join(NO_CLAIM))
    assert found(lab, ran) == []


def test_claims_older_than_the_lab_are_left_alone(lab: Lab, roadmap: Path, ended: Ended) -> None:
    """Where it was not noted what stood before the first job, and a hub is not from here."""
    ended("one", 0.7512)
    hub = roadmap.with_name("plan_hub.md")
    hand_edit(roadmap, "| ✅ | `VIT-20260101-another-01` |", "| ⏳ | `VIT-20260101-another-01` |")
    add(hub, "- R² = 0.713\n- R² = 0.614\n- R² = 0.751")
    assert found(lab, roadmap) == []
    add(hub, "- R² = 0.7512\n- R² = 0.7512 on the test stars")
    assert len(found(lab, roadmap)) == 2


def test_a_value_of_one_is_not_the_number_of_an_mvp(lab: Lab, ran: Path) -> None:
    hand_edit(ran, "R²_test=0.751 ± 0.004 |", "R²_test=1.0 |")
    assert {one.kind for one in found(lab, ran)} & {"number-changed", "number-without-result"}


STRAYS = {
    "of an MVP": "# A report\n> **MVP:** MVP-1.0\n\n## Results\n\nR² = {}\n",
    "a table": "# 报告\n> **MVP:** MVP-1.0\n\n## 结果\n\n| 模型 | R² |\n|---|---|\n| ViT | {} |\n",
    "of none": "# A report\n\n## Conclusion\n\nThe ViT has R² = {}.\n",
    "of none, in Chinese": "# 报告\n\n## 结论\n\nViT 的测试 R² 达到 {}。\n",
}


def test_a_report_that_nothing_leads_to(lab: Lab, ran: Path) -> None:
    strays = {ran.with_name(f"exp_more_{n}.md"): text for n, text in enumerate(STRAYS.values())}
    for path, text in strays.items():
        path.write_text(text.format("0.751"), encoding="utf-8")
    assert found(lab, ran) == []
    for path, text in strays.items():
        path.write_text(text.format("0.951"), encoding="utf-8")
    hits = found(lab, ran)
    assert {one.kind for one in hits} == {"number-without-result"}
    assert sorted(one.path for one in hits if one.path) == sorted(strays)
    for path, text in strays.items():
        head, _, rest = text.partition("\n")
        of_another = f"{head}\n> **exp_id:** `ABC-20250101-else-01`\n{rest}"
        path.write_text(of_another.format("0.951"), encoding="utf-8")
    assert found(lab, ran) == []


def test_such_a_report_older_than_the_first_job(lab: Lab, roadmap: Path, ended: Ended) -> None:
    for number, text in enumerate(STRAYS.values()):
        path = roadmap.with_name(f"exp_more_{number}.md")
        path.write_text(text.format("0.951"), encoding="utf-8")
    add(roadmap.with_name("plan_hub.md"), "- ViT has R² = 0.951")
    keep_earlier(lab, roadmap)
    ended("one", 0.7512)
    assert found(lab, roadmap) == []


def test_the_best_seed_told_as_the_models_result_is_found(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    keep_earlier(lab, roadmap)
    with_seeds(lab, ended, 0.7312, 0.7412, 0.7712)
    write(lab, roadmap, "1.0")  # the mean, 0.748, stands in the conclusion
    wrong = [
        "The ViT reaches R² = 0.771.",
        "最好的 ViT R² 为 0.771。",
        "R² = 0.7712 on the test stars.",
    ]
    free = [
        "Seed 2 has R² = 0.771.",
        "R² = 0.771, on average 0.748.",
        "R² between 0.731 and 0.771.",
        "R² = 0.731.",
        "R² = 0.748 is the result.",
        "三个种子中最好的 R²=0.771",
    ]
    text = "\n\n".join([*wrong, *free])
    hub = roadmap.with_name("plan_hub.md")
    hand_edit(hub, "# Hub\n", f"# Hub\n\n{text}\n")
    head = "| Date | Change | Impact |\n|------|--------|--------|\n"
    hand_edit(hub, head, head + "| 2026-01-02 | R² = 0.771 | - |\n")
    hand_edit(roadmap, "## Conclusions\n", SECTION.replace("{}", text))
    lines = [
        (one.path or roadmap).read_text(encoding="utf-8").splitlines()[one.line - 1]
        for one in found(lab, roadmap)
        if one.kind == "picked-seed"
    ]
    assert sorted(lines) == sorted([*wrong, *wrong])
