"""What the terminal shows, cell by cell: of each new picture only the cells that differ are sent.

Textual sends every cell of the regions it draws anew, each piece with its whole style: a slow line
takes seconds for that, and a fast one the time it takes to write it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from rich.cells import split_graphemes
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.geometry import Size

Update = LayoutUpdate | ChopsUpdate
"""A picture, or parts of one."""
Piece = tuple[int, int, int, Iterable[Segment]]
"""Line, first column, the column where it ends at the latest, and what stands there."""

Run = tuple[int, int, int]
"""Line, first column and end of cells to be sent."""
LARGE = 2000
"""Characters of a change from which on it is worth while to look for a shorter way."""
BRIDGED = 4
"""So many equal cells between two that differ are sent too: a jump takes as many bytes."""
STYLES = 4096
"""Styles whose codes are kept."""
_OFF = {"1": "22", "2": "22", "3": "23", "4": "24", "7": "27", "9": "29"}
"""Attribute -> what ends it; the others end with all of a style."""
_SURE = (
    (0x20, 0x7E), (0xA0, 0xAC), (0xAE, 0x2FF), (0x370, 0x482), (0x2500, 0x25FC), (0x2713, 0x2713),
    (0x2717, 0x2717), (0x2800, 0x28FF), (0x3000, 0x303E), (0x3041, 0x3247), (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFAFF), (0xFF01, 0xFF60),
)  # fmt: skip
"""Characters that every terminal gives as many cells as we do."""


class Look(NamedTuple):
    """A style as the terminal is told it; every part is empty where it is the terminal's own."""

    attributes: tuple[str, ...] = ()
    color: str = ""
    background: str = ""
    link: str = ""


PLAIN = Look()
_ON_BLANKS = frozenset(("4", "7", "9", "21", "51", "52", "53"))
"""Attributes that one sees where nothing is written."""


@lru_cache(maxsize=STYLES)
def _shows_blank(look: Look) -> Look:
    """What one sees of a style where nothing is written: its colour only where it draws lines."""
    if look.attributes and not _ON_BLANKS.isdisjoint(look.attributes):
        return look
    return Look((), "", look.background, look.link)


