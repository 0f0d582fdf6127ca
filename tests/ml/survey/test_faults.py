"""Wrong wavelengths and resolutions, told by the lines; what is right is not called wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.ml.survey.stars import observed
from vitlab.ml.spectra.grid import Grid, load_grid
from vitlab.ml.survey.comparison import Reference, even_pixels, find_velocity
from vitlab.ml.survey.faults import find_faults
from vitlab.ml.survey.pixels import on_pixels
from vitlab.ml.survey.spectrum import Spectrum

SUN = (5750.0, 4.4, 0.0)


@pytest.fixture(scope="module")
def grid() -> Grid:
    return load_grid()


@pytest.fixture(scope="module")
def reference(grid: Grid) -> Reference:
    return Reference(grid)


def faults(spectrum: Spectrum, reference: Reference) -> str:
    even = on_pixels(spectrum, even_pixels(reference.grid), 0.0, 0.0, 5000)
    return "; ".join(find_faults(even, reference, find_velocity(even, reference)))


@pytest.mark.parametrize("resolution", [1800.0, 5000.0])
def test_right_ones_are_silent(grid: Grid, reference: Reference, resolution: float) -> None:
    for star in (SUN, (4250.0, 1.5, -0.5)):
        assert faults(observed(grid, star, 30, 80, resolution=resolution), reference) == ""


def test_wrong_wavelengths_and_resolutions_are_told(grid: Grid, reference: Reference) -> None:
    sun = observed(grid, SUN, 30)
    stretched = replace(sun, wave=7975 + (sun.wave - 7975) * 1.01)
    assert "are the wavelengths right?" in faults(stretched, reference)
    poor = observed(grid, (5750.0, 4.4, -2.0), 60)  # shows no lines below 8230 A
    stretched = replace(poor, wave=7975 + (poor.wave - 7975) * 1.01)
    assert "on a scale 1.0% too long: are the wavelengths right?" in faults(stretched, reference)
    low = replace(sun, resolution=np.full(len(sun.wave), 1800.0))
    assert "rather than of R = 1800" in faults(low, reference)
    broad = observed(grid, SUN, 30, resolution=1800.0)
    high = replace(broad, resolution=np.full(len(sun.wave), 5000.0))
    assert "those of R = 1800 rather than of R = 5000" in faults(high, reference)
