"""Results of a lab as drafts quote them: a scaling, three baselines, a run done twice, seeds."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from pathlib import Path

from vitlab.contract.job import Done, Profile, Recipe, Result, Spec
from vitlab.contract.paths import JobPaths
from vitlab.contract.world import FLUX, World
from vitlab.docs.judge.ceiling import Ceiling
from vitlab.jobs.store import Job
from vitlab.lab.paper.facts import Facts, facts_of
from vitlab.lab.results.job_results import Finished

WORLD = World("a grid", "a prior", (20.5, 22.5), 1.0, FLUX)
BOUNDS = {(WORLD, "log_g"): Ceiling(0.7921, 0.004)}
_clock = count(1, 10)


def finished(
    mvp: str,
    run: str,
    model: str,
    size: int,
    values: Mapping[str, float],
    *,
    params: int = 100,
    epochs: int = 200,
    seed: int | None = None,
    recipe: Recipe = "vit",
    profile: Profile = "full",
) -> Finished:
    """One job that ended well; `values` without `test/`, those of `val_` on validation."""
    ended = float(next(_clock))
    train: dict[str, object] = {"epochs": epochs}
    if seed is not None:
        train["seed"] = seed
    config: dict[str, object] = {"train": train, "data": {"train_size": size}}
    name = run if seed is None else f"{run} seed={seed}"
    spec = Spec(mvp, name, profile, recipe, config, f"VIT-20260102-x-{mvp}", "roadmaps/plan.md")
    numbers = {
        (f"val/{k[4:]}" if k.startswith("val_") else f"test/{k}"): v for k, v in values.items()
    }
    result = Result(
        mvp=mvp,
        run=name,
        profile=profile,
        recipe=recipe,
        values={k if k.count("/") == 2 else f"{k}/log_g": v for k, v in numbers.items()},
        errors={"test/r2/log_g": 0.0052},
        n={"train": size, "val": 1000, "test": 10_000},
        model={"name": model, "params": params},
        data={"hash": "same"},
        world=WORLD.record(),
    )
    paths = JobPaths(Path(f"/lab/experiments/{spec.exp_id}/{int(ended):08d}-{mvp}"))
    job = Job(paths, spec, Done(ended - 5, ended, "ok", 0), order=ended, priority=0)
    return Finished(job, result)


def lab_results() -> list[Finished]:
    """Oldest first; the first is done again later, with another number."""
    vit = {
        "mae/log_g": 0.3952,
        "rmse/log_g": 0.5641,
        "label_std/log_g": 1.0493,
        "bias/log_g": 0.012,
    }
    trees = {"mae/log_g": 0.4871, "rmse/log_g": 0.6520, "label_std/log_g": 1.0493}
    return [
        finished("1.0", "Run 1", "ViT p16_h256_L6_a8", 1_000_000, {"r2": 0.6983}, params=4_893_441),
        finished("1.0", "Run 1", "ViT p16_h256_L6_a8", 1_000_000,
                 {"r2": 0.7109, "val_r2": 0.7134, "r2/T_eff": 0.9871, "mae/T_eff": 61.3, **vit},
                 params=4_893_441),
        finished("2.0", "LightGBM", "LightGBM", 1_000_000,
                 {"r2": 0.6138, "val_r2": 0.6181, **trees}, recipe="lightgbm", epochs=1),
        finished("2.0", "Ridge", "Ridge", 1_000_000, {"r2": 0.4657}, recipe="ridge", epochs=1),
        *(finished("3.0", f"ViT {n}", "ViT p16_h256_L6_a8", n, {"r2": r2}, params=4_893_441)
          for n, r2 in ((100_000, 0.5963), (500_000, 0.6807))),
        *(finished("3.0", f"LightGBM {n}", "LightGBM", n, {"r2": r2}, recipe="lightgbm", epochs=1)
          for n, r2 in ((100_000, 0.5529), (500_000, 0.5995))),
        *(finished("4.0", "MLP", "MLP", 1_000_000, {"r2": r2}, seed=seed, recipe="mlp",
                   params=2_361_345, epochs=100)
          for seed, r2 in ((0, 0.6901), (1, 0.7003), (2, 0.7164))),
    ]  # fmt: skip


def lab_facts() -> Facts:
    """What the results say, with the ceiling of their world."""
    return facts_of(lab_results(), BOUNDS)


VIT = "ViT p16_h256_L6_a8"
LEARNED = ((2_000, 0.5821, 0.3905), (10_000, 0.6604, 0.4822), (50_000, 0.7077, 0.5561),
           (200_000, 0.7318, 0.6118))  # fmt: skip
"""Training spectra, and R2 of ViT and LightGBM."""


def other_results() -> list[Finished]:
    """Of another lab: three seeds of a ViT at five sizes, four losses, trees, ridge, templates."""
    size, std = 512_000, {"label_std/log_g": 1.291}
    found = []
    for seed, d in ((42, -0.0031), (43, 0.0004), (44, 0.0027)):
        values = {
            "r2": 0.7423 + d, "val_r2": 0.7466 + d, "mae/log_g": 0.4412 - d,
            "rmse/log_g": 0.6553 - 1.2 * d, "bias/log_g": -0.0042 + d / 3,
            "r2/T_eff": 0.9925 + d / 10, "mae/T_eff": 48.2 + 300 * d,
            "r2/M_H": 0.9144 + d / 2, "mae/M_H": 0.131 - d / 5, **std,
        }  # fmt: skip
        found.append(finished("1.0", "Run 1", VIT, size, values, params=4_893_441, epochs=150,
                              seed=seed))  # fmt: skip
    trees = {"r2": 0.6377, "val_r2": 0.6431, "mae/log_g": 0.5628, "rmse/log_g": 0.7771,
             "bias/log_g": -0.011, "r2/T_eff": 0.9771, "mae/T_eff": 88.4, **std}  # fmt: skip
    ridge = {"r2": 0.5187, "mae/log_g": 0.7016, "rmse/log_g": 0.8956, **std}
    fits = {"r2": 0.4012, "mae/log_g": 0.6821, "rmse/log_g": 0.9990, **std}
    found += [
        finished("2.0", "LightGBM", "LightGBM", size, trees, recipe="lightgbm", epochs=1),
        finished("2.0", "Ridge", "Ridge", size, ridge, recipe="ridge", epochs=1, params=4097),
        finished("2.0", "Template", "Template fit", 0, fits, recipe="template", epochs=1, params=3),
    ]
    for n, vit, lightgbm in LEARNED:
        for seed, d in ((42, -0.002), (43, 0.0015), (44, 0.0005)):
            found.append(finished("3.0", f"ViT {n}", VIT, n, {"r2": vit + d}, params=4_893_441,
                                  epochs=150, seed=seed))  # fmt: skip
        found.append(finished("3.0", f"LightGBM {n}", "LightGBM", n, {"r2": lightgbm},
                              recipe="lightgbm", epochs=1))  # fmt: skip
    for loss, r2 in (("l1", 0.7391), ("huber", 0.7410), ("nll", 0.7455)):
        found.append(finished("5.0", f"loss={loss}", f"ViT loss {loss}", size, {"r2": r2},
                              params=4_893_441, epochs=150))  # fmt: skip
    return found


def other_facts() -> Facts:
    """What the results of the other lab say."""
    return facts_of(other_results(), {(WORLD, "log_g"): Ceiling(0.8034, 0.003)})
