"""Repeats over seeds: one line of YAML, stable names, everything else the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.jobs.test_experiment import COMPARISON, HEAD, write
from vitlab.contract.job import Spec, base_name
from vitlab.contract.paths import UsageError
from vitlab.jobs.experiment.experiment import load_experiment
from vitlab.lab.results.run_settings import seed_of, seedless_hash, settings_of


def specs(folder: Path, text: str, profile: str = "full") -> list[Spec]:
    return load_experiment(write(folder, text)).specs(profile, "VIT-20251226-x-01")


def test_each_run_is_repeated_with_a_seed_of_its_own(tmp_path: Path) -> None:
    once = specs(tmp_path, HEAD)
    found = specs(tmp_path, f"{HEAD}repeats: 3\n")
    assert [spec.run for spec in once] == ["main"]
    assert [spec.run for spec in found] == ["seed=42", "seed=43", "seed=44"]
    assert [spec.config["train"]["seed"] for spec in found] == [42, 43, 44]
    assert len({seedless_hash(spec) for spec in found}) == 1
    assert len({spec.hash for spec in found}) == 3
    assert {base_name(spec.run) for spec in found} == {"main"}


def test_seeds_and_a_matrix_multiply(tmp_path: Path) -> None:
    text = f"{HEAD}seeds: [1, 7]\nmatrix: {{loss: [mse, l1]}}\n"
    found = specs(tmp_path, text)
    names = ["loss=mse,seed=1", "loss=mse,seed=7", "loss=l1,seed=1", "loss=l1,seed=7"]
    assert [spec.run for spec in found] == names
    assert [base_name(name) for name in names] == ["loss=mse", "loss=mse", "loss=l1", "loss=l1"]
    assert len({seedless_hash(spec) for spec in found}) == 2


def test_seeds_count_from_the_runs_own_and_a_profile_may_do_with_fewer(tmp_path: Path) -> None:
    text = (
        f"{HEAD}repeats: 2\nconfig: {{train: {{seed: 10, epochs: 3}}}}\n"
        "profiles: {smoke: {repeats: 1, train.epochs: 1}, demo: {train: {seed: 99}}}\n"
    )
    assert [spec.config["train"]["seed"] for spec in specs(tmp_path, text)] == [10, 11]
    (smoke,) = specs(tmp_path, text, "smoke")
    assert (smoke.run, smoke.config["train"]) == ("main", {"seed": 10, "epochs": 1})
    demo = specs(tmp_path, text, "demo")
    assert [(s.run, s.config["train"]["seed"]) for s in demo] == [("seed=10", 10), ("seed=11", 11)]


def test_what_draws_nothing_is_run_once(tmp_path: Path) -> None:
    text = COMPARISON.replace("runs:\n", "repeats: 2\nruns:\n  - {name: T, recipe: template}\n")
    assert [spec.run for spec in specs(tmp_path, text)] == [
        "T",
        "ViT seed=42",
        "ViT seed=43",
        "LightGBM seed=42",
        "LightGBM seed=43",
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("repeats: 0", "repeats: 0 is not a number from 1 to 100"),
        ("repeats: yes", "repeats: True is not a number"),
        ("repeats: 2.5", "repeats: 2.5 is not a number"),
        ("seeds: [1, 1]", "seeds: must be a list of 1 to 100 different numbers"),
        ("seeds: []", "seeds: must be a list"),
        ("seeds: [-1]", "seeds: must be a list"),
        ("repeats: 2\nseeds: [1]", "keep one of them"),
    ],
)
def test_nonsense_is_refused_with_its_line(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        specs(tmp_path, f"{HEAD}{line}\n")
    assert said in str(caught.value)
    assert "x.yaml:4" in str(caught.value)


def test_a_command_is_repeated_too(tmp_path: Path) -> None:
    head = HEAD.replace("recipe: vit", "recipe: command")
    text = f"{head}config: {{argv: [train, '{{seed}}']}}\n"
    (once,) = specs(tmp_path, text)
    assert (once.run, once.config) == ("main", {"argv": ["train", "{seed}"]})
    found = specs(tmp_path, f"{text}repeats: 2\n")
    assert [(spec.run, spec.config["seed"]) for spec in found] == [("seed=42", 42), ("seed=43", 43)]
    assert len({seedless_hash(spec) for spec in found}) == 1
    assert [seed_of(settings_of(spec)) for spec in (once, *found)] == [None, 42, 43]


def test_settings_as_documents_have_them_hide_secrets(tmp_path: Path) -> None:
    head = HEAD.replace("recipe: vit", "recipe: command")
    argv = "[python, train.py, --lr, '0.1', --api-key, abc123, --hf_token=hf_AbCdEfGhIj]"
    (spec,) = specs(tmp_path, f"{head}config: {{argv: {argv}, env: {{WANDB_API_KEY: abc}}}}\n")
    shown = {name: value for name, value in settings_of(spec).items() if value is not None}
    other = replace(spec, config={**spec.config, "env": {"WANDB_API_KEY": "another"}})
    assert seedless_hash(other) != seedless_hash(spec)  # what is hidden may be a setting
    assert shown["args.lr"] == 0.1
    assert {shown[name] for name in ("args.api_key", "args.hf_token", "env.WANDB_API_KEY")} == {
        "***"
    }
