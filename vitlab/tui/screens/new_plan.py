"""An MVP, a gate or a plan that is made here: its form, the diff of all files, its writing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple, TypeVar

from rich.text import Text
from textual import on, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, Static

from vitlab.contract.paths import UsageError, cause
from vitlab.docs.judge.reading import MANUAL, condition_words
from vitlab.docs.model.hub import parse_hub
from vitlab.docs.model.roadmap import parse_roadmap
from vitlab.docs.text.source import Document, read
from vitlab.lab.linked_files import find_hub
from vitlab.lab.new_plan import (
    Creation,
    NewGate,
    NewMvp,
    NewPlan,
    plan_gate,
    plan_mvp,
    plan_plan,
    save_new,
)
from vitlab.tui.screens.base import front_screen
from vitlab.tui.screens.dialogs import Dialog, PickScreen, WriteScreen, diffs
from vitlab.tui.screens.documents import report_written
from vitlab.tui.text import clean, tone_style

if TYPE_CHECKING:
    from vitlab.lab.lab import Lab
    from vitlab.tui.session import Session

T = TypeVar("T")

Answers = Mapping[str, str]
"""Field -> what was typed or chosen."""
Options = Mapping[str, str]
"""What is shown -> the value it stands for."""

KINDS = {
    "MVP: one experiment, with its section, card and report": "mvp",
    "gate: a decision, with the rule that judges it": "gate",
    "plan: a new roadmap with its hub": "plan",
}
LANGUAGES = {"Chinese": "zh", "English": "en"}
EXAMPLE = "R²_test > 0.70"


class Field(NamedTuple):
    """One line of a form."""

    name: str
    label: str
    hint: str = ""
    """Shown while it is empty."""
    options: Options | None = None
    """What it is chosen from; None where it is typed."""
    stand_in: str = ""
    """With which the rest is planned while it is empty; empty where it may stay so."""


class Choice(Static, can_focus=True):
    """One of several texts; left and right step, space lists them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "step(-1)", "Previous", show=False),
        Binding("right", "step(1)", "Next", show=False),
        Binding("space", "choose", "List", show=False),
    ]

    class Changed(Message):
        """Another one is chosen."""

    def __init__(self, field: Field, options: Options) -> None:
        super().__init__(id=field.name, markup=False)
        self._label = field.label
        self._options = options
        self._names = tuple(options)
        self._chosen = self._names[0]

    @property
    def value(self) -> str:
        return self._options[self._chosen]

    def on_mount(self) -> None:
        self._show()

    def _show(self) -> None:
        name = clean(self._chosen)
        few = len(self._names) < 2
        self.update(Text(name if few else f"< {name} >"))

    def _take(self, name: str) -> None:
        self._chosen = name
        self._show()
        self.post_message(self.Changed())

    def action_step(self, by: int) -> None:
        self._take(self._names[(self._names.index(self._chosen) + by) % len(self._names)])

    @work(group="choice", exclusive=True)
    async def action_choose(self) -> None:
        name = await self.app.push_screen_wait(PickScreen(self._label, self._names, self._chosen))
        if name is not None:
            self._take(name)


class Row(Horizontal):
    """A field and its name, marked while it has the focus."""

    def __init__(self, field: Field) -> None:
        self._label = field.label
        self._mark = Static(markup=False, classes="label")
        self.entry: Input | Choice
        if field.options is None:
            self.entry = Input(
                placeholder=field.hint, id=field.name, compact=True, select_on_focus=False
            )
        else:
            self.entry = Choice(field, field.options)
        super().__init__(self._mark, self.entry, classes="row")

    def on_mount(self) -> None:
        self.mark()

    def on_descendant_focus(self) -> None:
        self.mark(">")

    def on_descendant_blur(self) -> None:
        self.mark()

    def propose(self, value: str) -> None:
        """Show what an empty field stands for."""
        if isinstance(self.entry, Input):
            self.entry.placeholder = value

    def mark(self, sign: str = " ") -> None:
        self._mark.update(Text(f"{sign} {self._label}"))


@dataclass(frozen=True)
class Form:
    """What is asked for one kind of thing, and what plans it."""

    kind: str
    fields: Sequence[Field]
    plan: Callable[[Lab, Answers], Creation]
    """Blocking; a UsageError is shown."""
    read: Callable[[Lab, Creation, Answers], str] = lambda *_: ""
    """How what is planned is understood, in words; blocking."""


