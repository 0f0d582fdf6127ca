"""Configurations: what is refused, in which words."""

from __future__ import annotations

import pytest

from vitlab.contract.config import ConfigError, DataConfig, RidgeConfig, VitConfig, read_config
from vitlab.contract.paths import UsageError
from vitlab.contract.value import distance

REFUSED = [
    ("vit", {"model": {"pach": 16}}, "config.model.pach: unknown key; did you mean patch? (allow"),
    ("vit", {"modell": {}}, "config.modell: unknown key; did you mean model? (allowed: data,"),
    ("vit", {"model": {"patch": 1}}, "config.model.patch: must be >= 2 and <= 4096, not 1"),
    ("vit", {"model": {"heads": 7}}, "config.model.heads: 7 does not divide hidden = 128"),
    ("vit", {"model": {"patch": 8, "stride": 9}}, "config.model.stride: must be <= patch = 8"),
    ("vit", {"model": {"positions": "ropes"}}, "config.model.positions: unknown value 'ropes'"),
    ("vit", {"model": None}, "config.model: must be a mapping, not None"),
    ("vit", {"loss": "msee"}, "config.loss: unknown value 'msee'; did you mean mse?"),
    ("vit", {"labels": "log_g"}, "config.labels: must be a list, not 'log_g'"),
    ("vit", {"labels": []}, "config.labels: must not be empty"),
    ("vit", {"labels": ["logg"]}, "config.labels[0]: unknown label 'logg'; did you mean log_g?"),
    ("vit", {"labels": ["log_g", "log_g"]}, "config.labels: lists a label twice"),
    ("vit", {"train": {"lr": 0}}, "config.train.lr: must be > 0, not 0.0"),
    ("vit", {"train": {"lr": "fast"}}, "config.train.lr: must be a number, not 'fast'"),
    ("vit", {"train": {"lr": float("nan")}}, "config.train.lr: must be a number, not nan"),
    ("vit", {"noise": {"level": 1e300}}, "config.noise.level: must be at most 1e+15 in size, not "),
    ("vit", {"noise": {"level": 1e9}}, "config.noise.level: must be >= 0 and <= 1e+06, not 100000"),
    ("vit", {"data": {"mag": [-1e300, 1e300]}}, "config.data.mag[0]: must be at most 1e+15 in"),
    ("vit", {"data": {"seed": 10**400}}, "config.data.seed: must be at most 1e+15 in size, not 10"),
    ("vit", {"train": {"lr": float("inf")}}, "config.train.lr: must be at most 1e+15 in size, not"),
    ("vit", {"train": {"epochs": True}}, "config.train.epochs: must be a whole number, not True"),
    ("vit", {"train": {"epochs": 1.5}}, "config.train.epochs: must be a whole number, not 1.5"),
    (
        "vit",
        {"train": {"batch": 100, "accumulate": 3, "processes": 2}},
        "config.train.batch: 100 is not a multiple of accumulate x processes = 6",
    ),
    (
        "vit",
        {"train": {"monitor": "val/r2/logg"}},
        "config.train.monitor: unknown value 'val/r2/logg'; did you mean val/r2/log_g? (allowed: "
        "val/r2, val/loss, val/r2/log_g, val/mae/log_g, val/rmse/log_g, val/bias/log_g, ",
    ),
    ("mlp", {"train": {"monitor": "val/pull2/log_g"}}, "config.train.monitor: unknown value 'val"),
    ("vit", {"train": {"optimizer": "muons"}}, "config.train.optimizer: unknown value 'muons'; di"),
    ("vit", {"train": {"schedule": "cos"}}, "config.train.schedule: unknown value 'cos'"),
    ("vit", {"train": {"precision": "fp8"}}, "config.train.precision: unknown value 'fp8'"),
    ("vit", {"train": {"on_nonfinite": "go"}}, "config.train.on_nonfinite: unknown value 'go'"),
    (
        "vit",
        {"train": {"compile": "yes"}},
        "config.train.compile: must be true or false, not 'yes'",
    ),
    ("vit", {"train": {"min_lr": 1}}, "config.train.min_lr: must be <= lr = 0.001"),
    (
        "vit",
        {"train": {"emma": 0.9}},
        "config.train.emma: unknown key; did you mean ema? (allowed:",
    ),
    (
        "vit",
        {"label_weights": [1, 2]},
        "config.label_weights: must be one per label (1), not 2",
    ),
    ("vit", {"data": {"mag": [20]}}, "config.data.mag: must be a list of 2, not of 1"),
    ("vit", {"data": {"mag": [22, 20]}}, "config.data.mag: must be ascending, not [22, 20]"),
    ("vit", {"data": {"source": ""}}, "config.data.source: must be text, not ''"),
    (
        "vit",
        {"noise": {"level": 0}, "model": {"input": "whitened"}},
        "config.model.input: 'whitened' divides by the noise, but the noise level is 0",
    ),
    ("ceiling", {"noise": {"level": 0}}, "config.noise.level: must be > 0"),
    (
        "ceiling",
        {"data": {"source": "x.h5"}},
        "config.data.source: needs the grid, not a file (allowed: grid, gr",
    ),
    ("ridge", {"model": {"alphas": [1, 0]}}, "config.model.alphas[1]: must be > 0, not 0.0"),
    ("command", {}, "config.argv: missing"),
    ("vitt", {}, "recipe: unknown recipe 'vitt'; did you mean vit? (allowed: vit, mlp,"),
]


@pytest.mark.parametrize(("recipe", "mapping", "text"), REFUSED)
def test_refusals_name_the_key_and_what_is_allowed(
    recipe: str, mapping: dict[str, object], text: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(recipe, mapping)
    assert str(caught.value).startswith(text)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, UsageError)
    assert str(caught.value).startswith(caught.value.key)


def test_numbers_as_yaml_reads_them() -> None:
    config = read_config("vit", {"train": {"lr": "3e-4"}, "data": {"train_size": "1e6"}})
    assert isinstance(config, VitConfig)
    assert config.train.lr == 3e-4
    assert config.data.train_size == 1_000_000
    assert isinstance(config.data.train_size, int)


def test_defaults_are_the_network_nearest_the_ceiling() -> None:
    config = read_config("vit", {})
    assert config == VitConfig()
    assert (config.model.tokenizer, config.model.patch, config.model.hidden) == ("LC", 1024, 128)
    assert read_config("ridge", {"data": {"seed": 1}}) == RidgeConfig(data=DataConfig(seed=1))


def test_a_likelihood_has_more_to_monitor() -> None:
    config = read_config("vit", {"loss": "nll", "train": {"monitor": "val/pull2/log_g"}})
    assert isinstance(config, VitConfig)
    assert distance("val/pull2/log_g", {"val/pull2/log_g": 0.75}, ("log_g",)) == 0.25
    r2 = {"val/r2/log_g": 0.5, "val/r2/M_H": 0.7}
    assert distance("val/r2", r2, ("log_g", "M_H")) == pytest.approx(0.4)


def test_labels_of_a_file_are_free() -> None:
    config = read_config("vit", {"data": {"source": "x.h5"}, "labels": ["a_M"]})
    assert isinstance(config, VitConfig)
    assert config.labels == ("a_M",)
