"""The edits of a roadmap when an MVP has results: numbers, verdicts, conclusion, links, logs."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from vitlab.contract.job import Result
from vitlab.contract.tracking import page_or_files
from vitlab.contract.value import Value
from vitlab.docs.judge.conclusion import (
    NO_NUMBER,
    TRIAL_MARK,
    best_result,
    count_text,
    key_metric,
    profile_mark,
)
from vitlab.docs.judge.verdict import Verdict
from vitlab.docs.model.headers import NOT_OF_ONE, metric_header
from vitlab.docs.model.roadmap import Mvp, Roadmap
from vitlab.docs.model.status_sites import StatusSites
from vitlab.docs.model.table_kinds import Entry, View
from vitlab.docs.model.vocabulary import status_argument
from vitlab.docs.text.edit import Edit
from vitlab.docs.text.inline import cell_text, plain, with_plain_numbers
from vitlab.docs.text.tables import insert_row, set_cell
from vitlab.docs.write.gate_decisions import can_overwrite, gate_edits
from vitlab.docs.write.new_report import report_link
from vitlab.docs.write.removed import UNFILLED, has_log, with_words_kept
from vitlab.docs.write.rows import (
    add_change_row,
    add_row,
    add_timeline_row,
    as_digits_of,
    decimals,
    home_of,
    link_figures,
    may_be_of,
    mvp_name_like,
    numbers_by_column,
    run_key,
    run_of,
    set_column,
    takes_rows_of,
    view_of,
)
from vitlab.docs.write.status import (
    EPOCH,
    EVENTS,
    legend_edits,
    status_cell,
    status_edits,
    unique_edits,
    without_progress,
)

_DIGIT = re.compile(r"\d")
_REPLACED = re.compile(r"[-—–\s?]*|[-+−]?\d+(\.\d+)?( \((?:val|train|log_g|T_eff|M_H)\)){0,2}")
"""What stands in a number column of the table of runs before a result: nothing, or a number."""
_BEFORE_DIGIT = re.compile(r"(?<=[A-Za-z]) (?=\d)")
"""`Run 1` is written `Run1` in these rows."""
_OFFLINE = re.compile(r"^(?:offline-)?run-\d{8}_\d{6}-")
"""The head of a folder of W&B; the run's id follows."""
_NAMED = re.compile(
    r"(?P<name>(?:R²|R2|MAE|RMSE|bias|loss|ρ|σ)(?:_(?:test|val|train))?)(?P<gap>\s*[=:：≈]?\s*)[-+]?\d+"
    r"(?:\.(?P<decimals>\d{1,4}))?(?P<error>\s*±)?"
)
_SECTION = re.compile(r"\d+(?:\.\d+)*")
_UNFINISHED = ("planned", "ready", "running")


def record_results(
    roadmap: Roadmap,
    mvp_id: str,
    results: Sequence[Result],
    status: str,
    conclusion: str,
    report: str | None,
    verdicts: Mapping[str, Verdict],
    date: str,
    profile: str,
    figures: Mapping[str, str] | None = None,
    links: Sequence[RunLink] = (),
    runs: Sequence[Result] = (),
    own: Collection[tuple[int, str]] = (),
    is_own: Callable[[str], bool] = bool,
) -> list[Edit]:
    """Record results everywhere: status, numbers, gates, conclusion, report link, logs.

    Numbers of a run of any profile but `full` are marked so, close no gate, and never replace what
    a full run or a person wrote. `verdicts`: bare gate id -> verdict; `report`: path from the
    roadmap's folder; `date`: YYYY-MM-DD; `figures`: name -> path from the roadmap's folder;
    `links`: the runs' pages at W&B; `runs`: single seeds of `results`, for the table of runs;
    `own`: line and text of its cells as vitlab wrote them; `is_own`: of `with_words_kept`.
    """
    status_argument(status)
    mvp = roadmap.mvp(mvp_id)
    elsewhere = dict.fromkeys(("gate", "numbers", "conclusions", "report"))
    edits = status_edits(roadmap, mvp, {"": status, **elsewhere}, date=date)
    key = key_metric(results)
    for gate in roadmap.gates:
        if mvp.id in gate.mvps:
            edits += gate_edits(roadmap, gate, verdicts.get(gate.id), status, profile, key, mvp.id)
    legend = legend_edits(roadmap, edits)
    edits += number_rows(roadmap, mvp, results, status, profile, own)
    edits += _in_table_of_runs(roadmap, mvp, results, links, runs)
    written = _conclusion(roadmap, mvp, conclusion, key, profile)
    concluded, before = with_words_kept(roadmap, written, is_own)
    edits += [*concluded, *_in_overview(roadmap, mvp, results, own)]
    if report is not None and mvp.report is None:
        edits += link_report(roadmap, mvp.id, report)
    edits += link_figures(roadmap, mvp.id, figures or {})
    done = EVENTS[roadmap.language]["done" if profile != "full" else status]
    event = f"MVP-{mvp.id}{'' if profile == 'full' else f' {profile}'} {done}"
    of = "" if key == NO_NUMBER else f" ({key.removesuffix(profile_mark(profile))})"
    edits += add_change_row(roadmap, f"{event}: {key}{before}", _sections(roadmap, edits), date)
    of += "" if has_log(roadmap, "changelog") else before
    edits += add_timeline_row(roadmap, event + of, date, key)
    return unique_edits([*edits, *legend])


