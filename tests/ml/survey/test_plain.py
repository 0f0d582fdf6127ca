"""FITS and texts without a survey's layout: what is the flux, its error, its mask and its scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.ml.survey import layouts
from tests.ml.survey.layouts import FLUX, SIGMA, WAVE, N
from tests.ml.survey.test_read import one, read
from tests.ml.test_single_files import EMPTY, Yes, image
from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.lines import air
from vitlab.ml.spectra.single_files import describe_single
from vitlab.ml.survey import read_spectra
from vitlab.ml.survey.spectrum import FLAGGED, with_resolution

BAD = np.isin(np.arange(N), (50, 51, 52, 200))
LETTERS = np.where(BAD, b"T", b"F").astype("S1")
WORDS = np.where(BAD, b"bad", b"good")


class Digits:
    """A card without quotes."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


def masked(mask: NDArray[Any], form: str) -> bytes:
    columns: dict[str, NDArray[Any]] = {"wave": WAVE, "flux": FLUX, "err": SIGMA, "mask": mask}
    return EMPTY + layouts.bintable(columns, TFORM4=form)


@pytest.mark.parametrize(
    ("mask", "form"),
    [
        (BAD.astype("i2"), "I"),
        (LETTERS, "L"),
        (np.where(BAD, b"\0", LETTERS), "1L"),  # a logical that is not known
        (BAD.astype("u1") << 7, "1X"),
        (BAD.astype("u1") << 2, "8X"),
        (np.stack([np.zeros(N, "u1"), BAD.astype("u1") << 4], axis=1), "12X"),
    ],
)
def test_a_mask_of_any_kind_is_used(mask: NDArray[Any], form: str, tmp_path: Path) -> None:
    found = one(masked(mask, form), tmp_path)
    assert found.masked == {FLAGGED: 4}
    assert (found.mask == BAD).all()


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("QUAL", 0),
        ("bpm", 0),
        ("flag", 0),
        ("andmask", 0),
        ("pixel_flags", 0),
        ("GOODPIX", 1),
        ("good", 1),
    ],
)
def test_a_mask_by_its_other_names_is_used(name: str, good: int, tmp_path: Path) -> None:
    """`QUAL` is that of all spectra of ESO; `good` is 1 where others are 0."""
    rows = [
        f"{w},{f},{1 - good if bad else good}" for w, f, bad in zip(WAVE, FLUX, BAD, strict=True)
    ]
    text = f"wave,flux,{name}\n" + "\n".join(rows)
    assert (one(text.encode(), tmp_path).mask == BAD).all()


@pytest.mark.parametrize("name", ["ormask", "my_mask_v2", "telluric_flag"])
def test_what_may_be_a_mask_is_told(name: str, tmp_path: Path) -> None:
    columns = {"wave": WAVE, "flux": FLUX, "err": SIGMA, name: BAD.astype("i2")}
    found = one(EMPTY + layouts.bintable(columns), tmp_path)
    assert f"not used, perhaps a mask: {name}" in found.notes
    assert not found.masked


def test_of_several_masks_those_that_are_not_used_are_told(tmp_path: Path) -> None:
    columns: dict[str, NDArray[Any]] = {"wave": WAVE, "flux": FLUX, "qual": BAD.astype("i2")}
    found = one(EMPTY + layouts.bintable({**columns, "mask": np.zeros(N, "i2")}), tmp_path)
    assert "the mask is mask; not used: qual" in found.notes


