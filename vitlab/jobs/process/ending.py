"""Why a job's process ended: by its exit status, its last words and the kernel's counter.

A supervisor loads it: standard library only, and little of it.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vitlab.contract.events import Outcome
from vitlab.contract.reading import open_regular, read_regular
from vitlab.jobs.files import born, last_json_line
from vitlab.jobs.processes import SCRIPTS, oom_kills

NAN_CODE = 3
"""A recipe's exit code when its loss is not finite."""
SHOWN = 300
"""Letters of what a job said last."""
TAIL = 1 << 15
"""Bytes at the end of the log that are searched for the reason of an end."""
JUST_BEFORE = 30.0
"""Seconds before its end in which a kill by the kernel is taken for that of the job: a process with
much memory takes some to be gone."""
JUST_AFTER = 0.1
"""Seconds by which a log may seem older than the run whose shell made it."""
AFTERWARDS = 30
"""Lines that others still write after a program's last exception: trackers, launchers."""

AFTER_SHELL = 3
"""Those of a shell script behind it."""

_SHELLS = frozenset(("sh", "bash", "dash", "zsh", "ksh", "fish", "csh", "tcsh", "tee", "make"))
_WRAPPER = (
    r"nice|ionice|env|timeout|nohup|time|numactl|taskset|stdbuf|setsid|srun|-.*|\d+\w?|\w+=.*"
)
"""Words before the program of a command."""

OUTSIDE = 3
"""In `End.left`: it runs on out of our reach."""
_ELSEWHERE = (
    r"(?m)(?:^|[;&|({\"'`])[ \t]*(?:(?:sudo|exec|then|do|else|import)[ \t]+)?"
    r"(?:(?:lib)?tmux|byobu|screen|zellij|dtach|abduco|systemd-run|ssh)(?=[\s\"',])"
)
"""A command that has a process of its own start a program, which is none of the job's then."""
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_FULL_DISK = 1 << 16

# Compiled when a job has failed, as a supervisor that waits has no use for them.
_REASONS: dict[Outcome, str] = {
    "oom": r"(?i:out[ _]of[ _]memory)|OutOfMemoryError|ResourceExhaustedError"
    r"|_STATUS_ALLOC_FAILED|RESOURCE_EXHAUSTED|(^|\s)MemoryError\b|Cannot allocate memory"
    r"|cannot allocate vector|Unable to allocate .*for an array|std::bad_alloc",
    "disk_full": r"No space left on device|\[Errno 28\]|Disk quota exceeded|\[Errno 122\]",
    "import_error": r"^(ModuleNotFoundError|ImportError): .*|.*: cannot open shared object.*",
}
_TRACEBACK = "Traceback (most recent call last):"
_EXCEPTION = r"[A-Za-z_][\w.]*(:.*)?"
_KILLED_IN_SHELL = (
    r"\S+: line \d+: +\d+ (Killed|Terminated|Aborted|Segmentation fault|Bus error)\b.*"
)
_IGNORED = r"Exception (ignored|in thread)\b"
"""Exceptions that end no program."""
_PARENT_GONE = r"(EOFError|BrokenPipeError|Connection\w*Error|KeyboardInterrupt)\b"
"""How a helper ends whose program has ended."""
_OF_A_CHILD = (
    "ChildFailedError",
    "CalledProcessError",
    "ProcessRaisedException",
    "ProcessExitedException",
    "BrokenProcessPool",
)
"""Exceptions of a launcher: the reason stands before them."""
_BEHIND = r"\s|Stacktrace:|in expression |Aborted|Execution halted|wandb:|srun:|slurmstepd:"
"""How lines begin that follow a reason."""


@dataclass(frozen=True)
class End:
    """How the job's process ended, and what it left."""

    code: int | None
    """None when a signal ended it."""
    signal: int | None
    last_words: str = ""
    """The end of its log."""
    error: str = ""
    """The `error` of its last `end` event."""
    disk_free: int | None = None
    """Bytes left on its disk; on a full one its last words may be missing."""
    oom_kills: int = 0
    """Processes of its memory cgroup that the kernel killed just before its end."""
    proof: tuple[str, str] = ("", "")
    """What shows that a run started by hand reached its end, empty where nothing does; and the last
    epoch seen, where it is known how many there are."""
    own_codes: bool = False
    """Whether its exit code is a user's program's own: `NAN_CODE` means nothing there."""
    left: tuple[str, int] = ("", 0)
    """A program that ran on when its own had returned, and was ended; whether it trained: 2 surely,
    1 perhaps, 0 not; `OUTSIDE` one that is not the job's and trains on."""
    source: str = ""
    """The text of its own script, which names those that it starts."""
    behind_shell: bool = False
    """Whether that code may be another's than the training's: `behind_shell`."""


