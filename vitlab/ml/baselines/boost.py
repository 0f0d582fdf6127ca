"""Gradient-boosted trees (LightGBM), grown a round at a time with an eye on the validation set."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import lightgbm as lgb
import numpy as np

from vitlab.contract.config import BoostModel, BoostTrain
from vitlab.ml.baselines.rows import PIECE, Array, Matrix, Rows
from vitlab.ml.progress import Best, Evaluation, Note, Progress, Step
from vitlab.ml.scores import score

BIN_SAMPLE = 5000
"""Spectra the bin borders of the pixels are found on."""


@dataclass
class Boost:
    """One booster for each label, cut at the best round."""

    boosters: list[lgb.Booster] = field(default_factory=list)
    mean: Array = field(default_factory=lambda: np.zeros(0))
    """(K,) of the training labels: the boosters grow from there."""
    rounds: int = 0

    def predict(self, x: Matrix) -> Array:
        """(rows, L) inputs -> (rows, K) labels."""
        parts = [b.predict(x, num_iteration=self.rounds) for b in self.boosters]
        labels: Array = self.mean + np.stack([np.asarray(part) for part in parts], axis=1)
        return labels

    @property
    def params(self) -> int:
        """Leaves of all trees used."""
        return sum(
            tree["num_leaves"]
            for booster in self.boosters
            for tree in booster.dump_model(num_iteration=self.rounds)["tree_info"]
        )


class _Sequence(lgb.Sequence):
    """Training rows made when LightGBM asks for them, so that they are never held as floats."""

    batch_size = PIECE

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.piece_start = -1
        self.piece: Matrix = np.empty((0, 0), dtype=np.float32)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Array:
        """(rows, L), or (L,) for a number; LightGBM takes nothing but float64."""
        if isinstance(index, slice):
            start, stop, _ = index.indices(len(self))
            return self.rows.piece(start, stop)[0].astype(np.float64)
        start = int(index) // PIECE * PIECE
        if start != self.piece_start:  # single rows are asked for in rising order
            self.piece = self.rows.piece(start, min(start + PIECE, len(self)))[0]
            self.piece_start = start
        row: Array = self.piece[int(index) - start].astype(np.float64)
        return row


def fit(
    boost: Boost,
    train: Rows,
    val: Rows,
    model: BoostModel,
    config: BoostTrain,
    labels: tuple[str, ...],
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Progress]:
    """Grow `boost` until `config.rounds`, or `config.patience` rounds without a better R2.

    A step is one round: one tree for each label.
    """
    begun = time.perf_counter()
    slopes = _make_boosters(boost, train, model, config)
    yield Note(f"binned {len(train)} spectra in {time.perf_counter() - begun:.1f} s")
    val_x, val_y = (np.concatenate(part) for part in zip(*val.pieces(), strict=True))
    guess = np.tile(boost.mean, (len(val), 1))
    scored, best_r2 = 0, -math.inf
    for step in range(1, config.rounds + 1):
        begun = time.perf_counter()
        # Every booster must grow, so no lazy `all`.
        finished = [
            booster.update(fobj=slope)
            for booster, slope in zip(boost.boosters, slopes, strict=True)
        ]
        rate = len(train) * len(labels) / (time.perf_counter() - begun)
        yield Step(step, config.rounds, 0, math.nan, config.lr, rate)
        if step % config.eval_every and step < config.rounds and not all(finished):
            continue
        for k, booster in enumerate(boost.boosters):
            guess[:, k] += booster.predict(
                val_x, start_iteration=scored, num_iteration=step - scored
            )
        scored = step
        scores = score(val_y, guess, labels)
        yield Evaluation(step, 0, "val", len(val), scores.named("val")[0])
        r2 = float(np.mean([scores.values[f"r2/{label}"] for label in labels]))
        if r2 > best_r2:
            best_r2, boost.rounds = r2, step
        if stopped() or all(finished) or step - boost.rounds >= config.patience:
            yield Note(f"no more trees after round {step}")
            break
    yield Best(boost.rounds, 0)


def _make_boosters(
    boost: Boost, train: Rows, model: BoostModel, config: BoostTrain
) -> list[Callable[[Array, lgb.Dataset], tuple[Array, Array]]]:
    """Empty boosters over one binned training set; returns each one's squared-error slopes.

    The labels stay outside the set: LightGBM keeps only one there, and does not copy it.
    """
    parameters = {
        "objective": "none",
        "learning_rate": config.lr,
        "num_leaves": model.leaves,
        "min_data_in_leaf": model.min_leaf,
        "max_bin": model.bins,
        "feature_fraction": model.feature_fraction,
        "bagging_fraction": model.bagging_fraction,
        "bagging_freq": int(model.bagging_fraction < 1),
        "lambda_l2": model.l2,
        "seed": config.seed,
        "num_threads": config.threads,
        "deterministic": True,
        "force_col_wise": True,
        "bin_construct_sample_cnt": BIN_SAMPLE,
        "verbosity": -1,
    }
    labels = train.spectra.labels(train.split, 0, len(train))
    data = lgb.Dataset(_Sequence(train), label=labels[:, 0], params=parameters)
    data.construct()
    boost.mean = labels.mean(axis=0)
    boost.boosters = [lgb.Booster(parameters, data) for _ in labels.T]
    return [_squared_error(column) for column in (labels - boost.mean).T]


def _squared_error(
    wanted: Array,
) -> Callable[[Array, lgb.Dataset], tuple[Array, Array]]:
    def slopes(guess: Array, data: lgb.Dataset) -> tuple[Array, Array]:  # noqa: ARG001
        return guess - wanted, np.ones_like(guess)

    return slopes
