"""What a model hangs on: weights, finite differences, sums, and the linear-Gaussian truth."""

from __future__ import annotations

from pathlib import Path

import h5py
import lightgbm as lgb
import numpy as np
import pytest
import torch

from vitlab.contract.networks import VitModel
from vitlab.ml.baselines.ridge import Ridge
from vitlab.ml.baselines.trees import Boost
from vitlab.ml.explain import (
    MOST_TOKENS,
    attention_by_pixel,
    attention_shares,
    contributions,
    gradient,
    noise_response,
    rollout,
)
from vitlab.ml.network.vit import Attention, ViT, patch_starts
from vitlab.ml.spectra.file_spectra import FileSpectra
from vitlab.ml.spectra.grid import load_grid
from vitlab.ml.spectra.held_out import in_vacuum
from vitlab.ml.spectra.inputs import Inputs
from vitlab.ml.spectra.labels import LABELS
from vitlab.ml.spectra.lines import Line, known_lines, lines_between, shares, vacuum
from vitlab.ml.spectra.observation import Batch, load_noise
from vitlab.ml.spectra.pfsspec import make_file, open_spectra_files
from vitlab.ml.spectra.simulate import Simulator
from vitlab.ml.theory.fisher import (
    agreement,
    derivatives_at,
    efficient,
    information,
    marginal_variance,
)

PIXELS = 64
TINY = VitModel(patch=16, stride=12, hidden=8, layers=2, heads=2, positions="rope")


def star(pixels: int = PIXELS, dtype: torch.dtype = torch.float64) -> Batch:
    generator = torch.Generator().manual_seed(3)
    flux = 1 + 0.1 * torch.randn(1, pixels, generator=generator, dtype=dtype)
    error = 0.01 + 0.05 * torch.rand(1, pixels, generator=generator, dtype=dtype)
    error[0, 5] = torch.inf  # no datum
    return Batch(flux, error, np.zeros((1, 1)))


@pytest.mark.parametrize("kind", ["flux", "whitened"])
def test_a_linear_model_hangs_on_its_weights(kind: str) -> None:
    batch = star()
    sky = torch.linspace(0.5, 2, PIXELS, dtype=torch.float64)
    ridge = Ridge(np.random.default_rng(0).normal(size=(PIXELS, 2)), np.zeros(2))
    weights = torch.from_numpy(ridge.weights)
    slope = gradient(lambda x: x @ weights, Inputs(kind, sky), batch, 1)
    expected = ridge.weights[:, 1] / (sky.numpy() if kind == "whitened" else 1)
    np.testing.assert_allclose(slope[0], expected, rtol=1e-12)
    moved = noise_response(slope, batch.error)
    assert np.isnan(moved[5])
    known = np.arange(PIXELS) != 5
    np.testing.assert_allclose(moved[known], (expected * batch.error[0].numpy())[known])


@pytest.mark.parametrize("kind", ["flux/error", "flux+error"])
def test_the_gradient_of_a_vit_is_its_finite_difference(kind: str) -> None:
    torch.manual_seed(1)
    model = VitModel(**{**vars(TINY), "input": kind})
    network = ViT(model, PIXELS, 2).double().eval()
    torch.nn.init.normal_(network.head.weight)
    batch = star()
    batch.error[0, 5] = 0.02
    inputs = Inputs(kind, torch.ones(PIXELS, dtype=torch.float64))
    slope = gradient(network, inputs, batch, 1)
    for pixel in (0, 13, 30, 63):
        ends = []
        for step in (-1e-5, 1e-5):
            flux = batch.flux.clone()
            flux[0, pixel] += step
            with torch.no_grad():
                ends.append(float(network(inputs(Batch(flux, batch.error, batch.labels)))[0, 1]))
        assert float(slope[0, pixel]) == pytest.approx((ends[1] - ends[0]) / 2e-5, rel=1e-5)


def test_what_the_pixels_add_sums_to_what_the_trees_say() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 10)).astype(np.float32)
    data = lgb.Dataset(x, label=x[:, 2] - x[:, 7])
    parameters = {"verbosity": -1, "num_threads": 1, "min_data_in_leaf": 5}
    booster = lgb.train(parameters, data, num_boost_round=8)
    boost = Boost([booster], np.array([4.0]), rounds=6)
    parts = contributions(boost, x[:1], 0)
    middle = np.asarray(booster.predict(x[:1], num_iteration=6, pred_contrib=True))[0, -1]
    assert parts.sum() + middle + 4.0 == pytest.approx(float(boost.predict(x[:1])[0, 0]))
    assert set(np.argsort(-abs(parts))[:2]) == {2, 7}


def test_attention_is_made_again_as_the_layers_make_it() -> None:
    torch.manual_seed(0)
    # With one head and no rotation, the shares times the values are what the layer puts out.
    network = ViT(VitModel(**{**vars(TINY), "heads": 1, "positions": "learned"}), PIXELS, 1).eval()
    for parameter in network.blocks.parameters():  # else all look everywhere alike
        torch.nn.init.normal_(parameter, std=0.5)
    layer = next(part for part in network.modules() if isinstance(part, Attention))
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    layer.register_forward_hook(lambda _, given, out: seen.append((given[0], out)))
    first, last = attention_shares(network, torch.randn(1, PIXELS))
    assert first.shape == last.shape == (TINY.tokens(PIXELS),) * 2
    torch.testing.assert_close(first.sum(dim=1), torch.ones(len(first)).double())
    assert float(first.std()) > 0.01
    tokens, out = seen[0]
    values = layer.qkv(tokens).view(1, len(first), 3, TINY.hidden)[0, :, 2]
    torch.testing.assert_close(layer.out(first.float() @ values), out[0], rtol=1e-4, atol=1e-5)


