"""What an observation does to a spectrum besides noise, drawn anew for each (`data.disturb`).

The light changes first: depths of lines, velocity, resolution, extinction, a smooth curve. Then
comes the noise, of a star as bright as before, and on it residuals of the sky. Pixels without data
have flux 1 and an infinite error, as in files: 0 in `whitened`, and weight 0 in `flux+error`. The
flux is over the median of its pixels with data, or with `data.running_continuum` over its running
mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vitlab.contract.config import DataConfig
from vitlab.contract.networks import Disturb, Masked
from vitlab.contract.paths import UsageError
from vitlab.contract.validation import RESOLUTION
from vitlab.ml.spectra.disturb.light import (
    LAW_RANGE,
    Depths,
    Optics,
    legendre,
    make_depths,
    make_optics,
    reddening,
)
from vitlab.ml.spectra.disturb.running import RunningMean, make_running_mean
from vitlab.ml.spectra.observation import BACKGROUND, MAG_ZERO, STAR, Batch, load_noise

Array = NDArray[np.float64]
_SPLITS = ("train", "val", "test")
_STREAM = 100
"""Apart from the random streams of stars and noise (`simulate`)."""
_VELOCITY, _RESOLUTION, _EXTINCTION, _WINDOWED, _WIDTH, _PLACE, _STRETCHES = range(7)
"""Columns of the uniform numbers; three more for each stretch."""
MODES = 4
"""Smooth modes by which residuals of the sky change over the band."""
LOST = 0.02
"""A pixel with this share of one without data has none either."""
NARROWEST = 0.1
"""Share of the band that a window covers at least."""


@dataclass(frozen=True)
class Draws:
    """Random numbers of some spectra, from which all changes follow."""

    uniform: Tensor  # (n, 6 + 3 stretches) from 0 to 1
    normal: Tensor  # (n, MODES + order of the curve + those of `Depths`)

    def rows(self, rows: slice) -> Draws:
        return Draws(self.uniform[rows], self.normal[rows])


@dataclass(frozen=True)
class Changes:
    """The changes of a configuration, for spectra on some pixels of a device."""

    disturb: Disturb
    pixels: int
    device: torch.device
    depths: Depths | None
    optics: Optics | None
    red: Tensor | None  # (L,) ln of the light left for a magnitude of E(B-V)
    curves: Tensor | None  # (order, L)
    sky: Tensor | None  # (MODES, L) lines of the sky over its median
    running: RunningMean | None

    @property
    def undisturbed(self) -> Changes | None:
        """The running mean alone; None without one."""
        none = (None,) * 5
        alone = Changes(Disturb(), self.pixels, self.device, *none, self.running)
        return alone if self.running else None

    @property
    def _order(self) -> int:
        return self.disturb.continuum.order if self.disturb.continuum else 0

    @property
    def _columns(self) -> tuple[int, int]:
        uniform = _STRETCHES + 3 * stretches(self.disturb.masked, self.pixels)
        depths = self.depths.numbers if self.depths else 0
        return uniform, MODES + self._order + depths

    def draw(self, n: int, generator: torch.Generator) -> Draws:
        """New numbers for `n` spectra."""
        uniform, normal = self._columns
        return Draws(
            torch.rand(n, uniform, generator=generator, device=self.device),
            torch.randn(n, normal, generator=generator, device=self.device),
        )

    def fixed(self, seed: int, split: str, rows: NDArray[np.int64], copy: int) -> Draws:
        """The numbers of some rows of a split: always the same."""
        uniform, normal = self._columns
        drawn = np.empty((len(rows), uniform + normal), dtype=np.float32)
        for k, row in enumerate(rows.tolist()):
            key = [seed, _STREAM + _SPLITS.index(split)]
            stream = np.random.Generator(np.random.Philox(key=key, counter=[0, 0, row, copy]))
            stream.random(out=drawn[k, :uniform], dtype=np.float32)
            drawn[k, uniform:] = stream.standard_normal(normal, dtype=np.float32)
        both = torch.from_numpy(drawn).to(self.device)
        return Draws(both[:, :uniform], both[:, uniform:])

    def light(self, flux: Tensor, draws: Draws) -> Tensor:
        """(n, L) noise-free flux -> the same as it arrives, over its median."""
        if not (self.depths or self.optics or self.red is not None or self.curves is not None):
            return flux
        if self.depths is not None and self.disturb.lines:
            own = draws.normal[:, MODES + self._order :]
            flux = self.depths(flux, own, self.disturb.lines.amplitude)
        if self.optics is not None:
            flux = self.optics(flux, self._velocity(draws), self._resolution(draws))
        power = torch.zeros((), device=self.device)
        if self.red is not None and self.disturb.extinction:
            ebv = draws.uniform[:, _EXTINCTION, None] * self.disturb.extinction.ebv
            power = power + ebv * self.red
        if self.curves is not None and self.disturb.continuum:
            sizes = draws.normal[:, MODES : MODES + self._order] * self.disturb.continuum.amplitude
            power = power + sizes @ self.curves
        flux = flux * power.exp()
        return flux / flux.kthvalue(self.pixels // 2 + 1, dim=1, keepdim=True).values

    def of_file(self, flux: Tensor, error: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """(n, L) flux and error of a file's spectra before noise -> both as they arrive.

        Errors stay where they are, as the sky does; a pixel without data moves with the star.
        """
        lost = ~error.isfinite()
        if self.optics is not None:
            moved = self.optics(lost.to(flux.dtype), self._velocity(draws), None)
            lost = moved > LOST
        changed = self.light(flux, draws)
        known = torch.where(error.isfinite(), error, torch.nan)
        filled = torch.where(error.isfinite(), error, known.nanmedian(dim=1, keepdim=True).values)
        return torch.where(lost, 1.0, changed), torch.where(lost, torch.inf, filled)

    def _velocity(self, draws: Draws) -> Tensor | None:
        one = self.disturb.velocity
        return (2 * draws.uniform[:, _VELOCITY] - 1) * one.within if one else None

    def _resolution(self, draws: Draws) -> Tensor | None:
        one = self.disturb.resolution
        if one is None:
            return None
        return one.lowest + draws.uniform[:, _RESOLUTION] * (one.highest - one.lowest)

    def residual(self, mag: Tensor, draws: Draws) -> Tensor:
        """(n,) magnitudes -> (n, L) what is left of the sky's lines, over the star's median."""
        assert self.sky is not None
        assert self.disturb.sky is not None
        level = BACKGROUND / STAR * 10 ** (0.4 * (mag - MAG_ZERO)) * self.disturb.sky.amplitude
        return (draws.normal[:, :MODES] * level[:, None].to(self.sky)) @ self.sky

    def visible(self, draws: Draws) -> Tensor | None:
        """(n, L) whether a pixel has data; None: all have."""
        masked = self.disturb.masked
        if masked is None:
            return None
        n, count = len(draws.uniform), stretches(masked, self.pixels)
        shape = draws.uniform[:, _STRETCHES:].reshape(n, count, 3)
        length = 1 + shape[:, :, 1] * (2 * masked.length - 1)
        begin = shape[:, :, 0] * (self.pixels + length) - length
        # Each stretch adds 1 to a count at its first pixel, and takes it away after its last.
        edges = torch.zeros(n, self.pixels + 1, device=self.device)
        there = (shape[:, :, 2] < 0.5).float()
        edges.scatter_add_(1, begin.clamp(0, self.pixels).long(), there)
        edges.scatter_add_(1, (begin + length).clamp(0, self.pixels).long(), -there)
        seen = edges.cumsum(1)[:, :-1] < 0.5
        width = NARROWEST + (1 - NARROWEST) * draws.uniform[:, _WIDTH, None]
        place = (1 - width) * draws.uniform[:, _PLACE, None]
        at = torch.linspace(0, 1, self.pixels, device=self.device)
        inside = (at >= place) & (at <= place + width)
        windowed = draws.uniform[:, _WINDOWED, None] < masked.window
        return seen & (inside | ~windowed)

    def finished(self, batch: Batch, visible: Tensor | None = None) -> Batch:
        """A batch without the pixels that are not `visible`, over its median or running mean."""
        good = batch.error.isfinite() if visible is None else visible & batch.error.isfinite()
        if self.running is not None:
            scale = self.running(batch.flux, good)
        elif visible is not None:
            kept = batch.flux.masked_fill(~good, torch.nan).nanmedian(dim=1, keepdim=True).values
            scale = torch.where(kept > 0, kept, 1.0)
        else:
            return batch
        flux = torch.where(good, batch.flux / scale, 1.0)
        error = torch.where(good, batch.error / scale, torch.inf)
        shown = batch.estimate
        if shown is None:
            return Batch(flux, error, batch.labels)
        return Batch(
            flux, error, batch.labels, lambda: torch.where(good, shown() / scale, torch.inf)
        )


def stretches(masked: Masked | None, pixels: int) -> int:
    """Stretches without data there may be in a spectrum, each in half of the spectra."""
    return math.ceil(2 * masked.share * pixels / masked.length) if masked else 0


def make_changes(data: DataConfig, wave: Array, device: torch.device) -> Changes | None:
    """The changes of a configuration for pixels (L,) in Angstrom; None where there are none.

    `UsageError` where a law does not reach these wavelengths.
    """
    one = data.disturb
    if not (one.changes or data.running_continuum):
        return None
    optics = red = curves = sky = None
    depths = make_depths(wave, device) if one.lines else None
    if one.velocity or one.resolution:
        velocity = one.velocity.within if one.velocity else 0.0
        lowest = one.resolution.lowest if one.resolution else RESOLUTION
        optics = make_optics(wave, velocity, lowest, device)
    if one.extinction:
        if not LAW_RANGE[0] <= wave[0] <= wave[-1] <= LAW_RANGE[1]:
            low, high = LAW_RANGE
            text = f"the law holds from {low:g} to {high:g} Angstrom"
            raise UsageError(f"{data.source}: config.data.disturb.extinction: {text}")
        red = _tensor(reddening(wave), device)
    if one.continuum:
        curves = _tensor(legendre(wave, range(1, one.continuum.order + 1)), device)
    if one.sky:
        lines = (load_noise().sky.double().numpy() - 1).clip(min=0)
        size = np.sqrt(2 * np.arange(MODES) + 1) / math.sqrt(MODES)
        sky = _tensor(size[:, None] * legendre(wave, range(MODES)) * lines, device)
    width = data.running_continuum
    running = make_running_mean(wave, width, device) if width else None
    return Changes(one, len(wave), device, depths, optics, red, curves, sky, running)


def _tensor(values: Array, device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).float().to(device)
