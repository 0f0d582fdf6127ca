"""A star's spectrum over its noise with one cursor, and the star in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from rich.text import Text
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from vitlab.contract.value import measured
from vitlab.lab.inspector.star import Mark, Observed, Prediction, StarList, StarSheet, Trace
from vitlab.lab.inspector.words import comparisons, facts, headline
from vitlab.plot.canvas import (
    LEFT,
    Curve,
    Folds,
    Look,
    Named,
    Panel,
    curve,
    nearest,
    paint,
)
from vitlab.plot.chart import MARKS, PALETTE
from vitlab.plot.grid import DIM, Run
from vitlab.plot.labels import GREY
from vitlab.plot.series import Rgb
from vitlab.tui.text import cell, clean, tone_style
from vitlab.tui.widgets.chart import CursorChart, Draw, colored
from vitlab.tui.widgets.table import Row, StableTable

FOLDED = 48
"""Foldings kept: those of some windows."""


@dataclass(frozen=True)
class SpectrumState:
    """Everything a drawing depends on besides its size."""

    stars: StarList | None = None
    sheet: StarSheet | None = None
    lower: str = "shape"
    look: Look = field(default_factory=Look)
    text: str = ""
    """Said instead of the charts."""


@dataclass(frozen=True)
class Lower:
    """The lower chart's curves, and what they are."""

    traces: tuple[tuple[Trace, Rgb], ...]
    note: str = ""
    signed: bool = True


class SpectrumChart(CursorChart):
    """A star's flux, and below it what its label depends on."""

    def __init__(self, moved: Callable[[], object]) -> None:
        super().__init__("spectrum-chart", moved)
        self.state = SpectrumState()
        self._panels: tuple[object, tuple[Panel, Panel, str]] | None = None
        self._folds: Folds = {}

    def show(self, state: SpectrumState) -> None:
        """Draw this."""
        self.state = state
        self.redraw()

    @property
    def look(self) -> Look:
        return self.state.look

    def set_look(self, look: Look) -> None:
        self.state = replace(self.state, look=look)

    def full_range(self) -> tuple[float, float]:
        """All wavelengths."""
        wave = self.state.stars.wave if self.state.stars else ()
        return (wave[0], wave[-1]) if len(wave) > 1 else (0.0, 1.0)

    def narrowest(self) -> float:
        """Of 16 pixels; without a star nothing can be zoomed."""
        first, last = self.full_range()
        return 8 * (last - first) / len(self.state.stars.wave) if self.state.stars else math.inf

    def first_cursor(self, low: float, high: float) -> float:
        return (low + high) / 2

    def snapped(self, x: float, columns: int) -> float:
        """A pixel's wavelength, another one than the cursor's."""
        stars, cursor = self.state.stars, self.look.cursor
        if stars is None:
            return x
        at = nearest(stars.wave, x)
        if cursor is not None and at == nearest(stars.wave, cursor):
            at = min(max(at + (1 if columns > 0 else -1), 0), len(stars.wave) - 1)
        return stars.wave[at]

    def action_move(self, columns: int) -> None:
        if self.state.stars is not None:
            super().action_move(columns)

    def to_line(self, by: int) -> None:
        """Move the cursor to the next named line, after or before it."""
        if self.state.stars is None:
            return
        at = self.look.cursor or self.full_range()[0]
        waves = [mark.wave for mark in self.state.stars.marks]
        # A line is between two pixels: the one at the cursor is not the next.
        beyond = [wave for wave in waves if (wave - at) * by > 1.0]
        if beyond:
            self.move_cursor(min(beyond) if by > 0 else max(beyond))

    @property
    def pixel(self) -> int | None:
        """The pixel under the cursor."""
        stars, cursor = self.state.stars, self.look.cursor
        if stars is None or cursor is None or len(stars.wave) < 2:
            return None
        return nearest(stars.wave, cursor)

    def drawing(self) -> Draw:
        state = self.state
        return lambda width, height: self._draw(state, width, height)

    def _draw(self, state: SpectrumState, width: int, height: int) -> Text:
        """In a thread, one at a time."""
        if state.stars is None or state.sheet is None or state.text:
            return Text(clean(state.text or "no star selected"))
        key = (id(state.sheet), state.lower, state.look.plain)
        if self._panels is None or self._panels[0] != key:
            self._panels = key, panels(state.stars, state.sheet, state.lower)
            self._folds.clear()
        if len(self._folds) > FOLDED:
            self._folds.clear()
        return render(self._panels[1], state, width, height, self._folds)


