"""The edits of a roadmap when an MVP is launched, makes progress or changes its status."""

from __future__ import annotations

import contextlib
import datetime
import re
from collections.abc import Mapping, Sequence

from vitlab.contract.paths import UsageError
from vitlab.contract.value import Value
from vitlab.docs.model.gate_sites import undecided_sites
from vitlab.docs.model.ids import exp_id as exp_id_of
from vitlab.docs.model.roadmap import Mvp, Roadmap, parse_roadmap
from vitlab.docs.model.status_sites import StatusSite, StatusSites
from vitlab.docs.model.status_text import emphasis_removed, is_progress_status, legend_with
from vitlab.docs.model.table_kinds import Entry
from vitlab.docs.model.vocabulary import Vocabulary, status_argument
from vitlab.docs.text.edit import Edit, apply, lost_lines
from vitlab.docs.text.inline import cell_text, code, plain, same_glyph, width
from vitlab.docs.text.source import Document, Span
from vitlab.docs.text.tables import Cell
from vitlab.docs.write.boards import (
    board_edits,
    has_no_table,
    item_edits,
    status_of_item,
)
from vitlab.docs.write.removed import RemovedTexts, strike_edits
from vitlab.docs.write.rows import (
    add_row,
    add_timeline_row,
    home_of,
    mvp_name_like,
    run_key,
    set_column,
)

_FEW_WORDS = re.compile(r"[^\d\[\]()（）.,;:。，；：|/]+[?？]?")
_A_WORD = 24
"""Columns that an unknown status may take and still be one."""
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
EPOCH = re.compile(r"\bep\s?\d+(?:\s?/\s?\d+)?\+?")
_VALUE = re.compile(
    r"(R²|R2|MAE|RMSE|loss)(_val|_test|_train)?\s*=\s*[-+]?\d+(?:\.\d+)?(\s*σ(?!\w))?"
)
_LIVE = re.compile(
    rf"[\s*_`(（]*(?:{EPOCH.pattern}(?:[\s*_`,，;；:：(（]*{_VALUE.pattern})?"
    rf"|{_VALUE.pattern}[\s*_`,，(（]*{EPOCH.pattern})[\s*_`)）]*"
    r"(?:[,，;；。](?:(?!\d\.\d|[=±→%]|R²|R2|MAE|RMSE|loss|ep\s?\d).)*)?"
)
"""A text that tells an epoch with its value and what is waited for, and nothing else."""
_PROGRESS = re.compile(
    rf"\s*[(（]\s*{EPOCH.pattern}(?:[,，;；]?\s*{_VALUE.pattern})?\s*[)）]|\s*{EPOCH.pattern}$"
)
_OF_GATE = {"done": "analysing", "partial": "analysing", "failed": "analysing"}
"""What a gate's MVP has ended as -> how the gate stands: it waits for its verdict."""
_CURRENT = ("当前", "current", "now", "progress", "进度")
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
    roadmap: Roadmap,
    mvp_id: str,
    status: str,
    before: Roadmap | None = None,
    date: str | None = None,
) -> list[Edit]:
    """Change an MVP's status everywhere, in the document's own spelling.

    `before`: an earlier state of the document; if the MVP had this status then, each site is
    spelled as it was. No gate is passed, failed or opened again. Nothing changes when the overview
    has the status already; sites that contradict it are left to `lint`. `date`: YYYY-MM-DD of the
    change log's row about what was removed; None: today. MVPs that share a row change together.
    """
    status_argument(status)
    mvp = roadmap.mvp(mvp_id)
    where = f"{roadmap.document.name}:{mvp.line}"
    alike = [m.id for m in roadmap.mvps if m.id.casefold() == mvp.id.casefold() and m.id != mvp.id]
    if alike:
        raise UsageError(f"{where}: MVP {mvp.id} and {alike[0]} differ in case alone; rename one")
    if mvp.status == status:
        return []
    if has_no_table(roadmap, mvp, status):
        raise UsageError(
            f"{where}: no heading of {status} has a table with the columns of {mvp.id}"
        )
    edits = status_edits(roadmap, mvp, {"": status}, before, date, roadmap.sharing(mvp))
    if not edits:
        unknown = f"the status of MVP {mvp.id} is {mvp.status_text!r}, which is not a status"
        nowhere = f"MVP {mvp.id} has no place for a status; give it a row"
        known = f"{unknown}; write one there first" if _is_unknown(mvp) else nowhere
        raise UsageError(f"{where}: {known}")
    return edits


