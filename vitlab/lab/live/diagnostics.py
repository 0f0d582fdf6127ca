"""What a bug report needs: versions, terminal, lab, GPUs, without names of people and machines."""

from __future__ import annotations

import getpass
import os
import platform
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from vitlab.contract.job import Done, state_word
from vitlab.contract.reading import read_regular
from vitlab.jobs.git import read_code
from vitlab.jobs.store import all_jobs
from vitlab.lab.lab import Lab

PACKAGES = ("vitlab", "textual", "rich", "plotext", "polars", "markdown-it-py", "torch",
            "lightgbm", "numpy", "h5py", "matplotlib", "wandb", "nvidia-ml-py")  # fmt: skip
_VARIABLES = ("TERM", "COLORTERM", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "LANG", "LC_ALL",
              "NO_COLOR", "VITLAB_ASCII", "TEXTUAL_COLOR_SYSTEM")  # fmt: skip
"""The environment variables that are reported."""


@dataclass(frozen=True)
class Section:
    """Facts of one kind."""

    title: str
    facts: tuple[tuple[str, str], ...]


def versions() -> Section:
    """Python and the packages, from their metadata: none is loaded."""
    facts = [("python", platform.python_version()), ("system", platform.platform(terse=True))]
    for name in PACKAGES:
        try:
            facts.append((name, version(name)))
        except PackageNotFoundError:
            facts.append((name, "not installed"))
    return Section("versions", tuple(facts))


def terminal(environment: Mapping[str, str]) -> Section:
    """The terminal, from the environment."""
    size = shutil.get_terminal_size((0, 0))
    inside = [word for word, sign in (("tmux", "TMUX"), ("screen", "STY")) if environment.get(sign)]
    facts = [(name, environment[name]) for name in _VARIABLES if name in environment]
    return Section(
        "terminal",
        (
            *facts,
            ("size", f"{size.columns}x{size.lines}" if size.columns else "unknown"),
            # Of the original stream: a running screen replaces `sys.stdout`.
            ("encoding", getattr(sys.__stdout__, "encoding", None) or "unknown"),
            ("inside", ", ".join(inside) or "neither tmux nor screen"),
            ("over ssh", "yes" if environment.get("SSH_CONNECTION") else "no"),
        ),
    )


def _lines(path: Path) -> int | None:
    """The lines of a document; None where it cannot be read, or is too large to be one."""
    try:
        return read_regular(path, follow=True).count(b"\n")
    except OSError:
        return None


def lab_section(lab: Lab) -> Section:
    """The lab's size and the states of its jobs; blocking."""
    jobs = all_jobs(lab.paths)
    words = Counter(
        job.state.outcome if isinstance(job.state, Done) else state_word(job.state) for job in jobs
    )
    states = ", ".join(f"{count} {word}" for word, count in sorted(words.items()))
    logs = [_size(job.paths.log) for job in jobs]
    events = [_size(job.paths.events) for job in jobs]
    roadmaps = lab.roadmaps()
    lines = [count for path in roadmaps if (count := _lines(path)) is not None]
    longest = f", {max(lines)} lines the longest" if lines else ""
    unread = f", {len(roadmaps) - len(lines)} not readable" if len(lines) < len(roadmaps) else ""
    facts = [
        ("jobs", f"{len(jobs)}" + (f": {states}" if states else "")),
        ("roadmaps", f"{len(roadmaps)}{longest}{unread}"),
        ("experiment files", str(len(lab.paths.experiment_files()))),
        ("largest log", f"{max(logs, default=0) / 1e6:.1f} MB"),
        ("largest events", f"{max(events, default=0) / 1e6:.1f} MB"),
        ("own settings", ", ".join(_changed_settings(lab)) or "none"),
        ("git", "yes" if read_code(lab.paths.root).commit else "no"),
    ]
    return Section("lab", tuple(facts))


