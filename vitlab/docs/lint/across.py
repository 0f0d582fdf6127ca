"""Contradictions between a roadmap and the files around it: hub, boards, check lists, reports."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from vitlab.docs.lint.document import linked_findings
from vitlab.docs.lint.finding import Finding, file_name
from vitlab.docs.lint.hypotheses import hypothesis_findings
from vitlab.docs.lint.numbers import differing_numbers
from vitlab.docs.lint.told_verdicts import GATE, SUPPOSED, statuses_of, told_verdicts
from vitlab.docs.lint.verdicts import in_words, says_otherwise
from vitlab.docs.model.hub import Hub, parse_hub
from vitlab.docs.model.ids import gate_refs, new_id
from vitlab.docs.model.linked import LinkedDocument
from vitlab.docs.model.roadmap import Roadmap
from vitlab.docs.model.status_marks import find_marks
from vitlab.docs.text.inline import plain
from vitlab.docs.text.source import Document

_MVP = re.compile(
    r"(?<![A-Za-z0-9])MVP[-–_ \u2011]?[A-Za-z0-9]+(?:[.-][A-Za-z0-9]+)*(?:\s*[:：])?", re.I
)
_STRUCK = re.compile(r"~~.*?~~")
_FILE = re.compile(r"(?<![\w-])[\w-]++(?=\.(?:md|markdown))", re.I)
_OF_PLANS = re.compile(r"roadmap|路线图|hub", re.I)
_PIECE = re.compile(r"[^|,，;；、。:：]+")
_ITEM = re.compile(r"[\s>#*+\d.)├└─-]*+(?:\[[ xX/-]\]\s*)?(?P<text>[^\w\[(]*MVP.*)", re.I)
_HISTORY = ("changelog", "timeline", "ideas")
"""Kinds of table whose rows are about what was, or what is not planned yet."""
_DRAWN = ("", "text", "txt", "plain", "ascii", "mermaid")


@dataclass(frozen=True)
class Neighbours:
    """The files around one roadmap."""

    hub: Hub | None = None
    linked: Sequence[LinkedDocument] = ()
    """Its boards, check lists and reports, read with its ids."""
    boards: Sequence[Hub] = ()
    """Its boards and check lists."""
    reports: Mapping[str, Hub] = field(default_factory=dict)
    """Bare id -> the report of that MVP alone."""
    strays: Sequence[Hub] = ()
    """Reports beside it that no roadmap leads to."""
    pages: Sequence[Document] = ()
    """The autopilot's reports beside it."""
    others: Sequence[Roadmap] = ()
    """The lab's other roadmaps."""


def contradictions(roadmap: Roadmap, around: Neighbours) -> list[Finding]:
    """What the files around a roadmap say otherwise than it, and the MVPs that none knows."""
    found = [
        *_of_linked(around.linked),
        *_hypotheses(roadmap, around),
        *_gates(roadmap, around),
        *(_unknown_in_hub(roadmap, around) if around.hub else ()),
        *_unknown_on_boards(roadmap, around),
        *differing_numbers(roadmap, around.hub, around.reports),
    ]
    return sorted(found, key=lambda one: (str(one.path or ""), one.line, one.kind, one.message))


def _of_linked(linked: Sequence[LinkedDocument]) -> Iterator[Finding]:
    for file in linked:
        for finding in linked_findings(file):
            yield replace(finding, path=file.document.path)


def _hypotheses(roadmap: Roadmap, around: Neighbours) -> Iterator[Finding]:
    own = parse_hub(roadmap.document, roadmap.vocabulary)
    reports = list({id(report): report for report in around.reports.values()}.values())
    main = [*([around.hub] if around.hub else []), own]
    for finding in hypothesis_findings([*main, *reports], len(main)):
        yield replace(finding, path=None) if finding.path == own.document.path else finding


