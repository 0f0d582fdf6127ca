"""Files of surveys: recognised by content, in air, masked, and told for what they are."""

from __future__ import annotations

import csv
import gzip
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from tests.ml.survey import layouts
from tests.ml.survey.layouts import FLUX, LAYOUTS, WAVE, N
from tests.ml.test_single_files import EMPTY, image
from vitlab.cli import main
from vitlab.commands.common import print_json
from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.formats.fits import BLOCK
from vitlab.ml.spectra.lines import air
from vitlab.ml.survey import read_spectra
from vitlab.ml.survey.spectrum import FLAGGED, LIGHT, NO_ERROR, Spectrum

STARS = Path(__file__).parents[4] / "shared" / "data" / "stars"
needs_stars = pytest.mark.skipif(
    not (STARS / "MANIFEST.csv").is_file(), reason="no real spectra in ../shared/data/stars"
)


def read(data: bytes, folder: Path, name: str = "a.dat") -> list[Spectrum]:
    path = folder / name
    path.write_bytes(data)
    return read_spectra(path)


def one(data: bytes, folder: Path, name: str = "a.dat") -> Spectrum:
    (spectrum,) = read(data, folder, name)
    return spectrum


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_is_known_by_content(layout: str, tmp_path: Path) -> None:
    for spectrum in read(LAYOUTS[layout], tmp_path):
        assert spectrum.survey == layout.partition(" (")[0]
        assert (np.diff(spectrum.wave) > 0).all()
        shapes = {a.shape for a in (spectrum.wave, spectrum.flux, spectrum.mask)}
        assert len(shapes) == 1
        assert (spectrum.flux[spectrum.mask] == 0).all()
        assert spectrum.sigma is None or np.isinf(spectrum.sigma[spectrum.mask]).all()


def test_vacuum_becomes_air_by_the_named_formula(tmp_path: Path) -> None:
    found = one(layouts.sdss(), tmp_path)
    np.testing.assert_allclose(found.wave, air(WAVE), rtol=1e-6)  # loglam has four bytes
    assert any("Morton" in note for note in found.notes)
    kept = one(layouts.plain_table(AIRORVAC="air"), tmp_path)
    np.testing.assert_allclose(kept.wave, WAVE)
    unknown = one(layouts.ascii_columns(), tmp_path)
    np.testing.assert_allclose(unknown.wave, WAVE, atol=1e-3)
    assert any("air or vacuum is not stated" in note for note in unknown.notes)


def test_sdss_has_velocity_labels_masks_and_resolution(tmp_path: Path) -> None:
    found = one(layouts.sdss(), tmp_path)
    assert (found.kind, found.object) == ("star", "3128-54776-8 STAR F9")
    assert found.velocity == pytest.approx(-1e-4 * LIGHT, rel=1e-5)
    assert found.velocity_error == pytest.approx(1e-5 * LIGHT, rel=1e-5)
    assert found.labels["log_g"][0] == pytest.approx(4.05)
    assert found.labels["log_g"][1] is None
    assert found.masked == {FLAGGED: 5, NO_ERROR: 3}
    assert found.resolution is not None
    assert found.resolution[0] == pytest.approx(1 / (2.3548 * 0.9e-4 * np.log(10)), rel=1e-3)
    assert found.snr == pytest.approx(50, rel=0.02)
    assert not any("ZWARNING" in note for note in found.notes)
    doubted = one(layouts.sdss(warning=4), tmp_path)
    assert "ZWARNING = 4: the survey is not sure of its velocity" in doubted.notes


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (layouts.sdss("GALAXY", ""), "galaxy"),
        (layouts.sdss("QSO", ""), "quasar"),
        (layouts.sdss("STAR", "WDhotter"), "white dwarf"),
        (layouts.lamost(CLASS="GALAXY"), "galaxy"),
        (layouts.lamost(FIBERTYP="Sky"), "sky"),
        (layouts.lamost(CLASS="Unknown"), "not stated"),
        (layouts.pfs_object(TARGTYPE=2), "sky"),
        (layouts.pfs_object(TARGTYPE="FLUXSTD"), "star"),
        (layouts.pfs_object(np.zeros(N)), "empty"),
    ],
)
def test_what_is_no_star_is_told(data: bytes, kind: str, tmp_path: Path) -> None:
    found = one(data, tmp_path)
    assert found.kind == kind
    if kind not in ("star", "not stated"):
        assert not found.labels


