"""Rows of the tables of roadmaps and hubs, filled by column name, and links to figures."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence

from vitlab.contract.job import PROFILES, Result
from vitlab.contract.value import Value
from vitlab.contract.world import World, read_world
from vitlab.docs.judge.conclusion import profile_mark
from vitlab.docs.model.gates.conditions import is_model, model_key, models_in
from vitlab.docs.model.gates.rules import WHOLE
from vitlab.docs.model.headers import LABELS, SOME_STARS, SPLITS, metric_header
from vitlab.docs.model.hub import Hub
from vitlab.docs.model.ids import id_stem
from vitlab.docs.model.roadmap import Mvp, Roadmap
from vitlab.docs.model.table_kinds import Entry, View
from vitlab.docs.text.edit import Edit
from vitlab.docs.text.inline import cell_text, plain, width
from vitlab.docs.text.source import Document, Heading, Span
from vitlab.docs.text.tables import Row, insert_row, set_cell


def home_of(roadmap: Roadmap, views: Sequence[View], mvp: Mvp) -> View | None:
    """Which of some tables takes a new row of an MVP; None of none.

    That with the most rows of it, else with the most of its phase, else the first.
    """
    phase = {one.id for one in roadmap.mvps if one.phase == mvp.phase} if mvp.phase else set()
    kin = phase or {one.id for one in roadmap.mvps if id_stem(one.id) == id_stem(mvp.id)}

    def rows_of(view: View) -> tuple[int, int]:
        mine = [entry for entry in view.entries if mvp.id in entry.mvps]
        return len(mine), sum(not kin.isdisjoint(entry.mvps) for entry in view.entries)

    return max(views, key=rows_of, default=None)


def _log_of(document: Roadmap | Hub, kind: str) -> View | None:
    """The timeline or change log: by its heading, else its rows name MVPs, else the first.

    None where dates of something else are the only ones.
    """
    views = [view for view in document.views if view.kind == kind]

    def rank(view: View) -> tuple[bool, bool]:
        texts = [entry.text("event") + entry.text("change") for entry in view.entries]
        return bool(_LOG.search(_title(view))), any("MVP" in text.upper() for text in texts)

    best = max(views, key=rank, default=None)
    return None if best and not any(rank(best)) and _NO_LOG.search(_title(best)) else best


def _title(view: View) -> str:
    return plain(view.headings[-1]) if view.headings else ""


def view_of(roadmap: Roadmap, entry: Entry) -> View:
    """The table of a row."""
    return next(v for v in roadmap.views if any(e.row is entry.row for e in v.entries))


def set_column(roadmap: Roadmap, entry: Entry, column: str, new: str) -> list[Edit]:
    """Write markdown into a row's cell; none where it says that already, or has no such column."""
    if not entry.row.cells:
        return []  # of an MVP that stands in no table
    view = view_of(roadmap, entry)
    if column not in view.columns:
        return []
    edit = set_cell(roadmap.document, view.table, entry.row, view.columns[column], new)
    return [edit] if edit else []


def by_column(view: View, values: Mapping[str, str]) -> dict[int, str]:
    """The values of columns the table has, by column index; empty ones are left out."""
    by_index: dict[int, str] = {}
    for name, value in values.items():
        if name in view.columns and value:
            by_index.setdefault(view.columns[name], value)
    return by_index


def add_row(
    document: Roadmap | Hub, view: View | None, values: Mapping[str, str], after: Row | None = None
) -> list[Edit]:
    """Add a row to a table, below `after` or at its end; none without a table.

    `values`: column name -> markdown, made safe for its cell; other columns get `-`.
    """
    if view is None:
        return []
    return [insert_row(document.document, view.table, by_column(view, values), after)]


def run_key(text: str) -> str:
    """A run's name for comparing: `Run 1`, `run_1` and `run-1` are one, `x=-1` is not `x=1`."""
    text = re.sub(r"[\s_]+", "", text.casefold().replace("\u2212", "-"))
    return re.sub(r"(?<=[^\W\d])(?<!\de)(?<!\d\.e)-(?=\w)", "", text)


def run_of(name: str, runs: Collection[str], beside: Collection[str]) -> str | None:
    """Which of some runs a row names: the one written so, else the only one that is alike.

    None where neither is, or `beside`, the names in all rows, has another one alike.
    """
    if name in runs:
        return name
    alike = [run for run in runs if run_key(run) == run_key(name)]
    rows = {other for other in beside if run_key(other) == run_key(name)}
    return alike[0] if len(alike) == 1 and len(rows) == 1 else None