def _lines(hub: Hub) -> Iterator[tuple[int, str]]:
    """The 0-based lines on what is: without comments, code, history and struck-out text."""
    document = hub.document
    hidden = set(document.hidden_lines)
    for fence in document.fences:
        language = document.line_text(fence.first).lstrip(" \t>`~").strip().casefold()
        if language not in _DRAWN:
            hidden.update(range(fence.first, fence.last))
    for view in hub.views:
        if view.kind in _HISTORY:
            hidden.update(range(view.table.first, view.table.last))
    for index in range(document.front_matter_end, len(document.lines)):
        if index not in hidden:
            yield index, _STRUCK.sub(" ", document.line_text(index))


def _gates(roadmap: Roadmap, around: Neighbours) -> Iterator[Finding]:
    """Every verdict of a gate that is told otherwise than in the roadmap, on each line once."""
    hub, reports = around.hub, [*around.reports.values(), *around.strays]
    left = {hub.document.name: _of_history(hub)} if hub else {}
    beside = [one.document for one in (*([hub] if hub else []), *reports)]
    told = told_verdicts(roadmap, beside, left)
    yield from dict.fromkeys([*(_gates_of_hub(roadmap, hub) if hub else ()), *told])


def _of_history(hub: Hub) -> frozenset[int]:
    """The 0-based lines of a hub that tell what was."""
    known = {index for index, _ in _lines(hub)}
    return frozenset(range(len(hub.document.lines))) - known


def _gates_of_hub(roadmap: Roadmap, hub: Hub) -> Iterator[Finding]:
    """Every gate that a hub gives another verdict than the roadmap: `✅ Gate-1`."""
    stands = statuses_of(roadmap)
    for index, line in _lines(hub):
        for piece in _PIECE.findall(line) if "gate" in line.casefold() else ():
            named = list(GATE.finditer(piece))
            if len(named) != 1 or SUPPOSED.search(piece):
                continue
            marks = find_marks(piece, named[0].span(), hub.vocabulary, last=False)
            for gate in gate_refs(piece) if len(marks) == 1 else ():
                known = [place for place in stands.get(gate.casefold(), ()) if place[0]]
                says = marks[0].parsed.status
                if known and all(says_otherwise(says, status) for status, _ in known):
                    message = (
                        f"Gate-{gate} is {in_words(says)} here and {in_words(known[0][0])} on "
                        f"line {known[0][1]} of {file_name(roadmap.document)}"
                    )
                    yield Finding(index + 1, "gate-conflict", message, path=hub.document.path)


def _unknown_in_hub(roadmap: Roadmap, around: Neighbours) -> Iterator[Finding]:
    """Each MVP that the hub names and its roadmap lacks, once."""
    hub = around.hub
    assert hub is not None
    mine = [roadmap, *(other for other in around.others if are_linked(other, hub))]
    names = {_stem(one.document) for one in mine} | {_stem(hub.document)}
    lacking = ", ".join(sorted({file_name(one.document) for one in mine}))
    for index, line, mvp in _named(hub):
        if not any(_knows(one, mvp) for one in mine) and not _is_elsewhere(
            line, mvp, names, around.others
        ):
            message = f"names MVP {mvp}, which is not in {lacking}"
            yield Finding(index + 1, "unknown-mvp", message, path=hub.document.path)


def are_linked(roadmap: Roadmap, hub: Hub) -> bool:
    """Whether a roadmap and a hub name each other, one of them at least."""
    one, two = roadmap.document, hub.document
    names = bool(two.path and two.path.name in one.text)
    return names or bool(one.path and one.path.name in two.text)


def _named(hub: Hub) -> Iterator[tuple[int, str, str]]:
    """(0-based line, its text, bare id) of every MVP at its first mention."""
    seen: set[str] = set()
    for index, line in _lines(hub):
        for mvp in _ids_in(line):
            if mvp.casefold() not in seen:
                seen.add(mvp.casefold())
                yield index, line, mvp