def test_the_mask_of_pypeit_marks_good_pixels(tmp_path: Path) -> None:
    """Of any other file more than half of the pixels that are bad is told."""
    good = np.where(BAD, 0, 1).astype("i4")
    columns: dict[str, NDArray[Any]] = {"wave": WAVE, "flux": FLUX, "sigma": SIGMA, "mask": good}
    data = EMPTY + layouts.bintable(columns, DMODCLS="OneSpec")
    found = one(data, tmp_path)
    assert (found.mask == BAD).all()
    assert "taken for vacuum, as PypeIt's spectra are (the file does not say)" in found.notes
    assert not any("inverted" in note for note in found.notes)
    other = one(EMPTY + layouts.bintable(columns), tmp_path)
    assert (other.mask == ~BAD).all()
    assert "mask is not 0, which is bad, in 99% of the pixels: inverted?" in other.notes


def test_a_mask_in_one_row_is_used(tmp_path: Path) -> None:
    columns: dict[str, NDArray[Any]] = {
        "wave": WAVE[None],
        "flux": FLUX[None],
        "mask": np.packbits(BAD)[None],
    }
    found = one(EMPTY + layouts.bintable(columns, TFORM3=f"{N}X"), tmp_path)
    assert (found.mask == BAD).all()


def test_a_mask_of_words_is_told_and_not_used(tmp_path: Path) -> None:
    found = one(masked(WORDS, "4A"), tmp_path)
    assert not found.masked
    assert "no mask is used: the mask mask is not a column of numbers" in found.notes


def test_a_mask_of_true_and_false_in_a_text(tmp_path: Path) -> None:
    rows = (f"{w:.3f},{f:.4f},{bool(b)}" for w, f, b in zip(WAVE, FLUX, BAD, strict=True))
    text = "wave,flux,mask\n" + "\n".join(rows)
    assert (one(text.encode(), tmp_path).mask == BAD).all()


def test_lamost_s_mask_may_be_of_logicals(tmp_path: Path) -> None:
    columns: dict[str, NDArray[Any]] = {
        "FLUX": FLUX,
        "IVAR": SIGMA**-2,
        "WAVELENGTH": WAVE,
        "ANDMASK": LETTERS,
    }
    rows = {name: values[None] for name, values in columns.items()}
    table = layouts.bintable(rows, EXTNAME="COADD", TFORM4=f"{N}L")
    data = layouts.primary(TELESCOP="LAMOST") + table
    assert one(data, tmp_path).masked == {FLAGGED: 4}


def test_labels_and_velocities_that_no_star_has_are_left_out_and_told(tmp_path: Path) -> None:
    data = layouts.galah()
    for card, value in ((b"4688.0", b"-999.0"), (b"  2.19", b"  99.0"), (b"-18.7", b"90000")):
        assert data.count(card) == 1
        data = data.replace(card, value)
    found = one(data, tmp_path)
    assert found.labels == {"M_H": (-0.27, None)}
    assert (found.velocity, found.velocity_error) == (None, None)
    assert "the file's log_g, 99, is no star's: left out" in found.notes
    assert "the file's velocity, 90000 km/s, is no star's: left out" in found.notes


SCALE: dict[str, object] = {"CRVAL1": 7000.0, "CRPIX1": 1.0, "CDELT1": 4.0}
LINEAR = 7000.0 + 4 * np.arange(N)


def images(*parts: tuple[str, NDArray[Any]]) -> bytes:
    return EMPTY + b"".join(layouts.part(name, values, **SCALE) for name, values in parts)


@pytest.mark.parametrize(
    "parts",
    [
        (("IVAR", SIGMA**-2), ("FLUX", FLUX)),
        (("SKY", FLUX / 9), ("FLUX", FLUX), ("ERROR", SIGMA)),
        (("FLUX_ERR", SIGMA), ("SCI", FLUX)),
        (("BPM", np.zeros(len(FLUX))), ("BLUE", FLUX), ("ERR", SIGMA)),
        (("TELLURIC_MODEL", FLUX / 9), ("BLUE", FLUX), ("VARIANCE", SIGMA**2)),
        (("SCI", FLUX / 9), ("SPECTRUM", FLUX), ("ERR", SIGMA)),
    ],
)
def test_an_image_is_the_flux_by_its_name(
    parts: tuple[tuple[str, NDArray[Any]], ...], tmp_path: Path
) -> None:
    found = one(images(*parts), tmp_path)
    assert found.flux.max() == pytest.approx(FLUX.max())
    assert found.snr == pytest.approx(np.median(FLUX / SIGMA))
    assert any("not read" in note for note in found.notes) == (parts[0][0] == "SCI")