def mvp_name_like(like: Entry | None, mvp_id: str) -> str:
    """An MVP's id written as in the row `like`: bare or with the prefix, plain or bold."""
    raw = like.cells["mvp"].raw if like and "mvp" in like.cells else "MVP"
    name = f"MVP-{mvp_id}" if plain(raw).upper().startswith("MVP") else mvp_id
    return f"**{name}**" if raw.startswith("**") else name


def add_timeline_row(roadmap: Roadmap, event: str, date: str, result: str = "") -> list[Edit]:
    """A row of the timeline, in order of dates; none where it is there already."""
    view = _log_of(roadmap, "timeline")
    new = (date, plain(cell_text(event)))
    if view is None or any((e.text("date"), e.text("event")) == new for e in view.entries):
        return []
    values = {"date": date, "event": event, "key_metric": result, "result": result}
    return _add_dated_row(roadmap, "timeline", values, date)


def _add_dated_row(
    document: Roadmap | Hub, kind: str, values: Mapping[str, str], date: str
) -> list[Edit]:
    """As `add_row`, at the place of its date: the newest row is the last one, or the first."""
    view = _log_of(document, kind)
    if view is None:
        return []
    dated = [(e.text("date")[:10], e.row) for e in view.entries if e.text("date")[:4].isdigit()]
    above, first = None, False
    if len(dated) > 1 and dated[0][0] > dated[-1][0]:
        later = [row for day, row in dated if day > date]
        above, first = (later[-1] if later else None), not later
    else:
        earlier = [row for day, row in dated if day <= date]
        above = earlier[-1] if earlier and len(earlier) < len(dated) else None
        first = bool(dated) and not earlier
    return [insert_row(document.document, view.table, by_column(view, values), above, first=first)]


def add_change_row(roadmap: Roadmap, change: str, sections: str, date: str) -> list[Edit]:
    """A row of the change log, in order of dates; none where it is there already."""
    new = (date, plain(cell_text(change)))
    if any((e.text("date"), e.text("change")) == new for e in roadmap.rows("changelog")):
        return []
    values = {"date": date, "change": change, "section": sections, "impact": sections}
    return _add_dated_row(roadmap, "changelog", values, date)


def set_key_number(
    hub: Hub, indicator: str, value: str, condition: str, source: str, date: str
) -> list[Edit]:
    """Update or add one key number of a hub, and log it; the texts are plain, `date` YYYY-MM-DD."""
    views = [view for view in hub.views if view.kind == "key_numbers"]
    if not views:
        return []
    new = {"indicator": indicator, "value": value, "condition": condition, "source": source}
    name = plain(cell_text(indicator))
    found = ((v, e) for v in views for e in v.entries if e.text("indicator") == name)
    view, old = next(found, (views[0], None))
    edits: list[Edit | None] = []
    if old is None:
        edits = [insert_row(hub.document, view.table, by_column(view, new))]
    for column in ("value", "condition", "source") if old else ():
        text = cell_text(new[column])
        if old and column in view.columns and old.text(column) != plain(text):
            text = f"**{text}**" if old.raw(column).startswith("**") else text
            edits.append(set_cell(hub.document, view.table, old.row, view.columns[column], text))
    if not any(edits):
        return []
    word = "更新" if hub.language == "zh" else "Updated"
    change = {"date": date, "change": f"{word} {indicator}: {value}", "impact": source}
    log = _add_dated_row(hub, "changelog", {**change, "section": source}, date)
    return [*(edit for edit in edits if edit), *log]


_LOG = re.compile(
    r"时间线|时间轴|进展|里程碑|日志|历史|记录|变更|更新|修订|版本|time\s?line|progress|milestone"
    r"|\blogs?\b(?! g\b)|journal|\bchanges?\b|changelog|histor|updates?\b|revision",
    re.I,
)
"""The titles of timelines and change logs."""
_NO_LOG = re.compile(
    r"截[稿止]|会议|请假|休假|假期|出差|预算|deadline|conference|meeting|vacation|holiday|travel|leave"
    r"|budget|observing",
    re.I,
)
"""The titles of tables of other dates."""
TITLES = ("图表", "Figures")
_NEXT_TITLES = ("复现", "Reproduce")
"""The section after the figures of a report."""
_FIGURE_LINK = re.compile(r"\[\w+\]\(<?[^)\s]*\bimg/mvp_[^)\s]*\)")
"""A link written by `link_figures`."""


def figure_lines(links: Sequence[str]) -> list[str]:
    """A line of markdown for each figure, by its path from the report."""
    paths = dict.fromkeys(links)
    return [f"![{cell_text(p.rpartition('/')[2])}](<{p.replace('>', '')}>)" for p in paths]


