"""Test stars that are in the training set: by the content of their spectra, and by their labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vitlab.contract.checks import Check, judged, unknown
from vitlab.ml.spectra.dataset import GridSpectra, Spectra, unpermuted
from vitlab.ml.spectra.file_spectra import FileSpectra
from vitlab.ml.spectra.formats.frames import Columns
from vitlab.ml.spectra.labels import LABELS, POSSIBLE

Array = NDArray[np.float64]
Marks = NDArray[np.bool_]

PIECE = 1024
SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")
MARKED = 32
"""Pixels of a spectrum by which others like it are looked up."""
STEP = 1e-3
"""What these pixels are rounded to, over the median flux."""
EQUAL = 1e-5
"""Spectra that differ by less, relative to the median flux, are one."""
COMPARED = 16
"""Training spectra that are compared with one test spectrum."""
DRAWN = 1_000_000
"""Training stars drawn at once (64 MB)."""
GRID_COLUMNS = (*LABELS, "mag")
"""Columns that identify a simulated spectrum, but for its noise."""
STAR_IDS = (
    "star_id", "object_id", "obj_id", "objid", "target_id", "targetid", "source_id", "gaia_id",
    "gaia_source_id", "catid", "star", "object", "target",
)  # fmt: skip
"""Columns of a file that name a star, in lower case; `id` numbers the spectra."""
NO_ID = ("", "nan", "none", "0", "-1", "-999", "-9999")
"""Values of such a column that name none."""
MOST_VISITS = 50
"""Spectra of a star, on average: a column with fewer values names none."""
LARGEST_FLOAT = 2.0**53
"""Above it float64 holds not every whole number, so that ids of several stars become one."""
COARSE = 0.01
"""Share of test stars that may share all labels with others by chance."""


@dataclass(frozen=True)
class Overlap:
    """The two checks of a test set against a training set; their numbers are counts of stars."""

    content: Check
    """Spectra with the same flux."""
    labels: Check
    """Stars with the same labels, or the same id: repeated visits, with other noise."""

    @property
    def stars(self) -> int | None:
        """Test stars known to be in the training set, by either; None where neither is known."""
        checks = (self.content, self.labels)
        counts = [int(c.number) for c in checks if c.number is not None and c.outcome != "unknown"]
        return max(counts, default=None)


def find_overlap(
    spectra: Spectra, trained: Spectra | None = None, shown: int | None = None
) -> Overlap:
    """Both checks of the test set of `spectra`.

    `trained`: the data set trained on (None: `spectra`); `shown`: how many of its stars the model
    saw (None: all).
    """
    tested, learned = unpermuted(spectra), unpermuted(trained or spectra)
    n_train = learned.sizes["train"] if shown is None else shown
    if not n_train:
        return Overlap(judged(0, 0, tested.sizes["test"]), judged(0, 0, tested.sizes["test"]))
    return Overlap(_content(tested, learned, n_train), _labels(tested, learned, n_train))


def _content(
    tested: GridSpectra | FileSpectra, learned: GridSpectra | FileSpectra, n_train: int
) -> Check:
    n = tested.sizes["test"]
    if isinstance(tested, FileSpectra) and isinstance(learned, FileSpectra):
        if tested.pixels != learned.pixels:
            return judged(0, 0, n)
        return judged(_copies(tested, learned, n_train), 0, n)
    columns = _tested(tested)
    if not all(name in columns for name in GRID_COLUMNS):
        return unknown("no_columns")
    if isinstance(learned, FileSpectra) and "mag" not in learned.files.params:
        return unknown("no_columns")
    return judged(int(_shared(columns, learned, n_train, GRID_COLUMNS).sum()), 0, n)


def _copies(tested: FileSpectra, learned: FileSpectra, n_train: int) -> int:
    """Test spectra that a training spectrum equals, whatever the scale of the two."""
    test_rows, train_rows = tested.rows("test"), learned.rows("train")[:n_train]
    copied = np.zeros(len(test_rows), dtype=bool)
    for ours, theirs in zip(_marks(tested, test_rows), _marks(learned, train_rows), strict=True):
        order = np.argsort(theirs, kind="stable")
        low, high = (np.searchsorted(theirs, ours, side, sorter=order) for side in SIDES)
        for k in np.flatnonzero((high > low) & ~copied).tolist():
            flux = _flux(tested, test_rows[k : k + 1])
            alike = train_rows[order[low[k] : high[k]]][:COMPARED]
            copied[k] = any(
                np.allclose(_flux(learned, alike[i : i + 1]), flux, rtol=EQUAL, atol=EQUAL)
                for i in range(len(alike))
            )
    return int(copied.sum())


def _marks(spectra: FileSpectra, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    """(2, n) hashes of some pixels of each row's flux over its median, rounded down and to nearest.

    Equal spectra may be rounded apart in one of the two, hardly in both.
    """
    pixels = np.linspace(0, spectra.pixels - 1, min(MARKED, spectra.pixels)).astype(int)
    parts = [
        _flux(spectra, rows[start : start + PIECE])[:, pixels].astype(np.float64) / STEP
        for start in range(0, len(rows), PIECE)
    ]
    table = np.concatenate(parts) if parts else np.empty((0, len(pixels)))
    return np.stack([_keys(np.floor(table) + 0.0), _keys(np.rint(table) + 0.0)])


def _flux(spectra: FileSpectra, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """(n, L) flux of ascending rows over its median."""
    flux: NDArray[np.float32] = spectra.files.read(int(rows[0]), int(rows[-1]) + 1)[0]
    chosen: NDArray[np.float32] = flux[rows - rows[0]]
    return chosen


def _labels(
    tested: GridSpectra | FileSpectra, learned: GridSpectra | FileSpectra, n_train: int
) -> Check:
    n, columns = tested.sizes["test"], _tested(tested)
    there = learned.files.params if isinstance(learned, FileSpectra) else dict.fromkeys(LABELS)
    named = _same_ids(columns, learned, n_train) if isinstance(learned, FileSpectra) else None
    if named is not None and named.any():
        return judged(int(named.sum()), 0, n)
    own = tested.names if isinstance(tested, FileSpectra) else ()
    names = [
        name
        for name in dict.fromkeys((*POSSIBLE, *own))
        if name in there and name in columns and columns[name].dtype.kind in "fiu"
        if not isinstance(learned, FileSpectra) or learned.files.params[name].dtype.kind in "fiu"
        if np.isfinite(columns[name].astype(np.float64)).any()
    ]
    if not names:
        return judged(0, 0, n) if named is not None else unknown("no_columns")
    shared = int(_shared(columns, learned, n_train, names).sum())
    chance = _by_chance(columns, learned, n_train, names) if shared else 0
    limit = int(chance + 3 * chance**0.5)
    if shared <= limit and chance > COARSE * n:
        return unknown("coarse")
    return judged(shared, limit, n)


def _tested(spectra: GridSpectra | FileSpectra) -> Columns:
    """The columns of the test stars."""
    if isinstance(spectra, GridSpectra):
        return _drawn(spectra, "test", 0, spectra.sizes["test"])
    rows = spectra.rows("test")
    return {name: values[rows] for name, values in spectra.files.params.items()}


def _learned(spectra: GridSpectra | FileSpectra, n_train: int) -> Iterator[Columns]:
    """The columns of the training stars, in pieces."""
    if isinstance(spectra, FileSpectra):
        rows = spectra.rows("train")[:n_train]
        yield {name: values[rows] for name, values in spectra.files.params.items()}
        return
    for start in range(0, n_train, DRAWN):
        yield _drawn(spectra, "train", start, min(start + DRAWN, n_train))


def _drawn(spectra: GridSpectra, split: str, start: int, stop: int) -> Columns:
    stars = spectra.simulator.stars(split, start, stop)
    return {**dict(zip(LABELS, stars.labels.T, strict=True)), "mag": stars.mag}


def _same_ids(columns: Columns, learned: FileSpectra, n_train: int) -> Marks | None:
    """(n,) test stars whose id is one of the training set's; None where the files have no ids."""
    rows = learned.rows("train")[:n_train]
    tested, known = (
        _ids(one) for one in (columns, {name: x[rows] for name, x in learned.files.params.items()})
    )
    pairs = [(tested[name], known[name]) for name in tested if name in known]
    pairs = [(ours, theirs) for ours, theirs in pairs if _tells_apart(np.append(ours, theirs))]
    if not pairs:
        return None
    found = np.zeros(len(pairs[0][0]), dtype=bool)
    for ours, theirs in pairs:
        found |= np.isin(ours, theirs) & (ours != "")
    return found


