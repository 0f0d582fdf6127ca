"""What a roadmap says when an MVP's results are in: numbers, verdicts, conclusion."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from vitlab.contract.job import Result
from vitlab.contract.value import Value
from vitlab.docs.judge.conclusion import TRIAL_MARK, count_text, key_metric, profile_mark
from vitlab.docs.judge.gates import Verdict
from vitlab.docs.model.gate_rules import Gate
from vitlab.docs.model.roadmap import Mvp, Roadmap
from vitlab.docs.model.status_sites import StatusSite, StatusSites, is_progress_status
from vitlab.docs.model.table_kinds import Entry, View
from vitlab.docs.model.vocabulary import metric_header, status_argument
from vitlab.docs.text.edit import Edit
from vitlab.docs.text.inline import cell_text, plain
from vitlab.docs.text.tables import insert_row, set_cell
from vitlab.docs.write.progress import EPOCH, run_key
from vitlab.docs.write.rows import (
    add_change_row,
    add_row,
    add_timeline_row,
    first_view,
    link_figures,
    mvp_name_like,
    view_of,
)
from vitlab.docs.write.status import EVENTS, status_cell, status_edits, unique_edits

_DIGIT = re.compile(r"\d")
_BEFORE_DIGIT = re.compile(r"(?<=[A-Za-z]) (?=\d)")
"""`Run 1` is written `Run1` in these rows."""


def number_rows(
    roadmap: Roadmap, mvp: Mvp, results: Sequence[Result], status: str, profile: str
) -> list[Edit]:
    """A row of the numeric summary for every result: filled in where it stands, else added.

    The status of the MVP's rows follows a full run only.
    """
    view = next((v for v in roadmap.views if v.kind == "numbers" and "mvp" in v.columns), None)
    if view is None or not any(metric_header(h) for h in view.headers):
        return []
    edits: list[Edit] = []
    of_row: dict[int, Result] = {}
    for result in results:
        values = _by_header(view, result)
        row = next((e for e in view.entries if _is_row_of(roadmap, e, mvp, result)), None)
        if row is None:
            edits.append(_new_row(roadmap, view, mvp, result, values, status))
        elif result.profile == "full" or not _has_numbers(view, row):
            of_row[row.line] = result
            edits += _fill_row(roadmap, view, row, values)
    if profile == "full":
        edits += _status_edits(roadmap, view, mvp, status, of_row)
    return edits


def _status_edits(
    roadmap: Roadmap, view: View, mvp: Mvp, status: str, of_row: Mapping[int, Result]
) -> list[Edit]:
    sites = StatusSites(roadmap)
    edits: list[Edit | None] = []
    for site in sites:
        if site.kind == "numbers" and site.mvp == mvp.id and site.cell:
            table, entry, column = site.cell
            new = site.text
            if site.parsed.status != status:
                new = sites.spell(site, status)
            if table is view.table and entry.line in of_row:
                new = _with_epoch(new, of_row[entry.line])
            edits.append(set_cell(roadmap.document, table, entry.row, column, new))
    return [edit for edit in edits if edit is not None]


def _with_epoch(text: str, result: Result) -> str:
    """A status remark `ep96+` brought to the epoch of the reported numbers."""
    epoch = result.best.get("epoch")
    return text if epoch is None else EPOCH.sub(f"ep{epoch:g}", text, count=1)


def _by_header(view: View, result: Result) -> dict[int, str]:
    """The result's numbers by column: `R² (val)` takes `val/r2/<label of the headline>`."""
    judged = Value.parse(result.headline)
    headers = [metric_header(header) for header in view.headers]
    named = [header[1] for header in headers if header and header[1]]
    numbers = {}
    for column, header in enumerate(headers):
        if header is None:
            continue
        metric, split = header
        splits = [split] if split else [*named[:1], judged.split]
        values = [result.values.get(str(Value(s, metric, judged.label))) for s in splits]
        value = next((v for v in values if v is not None), None)
        if value is not None:
            numbers[column] = f"{value:.3f}{profile_mark(result.profile)}"
    return numbers


def _is_row_of(roadmap: Roadmap, entry: Entry, mvp: Mvp, result: Result) -> bool:
    opening = roadmap.ids.opening(entry.text("mvp"))
    if opening is None or opening[0] != mvp.id:
        return False
    named = run_key(TRIAL_MARK.sub("", opening[1]).strip(" ()"))
    return named == ("" if result.run == "main" else run_key(result.run))


def _has_numbers(view: View, entry: Entry) -> bool:
    """Whether a row holds a number that no trial wrote."""
    cells = [
        entry.row.cells[i].text
        for i, header in enumerate(view.headers)
        if i < len(entry.row.cells) and metric_header(header)
    ]
    return any(_DIGIT.search(text) and not TRIAL_MARK.search(text) for text in cells)


