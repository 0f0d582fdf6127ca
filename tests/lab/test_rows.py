"""Results side by side: what differs, and what is held against what."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from tests.lab.conftest import Ended
from vitlab.cli import main as vitlab
from vitlab.lab.lab import Lab
from vitlab.lab.results.rows import ResultRow, differing, gaps, result_rows

ROW = ResultRow("a", "1", "r", "full", "m", "h", 0.5, None, None, None, 1.0, 1.0, recipe="vit")


def test_only_what_is_not_the_same_everywhere_differs() -> None:
    one = replace(ROW, settings={"train.lr": 1, "data.mag": [20, 21], "loss": "mse"})
    two = replace(ROW, settings={"train.lr": 2, "data.mag": [20, 21], "loss": "mse"})
    three = replace(ROW, settings={"train.lr": 1, "data.mag": [20, 22], "loss": "l1"})
    assert differing([one, two]) == ["train.lr"]
    assert differing([one, three]) == ["data.mag", "loss"]
    assert differing([one]) == differing([]) == []
    # Another recipe has other keys by the same names; its spectra are the same kind of thing.
    assert differing([one, replace(two, recipe="lightgbm")]) == []
    assert differing([one, replace(three, recipe="lightgbm")]) == ["data.mag"]


def test_every_result_is_a_row_and_without_residuals_nothing_is_paired(
    lab: Lab, ended: Ended
) -> None:
    ended("one", 0.75)
    ended("two", 0.5, profile="demo")
    ended("bad", 0.1, outcome="failed")
    rows = result_rows(lab)
    assert {(row.run, row.score, row.profile) for row in rows} == {
        ("one", 0.75, "full"),
        ("two", 0.5, "demo"),
    }
    assert gaps(lab, rows[0].job) == {}
    assert gaps(lab, "nowhere") == {}


def test_screen_compare_and_sql_agree_on_what_differs(
    lab: Lab, ended: Ended, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One run spells a default out, another repeats over seeds, a third really differs."""
    monkeypatch.chdir(lab.paths.root)
    configs: dict[str, dict[str, Any]] = {
        "plain": {},
        "spelled": {"loss": "mse", "train": {"optimizer": "adamw"}},
        "again seed=43": {"train": {"seed": 43}},
        "again seed=44": {"train": {"seed": 44}},
        "other": {"train": {"batch": 7}},
    }
    for run, config in configs.items():
        job = ended(run)
        spec = json.loads(job.spec.read_bytes())
        job.spec.write_text(json.dumps({**spec, "recipe": "vit", "config": config}), "utf-8")
    assert vitlab(["compare", "--json"]) == 0
    compared = json.loads(capsys.readouterr().out)
    screen = result_rows(lab)
    assert vitlab(["compare", "--sql", "SELECT * FROM results", "--json"]) == 0
    table = pl.DataFrame(json.loads(capsys.readouterr().out))
    no_choice = {"config.train.seed"}
    by_sql = [
        name.removeprefix("config.")
        for name in table.columns
        if name.startswith("config.") and name not in no_choice and table[name].n_unique() > 1
    ]
    by_command = [name.removeprefix("config.") for name in compared[0] if "." in name]
    assert differing(screen) == by_command == by_sql == ["train.batch"]
    repeats = {row["run"]: row["seeds"] for row in compared}
    assert repeats == {"plain": 1, "spelled": 1, "again": 2, "other": 1}
    groups = {row.group for row in screen if row.run.startswith("again")}
    assert groups == set(table.filter(pl.col("run").str.starts_with("again"))["group"])
    assert len(groups) == 1


def test_a_default_spelled_out_makes_no_other_configuration(lab: Lab, ended: Ended) -> None:
    for seed, loss in ((1, {"loss": "mse"}), (2, {})):
        job = ended(f"run seed={seed}")
        spec = json.loads(job.spec.read_bytes())
        config = {**loss, "train": {"seed": seed}}
        job.spec.write_text(json.dumps({**spec, "recipe": "vit", "config": config}), "utf-8")
    assert len({row.group for row in result_rows(lab)}) == 1