def _ids(columns: Columns) -> dict[str, NDArray[np.str_]]:
    """The columns that may name a star, by name, as texts; empty where none is named.

    PFS' `catId` is of a catalogue, and its `objId` of an object there: they name one together.
    """
    found = {name: _texts(x) for name, x in columns.items() if name.casefold() in STAR_IDS}
    for name, texts in found.items():
        found[name] = np.where(np.isin(np.char.lower(texts), NO_ID), "", texts)
    catalogue = next((name for name in found if name.casefold() == "catid"), None)
    if catalogue is not None:
        numbers = found.pop(catalogue)
        for name in [name for name in found if name.casefold() == "objid"]:
            both = np.char.add(np.char.add(numbers, " "), found[name])
            found[name] = np.where(found[name] == "", "", both)
    return found


def _tells_apart(texts: NDArray[np.str_]) -> bool:
    """Whether a column names stars: not a catalogue, a field or a kind of object."""
    named = texts[texts != ""]
    distinct = len(np.unique(named))
    return distinct > 1 and len(named) <= MOST_VISITS * distinct


def _texts(values: NDArray[np.generic]) -> NDArray[np.str_]:
    if values.dtype.kind in "SO":
        parts = [x.decode(errors="replace") if isinstance(x, bytes) else str(x) for x in values]
        return np.array(parts, dtype=np.str_)
    if values.dtype.kind == "f":
        return np.where(abs(values) < LARGEST_FLOAT, values.astype(np.str_), "")
    return values.astype(np.str_)


