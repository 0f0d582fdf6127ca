"""Where the keys lead: screens, roadmaps, the tour, help; MVPs, gates and jobs found by id."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.app import App
from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.events import Timer
from textual.message import Message
from textual.widgets import Input, OptionList

from vitlab.lab import example
from vitlab.tui.actions import Handler
from vitlab.tui.keys import KEYS, shown_key
from vitlab.tui.screens.base import LabScreen, front_screen, full_action
from vitlab.tui.screens.curves import CurvesScreen
from vitlab.tui.screens.dialogs import LineScreen, RoadmapChooser
from vitlab.tui.screens.documents import DocumentsScreen
from vitlab.tui.screens.gates import GatesScreen
from vitlab.tui.screens.help import HelpScreen, MessagesScreen
from vitlab.tui.screens.jobs import JobsScreen
from vitlab.tui.screens.log import LogScreen
from vitlab.tui.screens.results import ResultsScreen
from vitlab.tui.screens.roadmap import RoadmapScreen
from vitlab.tui.screens.spectrum import SpectrumScreen
from vitlab.tui.screens.welcome import TourScreen
from vitlab.tui.text import clean
from vitlab.tui.themes import THEMES

if TYPE_CHECKING:
    from vitlab.lab.lab import Lab
    from vitlab.lab.live.snapshot import LabSnapshot
    from vitlab.tui.session import Session

_SCREENS: tuple[type[LabScreen], ...] = (
    JobsScreen,
    CurvesScreen,
    LogScreen,
    GatesScreen,
    DocumentsScreen,
    ResultsScreen,
    SpectrumScreen,
)
SCREENS = {screen.NAME: screen for screen in _SCREENS}
"""Those besides home."""


@dataclass(frozen=True)
class Place:
    """One thing, and the screen it is on."""

    screen: str
    key: str
    """The MVP's or gate's id, or the job's name."""


class Navigation:
    """The actions that change what is shown."""

    def __init__(self, app: App[int], session: Session) -> None:
        self._app = app
        self._session = session

    def handlers(self) -> Mapping[str, Handler]:
        """Action -> what it does."""
        watcher = self._session.watcher
        screens = ("roadmap", "jobs", "curves", "documents", "results", "gates")
        return {
            **{f"open_{name}": partial(self.show_screen, name) for name in screens},
            "open_log": partial(self.show_job, "log"),
            "open_spectrum": partial(self.show_job, "spectrum"),
            "open_roadmaps": self.choose_roadmap,
            "last_roadmap": partial(self.next_roadmap, -1),
            "next_roadmap": partial(self.next_roadmap, 1),
            "jump": self.jump,
            "tour": self.show_tour,
            "help": self.show_help,
            "messages": self.show_messages,
            "filter": lambda: front_screen(self._app).filter_rows(),
            "reread": watcher.refresh_now,
            "next_theme": self.next_theme,
            "command_palette": self.open_palette,
        }

    def open_palette(self) -> None:
        """Open the palette, unless it is open."""
        if not isinstance(self._app.screen, Palette):
            self._app.push_screen(Palette())

    def show_screen(self, name: str) -> None:
        """Put the screen `name` in front, as it was left; escape leads back to the one before."""
        app = self._app
        if any(screen.id == name for screen in app.screen_stack):
            while app.screen.id != name:
                app.pop_screen()
            return
        if not app.is_screen_installed(name):
            app.install_screen(SCREENS[name](self._session), name)
        app.push_screen(name)

    def show_job(self, name: str) -> None:
        """The log or the test stars of the job selected on the screen in front."""
        job = front_screen(self._app).selected_job()
        self.show_screen(name)
        if job is not None:
            front_screen(self._app).select(job.paths.name)

    def go(self, place: Place) -> None:
        """Show one MVP, gate or job."""
        self.show_screen(place.screen)
        self._app.call_after_refresh(lambda: front_screen(self._app).select(place.key))

    async def jump(self) -> None:
        """To the MVP, gate or job whose name the user types."""
        words = await self._app.push_screen_wait(LineScreen("Jump to", hint="MVP, gate or job"))
        if not words:
            return
        place = find(words, self._session.view)
        if place is None:
            self._app.notify(f"{words}: no such MVP, gate or job", severity="warning")
        else:
            self.go(place)

    async def choose_roadmap(self) -> None:
        path = await self._app.push_screen_wait(RoadmapChooser(self._session))
        if path is not None:
            self._session.watcher.open_roadmap(path)

    def next_roadmap(self, by: int) -> None:
        """The roadmap `by` places after the one shown."""
        paths = [line.path for line in self._session.roadmaps]
        watcher = self._session.watcher
        if len(paths) < 2:
            return
        now = paths.index(watcher.roadmap) if watcher.roadmap in paths else 0
        watcher.open_roadmap(paths[(now + by) % len(paths)])

    def show_tour(self) -> None:
        self.show_screen(RoadmapScreen.NAME)
        home = front_screen(self._app)
        assert isinstance(home, RoadmapScreen)
        self._app.push_screen(TourScreen(home, self._session.key))

    async def greet(self) -> None:
        """Show a newcomer the tour, once; in a new lab of one's own, only mention it."""
        due = await asyncio.to_thread(greeting, self._session.lab)
        if due == "due" and isinstance(self._app.screen, RoadmapScreen):
            self.show_tour()
        elif due:
            self._app.notify(f"new here? {self._session.key('tour')} shows a tour")

    def show_help(self) -> None:
        self._app.push_screen(HelpScreen(front_screen(self._app), self._session.own_keys))

    def show_messages(self) -> None:
        """All that was told; errors count as seen."""
        self._app.push_screen(MessagesScreen(self._session.messages.all))
        self._session.messages.see_all()

    def next_theme(self) -> None:
        """Other colours, for this session; `theme` in the settings keeps them."""
        words = list(THEMES)
        now = next((i for i, word in enumerate(words) if THEMES[word].name == self._app.theme), -1)
        word = words[(now + 1) % len(words)]
        self._app.theme = THEMES[word].name
        self._app.call_after_refresh(front_screen(self._app).refresh_view)
        self._app.notify(f"theme {word} (`theme: {word}` in vitlab.yaml keeps it)")


