"""A user's own grid: names, formats, the line spread, and what is refused."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from tests.ml.survey.layouts import bintable, primary
from tests.ml.test_single_files import table
from vitlab.contract.config import DataConfig
from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.dataset import open_simulator
from vitlab.ml.spectra.grid import load_grid
from vitlab.ml.spectra.grid_import import (
    NOTES,
    SIGMA,
    Array,
    Source,
    convolved,
    import_grid,
    read_columns,
)
from vitlab.ml.spectra.lines import air, vacuum

FIXTURES = Path(__file__).parent / "fixtures"
AXES = ((3750.0, 4500.0, 5250.0, 6000.0), (1.0, 2.0, 3.0, 5.0), (-2.5, -1.0, 0.0, 0.75))
WAVE = np.exp(np.arange(np.log(7050), np.log(8900), 1 / 20_000))


def bosz(folder: Path, labels: tuple[float, ...], abundance: str = "a+0.00_c+0.00") -> Path:
    t, g, m = labels
    return folder / f"bosz2024_mp_t{t:.0f}_g{g:+.1f}_m{m:+.2f}_{abundance}_v2_r20000_resam.txt.gz"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Spectra of the packaged grid's nodes, as BOSZ 2024 names and lays out its own."""
    found = tmp_path_factory.mktemp("bosz")
    (found / "bosz2024_wave_r20000.txt").write_text("\n".join(f"{x:.4f}" for x in WAVE))
    grid = load_grid()
    for labels in product(*AXES):
        flux = grid.flux(torch.tensor([labels]).double())[0].double().numpy()
        wide = np.interp(WAVE, grid.wave, flux) * 3e6
        text = "\n".join(f"{x:.6e} {1.1 * x:.6e}" for x in wide)
        bosz(found, labels).write_bytes(gzip.compress(text.encode(), 1))
    bosz(found, (4500, 2, 0), "a+0.25_c+0.00").write_bytes(b"not read")
    return found


