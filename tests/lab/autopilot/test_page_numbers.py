"""The numbers of an autopilot's report are known by their origin, and found when they change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.autopilot.test_cheats import edit, until_it_ends
from tests.lab.autopilot.test_step import begin, let_end, no_processes, plan
from tests.lab.test_numbers import found
from vitlab.contract.job import Result, write_result
from vitlab.jobs.store import all_jobs
from vitlab.lab.autopilot.control import stop
from vitlab.lab.autopilot.record import read_autopilot
from vitlab.lab.autopilot.step import carry_on
from vitlab.lab.lab import Lab
from vitlab.lab.writeback.number_origins import COMPUTED, RESULT, origins

__all__ = ["no_processes", "plan"]


@pytest.fixture
def page(plan: Lab) -> Path:
    """Of a night with two MVPs, one of which has results."""
    begin(plan)
    carry_on(plan)
    let_end(plan)
    for number, job in enumerate(all_jobs(plan.paths)):
        values = {"test/r2/log_g": 0.6012 + 0.01 * number}
        result = Result("1.0", job.spec.run, "full", "mlp", values, {}, {"test": 100}, {}, {})
        write_result(job.paths.result, result)
    until_it_ends(plan)
    pilot = read_autopilot(plan.paths)
    assert pilot is not None
    return plan.paths.root / pilot.page


def hours(page: Path) -> str:
    """The hours of the first launch, as they are written."""
    (row,) = (line for line in page.read_text().splitlines() if line.startswith("| MVP-1.0 |"))
    return row.split("|")[4].strip()


PUT = "was put into the autopilot's own report"


def test_each_has_an_origin(plan: Lab, page: Path) -> None:
    every = origins(plan, lambda path, _: path == page)
    assert {one.verdict for one in every} == {RESULT, COMPUTED}
    (best,) = (one for one in every if one.verdict == RESULT)
    assert best.source is not None
    assert (best.text, best.source.value, len(best.source.jobs)) == ("0.601", "test/r2/log_g", 1)
    taken = hours(page).split()[0]
    origin = [one.source for one in every if one.text == taken]
    assert any(one is not None and len(one.jobs) == 2 for one in origin)
    budget = next(one for one in every if one.text == "8.0")
    assert budget.source is not None
    assert found(plan, plan.roadmap_path()) == found(plan, page) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("=0.601", "=0.901"),
        ("hours", "| 7.5 h |"),
        ("hours", "| - |"),
        ("| 2 ok |", "| 1 ok |"),
        ("8.0 h", "80.0 h"),
        ("2 launches", "1 launches"),
    ],
)
def test_a_changed_one_is_found(plan: Lab, page: Path, old: str, new: str) -> None:
    edit(page, f"| {hours(page)} |" if old == "hours" else old, new)
    for path in (plan.roadmap_path(), page):
        hits = found(plan, path)
        assert {one.kind for one in hits} == {"number-changed"}
        said = {one.message for one in hits}
        # A decimal in the place of an integer is another number besides.
        put = {f"7.5 {PUT}"} & said
        assert said - put
        assert all("was written from " in one for one in said - put)


def test_one_that_was_put_into_it_is_found(plan: Lab, page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    page.write_text(f"{text}\nThe best is R² = 0.951, see 2 runs.\n", encoding="utf-8")
    (hit,) = found(plan, page)
    assert (hit.kind, hit.message) == ("number-changed", f"0.951 {PUT}")


def test_a_number_of_no_job_is_the_autopilot_s_own(plan: Lab) -> None:
    """It ended before it launched anything."""
    begin(plan)
    page = plan.paths.root / stop(plan).page
    edit(page, "8.0 h", "9.0 h")
    (hit,) = found(plan, page)
    assert hit.message == "9.0 here, and 8.0 was written from vitlab's own account"
