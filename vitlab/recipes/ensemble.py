"""The recipe `ensemble`: runs that differ in their seed alone, scored as one model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from vitlab.contract.config import EnsembleConfig, Learning, Scored, read_config
from vitlab.contract.job import COST, DRAWS, base_name
from vitlab.contract.paths import UsageError, find_lab
from vitlab.jobs.store import all_jobs
from vitlab.lab.results.job_results import Finished, finished, latest
from vitlab.lab.results.repeats import grouped
from vitlab.ml.residual_file import load_residuals
from vitlab.ml.scoring import DensityScores, Residuals, blend, score
from vitlab.ml.spectra.dataset import open_spectra
from vitlab.recipes.context import Context, Outcome
from vitlab.recipes.evaluate import predictions
from vitlab.recipes.scores import check_test, describe_data, score_test, world_of_test

Array = NDArray[np.float64]


def run(context: Context) -> Outcome:
    """Score the mean of the members' predictions on the test stars and on validation.

    Those of the test stars are read from their `residuals.parquet`, those of validation come from
    their models. It costs what they cost together.
    """
    ensemble = context.config
    assert isinstance(ensemble, EnsembleConfig)
    members = _members(context, ensemble)
    names = ", ".join(one.job.paths.name for one in members)
    context.report.note(f"the mean of {len(members)}: {names}")
    spec, first = members[0].job.spec, members[0].result
    config = read_config(spec.recipe, spec.config)
    assert isinstance(config, Learning)
    tested = [load_residuals(one.job.paths.residuals, one.result.values) for one in members]
    device = torch.device(context.device)
    spectra = open_spectra(config.data, config.noise.level, config.labels, device)
    if any(one.hash != spectra.hash for one in tested):
        raise UsageError(f"{ensemble.of}: its runs were not scored on the same test stars")
    parts = [predictions(one.job.paths, config, spectra, spectra, device, "val") for one in members]
    validated = score(parts[0][0], np.mean([part[1] for part in parts], axis=0), config.labels)
    best = {"step": len(members), "epoch": 0}
    values, _ = validated.named("val")
    if (found := blended([part[3] for part in parts])) is not None:
        values |= found.scores(config.labels).named("val")[0]
    context.report.evaluation(len(members), 0, "val", len(parts[0][0]), values)
    as_member = replace(context, config=config)
    pair = tested[0].true, np.mean([one.predicted for one in tested], axis=0)
    sigma, density = mixture_sigma(tested), blended([one.density for one in tested])
    values, errors = score_test(as_member, spectra, pair, best, sigma, density, tested[0].exact)
    checks = check_test(as_member, spectra, pair)
    return Outcome(
        values=values,
        errors=errors,
        n=dict(first.n),
        model=_model(members),
        data={**describe_data(as_member, spectra, checks), **_cost(members)},
        best=best,
        checks=checks,
        world=world_of_test(config, spectra),
        earlier=math.fsum(one.result.seconds for one in members),
    )


def mixture_sigma(members: Sequence[Residuals]) -> Array | None:
    """(n, K) standard deviation of the members' normal distributions mixed; None without them.

    Its square is the mean of their variances plus the variance of their means.
    """
    sigmas = [one.sigma for one in members if one.sigma is not None]
    if len(sigmas) < len(members):
        return None
    means = np.var([one.predicted for one in members], axis=0)
    total: Array = np.sqrt(np.mean(np.square(sigmas), axis=0) + means)
    return total


def blended(members: Sequence[DensityScores | None]) -> DensityScores | None:
    """Of the mean of the members' densities; None where one predicts none."""
    found = [one for one in members if one is not None]
    return blend(found) if len(found) == len(members) else None


def _members(context: Context, ensemble: EnsembleConfig) -> list[Finished]:
    """The newest result of each seed, of this launch or of an earlier one."""
    spec = context.spec
    jobs = [
        job
        for job in all_jobs(find_lab(context.paths.root))
        if (job.spec.mvp, job.spec.profile, job.spec.exp_id)
        == (spec.mvp, spec.profile, spec.exp_id)
        and base_name(job.spec.run) == ensemble.of
        and job.spec.submitted <= spec.submitted
    ]
    found = latest(finished(jobs))
    groups = grouped(found)
    if len(found) != ensemble.members:
        seeds = ", ".join(one.result.run for one in found) or "none"
        raise UsageError(
            f"{ensemble.of}: {len(found)} of {ensemble.members} seeds have a result ({seeds}); "
            "resume the others, then this job"
        )
    if len(groups) > 1 or not issubclass(type(_config(found[0])), Scored):
        raise UsageError(f"{ensemble.of}: its runs differ in more than their seed")
    return found


def _config(one: Finished) -> object:
    return read_config(one.job.spec.recipe, one.job.spec.config)


def _model(members: Sequence[Finished]) -> dict[str, object]:
    """`of` names the model that its members are."""
    first = members[0].result
    sizes = [one.result.model.get("params") for one in members]
    params = [size for size in sizes if isinstance(size, int)]
    return {
        "name": f"{first.model_name} ensemble",
        "of": first.model_name,
        "members": len(members),
        "params": sum(params),
    }


def _cost(members: Sequence[Finished]) -> dict[str, object]:
    """Noise draws and hours of all members together, where each is known."""
    cost: dict[str, object] = {}
    for key in COST:
        known = [one.result.data.get(key) for one in members]
        numbers = [x for x in known if isinstance(x, int | float)]
        if len(numbers) == len(members):
            cost[key] = sum(numbers) if key == DRAWS else round(math.fsum(numbers), 6)
    return cost
