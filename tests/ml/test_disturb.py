"""What changes spectra besides noise: each against numpy, scipy or a published number."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from tests.ml.test_spectra import PIXELS, a_config, write_file
from vitlab.contract.config import ConfigError, DataConfig, VitConfig, read_config
from vitlab.contract.paths import UsageError
from vitlab.jobs.experiment.experiment import load_experiment
from vitlab.ml.spectra.dataset import (
    GridSpectra,
    PermutedSpectra,
    disturbed,
    open_spectra,
    undisturbed,
)
from vitlab.ml.spectra.disturb.light import FWHM, LIGHT, extinction_law, make_optics
from vitlab.ml.spectra.disturb.running import LEAST, make_running_mean
from vitlab.ml.spectra.inputs import make_inputs
from vitlab.ml.spectra.observation import BACKGROUND, STAR, dark_sky
from vitlab.recipes.scores import world_of_test

Array = NDArray[np.float64]
CPU = torch.device("cpu")
WAVE = np.linspace(7100, 8850, 4096)
LINES = ((7150.3, 0.4), (7700.0, 0.8), (8542.1, 0.6), (8820.7, 0.3))
"""Wavelength and depth; as narrow as the grid's resolution allows."""
ALL: dict[str, Any] = {
    name: {}
    for name in ("velocity", "resolution", "continuum", "extinction", "masked", "sky", "lines")
}


def lines_at(wave: Array) -> Array:
    """Flux of unresolved lines at R = 5000, of a star at rest."""
    flux = np.ones_like(wave)
    for centre, depth in LINES:
        flux -= depth * np.exp(-0.5 * (np.log(wave / centre) * 5000 * FWHM) ** 2)
    return flux


def opened(disturb: dict[str, Any], **data: Any) -> GridSpectra:
    values = {"train_size": 600, "val_size": 10, "test_size": 300, "mag": [18, 18]}
    config = read_config("vit", {"data": {**values, **data, "disturb": disturb}})
    assert isinstance(config, VitConfig)
    spectra = open_spectra(config.data, 1.0, ("log_g",), CPU)
    assert isinstance(spectra, GridSpectra)
    return spectra


@pytest.mark.parametrize("velocity", [0.0, 11.0, -137.0, 300.0])
def test_a_velocity_is_a_shift_by_numpy_interpolation(velocity: float) -> None:
    optics = make_optics(WAVE, 300, 5000, CPU)
    flux = torch.from_numpy(lines_at(WAVE)).float()[None]
    moved = optics(flux, torch.tensor([velocity]), None)[0].numpy()
    fine = np.linspace(7080, 8870, 400_000)
    expected = np.interp(WAVE / (1 + velocity / LIGHT), fine, lines_at(fine))
    np.testing.assert_allclose(moved, expected, atol=3e-3)
    assert abs(moved - expected).std() < 2e-4


@pytest.mark.parametrize("resolution", [1000.0, 2300.0, 5000.0])
def test_a_resolution_is_a_convolution_by_scipy(resolution: float) -> None:
    optics = make_optics(WAVE, 0, 1000, CPU)
    flux = torch.from_numpy(lines_at(WAVE)).float()[None]
    blurred = optics(flux, None, torch.tensor([resolution]))[0].numpy()
    step = 2e-6
    log = np.arange(np.log(7000), np.log(8950), step)
    sigma = np.sqrt(resolution**-2 - 5000**-2) / FWHM / step
    fine = gaussian_filter1d(lines_at(np.exp(log)), sigma) if sigma else lines_at(np.exp(log))
    expected = np.interp(np.log(WAVE), log, fine)
    np.testing.assert_allclose(blurred, expected, atol=3e-3)


def test_a_spectrum_keeps_its_ends_and_nothing_comes_round() -> None:
    slope = torch.linspace(0.2, 1.8, 4096)[None]
    optics = make_optics(WAVE, 300, 1000, CPU)
    moved = optics(slope, torch.tensor([300.0]), torch.tensor([1000.0]))[0]
    assert abs(moved - slope[0]).max() < 0.02
    torch.testing.assert_close(moved[:5], slope[0, :1].expand(5), atol=1e-3, rtol=0)


