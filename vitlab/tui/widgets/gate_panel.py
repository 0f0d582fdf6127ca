"""The decision gates with their verdicts, and what is wrong in the lab."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from vitlab.tui.text import VERDICT, clean, tone_style, verdict_word

if TYPE_CHECKING:
    from vitlab.docs.judge.gates import Gate, Verdict
    from vitlab.lab.live.snapshot import LabSnapshot


NONE = (
    "no decision gates in this roadmap: a section `### Gate-1: what it decides` with a table of "
    "rules (`If R² > 0.70 | what then`) makes one"
)
"""What is said where there is none."""
_INDENT = 9
"""Cells of `x manual` and a space: where a gate's own text begins."""


class GatePanel(VerticalScroll):
    """One paragraph a gate: verdict, what it decides, why it stands so."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Down", show=False),
        Binding("k", "scroll_up", "Up", show=False),
    ]
    plain = False

    def __init__(self) -> None:
        super().__init__(id="gates")
        self._body = Static(markup=False)
        self._text = Text()
        self._view: LabSnapshot | None = None

    def compose(self) -> ComposeResult:
        yield self._body

    def on_resize(self) -> None:
        if self._view is not None:
            self.show(self._view)

    def show(self, view: LabSnapshot) -> None:
        self._view = view
        gates = view.roadmap.gates if view.roadmap else ()
        text = Text()
        for gate in gates:
            self._gate(text, gate, view.verdicts)
        if not gates:
            text.append(NONE + "\n", tone_style(self, "muted"))
        for problem in view.problems:
            text.append("! ", tone_style(self, "error"))
            text.append(clean(problem) + "\n")
        text.rstrip()
        if text != self._text:
            self._text = text
            self._body.update(text)

    def _gate(self, text: Text, gate: Gate, verdicts: Mapping[str, Verdict]) -> None:
        verdict = verdicts.get(gate.id)
        word = verdict.verdict if verdict else "open"
        text.append(
            f"{verdict_word(word, self.plain):<{_INDENT}}",
            tone_style(self, VERDICT.get(word, VERDICT["manual"])[2]),
        )
        text.append(f"Gate-{clean(gate.id)}  ", "bold")
        text.append(clean(gate.title) + "\n")
        if verdict and verdict.because:
            self._indented(text, clean(verdict.because))
            return
        for rule in gate.rules[:2]:
            self._indented(text, clean(f"{rule.if_}: {rule.then}"))

    def _indented(self, text: Text, line: str) -> None:
        """Append a line under its gate's title, wrapped with the same indent."""
        room = max(self.scrollable_content_region.width - _INDENT, 20)
        for part in Text(line).wrap(self.app.console, room):
            text.append(" " * _INDENT + part.plain.rstrip() + "\n", tone_style(self, "muted"))
