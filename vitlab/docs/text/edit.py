"""Edits of a text, compare-and-swap: each names the text it replaces and where that is."""

from __future__ import annotations

import bisect
import difflib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from vitlab.contract.paths import UsageError
from vitlab.contract.terminal import harmless
from vitlab.docs.text.source import Span

_LINES = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_NAMED = re.compile(r"(?:MVP|Gate)[-_ ]?\d[\w.-]*", re.I)
_ID = re.compile(r"\d+(?:\.\d+)*\w?")
_SMALL = 250_000
"""Pairs of lines that `difflib` compares at once; its time grows with their square."""


class Conflict(UsageError):  # noqa: N818  # reads better in messages than an error
    """The text an edit replaces is not there any more; nothing was written."""


@dataclass(frozen=True)
class Edit:
    """Replace `old` at `span` by `new`."""

    span: Span
    old: str
    new: str


def sorted_edits(edits: Sequence[Edit]) -> list[Edit]:
    """The edits by position; Conflict when two overlap."""
    by_position = sorted(edits, key=lambda edit: (edit.span.start, edit.span.end))
    for first, second in pairwise(by_position):
        if second.span.start < first.span.end:
            raise Conflict(f"two edits overlap at character {second.span.start}: {second.new!r}")
    return by_position


def apply(text: str, edits: Sequence[Edit]) -> str:
    """The text with every edit applied; Conflict when an `old` is not there, or two overlap."""
    pieces: list[str] = []
    end = 0
    for edit in sorted_edits(edits):
        current = text[edit.span.start : edit.span.end]
        if current != edit.old:
            raise Conflict(f"character {edit.span.start}: expected {edit.old!r}, found {current!r}")
        pieces += [text[end : edit.span.start], edit.new]
        end = edit.span.end
    return "".join([*pieces, text[end:]])


def reverse(edits: Sequence[Edit]) -> tuple[Edit, ...]:
    """The edits that turn the changed text back into the original."""
    reversed_edits = []
    shift = 0
    for edit in sorted_edits(edits):
        start = edit.span.start + shift
        reversed_edits.append(Edit(Span(start, start + len(edit.new)), edit.new, edit.old))
        shift += len(edit.new) - len(edit.old)
    return tuple(reversed_edits)


def differences(old: str, new: str) -> tuple[Edit, ...]:
    """The edits, of whole lines, that turn one text into another."""
    before, after = split_lines(old), split_lines(new)
    starts = [*_starts(before), len(old)]
    return tuple(
        Edit(Span(starts[a], starts[b]), old[starts[a] : starts[b]], "".join(after[c:d]))
        for a, b, c, d in _changed_lines(before, after)
    )


def _changed_lines(
    before: Sequence[str], after: Sequence[str]
) -> Iterator[tuple[int, int, int, int]]:
    """The ranges of lines that differ, in order: before[a:b] became after[c:d].

    Lines that each text has once, in one order, are taken for the same; `difflib` compares what
    stands between them, where that is not too much.
    """
    waiting = [(0, len(before), 0, len(after))]
    while waiting:
        a, b, c, d = waiting.pop()
        while a < b and c < d and before[a] == after[c]:
            a, c = a + 1, c + 1
        while a < b and c < d and before[b - 1] == after[d - 1]:
            b, d = b - 1, d - 1
        if a == b or c == d or (b - a) * (d - c) <= _SMALL:
            matcher = difflib.SequenceMatcher(None, before[a:b], after[c:d], autojunk=False)
            for tag, i, j, k, n in matcher.get_opcodes():
                if tag != "equal":
                    yield a + i, a + j, c + k, c + n
            continue
        anchors = _anchors(before, after, (a, b, c, d))
        if not anchors:
            yield a, b, c, d
            continue
        edges = [(a - 1, c - 1), *anchors, (b, d)]
        gaps = [(i + 1, j, k + 1, n) for (i, k), (j, n) in pairwise(edges)]
        waiting += reversed([gap for gap in gaps if gap[0] < gap[1] or gap[2] < gap[3]])


