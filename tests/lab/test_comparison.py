"""Results side by side: what differs, and what is held against what."""

from __future__ import annotations

from dataclasses import replace

from tests.lab.conftest import Ended
from vitlab.lab.lab import Lab
from vitlab.lab.results.rows import Compared, compared, differing, gaps

ROW = Compared("a", "1", "r", "full", "m", "h", 0.5, None, None, None, 1.0, 1.0)


def test_only_what_is_not_the_same_everywhere_differs() -> None:
    one = replace(ROW, settings={"train.lr": 1, "data.n": 5})
    two = replace(ROW, settings={"train.lr": 2, "data.n": 5})
    three = replace(ROW, settings={"train.lr": 1, "data.n": 5, "loss": None})
    assert differing([one, two]) == ["train.lr"]
    assert differing([one, three]) == ["loss"]
    assert differing([one]) == differing([]) == []


def test_every_result_is_a_row_and_without_residuals_nothing_is_paired(
    lab: Lab, ended: Ended
) -> None:
    ended("one", 0.75)
    ended("two", 0.5, profile="demo")
    ended("bad", 0.1, outcome="failed")
    rows = compared(lab)
    assert {(row.run, row.score, row.profile) for row in rows} == {
        ("one", 0.75, "full"),
        ("two", 0.5, "demo"),
    }
    assert gaps(lab, rows[0].job) == {}
    assert gaps(lab, "nowhere") == {}
