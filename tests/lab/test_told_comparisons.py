"""Numbers that sentences compare, and those of something else: right silent, wrong found.

The results are 0.7512 of a ViT and 0.5234 of ridge, both full.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.lab.conftest import Ended
from tests.lab.test_numbers import found, hand_edit, told
from vitlab.lab.earlier import keep_earlier
from vitlab.lab.lab import Lab
from vitlab.lab.writeback.edits import write
from vitlab.lab.writeback.number_origins import FOUND, NONE

COMPARED = [  # right, wrong
    ("R² from 0.52 to 0.75", "R² from 0.21 to 0.75"),
    ("R² rose from 0.523 to 0.751", "R² rose from 0.523 to 0.951"),
    ("R² 0.52 → 0.751", "R² 0.21 → 0.751"),
    ("test R²: 0.751 vs 0.523 for ridge", "test R²: 0.751 vs 0.21 for ridge"),
    ("ViT 0.751 vs ridge 0.523", "ViT 0.751 vs ridge 0.217"),
    ("ViT (0.751) > ridge (0.523)", "ViT (0.751) > ridge (0.301)"),
    ("ViT=0.751 > Ridge=0.523", "ViT=0.951 > Ridge=0.523"),
    ("ridge only reaches 0.5", "ridge only reaches 0.2"),
    ("ridge scores 0.52 on the test stars", "ridge scores 0.32 on the test stars"),
    ("+0.228 over ridge", "+0.45 over ridge"),
    ("it beats ridge by 0.228", "it beats ridge by 0.45"),
    ("R² is 0.228 better than ridge", "R² is 0.428 better than ridge"),
    ("R² 从 0.52 提升到 0.75", "R² 从 0.21 提升到 0.75"),
    ("Ridge 仅 0.52", "Ridge 仅 0.21"),
    ("Ridge 的测试 R² 只有 0.523", "Ridge 的测试 R² 只有 0.323"),
    ("比 Ridge 高 0.228", "比 Ridge 高 0.45"),
    ("Δ = +0.228 相对 Ridge", "Δ = +0.451 相对 Ridge"),
    ("领先 Ridge 0.228", "领先 Ridge 0.428"),
    # a right number of another model
    ("Ridge has R² = 0.523", "Ridge has R² = 0.751"),
    ("Ridge reaches 0.523", "Ridge reaches 0.751"),
    ("Ridge 达到 0.523", "Ridge 达到 0.751"),
    ("Ridge 的 R² 为 0.523", "Ridge 的 R² 为 0.751"),
]
NO_RESULT = [
    "lr from 0.001 to 0.01",
    "dropout 0.1 vs 0.2",
    "ridge took 0.123 core-hours",
    "Ridge：0.123 核时",
    "the MLP has 0.912",  # no job of the lab has one
    "ridge should reach 0.9",
    "若 Ridge 达到 0.9",
    "R² rises from 0.70 to 0.751",  # the limit of a gate
    "ViT +0.277 vs ridge +0.126",
    "R² = 0.92 of Leung & Bovy (2019)",
    "Leung & Bovy (2019) 的 R²=0.92",
    "Ting et al. 2019: R² = 0.92",
    "R² = 0.92 (Fabbro 2018)",
    "Różański et al. (2024) reach R² = 0.97",
    "张三等（2023）的 R²=0.95",
    "SpectraFM (arXiv:2411.04750) has R2 = 0.93",
    "AstroCLIP [12]: R² = 0.94",
    "R² = 0.94 (literature)",
    "ViT R² = 0.94（文献）",
    "R² in [0.70, 0.80]",
    "R² 95% 区间 [0.70, 0.80]",
    "R² = 0.751 [0.740, 0.762]",
    "R² = 0.751 ± 0.004",
    "MVP-2.0 的 R²_test=0.523",
    "R²_test ~0.76",
]


@pytest.fixture
def ran(lab: Lab, roadmap: Path, ended: Ended) -> Path:
    keep_earlier(lab, roadmap)
    ended("one", 0.7512)
    ended("one", 0.5234, mvp="2.0", model="Ridge", exp_id="VIT-20260101-another-01")
    write(lab, roadmap, "1.0")
    write(lab, roadmap, "2.0")
    assert found(lab, roadmap) == []
    return roadmap


def tell(roadmap: Path, texts: list[str]) -> dict[Path, list[str]]:
    """Put texts before what conclusions say, into the report and the hub; the lines of each."""
    report = next(roadmap.parent.glob("exp_the_run*.md"))
    hub = roadmap.with_name("plan_hub.md")
    conclude(roadmap, texts)
    lines = "".join(f"- {one}.\n" for one in texts)
    hand_edit(report, "## Results\n", f"## Results\n\n{lines}")
    hand_edit(hub, "# Hub\n", f"# Hub\n\n{lines}")
    return {one: one.read_text(encoding="utf-8").splitlines() for one in (roadmap, report, hub)}


def conclude(roadmap: Path, texts: list[str]) -> None:
    """Put each text before what the conclusion of the MVP says, in a row of its own."""
    lines = roadmap.read_text(encoding="utf-8").splitlines()
    (row,) = (one for one in lines if one.startswith("| MVP-1.0 | ViT"))
    rows = [row.replace("| MVP-1.0 | ", f"| MVP-1.0 | {one}; ", 1) for one in texts]
    hand_edit(roadmap, row, "\n".join([*rows, row]))


def test_a_number_that_is_compared(lab: Lab, ran: Path) -> None:
    before = {one: one.read_text(encoding="utf-8") for one in ran.parent.iterdir()}
    tell(ran, [right for right, _ in COMPARED])
    assert [(one.path, one.line, one.message) for one in found(lab, ran)] == []
    for path, text in before.items():
        path.write_text(text, encoding="utf-8")
    wrong = [wrong for _, wrong in COMPARED]
    lines, hits = tell(ran, wrong), found(lab, ran)
    assert {one.kind for one in hits} == {"number-without-result"}
    for path, texts in lines.items():
        told = [texts[one.line - 1] for one in hits if (one.path or ran) == path]
        assert {x: sum(x in one for one in told) for x in wrong} == dict.fromkeys(wrong, 1), path
    assert len(hits) == 3 * len(wrong)


def test_what_is_no_number_of_a_result_here(lab: Lab, ran: Path) -> None:
    tell(ran, NO_RESULT)
    assert [(one.path, one.line, one.message) for one in found(lab, ran)] == []


def test_a_number_of_another_mvp_s_model_is_not_its_own(lab: Lab, ran: Path) -> None:
    texts = {
        "MVP-2.0 has R² = 0.523, it 0.751": 0,
        "MVP-2.0 is worse, but ViT R² = 0.523": 1,
        "unlike MVP-2.0 it has R² = 0.533": 1,
    }
    conclude(ran, list(texts))
    assert hits(lab, ran, texts) == texts


def hits(lab: Lab, roadmap: Path, texts: Iterable[str]) -> dict[str, int]:
    """How many findings of the roadmap each text has on its line."""
    lines = roadmap.read_text(encoding="utf-8").splitlines()
    told = [lines[one.line - 1] for one in found(lab, roadmap)]
    return {text: sum(text in line for line in told) for text in texts}


def test_the_mark_of_a_trial_further_behind(lab: Lab, roadmap: Path, ended: Ended) -> None:
    ended("one", 0.6512, profile="smoke")
    write(lab, roadmap, "1.0")
    texts = {
        "R²_test = 0.651 on few stars (smoke)": 0,
        "R²_test = 0.651 [0.64, 0.66] (smoke)": 0,
        "R²_test ~0.65 on few stars, as expected (smoke)": 0,
        "R²_test 约 0.65（smoke）": 0,
        "R²_test = 0.651 on few stars!": 1,
        "R²_test = 0.851 on few stars (smoke)": 1,
    }
    lines = "".join(f"MVP-1.0: {one}\n\n" for one in texts)
    hand_edit(roadmap, "## Timeline\n", f"{lines}## Timeline\n")
    assert hits(lab, roadmap, texts) == texts


def test_why_and_lint_agree_on_a_number(lab: Lab, ran: Path) -> None:
    texts = (
        ("ViT R² = 0.523", "0.523", True),  # that of ridge
        ("Ridge R² = 0.523 (MVP-2.0)", "0.523", False),
        ("R² = 0.9234", "0.9234", True),
        ("R² from 0.9234 to 0.751", "0.9234", True),
        ("the seed of the salt is 0.9234", "0.9234", False),
    )
    conclude(ran, [text for text, *_ in texts])
    linted = hits(lab, ran, [f"| {text};" for text, *_ in texts])
    whys = {number: told(lab, number) for number in ("0.523", "0.9234")}
    lines = ran.read_text(encoding="utf-8").splitlines()
    for text, number, is_found in texts:
        (line,) = (n for n, x in enumerate(lines, 1) if f"| {text};" in x)
        verdicts = {x.verdict for x in whys[number] if (x.path, x.line) == (ran, line)}
        assert len(verdicts) == 1
        assert bool(verdicts & {FOUND, NONE}) is is_found, (text, verdicts)
        assert bool(linted[f"| {text};"]) is is_found, text
