"""What an assistant may say of results: vitlab's own words, and no number under another's name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.conftest import Ended
from tests.lab.test_figures import bounded
from tests.lab.test_own_conclusions import in_chinese, swept
from vitlab.contract.job import read_result, write_result
from vitlab.contract.paths import UsageError
from vitlab.lab.conclusions.check import check_because, check_conclusion
from vitlab.lab.conclusions.statements import against_gates
from vitlab.lab.lab import Lab
from vitlab.lab.results.job_results import newest_results
from vitlab.lab.results.ranking import verdicts_of
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
    check_conclusion(lab, update, update.conclusion)
    read, newest = lab.read_roadmap(roadmap), newest_results(lab, roadmap)
    for gate, verdict in zip(read.gates, verdicts_of(lab, read, newest), strict=True):
        check_because(lab, gate, verdict, newest, verdict.because_in_document)


def test_a_gate_is_said_to_be_what_results_say(lab: Lab, roadmap: Path, ended: Ended) -> None:
    ended("one", 0.7512)
    ended("two", 0.7498)
    read, newest = lab.read_roadmap(roadmap), newest_results(lab, roadmap)
    verdicts = verdicts_of(lab, read, newest)
    assert [one.verdict for one in verdicts] == ["pass"]
    for good in ("Gate-1 passed", "Gate-1 通过", "if Gate-1 fails we stop", "Gate-7 failed"):
        assert not list(against_gates(good, read.gates, verdicts))
    for bad in ("R² = 0.751, so Gate-1 failed", "Gate-1 未达标"):
        (said,) = against_gates(bad, read.gates, verdicts)
        assert said == "Gate-1 failed: by the results it is pass"
    open_ones = [replace(one, verdict="open") for one in verdicts]
    (said,) = against_gates("Gate-1 passed", read.gates, open_ones)
    assert said == "Gate-1 passed: by the results it is open"


def test_a_number_is_that_of_its_split(lab: Lab, roadmap: Path, ended: Ended) -> None:
    job = ended("one", 0.7512)
    result = read_result(job.result)
    assert result is not None
    write_result(job.result, replace(result, values={**result.values, "val/r2/log_g": 0.813}))
    update = plan_update(lab, roadmap, "1.0")
    check_conclusion(lab, update, "R²_val = 0.813, R²_test = 0.751, R² 0.751")
    for bad in ("R²_test = 0.813", "R² (test) 0.813", "a test R² of 0.813", "R²_val = 0.751"):
        with pytest.raises(
            UsageError, match=r"of another run, 0\.\d+ is right \(it is R²_(?:test|val)"
        ):
            check_conclusion(lab, update, bad)


def test_the_mean_over_seeds_is_a_number_of_its_results(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    for seed, r2, mae in ((42, 0.741, 0.380), (43, 0.761, 0.401)):
        job = ended(f"one seed={seed}", r2)
        result = read_result(job.result)
        assert result is not None
        values = {**result.values, "test/mae/log_g": mae, "test/r2/log_g": r2}
        write_result(job.result, replace(result, values=values))
        spec = json.loads(job.spec.read_bytes())
        job.spec.write_text(json.dumps({**spec, "config": {"train": {"seed": seed}}}))
    update = plan_update(lab, roadmap, "1.0")
    check_conclusion(lab, update, "R² = 0.751 and MAE 0.390 dex, means of 2 seeds")
    with pytest.raises(UsageError, match=r"0\.395: no result of MVP-1\.0"):
        check_conclusion(lab, update, "MAE 0.395 dex")


def test_a_number_is_that_of_the_model_beside_it(lab: Lab, roadmap: Path, ended: Ended) -> None:
    """And an order, a difference and a number of seeds are as results have them."""
    for model, r2 in (("ViT", 0.751), ("LightGBM", 0.577)):
        for seed in (42, 43):
            job = ended(f"{model} seed={seed}", r2, model=model)
            spec = json.loads(job.spec.read_bytes())
            config = {"train": {"seed": seed}, "model": model}
            job.spec.write_text(json.dumps({**spec, "config": config}))
    ended("one", 0.517, mvp="2.0", model="Ridge")
    update = plan_update(lab, roadmap, "1.0")
    for good in (
        "ViT beats LightGBM: R² 0.751 against 0.577",
        "ViT leads LightGBM by 0.174 in R²",
        "LightGBM 的 R² 为 0.577，ViT 为 0.751（各 2 个种子）",
        "R² rises from 0.577 (LightGBM) to 0.751 (ViT)",
        "ViT reaches 0.751, ridge 0.517 as in Leung & Bovy (2019)",
        "LightGBM trails ViT over 2 seeds",
        "ViT has a higher R² than LightGBM",
        "LightGBM 的 R² 低于 ViT",
        "LightGBM beats ViT in MAE",  # its R² says nothing of that
    ):
        check_conclusion(lab, update, good)
    for bad, said in (
        ("LightGBM R² = 0.751", "of another run, 0.577 is right"),
        ("LightGBM reaches 0.751", "of another run, 0.577 is right"),
        ("the gradient-boosted trees reach 0.751", "of another run, 0.577 is right"),
        ("LightGBM 达到 0.751", "of another run, 0.577 is right"),
        ("ViT is 0.577 and LightGBM 0.751", "of another run, 0.751 is right"),
        ("R² rises from 0.517 (LightGBM) to 0.751 (ViT)", "of another run|no result of MVP-1.0"),
        ("ViT leads LightGBM by 0.234 in R²", "0.234: no result of MVP-1.0 has this number"),
        ("R² 0.517", "no result of MVP-1.0 has this number"),
        ("ViT R² = 0.751 over 5 seeds", "no result of MVP-1.0 has this number"),
        ("ViT R² = 0.751 over five seeds", "five seeds: no result of MVP-1.0 has this number"),
        ("五个种子平均 R² 0.751", "五个种子: no result of MVP-1.0 has this number"),
        ("LightGBM outperforms the ViT", "results say otherwise: R2 0.577 and 0.751"),
        ("ViT 不如 LightGBM", "results say otherwise: R2 0.751 and 0.577"),
        ("LightGBM outperformed ViT", "results say otherwise: R2 0.577 and 0.751"),
        ("LightGBM has a higher R² than ViT", "results say otherwise"),
        ("LightGBM 的 R² 高于 ViT", "results say otherwise"),
    ):
        with pytest.raises(UsageError, match=said):
            check_conclusion(lab, update, bad)
