"""Decision gates as the roadmap defines them: sections, rows, MVPs, statuses and rules."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from vitlab.docs.model.gates.conditions import Manual, Otherwise
from vitlab.docs.model.gates.rules import (
    Rule,
    bullet_rules,
    is_condition,
    is_of_rules,
    listed_rules,
    read_rules,
    rules_of_table,
    table_rules,
    with_context,
    with_subject,
)
from vitlab.docs.model.gates.rules import rules_of as rules_of_row
from vitlab.docs.model.ids import HEADING_NUMBER, IdIndex, gate_refs
from vitlab.docs.model.table_kinds import Entry, View
from vitlab.docs.model.vocabulary import STRUCK, ParsedStatus, Vocabulary
from vitlab.docs.text.inline import plain
from vitlab.docs.text.source import Document, Heading
from vitlab.docs.text.tables import Cell, Table

_POINT = r"DP|DG|Decision\s*Point|决策点"
_HEADING = re.compile(
    rf"^[^\w]*(?:{HEADING_NUMBER}[^\w]*)?(?:"
    r"(?:Decision\s+|决策\s*|门控\s+)?(?:Gate|门控|决策门)"
    r"(?:[-–—_ ]?G?(?P<number>\d[\w.]*)|[-–—_](?P<name>[A-Za-z][\w.]*)"
    r"|\s+(?P<letter>[A-Z])(?=\s*[:：]))"
    r"|(?P<short>G)[-–—_]?(?P<short_number>\d[\w.]*)(?=\s*[:：—–(（])"
    rf"|(?P<point>{_POINT})\s*[-–—_]?\s*(?P<point_number>\d[\w.]*))"
    r"(?![/、,，&])\s*(?:[:：—–｜|-]\s*)?(?P<title>.*)$",
    re.I,
)
_HEADING_STATUS = re.compile(
    r"\s*(?P<mark>[(（【]?\s*(?:[\u2300-\u27bf\u2b00-\u2bff\U0001f300-\U0001faff]\ufe0f?).*)$"
)
_ABOUT_GATES = re.compile(r"gates?\b|门控|决策", re.I)
_NUMBERS = ("number", "name", "letter", "short_number", "point_number")
_SEPARATOR = re.compile(r"\s*[:：—–(（]")
_IN_BRACKETS = re.compile(r"^\s*[(（][^()（）]*[)）]\s*[:：]\s*")
_AT_END = re.compile(r"(?<!\s)\s*[(（]\s*MVPs?[-_: ]?[\dA-Z.,，、/&+ -]+[)）]\s*$")
_LISTED = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+(?:\[[ xX]\]\s+)?(?P<text>.+)$")
_ID_HEAD = re.compile(
    r"^\W*(?:(?:decision\s*)?gate|门控|决策门|门|DP|DG|decision point|决策点)\W*$", re.I
)
_KEYED = re.compile(
    r"^\s*(?:[-*+]\s+|\d+[.)]\s+)?(?P<key>[^:：]{1,30}?)\s*[:：]\s*(?P<value>\S.*)$"
)
_NEEDS = re.compile(
    r"^\W*(?:depends? on|dependenc(?:y|ies)|needs|requires?|prerequisites?|based on|decided by|test"
    r"|tests|experiments?|evidence|依赖|前置|前置实验|依据|证据|实验|对应实验|输入)\W*$",
    re.I,
)
_AFTER = re.compile(
    r"[(（][^()（）]*(?:依赖|前置|需要?|等待?|之后|后启动|基于|对比|相对|基线|depends? on|needs?"
    r"|requires?|after|waits? for|vs\.?|baseline)[^()（）]*[)）]",
    re.I,
)
"""Brackets that name what an MVP waits for, or is compared with: `MVP-2.0（依赖 MVP-1.1）`."""
_ONE = r"(?:MVP[-–—_ ]?\w[\w.-]*|\d[\w.-]*)"
_COMPARED = re.compile(
    r"(?:\bvs\.?|\bversus\b|对比|相对(?:于)?|依赖|\bdepends? on\b|\bafter\b)[\s*_:：]*"
    rf"{_ONE}(?:\s*[/&和与]\s*{_ONE})*",
    re.I,
)
_BRACKETS = re.compile(r"[(（\[【][^()（）\[\]【】]*[)）\]】]")
_JOINT = re.compile(r"[,，、;；&+/]|\b(?:and|or)\b|或者?|[和与及]")
_LEAD = re.compile(rf"[\s*_`]*MVP[-–—_ ]?\w[\w.-]*(?:\s*(?:[~～–—]|至|到|to)\s*{_ONE})?", re.I)
_QUANTITY = re.compile(r"(?:h|hours?|d|days?|dex|[KkM]|params?|epochs?|GB)\b|天|小时|万|[%σ]")
_ASIDE = re.compile(
    r"对比|比较|除外|取消|作废|废弃|稍后|compar|cancel|excluded|dropped|\blater\b|\bnot\b", re.I
)
"""Behind an MVP: it is no longer, or not, among those that decide."""
_FURTHER = re.compile(
    r"\W*(?:附加|额外|同时|并且|[且和](?![A-Za-z])|还[需要须]|前提|种子数?|seeds?\b|also\b|and\b|additional"
    r"|further|provided|precondition|extra)",
    re.I,
)
"""Opens a row or an item that limits something besides the rules."""
_LIMITED = re.compile(r"[<>≥≤≧≦]|Gate[-–_ ]?\w|通过|\d", re.I)
_OF_STARS = re.compile(r"\W*(?:数据|样本|恒星|data|sample|stars|SNR|S/N|信噪|mag|星等)", re.I)
_ABOUT = re.compile(r"指标|metric|验证|目标|验收|goal|question|check|问题|检验|what", re.I)


@dataclass(frozen=True)
class Gate:
    """One decision gate."""

    id: str
    """Bare: `1`, `DP1`."""
    title: str
    status: str | None
    status_text: str
    """The status as written; empty when there is none."""
    rules: tuple[Rule, ...]
    mvps: tuple[str, ...]
    """Bare ids of the MVPs that decide it."""
    line: int
    """1-based line of its heading, or of its row where it has no section."""
    status_cell: Cell | None
    parsed: ParsedStatus | None
    """The status, offsets in `status_text`."""
    result_cell: Cell | None = None

    @property
    def is_left_to_a_person(self) -> bool:
        """Whether it has rules, none of which can be judged by numbers."""
        read = [r for r in self.rules if not isinstance(r.condition, Manual | Otherwise)]
        return bool(self.rules) and all(rule.is_consequence for rule in read)


@dataclass(frozen=True)
class _Source:
    """What gates are read from."""

    document: Document
    views: Sequence[View]
    unknown: Sequence[Table]
    vocabulary: Vocabulary
    ids: IdIndex

    @cached_property
    def _skipped(self) -> frozenset[int]:
        """The 0-based lines that are code, comment or table."""
        document = self.document
        blocks = [*document.tables, *((fence.first, fence.last) for fence in document.fences)]
        return document.hidden_lines.union(*(range(*block) for block in blocks))

    @cached_property
    def _tables(self) -> list[tuple[Table, View | None]]:
        tables = [*((view.table, view) for view in self.views), *((t, None) for t in self.unknown)]
        return sorted(tables, key=lambda of: of[0].first)

    def tables(self, first: int, end: int) -> list[tuple[Table, View | None]]:
        """The tables between two 0-based lines, in order; None for one of no known kind."""
        start, stop = (
            bisect_left(self._tables, line, key=lambda of: of[0].first) for line in (first + 1, end)
        )
        return self._tables[start:stop]

    def lines(self, heading: Heading) -> Iterator[tuple[int, str]]:
        """The other lines of a section, 0-based."""
        for index in range(heading.index + 1, self.document.section_end(heading)):
            if index not in self._skipped:
                yield index, self.document.line_text(index)


def gates_of(
    document: Document,
    views: Sequence[View],
    unknown: Sequence[Table],
    vocabulary: Vocabulary,
    ids: IdIndex,
) -> tuple[Gate, ...]:
    """Every gate: those with a section in order, then those that only have a row of a table.

    `unknown`: the tables of no known kind. A row adds to its section what that does not say.
    """
    source = _Source(document, views, unknown, vocabulary, ids)
    gates: dict[str, Gate] = {}
    mvps: dict[str, tuple[str, ...]] = {}
    inside = 0
    for heading in document.headings:
        match = _HEADING.match(plain(heading.title))
        # `G1` alone is a gate only where gates are what a section is about.
        if match and _gate_id(match) not in gates and not (match["short"] and not inside):
            gates[_gate_id(match)] = _section_gate(source, heading, match)
        if not inside or heading.level <= inside:
            inside = heading.level if _ABOUT_GATES.search(heading.title) else 0
    sections = set(gates)
    for gate in [*_row_gates(source), *_listed_gates(source)]:
        known = gates.setdefault(gate.id, gate)
        if gate.id in sections:
            mvps[gate.id] = (*mvps.get(gate.id, ()), *gate.mvps)
        if not known.rules and gate.rules:
            known = gates[gate.id] = replace(known, rules=gate.rules)
        if not known.status_text and gate.parsed:
            gates[gate.id] = replace(
                known, status=gate.status, status_text=gate.status_text, parsed=gate.parsed
            )
    of = _of_overview(views)
    return tuple(
        gate if gate.mvps else replace(gate, mvps=_each(mvps.get(gate.id) or of.get(gate.id, [])))
        for gate in gates.values()
    )


def _each(mvps: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(mvps))


def _of_overview(views: Sequence[View]) -> dict[str, list[str]]:
    """Gate -> the MVPs whose rows of the overview name it."""
    found: dict[str, list[str]] = {}
    for row in (entry for view in views if view.kind == "overview" for entry in view.entries):
        for gate_id in {*(row.gates or _id_of("", row.text("gate")))}:
            found.setdefault(gate_id, []).extend(row.mvps)
    return found


def deciding(text: str, ids: IdIndex) -> tuple[str, ...]:
    """The MVPs that a text lists, without those it names beside them, whatever for.

    `MVP-1.0 (ViT), MVP-1.1` has two, `MVP-1.0 (not MVP-1.1)` and `MVP-1.0, affects MVP-1.1` one.
    """
    own = _COMPARED.sub("", _AFTER.sub("", plain(STRUCK.sub("", text))))
    outside = _BRACKETS.sub(lambda m: m[0] if any(m[0] in one for one in ids.ids) else " ", own)
    found: list[str] = []
    for item in _JOINT.split(outside if ids.refs(outside) else own):
        if not (named := ids.refs(item)):
            continue
        lead = _LEAD.match(item) if found else _LEAD.search(item)
        if lead is not None:
            of_lead, rest = ids.refs(lead.group()), item[lead.end() :]
            named = of_lead if any(map(ids.known, of_lead)) else named[:1]  # `MVP-16T (V2)`
            found += () if found and _ASIDE.search(rest) else named
        elif (bare := ids.opening(item)) is None:
            break  # from here on others are named
        elif not found or not _QUANTITY.match(bare[1]):  # `1.0, 1.1`, no `1.0, 2.0 h`
            found += named
    return _each(found) or ids.refs(text)


def names_deciding(head: str) -> bool:
    """Whether a column holds what decides about a gate: `Decided by`, `依据`."""
    return _NEEDS.match(plain(head)) is not None


def gate_opening(text: str) -> str | None:
    """The bare id of the one gate that a text opens with, as a heading does; None for none."""
    match = _HEADING.match(text)
    return _gate_id(match) if match else None


def row_gate(head: str, cell: str) -> str | None:
    """The bare id of the one gate of a row by its first cell and that cell's header."""
    found = _id_of(head, cell) if len(gate_refs(cell)) < 2 else ()
    return found[0] if found else None