def test_rollout_is_shared_out_over_the_pixels_of_each_patch() -> None:
    uniform = torch.full((4, 4), 0.25).double()
    mixed = rollout([uniform, uniform])
    torch.testing.assert_close(mixed.sum(dim=1), torch.ones(4).double())
    assert float(mixed[0, 0]) == pytest.approx(0.25 + 0.75 * 0.25)
    for pool in ("cls", "mean"):
        network = ViT(VitModel(**{**vars(TINY), "pool": pool}), PIXELS, 1)
        spread = attention_by_pixel(network, torch.randn(1, PIXELS))
        assert spread is not None
        assert spread.shape == (PIXELS,)
        assert spread.sum() == pytest.approx(1)
        covers = np.zeros(PIXELS)
        for start in patch_starts(PIXELS, TINY.patch, TINY.stride or TINY.patch).tolist():
            covers[start : start + TINY.patch] += 1
        assert np.corrcoef(spread, covers)[0, 1] > 0.9  # nothing is learned: all look alike
    long = ViT(VitModel(**{**vars(TINY), "patch": 2, "stride": 1}), 2 + MOST_TOKENS, 1)
    assert attention_by_pixel(long, torch.randn(1, 2 + MOST_TOKENS)) is None


def test_the_efficient_estimator_is_unbiased_and_reaches_the_bound() -> None:
    grid = load_grid()
    labels = np.array([4600.0, 2.5, -0.4])
    slopes = derivatives_at(grid, labels, grid.wave, in_vacuum=False)
    sigma = np.linspace(0.02, 0.2, slopes.shape[1])
    found = efficient(slopes, sigma, "log_g")
    assert found is not None
    fisher = information(torch.from_numpy(slopes)[None], torch.from_numpy(sigma)[None])
    variance = float(marginal_variance(fisher, LABELS.index("log_g"))[0])
    assert found.bound**2 == pytest.approx(variance, rel=1e-6)
    assert (found.response**2).sum() == pytest.approx(variance, rel=1e-6)
    assert found.information.sum() == pytest.approx(1 / variance, rel=1e-6)
    # A change of a label moves the estimate of this one by just that, and of the others by none.
    moved = (found.response / sigma) @ slopes.T
    np.testing.assert_allclose(moved * [1000, 1, 1], [0, 1, 0], atol=1e-6)
    assert agreement(found.response, found.response) == pytest.approx(1)
    sigma[:2000] = np.inf
    less = efficient(slopes, sigma, "log_g")
    assert less is not None
    assert less.bound > found.bound
    assert not less.response[:2000].any()
    assert efficient(slopes, np.zeros_like(sigma), "log_g") is None


def test_lines_stand_where_the_grid_has_them() -> None:
    grid = load_grid()
    flux = grid.flux(torch.tensor([[5000.0, 4.0, 0.0]]).double())[0].numpy()
    strong = [line for line in known_lines() if line.weight == 0]
    strong = [line for line in strong if not line.is_band and not line.name.startswith("H")]
    assert {"Ca II 8542", "Na I 8183", "K I 7699", "Mg I 8807", "Fe I 8689"} <= {
        line.name for line in strong
    }
    for line in strong:
        near = np.flatnonzero(abs(grid.wave - line.wave) < 2)
        deepest = near[flux[near].argmin()]
        assert abs(grid.wave[deepest] - line.wave) < 0.5, line.name
    for upper, wave in ((12, 8750.472), (14, 8598.392), (16, 8502.483)):
        (line,) = [line for line in known_lines() if line.name.startswith(f"H P{upper} ")]
        rydberg = 1e8 / (109677.5834 * (1 / 9 - 1 / upper**2))  # in vacuum
        assert line.wave == wave
        assert vacuum(line.wave) == pytest.approx(rydberg, abs=0.06)  # but for relativity
    assert vacuum(8542.091) == pytest.approx(8544.438, abs=1e-3)
    assert vacuum(7698.9646) == pytest.approx(7701.0835, abs=1e-3)
    moved = {line.name: line.wave for line in lines_between(7100, 8850, in_vacuum=True)}
    assert moved["Ca II 8542"] == pytest.approx(8544.438, abs=1e-3)


def test_every_pixel_counts_for_one_line() -> None:
    wave = np.arange(8400.0, 8700.0)
    lines = (*known_lines(), Line("all", 8390.0, 8800.0))
    found = shares(wave, np.ones(300), lines)
    assert sum(found.values()) == pytest.approx(1)
    assert found["H P15 8545"] == 0  # in the wings of Ca II 8542
    assert found["Ca II 8542"] == pytest.approx(40 / 300, abs=0.01)
    assert shares(wave, np.zeros(300), lines) == {}


def test_a_file_in_vacuum_is_known_by_its_lines(tmp_path: Path) -> None:
    file = tmp_path / "stars.h5"
    list(make_file(Simulator(load_grid(), load_noise()), 0, 12, file))
    assert not in_vacuum(_opened(file), load_grid())
    with h5py.File(file, "r+") as inside:
        names: list[str] = []
        inside.visit(names.append)
        path = next(name for name in names if name.rpartition("/")[2] == "wave")
        wave = inside[path][:]
        inside[path][...] = np.vectorize(vacuum)(wave)
    assert in_vacuum(_opened(file), load_grid())


def _opened(file: Path) -> FileSpectra:
    sizes = {"train": 2, "val": 2, "test": 8}
    files = open_spectra_files(file)
    values = np.zeros((files.n, 1))
    return FileSpectra(files, sizes, values, 1.0, 42, torch.device("cpu"), 10**8)
