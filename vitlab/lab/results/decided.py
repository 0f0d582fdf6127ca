"""Which gates were decided, which of them by a person, and which MVPs have their status by a
person's word, as `.vitlab/decisions.json` keeps it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vitlab.contract.validation import known_fields
from vitlab.docs.judge.verdict import STANDING
from vitlab.docs.model.roadmap import Roadmap
from vitlab.docs.text.inline import folded
from vitlab.lab.after_save import raw_decisions
from vitlab.lab.lab import Lab

BY_RESULTS = "by the results of MVP-"
"""Begins why a gate was decided that vitlab has decided itself; the MVP follows."""


@dataclass(frozen=True)
class Decision:
    """A gate or an MVP that was given a status: when, why, and how its undo is known."""

    roadmap: str
    """By its path in the lab."""
    gate: str
    """Folded id; empty where it is of an MVP."""
    status: str
    because: str
    at: float
    """Unix seconds."""
    text: str = ""
    """Digest of the roadmap that it left; empty where it changed nothing."""
    undone: bool = False
    mvp: str = ""
    """Bare id, of a status that a person gave an MVP with a reason."""


def read_decisions(lab: Lab) -> list[Decision]:
    """All decisions of a lab, oldest first; none where the file is not this user's."""
    with contextlib.suppress(TypeError, KeyError):
        return [Decision(**known_fields(Decision, one)) for one in raw_decisions(lab.paths)]
    return []


def decided(lab: Lab, path: Path) -> Mapping[str, str]:
    """Folded id -> the status it was given last, of each gate of a roadmap that was decided."""
    name = lab.paths.relative(path)
    return {one.gate: one.status for one in _standing(lab, name) if one.gate}


def decided_by_person(lab: Lab, roadmap: Roadmap) -> dict[str, float]:
    """Id -> when (Unix seconds) a person passed or failed a gate that still says so."""
    path = roadmap.document.path
    if path is None or not any(gate.status in STANDING for gate in roadmap.gates):
        return {}
    name = lab.paths.relative(path)
    last = {one.gate: one for one in _standing(lab, name)}
    return {
        gate.id: one.at
        for gate in roadmap.gates
        if (one := last.get(folded(gate.id))) is not None
        and gate.status in STANDING
        and one.status == gate.status
        and not one.because.startswith(BY_RESULTS)
    }


def given_by_person(lab: Lab, roadmap: Roadmap) -> dict[str, str]:
    """Bare id -> a person's reason, of each MVP that still has the status it was given with it."""
    path = roadmap.document.path
    last = {one.mvp: one for one in _standing(lab, lab.paths.relative(path))} if path else {}
    return {
        mvp.id: one.because
        for mvp in roadmap.mvps
        if (one := last.get(mvp.id)) is not None and one.status == mvp.status
    }


def _standing(lab: Lab, roadmap: str) -> list[Decision]:
    """The decisions about a roadmap, by its path in the lab, that were not undone."""
    return [one for one in read_decisions(lab) if one.roadmap == roadmap and not one.undone]
