"""Files people ask for, `exports/`: written whole, each under a name of its own."""

from __future__ import annotations

import os
import re
from pathlib import Path

from vitlab.contract.paths import LabPaths, sync_folder

FOLDER = "exports"


def save_new(lab: LabPaths, name: str, ending: str, text: str) -> Path:
    """Write `exports/<name>.<ending>`, `<name>-2` where that is taken; the path written.

    A link to a finished temporary file, which fails where the name exists: no file is ever
    replaced, and none is there half written. UsageError where `exports` leads out of the lab.
    """
    folder = lab.inside(FOLDER)
    folder.mkdir(exist_ok=True)
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "view"
    temporary = folder / f".{plain}.tmp-{os.getpid()}"
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        path = _link(temporary, folder / plain, ending)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(folder)
    return path


def _link(temporary: Path, stem: Path, ending: str) -> Path:
    number = 1
    while True:
        more = f"-{number}" if number > 1 else ""
        path = stem.with_name(f"{stem.name}{more}.{ending}")
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            number += 1
        else:
            return path
