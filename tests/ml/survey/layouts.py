"""Small files in the layouts of surveys, with a spectrum that the tests know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.ml.test_single_files import EMPTY, Yes, header, image, padded

N = 400
LOGLAM = np.linspace(np.log10(7000.0), np.log10(8900.0), N)
WAVE = 10**LOGLAM
"""Angstrom, as in the files."""
FLUX = 100 * (1 - 0.6 * np.exp(-(((WAVE - 8544.4) / 4) ** 2))) * (1 + 1e-3 * np.sin(WAVE))
SIGMA = np.full(N, 2.0)
CODES = {"f8": "D", "f4": "E", "i2": "I", "i4": "J", "i8": "K", "u1": "B"}


def bintable(columns: Mapping[str, NDArray[Any]], **cards: object) -> bytes:
    """A binary table; columns of text, and of arrays in each cell, too."""
    kind = np.dtype([(n, v.dtype.newbyteorder(">"), v.shape[1:]) for n, v in columns.items()])
    rows = np.zeros(len(next(iter(columns.values()))), kind)
    about: dict[str, object] = {"XTENSION": "BINTABLE", "BITPIX": 8, "NAXIS": 2}
    about |= {"NAXIS1": kind.itemsize, "NAXIS2": len(rows), "PCOUNT": 0, "GCOUNT": 1}
    about["TFIELDS"] = len(columns)
    for k, (name, values) in enumerate(columns.items(), start=1):
        rows[name] = values
        items = int(np.prod(values.shape[1:], dtype=int))
        is_text = values.dtype.kind == "S"
        form = f"{values.dtype.itemsize}A" if is_text else f"{items}{CODES[values.dtype.str[1:]]}"
        about |= {f"TTYPE{k}": name, f"TFORM{k}": form}
    return header({**about, **cards}) + padded(rows.tobytes())


def part(name: str, values: NDArray[Any], **cards: object) -> bytes:
    return image(values, first=False, EXTNAME=name, **cards)


def primary(**cards: object) -> bytes:
    return header({"SIMPLE": Yes(), "BITPIX": 8, "NAXIS": 0, **cards})


def sdss(cls: str = "STAR", subclass: str = "F9", warning: int = 0) -> bytes:
    flags = np.zeros(N, "i4")
    flags[:5] = 1 << 23
    ivar = (1 / SIGMA**2).astype("f4")
    ivar[10:13] = 0
    coadd = {"flux": FLUX.astype("f4"), "loglam": LOGLAM.astype("f4"), "ivar": ivar}
    coadd |= {"and_mask": flags, "wdisp": np.full(N, 0.9e-4 / (LOGLAM[1] - LOGLAM[0]), "f4")}
    about: dict[str, NDArray[Any]] = {"CLASS": np.array([cls.encode()])}
    about |= {"SUBCLASS": np.array([subclass.encode()]), "Z": np.array([-1e-4], "f4")}
    about |= {"Z_ERR": np.array([1e-5], "f4"), "PLATE": np.array([3128], "i4")}
    about |= {"MJD": np.array([54776], "i4"), "FIBERID": np.array([8], "i4")}
    about |= {"ELODIE_TEFF": np.array([5704.0], "f4"), "ELODIE_LOGG": np.array([4.05], "f4")}
    about |= {"ELODIE_FEH": np.array([-0.64], "f4"), "ZWARNING": np.array([warning], "i4")}
    return primary(VACUUM=Yes()) + bintable(coadd, EXTNAME="COADD") + bintable(about)


LAMOST_CARDS: dict[str, object] = {
    "TELESCOP": "LAMOST",
    "DESIG": "LAMOST J063720.45+271944.7",
    "CLASS": "STAR",
    "SUBCLASS": "G5",
    "Z": 1e-4,
    "Z_ERR": 3e-5,
    "VACUUM": Yes(),
}


def lamost(**cards: object) -> bytes:
    ivar = 1 / SIGMA**2
    ivar[:3] = 0
    rows = np.array([FLUX, ivar, FLUX / 100, np.zeros(N), np.zeros(N)], "f4")
    scale = {"COEFF0": LOGLAM[0], "COEFF1": LOGLAM[1] - LOGLAM[0]}
    return image(rows, True, **{**LAMOST_CARDS, **scale, **cards})


def lamost_dr9() -> bytes:
    row = {"FLUX": FLUX, "IVAR": 1 / SIGMA**2, "WAVELENGTH": WAVE, "ANDMASK": np.zeros(N)}
    return primary(**LAMOST_CARDS) + bintable(
        {name: values.astype("f4")[None] for name, values in row.items()}, EXTNAME="COADD"
    )


def lamost_mrs() -> bytes:
    arms = b""
    for name, low, high in (("COADD_B", 4950.0, 5350.0), ("COADD_R", 6300.0, 6800.0)):
        columns = {"FLUX": FLUX, "IVAR": 1 / SIGMA**2, "ANDMASK": np.zeros(N)}
        columns["LOGLAM"] = np.linspace(np.log10(low), np.log10(high), N)
        arms += bintable({k: v.astype("f8") for k, v in columns.items()}, EXTNAME=name)
    return primary(**LAMOST_CARDS) + arms


TARGETS = np.array([39633345008634465, 5, 6])


def desi() -> bytes:
    fibers = {"TARGETID": TARGETS, "OBJTYPE": np.array([b"TGT", b"TGT", b"SKY"])}
    fibers |= {"MORPHTYPE": np.array([b"REX", b"PSF", b""]), "MWS_TARGET": np.array([0, 4, 0])}
    data = primary() + bintable(fibers, EXTNAME="FIBERMAP")
    matrix = np.exp(-0.5 * (np.arange(-5, 6) / 1.2) ** 2)
    for arm, low, high in (("B", 6000.0, 7200.0), ("R", 7100.0, 8100.0), ("Z", 8000.0, 9000.0)):
        data += part(f"{arm}_WAVELENGTH", np.linspace(low, high, N), BUNIT="Angstrom")
        data += part(f"{arm}_FLUX", np.tile(FLUX, (3, 1)))
        data += part(f"{arm}_IVAR", np.tile(1 / SIGMA**2, (3, 1)))
        data += part(
            f"{arm}_RESOLUTION", np.tile((matrix / matrix.sum())[None, :, None], (3, 1, N))
        )
    return data


def pfs_object(flux: NDArray[np.float64] = FLUX, **cards: object) -> bytes:
    data = EMPTY + part("FLUX", flux) + part("MASK", np.zeros(N, "i4"))
    data += part("WAVELENGTH", WAVE / 10) + part("COVAR", np.tile(SIGMA**2, (3, 1)))
    target = {"filterName": np.array([b"i"]), "fiberFlux": np.array([1.0], "f4")}
    return data + bintable(target, EXTNAME="TARGET", CATID=12345, OBJID=99, **cards)


def pfs_star() -> bytes:
    table = {"wavelength": WAVE / 10, "flux": FLUX, "error": SIGMA, "mask": np.zeros(N, "i4")}
    names = [b"v_los", b"Fe_H", b"T_eff", b"log_g", b"a_Fe"]
    stars = {"param": np.array(names), "value": np.array([12.0, -0.5, 5000.0, 2.5, 0.0])}
    stars["valueErr"] = np.array([1.0, 0.1, 50.0, 0.2, 0.0])
    data = pfs_object(TARGTYPE="SCIENCE") + bintable(table, EXTNAME="FLUX_TABLE")
    return data + bintable(stars, EXTNAME="STPARAM")


def pfs_arm() -> bytes:
    wave = np.tile(np.linspace(710.0, 885.0, N), (2, 1))
    data = EMPTY + part("FLUX", np.tile(FLUX, (2, 1))) + part("COVAR", np.full((2, 3, N), 4.0))
    mask = np.zeros((2, N), "i4")
    mask[1, :7], mask[1, 20:24] = 1 << 2, 1 << 5
    planes = {"MP_BAD": 0, "MP_CR": 2, "MP_REFLINE": 5}
    return data + part("MASK", mask, **planes) + part("WAVELENGTH", wave)


def galah(layout: int = 8) -> bytes:
    cards: dict[str, object] = {"INSTRUME": "HERMES-2dF", "CRVAL1": 7585.0, "CDELT1": 0.75}
    cards |= {"CRPIX1": 1.0, "CUNIT1": "angstroms"}
    if layout == 5:
        return image(FLUX, True, **cards, OBJECT="mu Leo") + part("input_sigma", np.full(N, 0.02))
    cards |= {"OBJ_NAME": "gaiadr2_1", "RVCOM": -18.7, "E_RVCOM": 0.1, "TEFF_R": 4688.0}
    cards |= {"LOGG_R": 2.19, "FE_H_R": -0.27, "PAR_OK": 1}
    through = np.where(np.arange(N) < 30, 0.5, 1.0)
    data = image(FLUX, True, **cards) + part("relative_error", np.full(N, 0.02))
    return data + part("teluric", through) + part("resolution_profile", np.full(N, 0.35))


def mastar() -> bytes:
    scale = {"CRPIX1": 1, "CRVAL1": LOGLAM[0], "CDELT1": LOGLAM[1] - LOGLAM[0]}
    return image(FLUX, True, **scale) + part("SPECRES", np.full(N, 1900.0))


def muse() -> bytes:
    scale: dict[str, object] = {"CRVAL1": 7000.0, "CDELT1": 1.25, "CRPIX1": 1.0}
    scale |= {"CTYPE1": "AWAV", "CUNIT1": "Angstrom", "INSTRUME": "MUSE", "OBJECT": "NGC6397"}
    return image(FLUX, True, **scale) + part("SIGMA", SIGMA)


def multispec(function: str = "") -> bytes:
    """Two orders with a common continuum but different scales, each 300 A wide."""
    starts = (7500.0, 7250.0)  # as echelles have it: red first
    step = 300.0 / (N - 1)
    waves = [start + step * np.arange(N) for start in starts]
    orders = np.array([1 + 1e-4 * (w - 7000) + 1e-3 * np.sin(w) for w in waves])
    bands = np.array([orders * [[1.0], [3.0]], orders, orders * 100])
    kind = 2 if function else 0
    words = "wtype=multispec" + "".join(
        f' spec{k + 1} = "{37 + k} 1 {kind} {start} {step} {N} 0. 10. 20.{function}"'
        for k, start in enumerate(starts)
    )
    cards: dict[str, object] = {"CTYPE1": "MULTISPE", "INSTRUME": "MIKE-Red"}
    cards |= {"SLITSIZE": "0.50x5.00", "OBJECT": "Melpomene"}
    names = ("object spectrum divided by normed flat", "noise spectrum", "object spectrum")
    cards |= {f"BANDID{k}": name for k, name in enumerate(names, start=1)}
    for k in range(-(-len(words) // 68)):
        cards[f"WAT2_{k + 1:03}"] = words[68 * k : 68 * (k + 1)]
    return image(bands, True, **cards)


def plain_table(**cards: object) -> bytes:
    return EMPTY + bintable({"WAVE": WAVE, "FLUX": FLUX, "ERR": SIGMA}, **cards)


def gaia() -> bytes:
    rows = ["source_id,ra,dec,wavelength,flux,flux_error"]
    for source in (2128215909315876352, 4268620287278693120):
        for k in range(60):
            flux = "null" if k == 5 else 1 - 0.001 * (k % 7)
            rows.append(f"{source},1.0,2.0,{846 + 0.01 * k:.2f},{flux},0.01")
    return "\n".join(rows).encode()


def ascii_columns() -> bytes:
    rows = (f"{w:.3f} {f:.4f} {s}" for w, f, s in zip(WAVE, FLUX, SIGMA, strict=True))
    return b"# of a telescope\n" + "\n".join(rows).encode()


LAYOUTS: dict[str, bytes] = {
    "SDSS spec": sdss(),
    "LAMOST LRS": lamost(),
    "LAMOST LRS (DR9)": lamost_dr9(),
    "LAMOST MRS": lamost_mrs(),
    "DESI": desi(),
    "PFS pfsObject": pfs_object(),
    "PFS pfsGAObject": pfs_star(),
    "PFS pfsArm": pfs_arm(),
    "GALAH": galah(),
    "GALAH (old)": galah(5),
    "MaStar": mastar(),
    "MUSE": muse(),
    "MIKE": multispec(),
    "FITS table": plain_table(VACUUM=Yes()),
    "Gaia RVS": gaia(),
    "text": ascii_columns(),
}
"""What a file is recognised as -> one of that layout."""
