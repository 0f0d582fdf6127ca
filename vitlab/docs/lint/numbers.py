"""Numbers of one experiment that differ in two places that state the same one."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby, islice
from pathlib import Path

from vitlab.docs.lint.compared import claimed_in
from vitlab.docs.lint.finding import Finding, file_name
from vitlab.docs.lint.stated import METRIC, Stated, number_of, numbers_in, profile_of, words_of
from vitlab.docs.lint.told import LITERATURE, NOT_YET, told_in_cell
from vitlab.docs.model.gates.conditions import is_model, model_key
from vitlab.docs.model.headers import NOT_OF_ONE
from vitlab.docs.model.hub import Hub
from vitlab.docs.model.roadmap import Mvp, Roadmap
from vitlab.docs.model.table_kinds import Entry
from vitlab.docs.model.vocabulary import Vocabulary
from vitlab.docs.text.inline import plain
from vitlab.docs.text.source import Document
from vitlab.docs.text.tables import Table, tables_of

_RESULT_ITEM = re.compile(
    r"(?:(?:final|test|actual|最终|测试|实际|实测)\s?)?(?:结果|当前|实测值?|results?|current|measured|outcome)",
    re.I,
)
_SURELY = re.compile(r"test|final|actual|measured|测试|最终|实际|实测", re.I)
"""In the first cell of a row: what stands beside it was measured."""
_OF_PAPERS = re.compile(LITERATURE, re.I)
_MODEL_ITEMS = ("模型", "架构", "model", "architecture")
_CONCLUSION = re.compile(r"结论|总结|摘要|一句话|conclusion|summary|tl;?dr|takeaway", re.I)
_DECIDING = re.compile(r"(?:ep|seed)\d")
_AT_SNR = re.compile(r"\b(?:mag|snr|s/n)\b|星等", re.I)
_TEST_SIZE = re.compile(r"/\s*\d+(?:\.\d+)?[kM]\b")
_SIZE = re.compile(r"\d+(?:\.\d+)?[km]")
_RUN = re.compile(r"run\d+")
MOST_CELLS = 200
"""Of a row, that may hold results: wider ones are data."""
MVP_NAMED = re.compile(r"(?<![A-Za-z])(?i:MVP)[-_ –\u2011]?([A-Za-z0-9]+(?:[.-][A-Za-z0-9]+)*)")


@dataclass(frozen=True)
class Place:
    """A number where it stands."""

    number: Stated
    line: int
    """1-based."""
    path: Path | None = None
    """None: in the roadmap."""
    own: frozenset[str] = frozenset()
    """The words beside it, which need not be repeated elsewhere."""
    run: str = ""
    """The run that its row is of; empty for none."""
    headline: str = ""
    """The profile that the first number of its sentence or cell is marked with; empty for none."""

    def may_be(self, other: Place, context: frozenset[str]) -> bool:
        """Whether two places state the same number; `context`: the words of their experiment."""
        one, two = self.number, other.number
        same = (one.metric, one.split, one.profile) == (two.metric, two.split, two.profile)
        if not same or (self.run and other.run and self.run != other.run):
            return False
        sizes, others = self._sizes, other._sizes
        if sizes and others and sizes.isdisjoint(others):
            return False
        mine = one.words - two.words - context - other.own
        return not mine and not two.words - one.words - context - self.own

    @property
    def _sizes(self) -> frozenset[str]:
        return _sizes_in(self.number.words) | _sizes_in(self.own)


@lru_cache(maxsize=1024)  # it is asked for each pair of numbers
def _sizes_in(words: frozenset[str]) -> frozenset[str]:
    return frozenset(filter(_SIZE.fullmatch, words))


Group = Sequence[Place]
"""The places of one table, row or file: they are compared with those of others."""


def differing_numbers(
    roadmap: Roadmap, hub: Hub | None, reports: Mapping[str, Hub]
) -> Iterator[Finding]:
    """Every number that another place states otherwise, each compared with the first that has it.

    Only numbers of one metric, split, label, profile, seed and model are compared; where it is
    not sure that they are the same, nothing is said. `reports`: bare id -> the MVP's own report.
    """
    for mvp, groups in _groups(roadmap, hub, reports):
        yield from _differing(roadmap, mvp, groups)


def stated_numbers(
    roadmap: Roadmap, hub: Hub | None, reports: Mapping[str, Hub], mvps: Container[str]
) -> Iterator[tuple[str, Place]]:
    """The numbers in places of results, each with the bare id of its MVP, one of `mvps`."""
    for mvp, groups in _groups(roadmap, hub, reports, mvps):
        yield from ((mvp.id, place) for group in groups for place in group)


def _groups(
    roadmap: Roadmap,
    hub: Hub | None,
    reports: Mapping[str, Hub],
    mvps: Container[str] | None = None,
) -> Iterator[tuple[Mvp, list[Group]]]:
    in_hub = list(_in_hub(roadmap, hub)) if hub else []
    for mvp in {mvp.id: mvp for mvp in reversed(roadmap.mvps)}.values():
        if mvps is not None and mvp.id not in mvps:
            continue
        groups: list[Group] = list(_in_roadmap(roadmap, mvp))
        if mvp.id in reports:
            groups.append(list(_in_report(reports[mvp.id])))
        groups += [[place] for name, place in in_hub if name == mvp.id]
        if mvps is None:  # what may be another number is no contradiction
            groups = [[one for one in group if not one.number.is_loose] for group in groups]
        yield mvp, groups


_OF_ALL = re.compile(r"(?:run|ep|seed)\d+|log_?g|log|g")
_OTHER_LABEL = re.compile(r"t_?eff|m_h|fe_?h")
_SURER = ("test", "val", None, "train")


def stated_r2(roadmap: Roadmap, mvp: Mvp) -> str | None:
    """The R2 that the roadmap states of an MVP, as `0.713`; of several runs in a table the best.

    Of the test set if it states that, else of validation; None where it states none, or several.
    """
    context = _context(roadmap, mvp)
    groups = []
    for group in _in_roadmap(roadmap, mvp):
        r2 = [p for p in group if p.number.metric == "r2" and not p.number.is_loose]
        own = [p for p in r2 if _is_of_all(p, context)]
        if len(own) == len(r2) or all(p.own or _names_model(p) for p in r2 if p not in own):
            groups.append(own)  # else a sentence says something of another number
    for split, full in ((split, full) for full in (True, False) for split in _SURER):
        for group in groups:
            places = [
                place
                for place in group
                if (place.number.split, place.number.profile == "full") == (split, full)
            ]
            best = max((place.number for place in places), key=lambda one: one.value, default=None)
            if best is not None:
                one = all(place.run or place.number.same_as(best) for place in places)
                mark = "" if full else f" ({best.profile})"
                return f"{best.value:.{best.decimals}f}{mark}" if one else None
    return None


def _is_of_all(place: Place, context: frozenset[str]) -> bool:
    """Whether a number is surely the MVP's own, of log g and all stars, as nothing says else."""
    if not all(map(_OF_ALL.fullmatch, place.number.words - context)):
        return False
    here, known = ({model_key(word) for word in words} for words in (place.own, context))
    named = {model for model in here if is_model(model)}
    of_others = named and not named & known and any(map(is_model, known))
    return not of_others and not any(map(_OTHER_LABEL.fullmatch, place.own))


