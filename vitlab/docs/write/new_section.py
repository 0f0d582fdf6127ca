"""The section of a new MVP: a heading and a table in the shape of those before it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from vitlab.contract.reading import whole_number
from vitlab.docs.model.gates.gates import Gate
from vitlab.docs.model.mvps import Spec
from vitlab.docs.model.roadmap import Roadmap
from vitlab.docs.model.status_sites import StatusSite, StatusSites
from vitlab.docs.text.edit import Edit
from vitlab.docs.text.inline import cell_text, plain
from vitlab.docs.text.source import Document, Heading, Span
from vitlab.docs.text.tables import new_row
from vitlab.docs.write.rows import view_of

_SPECS = re.compile(
    r"MVP\W*(?:规格|详细|详情|设计|spec|detail)|实验(?:规格|设计|详情)|experiment (?:spec|detail)",
    re.I,
)
_BRACKETS = {"(": ")", "（": "）", "【": "】", "[": "]"}
_EMPHASIS = re.compile(r"\*{1,3}|~~|__|`")
_SEPARATOR = re.compile(r"[\s*_~`]*(?:[:：|·–—-]+[\s*_~`]*|\s+)")
_AIMS = re.compile(r"目标|目的|核心问题|goal|aim|objective|question|purpose", re.I)
_HYPOTHESIS = re.compile(r"假设|hypothesis", re.I)
_ACCEPTED = re.compile(r"验收|通过标准|acceptance|criteri|success", re.I)
_LEFT_OPEN = re.compile(
    r"数据|模型|训练|方法|变量|特征|输入|依赖|对照|指标|data|model|training|method|variables?|input"
    r"|depends(?: on)?|baseline|metrics?",
    re.I,
)
_LISTED = re.compile(
    r"(?P<before>[\s>]*[-*+] +\**)[^\s*:：][^*:：]{0,20}(?P<after>\**[:：]\** *)(?=\S)"
)
_ITEMS = {"zh": ("目标", "数据", "模型", "验收"), "en": ("Goal", "Data", "Model", "Acceptance")}
_HEADS = {"zh": ("项", "配置"), "en": ("Item", "Content")}


def gate_title(gate_id: str) -> str:
    """A gate as a new text names it, by its bare id: `Gate-5`, `DP-2`."""
    point = re.fullmatch(r"(DP|DG)(\d+)", gate_id)
    return f"{point[1]}-{point[2]}" if point else f"Gate-{gate_id}"


@dataclass(frozen=True)
class Wanted:
    """What a section is about."""

    mvp: str
    name: str
    phase: str
    status: str
    """As the document's overview writes it."""
    gate: Gate | None = None
    hypothesis: str = ""

    def aim(self, language: str) -> str:
        """What it is for, in one line."""
        test, decide = ("检验", "验证") if language == "zh" else ("Test", "Decide")
        if self.hypothesis:
            return f"{test} {self.hypothesis}"
        return f"{decide} {gate_title(self.gate.id)}: {self.gate.title}" if self.gate else self.name

    @property
    def accepted(self) -> str:
        """The conditions of its gate; `-` without one."""
        rules = self.gate.rules[:1] if self.gate else ()
        return "; ".join(rule.if_ for rule in rules) or "-"


def section_edits(roadmap: Roadmap, wanted: Wanted) -> list[Edit]:
    """The section, after the last one of its phase; none in a roadmap without such sections."""
    document = roadmap.document
    specs = [spec for spec in roadmap.specs if spec.heading.title.strip()]
    if not specs:
        return _first_section(roadmap, wanted)
    phases = {mvp.id: mvp.phase or "" for mvp in roadmap.mvps}
    stem = wanted.mvp.partition(".")[0]
    kin = [s for s in specs if wanted.phase and plain(phases.get(s.mvp, "")) == wanted.phase]
    kin = kin or [spec for spec in specs if spec.mvp.partition(".")[0] == stem]
    like = (kin or specs)[-1]
    start = document.line_span(like.heading.index).start
    marker = document.text[start : like.heading.span.start]
    quote = re.match(r"[\s>]*", marker).group()  # type: ignore[union-attr]  # may be empty
    if "#" not in marker:
        marker = quote + "#" * like.heading.level + " "  # underlined
    lines = [
        f"{marker}{_title(roadmap, like, wanted)}",
        quote.rstrip(),
        *_body(roadmap, like, wanted),
    ]
    before = [_ruled_above(document, spec.heading) for spec in specs]
    rule = ["", "---"] if sum(before) * 2 > len(before) and len(before) > 1 else []
    at = document.line_span(last_line(document, like.heading.index, like.end)).end
    newline = document.newline
    return [Edit(Span(at, at), "", newline + newline.join([*rule, quote.rstrip(), *lines]))]