def _gate_id(match: re.Match[str]) -> str:
    if match["point"]:
        letters = "DG" if match["point"].upper() == "DG" else "DP"
        return letters + match["point_number"].rstrip(".")
    return str(match["number"] or match["name"] or match["letter"] or match["short_number"])


def _section_gate(source: _Source, heading: Heading, match: re.Match[str]) -> Gate:
    end = source.document.section_end(heading)
    title, mark = match["title"], ""
    trail = _HEADING_STATUS.search(title)
    if trail and source.vocabulary.read(trail["mark"].lstrip("(（【 ")):
        title, mark = title[: trail.start()], trail["mark"].strip("()（）【】 ")
    bracket = _IN_BRACKETS.match(title) or _AT_END.search(title)
    named = source.ids.refs(bracket.group()) if bracket else ()
    if bracket and named:
        title = title[: bracket.start()] + title[bracket.end() :]
    facts = _Facts(source)
    for _, view in source.tables(heading.index, end):
        for entry in view.entries if view and view.kind == "facts" else ():
            facts.add(entry.cells.get("item"), entry.cells.get("content"))
    found = _table_rules(source, heading.index, end, facts)
    facts.rules += found
    if not facts.found:
        for _, line in source.lines(heading):
            facts.add_line(line)
    rules = facts.rules or bullet_rules(source.document, heading.index, end)
    rules = rules or listed_rules(line for _, line in source.lines(heading))
    about = [*facts.about, title]
    rules = with_subject(with_context(rules, about), about, facts.stars)
    further = [*facts.further, *_further_items(source, heading)]
    if further:  # a person sees whether it holds too
        rules = tuple(
            rule
            if rule.is_consequence
            else replace(rule, condition=Manual(f"{rule.if_}; {further[0]}"))
            for rule in rules
        )
    written = facts.status.raw if facts.status else facts.status_text or mark
    parsed = source.vocabulary.read(written)
    return Gate(
        _gate_id(match),
        title.strip(),
        parsed.status if parsed else None,
        written,
        rules,
        facts.mvps or named,
        heading.index + 1,
        facts.status,
        parsed,
        facts.result,
    )


