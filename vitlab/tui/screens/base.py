"""What every full screen shares: heading, filter, key line, what is selected, the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import events, on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input, Static

from vitlab.plot.series import cells, fit
from vitlab.tui import allowed
from vitlab.tui.jobs_index import index_of
from vitlab.tui.keys import KEYS, SCREENS, Key, shown_key
from vitlab.tui.session import CopiedText, Location, Session
from vitlab.tui.text import STALE, age, clean, since, tone_style
from vitlab.tui.widgets.chart import Chart
from vitlab.tui.widgets.table import StableTable, Table

if TYPE_CHECKING:
    from vitlab.docs.model.roadmap import Mvp
    from vitlab.lab.live.snapshot import JobView, LabSnapshot

ROOMY = 110
"""From this width on a screen's panes are side by side."""


Entry = tuple[str, str, str]
"""Key as shown, word, action."""


class KeyLine(Static):
    """Keys with a word each, as many as fit; a click does what the key does.

    Made anew when the bindings are, as Textual's footer is, but in one widget: a widget for each
    key would be mounted anew at every move of the cursor.
    """

    def __init__(self) -> None:
        super().__init__(id="keys", markup=False)
        self._shown: tuple[list[Entry], int] = ([], 0)

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._update)

    def on_resize(self) -> None:
        self._update(self.screen)

    def _update(self, screen: Screen[object]) -> None:
        is_in_front = screen is self.app.screen
        if isinstance(screen, LabScreen) and is_in_front:
            self.show(*screen.key_entries())

    def clear(self) -> None:
        """Show none: those of a dialog stand in its border."""
        self._shown = ([], 0)
        self.update("", layout=False)

    def show(self, keys: Iterable[Entry], screens: Iterable[Entry], last: Iterable[Entry]) -> None:
        """As many of the keys as fit; the screens, in one word if need be; then always the last."""
        width = self.content_size.width
        keys, screens, last = list(keys), list(screens), list(last)
        if _room([*keys, *screens, *last]) > width:
            screens = [(f"{screens[0][0]}-{screens[-1][0]}", "screens", "app.help")]
        while keys and _room([*keys, *screens, *last]) > width:
            keys.pop()
        shown = [*keys, *screens, *last]
        if (shown, width) == self._shown:
            return
        self._shown = (shown, width)
        line = Content()
        for key, word, action in shown:
            line += Content.from_markup(f"[@click={action}]$key[/]:$word  ", key=key, word=word)
        self.update(line, layout=False)


def _room(keys: Iterable[Entry]) -> int:
    return sum(cells(key) + cells(word) + 3 for key, word, _ in keys) - 2


