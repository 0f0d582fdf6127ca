"""Numbers on lines that tell results of MVPs, outside of the places that `numbers` reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from vitlab.docs.lint.compared import claimed_in
from vitlab.docs.lint.counts import counts_in
from vitlab.docs.lint.history import KINDS
from vitlab.docs.lint.numbers import MVP_NAMED, Place, hub_rows, in_table, reports_of
from vitlab.docs.lint.sentences import is_cited, sentences_of
from vitlab.docs.lint.stated import METRIC, Stated, as_read, profile_of
from vitlab.docs.lint.told import LITERATURE, NOT_YET, PLANNED, told_in_cell
from vitlab.docs.model.hub import Hub
from vitlab.docs.model.mvps import Spec
from vitlab.docs.model.roadmap import Roadmap
from vitlab.docs.text.inline import folded, plain
from vitlab.docs.text.source import Document
from vitlab.docs.text.tables import Table, tables_of

_PART = re.compile(r"[,，;；。|]|\.\s")
_NO_RESULTS = re.compile(
    r"设置|复现|核对|问题|计划|setting|setup|reproduc|check|question|plan|config", re.I
)
"""The sections of a report in which numbers are not those of its results."""
_PLANS = re.compile(
    rf"{PLANNED}|假设|假说|预算|判据|风险|依赖|\b(?:hypothes[ie]s|budget|criteri\w*|risks?|depend\w*)\b",
    re.I,
)
"""What makes a title, the first cell of a row, or the head of a line one of a plan."""
_SETTINGS = re.compile(
    r"(?:计划|数据|模型|架构|训练|配置|设置|变量|方法|对比|输入|输出|plan|data|model|architecture|training"
    r"|config\w*|settings?|setup|variables?|methods?|inputs?|outputs?)$",
    re.I,
)
_HEAD = re.compile(r"[\s>|*+_`\d.)-]*+(?:\[.\]\s*)?[*_`]*(?P<head>[^|:：]{1,40}?)[*_`\s]*[|:：]")
"""The beginning of a line, or the first cell of a row, that says what stands behind it."""
_SUPPOSED = re.compile(r"假设|假说|猜想|猜测|推测|hypothes|conjectur|suppos|assum", re.I)
_OF_HYPOTHESIS = re.compile(r"[\s>|*+_`├└│─-]*H(?:\d|-[A-Z\d])")
_HEDGED = re.compile(r"\b(?:about|around|roughly|some)\b|大约|左右|约|[~≈～]", re.I)
"""In a hypothesis a number that is told with one of these is what is thought."""
_NO_CLAIMS = frozenset((
    "gaps", "next_steps", "directions", "routes", "facts", "repositories", "files", "related",
    "ideas", "figures", "commands",
))  # fmt: skip
"""Tables of a hub that claim nothing of results."""
_BELIEVED = ("consensus", "insights", "answers", "principles")
"""Tables of a hub whose rows claim something in words, of no part of the stars alone."""
_OF_OTHERS = re.compile(
    r"\bnext\b|下一步|\btoy\b|\btheor\w*|\banalytic\w*|\bliterature\b|\bbound\b|玩具|理论|解析|最优|文献|CRLB|Fisher"
    r"|Bayes|ceiling|上限|\bgap\b",
    re.I,
)
"""In a hub's line that names no MVP: its number is none of a run here."""
_ACCEPTED = re.compile(r"\baccept\w*|验收", re.I)
"""What a plan asks for, which a sentence may call reached."""
_NOT_OURS = re.compile(
    rf"{LITERATURE}|[?？“”「」→]|->|\"[^\"]+\"|\b(?:whether|can)\b|是否|能否", re.I
)
"""In a sentence that claims nothing of the results here: a question, a quotation, a rule."""
_NAME = 6
"""Letters of an MVP's name from which on it names the MVP."""
_STOPS = (";", "；", "。", "|", ". ")
_MOST = 4000
"""Characters of a line beyond which none is looked for."""


@dataclass(frozen=True)
class Named:
    """A number on a line that tells a result."""

    mvps: tuple[str, ...]
    """Bare ids, in their order; empty where the line names none: it may be of any."""
    place: Place