def link_figure(report: Document, link: str) -> list[Edit]:
    """The edit that adds a figure to the last part of a report; none when it is linked already."""
    (line,) = figure_lines([link])
    newest = max((h.index for h in report.headings if h.level == 1), default=-1)
    part = [heading for heading in report.headings if heading.index >= newest]
    start = report.line_span(newest).start if newest >= 0 else 0
    if line in report.text[start:]:
        return []
    newline = report.newline
    section = _last_titled(part, TITLES)
    if section is not None:
        lines = range(section.index + 1, report.section_end(section))
        filled = [i for i in lines if report.line_text(i).strip()]
        at = report.line_span(filled[-1] if filled else section.index).end
        gap = newline if filled else newline * 2
        return [Edit(Span(at, at), "", f"{gap}{line}")]
    title = f"## {TITLES[0] if report.language == 'zh' else TITLES[1]}"
    text = newline.join([title, "", line, "", ""])
    following = _last_titled(part, _NEXT_TITLES)
    if following is not None:
        at = report.line_span(following.index).start
        return [Edit(Span(at, at), "", text)]
    end = len(report.text)
    lead = "" if not report.text or report.text.endswith(newline) else newline
    return [Edit(Span(end, end), "", f"{lead}{newline}{text.rstrip()}{newline}")]


def link_figures(roadmap: Roadmap, mvp_id: str, links: Mapping[str, str]) -> list[Edit]:
    """A row of links at the end of the MVP's table of facts, replacing an earlier such row.

    `links`: figure's name -> path from the roadmap's folder.
    """
    facts = next((spec.facts for spec in roadmap.specs if spec.mvp == mvp_id and spec.facts), ())
    if not links or not facts:
        return []
    links_text = ", ".join(f"[{name}]({path})" for name, path in links.items())
    view = view_of(roadmap, facts[-1])
    for entry in facts:
        content = entry.cells.get("content")
        if not content or entry.text("item") not in TITLES:
            continue
        if not _FIGURE_LINK.sub("", content.raw).strip(", "):
            own = view_of(roadmap, entry)
            column = own.columns["content"]
            edit = set_cell(roadmap.document, own.table, entry.row, column, links_text)
            return [edit] if edit else []
    title = TITLES[0] if roadmap.language == "zh" else TITLES[1]
    values = by_column(view, {"item": title, "content": links_text})
    return [insert_row(roadmap.document, view.table, values)]


def _last_titled(headings: Sequence[Heading], titles: Sequence[str]) -> Heading | None:
    bare = re.compile(r"^[\W\d_]+")  # `4. 📈 图表` is such a part too
    return next((h for h in reversed(headings) if bare.sub("", h.title).strip() in titles), None)


def numbers_by_column(view: View, result: Result) -> dict[int, str]:
    """The result's numbers by column: `R² (val)` takes `val/r2/<label of the headline>`.

    A head without a split takes the one its neighbours name, or what the run is judged by, as in
    `R² | R² (val)`; a number that is neither of theirs nor of the test has its name: `0.250 (val)`,
    as has one of another label than log g where neither head nor headings name it: `0.95 (T_eff)`.
    There is none where a head says of the number what it is not.
    """
    judged = Value.parse(result.headline)
    heads = [metric_header(header) for header in view.headers]
    seeds = result.model.get("seeds", 1)
    bare = {head.metric for head in heads if head and not head.split}
    beside = {(head.metric, head.split) for head in heads if head and head.split}
    named = [*{split for _, split in beside}]
    if len(named) > 1 or any(metric in bare for metric, _ in beside):
        named = []
    numbers = {}
    for column, head in enumerate(heads):
        of = [name for name, label in LABELS.items() if label.search(view.headers[column])]
        if head is None or (of and of != [judged.label]):  # `R² (T_eff)` is not that of log g
            continue
        if head.seeds not in (None, seeds) or (head.is_best and seeds != 1):
            continue
        told = LABELS.get(judged.label or "")
        is_told = bool(of) or bool(told and any(map(told.search, view.headings)))
        splits = [head.split] if head.split else [*named, judged.split]
        if head.is_best and result.is_of_last_step:
            splits = [one for one in splits if one not in ("train", "val")]
        for one in splits:
            name = Value(one, head.metric, judged.label)
            value = result.values.get(str(name))
            if value is not None and head.unit in (None, name.unit):
                is_usual = one in ("", "test", head.split, *named)
                mark = "" if is_usual else f" ({one})"
                mark += f" ({judged.label})" if name.short != name.symbol and not is_told else ""
                value = abs(value) if head.is_size else value
                digits = decimals(value)
                numbers[column] = f"{value:.{digits}f}{mark}{profile_mark(result.profile)}"
                break
    return numbers


