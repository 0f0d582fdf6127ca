"""Gradient-boosted trees (LightGBM): spectra in one-byte bins, trees grown round by round."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from vitlab.contract.config import BoostModel, BoostTrain
from vitlab.contract.paths import TREES, UsageError, new_file, write_atomic
from vitlab.contract.reading import open_regular, parse, read_regular
from vitlab.contract.user_key import is_sealed, seal
from vitlab.contract.value import Value
from vitlab.ml.baselines.lightgbm import lgb
from vitlab.ml.progress import Best, Checkpoint, Evaluation, Note, Progress, Step
from vitlab.ml.scoring import score
from vitlab.ml.spectra.dataset import learned_hash, written_at
from vitlab.ml.spectra.inputs import PIECE, Array, Matrix, Rows
from vitlab.ml.spectra.observation import content_hash

BIN_SAMPLE = 5
"""Pieces of rows, spread over the set, that determine the bin borders."""
ROOM = 16 * 10**9
"""Size limit of a lab's cached sets, bytes; the oldest are removed first."""
SUFFIX = ".lgb"


@dataclass(frozen=True)
class Binned:
    """A training set ready for trees."""

    data: lgb.Dataset
    text: str
    """Where it came from, for a note."""


class _Sequence(lgb.Sequence):
    """Rows computed a piece at a time, when LightGBM asks for them."""

    batch_size = PIECE

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Matrix:
        """(rows, L), or (L,) for an integer."""
        if isinstance(index, slice):
            start, stop, _ = index.indices(len(self))
            return np.ascontiguousarray(self.rows.piece(start, stop)[0])
        row: Matrix = self.rows.piece(int(index), int(index) + 1)[0][0]
        return row


def dataset_parameters(bins: int, threads: int) -> dict[str, Any]:
    """Parameters shared by LightGBM's data sets and trees."""
    return {
        "max_bin": bins,
        # The borders come from all rows of `sample`.
        "bin_construct_sample_cnt": BIN_SAMPLE * PIECE,
        # The sample is smaller than the set, so its leaf sizes say nothing about the set.
        "feature_pre_filter": False,
        "force_col_wise": True,
        "num_threads": threads,
        "verbosity": -1,
    }


def binned(rows: Rows, parameters: Mapping[str, Any], cache: Path | None) -> Binned:
    """The rows in bins, from the folder `cache` if there; None: no cache."""
    begun = time.perf_counter()
    path = None if cache is None else cache / f"{_key(rows, parameters)}{SUFFIX}"
    if path is not None and (cached := _load(path, rows, parameters)) is not None:
        return Binned(cached, f"{len(rows)} spectra in bins from {path.name}")
    data = _make(rows, dict(parameters))
    text = f"binned {len(rows)} spectra in {time.perf_counter() - begun:.1f} s"
    if path is not None:
        text += _keep(data, path, len(rows) * rows.spectra.pixels)
    return Binned(data, text)


def sample(rows: Rows) -> Matrix:
    """Pieces of rows spread over the set: for single rows LightGBM would simulate all of it."""
    starts = np.linspace(0, len(rows) - PIECE, BIN_SAMPLE).astype(int)
    return np.concatenate([rows.piece(start, start + PIECE)[0] for start in starts.tolist()])


def _make(rows: Rows, parameters: dict[str, Any]) -> lgb.Dataset:
    # A LightGBM set holds only one label, so labels are kept outside.
    none = np.zeros(len(rows), dtype=np.float32)
    if len(rows) <= BIN_SAMPLE * PIECE:
        x = rows.piece(0, len(rows))[0]
        return lgb.Dataset(x, label=none, params=parameters).construct()
    few = sample(rows)
    borders = lgb.Dataset(few, label=none[: len(few)], params=parameters).construct()
    del few
    data = lgb.Dataset(_Sequence(rows), label=none, reference=borders, params=parameters)
    return data.construct()


def _key(rows: Rows, parameters: Mapping[str, Any]) -> str:
    parts = [
        "bins-1",
        lgb.__version__,
        learned_hash(rows.spectra),
        written_at(rows.spectra),
        len(rows),
        rows.copies,
        rows.inputs.kind,
        parameters["max_bin"],
        BIN_SAMPLE,
    ]
    first = rows.piece(0, 1)[0].tobytes()  # checks spectra and input
    return content_hash([str(part) for part in parts], first)