def _new_row(
    roadmap: Roadmap, view: View, mvp: Mvp, result: Result, values: dict[int, str], status: str
) -> Edit:
    like = view.entries[-1] if view.entries else None
    prefix = "MVP-" if like and like.text("mvp").upper().startswith("MVP") else ""
    run = "" if result.run == "main" else f" {_BEFORE_DIGIT.sub('', result.run)}"
    train = result.n.get("train")
    config = result.model_name + (f", {count_text(train)}" if train else "")
    row = {**values, view.columns["mvp"]: f"{prefix}{mvp.id}{run}"}
    for column, text in (("config", config), ("status", status_cell(roadmap, status))):
        if column in view.columns:
            row.setdefault(view.columns[column], text)
    mine = [e for e in view.entries if e.mvps[:1] == (mvp.id,)]
    return insert_row(roadmap.document, view.table, row, mine[-1].row if mine else None)


def _fill_row(roadmap: Roadmap, view: View, entry: Entry, values: dict[int, str]) -> list[Edit]:
    edits = []
    for column, text in values.items():
        old = entry.row.cells[column].raw if column < len(entry.row.cells) else ""
        bold = old.startswith("**") and old.endswith("**") and len(old) > 4
        new = f"**{text}**" if bold else text
        edit = set_cell(roadmap.document, view.table, entry.row, column, cell_text(new))
        edits += [edit] if edit else []
    return edits


def run_rows(roadmap: Roadmap, mvp: Mvp, results: Sequence[Result]) -> list[Edit]:
    """In the MVP's table of runs: a full result's run is done, and its W&B page is linked."""
    full = {run_key(result.run): result for result in results if result.profile == "full"}
    sites = StatusSites(roadmap)
    edits: list[Edit | None] = []
    for view in roadmap.views:
        for entry in view.entries if view.kind == "runs" else ():
            result = full.get(run_key(entry.text("run")))
            if result is None or not _in_section(roadmap, mvp, entry):
                continue
            status = next((p for p in sites if p.cell and p.cell[1] is entry), None)
            if status and status.parsed.status in ("planned", "ready", "running"):
                new = _with_epoch(sites.spell(status, "done"), result)
                where = view.columns["status"]
                edits.append(set_cell(roadmap.document, view.table, entry.row, where, new))
            if result.wandb and "wandb" in view.columns and not entry.text("wandb").strip("-—– "):
                link = f"[{cell_text(result.wandb.rstrip('/').rpartition('/')[2])}]({result.wandb})"
                where = view.columns["wandb"]
                edits.append(
                    set_cell(roadmap.document, view.table, entry.row, where, cell_text(link))
                )
    return [edit for edit in edits if edit is not None]


def _in_section(roadmap: Roadmap, mvp: Mvp, entry: Entry) -> bool:
    return any(spec.mvp == mvp.id and entry in spec.runs for spec in roadmap.specs)


_CLOSING = ("done", "partial", "failed")


@dataclass(frozen=True)
class _GateStatus:
    """What a gate is to show."""

    status: str
    text: str | None
    """The verdict as its status row says it; None for a gate that is not closed."""


def set_verdict(
    roadmap: Roadmap,
    gate: Gate,
    verdict: Verdict | None,
    *,
    status: str,
    profile: str,
    result: str = "",
    alone: bool = True,
) -> list[Edit]:
    """Write a gate's verdict and result; a gate without one shows what it waits for.

    A verdict closes it only after a full run. One that stands there already is never overwritten.
    `status`: of its MVP; `result`: the number for the progress row; `alone`: the MVP is the only
    one the gate names, so that its status may speak for the gate.
    """
    gate_status = _gate_status(status, verdict, profile)
    sites = StatusSites(roadmap)
    edits: list[Edit | None] = []
    for site in sites:
        own = gate.status_cell is not None and site.span == gate.status_cell.span
        if own and site.kind == "gate" and (alone or gate_status.text):
            edits.append(_gate_status_edit(roadmap, sites, site, gate_status))
    for entry in roadmap.rows("gate_progress"):
        if gate.id in entry.gates:
            edits += _progress_status_edits(roadmap, sites, entry, gate_status, alone=alone)
            edits.append(_result_edit(roadmap, entry, result, profile))
    return [edit for edit in edits if edit is not None]


def _gate_status(status: str, verdict: Verdict | None, profile: str) -> _GateStatus:
    """A verdict closes a gate; without one it waits, for a run or for a person."""
    word = verdict.verdict if verdict else None
    because = (
        cell_text(verdict.because_in_document or verdict.because).replace("*", "·")
        if verdict
        else ""
    )
    if profile == "full" and word == "pass":
        return _GateStatus("done", f"✅ **PASS: {because}**")
    if profile == "full" and word == "fail":
        return _GateStatus("failed", f"❌ **FAIL: {because}**")
    if status not in _CLOSING:
        return _GateStatus(status, None)
    return _GateStatus("analysing" if profile == "full" else "planned", None)