def named_numbers(
    roadmap: Roadmap, hub: Hub | None, reports: Mapping[str, Hub], boards: Iterable[Hub] = ()
) -> Iterator[Named]:
    """The numbers on lines of hub, boards and roadmap that name MVPs, and of gates' result rows.

    And in the prose of MVPs' sections, of the results of reports, bare id -> the MVP's own, and of
    what a hub claims. Not those of rules, specifications and plans.
    """
    yield from _in_roadmap(roadmap)
    if hub:
        rows = hub_rows(roadmap, hub)
        yield from (Named(tuple(sorted(of)), place) for of, place in rows if len(of) != 1)
        yield from _claimed(roadmap, hub)
        for table in _own_tables(hub):
            places = in_table(hub.vocabulary, table)
            yield from (Named((), replace(one, path=hub.document.path)) for one in places)
    for one in (*([hub.document] if hub else []), *(board.document for board in boards)):
        for index in range(one.front_matter_end, len(one.lines)):
            if mvps := _mvps(roadmap, one.line_text(index)):
                yield from _on_line(one, index, mvps, one.path)
        for row, mvps, number in _in_columns(roadmap, one):
            yield Named(mvps, Place(number, row, one.path))
    for mvp, report in reports.items():
        for index in _result_lines(report.document):
            yield from _on_line(report.document, index, (mvp,), report.document.path)


def stray_numbers(roadmap: Roadmap, report: Hub) -> Iterator[Named]:
    """The numbers of a report that no roadmap leads to: of the MVPs of its line, or of its head."""
    document = report.document
    head = next((h.index for h in document.headings if h.level > 1), len(document.lines))
    above = _mvps(roadmap, "\n".join(map(document.line_text, range(head))))
    for index in _result_lines(document):
        mvps = _mvps(roadmap, document.line_text(index)) or above
        yield from _on_line(document, index, mvps, document.path)
    for table in tables_of(document):
        heads = [cell.raw for cell in table.header.cells]
        for row in (row for row in table.rows if not row.is_delimiter):
            mvps = _mvps(roadmap, document.line_text(row.index)) or above
            profile = profile_of(document.line_text(row.index))
            for title, cell in zip(heads, row.cells, strict=False):
                for one in told_in_cell(title, cell.raw):
                    number = replace(one, profile=profile) if one.profile == "full" else one
                    yield Named(mvps, Place(number, row.line, document.path))


def result_sentences(
    roadmap: Roadmap, hub: Hub | None, reports: Mapping[str, Hub]
) -> Iterator[tuple[str, Path | None, int, str]]:
    """(bare id of its MVP, or empty; file; 0-based line; text) of each sentence on results.

    Of conclusions, the prose of MVPs' sections, reports and what a hub claims; no hypotheses,
    plans, questions, quotations, or what is told of papers.
    """
    for one in _result_texts(roadmap, hub, reports):
        mvp, path, index, text = one
        if _OF_HYPOTHESIS.match(text) or _SUPPOSED.search(text) or text.lstrip().startswith(">"):
            continue
        for sentence in sentences_of(plain(text)):
            is_open = NOT_YET.search(_ACCEPTED.sub("", sentence)) or _NOT_OURS.search(sentence)
            if not is_open and not is_cited(sentence):
                yield mvp, path, index, sentence.strip()


def _result_texts(
    roadmap: Roadmap, hub: Hub | None, reports: Mapping[str, Hub]
) -> Iterator[tuple[str, Path | None, int, str]]:
    for entry in roadmap.rows("conclusions"):
        if len(entry.mvps) == 1:
            yield entry.mvps[0], None, entry.line - 1, entry.raw("conclusion")
    tables = {i for first, last in roadmap.document.tables for i in range(first, last)}
    for index, (mvp,) in _sections(roadmap).items():
        if index not in tables and index not in roadmap.document.hidden_lines:
            yield mvp, None, index, roadmap.document.line_text(index)
    for mvp, report in reports.items():
        for index in _result_lines(report.document):
            yield mvp, report.document.path, index, report.document.line_text(index)
    for index in _worded_lines(hub) if hub else ():
        if hub and not _OF_OTHERS.search(text := hub.document.line_text(index)):
            mvps = _mvps(roadmap, text)
            yield mvps[0] if len(mvps) == 1 else "", hub.document.path, index, text


