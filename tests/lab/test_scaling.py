"""`vitlab scaling`, the law in the scaling figure and in the conclusion, from job folders alone."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.lab.conftest import Ended
from tests.lab.test_figures import bounded
from tests.lab.test_numbers import found
from vitlab.cli import main as vitlab
from vitlab.contract.job import CORE_HOURS, read_result, write_result
from vitlab.jobs.store import all_jobs
from vitlab.lab.figures import figure_specs
from vitlab.lab.figures.law_curves import Laws, laws_of
from vitlab.lab.lab import Lab
from vitlab.lab.results.job_results import lookup_results
from vitlab.lab.results.scaling import Scaling, exponent_ends, law_phrases, not_determined
from vitlab.lab.writeback.edits import write
from vitlab.lab.writeback.writeback import pending
from vitlab.ml.scaling_law import Interval, fit_law
from vitlab.plot.figures.styles import Style

FLOOR, A, B = 0.03, (2.0, 0.4), (8.0, 0.5)
"""The floor is that of `bounded`, whose ceiling is 0.97."""
NS, PS = (1000, 4000, 16_000, 64_000), (10_000, 40_000, 160_000, 640_000)
NAME = "test/r2/log_g"


def runs(
    ended: Ended, sizes: Sequence[tuple[int, int]], seeds: Sequence[int] = (42,), **changes: Any
) -> None:
    """Trainings on a law, with 0.5 % of scatter, which took 1e-10 hours a star and parameter."""
    rng = np.random.default_rng(0)
    for n, p in sizes:
        for seed in seeds:
            loss = FLOOR + A[0] * p ** -A[1] + B[0] * n ** -B[1]
            job = ended(f"N={n} P={p} seed={seed}", 1 - loss * np.exp(0.005 * rng.normal()))
            spec = json.loads(job.spec.read_bytes())
            config = {"data": {"train_size": n}, "train": {"seed": seed}, "model": {"p": p}}
            job.spec.write_text(json.dumps({**spec, "config": config}))
            result = read_result(job.result)
            assert result is not None
            data = {**result.data, CORE_HOURS: 1e-10 * n * p}
            model = {"name": "ViT", "params": p}
            known = replace(result, n={"train": n, "test": 100}, model=model, data=data, **changes)
            write_result(job.result, known)


GRID = [(n, p) for n in NS for p in PS]


@pytest.fixture
def scaling(lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(lab.paths.root)

    def laws(*args: str) -> Any:
        assert vitlab(["scaling", *args, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return laws


def test_a_grid_of_runs_gives_the_law_they_follow(
    lab: Lab, roadmap: Path, ended: Ended, scaling: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    bounded(ended)
    runs(ended, GRID)
    (law,) = scaling("1.0", "--budget", "2")
    assert (law["model"], law["runs"], law["ceiling"]) == ("ViT", 16, [0.97, 0.0])
    for kind in ("fixed", "free"):
        for name, truth in (("b", B[1]), ("a", A[1])):
            value, low, high = law[kind][name]
            assert low <= truth <= high
            assert value == pytest.approx(truth, rel=0.1)
    assert law["fixed"]["E"][0] == pytest.approx(FLOOR)
    assert law["free"]["E"][1] <= FLOOR <= law["free"]["E"][2]
    ahead = 1 - (FLOOR + A[0] * (4 * PS[-1]) ** -A[1] + B[0] * (4 * NS[-1]) ** -B[1])
    assert law["ahead"]["r2"][0] == pytest.approx(ahead, abs=0.003)
    best = law["best"]
    assert best["unit"] == "core-hours"
    assert best["stars"][0] * best["params"][0] == pytest.approx(2e10, rel=0.01)
    assert vitlab(["scaling", "--budget", "2"]) == 0
    shown = capsys.readouterr()
    assert "the fitted E agrees with that of the ceiling" in shown.out
    assert "2 core-hours: best N " in shown.out
    assert shown.err == "ViT: one seed a size: noise that sizes share is not in the intervals\n"
    picture = figure_specs.scaling(
        figure_specs.figure_data(lab, lookup_results(lab.paths, ["1.0"]))
    )
    points, curve = picture.panels[0].curves
    assert (points.name, curve.name) == ("ViT, P 640k", "law of ViT, P 640k")
    assert list(points.x) == list(NS)
    assert "ViT: runs of other P not shown (10k, 40k and 160k)" in picture.notes
    assert curve.x[-1] == pytest.approx(4 * NS[-1])
    assert list(curve.y) == sorted(curve.y)
    (one,) = laws_of(lookup_results(lab.paths, ["1.0"]), all_jobs(lab.paths)).found.values()
    assert one.law is not None
    ends = one.law.mean(curve.x[-1], PS[-1])
    assert curve.ends[-1] == pytest.approx((1 - ends.high, 1 - ends.low))
    assert "bands: 90%, bootstrap of runs, seeds and E, not of training stars" in picture.keys
    (line,) = pending(lab, roadmap, "1.0").summary
    assert "ViT (16 runs of 16 sizes, one seed: intervals may be far too narrow): 1 - R² = " in line
    powers = r"b = 0\.\d\d \(\d\.\d\d\.\.\d\.\d\d, 90%\)"
    both = f"{powers}, {powers.replace('b', 'a', 1)}"
    assert re.search(f"E from the ceiling, {both}; if this law holds, predicted R² 0", line)
    assert " at 4 times the largest N and P" in line
    assert re.search(r"E fitted instead: 0\.0\d\d \(\d\.\d{3}\.\.\d\.\d{3}, 90%\)", line)


@pytest.mark.parametrize("known", [True, False])
def test_the_floor_of_a_linear_model_is_the_linear_ceiling(
    ended: Ended, scaling: Any, known: bool
) -> None:
    job = bounded(ended)
    if not known:
        result = read_result(job.result)
        assert result is not None
        values = {**result.values, "ceiling/r2_linear/log_g": None}
        write_result(job.result, replace(result, values=values))
    runs(ended, [(n, 4096) for n in NS], recipe="ridge")
    (law,) = scaling("1.0")
    assert law["free"]
    assert (law["ceiling"] is None) is not known
    assert (law["fixed"] is None) is not known
    if known:
        assert law["ceiling"][0] == law["fixed"]["E"][0] == 0.5
    else:
        assert "no linear ceiling for their spectra: E is fitted only" in law["notes"]


def test_what_cannot_be_fitted_is_told(
    ended: Ended, scaling: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    runs(ended, [(n, 10_000) for n in NS[:3]])
    (law,) = scaling("1.0")
    assert law["fixed"] is law["free"] is None
    assert law["notes"] == ["3 sizes N and 1 P: no law, a term needs 4 values"]
    runs(ended, [(NS[3], 10_000), (NS[3], 40_000)])
    (law,) = scaling("1.0")
    assert law["fixed"] is None
    assert law["runs"] == 4
    assert law["free"]["b"][1] < B[1] < law["free"]["b"][2]
    alone = "fitted over N alone, at P = 10k: no term of P, so a fixed E treats P as unlimited"
    assert law["notes"] == [
        f"{alone}; 1 runs of other P left out",
        "no ceiling for their spectra: E is fitted only",
    ]
    (twice,) = scaling("1.0", "--times", "2")
    assert twice["ahead"]["stars"] == 2 * NS[3]
    assert twice["ahead"]["params"] == 10_000
    assert vitlab(["scaling", "1.0", "--times", "0"]) == 2
    assert "--times: must be above 0" in capsys.readouterr().err
    assert vitlab(["scaling", "1.0", "--budget", "-1"]) == 2
    assert vitlab(["scaling", "1.0", "--budget", "inf"]) == 2
    assert "--budget: must be above 0" in capsys.readouterr().err


def test_an_exponent_that_the_runs_leave_open_makes_no_law() -> None:
    """Only the smallest networks are worse: any large power of P fits."""
    n, p = (np.array(GRID, dtype=float)[:, i] for i in (0, 1))
    loss = 0.6 + 0.9 * n**-0.3 + 0.1 * (p == PS[0])
    law = fit_law(loss, n, p, None)
    assert law.unknown == ("P",)
    assert law.exponent("P").high == law.exponent("P").value == pytest.approx(4.0)
    assert not_determined(law) == ["a at a limit of the fit: the runs do not determine it"]
    (told,) = law_phrases([Scaling("ViT", NAME, (), None, None, law, ())])
    assert told.text("en") == "ViT: no scaling law, these runs do not determine a"
    alone = fit_law(np.array([0.99, 0.95, 0.94, 0.93]), n[::4], p[::4], None, ("N",))
    assert alone.floor.high <= 1  # a model that knows nothing reaches it


def test_a_law_that_predicts_nothing_ends_with_its_runs(lab: Lab, ended: Ended) -> None:
    bounded(ended)
    runs(ended, GRID)
    for (n, _), r2 in zip(GRID[::4], (0.40, 0.494, 0.532, 0.553), strict=True):
        job = ended(f"trees {n}", r2, model="LightGBM")
        result = read_result(job.result)
        assert result is not None
        spec = json.loads(job.spec.read_bytes())
        job.spec.write_text(json.dumps({**spec, "config": {"data": {"train_size": n}}}))
        write_result(job.result, replace(result, n={"train": n, "test": 100}))
    results = lookup_results(lab.paths, ["1.0"])
    picture = figure_specs.scaling(figure_specs.figure_data(lab, results))
    ends = {curve.name: curve.x[-1] for curve in picture.panels[0].curves if curve.reference}
    assert ends == pytest.approx({"law of LightGBM": NS[-1], "law of ViT, P 640k": 4 * NS[-1]})
    assert picture.keys[-1] == (
        "bands: 90%, bootstrap of runs, seeds and E, not of training stars; "
        "LightGBM is not extrapolated"
    )
    (note,) = [one for one in picture.notes if one.startswith("LightGBM: 1 - R² =")]
    assert re.search(r"E from the ceiling, not 0\.4\d\d as fitted$", note)
    near = [one for one in laws_of(results, all_jobs(lab.paths)).found.values() if not one.predicts]
    told = " ".join(one.text("en") for one in law_phrases(near))
    assert "too uncertain to predict larger runs" in told  # as the conclusion says of the same law


def test_a_law_that_runs_leave_open_is_not_drawn() -> None:
    n, p = (np.array(GRID, dtype=float)[:, i] for i in (0, 1))
    law = fit_law(0.6 + 0.9 * n**-0.3 + 0.1 * (p == PS[0]), n, p, None)
    laws = Laws({"ViT": Scaling("ViT", NAME, (), None, None, law, ())})
    assert laws.curves({}, lambda names: [Style()] * len(names)) == []
    assert laws.keys == []
    assert laws.notes == ["ViT: no law, a at a limit of the fit: the runs do not determine it"]
    known = fit_law(0.5 + 0.9 * n**-0.3, n, p, (0.5, 0.01), ("N",))
    ridge = Laws({"Ridge": Scaling("Ridge", NAME, (), None, known, None, (), linear=True)})
    assert ridge.notes[0].endswith("E from the linear ceiling")


def test_trees_that_grow_with_the_data_have_no_axis_of_parameters(
    ended: Ended, scaling: Any
) -> None:
    runs(ended, [(n, 10 * n) for n in NS], seeds=(42, 43))
    (law,) = scaling("1.0")
    assert law["runs"] == 8
    assert "a" not in law["free"]
    assert law["notes"][0].startswith("P changes with N: it has no separate term")


def test_what_is_no_result_is_not_fitted(ended: Ended, scaling: Any) -> None:
    bounded(ended)
    runs(ended, GRID)
    runs(ended, [(256_000, 10_000)], values={NAME: 0.999, "val/r2/log_g": 0.999})  # a leak
    runs(ended, [(512_000, 10_000)], world={})
    (law,) = scaling("1.0")
    assert law["runs"] == 16
    assert law["notes"] == [
        "1 runs fail a check, are controls or above the ceiling: left out",
        "1 runs are of other spectra: left out",
        "one seed a size: noise that sizes share is not in the intervals",
    ]


def test_a_law_is_of_r2(
    ended: Ended, lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lab.paths.root)
    assert vitlab(["scaling"]) == 2
    assert "no run has a result yet" in capsys.readouterr().err
    runs(ended, GRID[:4], headline="test/mae/log_g", values={"test/mae/log_g": 0.3})
    assert vitlab(["scaling"]) == 2
    assert "a scaling law describes 1 - R², but these are judged by test/mae/log_g" in (
        capsys.readouterr().err
    )


def test_the_law_of_trials_is_on_record_until_it_is_edited(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    runs(partial(ended, profile="smoke"), [(n, p) for n in NS for p in PS])
    write(lab, roadmap, "1.0")
    assert "1 - R² = " in roadmap.read_text()
    assert found(lab, roadmap) == []
    edited = re.sub(r"(predicted R² )0\.\d", r"\g<1>0.3", roadmap.read_text())
    assert edited != roadmap.read_text()
    roadmap.write_text(edited)
    assert found(lab, roadmap)


def test_an_end_of_an_exponent_that_is_cut_says_so() -> None:
    """Also where logarithms have moved it by a rounding error."""
    assert exponent_ends(Interval(0.15, 0.01 * (1 + 1e-9), 0.91)) == ("≤0.01", "0.91")
    assert exponent_ends(Interval(1.24, 0.22, 4.0)) == ("0.22", "≥4.00")
    assert exponent_ends(Interval(0.5, 0.012, 3.9)) == ("0.01", "3.90")
