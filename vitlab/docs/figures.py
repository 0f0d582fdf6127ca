"""Pictures of results: where a report shows them, and where a roadmap links to them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from vitlab.docs.inline import cell_text
from vitlab.docs.layout import insert_row, set_cell
from vitlab.docs.roadmap import Roadmap
from vitlab.docs.rows import by_column, view_with
from vitlab.docs.source import Document, Heading, Span
from vitlab.docs.splice import Edit

TITLES = ("图表", "Figures")
_AFTER = ("复现", "Reproduce")
"""The section a report has behind its pictures."""
_OURS = re.compile(r"\[\w+\]\(<?[^)\s]*\bimg/mvp_[^)\s]*\)")
"""A link of `link_figures`."""


def figure_lines(links: Sequence[str]) -> list[str]:
    """One markdown line for each picture, by its path from the report."""
    paths = dict.fromkeys(links)
    return [f"![{cell_text(p.rsplit('/', 1)[-1])}](<{p.replace('>', '')}>)" for p in paths]


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
