"""FITS and text files: physical values, wavelengths in every unit, and what is told of them."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.formats.fits import BLOCK, read_units
from vitlab.ml.spectra.formats.wavelengths import read_axis, stated_medium, to_angstrom
from vitlab.ml.spectra.grid_import import read_columns
from vitlab.ml.spectra.lines import vacuum
from vitlab.ml.spectra.single_files import describe_single, is_single_file, lines

WAVE = np.linspace(7100.0, 8850.0, 40)
CODES = {"f8": "D", "f4": "E", "i2": "I", "i4": "J", "i8": "K", "u1": "B"}


def header(cards: Mapping[str, object]) -> bytes:
    def card(name: str, value: object) -> str:
        shown = f"'{value}'" if isinstance(value, str) else str(value)
        return f"{name:<8}= {shown:>20}"[:80].ljust(80)

    text = "".join(card(*one) for one in cards.items()) + "END".ljust(80)
    return text.encode().ljust(-(-len(text) // BLOCK) * BLOCK)


def padded(data: bytes) -> bytes:
    return data.ljust(-(-len(data) // BLOCK) * BLOCK, b"\0")


class Yes:
    def __str__(self) -> str:
        return "T"


def image(values: NDArray[Any], first: bool = True, **cards: object) -> bytes:
    bits = values.dtype.itemsize * (8 if values.dtype.kind in "iu" else -8)
    shape = {f"NAXIS{k + 1}": n for k, n in enumerate(values.shape[::-1])}
    start = {"SIMPLE": Yes()} if first else {"XTENSION": "IMAGE"}
    top = header({**start, "BITPIX": bits, "NAXIS": values.ndim, **shape, **cards})
    return top + padded(values.astype(values.dtype.newbyteorder(">")).tobytes())


EMPTY = header({"SIMPLE": Yes(), "BITPIX": 8, "NAXIS": 0})


def table(columns: Mapping[str, NDArray[Any]], **cards: object) -> bytes:
    kind = np.dtype([(name, v.dtype.newbyteorder(">")) for name, v in columns.items()])
    rows = np.zeros(len(next(iter(columns.values()))), kind)
    about: dict[str, object] = {"XTENSION": "BINTABLE", "BITPIX": 8, "NAXIS": 2}
    about |= {"NAXIS1": kind.itemsize, "NAXIS2": len(rows), "PCOUNT": 0, "GCOUNT": 1}
    about["TFIELDS"] = len(columns)
    for k, (name, values) in enumerate(columns.items(), start=1):
        rows[name] = values
        about |= {f"TTYPE{k}": name, f"TFORM{k}": CODES[values.dtype.str[1:]]}
    return EMPTY + header({**about, **cards}) + padded(rows.tobytes())


@pytest.mark.parametrize("kind", ["<i2", "<i4"])
def test_scaled_columns_are_physical_and_nulls_are_nan(tmp_path: Path, kind: str) -> None:
    flux = 1 + 0.1 * np.sin(WAVE)
    stored = np.round((flux - 0.5) * 20000).astype(kind)
    stored[3] = -32768
    cards = {"TSCAL2": 5e-5, "TZERO2": 0.5, "TNULL2": -32768, "TUNIT1": "nm", "VACUUM": Yes()}
    path = tmp_path / "a.fits"
    path.write_bytes(table({"WAVE": WAVE / 10, "FLUX": stored}, **cards))
    found = read_columns(path)
    assert (found.unit, found.medium) == ("nm", "vacuum")
    good = np.arange(len(WAVE)) != 3
    np.testing.assert_allclose(found.columns[1][good], flux[good], atol=3e-5)
    assert np.isnan(found.columns[1][3])


def test_numbers_of_8_bytes_without_a_sign_are_exact() -> None:
    """As astropy writes uint64; 1 - 2^63 + 2^63 is 0 in floating point."""
    flags = np.array([0, 1, 512, 1 << 40], "u8")
    stored = (flags ^ np.uint64(1 << 63)).view("i8")
    data = image(stored, BZERO=1 << 63, BSCALE=1)
    assert read_units(data, Path("a.fits"))[0].image.tolist() == flags.tolist()  # type: ignore[union-attr]
    data = EMPTY + table({"mask": stored}, TZERO1=1 << 63)
    assert read_units(data, Path("a.fits"))[-1].columns[0].values.tolist() == flags.tolist()


def test_of_a_card_that_stands_twice_the_first_counts() -> None:
    data = header({"SIMPLE": Yes(), "BITPIX": 8, "NAXIS": 0, "CRVAL1": 7100.0, "CRVAL2": 7.0})
    data = data.replace(b"CRVAL2", b"CRVAL1")
    assert float(read_units(data, Path("a.fits"))[0].header["CRVAL1"]) == 7100


def test_images_are_scaled_too() -> None:
    raw = np.array([[0, 1], [-1, 32767]], dtype="<i2")
    unit = read_units(image(raw, BSCALE=2.0, BZERO=32768.0, BLANK=-1), Path("x"))[0]
    assert unit.image is not None
    np.testing.assert_array_equal(unit.image, [[32768, 32770], [np.nan, 98302]])


@pytest.mark.parametrize(
    ("pack", "how"),
    [
        (bz2.compress, "bzip2"),
        (lzma.compress, "xz"),
        (lambda data: gzip.compress(gzip.compress(data)), "gzip, twice"),
        (lambda data: b"PK\3\4" + data, "zip"),
    ],
)
def test_how_a_file_is_packed_is_told(
    pack: Callable[[bytes], bytes], how: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(pack(EMPTY))
    with pytest.raises(UsageError, match=rf"a\.fits: packed by {how}: unpack it first"):
        describe_single(path)


def test_a_large_image_is_described_without_copies(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(image(np.full((300, 10_000), 3.0), EXTNAME="IVAR"))
    tracemalloc.start()
    try:
        (part,) = describe_single(path)["parts"]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert part["notes"] == []
    assert peak < 4.5 * path.stat().st_size  # the bytes, read and joined, and the numbers


def test_broken_files_are_one_line(tmp_path: Path) -> None:
    whole = table({"WAVE": WAVE, "FLUX": WAVE})
    for data, what in (
        (whole[:-BLOCK], "HDU 1: truncated"),
        (whole[: BLOCK + 800], "HDU 1: its header has no end"),
        (whole.replace(b"TFORM1  = ", b"TFORM9  = "), "no TFORM1"),
        (whole.replace(b"'D'", b"'Y'"), "type Y is not a FITS type"),
        (
            whole.replace(b"NAXIS   =                    2", b"NAXIS   =                  abc"),
            "NAXIS",
        ),
    ):
        with pytest.raises(UsageError, match=what):
            [unit.columns for unit in read_units(data, Path("x"))]


@pytest.mark.parametrize(
    ("values", "unit", "word"),
    [
        (WAVE, "Angstrom", ""),
        (WAVE, "", ""),
        (WAVE / 10, "nm", "nm"),
        (WAVE / 10, "", "nm"),
        (WAVE / 1e4, "um", "um"),
        (WAVE / 1e4, "", "micron"),
        (WAVE / 1e10, "", "m"),
        (np.log10(WAVE), "", "log10(Angstrom)"),
        (np.log10(WAVE / 10), "log10(nm)", "log10(nm)"),
        (np.log10(WAVE), "log", "log"),
        (np.log(WAVE), "", "ln(Angstrom)"),
        (np.log(WAVE), "ln(Angstrom)", "ln(Angstrom)"),
    ],
)
def test_wavelengths_in_any_unit(values: NDArray[Any], unit: str, word: str) -> None:
    wave, said = to_angstrom(values, unit, "x")
    np.testing.assert_allclose(wave, WAVE, rtol=1e-12)
    assert said.startswith(word)
    assert bool(said) == bool(word)
    assert ("no unit is stated" in said) == (bool(word) and not unit)


@pytest.mark.parametrize(
    ("unit", "per_angstrom", "medium"),
    [
        *((unit, 1.0, "") for unit in ("AA", "Å", "Ångström", "Angstroem", "[A]", "埃")),
        ("nanometres", 0.1, ""),
        ("micrometers", 1e-4, ""),
        ("metre", 1e-10, ""),
        ("Angstrom (air)", 1.0, "air"),
        ("nm, in vacuum", 0.1, "vacuum"),
    ],
)
def test_a_unit_of_wavelengths_by_any_name(unit: str, per_angstrom: float, medium: str) -> None:
    axis = read_axis(WAVE * per_angstrom, {"unit": unit}, "x")
    np.testing.assert_allclose(axis.wave, WAVE, rtol=1e-12)
    assert axis.medium == medium
    if not medium:
        log10 = f"log10(lambda/{unit.strip('[]')})"
        wave, _ = to_angstrom(np.log10(WAVE * per_angstrom), log10, "x")
        np.testing.assert_allclose(wave, WAVE, rtol=1e-12)


@pytest.mark.parametrize(
    ("values", "unit", "what"),
    [
        (np.arange(4096.0), "", "in no unit that can be known"),
        (np.arange(1, 4097.0), "", "in no unit that can be known"),
        (WAVE / 10, "Angstrom", r"710 to 885 Angstrom is outside .* is the unit right\?"),
        (WAVE, "GHz", "unit GHz is not a readable unit"),
        (np.log10(WAVE / 10), "", "in no unit that can be known"),  # or 2.9 micron
        (np.where(np.arange(40) == 7, np.nan, WAVE), "", "1 of 40 wavelengths are not finite"),
        (np.where(np.arange(40) == 7, 7100.0, WAVE), "", "not in order: .* at pixel 6"),
        (np.zeros(0), "", "0 of 0 wavelengths"),
    ],
)
def test_wavelengths_that_cannot_be_known(values: NDArray[Any], unit: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        read_axis(values, {"unit": unit}, "x")


@given(st.floats(1500, 20000), st.floats(1.001, 3), st.integers(2, 300), st.booleans())
def test_an_axis_ascends(start: float, ratio: float, n: int, backwards: bool) -> None:
    wave = np.geomspace(start, start * ratio, n)
    axis = read_axis(wave[::-1] if backwards else wave, {"unit": "Angstrom"}, "x")
    np.testing.assert_allclose(axis.wave, wave)
    assert axis.reversed == backwards
    assert len(axis.notes) == backwards


def test_uneven_steps_and_the_medium_are_told() -> None:
    arms = np.concatenate([np.linspace(4000, 6000, 100), np.linspace(7100, 8850, 100)])
    assert read_axis(arms, {}, "x").notes == ("wavelengths are uneven: steps of 17.7 to 1.1e+03 A",)
    for words, medium in (
        ({"AIRORVAC": "vac"}, "vacuum"),
        ({"airorvac": b"air"}, "air"),
        ({"VACUUM": "T"}, "vacuum"),
        ({"VACUUM": np.bool_(False)}, "air"),
        ({"CTYPE1": "AWAV"}, "air"),
        ({"CTYPE1": "LINEAR"}, ""),
        ({}, ""),
    ):
        assert stated_medium(words) == medium
    assert read_axis(np.vectorize(vacuum)(WAVE), {"VACUUM": 1}, "x").medium == "vacuum"


def test_what_is_told_of_a_spectrum(tmp_path: Path) -> None:
    flux = np.ones(40, dtype="<f4")
    flux[:4], flux[5] = np.nan, -999
    ivar = np.ones(40, dtype="<f4")
    ivar[:7] = 0
    path = tmp_path / "spec.fits.gz"
    data = table({"loglam": np.log10(WAVE), "flux": flux, "ivar": ivar}, EXTNAME="COADD")
    path.write_bytes(gzip.compress(data))
    assert is_single_file(path)
    assert list(lines(describe_single(path))) == [
        "COADD: 40 rows: loglam, flux, ivar; 7100.0 to 8850.0 A (air or vacuum: not stated)",
        "  wavelengths read as log10(Angstrom)",
        "  flux: 4 of 40 values not finite",
        "  flux: 1 of 40 values are -999 or -9999: no data",
        "  ivar: 7 of 40 values not above 0: no data",
        "FITS, not a data set: runs train on HDF5 in ga_pfsspec's layout, with labels "
        "(`vitlab data make` writes one)",
    ]
    zeros = image(np.zeros(40, dtype="<f8"), CRVAL1=3.8513, CD1_1=1e-4, CRPIX1=1)
    path.write_bytes(zeros)
    [part] = describe_single(path)["parts"]
    assert part["wave"] == pytest.approx([10**3.8513, 10**3.8552])
    assert part["notes"][-1] == "HDU 0: every value is 0"
    text = tmp_path / "star.csv"
    text.write_text("source_id,wavelength,flux\n1,846.00,0.9\n1,846.01,nan\n")
    [part] = describe_single(text)["parts"]
    assert part["wave"] == [8460.0, 8460.1]
    assert part["notes"][1:] == ["flux: 1 of 2 values not finite", "flux: every value is 0.9"]
    text.write_text("name,magnitude\na,20\n")
    with pytest.raises(UsageError, match="neither HDF5 nor FITS, and no column of wavelengths"):
        describe_single(text)
