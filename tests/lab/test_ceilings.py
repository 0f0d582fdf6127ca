"""Models held against the ceiling of their own simulator, and a leak that is seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.lab.conftest import Ended
from vitlab.contract.job import Result, read_result, write_result
from vitlab.contract.paths import JobPaths
from vitlab.lab.figures.curves import curves
from vitlab.lab.lab import Lab
from vitlab.lab.results.rows import results_table


def respecified(job: JobPaths, **changes: object) -> None:
    spec = json.loads(job.spec.read_bytes())
    job.spec.write_text(json.dumps({**spec, **changes}), encoding="utf-8")


@pytest.fixture
def ceiling(ended: Ended) -> JobPaths:
    """A Bayes ceiling of 0.76 for magnitudes 20.5-22.5 and the plain noise."""
    job = ended("main", 0.0, mvp="8.0", model="Ceiling")
    data = {"source": "grid", "mag": [20.5, 22.5]}
    respecified(job, recipe="ceiling", config={"data": data, "bayes": 4000})
    result = read_result(job.result)
    assert result is not None
    values = {"ceiling/r2_bayes/log_g": 0.76}
    name = "ceiling/r2_bayes/log_g"
    write_result(
        job.result,
        Result(**{**result.__dict__, "values": values, "errors": {name: 0.005}, "headline": name}),
    )
    return job


@pytest.mark.usefixtures("ceiling")
def test_the_share_of_the_ceiling_and_a_leak(lab: Lab, ended: Ended) -> None:
    ended("one", 0.57)
    ended("two", 0.80)
    elsewhere = ended("three", 0.80)
    respecified(elsewhere, config={"data": {"source": "grid", "mag": [18, 20]}})
    from_file = ended("four", 0.80)
    respecified(from_file, config={"data": {"source": "spectra.h5"}})
    rows = {row["run"]: row for row in results_table(lab).to_dicts()}
    assert rows["one"]["share"] == pytest.approx(0.75)
    assert rows["one"]["leak"] is False
    assert rows["two"]["leak"] is True
    for run in ("three", "four", "main"):
        assert rows[run]["ceiling"] is None
        assert rows[run]["leak"] is False


@pytest.mark.usefixtures("ceiling")
def test_the_ceiling_is_a_line_of_the_chart(lab: Lab, ended: Ended) -> None:
    job = ended("one", 0.57)
    found = curves(lab, [Path(job.folder)])
    assert [(line.value, line.label) for line in found.thresholds][-1] == (
        0.76,
        "Bayes ceiling 0.760",
    )


def test_without_a_ceiling_nothing_is_claimed(lab: Lab, ended: Ended) -> None:
    ended("one", 0.9)
    (row,) = results_table(lab).to_dicts()
    assert (row["ceiling"], row["share"], row["leak"]) == (None, None, False)
