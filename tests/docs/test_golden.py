"""The real documents, read whole: what is in them, line by line, as a person read it once."""

import json
from pathlib import Path
from typing import Any

import pytest

from vitlab.docs.lint import lint_document
from vitlab.docs.model.hub import parse_hub
from vitlab.docs.model.roadmap import next_mvp, parse_roadmap
from vitlab.docs.model.table_kinds import View
from vitlab.docs.text.source import Document

from .conftest import ROADMAPS, real

GOLDEN = Path(__file__).parent / "golden"


def tables(views: tuple[View, ...]) -> list[str]:
    """`line kind: columns; lines of its rows`."""
    return [
        f"{v.table.line} {v.kind}: {' '.join(v.columns)}; "
        + " ".join(str(e.line) for e in v.entries)
        for v in views
    ]


def roadmap_facts(document: Document) -> dict[str, Any]:
    roadmap = parse_roadmap(document)
    board = roadmap.kanban
    following = next_mvp(roadmap)
    return {
        "title": roadmap.title,
        "language": roadmap.language,
        "legend": dict(roadmap.legend),
        "mvps": [
            f"{m.line} {m.id} | {m.name} | {m.phase} | {m.gate} | {m.status}"
            f" | {m.exp_id} | {m.report}"
            for m in roadmap.mvps
        ],
        "gates": [
            {
                "gate": f"{g.line} {g.id} {g.title} | {g.status} | {' '.join(g.mvps)}",
                "rules": [f"{r.if_} => {r.then} [{type(r.condition).__name__}]" for r in g.rules],
            }
            for g in roadmap.gates
        ],
        "specs": [
            f"{s.heading.index + 1} {s.mvp} | {s.status.found.status if s.status else None}"
            f" | facts {len(s.facts)} runs {len(s.runs)}"
            for s in roadmap.specs
        ],
        "cards": [
            f"{c.index + 1} {c.mvp} under {head.text}"
            for c in (board.cards if board else ())
            if board and (head := board.column_of(c))
        ],
        "statuses": [
            f"{e.line} {v.kind} {' '.join(e.mvps)} {e.status}"
            for v in roadmap.views
            for e in v.entries
            if "status" in v.columns and v.kind != "overview"
        ],
        "tables": tables(roadmap.views),
        "unknown": [t.line for t in roadmap.unknown],
        "next": following.id if following else None,
    }


def hub_facts(document: Document) -> dict[str, Any]:
    hub = parse_hub(document)
    return {
        "title": hub.title,
        "beliefs": [f"{p.line} {p.status}" for p in hub.beliefs],
        "next_steps": [f"{p.line} {p.status}" for p in hub.next_steps],
        "hypotheses": [f"{p.line} {p.status} {p.text.split(':')[0]}" for p in hub.hypotheses],
        "tasks": [f"{p.line} {p.status} {p.text.split(':')[0]}" for p in hub.tasks],
        "key_numbers": [
            f"{e.line} {e.text('indicator')} = {e.text('value')}" for e in hub.key_numbers
        ],
        "models": [f"{e.line} {e.text('method')} = {e.text('value')}" for e in hub.numbers],
        "tables": tables(hub.views),
        "findings": [f"{f.line} {f.kind}" for f in lint_document(hub)],
    }


@pytest.mark.parametrize("name", [*ROADMAPS, "vit_hub_20251227.md", "kanban.md"])
def test_a_real_document_is_read_whole(name: str) -> None:
    read = roadmap_facts if name in ROADMAPS else hub_facts
    expected = json.loads((GOLDEN / name.replace(".md", ".json")).read_text())
    assert read(real(name)) == expected