def test_extinction_is_the_published_law() -> None:
    # Cardelli et al. 1989, table 3: V, R and I at x = 1.82, 1.43 and 1.11 per micron.
    law = extinction_law(1e4 / np.array([1.82, 1.43, 1.11]))
    np.testing.assert_allclose(law, [1.0, 0.751, 0.479], atol=0.005)
    spectra = opened({"extinction": {"ebv": 2}})
    reddened = spectra.clean(0, 200).flux / undisturbed(spectra).clean(0, 200).flux
    colour = -2.5 * torch.log10(reddened[:, -1] / reddened[:, 0]).double().numpy()
    ends = extinction_law(spectra.wave[[0, -1]])
    ebv = colour / (3.1 * (ends[1] - ends[0]))
    assert 0 <= ebv.min() < 0.1
    assert 1.9 < ebv.max() <= 2.0001
    assert ebv.mean() == pytest.approx(1, abs=0.15)


def test_a_continuum_is_a_smooth_curve_of_its_order_and_size() -> None:
    spectra = opened({"continuum": {"amplitude": 0.2, "order": 3}})
    ratio = spectra.clean(0, 600).flux / undisturbed(spectra).clean(0, 600).flux
    curve = ratio.double().log().numpy()
    x = np.linspace(-1, 1, curve.shape[1])
    found = np.polynomial.legendre.legfit(x, curve.T, 3)
    rest = curve - np.polynomial.legendre.legval(x, found)
    assert abs(rest).max() < 1e-4
    np.testing.assert_allclose(found[1:].std(axis=1), 0.2, atol=0.02)


def test_lines_have_errors_of_depth_half_of_them_in_common() -> None:
    spectra = opened({"lines": {"amplitude": 0.1}})
    depths = []
    for flux in (spectra.clean(0, 600).flux, undisturbed(spectra).clean(0, 600).flux):
        found = []
        for centre in (8498.0, 8542.1, 8662.1):  # Ca II
            near = abs(spectra.wave - centre)
            core, beside = flux[:, near < 1], flux[:, (near > 15) & (near < 30)]
            found.append((beside.mean(1) / core.mean(1)).log().double().numpy())
        depths.append(np.stack(found))
    errors = np.log(depths[0] / depths[1])
    np.testing.assert_allclose(errors.mean(axis=1), 0, atol=0.015)
    spread = np.cov(errors)
    np.testing.assert_allclose(np.sqrt(np.diag(spread)), 0.1, atol=0.02)
    common = spread[np.triu_indices(3, 1)] / 0.1**2
    np.testing.assert_allclose(common, 0.5, atol=0.15)


def test_masked_pixels_are_flux_one_and_no_weight() -> None:
    spectra = opened({"masked": {"share": 0.2, "length": 40}})
    batch = spectra.fixed("test", 0, 300)
    lost = ~batch.error.isfinite()
    # Stretches that overlap count once: 1 - exp(-0.2) of the pixels.
    assert float(lost.float().mean()) == pytest.approx(1 - np.exp(-0.2), abs=0.015)
    assert bool((batch.flux[lost] == 1).all())
    assert bool((~batch.shown_error.isfinite() == lost).all())
    assert bool((make_inputs("whitened", spectra)(batch)[lost] == 0).all())
    assert bool((make_inputs("flux+error", spectra)(batch)[:, 1][lost] == 0).all())
    inside = torch.where(lost, torch.nan, batch.flux).nanmedian(dim=1).values
    torch.testing.assert_close(inside, torch.ones(300), atol=1e-6, rtol=0)
    edges = lost.float().diff(dim=1).abs().sum(dim=1)
    assert float(lost.float().sum() / (edges.sum() / 2)) == pytest.approx(40, rel=0.25)