def _names_model(place: Place) -> bool:
    return any(is_model(model_key(word)) for word in place.number.words)


def _differing(roadmap: Roadmap, mvp: Mvp, groups: Sequence[Group]) -> Iterator[Finding]:
    context = _context(roadmap, mvp)
    for number, group in enumerate(groups):
        for same in _alike(group):
            others = (_candidates(same, other, context) for other in groups[:number])
            first = next((found for found in others if found), [])
            values = {place.number.value for place in first}
            if len(same) != 1 or len(values) != 1 or same[0].number.same_as(first[0].number):
                continue
            here, there = same[0], first[0]
            if any(_is_other_seed(one.number, here.number) for one in group):
                continue  # the other place may state their mean
            where = f"line {there.line}"
            if there.path != here.path:
                where += f" of {there.path.name if there.path else file_name(roadmap.document)}"
            what = f"{here.number.text} of MVP {mvp.id}"
            message = f"{what} here, and {there.number.text} on {where}"
            yield Finding(here.line, "number-conflict", message, path=here.path)


def _is_other_seed(other: Stated, one: Stated) -> bool:
    """Whether a number is of the same run as `one`, with a seed in its name: `MLP seed=43`."""
    more = other.words - one.words
    seeds = bool(more) and all(re.fullmatch(r"seed\d+", word) for word in more)
    return seeds and one.words <= other.words and other.metric == one.metric


def _alike(group: Group) -> Iterator[list[Place]]:
    """The places of a group that state one number, one of each value."""

    def key(place: Place) -> tuple[str, ...]:
        one = place.number
        return one.metric, one.split or "", one.profile, place.run, *sorted(one.words)

    for _, places in groupby(sorted(group, key=key), key):
        yield list({place.number.value: place for place in places}.values())


def _candidates(same: Sequence[Place], group: Group, context: frozenset[str]) -> list[Place]:
    """The places of another group that state what `same` states, or those of them that it names."""
    found = [place for place in group if all(one.may_be(place, context) for one in same)]
    words = same[0].number.words
    named = [place for place in found if words and words <= place.own | place.number.words]
    found = named or found
    equal = [p for p in found if any(p.number.same_as(one.number) for one in same)]
    return equal[:1] or found


