"""Trained models explained star by star: the prediction, and what it depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vitlab.contract.config import MlpConfig, Scored, TemplateConfig, VitConfig
from vitlab.contract.paths import JobPaths
from vitlab.lab.inspector.posterior import Marginal
from vitlab.ml.baselines.model_file import load_model as load_baseline
from vitlab.ml.baselines.ridge import Ridge
from vitlab.ml.baselines.template import Templates, make_templates
from vitlab.ml.baselines.trees import Boost
from vitlab.ml.explain import attention_by_pixel, contributions, gradient, noise_response
from vitlab.ml.network.vit import ViT
from vitlab.ml.own_model import check_own
from vitlab.ml.spectra.dataset import GridSpectra, Spectra
from vitlab.ml.spectra.inputs import Inputs
from vitlab.ml.spectra.labels import LABELS
from vitlab.ml.spectra.observation import Batch
from vitlab.ml.theory.fisher import efficient
from vitlab.ml.training.batches import check_own_network
from vitlab.ml.training.task import Task, density, load_network

Array = NDArray[np.float64]
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Explained:
    """A model's prediction for one star, and what it depends on."""

    predicted: Array  # (K,) labels
    sigma: Array | None  # (K,) predicted errors, if any
    response: Array  # (L,) how the prediction of the given label depends on each pixel
    attention: Array | None = None
    """(L,) each pixel's share of what the head reads; None without attention."""
    marginal: Marginal | None = None
    """The density of the label, if the model predicts one."""


class Model(Protocol):
    """A trained model that can be explained for one star."""

    @property
    def kind(self) -> str:
        """Description of `Explained.response`."""
        ...

    @property
    def signed(self) -> bool:
        """Whether `Explained.response` is the change for one sigma of each pixel's noise."""
        ...

    def explain(self, batch: Batch, k: int) -> Explained:
        """Explain label `k` of the one star in `batch`.

        Where this has the star in several draws of noise: its labels are the mean over them, their
        errors and density those of all, and the response is of the first.
        """
        ...


@dataclass(frozen=True)
class NetworkModel:
    """A ViT or MLP, in single precision whatever it was trained in."""

    network: nn.Module
    task: Task
    kind: str = "gradient x 1 sigma"
    signed: bool = True

    def explain(self, batch: Batch, k: int) -> Explained:
        task, network = self.task, self.network.eval()
        outputs: list[Tensor] = []

        def labels(inputs: Tensor) -> Tensor:
            """(1, K) labels in their own units."""
            outputs.append(network(inputs).float())
            return task.estimate(outputs[0])[0]

        slope = gradient(labels, task.inputs, batch, k)
        attention = None
        if isinstance(network, ViT):
            attention = attention_by_pixel(network, task.inputs(batch)[:1])
        response = noise_response(slope, batch.error)
        said = outputs[0].detach()
        found = density(said.double(), task.loss, len(task.labels))
        if found is None:
            predicted = task.estimate(said)[0].mean(dim=0).numpy()
            return Explained(predicted, None, response, attention)
        pooled = found.pooled()
        mean, sigma = pooled.moments(task.scaling.original)
        marginal = Marginal(pooled, task.scaling, k)
        return Explained(mean[0].numpy(), sigma[0].numpy(), response, attention, marginal)

    @torch.no_grad()
    def features(self, batch: Batch) -> Array:
        """(B, D) what the last linear map reads."""
        last = [part for part in self.network.modules() if isinstance(part, nn.Linear)][-1]
        read: list[Tensor] = []
        hook = last.register_forward_pre_hook(lambda _, given: read.append(given[0]))
        try:
            self.network.eval()(self.task.inputs(batch))
        finally:
            hook.remove()
        return read[0].double().numpy()


@dataclass(frozen=True)
class LinearModel:
    """A linear model: its weights are its gradient."""

    ridge: Ridge
    inputs: Inputs
    kind: str = "weights x 1 sigma (exact)"
    signed: bool = True

    def explain(self, batch: Batch, k: int) -> Explained:
        weights = torch.from_numpy(self.ridge.weights)
        slope = gradient(lambda x: x.double() @ weights, self.inputs, batch, k)
        predicted = self.ridge.predict(self.inputs(batch).numpy()).mean(axis=0)
        return Explained(predicted, None, noise_response(slope, batch.error))


@dataclass(frozen=True)
class TreeModel:
    """Boosted trees: they have no gradient, so the contribution of each pixel."""

    boost: Boost
    inputs: Inputs
    kind: str = "TreeSHAP: what each pixel adds"
    signed: bool = False

    def explain(self, batch: Batch, k: int) -> Explained:
        x = self.inputs(batch).numpy()
        predicted = self.boost.predict(x).mean(axis=0)
        return Explained(predicted, None, contributions(self.boost, x[:1], k))


@dataclass(frozen=True)
class TemplateModel:
    """The chi-square fit: an efficient estimator where its model holds, at its minimum."""

    templates: Templates
    columns: list[int]
    kind: str = "weights of the fit x 1 sigma (exact)"
    signed: bool = True

    def explain(self, batch: Batch, k: int) -> Explained:
        fitted = self.templates.fitted(batch)
        predicted, sigma = fitted.of(self.columns)
        grid = self.templates.grid
        slopes = grid.to("cpu", torch.float64).derivatives(torch.from_numpy(fitted.labels))
        error = batch.error[0].double().numpy()
        best = efficient(slopes[0].numpy(), error, LABELS[self.columns[k]])
        response = best.response if best else np.full(len(error), np.nan)
        spread = np.sqrt((sigma**2).mean(axis=0) + predicted.var(axis=0))
        response = np.where(np.isfinite(error), response, np.nan)
        return Explained(predicted.mean(axis=0), spread, response)


def load_model(job: JobPaths, config: Scored, spectra: Spectra) -> Model:
    """The model in a job's folder, trained on `spectra`.

    `UsageError` when there is none, or it is not that of the job's result.
    """
    match config:
        case TemplateConfig():
            assert isinstance(spectra, GridSpectra)
            columns = [LABELS.index(name) for name in config.labels]
            return TemplateModel(make_templates(spectra.simulator.grid, config.refine), columns)
        case VitConfig() | MlpConfig():
            network, task = load_network(job, config, spectra, CPU)
            check_own_network(job, network, task)
            return NetworkModel(network, task)
        case _:
            model, inputs = load_baseline(job.checkpoints, config.labels, spectra.wave)
            check_own(job, spectra, lambda batch: model.predict(inputs(batch).numpy()))
            if isinstance(model, Ridge):
                return LinearModel(model, inputs)
            return TreeModel(model, inputs)