def test_other_spectra_of_a_file_are_told(tmp_path: Path) -> None:
    found = one(images(("BLUE", FLUX), ("RED", FLUX), ("MASK", np.zeros(9))), tmp_path)
    assert "not read, with wavelengths too: HDU 2 RED" in found.notes
    assert "mask is not used: 9 pixels, not 400" in found.notes
    tables = [layouts.bintable({"wave": WAVE, "flux": FLUX}, EXTNAME=f"A{k}") for k in range(8)]
    found = one(EMPTY + b"".join(tables), tmp_path)
    assert any("HDU 2 A1, HDU 3 A2" in note and "and 2 more" in note for note in found.notes)


def test_images_of_which_none_is_a_flux_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no flux with wavelengths \(HDU 1, IVAR, HDU 2, SKY\)"):
        one(images(("IVAR", FLUX), ("SKY", FLUX)), tmp_path)


@pytest.mark.parametrize(
    ("cards", "wave"),
    [
        (SCALE, LINEAR),
        ({**SCALE, "CD1_1": 2.0}, 7000.0 + 2 * np.arange(N)),
        ({**SCALE, "PC1_1": 0.5}, 7000.0 + 2 * np.arange(N)),
        ({**SCALE, "CRPIX1": Digits("11.0D+00")}, LINEAR - 40),
        ({**SCALE, "CRPIX1": -999.0}, LINEAR + 4000),
        ({**SCALE, "CRPIX1": 0}, LINEAR + 4),
        ({**SCALE, "CRVAL1": Digits("7.0D3")}, LINEAR),
        ({"CRVAL1": 7000.0, "CDELT1": 4.0}, LINEAR),
    ],
)
@pytest.mark.parametrize("survey", ["", "HERMES-2dF"])
def test_a_scale_is_as_fits_has_it(
    survey: str, cards: dict[str, object], wave: NDArray[Any], tmp_path: Path
) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(image(FLUX, True, **cards, **({"INSTRUME": survey} if survey else {})))
    (found,) = read_spectra(path)
    np.testing.assert_allclose(found.wave, wave)
    (part,) = describe_single(path)["parts"]
    assert part["wave"] == pytest.approx([wave[0], wave[-1]])
    assert any("CRPIX1 is not stated" in note for note in found.notes) == ("CRPIX1" not in cards)
    assert any("CDELT1 = 4 is not used" in note for note in found.notes) == ("CD1_1" in cards)


@pytest.mark.parametrize(("start", "base"), [(8.9, np.e), (3.9, 10.0)])
def test_a_scale_of_logarithms_under_a_standard_s_name(
    start: float, base: float, tmp_path: Path
) -> None:
    found = one(image(FLUX, CRVAL1=start, CRPIX1=1, CDELT1=1e-3, CTYPE1="AWAV-LOG"), tmp_path)
    np.testing.assert_allclose(found.wave, base ** (start + 1e-3 * np.arange(N)))


@pytest.mark.parametrize(
    ("cards", "why"),
    [
        ({"CTYPE1": "WAVE-GRI"}, "CTYPE1 = WAVE-GRI: only linear and logarithmic"),
        ({"CTYPE1": "AWAV-F2A"}, "CTYPE1 = AWAV-F2A"),
        ({"CTYPE1": "FREQ"}, "CTYPE1 = FREQ"),
        ({"CRPIX1": "one"}, "CRPIX1 = 'one' is not a number"),
        ({"CD1_1": 0.0}, "its scale of wavelengths has no step"),
    ],
)
def test_scales_that_are_not_known_are_refused(
    cards: dict[str, object], why: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=why):
        one(image(FLUX, True, **{**SCALE, **cards}), tmp_path)