class Cells:
    """The picture that is to be shown, and what of it the terminal shows."""

    def __init__(self, colors: ColorSystem | None = None) -> None:
        self.colors = colors or ColorSystem.TRUECOLOR
        """As many as the terminal has."""
        self._size = Size(0, 0)
        # A cell is its grapheme, empty for the right half of a wide one, and its look. None: not
        # known, so that it differs from all.
        self._texts: list[list[str | None]] = []
        self._looks: list[list[Look]] = []
        self._shown_texts: list[list[str | None]] = []
        self._shown_looks: list[list[Look]] = []
        self._touched: set[int] = set()
        self._codes: dict[Style, Look] = {}

    @property
    def differs(self) -> bool:
        """Whether lines may differ from what the terminal shows."""
        return bool(self._touched)

    def forget(self) -> None:
        """The terminal may show anything: everything is to be sent again."""
        width, height = self._size
        self._shown_texts = [[None] * width for _ in range(height)]
        self._touched = set(range(height))

    def put(self, update: Update, size: Size) -> None:
        """Take what is to be shown from now on, on a terminal of this size."""
        if size != self._size:
            self._size = size
            width, height = size
            self._texts = [[None] * width for _ in range(height)]
            self._looks = [[PLAIN] * width for _ in range(height)]
            self._shown_looks = [[PLAIN] * width for _ in range(height)]
            self.forget()
        for line, begin, end, segments in _pieces(update):
            if line < size.height:
                self._put(line, begin, min(end, size.width), segments)

    def _put(self, line: int, begin: int, end: int, segments: Iterable[Segment]) -> None:
        if begin >= end:
            return
        texts: list[str] = []
        looks: list[Look] = []
        for text, style, control in segments:
            if control:
                continue
            part = graphemes(text)
            texts += part
            looks += [self._look(style)] * len(part)
            if len(texts) >= end - begin:
                break
        if len(texts) > end - begin:
            cut = texts[end - begin] == ""  # a wide one has no room for its right half
            del texts[end - begin :], looks[end - begin :]
            if cut and texts:
                texts[-1] = " "
        row, after = self._texts[line], begin + len(texts)
        if begin and row[begin] == "" and texts:
            row[begin - 1] = " "  # half of a wide one is nothing
        row[begin:after] = texts
        if after < len(row) and row[after] == "":
            row[after] = " "
        self._looks[line][begin:after] = looks
        self._touched.add(line)

    def _look(self, style: Style | None) -> Look:
        if style is None:
            return PLAIN
        look = self._codes.get(style)
        if look is None:
            if len(self._codes) >= STYLES:
                self._codes.clear()
            look = self._codes[style] = _look_of(style, self.colors)
        return look

    def changes(self, *, is_slow: bool = False) -> str:
        """What makes the terminal show the picture; empty where it does. It is shown from now.

        `is_slow`: bytes cost more than the time to look for a shorter way.
        """
        lines = sorted(self._touched)
        runs = [(line, *run) for line in lines for run in self._runs_of(line)]
        text = self._drawn(runs)
        if (
            is_slow
            and len(text) > LARGE
            and len(other := self._drawn(self._by_look(runs))) < len(text)
        ):
            text = other
        for line in lines:
            self._shown_texts[line] = self._texts[line].copy()
            self._shown_looks[line] = self._looks[line].copy()
        self._touched.clear()
        return text

    def _runs_of(self, line: int) -> Iterator[tuple[int, int]]:
        texts, looks = self._texts[line], self._looks[line]
        shown, shown_looks = self._shown_texts[line], self._shown_looks[line]
        if texts != shown or looks != shown_looks:
            yield from _runs(texts, looks, shown, shown_looks)

    def _drawn(self, runs: Iterable[Run]) -> str:
        """What draws these cells, one run after the other, and leaves the terminal plain."""
        out: list[str] = []
        look, row, at = PLAIN, -1, 0
        for line, begin, end in runs:
            out.append(_jump(row, at, line, begin, self._size.width))
            row = line
            look, at = _write(self._texts[line], self._looks[line], begin, end, look, out)
        if look != PLAIN:
            out.append(_turn(look, PLAIN))
        return "".join(out)

    def _by_look(self, runs: Iterable[Run]) -> Iterator[Run]:
        """Their parts, those of one style together: a jump takes less than a change of style.

        A line with what a terminal may give another width is drawn from left to right, and first.
        """
        parts: dict[Look, list[Run]] = {}
        for line, begin, end in runs:
            texts, looks = self._texts[line], self._looks[line]
            if not all(not text or _is_sure(text) for text in texts):
                yield line, begin, end
                continue
            for start, stop, look in _parts(texts, looks, begin, end):
                parts.setdefault(look, []).append((line, start, stop))
        for each in parts.values():
            yield from each


def _jump(row: int, at: int, line: int, begin: int, width: int) -> str:
    """What brings the cursor from one place to another, by the shortest way.

    At the last column it is not known where it is: it may be about to leave it.
    """
    ways = [f"\x1b[{line + 1};{begin + 1}H"]
    if 0 <= row <= line and at < width:
        down = "\x1b[B" if line - row == 1 else f"\x1b[{line - row}B" * (line > row)
        back = min("\b" * (at - begin), f"\x1b[{at - begin}D", key=len)
        ways.append(down + (f"\x1b[{begin - at}C" if begin > at else back if begin < at else ""))
    return min(ways, key=len)


def _parts(
    texts: Sequence[str | None], looks: Sequence[Look], begin: int, end: int
) -> Iterator[tuple[int, int, Look]]:
    """A run in parts of one look each; blanks belong to the part before, or behind them."""
    look, start = looks[begin], begin
    for column in range(begin, end):
        text, own = texts[column], looks[column]
        if not text or _is_same(text, own, look):
            continue
        if all(
            x == " " and _is_same(x, y, own)
            for x, y in zip(texts[start:column], looks[start:column], strict=True)
        ):
            look = own
            continue
        yield start, column, look
        look, start = own, column
    yield start, end, look


def _runs(
    texts: Sequence[str | None],
    looks: Sequence[Look],
    shown: Sequence[str | None],
    shown_looks: Sequence[Look],
) -> Iterator[tuple[int, int]]:
    """First column and end of what is to be sent of a line; cells not known are left out."""
    begin = end = -1
    for column, text in enumerate(texts):
        if text is None or (
            text == shown[column]
            and (
                looks[column] is shown_looks[column]
                or _is_same(text, looks[column], shown_looks[column])
            )
        ):
            continue
        if begin >= 0 and (column - end > BRIDGED or None in texts[end:column]):
            yield begin, end
            begin = -1
        if begin < 0:
            begin = column
            while begin and texts[begin] == "":
                begin -= 1
        end = column + 1
    if begin >= 0:
        yield begin, end


