"""The launch of one MVP: which profile, here or on Slurm, what will run and be written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from vitlab.contract.paths import UsageError
from vitlab.tui.text import clean, ink

if TYPE_CHECKING:
    from vitlab.lab.launch import Plan

COST = {
    "smoke": "seconds on a CPU",
    "demo": "minutes on a CPU",
    "hour": "an hour of a core",
    "full": "the real thing",
}

Choice = tuple[str, str]
"""Profile and backend (`local` or `slurm`)."""


@dataclass(frozen=True)
class Outlook:
    """What a launch would run and write, in lines."""

    jobs: tuple[str, ...]
    diffs: tuple[str, ...]
    findings: tuple[tuple[str, str], ...] = ()
    """Status (`bad` refuses the launch) and text of what was found beforehand."""
    plan: Plan | None = None
    """What it shows: this is launched."""


def _choice(name: str, chosen: bool) -> Text:
    """A profile's line; which one is chosen must be read without colour."""
    return Text(f"{'>' if chosen else ' '} {name:<7}{COST[name]}")


class LaunchScreen(ModalScreen[tuple[Choice, Outlook] | None]):
    """Choose profile and place for one MVP; shows what will run and what will be written."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "move(1)", "Down", show=False),
        Binding("k", "move(-1)", "Up", show=False),
        Binding("space", "scroll_outlook(1)", "Scroll", show=False),
        Binding("b", "scroll_outlook(-1)", "Scroll back", show=False),
        Binding("s", "turn_backend", "Here or Slurm", show=False),
        Binding("escape,q", "dismiss(None)", "Cancel"),
    ]

    def __init__(
        self,
        title: str,
        choice: Choice,
        profiles: Sequence[str],
        backends: Sequence[str],
        outlook: Callable[[str, str], Outlook],
    ) -> None:
        """`outlook(profile, backend)` blocks, so it is called in a thread; a UsageError is shown.

        `choice`: what stands chosen to begin with. `profiles`: those the experiment has;
        `backends`: those this machine has.
        """
        super().__init__()
        self._title = title
        profile, backend = choice
        self._names = tuple(profiles)
        self._profile = profile if profile in self._names else self._names[0]
        self._backends = tuple(backends)
        self._backend = backend if backend in self._backends else self._backends[0]
        self._outlook = outlook
        self._ready: dict[Choice, Outlook] = {}
        """What has been shown and can be launched."""
        # Held, not looked up: an outlook may still come while the dialog is taken down.
        self._profiles = OptionList(
            *(Option(_choice(name, False), id=name) for name in self._names),
            id="profiles",
            markup=False,
        )
        self._place = Static(id="backend", markup=False)
        self._says = Static(id="outlook-text", markup=False)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = Text("Launch")
            # On the rim, where no long outlook can push it off a small screen.
            turn = "s here/Slurm   " if len(self._backends) > 1 else ""
            dialog.border_subtitle = Text(f"enter launches   {turn}space b scroll   esc leaves")
            yield Static(Text(clean(self._title), "bold"), markup=False)
            yield self._profiles
            yield self._place
            with VerticalScroll(id="outlook"):
                yield self._says

    def on_mount(self) -> None:
        profiles = self._profiles
        profiles.highlighted = self._names.index(self._profile)
        profiles.focus()
        self._say_backend()

    def _say_backend(self) -> None:
        place = self._place
        place.display = len(self._backends) > 1
        words = {"local": "on this machine", "slurm": "on the Slurm cluster"}
        place.update(Text(f"Runs {words[self._backend]} (s: the other)"))

    def action_turn_backend(self) -> None:
        at = self._backends.index(self._backend) + 1
        self._backend = self._backends[at % len(self._backends)]
        self._say_backend()
        self._look_ahead(self._highlighted, self._backend)

    @property
    def _highlighted(self) -> str:
        return self._names[self._profiles.highlighted or 0]

    def action_move(self, by: int) -> None:
        profiles = self._profiles
        profiles.highlighted = ((profiles.highlighted or 0) + by) % len(self._names)

    def action_scroll_outlook(self, pages: int) -> None:
        outlook = self.query_one("#outlook", VerticalScroll)
        outlook.scroll_relative(y=pages * max(outlook.size.height - 2, 1), animate=False)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        for name in self._names:
            chosen = name == event.option.id
            event.option_list.replace_option_prompt(name, _choice(name, chosen))
        self._look_ahead(event.option.id or self._profile, self._backend)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        choice = (event.option.id or "", self._backend)
        if choice in self._ready:
            self.dismiss((choice, self._ready[choice]))

    @work(thread=True, exclusive=True, group="outlook")
    def _look_ahead(self, profile: str, backend: str) -> None:
        outlook = None
        try:
            outlook = self._outlook(profile, backend)
        except (UsageError, OSError) as error:
            shown = Text(clean(str(error)), ink(self, "error"))
        else:
            shown = self._describe(outlook)
        if self.is_running:
            self.app.call_later(self._show, (profile, backend), outlook, shown)

    def _show(self, choice: Choice, outlook: Outlook | None, shown: Text) -> None:
        if choice != (self._highlighted, self._backend):
            return
        self._says.update(shown)
        self._ready.pop(choice, None)
        if outlook is not None and not any(status == "bad" for status, _ in outlook.findings):
            self._ready[choice] = outlook

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
