"""What a roadmap says when an MVP's status changes or it is launched: plans of edits, no files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from vitlab.contract.paths import UsageError
from vitlab.docs.model.ids import exp_id as exp_id_of
from vitlab.docs.model.kanban import move_card, restore_board, target_column
from vitlab.docs.model.roadmap import Mvp, Roadmap
from vitlab.docs.model.status_sites import StatusSite, StatusSites
from vitlab.docs.model.vocabulary import status_argument
from vitlab.docs.text.edit import Edit
from vitlab.docs.text.inline import cell_text, code, plain
from vitlab.docs.text.tables import set_cell
from vitlab.docs.write.rows import add_row, add_timeline_row, mvp_name_like, view_of

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
EVENTS = {
    "zh": {
        "planned": "计划", "ready": "就绪", "running": "启动", "analysing": "分析", "done": "完成",
        "partial": "部分完成", "failed": "失败", "cancelled": "取消", "paused": "暂停",
    },
    "en": {
        "planned": "planned", "ready": "ready", "running": "started", "analysing": "in analysis",
        "done": "done", "partial": "partly done", "failed": "failed", "cancelled": "cancelled",
        "paused": "paused",
    },
}  # fmt: skip
"""How a timeline says that something happened."""


def set_status(
    roadmap: Roadmap, mvp_id: str, status: str, before: Roadmap | None = None
) -> list[Edit]:
    """Change every place where an MVP's status stands, in the document's own spelling.

    `before`: an earlier state of the same document; where the MVP had this very status then, each
    place is spelled as it was. A gate's verdict is never touched. A status that the overview says
    already changes nothing: places that contradict it are for `lint` to name and to mend.
    """
    status_argument(status)
    mvp = roadmap.mvp(mvp_id)
    return [] if mvp.status == status else status_edits(roadmap, mvp, {"": status}, before)


def status_edits(
    roadmap: Roadmap, mvp: Mvp, wanted: Mapping[str, str | None], before: Roadmap | None = None
) -> list[Edit]:
    """The edits of `set_status`, with another status (or None for none) for some kinds of place.

    `wanted`: kind of place -> status; `""` is for all the others.
    """
    sites = StatusSites(roadmap)
    mine = [site for site in sites if site.mvp == mvp.id]
    earlier = _earlier(before, mvp, wanted[""])
    edits: list[Edit | None] = []
    cards: dict[int, str] = {}
    for site, key in zip(mine, _keys(mine), strict=True):
        status = wanted.get(site.kind, wanted[""])
        if status is None or site.kind == "verdict":
            continue
        if key in earlier and _same_remark(site, earlier[key]):
            text = earlier[key].text
        elif site.parsed.status == status:
            text = site.text
        else:
            text = sites.spell(site, status)
        if site.kind == "card":
            cards[site.span.start] = text
        else:
            edits.append(sites.edit(site, text))
    edits += _card_edits(roadmap, mvp, wanted[""], cards, before if earlier else None)
    if mvp.status is None and wanted[""]:
        edits.append(_fill_status(roadmap, mvp, wanted[""]))
    return [edit for edit in edits if edit is not None]


def _keys(mine: Sequence[StatusSite]) -> list[tuple[str, int]]:
    """For each place its kind and its number among those of the kind."""
    seen: dict[str, int] = {}
    keys = []
    for site in mine:
        seen[site.kind] = seen.get(site.kind, -1) + 1
        keys.append((site.kind, seen[site.kind]))
    return keys


def _earlier(
    before: Roadmap | None, mvp: Mvp, status: str | None
) -> dict[tuple[str, int], StatusSite]:
    if before is None or not any(m.id == mvp.id and m.status == status for m in before.mvps):
        return {}
    mine = [site for site in StatusSites(before) if site.mvp == mvp.id]
    return dict(zip(_keys(mine), mine, strict=True))


def _same_remark(site: StatusSite, earlier: StatusSite) -> bool:
    """Whether what follows the status is what followed it earlier: then it is the same place."""
    return site.remark == earlier.remark


def _fill_status(roadmap: Roadmap, mvp: Mvp, status: str) -> Edit | None:
    """Write a status into an overview cell that says none (`-` or nothing)."""
    cell = mvp.entry.cells.get("status")
    if cell is not None and cell.raw.strip("-—– "):
        raise UsageError(
            f"{roadmap.document.name}:{mvp.line}: the status of MVP {mvp.id} reads {cell.raw!r}, "
            "which is no status; write one there first"
        )
    view = view_of(roadmap, mvp.entry)
    return set_cell(
        roadmap.document,
        view.table,
        mvp.entry.row,
        view.columns["status"],
        status_cell(roadmap, status),
    )


def status_cell(roadmap: Roadmap, status: str) -> str:
    """A new status cell, as this document's overview writes one."""
    return StatusSites(roadmap).new_text(status)


