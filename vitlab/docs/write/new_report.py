"""The report of a new MVP before there are results, and how results come into it later."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import quote

from vitlab.contract.job import PROFILES
from vitlab.docs.model.gates.gates import Gate
from vitlab.docs.model.report_head import head_lines
from vitlab.docs.model.roadmap import Roadmap
from vitlab.docs.text.edit import Edit
from vitlab.docs.text.inline import cell_text, code, plain
from vitlab.docs.text.source import Document, Heading, Span
from vitlab.docs.write.new_files import filled, slug, template
from vitlab.docs.write.new_section import Wanted, gate_title

_FIELD = re.compile(
    r"\*\*(?P<key>[^*:：|]{1,20})[:：]\*\*[ \t]*(?P<value>[^|\r\n]*?)[ \t]*(?=\||$)"
)
_OPEN = re.compile(r"(?:[-—–?]+|TODO|TBD|待定|待填|N/A|`?[\[<][^\]>]*[\]>]`?)?")
_BLANK = re.compile(r"[\s>]*(?:[-*_]{3,}|-|TODO|TBD|待填|<!--.*-->)?\s*")
_TITLES = (
    r"(?:核心)?结论(?:速览)?|conclusions?|key findings",
    r"(?:实验)?(?:目标|目的|问题)|objectives?|goals?|question",
    r"实验设计|设置|setup|experiment design",
    r"(?:实验|数值)?结果|results",
    r"(?:实验)?图表|figures",
    r"下一步(?:计划|方向|工作)?|next steps?",
    r"复现|执行命令|reproduce",
)
"""The titles that sections of a report with the same content have."""
_AIM, _RESULTS = _TITLES[1], _TITLES[3]
_COMMAND = re.compile(
    rf"vitlab run (?P<mvp>\S{{1,80}}) --profile (?P<profile>{'|'.join(PROFILES)})\b"
)
_RULE_AFTER = re.compile(r"\r?\n-{3,}[ \t]*\Z")


_UNSAFE_IN_LINK = re.compile(r"[\x00-\x20\x7f\x85\u2028\u2029()<>|`\\%\[\]]")
"""What is escaped in the target of a link inside a cell."""


def report_link(report: str) -> str:
    """A link to a report by its path, titled by its name without the date."""
    title = re.sub(r"(?:_\d{8})?\.md$", "", report.rpartition("/")[2])
    target = _UNSAFE_IN_LINK.sub(lambda match: quote(match.group()), report)
    return f"[{cell_text(title)}]({target})"


@dataclass(frozen=True)
class Skeleton:
    """What is known of an experiment before it runs."""

    roadmap: Roadmap
    mvp: str
    name: str
    date: str
    """YYYY-MM-DD."""
    gate: Gate | None = None
    hypothesis: str = ""
    hub: str = ""
    """The hub's path from the report's folder; empty for none."""
    back: str = ""
    """The roadmap's path from the report's folder."""

    def file_names(self) -> Iterator[str]:
        """`exp_<topic>_<name>_<yyyymmdd>.md`; with the MVP's id where no row can link to it.

        Then other names, for where another report has the first.
        """
        topic = slug(self.roadmap.meta.get("topic", "").strip("`< >"))
        name = slug(self.name) or f"mvp_{slug(self.mvp)}"
        stem = name if not topic or name.startswith(topic) else f"{topic}_{name}"
        linked = any(v.kind == "overview" and "report" in v.columns for v in self.roadmap.views)
        own = f"mvp_{re.sub(r'[^A-Za-z0-9]+', '_', self.mvp)}"
        stems = ([stem] if linked else []) + [f"{own}_{stem}"]
        counted = (f"{own}_{count}_{stem}" for count in itertools.count(2))
        for each in itertools.chain(stems, counted):
            yield f"exp_{each[:60].strip('_')}_{re.sub('[^0-9]', '', self.date)}.md"

    @property
    def _head(self) -> dict[str, str]:
        meta = self.roadmap.meta
        status = self.roadmap.vocabulary.legend.get("planned", ("⏳", ""))
        return {
            "name": cell_text(self.name),
            "topic": meta.get("topic", "").strip("`< >") or slug(self.name),
            "mvp": self.mvp,
            "project": meta.get("project", "").strip("`< >"),
            "author": meta.get("author", ""),
            "date": self.date,
            "status": " ".join(part for part in status if part),
        }

    def text(self) -> str:
        """The report, its parts in order and without results."""
        language = self.roadmap.language
        wanted = Wanted(self.mvp, self.name, "", "", self.gate, self.hypothesis)
        aims = [wanted.aim(language)]
        if self.gate and self.hypothesis:
            aims.append(f"{gate_title(self.gate.id)}: {self.gate.title}")
        if self.gate and self.gate.rules:
            aims.append(f"{'判据' if language == 'zh' else 'Criterion'}: {wanted.accepted}")
        identity, _, statement = self.hypothesis.partition(":")
        hypothesis = f"| {identity} | {cell_text(statement) or '-'} | ⏳ | - |\n"
        hub = self.hub.rpartition("/")[2]
        text = filled(
            template(f"report_{language}"),
            {
                "exp_id": "-",
                **self._head,
                "slug": self._head["topic"],
                "roadmap": self.back,
                "roadmap_name": self.back.rpartition("/")[2],
                "hub_row": f"| 🧠 Hub | [`{hub}`]({self.hub}) |\n" if self.hub else "",
                "hypothesis_row": hypothesis if self.hypothesis else "",
                "aims": "\n".join(f"- {aim}" for aim in aims),
            },
        )
        return text.replace("\n", self.roadmap.document.newline)

    def fill(self, document: Document) -> list[Edit]:
        """The edits that fill the empty fields in the head of a report that exists."""
        known = {**self._head, "mvp": f"MVP-{self.mvp}"}
        return head_edits(document, {key: value for key, value in known.items() if value})


def head_edits(document: Document, values: Mapping[str, str]) -> list[Edit]:
    """Fill the fields `**Key:** value` of a report's head that are empty; the others stay."""
    edits = []
    for index in head_lines(document):
        base = document.line_span(index).start
        for field in _FIELD.finditer(document.line_text(index)):
            value = values.get(plain(field["key"]).strip().casefold(), "")
            if value and _OPEN.fullmatch(field["value"].strip()):
                span = Span(base + field.start("value"), base + field.end("value"))
                blank = "" if document.text[span.start - 1] in " \t" else " "
                edits.append(Edit(span, document.slice(span), blank + value))
    return edits


