"""The lab and the documents a command speaks of, found from the current folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vitlab.contract.paths import NoLab, UsageError

if TYPE_CHECKING:
    from vitlab.docs.gates import Verdict
    from vitlab.docs.roadmap import Roadmap
    from vitlab.records.lab import Lab


def this_lab() -> Lab:
    """The lab found from the current folder upwards."""
    from vitlab.records.lab import open_lab

    return open_lab(Path.cwd())


def existing(name: str) -> Path:
    """A document named on the command line."""
    path = Path(name)
    if not path.is_file():
        raise UsageError(f"{name}: no such file")
    return path


def lab_around(path: Path) -> Lab | None:
    """The lab that holds `path`; None for a document that stands alone."""
    from vitlab.records.lab import open_lab

    try:
        return open_lab(path.resolve().parent)
    except NoLab:
        return None


def judged(lab: Lab | None, path: Path) -> tuple[Roadmap, list[Verdict]]:
    """The roadmap in `path` and its gates' verdicts by the results the lab has for it."""
    from vitlab.docs.gates import judge
    from vitlab.docs.roadmap import parse_roadmap
    from vitlab.docs.source import read

    if lab is None:
        roadmap = parse_roadmap(read(path))
        return roadmap, [judge(gate, (), roadmap) for gate in roadmap.gates]
    from vitlab.records.pairs import pairs_of
    from vitlab.records.results import found_of

    roadmap = lab.read_roadmap(path)
    found = found_of(lab, path)
    results, evidence = [one.result for one in found], pairs_of(lab, found)
    return roadmap, [judge(gate, results, roadmap, evidence) for gate in roadmap.gates]