def _in_table_of_runs(
    roadmap: Roadmap,
    mvp: Mvp,
    results: Sequence[Result],
    links: Sequence[RunLink],
    runs: Sequence[Result],
) -> list[Edit]:
    full = [result for result in _one_by_name(results) if result.profile == "full"]
    known = links or [RunLink(result.run, page_or_files(result.wandb)) for result in full]
    single = [result for result in runs if result.profile == "full"]
    return [*run_rows(roadmap, mvp, [*single, *full]), *run_links(roadmap, mvp, known)]


def number_rows(
    roadmap: Roadmap,
    mvp: Mvp,
    results: Sequence[Result],
    status: str,
    profile: str,
    by_us: Collection[tuple[int, str]] = (),
) -> list[Edit]:
    """A row of the numeric summary for every result: filled in where it stands, else added.

    The status of the MVP's rows follows a full run only.
    """
    views = [v for v in roadmap.views if v.kind == "numbers" and "mvp" in v.columns]
    views = [v for v in views if any(map(metric_header, v.headers))]
    edits: list[Edit] = []
    of_row: dict[int, Result] = {}
    results = _one_by_name(results)
    runs = {"" if result.run == "main" else result.run for result in results}
    rows = [(v, e, _run_in(roadmap, v, e, mvp, runs)) for v in views for e in v.entries]
    names = [name for _, _, name in rows if name is not None]
    for result in results:
        run = "" if result.run == "main" else result.run
        own = {name for name in names if run_of(name, runs, names) == run}
        mine = [(view, entry) for view, entry, name in rows if name in own]
        found = _row_of(result, [one for one in mine if may_be_of(*one, result)], by_us)
        home = home_of(roadmap, [v for v in views if takes_rows_of(v, result)], mvp)
        view = found[0] if found else home
        if view is None:
            continue
        values = numbers_by_column(view, result)
        if found is None and len(results) == 1 and (row := _prepared(rows, result)):
            of_row[row[1].line] = result
            edits += _fill_row(roadmap, *row, values)
            edits += set_column(roadmap, row[1], "mvp", f"{row[1].raw('mvp')}{_behind_id(result)}")
        elif found is None:
            edits.append(_new_row(roadmap, view, mvp, result, values, status))
        elif all(can_overwrite(text, result.profile) for text in _numbers_in(*found)):
            of_row[found[1].line] = result
            edits += _fill_row(roadmap, *found, values)
    if profile == "full":
        edits += _status_edits(roadmap, mvp, status, of_row)
    return edits


def _one_by_name(results: Sequence[Result]) -> list[Result]:
    """Those with a name of their own; of several configurations with one name, the chosen one."""
    names, best = [result.run for result in results], best_result(results)
    return [one for one in results if names.count(one.run) == 1 or one is best]