def _write(
    texts: Sequence[str | None],
    looks: Sequence[Look],
    begin: int,
    end: int,
    look: Look,
    out: list[str],
) -> tuple[Look, int]:
    """Append a run of cells; the look after it, and the column, which is past the line at its end.

    After what a terminal may give another width the column is stated.
    """
    while end < len(texts) and texts[end] == "":
        end += 1  # the right half of the last one
    for column in range(begin, end):
        text = texts[column]
        if not text:
            continue
        if looks[column] is not look and not _is_same(text, looks[column], look):
            out.append(_turn(look, looks[column]))
            look = looks[column]
        if _is_sure(text):
            out.append(text)
            continue
        after = column + 1
        while after < len(texts) and texts[after] == "":
            after += 1
        if after - column > 1:  # else what was there shines through where it is given less room
            out.append(f"{' ' * (after - column)}\x1b[{column + 1}G")
        out.append(text)
        if after < len(texts):
            out.append(f"\x1b[{after + 1}G")
    # At the last column the cursor stays, or is about to leave it: where it is, is not known.
    return look, end if end < len(texts) else len(texts) + 1


def _is_same(text: str, one: Look, other: Look) -> bool:
    """Whether a text looks the same in both styles."""
    return one == other or (text == " " and _shows_blank(one) == _shows_blank(other))


@lru_cache(maxsize=4096)
def _is_sure(text: str) -> bool:
    return len(text) == 1 and any(low <= ord(text) <= high for low, high in _SURE)


_NARROW = frozenset(chr(code) for low, high in _SURE[:8] for code in range(low, high + 1))


def graphemes(text: str) -> Sequence[str]:
    """A text's cells: the grapheme, and nothing for the right half of a wide one."""
    return text if _NARROW.issuperset(text) else _wide(text)


@lru_cache(maxsize=4096)
def _wide(text: str) -> Sequence[str]:
    cells: list[str] = []
    for begin, end, width in split_graphemes(text)[0]:
        if width:
            cells += [text[begin:end], *[""] * (width - 1)]
    return cells


def _look_of(style: Style, colors: ColorSystem) -> Look:
    # The names of attributes are Rich's own; one that is not set is as if it were off.
    on = [
        number
        for number, is_on in (
            ("1", style.bold), ("2", style.dim), ("3", style.italic), ("4", style.underline),
            ("5", style.blink), ("6", style.blink2), ("7", style.reverse), ("8", style.conceal),
            ("9", style.strike), ("21", style.underline2), ("51", style.frame),
            ("52", style.encircle), ("53", style.overline),
        )
        if is_on
    ]  # fmt: skip
    color, ground = style.color, style.bgcolor
    return Look(
        tuple(on),
        ";".join(color.downgrade(colors).get_ansi_codes()) if color else "",
        ";".join(ground.downgrade(colors).get_ansi_codes(foreground=False)) if ground else "",
        style.link or "",
    )


@lru_cache(maxsize=4096)
def _turn(before: Look, after: Look) -> str:
    """What leads from one look to another."""
    codes: list[str] = []
    ended = [one for one in before.attributes if one not in after.attributes]
    if after[:3] == PLAIN[:3]:
        codes = ["0"] if before[:3] != after[:3] else []
    elif any(one not in _OFF for one in ended):
        codes = ["0", *after.attributes, after.color, after.background]
    else:
        codes = [_OFF[one] for one in ended]
        # Bold and dim end with one code, and what stays on is turned on again.
        codes += [one for one in after.attributes if ended or one not in before.attributes]
        if after.color != before.color:
            codes.append(after.color or "39")
        if after.background != before.background:
            codes.append(after.background or "49")
    turned = f"\x1b[{';'.join(filter(None, codes))}m" if codes else ""
    if after.link != before.link:
        turned += f"\x1b]8;;{after.link}\x1b\\"
    return turned


def _pieces(update: Update) -> Iterator[Piece]:
    """What an update draws, as it would write it itself."""
    if isinstance(update, LayoutUpdate):
        region = update.region
        for line, strips in enumerate(update.strips, region.y):
            yield line, region.x, region.right, (part for strip in strips for part in strip)
        return
    for line, begin, end in update.spans:
        ends = update.chop_ends[line]
        for right, (left, strip) in zip(ends, update.chops[line].items(), strict=False):
            if strip is not None and left <= end and right > begin:
                yield line, left, min(right, end), strip
