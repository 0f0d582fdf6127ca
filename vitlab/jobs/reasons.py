"""Why a job ended: an outcome and one line for people, from code, signal and last words."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass

NAN_CODE = 3
"""The exit code by which a recipe says that its loss was no number any more."""

_ASKED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_LITTLE = 1 << 16

_OOM = re.compile(
    r"CUDA out of memory|OutOfMemoryError|CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED"
    r"|^MemoryError\b|Cannot allocate memory|Unable to allocate .*for an array|std::bad_alloc",
    re.MULTILINE,
)
_DISK = re.compile(r"No space left on device|\[Errno 28\]|Disk quota exceeded|\[Errno 122\]")
_IMPORT = re.compile(
    r"^(ModuleNotFoundError|ImportError): .*|.*: cannot open shared object.*", re.M
)


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
    """Bytes left where it writes; a full disk has no room for last words either."""
    oom_kills: int = 0
    """Processes of its memory cgroup the kernel killed while it ran."""


def explain(end: End) -> tuple[str, str]:
    """The outcome (one of `contract.state.OUTCOMES`) and its line."""
    if end.code == 0:
        return "ok", ""
    if end.code is None and end.signal is None:
        if "Traceback (most recent call last)" in end.last_words or end.error:
            return _from_words(end), end.error or _last_line(end.last_words)
        return "ok", "started by hand: its exit code is not known"
    if end.signal is not None:
        name = _signal_name(end.signal)
        if end.signal == signal.SIGKILL and end.oom_kills:
            return (
                "oom",
                "the kernel killed it: the machine (or its memory limit) ran out of memory",
            )
        if end.signal == signal.SIGKILL:
            return "killed", f"{name} from outside: by hand, or the kernel for want of memory"
        if end.signal in _ASKED:
            return "killed", f"{name} from outside"
        return "failed", f"{name}: {_last_line(end.last_words)}".rstrip(": ")
    if end.code is not None and end.code - 128 in _ASKED:
        return "killed", f"{_signal_name(end.code - 128)} from outside; it ended itself"
    last = end.error or _last_line(end.last_words) or f"exit code {end.code}"
    if end.code == NAN_CODE and (not end.error or "nan" in end.error.lower()):
        return "nan", "the loss is no finite number any more"
    outcome = _from_words(end)
    if outcome == "failed" and end.disk_free is not None and end.disk_free < _LITTLE:
        return "disk_full", f"no space left on the disk; {last}"
    return outcome, last


def _from_words(end: End) -> str:
    words = f"{end.last_words}\n{end.error}"
    # The last exception decides: what came before it may have been caught.
    found = {
        "oom": [m.start() for m in _OOM.finditer(words)],
        "disk_full": [m.start() for m in _DISK.finditer(words)],
        "import_error": [m.start() for m in _IMPORT.finditer(words)],
    }
    last = max(found, key=lambda name: max(found[name], default=-1))
    return last if found[last] else "failed"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.replace("\r", "\n").split("\n")]
    said = [line for line in lines if line]
    return "".join(c if c.isprintable() else " " for c in said[-1])[:300] if said else ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