class _Facts:
    """What the rows or lines of a gate's section say."""

    def __init__(self, source: _Source) -> None:
        self._source = source
        self.rules: tuple[Rule, ...] = ()
        self.mvps: tuple[str, ...] = ()
        self.about: list[str] = []
        self.further: list[str] = []
        self.stars: list[tuple[str, str]] = []
        """Rows on the stars or their spectra, `SNR | 10`."""
        self.status: Cell | None = None
        self.status_text = ""
        self.result: Cell | None = None
        self.found = False

    def add(self, item: Cell | None, content: Cell | None) -> None:
        """A row of a table of items."""
        if item is None or content is None:
            return
        columns = self._source.vocabulary.columns([item.raw])
        self.found |= bool({"status", "result", "mvp"} & {*columns})
        if "status" in columns and self.status is None:
            self.status = content
        elif "result" in columns:
            self.result = content
        else:
            self._add_text(item.raw, content.raw)

    def add_line(self, line: str) -> None:
        """A line `key: value` of a section without such a table."""
        match = _KEYED.match(plain(line))
        if match is None:
            return
        columns = self._source.vocabulary.columns([match["key"]])
        if "status" in columns:
            self.status_text = match["value"]
        elif "mvp" in columns or _ABOUT.search(match["key"]):
            self._add_text(match["key"], match["value"])

    def _add_text(self, item: str, content: str) -> None:
        if "mvp" in self._source.vocabulary.columns([item]) or _NEEDS.match(plain(item)):
            self.mvps = self.mvps or deciding(content, self._source.ids)
        elif rules := rules_of_row(item, content):
            self.rules += rules
        elif _FURTHER.match(plain(item)) and _LIMITED.search(content):
            self.further.append(f"{plain(item)} {plain(content)}")
        elif _OF_STARS.match(plain(item)):
            self.stars.append((plain(item), plain(content)))
        elif _ABOUT.search(item):
            # A line that names the metric comes before one that says what is looked at.
            first = 0 if re.search(r"指标|metric", item, re.I) else len(self.about)
            self.about.insert(first, content)