def _gate_status_edit(
    roadmap: Roadmap, sites: StatusSites, site: StatusSite, gate_status: _GateStatus
) -> Edit | None:
    if site.cell is None or (site.parsed.status == gate_status.status and not gate_status.text):
        return None
    table, entry, column = site.cell
    new = gate_status.text or sites.spell(site, gate_status.status)
    return set_cell(roadmap.document, table, entry.row, column, new)


def _progress_status_edits(
    roadmap: Roadmap, sites: StatusSites, entry: Entry, gate_status: _GateStatus, *, alone: bool
) -> list[Edit | None]:
    cell = entry.cells.get("status")
    if cell is None or not (alone or gate_status.text):
        return []
    view = view_of(roadmap, entry)
    return [
        set_cell(
            roadmap.document,
            view.table,
            entry.row,
            view.columns["status"],
            sites.spell(site, gate_status.status),
        )
        for site in sites
        if site.span == cell.span
        and site.parsed.status != gate_status.status
        and is_progress_status(cell.raw, site.parsed)
    ]


def _result_edit(roadmap: Roadmap, entry: Entry, result: str, profile: str) -> Edit | None:
    view = view_of(roadmap, entry)
    if (
        not result
        or "result" not in view.columns
        or not can_overwrite(entry.text("result"), profile)
    ):
        return None
    column = view.columns["result"]
    return set_cell(roadmap.document, view.table, entry.row, column, cell_text(result))


def can_overwrite(there: str, profile: str) -> bool:
    """Whether a number may go where a text stands: a trial's only into nothing or a trial's."""
    return profile == "full" or not there.strip("-—– ") or bool(TRIAL_MARK.search(there))


_UNSAFE_IN_LINK = re.compile(r"[\x00-\x20\x7f\x85\u2028\u2029()<>|`\\%\[\]]")
"""What may not stand in the target of a link, or not in a cell."""
_SECTION = re.compile(r"\d+(?:\.\d+)*")


def record_results(
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
    edits += add_timeline_row(
        roadmap, f"{what} ({key.removesuffix(profile_mark(profile))})", date, key
    )
    edits += add_change_row(roadmap, f"{what}: {key}", sections, date)
    return unique_edits(edits)


def _conclusion(roadmap: Roadmap, mvp: Mvp, sentence: str, key: str, profile: str) -> list[Edit]:
    view = first_view(roadmap, "conclusions")
    if view is None:
        return []
    marked = sentence if TRIAL_MARK.search(sentence) else sentence + profile_mark(profile)
    mine = [e for e in view.entries if e.mvps[:1] == (mvp.id,)]
    if not mine:
        named = mvp_name_like(view.entries[-1] if view.entries else None, mvp.id)
        values = {"mvp": named, "conclusion": marked, "key_metric": key}
        return add_row(roadmap, "conclusions", values)
    edits = []
    entry = mine[0]
    for column, new in (("conclusion", marked), ("key_metric", key)):
        old = entry.text(column)
        is_status = (
            roadmap.vocabulary.read(entry.cells[column].raw) if column in entry.cells else None
        )
        waiting = is_status is not None and is_status.status in ("planned", "ready", "running")
        if column in view.columns and (waiting or can_overwrite(old, profile)):
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
    view = view_of(roadmap, mvp.entry)
    if "report" not in view.columns:
        return []
    title = re.sub(r"(?:_\d{8})?\.md$", "", report.rpartition("/")[2])
    target = _UNSAFE_IN_LINK.sub(lambda match: quote(match.group()), report)
    link = f"[{cell_text(title)}]({target})"
    remark = mvp.entry.text("report").strip("-—– ")
    if remark and mvp.report is None:  # a remark in the cell stays beside the link
        link = f"{mvp.entry.cells['report'].raw} {link}"
    column = view.columns["report"]
    edit = set_cell(roadmap.document, view.table, mvp.entry.row, column, link)
    return [edit] if edit else []


def _sections(roadmap: Roadmap, edits: Sequence[Edit]) -> str:
    """The numbered sections that edits fall into: `§2.1, §4.3`."""
    document = roadmap.document
    sections: dict[str, None] = {}
    for edit in unique_edits(edits):
        line = document.line_of(edit.span.start) - 1
        above = [h for h in document.headings if h.index <= line]
        for heading in reversed(above):
            number = _SECTION.match(plain(heading.title))
            if number:
                sections.setdefault(f"§{number.group()}")
                break
    return ", ".join(sections)
