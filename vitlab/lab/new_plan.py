"""Plans, MVPs and gates that are made here: their edits of every document, and saving them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vitlab.contract.paths import UsageError
from vitlab.docs.save import FileChange, save
from vitlab.lab.lab import Lab

LANGUAGES = ("zh", "en")


@dataclass(frozen=True)
class NewMvp:
    """An MVP that is wanted."""

    name: str
    gate: str = ""
    """Its gate, prefix optional; empty for none."""
    hypothesis: str = ""
    """The hypothesis of the hub that it tests, as `H1.2`; empty for none."""
    id: str = ""
    """Prefix optional; empty: the next free number."""


@dataclass(frozen=True)
class NewGate:
    """A gate that is wanted."""

    name: str
    condition: str
    """What passes it, as `test R2 log_g >= 0.6`."""
    mvp: str = ""
    """The MVP that decides it, prefix optional; empty for none."""
    if_yes: str = ""
    if_no: str = ""
    id: str = ""
    """Prefix optional; empty: the next free number."""


@dataclass(frozen=True)
class NewPlan:
    """A roadmap with its hub that is wanted."""

    topic: str
    language: str = "zh"
    """One of `LANGUAGES`."""
    folder: str = ""
    """From the lab's root; empty: `roadmaps`."""


@dataclass(frozen=True)
class Creation:
    """What makes one MVP, gate or plan, shown before it is saved."""

    id: str
    """Of the MVP or gate, bare; of a plan its topic."""
    roadmap: Path
    changes: tuple[FileChange, ...]
    """Every file that is made or changed."""
    notes: tuple[str, ...] = ()
    """One line for each thing that is left to a person."""


def plan_mvp(lab: Lab, roadmap: Path, new: NewMvp) -> Creation:
    """The edits that add an MVP: overview, section, board, check lists, report; UsageError."""
    raise UsageError("new mvp: not there yet")


def plan_gate(lab: Lab, roadmap: Path, new: NewGate) -> Creation:
    """The edits that add a gate, in the shape of the others; UsageError where its id is taken."""
    raise UsageError("new gate: not there yet")


def plan_plan(lab: Lab, new: NewPlan) -> Creation:
    """The files of a new roadmap and its hub; UsageError where one of them exists."""
    raise UsageError("new plan: not there yet")


def save_new(lab: Lab, creation: Creation) -> list[Path]:
    """Write what was planned, as one step that `undo` reverses; the files written."""
    return [file.path for file in save(creation.changes, lab.journal)]
