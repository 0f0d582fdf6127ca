"""Numbers in tables that a person makes: of models below metrics, and beside what was measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.conftest import Ended
from tests.lab.test_numbers import found, hand_edit
from tests.lab.test_told_results import SECTION
from vitlab.lab.earlier import keep_earlier
from vitlab.lab.lab import Lab
from vitlab.lab.writeback.edits import write

TABLES = {
    "of models": "| Model | R² |\n|---|---|\n| LightGBM | {} |",
    "in Chinese": "| 模型 | R² (test) |\n|---|---|\n| LightGBM | {} |",
    "of methods": "| Method | MAE | R² |\n|---|---|---|\n| LightGBM | - | {} |",
    "of metrics": "| Metric | Value |\n|---|---|\n| R² (test) | {} |\n| R² threshold | 0.951 |",
    "of metrics in Chinese": "| 指标 | 目标 | 实测 |\n|---|---|---|\n| R² | 0.951 | {} |",
}
ROWS = [
    "| 实测 R²_test | {} ± 0.004 |",
    "| R² | {} |",
    "| 结果 | {} |",
    "| Measured | {} |",
    "| 最终结果 | {} |",
]
NO_RESULTS = [
    "| 目标 R² | 0.951 |",
    "| 期望 R² | 0.951 |",
    "| R² threshold | ≥ 0.951 |",
    "| 测试 R² 下限 | 0.951 |",
    "| 文献 R² | 0.951 (Leung & Bovy 2019) |",
    "| dropout | 0.951 |",
    "\n| 模型 | 目标 R² |\n|---|---|\n| ViT | 0.951 |",
    "\n| Model | R² | Source |\n|---|---|---|\n| StarNet | 0.951 | Fabbro et al. (2018) |",
    "\n| 文献模型 | R² |\n|---|---|\n| CNN | 0.951 |",
    "\n| N | R² (expected) |\n|---|---|\n| 10k | 0.951 |",
]


@pytest.fixture
def models(lab: Lab, roadmap: Path, ended: Ended) -> None:
    keep_earlier(lab, roadmap)
    ended("trees", 0.6512, model="LightGBM")
    ended("one", 0.7512)
    write(lab, roadmap, "1.0")


def place(roadmap: Path, where: str, text: str) -> None:
    if where == "section":
        hand_edit(roadmap, "## Conclusions\n", SECTION.replace("{}", text))
    elif where == "hub":
        hub = roadmap.with_name("plan_hub.md")
        hand_edit(hub, "# Hub\n", f"# Hub\n\n{text}\n")
    else:
        report = next(roadmap.parent.glob("exp_the_run*.md"))
        hand_edit(
            report,
            "## 结果" if "## 结果" in report.read_text() else "## Results",
            f"## Results\n\n{text}\n\n## More",
        )


def wrong(lab: Lab, roadmap: Path) -> set[str]:
    """The lines with a number that no result has."""
    return {
        (one.path or roadmap).read_text(encoding="utf-8").splitlines()[one.line - 1]
        for one in found(lab, roadmap)
        if one.kind == "number-without-result"
    }


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("where", ["section", "hub", "report"])
def test_a_table_of_a_persons_own_is_held_against_results(
    lab: Lab, roadmap: Path, where: str
) -> None:
    texts = [roadmap, roadmap.with_name("plan_hub.md"), *roadmap.parent.glob("exp_*.md")]
    before = {path: path.read_text(encoding="utf-8") for path in texts}
    for of_trees, of_vit in (("0.651", "0.751"), ("0.951", "0.951"), ("0.751", "0.651")):
        numbers = {name: of_trees if "LightGBM" in TABLES[name] else of_vit for name in TABLES}
        place(roadmap, where, "\n\n".join(TABLES[name].format(x) for name, x in numbers.items()))
        told = {line for line in TABLES.values() for line in line.splitlines() if "{}" in line}
        told = {line.format(x) for line in told for x in (of_trees, of_vit)} & {
            line for path in texts for line in path.read_text(encoding="utf-8").splitlines()
        }
        expected = {
            "0.651": set[str](),
            "0.951": told,
            "0.751": {line for line in told if "LightGBM" in line},
        }
        assert wrong(lab, roadmap) == expected[of_trees]
        for path, text in before.items():
            path.write_text(text, encoding="utf-8")


@pytest.mark.usefixtures("models")
def test_a_row_of_a_specification_that_states_a_result_is(lab: Lab, roadmap: Path) -> None:
    rows, free = [row.format("0.951") for row in ROWS], "\n".join(NO_RESULTS)
    head = SECTION.replace("\n\n{}", "\n{}")
    hand_edit(roadmap, "## Conclusions\n", head.replace("{}", "\n".join([*rows, free])))
    assert wrong(lab, roadmap) == set(rows)
    for row in rows:
        hand_edit(roadmap, row, row.replace("0.951", "0.751"))
    assert wrong(lab, roadmap) == set()


@pytest.mark.usefixtures("models")
def test_another_models_number_is_told_as_that(lab: Lab, roadmap: Path) -> None:
    place(roadmap, "section", TABLES["of models"].format("0.7512"))
    (one,) = found(lab, roadmap)
    assert "it is that of ViT, test/r2/log_g of " in one.message


@pytest.mark.usefixtures("models")
def test_a_row_put_into_vitlabs_own_table_of_results_is_found(lab: Lab, roadmap: Path) -> None:
    report = next(roadmap.parent.glob("exp_the_run*.md"))
    lines = report.read_text(encoding="utf-8").splitlines()
    row = next(line for line in lines if line.startswith("| one "))
    hand_edit(
        report,
        row,
        f"{row}\n{row.replace('one', 'two').replace('ViT', 'CNN').replace('0.7512', '0.9512')}",
    )
    assert [one.kind for one in found(lab, roadmap)] == ["number-without-result"]