def _is_unknown(mvp: Mvp) -> bool:
    """Whether words that are no status stand where an MVP has its status."""
    text = mvp.status_text.strip("-—– ") if "status" in mvp.entry.cells else ""
    return mvp.status is None and bool(text)


def _is_one_word(mvp: Mvp) -> bool:
    """Whether an unknown status is a few words that can mean nothing else, as `看情况`, `tbc`."""
    return bool(_FEW_WORDS.fullmatch(mvp.status_text)) and width(mvp.status_text) <= _A_WORD


def not_restored(roadmap: Roadmap, mvp_id: str, edits: Sequence[Edit]) -> list[str]:
    """The places that the earlier status would not restore as they are without the journal.

    One line for each, after `edits` of `set_status`: what stands there now, in the roadmap.
    """
    mvp = roadmap.mvp(mvp_id)
    if mvp.status is None or not edits:
        replaced = edits and _is_unknown(mvp) and _is_one_word(mvp)
        line = roadmap.document.line_text(mvp.line - 1).strip()
        return [f"line {mvp.line}: {line}"] if replaced else []
    new = parse_roadmap(Document(apply(roadmap.document.text, edits)), roadmap.vocabulary)
    back = new.document.text
    with contextlib.suppress(UsageError):  # a box may not be able to say it without the journal
        back = apply(back, set_status(new, mvp.id, mvp.status))
    return lost_lines(roadmap.document.text, back)


def left_shared(roadmap: Roadmap, mvp_id: str) -> list[str]:
    """The places that state one status for an MVP and others, which `set_status` leaves alone."""
    mvp = roadmap.mvp(mvp_id)
    sites = StatusSites(roadmap)
    set_too = _sites_of(sites, mvp, frozenset((mvp.id, *roadmap.sharing(mvp))))
    left = [site for site in sites if mvp.id in site.shared and site not in set_too]
    unknown = f"line {mvp.line}: {mvp.status_text!r} is not a status, so it is kept: change it"
    return [
        *([unknown] if _is_unknown(mvp) and not _is_one_word(mvp) else []),
        *(
            f"line {site.index + 1}: {site.text} is kept: it also covers {', '.join(site.shared)}"
            for site in left
        ),
    ]


def set_end(
    roadmap: Roadmap, mvp_id: str, status: str, numbers: bool, before: Roadmap | None = None
) -> list[Edit]:
    """As `set_status` when an MVP's jobs have ended: a gate is decided by numbers alone.

    A gate that reads as running is in analysis where full runs left `numbers`, else as it was
    `before` the run: in analysis too, by earlier results, or waiting.
    """
    status_argument(status)
    mvp = roadmap.mvp(mvp_id)
    waited = undecided_sites(before, (mvp.id,)) if before else ()
    numbers = numbers or any(site.parsed.status == "analysing" for site in waited)
    waits = "analysing" if numbers else "planned"
    gates = undecided_sites(roadmap, (mvp.id,))
    runs = any(site.parsed.status == "running" for site in gates)
    edits: list[Edit] = []
    if mvp.status != status:
        wanted = {"": status, "gate": waits if runs else None}
        edits = status_edits(roadmap, mvp, wanted, run_is_over=True)
    over = [StatusSites(roadmap).edit(s, without_progress(s.text)) for s in gates if not runs]
    edits += [edit for edit in over if edit]
    return unique_edits([*edits, *legend_edits(roadmap, edits)])


def _is_of_gate(site: StatusSite) -> bool:
    return site.kind.startswith("gate")


def _wanted(site: StatusSite, wanted: Mapping[str, str | None]) -> str | None:
    """The status that a place gets; None where it stays, as a gate's does once it is decided."""
    if not _is_of_gate(site) or "gate" in wanted:
        return wanted.get("gate" if _is_of_gate(site) else site.kind, wanted[""])
    status = wanted[""]
    if status == "cancelled":
        return "planned" if site.parsed.status == "running" else None
    return _OF_GATE.get(status or "", status)


def without_progress(text: str) -> str:
    """A gate's status without how far its run is: `🔆 (ep3/20)` -> `🔆`."""
    return _PROGRESS.sub("", text) if EPOCH.search(text) else text


