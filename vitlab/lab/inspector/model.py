"""A trained model as the spectrum viewer asks it: an estimate, and what it hangs on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vitlab.contract.config import BoostConfig, MlpConfig, RidgeConfig, TemplateConfig, VitConfig
from vitlab.contract.paths import JobPaths
from vitlab.ml.baselines.ridge import Ridge
from vitlab.ml.baselines.saved import load_model
from vitlab.ml.baselines.template import Templates, make_templates
from vitlab.ml.baselines.trees import Boost
from vitlab.ml.explain import attention_by_pixel, contributions, gradient, noise_response
from vitlab.ml.network.vit import ViT
from vitlab.ml.spectra.dataset import GridSpectra, Spectra
from vitlab.ml.spectra.inputs import Inputs
from vitlab.ml.spectra.labels import LABELS
from vitlab.ml.spectra.observation import Batch
from vitlab.ml.theory.fisher import efficient
from vitlab.ml.training.losses import predicted_labels, predicted_sigma
from vitlab.ml.training.task import Task, load_network

Array = NDArray[np.float64]
CPU = torch.device("cpu")
Scored = VitConfig | MlpConfig | BoostConfig | RidgeConfig | TemplateConfig


@dataclass(frozen=True)
class Seen:
    """What a model says of one star."""

    predicted: Array
    """(K,) labels."""
    sigma: Array | None
    """(K,) their errors; None for a model that says none."""
    hangs: Array
    """(L,) how the estimate of the label asked for hangs on each pixel."""
    attention: Array | None = None
    """(L,) share of each pixel in what the head reads; None without attention."""


class Viewed(Protocol):
    """A model that can be asked about one star."""

    @property
    def kind(self) -> str:
        """What `Seen.hangs` is."""
        ...

    @property
    def signed(self) -> bool:
        """Whether `Seen.hangs` is the response to one sigma of each pixel's noise."""
        ...

    def see(self, batch: Batch, k: int) -> Seen:
        """`batch` of one star; `k` the label that is asked for."""
        ...


@dataclass(frozen=True)
class SeenNetwork:
    """A ViT or a perceptron, in single precision whatever it was trained in."""

    network: nn.Module
    task: Task
    kind: str = "gradient x 1 sigma"
    signed: bool = True

    def see(self, batch: Batch, k: int) -> Seen:
        task, network = self.task, self.network.eval()
        said: list[Tensor] = []

        def labels(inputs: Tensor) -> Tensor:
            """(1, K) in their own units."""
            said.append(network(inputs).float())
            own: Tensor = task.scaling.original(predicted_labels(said[0], task.loss).double())
            return own

        slope = gradient(labels, task.inputs, batch, k)
        outputs = said[0].detach()
        predicted = task.scaling.original(predicted_labels(outputs, task.loss).double())[0]
        errors = predicted_sigma(outputs, task.loss)
        sigma = None
        if errors is not None:
            scale = errors.new_tensor(task.scaling.scale, dtype=torch.float64)
            sigma = (errors.double() * scale)[0].numpy()
        attention = None
        if isinstance(network, ViT):
            attention = attention_by_pixel(network, task.inputs(batch))
        return Seen(predicted.numpy(), sigma, noise_response(slope, batch.error), attention)


@dataclass(frozen=True)
class SeenRidge:
    """A linear model: its weights are its gradient."""

    ridge: Ridge
    inputs: Inputs
    kind: str = "weights x 1 sigma (exact)"
    signed: bool = True

    def see(self, batch: Batch, k: int) -> Seen:
        weights = torch.from_numpy(self.ridge.weights)
        slope = gradient(lambda x: x.double() @ weights, self.inputs, batch, k)
        predicted = self.ridge.predict(self.inputs(batch).numpy())[0]
        return Seen(predicted, None, noise_response(slope, batch.error))


@dataclass(frozen=True)
class SeenTrees:
    """Boosted trees: steps have no gradient, so what each pixel adds to the estimate."""

    boost: Boost
    inputs: Inputs
    kind: str = "TreeSHAP: what each pixel adds"
    signed: bool = False

    def see(self, batch: Batch, k: int) -> Seen:
        x = self.inputs(batch).numpy()
        return Seen(self.boost.predict(x)[0], None, contributions(self.boost, x, k))


@dataclass(frozen=True)
class SeenTemplates:
    """The chi-square fit: an efficient estimator where its model holds, seen at its own minimum."""

    templates: Templates
    columns: list[int]
    kind: str = "weights of the fit x 1 sigma (exact)"
    signed: bool = True

    def see(self, batch: Batch, k: int) -> Seen:
        fitted = self.templates.fitted(batch)
        predicted, sigma = fitted.of(self.columns)
        grid = self.templates.grid
        slopes = grid.to("cpu", torch.float64).derivatives(torch.from_numpy(fitted.labels))
        error = batch.error[0].double().numpy()
        best = efficient(slopes[0].numpy(), error, LABELS[self.columns[k]])
        hangs = best.response if best else np.full(len(error), np.nan)
        return Seen(predicted[0], sigma[0], np.where(np.isfinite(error), hangs, np.nan))


def load_viewed(job: JobPaths, config: Scored, own: Spectra) -> Viewed:
    """The model in a job's folder; `own` is the data it was trained on.

    `UsageError` where the job kept none.
    """
    match config:
        case TemplateConfig():
            assert isinstance(own, GridSpectra)
            columns = [LABELS.index(name) for name in config.labels]
            return SeenTemplates(make_templates(own.simulator.grid, config.refine), columns)
        case VitConfig() | MlpConfig():
            return SeenNetwork(*load_network(job, config, own, CPU))
        case _:
            model, inputs = load_model(job.checkpoints)
            if isinstance(model, Ridge):
                return SeenRidge(model, inputs)
            return SeenTrees(model, inputs)