def greeting(lab: Lab) -> str:
    """`due` or `new` where the tour was not shown yet, else empty; blocking, once."""
    word = example.tour_due(lab.paths)
    if word:
        example.mark_tour_shown(lab.paths)
    return word


def find(words: str, view: LabSnapshot | None) -> Place | None:
    """The MVP, gate or job called `words`: exactly, or else by the beginning of its id."""
    if view is None:
        return None
    wanted = words.strip().casefold()
    gate = wanted.removeprefix("gate-")
    mvp = wanted.removeprefix("mvp-")
    gates = [Place("gates", one.id) for one in (view.roadmap.gates if view.roadmap else ())]
    mvps = [Place("roadmap", one.id) for one in (view.roadmap.mvps if view.roadmap else ())]
    jobs = [Place("jobs", one.paths.name) for one in reversed(view.jobs)]
    if wanted.startswith("gate"):
        candidates = [(gate, place) for place in gates]
    else:
        candidates = [*((mvp, place) for place in mvps), *((wanted, place) for place in jobs)]
    for matches in (str.__eq__, str.startswith, str.__contains__):
        for name, place in candidates:
            if name and matches(place.key.casefold(), name):
                return place
    return None


def unknown_keys(own: Mapping[str, str]) -> list[str]:
    """A line for each of the settings' keys that names no action."""
    known = {key.name for key in (*KEYS, *RoadmapScreen.KEYS)}
    for screen in _SCREENS:
        known |= {key.name for key in screen.KEYS}
    return [
        f"vitlab.yaml: keys: {name}: no such action (allowed: {', '.join(sorted(known))})"
        for name in own
        if name not in known
    ]


Entry = tuple[str, str, Callable[[], object]]
"""What it is called, its key or nothing, and what it does."""


class PlanCommands(Provider):
    """The command palette: what can be done on the screen in front, MVPs, gates, roadmaps.

    Names come from documents, so they are shown as they are, never as markup.
    """

    def _entries(self) -> Iterator[Entry]:
        app = cast("App[int]", self.app)
        front = front_screen(app)
        session, navigation = front.session, Navigation(app, front.session)
        own = {key.action.removeprefix("app.") for key in front.KEYS}
        for key in (*front.KEYS, *(key for key in KEYS if key.action not in own)):
            if not front.cannot(key):
                run = partial(app.run_action, full_action(key))
                yield key.meaning, shown_key(key, session.own_keys), run
        view = session.view
        for mvp in view.roadmap.mvps if view and view.roadmap else ():
            yield (
                clean(f"MVP {mvp.id} {mvp.name}"),
                "",
                partial(navigation.go, Place("roadmap", mvp.id)),
            )
        for gate in view.roadmap.gates if view and view.roadmap else ():
            yield (
                clean(f"Gate-{gate.id} {gate.title}"),
                "",
                partial(navigation.go, Place("gates", gate.id)),
            )
        for line in session.roadmaps:
            opened = partial(session.watcher.open_roadmap, line.path)
            yield clean(f"roadmap {line.title}"), "", opened

    async def discover(self) -> Hits:
        for name, key, run in self._entries():
            yield DiscoveryHit(_titled(name, key), run, text=name)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for name, key, run in self._entries():
            score = matcher.match(name)
            if score > 0:
                yield Hit(score, _titled(name, key), run, text=name)


class Palette(CommandPalette):
    """Textual's command palette, which does nothing more once it is closed.

    Keys typed before that are still to be heard then. Its own searches in what is gone by now, or
    closes once more, and either ends the program.
    """

    _LATE = (Input.Changed, Input.Submitted, OptionList.OptionSelected, Timer)

    async def _dispatch_message(self, message: Message) -> None:
        if self._is_open or not isinstance(message, self._LATE):
            await super()._dispatch_message(message)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing once it is closed."""
        return self._is_open and super().check_action(action, parameters)

    def _action_command_list(self, action: str) -> None:
        """Not page by page before its list is laid out, which Textual takes for one with lines."""
        with contextlib.suppress(KeyError):
            super()._action_command_list(action)

    @property
    def _is_open(self) -> bool:
        return self in self.app.screen_stack


def _titled(name: str, key: str) -> Content:
    """A key before the name of what it does, as in the help."""
    return Content(f"{key:<7}").stylize("bold") + Content(name)