def _load(path: Path, rows: Rows, parameters: Mapping[str, Any]) -> lgb.Dataset | None:
    """The set in `path`, or None; a damaged file is removed."""
    if not path.is_file():
        return None
    try:
        mark = read_regular(path.with_suffix(".sum")).decode("ascii", "replace")
        whole = is_sealed(mark, *_parts(path, path))
    except OSError:
        whole = False
    if not whole:
        path.unlink(missing_ok=True)
        return None
    data = lgb.Dataset(path, params=dict(parameters)).construct()
    if data.num_data() != len(rows):
        return None
    with contextlib.suppress(FileNotFoundError):  # another process has made room
        os.utime(path)  # mark as recently used
    return data


def _parts(path: Path, kept: Path) -> tuple[bytes, ...]:
    """What is sealed of the set to be found in `path`, and now in `kept`.

    LightGBM trusts what it loads: what is cut, changed, another user's or of another set must not
    be.
    """
    with os.fdopen(open_regular(kept), "rb") as file:
        return b"bins", path.stem.encode(), hashlib.file_digest(file, "blake2b").digest()


def _keep(data: lgb.Dataset, path: Path, size: int) -> str:
    """Save a set of about `size` bytes atomically; returns a note's text if it could not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if size > ROOM or size > shutil.disk_usage(path.parent).free / 2:
        return f"; {size / 1e9:.1f} GB do not fit into the cache"
    _make_room(path.parent, size)
    try:
        with new_file(path) as file:
            data.save_binary(file)
            write_atomic(path.with_suffix(".sum"), seal(*_parts(path, file)).encode())
    except (OSError, lgb.basic.LightGBMError) as error:
        return f"; not cached: {error}"
    return ""


def _make_room(folder: Path, size: int) -> None:
    known = sorted(folder.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime)
    taken = sum(path.stat().st_size for path in known)
    for path in known:
        if taken + size <= ROOM:
            return
        taken -= path.stat().st_size
        path.unlink(missing_ok=True)
        path.with_suffix(".sum").unlink(missing_ok=True)


FORMAT = 1
LARGEST = 1 << 30
"""Bytes of a file of trees."""
CELL = 16
"""Bytes per histogram bin: sums of gradients and of hessians."""


@dataclass
class Boost:
    """One booster per label, used up to the best round."""

    boosters: list[lgb.Booster] = field(default_factory=list)
    mean: Array = field(default_factory=lambda: np.zeros(0))
    """(K,) mean of the training labels, from which the boosters start."""
    rounds: int = 0
    """Rounds of the best validation, used for predictions."""
    best_r2: float = -math.inf
    grown: int = 0
    """Rounds grown so far."""
    data: str = ""
    """`learned_hash` of its data set; empty: not kept by the vitlab that saved it."""
    job: str = ""
    """Mark of its job; empty: not known."""

    def predict(self, x: Matrix) -> Array:
        """(rows, L) inputs -> (rows, K) labels."""
        return self._sum(x, self.rounds)

    def grown_so_far(self, x: Matrix) -> Array:
        """As `predict`, with all trees, without the mean."""
        return self._sum(x, self.grown) - self.mean

    def _sum(self, x: Matrix, rounds: int) -> Array:
        parts = [b.predict(x, num_iteration=rounds) for b in self.boosters]
        labels: Array = self.mean + np.stack([np.asarray(part) for part in parts], axis=1)
        return labels

    @property
    def params(self) -> int:
        """Number of leaves in all trees used."""
        return sum(
            tree["num_leaves"]
            for booster in self.boosters
            for tree in booster.dump_model(num_iteration=self.rounds)["tree_info"]
        )


def save(path: Path, boost: Boost) -> None:
    """Write all trees and their state atomically."""
    texts = [booster.model_to_string(num_iteration=-1) for booster in boost.boosters]
    document = {
        "format": FORMAT,
        "mean": boost.mean.tolist(),
        "rounds": boost.rounds,
        "best_r2": boost.best_r2 if math.isfinite(boost.best_r2) else None,
        "grown": boost.grown,
        "data": boost.data,
        "job": boost.job,
        "trees": texts,
        "seals": [seal(b"trees", text.encode()) for text in texts],
    }
    document["seal"] = seal(b"training", json.dumps(document).encode())
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(document).encode())


def booster_of(path: Path, text: str, mark: object) -> lgb.Booster:
    """What LightGBM makes of a text that a job of this user has written; else `UsageError`.

    Its parser hangs or crashes on a single changed line.
    """
    _check_seal(path, mark, b"trees", text)
    return lgb.Booster(model_str=text)


def _check_seal(path: Path, mark: object, what: bytes, text: str) -> None:
    if not is_sealed(mark, what, text.encode()):
        raise UsageError(f"{path}: not written by a job of this user, or changed since: not loaded")


def load(path: Path) -> Boost:
    """The trees in `path`; `UsageError` when it is missing, broken or not this user's own."""
    try:
        document = parse(read_regular(path, LARGEST))
        if document["format"] != FORMAT:
            raise UsageError(f"{path}: not trees of format {FORMAT}")
        if "seal" in document:  # an older vitlab sealed the trees alone
            _check_seal(path, document.pop("seal"), b"training", json.dumps(document))
        best = document["best_r2"]
        texts, marks = document["trees"], document.get("seals", ())
        pairs = zip_longest(texts, marks[: len(texts)])
        return Boost(
            boosters=[booster_of(path, str(text), mark) for text, mark in pairs],
            mean=np.array(document["mean"], dtype=np.float64),
            rounds=int(document["rounds"]),
            best_r2=-math.inf if best is None else float(best),
            grown=int(document["grown"]),
            data=str(document.get("data", "")),
            job=str(document.get("job", "")),
        )
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file of trees") from None
    except (OSError, ValueError, KeyError, TypeError, lgb.basic.LightGBMError) as error:
        raise UsageError(f"{path}: not a readable file of trees ({error})") from None


