"""Small questions: which profile to launch, and whether one is sure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from vitlab.contract.paths import UsageError
from vitlab.contract.spec import PROFILES
from vitlab.tui.words import clean, ink

COST = {"smoke": "seconds on a CPU", "demo": "minutes on a CPU", "full": "the real thing"}


@dataclass(frozen=True)
class Outlook:
    """What a launch would run and write, in lines."""

    jobs: tuple[str, ...]
    diffs: tuple[str, ...]
    findings: tuple[tuple[str, str], ...] = ()
    """Status (`bad` refuses the launch) and text of what was found beforehand."""


def _choice(name: str, chosen: bool) -> Text:
    """A profile's line; which one is chosen must be read without colour."""
    return Text(f"{'>' if chosen else ' '} {name:<7}{COST[name]}")


class ConfirmScreen(ModalScreen[bool]):
    """One question; `y` or enter says yes, `n` or escape no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "answer(True)", "Yes"),
        Binding("n,escape,q", "answer(False)", "No"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -small"):
            yield Static(Text(clean(self._question)), markup=False)
            yield Static("y yes   n no", classes="keys", markup=False)

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)


class LaunchScreen(ModalScreen[str | None]):
    """Choose a profile for one MVP; shows what will run and what will be written."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "move(1)", "Down", show=False),
        Binding("k", "move(-1)", "Up", show=False),
        Binding("space", "scroll_outlook(1)", "Scroll", show=False),
        Binding("b", "scroll_outlook(-1)", "Scroll back", show=False),
        Binding("escape,q", "dismiss(None)", "Cancel"),
    ]

    def __init__(self, title: str, profile: str, outlook: Callable[[str], Outlook]) -> None:
        """`outlook(profile)` blocks and is called in a thread; a UsageError is shown."""
        super().__init__()
        self._title = title
        self._profile = profile
        self._outlook = outlook
        self._ready: set[str] = set()

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = Text("Launch")
            # On the rim, where no long outlook can push it off a small screen.
            dialog.border_subtitle = Text("enter launches   space b scroll   esc leaves")
            yield Static(Text(clean(self._title), "bold"), markup=False)
            options = [Option(_choice(name, False), id=name) for name in PROFILES]
            yield OptionList(*options, id="profiles", markup=False)
            with VerticalScroll(id="outlook"):
                yield Static(id="outlook-text", markup=False)

    def on_mount(self) -> None:
        profiles = self.query_one(OptionList)
        profiles.highlighted = PROFILES.index(self._profile)
        profiles.focus()

    def action_move(self, by: int) -> None:
        profiles = self.query_one(OptionList)
        profiles.highlighted = ((profiles.highlighted or 0) + by) % len(PROFILES)

    def action_scroll_outlook(self, pages: int) -> None:
        outlook = self.query_one("#outlook", VerticalScroll)
        outlook.scroll_relative(y=pages * max(outlook.size.height - 2, 1), animate=False)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        for name in PROFILES:
            chosen = name == event.option.id
            event.option_list.replace_option_prompt(name, _choice(name, chosen))
        self._look_ahead(event.option.id or self._profile)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        if event.option.id in self._ready:
            self.dismiss(event.option.id)

    @work(thread=True, exclusive=True, group="outlook")
    def _look_ahead(self, profile: str) -> None:
        try:
            outlook = self._outlook(profile)
        except (UsageError, OSError) as error:
            shown = Text(clean(str(error)), ink(self, "error"))
        else:
            if not any(status == "bad" for status, _ in outlook.findings):
                self._ready.add(profile)
            shown = self._describe(outlook)
        if self.is_running:
            self.app.call_later(self._show, profile, shown)

    def _show(self, profile: str, shown: Text) -> None:
        profiles = self.query_one(OptionList)
        if profiles.highlighted is not None and PROFILES[profiles.highlighted] == profile:
            self.query_one("#outlook-text", Static).update(shown)

    def _describe(self, outlook: Outlook) -> Text:
        text = Text()
        text.append("Runs\n", ink(self, "muted"))
        for job in outlook.jobs:
            text.append(f"  > {clean(job)}\n", "default")
        for status, words in outlook.findings:
            tone = {"bad": "error", "warn": "warning"}.get(status, "muted")
            text.append(f"{status}: {clean(words)}\n", ink(self, tone))
        text.append("Writes\n", ink(self, "muted"))
        for diff in outlook.diffs:
            for line in diff.split("\n"):
                if line.startswith(("+++", "+", "-")) and not line.startswith("---"):
                    tone = "strong" if line[:3] == "+++" else "success"
                    tone = "error" if line.startswith("-") else tone
                    shown = line.removeprefix("+++ ").removeprefix("b/")
                    text.append(f"  {clean(shown)}\n", ink(self, tone))
        if not outlook.diffs:
            text.append("  nothing now\n")
        return text