def _anchors(
    before: Sequence[str], after: Sequence[str], within: tuple[int, int, int, int]
) -> list[tuple[int, int]]:
    """The most lines that stand once in both ranges, in the same order: their positions."""
    a, b, c, d = within
    once = Counter(before[a:b])
    there = Counter(after[c:d])
    position = {after[j]: j for j in range(c, d) if there[after[j]] == 1}
    pairs = [
        (i, position[before[i]])
        for i in range(a, b)
        if once[before[i]] == 1 and before[i] in position
    ]
    # The longest rising run of positions, by the last element of the best run of each length.
    lasts: list[int] = []
    at: list[int] = []
    previous = [-1] * len(pairs)
    for number, (_, j) in enumerate(pairs):
        length = bisect.bisect_left(lasts, j)
        previous[number] = at[length - 1] if length else -1
        lasts[length : length + 1] = [j]
        at[length : length + 1] = [number]
    run, number = [], at[-1] if at else -1
    while number >= 0:
        run.append(pairs[number])
        number = previous[number]
    return run[::-1]


def split_lines(text: str) -> list[str]:
    """The lines of a text with their ends; only CR LF, CR and LF end a line."""
    return _LINES.findall(text)


def unified(old: str | None, new: str | None, path: Path | str) -> str:
    """The unified diff of two texts, empty when they are equal; None: there is no file."""
    before, after = split_lines(old or ""), split_lines(new or "")
    name = harmless(Path(path).as_posix().lstrip("/")).replace("\n", "\\n")
    source = "/dev/null" if old is None else f"a/{name}"
    target = "/dev/null" if new is None else f"b/{name}"
    lines = []
    for group in _hunks(before, after):
        (a, _, c, _), (_, b, _, d) = group[0], group[-1]
        start, end = max(a - _CONTEXT, 0), min(b + _CONTEXT, len(before))
        now = _range(c - (a - start), d + (end - b))
        lines.append(f"@@ -{_range(start, end)} +{now} @@\n")
        for i, j, k, n in group:
            lines += [f" {line}" for line in before[start:i]]
            lines += [f"-{line}" for line in before[i:j]]
            lines += [f"+{line}" for line in after[k:n]]
            start = j
        lines += [f" {line}" for line in before[start:end]]
    head = [f"--- {source}\n", f"+++ {target}\n"] if lines else []
    ended = (x if x[-1] in "\r\n" else f"{x}\n\\ No newline at end of file\n" for x in lines)
    return "".join([*head, *ended])


_CONTEXT = 3
"""Lines around each change of a diff."""


def _hunks(before: Sequence[str], after: Sequence[str]) -> list[list[tuple[int, int, int, int]]]:
    """The changed ranges, those together that have few lines between them."""
    hunks: list[list[tuple[int, int, int, int]]] = []
    for change in _changed_lines(before, after):
        if hunks and change[0] - hunks[-1][-1][1] <= 2 * _CONTEXT:
            hunks[-1].append(change)
        else:
            hunks.append([change])
    return hunks


def _range(first: int, end: int) -> str:
    """Lines as in the head of a hunk."""
    n = end - first
    return f"{first + 1}" if n == 1 else f"{first + (n > 0)},{n}"


def lost_lines(old: str, then: str) -> list[str]:
    """`line N: text` for each line of a text that is not as it was in a later one."""
    before, after = split_lines(old), split_lines(then)
    return [
        f"line {index + 1}: {before[index].strip()}"
        for first, last, _, _ in _changed_lines(before, after)
        for index in range(first, max(last, first + 1))
        if index < len(before)
    ]


def common_ends(old: str, new: str) -> tuple[int, int]:
    """How many characters two texts share at their start, and then at their end."""
    shorter = min(len(old), len(new))
    head = next((i for i in range(shorter) if old[i] != new[i]), shorter)
    rest = shorter - head
    tail = next((i for i in range(rest) if old[-1 - i] != new[-1 - i]), rest)
    return head, tail


def rebase(old: str, now: str, edits: Sequence[Edit], name: str) -> tuple[Edit, ...]:
    """The edits, planned on `old`, moved to the same places in `now`.

    An edit can be moved when its line is unchanged and can be told from equal ones, or when only
    another part of the line changed. Conflict otherwise.
    """
    if old == now:
        return tuple(edits)
    before, after = split_lines(old), split_lines(now)
    lines = _line_map(before, after)
    starts_before, starts_after = _starts(before), _starts(after)
    moved = []
    for edit in sorted_edits(edits):
        shift = _moved_by(edit, before, after, lines, starts_before, starts_after)
        if shift is None:
            line = bisect.bisect_right(starts_before, edit.span.start) or 1
            raise Conflict(
                f"{name}: line {line} changed since it was read, and where {edit.old!r} stands "
                f"now is not certain; nothing written"
            )
        span = Span(edit.span.start + shift, edit.span.end + shift)
        moved.append(Edit(span, edit.old, edit.new))
    return tuple(moved)


