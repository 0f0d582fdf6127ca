"""The gates of the selected MVP, beside the plan."""

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
    from vitlab.docs.model.roadmap import Mvp
    from vitlab.lab.live.snapshot import LabSnapshot

NONE = (
    "no decision gates in this roadmap: {add} adds one, a section `### Gate-1: what it decides` "
    "with a table of rules (`If R² > 0.70 | what then`)"
)
"""Shown where there is none, with the key that adds one."""
_INDENT = 9
"""Cells of `x manual` and a space: where a gate's text begins."""


class GatePanel(VerticalScroll):
    """The gates of the selected MVP: verdict, title, reason, rules; the others in a line each."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Down", show=False),
        Binding("k", "scroll_up", "Up", show=False),
    ]
    plain = False

    def __init__(self, id: str, add: str) -> None:  # noqa: A002 - Textual's own word
        """`add`: the key that adds a gate."""
        super().__init__(id=id)
        self._none = NONE.format(add=add)
        self._body = Static(markup=False)
        self._text = Text()
        self._view: LabSnapshot | None = None
        self._mvp: Mvp | None = None

    def compose(self) -> ComposeResult:
        yield self._body

    def on_resize(self) -> None:
        if self._view is not None:
            self.show(self._view, self._mvp)

    def show(self, view: LabSnapshot, mvp: Mvp | None) -> None:
        self._view, self._mvp = view, mvp
        gates = view.roadmap.gates if view.roadmap else ()
        mine = [gate for gate in gates if mvp is not None and mvp.id in gate.mvps]
        text = Text()
        for problem in view.problems:
            text.append("! ", tone_style(self, "error"))
            text.append(clean(problem) + "\n")
        for gate in mine:
            self._head(text, gate, view.verdicts, "bold")
            self._reason(text, gate, view.verdicts.get(gate.id))
        if not gates:
            text.append(self._none + "\n", tone_style(self, "muted"))
        elif not mine and mvp is not None:
            text.append(f"no gate depends on MVP {clean(mvp.id)}\n", tone_style(self, "muted"))
        for gate in gates:
            if gate not in mine:
                self._head(text, gate, view.verdicts, tone_style(self, "muted"))
        text.rstrip()
        if text != self._text:
            self._text = text
            self._body.update(text)

    def _head(self, text: Text, gate: Gate, verdicts: Mapping[str, Verdict], style: str) -> None:
        verdict = verdicts.get(gate.id)
        word = verdict.holds if verdict else "open"
        shown = verdict_word(word, self.plain, verdict.shown if verdict else word)
        tone = VERDICT.get(word, VERDICT["manual"])[2]
        text.append(f"{shown:<{_INDENT - 1}} ", tone_style(self, tone))
        text.append(f"Gate-{clean(gate.id)}  {clean(gate.title)}\n", style)

    def _reason(self, text: Text, gate: Gate, verdict: Verdict | None) -> None:
        if verdict and verdict.because:
            self._indented(text, clean(verdict.because))
        for rule in gate.rules:
            self._indented(text, clean(f"{rule.if_}: {rule.then}"))

    def _indented(self, text: Text, line: str) -> None:
        """Append a line under its gate's title, wrapped with the same indent."""
        room = max(self.scrollable_content_region.width - _INDENT, 20)
        for part in Text(line).wrap(self.app.console, room):
            text.append(" " * _INDENT + part.plain.rstrip() + "\n", tone_style(self, "muted"))
