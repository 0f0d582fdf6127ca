"""Checks with the pandas at hand that it opens what vitlab writes; makes the tests' fixtures.

python benchmarks/pandas_files.py FILE_MADE_BY_VITLAB
python benchmarks/pandas_files.py --make FOLDER

Needs pandas and tables, which the project itself does not: run it in an environment that has
them, once with pandas 2 and once with pandas 3. It imports nothing of vitlab.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import h5py
import numpy as np

N, PIXELS = 12, 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--make", type=Path, metavar="FOLDER")
    args = parser.parse_args()
    if args.make:
        make(args.make)
    if args.file:
        check(args.file)


def check(path: Path) -> None:
    """Open the table, and select from it by its index."""
    import pandas as pd

    frame = pd.read_hdf(path, key="dataset/params")
    some = pd.read_hdf(path, key="dataset/params", where="index < 3")
    assert len(some) == min(3, len(frame))
    assert frame["id"].tolist() == list(range(len(frame)))
    print(f"pandas {pd.__version__}: {path}: {len(frame)} rows, {', '.join(frame.columns)}")


def make(folder: Path) -> None:
    """The fixtures of tests/ml, named by the major version of pandas."""
    import pandas as pd

    generator = np.random.default_rng(5)
    columns = {
        "id": np.arange(N),
        "redshift": np.zeros(N),
        "fiberid": np.arange(N, dtype=np.int32),
        "ext": generator.random(N).astype(np.float32),
        "snr": np.round(generator.random(N) * 10, 3),
        "mag": np.round(generator.random(N) * 2 + 20.5, 3),
        "T_eff": np.round(3750 + generator.random(N) * 2250, 1),
        "log_g": np.round(1 + 4 * generator.random(N), 3),
        "M_H": np.round(generator.random(N) * 3.25 - 2.5, 3),
        "a_M": np.full(N, np.nan),
        "flag": generator.random(N) > 0.5,
        "interp_param": ["log_g", np.nan, "T_eff", "é"] * 3,
    }
    frame = pd.DataFrame(columns)
    flux = 1e-17 * (1 + 0.1 * generator.random((N, PIXELS)))
    error, mask = np.full((N, PIXELS), 2e-18), np.zeros((N, PIXELS), np.int64)
    mask[1, 3] = 4
    mask[2, :2], flux[2, :2], error[2, :2] = -1, np.nan, np.nan
    flux[3, 5], error[3, 5], error[4, 6] = 0, 0, -1
    major = pd.__version__.split(".")[0]
    for name, kind, some in (
        (f"pandas{major}.h5", "table", list(columns)),
        (f"pandas{major}_fixed.h5", "fixed", ["id", "mag", "T_eff", "log_g", "M_H"]),
    ):
        frame[some].to_hdf(folder / name, key="dataset/params", mode="w", format=kind)
        with h5py.File(folder / name, "a") as file:
            file["dataset/arrays/flux/value"] = flux
            file["dataset/arrays/error/value"] = error
            if kind == "table":
                file["dataset/arrays/mask/value"] = mask
            file["spectrumdataset/wave"] = np.linspace(7100, 8850, PIXELS)
    plain = {name: [None if x != x else x for x in frame[name].tolist()] for name in frame}
    (folder / "params.json").write_text(json.dumps(plain, ensure_ascii=False))


if __name__ == "__main__":
    main()