@dataclass(frozen=True)
class Files:
    """Files of a training."""

    cache: Path | None = None
    """Folder of binned training sets."""
    checkpoints: Path | None = None
    resume: bool = False
    """Continue with the trees in `checkpoints`, if any."""


@dataclass(frozen=True)
class _Training:
    """A running training."""

    boost: Boost
    slopes: list[Callable[[Array, lgb.Dataset], tuple[Array, Array]]]
    val_y: Array
    val_starts: Array  # (n, K) predictions before this training's trees
    labels: tuple[str, ...]
    n: int

    def step(self) -> bool:
        """Grow one more tree per label; False when none can be split further."""
        # A list, because every booster must grow.
        finished = [
            booster.update(fobj=slope)
            for booster, slope in zip(self.boost.boosters, self.slopes, strict=True)
        ]
        self.boost.grown += 1
        return not all(finished)

    def evaluate(self) -> Evaluation:
        """Score the trees so far, and record the best round."""
        added = [_val_predictions(booster) for booster in self.boost.boosters]
        predicted = self.val_starts + np.stack(added, axis=1)
        scores = score(self.val_y, predicted, self.labels)
        r2 = float(np.mean([scores.values[Value("", "r2", label)] for label in self.labels]))
        if r2 > self.boost.best_r2:
            self.boost.best_r2, self.boost.rounds = r2, self.boost.grown
        return Evaluation(self.boost.grown, 0, "val", len(predicted), scores.named("val")[0])


def fit(
    boost: Boost,
    train: Rows,
    val: Rows,
    model: BoostModel,
    config: BoostTrain,
    labels: tuple[str, ...],
    stopped: Callable[[], bool] = lambda: False,
    files: Files | None = None,
) -> Iterator[Progress]:
    """Grow `boost` until `config.rounds`, or `config.patience` rounds without a better R2.

    A step is one round: one tree per label. A resumed training keeps its trees, but later ones use
    different pixels than without the interruption; after its last round nothing differs.
    """
    files = files or Files()
    path = files.checkpoints / TREES if files.checkpoints else None
    boost.data = learned_hash(train.spectra)
    before = _before(path, boost) if path and files.resume else None
    if before is not None and _is_done(before, config):
        vars(boost).update(vars(before))
        yield Note(f"resumed after its last round, {boost.grown}: nothing differs")
        yield Best(boost.rounds, 0)
        return
    parameters = dataset_parameters(model.bins, config.threads)
    bins = binned(train, parameters, files.cache)
    yield Note(bins.text)
    training = _start(boost, before, train, val, bins.data, model, config, labels)
    if before is not None:
        yield Note(
            f"resumed after round {boost.grown}: later trees differ from an unbroken run's: "
            f"they choose their pixels by seed {seed_of(config, boost.grown)}, not {config.seed}"
        )
    alive = True
    while not _is_done(boost, config) and alive and not stopped():
        begun = time.perf_counter()
        alive = training.step()
        rate = training.n * len(labels) / (time.perf_counter() - begun)
        yield Step(boost.grown, config.rounds, 0, math.nan, config.lr, rate)
        if boost.grown % config.eval_every == 0 or boost.grown == config.rounds or not alive:
            yield training.evaluate()
        if path is not None and boost.grown % config.save_every == 0:
            save(path, boost)
            yield Checkpoint(boost.grown, path)
    if boost.grown < config.rounds:
        yield Note(f"{'stopped' if stopped() else 'no more trees'} after round {boost.grown}")
    if path is not None:
        save(path, boost)
        yield Checkpoint(boost.grown, path)
    yield Best(boost.rounds, 0)


