"""A new gate in a roadmap: a section or a row in the shape of the others, with its rule."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import permutations

from vitlab.contract.paths import UsageError
from vitlab.contract.reading import whole_number
from vitlab.docs.model.gates.conditions import Condition, Manual, read_condition
from vitlab.docs.model.gates.gates import Gate, names_deciding
from vitlab.docs.model.gates.rules import is_condition, is_of_rules, table_rules
from vitlab.docs.model.ids import gate_refs, read_id
from vitlab.docs.model.roadmap import Mvp, Roadmap
from vitlab.docs.model.status_sites import StatusSites
from vitlab.docs.model.table_kinds import Entry
from vitlab.docs.text.edit import Edit
from vitlab.docs.text.inline import cell_text, plain
from vitlab.docs.text.source import Heading, Span
from vitlab.docs.text.tables import Row, Table, insert_row, new_row
from vitlab.docs.write.new_section import gate_title, last_line, new_status, waiting_text
from vitlab.docs.write.rows import add_change_row, by_column, set_column, view_of

_OPERATOR = re.compile(r"\s*(>=|<=|≥|≤|>|<)\s*")
_LED_IN = re.compile(r"(?:若(?!干)|如果|(?:if|when)(?=[\s*_:：]))[\s*_:：]*(?=\S)", re.I)
"""What the row of a rule begins with already."""
_OPPOSITE = {">=": "<", "≥": "<", "<=": ">", "≤": ">", ">": "≤", "<": "≥"}
_SPLIT_OR_LABEL = re.compile(
    r"test|val|validation|train|log_?g|t_?eff|\[m/h\]|m_h|\[?fe/h\]?|测试集?|验证集?", re.I
)
_NUMBERED = re.compile(r"(DP|DG|)(\d{1,9})")
_SECTION = re.compile(r"gate\W*(?:定义|definitions?|规则|rules?)|决策门|门控定义", re.I)
_ABOUT = re.compile(r"\bgates?\b|门控|决策", re.I)
_ID_HEAD = re.compile(r"^\W*(?:(?:decision\s*)?gate|门控|决策门|DP|DG|决策点)\W*$", re.I)
_NAME_HEAD = re.compile(r"名称|name|title|验证|question|问题|目标|goal|what|check", re.I)
_EMPTY = re.compile(r"[-—–\s*_?]*")
_PROBE, _SAYS = "R² > 0.5", {"pass": True, "fail": False}
_HEADS = {"zh": "| 项 | 内容 |", "en": "| Item | Content |"}
_IF, _ABOUT_ITEM = {"zh": "若", "en": "If"}, {"zh": "验证", "en": "Question"}
_STATUS = {"zh": "状态", "en": "Status"}
_YES = {"zh": "✅ 通过", "en": "✅ passed"}


def next_gate_id(roadmap: Roadmap) -> str:
    """The next free number or letter, as most gates have it: `4` -> `5`, `DP2` -> `DP3`."""
    numbered = [m for gate in roadmap.gates if (m := _NUMBERED.fullmatch(gate.id))]
    letters = [gate.id for gate in roadmap.gates if re.fullmatch("[A-Y]", gate.id)]
    named = {
        one.upper()
        for one in re.findall(r"(?<!\w)Gate[-_ ]?(\w+)(?!\w)", roadmap.document.text, re.I)
    }
    if len(letters) > len(numbered) and (new := chr(ord(max(letters)) + 1)) not in named:
        return new
    prefix = numbered[-1][1] if numbered else ""
    counted = [whole_number(m[2]) or 0 for m in numbered if m[1] == prefix]
    number = max(counted, default=0) + 1
    while f"{prefix}{number}" in named:
        number += 1
    return f"{prefix}{number}"


def checked_gate_id(roadmap: Roadmap, wanted: str) -> str:
    """The bare id of a new gate; UsageError for one that is taken or that nothing would read."""
    gate_id = read_id(wanted)
    if gate_refs(f"Gate-{gate_id}") != (gate_id,) and not _NUMBERED.fullmatch(gate_id):
        raise UsageError(f"id {wanted!r}: must be like 5 or Gate-5")
    for gate in roadmap.gates:
        if gate.id.casefold() == gate_id.casefold():
            where = f"{roadmap.document.name}:{gate.line}"
            raise UsageError(
                f"{where}: Gate-{gate.id} is there already ({gate.title or 'no name'})"
            )
    return gate_id


def written_condition(text: str) -> str:
    """A condition as a gate has it: `If test R2 log_g >= 0.6` -> `test log_g R² ≥ 0.6`.

    The words before the operator are put in an order that can be read; others stay as they are.
    """
    given = " ".join(plain(text).split())
    given = given[lead.end() :] if (lead := _LED_IN.match(given)) else given
    shown = re.sub(r"\bR(?:\^2|2)(?![\w.])", "R²", given).replace(">=", "≥").replace("<=", "≤")
    wanted = read_condition(given)
    if not isinstance(wanted, Manual):
        return shown if read_condition(shown) == wanted else given
    parts = _OPERATOR.split(shown, maxsplit=1)
    words = parts[0].split()
    rest = [word for word in words if not _SPLIT_OR_LABEL.fullmatch(word)]
    if len(parts) == 3 and len(words) in (2, 3) and len(rest) == 1:
        for order in permutations(words):
            new = f"{' '.join(order)} {parts[1]} {parts[2]}"
            if not isinstance(read_condition(new), Manual):
                return new
    return given


def opposite(condition: str) -> str:
    """The condition that holds where a readable one does not; empty where that is not certain."""
    parts = _OPERATOR.split(condition)
    if len(parts) != 3 or isinstance(read_condition(condition), Manual):
        return ""
    return f"{parts[0]} {_OPPOSITE[parts[1]]} {parts[2]}"


@dataclass(frozen=True)
class _RuleTexts:
    """The rule of a new gate, as its rows or cells say it."""

    condition: str
    if_yes: str
    if_no: str
    language: str

    @property
    def _yes(self) -> str:
        if not self.if_yes:
            return _YES[self.language]
        return self.if_yes if self.if_yes.startswith("✅") else f"✅ {self.if_yes}"

    @property
    def rules(self) -> list[tuple[str, str]]:
        """(condition, what follows) of each rule."""
        yes = self._yes
        if not self.if_no:
            return [(self.condition, yes)]
        no = self.if_no if self.if_no.startswith(("🔴", "❌")) else f"🔴 {self.if_no}"
        if other := opposite(self.condition):
            return [(self.condition, yes), (other, no)]
        return [(self.condition, self._with_else(yes, self.if_no))]

    def cells(self, heads: list[str]) -> dict[int, str]:
        """The cells of the rule by their column; empty where no column could hold it."""
        holders: dict[bool, int] = {}
        outcomes: dict[bool, int] = {}
        at = then = None
        for column, head in enumerate(heads[1:], 1):
            says = table_rules([heads[0], head, "-"], ["", "then", "-"])
            holds = table_rules([heads[0], head, "-"], ["", _PROBE, "-"])
            follows = table_rules(["", "if", head], ["", _PROBE, "then"])
            if is_condition(head):
                at = at or column
            elif says and says[0].if_ in _SAYS:
                outcomes.setdefault(_SAYS[says[0].if_], column)
            elif follows and follows[0].then == "then":
                then = then or column
            if holds and holds[0].passes is not None:
                holders.setdefault(holds[0].passes, column)
        if at is None:
            return self._in_verdicts({**outcomes, **holders}, then)
        cells = {at: self.condition}
        yes = self._yes
        lost = self.if_no if False not in outcomes else ""
        if True in outcomes and not lost:
            cells[outcomes[True]] = self.if_yes
        elif then is not None or True in outcomes:
            cells[then or outcomes[True]] = self._with_else(yes, lost)
        elif self.if_yes or lost:
            cells[at] = self._with_else(f"{self.condition} → {yes}", lost)
        if False in outcomes:
            cells[outcomes[False]] = self.if_no
        return cells

    def _in_verdicts(self, columns: dict[bool, int], then: int | None) -> dict[int, str]:
        """The cells where a table has a column of conditions for each verdict."""
        if True not in columns:
            return {}
        lost = self.if_no if False not in columns else ""
        text = self._yes if lost or then is not None else self.if_yes
        cells = {columns[True]: self.condition}
        if then is not None:
            cells[then] = self._with_else(text, lost)
        elif text:
            cells[columns[True]] = self._with_else(f"{self.condition} → {text}", lost)
        if False in columns:
            parts = (opposite(self.condition), self.if_no)
            cells[columns[False]] = " → ".join(part for part in parts if part)
        return cells

    def _with_else(self, text: str, no: str) -> str:
        if not no:
            return text
        word = "；否则 " if self.language == "zh" else "; else "
        return f"{text}{word}{no if no.startswith(('🔴', '❌')) else f'🔴 {no}'}"


@dataclass(frozen=True)
class GateEdits:
    """The edits that add one gate to a roadmap."""

    roadmap: Roadmap
    gate: str
    """Bare id, checked to be free."""
    name: str
    condition: str
    """As `written_condition` gives it."""
    mvp: Mvp | None = None
    if_yes: str = ""
    if_no: str = ""
    date: str = ""
    """YYYY-MM-DD, of the change log's row."""

    def all(self) -> list[Edit]:
        """Every place: its section or row, its row of progress, the MVP's gate, the change log."""
        word = "新增" if self.roadmap.language == "zh" else "Added"
        log = f"{word} {self.title}: {self.name}"
        row, section = [], []
        if self._row:
            row = [insert_row(self.roadmap.document, *self._row)]
        else:
            section = self._section()
        # At one place, as at the document's end, rows come before what follows their table.
        return [
            *row,
            *self._progress(),
            *self._of_mvp(),
            *add_change_row(self.roadmap, log, "-", self.date),
            *section,
        ]

    @property
    def title(self) -> str:
        return gate_title(self.gate)

    @property
    def _language(self) -> str:
        return self.roadmap.language

    @cached_property
    def _mvp(self) -> str:
        return f"MVP-{self.mvp.id}" if self.mvp else "-"

    @cached_property
    def _rule(self) -> _RuleTexts:
        return _RuleTexts(self.condition, self.if_yes, self.if_no, self.roadmap.language)

    # A row in a table of gates.

    @cached_property
    def _row(self) -> tuple[Table, dict[int, str]] | None:
        """The table of gates with rules in rows, and the cells of the new one; None for none."""
        roadmap = self.roadmap
        if any(self._heading(gate) for gate in roadmap.gates):
            return None
        tables = [v.table for v in roadmap.views if v.kind in ("gate_progress", "gaps")]
        for table in sorted([*tables, *roadmap.unknown], key=lambda table: table.first):
            heads = [cell.text for cell in table.header.cells]
            if _ID_HEAD.match(heads[0]) and (cells := self._rule.cells(heads)):
                return table, self._filled(table, cells)
        return None

    def _filled(self, table: Table, cells: dict[int, str]) -> dict[int, str]:
        heads = [cell.raw for cell in table.header.cells]
        columns = self.roadmap.vocabulary.columns(heads)
        last = table.rows[-1].cells[0].raw if table.rows and table.rows[-1].cells else "Gate-"
        bare = plain(last)
        own = self.title if not bare[:1].isdigit() else self.gate.lstrip("DPG")
        own = re.sub(r"^Gate-", "G", own) if re.match(r"G\d", bare) else own
        own = own.replace("-", "") if re.match(r"(?:DP|DG|Gate)\d", bare, re.I) else own
        cells[0] = f"**{own}**" if last.startswith("**") else own
        waits = new_status(self.roadmap)
        mvp = self._mvp
        decides = (i for i, head in enumerate(heads) if names_deciding(head))
        if self.mvp and "mvp" not in columns and (column := next(decides, 0)):
            columns = {**columns, "mvp": column}
        at = columns.get("mvp", 0)
        if self.mvp and table.rows and at < len(table.rows[-1].cells):
            named = plain(table.rows[-1].cells[at].raw)
            mvp = self.mvp.id if named == self.roadmap.ids.known(named) else mvp
        for name, text in (("mvp", mvp), ("status", waits)):
            if name in columns:
                cells.setdefault(columns[name], text)
        free = [i for i in range(1, len(heads)) if i not in cells]
        about = [i for i in free if _NAME_HEAD.search(heads[i])]
        about = about or [i for i in free if i == 1 and not is_of_rules(heads[i])]
        if about:
            cells[about[0]] = self.name
        else:
            cells[0] = f"{cells[0]}: {self.name}"
        return cells

    # A section of its own.

    def _heading(self, gate: Gate) -> Heading | None:
        headings = self.roadmap.document.headings
        return next((h for h in headings if h.index + 1 == gate.line), None)

    def _section(self) -> list[Edit]:
        document = self.roadmap.document
        headings = [h for gate in self.roadmap.gates if (h := self._heading(gate))]
        if headings:
            like = max(headings, key=lambda heading: heading.index)
            end = document.section_end(like)
            marker = document.text[document.line_span(like.index).start : like.span.start]
            marker = marker if "#" in marker else "#" * like.level + " "
            lines = [f"{marker}{self._title_like(like)}", "", *self._items(like.index, end)]
            last = last_line(document, like.index, end)
        else:
            above = self._place()
            level = min(above.level + 1, 6) if above else 3
            lines = [f"{'#' * level} {self.title}: {self.name}", "", *self._items(0, 0)]
            if above is None:  # no place for gates yet: the document's end
                lines = ["## 🚦 Decision Gates", "", *lines]
                last = last_line(document, 0, len(document.lines))
            else:
                last = last_line(document, above.index, self._end_of(above))
        at, newline = document.line_span(last).end, document.newline
        return [Edit(Span(at, at), "", newline + newline.join(["", *lines]))]

    def _end_of(self, above: Heading) -> int:
        """Where a new gate stands below a heading: at its end, or before its first part."""
        document = self.roadmap.document
        end = document.section_end(above)
        if _SECTION.search(plain(above.title)):
            return end
        return min([end, *(h.index for h in document.headings if h.index > above.index)])

    def _place(self) -> Heading | None:
        headings = self.roadmap.document.headings
        for wanted in (_SECTION, _ABOUT):
            for heading in headings[0 if wanted is _SECTION else 1 :]:
                if wanted.search(plain(heading.title)) and heading.level < 6:
                    return heading
        return None

    def _title_like(self, like: Heading) -> str:
        """`Gate-5: name` in the shape of another gate's heading."""
        found = re.match(
            r"(?P<head>\W*(?:\d+(?:\.\d+)*[.)、]?\s+)?\W*)"
            r"(?P<word>(?:Decision\s+|决策\s*)?(?:Gates?|门控|决策门|DP|DG|G|Decision\s*Point|决策点))"
            r"(?P<dash>[-–—_ ]?)(?P<id>\w[\w.]*?)(?P<gap>\s*(?:[:：—–]|-\s)\s*|\s+|$)",
            plain(like.title),
            re.I,
        )
        if found is None:
            return f"{self.title}: {self.name}"
        head = found["head"]
        number = re.search(r"(\d+)([.)、]?\s*)$", head)
        if number and (last := whole_number(number[1])) is not None:
            new = f"{head[: number.start()]}{last + 1}{number[2]}"
            titles = [plain(h.title) for h in self.roadmap.document.headings]
            head = "" if any(title.startswith(new) for title in titles) else new
        if any(self.roadmap.vocabulary.read(char) for char in head.split()):
            head = ""
        own = re.sub("^(DP|DG)", "", self.gate)
        gap = found["gap"] or ": "
        return f"{head}{found['word']}{found['dash']}{own}{gap}{cell_text(self.name)}"

    def _items(self, first: int, end: int) -> list[str]:
        """The table of the gate, with the items and in the layout of another one's."""
        roadmap, language = self.roadmap, self._language
        entries = [e for e in roadmap.rows("facts") if first < e.row.index < end]
        view = view_of(roadmap, entries[0]) if entries else None
        word = next((w for e in entries if (w := _if_word(e.text("item")))), _IF[language])
        bold = "**" if entries and entries[0].raw("item").startswith("**") else ""
        status = self._status(entries)
        about = next((e.text("item") for e in entries if not _is_own(roadmap, e)), "")
        items = [(about or _ABOUT_ITEM[language], self.name), ("MVP", self._mvp)]
        labelled = word.endswith(" A") or re.fullmatch(r"若\s*A", word)
        for number, (condition, then) in enumerate(self._rule.rules):
            if labelled:
                items.append((f"{word[:-1]}{'AB'[number]}", f"{condition} → {then}"))
            else:
                items.append((f"{word} {condition}", then))
        items.append((_STATUS[language], status))
        items += [(e.text("item"), "-") for e in entries if _is(roadmap, e, "result")][:1]
        if view is None:
            rows = [f"| {item} | {cell_text(text)} |" for item, text in _safe(items)]
            return [_HEADS[language], "|----|------|", *rows]
        document, columns = roadmap.document, (view.columns["item"], view.columns["content"])
        rows = [
            new_row(document, view.table, {columns[0]: f"{bold}{item}{bold}", columns[1]: text})
            for item, text in items
        ]
        heads = (view.table.first, view.table.first + 1)
        return [*(document.line_text(index) for index in heads), *rows]

    def _status(self, entries: list[Entry]) -> str:
        """A status that waits, as the other gate writes its own."""
        sites = StatusSites(self.roadmap)
        lines = {e.row.index for e in entries if _is(self.roadmap, e, "status")}
        site = next((s for s in sites if s.index in lines), None)
        return waiting_text(sites, site) if site else new_status(self.roadmap)

    # The other places.

    def _progress(self) -> list[Edit]:
        """A row in the table of progress, unless that holds the rules themselves."""
        roadmap = self.roadmap
        view = next((v for v in roadmap.views if v.kind == "gate_progress"), None)
        if view is None or (self._row and view.table is self._row[0]):
            return []
        like: Row | None = view.entries[-1].row if view.entries else None
        raw = view.entries[-1].raw("gate") if view.entries else ""
        own = f"**{self.title}**" if raw.startswith("**") else self.title
        status = new_status(roadmap)
        values = {"gate": own, "name": self.name, "mvp": self._mvp, "status": status}
        return [insert_row(roadmap.document, view.table, by_column(view, values), like)]

    def _of_mvp(self) -> Iterator[Edit]:
        """The gate in the row of its MVP, where that names none yet."""
        if self.mvp and self.mvp.in_overview and _EMPTY.fullmatch(self.mvp.entry.text("gate")):
            yield from set_column(self.roadmap, self.mvp.entry, "gate", self.title)


