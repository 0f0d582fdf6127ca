"""Velocities and the alarm, on spectra of the grid and on spectra that are none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.ml.survey.stars import observed
from tests.ml.survey.test_read import STARS, needs_stars
from vitlab.ml.spectra.grid import Grid, load_grid
from vitlab.ml.survey import comparison
from vitlab.ml.survey.comparison import Match, Reference, even_pixels, find_velocity, match
from vitlab.ml.survey.pixels import on_pixels
from vitlab.ml.survey.read import read_spectra
from vitlab.ml.survey.spectrum import Spectrum

SUN, GIANT, POOR = (5750.0, 4.4, 0.0), (4250.0, 1.5, -0.5), (5500.0, 3.0, -2.2)


@pytest.fixture(scope="module")
def grid() -> Grid:
    return load_grid()


@pytest.fixture(scope="module")
def reference(grid: Grid) -> Reference:
    before, comparison.REFINE = comparison.REFINE, 1  # the nodes alone: seven times as fast
    nodes = Reference(grid)
    comparison.REFINE = before
    return nodes


@pytest.mark.parametrize("velocity", [-412.0, 3.0, 250.0])
@pytest.mark.parametrize("star", [SUN, GIANT, POOR])
def test_velocities_are_found_within_their_errors(
    grid: Grid, reference: Reference, star: tuple[float, float, float], velocity: float
) -> None:
    spectrum = observed(grid, star, 20, velocity, seed=int(abs(velocity)))
    even = on_pixels(spectrum, even_pixels(grid), 0.0, 0.0, 5000)
    found = find_velocity(even, reference)
    assert found.visible
    assert abs(found.velocity - velocity) < max(3.5 * found.error, 1.5)
    assert 0.1 < found.error < 6


def test_no_velocity_is_seen_in_noise(grid: Grid, reference: Reference) -> None:
    spectrum = observed(grid, SUN, 20)
    noise = 1 + np.random.default_rng(1).standard_normal(len(grid.wave)) / 2
    spectrum = replace(spectrum, flux=noise, sigma=np.full(len(noise), 0.5))
    even = on_pixels(spectrum, even_pixels(grid), 0.0, 0.0, 5000)
    assert not find_velocity(even, reference).visible


def compared(spectrum: Spectrum, grid: Grid, reference: Reference) -> Match:
    return match(on_pixels(spectrum, grid.wave, 0.0, 0.0, 5000), reference)


def test_stars_of_the_grid_are_silent_and_nearest_to_themselves(
    grid: Grid, reference: Reference
) -> None:
    for seed, star in enumerate((SUN, GIANT, POOR)):
        found = compared(observed(grid, star, 30, seed=seed), grid, reference)
        assert found.why == ""
        assert found.tells
        assert abs(found.labels[0] - star[0]) <= 500


def test_what_is_no_star_raises_the_alarm(grid: Grid, reference: Reference) -> None:
    sun = observed(grid, SUN, 15)
    random = np.random.default_rng(3)
    flat = 1 + random.standard_normal(len(grid.wave)) / 15
    emission = flat + 3 * np.exp(-(((grid.wave - 7500) / 8) ** 2))
    for flux in (sun.flux[::-1].copy(), flat, emission):
        found = compared(replace(sun, flux=flux), grid, reference)
        assert found.why, found


@needs_stars
@pytest.mark.parametrize(
    ("file", "velocity", "is_star"),
    [
        ("MUSE/ngc6397id000010554jd2456865p5826f000.fits", 17.0, True),
        ("Gaia_RVS/Kepler-409.csv", 0.0, True),
        ("DESI/coadd-4-80613-thru20210324.fits", None, False),
    ],
)
def test_real_spectra(
    file: str, velocity: float | None, is_star: bool, grid: Grid, reference: Reference
) -> None:
    (spectrum,) = read_spectra(STARS / file)
    even = on_pixels(spectrum, even_pixels(grid), 0.0, 0.0, 5000)
    found = find_velocity(even, reference)
    near = match(on_pixels(spectrum, grid.wave, found.velocity, 0.0, 5000), reference)
    assert (near.why == "") == is_star
    if velocity is not None:
        assert abs(found.velocity - velocity) < 5
