"""What an assistant may say of results: vitlab's own words, and no number under another's name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.conftest import Ended
from tests.lab.test_figures import bounded
from tests.lab.test_own_conclusions import in_chinese, swept
from vitlab.contract.job import read_result, write_result
from vitlab.contract.paths import UsageError
from vitlab.lab.lab import Lab
from vitlab.lab.results.job_results import newest_results
from vitlab.lab.results.ranking import verdicts_of
from vitlab.lab.tray.refusals import check_because, check_conclusion
from vitlab.lab.writeback.edits import plan_update


@pytest.mark.parametrize(("profile", "language"), [("smoke", "en"), ("full", "zh")])
def test_vitlab_s_own_words_are_not_refused(
    lab: Lab, roadmap: Path, ended: Ended, profile: str, language: str
) -> None:
    if language == "zh":
        in_chinese(roadmap)
    bounded(ended)
    swept(ended, profile)
    update = plan_update(lab, roadmap, "1.0")
    check_conclusion(update, update.conclusion)
    read, newest = lab.read_roadmap(roadmap), newest_results(lab, roadmap)
    for gate, verdict in zip(read.gates, verdicts_of(lab, read, newest), strict=True):
        check_because(gate, verdict, newest, verdict.because_in_document)


def test_a_number_is_that_of_its_split(lab: Lab, roadmap: Path, ended: Ended) -> None:
    job = ended("one", 0.7512)
    result = read_result(job.result)
    assert result is not None
    write_result(job.result, replace(result, values={**result.values, "val/r2/log_g": 0.813}))
    update = plan_update(lab, roadmap, "1.0")
    check_conclusion(update, "R²_val = 0.813, R²_test = 0.751, R² 0.751")
    for bad in ("R²_test = 0.813", "R² (test) 0.813", "a test R² of 0.813", "R²_val = 0.751"):
        with pytest.raises(UsageError, match=r"has this as its (?:test|val) R2"):
            check_conclusion(update, bad)
