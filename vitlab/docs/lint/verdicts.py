"""Verdicts of gates that no rule supports, and gates that stand otherwise in two places."""

from __future__ import annotations

from collections.abc import Iterator

from vitlab.docs.lint.finding import Finding
from vitlab.docs.model.gate_sites import DECIDED
from vitlab.docs.model.gates.conditions import Manual
from vitlab.docs.model.gates.gates import Gate
from vitlab.docs.model.roadmap import Roadmap
from vitlab.docs.model.table_kinds import Entry

VERDICTS = {"done": "passed", "failed": "failed"}
"""A status of a gate that is a verdict -> its word."""


def gate_findings(roadmap: Roadmap) -> Iterator[Finding]:
    """Each gate whose places contradict, and each verdict that no rule can have given."""
    for gate in roadmap.gates:
        rows = _own_rows(roadmap, gate)
        yield from _conflict(gate, rows)
        yield from _without_rule(gate, rows)


def says_otherwise(one: str | None, other: str | None) -> bool:
    """Whether two statuses of a gate or a hypothesis contradict; none do while both are open."""
    if one is None or other is None or one == other:
        return False
    return (one in DECIDED) != (other in DECIDED) or {one, other} == {"done", "failed"}


def in_words(status: str | None) -> str:
    """A status of a gate: `passed`, `failed`, else as an MVP's."""
    return VERDICTS.get(status or "", status or "")


def _own_rows(roadmap: Roadmap, gate: Gate) -> list[Entry]:
    """The rows of the progress tables that are of this gate as a whole."""
    named = [e for e in roadmap.rows("gate_progress") if gate.id in e.gates]
    whole = len(named) == 1 and len(named[0].gates) == 1 and named[0].line != gate.line
    same = whole and (not named[0].mvps or not gate.mvps or set(named[0].mvps) == set(gate.mvps))
    return named if same else []


def _conflict(gate: Gate, rows: list[Entry]) -> Iterator[Finding]:
    for row in rows:
        if says_otherwise(row.status, gate.status):
            message = (
                f"Gate-{gate.id} is {in_words(row.status)} here and {in_words(gate.status)} "
                f"on line {gate.line}"
            )
            yield Finding(row.line, "gate-conflict", message)


def _without_rule(gate: Gate, rows: list[Entry]) -> Iterator[Finding]:
    """A note where a gate has a verdict that the lab can never judge."""
    places = [(gate.line, gate.status), *((row.line, row.status) for row in rows)]
    line, status = next((place for place in places if place[1] in VERDICTS), (0, None))
    readable = [
        r for r in gate.rules if not isinstance(r.condition, Manual) and not r.is_consequence
    ]
    if status is None or readable:
        return
    texts = "; ".join(rule.if_ for rule in gate.rules if not rule.is_consequence)
    why = f"its rule needs your judgement ({texts})" if texts else "it has no rule"
    message = f"Gate-{gate.id} is {in_words(status)} here: {why}"
    yield Finding(line, "verdict-without-rule", message, is_note=True)
