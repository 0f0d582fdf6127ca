"""The plain multi-layer perceptron; trained like any network by `vitlab.ml.train`."""

from __future__ import annotations

from torch import Tensor, nn

from vitlab.contract.networks import MlpModel


class MLP(nn.Module):
    """(B, L) input -> (B, K) labels on the network's scale."""

    def __init__(self, model: MlpModel, pixels: int, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = pixels
        for hidden in model.hidden:
            layers += [nn.Linear(width, hidden), nn.GELU(), nn.Dropout(model.dropout)]
            width = hidden
        self.layers = nn.Sequential(*layers, nn.Linear(width, outputs))

    def forward(self, spectra: Tensor) -> Tensor:
        labels: Tensor = self.layers(spectra)
        return labels