def _starts(lines: Sequence[str]) -> list[int]:
    starts, at = [], 0
    for line in lines:
        starts.append(at)
        at += len(line)
    return starts


def _line_map(before: list[str], after: list[str]) -> dict[int, int]:
    """Old line index -> new one, for unchanged lines and for changed ones of the same subject."""
    new_index: dict[int, int] = {}
    i = k = 0
    for a, b, c, d in [*_changed_lines(before, after), (len(before),) * 2 + (len(after),) * 2]:
        new_index.update(zip(range(i, a), range(k, c), strict=True))
        new_index.update(_same_subjects(before, after, (a, b, c, d)))
        i, k = b, d
    once, there = Counter(before), Counter(after)
    where = {line: index for index, line in enumerate(after)}
    for index, line in enumerate(before):
        # A line that moved as a whole is known by its text, if there is only one such line.
        if index not in new_index and once[line] == 1 and there[line] == 1:
            new_index[index] = where[line]
    return new_index


def _same_subjects(
    before: list[str], after: list[str], within: tuple[int, int, int, int]
) -> Iterator[tuple[int, int]]:
    """The changed lines that are of one subject: (index before, index after).

    A table may have been sorted and its columns widened since; the only line of an MVP is found
    wherever it stands, others where as many lines as before stand at the same place.
    """
    a, b, c, d = within
    olds, news = [_subject(x) for x in before[a:b]], [_subject(x) for x in after[c:d]]
    once, there = Counter(olds), Counter(news)
    where = {subject: index for index, subject in enumerate(news)}
    for index, subject in enumerate(olds):
        if subject and once[subject] == there[subject] == 1:
            yield a + index, c + where[subject]
        elif len(olds) == len(news) and subject == news[index]:
            yield a + index, c + index


def _subject(line: str) -> tuple[str, ...]:
    """What a line is about: the MVP or gate it names first, or of a row its id or first cell."""
    cells = [cell.strip(" \t\r\n>*_`~") for cell in line.split("|")]
    named = [cell for cell in cells if any(map(str.isalnum, cell))][: 2 if len(cells) > 1 else 1]
    ids = tuple(match[0] for cell in named for match in [_NAMED.search(cell)] if match)
    if ids or len(cells) == 1:
        return ids
    own = [cell for cell in named if _ID.fullmatch(cell)]
    is_known = own[:1] == named[:1] and "." in "".join(own[:1])  # `1` may be a number of the row
    return tuple(own[:1] if is_known else own or named[:1])


def _moved_by(
    edit: Edit,
    before: list[str],
    after: list[str],
    lines: dict[int, int],
    starts_before: list[int],
    starts_after: list[int],
) -> int | None:
    """By how many characters an edit's text moved; None when unknown or when it changed."""
    first = max(0, bisect.bisect_right(starts_before, edit.span.start) - 2)
    last = bisect.bisect_right(starts_before, edit.span.end)
    touched = [
        i
        for i in range(first, last)
        if starts_before[i] + len(before[i]) >= edit.span.start
        and (starts_before[i] < edit.span.end or starts_before[i] <= edit.span.start)
    ]
    shifts = set()
    for index in touched:
        target = lines.get(index)
        if target is None:
            return None
        start = starts_before[index]
        low = max(edit.span.start - start, 0)
        high = min(edit.span.end - start, len(before[index]))
        moved = _moved_in_line(before[index], after[target], low, high)
        if moved is None:
            return None
        shifts.add(starts_after[target] - start + moved)
    if not touched:
        return 0 if not before else None
    return shifts.pop() if len(shifts) == 1 else None


def _moved_in_line(old: str, new: str, low: int, high: int) -> int | None:
    """How far `old[low:high]` moved inside its line; None when the change may have touched it."""
    if old == new:
        return 0
    head, tail = common_ends(old, new)
    if high < head:
        return 0
    if low > len(old) - tail:
        return len(new) - len(old)
    return None
