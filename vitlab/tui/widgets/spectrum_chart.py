"""A star's spectrum over its noise with one cursor, and the star in words."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from rich.color import Color
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.widgets import Static

from vitlab.lab.inspector.star import Guess, Mark, StarList, StarSheet, Trace
from vitlab.plot.canvas import DIM, GREY, LEFT, Curve, Folds, Look, Run
from vitlab.plot.chart import MARKS, PALETTE
from vitlab.plot.series import Rgb
from vitlab.plot.spectrum import Named, Panel, curve, nearest_pixel, paint_panel
from vitlab.tui.text import cell, clean, ink
from vitlab.tui.widgets.stable_table import Row, SteadyTable

LOWER = ("shape", "response", "attention")
"""What the lower chart can show."""
FOLDED = 48
"""Foldings kept: those of some windows."""


@dataclass(frozen=True)
class Sight:
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


class SpectrumChart(Static, can_focus=True):
    """Drawn in a thread, when something has changed, and only when visible."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("h,left", "move(-1)", "Cursor left", show=False),
        Binding("l,right", "move(1)", "Cursor right", show=False),
        Binding("H,shift+left", "move(-10)", "Far left", show=False),
        Binding("L,shift+right", "move(10)", "Far right", show=False),
    ]

    def __init__(self, moved: Callable[[], object]) -> None:
        """`moved()` is called when cursor or window has moved."""
        super().__init__(id="spectrum-chart", markup=False)
        self.sight = Sight()
        self._moved = moved
        self._panels: tuple[object, tuple[Panel, Panel, str]] | None = None
        self._folds: Folds = {}
        self._due = self._drawing = False

    def show(self, sight: Sight) -> None:
        """Draw this."""
        self.sight = sight
        self._due = True
        self._tick()

    def on_resize(self, _: events.Resize) -> None:
        self.show(self.sight)

    def on_show(self) -> None:
        self.show(self.sight)

    @property
    def whole(self) -> tuple[float, float]:
        """All wavelengths."""
        wave = self.sight.stars.wave if self.sight.stars else ()
        return (wave[0], wave[-1]) if len(wave) > 1 else (0.0, 1.0)

    @property
    def pixel(self) -> int | None:
        """The pixel under the cursor."""
        stars, cursor = self.sight.stars, self.sight.look.cursor
        if stars is None or cursor is None or len(stars.wave) < 2:
            return None
        return nearest_pixel(stars.wave, cursor)

    # what the keys do

    def action_move(self, columns: int) -> None:
        """Move the cursor by columns, at least a pixel; the window goes with it."""
        stars = self.sight.stars
        if stars is None:
            return
        first, last = self.whole
        low, high = self.sight.look.window or (first, last)
        step = (high - low) / max(self.content_size.width - LEFT, 1)
        cursor = self.sight.look.cursor
        start = (low + high) / 2 if cursor is None else cursor
        at = nearest_pixel(stars.wave, start + columns * step)
        if cursor is not None and at == nearest_pixel(stars.wave, cursor):
            at = min(max(at + (1 if columns > 0 else -1), 0), len(stars.wave) - 1)
        self.point_at(stars.wave[at])

    def point_at(self, wave: float) -> None:
        """Put the cursor at a wavelength, and the window where it is seen."""
        first, last = self.whole
        wave = min(max(wave, first), last)
        window = self.sight.look.window
        if window is not None:
            low, high = window
            shift = min(wave - low, 0.0) + max(wave - high, 0.0)
            if abs(shift) > (high - low) / 2:  # far away: into the middle
                shift = wave - (low + high) / 2
            shift = min(max(shift, first - low), last - high)
            window = low + shift, high + shift
        self._set(replace(self.sight.look, cursor=wave, window=window))

    def zoom(self, factor: float | None) -> None:
        """Narrow the window by `factor` about the cursor; None shows all."""
        look, (first, last) = self.sight.look, self.whole
        low, high = look.window or (first, last)
        half = (high - low) * (factor or math.inf) / 2
        if half >= (last - first) / 2:
            self._set(replace(look, window=None))
        elif self.sight.stars and half > 8 * (last - first) / len(self.sight.stars.wave):
            middle = (low + high) / 2 if look.cursor is None else look.cursor
            middle = min(max(middle, first + half), last - half)
            self._set(replace(look, window=(middle - half, middle + half)))

    def _set(self, look: Look) -> None:
        self.show(replace(self.sight, look=look))
        self._moved()

    # drawing

    def _tick(self) -> None:
        visible = self.is_on_screen and self.screen.is_current and self.size.height > 0
        if self._due and visible and not self._drawing:
            self._due, self._drawing = False, True
            self.run_worker(self._redraw(), group="spectrum-chart")

    async def _redraw(self) -> None:
        size, sight = self.content_size, self.sight
        try:
            text = await asyncio.to_thread(self._draw, sight, size.width, size.height)
        finally:
            self._drawing = False
        self.update(text)
        if self._due:
            self._tick()

    def _draw(self, sight: Sight, width: int, height: int) -> Text:
        """In a thread, one at a time."""
        if sight.stars is None or sight.sheet is None or sight.text:
            return Text(clean(sight.text or "no star yet"))
        key = (id(sight.sheet), sight.lower, sight.look.plain)
        if self._panels is None or self._panels[0] != key:
            self._panels = key, panels(sight.stars, sight.sheet, sight.lower)
            self._folds.clear()
        if len(self._folds) > FOLDED:
            self._folds.clear()
        return render(self._panels[1], sight, width, height, self._folds)


