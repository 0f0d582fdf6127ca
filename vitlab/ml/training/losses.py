"""Training losses, and how network outputs are interpreted as labels and errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

Loss = Callable[[Tensor, Tensor], Tensor]
"""(B, outputs) of a network and (B, K) scaled labels, float32 -> the mean loss, on their device."""

LOG_SIGMA = 7.0
"""Bound on |ln sigma|: predicted errors lie between 0.0009 and 1100 in scaled labels."""
_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


def predicted_labels(outputs: Tensor, name: str) -> Tensor:
    """(B, outputs) -> the (B, K) predicted labels."""
    return outputs.chunk(2, dim=-1)[0] if name == "nll" else outputs


def predicted_sigma(outputs: Tensor, name: str) -> Tensor | None:
    """(B, outputs) -> the (B, K) predicted sigma of the scaled labels; None except for `nll`."""
    return _log_sigma(outputs).exp() if name == "nll" else None


def make_loss(name: str, weights: Sequence[float] = ()) -> Loss:
    """The loss `mse`, `l1`, `huber` (linear beyond 1) or `nll`; `weights` per label, () = 1 each.

    The mean over spectra, then the weighted mean over labels. Nothing is copied to or from the
    device, so the host never waits.
    """
    each = _LOSSES[name]

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        columns = each(outputs, targets).mean(dim=0)  # (K,)
        if not weights:
            return columns.mean()
        if len(weights) != len(columns):
            raise ValueError(f"{len(weights)} weights for {len(columns)} labels")
        parts = [weight * part for weight, part in zip(weights, columns.unbind(), strict=True)]
        total: Tensor = torch.stack(parts).sum() / sum(weights)
        return total

    return loss


def _log_sigma(outputs: Tensor) -> Tensor:
    """Smoothly bounded, so that neither exp(ln sigma) nor its inverse overflows."""
    return LOG_SIGMA * (outputs.chunk(2, dim=-1)[1] / LOG_SIGMA).tanh()


def _nll(outputs: Tensor, targets: Tensor) -> Tensor:
    """Gaussian, in nats; unlike torch's it does not copy the variances to the host."""
    log_sigma = _log_sigma(outputs)
    pull = (targets - predicted_labels(outputs, "nll")) * (-log_sigma).exp()
    return 0.5 * pull.square() + log_sigma + _HALF_LOG_TAU


_LOSSES: dict[str, Loss] = {
    "mse": lambda outputs, targets: functional.mse_loss(outputs, targets, reduction="none"),
    "l1": lambda outputs, targets: functional.l1_loss(outputs, targets, reduction="none"),
    "huber": lambda outputs, targets: functional.huber_loss(outputs, targets, reduction="none"),
    "nll": _nll,
}
