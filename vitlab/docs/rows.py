"""New rows for the tables of a roadmap, found by kind, filled by column name."""

from __future__ import annotations

from collections.abc import Mapping

from vitlab.docs.inline import cell_text, plain
from vitlab.docs.layout import insert_row
from vitlab.docs.roadmap import Roadmap
from vitlab.docs.splice import Edit
from vitlab.docs.tables import Row
from vitlab.docs.views import Entry, View


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