def _card_edits(
    roadmap: Roadmap, mvp: Mvp, status: str | None, texts: Mapping[int, str], before: Roadmap | None
) -> list[Edit]:
    board = roadmap.kanban
    if board is None or status is None:
        return []
    order = [m.id for m in roadmap.mvps]
    statuses = {m.id: m.status for m in roadmap.mvps}
    edits: list[Edit] = []
    for card in [c for c in board.cards if c.mvp == mvp.id][:1]:
        text = texts.get(card.span.start, card.text)
        if before is not None and before.kanban is not None:
            restored = restore_board(
                roadmap.document, board, before.document, before.kanban, card, text
            )
            if restored is not None:
                return restored
        column = target_column(board, card, status, statuses)
        edits += move_card(roadmap.document, board, card, column, text, order)
    return edits


def record_launch(roadmap: Roadmap, mvp_id: str, exp_id: str, date: str) -> list[Edit]:
    """What a launch writes: running everywhere, the experiment's id and index row, the timeline."""
    mvp = roadmap.mvp(mvp_id)
    if not _PLAIN.fullmatch(exp_id):
        raise UsageError(f"exp_id {exp_id!r} is not a plain name (letters, digits, '-', '_', '.')")
    # Another experiment's row in the index is history; only this one's follows.
    index = {} if mvp.exp_id in (None, exp_id) else {"experiment_index": None}
    edits = status_edits(roadmap, mvp, {"": "running", **index})
    cell = _exp_cell(roadmap, mvp, exp_id)
    edits += [*([cell] if cell else []), *_index_row(roadmap, mvp, exp_id)]
    event = f"MVP-{mvp.id} {EVENTS[roadmap.language]['running']} ({mvp.name})"
    return unique_edits([*edits, *add_timeline_row(roadmap, event, date)])


def unique_edits(edits: Sequence[Edit]) -> list[Edit]:
    """The edits with double ones dropped, by place."""
    return sorted(dict.fromkeys(edits), key=lambda e: (e.span.start, e.span.end))


def _exp_cell(roadmap: Roadmap, mvp: Mvp, exp_id: str) -> Edit | None:
    view = view_of(roadmap, mvp.entry)
    if "exp_id" not in view.columns or mvp.exp_id == exp_id:
        return None
    cell = mvp.entry.cells.get("exp_id")
    said = plain(cell.raw) if cell else ""
    if mvp.exp_id is not None:
        new = cell.raw.replace(mvp.exp_id, cell_text(exp_id)) if cell else code(exp_id)
    else:  # a remark in the cell stays beside the id
        new = f"{cell.raw} {code(exp_id)}" if cell and said.strip("-—– ") else code(exp_id)
    return set_cell(roadmap.document, view.table, mvp.entry.row, view.columns["exp_id"], new)


def _index_row(roadmap: Roadmap, mvp: Mvp, exp_id: str) -> list[Edit]:
    rows = roadmap.rows("experiment_index")
    if any(exp_id_of(row.raw("exp_id")) == exp_id for row in rows):
        return []
    last = rows[-1] if rows else None
    values = {
        "exp_id": code(exp_id),
        "project": last.text("project") if last else roadmap.meta.get("project", ""),
        "topic": last.text("topic") if last else roadmap.meta.get("topic", ""),
        "status": status_cell(roadmap, "running"),
        "mvp": mvp_name_like(last, mvp.id),
        "name": mvp.name,
        "phase": mvp.phase or "",
        "gate": mvp.gate or "",
    }
    return add_row(roadmap, "experiment_index", values)