def _before(path: Path, boost: Boost) -> Boost | None:
    """The trees to go on with; None without any, `UsageError` for those of other data or jobs."""
    before = load(path) if path.is_file() else None
    if before is None:
        return None
    if before.data not in ("", boost.data):
        raise UsageError(f"{path}: its data have changed since, cannot be resumed")
    if before.job and boost.job and before.job != boost.job:
        raise UsageError(f"{path}: of another job, cannot be resumed")
    return before


def _is_done(boost: Boost, config: BoostTrain) -> bool:
    """Whether all rounds are grown, or too many without a better score."""
    waited = boost.grown - boost.rounds if boost.rounds else 0
    return boost.grown >= config.rounds or waited >= config.patience


def _start(
    boost: Boost,
    before: Boost | None,
    train: Rows,
    val: Rows,
    data: lgb.Dataset,
    model: BoostModel,
    config: BoostTrain,
    labels: tuple[str, ...],
) -> _Training:
    """Boosters over one binned training set, empty or with the trees of `before`."""
    targets = train.labels()
    boost.mean = targets.mean(axis=0)
    val_x, val_y = (np.concatenate(part) for part in zip(*val.pieces(), strict=True))
    starts, val_starts = np.zeros_like(targets), np.zeros_like(val_y)
    if before is not None:
        boost.mean, boost.rounds, boost.best_r2 = before.mean, before.rounds, before.best_r2
        boost.grown = before.grown
        starts = np.concatenate([before.grown_so_far(x) for x, _ in train.pieces()])
        val_starts = before.grown_so_far(val_x)
    parameters = _parameters(model, config, boost.grown, val_x.shape[1])
    val_data = lgb.Dataset(val_x, reference=data, params=parameters).construct()
    boost.boosters = []
    for k in range(len(labels)):
        if before is not None:
            # What `init_model` of lightgbm.train does, which fails on binned data: the booster
            # gets these trees, but does not add them to its predictions.
            first = lgb.basic._InnerPredictor.from_booster(before.boosters[k], {})
            data._predictor = val_data._predictor = first
        booster = lgb.Booster(parameters, data)
        booster.add_valid(val_data, "val")
        boost.boosters.append(booster)
    slopes = [_squared_error(column) for column in (targets - boost.mean - starts).T]
    return _Training(boost, slopes, val_y, boost.mean + val_starts, labels, len(train))


def seed_of(config: BoostTrain, grown: int) -> int:
    """The seed of the rounds after `grown`: not to repeat the pixels of the first trees."""
    return (config.seed + grown) % 2**31


def _parameters(model: BoostModel, config: BoostTrain, grown: int, pixels: int) -> dict[str, Any]:
    every = model.leaves * pixels * model.bins * CELL
    return {
        **dataset_parameters(model.bins, config.threads),
        # MB. With half of what all leaves would take, trees and time are the same.
        "histogram_pool_size": every / 2 / 2**20,
        "objective": "none",
        "metric": "none",
        "learning_rate": config.lr,
        "num_leaves": model.leaves,
        "min_data_in_leaf": model.min_leaf,
        "feature_fraction": model.feature_fraction,
        "bagging_fraction": model.bagging_fraction,
        "bagging_freq": int(model.bagging_fraction < 1),
        "lambda_l2": model.l2,
        "seed": seed_of(config, grown),
        "deterministic": True,
    }


def _squared_error(
    targets: Array,
) -> Callable[[Array, lgb.Dataset], tuple[Array, Array]]:
    def slopes(guess: Array, data: lgb.Dataset) -> tuple[Array, Array]:  # noqa: ARG001
        return guess - targets, np.ones_like(guess)

    return slopes


def _val_predictions(booster: lgb.Booster) -> Array:
    """(n,) validation predictions, which LightGBM updates tree by tree."""
    kept: list[Array] = []

    def take(guess: Array, data: lgb.Dataset) -> tuple[str, float, bool]:  # noqa: ARG001
        kept.append(np.array(guess, dtype=np.float64))
        return "taken", 0.0, True

    booster.eval_valid(take)
    return kept[0]
