"""FITS and texts without a survey's layout: what is the flux, its error, its mask and its scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.ml.survey import layouts
from tests.ml.survey.layouts import FLUX, SIGMA, WAVE, N
from tests.ml.survey.test_read import one
from tests.ml.test_single_files import EMPTY
from vitlab.ml.survey.spectrum import FLAGGED

BAD = np.isin(np.arange(N), (50, 51, 52, 200))
LETTERS = np.where(BAD, b"T", b"F").astype("S1")
WORDS = np.where(BAD, b"bad", b"good")


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
