"""Files with spectra or labels that cannot be used: counted, left out, refused beyond a share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.ml.test_spectra import PIXELS, N, a_config, write_file
from vitlab.contract.config import DataConfig
from vitlab.contract.excluded import (
    REASONS,
    UNREAD,
    USABLE,
    count,
    excluded_text,
    pack,
    refusal,
    share_text,
    split_rows,
    unpack,
)
from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.dataset import open_spectra
from vitlab.ml.spectra.file_spectra import FileSpectra
from vitlab.ml.spectra.held_out import conditions, excluded
from vitlab.ml.spectra.inspection import describe
from vitlab.ml.spectra.pfsspec import ERROR, FLUX, MASK, WAVE, open_spectra_files

CPU = torch.device("cpu")
Change = Callable[[Any], None]
TEST = slice(50, 60)


def changed(tmp_path: Path, change: Change) -> Path:
    """A file of 60 spectra with one fault."""
    path = tmp_path / "spectra.h5"
    write_file(path)
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def opened(path: Path, limit: float = 1.0) -> FileSpectra:
    data = DataConfig(**{**vars(a_config(path)), "max_excluded": limit})
    spectra = open_spectra(data, 1.0, ("log_g",), CPU)
    assert isinstance(spectra, FileSpectra)
    return spectra


def put(inside: str, rows: slice, value: float) -> Change:
    def change(file: Any) -> None:
        values = file[inside][()].astype(np.float64)
        values[rows] = value
        del file[inside]
        file[inside] = values

    return change


def put_pixels(pixels: slice, value: float) -> Change:
    def change(file: Any) -> None:
        file[FLUX][TEST, pixels] = value

    return change


def put_log_g(rows: slice, value: float) -> Change:
    def change(file: Any) -> None:
        table = file["dataset/params/table"]
        cells = table[()]
        cells["values_block_0"][rows, 1] = value
        table[...] = cells

    return change


def half_written(inside: str, fill: float) -> Change:
    """The array as a program leaves it that stopped half-way, its other chunks unset."""

    def change(file: Any) -> None:
        values = file[inside][()]
        del file[inside]
        data = file.create_dataset(
            inside, values.shape, values.dtype, chunks=(10, PIXELS), fillvalue=fill
        )
        data[:30] = values[:30]

    return change


def nothing(file: Any) -> None:
    """A file without a fault."""


def negative(file: Any) -> None:
    file[FLUX][::2] = -np.abs(file[FLUX][::2])


@pytest.mark.parametrize(
    ("change", "reason", "number"),
    [
        (negative, "median flux not positive", 30),
        (half_written(FLUX, 0.0), "no valid flux", 30),
        (half_written(ERROR, 0.0), "no positive finite error", 30),
        (half_written(ERROR, 7.0), "no valid flux", 30),
        (half_written(FLUX, 7.0), "no valid flux", 30),
        (put(FLUX, TEST, np.nan), "no valid flux", 10),
        (put(FLUX, TEST, -9999), "no valid flux", 10),
        (put(FLUX, TEST, 1.0), "constant flux", 10),
        (put(ERROR, TEST, 0), "no positive finite error", 10),
        (put(ERROR, TEST, -1), "no positive finite error", 10),
        (put(ERROR, TEST, np.inf), "no positive finite error", 10),
        (put_pixels(slice(0, 70), np.nan), "data in under half of the pixels", 10),
        (put(MASK, TEST, 1), "every pixel masked", 10),
        (put_log_g(TEST, np.nan), "no valid log_g", 10),
        (put_log_g(TEST, -999), "no valid log_g", 10),
        (put_log_g(TEST, 4.4e4), "no valid log_g", 10),  # g, not its logarithm
    ],
)
def test_what_no_run_can_use_is_counted_and_refused(
    tmp_path: Path, change: Change, reason: str, number: int
) -> None:
    path = changed(tmp_path, change)
    found = describe(open_spectra_files(path))
    if "log_g" in reason:
        assert (found["excluded"], found["invalid"]["log_g"]) == ({}, number)
    else:
        assert found["excluded"] == {reason: number}
    with pytest.raises(UsageError, match=f"left out .*{reason}"):
        dict(opened(path, 0.05).sizes)
    spectra = opened(path)
    if change is not negative:
        with pytest.raises(UsageError, match=r"test: 10 of 10 spectra left out .* none is left"):
            spectra.rows("test")
    else:  # every second one
        assert dict(spectra.sizes) == {"train": 20, "val": 5, "test": 5}
        assert excluded(spectra) == {
            "train": {reason: 20},
            "val": {reason: 5},
            "test": {reason: 5},
        }


def test_what_is_left_keeps_its_labels_its_noise_and_its_order(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole, part = (opened(changed(tmp_path / x, f)) for x, f in (("a", nothing), ("b", negative)))
    assert part.hash != whole.hash
    for split, n in part.sizes.items():
        kept = np.arange(1, whole.sizes[split], 2)
        one, all_ = part.fixed(split, 0, n), whole.fixed(split, 0, 2 * n)
        np.testing.assert_array_equal(one.labels, all_.labels[kept])
        torch.testing.assert_close(one.flux, all_.flux[kept])
        assert one.error[:, 6:].isfinite().all()
    order = part.order(0, 1)
    numbers = part.numbers(order)
    assert sorted(numbers) == list(range(20))
    batch = part.fresh(0, order[:5], torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(batch.labels, part.labels("train", 0, 20)[numbers[:5]])
    mag, snr = conditions(part)
    assert (len(mag), len(snr)) == (5, 5)
    assert part.at_most("train", 7) == 7
    assert part.at_most("train", 100) == 20


def test_a_sentinel_or_an_absurd_number_is_no_datum(tmp_path: Path) -> None:
    def change(file: Any) -> None:
        file[FLUX][0, 10], file[FLUX][1, 11], file[FLUX][2, 12] = -999, 1e20, np.nan
        file[ERROR][3, 13], file[ERROR][4, 14] = 999, -9999

    flux, error = open_spectra_files(changed(tmp_path, change)).read(0, N)
    gone = {(0, 10), (1, 11), (2, 12), (3, 13), (4, 14)} | {(k, 5) for k in range(N)}
    assert set(map(tuple, np.argwhere(np.isinf(error)).tolist())) == gone
    assert all(flux[at] == 1 for at in gone)
    assert abs(flux - 1).max() < 0.1


@pytest.mark.parametrize("unit", [1e-45, 1e-25, 1e25, 1e55])
def test_fluxes_in_any_unit(tmp_path: Path, unit: float) -> None:
    def change(file: Any) -> None:
        for inside in (FLUX, ERROR):
            file[inside][...] = file[inside][()] * 1e17 * unit

    (tmp_path / "a").mkdir()
    plain = open_spectra_files(changed(tmp_path / "a", nothing)).read(0, N)
    other = open_spectra_files(changed(tmp_path, change)).read(0, N)
    for one, two in zip(plain, other, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6)


def test_copies_are_counted(tmp_path: Path) -> None:
    def change(file: Any) -> None:
        file[FLUX][10:13] = file[FLUX][0]

    assert describe(open_spectra_files(changed(tmp_path, change)))["duplicates"] == 3


@pytest.mark.parametrize("kind", [">f4", ">f8", "<f4"])
def test_any_number_type_is_read(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a").mkdir()

    def change(file: Any) -> None:
        for inside in (FLUX, ERROR):
            values = 1e18 * file[inside][()]
            del file[inside]
            file[inside] = values.astype(kind)

    plain = open_spectra_files(changed(tmp_path / "a", nothing)).read(0, N)
    other = open_spectra_files(changed(tmp_path, change)).read(0, N)
    for one, two in zip(plain, other, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5)


def test_integer_flux_is_read(tmp_path: Path) -> None:
    def change(file: Any) -> None:
        for inside in (FLUX, ERROR):
            values = np.round(1e20 * file[inside][()])
            del file[inside]
            file[inside] = values.astype(">i4")

    files = open_spectra_files(changed(tmp_path, change))
    assert describe(files)["excluded"] == {}
    assert files.read(0, 1)[1][0, 0] == pytest.approx(0.19, rel=0.05)


def test_wavelengths_that_descend_turn_the_pixels(tmp_path: Path) -> None:
    def change(file: Any) -> None:
        for inside in (WAVE, FLUX, ERROR, MASK):
            values = file[inside][()][..., ::-1]
            del file[inside]
            file[inside] = values

    (tmp_path / "a").mkdir()
    plain = open_spectra_files(changed(tmp_path / "a", nothing))
    turned = open_spectra_files(changed(tmp_path, change))
    np.testing.assert_allclose(plain.wave, turned.wave)
    for one, two in zip(plain.read(3, 9), turned.read(3, 9), strict=True):
        np.testing.assert_array_equal(one, two)
    assert describe(turned)["notes"][0] == "wavelengths descend: pixels are read in reverse"


def test_sizes_are_counted_as_jobs_and_reports_do() -> None:
    codes = "".join(["e" * 3, USABLE * 5, "c", UNREAD])
    rows = split_rows(10, {"train": 4, "val": 2, "test": 3})
    assert rows == {"train": range(4), "val": range(5, 7), "test": range(7, 10)}
    labels = {"log_g": USABLE * 7 + "l" * 3}
    assert count(codes, labels, rows["train"]) == ({REASONS["e"]: 3}, 4)
    assert count(codes, {}, rows["test"]) == ({REASONS["c"]: 1}, 2)
    assert count(codes, labels, rows["test"]) == ({REASONS["c"]: 1, "no valid log_g": 2}, 3)
    assert refusal("test", {"x": 1}, 20, 0.05) is None
    assert refusal("test", {"x": 1}, 19, 0.05) == (
        "test: 1 of 19 spectra left out (5.3%): 1 x, and config.data.max_excluded is 0.05"
    )
    none = "test: 2 of 2 spectra left out (100%): 2 x; none is left"
    assert refusal("test", {"x": 2}, 2, 1.0) == none
    shares = share_text(1, 10**9), share_text(999, 1000), share_text(1, 8)
    assert shares == ("0.001%", "99%", "12%")
    record = {"train": {"x": 3}, "val": {}, "test": {}}
    assert excluded_text(record, {"train": 397}) == "train 3 of 400 (3 x)"
    assert (excluded_text({}, {}), excluded_text(None, {})) == ("", None)


@given(st.text("".join((USABLE, UNREAD, *REASONS)), max_size=300))
def test_codes_survive_json(codes: str) -> None:
    assert unpack(pack(codes)) == codes
