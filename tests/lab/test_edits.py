"""What there is to decide about a roadmap's documents, and each decision taken back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.conftest import Ended
from vitlab.contract.paths import UsageError
from vitlab.lab.lab import Lab
from vitlab.lab.writeback.edits import fix, offer, papers, planned, refuse, undo, write
from vitlab.lab.writeback.writeback import pending


def test_a_sentence_of_ones_own_is_written_and_undone(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    before = roadmap.read_bytes()
    ended("one", 0.75)
    (step,) = papers(lab, roadmap).waiting
    assert step.sentence in step.summary
    own = "ViT wins | by far `x`"
    assert planned(lab, roadmap, "1.0", own).sentence == own
    write(lab, roadmap, "1.0", own)
    assert r"ViT wins \| by far" in roadmap.read_text(encoding="utf-8")
    assert lab.read_roadmap(roadmap).mvp("1.0").status == "done"
    now = papers(lab, roadmap)
    assert now.waiting == ()
    assert [past.undone for past in now.past] == [False]
    undo(lab)
    assert roadmap.read_bytes() == before
    now = papers(lab, roadmap)
    assert [step.mvp for step in now.waiting] == ["1.0"]
    assert [past.undone for past in now.past] == [True]


def test_what_is_refused_waits_no_more_until_it_is_offered_again(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    before = roadmap.read_bytes()
    ended("one", 0.75)
    refuse(lab, roadmap, "1.0")
    now = papers(lab, roadmap)
    assert (now.waiting, now.refused) == ((), ("1.0",))
    assert pending(lab, roadmap).changes == ()
    with pytest.raises(UsageError, match="nothing waits"):
        write(lab, roadmap, "1.0")
    offer(lab, "1.0")
    assert papers(lab, roadmap).refused == ()
    assert [step.mvp for step in papers(lab, roadmap).waiting] == ["1.0"]
    assert roadmap.read_bytes() == before


def test_a_contradiction_is_mended_once(lab: Lab, roadmap: Path) -> None:
    text = roadmap.read_text(encoding="utf-8")
    short = "| 2.0 | Another | 1 | - | ✅ | `VIT-20260101-another-01` |"
    roadmap.write_text(text.replace(short + " - |", short), encoding="utf-8")
    flaws = [flaw for flaw in papers(lab, roadmap).flaws if flaw.finding.fix]
    assert [flaw.finding.message for flaw in flaws] == ["6 cells where the header has 7"]
    assert flaws[0].change is not None
    assert fix(lab, flaws[0]) == [flaws[0].path]
    with pytest.raises(UsageError, match="nothing to mend"):
        fix(lab, flaws[0])
    undo(lab)
    assert papers(lab, roadmap).flaws != ()
