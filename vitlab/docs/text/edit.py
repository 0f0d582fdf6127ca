"""An edit of a text, compare-and-swap: what it replaces must stand where it says."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from vitlab.contract.paths import UsageError
from vitlab.docs.text.source import Span

_LINES = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


class Conflict(UsageError):  # noqa: N818  # it is a state of affairs, shown as one line
    """An edit's place no longer says what it said; nothing was written."""


@dataclass(frozen=True)
class Edit:
    """Replace `old`, which stands at `span`, by `new`."""

    span: Span
    old: str
    new: str


def ordered(edits: Sequence[Edit]) -> list[Edit]:
    """The edits by place; Conflict when two overlap."""
    in_place = sorted(edits, key=lambda edit: (edit.span.start, edit.span.end))
    for first, second in pairwise(in_place):
        if second.span.start < first.span.end:
            raise Conflict(f"two edits overlap at character {second.span.start}: {second.new!r}")
    return in_place


def apply(text: str, edits: Sequence[Edit]) -> str:
    """The text with every edit made; Conflict when an `old` is not there, or two overlap."""
    pieces: list[str] = []
    at = 0
    for edit in ordered(edits):
        there = text[edit.span.start : edit.span.end]
        if there != edit.old:
            raise Conflict(f"character {edit.span.start}: {there!r} stands where {edit.old!r} did")
        pieces += [text[at : edit.span.start], edit.new]
        at = edit.span.end
    return "".join([*pieces, text[at:]])


def reverse(edits: Sequence[Edit]) -> tuple[Edit, ...]:
    """The edits that take the changed text back."""
    found = []
    shift = 0
    for edit in ordered(edits):
        start = edit.span.start + shift
        found.append(Edit(Span(start, start + len(edit.new)), edit.new, edit.old))
        shift += len(edit.new) - len(edit.old)
    return tuple(found)


def differences(old: str, new: str) -> tuple[Edit, ...]:
    """Edits, whole lines each, that lead from one text to another."""
    before, after = split_lines(old), split_lines(new)
    starts = [*_starts(before), len(old)]
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    return tuple(
        Edit(Span(starts[a], starts[b]), old[starts[a] : starts[b]], "".join(after[c:d]))
        for tag, a, b, c, d in matcher.get_opcodes()
        if tag != "equal"
    )


def split_lines(text: str) -> list[str]:
    """The lines of a text with their ends; cut at CR LF, CR and LF only."""
    return _LINES.findall(text)


def unified(old: str | None, new: str | None, path: Path | str) -> str:
    """The unified diff of two texts; None for a file that is not there, empty when equal."""
    before, after = split_lines(old or ""), split_lines(new or "")
    name = Path(path).as_posix().lstrip("/")
    source = "/dev/null" if old is None else f"a/{name}"
    target = "/dev/null" if new is None else f"b/{name}"
    lines = []
    for line in difflib.unified_diff(before, after, source, target, n=3):
        whole = line if line[-1:] in "\r\n" else line + "\n\\ No newline at end of file\n"
        lines.append(whole)
    return "".join(lines)


def rebase(old: str, now: str, edits: Sequence[Edit], name: str) -> tuple[Edit, ...]:
    """The edits, planned on `old`, moved to where their places stand in `now`.

    A place is found again when its line is unchanged and its neighbourhood tells which it is, or
    when only another part of its line changed. Conflict otherwise.
    """
    if old == now:
        return tuple(edits)
    before, after = split_lines(old), split_lines(now)
    lines = _line_map(before, after)
    starts_before, starts_after = _starts(before), _starts(after)
    moved = []
    for edit in ordered(edits):
        shift = _shift(edit, before, after, lines, starts_before, starts_after)
        if shift is None:
            line = sum(1 for s in starts_before if s <= edit.span.start) or 1
            raise Conflict(
                f"{name}: line {line} changed since it was read ({edit.old!r} is not there "
                f"any more as it was); nothing written"
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
    """Old line index -> new one, for unchanged lines and for lines changed one for one."""
    found: dict[int, int] = {}
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag == "equal" or (tag == "replace" and b - a == d - c):
            found.update(zip(range(a, b), range(c, d), strict=True))
    for index, line in enumerate(before):
        # A line that was moved as a whole is found by its text, if there is only one such line.
        if index not in found and before.count(line) == 1 and after.count(line) == 1:
            found[index] = after.index(line)
    return found


def _shift(
    edit: Edit,
    before: list[str],
    after: list[str],
    lines: dict[int, int],
    starts_before: list[int],
    starts_after: list[int],
) -> int | None:
    """How far an edit's place moved; None when it cannot be told, or when it changed."""
    touched = [
        i
        for i, start in enumerate(starts_before)
        if start <= edit.span.end and start + len(before[i]) >= edit.span.start
        and (start < edit.span.end or start <= edit.span.start)
    ]  # fmt: skip
    shifts = set()
    for index in touched:
        target = lines.get(index)
        if target is None:
            return None
        start, there = starts_before[index], after[target]
        low = max(edit.span.start - start, 0)
        high = min(edit.span.end - start, len(before[index]))
        inside = _inside(before[index], there, low, high)
        if inside is None:
            return None
        shifts.add(starts_after[target] - start + inside)
    if not touched:
        return 0 if not before else None
    return shifts.pop() if len(shifts) == 1 else None


def _inside(old: str, new: str, low: int, high: int) -> int | None:
    """How far `old[low:high]` moved inside its line; None when the change may have touched it."""
    if old == new:
        return 0
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    if high < head:
        return 0
    if low > len(old) - tail:
        return len(new) - len(old)
    return None
