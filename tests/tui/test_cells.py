"""Only cells that differ are sent: what a terminal makes of them is the picture all the same."""

from __future__ import annotations

import asyncio
import os
import random
import select
import signal
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any
from unicodedata import normalize

import pyte
import pytest
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual._context import visible_screen_stack
from textual.app import App
from textual.drivers.linux_driver import LinuxDriver
from textual.geometry import Region, Size
from textual.strip import Strip

from tests.tui.conftest import Open, Stage
from tests.waiting import wait_for
from vitlab.tui.terminal.cells import LARGE, Cells, Update, graphemes
from vitlab.tui.terminal.terminal_io import Terminal

Drawn = tuple[str, str, str, bool, bool, bool, bool]
"""Of one cell: text, colour, background, bold, italic, underlined, reversed."""


class Emulated:
    """A terminal that is sent the changes alone, and the cells it shows then."""

    def __init__(self) -> None:
        self.cells = Cells()
        self.size = Size(0, 0)
        self.sent = ""

    def show(self, update: Update, size: Size) -> None:
        if size != self.size:
            self.size = size
            self.screen = pyte.Screen(*size)
            self.screen.reset_mode(7, private=True)  # as the driver does: no line wraps
            self.stream = pyte.Stream(self.screen)
            self.stream.feed("\x1b[41m" + "~" * size.width * size.height + "\x1b[0m")
        self.cells.put(update, size)
        self.sent = self.cells.changes(is_slow=True)
        assert not self.cells.differs
        self.stream.feed(self.sent)

    def rows(self) -> list[list[Drawn]]:
        return [
            [
                (one.data, one.fg, one.bg, one.bold, one.italics, one.underscore, one.reverse)
                for one in (self.screen.buffer[line][column] for column in range(self.size.width))
            ]
            for line in range(self.size.height)
        ]


def wanted(strips: list[Strip], width: int) -> list[list[Drawn]]:
    """The cells of a picture as Textual has it."""
    rows = []
    for strip in strips:
        row: list[Drawn] = []
        for text, style, _ in strip:
            row += [(normalize("NFC", part), *_drawn(style)) for part in graphemes(text)]
        rows.append(row[:width])
    return rows


def _drawn(style: Style | None) -> tuple[str, str, bool, bool, bool, bool]:
    style = style or Style()
    hexes = []
    for color in (style.color, style.bgcolor):
        triplet = color.triplet if color else None
        hexes.append(triplet.hex.removeprefix("#") if triplet else "default")
    lines = bool(style.underline), bool(style.reverse)
    return hexes[0], hexes[1], bool(style.bold), bool(style.italic), *lines


STYLES = [Style.parse(words) for words in (
    "#aabbcc on #000000", "bold #aabbcc on #000000", "bold underline #112233 on #000000",
    "italic on #445566", "#778899", "", "reverse #aabbcc",
)]  # fmt: skip
WORDS = (
    "log_g ",
    "R² ",
    "同口径",
    "专",
    "──",
    "⠒⠒⠤",
    "a",
    "  ",
    " " * 14,
    "0.7132",
    "e\u0301",
    "⚠",
)


def strip_of(rng: random.Random, width: int, words: Sequence[str] = WORDS) -> Strip:
    segments, room = [], width
    while room > 0:
        text, style = rng.choice(words), rng.choice(STYLES)
        part = Segment(text, style)
        if part.cell_length > room:
            part = Segment(" " * room, style)
        segments.append(part)
        room -= part.cell_length
    return Strip(segments, width)