def test_lamost_in_its_layouts_and_zipped(tmp_path: Path) -> None:
    old = one(gzip.compress(layouts.lamost()), tmp_path, "a.fits.gz")
    new = one(layouts.lamost_dr9(), tmp_path)
    for found in (old, new):
        np.testing.assert_allclose(found.wave, air(WAVE), rtol=1e-6)
        assert found.velocity == pytest.approx(1e-4 * LIGHT)
        assert found.resolution is not None
        assert set(found.resolution) == {1800.0}
    assert old.masked == {NO_ERROR: 3}
    medium = one(layouts.lamost_mrs(), tmp_path)
    assert len(medium.wave) == 2 * N
    assert "2 arms joined" in " ".join(medium.notes)


def test_desi_has_a_spectrum_for_each_target(tmp_path: Path) -> None:
    galaxy, star, sky = read(layouts.desi(), tmp_path)
    assert [one.kind for one in (galaxy, star, sky)] == ["galaxy", "star", "sky"]
    assert galaxy.object == "TARGETID 39633345008634465"  # more digits than a float has
    assert star.where == "HDU 3, row 1"
    assert star.wave[[0, -1]] == pytest.approx(air(np.array([6000.0, 9000.0])))
    assert star.resolution is not None
    # The last arm: pixels of 1000 / 399 A, of which sigma is 1.2.
    expected = 9000 / (2.3548 * 1.2 * 1000 / (N - 1))
    assert star.resolution[-1] == pytest.approx(expected, rel=0.02)


def test_pfs_has_parameters_and_planes(tmp_path: Path) -> None:
    star = one(layouts.pfs_star(), tmp_path)
    assert (star.kind, star.object) == ("star", "catId 12345 objId 99")
    assert (star.velocity, star.velocity_error) == (12.0, 1.0)
    assert star.labels == {"M_H": (-0.5, 0.1), "T_eff": (5000.0, 50.0), "log_g": (2.5, 0.2)}
    first, second = read(layouts.pfs_arm(), tmp_path)
    assert first.masked == {}
    assert second.masked == {FLAGGED: 7}  # REFLINE is no fault
    assert second.resolution is not None
    assert set(second.resolution) == {5000.0}


def test_galah_in_both_layouts(tmp_path: Path) -> None:
    new, old = (one(layouts.galah(k), tmp_path) for k in (8, 5))
    assert (new.velocity, new.velocity_error) == (-18.7, 0.1)
    assert new.labels["T_eff"] == (4688.0, None)
    assert list(new.masked.values()) == [30]
    assert new.resolution is not None
    assert new.resolution[0] == pytest.approx(7585 / 0.35)
    assert old.velocity is None
    for found in (new, old):
        np.testing.assert_allclose(found.wave, 7585 + 0.75 * np.arange(N))
        assert found.snr == pytest.approx(50, rel=0.01)


def test_a_logarithmic_scale_without_a_flag_is_known_by_its_values(tmp_path: Path) -> None:
    found = one(layouts.mastar(), tmp_path)
    np.testing.assert_allclose(found.wave, air(WAVE), rtol=1e-9)
    assert any("log10(Angstrom)" in note for note in found.notes)


def test_orders_are_joined_on_one_scale(tmp_path: Path) -> None:
    found = one(layouts.multispec(), tmp_path)
    assert found.wave[[0, -1]] == pytest.approx([7250, 7800])
    expected = 1 + 1e-4 * (found.wave - 7000) + 1e-3 * np.sin(found.wave)
    ratio = found.flux / expected
    assert np.ptp(ratio) / ratio.mean() < 2e-3
    assert found.snr == pytest.approx(100, rel=1e-6)
    assert found.resolution is not None
    assert set(found.resolution) == {44_000.0}


def test_orders_with_polynomials(tmp_path: Path) -> None:
    found = one(layouts.multispec(" 1. 0. 1 2 1. 400. 7650. 150."), tmp_path)
    assert found.wave[[0, -1]] == pytest.approx([7500, 7800])  # both orders lie there


