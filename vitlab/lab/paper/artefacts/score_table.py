"""A table of scores for a paper: what differs, the metrics, the share of the ceiling, differences.

The best of a column is bold only where its paired difference to every other row is more than 2
standard errors, of stars and seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from vitlab.contract.job import base_name
from vitlab.contract.value import LABEL, Value, judged_by, rounded
from vitlab.contract.world import World, read_world
from vitlab.docs.judge.comparison import Gap
from vitlab.lab.figures.costs import cost_notes
from vitlab.lab.paper.artefacts.latex import Cell, Column, escaped, in_brackets, table
from vitlab.lab.paper.artefacts.macros import short_run
from vitlab.lab.paper.artefacts.quantities import Quantity, of_group, subject_of
from vitlab.lab.paper.artefacts.selection import Chosen
from vitlab.lab.results.ranking import group_gap, run_label
from vitlab.lab.results.repeats import Group
from vitlab.lab.results.rows import result_row
from vitlab.lab.results.run_settings import seed_of, settings_of

_METRICS = ("r2", "mae", "rmse", "mae_sigma", "rmse_sigma")
"""Columns, where a row has them, beside the value that runs are judged by."""
_INDEPENDENT, _ONE_SEED = "a", "b"
_NOTES = {
    _INDEPENDENT: "errors of independent test stars",
    _ONE_SEED: "one seed on a side: the error lacks what another seed would change",
}
"""Footnotes of differences."""


@dataclass(frozen=True)
class ScoreTable:
    """A table and the numbers in it."""

    text: str
    quantities: tuple[Quantity, ...]


def score_table(
    chosen: Chosen, groups: Sequence[Group], reference: Group | None, top: str
) -> ScoreTable:
    """The table of some configurations, best first; differences are those to `reference`.

    `top`: a line above it, which marks a draft. At least one group has the value they are judged
    by; those that have not are no rows.
    """
    name = judged_by(group.first.headline for group in groups)
    value = Value.parse(name)
    groups = [group for group in groups if group.value(name) is not None]
    groups = value.ranked(groups, lambda group: group.value(name))
    names = dict.fromkeys([name, *(str(replace(value, metric=metric)) for metric in _METRICS)])
    columns = _texts(groups)
    quantities: list[Quantity] = []
    for each in names:
        known = [of_group(group, each) for group in groups]
        if any(known):
            quantities += filter(None, known)
            columns.append(_metric(each, known, _best(groups, known, each, chosen)))
    shares = _shares(groups, name, chosen)
    if any(shares):
        quantities += filter(None, shares)
        columns.append(Column(r"$R^2/R^2_\mathrm{Bayes}$", tuple(map(_cell, shares))))
    gaps = _gaps(groups, reference, name, chosen) if reference and len(groups) > 1 else []
    if gaps:
        columns.append(Column(_delta_head(value), tuple(_delta_cell(*gap) for gap in gaps)))
        quantities += [quantity for _, quantity in gaps if quantity]
    notes = _notes(groups, reference if gaps else None, gaps, chosen, name)
    text = table(columns, [escaped_note(note) for note in notes], escaped(top))
    return ScoreTable(text, tuple(quantities))


def escaped_note(note: str) -> str:
    """A footnote, whose head may be a letter: `a: ...`."""
    head, colon, rest = note.partition(": ")
    if colon and head in _NOTES:
        return rf"\textsuperscript{{{head}}} {escaped(rest)}"
    return escaped(note)


def _texts(groups: Sequence[Group]) -> list[Column]:
    """Model, and what tells the rows of one model apart."""
    runs = [short_run(base_name(g.name), g.first.model_name, g.first.n.get("train"))
            for g in groups]  # fmt: skip
    sizes = [group.first.n.get("train") or 0 for group in groups]
    params = [result_row(group, {}).params for group in groups]
    seeds = [len(group.members) for group in groups]
    columns = [Column("Model", tuple(escaped(group.first.model_name) for group in groups))]
    models = len({group.first.model_name for group in groups})
    if models < len(groups) and len(set(runs)) > 1:
        columns.append(Column("Run", tuple(escaped(run) or "--" for run in runs)))
    if any(sizes):
        columns.append(Column("$N$", tuple(_count(size) for size in sizes)))
    if len(set(params)) > 1:
        columns.append(Column("Parameters", tuple(_count(x or 0) for x in params)))
    if len(set(seeds)) > 1:
        columns.append(Column("Seeds", tuple(Cell(str(x)) for x in seeds)))
    return columns


def _count(number: int) -> Cell:
    return Cell(str(number)) if number else Cell()


def _metric(name: str, known: Sequence[Quantity | None], bold: int | None) -> Column:
    value = Value.parse(name)
    label = f"({value.label})" if value.label not in ("", LABEL) else ""
    unit = f" [{value.unit}]" if value.unit else ""
    head = escaped(value.symbol + label + unit).replace("R$^2$", "$R^2$")
    return Column(head, tuple(_cell(one, i == bold) for i, one in enumerate(known)))


def _cell(one: Quantity | None, bold: bool = False) -> Cell:
    return one.cell(bold=bold) if one else Cell()


def _best(
    groups: Sequence[Group], known: Sequence[Quantity | None], name: str, chosen: Chosen
) -> int | None:
    """The row that is better than each other by its paired difference; None for none."""
    value = Value.parse(name)
    rows = [i for i, one in enumerate(known) if one]
    best = value.best(rows, lambda i: groups[i].value(name))
    if best is None or len(rows) < 2:
        return None
    others = [groups[i] for i in rows if i != best]
    gaps = [group_gap(groups[best], other, name, chosen.pairs) for other in others]
    return best if all(map(_says_so, gaps)) else None


def _says_so(gap: Gap | None) -> bool:
    """Whether a difference is one of the models: of the same stars, of known error, no noise."""
    return bool(gap and gap.stars and gap.error > 0 and not gap.is_noise and not gap.is_one_seed)


def _shares(groups: Sequence[Group], name: str, chosen: Chosen) -> list[Quantity | None]:
    found: list[Quantity | None] = []
    for group in groups:
        share, one = result_row(group, chosen.bounds).share, of_group(group, name)
        if share is None or one is None or group.first.headline != name:
            found.append(None)
            continue
        subject = replace(one.subject, metric="share")
        found.append(replace(one, subject=subject, number=share.value, error=share.error,
                             detail="as a share of the Bayes ceiling"))  # fmt: skip
    return found


def _gaps(
    groups: Sequence[Group], reference: Group, name: str, chosen: Chosen
) -> list[tuple[Gap | None, Quantity | None]]:
    """Of each row what it differs by from the reference; None for that itself, or where unknown."""
    value, found = Value.parse(name), list[tuple[Gap | None, Quantity | None]]()
    for group in groups:
        gap = None if group is reference else group_gap(group, reference, name, chosen.pairs)
        if gap is None:
            found.append((None, None))
            continue
        same = group.first.model_name == reference.first.model_name
        other = reference.name if same else reference.first.model_name
        quantity = Quantity(
            subject_of(group, value, other),
            name,
            gap.value,
            gap.error or None,
            gap.stars or None,
            len(group.members),
            (*group.members, *reference.members),
            decimals=_decimals(group, reference, name) if gap.is_same else None,
        )
        found.append((gap, quantity))
    return found


def _decimals(group: Group, reference: Group, name: str) -> int:
    """Those that the values of two configurations are printed with."""
    printed = [one.digits[0] for side in (group, reference) if (one := of_group(side, name))]
    return max((len(number.partition(".")[2]) for number in printed), default=0)


def _delta_head(value: Value) -> str:
    symbol = escaped(value.symbol).replace("R$^2$", "$R^2$")
    return rf"$\Delta$\,{symbol}" + (f" [{value.unit}]" if value.unit else "")


def _delta_cell(gap: Gap | None, one: Quantity | None) -> Cell:
    if gap is None or one is None:
        return Cell()
    number, error = one.digits
    if gap.is_same:
        return Cell(number)
    mark = "".join([_INDEPENDENT * (not gap.stars), _ONE_SEED * gap.is_one_seed])
    return Cell(number if number.startswith("-") else f"+{number}", error, mark=mark)


def _notes(
    groups: Sequence[Group],
    reference: Group | None,
    gaps: Sequence[tuple[Gap | None, Quantity | None]],
    chosen: Chosen,
    name: str,
) -> list[str]:
    """What the numbers are of: stars, noise, seeds, errors, differences, cost, ceiling."""
    over = {group.error_of(name) for group in groups}
    seeds = " and, of several seeds, over these" if "seeds" in over else ", no scatter over seeds"
    kinds = [f"the test stars{seeds}"] if over != {"seeds alone"} else []
    kinds += ["seeds alone"] if "seeds alone" in over else []
    notes = [
        _each(groups, _stars),
        _each(groups, lambda g: _noise(read_world(g.first.world))),
        _each(groups, _seeds),
        f"In brackets the error of the last digits, over {', or '.join(kinds)}",
    ]
    if len(groups) > 1:
        notes.append("Bold: better than every other row by more than 2 errors of the difference "
                     "on the same test stars")  # fmt: skip
    if reference is not None:
        known = [gap.spread for gap, _ in gaps if gap and gap.spread and gap.spread.seeds]
        seeds = ", with the scatter over seeds where it is known" if known else ""
        less = f"less {_row_name(reference, groups)}, on the same test stars{seeds}"
        notes.append(f"Differences: {less}")
        marks = "".join(_delta_cell(*gap).mark for gap in gaps)
        notes += [f"{mark}: {text}" for mark, text in _NOTES.items() if mark in marks]
    notes += cost_notes(groups)
    ceilings = dict.fromkeys(
        ceiling for group in groups if (ceiling := result_row(group, chosen.bounds).ceiling)
    )
    notes += [f"Bayes ceiling of R²: {in_brackets(*rounded(one.r2, one.error))}"
              for one in ceilings] if Value.parse(name).metric == "r2" else []  # fmt: skip
    return [note for note in notes if note]


def _row_name(group: Group, groups: Sequence[Group]) -> str:
    model, run = group.first.model_name, run_label(group)
    alone = sum(one.first.model_name == model for one in groups) == 1
    return model if alone or run == model else run


def _each(groups: Sequence[Group], text: Callable[[Group], str]) -> str:
    """What is said of all rows, or of each kind of them."""
    said: dict[str, list[str]] = {}
    for group in groups:
        said.setdefault(text(group), []).append(_row_name(group, groups))
    if len(said) == 1:
        return next(iter(said))
    return "; ".join(f"{words} ({', '.join(dict.fromkeys(rows))})" for words, rows in said.items())


def _stars(group: Group) -> str:
    n = group.first.n.get("test", 0)
    return f"n = {n:,} test stars" if n else "The number of test stars is not known"


def _noise(world: World | None) -> str:
    """The noise of the test spectra."""
    if world is None:
        return "Noise of the test spectra not known"
    also = f", disturbed by {world.disturbed}" if world.disturbed else ""
    if world.mag is None:
        return f"Noise of the file's own errors, times {world.noise:g}{also}"
    low, high = world.mag
    mag = f"magnitude {low:g}" if low == high else f"magnitudes {low:g} to {high:g}"
    return f"Simulated noise at {mag}, times {world.noise:g}{also}"


def _seeds(group: Group) -> str:
    seeds = [seed_of(settings_of(one.job.spec)) for one in group.members]
    known = ", ".join(str(seed) for seed in sorted(seed for seed in seeds if seed is not None))
    count_ = f"Mean of {len(seeds)} seeds" if len(seeds) > 1 else "One seed"
    return f"{count_} ({known})" if known else count_