def _shared(
    columns: Columns, learned: GridSpectra | FileSpectra, n_train: int, names: Sequence[str]
) -> Marks:
    """(n,) test stars that agree with a training star in all of `names`."""
    found = np.zeros(len(columns[names[0]]), dtype=bool)
    for theirs in _learned(learned, n_train):
        ours, known = _tables(columns, theirs, names)
        found |= np.isin(_keys(ours), _keys(known[np.isfinite(known).all(axis=1)]))
    return found & np.isfinite(_tables(columns, columns, names)[0]).all(axis=1)


def _by_chance(
    columns: Columns, learned: GridSpectra | FileSpectra, n_train: int, names: Sequence[str]
) -> float:
    """Test stars that would agree if every label was dealt to the training stars by itself.

    Of a single label: all, when it is rounded to three decimals, else none.
    """
    if isinstance(learned, GridSpectra):
        return 0.0
    (theirs,) = _learned(learned, n_train)
    ours, known = _tables(columns, theirs, names)
    known = known[np.isfinite(known).all(axis=1)]
    if len(names) == 1:
        rounded = np.isclose(known * 1e3, np.round(known * 1e3), rtol=0, atol=1e-2).mean() > 0.9
        return float(len(ours)) if rounded else 0.0
    generator = np.random.default_rng(0)
    dealt = np.column_stack([generator.permutation(column) for column in known.T])
    return float(np.isin(_keys(ours), _keys(dealt)).sum())


def _tables(ours: Columns, theirs: Columns, names: Sequence[str]) -> tuple[Array, Array]:
    """(n, K), (m, K) float64, rounded to float32 where one of the two columns is."""
    sides: tuple[list[Array], list[Array]] = ([], [])
    for name in names:
        short = any(one[name].dtype == np.float32 for one in (ours, theirs))
        for side, one in zip(sides, (ours, theirs), strict=True):
            values = one[name].astype(np.float32 if short else np.float64)
            side.append(values.astype(np.float64) + 0.0)  # no -0.0
    return np.column_stack(sides[0]), np.column_stack(sides[1])


def _keys(table: Array) -> NDArray[np.uint64]:
    """A 64-bit hash of each row."""
    bits = np.ascontiguousarray(table).view(np.uint64)
    generator = np.random.default_rng(0)
    keys = np.zeros(len(bits), dtype=np.uint64)
    for column in bits.T:
        odd = generator.integers(2**63, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        keys = (keys ^ (keys >> np.uint64(29))) * odd + column
    return keys
