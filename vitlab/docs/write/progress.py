"""How far a running MVP is, written where the roadmap already tells it."""

from __future__ import annotations

import re

from vitlab.contract.value import Value
from vitlab.docs.model.roadmap import Roadmap
from vitlab.docs.model.status_sites import is_progress_status
from vitlab.docs.model.table_kinds import Entry
from vitlab.docs.text.edit import Edit
from vitlab.docs.text.inline import cell_text
from vitlab.docs.text.tables import Cell, set_cell
from vitlab.docs.write.rows import view_of
from vitlab.docs.write.status import unique_edits

EPOCH = re.compile(r"\bep\s?\d+(?:\s?/\s?\d+)?\+?")
_VALUE = re.compile(r"(R²|R2|MAE|RMSE|loss)(_val|_test|_train)?\s*=\s*[-+]?\d+(?:\.\d+)?")
_CURRENT = ("当前", "current", "now", "progress", "进度")


def set_progress(
    roadmap: Roadmap,
    mvp_id: str,
    epoch: int,
    of: int | None,
    metric: tuple[str, float] | None = None,
    run: str | None = None,
) -> list[Edit]:
    """Write `ep112/200` and the latest metric into an MVP's places that tell of its progress.

    Those are a gate's status remark and progress row, the `当前`/`Current` row of its section, and
    the rows of the runs. Only what reads as progress is replaced; a conclusion never is.

    `metric`: (value name, value), `("val/r2/log_g", 0.713)`. `run`: the run it is of; None where
    the MVP has but one.
    """
    mvp = roadmap.mvp(mvp_id)
    edits: list[Edit | None] = []
    for gate in roadmap.gates:
        cell = gate.status_cell
        if (
            gate.mvps == (mvp.id,)
            and cell
            and gate.parsed
            and is_progress_status(cell.raw, gate.parsed)
        ):
            edits.append(_status_remark(roadmap, cell, epoch, of))
    for entry in roadmap.rows("gate_progress"):
        if entry.mvps == (mvp.id,) and "result" in entry.cells:
            edits.append(_result_cell(roadmap, entry, epoch, metric))
    for spec in roadmap.specs:
        if spec.mvp != mvp.id:
            continue
        for entry in spec.facts:
            if entry.text("item").casefold() in _CURRENT and "content" in entry.cells:
                new = _told(entry.cells["content"].raw, epoch, None, metric, first=True)
                edits.append(_cell_edit(roadmap, entry, "content", new))
        edits += [_run_cell(roadmap, e, "run", run, epoch) for e in spec.runs]
    for entry in roadmap.numbers:
        if entry.mvps == (mvp.id,):
            edits.append(_run_cell(roadmap, entry, "mvp", run, epoch))
    return unique_edits([edit for edit in edits if edit is not None])


def epoch_text(epoch: int, of: int | None) -> str:
    """`ep112/200`, `ep112`."""
    return f"ep{epoch}" + (f"/{of}" if of else "")


def run_key(text: str) -> str:
    """A run's name for comparing: `Run 1` and `run1` are one."""
    return re.sub(r"[\s_-]+", "", text).casefold()


def _cell_edit(roadmap: Roadmap, entry: Entry, column: str, new: str) -> Edit | None:
    view = view_of(roadmap, entry)
    return set_cell(roadmap.document, view.table, entry.row, view.columns[column], cell_text(new))


def _status_remark(roadmap: Roadmap, cell: Cell, epoch: int, of: int | None) -> Edit | None:
    entry = next(
        e for v in roadmap.views for e in v.entries if e.cells.get("content") is cell
    )  # fmt: skip
    told = epoch_text(epoch, of)
    new = EPOCH.sub(told, cell.raw, count=1) if EPOCH.search(cell.raw) else f"{cell.raw} ({told})"
    if not EPOCH.search(cell.raw) and cell.raw.rstrip().endswith((")", "）")):
        return None  # another remark stands there
    return _cell_edit(roadmap, entry, "content", new)


def _result_cell(
    roadmap: Roadmap, entry: Entry, epoch: int, metric: tuple[str, float] | None
) -> Edit | None:
    raw = entry.cells["result"].raw
    if raw.strip("-—– ") and not EPOCH.search(raw):
        return None  # a result, not progress
    if not raw.strip("-—– "):
        return _cell_edit(roadmap, entry, "result", _fresh(epoch, metric))
    return _cell_edit(roadmap, entry, "result", _told(raw, epoch, None, metric, first=True))


def _run_cell(
    roadmap: Roadmap, entry: Entry, column: str, run: str | None, epoch: int
) -> Edit | None:
    """A run's own row: its status remark, `🚀 ep96+`."""
    cell = entry.cells.get("status")
    if cell is None or entry.status != "running":
        return None
    named = entry.text(column)
    if column == "mvp":
        opening = roadmap.ids.opening(named)
        named = opening[1] if opening else ""
    if run_key(named) != run_key("" if run in (None, "main") else run or ""):
        return None
    if not EPOCH.search(cell.raw):
        return None
    return _cell_edit(roadmap, entry, "status", EPOCH.sub(f"ep{epoch}", cell.raw, count=1))


def _told(
    raw: str, epoch: int, of: int | None, metric: tuple[str, float] | None, *, first: bool
) -> str:
    """A text with its first epoch and its first value of this metric brought up to date."""
    new = EPOCH.sub(epoch_text(epoch, of), raw, count=1 if first else 0)
    if metric is None:
        return new
    shown = _shown(metric)

    def updated(match: re.Match[str]) -> str:
        same = match[1].replace("R2", "R²") == Value.parse(metric[0]).short
        return f"{match[1]}{match[2] or ''}={metric[1]:.3f}" if same else match[0]

    found = _VALUE.search(new)
    if found is None:
        return f"{new}, {shown}" if new.strip() else shown
    return _VALUE.sub(updated, new, count=1)


def _fresh(epoch: int, metric: tuple[str, float] | None) -> str:
    return f"{_shown(metric)} (ep{epoch})" if metric else f"ep{epoch}"


def _shown(metric: tuple[str, float]) -> str:
    return f"{Value.parse(metric[0]).printed}={metric[1]:.3f}"
