"""A star's spectrum over its noise, and below what a model hangs on, read by one cursor."""

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

from vitlab.plot.canvas import LEFT, Curve, Folds, Look
from vitlab.plot.chart import MARKS, PALETTE
from vitlab.plot.dots import DIM, GREY, Run
from vitlab.plot.series import Rgb
from vitlab.plot.spectrum import Named, Panel, curve, nearest_pixel, paint_panel
from vitlab.records.stars import Mark, StarList, StarSheet, Trace
from vitlab.tui.words import clean

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
