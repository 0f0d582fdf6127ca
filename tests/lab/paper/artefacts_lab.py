"""A lab with the results of a paper's check list: a run, baselines, a sweep, an ablation."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.lab.conftest import Ended
from vitlab.contract.job import read_result, write_result
from vitlab.contract.paths import JobPaths
from vitlab.contract.value import HEADLINE
from vitlab.ml.residual_file import save_residuals
from vitlab.ml.scoring import Residuals, overall

STARS = 400
ROADMAP = """\
# Plan

## Overview

| MVP | Name | Phase | Gate | Status | exp_id | Report |
|-----|------|-------|------|--------|--------|--------|
| 1.0 | The run | 1 | - | ⏳ | - | - |
| 2.0 | Baselines | 1 | - | ⏳ | - | - |
| 3.0 | Sizes | 1 | - | ⏳ | - | - |
| 4.0 | Tokens | 1 | - | ⏳ | - | - |
| 8.0 | Ceiling | 1 | - | ⏳ | - | - |

## Paper Experiments Checklist

| # | 实验 | 对应 MVP | 状态 | 论文 Artifact |
|---|------|---------|------|--------------|
| P0.1 | 1M run + Test metrics | MVP-1.0 | ⏳ | Table: main results |
| P0.2 | LightGBM 1M baseline | MVP-2.0 | ⏳ | Table: ViT vs baselines |
| P0.3 | Scaling curve | MVP-3.0 | ⏳ | Fig: N vs R² |
| P0.4 | SNR sweep + ceiling | MVP-8.0 | ⏳ | Fig: R² vs SNR (主图) |
| P0.5 | Tokenization ablation | MVP-4.0 | ⏳ | Table: ablation |
"""
Score = Callable[..., JobPaths]


def scorer(ended: Ended) -> Score:
    """`score(run, spread)`: a job with residuals on the stars that all share; `seed`: one of it."""

    def put(
        run: str,
        spread: float,
        *,
        mvp: str = "1.0",
        model: str = "ViT",
        n: int = 1000,
        seed: int | None = None,
        profile: str = "full",
    ) -> JobPaths:
        name = run if seed is None else f"{run} seed={seed}"
        job = ended(name, 0.5, mvp=mvp, model=model, profile=profile, exp_id=f"VIT-20260102-{mvp}")
        config: dict[str, object] = {"data": {"train_size": n}, "model": {"name": f"{model} {run}"}}
        if seed is not None:
            config["train"] = {"seed": seed}
        spec = json.loads(job.spec.read_bytes())
        job.spec.write_text(json.dumps({**spec, "config": config}))
        rescore(job, spread, n=n, noise=abs(hash((seed or 0) + len(run) + n)) % 1000)
        return job

    return put


def rescore(job: JobPaths, spread: float, *, n: int = 1000, noise: int = 0) -> None:
    """Give a job other residuals: those of all jobs and `spread` of its own, in dex."""
    shared = np.random.default_rng(0)
    true = shared.uniform(1, 5, size=(STARS, 1))
    off = shared.normal(scale=0.6, size=(STARS, 1))
    own = np.random.default_rng(noise + 1).normal(scale=spread, size=(STARS, 1))
    snr = shared.uniform(5, 40, STARS)
    kept = Residuals(("log_g",), np.arange(STARS), true, true + off + own, 23 - snr / 20, snr,
                     "same")  # fmt: skip
    save_residuals(job.residuals, kept)
    values, errors = overall(kept, 0).named("test")
    values |= {"val/r2/log_g": values[HEADLINE]}
    result = read_result(job.result)
    assert result is not None
    sizes = {"train": n, "val": 100, "test": STARS}
    write_result(job.result, replace(result, values=values, errors=errors, n=sizes))


def bounded(ended: Ended, r2: float = 0.97) -> JobPaths:
    """A job that computed the ceiling of `WORLD`, whole and at two magnitudes."""
    job = ended("main", 0.0, mvp="8.0", model="Ceiling", exp_id="VIT-20260102-8.0")
    spec = json.loads(job.spec.read_bytes())
    config = {"data": {"source": "grid", "mag": [20.5, 22.5]}, "bayes": 4000, "bayes_each": 1500}
    job.spec.write_text(json.dumps({**spec, "recipe": "ceiling", "config": config}))
    result = read_result(job.result)
    assert result is not None
    values = {"ceiling/r2_bayes/log_g": r2}
    for mag, snr, at in ((20.5, 40.0, 0.99), (22.5, 6.0, 0.8)):
        values |= {f"ceiling@{mag:g}/snr/median": snr, f"ceiling@{mag:g}/r2_bayes/log_g": at}
    headline = "ceiling/r2_bayes/log_g"
    errors = {name: 0.004 for name in values if "bayes" in name}
    write_result(
        job.result,
        replace(result, values=values, errors=errors, headline=headline, recipe="ceiling"),
    )
    return job


def filled(folder: Path, score: Score, ended: Ended) -> None:
    """All of the check list; `folder`: the lab's."""
    (folder / "roadmaps/plan_roadmap.md").write_text(ROADMAP, encoding="utf-8")
    for seed in (42, 43, 44):
        score("main", 0.1, seed=seed)
        score("trees", 0.6, mvp="2.0", model="LightGBM", seed=seed)
    for n, spread in ((100, 0.8), (1000, 0.3)):
        score(f"ViT train_size={n}", spread, mvp="3.0", n=n)
    for run, spread in (("patch_16", 0.2), ("patch_32", 0.5)):
        score(run, spread, mvp="4.0")
    bounded(ended)
