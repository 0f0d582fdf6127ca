"""What a roadmap says when an MVP's results are in: one plan over all of its places."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from vitlab.contract.result import Result
from vitlab.docs.figures import link_figures
from vitlab.docs.gates import Verdict
from vitlab.docs.inline import cell_text, plain
from vitlab.docs.layout import set_cell
from vitlab.docs.numbers import number_rows, run_rows
from vitlab.docs.roadmap import Mvp, Roadmap
from vitlab.docs.rows import add_row, change_row, named_like, table_of, timeline_row, view_with
from vitlab.docs.sentence import TRIAL, key_metric, mark
from vitlab.docs.splice import Edit
from vitlab.docs.verdicts import may_write, set_verdict
from vitlab.docs.vocabulary import status_argument
from vitlab.docs.writeback import EVENTS, in_order, status_edits

_UNSAFE = re.compile(r"[\x00-\x20\x7f\x85\u2028\u2029()<>|`\\%\[\]]")
"""What may not stand in the target of a link, or not in a cell."""
_SECTION = re.compile(r"\d+(?:\.\d+)*")


def finish(
    roadmap: Roadmap,
    mvp_id: str,
    results: Sequence[Result],
    status: str,
    sentence: str,
    report: str | None,
    verdicts: Mapping[str, Verdict],
    date: str,
    profile: str,
    figures: Mapping[str, str] | None = None,
) -> list[Edit]:
    """Record results everywhere: status, numbers, gates, conclusion, report link, logs.

    Numbers of a run of any profile but `full` are marked so, close no gate, and never take the
    place of what a full run or a person wrote. `verdicts`: bare gate id -> `gates.Verdict`;
    `report`: path from the roadmap's folder; `date`: YYYY-MM-DD; `figures`: name -> path from the
    roadmap's folder.
    """
    status_argument(status)
    mvp = roadmap.mvp(mvp_id)
    held: dict[str, str | None] = {"": status, "gate": None, "gate_progress": None}
    held["numbers"] = None
    edits = status_edits(roadmap, mvp, held)
    key = key_metric(results)
    for gate in roadmap.gates:
        if mvp.id in gate.mvps:
            edits += set_verdict(
                roadmap,
                gate,
                verdicts.get(gate.id),
                status=status,
                profile=profile,
                result=key,
                alone=gate.mvps == (mvp.id,),
            )
    edits += number_rows(roadmap, mvp, results, status, profile)
    edits += run_rows(roadmap, mvp, results)
    edits += _conclusion(roadmap, mvp, sentence, key, profile)
    edits += _report_link(roadmap, mvp, report)
    edits += link_figures(roadmap, mvp.id, figures or {})
    sections = _sections(roadmap, edits)
    done = EVENTS[roadmap.language]["done" if profile != "full" else status]
    trial = "" if profile == "full" else f" {profile}"
    what = f"MVP-{mvp.id}{trial} {done}"
    edits += timeline_row(roadmap, f"{what} ({key.removesuffix(mark(profile))})", date, key)
    edits += change_row(roadmap, f"{what}: {key}", sections, date)
    return in_order(edits)


def _conclusion(roadmap: Roadmap, mvp: Mvp, sentence: str, key: str, profile: str) -> list[Edit]:
    view = table_of(roadmap, "conclusions")
    if view is None:
        return []
    marked = sentence if TRIAL.search(sentence) else sentence + mark(profile)
    mine = [e for e in view.entries if e.mvps[:1] == (mvp.id,)]
    if not mine:
        named = named_like(view.entries[-1] if view.entries else None, mvp.id)
        values = {"mvp": named, "conclusion": marked, "key_metric": key}
        return add_row(roadmap, "conclusions", values)
    edits = []
    entry = mine[0]
    for column, new in (("conclusion", marked), ("key_metric", key)):
        said = entry.text(column)
        is_status = (
            roadmap.vocabulary.read(entry.cells[column].raw) if column in entry.cells else None
        )
        waiting = is_status is not None and is_status.status in ("planned", "ready", "running")
        if column in view.columns and (waiting or may_write(said, profile)):
            edit = set_cell(
                roadmap.document, view.table, entry.row, view.columns[column], cell_text(new)
            )
            edits += [edit] if edit else []
    return edits


def _report_link(roadmap: Roadmap, mvp: Mvp, report: str | None) -> list[Edit]:
    if report is None or mvp.report is not None:
        return []
    return link_report(roadmap, mvp.id, report)


def link_report(roadmap: Roadmap, mvp_id: str, report: str) -> list[Edit]:
    """Write a report's link into the overview; `report` is a path from the roadmap's folder."""
    mvp = roadmap.mvp(mvp_id)
    view = view_with(roadmap, mvp.entry)
    if "report" not in view.columns:
        return []
    title = re.sub(r"(?:_\d{8})?\.md$", "", report.rsplit("/", 1)[-1])
    target = _UNSAFE.sub(lambda mark: quote(mark.group()), report)
    link = f"[{cell_text(title)}]({target})"
    said = mvp.entry.text("report").strip("-—– ")
    if said and mvp.report is None:  # a remark in the cell stays beside the link
        link = f"{mvp.entry.cells['report'].raw} {link}"
    column = view.columns["report"]
    edit = set_cell(roadmap.document, view.table, mvp.entry.row, column, link)
    return [edit] if edit else []


def _sections(roadmap: Roadmap, edits: Sequence[Edit]) -> str:
    """The numbered sections that edits fall into: `§2.1, §4.3`."""
    document = roadmap.document
    found: dict[str, None] = {}
    for edit in in_order(edits):
        line = document.line_of(edit.span.start) - 1
        above = [h for h in document.headings if h.index <= line]
        for heading in reversed(above):
            number = _SECTION.match(plain(heading.title))
            if number:
                found.setdefault(f"§{number.group()}")
                break
    return ", ".join(found)