def decimals(value: float, usual: int = 3) -> int:
    """The decimals of a number in a cell: more than usual where these would show a zero."""
    is_small = 0 < abs(value) < 10.0**-usual
    return min(1 - math.floor(math.log10(abs(value))), 12) if is_small else usual


def as_digits_of(others: Sequence[str], number: str) -> str:
    """A number rounded as the other rows of its column are."""
    known = [m[1] for text in others if (m := re.fullmatch(r"[-+]?\d+\.(\d{1,3})", text))]
    value, blank, mark = number.partition(" ")
    digits = decimals(float(value), max((2, *map(len, known))) if known else 3)
    return f"{float(value):.{digits}f}{blank}{mark}"


def takes_rows_of(view: View, result: Result) -> bool:
    """Whether the heading of a table of numbers leaves it open that a result's are among them."""
    return view.kind != "numbers" or not _is_of_another(_title(view), result)


def may_be_of(view: View, entry: Entry, result: Result) -> bool:
    """Whether a row's cells leave it open that its numbers are those of a result.

    Not where they, or the heading of a table of numbers, name other labels, some stars, or what the
    result is not: another model, split, profile, number of training stars or seeds, real spectra.
    The row of an overview is the MVP's own, whatever it is called, but for another label, and
    another split, model, size or part of the stars in a column for it.
    """
    named = {view.columns[name] for name in ("mvp", "run", "status") if name in view.columns}
    if not takes_rows_of(view, result):
        return False
    for column, cell in enumerate(entry.row.cells[: len(view.headers)]):
        head, text = plain(view.headers[column]), plain(cell.text)
        if metric_header(head) or not text.strip("-—– "):
            continue
        if _of_other_label(text, result):
            return False
        is_remark = column == view.columns.get("note") and width(text) > _WORDS
        is_its_own = view.kind == "overview" or column in named or is_remark
        if not is_its_own and _is_of_another(text, result):
            return False
        if match := _ASIDE.match(head):
            (kind,) = (name for name, word in match.groupdict().items() if word)
            if not _ASIDE_AGREES[kind](text, result):
                return False
    return True


def _of_other_label(text: str, result: Result) -> bool:
    labels = {name for name, label in LABELS.items() if label.search(text)}
    return bool(labels) and Value.parse(result.headline).label not in labels


def _is_of_another(text: str, result: Result) -> bool:
    """Whether a text about numbers says what those of a result are not."""
    judged, seeds = Value.parse(result.headline), result.model.get("seeds", 1)
    world = read_world(result.world)
    whole = next((m for m in (_SPLIT_ALONE.fullmatch(part) for part in _parts(text)) if m), None)
    noise = _NOISE.search(text)
    level = float(noise["level"] or 0) if noise else None
    of_seeds = _SEEDS.search(text)
    return any(
        (
            _of_other_label(text, result),
            _STARS.search(_without_own_mags(text, world)),
            whole and not _is_split(whole.group(), result),
            any(part in PROFILES and part != result.profile for part in _parts(text)),
            any(map(_NO_RESULT.fullmatch, _parts(text))) and not judged.is_ceiling,
            not _is_model(text, result),
            _ENSEMBLE.search(text) and result.recipe != "ensemble",
            of_seeds and int(of_seeds["count"] or 1) != seeds,
            not _has_size(text, result),
            _PUBLISHED.search(text),
            _PERMUTED.search(text) and not result.data.get("permuted"),
            world and world.simulator and _REAL.search(text),
            world and level is not None and level != world.noise,
        )
    )


def _without_own_mags(text: str, world: World | None) -> str:
    """A text without the range of magnitudes that is all of a result's."""
    if world is None:
        return text
    return _MAGS.sub(
        lambda m: "" if (float(m["low"]), float(m["high"])) == world.mag else m[0], text
    )


def _parts(text: str) -> list[str]:
    """What a text says as a whole, in its brackets, and between its commas."""
    return [part.strip().casefold() for part in re.split(r"[()（）\[\],，;；+/|]", text) if part]


def _has_size(text: str, result: Result) -> bool:
    """Whether one of the counts in a text, if there are any, is that of a full result."""
    counts = [_count(m["count"], m["times"] or "") for m in _COUNTS.finditer(text)]
    sizes = result.n.get("train"), result.model.get("params")
    known = [size for size in sizes if isinstance(size, int) and size]
    if result.profile != "full" or not result.n.get("train") or not counts:
        return True
    return any(1 / 1.5 <= count / one <= 1.5 for count in counts for one in known)