def lower_kinds(sheet: StarSheet | None) -> list[str]:
    """What the lower chart can show of a star."""
    observed = sheet is not None and sheet.observed is not None
    attends = sheet is not None and sheet.attention is not None
    shown = {"residual": observed, "shape": True, "response": True, "attention": attends}
    return [kind for kind, is_there in shown.items() if is_there]


def chart_title(sheet: StarSheet, lower: str) -> str:
    """What both charts show."""
    if lower == "residual" and sheet.observed is not None:
        return "Flux / median; below: observed - grid, in errors with 3% of the flux added"
    below = {"shape": "each normalised", "residual": "each normalised"}
    kind = {**below, "response": "in its own unit"}.get(lower, lower)
    return f"Flux / median; below: sensitivity to {sheet.label} ({kind})"


def lower_of(sheet: StarSheet, wanted: str) -> Lower:
    """What the lower chart shows of a star: what is wanted, or else what there is."""
    response, best = sheet.response, sheet.best
    if wanted == "residual" and sheet.observed is not None:
        return Lower(((sheet.observed.residual, PALETTE[2]),))
    if wanted == "attention" and sheet.attention is not None:
        return Lower(((sheet.attention, PALETTE[3]),), signed=False)
    both = [(response, PALETTE[1]), (best, PALETTE[2])]
    traces = [(trace, color) for trace, color in both if trace is not None]
    note = "" if response is not None else "no model to inspect"
    if wanted != "response":
        traces = [(_normed(trace), color) for trace, color in traces]
    return Lower(tuple(traces), note)


def panels(stars: StarList, sheet: StarSheet, lower: str) -> tuple[Panel, Panel, str]:
    """Upper and lower chart, and a note where the lower one is empty."""
    curves = [curve("observed", stars.wave, sheet.flux, GREY)]
    if sheet.clean:
        name = "noise-free" if sheet.observed is None else "nearest of the grid"
        curves.append(curve(name, stars.wave, sheet.clean, PALETTE[0]))
    middle = sheet.clean or sheet.flux
    edges = (
        curve(
            "edge",
            stars.wave,
            [m + sign * s for m, s in zip(middle, sheet.sigma, strict=True)],
            DIM,
        )
        for sign in (-1, 1)
    )
    names = [Named(mark.wave, mark.name, mark.weight) for mark in stars.marks]
    upper = Panel(curves, band=(next(edges), next(edges)), names=names, scale="trimmed")
    chosen = lower_of(sheet, lower)
    traces = [curve(t.kind, stars.wave, t.values, color) for t, color in chosen.traces]
    return upper, Panel(traces, scale="signed" if chosen.signed else "trimmed"), chosen.note


