"""The rows that hold numbers: the numeric summary and the runs of an MVP."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from vitlab.contract.result import Result
from vitlab.docs.inline import cell_text
from vitlab.docs.layout import insert_row, set_cell
from vitlab.docs.places import places, spelled
from vitlab.docs.progress import EPOCH, run_key
from vitlab.docs.roadmap import Mvp, Roadmap
from vitlab.docs.sentence import TRIAL, mark, spectra
from vitlab.docs.splice import Edit
from vitlab.docs.views import Entry, View
from vitlab.docs.vocabulary import metric_header
from vitlab.docs.writeback import status_cell

_NUMBER = re.compile(r"\d")
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
        row = next((e for e in view.entries if _is_of(roadmap, e, mvp, result)), None)
        if row is None:
            edits.append(_added(roadmap, view, mvp, result, values, status))
        elif result.profile == "full" or not _has_numbers(view, row):
            of_row[row.line] = result
            edits += _filled(roadmap, view, row, values)
    if profile == "full":
        edits += _statuses(roadmap, view, mvp, status, of_row)
    return edits


def _statuses(
    roadmap: Roadmap, view: View, mvp: Mvp, status: str, of_row: Mapping[int, Result]
) -> list[Edit]:
    book = places(roadmap)
    edits: list[Edit | None] = []
    for place in book:
        if place.kind == "numbers" and place.mvp == mvp.id and place.cell:
            table, entry, column = place.cell
            new = place.text
            if place.found.status != status:
                new = spelled(roadmap, book, place, status)
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
    split, _, label = [*result.headline.split("/"), "", ""][:3]
    headers = [metric_header(header) for header in view.headers]
    named = [found[1] for found in headers if found and found[1]]
    found = {}
    for column, header in enumerate(headers):
        if header is None:
            continue
        metric, said = header
        splits = [said] if said else [*named[:1], split]
        values = [result.values.get(f"{s}/{metric}/{label}") for s in splits]
        value = next((v for v in values if v is not None), None)
        if value is not None:
            found[column] = f"{value:.3f}{mark(result.profile)}"
    return found


def _is_of(roadmap: Roadmap, entry: Entry, mvp: Mvp, result: Result) -> bool:
    opening = roadmap.ids.opening(entry.text("mvp"))
    if opening is None or opening[0] != mvp.id:
        return False
    named = run_key(TRIAL.sub("", opening[1]).strip(" ()"))
    return named == ("" if result.run == "main" else run_key(result.run))


def _has_numbers(view: View, entry: Entry) -> bool:
    """Whether a row holds a number that no trial wrote."""
    cells = [
        entry.row.cells[i].text
        for i, header in enumerate(view.headers)
        if i < len(entry.row.cells) and metric_header(header)
    ]
    return any(_NUMBER.search(text) and not TRIAL.search(text) for text in cells)


def _added(
    roadmap: Roadmap, view: View, mvp: Mvp, result: Result, values: dict[int, str], status: str
) -> Edit:
    like = view.entries[-1] if view.entries else None
    prefix = "MVP-" if like and like.text("mvp").upper().startswith("MVP") else ""
    run = "" if result.run == "main" else f" {_BEFORE_DIGIT.sub('', result.run)}"
    train = result.n.get("train")
    config = result.model_name + (f", {spectra(train)}" if train else "")
    row = {**values, view.columns["mvp"]: f"{prefix}{mvp.id}{run}"}
    for column, text in (("config", config), ("status", status_cell(roadmap, status))):
        if column in view.columns:
            row.setdefault(view.columns[column], text)
    mine = [e for e in view.entries if e.mvps[:1] == (mvp.id,)]
    return insert_row(roadmap.document, view.table, row, mine[-1].row if mine else None)


def _filled(roadmap: Roadmap, view: View, entry: Entry, values: dict[int, str]) -> list[Edit]:
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
    book = places(roadmap)
    edits: list[Edit | None] = []
    for view in roadmap.views:
        for entry in view.entries if view.kind == "runs" else ():
            result = full.get(run_key(entry.text("run")))
            if result is None or not _in_section(roadmap, mvp, entry):
                continue
            status = next((p for p in book if p.cell and p.cell[1] is entry), None)
            if status and status.found.status in ("planned", "ready", "running"):
                new = _with_epoch(spelled(roadmap, book, status, "done"), result)
                where = view.columns["status"]
                edits.append(set_cell(roadmap.document, view.table, entry.row, where, new))
            if result.wandb and "wandb" in view.columns and not entry.text("wandb").strip("-—– "):
                link = f"[{cell_text(result.wandb.rstrip('/').rsplit('/', 1)[-1])}]({result.wandb})"
                where = view.columns["wandb"]
                edits.append(
                    set_cell(roadmap.document, view.table, entry.row, where, cell_text(link))
                )
    return [edit for edit in edits if edit is not None]


def _in_section(roadmap: Roadmap, mvp: Mvp, entry: Entry) -> bool:
    return any(spec.mvp == mvp.id and entry in spec.runs for spec in roadmap.specs)