def _context(roadmap: Roadmap, mvp: Mvp) -> frozenset[str]:
    """The words that say nothing more of a number of this MVP: its id, its name, its only model."""
    facts = [
        entry.text("content")
        for spec in roadmap.sections.get(mvp.id, ())
        for entry in spec.facts
        if entry.text("item").casefold() in _MODEL_ITEMS
    ]
    words = words_of(" ".join([mvp.id, f"mvp-{mvp.id}", mvp.name, *facts]))
    models = {word for word in words if is_model(model_key(word))}
    return words - models if len(set(map(model_key, models))) > 1 else words


def _in_roadmap(roadmap: Roadmap, mvp: Mvp) -> Iterator[Group]:
    """The numbers of an MVP: in tables, then in conclusions, progress of gates, its section."""
    for view in roadmap.views:
        if "mvp" in view.columns:
            rows = [one for one in view.of_one.get(mvp.id, ()) if _is_of(roadmap, one, mvp)]
            heads = [cell.raw for cell in view.table.header.cells]
            yield [place for row in rows for place in _in_row(roadmap, heads, row)]
    sentences = [
        (entry, column)
        for kind, columns in (("conclusions", ("key_metric", "conclusion")),
                              ("gate_progress", ("result",)))
        for entry in roadmap.rows(kind)
        if _is_of(roadmap, entry, mvp)
        for column in columns
    ]  # fmt: skip
    facts = [entry for spec in roadmap.sections.get(mvp.id, ()) for entry in spec.facts]
    sentences += [(e, "content") for e in facts if _RESULT_ITEM.fullmatch(e.text("item"))]
    for entry, column in sentences:
        yield list(_in_sentences(entry.raw(column), entry.line))
    yield from ([number] for entry in facts for number in _in_fact(entry))


def _in_fact(entry: Entry) -> Iterator[Place]:
    """The number of a row of a specification that is a result: `实测 R² | 0.71`, `结果 | 0.71`."""
    item, content = entry.text("item"), entry.raw("content")
    is_named = METRIC.search(item) is not None
    if NOT_YET.search(item) or not (is_named or _RESULT_ITEM.fullmatch(item)):
        return
    number = number_of(item if is_named else "R²", content)
    if number and (is_named or (number.decimals > 1 and 0 < number.value < 1)):
        is_sure = is_named and _SURELY.search(item) is not None
        text = f"{item} {number.text.split()[-1]}"
        yield Place(replace(number, is_loose=not is_sure, text=text), entry.line)


def _in_sentences(text: str, line: int, path: Path | None = None) -> Iterator[Place]:
    """The numbers of a cell or a line of sentences: the mark of the first may be that of all."""
    numbers = list(claimed_in(text))
    first = numbers[0].profile if numbers else "full"
    headline = first if first != "full" else ""
    yield from (Place(number, line, path, headline=headline) for number in numbers)


def _is_of(roadmap: Roadmap, entry: Entry, mvp: Mvp) -> bool:
    if entry.mvps != (mvp.id,):
        return False
    own = roadmap.ids.opening(entry.raw("mvp"))
    if own is None:
        return True
    return own[0] == mvp.id and not NOT_OF_ONE.search(own[1].replace(mvp.name or mvp.id, ""))


def _in_row(roadmap: Roadmap, heads: Sequence[str], entry: Entry) -> Iterator[Place]:
    opening = roadmap.ids.opening(entry.raw("mvp"))
    run = " ".join(sorted(words_of(opening[1]))) if opening and entry.kind == "numbers" else ""
    cells = [cell.raw for cell in entry.row.cells]
    own = words_of(" ".join(cells))
    deciding = " ".join(word for word in own if _DECIDING.match(word))
    for head, cell in islice(zip(heads, cells, strict=False), MOST_CELLS):
        for number in told_in_cell(head, cell):
            yield Place(number.with_words(deciding), entry.line, None, own, run)


def _in_report(report: Hub) -> Iterator[Place]:
    """The numbers of a report: its tables, and the sentences of its head and its conclusion."""
    document = report.document
    for table in tables_of(document):
        for place in in_table(report.vocabulary, table):
            yield replace(place, path=document.path)
    for index in conclusion_lines(document):
        yield from _in_sentences(document.line_text(index), index + 1, document.path)