def lower_of(sheet: StarSheet, wanted: str) -> Lower:
    """What the lower chart shows of a star: what is wanted, or else what there is."""
    response, best = sheet.response, sheet.best
    if wanted == "attention" and sheet.attention is not None:
        return Lower(((sheet.attention, PALETTE[3]),), signed=False)
    both = [(response, PALETTE[1]), (best, PALETTE[2])]
    traces = [(trace, color) for trace, color in both if trace is not None]
    note = "" if response is not None else "no model to look into"
    if wanted != "response":
        traces = [(_normed(trace), color) for trace, color in traces]
    return Lower(tuple(traces), note)


def panels(stars: StarList, sheet: StarSheet, lower: str) -> tuple[Panel, Panel, str]:
    """Upper and lower chart, and what is said where the lower one is empty."""
    curves = [curve("observed", stars.wave, sheet.flux, GREY)]
    if sheet.clean:
        curves.append(curve("noise-free", stars.wave, sheet.clean, PALETTE[0]))
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
    upper = Panel(curves, (next(edges), next(edges)), names)
    chosen = lower_of(sheet, lower)
    traces = [curve(t.kind, stars.wave, t.values, color) for t, color in chosen.traces]
    return upper, Panel(traces, signed=chosen.signed), chosen.note


def render(
    made: tuple[Panel, Panel, str], sight: Sight, width: int, height: int, folds: Folds
) -> Text:
    """Two charts, each under its legend, as Rich text."""
    upper, lower, note = made
    assert sight.stars is not None
    look = sight.look
    if look.window is None:
        look = replace(look, window=(sight.stars.wave[0], sight.stars.wave[-1]))
    band = ":" if look.plain else "░"
    above = max((height - 2) * 11 // 20, 3)
    below = max(height - 2 - above, 3)
    rows: list[Run] = [_legend(upper.curves, f"{band} 1 sigma", width)]
    rows += paint_panel(upper, look, width, above, folds, axis=False)
    rows.append(_legend(lower.curves, note, width))
    rows += paint_panel(lower, look, width, below, folds, axis=True)
    styles: dict[Rgb | None, Style] = {None: Style.null()}
    text = Text(no_wrap=True, end="")
    for number, row in enumerate(rows[:height]):
        for piece, color in row:
            if color not in styles:
                styles[color] = Style(color=Color.from_rgb(*(color or (0, 0, 0))))
            text.append(piece, styles[color])
        if number < min(len(rows), height) - 1:
            text.append("\n")
    return text


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


def _legend(curves: Sequence[Curve], more: str, width: int) -> Run:
    parts: Run = [(" " * LEFT, None)]
    for number, one in enumerate(curves):
        parts.append((f"{MARKS[number % len(MARKS)]} {clean(one.name)}   ", one.color))
    parts.append((more, GREY))
    kept: Run = []
    room = width
    for piece, color in parts:
        kept.append((piece[:room], color))
        room -= len(kept[-1][0])
    return kept


NAMED = 12
"""Lines told of, the most telling first."""


class GuessTable(SteadyTable):
    """What each model says of the star, the truth first."""

    COLUMNS: ClassVar = {"Says": 8, "Error": 7, "Off": 8, "Model": 12}
    NARROW: ClassVar = {"Says": 7, "Error": 6, "Off": 7, "Model": 8}

    def show(self, sheet: StarSheet | None) -> None:
        """`None`: no star."""
        if sheet is None:
            self.show_rows({})
            return
        truth = sheet.true.get(sheet.label, math.nan)
        rows: dict[str, Row] = {}
        rows["truth"] = cell(shown(truth), "bold"), cell(""), cell(""), cell("truth", "bold")
        own = sheet.guesses[:1]
        others = sorted(sheet.guesses[1:], key=lambda guess: abs(_said(guess, sheet) - truth))
        for guess in (*own, *others):
            rows[guess.job] = self._row(guess, sheet, truth, "accent" if guess in own else "")
        self.show_rows(rows)

    def _row(self, guess: Guess, sheet: StarSheet, truth: float, tone: str) -> Row:
        said, style = _said(guess, sheet), ink(self, tone)
        error = guess.errors.get(sheet.label)
        sign = "+" if said >= truth else ""
        off = f"{sign}{shown(said - truth)}" if math.isfinite(said - truth) else "-"
        spread = "" if error is None else shown(error)
        return cell(shown(said), style), cell(spread), cell(off, style), cell(guess.name, style)


def pixel_words(stars: StarList, sheet: StarSheet, pixel: int, *, plain: bool) -> str:
    """What is at one pixel: wavelength, flux, S/N, the nearest line, what hangs on it."""
    wave, flux, sigma = stars.wave[pixel], sheet.flux[pixel], sheet.sigma[pixel]
    medium = " vac" if stars.vacuum else ""
    said = [f"{wave:.2f} A{medium}"]
    if math.isfinite(flux):
        said.append(f"{flux:.3f}{'+-' if plain else '±'}{sigma:.3f}")
        if sigma > 0:
            said.append(f"S/N {flux / sigma:.1f}")
    else:
        said.append("no datum")
    mark = nearest_mark(stars.marks, wave)
    if mark is not None:
        said.append(mark.name + (f" {wave - mark.wave:+.1f}" if mark.end <= mark.wave else ""))
    for trace, word in ((sheet.response, "model"), (sheet.best, "best")):
        if trace is not None and math.isfinite(trace.values[pixel]):
            said.append(f"{word} {trace.values[pixel]:+.2g}")
    return "  ".join(said)


def star_words(sheet: StarSheet) -> str:
    """The star itself: its labels, magnitude and S/N."""
    said = [f"{name} {shown(value)}" for name, value in sheet.true.items()]
    if math.isfinite(sheet.mag):
        said.append(f"mag {sheet.mag:.2f}")
    if math.isfinite(sheet.snr):
        said.append(f"S/N {sheet.snr:.1f}")
    return f"star {sheet.number}: " + ", ".join(said)


def where_words(stars: StarList, sheet: StarSheet, muted: str) -> Text:
    """Below the predictions: how good it could be, and which lines tell."""
    text = Text()
    unit = sheet.best.unit if sheet.best is not None else ""
    unit = unit.removesuffix("/sigma")
    facts = [
        ("noise moves the model by", sheet.scatter),
        ("no unbiased one beats", sheet.bound),
    ]
    for name, value in facts:
        if value is not None:
            text.append(f"{name:<26}", muted)
            text.append(f"{shown(value)} {unit}\n")
    if sheet.agreement is not None:
        text.append(f"{'likeness to the best':<26}", muted)
        text.append(f"{100 * sheet.agreement:.0f}%\n")
    if sheet.shares:
        text.append(f"\n{'line':<14}{'information':>12}{'model':>8}\n", muted)
    for share in sheet.shares[:NAMED]:
        parts = [_percent(share.information), _percent(share.response)]
        text.append(f"{clean(share.name):<14}{parts[0]:>12}{parts[1]:>8}\n")
    for note in (*stars.notes, *sheet.notes):
        text.append(f"\n{clean(note)}\n", muted)
    return text


def shown(value: float) -> str:
    """A label's value: whole kelvins, else two or three decimals."""
    if not math.isfinite(value):
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3f}"


def _said(guess: Guess, sheet: StarSheet) -> float:
    value = guess.values.get(sheet.label)
    return math.nan if value is None else value


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}%"