def _status_edits(
    roadmap: Roadmap, mvp: Mvp, status: str, of_row: Mapping[int, Result]
) -> list[Edit]:
    sites = StatusSites(roadmap)
    edits: list[Edit | None] = []
    for site in sites:
        if site.kind == "numbers" and site.mvp == mvp.id and site.cell:
            table, entry, column = site.cell
            new = site.text
            if entry.line not in of_row and sites.is_of_ended_run(site, None):
                continue
            if site.parsed.status != status:
                new = sites.spell(site, status)
            if entry.line in of_row:
                new = _with_epoch(new, of_row[entry.line])
            edits.append(set_cell(roadmap.document, table, entry.row, column, new))
    return [edit for edit in edits if edit is not None]


def _with_epoch(text: str, result: Result) -> str:
    """A status remark `ep96+` brought to the epoch of the reported numbers; none without one."""
    epoch = result.best.get("epoch")
    if epoch is None:
        return re.sub(rf"\s*{EPOCH.pattern}", "", without_progress(text))
    return EPOCH.sub(f"ep{epoch:g}", text, count=1)


def _run_in(
    roadmap: Roadmap, view: View, entry: Entry, mvp: Mvp, runs: Collection[str]
) -> str | None:
    """The run that a row of the MVP names, empty for none; None for a row of another MVP.

    Behind its id, else in a cell of its own.
    """
    opening = roadmap.ids.opening(entry.text("mvp"))
    if opening is None or opening[0] != mvp.id:
        return None
    behind = TRIAL_MARK.sub("", opening[1]).strip(" ()")
    told = {run_key(text) for text in _words_of(view, entry)}
    alone = [run for run in runs if run and run_key(run) in told]
    return behind or (alone[0] if len(alone) == 1 else "")


def _words_of(view: View, entry: Entry) -> list[str]:
    """The cells that say of what a row's numbers are, but for the MVP."""
    aside = {view.columns[name] for name in ("mvp", "status", "note") if name in view.columns}
    return [
        plain(cell.text).strip("-—– ")
        for column, cell in enumerate(entry.row.cells[: len(view.headers)])
        if column not in aside and not metric_header(view.headers[column])
    ]


def _row_of(
    result: Result, rows: Sequence[tuple[View, Entry]], by_us: Collection[tuple[int, str]]
) -> tuple[View, Entry] | None:
    """Of the rows that may be of a result the only one; None where they are of several things.

    Of these one that names the run or its model alone, else the one without a person's numbers.
    """
    alike = [(*row, _words_of(*row)) for row in rows if row[0] is rows[0][0]]
    own = {run_key(result.run), run_key(result.model_name)}
    named = [row for row in alike if result.run != "main"  # each of these names its run
             or own & {run_key(text.partition(",")[0]) for text in row[2]}]  # fmt: skip
    free = [row for row in alike if row in named or not any(row[2]) or all(
        TRIAL_MARK.search(x) or (row[1].line, with_plain_numbers(x)) in by_us
        for x in _numbers_in(*row[:2]))]  # fmt: skip
    bare = [row for row in alike if not any(row[2])]  # as one is added where nothing names it
    for some in (free, named, bare):
        if some and all(row[2] == some[0][2] for row in some):
            return some[0][:2]
    return None


def _numbers_in(view: View, entry: Entry) -> list[str]:
    """The cells of a row that hold numbers of metrics."""
    cells = zip(view.headers, (cell.text for cell in entry.row.cells), strict=False)
    return [text for head, text in cells if metric_header(head) and _DIGIT.search(text)]


def _prepared(
    rows: Sequence[tuple[View, Entry, str | None]], result: Result
) -> tuple[View, Entry] | None:
    """The MVP's only row, where it waits for numbers and names no run."""
    mine = [(view, entry, name) for view, entry, name in rows if name is not None]
    if len(mine) != 1 or mine[0][2] or not mine[0][1].text("mvp")[-1:].isdigit():
        return None
    row = mine[0][:2]
    return row if not _numbers_in(*row) and may_be_of(*row, result) else None


def _behind_id(result: Result) -> str:
    """What names the run in a row of its MVP; empty for the only one."""
    return "" if result.run == "main" else f" {_BEFORE_DIGIT.sub('', result.run)}"


