"""Data sets: fixed and fresh spectra, and files in the layout of ga_pfsspec."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from vitlab.contract.config import DataConfig
from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.dataset import open_spectra
from vitlab.ml.spectra.file_spectra import FileSpectra
from vitlab.ml.spectra.inputs import make_inputs
from vitlab.ml.spectra.pfsspec import open_pfsspec

CPU = torch.device("cpu")
N, PIXELS = 60, 128


class _Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("owned",))


def write_file(path: Path, columns: object = None, ids: object = None) -> None:
    """A file as pandas and h5py write it: two blocks of columns, uncompressed arrays."""
    generator = np.random.default_rng(0)
    names = columns if columns is not None else ["T_eff", "log_g"]
    kind = np.dtype(
        [("index", "i8"), ("values_block_0", "f8", (2,)), ("values_block_1", "i8", (1,))]
    )
    rows = np.zeros(N, dtype=kind)
    rows["index"] = np.arange(N)
    rows["values_block_0"] = np.column_stack([4000 + np.arange(N), np.linspace(1, 5, N)])
    rows["values_block_1"][:, 0] = np.arange(N) if ids is None else ids
    with h5py.File(path, "w") as file:
        table = file.create_dataset("dataset/params/table", data=rows)
        table.attrs["values_block_0_kind"] = pickle.dumps(names, protocol=0).decode("latin-1")
        table.attrs["values_block_1_kind"] = pickle.dumps(["id"], protocol=0).decode("latin-1")
        flux = 1e-17 * (1 + 0.1 * generator.random((N, PIXELS)))
        file["dataset/arrays/flux/value"] = flux
        file["dataset/arrays/error/value"] = np.full((N, PIXELS), 2e-18)
        mask = np.zeros((N, PIXELS), dtype=np.int64)
        mask[:, 5] = 4
        file["dataset/arrays/mask/value"] = mask
        file["spectrumdataset/wave"] = np.linspace(7100, 8850, PIXELS)


def a_config(path: Path | str, **changes: int) -> DataConfig:
    data = DataConfig(source=str(path), train_size=40, val_size=10, test_size=10)
    return replace(data, **changes)  # type: ignore[arg-type]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "spectra.h5"
    write_file(path)
    return path


def test_a_file_gives_what_is_in_it(file: Path) -> None:
    spectra = open_spectra(a_config(file), 1.0, ("log_g",), CPU)
    assert isinstance(spectra, FileSpectra)
    test = spectra.fixed("test", 0, 10)
    np.testing.assert_allclose(test.labels[:, 0], np.linspace(1, 5, N)[-10:])
    assert test.flux.shape == (10, PIXELS)
    good = np.arange(PIXELS) != 5
    assert float(test.flux[:, good].median()) == pytest.approx(1, abs=0.05)
    np.testing.assert_allclose(test.error[:, good], 0.19, rtol=0.06)
    assert test.error[:, 5].isinf().all()
    assert (test.flux[:, 5] == 1).all()
    for kind in ("flux", "flux/error", "whitened"):
        assert make_inputs(kind, spectra)(test).isfinite().all()


def test_fixed_noise_stays_and_fresh_noise_does_not(file: Path) -> None:
    for source in (str(file), "grid"):
        spectra = open_spectra(a_config(source), 1.0, ("log_g",), CPU)
        whole, part = spectra.fixed("val", 0, 10), spectra.fixed("val", 4, 7)
        torch.testing.assert_close(whole.flux[4:7], part.flux, atol=2e-6, rtol=1e-5)
        rows = np.array([3, 30, 12])
        one, two, same = (
            spectra.fresh(0, rows, torch.Generator().manual_seed(k)) for k in (0, 1, 0)
        )
        assert not torch.equal(one.flux, two.flux)
        assert torch.equal(one.flux, same.flux)
        np.testing.assert_array_equal(one.labels, spectra.labels("train", 0, 40)[rows])


def test_every_epoch_takes_every_star_once_in_a_new_order(file: Path) -> None:
    for source in (str(file), "grid"):
        spectra = open_spectra(a_config(source), 1.0, ("log_g",), CPU)
        orders = [spectra.order(epoch, 1) for epoch in (0, 1, 0)]
        assert all(sorted(order) == list(range(40)) for order in orders)
        assert not np.array_equal(orders[0], orders[1])
        assert np.array_equal(orders[0], orders[2])


def test_an_infinite_source_has_new_stars_each_epoch() -> None:
    spectra = open_spectra(a_config("grid-infinite"), 1.0, ("log_g",), CPU)
    seen = [
        spectra.fresh(epoch, spectra.order(epoch, 0), torch.Generator()).labels
        for epoch in range(3)
    ]
    assert len(np.unique(np.concatenate(seen))) == 120


def test_noise_level_zero_means_no_noise(file: Path) -> None:
    for source in (str(file), "grid"):
        spectra = open_spectra(a_config(source), 0.0, ("log_g",), CPU)
        rows = np.arange(5)
        one, two = (spectra.fresh(0, rows, torch.Generator().manual_seed(k)) for k in (0, 1))
        assert torch.equal(one.flux, two.flux)
        assert one.flux.isfinite().all()


def test_files_that_are_refused(
    tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match=r"missing\.h5: no such file"):
        open_spectra(a_config(tmp_path / "missing.h5"), 1.0, ("log_g",), CPU)
    with pytest.raises(UsageError, match=r"no column M_H \(found: T_eff, id, index, log_g\)"):
        open_spectra(a_config(file), 1.0, ("M_H",), CPU)
    with pytest.raises(UsageError, match=r"60 spectra, fewer than train \+ val \+ test = 61"):
        open_spectra(a_config(file, test_size=11), 1.0, ("log_g",), CPU)
    with h5py.File(file, "a") as opened:
        del opened["spectrumdataset/wave"]
    with pytest.raises(UsageError, match=r"spectra\.h5: no data set spectrumdataset/wave"):
        open_pfsspec(file)
    write_file(file, ids=np.arange(N) + 1)
    with pytest.raises(UsageError, match="ids are not 0 to 59"):
        open_pfsspec(file)
    write_file(file, columns=_Evil())
    with pytest.raises(UsageError, match="column names are not a plain list"):
        open_pfsspec(file)
    assert "owned" not in capsys.readouterr().out


def test_rows_of_the_table_follow_their_ids(file: Path) -> None:
    write_file(file, ids=np.arange(N)[::-1].copy())
    params = open_pfsspec(file).params
    assert params["log_g"].tolist() == pytest.approx(np.linspace(5, 1, N).tolist())