def results_edits(
    document: Document,
    text: str,
    exp_id: str,
    is_own: Callable[[str], bool] = lambda _: False,
) -> list[Edit]:
    """The edits that bring a report's results into a file that exists.

    `text`: the whole report. Where an earlier launch was reported, of the same profile or a cheaper
    one, each part that still is as it was written (`is_own`, asked with the text of one) is
    replaced. Else a part whose heading stands there with nothing below it is filled; the others
    follow at the end; without such a part all of it, below a rule. None where all of it stands
    there already.
    """
    new = Document(text)
    parts = [h for h in new.headings if h.level == 2]
    if all(_body(new, part) in document.text for part in parts):
        return []
    block = _block_of_launch(document, text)
    replaced = {id(part): _replaced(document, new, part, block, is_own) for part in parts}
    found = [edit for edit in replaced.values() if edit]
    head = _replaced_head(document, new, block, is_own) if found else []
    parts = [part for part in parts if not replaced[id(part)]]
    added = _added(document, new, parts, exp_id, is_update=bool(found))
    return [edit for edit in (*found, *head, *added) if edit.old != edit.new]


def has_results(document: Document, text: str) -> bool:
    """Whether the numbers of `text`, a whole report, stand in a document already."""
    new = Document(text)
    parts = [h for h in new.headings if h.level == 2 and re.fullmatch(_RESULTS, _bare(h), re.I)]
    return bool(parts) and all(_body(new, part) in document.text for part in parts)


