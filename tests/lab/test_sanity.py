"""A report says what was checked, and marks what did not hold."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.lab.conftest import Ended
from tests.lab.test_results_table import configured
from vitlab.contract.config import DataConfig
from vitlab.contract.job import read_result, write_result
from vitlab.contract.paths import JobPaths
from vitlab.lab.lab import Lab
from vitlab.lab.writeback.writeback import plan_mvp
from vitlab.ml.spectra.dataset import open_spectra
from vitlab.recipes.scores import permuted_r2


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


@pytest.fixture
def sound(ended: Ended) -> JobPaths:
    ceiling = configured(ended("main", 0.0, mvp="8.0", model="Ceiling"), bayes=4000)
    spec = json.loads(ceiling.spec.read_bytes())
    ceiling.spec.write_text(json.dumps({**spec, "recipe": "ceiling"}), encoding="utf-8")
    rewritten(ceiling, values={"ceiling/r2_bayes/log_g": 0.9})
    job = ended("main", 0.75)
    values = {"test/r2/log_g": 0.75, "test/r2_permuted/log_g": 0.011}
    data = {"hash": "h", "source": "grid", "overlap": 0}
    rewritten(job, values=values, data=data)
    started = {"v": 1, "started": 1.0, "pid": 1, "commit": "0123456789abcdef", "dirty": False}
    job.started.write_text(json.dumps(started), encoding="utf-8")
    return job


def test_a_sound_result_passes_every_check(lab: Lab, roadmap: Path, sound: JobPaths) -> None:
    text = report(lab, roadmap)
    assert "- Labels of other stars: R² of the predictions 0.011 (chance: 0.01)" in text
    assert "- Bayes ceiling 0.900: not exceeded (highest: 0.750)" in text
    assert "- Test stars in the training set: none" in text
    assert "❌" not in text.split("## Sanity")[1]
    assert "main: commit `0123456789ab`, spec `" in text
    assert "r2_permuted" not in text
    assert sound.result.is_file()


def test_what_does_not_hold_is_marked(
    lab: Lab, roadmap: Path, sound: JobPaths, ended: Ended
) -> None:
    values = {"test/r2/log_g": 0.95, "test/r2_permuted/log_g": 0.4}
    rewritten(sound, values=values, data={"hash": "h", "overlap": 7})
    control = ended("control", 0.3)
    rewritten(control, data={"hash": "h", "overlap": 0, "permuted": True})
    said = report(lab, roadmap).split("## Sanity")[1]
    assert "❌ Labels of other stars: R² of the predictions 0.4, far above" in said
    assert "❌ Trained on permuted labels (control): R² 0.300 ± 0.004, and should be none" in said
    assert "❌ Bayes ceiling 0.900: exceeded by main" in said
    assert "❌ Test stars in the training set: 7" in said


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
    assert "Trained on permuted labels (control): R² -0.001 ± 0.004, as good as none" in report(
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


def test_chance_is_one_over_the_stars() -> None:
    generator = np.random.default_rng(0)
    true = generator.normal(size=(1001, 1))
    found = permuted_r2(true, true + 0.1, ("log_g",), 0)["test/r2_permuted/log_g"]
    assert found == pytest.approx(1e-3, rel=0.6)
    assert permuted_r2(true, np.zeros((1001, 1)), ("log_g",), 0) == {}
