"""Names of values: read without loss, and what is known of each metric."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitlab.contract.value import (
    NAME,
    Better,
    Value,
    distance,
    for_choosing,
    judged_by,
    measured,
    shown,
    shown_text,
)

WRITTEN = {
    "val/r2": ("val", "r2", ""),
    "val/loss": ("val", "loss", ""),
    "train/loss": ("train", "loss", ""),
    "train/lr": ("train", "lr", ""),
    "perf/samples_per_s": ("perf", "samples_per_s", ""),
    "test/r2/log_g": ("test", "r2", "log_g"),
    "test/mae/T_eff": ("test", "mae", "T_eff"),
    "test/pull2/M_H": ("test", "pull2", "M_H"),
    "test/coverage68/log_g": ("test", "coverage68", "log_g"),
    "test/chi2/per_pixel": ("test", "chi2", "per_pixel"),
    "ceiling/r2_bayes/log_g": ("ceiling", "r2_bayes", "log_g"),
    "ceiling/unsettled/share": ("ceiling", "unsettled", "share"),
    "ceiling@21.5/snr/median": ("ceiling@21.5", "snr", "median"),
    "ceiling@20.5-21/r2_bayes/log_g": ("ceiling@20.5-21", "r2_bayes", "log_g"),
    "test/r2/part/log_g": ("test", "r2", "part/log_g"),
    "loss": ("", "loss", ""),
}


@pytest.mark.parametrize(("name", "parts"), WRITTEN.items())
def test_the_parts_of_every_name_that_is_written(name: str, parts: tuple[str, str, str]) -> None:
    assert Value.parse(name) == Value(*parts)


@given(st.text() | st.text("a/@.", max_size=6) | st.from_regex(NAME, fullmatch=True))
def test_any_text_is_a_name_that_is_given_back(name: str) -> None:
    assert str(Value.parse(name)) == name


@given(*[st.text("ab@.-_1", min_size=1)] * 3)
def test_a_value_is_read_back_from_its_name(split: str, metric: str, label: str) -> None:
    for value in (Value("", metric), Value(split, metric), Value(split, metric, label)):
        assert Value.parse(str(value)) == value


@pytest.mark.parametrize("name", ["", "/", "a/", "/a", "a//b", "//"])
def test_what_is_no_name_is_a_metric_nobody_knows(name: str) -> None:
    value = Value.parse(name)
    assert (value.split, value.metric, value.label) == ("", name, "")
    assert (value.better, value.unit, value.symbol) == (None, None, name)


@pytest.mark.parametrize(
    ("name", "symbol", "unit", "short"),
    [
        ("test/r2/log_g", "R²", "", "R²"),
        ("test/r2/T_eff", "R²", "", "R²(T_eff)"),
        ("test/mae/log_g", "MAE", "dex", "MAE"),
        ("test/mae/T_eff", "MAE", "K", "MAE(T_eff)"),
        ("val/scatter/M_H", "scatter", "dex", "scatter(M_H)"),
        ("val/rmse/age", "RMSE", None, "RMSE(age)"),
        ("test/sigma/T_eff", "σ", "K", "σ(T_eff)"),
        ("ceiling@21/r2_crlb_mean/log_g", "R²_CRLB", "", "R²_CRLB"),
        ("test/coverage683/log_g", "coverage 68.3%", "", "coverage 68.3%"),
        ("train/loss", "loss", "", "loss"),
        ("perf/samples_per_s", "samples_per_s", "1/s", "samples_per_s"),
        ("val/dice/log_g", "dice", None, "dice"),
        ("val/mae_sigma/log_g", "MAE", "σ", "MAE[σ]"),
        ("test/rmse_sigma/T_eff", "RMSE", "σ", "RMSE(T_eff)[σ]"),
    ],
)
def test_symbol_and_unit(name: str, symbol: str, unit: str | None, short: str) -> None:
    value = Value.parse(name)
    assert (value.symbol, value.unit, value.short) == (symbol, unit, short)


def test_a_normalised_value_is_another_than_the_one_in_the_labels_unit() -> None:
    plain = Value.parse("val/mae/log_g")
    twin = plain.normalised
    assert twin is not None
    assert (str(twin), twin.printed, twin.mark) == ("val/mae_sigma/log_g", "MAE_val", " σ")
    assert (plain.mark, plain.is_normalised, twin.is_normalised) == ("", False, True)
    assert twin.normalised == twin
    assert twin.better == plain.better
    assert Value.parse("val/r2/log_g").normalised is None
    numbers = {str(plain): 0.4, str(twin): 0.3}
    assert shown("test/mae/log_g", numbers) == 0.4
    assert plain.rank(0.4)[1] != twin.rank(0.3)[1]


def test_a_ceiling_is_at_a_magnitude_over_a_range_or_of_all() -> None:
    names = ["ceiling@21.5/r2_bayes/log_g", "ceiling@20.5-21/r2_bayes/log_g", "ceiling/r2_bayes/x"]
    assert [Value.parse(name).mag for name in names] == [21.5, None, None]
    assert [Value.parse(name).is_ceiling for name in [*names, "test/r2"]] == [True] * 3 + [False]


def test_the_same_value_on_another_split() -> None:
    value = Value.parse("test/r2/log_g")
    assert str(value.on("train")) == "train/r2/log_g"
    assert str(value.live) == "val/r2/log_g"
    for name in ("ceiling/r2_bayes/log_g", "train/loss", "latest/r2", "loss"):
        assert str(Value.parse(name).live) == name
    assert value.anywhere == Value.parse("val/r2/log_g").anywhere


@pytest.mark.parametrize(
    ("name", "better", "worse"),
    [
        ("test/r2/log_g", 0.9, 0.1),
        ("test/mae/T_eff", 50.0, 90.0),
        ("test/rmse/log_g", 0.1, 0.9),
        ("test/scatter/log_g", 0.1, 0.9),
        ("test/bias/log_g", 0.0, 0.3),
        ("test/bias/log_g", 0.02, -0.4),
        ("test/pull2/log_g", 1.1, 0.2),
        ("test/pull2/log_g", 0.8, 3.0),
        ("test/within1/log_g", 0.68, 0.99),
        ("test/within2/log_g", 0.95, 0.9999),
        ("test/coverage68/log_g", 0.69, 0.8),
        ("test/coverage95/log_g", 0.94, 1.0),
        ("val/loss", -1.5, -1.0),
        ("perf/samples_per_s", 900.0, 100.0),
        ("ceiling/r2_bayes/log_g", 0.79, 0.7),
    ],
)
def test_which_of_two_is_better(name: str, better: float, worse: float) -> None:
    value = Value.parse(name)
    way = value.better
    assert way is not None
    assert way.distance(better) < way.distance(worse)
    assert way.gain(better, worse) == -way.gain(worse, better) > 0
    for numbers in ([better, worse], [worse, None, math.nan, better, math.inf]):
        assert value.best(numbers, lambda x: x) == better
        assert value.ranked(numbers, lambda x: x)[:2] == [better, worse]


@given(st.floats() | st.none(), st.floats(-1e6, 1e6))
def test_no_number_is_worse_than_any(number: float | None, finite: float) -> None:
    for better in (Better("larger"), Better("smaller"), Better("nearest", 1.0)):
        if number is None or not math.isfinite(number):
            assert better.distance(finite) < better.distance(number)


def test_of_an_unknown_metric_nothing_is_best() -> None:
    value = Value.parse("test/dice/log_g")
    assert value.better is None
    assert value.best([0.1, 0.9], lambda x: x) is None
    assert value.best([None, 0.9], lambda x: x) == 0.9
    assert value.ranked([0.5, None, 0.9, 0.1], lambda x: x) == [0.5, 0.9, 0.1, None]


def test_nothing_is_best_of_nothing() -> None:
    value = Value.parse("test/r2/log_g")
    assert value.best([], lambda x: x) is None
    assert value.best([None, math.nan], lambda x: x) is None
    assert value.best(["first", "second"], lambda _: 0.5) == "first"


def test_a_run_is_told_by_its_headline_and_chosen_on_validation() -> None:
    values = {"test/r2/log_g": 0.7, "val/r2/log_g": 0.6}
    assert shown("test/r2/log_g", values) == 0.7
    assert shown("test/r2/log_g", {"val/r2/log_g": 0.6}) == 0.6
    assert shown("test/r2/log_g", {"val/r2/log_g": 0.6, "test/r2/log_g": None}) is None
    assert shown("test/mae/log_g", values) is None
    assert for_choosing("test/r2/log_g", values) == 0.6
    assert for_choosing("test/r2/log_g", {"test/r2/log_g": 0.7}) is None
    assert for_choosing("ceiling/r2_bayes/log_g", {"ceiling/r2_bayes/log_g": 0.7}) == 0.7


def test_a_training_is_judged_by_the_distance_from_perfect() -> None:
    values = {"val/loss": -2.0, "val/r2/a": 0.5, "val/r2/b": 0.7, "val/bias/a": -0.1}
    assert distance("val/loss", values, ["a", "b"]) == -2.0
    assert distance("val/r2", values, ["a", "b"]) == pytest.approx(0.4)
    assert distance("val/r2/a", values, ["a", "b"]) == 0.5
    assert distance("val/bias/a", values, ["a", "b"]) == 0.1


def test_several_runs_are_judged_by_the_commonest_headline() -> None:
    assert judged_by(["a/r2/x", "b/mae/x", "b/mae/x"]) == "b/mae/x"
    assert judged_by(["a/r2/x", "b/mae/x"]) == "a/r2/x"
    assert judged_by([]) == "test/r2/log_g"


@pytest.mark.parametrize(
    ("number", "error", "signed", "text"),
    [
        (0.7, 0.005, False, "0.700 ± 0.005"),
        (0.1996, 0.006, True, "+0.200 ± 0.006"),
        (-0.00041, 0.0031, True, "0.000 ± 0.003"),
        (0.0467, 0.0142, True, "+0.047 ± 0.014"),
        (152.26, 12.4, False, "152 ± 12"),
        (0.71234, None, False, "0.7123"),
        (0.05, 0.0, True, "+0.05"),
    ],
)
def test_a_number_has_the_decimals_of_its_error(
    number: float, error: float | None, signed: bool, text: str
) -> None:
    assert measured(number, error, signed=signed) == text


def test_a_number_on_validation_says_so_once_no_test_will_follow() -> None:
    headline, values = "test/r2/log_g", {"val/r2/log_g": 0.7134}
    assert shown_text(headline, values) == "0.713 val"
    assert shown_text(headline, values, runs=True) == "0.713"
    assert shown_text(headline, {**values, headline: 0.69}, digits=2) == "0.69"
    assert shown_text(headline, {**values, headline: None}) == ""
    assert shown_text("test/mae/log_g", {"val/mae/log_g": 0.2}) == "MAE 0.200 val"
    assert shown_text("val/r2/log_g", values) == "0.713"
