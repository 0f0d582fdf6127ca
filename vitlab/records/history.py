"""Going forth again over what was undone, and who else has a document open."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vitlab.docs.edits import open_elsewhere
from vitlab.docs.edits import redo as redo_edit
from vitlab.records.lab import Lab
from vitlab.records.written import remark


def redo(lab: Lab) -> list[Path]:
    """Make the last undone write again; the files written."""
    made = redo_edit(lab.journal)
    remark(lab, [one.new_text for one in made if one.new_text is not None])
    return [one.path for one in made]


def open_in_editors(paths: Iterable[Path]) -> list[str]:
    """One line for each document an editor has open: its next save would undo ours."""
    return [
        f"{path.name} is open in an editor ({sign}): reload it there before you save"
        for path in paths
        if (sign := open_elsewhere(path))
    ]
