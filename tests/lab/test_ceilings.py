"""Models held against the ceiling of their own simulator, and a leak that is seen."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab.conftest import WORLD, Ended
from tests.lab.test_pairs import scored
from vitlab.commands.common import judge_gates
from vitlab.contract.checks import CEILING, judged, read_check
from vitlab.contract.checks import unknown as no_outcome
from vitlab.contract.config import DataConfig
from vitlab.contract.job import Result, read_result, write_result
from vitlab.contract.paths import JobPaths
from vitlab.contract.user_key import sealed
from vitlab.contract.world import DISTURBED, FLUX, FLUX_AND_ERROR, World, read_world, same_spectra
from vitlab.docs.judge.ceiling import Ceiling
from vitlab.docs.judge.checks import failed_checks
from vitlab.jobs.store import all_jobs
from vitlab.lab.figures.curves import curves
from vitlab.lab.figures.figure_specs import FigureData
from vitlab.lab.lab import Lab
from vitlab.lab.results.ceilings import ceilings, with_ceiling
from vitlab.lab.results.job_results import all_results
from vitlab.lab.results.rows import compare, results_table
from vitlab.lab.results.worlds import grid_world
from vitlab.lab.writeback.sanity import sanity_checks
from vitlab.lab.writeback.writeback import plan_mvp


@st.composite
def worlds(draw: st.DrawFn) -> World:
    number, text = st.floats(0, 100), st.text(min_size=1)
    if draw(st.booleans()):
        edges = draw(number), draw(number)
        return World(draw(text), draw(text), edges, draw(number), FLUX)
    return World("", "", None, draw(number), FLUX, draw(text))


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


def of_world(job: JobPaths, world: World | None, **changes: Any) -> JobPaths:
    result = read_result(job.result)
    assert result is not None
    write_result(job.result, replace(result, world=world.record() if world else {}, **changes))
    return job


FILE = World("", "", None, 1.0, FLUX, "a file's hash")


@pytest.mark.usefixtures("ceiling")
def test_the_share_of_the_ceiling_and_a_leak(lab: Lab, ended: Ended) -> None:
    ended("one", 0.57)
    ended("two", 0.80)
    others = (replace(WORLD, mag=(18.0, 20.0)), replace(WORLD, simulator="another"), FILE, None)
    for k, world in enumerate(others):
        of_world(ended(f"other {k}", 0.80), world)
    rows = {row["run"]: row for row in results_table(lab).to_dicts()}
    assert rows["one"]["share"] == pytest.approx(0.75)
    error = math.hypot(0.004, 0.75 * 0.005) / 0.76
    assert rows["one"]["share error"] == pytest.approx(error)
    assert rows["one"]["leak"] is False
    assert rows["two"]["leak"] is True
    assert rows["main"]["share"] is None
    for k in range(len(others)):
        row = rows[f"other {k}"]
        assert (row["ceiling"], row["share"], row["leak"]) == (None, None, False)


def test_a_share_has_the_errors_of_score_and_ceiling(lab: Lab, ended: Ended) -> None:
    bound, name = Ceiling(0.792, 0.004), "test/r2/log_g"
    result = read_result(ended("one", 0.775).result)
    assert result is not None
    assert str(bound.share(replace(result, errors={name: 0.005}), name)) == "0.979 ± 0.008"
    alone = bound.share(replace(result, errors={}), name)
    assert alone is not None
    assert (str(alone), alone.error) == ("0.979", None)
    assert Ceiling(0.0, 0.01).share(result, name) is None
    assert lab.paths.root.is_dir()


@pytest.mark.usefixtures("ceiling")
@pytest.mark.parametrize("recipe", ["command", "evaluate"])
def test_foreign_spectra_have_no_share(lab: Lab, roadmap: Path, ended: Ended, recipe: str) -> None:
    job = of_world(ended("foreign", 0.704), FILE if recipe == "evaluate" else None, data={})
    config = {"job": "x", "source": "a.h5"} if recipe == "evaluate" else {"argv": ["./train"]}
    respecified(job, recipe=recipe, config=config)
    text = roadmap.read_text(encoding="utf-8").replace("R² > 0.70 |", "R² ≥ 90% of the ceiling |")
    roadmap.write_text(text, encoding="utf-8")
    row = {row["run"]: row for row in results_table(lab).to_dicts()}["foreign"]
    assert (row["score"], row["ceiling"], row["share"], row["leak"]) == (0.704, None, None, False)
    step = plan_mvp(lab, roadmap, "1.0")
    assert step is not None
    assert "Bayes ceiling" not in step.summary
    assert "no ceiling is known" in step.summary
    (report,) = [c.new_text for c in step.changes if c.path.name.startswith("exp_")]
    assert report is not None
    unknown = "The distribution behind these spectra is unknown: no ceiling applies"
    none = "No ceiling for these stars yet (recipe `ceiling` computes it)"
    assert (none if recipe == "evaluate" else unknown) in report
    assert judge_gates(lab, roadmap)[1][0].because.startswith("no ceiling is known")
    result, known = read_result(job.result), ceilings(all_jobs(lab.paths))
    assert result is not None
    check = read_check(with_ceiling(result, known).checks, CEILING)
    assert check == no_outcome("no_ceiling" if recipe == "evaluate" else "no_world")


def test_a_leak_told_by_an_older_version_is_not_an_alarm(ended: Ended) -> None:
    over = {CEILING: judged(0.1, 0.02).record()}
    job = of_world(ended("one"), None, checks=over)
    result = read_result(job.result)
    assert result is not None
    assert failed_checks(result) == []
    assert failed_checks(replace(result, world=WORLD.record())) == [
        "Above the Bayes ceiling by: 0.1 (limit: 0.02)"
    ]


def test_results_of_two_worlds_are_not_paired(lab: Lab, ended: Ended) -> None:
    ours, theirs = ended("one"), ended("two", model="LightGBM")
    scored(ours, 0.1, 1)
    scored(theirs, 0.25, 2)

    def gap() -> dict[str, Any]:
        results = {one.result.run: one for one in all_results(lab)}
        lines = compare(lab, list(results.values()), to=results["one"])
        (line,) = [line for line in lines if line["run"] == "two"]
        return line

    assert gap()["how"] == "paired"
    of_world(theirs, replace(WORLD, inputs="flux and error"))
    assert gap()["how"] == "paired"  # what a model is shown does not make the stars others
    for world in (replace(WORLD, noise=2.0), FILE, None):
        of_world(theirs, world)
        line = gap()
        assert (line["how"], line["delta"], line["delta error"]) == (None, None, None)


@pytest.mark.parametrize("stars", [40, 5000])
def test_what_vitlab_ceiling_has_computed_counts(
    lab: Lab, ended: Ended, ceiling: JobPaths, stars: int
) -> None:
    assert ceiling.folder.is_dir()
    ended("one", 0.57)
    folder = lab.paths.private.ceilings
    folder.mkdir(parents=True)
    for k, world in enumerate((WORLD, replace(WORLD, simulator="another"), None)):
        record = {"world": world and world.record(), "n": stars, "r2": {"log_g": [0.6, 0.01]}}
        path = folder / f"bayes-{k}.json"
        path.write_text(json.dumps(sealed(record, path)), encoding="utf-8")
    (folder / "bayes-broken.json").write_text("{", encoding="utf-8")
    forged = {"world": WORLD.record(), "n": 10**6, "r2": {"log_g": [0.99, 0.01]}}
    for name, text in (("bayes-3.json", forged), ("bayes-4.json", {**record, **forged})):
        (folder / name).write_text(json.dumps(text), encoding="utf-8")  # a stranger's
    row = {row["run"]: row for row in results_table(lab).to_dicts()}["one"]
    # The one of the most stars, which the job has 4000 of.
    assert row["ceiling"] == (0.6 if stars == 5000 else 0.76)
    assert row["share"] == pytest.approx(0.57 / row["ceiling"])


def test_a_file_s_own_ceiling_serves_what_models_are_shown_of_it(lab: Lab, ended: Ended) -> None:
    """It takes the errors as known, so it bounds models of the flux alone too."""
    shown = (FLUX, FLUX_AND_ERROR)
    for k, inputs in enumerate(shown):
        of_world(ended(f"shown {k}", 0.57), replace(FILE, inputs=inputs))
    of_world(ended("noisier", 0.57), replace(FILE, noise=2.0))
    folder = lab.paths.private.ceilings
    folder.mkdir(parents=True)
    world = replace(FILE, inputs=FLUX_AND_ERROR)
    record = {"world": world.record(), "n": 256, "r2": {"log_g": [0.6, 0.01]}}
    path = folder / "file-1.json"
    path.write_text(json.dumps(sealed(record, path)), encoding="utf-8")
    rows = {row["run"]: row["share"] for row in results_table(lab).to_dicts()}
    assert rows == {"shown 0": pytest.approx(0.95), "shown 1": pytest.approx(0.95), "noisier": None}


@given(world=worlds())
def test_a_world_is_read_as_it_was_written(world: World) -> None:
    assert read_world(json.loads(json.dumps(world.record()))) == world
    for name in set(World.__dataclass_fields__) - {DISTURBED}:  # which older results lack
        half = {key: value for key, value in world.record().items() if key != name}
        assert read_world(half) is None
    assert same_spectra(world.record(), replace(world, inputs="more").record())
    assert not same_spectra(world.record(), replace(world, noise=world.noise + 1).record())
    disturbed = replace(world, disturbed="velocity within 300")
    assert read_world(disturbed.record()) == disturbed
    assert not same_spectra(world.record(), disturbed.record())
    assert not same_spectra({}, {})


def test_the_ceiling_is_a_line_of_the_chart(lab: Lab, ended: Ended, ceiling: JobPaths) -> None:
    config = {"data": {"source": "grid", "mag": [20.5, 22.5]}}
    drawn = grid_world(DataConfig(), 1.0)
    of_world(ceiling, drawn)
    job = ended("one", 0.57)
    respecified(job, recipe="ridge", config=config)

    def lines(*jobs: JobPaths) -> list[tuple[float, str]]:
        found = curves(lab, [Path(one.folder) for one in jobs]).thresholds
        return [(line.value, line.label) for line in found if "ceiling" in line.label]

    assert lines(job) == [(0.76, "Bayes ceiling 0.760 ± 0.005")]
    own = ended("own", 0.57)
    respecified(own, recipe="command", config={"argv": ["./train"]})
    assert lines(own) == []
    assert lines(job, own) == []
    of_world(ceiling, None)
    assert lines(job) == []


def test_without_a_ceiling_nothing_is_claimed(lab: Lab, ended: Ended) -> None:
    ended("one", 0.9)
    (row,) = results_table(lab).to_dicts()
    assert (row["ceiling"], row["share"], row["leak"]) == (None, None, False)


def ceiling_job(ended: Ended, profile: str, r2: float, error: float | None, **bayes: int) -> None:
    job = ended(profile, 0.0, mvp="8.0", model="Ceiling", profile=profile)
    respecified(job, recipe="ceiling", config={"data": {"mag": [20.5, 22.5]}, **bayes})
    name = "ceiling/r2_bayes/log_g"
    errors = {} if error is None else {name: error}
    of_world(job, WORLD, recipe="ceiling", values={name: r2}, errors=errors, headline=name)


def test_a_trial_s_ceiling_serves_no_full_result(lab: Lab, ended: Ended) -> None:
    """40 stars of a smoke run, before and after a full run of the default 4,000."""
    ended("whole", 0.57)
    ended("trial", 0.57, profile="demo")
    ceiling_job(ended, "smoke", 0.85, 0.05, bayes=40)

    def shares() -> dict[str, float | None]:
        rows = {row["run"]: row["share"] for row in results_table(lab).to_dicts()}
        return {run: rows[run] for run in ("whole", "trial")}

    assert shares() == {"whole": None, "trial": pytest.approx(0.57 / 0.85)}
    (full,) = (one for one in all_results(lab) if one.result.run == "whole")
    told = sanity_checks([full], ceilings(all_jobs(lab.paths)))
    note = "Bayes ceiling 0.850 ± 0.050 from a trial (smoke): not used for full results"
    assert note in [one.text("en") for one in told]
    check = read_check(with_ceiling(full.result, ceilings(all_jobs(lab.paths))).checks, CEILING)
    assert check == no_outcome("trial_ceiling")
    drawn = FigureData(lab, (full,), tuple(all_jobs(lab.paths)))
    assert drawn.levels(full.result.headline) == ()
    unused = "ceiling from a trial: not used for full results"
    assert list(drawn.hidden_levels(full.result.headline)) == [unused]
    chart = curves(lab, [full.job.paths.folder], full.result.headline)
    assert not [line for line in chart.thresholds if line.label.startswith("Bayes")]

    assert {row["error of"] for row in compare(lab, all_results(lab)) if row["mvp"] == "8.0"} == {
        "draws"
    }
    ceiling_job(ended, "full", 0.76, 0.005)
    assert shares() == {"whole": pytest.approx(0.75), "trial": pytest.approx(0.75)}
    drawn = FigureData(lab, (full,), tuple(all_jobs(lab.paths)))
    assert [line.value for line in drawn.levels(full.result.headline)] == [0.76]


@pytest.mark.parametrize(
    ("stars", "error", "used"), [(40, None, 0), (40, 0.05, 1), (1000, None, 1)]
)
def test_a_ceiling_needs_enough_stars_or_an_error(
    lab: Lab, ended: Ended, stars: int, error: float | None, used: int
) -> None:
    ceiling_job(ended, "full", 0.85, error, bayes=stars)
    assert len(ceilings(all_jobs(lab.paths))) == used