def test_a_window_is_one_stretch_with_data() -> None:
    lost = ~opened({"masked": {"share": 0, "window": 0.5}}).fixed("test", 0, 300).error.isfinite()
    part = lost.any(dim=1)
    assert float(part.float().mean()) == pytest.approx(0.5, abs=0.1)
    seen = (~lost).float()
    assert bool((seen.diff(dim=1).abs().sum(dim=1) <= 2).all())
    assert float(seen.mean(dim=1).min()) >= 0.099


def test_residuals_of_the_sky_follow_its_lines() -> None:
    spectra = opened({"sky": {"amplitude": 0.05}})
    left = spectra.fixed("test", 0, 300).flux - undisturbed(spectra).fixed("test", 0, 300).flux
    lines = (dark_sky()[1] - 1).clip(min=0)
    bright = lines > 5
    assert bool((left[:, lines == 0] == 0).all())
    expected = 0.05 * lines[bright] * BACKGROUND / STAR  # at magnitude 18
    ratio = left[:, bright].double().numpy() / expected
    assert np.sqrt((ratio**2).mean()) == pytest.approx(1, abs=0.1)
    neighbours = np.corrcoef(ratio[:, 10], ratio[:, 11])[0, 1]
    assert neighbours > 0.99
    assert bool((spectra.clean(0, 5).flux == undisturbed(spectra).clean(0, 5).flux).all())


def test_nothing_on_is_as_without() -> None:
    spectra = opened({})
    assert spectra.changes is None
    rows, generator = np.arange(20), torch.Generator()
    batch = spectra.fresh(0, rows, generator.manual_seed(3))
    stars = spectra.simulator.stars("train", 0, 20)
    flux, error = spectra.simulator.observe(stars, generator.manual_seed(3))
    assert torch.equal(batch.flux, flux)
    assert torch.equal(batch.error, error)
    assert spectra.hash == open_spectra(replace_sizes(), 1.0, ("log_g",), CPU).hash
    config = read_config("vit", {"data": {"mag": [18, 18]}})
    assert isinstance(config, VitConfig)
    assert "disturbed" not in world_of_test(config, spectra).record()


def replace_sizes() -> DataConfig:
    return DataConfig(train_size=600, val_size=10, test_size=300, mag=(18.0, 18.0))


def test_with_all_on_the_noise_and_the_stars_stay() -> None:
    """An option changes nothing of the others' numbers, so that each can be measured alone."""
    spectra, plain = opened(ALL), opened({})
    one, other = spectra.fixed("test", 0, 5), plain.fixed("test", 0, 5)
    assert np.array_equal(one.labels, other.labels)
    assert spectra.hash != plain.hash
    quiet = opened({**ALL, "velocity": {"within": 1e-3}, "sky": None})
    assert spectra.changes is not None
    assert quiet.changes is not None
    rows = np.arange(5)
    drawn = [s.changes.fixed(42, "test", rows, 0) for s in (spectra, quiet) if s.changes]
    assert torch.equal(drawn[0].uniform, drawn[1].uniform)
    assert torch.equal(drawn[0].normal, drawn[1].normal)


