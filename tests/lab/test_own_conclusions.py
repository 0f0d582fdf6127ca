"""What vitlab writes of a sweep, a ceiling and a law is no finding, and a number beside it is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.conftest import Ended
from tests.lab.test_figures import bounded
from tests.lab.test_numbers import found, hand_edit
from vitlab.contract.job import read_result, write_result
from vitlab.docs.judge.phrases import phrase
from vitlab.docs.lint.numbers import _is_other_seed
from vitlab.docs.lint.stated import number_of, numbers_in
from vitlab.lab.lab import Lab
from vitlab.lab.writeback.contradictions import lint_file
from vitlab.lab.writeback.edits import write

MODELS = {"ViT": (8.0, 0.03), "ViT-L": (7.7, 0.03), "LightGBM": (9.0, 0.2)}
"""The rest of 1 - R² at one star, and its floor."""
SIZES = (1000, 4000, 16_000, 64_000)
SEEDS = (42, 43)
LANGUAGES = ("en", "zh")


def swept(ended: Ended, profile: str) -> None:
    """Three models at three sizes with three seeds; one's val score is another's on test."""
    number = 0
    for model, (rest, floor) in MODELS.items():
        for size in SIZES:
            for seed in SEEDS:
                number += 1
                r2 = 1 - floor - rest * size**-0.5 * (1 + 0.004 * (number * 7 % 5 - 2))
                run = f"{model} train_size={size},seed={seed}"
                job = ended(run, r2, model=model.partition("-")[0], profile=profile)
                spec = json.loads(job.spec.read_bytes())
                config = {"data": {"train_size": size}, "train": {"seed": seed}}
                config["model"] = {"layers": len(model)}
                job.spec.write_text(json.dumps({**spec, "config": config}))
                result = read_result(job.result)
                assert result is not None
                values = {
                    **result.values,
                    "val/r2/log_g": r2 + 0.004,
                    "test/mae/log_g": 0.5 - r2 / 4,
                }
                model_of = {**result.model, "params": 1000 * len(model)}
                n = {"train": size, "val": 100, "test": 100}
                write_result(job.result, replace(result, values=values, model=model_of, n=n))


def in_chinese(roadmap: Path) -> None:
    for path in roadmap.parent.glob("*.md"):
        head, _, rest = path.read_text(encoding="utf-8").partition("\n")
        path.write_text(f"{head}\n\n{'本文件用中文写成。' * 30}\n{rest}", encoding="utf-8")


@pytest.mark.parametrize(("profile", "language"), [("smoke", "zh"), ("full", "en")])
def test_what_is_written_of_a_sweep_has_no_finding(
    lab: Lab, roadmap: Path, ended: Ended, profile: str, language: str
) -> None:
    if language == "zh":
        in_chinese(roadmap)
    bounded(ended)
    swept(ended, profile)
    write(lab, roadmap, "1.0")
    text = roadmap.read_text(encoding="utf-8")
    report = next(roadmap.parent.glob("exp_*.md"))
    for said in ("1 - R² = ", "..", "90%", "16k"):
        assert said in text
    assert report.read_text(encoding="utf-8").count("seed=4") >= len(MODELS) * len(SIZES) * len(
        SEEDS
    )
    assert lint_file(lab, roadmap) == []
    lab.paths.private.numbers.unlink()
    assert lint_file(lab, roadmap) == []
    claims = "R² 0.951; R² 0.931, 0.921, 0.901; 1 - R² = 0.049; "
    hand_edit(roadmap, "1 - R² = ", claims + "1 - R² = ")
    hits = [one.message for one in found(lab, roadmap)]
    invented = "R² 0.951", "R² 0.931", "R² 0.921", "R² 0.901", "1 - R² = 0.049"
    assert {each for each in invented if any(one.startswith(each) for one in hits)} == set(invented)


LAW = "0.200 + 1.91/N^0.42 + 1.2e+03/P^0.17"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_law_and_what_it_predicts_are_no_results(language: str) -> None:
    """In the words of the writer, whatever they are."""
    for kind in ("scaling_fixed", "scaling_free"):
        parts = "ViT", LAW, "b = 0.42 (0.35..0.50, 90%)"
        assert list(numbers_in(phrase(kind, *parts).text(language))) == []
    ahead = phrase("scaling_ahead", 4, ["N", "P"], "0.771 (0.759..0.780, 90%)")
    assert list(numbers_in(ahead.text(language))) == []
    trend = phrase("trend", "ViT", "R² 0.677, 0.717, 0.734", "1k, 3k, 9k", "+0.052 ± 0.003")
    said = list(numbers_in(trend.text(language)))
    assert [one.value for one in said] == [0.677, 0.717, 0.734]
    assert all("9k" not in one.words for one in said)


@pytest.mark.parametrize(
    "law",
    [
        f"ViT：1 - R² = {LAW}，E 取自上限；最大 N P 的 4 倍：R² 0.771 (0.759..0.780, 90%)",
        f"ViT: 1 - R² = {LAW}, E fitted; 4 times the largest N P: R² 0.771 (0.759..0.780, 90%)",
    ],
)
def test_so_are_those_of_documents_written_before(law: str) -> None:
    assert list(numbers_in(law)) == []


def test_a_score_is_none_of_a_law() -> None:
    for text, value in (
        ("1 - R² = 0.049", 0.951),
        ("predicted R² 0.951", 0.951),
        ("R² 0.951 (0.94..0.96, 90%)", 0.951),
        ("R² = 0.951, 0.38 dex", 0.951),
        ("11 - R² = 0.951", 0.951),
    ):
        assert [one.value for one in numbers_in(text)] == [pytest.approx(value)], text


def test_a_row_for_every_seed_picks_none(lab: Lab, roadmap: Path, ended: Ended) -> None:
    """Though the number is the best seed's of another run, on other stars."""
    swept(ended, "full")
    job = ended("Odd train_size=9,seed=1", 0.5)
    row = "ViT train_size=4000,seed=43"
    number = next(
        result.values["test/r2/log_g"]
        for path in lab.paths.experiments.glob("*/*/result.json")
        if (result := read_result(path)) is not None and result.run == row
    )
    for seed, val in ((1, number), (2, 0.2)):
        job = ended(f"Odd train_size=9,seed={seed}", 0.5)
        spec = json.loads(job.spec.read_bytes())
        job.spec.write_text(json.dumps({**spec, "config": {"train": {"seed": seed}}}))
        result = read_result(job.result)
        assert result is not None
        values = {**result.values, "val/r2/log_g": val}
        write_result(job.result, replace(result, values=values))
    write(lab, roadmap, "1.0")
    report = next(roadmap.parent.glob("exp_*.md"))
    assert f"{number:.4f}" in report.read_text(encoding="utf-8")
    lab.paths.private.numbers.unlink()
    assert found(lab, roadmap) == []


def test_one_seed_beside_others_of_its_run_contradicts_no_mean() -> None:
    """In a report `MLP` is the seed it was launched with, in a roadmap the mean of all."""
    known = number_of("MAE", "0.6717")
    assert known is not None
    one, other = known.with_words("MLP"), known.with_words("MLP seed=43")
    assert _is_other_seed(other, one)
    assert not _is_other_seed(one, other)
    assert not _is_other_seed(known.with_words("MLP wide"), one)
    assert not _is_other_seed(known.with_words("ViT seed=43"), one)
