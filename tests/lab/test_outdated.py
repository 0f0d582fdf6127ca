"""Numbers that were written of one seed, once there are more: found, and the gate's row renewed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.conftest import Ended
from tests.lab.test_numbers import found, hand_edit, with_seeds
from vitlab.lab.lab import Lab
from vitlab.lab.writeback.edits import accept, undo, write
from vitlab.lab.writeback.writeback import pending

GATE = """\
### Gate-2: Is the ViT better

| Item | Content |
|------|---------|
| MVP | MVP-2.0 |
| If ViT > LGBM | ✅ go on |
| If ViT < LGBM | 🔴 think again |
| Status | ⏳ planned |

| Gate | MVP | Status | Result |
|------|-----|--------|--------|
| Gate-2 | MVP-2.0 | ⏳ | - |

## Overview
"""


@pytest.fixture
def more_seeds(lab: Lab, roadmap: Path, ended: Ended) -> None:
    """Gate-2 and the conclusion of MVP-2.0 were written when the ViT of MVP-1.0 had one seed."""
    hand_edit(roadmap, "## Overview\n", GATE)
    with_seeds(lab, ended, 0.7312)
    ended("trees", 0.6512, mvp="2.0", model="LightGBM")
    write(lab, roadmap, "1.0")
    write(lab, roadmap, "2.0", "LightGBM has R² = 0.6512, the ViT R² = 0.7312.")
    assert "ViT 0.7312" in roadmap.read_text(encoding="utf-8")
    assert found(lab, roadmap) == []
    with_seeds(lab, ended, 0.7312, 0.7412, 0.7512)


def row(roadmap: Path, start: str) -> str:
    lines = roadmap.read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith(start))


@pytest.mark.usefixtures("more_seeds")
def test_what_waits_to_be_written_is_written_with_the_gate(lab: Lab, roadmap: Path) -> None:
    assert found(lab, roadmap) == []
    assert pending(lab, roadmap, "2.0").gates == ()
    plan = pending(lab, roadmap)
    assert (plan.mvps, plan.gates, plan.steps[-1]) == (("1.0",), ("2",), "Gate-2")
    assert pending(lab, roadmap, "1.0").changes == plan.changes
    accept(lab, plan)
    assert "ViT 0.7412" in row(roadmap, "| Gate-2")
    assert plan.changes[0].new_text == roadmap.read_text(encoding="utf-8")
    assert not pending(lab, roadmap).changes

    undo(lab)
    assert "ViT 0.7312" in row(roadmap, "| Gate-2")
    assert "mean of 3 seeds" in row(roadmap, "| MVP-1.0")
    assert pending(lab, roadmap).steps == ("Gate-2",)


@pytest.mark.usefixtures("more_seeds")
def test_what_stays_is_found_with_both_numbers_and_the_seeds(lab: Lab, roadmap: Path) -> None:
    write(lab, roadmap, "1.0")
    gate, conclusion, *rest = [one for one in found(lab, roadmap) if one.path is None]
    assert gate.message.startswith("0.7312 here, and 0.7412 ± ")
    assert gate.message.endswith("(3 seeds, it was written of 1)")
    assert not rest
    accept(lab, pending(lab, roadmap))
    assert [one.message for one in found(lab, roadmap) if one.path is None] == [conclusion.message]
    hand_edit(roadmap, "the ViT R² = 0.7312", "the ViT R² = 0.7412")
    assert [one for one in found(lab, roadmap) if one.path is None] == []


@pytest.mark.usefixtures("more_seeds")
def test_a_row_that_a_person_changed_is_not_written_anew(lab: Lab, roadmap: Path) -> None:
    hand_edit(roadmap, "LightGBM 0.6512", "LightGBM 0.6012")
    write(lab, roadmap, "1.0")
    assert pending(lab, roadmap).gates == ()
