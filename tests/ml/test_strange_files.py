"""Files of data that anybody may have made: none reads another file, fills the memory or hangs."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import random
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pytest

from tests.ml.test_single_files import EMPTY, WAVE, header, image, table
from vitlab.contract.paths import UsageError
from vitlab.contract.terminal import muted_panics
from vitlab.ml import residual_file
from vitlab.ml.baselines.template import make_templates
from vitlab.ml.residual_file import load_residuals
from vitlab.ml.spectra.formats.fits import read_bytes, read_units
from vitlab.ml.spectra.formats.frames import read_frame, write_frame
from vitlab.ml.spectra.grid import load_grid
from vitlab.ml.spectra.grid_import import read_columns
from vitlab.ml.spectra.pfsspec import ERROR, FLUX, MASK, PARAMS, open_spectra_files
from vitlab.ml.spectra.pfsspec import WAVE as WAVE_PATH
from vitlab.ml.spectra.single_files import describe_single

N = 3
HUGE = 1 << 40


def spectra(path: Path) -> Path:
    """A small file that is read."""
    with h5py.File(path, "w") as file:
        file[WAVE_PATH] = WAVE
        for inside in (FLUX, ERROR, MASK):
            file[inside] = np.full((N, len(WAVE)), 0 if inside == MASK else 1.0) + (
                0 if inside == MASK else np.arange(len(WAVE)) / 100
            )
        write_frame(file, PARAMS, {"id": np.arange(N), "log_g": np.ones(N)})
    return path


def grid(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["wave"] = WAVE
        for name in ("T_eff", "log_g", "M_H"):
            file[f"axes/{name}"] = np.arange(4.0)
        file["flux"] = np.ones((4, 4, 4, len(WAVE)), np.float32)
    return path


def replaced(file: h5py.File, inside: str, secret: Path, how: str) -> None:
    """Put at `inside` something that is not simply numbers in this file."""
    shape, kind = file[inside].shape, file[inside].dtype
    del file[inside]
    match how:
        case "external":
            file[inside] = h5py.ExternalLink(str(secret), inside)
        case "soft":
            file[inside] = h5py.SoftLink("/elsewhere")
        case "virtual":
            layout = h5py.VirtualLayout(shape, kind)
            layout[...] = h5py.VirtualSource(str(secret), inside, shape)
            file.create_virtual_dataset(inside, layout)
        case "raw":
            file.create_dataset(
                inside, shape, kind, external=[(str(secret), 0, h5py.h5f.UNLIMITED)]
            )
        case "references":
            file.create_dataset(inside, shape, h5py.ref_dtype)
        case "lengths":
            file.create_dataset(inside, shape, h5py.vlen_dtype(np.float64))
        case "filter":
            made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            made.set_chunk(shape)
            made.set_filter(32008 if kind == "f8" else 40000, h5py.h5z.FLAG_OPTIONAL, (0,))
            space = h5py.h5s.create_simple(shape)
            links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
            links.set_create_intermediate_group(True)
            code = h5py.h5t.py_create(kind)
            h5py.h5d.create(file.id, inside.encode(), code, space, made, links)


WORDS = {
    "external": r"a link \(external\) is not followed",
    "soft": r"a link \(soft\) is not followed",
    "virtual": "a virtual data set",
    "raw": "stored in another file",
    "references": "numbers",
    "lengths": "numbers",
    "filter": "compressed with .* which h5py cannot undo",
}


@pytest.mark.parametrize("how", WORDS)
def test_numbers_that_are_elsewhere_are_refused_by_name(tmp_path: Path, how: str) -> None:
    """Also where the other file would fit, and for every array of a file and of a grid."""
    for make, opened, places in (
        (spectra, open_spectra_files, (FLUX, ERROR, MASK, WAVE_PATH)),
        (grid, load_grid, ("wave", "axes/log_g", "flux")),
    ):
        secret = make(tmp_path / "secret.h5")
        opened(secret)
        for inside in places:
            path = make(tmp_path / "lab.h5")
            with h5py.File(path, "a") as file:
                replaced(file, inside, secret, how)
            with pytest.raises(UsageError, match=WORDS[how]) as caught:
                opened(path)
            assert f"lab.h5: {inside}" in str(caught.value) or how in ("references", "lengths")
            assert inside in str(caught.value)
    path = spectra(tmp_path / "lab.h5")
    if how in ("external", "soft"):
        with h5py.File(path, "a") as file:
            replaced_group(file, how, tmp_path / "secret.h5")
        with pytest.raises(UsageError, match=f"lab.h5: {PARAMS}: {WORDS[how]}"):
            open_spectra_files(path)


def replaced_group(file: h5py.File, how: str, secret: Path) -> None:
    del file[PARAMS]
    link = h5py.ExternalLink(str(secret), PARAMS) if how == "external" else h5py.SoftLink("/x")
    file[PARAMS] = link


def test_a_link_to_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    path = spectra(tmp_path / "lab.h5")
    with h5py.File(path, "a") as file:
        del file[MASK]
        file[MASK] = h5py.ExternalLink(str(tmp_path / "pipe"), MASK)
    with pytest.raises(UsageError, match="a link"):
        open_spectra_files(path)
    for kind in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(UsageError, match=r"is a (pipe|device|folder)"):
            load_grid(kind)


@pytest.mark.parametrize(
    ("inside", "change"),
    [
        (WAVE_PATH, {"shape": (HUGE,), "chunks": (1024,)}),
        (FLUX, {"shape": (HUGE, len(WAVE)), "chunks": (1, len(WAVE))}),
        (FLUX, {"shape": (N, HUGE), "chunks": (1, 1024)}),
        (f"{PARAMS}/table", {"shape": (HUGE,), "chunks": (1024,)}),
    ],
)
def test_a_shape_that_is_only_declared_takes_no_memory(
    tmp_path: Path, inside: str, change: dict[str, tuple[int, ...]]
) -> None:
    path = spectra(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        kind, attributes = file[inside].dtype, dict(file[inside].attrs)
        del file[inside]
        data = file.create_dataset(inside, dtype=kind, **change)
        data.attrs.update(attributes)
    with pytest.raises(UsageError, match=r"a\.h5: "):
        open_spectra_files(path)


def test_what_hdf5_unpacks_for_one_row_is_bounded(tmp_path: Path) -> None:
    path = spectra(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        del file[FLUX]
        side = 1 << 13
        file.create_dataset(FLUX, (side, side), "f8", chunks=(side, side), compression="gzip")
    with pytest.raises(UsageError, match=r"flux/value: filtered in chunks of 537 MB, more than"):
        open_spectra_files(path)
    path = spectra(tmp_path / "b.h5")
    with h5py.File(path, "a") as file:
        del file[f"{PARAMS}/table"]
        wide = np.dtype([("index", "i8"), ("values_block_0", "f8", (1 << 18,))])
        file.create_dataset(f"{PARAMS}/table", (N,), wide, chunks=(1,), compression="gzip")
    with pytest.raises(UsageError, match=r"params/table: records of 2\.1 MB, more than 1 MiB"):
        open_spectra_files(path)


def bits(name: str) -> h5py.h5t.TypeID:
    """A type of numbers in some bits of their bytes, or with an exponent of their own."""
    kind: h5py.h5t.TypeID = getattr(h5py.h5t, name).copy()
    if isinstance(kind, h5py.h5t.TypeFloatID):
        kind.set_ebias(100)
    else:
        kind.set_precision(12)
        kind.set_offset(4)
    return kind


@pytest.mark.parametrize("name", ["STD_I32LE", "STD_U16LE", "IEEE_F32LE"])
def test_numbers_in_some_bits_are_read_as_hdf5_does(name: str, tmp_path: Path) -> None:
    path = spectra(tmp_path / "a.h5")
    flux = np.tile(100.0 + np.arange(len(WAVE)), (N, 1))
    with h5py.File(path, "a") as file:
        del file[FLUX]
        shape = h5py.h5s.create_simple(flux.shape)
        data = h5py.h5d.create(file.id, FLUX.encode(), bits(name), shape)
        data.write(h5py.h5s.ALL, h5py.h5s.ALL, flux, h5py.h5t.NATIVE_DOUBLE)
    files = open_spectra_files(path)
    assert files.read(0, N)[0][0] == pytest.approx(flux[0] / np.median(flux[0]))


def test_grids_and_compressed_zeros_are_bounded(tmp_path: Path) -> None:
    path = grid(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        del file["flux"]
        file.create_dataset("flux", (4, 4, HUGE, 40), "f4", chunks=(1, 1, 1, 40))
    with pytest.raises(UsageError, match=r"a\.h5: flux: shape .* MB; 0 MB are stored"):
        load_grid(path)
    for axis in (
        np.arange(100_000.0),
        np.zeros(4),
        np.full(4, np.nan),
        np.ones((4, 4)),
        np.ones(0),
    ):
        path = grid(tmp_path / "a.h5")
        with h5py.File(path, "a") as file:
            del file["axes/M_H"]
            file["axes/M_H"] = axis
        with pytest.raises(UsageError, match="axes/M_H: not 4 to 1000 ascending values"):
            load_grid(path)
    path = grid(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        del file["axes/M_H"]
        file["axes/M_H"] = np.linspace(-3, 1, 200)
    with pytest.raises(UsageError, match=r"axes: \d+ nodes, more than 3000"):
        load_grid(path)


def test_templates_are_bounded() -> None:
    with pytest.raises(UsageError, match=r"config\.refine: 8 makes 118041 templates, 1\.9 GB"):
        make_templates(load_grid(), 8)


def frames(file: h5py.File, group: h5py.Group, how: str) -> None:
    match how:
        case "names of a bomb":  # each of 64 lists holds the one before twice
            code = b"(lp0\nVa\na" + b"".join(
                b"(lp%d\ng%d\nag%d\na" % (k, k - 1, k - 1) for k in range(1, 64)
            )
            group["table"].attrs["values_block_0_kind"] = np.bytes_(code + b".")
        case "a memo of gigabytes":
            group["table"].attrs["values_block_0_kind"] = np.bytes_(b"]r\xff\xff\xff\x7f.")
        case "names that are numbers":
            group["table"].attrs["values_block_0_kind"] = np.int64(1 << 62)
        case "blocks":
            del group["table"]
            group.attrs["nblocks"] = 1 << 60
        case "no number of blocks":
            del group["table"]
            group.attrs["nblocks"] = "many"
        case "one long name many times":
            del group["table"]
            group.attrs["nblocks"] = 1
            items = group.create_dataset("block0_items", (100_000,), h5py.string_dtype())
            items[0] = "x" * (1 << 20)
            items[1] = "y" * 10
            group["block0_values"] = np.ones((N, 100_000), "u1")
        case "one data set as many blocks":
            del group["table"]
            group.attrs["nblocks"] = 40
            packed = {"chunks": (N, 1 << 14), "compression": "gzip"}
            group.create_dataset("block0_values", (N, 1 << 17), "f8", **packed)
            group.create_dataset(
                "block0_items", data=np.arange(1 << 17), compression="gzip", shuffle=True
            )
            for k in range(1, 40):
                for name in ("items", "values"):
                    group[f"block{k}_{name}"] = group[f"block0_{name}"]
        case "more rows than spectra":
            del group["table"]
            group.attrs["nblocks"] = 1
            group["block0_items"] = np.array([b"a"])
            group["block0_values"] = np.zeros((10 * N, 1))
        case "records in records":
            inner = np.dtype([("a", "f8")])
            del group["table"]
            group.create_dataset("table", (N,), np.dtype([("index", "i8"), ("b", inner)]))


@pytest.mark.parametrize(
    "how",
    ["names of a bomb", "a memo of gigabytes", "names that are numbers", "blocks",
     "no number of blocks", "one long name many times", "one data set as many blocks",
     "more rows than spectra", "records in records"],
)  # fmt: skip
def test_a_frame_that_is_a_trap_is_one_line(tmp_path: Path, how: str) -> None:
    path = spectra(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        frames(file, file[PARAMS], how)
    with h5py.File(path) as file, pytest.raises(UsageError, match=r"a\.h5: dataset/params"):
        read_frame(file, PARAMS, path, N)


def test_a_small_file_s_frame_of_wide_rows_is_not_read(tmp_path: Path) -> None:
    """A million columns without names: 2 GB of a file of 4 MB."""
    path, n, wide = tmp_path / "a.h5", 100, 1 << 17
    with h5py.File(path, "w") as file:
        group = file.create_group(PARAMS)
        group.attrs["nblocks"] = 1
        group.create_dataset("block0_items", (wide,), "S1")
        packed = {"chunks": (n, 1 << 14), "compression": "gzip", "compression_opts": 1}
        group.create_dataset("block0_values", data=np.ones((n, wide)), **packed)
    with h5py.File(path) as file, pytest.raises(UsageError, match="more than 100 times its file"):
        read_frame(file, PARAMS, path, n)


def test_hdf5_loads_no_program_that_a_file_names(tmp_path: Path) -> None:
    """Of HDF5_PLUGIN_PATH; and a filter it does not know is not even looked for."""
    code = "import vitlab.ml.spectra.hdf5, h5py; print(h5py.h5pl.size())"
    environment = {**os.environ, "HDF5_PLUGIN_PATH": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True,
                         text=True, check=True)  # fmt: skip
    assert ran.stdout == "0\n"


def fits(cards: dict[str, object]) -> bytes:
    about: dict[str, object] = {"XTENSION": "BINTABLE", "BITPIX": 8, "NAXIS": 2, "NAXIS1": 16}
    about |= {"NAXIS2": 1, "PCOUNT": 0, "TFIELDS": 1, "TFORM1": "1QD"}
    return EMPTY + header({**about, **cards}) + b"\0" * 2880


def heap(rows: int, length: int) -> bytes:
    """Many rows that all have the same long part of the heap."""
    cells = np.zeros((rows, 2), ">i4")
    cells[:, 0] = length
    about = {"NAXIS1": 8, "NAXIS2": rows, "PCOUNT": 8 * length, "TFORM1": "1PD"}
    body = cells.tobytes() + bytes(8 * length)
    return fits(about)[:-2880] + body.ljust(-(-len(body) // 2880) * 2880, b"\0")


STRANGE_FITS: dict[str, Callable[[], bytes]] = {
    "an axis below 0": lambda: fits({"NAXIS1": -2880, "NAXIS2": 1}),
    "a heap below 0": lambda: fits({"PCOUNT": -5760}),
    "axes without end": lambda: fits({"NAXIS": 10**9}),
    "fields without end": lambda: fits({"TFIELDS": 10**9}),
    "a wide cell": lambda: fits({"TFORM1": "99999999999999D"}),
    "a number of 5000 digits": lambda: fits({"TFORM1": "9" * 60 + "D"}),
    "more than the file": lambda: fits({"NAXIS2": 10**15}),
    "an overflow": lambda: fits({"NAXIS1": 2**33, "NAXIS2": 2**33}),
    "no such type": lambda: image(np.ones((2, 2), "i2")).replace(b" 16", b" 24"),
    "no scale": lambda: image(np.ones((2, 2), "i2"), BSCALE="x"),
    "one heap many times": lambda: heap(20_000, 10_000),
    "a header without end": lambda: EMPTY + b"A".ljust(80) * 200_000,
    "headers without end": lambda: (
        EMPTY + header({"XTENSION": "X", "BITPIX": 8, "NAXIS": 0}) * 1200
    ),
}


@pytest.mark.parametrize("name", STRANGE_FITS)
def test_fits_that_contradicts_itself_is_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(STRANGE_FITS[name]())
    with pytest.raises(UsageError, match=r"a\.fits: "):
        [(unit.image, unit.columns) for unit in read_units(read_bytes(path), path)]


def test_any_byte_of_fits_and_text_may_be_another(tmp_path: Path) -> None:
    text = b"".join(b"%f,1\n" % wave for wave in WAVE)
    scaled = image(np.ones((3, len(WAVE))), CRVAL1=7000.0, CDELT1=1.0)
    draw, path = random.Random(1), tmp_path / "a.fits"
    for whole in (table({"wave": WAVE, "flux": WAVE}), scaled, b"wave,flux\n" + text, text):
        used = [place for place, byte in enumerate(whole) if byte not in b" \0"]
        for _ in range(80):
            data = bytearray(whole)
            for _ in range(draw.choice((1, 1, 3))):
                data[draw.choice(used)] = draw.choice((*b"-9 0'E=\n\"#\0A", draw.randrange(256)))
            path.write_bytes(data)
            for read in (describe_single, read_columns):
                with contextlib.suppress(UsageError):
                    read(path)


def test_texts_and_packed_files_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"wavelength flux " * 50_000)
    for read in (describe_single, read_columns):
        with pytest.raises(UsageError, match=r"a\.csv:1: a line of 800,000 letters"):
            read(path)
    path.write_bytes(b'wavelength,flux\n"' + b"1,2\n" * 100_000)
    with pytest.raises(UsageError, match=r"a\.csv: "):
        describe_single(path)
    path.write_bytes(b"1\n" * 2_100_000)
    with pytest.raises(UsageError, match=r"a\.csv: more than 2,000,000 lines"):
        describe_single(path)
    monkeypatch.setattr("vitlab.ml.spectra.formats.fits.MOST_TEXT", 1 << 20)
    path.write_bytes(gzip.compress(b"0" * (64 << 20), 1))
    with pytest.raises(UsageError, match=r"a\.csv: larger than the 1 MiB that a text may have"):
        describe_single(path)
    path.write_bytes(gzip.compress(table({"wave": WAVE}))[:-20])
    with pytest.raises(UsageError, match=r"a\.csv: cannot be read"):
        describe_single(path)


def test_a_file_is_refused_by_its_size_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(b"SIMPLE  =                    T".ljust(2880))
    os.truncate(path, 1 << 40)
    tracemalloc.start()
    try:
        with pytest.raises(UsageError, match=r"a\.fits: larger than the 1024 MiB"):
            read_bytes(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_list_of_shards_is_a_short_file_of_names(tmp_path: Path) -> None:
    spectra(tmp_path / "a.h5")
    index = tmp_path / "shard_index.txt"
    index.write_text("a.h5\na.h5\n")
    with pytest.raises(UsageError, match=r"lists a\.h5 twice"):
        open_spectra_files(tmp_path)
    index.write_text("a\0b.h5\n")
    with pytest.raises(UsageError, match="not a readable list of shards"):
        open_spectra_files(tmp_path)
    index.unlink()
    os.mkfifo(index)
    with pytest.raises(UsageError, match="not a readable list of shards"):
        open_spectra_files(tmp_path)


def residuals(path: Path, n: int, about: object = None, **columns: object) -> Path:
    if about is None:
        about = {"v": 1, "hash": "h", "labels": ["log_g"], "source": ""}
    zeros = pl.repeat(0.0, n, eager=True)
    found = {"star": pl.repeat(0, n, eager=True), "mag": zeros, "snr": zeros,
             "true/log_g": zeros, "predicted/log_g": zeros, **columns}  # fmt: skip
    frame = pl.DataFrame({k: v for k, v in found.items() if v is not None})
    frame.write_parquet(path, metadata={"vitlab": json.dumps(about)})
    return path


def test_residuals_are_bounded_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = residuals(tmp_path / "a.parquet", 6_000_000)
    assert path.stat().st_size < 100_000
    with pytest.raises(UsageError, match="6,000,000 stars, more than 5,000,000"):
        load_residuals(path)
    for made in (
        {"about": ["v"]},
        {"about": {"v": 1, "hash": "h", "labels": []}},
        {"about": {"v": 1, "hash": "h", "labels": 5}},
        {"about": {"v": 1, "hash": "h", "labels": [["log_g"]]}},
        {"snr": ["a", "b"]},
        {"mag": [[1.0], [2.0]]},
        {"star": [None, 1]},
        {"true/log_g": None},
        {"predicted/log_g": [1e300, 0.0]},
    ):
        with pytest.raises(UsageError, match=r"a\.parquet: not (readable )?residuals"):
            load_residuals(residuals(tmp_path / "a.parquet", 2, **made))
    monkeypatch.setattr(residual_file, "MOST_NUMBERS", 10)
    load_residuals(residuals(tmp_path / "a.parquet", 2))
    with pytest.raises(UsageError, match="15 numbers, more than 10"):
        load_residuals(residuals(tmp_path / "a.parquet", 3))


@pytest.mark.parametrize("name", ["lab[1]", "lab*", "lab?"])
def test_a_path_to_residuals_is_no_pattern(name: str, tmp_path: Path) -> None:
    """Browsers and mail name copies so: those of another lab have another lab's numbers."""
    for folder, mag in (("lab1", 1.0), ("labx", 1.0), (name, 2.0)):
        (tmp_path / folder).mkdir()
        residuals(tmp_path / folder / "a.parquet", 3, mag=pl.repeat(mag, 3, eager=True))
    assert load_residuals(tmp_path / name / "a.parquet").mag.tolist() == [2.0, 2.0, 2.0]


