"""The spline against scipy's, star by star; its derivatives against differences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline

from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.grid import Grid, OutOfGrid, load_grid
from vitlab.ml.spectra.labels import LABELS, RANGES

LABEL = st.tuples(*(st.floats(*RANGES[name]) for name in LABELS))


@pytest.fixture(scope="module")
def grid() -> Grid:
    return load_grid()


def test_packaged_grid_has_the_documented_shape(grid: Grid) -> None:
    assert grid.wave.shape == (4096,)
    assert (grid.wave[0], grid.wave[-1]) == pytest.approx((7100, 8850), abs=1)
    assert grid.nodes.shape == (350, 4096)
    ranges = {name: (axis[0], axis[-1]) for name, axis in zip(LABELS, grid.axes, strict=True)}
    assert ranges == RANGES


@settings(deadline=None, max_examples=20)
@given(LABEL)
def test_flux_is_scipys_nested_spline(label: tuple[float, float, float]) -> None:
    grid = load_grid()
    wanted = grid.nodes.numpy().reshape(10, 5, 7, -1)[..., ::64].astype(np.float64)
    for axis, x in zip(grid.axes, label, strict=True):
        wanted = CubicSpline(axis, wanted, axis=0)(x)
    found = grid.flux(torch.tensor([label], dtype=torch.float64))[0, ::64]
    np.testing.assert_allclose(found.numpy(), wanted, atol=2e-5)


def test_a_node_is_itself(grid: Grid) -> None:
    corners = torch.tensor([[3750, 1, -2.5], [6000, 5, 0.75], [4500, 3, 0]]).double()
    found = grid.flux(corners)
    wanted = grid.nodes.reshape(10, 5, 7, -1)
    for k, (i, j, m) in enumerate([(0, 0, 0), (9, 4, 6), (3, 2, 4)]):
        torch.testing.assert_close(found[k], wanted[i, j, m], atol=1e-6, rtol=0)


@settings(deadline=None, max_examples=20)
@given(LABEL)
def test_weights_sum_to_one_and_slopes_to_nothing(label: tuple[float, float, float]) -> None:
    grid = load_grid().to("cpu", torch.float64)
    one = torch.tensor([label], dtype=torch.float64)
    flat = Grid(grid.wave, grid.axes, torch.ones(350, 1).double(), grid.cardinals, grid.breaks)
    assert float(grid.weights(one).sum()) == pytest.approx(1, abs=1e-9)
    assert flat.derivatives(one).abs().max() < 1e-9


def test_derivatives_are_those_of_the_flux(grid: Grid) -> None:
    exact = grid.to("cpu", torch.float64)
    at = torch.tensor([[4312.0, 2.7, -0.8], [5900.0, 1.2, 0.6]]).double()
    slopes = exact.derivatives(at)
    for k, width in enumerate((1e-2, 1e-5, 1e-5)):
        shift = torch.zeros(3).double()
        shift[k] = width
        wanted = (exact.flux(at + shift) - exact.flux(at - shift)) / (2 * width)
        torch.testing.assert_close(slopes[:, k], wanted, atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ((3000.0, 3, 0), "T_eff = 3000 is outside the grid (3750 to 6000)"),
        ((5000.0, 5.5, 0), "log_g = 5.5 is outside the grid (1 to 5)"),
        ((5000.0, 3, float("nan")), "M_H = nan is outside the grid (-2.5 to 0.75)"),
    ],
)
def test_outside_the_grid(grid: Grid, label: tuple[float, float, float], text: str) -> None:
    with pytest.raises(OutOfGrid) as caught:
        grid.flux(torch.tensor([label]).double())
    assert str(caught.value) == text


def test_a_file_that_is_no_grid(tmp_path: Path) -> None:
    (tmp_path / "x.h5").write_bytes(b"no")
    with pytest.raises(UsageError, match=r"x\.h5: not a readable HDF5 file"):
        load_grid(tmp_path / "x.h5")
    with pytest.raises(UsageError, match="no such file"):
        load_grid(tmp_path / "y.h5")
