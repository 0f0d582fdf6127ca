"""What a data file holds, read before a job is queued: by `vitlab data inspect`, once a file."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vitlab.contract.paths import LabPaths
from vitlab.jobs.jsonfiles import read_json, write_json

PATIENCE = 120
"""Seconds to read a file's layout, on a slow disk."""
_KNOWN = "inspected.json"


class Datasets:
    """The data files of one launch: each is looked at once, however many runs learn from it."""

    def __init__(self, lab: LabPaths) -> None:
        self._lab = lab
        self._found: dict[Path, dict[str, Any]] = {}

    def misfits(
        self, source: str, sizes: Mapping[str, int], labels: Sequence[str]
    ) -> Iterator[str]:
        """Why a run can not learn from the file or folder `source`; nothing when it can.

        Its layout is broken, its arrays are of different lengths, it has too few spectra for
        `sizes`, or a column of `labels` is missing.
        """
        path = self._lab.root / source
        if path not in self._found:
            self._found[path] = _inspect(self._lab, path)
        found = self._found[path]
        if "error" in found:
            yield str(found["error"])
            return
        if sum(sizes.values()) > found["n"]:
            wanted = " + ".join(f"{number:,} {name}" for name, number in sizes.items())
            yield f"{source}: {found['n']:,} spectra, not {wanted}"
        columns = found["labels"]
        for name in labels:
            if name not in columns:
                yield f"{source}: no column {name} (there: {', '.join(sorted(columns))})"


def _inspect(lab: LabPaths, path: Path) -> dict[str, Any]:
    """{n, labels, ...}, or {error}; what is known of a file is kept while it stays the same."""
    status = path.stat()
    stamp = [status.st_size, status.st_mtime_ns]
    known = read_json(lab.private / _KNOWN)
    entry = known.get(str(path))
    if isinstance(entry, dict) and entry.get("stamp") == stamp:
        return dict(entry["found"])
    # In a process of its own: whoever launches does not load what reads spectra.
    argv = [sys.executable, "-P", "-m", "vitlab", "data", "inspect", str(path), "--json"]
    try:
        said = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"{path.name}: not read within {PATIENCE} s"}
    if said.returncode:
        lines = said.stderr.strip().splitlines() or ["could not be read"]
        return {"error": lines[-1].removeprefix("vitlab: ")}
    found: dict[str, Any] = json.loads(said.stdout)
    with contextlib.suppress(OSError):  # a lab that can only be read
        lab.private.mkdir(exist_ok=True)
        write_json(lab.private / _KNOWN, {**known, str(path): {"stamp": stamp, "found": found}})
    return found
