"""Files of ga_pfsspec: read as pandas wrote them, written so that pandas reads them, refused."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vitlab.contract.config import DataConfig
from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.dataset import open_simulator, open_spectra
from vitlab.ml.spectra.formats.frames import read_frame, write_frame
from vitlab.ml.spectra.grid import packaged
from vitlab.ml.spectra.inspection import describe
from vitlab.ml.spectra.pfsspec import (
    ERROR,
    FLUX,
    MASK,
    PARAMS,
    WAVE,
    chunk_shape,
    make_file,
    make_shards,
    open_spectra_files,
)
from vitlab.ml.spectra.simulate import Simulator

FIXTURES = Path(__file__).parent / "fixtures"
FROZEN = json.loads((FIXTURES / "params.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    return open_simulator(DataConfig(seed=9), 1.0)


def written(simulator: Simulator, path: Path, n: int = 30) -> Path:
    assert list(make_file(simulator, 0, n, path))[-1] == n
    return path


@pytest.mark.parametrize("name", ["pandas2", "pandas3"])
def test_tables_of_both_pandas_majors_have_the_frozen_values(name: str) -> None:
    (file,) = open_spectra_files(FIXTURES / f"{name}.h5").files
    assert set(file.params) == {"index", *FROZEN}
    for column, values in FROZEN.items():
        found = file.params[column].tolist()
        if column == "interp_param":
            assert found == [value or "" for value in values]
        elif column == "a_M":
            assert np.isnan(found).all()
        else:
            assert found == values
    assert file.params["flag"].dtype == bool


@pytest.mark.parametrize("name", ["pandas2_fixed", "pandas3_fixed"])
def test_fixed_format_is_read_too(name: str) -> None:
    params = open_spectra_files(FIXTURES / f"{name}.h5").params
    for column in ("id", "mag", "T_eff", "log_g", "M_H"):
        assert params[column].tolist() == FROZEN[column]


def test_a_filter_that_cannot_be_undone_is_named() -> None:
    what = (
        r"fixed_blosc\.h5: dataset/params/axis1: compressed with blosc \(HDF5 filter 32001\), "
        r"which h5py cannot undo; `pip install hdf5plugin`, or rewrite the file with "
        r"`h5repack -f NONE`"
    )
    if importlib.util.find_spec("hdf5plugin"):
        pytest.skip("hdf5plugin is here, so the file is read")
    with pytest.raises(UsageError, match=what):
        open_spectra_files(FIXTURES / "pandas3_fixed_blosc.h5")


def test_what_pandas_writes_as_integers_is_what_it_stands_for() -> None:
    """Categories; times are left out."""
    with h5py.File("x.h5", "w", driver="core", backing_store=False) as file:
        codes = {"log_g": np.array([1, -1, 0]), "M_H": np.array([0.5, 0, 1])}
        write_frame(file, PARAMS, codes)
        table = file[f"{PARAMS}/table"]
        table.attrs["values_block_1_meta"] = np.bytes_("category")
        with pytest.raises(UsageError, match=r"params/table: no categories of values_block_1"):
            read_frame(file, PARAMS, Path("x.h5"))
        known = f"{PARAMS}/meta/values_block_1/meta/table"
        for kind, expected in (("<f8", [4.5, None, 2.0]), ("<i8", [4, None, 2]), ("S1", "4")):
            rows = np.array([(0, 2), (1, 4.5)], dtype=[("index", "<i8"), ("values", kind)])
            file[known] = rows
            found = read_frame(file, PARAMS, Path("x.h5"))["log_g"].tolist()
            if kind == "S1":
                assert found == ["4", "", "2"]
            else:
                assert [None if x != x else x for x in found] == expected
            del file[known]
        file[known] = rows[:1]
        with pytest.raises(UsageError, match="values_block_1: codes without a category"):
            read_frame(file, PARAMS, Path("x.h5"))
        table.attrs["values_block_1_meta"] = np.bytes_("N.")
        table.attrs["values_block_1_dtype"] = np.bytes_("datetime64[us]")
        assert "log_g" not in read_frame(file, PARAMS, Path("x.h5"))
        group = file.create_group("fixed")
        group.attrs["nblocks"] = 1
        group["block0_items"] = np.array(["T_eff"], dtype="S5")
        group["block0_values"] = np.arange(3).reshape(3, 1)
        assert "T_eff" in read_frame(file, "fixed", Path("x.h5"))
        group["block0_values"].attrs["value_type"] = np.bytes_("timedelta64[ns]")
        assert "T_eff" not in read_frame(file, "fixed", Path("x.h5"))


def test_what_netcdf_says_of_numbers_is_heard(simulator: Simulator, tmp_path: Path) -> None:
    path = written(simulator, tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file[FLUX][3, 5] = -5.0
        file[FLUX].attrs["_FillValue"] = [-5.0]
        file[ERROR].attrs["_FillValue"] = np.nan
        file[FLUX].attrs["scale_factor"], file[FLUX].attrs["add_offset"] = 1.0, 0
    _, error = open_spectra_files(path).read(0, 5)
    assert np.argwhere(np.isinf(error)).tolist() == [[3, 5]]
    for name, value, inside in (("scale_factor", 0.01, ERROR), ("add_offset", [1], WAVE)):
        with h5py.File(path, "r+") as file:
            file[inside].attrs[name] = value
        with pytest.raises(UsageError, match=f"{inside}: has a {name}, which is not applied"):
            open_spectra_files(path)
        with h5py.File(path, "r+") as file:
            del file[inside].attrs[name]


def test_columns_named_by_numbers() -> None:
    with h5py.File("x.h5", "w", driver="core", backing_store=False) as file:
        group = file.create_group(PARAMS)
        group.attrs["nblocks"] = 1
        group["axis1"] = np.arange(3)
        group["block0_items"] = np.array([7, 8])
        group["block0_values"] = np.arange(6.0).reshape(3, 2)
        assert read_frame(file, PARAMS, Path("x.h5"))["7"].tolist() == [0, 2, 4]
        del group["block0_items"]
        names = group.create_dataset("block0_items", (1,), dtype=h5py.vlen_dtype(np.uint8))
        names[0] = np.array([1, 2], dtype=np.uint8)
        with pytest.raises(UsageError, match=r"block0_items holds pickled names"):
            read_frame(file, PARAMS, Path("x.h5"))


@pytest.mark.parametrize("name", ["pandas2", "pandas3"])
def test_pixels_without_a_datum(name: str) -> None:
    flux, error = open_spectra_files(FIXTURES / f"{name}.h5").read(0, 12)
    gone = {(1, 3), (2, 0), (2, 1), (3, 5), (4, 6)}
    assert set(map(tuple, np.argwhere(np.isinf(error)).tolist())) == gone
    assert all(flux[location] == 1 for location in gone)
    assert np.isfinite(flux).all()
    for row in range(12):
        good = np.isfinite(error[row])
        assert np.median(flux[row, good]) == pytest.approx(1, abs=1e-6)
        np.testing.assert_allclose(error[row, good] / flux[row, good] > 0.1, True)


def test_what_is_written_is_read_back(simulator: Simulator, tmp_path: Path) -> None:
    files = open_spectra_files(written(simulator, tmp_path / "a.h5"))
    stars = simulator.stars("train", 0, 30)
    clean, sigma = simulator.observe(stars, None)
    flux, error = files.read(3, 20)
    scale = np.median(clean.numpy()[3:20], axis=1)[:, None]
    np.testing.assert_allclose(flux, clean.numpy()[3:20] / scale, rtol=1e-6)
    np.testing.assert_allclose(error, sigma.numpy()[3:20] / scale, rtol=1e-6)
    np.testing.assert_array_equal(files.params["log_g"], stars.labels[:, 1])
    np.testing.assert_array_equal(files.params["mag"], stars.mag)
    found = describe(files)
    assert (found["n"], found["pixels"], found["wave"]) == (30, 4096, [7100.0, 8850.0])
    assert found["labels"]["T_eff"] == [stars.labels[:, 0].min(), stars.labels[:, 0].max()]
    assert 0 < found["snr"][0] < found["snr"][1]


def test_shards_are_one_set(simulator: Simulator, tmp_path: Path) -> None:
    whole = open_spectra_files(written(simulator, tmp_path / "a.h5"))
    assert list(make_shards(simulator, 30, 4, tmp_path / "shards"))[-1] == 30
    for path in (tmp_path / "shards", tmp_path / "shards" / "shard_index.txt"):
        parts = open_spectra_files(path)
        assert len(parts.files) == 4
        np.testing.assert_array_equal(parts.params["mag"], whole.params["mag"])
        for start, stop in ((0, 30), (5, 9), (6, 23)):
            for one, other in zip(parts.read(start, stop), whole.read(start, stop), strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-5)
    for number, medium, expected in ((2, "vacuum", "vacuum"), (3, "air", None)):
        with h5py.File(tmp_path / "shards" / f"shard_00{number}.h5", "r+") as file:
            file[WAVE].attrs["medium"] = medium
        if expected:
            assert describe(open_spectra_files(tmp_path / "shards"))["medium"] == expected
    with pytest.raises(UsageError, match=r"shard_003\.h5: .*: in air, others in vacuum"):
        open_spectra_files(tmp_path / "shards")
    (tmp_path / "shards" / "shard_index.txt").write_text("shard_000.h5\nmissing.h5\n")
    with pytest.raises(UsageError, match=r"missing\.h5: no such file"):
        open_spectra_files(tmp_path / "shards")


def test_compressed_and_odd_chunks_are_read_by_hdf5(simulator: Simulator, tmp_path: Path) -> None:
    plain = written(simulator, tmp_path / "a.h5")
    wanted = open_spectra_files(plain).read(0, 30)
    with h5py.File(plain, "a") as file:
        for inside, options in (
            (FLUX, {"chunks": (7, 4096)}),
            (ERROR, {"chunks": (7, 100)}),
            (MASK, {"chunks": (8, 4096), "compression": "gzip"}),
        ):
            values = file[inside][()]
            del file[inside]
            file.create_dataset(inside, data=values, **options)
    found = open_spectra_files(plain)
    assert [location is None for location in found.files[0].locations.values()] == [
        False,
        True,
        True,
    ]
    for one, other in zip(found.read(0, 30), wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_mask_may_be_of_true_and_false(simulator: Simulator, tmp_path: Path) -> None:
    path = written(simulator, tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file[MASK][3, 5:9] = 2
    wanted = open_spectra_files(path).read(0, 30)
    with h5py.File(path, "a") as file:
        values = file[MASK][()] != 0
        del file[MASK]
        file.create_dataset(MASK, data=values)
    for one, other in zip(open_spectra_files(path).read(0, 30), wanted, strict=True):
        np.testing.assert_array_equal(one, other)


@settings(deadline=None, max_examples=25)
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
        min_size=1,
        max_size=6,
        unique=True,
    ),
    st.integers(1, 40),
)
def test_any_columns_survive(names: list[str], n: int) -> None:
    generator = np.random.default_rng(n)
    columns = {
        name: generator.random(n) if k % 2 else generator.integers(0, 9, n).astype(np.int64)
        for k, name in enumerate(names)
        if name != "index"
    }
    if not columns:
        return
    with h5py.File("x.h5", "w", driver="core", backing_store=False) as file:
        write_frame(file, PARAMS, columns)
        found = read_frame(file, PARAMS, Path("x.h5"))
    assert set(found) == {"index", *columns}
    for name, values in columns.items():
        np.testing.assert_array_equal(found[name], values)


def test_chunks_are_those_of_ga_pfsspec() -> None:
    assert chunk_shape((100, 4096)) is None
    assert chunk_shape((10_000, 4096)) == (10_000, 4096)
    assert chunk_shape((100_000, 4096)) == (4096, 4096)
    assert chunk_shape((1000, 4096)) == (64, 4096)


def test_pandas_opens_what_is_written(simulator: Simulator, tmp_path: Path) -> None:
    if importlib.util.find_spec("pandas") is None or importlib.util.find_spec("tables") is None:
        pytest.skip("no pandas and tables here; benchmarks/pandas_files.py checks by hand")
    path = written(simulator, tmp_path / "a.h5")
    script = Path(__file__).parents[2] / "benchmarks" / "pandas_files.py"
    done = subprocess.run(
        [sys.executable, str(script), str(path)], capture_output=True, text=True, check=True
    )
    assert "30 rows" in done.stdout


class _Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("owned",))


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    """In a process of its own: HDF5 may not survive a write that fails."""
    code = """