def _new_row(
    roadmap: Roadmap, view: View, mvp: Mvp, result: Result, values: dict[int, str], status: str
) -> Edit:
    like = view.entries[-1] if view.entries else None
    prefix = "MVP-" if like and like.text("mvp").upper().startswith("MVP") else ""
    train = result.n.get("train")
    config = result.model_name + (f", {count_text(train)}" if train else "")
    row = {**values, view.columns["mvp"]: f"{prefix}{mvp.id}{_behind_id(result)}"}
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
    """In the MVP's table of runs full runs are done, and their numbers stand."""
    full = {result.run: result for result in results}
    sites = StatusSites(roadmap)
    edits: list[Edit] = []
    rows = list(_runs_of(roadmap, mvp))
    names = [entry.text("run") for _, entry in rows]
    for view, entry in rows:
        run = run_of(entry.text("run"), full, names)
        if run is None:
            continue
        result = full[run]
        site = next((s for s in sites if s.cell and s.cell[1] is entry), None)
        if site and site.parsed.status in _UNFINISHED:
            new = _with_epoch(sites.spell(site, "done"), result)
            edits += set_column(roadmap, entry, "status", new)
        if names.count(entry.text("run")) > 1 or not may_be_of(view, entry, result):
            continue  # nothing says which of its numbers is of this row
        cells = entry.row.cells
        values = {
            column: text
            for column, text in numbers_by_column(view, result).items()
            if column < len(cells) and _REPLACED.fullmatch(cells[column].text.strip())
        }
        edits += _fill_row(roadmap, view, entry, values)
    return edits


def _runs_of(roadmap: Roadmap, mvp: Mvp) -> Iterator[tuple[View, Entry]]:
    mine = [entry for spec in roadmap.specs if spec.mvp == mvp.id for entry in spec.runs]
    for view in roadmap.views:
        if view.kind == "runs":
            yield from ((view, entry) for entry in view.entries if entry in mine)


@dataclass(frozen=True)
class RunLink:
    """Where a run is at W&B."""

    run: str
    target: str | None
    """Its page, the path of its offline files from the roadmap's folder, or its id alone."""
    earlier: tuple[str, ...] = ()
    """The same of the earlier launches of this run."""


def run_links(roadmap: Roadmap, mvp: Mvp, links: Sequence[RunLink]) -> list[Edit]:
    """Links to W&B in the MVP's table of runs; only nothing or an earlier launch's is replaced."""
    edits: list[Edit] = []
    for entry, link in _linked_rows(roadmap, mvp, links):
        old = entry.raw("wandb")
        free = not old.strip("-—– ") or _names_one(old, link.earlier)
        if link.target and free and not _names_one(old, [link.target]):
            name = cell_text(_wandb_id(link.target))
            text = f"[{name}]({link.target})" if "/" in link.target else name
            edits += set_column(roadmap, entry, "wandb", cell_text(text))
    return edits


def foreign_links(roadmap: Roadmap, mvp: Mvp, links: Sequence[RunLink]) -> list[str]:
    """One line for each link in the table of runs that is another run's and is left alone."""
    lines = []
    for entry, link in _linked_rows(roadmap, mvp, links):
        old = entry.raw("wandb")
        if not old.strip("-—– ") or (link.target and _names_one(old, [link.target])):
            continue
        where = f"{roadmap.document.name}:{entry.line}: the W&B link of {link.run}"
        if link.target and not _names_one(old, link.earlier):
            lines.append(f"{where} is not that of its last run, {_wandb_id(link.target)}")
        elif not link.target and _names_one(old, link.earlier):
            lines.append(f"{where} is of an earlier launch; none is known of the last one")
    return lines


def _linked_rows(
    roadmap: Roadmap, mvp: Mvp, links: Sequence[RunLink]
) -> Iterator[tuple[Entry, RunLink]]:
    by_run = {link.run: link for link in reversed(links)}
    rows = [entry for _, entry in _runs_of(roadmap, mvp)]
    names = [entry.text("run") for entry in rows]
    for entry in rows:
        if (run := run_of(entry.text("run"), by_run, names)) is not None:
            yield entry, by_run[run]


def _names_one(text: str, targets: Iterable[str]) -> bool:
    return any(target in text or _wandb_id(target) in text for target in targets)


def _wandb_id(target: str) -> str:
    """`.../runs/3f2a` and `.../offline-run-20260101_120000-3f2a` -> `3f2a`."""
    return _OFFLINE.sub("", target.rstrip("/").rpartition("/")[2])


