"""The folder of a paper's artefacts: only what changed is written, and only over what is ours."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitlab.contract.paths import NUMBERS, PROVENANCE, UsageError, new_file, write_atomic
from vitlab.contract.reading import Unreadable, parse, read_regular

_OURS = re.compile(rf"(?:table|fig)_[\w.-]+\.(?:tex|pdf)|{re.escape(NUMBERS)}")
"""Names of files that may be removed again."""
_PROGRAM = "vitlab paper"


@dataclass(frozen=True)
class Written:
    """What became of the files, by name."""

    made: tuple[str, ...]
    changed: tuple[str, ...]
    same: tuple[str, ...]
    removed: tuple[str, ...]
    """Made by an earlier run, and backed by no result now."""


def write_folder(
    folder: Path, files: Mapping[str, bytes], provenance: Mapping[str, object], *, force: bool
) -> Written:
    """Bring a folder to hold these files and their provenance; those that are equal stay untouched.

    `UsageError`, and nothing written, where a file was not written by vitlab as it is now, unless
    `force`.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is not a folder")
    old, before = _read(folder / PROVENANCE), _hashes(folder / PROVENANCE)
    whole = {**files, PROVENANCE: _sealed({**provenance, "files": _sums(files)})}
    present = {name: _read(folder / name) for name in {*files, *before}}
    present[PROVENANCE] = old
    strange = [
        name
        for name, data in whole.items()
        if present[name] not in (None, data)
        and (before.get(name) != _sum(present[name]) if name != PROVENANCE else not before)
    ]
    if strange and not force:
        names = ", ".join(sorted(strange))
        raise UsageError(f"{folder}: not as `vitlab paper` left them: {names} (--force replaces "
                         "them); nothing was written")  # fmt: skip
    gone = [
        name
        for name, data in present.items()
        if name not in whole and data is not None and before[name] == _sum(data)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    _write_all(folder, {name: data for name, data in whole.items() if present[name] != data})
    for name in gone:
        (folder / name).unlink()
    return Written(
        tuple(name for name in whole if present[name] is None),
        tuple(name for name, data in whole.items() if present[name] not in (None, data)),
        tuple(name for name, data in whole.items() if present[name] == data),
        tuple(sorted(gone)),
    )


def _write_all(folder: Path, files: Mapping[str, bytes]) -> None:
    """All are on the disk before the first is replaced, so that a full one changes none.

    What tells that they are ours is replaced last: after a kill the same run brings it.
    """
    with contextlib.ExitStack() as written:
        for name, data in reversed([*files.items()]):
            try:
                write_atomic(written.enter_context(new_file(folder / name)), data)
            except OSError as error:
                error.filename = str(folder / name)
                raise


def _read(path: Path) -> bytes | None:
    """A file's bytes, None for none; `UsageError` for a link or what cannot be read."""
    try:
        return read_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Unreadable as error:
        raise UsageError(f"{path}: {error.why}; nothing was written") from None


def _hashes(path: Path) -> dict[str, str]:
    """What vitlab wrote beside a provenance file that is as vitlab wrote it; else nothing."""
    data = _read(path)
    if data is None:
        return {}
    try:
        record: Any = parse(data)
        files = record["files"]
        if record["made_by"] != _PROGRAM or _sealed(record) != data:
            return {}
        return {
            str(name): str(sum_)
            for name, sum_ in files.items()
            if _OURS.fullmatch(str(name)) and ".." not in str(name)
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


def _sealed(record: Mapping[str, object]) -> bytes:
    """The record as JSON, with the sum of all else, which tells whether it was edited."""
    plain = {"v": 1, "made_by": _PROGRAM, **{k: v for k, v in record.items() if k != "sum"}}
    text = json.dumps(plain, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False)
    return json.dumps(
        {**plain, "sum": _sum(text.encode("utf-8", "replace"))},
        ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False,
    ).encode("utf-8", "replace") + b"\n"  # fmt: skip


def _sums(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: _sum(data) for name, data in files.items()}


def _sum(data: bytes | None) -> str:
    return "" if data is None else hashlib.sha256(data).hexdigest()