def test_any_byte_of_residuals_may_be_another(tmp_path: Path) -> None:
    """Read, or refused in one line."""
    path = residuals(tmp_path / "a.parquet", 50)
    code = """
import random, sys
from pathlib import Path
from vitlab.contract.paths import UsageError
from vitlab.ml.residual_file import load_residuals
path = Path(sys.argv[1])
whole, draw = path.read_bytes(), random.Random(1)
for _ in range(200):
    data = bytearray(whole)
    for _ in range(draw.choice((1, 1, 3))):
        data[draw.randrange(len(data))] = draw.randrange(256)
    path.write_bytes(data)
    try:
        load_residuals(path)
    except UsageError as error:
        assert "\\n" not in str(error)
"""
    argv = [sys.executable, "-c", code, str(path)]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr[-2000:]) == (0, "")


def test_a_library_s_own_words_go_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    """As the stacks that polars prints of a panic: one bit of residuals can cause one."""
    for _ in range(2):
        with muted_panics(), contextlib.suppress(ValueError):
            os.write(2, b"thread panicked\n")
            raise ValueError
    os.write(2, b"told\n")
    assert capfd.readouterr().err == "told\n"


@pytest.mark.parametrize(("make", "read"), [(spectra, lambda p: open_spectra_files(p).read(0, N)),
                                            (grid, load_grid)])  # fmt: skip
def test_any_byte_of_an_hdf5_file_may_be_another(
    tmp_path: Path, make: Callable[[Path], Path], read: Callable[[Path], object]
) -> None:
    """Read, or refused in one line."""
    path = make(tmp_path / "a.h5")
    whole, draw = path.read_bytes(), random.Random(1)
    used = [place for place, byte in enumerate(whole) if byte]
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(draw.choice((1, 1, 3))):
            data[draw.choice(used)] = draw.choice((0, 1, 0x7F, 255, draw.randrange(256)))
        path.write_bytes(data)
        with contextlib.suppress(UsageError):
            read(path)
