"""Opening HDF5 files: one clear line for what is missing or broken; loads no learner."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from vitlab.contract.paths import UsageError


def open_hdf5(path: Path) -> h5py.File:
    """`path` opened for reading; `UsageError` when it is missing or no HDF5 file."""
    try:
        return h5py.File(path, "r")
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except OSError as error:
        raise UsageError(f"{path}: not a readable HDF5 file ({error})") from None


def read_array(file: h5py.File, inside: str) -> NDArray[np.generic]:
    """The whole data set at the path `inside`; `UsageError` when there is none."""
    found = file.get(inside)
    if not isinstance(found, h5py.Dataset):
        raise UsageError(f"{file.filename}: no data set {inside}")
    values: NDArray[np.generic] = found[()]
    return values