def test_a_section_of_orders_keeps_their_wavelengths(tmp_path: Path) -> None:
    """LTV1 and LTM1_1 of `imcopy spectrum[101:400]`; of a whole image nw ends what fills a row."""
    at = np.arange(1, N + 1)
    wave = one(orders(f"{N} 0. 10. 20.", LTV1=-100.0, LTM1_1=0.5), tmp_path).wave
    np.testing.assert_allclose(wave, 7499.5 + 0.5 * (at + 100) / 0.5)
    assert one(orders("300 0. 10. 20."), tmp_path).wave[-1] == pytest.approx(7649.5)
    whole = one(orders(f"{N} 0. 10. 20. 0.5 0. 1 2 1. {N} 15300. 300.", kind=2), tmp_path)
    assert whole.wave[[0, -1]] == pytest.approx([7500, 7800])  # a weight of a half


def orders(rest: str, kind: int = 0, **cards: object) -> bytes:
    words = f'wtype=multispec spec1 = "1 1 {kind} 7500. 0.5 {rest}"'
    scale = {f"WAT2_{k + 1:03}": words[68 * k : 68 * (k + 1)] for k in range(-(-len(words) // 68))}
    return image(FLUX[None], True, CTYPE1="MULTISPE", **scale, **cards)


def test_gaia_csv_has_a_spectrum_for_each_source(tmp_path: Path) -> None:
    first, second = read(layouts.gaia(), tmp_path)
    assert first.object == "Gaia 2128215909315876352"
    assert second.object == "Gaia 4268620287278693120"
    assert (first.velocity, int(first.mask.sum()), first.masked["not finite or -9999"]) == (0, 1, 1)
    assert first.wave[0] == pytest.approx(air(np.array([8460.0]))[0])


def test_fill_values_are_masked(tmp_path: Path) -> None:
    flux = FLUX.copy()
    flux[50:70] = 1.0
    data = EMPTY + layouts.bintable({"lambda": WAVE, "flux": flux})
    assert one(data, tmp_path).masked == {"one value repeated": 20}


def test_descending_wavelengths_keep_their_fluxes(tmp_path: Path) -> None:
    data = EMPTY + layouts.bintable({"wave": WAVE[::-1], "flux": FLUX[::-1]})
    found = one(data, tmp_path)
    np.testing.assert_allclose(found.flux, FLUX)
    assert any("descend" in note for note in found.notes)


BAD = {
    "no wavelengths with a flux in any HDU": EMPTY + layouts.part("FLUX", FLUX),
    "HDU 1: unit furlong": layouts.plain_table(TUNIT1="furlong"),
    "HDU 1: a flux in mag(AB)": layouts.plain_table(TUNIT2="mag(AB)"),
    "HDU 1: 40 pixels": EMPTY + layouts.bintable({"wave": WAVE[:40], "flux": FLUX[:40]}),
    "HDU 1: truncated": layouts.plain_table()[:-BLOCK],
    "HDU 1: 1 to 400 are wavelengths in no unit": EMPTY
    + layouts.bintable({"wave": np.arange(1.0, N + 1), "flux": FLUX}),
    "HDU 0: its scale of wavelengths": image(FLUX, CRVAL1="red", CDELT1=1.0),
    "HDU 0: an image of 3 rows": image(np.tile(FLUX, (3, 1)), CRVAL1=7000.0, CDELT1=1.0),
    "no column of wavelengths": b"time,flux\n1,2\n",
}


@pytest.mark.parametrize("why", BAD)
def test_bad_input_is_one_line_and_exit_2(
    why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.fits"
    path.write_bytes(BAD[why])
    assert main(["data", "inspect", str(path)]) == 2
    error = capsys.readouterr().err.strip()
    assert why in error
    assert str(path) in error
    assert "\n" not in error


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    empty = EMPTY + layouts.bintable({"wave": WAVE[:0], "flux": FLUX[:0]})
    with pytest.raises(UsageError, match=r"bad\.fits"):
        read(empty, tmp_path, "bad.fits")


def mutations(data: bytes, seed: int, number: int) -> list[bytes]:
    """Deterministic: bytes changed in headers and data, cut, and digits of cards enlarged."""
    random = np.random.default_rng(seed)
    made = []
    cards = [k for k in range(0, len(data) - 79, 80) if data[k + 8 : k + 10] == b"= "]
    for turn in range(number):
        changed = bytearray(data)
        if turn % 4 == 0:
            del changed[int(random.integers(len(data))) :]
        elif turn % 4 == 1 and cards:
            at = cards[int(random.integers(len(cards)))]
            words = (b"-1", b"99999999999", b"NaN", b"''", b"1e400", b"0", b"'\x1b[31m'")
            changed[at + 10 : at + 80] = words[turn // 4 % len(words)].rjust(20).ljust(70)
        else:
            for at in random.integers(len(data), size=1 + turn % 7):
                changed[int(at)] = int(random.integers(256))
        made.append(bytes(changed))
    return made


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_mutation_crashes_or_takes_memory(layout: str, tmp_path: Path) -> None:
    data = LAYOUTS[layout]
    path = tmp_path / "mutated.fits"
    tracemalloc.start()
    try:
        for mutated in mutations(data, len(data), 60):
            path.write_bytes(mutated)
            why = ""
            try:
                spectra = read_spectra(path)
            except UsageError as error:
                spectra, why = [], str(error)
            assert spectra or str(path) in why
            assert "\n" not in why
            for spectrum in spectra:
                assert spectrum.wave.shape == spectrum.flux.shape == spectrum.mask.shape
                assert np.isfinite(spectrum.flux).all()
        assert tracemalloc.get_traced_memory()[1] < 60 * len(data) + (8 << 20)
    finally:
        tracemalloc.stop()


def test_inspect_tells_what_a_survey_file_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "spec.fits"
    path.write_bytes(layouts.sdss())
    assert main(["data", "inspect", str(path)]) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == "SDSS spec (HDU 1): 3128-54776-8 STAR F9: a star"
    assert "R 2049" in rest[0]
    assert "velocity -30 ± 3 km/s" in rest[0]
    assert "median S/N 50" in rest[0]
    assert "log_g 4.05" in rest[1]
    assert rest[2] == "  masked: 3 error not above 0, 5 flagged by the survey"
    assert main(["data", "inspect", str(path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["format"], shown["no_spectrum"]) == ("FITS", "")
    assert shown["spectra"][0]["velocity"] == pytest.approx(-29.979, abs=1e-3)
    path.write_bytes(layouts.sdss("GALAXY", "STARFORMING"))
    assert main(["data", "inspect", str(path)]) == 0
    assert "a galaxy, no star" in capsys.readouterr().out


@needs_stars
def test_every_real_file_is_read_or_told_for_what_it_is() -> None:
    with (STARS / "MANIFEST.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 20
    for row in rows:
        path = STARS / row["file"]
        if "pfsConfig" in row["file"]:
            with pytest.raises(UsageError, match="no wavelengths"):
                read_spectra(path)
            continue
        (found,) = read_spectra(path)
        ends = [float(row["wave_min"]), float(row["wave_max"])]
        if row["air_or_vacuum"].startswith(("vacuum", "not stated")):
            ends = list(air(np.array(ends)))
        if "med-" not in row["file"]:  # of which the table names the pixels with a flux
            assert found.wave[[0, -1]] == pytest.approx(ends, rel=1.1e-4), row["file"]
        kind = {"galaxy": "galaxy", "STAR WD": "white dwarf", "placeholder": "empty"}
        expected = next((k for word, k in kind.items() if row["object"].startswith(word)), "")
        assert found.kind == expected if expected else found.kind in ("star", "not stated")
        if row["survey"] in ("LAMOST", "SDSS") and row["rv_km_s"] and not expected:
            assert found.velocity == pytest.approx(float(row["rv_km_s"]), abs=0.1)


ROWS = [(f"{846 + k / 100:.2f}", f"{1 + k / 1000}", "0.1") for k in range(60)]


@pytest.mark.parametrize("kind", ["tabs", "quotes", "remark"])
def test_gaia_csv_as_others_write_it(kind: str, tmp_path: Path) -> None:
    names = ["source_id", "wavelength", "flux", "flux_error"]
    rows = [",".join(names), *(",".join(("2128215909315876352", *row)) for row in ROWS)]
    text = "\n".join(rows)
    if kind == "tabs":
        text = text.replace(",", "\t")
    elif kind == "quotes":
        text = text.replace("source_id", '"source_id"')
    else:
        text = f"  # of the archive\n{text}"
    spectrum = one(text.encode(), tmp_path)
    assert (spectrum.object, len(spectrum.wave)) == ("Gaia 2128215909315876352", 60)


def test_gaia_csv_without_its_last_column_is_told(tmp_path: Path) -> None:
    rows = ["wavelength,flux,flux_error,source_id", *(",".join(row) for row in ROWS)]
    with pytest.raises(UsageError, match="no row with all columns"):
        read("\n".join(rows).encode(), tmp_path)


def test_what_unpacks_to_more_than_a_spectrum_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """A packed file of a megabyte may be thousands of them in memory."""
    zeros = np.zeros(1 << 22, "u1")
    large = [image(zeros, CRVAL1=5000.0, CDELT1=1e-4), layouts.part("A", zeros)]
    with pytest.raises(UsageError, match="4,194,304 pixels: no spectrum has more than"):
        read(gzip.compress(b"".join(large)), tmp_path)
    with pytest.raises(UsageError, match=r"71,303,168 numbers: more than 67,108,864 are not read"):
        read(large[0] + 16 * large[1], tmp_path)
    heap = layouts.bintable({"wave": np.zeros((2, 2), "i4")}, TFORM1="1PB(9)", PCOUNT=1 << 27)
    with pytest.raises(UsageError, match=r"134,217,730 numbers: more than 67,108,864 are not read"):
        read(EMPTY + heap + bytes(1 << 27), tmp_path)
    with pytest.raises(UsageError, match=r"unpacks to more than 100 times its size"):
        read(gzip.compress(large[0] + 16 * large[1], 1), tmp_path)
    text = b"wavelength,flux\n" + b"5,1\x0b" * 100_000
    with pytest.raises(UsageError, match=":2: a line of 400,000 letters"):
        read(text, tmp_path)
    axes = layouts.primary(NAXIS="1" + "0" * 25)
    with pytest.raises(UsageError, match="NAXIS is missing or not a number"):
        read(axes, tmp_path)


def test_fluxes_beyond_all_measure_are_no_data(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    rows = [f"{8460 + k / 10},{1e300 * (1 + k / 1000)},1e-300" for k in range(100)]
    spectrum = one("\n".join(["wavelength,flux,error", *rows]).encode(), tmp_path)
    assert (spectrum.snr, spectrum.kind) == (None, "empty")
    assert spectrum.masked == {"not finite or -9999": 100}
    assert not recwarn.list


def test_polynomials_and_columns_are_few(tmp_path: Path) -> None:
    """Terms times pixels, and columns times spectra, would take hours of a small file."""
    terms = " ".join(["0."] * 60)
    with pytest.raises(UsageError, match="order 1: its wavelengths cannot be read"):
        read(layouts.multispec(f" 1. 0. 1 62 1. 400. 7650. 150. {terms}"), tmp_path)
    names = {f"c{k}": np.zeros(N, "u1") for k in range(1001)}
    with pytest.raises(UsageError, match="1,003 columns: FITS has at most 999"):
        read(EMPTY + layouts.bintable({"wave": WAVE, "flux": FLUX, **names}), tmp_path)


def test_what_numpy_says_of_arrays_that_do_not_fit_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise TypeError("only 0-dimensional arrays")

    monkeypatch.setattr("vitlab.ml.survey.read.finish", fail)
    with pytest.raises(UsageError, match=r"a\.dat: its arrays do not fit each other"):
        read(layouts.plain_table(), tmp_path)
    print_json({"wave": [1.0, float("inf")]})
    assert json.loads(capsys.readouterr().out) == {"wave": [1.0, None]}


@pytest.mark.parametrize(
    ("of", "told"),
    [
        (b"", ""),
        (b"data", "HDU 0: its data do not fit its DATASUM"),
        (b"header", "HDU 0: it does not fit its CHECKSUM"),
    ],
)
def test_a_file_that_was_broken_on_its_way_is_told(of: bytes, told: str, tmp_path: Path) -> None:
    fits = pytest.importorskip("astropy.io.fits")
    header = fits.Header({"CRVAL1": 7000.0, "CDELT1": 1.25, "CRPIX1": 1.0})
    path = tmp_path / "sums.fits"
    fits.PrimaryHDU(FLUX, header).writeto(path, checksum=True)
    data = bytearray(path.read_bytes())
    if of:
        data[2880 + 17 if of == b"data" else data.index(b"7000.0")] ^= 1
    notes = one(bytes(data), tmp_path).notes
    assert [n.partition(": the file was")[0] for n in notes if "HDU" in n] == [told] * bool(of)
