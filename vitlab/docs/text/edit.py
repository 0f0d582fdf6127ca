"""Edits of a text, compare-and-swap: each names the text it replaces and where that is."""

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
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    return tuple(
        Edit(Span(starts[a], starts[b]), old[starts[a] : starts[b]], "".join(after[c:d]))
        for tag, a, b, c, d in matcher.get_opcodes()
        if tag != "equal"
    )


def split_lines(text: str) -> list[str]:
    """The lines of a text with their ends; only CR LF, CR and LF end a line."""
    return _LINES.findall(text)


def unified(old: str | None, new: str | None, path: Path | str) -> str:
    """The unified diff of two texts, empty when they are equal; None: there is no file."""
    before, after = split_lines(old or ""), split_lines(new or "")
    name = Path(path).as_posix().lstrip("/")
    source = "/dev/null" if old is None else f"a/{name}"
    target = "/dev/null" if new is None else f"b/{name}"
    lines = []
    for line in difflib.unified_diff(before, after, source, target, n=3):
        whole = line if line[-1:] in "\r\n" else line + "\n\\ No newline at end of file\n"
        lines.append(whole)
    return "".join(lines)


def lost_lines(old: str, then: str) -> list[str]:
    """`line N: text` for each line of a text that is not as it was in a later one."""
    before, after = old.splitlines(), then.splitlines()
    changes = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    return [
        f"line {index + 1}: {before[index].strip()}"
        for tag, first, last, _, _ in changes
        for index in range(first, max(last, first + 1))
        if tag != "equal" and index < len(before)
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
            line = sum(1 for s in starts_before if s <= edit.span.start) or 1
            raise Conflict(
                f"{name}: line {line} changed since it was read ({edit.old!r} is no longer "
                f"there); nothing written"
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
    new_index: dict[int, int] = {}
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag == "equal" or (tag == "replace" and b - a == d - c):
            new_index.update(zip(range(a, b), range(c, d), strict=True))
    for index, line in enumerate(before):
        # A line that moved as a whole is known by its text, if there is only one such line.
        if index not in new_index and before.count(line) == 1 and after.count(line) == 1:
            new_index[index] = after.index(line)
    return new_index


def _moved_by(
    edit: Edit,
    before: list[str],
    after: list[str],
    lines: dict[int, int],
    starts_before: list[int],
    starts_after: list[int],
) -> int | None:
    """By how many characters an edit's text moved; None when unknown or when it changed."""
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
