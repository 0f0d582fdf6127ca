"""What a network says of a whole split, and how good that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vitlab.contract.value import Value
from vitlab.ml.scoring import score
from vitlab.ml.training.losses import calibration, point, spread
from vitlab.ml.training.microbatch import out_of_memory
from vitlab.ml.training.task import Task

Array = NDArray[np.float64]
PREDICT_BATCH = 512


@dataclass(frozen=True)
class Predictions:
    """A split's labels, true and predicted, in their own units."""

    true: Array
    """(n, K)."""
    predicted: Array
    """(n, K)."""
    sigma: Array | None
    """(n, K) predicted errors; None for a loss without."""
    loss: float
    """On the network's scale."""

    def scores(self, labels: tuple[str, ...]) -> dict[Value, float]:
        """The scores, by values of no split, with the calibration of `sigma`."""
        values = score(self.true, self.predicted, labels).values
        if self.sigma is None:
            return values
        return values | calibration(self.true, self.predicted, self.sigma, labels)


def predictions(network: nn.Module, task: Task, split: str) -> Predictions:
    """The network's word on a split; the processes share the work and all get the whole."""
    outputs, wanted, true = _outputs(network, task, split)
    loss = float(task.loss_function(outputs, wanted))
    predicted = task.scaling.original(point(outputs, task.loss).double()).cpu().numpy()
    sigma = spread(outputs, task.loss)
    if sigma is None:
        return Predictions(true, predicted, None, loss)
    errors = sigma.double() * sigma.new_tensor(task.scaling.scale, dtype=torch.float64)
    return Predictions(true, predicted, errors.cpu().numpy(), loss)


def _outputs(network: nn.Module, task: Task, split: str) -> tuple[Tensor, Tensor, Array]:
    """(n, outputs) of the network, (n, K) scaled labels it should have said, (n, K) labels."""
    network.eval()
    n, group = task.spectra.sizes[split], task.group
    outputs: Tensor | None = None
    with torch.inference_mode():
        for start in range(group.rank * PREDICT_BATCH, n, group.size * PREDICT_BATCH):
            stop = min(start + PREDICT_BATCH, n)
            inputs = task.inputs(task.spectra.fixed(split, start, stop))
            said = _whole(network, task, inputs).float()
            if outputs is None:
                outputs = said.new_zeros(n, said.shape[1])
            outputs[start:stop] = said
        if outputs is None:  # more processes than batches
            probe = task.inputs(task.spectra.fixed(split, 0, 1))
            said = _whole(network, task, probe).float()
            outputs = said.new_zeros(n, said.shape[1])
        group.total(outputs)
    true = task.spectra.labels(split, 0, n)
    wanted = torch.from_numpy(task.scaling.scaled(true)).to(outputs)
    return outputs, wanted, true


def _whole(network: nn.Module, task: Task, inputs: Tensor) -> Tensor:
    """(B, outputs), in halves where the device has no memory for all at once."""
    try:
        with task.autocast():
            said: Tensor = network(inputs)
        return said
    except RuntimeError as error:
        if not out_of_memory(error) or len(inputs) == 1:
            raise
    middle = len(inputs) // 2
    halves = inputs[:middle], inputs[middle:]
    return torch.cat([_whole(network, task, half) for half in halves])