def status_edits(
    roadmap: Roadmap,
    mvp: Mvp,
    wanted: Mapping[str, str | None],
    before: Roadmap | None = None,
    date: str | None = None,
    others: tuple[str, ...] = (),
    *,
    run_is_over: bool = False,
) -> list[Edit]:
    """As `set_status`, with another status or None for some kinds of site.

    `wanted`: kind of site -> status; `gate` is for all places of gates, `""` for all others.
    `others`: MVPs that change with it; a place that several share is theirs only when all of them
    do. `run_is_over`: gates lose what tells how far the run is.
    """
    sites = StatusSites(roadmap)
    ids = frozenset((mvp.id, *others))
    mine = _sites_of(sites, mvp, ids)
    then = before if _had(before, mvp, wanted[""]) else None
    earlier = _earlier(then, mvp, ids)
    log = RemovedTexts(roadmap, mvp.id)
    made: list[Edit] = []
    cards: list[tuple[StatusSite, str]] = []
    for site, key in zip(mine, _keys(mine), strict=True):
        if (status := _wanted(site, wanted)) is None or sites.is_of_ended_run(site, mvp.status):
            continue
        was, outer = _earlier_text(sites, site, earlier.get(key)), None
        if was is not None:
            outer = sites.outer(site, earlier[key])
            log.use(site, was)
        text = was if was is not None else log.restored(sites, site, status)
        if text is None and sites.agrees(site, status):
            text = site.text
        elif text is None:
            text = sites.spell(site, status)
            if run_is_over and _is_of_gate(site):
                text = without_progress(text)
            log.note(sites, site, status)
        if site.kind in ("card", "below"):
            cards.append((site, text))
        else:
            made += [edit] if (edit := sites.edit(site, text, outer)) else []
    if new := wanted[""]:
        made += board_edits(roadmap, mvp, ids, new, cards, then)
        made += log.edits(EVENTS[roadmap.language][new], date or _today())
        made += _first_status(roadmap, mvp, new) if mvp.status is None else []
        made += strike_edits(roadmap, mine, earlier, new, made)
        made = item_edits(roadmap, mvp, ids, new, made, then)
    return made


def _today() -> str:
    return datetime.date.today().isoformat()


def _earlier_text(
    sites: StatusSites, site: StatusSite, earlier: tuple[StatusSites, StatusSite] | None
) -> str | None:
    """What a site was earlier; None where its remark has been changed since."""
    if earlier is None:
        return None
    now, then = sites.parts(site).remark, earlier[0].parts(earlier[1]).remark
    return earlier[1].text if emphasis_removed(now) in (emphasis_removed(then), "") else None


def _keys(mine: Sequence[StatusSite]) -> list[tuple[str, int]]:
    """For each site its kind and its number among those of the kind."""
    seen: dict[str, int] = {}
    keys = []
    for site in mine:
        seen[site.kind] = seen.get(site.kind, -1) + 1
        keys.append((site.kind, seen[site.kind]))
    return keys


def _sites_of(sites: StatusSites, mvp: Mvp, ids: frozenset[str]) -> list[StatusSite]:
    """The sites of these MVPs, of which `mvp` is one, and of no others."""

    def is_shared(site: StatusSite) -> bool:
        own_row = len(ids) > 1 and site.index == mvp.line - 1
        return bool(site.shared) and (own_row or ids.issuperset(site.shared))

    apart = ("verdict", "gate", "gate_progress")
    mine = [s for s in sites if s.kind not in apart and (s.mvp in ids or is_shared(s))]
    gates = {site.span: site for site in undecided_sites(sites.roadmap, ids)}
    # A gate's section inside that of an MVP is the gate's.
    return sorted({**{site.span: site for site in mine}, **gates}.values(), key=lambda s: s.span)


def _earlier(
    before: Roadmap | None, mvp: Mvp, ids: frozenset[str]
) -> dict[tuple[str, int], tuple[StatusSites, StatusSite]]:
    if before is None:
        return {}
    sites = StatusSites(before)
    mine = _sites_of(sites, before.mvp(mvp.id), ids)
    return {key: (sites, site) for key, site in zip(_keys(mine), mine, strict=True)}


def _had(before: Roadmap | None, mvp: Mvp, status: str | None) -> bool:
    mvps = before.mvps if before else ()
    return any(m.id == mvp.id and m.status == status for m in mvps)