def _further_items(source: _Source, heading: Heading) -> Iterator[str]:
    """The items of a section that name a further condition: `- 同时要求 MAE < 0.2`."""
    for _, line in source.lines(heading):
        item = _LISTED.match(line)
        text = plain(item["text"]) if item else ""
        if _FURTHER.match(text) and re.search("[<>≥≤]", text):
            yield text


def _table_rules(source: _Source, first: int, end: int, facts: _Facts) -> tuple[Rule, ...]:
    """The rules in the tables of conditions between two 0-based lines, and the MVPs they name."""
    rules: list[Rule] = []
    for table, view in source.tables(first, end):
        headers = [cell.raw for cell in table.header.cells]
        of_others = headers and _ID_HEAD.match(plain(headers[0]))
        if of_others or (view and view.kind in ("facts", "runs", "numbers")):
            continue
        rows = [[cell.raw for cell in row.cells] for row in table.rows if not row.is_delimiter]
        if view is None and len(headers) == 2:
            rules += () if all(map(is_of_rules, headers)) else rules_of_row(*headers)
            for row in table.rows:
                if len(row.cells) > 1 and not row.is_delimiter:
                    facts.add(row.cells[0], row.cells[1])
            if any(rule.if_ != "else" for rule in facts.rules):
                continue
            # With an else alone, the rows above it are conditions that begin without an if.
            facts.rules = () if rules_of_table(headers, rows) else facts.rules
        if not rules and (found := rules_of_table(headers, rows)):
            rules += found
            at = source.vocabulary.columns(headers).get("mvp")
            named = [cells[at] for cells in rows if at is not None and at < len(cells)]
            facts.mvps = facts.mvps or _each([i for x in named for i in deciding(x, source.ids)])
    return tuple(rules)


