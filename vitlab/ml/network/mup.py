"""muP for the ViT: rates tuned at one width hold at others (Yang et al. 2022, arXiv:2203.03466).

With m = hidden / `VitModel.mup`, the width at which the rate was tuned, by their table 3 for Adam:

| weights                     | initial std | rate  | why                                     |
|-----------------------------|-------------|-------|-----------------------------------------|
| tokenizer, positions, [CLS] | as it is    | 1     | their inputs do not grow with the width |
| biases, norms               | as it is    | 1     |                                         |
| matrices of the blocks      | m^-1/2      | 1 / m | fan-in grows                            |
| head                        | 1 / m       | 1 / m | with Adam the same as outputs over m    |

Queries are scaled by m^-1/2, so that logits are q k / d, d the dimensions of a head, and equal
those of the standard form at m = 1. Weight decay times rate is the same at all widths.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vitlab.contract.networks import VitModel


def width_factor(model: VitModel) -> float:
    """m; 1 without muP."""
    return model.hidden / model.mup if model.mup else 1.0


def query_scale(model: VitModel) -> float:
    """By which queries are multiplied before their product with the keys over sqrt(d)."""
    return float(width_factor(model) ** -0.5)


@torch.no_grad()
def scale_weights(blocks: nn.Module, head: nn.Linear, m: float) -> None:
    """Scale the initial weights."""
    for weight in _matrices(blocks):
        weight.mul_(m**-0.5)
    head.weight.mul_(1 / m)


def rate_factors(network: nn.Module) -> dict[int, float]:
    """By which a weight's learning rate differs from `train.lr`, by its id; 1 for others."""
    m, blocks, head = (getattr(network, name, None) for name in ("width_factor", "blocks", "head"))
    if not (isinstance(blocks, nn.Module) and isinstance(head, nn.Linear)):
        return {}
    return {id(weight): 1 / m for weight in (*_matrices(blocks), head.weight)} if m else {}


def _matrices(blocks: nn.Module) -> list[Tensor]:
    return [layer.weight for layer in blocks.modules() if isinstance(layer, nn.Linear)]