def test_a_folder_of_spectra_becomes_a_grid(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.h5"
    assert list(import_grid(folder, out, 5000, vacuum=False))[-1] == 64
    mine, packaged = load_grid(out), load_grid()
    assert [axis.tolist() for axis in mine.axes] == [list(axis) for axis in AXES]
    at = torch.tensor([[4500.0, 2.0, -1.0], [6000.0, 5.0, 0.75]]).double()
    # Once more smoothed, so not the same; but the same stars.
    assert float((mine.flux(at) - packaged.flux(at)).abs().mean()) < 0.01
    simulator = open_simulator(DataConfig(grid=str(out)), 1.0)
    assert simulator.flux(simulator.stars("train", 0, 5)).isfinite().all()
    with h5py.File(out) as file:
        assert file["flux_scale"][0, 0, 0] == pytest.approx(3e6, rel=0.02)
    with h5py.File(out, "a") as file:
        file["axes/log_g"][...] = [1.0, 2.0, 3.0, 4.5]
    with pytest.raises(
        UsageError, match=r"axes/log_g covers 1 to 4\.5, but stars are drawn from 1 to"
    ):
        open_simulator(DataConfig(grid=str(out)), 1.0)


def test_scaled_columns_units_and_the_medium_give_the_same_grid(tmp_path: Path) -> None:
    wave = np.linspace(6900, 9100, 11001)
    loglam = np.log10(np.vectorize(vacuum)(wave))

    def spectrum(labels: tuple[float, ...]) -> Array:
        depth = 0.1 + 0.02 * labels[1] + 0.05 * labels[2] + labels[0] / 1e5
        flux: Array = 1 - depth * np.exp(-(((wave - 8542) / 20) ** 2) / 2)
        return flux

    def grid(name: str, columns: Any, cards: Mapping[str, object], vacuum: bool = False) -> Array:
        (folder := tmp_path / name).mkdir()
        for labels in product((4000.0, 4500.0, 5000.0, 5500.0), (1, 2, 3, 4), (-1, -0.5, 0, 0.5)):
            flux = spectrum(labels)
            data = table(columns(flux), **cards)
            t, g, m = labels
            (folder / f"s_t{t:.0f}_g{g:+.1f}_m{m:+.2f}.fits").write_bytes(data)
        list(import_grid(folder, tmp_path / f"{name}.h5", 5000, vacuum))
        with h5py.File(tmp_path / f"{name}.h5") as file:
            told[name] = str(file.attrs[NOTES])
            found: Array = file["flux"][()].astype(float)
            return found

    told: dict[str, str] = {}
    plain = grid("plain", lambda f: {"wave": wave, "flux": f}, {"AIRORVAC": "air"})
    assert told["plain"] == ""
    for name, columns, cards, note in (
        (
            "scaled",
            lambda f: {"wave": wave, "flux": np.round((f - 0.5) * 40000).astype("<i2")},
            {"TSCAL2": 1 / 40000, "TZERO2": 0.5, "AIRORVAC": "air"},
            "",
        ),
        (
            "waves",
            lambda f: {"wave": np.round((wave - 5000) * 5).astype("<i4"), "flux": f},
            {"TSCAL1": 0.2, "TZERO1": 5000.0, "AIRORVAC": "air"},
            "",
        ),
        (
            "nm",
            lambda f: {"wave": wave[::-1] / 10, "flux": f[::-1]},
            {"TUNIT1": "nm", "AIRORVAC": "air"},
            "wavelengths read as nm\nwavelengths descend: pixels are read in reverse",
        ),
        (
            "vacuum",
            lambda f: {"loglam": loglam, "flux": f},
            {"VACUUM": 1},
            "wavelengths read as log10(Angstrom)\nwavelengths moved from vacuum to air",
        ),
        (
            "comment",
            lambda f: {"loglam": loglam, "flux": f},
            {"COMMENT": "wavelengths are in vacuum"},
            "wavelengths read as log10(Angstrom)\nwavelengths moved from vacuum to air",
        ),
        (
            "unstated",
            lambda f: {"wave": wave, "flux": f},
            {},
            "wavelengths taken as in air: the files do not say",
        ),
    ):
        assert abs(grid(name, columns, cards) - plain).max() < 1e-4, name
        assert told[name] == note
    with pytest.raises(UsageError, match="its header says air, but --vacuum was given"):
        grid("both", lambda f: {"wave": wave, "flux": f}, {"AIRORVAC": "air"}, vacuum=True)


def test_a_line_gets_the_width_of_the_resolution() -> None:
    """A Gaussian of R = 20000 becomes one of R = 5000, its strength unchanged."""
    centre, strength = 8000.0, 0.01
    pixels = load_grid().wave

    def line(resolution: float, at: Array) -> Array:
        sigma = SIGMA / resolution
        x = np.log(at / centre) / sigma
        shape: Array = np.exp(-(x**2) / 2) / (sigma * 5000)
        return 1 - strength * shape

    source = Source(Path("x"), (), 20_000.0)
    fine = np.exp(np.arange(np.log(7050), np.log(8900), 1 / 60_000))
    found = convolved(fine, line(20_000, fine), pixels, 5000, source)
    np.testing.assert_allclose(found, line(5000, pixels), atol=2e-5)
    unknown = Source(Path("x"), (), np.inf)
    sharp = convolved(WAVE, np.ones_like(WAVE), pixels, 5000, unknown)
    np.testing.assert_allclose(sharp, 1, atol=1e-9)


def test_air_wavelengths() -> None:
    """Ca II 8542: 8544.44 A in vacuum, 8542.09 in air (NIST)."""
    assert air(np.array([8544.438]))[0] == pytest.approx(8542.09, abs=0.01)


def test_fits_tables_and_text() -> None:
    wave, flux = read_columns(FIXTURES / "table.fits").columns
    np.testing.assert_allclose(wave, np.linspace(7000, 9000, 5))
    np.testing.assert_allclose(flux, 1 + wave / 1e4, rtol=1e-6)


@pytest.mark.parametrize("head", ["# wave, continuum, flux", "wavelength continuum flux"])
def test_names_and_the_medium_of_a_text_are_read(head: str, tmp_path: Path) -> None:
    """A continuum is no flux, wherever it stands, and vacuum is told by comments too."""
    (tmp_path / "a.txt").write_text(f"# medium: vacuum\n{head}\n7000 9 1\n7001 9 2\n")
    found = read_columns(tmp_path / "a.txt")
    assert [column.tolist() for column in found.columns] == [[7000, 7001], [1, 2]]
    assert found.medium == "vacuum"


def test_what_is_refused(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.h5"
    with pytest.raises(UsageError, match="no such folder"):
        list(import_grid(tmp_path / "no", out, 5000, vacuum=False))
    with pytest.raises(UsageError, match=r"no files with names like"):
        list(import_grid(tmp_path, out, 5000, vacuum=False))
    with pytest.raises(UsageError, match=r"R = 20000 is below 30000"):
        list(import_grid(folder, out, 30_000, vacuum=False))
    few = tmp_path / "few"
    few.mkdir()
    for labels in product(*AXES):
        if labels != (4500.0, 3.0, 0.0):
            bosz(few, labels).write_bytes(gzip.compress(b"1 2\n3 x\n"))
    with pytest.raises(UsageError, match=r"1 of 64 nodes .* T_eff 4500, log_g 3, M_H 0$"):
        list(import_grid(few, out, 5000, vacuum=False))
    bosz(few, (4500.0, 3.0, 0.0)).write_bytes(b"no gzip")
    with pytest.raises(UsageError, match=r"\.gz:2: '3 x' is not a number"):
        list(import_grid(few, out, 5000, vacuum=False))
    bosz(few, (4.0, 3.0, 0.0)).write_bytes(b"in 1000 K")
    with pytest.raises(UsageError, match=r"no star has T_eff 4 \(in K or dex\)"):
        list(import_grid(few, out, 5000, vacuum=False))
    assert not out.exists()
    for text, what in (("", "has no numbers"), ("1 2\n3\n", r"bad\.txt:2: 1 columns, not 2")):
        (tmp_path / "bad.txt").write_text(text)
        with pytest.raises(UsageError, match=what):
            read_columns(tmp_path / "bad.txt")
    whole = (FIXTURES / "table.fits").read_bytes()
    (tmp_path / "cut.fits").write_bytes(whole[: 2 * 2880 + 20])
    with pytest.raises(UsageError, match=r"cut\.fits: HDU 1: truncated: 20 of 70 bytes"):
        read_columns(tmp_path / "cut.fits")
    columns = {"wave": np.arange(7000.0, 7010.0), "flux": np.full(10, 12.5)}
    (tmp_path / "mag.fits").write_bytes(primary() + bintable(columns, TUNIT2="ABmag"))
    with pytest.raises(UsageError, match=r"mag\.fits: a flux in ABmag: only linear fluxes"):
        read_columns(tmp_path / "mag.fits")


def test_a_folder_whose_grid_or_steps_have_no_end_is_one_line(tmp_path: Path) -> None:
    for k in range(2000):
        (tmp_path / f"a_t{5000 + k}_g{k / 1000:.3f}_m{k / 1000:.3f}.txt").write_text("")
    with pytest.raises(UsageError, match="7999998000 of 8000000000 nodes have no spectrum"):
        list(import_grid(tmp_path, tmp_path / "out.h5", 5000, vacuum=False))
    wave = np.append(np.linspace(7000, 9000, 51), 8000 + 1e-9)
    wave.sort()
    source = Source(tmp_path / "a.txt", (1.0,), np.inf)
    with pytest.raises(UsageError, match=r"a\.txt: .* steps, as two wavelengths are nearly equal"):
        convolved(wave, np.ones(len(wave)), load_grid().wave, 5000, source)
