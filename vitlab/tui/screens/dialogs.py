"""Small dialogs: yes or no, a line of text, one of many, a roadmap, a file, diffs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.geometry import Size
from textual.screen import ModalScreen, ScreenResultType
from textual.suggester import Suggester
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from vitlab.docs.text.edit import unified
from vitlab.tui.session import Session
from vitlab.tui.text import cell, clean, tone_style
from vitlab.tui.widgets.diff import diff_text
from vitlab.tui.widgets.table import Row, StableTable

if TYPE_CHECKING:
    from vitlab.docs.save import FileChange
    from vitlab.lab.lab import Lab
    from vitlab.lab.live.snapshot import RoadmapSummary


class Dialog(ModalScreen[ScreenResultType]):
    """Over the screen it was asked from, of which only what it covers is drawn anew.

    It is left once: of a key pressed twice the second is still to be heard then, and would close
    the screen below. Nor is it left from below another, which a key pressed twice has opened.
    """

    def dismiss(self, result: ScreenResultType | None = None) -> AwaitComplete:
        """Close it with an answer; nothing once it is closed, or while another stands above it."""
        is_front = self.app.screen_stack[-1:] == [self]
        return super().dismiss(result) if is_front else AwaitComplete()

    def _screen_resized(self, size: Size) -> None:
        """Textual lays it out as it opens, and then tells it the size it already has."""
        if size != self._compositor.size:
            super()._screen_resized(size)


class DialogApp(App[int]):
    """An app with one dialog of a kind at a time.

    Of a key that is held while the screen does not answer each press would open another, and as
    each draws what is below it, some 50 are more than Python can nest.
    """

    def push_screen(
        self,
        screen: Any,
        callback: Any = None,
        wait_for_dismiss: Any = False,
        *,
        mode: str | None = None,
    ) -> Any:
        """As Textual's; a second dialog of a kind is answered at once by nothing."""
        is_second = any(type(one) is type(screen) for one in self.screen_stack)
        if not (isinstance(screen, Dialog) and is_second):
            return super().push_screen(screen, callback, wait_for_dismiss, mode=mode)
        answer = asyncio.get_running_loop().create_future()
        answer.set_result(None)
        return answer


class DiffView(VerticalScroll):
    """What will change, file by file."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Down", show=False),
        Binding("k", "scroll_up", "Up", show=False),
        Binding("g", "scroll_home", "Top", show=False),
        Binding("G", "scroll_end", "End", show=False),
    ]

    def __init__(self, id: str) -> None:  # noqa: A002 - Textual's own word
        super().__init__(id=id)
        self._body = Static(markup=False)

    def compose(self) -> ComposeResult:
        yield self._body

    def show(self, diffs: Iterable[str]) -> None:
        self._body.update(diff_text(self, diffs))


def diffs(lab: Lab, changes: Iterable[FileChange]) -> list[str]:
    """One unified diff for every file changed, paths as the lab names them."""
    return [
        unified(change.old_text or "", change.new_text, lab.paths.relative(change.path))
        for change in changes
    ]


class ConfirmScreen(Dialog[bool]):
    """One question; `y` or enter means yes, `n` or escape no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "answer(True)", "Yes"),
        Binding("n,escape,q", "answer(False)", "No"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        lines = [clean(line) for line in self._question.split("\n")]
        text = Static(Text("\n".join(lines)), markup=False)
        with Vertical(classes="dialog" if len(lines) > 1 else "dialog -small"):
            yield VerticalScroll(text, classes="lines") if len(lines) > 1 else text
            yield Static("y yes   n no", classes="keys", markup=False)

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)


class LineScreen(Dialog[str | None]):
    """Asks for one line of text; None when cancelled."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Leave")]

    def __init__(
        self,
        title: str,
        text: str = "",
        hint: str = "",
        needed: str = "",
        suggester: Suggester | None = None,
    ) -> None:
        """`text`: what is in the line at first; `needed`: said where it is left empty, if it may
        not be; `suggester`: how what is typed may go on, which the right arrow takes."""
        super().__init__()
        self._needed = needed
        self._title = title
        self._text = text
        self._hint = hint
        self._suggester = suggester

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = Text(clean(self._title))
            yield Input(
                clean(self._text),
                placeholder=self._hint,
                suggester=self._suggester,
                select_on_focus=False,
                id="line",
            )
            yield Static("enter accepts   esc cancels", classes="keys", markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if self._needed and not event.value.strip():
            self.query_one(".keys", Static).update(f"{self._needed}   esc cancels")
        else:
            self.dismiss(event.value)


class FileSuggester(Suggester):
    """How a path may go on: the first file or folder, by name, that begins as it ends."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        return await asyncio.to_thread(_continued, value)


def _continued(text: str) -> str | None:
    folder, _, begin = text.rpartition("/")
    parent = Path(f"{folder}/" if "/" in text else ".").expanduser()
    try:
        names = sorted(one.name + "/" * one.is_dir() for one in parent.iterdir())
    except OSError:
        return None
    for name in names:
        if begin and name.startswith(begin) and clean(name) == name:
            return text + name.removeprefix(begin)
    return None


