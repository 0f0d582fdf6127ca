"""R², RMSE, MAE and the labels' own scatter of one run agree, or a line says which do not."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitlab.contract.contradictions import contradictions, find_contradictions


def scores(errors: list[float], labels: list[float], unit: float = 1.0) -> dict[str, float]:
    """The scores of one split on its true labels, errors in units of `unit`."""
    mean, centre = statistics.fmean(labels), sorted(errors)
    n = len(errors)
    square = statistics.fmean(e * e for e in errors)
    return {
        "r2": 1 - square / statistics.fmean((x - mean) ** 2 for x in labels),
        "mae": statistics.fmean(map(abs, errors)) / unit,
        "rmse": math.sqrt(square) / unit,
        "bias": statistics.fmean(errors) / unit,
        "scatter": (centre[int(0.8415 * n)] - centre[int(0.1585 * n)]) / 2 / unit,
    }


def named(split: str, label: str, numbers: dict[str, float], tail: str = "") -> dict[str, float]:
    return {
        f"{split}/{name}{'' if name == 'r2' else tail}/{label}": x for name, x in numbers.items()
    }


def run(seed: int, std: float, noise: float, n: int = 2000) -> tuple[list[float], list[float]]:
    """Errors and labels of some stars; a few errors are far out."""
    rng = random.Random(seed)
    errors = [rng.gauss(0.1 * noise, noise) * (8 if rng.random() < 0.01 else 1) for _ in range(n)]
    return errors, [rng.gauss(3.0, std) for _ in range(n)]


@given(
    st.integers(0, 50),
    st.sampled_from([("log_g", 1.302), ("T_eff", 700.0), ("M_H", 0.62), ("age", 3.1)]),
    st.floats(0.05, 0.9),
    st.sampled_from([2, 3, 4, 16]),
)
def test_true_scores_never_contradict_each_other(
    seed: int, label: tuple[str, float], share: float, digits: int
) -> None:
    name, std = label
    values: dict[str, float | None] = {}
    for split, shift in (("val", 0), ("test", 1), ("train", 2)):
        errors, labels = run(2 * seed + shift, std, std * share, 400)
        values |= named(split, name, scores(errors, labels))
        values |= named(split, name, scores(errors, labels, statistics.pstdev(labels)), "_sigma")
    rounded = {key: None if x is None else round(x, digits) for key, x in values.items()}
    assert contradictions(rounded) == []


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_errors_in_normalised_units_beside_ones_in_dex(share: float) -> None:
    errors, labels = run(1, 1.302, 1.302 * share)
    val = scores(errors, labels, unit=statistics.pstdev(labels))
    lines = contradictions(
        {**named("val", "log_g", val), **named("test", "log_g", scores(errors, labels))}
    )
    assert len(lines) == 2
    assert "standard deviation of 1.000 dex" in lines[0]
    assert "`unit: sigma`" in lines[0]
    assert f"is {statistics.pstdev(labels):.3g}" in lines[1]
    assert " on test but 1 on val" in lines[1]


@pytest.mark.parametrize("names", [["r2", "mae"], ["r2", "rmse"], ["r2", "mae", "rmse"]])
def test_a_temperature_in_normalised_units(names: list[str]) -> None:
    errors, labels = run(2, 700.0, 200.0)
    numbers = scores(errors, labels, unit=statistics.pstdev(labels))
    lines = contradictions(named("val", "T_eff", {name: numbers[name] for name in names}))
    assert len(lines) == 1
    assert "units" in lines[0]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"val/r2/log_g": 71.3}, "val log_g: R² 71.3 is above 1"),
        ({"val/mae/log_g": -0.2}, "val log_g: MAE -0.2 is below 0"),
        (
            {"val/mae": 0.37, "val/rmse": 0.3},
            "val: MAE 0.37 is larger than RMSE 0.3, which no errors allow",
        ),
        (
            {"test/bias/log_g": -0.5, "test/mae/log_g": 0.2},
            "test log_g: bias -0.5 is larger than MAE 0.2, which no errors allow",
        ),
        (
            {"test/scatter/log_g": 0.9, "test/rmse/log_g": 0.3},
            "test log_g: scatter 0.9 is larger than RMSE 0.3, which no errors allow",
        ),
        (
            {"val/mae_sigma/log_g": 0.37, "val/rmse_sigma/log_g": 0.3},
            "val log_g: MAE[σ] 0.37 is larger than RMSE[σ] 0.3, which no errors allow",
        ),
        (
            {"val/r2/log_g": 0.9, "val/rmse_sigma/log_g": 0.5},
            "val log_g: R², RMSE[σ] imply labels with a standard deviation of 1.58 σ, "
            "which should be 1",
        ),
        (
            {"val/r2/log_g": 0.84, "val/rmse/log_g": 0.8, "val/label_std/log_g": 1.302},
            "val log_g: the labels' standard deviation is 2 by R², RMSE but 1.3 by label_std: "
            "one of these is in other units, of other stars, or a mean over batches",
        ),
    ],
)
def test_each_kind_is_one_line(values: dict[str, float | None], line: str) -> None:
    assert contradictions(values) == [line]
    assert all(one.text("zh") for one in find_contradictions(values))


def test_what_is_not_finite_or_of_a_ceiling_says_nothing() -> None:
    assert contradictions({"val/r2/log_g": math.nan, "val/rmse/log_g": None}) == []
    assert contradictions({"ceiling@21/sigma/log_g": 3.0, "ceiling@21/rmse/log_g": 0.1}) == []
    assert contradictions({}) == []


@given(
    st.dictionaries(
        st.sampled_from(
            [
                f"{split}/{metric}/{label}"
                for split in ("val", "test")
                for metric in ("r2", "mae", "rmse", "mse", "bias", "scatter", "rmse_sigma")
                for label in ("log_g", "T_eff", "x")
            ]
        ),
        st.none() | st.floats() | st.floats(-2, 2),
    )
)
def test_any_numbers_are_taken(values: dict[str, float | None]) -> None:
    for one in find_contradictions(values):
        assert "\n" not in one.text("en") + one.text("zh")