def _worded_lines(hub: Hub) -> Iterator[int]:
    """Those of `_claiming_lines` that are prose, or rows of what is believed."""
    document = hub.document
    tables = {i for first, last in document.tables for i in range(first, last)}
    believed = {e.row.index for kind in _BELIEVED for e in hub.rows(kind)}
    yield from (i for i in _claiming_lines(hub) if i not in tables or i in believed)


def _in_roadmap(roadmap: Roadmap) -> Iterator[Named]:
    document, of_gates, of_sections = roadmap.document, _gate_results(roadmap), _sections(roadmap)
    titles = {heading.index for heading in document.headings}
    entries = {entry.line - 1: entry for view in roadmap.views for entry in view.entries}
    for index in range(document.front_matter_end, len(document.lines)):
        if index in of_gates:
            yield from _on_line(document, index, of_gates[index])
        elif index not in titles:
            own = entries[index].mvps if index in entries else ()
            named = own or _mvps(roadmap, document.line_text(index))
            mvps = dict.fromkeys((*of_sections.get(index, ()), *named))
            is_history = index in entries and entries[index].kind in KINDS
            if mvps or (is_history and not _OF_OTHERS.search(document.line_text(index))):
                yield from _on_line(document, index, tuple(mvps))
    yield from _in_own_tables(roadmap)


def _in_own_tables(roadmap: Roadmap) -> Iterator[Named]:
    """The numbers of tables of models and of metrics in MVPs' sections."""
    of_sections = dict(_told_lines(roadmap))
    for table in _own_tables(roadmap, "key_numbers", "models"):
        if spec := of_sections.get(table.header.index):
            places = in_table(roadmap.vocabulary, table)
            yield from (Named((spec.mvp,), place) for place in places)


def _own_tables(file: Hub | Roadmap, *kinds: str) -> Iterator[Table]:
    """The tables of numbers that are none of MVPs, those of other kinds too."""
    views = {view.table.first: view for view in file.views}
    for table in tables_of(file.document):
        view = views.get(table.first)
        if view is None:
            heads = [cell.raw for cell in table.header.cells]
            is_own = "indicator" in file.vocabulary.columns(heads)
        else:
            is_own = view.kind in ("numbers", *kinds) and "mvp" not in view.columns
        if is_own:
            yield table


def _told_lines(roadmap: Roadmap) -> Iterator[tuple[int, Spec]]:
    """The 0-based lines of MVPs' sections below titles that are not of plans; none of code."""
    document = roadmap.document
    fenced = {i for fence in document.fences for i in range(fence.first, fence.last)}
    titles = {heading.index: heading for heading in document.headings}
    for spec in roadmap.specs:
        inside = True
        for index in range(spec.heading.index + 1, spec.end):
            if heading := titles.get(index):
                inside = not _is_of_plan(heading.title)
            elif inside and index not in fenced:
                yield index, spec


def _sections(roadmap: Roadmap) -> dict[int, tuple[str, ...]]:
    """The 0-based lines of MVPs' sections that may tell results, each with the section's MVP."""
    heads = {i: _HEAD.match(roadmap.document.line_text(i)) for i, _ in _told_lines(roadmap)}
    return {
        index: (spec.mvp,)
        for index, spec in _told_lines(roadmap)
        if (head := heads[index]) is None or not _is_of_plan(head["head"])
    }


def _is_of_plan(title: str) -> bool:
    return bool(_PLANS.search(title) or _SETTINGS.match(title) or _NO_RESULTS.search(title))


def _claimed(roadmap: Roadmap, hub: Hub) -> Iterator[Named]:
    """The numbers of a hub's lines that name no MVP by its id: by its report, its name, or none."""
    document, planned = hub.document, {point.line - 1 for point in hub.next_steps}
    for index in _claiming_lines(hub):
        text = document.line_text(index)
        if not _mvps(roadmap, text):
            mvps = _named_otherwise(roadmap, text)
            if mvps or (index not in planned and not _OF_OTHERS.search(text)):
                yield from _on_line(document, index, mvps, document.path)


