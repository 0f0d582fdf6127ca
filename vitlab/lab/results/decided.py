"""Which gates were decided, and which of them by a person, as `.vitlab/decisions.json` keeps it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vitlab.contract.user_key import own_record
from vitlab.docs.judge.verdict import STANDING
from vitlab.docs.model.roadmap import Roadmap
from vitlab.docs.text.inline import folded
from vitlab.lab.lab import Lab

VERSION = 1
BY_RESULTS = "by the results of MVP-"
"""Begins why a gate was decided that vitlab has decided itself; the MVP follows."""


@dataclass(frozen=True)
class Decision:
    """A gate that was given a status by vitlab: when, why, and how its undo is known."""

    roadmap: str
    """By its path in the lab."""
    gate: str
    """Folded id."""
    status: str
    because: str
    at: float
    """Unix seconds."""
    text: str = ""
    """Digest of the roadmap that it left; empty where it changed nothing."""
    undone: bool = False


def read_decisions(lab: Lab) -> list[Decision]:
    """All decisions of a lab, oldest first; none where the file is not this user's."""
    record = own_record(lab.paths.private.decisions)
    if record.get("v") == VERSION:
        with contextlib.suppress(TypeError, KeyError):
            return [Decision(**one) for one in record["decisions"]]
    return []


def decided(lab: Lab, path: Path) -> Mapping[str, str]:
    """Folded id -> the status it was given last, of each gate of a roadmap that was decided."""
    name = lab.paths.relative(path)
    mine = (one for one in read_decisions(lab) if one.roadmap == name and not one.undone)
    return {one.gate: one.status for one in mine}


def decided_by_person(lab: Lab, roadmap: Roadmap) -> dict[str, float]:
    """Id -> when (Unix seconds) a person passed or failed a gate that still says so."""
    path = roadmap.document.path
    if path is None or not any(gate.status in STANDING for gate in roadmap.gates):
        return {}
    name = lab.paths.relative(path)
    mine = (one for one in read_decisions(lab) if one.roadmap == name and not one.undone)
    last = {one.gate: one for one in mine}
    return {
        gate.id: one.at
        for gate in roadmap.gates
        if (one := last.get(folded(gate.id))) is not None
        and gate.status in STANDING
        and one.status == gate.status
        and not one.because.startswith(BY_RESULTS)
    }