@pytest.mark.parametrize("inherits", [False, True])
def test_a_scale_is_inherited_only_where_that_is_said(inherits: bool, tmp_path: Path) -> None:
    first = layouts.primary(CRPIX1=11.0, CUNIT1="nm", CTYPE1="WAVE", OBJECT="HD 1")
    cards: dict[str, object] = {"CRVAL1": 700.0 if inherits else 7000.0, "CDELT1": 0.4}
    if inherits:
        cards |= {"INHERIT": Yes()}
    found = one(first + layouts.part("FLUX", FLUX, **cards), tmp_path)
    assert found.object == "HD 1"
    expected = air(np.array([6960.0]))[0] if inherits else 7000.0
    assert found.wave[0] == pytest.approx(expected)


def test_r_is_never_that_of_lines_far_narrower_than_a_pixel(tmp_path: Path) -> None:
    cards: dict[str, object] = {**SCALE, "INSTRUME": "HERMES-2dF"}
    found = one(image(FLUX, True, **cards), tmp_path)
    assert found.resolution is None
    why = "R = 28000 cannot be: a line would be far narrower than a pixel of 4 A"
    assert f"{why}; it is not used" in found.notes
    assert with_resolution(found, 1500).resolution is not None
    with pytest.raises(UsageError, match=why):
        with_resolution(found, 28_000)


def test_gaia_s_columns_of_another_range_are_not_rvs(tmp_path: Path) -> None:
    rows = [f"2128215909315876352,{wave},{1 + wave / 1e5},0.01" for wave in range(336, 1021, 2)]
    text = "source_id,wavelength,flux,flux_error\n" + "\n".join(rows)
    found = one(text.encode(), tmp_path)
    assert (found.survey, found.resolution, found.velocity) == ("Gaia", None, None)
    assert "not of the range of RVS: its resolution and velocity are not known" in found.notes


@pytest.mark.parametrize(
    ("name", "scale", "cards", "r"),
    [
        ("MUSE", (7000.0, 1.25), {"CUNIT1": "Angstrom"}, 2885),
        ("MUSE", (700.0, 0.125), {"CUNIT1": "nm"}, 2885),
        ("MIKE", (800.0, 0.01), {"CUNIT1": "nm", "SLITSIZE": "1.0x5"}, 22_000),
        ("MIKE", (3.9, 1e-6), {"DC-FLAG": 1, "SLITSIZE": "1.0x5"}, 22_000),
        ("MIKE", (4000.0, 0.1), {"SLITSIZE": "1.0x5"}, 28_000),
    ],
)
def test_r_of_an_instrument_is_that_at_the_wavelengths_in_angstrom(
    name: str, scale: tuple[float, float], cards: dict[str, object], r: float, tmp_path: Path
) -> None:
    cards |= {"CRVAL1": scale[0], "CDELT1": scale[1], "CRPIX1": 1, "INSTRUME": name}
    found = one(image(FLUX, True, **cards), tmp_path)
    assert found.resolution is not None
    assert np.median(found.resolution) == pytest.approx(r, rel=0.1)


def test_a_table_of_other_targets_tells_nothing_of_desi_s(tmp_path: Path) -> None:
    names = {"TARGETID": np.array([1, 2]), "OBJTYPE": np.array([b"SKY", b"SKY"])}
    targets = layouts.bintable(names, EXTNAME="FIBERMAP")
    start = layouts.desi()
    at = start.index(b"FIBERMAP")
    assert at
    for found in read(start.replace(b"FIBERMAP", b"OTHERMAP") + targets, tmp_path):
        assert (found.kind, found.object) == ("not stated", "")
        assert "what it is, is not known: FIBERMAP has not 3 rows" in found.notes