def explain(end: End) -> tuple[Outcome, str]:
    """How the job ended, and a line for people."""
    if end.code == 0:
        may_hide = (end.behind_shell or end.proof[1]) and not end.proof[0]
        why = _hidden_failure(end) if may_hide else ""
        left, trained = end.left
        if trained == OUTSIDE:
            told = f"it returned while {left} runs on, which another program has started for it"
            adopt = f"`vitlab adopt --pid {left.rpartition(' ')[2].rstrip(')')}`"
            how = f"let it wait for that, or take that in by {adopt}"
            return ("ok", told) if all(end.proof) else ("unknown", f"{told}: {how}")
        if not end.proof[0] and (trained == 2 or (trained and end.proof[1])):
            came_to = f"; it came to {end.proof[1]}" if end.proof[1] else ""
            why = f"it returned while {left} ran on, which was ended: wait for it{came_to}"
        told = f"{left} ran on when it had returned, and was ended" if left else ""
        return ("unknown", why) if why else ("ok", told)
    if end.code is None and end.signal is None:
        if end.error or _ends_in_traceback(end.last_words):
            return _classify(end)
        proof, came_to = end.proof
        if proof:
            return "ok", f"started by hand; {proof}"
        why = "started by hand: its exit code is unknown, and nothing shows that it finished"
        return "unknown", f"{why}; it came to {came_to}" if came_to else why
    # A shell passes on the signal that ended its program, as 128 more.
    number = end.signal if end.signal is not None else (end.code or 0) - 128
    name = _signal_name(number)
    if number == signal.SIGKILL:
        if end.oom_kills:
            return (
                "oom",
                "the kernel killed it: the machine (or its memory limit) ran out of memory",
            )
        return "killed", f"{name} from outside: by a person, or the kernel when out of memory"
    if number in _STOP_SIGNALS:
        return "killed", f"{name} from outside" + ("; it ended itself" if end.code else "")
    if end.code == NAN_CODE and not end.own_codes and end.error in ("", "nan"):
        return "nan", "the loss is not finite any more"
    if end.code == NAN_CODE and not end.own_codes and end.error.endswith(": nan"):
        return "nan", "the loss is not finite any more"  # of one process of several
    outcome, last = _classify(end)
    if end.signal is not None:
        return outcome, f"{name}: {last}".rstrip(": ")
    last = last or f"exit code {end.code}"
    if outcome == "failed" and end.disk_free is not None and end.disk_free < _FULL_DISK:
        return "disk_full", f"no space left on the disk; {last}"
    return outcome, last


def behind_shell(argv: Sequence[str], cwd: Path) -> bool:
    """Whether a command is a shell or a script of one, whose exit code may be another program's.

    Python's own tells whether an exception ended it: one in its log was caught.
    """
    for word in argv:
        name = Path(word).name
        if name in _SHELLS:
            return True
        if re.fullmatch(_WRAPPER, name):
            continue
        with contextlib.suppress(OSError, ValueError):
            with os.fdopen(open_regular(cwd / word, follow=True), "rb", 0) as file:
                first = (file.read(128) or b"").partition(b"\n")[0].decode("utf-8", "replace")
            return first.startswith("#!") and not _SHELLS.isdisjoint(re.split(r"[\s/]+", first))
        return False
    return False


def _hidden_failure(end: End) -> str:
    """What an exit code of 0 hides, of a command that nothing shows to have finished.

    A pipe's code is that of its last program, a shell script's that of its last line. Of another
    program that came to fewer epochs, only an exception that ended a process it has started.
    """
    lines = end.last_words.replace("\r", "\n").split("\n")
    most = AFTERWARDS if end.proof[1] and end.behind_shell else AFTER_SHELL
    full = [line for line in lines if line.strip()]
    killed = [one for one in full[-most - 1 :] if re.fullmatch(_KILLED_IN_SHELL, one)]
    found = _exceptions(lines)
    sign = printable(killed[-1]) if killed and end.behind_shell else ""
    if found and not sign:
        at, text = found[-1]
        start = max(n for n, line in enumerate(lines[:at]) if _TRACEBACK in line)
        after = [line for line in lines[at + 1 :] if line.strip()]
        is_ignored = re.match(_IGNORED, "".join(lines[start - 1 : start]).strip())
        around = ["", *lines][start], lines[start + 1]
        is_its = end.behind_shell or _is_of_another(*around, text, end.source)
        if not is_ignored and is_its and len(after) <= most:
            sign = printable(text)
    came_to = f"; it came to {end.proof[1]}" if end.proof[1] else ""
    return sign and f"exit code 0, but its log ends in {sign}{came_to}"


def _is_of_another(before: str, frame: str, error: str, source: str) -> bool:
    """Whether a traceback is where a program that ours has started began: it was not caught.

    `before`: the line before it; `frame`: its first one; `error`: its last line; `source`: the text
    of our script, which names the script that it starts.
    """
    match = re.search(r'File "([^"]+)", line \d+, in (\S+)', frame)
    if match is None or re.search(r"\b(ERROR|CRITICAL|WARNING|Error in)\b", before):
        return False  # a logger's
    if match[2] == "_bootstrap":
        return not re.match(_PARENT_GONE, error)
    name = Path(match[1]).name
    is_named = re.search(rf"(?<![\w.]){re.escape(name)}\b", source) is not None
    return match[2] == "<module>" and is_named