def _added(
    document: Document, new: Document, parts: Sequence[Heading], exp_id: str, *, is_update: bool
) -> list[Edit]:
    """The edits that fill empty parts and add the others at the end; of an update what lacks."""
    if is_update:
        parts = [part for part in parts if _body(new, part) not in document.text]
    edits, rest = head_edits(document, {"id": code(exp_id)}), []
    newline = document.newline
    for part in parts:
        pattern = next((t for t in _TITLES if re.fullmatch(t, _bare(part), re.I)), None)
        own = [h for h in document.headings if pattern and re.fullmatch(pattern, _bare(h), re.I)]
        empty = next((h for h in own if _is_empty(document, h)), None)
        if empty:
            end = document.line_span(empty.index).end
            edits.append(Edit(Span(end, end), "", f"{newline}{newline}{_body(new, part)}"))
        elif not (own and pattern == _AIM):
            rest.append(part)
    is_filled = is_update or any(edit.span.start == edit.span.end for edit in edits)
    lead = _lead(new) if parts and not is_filled else ""
    if not is_filled:
        rest = list(parts)
    blocks = [f"## {part.title}{newline}{newline}{_body(new, part)}{newline}" for part in rest]
    if rest:
        end = len(document.text)
        rule = newline if is_filled else f"{newline}---{newline}{newline}"
        edits.append(Edit(Span(end, end), "", rule + lead + newline.join(blocks)))
    return edits


def _block_of_launch(document: Document, text: str) -> range:
    """The lines of the report of an earlier launch that this one takes the place of.

    That of the same profile, else one of a cheaper profile; empty for none. A block reaches from
    one heading of the first level to the next; its command says MVP and profile.
    """
    command = _COMMAND.search(text)
    if command is None:
        return range(0)
    rank = PROFILES.index(command["profile"])
    starts = [h.index for h in document.headings if h.level == 1]
    found: dict[int, range] = {}
    for start, end in pairwise([*starts, len(document.lines)]):
        lines = "\n".join(document.line_text(index) for index in range(start, end))
        same = [c for c in _COMMAND.finditer(lines) if c["mvp"] == command["mvp"]]
        ranks = [PROFILES.index(one["profile"]) for one in same]
        if ranks and max(ranks) <= rank:
            found.setdefault(max(ranks), range(start, end))
    return found[max(found)] if found else range(0)


def _replaced(
    document: Document,
    new: Document,
    part: Heading,
    block: range,
    is_own: Callable[[str], bool],
) -> Edit | None:
    """The edit that replaces an earlier launch's part; None where none is as it was written."""
    pattern = next((t for t in _TITLES if re.fullmatch(t, _bare(part), re.I)), None)
    for heading in document.headings:
        alike = _bare(heading) == _bare(part) or (
            pattern is not None and re.fullmatch(pattern, _bare(heading), re.I)
        )
        if heading.index in block and heading.level == 2 and alike:
            span = _body_span(document, heading)
            if span.start < span.end and is_own(document.slice(span)):
                return Edit(span, document.slice(span), _body(new, part))
    return None


def _replaced_head(
    document: Document, new: Document, block: range, is_own: Callable[[str], bool]
) -> list[Edit]:
    """The edit of the lines between a report's title and its first part: date, mark of a trial."""
    first = next((h for h in document.headings if h.index in block and h.level == 2), None)
    if first is None:
        return []
    start = document.line_span(block.start).end
    old = document.text[start : document.line_span(first.index).start]
    lead = _lead(new)
    fresh = lead[lead.index(new.newline) :] if new.newline in lead else ""
    if old == fresh or not old.strip() or not is_own(old.strip("\r\n")):
        return []
    return [Edit(Span(start, start + len(old)), old, fresh)]


def _lead(document: Document) -> str:
    """What stands above the first part."""
    first = next(h for h in document.headings if h.level == 2)
    return document.text[: document.line_span(first.index).start]


def _bare(heading: Heading) -> str:
    """A heading's title without its number and emoji."""
    return re.sub(r"^[\W\d_]+", "", plain(heading.title)).strip()


def _body(document: Document, heading: Heading) -> str:
    return document.slice(_body_span(document, heading))


def _body_span(document: Document, heading: Heading) -> Span:
    """What stands below a heading, without blank lines and a rule around it."""
    first = document.line_span(heading.index).end
    last = document.section_end(heading)
    end = document.line_span(last).start if last < len(document.lines) else len(document.text)
    text = document.text[first:end]
    start = first + len(text) - len(text.lstrip("\r\n"))
    kept = _RULE_AFTER.sub("", text.rstrip("\r\n")).rstrip("\r\n")
    return Span(start, max(start, first + len(kept)))


def _is_empty(document: Document, heading: Heading) -> bool:
    following = [h.index for h in document.headings if h.index > heading.index]
    lines = range(heading.index + 1, min([*following, len(document.lines)]))
    return all(_BLANK.fullmatch(document.line_text(index)) for index in lines)
