"""Texts and tables: columns by names, positions and units, and what is told of them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.ml.survey import layouts
from tests.ml.survey.layouts import FLUX, SIGMA, WAVE
from tests.ml.survey.test_read import one
from tests.ml.test_single_files import EMPTY
from vitlab.contract.paths import UsageError
from vitlab.lab.inspector.labelled_stars import Star, spectra_of
from vitlab.ml.spectra.formats.fits import LONGEST
from vitlab.ml.spectra.formats.units import is_power_of
from vitlab.ml.spectra.lines import air
from vitlab.ml.survey.spectrum import NO_MEDIUM

SNR = float(np.median(FLUX / SIGMA))


def text(*columns: NDArray[Any], head: str = "", comma: bool = False) -> bytes:
    between = "," if comma else " "
    rows = (between.join(f"{x:.6f}" for x in row) for row in zip(*columns, strict=True))
    return (head + "\n".join(rows)).encode()


@pytest.mark.parametrize(
    ("head", "columns"),
    [
        ("# wavelength flux ivar\n", (WAVE, FLUX, SIGMA**-2)),
        ("# of a star\n#wave, err, flux\n", (WAVE, SIGMA, FLUX)),
        ("# wave flux continuum err\n# in steps\n", (WAVE, FLUX, FLUX * 0 + 9, SIGMA)),
        ("wave flux variance\n", (WAVE, FLUX, SIGMA**2)),
        ("wave flux ivar sigma\n", (WAVE, FLUX, SIGMA**-2, SIGMA * 9)),  # the lines' width
        ("wave flux norm_flux flux_err\n", (WAVE, FLUX, FLUX / 9, SIGMA)),
        ("# of a telescope\n", (WAVE, FLUX, SIGMA)),
        ("# wavelength[A] flux[1e-17 erg/s/cm2/A] ivar\n", (WAVE, FLUX, SIGMA**-2)),
        ("# Wavelength (rest, A)  Flux (a.u.)  Error (1 sigma)\n", (WAVE, FLUX, SIGMA)),
        ("# 1: wavelength [A]\n# 2: flux\n# 3: ivar\n", (WAVE, FLUX, SIGMA**-2)),
        ("Wavelength (A)  flux  stdev\n", (WAVE, FLUX, SIGMA)),
        ("wavelength_nm flux dflux\n", (WAVE / 10, FLUX, SIGMA)),
        ("waveobs flux err\n", (WAVE / 10, FLUX, SIGMA)),  # of iSpec
        ("# wavelength (0.1 nm) flux (erg/(s cm2 A)) ivar\n", (WAVE, FLUX, SIGMA**-2)),
        (
            "# 3.5 m telescope\n# 1: wavelength, nm\n# 2: flux\n# 3: ivar\n",
            (WAVE / 10, FLUX, SIGMA**-2),
        ),
        ("loglam[log10(A)] flux err\n", (np.log10(WAVE), FLUX, SIGMA)),
    ],
)
def test_columns_are_those_that_names_say(
    head: str, columns: tuple[NDArray[Any], ...], tmp_path: Path
) -> None:
    found = one(text(*columns, head=head), tmp_path)
    assert found.snr == pytest.approx(SNR, rel=1e-3)
    assert found.flux.max() == pytest.approx(FLUX.max())


@pytest.mark.parametrize(
    ("head", "note"),
    [
        ("", "columns by position: wavelength, flux, flux_error"),
        ("# wave / A, counts, s\n", "flux_error (a comment says: wave / A, counts, s)"),
        ("wave f_lambda norm_flux e_flux\n", "e_flux is not used: of which flux it is the error"),
        ("wave flam spec\n", "the flux is flam; not read: spec"),
        ("wave flux formal_err\n", "not used, perhaps errors: formal_err"),
        ("wave flux sig\n", "not used, perhaps errors: sig"),  # or a significance
        ("wave flux err[%]\n", "err is not used: its unit (%) is not stated of the flux"),
        ("wave flux[1e-17] err[1e-18]\n", "its unit (1e-18) is not the flux's (1e-17)"),
    ],
)
def test_what_names_do_not_say_is_told(head: str, note: str, tmp_path: Path) -> None:
    columns = (WAVE, FLUX, SIGMA, SIGMA)[: len(head.split()) if head.startswith("w") else 3]
    found = one(text(*columns, head=head), tmp_path)
    assert any(note in one for one in found.notes)
    assert (found.sigma is None) == head.startswith("w")


@pytest.mark.parametrize(
    ("head", "mark"),
    [
        ("wavelength (A),flux,error\n", ","),
        ("Wavelength [nm];Flux [a.u.];Error [a.u.]\n", ";"),
        ('wavelength,flux,error,"remark; by hand"\n', ","),
    ],
)
def test_a_unit_may_stand_in_a_name(head: str, mark: str, tmp_path: Path) -> None:
    wave = WAVE / 10 if "nm" in head else WAVE
    data = text(wave, FLUX, SIGMA, *[WAVE] * ("remark" in head), comma=True)
    for decimal in ".,"[: 1 + (mark == ";")]:
        rows = data.replace(b",", mark.encode()).replace(b".", decimal.encode())
        found = one(head.encode() + rows, tmp_path)
        assert found.wave[0] == pytest.approx(WAVE[0])
        assert found.snr == pytest.approx(SNR, rel=1e-3)


@pytest.mark.parametrize(
    "names",
    [
        ("wavelength", "wavelength (nm)", "flux", "error"),
        ("wavelength", "flux", "flux (normalised)", "error"),
        ("wavelength", "flux", "error", "error (%)"),
        ("wavelength", "flux", "error", "mask (1=good)"),
    ],
)
def test_a_name_keeps_its_bracket_beside_the_bare_one(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    own = {"wavelength": WAVE, "flux": FLUX, "error": SIGMA}
    columns = [own.get(name, np.ones_like(WAVE)) for name in names]
    found = one(text(*columns, head=",".join(names) + "\n", comma=True), tmp_path)
    assert found.wave[0] == pytest.approx(WAVE[0])
    assert found.snr == pytest.approx(SNR, rel=1e-3)
    assert not found.masked


def test_long_comments_are_read_in_linear_time(tmp_path: Path) -> None:
    start = time.process_time()
    for words in ("wave", "wave(", "a [("):
        comments = f"# {words * (LONGEST // 5)}\n" * 50
        one(text(WAVE, FLUX, SIGMA, head=comments), tmp_path)
    assert time.process_time() - start < 60


@pytest.mark.parametrize(
    ("names", "medium"),
    [
        (("wavelength", "wavelength_air"), "air"),  # ESPRESSO's, the first in vacuum
        (("wave", "vac_wave"), "vacuum"),
        (("wave (vacuum)",), "vacuum"),
        (("lambda (A, vacuum)",), "vacuum"),
    ],
)
def test_the_column_of_a_stated_medium_is_read(
    names: tuple[str, ...], medium: str, tmp_path: Path
) -> None:
    columns = dict.fromkeys(names, WAVE + 2)
    columns |= {names[-1]: WAVE, "flux": FLUX, "err": SIGMA}
    head = ",".join(f'"{name}"' for name in columns) + "\n"
    files = [text(*columns.values(), head=head, comma=True)]
    files += [EMPTY + layouts.bintable(columns)] * (len(names) > 1)
    for data in files:
        found = one(data, tmp_path)
        assert found.wave[0] == pytest.approx(WAVE[0] if medium == "air" else air(WAVE)[0])
        assert NO_MEDIUM not in found.notes


def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a\.dat: two columns flux"):
        one(text(WAVE, FLUX, FLUX, head="wave,flux,Flux\n", comma=True), tmp_path)
    table = layouts.bintable({"wave": WAVE, "flux": FLUX, "ferr": SIGMA}, TTYPE3="FLUX")
    with pytest.raises(UsageError, match=r"HDU 1: two columns flux"):
        one(EMPTY + table, tmp_path)


def test_rows_and_columns_that_are_left_out_are_told(tmp_path: Path) -> None:
    lines = text(WAVE, FLUX, SIGMA, head="wave,flux,err\n", comma=True).decode().split("\n")
    lines[200:210] = [line.rpartition(",")[0] for line in lines[200:210]]
    found = one("\n".join(lines).encode(), tmp_path)
    assert "10 of 400 rows have more or fewer than 3 cells: left out" in found.notes
    percent = "\n".join([lines[0], *(f"{line}%" for line in lines[1:])])
    found = one(percent.encode(), tmp_path)
    assert "column err is not used: no number in it" in found.notes
    assert (found.sigma, found.kind) == (None, "not stated")


def test_fortran_s_exponents_are_numbers(tmp_path: Path) -> None:
    rows = (f"{w:.4f} {f:.6e}".replace("e", "D") for w, f in zip(WAVE, FLUX, strict=True))
    assert one("\n".join(rows).encode(), tmp_path).flux.max() == pytest.approx(FLUX.max())


@pytest.mark.parametrize(
    ("head", "medium"),
    [
        ("# wavelengths in vacuum\n", "vacuum"),
        ("# VACUUM = T\n", "vacuum"),
        ("# air wavelengths, Angstrom\n", "air"),
        ("# wavelengths are in air\n# VACUUM: T\n", ""),  # which of them?
        ("# vacuum wavelengths, heliocentric corrected\n", "vacuum"),
        ("# wavelengths in vacuum (barycentric velocity applied)\n", "vacuum"),
        ("# wavelengths not in vacuum\n", ""),
        ("# airmass 1.2, vacuum pump on\n", ""),
        ("# vacuum wavelengths: T\n", "vacuum"),
        ("# vacuum wavelengths = False\n", "air"),
        ("# vacuum wavelengths off\n", ""),
        ("# wavelengths in vacuum were converted to air\n", ""),
        ("# wave in vacuum -> air (Morton)\n", ""),
        ("# To get vacuum wavelengths, apply Ciddor (1996)\n", ""),
    ],
)
def test_the_medium_is_what_comments_say(head: str, medium: str, tmp_path: Path) -> None:
    found = one(text(WAVE, FLUX, SIGMA, head=head), tmp_path)
    assert found.wave[0] == pytest.approx(air(WAVE)[0] if medium == "vacuum" else WAVE[0])
    assert (NO_MEDIUM in found.notes) == (not medium)


@pytest.mark.parametrize("medium", ["air", "vacuum", ""])
def test_a_list_says_the_medium_of_a_file_that_does_not(medium: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(text(WAVE, FLUX, SIGMA))
    (found,) = spectra_of(Star("a.txt", path, "", {}, None, None, medium))
    assert found.wave[0] == pytest.approx(air(WAVE)[0] if medium == "vacuum" else WAVE[0])
    assert (NO_MEDIUM in found.notes) == (not medium)


def test_comments_of_anything_take_linear_time(tmp_path: Path) -> None:
    long = ("- {name: ", "wave are ", "vac ", "wave", "a ", " ", "wave flux ")
    head = "".join(f"# {one * (100_000 // len(one))}\n# {one}x\n" for one in long)
    began = time.process_time()
    found = one(text(WAVE, FLUX, SIGMA, head=head), tmp_path)
    assert time.process_time() - began < 3
    assert all(len(note) < 200 for note in found.notes)


def test_comments_below_the_numbers_name_nothing(tmp_path: Path) -> None:
    data = text(WAVE, FLUX, SIGMA) + b"\n# wavelength error flux\n"
    assert one(data, tmp_path).snr == pytest.approx(SNR, rel=1e-3)


def test_units_of_an_ecsv_are_read(tmp_path: Path) -> None:
    head = "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: wave, unit: nm, datatype: float64}\n"
    head += "# - {name: flux, unit: mag, datatype: float64}\nwave flux\n"
    with pytest.raises(UsageError, match="a flux in mag"):
        one(text(WAVE / 10, FLUX, head=head), tmp_path)


@pytest.mark.parametrize(
    ("unit", "flux", "power", "same"),
    [
        ("1e-17 erg/s/cm2/A", "10^-17 erg s^-1 cm^-2 Angstrom^-1", 1, True),
        ("10**-17 erg/(s cm**2 AA)", "1E-17 ergs/sec/cm^2/Ang", 1, True),
        ("10**+34 (s2 cm4 Angstrom2) / erg2", "10**-17 erg/(s cm2 Angstrom)", -2, True),
        ("count2", "adu", 2, True),
        ("(erg/s/cm^2/A)^2", "erg/s/cm2/A", 2, True),
        ("(1e-17 erg s-1 cm-2 A-1)^2", "1e-17 erg/s/cm2/A", 2, True),
        ("(erg/(s cm2 A))-2", "erg/s/cm2/A", -2, True),
        ("1e34 (erg/s/cm2/A)**-2", "1e-17 erg/s/cm2/A", -2, True),
        ("1e-34 (erg/s/cm2/A)^2", "erg/s/cm2/A", 2, False),
        ("1/(erg/(s cm2)^2)", "erg/s/cm2", -1, False),
        ("erg/s/cm2/A", "1e-17 erg/s/cm2/A", 1, False),
        ("mag", "erg/s", 1, False),
        ("km/s", "erg/s", 1, False),
        ("erg/s", "erg s", 1, False),
        ("nJy", "nJy", -2, False),
        ("$$", "$$", 1, True),
        ("$$", "$", 1, False),
    ],
)
def test_units_are_compared_as_far_as_they_are_read(
    unit: str, flux: str, power: int, same: bool
) -> None:
    assert is_power_of(unit, flux, power) is same


@pytest.mark.parametrize(
    ("names", "units", "snr"),
    [
        (("err",), ("erg/s", "erg/s"), SNR),
        (("err",), ("erg/s", ""), SNR),
        (("err",), ("1e-17 erg/s", "erg/s"), None),
        (("err",), ("", "mag"), None),
        (("ivar",), ("erg/s", "s2 / erg2"), float(np.median(FLUX * SIGMA**0.5))),
        (("ivar",), ("erg/s", "erg/s"), None),
    ],
)
def test_errors_in_another_unit_are_told_and_not_used(
    names: tuple[str], units: tuple[str, str], snr: float | None, tmp_path: Path
) -> None:
    columns = {"wave": WAVE, "flux": FLUX, names[0]: SIGMA}
    data = layouts.bintable(columns, TUNIT2=units[0], TUNIT3=units[1])
    found = one(EMPTY + data, tmp_path)
    assert found.snr == (None if snr is None else pytest.approx(snr))
    assert any("its unit" in note for note in found.notes) == (snr is None)


def test_a_spectrum_of_two_decimals_keeps_its_continuum(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).normal(0, 0.003, len(WAVE))
    flux = np.round(FLUX / 100 + noise, 2)
    assert one(text(WAVE, flux, SIGMA / 100), tmp_path).masked == {}
    flux[100:120] = 0.5  # far from all around it
    assert one(text(WAVE, flux, SIGMA / 100), tmp_path).masked == {"one value repeated": 20}


def test_a_flux_in_image_counts_is_linear(tmp_path: Path) -> None:
    data = layouts.bintable({"wave": WAVE, "flux": FLUX}, TUNIT2="Image counts")
    assert one(EMPTY + data, tmp_path).kind == "not stated"


@pytest.mark.parametrize("comma", [False, True])
def test_rows_of_another_length_than_the_names_are_not_read(comma: bool, tmp_path: Path) -> None:
    """As pandas writes a part of a table, with its index but no name of it."""
    index = np.arange(len(WAVE)) + 7000.0
    with pytest.raises(UsageError, match="no row with all columns: its first line has 3 cells"):
        one(text(index, WAVE, FLUX, SIGMA, head="wave flux err\n", comma=comma), tmp_path)
    lines = text(WAVE, FLUX, FLUX, SIGMA).decode().split("\n")
    found = one("\n".join([*lines, "9000 1 2", "9001 1 1 1 # x"]).encode(), tmp_path)
    assert "2 of 402 rows have more or fewer than 4 cells: left out" in found.notes
    lines = text(WAVE, FLUX, SIGMA, head="wave,flux,err\n", comma=True).decode().split("\n")
    trailing = "\n".join([lines[0], *(f"{line}," for line in lines[1:])])
    assert len(one(trailing.encode(), tmp_path).wave) == len(WAVE)