class FormScreen(Dialog["Creation | None"]):
    """Plans as the fields change and says what comes of it; enter shows the diff and writes it.

    Its result is what was written. What is refused, or left at its diff, stays in the fields.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Leave"),
        Binding("down", "app.focus_next", "Down", show=False),
        Binding("up", "app.focus_previous", "Up", show=False),
        Binding("enter", "accept", "Show the diff", show=False),
    ]

    def __init__(self, session: Session, form: Form) -> None:
        super().__init__()
        self._session = session
        self._form = form
        self._rows = {field.name: Row(field) for field in form.fields}
        # Kept, not looked up: a plan may still come while the form is taken down.
        self._text = Static(id="form-text", markup=False)
        self._described: Answers | None = None
        self._busy = False

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = Text(f"New {self._form.kind}")
            keys = "enter shows the diff   up down move   space lists   esc cancels"
            dialog.border_subtitle = Text(keys)
            yield from self._rows.values()
            yield self._text

    def on_mount(self) -> None:
        next(iter(self._rows.values())).entry.focus()
        self._follow()

    @property
    def _answers(self) -> Answers:
        return {name: row.entry.value.strip() for name, row in self._rows.items()}

    @on(Input.Changed)
    @on(Choice.Changed)
    def _follow(self) -> None:
        if not self._busy:
            self._busy = True
            self._describe()

    @work(group="form")
    async def _describe(self) -> None:
        """Say what comes of the answers; of those given meanwhile only of the last."""
        try:
            while self._described != self._answers:
                self._described = self._answers
                shown, new_id = await asyncio.to_thread(self._outcome, self._described)
                if "id" in self._rows:
                    self._rows["id"].propose(new_id)
                self._text.update(shown)
        finally:
            self._busy = False

    def _outcome(self, answers: Answers) -> tuple[Text, str]:
        """What would be made, or why nothing can be, and the id it would have; blocking."""
        lab, form = self._session.lab, self._form
        given = {field.name: answers[field.name] or field.stand_in for field in form.fields}
        try:
            new = form.plan(lab, given)
            reading = form.read(lab, new, answers)
        except (UsageError, OSError) as error:
            return self._problem(cause(error)), ""
        text = Text(clean(reading) + "\n" if reading else "")
        text.append(clean(f"{_title(self._form, new)}: {_files(lab, new)}"), self._muted)
        for note in new.notes:
            text.append(f"\n{clean(note)}", tone_style(self, "warning"))
        return text, new.id

    @property
    def _muted(self) -> str:
        return tone_style(self, "muted")

    def _problem(self, words: str) -> Text:
        return Text(clean(f"! {words}"), tone_style(self, "error"))

    @on(Input.Submitted)
    @work(group="accept")
    async def action_accept(self) -> None:
        """Show the diff of all files; write it on a yes."""
        lab, form, answers = self._session.lab, self._form, self._answers
        empty = [field.name for field in form.fields if field.stand_in and not answers[field.name]]
        if empty:
            self._text.update(self._problem(f"the {empty[0]} is missing"))
            self._rows[empty[0]].entry.focus()
            return
        new = await self._attempt(lambda: form.plan(lab, answers))
        if new is None:
            return
        shown = await self._attempt(lambda: diffs(lab, new.changes))
        summary = [f"{_title(form, new)}: {_files(lab, new)}", *new.notes]
        screen = WriteScreen(summary, shown or [], title=f"Create this {form.kind}")
        if not await self.app.push_screen_wait(screen):
            return
        files = await self._attempt(lambda: _save(lab, form, answers, new))
        if files is not None:
            report_written(self._session, files)
            self.dismiss(new)

    async def _attempt(self, call: Callable[[], T]) -> T | None:
        """As the session's, with what cannot be done as a line of the form."""
        return await self._session.attempt(
            call, lambda words: self._text.update(self._problem(words))
        )


def _save(lab: Lab, form: Form, answers: Answers, shown: Creation) -> list[Path]:
    """Write it, planned on the documents as they are by now; the files."""
    new = form.plan(lab, answers)
    if new.id != shown.id:
        raise UsageError(f"{form.kind} {shown.id} was made meanwhile; the next is {new.id}")
    return save_new(lab, new)


def _title(form: Form, new: Creation) -> str:
    return f"{form.kind} {new.id}"


def _files(lab: Lab, new: Creation) -> str:
    """`changes roadmap.md, hub.md; makes report.md`."""
    parts = []
    for verb, made in (("changes", False), ("makes", True)):
        files = [one.path for one in new.changes if (one.old_text is None) == made]
        if files:
            parts.append(f"{verb} {', '.join(lab.paths.relative(path) for path in files)}")
    return "; ".join(parts)


