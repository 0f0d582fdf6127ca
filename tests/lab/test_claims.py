"""What documents claim of results in words alone, held as an assistant's conclusion is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.conftest import Ended
from tests.lab.test_numbers import hand_edit
from tests.lab.test_told_results import SECTION
from vitlab.lab.conclusions.documents import KIND, lint_all
from vitlab.lab.lab import Lab
from vitlab.lab.writeback.edits import document_state, write

FALSE = [
    "LightGBM outperforms the ViT here.",
    "LightGBM 优于 ViT。",
    "LightGBM is the best of the models.",
    "The ViT does not beat LightGBM.",
]
OF_A_GATE = ["The acceptance criterion is met.", "验收达标。", "Gate-2 is cleared."]
FREE = [
    "The ViT outperforms LightGBM.",
    "Does LightGBM outperform the ViT?",
    "LightGBM 能否优于 ViT",
    "假设：LightGBM 优于 ViT。",
    "We expect LightGBM to beat the ViT.",
    "If LightGBM beats the ViT, stop.",
    "> LightGBM outperforms the ViT",
    "Leung & Bovy (2019): LightGBM outperforms the ViT.",
    "In the literature LightGBM beats the ViT.",
    "They write “LightGBM outperforms the ViT”.",
    "LightGBM > ViT → stop",
    "The acceptance criterion is R² > 0.80.",
    "LightGBM trains faster than the ViT.",
    "Gate-2 通过后再启动 MVP-3.0。",
    "R² > 0.90 时 Gate-2 通过，< 0.10 时失败。",
    "Gate-2 passes above 0.90.",
]


@pytest.fixture
def models(lab: Lab, roadmap: Path, ended: Ended) -> None:
    """A ViT better than the trees; its gate asks for more."""
    text = roadmap.read_text(encoding="utf-8").replace("R² > 0.70", "R² > 0.90")
    roadmap.write_text(text.replace("Gate-1", "Gate-2").replace("R² < 0.65", "R² < 0.10"), "utf-8")
    ended("trees", 0.6512, model="LightGBM")
    ended("one", 0.7512)
    write(lab, roadmap, "1.0")


def claimed(lab: Lab, path: Path) -> list[str]:
    found = [one for one in lint_all(lab, path) if one.kind == KIND]
    lines = [(one.path or path).read_text(encoding="utf-8").splitlines() for one in found]
    return [text[one.line - 1] for one, text in zip(found, lines, strict=True)]


@pytest.mark.usefixtures("models")
def test_an_order_that_results_contradict_is_found_where_results_are_told(
    lab: Lab, roadmap: Path
) -> None:
    assert claimed(lab, roadmap) == []
    report, hub = next(roadmap.parent.glob("exp_the_run*.md")), roadmap.with_name("plan_hub.md")
    text = "\n\n".join([*FALSE, *OF_A_GATE, *FREE])
    hand_edit(roadmap, "## Conclusions\n", SECTION.replace("{}", text))
    hand_edit(report, "## Results\n", f"## Results\n\n{text}\n")
    hand_edit(hub, "# Hub\n", "# Hub\n\n" + "\n\n".join([*FALSE, *FREE]) + "\n")
    wrong = [*FALSE, *OF_A_GATE]
    assert sorted(claimed(lab, roadmap)) == sorted([*wrong, *wrong, *FALSE])
    shown = document_state(lab, roadmap, lint_all).problems  # as the documents screen has them
    assert sum(one.finding.kind == KIND for one in shown) == len([*wrong, *wrong, *FALSE])
    assert sorted(claimed(lab, hub)) == sorted(FALSE)
    hand_edit(roadmap, text, "\n".join(["#### Hypothesis", *FALSE]))
    assert len(claimed(lab, roadmap)) == len(wrong) + len(FALSE)


@pytest.mark.usefixtures("models")
def test_a_conclusion_in_the_wrong_order_names_the_numbers(lab: Lab, roadmap: Path) -> None:
    line = next(
        x for x in roadmap.read_text(encoding="utf-8").splitlines() if x.startswith("| MVP-1.0")
    )
    hand_edit(roadmap, line, "| MVP-1.0 | LightGBM 是最好的模型 | R²_test=0.751 | - |")
    (one,) = (x for x in lint_all(lab, roadmap) if x.kind == KIND)
    assert one.message.endswith("results say otherwise: R2 0.651 and 0.751 (vit)")
    assert lint_all(None, roadmap)


def test_models_without_results_claim_nothing(lab: Lab, roadmap: Path, ended: Ended) -> None:
    ended("one", 0.7512)
    hand_edit(roadmap, "## Conclusions\n", SECTION.replace("{}", "\n\n".join(FALSE)))
    assert claimed(lab, roadmap) == []
