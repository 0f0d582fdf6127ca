"""The launch of one MVP: which profile, here or on Slurm, what will run and be written."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from vitlab.contract.job import PROFILES
from vitlab.contract.paths import UsageError, cause, write_atomic
from vitlab.contract.reading import read_document
from vitlab.tui.screens.dialogs import Dialog, diffs
from vitlab.tui.text import clean, tone_style

if TYPE_CHECKING:
    from vitlab.lab.lab import Lab
    from vitlab.lab.launch import Plan

COST = {
    "smoke": "seconds on a CPU",
    "demo": "minutes on a CPU",
    "hour": "up to an hour of one core",
    "full": "full training",
}

ONLY_FULL = "Full training: the file has no smaller profile (`profiles: {smoke: ...}` adds one)."
"""Shown where nothing smaller can be chosen."""

Choice = tuple[str, str]
"""Profile and backend (`local` or `slurm`)."""


def _choice(name: str, chosen: bool) -> Text:
    """A profile's line; which one is chosen must be read without colour."""
    return Text(f"{'>' if chosen else ' '} {name:<7}{COST[name]}")


class LaunchScreen(Dialog["Plan | None"]):
    """Choose profile and place for one MVP; its result is the plan that was shown."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "move(1)", "Down", show=False),
        Binding("k", "move(-1)", "Up", show=False),
        Binding("f,pagedown", "scroll_plan(1)", "Scroll", show=False, priority=True),
        Binding("b,pageup", "scroll_plan(-1)", "Scroll back", show=False, priority=True),
        Binding("h,l,left,right", "next_backend", "Here or Slurm", show=False),
        Binding("escape,q", "dismiss(None)", "Cancel"),
    ]

    def __init__(
        self,
        lab: Lab,
        title: str,
        choice: Choice,
        profiles: Sequence[str],
        backends: Sequence[str],
        make_plan: Callable[[str, str], Plan],
    ) -> None:
        """`make_plan(profile, backend)` blocks, so a thread calls it; a UsageError is shown.

        `choice`: the first one. `profiles`: those of the experiment; `backends`: of this machine.
        """
        super().__init__()
        self._lab = lab
        self._title = title
        profile, backend = choice
        self._names = tuple(profiles)
        self._profile = profile if profile in self._names else self._names[0]
        self._backends = tuple(backends)
        self._backend = backend if backend in self._backends else self._backends[0]
        self._make_plan = make_plan
        self._ready: dict[Choice, Plan] = {}
        """The plans that were shown and can be launched."""
        # Kept, not looked up: a plan may still come while the dialog is taken down, and a key
        # before it is there.
        self._profiles = OptionList(
            *(Option(_choice(name, False), id=name) for name in self._names),
            id="profiles",
            markup=False,
        )
        self._place = Static(id="backend", markup=False)
        self._only = Static(ONLY_FULL, id="only-full", markup=False)
        self._only.display = self._names == ("full",)
        self._text = Static(id="plan-text", markup=False)
        self._scroll = VerticalScroll(self._text, id="launch-plan")

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = Text("Launch")
            # In the border, where no long plan can push it off a small screen.
            place = "h l place   " if len(self._backends) > 1 else ""
            dialog.border_subtitle = Text(f"enter launch   {place}f b scroll   esc cancel")
            yield Static(Text(clean(self._title), "bold"), markup=False)
            yield self._profiles
            yield self._only
            yield self._place
            yield self._scroll

    def on_mount(self) -> None:
        profiles = self._profiles
        profiles.highlighted = self._names.index(self._profile)
        profiles.focus()
        self._show_backend()

    def _show_backend(self) -> None:
        place = self._place
        place.display = len(self._backends) > 1
        words = {"local": "this machine", "slurm": "Slurm"}
        place.update(Text(f"Runs on: < {words[self._backend]} >"))

    def action_next_backend(self) -> None:
        at = self._backends.index(self._backend) + 1
        self._backend = self._backends[at % len(self._backends)]
        self._show_backend()
        self._plan(self._highlighted, self._backend)

    @property
    def _highlighted(self) -> str:
        return self._names[self._profiles.highlighted or 0]

    def action_move(self, by: int) -> None:
        profiles = self._profiles
        profiles.highlighted = ((profiles.highlighted or 0) + by) % len(self._names)

    def action_scroll_plan(self, pages: int) -> None:
        self._scroll.scroll_relative(y=pages * max(self._scroll.size.height - 2, 1), animate=False)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        if event.option.id != self._highlighted:
            return  # of the list's own first choice
        for name in self._names:
            chosen = name == event.option.id
            event.option_list.replace_option_prompt(name, _choice(name, chosen))
        self._plan(event.option.id or self._profile, self._backend)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        choice = (event.option.id or "", self._backend)
        if choice in self._ready:
            self.dismiss(self._ready[choice])

    @work(thread=True, exclusive=True, group="plan")
    def _plan(self, profile: str, backend: str) -> None:
        plan = None
        try:
            plan = self._make_plan(profile, backend)
        except (UsageError, OSError) as error:
            shown = Text(clean(cause(error)), tone_style(self, "error"))
        else:
            shown = self._describe(plan)
        if self.is_running:
            self.app.call_later(self._show, (profile, backend), plan, shown)

    def _show(self, choice: Choice, plan: Plan | None, shown: Text) -> None:
        if choice != (self._highlighted, self._backend):
            return
        self._text.update(shown)
        self._ready.pop(choice, None)
        if plan is not None and not any(one.status == "bad" for one in plan.findings):
            self._ready[choice] = plan

    def _describe(self, plan: Plan) -> Text:
        text = Text()
        text.append("Runs\n", tone_style(self, "muted"))
        on_slurm = plan.request.backend == "slurm"
        for spec in plan.specs:
            place = "Slurm" if on_slurm else spec.device
            job = f"{spec.run}: {spec.recipe} on {place}, {spec.exp_id}"
            text.append(f"  > {clean(job)}\n", "default")
        for finding in plan.findings:
            tone = {"bad": "error", "warn": "warning"}.get(finding.status, "muted")
            text.append(f"{finding.status}: {clean(finding.text)}\n", tone_style(self, tone))
        text.append("Writes\n", tone_style(self, "muted"))
        changes = diffs(self._lab, plan.changes)
        for diff in changes:
            for line in diff.split("\n"):
                if line.startswith(("+++", "+", "-")) and not line.startswith("---"):
                    tone = "strong" if line[:3] == "+++" else "success"
                    tone = "error" if line.startswith("-") else tone
                    shown = line.removeprefix("+++ ").removeprefix("b/")
                    text.append(f"  {clean(shown)}\n", tone_style(self, tone))
        if not changes:
            text.append("  nothing\n")
        return text


def last_choice(lab: Lab) -> Choice:
    """What was launched last in this lab, or else the settings' profile, on this machine.

    A full run is no habit: after one the settings' profile comes first again.
    """
    try:
        record = read_document(_choice_file(lab))
        profile, backend = record.get("profile"), record.get("backend")
    except (OSError, AttributeError):
        profile = backend = None
    return (
        profile if profile in PROFILES and profile != "full" else lab.settings.profile,
        "slurm" if backend == "slurm" else "local",
    )


def remember_choice(lab: Lab, choice: Choice) -> None:
    """Begin with this choice the next time."""
    profile, backend = choice
    _choice_file(lab).parent.mkdir(exist_ok=True)
    write_atomic(_choice_file(lab), json.dumps({"profile": profile, "backend": backend}).encode())


def _choice_file(lab: Lab) -> Path:
    return lab.paths.private.screen