def _claiming_lines(hub: Hub) -> Iterator[int]:
    """The 0-based lines of a hub that may claim something of results."""
    document, entries = hub.document, {}
    for view in hub.views:
        for index in range(view.table.first, view.table.last):
            entries[index] = view.kind
    titles = {heading.index for heading in document.headings}
    for index in range(document.front_matter_end, len(document.lines)):
        if index not in titles and entries.get(index) not in _NO_CLAIMS:
            yield index


def _named_otherwise(roadmap: Roadmap, text: str) -> tuple[str, ...]:
    """The MVPs of which a line names the reports, or else those whose names it has."""
    words = folded(plain(text))
    stems = reports_of(roadmap)
    found = [
        mvp
        for stem, mvps in stems.items()
        if stem and any(one and one in text for one in (stem, re.sub(r"[_-]\d{6,8}$", "", stem)))
        for mvp in sorted(mvps)
    ]
    names = [(mvp.id, folded(mvp.name)) for mvp in roadmap.mvps if not found]
    found += [of for of, name in names if len(name) >= _NAME and " " in name and name in words]
    return tuple(dict.fromkeys(found))


def _in_columns(
    roadmap: Roadmap, document: Document
) -> Iterator[tuple[int, tuple[str, ...], Stated]]:
    """The line, MVPs and numbers of the rows of tables that name MVPs, below names of metrics."""
    for table in tables_of(document):
        heads = [cell.raw for cell in table.header.cells]
        rows = (row for row in table.rows if not row.is_delimiter)
        for row in rows if any(map(METRIC.search, heads)) else ():
            mvps = _mvps(roadmap, document.line_text(row.index))
            for head, cell in zip(heads, row.cells, strict=False) if mvps else ():
                yield from ((row.line, mvps, one) for one in told_in_cell(head, cell.raw))


def _result_lines(document: Document) -> Iterator[int]:
    """The 0-based lines of a report's sections of results, tables left out."""
    hidden = {index for first, last in document.tables for index in range(first, last)}
    titles = {heading.index: heading.title for heading in document.headings}
    inside = False
    for index in range(len(document.lines)):
        if index in titles:
            inside = _NO_RESULTS.search(titles[index]) is None
        elif inside and index not in hidden:
            yield index


def _gate_results(roadmap: Roadmap) -> dict[int, tuple[str, ...]]:
    """The 0-based lines of the rows that tell results of gates, each with the gate's MVPs."""
    cells = {gate.result_cell: gate.mvps for gate in roadmap.gates if gate.result_cell}
    return {roadmap.document.line_of(cell.span.start) - 1: mvps for cell, mvps in cells.items()}


def _mvps(roadmap: Roadmap, text: str) -> tuple[str, ...]:
    """The MVPs that a line names by their ids or exp_ids."""
    named = MVP_NAMED.findall(plain(text)) if "MVP" in text.upper() else []
    named += [mvp.id for mvp in roadmap.mvps if mvp.exp_id and mvp.exp_id in text]
    return tuple(dict.fromkeys(one for one in named if one in roadmap.ids.ids))


def _on_line(
    document: Document, index: int, mvps: tuple[str, ...], path: Path | None = None
) -> Iterator[Named]:
    if index in document.hidden_lines:
        return
    text = document.line_text(index)
    if len(text) > _MOST:  # to the end of a clause, or a number is read without its end
        text = text[: max(0, *(text.rfind(stop, 0, _MOST) for stop in _STOPS))]
    profile = profile_of(text)
    headline = profile if profile != "full" else ""
    # Of a law that commas take apart only the whole says that it is one.
    values = {one.value for one in claimed_in(text)}
    supposed = bool(_OF_HYPOTHESIS.match(text)) or _SUPPOSED.search(text) is not None
    for part in _PART.split(as_read(text)) if values else ():
        if NOT_YET.search(part) or (supposed and _HEDGED.search(part)):
            continue
        for number in claimed_in(part):
            if number.value in values:
                yield Named(mvps, Place(number, index + 1, path, headline=headline))
    for count in counts_in(text) if values and not supposed else ():
        yield Named(mvps, Place(count, index + 1, path, headline=headline))