def in_table(vocabulary: Vocabulary, table: Table) -> Iterator[Place]:
    """The numbers below the names of metrics, or beside them; none of plans and limits."""
    heads = [cell.raw for cell in table.header.cells]
    columns = vocabulary.columns(heads)
    rows = [row for row in table.rows if row.cells and not row.is_delimiter]
    named, is_of_models = columns.get("indicator"), columns.get("method") == 0
    told = [at for at, head in enumerate(heads) if not NOT_YET.search(plain(head))]
    value = next((at for at in told if named is not None and at > named), 0)
    kind = heads[0] if _OF_PAPERS.search(heads[0]) else ""
    for row in rows:
        cells = dict(enumerate(cell.raw for cell in row.cells))
        own = words_of(" ".join(cells.values()))
        if NOT_YET.search(plain(cells.get(named or 0, ""))):
            continue
        if named is not None:
            beside = cells.get(columns.get("value", value), "")
            condition = cells.get(columns.get("condition", -1), "")
            for number in _named_numbers(cells.get(named, ""), beside, condition):
                yield Place(number, row.line, own=own)
            continue
        first = words_of(f"{cells[0]} {kind}")
        runs = {word for word in first if _RUN.fullmatch(word)}
        # The only row is that of the experiment, unless it is a model's.
        of = first - runs if len(rows) > 1 or is_of_models or kind else ()
        more = " ".join([*of, *(word for word in own if _DECIDING.match(word))])
        for at in (told[1:] if told[:1] == [0] else told)[:MOST_CELLS]:
            if found := number_of(heads[at], cells.get(at, "")):
                profile = profile_of(f"{cells[at]} {cells[0]} {heads[at]}")
                number = replace(found, profile=profile).with_words(more)
                yield Place(number, row.line, own=own, run=" ".join(runs))


def _named_numbers(indicator: str, value: str, condition: str) -> Iterator[Stated]:
    """The numbers of a row such as `ViT R² (test) | 0.711 | 1M/10k`, or `ViT (test) | R²=0.711`."""
    more = " ".join(word for word in words_of(condition) if _DECIDING.match(word))
    if _AT_SNR.search(condition):
        more += f" {condition}"
    if number := number_of(indicator, value):
        profile = profile_of(f"{indicator} {value}")
        yield replace(number, profile=profile).with_words(more)
        return
    for number in numbers_in(value):
        yield number.with_words(f"{indicator} {more}")


def conclusion_lines(document: Document) -> Iterator[int]:
    """The 0-based lines of a report's head and of its sections of conclusions, tables left out."""
    hidden = set(document.hidden_lines)
    for first, last in (*document.tables, *((f.first, f.last) for f in document.fences)):
        hidden.update(range(first, last))
    titles = {heading.index: heading for heading in document.headings}
    inside = True
    for index in range(len(document.lines)):
        if heading := titles.get(index):
            inside = bool(_CONCLUSION.search(heading.title)) or heading.level == 1
        elif inside and index not in hidden:
            yield index


def _in_hub(roadmap: Roadmap, hub: Hub) -> Iterator[tuple[str, Place]]:
    """The numbers of a hub's tables that name one MVP, or its report, with that MVP."""
    rows = hub_rows(roadmap, hub)
    return ((next(iter(mvps)), place) for mvps, place in rows if len(mvps) == 1)


def hub_rows(roadmap: Roadmap, hub: Hub) -> Iterator[tuple[set[str], Place]]:
    """The numbers of a hub's tables of numbers, each with the MVPs that its row or source names."""
    reports = reports_of(roadmap)
    for entry in (*hub.key_numbers, *hub.numbers):
        cells = [cell.raw for cell in entry.row.cells]
        named = {
            i for cell in cells for i in MVP_NAMED.findall(plain(cell)) if i in roadmap.ids.ids
        }
        source = entry.text("source") or entry.text("evidence")
        sources = {i for stem, ids in reports.items() if _is_stem(source, stem) for i in ids}
        indicator = entry.raw("indicator") or entry.raw("method")
        condition = entry.raw("condition") or entry.raw("config")
        own = words_of(_TEST_SIZE.sub("", " ".join(cells)))
        for number in _named_numbers(indicator, entry.raw("value"), condition):
            yield named or sources, Place(number, entry.line, hub.document.path, own)


def reports_of(roadmap: Roadmap) -> Mapping[str, set[str]]:
    """The name of each report's file, without its ending -> the MVPs that link to it."""
    reports: dict[str, set[str]] = {}
    for mvp in roadmap.mvps:
        stem = (mvp.report or "").rpartition("/")[2].partition(".")[0]
        reports.setdefault(stem, set()).add(mvp.id)
    return reports


def _is_stem(source: str, stem: str) -> bool:
    """Whether a source is a report, by its file's name with or without the date."""
    name = source.rpartition("/")[2].partition(".")[0].strip()
    return bool(stem and name) and (name == stem or re.sub(r"[_-]\d{6,8}$", "", stem) == name)