def handing_over(argv: Sequence[str], cwd: Path) -> str:
    """The text of a command and its scripts where it names what runs a program elsewhere."""
    texts = [*argv]
    for number, word in enumerate(argv):
        if word.endswith(SCRIPTS) or (not number and "/" in word):
            with contextlib.suppress(OSError, ValueError):
                data = read_regular(cwd / word, 1 << 20, follow=True)
                texts += [data.decode("utf-8", "replace")] if b"\0" not in data[:512] else []
    text = "\n".join(texts)
    return text if re.search(_ELSEWHERE, text) else ""


def source_of(argv: Sequence[str], cwd: Path) -> str:
    """The text of the script of a command, without its own name; empty where it has none."""
    for word in argv:
        with contextlib.suppress(OSError, ValueError):
            if word.endswith(".py"):
                text = read_regular(cwd / word, 1 << 20, follow=True).decode("utf-8", "replace")
                return text.replace(Path(word).name, "")
    return ""


def _classify(end: End) -> tuple[Outcome, str]:
    """By what it said last alone: an error before that was caught."""
    text = end.error or _deciding_line(end.last_words)
    for outcome, pattern in _REASONS.items():
        if re.search(pattern, text):
            return outcome, text
    return "failed", text


def _deciding_line(words: str) -> str:
    """The last exception of the log, or its last line where that is of something else."""
    lines = words.replace("\r", "\n").split("\n")
    found = _exceptions(lines)
    while len(found) > 1 and found[-1][1].partition(":")[0].endswith(_OF_A_CHILD):
        del found[-1]
    if found and _is_last(found[-1][0], lines):
        return printable(found[-1][1])
    full = [line for line in lines if line.strip()]
    while len(full) > 1 and re.match(_BEHIND, full[-1]):
        del full[-1]
    return printable(full[-1]) if full else ""


def _is_last(at: int, lines: Sequence[str]) -> bool:
    """Whether a program said nothing of its own after this line."""
    return len([line for line in lines[at + 1 :] if line.strip()]) <= AFTERWARDS


def _ends_in_traceback(words: str) -> bool:
    """Whether one stands at the end, perhaps without its last line; others were caught."""
    lines = words.replace("\r", "\n").split("\n")
    starts = [at for at, line in enumerate(lines) if _TRACEBACK in line]
    end = max((at for at, _ in _exceptions(lines)), default=-1)
    return bool(starts) and (end < starts[-1] or _is_last(end, lines))


def _exceptions(lines: Sequence[str]) -> list[tuple[int, str]]:
    """Number and text of each line that ends a traceback.

    One process of several puts its rank before each line; lines without it are another's.
    """
    heads = {}
    for start, line in enumerate(lines):
        head, mark, _ = line.partition(_TRACEBACK)
        if mark:  # a logger writes its head before the first line alone
            is_rank = "".join(lines[start + 1 : start + 2]).startswith(head)
            heads[start] = head if is_rank else ""
    found = []
    for start, head in heads.items():
        for at in range(start + 1, len(lines)):
            if heads.get(at) == head:
                break  # the last line of this one is not there
            rest = lines[at][len(head) :]
            if lines[at].startswith(head) and re.fullmatch(_EXCEPTION, rest):
                found.append((at, rest))
                break
    return found


def printable(text: str) -> str:
    """One short line that is safe on every terminal."""
    return "".join(c if c.isprintable() else " " for c in text[: 2 * SHOWN]).strip()[:SHOWN]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class KernelKills:
    """Counts the processes of our memory cgroup that the kernel kills while one is watched."""

    def __init__(self) -> None:
        self._samples: list[tuple[float, int]] = []
        self.look()

    def look(self) -> None:
        """Take note of how many they are now."""
        now = time.monotonic()
        self._samples.append((now, oom_kills()))
        while len(self._samples) > 1 and self._samples[1][0] < now - JUST_BEFORE:
            del self._samples[0]

    def recent(self) -> int:
        """Those of the last `JUST_BEFORE` seconds."""
        return oom_kills() - self._samples[0][1]


def file_size(path: Path, since: float | None = None) -> int:
    """0 where there is none; or where it was made `since` then, in Unix seconds."""
    if since is not None and (born(path) or 0.0) > since - JUST_AFTER:
        return 0
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def disk_free(folder: Path) -> int | None:
    """Bytes that are left; None where that is not known."""
    try:
        status = os.statvfs(folder)
    except OSError:
        return None
    return status.f_bavail * status.f_frsize


def last_error(events: Path, start: int) -> str:
    """The `error` of the last line, if this run wrote one and it is its end."""
    last = last_json_line(events) if file_size(events) > start else {}
    return printable(str(last.get("error") or "")) if last.get("kind") == "end" else ""


def last_words(log: Path, start: int) -> str:
    """The last words of this run in its log; an earlier run's do not count."""
    try:
        # An adopted run's log is a link.
        with os.fdopen(open_regular(log, follow=True), "rb", 0) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - TAIL, start if start <= size else 0))
            return (file.read(TAIL) or b"").decode("utf-8", "replace")
    except OSError:
        return ""