async def add_to_plan(app: App[int], session: Session) -> str:
    """Ask what is to be added and how, show the diff, write it.

    The id of a new MVP; empty where there is none.
    """
    view, kind = session.view, "plan"
    if view is not None and view.path is not None:
        title = "Add to this roadmap"
        chosen = list(KINDS)[front_screen(app).NAME == "gates"]
        picked = await app.push_screen_wait(PickScreen(title, list(KINDS), chosen))
        if picked is None:
            return ""
        kind = KINDS[picked]
    if kind == "plan":
        form = plan_form(view.roadmap.language if view and view.roadmap else "zh")
    else:
        roadmap, mvps = session.roadmap, _mvps(session)
        if kind == "gate":
            form = gate_form(roadmap, mvps)
        else:
            known = await session.attempt(lambda: hypotheses(session.lab, roadmap))
            form = mvp_form(roadmap, _gates(session), known or {})
    new = await app.push_screen_wait(FormScreen(session, form))
    if new is not None and kind == "plan":
        session.watcher.open_roadmap(new.roadmap)
    return new.id if new is not None and kind == "mvp" else ""


def mvp_form(roadmap: Path, gates: Options, known: Options) -> Form:
    """`known`: the hypotheses."""

    def plan(lab: Lab, answers: Answers) -> Creation:
        return plan_mvp(lab, roadmap, NewMvp(**answers))

    fields = (
        Field("name", "name", "what is tested, in a few words", stand_in="new"),
        Field("gate", "gate", options={"none": "", **gates}),
        Field("hypothesis", "hypothesis", options={"none": "", **known}),
        Field("id", "id"),
    )
    return Form("MVP", fields, plan)


def gate_form(roadmap: Path, mvps: Options) -> Form:
    def plan(lab: Lab, answers: Answers) -> Creation:
        return plan_gate(lab, roadmap, NewGate(**answers))

    fields = (
        Field("name", "name", "what it decides", stand_in="new"),
        Field("condition", "passes if", EXAMPLE, stand_in=EXAMPLE),
        Field("mvp", "judged by", options={"none": "", **mvps}),
        Field("if_yes", "then", "what happens if it passes"),
        Field("if_no", "else", "what happens if it fails"),
        Field("id", "id"),
    )
    return Form("gate", fields, plan, rule_words)


def plan_form(language: str) -> Form:
    """`language`: the first one offered."""

    def plan(lab: Lab, answers: Answers) -> Creation:
        return plan_plan(lab, NewPlan(**answers))

    first = sorted(LANGUAGES, key=lambda name: LANGUAGES[name] != language)
    fields = (
        Field("topic", "topic", "what it is about; also names its files", stand_in="new"),
        Field("language", "language", options={name: LANGUAGES[name] for name in first}),
        Field("folder", "folder", "roadmaps"),
    )
    return Form("plan", fields, plan)


def rule_words(lab: Lab, new: Creation, answers: Answers) -> str:
    """How the new gate's rule is read in the roadmap as it will be; blocking."""
    if not answers["condition"]:
        return ""
    text = next(one.new_text for one in new.changes if one.path == new.roadmap)
    roadmap = parse_roadmap(Document(text, new.roadmap), lab.vocabulary_of(new.roadmap))
    gate = next((gate for gate in roadmap.gates if gate.id == new.id), None)
    rules = gate.rules if gate else ()
    return f"understood as: {condition_words(rules[0].condition) if rules else MANUAL}"


def hypotheses(lab: Lab, roadmap: Path) -> dict[str, str]:
    """Those of the roadmap's hub that have an id, as they are shown; blocking."""
    try:
        hub = find_hub(lab, lab.read_roadmap(roadmap))
        points = parse_hub(read(hub), lab.vocabulary_of(hub)).hypotheses if hub else ()
    except (UsageError, OSError):
        return {}  # why it cannot be read is shown in the form, by the plan
    return {
        clean(
            point.text if point.text.startswith(point.id) else f"{point.id} {point.text}"
        ): point.id
        for point in points
        if point.id
    }


def _gates(session: Session) -> Options:
    roadmap = session.view.roadmap if session.view else None
    gates = roadmap.gates if roadmap else ()
    return {clean(f"Gate-{gate.id} {gate.title}"): gate.id for gate in gates}


def _mvps(session: Session) -> Options:
    roadmap = session.view.roadmap if session.view else None
    mvps = roadmap.mvps if roadmap else ()
    return {clean(f"MVP-{mvp.id} {mvp.name}"): mvp.id for mvp in mvps}