def _first_section(roadmap: Roadmap, wanted: Wanted) -> list[Edit]:
    """The first section of all, below the heading that announces them; none without one."""
    document = roadmap.document
    above = next((h for h in document.headings if _SPECS.search(plain(h.title))), None)
    if above is None:
        return []
    level = min(above.level + 1, 5)
    lines = []
    if wanted.phase and above.level == 1:
        lines = [f"## Phase {wanted.phase}", ""]
        level = 3
    colon = ": "
    lines += [f"{'#' * level} MVP-{wanted.mvp}{colon}{wanted.name}", ""]
    lines += _body(roadmap, None, wanted)
    at = document.line_span(last_line(document, above.index, document.section_end(above))).end
    newline = document.newline
    return [Edit(Span(at, at), "", newline + newline.join(["", *lines]))]


def last_line(document: Document, first: int, end: int) -> int:
    """The last line of a section that is neither empty nor a rule."""
    last = end - 1
    while last > first and re.fullmatch(r"[\s>]*(?:[-*_]{3,}\s*)?", document.line_text(last)):
        last -= 1
    return last


def _ruled_above(document: Document, heading: Heading) -> bool:
    above = heading.index - 1
    while above > 0 and not document.line_text(above).strip():
        above -= 1
    return bool(re.fullmatch(r"\s*[-*_]{3,}\s*", document.line_text(above)))


def _title(roadmap: Roadmap, like: Spec, wanted: Wanted) -> str:
    """A heading like that of another MVP, with the id, name and status of this one."""
    title = like.heading.title
    named = re.search(rf"MVP[-–_ :\u2010-\u2012\u2212]?{re.escape(like.mvp)}(?!\w)", title, re.I)
    if named is None:
        return f"MVP-{wanted.mvp}: {wanted.name}"
    base = like.heading.span.start
    sites = StatusSites(roadmap)
    own = [s for s in sites if s.kind == "heading" and s.index == like.heading.index]
    head = title[: named.start()]
    for site in (s for s in own if s.span.end <= base + named.start()):
        head = head.replace(site.text, waiting_text(sites, site))
    head = _next_number(roadmap, _EMPHASIS.sub("", head))
    found = _SEPARATOR.match(title, named.end())
    between = _EMPHASIS.sub("", found.group()) if found else ": "
    text = f"{head}MVP-{wanted.mvp}{between}{cell_text(wanted.name)}"
    behind = [s for s in own if s.span.start >= base + named.end()]
    if not behind:
        return text
    site = behind[-1]
    opener = re.search(r"(\s*)([(（【\[]?)\s*$", title[: site.span.start - base])
    blank, bracket = opener.groups() if opener else ("", "")
    gap = blank or ("" if bracket in ("（", "【") else " ")
    return f"{text}{gap}{bracket}{waiting_text(sites, site)}{_BRACKETS.get(bracket, '')}"


def waiting_text(sites: StatusSites, site: StatusSite) -> str:
    """A status that waits, written as a site writes its own, without what else stands there."""
    bare = site.bare(site.glyph, site.word)
    parsed = sites.roadmap.vocabulary.read(bare)
    if parsed is None:
        return sites.sure_glyph("planned")
    return sites.spell(replace(site, text=bare, parsed=parsed), "planned")


def new_status(roadmap: Roadmap) -> str:
    """A status that waits: as the overview writes one, or else by its glyph."""
    sites = StatusSites(roadmap)
    text = sites.new_text("planned")
    bare = text == "planned" and not roadmap.rows("overview")
    return sites.sure_glyph("planned") if bare else text


