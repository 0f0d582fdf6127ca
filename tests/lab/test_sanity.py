"""A report says what was checked, and marks what did not hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.lab.conftest import Ended
from tests.lab.test_results_table import configured
from vitlab.contract.checks import (
    ALIGNMENT,
    CEILING,
    CONTENT,
    INPUT,
    LABELS,
    Check,
    judged,
    read_check,
    unknown,
)
from vitlab.contract.config import DataConfig
from vitlab.contract.job import read_result, write_result
from vitlab.contract.paths import JobPaths
from vitlab.docs.judge.checks import failed_checks
from vitlab.lab.lab import Lab
from vitlab.lab.results.ceilings import checked_against_ceiling, with_ceiling
from vitlab.lab.writeback.writeback import plan_mvp
from vitlab.ml.spectra.dataset import open_spectra


def rewritten(job: JobPaths, **changes: Any) -> None:
    result = read_result(job.result)
    assert result is not None
    write_result(job.result, replace(result, **changes))


def report(lab: Lab, roadmap: Path) -> str:
    step = plan_mvp(lab, roadmap, "1.0")
    assert step is not None
    (text,) = [c.new_text for c in step.changes if c.path.name.startswith("exp_")]
    assert text is not None
    return text


SOUND = {
    CONTENT: judged(0, 0, 101),
    LABELS: judged(0, 0, 101),
    ALIGNMENT: judged(0.002, 0.25),
    INPUT: judged(0.5, 1.0),
}


def records(checks: Mapping[str, Check]) -> dict[str, object]:
    return {name: check.record() for name, check in checks.items()}


@pytest.fixture
def sound(ended: Ended) -> JobPaths:
    ceiling = configured(ended("main", 0.0, mvp="8.0", model="Ceiling"), bayes=4000)
    spec = json.loads(ceiling.spec.read_bytes())
    ceiling.spec.write_text(json.dumps({**spec, "recipe": "ceiling"}), encoding="utf-8")
    rewritten(ceiling, values={"ceiling/r2_bayes/log_g": 0.9})
    job = ended("main", 0.75)
    data = {"hash": "h", "source": "grid", "overlap": 0}
    rewritten(job, values={"test/r2/log_g": 0.75}, data=data, checks=records(SOUND))
    started = {"v": 1, "started": 1.0, "pid": 1, "commit": "0123456789abcdef", "dirty": False}
    job.started.write_text(json.dumps(started), encoding="utf-8")
    return job


def test_a_sound_result_passes_every_check(lab: Lab, roadmap: Path, sound: JobPaths) -> None:
    text = report(lab, roadmap)
    assert "- Test spectra in the training set, by content: 0 of 101" in text
    assert "- Test stars in the training set, by labels or ids: 0 of 101" in text
    assert (
        "- R² of the predictions with the labels of neighbouring rows: 0.002 (limit: 0.25)" in text
    )
    assert "- R² from the errors shown to the model, without flux: 0.5 (limit: 1)" in text
    assert "- Bayes ceiling 0.900: not exceeded (highest: 0.750)" in text
    assert "❌" not in text.split("## Sanity")[1]
    assert "main: commit `0123456789ab`, spec `" in text
    assert sound.result.is_file()


def test_seeds_of_a_program_that_was_changed_are_marked(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    for seed, commit in ((42, "a" * 40), (43, "b" * 40)):
        job = ended(f"main seed={seed}", 0.75)
        config = {"argv": ["python", "train.py"], "seed": seed}
        spec = {**json.loads(job.spec.read_bytes()), "recipe": "command", "config": config}
        job.spec.write_text(json.dumps(spec), encoding="utf-8")
        started = {"v": 1, "started": 1.0, "pid": 1, "commit": commit, "dirty": seed == 43}
        job.started.write_text(json.dumps(started), encoding="utf-8")
    earlier = job.started.with_name("started.1.json")
    earlier.write_text(json.dumps({"commit": "c" * 40}), encoding="utf-8")
    text = report(lab, roadmap)
    assert "- ❌ main: its 2 seeds ran different code (aaaaaaaaaaaa, bbbbbbbbbbbb+)" in text
    assert "main seed=43: commit `cccccccccccc, bbbbbbbbbbbb+`" in text


def test_spectra_left_out_of_a_file_are_counted(lab: Lab, roadmap: Path, sound: JobPaths) -> None:
    line = "- Spectra left out of the file"
    assert line not in report(lab, roadmap)
    data: dict[str, object] = {"hash": "h", "source": "a.h5"}
    rewritten(sound, data=data)
    assert f"{line}: not counted" in report(lab, roadmap)
    rewritten(sound, data={**data, "excluded": {"train": {}, "val": {}, "test": {}}})
    assert f"{line}: none" in report(lab, roadmap)
    counts = {"train": {}, "val": {}, "test": {"constant flux": 3}}
    rewritten(sound, data={**data, "excluded": counts}, n={"train": 9, "val": 9, "test": 97})
    assert f"{line} (main): test 3 of 100 (3 constant flux)" in report(lab, roadmap)


def test_what_does_not_hold_is_marked(
    lab: Lab, roadmap: Path, sound: JobPaths, ended: Ended
) -> None:
    failing = {
        CONTENT: judged(7, 0, 101),
        LABELS: judged(101, 3, 101),
        ALIGNMENT: judged(0.7, 0.25),
        INPUT: judged(0.9998, 0.1),
    }
    rewritten(sound, values={"test/r2/log_g": 0.95}, data={"hash": "h"}, checks=records(failing))
    control = ended("control", 0.3)
    rewritten(control, data={"hash": "h", "overlap": 0, "permuted": True})
    said = report(lab, roadmap).split("## Sanity")[1]
    for line in (
        "Test spectra in the training set, by content: 7 of 101",
        "Test stars in the training set, by labels or ids: 101 of 101",
        "R² of the predictions with the labels of neighbouring rows: 0.7 (limit: 0.25)",
        "R² from the errors shown to the model, without flux: 1 (limit: 0.1)",
    ):
        assert f"- ❌ main: {line}" in said
    assert "❌ Trained on permuted labels (control): R² 0.300 ± 0.004, should be 0" in said
    assert "❌ Bayes ceiling 0.900: exceeded by main" in said


def test_a_run_that_falls_with_its_control_is_marked_in_its_row(
    lab: Lab, roadmap: Path, sound: JobPaths, ended: Ended
) -> None:
    assert sound.result.is_file()
    assert "| main |" in report(lab, roadmap)
    control = ended("control", 0.3)
    rewritten(control, data={"hash": "h", "overlap": 0, "permuted": True})
    row = next(x for x in report(lab, roadmap).splitlines() if x.startswith("| main"))
    assert row.startswith("| main ❌ |")
    assert "0." not in row.split("|", 2)[2]


def test_a_control_decides_nothing_and_is_no_runner_up(
    lab: Lab, roadmap: Path, sound: JobPaths, ended: Ended
) -> None:
    assert sound.result.is_file()
    control = ended("control", -0.001)
    rewritten(control, data={"hash": "h", "overlap": 0, "permuted": True})
    step = plan_mvp(lab, roadmap, "1.0")
    assert step is not None
    assert "runner-up" not in step.summary
    assert "without a result" not in step.summary
    assert "Trained on permuted labels (control): R² -0.001 ± 0.004, consistent with 0" in report(
        lab, roadmap
    )


@pytest.mark.parametrize("source", ["grid", "grid-infinite"])
def test_permuted_labels_are_those_of_other_stars(source: str) -> None:
    plain = DataConfig(source, 200, 20, 30)
    cpu = torch.device("cpu")
    own = open_spectra(plain, 1.0, ("log_g",), cpu)
    dealt = open_spectra(replace(plain, permuted=True), 1.0, ("log_g",), cpu)
    assert dealt.hash == own.hash
    np.testing.assert_array_equal(dealt.labels("test", 0, 30), own.labels("test", 0, 30))
    for split, n in (("train", 200), ("val", 20)):
        mine, theirs = dealt.labels(split, 0, n), own.labels(split, 0, n)
        np.testing.assert_array_equal(np.sort(mine, axis=0), np.sort(theirs, axis=0))
        assert (mine != theirs).mean() > 0.8
        batch = dealt.fixed(split, 3, 9)
        np.testing.assert_array_equal(batch.labels, mine[3:9])
        torch.testing.assert_close(batch.flux, own.fixed(split, 3, 9).flux)
    rows = dealt.order(0, 1)[:50]
    both = [
        one.fresh(0, rows, torch.Generator().manual_seed(1)).labels[:, 0] for one in (dealt, own)
    ]
    assert abs(np.corrcoef(both[0], both[1])[0, 1]) < 0.5
    assert (both[0] != both[1]).mean() > 0.8


def test_an_older_result_is_unknown_where_it_was_not_checked(
    lab: Lab, roadmap: Path, sound: JobPaths
) -> None:
    rewritten(sound, checks={}, data={"hash": "h", "overlap": 2})
    said = report(lab, roadmap).split("## Sanity")[1]
    assert "- ❌ main: Test spectra in the training set, by content: 2 of " in said
    assert "- Test stars in the training set, by labels or ids: unknown (not checked)" in said
    assert "neighbouring rows: unknown (not checked)" in said
    assert "permuted" not in said


def test_a_failing_check_stands_in_the_conclusion(lab: Lab, roadmap: Path, sound: JobPaths) -> None:
    leak = records({**SOUND, INPUT: judged(0.9, 0.1)})
    rewritten(sound, checks=leak)
    step = plan_mvp(lab, roadmap, "1.0")
    assert step is not None
    assert "without flux: 0.9 (limit: 0.1): not a result" in step.summary


@pytest.mark.parametrize("language", ["en", "zh"])
def test_failed_checks_are_lines(sound: JobPaths, language: str) -> None:
    result = read_result(sound.result)
    assert result is not None
    assert failed_checks(result, language) == []
    checks = records({**SOUND, LABELS: judged(3, 0, 20), CEILING: judged(0.1, 0.02)})
    lines = failed_checks(replace(result, checks=checks), language)
    assert (
        lines
        == {
            "en": [
                "Test stars in the training set, by labels or ids: 3 of 20",
                "Above the Bayes ceiling by: 0.1 (limit: 0.02)",
            ],
            "zh": ["训练集中的测试恒星（按标签或 id）：3/20", "高出 Bayes 上限：0.1（界限 0.02）"],
        }[language]
    )


def test_a_model_above_its_ceiling_fails(lab: Lab, sound: JobPaths) -> None:
    result = read_result(sound.result)
    assert result is not None
    below = read_check(checked_against_ceiling(sound, result).checks, CEILING)
    assert below.outcome == "pass"
    assert below.number == pytest.approx(-0.15)
    over = replace(result, values={"test/r2/log_g": 0.95}, errors={"test/r2/log_g": 0.004})
    assert read_check(checked_against_ceiling(sound, over).checks, CEILING).outcome == "fail"
    near = replace(over, values={"test/r2/log_g": 0.91})
    assert read_check(checked_against_ceiling(sound, near).checks, CEILING).outcome == "pass"
    alone = with_ceiling(over, {})
    assert read_check(alone.checks, CEILING) == unknown("no_ceiling")
    assert lab.paths.root.is_dir()