def _ids_in(text: str) -> list[str]:
    """The bare ids that a text names by their prefix; words and placeholders are none."""
    tokens = _MVP.findall(plain(text)) if "MVP" in text.upper() else ()
    return [found[0] for token in tokens if (found := new_id(token))]


def _knows(roadmap: Roadmap, mvp: str) -> bool:
    """Whether a roadmap has an MVP, or a family of that name: `MVP-16A` of 16A-0 and 16A-1."""
    family = re.compile(rf"{re.escape(mvp)}(?![A-Za-z0-9])", re.I)
    return any(map(family.match, roadmap.ids.ids)) or bool(roadmap.ids.opening(f"MVP-{mvp}"))


def _is_elsewhere(line: str, mvp: str, names: set[str], others: Sequence[Roadmap]) -> bool:
    """Whether a line says that an MVP is of another topic: it names its file or its topic."""
    if set(map(str.casefold, _plans_named(line))) - names:
        return True
    return any(
        _knows(other, mvp) and topic in line.casefold()
        for other in others
        for topic in _topics(other)
        if len(topic) > 1
    )


def _plans_named(text: str) -> list[str]:
    """The names of roadmaps' and hubs' files in a text, without their endings."""
    return [name for name in _FILE.findall(text) if _OF_PLANS.search(name)]


def _topics(roadmap: Roadmap) -> set[str]:
    """What a roadmap is about: its field Topic, and its file's name without the date."""
    stem = re.sub(r"[_-]?(?:roadmap|路线图)|[_-]?\d{6,8}", "", _stem(roadmap.document))
    topics = {stem.strip("_-"), roadmap.meta.get("topic", "").strip("` ").casefold()}
    return topics - {""}


def _stem(document: Document) -> str:
    return document.path.stem.casefold() if document.path else ""


def _unknown_on_boards(roadmap: Roadmap, around: Neighbours) -> Iterator[Finding]:
    """Each MVP of a board or a check list that no roadmap of the lab has, once."""
    roadmaps = [roadmap, *around.others]
    stems = {_stem(one.document) for one in roadmaps}
    topics = {topic for one in roadmaps for topic in _topics(one)}
    for board in around.boards:
        files = _files_above(board.document)
        first: dict[str, tuple[int, str]] = {}
        foreign = set()
        for index, topic, mvp in _items(board):
            first.setdefault(mvp.casefold(), (index, mvp))
            if (topic and topic not in topics) or (files[index] and files[index] not in stems):
                foreign.add(mvp.casefold())  # of a roadmap that is not in this lab
        for key, (index, mvp) in first.items():
            if key not in foreign and not any(_knows(one, mvp) for one in roadmaps):
                message = f"MVP {mvp} is here but in no roadmap of the lab"
                yield Finding(index + 1, "unknown-mvp", message, path=board.document.path)


def _items(board: Hub) -> Iterator[tuple[int, str, str]]:
    """(0-based line, topic, bare id) of every card, row and item that is an MVP's."""
    rows = {entry.row.index: entry for view in board.views for entry in view.entries}
    tables = {i for first, last in board.document.tables for i in range(first, last)}
    for index, line in _lines(board):
        if index in rows:
            entry = rows[index]
            cell = _STRUCK.sub("", entry.raw("mvp"))
            for mvp in _ids_in(cell):
                yield index, entry.text("topic").casefold(), mvp
        elif index not in tables:
            for piece in re.split(r"\s{2,}|[│┃║|]", line):
                if match := _ITEM.match(piece):
                    yield from ((index, "", mvp) for mvp in _ids_in(match["text"])[:1])


def _files_above(document: Document) -> list[str]:
    """For each line the roadmap that was named last in its section, by its file's name."""
    headings = {heading.index for heading in document.headings}
    found, current = [], ""
    for index in range(len(document.lines)):
        current = "" if index in headings else current
        names = _plans_named(document.line_text(index))
        named = [name.casefold() for name in names if "hub" not in name.casefold()]
        current = named[-1] if named else current
        found.append(current)
    return found
