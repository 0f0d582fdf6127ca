"""What a trained model's estimate of one star hangs on, pixel by pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vitlab.ml.baselines.boost import Boost
from vitlab.ml.batch import Batch
from vitlab.ml.inputs import Inputs

Array = NDArray[np.float64]


def gradient(predict: Callable[[Tensor], Tensor], inputs: Inputs, batch: Batch, k: int) -> Tensor:
    """(1, L) d label / d flux of one star, the errors as they are; `predict` inputs -> (1, K).

    Simonyan, Vedaldi & Zisserman 2014, section 3. Exact for a linear model.
    """
    flux = batch.flux.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        label = predict(inputs(replace(batch, flux=flux)))[0, k]
        (slope,) = torch.autograd.grad(label, flux)
    return slope


def to_noise(slope: Tensor, error: Tensor) -> Array:
    """(1, L) slope, (1, L) 1-sigma errors -> (L,) change of the label by one sigma of each pixel.

    NaN where a pixel has no datum. Under independent noise the squares sum to the variance of
    the estimate, to first order.
    """
    seen = error.isfinite()
    change = torch.where(seen, slope * torch.where(seen, error, 0), torch.nan)
    return change[0].double().cpu().numpy()


def contributions(boost: Boost, x: NDArray[np.float32], k: int) -> Array:
    """(1, L) input -> (L,) what each pixel adds to label `k`, in its unit.

    TreeSHAP (Lundberg et al. 2020, Nature MI 2, 56): with the mean of the training labels and
    the trees' own mean they sum to the estimate. Trees have no gradient.
    """
    parts = np.asarray(boost.boosters[k].predict(x, num_iteration=boost.rounds, pred_contrib=True))
    return parts[0, :-1].astype(np.float64)