def render(
    made: tuple[Panel, Panel, str], state: SpectrumState, width: int, height: int, folds: Folds
) -> Text:
    """Two charts, each under its legend, as Rich text."""
    upper, lower, note = made
    assert state.stars is not None
    look = state.look
    if look.window is None:
        look = replace(look, window=(state.stars.wave[0], state.stars.wave[-1]))
    band = ":" if look.plain else "░"
    above = max((height - 2) * 11 // 20, 3)
    below = max(height - 2 - above, 3)
    rows: list[Run] = [_legend(upper.curves, f"{band} 1 sigma", look, width)]
    rows += paint(upper, look, width, above, folds, axis=False)
    rows.append(_legend(lower.curves, note, look, width))
    rows += paint(lower, look, width, below, folds, axis=True)
    return colored(rows[:height])


def nearest_mark(marks: Sequence[Mark], wave: float) -> Mark | None:
    """The line nearest to a wavelength, or the band it lies in; None where all are far."""
    lines = [mark for mark in marks if mark.end <= mark.wave]
    near = min(lines, key=lambda mark: abs(mark.wave - wave), default=None)
    if near is not None and abs(near.wave - wave) <= 10:
        return near
    return next((mark for mark in marks if mark.wave <= wave <= mark.end), None)


def _normed(trace: Trace) -> Trace:
    size = math.sqrt(sum(value * value for value in trace.values if math.isfinite(value)))
    values = tuple(value / size for value in trace.values) if size > 0 else trace.values
    return Trace(trace.kind, "of its total", values)


def _legend(curves: Sequence[Curve], more: str, look: Look, width: int) -> Run:
    marks = MARKS if look.letters or look.plain else "━"
    parts: Run = [(" " * LEFT, None)]
    for number, one in enumerate(curves):
        parts.append((f"{marks[number % len(marks)]} {clean(one.name)}   ", one.color))
    parts.append((more, GREY))
    kept: Run = []
    room = width
    for piece, color in parts:
        kept.append((piece[:room], color))
        room -= len(kept[-1][0])
    return kept


DENSITY_COLUMNS = 27
NAMED = 12
"""How many lines are listed, the most informative first."""


class GuessTable(StableTable):
    """Each model's prediction for the star, the truth first."""

    COLUMNS: ClassVar = {"Predicted": 9, "Error": 7, "Residual": 8, "Model": 12}
    NARROW: ClassVar = {"Predicted": 7, "Error": 6, "Residual": 7, "Model": 8}

    def show(self, sheet: StarSheet | None) -> None:
        """`None`: no star."""
        if sheet is None:
            self.show_rows({})
            return
        truth = sheet.true.get(sheet.label, math.nan)
        rows: dict[str, Row] = {}
        rows["truth"] = self._known(sheet, truth)
        own = sheet.guesses[:1]
        others = sorted(
            sheet.guesses[1:], key=lambda prediction: _away(_predicted(prediction, sheet), truth)
        )
        for prediction in (*own, *others):
            rows[prediction.job] = self._row(
                prediction, sheet, truth, "accent" if prediction in own else ""
            )
        self.show_rows(rows)

    def _known(self, sheet: StarSheet, truth: float) -> Row:
        """What is true, or, of an observed star, known."""
        seen = sheet.observed
        error = None if seen is None else seen.known_errors.get(sheet.label)
        name = "truth" if seen is None else "known" if math.isfinite(truth) else "not known"
        spread = "" if error is None else shown(error)
        return cell(shown(truth), "bold"), cell(spread), cell(""), cell(name, "bold")

    def _row(self, prediction: Prediction, sheet: StarSheet, truth: float, tone: str) -> Row:
        value, style = _predicted(prediction, sheet), tone_style(self, tone)
        error = prediction.errors.get(sheet.label)
        sign = "+" if value >= truth else ""
        off = f"{sign}{shown(value - truth)}" if math.isfinite(value - truth) else "-"
        spread = "" if error is None else shown(error)
        return (
            cell(shown(value), style),
            cell(spread),
            cell(off, style),
            cell(prediction.name, style),
        )


def pixel_words(stars: StarList, sheet: StarSheet, pixel: int, *, plain: bool) -> str:
    """What is at one pixel: wavelength, flux, S/N, the nearest line, the model's response."""
    wave, flux, sigma = stars.wave[pixel], sheet.flux[pixel], sheet.sigma[pixel]
    medium = " vac" if stars.vacuum else ""
    parts = [f"{wave:.2f} A{medium}"]
    if math.isfinite(flux):
        parts.append(f"{flux:.3f}{'+-' if plain else '±'}{sigma:.3f}")
        if sigma > 0:
            parts.append(f"S/N {flux / sigma:.1f}")
    else:
        parts.append("no data")
    mark = nearest_mark(stars.marks, wave)
    if mark is not None:
        parts.append(mark.name + (f" {wave - mark.wave:+.1f}" if mark.end <= mark.wave else ""))
    if sheet.observed is not None and math.isfinite(sheet.clean[pixel]):
        parts.append(f"grid {sheet.clean[pixel]:.3f}")
        if math.isfinite(pull := sheet.observed.residual.values[pixel]):
            parts.append(f"residual {pull:+.1f}")
    for trace, word in ((sheet.response, "model"), (sheet.best, "best")):
        if trace is not None and math.isfinite(trace.values[pixel]):
            parts.append(f"{word} {trace.values[pixel]:+.2g}")
    return "  ".join(parts)


def star_words(sheet: StarSheet) -> str:
    """The star itself: its labels, magnitude and S/N."""
    known = {name: value for name, value in sheet.true.items() if math.isfinite(value)}
    parts = [f"{name} {shown(value)}" for name, value in known.items()]
    if math.isfinite(sheet.mag):
        parts.append(f"mag {sheet.mag:.2f}")
    if math.isfinite(sheet.snr):
        parts.append(f"S/N {sheet.snr:.1f}")
    if sheet.observed is None:
        return f"star {sheet.number}: " + ", ".join(parts)
    mark = {True: "UNLIKE, ", False: "", None: "too faint to tell, "}[sheet.observed.unlike]
    return f"{sheet.observed.object}: {mark}" + ", ".join(parts)


BARS, PLAIN_BARS = " ▁▂▃▄▅▆▇█", " .:-=+*#@"
"""Eighths of a density's height."""


def density_words(sheet: StarSheet, muted: str, *, plain: bool) -> Text:
    """The predicted density of the label over the exact one: bars, and central 68% intervals."""
    text = Text()
    bars = PLAIN_BARS if plain else BARS
    top = max((max(one.density) for one in sheet.densities), default=0.0)
    if not top > 0:
        return text
    for one in sheet.densities:
        heights = one.density[:: len(one.density) // DENSITY_COLUMNS][:DENSITY_COLUMNS]
        text.append(f"{one.kind:<6}", muted)
        text.append("".join(bars[round(8 * height / top)] for height in heights) + "\n")
        text.append(f"{'':<6}68% {shown(one.low)} to {shown(one.high)}\n")
    first = sheet.densities[0].values
    text.append(f"{'':<6}{shown(first[0])} ... {shown(first[-1])}\n\n", muted)
    return text


def observed_words(sheet: StarSheet, seen: Observed, tones: Mapping[str, str]) -> Text:
    """An observed star: where it is from, what models say of its labels, in which lines it is
    unlike the nearest of the grid, and why it is unlike what they were trained on."""
    text = Text()
    text.append(f"{clean(headline(seen))}\n", tones["muted"])
    for line in facts(sheet, seen):
        text.append(f"{clean(line)}\n", tones["warning"] if line.startswith("UNLIKE") else "")
    for one in sheet.guesses:
        if one.why:
            text.append(f"{clean(one.name)}: {clean(one.why)}\n", tones["muted"])
    for one in sheet.guesses:
        text.append(f"\n{clean(one.name)}\n", tones["muted"])
        for told in comparisons(sheet, seen, one):
            known = f"known {told.known}" if told.known else ""
            pull = f"z {told.pull}" if told.pull else ""
            text.append(f"{clean(told.label):<7}{told.predicted:<13} {known:<20} {pull}\n")
    if seen.misfits:
        text.append(f"\n{'line':<14}observed - grid, %\n", tones["muted"])
    for misfit in seen.misfits:
        away = measured(100 * misfit.residual, 100 * misfit.error, signed=True)
        text.append(f"{clean(misfit.name):<14}{away}\n")
    text.append("\n")
    return text


def where_words(
    stars: StarList, sheet: StarSheet, tones: Mapping[str, str], *, plain: bool = False
) -> Text:
    """Below the predictions: how good they could be, and which lines matter.

    `tones`: the styles of `muted` and `warning`.
    """
    muted, seen = tones["muted"], sheet.observed
    text = Text() if seen is None else observed_words(sheet, seen, tones)
    text.append_text(density_words(sheet, muted, plain=plain))
    unit = sheet.best.unit if sheet.best is not None else ""
    unit = unit.removesuffix("/sigma")
    facts = [
        ("Scatter from noise", sheet.scatter),
        ("Cramér-Rao limit", sheet.bound),
    ]
    for name, value in facts:
        if value is not None:
            text.append(f"{name:<26}", muted)
            text.append(f"{shown(value)} {unit}\n")
    if sheet.agreement is not None:
        text.append(f"{'Match with optimal':<26}", muted)
        text.append(f"{100 * sheet.agreement:.0f}%\n")
    if sheet.shares:
        first = "" if seen else f"{'information':>12}"  # of simulated stars alone
        text.append(f"\n{'line':<14}{first}{'model':>8}\n", muted)
    for share in sheet.shares[:NAMED]:
        first = "" if seen else f"{_percent(share.information):>12}"
        text.append(f"{clean(share.name):<14}{first}{_percent(share.response):>8}\n")
    for note in (*stars.notes, *sheet.notes):
        text.append(f"\n{clean(note)}\n", muted)
    return text


def shown(value: float) -> str:
    """A label's value: whole kelvins, else two or three decimals."""
    if not math.isfinite(value):
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3f}"


def _away(value: float, truth: float) -> float:
    return abs(value - truth) if math.isfinite(value - truth) else math.inf


def _predicted(prediction: Prediction, sheet: StarSheet) -> float:
    value = prediction.values.get(sheet.label)
    return math.nan if value is None else value


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}%"


class StarPane(Vertical):
    """Predictions of the star, and below them what is known of it, in words."""

    def __init__(self) -> None:
        self._table = GuessTable("guesses")
        self._words = Static(markup=False)
        words = VerticalScroll(self._words, id="where")
        super().__init__(self._table, words, id="star-pane", classes="pane")

    def show(self, stars: StarList | None, sheet: StarSheet | None, *, plain: bool) -> None:
        """`None`: no star."""
        self._table.show(sheet)
        if stars is None or sheet is None:
            self._words.update("")
            self.border_title = Text("no star")
            return
        tones = {name: tone_style(self, name) for name in ("muted", "warning")}
        self._words.update(where_words(stars, sheet, tones, plain=plain))
        self.border_title = Text(clean(star_words(sheet)))