def _in_overview(
    roadmap: Roadmap, mvp: Mvp, results: Sequence[Result], own: Collection[tuple[int, str]]
) -> list[Edit]:
    """The headline in the overview's columns of results, where they are empty or vitlab's own.

    A trial's own replaces nothing of a dearer profile.
    """
    best, row = best_result(results), mvp.entry.row
    if best is None or not row.cells or roadmap.sharing(mvp):
        return []
    view = view_of(roadmap, mvp.entry)
    if not may_be_of(view, mvp.entry, best):
        return []
    columns = {view.columns[name] for name in ("result", "key_metric") if name in view.columns}
    edits: list[Edit] = []
    for column, number in {**dict.fromkeys(columns, ""), **numbers_by_column(view, best)}.items():
        old = row.cells[column].text if column < len(row.cells) else ""
        is_own = TRIAL_MARK.search(old) or (mvp.line, with_plain_numbers(old)) in own
        if not UNFILLED.fullmatch(old) and not (is_own and can_overwrite(old, best.profile)):
            continue
        others = [e.row.cells[column].text for e in view.entries if column < len(e.row.cells)]
        new = as_digits_of(others, number) if number else _like_others(others, best)
        edit = set_cell(roadmap.document, view.table, row, column, cell_text(new))
        edits += [edit] if edit else []
    return edits


def _like_others(others: Sequence[str], result: Result) -> str:
    """A headline as the other rows of its column write theirs, `R² = 0.71`, else with its error."""
    value = Value.parse(result.headline)
    number = result.values[result.headline]
    written = [m for text in others if not TRIAL_MARK.search(text) and (m := _NAMED.match(text))]
    ours = [(value.metric, None), (value.metric, value.split)]
    alike = [m for m in written if (head := metric_header(m["name"])) and head[:2] in ours]
    if not written or number is None:
        return key_metric([result])
    like = (alike or written)[-1]
    name = like["name"] if alike else value.printed
    least = 2 if value.metric in ("r2", "rho") else 0
    digits = decimals(number, max(least, len(like["decimals"] or "")) if alike else 3)
    x = result.errors.get(result.headline) if like["error"] else None
    error = f" ± {x:.{digits}f}" if x else ""
    if x and not float(error.strip(" ±")):
        return key_metric([result])
    return (
        f"{name}{like['gap']}{number:.{digits}f}{error}{value.mark}{profile_mark(result.profile)}"
    )


def _conclusion(roadmap: Roadmap, mvp: Mvp, text: str, key: str, profile: str) -> list[Edit]:
    views = [view for view in roadmap.views if view.kind == "conclusions"]
    view = home_of(roadmap, views, mvp)
    if view is None:
        return []
    marked = text if TRIAL_MARK.search(text) else text + profile_mark(profile)
    own = [e for each in views for e in each.entries if e.mvps == (mvp.id,)]
    cells = ((e, plain(e.text("mvp")).replace(mvp.name or mvp.id, "")) for e in own)
    entry = next((e for e, text in cells if not NOT_OF_ONE.search(text)), None)
    if entry is None:
        name = mvp_name_like(view.entries[-1] if view.entries else None, mvp.id)
        values = {"mvp": name, "conclusion": marked, "key_metric": key}
        return add_row(roadmap, view, values)
    edits: list[Edit] = []
    for column, new in (("conclusion", marked), ("key_metric", key)):
        waiting = roadmap.vocabulary.status(entry.raw(column)) in _UNFINISHED
        if waiting or can_overwrite(entry.text(column), profile):
            edits += set_column(roadmap, entry, column, cell_text(new))
    return edits


def link_report(roadmap: Roadmap, mvp_id: str, report: str) -> list[Edit]:
    """Link a report in the overview; `report` is a path from the roadmap's folder."""
    mvp = roadmap.mvp(mvp_id)
    link = report_link(report)
    if mvp.report is None and mvp.entry.text("report").strip("-—– "):
        link = f"{mvp.entry.raw('report')} {link}"  # a remark in the cell is kept
    return set_column(roadmap, mvp.entry, "report", link)


def _sections(roadmap: Roadmap, edits: Sequence[Edit]) -> str:
    """The numbered sections of the edits: `§2.1, §4.3`."""
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
