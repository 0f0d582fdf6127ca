"""Reading a versioned JSON file into a frozen dataclass, whatever is in the file."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    T = TypeVar("T", bound=DataclassInstance)


def read_record(path: Path, kind: type[T], version: int) -> T | None:
    """The record in `path`; None when it is missing, broken, or not of this version.

    Unknown keys are passed over, so that a newer program of the same version may add some.
    """
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return from_document(document, kind, version)


def from_document(document: object, kind: type[T], version: int) -> T | None:
    """As `read_record`, of what has been read from a file already."""
    if not isinstance(document, dict) or document.get("v") != version:
        return None
    known = {}
    for entry in fields(kind):
        if entry.name in document:
            value = document[entry.name]
            known[entry.name] = tuple(value or ()) if entry.type.startswith("tuple") else value
    try:
        return kind(**known)
    except TypeError:
        return None