def gpu_section() -> Section:
    """The GPUs, as NVML names them; blocking."""
    from vitlab.jobs.gpus import VISIBLE, read_gpus

    found = read_gpus()
    facts = [
        (one.label, f"{one.name}, {one.memory_free / 1e9:.1f} of {one.memory_total / 1e9:.1f} GB")
        for one in found.devices
    ]
    facts += [(name, why) for name, _, why in (one.partition(": ") for one in found.lost)]
    limit = os.environ.get(VISIBLE)
    facts += [(VISIBLE, limit or "empty")] if limit is not None else []
    return Section("GPUs", tuple(facts) or (("none", "no NVIDIA library, driver or GPU"),))


def notice_section(lab: Lab) -> Section | None:
    """Whether the last notices to the webhook arrived; None without a webhook."""
    if lab.settings.notify.webhook is None:
        return None
    from vitlab.jobs.queue.notice import last_notices

    records = last_notices(lab.paths)
    facts = [(str(one.get("job")), str(one.get("trouble") or "arrived")) for one in records]
    return Section("webhook", tuple(facts) or (("none", "sent yet"),))


def read_times(seconds: Iterable[float]) -> str:
    """How long the last reads of the lab took."""
    times = sorted(seconds)
    if not times:
        return "none yet"
    median, slowest = 1e3 * times[len(times) // 2], 1e3 * times[-1]
    return f"{len(times)} reads: median {median:.0f} ms, slowest {slowest:.0f} ms"


def collect(lab: Lab | None, environment: Mapping[str, str]) -> list[Section]:
    """Everything known without a screen; blocking."""
    sections = [versions(), terminal(environment)]
    if lab is not None:
        sections.append(lab_section(lab))
        if (notices := notice_section(lab)) is not None:
            sections.append(notices)
    return [*sections, gpu_section()]


def as_text(sections: Iterable[Section], lab: Lab | None) -> str:
    """The sections as plain text, without names of people, folders and machines, or tokens."""
    lines = []
    for section in sections:
        width = max((len(name) for name, _ in section.facts), default=0)
        lines.append(f"[{section.title}]")
        lines += [f"{name:<{width}}  {fact}".rstrip() for name, fact in section.facts]
        lines.append("")
    return anonymized("\n".join(lines), lab.paths.root if lab else None)


def as_json(sections: Iterable[Section], lab: Lab | None) -> dict[str, dict[str, str]]:
    """{section: {name: fact}}, with the same left out as in `as_text`."""
    root = lab.paths.root if lab else None
    return {
        section.title: {name: anonymized(fact, root) for name, fact in section.facts}
        for section in sections
    }


def anonymized(text: str, root: Path | None) -> str:
    """`text` without names of people, folders and machines, or tokens."""
    if root is not None:
        for path in dict.fromkeys((str(root), str(root.resolve()))):
            text = _folder(text, path, "<lab>")
    known = os.path.expanduser("~")  # noqa: PTH111 - `Path.home` raises where there is none
    for home in dict.fromkeys((known, os.environ.get("HOME", ""))):
        text = _folder(text, home, "~")
    text = re.sub(r"(https?://)[^\s/@]*@", r"\1", text)
    text = re.sub(r"(https?://[^\s/?#]+)[/?#]\S*", r"\1/...", text)
    text = re.sub(r"/(home|Users)/[^/\s:'\"]+", r"/\1/<user>", text)
    for name, shown in ((_user(), "<user>"), (platform.node(), "<host>")):
        if len(name) > 1:
            text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", shown, text)
    # What looks like a token: long, of letters and digits; names of jobs and files have words.
    return re.sub(r"(?<![\w/.-])(?=\w*\d)(?=\w*[A-Za-z])\w{24,}(?![\w/.-])", "<token>", text)


def _folder(text: str, path: str, shown: str) -> str:
    if path in ("", "/", "~"):
        return text
    return re.sub(rf"{re.escape(path)}(?![\w.-])", shown, text)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""  # in a container a user may have no name


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _changed_settings(lab: Lab) -> list[str]:
    """Names of the settings that are not the default; no values, as those may be secret."""
    default = type(lab.settings)()
    return [name for name, value in vars(lab.settings).items() if value != getattr(default, name)]
