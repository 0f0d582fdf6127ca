"""Bootstrap errors against the spread of repeated samples; the scatter against its definition."""

from __future__ import annotations

import numpy as np
import pytest

from vitlab.contract.value import SCORES
from vitlab.ml import scoring
from vitlab.ml.scoring import metrics, paired, resampled, score

ONES = np.ones((1, 400))


def sample(generator: np.random.Generator, n: int = 400) -> tuple[np.ndarray, ...]:
    """True labels, and two models that share most of their residuals."""
    true = generator.normal(size=n)
    shared = generator.normal(scale=0.6, size=n)
    left = true + shared + generator.normal(scale=0.2, size=n)
    right = true + shared + generator.normal(scale=0.3, size=n)
    return true, left, right


@pytest.mark.parametrize("metric", ["r2", "mae", "scatter"])
def test_the_error_of_a_difference_is_its_spread_over_samples(metric: str) -> None:
    generator = np.random.default_rng(1)
    gaps, errors, apart = [], [], []
    for seed in range(150):
        true, left, right = sample(generator)
        ours = metrics(ONES, true, left)[metric] - metrics(ONES, true, right)[metric]
        gaps.append(float(ours[0]))
        if seed < 12:
            found = paired(true, left, right, metric, seed)
            assert found.value == pytest.approx(gaps[-1])
            errors.append(found.error)
            (counts,) = resampled(400, seed)
            spread = [metrics(counts, true, side)[metric].std() for side in (left, right)]
            apart.append(np.hypot(*spread))
    assert np.mean(errors) == pytest.approx(np.std(gaps), rel=0.2)
    # What both models find hard cancels: as independent numbers the error would be far larger.
    if metric != "scatter":
        assert np.mean(apart) > 1.5 * np.mean(errors)


def test_every_error_is_the_spread_over_samples() -> None:
    generator = np.random.default_rng(2)
    found: dict[str, list[float]] = {name: [] for name in SCORES}
    errors: dict[str, list[float]] = {name: [] for name in SCORES}
    for seed in range(150):
        true, left, _ = sample(generator)
        for name, value in metrics(ONES, true, left).items():
            found[name].append(float(value[0]))
        if seed < 12:
            for name, value in metrics(next(resampled(400, seed)), true, left).items():
                errors[name].append(float(value.std(ddof=1)))
    for name in SCORES:
        assert np.mean(errors[name]) == pytest.approx(np.std(found[name]), rel=0.25), name


def test_a_seed_gives_the_same_error_again() -> None:
    true, left, right = sample(np.random.default_rng(3))
    assert paired(true, left, right, "r2", 7) == paired(true, left, right, "r2", 7)
    assert paired(true, left, left, "r2", 7).error == 0


def test_the_errors_of_very_many_stars_are_those_of_some_scaled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    true, left, right = sample(np.random.default_rng(5), 8000)
    whole = paired(true, left, right, "r2", 7), score(true[:, None], left[:, None], ("a",), 7)
    monkeypatch.setattr(scoring, "_AT_ONCE", 24_000)  # in many parts
    assert paired(true, left, right, "r2", 7).error == pytest.approx(whole[0].error)
    monkeypatch.setattr(scoring, "MOST_DRAWN", 2000)
    some = paired(true, left, right, "r2", 7), score(true[:, None], left[:, None], ("a",), 7)
    assert (some[0].value, some[0].n) == (whole[0].value, 8000)
    assert some[0].error == pytest.approx(whole[0].error, rel=0.15)
    assert some[1].values == whole[1].values
    for value, error in some[1].errors.items():
        assert error == pytest.approx(whole[1].errors[value], rel=0.25), value
    assert max(len(counts) for counts in resampled(8000, 1)) == 3


def test_the_scatter_is_that_of_the_central_68_percent() -> None:
    generator = np.random.default_rng(4)
    residual = generator.normal(scale=0.5, size=20_000)
    residual[:200] = 100  # one in a hundred is lost
    true = generator.normal(size=20_000)
    found = metrics(np.ones((1, 20_000)), true, true + residual)
    low, high = np.quantile(residual, [0.158655, 0.841345])
    assert found["scatter"][0] == pytest.approx((high - low) / 2, rel=1e-3)
    assert found["rmse"][0] > 10 * found["scatter"][0]
    twice = metrics(np.full((1, 20_000), 2.0), true, true + residual)
    assert twice["scatter"][0] == pytest.approx(found["scatter"][0], rel=1e-6)
    residual[0] = np.nan
    assert np.isnan(metrics(np.ones((1, 20_000)), true, true + residual)["scatter"][0])