def _row_gates(source: _Source) -> Iterator[Gate]:
    """The gates that have a row, in a progress table or in one whose first column names them."""
    for view in source.views:
        if view.kind == "gate_progress":
            headers = [cell.raw for cell in view.table.header.cells]
            for entry in view.entries:
                title = entry.text("name") or entry.text("question")
                rules = with_subject(_rules_of_cells(headers, entry), [title], [])
                texts = {name: cell.raw for name, cell in entry.cells.items()}
                cells = [cell.raw for cell in entry.row.cells]
                mvps = _mvps_of_row(source, headers, cells, texts)
                for gate_id in entry.gates[:1] or _id_of("gate", entry.text("gate")):
                    yield Gate(
                        gate_id, title, entry.status, entry.raw("status"), rules, mvps,
                        entry.line, None, entry.parsed,
                    )  # fmt: skip
    points = [view.table for view in source.views if view.kind == "gaps"]
    for table in sorted([*source.unknown, *points], key=lambda table: table.first):
        yield from _rows_of(source, table)


def _listed_gates(source: _Source) -> Iterator[Gate]:
    """The gates that are items of a list in a section on gates: `- **Gate-1**: R² > 0.7 → ...`."""
    for heading in source.document.headings:
        if not _ABOUT_GATES.search(heading.title) or _HEADING.match(plain(heading.title)):
            continue
        for index, line in source.lines(heading):
            item = _LISTED.match(line)
            text = plain(item["text"]) if item else ""
            match = _HEADING.match(text)
            if match is None or not _SEPARATOR.match(text, max(map(match.end, _NUMBERS))):
                continue  # a sentence about a gate
            title, parsed = match["title"], None
            rule = _IN_BRACKETS.sub("", title)
            pieces = re.split(r"(?=[✅❌⏳🚀🔄🔴🔆⚠🗑⏸])", text)
            for piece in pieces:
                parsed = parsed or source.vocabulary.read(piece)
            last = source.vocabulary.read(pieces[-1])
            if last and last.verdict:  # with why, and no part of the rule
                rule = rule.partition(_IN_BRACKETS.sub("", pieces[-1]))[0]
            rules = listed_rules([f"- {rule}"])
            yield Gate(
                _gate_id(match), title.strip(), parsed.status if parsed else None, "",
                with_subject(with_context(rules, []), [title], []), source.ids.refs(title),
                index + 1, None, None,
            )  # fmt: skip


