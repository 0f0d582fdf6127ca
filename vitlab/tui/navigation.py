"""Where the user can go: the screens by name, and MVPs, gates and jobs by id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vitlab.tui.keys import KEYS
from vitlab.tui.screens.base import LabScreen

if TYPE_CHECKING:
    from vitlab.lab.live.snapshot import LabSnapshot

SCREENS = ("jobs", "curves", "log", "gates", "documents", "results", "spectrum")


@dataclass(frozen=True)
class Place:
    """One thing, and the screen it is on."""

    screen: str
    key: str
    """The MVP's or gate's id, or the job's name."""


def screen_class(name: str) -> type[LabScreen]:
    """One of `SCREENS`; loaded when first wanted, so that home is there at once."""
    match name:
        case "jobs":
            from vitlab.tui.screens.jobs import JobsScreen

            return JobsScreen
        case "curves":
            from vitlab.tui.screens.curves import CurvesScreen

            return CurvesScreen
        case "log":
            from vitlab.tui.screens.log import LogScreen

            return LogScreen
        case "gates":
            from vitlab.tui.screens.gates import GatesScreen

            return GatesScreen
        case "documents":
            from vitlab.tui.screens.documents import DocumentsScreen

            return DocumentsScreen
        case "results":
            from vitlab.tui.screens.results import ResultsScreen

            return ResultsScreen
        case "spectrum":
            from vitlab.tui.screens.spectrum import SpectrumScreen

            return SpectrumScreen
        case _:
            raise ValueError(name)


def find(words: str, view: LabSnapshot | None) -> Place | None:
    """The MVP, gate or job called `words`: exactly, or else as the beginning of its id."""
    if view is None:
        return None
    wanted = words.strip().casefold()
    gate = wanted.removeprefix("gate-")
    mvp = wanted.removeprefix("mvp-")
    gates = [Place("gates", one.id) for one in (view.roadmap.gates if view.roadmap else ())]
    mvps = [Place("roadmap", one.id) for one in (view.roadmap.mvps if view.roadmap else ())]
    jobs = [Place("jobs", one.paths.name) for one in reversed(view.jobs)]
    if wanted.startswith("gate"):
        candidates = [(gate, place) for place in gates]
    else:
        candidates = [*((mvp, place) for place in mvps), *((wanted, place) for place in jobs)]
    for matches in (str.__eq__, str.startswith, str.__contains__):
        for name, place in candidates:
            if name and matches(place.key.casefold(), name):
                return place
    return None


def unknown_keys(own: Mapping[str, str]) -> list[str]:
    """What the settings' keys name that no screen does, a line each."""
    if not own:
        return []
    from vitlab.tui.screens.roadmap import RoadmapScreen

    known = {verb.name for verb in (*KEYS, *RoadmapScreen.KEYS)}
    for name in SCREENS:
        known |= {verb.name for verb in screen_class(name).KEYS}
    lost = [name for name in own if name not in known]
    return [
        f"vitlab.yaml: keys: {name}: no such action (allowed: {', '.join(sorted(known))})"
        for name in lost
    ]
