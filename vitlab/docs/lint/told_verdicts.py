"""Verdicts of gates that sentences and rows of tables tell, where the roadmap has another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from vitlab.docs.lint.finding import Finding, file_name
from vitlab.docs.lint.verdicts import in_words, says_otherwise
from vitlab.docs.model.ids import gate_refs
from vitlab.docs.model.roadmap import Roadmap
from vitlab.docs.text.inline import plain
from vitlab.docs.text.source import Document
from vitlab.docs.text.tables import tables_of

GATE = re.compile(r"(?<![A-Za-z])Gate[-–_ ]?\d[\w.]*", re.I)
SUPPOSED = re.compile(r"若|如果|当|待|需要|\b(?:if|when|once|needs?|before|after)\b", re.I)
OPEN = re.compile(
    r"尚未|还未|还没|未判定|能否|是否|才能?|应|须|必须|目标|预期|预计|希望|等|[?？]"
    r"|[<>≥≤]|\b(?:passes|fails) (?:at|above|below|if|when|with|for)\b|后再|时\s*,?\s*Gate|之?后才"
    r"|\b(?:not|never|will|would|should|must|may|might|could|can|until|unless|to pass|require\w*"
    r"|expect\w*|hope\w*|plan\w*|target|whether|undecided|open|cannot)\b|n't\b",
    re.I,
)
"""In a clause: its verdict is none yet."""
_FAILED = r"❌|\bfail(?:ed|s)?\b|失败|不达标|未达标"
_PASSED = (
    r"✅|☑️?|\bpass(?:ed|es)?\b|\b(?:is |was |been )?(?:met|closed|satisfied)\b"
    r"|已?通过|达标|已?关闭|已?满足"
)
_WORDS = rf"(?:(?P<failed>{_FAILED})|(?P<passed>(?<![未没不])(?:{_PASSED})))"
_BEHIND = re.compile(
    r"\s*(?:[(（][^()（）]{0,40}[)）])?\s*[:：=→-]?\s*"
    r"(?:(?:is|was|has|have|been|now|already|clearly|已经|现已|也|都|均|被|的|结论|状态|结果|判定|为|是)[\s:：]*){0,4}"
    rf"{_WORDS}",
    re.I,
)
_BEFORE = re.compile(rf"{_WORDS}\s*(?:了|the|of)?\s*$", re.I)
CLAUSE = re.compile(r"[,，;；。|]|\.\s")
_HEAD = re.compile(
    r"verdict|status|state|result|conclusion|decision|判定|结论|状态|结果|决定", re.I
)
_ALONE = re.compile(rf"\W*?{_WORDS}", re.I)
_SHORT = 8
"""Letters of a clause that is a verdict alone, of the gate before it."""
_NEAR = 40
"""Letters before a gate in which its verdict is looked for."""


def told_verdicts(
    roadmap: Roadmap, beside: Iterable[Document], skipped: Mapping[str, frozenset[int]]
) -> Iterator[Finding]:
    """Every verdict that a file tells in words, `Gate-1 passed`, or in a table, and no place has.

    `beside`: its hub and reports; `skipped`: the 0-based lines of a file, by its name, that tell
    what was.
    """
    stands = statuses_of(roadmap)
    for document in (roadmap.document, *beside):
        own = document is roadmap.document
        lines = _of_roadmap(roadmap) if own else _of_file(document)
        left = skipped.get(document.name, frozenset())
        for index, gate, says in lines:
            known = [place for place in stands.get(gate.casefold(), ()) if place[0]]
            if index in left or not known:
                continue
            if all(says_otherwise(says, status) for status, _ in known):
                where = f"line {known[0][1]}" + f" of {file_name(roadmap.document)}" * (not own)
                message = f"Gate-{gate} is {in_words(says)} here and {in_words(known[0][0])} on "
                path = None if own else document.path
                yield Finding(index + 1, "gate-conflict", message + where, path=path)


def statuses_of(roadmap: Roadmap) -> Mapping[str, Sequence[tuple[str | None, int]]]:
    """Folded id of a gate -> its statuses in the roadmap, each with its 1-based line."""
    stands = {gate.id.casefold(): [(gate.status, gate.line)] for gate in roadmap.gates}
    for entry in roadmap.rows("gate_progress"):
        for gate in entry.gates if len(entry.gates) == 1 else ():
            stands.setdefault(gate.casefold(), []).append((entry.status, entry.line))
    return stands


_Told = tuple[int, str, str]
"""(0-based line, bare id of the gate, status)."""


def _of_roadmap(roadmap: Roadmap) -> Iterator[_Told]:
    """Of its prose, without titles and code, and of its conclusions."""
    document = roadmap.document
    for entry in roadmap.rows("conclusions"):
        text = " | ".join(cell.raw for cell in entry.row.cells)
        yield from ((entry.line - 1, *told) for told in verdicts_in(text))
    yield from _prose(document)


def _of_file(document: Document) -> Iterator[_Told]:
    """Of its prose, and of the tables that have a gate in a row and a column for verdicts."""
    yield from _prose(document)
    for table in tables_of(document):
        heads = [plain(cell.raw) for cell in table.header.cells]
        columns = [at for at, head in enumerate(heads) if at and _HEAD.search(head)]
        for row in (row for row in table.rows if columns and not row.is_delimiter):
            cells = [plain(cell.raw) for cell in row.cells]
            gates = gate_refs(cells[0]) if cells and GATE.match(cells[0]) else ()
            for at in columns if len(gates) == 1 else ():
                word = _ALONE.match(cells[at]) if at < len(cells) else None
                if word and not (OPEN.search(cells[at]) or SUPPOSED.search(cells[at])):
                    yield row.index, gates[0], "failed" if word["failed"] else "done"


def _prose(document: Document) -> Iterator[_Told]:
    left = set(document.hidden_lines) | {heading.index for heading in document.headings}
    for first, last in (*document.tables, *((f.first, f.last) for f in document.fences)):
        left.update(range(first, last))
    for index in range(document.front_matter_end, len(document.lines)):
        text = document.line_text(index) if index not in left else ""
        yield from ((index, *told) for told in verdicts_in(text))


def verdicts_in(text: str) -> Iterator[tuple[str, str]]:
    """The verdicts in a text: the gate as it is named there and its status, `done` or `failed`."""
    before: tuple[str, ...] = ()
    for clause in CLAUSE.split(plain(text)) if "gate" in text.casefold() else ():
        if SUPPOSED.search(clause) or OPEN.search(clause):
            before = ()
            continue
        told = _ALONE.match(clause) if len(clause.strip()) <= _SHORT else None
        for gate in before if told else ():  # `Gate-2: the ViT is better, passed`
            yield gate, "failed" if told and told["failed"] else "done"
        before = ()
        for named in GATE.finditer(clause):
            start = named.start()
            found = _BEHIND.match(clause, named.end())
            found = found or _BEFORE.search(clause, max(start - _NEAR, 0), start)
            for gate in gate_refs(named[0]) if found else ():
                yield gate, "failed" if found and found["failed"] else "done"
            before = () if found else gate_refs(named[0])
