"""Results side by side: what differs, and what is held against what."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from tests.lab.conftest import Ended
from vitlab.cli import main as vitlab
from vitlab.jobs.experiment.command import options_of
from vitlab.lab.lab import Lab
from vitlab.lab.results.rows import ResultRow, changed_settings, differing, gaps, result_rows

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


def test_a_row_has_the_settings_that_are_not_those_of_most_or_of_the_reference() -> None:
    rows = [
        replace(ROW, job=name, settings={"lr": lr})
        for name, lr in zip("abc", (1, 1, 2), strict=True)
    ]
    assert changed_settings(rows, "") == {"a": [], "b": [], "c": ["lr"]}
    assert changed_settings(rows, "c") == {"a": ["lr"], "b": ["lr"], "c": []}
    assert changed_settings(rows[1:], "") == {"b": ["lr"], "c": ["lr"]}
    assert changed_settings(rows[:2], "") == {"a": [], "b": []}
    other = replace(rows[2], job="d", recipe="lightgbm")
    assert changed_settings([*rows[:2], other], "") == {"a": [], "b": [], "d": []}


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


def as_commands(lab: Lab, ended: Ended, configs: Mapping[str, Mapping[str, Any]]) -> None:
    for run, config in configs.items():
        job = ended(run)
        spec = json.loads(job.spec.read_bytes())
        job.spec.write_text(json.dumps({**spec, "recipe": "command", "config": config}), "utf-8")


def test_commands_differ_in_their_settings_and_not_in_their_folders(
    lab: Lab, ended: Ended, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(lab.paths.root)
    program = ["python", "-u", "a_long/folder/of/programs/that/fills/the/row/train.py"]
    configs: dict[str, dict[str, Any]] = {
        "by args": {"argv": [*program, "--lr", "{lr}", "--out", "a"], "args": {"lr": 0.1}},
        "by hand": {"argv": [*program, "--lr=0.2", "--amp", "--out", "b"], "cwd": "elsewhere"},
        "hydra": {"argv": [*program, "lr=0.3", "--seed", "5"], "resume_argv": ["python", "on.py"]},
    }
    as_commands(lab, ended, configs)
    rows = result_rows(lab)
    assert differing(rows) == ["args.lr"]
    assert {row.run: row.settings["args.lr"] for row in rows} == {
        "by args": 0.1,
        "by hand": 0.2,
        "hydra": 0.3,
    }
    assert vitlab(["compare", "--sort", "lr", "--reverse"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["MVP", "RUN", "MODEL", "LR", "SEED", "TEST/R2/LOG_G"]
    assert [line.split()[-5:-2] for line in lines[1:]] == [
        ["0.3", "5", "0.7500"],
        ["0.2", "-", "0.7500"],
        ["0.1", "-", "0.7500"],
    ]
    as_commands(lab, ended, {"other": {"argv": [*program[:2], "other.py", "--lr", "0.1"]}})
    assert differing(result_rows(lab)) == ["argv", "args.lr"]
    assert vitlab(["compare"]) == 0
    out = capsys.readouterr().out
    assert "python -u a_long/folder/of/programs/t...  " in out
    assert "python -u other.py  " in out


@pytest.mark.parametrize(
    ("argv", "program", "options"),
    [
        ("python train.py --lr 1e-3 --batch-size=64 --amp", "python train.py",
         {"lr": 0.001, "batch_size": 64, "amp": True}),
        ("python -m pack.train --mag 20 22.5 --name a=b", "python -m pack.train",
         {"mag": [20, 22.5], "name": "a=b"}),
        ("torchrun --nproc_per_node 2 train.py model.lr=0.1 +seed=3", "torchrun train.py",
         {"nproc_per_node": 2, "model.lr": 0.1, "seed": 3}),
        ("python train.py --offset -0.5 -v", "python train.py -v", {"offset": -0.5}),
        ("./train", "./train", {}),
    ],
)  # fmt: skip
def test_a_command_line_is_a_program_and_its_settings(
    argv: str, program: str, options: dict[str, Any]
) -> None:
    assert options_of(argv.split()) == (program.split(), options)
