"""The small JSON files of a job: read with care, written whole, and even on a full disk."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vitlab.contract.paths import JobPaths, write_atomic

RESUME = "resume"
"""An empty file of this name is a request: run this ended job again, in its folder."""
CLUSTER = "slurm.json"
"""What is known of a job in Slurm: {id, said, commit, dirty, grace}; absent before it is sent."""
_ROOM = 4096


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`; empty when there is none, or it is half written."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Replace `path`, whole or not at all."""
    write_atomic(path, json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n")


class Reserve:
    """Room on the disk for one record, taken before the job can fill the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reserved = path.with_name(f".{path.name}.reserved")
        self._reserved.write_bytes(b" " * (_ROOM - 1) + b"\n")

    def write(self, document: Mapping[str, Any]) -> None:
        """Write the record over the reserved blocks and put it in its place."""
        data = json.dumps(document, ensure_ascii=False, indent=1).encode()
        descriptor = os.open(self._reserved, os.O_WRONLY)
        try:
            os.ftruncate(descriptor, os.pwrite(descriptor, data + b"\n", 0))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._reserved.replace(self._path)


def set_aside(job: JobPaths) -> bool:
    """Rename `started.json` and `exit.json` of an earlier run to `started.1.json`, ...

    True when the job has run before. Called under the job's lock.
    """
    number = 1
    names = (job.started, job.exit)
    while any(_numbered(path, number).exists() for path in names):
        number += 1
    if not job.started.exists() and not job.exit.exists():
        return number > 1
    for path in names:
        if path.exists():
            path.rename(_numbered(path, number))
    return True


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}.{number}{path.suffix}")