def _next_number(roadmap: Roadmap, head: str) -> str:
    """The number before an MVP in a heading, one further: `3.4 ` -> `3.5 `; dropped where taken."""
    number = re.search(r"(\d+)([.)、]?\s*)$", head)
    if number is None or (last := whole_number(number[1])) is None:
        return head
    new = f"{head[: number.start()]}{last + 1}{number[2]}"
    taken = any(h.title.startswith(new) for h in roadmap.document.headings)
    return re.sub(r"[\d.]+[.)、]?\s*$", "", head) if taken else new


def _body(roadmap: Roadmap, like: Spec | None, wanted: Wanted) -> list[str]:
    """The table of the section, with the items that those of other MVPs have."""
    language = roadmap.language
    model = like if like and like.facts else None
    model = model or next((spec for spec in reversed(roadmap.specs) if spec.facts), None)
    if model is None:
        items = [(item, _content(roadmap, item, wanted)) for item in _ITEMS[language]]
        if like and (bullet := _bullet(roadmap.document, like)):
            before, after = bullet
            rows = [pair for pair in _with_gate(items[:1], wanted) if pair[1] != "-"]
            return [f"{before}{item}{after}{content}" for item, content in rows]
        rows = list(_with_gate(items, wanted))
        table = [f"| {item} | {cell_text(content)} |" for item, content in rows]
        return [f"| {' | '.join(_HEADS[language])} |", "|----|------|", *table]
    document, view = roadmap.document, view_of(roadmap, model.facts[0])
    texts = [
        (item, content)
        for item in _usual_items(roadmap)
        if (content := _content(roadmap, item, wanted)) is not None
    ]
    if not any(_AIMS.fullmatch(plain(item)) for item, _ in texts):
        texts.insert(0, (_ITEMS[language][0], wanted.aim(language)))
    columns = view.columns["item"], view.columns["content"]
    cells = [dict(zip(columns, pair, strict=True)) for pair in _with_gate(texts, wanted)]
    return [
        document.line_text(view.table.first),
        document.line_text(view.table.first + 1),
        *(new_row(document, view.table, row) for row in cells),
    ]


def _bullet(document: Document, like: Spec) -> tuple[str, str] | None:
    """What stands around the items of a section that is a list: `- **`, `**: `."""
    for index in range(like.heading.index + 1, like.end):
        if found := _LISTED.match(document.line_text(index)):
            return found["before"], found["after"]
    return None


def _usual_items(roadmap: Roadmap) -> list[str]:
    """The items that at least every third section has, in the order of their first use."""
    sections = [{plain(entry.raw("item")) for entry in spec.facts} for spec in roadmap.specs]
    counts = Counter(item for items in sections for item in items)
    first = {
        plain(e.raw("item")): e.raw("item")
        for s in reversed(roadmap.specs)
        for e in reversed(s.facts)
    }
    order = dict.fromkeys(plain(e.raw("item")) for s in roadmap.specs for e in s.facts)
    least = sum(map(bool, sections)) / 3
    return [first[item] for item in order if counts[item] >= least]


def _with_gate(
    texts: Sequence[tuple[str, str | None]], wanted: Wanted
) -> Iterator[tuple[str, str]]:
    for number, (item, content) in enumerate(texts):
        yield item, content or "-"
        named = any("gate" in plain(each).casefold() for each, _ in texts)
        if number == 0 and wanted.gate and not named:
            bold = "**" if item.startswith("**") else ""
            yield f"{bold}Gate{bold}", gate_title(wanted.gate.id)


def _content(roadmap: Roadmap, item: str, wanted: Wanted) -> str | None:
    """What stands beside an item; `-` for what a person fills in, None for what is left out."""
    word = plain(item).strip()
    columns = roadmap.vocabulary.columns([item])
    if "status" in columns:
        return wanted.status
    if word.casefold() == "gate":
        return gate_title(wanted.gate.id) if wanted.gate else None
    if _HYPOTHESIS.fullmatch(word):
        return wanted.hypothesis or "-"
    if _AIMS.fullmatch(word):
        return wanted.aim(roadmap.language)
    if _ACCEPTED.match(word):
        return wanted.accepted
    return "-" if _LEFT_OPEN.fullmatch(word) else None
