"""The axis that runs of a chart share, where it ends, and what is marked on it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from vitlab.contract.job import Spec
from vitlab.lab.figures.axes import (
    Plan,
    Run,
    axis_of,
    distinct,
    positions,
    read_plan,
    series,
    x_range,
)
from vitlab.lab.progress import Sample

R2 = "val/r2/log_g"


def run(recipe: str, values: Sequence[float | None], of: int = 100, **more: object) -> Run:
    step = of // max(len(values), 1)
    samples = [Sample(step * (i + 1), 0.0, float(i), y) for i, y in enumerate(values)]
    last = samples[-1].step if samples else of
    spec = Spec("1.0", "main", "full", recipe, dict(more), "A-1", "plan.md")
    return Run(recipe, samples, read_plan(spec), of, int(last), sweep=recipe == "ridge")


TRAIN = {"batch": 64, "epochs": 3}


@pytest.mark.parametrize(
    ("runs", "axis", "end"),
    [
        ([run("vit", [0.1, 0.2], 300, train=TRAIN)], "step", 300),
        ([run("vit", [0.1], 100, train=TRAIN)], "epoch", 2),  # counted from 0
        ([run("vit", [0.1], 300, train=TRAIN), run("mlp", [0.1], 900, train=TRAIN)],
         "spectra", 64 * 900),
        ([run("vit", [0.1], 300, train=TRAIN), run("lightgbm", [0.1, 0.3], 2000)], "share", 100),
        ([run("lightgbm", [0.1, 0.3], 2000), run("ridge", [0.4, 0.5], 4)], "step", 2000),
        ([run("ridge", [0.4, 0.5], 4)], "share", 100),
        ([run("vit", [0.1], train=TRAIN), run("command", [0.2, 0.3], 0)], "seconds", 1),
        ([run("vit", [0.1, 0.2], train={"batch": "auto"}), run("mlp", [0.1])], "share", 100),
    ],
)  # fmt: skip
def test_runs_share_an_axis_that_means_something_to_all_of_them(
    runs: list[Run], axis: str, end: float
) -> None:
    assert axis_of(runs) == axis
    drawn = [series(one, axis, R2) for one in runs]
    assert x_range(runs, drawn, axis) == (0.0, end)


def test_launches_of_one_run_are_told_apart_by_their_time() -> None:
    jobs = ["A-1/20260101-101010-r", "A-1/20260102-111111-r", "B-1/20260102-111112-main"]
    labels = distinct(["1.0 r", "1.0 r", "2.0 main"], jobs)
    assert labels == ["1.0 r 101010", "1.0 r 111111", "2.0 main"]


def test_a_ridge_is_a_level_at_its_best_and_a_curve_bears_its_marks() -> None:
    tested = Sample(3, 0.0, 4.0, 0.35)
    ridge = series(run("ridge", [0.3, 0.4, 0.38], 4), "share", R2)
    assert (ridge.level, list(ridge.y), list(ridge.x)) == (True, [0.4, 0.4], [0.0, 100.0])
    tree = run("lightgbm", [0.1, 0.5, None, 0.4], 40)
    drawn = series(Run("t", tree.samples, tree.plan, 40, 40, tested), "share", R2)
    assert drawn.best == (50.0, 0.5)
    assert drawn.test == (100.0, 0.35)  # at its end, not at the best step
    assert series(tree, "share", "val/mae/log_g").best == (25.0, 0.1)
    assert series(tree, "share", "val/something").best is None
    assert series(run("ridge", [], 4), "share", R2).y == []


def test_what_a_job_s_file_says_of_its_training_may_be_anything() -> None:
    def plan(recipe: str, **config: object) -> Plan:
        return read_plan(Spec("1.0", "main", "full", recipe, config, "A-1", "plan.md"))

    assert plan("vit", train=7) == Plan("vit", 128, 24) or plan("vit", train=7).epochs == 24
    assert plan("vit", train={"batch": "auto", "epochs": [3]}) == Plan("vit")
    assert plan("command", epochs=7) == Plan("command", None, 7)
    assert plan("command", epochs="7") == Plan("command")
    assert positions(run("vit", [0.1], 0), [Sample(5, None, None, 1.0)], "share") == [None]
