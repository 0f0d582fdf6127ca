"""What every full screen shares: the lab as last seen, title, line of keys, the way back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input, Static

from vitlab.plot.series import cells, fit
from vitlab.tui.keys import KEYS, Key, shown_key
from vitlab.tui.text import STALE, age, clean, since, tone_style
from vitlab.tui.widgets.key_line import KeyLine

if TYPE_CHECKING:
    from vitlab.docs.model.roadmap import Mvp
    from vitlab.lab.live.snapshot import JobView, LabSnapshot
    from vitlab.tui.desk import Desk
    from vitlab.tui.selection import CopiedText, Location
    from vitlab.tui.watch.watcher import Watcher
    from vitlab.tui.widgets.stable_table import Table

T = TypeVar("T")

ROOMY = 110
"""From this width on a screen's panes stand side by side."""


class Doer(Protocol):
    """Does what the user decided, off the event loop, and tells how it went."""

    async def attempt(self, deed: Callable[[], T]) -> T | None: ...

    async def written(self, deed: Callable[[], list[Path]]) -> bool: ...


@dataclass(frozen=True)
class Session:
    """What the app hands to each of its screens."""

    desk: Desk
    watch: Watcher
    doer: Doer
    plain: bool = False
    """ASCII only."""
    own: Mapping[str, str] = field(default_factory=dict)
    """The settings' keys: action -> key."""

    def key(self, action: str) -> str:
        """The key of a general verb as it is written on the screen."""
        return next((shown_key(v, self.own) for v in KEYS if v.action == action), "")


class LabScreen(Screen[None]):
    """Shows what the watcher saw while it is in front; draws nothing while it is not."""

    NAME: ClassVar[str] = ""
    """What the app opens it by."""
    KEYS: ClassVar[tuple[Key, ...]] = ()
    """Its own, before the general ones."""
    HEADING: ClassVar[str] = ""
    """What it is, in the title line."""
    MOVES: ClassVar[tuple[tuple[str, str], ...]] = (("j k g G, arrows", "move in the pane"),)
    """Further keys the help tells of."""
    FILTERS: ClassVar[bool] = False
    """Whether its rows can be narrowed down by words."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Back", show=False),
        Binding("h,shift+tab", "app.focus_previous", "Previous pane", show=False),
        Binding("l,tab", "app.focus_next", "Next pane", show=False),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__(id=self.NAME, name=self.NAME)
        self.session = frame
        self.view: LabSnapshot | None = None
        """The lab as last seen; None before the first look."""
        self.keys = KeyLine()
        self.filter = Input(id="filter", placeholder="filter: words of a row", compact=True)
        self.filter.display = False
        self._head = Static(id="head", markup=False)

    def compose(self) -> ComposeResult:
        yield self._head
        yield Horizontal(*self.body(), classes="body")
        yield self.filter
        yield self.keys

    def body(self) -> tuple[Widget, ...]:
        """The widgets between title and keys."""
        return ()

    def see(self, view: LabSnapshot) -> None:
        """Keep the lab as seen now; show it when this screen is the one in front."""
        self.view = view
        if self.is_mounted:
            self.show(view)

    def show(self, view: LabSnapshot) -> None:
        """Draw what has changed."""

    def receive(self, seen: Message) -> None:
        """Take what the watcher saw for this screen."""

    def set_heading(self, right: str) -> None:
        """The title line: what this is, of which roadmap, and how it stands."""
        if not self.is_mounted:
            return
        title = self.view.roadmap.title if self.view and self.view.roadmap else "no roadmap"
        width = max(self.size.width - 2, 0)
        head = f"{self.HEADING}  "
        if self.seconds_since_read > STALE:
            right = f"! read {age(self.seconds_since_read)} ago  {right}"
        right = fit(clean(right), min(cells(clean(right)), max(width - cells(head), 0)))
        room = max(width - cells(head) - cells(right) - 2, 0)
        text = Text()
        text.append(head, tone_style(self, "accent"))
        text.append(fit(clean(title), room) + "  ", "bold")
        text.append(right)
        if text != self._head.content:
            self._head.update(text)

    def selected_job(self) -> JobView | None:
        """The job the verbs act on."""
        return None

    def selected_mvp(self) -> Mvp | None:
        """The MVP the verbs act on."""
        return None

    def selected_gate(self) -> str | None:
        """The id of the gate under the cursor; None stands for all."""
        return None

    def copy_text(self) -> CopiedText | None:
        """What `copy` takes here; None: the job, MVP or gate under the cursor. May block."""
        return None

    def source(self) -> Location | None:
        """Where the editor opens; None: at the job, MVP or gate under the cursor. May block."""
        return None

    def table_rows(self) -> Callable[[], Table] | None:
        """What makes the table exported as CSV, in a thread; None: the one that has the keys."""
        return None

    def point_at(self, key: str) -> None:
        """Put the cursor on the MVP, gate or job `key`, if this screen has it."""

    def filter_rows(self) -> None:
        """Let the user narrow down what is shown, where there is something to narrow."""
        if not self.FILTERS:
            self.app.notify("nothing to filter here", markup=False)
            return
        self.filter.display = True
        self.filter.focus()

    def wanted(self, *parts: object) -> bool:
        """Whether every word of the filter stands somewhere in `parts`."""
        row = " ".join(str(part or "") for part in parts).casefold()
        return all(word in row for word in self.filter.value.casefold().split())

    @on(Input.Changed, "#filter")
    def _filtered(self) -> None:
        if self.view is not None:
            self.show(self.view)

    @on(Input.Submitted, "#filter")
    def _filter_kept(self) -> None:
        self.filter.display = bool(self.filter.value)
        self.focus_next()

    def key_entries(self) -> list[tuple[str, str, str]]:
        """Key as shown, word, action: what the key line says, the screen's own first."""
        own = [
            (shown_key(verb, self.session.own), verb.word, whole(verb.action))
            for verb in self.KEYS
            if verb.said
        ]
        taken = {key for key, _, _ in own}
        shown = ("open_jobs", "open_curves", "open_log", "open_gates", "open_documents", "help")
        general = [
            (shown_key(verb, self.session.own), verb.word, f"app.{verb.action}")
            for verb in KEYS
            if verb.action in shown and verb.action != f"open_{self.id}"
        ]
        back = ("esc", "back", "screen.leave")
        return [*own, back, *(entry for entry in general if entry[0] not in taken)]

    def on_mount(self) -> None:
        self.set_interval(1.0, self._tell_age)

    def _tell_age(self) -> None:
        """Where nothing new is seen any more, at least say how old it is."""
        if self.is_current and self.view is not None and self.seconds_since_read > STALE:
            self.show(self.view)

    @property
    def seconds_since_read(self) -> float:
        """Seconds since the lab was last read."""
        return since(self.session.watch.read_at)

    def on_screen_resume(self) -> None:
        if self.view is not None:
            self.show(self.view)

    def on_resize(self) -> None:
        self.set_class(self.size.width < ROOMY, "-narrow")
        self.call_after_refresh(self._fill)

    def _fill(self) -> None:
        self.keys.show(self.key_entries())
        if self.view is not None:
            self.show(self.view)

    def action_leave(self) -> None:
        """Clear the filter; where there is none, go back."""
        if not self.filter.display:
            self.app.pop_screen()
            return
        self.filter.value = ""
        self.filter.display = False
        self.focus_next()


def whole(action: str) -> str:
    """The action with the namespace Textual looks it up in."""
    return action if "." in action else f"screen.{action}"