class RoadmapTable(StableTable):
    """One row a roadmap."""

    COLUMNS: ClassVar = {
        "": 1,
        "Done": 7,
        "Runs": 4,
        "Gates": 13,
        "To write": 8,
        "Next": 6,
        "Roadmap": 24,
    }
    NARROW: ClassVar = {
        "": 1,
        "Done": 6,
        "Runs": 4,
        "Gates": 9,
        "To write": 8,
        "Next": 5,
        "Roadmap": 12,
    }

    def __init__(self, id: str) -> None:  # noqa: A002 - Textual's own word
        super().__init__(id)
        self._lines: Sequence[RoadmapSummary] = ()
        self._open: Path | None = None

    def show(self, lines: Sequence[RoadmapSummary], shown: Path | None) -> None:
        self._lines, self._open = lines, shown
        self._mark()

    def on_stable_table_row_highlighted(self) -> None:
        self._mark()

    def _mark(self) -> None:
        """The cursor as `>`, to be seen without colour; the roadmap on the screen as `*`."""
        chosen = self.selected
        self.show_rows(
            {
                key: self._row(line, ">" if key == chosen else "*" * (line.path == self._open))
                for line in self._lines
                if (key := str(line.path))
            }
        )

    def _row(self, line: RoadmapSummary, mark: str) -> Row:
        verdicts = [
            f"{count} {word}" for word, count in line.verdicts.items() if word in ("pass", "fail")
        ]
        return (
            cell(mark, tone_style(self, "accent")),
            cell(
                f"{line.done}/{line.mvps}" if not line.problem else "!",
                tone_style(self, "error" if line.problem else ""),
            ),
            cell(str(line.running or ""), tone_style(self, "accent")),
            cell(", ".join(verdicts), tone_style(self, "muted")),
            cell(str(line.pending or ""), tone_style(self, "warning")),
            cell(line.next.id if line.next else ""),
            cell(
                line.problem or line.title, tone_style(self, "error" if line.problem else "strong")
            ),
        )


class RoadmapChooser(Dialog[Path | None]):
    """All roadmaps; enter shows the one under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(None)", "Leave"),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._table = RoadmapTable("roadmaps")
        self._reading = Static("reading the roadmaps", id="reading", markup=False)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -large") as dialog:
            dialog.border_title = Text("Roadmaps")
            dialog.border_subtitle = Text("enter opens   esc cancels")
            yield self._reading
            yield self._table

    def on_mount(self) -> None:
        self._table.focus()
        self.call_after_refresh(self.show)

    def show(self) -> None:
        """The roadmaps as last read; the cursor stays, and begins on the one on the screen."""
        table, lines, shown = self._table, self._session.roadmaps, self._session.watcher.roadmap
        fresh = not table.row_count
        table.show(lines, shown)
        self._reading.display = not lines
        if fresh and shown is not None:
            table.select(str(shown))

    def on_stable_table_row_selected(self, event: StableTable.RowSelected) -> None:
        self.dismiss(Path(str(event.table.selected)))


class PickScreen(Dialog[str | None]):
    """One of `names`; None when cancelled."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Leave"),
        Binding("down", "move(1)", "Down", show=False, priority=True),
        Binding("up", "move(-1)", "Up", show=False, priority=True),
    ]

    def __init__(self, title: str, names: Sequence[str], chosen: str = "") -> None:
        super().__init__()
        self._title = title
        self._names = tuple(names)
        self._chosen = chosen
        self._listed = OptionList(id="names", markup=False)
        self._marked: str | None = None

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = Text(clean(self._title))
            dialog.border_subtitle = Text("up down choose   enter accepts   esc cancels")
            yield Input(placeholder="type to filter", id="line", compact=True)
            yield self._listed

    def on_mount(self) -> None:
        self._fill("")

    def _fill(self, words: str) -> None:
        listed = self._listed
        listed.clear_options()
        self._marked = None
        parts = words.casefold().split()
        matching = [name for name in self._names if all(part in name.casefold() for part in parts)]
        listed.add_options([Option(_choice(name, False), id=name) for name in matching])
        if not matching:
            listed.add_option(Option(Text("no match"), disabled=True))
        else:
            self._highlight(matching.index(self._chosen) if self._chosen in matching else 0)

    def on_input_changed(self, event: Input.Changed) -> None:
        self._fill(event.value)

    def action_move(self, by: int) -> None:
        listed = self._listed
        if self._marked is not None:
            self._highlight(((listed.highlighted or 0) + by) % listed.option_count)

    def _highlight(self, index: int) -> None:
        """Put the cursor on a line, and the mark by which it is seen without colour."""
        listed = self._listed
        if self._marked is not None:
            listed.replace_option_prompt(self._marked, _choice(self._marked, False))
        name = listed.get_option_at_index(index).id or ""
        listed.replace_option_prompt(name, _choice(name, True))
        listed.highlighted, self._marked = index, name

    def on_input_submitted(self) -> None:
        listed = self._listed
        if listed.highlighted is not None and listed.option_count:
            self.dismiss(listed.get_option_at_index(listed.highlighted).id)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        # By the list's own keys and the mouse; what comes late is of an earlier line.
        if event.option_index == self._listed.highlighted and event.option.id != self._marked:
            self._highlight(event.option_index)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option.id)


class WriteScreen(Dialog[bool]):
    """The pending edits; True when they are accepted."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "answer(True)", "Write"),
        Binding("escape,q", "answer(False)", "Leave"),
    ]

    def __init__(
        self, summary: Sequence[str], diffs: Sequence[str], title: str = "Write to the documents"
    ) -> None:
        super().__init__()
        self._title = title
        self._summary = summary
        self._diffs = diffs
        self._diff = DiffView(id="diff")

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -large") as dialog:
            dialog.border_title = Text(self._title)
            with self._diff:  # long conclusions scroll with it: they would take its place
                yield Static(Text(clean_lines(self._summary)), id="summary", markup=False)
            keys = "y or enter writes   esc cancels   j k scroll"
            yield Static(keys, classes="keys", markup=False)

    def on_mount(self) -> None:
        self._diff.show(self._diffs)
        self._diff.focus()

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)


def _choice(name: str, chosen: bool) -> Text:
    return Text(f"{'>' if chosen else ' '} {clean(name)}")


def clean_lines(lines: Sequence[str]) -> str:
    return "\n".join(clean(line) for line in lines)