def _safe(items: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(cell_text(item), text) for item, text in items]


def _is(roadmap: Roadmap, entry: Entry, column: str) -> bool:
    return column in roadmap.vocabulary.columns([entry.raw("item")])


def _is_own(roadmap: Roadmap, entry: Entry) -> bool:
    """Whether an item is the MVP, a rule, the status or the result, and not what is asked."""
    named = any(_is(roadmap, entry, column) for column in ("mvp", "status", "result"))
    return named or bool(_if_word(entry.text("item")))


def _if_word(item: str) -> str:
    """`若`, `If`, `若A`: what an item with a rule begins with; empty for others."""
    found = re.match(r"(?:若|如果|If|When)(?:\s*A(?![\w²^]))?", plain(item), re.I)
    return found.group() if found else ""


def added_gate(old: Roadmap, new: Roadmap, gate_id: str) -> Gate:
    """The gate that edits added; UsageError where they did more or less than that."""
    before = [replace(gate, line=0, status_cell=None, result_cell=None) for gate in old.gates]
    after = [replace(gate, line=0, status_cell=None, result_cell=None) for gate in new.gates]
    added = [gate for gate in after if gate not in before]
    if len(after) != len(before) + 1 or [g.id for g in added] != [gate_id]:
        raise UsageError(
            f"{old.document.name}: a gate {gate_id} in this document's form would not be read as "
            "one; nothing was written"
        )
    return new.gate(gate_id)


def is_as_given(gate: Gate, condition: str) -> bool:
    """Whether the first rule of a gate is a condition, and one that can be judged."""
    wanted: Condition = read_condition(condition)
    first = gate.rules[0].condition if gate.rules else Manual("")
    return not isinstance(wanted, Manual) and first == wanted