class LabScreen(Screen[None]):
    """Shows what the watcher read while it is in front; draws nothing while it is not."""

    NAME: ClassVar[str] = ""
    """What the app opens it by."""
    HEADING: ClassVar[str] = ""
    """The first word of the title line."""
    KEYS: ClassVar[tuple[Key, ...]] = ()
    """Its own, before those of every screen."""
    MOVES: ClassVar[tuple[tuple[str, str], ...]] = (("j k g G, arrows", "move in the pane"),)
    """Further keys in the help."""
    FILTERS: ClassVar[bool] = False
    """Whether its rows can be filtered by words."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Back", show=False),
        Binding("h,shift+tab", "app.focus_previous", "Previous pane", show=False),
        Binding("l,tab", "app.focus_next", "Next pane", show=False),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__(id=self.NAME, name=self.NAME)
        self.session = session
        self.keys = KeyLine()
        self.filter = Input(id="filter", placeholder="filter: text in a row", compact=True)
        self.filter.display = False
        self._head = Static(id="head", markup=False)
        self._filled = Size()
        """The terminal's size that it was filled for."""

    @property
    def view(self) -> LabSnapshot | None:
        """The lab as last read; None before the first reading."""
        return self.session.view

    def compose(self) -> ComposeResult:
        yield self._head
        yield Horizontal(*self.body(), classes="body")
        yield self.filter
        yield self.keys

    def body(self) -> tuple[Widget, ...]:
        """The widgets between title and keys."""
        return ()

    def refresh_view(self) -> None:
        """Show the lab as last read, if this screen is there yet."""
        if self.view is not None and self.is_mounted:
            self.show(self.view)
            self.refresh_bindings()

    @on(StableTable.RowHighlighted)
    def _selected_other(self) -> None:
        self.refresh_bindings()

    def show(self, view: LabSnapshot) -> None:
        """Draw what has changed."""

    def receive(self, message: Message) -> None:
        """Take what the watcher posted for this screen."""

    def set_heading(self, right: str) -> None:
        """The title line: what this screen is, of which roadmap, and `right` at its end."""
        if not self.is_mounted:
            return
        title = self.view.roadmap.title if self.view and self.view.roadmap else "no roadmap"
        width = max(self.size.width - 2, 0)
        head = f"{self.HEADING}  "
        if self.seconds_since_read > STALE:
            right = f"! last read {age(self.seconds_since_read)} ago  {right}"
        right = fit(clean(right), min(cells(clean(right)), max(width - cells(head), 0)))
        room = max(width - cells(head) - cells(right) - 2, 0)
        text = Text()
        text.append(head, tone_style(self, "accent"))
        text.append(fit(clean(title), room) + "  ", "bold")
        text.append(right)
        if text != self._head.content:
            self._head.update(text, layout=False)

    def job_called(self, name: str | None) -> JobView | None:
        """The job of this name; None when the lab has it no more."""
        return index_of(self.view).by_name.get(name or "") if self.view else None

    def selected_job(self) -> JobView | None:
        """The job that keys act on."""
        return None

    def selected_mvp(self) -> Mvp | None:
        """The MVP that keys act on."""
        return None

    def selected_gate(self) -> str | None:
        """The id of the gate under the cursor; None means all."""
        return None

    def copy_text(self) -> CopiedText | None:
        """What `copy` takes here; None: the job, MVP or gate under the cursor. May block."""
        return None

    def source_location(self) -> Location | None:
        """Where the editor opens; None: at the job, MVP or gate under the cursor. May block."""
        return None

    def table_rows(self) -> Callable[[], Table] | None:
        """Makes the table exported as CSV, in a thread: of the focus, or else any on the screen."""
        if isinstance(self.focused, StableTable):
            return self.focused.table
        tables = [table for table in self.query(StableTable) if table.is_on_screen]
        return tables[0].table if tables else None

    def select(self, key: str) -> None:
        """Put the cursor on the MVP, gate or job `key`, if this screen has it."""

    def filter_rows(self) -> None:
        """Let the user filter what is shown, where there are rows to filter."""
        self.filter.display = True
        self.filter.focus()

    def matches_filter(self, *parts: object) -> bool:
        """Whether every word of the filter is somewhere in `parts`."""
        row = " ".join(str(part or "") for part in parts).casefold()
        return all(word in row for word in self.filter.value.casefold().split())

    @on(Input.Changed, "#filter")
    def _filter_changed(self) -> None:
        self.refresh_view()

    @on(Input.Submitted, "#filter")
    def _filter_submitted(self) -> None:
        self.filter.display = bool(self.filter.value)
        self.focus_next()

    # which keys do something

    @property
    def has_proposal_selected(self) -> bool:
        """Whether what is selected is an assistant's proposal."""
        return False

    def why_not(self, action: str) -> str:  # noqa: ARG002 - for those that have some
        """Why one of its own actions cannot be done with what is selected; empty where it can."""
        return ""

    def word_of(self, key: Key) -> str:
        """What the key line calls a key's action on what is selected."""
        return allowed.word_of(self, key)

    def check_action(self, action: str, _: tuple[object, ...]) -> bool | None:
        return None if self.why_not(action) else True

    def cannot(self, key: Key) -> str:
        """Why a key of this screen or of every screen does nothing now; empty where it does."""
        if full_action(key).startswith("screen."):
            return self.why_not(key.action.partition("(")[0])
        return allowed.why_not(self, key.action.removeprefix("app."))

    def on_key(self, event: events.Key) -> None:
        """Tell why a key does nothing."""
        own = self.session.own_keys
        for key in (*self.KEYS, *KEYS):
            if event.key in own.get(key.name, key.key).split(",") and (why := self.cannot(key)):
                self.app.notify(why, severity="warning")
                return

    def key_entries(self) -> tuple[list[Entry], list[Entry], list[Entry]]:
        """What the key line shows: what can be done here, the other screens, the way out."""
        own = self.session.own_keys
        theirs = {key.action.removeprefix("app."): key for key in self.KEYS}
        # A screen's own come first; at home, which has few, those of every screen.
        known = {key.action: key for key in KEYS} | theirs
        known = (theirs if self.HEADING else {}) | known
        keys: list[Entry] = []
        screens: list[Entry] = []
        for name, key in known.items():
            if not key.in_line or name in ("help", "quit"):
                continue
            if self.cannot(key) or allowed.is_pointless(self, name):
                continue
            entry = (shown_key(key, own), self.word_of(key), full_action(key))
            (screens if name in SCREENS else keys).append(entry)
        keys.append(("^p", "commands", "app.command_palette"))
        out = (self.session.key("quit"), "quit", "app.quit")
        help_ = (self.session.key("help"), "help", "app.help")
        back = ("esc", "back", "screen.leave")
        return keys, screens, [back, help_] if self.HEADING else [help_, out]

    def grow_old(self) -> None:
        """Now and then while it is in front: where nothing is read any more, show how old it is."""
        if self.is_current and self.seconds_since_read > STALE:
            self.refresh_view()

    @property
    def seconds_since_read(self) -> float:
        """Since the lab was last read; 0 while the watcher only pauses."""
        watcher = self.session.watcher
        passed = since(watcher.read_at)
        return passed if passed > STALE + watcher.pace.pause else 0.0

    def on_screen_suspend(self) -> None:
        self.keys.clear()

    def on_screen_resume(self) -> None:
        self.refresh_view()
        self.refresh_bindings()
        for widget in self.query("*"):
            if isinstance(widget, Chart):
                widget.draw_if_due()

    def on_resize(self) -> None:
        size = self.app.size  # a screen's own changes with its scroll bars, so with what it shows
        self.set_class(size.width < ROOMY, "-narrow")
        if size != self._filled:
            self._filled = size
            self.call_after_refresh(self.refresh_view)

    def action_leave(self) -> None:
        """Clear the filter; where there is none, go back."""
        if not self.filter.display:
            self.app.pop_screen()
            return
        self.filter.value = ""
        self.filter.display = False
        self.focus_next()


def front_screen(app: App[int]) -> LabScreen:
    """The full screen in front, whether a dialog is over it or not."""
    return next(screen for screen in reversed(app.screen_stack) if isinstance(screen, LabScreen))


def full_action(key: Key) -> str:
    """The key's action with the namespace Textual looks it up in."""
    if "." in key.action:
        return key.action
    return f"app.{key.action}" if key in KEYS else f"screen.{key.action}"