def _first_status(roadmap: Roadmap, mvp: Mvp, status: str) -> list[Edit]:
    """Write a status where there is none yet: in the row's cell or at the end of the heading."""
    cell = mvp.entry.cells.get("status")
    if _is_unknown(mvp) and not _is_one_word(mvp):
        return []
    if cell is None and mvp.entry.kind == "heading":
        spec = next((s for s in roadmap.specs if s.heading.index == mvp.line - 1), None)
        end = spec.heading.span.end if spec else mvp.entry.row.span.end
        return [Edit(Span(end, end), "", f" ({status_cell(roadmap, status)})")]
    if cell is None and mvp.entry.kind == "item":
        return status_of_item(roadmap, mvp, status)
    if cell is None:
        return []
    return set_column(roadmap, mvp.entry, "status", status_cell(roadmap, status))


def status_cell(roadmap: Roadmap, status: str) -> str:
    """The text of a new status cell, as this document's overview writes one."""
    return StatusSites(roadmap).new_text(status)


def record_launch(roadmap: Roadmap, mvp_id: str, exp_id: str, date: str) -> list[Edit]:
    """What a launch writes: running everywhere, the experiment's id and index row, the timeline."""
    mvp = roadmap.mvp(mvp_id)
    if not _PLAIN.fullmatch(exp_id):
        raise UsageError(f"exp_id {exp_id!r} is not a plain name (letters, digits, '-', '_', '.')")
    # The index row of an earlier experiment is history and stays as it is.
    rows = (row for row in roadmap.rows("experiment_index") if mvp.id in row.mvps)
    others = {mvp.exp_id} if mvp.exp_id else {exp_id_of(row.raw("exp_id")) for row in rows}
    index = {"experiment_index": None} if others - {None, exp_id} else {}
    edits = status_edits(roadmap, mvp, {"": "running", **index}, date=date)
    edits += [*_exp_id_edits(roadmap, mvp, exp_id), *_index_row(roadmap, mvp, exp_id)]
    event = f"MVP-{mvp.id} {EVENTS[roadmap.language]['running']} ({mvp.name})"
    edits += legend_edits(roadmap, edits)
    return unique_edits([*edits, *add_timeline_row(roadmap, event, date)])


def legend_edits(roadmap: Roadmap, edits: Sequence[Edit]) -> list[Edit]:
    """The edit that adds to the document's own legend the glyphs of statuses that `edits` write.

    For what vitlab writes by itself; a status that a person sets changes no other line.
    """
    words, document = roadmap.vocabulary, roadmap.document
    lines = [document.prose[line.start : line.end] for line in document.lines]
    legends = (i for i, line in enumerate(lines) if words.with_legend(line) is not words)
    at = next(legends, None) if words.own_glyphs and edits else None
    if at is None:
        return []
    old = line = document.line_text(at)
    text = apply(document.text, unique_edits(edits))
    for new in dict.fromkeys(edit.new for edit in edits):
        for start in words.glyph_starts(new):
            parsed = words.read(new[start:])
            glyph = new[start:][slice(*parsed.glyph)] if parsed and parsed.glyph else ""
            if glyph and text.count(glyph) > document.text.count(glyph):  # not only moved
                line = _longer_legend(line, glyph, words)
    start = document.line_span(at).start
    return [Edit(Span(start, start + len(old)), old, line)] if line != old else []


def _longer_legend(line: str, glyph: str, words: Vocabulary) -> str:
    """The legend with a glyph's status; as it is where it has that, or would not be read so."""
    status, then = words.glyphs[same_glyph(glyph)], words.with_legend(line)
    if status in then.legend:
        return line
    longer = legend_with(line, glyph, status, then)
    now = words.with_legend(longer)
    fits = now.own_glyphs == then.own_glyphs | {same_glyph(glyph)}
    return longer if fits and now.glyphs[same_glyph(glyph)] == status else line


def unique_edits(edits: Sequence[Edit]) -> list[Edit]:
    """The edits by position, without duplicates."""
    return sorted(dict.fromkeys(edits), key=lambda e: (e.span.start, e.span.end))


def _exp_id_edits(roadmap: Roadmap, mvp: Mvp, exp_id: str) -> list[Edit]:
    if mvp.exp_id == exp_id:
        return []
    old, new = mvp.entry.raw("exp_id"), code(exp_id)
    if mvp.exp_id is not None:
        new = old.replace(mvp.exp_id, cell_text(exp_id))
    elif plain(old).strip("-—– "):
        new = f"{old} {new}"  # a remark in the cell is kept
    return set_column(roadmap, mvp.entry, "exp_id", new)


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
    views = [view for view in roadmap.views if view.kind == "experiment_index"]
    return add_row(roadmap, home_of(roadmap, views, mvp), values)


