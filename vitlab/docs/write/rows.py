"""New rows for the tables of a roadmap, filled by column name, and the figures a report shows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from vitlab.docs.model.roadmap import Roadmap
from vitlab.docs.model.table_kinds import Entry, View
from vitlab.docs.text.edit import Edit
from vitlab.docs.text.inline import cell_text, plain
from vitlab.docs.text.source import Document, Heading, Span
from vitlab.docs.text.tables import Row, insert_row, set_cell


def table_of(roadmap: Roadmap, kind: str) -> View | None:
    """The first table of a kind; None where the document has none."""
    return next((view for view in roadmap.views if view.kind == kind), None)


def view_with(roadmap: Roadmap, entry: Entry) -> View:
    """The table a row stands in."""
    return next(v for v in roadmap.views if any(e.row is entry.row for e in v.entries))


def by_column(view: View, values: Mapping[str, str]) -> dict[int, str]:
    """Values by column name, as values by column number; names the table lacks are left out."""
    found: dict[int, str] = {}
    for name, value in values.items():
        if name in view.columns and value:
            found.setdefault(view.columns[name], value)
    return found


def add_row(
    roadmap: Roadmap, kind: str, values: Mapping[str, str], after: Row | None = None
) -> list[Edit]:
    """Add a row to the first table of a kind, below `after` or at its end; none without a table.

    `values`: column name -> markdown, made safe for its cell; other columns get `-`.
    """
    view = table_of(roadmap, kind)
    if view is None:
        return []
    return [insert_row(roadmap.document, view.table, by_column(view, values), after)]


def named_like(like: Entry | None, mvp_id: str) -> str:
    """An MVP's id as a table's other rows write it: bare, with the prefix, in bold."""
    raw = like.cells["mvp"].raw if like and "mvp" in like.cells else "MVP"
    name = f"MVP-{mvp_id}" if plain(raw).upper().startswith("MVP") else mvp_id
    return f"**{name}**" if raw.startswith("**") else name


def timeline_row(roadmap: Roadmap, event: str, date: str, result: str = "") -> list[Edit]:
    """A row for the timeline, below the last one that is not later; none that is there already."""
    view = table_of(roadmap, "timeline")
    said = (date, plain(cell_text(event)))
    if view is None or any((e.text("date"), e.text("event")) == said for e in view.entries):
        return []
    values = {"date": date, "event": event, "key_metric": result, "result": result}
    return add_row(roadmap, "timeline", values, _not_later(view, date))


def _not_later(view: View, date: str) -> Row | None:
    """The last row dated no later than `date`; None where all are, or none has a date."""
    rows = [e for e in view.entries if e.text("date")[:4].isdigit()]
    earlier = [e.row for e in rows if e.text("date")[:10] <= date]
    return earlier[-1] if earlier and len(earlier) < len(rows) else None


def change_row(roadmap: Roadmap, change: str, sections: str, date: str) -> list[Edit]:
    """A row at the end of the change log; none that is there already."""
    said = (date, plain(cell_text(change)))
    if any((e.text("date"), e.text("change")) == said for e in roadmap.changelog):
        return []
    values = {"date": date, "change": change, "section": sections, "impact": sections}
    return add_row(roadmap, "changelog", values)


TITLES = ("图表", "Figures")
_AFTER = ("复现", "Reproduce")
"""The section a report has behind its pictures."""
_OURS = re.compile(r"\[\w+\]\(<?[^)\s]*\bimg/mvp_[^)\s]*\)")
"""A link of `link_figures`."""


def figure_lines(links: Sequence[str]) -> list[str]:
    """One markdown line for each picture, by its path from the report."""
    paths = dict.fromkeys(links)
    return [f"![{cell_text(p.rpartition('/')[2])}](<{p.replace('>', '')}>)" for p in paths]


def link_figure(report: Document, link: str) -> list[Edit]:
    """The edit that adds a picture to a report's newest part; none when it is linked already."""
    (line,) = figure_lines([link])
    newest = max((h.index for h in report.headings if h.level == 1), default=-1)
    part = [heading for heading in report.headings if heading.index >= newest]
    start = report.line_span(newest).start if newest >= 0 else 0
    if line in report.text[start:]:
        return []
    newline = report.newline
    section = _titled(part, TITLES)
    if section is not None:
        lines = range(section.index + 1, report.section_end(section))
        filled = [i for i in lines if report.line_text(i).strip()]
        at = report.line_span(filled[-1] if filled else section.index).end
        gap = newline if filled else newline * 2
        return [Edit(Span(at, at), "", f"{gap}{line}")]
    title = f"## {TITLES[0] if report.language == 'zh' else TITLES[1]}"
    text = newline.join([title, "", line, "", ""])
    following = _titled(part, _AFTER)
    if following is not None:
        at = report.line_span(following.index).start
        return [Edit(Span(at, at), "", text)]
    end = len(report.text)
    lead = "" if not report.text or report.text.endswith(newline) else newline
    return [Edit(Span(end, end), "", f"{lead}{newline}{text.rstrip()}{newline}")]


def link_figures(roadmap: Roadmap, mvp_id: str, links: Mapping[str, str]) -> list[Edit]:
    """A row of links at the end of the MVP's specification; in place of our own earlier one.

    `links`: figure's name -> path from the roadmap's folder. None where the MVP has no such table.
    """
    facts = next((spec.facts for spec in roadmap.specs if spec.mvp == mvp_id and spec.facts), ())
    if not links or not facts:
        return []
    told = ", ".join(f"[{name}]({path})" for name, path in links.items())
    view = view_with(roadmap, facts[-1])
    for entry in facts:
        content = entry.cells.get("content")
        if (
            entry.text("item") in TITLES
            and content
            and _OURS.sub("", content.raw).strip(", ") == ""
        ):
            where = view_with(roadmap, entry)
            column = where.columns["content"]
            edit = set_cell(roadmap.document, where.table, entry.row, column, told)
            return [edit] if edit else []
    title = TITLES[0] if roadmap.language == "zh" else TITLES[1]
    values = by_column(view, {"item": title, "content": told})
    return [insert_row(roadmap.document, view.table, values)]


def _titled(headings: Sequence[Heading], titles: Sequence[str]) -> Heading | None:
    found = [h for h in headings if h.title.strip() in titles]
    return found[-1] if found else None
