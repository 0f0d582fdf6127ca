"""Four harmed runs of a script at once; `python -m tests.jobs.own_runs 500` does hundreds."""

from __future__ import annotations

from pathlib import Path

from tests.jobs.own_runs import harmed


def test_every_number_of_a_harmed_run_is_its_own(tmp_path: Path) -> None:
    assert harmed(tmp_path / "lab", seed=3, rows=30).total()
