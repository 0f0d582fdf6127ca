"""A star in words: what each model says of it, what is at the cursor, where the information is."""

from __future__ import annotations

import math
from typing import ClassVar

from rich.text import Text

from vitlab.records.stars import Guess, StarList, StarSheet
from vitlab.tui.widgets.spectrum_chart import nearest_mark
from vitlab.tui.widgets.steady import Row, SteadyTable
from vitlab.tui.words import cell, clean, ink

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
