"""What a network is trained to make small, and how its outputs are read as labels and errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from vitlab.contract.networks import output_count
from vitlab.contract.value import Value

__all__ = ["Loss", "calibration", "make_loss", "output_count", "point", "spread"]

Array = NDArray[np.float64]
Loss = Callable[[Tensor, Tensor], Tensor]
"""(B, outputs) predictions and (B, K) scaled labels, float32 -> the mean loss, on their device."""

LOG_SIGMA = 7.0
"""Bound of |ln sigma|: predicted errors lie between 0.0009 and 1100 units of the scaled label."""
_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


def point(predicted: Tensor, name: str) -> Tensor:
    """(B, outputs) -> the (B, K) predicted labels."""
    return predicted.chunk(2, dim=-1)[0] if name == "nll" else predicted


def spread(predicted: Tensor, name: str) -> Tensor | None:
    """(B, outputs) -> the (B, K) predicted sigma of the scaled labels; None but for `nll`."""
    return _log_sigma(predicted).exp() if name == "nll" else None


def make_loss(name: str, weights: Sequence[float] = ()) -> Loss:
    """The loss `mse`, `l1`, `huber` (beyond 1 linear) or `nll`; `weights` per label, () = 1 each.

    The mean over spectra, then the weighted mean over labels: equal weights change nothing. No
    weight is ever copied to the device and nothing is read back, so no step waits for the host.
    """
    each = _LOSSES[name]

    def loss(predicted: Tensor, wanted: Tensor) -> Tensor:
        columns = each(predicted, wanted).mean(dim=0)  # (K,)
        if not weights:
            return columns.mean()
        if len(weights) != len(columns):
            raise ValueError(f"{len(weights)} weights for {len(columns)} labels")
        parts = [weight * part for weight, part in zip(weights, columns.unbind(), strict=True)]
        total: Tensor = torch.stack(parts).sum() / sum(weights)
        return total

    return loss


def calibration(
    true: Array, predicted: Array, sigma: Array, labels: Sequence[str]
) -> dict[Value, float]:
    """How honest predicted errors are; (n, K) each, in one unit. By values of no split.

    pull = (true - predicted) / sigma. Of right Gaussian errors the mean square `pull2` is 1, and
    the shares `within1` and `within2` of |pull| <= 1 and 2 are 0.683 and 0.954.
    """
    pull = np.abs(true - predicted) / sigma
    numbers = {"pull2": pull**2, "within1": pull <= 1, "within2": pull <= 2}
    return {
        Value("", name, label): float(np.mean(of_label))
        for name, values in numbers.items()
        for label, of_label in zip(labels, values.T, strict=True)
    }


def _log_sigma(predicted: Tensor) -> Tensor:
    """Bounded smoothly, so that neither exp(ln sigma) nor its inverse overflows."""
    return LOG_SIGMA * (predicted.chunk(2, dim=-1)[1] / LOG_SIGMA).tanh()


def _nll(predicted: Tensor, wanted: Tensor) -> Tensor:
    """Gaussian, in nats. Torch's own reads its variances back to the host to check them."""
    log_sigma = _log_sigma(predicted)
    pull = (wanted - point(predicted, "nll")) * (-log_sigma).exp()
    return 0.5 * pull.square() + log_sigma + _HALF_LOG_TAU


_LOSSES: dict[str, Loss] = {
    "mse": lambda predicted, wanted: functional.mse_loss(predicted, wanted, reduction="none"),
    "l1": lambda predicted, wanted: functional.l1_loss(predicted, wanted, reduction="none"),
    "huber": lambda predicted, wanted: functional.huber_loss(predicted, wanted, reduction="none"),
    "nll": _nll,
}
