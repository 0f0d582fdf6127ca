"""Results of gates that vitlab wrote of fewer seeds than there are now, to be written anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vitlab.docs.lint.stated import profile_of
from vitlab.docs.model.gates.gates import Gate
from vitlab.docs.model.roadmap import Roadmap, parse_roadmap
from vitlab.docs.model.table_kinds import Entry
from vitlab.docs.save import FileChange, change
from vitlab.docs.text.inline import with_plain_numbers
from vitlab.docs.text.numbers import NumberPlace, numbers_of
from vitlab.docs.text.source import Document, read
from vitlab.docs.write.gate_decisions import gate_edits
from vitlab.docs.write.status import unique_edits
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.lab import Lab
from vitlab.lab.linked_files import linked_gate_changes, merged
from vitlab.lab.results.job_results import Finished, finished, latest, of_roadmap
from vitlab.lab.results.provenance import Provenance
from vitlab.lab.results.ranking import judged_gates, pairs_of
from vitlab.lab.writeback.checks.backing import grown, same_text
from vitlab.lab.writeback.written_numbers import WrittenNumbers, read_numbers

Texts = Mapping[Path, str]


@dataclass(frozen=True)
class GateUpdate:
    """The result of a gate written anew, as its models have further seeds."""

    gate: str
    """Bare id."""
    changes: tuple[FileChange, ...]
    jobs: tuple[Job, ...]
    """The newest of the gate's own MVPs, which it is written of."""
    summary: str


def gate_updates(
    lab: Lab, path: Path, texts: Texts | None = None, mvp: str | None = None
) -> list[GateUpdate]:
    """The results of gates that vitlab wrote of fewer seeds than their models have now.

    `texts`: files as updates before leave them; `mvp`: only where its seeds are more, by bare id.
    """
    texts, found = dict(texts or {}), []
    written, vocabulary = read_numbers(lab), lab.vocabulary_of(path)
    if not written.of_file(lab.paths.relative(path)):
        return []
    jobs = of_roadmap(lab, all_jobs(lab.paths), path)
    newest = latest(finished(jobs))
    known = Provenance(finished(jobs))
    document = Document(texts[path], path) if path in texts else read(path)
    roadmap = parse_roadmap(document, vocabulary)
    for gate in roadmap.gates:
        marks = {
            profile_of(entry.text("result"))
            for entry in roadmap.rows("gate_progress")
            if entry.gates == (gate.id,) and _is_outdated(lab, roadmap, entry, known, written, mvp)
        }
        own = [one.job for one in newest if one.result.mvp in gate.mvps]
        if len(marks) != 1 or not own:
            continue
        changes = _changes(lab, roadmap, gate, newest, marks.pop(), texts)
        if changes:
            texts |= {one.path: one.new_text for one in changes}
            roadmap = roadmap.reread(Document(texts.get(path, document.text), path))
            summary = f"Gate-{gate.id}: its models have further seeds"
            found.append(GateUpdate(gate.id, tuple(changes), tuple(own), summary))
    return found


def own_cells(lab: Lab, roadmap: Roadmap, mvp_id: str) -> frozenset[tuple[int, str]]:
    """Line and text of an MVP's cells whose numbers are its results, by vitlab's hand.

    Of its row in the overview and those in the numeric summary; what a person wrote or changed is
    none of them.
    """
    mvp, path = roadmap.mvp(mvp_id), roadmap.document.path
    if path is None:
        return frozenset()
    name, written = lab.paths.relative(path), read_numbers(lab)
    entries = [e for view in roadmap.views if view.kind == "numbers" for e in view.entries]
    lines = {mvp.line, *(e.line for e in entries if mvp_id in e.mvps)}
    rows = [one for one in numbers_of(roadmap.document) if one.line in lines]

    def is_result(one: NumberPlace) -> bool:
        source = last.source if (last := same_text(one.number, written.at(name, one))) else None
        return source is not None and bool(source.value) and source.mvp == mvp.id

    own, others = (
        {(one.line, one.text) for one in rows if is_result(one) is known} for known in (True, False)
    )
    return frozenset(own - others)


def _is_outdated(
    lab: Lab,
    roadmap: Roadmap,
    entry: Entry,
    known: Provenance,
    written: WrittenNumbers,
    mvp: str | None,
) -> bool:
    """Whether a gate's result stands as vitlab wrote it, and a model of it has further seeds."""
    cell, path = entry.cells.get("result"), roadmap.document.path
    if cell is None or path is None:
        return False
    name = lab.paths.relative(path)
    row = [one for one in numbers_of(roadmap.document) if one.line == entry.line]
    mine = [one for one in row if one.text == with_plain_numbers(cell.text)]
    changed = (
        written.at(name, one) and not same_text(one.number, written.at(name, one)) for one in mine
    )
    if any(changed):
        return False
    more = [now.mvp for _, _, now in grown(mine, name, known, written)]
    return bool(more) and (mvp is None or mvp in more)


def _changes(
    lab: Lab,
    roadmap: Roadmap,
    gate: Gate,
    newest: Sequence[Finished],
    profile: str,
    texts: Texts,
) -> list[FileChange]:
    """The gate's places, and where a verdict changes those of the files beside the roadmap."""
    verdict = judged_gates(lab, [gate], roadmap, newest, pairs_of(lab, newest))[0]
    if not verdict.difference:
        return []
    edits = unique_edits(gate_edits(roadmap, gate, verdict, gate.status or "", profile, ""))
    if not edits:
        return []
    changes = [change(roadmap.document, edits)]
    after = roadmap.reread(Document(changes[0].new_text, roadmap.document.path)).gate(gate.id)
    if after.status != gate.status:
        changes += linked_gate_changes(lab, roadmap, after, after.status or "", texts)
    return merged(changes)