def set_progress(
    roadmap: Roadmap,
    mvp_id: str,
    epoch: int,
    of: int | None,
    metric: tuple[str, float] | None = None,
    run: str | None = None,
) -> list[Edit]:
    """Write `ep112/200` and the latest metric wherever the roadmap tells an MVP's progress.

    That is a gate's status remark and progress row, the `当前`/`Current` row of the MVP's section,
    and the rows of its runs. Only what reads as progress is replaced, never a conclusion.
    `metric`: (value name, value); `run`: None where the MVP has only one.
    """
    mvp = roadmap.mvp(mvp_id)
    edits: list[Edit] = []
    for gate in roadmap.gates:
        cell, parsed = gate.status_cell, gate.parsed
        if gate.mvps == (mvp.id,) and cell and parsed and is_progress_status(cell.raw, parsed):
            edits += _status_remark(roadmap, cell, epoch, of)
    for entry in roadmap.rows("gate_progress"):
        if entry.mvps == (mvp.id,) and "result" in entry.cells:
            edits += _live_progress(roadmap, entry, "result", epoch, metric)
    for spec in roadmap.specs:
        if spec.mvp != mvp.id:
            continue
        for entry in spec.facts:
            if entry.text("item").casefold() in _CURRENT and "content" in entry.cells:
                edits += _live_progress(roadmap, entry, "content", epoch, metric)
        for entry in spec.runs:
            edits += _run_progress(roadmap, entry, entry.text("run"), run, epoch)
    for entry in roadmap.numbers:
        if entry.mvps == (mvp.id,):
            opening = roadmap.ids.opening(entry.text("mvp"))
            edits += _run_progress(roadmap, entry, opening[1] if opening else "", run, epoch)
    return unique_edits(edits)


def _status_remark(roadmap: Roadmap, cell: Cell, epoch: int, of: int | None) -> list[Edit]:
    entry = next(e for v in roadmap.views for e in v.entries if e.cells.get("content") is cell)
    progress = f"ep{epoch}" + (f"/{of}" if of else "")
    new = EPOCH.sub(progress, cell.raw, count=1)
    if not EPOCH.search(cell.raw):
        if cell.raw.rstrip().endswith((")", "）")):
            return []  # it has another remark
        new = f"{cell.raw} ({progress})"
    return set_column(roadmap, entry, "content", cell_text(new))


def _live_progress(
    roadmap: Roadmap, entry: Entry, column: str, epoch: int, metric: tuple[str, float] | None
) -> list[Edit]:
    """An empty cell filled, and one that tells progress brought up to date; any other stays."""
    old = entry.raw(column)
    if not old.strip("-—– "):
        new = f"{_metric_text(metric)} (ep{epoch})" if metric else f"ep{epoch}"
    else:
        new = _with_progress(old, epoch, metric)
    return set_column(roadmap, entry, column, cell_text(new))


def _run_progress(
    roadmap: Roadmap, entry: Entry, name: str, run: str | None, epoch: int
) -> list[Edit]:
    """The status remark in the row of a run, `🚀 ep96+`."""
    old = entry.raw("status")
    if entry.status != "running" or not EPOCH.search(old):
        return []
    if run_key(name) != run_key("" if run in (None, "main") else run or ""):
        return []
    return set_column(roadmap, entry, "status", cell_text(EPOCH.sub(f"ep{epoch}", old, count=1)))


def _with_progress(text: str, epoch: int, metric: tuple[str, float] | None) -> str:
    """A text of progress with its epoch and its value of this metric brought up to date.

    As it is where it says anything else: another model's value, the best so far, a test score.
    """
    if not _LIVE.fullmatch(text):
        return text
    new = EPOCH.sub(f"ep{epoch}", text, count=1)
    match = _VALUE.search(new)
    if metric is None or match is None:
        return text if match else new
    one = Value.parse(metric[0])
    is_it = match[1].replace("R2", "R²") + ("[σ]" if match[3] else "") == one.short
    if not is_it or match[2] not in (None, f"_{one.split}"):
        return text  # another label, split, or other units
    return new[: match.start()] + _metric_text(metric) + new[match.end() :]


def _metric_text(metric: tuple[str, float]) -> str:
    value = Value.parse(metric[0])
    return f"{value.printed}={metric[1]:.3f}{value.mark}"
