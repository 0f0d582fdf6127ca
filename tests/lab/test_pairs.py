"""A gate between two models is decided on the stars both were scored on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.lab.conftest import WORLD, Ended
from vitlab.commands.common import judge_gates
from vitlab.contract.job import read_result, write_result
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.contract.user_key import own_record, sealed
from vitlab.docs.judge.gates import Verdict
from vitlab.jobs.experiment.settings import load_settings
from vitlab.lab.lab import Lab
from vitlab.ml.residual_file import load_residuals, save_residuals
from vitlab.ml.scoring import Residuals, overall

N = 800
NAME = "test/r2/log_g"


@pytest.fixture
def compared(lab: Lab, roadmap: Path) -> Lab:
    text = roadmap.read_text(encoding="utf-8")
    text = text.replace("If R² > 0.70 |", "If ViT > LGBM |").replace(
        "If R² < 0.65 |", "If ViT < LGBM |"
    )
    roadmap.write_text(text, encoding="utf-8")
    scatter = {model: {NAME: 0.001} for model in ("ViT", "LightGBM")}
    return replace(lab, settings=replace(lab.settings, seed_scatter=scatter))


def scored(job: JobPaths, spread: float, seed: int, first: int = 0, digest: str = "same") -> float:
    """Give a finished job residuals that it shares but for `spread` with all others; its R2."""
    generator = np.random.default_rng(0)
    true = generator.uniform(1, 5, size=(first + N, 1))[first:]
    shared = generator.normal(scale=0.6, size=(first + N, 1))[first:]
    own = np.random.default_rng(seed).normal(scale=spread, size=(N, 1))
    star = np.arange(first, first + N)
    kept = Residuals(("log_g",), star, true, true + shared + own, true[:, 0], true[:, 0], digest)
    save_residuals(job.residuals, kept)
    scores = overall(kept, 0)
    result = read_result(job.result)
    assert result is not None
    values, errors = scores.named("test")
    values["val/r2/log_g"] = values[NAME]
    data = {"source": "grid", "hash": digest}
    write_result(job.result, replace(result, values=values, errors=errors, data=data))
    return values[NAME]


def gate(lab: Lab, roadmap: Path) -> Verdict:
    return judge_gates(lab, roadmap)[1][0]


def test_a_small_difference_counts_on_the_same_stars(
    compared: Lab, roadmap: Path, ended: Ended
) -> None:
    ours, theirs = ended("one"), ended("two", model="LightGBM")
    gap = scored(ours, 0.1, 1) - scored(theirs, 0.25, 2)
    found = gate(compared, roadmap)
    assert found.verdict == "pass"
    assert "on the same 800 stars" in found.because
    assert f"{gap:+.2g}" in found.because
    # Each number's own error is far larger: as independent ones nothing would be decided.
    theirs.residuals.unlink()
    alone = gate(compared, roadmap)
    assert (alone.verdict, "independent errors" in alone.because) == ("open", True)


def test_a_difference_within_two_errors_stays_open(
    compared: Lab, roadmap: Path, ended: Ended
) -> None:
    scored(ended("one"), 0.1, 1)
    scored(ended("two", model="LightGBM"), 0.1, 2)
    found = gate(compared, roadmap)
    assert found.verdict == "open"
    assert "on the same 800 stars" in found.because


def test_other_stars_of_the_same_kind_have_independent_errors(
    compared: Lab, roadmap: Path, ended: Ended
) -> None:
    ours, theirs = ended("one"), ended("two", model="LightGBM")
    scored(ours, 0.1, 1)
    scored(theirs, 2.0, 2, first=100, digest="another")
    found = gate(compared, roadmap)
    assert (found.verdict, "independent errors" in found.because) == ("pass", True)
    result = read_result(theirs.result)
    assert result is not None
    fainter = replace(WORLD, mag=(22.0, 23.0)).record()
    write_result(theirs.result, replace(result, world=fainter))
    unlike = gate(compared, roadmap)
    assert (unlike.verdict, "on the same data" in unlike.because) == ("open", True)


def test_residuals_that_lie_about_their_stars_are_not_paired(
    compared: Lab, roadmap: Path, ended: Ended
) -> None:
    ours, theirs = ended("one"), ended("two", model="LightGBM")
    scored(ours, 0.1, 1)
    scored(theirs, 0.25, 2)
    kept = load_residuals(theirs.residuals)
    save_residuals(theirs.residuals, replace(kept, star=kept.star[::-1].copy()))
    assert "independent errors" in gate(compared, roadmap).because
    theirs.residuals.write_bytes(ours.residuals.read_bytes())  # a folder put together from two
    assert "independent errors" in gate(compared, roadmap).because
    theirs.residuals.write_bytes(b"broken")
    assert "independent errors" in gate(compared, roadmap).because


def test_what_was_compared_is_remembered_until_a_job_is_scored_anew(
    compared: Lab, roadmap: Path, ended: Ended
) -> None:
    ours, theirs = ended("one"), ended("two", model="LightGBM")
    scored(ours, 0.1, 1)
    scored(theirs, 0.25, 2)
    first = gate(compared, roadmap)
    cache = compared.paths.private.pairs
    ((key, kept),) = own_record(cache).items()
    changed = {key: {**kept, "stars": 7}}
    for text, stars in ((changed, 800), (sealed(changed, cache), 7)):  # a stranger's, one's own
        cache.write_text(json.dumps(text), encoding="utf-8")
        assert f"on the same {stars} stars" in gate(compared, roadmap).because
    scored(theirs, 0.3, 3)
    assert "on the same 800 stars" in gate(compared, roadmap).because
    cache.write_text("broken", encoding="utf-8")
    assert gate(compared, roadmap).verdict == first.verdict == "pass"


def test_a_share_of_the_ceiling_is_judged_by_the_ceiling_of_the_same_stars(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    text = roadmap.read_text(encoding="utf-8")
    text = text.replace("If R² > 0.70 |", "If R² ≥ 90% of the ceiling |")
    roadmap.write_text(text.replace("If R² < 0.65 |", "If R² < 70% of the ceiling |"), "utf-8")
    ended("one", r2=0.75)
    assert gate(lab, roadmap).because.startswith("no ceiling is known for R²_test")
    bound = ended("bound", mvp="2.0", model="Bayes")
    spec = json.loads(bound.spec.read_bytes())
    bound.spec.write_text(json.dumps({**spec, "recipe": "ceiling"}), encoding="utf-8")
    result = read_result(bound.result)
    assert result is not None
    write_result(bound.result, replace(result, values={"ceiling/r2_bayes/log_g": 0.8}, errors={}))
    found = gate(lab, roadmap)
    assert found.verdict == "pass"
    assert "R²_test = 0.938 ± 0.005 of the Bayes ceiling 0.8 (one seed" in found.because
    assert found.values == {"test/r2/log_g/of_ceiling": pytest.approx(0.9375)}


def seeded(job: JobPaths, seed: int) -> JobPaths:
    spec = json.loads(job.spec.read_bytes())
    job.spec.write_text(json.dumps({**spec, "config": {"train": {"seed": seed}}}), "utf-8")
    return job


def test_one_seed_waits_for_the_labs_own_repeats(
    compared: Lab, roadmap: Path, ended: Ended
) -> None:
    lab = replace(compared, settings=replace(compared.settings, seed_scatter={}))
    scored(ended("one"), 0.1, 1)
    scored(ended("two", model="LightGBM"), 0.6, 2)
    found = gate(lab, roadmap)
    assert found.verdict == "open"
    assert "one seed, the seed scatter is unknown" in found.because
    for model in ("ViT", "LightGBM"):
        for seed in (1, 2, 3):
            job = ended(f"{model} seed={seed}", 0.5 + seed / 1000, mvp="2.0", model=model)
            seeded(job, seed)
            result = read_result(job.result)
            assert result is not None
            other = {**result.data, "hash": "of other stars"}
            write_result(job.result, replace(result, data=other))
    assert gate(lab, roadmap).verdict == "pass"


def test_the_labs_repeats_are_judged_by_their_mean(lab: Lab, roadmap: Path, ended: Ended) -> None:
    for seed, r2 in enumerate((0.690, 0.700, 0.716)):
        seeded(ended(f"main seed={seed}", r2), seed)
    found = gate(lab, roadmap)
    assert found.verdict == "open"
    assert "0.702 ± 0.018 (mean of 3 seeds)" in found.because


def test_a_model_scored_again_under_its_own_name_hides_no_result(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    ended("main", 0.5)
    again = ended("main", 0.9)
    spec = json.loads(again.spec.read_bytes())
    again.spec.write_text(json.dumps({**spec, "recipe": "evaluate"}), "utf-8")
    result = read_result(again.result)
    assert result is not None
    write_result(again.result, replace(result, recipe="evaluate"))
    found = gate(lab, roadmap)
    assert (found.verdict, found.values) == ("fail", {NAME: 0.5})


def test_a_stated_scatter_is_a_positive_number_of_a_value(lab: Lab) -> None:
    lab.paths.settings.write_text("seed_scatter: {ViT: {test/r2/log_g: 0.004}}", "utf-8")
    assert load_settings(lab.paths).seed_scatter == {"ViT": {NAME: 0.004}}
    for text in ("{ViT: 0.004}", "{ViT: {test/r2/log_g: -1}}", "0.004", "{ViT: {a/b: true}}"):
        lab.paths.settings.write_text(f"seed_scatter: {text}", "utf-8")
        with pytest.raises(UsageError, match="seed_scatter: expected MODEL"):
            load_settings(lab.paths)
