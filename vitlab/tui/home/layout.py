"""How home's panes share the screen: their heights, and the tabs that share one place."""

from __future__ import annotations

from collections.abc import Mapping

from textual.containers import Vertical
from textual.widget import Widget

from vitlab.tui.text import set_titles

TABS = {"log": "log", "mvp": "specification", "gates": "gates", "diff": "changes"}
"""Panes that share a place, and their names in its border."""
CHART, TABBED, PLAN = 8, 5, 5
"""Lines of the chart, the tabs and the plan, at least."""
SPARE = 14
"""Lines below the plan and the jobs from which on the specification is shown there."""

Heights = tuple[int, int, int, int, int, int]
"""Of plan, jobs, specification, gates; of chart and tabs. 0: not shown."""


class TabsPane(Vertical):
    """One of the tabs, their names in the border; a click on a name shows that one."""

    def __init__(self, tabs: Mapping[str, Widget], *, plain: bool) -> None:
        super().__init__(*tabs.values(), id="tabs-pane", classes="pane")
        self.active = next(iter(tabs))
        self._tabs = tabs
        self._gap = " | " if plain else " │ "

    def on_mount(self) -> None:
        self.open(self.active)

    def open(self, name: str) -> None:
        """Show this tab in place of the others."""
        self.active = name
        names = []
        for one, tab in self._tabs.items():
            tab.display = one == name
            style = "bold $accent" if one == name else "$muted"
            names.append(f"[{style}][@click=screen.go('{one}')]{TABS[one]}[/][/]")
        self.border_title = self._gap.join(names)

    def after(self, by: int) -> str:
        """The tab `by` places after the one shown."""
        names = list(self._tabs)
        return names[(names.index(self.active) + by) % len(names)]

    def describe(self, log: str) -> None:
        """In the lower border, what the log is of, where it is shown."""
        set_titles(self, below=log if self.active == "log" else "")


def side_by_side(body: int, mvps: int, jobs: int, *, specified: bool = False) -> Heights:
    """The plan and what is below it at the left, chart and tabs at the right, of `body` lines.

    `specified`: the specification stands in the chart's place.
    """
    below = min(jobs + 3, max(body * 2 // 5, 6)) if jobs else 0
    spare = body - below - max(mvps + 3, PLAN)
    gates = spare * 2 // 5 if spare >= 2 * SPARE else 0
    facts = spare - gates if spare >= SPARE else 0
    if specified:
        gates, facts = gates + facts, 0
    tabs = max(body * 2 // 5, TABBED + 1)
    return body - below - facts - gates, below, facts, gates, body - tabs, tabs


def stacked(body: int, focused: str) -> Heights:
    """All below each other, jobs in the plan's place; what has the focus is larger."""
    chart, tabs = max(CHART, body * 38 // 100), max(TABBED, body * 24 // 100)
    plan = body - chart - tabs
    if plan < PLAN:
        chart, plan = 0, body - tabs
    if plan < PLAN:
        tabs, plan = 0, body
    if focused == "curve" or focused in TABS:
        plan = 0 if plan == body else plan
        chart, tabs = (body - plan, 0) if focused == "curve" else (0, body - plan)
    return plan * (focused != "jobs"), plan * (focused == "jobs"), 0, 0, chart, tabs
