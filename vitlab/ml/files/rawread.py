"""Reads rows of an HDF5 data set straight from the file, outside Python's lock.

h5py reads under its own lock and Python's, so threads wait for each other. Arrays of ga_pfsspec
are neither compressed nor filtered: their rows lie in the file as they are in memory.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class RawRows:
    """Where the rows of a data set lie in its file."""

    dtype: np.dtype[Any]
    width: int
    """Items of a row."""
    rows: int
    """Rows that lie together."""
    offsets: tuple[int, ...]
    """Bytes from the file's start to each run of `rows` rows."""

    def read(self, descriptor: int, start: int, out: NDArray[Any]) -> None:
        """Fill `out` (n, width) from row `start` on. Raises `OSError`, also for a short file."""
        done = 0
        while done < len(out):
            run, inside = divmod(start + done, self.rows)
            part = out[done : done + self.rows - inside]
            offset = self.offsets[run] + inside * self.width * self.dtype.itemsize
            if os.preadv(descriptor, [part.data], offset) != part.nbytes:
                raise OSError("the file is shorter than it says")
            done += len(part)


def locate(data: h5py.Dataset) -> RawRows | None:
    """The place of the rows of a (n, W) data set; None where only HDF5 can read them."""
    plain = data.compression is None and not data.shuffle and not data.fletcher32
    native = data.dtype.kind in "fiu" and data.dtype.isnative
    if not plain or not native or data.scaleoffset is not None or data.external:
        return None
    if data.chunks is None:
        offset = data.id.get_offset()
        runs = () if offset is None else (offset,)
        rows = data.shape[0]
    elif data.chunks[1] == data.shape[1]:
        rows = data.chunks[0]
        places = [data.id.get_chunk_info_by_coord((r, 0)) for r in range(0, data.shape[0], rows)]
        runs = tuple(place.byte_offset for place in places)
    else:
        return None
    if not runs or None in runs:
        return None  # not written yet: HDF5 knows what to say instead
    return RawRows(data.dtype, data.shape[1], rows, runs)