def test_fixed_changes_are_a_star_s_own_and_fresh_ones_the_generator_s() -> None:
    spectra = opened(ALL, running_continuum=200)
    whole = spectra.fixed("test", 0, 8)
    part = spectra.fixed("test", 5, 8)
    torch.testing.assert_close(whole.flux[5:], part.flux, atol=2e-5, rtol=1e-5)
    assert not torch.equal(spectra.fixed("test", 0, 8, copy=1).flux, whole.flux)
    assert not torch.equal(spectra.fixed("val", 0, 8).error, whole.error)
    generator, rows = torch.Generator(), np.arange(8)
    first, again = (spectra.fresh(0, rows, generator.manual_seed(1)).flux for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(spectra.fresh(0, rows, generator).flux, first)


def test_a_running_mean_is_numpy_s_whatever_the_scale() -> None:
    generator = np.random.default_rng(1)
    flux = 1 + 0.3 * generator.random((3, 4096))
    good = generator.random((3, 4096)) > 0.2
    good[2, 1000:2500] = False
    found = make_running_mean(WAVE, 100, CPU)(torch.from_numpy(flux), torch.from_numpy(good))
    weight = 1 / dark_sky()[1]
    for row in range(3):
        for pixel in (0, 700, 1800, 4095):
            near = (abs(WAVE - WAVE[pixel]) <= 50) & good[row]
            kept = weight[near]
            expected = np.average(flux[row][near], weights=kept) if near.any() else None
            if expected is None:  # no data within reach: the least of the whole
                assert float(found[row, pixel]) == 1
            else:
                assert float(found[row, pixel]) == pytest.approx(expected, rel=1e-5)
    small = make_running_mean(WAVE, 100, CPU)(
        torch.from_numpy(1e-17 * flux), torch.from_numpy(good)
    )
    torch.testing.assert_close(small[:2] / found[:2], torch.full_like(small[:2], 1e-17))
    dark = flux.copy()
    dark[0, :2000] = -5
    least = make_running_mean(WAVE, 100, CPU)(torch.from_numpy(dark), torch.from_numpy(good))
    assert float(least.min()) > 0
    assert LEAST < 1


def test_over_its_running_mean_a_continuum_is_gone() -> None:
    curved = opened({"continuum": {"amplitude": 0.3, "order": 2}}, running_continuum=100)
    flux = curved.clean(0, 50).flux
    apart = flux - undisturbed(curved).clean(0, 50).flux
    assert float(apart[:, 200:-200].std()) < 0.01
    # Over the median instead the curve is still there.
    other = opened({"continuum": {"amplitude": 0.3, "order": 2}})
    assert float((other.clean(0, 50).flux - undisturbed(other).clean(0, 50).flux).std()) > 0.1


def test_a_file_s_pixels_without_data_move_with_the_star(tmp_path: Path) -> None:
    file = tmp_path / "spectra.h5"
    write_file(file)
    with h5py.File(file, "r+") as opened_:
        opened_["dataset/arrays/mask/value"][:, 30:34] = 1
    one = read_config("vit", {"data": {"disturb": {"velocity": {"within": 3000}, "masked": {}}}})
    assert isinstance(one, VitConfig)
    data = replace(a_config(file), disturb=one.data.disturb, running_continuum=500.0)
    spectra = open_spectra(data, 1.0, ("log_g",), CPU)
    lost = ~spectra.fixed("test", 0, 10).error.isfinite()
    assert lost.shape == (10, PIXELS)
    assert len({tuple(row) for row in lost.tolist()}) > 1
    assert disturbed(spectra) == "velocity within 3000.0, masked share 0.1 length 50 window 0.0"
    own = undisturbed(spectra)
    still = ~own.fixed("test", 0, 10).error.isfinite()
    assert bool((still.sum(dim=1) == 5).all())
    batch = spectra.fresh(0, spectra.order(0, 1)[:4], torch.Generator().manual_seed(1))
    assert bool(batch.flux.isfinite().all())
    assert own.hash == spectra.hash
    wide = replace(data, disturb=read_disturb({"extinction": {}}))
    with h5py.File(file, "r+") as opened_:
        opened_["spectrumdataset/wave"][...] = np.linspace(9000, 9600, PIXELS)
    with pytest.raises(UsageError, match=r"disturb\.extinction: the law holds from 3030 to 9090"):
        open_spectra(wide, 1.0, ("log_g",), CPU)


def read_disturb(disturb: dict[str, Any]) -> Any:
    config = read_config("vit", {"data": {"disturb": disturb}})
    assert isinstance(config, VitConfig)
    return config.data.disturb


def test_permuted_labels_have_the_same_spectra() -> None:
    spectra = open_permuted()
    assert isinstance(spectra, PermutedSpectra)
    assert disturbed(spectra)
    generator = torch.Generator()
    batch = spectra.fresh(0, np.arange(4), generator.manual_seed(1))
    plain = spectra.spectra.fresh(0, np.arange(4), generator.manual_seed(1))
    assert torch.equal(batch.flux, plain.flux)


def open_permuted() -> Any:
    config = read_config("vit", {"data": {"train_size": 8, "val_size": 4, "test_size": 4,
                                          "permuted": True, "disturb": ALL}})  # fmt: skip
    assert isinstance(config, VitConfig)
    return open_spectra(config.data, 1.0, ("log_g",), CPU)


REFUSED = [
    ({"speed": {}}, "config.data.disturb.speed: unknown key (allowed: velocity, resolution, co"),
    ({"velocity": 300}, "config.data.disturb.velocity: must be a mapping, not 300"),
    ({"velocity": {"within": 0}}, "config.data.disturb.velocity.within: must be > 0 and <= 3000"),
    ({"resolution": {"highest": 5001}}, "config.data.disturb.resolution.highest: must be >= 500"),
    (
        {"resolution": {"lowest": 4000, "highest": 3000}},
        "config.data.disturb.resolution.lowest: must be <= highest = 3000",
    ),
    ({"continuum": {"order": 0}}, "config.data.disturb.continuum.order: must be >= 1 and <= 20"),
    ({"extinction": {"law": "f99"}}, "config.data.disturb.extinction.law: unknown value 'f99'"),
    ({"masked": {"share": 1}}, "config.data.disturb.masked.share: must be >= 0 and <= 0.9, not 1"),
    ({"masked": {"window": 2}}, "config.data.disturb.masked.window: must be >= 0 and <= 1, not 2"),
    ({"lines": {"amplitude": 2}}, "config.data.disturb.lines.amplitude: must be > 0 and <= 1"),
    ({"sky": {"amplitude": -1}}, "config.data.disturb.sky.amplitude: must be > 0 and <= 1, not -"),
]


@pytest.mark.parametrize(("disturb", "said"), REFUSED)
def test_a_mistake_is_said_at_its_key(disturb: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config("vit", {"data": {"disturb": disturb}})
    assert str(caught.value).startswith(said)


def test_a_mistake_in_a_file_is_said_with_its_line(tmp_path: Path) -> None:
    text = 'mvp: "1.0"\nroadmap: roadmaps/r.md\nrecipe: vit\nconfig:\n  data:\n    disturb:\n'
    path = tmp_path / "experiments" / "x.yaml"
    path.parent.mkdir()
    path.write_text(text + "      velocity: {}\n      masked: {length: 0}\n")
    with pytest.raises(UsageError, match=r"x\.yaml:8: config\.data\.disturb\.masked\.length: must"):
        load_experiment(path).specs("full", "x")


@pytest.mark.parametrize("name", ["resolution", "sky", "lines"])
def test_what_a_file_does_not_tell_is_refused(name: str) -> None:
    data = {"source": "spectra.h5", "disturb": {name: {}}}
    with pytest.raises(ConfigError, match=rf"data\.disturb\.{name}: needs the grid: "):
        read_config("mlp", {"data": data})
    with pytest.raises(ConfigError, match=rf"^config\.disturb\.{name}: needs the grid"):
        read_config("evaluate", {"job": "1.0", "source": "a.h5", "disturb": {name: {}}})


@pytest.mark.parametrize("recipe", ["template", "ceiling"])
def test_ceilings_and_template_fits_know_nothing_of_it(recipe: str) -> None:
    with pytest.raises(ConfigError, match=r"^config\.data\.disturb: is not for template fits and"):
        read_config(recipe, {"data": {"disturb": {"velocity": {}}}})
    with pytest.raises(ConfigError, match=r"^config\.data\.running_continuum: is not for templ"):
        read_config(recipe, {"data": {"running_continuum": 100}})


def test_the_sky_is_read_once_and_nobody_changes_it() -> None:
    wave, sky = dark_sky()
    assert dark_sky()[1] is sky
    for values in (wave, sky):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 0
