"""What is read from a document, as lines that a person can compare with it."""

from __future__ import annotations

from collections.abc import Iterable

from vitlab.docs.lint.document import lint_document
from vitlab.docs.model.hub import Point, parse_hub
from vitlab.docs.model.roadmap import next_mvp, parse_roadmap
from vitlab.docs.model.table_kinds import View
from vitlab.docs.text.source import Document


def _tables(views: Iterable[View]) -> list[str]:
    return [
        f"{v.table.line} {v.kind}: {' '.join(v.columns)}; "
        + " ".join(str(e.line) for e in v.entries)
        for v in views
    ]


def roadmap_facts(document: Document) -> dict[str, list[str]]:
    """Title, MVPs, gates with their rules, ...; each line begins with the line it is about."""
    roadmap = parse_roadmap(document)
    board = next(iter(roadmap.boards), None)
    following = next_mvp(roadmap)
    gates = []
    for g in roadmap.gates:
        gates.append(f"{g.line} gate {g.id}: {g.title} | {g.status} | {' '.join(g.mvps)}")
        gates += [f"  {r.if_} => {r.then} [{type(r.condition).__name__}]" for r in g.rules]
    return {
        "title": [f"title: {roadmap.title}", f"language: {roadmap.language}"],
        "legend": [f"legend: {mark} {status}" for mark, status in roadmap.legend.items()],
        "mvps": [
            f"{m.line} mvp {m.id}: {m.name} | {m.phase} | {m.gate} | {m.status}"
            f" | {m.exp_id} | {m.report}"
            for m in roadmap.mvps
        ],
        "gates": gates,
        "specs": [
            f"{s.heading.index + 1} spec {s.mvp}: {s.status.parsed.status if s.status else None}"
            f" | facts {len(s.facts)} runs {len(s.runs)}"
            for s in roadmap.specs
        ],
        "cards": [
            f"{c.index + 1} card {c.mvp} under {head.text if head else None}"
            f" | {head.status if head else None}"
            for c in (board.cards if board else ())
            for head in [board.column_of(c) if board else None]
        ],
        "bands": [f"columns: {' '.join(c.text for c in b.columns)}" for b in board.bands]
        if board
        else [],
        "statuses": [
            f"{e.line} status in {v.kind}: {' '.join(e.mvps) or '-'} {e.status}"
            for v in roadmap.views
            for e in v.entries
            if "status" in v.columns and v.kind != "overview"
        ],
        "tables": _tables(roadmap.views),
        "unknown": [f"{t.line} unknown table" for t in roadmap.unknown],
        "next": [f"next: {following.id}: {following.why}" if following else "next: none"],
    }


def _points(name: str, points: Iterable[Point]) -> list[str]:
    return [
        " ".join(filter(None, (f"{p.line} {name}: {p.status}", p.id, p.priority, p.evidence)))
        for p in points
    ]


def hub_facts(document: Document) -> dict[str, list[str]]:
    """Title, beliefs, hypotheses, tasks, numbers, tables and findings."""
    hub = parse_hub(document)
    numbers = [
        f"{e.line} key number: {e.text('indicator')} = {e.text('value')}" for e in hub.key_numbers
    ]
    models = [f"{e.line} model: {e.text('method')} = {e.text('value')}" for e in hub.numbers]
    return {
        "title": [f"title: {hub.title}"],
        "beliefs": [f"{p.line} belief: {p.status}" for p in hub.beliefs],
        "next_steps": _points("next step", hub.next_steps),
        "hypotheses": _points("hypothesis", hub.hypotheses),
        "gaps": _points("gap", hub.gaps),
        "tasks": [f"{p.line} task: {p.status} {p.text.split(':')[0]}" for p in hub.tasks],
        "key_numbers": numbers,
        "models": models,
        "tables": _tables(hub.views),
        "findings": [f"{f.line} {f.kind}" for f in lint_document(hub)],
    }