@pytest.mark.parametrize(("large", "words"), [(LARGE, WORDS), (0, WORDS), (0, WORDS[:-2])])
def test_random_pictures_and_parts_arrive_as_they_are(
    large: int, words: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Line by line, and style by style where that is shorter, with odd characters and without."""
    monkeypatch.setattr("vitlab.tui.terminal.cells.LARGE", large)
    rng = random.Random(19)
    size = Size(23, 5)
    terminal = Emulated()
    rows: list[list[Drawn]] = []
    for _ in range(300):
        if not rows or rng.random() < 0.3:
            strips = [strip_of(rng, size.width, words) for _ in range(size.height)]
            terminal.show(LayoutUpdate([[one] for one in strips], Region(0, 0, *size)), size)
            rows = wanted(strips, size.width)
        else:
            line, left = rng.randrange(size.height), rng.randrange(size.width)
            right = rng.randrange(left, size.width) + 1
            part = strip_of(rng, right - left, words)
            chops: list[dict[int, Strip | None]] = [{} for _ in range(size.height)]
            chops[line] = {0: None, left: part}
            ends = [[left, right] if left else [right]] * size.height
            terminal.show(ChopsUpdate(chops, [(line, left, right)], ends), size)
            put(rows[line], left, wanted([part], right - left)[0])
        assert texts(terminal.rows()) == texts(rows)
        assert looks(terminal.rows(), rows) == looks(rows, rows)


def test_a_large_change_is_sent_style_by_style() -> None:
    """Of a frame around coloured words a jump takes less than a style, which is sent once."""
    frame, word = Style.parse("#112233"), Style.parse("bold #aabbcc")
    row = [Segment("│", frame), Segment(" 0.7132 ", word)] * 6 + [Segment("│", frame)]
    size = Size(55, 30)
    terminal = Emulated()
    strips = [Strip(row, size.width) for _ in range(size.height)]
    terminal.show(LayoutUpdate([[one] for one in strips], Region(0, 0, *size)), size)
    assert terminal.sent.count("38;2;") == 2
    terminal.cells.forget()  # where bytes cost nothing no time is taken for that
    assert terminal.cells.changes().count("38;2;") > 100
    assert texts(terminal.rows()) == texts(wanted(strips, size.width))
    assert looks(terminal.rows(), terminal.rows()) == looks(wanted(strips, 55), terminal.rows())


def test_a_line_is_slow_where_a_picture_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("vitlab.tui.terminal.terminal_io.time.monotonic", lambda: clock[0])
    terminal = Terminal.__new__(Terminal)
    terminal._late = terminal._is_slow = False
    told = []
    # A small picture that is taken at once tells nothing, a large one that the line is quick.
    for length, seconds in ((300, 0.01), (9000, 3.0), (300, 0.01), (90_000, 0.01)):
        terminal._sending, terminal._sent, terminal._length = True, clock[0], length
        clock[0] += seconds
        terminal._taken()
        told.append(terminal._is_slow)
    assert told == [False, True, True, False]


def put(row: list[Drawn], left: int, part: list[Drawn]) -> None:
    """Draw a part over a row; of a wide character it cuts in two a blank is left."""
    if row[left][0] == "":
        row[left - 1] = (" ", *row[left - 1][1:])
    row[left : left + len(part)] = part
    after = left + len(part)
    if after < len(row) and row[after][0] == "":
        row[after] = (" ", *row[after][1:])


def texts(rows: list[list[Drawn]]) -> list[str]:
    return ["".join(cell[0] for cell in row) for row in rows]


def looks(rows: list[list[Drawn]], of: list[list[Drawn]]) -> list[list[Drawn]]:
    """Without the right halves of wide characters, which have no style of their own.

    Nobody sees the colour of a blank, nor whether it is bold, unless it is underlined or reversed.
    """
    return [
        [
            (" ", "", cell[2], False, False, False, False)
            if cell[0] == " " and not any(cell[5:])
            else cell
            for cell, one in zip(row, wide, strict=True)
            if one[0]
        ]
        for row, wide in zip(rows, of, strict=True)
    ]


def test_what_is_shown_already_is_not_sent_again() -> None:
    size, terminal = Size(20, 2), Emulated()

    def show(first: str) -> None:
        strips = [Strip([Segment(f"{text:<20}", STYLES[0])]) for text in (first, "R² 0.71")]
        terminal.show(LayoutUpdate([[one] for one in strips], Region(0, 0, *size)), size)

    show("step 100 of 300")
    assert "R² 0.71" in terminal.sent
    show("step 100 of 300")
    assert terminal.sent == ""
    show("step 120 of 300")
    assert terminal.sent.removesuffix("\x1b[0m").endswith("2")
    assert len(terminal.sent) < 50
    terminal.cells.forget()
    show("step 120 of 300")
    assert "R² 0.71" in terminal.sent


def test_of_blanks_only_what_one_sees_is_sent() -> None:
    size, terminal = Size(60, 1), Emulated()

    def show(*parts: tuple[str, str]) -> int:
        strip = Strip([Segment(text, Style.parse(style)) for text, style in parts])
        terminal.show(LayoutUpdate([[strip]], Region(0, 0, *size)), size)
        return len(terminal.sent)

    assert show(("a", "red"), (" " * 40, "bold blue"), ("b", "red"), (" " * 18, "green")) < 80
    assert show(("a", "red"), (" " * 40, "green"), ("b", "red"), (" " * 18, "")) == 0
    assert show(("a", "red"), (" " * 40, "on green"), ("b", "red"), (" " * 18, "")) > 40
    assert show(("a", "red"), (" " * 40, "on green"), ("b", "red"), (" " * 18, "underline")) > 18


def test_what_terminals_give_different_room_shifts_nothing() -> None:
    """pyte gives this one a single cell."""
    size, terminal = Size(12, 1), Emulated()
    strip = Strip([Segment("ab🗺️cd 专e🗺️")])
    terminal.show(LayoutUpdate([[strip]], Region(0, 0, *size)), size)
    assert texts(terminal.rows()) == ["ab🗺 cd 专e🗺 "]


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch) -> Emulated:
    """Shows what the app draws."""
    from vitlab.tui.app import VitLab

    terminal = Emulated()
    display = VitLab._display

    def draw(self: VitLab, screen: Any, update: Any) -> None:
        if isinstance(update, Update) and not self._batch_count:
            terminal.show(update, self.size)
        display(self, screen, update)

    monkeypatch.setattr(VitLab, "_display", draw)
    return terminal


def compare(it: Stage, terminal: Emulated) -> None:
    """The terminal shows what Textual would draw on an empty one."""
    token = visible_screen_stack.set(it.app._background_screens)
    try:
        strips = it.app.screen._compositor.render_strips()
    finally:
        visible_screen_stack.reset(token)
    rows = wanted(strips, it.app.size.width)
    assert texts(terminal.rows()) == texts(rows)
    assert looks(terminal.rows(), rows) == looks(rows, rows)


async def test_every_screen_of_the_app_arrives_as_it_is(stage: Open, emulated: Emulated) -> None:
    async with stage(size=(120, 35)) as it:
        compare(it, emulated)
        for key in ("j", "j", "v", "l", "v", "full_stop", "2", "j", "3", "6", "7", "8", "1",
                    "question_mark", "escape", "L", "escape", "T", "slash", "同"):  # fmt: skip
            await it.press(key)
            compare(it, emulated)
        await it.pilot.resize_terminal(80, 24)
        await it.settle()
        compare(it, emulated)


async def test_a_dialog_changes_only_what_it_covers(stage: Open, emulated: Emulated) -> None:
    async with stage(size=(120, 35)) as it:
        before = emulated.rows()
        await it.press("question_mark")
        covered = it.app.screen.query_one(".dialog").region
        behind = [*range(covered.y), *range(covered.bottom, 34)]  # above the key line
        assert behind
        now = emulated.rows()
        was, rows = ([one[y] for y in behind] for one in (before, now))
        assert texts(rows) == texts(was)
        assert looks(rows, rows) == looks(was, was)
        assert texts(now)[34].strip() == ""  # its keys stand in its border
        assert texts(before)[34].strip() != ""
        it.app.home.refresh_view()
        await it.press("escape")
        assert texts(emulated.rows())[34] == texts(before)[34]


class Line(list[str]):
    """Takes what is written to it."""

    write = list.append


@pytest.fixture
async def terminal(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Terminal]:
    handlers = {name: signal.getsignal(name) for name in (signal.SIGTSTP, signal.SIGCONT)}
    one = Terminal(App[None]())
    monkeypatch.setattr(one, "_writer_thread", Line())
    try:
        yield one
    finally:
        for name, handler in handlers.items():
            signal.signal(name, handler)


async def test_bytes_that_are_no_utf8_end_no_keys(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal set to GBK."""
    typed, keys = list[str | None](), os.pipe()
    monkeypatch.setattr(terminal, "fileno", keys[0])
    monkeypatch.setattr(terminal, "exit_event", threading.Event())
    monkeypatch.setattr(terminal, "process_message", lambda key: typed.append(key.character))
    reader = threading.Thread(target=terminal.run_input_thread)
    os.write(keys[1], "/恒".encode("gbk") + b"x")
    reader.start()
    wait_for(lambda: "x" in typed)
    terminal.exit_event.set()
    reader.join()
    assert typed[0] == "/"
    for one in keys:
        os.close(one)


async def test_a_paste_whose_end_never_came_ends_with_a_key(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    got, keys = list[Any](), os.pipe()
    monkeypatch.setattr(terminal, "fileno", keys[0])
    monkeypatch.setattr(terminal, "exit_event", threading.Event())
    monkeypatch.setattr(terminal, "process_message", got.append)
    reader = threading.Thread(target=terminal.run_input_thread)
    reader.start()
    for data in (b"\x1b[200~one\ntwo", b"qy", b"\x03", b"x"):
        os.write(keys[1], data)
        # Each is read by itself, as what a person types is.
        wait_for(lambda: not select.select([keys[0]], [], [], 0)[0])
    wait_for(lambda: len(got) == 3)
    terminal.exit_event.set()
    reader.join()
    assert [getattr(one, "text", None) or one.key for one in got] == ["one\ntwoqy", "ctrl+c", "x"]
    for one in keys:
        os.close(one)


async def test_a_stop_that_nothing_told_leaves_one_reader_of_the_keys(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`kill -STOP` and `scontrol suspend` tell no screen, which is not put away then."""
    done, ends = list[str](), threading.Event()
    reader = threading.Thread(target=ends.wait)

    def suspend() -> None:
        done.append("suspend")
        terminal._sigcont_application()  # it was stopped within, in the background
        ends.set()
        reader.join()

    monkeypatch.setattr(terminal, "_auto_restart", True)
    monkeypatch.setattr(terminal, "suspend_application_mode", suspend)
    monkeypatch.setattr(terminal, "resume_application_mode", lambda: done.append("resume"))
    monkeypatch.setattr(terminal, "_key_thread", reader)
    reader.start()
    terminal._sigcont_application()
    assert done == ["suspend", "resume"]
    terminal._sigcont_application()  # behind ctrl+z, which has put it away
    assert done == ["suspend", "resume", "resume"]


async def test_a_terminal_that_is_ours_again_is_sent_the_whole_picture(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("start_application_mode", "stop_application_mode"):
        monkeypatch.setattr(LinuxDriver, name, lambda _: None)
    sent: Any = terminal._writer_thread
    terminal.start_application_mode()
    assert sent == []
    update = LayoutUpdate([[Strip([Segment("first     ")])]], Region(0, 0, 10, 1))
    terminal.show(update, Size(10, 1), (0, 0), whole=False)
    terminal._taken()
    terminal.stop_application_mode()
    terminal.repaint()
    terminal.stop_application_mode()
    assert len(sent) == 1
    terminal.start_application_mode()
    assert len(sent) == 2
    assert "first" in sent[1]


async def test_a_slow_line_is_sent_the_newest_picture(terminal: Terminal) -> None:
    sent: Any = terminal._writer_thread

    def show(text: str) -> None:
        update = LayoutUpdate([[Strip([Segment(f"{text:<10}")])]], Region(0, 0, 10, 1))
        terminal.show(update, Size(10, 1), (0, 0), whole=False)

    show("first")
    show("second")
    show("third")
    assert len(sent) == 1
    assert "first" in sent[0]
    terminal._taken()
    await asyncio.sleep(0)
    assert len(sent) == 2
    assert "thi" in sent[1]
    terminal._taken()
    terminal.repaint()
    assert "third" in sent[2]
    show("fourth")
    terminal._state = None  # as where the terminal is the shell's again
    terminal._taken()
    await asyncio.sleep(0)
    assert len(sent) == 3