import resource, sys
from vitlab.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
sys.exit(main(["data", "make", "--n", "30", "--out", "a.h5"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (2, "vitlab: a.h5: File too large\n")
    assert list(tmp_path.iterdir()) == []


def test_mistakes_are_named(
    simulator: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(simulator, tmp_path / "a.h5", 3)
    with pytest.raises(UsageError, match=r"a\.h5: already exists"):
        list(make_file(simulator, 0, 3, path))
    (tmp_path / "mine").write_text("mine")
    for name in (".c.h5.tmp", "c.h5"):  # links that wait are not written through
        (tmp_path / name).symlink_to(tmp_path / ("mine" if name[0] == "." else "nowhere"))
    written(simulator, tmp_path / "c.h5", 3)
    assert (tmp_path / "mine").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()
    assert sorted(one.name for one in tmp_path.glob(".*")) == [".c.h5.tmp"]
    with pytest.raises(UsageError, match="no folder"):
        list(make_file(simulator, 0, 3, tmp_path / "no" / "b.h5"))
    whole = path.read_bytes()
    (tmp_path / "short.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match=r"short\.h5: not a readable HDF5 file \(.*truncated"):
        open_spectra_files(tmp_path / "short.h5")
    with h5py.File(path, "a") as file:
        file[PARAMS]["table"].attrs["values_block_0_kind"] = np.bytes_(pickle.dumps(_Evil(), 0))
    with pytest.raises(UsageError, match=r"dataset/params/table: column names are not a plain"):
        open_spectra_files(path)
    assert "owned" not in capsys.readouterr().out
    with h5py.File(path, "a") as file:
        del file[PARAMS]
        group = file.create_group(PARAMS)
        group.attrs["nblocks"] = 1
        group["block0_items"] = np.array([b"name"])
        group.create_dataset("block0_values", (1,), dtype=h5py.vlen_dtype(np.uint8))
    with pytest.raises(UsageError, match=r"block0_values \(name\) holds pickled objects"):
        open_spectra_files(path)
    with h5py.File(path, "a") as file:
        del file[PARAMS]
    with pytest.raises(UsageError, match="no pandas table in dataset/params"):
        open_spectra_files(path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"shard_index\.txt: not a readable list of shards"):
        open_spectra_files(tmp_path / "empty")


def test_a_file_replaced_since_it_was_opened_is_read_no_further(
    simulator: Simulator, tmp_path: Path
) -> None:
    """Else a training on one version is scored on the stars of another."""
    path, other = written(simulator, tmp_path / "a.h5"), tmp_path / "b.h5"
    files = open_spectra_files(path)
    flux, _ = files.read(0, 5)
    shutil.copy(path, other)  # the same spectra once more, as of a tool that synchronises
    other.replace(path)
    os.utime(path, ns=(1, 1))
    assert np.array_equal(files.read(0, 5)[0], flux)
    with h5py.File(path, "r+") as file:
        file[ERROR][:] *= 3
    os.utime(path, ns=(2, 2))
    with pytest.raises(UsageError, match=r"a\.h5: holds other spectra than when it was opened"):
        files.read(0, 5)
    assert np.array_equal(open_spectra_files(path).read(0, 5)[0], flux)


def test_a_grid_replaced_since_is_not_that_of_a_data_set(tmp_path: Path) -> None:
    grid = tmp_path / "grid.h5"
    grid.write_bytes(packaged("grid.h5").read_bytes())
    data = DataConfig(grid=str(grid), train_size=4, val_size=2, test_size=2)
    spectra = open_spectra(data, 1.0, ("log_g",), torch.device("cpu"))
    was = open_spectra(data, 1.0, ("log_g",), torch.device("cpu")).hash
    with h5py.File(grid, "r+") as file:
        file.attrs["reduced"] = "again"
    assert spectra.hash == was
    assert open_spectra(data, 1.0, ("log_g",), torch.device("cpu")).hash != was


def test_a_file_cut_while_it_is_read(simulator: Simulator, tmp_path: Path) -> None:
    path = written(simulator, tmp_path / "a.h5", 3)
    files = open_spectra_files(path)
    location = files.files[0].locations[ERROR]
    assert location is not None
    with path.open("r+b") as file:
        file.truncate(location.offsets[0] + 100)
    with pytest.raises(UsageError, match=r"a\.h5: (not a readable|dataset/arrays)"):
        files.read(0, 3)