def _rules_of_cells(headers: Sequence[str], entry: Entry) -> tuple[Rule, ...]:
    cells = [cell.raw for cell in entry.row.cells]
    return with_context(table_rules(headers, cells), cells[1:])


def _rows_of(source: _Source, table: Table) -> Iterator[Gate]:
    headers = [cell.raw for cell in table.header.cells]
    if not headers or not _ID_HEAD.match(plain(headers[0])):
        return
    columns = source.vocabulary.columns(headers)
    for row in table.rows:
        cells = [cell.raw for cell in row.cells]
        gate_id = "".join(_id_of(plain(headers[0]), plain(cells[0]))) if cells else ""
        if not gate_id:
            continue
        texts = {name: cells[i] for name, i in columns.items() if i < len(cells)}
        rules = with_context(table_rules(headers, cells), cells[1:])
        status = source.vocabulary.read(texts.get("status", ""))
        title = plain(cells[1]) if len(cells) > 1 and len(headers) > 2 else ""
        if len(headers) > 1 and (is_of_rules(headers[1]) or _NEEDS.match(plain(headers[1]))):
            title = ""
        rules = with_subject(rules, [title], [])
        yield Gate(
            gate_id,
            title,
            status.status if status else None,
            texts.get("status", ""),
            rules,
            _mvps_of_row(source, headers, cells, texts),
            row.line,
            None,
            status,
        )


def _mvps_of_row(
    source: _Source, headers: Sequence[str], cells: Sequence[str], texts: Mapping[str, str]
) -> tuple[str, ...]:
    """The MVPs that decide a row's gate: of their own column, or those its condition names."""
    if "mvp" in texts:
        return deciding(texts["mvp"], source.ids)
    pairs = list(zip(map(plain, headers), cells, strict=False))[1:]
    needs = [deciding(cell, source.ids) for head, cell in pairs if _NEEDS.match(head)]
    rules = [rule for head, cell in pairs if is_condition(head) for rule in read_rules(cell)]
    named = [source.ids.refs(rule.if_) for rule in rules]
    return next((ids for ids in [*needs, *named] if ids), ())


def _id_of(head: str, cell: str) -> tuple[str, ...]:
    """The id in the first cell of a gate's row: `Gate-1`, `DP-2`, or a number alone."""
    if match := _HEADING.match(cell):
        return (_gate_id(match),)
    if found := gate_refs(cell):
        return found[:1]
    number = re.match(r"^\W*(?:(?:G|门控|决策门|门|Gate)\s*[-–—_]?\s*)?(\d[\w.]*)\b", cell, re.I)
    number = number or re.match(r"^\W*(?:Gate\s+)?([A-Z])\W*$", cell)
    point = re.search(_POINT, head, re.I)
    prefix = ("DG" if point[0].upper() == "DG" else "DP") if point else ""
    return (prefix + number[1].rstrip("."),) if number else ()
