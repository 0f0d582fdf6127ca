"""Model inputs from observed spectra: tensors, or the rows of a matrix in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vitlab.contract.networks import VitInput
from vitlab.ml.spectra.dataset import Spectra
from vitlab.ml.spectra.observation import Batch

Array = NDArray[np.float64]
Matrix = NDArray[np.float32]
SKY_INPUTS = ("whitened", "flux+error")
SHOWN_ERRORS = ("flux/error", "flux+error")
"""Inputs in which a model sees the error of each pixel."""
PIECE = 1024
"""Rows computed at once."""


KINDS = get_args(VitInput)


@dataclass(frozen=True)
class Inputs:
    """Turns observations into a model's input; saved with the model."""

    kind: str
    """`flux`, `flux/error`, `whitened` or `flux+error`."""
    sigma: Tensor  # (L,) typical errors, only used by `SKY_INPUTS`
    wave: Array | None = None
    """(L,) wavelength of each pixel, Angstrom; None: not kept by the vitlab that saved it."""

    def __call__(self, batch: Batch) -> Tensor:
        """(B, L) input; (B, 2, L) for `flux+error`.

        `whitened` is (flux - 1) / sigma with the same sigma for every spectrum: bright airglow
        lines get little weight, and the noise still shows how faint the star is. `flux+error`
        encodes the error as sigma / (sigma + error), since errors may be huge, and are infinite
        where there is no data: this lies between 0 (no data) and 1, with 1/2 for a typical pixel.
        The errors are those estimated from the noisy flux (`Batch.shown_error`).
        """
        match self.kind:
            case "flux":
                return batch.flux
            case "flux/error":
                return batch.flux / batch.shown_error
            case "whitened":
                return (batch.flux - 1) / self.sigma
            case "flux+error":
                weight = self.sigma / (self.sigma + batch.shown_error)
                return torch.stack([batch.flux, weight], dim=1)
        raise ValueError(f"input {self.kind!r}")

    def unlike(self, wave: Array) -> str:
        """How the pixels it was made for differ from those at `wave`; empty: they do not."""
        if self.wave is None and len(self.sigma) != len(wave):
            return f"was trained on {len(self.sigma)} pixels, not {len(wave)}"
        return other_pixels(self.wave, wave)


def make_inputs(kind: str, spectra: Spectra) -> Inputs:
    """The input of a configuration for a data set."""
    sigma = spectra.sky_sigma() if kind in SKY_INPUTS else torch.ones(spectra.pixels)
    return Inputs(kind, sigma, spectra.wave)


def saved_inputs(kind: object, sigma: Tensor, wave: Array | None) -> Inputs:
    """As a file has them; `ValueError` where they are none."""
    whole = sigma.ndim == 1 and sigma.is_floating_point() and bool(sigma.isfinite().all())
    fits = wave is None or (wave.shape == tuple(sigma.shape) and wave.dtype.kind == "f")
    if kind not in KINDS or not whole or not fits:
        raise ValueError("it does not say what the model sees")
    return Inputs(str(kind), sigma, wave)


def other_pixels(trained: Array | None, here: Array) -> str:
    """How the wavelengths of a model differ from those of spectra; empty: they do not."""
    if trained is None or (len(trained) == len(here) and np.allclose(trained, here)):
        return ""
    told = (f"{len(w)} pixels from {w[0]:.1f} to {w[-1]:.1f} A" for w in (trained, here))
    return "was trained on {}, not {}".format(*told)


@dataclass(frozen=True)
class Rows:
    """A split of a data set with fixed noise, as the rows of a matrix."""

    spectra: Spectra
    inputs: Inputs
    split: str
    copies: int = 1
    """How often the split is repeated, each copy with different noise."""

    def __len__(self) -> int:
        return self.spectra.sizes[self.split] * self.copies

    def piece(self, start: int, stop: int) -> tuple[Matrix, Array]:
        """(rows, L) inputs and (rows, K) labels."""
        n = self.spectra.sizes[self.split]
        parts = [
            self._part(copy, max(start - copy * n, 0), min(stop - copy * n, n))
            for copy in range(start // n, -(-stop // n))
        ]
        if len(parts) == 1:
            return parts[0]
        return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])

    def pieces(self) -> Iterator[tuple[Matrix, Array]]:
        for start in range(0, len(self), PIECE):
            yield self.piece(start, min(start + PIECE, len(self)))

    def labels(self) -> Array:
        """(rows, K) labels of all rows."""
        labels = self.spectra.labels(self.split, 0, self.spectra.sizes[self.split])
        return np.tile(labels, (self.copies, 1))

    def _part(self, copy: int, start: int, stop: int) -> tuple[Matrix, Array]:
        """Rows within one copy."""
        batch = self.spectra.fixed(self.split, start, stop, copy)
        return self.inputs(batch).cpu().numpy(), batch.labels


def predict_rows(rows: Rows, predict: Callable[[Matrix], Array]) -> tuple[Array, Array]:
    """(n, K) true and predicted labels."""
    pairs = [(labels, predict(x)) for x, labels in rows.pieces()]
    return np.concatenate([a for a, _ in pairs]), np.concatenate([b for _, b in pairs])