def _count(number: str, times: str) -> float:
    return float(number.replace(",", "")) * _TIMES[times.lower()]


def _is_split(text: str, result: Result) -> bool:
    split = Value.parse(result.headline).split
    named = {name for name, words in SPLITS if re.search(words, text, re.I)}
    return not named or split in named


def _is_model(text: str, result: Result) -> bool:
    here, named = model_key(result.model_name), models_in(text)
    return len(named) != 1 or not is_model(here) or here in named


def _is_size(text: str, result: Result) -> bool:
    """Within a factor of 1.5, as splits are taken off a round number; a trial is of fewer."""
    match, train = _SIZE.fullmatch(text.strip()), result.n.get("train")
    if match is None or not train or result.profile != "full":
        return True
    return 1 / 1.5 <= _count(match[1], match[2]) / train <= 1.5


_MAGS = re.compile(
    r"(?:\bmag(?:nitude)?s?\b|星等)\s*[=:]?\s*(?P<low>\d+(?:\.\d+)?)\s*(?:-|–|—|~|to|至|到)"
    r"\s*(?P<high>\d+(?:\.\d+)?)",
    re.I,
)
_STARS = re.compile(rf"{SOME_STARS}|SNR|S/N|信噪|\bmag\b|星等", re.I)
_ASIDE = re.compile(
    r"\W*(?:(?P<part>SNR|S/N|信噪比?|mag(?:nitude)?s?(?![a-z])|星等|bins?(?![a-z])|分箱|子集|subset)"
    r"|(?P<split>split|数据划分|划分|集合)|(?P<model>models?(?![a-z])|模型|method|方法)"
    r"|(?P<size>N(?:[\s_]*train)?\W*$|数据量|训练[集量]大小|train(?:ing)?[\s_]*size|n_train))",
    re.I,
)
"""A head of what numbers are of besides their MVP and run."""
_ASIDE_AGREES: Mapping[str, Callable[[str, Result], bool]] = {
    "part": lambda text, _: WHOLE.fullmatch(text) is not None,
    "split": _is_split,
    "model": _is_model,
    "size": _is_size,
}
_SIZE = re.compile(r"[~≈约]?\s*(\d[\d,]*(?:\.\d+)?)\s*(k|m|万|百万|)", re.I)
_COUNTS = re.compile(
    r"(?:\bN(?:_?train)?\s*=\s*(?=\d)|(?<![\w.=-])(?=[\d.]+\s*(?:k|m|万|百万)(?![A-Za-z])))"
    r"(?P<count>\d[\d,]*(?:\.\d+)?(?:e\d)?)\s*(?P<times>k|m|万|百万|)(?![\w.])"
    r"(?!\s*(?:test|val|steps?|iter|draws?|updates?|测试|验证|步|次))",
    re.I,
)
_WORDS = 24
"""Columns up to which a remark is a few words on what the numbers are of."""
_SPLIT_ALONE = re.compile(
    rf"(?:on |the )*(?:{'|'.join(words for _, words in SPLITS)}|validation|training)(?:集| set)?",
    re.I,
)
_NO_RESULT = re.compile(
    r"(?:(?:target|goal|expected|literature|published|paper|previous work|ceiling|upper bound"
    r"|fisher|crlb|bayes|theoretical|worst|median|目标|预期|期望|文献|论文|上限|理论)"
    r"(?:值| values?)?\s*)+"
)
_PUBLISHED = re.compile(r"\bet al\b|\b[A-Z][a-z]+\s?\+\s?\d\d")
_PERMUTED = re.compile(r"\b(?:shuffl|permut)|打乱|置换", re.I)
_ENSEMBLE = re.compile(r"\bensembles?\b|集成", re.I)
_SEEDS = re.compile(
    r"(?<!\d)(?P<count>\d+)\s*(?:seeds|个?种子)|\bseed\s*[=#]?\s*\d|种子\s*\d", re.I
)
_REAL = re.compile(
    r"\b(?:real|observed|OOD|out[- ]of[- ]distribution|DESI|LAMOST|SDSS|APOGEE|GALAH)\b"
    r"|真实|实测|观测",
    re.I,
)
_NOISE = re.compile(
    r"\bnoise\s*[=×x*]?\s*(?P<level>\d+(?:\.\d+)?)(?!\s*draws)"
    r"|\bno noise\b|\bnoise-?(?:less|free)\b|无噪",
    re.I,
)
_TIMES = {"": 1, "k": 1e3, "m": 1e6, "万": 1e4, "百万": 1e6}
