"""A network that begins with the weights of another job of the lab (`init`, `adapt`)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from vitlab.contract.checks import Check, unknown
from vitlab.contract.config import VitConfig, read_config
from vitlab.contract.job import ELSEWHERE, read_result, read_spec
from vitlab.contract.paths import JobPaths, UsageError, find_lab, real
from vitlab.lab.results.job_results import lookup_job
from vitlab.ml.overlap import Overlap, find_overlap
from vitlab.ml.scoring import named
from vitlab.ml.spectra.dataset import Spectra, learned_hash, open_spectra
from vitlab.ml.spectra.held_out import medium_then, other_medium
from vitlab.ml.spectra.inputs import other_pixels
from vitlab.ml.spectra.labels import other_labels
from vitlab.ml.training import checkpoint
from vitlab.ml.training.batches import predict
from vitlab.ml.training.checkpoint import BEST, LAST, Saved
from vitlab.ml.training.task import SCALING_SAMPLE, Task
from vitlab.recipes.context import Context
from vitlab.recipes.scores import check_source, note_failed, overlap_checks, stars_shown

CPU = torch.device("cpu")
FREE = ("start", "dropout", "stochastic_depth")
"""Keys of `model` in which both networks may differ: none of them is about its weights."""


@dataclass(frozen=True)
class Initial:
    """What a network begins with."""

    job: JobPaths
    wanted: VitConfig
    """The configuration of the job that begins with it."""
    config: VitConfig
    """Its own job's."""
    saved: Saved
    """Its weights, and the inputs and label scaling that belong to them."""
    spectra: Spectra | None
    """What it was trained on; None where its file is another one now."""

    @property
    def only_scored(self) -> bool:
        """Whether nothing of it is to learn."""
        return self.wanted.adapt == "zero"

    def record(self) -> dict[str, object]:
        """As a part of a result's `model`."""
        return {"init": self.job.name, "adapt": self.wanted.adapt}

    def lines(self, spectra: Spectra) -> list[str]:
        """What is told before the training on these spectra."""
        what = {"zero": "nothing learns", "head": "the last linear map learns"}
        rate = f"all learn, at {self.wanted.adapt_rate:g} of the rate"
        told = [f"begins with the weights of {self.job.name}: {what.get(self.wanted.adapt, rate)}"]
        if self.spectra is None:
            told.append("its data have changed since: its training stars are not known")
        if self.saved.scaling.ranges:
            labels = spectra.labels("train", 0, spectra.at_most("train", SCALING_SAMPLE))
            low, high = np.array(self.saved.scaling.ranges).T
            outside = int(((labels < low) | (labels > high)).any(axis=1).sum())
            if outside:
                text = f"{outside:,} of {len(labels):,} training stars have labels outside those"
                told.append(f"{text} it can predict")
        return told


def find_initial(
    context: Context, config: VitConfig, spectra: Spectra, device: torch.device
) -> Initial | None:
    """The job that `init` names, whose weights fit; None without one.

    `UsageError` in one line where there is no such job in the lab, or its network, labels or pixels
    are others. Of a resumed job the weights come from its own checkpoint.
    """
    if config.init is None:
        return None
    lab = find_lab(context.paths.root)
    elsewhere = context.spec.extra.get(ELSEWHERE) or ()
    job = lookup_job(lab, config.init, context.spec.roadmap or None, elsewhere)
    where = f"config.init: {job.name}"
    best, own = job.checkpoints / BEST, context.paths.checkpoints / LAST
    if job.folder == context.paths.folder:
        raise UsageError(f"{where}: is this job itself")
    if not real(best).is_relative_to(real(lab.root)):
        raise UsageError(f"{where}: its checkpoint is outside the lab")
    spec = read_spec(job.spec)
    earlier = read_config(spec.recipe, spec.config) if spec is not None else None
    if spec is None or not isinstance(earlier, VitConfig):
        raise UsageError(f"{where}: is not a job of recipe vit")
    check_source(job, earlier, config.data.source, "config.data.source:")
    resumed = context.resume and own.exists()
    saved = checkpoint.load(own if resumed else best, device)
    if not (context.spec if resumed else spec).is_named(saved.job):
        raise UsageError(f"{where}: its checkpoint is of another job")
    data = earlier.data.of_lab(job.root)
    trained = open_spectra(data, earlier.noise.level, earlier.labels, CPU)
    wave = trained.wave if saved.inputs.wave is None else saved.inputs.wave
    unlike = _unlike(config, earlier, saved) or other_pixels(wave, spectra.wave)
    result = read_result(job.result)
    known = {} if result is None else result.data
    if unlike := unlike or other_medium(medium_then(known, trained), spectra):
        raise UsageError(f"{where}: {unlike}")
    first = checkpoint.load(best, CPU) if resumed and best.is_file() else saved
    changed = first.data not in ("", learned_hash(trained))
    return Initial(job, config, earlier, saved, None if changed else trained)


def _unlike(config: VitConfig, earlier: VitConfig, saved: Saved) -> str:
    """In what the two networks differ, so that the weights do not fit; empty: they do."""
    for name, value in saved.config.items():
        here = getattr(config.model, name, None)
        if name not in FREE and here != value:
            return f"has model.{name} = {value}, not {here}"
    if saved.labels != config.labels:
        return other_labels(saved.labels, config.labels)
    if saved.loss != config.loss:
        return f"was trained with loss {saved.loss}, not {config.loss}"
    if config.loss == "mixture" and earlier.components != config.components:
        return f"has {earlier.components} components, not {config.components}"
    was, wanted = earlier.data.running_continuum, config.data.running_continuum
    if was != wanted:
        return f"was trained with data.running_continuum = {was:g}, not {wanted:g}"
    return ""


def begin(initial: Initial, network: nn.Module) -> VitConfig:
    """Load the weights and hold those that are not to learn.

    The configuration of the training: at a lower rate where all learn.
    """
    config = initial.wanted
    try:
        network.load_state_dict(initial.saved.model)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        text = f"config.init: {initial.job.name}: from another version of the model ({reason})"
        raise UsageError(text) from None
    if config.adapt == "head":
        network.requires_grad_(False)
        network.get_submodule("head").requires_grad_(True)
    if config.adapt != "all":
        return config
    train, by = config.train, config.adapt_rate
    return replace(config, train=replace(train, lr=train.lr * by, min_lr=train.min_lr * by))


def keep_as_it_is(context: Context, initial: Initial, network: nn.Module, task: Task) -> None:
    """`adapt: zero`: validate the network, and keep it as this job's best state."""
    result = predict(network, task, "val")
    values = named(result.scores(task.labels), "val")
    context.report.evaluation(0, 0, "val", len(result.true), values)
    best = replace(initial.saved, step=0, best_step=0, how=task.how, job=task.job)
    checkpoint.save(context.paths.checkpoints / BEST, best)


def earlier_overlap(context: Context, initial: Initial, spectra: Spectra) -> dict[str, Check]:
    """The checks that find test stars among those that the weights were trained on, if any do.

    Unknown where these stars are not known any more.
    """
    config = initial.config
    if initial.spectra is None:
        return overlap_checks(Overlap(unknown("changed"), unknown("changed")))
    checks = overlap_checks(find_overlap(spectra, initial.spectra, stars_shown(config)))
    failed = {name: check for name, check in checks.items() if check.outcome == "fail"}
    note_failed(context, failed)
    return failed
