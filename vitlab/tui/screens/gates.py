"""The gates: their rules, evidence and verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on
from textual.containers import Vertical, VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from vitlab.tui.screens.base import LabScreen
from vitlab.tui.session import Session
from vitlab.tui.standing import mvp_words
from vitlab.tui.text import (
    VERDICT,
    best_jobs,
    best_line,
    cell,
    clean,
    tone_style,
    verdict_word,
)
from vitlab.tui.widgets.table import Row, StableTable

if TYPE_CHECKING:
    from vitlab.docs.judge.gates import Gate, Verdict
    from vitlab.docs.model.roadmap import Mvp
    from vitlab.lab.live.snapshot import LabSnapshot


class GateTable(StableTable):
    """One row a gate."""

    COLUMNS: ClassVar = {"Gate": 8, "Verdict": 18, "MVPs": 12, "Title": 24}

    def show(self, view: LabSnapshot) -> None:
        gates = view.roadmap.gates if view.roadmap else ()
        self.show_rows({gate.id: self._row(gate, view.verdicts.get(gate.id)) for gate in gates})

    def _row(self, gate: Gate, verdict: Verdict | None) -> Row:
        word = verdict.holds if verdict else "open"
        shown = verdict.shown if verdict else word
        tone = VERDICT.get(word, VERDICT["manual"])[2]
        return (
            cell(gate.id, "bold"),
            cell(verdict_word(word, self.plain, shown), tone_style(self, tone)),
            cell(", ".join(gate.mvps), tone_style(self, "muted")),
            cell(gate.title),
        )


class GatesScreen(LabScreen):
    """The gates of the roadmap; below, everything about the selected one."""

    NAME = "gates"
    HEADING = "Gates"
    MOVES: ClassVar[tuple[tuple[str, str], ...]] = (
        ("j k g G, arrows", "choose a gate"),
        ("tab", "to its text, which j k scroll"),
    )

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.table = GateTable("gate-table")
        self.table.plain = session.plain
        self._text = Static(markup=False)
        self._detail = VerticalScroll(self._text, id="gate-detail", classes="pane")

    def body(self) -> tuple[Widget, ...]:
        return (Vertical(self.table, self._detail, classes="stack"),)

    def on_mount(self) -> None:
        self.table.focus()

    def show(self, view: LabSnapshot) -> None:
        words = [verdict.holds for verdict in view.verdicts.values()]
        known = ("pass", "fail", "open", "manual")
        self.set_heading(
            ", ".join(f"{words.count(word)} {word}" for word in known if word in words)
        )
        self.table.show(view)
        self._describe()

    @on(StableTable.RowHighlighted, "#gate-table")
    def _describe(self) -> None:
        gates = self.view.roadmap.gates if self.view and self.view.roadmap else ()
        gate = next((one for one in gates if one.id == self.table.selected), None)
        text = self._about(gate) if gate else Text("no decision gates in this roadmap")
        if self._text.content != text:
            self._text.update(text)
            self._detail.border_title = Text(f"Gate-{clean(gate.id)}" if gate else "")

    def _about(self, gate: Gate) -> Text:
        assert self.view is not None
        verdict = self.view.verdicts.get(gate.id)
        word = verdict.holds if verdict else "open"
        shown = verdict.shown if verdict else word
        text = Text()
        text.append(clean(gate.title) + "\n", "bold")
        tone = VERDICT.get(word, VERDICT["manual"])[2]
        text.append(verdict_word(word, self.session.plain, shown), tone_style(self, tone))
        because = verdict.because if verdict else ""
        text.append(f"  {clean(because)}\n\n")
        if verdict and verdict.needs and (ways := verdict.needs.ways(gate.id)):
            text.append("Needed to decide\n", tone_style(self, "muted"))
            text.append("".join(f"  {clean(line)}\n" for line in ways))
        self._rules(text, gate, verdict)
        if verdict and verdict.values:
            text.append("Evidence\n", tone_style(self, "muted"))
            for name, value in verdict.values.items():
                text.append(f"  {value:<10.4g} {clean(name)}\n")
        self._mvps(text, gate)
        text.append(f"line {gate.line} of the roadmap", tone_style(self, "muted"))
        if gate.status_text:
            text.append(
                f"; the document says: {clean(gate.status_text)}", tone_style(self, "muted")
            )
        return text

    def _rules(self, text: Text, gate: Gate, verdict: Verdict | None) -> None:
        text.append("Rules\n", tone_style(self, "muted"))
        for rule in gate.rules:
            decided = verdict is not None and verdict.rule == rule.if_
            mark = ">" if decided else " "
            text.append(f"{mark} {clean(rule.if_)}\n", "bold" if decided else "")
            then = tone_style(self, "accent") if decided else tone_style(self, "muted")
            text.append(f"    then {clean(rule.then)}\n", then)
        if not gate.rules:
            text.append("  no rule in the document: you decide\n")

    def _mvps(self, text: Text, gate: Gate) -> None:
        text.append("Decided by\n", tone_style(self, "muted"))
        known = best_jobs(self.view) if self.view else {}
        for mvp in self._known(gate):
            one = known.get(mvp.id)
            best = f"  {best_line(one, self.view)}" if one is not None and self.view else ""
            standings = self.view.standings if self.view else {}
            status, _ = mvp_words(mvp, standings, self.session.plain)
            text.append(f"  MVP-{clean(mvp.id)}  {status:<13} {clean(mvp.name)}{best}\n")

    def _known(self, gate: Gate) -> list[Mvp]:
        mvps = self.view.roadmap.mvps if self.view and self.view.roadmap else ()
        return [mvp for mvp in mvps if mvp.id in gate.mvps]

    def selected_mvp(self) -> Mvp | None:
        gates = self.view.roadmap.gates if self.view and self.view.roadmap else ()
        gate = next((one for one in gates if one.id == self.table.selected), None)
        mvps = self._known(gate) if gate else []
        return next((mvp for mvp in mvps if mvp.status not in ("done", "running")), None)

    def selected_gate(self) -> str | None:
        return self.table.selected

    def select(self, key: str) -> None:
        self.table.select(key)
